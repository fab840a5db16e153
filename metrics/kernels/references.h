// The texts of a corpus beside what they are compared with.
#ifndef MIRAGE_METRICS_KERNELS_REFERENCES_H_
#define MIRAGE_METRICS_KERNELS_REFERENCES_H_

#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace mirage::metrics {

// OK where references[i] are those of hypotheses[i], as many of the one as of the other and at
// least one reference for each sample; else INVALID_ARGUMENT with the first place that is not. No
// samples at all are OK. O(samples).
absl::Status CheckReferences(std::span<const std::string_view> hypotheses,
                             std::span<const std::vector<std::string_view>> references);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_KERNELS_REFERENCES_H_
