// Two systems on different items, or two groups of items.
//
// Where the items are the same ones, paired.h sees much smaller differences.
#ifndef MIRAGE_METRICS_STATS_UNPAIRED_H_
#define MIRAGE_METRICS_STATS_UNPAIRED_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "metrics/stats/hypothesis.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/moments.h"

namespace mirage::metrics {

// Mean of first - mean of second, with its error sqrt(s1^2 / n1 + s2^2 / n2) and the degrees of
// freedom of Welch and Satterthwaite.
struct WelchDifference {
  double difference = 0;
  double standard_error = 0;
  double degrees_of_freedom = 0;
};

// FAILED_PRECONDITION, naming the group, for fewer than 2 values or some that are not finite; also
// where both groups have no spread. Source: Welch (1947), Biometrika 34.
absl::StatusOr<WelchDifference> Welch(const Moments& first, const Moments& second);

// Welch's test of equal means; kGreater asks whether the mean of first is greater. Valid for some
// dozens of values a group that are not very skewed. Errors as Welch. Method "welch_t".
absl::StatusOr<TestResult> WelchT(const Moments& first, const Moments& second,
                                  Alternative alternative);

// difference +- t * standard_error. Errors as Welch, and INVALID_ARGUMENT for a level outside (0,
// 1). Method "welch_t".
absl::StatusOr<ConfidenceInterval> WelchInterval(const Moments& first, const Moments& second,
                                                 double level);

// Newcombe's interval for the difference of two independent shares, k1 / n1 - k2 / n2, which joins
// the ends of the two Wilson intervals (his method 10). Valid for every count, also where a share
// is 0 or
// 1. Within [-1, 1]. INVALID_ARGUMENT as Wilson. Method "newcombe".
// Source: Newcombe (1998), Statist. Med. 17, 873.
absl::StatusOr<ConfidenceInterval> Newcombe(uint64_t successes_first, uint64_t n_first,
                                            uint64_t successes_second, uint64_t n_second,
                                            double level);

// Newcombe's interval for the difference of paired shares (his method 10 for pairs): numbers of
// items that both have right, only the first, only the second, neither. The correlation of the
// pairs enters with his continuity correction. Valid for every count. Within [-1, 1].
// INVALID_ARGUMENT for counts that are all 0 or sum to more than 2^53, or a level outside (0, 1).
// Method "newcombe_paired". Source: Newcombe (1998), Statist. Med. 17, 2635.
absl::StatusOr<ConfidenceInterval> NewcombePaired(uint64_t both, uint64_t only_first,
                                                  uint64_t only_second, uint64_t neither,
                                                  double level);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_UNPAIRED_H_
