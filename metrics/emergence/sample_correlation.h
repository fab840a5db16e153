// How one number of each sample goes with scale.
//
// For each sample that all models have: Spearman's correlation between its number and the models'
// place on the axis, that is Pearson's of the ranks, ties having the mean of their ranks. Then the
// quartiles over the samples. Ranks make it the same for any rising function of the axis or of the
// number: log p and p go alike. What a step loses between two numbers of the same samples (log p
// over the vocabulary, p over the choices, right or wrong) shows as a lower correlation.
//
// Source: Schaeffer et al. 2024 (arXiv 2406.04391), sections 4 and 5; Spearman (1904). Quartiles:
// Hyndman and Fan (1996), definition 7.
#ifndef MIRAGE_METRICS_EMERGENCE_SAMPLE_CORRELATION_H_
#define MIRAGE_METRICS_EMERGENCE_SAMPLE_CORRELATION_H_

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// Different places on the axis that a correlation needs.
inline constexpr size_t kCorrelationMinScales = 3;

// Quartiles of correlations, in [-1, 1].
struct CorrelationQuartiles {
  double lower = 0;
  double median = 0;
  double upper = 0;
};

// Of all samples.
struct SampleCorrelations {
  // Samples with a number in every model that is not the same in all of them.
  size_t n = 0;
  // Samples with a number in every model, the same in all: they have no correlation.
  size_t n_constant = 0;
  // Over the n samples, better with scale being positive; absent where n is 0.
  std::optional<CorrelationQuartiles> quartiles;
  // Share of the n samples whose correlation is negative, in [0, 1]; absent where n is 0.
  std::optional<double> share_negative;
};

// `numbers[j][i]` is the number of sample i in model j, at the place x[j]. Infinities are numbers
// like others; NaN is none, and such a sample is left out. x may be on any scale and in any order;
// replicates share a place. INVALID_ARGUMENT, with the place: x not finite, as many columns as
// places and all of one length not given. FAILED_PRECONDITION for fewer than kCorrelationMinScales
// different places. The order of models and samples does not change a bit. O(n m log m).
absl::StatusOr<SampleCorrelations> CorrelateSamples(std::span<const std::vector<double>> numbers,
                                                    std::span<const double> x,
                                                    bool higher_is_better);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_SAMPLE_CORRELATION_H_
