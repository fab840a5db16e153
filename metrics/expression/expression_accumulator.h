// Values of an Expression over rows that arrive in any order and any sharding.
//
//   ExpressionAccumulator accumulator(expression);
//   const std::span<const double> columns[] = {log_p, bytes};   // as many as Parse was given
//   absl::Status status = accumulator.AddRows(columns);
//   ExpressionValue value = accumulator.Value();
//   // value.value, value.standard_error, value.aggregates[0].n_missing
//
// Exact and mergeable: sums are exact (ExactSum, Moments, RatioMoments), quantiles keep the values,
// so that the same rows give the same bits for every order and sharding, on every machine with the
// same libm (exp, log, log2, pow).
//
// Memory: 1 to 12 kB, and 8 bytes a row for each expression that a quantile is taken of. A column
// is read in blocks of kBlockRows, one operation a block, without a call per row; see
// expression_benchmark.cc: 3 ns a row for a share, 6 for a mean of quotients, 22 for a ratio of
// sums.
#ifndef MIRAGE_METRICS_EXPRESSION_EXPRESSION_ACCUMULATOR_H_
#define MIRAGE_METRICS_EXPRESSION_EXPRESSION_ACCUMULATOR_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/expression/expression.h"
#include "metrics/stats/exact_sum.h"
#include "metrics/stats/moments.h"

namespace mirage::metrics {

// Method names of ExpressionValue::standard_error.
inline constexpr std::string_view kExpressionErrorMean = "mean";
inline constexpr std::string_view kExpressionErrorDelta = "delta";

// How the rows of one aggregate were counted: n_counted + n_missing + n_undefined = n_rows.
struct AggregateRows {
  // The aggregate's canonical text.
  std::string text;
  uint64_t n_counted = 0;
  // Rows that lack a column that it names.
  uint64_t n_missing = 0;
  // Rows whose columns are there, but whose arithmetic gives no number.
  uint64_t n_undefined = 0;
};

struct ExpressionValue {
  // The metric. May be infinite; never NaN. Absent where it cannot be computed, `reason` says why:
  // an aggregate has undefined rows, or no row at all (also sum: of nothing it is not 0; count
  // is), or what is done with the aggregates gives no number. if(count(x) > 0, mean(x), 0) has a
  // value without rows.
  std::optional<double> value;
  std::string reason;
  // The standard error for independent rows. Of a linear function a mean(x) + b it is a times that
  // of the mean, method "mean". Of sum(x) / sum(w), sum(x) / count(w) and mean(x) / mean(w) it is
  // the first-order one of RatioMoments, and of a differentiable function of a mean or of such a
  // ratio its derivative times that error: method "delta". Absent for anything else, and where it
  // is not defined (one row, infinite values, rows that count in only one of two sums):
  // `error_reason` says why. 0 where all rows have the same value, which is no certainty.
  std::optional<double> standard_error;
  std::string_view error_method;
  std::string error_reason;
  // Number of rows that were added.
  uint64_t n_rows = 0;
  // In the order of Expression::aggregates().
  std::vector<AggregateRows> aggregates;
  // Where the metric is mean(x) and every x is 0 or 1: the number of ones among the counted rows,
  // for an interval of k of n (intervals.h).
  std::optional<uint64_t> successes;
};

// Not thread-safe.
class ExpressionAccumulator {
 public:
  static constexpr size_t kBlockRows = 512;

  explicit ExpressionAccumulator(Expression expression);

  // Adds rows; columns[i] holds the values of the i-th column that Parse was given, NaN where one
  // is missing. Columns that the expression does not use may be empty. INVALID_ARGUMENT, and
  // nothing is added, unless there are as many as Parse was given and all others have the same
  // length.
  absl::Status AddRows(std::span<const std::span<const double>> columns);

  // Adds all rows of `other`. INVALID_ARGUMENT for another expression.
  absl::Status Merge(const ExpressionAccumulator& other);

  const Expression& expression() const { return expression_; }
  uint64_t n_rows() const { return n_rows_; }

  // The metric over all rows so far. O(1), with quantiles O(rows log rows).
  ExpressionValue Value() const;

  // Canonical bytes with a version and the expression's text; equal rows give equal bytes. With
  // quantiles the values are written in ascending order, O(rows log rows).
  std::string Serialize() const;

  // Reads what Serialize() wrote for this expression; INVALID_ARGUMENT for anything else.
  static absl::StatusOr<ExpressionAccumulator> Deserialize(Expression expression,
                                                           std::string_view bytes);

 private:
  // What is kept of the values of one of Expression::rows().
  struct RowState {
    bool needs_moments = false;
    bool needs_sum = false;
    bool needs_values = false;
    uint64_t n_counted = 0;
    uint64_t n_missing = 0;
    uint64_t n_undefined = 0;
    Moments moments;
    ExactSum sum;
    std::vector<double> values;
  };

  void AddValues(RowState& state, std::span<const double> values);
  // The value of an aggregate, NaN with a reason where there is none.
  double AggregateValue(const Expression::Aggregate& aggregate, std::string& reason) const;
  void FindError(std::span<const double> aggregates, ExpressionValue& out) const;

  Expression expression_;
  uint64_t n_rows_ = 0;
  std::vector<RowState> rows_;
  // Of the expression's error core, where it has a denominator.
  RatioMoments ratio_;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EXPRESSION_EXPRESSION_ACCUMULATOR_H_
