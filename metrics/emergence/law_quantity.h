// What a scaling law is fitted to: a metric on the scale on which a power law is a line.
#ifndef MIRAGE_METRICS_EMERGENCE_LAW_QUANTITY_H_
#define MIRAGE_METRICS_EMERGENCE_LAW_QUANTITY_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// What a verdict knows of a metric: declared properties, never its name.
struct CurveMetric {
  bool higher_is_better = true;
  // Smallest and largest possible value; may be infinite.
  double lower_bound = 0;
  double upper_bound = 1;
  bool sharp = false;
  bool continuous = false;
  // Whether a change of the per-token error shows as a proportional change.
  bool linear_in_token_error = false;
  // Whether it changes with the mass on wrong choices.
  bool uses_wrong_choices = false;
  // Whether it is a mean of zeros and ones.
  bool proportion = false;
  // What guessing reaches; absent when undefined.
  std::optional<double> chance;
};

// How a metric becomes q > 0, which falls as models improve. For a metric that is a function of the
// negative log-likelihood q is (close to) that one.
enum class LawScale : uint8_t {
  // No bound on the good side, nor a finite range: a margin. No law in ln q.
  kNone,
  // Lower is better, from 0 up: q = value (NLL, bits per byte, squared error, an edit distance to
  // targets of unknown length).
  kValue,
  // Higher is better, up to 0: q = -value (a log-probability).
  kNegated,
  // Higher is better, in [lower, upper]: q = -ln((value - lower) / (upper - lower)) (a
  // probability, a similarity; 1 - an error rate).
  kLogShare,
  // Lower is better, in [lower, upper], and linear in the per-token error: q = -ln(1 - share of the
  // range). Of others (Brier) q is the value: kValue.
  kLogRest,
  // Lower is better, from 1 up: q = ln(value) (perplexity).
  kLog,
};

// The scale of a metric of these properties; `unit_length` is the length of the targets where the
// metric counts errors per target (then it is a share of that length), else absent.
LawScale LawScaleOf(const CurveMetric& metric, std::optional<double> unit_length);

// One model's number on that scale.
struct LawQuantity {
  // ln q, finite.
  double log_q = 0;
  // Its variance from the value's standard error, to first order; 0 where there is none.
  double variance = 0;
};

// OUT_OF_RANGE, with the reason, where q is not > 0 and finite: a value at or beyond the bound (a
// model that makes no error has no log error: a ceiling), one that is not finite. INVALID_ARGUMENT
// for kNone.
absl::StatusOr<LawQuantity> ToLawQuantity(const CurveMetric& metric, LawScale scale,
                                          std::optional<double> unit_length, double value,
                                          std::optional<double> standard_error);

// The inverse: the metric's value where ln q is `log_q`, and its standard error for this variance,
// to first order. 0 for kNone.
struct LawValue {
  double value = 0;
  double standard_error = 0;
};
LawValue FromLawQuantity(const CurveMetric& metric, LawScale scale,
                         std::optional<double> unit_length, const LawQuantity& quantity);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_LAW_QUANTITY_H_
