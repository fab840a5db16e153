#include "server/engine/gold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mirage::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Case {
  std::vector<uint32_t> golds;
  int32_t alternative = -1;
  std::vector<GoldVerdict> verdicts;
};

GoldOutcome Outcome(uint32_t n_choices, const Case& c, std::vector<uint32_t>& settled) {
  const GoldOutcome outcome = SettleGold(n_choices, c.golds, c.alternative, c.verdicts, settled);
  const bool is_settled = outcome == GoldOutcome::kStated || outcome == GoldOutcome::kToldByVerdict;
  EXPECT_EQ(is_settled, !settled.empty());
  return outcome;
}

bool Settle(uint32_t n_choices, const Case& c, std::vector<uint32_t>& settled) {
  Outcome(n_choices, c, settled);
  return !settled.empty();
}

TEST(GoldTest, SaysHowTheGoldCameOut) {
  std::vector<uint32_t> settled;
  EXPECT_EQ(Outcome(4, {.golds = {2}}, settled), GoldOutcome::kStated);
  EXPECT_EQ(Outcome(4, {.golds = {2}, .verdicts = {{2, true}}}, settled), GoldOutcome::kStated);
  EXPECT_EQ(Outcome(4, {.golds = {2}, .verdicts = {{1, true}}}, settled),
            GoldOutcome::kContradicted);
  EXPECT_EQ(Outcome(4, {.golds = {2}, .alternative = 1, .verdicts = {{1, true}}}, settled),
            GoldOutcome::kToldByVerdict);
  EXPECT_EQ(Outcome(4, {.golds = {2}, .alternative = 1, .verdicts = {{3, true}}}, settled),
            GoldOutcome::kContradicted);
  EXPECT_EQ(Outcome(4, {.golds = {2}, .alternative = 1, .verdicts = {{3, false}}}, settled),
            GoldOutcome::kOpen);
  EXPECT_EQ(Outcome(2, {}, settled), GoldOutcome::kOpen);
  EXPECT_EQ(Outcome(2, {.verdicts = {{0, false}}}, settled), GoldOutcome::kToldByVerdict);
  EXPECT_EQ(Outcome(3, {.verdicts = {{0, false}}}, settled), GoldOutcome::kOpen);
  EXPECT_EQ(Outcome(2, {.verdicts = {{0, false}, {1, false}}}, settled),
            GoldOutcome::kContradicted);
}

TEST(GoldTest, FirstReadingThatFitsStands) {
  std::vector<uint32_t> settled;
  EXPECT_TRUE(Settle(4, {.golds = {2}, .verdicts = {{2, true}}}, settled));
  EXPECT_THAT(settled, ElementsAre(2));
  EXPECT_TRUE(Settle(4, {.golds = {2}, .verdicts = {{1, false}}}, settled));
  EXPECT_THAT(settled, ElementsAre(2));
}

TEST(GoldTest, WithoutVerdictsTheReadingStands) {
  std::vector<uint32_t> settled;
  EXPECT_TRUE(Settle(4, {.golds = {3}}, settled));
  EXPECT_THAT(settled, ElementsAre(3));
}

TEST(GoldTest, AlternativeReadingIsTakenWhenItAloneFits) {
  // Target "1" over the choices "3", "1", "0": an index (1) or a text (1)? Here
  // index 1 and text 2.
  std::vector<uint32_t> settled;
  EXPECT_TRUE(Settle(3, {.golds = {1}, .alternative = 2, .verdicts = {{2, true}}}, settled));
  EXPECT_THAT(settled, ElementsAre(2));
}

TEST(GoldTest, TwoReadingsThatFitAreUnverified) {
  std::vector<uint32_t> settled;
  // The model took choice 0 and was wrong: the gold may be 1 or 2.
  EXPECT_FALSE(Settle(3, {.golds = {1}, .alternative = 2, .verdicts = {{0, false}}}, settled));
  EXPECT_THAT(settled, IsEmpty());
  EXPECT_FALSE(Settle(3, {.golds = {1}, .alternative = 2}, settled));
}

TEST(GoldTest, ContradictionIsUnverified) {
  std::vector<uint32_t> settled;
  EXPECT_FALSE(Settle(4, {.golds = {2}, .verdicts = {{1, true}}}, settled));
  EXPECT_THAT(settled, IsEmpty());
  EXPECT_FALSE(Settle(4, {.golds = {2}, .alternative = 3, .verdicts = {{1, true}}}, settled));
}

TEST(GoldTest, VerdictsOfTwoRulesMustBothFit) {
  std::vector<uint32_t> settled;
  EXPECT_FALSE(Settle(4, {.golds = {2}, .verdicts = {{2, true}, {2, false}}}, settled));
  EXPECT_TRUE(Settle(4, {.golds = {2}, .verdicts = {{2, true}, {0, false}}}, settled));
}

TEST(GoldTest, SeveralGoldsAreASet) {
  std::vector<uint32_t> settled;
  EXPECT_TRUE(Settle(4, {.golds = {0, 2}, .verdicts = {{2, true}}}, settled));
  EXPECT_THAT(settled, ElementsAre(0, 2));
}

TEST(GoldTest, OpenGoldIsFoundWhenOneChoiceFits) {
  std::vector<uint32_t> settled;
  // Right: the decision is the gold, whatever K.
  EXPECT_TRUE(Settle(5, {.verdicts = {{3, true}}}, settled));
  EXPECT_THAT(settled, ElementsAre(3));
  // Wrong, two choices: the other one.
  EXPECT_TRUE(Settle(2, {.verdicts = {{0, false}}}, settled));
  EXPECT_THAT(settled, ElementsAre(1));
  // Wrong, three choices: two candidates, so nothing is known.
  EXPECT_FALSE(Settle(3, {.verdicts = {{0, false}}}, settled));
  EXPECT_THAT(settled, IsEmpty());
  // Wrong by two rules that decide differently: one is left.
  EXPECT_TRUE(Settle(3, {.verdicts = {{0, false}, {2, false}}}, settled));
  EXPECT_THAT(settled, ElementsAre(1));
  // Nothing said.
  EXPECT_FALSE(Settle(2, {}, settled));
}

}  // namespace
}  // namespace mirage::server
