// Breaks in parts of the items: at positions of the targets and in strata.
//
// A smooth mean can be a sum of breaks: each position learned at once, at sizes of its own. So each
// part is tested by itself, in two ways:
//
// - where it is known what a model that knows nothing has there: does it stay at chance and then is
//   learned at once (chance_break.h)?
// - does its law break (slope_break.h)? A break has P(the exponent rises by .3 within the window)
//   >= .6, and its p-value is that of the sup-F test; else p is 1. The three scales before it must
//   lie before its onset. The curve is cut at its ceiling: of the sizes whose mean value is below
//   .02 of the first size's only the first counts, for there NLLs scatter by factors. A share of 0
//   wrong of n counts as 1/2 of n + 1.
//
// Parts are tested where each model that has them has at least 100 items, and at least five sizes
// do. p-values are Holm-corrected over all tests of all parts, separately for teacher-forced values
// and for generated text, which is the weaker evidence (errors propagate, alignments shift): each
// of the two has a family-wise error of 5 % where q < .05 is asked for. A test that could not have
// found anything (too few sizes at chance to begin with or after these, too few before the ceiling)
// is not counted: that does not depend on what the sizes after show. Nor is a part with the same
// values as one before it, such as a position counted from the other end of targets of one length:
// it takes over what that one has.
//
// Source: Holm (1979), Scand. J. Statist. 6, 65-70; the rules are Mirage's own.
#ifndef MIRAGE_METRICS_EMERGENCE_PART_BREAKS_H_
#define MIRAGE_METRICS_EMERGENCE_PART_BREAKS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/emergence/chance_break.h"
#include "metrics/emergence/slope_break.h"

namespace mirage::metrics {

// Fewest items of each model.
inline constexpr double kPartMinItems = 100;
// Share of the first value below which a part is at its ceiling.
inline constexpr double kPartCeilingShare = 0.02;
// What a break must have.
inline constexpr double kPartBreakQ = 0.05;

// One model's value in one part.
struct PartValue {
  // NLL of a unit in nats, or share of wrong units in generated text; >= 0, finite.
  double mean = 0;
  // From sampling items, >= 0, finite.
  double standard_error = 0;
  // Items that have this part; 0 where the model has none: then the rest counts for nothing.
  double n = 0;
};

// One part.
struct PartCurve {
  // By model.
  std::span<const PartValue> models;
  // What a model that knows nothing has there, >= 0 and finite; absent where unknown. At 0 there is
  // nothing to learn, and no chance to stay at.
  std::optional<double> chance;
  // Whether the values are shares of wrong units in generated text.
  bool is_generated = false;
};

// What was found in one part.
struct PartTest {
  // Whether at least one of the two tests could have found a break.
  bool is_tested = false;
  // Of the test that is the more significant; 1 where none could be made.
  double p_value = 1;
  double q_value = 1;
  // ln(scale) of the break, significant or not; absent where p is 1.
  std::optional<double> x;
  // The first part with the same values, whose results these are.
  std::optional<size_t> same_as;
  // The two tests; absent where not made.
  std::optional<ChanceBreak> chance;
  std::optional<BreakEvidence> law;
  // Of `law`, as said above.
  double law_p = 1;
};

// Whether values and chances are in their ranges: INVALID_ARGUMENT with the place, such as
// `parts[2].models[0].mean is -1: must be finite and >= 0`.
absl::Status CheckPartCurves(std::span<const PartCurve> parts);

// Tests all parts; x is ln(scale) by model, replicates share it. Results by part. INVALID_ARGUMENT,
// with the place: values out of range, a part with more or fewer models than x. The order of the
// models does not change a bit. About 30 ms a part of 10 models, and 200 ms for each law that seems
// to break; at least 40 replicates a test, so that a break can be significant among all.
absl::StatusOr<std::vector<PartTest>> FindPartBreaks(std::span<const PartCurve> parts,
                                                     std::span<const double> x,
                                                     const BreakOptions& options);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_PART_BREAKS_H_
