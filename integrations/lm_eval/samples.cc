#include "integrations/lm_eval/samples.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "integrations/lm_eval/parallel_parser.h"
#include "integrations/lm_eval/results.h"
#include "integrations/lm_eval/row_parser.h"
#include "integrations/lm_eval/row_source.h"
#include "integrations/lm_eval/task_hash.h"
#include "integrations/utf8.h"

namespace mirage::integrations::lm_eval {
namespace {

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

  // Up to `size` bytes of its start; reading goes on where it was. Fewer where it is
  // shorter or cannot be read, which `Read` tells.
  std::string Head(size_t size) const {
    std::string head(size, '\0');
    const ssize_t n = pread(file_, head.data(), size, 0);
    head.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return head;
  }

  uint64_t Size() const {
    struct stat info = {};
    return fstat(file_, &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
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

// What a file is that starts so and holds no rows, and the remedy; empty for any other.
std::string OtherFormat(std::string_view head) {
  struct Format {
    std::string_view start;
    const char* what;
  };
  static constexpr Format kFormats[] = {
      {"\x1F\x8B", "is compressed with gzip: unpack it to a file of this name (gzip -dc)"},
      {"\x28\xB5\x2F\xFD", "is compressed with zstd: unpack it to a file of this name (zstd -dc)"},
      {"\xFF\xFE", "is UTF-16 text: rewrite it as UTF-8 (iconv -f UTF-16 -t UTF-8)"},
      {"\xFE\xFF", "is UTF-16 text: rewrite it as UTF-8 (iconv -f UTF-16 -t UTF-8)"},
  };
  for (const Format& format : kFormats) {
    if (head.substr(0, format.start.size()) == format.start) return format.what;
  }
  return "";
}

std::string FileName(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

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
      if (chunk_ != nullptr && next_batch_ < chunk_->n_batches) {
        ParsedChunk::Batch& next = chunk_->batches[next_batch_++];
        // The caller's columns go back to be filled again.
        batch->Swap(&next.batch);
        origin->file = path();
        origin->lines.swap(next.lines);
        return true;
      }
      if (NextChunk()) continue;
      if (OpenNext()) continue;
      batch->Clear();
      origin->file.clear();
      origin->lines.clear();
      return false;
    }
  }

  const std::vector<RowIssue>& issues() const override { return issues_; }

  std::vector<IssueCount> issue_counts() const override {
    std::vector<IssueCount> counts;
    counts.reserve(n_issues_.size());
    for (const auto& [key, n] : n_issues_) counts.push_back({key.first, key.second, n.all});
    return counts;
  }

  const std::vector<TaskNote>& notes() const override { return notes_; }

  uint64_t n_unreadable_files() const override { return n_unreadable_files_; }

  uint64_t bytes_read() const override { return bytes_done_ + bytes_in_file_; }

  uint64_t bytes_total() const override { return bytes_total_; }

  const std::string& folder() const override { return files_.folder; }

 private:
  const std::string& path() const { return files_.samples[next_file_ - 1].path; }
  const std::string& task() const { return files_.samples[next_file_ - 1].task; }

  // Opens the next samples file; false when there is none.
  bool OpenNext() {
    while (next_file_ < files_.samples.size()) {
      ++next_file_;
      first_issue_ = issues_.size();
      is_unreadable_ = false;
      const absl::Status status = file_.Open(path());
      if (!status.ok()) {
        AddUnreadable(std::string(status.message()) + "; its samples are missing", 1);
        continue;
      }
      if (const std::string other = OtherFormat(file_.Head(4)); !other.empty()) {
        AddUnreadable(fmt::format("{} {}; its samples are missing", path(), other), 1);
        bytes_done_ += file_.Size();
        continue;
      }
      TaskConfig config;
      const auto found = results_.tasks.find(task());
      if (found != results_.tasks.end()) config = found->second;
      config.task = task();
      task_hash_.reset();
      if (!StatedHash().empty()) task_hash_ = std::make_unique<TaskHash>();
      has_task_issues_ = false;
      n_rows_ = 0;
      n_samples_ = 0;
      source_ = std::make_unique<RowSource>(
          [this](char* data, size_t size) { return file_.Read(data, size); },
          options_.max_row_bytes);
      parser_ = std::make_unique<ParallelParser>(
          source_.get(), std::make_unique<RowParser>(std::move(config), options_), options_);
      return true;
    }
    return false;
  }

  // The next rows of the file that is open; false when there are none.
  bool NextChunk() {
    if (parser_ == nullptr) return false;
    if (!parser_->Next(&chunk_)) {
      CloseCurrent();
      return false;
    }
    next_batch_ = 0;
    bytes_in_file_ = chunk_->bytes_consumed;
    for (ParsedChunk::Issue& issue : chunk_->issues) {
      KeepIssue(issue.filter, issue.line, std::move(issue.message));
    }
    for (const auto& [filter, n] : chunk_->n_issues) n_issues_[{task(), filter}].all += n;
    has_task_issues_ |= !chunk_->n_issues.empty();
    n_rows_ += chunk_->n_rows;
    for (size_t b = 0; b < chunk_->n_batches; ++b) n_samples_ += chunk_->batches[b].lines.size();
    if (!chunk_->filter_doubt.empty()) {
      notes_.push_back(
          {task(), fmt::format("{}: {}", ValidUtf8(FileName(path())), chunk_->filter_doubt)});
    }
    if (!chunk_->has_hashes) task_hash_.reset();
    if (task_hash_ != nullptr) task_hash_->Add(chunk_->hashes);
    if (!chunk_->status.ok()) {
      AddUnreadable(std::string(chunk_->status.message()) + "; the rest of it is missing", 1);
    }
    return true;
  }

  void CloseCurrent() {
    if (n_samples_ == 0 && n_rows_ > 0 && !is_unreadable_) {
      AddUnreadable(
          fmt::format("no row of {} can be read (rows: {}): is it a whole samples file of "
                      "lm-eval? copy it again, or evaluate again with --log_samples",
                      path(), n_rows_),
          0);
    }
    // Rows that were lost say so themselves, those that are missing are counted by the
    // summary; either gives another hash for sure.
    const bool is_whole = !has_task_issues_ && n_rows_ >= StatedRows();
    if (task_hash_ != nullptr && is_whole && task_hash_->Finish() != StatedHash()) {
      notes_.push_back(
          {task(), fmt::format("the hashes of the rows of {} do not give the task hash of the "
                               "results file: the samples were changed, or are of another run than "
                               "the results",
                               ValidUtf8(FileName(path())))});
    }
    bytes_done_ += bytes_in_file_;
    bytes_in_file_ = 0;
    parser_.reset();
    source_.reset();
    file_.Close();
  }

  // What the results file says of this task; null when nothing.
  const v1::RunTask* About() const {
    for (const v1::RunTask& about : results_.run.tasks()) {
      if (about.task() == task()) return &about;
    }
    return nullptr;
  }

  // What the rows' hashes should give; empty where it is not known.
  std::string_view StatedHash() const {
    const v1::RunTask* const about = About();
    return about == nullptr ? std::string_view() : std::string_view(about->task_hash());
  }

  // Rows of one filter.
  uint64_t StatedRows() const {
    const v1::RunTask* const about = About();
    return about == nullptr ? 0 : about->n_samples_effective();
  }

  // Of the current file. `n_uncounted` is by how much the count of its rows that cannot be
  // read grows. Its rows' messages never crowd this one out.
  void AddUnreadable(std::string message, uint64_t n_uncounted) {
    ++n_unreadable_files_;
    is_unreadable_ = true;
    n_issues_[{task(), ""}].all += n_uncounted;
    has_task_issues_ = true;
    issues_.insert(issues_.begin() + static_cast<ptrdiff_t>(first_issue_),
                   {task(), "", path(), 0, std::move(message)});
  }

  void KeepIssue(const std::string& filter, uint64_t line, std::string message) {
    uint64_t& kept = n_issues_[{task(), filter}].kept;
    if (kept == kKeptIssues) return;
    ++kept;
    issues_.push_back({task(), filter, path(), line, std::move(message)});
  }

  const RunFiles files_;
  const Results results_;
  const ReadOptions options_;

  // One past the samples file that is being read.
  size_t next_file_ = 0;
  File file_;
  std::unique_ptr<RowSource> source_;
  // Reads from `source_`, so is destroyed first.
  std::unique_ptr<ParallelParser> parser_;
  std::unique_ptr<ParsedChunk> chunk_;
  size_t next_batch_ = 0;
  // Null where there is nothing to compare with.
  std::unique_ptr<TaskHash> task_hash_;
  // Of the file that is being read.
  bool has_task_issues_ = false;
  bool is_unreadable_ = false;
  uint64_t n_rows_ = 0;
  uint64_t n_samples_ = 0;
  // Where its issues start.
  size_t first_issue_ = 0;

  // Bytes read of the files before, and of this one.
  uint64_t bytes_done_ = 0;
  uint64_t bytes_in_file_ = 0;
  uint64_t bytes_total_ = 0;
  std::vector<RowIssue> issues_;
  struct Counts {
    uint64_t all = 0;
    uint64_t kept = 0;
  };
  // By task and filter.
  std::map<std::pair<std::string, std::string>, Counts> n_issues_;
  std::vector<TaskNote> notes_;
  uint64_t n_unreadable_files_ = 0;
};

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
