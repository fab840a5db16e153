#include "server/engine/engine.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "metrics/stats/interval_choice.h"
#include "server/engine/group.h"

namespace mirage::server {
namespace {

// The run's id: 128 bits over the header (its path left out: the same files in
// another folder are the same run) and the order-independent digests of its tasks.
std::string RunName(const ScoredRun& scored) {
  v1::Run header = scored.run;
  header.clear_path();
  header.clear_name();
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    header.SerializeToCodedStream(&coded);
  }
  std::vector<std::string> tasks;
  for (const auto& scorer : scored.scorers) {
    const absl::uint128 digest = scorer->digest();
    tasks.push_back(fmt::format("{}\x1f{}\x1f{:016x}{:016x}", scorer->about().task(),
                                scorer->filter(), absl::Uint128High64(digest),
                                absl::Uint128Low64(digest)));
  }
  std::sort(tasks.begin(), tasks.end());
  for (const std::string& task : tasks) bytes += task;
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return fmt::format("runs/{:016x}{:016x}", hash.high64, hash.low64);
}

const v1::RunTask* FindTask(const v1::Run& run, const std::string& name) {
  for (const v1::RunTask& task : run.tasks()) {
    if (task.task() == name) return &task;
  }
  return nullptr;
}

// What a run holds, by task: runs of thousands of tasks are looked through for each of them.
class RunIndex {
 public:
  explicit RunIndex(const ScoredRun& scored) {
    for (const v1::RunTask& task : scored.run.tasks()) tasks_.emplace(task.task(), &task);
    for (const auto& scorer : scored.scorers) {
      scorers_[scorer->about().task()].push_back(scorer.get());
    }
    for (const v1::RowIssues& issue : scored.issues) issues_[issue.task()].push_back(&issue);
  }

  // Null when there is none.
  const v1::RunTask* Task(std::string_view name) const {
    const auto found = tasks_.find(name);
    return found == tasks_.end() ? nullptr : found->second;
  }

  const TaskScorer* Scorer(std::string_view task, std::string_view filter) const {
    const auto found = scorers_.find(task);
    if (found == scorers_.end()) return nullptr;
    for (const TaskScorer* scorer : found->second) {
      if (scorer->filter() == filter) return scorer;
    }
    return nullptr;
  }

  // The filters of a task in the order in which the harness reports them, then those
  // that only the samples have.
  std::vector<std::string> Filters(const v1::RunTask& task) const {
    std::vector<std::string> filters;
    const auto add = [&](const std::string& filter) {
      if (std::find(filters.begin(), filters.end(), filter) == filters.end()) {
        filters.push_back(filter);
      }
    };
    for (const v1::ReportedMetric& reported : task.reported()) add(reported.filter());
    if (const auto found = scorers_.find(task.task()); found != scorers_.end()) {
      for (const TaskScorer* scorer : found->second) add(scorer->filter());
    }
    if (filters.empty()) add("none");
    return filters;
  }

  // Issues of a task and filter. Rows too damaged to name a filter are told with the first.
  std::vector<v1::RowIssues> Issues(const v1::RunTask& task, const std::string& filter) const {
    std::vector<v1::RowIssues> issues;
    const auto found = issues_.find(task.task());
    if (found == issues_.end()) return issues;
    for (const v1::RowIssues* issue : found->second) {
      if (issue->filter() == filter ||
          (issue->filter().empty() && filter == Filters(task).front())) {
        issues.push_back(*issue);
      }
    }
    return issues;
  }

 private:
  // The keys are the run's own strings.
  absl::flat_hash_map<std::string_view, const v1::RunTask*> tasks_;
  absl::flat_hash_map<std::string_view, std::vector<const TaskScorer*>> scorers_;
  absl::flat_hash_map<std::string_view, std::vector<const v1::RowIssues*>> issues_;
};

// The tasks below a group, nested groups expanded in their order; a cycle is cut, and so is
// what is nested deeper than kMostNested. Members that the run does not have go to `missing`.
constexpr int kMostNested = 64;

void Leaves(const RunIndex& index, const v1::RunTask& group,
            std::vector<const v1::RunTask*>& leaves, std::vector<std::string>& missing) {
  struct Visit {
    const v1::RunTask* task;
    int depth;
  };
  // Not by an initialiser list: it would hold copies of the names, and the set views of those.
  absl::flat_hash_set<std::string_view> visited;
  visited.insert(group.task());
  std::vector<Visit> stack = {{&group, 0}};
  while (!stack.empty()) {
    const Visit visit = stack.back();
    stack.pop_back();
    if (visit.task->members().empty()) {
      leaves.push_back(visit.task);
      continue;
    }
    if (visit.depth == kMostNested) {
      missing.push_back(
          fmt::format("{} (groups are nested deeper than {})", visit.task->task(), kMostNested));
      continue;
    }
    // The last member goes to the stack first, so that the first one is visited first.
    const size_t begin = stack.size();
    for (const std::string& member : visit.task->members()) {
      if (!visited.insert(member).second) continue;
      if (const v1::RunTask* below = index.Task(member)) {
        stack.push_back({below, visit.depth + 1});
      } else {
        missing.push_back(member);
      }
    }
    std::reverse(stack.begin() + static_cast<std::ptrdiff_t>(begin), stack.end());
  }
}

class RunSummarizer {
 public:
  RunSummarizer(const RunIndex& index, const SummaryOptions& options)
      : index_(index), options_(options) {}

