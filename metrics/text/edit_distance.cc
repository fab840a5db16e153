#include "metrics/text/edit_distance.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace mirage::metrics {
namespace {

constexpr size_t kWordBits = 64;
constexpr size_t kMaxBlocks = 8;
constexpr size_t kMaxStripeRows = kMaxBlocks * kWordBits;
// Below this many rows the whole matrix is cheaper than finding a band.
constexpr size_t kBandingRows = 1024;
constexpr size_t kFirstBand = 128;

// Fibonacci hashing: a run of consecutive ids, as code points are, falls on distinct places.
inline uint32_t HashId(uint32_t id, unsigned shift) { return (id * 0x9E3779B1u) >> shift; }

// Where `tag` is in an open-addressing table, or the free place where it would be. A place is taken
// by another id iff the tags agree in the epoch and differ in the id; whether it is free or the
// right one is left to the caller, since that branch would be a coin toss.
template <typename Slot>
inline Slot* Find(Slot* slots, uint64_t tag, uint32_t mask, unsigned shift) {
  uint32_t at = HashId(static_cast<uint32_t>(tag), shift);
  while ((slots[at].tag ^ tag) - 1 < 0xffffffffu) at = (at + 1) & mask;
  return slots + at;
}

// All ones or zero: a selection that no compiler turns into a branch.
inline uint64_t MaskIf(bool condition) { return ~(uint64_t{condition} - 1); }

// Makes room for `size` values; what was there may go.
template <typename T>
inline T* Room(std::vector<T>& values, size_t size) {
  if (values.size() < size) values.resize(std::max(size, values.size() * 2));
  return values.data();
}

inline int64_t SumOfDifferences(const uint8_t* begin, const uint8_t* end) {
  int64_t sum = end - begin;
  for (; end - begin >= 8; begin += 8) {
    uint64_t eight;
    std::memcpy(&eight, begin, sizeof(eight));
    sum -= std::popcount(eight);
  }
  for (; begin != end; ++begin) sum -= std::popcount(*begin);
  return sum;
}

// Differences between neighbouring columns of a row, one byte each: 0 for +1, kNotUp for 0, both
// bits for -1. So their sum is the number of columns less the number of bits.
constexpr uint8_t kNotUp = 1;

using Vector2 = uint64_t __attribute__((vector_size(16)));
using Vector4 = uint64_t __attribute__((vector_size(32)));

// Lane l of the vector loaded from kActiveLanes + 7 - t is all ones iff l <= t.
alignas(64) constexpr uint64_t kActiveLanes[2 * kMaxBlocks] = {~uint64_t{0},
                                                               ~uint64_t{0},
                                                               ~uint64_t{0},
                                                               ~uint64_t{0},
                                                               ~uint64_t{0},
                                                               ~uint64_t{0},
                                                               ~uint64_t{0},
                                                               ~uint64_t{0},
                                                               0,
                                                               0,
                                                               0,
                                                               0,
                                                               0,
                                                               0,
                                                               0,
                                                               0};

struct Stripe {
  // Where the row of each column begins in `masks`; kMaxBlocks zeros before the first and after the
  // last.
  const uint32_t* rows;
  // A row has a word for each block.
  const uint64_t* masks;
  // Horizontal differences above the stripe, replaced by those below it. Bytes just before the
  // first column are overwritten; as many after the last one are read.
  uint8_t* horizontal;
  size_t columns;
  // Rows at the top of the stripe which are not there: differences pass through them unchanged.
  size_t padding;
};

// Vertical differences of word `block` before the first column: +1 in each row that is there.
inline uint64_t StartingColumn(size_t padding, size_t block) {
  const size_t above = block * kWordBits;
  if (padding <= above) return ~uint64_t{0};
  if (padding >= above + kWordBits) return 0;
  return ~uint64_t{0} << (padding - above);
}

namespace baseline {
#define STRIPE_TARGET __attribute__((always_inline))
#include "metrics/text/edit_distance_stripe.inc"
#undef STRIPE_TARGET
}  // namespace baseline

void RunStripeBaseline(const Stripe& stripe, size_t blocks) {
  switch (blocks) {
    case 2:
      return baseline::RunStripe<Vector2, 1>(stripe);
    case 4:
      return baseline::RunStripe<Vector2, 2>(stripe);
    default:
      return baseline::RunStripe<Vector2, 4>(stripe);
  }
}

#if defined(__x86_64__)
namespace avx2 {
#define STRIPE_TARGET __attribute__((target("avx2"), always_inline))
#include "metrics/text/edit_distance_stripe.inc"
#undef STRIPE_TARGET
}  // namespace avx2

__attribute__((target("avx2"))) void RunStripeAvx2(const Stripe& stripe, size_t blocks) {
  switch (blocks) {
    case 2:
      return avx2::RunStripe<Vector2, 1>(stripe);
    case 4:
      return avx2::RunStripe<Vector4, 1>(stripe);
    default:
      return avx2::RunStripe<Vector4, 2>(stripe);
  }
}

bool HasAvx2() { return __builtin_cpu_supports("avx2"); }
#else
void RunStripeAvx2(const Stripe& stripe, size_t blocks) { RunStripeBaseline(stripe, blocks); }
bool HasAvx2() { return false; }
#endif

}  // namespace

