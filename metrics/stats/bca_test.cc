#include "metrics/stats/bca.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/moments.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct BcaCase {
  std::vector<double> resampled, without;
  double estimate, acceleration, level, lower, upper;
};

#include "metrics/stats/bca_vectors.inc"

TEST(BcaTest, AgreesWithScipyOnTheSameResamples) {
  for (const BcaCase& c : kBcaCases) {
    SCOPED_TRACE(testing::Message() << c.estimate << " at " << c.level);
    const auto acceleration = Acceleration(c.without);
    ASSERT_TRUE(acceleration.ok());
    EXPECT_NEAR(*acceleration, c.acceleration, 1e-10 * std::abs(c.acceleration));
    std::vector<double> sorted = c.resampled;
    std::sort(sorted.begin(), sorted.end());
    const auto interval = BcaInterval(sorted, c.estimate, *acceleration, c.level);
    ASSERT_TRUE(interval.ok()) << interval.status();
    EXPECT_NEAR(interval->lower, c.lower, 1e-10 * std::abs(c.lower) + 1e-13);
    EXPECT_NEAR(interval->upper, c.upper, 1e-10 * std::abs(c.upper) + 1e-13);
    EXPECT_EQ(interval->method, "bootstrap_bca");
    EXPECT_EQ(interval->level, c.level);
  }
}

TEST(BcaTest, TimesStandForRepeatedValues) {
  const auto repeated = Acceleration(std::vector<double>{1, 1, 1, 2, 2, 5});
  const auto once = Acceleration(std::vector<double>{1, 2, 5}, std::vector<uint64_t>{3, 2, 1});
  ASSERT_TRUE(repeated.ok() && once.ok());
  EXPECT_NEAR(*once, *repeated, 1e-15);
}

TEST(BcaTest, AccelerationOfExtremeSizes) {
  const std::vector<double> values = {1, 2, 4, 8};
  std::vector<double> large;
  std::vector<double> small;
  for (const double x : values) {
    large.push_back(x * 0x1p900);
    small.push_back(x * 0x1p-900);
  }
  const double expected = *Acceleration(values);
  EXPECT_EQ(*Acceleration(large), expected);
  EXPECT_EQ(*Acceleration(small), expected);
  EXPECT_EQ(*Acceleration(std::vector<double>{3, 3}), 0);
}

TEST(BcaTest, WithoutBiasAndAccelerationItIsThePercentileInterval) {
  std::vector<double> sorted;
  for (int i = 0; i <= 100; ++i) sorted.push_back(i);
  const auto interval = BcaInterval(sorted, 50, 0, 0.9);
  ASSERT_TRUE(interval.ok());
  EXPECT_NEAR(interval->lower, 5, 1e-12);
  EXPECT_NEAR(interval->upper, 95, 1e-12);
}

TEST(BcaTest, WhatCannotBeHadIsNamed) {
  const std::vector<double> sorted = {1, 2, 3};
  const auto message = [](const auto& result) {
    EXPECT_FALSE(result.ok());
    return std::string(result.status().message());
  };
  EXPECT_THAT(message(BcaInterval(sorted, 0.5, 0, 0.9)), HasSubstr("one side of the estimate"));
  EXPECT_THAT(message(BcaInterval(sorted, 4, 0, 0.9)), HasSubstr("one side of the estimate"));
  EXPECT_THAT(message(BcaInterval(sorted, 2, 0.9, 0.9)), HasSubstr("acceleration 0.9"));
  EXPECT_THAT(message(BcaInterval(sorted, 2, -0.9, 0.9)), HasSubstr("acceleration -0.9"));
  EXPECT_THAT(message(BcaInterval({}, 2, 0, 0.9)), HasSubstr("sorted is empty"));
  EXPECT_THAT(message(BcaInterval(sorted, kNan, 0, 0.9)), HasSubstr("estimate is nan"));
  EXPECT_THAT(message(BcaInterval(sorted, 2, 0, 1)), HasSubstr("level is 1"));
  EXPECT_THAT(message(Acceleration({})), HasSubstr("leave_one_out is empty"));
  EXPECT_THAT(message(Acceleration(std::vector<double>{1, kInf})),
              HasSubstr("leave_one_out[1] is inf"));
  EXPECT_THAT(message(Acceleration(std::vector<double>{1}, std::vector<uint64_t>{1, 2})),
              HasSubstr("times has 2 values"));
}

}  // namespace
}  // namespace mirage::metrics
