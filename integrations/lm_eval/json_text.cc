#include "integrations/lm_eval/json_text.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <system_error>

namespace mirage::integrations::lm_eval {
namespace {

constexpr uint32_t kReplacement = 0xFFFD;

bool IsSpace(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f');
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Reads `n` hexadecimal digits at `at`.
bool ReadHex(std::string_view text, size_t at, size_t n, uint32_t* code) {
  if (at > text.size() || text.size() - at < n) return false;
  uint32_t value = 0;
  for (size_t i = 0; i < n; ++i) {
    const int digit = HexDigit(text[at + i]);
    if (digit < 0) return false;
    value = value << 4 | static_cast<uint32_t>(digit);
  }
  *code = value;
  return true;
}

void AppendCodePoint(uint32_t code, std::string* out) {
  if ((code >= 0xD800 && code < 0xE000) || code > 0x10FFFF) code = kReplacement;
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out->push_back(static_cast<char>(0xC0 | code >> 6));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else if (code < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | code >> 12));
    out->push_back(static_cast<char>(0x80 | (code >> 6 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | code >> 18));
    out->push_back(static_cast<char>(0x80 | (code >> 12 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code >> 6 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  }
}

// Length in bytes of a white space character of Python's `\s` at `at`, 0 if
// there is none.
size_t SpaceLength(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0;
  };
  if (IsSpace(text[at])) return 1;
  switch (byte(0)) {
    case 0xC2:
      return byte(1) == 0x85 || byte(1) == 0xA0 ? 2 : 0;
    case 0xE1:
      return byte(1) == 0x9A && byte(2) == 0x80 ? 3 : 0;
    case 0xE2:
      if (byte(1) == 0x80) {
        const unsigned last = byte(2);
        return (last >= 0x80 && last <= 0x8A) || last == 0xA8 || last == 0xA9 || last == 0xAF ? 3
                                                                                              : 0;
      }
      return byte(1) == 0x81 && byte(2) == 0x9F ? 3 : 0;
    case 0xE3:
      return byte(1) == 0x80 && byte(2) == 0x80 ? 3 : 0;
    default:
      return 0;
  }
}

// Length of a well-formed UTF-8 sequence at `at`, 0 if there is none.
size_t SequenceLength(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
  };
  const unsigned first = byte(0);
  const auto continues = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first < 0xF0) {
    if (!continues(1) || !continues(2)) return 0;
    if (first == 0xE0 && byte(1) < 0xA0) return 0;
    if (first == 0xED && byte(1) >= 0xA0) return 0;
    return 3;
  }
  if (first >= 0xF0 && first < 0xF5) {
    if (!continues(1) || !continues(2) || !continues(3)) return 0;
    if (first == 0xF0 && byte(1) < 0x90) return 0;
    if (first == 0xF4 && byte(1) >= 0x90) return 0;
    return 4;
  }
  return 0;
}

// Reads the second half of a surrogate pair, `\uDC00` to `\uDFFF` at `at`, after the first
// half `*code`, and puts the character in `*code`; false when it does not stand there.
bool ReadLowSurrogate(std::string_view text, size_t at, uint32_t* code) {
  uint32_t low = 0;
  if (*code < 0xD800 || *code >= 0xDC00 || text.substr(at, 2) != "\\u" ||
      !ReadHex(text, at + 2, 4, &low) || low < 0xDC00 || low >= 0xE000) {
    return false;
  }
  *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
  return true;
}

// Reads a string literal of Python or JSON at `*at` and moves `*at` past it. Where both know an
// escape it is the same, and Python's repr writes neither `\/` nor the halves of a pair.
bool ReadPythonString(std::string_view text, size_t* at, std::string* out) {
  if (*at >= text.size()) return false;
  const char quote = text[*at];
  if (quote != '\'' && quote != '"') return false;
  out->clear();
  for (size_t i = *at + 1; i < text.size(); ++i) {
    const char c = text[i];
    if (c == quote) {
      *at = i + 1;
      return true;
    }
    if (c != '\\') {
      out->push_back(c);
      continue;
    }
    if (++i >= text.size()) return false;
    uint32_t code = 0;
    switch (text[i]) {
      case 'n':
        out->push_back('\n');
        break;
      case 't':
        out->push_back('\t');
        break;
      case 'r':
        out->push_back('\r');
        break;
      case 'b':
        out->push_back('\b');
        break;
      case 'f':
        out->push_back('\f');
        break;
      case '\\':
      case '\'':
      case '"':
      case '/':
        out->push_back(text[i]);
        break;
      case 'x':
      case 'u':
      case 'U': {
        const size_t digits = text[i] == 'x' ? 2 : text[i] == 'u' ? 4 : 8;
        if (!ReadHex(text, i + 1, digits, &code)) return false;
        i += digits;
        if (digits == 4 && ReadLowSurrogate(text, i + 1, &code)) i += 6;
        AppendCodePoint(code, out);
        break;
      }
      default:
        return false;
    }
  }
  return false;
}

}  // namespace

void AppendUnescaped(std::string_view escaped, std::string* out) {
  const char* at = escaped.data();
  const char* const end = at + escaped.size();
  while (at < end) {
    const auto* slash =
        static_cast<const char*>(std::memchr(at, '\\', static_cast<size_t>(end - at)));
    if (slash == nullptr || slash + 1 == end) {
      out->append(at, end);
      return;
    }
    out->append(at, slash);
    at = slash + 2;
    switch (slash[1]) {
      case '"':
      case '\\':
      case '/':
        out->push_back(slash[1]);
        break;
      case 'b':
        out->push_back('\b');
        break;
      case 'f':
        out->push_back('\f');
        break;
      case 'n':
        out->push_back('\n');
        break;
      case 'r':
        out->push_back('\r');
        break;
      case 't':
        out->push_back('\t');
        break;
      case 'u': {
        const std::string_view rest(at, static_cast<size_t>(end - at));
        uint32_t code = 0;
        if (!ReadHex(rest, 0, 4, &code)) {
          out->append(slash, 2);
          break;
        }
        at += 4;
        if (ReadLowSurrogate(rest, 4, &code)) at += 6;
        AppendCodePoint(code, out);
        break;
      }
      default:
        out->append(slash, 2);
    }
  }
}

std::string Unescaped(std::string_view escaped) {
  std::string out;
  AppendUnescaped(escaped, &out);
  return out;
}

uint64_t CountCodePoints(std::string_view utf8) {
  // Eight bytes at a time: those that continue a character have bit 7 and not bit 6.
  const auto continuing = [](uint64_t bytes) {
    return (bytes >> 7) & ~(bytes >> 6) & 0x0101010101010101u;
  };
  uint64_t n_continuing = 0;
  size_t i = 0;
  for (; i + 8 <= utf8.size(); i += 8) {
    uint64_t bytes = 0;
    std::memcpy(&bytes, utf8.data() + i, 8);
    n_continuing += static_cast<uint64_t>(std::popcount(continuing(bytes)));
  }
  if (i < utf8.size() && utf8.size() >= 8) {
    // The last eight bytes, less those that were counted.
    uint64_t bytes = 0;
    std::memcpy(&bytes, utf8.data() + utf8.size() - 8, 8);
    const size_t counted = 8 - (utf8.size() - i);
    n_continuing += static_cast<uint64_t>(std::popcount(continuing(bytes) >> (8 * counted)));
    return utf8.size() - n_continuing;
  }
  for (; i < utf8.size(); ++i) {
    n_continuing += (static_cast<unsigned char>(utf8[i]) & 0xC0) == 0x80 ? 1 : 0;
  }
  return utf8.size() - n_continuing;
}

uint64_t CountWords(std::string_view utf8) {
  uint64_t n = 1;
  bool in_space = false;
  for (size_t i = 0; i < utf8.size();) {
    const size_t space = SpaceLength(utf8, i);
    if (space > 0 && !in_space) ++n;
    in_space = space > 0;
    i += space > 0 ? space : 1;
  }
  return n;
}

bool ParseNumber(std::string_view text, double* value) {
  if (text.empty()) return false;
  if (text.front() == '+') {
    text.remove_prefix(1);
    if (text.empty() || text.front() == '-') return false;
  }
  const char* const end = text.data() + text.size();
  const std::from_chars_result result = std::from_chars(text.data(), end, *value);
  if (result.ptr != end) return false;
  if (result.ec == std::errc()) return true;
  if (result.ec != std::errc::result_out_of_range) return false;
  // from_chars does not say which way; the sign of the decimal exponent does.
  const bool negative = text.front() == '-';
  const size_t e = text.find_first_of("eE");
  bool tiny = e != std::string_view::npos && e + 1 < text.size() && text[e + 1] == '-';
  if (e == std::string_view::npos) tiny = text.substr(negative ? 1 : 0, 1) == "0";
  const double magnitude = tiny ? 0.0 : std::numeric_limits<double>::infinity();
  *value = negative ? -magnitude : magnitude;
  return true;
}

std::string_view Strip(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

bool ParseIntegerList(std::string_view text, std::vector<int64_t>* values) {
  values->clear();
  text = Strip(text);
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return false;
  text = Strip(text.substr(1, text.size() - 2));
  while (!text.empty()) {
    int64_t value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc()) return false;
    values->push_back(value);
    text = Strip(text.substr(static_cast<size_t>(result.ptr - text.data())));
    if (text.empty()) break;
    if (text.front() != ',') return false;
    text = Strip(text.substr(1));
    if (text.empty()) return false;
  }
  return true;
}

bool ParseStringList(std::string_view text, std::vector<std::string>* values) {
  values->clear();
  text = Strip(text);
  if (text.size() < 4 || text.front() != '[' || text.back() != ']') return false;
  size_t at = 1;
  const auto skip_spaces = [&] {
    while (at < text.size() && IsSpace(text[at])) ++at;
  };
  while (true) {
    skip_spaces();
    std::string value;
    if (!ReadPythonString(text, &at, &value)) return false;
    values->push_back(std::move(value));
    skip_spaces();
    if (at >= text.size()) return false;
    if (text[at] == ']') return at + 1 == text.size();
    if (text[at] != ',') return false;
    ++at;
  }
}

size_t FirstInvalidUtf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t length = SequenceLength(text, at);
    if (length == 0) break;
    at += length;
  }
  return at;
}

Brackets MatchBrackets(std::string_view text, size_t* end) {
  std::string closing;  // of what is open
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
      continue;
    }
    if (c == '"') {
      in_string = true;
    } else if (c == '{') {
      closing.push_back('}');
    } else if (c == '[') {
      closing.push_back(']');
    } else if (c == '}' || c == ']') {
      *end = i + 1;
      if (closing.empty() || closing.back() != c) return Brackets::kMixed;
      closing.pop_back();
      if (closing.empty()) return Brackets::kClosed;
    }
  }
  *end = text.size();
  return Brackets::kOpen;
}

std::string Excerpt(std::string_view text, size_t max_bytes) {
  std::string out;
  size_t i = 0;
  while (i < text.size()) {
    const size_t length = SequenceLength(text, i);
    if (out.size() + (length == 0 ? 1 : length) > max_bytes) break;
    const auto byte = static_cast<unsigned char>(text[i]);
    if (length == 0 || byte < 0x20 || byte == 0x7F) {
      out.push_back('?');
      ++i;
    } else {
      out.append(text, i, length);
      i += length;
    }
  }
  if (i < text.size()) out += "…";
  return out;
}

}  // namespace mirage::integrations::lm_eval
