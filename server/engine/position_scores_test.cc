#include "server/engine/position_scores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace mirage::server {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

using Units = std::vector<uint64_t>;
using LogProbs = std::vector<double>;

TEST(PositionScoresTest, TokensCountFromBothEnds) {
  PositionScores scores;
  scores.AddTokens(Units{7, 8}, LogProbs{-1, -2});
  scores.AddTokens(Units{7, 9, 8}, LogProbs{-3, -5, 0});
  ASSERT_EQ(scores.n_positions(), 3u);
  EXPECT_EQ(scores.n_items(), 2u);
  EXPECT_EQ(scores.at(0, false).values.mean(), 2);
  EXPECT_EQ(scores.at(1, false).values.mean(), 3.5);
  EXPECT_EQ(scores.at(2, false).values.mean(), 0);
  EXPECT_EQ(scores.at(0, true).values.mean(), 1);
  EXPECT_EQ(scores.at(1, true).values.mean(), 3);
  EXPECT_EQ(scores.at(2, true).values.mean(), 3);
  EXPECT_FALSE(std::signbit(*scores.at(2, false).values.mean()));
  EXPECT_EQ(scores.at(0, true).golds.at(8), 2u);
  EXPECT_EQ(scores.lengths().mean(), 2.5);
}

TEST(PositionScoresTest, MatchesAlignAtBothEnds) {
  PositionScores scores;
  // 145 for 45: every digit is wrong from the start, none from the end.
  scores.AddMatches(Units{4, 5}, Units{1, 4, 5});
  EXPECT_EQ(scores.at(0, false).values.mean(), 1);
  EXPECT_EQ(scores.at(1, false).values.mean(), 1);
  EXPECT_EQ(scores.at(0, true).values.mean(), 0);
  EXPECT_EQ(scores.at(1, true).values.mean(), 0);
  // What the output lacks is wrong.
  scores.AddMatches(Units{4, 5}, Units{4});
  scores.AddMatches(Units{4, 5}, Units{});
  EXPECT_DOUBLE_EQ(*scores.at(0, false).values.mean(), 2 / 3.0);
  EXPECT_DOUBLE_EQ(*scores.at(1, false).values.mean(), 1);
  EXPECT_DOUBLE_EQ(*scores.at(0, true).values.mean(), 2 / 3.0);
}

TEST(PositionScoresTest, RepeatedOutputsAreOneItem) {
  PositionScores scores;
  const Units right = {4, 5};
  const Units wrong = {4, 6};
  const std::vector<std::span<const uint64_t>> outputs = {right, wrong, wrong, wrong};
  scores.AddMatches(right, outputs);
  EXPECT_EQ(scores.n_items(), 1u);
  EXPECT_EQ(scores.at(0, false).values.mean(), 0);
  EXPECT_EQ(scores.at(1, false).values.mean(), 0.75);
  scores.AddMatches(right, std::vector<std::span<const uint64_t>>{});
  EXPECT_EQ(scores.n_items(), 1u);
}

TEST(PositionScoresTest, LongTargetsAndFarPositionsAreLeftOut) {
  PositionScores scores;
  scores.AddTokens(Units(kMaxPositionedUnits + 1, 1), LogProbs(kMaxPositionedUnits + 1, -1));
  EXPECT_EQ(scores.n_items(), 0u);
  EXPECT_EQ(scores.n_too_long(), 1u);
  EXPECT_EQ(scores.n_positions(), 0u);
  LogProbs log_probs(kMaxPositionedUnits, -1);
  log_probs.front() = -2;
  log_probs.back() = -3;
  scores.AddTokens(Units(kMaxPositionedUnits, 1), log_probs);
  EXPECT_EQ(scores.n_positions(), kMaxPositions);
  EXPECT_EQ(scores.at(0, false).values.mean(), 2);
  EXPECT_EQ(scores.at(0, true).values.mean(), 3);
  EXPECT_EQ(scores.at(kMaxPositions - 1, true).values.mean(), 1);
  EXPECT_EQ(scores.lengths().mean(), kMaxPositionedUnits + 0.5);
}

