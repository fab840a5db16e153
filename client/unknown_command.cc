#include "client/unknown_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>

#include "client/render/terminal_text.h"

namespace mirage::client {
namespace {

constexpr size_t kMostEdits = 2;

// Letters to add, drop, change or swap with the next to get from `a` to `b`: the optimal string
// alignment distance. O(|a| |b|).
size_t Edits(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> edits(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        edits[i][j] = i + j;
        continue;
      }
      edits[i][j] = std::min({edits[i - 1][j] + 1, edits[i][j - 1] + 1,
                              edits[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        edits[i][j] = std::min(edits[i][j], edits[i - 2][j - 2] + 1);
      }
    }
  }
  return edits[a.size()][b.size()];
}

}  // namespace

std::string UnknownCommand(std::string_view word, const std::vector<std::string>& commands) {
  size_t fewest = std::min(kMostEdits, word.size() / 3) + 1;
  std::string_view nearest;
  for (const std::string& command : commands) {
    // Else the table below could be as large as the word.
    if (word.size() > command.size() + kMostEdits) continue;
    const size_t edits = Edits(word, command);
    if (edits >= fewest) continue;
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
