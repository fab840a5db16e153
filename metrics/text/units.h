// Text as a sequence of comparable units: code points, bytes or words.
//
//   WordInterner words;  // one for the texts that are compared with each other
//   std::vector<uint32_t> output_ids, target_ids;
//   SplitUnits(output, TextUnit::kWords, words, output_ids);
//   SplitUnits(target, TextUnit::kWords, words, target_ids);
//   size_t distance = EditDistance(output_ids, target_ids, scratch);
//
// Any bytes are accepted. Where they are not well-formed UTF-8 (Unicode 15.0, table 3-7: no
// overlong forms, no surrogates, nothing above U+10FFFF) one byte is one unit with the id 0x110000
// + byte, outside Unicode, and decoding resumes at the next byte. So distinct texts have distinct
// code point sequences. Nothing is normalised: composed and decomposed accents differ.
//
// Complexity: O(bytes); words expected O(bytes). Text of at most 2^32 - 1 units.
#ifndef MIRAGE_METRICS_TEXT_UNITS_H_
#define MIRAGE_METRICS_TEXT_UNITS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace mirage::metrics {

enum class TextUnit { kCodepoints, kBytes, kWords };

// "codepoints", its alias "characters", "bytes" or "words".
// Returns INVALID_ARGUMENT, naming these, for all else (case counts).
absl::StatusOr<TextUnit> ParseTextUnit(std::string_view name);

// The first name of a unit, as it stands in metric signatures.
std::string_view TextUnitName(TextUnit unit);

// What invalid bytes decode to begins here: one above the last code point.
inline constexpr uint32_t kInvalidByteBase = 0x110000;

// The code point, or invalid byte, at `position` < text.size(); moves `position` past it.
uint32_t NextCodepoint(std::string_view text, size_t& position);

// The number of ids that SplitUnits gives for kCodepoints: for valid UTF-8 its code points,
// Python's len(); each invalid byte counts one. At several gigabytes a second for valid text.
size_t CountCodepoints(std::string_view text);

// Whether Unicode's White_Space property holds. Python's str.split also splits at U+001C..U+001F,
// which do not have it.
bool IsWhiteSpace(uint32_t codepoint);

// Gives equal words equal ids and different words different ids, 0, 1, 2, ... in order of first
// sight. Compares the words themselves; holds copies of them until Clear.
class WordInterner {
 public:
  uint32_t Intern(std::string_view word);
  // The number of different words.
  size_t size() const { return words_.size(); }
  // Forgets all words and keeps most of the memory.
  void Clear();

 private:
  void Grow();

  struct Slot {
    uint64_t hash = 0;
    // Id + 1; 0 if free.
    uint32_t entry = 0;
  };
  struct Word {
    uint64_t hash;
    size_t offset;
    size_t length;
  };

  std::vector<Slot> slots_;
  std::vector<Word> words_;
  std::string bytes_;
};

// Replaces `ids` by those of `text`'s units. A word is a maximal run of code points that are not
// white space; text of white space only has none. `words` is used for kWords only.
void SplitUnits(std::string_view text, TextUnit unit, WordInterner& words,
                std::vector<uint32_t>& ids);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_TEXT_UNITS_H_
