#include "metrics/emergence/law_quantity.h"

#include <cmath>
#include <limits>
#include <optional>

#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

CurveMetric Metric(bool higher_is_better, double lower, double upper, bool linear = false) {
  CurveMetric metric;
  metric.higher_is_better = higher_is_better;
  metric.lower_bound = lower;
  metric.upper_bound = upper;
  metric.linear_in_token_error = linear;
  return metric;
}

const CurveMetric kNll = Metric(false, 0, kInf, true);
const CurveMetric kLogP = Metric(true, -kInf, 0, true);
const CurveMetric kProbability = Metric(true, 0, 1);
const CurveMetric kErrorRate = Metric(false, 0, 1, true);
const CurveMetric kBrier = Metric(false, 0, 2);
const CurveMetric kPerplexity = Metric(false, 1, kInf);
const CurveMetric kMargin = Metric(true, -kInf, kInf);

TEST(LawQuantityTest, TheScaleFollowsFromTheProperties) {
  EXPECT_EQ(LawScaleOf(kNll, {}), LawScale::kValue);
  EXPECT_EQ(LawScaleOf(kLogP, {}), LawScale::kNegated);
  EXPECT_EQ(LawScaleOf(kProbability, {}), LawScale::kLogShare);
  EXPECT_EQ(LawScaleOf(kErrorRate, {}), LawScale::kLogRest);
  EXPECT_EQ(LawScaleOf(kBrier, {}), LawScale::kValue);
  EXPECT_EQ(LawScaleOf(kPerplexity, {}), LawScale::kLog);
  EXPECT_EQ(LawScaleOf(kMargin, {}), LawScale::kNone);
  // Errors per target are a share of its length.
  EXPECT_EQ(LawScaleOf(kNll, 5), LawScale::kLogRest);
}

// A model with an NLL of q nats per token, seen through each metric, has the same ln q.
TEST(LawQuantityTest, WhatIsMadeOfTheNllGivesTheNllBack) {
  for (const double q : {0.01, 0.3, 2.0}) {
    const auto log_q = [](const CurveMetric& metric, std::optional<double> length, double value) {
      const auto quantity =
          ToLawQuantity(metric, LawScaleOf(metric, length), length, value, std::nullopt);
      EXPECT_TRUE(quantity.ok()) << quantity.status();
      EXPECT_EQ(quantity->variance, 0);
      return quantity->log_q;
    };
    EXPECT_NEAR(log_q(kNll, {}, q), std::log(q), 1e-12);
    EXPECT_NEAR(log_q(kLogP, {}, -q), std::log(q), 1e-12);
    EXPECT_NEAR(log_q(kProbability, {}, std::exp(-q)), std::log(q), 1e-12);
    EXPECT_NEAR(log_q(kErrorRate, {}, 1 - std::exp(-q)), std::log(q), 1e-12);
    EXPECT_NEAR(log_q(kPerplexity, {}, std::exp(q)), std::log(q), 1e-12);
    // Five tokens, each wrong with the same chance.
    EXPECT_NEAR(log_q(kNll, 5, 5 * (1 - std::exp(-q))), std::log(q), 1e-12);
  }
}

// Against a difference quotient.
TEST(LawQuantityTest, ErrorsAreCarriedToFirstOrder) {
  const struct {
    const CurveMetric& metric;
    std::optional<double> length;
    double value;
  } cases[] = {{kNll, {}, 0.7},        {kLogP, {}, -1.3},      {kProbability, {}, 0.2},
               {kErrorRate, {}, 0.35}, {kPerplexity, {}, 4.2}, {kNll, 4, 1.5}};
  for (const auto& c : cases) {
    const LawScale scale = LawScaleOf(c.metric, c.length);
    const double h = 1e-6;
    const auto up = ToLawQuantity(c.metric, scale, c.length, c.value + h, {});
    const auto down = ToLawQuantity(c.metric, scale, c.length, c.value - h, {});
    const double slope = (up->log_q - down->log_q) / (2 * h);
    const auto quantity = ToLawQuantity(c.metric, scale, c.length, c.value, 0.01);
    EXPECT_NEAR(quantity->variance, std::pow(0.01 * slope, 2), 1e-8 * quantity->variance + 1e-14);
    // And back.
    const LawValue value = FromLawQuantity(c.metric, scale, c.length, *quantity);
    EXPECT_NEAR(value.value, c.value, 1e-12);
    EXPECT_NEAR(value.standard_error, 0.01, 1e-12);
  }
}

TEST(LawQuantityTest, BoundsHaveNoLogarithm) {
  const auto at = [](const CurveMetric& metric, double value) {
    return ToLawQuantity(metric, LawScaleOf(metric, {}), {}, value, {}).status();
  };
  EXPECT_EQ(at(kNll, 0).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(at(kNll, -1).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(at(kLogP, 0).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(at(kProbability, 1).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(at(kProbability, 0).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(at(kErrorRate, 1).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(at(kErrorRate, 1.2).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(at(kNll, kInf).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(at(kMargin, 1).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace mirage::metrics
