#include "metrics/stats/intervals.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/max_count.h"

namespace mirage::metrics {
namespace {

absl::Status Invalid(std::string_view message) {
  return absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
}

absl::Status CheckCount(uint64_t n, uint64_t least) {
  if (n < least) {
    return Invalid(fmt::format("n is {}: this interval needs at least {} item{}", n, least,
                               least == 1 ? "" : "s"));
  }
  if (n > kMaxCount) return Invalid(fmt::format("n is {}: must be <= 2^53", n));
  return absl::OkStatus();
}

absl::Status CheckShare(uint64_t successes, uint64_t n, double level) {
  if (absl::Status status = CheckLevel(level); !status.ok()) return status;
  if (absl::Status status = CheckCount(n, 1); !status.ok()) return status;
  if (successes > n) {
    return Invalid(fmt::format("successes is {}: must be <= n, which is {}", successes, n));
  }
  return absl::OkStatus();
}

absl::Status CheckEstimate(std::string_view name, double estimate, double standard_error) {
  if (!std::isfinite(estimate)) {
    return Invalid(fmt::format("{} is {}: must be finite", name, estimate));
  }
  if (!std::isfinite(standard_error) || standard_error < 0) {
    return Invalid(fmt::format("standard_error is {}: must be finite and >= 0", standard_error));
  }
  return absl::OkStatus();
}

// The upper (1 - level)/2 points; from the tail, which keeps the digits of levels near 1.
double NormalPoint(double level) { return NormalUpperQuantile((1 - level) / 2); }

double StudentPoint(uint64_t n, double level) {
  return StudentUpperQuantile((1 - level) / 2, static_cast<double>(n - 1));
}

ConfidenceInterval Around(double center, double half_width, double level, std::string_view method) {
  return {center - half_width, center + half_width, level, method};
}

}  // namespace

absl::Status CheckLevel(double level) {
  if (level > 0 && level < 1) return absl::OkStatus();
  return Invalid(fmt::format("level is {}: must be between 0 and 1, for example 0.95", level));
}

absl::StatusOr<ConfidenceInterval> Wilson(uint64_t successes, uint64_t n, double level) {
  if (absl::Status status = CheckShare(successes, n, level); !status.ok()) return status;
  const double total = static_cast<double>(n);
  const double hits = static_cast<double>(successes);
  const double misses = static_cast<double>(n - successes);
  const double z = NormalPoint(level);
  const double z2 = z * z;
  const double center = (hits + z2 / 2) / (total + z2);
  const double half_width = z / (total + z2) * std::sqrt(hits * (misses / total) + z2 / 4);
  ConfidenceInterval interval = Around(center, half_width, level, kMethodWilson);
  // These two ends are exact; elsewhere rounding may leave [0, 1] by a few units.
  interval.lower = successes == 0 ? 0 : std::clamp(interval.lower, 0.0, 1.0);
  interval.upper = successes == n ? 1 : std::clamp(interval.upper, 0.0, 1.0);
  return interval;
}

absl::StatusOr<ConfidenceInterval> ClopperPearson(uint64_t successes, uint64_t n, double level) {
  if (absl::Status status = CheckShare(successes, n, level); !status.ok()) return status;
  const double hits = static_cast<double>(successes);
  const double misses = static_cast<double>(n - successes);
  const double tail = (1 - level) / 2;
  ConfidenceInterval interval{0, 1, level, kMethodClopperPearson};
  if (successes > 0) interval.lower = BetaQuantile(tail, hits, misses + 1);
  if (successes < n) interval.upper = BetaUpperQuantile(tail, hits + 1, misses);
  return interval;
}

absl::StatusOr<ConfidenceInterval> BetaPosterior(uint64_t successes, uint64_t n, double level) {
  if (absl::Status status = CheckShare(successes, n, level); !status.ok()) return status;
  const double hits = static_cast<double>(successes);
  const double misses = static_cast<double>(n - successes);
  const double tail = (1 - level) / 2;
  ConfidenceInterval interval{0, 1, level, kMethodBetaPosterior};
  if (successes > 0) interval.lower = BetaQuantile(tail, hits + 1, misses + 1);
  if (successes < n) interval.upper = BetaUpperQuantile(tail, hits + 1, misses + 1);
  return interval;
}

absl::StatusOr<ConfidenceInterval> StudentT(double mean, double standard_error, uint64_t n,
                                            double level) {
  if (absl::Status status = CheckLevel(level); !status.ok()) return status;
  if (absl::Status status = CheckCount(n, 2); !status.ok()) return status;
  if (absl::Status status = CheckEstimate("mean", mean, standard_error); !status.ok()) {
    return status;
  }
  return Around(mean, StudentPoint(n, level) * standard_error, level, kMethodStudentT);
}

absl::StatusOr<ConfidenceInterval> Normal(double estimate, double standard_error, double level) {
  if (absl::Status status = CheckLevel(level); !status.ok()) return status;
  if (absl::Status status = CheckEstimate("estimate", estimate, standard_error); !status.ok()) {
    return status;
  }
  return Around(estimate, NormalPoint(level) * standard_error, level, kMethodNormal);
}

absl::StatusOr<ConfidenceInterval> LogStudentT(double mean, double standard_error, uint64_t n,
                                               double level, LogTransform transform) {
  absl::StatusOr<ConfidenceInterval> interval = StudentT(mean, standard_error, n, level);
  if (!interval.ok()) return interval.status();
  const double lower = interval->lower;
  const double upper = interval->upper;
  const bool negative = transform == LogTransform::kExpNegativeMean;
  interval->lower = std::exp(negative ? -upper : lower);
  interval->upper = std::exp(negative ? -lower : upper);
  interval->method = kMethodLogStudentT;
  return interval;
}

absl::StatusOr<ConfidenceInterval> Delta(double estimate, double standard_error, uint64_t n,
                                         double level) {
  if (absl::Status status = CheckLevel(level); !status.ok()) return status;
  if (absl::Status status = CheckCount(n, 2); !status.ok()) return status;
  if (absl::Status status = CheckEstimate("estimate", estimate, standard_error); !status.ok()) {
    return status;
  }
  return Around(estimate, StudentPoint(n, level) * standard_error, level, kMethodDelta);
}

absl::StatusOr<double> ZeroOfNUpperBound(uint64_t n, double level) {
  if (absl::Status status = CheckLevel(level); !status.ok()) return status;
  if (absl::Status status = CheckCount(n, 1); !status.ok()) return status;
  return -std::expm1(std::log1p(-level) / static_cast<double>(n));
}

}  // namespace mirage::metrics
