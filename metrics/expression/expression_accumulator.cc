#include "metrics/expression/expression_accumulator.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/expression/expression.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/exact_sum.h"
#include "metrics/stats/moments.h"
#include "metrics/stats/serialization.h"

namespace mirage::metrics {
namespace {

using Op = ExpressionOp;

constexpr uint8_t kVersion = 1;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr size_t kBlock = ExpressionAccumulator::kBlockRows;

absl::Status Invalid(std::string_view message) {
  return absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
}

bool IsNan(double x) { return x != x; }
bool IsTrue(double x) { return x != 0; }
double Flag(bool x) { return x ? 1 : 0; }

// What follows is what an operator does with values of which a NaN is an undefined one.

double Compared(double x, double y, bool result) {
  return IsNan(x) || IsNan(y) ? kNan : Flag(result);
}

double And(double x, double y) {
  if (x == 0 || y == 0) return 0;
  return IsNan(x) || IsNan(y) ? kNan : 1;
}

double Or(double x, double y) {
  if ((IsTrue(x) && !IsNan(x)) || (IsTrue(y) && !IsNan(y))) return 1;
  return IsNan(x) || IsNan(y) ? kNan : 0;
}

double Power(double x, double y) {
  // C's pow gives 1 for two undefined cases.
  return IsNan(x) || IsNan(y) ? kNan : std::pow(x, y);
}

double Least(double x, double y) {
  if (IsNan(x) || IsNan(y)) return kNan;
  return y < x ? y : x;
}

double Greatest(double x, double y) {
  if (IsNan(x) || IsNan(y)) return kNan;
  return x < y ? y : x;
}

double Clip(double x, double low, double high) {
  return low <= high ? Greatest(low, Least(x, high)) : kNan;
}

double If(double condition, double x, double y) {
  if (IsNan(condition)) return kNan;
  return IsTrue(condition) ? x : y;
}

// Calls unary(f), binary(f) or ternary(f) with the function of an operator.
template <typename Unary, typename Binary, typename Ternary>
void WithFunction(Op op, const Unary& unary, const Binary& binary, const Ternary& ternary) {
  switch (op) {
    case Op::kNumber:
    case Op::kColumn:
    case Op::kAggregate:
      return;
    case Op::kNegate:
      return unary([](double x) { return -x; });
    case Op::kNot:
      return unary([](double x) { return IsNan(x) ? kNan : Flag(x == 0); });
    case Op::kLog:
      return unary([](double x) { return std::log(x); });
    case Op::kLog2:
      return unary([](double x) { return std::log2(x); });
    case Op::kExp:
      return unary([](double x) { return std::exp(x); });
    case Op::kSqrt:
      return unary([](double x) { return std::sqrt(x); });
    case Op::kAbs:
      return unary([](double x) { return std::abs(x); });
    case Op::kIsFinite:
      return unary([](double x) { return Flag(std::isfinite(x)); });
    case Op::kAdd:
      return binary([](double x, double y) { return x + y; });
    case Op::kSubtract:
      return binary([](double x, double y) { return x - y; });
    case Op::kMultiply:
      return binary([](double x, double y) { return x * y; });
    case Op::kDivide:
      return binary([](double x, double y) { return x / y; });
    case Op::kPower:
      return binary(Power);
    case Op::kLess:
      return binary([](double x, double y) { return Compared(x, y, x < y); });
    case Op::kLessEqual:
      return binary([](double x, double y) { return Compared(x, y, x <= y); });
    case Op::kGreater:
      return binary([](double x, double y) { return Compared(x, y, x > y); });
    case Op::kGreaterEqual:
      return binary([](double x, double y) { return Compared(x, y, x >= y); });
    case Op::kEqual:
      return binary([](double x, double y) { return Compared(x, y, x == y); });
    case Op::kNotEqual:
      return binary([](double x, double y) { return Compared(x, y, x != y); });
    case Op::kAnd:
      return binary(And);
    case Op::kOr:
      return binary(Or);
    case Op::kMin:
      return binary(Least);
    case Op::kMax:
      return binary(Greatest);
    case Op::kClip:
      return ternary(Clip);
    case Op::kIf:
      return ternary(If);
  }
}

// Runs a row's program over blocks of rows.
class BlockMachine {
 public:
  BlockMachine(const Expression::Row& row, std::span<const std::span<const double>> columns)
      : row_(row), columns_(columns), buffers_(row.stack * kBlock), stack_(row.stack) {}

