#include "metrics/emergence/composition.h"

#include <array>
#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

constexpr std::array kAlike = {ItemDifficulty{}};

// 4000 simulated shares: the interval of 90 % must hold 90 % and more (two distributions are
// bracketed), not much more. At 90 % the share's standard error is 0.5 %: four of them below is a
// false alarm of 3e-5.
TEST(CompositionTest, TheIntervalHoldsWhatItSays) {
  CounterRng rng(5, 0);
  for (const double log_q : {-2.5, -1.2, -0.5}) {
    const AllTokensInput input = {.log_q = log_q, .sd = 0.08, .length = 5, .n = 300};
    const PredictedShare predicted = PredictAllTokens(input, kAlike, 0.9);
    EXPECT_NEAR(predicted.value, std::exp(-5 * std::exp(log_q)), 1e-12);
    int inside = 0;
    constexpr int kDraws = 4000;
    for (int draw = 0; draw < kDraws; ++draw) {
      const double p = std::exp(
          -5 * std::exp(log_q + 0.08 * NormalQuantile(rng.Uniform() * (1 - 1e-9) + 5e-10)));
      int k = 0;
      for (int i = 0; i < 300; ++i) k += rng.Uniform() < p ? 1 : 0;
      const double share = k / 300.0;
      inside += share >= predicted.lower && share <= predicted.upper ? 1 : 0;
    }
    EXPECT_GT(inside, kDraws * 0.88);
    EXPECT_LT(inside, kDraws * 0.95);
  }
}

TEST(CompositionTest, WithoutACountOnlyTheLawIsUncertain) {
  const PredictedShare predicted =
      PredictAllTokens({.log_q = -1, .sd = 0.1, .length = 3}, kAlike, 0.9);
  const double z = NormalQuantile(0.95);
  EXPECT_NEAR(predicted.lower, std::exp(-3 * std::exp(-1 + 0.1 * z)), 2e-3);
  EXPECT_NEAR(predicted.upper, std::exp(-3 * std::exp(-1 - 0.1 * z)), 2e-3);
}

// Items whose chances to have a token right differ, counted one by one.
TEST(CompositionTest, RightTokensComposeToAllRight) {
  constexpr std::array kSpread = {ItemDifficulty{ItemSpread::kGamma, 0.7}};
  constexpr double kNll = 0.4;
  constexpr int kTokens = 6;
  double mean = 0;
  double all = 0;
  double mass = 0;
  for (int i = -30'000; i < 3'000; ++i) {
    const double t = i * 1e-3;
    const double g = std::exp(t);
    const double weight = std::exp((t - g) / (0.7 * 0.7));
    mass += weight;
    mean += weight * std::exp(-kNll * g);
    all += weight * std::pow(std::exp(-kNll * g), kTokens);
  }
  const PredictedShare predicted = PredictAllTokens({.of = AllTokensOf::kShareRight,
                                                     .log_q = std::log(-std::log(mean / mass)),
                                                     .length = kTokens,
                                                     .n = 500},
                                                    kSpread, 0.9);
  EXPECT_NEAR(predicted.value, all / mass, 1e-6);
  // A mean NLL of that size is another thing.
  EXPECT_LT(
      predicted.value,
      PredictAllTokens({.log_q = std::log(-std::log(mean / mass)), .length = kTokens, .n = 500},
                       kSpread, 0.9)
              .value -
          0.005);
}

TEST(CompositionTest, TheBandHoldsThoseOfAllSpreads) {
  constexpr std::array kTwo = {ItemDifficulty{ItemSpread::kPair, 0.7},
                               ItemDifficulty{ItemSpread::kBeta30, 0.7}};
  const AllTokensInput input = {.log_q = 0, .sd = 0.05, .length = 4, .n = 2000};
  const PredictedShare both = PredictAllTokens(input, kTwo, 0.9);
  const PredictedShare few = PredictAllTokens(input, {kTwo.data(), 1}, 0.9);
  const PredictedShare many = PredictAllTokens(input, {kTwo.data() + 1, 1}, 0.9);
  EXPECT_LT(few.upper, many.lower);
  EXPECT_EQ(both.lower, few.lower);
  EXPECT_EQ(both.upper, many.upper);
  EXPECT_DOUBLE_EQ(both.value, (few.value + many.value) / 2);
}

TEST(CompositionTest, MarginsComposeByTheirDistribution) {
  constexpr std::array kTwo = {MarginSpread::kNormal, MarginSpread::kLongAbove};
  const PredictedShare normal = PredictArgmax(0.25, 0.02, {kTwo.data(), 1}, 1000, 0.9);
  EXPECT_NEAR(normal.value, NormalCdf(0.25), 1e-12);
  EXPECT_LT(normal.lower, normal.value - 0.02);
  EXPECT_GT(normal.upper, normal.value + 0.02);
  EXPECT_GT(normal.lower, normal.value - 0.06);
  const PredictedShare both = PredictArgmax(0.25, 0.02, kTwo, 1000, 0.9);
  EXPECT_EQ(both.upper, normal.upper);
  EXPECT_LT(both.lower, normal.lower - 0.03);
}

}  // namespace
}  // namespace mirage::metrics
