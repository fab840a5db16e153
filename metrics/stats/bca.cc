#include "metrics/stats/bca.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/moments.h"

namespace mirage::metrics {

absl::StatusOr<double> Acceleration(std::span<const double> leave_one_out,
                                    std::span<const uint64_t> times) {
  if (!times.empty() && times.size() != leave_one_out.size()) {
    return absl::InvalidArgumentError(
        fmt::format("times has {} values, leave_one_out {}: must be as many, or none", times.size(),
                    leave_one_out.size()));
  }
  if (leave_one_out.empty()) {
    return absl::InvalidArgumentError("leave_one_out is empty: at least one value is needed");
  }
  for (size_t i = 0; i < leave_one_out.size(); ++i) {
    if (!std::isfinite(leave_one_out[i])) {
      return absl::InvalidArgumentError(
          fmt::format("leave_one_out[{}] is {}: the statistic must be finite without any one row",
                      i, leave_one_out[i]));
    }
  }
  Moments values;
  if (times.empty()) values.AddAll(leave_one_out);
  for (size_t i = 0; i < times.size(); ++i) values.AddRepeated(leave_one_out[i], times[i]);
  const double mean = *values.mean();
  double largest = 0;
  for (const double x : leave_one_out) largest = std::max(largest, std::abs(mean - x));
  if (largest == 0) return 0;
  double squares = 0;
  double cubes = 0;
  for (size_t i = 0; i < leave_one_out.size(); ++i) {
    // Of the largest, so that no power under- or overflows.
    const double u = (mean - leave_one_out[i]) / largest;
    const double weight = times.empty() ? 1 : static_cast<double>(times[i]);
    squares += weight * (u * u);
    cubes += weight * (u * u * u);
  }
  return cubes / (6 * squares * std::sqrt(squares));
}

absl::StatusOr<std::pair<double, double>> BcaProbabilities(double below, double acceleration,
                                                           double level) {
  if (absl::Status status = CheckLevel(level); !status.ok()) return status;
  if (std::isnan(below) || std::isnan(acceleration)) {
    return absl::InvalidArgumentError(
        fmt::format("below is {}, acceleration {}: must be numbers", below, acceleration));
  }
  const double z0 = NormalQuantile(below);
  if (!std::isfinite(z0)) {
    return absl::FailedPreconditionError(
        "no BCa interval: all resampled values lie on one side of the estimate; use the percentile "
        "interval, or more rows");
  }
  const auto probability = [&](double z) {
    return NormalCdf(z0 + (z0 + z) / (1 - acceleration * (z0 + z)));
  };
  const double z = NormalUpperQuantile((1 - level) / 2);
  const double lower = probability(-z);
  const double upper = probability(z);
  // Where a (z0 + z) reaches 1 the order is lost.
  if (!(lower < upper) || acceleration * (z0 + z) >= 1 || acceleration * (z0 - z) >= 1) {
    return absl::FailedPreconditionError(fmt::format(
        "no BCa interval: the acceleration {} is too large for this level; use the percentile "
        "interval, or more rows",
        acceleration));
  }
  return std::pair(lower, upper);
}

absl::StatusOr<ConfidenceInterval> BcaInterval(std::span<const double> sorted, double estimate,
                                               double acceleration, double level) {
  if (absl::Status status = CheckLevel(level); !status.ok()) return status;
  if (sorted.empty()) return absl::InvalidArgumentError("sorted is empty: no resampled values");
  if (std::isnan(estimate) || std::isnan(acceleration) || std::isnan(sorted.back())) {
    return absl::InvalidArgumentError(
        fmt::format("estimate is {}, acceleration {}, the last resampled value {}: must be numbers",
                    estimate, acceleration, sorted.back()));
  }
  const auto equal = std::equal_range(sorted.begin(), sorted.end(), estimate);
  const double below = static_cast<double>(equal.first - sorted.begin()) +
                       static_cast<double>(equal.second - equal.first) / 2;
  const absl::StatusOr<std::pair<double, double>> ends =
      BcaProbabilities(below / static_cast<double>(sorted.size()), acceleration, level);
  if (!ends.ok()) return ends.status();
  return ConfidenceInterval{SortedQuantile(sorted, ends->first),
                            SortedQuantile(sorted, ends->second), level, kMethodBootstrapBca};
}

}  // namespace mirage::metrics
