// Scores of one multiple-choice sample from the log-likelihoods of its choices.
//
// Input, for K >= 1 choices: the log-likelihood ll_k of each choice given the
// prompt, in nats, <= 0 (-Infinity allowed, NaN not), the lengths of the choice
// texts where they are known, the log-likelihoods without the question where
// they were recorded, and the accepted choices (the gold set G, usually one).
//
// All scores are doubles. NaN means "cannot be computed from what was recorded"
// (no lengths, no baseline, a single choice and so no wrong one); callers count
// it as missing, never as a number. With several accepted choices their
// probabilities are summed and the best of them stands for the set in margins.
//
// Conventions follow lm-evaluation-harness where it has the metric: the first of
// tied choices wins, `acc_norm` divides by code points, `acc_bytes` by UTF-8
// bytes, neither counts the delimiter between prompt and choice.
//
// Complexity: O(K) time, no allocation.
//
// Sources: lm-evaluation-harness 0.4.13, lm_eval/api/task.py; Schaeffer et al.
// 2023 (arXiv 2304.15004) sections 2 and 4; Schaeffer et al. 2024 (arXiv
// 2406.04391) for the steps from p over the vocabulary to p over the choices;
// BIG-bench for the mean-over-choices Brier score.
#ifndef MIRAGE_METRICS_KERNELS_CHOICES_H_
#define MIRAGE_METRICS_KERNELS_CHOICES_H_

#include <cstdint>
#include <span>

namespace mirage::metrics {

// One sample, as views. The spans have K elements, or none where the run did not
// record them; `golds` has at least one element, each < K, without repeats.
struct ChoicesView {
  // Log-likelihood of each choice given the prompt, nats.
  std::span<const double> log_likelihoods;
  // Log-likelihood of each choice without the question, nats. Optional.
  std::span<const double> baseline_log_likelihoods;
  // Length of each choice in code points. Optional.
  std::span<const uint32_t> n_chars;
  // Length of each choice in UTF-8 bytes. Optional.
  std::span<const uint32_t> n_bytes;
  // Number of scored tokens of each choice. Optional.
  std::span<const uint32_t> n_tokens;
  // Accepted choices.
  std::span<const uint32_t> golds;
};

// The scores of one sample.
struct ChoiceScores {
  // 1 if the choice with the highest ll_k is accepted, else 0.
  double acc;
  // The same with ll_k / code points.
  double acc_norm;
  // The same with ll_k / UTF-8 bytes.
  double acc_bytes;
  // The same with ll_k - baseline_k.
  double acc_mutual_info;
  // log p(G), nats, <= 0: over the model's whole vocabulary.
  double log_p_gold;
  // p(G), in [0, 1].
  double p_gold;
  // -ll_g / length of the best accepted choice g: nats per token, byte, code
  // point, and bits per byte. >= 0.
  double nll_per_token;
  double nll_per_byte;
  double nll_per_char;
  double bits_per_byte;
  // log and p of G after a softmax over the K log-likelihoods: mass outside the
  // choices is ignored.
  double log_p_gold_choices;
  double p_gold_choices;
  // Four conventions of the Brier score over the softmax q of the choices.
  // Sum over choices of (q_k - [k in G]/|G|)^2, in [0, 2] (lm-eval).
  double brier_score;
  // The same divided by K, in [0, 1] (BIG-bench).
  double brier_mean;
  // (1 - q_G)^2, in [0, 1] (target-conditioned; the paper's text).
  double brier_target;
  // (max_k q_k - [argmax in G])^2, in [0, 1] (top choice's confidence).
  double brier_top;
  // Best accepted ll minus best wrong ll, nats. NaN when no choice is wrong.
  double margin;
  // Nats that the log-likelihood of an accepted choice lies above what would tie
  // under the decision of acc_norm, acc_bytes and acc_mutual_info. They agree in
  // sign with those decisions, ties aside.
  double margin_norm;
  double margin_bytes;
  double margin_mutual_info;
  // Mean over k of ll_k - max_{j != k} ll_j: what `margin` would be if the gold
  // were any choice with equal chance. NaN unless |G| = 1 and K >= 2.
  double chance_margin;
  // Sum of exp(ll_k) over wrong choices: mass of the vocabulary on these specific
  // wrong answers. May exceed 1, since choices need not exclude each other.
  double p_wrong_mass;
  // 1 + number of choices strictly more likely than the best accepted one. NaN when every
  // choice is impossible.
  double rank;
  // max_k q_k and whether it is accepted: the input of a calibration error.
  double confidence;
};

// Index of the first largest element; 0 for an empty span. NaNs never win.
uint32_t FirstArgmax(std::span<const double> values);

// The choice each decision rule takes, first of ties; K where the rule's input
// was not recorded.
struct ChoiceDecisions {
  uint32_t acc;
  uint32_t acc_norm;
  uint32_t acc_bytes;
  uint32_t acc_mutual_info;
};

// Needs no gold: used to find out which choice is gold from the harness's own
// scores. Does not read `sample.golds`.
ChoiceDecisions DecideChoices(const ChoicesView& sample);

// Scores one sample. `sample` must satisfy the conditions above. `decisions` are the
// sample's own, for callers that needed them to find the gold.
ChoiceScores ScoreChoices(const ChoicesView& sample, const ChoiceDecisions& decisions);
inline ChoiceScores ScoreChoices(const ChoicesView& sample) {
  return ScoreChoices(sample, DecideChoices(sample));
}

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_KERNELS_CHOICES_H_
