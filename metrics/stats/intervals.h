#ifndef MIRAGE_METRICS_STATS_INTERVALS_H_
#define MIRAGE_METRICS_STATS_INTERVALS_H_

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// A two-sided, equal-tailed confidence interval.
struct ConfidenceInterval {
  double lower = 0;
  double upper = 0;
  // Nominal coverage in (0, 1).
  double level = 0;
  // One of the names below; static storage.
  std::string_view method;
};

// Method names, as they appear in answers.
inline constexpr std::string_view kMethodWilson = "wilson";
inline constexpr std::string_view kMethodClopperPearson = "clopper_pearson";
inline constexpr std::string_view kMethodBetaPosterior = "beta_posterior";
inline constexpr std::string_view kMethodStudentT = "student_t";
inline constexpr std::string_view kMethodLogStudentT = "student_t_log";
inline constexpr std::string_view kMethodDelta = "delta";
inline constexpr std::string_view kMethodBootstrapPercentile = "bootstrap_percentile";
inline constexpr std::string_view kMethodBootstrapBca = "bootstrap_bca";
inline constexpr std::string_view kMethodIdealBootstrapPercentile = "ideal_bootstrap_percentile";
inline constexpr std::string_view kMethodIdealBootstrapBca = "ideal_bootstrap_bca";
inline constexpr std::string_view kMethodNormal = "normal";

// OK for the nominal coverage of an interval, else INVALID_ARGUMENT with the remedy.
absl::Status CheckLevel(double level);

// Which function of the mean LogStudentT reports.
enum class LogTransform {
  // exp(mean): geometric mean of p, from log p.
  kExpMean,
  // exp(-mean): perplexity, from log p.
  kExpNegativeMean,
};

// Every function returns INVALID_ARGUMENT, with the argument's name and the remedy, for a level
// outside (0, 1), n = 0, successes > n, n > 2^53, a NaN or infinite value, or a negative error.

// Wilson's score interval for a share of k successes in n independent 0/1 items.
// Valid for every k and n, also 0 of n and n of n: coverage averaged over true shares is close to
// the level; for single shares near 0 or 1 (n p about 0.2) that of a 95 % interval drops to 84 %,
// where ClopperPearson keeps its level: interval_choice.h takes that one there. Within [0, 1].
// Source: Wilson (1927), JASA 22; recommended by Brown, Cai, DasGupta (2001), Statist. Sci. 16.
absl::StatusOr<ConfidenceInterval> Wilson(uint64_t successes, uint64_t n, double level);

// Clopper and Pearson's exact interval for a share of k successes in n independent 0/1 items.
// Valid for every k and n: coverage is never below the level, usually above it (conservative). For
// statements that must not overclaim ("above chance"). Source: Clopper, Pearson (1934),
// Biometrika 26.
absl::StatusOr<ConfidenceInterval> ClopperPearson(uint64_t successes, uint64_t n, double level);

// The equal-tailed credible interval of the share's posterior Beta(1 + k, 1 + n - k), which starts
// from a uniform prior. With 0 of n the lower end is 0, with n of n the upper end is 1: the tail on
// that side is left in.
// Valid for every k and n as a statement about the posterior. As a confidence interval its coverage
// is right on average over uniform shares; for single shares near 0 or 1 that of a 95 % interval
// drops to 79 %. Within [0, 1].
// Source: Bayes' rule; for evaluations with small n, Bowyer, Aitchison, Ivanova (2025), arXiv
// 2503.01747.
absl::StatusOr<ConfidenceInterval> BetaPosterior(uint64_t successes, uint64_t n, double level);

// mean +- t(n - 1) * standard_error.
// Valid for the mean of n >= 2 independent values that are about normal, or for n of some dozens of
// values that are not heavily skewed. Not for 0/1 values with few successes or failures. n = 1 is
// INVALID_ARGUMENT. A standard error of 0 gives an interval of width 0: see
// Moments::standard_error.
absl::StatusOr<ConfidenceInterval> StudentT(double mean, double standard_error, uint64_t n,
                                            double level);

// estimate +- z * standard_error.
// Valid where the error is known or n is in the hundreds.
absl::StatusOr<ConfidenceInterval> Normal(double estimate, double standard_error, double level);

// The interval of exp(mean) or exp(-mean): the ends of StudentT for the mean, transformed (and
// swapped for exp(-mean)). Keeps the coverage of StudentT, stays positive, is not symmetric. Valid
// where StudentT is for the mean of the logarithms. An end may overflow to +Inf.
absl::StatusOr<ConfidenceInterval> LogStudentT(double mean, double standard_error, uint64_t n,
                                               double level, LogTransform transform);

// estimate +- t(n - 1) * standard_error for a smooth function of means, whose error is the
// first-order one (RatioMoments). Valid when the function is close to linear over the interval: for
// a ratio, sum of weights known to about 10 %. Student's quantile, not the normal one, because n
// can be small. n >= 2.
absl::StatusOr<ConfidenceInterval> Delta(double estimate, double standard_error, uint64_t n,
                                         double level);

// The exact one-sided upper bound of a share after 0 successes in n: 1 - (1 - level)^(1/n), about
// 3/n at 95 %. Valid for every n >= 1.
absl::StatusOr<double> ZeroOfNUpperBound(uint64_t n, double level);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_INTERVALS_H_
