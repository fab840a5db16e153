#include "metrics/emergence/distortion.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

// The golden values of the reference, to the printed digits. 1/n must be below m(1) - m(2).
TEST(DistortionTest, HomogeneousItems) {
  struct Golden {
    double u;
    double r;
    double half_digit;
  };
  for (const Golden& golden : {Golden{1, 1.03, 0.005}, Golden{2, 1.99, 0.005},
                               Golden{3.15, 4.0, 0.05}, Golden{4, 6.5, 0.05}}) {
    const auto d = ExactMatchDistortion(std::vector<double>(1000, -golden.u), 1);
    ASSERT_TRUE(d.ok()) << d.status();
    EXPECT_NEAR(d->r, golden.r, golden.half_digit);
    EXPECT_NEAR(*d->u, golden.u, 1e-12);
    EXPECT_NEAR(d->m_half, std::exp(-golden.u / 2), 1e-12);
    EXPECT_NEAR(d->m_one, std::exp(-golden.u), 1e-12);
    EXPECT_NEAR(d->m_two, std::exp(-2 * golden.u), 1e-12);
    // Equal items leave nothing to resample.
    EXPECT_NEAR(d->r_lower, d->r, 1e-9);
    EXPECT_NEAR(d->r_upper, d->r, 1e-9);
    EXPECT_EQ(d->n, 1000u);
  }
}

// At u = 20 the last step's gain is far below one item of 100: the floor bounds R by n m(1/2).
TEST(DistortionTest, ResolutionBoundsTheDenominator) {
  const auto d = ExactMatchDistortion(std::vector<double>(100, -20.0), 1);
  ASSERT_TRUE(d.ok());
  EXPECT_NEAR(d->r, 100 * (std::exp(-10.0) - std::exp(-20.0)), 1e-12);
}

TEST(DistortionTest, ImpossibleTargetsContributeNothing) {
  std::vector<double> items(100, -1.0);
  const auto without = ExactMatchDistortion(items, 1);
  items.resize(200, -kInf);
  const auto with = ExactMatchDistortion(items, 1);
  ASSERT_TRUE(without.ok() && with.ok());
  EXPECT_DOUBLE_EQ(with->m_one, without->m_one / 2);
  EXPECT_DOUBLE_EQ(with->r, without->r);
  EXPECT_EQ(*with->u, kInf);
  const auto none = ExactMatchDistortion(std::vector<double>(5, -kInf), 1);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->r, 0);
  EXPECT_EQ(none->r_upper, 0);
}

TEST(DistortionTest, CertainItemsAreFlat) {
  const auto d = ExactMatchDistortion(std::vector<double>(50, -0.0), 1);
  ASSERT_TRUE(d.ok());
  EXPECT_EQ(d->m_one, 1);
  EXPECT_EQ(d->r, 0);
  EXPECT_FALSE(std::signbit(*d->u));
}

// 300 samples of 200 items with u from an exponential distribution of mean 2, whose true R follows
// from E exp(-rho u) = 1 / (1 + 2 rho): (1/2 - 1/3) / (1/3 - 1/5) = 1.25. Coverage of 90 % has a
// standard deviation of 1.7 points here: 80 % would be found with a power above 99 %.
TEST(DistortionTest, IntervalCoversTheTruth) {
  int covered = 0;
  for (uint64_t trial = 0; trial < 300; ++trial) {
    CounterRng rng(21, trial);
    std::vector<double> items(200);
    for (double& x : items) x = 2 * std::log1p(-rng.Uniform());
    const auto d = ExactMatchDistortion(items, trial);
    ASSERT_TRUE(d.ok());
    covered += d->r_lower <= 1.25 && 1.25 <= d->r_upper ? 1 : 0;
  }
  EXPECT_GT(covered, 250);
  EXPECT_LT(covered, 291);
}

