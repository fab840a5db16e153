// One metric over the models of a family: what laws are fitted to.
#ifndef MIRAGE_METRICS_SCALING_SERIES_H_
#define MIRAGE_METRICS_SCALING_SERIES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// One model's number.
struct SeriesPoint {
  // Position on the axis (parameters, FLOPs, tokens, loss), > 0 and finite.
  double scale = 0;
  // In the metric's own unit, finite; in [0, 1] for a proportion.
  double value = 0;
  // From sampling items, >= 0 and finite.
  std::optional<double> standard_error;
  // Number of items, 1 to 2^53.
  std::optional<uint64_t> n;
  // Which training of the same size this is; models that differ here are replicates.
  std::string seed;
  // Name, for messages.
  std::string model;
};

// What the series is made of.
struct SeriesOptions {
  // Whether values are means of zeros and ones, so that counts are binomial.
  bool proportion = false;
  // Points whose scales differ by at most this share, and whose seeds differ, are replicates. 0 to
  // 0.1.
  double replicate_tolerance = 0.01;
};

// Points of one size: points()[begin] up to but without points()[end].
struct ReplicateGroup {
  size_t begin = 0;
  size_t end = 0;
  size_t size() const { return end - begin; }
};

// The points of one family, by ascending scale, then seed. Immutable; may be empty.
class Series {
 public:
  // INVALID_ARGUMENT, with the point's place in `points` and the remedy: a scale that is not > 0
  // and finite, a value that is not finite or, for a proportion, not in [0, 1], a negative or
  // infinite standard error, n = 0 or above 2^53, a repeated (scale, seed); a tolerance out of
  // range. Complexity: O(n log n); a million points in about a second.
  static absl::StatusOr<Series> Create(std::vector<SeriesPoint> points,
                                       const SeriesOptions& options);

  size_t size() const { return points_.size(); }
  bool empty() const { return points_.empty(); }
  bool proportion() const { return options_.proportion; }

  // By ascending scale, then seed. `n` is filled in where it could be inferred.
  const std::vector<SeriesPoint>& points() const { return points_; }
  // Where points()[i] was in the input.
  const std::vector<size_t>& places() const { return places_; }
  // Whether points()[i].n was inferred from the standard error.
  bool n_inferred(size_t i) const { return n_inferred_[i]; }

  // Runs of replicates, by ascending scale; a point alone is a group of one. A group starts at its
  // smallest scale and takes the next points as long as they are within the tolerance of it and
  // their seeds are new.
  const std::vector<ReplicateGroup>& groups() const { return groups_; }
  // Sum over groups of size - 1: the degrees of freedom of the scatter between seeds.
  size_t replicate_df() const { return points_.size() - groups_.size(); }

  // For a proportion with n: the count k = round(n * value). Absent otherwise.
  std::optional<uint64_t> successes(size_t i) const;

  // Variance of points()[i].value from sampling items.
  // - A proportion with n: the variance of the share under Jeffreys' posterior Beta(k + 1/2, n - k
  // +
  //   1/2), which is close to k (n - k) / n^3 and stays above 0 at 0 and n of n, where a reported
  //   standard error of 0 says nothing; or the square of the standard error where that is larger
  //   (clustered items).
  // - Else the square of the standard error; absent where there is none, or it is 0: items without
  //   any spread do not make a value exact.
  std::optional<double> sampling_variance(size_t i) const;

 private:
  SeriesOptions options_;
  std::vector<SeriesPoint> points_;
  std::vector<size_t> places_;
  std::vector<bool> n_inferred_;
  std::vector<ReplicateGroup> groups_;
};

// The number of zeros and ones behind a share p and its standard error. That is the root of p (1 -
// p) / (n - 1) in most harnesses and of p (1 - p) / n in some: of the two, the n that brings n p
// closer to an integer, and the first one where both are as close. Exact for values with all their
// digits; with rounded ones off by the relative error of p (1 - p) / standard_error^2. Absent where
// p is 0 or 1, the standard error is not > 0, or n would be below 2 or above 2^53.
std::optional<uint64_t> InferSampleSize(double share, double standard_error);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_SCALING_SERIES_H_
