// Small nonlinear least squares: up to 16 parameters, tens to hundreds of residuals.
//
// The minimiser is Eigen's port of MINPACK's lmder (Levenberg-Marquardt with a trust region and a
// QR decomposition: More 1978, "The Levenberg-Marquardt algorithm: implementation and theory");
// from both of NIST's starts it finds the certified values of all 27 StRD problems to 6 digits or
// more. Around it:
// - Losses. Huber's and Student's are minimised as squares of transformed residuals, sign(r)
//   sqrt(2 rho(r)): the same objective, so that nothing is approximated. Student's scale is found
//   by profiling: the scale that is most likely for the residuals, then the residuals for the
//   scale, in turn until both stand.
// - Bounds. The search is for z, a bounded parameter being lower + s (sqrt(z^2 + 1) - 1) or middle
//   + half range * sin(z). The derivative vanishes on a bound, so that a parameter that the search
//   leaves close to one, or that still has a slope outwards, is then put on it, the others are
//   fitted again, and the sign of its gradient is checked (Karush-Kuhn-Tucker); a wrong one frees
//   it.
// - A polish with Newton steps on the parameters themselves, each kept only if it lowers the
//   gradient.
//
// Deterministic: no random numbers, one thread, the same bits for the same input. Complexity: O(n
// p^2) an iteration; about 5 us for 8 residuals and 3 parameters.
#ifndef MIRAGE_METRICS_SCALING_LEAST_SQUARES_H_
#define MIRAGE_METRICS_SCALING_LEAST_SQUARES_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

namespace mirage::metrics {

// The most parameters a problem may have.
inline constexpr size_t kMaxParameters = 16;

// What a residual r costs.
enum class Loss : uint8_t {
  // r^2 / 2.
  kSquared,
  // r^2 / 2 up to |r| = delta, delta (|r| - delta / 2) above. Source: Huber (1964), Ann. Math.
  // Statist. 35. Not a likelihood here: it has no AICc.
  kHuber,
  // Minus the log density of a Student distribution with fixed degrees of freedom, whose scale is
  // estimated by maximum likelihood. For comparing laws where there may be outliers. Source: Lange,
  // Little, Taylor (1989), JASA 84.
  kStudentT,
};

// Where a parameter may lie; either end may be infinite. lower < upper.
struct ParameterBounds {
  double lower = -std::numeric_limits<double>::infinity();
  double upper = std::numeric_limits<double>::infinity();
};

// How to fit.
struct LeastSquaresOptions {
  Loss loss = Loss::kSquared;
  // Of Huber's loss, > 0, in the unit of the residuals.
  double huber_delta = 1;
  // Of Student's loss, > 0.
  double student_df = 4;
  // kSquared only: the residuals were divided by their known standard errors, so that their
  // variance is 1. Otherwise it is estimated as RSS / (n - p).
  bool unit_errors = false;
  // Evaluations of the residuals for each start, at least 1.
  int max_evaluations = 5000;
  // With more starts than this, those with the lowest objective are run, at least 1.
  int max_runs = 16;
  // Stops when so many runs have reached the lowest objective, as n_agreeing counts; 0 means never.
  int enough_agreeing = 0;
};

// What is known of one parameter after the fit.
enum class ParameterState : uint8_t {
  // Estimated.
  kFree,
  kOnLowerBound,
  kOnUpperBound,
  // The residuals do not change with it, or not in a way that others could not make up for
  // (singular
  // value of the scaled Jacobian below 1e-11 of the largest).
  kNotIdentified,
};

// The result.
struct LeastSquaresFit {
  std::vector<double> parameters;
  std::vector<ParameterState> states;
  // At the parameters, as the function gave them.
  std::vector<double> residuals;
  // Column-major, n x p.
  std::vector<double> jacobian;
  // Row-major, p x p; NaN in the rows and columns of parameters that are not kFree, which the
  // others' take as fixed, and everywhere where the fit has no degrees of freedom left for a
  // variance. p is the rank of the columns of J that are not on a bound.
  // - kSquared: s^2 (J'J)^-1, s^2 = RSS / (n - p), or 1 with unit_errors.
  // - kHuber: K^2 [sum psi^2 / (n - p)] / m^2 (J'J)^-1, K = 1 + p/n (1 - m) / m, m = mean psi', the
  //   share of residuals within delta; NaN when there are none. Source: Huber (1981), "Robust
  //   Statistics", section 7.6.
  // - kStudentT: sigma^2 (df + 3) / (df + 1) (J'J)^-1, from the expected information. Source:
  //   Lange, Little, Taylor (1989).
  std::vector<double> covariance;
  // Sum of what the residuals cost.
  double objective = 0;
  // Of the Gaussian (variance RSS / n, or 1 with unit_errors) or Student model, constants included.
  // Absent for kHuber, and where the residuals are all 0.
  std::optional<double> log_likelihood;
  // Parameters that the likelihood has: p, and the scale where it is estimated.
  size_t n_likelihood_parameters = 0;
  // Root mean square of the residuals, sqrt(RSS / n); Student's scale for kStudentT.
  double scale = 0;
  // Whether the gradient vanishes: the part of the (transformed) residuals that lies in the plane
  // of the Jacobian's free columns is below 1e-6 of them, or its step below 1e-9 of the parameters.
  bool converged = false;
  // Which start led here, from 0.
  size_t start = 0;
  // How many of the starts that were run reached this objective to a relative 1e-6.
  size_t n_agreeing = 0;
  // Over all starts.
  int n_evaluations = 0;