TEST(PositionScoresTest, WhatIsNoGoldTextIsNotAdded) {
  PositionScores scores;
  scores.AddTokens(Units{1, 2}, LogProbs{-1});
  scores.AddTokens(Units{1}, LogProbs{0.5});
  scores.AddTokens(Units{1}, LogProbs{kNan});
  scores.AddTokens(Units{}, LogProbs{});
  scores.AddMatches(Units{}, Units{1});
  EXPECT_EQ(scores.n_items(), 0u);
  EXPECT_EQ(scores.n_positions(), 0u);
  EXPECT_EQ(scores.lengths().count(), 2u);
  scores.AddTokens(Units{1}, LogProbs{-kInf});
  EXPECT_EQ(scores.at(0, false).values.mean(), kInf);
}

TEST(PositionScoresTest, ChanceIsThatOfTheGoldUnits) {
  PositionScores scores;
  // 3 of a, 1 of b at the first place; c alone at the second.
  for (const uint64_t unit : {1, 1, 1, 2}) scores.AddTokens(Units{unit, 3}, LogProbs{-1, -1});
  const double plug_in = -(0.75 * std::log(0.75) + 0.25 * std::log(0.25));
  EXPECT_NEAR(scores.ChanceEntropy(0, false), plug_in + 1 / 8.0, 1e-15);
  EXPECT_EQ(scores.ChanceError(0, false), 0.25);
  EXPECT_EQ(scores.ChanceEntropy(1, false), 0);
  EXPECT_EQ(scores.ChanceError(0, true), 0);
  EXPECT_NEAR(scores.ChanceEntropy(1, true), plug_in + 1 / 8.0, 1e-15);
}

TEST(PositionScoresTest, WithoutUnitsThereIsNoChance) {
  PositionScores scores;
  scores.AddTokens(Units{1, 2}, LogProbs{-1, -1});
  EXPECT_EQ(scores.ChanceEntropy(0, false), 0);
  scores.AddTokens(Units{}, LogProbs{-1, -1});
  scores.AddTokens(Units{1, 2}, LogProbs{-1, -1});
  EXPECT_EQ(scores.at(0, false).values.count(), 3u);
  EXPECT_TRUE(std::isnan(scores.ChanceEntropy(0, false)));
  EXPECT_TRUE(std::isnan(scores.ChanceError(1, true)));
}

TEST(PositionScoresTest, TooManyKindsAreNoChance) {
  PositionScores scores;
  for (uint64_t unit = 0; unit < kMaxGoldKinds; ++unit) {
    scores.AddMatches(Units{5, unit}, Units{});
  }
  EXPECT_NEAR(scores.ChanceEntropy(1, false), std::log(kMaxGoldKinds) + 0.5, 1e-3);
  scores.AddMatches(Units{5, kMaxGoldKinds}, Units{});
  scores.AddMatches(Units{5, 0}, Units{});
  EXPECT_TRUE(std::isnan(scores.ChanceEntropy(1, false)));
  EXPECT_TRUE(scores.at(0, true).golds.empty());
  EXPECT_EQ(scores.ChanceError(0, false), 0);
}

// The correction takes most of the bias of the plug-in estimate away: 200 samples of ten equal
// digits, whose entropy is ln 10 = 2.3026; plug-in alone is on average 0.0228 below it.
TEST(PositionScoresTest, EntropyIsNearlyUnbiased) {
  double sum = 0;
  uint64_t state = 1;
  constexpr int kRepeats = 200;
  for (int r = 0; r < kRepeats; ++r) {
    PositionScores scores;
    for (int i = 0; i < 200; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      scores.AddTokens(Units{(state >> 33) % 10}, LogProbs{-1});
    }
    sum += scores.ChanceEntropy(0, false);
  }
  // Its standard deviation is 0.0106 a repeat, so 0.00075 of the mean: 4 of these.
  EXPECT_NEAR(sum / kRepeats, std::log(10), 0.003);
}

}  // namespace
}  // namespace mirage::server
