// Whether a difference stays significant when it is the best of several that were tried.
//
// The best of n prompts, checkpoints or settings looks good by construction. These functions ask
// whether it is better than the best of n tries without any effect would be expected to be. What a
// return is in finance is a document's score difference here, and what the Sharpe ratio is there is
// the standardized delta, mean over standard deviation of the differences.
//
// Source: Bailey and Lopez de Prado, "The Sharpe ratio efficient frontier" (2012), J. Risk 15, for
// the probabilistic figure; "The deflated Sharpe ratio" (2014), J. Portfolio Management 40, for the
// expected maximum and the deflated one. The same conventions as deltagate 0.1.1, whose normal
// quantile is an approximation (relative error 1e-9) and exact here.
//
// Input: `differences`, a model's score less the other's on the same document, one a document, of
// documents that are independent; their order does not matter, to the last bit. Differences and
// arguments must be finite. Every function returns INVALID_ARGUMENT, with the argument's name and
// the remedy, where that or what its comment asks for does not hold. Complexity: O(n).
#ifndef MIRAGE_METRICS_STATS_DEFLATION_H_
#define MIRAGE_METRICS_STATS_DEFLATION_H_

#include <cstdint>
#include <span>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// mean / standard deviation (n - 1) of the differences: Cohen's d_z; times sqrt(n) it is Student's
// paired statistic. At least 2 differences that are not all equal.
absl::StatusOr<double> StandardizedDelta(std::span<const double> differences);

// The confidence, in [0, 1], that the true standardized delta exceeds `benchmark`:
//   Phi((d - benchmark) sqrt(n - 1) / sqrt(1 - g3 d + (g4 - 1) / 4 d^2)),
// d the observed standardized delta, g3 and g4 the means of ((x - mean) / sd)^3 and ^4 with the sd
// of n - 1 (g4 is 3 for normal differences). The terms in g3 and g4 matter for 0/1 scores, whose
// differences are far from normal. An approximation for large n: it asks for at least 4
// differences and is to be trusted from some dozens on.
absl::StatusOr<double> ProbabilisticDelta(std::span<const double> differences,
                                          double benchmark = 0);

// The largest standardized delta expected of `n_trials` >= 1 independent tries without an effect,
// whose standardized deltas have the variance `trial_variance` >= 0:
//   sqrt(variance) ((1 - g) z(1 / n) + g z(1 / (n e))),
// z(p) the upper p point of the normal distribution, g Euler's constant. 0 for one trial. Within 3
// % of the exact expectation for n >= 3; at n = 2 it is 0.520 where that is 0.564. Of tries that
// are positively dependent, such as those on shared documents, less is expected at the same
// variance.
absl::StatusOr<double> ExpectedMaxStandardizedDelta(uint64_t n_trials, double trial_variance);

// ProbabilisticDelta against the benchmark ExpectedMaxStandardizedDelta: the confidence that the
// chosen one of `n_trials` is better than luck. Near 1: it survives the choice; 0.5 or less: the
// best of n without an effect would look as good. `differences` are those of the chosen one.
absl::StatusOr<double> DeflatedDelta(std::span<const double> differences, uint64_t n_trials,
                                     double trial_variance);

// The same with the variance (n - 1) taken from the standardized deltas of all trials, which are at
// least 2 finite numbers; n_trials is their number.
absl::StatusOr<double> DeflatedDelta(std::span<const double> differences,
                                     std::span<const double> trial_deltas);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_DEFLATION_H_
