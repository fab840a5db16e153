#include "client/render/terminal_text.h"

#include <gtest/gtest.h>

namespace mirage::client {
namespace {

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

}  // namespace
}  // namespace mirage::client
