#include "metrics/emergence/item_spread.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

struct Vector {
  ItemSpread spread;
  double cv;
  double u;
  double share;
};

constexpr Vector kVectors[] = {
#include "metrics/emergence/item_spread_vectors.inc"
};

TEST(ItemSpreadTest, AgreesWithIntegralsOfItsDensity) {
  for (const Vector& vector : kVectors) {
    const double share = AllTokens({vector.spread, vector.cv}, vector.u);
    EXPECT_NEAR(share, vector.share, std::max(1e-12, 1e-8 * vector.share))
        << static_cast<int>(vector.spread) << " cv " << vector.cv << " u " << vector.u;
  }
}

TEST(ItemSpreadTest, WithoutSpreadItIsThePower) {
  for (const ItemSpread spread : kItemSpreads) {
    for (const double u : {0.0, 0.1, 3.0, 50.0, 800.0}) {
      EXPECT_DOUBLE_EQ(AllTokens({spread, 0}, u), std::exp(-u));
      // And nearly without.
      EXPECT_NEAR(AllTokens({spread, 0.01}, u), std::exp(-u), 1e-3 * std::exp(-u) + 1e-5);
    }
  }
}

// Where answers are rarely right, it is the easy items that are.
TEST(ItemSpreadTest, TheOrderIsThatOfEasyItems) {
  for (const double cv : {0.3, 0.6, 0.9}) {
    double last = std::exp(-8.0);
    for (const ItemSpread spread : kItemSpreads) {
      if (spread == ItemSpread::kPair && cv > 0.5) continue;
      const double share = AllTokens({spread, cv}, 8);
      EXPECT_GT(share, last) << cv << " " << static_cast<int>(spread);
      last = share;
    }
  }
}

// The moments are what is declared: -d/du at 0 is the mean, the second derivative 1 + cv^2.
TEST(ItemSpreadTest, MeanIsOneAndTheVarianceTheSquareOfCv) {
  constexpr double kStep = 1e-3;
  for (const ItemSpread spread : kItemSpreads) {
    for (const double cv : {0.3, 0.8, 1.4}) {
      const double one = AllTokens({spread, cv}, kStep);
      const double two = AllTokens({spread, cv}, 2 * kStep);
      EXPECT_NEAR((1 - 2 * one + two) / (kStep * kStep), 1 + cv * cv, 0.03);
      EXPECT_NEAR((4 * (1 - one) - (1 - two)) / (2 * kStep), 1, 1e-4);
    }
  }
}

TEST(ItemSpreadTest, BeyondTheSeriesItGoesOn) {
  for (const ItemSpread spread : kItemSpreads) {
    for (const double cv : {0.5, 1.2}) {
      double last = 1;
      for (int i = 0; i < 52; ++i) {
        const double u = std::pow(1.3, i);
        const double share = AllTokens({spread, cv}, u);
        ASSERT_TRUE(share >= 0 && share <= last * (1 + 1e-9)) << u;
        last = share;
      }
    }
  }
}

TEST(ItemSpreadTest, FindsTheNllOfAShare) {
  for (const ItemSpread spread : kItemSpreads) {
    for (const double cv : {0.0, 0.4, 0.8}) {
      for (const double u : {0.01, 0.7, 6.0}) {
        const std::optional<double> found = NllOfShare({spread, cv}, AllTokens({spread, cv}, u));
        ASSERT_TRUE(found.has_value());
        EXPECT_NEAR(*found, u, 1e-6 * u);
      }
    }
    EXPECT_EQ(NllOfShare({spread, 0.5}, 1), 0);
    EXPECT_EQ(NllOfShare({spread, 0.5}, 0), std::nullopt);
    EXPECT_EQ(NllOfShare({spread, 0.5}, 1.1), std::nullopt);
  }
  // A third of the items is always right.
  EXPECT_EQ(NllOfShare({ItemSpread::kPair, 2}, 0.7), std::nullopt);
}

TEST(ItemSpreadTest, FindsTheSpreadBehindTwoMoments) {
  for (const ItemSpread spread : kItemSpreads) {
    for (const double cv : {0.2, 0.6, 0.9}) {
      for (const double q : {0.1, 0.8}) {
        const double mean = AllTokens({spread, cv}, q);
        const double square = AllTokens({spread, cv}, 2 * q);
        const std::optional<double> found = CvOfShares(spread, mean, square);
        ASSERT_TRUE(found.has_value());
        EXPECT_NEAR(*found, cv, 1e-4) << static_cast<int>(spread) << " q " << q;
      }
    }
    EXPECT_EQ(CvOfShares(spread, 0.5, 0.25), 0);
    EXPECT_EQ(CvOfShares(spread, 0.5, 0.2), 0);
    EXPECT_EQ(CvOfShares(spread, 0.5, 0.6), std::nullopt);
    EXPECT_EQ(CvOfShares(spread, 1, 1), std::nullopt);
  }
}

}  // namespace
}  // namespace mirage::metrics
