#include "client/unknown_command.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace mirage::client {
namespace {

const std::vector<std::string>& Commands() {
  static const auto* const commands = new std::vector<std::string>{"attach", "gate", "meta"};
  return *commands;
}

TEST(UnknownCommandTest, NamesTheNearest) {
  for (const char* word : {"atach", "attahc", "Attach", "attaches"}) {
    EXPECT_EQ(UnknownCommand(word, Commands()),
              std::string("\"") + word + "\" is no command; did you mean attach?");
  }
  EXPECT_EQ(UnknownCommand("mta", Commands()), "\"mta\" is no command; did you mean meta?");
}

TEST(UnknownCommandTest, ListsThemWhenNoneIsNear) {
  const std::vector<std::string> words = {"",         "x",           "ga",
                                          "results/", "attachments", std::string(99, 'a')};
  for (const std::string& word : words) {
    EXPECT_EQ(UnknownCommand(word, Commands()),
              "\"" + word + "\" is no command; the commands are: attach, gate, meta");
  }
}

TEST(UnknownCommandTest, IsSafeForATerminal) {
  EXPECT_EQ(UnknownCommand("\x1b[2J", {"attach"}),
            "\"\\x1b[2J\" is no command; the commands are: attach");
}

}  // namespace
}  // namespace mirage::client
