#include "client/commands/attach.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "client/attach_run.h"
#include "client/exit_code.h"
#include "client/output_file.h"
#include "client/progress.h"
#include "client/render/attach_report.h"
#include "client/render/terminal_text.h"
#include "client/standard_error.h"
#include "integrations/lm_eval/discover.h"
#include "nlohmann/json.hpp"
#include "version/version.h"

namespace mirage::client {
namespace {

using integrations::RunReader;
using integrations::lm_eval::FoundRun;

std::string Generator() { return fmt::format("mirage {}", kVersion); }

std::string Text(const absl::Status& status) { return SafeText(std::string(status.message())); }

// Writes each task's per-sample scores as JSON lines, gathered per task and written
// when the run is done.
class SampleFiles {
 public:
  absl::Status Add(const v1::SampleBatch& batch, const v1::SampleScores& scores) {
    std::string& out = content_[batch.task()];
    if (out.empty()) {
      out = nlohmann::json{{"generator", Generator()}, {"task", batch.task()}}.dump() + "\n";
    }
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
      row["doc_id"] = cell(keys.doc_id(), id_at);
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
      out += row.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    }
    return absl::OkStatus();
  }

  const std::map<std::string, std::string>& content() const { return content_; }

 private:
  std::map<std::string, std::string> content_;
};

class AttachCommand {
 public:
  AttachCommand(const AttachOptions& options, const std::shared_ptr<grpc::Channel>& channel)
      : options_(options), channel_(channel) {}

  int Run() {
    report_.set_generator(Generator());
    for (const std::string& path : options_.paths) AttachPath(path);
    if (report_.runs_size() > 0) Print();
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

  void AttachOne(const FoundRun& found) {
    if (!found.results.empty()) inputs_.push_back(found.results);
    for (const auto& samples : found.samples) inputs_.push_back(samples.path);
    integrations::ReadOptions read;
    read.max_row_bytes = options_.max_row_mib << 20;
    auto reader = found.Open(read);
    if (!reader.ok()) {
      Fail(Text(reader.status()));
      return;
    }
    SampleFiles sample_files;
    AttachRunOptions attach{.level = options_.level,
                            .seed = options_.seed,
                            .tokenizer = options_.tokenizer,
                            .forget = options_.embedded};
    if (options_.samples && !options_.no_write) {
      attach.scores = [&](const v1::SampleBatch& batch, const v1::SampleScores& scores) {
        return sample_files.Add(batch, scores);
      };
    }
    absl::StatusOr<v1::RunSummary> summary;
    {
      Progress progress(SafeText((*reader)->run().model()),
                        !options_.quiet && ::isatty(STDERR_FILENO) == 1);
      attach.progress = [&](uint64_t done, uint64_t total) { progress.Update(done, total); };
      summary = AttachRun(channel_, **reader, attach);
    }
    if (!summary.ok()) {
      Fail(fmt::format("{}: {}", SafeText((*reader)->run().path()), Text(summary.status())));
      return;
    }
    if (!options_.no_write) WriteDerivedFiles(**reader, found.date, *summary, sample_files);
    *report_.add_runs() = *std::move(summary);
  }

  void WriteDerivedFiles(const RunReader& reader, const std::string& date,
                         const v1::RunSummary& summary, const SampleFiles& sample_files) {
    const std::string folder = options_.write_dir.empty() ? reader.folder() : options_.write_dir;
    v1::AttachReport one;
    one.set_generator(Generator());
    *one.add_runs() = summary;
    const auto json = ReportJson(one);
    if (!json.ok()) {
      Fail(Text(json.status()));
      return;
    }
    Write(fmt::format("{}/mirage_{}.json", folder, date), *json);
    for (const auto& [task, content] : sample_files.content()) {
      std::string name = task;
      // A task name is the harness's; in a file name it may not leave the folder.
      for (char& c : name) {
        if (c == '/' || c == '\0') c = '_';
      }
      Write(fmt::format("{}/mirage_samples_{}_{}.jsonl", folder, name, date), content);
    }
  }

  // A default place that cannot be written costs a warning, a chosen one the command.
  void Write(const std::string& path, std::string_view content) {
    if (!written_.insert(path).second) {
      Fail(
          fmt::format("{} was just written for another run of the same date: attach them one by "
                      "one, each with a --write-dir of its own",
                      SafeText(path)));
      return;
    }
    const absl::Status status = WriteDerived(path, content);
    if (status.ok()) return;
    if (options_.write_dir.empty()) {
      Note(fmt::format("warning: {}", Text(status)));
    } else {
      Fail(Text(status));
    }
  }

  void Print() {
    const bool to_terminal = options_.output.empty() && ::isatty(STDOUT_FILENO) == 1;
    const TableOptions table{.color = to_terminal && std::getenv("NO_COLOR") == nullptr,
                             .all_metrics = options_.all_metrics};
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
    } else {
      text = AttachTable(report_, table);
    }
    if (options_.output.empty()) {
      if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
          std::fflush(stdout) != 0) {
        Fail("cannot write to standard output");
      }
      return;
    }
    // What was read is never written over, by whatever name.
    std::error_code error;
    for (const std::string& input : inputs_) {
      if (std::filesystem::equivalent(input, options_.output, error)) {
        Fail(fmt::format("-o {} is a file that was read: choose another name",
                         SafeText(options_.output)));
        return;
      }
    }
    if (auto status = WriteOutput(options_.output, text); !status.ok()) Fail(Text(status));
  }

  const AttachOptions& options_;
  const std::shared_ptr<grpc::Channel>& channel_;
  v1::AttachReport report_;
  int exit_code_ = kDone;
  // Files that the runs were read from.
  std::vector<std::string> inputs_;
  // Files written by this call.
  std::set<std::string> written_;
};

}  // namespace

int RunAttach(const AttachOptions& options, const std::shared_ptr<grpc::Channel>& channel) {
  return AttachCommand(options, channel).Run();
}

}  // namespace mirage::client
