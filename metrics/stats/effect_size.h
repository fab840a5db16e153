// How large a difference is, in units that do not depend on the number of items.
//
// Errors: INVALID_ARGUMENT with the field for a score that is not finite, FAILED_PRECONDITION where
// there are too few scores or no spread to measure by.
#ifndef MIRAGE_METRICS_STATS_EFFECT_SIZE_H_
#define MIRAGE_METRICS_STATS_EFFECT_SIZE_H_

#include <span>

#include "absl/status/statusor.h"
#include "metrics/stats/moments.h"
#include "metrics/stats/paired.h"

namespace mirage::metrics {

// Cohen's d of paired scores, d_z: the mean difference over the standard deviation of the
// differences. t = d_z sqrt(n). It grows with the correlation of the pairs, so it does not compare
// with a d of unrelated groups: CohensDAverage does. Source: Cohen (1988), section 2.3.5.
absl::StatusOr<double> CohensDPaired(const PairedMoments& pairs);

// d_av: the mean difference of paired scores over sqrt((variance_first + variance_second) / 2).
// Source: Cumming (2012), "Understanding the New Statistics", chapter 11.
absl::StatusOr<double> CohensDAverage(const PairedMoments& pairs);

// Cohen's d of two groups of unrelated items: (mean of first - mean of second) over the pooled
// standard deviation. At least 3 values in all, one in each. Source: Cohen (1988), section 2.5.
absl::StatusOr<double> CohensD(const Moments& first, const Moments& second);

// CohensD without its bias for small groups, exactly: times Gamma(m / 2) / (sqrt(m / 2)
// Gamma((m - 1) / 2)), m = n1 + n2 - 2 >= 2. Source: Hedges (1981), J. Educ. Stat. 6, equation 6e.
absl::StatusOr<double> HedgesG(const Moments& first, const Moments& second);

// Cliff's delta: P(x > y) - P(x < y) for x of `first` and y of `second`, in [-1, 1]; asks for order
// only, so infinite scores count, NaN does not. Each group needs a score. O((n1 + n2) log(n1 +
// n2)). Source: Cliff (1993), Psychol. Bull. 114.
absl::StatusOr<double> CliffsDelta(std::span<const double> first, std::span<const double> second);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_EFFECT_SIZE_H_
