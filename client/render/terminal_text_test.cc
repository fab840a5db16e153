#include "client/render/terminal_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mirage::client {
namespace {

using ::testing::ElementsAre;

TEST(TerminalTextTest, PlainTextIsUntouched) {
  EXPECT_EQ(SafeText("exact_match, 7×8 = 56 ↑ 日本"), "exact_match, 7×8 = 56 ↑ 日本");
  EXPECT_EQ(SafeText(""), "");
}

TEST(TerminalTextTest, EscapesWhatMovesOrHides) {
  EXPECT_EQ(SafeText("a\x1b[2Jb"), "a\\x1b[2Jb");
  EXPECT_EQ(SafeText("a\rb\nc\tb"), "a\\x0db\\x0ac\\x09b");
  EXPECT_EQ(SafeText("\u202egnp.exe"), "\\u202egnp.exe") << "right-to-left override";
  EXPECT_EQ(SafeText("a\u200bb"), "a\\u200bb") << "zero-width space";
  EXPECT_EQ(SafeText("\u2028"), "\\u2028");
  EXPECT_EQ(SafeText("\x7f"), "\\x7f");
  EXPECT_EQ(SafeText("\u009b"), "\\x9b") << "a one-character escape sequence";
}

TEST(TerminalTextTest, InvalidUtf8IsShownByByte) {
  EXPECT_EQ(SafeText("a\xff\xc3"), "a\\xff\\xc3");
  EXPECT_EQ(SafeText(std::string_view("a\0b", 3)), "a\\x00b");
}

TEST(TerminalTextTest, WidthCountsColumns) {
  EXPECT_EQ(DisplayWidth("abc"), 3u);
  EXPECT_EQ(DisplayWidth("日本"), 4u);
  EXPECT_EQ(DisplayWidth("e\u0301"), 1u) << "a combining accent takes no column";
  EXPECT_EQ(DisplayWidth("↑±"), 2u);
}

TEST(TerminalTextTest, PadsToColumns) {
  EXPECT_EQ(PadRight("日", 4), "日  ");
  EXPECT_EQ(PadLeft("1.5", 6), "   1.5");
  EXPECT_EQ(PadRight("longer", 3), "longer");
}

TEST(TerminalTextTest, ShortensToColumns) {
  EXPECT_EQ(Shortened("longer", 6), "longer");
  EXPECT_EQ(Shortened("longer", 5), "long…");
  EXPECT_EQ(Shortened("longer", 1), "…");
  EXPECT_EQ(Shortened("longer", 0), "");
  EXPECT_EQ(Shortened("", 0), "");
  EXPECT_EQ(Shortened("日本語", 6), "日本語");
  EXPECT_EQ(Shortened("日本語", 4), "日…") << "half a character is none";
  EXPECT_EQ(Shortened("e\u0301e\u0301", 1), "…");
  EXPECT_EQ(Shortened("e\u0301e\u0301", 2), "e\u0301e\u0301");
}

TEST(TerminalTextTest, WrapsAtSpaces) {
  EXPECT_THAT(Wrapped("", 5), ElementsAre(""));
  EXPECT_THAT(Wrapped("  one  two three ", 7), ElementsAre("one two", "three"));
  EXPECT_THAT(Wrapped("one two three", 0), ElementsAre("one two three"));
  EXPECT_THAT(Wrapped("a wonderful b", 3), ElementsAre("a", "wonderful", "b"));
  EXPECT_THAT(Wrapped("日本 日本", 5), ElementsAre("日本", "日本")) << "columns, not bytes";
  EXPECT_THAT(Wrapped("日本 日本", 9), ElementsAre("日本 日本"));
}

TEST(TerminalTextTest, NoWrappedLineBeginsAnItem) {
  EXPECT_THAT(Wrapped("a - b", 3), ElementsAre("a -", "b"));
  EXPECT_THAT(Wrapped("aa - b", 3), ElementsAre("aa -", "b"));
  EXPECT_THAT(Wrapped("it is 12. b", 5), ElementsAre("it", "is 12.", "b"));
  EXPECT_THAT(Wrapped("aaa == b", 4), ElementsAre("aaa ==", "b"));
  EXPECT_THAT(Wrapped("aaa -b 1.5", 4), ElementsAre("aaa", "-b", "1.5"));
}

}  // namespace
}  // namespace mirage::client