  // The values of rows [first, first + n); valid until the next call.
  const double* Run(size_t first, size_t n) {
    size_t top = 0;
    for (const ExpressionStep& step : row_.steps) {
      switch (step.op) {
        case Op::kNumber:
          std::fill_n(Buffer(top), n, step.number);
          stack_[top] = Buffer(top);
          ++top;
          break;
        case Op::kColumn:
          // Read where it lies.
          stack_[top++] = columns_[step.index].data() + first;
          break;
        default:
          WithFunction(
              step.op,
              [&](const auto& f) {
                double* out = Buffer(top - 1);
                const double* x = stack_[top - 1];
                for (size_t i = 0; i < n; ++i) out[i] = f(x[i]);
                stack_[top - 1] = out;
              },
              [&](const auto& f) {
                double* out = Buffer(top - 2);
                const double* x = stack_[top - 2];
                const double* y = stack_[top - 1];
                for (size_t i = 0; i < n; ++i) out[i] = f(x[i], y[i]);
                --top;
                stack_[top - 1] = out;
              },
              [&](const auto& f) {
                double* out = Buffer(top - 3);
                const double* x = stack_[top - 3];
                const double* y = stack_[top - 2];
                const double* z = stack_[top - 1];
                for (size_t i = 0; i < n; ++i) out[i] = f(x[i], y[i], z[i]);
                top -= 2;
                stack_[top - 1] = out;
              });
      }
    }
    return stack_[0];
  }

 private:
  double* Buffer(size_t place) { return buffers_.data() + place * kBlock; }

