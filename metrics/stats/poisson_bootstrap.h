// A bootstrap that can be distributed: every shard resamples its own samples, and the results add
// up.
//
//   PoissonBootstrap a(1, seed), b(1, seed);         // on two machines
//   a.Add(Digest(sample_key), std::span(&score, 1));
//   a.Merge(*PoissonBootstrap::Deserialize(bytes_of_b));
//   a.Result([](std::span<const double> means) { return means[0]; }, 0.95);
//
// In replicate r a sample comes with a random number of times from Poisson(1), drawn from (seed,
// sample key, r) alone: wherever the sample is scored it has the same weights. The number of
// samples in a replicate is then random, too, about n +- sqrt(n); for means, which are divided by
// it, that makes a relative difference of 1 / n in the variance. Source: Chamandy, Muralidharan,
// Najmi, Naidu (2012), "Estimating Uncertainty for Massive Data Streams", Google technical report.
#ifndef MIRAGE_METRICS_STATS_POISSON_BOOTSTRAP_H_
#define MIRAGE_METRICS_STATS_POISSON_BOOTSTRAP_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/stats/bootstrap.h"
#include "metrics/stats/exact_sum.h"

namespace mirage::metrics {

// 24 kB for each column and 1000 replicates; Add 2 us. Not thread-safe.
//
// The estimate is exact and has the same bits for every order and partition. The replicates' sums
// are kept in two doubles each, about 100 bits: other orders agree to 1e-12 relative as long as a
// sum is no less than 1e-15 of its largest term.
class PoissonBootstrap {
 public:
  static constexpr size_t kReplicates = 1000;

  // `columns` numbers a sample, at least 1. Shards are merged where seed and columns are the same.
  explicit PoissonBootstrap(size_t columns, uint64_t seed = 0);

  // Adds a sample. Samples of one key come together, as often as each other: with a cluster's key
  // this is the bootstrap of clusters. INVALID_ARGUMENT, and nothing is added: a number of values
  // other than columns, or one that is not finite (with its place).
  absl::Status Add(uint64_t key, std::span<const double> row);

  // Adds all of another shard's samples. INVALID_ARGUMENT for another seed or number of columns.
  absl::Status Merge(const PoissonBootstrap& other);

  // Number of samples.
  uint64_t count() const { return count_; }

  // The statistic of the column means, its percentile interval and its standard error; see
  // BootstrapOfMeans for what the statistic may be. Valid where the percentile interval is.
  // FAILED_PRECONDITION: no samples, or a replicate without any, which happens with fewer than
  // about 20; BootstrapOfMeans is for those. INVALID_ARGUMENT: a level outside (0, 1), a NaN from
  // `statistic`.
  absl::StatusOr<BootstrapResult> Result(
      absl::FunctionRef<double(std::span<const double> means)> statistic, double level) const;

  // Bytes with a version. Equal sums give equal bytes; the last bits of sums depend on their order.
  std::string Serialize() const;

  // Reads what Serialize() wrote; INVALID_ARGUMENT for anything else.
  static absl::StatusOr<PoissonBootstrap> Deserialize(std::string_view bytes);

 private:
  // An unevaluated sum of two doubles for each replicate.
  struct Column {
    std::array<double, kReplicates> high{};
    std::array<double, kReplicates> low{};
    ExactSum total;
  };

  // Adds x (high + low) to replicate r of a column.
  static void AddTo(Column& column, size_t r, double high, double low);

  uint64_t seed_;
  uint64_t count_ = 0;
  std::vector<Column> columns_;
  // Number of samples in each replicate.
  std::array<uint64_t, kReplicates> drawn_{};
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_POISSON_BOOTSTRAP_H_
