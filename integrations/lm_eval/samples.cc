#include "integrations/lm_eval/samples.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "integrations/lm_eval/results.h"
#include "integrations/lm_eval/row_parser.h"
#include "integrations/lm_eval/row_source.h"
#include "integrations/utf8.h"

namespace mirage::integrations::lm_eval {
namespace {

constexpr size_t kMaxIssues = 100;

// A file descriptor that closes itself.
class File {
 public:
  File() = default;
  ~File() { Close(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  absl::Status Open(const std::string& path) {
    Close();
    // Not blocking: a named pipe without a writer must not hang the reader.
    file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat info = {};
    if (file_ < 0 || fstat(file_, &info) != 0) return Error("open", path);
    if (!S_ISREG(info.st_mode)) {
      Close();
      return absl::InvalidArgumentError(fmt::format("cannot read {}: it is not a file", path));
    }
    path_ = path;
#ifdef POSIX_FADV_SEQUENTIAL
    posix_fadvise(file_, 0, 0, POSIX_FADV_SEQUENTIAL);
#endif
    return absl::OkStatus();
  }

  absl::StatusOr<size_t> Read(char* data, size_t size) {
    while (true) {
      const ssize_t n = read(file_, data, size);
      if (n >= 0) return static_cast<size_t>(n);
      if (errno != EINTR) return Error("read", path_);
    }
  }

  void Close() {
    if (file_ >= 0) close(file_);
    file_ = -1;
  }

 private:
  static absl::Status Error(const char* action, const std::string& path) {
    const std::string message = fmt::format("cannot {} {}: {}", action, path, std::strerror(errno));
    if (errno == ENOENT || errno == ENOTDIR) return absl::NotFoundError(message);
    if (errno == EACCES || errno == EPERM) return absl::PermissionDeniedError(message);
    return absl::UnavailableError(message);
  }

  int file_ = -1;
  std::string path_;
};

class Reader final : public RunReader {
 public:
  Reader(RunFiles files, Results results, const ReadOptions& options)
      : files_(std::move(files)), results_(std::move(results)), options_(options) {
    for (const SamplesFile& samples : files_.samples) {
      struct stat info = {};
      if (stat(samples.path.c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
        bytes_total_ += static_cast<uint64_t>(info.st_size);
      }
    }
  }

  const v1::Run& run() const override { return results_.run; }

  absl::StatusOr<bool> Next(v1::SampleBatch* batch, BatchOrigin* origin) override {
    while (true) {
      if (source_ == nullptr && !OpenNext()) {
        batch->Clear();
        origin->file.clear();
        origin->lines.clear();
        return false;
      }
      parser_->StartBatch(batch);
      origin->file = path();
      origin->lines.clear();
      ReadBatch(batch, origin);
      if (batch->n_samples() > 0) return true;
    }
  }

  const std::vector<RowIssue>& issues() const override { return issues_; }

  uint64_t n_issues(const std::string& task, const std::string& filter) const override {
    const auto found = n_issues_.find({task, filter});
    return found == n_issues_.end() ? 0 : found->second;
  }

  uint64_t bytes_read() const override {
    return bytes_done_ + (source_ == nullptr ? 0 : source_->bytes_consumed());
  }

  uint64_t bytes_total() const override { return bytes_total_; }

  const std::string& folder() const override { return files_.folder; }

 private:
  const std::string& path() const { return files_.samples[next_file_ - 1].path; }
  const std::string& task() const { return files_.samples[next_file_ - 1].task; }

  // Opens the next samples file; false when there is none.
  bool OpenNext() {
    while (next_file_ < files_.samples.size()) {
      ++next_file_;
      const absl::Status status = file_.Open(path());
      if (!status.ok()) {
        AddIssue("", 0, std::string(status.message()) + "; its samples are missing");
        continue;
      }
      TaskConfig config;
      const auto found = results_.tasks.find(task());
      if (found != results_.tasks.end()) config = found->second;
      config.task = task();
      parser_ = std::make_unique<RowParser>(std::move(config), options_);
      source_ = std::make_unique<RowSource>(
          [this](char* data, size_t size) { return file_.Read(data, size); },
          options_.max_row_bytes);
      pending_.reset();
      return true;
    }
    return false;
  }

  void CloseCurrent() {
    bytes_done_ += source_->bytes_consumed();
    source_.reset();
    parser_.reset();
    file_.Close();
  }

  // Reads until the batch is full, the next row belongs to another, or the file
  // ends (then it is closed).
  void ReadBatch(v1::SampleBatch* batch, BatchOrigin* origin) {
    while (true) {
      RowSource::Row row;
      if (pending_.has_value()) {
        row = *pending_;
        pending_.reset();
      } else {
        absl::StatusOr<RowSource::Row> next = source_->Next();
        if (!next.ok()) {
          AddIssue("", 0, std::string(next.status().message()) + "; the rest of it is missing");
          CloseCurrent();
          return;
        }
        row = *next;
      }
      switch (row.kind) {
        case RowSource::Row::Kind::kEnd:
          CloseCurrent();
          return;
        case RowSource::Row::Kind::kTooLong:
          AddIssue(
              "", row.number,
              fmt::format("the row is larger than {} bytes; skipped: raise the limit to read it",
                          options_.max_row_bytes));
          continue;
        case RowSource::Row::Kind::kTruncated:
          AddIssue("", row.number,
                   "the file ends inside this element; skipped: it was cut off, evaluate again");
          continue;
        case RowSource::Row::Kind::kStray:
          AddIssue("", row.number, "an element of the array is no object; skipped");
          continue;
        case RowSource::Row::Kind::kRow:
          break;
      }
      switch (parser_->Append(row.text, batch)) {
        case RowParser::Outcome::kAppended:
          origin->lines.push_back(row.number);
          if (parser_->IsFull()) return;
          break;
        case RowParser::Outcome::kBatchFull:
          pending_ = row;
          return;
        case RowParser::Outcome::kRefused:
          AddIssue(parser_->filter(), row.number,
                   row.unterminated && parser_->filter().empty() && row.text.back() != '}'
                       ? "the file ends inside this row; skipped: it was cut off, evaluate again"
                       : parser_->message());
      }
    }
  }

  void AddIssue(const std::string& filter, uint64_t line, std::string message) {
    ++n_issues_[{task(), filter}];
    if (issues_.size() >= kMaxIssues) return;
    issues_.push_back({task(), filter, path(), line, std::move(message)});
  }

  const RunFiles files_;
  const Results results_;
  const ReadOptions options_;

  // One past the samples file that is being read.
  size_t next_file_ = 0;
  File file_;
  std::unique_ptr<RowSource> source_;
  std::unique_ptr<RowParser> parser_;
  // A row that has to open the next batch; its text is still the source's.
  std::optional<RowSource::Row> pending_;

  uint64_t bytes_done_ = 0;
  uint64_t bytes_total_ = 0;
  std::vector<RowIssue> issues_;
  std::map<std::pair<std::string, std::string>, uint64_t> n_issues_;
};

std::string FileName(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

}  // namespace

absl::StatusOr<std::unique_ptr<RunReader>> OpenRun(const RunFiles& files,
                                                   const ReadOptions& options) {
  if (files.results.empty() && files.samples.empty()) {
    return absl::NotFoundError("the run has neither a results file nor samples");
  }
  Results results;
  if (!files.results.empty()) {
    absl::StatusOr<JsonValue> json = ReadJson(files.results, kMaxResultsBytes);
    if (!json.ok()) return json.status();
    absl::StatusOr<Results> parsed = ParseResults(*json, files.results, ValidUtf8(files.date));
    if (!parsed.ok()) return parsed.status();
    results = *std::move(parsed);
  } else {
    results.run.set_harness("lm-eval");
    results.run.set_date(ValidUtf8(files.date));
    // lm-eval names the folder after the model.
    results.run.set_model(ValidUtf8(FileName(files.folder)));
    results.run.add_warnings(
        "no results file: the reported numbers, the tasks' settings and the model's name (here the "
        "folder's) are unknown; copy results_<date>.json beside the samples");
  }
  v1::Run& run = results.run;
  run.set_path(ValidUtf8(files.results.empty() ? files.folder : files.results));

  RunFiles ordered = files;
  // Paths stay as they are, to open them by; names become proto strings.
  for (SamplesFile& samples : ordered.samples) samples.task = ValidUtf8(samples.task);
  std::map<std::string, int> place;
  for (int i = 0; i < run.tasks_size(); ++i) place[run.tasks(i).task()] = i;
  for (SamplesFile& samples : ordered.samples) {
    if (place.count(samples.task) == 0) {
      place[samples.task] = run.tasks_size();
      v1::RunTask* const task = run.add_tasks();
      task->set_task(samples.task);
      if (!files.results.empty()) {
        task->add_warnings(fmt::format("{} belongs to no task of the results file",
                                       ValidUtf8(FileName(samples.path))));
      }
    }
    v1::RunTask* const task = run.mutable_tasks(place[samples.task]);
    task->set_has_samples(true);
    struct stat info = {};
    if (stat(samples.path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && info.st_size == 0) {
      task->add_warnings(fmt::format("{} is empty", ValidUtf8(FileName(samples.path))));
    }
  }
  std::stable_sort(
      ordered.samples.begin(), ordered.samples.end(),
      [&](const SamplesFile& a, const SamplesFile& b) { return place[a.task] < place[b.task]; });
  if (!ordered.samples.empty()) {
    for (v1::RunTask& task : *run.mutable_tasks()) {
      if (task.has_samples() || task.members_size() > 0) continue;
      task.add_warnings("no samples file of this task beside the results file");
    }
  }
  for (const std::string& warning : files.warnings) run.add_warnings(ValidUtf8(warning));
  return std::make_unique<Reader>(std::move(ordered), std::move(results), options);
}

}  // namespace mirage::integrations::lm_eval
