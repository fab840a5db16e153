#include "metrics/kernels/generation.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Texts = std::vector<std::string_view>;

GenerationScores Score(std::string_view output, const Texts& targets,
                       const GenerationOptions& options = {}) {
  GenerationScorer scorer(options);
  return *scorer.ScoreText(output, targets);
}

TEST(GenerationScorer, TheHeadersExample) {
  const GenerationScores s = Score("a blue car", {"a red car"}, {.unit = TextUnit::kWords});
  EXPECT_EQ(s.exact_match, 0);
  EXPECT_EQ(s.token_edit_distance, 1);
  EXPECT_DOUBLE_EQ(s.edit_similarity, 2.0 / 3);
  EXPECT_DOUBLE_EQ(s.prefix_match, 1.0 / 3);
  EXPECT_DOUBLE_EQ(s.position_accuracy, 2.0 / 3);
  EXPECT_EQ(s.target_length, 3u);
  EXPECT_EQ(s.output_length, 3u);
}

TEST(GenerationScorer, EqualTexts) {
  for (const TextUnit unit : {TextUnit::kCodepoints, TextUnit::kBytes, TextUnit::kWords}) {
    const GenerationScores s = Score("naïve plan", {"naïve plan"}, {.unit = unit});
    EXPECT_EQ(s.exact_match, 1);
    EXPECT_EQ(s.token_edit_distance, 0);
    EXPECT_EQ(s.edit_similarity, 1);
    EXPECT_EQ(s.prefix_match, 1);
    EXPECT_EQ(s.position_accuracy, 1);
    EXPECT_EQ(s.target_length, s.output_length);
  }
}

TEST(GenerationScorer, UnitsCountDifferently) {
  EXPECT_EQ(Score("naive", {"naïve"}).token_edit_distance, 1);
  EXPECT_EQ(Score("naive", {"naïve"}, {.unit = TextUnit::kBytes}).token_edit_distance, 2);
  EXPECT_EQ(Score("naive", {"naïve"}, {.unit = TextUnit::kBytes}).target_length, 6u);
  EXPECT_EQ(Score("naive  idea\n", {"naïve idea"}, {.unit = TextUnit::kWords}).token_edit_distance,
            1);
}

TEST(GenerationScorer, EmptyOutputOrTarget) {
  const GenerationScores neither = Score("", {""});
  EXPECT_EQ(neither.exact_match, 1);
  EXPECT_EQ(neither.token_edit_distance, 0);
  EXPECT_EQ(neither.edit_similarity, 1);
  EXPECT_EQ(neither.prefix_match, 1);
  EXPECT_EQ(neither.position_accuracy, 1);

  const GenerationScores no_output = Score("", {"abcd"});
  EXPECT_EQ(no_output.exact_match, 0);
  EXPECT_EQ(no_output.token_edit_distance, 4);
  EXPECT_EQ(no_output.edit_similarity, 0);
  EXPECT_EQ(no_output.prefix_match, 0);
  EXPECT_EQ(no_output.position_accuracy, 0);

  const GenerationScores no_target = Score("abcd", {""});
  EXPECT_EQ(no_target.exact_match, 0);
  EXPECT_EQ(no_target.token_edit_distance, 4);
  EXPECT_EQ(no_target.edit_similarity, 0);
  EXPECT_EQ(no_target.prefix_match, 0);
  EXPECT_EQ(no_target.position_accuracy, 0);
}

TEST(GenerationScorer, OutputLongerOrShorterThanTheTarget) {
  const GenerationScores longer = Score("1234567", {"1234"});
  EXPECT_EQ(longer.token_edit_distance, 3);
  EXPECT_DOUBLE_EQ(longer.edit_similarity, 4.0 / 7);
  EXPECT_EQ(longer.prefix_match, 1);
  EXPECT_EQ(longer.position_accuracy, 1);

  const GenerationScores shorter = Score("1x3", {"1234"});
  EXPECT_EQ(shorter.token_edit_distance, 2);
  EXPECT_DOUBLE_EQ(shorter.edit_similarity, 0.5);
  EXPECT_DOUBLE_EQ(shorter.prefix_match, 0.25);
  EXPECT_DOUBLE_EQ(shorter.position_accuracy, 0.5);
}

