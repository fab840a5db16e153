#include "metrics/stats/bootstrap.h"

#include <algorithm>
#include <boost/random/binomial_distribution.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

constexpr int kMinReplicates = 100;
constexpr int kMaxReplicates = 1'000'000;
constexpr uint64_t kMaxCount = uint64_t{1} << 53;

absl::Status CheckOptions(const BootstrapOptions& options) {
  if (options.replicates < kMinReplicates || options.replicates > kMaxReplicates) {
    return absl::InvalidArgumentError(fmt::format("replicates is {}: must be from {} to {}",
                                                  options.replicates, kMinReplicates,
                                                  kMaxReplicates));
  }
  if (!(options.level > 0 && options.level < 1)) {
    return absl::InvalidArgumentError(
        fmt::format("level is {}: must be between 0 and 1, for example 0.9", options.level));
  }
  if (!(options.pseudo_count >= 0 && std::isfinite(options.pseudo_count))) {
    return absl::InvalidArgumentError(
        fmt::format("pseudo_count is {}: must be finite and >= 0", options.pseudo_count));
  }
  return absl::OkStatus();
}

absl::StatusOr<BootstrapResult> Summarise(double estimate, std::vector<double> values,
                                          double level) {
  if (std::isnan(estimate)) {
    return absl::InvalidArgumentError("statistic is NaN for the data: it must be a number");
  }
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) {
      return absl::InvalidArgumentError(fmt::format(
          "statistic is NaN for resample {}: it must be a number for every resample", i));
    }
    sum += values[i];
  }
  BootstrapResult result;
  result.estimate = estimate;
  const double count = static_cast<double>(values.size());
  const double mean = sum / count;
  double squares = 0;
  for (double value : values) squares += (value - mean) * (value - mean);
  result.standard_error = std::isfinite(sum) ? std::sqrt(squares / (count - 1))
                                             : std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  result.interval = {SortedQuantile(values, (1 - level) / 2),
                     SortedQuantile(values, (1 + level) / 2), level, kMethodBootstrapPercentile};
  return result;
}

// `sums` holds units x columns; `unit_rows` the number of rows of each unit, empty where all have
// one.
std::vector<double> ResampleUnits(
    std::span<const double> sums, std::span<const double> unit_rows, size_t columns,
    absl::FunctionRef<double(std::span<const double> means)> statistic,
    const BootstrapOptions& options) {
  const uint32_t units = static_cast<uint32_t>(sums.size() / columns);
  std::vector<double> means(columns);
  std::vector<double> values(static_cast<size_t>(options.replicates));
  for (size_t replicate = 0; replicate < values.size(); ++replicate) {
    CounterRng rng(options.seed, replicate);
    std::fill(means.begin(), means.end(), 0.0);
    double drawn_rows = unit_rows.empty() ? static_cast<double>(units) : 0;
    for (uint32_t draw = 0; draw < units; ++draw) {
      const uint32_t unit = rng.Below32(units);
      const double* unit_sums = &sums[unit * columns];
      for (size_t j = 0; j < columns; ++j) means[j] += unit_sums[j];
      if (!unit_rows.empty()) drawn_rows += unit_rows[unit];
    }
    for (double& mean : means) mean /= drawn_rows;
    values[replicate] = statistic(means);
  }
  return values;
}

}  // namespace

absl::StatusOr<BootstrapResult> BootstrapOfMeans(
    std::span<const double> rows, size_t columns,
    absl::FunctionRef<double(std::span<const double> means)> statistic,
    const BootstrapOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  if (columns == 0) return absl::InvalidArgumentError("columns is 0: must be at least 1");
  if (rows.empty()) return absl::InvalidArgumentError("rows is empty: at least one row is needed");
  if (rows.size() % columns != 0) {
    return absl::InvalidArgumentError(fmt::format(
        "rows has {} values: must be a multiple of columns, which is {}", rows.size(), columns));
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!std::isfinite(rows[i])) {
      return absl::InvalidArgumentError(
          fmt::format("rows[{}][{}] is {}: must be finite", i / columns, i % columns, rows[i]));
    }
  }
  const size_t n = rows.size() / columns;
  if (n > kMaxRowsResampledSingly) {
    GroupedRows grouped(columns);
    for (size_t at = 0; at < rows.size(); at += columns) grouped.Add(rows.subspan(at, columns));
    return BootstrapOfMeans(grouped, statistic, options);
  }
  std::vector<double> means(columns);
  for (size_t at = 0; at < rows.size(); at += columns) {
    for (size_t j = 0; j < columns; ++j) means[j] += rows[at + j];
  }
  for (double& mean : means) mean /= static_cast<double>(n);
  return Summarise(statistic(means), ResampleUnits(rows, {}, columns, statistic, options),
                   options.level);
}

