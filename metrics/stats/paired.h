// Two systems, or two versions of one, on the same items.
//
//   PairedMoments pairs;
//   pairs.Add(score_of_first, score_of_second);        // matched by sample key by the caller
//   pairs.mean_difference(), pairs.standard_error()    // then StudentT, or PairedT for a p-value
//   McNemarExact(pairs.only_first(), pairs.only_second(), Alternative::kTwoSided)
//
// Items are hard or easy for both, so that differences of pairs vary less than the scores do: the
// same test set sees smaller differences. Which items are pairs is the caller's to know.
#ifndef MIRAGE_METRICS_STATS_PAIRED_H_
#define MIRAGE_METRICS_STATS_PAIRED_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "metrics/stats/exact_sum.h"
#include "metrics/stats/hypothesis.h"
#include "metrics/stats/intervals.h"

namespace mirage::metrics {

// Sufficient statistics of pairs of scores. Exact and mergeable like Moments: the same pairs give
// the same bits for every order and partition, and nothing cancels.
//
// A pair with a NaN or infinite score is counted in count() and n_not_finite() and in nothing else;
// where there is one, the figures that would need it (all but the counts) are absent, since a
// difference of infinities has no size: the caller leaves such pairs out and says so.
//
// About 5.6 kB; Add about 30 ns. Not thread-safe.
class PairedMoments {
 public:
  // Adds the scores of one item.
  void Add(double first, double second);

  // Adds all of another sample's pairs.
  void Merge(const PairedMoments& other);

  // Number of pairs added.
  uint64_t count() const { return count_; }
  // Number of pairs in which a score was NaN or infinite.
  uint64_t n_not_finite() const { return n_not_finite_; }

  // Numbers of pairs with first > second, first < second, first == second.
  uint64_t n_first_greater() const { return n_first_greater_; }
  uint64_t n_second_greater() const { return n_second_greater_; }
  uint64_t n_equal() const;

  // Whether there are pairs and each score was exactly 0 or 1.
  bool IsBinary() const { return count_ > 0 && n_binary_ == count_; }
  // Where IsBinary(): items that only one of them has right, the cells of McNemar's test.
  uint64_t only_first() const { return n_first_greater_; }
  uint64_t only_second() const { return n_second_greater_; }

  // Mean of first, of second, and of first - second; absent without pairs.
  std::optional<double> mean_first() const;
  std::optional<double> mean_second() const;
  std::optional<double> mean_difference() const;

  // Sample variances (n - 1) of the scores and of the differences, and the covariance; absent for
  // fewer than 2 pairs.
  std::optional<double> variance_first() const;
  std::optional<double> variance_second() const;
  std::optional<double> variance_difference() const;
  std::optional<double> covariance() const;

  // Pearson's correlation of the scores, in [-1, 1]; absent also where a variance is 0.
  std::optional<double> correlation() const;

  // sqrt(variance_difference / n). 0 where all differences are equal: no certainty.
  std::optional<double> standard_error() const;

  // What the error of the difference would be with the same scores on unrelated items:
  // sqrt((variance_first + variance_second) / n). Its square over that of standard_error() is how
  // many times more items the unpaired comparison would need.
  std::optional<double> unpaired_standard_error() const;

  // Canonical bytes with a version; equal samples give equal bytes.
  std::string Serialize() const;

  // Reads what Serialize() wrote; INVALID_ARGUMENT for anything else.
  static absl::StatusOr<PairedMoments> Deserialize(std::string_view bytes);

 private:
  uint64_t count_ = 0;
  uint64_t n_not_finite_ = 0;
  uint64_t n_first_greater_ = 0;
  uint64_t n_second_greater_ = 0;
  uint64_t n_binary_ = 0;
  ExactSum first_;
  ExactSum second_;
  ExactSum first_squares_;
  ExactSum second_squares_;
  ExactSum products_;
};

// Student's test of the mean difference against `expected` on n - 1 degrees of freedom. kGreater
// asks whether first - second is greater than it. Valid for some dozens of pairs whose differences
// are not very skewed; for 0/1 scores McNemarExact is.
// FAILED_PRECONDITION for fewer than 2 pairs, pairs that are not finite, or differences that are
// all equal (nothing to judge by; for 0/1 scores that agree throughout use McNemarExact, which
// gives 1). INVALID_ARGUMENT for an `expected` that is not finite. Method "student_t".
absl::StatusOr<TestResult> PairedT(const PairedMoments& pairs, double expected,
                                   Alternative alternative);

// mean_difference +- t(n - 1) * standard_error; errors as PairedT, and a level outside (0, 1).
absl::StatusOr<ConfidenceInterval> PairedInterval(const PairedMoments& pairs, double level);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_PAIRED_H_
