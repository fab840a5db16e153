#include "metrics/stats/sum_distribution.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

enum class Kind : uint8_t { kResamples, kSigns };

struct Case {
  Kind kind;
  std::vector<double> values;
  double standard_deviation;
  // Sums, and the probability below them with half of theirs.
  std::vector<std::pair<double, double>> below;
};

#include "metrics/stats/sum_distribution_vectors.inc"

absl::StatusOr<SumDistribution> Make(Kind kind, const std::vector<double>& values,
                                     int threads = 1) {
  return kind == Kind::kResamples ? SumDistribution::OfResamples(values, threads)
                                  : SumDistribution::OfSigns(values, threads);
}

// Uniform in [0, 1).
std::vector<double> Uniform(size_t n, uint64_t seed) {
  CounterRng rng(seed, 0);
  std::vector<double> values(n);
  for (double& x : values) x = rng.Uniform();
  return values;
}

TEST(SumDistributionTest, AgreesWithAddingUpAllOutcomes) {
  ASSERT_EQ(kCases.size(), 6);
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.values[0]);
    const auto sum = Make(c.kind, c.values);
    ASSERT_TRUE(sum.ok()) << sum.status();
    EXPECT_NEAR(sum->standard_deviation(), c.standard_deviation, 1e-9 * c.standard_deviation);
    for (const auto& [x, below] : c.below) EXPECT_NEAR(sum->Below(x), below, 1e-8) << x;
  }
}

TEST(SumDistributionTest, QuantilesInvertTheDistribution) {
  const auto sum = Make(kCases[0].kind, kCases[0].values);
  ASSERT_TRUE(sum.ok()) << sum.status();
  for (const double p : {1e-6, 0.001, 0.025, 0.3, 0.5, 0.9, 0.975, 0.999999}) {
    EXPECT_NEAR(sum->Below(sum->Quantile(p)), p, 1e-10);
  }
}

// The sum of n uniform numbers times random signs has kurtosis 3 - 2 sum x^4 / (sum x^2)^2; the
// first term of Edgeworth's series is good to O(1/n^2).
TEST(SumDistributionTest, ManyTermsComeCloseToTheNormal) {
  const std::vector<double> values = Uniform(100'000, 1);
  double squares = 0;
  double fourth = 0;
  for (const double x : values) {
    squares += x * x;
    fourth += x * x * x * x;
  }
  const double kurtosis = -2 * fourth / (squares * squares);
  const auto sum = SumDistribution::OfSigns(values);
  ASSERT_TRUE(sum.ok()) << sum.status();
  for (const double z : {-3.0, -1.0, 0.5, 2.0}) {
    const double density = std::exp(-z * z / 2) / std::sqrt(2 * M_PI);
    const double edgeworth = NormalCdf(z) - kurtosis / 24 * (z * z * z - 3 * z) * density;
    EXPECT_NEAR(sum->Below(z * std::sqrt(squares)), edgeworth, 1e-10);
    // Which is not the normal distribution to that precision.
    EXPECT_GT(std::abs(edgeworth - NormalCdf(z)), 1e-8);
  }
}

TEST(SumDistributionTest, OrderAndThreadsDoNotMatter) {
  std::vector<double> values = Uniform(20'000, 2);
  for (const Kind kind : {Kind::kResamples, Kind::kSigns}) {
    const auto sum = Make(kind, values);
    ASSERT_TRUE(sum.ok()) << sum.status();
    std::reverse(values.begin(), values.end());
    for (const int threads : {2, 8}) {
      const auto same = Make(kind, values, threads);
      ASSERT_TRUE(same.ok()) << same.status();
      EXPECT_EQ(same->standard_deviation(), sum->standard_deviation());
      for (const double z : {-2.0, 0.1, 1.0}) {
        const double x = z * sum->standard_deviation();
        EXPECT_EQ(same->Below(x), sum->Below(x));
      }
    }
  }
}

// What is not smooth must not come back as a number.
TEST(SumDistributionTest, RefusesLatticesClumpsAndFewTerms) {
  std::vector<double> few_kinds(1000);
  std::vector<double> blurred(5000);
  std::vector<double> clumps(1000);
  const std::vector<double> noise = Uniform(5000, 3);
  for (size_t i = 0; i < few_kinds.size(); ++i) {
    few_kinds[i] = static_cast<double>(i % 3);
    // Ten numbers a million times larger than the others.
    clumps[i] = i < 10 ? 1e6 + noise[i] : noise[i];
  }
  // A lattice all but for what nobody would see.
  for (size_t i = 0; i < blurred.size(); ++i) {
    blurred[i] = static_cast<double>(1 + i % 7) + 1e-9 * noise[i];
  }
  const std::vector<double> few = Uniform(8, 4);
  const std::vector<double> two_values = {1, 2};
  for (const Kind kind : {Kind::kResamples, Kind::kSigns}) {
    for (const auto& values : {few_kinds, blurred, clumps, few, two_values}) {
      const auto sum = Make(kind, values);
      EXPECT_EQ(sum.status().code(), absl::StatusCode::kFailedPrecondition) << values[1];
      EXPECT_THAT(std::string(sum.status().message()), HasSubstr("draw at random"));
    }
  }
}

TEST(SumDistributionTest, BadValuesAreNamed) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const Kind kind : {Kind::kResamples, Kind::kSigns}) {
    EXPECT_EQ(Make(kind, {}).status().message(), "values is empty: at least one is needed");
    EXPECT_EQ(Make(kind, {1, nan}).status().message(), "values[1] is nan: must be finite");
    EXPECT_EQ(Make(kind, {0, 0}).status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(Make(kind, {1e300, -1e300, 2e300}).status().code(),
              absl::StatusCode::kFailedPrecondition);
  }
}

TEST(SumDistributionTest, OutsideOfTheWindowItIsCertain) {
  const auto sum = SumDistribution::OfSigns(Uniform(500, 5));
  ASSERT_TRUE(sum.ok()) << sum.status();
  EXPECT_EQ(sum->Below(1e9), 1);
  EXPECT_EQ(sum->Below(-1e9), 0);
  EXPECT_EQ(sum->Below(std::numeric_limits<double>::infinity()), 1);
}

}  // namespace
}  // namespace mirage::metrics
