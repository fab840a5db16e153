#include "metrics/stats/poisson_bootstrap.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/bootstrap.h"
#include "metrics/stats/centered_sums.h"
#include "metrics/stats/compensated_sum.h"
#include "metrics/stats/exact_sum.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/random_block.h"
#include "metrics/stats/serialization.h"

namespace mirage::metrics {
namespace {

constexpr uint8_t kVersion = 1;
static_assert(PoissonBootstrap::kReplicates <= RandomBlock::kWords);

// round(2^32 P(N <= k)) for N from Poisson(1), k = 0, 1, ...: a random word of 32 bits stands for
// as many successes as there are thresholds at or below it. P(N > 12) is 6e-11, less than 2^-32.
constexpr std::array<uint32_t, 12> kThresholds = [] {
  std::array<uint32_t, 12> thresholds{};
  long double term = 0.367879441171442321595523770161460867L;  // 1 / e
  long double sum = 0;
  for (size_t k = 0; k < thresholds.size(); ++k) {
    sum += term;
    term /= static_cast<long double>(k + 1);
    thresholds[k] = static_cast<uint32_t>(sum * 0x1p32L + 0.5L);
  }
  return thresholds;
}();

}  // namespace

PoissonBootstrap::PoissonBootstrap(size_t columns, uint64_t seed)
    : seed_(seed), columns_(std::max<size_t>(columns, 1)) {}

void PoissonBootstrap::AddTo(Column& column, size_t r, double high, double low) {
  // What the sum of the high parts leaves goes into the low part, and the pair is made one again.
  const CompensatedSum sum = TwoSum(column.high[r], high);
  const double rest = sum.low + (column.low[r] + low);
  const double whole = sum.high + rest;
  column.low[r] = rest - (whole - sum.high);
  column.high[r] = whole;
}

absl::Status PoissonBootstrap::Add(uint64_t key, std::span<const double> row) {
  if (row.size() != columns_.size()) {
    return absl::InvalidArgumentError(
        fmt::format("row has {} values: must be {}, as columns", row.size(), columns_.size()));
  }
  for (size_t j = 0; j < row.size(); ++j) {
    if (!std::isfinite(row[j])) {
      return absl::InvalidArgumentError(fmt::format("row[{}] is {}: must be finite", j, row[j]));
    }
  }
  RandomBlock random(seed_, key);
  const std::span<const uint32_t> words = random.Next();
  std::array<uint32_t, kReplicates> times{};
  for (const uint32_t threshold : kThresholds) {
    for (size_t r = 0; r < kReplicates; ++r) times[r] += words[r] >= threshold ? 1 : 0;
  }
  for (size_t r = 0; r < kReplicates; ++r) drawn_[r] += times[r];
  for (size_t j = 0; j < row.size(); ++j) {
    columns_[j].total.Add(row[j]);
    // Without its last 8 bits, so that products with 4 bits are exact.
    const double high = std::bit_cast<double>(std::bit_cast<uint64_t>(row[j]) & ~uint64_t{0xff});
    const double low = row[j] - high;
    for (size_t r = 0; r < kReplicates; ++r) {
      AddTo(columns_[j], r, high * times[r], low * times[r]);
    }
  }
  ++count_;
  return absl::OkStatus();
}

absl::Status PoissonBootstrap::Merge(const PoissonBootstrap& other) {
  if (other.seed_ != seed_ || other.columns_.size() != columns_.size()) {
    return absl::InvalidArgumentError(fmt::format(
        "seed {} and {} columns cannot be merged with seed {} and {} columns: must be the same",
        other.seed_, other.columns_.size(), seed_, columns_.size()));
  }
  count_ += other.count_;
  for (size_t r = 0; r < kReplicates; ++r) drawn_[r] += other.drawn_[r];
  for (size_t j = 0; j < columns_.size(); ++j) {
    columns_[j].total.Merge(other.columns_[j].total);
    for (size_t r = 0; r < kReplicates; ++r) {
      AddTo(columns_[j], r, other.columns_[j].high[r], other.columns_[j].low[r]);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<BootstrapResult> PoissonBootstrap::Result(
    absl::FunctionRef<double(std::span<const double> means)> statistic, double level) const {
  if (absl::Status status = CheckLevel(level); !status.ok()) return status;
  if (count_ == 0) return absl::FailedPreconditionError("no samples: at least one is needed");
  std::vector<double> means(columns_.size());
  for (size_t j = 0; j < means.size(); ++j) {
    means[j] = Quotient(columns_[j].total, CountSum(count_));
  }
  const double estimate = statistic(means);
  std::vector<double> values(kReplicates);
  for (size_t r = 0; r < kReplicates; ++r) {
    if (drawn_[r] == 0) {
      return absl::FailedPreconditionError(
          fmt::format("replicate {} has no samples: {} are too few for the Poisson bootstrap, use "
                      "the ordinary one",
                      r, count_));
    }
    for (size_t j = 0; j < means.size(); ++j) {
      means[j] = columns_[j].high[r] / static_cast<double>(drawn_[r]);
    }
    values[r] = statistic(means);
  }
  return PercentileResult(estimate, values, level);
}

std::string PoissonBootstrap::Serialize() const {
  ByteWriter out(kVersion);
  out.Uint64(seed_);
  out.Uint64(count_);
  for (const uint64_t drawn : drawn_) out.Uint64(drawn);
  out.Uint64(columns_.size());
  for (const Column& column : columns_) {
    out.Sum(column.total);
    for (const double x : column.high) out.Double(x);
    for (const double x : column.low) out.Double(x);
  }
  return std::move(out).Take();
}

absl::StatusOr<PoissonBootstrap> PoissonBootstrap::Deserialize(std::string_view bytes) {
  ByteReader in(bytes, "Poisson bootstrap", kVersion);
  const uint64_t seed = in.Uint64("seed");
  PoissonBootstrap out(1, seed);
  out.count_ = in.Uint64("count");
  for (uint64_t& drawn : out.drawn_) drawn = in.Uint64("number of samples in a replicate");
  const uint64_t columns = in.Size("number of columns", 2 * kReplicates * sizeof(double));
  if (in.ok() && columns == 0) in.Fail("number of columns is 0");
  if (!in.ok()) return in.Finish();
  out.columns_.resize(columns);
  for (Column& column : out.columns_) {
    column.total = in.Sum("total");
    for (double& x : column.high) x = in.Double("sum of a replicate");
    for (double& x : column.low) {
      x = in.Double("rest of a replicate");
    }
    for (size_t r = 0; r < kReplicates; ++r) {
      if (!std::isfinite(column.high[r]) || !std::isfinite(column.low[r]) ||
          column.high[r] + column.low[r] != column.high[r]) {
        in.Fail("a replicate's sum is not finite or not normal");
      }
    }
  }
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  return out;
}

}  // namespace mirage::metrics
