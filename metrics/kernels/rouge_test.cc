#include "metrics/kernels/rouge.h"

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;
using Texts = std::vector<std::string_view>;

struct RougeCase {
  std::string_view output;
  std::array<std::string_view, 2> references;
  size_t n_references;
  bool stemmer;
  RougeScores scores;
};

struct LongCase {
  std::string_view output;
  int times;
  std::string_view reference;
  int reference_times;
  RougeScores scores;
};

#include "metrics/kernels/rouge_vectors.inc"

void ExpectClose(const RougeScore& actual, const RougeScore& expected) {
  EXPECT_NEAR(actual.precision, expected.precision, 1e-10 * expected.precision);
  EXPECT_NEAR(actual.recall, expected.recall, 1e-10 * expected.recall);
  EXPECT_NEAR(actual.f1, expected.f1, 1e-10 * expected.f1);
}

void ExpectClose(const RougeScores& actual, const RougeScores& expected) {
  ExpectClose(actual.rouge_1, expected.rouge_1);
  ExpectClose(actual.rouge_2, expected.rouge_2);
  ExpectClose(actual.rouge_l, expected.rouge_l);
  ExpectClose(actual.rouge_lsum, expected.rouge_lsum);
}

std::string Repeat(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

RougeScores Score(std::string_view output, const Texts& references,
                  const RougeOptions& options = {}) {
  RougeScorer scorer(options);
  const auto scores = scorer.Score(output, references);
  EXPECT_TRUE(scores.ok()) << scores.status();
  return *scores;
}

TEST(RougeTest, AgreesWithRougeScore) {
  std::array<RougeScorer, 2> scorers = {RougeScorer({}), RougeScorer({.stemmer = true})};
  for (const RougeCase& c : kRougeCases) {
    SCOPED_TRACE(c.output);
    RougeScorer& scorer = scorers[c.stemmer ? 1 : 0];
    const auto scores = scorer.Score(c.output, std::span(c.references).first(c.n_references));
    ASSERT_TRUE(scores.ok()) << scores.status();
    ExpectClose(*scores, c.scores);
  }
}

TEST(RougeTest, LongTexts) {
  const std::string output = Repeat(std::string(kLongCase.output) + '\n', kLongCase.times);
  const std::string reference =
      Repeat(std::string(kLongCase.reference) + '\n', kLongCase.reference_times);
  ExpectClose(Score(output, {reference}), kLongCase.scores);
  const std::string equal = Repeat("a ", 100000);
  const RougeScores scores = Score(equal, {equal});
  EXPECT_EQ(scores.rouge_1.f1, 1);
  EXPECT_EQ(scores.rouge_2.f1, 1);
  EXPECT_EQ(scores.rouge_l.f1, 1);
  EXPECT_EQ(scores.rouge_lsum.f1, 1);
}

TEST(RougeTest, TooLongTextsHaveNoLongestSubsequence) {
  const RougeScores scores = Score("a b c", {"a b c d"}, {.max_cells = 11});
  EXPECT_EQ(scores.rouge_1.recall, 0.75);
  EXPECT_TRUE(std::isnan(scores.rouge_l.precision));
  EXPECT_TRUE(std::isnan(scores.rouge_l.recall));
  EXPECT_TRUE(std::isnan(scores.rouge_l.f1));
  EXPECT_TRUE(std::isnan(scores.rouge_lsum.f1));
  EXPECT_EQ(Score("a b c", {"a b c d"}, {.max_cells = 12}).rouge_l.recall, 0.75);
  // One sentence of 4 tokens counts as 64, one of 3 as 11: 704 cells.
  EXPECT_TRUE(std::isnan(Score("a b c", {"a b c d"}, {.max_cells = 703}).rouge_lsum.f1));
  EXPECT_EQ(Score("a b c", {"a b c d"}, {.max_cells = 704}).rouge_lsum.recall, 0.75);
  // The best of two references is not known when one is too long, whichever comes first.
  for (const Texts& references : {Texts{"a b c d", "a"}, Texts{"a", "a b c d"}}) {
    EXPECT_TRUE(std::isnan(Score("a b c", references, {.max_cells = 11}).rouge_l.f1));
    EXPECT_FALSE(std::isnan(Score("a b c", references, {.max_cells = 11}).rouge_1.f1));
  }
  // A hundred thousand lines of one word would be ten thousand million pairs.
  const std::string lines = Repeat("a\n", 100000);
  EXPECT_TRUE(std::isnan(Score(lines, {lines}).rouge_lsum.f1));
}

TEST(RougeTest, TextsWithoutTokens) {
  for (const char* text : {"", "\n\n", "...", "\xE4\xB8\xAD\xE6\x96\x87", "\xFF"}) {
    for (const Texts& references : {Texts{"a b"}, Texts{""}, Texts{"!"}}) {
      for (const RougeScore& score :
           {Score(text, references).rouge_1, Score(text, references).rouge_2,
            Score(text, references).rouge_l, Score(text, references).rouge_lsum,
            Score(references[0], {text}).rouge_lsum}) {
        EXPECT_EQ(score.precision, 0);
        EXPECT_EQ(score.recall, 0);
        EXPECT_EQ(score.f1, 0);
      }
    }
  }
  // One token has no bigrams.
  EXPECT_EQ(Score("a", {"a"}).rouge_l.f1, 1);
  EXPECT_EQ(Score("a", {"a"}).rouge_2.f1, 0);
  // Invalid bytes separate.
  EXPECT_EQ(Score("a\xFF"
                  "b",
                  {"a b"})
                .rouge_l.f1,
            1);
}

TEST(RougeTest, AReferenceIsNeeded) {
  RougeScorer scorer({});
  const auto scores = scorer.Score("a", {});
  EXPECT_EQ(scores.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(scores.status().message()), HasSubstr("references is empty"));
}

}  // namespace
}  // namespace mirage::metrics
