#include "integrations/lm_eval/json_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace mirage::integrations::lm_eval {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(UnescapedTest, ReadsEveryEscapeOfJson) {
  EXPECT_EQ(Unescaped(R"(a\"b\\c\/d\b\f\n\r\t)"), "a\"b\\c/d\b\f\n\r\t");
  EXPECT_EQ(Unescaped(R"(\u0041\u00e9\u20AC\ud83d\ude00)"), "A\u00e9\u20ac\U0001F600");
  EXPECT_EQ(Unescaped(R"(\u0000x)"), std::string("\0x", 2));
  EXPECT_EQ(Unescaped("Größe"), "Größe");
  EXPECT_EQ(Unescaped(""), "");
}

TEST(UnescapedTest, ReplacesSurrogatesWithoutTheirOtherHalf) {
  EXPECT_EQ(Unescaped(R"(a\ud83d)"), "a\uFFFD");
  EXPECT_EQ(Unescaped(R"(\ude00b)"),
            "\uFFFD"
            "b");
  EXPECT_EQ(Unescaped(R"(\ud83d\ud83d\ude00)"), "\uFFFD\U0001F600");
  EXPECT_EQ(Unescaped(R"(\ud83dx\ude00)"), "\uFFFDx\uFFFD");
}

TEST(UnescapedTest, KeepsWhatJsonDoesNotKnow) {
  EXPECT_EQ(Unescaped(R"(\q\u12)"), R"(\q\u12)");
  EXPECT_EQ(Unescaped("a\\"), "a\\");
}

TEST(CountTest, CountsCodePoints) {
  EXPECT_EQ(CountCodePoints(""), 0u);
  EXPECT_EQ(CountCodePoints("Größe ist"), 9u);
  EXPECT_EQ(CountCodePoints("\U0001F600"), 1u);
  // Every length, from every place in a word: words and what is left of one count the same.
  std::string text;
  while (text.size() < 64) text += "aé\u20ac\U0001F600";
  for (size_t begin = 0; begin < 16; ++begin) {
    for (size_t length = 0; begin + length <= text.size(); ++length) {
      uint64_t expected = 0;
      for (const char c : text.substr(begin, length)) {
        if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) ++expected;
      }
      EXPECT_EQ(CountCodePoints(std::string_view(text).substr(begin, length)), expected)
          << begin << " " << length;
    }
  }
}

// Expected: Python 3.11, len(re.split(r"\s+", text)).
TEST(CountTest, CountsWordsAsPythonSplits) {
  EXPECT_EQ(CountWords(""), 1u);
  EXPECT_EQ(CountWords("one"), 1u);
  EXPECT_EQ(CountWords("one  two\nthree"), 3u);
  EXPECT_EQ(CountWords(" one "), 3u);
  EXPECT_EQ(CountWords("a\u00a0b\u2003c\u3000d\u0085e\u1680f\u205fg\u202fh"), 8u);
  EXPECT_EQ(CountWords("a\u200bb"), 1u);
  EXPECT_EQ(CountWords("a\x1c"), 2u);
}

TEST(ParseNumberTest, ReadsJsonAndPython) {
  double value = 0;
  EXPECT_TRUE(ParseNumber("-2.4243671667468343", &value));
  EXPECT_EQ(value, -2.4243671667468343);
  EXPECT_TRUE(ParseNumber("1e-3", &value));
  EXPECT_EQ(value, 1e-3);
  EXPECT_TRUE(ParseNumber("+2", &value));
  EXPECT_EQ(value, 2);
  for (const char* text : {"NaN", "nan", "-nan"}) {
    EXPECT_TRUE(ParseNumber(text, &value)) << text;
    EXPECT_TRUE(std::isnan(value)) << text;
  }
  for (const char* text : {"-Infinity", "-inf"}) {
    EXPECT_TRUE(ParseNumber(text, &value)) << text;
    EXPECT_EQ(value, -std::numeric_limits<double>::infinity()) << text;
  }
  EXPECT_TRUE(ParseNumber("1e999", &value));
  EXPECT_EQ(value, std::numeric_limits<double>::infinity());
  EXPECT_TRUE(ParseNumber("-1e-999", &value));
  EXPECT_EQ(value, 0);
  for (const char* text : {"", "-", "+", "+-1", "1x", " 1", "1 ", "null", "True", "0x10", "1,5"}) {
    EXPECT_FALSE(ParseNumber(text, &value)) << text;
  }
}

