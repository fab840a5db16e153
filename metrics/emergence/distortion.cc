#include "metrics/emergence/distortion.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/bootstrap.h"

namespace mirage::metrics {
namespace {

// m(1/2), m(1), m(2) of one item or of the mean.
using Steps = std::array<double, 3>;

double Ratio(double m_half, double m_one, double m_two, double n) {
  return (m_half - m_one) / std::max(m_one - m_two, 1 / n);
}

BootstrapOptions Options(uint64_t seed) {
  return {.seed = seed, .replicates = kDistortionReplicates, .level = kDistortionLevel};
}

absl::StatusOr<Distortion> FromBootstrap(const absl::StatusOr<BootstrapResult>& result,
                                         const Steps& means, uint64_t n) {
  if (!result.ok()) return result.status();
  Distortion distortion;
  distortion.r = result->estimate;
  distortion.r_lower = result->interval.lower;
  distortion.r_upper = result->interval.upper;
  distortion.m_half = means[0];
  distortion.m_one = means[1];
  distortion.m_two = means[2];
  distortion.n = n;
  return distortion;
}

// Distortion of the mean over n items of `item(i)`.
absl::StatusOr<Distortion> FromItems(size_t n, absl::FunctionRef<Steps(size_t)> item,
                                     uint64_t seed) {
  Steps means{};
  const double count = static_cast<double>(n);
  const auto statistic = [count](std::span<const double> m) {
    return Ratio(m[0], m[1], m[2], count);
  };
  const auto add = [&means](const Steps& steps) {
    for (size_t j = 0; j < steps.size(); ++j) means[j] += steps[j];
  };
  absl::StatusOr<BootstrapResult> result;
  if (n > kMaxRowsResampledSingly) {
    GroupedRows rows(means.size());
    for (size_t i = 0; i < n; ++i) {
      const Steps steps = item(i);
      add(steps);
      rows.Add(steps);
    }
    result = BootstrapOfMeans(rows, statistic, Options(seed));
  } else {
    std::vector<double> rows;
    rows.reserve(means.size() * n);
    for (size_t i = 0; i < n; ++i) {
      const Steps steps = item(i);
      add(steps);
      rows.insert(rows.end(), steps.begin(), steps.end());
    }
    result = BootstrapOfMeans(rows, means.size(), statistic, Options(seed));
  }
  for (double& mean : means) mean /= count;
  return FromBootstrap(result, means, n);
}

}  // namespace

absl::StatusOr<Distortion> ExactMatchDistortion(std::span<const double> log_probabilities,
                                                uint64_t seed) {
  const size_t n = log_probabilities.size();
  if (n == 0) {
    return absl::InvalidArgumentError("log_probabilities is empty: at least one item is needed");
  }
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    // Also for a NaN.
    if (!(log_probabilities[i] <= 0)) {
      return absl::InvalidArgumentError(
          fmt::format("log_probabilities[{}] is {:+}: log-probabilities must be <= 0", i,
                      log_probabilities[i]));
    }
    sum += log_probabilities[i];
  }
  const auto item = [log_probabilities](size_t i) -> Steps {
    const double half = std::exp(0.5 * log_probabilities[i]);
    const double one = half * half;
    return {half, one, one * one};
  };
  absl::StatusOr<Distortion> distortion = FromItems(n, item, seed);
  // Not -0 when every item is certain.
  if (distortion.ok()) distortion->u = sum == 0 ? 0 : -sum / static_cast<double>(n);
  return distortion;
}

MarginCounts MarginCounts::FromCounts(uint64_t above, uint64_t just_right, uint64_t just_wrong,
                                      uint64_t below) {
  MarginCounts counts;
  counts.above_ = above;
  counts.just_right_ = just_right;
  counts.just_wrong_ = just_wrong;
  counts.below_ = below;
  return counts;
}

