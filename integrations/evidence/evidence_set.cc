#include "integrations/evidence/evidence_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace mirage::integrations::evidence {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "mirage_evidence_";
constexpr std::string_view kSuffix = ".jsonl";
// White space of ASCII, which outer space of answers is.
constexpr std::string_view kSpace = " \t\n\v\f\r";

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

// A model's name as lm-eval makes a folder's of it.
std::string Sanitized(std::string_view model) {
  constexpr std::string_view kReplaced = "\"<>:/|\\?*[]";
  std::string out;
  for (size_t i = 0; i < model.size(); ++i) {
    const bool is_replaced = kReplaced.find(model[i]) != std::string_view::npos;
    if (!is_replaced) {
      out += model[i];
    } else if (i == 0 || kReplaced.find(model[i - 1]) == std::string_view::npos) {
      out += "__";
    }
  }
  return out;
}

bool IsModelOf(const EvidenceHeader& header, const v1::Run& run) {
  return header.model == run.model() || Sanitized(header.model) == Sanitized(run.model());
}

// Why a file's header does not fit its own name; empty when it does.
std::string NameProblem(const std::string& path, const EvidenceHeader& header) {
  const std::string name = EvidenceFileName(header.task, header.date);
  if (fs::path(path).filename() == name) return "";
  return fmt::format(
      "{}: its header is of task {} and date {}, which belong into a file named {}: rename it or "
      "mend the header",
      path, header.task, header.date, name);
}

// The cells of a text column, of which `n` are wanted.
std::vector<std::string_view> Cells(const v1::TextColumn& column, size_t n) {
  std::vector<std::string_view> cells;
  size_t at = 0;
  const std::string_view data = column.data();
  for (const uint32_t length : column.lengths()) {
    if (length > data.size() - at) break;
    cells.push_back(data.substr(at, length));
    at += length;
  }
  cells.resize(n);
  return cells;
}

void Append(std::string_view text, v1::TextColumn* column) {
  column->mutable_data()->append(text);
  column->add_lengths(static_cast<uint32_t>(text.size()));
}

}  // namespace

std::string EvidenceFileName(std::string_view task, std::string_view date) {
  std::string name(kPrefix);
  for (const char c : task) {
    if (c == '/' || c == '%' || c == '\0') {
      name += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      name += c;
    }
  }
  return fmt::format("{}_{}{}", name, date, kSuffix);
}

const EvidenceTable* RunEvidence::TableOf(const std::string& task) {
  if (table_.has_value() && task_ == task) return &*table_;
  CloseTable();
  const auto file = files_.find(task);
  if (file == files_.end()) return nullptr;
  auto table = EvidenceTable::ReadFile(file->second, options_.max_row_bytes);
  if (!table.ok()) {
    unreadable_.emplace_back(table.status().message());
    notes_.push_back(
        {.task = task, .text = fmt::format("evidence is not used: {}", unreadable_.back())});
    files_.erase(file);
    return nullptr;
  }
  table_ = *std::move(table);
  task_ = task;
  is_used_.assign(table_->n_documents(), false);
  counts_[task].n_damaged = table_->n_damaged();
  counts_[task].problems = table_->problems();
  return &*table_;
}

void RunEvidence::CloseTable() {
  if (!table_.has_value()) return;
  counts_[task_].n_unmatched =
      static_cast<uint64_t>(std::count(is_used_.begin(), is_used_.end(), false));
  table_.reset();
}

