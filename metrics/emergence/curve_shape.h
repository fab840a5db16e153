// The shape of a curve: sharpness and unpredictability, each measured on its own.
//
// "Emergent" has two halves. Sharp: most of the rise falls into a small part of the range of
// scales. Unpredictable: the largest models lie off what the smaller ones lead to expect. A curve
// can be one without the other. Scales enter by their logarithm throughout, values between two
// scales by linear interpolation in it.
//
// The window. A curve that jumps early and then stays at its ceiling is as sudden as one that jumps
// late, but over the whole range it looks early. So all is measured from the first scale up to the
// first one that reaches the ceiling.
//
// The plateaus. The ceiling is the best value of the curve, whatever the metric's own bound is:
// wrong golds put it below 1. A scale is at the ceiling if it lies no further below than a
// tolerance, which is two standard errors of the difference, but at least 5 % and at most 10 % of
// the curve's range (best minus worst value). At least 5 %, since values at a plateau scatter; at
// most 10 %, so that a small test set does not cut the rise away. The floor is the worst value of
// the window, by the same rule; the scales at the floor are those that lead the curve without a
// gap. A single best (worst) point is no plateau: `has_ceiling` and `has_floor` need two.
#ifndef MIRAGE_METRICS_EMERGENCE_CURVE_SHAPE_H_
#define MIRAGE_METRICS_EMERGENCE_CURVE_SHAPE_H_

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "metrics/emergence/curve.h"

namespace mirage::metrics {

// What makes a shape emergent: all three.
inline constexpr double kEmergentMaxH40 = 0.2;
// Of `ShapeOptions::metric_range`.
inline constexpr double kEmergentMinRise = 0.1;
// The rise in its standard errors: must be above.
inline constexpr double kEmergentMinErrors = 3;
// Where h40 is read, as a share of the window's range of ln(scale).
inline constexpr double kEarlyShare = 0.4;
// The tolerance of a plateau: in standard errors, and its bounds as shares of the curve's range.
inline constexpr double kPlateauErrors = 2;
inline constexpr double kPlateauMinShare = 0.05;
inline constexpr double kPlateauMaxShare = 0.1;
// Most points that can be held out.
inline constexpr int kMaxHoldOut = 2;

// How to look at a curve.
struct ShapeOptions {
  // Whether larger values are better. Rises are improvements, whichever it is.
  bool higher_is_better = true;
  // Differences between models beyond sampling error.
  Scatter scatter;
  // What a rise is measured against: the metric's best minus its worst value, > 0 and finite. 1 for
  // a share.
  double metric_range = 1;
  // Number of points, 1 or 2, at the window's upper end that are predicted from the earlier ones.
  int hold_out = 1;
};

// A point that was predicted from the earlier ones.
struct ExtrapolatedPoint {
  // Its place among the points.
  size_t index = 0;
  // The line's value there, in the metric's unit; may lie outside its bounds.
  double predicted = 0;
  // Standard deviation of (value - predicted), from the line's uncertainty and the point's own
  // error and scatter.
  double prediction_error = 0;
  // The difference in units of that, positive where the point is better than predicted. Infinite
  // where the error is 0 and the point lies off the line.
  double z = 0;
};

// The shape.
struct CurveShape {
  // The window is points[0 .. ceiling].
  size_t ceiling = 0;
  // Number of scales that stay at the ceiling, from `ceiling` on without a gap; at least 1.
  size_t n_at_ceiling = 0;
  // Number of scales at the floor, from the first one on without a gap; 0 where the first scale is
  // better than the floor (a curve that dips).
  size_t n_at_floor = 0;
  // At least two scales at the ceiling (floor). Scores that a plateau blows up are better computed
  // on points[max(n_at_floor, 1) - 1 .. ceiling].
  bool has_ceiling = false;
  bool has_floor = false;
  // Improvement over the window, in the metric's unit: value at the ceiling against the first one,
  // >= 0 but for rounding; 0 where the first scale is at the ceiling already.
  double rise = 0;
  // Its standard error, sampling and scatter of both ends. Absent where the sampling error of an
  // end is unknown and there is no scatter either.
  std::optional<double> rise_standard_error;
  // Share of the rise that is reached at 40 % of the window's range of ln(scale). A straight line
  // has .4; below 0 for a curve that dips first. Absent without a rise.
  std::optional<double> h40;
  // h40 <= .2, rise >= .1 metric_range, and rise > 3 standard errors. Where the standard error is
  // absent, the first two alone: see `rise_standard_error`.
  bool is_emergent = false;
  // Share of the rise that falls on the largest step between neighbours, and where that step
  // begins. May exceed 1 for a curve that dips. Absent without a rise.
  std::optional<double> largest_step_share;
  size_t largest_step = 0;
  // Distance in ln(scale) between the last scale at 10 % of the rise and the first at 90 %. A
  // straight line has .8 of its range. Absent without a rise.
  std::optional<double> width_10_90;
  // Whether a model lies inside that distance. If not, the true width may be anything from 0 to the
  // gap between the two neighbours.
  bool is_width_resolved = false;
  // The held-out points, ascending, predicted by a straight line in ln(scale) through the earlier
  // ones of the window: weighted by their errors, with the variance raised to what the residuals
  // show where that is more. Where an error is unknown (or 0) all points count alike, and the error
  // is the residuals' alone. Empty where fewer than three points are left to draw the line.
  std::vector<ExtrapolatedPoint> extrapolated;
  // Of these, the z that is largest in size: how unpredictable the end of the rise was. The error
  // of a line through few points is itself uncertain: with m of them z has about Student's
  // distribution on m - 2 degrees of freedom. Absent without extrapolated points.
  std::optional<double> unpredictability;
};

// The shape of a curve. INVALID_ARGUMENT: no points, bad points (CheckCurve), bad options, by their
// names. One point has a shape without a rise. O(M).
//
// Source: the two halves are those of Schaeffer et al. 2023 (arXiv 2304.15004), section 1; the
// measures and their thresholds are Mirage's own.
absl::StatusOr<CurveShape> ShapeOf(std::span<const CurvePoint> points, const ShapeOptions& options);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_CURVE_SHAPE_H_
