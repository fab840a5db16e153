// BLEU of a corpus, of a shard of one, or of a single sample, as sacrebleu defines it.
//
//   BleuScratch scratch;  // one per thread, kept for many samples
//   BleuStatistics corpus = *BleuStatistics::Create({});
//   corpus.Add(hypothesis, references, scratch);  // a Status; once a sample
//   absl::StatusOr<BleuScore> bleu = corpus.Score({});
//
// With the clipped matches c_n and totals t_n of n-grams of order n = 1..N summed over the samples
// (ngram_matches.h), h the hypotheses' tokens and r the sum of each sample's closest reference
// length (ties to the shorter):
//   precision_n = 100 c_n / t_n,   BP = min(1, exp(1 - r / h)),
//   BLEU = BP * exp(mean over n of ln precision_n), in [0, 100]. Higher is better.
// Source: Papineni et al. (ACL 2002), sections 2.1 to 2.3; the smoothings are those of Chen and
// Cherry (WMT 2014, W14-3346), methods 1 to 3; everything else, and every edge case, is that of
// sacrebleu 2.6 (sacrebleu/metrics/bleu.py), with which the scores agree.
//
// Who computes what:
// - lm-evaluation-harness, metric "bleu": BleuStatistics over all documents, defaults. Some tasks
//   (truthfulqa_gen) take the tokenizer intl instead, a BLEU a document, without effective order.
// - HELM's bleu_1 and bleu_4 are other figures, in [0, 1]: NLTK's sentence_bleu on NLTK's word
//   tokens, with the weight on one order alone and no smoothing. They are not computed here.
//
// Edge cases:
// - No samples: the score and all its figures are NaN. (sacrebleu fails.)
// - No n-gram in common, texts empty on either side included: score and precisions are 0 with every
//   smoothing; BP is 0 if only the hypotheses are empty, 1 if all texts are.
// - Texts of fewer than N tokens have no n-grams of order N: without effective order the score is
//   0, with every smoothing but add-k: the BLEU of a single short sample needs it.
// - Bytes that are not UTF-8: one byte is one character, see bleu_tokenizer.h.
//
// Complexity: Add is O(N * tokens + bytes) expected; a text of 100 000 tokens takes about 50 ms.
// A sample's texts of below 2^32 bytes.
#ifndef MIRAGE_METRICS_KERNELS_BLEU_H_
#define MIRAGE_METRICS_KERNELS_BLEU_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/text/bleu_tokenizer.h"
#include "metrics/text/ngram_matches.h"
#include "metrics/text/units.h"

namespace mirage::metrics {

// The largest N.
inline constexpr uint32_t kMaxBleuOrder = 16;

// What n-grams are counted. Statistics with different ones cannot be merged.
struct BleuOptions {
  BleuTokenizer tokenizer = BleuTokenizer::k13a;
  // Compare lower-cased texts.
  bool lowercase = false;
  // N, in [1, kMaxBleuOrder].
  uint32_t max_order = 4;

  friend bool operator==(const BleuOptions&, const BleuOptions&) = default;
};

// What stands for a precision whose c_n is 0.
enum class BleuSmoothing {
  // 0.
  kNone,
  // `smooth_value` for c_n; 0.1 unless given.
  kFloor,
  // For n > 1, also where c_n is not 0, (c_n + smooth_value) / (t_n + smooth_value); 1 unless
  // given.
  kAddK,
  // 1 / 2^i for c_n, at the i-th such order.
  kExp,
};

// "none", "floor", "add-k" or "exp"; INVALID_ARGUMENT, naming these, for all else (case counts).
absl::StatusOr<BleuSmoothing> ParseBleuSmoothing(std::string_view name);

// The name of a smoothing, as it stands in sacrebleu's signatures.
std::string_view BleuSmoothingName(BleuSmoothing smoothing);

struct BleuScoreOptions {
  BleuSmoothing smoothing = BleuSmoothing::kExp;
  // For kFloor and kAddK, finite and >= 0; the others ignore it.
  std::optional<double> smooth_value;
  // Leave out the orders that the hypotheses are too short for. For single samples.
  bool effective_order = false;
};

struct BleuScore {
  // In [0, 100], up to rounding.
  double score;
  // Element n - 1 is precision_n as it was smoothed, on the same scale; max_order elements.
  std::vector<double> precisions;
  // BP, in [0, 1].
  double brevity_penalty;
  // h / r; 0 where r is 0.
  double length_ratio;
};

// The working memory of BleuStatistics::Add; nothing of a sample matters to the next one. Not for
// two threads at once.
class BleuScratch {
 private:
  friend class BleuStatistics;