void RunEvidence::AddTo(v1::SampleBatch* batch) {
  if (!files_.contains(batch->task())) return;
  if (!batch->has_generation()) {
    counts_[batch->task()].is_for_generations = false;
    return;
  }
  if (batch->has_token_logprobs() || batch->has_gold_likelihood()) return;
  const EvidenceTable* const table = TableOf(batch->task());
  if (table == nullptr) return;
  Counts& counts = counts_[batch->task()];
  const size_t n = batch->n_samples();
  const auto doc_ids = Cells(batch->keys().doc_id(), n);
  const auto doc_hashes = Cells(batch->keys().doc_hash(), n);
  const v1::GenerationColumns& generation = batch->generation();
  const auto targets =
      Cells(generation.targets(), static_cast<size_t>(generation.targets().lengths_size()));
  v1::TokenLogprobColumns tokens;
  v1::LikelihoodColumns probes;
  probes.set_scope(v1::LikelihoodColumns::Scope::GOLD_PROBE);
  bool any_probe = false;
  bool all_counted = true;
  bool all_greedy = true;
  uint64_t bytes = 0;
  size_t first_target = 0;
  for (size_t i = 0; i < n; ++i) {
    const size_t n_targets =
        generation.n_targets().empty() ? 1 : generation.n_targets(static_cast<int>(i));
    const size_t begin = std::min(first_target, targets.size());
    const size_t end = std::min(begin + n_targets, targets.size());
    first_target += n_targets;
    DocumentEvidence found;
    if (const auto place = table->Find(doc_ids[i]); place.has_value()) {
      is_used_[*place] = true;
      found = table->at(*place);
      if (!found.doc_hash.empty() && !doc_hashes[i].empty() && found.doc_hash != doc_hashes[i]) {
        ++counts.n_other_document;
        found = {};
      }
      const auto is_meant = [&](std::string_view target) {
        return Trimmed(target) == Trimmed(*found.target);
      };
      if (found.target.has_value() &&
          std::none_of(targets.begin() + static_cast<ptrdiff_t>(begin),
                       targets.begin() + static_cast<ptrdiff_t>(end), is_meant)) {
        ++counts.n_other_target;
        found = {};
      }
    }
    uint64_t size = 16 + 9 * found.log_probs.size();
    for (const std::string& token : found.tokens) size += token.size() + 4;
    if (bytes + size > options_.max_batch_bytes &&
        (!found.log_probs.empty() || found.log_likelihood.has_value())) {
      ++counts.n_over_budget;
      found = {};
      size = 16;
    }
    bytes += size;
    tokens.add_n_tokens(static_cast<uint32_t>(found.log_probs.size()));
    for (const double log_prob : found.log_probs) tokens.add_log_probs(log_prob);
    if (table->has_all_tokens()) {
      for (const std::string& token : found.tokens) Append(token, tokens.mutable_tokens());
    }
    if (table->has_all_greedy()) {
      for (const uint8_t hit : found.greedy) tokens.add_is_greedy(hit != 0);
    }
    const bool has_probe = found.log_probs.empty() && found.log_likelihood.has_value();
    any_probe |= has_probe;
    probes.add_recorded(has_probe);
    probes.add_log_likelihoods(has_probe ? *found.log_likelihood : 0);
    all_counted &= !has_probe || found.n_tokens.has_value();
    probes.add_n_tokens(found.n_tokens.value_or(0));
    all_greedy &= !has_probe || found.is_greedy.has_value();
    probes.add_is_greedy(found.is_greedy.value_or(false));
  }
  if (!tokens.log_probs().empty()) *batch->mutable_token_logprobs() = std::move(tokens);
  if (any_probe) {
    if (!all_counted) probes.clear_n_tokens();
    if (!all_greedy) probes.clear_is_greedy();
    *batch->mutable_gold_likelihood() = std::move(probes);
  }
}

std::vector<TaskNote> RunEvidence::Notes() {
  CloseTable();
  std::vector<TaskNote> notes = notes_;
  for (const auto& [task, counts] : counts_) {
    const auto file = files_.find(task);
    if (file == files_.end()) continue;
    const std::string name = fs::path(file->second).filename().string();
    const auto note = [&notes, &of = task](std::string text) {
      notes.push_back({.task = of, .text = std::move(text)});
    };
    if (!counts.is_for_generations) {
      note(fmt::format("{} is not used: evidence is taken of generations only", name));
    }
    if (counts.n_damaged > 0) {
      std::string text = fmt::format("{} rows of evidence could not be read: ", counts.n_damaged);
      for (size_t i = 0; i < counts.problems.size(); ++i) {
        text += (i == 0 ? "" : "; ") + counts.problems[i];
      }
      if (counts.n_damaged > counts.problems.size()) text += "; …";
      note(std::move(text));
    }
    if (counts.n_other_document > 0) {
      note(
          fmt::format("{}: the evidence of {} samples is of other documents (their doc_hash "
                      "differs) and is not used",
                      name, counts.n_other_document));
    }
    if (counts.n_other_target > 0) {
      note(
          fmt::format("{}: the evidence of {} samples is of another text than their target, and "
                      "is not used",
                      name, counts.n_other_target));
    }
    if (counts.n_over_budget > 0) {
      note(fmt::format("{}: the evidence of {} samples is too large to be sent, and is not used",
                       name, counts.n_over_budget));
    }
    if (counts.n_unmatched > 0 && counts.is_for_generations) {
      note(fmt::format("{}: {} of its documents are not among the samples", name,
                       counts.n_unmatched));
    }
  }
  return notes;
}

