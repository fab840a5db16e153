// What the pages of the documentation promise beside a metric's definition.
#ifndef MIRAGE_METRICS_REGISTRY_GUARANTEES_H_
#define MIRAGE_METRICS_REGISTRY_GUARANTEES_H_

#include <string_view>

#include "metrics/registry/metric_info.h"

namespace mirage::metrics {

struct Guarantees {
  // What happens with empty, infinite, missing and oversized input, in sentences.
  std::string_view edge_cases;
  // Time and memory of one sample.
  std::string_view complexity;
  // Header that computes it, from the workspace's root.
  std::string_view header;
};

// Those of a row of the registry; all fields are set. Static storage.
Guarantees GuaranteesOf(const MetricInfo& info);

// How one number is made of the samples' values, in words.
std::string_view AggregationName(Aggregation aggregation);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_REGISTRY_GUARANTEES_H_
