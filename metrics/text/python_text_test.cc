#include "metrics/text/python_text.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/text/units.h"

namespace mirage::metrics {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  std::string_view word;
  for (size_t position = 0; NextPythonWord(text, position, word);) words.emplace_back(word);
  return words;
}

TEST(PythonTextTest, SpacesAreThoseOfStrIsspace) {
  // What Python 3.11 prints for [c for c in range(0x110000) if chr(c).isspace()].
  const std::vector<uint32_t> expected = {
      0x9,    0xA,    0xB,    0xC,    0xD,    0x1C,   0x1D,   0x1E,   0x1F,   0x20,
      0x85,   0xA0,   0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006,
      0x2007, 0x2008, 0x2009, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
  std::vector<uint32_t> spaces;
  for (uint32_t c = 0; c < 0x110100; ++c) {
    if (IsPythonSpace(c)) spaces.push_back(c);
    // Surrogates, and bytes that are never invalid, are not written.
    if ((c >= 0xD800 && c <= 0xDFFF) || (c >= kInvalidByteBase && c < kInvalidByteBase + 0x80)) {
      continue;
    }
    std::string text;
    AppendCodepoint(c, text);
    EXPECT_EQ(PythonSpaceAt(text, 0), IsPythonSpace(c) ? text.size() : 0) << c;
  }
  EXPECT_EQ(spaces, expected);
}

TEST(PythonTextTest, WordsAreThoseOfStrSplit) {
  EXPECT_THAT(Words(""), ElementsAre());
  EXPECT_THAT(Words(" \n\t"), ElementsAre());
  EXPECT_THAT(Words("a"), ElementsAre("a"));
  EXPECT_THAT(Words("\x1f b\xC2\x85"
                    "c\xE3\x80\x80"),
              ElementsAre("b", "c"));
  // Bytes that are no characters, some the beginnings of white space.
  EXPECT_THAT(Words("\xE3\x80 \xC2 \x85"), ElementsAre("\xE3\x80", "\xC2", "\x85"));
  EXPECT_THAT(Words(std::string("a\0b", 3)), ElementsAre(std::string("a\0b", 3)));
}

TEST(PythonTextTest, Strips) {
  EXPECT_EQ(Strip(""), "");
  EXPECT_EQ(Strip(" \xE2\x80\x83\x1c"), "");
  EXPECT_EQ(Strip("\xC2\xA0 a b\xE3\x80\x80\n"), "a b");
  EXPECT_EQ(StripRight("\xC2\xA0 a\xE3\x80\x80\xC2\x85 "), "\xC2\xA0 a");
  // U+FEFF and the zero width space are none; a byte that only ends like one is none.
  EXPECT_EQ(Strip("\xEF\xBB\xBF\xE2\x80\x8B"), "\xEF\xBB\xBF\xE2\x80\x8B");
  EXPECT_EQ(StripRight("a\x85"), "a\x85");
  EXPECT_EQ(StripRight("a\xE4\x80\x80"), "a\xE4\x80\x80");
}

TEST(PythonTextTest, WordCharactersAreLettersNumbersAndUnderscore) {
  // a, Z, 5, _, e acute, a CJK ideograph, superscript 2, one half, an Arabic digit, a modifier
  // letter, a roman numeral, a letter beyond U+FFFF.
  for (const uint32_t c : {0x61u, 0x5Au, 0x35u, 0x5Fu, 0xE9u, 0x4E2Du, 0xB2u, 0xBDu, 0x663u, 0x2B0u,
                           0x2163u, 0x10400u}) {
    EXPECT_TRUE(IsPythonWordCharacter(c)) << c;
  }
  // Punctuation, white space, combining marks, symbols, emoji, format characters, invalid bytes.
  for (const uint32_t c : {0x2Du, 0x20u, 0x301u, 0x20ACu, 0x1F600u, 0x200Bu, 0xADu, 0x2014u,
                           kInvalidByteBase + 0x80, kInvalidByteBase + 0xFF}) {
    EXPECT_FALSE(IsPythonWordCharacter(c)) << c;
  }
}

TEST(PythonTextTest, CodepointsAreWrittenAsTheyWereRead) {
  const std::string text = "a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80\xFF\xC3";
  std::string out;
  for (size_t position = 0; position < text.size();) {
    AppendCodepoint(NextCodepoint(text, position), out);
  }
  EXPECT_EQ(out, text);
}

}  // namespace
}  // namespace mirage::metrics
