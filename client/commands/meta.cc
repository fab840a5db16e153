#include "client/commands/meta.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/version.h"
#include "client/exit_code.h"
#include "client/grpc_status.h"
#include "client/output_file.h"
#include "client/progress.h"
#include "client/render/attach_report.h"
#include "client/render/meta_plot.h"
#include "client/render/meta_report.h"
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

class MetaCommand {
 public:
  MetaCommand(const MetaOptions& options, const std::shared_ptr<grpc::Channel>& channel)
      : options_(options), channel_(channel) {}

  int Run() {
    if (const auto status = CheckMetaOptions(options_); !status.ok()) {
      return Fail(Text(status), kUsage);
    }
    auto input = ReadFamilyInput(options_, channel_);
    if (!input.ok()) return Fail(Explained(input.status()), kFailed);
    input_ = *std::move(input);
    warnings_ = input_.warnings;
    if (const auto status = Ask(); !status.ok()) {
      return Fail(Explained(status), IsUsage(status) ? kUsage : kFailed);
    }
    if (!options_.quiet) PrintWarnings(analysis_.warnings());
    const int code = Write();
    return code == kDone && input_.has_failures ? kFailed : code;
  }

 private:
  absl::Status Ask() {
    v1::AnalyzeMetaRequest first;
    v1::MetaOptions& request = *first.mutable_options();
    request.set_x_axis(options_.x_axis);
    request.set_fdr(options_.fdr);
    request.set_level(options_.level);
    request.set_seed(options_.seed);
    request.set_any_dependence(options_.correction == "by");
    for (const std::string& metric : options_.metrics) request.add_metrics(metric);
    for (const v1::MetricProperties& one : input_.properties) {
      *request.add_metric_properties() = one;
    }
    Progress progress("analysing", !options_.quiet && TerminalOn(STDERR_FILENO).escapes,
                      Progress::Clock::now, "series");
    const auto stub = v1::EmergenceService::NewStub(channel_);
    grpc::ClientContext context;
    const auto stream = stub->AnalyzeMeta(&context);
    std::thread sender([&] {
      // Where it ends early the status says why.
      if (stream->Write(first) && SendFamilyInput<v1::AnalyzeMetaRequest>(input_, *stream)) {
        stream->WritesDone();
      }
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
    return ExplainedError(status, options_.sidecar, "makes no meta-analysis");
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
      if (!path.empty() && IsRunFile(input_, path)) {
        code = Fail(fmt::format("{} is a file that was read: choose another name", SafeText(path)),
                    kFailed);
        return;
      }
      const absl::Status status = WriteAnswer(path, content);
      if (!status.ok()) code = Fail(Text(status), kFailed);
    };
    write(options_.output, *text);
    if (!options_.plot.empty()) write(options_.plot, MetaPlotSvg(analysis_));
    return code;
  }

  const MetaOptions& options_;
  const std::shared_ptr<grpc::Channel>& channel_;
  FamilyInput input_;
  std::vector<std::string> warnings_;
  v1::MetaAnalysis analysis_;
};

}  // namespace

absl::Status CheckMetaOptions(const MetaOptions& options) {
  if (auto status = CheckFamilyInput(options, "nothing to analyse"); !status.ok()) return status;
  if (!options.plot.empty() && !std::string_view(options.plot).ends_with(".svg")) {
    return absl::InvalidArgumentError(
        fmt::format("--plot {}: the name must end in .svg", options.plot));
  }
  if (!options.plot.empty() && !options.output.empty() &&
      IsSameFile(options.plot, options.output)) {
    return absl::InvalidArgumentError(
        fmt::format("--plot {} is the file of -o: choose another name", options.plot));
  }
  const std::pair<std::string_view, std::string_view> outputs[] = {{"-o", options.output},
                                                                   {"--plot", options.plot}};
  return CheckFamilyOutputs(options, outputs);
}

int RunMeta(const MetaOptions& options, const std::shared_ptr<grpc::Channel>& channel) {
  return MetaCommand(options, channel).Run();
}

}  // namespace mirage::client
