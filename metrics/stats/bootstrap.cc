#include "metrics/stats/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/bca.h"
#include "metrics/stats/binomial_draw.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/max_count.h"
#include "metrics/stats/parallel.h"
#include "metrics/stats/random.h"
#include "metrics/stats/resampled_sums.h"

namespace mirage::metrics {
namespace {

constexpr int kMinReplicates = 100;
constexpr int kMaxReplicates = 1'000'000;

// Replicates that a thread takes at a time.
constexpr size_t kShard = 16;

// The value of every replicate; `make()` gives a function of the replicate's number, with working
// memory of its own.
template <class Make>
std::vector<double> Replicate(const BootstrapOptions& options, const Make& make) {
  std::vector<double> values(static_cast<size_t>(options.replicates));
  ParallelFor((values.size() + kShard - 1) / kShard, options.threads, [&](size_t shard) {
    auto value = make();
    const size_t end = std::min(values.size(), (shard + 1) * kShard);
    for (size_t i = shard * kShard; i < end; ++i) values[i] = value(i);
  });
  return values;
}

// The statistic without each unit in turn; values that several units leave may stand once.
struct LeftOut {
  std::vector<double> values;
  // How many units leave each; empty where all stand for themselves.
  std::vector<uint64_t> times;
};

// `leave_one_out` gives a LeftOut; called for BCa only.
template <class LeaveOneOut>
absl::StatusOr<BootstrapResult> Summarise(double estimate, std::vector<double> values,
                                          const BootstrapOptions& options,
                                          const LeaveOneOut& leave_one_out) {
  absl::StatusOr<BootstrapResult> result = PercentileResult(estimate, values, options.level);
  if (!result.ok() || options.interval == BootstrapInterval::kPercentile) return result;
  const LeftOut without = leave_one_out();
  const absl::StatusOr<double> acceleration = Acceleration(without.values, without.times);
  if (!acceleration.ok()) return acceleration.status();
  const absl::StatusOr<ConfidenceInterval> interval =
      BcaInterval(values, estimate, *acceleration, options.level);
  if (!interval.ok()) return interval.status();
  result->interval = *interval;
  return result;
}

// The statistic without each unit in turn, from its sums (units x columns) and numbers of rows
// (empty where all have one). A single unit cannot be left out: its own value stands for it, so
// that the acceleration is 0.
LeftOut WithoutEach(std::span<const double> sums, std::span<const double> unit_rows, size_t columns,
                    std::span<const double> totals, double total_rows,
                    absl::FunctionRef<double(std::span<const double> means)> statistic,
                    const BootstrapOptions& options) {
  const size_t units = sums.size() / columns;
  std::vector<double> values(units);
  constexpr size_t kUnits = 4096;
  ParallelFor((units + kUnits - 1) / kUnits, options.threads, [&](size_t shard) {
    std::vector<double> means(columns);
    for (size_t i = shard * kUnits; i < std::min(units, (shard + 1) * kUnits); ++i) {
      const bool only = units == 1;
      const double rows = total_rows - (only ? 0 : unit_rows.empty() ? 1 : unit_rows[i]);
      for (size_t j = 0; j < columns; ++j) {
        means[j] = (totals[j] - (only ? 0 : sums[i * columns + j])) / rows;
      }
      values[i] = statistic(means);
    }
  });
  return {std::move(values), {}};
}

std::vector<double> TotalsOf(std::span<const double> rows, size_t columns) {
  std::vector<double> totals(columns);
  for (size_t at = 0; at < rows.size(); at += columns) {
    for (size_t j = 0; j < columns; ++j) totals[j] += rows[at + j];
  }
  return totals;
}

absl::Status CheckRows(size_t n) {
  if (n > std::numeric_limits<uint32_t>::max()) {
    return absl::InvalidArgumentError(fmt::format("{} rows: at most 2^32 - 1", n));
  }
  return absl::OkStatus();
}

// Draws whole groups of rows.
std::vector<double> ResampleGroups(
    std::span<const double> sums, std::span<const double> group_rows, size_t columns,
    absl::FunctionRef<double(std::span<const double> means)> statistic,
    const BootstrapOptions& options) {
  const auto groups = static_cast<uint32_t>(group_rows.size());
  return Replicate(options, [&] {
    return [&, means = std::vector<double>(columns)](size_t replicate) mutable {
      CounterRng rng(options.seed, replicate);
      std::fill(means.begin(), means.end(), 0.0);
      double drawn_rows = 0;
      for (uint32_t draw = 0; draw < groups; ++draw) {
        const uint32_t group = rng.Below32(groups);
        const double* group_sums = &sums[group * columns];
        for (size_t j = 0; j < columns; ++j) means[j] += group_sums[j];
        drawn_rows += group_rows[group];
      }
      for (double& mean : means) mean /= drawn_rows;
      return statistic(means);
    };
  });
}

}  // namespace

absl::Status CheckBootstrapOptions(const BootstrapOptions& options) {
  if (options.replicates < kMinReplicates || options.replicates > kMaxReplicates) {
    return absl::InvalidArgumentError(fmt::format("replicates is {}: must be from {} to {}",
                                                  options.replicates, kMinReplicates,
                                                  kMaxReplicates));
  }
  if (absl::Status status = CheckLevel(options.level); !status.ok()) return status;
  if (!(options.pseudo_count >= 0 && std::isfinite(options.pseudo_count))) {
    return absl::InvalidArgumentError(
        fmt::format("pseudo_count is {}: must be finite and >= 0", options.pseudo_count));
  }
  return absl::OkStatus();
}

absl::StatusOr<BootstrapResult> PercentileResult(double estimate, std::vector<double>& values,
                                                 double level) {
  if (absl::Status status = CheckLevel(level); !status.ok()) return status;
  if (values.size() < 2) {
    return absl::InvalidArgumentError(
        fmt::format("{} resampled values: at least 2 are needed", values.size()));
  }
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
  const double count = static_cast<double>(values.size());
  const double mean = sum / count;
  double squares = 0;
  for (double value : values) squares += (value - mean) * (value - mean);
  BootstrapResult result;
  result.estimate = estimate;
  result.standard_error = std::isfinite(sum) ? std::sqrt(squares / (count - 1))
                                             : std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  result.interval = {SortedQuantile(values, (1 - level) / 2),
                     SortedQuantile(values, (1 + level) / 2), level, kMethodBootstrapPercentile};
  return result;
}

absl::StatusOr<BootstrapResult> BootstrapOfMeans(
    std::span<const double> rows, size_t columns,
    absl::FunctionRef<double(std::span<const double> means)> statistic,
    const BootstrapOptions& options) {
  if (absl::Status status = CheckBootstrapOptions(options); !status.ok()) return status;
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
  if (absl::Status status = CheckRows(n); !status.ok()) return status;
  if (n > options.max_rows_singly) {
    GroupedRows grouped(columns);
    for (size_t at = 0; at < rows.size(); at += columns) grouped.Add(rows.subspan(at, columns));
    return BootstrapOfMeans(grouped, statistic, options);
  }
  const std::vector<double> totals = TotalsOf(rows, columns);
  const double total_rows = static_cast<double>(n);
  std::vector<double> means = totals;
  for (double& mean : means) mean /= total_rows;
  const ResampledSums resampled(rows, columns);
  std::vector<double> values = Replicate(options, [&] {
    return [&, drawn = std::vector<double>(columns)](size_t replicate) mutable {
      resampled.Draw(options.seed, replicate, drawn);
      for (double& mean : drawn) mean /= total_rows;
      return statistic(drawn);
    };
  });
  return Summarise(statistic(means), std::move(values), options, [&] {
    return WithoutEach(rows, {}, columns, totals, total_rows, statistic, options);
  });
}

absl::StatusOr<BootstrapResult> BootstrapOfRows(
    size_t n, absl::FunctionRef<double(std::span<const uint32_t> rows)> statistic,
    const BootstrapOptions& options) {
  if (absl::Status status = CheckBootstrapOptions(options); !status.ok()) return status;
  if (n == 0) return absl::InvalidArgumentError("n is 0: at least one row is needed");
  if (absl::Status status = CheckRows(n); !status.ok()) return status;
  std::vector<uint32_t> all(n);
  std::iota(all.begin(), all.end(), uint32_t{0});
  std::vector<double> values = Replicate(options, [&] {
    return [&, drawn = std::vector<uint32_t>(n)](size_t replicate) mutable {
      CounterRng rng(options.seed, replicate);
      for (uint32_t& row : drawn) row = rng.Below32(static_cast<uint32_t>(n));
      return statistic(drawn);
    };
  });
  return Summarise(statistic(all), std::move(values), options, [&] {
    // A single row cannot be left out: see WithoutEach.
    if (n == 1) return LeftOut{{statistic(all)}, {}};
    std::vector<double> without(n);
    constexpr size_t kRows = 64;
    ParallelFor((n + kRows - 1) / kRows, options.threads, [&](size_t shard) {
      const size_t begin = shard * kRows;
      // All but one: rows begin as 1, 2, ..., and the hole moves up.
      std::vector<uint32_t> rest(n - 1);
      for (size_t i = 0; i < rest.size(); ++i) {
        rest[i] = static_cast<uint32_t>(i < begin ? i : i + 1);
      }
      for (size_t i = begin; i < std::min(n, begin + kRows); ++i) {
        if (i > begin) rest[i - 1] = static_cast<uint32_t>(i - 1);
        without[i] = statistic(rest);
      }
    });
    return LeftOut{std::move(without), {}};
  });
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
  if (absl::Status status = CheckBootstrapOptions(options); !status.ok()) return status;
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
  const std::vector<double> totals = means;
  const double total_rows = static_cast<double>(rows.n());
  for (double& mean : means) mean /= total_rows;
  const auto group_rows = std::span<const double>(rows.rows()).first(groups);
  return Summarise(statistic(means), ResampleGroups(sums, group_rows, columns, statistic, options),
                   options, [&] {
                     return WithoutEach(sums, group_rows, columns, totals, total_rows, statistic,
                                        options);
                   });
}

absl::StatusOr<BootstrapResult> BootstrapOfCounts(
    std::span<const uint64_t> counts,
    absl::FunctionRef<double(std::span<const double> resampled)> statistic,
    const BootstrapOptions& options) {
  if (absl::Status status = CheckBootstrapOptions(options); !status.ok()) return status;
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
  const std::vector<double> all(counts.begin(), counts.end());
  std::vector<double> weights = all;
  for (double& weight : weights) weight += options.pseudo_count;
  // The weights from i on, in one order whatever came before: no rounding is left over.
  std::vector<double> masses = weights;
  for (size_t i = masses.size() - 1; i > 0; --i) masses[i - 1] += masses[i];

  std::vector<double> values = Replicate(options, [&] {
    return [&, resampled = std::vector<double>(counts.size())](size_t replicate) mutable {
      CounterRng rng(options.seed, replicate);
      // Items that are left for the categories from i on.
      uint64_t items = n;
      for (size_t i = 0; i < counts.size(); ++i) {
        const uint64_t drawn =
            weights[i] == masses[i] ? items : DrawBinomial(items, weights[i] / masses[i], rng);
        resampled[i] = static_cast<double>(drawn);
        items -= drawn;
      }
      return statistic(resampled);
    };
  });
  return Summarise(statistic(all), std::move(values), options, [&] {
    LeftOut without;
    std::vector<double> rest = all;
    for (size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] == 0) continue;
      // A single item cannot be left out: see WithoutEach.
      if (n > 1) rest[i] -= 1;
      without.values.push_back(statistic(rest));
      without.times.push_back(counts[i]);
      rest[i] = all[i];
    }
    return without;
  });
}

}  // namespace mirage::metrics