TEST(DistortionTest, ManyItems) {
  CounterRng rng(22, 0);
  std::vector<double> items(100'000);
  for (double& x : items) x = 2 * std::log1p(-rng.Uniform());
  const auto d = ExactMatchDistortion(items, 3);
  const auto again = ExactMatchDistortion(items, 3);
  ASSERT_TRUE(d.ok() && again.ok());
  EXPECT_NEAR(d->r, 1.25, 0.02);
  EXPECT_LT(d->r_upper - d->r_lower, 0.03);
  EXPECT_GT(d->r_upper - d->r_lower, 0.003);
  EXPECT_EQ(d->r_lower, again->r_lower);
  EXPECT_EQ(d->r_upper, again->r_upper);
}

TEST(DistortionTest, MultipleChoiceCountsMargins) {
  // Just right: 0.2, 0.5. Just wrong: 0, -0.1, -0.4. Far: the rest.
  const std::vector<double> margins = {0.2, 0.5, 0, -0.1, -0.4, 0.6, kInf, -0.5, -3, -kInf};
  const auto d = MultipleChoiceDistortion(margins, 1);
  ASSERT_TRUE(d.ok()) << d.status();
  EXPECT_DOUBLE_EQ(d->m_half, 0.7);
  EXPECT_DOUBLE_EQ(d->m_one, 0.4);
  EXPECT_DOUBLE_EQ(d->m_two, 0.2);
  EXPECT_DOUBLE_EQ(d->r, 1.5);
  EXPECT_FALSE(d->u.has_value());
  EXPECT_EQ(d->n, 10u);
  EXPECT_LE(d->r_lower, d->r);
  EXPECT_GE(d->r_upper, d->r);
}

TEST(DistortionTest, CountsAndSpansAgree) {
  CounterRng rng(4, 0);
  std::vector<double> margins(5000);
  MarginCounts a;
  MarginCounts b;
  for (double& margin : margins) {
    margin = 4 * rng.Uniform() - 3;
    (rng.Below(2) == 0 ? a : b).Add(margin);
  }
  b.Merge(a);
  const auto from_span = MultipleChoiceDistortion(margins, 7);
  const auto from_counts = MultipleChoiceDistortion(b, 7);
  const auto stored = MultipleChoiceDistortion(
      MarginCounts::FromCounts(b.above(), b.just_right(), b.just_wrong(), b.below()), 7);
  ASSERT_TRUE(from_span.ok() && from_counts.ok() && stored.ok());
  EXPECT_EQ(from_span->r, from_counts->r);
  EXPECT_EQ(from_span->r_lower, from_counts->r_lower);
  EXPECT_EQ(from_span->r_upper, stored->r_upper);
  // Uniform margins: as much on each side of 0.
  EXPECT_LT(from_span->r_lower, 1);
  EXPECT_GT(from_span->r_upper, 1);
}

// The interval from the delta method for a ratio of two multinomial counts,
// log R +- 1.645 sqrt(1/b + 1/c): counts of 400 put both within a few percent.
TEST(DistortionTest, MultipleChoiceIntervalMatchesTheDeltaMethod) {
  const auto d = MultipleChoiceDistortion(MarginCounts::FromCounts(200, 400, 800, 10'000), 1);
  ASSERT_TRUE(d.ok());
  const double error = 1.645 * std::sqrt(1.0 / 400 + 1.0 / 800);
  EXPECT_NEAR(std::log(d->r_lower / 2), -error, 0.02);
  EXPECT_NEAR(std::log(d->r_upper / 2), error, 0.02);
}

TEST(DistortionTest, MultipleChoiceWithNothingJustRight) {
  const auto d = MultipleChoiceDistortion(MarginCounts::FromCounts(0, 0, 7, 3), 1);
  ASSERT_TRUE(d.ok());
  EXPECT_EQ(d->r, 7);
  EXPECT_EQ(d->m_one, 0);
}

// eps = 1/5 and 2/5 of L = 5, 0 of 3, an empty target that was met, and one that was not.
TEST(DistortionTest, EditDistance) {
  const std::vector<double> distances = {1, 2, 0, 0, 4, 9};
  const std::vector<double> lengths = {5, 5, 3, 0, 0, 5};
  const auto d = EditDistanceDistortion(distances, lengths, 1);
  ASSERT_TRUE(d.ok()) << d.status();
  const double half = (std::pow(.9, 5) + std::pow(.8, 5) + 1 + 1 + 0 + std::pow(.1, 5)) / 6;
  const double one = (std::pow(.8, 5) + std::pow(.6, 5) + 1 + 1 + 0 + 0) / 6;
  const double two = (std::pow(.6, 5) + std::pow(.2, 5) + 1 + 1 + 0 + 0) / 6;
  EXPECT_NEAR(d->m_half, half, 1e-14);
  EXPECT_NEAR(d->m_one, one, 1e-14);
  EXPECT_NEAR(d->m_two, two, 1e-14);
  EXPECT_NEAR(d->r, (half - one) / std::max(one - two, 1.0 / 6), 1e-13);
  EXPECT_FALSE(d->u.has_value());
}

TEST(DistortionTest, BadInputIsNamed) {
  const auto message = [](const auto& result) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(result.status().message());
  };
  using V = std::vector<double>;
  EXPECT_THAT(message(ExactMatchDistortion({}, 1)), HasSubstr("log_probabilities is empty"));
  EXPECT_THAT(message(ExactMatchDistortion(V{-1, 0.2}, 1)),
              HasSubstr("log_probabilities[1] is +0.2: log-probabilities must be <= 0"));
  EXPECT_THAT(message(ExactMatchDistortion(V{kNan}, 1)), HasSubstr("log_probabilities[0] is"));
  EXPECT_THAT(message(MultipleChoiceDistortion(V{}, 1)), HasSubstr("margins is empty"));
  EXPECT_THAT(message(MultipleChoiceDistortion(V{1, kNan}, 1)), HasSubstr("margins[1] is nan"));
  MarginCounts counts;
  counts.Add(1);
  counts.Add(kNan);
  EXPECT_THAT(message(MultipleChoiceDistortion(counts, 1)), HasSubstr("1 of 2 are NaN"));
  EXPECT_THAT(message(EditDistanceDistortion({}, {}, 1)), HasSubstr("edit_distances is empty"));
  EXPECT_THAT(message(EditDistanceDistortion(V{1}, V{1, 2}, 1)), HasSubstr("target_lengths has 2"));
  EXPECT_THAT(message(EditDistanceDistortion(V{-1}, V{1}, 1)),
              HasSubstr("edit_distances[0] is -1"));
  EXPECT_THAT(message(EditDistanceDistortion(V{1}, V{kInf}, 1)),
              HasSubstr("target_lengths[0] is inf"));
}

TEST(DistortionTest, TargetsOfOneUnitComposeNothing) {
  const auto one =
      EditDistanceDistortion(std::vector<double>{0, 1, 1}, std::vector<double>{1, 1, 0}, 1);
  ASSERT_TRUE(one.ok());
  EXPECT_FALSE(one->is_composed);
  const auto two =
      EditDistanceDistortion(std::vector<double>{0, 1, 1}, std::vector<double>{1, 1, 2}, 1);
  ASSERT_TRUE(two.ok());
  EXPECT_TRUE(two->is_composed);
  EXPECT_TRUE(ExactMatchDistortion(std::vector<double>{-1}, 1)->is_composed);
}

}  // namespace
}  // namespace mirage::metrics
