// Scores of one generated output against the targets that a document accepts.
//
//   GenerationScorer scorer({.unit = TextUnit::kWords});  // one per thread, kept for many samples
//   const std::string_view targets[] = {"a red car"};
//   absl::StatusOr<GenerationScores> scores = scorer.ScoreText("a blue car", targets);
//   // token_edit_distance 1, edit_similarity 2/3, prefix_match 1/3, position_accuracy 2/3
//
// Input: the output and at least one target, either as text, split into code points, bytes or
// words, or as ids of one tokenizer. Both are compared exactly as they are given: trimming white
// space, cutting at stop strings or a leading space is the caller's decision. Only exact_match of
// text is normalised, by the options that the harness's metric had.
//
// Token edit distance is the counterpart of exact match in Schaeffer et al. 2023 (arXiv 2304.15004,
// section 3): accuracy on a target of L tokens is about p^L, the expected distance about L(1 - p),
// so that the same samples are sharp under the one and smooth under the other.
//
// With several targets exact_match holds for any of them; all else is about the target with the
// least edit distance, the first of those that tie.
//
// Complexity: that of EditDistance for each target, bounded by max_cells; O(units) for the rest.
// Scratch memory is reused, so that a sample of a usual size allocates nothing but its normalised
// texts.
#ifndef MIRAGE_METRICS_KERNELS_GENERATION_H_
#define MIRAGE_METRICS_KERNELS_GENERATION_H_

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "metrics/text/edit_distance.h"
#include "metrics/text/normalize.h"
#include "metrics/text/units.h"

namespace mirage::metrics {

// All are finite but where the pair is too large to compare. With M the output's and L the target's
// length in units, and the target the nearest:
struct GenerationScores {
  // 1 if the output equals an accepted target (texts: after normalisation; ids: as they are), else
  // 0.
  double exact_match;
  // Least number of insertions, deletions and substitutions of units; an integer in
  // [|M - L|, max(M, L)]. Lower is better. NaN when every target is too long to compare with, see
  // GenerationOptions::max_cells.
  double token_edit_distance;
  // 1 - token_edit_distance / max(M, L), in [0, 1]; 1 when both are empty. NaN with the distance.
  double edit_similarity;
  // Length of the longest common prefix / L, in [0, 1]. For an empty target: 1 if the output is
  // empty too, else 0. An output that goes on after the whole target has 1.
  double prefix_match;
  // Share of the target's positions i with output[i] == target[i], in [0, 1], >= prefix_match.
  // Positions that the output lacks count as wrong, those beyond the target not at all. An empty
  // target as above.
  double position_accuracy;
  // L.
  uint32_t target_length;
  // M.
  uint32_t output_length;
  // Which target is the nearest.
  uint32_t target_index;
};

struct GenerationOptions {
  // What ScoreText counts in.
  TextUnit unit = TextUnit::kCodepoints;
  // What exact_match of ScoreText ignores.
  NormalizeOptions normalize = {};
  // Pairs with M * L above this get no edit distance (the rest of their scores is O(M + L)): a
  // model that never stops must not cost minutes a sample. The default, 131072 x 131072 units,
  // takes a fraction of a second; see edit_distance_benchmark.cc.
  uint64_t max_cells = uint64_t{1} << 34;
};

// The scores against a single target, by its ids; exact_match is their equality, target_index 0.
GenerationScores ScoreTokenPair(std::span<const uint32_t> output, std::span<const uint32_t> target,
                                EditDistanceScratch& scratch,
                                uint64_t max_cells = GenerationOptions{}.max_cells);

// Which positions of a target the output has right, by both alignments. Element i of both is 0
// or 1.
struct PositionHits {
  // output[i] == target[i].
  std::vector<uint8_t> from_start;
  // output[M - 1 - i] == target[L - 1 - i]: element 0 is the last position. In sums and products
  // written in digits this is the alignment by place value.
  std::vector<uint8_t> from_end;
};

// Replaces `hits`; both vectors get L elements, those that the output does not reach 0. O(L).
void FindPositionHits(std::span<const uint32_t> output, std::span<const uint32_t> target,
                      PositionHits& hits);

// Not for two threads at once.
class GenerationScorer {
 public:
  explicit GenerationScorer(const GenerationOptions& options) : options_(options) {}

  // Returns INVALID_ARGUMENT when there is no target. Texts are any bytes; see units.h for those
  // that are not UTF-8. As the harness does with multiple targets, the normalisation is that of one
  // array of the targets; see normalize.h.
  absl::StatusOr<GenerationScores> ScoreText(std::string_view output,
                                             std::span<const std::string_view> targets);

  // The same for ids of one tokenizer. Normalisation does not apply.
  // Returns INVALID_ARGUMENT when there is no target.
  absl::StatusOr<GenerationScores> ScoreTokens(std::span<const uint32_t> output,
                                               std::span<const std::span<const uint32_t>> targets);

  // The position hits of `output` against one target, in this scorer's units.
  void TextPositionHits(std::string_view output, std::string_view target, PositionHits& hits);

 private:
  bool AnyExactMatch(std::string_view output, std::span<const std::string_view> targets) const;

  GenerationOptions options_;
  EditDistanceScratch scratch_;
  WordInterner words_;
  std::vector<uint32_t> output_ids_;
  std::vector<uint32_t> target_ids_;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_KERNELS_GENERATION_H_
