#include "client/terminal.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace mirage::client {
namespace {

class TerminalTest : public testing::Test {
 protected:
  void SetUp() override {
    winsize size = {};
    size.ws_row = 40;
    size.ws_col = 123;
    ASSERT_EQ(::openpty(&outside_, &inside_, nullptr, nullptr, &size), 0);
    for (const char* name : {"NO_COLOR", "COLUMNS"}) ::unsetenv(name);
    ::setenv("TERM", "xterm", 1);
  }
  void TearDown() override {
    ::close(outside_);
    ::close(inside_);
  }

  int outside_ = -1, inside_ = -1;
};

TEST_F(TerminalTest, Terminal) {
  const Terminal terminal = TerminalOn(inside_);
  EXPECT_TRUE(terminal.escapes);
  EXPECT_TRUE(terminal.color);
  EXPECT_EQ(terminal.width, 123u);
}

TEST_F(TerminalTest, APipeIsNone) {
  ::setenv("COLUMNS", "80", 1);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Terminal none = TerminalOn(ends[1]);
  EXPECT_FALSE(none.escapes || none.color);
  EXPECT_EQ(none.width, 0u);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(TerminalTest, ATerminalOfNoKindGetsNoEscapes) {
  for (const char* kind : {"dumb", ""}) {
    ::setenv("TERM", kind, 1);
    EXPECT_FALSE(TerminalOn(inside_).escapes || TerminalOn(inside_).color) << kind;
  }
  ::unsetenv("TERM");
  EXPECT_FALSE(TerminalOn(inside_).escapes || TerminalOn(inside_).color);
}

TEST_F(TerminalTest, NoColorCountsWhenItIsNotEmpty) {
  ::setenv("NO_COLOR", "", 1);
  EXPECT_TRUE(TerminalOn(inside_).color);
  ::setenv("NO_COLOR", "0", 1);
  EXPECT_FALSE(TerminalOn(inside_).color);
  EXPECT_TRUE(TerminalOn(inside_).escapes);
}

TEST_F(TerminalTest, ColumnsWinWhereTheyAreANumber) {
  for (const auto& [columns, width] : {std::pair{"100", 100u},
                                       {"0", 123u},
                                       {"", 123u},
                                       {"-5", 123u},
                                       {"8x", 123u},
                                       {" 80", 123u}}) {
    ::setenv("COLUMNS", columns, 1);
    EXPECT_EQ(TerminalOn(inside_).width, width) << columns;
  }
}

}  // namespace
}  // namespace mirage::client
