// How well a metric tells models apart, compared with how much it moves from one checkpoint to the
// next: the figure that says why to swap a metric.
//
// Source: Heineman et al., "Signal and noise: a framework for reducing uncertainty in language
// model evaluation" (2025, arXiv 2508.13144), section 3.
#ifndef MIRAGE_METRICS_STATS_SIGNAL_TO_NOISE_H_
#define MIRAGE_METRICS_STATS_SIGNAL_TO_NOISE_H_

#include <optional>
#include <span>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// The divisor of the variance over checkpoints.
enum class CheckpointSpread {
  // n - 1: the usual estimate of the spread of such checkpoints.
  kSample,
  // n: what the paper's program divides by. Its ratios are those of kSample times
  // sqrt(n / (n - 1)): 12 % above for 5 checkpoints.
  kPopulation,
};

// Relative figures, all >= 0. A scale factor of the metric cancels, a shift does not.
struct SignalToNoise {
  // max_jk |m_j - m_k| / |mean m|; absent for fewer than two models, which cannot differ.
  std::optional<double> signal;
  // sd of the checkpoints / |their mean|; absent for fewer than two.
  std::optional<double> noise;
  // signal / noise; absent where one of them is or where the noise is 0: checkpoints that all agree
  // are too few or sit at a floor or ceiling, and say nothing about certainty.
  std::optional<double> ratio;
};

// `models`: one value a model of about the same size. `checkpoints`: the values at the last
// checkpoints of one training run (the paper takes 5 to 30), in any order.
//
// The means are taken without their sign, so that a metric below 0, such as log p, has a positive
// signal and noise. INVALID_ARGUMENT for a value that is NaN or infinite, for a span that is empty,
// for a mean of 0, over which nothing can be relative, and for values whose spread is no double.
// Values of both signs around 0 make both figures large and meaningless; this is not checked.
// Order of the values does not matter, to the last bit. Complexity: O(models + checkpoints).
absl::StatusOr<SignalToNoise> SignalToNoiseRatio(
    std::span<const double> models, std::span<const double> checkpoints,
    CheckpointSpread spread = CheckpointSpread::kSample);

// The share of pairs of models that a small and a large setting rank alike, in [0, 1]: of all pairs
// j < k, those where small[j] - small[k] and large[j] - large[k] have the same sign; a pair that is
// tied in either setting, or in both, counts a half. It is (1 + tau_a) / 2 of Kendall's tau. The
// paper's section 3, where ties do not occur.
//
// small[j] and large[j] belong to the same model or recipe j. INVALID_ARGUMENT for a NaN, for spans
// of different sizes and for fewer than two models. Infinite values (log 0) are ranked as such.
// Complexity: O(models^2).
absl::StatusOr<double> DecisionAccuracy(std::span<const double> small,
                                        std::span<const double> large);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_SIGNAL_TO_NOISE_H_
