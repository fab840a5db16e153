#include "client/commands/metrics.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/near_names.h"
#include "client/exit_code.h"
#include "client/grpc_status.h"
#include "client/output_file.h"
#include "client/render/attach_report.h"
#include "client/render/metric_report.h"
#include "client/render/terminal_text.h"
#include "client/standard_error.h"
#include "client/terminal.h"
#include "mirage/v1/metric.grpc.pb.h"

namespace mirage::client {
namespace {

class MetricsCommand {
 public:
  MetricsCommand(const MetricsOptions& options, const std::shared_ptr<grpc::Channel>& channel)
      : options_(options), stub_(v1::MetricService::NewStub(channel)) {}

  int Run() {
    const absl::StatusOr<std::string> text = Answer();
    if (text.ok()) {
      const absl::Status written = WriteAnswer(options_.output, *text);
      return written.ok() ? kDone : Fail(written, kFailed);
    }
    const absl::Status& status = text.status();
    if (!options_.sidecar.empty() && absl::IsUnavailable(status)) {
      return Fail(absl::UnavailableError(
                      fmt::format("the sidecar at {} went away ({}): start it again and repeat",
                                  options_.sidecar, std::string(status.message()))),
                  kFailed);
    }
    const bool is_usage = absl::IsNotFound(status) || absl::IsInvalidArgument(status);
    return Fail(status, is_usage ? kUsage : kFailed);
  }

 private:
  static int Fail(const absl::Status& status, int code) {
    PrintError(fmt::format("mirage: {}\n", SafeText(std::string(status.message()))));
    return code;
  }

  absl::StatusOr<std::string> Answer() {
    auto catalogue = List();
    if (!catalogue.ok()) return catalogue.status();
    switch (options_.action) {
      case MetricsOptions::Action::kList:
        return AnswerList(*catalogue);
      case MetricsOptions::Action::kShow:
        return AnswerShow(*catalogue);
      case MetricsOptions::Action::kSwap:
        return AnswerSwap(*catalogue);
    }
    return absl::InternalError("an action that is none");
  }

  absl::StatusOr<std::string> AnswerList(const MetricCatalogue& catalogue) const {
    if (options_.output_format == "json") return MetricsJson(catalogue);
    if (options_.output_format == "markdown") return MetricsMarkdown(catalogue);
    return MetricsTable(catalogue, Width());
  }

  absl::StatusOr<std::string> AnswerShow(const MetricCatalogue& catalogue) {
    MetricPage page = PageOf(catalogue, options_.name);
    if (page.IsEmpty()) {
      // An older name of a metric is one that only the registry knows.
      auto name = RegistryName(options_.name);
      if (absl::IsNotFound(name.status())) return Unknown(catalogue.Names());
      if (!name.ok()) return name.status();
      page = PageOf(catalogue, *name);
    }
    if (options_.output_format == "json") return PageJson(page);
    if (options_.output_format == "markdown") return PageMarkdown(page);
    return PageTable(page, Width());
  }

  absl::StatusOr<std::string> AnswerSwap(const MetricCatalogue& catalogue) {
    v1::SwapMetricRequest request;
    request.set_metric(options_.name);
    for (const std::string& flag : options_.recorded) {
      const auto needs = NeedsOfFlag(flag);
      if (!needs.has_value()) {
        return absl::InvalidArgumentError(
            fmt::format("--recorded {}: must be one of {}", flag, fmt::join(NeedsFlags(), ", ")));
      }
      request.add_recorded(*needs);
    }
    const auto name = RegistryName(options_.name);
    if (!name.ok() && !absl::IsNotFound(name.status())) return name.status();
    if (!name.ok() && options_.recorded.empty()) {
      const absl::Status unknown = Unknown(catalogue.MetricNames());
      return absl::NotFoundError(
          fmt::format("{}; --recorded gives the counterparts of a task's own metric",
                      std::string(unknown.message())));
    }
    grpc::ClientContext context;
    v1::SwapMetricResponse swap;
    if (auto status = FromGrpc(stub_->SwapMetric(&context, request, &swap)); !status.ok()) {
      return status;
    }
    if (options_.output_format == "json") return ReportJson(swap);
    if (options_.output_format == "markdown") return SwapMarkdown(options_.name, name.ok(), swap);
    return SwapTable(options_.name, name.ok(), swap, Width());
  }

  // What the registry calls a metric. NOT_FOUND where it has none.
  absl::StatusOr<std::string> RegistryName(const std::string& name) {
    grpc::ClientContext context;
    v1::GetMetricRequest request;
    request.set_metric(name);
    v1::GetMetricResponse response;
    auto status = FromGrpc(stub_->GetMetric(&context, request, &response));
    if (!status.ok()) return status;
    return response.metric().metric();
  }

  absl::Status Unknown(const std::vector<std::string_view>& names) const {
    const auto near = NearNames(options_.name, names);
    return absl::NotFoundError(fmt::format(
        "\"{}\" is no {}; {}`mirage metrics` lists all", options_.name,
        options_.action == MetricsOptions::Action::kSwap ? "metric" : "metric or statistic",
        near.empty() ? "" : fmt::format("did you mean {}? ", fmt::join(near, ", "))));
  }

  // Everything, page by page.
  absl::StatusOr<MetricCatalogue> List() {
    MetricCatalogue catalogue;
    v1::ListMetricsRequest metrics;
    do {
      grpc::ClientContext context;
      v1::ListMetricsResponse page;
      auto status = FromGrpc(stub_->ListMetrics(&context, metrics, &page));
      if (!status.ok()) return status;
      for (auto& metric : *page.mutable_metrics()) catalogue.metrics.push_back(std::move(metric));
      metrics.set_page_token(page.next_page_token());
    } while (!metrics.page_token().empty());
    v1::ListStatisticsRequest statistics;
    do {
      grpc::ClientContext context;
      v1::ListStatisticsResponse page;
      auto status = FromGrpc(stub_->ListStatistics(&context, statistics, &page));
      if (!status.ok()) return status;
      for (auto& statistic : *page.mutable_statistics()) {
        catalogue.statistics.push_back(std::move(statistic));
      }
      statistics.set_page_token(page.next_page_token());
    } while (!statistics.page_token().empty());
    return catalogue;
  }

  size_t Width() const { return options_.output.empty() ? TerminalOn(STDOUT_FILENO).width : 0; }

  const MetricsOptions& options_;
  const std::unique_ptr<v1::MetricService::Stub> stub_;
};

}  // namespace

int RunMetrics(const MetricsOptions& options, const std::shared_ptr<grpc::Channel>& channel) {
  return MetricsCommand(options, channel).Run();
}

}  // namespace mirage::client
