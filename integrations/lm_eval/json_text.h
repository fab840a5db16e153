// Pieces of JSON text that a parser leaves as they stand: escaped strings,
// numbers in either spelling, lists in Python's spelling.
#ifndef MIRAGE_INTEGRATIONS_LM_EVAL_JSON_TEXT_H_
#define MIRAGE_INTEGRATIONS_LM_EVAL_JSON_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mirage::integrations::lm_eval {

// Appends the text of a JSON string to `out`; `escaped` is what stands between
// its quotes. The result is valid UTF-8 when the input is: a surrogate without
// its other half becomes U+FFFD, and an escape that JSON does not know is kept
// as it stands. O(length).
void AppendUnescaped(std::string_view escaped, std::string* out);

// The same, as a new string.
std::string Unescaped(std::string_view escaped);

// Code points of valid UTF-8; a stray byte counts as the rules of continuation
// bytes make it. O(length).
uint64_t CountCodePoints(std::string_view utf8);

// Words as lm-eval counts them, len(re.split(r"\s+", text)): runs of Python's
// white space, plus one; so 1 for empty text.
uint64_t CountWords(std::string_view utf8);

// Reads all of `text` as a number: JSON's spelling, and Python's "nan", "inf",
// "NaN", "Infinity" with either sign. False when it is anything else. A number
// too large becomes an infinity, one too small a zero, as in Python.
bool ParseNumber(std::string_view text, double* value);

// `text` without the white space that Python's str.strip() removes (ASCII part).
std::string_view Strip(std::string_view text);

// Reads "[0, 2]": a list of integers in Python's spelling, which is also JSON's.
// False when `text` is anything else.
bool ParseIntegerList(std::string_view text, std::vector<int64_t>* values);

// Reads "['a', \"b\"]": a list of one or more strings, in Python's spelling or in JSON's with
// all its escapes. False when `text` is anything else.
bool ParseStringList(std::string_view text, std::vector<std::string>* values);

// Offset of the first byte that is not part of well-formed UTF-8; the size of
// `text` when there is none. O(length).
size_t FirstInvalidUtf8(std::string_view text);

// How the brackets of JSON text fit together, those in strings left out.
enum class Brackets {
  // The first one is closed.
  kClosed,
  // The text ends before the first one, or a string in it, is closed.
  kOpen,
  // One closes another of the other kind.
  kMixed,
};

// Follows the brackets of `text`, which starts with one, up to the one that closes it;
// `*end` is the offset past that, and past the last one looked at otherwise. O(length).
Brackets MatchBrackets(std::string_view text, size_t* end);

// At most `max_bytes` of `text` for a message: cut at a character, control
// characters and invalid bytes shown as '?', "…" where cut.
std::string Excerpt(std::string_view text, size_t max_bytes = 60);

}  // namespace mirage::integrations::lm_eval

#endif  // MIRAGE_INTEGRATIONS_LM_EVAL_JSON_TEXT_H_
