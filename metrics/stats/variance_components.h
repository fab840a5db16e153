// Items that were answered several times: how much of the spread lies between items, and how much
// in the answers to one item.
//
//   score of answer j to item i = mean + item effect (variance omega^2) + answer effect (sigma^2)
//
// More answers to each item shrink the second part only; these two figures are what a plan of a
// test needs (power.h). One-way analysis of variance for unequal numbers of answers. Source:
// Searle, Casella, McCulloch (1992), "Variance Components", section 3.6; for evaluations Miller
// (2024), arXiv 2411.00640, section 3.
#ifndef MIRAGE_METRICS_STATS_VARIANCE_COMPONENTS_H_
#define MIRAGE_METRICS_STATS_VARIANCE_COMPONENTS_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/stats/exact_sum.h"
#include "metrics/stats/moments.h"

namespace mirage::metrics {

// An accumulator over items. Exact and mergeable over items in any order; all answers to one item
// are added at once, in any order. Not thread-safe.
class VarianceComponents {
 public:
  // Adds the scores of all answers to one item. INVALID_ARGUMENT: none, or one that is not finite
  // (with its place); then nothing is added.
  absl::Status AddItem(std::span<const double> answers);

  // Adds all of another sample's items.
  void Merge(const VarianceComponents& other);

  // Numbers of items and of answers.
  uint64_t n_items() const { return item_means_.count(); }
  uint64_t n_answers() const { return n_answers_; }

  // Mean over items of the items' means: every item counts alike. Absent without items.
  std::optional<double> mean() const;

  // Its standard error, from the spread of the items' means, which holds both parts; absent for
  // fewer than 2 items.
  std::optional<double> standard_error() const;

  // sigma^2: pooled variance of answers about their item's mean, on n_answers - n_items degrees of
  // freedom. Absent where no item has two answers.
  std::optional<double> within() const;

  // omega^2 = (mean square between - sigma^2) / k0, k0 = (N - sum k_i^2 / N) / (n - 1). Negative
  // where items differ less than their answers let them: then there is no sign of a spread between
  // items, and plans take 0. Absent where within() is, or for fewer than 2 items.
  std::optional<double> between() const;

  // The standard error that the mean would have with `answers` >= 1 to each of the same items,
  // sqrt((max(omega^2, 0) + sigma^2 / answers) / n). Absent where between() is.
  std::optional<double> StandardErrorWith(uint64_t answers) const;

  // Canonical bytes with a version; equal samples give equal bytes.
  std::string Serialize() const;

  // Reads what Serialize() wrote; INVALID_ARGUMENT for anything else.
  static absl::StatusOr<VarianceComponents> Deserialize(std::string_view bytes);

 private:
  uint64_t n_answers_ = 0;
  // sum of k_i^2.
  ExactSum squared_sizes_;
  Moments item_means_;
  // Of all answers.
  Moments answers_;
  // sum over items of sum (x - item mean)^2, each rounded once.
  ExactSum within_squares_;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_VARIANCE_COMPONENTS_H_