  // Square root of the variance of parameter i; absent where covariance is NaN.
  std::optional<double> standard_error(size_t i) const;
};

// The residuals at `parameters`, and when `jacobian` is not empty their derivatives: column by
// column, d residuals[i] / d parameters[j] at [j * n + i]. Where they cannot be computed, a NaN or
// an infinity among them tells so, and the search turns back.
using ResidualFunction = absl::FunctionRef<void(
    std::span<const double> parameters, std::span<double> residuals, std::span<double> jacobian)>;

// Fits from each of `starts` and returns the fit with the lowest objective; of objectives within
// 1e-9 of it the first converged one. `bounds` is empty or has one element a parameter; a start on
// a bound or outside is moved inside.
//
// INVALID_ARGUMENT, with the argument's name: no starts, starts of unequal length, none or more
// than kMaxParameters parameters, a start that is not finite, bounds that are NaN, reversed or of
// another number, options out of range, fewer residuals than parameters. FAILED_PRECONDITION: the
// residuals are not finite at any start; the fit ran off (a parameter above 1e15, or 1e12 times its
// start: the objective has no minimum; bound it); for kStudentT, (n - p)(df + 1) <= n, where the
// likelihood is unbounded: a curve through p points makes the scale 0.
absl::StatusOr<LeastSquaresFit> FitLeastSquares(size_t n_residuals, ResidualFunction function,
                                                std::span<const std::vector<double>> starts,
                                                std::span<const ParameterBounds> bounds,
                                                const LeastSquaresOptions& options);

// `count` points in the box from `lower` to `upper`, spread evenly: the additive recurrence of
// Roberts (2018) with the generalised golden ratio, from the middle on. For more starts than a
// caller can think of. `lower` and `upper` must be finite and of the same length, else empty.
std::vector<std::vector<double>> SpreadStarts(std::span<const double> lower,
                                              std::span<const double> upper, size_t count);

// Akaike's criterion, corrected for small samples: 2k - 2 log L + 2k (k + 1) / (n - k - 1), k
// counting the scale. Absent when n <= k + 1. Source: Hurvich, Tsai (1989), Biometrika 76.
std::optional<double> CorrectedAkaike(double log_likelihood, size_t n_parameters, size_t n_points);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_SCALING_LEAST_SQUARES_H_
