#include "server/service/metric_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "metrics/registry/registry.h"
#include "server/service/status.h"

namespace mirage::server {
namespace {

using metrics::Evidence;
using metrics::MetricInfo;
using Needs = v1::MetricDescription::Needs;

constexpr uint32_t kDefaultPage = 100;
constexpr uint32_t kLargestPage = 1000;

Needs::Value NeedsOf(Evidence evidence) {
  switch (evidence) {
    case Evidence::kChoices:
      return Needs::CHOICE_LOG_LIKELIHOODS;
    case Evidence::kGeneration:
      return Needs::GENERATION;
    case Evidence::kLikelihood:
      return Needs::TARGET_LOG_LIKELIHOOD;
    case Evidence::kDocument:
      return Needs::DOCUMENT_LOG_LIKELIHOOD;
    case Evidence::kTokenLogProbs:
      return Needs::TOKEN_LOG_PROBS;
    case Evidence::kRepeats:
      return Needs::REPEATED_SAMPLES;
    case Evidence::kVectors:
      return Needs::VECTORS;
  }
  return Needs::NEEDS_UNSPECIFIED;
}

void Describe(const MetricInfo& info, v1::MetricDescription* out) {
  out->set_metric(std::string(info.name));
  out->set_summary(std::string(info.summary));
  out->set_definition(std::string(info.definition));
  out->set_lower_bound(info.lower_bound);
  out->set_upper_bound(info.upper_bound);
  out->set_higher_is_better(info.higher_is_better);
  out->set_continuous(info.continuous);
  out->set_linear_in_token_error(info.linear_in_token_error);
  out->set_uses_wrong_choices(info.uses_wrong_choices);
  out->add_needs(NeedsOf(info.evidence));
  out->set_convention(std::string(info.convention));
  out->set_signature(metrics::Signature(info, "codepoints"));
  out->set_source(std::string(info.source));
  out->set_unit(std::string(info.unit));
  out->set_sharp(info.sharp);
}

absl::Status Unknown(const std::string& metric) {
  std::vector<std::string_view> names;
  for (const MetricInfo& info : metrics::AllMetrics()) {
    if (std::find(names.begin(), names.end(), info.name) == names.end()) {
      names.push_back(info.name);
    }
  }
  return absl::NotFoundError(fmt::format("metric \"{}\" is not in the registry; it has {}", metric,
                                         fmt::join(names, ", ")));
}

absl::Status List(const v1::ListMetricsRequest& request, v1::ListMetricsResponse* response) {
  const auto all = metrics::AllMetrics();
  uint32_t at = 0;
  if (!request.page_token().empty() &&
      (!absl::SimpleAtoi(request.page_token(), &at) || at >= all.size())) {
    return absl::InvalidArgumentError(fmt::format(
        "page_token \"{}\" is not from an earlier answer of this list", request.page_token()));
  }
  const uint32_t page =
      request.page_size() == 0 ? kDefaultPage : std::min(request.page_size(), kLargestPage);
  const auto end = static_cast<uint32_t>(std::min<size_t>(all.size(), size_t{at} + page));
  for (uint32_t i = at; i < end; ++i) Describe(all[i], response->add_metrics());
  if (end < all.size()) response->set_next_page_token(std::to_string(end));
  return absl::OkStatus();
}

absl::Status Swap(const v1::SwapMetricRequest& request, v1::SwapMetricResponse* response) {
  bool found = false;
  for (const MetricInfo& sharp : metrics::AllMetrics()) {
    if (sharp.name != request.metric()) continue;
    found = true;
    const Needs::Value needs = NeedsOf(sharp.evidence);
    const bool recorded = request.recorded().empty() ||
                          std::find(request.recorded().begin(), request.recorded().end(), needs) !=
                              request.recorded().end();
    for (const MetricInfo* info : metrics::Counterparts(sharp.evidence)) {
      if (info->name == sharp.name) continue;
      const std::string requirement(metrics::EvidenceName(info->evidence));
      if (recorded) {
        v1::MetricSwap* swap = response->add_swaps();
        Describe(*info, swap->mutable_counterpart());
        swap->set_reason(metrics::SwapReason(*info));
        swap->set_requirement(requirement);
      } else {
        v1::Unavailable* missing = response->add_unavailable();
        missing->set_metric(std::string(info->name));
        missing->set_reason("the run lacks " + requirement);
      }
    }
  }
  return found ? absl::OkStatus() : Unknown(request.metric());
}

absl::Status Get(const v1::GetMetricRequest& request, v1::GetMetricResponse* response) {
  const MetricInfo* found = metrics::FindMetric(request.metric());
  if (found == nullptr) return Unknown(request.metric());
  if (request.needs() != Needs::NEEDS_UNSPECIFIED) {
    const std::string_view name = found->name;
    found = nullptr;
    for (const MetricInfo& info : metrics::AllMetrics()) {
      if (info.name == name && NeedsOf(info.evidence) == request.needs()) found = &info;
    }
    if (found == nullptr) {
      return absl::NotFoundError(fmt::format(
          "metric \"{}\" is not defined over {}: leave needs out to see over what it is",
          request.metric(), Needs::Value_Name(request.needs())));
    }
  }
  Describe(*found, response->mutable_metric());
  return absl::OkStatus();
}

}  // namespace

grpc::ServerUnaryReactor* MetricService::ListMetrics(grpc::CallbackServerContext* context,
                                                     const v1::ListMetricsRequest* request,
                                                     v1::ListMetricsResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(List(*request, response)));
  return reactor;
}

grpc::ServerUnaryReactor* MetricService::GetMetric(grpc::CallbackServerContext* context,
                                                   const v1::GetMetricRequest* request,
                                                   v1::GetMetricResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(Get(*request, response)));
  return reactor;
}

grpc::ServerUnaryReactor* MetricService::SwapMetric(grpc::CallbackServerContext* context,
                                                    const v1::SwapMetricRequest* request,
                                                    v1::SwapMetricResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(Swap(*request, response)));
  return reactor;
}

}  // namespace mirage::server
