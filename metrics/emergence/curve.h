// A metric over the models of one family, with what is known of each number's error.
//
// Two errors are kept apart. Sampling error comes from a finite test set: it is the point's own.
// Scatter comes from training: two models of one size differ, whatever the test set. It is one
// factor on a model's NLL, log-normal of median 1, whose logarithm has the standard deviation tau.
// How it shows in a metric depends on how the metric follows from the NLL: `ScatterKind`.
#ifndef MIRAGE_METRICS_EMERGENCE_CURVE_H_
#define MIRAGE_METRICS_EMERGENCE_CURVE_H_

#include <cstdint>
#include <optional>
#include <span>

#include "absl/status/status.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {

// One model, or the mean of the replicates of one size.
struct CurvePoint {
  // Position on the x axis, in its unit, > 0 and finite.
  double scale = 0;
  // The metric, finite; in [0, 1] where `binomial_n` > 0.
  double value = 0;
  // Number of 0/1 items whose share `value` is: its error is binomial. 0 where the metric is no
  // such share, or n is unknown. At most 2^53.
  uint64_t binomial_n = 0;
  // Standard error from sampling items, >= 0, in the metric's unit. Used where `binomial_n` is 0.
  // Absent together with that: nothing is known of the error.
  std::optional<double> standard_error;
};

// How a factor s on a model's NLL shows in the metric.
enum class ScatterKind : uint8_t {
  // value + ln s: tau is in the metric's own unit. Where nothing better is known.
  kAdditive,
  // value s: NLL, bits per byte, an edit distance.
  kProportional,
  // z^s for z = (value - lower) / (upper - lower): exact match is exp(-L NLL), so that a factor on
  // the NLL is a power of it. For multiple choice `lower` is chance: an approximation. Values at or
  // beyond the bounds stay.
  kPower,
};

// The scatter between models.
struct Scatter {
  // Standard deviation of ln s, >= 0. 0 is none.
  double tau = 0;
  ScatterKind kind = ScatterKind::kPower;
  // kPower only: the values for an infinite NLL and for none, lower < upper.
  double lower = 0;
  double upper = 1;
};

// OK, or INVALID_ARGUMENT that names the field and the remedy: `points[3].scale is -1: ...`. Scales
// must ascend strictly: replicates of one size are one point. No points at all are fine.
absl::Status CheckCurve(std::span<const CurvePoint> points);

// The same for a scatter.
absl::Status CheckScatter(const Scatter& scatter);

// Whether the sampling error of the point is known.
bool HasError(const CurvePoint& point);

// Standard deviation of the point's sampling error; 0 where it is unknown. A share's is
// sqrt(p (1 - p) / n) at p = (k + 1/2) / (n + 1), so that 0 of n is not taken for certain.
double SamplingError(const CurvePoint& point);

// Standard deviation, to first order, that the scatter gives to `value`: tau, tau |value|, or tau
// (upper - lower) |z ln z|.
double ScatterError(double value, const Scatter& scatter);

// Both errors of a point.
double TotalError(const CurvePoint& point, const Scatter& scatter);

// Draws what might have been measured in the place of `point`, if the law's value there were
// `truth`: first the scatter, then the sampling error. A share is k / n with k binomial (its mean
// held within [0, 1]); other values are normal, and not held within any bounds. About 0.1 us.
double DrawValue(double truth, const CurvePoint& point, const Scatter& scatter, CounterRng& rng);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_CURVE_H_
