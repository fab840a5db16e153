// The longest common subsequence (LCS) of two sequences of ids, in bit-parallel form.
//
// Length: 64 rows of the dynamic program advance in one machine word: M. Crochemore et al., "A fast
// and practical bit-vector algorithm for the longest common subsequence problem" (Inform. Process.
// Lett. 80, 2001), in the form of H. Hyyrö, "Bit-parallel LCS-length computation revisited" (AWOCA
// 2004), one word of rows after the other with the carries kept a column.
//
// Positions: among the longest common subsequences the one that rouge_score's walk through its
// table finds, from the end of both: where the elements are equal it takes them; else it goes back
// in `b` if that does not lose an element while going back in `a` would, and in `a` otherwise.
//
// Input: any spans, of any length below 2^32, over any uint32 ids. An empty one has an empty LCS.
// Range of the length: [0, min(m, n)], m and n the lengths; symmetric. There are no errors.
//
// Complexity: O(m n / 64) word operations, twice that for positions; O(m log m) in addition where
// ids are much larger than m + n. Memory: O(m + n), for positions m n / 512 bytes in addition; kept
// by the scratch. The longer one should be `b`.
#ifndef MIRAGE_METRICS_TEXT_SUBSEQUENCE_H_
#define MIRAGE_METRICS_TEXT_SUBSEQUENCE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mirage::metrics {

// The working memory; nothing of a pair matters to the next one. Not for two threads at once.
class SubsequenceScratch {
 private:
  friend class SubsequenceComputation;

  std::vector<uint32_t> distinct_;
  std::vector<uint32_t> a_symbols_;
  std::vector<uint32_t> b_symbols_;
  std::vector<uint64_t> masks_;
  std::vector<uint64_t> carries_;
  std::vector<uint64_t> columns_;
};

// The length of the longest common subsequence of `a` and `b`.
size_t CommonSubsequenceLength(std::span<const uint32_t> a, std::span<const uint32_t> b,
                               SubsequenceScratch& scratch);

// Replaces `positions` by the ascending positions in `a` of the subsequence described above; there
// are CommonSubsequenceLength(a, b) of them.
void CommonSubsequencePositions(std::span<const uint32_t> a, std::span<const uint32_t> b,
                                SubsequenceScratch& scratch, std::vector<uint32_t>& positions);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_TEXT_SUBSEQUENCE_H_
