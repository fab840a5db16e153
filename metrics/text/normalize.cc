#include "metrics/text/normalize.h"

#include <algorithm>
#include <cstdint>

#include "metrics/text/units.h"
#include "utf8proc.h"

namespace mirage::metrics {
namespace {

constexpr uint32_t kCapitalIWithDot = 0x130;
constexpr uint32_t kCombiningDotAbove = 0x307;
constexpr uint32_t kCapitalSigma = 0x3A3;
constexpr uint32_t kSigma = 0x3C3;
constexpr uint32_t kFinalSigma = 0x3C2;

bool IsPunctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsInvalid(uint32_t c) { return c >= kInvalidByteBase; }

utf8proc_category_t Category(uint32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool IsBetween(uint32_t c, uint32_t first, uint32_t last) { return c >= first && c <= last; }

// Unicode's Cased, for code points that are not Case_Ignorable as well: letters with a case and the
// others of Other_Lowercase and Other_Uppercase.
bool IsCased(uint32_t c) {
  if (IsInvalid(c)) return false;
  switch (Category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
      return true;
    default:
      return c == 0xAA || c == 0xBA || IsBetween(c, 0x2160, 0x217F) ||
             IsBetween(c, 0x24B6, 0x24E9) || IsBetween(c, 0x1F130, 0x1F149) ||
             IsBetween(c, 0x1F150, 0x1F169) || IsBetween(c, 0x1F170, 0x1F189);
  }
}

// Unicode's Case_Ignorable: some categories, and what may stand within a word.
bool IsCaseIgnorable(uint32_t c) {
  if (IsInvalid(c)) return false;
  switch (Category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      break;
  }
  switch (c) {
    case 0x0027:
    case 0x002E:
    case 0x003A:
    case 0x00B7:
    case 0x0387:
    case 0x055F:
    case 0x05F4:
    case 0x2018:
    case 0x2019:
    case 0x2024:
    case 0x2027:
    case 0xFE13:
    case 0xFE52:
    case 0xFE55:
    case 0xFF07:
    case 0xFF0E:
    case 0xFF1A:
      return true;
    default:
      return false;
  }
}

// Appends as UTF-8, an invalid byte as itself.
void Append(uint32_t c, std::string& out) {
  if (IsInvalid(c)) {
    out.push_back(static_cast<char>(c - kInvalidByteBase));
    return;
  }
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
}

// Whether a capital sigma ends its word: the nearest code point before it that is not
// case-ignorable is cased, the nearest such one of `rest`, what comes after it, is not.
bool IsFinalSigma(bool cased_before, std::string_view rest) {
  if (!cased_before) return false;
  for (size_t position = 0; position < rest.size();) {
    const uint32_t c = NextCodepoint(rest, position);
    if (!IsCaseIgnorable(c)) return !IsCased(c);
  }
  return true;
}

std::string LowerAscii(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return out;
}

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// The first `count` code points.
std::string_view Cut(std::string_view text, size_t count) {
  size_t position = 0;
  while (count-- > 0 && position < text.size()) NextCodepoint(text, position);
  return text.substr(0, position);
}

}  // namespace

std::string LowerCase(std::string_view text) {
  if (IsAscii(text)) return LowerAscii(text);
  std::string out;
  out.reserve(text.size());
  // Whether the last code point that is not case-ignorable is cased.
  bool cased_before = false;
  for (size_t position = 0; position < text.size();) {
    const uint32_t c = NextCodepoint(text, position);
    if (c == kCapitalSigma) {
      Append(IsFinalSigma(cased_before, text.substr(position)) ? kFinalSigma : kSigma, out);
    } else if (c == kCapitalIWithDot) {
      Append('i', out);
      Append(kCombiningDotAbove, out);
    } else if (IsInvalid(c)) {
      Append(c, out);
    } else {
      Append(static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
    }
    if (!IsCaseIgnorable(c)) cased_before = IsCased(c);
  }
  return out;
}

std::string Normalize(std::string_view text, const NormalizeOptions& options, size_t width) {
  std::string out;
  if (options.ignore_case) {
    const size_t own_width = CountCodepoints(text);
    const std::string lower = LowerCase(text);
    out = Cut(lower, std::max(width, own_width));
  } else {
    out = text;
  }
  if (options.ignore_punctuation || options.ignore_numbers) {
    std::erase_if(out, [&](char c) {
      return (options.ignore_punctuation && IsPunctuation(c)) ||
             (options.ignore_numbers && IsDigit(c));
    });
  }
  while (!out.empty() && out.back() == '\0') out.pop_back();
  return out;
}

}  // namespace mirage::metrics
