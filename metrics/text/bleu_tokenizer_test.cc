#include "metrics/text/bleu_tokenizer.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

struct TokenizerCase {
  BleuTokenizer tokenizer;
  std::string_view text;
  std::string_view tokens;
};

#include "metrics/text/bleu_tokenizer_vectors.inc"

TEST(BleuTokenizerTest, AgreesWithSacrebleu) {
  for (const TokenizerCase& c : kTokenizerCases) {
    EXPECT_EQ(TokenizeForBleu(c.text, c.tokenizer), c.tokens)
        << BleuTokenizerName(c.tokenizer) << ": " << c.text;
  }
}

TEST(BleuTokenizerTest, InvalidBytesAreCharactersWithoutACategory) {
  EXPECT_EQ(TokenizeForBleu("\xC3.\xFF,1", BleuTokenizer::k13a), "\xC3 . \xFF , 1");
  EXPECT_EQ(TokenizeForBleu("\xC3.\xFF,1", BleuTokenizer::kIntl), "\xC3 . \xFF , 1");
  EXPECT_EQ(TokenizeForBleu("\xE2\x82"
                            "a",
                            BleuTokenizer::kChar),
            "\xE2 \x82 a");
  EXPECT_EQ(TokenizeForBleu("\xC3\xFF", BleuTokenizer::kNone), "\xC3\xFF");
}

TEST(BleuTokenizerTest, LongTextsTakeLinearTime) {
  std::string text;
  for (int i = 0; i < 200000; ++i) text += i % 2 == 0 ? ".," : "-1";
  for (const BleuTokenizer tokenizer :
       {BleuTokenizer::k13a, BleuTokenizer::kChar, BleuTokenizer::kIntl}) {
    EXPECT_GT(TokenizeForBleu(text, tokenizer).size(), text.size());
  }
}

TEST(BleuTokenizerTest, NamesAreSacrebleus) {
  for (const char* name : {"13a", "none", "char", "intl"}) {
    const auto tokenizer = ParseBleuTokenizer(name);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    EXPECT_EQ(BleuTokenizerName(*tokenizer), name);
  }
  const auto unknown = ParseBleuTokenizer("zh");
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr("'zh' is not known: use 13a"));
}

}  // namespace
}  // namespace mirage::metrics
