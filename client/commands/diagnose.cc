#include "client/commands/diagnose.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/status/statusor.h"
#include "base/near_names.h"
#include "base/version.h"
#include "client/commands/series_messages.h"
#include "client/exit_code.h"
#include "client/family_runs.h"
#include "client/grpc_status.h"
#include "client/output_file.h"
#include "client/progress.h"
#include "client/render/attach_report.h"
#include "client/render/curve_plot.h"
#include "client/render/diagnose_report.h"
#include "client/render/terminal_text.h"
#include "client/standard_error.h"
#include "client/tables/metric_properties.h"
#include "client/tables/series_table.h"
#include "client/terminal.h"
#include "mirage/v1/emergence.grpc.pb.h"

namespace mirage::client {
namespace {

constexpr std::string_view kSvg = ".svg";

std::string Text(const absl::Status& status) { return SafeText(std::string(status.message())); }

// Also of files that are not there yet.
bool IsSameFile(const std::string& a, const std::string& b) {
  std::error_code error;
  if (std::filesystem::equivalent(a, b, error)) return true;
  const auto whole = std::filesystem::weakly_canonical(a, error);
  return !error && whole == std::filesystem::weakly_canonical(b, error) && !error;
}

// Whether the sidecar refused what flags say, rather than what files do.
bool IsUsage(const absl::Status& status) {
  const std::string_view message(status.message().data(), status.message().size());
  return absl::IsInvalidArgument(status) && message.starts_with("options.") &&
         !message.starts_with("options.metric_properties");
}

// Sends options and series, and receives the answers meanwhile: a sidecar that warns early must
// not find nobody listening, or both would wait.
class Exchange {
 public:
  explicit Exchange(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(v1::EmergenceService::NewStub(channel)) {}

  // Calls `receive` with each answer. Takes the points out of `series`.
  absl::Status Run(const v1::DiagnoseOptions& options, const std::vector<v1::FamilyRun>& runs,
                   std::vector<v1::Series>& series,
                   const std::function<void(v1::DiagnoseSeriesResponse&)>& receive) {
    grpc::ClientContext context;
    const auto stream = stub_->DiagnoseSeries(&context);
    std::thread sender([&] {
      // Where it ends early the status says why.
      if (SendAll(options, runs, series, *stream)) stream->WritesDone();
    });
    v1::DiagnoseSeriesResponse response;
    while (stream->Read(&response)) receive(response);
    sender.join();
    return FromGrpc(stream->Finish());
  }

 private:
  using Stream = grpc::ClientReaderWriter<v1::DiagnoseSeriesRequest, v1::DiagnoseSeriesResponse>;

  static bool SendAll(const v1::DiagnoseOptions& options, const std::vector<v1::FamilyRun>& runs,
                      std::vector<v1::Series>& series, Stream& stream) {
    v1::DiagnoseSeriesRequest request;
    *request.mutable_options() = options;
    if (!stream.Write(request)) return false;
    for (const v1::FamilyRun& run : runs) {
      *request.mutable_run() = run;
      if (!stream.Write(request)) return false;
    }
    for (v1::Series& one : series) {
      if (!SendSeries<v1::DiagnoseSeriesRequest>(one, kMaxSeriesMessage, stream)) return false;
    }
    return true;
  }

  const std::unique_ptr<v1::EmergenceService::Stub> stub_;
};

class DiagnoseCommand {
 public:
  DiagnoseCommand(const DiagnoseOptions& options, const std::shared_ptr<grpc::Channel>& channel)
      : options_(options), channel_(channel) {}

  int Run() {
    if (const auto status = CheckDiagnoseOptions(options_); !status.ok()) {
      return Fail(Text(status), kUsage);
    }
    report_.set_generator(fmt::format("mirage {}", kVersion));
    if (const auto status = Read(); !status.ok()) return Fail(Text(status), kFailed);
    if (const auto status = SendRuns(); !status.ok()) return Fail(Explained(status), kFailed);
    if (const auto status = Ask(); !status.ok()) {
      return Fail(Explained(status), IsUsage(status) ? kUsage : kFailed);
    }
    if (report_.diagnoses().empty() && !options_.metrics.empty()) {
      if (const auto unknown = UnknownMetric(); unknown.has_value()) return Fail(*unknown, kUsage);
    }
    NoteWarnings();
    const int code = Write();
    return code == kDone && has_failures_ ? kFailed : code;
  }

 private:
  static int Fail(const std::string& message, int code) {
    PrintError(fmt::format("mirage: {}\n", message));
    return code;
  }

  void Note(const std::string& message) const {
    if (!options_.quiet) PrintError(fmt::format("mirage: {}\n", message));
  }

