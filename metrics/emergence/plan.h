// What would settle a series: how many items, which further sizes, how many trainings a size.
//
// Items. A model's value is what its counterpart composes to, or the smooth law where that is
// unknown, else what was measured. To be told from the floor or the ceiling, whichever is nearer:
//   from 0 (or 1)   n = ln(1 - power) / ln(1 - d), d the distance: one success (failure) proves it.
//                   3 / d for a power of 95 %, the rule of three;
//   from chance     n = (z_{a/2} sqrt(p0 (1 - p0)) + z_b sqrt(p1 (1 - p1)))^2 / (p1 - p0)^2;
//   other metrics   n = (z_{a/2} + z_b)^2 variance / d^2 (power.h), from the standard errors.
// Detectable is the smallest change from the largest size to another model that today's number of
// items shows: (z_{a/2} + z_b)^2 (p (1 - p) + p' (1 - p')) / n = (p' - p)^2, p' = p +- change. That
// both models answer the same items makes it smaller by a covariance that nobody knows before.
//
// RESOLUTION_LIMITED is left where the rise from the first to the last size is above three of its
// standard errors; n is the smallest for which that happens with the power asked for, scatter
// between models included: rise - z_b s(n) >= 3 sqrt(s(n)^2 + scatter^2). Where means compose, the
// values are the least under a spread of difficulty that the judgement left.
//
// Further sizes. A law is drawn from the posterior of the counterpart (SlopeBreak::Draw), with or
// without a break as probable as the evidence makes them; a model of the new size is drawn from it,
// with scatter, sampling of its counterpart, and a 2 % chance to follow no law; its sharp metric
// from what composes (items of the nearest size, by the family's own link, where there are items;
// means otherwise; the curve itself, interpolated, where nothing composes). Judge says what it
// would say. p_decided is the share of draws in which that is MIRAGE, BREAK_SURVIVES, SMOOTH or
// RESOLUTION_LIMITED, without the positions and strata of the parts, which only change which of
// these it is. It is a forecast by the prior of slope_break.h (half of it without a rise), no
// promise about one family.
//
// The search is greedy: of up to five places (between the sizes around a suspected break and around
// the take-off, above, below) the best by kPlanScreenDraws draws each; of those as good within .03
// the smallest, which costs least to train. It is then judged by `draws` draws of its own:
// p_decided has a standard error of sqrt(p (1 - p) / draws), .065 at most for 60. This goes on up
// to kPlanMaxScales more sizes, until the power is reached, or two more sizes have not brought one
// draw in ten, or twice one more size has not brought one draw in twenty; what brought nothing is
// not in the plan. With fewer than five sizes the missing ones are placed first. Draws that decide
// nothing count by how near the law's posterior is to the bounds of a break, so that a few tell the
// places apart; with so few draws the search takes a good place, not always the best one.
//
// Seeds. While it is open whether a law breaks, a rise of the exponent by .3 is told from scatter
// between models by r trainings a size:
//   r = ((z_{a/2} + z_b) tau / .3)^2 (1 / Sxx_before + 1 / Sxx_after),
// the variance of the difference of two slopes; Sxx over the up to three sizes up to the place in
// question and the up to three after it; tau of the models up to the ceiling. Where a sudden rise
// is within scatter (SCATTER), r such that the rise is above three standard errors with that power.
// Two where a break that was found rests on one training a size; at most kPlanMaxSeeds, which is
// then a lower bound.
//
// Source: Miller 2024 (arXiv 2411.00640) for items; the rest is Mirage's own.
#ifndef MIRAGE_METRICS_EMERGENCE_PLAN_H_
#define MIRAGE_METRICS_EMERGENCE_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/emergence/verdict.h"

