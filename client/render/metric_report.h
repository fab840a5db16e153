// The answers of `mirage metrics` for people and machines: what metrics and statistics there
// are, a page on each, what to use instead of a sharp one.
#ifndef MIRAGE_CLIENT_RENDER_METRIC_REPORT_H_
#define MIRAGE_CLIENT_RENDER_METRIC_REPORT_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "mirage/v1/metric.pb.h"

namespace mirage::client {

using MetricNeeds = v1::MetricDescription::Needs;

// The name of recorded evidence on the command line, "token-log-probs"; empty for none.
std::string_view NeedsFlag(MetricNeeds::Value needs);
// The evidence of such a name; none for another one.
std::optional<MetricNeeds::Value> NeedsOfFlag(std::string_view flag);
// Every name, in the registry's order.
std::vector<std::string> NeedsFlags();

// What the sidecar lists, in its order.
struct MetricCatalogue {
  std::vector<v1::MetricDescription> metrics;
  std::vector<v1::StatisticDescription> statistics;

  // Names of the metrics in the order in which they first stand, each once.
  std::vector<std::string_view> MetricNames() const;
  // Names of all, metrics first, each once.
  std::vector<std::string_view> Names() const;
};

// Everything that one name stands for.
struct MetricPage {
  // The rows of the metric, one for each kind of evidence.
  std::vector<v1::MetricDescription> metrics;
  // Every member of the metric's family, itself among them; empty where there is one convention.
  std::vector<v1::MetricDescription> family;
  std::vector<v1::StatisticDescription> statistics;

  bool IsEmpty() const { return metrics.empty() && statistics.empty(); }
};
MetricPage PageOf(const MetricCatalogue& catalogue, std::string_view name);

// Metrics by what they need and statistics by kind, a line each. A table that is wider than
// `width` columns (0: no limit) breaks its sentences into lines, then leaves the range out.
std::string MetricsTable(const MetricCatalogue& catalogue, size_t width);
// docs/metrics.md: contents, then the conventions that differ, then a section a name.
std::string MetricsMarkdown(const MetricCatalogue& catalogue);
// {"metrics":[…],"statistics":[…]} as ProtoJSON by the contract. INTERNAL when protobuf cannot
// print it.
absl::StatusOr<std::string> MetricsJson(const MetricCatalogue& catalogue);

// A page, filled to `width` columns (0: 100).
std::string PageTable(const MetricPage& page, size_t width);
std::string PageMarkdown(const MetricPage& page);
// As MetricsJson: the rows of the name, then the other members of its family.
absl::StatusOr<std::string> PageJson(const MetricPage& page);

// What to use instead of `metric`, the preferred first, by what it needs; then what cannot be
// computed. `is_known` is whether the registry has the metric.
std::string SwapTable(std::string_view metric, bool is_known, const v1::SwapMetricResponse& swap,
                      size_t width);
std::string SwapMarkdown(std::string_view metric, bool is_known,
                         const v1::SwapMetricResponse& swap);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_RENDER_METRIC_REPORT_H_
