#include "metrics/text/ngram_matches.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace mirage::metrics {

// One call, which works on the scratch's memory.
class NgramMatching {
 public:
  NgramMatching(std::span<const uint32_t> candidate,
                std::span<const std::span<const uint32_t>> references, NgramScratch& scratch)
      : candidate_(candidate), references_(references), scratch_(scratch) {
    Start(candidate, scratch_.candidate_);
    if (scratch_.references_.size() < references.size()) {
      scratch_.references_.resize(references.size());
    }
    for (size_t r = 0; r < references.size(); ++r) Start(references[r], scratch_.references_[r]);
  }

  // The matches of `order`; those of the orders below must have been counted before.
  uint64_t Count(size_t order) {
    Open(scratch_.candidate_.size());
    scratch_.counts_.clear();
    Advance(candidate_, order, scratch_.candidate_, [&](uint64_t key, uint32_t& ngram) {
      ngram = FindOrInsert(key);
      ++scratch_.counts_[ngram].candidate;
      return true;
    });
    for (size_t r = 0; r < references_.size(); ++r) {
      Advance(references_[r], order, scratch_.references_[r], [&](uint64_t key, uint32_t& ngram) {
        if (!Find(key, ngram)) return false;
        ++scratch_.counts_[ngram].reference;
        return true;
      });
      for (NgramScratch::Counts& counts : scratch_.counts_) {
        counts.greatest = std::max(counts.greatest, counts.reference);
        counts.reference = 0;
      }
    }
    uint64_t matches = 0;
    for (const NgramScratch::Counts& counts : scratch_.counts_) {
      matches += std::min(counts.candidate, counts.greatest);
    }
    // What no reference has cannot be the beginning of what one has.
    std::erase_if(scratch_.candidate_, [&](const NgramScratch::Start& start) {
      return scratch_.counts_[start.ngram].greatest == 0;
    });
    return matches;
  }

 private:
  static void Start(std::span<const uint32_t> text, std::vector<NgramScratch::Start>& starts) {
    starts.resize(text.size());
    for (size_t i = 0; i < text.size(); ++i) starts[i] = {static_cast<uint32_t>(i), 0};
  }

  // Lengthens the n-grams that begin at `starts` to `order` and keeps those for which `visit` says
  // so.
  template <typename Visit>
  static void Advance(std::span<const uint32_t> text, size_t order,
                      std::vector<NgramScratch::Start>& starts, const Visit& visit) {
    size_t kept = 0;
    for (NgramScratch::Start start : starts) {
      const size_t last = start.position + order - 1;
      if (last >= text.size()) break;
      const uint64_t key = (uint64_t{start.ngram} << 32) | text[last];
      if (visit(key, start.ngram)) starts[kept++] = start;
    }
    starts.resize(kept);
  }

  // Empties the table and makes room for `size` n-grams.
  void Open(size_t size) {
    const size_t slots = std::bit_ceil(2 * size + 2);
    if (scratch_.slots_.size() < slots) scratch_.slots_.resize(slots);
    mask_ = slots - 1;
    if (scratch_.epoch_ == std::numeric_limits<uint32_t>::max()) {
      std::fill(scratch_.slots_.begin(), scratch_.slots_.end(), NgramScratch::Slot{});
      scratch_.epoch_ = 0;
    }
    ++scratch_.epoch_;
  }

  // The place of the key, or the free one where it belongs.
  NgramScratch::Slot& Place(uint64_t key) {
    uint64_t hash = (key ^ (key >> 32)) * 0x9E3779B97F4A7C15u;
    hash = (hash ^ (hash >> 29)) * 0xBF58476D1CE4E5B9u;
    size_t at = (hash ^ (hash >> 32)) & mask_;
    while (true) {
      NgramScratch::Slot& slot = scratch_.slots_[at];
      if (slot.epoch != scratch_.epoch_ || slot.key == key) return slot;
      at = (at + 1) & mask_;
    }
  }

  uint32_t FindOrInsert(uint64_t key) {
    NgramScratch::Slot& slot = Place(key);
    if (slot.epoch != scratch_.epoch_) {
      slot = {key, scratch_.epoch_, static_cast<uint32_t>(scratch_.counts_.size())};
      scratch_.counts_.push_back({});
    }
    return slot.ngram;
  }

  bool Find(uint64_t key, uint32_t& ngram) {
    const NgramScratch::Slot& slot = Place(key);
    if (slot.epoch != scratch_.epoch_) return false;
    ngram = slot.ngram;
    return true;
  }

  std::span<const uint32_t> candidate_;
  std::span<const std::span<const uint32_t>> references_;
  NgramScratch& scratch_;
  size_t mask_ = 0;
};

void CountNgramMatches(std::span<const uint32_t> candidate,
                       std::span<const std::span<const uint32_t>> references, NgramScratch& scratch,
                       std::span<uint64_t> matches) {
  NgramMatching matching(candidate, references, scratch);
  std::fill(matches.begin(), matches.end(), 0);
  for (size_t i = 0; i < matches.size(); ++i) {
    matches[i] = matching.Count(i + 1);
    if (matches[i] == 0) return;
  }
}

}  // namespace mirage::metrics
