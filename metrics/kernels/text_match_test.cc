#include "metrics/kernels/text_match.h"

#include <array>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;
using Texts = std::vector<std::string_view>;

struct MatchCase {
  std::string_view output;
  std::array<std::string_view, 2> golds;
  size_t n_golds;
  double exact_match;
  double quasi_exact_match;
  double quasi_leave_articles_exact_match;
  double prefix_exact_match;
  double quasi_prefix_exact_match;
  double token_f1;
  double set_f1;
};

#include "metrics/kernels/text_match_vectors.inc"

TextMatchScores Score(std::string_view output, const Texts& golds) {
  const auto scores = ScoreTextMatch(output, golds);
  EXPECT_TRUE(scores.ok()) << scores.status();
  return *scores;
}

TEST(TextMatchTest, AgreesWithTheDefinitionsInPython) {
  for (const MatchCase& c : kMatchCases) {
    SCOPED_TRACE(c.output);
    const auto scores = ScoreTextMatch(c.output, std::span(c.golds).first(c.n_golds));
    ASSERT_TRUE(scores.ok()) << scores.status();
    EXPECT_EQ(scores->exact_match, c.exact_match);
    EXPECT_EQ(scores->quasi_exact_match, c.quasi_exact_match);
    EXPECT_EQ(scores->quasi_leave_articles_exact_match, c.quasi_leave_articles_exact_match);
    EXPECT_EQ(scores->prefix_exact_match, c.prefix_exact_match);
    EXPECT_EQ(scores->quasi_prefix_exact_match, c.quasi_prefix_exact_match);
    EXPECT_NEAR(scores->token_f1, c.token_f1, 1e-10 * c.token_f1);
    EXPECT_NEAR(scores->set_f1, c.set_f1, 1e-10 * c.set_f1);
  }
}

TEST(TextMatchTest, EmptyTexts) {
  const TextMatchScores both = Score("", {""});
  EXPECT_EQ(both.exact_match, 0);
  EXPECT_EQ(both.quasi_prefix_exact_match, 0);
  EXPECT_EQ(both.token_f1, 1);
  EXPECT_EQ(both.set_f1, 0);
  const TextMatchScores no_gold = Score("x", {""});
  EXPECT_EQ(no_gold.exact_match, 0);
  EXPECT_EQ(no_gold.prefix_exact_match, 1);
  EXPECT_EQ(no_gold.token_f1, 0);
  // Not empty, but nothing is left of it.
  const TextMatchScores article = Score("the", {"!"});
  EXPECT_EQ(article.exact_match, 0);
  EXPECT_EQ(article.quasi_exact_match, 1);
  EXPECT_EQ(article.quasi_leave_articles_exact_match, 0);
  EXPECT_EQ(article.token_f1, 1);
}

TEST(TextMatchTest, EachScoreHasItsBestGold) {
  const TextMatchScores scores =
      Score("red green blue", {"red", "green blue yellow", "RED, green blue"});
  EXPECT_EQ(scores.exact_match, 0);
  EXPECT_EQ(scores.prefix_exact_match, 1);
  EXPECT_EQ(scores.quasi_exact_match, 1);
  EXPECT_EQ(scores.token_f1, 1);
  EXPECT_NEAR(Score("b b b", {"b b", "c"}).token_f1, 0.8, 1e-15);
  EXPECT_EQ(Score("b b b", {"b b", "c"}).set_f1, 1);
}

TEST(TextMatchTest, APrefixIsWholeCharacters) {
  // The first byte of e acute is another character than e acute.
  EXPECT_EQ(Score("\xC3\xA9t", {"\xC3"}).prefix_exact_match, 0);
  EXPECT_EQ(Score("\xC3\xA9t", {"\xC3"}).quasi_prefix_exact_match, 0);
  EXPECT_EQ(Score("\xC3\xA9t", {"\xC3\xA9"}).prefix_exact_match, 1);
  EXPECT_EQ(Score("\xC3t", {"\xC3"}).prefix_exact_match, 1);
  EXPECT_EQ(Score("\xFF", {"\xFF"}).exact_match, 1);
}

TEST(TextMatchTest, AGoldIsNeeded) {
  const auto scores = ScoreTextMatch("a", {});
  EXPECT_EQ(scores.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(scores.status().message()), HasSubstr("golds is empty"));
}

TEST(TextMatchTest, LongTexts) {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += std::to_string(i) + ' ';
  EXPECT_EQ(Score(text, {text}).token_f1, 1);
  EXPECT_EQ(Score(text, {text}).set_f1, 1);
}

}  // namespace
}  // namespace mirage::metrics
