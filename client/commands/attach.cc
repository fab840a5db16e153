#include "client/commands/attach.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/version.h"
#include "client/attach_run.h"
#include "client/exit_code.h"
#include "client/output_file.h"
#include "client/progress.h"
#include "client/render/attach_report.h"
#include "client/render/terminal_text.h"
#include "client/standard_error.h"
#include "client/terminal.h"
#include "integrations/evidence/evidence_set.h"
#include "integrations/lm_eval/discover.h"
#include "nlohmann/json.hpp"

namespace mirage::client {
namespace {

using integrations::RunReader;
using integrations::evidence::EvidenceSet;
using integrations::lm_eval::FoundRun;

// Files of evidence without a run that are named; a family's folder may hold hundreds.
constexpr size_t kNamedUnused = 5;

std::string Generator() { return fmt::format("mirage {}", kVersion); }

std::string Text(const absl::Status& status) { return SafeText(std::string(status.message())); }

// A task's name in a file's: it may not leave the folder, and no two are the same.
std::string InFileName(std::string_view task) {
  std::string out;
  for (const char c : task) {
    if (c == '/' || c == '%' || c == '\0') {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out;
}

std::string InFolder(const std::string& folder, const std::string& name) {
  return (std::filesystem::path(folder) / name).string();
}

// A document's id as lm-eval writes it: a number where the text is that of a whole number,
// which comes back the same.
nlohmann::ordered_json DocId(const std::string& text) {
  int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && stop == end && std::to_string(number) == text) return number;
  return text;
}

// Every sample's scores as JSON lines, a file a task, written while the run is read and
// put in place when it is done. Each line begins with the generator, so that the file is
// known as Mirage's by its head and has rows of one kind; a task without samples has none.
class SampleFiles {
 public:
  // Why a file could not be written; the message names it.
  using OnError = std::function<void(const absl::Status&)>;

  SampleFiles(std::string folder, std::string date, OnError on_error)
      : folder_(std::move(folder)), date_(std::move(date)), on_error_(std::move(on_error)) {}

  void Add(const v1::SampleBatch& batch, const v1::SampleScores& scores) {
    if (batch.n_samples() == 0) return;
    AtomicFile* const file = FileOf(batch.task());
    if (file == nullptr) return;
    size_t id_at = 0, hash_at = 0;
    const v1::SampleKeyColumns& keys = batch.keys();
    const auto columns = static_cast<size_t>(scores.metrics_size());
    for (int i = 0; i < static_cast<int>(batch.n_samples()); ++i) {
      const auto cell = [&](const v1::TextColumn& column, size_t& at) {
        if (i >= column.lengths_size()) return std::string();
        std::string text = column.data().substr(at, column.lengths(i));
        at += column.lengths(i);
        return text;
      };
      nlohmann::ordered_json row;
      row["generator"] = generator_;
      row["doc_id"] = DocId(cell(keys.doc_id(), id_at));
      row["doc_hash"] = cell(keys.doc_hash(), hash_at);
      row["filter"] = batch.filter();
      for (size_t m = 0; m < columns; ++m) {
        const double value = scores.values(static_cast<int>(static_cast<size_t>(i) * columns + m));
        const std::string& name = scores.metrics(static_cast<int>(m));
        if (std::isfinite(value)) {
          row[name] = value;
        } else if (std::isinf(value)) {
          row[name] = value > 0 ? "Infinity" : "-Infinity";
        }  // a NaN is a metric that this sample does not have
      }
      // Invalid UTF-8 of a log becomes U+FFFD rather than an exception.
      const absl::Status status =
          file->Append(row.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
      if (!status.ok()) return GiveUp(batch.task(), status);
    }
  }

  // Puts the files in place and calls `on_written` with the path of each that is.
  void Commit(const std::function<void(const std::string&)>& on_written) {
    for (auto& [task, file] : files_) {
      if (file == nullptr) continue;
      const absl::Status status = file->Commit();
      if (status.ok()) {
        on_written(PathOf(task));
      } else {
        on_error_(status);
      }
    }
  }

 private:
  std::string PathOf(const std::string& task) const {
    return InFolder(folder_, fmt::format("mirage_samples_{}_{}.jsonl", InFileName(task), date_));
  }

  // Null where it cannot be written, which was told.
  AtomicFile* FileOf(const std::string& task) {
    const auto found = files_.find(task);
    if (task != current_) {
      // Hundreds of tasks must not hold hundreds of descriptors.
      if (const auto last = files_.find(current_);
          last != files_.end() && last->second != nullptr) {
        if (auto status = last->second->Pause(); !status.ok()) GiveUp(current_, status);
      }
      current_ = task;
    }
    if (found != files_.end()) return found->second.get();
    std::unique_ptr<AtomicFile>& file = files_[task];
    const std::string path = PathOf(task);
    absl::Status status = CheckReplaceable(path);
    if (status.ok()) {
      auto created = AtomicFile::Create(path);
      status = created.status();
      if (created.ok()) file = *std::move(created);
    }
    if (!status.ok()) GiveUp(task, status);
    return file.get();
  }

  void GiveUp(const std::string& task, const absl::Status& status) {
    files_[task].reset();
    on_error_(status);
  }

  const std::string generator_ = Generator();
  const std::string folder_;
  const std::string date_;
  const OnError on_error_;
  std::string current_;
  // By task; null after an error.
  std::map<std::string, std::unique_ptr<AtomicFile>> files_;
};

class AttachCommand {
 public:
  AttachCommand(const AttachOptions& options, const std::shared_ptr<grpc::Channel>& channel)
      : options_(options), channel_(channel) {}

  int Run() {
    report_.set_generator(Generator());
    if (!options_.write_dir.empty() && !MakeFolder(options_.write_dir)) return exit_code_;
    if (!FindEvidence()) return exit_code_;
    for (const std::string& path : options_.paths) AttachPath(path);
    TellUnusedEvidence();
    if (report_.runs_size() > 0) Print();
    NoteWritten();
    return exit_code_;
  }

 private:
  void Fail(const std::string& message) {
    PrintError(fmt::format("mirage: {}\n", message));
    exit_code_ = kFailed;
  }

  void Note(const std::string& message) const {
    if (!options_.quiet) PrintError(fmt::format("mirage: {}\n", message));
  }

  // Makes the folder and those above it, where they are not there yet. Tells when it cannot.
  bool MakeFolder(const std::string& path) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (!error && std::filesystem::is_directory(path, error)) return true;
    if (!error) error = std::make_error_code(std::errc::not_a_directory);
    Fail(fmt::format("--write-dir {}: cannot make this folder: {}", SafeText(path),
                     error.message()));
    return false;
  }

  // Looks through what --evidence names; false where that cannot be done.
  bool FindEvidence() {
    std::vector<std::string> warnings;
    auto found = EvidenceSet::Find(options_.evidence, EvidenceLimits(), &warnings);
    for (const std::string& warning : warnings) Note(SafeText("--evidence: " + warning));
    if (!found.ok()) {
      Fail(fmt::format("--evidence: {}", Text(found.status())));
      return false;
    }
    evidence_.emplace(*std::move(found));
    for (const std::string& message : evidence_->unreadable()) {
      Fail(SafeText("--evidence: " + message));
    }
    return true;
  }

  integrations::evidence::EvidenceOptions EvidenceLimits() const {
    return {.max_row_bytes = options_.max_row_mib << 20};
  }

  void TellUnusedEvidence() const {
    const std::vector<std::string> unused = evidence_->Unused();
    for (size_t i = 0; i < std::min(unused.size(), kNamedUnused); ++i) {
      Note(fmt::format("warning: --evidence: {} belongs to none of the runs", SafeText(unused[i])));
    }
    if (unused.size() > kNamedUnused) {
      Note(fmt::format("warning: --evidence: … and {} more files that belong to none of the runs",
                       unused.size() - kNamedUnused));
    }
  }

  void AttachPath(const std::string& path) {
    std::vector<std::string> warnings;
    const auto found = integrations::lm_eval::FindRuns(path, {}, &warnings);
    for (const std::string& warning : warnings) Note(SafeText(warning));
    if (!found.ok()) {
      Fail(Text(found.status()));
      return;
    }
    for (const FoundRun& run : *found) AttachOne(run);
  }

  // Whether the run's files were read before, by another path; notes them.
  bool IsRepeated(const FoundRun& found) {
    const std::string& path = found.results.empty() ? found.samples.front().path : found.results;
    struct stat about = {};
    if (::stat(path.c_str(), &about) != 0) return false;
    const auto [first, is_new] = attached_.emplace(std::pair(about.st_dev, about.st_ino), path);
    if (is_new) return false;
    Note(fmt::format("{} was named before, as {}: it is taken once", SafeText(path),
                     SafeText(first->second)));
    return true;
  }

  void AttachOne(const FoundRun& found) {
    if (IsRepeated(found)) return;
    if (!found.results.empty()) inputs_.push_back(found.results);
    for (const auto& samples : found.samples) inputs_.push_back(samples.path);
    integrations::ReadOptions read;
    read.max_row_bytes = options_.max_row_mib << 20;
    auto reader = found.Open(read);
    if (!reader.ok()) {
      Fail(Text(reader.status()));
      return;
    }
    auto evidence = evidence_->ForRun((*reader)->run(), (*reader)->folder());
    if (!evidence.ok()) {
      Fail(Text(evidence.status()));
      return;
    }
    for (const auto& [task, path] : (*evidence)->files()) inputs_.push_back(path);
    const std::string report_path =
        InFolder(FolderOf(**reader), fmt::format("mirage_{}.json", found.date));
    const bool writes = !options_.no_write && Claim(report_path, (*reader)->run().path());
    SampleFiles sample_files(FolderOf(**reader), found.date,
                             [&](const absl::Status& status) { TellUnwritten(status); });
    AttachRunOptions attach{.level = options_.level,
                            .interval = options_.interval,
                            .seed = options_.seed,
                            .tokenizer = options_.tokenizer,
                            .evidence = evidence->get(),
                            .forget = options_.sidecar.empty()};
    if (options_.samples && writes) {
      attach.scores = [&](const v1::SampleBatch& batch, const v1::SampleScores& scores) {
        sample_files.Add(batch, scores);
        return absl::OkStatus();
      };
    }
    absl::StatusOr<v1::RunSummary> summary;
    {
      Progress progress(SafeText((*reader)->run().model()),
                        !options_.quiet && TerminalOn(STDERR_FILENO).escapes);
      attach.progress = [&](uint64_t done, uint64_t total) { progress.Update(done, total); };
      summary = AttachRun(channel_, **reader, attach);
    }
    if (!summary.ok()) {
      if (writes) claimed_.erase(report_path);
      std::string message = Text(summary.status());
      if (!options_.sidecar.empty() && absl::IsUnavailable(summary.status())) {
        message = fmt::format("the sidecar at {} went away ({}): start it again and repeat",
                              SafeText(options_.sidecar), message);
      }
      Fail(fmt::format("{}: {}", SafeText((*reader)->run().path()), message));
      return;
    }
    // The table shows what there is; the exit code says that it is not all.
    if ((*reader)->n_unreadable_files() > 0) {
      for (const integrations::RowIssue& issue : (*reader)->issues()) {
        if (issue.line == 0) Fail(SafeText(issue.message));
      }
    }
    for (const std::string& message : (*evidence)->unreadable()) Fail(SafeText(message));
    if (writes) {
      WriteReport(report_path, *summary);
      sample_files.Commit([&](const std::string& path) { CountWritten(path); });
    }
    *report_.add_runs() = *std::move(summary);
  }

  const std::string& FolderOf(const RunReader& reader) const {
    return options_.write_dir.empty() ? reader.folder() : options_.write_dir;
  }

  // Whether a run's files can be written: those of two runs of one date would have the same
  // names. Tells when not.
  bool Claim(const std::string& report_path, const std::string& run) {
    if (claimed_.insert(report_path).second) return true;
    Fail(
        fmt::format("{} is that of another run of the same date: nothing is written for {}; "
                    "attach them one by one, each with a --write-dir of its own",
                    SafeText(report_path), SafeText(run)));
    return false;
  }

  void WriteReport(const std::string& path, const v1::RunSummary& summary) {
    v1::AttachReport one;
    one.set_generator(Generator());
    *one.add_runs() = summary;
    const auto json = ReportJson(one);
    if (!json.ok()) {
      Fail(Text(json.status()));
      return;
    }
    if (auto status = WriteDerived(path, *json); !status.ok()) return TellUnwritten(status);
    CountWritten(path);
  }

  void CountWritten(const std::string& path) {
    if (++n_written_ == 1) first_written_ = path;
  }

  // A default place that cannot be written costs a warning, a chosen one the command.
  void TellUnwritten(const absl::Status& status) {
    if (options_.write_dir.empty()) {
      Note(fmt::format("warning: {}", Text(status)));
    } else {
      Fail(Text(status));
    }
  }

  // The warnings of every run: a CSV has no place for them.
  void NoteWarnings() const {
    for (const v1::RunSummary& run : report_.runs()) {
      ForEachWarning(run, [&](const std::string& warning) {
        Note(fmt::format("warning: {}: {}", SafeText(run.path()), SafeText(warning)));
      });
    }
  }

  // What lies beside the runs now, that was not asked for by name.
  void NoteWritten() const {
    if (n_written_ == 0) return;
    Note(n_written_ == 1 ? fmt::format("wrote {}", SafeText(first_written_))
                         : fmt::format("wrote {} files, the first is {}", n_written_,
                                       SafeText(first_written_)));
  }

  void Print() {
    const Terminal terminal = options_.output.empty() ? TerminalOn(STDOUT_FILENO) : Terminal();
    const TableOptions table{
        .color = terminal.color, .all_metrics = options_.all_metrics, .width = terminal.width};
    std::string text;
    if (options_.output_format == "json") {
      auto json = ReportJson(report_);
      if (!json.ok()) {
        Fail(Text(json.status()));
        return;
      }
      text = *std::move(json);
    } else if (options_.output_format == "markdown") {
      text = AttachMarkdown(report_, table);
    } else if (options_.output_format == "csv") {
      text = AttachCsv(report_);
      NoteWarnings();
    } else {
      text = AttachTable(report_, table);
    }
    // What was read is never written over, by whatever name.
    std::error_code error;
    for (const std::string& input : inputs_) {
      if (!options_.output.empty() && std::filesystem::equivalent(input, options_.output, error)) {
        Fail(fmt::format("-o {} is a file that was read: choose another name",
                         SafeText(options_.output)));
        return;
      }
    }
    if (auto status = WriteAnswer(options_.output, text); !status.ok()) Fail(Text(status));
  }

  const AttachOptions& options_;
  const std::shared_ptr<grpc::Channel>& channel_;
  v1::AttachReport report_;
  std::optional<EvidenceSet> evidence_;
  int exit_code_ = kDone;
  // Files that the runs were read from.
  std::vector<std::string> inputs_;
  // Derived files that are in place.
  uint64_t n_written_ = 0;
  std::string first_written_;
  // The reports of the runs whose files this call writes.
  std::set<std::string> claimed_;
  // Device and inode of what stands for a run, and the path it was read by.
  std::map<std::pair<dev_t, ino_t>, std::string> attached_;
};

}  // namespace

int RunAttach(const AttachOptions& options, const std::shared_ptr<grpc::Channel>& channel) {
  return AttachCommand(options, channel).Run();
}

}  // namespace mirage::client
