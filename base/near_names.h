// Names that a mistyped one may stand for.
#ifndef MIRAGE_BASE_NEAR_NAMES_H_
#define MIRAGE_BASE_NEAR_NAMES_H_

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace mirage {

// Letters to add, drop, change or swap with the next to get from `a` to `b`: the optimal string
// alignment distance. O(|a| |b|) time and memory.
size_t Edits(std::string_view a, std::string_view b);

// Edits from `word` to `name` where it may be a slip for it: within two, and one for each three
// letters that it has. Else none; a word of any length costs no more than the name.
std::optional<size_t> EditsOfASlip(std::string_view word, std::string_view name);

// At most `most` of `names` that `word` may stand for: those within a slip, the nearest first;
// then those that contain it (of three letters or more), then those that it begins with (of two
// or more). Capitals do not count, nor does a hyphen or a space for an underscore. Each name
// once, in the order of `names` where they are as near. Empty when none is.
std::vector<std::string_view> NearNames(std::string_view word,
                                        std::span<const std::string_view> names, size_t most = 5);

}  // namespace mirage

#endif  // MIRAGE_BASE_NEAR_NAMES_H_