  // Tasks are summarised once: a group needs its members' summaries too.
  const v1::TaskSummary& Task(const v1::RunTask& task, const std::string& filter) {
    const std::string key = task.task() + '\0' + filter;
    auto found = done_.find(key);
    if (found == done_.end()) {
      const std::vector<v1::RowIssues> issues = index_.Issues(task, filter);
      found = done_
                  .emplace(key,
                           std::make_unique<v1::TaskSummary>(SummarizeTask(
                               task, filter, index_.Scorer(task.task(), filter), issues, options_)))
                  .first;
    }
    return *found->second;
  }

  v1::TaskSummary Group(const v1::RunTask& group, const std::string& filter) {
    std::vector<const v1::RunTask*> leaves;
    std::vector<std::string> missing;
    Leaves(index_, group, leaves, missing);
    std::vector<const v1::TaskSummary*> members;
    members.reserve(leaves.size());
    for (const v1::RunTask* leaf : leaves) members.push_back(&Task(*leaf, filter));
    v1::TaskSummary summary = SummarizeGroup(group, filter, members, options_);
    if (!missing.empty()) {
      summary.add_warnings(
          fmt::format("the run has no results of {} of the group's members ({}): values computed "
                      "here cover the others",
                      missing.size(), fmt::join(missing, ", ")));
    }
    return summary;
  }

 private:
  const RunIndex& index_;
  const SummaryOptions& options_;
  absl::flat_hash_map<std::string, std::unique_ptr<v1::TaskSummary>> done_;
};

}  // namespace

IngestSession::IngestSession(Engine* engine, const v1::IngestHeader& header, metrics::TextUnit unit)
    : engine_(engine),
      run_(std::make_shared<ScoredRun>()),
      unit_(unit),
      return_scores_(header.return_scores()) {
  run_->run = header.run();
  run_->run.clear_name();
}

absl::StatusOr<TaskScorer*> IngestSession::ScorerOf(const v1::SampleBatch& batch) {
  // Batches of a task come together: the last scorer is nearly always the one.
  for (auto it = run_->scorers.rbegin(); it != run_->scorers.rend(); ++it) {
    if ((*it)->about().task() == batch.task() && (*it)->filter() == batch.filter()) {
      return it->get();
    }
  }
  const v1::RunTask* task = FindTask(run_->run, batch.task());
  if (task == nullptr) {
    return absl::InvalidArgumentError(fmt::format(
        "batch.task is \"{}\", which header.run.tasks does not name: list every task in the header",
        batch.task()));
  }
  run_->scorers.push_back(std::make_unique<TaskScorer>(*task, batch.filter(), unit_));
  return run_->scorers.back().get();
}

absl::Status IngestSession::Add(const v1::SampleBatch& batch, uint64_t sequence,
                                v1::IngestResponse* response) {
  if (finished_) return absl::FailedPreconditionError("finish was sent: nothing may follow it");
  response->set_committed_sequence(committed_);
  if (sequence == 0 || sequence > committed_ + 1) {
    return absl::InvalidArgumentError(
        fmt::format("sequence is {} where {} comes next: number batches from 1 without gaps",
                    sequence, committed_ + 1));
  }
  if (sequence <= committed_) return absl::OkStatus();
  const auto scorer = ScorerOf(batch);
  if (!scorer.ok()) return scorer.status();
  if (auto status = (*scorer)->Add(batch, return_scores_, response); !status.ok()) return status;
  committed_ = sequence;
  response->set_committed_sequence(committed_);
  return absl::OkStatus();
}

