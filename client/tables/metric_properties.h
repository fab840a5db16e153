// The file of --metric-properties: metrics that the registry does not know.
//
// YAML (or JSON, which is YAML too) with the fields of mirage.v1.MetricProperties by their names:
//
//   version: 1
//   metrics:
//     - metric: rubric_pass          # as the series or the harness writes it
//       higher_is_better: true
//       continuous: false
//       sharp: true
//       lower_bound: 0
//       upper_bound: 1
//       proportion: true
//       counterparts: [rubric_score, nll_per_token]
//       composition: THRESHOLD
//       threshold: 0.5
//
// metric, higher_is_better, continuous and sharp are required. Unknown keys are refused with their
// lines: a misspelt property must not fall back to a default.
#ifndef MIRAGE_CLIENT_TABLES_METRIC_PROPERTIES_H_
#define MIRAGE_CLIENT_TABLES_METRIC_PROPERTIES_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "mirage/v1/emergence.pb.h"

namespace mirage::client {

// The metrics that `text` declares, in its order; `name` stands in messages. INVALID_ARGUMENT with
// file, line, column and the remedy: no YAML of this form (yaml_message.h), another version, no
// metrics, one that is declared twice, a required property that is missing, and properties that
// contradict each other: sharp and continuous; lower_bound >= upper_bound; a proportion with bounds
// outside [0, 1]; a composition without counterparts; THRESHOLD without `threshold`, or that
// without THRESHOLD; a counterpart that is empty, repeated or the metric itself. Whether a name is
// the registry's is for the engine to say.
absl::StatusOr<std::vector<v1::MetricProperties>> ParseMetricProperties(std::string_view text,
                                                                        std::string_view name);

// The same from a file. Errors of OpenFile too.
absl::StatusOr<std::vector<v1::MetricProperties>> ReadMetricProperties(const std::string& path);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_TABLES_METRIC_PROPERTIES_H_
