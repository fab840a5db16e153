#include "metrics/emergence/heterogeneity.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

// Sizes 1 apart, of `n` items with these CVs and a mean that falls.
std::vector<ModelSpread> Spread(const std::vector<double>& cvs, double n = 300) {
  std::vector<ModelSpread> models;
  models.reserve(cvs.size());
  for (const double cv : cvs) {
    const auto x = static_cast<double>(models.size());
    const double mean = 4 * std::exp(-0.5 * x);
    models.push_back({x, mean, cv * mean / std::sqrt(n), n});
  }
  return models;
}

TEST(HeterogeneityTest, AJumpIsFound) {
  const auto jump =
      FindHeterogeneityJump(Spread({0.5, 0.5, 0.52, 0.48, 0.7, 1.0, 1.1, 1.1, 1.1, 1.1}));
  ASSERT_TRUE(jump.has_value());
  // The window is three gaps.
  EXPECT_NEAR(jump->ratio, 1.1 / 0.48, 1e-12);
  EXPECT_EQ(jump->from, 3);
  EXPECT_EQ(jump->to, 6);
}

TEST(HeterogeneityTest, WhatGrowsEvenlyOrFallsIsNone) {
  EXPECT_FALSE(
      FindHeterogeneityJump(Spread({0.5, 0.56, 0.62, 0.69, 0.77, 0.86, 0.95, 1.06, 1.18})));
  EXPECT_FALSE(FindHeterogeneityJump(Spread({1.5, 1.2, 1.0, 0.7, 0.3, 0.2, 0.1})));
  EXPECT_FALSE(FindHeterogeneityJump(Spread({0.5, 0.5, 0.5, 0.74, 0.74, 0.74})));
  EXPECT_TRUE(FindHeterogeneityJump(Spread({0.5, 0.5, 0.5, 0.76, 0.76, 0.76})));
}

TEST(HeterogeneityTest, FewItemsSayNothing) {
  const std::vector<double> cvs = {1, 1, 1, 1.6, 1.6, 1.6};
  EXPECT_TRUE(FindHeterogeneityJump(Spread(cvs, 300)));
  EXPECT_FALSE(FindHeterogeneityJump(Spread(cvs, 99)));
  // sqrt((1.5 + 3.06) / 100) is .21: half of ln 1.6 is less.
  EXPECT_FALSE(FindHeterogeneityJump(Spread({1, 1, 1, 1.51, 1.51, 1.51}, 100)));
}

TEST(HeterogeneityTest, ItemsThatHardlyDifferHaveNoSpread) {
  // What rounding leaves of equal items.
  EXPECT_FALSE(FindHeterogeneityJump(Spread({1e-17, 3e-17, 1e-16, 2e-15, 1e-12, 1e-9})));
  EXPECT_FALSE(FindHeterogeneityJump(Spread({0.01, 0.01, 0.01, 0.14, 0.14, 0.14})));
  EXPECT_TRUE(FindHeterogeneityJump(Spread({0.01, 0.01, 0.01, 0.16, 0.16, 0.16})));
}

TEST(HeterogeneityTest, OrderAndWhatIsOutOfRange) {
  std::vector<ModelSpread> models = Spread({0.5, 0.5, 0.5, 1, 1, 1});
  // A replicate of the last size.
  models.push_back(models.back());
  const auto before = FindHeterogeneityJump(models);
  std::reverse(models.begin(), models.end());
  models.push_back({2.5, 0, 1, 300});
  models.push_back({2.5, std::numeric_limits<double>::quiet_NaN(), 1, 300});
  models.push_back({2.5, 1, std::numeric_limits<double>::infinity(), 300});
  const auto after = FindHeterogeneityJump(models);
  ASSERT_TRUE(before && after);
  EXPECT_EQ(before->ratio, after->ratio);
  EXPECT_EQ(before->from, after->from);
  EXPECT_FALSE(FindHeterogeneityJump({}));
}

}  // namespace
}  // namespace mirage::metrics