absl::StatusOr<Distortion> MultipleChoiceDistortion(const MarginCounts& counts, uint64_t seed) {
  if (counts.nan() > 0) {
    return absl::InvalidArgumentError(
        fmt::format("margins: {} of {} are NaN; leave out items without a margin and say why",
                    counts.nan(), counts.nan() + counts.n()));
  }
  const uint64_t n = counts.n();
  if (n == 0) return absl::InvalidArgumentError("margins is empty: at least one item is needed");
  const double total = static_cast<double>(n);
  const std::array<uint64_t, 3> categories = {counts.just_right(), counts.just_wrong(),
                                              counts.above() + counts.below()};
  // n cancels: the floor of 1/n is one item.
  const auto statistic = [](std::span<const double> drawn) {
    return drawn[1] / std::max(drawn[0], 1.0);
  };
  BootstrapOptions options = Options(seed);
  // Without it, no item within half a nat would pass for proof that there is none.
  options.pseudo_count = 0.5;
  const double above = static_cast<double>(counts.above());
  const double right = static_cast<double>(counts.above() + counts.just_right());
  const double almost = static_cast<double>(n - counts.below());
  return FromBootstrap(BootstrapOfCounts(categories, statistic, options),
                       {almost / total, right / total, above / total}, n);
}

absl::StatusOr<Distortion> MultipleChoiceDistortion(std::span<const double> margins,
                                                    uint64_t seed) {
  MarginCounts counts;
  for (size_t i = 0; i < margins.size(); ++i) {
    if (std::isnan(margins[i])) {
      return absl::InvalidArgumentError(
          fmt::format("margins[{}] is nan: leave out items without a margin and say why", i));
    }
    counts.Add(margins[i]);
  }
  return MultipleChoiceDistortion(counts, seed);
}

absl::StatusOr<Distortion> EditDistanceDistortion(std::span<const double> edit_distances,
                                                  std::span<const double> target_lengths,
                                                  uint64_t seed) {
  const size_t n = edit_distances.size();
  if (n == 0) {
    return absl::InvalidArgumentError("edit_distances is empty: at least one item is needed");
  }
  if (target_lengths.size() != n) {
    return absl::InvalidArgumentError(
        fmt::format("target_lengths has {} entries and edit_distances {}: must be the same",
                    target_lengths.size(), n));
  }
  for (size_t i = 0; i < n; ++i) {
    if (!std::isfinite(edit_distances[i]) || edit_distances[i] < 0) {
      return absl::InvalidArgumentError(
          fmt::format("edit_distances[{}] is {}: must be finite and >= 0", i, edit_distances[i]));
    }
    if (!std::isfinite(target_lengths[i]) || target_lengths[i] < 0) {
      return absl::InvalidArgumentError(
          fmt::format("target_lengths[{}] is {}: must be finite and >= 0", i, target_lengths[i]));
    }
  }
  // Few pairs of distance and length differ, and powers cost more than all else here.
  constexpr size_t kMostKept = 1 << 16;
  absl::flat_hash_map<std::pair<double, double>, Steps> kept;
  const auto item = [&](size_t i) -> Steps {
    const double distance = edit_distances[i];
    const double length = target_lengths[i];
    if (distance == 0) return {1, 1, 1};
    if (length == 0) return {0, 0, 0};
    if (const auto found = kept.find({distance, length}); found != kept.end()) {
      return found->second;
    }
    const auto at = [distance, length](double rho) {
      return std::pow(std::max(0.0, 1 - rho * distance / length), length);
    };
    const Steps steps = {at(0.5), at(1), at(2)};
    if (kept.size() < kMostKept) kept.emplace(std::pair(distance, length), steps);
    return steps;
  };
  absl::StatusOr<Distortion> distortion = FromItems(n, item, seed);
  if (distortion.ok()) {
    distortion->is_composed = std::any_of(target_lengths.begin(), target_lengths.end(),
                                          [](double length) { return length > 1; });
  }
  return distortion;
}

}  // namespace mirage::metrics
