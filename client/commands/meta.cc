#include "client/commands/meta.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/status/statusor.h"
#include "base/version.h"
#include "client/commands/series_messages.h"
#include "client/exit_code.h"
#include "client/grpc_status.h"
#include "client/output_file.h"
#include "client/progress.h"
#include "client/render/attach_report.h"
#include "client/render/meta_plot.h"
#include "client/render/meta_report.h"
#include "client/render/terminal_text.h"
#include "client/standard_error.h"
#include "client/tables/metric_properties.h"
#include "client/tables/series_table.h"
#include "client/terminal.h"
#include "mirage/v1/emergence.grpc.pb.h"

namespace mirage::client {
namespace {

constexpr size_t kMaxMessage = 1'000'000;
constexpr int kShownWarnings = 20;

std::string Text(const absl::Status& status) { return SafeText(std::string(status.message())); }

// Also of files that are not there yet.
bool IsSameFile(const std::string& a, const std::string& b) {
  std::error_code error;
  if (std::filesystem::equivalent(a, b, error)) return true;
  // Of a relative name nothing of which exists the canonical form stays relative.
  const auto whole = [&](const std::string& path) {
    return std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
  };
  const auto whole_a = whole(a);
  return !error && whole_a == whole(b) && !error;
}

int Fail(const std::string& message, int code) {
  PrintError(fmt::format("mirage: {}\n", message));
  return code;
}

// Whether the sidecar refused what flags say, rather than what files do.
bool IsUsage(const absl::Status& status) {
  const std::string_view message(status.message().data(), status.message().size());
  return absl::IsInvalidArgument(status) && message.starts_with("options.") &&
         !message.starts_with("options.metric_properties");
}

class MetaCommand {
 public:
  MetaCommand(const MetaOptions& options, const std::shared_ptr<grpc::Channel>& channel)
      : options_(options), channel_(channel) {}

  int Run() {
    if (const auto status = CheckMetaOptions(options_); !status.ok()) {
      return Fail(Text(status), kUsage);
    }
    if (const auto status = Read(); !status.ok()) return Fail(Text(status), kFailed);
    if (const auto status = Ask(); !status.ok()) {
      return Fail(Explained(status), IsUsage(status) ? kUsage : kFailed);
    }
    NoteWarnings();
    return Write();
  }

 private:
  void Note(const std::string& message) const {
    if (!options_.quiet) PrintError(fmt::format("mirage: {}\n", message));
  }

  absl::Status Read() {
    std::vector<std::string> paths;
    for (const std::string& path : options_.series) {
      if (std::any_of(paths.begin(), paths.end(),
                      [&](const std::string& other) { return IsSameFile(path, other); })) {
        Note(fmt::format("{} was named before: it is read once", SafeText(path)));
      } else {
        paths.push_back(path);
      }
    }
    auto table = ReadSeries(paths);
    if (!table.ok()) return table.status();
    series_ = std::move(table->series);
    warnings_ = std::move(table->warnings);
    if (options_.metric_properties.empty()) return absl::OkStatus();
    auto properties = ReadMetricProperties(options_.metric_properties);
    if (!properties.ok()) return properties.status();
    properties_ = *std::move(properties);
    return absl::OkStatus();
  }

  absl::Status Ask() {
    v1::AnalyzeMetaRequest first;
    v1::MetaOptions& request = *first.mutable_options();
    request.set_fdr(options_.fdr);
    request.set_level(options_.level);
    request.set_seed(options_.seed);
    request.set_any_dependence(options_.correction == "by");
    for (const std::string& metric : options_.metrics) request.add_metrics(metric);
    for (const v1::MetricProperties& one : properties_) *request.add_metric_properties() = one;
    Progress progress("analysing", !options_.quiet && TerminalOn(STDERR_FILENO).escapes,
                      Progress::Clock::now, "series");
    const auto stub = v1::EmergenceService::NewStub(channel_);
    grpc::ClientContext context;
    const auto stream = stub->AnalyzeMeta(&context);
    std::thread sender([&] {
      // Where it ends early the status says why.
      if (!stream->Write(first)) return;
      for (v1::Series& one : series_) {
        if (!SendSeries<v1::AnalyzeMetaRequest>(one, kMaxMessage, *stream)) return;
      }
      stream->WritesDone();
    });
    v1::AnalyzeMetaResponse response;
    v1::MetaAnalysis triplets;
    while (stream->Read(&response)) {
      switch (response.part_case()) {
        case v1::AnalyzeMetaResponse::kProgress:
          progress.Update(response.progress().n_done(), response.progress().n_series());
          break;
        case v1::AnalyzeMetaResponse::kWarning:
          warnings_.push_back(response.warning());
          break;
        case v1::AnalyzeMetaResponse::kTriplet:
          triplets.add_triplets()->Swap(response.mutable_triplet());
          break;
        case v1::AnalyzeMetaResponse::kSummary:
          analysis_.Swap(response.mutable_summary());
          break;
        case v1::AnalyzeMetaResponse::PART_NOT_SET:
          break;
      }
    }
    sender.join();
    analysis_.mutable_triplets()->Swap(triplets.mutable_triplets());
    for (const std::string& warning : warnings_) analysis_.add_warnings(warning);
    analysis_.set_generator(fmt::format("mirage {}", kVersion));
    return FromGrpc(stream->Finish());
  }

