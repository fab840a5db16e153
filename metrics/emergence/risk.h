#ifndef MIRAGE_METRICS_EMERGENCE_RISK_H_
#define MIRAGE_METRICS_EMERGENCE_RISK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "metrics/emergence/distortion.h"
#include "metrics/stats/intervals.h"

namespace mirage::metrics {

// Expected successes (failures) below which the test set cannot see the metric move off its floor
// (ceiling): with fewer than 3 expected, 0 of n has a chance above 5 %.
inline constexpr double kBlindExpectedCount = 3;
// HIGH from here on: the lower bound of R.
inline constexpr double kHighDistortion = 4;
// NONE needs R's interval within these.
inline constexpr double kProportionateLow = 0.5;
inline constexpr double kProportionateHigh = 2;
// Standard errors of a one-sided 95 % bound of a mean.
inline constexpr double kOneSided95 = 1.6448536269514722;
// z(97.5 %) + z(80 %): two-sided 5 %, power 80 %.
inline constexpr double kDetectableZ = 2.8015852181129683;
// Level of the upper bound after 0 of n.
inline constexpr double kZeroOfNLevel = 0.95;

// What the metric is, as far as its risk goes.
enum class RiskMetricKind {
  // 1 if the whole answer is right; log p of the target is known.
  kExactMatch,
  // 1 if the gold choice wins; the choices' scores are known.
  kMultipleChoice,
  // 1 if the whole answer is right; only edit distances to the target are known.
  kEditDistanceOnly,
  // Continuous in log p: NLL, bits per byte, p of the gold, Brier, margin.
  kContinuous,
  // Any other sharp metric that Mirage has a definition of.
  kOther,
  // A metric that Mirage does not know (a task's own scorer), whose rows are 0 or 1.
  kUnregisteredShare,
  // One that it does not know and whose rows are not: whether it is sharp cannot be told.
  kUnregistered,
};

// What is known of one reported metric of one run. An optional double that is NaN is taken as
// absent.
struct RiskInput {
  RiskMetricKind kind = RiskMetricKind::kOther;
  // Number of items behind `observed`; 0 where the run does not say (the distortion's is used
  // then).
  uint64_t n = 0;
  // Whether the run recorded samples, not only aggregates.
  bool has_samples = false;
  // The reported value and its interval.
  std::optional<double> observed;
  std::optional<ConfidenceInterval> observed_interval;
  // Its standard error. Used for metrics that are not shares (kOther, kContinuous).
  std::optional<double> observed_standard_error;
  // The value that guessing reaches.
  std::optional<double> chance;
  // Mean margin of the items with its standard error, and what the margin is by chance (with its
  // error, if that is estimated too): for example from choices that are permuted between items.
  std::optional<double> mean_margin;
  std::optional<double> mean_margin_standard_error;
  std::optional<double> chance_margin;
  std::optional<double> chance_margin_standard_error;
  // Mean log p(gold) normalised over the choices, its standard error, and its value when guessing:
  // mean of -log K. For COUNTERPARTS_DISAGREE.
  std::optional<double> mean_log_p_choices;
  std::optional<double> mean_log_p_choices_standard_error;
  std::optional<double> chance_log_p_choices;
  // The distortion at this run's operating point.
  std::optional<Distortion> distortion;
  // Items whose gold answer nobody could check.
  uint64_t n_gold_unverified = 0;
  // Whether counterparts could be computed but are withheld, because the rows do not support them.
  bool counterparts_withheld = false;
  // Unit of the edit distances, for the text: "codepoints", "words", a tokenizer's name.
  std::string_view unit = "codepoints";
  // Whether continuous counterparts of the same samples stand beside the metric. Only asked for
  // metrics that Mirage does not know.
  bool has_counterparts = false;
};

// The level; the names are those of the API's MirageRisk.
enum class RiskLevel {
  // Moves in proportion to what the model does.
  kNone,
  // A sharp metric that bends little here, or that cannot be shown to bend much.
  kLow,
  // The next step would show as a jump, or the test set cannot see what the model already does.
  kHigh,
  // No counterpart: nothing recorded that could tell.
  kUnknown,
};

// Why, with the numbers.
struct RiskReason {
  // One of the kReason... codes below; static storage.
  std::string_view code;
  // One sentence of less than 160 characters.
  std::string text;
  // Names in lower_snake_case. Never NaN.
  std::vector<std::pair<std::string, double>> values;
};

// R and its interval, whatever they are: the text says whether that is proportionate, and ">="
// where the last gain is below 1/n, so that R is held down. Values: r, r_lower, r_upper,
// u (exact match), m_one, next_gain (m(1/2) - m(1)), last_gain (m(1) - m(2)), n, observed (if
// known). Where the distortion is not composed: m_one and n alone, since R would be an artefact.
inline constexpr std::string_view kReasonDistorts = "DISTORTS";
// What n items can resolve. Values: n; minimum_detectable_change (may exceed 1: then no change
// can be told); zero_of_n_upper_bound;
// n_to_resolve (= 3/m(1) at the floor, 3/(1 - m(1)) at the ceiling).
inline constexpr std::string_view kReasonResolution = "RESOLUTION";
// n m(1) < 3: fewer than 3 expected successes. Stands for AT_CEILING too where n is so small that
// both hold. Values: expected_successes, m_one, n.
inline constexpr std::string_view kReasonAtFloor = "AT_FLOOR";
// n (1 - m(1)) < 3. Values: expected_failures, m_one, n.
inline constexpr std::string_view kReasonAtCeiling = "AT_CEILING";
// The metric's interval contains chance. Values: observed, lower, upper, chance; and
// mean_margin, margin_lower_bound, chance_margin where the margin is above chance (then it is
// blind).
inline constexpr std::string_view kReasonNearChance = "NEAR_CHANCE";
// Some golds are unverified. Values: n_gold_unverified, n.
inline constexpr std::string_view kReasonGoldUnverified = "GOLD_UNVERIFIED";
// Only aggregates were recorded. No values but n.
inline constexpr std::string_view kReasonNoSamples = "NO_SAMPLES";
// Nothing continuous was recorded for this metric. No values but n.
inline constexpr std::string_view kReasonNoCounterpart = "NO_COUNTERPART";
// Mirage has no definition of the metric, so there is no R. No values but n.
inline constexpr std::string_view kReasonUnregistered = "UNREGISTERED_METRIC";
// What log p, or the edit distances, compose to beside the share that was seen; the text says
// whether the metric's interval holds it. Values: m_one, observed, u (where log p is known); and
// lower, upper where there is an interval.
inline constexpr std::string_view kReasonComposition = "COMPOSITION";
// The metric is continuous in log p. Values: n, observed (if known).
inline constexpr std::string_view kReasonContinuous = "CONTINUOUS";
// The distortion comes from edit distances only, so the level is never NONE. Values: n.
inline constexpr std::string_view kReasonEditDistanceOnly = "EDIT_DISTANCE_ONLY";
// Of accuracy, mean margin and mean log p(gold) over the choices, one is above its chance value and
// another below (95 %: the metric's own interval, one-sided for the means). Above in accuracy and
// below in log p are overconfident errors. Values, where known: lower, upper, chance;
// margin_above_chance, margin_above_chance_error; log_p_above_chance, log_p_above_chance_error.
inline constexpr std::string_view kReasonCounterpartsDisagree = "COUNTERPARTS_DISAGREE";
// None contradicts another, and at least two are above, or below, chance. The same values.
inline constexpr std::string_view kReasonCounterpartsAgree = "COUNTERPARTS_AGREE";

// The level and why, the most important reason first; `reasons` is never empty.
struct Risk {
  RiskLevel level = RiskLevel::kUnknown;
  std::vector<RiskReason> reasons;
};

// "NONE", "LOW", "HIGH", "UNKNOWN".
std::string_view RiskLevelName(RiskLevel level);

// Mirage risk of one metric of one run: not a probability, but the metric's distortion at the
// operating point and what the test set can see there. The first that applies:
//   NONE     the metric is continuous in log p;
//   UNKNOWN  neither a distortion nor the mean margin beside its chance value is known; but LOW for
//            a metric of the task's own whose rows are 0 or 1 and beside which counterparts stand;
//   HIGH     blind floor: n m(1) < 3, or the metric's interval contains chance while the mean
//            margin is above its chance value (the one-sided 95 % bound of the difference is);
//   HIGH     the lower bound of R is >= 4, and it is more than edit distances to targets of one
//   unit
//            (Distortion::is_composed);
//   NONE     R's interval is within [1/2, 2], no ceiling (n (1 - m(1)) >= 3), and the distortion
//            does not come from edit distances alone;
//   LOW      everything else.
// m(1) is the distortion's. A floor or ceiling that the observed interval contradicts (its lower
// end above 3/n at the floor, its upper end below 1 - 3/n at the ceiling) is not called: there log
// p does not describe what was scored (greedy decoding, chain of thought), and COMPOSITION shows
// both numbers.
//
// RESOLUTION states the smallest change between two independent runs of n items that a two-sided 5
// % test finds with 80 % power: (z.975 + z.80) sqrt(2 q (1 - q) / n) for shares, with q = (k +
// 2)/(n + 4), so that 0 of n is not certainty; (z.975 + z.80) sqrt(2) se for other metrics.
//
// O(1); never fails. Source: Mirage's own definition (docs/risk.md); Agresti, Coull (1998) for q.
Risk AssessRisk(const RiskInput& input);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_RISK_H_
