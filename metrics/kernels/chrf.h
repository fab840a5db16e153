// chrF and chrF++ of a corpus, of a shard of one, or of a single sample, as sacrebleu defines them.
//
//   ChrfScratch scratch;  // one per thread, kept for many samples
//   ChrfStatistics corpus = *ChrfStatistics::Create({.word_order = 2});  // chrF++
//   corpus.Add(hypothesis, references, scratch);  // a Status; once a sample
//   double chrf = corpus.Score();
//
// Counted are n-grams of characters of orders 1..char_order, white space left out, and n-grams of
// words of orders 1..word_order. For each order, with h and r the numbers of n-grams of hypothesis
// and reference and m their clipped matches (ngram_matches.h), summed over the samples:
//   P = m / h, R = m / r, both averaged over the orders that hypothesis and reference have;
//   chrF = 100 (1 + beta^2) P R / (beta^2 P + R), in [0, 100]. Higher is better.
// With eps_smoothing it is instead the mean over all orders of each order's own F, with 1e-16 for
// what is undefined. Of a sample's references the one with the highest score counts, the first of
// those that tie.
// Sources: Popović, "chrF: character n-gram F-score for automatic MT evaluation" (WMT 2015), and
// "chrF++: words helping character n-grams" (WMT 2017). Everything else, and every edge case, is
// that of sacrebleu 2.6 (sacrebleu/metrics/chrf.py), with which the scores agree. Words are
// separated at white space; a word of several characters loses one ASCII punctuation mark at its
// end, or else one at its beginning, which is a word of its own.
//
// Who computes what: lm-evaluation-harness's metric "chrf" is ChrfStatistics over all documents
// with the defaults: chrF, although its description says chrF++. HELM has none.
//
// Edge cases:
// - No samples: NaN. (sacrebleu fails.)
// - Nothing in common, or an empty hypothesis or reference: 0; with eps_smoothing 1e-14 at most.
// - A reference that is too short for an order takes the hypothesis's n-grams of that order out of
//   the count, not the other way round, as in sacrebleu: it matters to corpora.
// - Bytes that are not UTF-8: one byte is one character, neither white space nor punctuation.
//
// Complexity: Add is O((char_order + word_order) * bytes) a reference, expected; a text of 100 000
// words takes 50 to 150 ms. A sample's texts of below 2^32 bytes.
#ifndef MIRAGE_METRICS_KERNELS_CHRF_H_
#define MIRAGE_METRICS_KERNELS_CHRF_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/text/ngram_matches.h"
#include "metrics/text/units.h"

namespace mirage::metrics {

// The largest char_order and word_order, and the largest beta.
inline constexpr uint32_t kMaxChrfOrder = 16;
inline constexpr uint32_t kMaxChrfBeta = 255;

// All of them decide what is counted, because the score picks the reference. Statistics with
// different ones cannot be merged.
struct ChrfOptions {
  // In [0, kMaxChrfOrder], not both 0. chrF++ has a word_order of 2.
  uint32_t char_order = 6;
  uint32_t word_order = 0;
  // How much more recall weighs than precision, in [0, kMaxChrfBeta].
  uint32_t beta = 2;
  // Compare lower-cased texts.
  bool lowercase = false;
  // Keep white space in the n-grams of characters.
  bool whitespace = false;
  // See above.
  bool eps_smoothing = false;

  friend bool operator==(const ChrfOptions&, const ChrfOptions&) = default;
};

// The working memory of ChrfStatistics::Add; nothing of a sample matters to the next one. Not for
// two threads at once.
class ChrfScratch {
 private:
  friend class ChrfStatistics;

  struct Units {
    std::vector<uint32_t> characters;
    std::vector<uint32_t> words;
  };

  WordInterner words_;
  Units hypothesis_;
  Units reference_;
  NgramScratch ngrams_;
};

// The counts that chrF is computed from: integers, so that samples in any order and any sharding
// give the same statistics and the same bytes. About 850 bytes.
class ChrfStatistics {
 public:
  // Counts of n-grams of one order: h, r and m.
  struct Order {
    uint64_t hypothesis = 0;
    uint64_t reference = 0;
    uint64_t matches = 0;
  };

  // Empty statistics. INVALID_ARGUMENT, naming the option, for one outside its range.
  static absl::StatusOr<ChrfStatistics> Create(const ChrfOptions& options);

  // Adds a sample. Samples may have different numbers of references.
  // INVALID_ARGUMENT, and nothing added, when there is none.
  absl::Status Add(std::string_view hypothesis, std::span<const std::string_view> references,
                   ChrfScratch& scratch);

  // Adds the samples of a corpus: references[i] are those of hypotheses[i].
  // INVALID_ARGUMENT, and nothing added, when a hypothesis has none or the numbers differ; the
  // message names the first such index.
  absl::Status AddAll(std::span<const std::string_view> hypotheses,
                      std::span<const std::vector<std::string_view>> references,
                      ChrfScratch& scratch);

  // Adds all of another shard's samples. INVALID_ARGUMENT, naming the option, when the options
  // differ.
  absl::Status Merge(const ChrfStatistics& other);

  // In [0, 100], up to rounding; NaN without samples.
  double Score() const;

  // sacrebleu's signature without its version, `nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no`;
  // nrefs is "var" where samples differ and 0 without samples. Where beta is not 2, which sacrebleu
  // has in the score's name, `|beta:1` follows.
  std::string Signature() const;

  const ChrfOptions& options() const { return options_; }
  // Number of samples.
  uint64_t n_samples() const { return n_samples_; }
  // The orders of characters, then those of words.
  std::span<const Order> orders() const {
    return {orders_.data(), size_t{options_.char_order} + options_.word_order};
  }

  // Canonical bytes with a version; equal statistics give equal bytes.
  std::string Serialize() const;

  // Reads what Serialize() wrote; INVALID_ARGUMENT for anything else, counts above 2^53 included.
  static absl::StatusOr<ChrfStatistics> Deserialize(std::string_view bytes);

 private:
  using Orders = std::array<Order, size_t{2} * kMaxChrfOrder>;

  explicit ChrfStatistics(const ChrfOptions& options) : options_(options) {}

  void Split(std::string_view text, ChrfScratch& scratch, ChrfScratch::Units& units) const;
  Orders Match(ChrfScratch& scratch) const;
  double FScore(const Orders& orders) const;

  ChrfOptions options_;
  uint64_t n_samples_ = 0;
  // Least and greatest number of references of a sample; 0 without samples.
  uint64_t min_references_ = 0;
  uint64_t max_references_ = 0;
  Orders orders_{};
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_KERNELS_CHRF_H_
