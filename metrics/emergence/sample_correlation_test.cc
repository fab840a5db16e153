#include "metrics/emergence/sample_correlation.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

struct CorrelationCase {
  std::vector<std::vector<double>> numbers;
  std::vector<double> x;
  bool higher_is_better;
  size_t n, n_constant;
  double lower, median, upper, share_negative;
};

#include "metrics/emergence/sample_correlation_vectors.inc"

TEST(SampleCorrelationTest, AgreesWithSciPy) {
  for (const CorrelationCase& expected : Cases()) {
    const auto found = CorrelateSamples(expected.numbers, expected.x, expected.higher_is_better);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->n, expected.n);
    EXPECT_EQ(found->n_constant, expected.n_constant);
    ASSERT_TRUE(found->quartiles.has_value());
    EXPECT_NEAR(found->quartiles->lower, expected.lower, 1e-14);
    EXPECT_NEAR(found->quartiles->median, expected.median, 1e-14);
    EXPECT_NEAR(found->quartiles->upper, expected.upper, 1e-14);
    EXPECT_NEAR(found->share_negative.value_or(kNan), expected.share_negative, 1e-14);
  }
}

TEST(SampleCorrelationTest, AnyRisingFunctionIsTheSame) {
  CorrelationCase one = Cases().front();
  const auto before = CorrelateSamples(one.numbers, one.x, true);
  for (double& x : one.x) x = std::exp(x);
  for (std::vector<double>& column : one.numbers) {
    for (double& number : column) number = std::exp(number / 10);
  }
  const auto after = CorrelateSamples(one.numbers, one.x, true);
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_EQ(before->quartiles->median, after->quartiles->median);
  EXPECT_EQ(before->share_negative, after->share_negative);
}

TEST(SampleCorrelationTest, OrderDoesNotChangeABit) {
  const CorrelationCase one = Cases()[3];
  const auto before = CorrelateSamples(one.numbers, one.x, true);
  CorrelationCase turned = one;
  std::reverse(turned.numbers.begin(), turned.numbers.end());
  std::reverse(turned.x.begin(), turned.x.end());
  for (std::vector<double>& column : turned.numbers) std::reverse(column.begin(), column.end());
  const auto after = CorrelateSamples(turned.numbers, turned.x, true);
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_EQ(before->quartiles->lower, after->quartiles->lower);
  EXPECT_EQ(before->quartiles->upper, after->quartiles->upper);
}

TEST(SampleCorrelationTest, WhatNeverChangesHasNone) {
  const auto found = CorrelateSamples(
      std::vector<std::vector<double>>{{1, 0, kNan, -kInf}, {1, 0, 1, -kInf}, {1, 1, 1, -kInf}},
      std::vector<double>{1, 2, 3}, true);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->n, 1u);
  EXPECT_EQ(found->n_constant, 2u);
  // Ranks 1.5, 1.5, 3 beside 1, 2, 3.
  EXPECT_NEAR(found->quartiles->median, std::sqrt(0.75), 1e-15);
  const auto none =
      CorrelateSamples(std::vector<std::vector<double>>(3), std::vector<double>{1, 2, 3}, true);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->n, 0u);
  EXPECT_FALSE(none->quartiles.has_value());
  EXPECT_FALSE(none->share_negative.has_value());
}

TEST(SampleCorrelationTest, BadInputIsNamed) {
  const std::vector<std::vector<double>> numbers = {{1}, {2}, {3}};
  const auto message = [](const auto& result) { return std::string(result.status().message()); };
  EXPECT_THAT(message(CorrelateSamples(numbers, std::vector<double>{1, 2}, true)),
              HasSubstr("3 models and x 2"));
  EXPECT_THAT(message(CorrelateSamples(numbers, std::vector<double>{1, kNan, 2}, true)),
              HasSubstr("x[1] is nan"));
  EXPECT_THAT(message(CorrelateSamples(std::vector<std::vector<double>>{{1}, {2, 3}, {4}},
                                       std::vector<double>{1, 2, 3}, true)),
              HasSubstr("numbers[1] has 2 samples"));
  const auto few = CorrelateSamples(numbers, std::vector<double>{1, 1, 2}, true);
  EXPECT_EQ(few.status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace mirage::metrics
