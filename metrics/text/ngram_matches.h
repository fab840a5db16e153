// How many n-grams two sequences of ids have in common, as BLEU, chrF and ROUGE-N count them.
//
//   NgramScratch scratch;  // one per thread, kept for many samples
//   std::array<uint64_t, 4> matches;
//   CountNgramMatches(candidate_ids, references, scratch, matches);
//
// The clipped matches of order n are the sum, over the different n-grams g of the candidate, of
// min(count of g in the candidate, greatest count of g in any one reference). Source: Papineni et
// al., "BLEU: a method for automatic evaluation of machine translation" (ACL 2002), section 2.1.
// n-grams are compared exactly, never by a hash alone.
//
// Input: spans of any length below 2^32, over any uint32 ids; there may be no references, or empty
// ones. There are no errors.
//
// Method: an n-gram is looked up by the id of its first n - 1 elements and its last element, order
// by order, and only where those n - 1 elements did match. Texts that differ are done early.
//
// Complexity: O(orders * (candidate + references)) expected; ids chosen by an adversary can degrade
// the hash table. Memory: about 100 bytes an id, kept by the scratch.
#ifndef MIRAGE_METRICS_TEXT_NGRAM_MATCHES_H_
#define MIRAGE_METRICS_TEXT_NGRAM_MATCHES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mirage::metrics {

// The working memory of CountNgramMatches; nothing of a call matters to the next one. Not for two
// threads at once.
class NgramScratch {
 private:
  friend class NgramMatching;

  // A place in a text where an n-gram begins that matched so far, and that n-gram's id.
  struct Start {
    uint32_t position;
    uint32_t ngram;
  };
  // One place of an open-addressing table, in use iff `epoch` is the table's current one.
  struct Slot {
    uint64_t key = 0;
    uint32_t epoch = 0;
    uint32_t ngram = 0;
  };
  struct Counts {
    uint64_t candidate = 0;
    uint64_t reference = 0;
    uint64_t greatest = 0;
  };

  std::vector<Start> candidate_;
  std::vector<std::vector<Start>> references_;
  std::vector<Counts> counts_;
  std::vector<Slot> slots_;
  uint32_t epoch_ = 0;
};

// The number of n-grams of order `order` >= 1 in a text of `length` units.
constexpr uint64_t NgramCount(uint64_t length, uint64_t order) {
  return length < order ? 0 : length - order + 1;
}

// Sets matches[n - 1] to the clipped matches of order n, for n = 1 .. matches.size().
void CountNgramMatches(std::span<const uint32_t> candidate,
                       std::span<const std::span<const uint32_t>> references, NgramScratch& scratch,
                       std::span<uint64_t> matches);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_TEXT_NGRAM_MATCHES_H_
