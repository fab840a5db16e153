// Metrics that a user writes as an expression over recorded columns.
//
//   const std::string_view columns[] = {"log_p_target", "target_bytes", "margin"};
//   absl::StatusOr<Expression> e = Expression::Parse("mean(log_p_target / target_bytes)", columns);
//   e->Canonical();  // "mean(log_p_target / target_bytes)"
//   e->Signature();  // "expression|mean(log_p_target / target_bytes)|v1"
//
// More examples: `-sum(log_p_target) / sum(target_bytes) / log(2)`, `mean(margin > 0)`,
// `quantile(log_p_target, 0.1)`, `mean(if(target_bytes > 0, log_p_target / target_bytes, 0))`.
// An expression is data: there is no code to load, no loop, no assignment, no access to anything
// but the columns. ExpressionAccumulator (expression_accumulator.h) evaluates it.
//
// Grammar (EBNF; white space is free between tokens):
//
//   expression = disjunct , { "or" , disjunct } ;
//   disjunct   = conjunct , { "and" , conjunct } ;
//   conjunct   = "not" , conjunct | comparison ;
//   comparison = sum , [ ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) , sum ] ;
//   sum        = product , { ( "+" | "-" ) , product } ;
//   product    = unary , { ( "*" | "/" ) , unary } ;
//   unary      = "-" , unary | power ;
//   power      = primary , [ "^" , unary ] ;
//   primary    = number | name | call | "(" , expression , ")" ;
//   call       = name , "(" , expression , { "," , expression } , ")" ;
//   number     = ( digits , [ "." , [ digits ] ] | "." , digits ) , [ ( "e" | "E" ) , [ "+" | "-" ]
//   ,
//                digits ] ;
//   name       = ( letter | "_" ) , { letter | digit | "_" } ;
//
// So -a^2 is -(a^2), a^b^c is a^(b^c), and a < b < c is refused. Letters and digits are those of
// ASCII. `and`, `or` and `not` are no names. A name before "(" is a function, any other a column,
// also where a column is called like a function. Columns whose names do not fit the grammar cannot
// be used.
//
// Functions of a row (or of aggregates):
//   log(x) log2(x) exp(x) sqrt(x) abs(x)   as C's
//   min(x, y, ...) max(x, y, ...)          of two or more values
//   clip(x, low, high)                     x brought into [low, high]; undefined for low > high
//   if(condition, x, y)                    x where the condition is not 0, else y
//   isfinite(x)                            1, or 0 for infinite and undefined values
// Comparisons, `and`, `or`, `not` give 0 or 1, and take what is not 0 for true.
//
// Aggregates, over the rows of all shards:
//   mean(x) sum(x) var(x) min(x) max(x)    var with n - 1
//   count(x)                               rows in which x has a value, whatever it is; the number
//                                          of rows where a condition holds is sum(condition)
//   quantile(x, p)                         p a number in [0, 1]; type 7, see SortedQuantile
// Every column stands inside exactly one aggregate; aggregates may be combined by arithmetic.
//
// Values that are not numbers, the rule of every aggregate:
//   - Missing. A column's NaN means "not recorded". A row in which any column that the aggregate
//     names is missing does not count in that aggregate, and is counted as missing there. This
//     holds whichever way an if() in it would have gone.
//   - Infinite. +-Inf are values and follow IEEE 754: log(0) is -Inf, 1/0 is Inf.
//   - Undefined. Where present values give no number (0/0, Inf - Inf, log or sqrt of a negative
//     number), the row is counted as undefined, and the metric has no value until the expression
//     says what such rows are to be: if(bytes > 0, x / bytes, 0). An undefined value makes all that
//     is computed from it undefined, comparisons too; only an if() that does not take it,
//     isfinite(), `0 and undefined` (0) and `1 or undefined` (1) do away with it.
// No row is ever left out in silence: counted + missing + undefined = rows.
//
// Limits: kMaxTextLength bytes (also for the canonical text), kMaxDepth nested parentheses, calls,
// signs, `not` and exponents, kMaxNodes numbers, names and operators. Parsing is O(length), nothing
// in it recurses deeper than those allow.
#ifndef MIRAGE_METRICS_EXPRESSION_EXPRESSION_H_
#define MIRAGE_METRICS_EXPRESSION_EXPRESSION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// What an instruction of a compiled expression does.
enum class ExpressionOp : uint8_t {
  kNumber,
  kColumn,
  kAggregate,
  kNegate,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kPower,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kEqual,
  kNotEqual,
  kAnd,
  kOr,
  kNot,
  kLog,
  kLog2,
  kExp,
  kSqrt,
  kAbs,
  kMin,
  kMax,
  kClip,
  kIf,
  kIsFinite,
};

