#include "metrics/text/answer_normalizer.h"

#include <string>

#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

struct NormalizerCase {
  std::string_view text;
  std::string_view without_articles;
  std::string_view with_articles;
};

#include "metrics/text/answer_normalizer_vectors.inc"

TEST(AnswerNormalizerTest, AgreesWithTheDefinitionInPython) {
  for (const NormalizerCase& c : kNormalizerCases) {
    EXPECT_EQ(NormalizeAnswer(c.text), c.without_articles) << c.text;
    EXPECT_EQ(NormalizeAnswer(c.text, {.remove_articles = false}), c.with_articles) << c.text;
  }
}

TEST(AnswerNormalizerTest, InvalidBytesStay) {
  EXPECT_EQ(NormalizeAnswer("The\xFF the \xC3!"), "\xFF \xC3");
  // NUL is neither white space nor punctuation.
  EXPECT_EQ(NormalizeAnswer(std::string("x\0", 2)), std::string("x\0", 2));
}

}  // namespace
}  // namespace mirage::metrics
