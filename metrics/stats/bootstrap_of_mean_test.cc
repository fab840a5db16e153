#include "metrics/stats/bootstrap_of_mean.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "gtest/gtest.h"
#include "metrics/stats/bootstrap.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

// Exponential numbers: skewed, so that BCa and percentiles differ.
std::vector<double> Skewed(size_t n, uint64_t seed) {
  CounterRng rng(seed, 0);
  std::vector<double> values(n);
  for (double& x : values) x = -std::log1p(-rng.Uniform());
  return values;
}

BootstrapResult Ideal(const std::vector<double>& values, const BootstrapOptions& options) {
  const auto result = BootstrapOfMean(values, options);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.value_or(BootstrapResult{});
}

BootstrapResult Drawn(const std::vector<double>& values, const BootstrapOptions& options) {
  const auto result = BootstrapOfMeans(
      values, 1, [](std::span<const double> means) { return means[0]; }, options);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.value_or(BootstrapResult{});
}

// Random resamples know an end to sqrt(p (1 - p) / B) in probability: with B = 100 000 and p = 5 %
// 0.0007, here about 0.7 % of a standard error (and z0 about as much again). Within five times of
// it: a right result fails less than once in 1e5 for each of these 12 ends; a percentile interval
// in place of the BCa one is 20 % of a standard error off at n = 60.
TEST(BootstrapOfMeanTest, IsTheLimitOfManyResamples) {
  for (const size_t n : {60U, 400U, 1500U}) {
    const std::vector<double> values = Skewed(n, n);
    for (const auto interval : {BootstrapInterval::kPercentile, BootstrapInterval::kBca}) {
      const BootstrapOptions options = {.seed = 7, .replicates = 100'000, .interval = interval};
      const BootstrapResult ideal = Ideal(values, options);
      const BootstrapResult drawn = Drawn(values, options);
      EXPECT_EQ(ideal.interval.method, interval == BootstrapInterval::kBca
                                           ? "ideal_bootstrap_bca"
                                           : "ideal_bootstrap_percentile");
      EXPECT_EQ(ideal.interval.level, 0.9);
      EXPECT_NEAR(ideal.estimate, drawn.estimate, 1e-12);
      EXPECT_NEAR(ideal.standard_error, drawn.standard_error, 0.008 * drawn.standard_error);
      EXPECT_NEAR(ideal.interval.lower, drawn.interval.lower, 0.05 * drawn.standard_error);
      EXPECT_NEAR(ideal.interval.upper, drawn.interval.upper, 0.05 * drawn.standard_error);
    }
  }
}

// By theory: z0 is about a, skewness / (6 sqrt(n)), and the ends to O(1/n) those of Hall's
// expansion, mean + se (z + a (2 z^2 + 1)) for BCa, mean + se (z + a (z^2 - 1)) for percentiles.
TEST(BootstrapOfMeanTest, AgreesWithTheExpansionForManyRows) {
  const std::vector<double> values = Skewed(200'000, 11);
  double mean = 0;
  for (const double x : values) mean += x / static_cast<double>(values.size());
  double squares = 0;
  double cubes = 0;
  for (const double x : values) {
    squares += (x - mean) * (x - mean);
    cubes += (x - mean) * (x - mean) * (x - mean);
  }
  const double a = cubes / (6 * squares * std::sqrt(squares));
  const double error = std::sqrt(squares) / static_cast<double>(values.size());
  for (const auto interval : {BootstrapInterval::kPercentile, BootstrapInterval::kBca}) {
    const BootstrapResult ideal = Ideal(values, {.level = 0.95, .interval = interval});
    for (const double p : {0.025, 0.975}) {
      const double z = NormalQuantile(p);
      const double shift = a * (interval == BootstrapInterval::kBca ? 2 * z * z + 1 : z * z - 1);
      const double end = p < 0.5 ? ideal.interval.lower : ideal.interval.upper;
      EXPECT_NEAR((end - mean) / error, z + shift, 2e-5);
      EXPECT_GT(std::abs(shift), 1e-3);
    }
  }
}

TEST(BootstrapOfMeanTest, DrawsWhereTheSumIsNotSmooth) {
  const std::vector<double> few = Skewed(20, 8);
  const BootstrapOptions options = {.seed = 3, .interval = BootstrapInterval::kBca};
  const BootstrapResult result = Ideal(few, options);
  const BootstrapResult drawn = Drawn(few, options);
  EXPECT_EQ(result.interval.method, "bootstrap_bca");
  EXPECT_EQ(result.interval.lower, drawn.interval.lower);
  EXPECT_EQ(result.interval.upper, drawn.interval.upper);
}

// Both draw at random, each in its own way: ends are sums over 60, to sqrt(2 p (1 - p) / B) in
// probability, 0.4 of a step of them at 5 % and B = 100 000; two steps apart is a mistake.
TEST(BootstrapOfMeanTest, FewKindsAreDrawnAsCounts) {
  std::vector<double> marks(60);
  for (size_t i = 0; i < marks.size(); ++i) marks[i] = static_cast<double>(i * i % 7 % 5);
  for (const auto interval : {BootstrapInterval::kPercentile, BootstrapInterval::kBca}) {
    const BootstrapOptions options = {.seed = 3, .replicates = 100'000, .interval = interval};
    const BootstrapResult result = Ideal(marks, options);
    const BootstrapResult drawn = Drawn(marks, options);
    EXPECT_EQ(result.interval.method, drawn.interval.method);
    EXPECT_NEAR(result.estimate, drawn.estimate, 1e-12);
    EXPECT_NEAR(result.interval.lower, drawn.interval.lower, 1.5 / 60);
    EXPECT_NEAR(result.interval.upper, drawn.interval.upper, 1.5 / 60);
    EXPECT_LT(result.interval.lower, drawn.estimate - 10.0 / 60);
    std::reverse(marks.begin(), marks.end());
    EXPECT_EQ(Ideal(marks, options).interval.lower, result.interval.lower);
  }
}

TEST(BootstrapOfMeanTest, NeitherSeedNorOrderNorThreadsMatter) {
  std::vector<double> values = Skewed(10'000, 5);
  const BootstrapResult one = Ideal(values, {.seed = 1});
  std::reverse(values.begin(), values.end());
  const BootstrapResult other = Ideal(values, {.seed = 2, .threads = 8});
  EXPECT_EQ(one.interval.lower, other.interval.lower);
  EXPECT_EQ(one.interval.upper, other.interval.upper);
}

TEST(BootstrapOfMeanTest, BadInputIsNamed) {
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(BootstrapOfMean({}, {}).status().message(),
            "rows is empty: at least one row is needed");
  EXPECT_EQ(BootstrapOfMean(std::vector<double>{1, inf}, {}).status().message(),
            "rows[1][0] is inf: must be finite");
  EXPECT_EQ(BootstrapOfMean(Skewed(100, 1), {.level = 1}).status().message(),
            "level is 1: must be between 0 and 1, for example 0.95");
}

}  // namespace
}  // namespace mirage::metrics
