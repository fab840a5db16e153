#include "metrics/emergence/curve.h"

#include <algorithm>
#include <boost/random/normal_distribution.hpp>
#include <cmath>
#include <cstddef>
#include <span>

#include "absl/status/status.h"
#include "fmt/format.h"
#include "metrics/stats/binomial_draw.h"
#include "metrics/stats/max_count.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

double DrawNormal(CounterRng& rng) { return boost::random::normal_distribution<double>()(rng); }

}  // namespace

absl::Status CheckCurve(std::span<const CurvePoint> points) {
  for (size_t i = 0; i < points.size(); ++i) {
    const CurvePoint& point = points[i];
    if (!(point.scale > 0) || std::isinf(point.scale)) {
      return absl::InvalidArgumentError(
          fmt::format("points[{}].scale is {}: scales must be > 0 and finite", i, point.scale));
    }
    if (i > 0 && point.scale <= points[i - 1].scale) {
      return absl::InvalidArgumentError(
          fmt::format("points[{}].scale is {} after {}: scales must ascend; sort the points, and "
                      "make one point of replicates",
                      i, point.scale, points[i - 1].scale));
    }
    if (!std::isfinite(point.value)) {
      return absl::InvalidArgumentError(
          fmt::format("points[{}].value is {}: must be finite; leave the model out and say why", i,
                      point.value));
    }
    if (point.binomial_n > kMaxCount) {
      return absl::InvalidArgumentError(
          fmt::format("points[{}].binomial_n is {}: must be <= 2^53", i, point.binomial_n));
    }
    if (point.binomial_n > 0 && !(point.value >= 0 && point.value <= 1)) {
      return absl::InvalidArgumentError(
          fmt::format("points[{}].value is {}: a share must be in [0, 1]; give `standard_error` "
                      "instead of `binomial_n` where the metric is no share",
                      i, point.value));
    }
    if (point.standard_error.has_value() &&
        (!(*point.standard_error >= 0) || std::isinf(*point.standard_error))) {
      return absl::InvalidArgumentError(
          fmt::format("points[{}].standard_error is {}: must be finite and >= 0, or absent", i,
                      *point.standard_error));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckScatter(const Scatter& scatter) {
  if (!(scatter.tau >= 0) || std::isinf(scatter.tau)) {
    return absl::InvalidArgumentError(
        fmt::format("scatter.tau is {}: must be finite and >= 0", scatter.tau));
  }
  if (scatter.kind == ScatterKind::kPower &&
      !(scatter.lower < scatter.upper && std::isfinite(scatter.upper - scatter.lower))) {
    return absl::InvalidArgumentError(fmt::format(
        "scatter.lower is {} and scatter.upper is {}: must be finite and lower < upper; choose "
        "another kind for a metric without bounds",
        scatter.lower, scatter.upper));
  }
  return absl::OkStatus();
}

bool HasError(const CurvePoint& point) {
  return point.binomial_n > 0 || point.standard_error.has_value();
}

double SamplingError(const CurvePoint& point) {
  if (point.binomial_n == 0) return point.standard_error.value_or(0);
  const double n = static_cast<double>(point.binomial_n);
  const double share = (point.value * n + 0.5) / (n + 1);
  return std::sqrt(share * (1 - share) / n);
}

double ScatterError(double value, const Scatter& scatter) {
  switch (scatter.kind) {
    case ScatterKind::kAdditive:
      return scatter.tau;
    case ScatterKind::kProportional:
      return scatter.tau * std::abs(value);
    case ScatterKind::kPower:
      break;
  }
  const double range = scatter.upper - scatter.lower;
  const double z = (value - scatter.lower) / range;
  return z > 0 && z < 1 ? scatter.tau * range * -z * std::log(z) : 0;
}

double TotalError(const CurvePoint& point, const Scatter& scatter) {
  return std::hypot(SamplingError(point), ScatterError(point.value, scatter));
}

double DrawValue(double truth, const CurvePoint& point, const Scatter& scatter, CounterRng& rng) {
  double mean = truth;
  if (scatter.tau > 0) {
    const double log_factor = scatter.tau * DrawNormal(rng);
    switch (scatter.kind) {
      case ScatterKind::kAdditive:
        mean += log_factor;
        break;
      case ScatterKind::kProportional:
        mean *= std::exp(log_factor);
        break;
      case ScatterKind::kPower: {
        const double range = scatter.upper - scatter.lower;
        const double z = (mean - scatter.lower) / range;
        if (z > 0 && z < 1) mean = scatter.lower + range * std::pow(z, std::exp(log_factor));
        break;
      }
    }
  }
  if (point.binomial_n > 0) {
    const double share = std::clamp(mean, 0.0, 1.0);
    return static_cast<double>(DrawBinomial(point.binomial_n, share, rng)) /
           static_cast<double>(point.binomial_n);
  }
  const double error = point.standard_error.value_or(0);
  return error > 0 ? mean + error * DrawNormal(rng) : mean;
}

}  // namespace mirage::metrics