namespace mirage::metrics {

// Most sizes that a plan adds to a series of five and more.
inline constexpr size_t kPlanMaxScales = 4;
// Draws that choose between places.
inline constexpr int kPlanScreenDraws = 12;
// Most trainings a size that a plan asks for.
inline constexpr size_t kPlanMaxSeeds = 16;

struct PlanOptions {
  // The change worth seeing, in the metric's unit, >= 0. 0 means what the counterpart predicts for
  // the next size above at this spacing; without a composition, the curve's last step; .1 of the
  // range where that is 0, or the curve is at its ceiling or within .05 of its best value.
  double delta = 0;
  // Above 1 - level and below 1.
  double power = 0.8;
  // Above .5 and below 1.
  double level = 0.95;
  // As for Judge.
  int hold_out = 1;
  uint64_t seed = 0;
  // Draws behind each p_decided, 1 to 100 000.
  int draws = 60;
  // Does not change a bit of the answer.
  int threads = 1;
};

// INVALID_ARGUMENT, by the option's name, for one that is out of range.
absl::Status CheckPlanOptions(const PlanOptions& options);

struct PlannedItems {
  // Place in the series' models.
  size_t model = 0;
  // Items, >= 1; may be beyond any test set.
  double n = 1;
  // The value that these tell from its floor, chance or ceiling.
  double to_resolve = 0;
};

struct PlannedModel {
  // On the series' axis.
  double scale = 0;
  // Items to evaluate it on, where today's models say how many.
  std::optional<double> n;
  // Probability that the series is decided with this one and those before it; absent where it was
  // not simulated.
  std::optional<double> p_decided;
  // What it would tell, in one sentence.
  std::string reason;
};

struct SeriesPlan {
  // The change that is planned for.
  double delta = 0;
  // The smallest change that today's items see; absent where their number and error are unknown.
  std::optional<double> detectable;
  // By ascending scale. Models whose value is at the bound are left out: no number tells them.
  std::vector<PlannedItems> items;
  std::vector<PlannedModel> scales;
  // Trainings a size; 0 where today's are enough.
  size_t seeds_needed = 0;
  // The most important first, never empty. Codes: ALREADY_DECIDED, MORE_ITEMS, MORE_SCALES,
  // MORE_SEEDS, NEEDS_COUNTERPART (log-probabilities of the gold), NEEDS_SAMPLES (per-sample
  // results, or lengths), NEEDS_TOKEN_LOGPROBS (positions of the targets), NEEDS_COUNTS (number of
  // items), CONTRADICTION (no number of models settles it), NOT_SETTLED (nothing up to the search's
  // bound decides).
  std::vector<VerdictReason> reasons;
};

// Makes the plan of one series in small steps.
//
//   auto planner = SeriesPlanner::Create(series, judged, options);
//   while (!(*planner)->is_done()) (*planner)->Step();
class SeriesPlanner {
 public:
  // `judged` is what Judge says of `series`. INVALID_ARGUMENT: options out of range, by name; a
  // result of another series.
  static absl::StatusOr<std::unique_ptr<SeriesPlanner>> Create(VerdictSeries series,
                                                               VerdictResult judged,
                                                               const PlanOptions& options);
  ~SeriesPlanner();
  SeriesPlanner(const SeriesPlanner&) = delete;
  SeriesPlanner& operator=(const SeriesPlanner&) = delete;

  bool is_done() const;
  // Judges a few draws; some 30 ms for each on one thread. Only before it is done.
  absl::Status Step();
  // Complete once it is done.
  const SeriesPlan& plan() const;

 private:
  class Impl;
  explicit SeriesPlanner(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

// All steps at once: a decided series in some milliseconds, an undecided one with 6 to 10 models in
// 5 to 30 s of processor time.
absl::StatusOr<SeriesPlan> PlanOf(const VerdictSeries& series, const VerdictResult& judged,
                                  const PlanOptions& options);

// The series with one more model at each of `scales`, drawn from what is known of it, as behind
// p_decided: draw `draw` of the seed. FAILED_PRECONDITION where nothing can be drawn: fewer than
// two sizes with a counterpart that a law can be fitted to.
absl::StatusOr<VerdictSeries> DrawWithScales(const VerdictSeries& series,
                                             const VerdictResult& judged,
                                             const std::vector<double>& scales,
                                             const PlanOptions& options, uint64_t draw);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_PLAN_H_
