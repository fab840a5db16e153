#include "metrics/stats/interval_choice.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/moments.h"

namespace mirage::metrics {
namespace {

constexpr auto kMethods = std::to_array<IntervalMethodInfo>({
    {.method = IntervalMethod::kAuto,
     .name = "auto",
     .definition = "0/1 values: clopper_pearson below 5 successes or failures, else wilson; "
                   "others: student_t",
     .valid = "where the method that it takes is",
     .source = "coverage study"},
    {.method = IntervalMethod::kWilson,
     .name = kMethodWilson,
     .definition = "(k + z^2/2 +- z sqrt(k (n - k)/n + z^2/4)) / (n + z^2)",
     .valid = "0/1 values with 5 or more successes and failures; with fewer its coverage is right "
              "on average only",
     .source = "Wilson 1927, JASA 22"},
    {.method = IntervalMethod::kClopperPearson,
     .name = kMethodClopperPearson,
     .definition = "the shares that a one-sided exact test at (1 - level)/2 does not reject",
     .valid = "0/1 values, always: coverage is at least the level, mostly more",
     .source = "Clopper, Pearson 1934, Biometrika 26"},
    {.method = IntervalMethod::kBetaPosterior,
     .name = kMethodBetaPosterior,
     .definition = "quantiles of Beta(1 + k, 1 + n - k); an end without counts is left open",
     .valid = "0/1 values, as a statement about the posterior of a uniform prior; its coverage "
              "near 0 and 1 is too small",
     .source = "Bowyer et al. 2025, arXiv 2503.01747"},
    {.method = IntervalMethod::kStudentT,
     .name = kMethodStudentT,
     .definition = "mean +- t(n - 1) s / sqrt(n)",
     .valid = "values that are about normal, or some dozens of values that are not very skewed",
     .source = "Student 1908, Biometrika 6"},
    {.method = IntervalMethod::kNormal,
     .name = kMethodNormal,
     .definition = "mean +- z s / sqrt(n)",
     .valid = "hundreds of values that are not very skewed; for 0/1 values with dozens of "
              "successes and failures",
     .source = "central limit theorem"},
});

absl::Status Unfit(std::string_view message) {
  return absl::FailedPreconditionError(absl::string_view(message.data(), message.size()));
}

std::string_view NameOf(IntervalMethod method) {
  for (const IntervalMethodInfo& info : kMethods) {
    if (info.method == method) return info.name;
  }
  return "";
}

bool HasFewCounts(uint64_t successes, uint64_t n) {
  return std::min(successes, n - std::min(successes, n)) < kFewCounts;
}

// Why there is no interval for the mean of such values at all; OK if there is one.
absl::Status CheckValues(const Moments& values) {
  if (values.count() == 0) return Unfit("no interval: there are no values");
  if (values.n_nan() > 0) {
    return Unfit(
        fmt::format("no interval: {} of {} values are NaN", values.n_nan(), values.count()));
  }
  if (values.n_infinite() > 0) {
    return Unfit(fmt::format("no interval: {} of {} values are infinite", values.n_infinite(),
                             values.count()));
  }
  return absl::OkStatus();
}

// The standard error to make an interval of; a status where it would have the width 0.
absl::StatusOr<double> UsableError(const Moments& values) {
  if (values.count() < 2) return Unfit("no interval: one value has no spread to judge by");
  const std::optional<double> error = values.standard_error();
  if (!error.has_value()) return Unfit("no interval: the sum of the values overflows");
  if (*error == 0) {
    return Unfit(values.IsBinary()
                     ? "no interval: all values are equal, and its width would be 0; use "
                       "clopper_pearson"
                     : "no interval: all values are equal, and its width would be 0");
  }
  return *error;
}

}  // namespace

std::span<const IntervalMethodInfo> IntervalMethods() { return kMethods; }

absl::StatusOr<IntervalMethod> ParseIntervalMethod(std::string_view name) {
  std::string names;
  for (const IntervalMethodInfo& info : kMethods) {
    if (info.name == name) return info.method;
    names += names.empty() ? "" : ", ";
    names += info.name;
  }
  return absl::InvalidArgumentError(
      fmt::format("'{}' is no interval method: use one of {}", name, names));
}

absl::StatusOr<IntervalMethod> ChooseMethod(const Moments& values) {
  if (absl::Status status = CheckValues(values); !status.ok()) return status;
  if (values.IsBinary()) {
    return HasFewCounts(values.successes(), values.count()) ? IntervalMethod::kClopperPearson
                                                            : IntervalMethod::kWilson;
  }
  if (absl::StatusOr<double> error = UsableError(values); !error.ok()) return error.status();
  return IntervalMethod::kStudentT;
}

absl::StatusOr<ConfidenceInterval> MeanInterval(const Moments& values, double level,
                                                IntervalMethod method) {
  if (absl::Status status = CheckLevel(level); !status.ok()) return status;
  if (absl::Status status = CheckValues(values); !status.ok()) return status;
  if (method == IntervalMethod::kAuto) {
    absl::StatusOr<IntervalMethod> chosen = ChooseMethod(values);
    if (!chosen.ok()) return chosen.status();
    method = *chosen;
  }
  if (method != IntervalMethod::kStudentT && method != IntervalMethod::kNormal) {
    if (!values.IsBinary()) {
      return Unfit("no interval of a share: there are values other than 0 and 1; use student_t");
    }
    return ShareInterval(values.successes(), values.count(), level, method);
  }
  absl::StatusOr<double> error = UsableError(values);
  if (!error.ok()) return error.status();
  if (method == IntervalMethod::kNormal) return Normal(*values.mean(), *error, level);
  return StudentT(*values.mean(), *error, values.count(), level);
}

absl::StatusOr<ConfidenceInterval> ShareInterval(uint64_t successes, uint64_t n, double level,
                                                 IntervalMethod method) {
  switch (method) {
    case IntervalMethod::kAuto:
      return HasFewCounts(successes, n) ? ClopperPearson(successes, n, level)
                                        : Wilson(successes, n, level);
    case IntervalMethod::kWilson:
      return Wilson(successes, n, level);
    case IntervalMethod::kClopperPearson:
      return ClopperPearson(successes, n, level);
    case IntervalMethod::kBetaPosterior:
      return BetaPosterior(successes, n, level);
    case IntervalMethod::kStudentT:
    case IntervalMethod::kNormal:
      break;
  }
  if (successes > n || n == 0) return Wilson(successes, n, level);
  Moments values;
  values.AddRepeated(1, successes);
  values.AddRepeated(0, n - successes);
  return MeanInterval(values, level, method);
}

std::string IntervalSignature(const ConfidenceInterval& interval, IntervalMethod asked) {
  return fmt::format("interval={}|level={}|chosen={}|v1", interval.method, interval.level,
                     NameOf(asked) == interval.method ? "user" : "auto");
}

}  // namespace mirage::metrics
