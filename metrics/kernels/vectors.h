// Scores of one item whose output is a vector, a sequence of labels, or scores of classes.
//
//   ScoreVectors({y...}, {t...})           // squared error, absolute error
//   Reconstructed(scores, 0.003, ...)      // 1 if the squared error is at most 0.003
//   ScoreLabels({1, 2, 3}, {1, 2, 7})      // subset accuracy 0, item accuracy 2/3
//   ScoreClasses({logits...}, gold, ...)   // cross-entropy, top-1
//
// The thresholded reconstruction and the subset accuracy are sharp: they are how Schaeffer et al.
// 2023 (arXiv 2304.15004, section 5) induce emergence in vision models. The squared error, the item
// accuracy and the cross-entropy of the same samples are their counterparts.
//
// Coordinates are finite doubles of any size. A difference is rounded once, and sums of squares are
// exact and rounded once, so that vectors near 1e9 that differ by 1e-3 lose nothing. NaN and
// infinite ones are INVALID_ARGUMENT with their path (`output[3] is nan`), as are lengths that
// differ and empty vectors. Complexity: O(d), about 8 ns a coordinate.
#ifndef MIRAGE_METRICS_KERNELS_VECTORS_H_
#define MIRAGE_METRICS_KERNELS_VECTORS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mirage::metrics {

// Scores of an output y against a target t, both of d coordinates. All are >= 0, lower is better,
// +Inf where they exceed the largest double.
struct VectorScores {
  // |y - t|^2, the sum over coordinates, and its mean over d.
  double squared_error;
  double mean_squared_error;
  // Mean over coordinates of |y_i - t_i|, and the largest of them.
  double mean_absolute_error;
  double max_absolute_error;
  // d.
  uint64_t n_coordinates;
};

absl::StatusOr<VectorScores> ScoreVectors(std::span<const double> output,
                                          std::span<const double> target);

// |y_i - t_i| of every coordinate, into `errors`, which gets d elements. Errors as above; `errors`
// is left alone then.
absl::Status AbsoluteErrors(std::span<const double> output, std::span<const double> target,
                            std::vector<double>& errors);

// What a threshold is compared with.
enum class ErrorScale {
  // The sum over coordinates, the paper's |x - x'|^2.
  kSum,
  // The mean over coordinates, "MSE".
  kMean,
};

// 1 if the squared error is <= threshold, else 0. (The paper writes <; the two differ only where
// the error is the threshold to the last bit, and with <= a threshold of 0 means "exact".)
// INVALID_ARGUMENT for a threshold that is NaN, infinite or negative.
absl::StatusOr<double> Reconstructed(const VectorScores& scores, double threshold,
                                     ErrorScale scale);

// Scores of a sequence of L labels.
struct LabelScores {
  // 1 if all L labels are right, else 0.
  double subset_accuracy;
  // Share of the labels that are right, 1 - Hamming distance / L.
  double item_accuracy;
  // L.
  uint64_t n_labels;
};

// INVALID_ARGUMENT for lengths that differ and for no labels.
absl::StatusOr<LabelScores> ScoreLabels(std::span<const int64_t> output,
                                        std::span<const int64_t> target);

// What a vector of class scores holds.
enum class ClassScale {
  // Any real numbers; the softmax makes probabilities of them.
  kLogits,
  // Log-probabilities in nats, <= 0: taken as they are. Some classes may be left out (the sum of
  // probabilities below 1); a sum above 1.001 is INVALID_ARGUMENT.
  kLogProbs,
};

// Scores of one item with K classes, of which one is the gold one.
struct ClassScores {
  // -log p(gold), nats, >= 0; +Inf where the gold class has probability 0.
  double cross_entropy;
  // p(gold), in [0, 1].
  double p_gold;
  // The greatest score's index; the first of those that tie.
  uint64_t top_class;
  // 1 if top_class is the gold one, else 0.
  double top1_correct;
  // Whether another class has the same greatest score: top1_correct then depends on the order of
  // classes.
  bool is_tied;
};

// -Inf is a class of probability 0 (a masked one) as long as another class has more. NaN, +Inf, no
// finite score, positive log-probabilities, no scores, and gold >= K are INVALID_ARGUMENT.
// The log-sum-exp is taken about its greatest term, which does not enter the sum: logits near 1e9
// lose nothing, and the cross-entropy keeps its digits when p(gold) is near 1.
// About 7 ns a class.
absl::StatusOr<ClassScores> ScoreClasses(std::span<const double> scores, size_t gold,
                                         ClassScale scale);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_KERNELS_VECTORS_H_
