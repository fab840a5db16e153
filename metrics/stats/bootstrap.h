#ifndef MIRAGE_METRICS_STATS_BOOTSTRAP_H_
#define MIRAGE_METRICS_STATS_BOOTSTRAP_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "metrics/stats/intervals.h"

namespace mirage::metrics {

// Which ends the resampled values give.
enum class BootstrapInterval : uint8_t {
  // Their (1 - level)/2 and (1 + level)/2 quantiles, of type 7. First-order accurate: too narrow
  // with fewer than about 30 rows, or where the statistic hangs on a few rows.
  kPercentile,
  // Bias-corrected and accelerated (bca.h): second-order accurate. Calls the statistic once more
  // for every row (group of rows, category), left out in turn.
  kBca,
};

// Rows up to which BootstrapOfMeans resamples single rows unless told otherwise; above it, groups
// of rows.
inline constexpr size_t kMaxRowsResampledSingly = 10'000;
// Number of groups above that.
inline constexpr size_t kBootstrapGroups = 1000;

// How to resample.
struct BootstrapOptions {
  // Same seed, same data: same bits, on every machine with the same libm.
  uint64_t seed = 0;
  // Number of resamples, 100 to 1 000 000. With 1000 the ends of a 90 % interval are known to about
  // a tenth of their distance.
  int replicates = 1000;
  // Nominal coverage in (0, 1).
  double level = 0.9;
  BootstrapInterval interval = BootstrapInterval::kPercentile;
  // Number of threads; the bits do not depend on it. With more than one the statistic is called
  // from several threads at a time.
  int threads = 1;
  // BootstrapOfMeans over rows only: above this many rows, groups of rows are resampled.
  size_t max_rows_singly = kMaxRowsResampledSingly;
  // BootstrapOfCounts only: what is added to every count when resamples are drawn (the estimate
  // is that of the counts as they are), >= 0 and finite. With 0 a category that the data lack is
  // taken for impossible, and an interval of width 0 may result; 1/2 is Jeffreys' prior.
  double pseudo_count = 0;
};

// OK for options in their ranges, else INVALID_ARGUMENT with the remedy.
absl::Status CheckBootstrapOptions(const BootstrapOptions& options);

// The result.
struct BootstrapResult {
  // The statistic of the data.
  double estimate = 0;
  // Method "bootstrap_percentile" or "bootstrap_bca".
  ConfidenceInterval interval;
  // Standard deviation of the resampled statistic; NaN if one of them is infinite.
  double standard_error = 0;
};

// The result of a bootstrap that drew its resamples elsewhere: percentile interval and standard
// error of `values`, which are sorted. INVALID_ARGUMENT: fewer than 2 values, a NaN among them, a
// NaN as estimate, a level outside (0, 1).
absl::StatusOr<BootstrapResult> PercentileResult(double estimate, std::vector<double>& values,
                                                 double level);

// Bootstrap (Efron 1979; Efron, Tibshirani 1993, chapter 13) of a function of column means.
//
// `rows` holds n x columns doubles, row by row; all must be finite. `statistic` maps the `columns`
// means to a number; it is called once for the data and once a replicate, must depend on its
// argument only, and may return an infinity (kBca: only for resamples) but no NaN.
//
// For a plain mean take one column and its only mean. Ratios and corpus scores (NLL per token,
// corpus BLEU) are functions of the means of their sums' columns. For clusters take a row for each
// cluster, ClusteredMoments::ClusterRows(), and the ratio of the two columns.
//
// Up to max_rows_singly rows, a resample draws n rows with replacement (resampled_sums.h): 2 to 4
// ns a row and replicate below 4096 rows, 0.5 ns above, next to nothing for values of few kinds.
// Above, row i belongs to group i mod 1000 and a resample draws 1000 groups with replacement; its
// means are the drawn groups' sums over their numbers of rows. The groups are as independent as the
// rows are, and a mean over groups of equal size (to one row) has the variance of a mean over rows,
// so the bootstrap variance is unbiased (to 1/1000); 1000 groups fix the standard error to sqrt(1 /
// (2 * 999)), about 2.2 %. What it needs beyond the ordinary bootstrap is a statistic of means only
// (that is the interface) and rows without a pattern of a period that divides 1000 (a file that
// cycles through 4 subjects has one: then the groups differ by subject and the interval is too
// wide, the safe side). Cost: O(replicates * 1000 * columns) plus one pass.
//
// Order matters for the bits: sort the rows by sample key (keyed_rows.h) where shards may come in
// any order.
//
// INVALID_ARGUMENT: no rows, columns = 0, a size that is no multiple of columns, more than 2^32 - 1
// rows, a value that is not finite (with its row and column), options out of range, a NaN from
// `statistic`. FAILED_PRECONDITION: no BCa interval (bca.h).
absl::StatusOr<BootstrapResult> BootstrapOfMeans(
    std::span<const double> rows, size_t columns,
    absl::FunctionRef<double(std::span<const double> means)> statistic,
    const BootstrapOptions& options);

// Bootstrap of any function of n rows, which it knows by their numbers: `statistic` gets n numbers
// below n, drawn with replacement (ascending from 0 for the data; n - 1 of them where BCa leaves
// one out), and returns a number from the rows of those numbers. For medians, ranks, calibration
// errors, correlations. It must depend on its argument only and not on the order of it, and may
// return no NaN. 4 ns a row and replicate, and what the statistic costs. Errors as above; n = 0 or
// above 2^32 - 1 is INVALID_ARGUMENT.
absl::StatusOr<BootstrapResult> BootstrapOfRows(
    size_t n, absl::FunctionRef<double(std::span<const uint32_t> rows)> statistic,
    const BootstrapOptions& options);

// The 1000 groups of rows, filled row by row: for more rows than fit in memory.
class GroupedRows {
 public:
  // `columns` must be at least 1.
  explicit GroupedRows(size_t columns);

