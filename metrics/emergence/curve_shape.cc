#include "metrics/emergence/curve_shape.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/emergence/curve.h"

namespace mirage::metrics {
namespace {

// Fewer leave no degree of freedom to judge the line by.
constexpr size_t kMinLinePoints = 3;

// The curve as all measures see it: larger is better, scales by their logarithm from the first.
struct View {
  std::vector<double> x;
  std::vector<double> y;
  // Sampling and scatter.
  std::vector<double> error;
};

View MakeView(std::span<const CurvePoint> points, const ShapeOptions& options) {
  View view;
  for (const CurvePoint& point : points) {
    view.x.push_back(std::log(point.scale) - std::log(points.front().scale));
    view.y.push_back(options.higher_is_better ? point.value : -point.value);
    view.error.push_back(TotalError(point, options.scatter));
  }
  return view;
}

double Tolerance(const View& view, size_t a, size_t b, double range) {
  return std::clamp(kPlateauErrors * std::hypot(view.error[a], view.error[b]),
                    kPlateauMinShare * range, kPlateauMaxShare * range);
}

// Where the segment from i to i + 1 takes the value `level`.
double Crossing(const View& view, size_t i, double level) {
  const double share = (level - view.y[i]) / (view.y[i + 1] - view.y[i]);
  return view.x[i] + share * (view.x[i + 1] - view.x[i]);
}

void FindPlateaus(const View& view, CurveShape& shape) {
  const auto best = std::max_element(view.y.begin(), view.y.end());
  const size_t top = static_cast<size_t>(best - view.y.begin());
  const double range = *best - *std::min_element(view.y.begin(), view.y.end());
  const auto at_ceiling = [&](size_t i) {
    return view.y[i] >= *best - Tolerance(view, i, top, range);
  };
  while (!at_ceiling(shape.ceiling)) ++shape.ceiling;
  size_t end = shape.ceiling;
  while (end < view.y.size() && at_ceiling(end)) ++end;
  shape.n_at_ceiling = end - shape.ceiling;
  shape.has_ceiling = shape.n_at_ceiling >= 2;

  const auto window_end = view.y.begin() + static_cast<std::ptrdiff_t>(shape.ceiling) + 1;
  const auto worst = std::min_element(view.y.begin(), window_end);
  const size_t bottom = static_cast<size_t>(worst - view.y.begin());
  while (shape.n_at_floor < shape.ceiling &&
         view.y[shape.n_at_floor] <= *worst + Tolerance(view, shape.n_at_floor, bottom, range)) {
    ++shape.n_at_floor;
  }
  shape.has_floor = shape.n_at_floor >= 2;
}

void MeasureSharpness(const View& view, CurveShape& shape) {
  const double start = view.y[0];
  const auto share = [&](double value) { return (value - start) / shape.rise; };
  const double early = kEarlyShare * view.x[shape.ceiling];
  size_t segment = 0;
  while (segment + 1 < shape.ceiling && view.x[segment + 1] < early) ++segment;
  const double along = (early - view.x[segment]) / (view.x[segment + 1] - view.x[segment]);
  shape.h40 = share(view.y[segment] + along * (view.y[segment + 1] - view.y[segment]));

  double largest = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < shape.ceiling; ++i) {
    if (view.y[i + 1] - view.y[i] > largest) {
      largest = view.y[i + 1] - view.y[i];
      shape.largest_step = i;
    }
  }
  shape.largest_step_share = largest / shape.rise;