  const Expression::Row& row_;
  std::span<const std::span<const double>> columns_;
  std::vector<double> buffers_;
  std::vector<const double*> stack_;
};

// A value and its derivative by the error core.
struct Dual {
  double value = 0;
  double slope = 0;
};

Dual DualOf(Op op, Dual x) {
  switch (op) {
    case Op::kNegate:
      return {0, -x.slope};
    case Op::kLog:
      return {0, x.slope / x.value};
    case Op::kLog2:
      return {0, x.slope / (x.value * std::numbers::ln2)};
    case Op::kExp:
      return {0, x.slope * std::exp(x.value)};
    case Op::kSqrt:
      return {0, x.slope / (2 * std::sqrt(x.value))};
    default:
      // The others have no error core, or constant arguments.
      return {0, 0};
  }
}

Dual DualOf(Op op, Dual x, Dual y) {
  switch (op) {
    case Op::kAdd:
      return {0, x.slope + y.slope};
    case Op::kSubtract:
      return {0, x.slope - y.slope};
    case Op::kMultiply:
      return {0, x.slope * y.value + x.value * y.slope};
    case Op::kDivide:
      return {0, (x.slope - x.value / y.value * y.slope) / y.value};
    case Op::kPower:
      // The exponent is a constant.
      return {0, x.slope == 0 ? 0 : x.slope * y.value * std::pow(x.value, y.value - 1)};
    default:
      return {0, 0};
  }
}

// The program over the aggregates' values; `slopes` are their derivatives by the error core.
Dual RunOverAggregates(std::span<const ExpressionStep> steps, std::span<const double> values,
                       std::span<const double> slopes) {
  std::vector<Dual> stack;
  for (const ExpressionStep& step : steps) {
    if (step.op == Op::kNumber) {
      stack.push_back({step.number, 0});
      continue;
    }
    if (step.op == Op::kAggregate) {
      stack.push_back({values[step.index], slopes[step.index]});
      continue;
    }
    WithFunction(
        step.op,
        [&](const auto& f) {
          Dual& x = stack.back();
          x = {f(x.value), DualOf(step.op, x).slope};
        },
        [&](const auto& f) {
          const Dual y = stack.back();
          stack.pop_back();
          Dual& x = stack.back();
          x = {f(x.value, y.value), DualOf(step.op, x, y).slope};
        },
        [&](const auto& f) {
          const Dual z = stack.back();
          stack.pop_back();
          const Dual y = stack.back();
          stack.pop_back();
          Dual& x = stack.back();
          x = {f(x.value, y.value, z.value), 0};
        });
  }
  return stack.front();
}

std::vector<double> Sorted(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

std::string Rows(uint64_t n) { return fmt::format("{} row{}", n, n == 1 ? "" : "s"); }

}  // namespace

ExpressionAccumulator::ExpressionAccumulator(Expression expression)
    : expression_(std::move(expression)), rows_(expression_.rows().size()) {
  for (const Expression::Aggregate& aggregate : expression_.aggregates()) {
    RowState& state = rows_[aggregate.row];
    switch (aggregate.kind) {
      case AggregateKind::kCount:
        break;
      case AggregateKind::kSum:
        state.needs_sum = true;
        break;
      case AggregateKind::kQuantile:
        state.needs_values = true;
        break;
      case AggregateKind::kMean:
      case AggregateKind::kMin:
      case AggregateKind::kMax:
      case AggregateKind::kVar:
        state.needs_moments = true;
        break;
    }
  }
  // The moments hold the sum.
  for (RowState& state : rows_) state.needs_sum &= !state.needs_moments;
}

void ExpressionAccumulator::AddValues(RowState& state, std::span<const double> values) {
  state.n_counted += values.size();
  if (state.needs_moments) state.moments.AddAll(values);
  if (state.needs_sum) state.sum.AddAll(values);
  if (state.needs_values) {
    // Adding +0 makes -0 a +0, so that the bytes do not depend on which zero came first.
    for (const double x : values) state.values.push_back(x + 0.0);
  }
}

absl::Status ExpressionAccumulator::AddRows(std::span<const std::span<const double>> columns) {
  if (columns.size() != expression_.n_columns()) {
    return Invalid(fmt::format("columns has {} elements: the expression was parsed with {}",
                               columns.size(), expression_.n_columns()));
  }
  size_t n = 0;
  size_t longest = 0;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].size() > n) {
      n = columns[i].size();
      longest = i;
    }
  }
  for (size_t i = 0; i < columns.size(); ++i) {
    const std::string& name = expression_.column_names()[i];
    if (columns[i].size() == n || (columns[i].empty() && name.empty())) continue;
    return Invalid(fmt::format("columns[{}]{} has {} rows, columns[{}] has {}: lengths must agree",
                               i, name.empty() ? "" : fmt::format(" (`{}`)", name),
                               columns[i].size(), longest, n));
  }
  n_rows_ += n;
  std::vector<BlockMachine> machines;
  machines.reserve(rows_.size());
  for (const Expression::Row& row : expression_.rows()) machines.emplace_back(row, columns);
  const std::optional<Expression::ErrorCore>& core = expression_.error_core();
  const bool has_ratio = core.has_value() && core->denominator.has_value();
  const auto row_of = [&](uint32_t aggregate) { return expression_.aggregates()[aggregate].row; };
  std::array<double, kBlock> numerators;
  std::array<double, kBlock> denominators;
  std::array<double, kBlock> packed;
  std::array<uint8_t, kBlock> missing;
  for (size_t first = 0; first < n; first += kBlock) {
    const size_t size = std::min(kBlock, n - first);
    for (size_t r = 0; r < rows_.size(); ++r) {
      RowState& state = rows_[r];
      const double* values = machines[r].Run(first, size);
      size_t n_nan = 0;
      for (size_t i = 0; i < size; ++i) n_nan += IsNan(values[i]) ? 1 : 0;
      missing.fill(0);
      size_t n_missing = 0;
      for (const uint32_t column : expression_.rows()[r].columns) {
        const double* xs = columns[column].data() + first;
        for (size_t i = 0; i < size; ++i) missing[i] |= IsNan(xs[i]) ? 1 : 0;
      }
      for (size_t i = 0; i < size; ++i) n_missing += missing[i];
      if (n_nan + n_missing > 0) {
        size_t kept = 0;
        for (size_t i = 0; i < size; ++i) {
          if (missing[i] == 0 && !IsNan(values[i])) packed[kept++] = values[i];
        }
        state.n_missing += n_missing;
        state.n_undefined += size - n_missing - kept;
        AddValues(state, std::span(packed).first(kept));
      } else {
        AddValues(state, {values, size});
      }
      if (!has_ratio) continue;
      // Rows that do not count are NaN here.
      const auto keep = [&](std::array<double, kBlock>& out, bool ones) {
        for (size_t i = 0; i < size; ++i) {
          const bool counts = missing[i] == 0 && !IsNan(values[i]);
          out[i] = !counts ? kNan : ones ? 1.0 : values[i];
        }
      };
      if (row_of(core->numerator) == r) keep(numerators, false);
      if (row_of(*core->denominator) == r) {
        keep(denominators,
             expression_.aggregates()[*core->denominator].kind == AggregateKind::kCount);
      }
    }
    if (!has_ratio) continue;
    for (size_t i = 0; i < size; ++i) {
      if (!IsNan(numerators[i]) && !IsNan(denominators[i])) {
        ratio_.Add(numerators[i], denominators[i]);
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ExpressionAccumulator::Merge(const ExpressionAccumulator& other) {
  if (other.expression_.Canonical() != expression_.Canonical()) {
    return Invalid(fmt::format("other is of the expression `{}`: must be `{}`, as here",
                               other.expression_.Canonical(), expression_.Canonical()));
  }
  n_rows_ += other.n_rows_;
  for (size_t r = 0; r < rows_.size(); ++r) {
    RowState& state = rows_[r];
    const RowState& from = other.rows_[r];
    state.n_counted += from.n_counted;
    state.n_missing += from.n_missing;
    state.n_undefined += from.n_undefined;
    if (state.needs_moments) state.moments.Merge(from.moments);
    if (state.needs_sum) state.sum.Merge(from.sum);
    if (state.needs_values) {
      // By index: `from` may be `state`.
      const size_t n = from.values.size();
      for (size_t i = 0; i < n; ++i) state.values.push_back(from.values[i]);
    }
  }
  ratio_.Merge(other.ratio_);
  return absl::OkStatus();
}

double ExpressionAccumulator::AggregateValue(const Expression::Aggregate& aggregate,
                                             std::string& reason) const {
  const RowState& state = rows_[aggregate.row];
  if (aggregate.kind == AggregateKind::kCount) return static_cast<double>(state.n_counted);
  if (state.n_counted == 0) {
    reason = n_rows_ == 0 ? fmt::format("{} has no rows", aggregate.text)
                          : fmt::format("{} has no row with a value, {} lack a column",
                                        aggregate.text, state.n_missing);
    return kNan;
  }
  double value = kNan;
  switch (aggregate.kind) {
    case AggregateKind::kMean:
      value = *state.moments.mean();
      break;
    case AggregateKind::kSum:
      value = state.needs_moments ? state.moments.sum().Round() : state.sum.Round();
      break;
    case AggregateKind::kMin:
      value = *state.moments.min();
      break;
    case AggregateKind::kMax:
      value = *state.moments.max();
      break;
    case AggregateKind::kQuantile:
      value = SortedQuantile(Sorted(state.values), aggregate.probability);
      break;
    case AggregateKind::kVar:
      value = state.moments.variance().value_or(kNan);
      break;
    case AggregateKind::kCount:
      break;
  }
  if (IsNan(value)) {
    reason = aggregate.kind == AggregateKind::kVar && state.n_counted == 1
                 ? fmt::format("{} has one row; a variance needs two", aggregate.text)
                 : fmt::format("{} is of infinite values that have no {}", aggregate.text,
                               aggregate.kind == AggregateKind::kVar ? "variance" : "sum");
  }
  return value;
}

void ExpressionAccumulator::FindError(std::span<const double> aggregates,
                                      ExpressionValue& out) const {
  const std::optional<Expression::ErrorCore>& core = expression_.error_core();
  if (!core.has_value()) {
    out.error_reason =
        "the expression is neither a mean, a ratio of sums, nor a differentiable function of one";
    return;
  }
  const RowState& numerator = rows_[expression_.aggregates()[core->numerator].row];
  std::vector<double> slopes(aggregates.size(), 0.0);
  std::optional<double> core_error;
  out.error_method = kExpressionErrorDelta;
  if (core->denominator.has_value()) {
    const RowState& denominator = rows_[expression_.aggregates()[*core->denominator].row];
    if (ratio_.count() != numerator.n_counted || ratio_.count() != denominator.n_counted) {
      out.error_reason = fmt::format("{} and {} are of different rows",
                                     expression_.aggregates()[core->numerator].text,
                                     expression_.aggregates()[*core->denominator].text);
    } else {
      core_error = ratio_.standard_error();
    }
    // With x = r w, the derivative by r is that by x, times w.
    slopes[core->numerator] = aggregates[*core->denominator];
  } else {
    core_error = numerator.moments.standard_error();
    if (core->linear) out.error_method = kExpressionErrorMean;
    slopes[core->numerator] = 1;
  }
  if (core_error.has_value()) {
    const double slope = RunOverAggregates(expression_.steps(), aggregates, slopes).slope;
    const double error = std::abs(slope) * *core_error;
    if (std::isfinite(error)) {
      out.standard_error = error;
      return;
    }
    out.error_reason = "the expression has no finite derivative at its value";
  } else if (out.error_reason.empty()) {
    out.error_reason =
        numerator.n_counted < 2
            ? fmt::format("a standard error needs two rows, {} counted", Rows(numerator.n_counted))
            : "infinite values have no standard error";
  }
  out.error_method = {};
}

ExpressionValue ExpressionAccumulator::Value() const {
  ExpressionValue out;
  out.n_rows = n_rows_;
  std::vector<double> values;
  std::string first_reason;
  for (const Expression::Aggregate& aggregate : expression_.aggregates()) {
    const RowState& state = rows_[aggregate.row];
    out.aggregates.push_back({.text = aggregate.text,
                              .n_counted = state.n_counted,
                              .n_missing = state.n_missing,
                              .n_undefined = state.n_undefined});
    if (state.n_undefined > 0 && out.reason.empty()) {
      out.reason = fmt::format(
          "{}: {} of {} have columns that give no number (0/0, a logarithm of a negative number or "
          "the like); say by if() what such rows are to be",
          aggregate.text, state.n_undefined, Rows(n_rows_));
    }
    std::string reason;
    values.push_back(AggregateValue(aggregate, reason));
    if (first_reason.empty()) first_reason = std::move(reason);
  }
  out.error_reason = "the metric has no value";
  if (!out.reason.empty()) return out;
  const std::vector<double> no_slopes(values.size(), 0.0);
  const double value = RunOverAggregates(expression_.steps(), values, no_slopes).value;
  if (IsNan(value)) {
    out.reason = !first_reason.empty()
                     ? first_reason
                     : "the arithmetic over the aggregates gives no number (0/0, a logarithm of a "
                       "negative number or the like)";
    return out;
  }
  // Adding +0 makes -0 a +0: the mean of nothing wrong is not "-0".
  out.value = value + 0.0;
  out.error_reason.clear();
  FindError(values, out);
  const Expression::Aggregate& first = expression_.aggregates()[0];
  const Moments& moments = rows_[first.row].moments;
  if (expression_.steps().size() == 1 && first.kind == AggregateKind::kMean && moments.IsBinary()) {
    out.successes = moments.successes();
  }
  return out;
}

std::string ExpressionAccumulator::Serialize() const {
  ByteWriter out(kVersion);
  out.Bytes(expression_.Canonical());
  out.Uint64(n_rows_);
  for (const RowState& state : rows_) {
    out.Uint64(state.n_counted);
    out.Uint64(state.n_missing);
    out.Uint64(state.n_undefined);
    if (state.needs_moments) out.Part(state.moments);
    if (state.needs_sum) out.Sum(state.sum);
    if (state.needs_values) {
      for (const double x : Sorted(state.values)) out.Double(x);
    }
  }
  out.Part(ratio_);
  return std::move(out).Take();
}

absl::StatusOr<ExpressionAccumulator> ExpressionAccumulator::Deserialize(Expression expression,
                                                                         std::string_view bytes) {
  ByteReader in(bytes, "expression accumulator", kVersion);
  ExpressionAccumulator out(std::move(expression));
  const std::string_view canonical = in.Bytes("expression");
  if (canonical != out.expression_.Canonical()) {
    in.Fail(fmt::format("it was written for another expression than `{}`",
                        out.expression_.Canonical()));
  }
  out.n_rows_ = in.Uint64("n_rows");
  for (size_t r = 0; r < out.rows_.size() && in.ok(); ++r) {
    RowState& state = out.rows_[r];
    const std::string row = fmt::format("rows[{}]", r);
    state.n_counted = in.Uint64(row);
    state.n_missing = in.Uint64(row);
    state.n_undefined = in.Uint64(row);
    uint64_t left = out.n_rows_;
    bool agree = true;
    for (const uint64_t part : {state.n_counted, state.n_missing, state.n_undefined}) {
      agree &= part <= left;
      left -= std::min(part, left);
    }
    if (!agree || left != 0) {
      in.Fail(fmt::format("{}: {} + {} + {} rows are not the {} that were added", row,
                          state.n_counted, state.n_missing, state.n_undefined, out.n_rows_));
    }
    if (state.needs_moments) {
      state.moments = in.Part<Moments>(row + ".moments");
      if (state.moments.count() != state.n_counted || state.moments.n_nan() > 0) {
        in.Fail(fmt::format("{}.moments is not of its {}", row, Rows(state.n_counted)));
      }
    }
    if (state.needs_sum) {
      state.sum = in.Sum(row + ".sum");
      if (state.sum.n_nan() > 0) in.Fail(fmt::format("{}.sum has a NaN", row));
    }
    if (state.needs_values && in.Holds(row + ".values", state.n_counted, sizeof(double))) {
      state.values.resize(state.n_counted);
      for (size_t i = 0; i < state.values.size() && in.ok(); ++i) {
        double& x = state.values[i];
        x = in.Double(row);
        const bool is_negative_zero = x == 0 && std::signbit(x);
        if (IsNan(x) || is_negative_zero || (i > 0 && x < state.values[i - 1])) {
          in.Fail(fmt::format("{}.values[{}] is not what Serialize writes", row, i));
        }
      }
    }
  }
  out.ratio_ = in.Part<RatioMoments>("ratio");
  const std::optional<Expression::ErrorCore>& core = out.expression_.error_core();
  const bool has_ratio = core.has_value() && core->denominator.has_value();
  uint64_t most = 0;
  if (has_ratio) {
    const auto counted = [&](uint32_t aggregate) {
      return out.rows_[out.expression_.aggregates()[aggregate].row].n_counted;
    };
    most = std::min(counted(core->numerator), counted(*core->denominator));
  }
  if (out.ratio_.count() > most) {
    in.Fail(
        fmt::format("ratio has {}, more than its sums have, {}", Rows(out.ratio_.count()), most));
  }
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  return out;
}

}  // namespace mirage::metrics
