// What is known of a metric by its name: from the registry, or declared by a user.
#ifndef MIRAGE_SERVER_ENGINE_METRIC_PROPERTIES_H_
#define MIRAGE_SERVER_ENGINE_METRIC_PROPERTIES_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "metrics/emergence/law_quantity.h"
#include "metrics/emergence/verdict.h"
#include "metrics/registry/metric_info.h"
#include "mirage/v1/emergence.pb.h"

namespace mirage::server {

struct KnownMetric {
  metrics::CurveMetric metric;
  std::string unit;
  // A user's own counterparts, the primary one first.
  std::vector<std::string> counterparts;
  // How it follows from them; a sharp metric that does not change with wrong choices needs all
  // tokens.
  std::optional<metrics::Composition> composition;
};

// The registry and what a user declared beside it. Not thread-safe.
class KnownMetrics {
 public:
  // INVALID_ARGUMENT with the field's path and the remedy: properties of a metric that the registry
  // has, that came twice, lack a direction, or contradict themselves.
  static absl::StatusOr<KnownMetrics> Create(
      const google::protobuf::RepeatedPtrField<v1::MetricProperties>& given_metrics);

  // Null where nothing is known. `evidence`: what it was computed from, where that is known: names
  // stand for several metrics of the registry, of which the first counts without. Stays valid as
  // long as this object.
  const KnownMetric* Find(const std::string& metric, std::optional<metrics::Evidence> evidence);

 private:
  std::map<std::pair<std::string, std::optional<metrics::Evidence>>, std::unique_ptr<KnownMetric>>
      known_;
};

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_METRIC_PROPERTIES_H_
