#include "metrics/emergence/composition.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

TEST(CompositionTest, WithoutSpreadItIsThePower) {
  for (const double u : {0.0, 0.1, 3.0, 50.0}) {
    EXPECT_NEAR(AllTokensGamma(u, 0), std::exp(-u), 1e-12);
    EXPECT_NEAR(AllTokensLogNormal(u, 0), std::exp(-u), 1e-12);
  }
}

// E[exp(-u G)] as a sum over a fine grid of G's quantiles: slow and obvious.
TEST(CompositionTest, AgreesWithSummingOverItems) {
  constexpr int kItems = 200'000;
  for (const double cv : {0.3, 1.0, 1.5}) {
    const double sigma2 = std::log1p(cv * cv);
    for (const double u : {0.2, 1.0, 5.0}) {
      double log_normal = 0;
      for (int i = 0; i < kItems; ++i) {
        const double z = NormalQuantile((i + 0.5) / kItems);
        log_normal += std::exp(-u * std::exp(std::sqrt(sigma2) * z - sigma2 / 2)) / kItems;
      }
      EXPECT_NEAR(AllTokensLogNormal(u, cv), log_normal, 2e-7) << u << " " << cv;
      // The gamma's density, shape 1 / cv^2 and mean 1, in ln g: a smooth sum.
      const double k = 1 / (cv * cv);
      double gamma = 0;
      double mass = 0;
      for (double t = -60; t < 6; t += 1e-3) {
        const double g = std::exp(t);
        const double density = std::exp(k * (t - g));
        gamma += density * std::exp(-u * g);
        mass += density;
      }
      EXPECT_NEAR(AllTokensGamma(u, cv), gamma / mass, 1e-9) << u << " " << cv;
    }
  }
}

TEST(CompositionTest, EasyItemsKeepTheShareUp) {
  // Jensen: spread only helps; more of it, more.
  EXPECT_GT(AllTokensGamma(5, 1), AllTokensLogNormal(5, 1));
  EXPECT_GT(AllTokensLogNormal(5, 1), std::exp(-5));
  EXPECT_GT(AllTokensGamma(5, 1.5), AllTokensGamma(5, 1));
}

// 4000 simulated shares: the interval of 90 % must hold 90 % and more (two distributions are
// bracketed), not much more. At 90 % the share's standard error is 0.5 %: four of them below is a
// false alarm of 3e-5.
TEST(CompositionTest, TheIntervalHoldsWhatItSays) {
  CounterRng rng(5, 0);
  for (const double log_q : {-2.5, -1.2, -0.5}) {
    const AllTokensInput input = {.log_q = log_q, .sd = 0.08, .length = 5, .cv = 0, .n = 300};
    const PredictedShare predicted = PredictAllTokens(input, 0.9);
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
      PredictAllTokens({.log_q = -1, .sd = 0.1, .length = 3, .cv = 0}, 0.9);
  const double z = NormalQuantile(0.95);
  EXPECT_NEAR(predicted.lower, std::exp(-3 * std::exp(-1 + 0.1 * z)), 2e-3);
  EXPECT_NEAR(predicted.upper, std::exp(-3 * std::exp(-1 - 0.1 * z)), 2e-3);
}

TEST(CompositionTest, MarginsAreTakenAsNormal) {
  const PredictedShare predicted = PredictArgmax(0.5, 0.05, 2, 1000, 0.9);
  EXPECT_NEAR(predicted.value, NormalCdf(0.25), 1e-12);
  EXPECT_LT(predicted.lower, predicted.value - 0.02);
  EXPECT_GT(predicted.upper, predicted.value + 0.02);
  EXPECT_GT(predicted.lower, predicted.value - 0.06);
}

}  // namespace
}  // namespace mirage::metrics
