// Means and centered sums of products from exact sums, without cancellation.
#ifndef MIRAGE_METRICS_STATS_CENTERED_SUMS_H_
#define MIRAGE_METRICS_STATS_CENTERED_SUMS_H_

#include <cstdint>

#include "metrics/stats/exact_sum.h"

namespace mirage::metrics {

// The exact integer n.
ExactSum CountSum(uint64_t n);

// numerator / denominator, within one unit in the last place; by IEEE rules where the denominator
// rounds to 0 or one of them is not finite.
double Quotient(const ExactSum& numerator, const ExactSum& denominator);

// sum (x - mean x)(y - mean y) of n >= 1 pairs, from sum x, sum y and sum x y, computed exactly
// about doubles next to the means and rounded at the end: a few units in the last place whatever
// the size of the means. With x = y it is the centered sum of squares and not negative. NaN where a
// mean is not finite. About 3 us.
double CenteredProducts(const ExactSum& sum_x, const ExactSum& sum_y, const ExactSum& sum_xy,
                        uint64_t n);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_CENTERED_SUMS_H_
