// What to say to a word that stands where a command belongs and is none.
#ifndef MIRAGE_CLIENT_UNKNOWN_COMMAND_H_
#define MIRAGE_CLIENT_UNKNOWN_COMMAND_H_

#include <string>
#include <string_view>
#include <vector>

namespace mirage::client {

// A sentence that names the command that `word` is likely meant for, or all of them when none
// is near: within two letters added, lost, changed or swapped, and one for each three that
// it has. Safe for a terminal.
std::string UnknownCommand(std::string_view word, const std::vector<std::string>& commands);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_UNKNOWN_COMMAND_H_
