#include "metrics/expression/expression_accumulator.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/expression/expression.h"
#include "metrics/stats/random.h"
#include "tests/support/sharding.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Column {
  std::string_view name;
  std::span<const double> values;
};

// NaN where there is none.
struct ErrorCase {
  std::string_view text;
  double value;
  double standard_error;
};

struct ValueCase {
  std::string_view text;
  double value;
};

#include "metrics/expression/expression_accumulator_vectors.inc"

using Columns = std::vector<std::vector<double>>;

std::vector<std::span<const double>> Spans(const Columns& columns) {
  return {columns.begin(), columns.end()};
}

// Over columns a, b, c.
ExpressionAccumulator Over(std::string_view text, const Columns& columns) {
  constexpr std::string_view kNames[] = {"a", "b", "c"};
  const auto expression = Expression::Parse(text, std::span(kNames).first(columns.size()));
  EXPECT_TRUE(expression.ok()) << text << ": " << expression.status();
  ExpressionAccumulator accumulator(*expression);
  const absl::Status status = accumulator.AddRows(Spans(columns));
  EXPECT_TRUE(status.ok()) << status;
  return accumulator;
}

// Reads accumulators of one expression.
struct ReadOf {
  const Expression& expression;

  absl::StatusOr<ExpressionAccumulator> operator()(std::string_view bytes) const {
    return ExpressionAccumulator::Deserialize(expression, bytes);
  }
};

ExpressionValue ValueOf(std::string_view text, const Columns& columns) {
  return Over(text, columns).Value();
}