TEST(GenerationScorer, NothingIsTrimmedOrNormalisedUnlessAsked) {
  const GenerationScores raw = Score(" Paris.", {"paris"});
  EXPECT_EQ(raw.exact_match, 0);
  EXPECT_EQ(raw.token_edit_distance, 3);
  const GenerationOptions options{
      .unit = TextUnit::kCodepoints,
      .normalize = {.ignore_case = true, .ignore_punctuation = true, .ignore_numbers = false}};
  EXPECT_EQ(Score(" Paris.", {"paris"}, options).exact_match, 0);
  const GenerationScores normalised = Score("Paris.", {"paris"}, options);
  EXPECT_EQ(normalised.exact_match, 1);
  EXPECT_EQ(normalised.token_edit_distance, 2);
}

TEST(GenerationScorer, SeveralTargets) {
  const GenerationScores s = Score("colour", {"kolor", "color", "colours", "exact"});
  EXPECT_EQ(s.target_index, 1u);
  EXPECT_EQ(s.token_edit_distance, 1);
  EXPECT_EQ(s.target_length, 5u);
  EXPECT_DOUBLE_EQ(s.prefix_match, 0.8);
  // The match need not be the nearest as texts are compared raw.
  const GenerationScores any =
      Score("ABCD", {"ABCE", "abcd"}, {.normalize = {.ignore_case = true}});
  EXPECT_EQ(any.exact_match, 1);
  EXPECT_EQ(any.target_index, 0u);
}

// numpy.char.lower(numpy.asarray(["i̇x", "longer"])) == numpy.char.lower(numpy.asarray(["İx"] * 2)):
// the output's array is narrower than the targets'.
TEST(GenerationScorer, SeveralTargetsShareAnArray) {
  const GenerationOptions options{.normalize = {.ignore_case = true}};
  EXPECT_EQ(Score("İx", {"İx"}, options).exact_match, 1);
  EXPECT_EQ(Score("İx", {"İx", "longer"}, options).exact_match, 0);
  EXPECT_EQ(Score("İx", {"i\u0307"}, options).exact_match, 1);
}

TEST(GenerationScorer, RefusesToScoreAgainstNothing) {
  GenerationScorer scorer({});
  for (const absl::Status& status :
       {scorer.ScoreText("x", {}).status(), scorer.ScoreTokens({}, {}).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(), "targets is empty: give at least one accepted target");
  }
}

TEST(GenerationScorer, TokenIds) {
  GenerationScorer scorer({});
  const std::vector<uint32_t> output = {15339, 1917, 0};
  const std::vector<uint32_t> far = {1, 2, 3, 4};
  const std::vector<uint32_t> near = {15339, 4294967295u, 0, 1917};
  const std::vector<std::span<const uint32_t>> targets = {far, near};
  const GenerationScores s = *scorer.ScoreTokens(output, targets);
  EXPECT_EQ(s.exact_match, 0);
  EXPECT_EQ(s.token_edit_distance, 2);
  EXPECT_EQ(s.target_index, 1u);
  EXPECT_DOUBLE_EQ(s.prefix_match, 0.25);
  EXPECT_DOUBLE_EQ(s.position_accuracy, 0.5);
  const std::vector<std::span<const uint32_t>> itself = {near, output};
  EXPECT_EQ(scorer.ScoreTokens(output, itself)->exact_match, 1);
}

TEST(GenerationScorer, InvalidUtf8HasScores) {
  const GenerationScores s = Score("ab\xFF", {"ab\xC3"});
  EXPECT_EQ(s.token_edit_distance, 1);
  EXPECT_EQ(s.target_length, 3u);
  EXPECT_EQ(s.exact_match, 0);
}

