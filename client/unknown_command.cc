#include "client/unknown_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <optional>

#include "base/near_names.h"
#include "client/render/terminal_text.h"

namespace mirage::client {

std::string UnknownCommand(std::string_view word, const std::vector<std::string>& commands) {
  std::optional<size_t> fewest;
  std::string_view nearest;
  for (const std::string& command : commands) {
    const auto edits = EditsOfASlip(word, command);
    if (!edits.has_value() || (fewest.has_value() && *edits >= *fewest)) continue;
    fewest = edits;
    nearest = command;
  }
  if (nearest.empty()) {
    return fmt::format("\"{}\" is no command; the commands are: {}", SafeText(word),
                       fmt::join(commands, ", "));
  }
  return fmt::format("\"{}\" is no command; did you mean {}?", SafeText(word), nearest);
}

}  // namespace mirage::client
