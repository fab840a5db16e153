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
//  5. counterparts contradict each other                            MIXED COUNTERPARTS_DISAGREE
//  6. the counterpart gets worse over the take-off                  MIXED COUNTERPART_WORSENS
//  7. the counterpart's law breaks (slope_break.h)                  BREAK_SURVIVES  LAW_BREAKS
//     or breaks at positions, or in groups of items, that carry
//     a quarter of its fall (part_breaks.h)                         BREAK_SURVIVES
//                                                   POSITION_BREAKS, STRATUM_BREAKS
//  8. emergent, without a counterpart that a law can be fitted to   INSUFFICIENT  NO_COUNTERPART
//  9. 10 would hold, but the spread of the items jumps
//     (heterogeneity.h)                                       INSUFFICIENT HETEROGENEITY_JUMPS
// 10. a break is ruled out, each model's counterpart composes to
//     its metric, and the smooth law of the smaller scales, so
//     composed, predicts those held out and does not allow the
//     curve to stay flat                                            MIRAGE
//     (what it predicts has no emergent shape: sampling made
//     the curve look sudden)                                        SMOOTH        GRADUAL
// 11. else                                                          INSUFFICIENT  UNDECIDED
//
// Thresholds, set on simulated families: a break needs P(the exponent rises by 0.3 or more within
// the window) >= .6 with three scales before and two after, and p < .05 of the sup-F test. It is
// ruled out by P <= .1, and P <= .5 of as steep a rise in a wide bend. Where two or more sizes are
// at the metric's ceiling (reason CEILING), NLLs there scatter by factors and hide a break: it is
// also looked for in the law up to the first of them, if that leaves five scales, and has to be
// ruled out there, too. Measured values have to lie inside 99 % predictive bands (for the
// composition: at all scales together), not 90 % ones: at 90 %, one clear mirage in ten would fail
// by the luck of the draw.
//
// Composition. Of means: the NLL and the spread of items make p^L (composition.h). How difficulty
// is spread is not known beyond its coefficient of variation, but the same for all models: what
// counts is each distribution (item_spread.h) under which all of them compose to what was measured.
// Of an edit distance, the variance of its counts tells the spread. Where models have items and all
// tokens must be right, the items themselves do (item_composition.h): by exp(log p) where answers
// are sampled, by the link of the other models' items under greedy decoding, whose largest
// deviation is the reason ITEM_LINK; a link that scatters by more than .7 in ln NLL between models
// composes to nothing. A law's prediction is made of a model's own items, or of those of the
// nearest one, scaled to the law's mean; what is held out lends neither its items nor its scores to
// a forecast. Choices without items compose from mean margins (margin_spread.h), if the margin is
// among the other counterparts: it is known by its properties, being unbounded, continuous and
// dependent on wrong choices. Their law is that of the margin over its standard deviation.
//
// Parts. Positions and strata with 100 items in each model and 2 % of the fall are tested; q < .05
// is a break. Its share of the fall is item_share * (first size's value - value at the ceiling, or
// the last size's), nothing where that is negative, over the sum of all parts of its alignment:
// positions counted from one end, or the strata of one field. The alignment whose breaks carry most
// counts: 25 % together are material, below that it is said (MINOR_POSITION_BREAK) and decides
// nothing. Breaks with a sampled size between them are STAGGERED_BREAKS. Breaks in generated text
// count only where no position has teacher-forced values, for greedy answers are as sharp at
// one position as over the whole target; then the verdict is WEAK (GENERATED_PARTS_ONLY).
//
// Groups of items by what they gain in other models (gain_groups.h) are strata like those of
// documents' fields. Where they were tested the spread of the items is not asked: they say more
// (items whose gold is wrong get harder, and spread the others without a break).
//
// Counterparts disagree where, from the size at which one is best to the last size, it gets worse
// by three standard errors (of sampling: this is about these models) and by 5 % of its range over
// the sizes (plateaus scatter), while the other one does not get worse by more than two. A curve
// that is not emergent keeps its verdict, and the reason is given.
//
// Seeds: a size whose replicates fall into two modes (seed_modes.h) is named, BIMODAL_SEEDS.
//
// Strength: what five or six scales say is WEAK, likewise without n and standard errors, and a
// break seen with one training a size (SINGLE_SEED); seven and eight scales are MODERATE. So is a
// MIRAGE unless the positions of the targets were looked at by token log-probs and none breaks:
// means do not show breaks at single positions (staggered ones can add up to a smooth mean).
//
// Source: Schaeffer et al. 2023 (arXiv 2304.15004) for the question; the rules are Mirage's own.
#ifndef MIRAGE_METRICS_EMERGENCE_VERDICT_H_
#define MIRAGE_METRICS_EMERGENCE_VERDICT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "metrics/emergence/composition.h"
#include "metrics/emergence/curve_shape.h"
#include "metrics/emergence/item_spread.h"
#include "metrics/emergence/law_quantity.h"
#include "metrics/emergence/part_breaks.h"
#include "metrics/emergence/slope_break.h"