  WordInterner words_;
  std::vector<uint32_t> hypothesis_;
  std::vector<std::vector<uint32_t>> references_;
  std::vector<std::span<const uint32_t>> reference_views_;
  NgramScratch ngrams_;
};

// The counts that BLEU is computed from: integers, so that samples in any order and any sharding
// give the same statistics and the same bytes. About 300 bytes.
class BleuStatistics {
 public:
  // Empty statistics. INVALID_ARGUMENT for a max_order outside its range.
  static absl::StatusOr<BleuStatistics> Create(const BleuOptions& options);

  // Adds a sample. Samples may have different numbers of references.
  // INVALID_ARGUMENT, and nothing added, when there is none.
  absl::Status Add(std::string_view hypothesis, std::span<const std::string_view> references,
                   BleuScratch& scratch);

  // Adds the samples of a corpus: references[i] are those of hypotheses[i].
  // INVALID_ARGUMENT, and nothing added, when a hypothesis has none or the numbers differ; the
  // message names the first such index.
  absl::Status AddAll(std::span<const std::string_view> hypotheses,
                      std::span<const std::vector<std::string_view>> references,
                      BleuScratch& scratch);

  // Adds all of another shard's samples. INVALID_ARGUMENT, naming the option, when the options
  // differ.
  absl::Status Merge(const BleuStatistics& other);

  // The score. INVALID_ARGUMENT for a smooth_value outside its range.
  absl::StatusOr<BleuScore> Score(const BleuScoreOptions& options) const;

  // sacrebleu's signature without its version, `nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp`;
  // nrefs is "var" where samples differ and 0 without samples. Where max_order is not 4, which
  // sacrebleu does not tell, `|order:2` follows.
  std::string Signature(const BleuScoreOptions& options) const;

  const BleuOptions& options() const { return options_; }
  // Number of samples.
  uint64_t n_samples() const { return n_samples_; }
  // h and r.
  uint64_t hypothesis_length() const { return hypothesis_length_; }
  uint64_t reference_length() const { return reference_length_; }
  // Element n - 1 is c_n or t_n; max_order elements.
  std::span<const uint64_t> matches() const { return {matches_.data(), options_.max_order}; }
  std::span<const uint64_t> totals() const { return {totals_.data(), options_.max_order}; }

  // Canonical bytes with a version; equal statistics give equal bytes.
  std::string Serialize() const;

  // Reads what Serialize() wrote; INVALID_ARGUMENT for anything else, counts above 2^53 included.
  static absl::StatusOr<BleuStatistics> Deserialize(std::string_view bytes);

 private:
  explicit BleuStatistics(const BleuOptions& options) : options_(options) {}

  BleuOptions options_;
  uint64_t n_samples_ = 0;
  // Least and greatest number of references of a sample; 0 without samples.
  uint64_t min_references_ = 0;
  uint64_t max_references_ = 0;
  uint64_t hypothesis_length_ = 0;
  uint64_t reference_length_ = 0;
  std::array<uint64_t, kMaxBleuOrder> matches_{};
  std::array<uint64_t, kMaxBleuOrder> totals_{};
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_KERNELS_BLEU_H_