  // Adds the next row, of `columns` values; the i-th row goes to group i mod 1000.
  void Add(std::span<const double> row);

  // Number of values a row.
  size_t columns() const { return columns_; }
  // Number of rows added.
  uint64_t n() const { return n_; }
  // Sums over the rows of each group, group by group, and numbers of rows.
  const std::vector<double>& sums() const { return sums_; }
  const std::vector<double>& rows() const { return rows_; }

 private:
  size_t columns_;
  uint64_t n_ = 0;
  size_t next_ = 0;
  std::vector<double> sums_;
  std::vector<double> rows_;
};

// BootstrapOfMeans for rows that are grouped already; the same bits as from a span of more than
// 10 000 rows. Meant for those: below 1000 rows there are fewer groups than 1000, each of one row,
// and it is the ordinary bootstrap. INVALID_ARGUMENT: no rows, a sum that is not finite, options
// out of range, a NaN from `statistic`.
absl::StatusOr<BootstrapResult> BootstrapOfMeans(
    const GroupedRows& rows, absl::FunctionRef<double(std::span<const double> means)> statistic,
    const BootstrapOptions& options);

// Bootstrap of a function of category counts: n = sum of `counts` items, each in one category.
// Resampling items is the same as drawing the counts from Multinomial(n, counts / n), which costs
// O(categories) a replicate, whatever n is. The counts are drawn as successive binomials (inversion
// for small n p, transformed rejection otherwise: Hormann 1993, as in Boost.Random).
//
// `statistic` gets the counts of a resample, as doubles, in the order of `counts`. A category with
// count 0 stays at 0 unless there are pseudo-counts. INVALID_ARGUMENT: no categories, sum 0 or
// above 2^53, options out of range, a NaN from `statistic`.
absl::StatusOr<BootstrapResult> BootstrapOfCounts(
    std::span<const uint64_t> counts,
    absl::FunctionRef<double(std::span<const double> resampled)> statistic,
    const BootstrapOptions& options);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_BOOTSTRAP_H_
