// Adjusted p-values for several tests at once.
//
// An adjusted p-value is the smallest error rate at which its own test would be rejected, so it is
// compared with that rate directly: adjusted[i] <= 0.05. All are in [0, 1], in the order of the
// input, never below the p-value they adjust, and keep its order (equal ones stay equal).
#ifndef MIRAGE_METRICS_STATS_MULTIPLICITY_H_
#define MIRAGE_METRICS_STATS_MULTIPLICITY_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// How to adjust. With m tests, p(1) <= p(2) <= ... and the rank i of a p-value among them:
enum class Adjustment {
  // min(1, m p). Family-wise error under any dependence. Source: Dunn (1961), JASA 56.
  kBonferroni,
  // max over j <= i of (m - j + 1) p(j). Family-wise error under any dependence, never larger than
  // Bonferroni's. Source: Holm (1979), Scand. J. Statist. 6.
  kHolm,
  // min over j >= i of (m - j + 1) p(j). Family-wise error for independent or positively dependent
  // tests (Simes' inequality must hold). Source: Hochberg (1988), Biometrika 75.
  kHochberg,
  // min over j >= i of m p(j) / j. False discovery rate for independent or positively dependent
  // tests. Source: Benjamini and Hochberg (1995), JRSS B 57.
  kBenjaminiHochberg,
  // The one above times 1 + 1/2 + ... + 1/m. False discovery rate under any dependence, such as
  // tasks that share models. Source: Benjamini and Yekutieli (2001), Ann. Statist. 29.
  kBenjaminiYekutieli,
};

// Adjusts `p_values` for `n_tests` tests; without it, for as many as there are p-values.
//
// A larger n_tests says that tests were made that are not in the list ("look elsewhere"): they
// count as tests with p = 1. That is safe for every method as long as the list was not chosen by
// anything but its own p-values being small, because a p-value raised to 1 is still valid and can
// only take rejections away. Where the choice had other reasons that depend on the data, the two
// methods that hold under any dependence of their kind (Holm, Benjamini-Yekutieli) stay valid.
//
// Empty in, empty out. INVALID_ARGUMENT for a p-value that is NaN or outside [0, 1] (leave a test
// that could not be made out, and count it in n_tests if it would have been reported), for n_tests
// below the number of p-values, and for one above 2^53. Complexity: O(k log k) for k p-values.
absl::StatusOr<std::vector<double>> AdjustPValues(std::span<const double> p_values,
                                                  Adjustment method,
                                                  std::optional<uint64_t> n_tests = std::nullopt);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_MULTIPLICITY_H_
