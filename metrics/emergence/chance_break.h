// A part of the targets that stays at chance and then is learned at once.
//
// A position of the targets of which a small model knows nothing has exactly the NLL of the gold
// units' entropy, whatever the model's size: models at chance do not scatter. Once learned, models
// scatter by factors. No law of one scatter fits both, so slope_break.h is a poor judge here; and
// it need not be asked: a power law, or any mixture of them, cannot be flat at chance at three
// sizes and then fall.
//
// Progress is s = ln(chance / value): 0 for a model that knows nothing, growing without end. Its
// sampling error is standard_error / value. A model
// - is at chance   where |s| + 1.645 error <= .1 (equivalence: shown to know nothing);
// - has learned    where s - 1.645 error > .1;
// - else it is unclear.
// A size of several trainings of which some have learned and some have not is a transition: neither
// before nor after. (Around a threshold seeds fall into two modes.)
//
// Before: the sizes that lead the curve and whose models all are at chance; at least three. After:
// the sizes within the window behind the last of these, transitions left out; where these are fewer
// than two, the next two. The window is a third of the sampled range of x, or two gaps between
// sizes (the middle one) where that is more.
//
// At each size j after, the null hypothesis is that progress has no more than .3 a unit of x:
// s_j <= c_j = .3 (x_j - x_last at chance), .3 being the least rise of an exponent that is a break.
// Learned models scatter log-normally in s by tau, which is .5, or what replicates show where that
// is more: p_j = P(Z > (mean ln s_ji - ln c_j) / sd), sd^2 = sum_i (tau^2 + (error_i / s_ji)^2) /
// r^2 over the r models of the size; p_j = 1 where a model is not better than chance. With two
// sizes all must have learned: p is the larger p_j (intersection-union test). With k >= 3 the worst
// size may be left out: p is twice the second largest, the partial-conjunction test of Benjamini
// and Heller (2008, Biometrics 64, 1215-1222), equation 2, for k - 1 of k. Of the sizes after the
// first learned one at most one may be back at chance (mean s <= .1).
//
// What it cannot tell: what lies between the last size at chance and the first learned one. Where
// no size does, the transition may have any width up to that gap.
#ifndef MIRAGE_METRICS_EMERGENCE_CHANCE_BREAK_H_
#define MIRAGE_METRICS_EMERGENCE_CHANCE_BREAK_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// How far s may be from 0 at chance.
inline constexpr double kChanceTolerance = 0.1;
// Least progress a unit of ln(scale).
inline constexpr double kChanceMinSlope = 0.3;
// Least scatter of learned models: standard deviation of ln s.
inline constexpr double kChanceMinScatter = 0.5;
// Sizes before and after.
inline constexpr size_t kChanceSizesBefore = 3;
inline constexpr size_t kChanceSizesAfter = 2;

// One model.
struct ChancePoint {
  // ln(scale), finite. Replicates share it.
  double x = 0;
  // Mean NLL in nats, or share of wrong units; >= 0 and finite. Below 1e-9 of chance it counts as
  // that: beyond, rounding speaks. Of 0 wrong among n, (0 + 1/2) / (n + 1) is the better value.
  double value = 0;
  // >= 0 and finite; 0 where it is unknown: the value then counts as exact.
  double standard_error = 0;
};

enum class ChanceOutcome : uint8_t {
  // Tested: `p_value` says what came out.
  kTested,
  // Not tested: fewer than three sizes lead the curve at chance; fewer than two follow; no size has
  // learned; more than one that follows is back at chance. p is 1.
  kTooFewAtChance,
  kTooFewAfter,
  kNoneLearned,
  kBackAtChance,
};

struct ChanceBreak {
  ChanceOutcome outcome = ChanceOutcome::kTooFewAtChance;
  double p_value = 1;
  // In ln(scale): the middle between the last size at chance and the first whose models all have
  // learned (on the scale, their geometric mean). Only where tested.
  std::optional<double> x;
  // Sizes that lead at chance, and sizes that were tested after them.
  size_t n_before = 0;
  size_t n_after = 0;
  // Whether these two are neighbours: the width is not resolved.
  bool is_within_one_gap = false;
  // In ln(scale).
  double window = 0;
  // The scatter that was used.
  double tau = kChanceMinScatter;
};

// Tests one part. Points may come in any order; the result does not depend on it. INVALID_ARGUMENT,
// with the point's place: chance not > 0 and finite, points out of range. No points:
// kTooFewAtChance. O(n log n).
absl::StatusOr<ChanceBreak> FindChanceBreak(std::span<const ChancePoint> points, double chance);

// "tested", or why not, in words.
std::string_view ChanceOutcomeText(ChanceOutcome outcome);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_CHANCE_BREAK_H_