std::string Message(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

ExpressionValue Reference(std::string_view text) {
  std::vector<std::string_view> names;
  std::vector<std::span<const double>> columns;
  for (const Column& column : kColumns) {
    names.push_back(column.name);
    columns.push_back(column.values);
  }
  const auto expression = Expression::Parse(text, names);
  EXPECT_TRUE(expression.ok()) << text << ": " << expression.status();
  ExpressionAccumulator accumulator(*expression);
  EXPECT_TRUE(accumulator.AddRows(columns).ok());
  return accumulator.Value();
}

void ExpectValue(const std::optional<double>& actual, double expected, double relative) {
  ASSERT_EQ(actual.has_value(), !std::isnan(expected)) << expected;
  if (!actual.has_value()) return;
  if (std::isinf(expected)) {
    EXPECT_EQ(*actual, expected);
  } else {
    EXPECT_NEAR(*actual, expected, relative * std::abs(expected) + 1e-300);
  }
}

TEST(ExpressionAccumulatorTest, AgreesWithNumpy) {
  for (const ErrorCase& c : kErrorCases) {
    SCOPED_TRACE(c.text);
    const ExpressionValue value = Reference(c.text);
    ExpectValue(value.value, c.value, 1e-12);
    ExpectValue(value.standard_error, c.standard_error, 1e-12);
    EXPECT_EQ(value.reason.empty(), value.value.has_value());
    EXPECT_EQ(value.error_reason.empty(), value.standard_error.has_value());
    EXPECT_EQ(value.error_method.empty(), !value.standard_error.has_value());
  }
}

TEST(ExpressionAccumulatorTest, RandomExpressionsAgreeWithTheSlowInterpreter) {
  for (const ValueCase& c : kValueCases) {
    SCOPED_TRACE(c.text);
    const ExpressionValue value = Reference(c.text);
    ExpectValue(value.value, c.value, 1e-12);
    EXPECT_EQ(value.n_rows, 60u);
    for (const AggregateRows& rows : value.aggregates) {
      EXPECT_EQ(rows.n_counted + rows.n_missing + rows.n_undefined, 60u);
    }
  }
}

TEST(ExpressionAccumulatorTest, MissingRowsAreCountedPerAggregate) {
  const Columns columns = {{1, kNan, 3, 4}, {2, 2, kNan, 2}};
  const ExpressionValue value = ValueOf("mean(a / b) + mean(a) + count(if(1, a, b))", columns);
  ASSERT_TRUE(value.value.has_value()) << value.reason;
  EXPECT_DOUBLE_EQ(*value.value, 1.25 + 8.0 / 3 + 2);
  ASSERT_EQ(value.aggregates.size(), 3u);
  EXPECT_EQ(value.aggregates[0].text, "mean(a / b)");
  EXPECT_EQ(value.aggregates[0].n_counted, 2u);
  EXPECT_EQ(value.aggregates[0].n_missing, 2u);
  EXPECT_EQ(value.aggregates[1].n_counted, 3u);
  EXPECT_EQ(value.aggregates[1].n_missing, 1u);
  // b is named, though never taken: the row lacks it.
  EXPECT_EQ(value.aggregates[2].n_counted, 2u);
  EXPECT_EQ(value.aggregates[2].n_missing, 2u);
}

// Not even isfinite() makes a value of a missing column.
TEST(ExpressionAccumulatorTest, MissingIsNotUndefined) {
  const ExpressionValue value = ValueOf("mean(isfinite(a))", {{1, kNan, kInf, 2}});
  EXPECT_DOUBLE_EQ(*value.value, 2.0 / 3);
  EXPECT_EQ(value.aggregates[0].n_missing, 1u);
}

TEST(ExpressionAccumulatorTest, UndefinedRowsForbidAValue) {
  const Columns columns = {{0, 1, kNan, 2}, {0, 2, 1, 0}};
  const ExpressionValue value = ValueOf("mean(a / b)", columns);
  EXPECT_FALSE(value.value.has_value());
  EXPECT_FALSE(value.standard_error.has_value());
  EXPECT_THAT(value.reason, HasSubstr("mean(a / b): 1 of 4 rows have columns that give no number"));
  EXPECT_THAT(value.reason, HasSubstr("if()"));
  EXPECT_EQ(value.aggregates[0].n_undefined, 1u);
  EXPECT_EQ(value.aggregates[0].n_missing, 1u);
  // 2/0 is infinite, which is a value.
  EXPECT_EQ(value.aggregates[0].n_counted, 2u);
  EXPECT_EQ(*ValueOf("mean(if(b == 0, 10, a / b))", columns).value, (10 + 0.5 + 10) / 3);
  // A comparison, count and if() at the top do not hide it.
  for (const std::string_view text :
       {"mean(a / b > 0)", "count(a / b)", "mean(not a / b)", "max(min(a / b, 1))",
        "if(count(a) > 0, 1, mean(a / b))", "quantile(a / b, 0.5)", "sum((a / b) ^ 0)",
        "sum(1 ^ (a / b))", "sum(if(a / b, 1, 2))", "sum(clip(1, a / b, 3))"}) {
    EXPECT_FALSE(ValueOf(text, columns).value.has_value()) << text;
  }
  for (const std::string_view text : {"mean(b > 0 and a / b > 0)", "mean(b == 0 or a / b > 0)",
                                      "mean(isfinite(a / b))", "mean(if(b > 0, a / b, 0))"}) {
    EXPECT_TRUE(ValueOf(text, columns).value.has_value()) << text;
  }
  EXPECT_FALSE(ValueOf("sum(clip(a, 3, 1))", {{2}}).value.has_value());
}

TEST(ExpressionAccumulatorTest, InfinitiesFollowIeee) {
  EXPECT_EQ(*ValueOf("mean(log(a))", {{1, 0}}).value, -kInf);
  EXPECT_EQ(*ValueOf("mean(1 / a)", {{0, 1}}).value, kInf);
  EXPECT_EQ(*ValueOf("max(a)", {{-kInf, 1}}).value, 1);
  EXPECT_EQ(*ValueOf("quantile(a, 0.5)", {{-kInf, 1, 3}}).value, 1);
  EXPECT_EQ(*ValueOf("exp(mean(a))", {{-kInf, 1}}).value, 0);
  const ExpressionValue both = ValueOf("mean(a)", {{-kInf, kInf}});
  EXPECT_FALSE(both.value.has_value());
  EXPECT_THAT(both.reason, HasSubstr("mean(a) is of infinite values that have no sum"));
  const ExpressionValue spread = ValueOf("var(a)", {{-kInf, 1}});
  EXPECT_THAT(spread.reason, HasSubstr("var(a) is of infinite values that have no variance"));
  const ExpressionValue value = ValueOf("mean(a)", {{-kInf, 1}});
  EXPECT_FALSE(value.standard_error.has_value());
  EXPECT_THAT(value.error_reason, HasSubstr("infinite values have no standard error"));
  // Inf - Inf.
  EXPECT_EQ(ValueOf("mean(a - a)", {{-kInf, 1}}).aggregates[0].n_undefined, 1u);
}

TEST(ExpressionAccumulatorTest, NoRowsIsNotZero) {
  for (const std::string_view text : {"mean(a)", "sum(a)", "min(a)", "var(a)", "quantile(a, 0)"}) {
    const ExpressionValue none = ValueOf(text, {{}});
    EXPECT_FALSE(none.value.has_value()) << text;
    EXPECT_THAT(none.reason, HasSubstr("has no rows"));
    EXPECT_THAT(none.error_reason, HasSubstr("the metric has no value"));
    const ExpressionValue missing = ValueOf(text, {{kNan, kNan}});
    EXPECT_FALSE(missing.value.has_value()) << text;
    EXPECT_THAT(missing.reason, HasSubstr("has no row with a value, 2 lack a column"));
  }
  EXPECT_EQ(*ValueOf("count(a)", {{kNan}}).value, 0);
  EXPECT_EQ(*ValueOf("if(count(a) > 0, mean(a), -1)", {{kNan}}).value, -1);
  EXPECT_THAT(ValueOf("var(a)", {{1}}).reason, HasSubstr("a variance needs two"));
  EXPECT_THAT(ValueOf("log(mean(a))", {{-1}}).reason,
              HasSubstr("the arithmetic over the aggregates gives no number"));
}

TEST(ExpressionAccumulatorTest, StandardErrorsSayWhyNot) {
  EXPECT_THAT(ValueOf("mean(a)", {{1}}).error_reason,
              HasSubstr("a standard error needs two rows, 1 row counted"));
  EXPECT_THAT(ValueOf("sum(a)", {{1, 2}}).error_reason,
              HasSubstr("neither a mean, a ratio of sums"));
  EXPECT_THAT(ValueOf("sum(a) / sum(b)", {{1, 2, kNan}, {1, kNan, 3}}).error_reason,
              HasSubstr("sum(a) and sum(b) are of different rows"));
  EXPECT_THAT(ValueOf("sqrt(mean(a))", {{-1, 1}}).error_reason,
              HasSubstr("the expression has no finite derivative at its value"));
  EXPECT_EQ(ValueOf("1 - mean(a)", {{1, 2}}).error_method, "mean");
  EXPECT_EQ(ValueOf("exp(mean(a))", {{1, 2}}).error_method, "delta");
  EXPECT_EQ(ValueOf("sum(a) / sum(b)", {{1, 2}, {3, 4}}).error_method, "delta");
}

// The delta method against its definition: the error of f(mean) is |f'| times the mean's, with f'
// by a central difference.
TEST(ExpressionAccumulatorTest, DerivativesAgreeWithDifferences) {
  CounterRng rng(31, 0);
  std::vector<double> a(50);
  for (double& x : a) x = 1 + rng.Uniform();
  const double error = *ValueOf("mean(a)", {a}).standard_error;
  for (const std::string_view f : {"exp(-#) + 2 * #", "log(#) / #", "log2(# + 1) ^ 3",
                                   "sqrt(# * #) - #^-1.5", "(1 - #) / (2 + #)", "-(# / 3 - #)"}) {
    SCOPED_TRACE(f);
    const auto with = [f](std::string_view core) {
      std::string out;
      for (const char c : f) out += c == '#' ? std::string(core) : std::string(1, c);
      return out;
    };
    const auto shifted = [&](std::string_view by) {
      return *ValueOf(with("(mean(a)" + std::string(by) + ")"), {a}).value;
    };
    const double slope = (shifted(" + 1e-5") - shifted(" - 1e-5")) / 2e-5;
    const ExpressionValue value = ValueOf(with("mean(a)"), {a});
    ASSERT_TRUE(value.standard_error.has_value()) << value.error_reason;
    // The difference is off by the third derivative times 1e-10, and by rounding.
    EXPECT_NEAR(*value.standard_error, std::abs(slope) * error, 1e-8 * error);
  }
}

TEST(ExpressionAccumulatorTest, SuccessesOfShares) {
  EXPECT_EQ(ValueOf("mean(a > 1)", {{1, 2, kNan, 3}}).successes, 2u);
  EXPECT_FALSE(ValueOf("mean(a)", {{1, 2}}).successes.has_value());
  EXPECT_FALSE(ValueOf("1 - mean(a > 1)", {{1, 2}}).successes.has_value());
  EXPECT_FALSE(ValueOf("max(a > 1)", {{1, 2}}).successes.has_value());
}

TEST(ExpressionAccumulatorTest, NothingCancelsAtABillion) {
  std::vector<double> a(2001);
  for (size_t i = 0; i < a.size(); ++i) a[i] = 1e9 + (static_cast<double>(i) - 1000) / 1024;
  EXPECT_EQ(*ValueOf("mean(a) - 1e9", {a}).value, 0);
  // sum k^2 over -1000..1000 = 667 667 000.
  EXPECT_DOUBLE_EQ(*ValueOf("var(a)", {a}).value, 667'667'000.0 / 1024 / 1024 / 2000);
}

TEST(ExpressionAccumulatorTest, ZeroHasNoSign) {
  EXPECT_EQ(std::bit_cast<uint64_t>(*ValueOf("-mean(a)", {{0, 0}}).value), 0u);
}

TEST(ExpressionAccumulatorTest, BadColumnsAreNamed) {
  constexpr std::string_view kNames[] = {"a", "b", "c"};
  ExpressionAccumulator accumulator(*Expression::Parse("mean(a + b)", kNames));
  const std::vector<double> three = {1, 2, 3};
  const std::vector<double> two = {1, 2};
  const std::span<const double> none;
  const auto add = [&](std::vector<std::span<const double>> columns) {
    return accumulator.AddRows(columns);
  };
  EXPECT_THAT(Message(add({three, three})),
              HasSubstr("columns has 2 elements: the expression was parsed with 3"));
  EXPECT_THAT(Message(add({three, two, none})),
              HasSubstr("columns[1] (`b`) has 2 rows, columns[0] has 3: lengths must agree"));
  EXPECT_THAT(Message(add({none, three, none})), HasSubstr("columns[0] (`a`) has 0 rows"));
  EXPECT_THAT(Message(add({three, three, two})), HasSubstr("columns[2] has 2 rows"));
  EXPECT_EQ(accumulator.n_rows(), 0u);
  EXPECT_TRUE(add({three, three, none}).ok());
  EXPECT_TRUE(add({none, none, none}).ok());
  EXPECT_EQ(accumulator.n_rows(), 3u);
  EXPECT_EQ(*accumulator.Value().value, 4);
}

TEST(ExpressionAccumulatorTest, EveryOrderAndShardingGivesTheSameBytes) {
  for (const std::string_view text :
       {"mean(a / b) + sum(c)", "-sum(a + c) / sum(b + a * 0) / log(2)", "quantile(a * b, 0.3)",
        "var(a) + max(c) - min(c) + quantile(c, 1)", "mean(if(c > 0, log(c), a))",
        "sum(a) / sum(b) + 0 * count(c / c)"}) {
    SCOPED_TRACE(text);
    CounterRng rng(32, 0);
    struct Row {
      double a, b, c;
    };
    std::vector<Row> rows(707);
    for (Row& row : rows) {
      row = {(rng.Uniform() - 0.5) * std::exp(40 * rng.Uniform()),
             1 + static_cast<double>(rng.Below(9)), rng.Uniform() - 0.5};
      if (rng.Below(20) == 0) row.a = kNan;
      if (rng.Below(20) == 0) row.b = kNan;
      if (rng.Below(10) == 0) row.c = rng.Below(2) == 0 ? 0.0 : -0.0;
    }
    const auto columns_of = [](std::span<const Row> part) {
      Columns columns(3);
      for (const Row& row : part) {
        columns[0].push_back(row.a);
        columns[1].push_back(row.b);
        columns[2].push_back(row.c);
      }
      return columns;
    };
    // Single rows, some together, and more than a block.
    std::vector<size_t> starts = {0};
    while (starts.back() < rows.size()) {
      const size_t part = starts.size();
      starts.push_back(starts.back() + (part < 40 ? 1 : part < 48 ? part - 35 : 600));
    }
    ASSERT_EQ(starts.back(), rows.size());
    const ExpressionAccumulator whole = Over(text, columns_of(rows));
    const std::string bytes = whole.Serialize();
    const ExpressionValue value = whole.Value();
    tests::ExpectAnyShardingGivesTheSameBytes(
        starts.size() - 1,
        [&](ExpressionAccumulator& accumulator, size_t i) {
          const auto part = std::span(rows).subspan(starts[i], starts[i + 1] - starts[i]);
          const Columns columns = columns_of(part);
          ASSERT_TRUE(accumulator.AddRows(Spans(columns)).ok());
        },
        ExpressionAccumulator(whole.expression()), 1000,
        [&](const ExpressionAccumulator& merged) {
          ASSERT_EQ(merged.Serialize(), bytes);
          const ExpressionValue again = merged.Value();
          ASSERT_EQ(again.value.has_value(), value.value.has_value());
          if (!value.value.has_value()) return;
          ASSERT_EQ(std::bit_cast<uint64_t>(*again.value), std::bit_cast<uint64_t>(*value.value));
          ASSERT_EQ(again.standard_error, value.standard_error);
        },
        ReadOf{whole.expression()});
  }
}

TEST(ExpressionAccumulatorTest, MergesWithItselfAndRefusesOthers) {
  ExpressionAccumulator accumulator = Over("quantile(a, 0.5) + mean(a)", {{1, 2, kNan}});
  ASSERT_TRUE(accumulator.Merge(accumulator).ok());
  EXPECT_EQ(accumulator.Serialize(),
            Over("quantile(a, 0.5) + mean(a)", {{2, 1, kNan, kNan, 1, 2}}).Serialize());
  EXPECT_THAT(Message(accumulator.Merge(Over("mean(a)", {{1}}))),
              HasSubstr("other is of the expression `mean(a)`: must be `quantile(a, 0.5)"));
}

TEST(ExpressionAccumulatorTest, DeserializeRefusesOtherBytes) {
  const ExpressionAccumulator whole =
      Over("quantile(a, 0.5) + mean(a) + sum(b) / sum(a)", {{1, -2, kNan, 0}, {0.1, 0.2, 3, 1}});
  const Expression& expression = whole.expression();
  const std::string bytes = whole.Serialize();
  const auto message = [&](const std::string& other) {
    return Message(ExpressionAccumulator::Deserialize(expression, other).status());
  };
  const ReadOf read{expression};
  tests::ExpectOnlyWholeBytesAreRead(whole, read);
  tests::ExpectWhatIsReadIsWrittenAlike(
      whole, [](const ExpressionAccumulator& accumulator) { accumulator.Value(); }, read);
  EXPECT_THAT(message(bytes + "x"), HasSubstr("bytes are left over"));
  std::string other = bytes;
  other[0] = 9;
  EXPECT_THAT(message(other), HasSubstr("version 9 is not 1"));
  EXPECT_THAT(message(Over("mean(a)", {{1}}).Serialize()), HasSubstr("another expression"));
  other = bytes;
  other[9 + expression.Canonical().size()] = 7;  // Rows.
  EXPECT_THAT(message(other), HasSubstr("rows[0]: 3 + 1 + 0 rows are not the 7"));
}

// The last part of the bytes: its version and its number of items.
TEST(ExpressionAccumulatorTest, DeserializeRefusesARatioOfMoreRows) {
  const ExpressionAccumulator whole = Over("sum(a) / sum(b)", {{1, 2, 5}, {1, 3, 4}});
  std::string bytes = whole.Serialize();
  const size_t ratio = bytes.rfind(std::string("\x01\x03\0\0\0\0\0\0\0", 9));
  ASSERT_NE(ratio, std::string::npos);
  EXPECT_TRUE(ExpressionAccumulator::Deserialize(whole.expression(), bytes).ok());
  bytes[ratio + 1] = 4;
  EXPECT_THAT(Message(ExpressionAccumulator::Deserialize(whole.expression(), bytes).status()),
              HasSubstr("ratio has 4 rows, more than its sums have, 3"));
}

}  // namespace
}  // namespace mirage::metrics
