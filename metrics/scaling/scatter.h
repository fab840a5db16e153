// Scatter between models beyond sampling error: tau.
//
//   y_i = (X beta)_i + e_i,  e_i ~ N(0, s_i^2 + tau^2)
//
// with known sampling variances s_i^2: a random effect a model. y are the residuals of a fitted law
// and X its Jacobian there (the linear model that the fit ends in; beta is estimated again for each
// tau), or y are values and X says which of them are replicates of one size.
//
// - The estimate is restricted maximum likelihood, REML (Patterson, Thompson 1971, Biometrika 58;
//   Viechtbauer 2005, J. Educ. Behav. Stat. 30), which allows for the p parameters. It is 0 only
//   where the residuals are no larger than sampling makes them.
// - Its interval is the Q-profile's (Viechtbauer 2007, Stat. Med. 26): all tau for which the least
//   sum of (y - X beta)^2 / (s^2 + tau^2) is an ordinary value of chi-squared with n - p degrees of
//   freedom. Exact for normal errors; with few points it is wide, and that is the truth.
//
// Where all s_i^2 are equal (also all 0: then tau is the whole scatter) both are closed formulas,
// 0.5 us; else 0.3 us a trial value of tau, about 100 of them. O(n p^2) each.
#ifndef MIRAGE_METRICS_SCALING_SCATTER_H_
#define MIRAGE_METRICS_SCALING_SCATTER_H_

#include <cstddef>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// What the scatter is estimated from.
struct ScatterProblem {
  // y, one value a model, finite.
  std::span<const double> values;
  // s_i^2 >= 0, finite, one a model; empty means all 0.
  std::span<const double> sampling_variances;
  // X, column by column, n x p; columns that others can make up for do not count. Used when
  // `groups` is empty; both empty means p = 0.
  std::span<const double> design;
  // Sizes of runs of replicates, their sum being n: X is one column a run.
  std::span<const size_t> groups;
};

// The estimate.
struct ScatterEstimate {
  // REML, >= 0, in the unit of the values.
  double tau = 0;
  // Ends of the Q-profile interval; the lower one may be 0, both are 0 where the residuals are much
  // smaller than sampling makes them.
  double lower = 0;
  double upper = 0;
  // Nominal coverage in (0, 1).
  double level = 0;
  // n - rank X, at least 1.
  size_t df = 0;
};

// INVALID_ARGUMENT, with the argument's name: a value or variance that is not finite, a negative
// variance, sizes that do not fit together, a level outside (0, 1). FAILED_PRECONDITION: no degrees
// of freedom (n <= rank X).
absl::StatusOr<ScatterEstimate> EstimateScatter(const ScatterProblem& problem, double level);

// The REML tau alone.
absl::StatusOr<double> EstimateTau(const ScatterProblem& problem);

// The tau of the ordinary maximum likelihood, and the log-likelihood there (constants included,
// beta's estimate being that of the tau): for comparing laws, as REML's likelihoods of different X
// are not comparable. Infinite where the residuals and the variances are all 0. Errors as above.
struct ScatterLikelihood {
  double tau = 0;
  double log_likelihood = 0;
};
absl::StatusOr<ScatterLikelihood> MaximizeScatterLikelihood(const ScatterProblem& problem);

// What is known of tau, for predictions that must not take the estimate for the truth: the
// restricted likelihood times the prior 1 / sqrt(s0^2 + tau^2), s0^2 the harmonic mean of the
// sampling variances, as `n_nodes` values of tau with weights that sum to 1. The prior is flat for
// tau below the sampling error, so that a tau near 0 is possible and not favoured; without sampling
// errors it is Jeffreys' 1 / tau, and the predictive distribution is Student's with n - p degrees
// of freedom. Empty where all values and variances are 0. Errors as above.
struct ScatterNode {
  double tau = 0;
  double weight = 0;
};
absl::StatusOr<std::vector<ScatterNode>> ScatterPosterior(const ScatterProblem& problem,
                                                          size_t n_nodes = 64);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_SCALING_SCATTER_H_
