#include "base/near_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

namespace mirage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view kNames[] = {
    "acc",         "acc_norm",   "exact_match",       "brier_score",
    "brier_score", "brier_mean", "expected_accuracy", "f1"};

TEST(NearNamesTest, EditsAreLettersAddedDroppedChangedOrSwapped) {
  EXPECT_EQ(Edits("", ""), 0u);
  EXPECT_EQ(Edits("", "abc"), 3u);
  EXPECT_EQ(Edits("abc", "acb"), 1u);
  EXPECT_EQ(Edits("kitten", "sitting"), 3u);
  // The optimal string alignment: no part is edited twice, so that this is not 2.
  EXPECT_EQ(Edits("ca", "abc"), 3u);
}

TEST(NearNamesTest, ASlipIsSmallBesideTheWord) {
  EXPECT_EQ(EditsOfASlip("exat_match", "exact_match"), 1u);
  EXPECT_EQ(EditsOfASlip("acc", "acc"), 0u);
  EXPECT_EQ(EditsOfASlip("ac", "acc"), std::nullopt);
  EXPECT_EQ(EditsOfASlip("exat_mtc", "exact_match"), std::nullopt);
  EXPECT_EQ(EditsOfASlip(std::string(size_t{1} << 20, 'a'), "acc"), std::nullopt) << "at once";
}

TEST(NearNamesTest, TheNearestComesFirstAndEachOnce) {
  EXPECT_THAT(NearNames("brier_scoer", kNames), ElementsAre("brier_score"));
  EXPECT_THAT(NearNames("acc_nrm", kNames), ElementsAre("acc_norm", "acc"));
  EXPECT_THAT(NearNames("brier", kNames), ElementsAre("brier_score", "brier_mean"));
  EXPECT_THAT(NearNames("accuracy", kNames), ElementsAre("expected_accuracy", "acc"));
  EXPECT_THAT(NearNames("f1_macro", kNames), ElementsAre("f1"));
  EXPECT_THAT(NearNames("brier", kNames, 1), ElementsAre("brier_score"));
}

TEST(NearNamesTest, SpellingDoesNotCount) {
  EXPECT_THAT(NearNames("Exact-Match", kNames), ElementsAre("exact_match"));
  EXPECT_THAT(NearNames("brier score", kNames), ElementsAre("brier_score"));
  EXPECT_THAT(NearNames("F1", kNames), ElementsAre("f1"));
}

TEST(NearNamesTest, NothingIsNearToNothing) {
  EXPECT_THAT(NearNames("", kNames), IsEmpty());
  EXPECT_THAT(NearNames("cc", kNames), IsEmpty());
  EXPECT_THAT(NearNames("zebra", kNames), IsEmpty());
  EXPECT_THAT(NearNames("acc", {}), IsEmpty());
}

}  // namespace
}  // namespace mirage