  absl::Status SendRuns() {
    if (options_.runs.empty()) return absl::OkStatus();
    FamilyRunsOptions options;
    options.paths = options_.runs;
    options.scales = options_.scales;
    options.evidence = options_.evidence;
    options.tokenizer = options_.tokenizer;
    Progress progress("reading", !options_.quiet && TerminalOn(STDERR_FILENO).escapes);
    options.progress = [&](uint64_t done, uint64_t total) { progress.Update(done, total); };
    auto sent = SendFamilyRuns(channel_, options);
    if (!sent.ok()) return sent.status();
    for (const std::string& failure : sent->failures) Fail(SafeText(failure), kFailed);
    has_failures_ = !sent->failures.empty();
    for (std::string& warning : sent->warnings) report_.add_warnings(std::move(warning));
    runs_ = std::move(sent->runs);
    inputs_ = std::move(sent->inputs);
    return absl::OkStatus();
  }

  absl::Status Read() {
    if (options_.series.empty()) return ReadProperties();
    std::vector<std::string> paths;
    for (const std::string& path : options_.series) {
      const bool is_repeated =
          std::any_of(paths.begin(), paths.end(),
                      [&](const std::string& other) { return IsSameFile(path, other); });
      if (is_repeated) {
        Note(fmt::format("{} was named before: it is read once", SafeText(path)));
      } else {
        paths.push_back(path);
      }
    }
    auto table = ReadSeries(paths);
    if (!table.ok()) return table.status();
    series_ = std::move(table->series);
    for (std::string& warning : table->warnings) report_.add_warnings(std::move(warning));
    for (const v1::Series& series : series_) metrics_.push_back(series.metric());
    return ReadProperties();
  }

  absl::Status ReadProperties() {
    if (options_.metric_properties.empty()) return absl::OkStatus();
    auto properties = ReadMetricProperties(options_.metric_properties);
    if (!properties.ok()) return properties.status();
    properties_ = *std::move(properties);
    return absl::OkStatus();
  }

  absl::Status Ask() {
    v1::DiagnoseOptions request;
    request.set_x_axis(options_.x_axis);
    request.set_hold_out(options_.hold_out);
    for (const double at : options_.predict_at) request.add_predict_at(at);
    for (const double value : options_.reach) request.add_reach(value);
    request.set_fdr(options_.fdr);
    request.set_level(options_.level);
    request.set_seed(options_.seed);
    for (const std::string& metric : options_.metrics) request.add_metrics(metric);
    for (const v1::MetricProperties& one : properties_) *request.add_metric_properties() = one;
    for (const std::string& companion : options_.companions) {
      v1::Companion* const both = request.add_companions();
      const size_t sign = companion.find('=');
      both->set_task(companion.substr(0, sign));
      both->set_companion(companion.substr(sign + 1));
    }
    Progress progress("diagnosing", !options_.quiet && TerminalOn(STDERR_FILENO).escapes,
                      Progress::Clock::now, "series");
    return Exchange(channel_).Run(
        request, runs_, series_, [&](v1::DiagnoseSeriesResponse& response) {
          if (response.has_diagnosis()) {
            report_.add_diagnoses()->Swap(response.mutable_diagnosis());
          } else if (response.has_progress()) {
            progress.Update(response.progress().n_done(), response.progress().n_series());
          } else if (response.part_case() == v1::DiagnoseSeriesResponse::kWarning) {
            report_.add_warnings(response.warning());
          }
        });
  }

  std::string Explained(const absl::Status& status) const {
    if (options_.sidecar.empty()) return Text(status);
    const std::string sidecar = SafeText(options_.sidecar);
    if (absl::IsUnavailable(status)) {
      return fmt::format("the sidecar at {} went away ({}): start it again and repeat", sidecar,
                         Text(status));
    }
    if (absl::IsUnimplemented(status)) {
      return fmt::format("the sidecar at {} does not diagnose: start one of version {}", sidecar,
                         kVersion);
    }
    return Text(status);
  }

  // Why nothing was diagnosed, where that is a name that no series has.
  std::optional<std::string> UnknownMetric() const {
    for (const std::string& metric : options_.metrics) {
      if (std::find(metrics_.begin(), metrics_.end(), metric) != metrics_.end()) continue;
      const std::vector<std::string_view> names(metrics_.begin(), metrics_.end());
      const auto near = NearNames(metric, names);
      return fmt::format(
          "--metric {}: no series has it{}", SafeText(metric),
          near.empty() ? "" : SafeText(fmt::format("; did you mean {}?", fmt::join(near, ", "))));
    }
    return std::nullopt;
  }

  // On a terminal the table has them all already.
  bool IsTableOnTerminal() const {
    return options_.output_format == "table" && options_.output.empty() &&
           TerminalOn(STDOUT_FILENO).escapes;
  }

  void NoteWarnings() const {
    if (IsTableOnTerminal()) return;
    const int shown = std::min(report_.warnings_size(), kShownWarnings);
    for (int i = 0; i < shown; ++i) {
      Note(fmt::format("warning: {}", SafeText(report_.warnings(i))));
    }
    if (shown < report_.warnings_size()) {
      Note(fmt::format("warning: … and {} more; --output-format json has them all",
                       report_.warnings_size() - shown));
    }
  }

  // Whether a run was read from it, by whatever name.
  bool IsInput(const std::string& path) const {
    std::error_code error;
    return std::any_of(inputs_.begin(), inputs_.end(), [&](const std::string& input) {
      return std::filesystem::equivalent(input, path, error);
    });
  }

