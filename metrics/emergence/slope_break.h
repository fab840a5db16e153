// Does a scaling law break? The test behind a verdict.
//
// Let x = ln scale and y = ln(mean negative log-likelihood of a gold token), or what stands for it.
// A power law is a line in (x, y), its exponent the slope a = -dy/dx. Every mixture of power laws
// with positive weights, and every floor, is convex in (x, y): a falls. So only a *rise* of a says
// that something set in that was not there before; and only a rise within a narrow range says that
// it set in suddenly. This header measures the steepest rise of a within a window, and how sure it
// is.
//
// Model of a curve, of which each part may be absent:
//
//   y = b - a x - D w softplus((x - c) / w) + E v softplus((x - d) / v),    D, E >= 0, d >= c
//
// One softplus of width w is exactly a power law that leaves a plateau (D = 1 / w) or that runs
// into a floor (E = 1 / v); w -> 0 is a hinge. 10 to 90 % of the rise of a happens within 4.39 w.
//
// The break's window is a third of the sampled range of x, or two gaps between scales where that is
// more. `rise` is the rise of a inside the window: D where 10 to 90 % of it fits into the window,
// less for wider bends. It is no break where a wide bend accelerates a law over most of the range.
//
// Errors: y has the sampling variance given, and a scatter between models, tau, that nobody knows:
// it is integrated out over 0.005 to 0.5, log-uniformly. One of up to 20 models may not follow the
// law at all (probability 2 % each, by a factor of about 2 on the likelihood). The posterior is
// summed over a grid of c, w, d, v, tau and outliers; b and a have flat priors, D and E half-normal
// ones of width 1.5, and half of the prior has no rise at all.
//
// Beside the posterior stands a classical test: the better of two sup-F statistics over all knots
// with at least three scales before and two after, both one-sided: a hinge against a line; and a
// step, which is a rise and a fall after it, against a line that has the fall alone (a curve that
// drops from one plateau to another is hardly a hinge). The second one needs six models; a step
// after which y rises is not looked at. The null distribution of the better one is that of
// parametric bootstraps from the line. A knot is not identified under the null, so that neither a
// chi-squared distribution nor AICc holds.
//
// Sources: Andrews (1993), Econometrica 61, 821-856 (sup tests with an unidentified knot); Westfall
// and Young (1993), Resampling-Based Multiple Testing, algorithm 2.5 (the better of two tests);
// Caballero et al. 2023 (arXiv 2210.14891) for smoothly broken laws; the window, the prior and the
// thresholds are Mirage's own, calibrated in docs/calibration.md.
#ifndef MIRAGE_METRICS_EMERGENCE_SLOPE_BREAK_H_
#define MIRAGE_METRICS_EMERGENCE_SLOPE_BREAK_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {

// Least rise of the exponent that is a break.
inline constexpr double kBreakMinRise = 0.3;
// Least probability of one that is called so, beside the sup-F test.
inline constexpr double kBreakProbability = 0.6;
// Distinct scales that the test needs, and on either side of a knot.
inline constexpr size_t kBreakMinScales = 5;
inline constexpr size_t kBreakScalesBefore = 3;
inline constexpr size_t kBreakScalesAfter = 2;
// Models among which one that follows no law is looked for; above, one has little weight.
inline constexpr size_t kMaxModelsWithOutlier = 20;

// One model.
struct LawPoint {
  // ln(scale), finite. Replicates share it.
  double x = 0;
  // ln of the quantity that falls with scale, finite.
  double y = 0;
  // Sampling variance of y, >= 0 and finite; 0 where it is unknown: the scatter then stands for
  // both.
  double variance = 0;
};

struct BreakOptions {
  // Same seed, same points: same bits.
  uint64_t seed = 0;
  // Bootstrap replicates of the sup-F test, 0 (no test) to 100 000.
  int replicates = 999;
  // Whether the three scales must lie before the onset of the rise (where 10 % of it is reached)
  // instead of before its middle, for the posterior and for the knots. For curves that begin on a
  // plateau: there a bend that sets in at the second scale is no break of a law that three scales
  // have shown.
  bool is_before_onset = false;
};

// What was found.
struct BreakEvidence {
  size_t n_points = 0;
  size_t n_scales = 0;
  // Whether there are scales enough for a break; if not, all that follows is empty.
  bool is_testable = false;
  // In ln(scale).
  double window = 0;

