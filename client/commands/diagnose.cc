#include "client/commands/diagnose.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <functional>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/status/statusor.h"
#include "base/version.h"
#include "client/exit_code.h"
#include "client/grpc_status.h"
#include "client/output_file.h"
#include "client/progress.h"
#include "client/render/attach_report.h"
#include "client/render/curve_plot.h"
#include "client/render/diagnose_report.h"
#include "client/render/terminal_text.h"
#include "client/render/vega_lite.h"
#include "client/standard_error.h"
#include "client/terminal.h"
#include "mirage/v1/emergence.grpc.pb.h"

namespace mirage::client {
namespace {

constexpr std::string_view kSvg = ".svg";

std::string Text(const absl::Status& status) { return SafeText(std::string(status.message())); }

// Sends options and series, and receives the answers meanwhile: a sidecar that warns early must
// not find nobody listening, or both would wait.
class Exchange {
 public:
  explicit Exchange(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(v1::EmergenceService::NewStub(channel)) {}

  // Calls `receive` with each answer. Takes the points out of the series.
  absl::Status Run(const v1::DiagnoseOptions& options, FamilyInput& input,
                   const std::function<void(v1::DiagnoseSeriesResponse&)>& receive) {
    grpc::ClientContext context;
    const auto stream = stub_->DiagnoseSeries(&context);
    std::thread sender([&] {
      // Where it ends early the status says why.
      if (SendAll(options, input, *stream)) stream->WritesDone();
    });
    v1::DiagnoseSeriesResponse response;
    while (stream->Read(&response)) receive(response);
    sender.join();
    return FromGrpc(stream->Finish());
  }

 private:
  using Stream = grpc::ClientReaderWriter<v1::DiagnoseSeriesRequest, v1::DiagnoseSeriesResponse>;

  static bool SendAll(const v1::DiagnoseOptions& options, FamilyInput& input, Stream& stream) {
    v1::DiagnoseSeriesRequest request;
    *request.mutable_options() = options;
    return stream.Write(request) && SendFamilyInput<v1::DiagnoseSeriesRequest>(input, stream);
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
    auto input = ReadFamilyInput(options_, channel_);
    if (!input.ok()) return Fail(Explained(input.status()), kFailed);
    input_ = *std::move(input);
    for (const std::string& warning : input_.warnings) report_.add_warnings(warning);
    if (const auto status = Ask(); !status.ok()) {
      return Fail(Explained(status), IsUsage(status) ? kUsage : kFailed);
    }
    if (report_.diagnoses().empty() && !options_.metrics.empty()) {
      if (const auto unknown = UnknownMetric(options_, input_)) return Fail(*unknown, kUsage);
    }
    NoteWarnings();
    const int code = Write();
    return code == kDone && input_.has_failures ? kFailed : code;
  }

 private:
  static int Fail(const std::string& message, int code) {
    PrintError(fmt::format("mirage: {}\n", message));
    return code;
  }

  void Note(const std::string& message) const {
    if (!options_.quiet) PrintError(fmt::format("mirage: {}\n", message));
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
    for (const std::string& field : options_.strata) request.add_strata(field);
    for (const v1::MetricProperties& one : input_.properties)
      *request.add_metric_properties() = one;
    for (const std::string& companion : options_.companions) {
      *request.add_companions() = CompanionOf(companion);
    }
    Progress progress("diagnosing", !options_.quiet && TerminalOn(STDERR_FILENO).escapes,
                      Progress::Clock::now, "series");
    return Exchange(channel_).Run(request, input_, [&](v1::DiagnoseSeriesResponse& response) {
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
    return ExplainedError(status, options_.sidecar, "does not diagnose");
  }

  // On a terminal the table has them all already.
  bool IsTableOnTerminal() const {
    return options_.output_format == "table" && options_.output.empty() &&
           TerminalOn(STDOUT_FILENO).escapes;
  }

  void NoteWarnings() const {
    if (!options_.quiet && !IsTableOnTerminal()) PrintWarnings(report_.warnings());
  }

  absl::StatusOr<std::string> Answer(const Terminal& terminal) const {
    if (options_.output_format == "json") return ReportJson(report_);
    if (options_.output_format == "markdown") return DiagnoseMarkdown(report_);
    if (options_.output_format == "csv") return DiagnoseCsv(report_);
    if (options_.output_format == "vega-lite") return DiagnoseVegaLite(report_);
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
      if (!path.empty() && IsRunFile(input_, path)) {
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
  FamilyInput input_;
};

}  // namespace

absl::Status CheckDiagnoseOptions(const DiagnoseOptions& options) {
  if (auto status = CheckFamilyInput(options, "nothing to diagnose"); !status.ok()) return status;
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
  const std::pair<std::string_view, std::string_view> outputs[] = {
      {"-o", options.output}, {"--plot", draws_file ? std::string_view(plot) : ""}};
  return CheckFamilyOutputs(options, outputs);
}

int RunDiagnose(const DiagnoseOptions& options, const std::shared_ptr<grpc::Channel>& channel) {
  return DiagnoseCommand(options, channel).Run();
}

}  // namespace mirage::client