TEST(ParseListTest, ReadsIntegers) {
  std::vector<int64_t> values;
  EXPECT_TRUE(ParseIntegerList("[0, 2]", &values));
  EXPECT_THAT(values, ElementsAre(0, 2));
  EXPECT_TRUE(ParseIntegerList(" [ -100 ] ", &values));
  EXPECT_THAT(values, ElementsAre(-100));
  EXPECT_TRUE(ParseIntegerList("[]", &values));
  EXPECT_THAT(values, IsEmpty());
  for (const char* text :
       {"", "[", "0, 2", "[0 2]", "[0,]", "['0']", "[1.5]", "[99999999999999999999]"}) {
    EXPECT_FALSE(ParseIntegerList(text, &values)) << text;
  }
}

TEST(ParseListTest, ReadsStringsInPythonsSpelling) {
  std::vector<std::string> values;
  EXPECT_TRUE(ParseStringList(R"(['a', "it's", 'x\'y\n\\', '\xe9\u20ac'])", &values));
  EXPECT_THAT(values, ElementsAre("a", "it's", "x'y\n\\", "\u00e9\u20ac"));
  // JSON's, which 0.4.0 to 0.4.3 write.
  EXPECT_TRUE(ParseStringList(R"(["\ud83d\ude00", "a\/b\b\f", "\ud83dx", "\ude00"])", &values));
  EXPECT_THAT(values, ElementsAre("\U0001F600", "a/b\b\f", "\uFFFDx", "\uFFFD"));
  EXPECT_TRUE(ParseStringList("['']", &values));
  EXPECT_THAT(values, ElementsAre(""));
  for (const char* text :
       {"", "[]", "['a'", "['a',]", "['a' 'b']", "[1]", "['a'] x", "['\\q']", "['\\x4']"}) {
    EXPECT_FALSE(ParseStringList(text, &values)) << text;
  }
}

TEST(MatchBracketsTest, FollowsThemToTheEndOfTheFirst) {
  struct Case {
    std::string text;
    Brackets brackets;
    size_t end;
  };
  const Case cases[] = {
      {R"({"a": [1, {}]} x)", Brackets::kClosed, 14},
      {"[]", Brackets::kClosed, 2},
      {R"({"}\"}": 1},)", Brackets::kClosed, 11},
      {R"({"a": [1})", Brackets::kMixed, 9},
      {R"({"a": {})", Brackets::kOpen, 8},
      {R"({"a": "}])", Brackets::kOpen, 9},
      {R"({"a\)", Brackets::kOpen, 4},
      {"}", Brackets::kMixed, 1},
      {"", Brackets::kOpen, 0},
  };
  for (const Case& c : cases) {
    size_t end = 99;
    EXPECT_EQ(MatchBrackets(c.text, &end), c.brackets) << c.text;
    EXPECT_EQ(end, c.end) << c.text;
  }
}

TEST(ExcerptTest, CutsAtACharacterAndHidesControls) {
  EXPECT_EQ(Excerpt("short"), "short");
  EXPECT_EQ(Excerpt("Größe", 3), "Gr…");
  EXPECT_EQ(Excerpt(std::string("a\0\n\xFFz", 5)), "a???z");
}

TEST(FirstInvalidUtf8Test, FindsIt) {
  EXPECT_EQ(FirstInvalidUtf8("Größe"), 7u);
  EXPECT_EQ(FirstInvalidUtf8("ab\xC3"), 2u);
  EXPECT_EQ(FirstInvalidUtf8("a\xED\xA0\x80"), 1u);
}

}  // namespace
}  // namespace mirage::integrations::lm_eval
