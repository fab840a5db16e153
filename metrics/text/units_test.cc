#include "metrics/text/units.h"

#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint32_t kBad = kInvalidByteBase;

std::vector<uint32_t> Split(std::string_view text, TextUnit unit) {
  WordInterner words;
  std::vector<uint32_t> ids = {99};
  SplitUnits(text, unit, words, ids);
  return ids;
}

std::vector<uint32_t> Codepoints(std::string_view text) {
  return Split(text, TextUnit::kCodepoints);
}

// By the definition of UTF-8, independent of the tables of well-formed bytes.
std::string Encode(uint32_t c) {
  std::string s;
  if (c < 0x80) {
    s = {static_cast<char>(c)};
  } else if (c < 0x800) {
    s = {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
  } else if (c < 0x10000) {
    s = {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
         static_cast<char>(0x80 | (c & 0x3F))};
  } else {
    s = {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 0x3F)),
         static_cast<char>(0x80 | (c >> 6 & 0x3F)), static_cast<char>(0x80 | (c & 0x3F))};
  }
  return s;
}

TEST(ParseTextUnit, KnowsTheNames) {
  EXPECT_EQ(*ParseTextUnit("codepoints"), TextUnit::kCodepoints);
  EXPECT_EQ(*ParseTextUnit("characters"), TextUnit::kCodepoints);
  EXPECT_EQ(*ParseTextUnit("bytes"), TextUnit::kBytes);
  EXPECT_EQ(*ParseTextUnit("words"), TextUnit::kWords);
  for (const TextUnit unit : {TextUnit::kCodepoints, TextUnit::kBytes, TextUnit::kWords}) {
    EXPECT_EQ(*ParseTextUnit(TextUnitName(unit)), unit);
  }
}

TEST(ParseTextUnit, RefusesOtherNamesWithARemedy) {
  const auto unit = ParseTextUnit("Bytes");
  EXPECT_EQ(unit.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(unit.status().message()),
              HasSubstr("text unit 'Bytes' is not known: use codepoints"));
  EXPECT_FALSE(ParseTextUnit("").ok());
}

TEST(Codepoints, EveryScalarValueRoundTrips) {
  for (uint32_t c = 0; c <= 0x10FFFF; ++c) {
    const std::string text = Encode(c);
    if (c >= 0xD800 && c <= 0xDFFF) {
      ASSERT_EQ(Codepoints(text).size(), 3u) << c;
      ASSERT_EQ(CountCodepoints(text), 3u) << c;
    } else {
      ASSERT_THAT(Codepoints(text), ElementsAre(c));
      ASSERT_EQ(CountCodepoints(text), 1u) << c;
    }
  }
}

TEST(Codepoints, InvalidBytesAreUnitsOfTheirOwn) {
  EXPECT_THAT(Codepoints(""), IsEmpty());
  EXPECT_THAT(Codepoints("\x80"), ElementsAre(kBad + 0x80));
  EXPECT_THAT(Codepoints("a\xFFz"), ElementsAre('a', kBad + 0xFF, 'z'));
  // Cut off, overlong, a surrogate, above the last code point.
  EXPECT_THAT(Codepoints("\xE2\x82"), ElementsAre(kBad + 0xE2, kBad + 0x82));
  EXPECT_THAT(Codepoints("\xE2\x82\x41"), ElementsAre(kBad + 0xE2, kBad + 0x82, 'A'));
  EXPECT_THAT(Codepoints("\xC0\xAF"), ElementsAre(kBad + 0xC0, kBad + 0xAF));
  EXPECT_THAT(Codepoints("\xE0\x80\xAF"), ElementsAre(kBad + 0xE0, kBad + 0x80, kBad + 0xAF));
  EXPECT_THAT(Codepoints("\xED\xA0\x80"), ElementsAre(kBad + 0xED, kBad + 0xA0, kBad + 0x80));
  EXPECT_THAT(Codepoints("\xF4\x90\x80\x80"),
              ElementsAre(kBad + 0xF4, kBad + 0x90, kBad + 0x80, kBad + 0x80));
  EXPECT_THAT(Codepoints(std::string_view("a\0b", 3)), ElementsAre('a', 0u, 'b'));
}

