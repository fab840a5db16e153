#ifndef MIRAGE_METRICS_EMERGENCE_DISTORTION_H_
#define MIRAGE_METRICS_EMERGENCE_DISTORTION_H_

#include <cstdint>
#include <optional>
#include <span>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// Shift of the margin, in nats, that stands for one step of progress on multiple choice.
inline constexpr double kMarginStep = 0.5;
// Level of the bootstrap interval of the distortion.
inline constexpr double kDistortionLevel = 0.9;
// Number of bootstrap replicates.
inline constexpr int kDistortionReplicates = 1000;

// How far a sharp metric bends at the operating point of one run: the gain that the next step of
// progress would show over the gain that the last one showed. 1 is proportionate; above, the metric
// is about to jump; below, it is flattening.
//
// Exact match: every item's NLL scaled by rho, m(rho) = mean exp(rho log p),
//   R = [m(1/2) - m(1)] / max(m(1) - m(2), 1/n).
// A step is a halving of the NLL. The floor 1/n is the resolution of n items: it keeps R finite and
// bounds what the denominator can claim to have seen. Source: Mirage's own definition, with its
// reasons in docs/risk.md; m(1) is Schaeffer et al. 2023 (arXiv 2304.15004), section 2, item by
// item.
struct Distortion {
  // R, >= 0 and finite.
  double r = 0;
  // 90 % percentile bootstrap interval of R.
  double r_lower = 0;
  double r_upper = 0;
  // The metric after the next step, now, and before the last step: m(1/2), m(1), m(2); for multiple
  // choice acc(+1/2 nat), acc(0), acc(-1/2 nat). Shares in [0, 1], m_half >= m_one >= m_two.
  double m_half = 0;
  double m_one = 0;
  double m_two = 0;
  // Exact match only: mean NLL of the target in nats, +Inf if an item has log p = -Inf.
  std::optional<double> u;
  // Number of items.
  uint64_t n = 0;
  // False where only edit distances to targets of one unit (or none) are known: m is then the
  // straight line 1 - rho eps, and R is half the number of wrong answers whatever the model does.
  bool is_composed = true;
};

// Every function here is deterministic: the same items (for the spans: in the same order) and the
// same seed give the same bits.

// Exact match, from each item's log p of the whole target in nats (<= 0; -Inf contributes 0 to m).
// INVALID_ARGUMENT: no items; `log_probabilities[i]` NaN or > 0. O(n) + bootstrap (about 50 ms at
// 10 000 items, less above: groups).
absl::StatusOr<Distortion> ExactMatchDistortion(std::span<const double> log_probabilities,
                                                uint64_t seed);

// Counts of margins (gold minus best wrong choice, in nats, in the units in which the metric
// decides) around 0: all that the distortion of multiple choice depends on. Mergeable.
class MarginCounts {
 public:
  // Counts one margin; infinite ones are welcome, a NaN makes MultipleChoiceDistortion fail.
  void Add(double margin) {
    if (margin > kMarginStep) {
      ++above_;
    } else if (margin > 0) {
      ++just_right_;
    } else if (margin > -kMarginStep) {
      ++just_wrong_;
    } else if (margin <= -kMarginStep) {
      ++below_;
    } else {
      ++nan_;
    }
  }

  // Adds the counts of another shard.
  void Merge(const MarginCounts& other) {
    above_ += other.above_;
    just_right_ += other.just_right_;
    just_wrong_ += other.just_wrong_;
    below_ += other.below_;
    nan_ += other.nan_;
  }

  // margin > 1/2: right, also with half a nat less.
  uint64_t above() const { return above_; }
  // 0 < margin <= 1/2: right, wrong with half a nat less.
  uint64_t just_right() const { return just_right_; }
  // -1/2 < margin <= 0: wrong (a tie is), right with half a nat more.
  uint64_t just_wrong() const { return just_wrong_; }
  // margin <= -1/2: wrong, also with half a nat more.
  uint64_t below() const { return below_; }
  // NaN margins; in no other count.
  uint64_t nan() const { return nan_; }
  // Number of items, NaNs left out.
  uint64_t n() const { return above_ + just_right_ + just_wrong_ + below_; }

  // The counts from elsewhere (a stored aggregate).
  static MarginCounts FromCounts(uint64_t above, uint64_t just_right, uint64_t just_wrong,
                                 uint64_t below);

 private:
  uint64_t above_ = 0;
  uint64_t just_right_ = 0;
  uint64_t just_wrong_ = 0;
  uint64_t below_ = 0;
  uint64_t nan_ = 0;
};

// Multiple choice: acc(d) = share(margin + d > 0),
//   R = [acc(1/2) - acc(0)] / max(acc(0) - acc(-1/2), 1/n) = just_wrong / max(just_right, 1).
// A tie (margin 0) counts as wrong, as in share(margin > 0); a harness that takes the first of
// equal choices may score it 1. Multinomial bootstrap with Jeffreys' pseudo-count 1/2 (so that an
// empty category does not give an interval of width 0), O(1) in n. INVALID_ARGUMENT: no items, a
// NaN margin.
absl::StatusOr<Distortion> MultipleChoiceDistortion(const MarginCounts& counts, uint64_t seed);

// The same from a span. INVALID_ARGUMENT names the first NaN, `margins[i]`.
absl::StatusOr<Distortion> MultipleChoiceDistortion(std::span<const double> margins, uint64_t seed);

// Exact match where only token edit distances are known: per item the error per token is eps =
// TED/L, m(rho) = mean max(0, 1 - rho eps)^L, R as for exact match. TED may exceed L (insertions):
// then the item contributes 0. An empty target (L = 0) contributes 1 if TED is 0, else 0. `u` is
// absent. Coarser than log p (an item with TED = 0 says p = 1), so the risk is never below LOW.
// INVALID_ARGUMENT: no items, spans of different sizes, a negative or non-finite entry (named).
absl::StatusOr<Distortion> EditDistanceDistortion(std::span<const double> edit_distances,
                                                  std::span<const double> target_lengths,
                                                  uint64_t seed);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_DISTORTION_H_
