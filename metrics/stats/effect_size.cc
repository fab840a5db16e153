#include "metrics/stats/effect_size.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/moments.h"
#include "metrics/stats/paired.h"

namespace mirage::metrics {
namespace {

absl::Status NoSpread() {
  return absl::FailedPreconditionError(
      "no effect size: the standard deviation is 0 or overflows, there is no spread to measure by");
}

absl::Status CheckPairs(const PairedMoments& pairs) {
  if (pairs.n_not_finite() > 0) {
    return absl::FailedPreconditionError(
        fmt::format("{} of {} pairs have a score that is not finite: leave them out first",
                    pairs.n_not_finite(), pairs.count()));
  }
  if (pairs.count() < 2) {
    return absl::FailedPreconditionError(
        fmt::format("{} pairs: at least 2 are needed", pairs.count()));
  }
  return absl::OkStatus();
}

absl::StatusOr<double> Over(std::optional<double> difference, std::optional<double> variance) {
  if (!difference.has_value() || !variance.has_value() || !(*variance > 0) ||
      !std::isfinite(*variance)) {
    return NoSpread();
  }
  return *difference / std::sqrt(*variance);
}

// Centered sum of squares; 0 for one value.
std::optional<double> SquaresOf(const Moments& values) {
  if (values.count() == 1) return 0;
  const std::optional<double> variance = values.variance();
  if (!variance.has_value()) return std::nullopt;
  return *variance * (static_cast<double>(values.count()) - 1);
}

absl::Status CheckGroup(std::string_view name, const Moments& values) {
  if (values.count() == 0) {
    return absl::FailedPreconditionError(
        fmt::format("{} is empty: at least one score is needed", name));
  }
  if (values.n_nan() + values.n_infinite() > 0) {
    return absl::FailedPreconditionError(
        fmt::format("{}: {} of {} scores are not finite: leave them out first", name,
                    values.n_nan() + values.n_infinite(), values.count()));
  }
  return absl::OkStatus();
}

absl::Status CheckOrder(std::string_view name, std::span<const double> scores) {
  if (scores.empty()) {
    return absl::FailedPreconditionError(
        fmt::format("{} is empty: at least one score is needed", name));
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i])) {
      return absl::InvalidArgumentError(fmt::format("{}[{}] is NaN: leave it out", name, i));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<double> CohensDPaired(const PairedMoments& pairs) {
  if (absl::Status status = CheckPairs(pairs); !status.ok()) return status;
  return Over(pairs.mean_difference(), pairs.variance_difference());
}

absl::StatusOr<double> CohensDAverage(const PairedMoments& pairs) {
  if (absl::Status status = CheckPairs(pairs); !status.ok()) return status;
  const std::optional<double> first = pairs.variance_first();
  const std::optional<double> second = pairs.variance_second();
  if (!first.has_value() || !second.has_value()) return NoSpread();
  return Over(pairs.mean_difference(), (*first + *second) / 2);
}

absl::StatusOr<double> CohensD(const Moments& first, const Moments& second) {
  if (absl::Status status = CheckGroup("first", first); !status.ok()) return status;
  if (absl::Status status = CheckGroup("second", second); !status.ok()) return status;
  const uint64_t n = first.count() + second.count();
  if (n < 3) {
    return absl::FailedPreconditionError(
        fmt::format("{} scores in both groups: at least 3 are needed", n));
  }
  const std::optional<double> squares_first = SquaresOf(first);
  const std::optional<double> squares_second = SquaresOf(second);
  if (!squares_first.has_value() || !squares_second.has_value()) return NoSpread();
  return Over(*first.mean() - *second.mean(),
              (*squares_first + *squares_second) / (static_cast<double>(n) - 2));
}

absl::StatusOr<double> HedgesG(const Moments& first, const Moments& second) {
  absl::StatusOr<double> d = CohensD(first, second);
  if (!d.ok()) return d.status();
  const double m = static_cast<double>(first.count() + second.count()) - 2;
  if (m < 2) {
    return absl::FailedPreconditionError("3 scores in both groups: Hedges' g needs at least 4");
  }
  return *d * GammaRatio((m - 1) / 2, 0.5) / std::sqrt(m / 2);
}

absl::StatusOr<double> CliffsDelta(std::span<const double> first, std::span<const double> second) {
  if (absl::Status status = CheckOrder("first", first); !status.ok()) return status;
  if (absl::Status status = CheckOrder("second", second); !status.ok()) return status;
  std::vector<double> xs(first.begin(), first.end());
  std::vector<double> ys(second.begin(), second.end());
  std::sort(xs.begin(), xs.end());
  std::sort(ys.begin(), ys.end());
  // Integers up to n1 n2, which need not fit a double.
  __extension__ using Int128 = __int128;
  Int128 above_less_below = 0;
  size_t below = 0;
  size_t not_above = 0;
  for (const double x : xs) {
    while (below < ys.size() && ys[below] < x) ++below;
    while (not_above < ys.size() && ys[not_above] <= x) ++not_above;
    above_less_below += Int128{below} - Int128{ys.size() - not_above};
  }
  return static_cast<double>(above_less_below) /
         static_cast<double>(Int128{xs.size()} * Int128{ys.size()});
}

}  // namespace mirage::metrics
