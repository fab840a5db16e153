#include "metrics/text/normalize.h"

#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

constexpr uint64_t kFnvOffset = 0xCBF29CE484222325u;

uint64_t Fnv(std::string_view bytes, uint64_t state) {
  for (const char c : bytes) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return state;
}

std::string Encode(uint32_t c) {
  const auto byte = [](uint32_t value) { return static_cast<char>(value); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xC0 | c >> 6), byte(0x80 | (c & 0x3F))};
  if (c < 0x10000) {
    return {byte(0xE0 | c >> 12), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F))};
  }
  return {byte(0xF0 | c >> 18), byte(0x80 | (c >> 12 & 0x3F)), byte(0x80 | (c >> 6 & 0x3F)),
          byte(0x80 | (c & 0x3F))};
}

TEST(LowerCase, IsPythonsForEveryCodePointAndInEverySigmaContext) {
  // From normalize_reference.py.
  const struct {
    std::string_view before;
    std::string_view after;
    uint64_t digest;
  } kReference[] = {
      {"", "", 0x45c0f3d4d1933888u},    {"", "Σ", 0x19db7b651b357ebbu},
      {"A", "Σ", 0xe53e2f5cea03828au},  {"AΣ", "", 0x7755ff82428cffecu},
      {"AΣ", "A", 0x184c9f644c8b888cu},
  };
  for (const auto& reference : kReference) {
    uint64_t digest = kFnvOffset;
    for (uint32_t c = 0; c < 0x110000; ++c) {
      if (c >= 0xD800 && c <= 0xDFFF) continue;
      std::string text(reference.before);
      text += Encode(c);
      text += reference.after;
      digest = Fnv(LowerCase(text) + "\n", digest);
    }
    EXPECT_EQ(digest, reference.digest) << reference.before << "?" << reference.after;
  }
}

TEST(LowerCase, Examples) {
  EXPECT_EQ(LowerCase(""), "");
  EXPECT_EQ(LowerCase("The ANSWER is 42."), "the answer is 42.");
  EXPECT_EQ(LowerCase("ÀÉÎ Straße"), "àéî straße");
  EXPECT_EQ(LowerCase("ΟΔΟΣ ΣΑΣ, Σ"), "οδος σας, σ");
  EXPECT_EQ(LowerCase("İ"), "i\xCC\x87");
  // Bytes that are not UTF-8 stay and are no letters.
  EXPECT_EQ(LowerCase("A\xFF\xC3"), "a\xFF\xC3");
  EXPECT_EQ(LowerCase("A\xFFΣ"), "a\xFFσ");
}

TEST(Normalize, EachOptionByItself) {
  const std::string_view text = "Say: \"It's 3.14\", OK?";
  EXPECT_EQ(Normalize(text, {}), text);
  EXPECT_EQ(Normalize(text, {.ignore_case = true}), "say: \"it's 3.14\", ok?");
  EXPECT_EQ(Normalize(text, {.ignore_punctuation = true}), "Say Its 314 OK");
  EXPECT_EQ(Normalize(text, {.ignore_numbers = true}), "Say: \"It's .\", OK?");
  EXPECT_EQ(Normalize(text, {true, true, true}), "say its  ok");
}

TEST(Normalize, PunctuationAndDigitsAreAsciiOnly) {
  EXPECT_EQ(Normalize("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", {.ignore_punctuation = true}), "");
  EXPECT_EQ(Normalize("0123456789", {.ignore_numbers = true}), "");
  EXPECT_EQ(Normalize("“٣。” x\ty\n", {true, true, true}), "“٣。” x\ty\n");
}

TEST(Normalize, WhatNumPyDoesToTheEnds) {
  const std::string_view nuls("a\0b\0\0", 5);
  EXPECT_EQ(Normalize(nuls, {}), std::string_view("a\0b", 3));
  EXPECT_EQ(Normalize(std::string_view("a\0!\0", 4), {.ignore_punctuation = true}), "a");
  // The dot takes the place of the last letter, unless the array is wider.
  EXPECT_EQ(Normalize("İstanbul", {.ignore_case = true}), "i\xCC\x87stanbu");
  EXPECT_EQ(Normalize("İstanbul", {.ignore_case = true}, 9), "i\xCC\x87stanbul");
  EXPECT_EQ(Normalize("İstanbul", {.ignore_case = true}, 3), "i\xCC\x87stanbu");
}

// splitmix64, as in normalize_reference.py.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint32_t Below(uint32_t bound) {
    state_ += 0x9E3779B97F4A7C15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return static_cast<uint32_t>((z ^ (z >> 31)) % bound);
  }

 private:
  uint64_t state_;
};

// 40 000 pairs of texts of 0..12 of these, through the harness's own function.
TEST(Normalize, MatchesWhatTheHarnessMatches) {
  using namespace std::string_view_literals;
  constexpr std::string_view kPool[] = {
      "a"sv,  "A"sv, "b"sv, "B"sv, "1"sv,      " "sv,      "9"sv, "!"sv,      "$"sv, "~"sv,
      "\0"sv, "'"sv, "é"sv, "É"sv, "ß"sv,      "ẞ"sv,      "Σ"sv, "ς"sv,      "Α"sv, "α"sv,
      "İ"sv,  "i̇"sv, "I"sv, "ı"sv, "\u0301"sv, "\u00ad"sv, "Ⅳ"sv, "ⅳ"sv,      "Ⓐ"sv, "ⓐ"sv,
      "٣"sv,  "“"sv, "Ǆ"sv, "ǅ"sv, "𐐀"sv,      "𐐨"sv,      "😀"sv, "\u212a"sv, "σ"sv, "k"sv};
  constexpr uint32_t kPoolSize = std::size(kPool);
  Random random(5);
  uint64_t digest = kFnvOffset;
  int matches = 0;
  for (int trial = 0; trial < 40000; ++trial) {
    std::string prediction;
    std::string reference;
    // The script draws the whole prediction before it draws the edits.
    uint32_t drawn[6];
    const uint32_t length = random.Below(7);
    for (uint32_t i = 0; i < length; ++i) drawn[i] = random.Below(kPoolSize);
    for (uint32_t i = 0; i < length; ++i) {
      prediction += kPool[drawn[i]];
      const uint32_t kind = random.Below(8);
      if (kind == 0) {
        reference += kPool[random.Below(kPoolSize)];
      } else if (kind == 1) {
        reference += kPool[drawn[i] ^ 1];
      } else if (kind == 2) {
        reference += kPool[drawn[i]];
        reference += kPool[random.Below(kPoolSize)];
      } else if (kind > 3) {
        reference += kPool[drawn[i]];
      }
    }
    const uint32_t flags = random.Below(8);
    const NormalizeOptions options{(flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0};
    const bool match = Normalize(prediction, options) == Normalize(reference, options);
    matches += match;
    digest = Fnv(std::string(1, match ? '\1' : '\0'), digest);
  }
  // From normalize_reference.py.
  EXPECT_EQ(matches, 13026);
  EXPECT_EQ(digest, 0x00b68c139c201623u);
}

}  // namespace
}  // namespace mirage::metrics
