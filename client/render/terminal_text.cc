#include "client/render/terminal_text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>

namespace mirage::client {
namespace {

bool IsUnsafe(utf8proc_int32_t codepoint) {
  switch (utf8proc_category(codepoint)) {
    case UTF8PROC_CATEGORY_CC:  // control
    case UTF8PROC_CATEGORY_CF:  // format: bidirectional marks, zero-width joiners
    case UTF8PROC_CATEGORY_ZL:  // line separator
    case UTF8PROC_CATEGORY_ZP:  // paragraph separator
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CN:
      return true;
    default:
      return false;
  }
}

// Calls visit(code point, bytes); the code point is -1 for a byte that is not UTF-8.
template <typename Visit>
void ForEachCodepoint(std::string_view text, const Visit& visit) {
  size_t at = 0;
  while (at < text.size()) {
    utf8proc_int32_t codepoint = -1;
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at;
    const utf8proc_ssize_t n =
        utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size() - at), &codepoint);
    const size_t length = n > 0 ? static_cast<size_t>(n) : 1;
    visit(n > 0 ? codepoint : -1, text.substr(at, length));
    at += length;
  }
}

// Whether Markdown would take a line that begins with this word for an item or a heading.
bool BeginsABlock(std::string_view word) {
  if (word == "-" || word == "+" || word == "*" || word == ">") return true;
  if (word.find_first_not_of('#') == word.npos || word.find_first_not_of('=') == word.npos) {
    return true;
  }
  const size_t digits = word.find_first_not_of("0123456789");
  return digits != 0 && digits != word.npos && digits + 1 == word.size() &&
         (word[digits] == '.' || word[digits] == ')');
}

}  // namespace

std::string SafeText(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  ForEachCodepoint(text, [&](utf8proc_int32_t codepoint, std::string_view bytes) {
    if (codepoint < 0) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes[0]));
    } else if (!IsUnsafe(codepoint)) {
      out += bytes;
    } else if (codepoint < 0x100) {
      out += fmt::format("\\x{:02x}", codepoint);
    } else {
      out += fmt::format("\\u{:04x}", codepoint);
    }
  });
  return out;
}

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  ForEachCodepoint(text, [&](utf8proc_int32_t codepoint, std::string_view) {
    width += codepoint < 0 ? 1 : static_cast<size_t>(utf8proc_charwidth(codepoint));
  });
  return width;
}

std::string PadRight(std::string_view text, size_t width) {
  const size_t used = DisplayWidth(text);
  std::string out(text);
  if (used < width) out.append(width - used, ' ');
  return out;
}

std::string PadLeft(std::string_view text, size_t width) {
  const size_t used = DisplayWidth(text);
  return (used < width ? std::string(width - used, ' ') : std::string()) + std::string(text);
}

std::string Shortened(std::string_view text, size_t columns) {
  if (columns == 0) return "";
  // How much fits beside the … that may be needed.
  size_t used = 0, fits = 0, at = 0;
  ForEachCodepoint(text, [&](utf8proc_int32_t codepoint, std::string_view bytes) {
    used += codepoint < 0 ? 1 : static_cast<size_t>(utf8proc_charwidth(codepoint));
    at += bytes.size();
    if (used < columns) fits = at;
  });
  return used <= columns ? std::string(text) : fmt::format("{}…", text.substr(0, fits));
}

std::vector<std::string> Wrapped(std::string_view text, size_t width) {
  // Words, and what must not begin a line with the word before it.
  std::vector<std::string> words;
  while (true) {
    const size_t begin = text.find_first_not_of(' ');
    if (begin == text.npos) break;
    const size_t end = std::min(text.find(' ', begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    if (!words.empty() && BeginsABlock(word)) {
      words.back() += fmt::format(" {}", word);
    } else {
      words.emplace_back(word);
    }
    text.remove_prefix(end);
  }
  std::vector<std::string> lines(1);
  for (const std::string& word : words) {
    if (lines.back().empty()) {
      lines.back() = word;
    } else if (width == 0 || DisplayWidth(lines.back()) + 1 + DisplayWidth(word) <= width) {
      lines.back() += " " + word;
    } else {
      lines.push_back(word);
    }
  }
  return lines;
}

}  // namespace mirage::client
