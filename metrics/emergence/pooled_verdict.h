// The verdict on several series that share a law for each token: one task and family asked for
// targets of several lengths, or with several numbers of shots.
//
// Four scales are too few for a verdict on one curve. Several lengths test something that more
// scales do not: whether one error for each token makes all the curves, an answer of L tokens being
// right with probability exp(-L q). A break they do not tell from a smooth law: that needs scales.
//
// Of model j and series s let q_js be the counterpart on its law's scale, for each token, and
//
//   d_js = ln(-ln(value_js)) - ln(L_s q_js),
//
// by how much the metric falls faster (> 0) or slower (< 0) with the error than independent tokens
// have it: 0 for the paper's model, below for greedy answers and for items of mixed difficulty. It
// is taken for a random effect of the model plus one of the number, both of unknown size:
// d_js = m_j + e_js, sizes integrated over 0.02 to 1, log-uniformly; the mean is 0 and not fitted.
// Each number is predicted from the model's others alone. And d must not depend on the length: its
// slope b over ln L within the models is 0 where errors of tokens add up, -1 where a target is
// solved or not as a whole. A link with a free place would fit either.
//
// The rules, the first that matches:
//  1. no series of an emergent shape (curve_shape.h)                INSUFFICIENT  NOTHING_SUDDEN
//  2. a counterpart gets worse where its metric takes off           MIXED  COUNTERPART_WORSENS
//  3. from kVerdictMinScales scales on: the law of the mean over
//     the series breaks (slope_break.h)                             BREAK_SURVIVES  LAW_BREAKS
//  4. a number outside its predictive band (99 % for all together),
//     or the 95 % interval of b not within [-1/2, 1/2]              INSUFFICIENT
//                                                                   COMPOSITION_DISAGREES
//     (b not known: one length only)                                INSUFFICIENT  LENGTHS_ALIKE
//  5. the largest scale, predicted from the smaller ones, is
//     outside its band, or the band holds a curve that stays flat   INSUFFICIENT  NOT_PREDICTED
//  6. a break is not ruled out (from kVerdictMinScales scales on)   INSUFFICIENT  UNDECIDED
//  7. else                                                          MIRAGE  SMOOTH_LAW_PREDICTS
// A MIRAGE of fewer than kVerdictMinScales scales has BREAK_NOT_TESTABLE, too. Strength: WEAK.
//
// Source: Schaeffer et al. 2023 (arXiv 2304.15004), section 3, prediction 3 (accuracy falls
// geometrically with the length of the target); the test is Mirage's own.
#ifndef MIRAGE_METRICS_EMERGENCE_POOLED_VERDICT_H_
#define MIRAGE_METRICS_EMERGENCE_POOLED_VERDICT_H_

#include <cstddef>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "metrics/emergence/verdict.h"

namespace mirage::metrics {

// Scales that a pooled verdict needs.
inline constexpr size_t kPooledMinScales = 4;

// One number of one series.
struct PooledNumber {
  // Place of the series, and of the model in it.
  size_t series = 0;
  size_t model = 0;
  // What the model's own counterpart composes to, the effect of the model taken from its other
  // numbers.
  PredictedShare composed;
};

struct PooledVerdict {
  // Verdict, strength, reasons, n_scales, and of the mean over the series the law; the rest is
  // empty.
  VerdictResult result;
  // By series, and model of it.
  std::vector<PooledNumber> numbers;
};

// The verdict. The series must be of one metric that needs all tokens (Composition::kAllTokens)
// with the same counterpart; models are the same where their scales are. FAILED_PRECONDITION where
// pooling says nothing: fewer than two series, fewer than kPooledMinScales scales that two series
// share, lengths or counterparts that are not known. INVALID_ARGUMENT as for Judge. About 20 ms.
absl::StatusOr<PooledVerdict> JudgePooled(std::span<const VerdictSeries> series,
                                          const VerdictOptions& options);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_POOLED_VERDICT_H_
