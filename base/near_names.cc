#include "base/near_names.h"

#include <algorithm>
#include <string>
#include <utility>

namespace mirage {
namespace {

constexpr size_t kMostEdits = 2;
constexpr size_t kLeastPart = 3;
constexpr size_t kLeastBeginning = 2;

std::string Folded(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '-' || c == ' ') c = '_';
  }
  return out;
}

}  // namespace

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

std::optional<size_t> EditsOfASlip(std::string_view word, std::string_view name) {
  // Else the table could be as large as the word.
  if (word.size() > name.size() + kMostEdits) return std::nullopt;
  const size_t edits = Edits(word, name);
  if (edits > std::min(kMostEdits, word.size() / 3)) return std::nullopt;
  return edits;
}

std::vector<std::string_view> NearNames(std::string_view word,
                                        std::span<const std::string_view> names, size_t most) {
  constexpr size_t kContains = kMostEdits + 1;
  constexpr size_t kBegins = kMostEdits + 2;
  const std::string folded_word = Folded(word);
  std::vector<std::pair<size_t, std::string_view>> near;
  for (const std::string_view name : names) {
    const auto is_name = [&](const auto& other) { return other.second == name; };
    if (std::any_of(near.begin(), near.end(), is_name)) continue;
    const std::string folded = Folded(name);
    if (const auto edits = EditsOfASlip(folded_word, folded); edits.has_value()) {
      near.emplace_back(*edits, name);
    } else if (folded_word.size() >= kLeastPart && folded.find(folded_word) != folded.npos) {
      near.emplace_back(kContains, name);
    } else if (folded.size() >= kLeastBeginning && folded_word.starts_with(folded)) {
      near.emplace_back(kBegins, name);
    }
  }
  std::stable_sort(near.begin(), near.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string_view> out;
  for (size_t i = 0; i < std::min(most, near.size()); ++i) out.push_back(near[i].second);
  return out;
}

}  // namespace mirage
