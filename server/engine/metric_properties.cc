#include "server/engine/metric_properties.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "metrics/registry/registry.h"

namespace mirage::server {
namespace {

using metrics::Composition;
using metrics::CurveMetric;

constexpr double kInf = std::numeric_limits<double>::infinity();

}  // namespace

absl::StatusOr<KnownMetrics> KnownMetrics::Create(
    const google::protobuf::RepeatedPtrField<v1::MetricProperties>& given_metrics) {
  KnownMetrics made;
  for (int i = 0; i < given_metrics.size(); ++i) {
    const v1::MetricProperties& given = given_metrics[i];
    const std::string path = fmt::format("options.metric_properties[{}]", i);
    if (given.metric().empty()) {
      return absl::InvalidArgumentError(path + ".metric is empty: name the metric");
    }
    if (metrics::FindMetric(given.metric()) != nullptr ||
        !metrics::MetricsNamed(given.metric()).empty()) {
      return absl::InvalidArgumentError(fmt::format(
          "{}.metric is '{}': the registry knows it already; leave it out, or give yours "
          "another name",
          path, given.metric()));
    }
    if (!given.has_higher_is_better() || !given.has_continuous() || !given.has_sharp()) {
      return absl::InvalidArgumentError(fmt::format(
          "{} ('{}') needs higher_is_better, continuous and sharp", path, given.metric()));
    }
    auto properties = std::make_unique<KnownMetric>();
    CurveMetric& metric = properties->metric;
    metric.higher_is_better = given.higher_is_better();
    metric.lower_bound = given.has_lower_bound() ? given.lower_bound() : -kInf;
    metric.upper_bound = given.has_upper_bound() ? given.upper_bound() : kInf;
    if (!(metric.lower_bound < metric.upper_bound)) {
      return absl::InvalidArgumentError(
          fmt::format("{}: lower_bound {} is not below upper_bound {}", path, metric.lower_bound,
                      metric.upper_bound));
    }
    metric.sharp = given.sharp();
    metric.continuous = given.continuous();
    if (metric.sharp && metric.continuous) {
      return absl::InvalidArgumentError(fmt::format(
          "{} ('{}') is sharp and continuous: it can be one of them", path, given.metric()));
    }
    metric.linear_in_token_error = given.linear_in_token_error();
    metric.uses_wrong_choices = given.uses_wrong_choices();
    metric.proportion = given.proportion();
    properties->unit = given.unit();
    properties->counterparts.assign(given.counterparts().begin(), given.counterparts().end());
    if (given.composition() == v1::MetricProperties::ALL_TOKENS) {
      properties->composition = Composition::kAllTokens;
    } else if (given.composition() == v1::MetricProperties::ARGMAX) {
      properties->composition = Composition::kArgmax;
    } else if (given.composition() != v1::MetricProperties::COMPOSITION_UNSPECIFIED) {
      properties->composition = Composition::kNone;
    }
    if (!made.known_.emplace(std::pair(given.metric(), std::nullopt), std::move(properties))
             .second) {
      return absl::InvalidArgumentError(
          fmt::format("{}.metric is '{}': it came twice", path, given.metric()));
    }
  }
  return made;
}

const KnownMetric* KnownMetrics::Find(const std::string& metric,
                                      std::optional<metrics::Evidence> evidence) {
  if (const auto given = known_.find({metric, std::nullopt});
      given != known_.end() && given->second != nullptr) {
    return given->second.get();
  }
  const auto [at, is_new] = known_.try_emplace({metric, evidence});
  if (!is_new) return at->second.get();
  const metrics::MetricInfo* found = evidence ? metrics::FindMetric(metric, *evidence) : nullptr;
  if (found == nullptr) {
    const std::vector<const metrics::MetricInfo*> rows = metrics::MetricsNamed(metric);
    if (rows.empty()) return nullptr;
    found = rows.front();
  }
  const metrics::MetricInfo& info = *found;
  auto properties = std::make_unique<KnownMetric>();
  properties->metric.higher_is_better = info.higher_is_better;
  properties->metric.lower_bound = info.lower_bound;
  properties->metric.upper_bound = info.upper_bound;
  properties->metric.sharp = info.sharp;
  properties->metric.continuous = info.continuous;
  properties->metric.linear_in_token_error = info.linear_in_token_error;
  properties->metric.uses_wrong_choices = info.uses_wrong_choices;
  // The registry's sharp metrics are right or wrong for each sample.
  properties->metric.proportion = info.sharp && info.lower_bound == 0 && info.upper_bound == 1;
  properties->unit = std::string(info.unit);
  at->second = std::move(properties);
  return at->second.get();
}

}  // namespace mirage::server
