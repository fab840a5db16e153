// Scores of one target from the log-probabilities of its tokens.
//
//   const double log_probs[] = {-0.1, -2.3, 0.0};
//   absl::StatusOr<TokenLogProbScores> scores = ScoreTokenLogProbs({.log_probs = log_probs});
//   // log_p_target -2.4, min_p exp(-2.3), token_error_rate (0.095 + 0.900 + 0) / 3
//
// Input: log p(token i | what stands before it), in nats, <= 0. -Infinity is a token of probability
// 0. NaN and positive values are INVALID_ARGUMENT with their index; where positive ones are the
// rounding noise of half precision, clip them to 0 before.
//
// An empty target has no tokens to be right about: its scores are NaN ("absent"), it is no error.
//
// Sums are exact and rounded once, so that the order of the tokens does not matter. Complexity:
// about 17 ns a token: 1.7 ms for 100 000 tokens.
//
// Sources: Schaeffer et al. 2023 (arXiv 2304.15004), section 2: with p the per-token probability,
// accuracy of L tokens is about p^L (here the product of the tokens' own p, composed within the
// item), the expected number of wrong tokens L (1 - p).
#ifndef MIRAGE_METRICS_KERNELS_TOKEN_LOG_PROBS_H_
#define MIRAGE_METRICS_KERNELS_TOKEN_LOG_PROBS_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/stats/moments.h"

namespace mirage::metrics {

// One target.
struct TokenLogProbsView {
  std::span<const double> log_probs;
  // Whether token i is the one that greedy decoding takes there: 0 or 1 a token, or empty where it
  // was not recorded.
  std::span<const uint8_t> greedy_hits = {};
};

// The scores of one target of L tokens. All but n_tokens are NaN for L = 0, the greedy ones also
// where hits were not recorded.
struct TokenLogProbScores {
  // L.
  uint64_t n_tokens;
  // Sum of the log-probabilities, nats, <= 0; -Inf with a token of probability 0.
  double log_p_target;
  // The product of the tokens' p: the chance of the whole target when sampling at temperature 1,
  // "p^L" with every token its own p. In [0, 1]; 0 where it is below 1e-323, log_p_target is not.
  double expected_accuracy;
  // -log_p_target / L, nats, >= 0.
  double nll_per_token;
  // The least likely token: log p in nats, and p in [0, 1].
  double min_log_p;
  double min_p;
  // Arithmetic mean of the tokens' p, in [0, 1].
  double mean_p;
  // 1 - mean_p, the expected share of wrong tokens at temperature 1, each given the right ones
  // before it. Keeps its digits when p is near 1.
  double token_error_rate;
  // L * token_error_rate, the expected number of wrong tokens.
  double expected_token_errors;
  // Share of tokens that greedy decoding takes, in [0, 1].
  double greedy_token_accuracy;
  // 1 if it takes all of them, else 0.
  double greedy_match;
};

// Returns INVALID_ARGUMENT, naming `log_probs[i]` or `greedy_hits[i]`, for what is stated above,
// and for greedy_hits of another length.
absl::StatusOr<TokenLogProbScores> ScoreTokenLogProbs(const TokenLogProbsView& target);

// What is known of one position over many targets.
struct PositionMoments {
  // -log p, nats; infinite values count (see Moments).
  Moments nll;
  // p: its mean is the expected accuracy at this position.
  Moments p;
};

// NLL and p by position, from the start and from the end of the target.
//
// Position 0 from the start is the first token, from the end the last one. Positions from
// max_positions on are pooled: of a target of 100 000 tokens, its first 1024 are each their own,
// the rest goes to overflow_from_start(). There the values of one target are not independent, and
// standard errors are too small.
//
// Exact and mergeable: any order and sharding gives the same bytes. Memory: 9 kB a position that
// occurs, 9 MB at the default bound. About 50 ns a token. Not thread-safe.
class PositionLogProbs {
 public:
  static constexpr uint32_t kDefaultMaxPositions = 1024;
  static constexpr uint32_t kMostPositions = 65536;

  // `max_positions` is brought into [1, kMostPositions].
  explicit PositionLogProbs(uint32_t max_positions = kDefaultMaxPositions);

  // Adds one target. INVALID_ARGUMENT as ScoreTokenLogProbs; nothing is added then. Empty targets
  // are counted in n_empty() only.
  absl::Status Add(std::span<const double> log_probs);

  // Adds all of `other`. INVALID_ARGUMENT for another bound.
  absl::Status Merge(const PositionLogProbs& other);

  uint32_t max_positions() const { return max_positions_; }
  // Number of targets with tokens, and of those without.
  uint64_t n_targets() const { return n_targets_; }
  uint64_t n_empty() const { return n_empty_; }

  // As many as the longest target has, at most max_positions(). Element i counts the targets that
  // are longer than i.
  const std::vector<PositionMoments>& from_start() const { return from_start_; }
  const std::vector<PositionMoments>& from_end() const { return from_end_; }
  // All tokens at positions >= max_positions().
  const PositionMoments& overflow_from_start() const { return overflow_from_start_; }
  const PositionMoments& overflow_from_end() const { return overflow_from_end_; }

  // Canonical bytes with a version; equal samples give equal bytes. About 0.6 kB a position.
  std::string Serialize() const;

  // Reads what Serialize() wrote; INVALID_ARGUMENT for anything else.
  static absl::StatusOr<PositionLogProbs> Deserialize(std::string_view bytes);

 private:
  uint32_t max_positions_;
  uint64_t n_targets_ = 0;
  uint64_t n_empty_ = 0;
  std::vector<PositionMoments> from_start_;
  std::vector<PositionMoments> from_end_;
  PositionMoments overflow_from_start_;
  PositionMoments overflow_from_end_;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_KERNELS_TOKEN_LOG_PROBS_H_
