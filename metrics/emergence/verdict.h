// The verdict on one series: is a sudden rise the metric's doing?
//
// A series is one sharp metric of one task over the models of one family, beside the primary
// counterpart, which is fixed before looking. The rules are tried in this order, the first that
// matches decides:
//
//  1. fewer than five scales                                        INSUFFICIENT  TOO_FEW_SCALES
//  2. neither the metric nor the counterpart trends                 SMOOTH        NO_CHANGE
//  3. the counterpart improves, the metric's rise is not
//     significant, and its composition agrees with the counts       RESOLUTION_LIMITED
//     (a sudden rise that items alone do not explain, but
//     models scatter as much)                                       INSUFFICIENT  SCATTER
//  4. the curve has no emergent shape (curve_shape.h)               SMOOTH        GRADUAL
//  5. emergent, without a counterpart that a law can be fitted to   INSUFFICIENT  NO_COUNTERPART
//  6. the counterpart gets worse over the take-off                  MIXED COUNTERPART_WORSENS
//  7. the counterpart's law breaks (slope_break.h)                  BREAK_SURVIVES
//  8. a break is ruled out, each model's counterpart composes to
//     its metric, and the smooth law of the smaller scales, so
//     composed, predicts those held out and does not allow the
//     curve to stay flat                                            MIRAGE
//  9. else                                                          INSUFFICIENT  UNDECIDED
//
// Thresholds, set on simulated families: a break needs P(the exponent rises by 0.3 or more within
// the window) >= .6 with three scales before and two after, and p < .05 of the sup-F test. It is
// ruled out by P <= .1, and P <= .5 of as steep a rise in a wide bend. Measured values have to lie
// inside 99 % predictive bands (for the composition: at all scales together), not 90 % ones: at 90
// %, one clear mirage in ten would fail by the luck of the draw.
//
// Strength: what five or six scales say is WEAK, likewise without n and standard errors, and a
// break seen with one training a size; seven and eight scales are MODERATE, and so is every MIRAGE:
// means do not show breaks at single positions of the targets or in groups of items (staggered ones
// can add up to a smooth mean).
//
// Source: Schaeffer et al. 2023 (arXiv 2304.15004) for the question; the rules are Mirage's own.
#ifndef MIRAGE_METRICS_EMERGENCE_VERDICT_H_
#define MIRAGE_METRICS_EMERGENCE_VERDICT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "metrics/emergence/composition.h"
#include "metrics/emergence/curve_shape.h"
#include "metrics/emergence/law_quantity.h"
#include "metrics/emergence/slope_break.h"

namespace mirage::metrics {

// Scales that a verdict needs.
inline constexpr size_t kVerdictMinScales = 5;
// Level of the predictive bands.
inline constexpr double kVerdictBandLevel = 0.99;

// One model.
struct VerdictModel {
  // Position on the x axis, > 0 and finite. Replicates share it.
  double scale = 0;
  // Number of items, >= 1; absent when unknown.
  std::optional<double> n;
  // The sharp metric and its standard error (>= 0); absent where the model has none.
  std::optional<double> value;
  std::optional<double> standard_error;
  // The counterpart, in its own unit, its standard error, and its number of items.
  std::optional<double> counterpart;
  std::optional<double> counterpart_error;
  std::optional<double> counterpart_n;
};

// One series.
struct VerdictSeries {
  CurveMetric metric;
  // Absent when there is none.
  std::optional<CurveMetric> counterpart;
  Composition composition = Composition::kNone;
  // Length of the targets in the counterpart's units, > 0; absent when unknown. Needed to compose
  // from a counterpart per unit.
  std::optional<double> target_length;
  // Whether the counterpart is per unit (NLL per token) rather than of the whole target (log p of
  // it).
  bool counterpart_per_unit = true;
  std::vector<VerdictModel> models;
};

struct VerdictOptions {
  // Distinct largest scales that are kept out of a fit and predicted; 0 to 2. Fewer where less than
  // four scales would be left.
  int hold_out = 1;
  // Same seed, same series: same bits.
  uint64_t seed = 0;
  // Replicates of the break test.
  int replicates = 999;
};

enum class Verdict : uint8_t {
  kMirage,
  kResolutionLimited,
  kBreakSurvives,
  kSmooth,
  kMixed,
  kInsufficient,
};

enum class Strength : uint8_t { kStrong, kModerate, kWeak };

// Why, for programs and for people.
struct VerdictReason {
  std::string_view code;
  std::string text;
  std::vector<std::pair<std::string_view, double>> values;
};

// One model beside what is expected of it.
struct VerdictScale {
  // Place in the series' models.
  size_t model = 0;
  // The sharp metric that the smooth law of all models predicts here, scatter included; absent
  // where no composition counts.
  std::optional<PredictedShare> predicted;
  // What this model's own counterpart composes to: the test of the composition alone, which a model
  // off the law passes too.
  std::optional<PredictedShare> composed;
  bool held_out = false;
  // The prediction from the smaller models; for those held out.
  std::optional<PredictedShare> forecast;
};

struct VerdictResult {
  Verdict verdict = Verdict::kInsufficient;
  // Absent for kInsufficient.
  std::optional<Strength> strength;
  // The most important first; never empty.
  std::vector<VerdictReason> reasons;
  // Distinct scales.
  size_t n_scales = 0;
  // Models by ascending scale.
  std::vector<VerdictScale> scales;
  // Of the sharp curve, replicates averaged; absent below two scales.
  std::optional<CurveShape> shape;
  // Of the counterpart's law; absent without one.
  std::optional<BreakEvidence> law;
  // ln scale, ln q and variance behind it, for each model that has one, and its place.
  std::vector<LawPoint> law_points;
  std::vector<size_t> law_models;
};

// The verdict. INVALID_ARGUMENT, with the field's place: scales, values, errors or n out of range;
// options out of range. A series without models is INSUFFICIENT. About 30 ms for 8 models.
absl::StatusOr<VerdictResult> Judge(const VerdictSeries& series, const VerdictOptions& options);

// "MIRAGE" and so on, as in the answer.
std::string_view VerdictName(Verdict verdict);
std::string_view StrengthName(Strength strength);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_VERDICT_H_