// 100 000 texts of 0..40 bytes, most of them invalid somewhere: the count is the decoder's, and no
// two texts have the same units.
TEST(Codepoints, CountAgreesOnRandomBytes) {
  std::mt19937_64 random(7);
  const std::string_view pool =
      "aZ \x80\xBF\xC2\xC3\xE0\xA0\xE2\x82\xAC\xED\x9F\xF0\x90\xF4\x8F\xFF";
  std::set<std::string> texts;
  std::set<std::vector<uint32_t>> units;
  for (int trial = 0; trial < 100000; ++trial) {
    std::string text(random() % 41, '\0');
    for (char& c : text) c = pool[random() % pool.size()];
    const std::vector<uint32_t> ids = Codepoints(text);
    ASSERT_EQ(CountCodepoints(text), ids.size());
    if (trial < 20000) {
      texts.insert(text);
      units.insert(ids);
    }
  }
  EXPECT_EQ(texts.size(), units.size());
}

// 20 000 valid texts of up to 300 code points of all four lengths.
TEST(Codepoints, CountAgreesOnValidText) {
  std::mt19937_64 random(8);
  const uint32_t bounds[] = {0x80, 0x800, 0xD800, 0x110000};
  for (int trial = 0; trial < 20000; ++trial) {
    const size_t length = random() % 301;
    std::string text;
    for (size_t i = 0; i < length; ++i) {
      const uint32_t c = static_cast<uint32_t>(random() % bounds[random() % 4]);
      text += Encode(c >= 0xD800 && c <= 0xDFFF ? 'x' : c);
    }
    ASSERT_EQ(CountCodepoints(text), length);
  }
}

TEST(Bytes, AreTheirValues) {
  EXPECT_THAT(Split("a\xC3\xA9\xFF", TextUnit::kBytes), ElementsAre('a', 0xC3, 0xA9, 0xFF));
  EXPECT_THAT(Split("", TextUnit::kBytes), IsEmpty());
}

TEST(Words, AreRunsBetweenUnicodeWhiteSpace) {
  EXPECT_THAT(Split("", TextUnit::kWords), IsEmpty());
  EXPECT_THAT(Split(" \t\n\xE3\x80\x80", TextUnit::kWords), IsEmpty());
  EXPECT_THAT(Split("one", TextUnit::kWords), ElementsAre(0));
  EXPECT_THAT(Split("  to be\nor \t not to  be ", TextUnit::kWords), ElementsAre(0, 1, 2, 3, 0, 1));
  // No-break space, ideographic space and next line separate; zero width space and a cut off
  // no-break space do not.
  EXPECT_THAT(Split("a\xC2\xA0"
                    "b\xE3\x80\x80"
                    "c\xC2\x85"
                    "d",
                    TextUnit::kWords),
              ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Split("a\xE2\x80\x8B"
                    "b",
                    TextUnit::kWords),
              ElementsAre(0));
  EXPECT_THAT(Split("a\xC2 b", TextUnit::kWords), ElementsAre(0, 1));
}

TEST(Words, WhiteSpaceIsThePropertyOf25CodePoints) {
  size_t count = 0;
  for (uint32_t c = 0; c < kInvalidByteBase + 256; ++c) count += IsWhiteSpace(c);
  EXPECT_EQ(count, 25u);
}

TEST(WordInterner, SharesIdsBetweenTexts) {
  WordInterner words;
  std::vector<uint32_t> a;
  std::vector<uint32_t> b;
  SplitUnits("the cat sat", TextUnit::kWords, words, a);
  SplitUnits("the mat sat", TextUnit::kWords, words, b);
  EXPECT_THAT(a, ElementsAre(0, 1, 2));
  EXPECT_THAT(b, ElementsAre(0, 3, 2));
  words.Clear();
  EXPECT_EQ(words.size(), 0u);
  SplitUnits("sat", TextUnit::kWords, words, a);
  EXPECT_THAT(a, ElementsAre(0));
}

TEST(WordInterner, KeepsManyWordsApart) {
  WordInterner words;
  for (int round = 0; round < 2; ++round) {
    for (uint32_t i = 0; i < 100000; ++i) ASSERT_EQ(words.Intern(std::to_string(i)), i);
  }
  EXPECT_EQ(words.size(), 100000u);
  EXPECT_EQ(words.Intern(""), 100000u);
  EXPECT_EQ(words.Intern(""), 100000u);
  for (int i = 0; i < 20; ++i) {
    words.Clear();
    EXPECT_EQ(words.Intern("b"), 0u);
    EXPECT_EQ(words.Intern("a"), 1u);
  }
}

}  // namespace
}  // namespace mirage::metrics
