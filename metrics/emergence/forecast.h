// The sharp metric of a larger model, from the smaller ones alone.
//
// Let x = ln scale. The metric, as a share of its range, is put on two scales: as it stands, and as
// its logit. On either one the curve is taken for
//
//   z(x) = a + integral of a slope v from the smallest scale to x,
//
// a Gaussian process: a is normal and wide, v has mean 0, standard deviation s and a correlation
// exp(-distance / l) between two places. So a short l forgets the slope (the last value is carried
// forward), a long one keeps it (a straight line), s says how steep curves are. A measured value
// differs from the curve by the model's own scatter tau and by the sampling of its n items, of
// which only a part omega is the model's own: models answer the same items, and what is hard is
// hard for all. The forecast is the mixture over a grid of s, l, tau, omega and the two scales,
// each weighted by its prior and by the density that it gives to the measured values. That density
// is the product of its forecasts of each next model from the smaller ones: candidates are weighted
// by how well they would have forecast this series so far.
//
// A sudden rise is not announced by the models before it. So with a probability of 0.02 a nat of
// scale the metric rises from where the curve leads, by about 1.2 sqrt(h) on the logit and 0.24
// sqrt(h) of the range at a distance of h nats: it widens the upper end and hardly moves the
// median.
//
// The value is the median of the mixture, which has the least mean absolute error. The interval
// holds the middle `level` of it, is never narrower than the binomial error of the target's n
// items, and never leaves the metric's range.
//
// All constants were chosen on simulated curves and on real series that are no part of the
// back-test: docs/forecast.md says which, and has the figures.
//
// Sources: Rasmussen, Williams (2006), Gaussian Processes for Machine Learning, section 2.7 and
// algorithm 2.1; Taylor, Jordan (1987), Physical Review D 36 (the integrated Ornstein-Uhlenbeck
// process); Dawid (1984), J. Royal Statistical Society A 147 (the prequential weight).
#ifndef MIRAGE_METRICS_EMERGENCE_FORECAST_H_
#define MIRAGE_METRICS_EMERGENCE_FORECAST_H_

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "metrics/emergence/law_quantity.h"

namespace mirage::metrics {

// Distinct scales that a forecast needs.
inline constexpr size_t kForecastMinScales = 4;
// Of more models, those of the largest scales are used.
inline constexpr size_t kForecastMaxModels = 40;
// A scale to be reached is looked for up to so many times the largest model's.
inline constexpr double kForecastMaxFactor = 1e6;

// One model.
struct ForecastModel {
  // Position on the x axis, > 0 and finite. Replicates share it.
  double scale = 0;
  // The metric, within its bounds.
  double value = 0;
  // Number of items, >= 1; absent when unknown.
  std::optional<double> n;
  // From sampling items, >= 0 and finite, in the metric's unit. Counts as the number of items that
  // would give it, where that is below n or n is unknown.
  std::optional<double> standard_error;
};

struct ForecastOptions {
  // Nominal coverage of the intervals, in (0, 1).
  double level = 0.9;
};

// The metric at a larger scale.
struct ForecastValue {
  double scale = 0;
  // Median; lower <= value <= upper, all within the metric's bounds.
  double value = 0;
  double lower = 0;
  double upper = 0;
};

// The scale at which the metric reaches a value.
struct ForecastScale {
  // In the metric's unit.
  double value = 0;
  // P(the curve has reached it at the largest model's scale).
  double reached = 0;
  // The smallest scale from the largest model's on, at which the curve has reached the value with
  // probability (1 - level) / 2, 1/2 and (1 + level) / 2. Absent where it does not up to
  // kForecastMaxFactor times that: then that end is unbounded. An end at the largest model's own
  // scale means there or below.
  std::optional<double> lower;
  std::optional<double> scale;
  std::optional<double> upper;
};

// What a series says of larger models. Immutable.
class SharpForecast {
 public:
  // Models may come in any order; the result does not depend on it. No random numbers: the same
  // input gives the same bits. Complexity: O(n^3) for n models, times 528 to 704 candidates; with
  // one forecast 3 ms for 8 models, 8 ms for 40.
  //
  // INVALID_ARGUMENT, with the field's place: a metric without finite bounds (lower < upper), a
  // scale that is not > 0 and finite, a value out of the bounds, an n below 1, a standard error
  // that is negative or not finite, a level out of range. FAILED_PRECONDITION: fewer than
  // kForecastMinScales distinct scales.
  static absl::StatusOr<SharpForecast> Create(std::span<const ForecastModel> models,
                                              const CurveMetric& metric,
                                              const ForecastOptions& options);

  // What a model of this scale will show on `n` items; without n on as many as the models have
  // (their median; where theirs are unknown, as many as each candidate takes them to be). About 0.1
  // ms.
  //
  // INVALID_ARGUMENT: a scale that is not finite, or not larger than all models'; an n below 1.
  absl::StatusOr<ForecastValue> At(double scale, std::optional<double> n) const;

  // Where the curve itself, without a model's scatter and sampling, reaches `value` in the
  // direction in which models improve. It says nothing of what smaller models have done. About 10
  // ms.
  //
  // INVALID_ARGUMENT: a value that is not strictly between the bounds.
  absl::StatusOr<ForecastScale> Reach(double value) const;

  // Share of the weight on the logit, in [0, 1].
  double logit_weight() const;
  // Posterior mean of the slope's persistence l in ln(scale), 0.35 to 100.
  double persistence() const;

 private:
  // One candidate with some weight: the posterior of its process.
  struct Candidate {
    bool is_logit = false;
    double weight = 0;
    double slope_sd = 0;
    // Place of l in the grid.
    size_t length = 0;
    double scatter = 0;
    double own_share = 0;
    std::optional<double> assumed_items;
    // Cholesky factor of the covariance, row by row, and its inverse times the centred values.
    std::vector<double> factor;
    std::vector<double> whitened;
  };
  // A normal distribution on a candidate's scale.
  struct Part {
    bool is_logit = false;
    double weight = 0;
    double mean = 0;
    double sd = 0;
    // Items on which the value is measured; absent for infinitely many.
    std::optional<double> items;
  };

  SharpForecast() = default;
  // The curve at `x`, and with `is_measured` a model's value on n items.
  std::vector<Part> PartsAt(double x, bool is_measured, std::optional<double> items) const;

  double lower_bound_ = 0;
  double upper_bound_ = 1;
  bool higher_is_better_ = true;
  double level_ = 0.9;
  // Median of the models' items, where all are known.
  std::optional<double> usual_items_;
  // ln scale from the smallest model's, ascending.
  std::vector<double> places_;
  double log_first_ = 0;
  double largest_scale_ = 0;
  std::vector<Candidate> candidates_;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_FORECAST_H_