// The distance of two sequences without a common prefix or suffix, `pattern` the shorter.
class EditDistanceComputation {
 public:
  EditDistanceComputation(std::span<const uint32_t> pattern, std::span<const uint32_t> text,
                          EditDistanceScratch& scratch)
      : pattern_(pattern), text_(text), s_(scratch) {}

  size_t OneWord() {
    uint32_t all_bits = 0;
    for (const uint32_t id : pattern_) all_bits |= id;
    return all_bits < kSmallIds ? OneWordOfSmallIds() : OneWordOfAnyIds();
  }

  size_t Striped() {
    const size_t m = pattern_.size();
    const size_t n = text_.size();
    if (m <= kMaxStripeRows) return OneStripe();
    MapSymbols(1);
    if (m <= kBandingRows) return Pass(n);
    // What a pass finds is the cost of an edit script, so never below the distance, and it is the
    // distance when it is not beyond the band.
    size_t band = std::max(kFirstBand + (n - m), LowerBound());
    while (true) {
      if (band >= n) return Pass(n);
      const size_t found = Pass(band);
      if (found <= band) return found;
      band = found <= 4 * band ? found : 4 * band;
    }
  }

 private:
  static constexpr size_t kSmallIds = EditDistanceScratch::kSmallIds;

  // `match_of(id)` has a bit for each position of the pattern with this id.
  template <typename MatchOf>
  size_t RunOneWord(const MatchOf& match_of) const {
    const uint64_t last = uint64_t{1} << (pattern_.size() - 1);
    uint64_t vp = ~uint64_t{0};
    uint64_t vn = 0;
    size_t distance = pattern_.size();
    for (const uint32_t id : text_) {
      const uint64_t match = match_of(id);
      // The formulas of the wavefront, in the order that is the shortest chain from vp to vp.
      const uint64_t z = match | vn;
      const uint64_t sum = (match & vp) + vp;
      const uint64_t d0 = (sum ^ vp) | z;
      const uint64_t not_d0 = (sum ^ ~vp) & ~z;
      const uint64_t not_hp = ~vn & (d0 | vp);
      const uint64_t hn = d0 & vp;
      distance += (not_hp & last) == 0;
      distance -= (hn & last) != 0;
      const uint64_t not_hp_in = not_hp << 1;
      vp = (hn << 1) | (not_d0 & not_hp_in);
      vn = ~not_hp_in & d0;
    }
    return distance;
  }

  size_t OneWordOfSmallIds() {
    uint64_t* const masks = s_.small_id_masks_.data();
    uint64_t bit = 1;
    for (const uint32_t id : pattern_) {
      masks[id] |= bit;
      bit <<= 1;
    }
    // The mask behind the last is that of all greater ids.
    const size_t distance = RunOneWord(
        [masks](uint32_t id) { return masks[std::min(id, static_cast<uint32_t>(kSmallIds))]; });
    for (const uint32_t id : pattern_) masks[id] = 0;
    return distance;
  }

  size_t OneWordOfAnyIds() {
    using Slot = EditDistanceScratch::Slot;
    constexpr uint32_t kMask = EditDistanceScratch::kWordSlots - 1;
    constexpr unsigned kShift = 32 - std::bit_width(kMask);
    if (++s_.word_epoch_ == 0) {
      s_.word_slots_.fill(Slot{});
      s_.word_epoch_ = 1;
    }
    const uint64_t epoch = uint64_t{s_.word_epoch_} << 32;
    Slot* const slots = s_.word_slots_.data();
    uint64_t bit = 1;
    for (const uint32_t id : pattern_) {
      Slot* const slot = Find(slots, epoch | id, kMask, kShift);
      slot->value = (slot->value & MaskIf(slot->tag == (epoch | id))) | bit;
      slot->tag = epoch | id;
      bit <<= 1;
    }
    return RunOneWord([slots, epoch](uint32_t id) {
      const Slot* const slot = Find(slots, epoch | id, kMask, kShift);
      return slot->value & MaskIf(slot->tag == (epoch | id));
    });
  }

