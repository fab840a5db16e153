// Expected calibration error over equal-width bins of confidence.
//
//   ECE = sum over bins b of (n_b / n) |mean accuracy in b - mean confidence in b|
//
// Bins are closed on the right: confidence c in ((b - 1)/B, b/B]; 0 belongs to
// the first. Range [0, 1]; biased upwards for small n (about sqrt(B / n) for a
// perfectly calibrated model), so read it beside its interval.
//
// Mergeable: bins of two shards merge to the same bits in any order. Complexity:
// O(1) per sample, O(B) space.
//
// Source: Naeini, Cooper, Hauskrecht 2015; Guo et al. 2017 (arXiv 1706.04599)
// equation 3.
#ifndef MIRAGE_METRICS_KERNELS_CALIBRATION_H_
#define MIRAGE_METRICS_KERNELS_CALIBRATION_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "metrics/stats/exact_sum.h"

namespace mirage::metrics {

class CalibrationBins {
 public:
  static constexpr int kBins = 10;

  // Adds a prediction with `confidence` in [0, 1] that was right or wrong.
  void Add(double confidence, bool correct);

  // Adds all of `other`.
  void Merge(const CalibrationBins& other);

  // Number of predictions.
  uint64_t count() const;

  // The error; NaN when nothing was added.
  double Error() const;

  // One bin, for intervals and plots.
  struct Bin {
    uint64_t n_correct = 0;
    uint64_t n_wrong = 0;
    // Mean confidence in the bin; NaN when it is empty.
    double mean_confidence = 0;
  };
  std::array<Bin, kBins> bins() const;

  // Canonical bytes with a version; equal predictions give equal bytes.
  std::string Serialize() const;

  // Reads what Serialize() wrote; INVALID_ARGUMENT for anything else.
  static absl::StatusOr<CalibrationBins> Deserialize(std::string_view bytes);

 private:
  struct Cell {
    uint64_t n_correct = 0;
    uint64_t n_wrong = 0;
    ExactSum confidence;
  };
  std::array<Cell, kBins> cells_;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_KERNELS_CALIBRATION_H_
