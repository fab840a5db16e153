#include "server/service/metric_service.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "base/near_names.h"
#include "metrics/registry/guarantees.h"
#include "metrics/registry/registry.h"
#include "metrics/registry/statistics.h"
#include "server/service/status.h"

namespace mirage::server {
namespace {

using metrics::Evidence;
using metrics::MetricInfo;
using metrics::StatisticInfo;
using Needs = v1::MetricDescription::Needs;

constexpr uint32_t kDefaultPage = 100;
constexpr uint32_t kLargestPage = 1000;

constexpr std::array kEvidence = {
    Evidence::kChoices,       Evidence::kGeneration, Evidence::kLikelihood, Evidence::kDocument,
    Evidence::kTokenLogProbs, Evidence::kRepeats,    Evidence::kVectors};

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

std::optional<Evidence> EvidenceOf(int needs) {
  const auto* const found = std::find_if(kEvidence.begin(), kEvidence.end(),
                                         [&](Evidence e) { return NeedsOf(e) == needs; });
  return found == kEvidence.end() ? std::nullopt : std::optional(*found);
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
  const metrics::Guarantees guarantees = metrics::GuaranteesOf(info);
  out->set_edge_cases(std::string(guarantees.edge_cases));
  out->set_complexity(std::string(guarantees.complexity));
  out->set_header(std::string(guarantees.header));
  out->set_family(std::string(info.family));
  out->set_used_by(std::string(info.used_by));
  out->set_in_runs(info.in_runs);
  out->set_aggregation(std::string(metrics::AggregationName(info.aggregation)));
}

void Describe(const StatisticInfo& info, v1::StatisticDescription* out) {
  out->set_statistic(std::string(info.name));
  out->set_kind(std::string(info.kind));
  out->set_summary(std::string(info.summary));
  out->set_definition(std::string(info.definition));
  out->set_valid(std::string(info.valid));
  out->set_edge_cases(std::string(info.edge_cases));
  out->set_complexity(std::string(info.complexity));
  out->set_source(std::string(info.source));
  out->set_header(std::string(info.header));
}

absl::Status Unknown(const std::string& metric) {
  std::vector<std::string_view> names;
  for (const MetricInfo& info : metrics::AllMetrics()) {
    if (std::find(names.begin(), names.end(), info.name) == names.end()) {
      names.push_back(info.name);
    }
  }
  if (const auto near = NearNames(metric, names); !near.empty()) {
    return absl::NotFoundError(
        fmt::format("metric \"{}\" is not in the registry: did you mean {}? ListMetrics has all",
                    metric, fmt::join(near, ", ")));
  }
  return absl::NotFoundError(fmt::format("metric \"{}\" is not in the registry; it has {}", metric,
                                         fmt::join(names, ", ")));
}

// The part of a list that a request asks for.
struct Page {
  size_t begin = 0;
  size_t end = 0;
  // Empty on the last page.
  std::string next_page_token;
};

// INVALID_ARGUMENT for a token that no answer about a list of `size` has.
template <typename Request>
absl::StatusOr<Page> PageOf(const Request& request, size_t size) {
  uint32_t at = 0;
  if (!request.page_token().empty() &&
      (!absl::SimpleAtoi(request.page_token(), &at) || at >= size)) {
    return absl::InvalidArgumentError(fmt::format(
        "page_token \"{}\" is not from an earlier answer of this list", request.page_token()));
  }
  const uint32_t length =
      request.page_size() == 0 ? kDefaultPage : std::min(request.page_size(), kLargestPage);
  Page page{.begin = at, .end = std::min(size, size_t{at} + length), .next_page_token = {}};
  if (page.end < size) page.next_page_token = std::to_string(page.end);
  return page;
}

absl::Status List(const v1::ListMetricsRequest& request, v1::ListMetricsResponse* response) {
  const auto all = metrics::AllMetrics();
  auto page = PageOf(request, all.size());
  if (!page.ok()) return page.status();
  for (size_t i = page->begin; i < page->end; ++i) Describe(all[i], response->add_metrics());
  response->set_next_page_token(page->next_page_token);
  return absl::OkStatus();
}

absl::Status List(const v1::ListStatisticsRequest& request, v1::ListStatisticsResponse* response) {
  const auto all = metrics::AllStatistics();
  auto page = PageOf(request, all.size());
  if (!page.ok()) return page.status();
  for (size_t i = page->begin; i < page->end; ++i) Describe(all[i], response->add_statistics());
  response->set_next_page_token(page->next_page_token);
  return absl::OkStatus();
}

// What the metric stands on, and behind it what could be recorded for the same documents: of
// several rows of one name first the evidence of each.
std::vector<Evidence> EvidenceToSwapOver(const std::vector<Evidence>& own) {
  std::vector<Evidence> all = own;
  for (const Evidence evidence : own) {
    for (const Evidence other : metrics::RecordableWith(evidence)) {
      if (std::find(all.begin(), all.end(), other) == all.end()) all.push_back(other);
    }
  }
  return all;
}

std::string ReasonOf(const MetricInfo& counterpart) {
  std::string reason = metrics::SwapReason(counterpart);
  if (!counterpart.in_runs) {
    reason += fmt::format("; the library computes it ({}), attach does not",
                          metrics::GuaranteesOf(counterpart).header);
  }
  return reason;
}

absl::Status Swap(const v1::SwapMetricRequest& request, v1::SwapMetricResponse* response) {
  std::vector<Evidence> recorded;
  for (int i = 0; i < request.recorded_size(); ++i) {
    const auto evidence = EvidenceOf(request.recorded(i));
    if (!evidence.has_value()) {
      return absl::InvalidArgumentError(
          fmt::format("recorded[{}] is {}: must be one of MetricDescription.Needs, and stated", i,
                      static_cast<int>(request.recorded(i))));
    }
    if (std::find(recorded.begin(), recorded.end(), *evidence) == recorded.end()) {
      recorded.push_back(*evidence);
    }
  }
  const std::vector<const MetricInfo*> known = metrics::MetricsNamed(request.metric());
  if (known.empty() && recorded.empty()) return Unknown(request.metric());
  // Of a metric that is a task's own all that is known is what the run has recorded.
  std::vector<Evidence> own = recorded;
  if (!known.empty()) {
    own.clear();
    for (const MetricInfo* info : known) own.push_back(info->evidence);
  }
  for (const Evidence evidence : EvidenceToSwapOver(own)) {
    const std::string requirement(metrics::EvidenceName(evidence));
    const bool is_there =
        recorded.empty() || std::find(recorded.begin(), recorded.end(), evidence) != recorded.end();
    for (const MetricInfo* info : metrics::AllCounterparts(evidence)) {
      if (!known.empty() && info->name == known[0]->name) continue;
      if (is_there) {
        v1::MetricSwap* swap = response->add_swaps();
        Describe(*info, swap->mutable_counterpart());
        swap->set_reason(ReasonOf(*info));
        swap->set_requirement(requirement);
      } else {
        v1::Unavailable* missing = response->add_unavailable();
        missing->set_metric(std::string(info->name));
        missing->set_reason("the run lacks " + requirement);
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Get(const v1::GetMetricRequest& request, v1::GetMetricResponse* response) {
  const std::vector<const MetricInfo*> named = metrics::MetricsNamed(request.metric());
  if (named.empty()) return Unknown(request.metric());
  const MetricInfo* found = named[0];
  if (request.needs() != Needs::NEEDS_UNSPECIFIED) {
    found = nullptr;
    for (const MetricInfo* info : named) {
      if (NeedsOf(info->evidence) == request.needs()) found = info;
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

grpc::ServerUnaryReactor* MetricService::ListStatistics(grpc::CallbackServerContext* context,
                                                        const v1::ListStatisticsRequest* request,
                                                        v1::ListStatisticsResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(List(*request, response)));
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
