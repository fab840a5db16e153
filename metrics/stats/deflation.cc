#include "metrics/stats/deflation.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <optional>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/exact_sum.h"
#include "metrics/stats/moments.h"

namespace mirage::metrics {
namespace {

absl::Status Invalid(std::string_view message) {
  return absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
}

absl::Status CheckFinite(std::string_view name, std::span<const double> values, size_t least) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return Invalid(fmt::format("{}[{}] is {}: must be finite", name, i, values[i]));
    }
  }
  if (values.size() < least) {
    return Invalid(
        fmt::format("{} has {} values: at least {} are needed", name, values.size(), least));
  }
  return absl::OkStatus();
}

struct Spread {
  double mean = 0;
  double sd = 0;
};

absl::StatusOr<Spread> CheckedSpread(std::span<const double> differences, size_t least) {
  if (absl::Status status = CheckFinite("differences", differences, least); !status.ok()) {
    return status;
  }
  Moments moments;
  moments.AddAll(differences);
  const std::optional<double> variance = moments.variance();
  if (!variance.has_value() || !std::isfinite(*variance)) {
    return Invalid("differences are so large that their spread is no double: scale them down");
  }
  // All equal: looked at itself, because a tiny spread may have a variance of 0.
  if (*moments.min() == *moments.max() || *variance == 0) {
    return Invalid(
        fmt::format("differences are all {}: a spread of 0 says nothing about certainty; give "
                    "more documents",
                    *moments.min()));
  }
  return Spread{*moments.mean(), std::sqrt(*variance)};
}

}  // namespace

absl::StatusOr<double> StandardizedDelta(std::span<const double> differences) {
  const absl::StatusOr<Spread> spread = CheckedSpread(differences, 2);
  if (!spread.ok()) return spread.status();
  return spread->mean / spread->sd;
}

absl::StatusOr<double> ProbabilisticDelta(std::span<const double> differences, double benchmark) {
  if (!std::isfinite(benchmark)) {
    return Invalid(fmt::format("benchmark is {}: must be finite", benchmark));
  }
  const absl::StatusOr<Spread> spread = CheckedSpread(differences, 4);
  if (!spread.ok()) return spread.status();
  ExactSum cubes;
  ExactSum fourths;
  for (const double x : differences) {
    const double z = (x - spread->mean) / spread->sd;
    cubes.Add(z * z * z);
    fourths.AddSquare(z * z);
  }
  const double n = static_cast<double>(differences.size());
  const double skewness = cubes.Round() / n;
  const double kurtosis = fourths.Round() / n;
  const double delta = spread->mean / spread->sd;
  const double variance = 1 - skewness * delta + (kurtosis - 1) / 4 * delta * delta;
  if (!(variance > 0)) {
    return Invalid(
        fmt::format("differences give a variance of the standardized delta of {}: too few or too "
                    "skewed for this formula; use a permutation test",
                    variance));
  }
  return NormalCdf((delta - benchmark) * std::sqrt(n - 1) / std::sqrt(variance));
}

absl::StatusOr<double> ExpectedMaxStandardizedDelta(uint64_t n_trials, double trial_variance) {
  if (n_trials == 0) return Invalid("n_trials is 0: must be at least 1");
  if (!(trial_variance >= 0) || !std::isfinite(trial_variance)) {
    return Invalid(fmt::format("trial_variance is {}: must be finite and >= 0", trial_variance));
  }
  if (n_trials == 1) return 0.0;
  const double n = static_cast<double>(n_trials);
  return std::sqrt(trial_variance) *
         ((1 - std::numbers::egamma) * NormalUpperQuantile(1 / n) +
          std::numbers::egamma * NormalUpperQuantile(1 / (n * std::numbers::e)));
}

absl::StatusOr<double> DeflatedDelta(std::span<const double> differences, uint64_t n_trials,
                                     double trial_variance) {
  const absl::StatusOr<double> benchmark = ExpectedMaxStandardizedDelta(n_trials, trial_variance);
  if (!benchmark.ok()) return benchmark.status();
  return ProbabilisticDelta(differences, *benchmark);
}

absl::StatusOr<double> DeflatedDelta(std::span<const double> differences,
                                     std::span<const double> trial_deltas) {
  if (absl::Status status = CheckFinite("trial_deltas", trial_deltas, 2); !status.ok()) {
    return status;
  }
  Moments moments;
  moments.AddAll(trial_deltas);
  const std::optional<double> variance = moments.variance();
  if (!variance.has_value() || !std::isfinite(*variance)) {
    return Invalid("trial_deltas are so large that their spread is no double: scale them down");
  }
  return DeflatedDelta(differences, trial_deltas.size(), *variance);
}

}  // namespace mirage::metrics
