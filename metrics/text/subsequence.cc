#include "metrics/text/subsequence.h"

#include <algorithm>
#include <bit>

namespace mirage::metrics {
namespace {

constexpr size_t kWordBits = 64;

}  // namespace

// One pair, which works on the scratch's memory. Bit i of the word of a column is 0 where the table
// of LCS lengths rises from row i to row i + 1 of that column.
class SubsequenceComputation {
 public:
  SubsequenceComputation(std::span<const uint32_t> a, std::span<const uint32_t> b,
                         SubsequenceScratch& scratch)
      : a_(a), b_(b), scratch_(scratch), carry_words_((b.size() + kWordBits - 1) / kWordBits) {
    MakeSymbols();
  }

  size_t Length() {
    scratch_.carries_.assign(carry_words_, 0);
    size_t length = 0;
    for (size_t first_row = 0; first_row < a_.size(); first_row += kWordBits) {
      SetMasks(first_row);
      const uint64_t last = RunColumns(scratch_.carries_.data(), scratch_.carries_.data(),
                                       b_.size(), [](size_t, uint64_t) {});
      length += static_cast<size_t>(std::popcount(~last & RowsOfWord(first_row)));
      ClearMasks(first_row);
    }
    return length;
  }

  void Positions(std::vector<uint32_t>& positions) {
    positions.clear();
    if (a_.empty() || b_.empty()) return;
    const size_t words = (a_.size() + kWordBits - 1) / kWordBits;
    // The carries into each word of rows let the walk, which goes from the last one to the first,
    // compute that word's columns again.
    scratch_.carries_.assign(words * carry_words_, 0);
    uint64_t* const carries = scratch_.carries_.data();
    for (size_t word = 0; word + 1 < words; ++word) {
      SetMasks(word * kWordBits);
      RunColumns(carries + word * carry_words_, carries + (word + 1) * carry_words_, b_.size(),
                 [](size_t, uint64_t) {});
      ClearMasks(word * kWordBits);
    }
    if (scratch_.columns_.size() < b_.size()) scratch_.columns_.resize(b_.size());
    size_t i = a_.size();
    size_t j = b_.size();
    for (size_t word = words; word-- > 0 && j > 0;) {
      const size_t first_row = word * kWordBits;
      SetMasks(first_row);
      uint64_t* const in = carries + word * carry_words_;
      RunColumns(in, in, j,
                 [&](size_t column, uint64_t bits) { scratch_.columns_[column] = bits; });
      ClearMasks(first_row);
      while (i > first_row && j > 0) {
        if (a_[i - 1] == b_[j - 1]) {
          positions.push_back(static_cast<uint32_t>(--i));
          --j;
        } else if (((scratch_.columns_[j - 1] >> (i - 1 - first_row)) & 1) == 0) {
          --j;
        } else {
          --i;
        }
      }
    }
    std::reverse(positions.begin(), positions.end());
  }

 private:
  // The ids as places in a table of masks: themselves where they are small, else their rank among
  // those of `a`; what `a` lacks shares one symbol, whose mask stays empty.
  void MakeSymbols() {
    if (a_.empty() || b_.empty()) return;
    const uint32_t greatest =
        std::max(*std::max_element(a_.begin(), a_.end()), *std::max_element(b_.begin(), b_.end()));
    if (greatest < 1024 + 4 * (a_.size() + b_.size())) {
      if (scratch_.masks_.size() <= greatest) scratch_.masks_.resize(size_t{greatest} + 1, 0);
      return;
    }
    std::vector<uint32_t>& distinct = scratch_.distinct_;
    distinct.assign(a_.begin(), a_.end());
    std::sort(distinct.begin(), distinct.end());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    if (scratch_.masks_.size() <= distinct.size()) scratch_.masks_.resize(distinct.size() + 1, 0);
    const auto map = [&](std::span<const uint32_t> ids, std::vector<uint32_t>& symbols) {
      symbols.resize(ids.size());
      for (size_t i = 0; i < ids.size(); ++i) {
        const auto found = std::lower_bound(distinct.begin(), distinct.end(), ids[i]);
        const bool known = found != distinct.end() && *found == ids[i];
        symbols[i] = static_cast<uint32_t>(known ? found - distinct.begin()
                                                 : static_cast<ptrdiff_t>(distinct.size()));
      }
    };
    map(a_, scratch_.a_symbols_);
    map(b_, scratch_.b_symbols_);
    a_ = scratch_.a_symbols_;
    b_ = scratch_.b_symbols_;
  }

  size_t RowsFrom(size_t first_row) const { return std::min(kWordBits, a_.size() - first_row); }

  uint64_t RowsOfWord(size_t first_row) const {
    return ~uint64_t{0} >> (kWordBits - RowsFrom(first_row));
  }

  void SetMasks(size_t first_row) {
    for (size_t row = 0; row < RowsFrom(first_row); ++row) {
      scratch_.masks_[a_[first_row + row]] |= uint64_t{1} << row;
    }
  }

  void ClearMasks(size_t first_row) {
    for (size_t row = 0; row < RowsFrom(first_row); ++row) {
      scratch_.masks_[a_[first_row + row]] = 0;
    }
  }

  // Runs one word of rows through the first `columns` columns; `in` holds a carry a column and
  // `out`, which may be the same, takes those that leave. Returns the last column's word.
  template <typename Visit>
  uint64_t RunColumns(const uint64_t* in, uint64_t* out, size_t columns, const Visit& visit) {
    const uint64_t* const masks = scratch_.masks_.data();
    uint64_t bits = ~uint64_t{0};
    for (size_t begin = 0; begin < columns; begin += kWordBits) {
      const size_t end = std::min(columns, begin + kWordBits);
      uint64_t carries_in = in[begin / kWordBits];
      uint64_t carries_out = 0;
      for (size_t column = begin; column < end; ++column) {
        const uint64_t mask = masks[b_[column]];
        uint64_t sum = 0;
        const bool first = __builtin_add_overflow(bits, bits & mask, &sum);
        const bool second = __builtin_add_overflow(sum, carries_in & 1, &sum);
        carries_in >>= 1;
        carries_out |= static_cast<uint64_t>(first || second) << (column - begin);
        bits = sum | (bits & ~mask);
        visit(column, bits);
      }
      out[begin / kWordBits] = carries_out;
    }
    return bits;
  }

  std::span<const uint32_t> a_;
  std::span<const uint32_t> b_;
  SubsequenceScratch& scratch_;
  size_t carry_words_;
};

size_t CommonSubsequenceLength(std::span<const uint32_t> a, std::span<const uint32_t> b,
                               SubsequenceScratch& scratch) {
  // The shorter one is cut into words.
  if (a.size() > b.size()) std::swap(a, b);
  return SubsequenceComputation(a, b, scratch).Length();
}

void CommonSubsequencePositions(std::span<const uint32_t> a, std::span<const uint32_t> b,
                                SubsequenceScratch& scratch, std::vector<uint32_t>& positions) {
  SubsequenceComputation(a, b, scratch).Positions(positions);
}

}  // namespace mirage::metrics
