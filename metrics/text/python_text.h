// Text as Python's str sees it: white space, words, and code points written back as UTF-8.
//
// The evaluation harnesses are Python programs, and their metrics split and strip texts by these
// rules. Any bytes are accepted: an invalid byte (units.h) is one character that is neither white
// space nor part of a word, as the surrogate that Python's errors="surrogateescape" makes of it.
//
// Complexity: O(bytes) each.
#ifndef MIRAGE_METRICS_TEXT_PYTHON_TEXT_H_
#define MIRAGE_METRICS_TEXT_PYTHON_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mirage::metrics {

// str.isspace: Unicode's White_Space (IsWhiteSpace) and U+001C..U+001F. What str.split() and
// str.strip() cut at, and the \s of the modules re and regex.
bool IsPythonSpace(uint32_t codepoint);

// The number of bytes of the white space character that begins at `position` < text.size(); 0 if
// none does.
size_t PythonSpaceAt(std::string_view text, size_t position);

// The next word at or after `position`, a maximal run of what is not white space; moves `position`
// past it. False, and `position` at the end, when there is none. The words are those of
// str.split().
bool NextPythonWord(std::string_view text, size_t& position, std::string_view& word);

// str.rstrip() and str.strip().
std::string_view StripRight(std::string_view text);
std::string_view Strip(std::string_view text);

// re's \w: a letter or number (Unicode's categories L* and N*) or '_'. By utf8proc, Unicode 15.0;
// Python 3.11 has 14.0, and does not yet know the letters that 15.0 added.
bool IsPythonWordCharacter(uint32_t codepoint);

// Appends a code point as UTF-8, an invalid byte (units.h) as that byte.
void AppendCodepoint(uint32_t codepoint, std::string& out);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_TEXT_PYTHON_TEXT_H_
