#include "metrics/text/units.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "fmt/format.h"
#include "simdjson.h"
#include "xxhash.h"

namespace mirage::metrics {
namespace {

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

bool IsAscii(std::string_view text) {
  constexpr uint64_t kHighBits = 0x8080808080808080u;
  uint64_t seen = 0;
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t eight;
    std::memcpy(&eight, text.data() + i, sizeof(eight));
    seen |= eight;
  }
  for (; i < text.size(); ++i) seen |= uint64_t{static_cast<unsigned char>(text[i])};
  return (seen & kHighBits) == 0;
}

// Bytes that do not continue a code point, eight at a time.
size_t CountLeads(std::string_view text) {
  size_t continuations = 0;
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t eight;
    std::memcpy(&eight, text.data() + i, sizeof(eight));
    continuations += std::popcount(eight & (~eight << 1) & 0x8080808080808080u);
  }
  for (; i < text.size(); ++i) continuations += IsContinuation(text[i]);
  return text.size() - continuations;
}

uint64_t Hash(std::string_view word) { return XXH3_64bits(word.data(), word.size()); }

}  // namespace

absl::StatusOr<TextUnit> ParseTextUnit(std::string_view name) {
  if (name == "codepoints" || name == "characters") return TextUnit::kCodepoints;
  if (name == "bytes") return TextUnit::kBytes;
  if (name == "words") return TextUnit::kWords;
  return absl::InvalidArgumentError(fmt::format(
      "text unit '{}' is not known: use codepoints, characters (the same), bytes or words", name));
}

std::string_view TextUnitName(TextUnit unit) {
  switch (unit) {
    case TextUnit::kCodepoints:
      return "codepoints";
    case TextUnit::kBytes:
      return "bytes";
    case TextUnit::kWords:
      return "words";
  }
  return "unknown";
}

uint32_t NextCodepoint(std::string_view text, size_t& position) {
  const auto byte = [&](size_t i) { return uint32_t{static_cast<unsigned char>(text[i])}; };
  const size_t start = position++;
  const uint32_t lead = byte(start);
  if (lead < 0x80) return lead;
  // How many bytes follow, and what the first of them may be.
  size_t more;
  uint32_t low = 0x80;
  uint32_t high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    more = 1;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    more = 2;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    more = 3;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return kInvalidByteBase + lead;
  }
  if (text.size() - start <= more || byte(start + 1) < low || byte(start + 1) > high) {
    return kInvalidByteBase + lead;
  }
  uint32_t codepoint = lead & (0x3Fu >> more);
  for (size_t i = 1; i <= more; ++i) {
    if (!IsContinuation(text[start + i])) return kInvalidByteBase + lead;
    codepoint = (codepoint << 6) | (byte(start + i) & 0x3F);
  }
  position = start + 1 + more;
  return codepoint;
}

size_t CountCodepoints(std::string_view text) {
  if (IsAscii(text)) return text.size();
  if (simdjson::validate_utf8(text.data(), text.size())) return CountLeads(text);
  size_t count = 0;
  for (size_t position = 0; position < text.size(); ++count) NextCodepoint(text, position);
  return count;
}

bool IsWhiteSpace(uint32_t codepoint) {
  if (codepoint < 0x80) return codepoint == ' ' || (codepoint >= 0x09 && codepoint <= 0x0D);
  switch (codepoint) {
    case 0x0085:
    case 0x00A0:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x202F:
    case 0x205F:
    case 0x3000:
      return true;
    default:
      return codepoint >= 0x2000 && codepoint <= 0x200A;
  }
}

uint32_t WordInterner::Intern(std::string_view word) {
  if (2 * (words_.size() + 1) > slots_.size()) Grow();
  const uint64_t hash = Hash(word);
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    Slot& slot = slots_[at];
    if (slot.entry == 0) {
      words_.push_back({hash, bytes_.size(), word.size()});
      bytes_.append(word);
      slot = {hash, static_cast<uint32_t>(words_.size())};
      return slot.entry - 1;
    }
    if (slot.hash != hash) continue;
    const Word& known = words_[slot.entry - 1];
    if (std::string_view(bytes_).substr(known.offset, known.length) == word) return slot.entry - 1;
  }
}

void WordInterner::Clear() {
  // After an unusually long text, clearing all places would cost each short one that follows.
  if (slots_.size() > 4096 && words_.size() < slots_.size() / 16) {
    slots_.assign(slots_.size() / 2, Slot{});
  } else {
    slots_.assign(slots_.size(), Slot{});
  }
  words_.clear();
  bytes_.clear();
}

void WordInterner::Grow() {
  const size_t size = slots_.empty() ? 64 : 2 * slots_.size();
  slots_.assign(size, Slot{});
  for (size_t i = 0; i < words_.size(); ++i) {
    size_t at = words_[i].hash & (size - 1);
    while (slots_[at].entry != 0) at = (at + 1) & (size - 1);
    slots_[at] = {words_[i].hash, static_cast<uint32_t>(i + 1)};
  }
}

void SplitUnits(std::string_view text, TextUnit unit, WordInterner& words,
                std::vector<uint32_t>& ids) {
  ids.clear();
  switch (unit) {
    case TextUnit::kBytes:
      ids.resize(text.size());
      std::transform(text.begin(), text.end(), ids.begin(),
                     [](char c) { return static_cast<unsigned char>(c); });
      return;
    case TextUnit::kCodepoints: {
      // No more than bytes, and mostly as many.
      ids.resize(text.size());
      uint32_t* end = ids.data();
      for (size_t position = 0; position < text.size();) {
        const auto byte = static_cast<unsigned char>(text[position]);
        if (byte < 0x80) {
          *end++ = byte;
          ++position;
        } else {
          *end++ = NextCodepoint(text, position);
        }
      }
      ids.resize(static_cast<size_t>(end - ids.data()));
      return;
    }
    case TextUnit::kWords:
      for (size_t position = 0; position < text.size();) {
        const size_t start = position;
        if (IsWhiteSpace(NextCodepoint(text, position))) continue;
        size_t end = position;
        while (position < text.size()) {
          end = position;
          if (IsWhiteSpace(NextCodepoint(text, position))) break;
          end = position;
        }
        ids.push_back(words.Intern(text.substr(start, end - start)));
      }
      return;
  }
}

}  // namespace mirage::metrics
