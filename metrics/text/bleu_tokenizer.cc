#include "metrics/text/bleu_tokenizer.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "fmt/format.h"
#include "metrics/text/python_text.h"
#include "metrics/text/units.h"
#include "utf8proc.h"

namespace mirage::metrics {
namespace {

// ASCII punctuation and the space, but not ' . , and -.
constexpr std::array<bool, 0x100> kSeparated = [] {
  std::array<bool, 0x100> separated{};
  for (size_t c = 0x20; c <= 0x7E; ++c) {
    const bool alphanumeric =
        (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    separated[c] = !alphanumeric && c != '\'' && c != '.' && c != ',' && c != '-';
  }
  return separated;
}();

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsPoint(char c) { return c == '.' || c == ','; }

// str.replace; what a replacement makes is not looked at again.
void ReplaceAll(std::string_view from, std::string_view to, std::string& text) {
  size_t found = text.find(from);
  if (found == std::string::npos) return;
  std::string out;
  out.reserve(text.size());
  size_t done = 0;
  for (; found != std::string::npos; found = text.find(from, done)) {
    out.append(text, done, found - done).append(to);
    done = found + from.size();
  }
  out.append(text, done);
  text.swap(out);
}

std::string JoinWords(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::string_view word;
  for (size_t position = 0; NextPythonWord(text, position, word);) {
    if (!out.empty()) out.push_back(' ');
    out.append(word);
  }
  return out;
}

// The passes work on bytes: what they look for is ASCII, and whether a byte that is not belongs to
// a longer character makes no difference to them.
std::string Tokenize13a(std::string_view line) {
  std::string text(line);
  ReplaceAll("<skipped>", "", text);
  ReplaceAll("-\n", "", text);
  ReplaceAll("\n", " ", text);
  ReplaceAll("&quot;", "\"", text);
  ReplaceAll("&amp;", "&", text);
  ReplaceAll("&lt;", "<", text);
  ReplaceAll("&gt;", ">", text);

  std::string out;
  out.reserve(text.size() + text.size() / 2 + 8);
  const auto add_separated = [&](char c) {
    if (kSeparated[static_cast<unsigned char>(c)]) {
      out.append({' ', c, ' '});
    } else {
      out.push_back(c);
    }
  };
  // The space before and after the line, so that each point has neighbours.
  add_separated(' ');
  for (const char c : text) add_separated(c);
  add_separated(' ');
  text.swap(out);

  if (text.find_first_of(".,") != std::string::npos) {
    out.clear();
    for (size_t i = 0; i < text.size(); ++i) {
      out.push_back(text[i]);
      if (i + 1 < text.size() && !IsDigit(text[i]) && IsPoint(text[i + 1])) {
        out.append({' ', text[++i], ' '});
      }
    }
    text.swap(out);
    out.clear();
    for (size_t i = 0; i < text.size(); ++i) {
      if (i + 1 < text.size() && IsPoint(text[i]) && !IsDigit(text[i + 1])) {
        out.append({' ', text[i], ' ', text[i + 1]});
        ++i;
      } else {
        out.push_back(text[i]);
      }
    }
    text.swap(out);
  }
  if (text.find('-') != std::string::npos) {
    out.clear();
    for (size_t i = 0; i < text.size(); ++i) {
      out.push_back(text[i]);
      if (i + 1 < text.size() && IsDigit(text[i]) && text[i + 1] == '-') {
        out.append(" - ");
        ++i;
      }
    }
    text.swap(out);
  }
  return JoinWords(text);
}

std::string TokenizeChar(std::string_view text) {
  std::string out;
  out.reserve(2 * text.size());
  for (size_t position = 0; position < text.size();) {
    const size_t start = position;
    NextCodepoint(text, position);
    if (start > 0) out.push_back(' ');
    out.append(text.substr(start, position - start));
  }
  return out;
}

enum class Kind : uint8_t { kOther, kNumber, kPunctuation, kSymbol };

struct Character {
  uint32_t codepoint;
  Kind kind;
};

Kind KindOf(uint32_t codepoint) {
  if (codepoint >= kInvalidByteBase) return Kind::kOther;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(codepoint))) {
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return Kind::kNumber;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return Kind::kPunctuation;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return Kind::kSymbol;
    default:
      return Kind::kOther;
  }
}

std::string TokenizeIntl(std::string_view line) {
  constexpr Character kSpace = {' ', Kind::kOther};
  std::vector<Character> text;
  text.reserve(line.size());
  for (size_t position = 0; position < line.size();) {
    const uint32_t codepoint = NextCodepoint(line, position);
    text.push_back({codepoint, KindOf(codepoint)});
  }
  std::vector<Character> out;
  out.reserve(2 * text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    out.push_back(text[i]);
    if (i + 1 < text.size() && text[i].kind != Kind::kNumber &&
        text[i + 1].kind == Kind::kPunctuation) {
      out.insert(out.end(), {kSpace, text[++i], kSpace});
    }
  }
  text.swap(out);
  out.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 < text.size() && text[i].kind == Kind::kPunctuation &&
        text[i + 1].kind != Kind::kNumber) {
      out.insert(out.end(), {kSpace, text[i], kSpace, text[i + 1]});
      ++i;
    } else {
      out.push_back(text[i]);
    }
  }
  std::string tokens;
  tokens.reserve(2 * line.size());
  for (const Character& c : out) {
    if (c.kind == Kind::kSymbol) tokens.push_back(' ');
    AppendCodepoint(c.codepoint, tokens);
    if (c.kind == Kind::kSymbol) tokens.push_back(' ');
  }
  return JoinWords(tokens);
}

}  // namespace

absl::StatusOr<BleuTokenizer> ParseBleuTokenizer(std::string_view name) {
  for (const BleuTokenizer tokenizer :
       {BleuTokenizer::k13a, BleuTokenizer::kNone, BleuTokenizer::kChar, BleuTokenizer::kIntl}) {
    if (name == BleuTokenizerName(tokenizer)) return tokenizer;
  }
  return absl::InvalidArgumentError(
      fmt::format("BLEU tokenizer '{}' is not known: use 13a, none, char or intl", name));
}

std::string_view BleuTokenizerName(BleuTokenizer tokenizer) {
  switch (tokenizer) {
    case BleuTokenizer::k13a:
      return "13a";
    case BleuTokenizer::kNone:
      return "none";
    case BleuTokenizer::kChar:
      return "char";
    case BleuTokenizer::kIntl:
      return "intl";
  }
  return "unknown";
}

std::string TokenizeForBleu(std::string_view text, BleuTokenizer tokenizer) {
  switch (tokenizer) {
    case BleuTokenizer::k13a:
      return Tokenize13a(text);
    case BleuTokenizer::kNone:
      break;
    case BleuTokenizer::kChar:
      return TokenizeChar(text);
    case BleuTokenizer::kIntl:
      return TokenizeIntl(text);
  }
  return std::string(text);
}

}  // namespace mirage::metrics