namespace mirage::metrics {

// Scales that a verdict needs.
inline constexpr size_t kVerdictMinScales = 5;
// Level of the predictive bands.
inline constexpr double kVerdictBandLevel = 0.99;

// What each item of one model says, in any order; both columns have the same length.
struct VerdictItems {
  // Log-probability of the item's whole target, in nats, <= 0.
  std::vector<double> log_p;
  // Its score under the sharp metric, in [0, 1].
  std::vector<double> scores;
};

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
  // The same item by item; null where there are none. Shared, so that several series of one run
  // need one copy.
  std::shared_ptr<const VerdictItems> items;
};

// The counterpart in one part of the items: at one position of the targets, or in one stratum.
struct VerdictPart {
  // One model's value.
  using Value = PartValue;

  // Position in the target from 0, counted from its end if `from_end`; absent for a stratum.
  std::optional<size_t> position;
  bool from_end = false;
  // "field=value" of a stratum, declared by the documents or by models of other sizes (kGainField),
  // never by who solves them; empty for a position.
  std::string stratum;
  // What a model that knows nothing has there, >= 0: the entropy of the gold units (nats) for
  // log-probabilities, the error of the best constant answer for generations. Absent: unknown; 0:
  // nothing to learn there (the stop token).
  std::optional<double> chance;
  // Whether the values are shares of wrong units in generated text, in [0, 1], and not mean NLL
  // under teacher forcing.
  bool is_generated = false;
  // Share of all items that have this part, in (0, 1].
  double item_share = 1;
  // By model, in the order of VerdictSeries::models.
  std::vector<Value> models;
};

// A further continuous counterpart. No law is fitted to it: it is only asked whether it agrees with
// the primary one.
struct VerdictOther {
  // For texts of reasons only.
  std::string name;
  CurveMetric metric;
  // By model, in the order of VerdictSeries::models; absent where the model has none.
  std::vector<std::optional<double>> values;
  // As many, >= 0; absent where unknown.
  std::vector<std::optional<double>> standard_errors;
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
  // The counterpart's name, for texts of reasons only.
  std::string counterpart_name;
  // How a scale is written in these texts; null for up to four digits.
  std::function<std::string(double scale)> scale_text;
  // Answers at temperature 0: exact match says that the gold is the argmax, not a draw of it.
  bool is_greedy = false;
  std::vector<VerdictModel> models;
  // The counterpart at positions and in strata; empty where they were not looked at.
  std::vector<VerdictPart> parts;
  // Counterparts beside the primary one.
  std::vector<VerdictOther> others;
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

// A break that was found.
struct VerdictBreak {
  // Place in VerdictSeries::parts; absent for the mean.
  std::optional<size_t> part;
  // Where the law breaks, on the x axis.
  double scale = 0;
  double p_value = 1;
  // Corrected by Holm over the parts of this series and the tests of each.
  double q_value = 1;
  // Share of the counterpart's whole fall that this part carries.
  double share_of_fall = 1;
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
  // Of the mean and of the parts, the most significant first.
  std::vector<VerdictBreak> breaks;
  // Where means compose: how the items' difficulty may be spread, by what all models compose to.
  std::vector<ItemDifficulty> difficulties;
};

// The verdict. INVALID_ARGUMENT, with the field's place: scales, values, errors or n out of range;
// options out of range. A series without models is INSUFFICIENT. The order of models and items does
// not change a bit. About 30 ms for 8 models; parts come on top (part_breaks.h).
absl::StatusOr<VerdictResult> Judge(const VerdictSeries& series, const VerdictOptions& options);

// The length of the targets where the counterpart counts errors per target: the range of its law
// quantity (law_quantity.h). Absent otherwise, and without a counterpart.
std::optional<double> CounterpartUnitLength(const VerdictSeries& series);

// What composes means to the sharp metric (composition.h): what q is, and the length of a target in
// units of the counterpart.
struct MeansComposition {
  AllTokensOf of = AllTokensOf::kNll;
  double length = 1;
};

// Absent where means do not compose: another composition than of all tokens, an unknown length.
std::optional<MeansComposition> MeansCompositionOf(const VerdictSeries& series);

// "MIRAGE" and so on, as in the answer.
std::string_view VerdictName(Verdict verdict);
std::string_view StrengthName(Strength strength);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_VERDICT_H_