absl::Status IngestSession::Finish(const v1::IngestFinish& finish, v1::IngestResponse* response) {
  if (finished_) return absl::FailedPreconditionError("finish was sent: nothing may follow it");
  if (finish.n_batches() != committed_) {
    return absl::FailedPreconditionError(
        fmt::format("finish.n_batches is {}, {} batches are committed: send the missing ones first",
                    finish.n_batches(), committed_));
  }
  for (int i = 0; i < finish.notes_size(); ++i) {
    if (FindTask(run_->run, finish.notes(i).task()) != nullptr) continue;
    return absl::InvalidArgumentError(
        fmt::format("finish.notes[{}].task is \"{}\", which header.run.tasks does not name", i,
                    finish.notes(i).task()));
  }
  finished_ = true;
  for (const auto& scorer : run_->scorers) scorer->Finish();
  run_->issues.assign(finish.issues().begin(), finish.issues().end());
  for (const v1::TaskNote& note : finish.notes()) {
    for (v1::RunTask& task : *run_->run.mutable_tasks()) {
      if (task.task() == note.task()) task.add_warnings(note.text());
    }
  }
  response->set_committed_sequence(committed_);
  response->set_run(engine_->Keep(std::move(run_)));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<IngestSession>> Engine::StartIngest(const v1::IngestHeader& header) {
  const auto unit = metrics::ParseTextUnit(
      header.tokenizer().empty() ? std::string_view("codepoints") : header.tokenizer());
  if (!unit.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("header.tokenizer: {}", std::string(unit.status().message())));
  }
  absl::flat_hash_set<std::string> names;
  for (int t = 0; t < header.run().tasks_size(); ++t) {
    if (!names.insert(header.run().tasks(t).task()).second) {
      return absl::InvalidArgumentError(fmt::format(
          "header.run.tasks[{}].task \"{}\" is named twice", t, header.run().tasks(t).task()));
    }
  }
  return std::unique_ptr<IngestSession>(new IngestSession(this, header, *unit));
}

std::string Engine::Keep(std::shared_ptr<ScoredRun> run) {
  std::string name = RunName(*run);
  run->run.set_name(name);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (const auto found = runs_.find(name); found != runs_.end()) {
    // The same content once more; its path may be new.
    by_use_.erase(found->second);
    runs_.erase(found);
  }
  by_use_.push_front(std::move(run));
  runs_[name] = by_use_.begin();
  while (by_use_.size() > options_.max_runs) {
    runs_.erase(by_use_.back()->run.name());
    by_use_.pop_back();
  }
  return name;
}

absl::StatusOr<std::shared_ptr<const ScoredRun>> Engine::Find(const std::string& name) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = runs_.find(name);
  if (found == runs_.end()) {
    return absl::NotFoundError(
        fmt::format("name \"{}\" is not a run that this server holds: send it again (runs used "
                    "longest ago are forgotten beyond {})",
                    name, options_.max_runs));
  }
  by_use_.splice(by_use_.begin(), by_use_, found->second);
  return by_use_.front();
}

absl::Status Engine::Summarize(const v1::SummarizeRunRequest& request,
                               absl::FunctionRef<bool(v1::SummarizeRunResponse)> emit) {
  SummaryOptions options{.seed = request.seed()};
  if (request.level() != 0) options.level = request.level();
  if (!(options.level > 0 && options.level < 1)) {
    return absl::InvalidArgumentError(
        fmt::format("level is {}: it lies between 0 and 1, as 0.95", options.level));
  }
  if (!request.interval_method().empty()) {
    auto method = metrics::ParseIntervalMethod(request.interval_method());
    if (!method.ok()) {
      return absl::InvalidArgumentError(
          fmt::format("interval_method: {}", std::string(method.status().message())));
    }
    options.interval = *method;
  }
  const auto found = Find(request.name());
  if (!found.ok()) return found.status();
  const ScoredRun& scored = **found;
  const v1::Run& run = scored.run;
  const auto cancelled = [] { return absl::CancelledError("the caller went away"); };

  v1::SummarizeRunResponse first;
  v1::RunSummary* summary = first.mutable_run();
  summary->set_model(run.model());
  summary->set_harness(run.harness());
  summary->set_harness_version(run.harness_version());
  summary->set_path(run.path());
  summary->set_run(run.name());
  summary->set_date(run.date());
  *summary->mutable_warnings() = run.warnings();
  const RunIndex index(scored);
  // Rows that name no task of the run cannot be told with one.
  for (const v1::RowIssues& issue : scored.issues) {
    if (index.Task(issue.task()) != nullptr) continue;
    for (const std::string& message : issue.messages()) summary->add_warnings(message);
  }
  if (!emit(std::move(first))) return cancelled();

  RunSummarizer summarizer(index, options);
  for (const v1::RunTask& task : run.tasks()) {
    for (const std::string& filter : index.Filters(task)) {
      v1::SummarizeRunResponse response;
      *response.mutable_task() =
          task.members().empty() ? summarizer.Task(task, filter) : summarizer.Group(task, filter);
      if (!emit(std::move(response))) return cancelled();
    }
  }
  return absl::OkStatus();
}

absl::Status Engine::Delete(const std::string& name) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = runs_.find(name);
  if (found == runs_.end()) {
    return absl::NotFoundError(
        fmt::format("name \"{}\" is not a run that this server holds", name));
  }
  by_use_.erase(found->second);
  runs_.erase(found);
  return absl::OkStatus();
}

}  // namespace mirage::server
