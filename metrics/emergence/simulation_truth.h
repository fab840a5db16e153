// What a diagnosis of a simulated family should say.
//
// The rules are those of a diagnosis, applied to the law instead of to data: expected values in the
// place of measured ones, the law's own slope in the place of a fit. Let a = -d ln NLL / d ln N,
// for the mean over items, scatter and modes of seeds.
//
// A break is a rise of a by at least .3 within the sampled range that takes, from 10 to 90 %, at
// most a third of the sampled range of ln N or two gaps between sizes, whichever is more; or a rise
// by .3 inside any window of that width. It may stand in the mean over positions and items, at a
// position that carries at least 25 % of the mean's fall, or in the items that share a break and
// carry as much. A diagnosis can find it where three sizes lie before and two after the middle of
// the rise.
//
// The first that applies, to the task with the longest target:
//   fewer than 5 sizes                              INSUFFICIENT
//   no trend: neither the mean NLL's slope nor
//   the sharp metric's rise above 3 of the
//   standard errors that data would have            SMOOTH
//   the NLL falls, the sharp metric's expected
//   rise is within 3 standard errors                RESOLUTION_LIMITED
//   the sharp metric's expected curve is not
//   emergent in shape (curve_shape.h)               SMOOTH
//   a break that a diagnosis can find               BREAK_SURVIVES
//   a break that it cannot                          INSUFFICIENT
//   else                                            MIRAGE
#ifndef MIRAGE_METRICS_EMERGENCE_SIMULATION_TRUTH_H_
#define MIRAGE_METRICS_EMERGENCE_SIMULATION_TRUTH_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "metrics/emergence/simulation.h"

namespace mirage::metrics {

// The names are those of the API's Diagnosis.Verdict.
enum class TrueVerdict : uint8_t {
  kMirage,
  kResolutionLimited,
  kBreakSurvives,
  kSmooth,
  kMixed,
  kInsufficient,
};

// "MIRAGE", "RESOLUTION_LIMITED", ...
std::string_view TrueVerdictName(TrueVerdict verdict);

// The smallest rise of the exponent that is a break.
inline constexpr double kBreakRise = 0.3;
// The widest that it may be, as a share of the sampled range, and in gaps.
inline constexpr double kBreakMaxShare = 1.0 / 3;
inline constexpr double kBreakMaxGaps = 2;
// The least share of the mean's fall that a position or a group of items must carry.
inline constexpr double kMaterialShare = 0.25;
// Sizes before and after a break.
inline constexpr int kSizesBeforeBreak = 3;
inline constexpr int kSizesAfterBreak = 2;

// Where the exponent rises most.
struct LawRise {
  // Largest rise of a from an earlier to a later place within the range, >= 0; its middle (ln N,
  // where half of it is reached) and its 10-90 % width in ln N.
  double rise = 0;
  double middle = 0;
  double width = 0;
  // Largest rise within any window of the width that was asked for, and the window's middle.
  double window_rise = 0;
  double window_middle = 0;
};

// Finds it on 4001 places between the two ends; `slope` gives d ln NLL / d ln N.
LawRise FindLawRise(double first, double last, double window,
                    absl::FunctionRef<double(double log_scale)> slope);

// The truth of a family.
struct SimulationTruth {
  // The verdict that is right.
  TrueVerdict verdict = TrueVerdict::kInsufficient;
  // Verdicts that are not wrong: the right one first, then abstentions (INSUFFICIENT always); MIXED
  // where a size does not follow the law; BREAK_SURVIVES where a break is there that data can
  // hardly show; the verdict on the other side where h40 is within .05 of its bound; those of the
  // shorter targets.
  std::vector<TrueVerdict> acceptable;
  // Why, in one sentence.
  std::string reason;
  // Expected value of the sharp metric at each size (longest target), mean NLL a token likewise.
  std::vector<double> expected_sharp;
  std::vector<double> expected_nll;
  // Of the expected sharp curve.
  std::optional<double> h40;
  // The largest rise of the exponent, in the mean.
  LawRise mean_rise;
};

// Works it out. O(sizes x 20 000 items x tokens): 10 ms for a preset.
SimulationTruth TruthOf(const Simulation& simulation);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_SIMULATION_TRUTH_H_
