#include "metrics/emergence/law_quantity.h"

#include <cmath>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"

namespace mirage::metrics {
namespace {

// The worst and the best value.
struct Range {
  double worst;
  double best;
};

Range RangeOf(const CurveMetric& metric, std::optional<double> unit_length) {
  const double upper = unit_length ? *unit_length : metric.upper_bound;
  if (metric.higher_is_better) return {metric.lower_bound, upper};
  return {upper, metric.lower_bound};
}

}  // namespace

LawScale LawScaleOf(const CurveMetric& metric, std::optional<double> unit_length) {
  const Range range = RangeOf(metric, unit_length);
  const bool is_bounded = std::isfinite(range.worst) && std::isfinite(range.best);
  if (metric.higher_is_better) {
    if (is_bounded) return LawScale::kLogShare;
    return range.best == 0 ? LawScale::kNegated : LawScale::kNone;
  }
  if (!std::isfinite(range.best)) return LawScale::kNone;
  if (is_bounded && metric.linear_in_token_error) return LawScale::kLogRest;
  if (range.best == 1 && !is_bounded) return LawScale::kLog;
  return range.best == 0 ? LawScale::kValue : LawScale::kNone;
}

absl::StatusOr<LawQuantity> ToLawQuantity(const CurveMetric& metric, LawScale scale,
                                          std::optional<double> unit_length, double value,
                                          std::optional<double> standard_error) {
  if (!std::isfinite(value)) {
    return absl::OutOfRangeError(fmt::format("{} is no number that a law can be fitted to", value));
  }
  const Range range = RangeOf(metric, unit_length);
  double q = 0;
  // |dq / dvalue|.
  double slope = 0;
  switch (scale) {
    case LawScale::kNone:
      return absl::InvalidArgumentError("a metric without a best value has no law in ln q");
    case LawScale::kValue:
      q = value;
      slope = 1;
      break;
    case LawScale::kNegated:
      q = -value;
      slope = 1;
      break;
    case LawScale::kLogShare:
    case LawScale::kLogRest: {
      const double share = (value - range.worst) / (range.best - range.worst);
      q = -std::log(share);
      slope = 1 / (share * std::abs(range.best - range.worst));
      break;
    }
    case LawScale::kLog:
      q = std::log(value);
      slope = 1 / value;
      break;
  }
  if (!(q > 0 && std::isfinite(q))) {
    return absl::OutOfRangeError(
        fmt::format("{} is at or beyond the metric's {} value: its logarithm is not finite", value,
                    q <= 0 ? "best" : "worst"));
  }
  LawQuantity quantity;
  quantity.log_q = std::log(q);
  if (standard_error) {
    const double relative = *standard_error * slope / q;
    quantity.variance = relative * relative;
  }
  return quantity;
}

LawValue FromLawQuantity(const CurveMetric& metric, LawScale scale,
                         std::optional<double> unit_length, const LawQuantity& quantity) {
  const Range range = RangeOf(metric, unit_length);
  const double q = std::exp(quantity.log_q);
  const double relative = std::sqrt(quantity.variance);
  switch (scale) {
    case LawScale::kNone:
      return {};
    case LawScale::kValue:
      return {q, q * relative};
    case LawScale::kNegated:
      return {-q, q * relative};
    case LawScale::kLogShare:
    case LawScale::kLogRest: {
      const double share = std::exp(-q);
      const double width = range.best - range.worst;
      return {range.worst + width * share, std::abs(width) * share * q * relative};
    }
    case LawScale::kLog:
      return {std::exp(q), std::exp(q) * q * relative};
  }
  return {};
}

}  // namespace mirage::metrics