  const double low = start + 0.1 * shape.rise;
  const double high = start + 0.9 * shape.rise;
  size_t upper = 0;
  while (view.y[upper + 1] < high) ++upper;
  size_t lower = upper;
  while (view.y[lower] > low) --lower;
  const double from = Crossing(view, lower, low);
  const double to = Crossing(view, upper, high);
  shape.width_10_90 = to - from;
  shape.is_width_resolved = lower < upper;
}

// Predicts points[window - hold_out .. window - 1] from those before.
void Extrapolate(const View& view, std::span<const CurvePoint> points, const ShapeOptions& options,
                 CurveShape& shape) {
  const size_t window = shape.ceiling + 1;
  const size_t held_out = static_cast<size_t>(options.hold_out);
  if (window < kMinLinePoints + held_out) return;
  const size_t fitted = window - held_out;
  bool weighted = true;
  for (size_t i = 0; i < window; ++i) {
    weighted &= view.error[i] > 0 && (HasError(points[i]) || options.scatter.tau > 0);
  }
  const auto weight = [&](size_t i) {
    return weighted ? 1 / (view.error[i] * view.error[i]) : 1.0;
  };
  double sum = 0, mean_x = 0, mean_y = 0;
  for (size_t i = 0; i < fitted; ++i) {
    sum += weight(i);
    mean_x += weight(i) * view.x[i];
    mean_y += weight(i) * view.y[i];
  }
  mean_x /= sum;
  mean_y /= sum;
  double s_xx = 0, s_xy = 0;
  for (size_t i = 0; i < fitted; ++i) {
    s_xx += weight(i) * (view.x[i] - mean_x) * (view.x[i] - mean_x);
    s_xy += weight(i) * (view.x[i] - mean_x) * (view.y[i] - mean_y);
  }
  const double slope = s_xy / s_xx;
  double squares = 0, size = 0;
  for (size_t i = 0; i < window; ++i) size = std::max(size, std::abs(view.y[i]));
  for (size_t i = 0; i < fitted; ++i) {
    double residual = view.y[i] - mean_y - slope * (view.x[i] - mean_x);
    // What is left of points on a line is rounding.
    if (std::abs(residual) < 1e-14 * size) residual = 0;
    squares += weight(i) * residual * residual;
  }
  const double per_degree = squares / static_cast<double>(fitted - 2);
  const double inflation = weighted ? std::max(1.0, per_degree) : per_degree;
  for (size_t i = fitted; i < window; ++i) {
    const double distance = view.x[i] - mean_x;
    const double own = weighted ? 1 / weight(i) : per_degree;
    ExtrapolatedPoint point;
    point.index = i;
    point.prediction_error = std::sqrt(inflation * (1 / sum + distance * distance / s_xx) + own);
    const double predicted = mean_y + slope * distance;
    point.predicted = options.higher_is_better ? predicted : -predicted;
    double off = view.y[i] - predicted;
    if (std::abs(off) < 1e-13 * size) off = 0;
    point.z = off == 0 ? 0 : off / point.prediction_error;
    shape.extrapolated.push_back(point);
    if (std::abs(point.z) >= std::abs(shape.unpredictability.value_or(0))) {
      shape.unpredictability = point.z;
    }
  }
}

absl::Status Check(std::span<const CurvePoint> points, const ShapeOptions& options) {
  if (points.empty()) {
    return absl::InvalidArgumentError("points is empty: at least one is needed");
  }
  if (absl::Status status = CheckCurve(points); !status.ok()) return status;
  if (absl::Status status = CheckScatter(options.scatter); !status.ok()) return status;
  if (!(options.metric_range > 0) || std::isinf(options.metric_range)) {
    return absl::InvalidArgumentError(
        fmt::format("options.metric_range is {}: must be > 0 and finite", options.metric_range));
  }
  if (options.hold_out < 1 || options.hold_out > kMaxHoldOut) {
    return absl::InvalidArgumentError(
        fmt::format("options.hold_out is {}: must be 1 or {}", options.hold_out, kMaxHoldOut));
  }
  const auto [least, most] = std::minmax_element(
      points.begin(), points.end(),
      [](const CurvePoint& a, const CurvePoint& b) { return a.value < b.value; });
  if (std::isinf(most->value - least->value)) {
    return absl::InvalidArgumentError(
        "points: values span more than the largest double: give them in a larger unit");
  }
  for (size_t i = 1; i < points.size(); ++i) {
    if (!(std::log(points[i].scale) > std::log(points[i - 1].scale))) {
      return absl::InvalidArgumentError(
          fmt::format("points[{}].scale is {} after {}: scales must differ by more than rounding",
                      i, points[i].scale, points[i - 1].scale));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CurveShape> ShapeOf(std::span<const CurvePoint> points,
                                   const ShapeOptions& options) {
  if (absl::Status status = Check(points, options); !status.ok()) return status;
  const View view = MakeView(points, options);
  CurveShape shape;
  FindPlateaus(view, shape);
  shape.rise = view.y[shape.ceiling] - view.y[0];
  const auto is_known = [&](size_t i) { return HasError(points[i]) || options.scatter.tau > 0; };
  if (is_known(0) && is_known(shape.ceiling)) {
    shape.rise_standard_error = std::hypot(view.error[0], view.error[shape.ceiling]);
  }
  if (shape.rise > 0) {
    MeasureSharpness(view, shape);
    shape.is_emergent = *shape.h40 <= kEmergentMaxH40 &&
                        shape.rise >= kEmergentMinRise * options.metric_range &&
                        (!shape.rise_standard_error.has_value() ||
                         shape.rise > kEmergentMinErrors * *shape.rise_standard_error);
  }
  Extrapolate(view, points, options, shape);
  return shape;
}

}  // namespace mirage::metrics
