#include "client/commands/plan.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

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
#include "client/render/plan_report.h"
#include "client/render/terminal_text.h"
#include "client/standard_error.h"
#include "client/terminal.h"
#include "mirage/v1/emergence.grpc.pb.h"

namespace mirage::client {
namespace {

std::string Text(const absl::Status& status) { return SafeText(std::string(status.message())); }

int Fail(const std::string& message, int code) {
  PrintError(fmt::format("mirage: {}\n", message));
  return code;
}

class PlanCommand {
 public:
  PlanCommand(const PlanOptions& options, const std::shared_ptr<grpc::Channel>& channel)
      : options_(options), channel_(channel) {}

  int Run() {
    if (const auto status = CheckPlanOptions(options_); !status.ok()) {
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
    if (!options_.quiet) PrintWarnings(report_.warnings());
    const int code = Write();
    return code == kDone && input_.has_failures ? kFailed : code;
  }

 private:
  std::string Explained(const absl::Status& status) const {
    return ExplainedError(status, options_.sidecar, "makes no plans");
  }

  v1::PlanOptions RequestOptions() const {
    v1::PlanOptions request;
    request.set_delta(options_.delta);
    request.set_power(options_.power);
    request.set_level(options_.level);
    v1::DiagnoseOptions& diagnose = *request.mutable_diagnose();
    diagnose.set_x_axis(options_.x_axis);
    diagnose.set_seed(options_.seed);
    for (const std::string& metric : options_.metrics) diagnose.add_metrics(metric);
    for (const v1::MetricProperties& one : input_.properties) {
      *diagnose.add_metric_properties() = one;
    }
    for (const std::string& field : options_.strata) diagnose.add_strata(field);
    for (const std::string& companion : options_.companions) {
      *diagnose.add_companions() = CompanionOf(companion);
    }
    return request;
  }

  absl::Status Ask() {
    Progress progress("planning", !options_.quiet && TerminalOn(STDERR_FILENO).escapes,
                      Progress::Clock::now, "series");
    const auto stub = v1::EmergenceService::NewStub(channel_);
    grpc::ClientContext context;
    const auto stream = stub->PlanSeries(&context);
    v1::PlanSeriesRequest first;
    *first.mutable_options() = RequestOptions();
    // Answers are read meanwhile: a sidecar that warns early must not find nobody listening.
    std::thread sender([&] {
      // Where it ends early the status says why.
      if (stream->Write(first) && SendFamilyInput<v1::PlanSeriesRequest>(input_, *stream)) {
        stream->WritesDone();
      }
    });
    v1::PlanSeriesResponse response;
    while (stream->Read(&response)) {
      switch (response.part_case()) {
        case v1::PlanSeriesResponse::kPlan:
          report_.add_plans()->Swap(response.mutable_plan());
          break;
        case v1::PlanSeriesResponse::kWarning:
          report_.add_warnings(response.warning());
          break;
        case v1::PlanSeriesResponse::kProgress:
          progress.Update(response.progress().n_done(), response.progress().n_series());
          break;
        case v1::PlanSeriesResponse::PART_NOT_SET:
          break;
      }
    }
    sender.join();
    return FromGrpc(stream->Finish());
  }

  absl::StatusOr<std::string> Answer() const {
    PlanTableOptions table;
    table.x_axis = options_.x_axis;
    if (options_.output.empty()) table.width = TerminalOn(STDOUT_FILENO).width;
    if (options_.output_format == "json") return ReportJson(report_);
    if (options_.output_format == "markdown") return PlanMarkdown(report_, table);
    if (options_.output_format == "csv") return PlanCsv(report_);
    return PlanTable(report_, table);
  }

  int Write() const {
    const absl::StatusOr<std::string> text = Answer();
    if (!text.ok()) return Fail(Text(text.status()), kFailed);
    if (!options_.output.empty() && IsRunFile(input_, options_.output)) {
      return Fail(
          fmt::format("{} is a file that was read: choose another name", SafeText(options_.output)),
          kFailed);
    }
    const absl::Status status = WriteAnswer(options_.output, *text);
    return status.ok() ? kDone : Fail(Text(status), kFailed);
  }

  const PlanOptions& options_;
  const std::shared_ptr<grpc::Channel>& channel_;
  FamilyInput input_;
  v1::PlanReport report_;
};

}  // namespace

absl::Status CheckPlanOptions(const PlanOptions& options) {
  if (auto status = CheckFamilyInput(options, "nothing to plan"); !status.ok()) return status;
  const std::pair<std::string_view, std::string_view> outputs[] = {{"-o", options.output}};
  return CheckFamilyOutputs(options, outputs);
}

int RunPlan(const PlanOptions& options, const std::shared_ptr<grpc::Channel>& channel) {
  return PlanCommand(options, channel).Run();
}

}  // namespace mirage::client
