// The bias-corrected and accelerated bootstrap interval, from resampled values.
#ifndef MIRAGE_METRICS_STATS_BCA_H_
#define MIRAGE_METRICS_STATS_BCA_H_

#include <cstdint>
#include <span>
#include <utility>

#include "absl/status/statusor.h"
#include "metrics/stats/intervals.h"

namespace mirage::metrics {

// The acceleration of a statistic: sum u^3 / (6 (sum u^2)^(3/2)), u_i = mean of the leave-one-out
// values - their i-th. Where `times` is not empty the i-th value stands for times[i] > 0 rows that
// leave the same value. 0 where all values are equal; at least one is needed and all must be
// finite, else INVALID_ARGUMENT. For a mean this is skewness / (6 sqrt(n)). Source: Efron (1987),
// JASA 82, equation 6.6.
absl::StatusOr<double> Acceleration(std::span<const double> leave_one_out,
                                    std::span<const uint64_t> times = {});

// The probabilities at whose quantiles the interval ends: Phi(z0 + (z0 + z) / (1 - a (z0 + z))), z
// the normal quantiles of (1 -+ level) / 2, from the probability `below` that the resampled
// statistic is less than the estimate (half of the ties included) and the acceleration a.
// FAILED_PRECONDITION where z0 is infinite or a too large; INVALID_ARGUMENT: a level outside (0,
// 1), a NaN.
absl::StatusOr<std::pair<double, double>> BcaProbabilities(double below, double acceleration,
                                                           double level);

// The interval between the quantiles of the resampled values at Phi(z0 + (z0 + z) / (1 - a (z0 +
// z))), z the normal quantiles of (1 -+ level) / 2, a the acceleration, and z0 the normal quantile
// of the share of resampled values below the estimate (those equal to it count half, as in SciPy).
// Quantiles are of type 7.
//
// Second-order accurate: errors of coverage fall as 1 / n, those of the percentile interval as
// 1 / sqrt(n). Needs about 10 values beyond each end, so 1000 resamples for 95 %. Not for 0/1 data
// near 0 or 1 nor n below about 20: no bootstrap interval knows what was not seen.
//
// `sorted` holds the resampled values in ascending order. FAILED_PRECONDITION where all of them lie
// on one side of the estimate (z0 is infinite) or the quantiles cannot be had (a too large).
// INVALID_ARGUMENT: no values, a NaN, a level outside (0, 1). Method "bootstrap_bca".
// Source: Efron, Tibshirani (1993), "An Introduction to the Bootstrap", chapter 14.
absl::StatusOr<ConfidenceInterval> BcaInterval(std::span<const double> sorted, double estimate,
                                               double acceleration, double level);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_BCA_H_