  // Numbers the ids by first appearance in the pattern as stride, 2 stride, ...; 0 is for those ids
  // of the text that the pattern lacks.
  void MapSymbols(uint32_t stride) {
    using Slot = EditDistanceScratch::Slot;
    const size_t capacity = std::bit_ceil(pattern_.size()) * (pattern_.size() <= 1024 ? 8 : 2);
    if (s_.symbol_slots_.size() < capacity) {
      s_.symbol_slots_.assign(capacity, Slot{});
      s_.symbol_epoch_ = 0;
    }
    if (++s_.symbol_epoch_ == 0) {
      std::fill(s_.symbol_slots_.begin(), s_.symbol_slots_.end(), Slot{});
      s_.symbol_epoch_ = 1;
    }
    const uint64_t epoch = uint64_t{s_.symbol_epoch_} << 32;
    const uint32_t mask = static_cast<uint32_t>(capacity - 1);
    const unsigned shift = 32 - std::bit_width(mask);
    Slot* const slots = s_.symbol_slots_.data();
    uint32_t* const small = s_.small_id_symbols_.data();
    std::fill_n(small, kSmallIds, 0);
    uint32_t* const pattern_symbols = Room(s_.pattern_symbols_, pattern_.size());
    uint32_t symbols = 0;
    for (size_t i = 0; i < pattern_.size(); ++i) {
      const uint32_t id = pattern_[i];
      if (id < kSmallIds) {
        if (small[id] == 0) small[id] = symbols += stride;
        pattern_symbols[i] = small[id];
        continue;
      }
      Slot* const slot = Find(slots, epoch | id, mask, shift);
      const uint64_t known = MaskIf(slot->tag == (epoch | id));
      symbols += static_cast<uint32_t>(stride & ~known);
      const uint64_t symbol = (slot->value & known) | (symbols & ~known);
      *slot = Slot{epoch | id, symbol};
      pattern_symbols[i] = static_cast<uint32_t>(symbol);
    }
    symbols_ = symbols / stride;
    uint32_t* const text_symbols =
        Room(s_.text_symbols_, text_.size() + 2 * kMaxBlocks) + kMaxBlocks;
    for (size_t j = 0; j < text_.size(); ++j) {
      const uint32_t id = text_[j];
      if (id < kSmallIds) {
        text_symbols[j] = small[id];
        continue;
      }
      const Slot* const slot = Find(slots, epoch | id, mask, shift);
      text_symbols[j] = static_cast<uint32_t>(slot->value & MaskIf(slot->tag == (epoch | id)));
    }
    std::fill_n(text_symbols - kMaxBlocks, kMaxBlocks, 0);
    std::fill_n(text_symbols + text_.size(), kMaxBlocks, 0);
  }

  // No edit script is shorter than the ids of the longer sequence that have no partner in the
  // other.
  size_t LowerBound() {
    std::vector<uint32_t>& counts = s_.symbol_counts_;
    counts.assign(symbols_ + 1, 0);
    for (size_t i = 0; i < pattern_.size(); ++i) ++counts[s_.pattern_symbols_[i]];
    const uint32_t* const text_symbols = s_.text_symbols_.data() + kMaxBlocks;
    counts[0] = 0;
    size_t unpaired = 0;
    for (size_t j = 0; j < text_.size(); ++j) {
      uint32_t& left = counts[text_symbols[j]];
      unpaired += left == 0;
      left -= left != 0;
    }
    return unpaired;
  }

  static size_t BlocksFor(size_t rows) {
    return rows <= 2 * kWordBits ? 2 : rows <= 4 * kWordBits ? 4 : kMaxBlocks;
  }

  void Run(const Stripe& stripe, size_t blocks) {
    if (s_.use_avx2_) {
      RunStripeAvx2(stripe, blocks);
    } else {
      RunStripeBaseline(stripe, blocks);
    }
  }

  // Differences between neighbouring columns, all +1, as they are above the first row.
  uint8_t* TopDifferences() {
    const size_t size = text_.size() + 2 * kMaxBlocks;
    uint8_t* const horizontal = Room(s_.horizontal_, size);
    std::memset(horizontal, 0, size);
    return horizontal + kMaxBlocks;
  }

  // A mask row for each symbol.
  size_t OneStripe() {
    const size_t m = pattern_.size();
    const size_t n = text_.size();
    const size_t blocks = BlocksFor(m);
    const size_t padding = blocks * kWordBits - m;
    MapSymbols(static_cast<uint32_t>(blocks));
    uint64_t* const masks = Room(s_.match_masks_, (symbols_ + 1) * blocks);
    std::fill_n(masks, (symbols_ + 1) * blocks, 0);
    const uint32_t* const symbols = s_.pattern_symbols_.data();
    for (size_t i = 0; i < m; ++i) {
      const size_t bit = i + padding;
      masks[symbols[i] + bit / kWordBits] |= uint64_t{1} << (bit % kWordBits);
    }
    uint8_t* const horizontal = TopDifferences();
    Run({s_.text_symbols_.data() + kMaxBlocks, masks, horizontal, n, padding}, blocks);
    return static_cast<size_t>(static_cast<int64_t>(m) +
                               SumOfDifferences(horizontal, horizontal + n));
  }

