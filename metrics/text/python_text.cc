#include "metrics/text/python_text.h"

#include <array>

#include "metrics/text/units.h"
#include "utf8proc.h"

namespace mirage::metrics {
namespace {

constexpr std::array<bool, 0x80> kAsciiSpace = [] {
  std::array<bool, 0x80> space{};
  for (size_t c = 0x09; c <= 0x0D; ++c) space[c] = true;
  for (size_t c = 0x1C; c <= 0x20; ++c) space[c] = true;
  return space;
}();

}  // namespace

bool IsPythonSpace(uint32_t codepoint) {
  return IsWhiteSpace(codepoint) || (codepoint >= 0x1C && codepoint <= 0x1F);
}

size_t PythonSpaceAt(std::string_view text, size_t position) {
  const auto lead = static_cast<unsigned char>(text[position]);
  if (lead < 0x80) return kAsciiSpace[lead] ? 1 : 0;
  // The first bytes of U+0085 and U+00A0, U+1680, U+2000..U+205F and U+3000.
  if (lead != 0xC2 && lead != 0xE1 && lead != 0xE2 && lead != 0xE3) return 0;
  size_t end = position;
  return IsWhiteSpace(NextCodepoint(text, end)) ? end - position : 0;
}

bool NextPythonWord(std::string_view text, size_t& position, std::string_view& word) {
  while (position < text.size()) {
    const size_t space = PythonSpaceAt(text, position);
    if (space == 0) break;
    position += space;
  }
  if (position == text.size()) return false;
  const size_t start = position;
  // Byte by byte: no white space character begins within another one.
  while (position < text.size() && PythonSpaceAt(text, position) == 0) ++position;
  word = text.substr(start, position - start);
  return true;
}

std::string_view StripRight(std::string_view text) {
  const auto ends_in_space = [&](size_t length) {
    return text.size() >= length && PythonSpaceAt(text, text.size() - length) == length;
  };
  while (true) {
    if (ends_in_space(1)) {
      text.remove_suffix(1);
    } else if (ends_in_space(2)) {
      text.remove_suffix(2);
    } else if (ends_in_space(3)) {
      text.remove_suffix(3);
    } else {
      return text;
    }
  }
}

std::string_view Strip(std::string_view text) {
  while (!text.empty()) {
    const size_t space = PythonSpaceAt(text, 0);
    if (space == 0) break;
    text.remove_prefix(space);
  }
  return StripRight(text);
}

bool IsPythonWordCharacter(uint32_t codepoint) {
  if (codepoint < 0x80) {
    return (codepoint >= 'a' && codepoint <= 'z') || (codepoint >= 'A' && codepoint <= 'Z') ||
           (codepoint >= '0' && codepoint <= '9') || codepoint == '_';
  }
  if (codepoint >= kInvalidByteBase) return false;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(codepoint))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return true;
    default:
      return false;
  }
}

void AppendCodepoint(uint32_t codepoint, std::string& out) {
  if (codepoint < 0x80) {
    out.push_back(static_cast<char>(codepoint));
    return;
  }
  if (codepoint >= kInvalidByteBase) {
    out.push_back(static_cast<char>(codepoint - kInvalidByteBase));
    return;
  }
  std::array<utf8proc_uint8_t, 4> bytes;
  const utf8proc_ssize_t length =
      utf8proc_encode_char(static_cast<utf8proc_int32_t>(codepoint), bytes.data());
  for (utf8proc_ssize_t i = 0; i < length; ++i) out.push_back(static_cast<char>(bytes[i]));
}

}  // namespace mirage::metrics