// One step of a postfix program: pushes a number, a column's or an aggregate's value, or replaces
// its operands (three for kClip and kIf, two for the operators and kMin and kMax, else one).
struct ExpressionStep {
  ExpressionOp op = ExpressionOp::kNumber;
  double number = 0;
  // Of a column or an aggregate.
  uint32_t index = 0;
};

enum class AggregateKind : uint8_t { kMean, kSum, kCount, kMin, kMax, kQuantile, kVar };

// A parsed and compiled expression; immutable. Copying is O(nodes).
class Expression {
 public:
  static constexpr size_t kMaxTextLength = 4096;
  static constexpr int kMaxDepth = 64;
  static constexpr size_t kMaxNodes = 1024;

  // What is computed for each row: the argument of one or more aggregates.
  struct Row {
    // Canonical text.
    std::string text;
    std::vector<ExpressionStep> steps;
    // Indices of the columns that it names, ascending.
    std::vector<uint32_t> columns;
    // The most values on the stack at once.
    size_t stack = 0;
  };

  struct Aggregate {
    AggregateKind kind = AggregateKind::kMean;
    // Which of rows().
    uint32_t row = 0;
    // Of a quantile.
    double probability = 0;
    // Canonical text.
    std::string text;
  };

  // What a standard error can be given for: a mean, or a ratio of two sums (or of a sum and a
  // count, or of two means), or a differentiable function of one of these.
  struct ErrorCore {
    // Indices of aggregates; `denominator` is absent for a mean.
    uint32_t numerator = 0;
    std::optional<uint32_t> denominator;
    // The expression is a * core + b with constants a, b.
    bool linear = true;
  };

  // Parses `text`, in which names are those of `columns`. INVALID_ARGUMENT for anything that the
  // grammar and the limits above refuse; the message begins "expression, position N: ", N being
  // the place in bytes, 1 for the first, and ends with the remedy, where there is a likely one:
  //   expression, position 6: unknown column `log_p_targt`; did you mean `log_p_target`?
  // Also for columns that have the same name twice: `columns[3] is "margin", as columns[1]`.
  static absl::StatusOr<Expression> Parse(std::string_view text,
                                          std::span<const std::string_view> columns);

  // The parsed tree printed in one way: single spaces about operators, no needless parentheses,
  // shortest numbers. Parse(Canonical()) gives an expression with this canonical text.
  const std::string& Canonical() const { return canonical_; }

  // "expression|" + Canonical() + "|v1": what tells a metric's values from another's.
  std::string Signature() const;

  // Number of columns that Parse was given.
  size_t n_columns() const { return n_columns_; }
  // Names of the columns that are used, by index among those given.
  const std::vector<std::string>& column_names() const { return column_names_; }

  // The compiled form, for ExpressionAccumulator. Equal row expressions and equal aggregates are
  // there once.
  const std::vector<Row>& rows() const { return rows_; }
  const std::vector<Aggregate>& aggregates() const { return aggregates_; }
  // Over the aggregates' values.
  const std::vector<ExpressionStep>& steps() const { return steps_; }
  // Absent where no standard error is defined.
  const std::optional<ErrorCore>& error_core() const { return error_core_; }

 private:
  friend class ExpressionCompiler;

  Expression() = default;

  std::string canonical_;
  size_t n_columns_ = 0;
  std::vector<std::string> column_names_;
  std::vector<Row> rows_;
  std::vector<Aggregate> aggregates_;
  std::vector<ExpressionStep> steps_;
  std::optional<ErrorCore> error_core_;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EXPRESSION_EXPRESSION_H_