  absl::StatusOr<std::string> Answer(const Terminal& terminal) const {
    if (options_.output_format == "json") return ReportJson(report_);
    if (options_.output_format == "markdown") return DiagnoseMarkdown(report_);
    if (options_.output_format == "csv") return DiagnoseCsv(report_);
    return DiagnoseTable(report_, {.color = terminal.color, .width = terminal.width});
  }

  int Write() const {
    const Terminal screen = TerminalOn(STDOUT_FILENO);
    absl::StatusOr<std::string> text = Answer(options_.output.empty() ? screen : Terminal());
    if (!text.ok()) return Fail(Text(text.status()), kFailed);
    const std::string drawing =
        options_.plot == "-"
            ? CurvePlotText(report_, {.color = screen.color, .width = screen.width})
            : std::string();
    if (options_.output.empty() && !drawing.empty()) *text += "\n" + drawing;
    int code = kDone;
    const auto write = [&](const std::string& path, const std::string& content) {
      if (!path.empty() && IsInput(path)) {
        code = Fail(fmt::format("{} is a file that was read: choose another name", SafeText(path)),
                    kFailed);
        return;
      }
      const absl::Status status = WriteAnswer(path, content);
      if (!status.ok()) code = Fail(Text(status), kFailed);
    };
    write(options_.output, *text);
    if (!options_.output.empty() && !drawing.empty()) write("", drawing);
    if (!options_.plot.empty() && options_.plot != "-") {
      write(options_.plot, CurvePlotSvg(report_));
    }
    if (!options_.plot.empty() && report_.diagnoses_size() > kMaxFigures) {
      Note(
          fmt::format("warning: --plot drew the first {} of {} diagnoses: --metric, or tables of "
                      "fewer series, choose others",
                      kMaxFigures, report_.diagnoses_size()));
    }
    return code;
  }

  const DiagnoseOptions& options_;
  const std::shared_ptr<grpc::Channel>& channel_;
  v1::DiagnoseReport report_;
  std::vector<v1::FamilyRun> runs_;
  // Files of the runs.
  std::vector<std::string> inputs_;
  // Whether a run could not be read: the answer is of the others.
  bool has_failures_ = false;
  std::vector<v1::Series> series_;
  // The metrics of the series; these lose their points when they are sent.
  std::vector<std::string> metrics_;
  std::vector<v1::MetricProperties> properties_;
};

}  // namespace

absl::Status CheckDiagnoseOptions(const DiagnoseOptions& options) {
  if (options.runs.empty() && options.series.empty()) {
    return absl::InvalidArgumentError(
        "nothing to diagnose: name the RUNs of a family, or a table of numbers (--series FILE)");
  }
  for (const auto& [flag, values] :
       {std::pair("--scales", options.scales), std::pair("--companion", options.companions),
        std::pair("--evidence", options.evidence)}) {
    if (options.runs.empty() && !values.empty()) {
      return absl::InvalidArgumentError(
          fmt::format("{} {} is for RUNs, and there is none: a table has its scales itself", flag,
                      values.front()));
    }
  }
  for (const std::string& companion : options.companions) {
    const size_t sign = companion.find('=');
    if (sign == std::string::npos || sign == 0 || sign + 1 == companion.size()) {
      return absl::InvalidArgumentError(
          fmt::format("--companion {}: must be TASK=TASK, as in add4=add4_ll", companion));
    }
  }
  const std::string& plot = options.plot;
  if (plot == "-" && options.output.empty() && options.output_format != "table") {
    return absl::InvalidArgumentError(
        fmt::format("--plot - would draw into the {} on standard output: add -o FILE, or draw with "
                    "--plot FILE.svg",
                    options.output_format));
  }
  const bool draws_file = !plot.empty() && plot != "-";
  if (draws_file && !std::string_view(plot).ends_with(kSvg)) {
    return absl::InvalidArgumentError(
        fmt::format("--plot {}: the name must end in .svg, or be - for the terminal", plot));
  }
  if (draws_file && !options.output.empty() && IsSameFile(plot, options.output)) {
    return absl::InvalidArgumentError(
        fmt::format("--plot {} is the file of -o: choose another name", plot));
  }
  std::vector<std::string> inputs = options.series;
  inputs.insert(inputs.end(), options.scales.begin(), options.scales.end());
  if (!options.metric_properties.empty()) inputs.push_back(options.metric_properties);
  for (const std::string& input : inputs) {
    for (const auto& [flag, path] :
         {std::pair("-o", options.output), std::pair("--plot", draws_file ? plot : "")}) {
      if (!path.empty() && IsSameFile(input, path)) {
        return absl::InvalidArgumentError(
            fmt::format("{} {} is a file that is read: choose another name", flag, path));
      }
    }
  }
  return absl::OkStatus();
}

int RunDiagnose(const DiagnoseOptions& options, const std::shared_ptr<grpc::Channel>& channel) {
  return DiagnoseCommand(options, channel).Run();
}

}  // namespace mirage::client
