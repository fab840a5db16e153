// Exact tests of counts: a share against a value, and the two tests of paired outcomes that are
// one.
//
// All errors are INVALID_ARGUMENT with the argument's name and the remedy: n = 0 or n > 2^53,
// successes > n, a share outside [0, 1] or NaN.
#ifndef MIRAGE_METRICS_STATS_BINOMIAL_TEST_H_
#define MIRAGE_METRICS_STATS_BINOMIAL_TEST_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "metrics/stats/hypothesis.h"

namespace mirage::metrics {

// The exact binomial test of k successes in n independent 0/1 items against a known share (what
// guessing reaches, a published figure). Two-sided: the summed probability of all counts that are
// at most as probable as k (within 1 + 1e-7, as R and SciPy take it, so that rounding does not
// split ties). Method "binomial_exact". Valid for every n. O(log n) evaluations of the
// distribution. Source: Clopper, Pearson (1934); Gibbons, Pratt (1975), American Statistician 29,
// for the two-sided rule.
absl::StatusOr<TestResult> BinomialTest(uint64_t successes, uint64_t n, double share,
                                        Alternative alternative);

// Two systems, 0/1 scores, the same items: `only_first` items that only the first has right and
// `only_second` that only the second has. Items on which they agree do not count.
//
// McNemar's test as the exact binomial test of only_first in all that differ, against 1/2. Valid
// for every count; conservative for few. kGreater asks whether the first has more right. Nothing
// that differs: p = 1. Method "mcnemar_exact". The paired permutation test of the same scores has
// this p-value, too. Source: McNemar (1947), Psychometrika 12.
absl::StatusOr<TestResult> McNemarExact(uint64_t only_first, uint64_t only_second,
                                        Alternative alternative);

// The exact p-value less half the probability of the outcome itself (two-sided: twice the smaller
// one-sided mid-p, at most 1). Not conservative on average; may exceed its level slightly. Method
// "mcnemar_mid_p". Source: Fagerland, Lydersen, Laake (2013), BMC Med. Res. Methodol. 13.
absl::StatusOr<TestResult> McNemarMidP(uint64_t only_first, uint64_t only_second,
                                       Alternative alternative);

// The chi-squared approximation with Edwards' correction, (max(|b - c| - 1, 0))^2 / (b + c) on one
// degree of freedom, two-sided. Valid from about 25 that differ; there because others report it.
// Nothing that differs: p = 1. Method "mcnemar_chi_squared".
absl::StatusOr<TestResult> McNemarChiSquared(uint64_t only_first, uint64_t only_second);

// The sign test: `positive` and `negative` differences, ties left out, exact against 1/2. Valid for
// any paired scores, whatever their distribution; it asks for the sign only, so it needs more items
// than a test of the mean. Method "sign_exact". Source: Arbuthnot (1710); Conover (1999), ch. 3.4.
absl::StatusOr<TestResult> SignTest(uint64_t positive, uint64_t negative, Alternative alternative);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_BINOMIAL_TEST_H_