  // P(the exponent rises by kBreakMinRise or more and 10 to 90 % of it fits into the window): all
  // of it, and what has three scales before and two after.
  double p_break = 0;
  double p_resolved_break = 0;
  // P(rise >= kBreakMinRise), wide bends included.
  double p_rise = 0;
  // 5, 50 and 95 % quantiles of the rise inside the window; 0 where most of the posterior has none.
  double rise_lower = 0;
  double rise_median = 0;
  double rise_upper = 0;
  // Of the breaks: mean place in ln(scale), and mean 10-90 % width of the rise. Absent where the
  // posterior has none.
  std::optional<double> break_x;
  std::optional<double> break_width;
  // Scatter between models: posterior median, 5 and 95 % quantiles.
  double tau = 0;
  double tau_lower = 0;
  double tau_upper = 0;
  // The model that most probably follows no law, as its place in the points, and that probability.
  std::optional<size_t> outlier;
  double outlier_probability = 0;

  // The sup-F statistic of a hinge (>= 0, infinite for an exact one), its knot in ln(scale), and
  // the rise of the exponent there; that of a step; and the p-value in (0, 1] of the better of
  // both.
  double sup_f = 0;
  double step_f = 0;
  double p_value = 1;
  double knot = 0;
  double hinge_rise = 0;
  // Least rise of the best hinge when any one model is left out, of the cases in which a test is
  // possible; Infinity where none is.
  double leave_one_out_rise = 0;
};

// The law that has no break, as the posterior knows it.
struct SmoothPrediction {
  // Of y, at the place asked for: mean, and standard deviation of the law alone.
  double mean = 0;
  double law_sd = 0;
  // Scatter of one more model around it.
  double scatter = 0;
};

// One law of the posterior.
struct LawDraw {
  // y at `x`, without scatter.
  double At(double x) const;

  // The line: value at mean_x, and slope.
  double mean_x = 0;
  double value = 0;
  double slope = 0;
  // The rise of the exponent, as the model above has it (D c w), and the fall (E d v); 0 for none.
  double rise = 0;
  double rise_x = 0;
  double rise_width = 0;
  double fall = 0;
  double fall_x = 0;
  double fall_width = 0;
  // Scatter of a model around it.
  double tau = 0;
};

// Probability that a further model follows no law, and its standard deviation in y then.
inline constexpr double kOutlierShare = 0.02;
inline constexpr double kOutlierSd = 0.7;

// The posterior of one curve. Immutable.
class SlopeBreak {
 public:
  // INVALID_ARGUMENT, with the point's place: an x or y that is not finite, a variance that is
  // negative or not finite; options out of range. Fewer than two distinct x: FAILED_PRECONDITION.
  // With fewer than kBreakMinScales scales only the laws without a rise are fitted. Points may come
  // in any order; the result does not depend on it. About 20 ms for 8 models.
  static absl::StatusOr<SlopeBreak> Create(std::span<const LawPoint> points,
                                           const BreakOptions& options);

  const BreakEvidence& evidence() const { return evidence_; }

  // What the laws without a break (rise < kBreakMinRise) say at `x`, weighted by the posterior.
  SmoothPrediction PredictSmooth(double x) const;

  // Draws a law, with or without a break. O(cells): some microseconds.
  LawDraw Draw(CounterRng& rng) const;

 private:
  // One cell of the grid with some weight in the posterior.
  struct Cell {
    // P(rise < size) in this cell; 1 where it has none.
    double BelowRise(double size) const;

    double weight = 0;
    double tau = 0;
    int outlier = -1;
    // The rise of the exponent: place, width of the softplus (0 for a hinge), the share of it that
    // counts as inside the window (0 where the law has no rise), posterior mean and variance before
    // they are cut off at 0.
    double c = 0;
    double w = 0;
    double share = 0;
    bool is_resolved = false;
    double rise = 0;
    double rise_variance = 0;
    // The fall, and the covariance of both.
    bool has_fall = false;
    double d = 0;
    double v = 0;
    double fall = 0;
    double fall_variance = 0;
    double covariance = 0;
    // The lines, by value at mean_x and slope, that y, the rise and the fall hold by weighted least
    // squares; `one` and `square` are the sum of the weights and their second moment about mean_x.
    double mean_x = 0;
    double one = 0;
    double square = 0;
    double line_y[2] = {};
    double line_rise[2] = {};
    double line_fall[2] = {};
  };
  class Fitter;

  SlopeBreak() = default;

  std::vector<Cell> cells_;
  BreakEvidence evidence_;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_SLOPE_BREAK_H_
