#include "metrics/emergence/seed_modes.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/intervals.h"

namespace mirage::metrics {
namespace {

constexpr double kLevel = 0.95;

double MeanOf(std::span<const SeedValue> values) {
  double sum = 0;
  for (const SeedValue& one : values) sum += one.value;
  return sum / static_cast<double>(values.size());
}

double SquaresOf(std::span<const SeedValue> values, double mean) {
  double sum = 0;
  for (const SeedValue& one : values) sum += (one.value - mean) * (one.value - mean);
  return sum;
}

}  // namespace

absl::StatusOr<SeedModes> FindSeedModes(std::span<const SeedValue> values, double range,
                                        bool higher_is_better) {
  if (!(range > 0 && std::isfinite(range))) {
    return absl::InvalidArgumentError(fmt::format("range is {}: must be finite and > 0", range));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i].value)) {
      return absl::InvalidArgumentError(
          fmt::format("values[{}].value is {}: must be finite", i, values[i].value));
    }
    if (!(values[i].standard_error >= 0 && std::isfinite(values[i].standard_error))) {
      return absl::InvalidArgumentError(fmt::format(
          "values[{}].standard_error is {}: must be finite and >= 0", i, values[i].standard_error));
    }
  }
  SeedModes modes;
  modes.n = values.size();
  if (modes.n < kModesMinReplicates) return modes;
  std::vector<SeedValue> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end(), [](const SeedValue& a, const SeedValue& b) {
    return std::tie(a.value, a.standard_error) < std::tie(b.value, b.standard_error);
  });
  size_t split = 1;
  for (size_t i = 1; i < sorted.size(); ++i) {
    const double gap = sorted[i].value - sorted[i - 1].value;
    if (gap > modes.gap) {
      modes.gap = gap;
      split = i;
    }
  }
  const std::span<const SeedValue> low = std::span(sorted).first(split);
  const std::span<const SeedValue> high = std::span(sorted).subspan(split);
  const double low_mean = MeanOf(low);
  const double high_mean = MeanOf(high);
  const auto r = static_cast<double>(sorted.size());
  double sampling = 0;
  for (const SeedValue& one : sorted) sampling += one.standard_error * one.standard_error / r;
  modes.spread =
      std::sqrt((SquaresOf(low, low_mean) + SquaresOf(high, high_mean)) / (r - 2) + sampling);
  modes.is_bimodal =
      modes.gap >= kModesMinGap * range && modes.gap > kModesMinSpreads * modes.spread;
  modes.worse_mean = higher_is_better ? low_mean : high_mean;
  modes.better_mean = higher_is_better ? high_mean : low_mean;
  modes.n_better = higher_is_better ? high.size() : low.size();
  modes.share_better = static_cast<double>(modes.n_better) / r;
  const auto interval = ClopperPearson(modes.n_better, modes.n, kLevel);
  if (!interval.ok()) return interval.status();
  modes.share_lower = interval->lower;
  modes.share_upper = interval->upper;
  return modes;
}

}  // namespace mirage::metrics
