// Whether a generated answer is one of the accepted ones: the matches of HELM and the F1 of SQuAD.
//
//   const std::string_view golds[] = {"the Eiffel Tower"};
//   absl::StatusOr<TextMatchScores> scores = ScoreTextMatch("Eiffel tower!", golds);
//   // exact_match 0, quasi_exact_match 1, token_f1 1
//
// Input: the output and at least one gold answer, any bytes. Each score is the highest over the
// golds, for itself. Range of all: [0, 1]; all but the F1 scores are 0 or 1. Higher is better.
//
// Sources: HELM (stanford-crfm/helm, helm/benchmark/metrics/evaluate_reference_metrics.py), the
// functions of the same names; the evaluation scripts of SQuAD 1.1 and 2.0 (Rajpurkar et al., arXiv
// 1606.05250 and 1806.03822) for token_f1. The normalisation is NormalizeAnswer for both. Strip is
// str.strip. HELM strips an output before it calls its functions: give Strip(output) for its
// figures.
//
// Who computes what:
// - HELM: exact_match to quasi_prefix_exact_match, and set_f1, which it calls f1_score. Its F1
//   compares sets of tokens: "a b b" and "a b" are equal to it, and F1 is 0 where either is empty.
// - SQuAD, and the tasks of lm-evaluation-harness built on it: token_f1, on bags of tokens. Where
//   either has no tokens it is 1 if neither has, else 0, as in SQuAD 2.0, whose unanswerable
//   questions have an empty gold; SQuAD 1.1's script says 0 for both empty.
// - lm-evaluation-harness's exact_match is another one: GenerationScores::exact_match.
//
// Edge cases: an empty output matches nothing, not even an empty gold (HELM's convention; token_f1
// is 1 then). Any other output, also one of white space, has every gold as a prefix that is empty
// once it is stripped or normalised. Invalid bytes: see answer_normalizer.h.
//
// Complexity: O(bytes) a gold, expected.
#ifndef MIRAGE_METRICS_KERNELS_TEXT_MATCH_H_
#define MIRAGE_METRICS_KERNELS_TEXT_MATCH_H_

#include <span>
#include <string_view>

#include "absl/status/statusor.h"

namespace mirage::metrics {

struct TextMatchScores {
  // Strip(output) == Strip(gold).
  double exact_match;
  // The same after normalisation.
  double quasi_exact_match;
  // The same after a normalisation that keeps articles.
  double quasi_leave_articles_exact_match;
  // Strip(output) begins with Strip(gold).
  double prefix_exact_match;
  // The same after normalisation. Not at a word's end: "10" begins with "1".
  double quasi_prefix_exact_match;
  // With k tokens in common, of M of the output and L of the gold, after normalisation:
  // 2 P R / (P + R), P = k / M, R = k / L. A token counts as often as both have it.
  double token_f1;
  // The same on the sets of tokens, as 1 / (0.5 / P + 0.5 / R).
  double set_f1;
};

// Returns INVALID_ARGUMENT when there is no gold.
absl::StatusOr<TextMatchScores> ScoreTextMatch(std::string_view output,
                                               std::span<const std::string_view> golds);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_KERNELS_TEXT_MATCH_H_
