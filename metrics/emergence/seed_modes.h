// Replicates of one size that fall into two modes.
//
// Around a threshold some trainings find an ability and others do not, so that "the value at this
// size" is no number but a chance of success. The values are sorted and split at their largest gap.
// They count as two modes where that gap is at least .3 of the metric's range and more than three
// times the spread: the root of the pooled variance inside the modes (sum of squares about the two
// means / (r - 2)) plus the mean of the sampling variances.
//
// Of one mode with logits that scatter by .5 and 500 items, three replicates are taken for two
// modes in 1.3 % of the cases, five in .5 %, ten in .1 % (seed_modes_test.cc).
//
// What it cannot tell: three or more modes (they count as two), modes nearer than .3 of the range,
// a second mode that none of the replicates happened to be in (of r, one that has a share of p
// stays unseen with probability (1 - p)^r: .73 for a tenth and three), and whether a seed that has
// failed so far would succeed with more training.
#ifndef MIRAGE_METRICS_EMERGENCE_SEED_MODES_H_
#define MIRAGE_METRICS_EMERGENCE_SEED_MODES_H_

#include <cstddef>
#include <span>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// Fewest replicates that are looked at.
inline constexpr size_t kModesMinReplicates = 3;
// Least gap between the modes, of the metric's range, and in spreads.
inline constexpr double kModesMinGap = 0.3;
inline constexpr double kModesMinSpreads = 3;

// One replicate.
struct SeedValue {
  // Finite.
  double value = 0;
  // >= 0 and finite; 0 where it is unknown.
  double standard_error = 0;
};

struct SeedModes {
  // False below kModesMinReplicates; then nothing below counts.
  bool is_bimodal = false;
  size_t n = 0;
  // The split: means of the two sides, the gap between them, and the spread it is compared with, in
  // the metric's unit.
  double worse_mean = 0;
  double better_mean = 0;
  double gap = 0;
  double spread = 0;
  // Replicates in the better mode, their share, and its 95 % interval (Clopper and Pearson).
  size_t n_better = 0;
  double share_better = 0;
  double share_lower = 0;
  double share_upper = 0;
};

// Looks at the replicates of one size. `range` is the metric's best minus its worst value, > 0 and
// finite. The order of the values does not matter. INVALID_ARGUMENT by the field's name.
// O(r log r).
absl::StatusOr<SeedModes> FindSeedModes(std::span<const SeedValue> values, double range,
                                        bool higher_is_better);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_SEED_MODES_H_