TEST(PositionHits, BothAlignments) {
  PositionHits hits;
  GenerationScorer scorer({});
  scorer.TextPositionHits("1234", "1034", hits);
  EXPECT_THAT(hits.from_start, ElementsAre(1, 0, 1, 1));
  EXPECT_THAT(hits.from_end, ElementsAre(1, 1, 0, 1));
  // A digit too few in front: all wrong by one alignment, all but one right by the other.
  scorer.TextPositionHits("234", "1234", hits);
  EXPECT_THAT(hits.from_start, ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(hits.from_end, ElementsAre(1, 1, 1, 0));
  scorer.TextPositionHits("91234", "1234", hits);
  EXPECT_THAT(hits.from_start, ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(hits.from_end, ElementsAre(1, 1, 1, 1));
  scorer.TextPositionHits("1", "", hits);
  EXPECT_THAT(hits.from_start, IsEmpty());
  EXPECT_THAT(hits.from_end, IsEmpty());
  scorer.TextPositionHits("", "12", hits);
  EXPECT_THAT(hits.from_end, SizeIs(2));
  EXPECT_THAT(hits.from_end, Each(0));
}

// 5 000 random texts of 0..12 letters of three: the relations between the scores, and the hits as
// the other way to position_accuracy.
TEST(GenerationScorer, ScoresAgreeWithEachOther) {
  std::mt19937_64 random(11);
  const auto text = [&] {
    std::string s(random() % 13, 'a');
    for (char& c : s) c = static_cast<char>('a' + random() % 3);
    return s;
  };
  GenerationScorer scorer({});
  PositionHits hits;
  for (int trial = 0; trial < 5000; ++trial) {
    const std::string output = text();
    const std::string target = text();
    const std::string_view targets[] = {target};
    const GenerationScores s = *scorer.ScoreText(output, targets);
    const double longest = static_cast<double>(std::max(output.size(), target.size()));
    ASSERT_EQ(s.exact_match == 1, output == target);
    ASSERT_EQ(s.exact_match == 1, s.token_edit_distance == 0);
    ASSERT_GE(s.edit_similarity, 0);
    ASSERT_NEAR(s.token_edit_distance, (1 - s.edit_similarity) * longest, 1e-12);
    ASSERT_GE(s.position_accuracy, s.prefix_match);
    ASSERT_LE(s.position_accuracy, 1);
    if (target.empty()) continue;
    scorer.TextPositionHits(output, target, hits);
    const auto n = std::count(hits.from_start.begin(), hits.from_start.end(), 1);
    ASSERT_DOUBLE_EQ(s.position_accuracy,
                     static_cast<double>(n) / static_cast<double>(target.size()));
    const auto miss = std::find(hits.from_start.begin(), hits.from_start.end(), 0);
    ASSERT_DOUBLE_EQ(s.prefix_match, static_cast<double>(miss - hits.from_start.begin()) /
                                         static_cast<double>(target.size()));
  }
}

TEST(GenerationScorerTest, PairsOverTheLimitHaveNoDistanceButEverythingElse) {
  GenerationScorer scorer({.max_cells = 12});
  const std::string_view targets[] = {"abcd"};
  // 3 x 4 units are within it.
  EXPECT_EQ(scorer.ScoreText("abx", targets)->token_edit_distance, 2);
  const GenerationScores over = *scorer.ScoreText("abxd", targets);
  EXPECT_TRUE(std::isnan(over.token_edit_distance));
  EXPECT_TRUE(std::isnan(over.edit_similarity));
  EXPECT_EQ(over.exact_match, 0);
  EXPECT_EQ(over.prefix_match, 0.5);
  EXPECT_EQ(over.position_accuracy, 0.75);
  // Equal texts need no comparison, however long.
  const GenerationScores equal = *scorer.ScoreText("abcd", targets);
  EXPECT_EQ(equal.token_edit_distance, 0);
  EXPECT_EQ(equal.exact_match, 1);
  // A target that can be compared is nearer than one that cannot.
  const std::string_view both[] = {"zzzzzzzz", "xyz"};
  const GenerationScores nearest = *scorer.ScoreText("abxd", both);
  EXPECT_EQ(nearest.target_index, 1);
  EXPECT_EQ(nearest.token_edit_distance, 4);
}

// NumPy's strings, in which the harness compares, end before their trailing NULs.
TEST(GenerationScorerTest, TrailingNulsDoNotCount) {
  GenerationScorer scorer({});
  const std::string_view output("ab\0\0", 4);
  const std::string_view equal[] = {"ab"};
  const std::string_view other[] = {"b"};
  EXPECT_EQ(scorer.ScoreText(output, equal)->exact_match, 1);
  EXPECT_EQ(scorer.ScoreText(output, other)->exact_match, 0);
}

}  // namespace
}  // namespace mirage::metrics
