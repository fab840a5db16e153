// Scores of one text whose log-likelihood the model gave.
//
// Input: log p of the whole text in nats, <= 0 (-Infinity allowed, NaN not), and
// its length in the units that were recorded. NaN in the output means "cannot be
// computed from what was recorded"; an empty text has no per-unit scores.
//
// Complexity: O(1).
//
// Sources: Schaeffer et al. 2023 (arXiv 2304.15004), section 2: accuracy of a
// target of L tokens ~ p^L, token edit distance ~ L (1 - p).
#ifndef MIRAGE_METRICS_KERNELS_LIKELIHOOD_H_
#define MIRAGE_METRICS_KERNELS_LIKELIHOOD_H_

#include <cstdint>
#include <optional>

namespace mirage::metrics {

// One scored text.
struct LikelihoodView {
  // log p(text | prompt), nats.
  double log_likelihood = 0;
  // Lengths, where recorded.
  std::optional<uint32_t> n_tokens;
  std::optional<uint32_t> n_bytes;
  std::optional<uint32_t> n_chars;
  // Whether greedy decoding gives exactly this text, where recorded.
  std::optional<bool> is_greedy;
};

// The scores of one text.
struct LikelihoodScores {
  // log p(text), nats, <= 0.
  double log_p_target;
  // p(text), in [0, 1].
  double p_target;
  // Nats per token, byte and code point, bits per byte; >= 0.
  double nll_per_token;
  double nll_per_byte;
  double nll_per_char;
  double bits_per_byte;
  // 1 if greedy decoding gives the text, else 0.
  double greedy_match;
  // p^L composed within the item: the product of its token probabilities, which
  // is p(text). The chance of an exact match when sampling at temperature 1.
  double expected_accuracy;
  // L (1 - p) with p = p(text)^(1/L), the item's mean per-unit probability; L in
  // tokens where recorded, else in code points. The expected number of wrong
  // units if each were drawn on its own.
  double expected_edit_distance;
};

// Scores one text.
LikelihoodScores ScoreLikelihood(const LikelihoodView& text);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_KERNELS_LIKELIHOOD_H_
