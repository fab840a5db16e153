#include "metrics/kernels/calibration.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/stats/serialization.h"

namespace mirage::metrics {
namespace {

constexpr uint8_t kVersion = 1;

}  // namespace

void CalibrationBins::Add(double confidence, bool correct) {
  const int bin = std::clamp(static_cast<int>(std::ceil(confidence * kBins)) - 1, 0, kBins - 1);
  Cell& cell = cells_[bin];
  ++(correct ? cell.n_correct : cell.n_wrong);
  cell.confidence.Add(confidence);
}

void CalibrationBins::Merge(const CalibrationBins& other) {
  for (int b = 0; b < kBins; ++b) {
    cells_[b].n_correct += other.cells_[b].n_correct;
    cells_[b].n_wrong += other.cells_[b].n_wrong;
    cells_[b].confidence.Merge(other.cells_[b].confidence);
  }
}

uint64_t CalibrationBins::count() const {
  uint64_t n = 0;
  for (const Cell& cell : cells_) n += cell.n_correct + cell.n_wrong;
  return n;
}

double CalibrationBins::Error() const {
  const uint64_t n = count();
  if (n == 0) return std::numeric_limits<double>::quiet_NaN();
  double error = 0;
  for (const Cell& cell : cells_) {
    error += std::abs(static_cast<double>(cell.n_correct) - cell.confidence.Round());
  }
  return error / static_cast<double>(n);
}

std::array<CalibrationBins::Bin, CalibrationBins::kBins> CalibrationBins::bins() const {
  std::array<Bin, kBins> out;
  for (int b = 0; b < kBins; ++b) {
    const Cell& cell = cells_[b];
    const uint64_t n = cell.n_correct + cell.n_wrong;
    out[b].n_correct = cell.n_correct;
    out[b].n_wrong = cell.n_wrong;
    out[b].mean_confidence = n == 0 ? std::numeric_limits<double>::quiet_NaN()
                                    : cell.confidence.Round() / static_cast<double>(n);
  }
  return out;
}

std::string CalibrationBins::Serialize() const {
  ByteWriter out(kVersion);
  for (const Cell& cell : cells_) {
    out.Uint64(cell.n_correct);
    out.Uint64(cell.n_wrong);
    out.Sum(cell.confidence);
  }
  return std::move(out).Take();
}

absl::StatusOr<CalibrationBins> CalibrationBins::Deserialize(std::string_view bytes) {
  ByteReader in(bytes, "calibration bins", kVersion);
  CalibrationBins out;
  for (Cell& cell : out.cells_) {
    cell.n_correct = in.Uint64("number of right predictions");
    cell.n_wrong = in.Uint64("number of wrong predictions");
    cell.confidence = in.Sum("confidence");
    const double n = static_cast<double>(cell.n_correct) + static_cast<double>(cell.n_wrong);
    if (const double sum = cell.confidence.Round(); !(sum >= 0 && sum <= n)) {
      in.Fail("a mean confidence is not from 0 to 1");
    }
  }
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  return out;
}

}  // namespace mirage::metrics