absl::StatusOr<EvidenceSet> EvidenceSet::Find(const std::vector<std::string>& folders,
                                              const EvidenceOptions& options,
                                              std::vector<std::string>* warnings) {
  EvidenceSet set(options);
  // A folder that is named twice, or lies in another one, is looked at once.
  std::vector<fs::path> seen;
  uint64_t n_entries = 0;
  for (const std::string& folder : folders) {
    std::error_code error;
    const fs::file_status about = fs::status(folder, error);
    if (about.type() == fs::file_type::not_found) {
      return absl::NotFoundError(fmt::format("{} does not exist", folder));
    }
    if (error) {
      return absl::PermissionDeniedError(
          fmt::format("cannot look at {}: {}", folder, error.message()));
    }
    if (about.type() != fs::file_type::directory) {
      return absl::InvalidArgumentError(
          fmt::format("{} is no folder: name the folder that the evidence lies in", folder));
    }
    std::vector<std::pair<fs::path, int>> stack = {{folder, 0}};
    while (!stack.empty()) {
      const auto [path, depth] = std::move(stack.back());
      stack.pop_back();
      fs::directory_iterator entries(path, error);
      if (error) {
        const std::string message =
            fmt::format("cannot look into {}: {}", path.string(), error.message());
        if (depth == 0) return absl::PermissionDeniedError(message);
        if (warnings != nullptr) warnings->push_back(message);
        error.clear();
        continue;
      }
      for (; entries != fs::directory_iterator(); entries.increment(error)) {
        if (++n_entries > options.max_entries) {
          return absl::ResourceExhaustedError(
              fmt::format("{} holds more than {} files and folders: name a smaller one", folder,
                          options.max_entries));
        }
        const fs::path& entry = entries->path();
        const std::string name = entry.filename().string();
        std::error_code ignored;
        if (entries->symlink_status(ignored).type() == fs::file_type::directory) {
          if (depth < options.max_depth) {
            stack.emplace_back(entry, depth + 1);
          } else if (warnings != nullptr) {
            warnings->push_back(fmt::format("{} is too deep to be looked into", entry.string()));
          }
          continue;
        }
        if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
        if (fs::path real = fs::canonical(entry, ignored); !ignored) {
          if (std::find(seen.begin(), seen.end(), real) != seen.end()) continue;
          seen.push_back(std::move(real));
        }
        auto header = ReadEvidenceHeader(entry.string(), options.max_row_bytes);
        if (!header.ok()) {
          set.unreadable_.emplace_back(header.status().message());
        } else if (std::string problem = NameProblem(entry.string(), *header); !problem.empty()) {
          set.unreadable_.push_back(std::move(problem));
        } else {
          set.files_.emplace(name, File{.path = entry.string(), .header = *std::move(header)});
        }
      }
      if (error && warnings != nullptr) {
        warnings->push_back(
            fmt::format("cannot look through {}: {}", path.string(), error.message()));
      }
    }
  }
  std::sort(set.unreadable_.begin(), set.unreadable_.end());
  return set;
}

absl::StatusOr<std::unique_ptr<RunEvidence>> EvidenceSet::ForRun(const v1::Run& run,
                                                                 const std::string& folder) {
  std::map<std::string, std::string> files;
  std::vector<TaskNote> notes;
  std::vector<File*> given;
  for (const v1::RunTask& task : run.tasks()) {
    if (!task.members().empty()) continue;
    const std::string name = EvidenceFileName(task.task(), run.date());
    File* fit = nullptr;
    const auto [begin, end] = files_.equal_range(name);
    for (auto it = begin; it != end; ++it) {
      File& file = it->second;
      if (!IsModelOf(file.header, run)) continue;
      if (fit != nullptr) {
        return absl::InvalidArgumentError(fmt::format(
            "{} and {} are both evidence of task {}, date {} and model {}: keep one of them",
            fit->path, file.path, task.task(), run.date(), run.model()));
      }
      fit = &file;
    }
    if (fit != nullptr) {
      if (!fit->used_by.empty() && fit->used_by != run.path()) {
        return absl::InvalidArgumentError(fmt::format(
            "{} was taken for {}, which has the same task, date and model ({}): whose evidence it "
            "is cannot be told; put it beside its run and leave --evidence out",
            fit->path, fit->used_by, run.model()));
      }
      given.push_back(fit);
      files[task.task()] = fit->path;
      continue;
    }
    const std::string path = (fs::path(folder) / name).string();
    std::error_code error;
    if (!fs::exists(fs::symlink_status(path, error))) continue;
    const auto header = ReadEvidenceHeader(path, options_.max_row_bytes);
    std::string problem;
    if (!header.ok()) {
      problem = std::string(header.status().message());
    } else {
      problem = NameProblem(path, *header);
      if (problem.empty() && !IsModelOf(*header, run)) {
        problem = fmt::format("{}: its header is of model {}, the run's is {}", path, header->model,
                              run.model());
      }
    }
    if (problem.empty()) {
      files[task.task()] = path;
    } else {
      notes.push_back(
          {.task = task.task(), .text = fmt::format("evidence is not used: {}", problem)});
    }
  }
  for (File* file : given) file->used_by = run.path();
  return std::make_unique<RunEvidence>(std::move(files), std::move(notes), options_);
}

std::vector<std::string> EvidenceSet::Unused() const {
  std::vector<std::string> unused;
  for (const auto& [name, file] : files_) {
    if (!file.used_by.empty()) continue;
    unused.push_back(fmt::format("{} (task {}, date {}, model {})", file.path, file.header.task,
                                 file.header.date, file.header.model));
  }
  return unused;
}

}  // namespace mirage::integrations::evidence
