#include "metrics/stats/signal_to_noise.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/moments.h"

namespace mirage::metrics {
namespace {

absl::Status Invalid(std::string_view message) {
  return absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
}

absl::Status CheckValues(std::string_view name, std::span<const double> values) {
  if (values.empty()) return Invalid(fmt::format("{} is empty: give at least one value", name));
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return Invalid(fmt::format("{}[{}] is {}: must be finite", name, i, values[i]));
    }
  }
  return absl::OkStatus();
}

// |mean|, refused where it is 0 or no double.
absl::StatusOr<double> MeanSize(std::string_view name, const Moments& moments) {
  const double mean = std::abs(*moments.mean());
  if (mean == 0) {
    return Invalid(
        fmt::format("{} have a mean of 0: nothing is relative to it; use a metric that is 0 only "
                    "at its end",
                    name));
  }
  if (!std::isfinite(mean) || !std::isfinite(*moments.max() - *moments.min())) {
    return Invalid(
        fmt::format("{} are so large that their spread is no double: scale them down", name));
  }
  return mean;
}

// In half pairs: 2 for the same order, 1 for a tie, 0 for the other order.
int Agreement(double small_a, double small_b, double large_a, double large_b) {
  if (small_a == small_b || large_a == large_b) return 1;
  return (small_a < small_b) == (large_a < large_b) ? 2 : 0;
}

}  // namespace

absl::StatusOr<SignalToNoise> SignalToNoiseRatio(std::span<const double> models,
                                                 std::span<const double> checkpoints,
                                                 CheckpointSpread spread) {
  if (absl::Status status = CheckValues("models", models); !status.ok()) return status;
  if (absl::Status status = CheckValues("checkpoints", checkpoints); !status.ok()) return status;
  Moments of_models;
  of_models.AddAll(models);
  const absl::StatusOr<double> models_mean = MeanSize("models", of_models);
  if (!models_mean.ok()) return models_mean.status();
  Moments of_checkpoints;
  of_checkpoints.AddAll(checkpoints);
  const absl::StatusOr<double> checkpoints_mean = MeanSize("checkpoints", of_checkpoints);
  if (!checkpoints_mean.ok()) return checkpoints_mean.status();
  SignalToNoise result;
  if (models.size() > 1) {
    result.signal = (*of_models.max() - *of_models.min()) / *models_mean;
  }
  if (checkpoints.size() > 1) {
    const double n = static_cast<double>(checkpoints.size());
    const double factor = spread == CheckpointSpread::kPopulation ? (n - 1) / n : 1;
    const double variance = *of_checkpoints.variance();
    if (!std::isfinite(variance)) {
      return Invalid("checkpoints are so large that their spread is no double: scale them down");
    }
    result.noise = std::sqrt(variance * factor) / *checkpoints_mean;
  }
  if (result.signal.has_value() && result.noise.has_value() && *result.noise > 0) {
    result.ratio = *result.signal / *result.noise;
  }
  return result;
}

absl::StatusOr<double> DecisionAccuracy(std::span<const double> small,
                                        std::span<const double> large) {
  if (small.size() != large.size()) {
    return Invalid(
        fmt::format("large has {} values: must have one for each of the {} models of small",
                    large.size(), small.size()));
  }
  if (small.size() < 2) {
    return Invalid(fmt::format("small has {} values: at least 2 models make a pair", small.size()));
  }
  for (size_t i = 0; i < small.size(); ++i) {
    if (std::isnan(small[i])) return Invalid(fmt::format("small[{}] is nan: leave it out", i));
    if (std::isnan(large[i])) return Invalid(fmt::format("large[{}] is nan: leave it out", i));
  }
  uint64_t halves = 0;
  for (size_t j = 0; j < small.size(); ++j) {
    for (size_t k = j + 1; k < small.size(); ++k) {
      halves += static_cast<uint64_t>(Agreement(small[j], small[k], large[j], large[k]));
    }
  }
  const double n = static_cast<double>(small.size());
  return static_cast<double>(halves) / (n * (n - 1));
}

}  // namespace mirage::metrics
