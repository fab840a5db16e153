// ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum of one generated text, as rouge_score 0.1.2 defines
// them.
//
//   RougeScorer scorer({});  // one per thread, kept for many samples
//   absl::StatusOr<RougeScores> rouge = scorer.Score(output, references);
//
// Tokens: lower case (LowerCase), then maximal runs of a-z and 0-9; all else separates. With
// `stemmer`, tokens of four characters and more are stemmed (porter_stemmer.h). So text in other
// scripts has no tokens and scores 0, and the letters of "café" but the last are one.
//
// With M the output's and L the reference's number of tokens (ROUGE-N: of n-grams), and k:
// - ROUGE-N: the clipped matches of n-grams (ngram_matches.h);
// - ROUGE-L: the length of the longest common subsequence (subsequence.h);
// - ROUGE-Lsum: both are split into sentences at line feeds; for each sentence of the reference the
//   union, over the sentences of the output, of the positions of one longest common subsequence,
//   where no token counts more often than either text has it,
// precision = k / M, recall = k / L, f1 = 2 precision recall / (precision + recall), all in [0, 1],
// 0 where the divisor is 0. Higher is better.
// Source: Lin, "ROUGE: a package for automatic evaluation of summaries" (2004), sections 2 and 3,
// with beta = 1, in the form of the package rouge_score, with which the values agree.
//
// Several references: for each figure the reference with the highest f1, the first of those that
// tie (rouge_score's score_multi).
//
// Who computes what:
// - HELM's rouge_1, rouge_2 and rouge_l are f1 with the stemmer; rouge_l is ROUGE-L.
// - lm-evaluation-harness has no metric of its own; its tasks (truthfulqa_gen) report 100 f1
// without
//   the stemmer, and what they call rougeL is ROUGE-Lsum, after " . " was replaced by ".\n".
//
// Edge cases: no tokens on either side, both included: 0. Bytes that are not UTF-8 separate tokens.
//
// Complexity: O(M L / 64) word operations a reference for ROUGE-L, twice that for ROUGE-Lsum,
// bounded by max_cells; O(bytes) expected for the rest. Memory: O(bytes).
#ifndef MIRAGE_METRICS_KERNELS_ROUGE_H_
#define MIRAGE_METRICS_KERNELS_ROUGE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "metrics/text/ngram_matches.h"
#include "metrics/text/subsequence.h"
#include "metrics/text/units.h"

namespace mirage::metrics {

struct RougeOptions {
  // Compare stems.
  bool stemmer = false;
  // ROUGE-L has no value where M * L is above this: a model that never stops must not cost minutes
  // a sample. The default, 131072 x 131072 tokens, takes about a second for all. For ROUGE-Lsum, L
  // is the sum over sentences of their lengths, each rounded up to a multiple of 64, and M that of
  // their lengths plus 8: what they cost.
  uint64_t max_cells = uint64_t{1} << 34;
};

// One figure, in [0, 1]. All three are NaN where a reference was too long to compare with (see
// max_cells): which one is the best is then not known.
struct RougeScore {
  double precision;
  double recall;
  double f1;
};

struct RougeScores {
  RougeScore rouge_1;
  RougeScore rouge_2;
  RougeScore rouge_l;
  RougeScore rouge_lsum;
};

// Not for two threads at once.
class RougeScorer {
 public:
  explicit RougeScorer(const RougeOptions& options) : options_(options) {}

  // Returns INVALID_ARGUMENT when there is no reference. Texts are any bytes.
  absl::StatusOr<RougeScores> Score(std::string_view output,
                                    std::span<const std::string_view> references);

 private:
  // Tokens, and where each sentence (a line that is not empty) ends among them.
  struct Tokens {
    std::vector<uint32_t> ids;
    std::vector<size_t> sentence_ends;
  };

  void Tokenize(std::string_view text, Tokens& tokens);
  RougeScores ScoreOne();
  RougeScore ScoreLongest();
  RougeScore ScoreSummary();
  uint64_t SummaryHits();

  RougeOptions options_;
  WordInterner words_;
  Tokens output_;
  Tokens reference_;
  NgramScratch ngrams_;
  SubsequenceScratch subsequences_;
  std::vector<uint32_t> positions_;
  std::vector<uint8_t> in_union_;
  std::vector<uint32_t> output_counts_;
  std::vector<uint32_t> reference_counts_;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_KERNELS_ROUGE_H_
