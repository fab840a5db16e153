#include "metrics/kernels/vectors.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/exact_sum.h"

namespace mirage::metrics {
namespace {

absl::Status Invalid(std::string_view message) {
  return absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
}

absl::Status CheckLengths(size_t output, size_t target) {
  if (output != target) {
    return Invalid(
        fmt::format("output has {} elements, target {}: lengths must agree", output, target));
  }
  if (output == 0) return Invalid("output is empty: there is nothing to compare");
  return absl::OkStatus();
}

absl::Status CheckFinite(std::string_view name, std::span<const double> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return Invalid(fmt::format("{}[{}] is {}: must be finite; leave the item out and say why",
                                 name, i, values[i]));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPair(std::span<const double> output, std::span<const double> target) {
  if (absl::Status status = CheckLengths(output.size(), target.size()); !status.ok()) return status;
  if (absl::Status status = CheckFinite("output", output); !status.ok()) return status;
  return CheckFinite("target", target);
}

}  // namespace

absl::StatusOr<VectorScores> ScoreVectors(std::span<const double> output,
                                          std::span<const double> target) {
  if (absl::Status status = CheckPair(output, target); !status.ok()) return status;
  ExactSum squares;
  ExactSum sizes;
  double greatest = 0;
  for (size_t i = 0; i < output.size(); ++i) {
    const double size = std::abs(output[i] - target[i]);
    squares.AddSquare(size);
    sizes.Add(size);
    greatest = std::max(greatest, size);
  }
  const auto d = static_cast<double>(output.size());
  VectorScores out;
  out.squared_error = squares.Round();
  out.mean_squared_error = out.squared_error / d;
  out.mean_absolute_error = sizes.Round() / d;
  out.max_absolute_error = greatest;
  out.n_coordinates = output.size();
  return out;
}

absl::Status AbsoluteErrors(std::span<const double> output, std::span<const double> target,
                            std::vector<double>& errors) {
  if (absl::Status status = CheckPair(output, target); !status.ok()) return status;
  errors.resize(output.size());
  for (size_t i = 0; i < output.size(); ++i) errors[i] = std::abs(output[i] - target[i]);
  return absl::OkStatus();
}

absl::StatusOr<double> Reconstructed(const VectorScores& scores, double threshold,
                                     ErrorScale scale) {
  if (!std::isfinite(threshold) || threshold < 0) {
    return Invalid(fmt::format("threshold is {}: must be finite and >= 0", threshold));
  }
  const double error = scale == ErrorScale::kSum ? scores.squared_error : scores.mean_squared_error;
  return error <= threshold ? 1.0 : 0.0;
}

absl::StatusOr<LabelScores> ScoreLabels(std::span<const int64_t> output,
                                        std::span<const int64_t> target) {
  if (absl::Status status = CheckLengths(output.size(), target.size()); !status.ok()) return status;
  uint64_t right = 0;
  for (size_t i = 0; i < output.size(); ++i) right += output[i] == target[i] ? 1 : 0;
  LabelScores out;
  out.subset_accuracy = right == output.size() ? 1 : 0;
  out.item_accuracy = static_cast<double>(right) / static_cast<double>(output.size());
  out.n_labels = output.size();
  return out;
}

absl::StatusOr<ClassScores> ScoreClasses(std::span<const double> scores, size_t gold,
                                         ClassScale scale) {
  if (scores.empty()) return Invalid("scores is empty: one score a class is needed");
  if (gold >= scores.size()) {
    return Invalid(fmt::format("gold is {}: must be below the number of classes, which is {}", gold,
                               scores.size()));
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i]) || (std::isinf(scores[i]) && scores[i] > 0)) {
      return Invalid(fmt::format("scores[{}] is {}: must be finite, or -inf for a masked class", i,
                                 scores[i]));
    }
    if (scale == ClassScale::kLogProbs && scores[i] > 0) {
      return Invalid(
          fmt::format("scores[{}] is {}: log-probabilities must be <= 0; pass logits as "
                      "ClassScale::kLogits",
                      i, scores[i]));
    }
  }
  const size_t top =
      static_cast<size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
  const double greatest = scores[top];
  if (std::isinf(greatest)) return Invalid("scores are all -inf: no class has a probability");
  ExactSum others;  // Relative to the greatest, which is 1 and left out.
  for (size_t i = 0; i < scores.size(); ++i) {
    if (i != top) others.Add(std::exp(scores[i] - greatest));
  }
  const double rest = std::log1p(others.Round());
  ClassScores out;
  if (scale == ClassScale::kLogits) {
    out.cross_entropy = (greatest - scores[gold]) + rest;
  } else {
    if (greatest + rest > std::log(1.001)) {
      return Invalid(
          fmt::format("scores have probabilities that sum to {}: log-probabilities must "
                      "not exceed 1 together; pass logits as ClassScale::kLogits",
                      std::exp(greatest + rest)));
    }
    out.cross_entropy = 0 - scores[gold];
  }
  out.p_gold = std::exp(-out.cross_entropy);
  out.top_class = top;
  out.top1_correct = top == gold ? 1 : 0;
  out.is_tied = std::count(scores.begin(), scores.end(), greatest) > 1;
  return out;
}

}  // namespace mirage::metrics
