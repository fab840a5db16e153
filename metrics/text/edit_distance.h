// Levenshtein distance between two sequences of ids, in bit-parallel form.
//
//   EditDistanceScratch scratch;                     // one per thread, kept for many pairs
//   size_t d = EditDistance(output_ids, target_ids, scratch);
//
// The distance is the least number of substitutions, insertions and deletions, each of cost 1, that
// turns one sequence into the other; as a token edit distance it is the metric of Schaeffer et al.,
// "Are Emergent Abilities of Large Language Models a Mirage?" (arXiv 2304.15004, section 3).
//
// Input: any two spans, of any length, over any uint32 ids (code points, bytes, interned words, a
// tokenizer's ids; 0 and 0xffffffff are ids like all others).
// Range: |len(a) - len(b)| <= d <= max(len(a), len(b)); 0 iff the sequences are equal. It is a
// metric: symmetric, and d(a, c) <= d(a, b) + d(b, c). Edge cases: an empty sequence is at the
// other one's length. There are no errors.
//
// Method: the common prefix and suffix are removed. When the shorter rest has at most 64 ids, the
// automaton of Myers (J. ACM 46, 1999) in Hyyrö's form (2003) runs in one machine word. Longer ones
// run in stripes of up to eight words that advance as a wavefront, word k one column behind word
// k - 1, so that the words of a stripe are independent of each other and fill the lanes of a
// vector; AVX2 is used where the processor has it. The arithmetic is on integers: every path gives
// the same answer. Beyond 1024 ids the matrix is cut to Ukkonen's band (Inform. and Control 64,
// 1985), whose half-width k grows until the distance found is <= k, which proves it.
//
// Complexity, with m <= n the lengths after removal, D the distance: O(n + m) expected for the
// tables (open addressing: ids chosen by an adversary can degrade this) and O(n ceil(m / 64)) word
// operations, or O((D + 512) m / 64) when banded. Memory: O(n + m), kept by the scratch.
#ifndef MIRAGE_METRICS_TEXT_EDIT_DISTANCE_H_
#define MIRAGE_METRICS_TEXT_EDIT_DISTANCE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mirage::metrics {

// The working memory of EditDistance. It grows to the largest pair seen and holds nothing of a pair
// that matters to the next one. Not for two threads at once.
class EditDistanceScratch {
 public:
  EditDistanceScratch();

  // Which instructions long pairs run on. kAuto picks the best the processor has; the others are
  // for tests and benchmarks, and kAvx2 falls back to kBaseline where it is missing.
  enum class Path { kAuto, kBaseline, kAvx2 };
  explicit EditDistanceScratch(Path path);

 private:
  friend class EditDistanceComputation;

  // One place of an open-addressing table. It is in use iff the upper half of `tag` is the table's
  // current epoch, so that a table is emptied by counting the epoch up.
  struct Slot {
    uint64_t tag = 0;
    uint64_t value = 0;
  };

  static constexpr size_t kWordSlots = 512;

  // Ids below this one, bytes and most characters, have tables of their own.
  static constexpr size_t kSmallIds = 256;

  bool use_avx2_;
  std::array<uint64_t, kSmallIds + 1> small_id_masks_{};
  uint32_t word_epoch_ = 0;
  std::array<Slot, kWordSlots> word_slots_{};

  std::array<uint32_t, kSmallIds> small_id_symbols_{};
  uint32_t symbol_epoch_ = 0;
  std::vector<Slot> symbol_slots_;
  std::vector<uint32_t> pattern_symbols_;
  std::vector<uint32_t> text_symbols_;
  std::vector<uint32_t> symbol_rows_;
  std::vector<uint32_t> symbol_counts_;
  std::vector<uint32_t> column_rows_;
  std::vector<uint64_t> match_masks_;
  std::vector<uint8_t> horizontal_;
};

// The edit distance of `a` and `b`. Allocates only when the pair is larger than all before it.
size_t EditDistance(std::span<const uint32_t> a, std::span<const uint32_t> b,
                    EditDistanceScratch& scratch);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_TEXT_EDIT_DISTANCE_H_