GroupedRows::GroupedRows(size_t columns)
    : columns_(columns), sums_(kBootstrapGroups * columns), rows_(kBootstrapGroups) {}

void GroupedRows::Add(std::span<const double> row) {
  double* sums = &sums_[next_ * columns_];
  for (size_t j = 0; j < columns_; ++j) sums[j] += row[j];
  rows_[next_] += 1;
  ++n_;
  if (++next_ == kBootstrapGroups) next_ = 0;
}

absl::StatusOr<BootstrapResult> BootstrapOfMeans(
    const GroupedRows& rows, absl::FunctionRef<double(std::span<const double> means)> statistic,
    const BootstrapOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  const size_t columns = rows.columns();
  if (rows.n() == 0) return absl::InvalidArgumentError("rows is empty: at least one row is needed");
  const size_t groups = std::min<uint64_t>(rows.n(), kBootstrapGroups);
  const auto sums = std::span<const double>(rows.sums()).first(groups * columns);
  std::vector<double> means(columns);
  for (size_t i = 0; i < sums.size(); ++i) {
    if (!std::isfinite(sums[i])) {
      return absl::InvalidArgumentError(
          fmt::format("the sum of column {} in group {} is {}: must be finite", i % columns,
                      i / columns, sums[i]));
    }
    means[i % columns] += sums[i];
  }
  for (double& mean : means) mean /= static_cast<double>(rows.n());
  const auto group_rows = std::span<const double>(rows.rows()).first(groups);
  return Summarise(statistic(means), ResampleUnits(sums, group_rows, columns, statistic, options),
                   options.level);
}

absl::StatusOr<BootstrapResult> BootstrapOfCounts(
    std::span<const uint64_t> counts,
    absl::FunctionRef<double(std::span<const double> resampled)> statistic,
    const BootstrapOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  if (counts.empty()) {
    return absl::InvalidArgumentError("counts is empty: at least one category is needed");
  }
  uint64_t n = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] > kMaxCount - n) {
      return absl::InvalidArgumentError(
          fmt::format("counts[{}] is {}: the sum must be <= 2^53", i, counts[i]));
    }
    n += counts[i];
  }
  if (n == 0) {
    return absl::InvalidArgumentError("counts are all 0: at least one item is needed");
  }
  std::vector<double> resampled(counts.begin(), counts.end());
  const double estimate = statistic(resampled);
  std::vector<double> weights = resampled;
  for (double& weight : weights) weight += options.pseudo_count;
  std::vector<double> masses = weights;
  for (size_t i = masses.size() - 1; i > 0; --i) masses[i - 1] += masses[i];

  std::vector<double> values(static_cast<size_t>(options.replicates));
  for (size_t replicate = 0; replicate < values.size(); ++replicate) {
    CounterRng rng(options.seed, replicate);
    // Items that are left for the categories from i on.
    uint64_t items = n;
    for (size_t i = 0; i < counts.size(); ++i) {
      uint64_t drawn = 0;
      const double weight = weights[i];
      // The weights from i on, in one order whatever came before: no rounding is left over.
      const double mass = masses[i];
      if (weight == mass) {
        drawn = items;
      } else if (weight > 0 && items > 0) {
        const double share = weight / mass;
        boost::random::binomial_distribution<int64_t, double> binomial(static_cast<int64_t>(items),
                                                                       share);
        // Inversion may step one past the end when rounding leaves some probability over.
        drawn = std::min(static_cast<uint64_t>(binomial(rng)), items);
      }
      resampled[i] = static_cast<double>(drawn);
      items -= drawn;
    }
    values[replicate] = statistic(resampled);
  }
  return Summarise(estimate, std::move(values), options.level);
}

}  // namespace mirage::metrics
