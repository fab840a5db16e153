#include "metrics/stats/unpaired.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/hypothesis.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/max_count.h"
#include "metrics/stats/moments.h"

namespace mirage::metrics {
namespace {

constexpr std::string_view kMethodWelch = "welch_t";
constexpr std::string_view kMethodNewcombe = "newcombe";
constexpr std::string_view kMethodNewcombePaired = "newcombe_paired";

// s^2 / n of a group.
absl::StatusOr<double> SquaredError(std::string_view name, const Moments& values) {
  if (values.n_nan() + values.n_infinite() > 0) {
    return absl::FailedPreconditionError(
        fmt::format("{}: {} of {} values are not finite: leave them out first", name,
                    values.n_nan() + values.n_infinite(), values.count()));
  }
  if (values.count() < 2) {
    return absl::FailedPreconditionError(
        fmt::format("{} has {} values: at least 2 are needed", name, values.count()));
  }
  const std::optional<double> variance = values.variance();
  if (!variance.has_value() || !std::isfinite(*variance)) {
    return absl::FailedPreconditionError(
        fmt::format("{}: the sum of the values overflows: scale them down", name));
  }
  return *variance / static_cast<double>(values.count());
}

// The ends that Newcombe makes of two intervals and the correlation of their estimates.
ConfidenceInterval Join(double share_first, const ConfidenceInterval& first, double share_second,
                        const ConfidenceInterval& second, double correlation,
                        std::string_view method) {
  const double difference = share_first - share_second;
  const auto distance = [&](double a, double b) {
    return std::sqrt(std::max(a * a - 2 * correlation * a * b + b * b, 0.0));
  };
  const double below = distance(share_first - first.lower, second.upper - share_second);
  const double above = distance(first.upper - share_first, share_second - second.lower);
  return {std::max(difference - below, -1.0), std::min(difference + above, 1.0), first.level,
          method};
}

}  // namespace

absl::StatusOr<WelchDifference> Welch(const Moments& first, const Moments& second) {
  absl::StatusOr<double> a = SquaredError("first", first);
  if (!a.ok()) return a.status();
  absl::StatusOr<double> b = SquaredError("second", second);
  if (!b.ok()) return b.status();
  if (*a + *b == 0) {
    return absl::FailedPreconditionError(
        "all values of both groups are equal: they have no spread to judge by");
  }
  // Shares of the sum, so that no square under- or overflows.
  const double share_a = *a / (*a + *b);
  const double share_b = *b / (*a + *b);
  const double df = 1 / (share_a * share_a / (static_cast<double>(first.count()) - 1) +
                         share_b * share_b / (static_cast<double>(second.count()) - 1));
  return WelchDifference{*first.mean() - *second.mean(), std::sqrt(*a + *b), df};
}

absl::StatusOr<TestResult> WelchT(const Moments& first, const Moments& second,
                                  Alternative alternative) {
  absl::StatusOr<WelchDifference> welch = Welch(first, second);
  if (!welch.ok()) return welch.status();
  const double t = welch->difference / welch->standard_error;
  return TestResult{StudentPValue(t, welch->degrees_of_freedom, alternative), kMethodWelch};
}

absl::StatusOr<ConfidenceInterval> WelchInterval(const Moments& first, const Moments& second,
                                                 double level) {
  if (absl::Status status = CheckLevel(level); !status.ok()) return status;
  absl::StatusOr<WelchDifference> welch = Welch(first, second);
  if (!welch.ok()) return welch.status();
  const double half_width =
      StudentUpperQuantile((1 - level) / 2, welch->degrees_of_freedom) * welch->standard_error;
  return ConfidenceInterval{welch->difference - half_width, welch->difference + half_width, level,
                            kMethodWelch};
}

absl::StatusOr<ConfidenceInterval> Newcombe(uint64_t successes_first, uint64_t n_first,
                                            uint64_t successes_second, uint64_t n_second,
                                            double level) {
  absl::StatusOr<ConfidenceInterval> first = Wilson(successes_first, n_first, level);
  if (!first.ok()) return first.status();
  absl::StatusOr<ConfidenceInterval> second = Wilson(successes_second, n_second, level);
  if (!second.ok()) return second.status();
  return Join(static_cast<double>(successes_first) / static_cast<double>(n_first), *first,
              static_cast<double>(successes_second) / static_cast<double>(n_second), *second, 0,
              kMethodNewcombe);
}

absl::StatusOr<ConfidenceInterval> NewcombePaired(uint64_t both, uint64_t only_first,
                                                  uint64_t only_second, uint64_t neither,
                                                  double level) {
  uint64_t n = 0;
  for (const uint64_t count : {both, only_first, only_second, neither}) {
    if (count > kMaxCount - n) {
      return absl::InvalidArgumentError("the counts sum to more than 2^53");
    }
    n += count;
  }
  absl::StatusOr<ConfidenceInterval> first = Wilson(both + only_first, n, level);
  if (!first.ok()) return first.status();
  absl::StatusOr<ConfidenceInterval> second = Wilson(both + only_second, n, level);
  if (!second.ok()) return second.status();
  const double total = static_cast<double>(n);
  const double e = static_cast<double>(both);
  const double f = static_cast<double>(only_first);
  const double g = static_cast<double>(only_second);
  const double h = static_cast<double>(neither);
  const double margins = std::sqrt((e + f) * (g + h)) * std::sqrt((e + g) * (f + h));
  double correlation = 0;
  if (margins > 0) {
    const double cross = e * h - f * g;
    correlation = (cross > 0 ? std::max(cross - total / 2, 0.0) : cross) / margins;
  }
  return Join((e + f) / total, *first, (e + g) / total, *second, correlation,
              kMethodNewcombePaired);
}

}  // namespace mirage::metrics