  std::string Explained(const absl::Status& status) const {
    if (options_.sidecar.empty()) return Text(status);
    const std::string sidecar = SafeText(options_.sidecar);
    if (absl::IsUnavailable(status)) {
      return fmt::format("the sidecar at {} went away ({}): start it again and repeat", sidecar,
                         Text(status));
    }
    if (absl::IsUnimplemented(status)) {
      return fmt::format("the sidecar at {} makes no meta-analysis: start one of version {}",
                         sidecar, kVersion);
    }
    return Text(status);
  }

  void NoteWarnings() const {
    const int shown = std::min(analysis_.warnings_size(), kShownWarnings);
    for (int i = 0; i < shown; ++i) {
      Note(fmt::format("warning: {}", SafeText(analysis_.warnings(i))));
    }
    if (shown < analysis_.warnings_size()) {
      Note(fmt::format("warning: … and {} more; --output-format json has them all",
                       analysis_.warnings_size() - shown));
    }
  }

  absl::StatusOr<std::string> Answer() const {
    if (options_.output_format == "json") return ReportJson(analysis_);
    if (options_.output_format == "markdown") return MetaMarkdown(analysis_);
    if (options_.output_format == "csv") return MetaCsv(analysis_);
    return MetaTable(analysis_);
  }

  int Write() const {
    const absl::StatusOr<std::string> text = Answer();
    if (!text.ok()) return Fail(Text(text.status()), kFailed);
    int code = kDone;
    const auto write = [&](const std::string& path, const std::string& content) {
      const absl::Status status = WriteAnswer(path, content);
      if (!status.ok()) code = Fail(Text(status), kFailed);
    };
    write(options_.output, *text);
    if (!options_.plot.empty()) write(options_.plot, MetaPlotSvg(analysis_));
    return code;
  }

  const MetaOptions& options_;
  const std::shared_ptr<grpc::Channel>& channel_;
  std::vector<v1::Series> series_;
  std::vector<v1::MetricProperties> properties_;
  std::vector<std::string> warnings_;
  v1::MetaAnalysis analysis_;
};

}  // namespace

absl::Status CheckMetaOptions(const MetaOptions& options) {
  if (!options.runs.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("{}: meta does not read runs yet: put their numbers into a table (--series "
                    "FILE)",
                    options.runs.front()));
  }
  if (options.series.empty()) {
    return absl::InvalidArgumentError(
        "nothing to analyse: name a table of numbers (--series FILE)");
  }
  if (!options.plot.empty() && !std::string_view(options.plot).ends_with(".svg")) {
    return absl::InvalidArgumentError(
        fmt::format("--plot {}: the name must end in .svg", options.plot));
  }
  if (!options.plot.empty() && !options.output.empty() &&
      IsSameFile(options.plot, options.output)) {
    return absl::InvalidArgumentError(
        fmt::format("--plot {} is the file of -o: choose another name", options.plot));
  }
  std::vector<std::string> inputs = options.series;
  if (!options.metric_properties.empty()) inputs.push_back(options.metric_properties);
  for (const std::string& input : inputs) {
    for (const auto& [flag, path] :
         {std::pair("-o", options.output), std::pair("--plot", options.plot)}) {
      if (!path.empty() && IsSameFile(input, path)) {
        return absl::InvalidArgumentError(
            fmt::format("{} {} is a file that is read: choose another name", flag, path));
      }
    }
  }
  return absl::OkStatus();
}

int RunMeta(const MetaOptions& options, const std::shared_ptr<grpc::Channel>& channel) {
  return MetaCommand(options, channel).Run();
}

}  // namespace mirage::client