  // The cheapest script within the diagonals that a script of cost <= band can touch.
  size_t Pass(size_t band) {
    const size_t m = pattern_.size();
    const size_t n = text_.size();
    const size_t right = std::min(n, (band + (n - m)) / 2);
    const size_t left = band <= n - m ? 0 : (band - (n - m)) / 2;
    uint8_t* const horizontal = TopDifferences();
    uint32_t* const column_rows = Room(s_.column_rows_, n + 2 * kMaxBlocks) + kMaxBlocks;
    std::fill_n(column_rows - kMaxBlocks, kMaxBlocks, 0);
    const uint32_t* const text_symbols = s_.text_symbols_.data() + kMaxBlocks;
    s_.symbol_rows_.assign(symbols_ + 1, 0);

    const size_t first_rows = (m - 1) % kMaxStripeRows + 1;
    int64_t corner = 0;
    size_t begin = 0;
    for (size_t top = 0; top < m;) {
      const size_t rows = top == 0 ? first_rows : kMaxStripeRows;
      const size_t bottom = top + rows;
      const size_t blocks = BlocksFor(rows);
      const size_t end = std::min(n, bottom + right);

      // Only the first stripe is padded, where all differences above are +1.
      const size_t padding = blocks * kWordBits - rows;
      FillMasks(top, rows, blocks, padding);
      const uint32_t* const symbol_rows = s_.symbol_rows_.data();
      const size_t columns = end - begin;
      for (size_t j = 0; j < columns; ++j) column_rows[j] = symbol_rows[text_symbols[begin + j]];
      std::fill_n(column_rows + columns, kMaxBlocks, 0);
      Run({column_rows, s_.match_masks_.data(), horizontal + begin, columns, padding}, blocks);
      const uint32_t* const symbols = s_.pattern_symbols_.data() + top;
      for (size_t i = 0; i < rows; ++i) s_.symbol_rows_[symbols[i]] = 0;

      const size_t next = bottom == m ? n : bottom > left ? std::max(begin, bottom - left) : begin;
      corner +=
          static_cast<int64_t>(rows) + SumOfDifferences(horizontal + begin, horizontal + next);
      begin = next;
      top = bottom;
    }
    return static_cast<size_t>(corner);
  }

  // Rows of match masks for the symbols of one stripe; row 0 is that of all others.
  void FillMasks(size_t top, size_t rows, size_t blocks, size_t padding) {
    uint64_t* const masks = Room(s_.match_masks_, (kMaxStripeRows + 1) * kMaxBlocks);
    uint32_t* const symbol_rows = s_.symbol_rows_.data();
    const uint32_t* const symbols = s_.pattern_symbols_.data() + top;
    std::fill_n(masks, blocks, 0);
    uint32_t last = 0;
    for (size_t i = 0; i < rows; ++i) {
      uint32_t& row = symbol_rows[symbols[i]];
      if (row == 0) {
        row = last += static_cast<uint32_t>(blocks);
        std::fill_n(masks + row, blocks, 0);
      }
      const size_t bit = i + padding;
      masks[row + bit / kWordBits] |= uint64_t{1} << (bit % kWordBits);
    }
  }

  std::span<const uint32_t> pattern_;
  std::span<const uint32_t> text_;
  EditDistanceScratch& s_;
  uint32_t symbols_ = 0;
};

EditDistanceScratch::EditDistanceScratch() : EditDistanceScratch(Path::kAuto) {}

EditDistanceScratch::EditDistanceScratch(Path path)
    : use_avx2_(path != Path::kBaseline && HasAvx2()) {}

size_t EditDistance(std::span<const uint32_t> a, std::span<const uint32_t> b,
                    EditDistanceScratch& scratch) {
  if (a.size() > b.size()) std::swap(a, b);
  size_t prefix = 0;
  while (prefix < a.size() && a[prefix] == b[prefix]) ++prefix;
  a = a.subspan(prefix);
  b = b.subspan(prefix);
  size_t suffix = 0;
  while (suffix < a.size() && a[a.size() - 1 - suffix] == b[b.size() - 1 - suffix]) ++suffix;
  a = a.first(a.size() - suffix);
  b = b.first(b.size() - suffix);
  if (a.empty()) return b.size();
  EditDistanceComputation computation(a, b, scratch);
  return a.size() <= kWordBits ? computation.OneWord() : computation.Striped();
}

}  // namespace mirage::metrics
