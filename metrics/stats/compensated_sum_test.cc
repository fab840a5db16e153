#include "metrics/stats/compensated_sum.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include "gtest/gtest.h"
#include "metrics/stats/exact_sum.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

// Of any sign, with exponents from -range to range.
double Any(CounterRng& rng, int range) {
  const auto exponent = static_cast<int>(rng.Below(2 * static_cast<uint64_t>(range) + 1)) - range;
  return std::ldexp(2 * rng.Uniform() - 1, exponent);
}

TEST(CompensatedSumTest, KeepsWhatIsRoundedOff) {
  CompensatedSum sum;
  sum.Add(1);
  for (int i = 0; i < 1000; ++i) sum.Add(0x1p-60);
  sum.Add(-1);
  EXPECT_EQ(sum.value(), 1000 * 0x1p-60);
}

TEST(CompensatedSumTest, EmptyIsZero) {
  EXPECT_EQ(CompensatedSum().value(), 0);
  EXPECT_FALSE(std::signbit(CompensatedSum().value()));
}

TEST(CompensatedSumTest, TwoSumIsExact) {
  CounterRng rng(1, 0);
  for (int trial = 0; trial < 20'000; ++trial) {
    const double a = Any(rng, trial % 2 == 0 ? 60 : 1000);
    const double b = Any(rng, trial % 2 == 0 ? 60 : 1000);
    const CompensatedSum sum = TwoSum(a, b);
    EXPECT_EQ(sum.high, a + b);
    ExactSum left;
    for (const double x : {a, b, -sum.high, -sum.low}) left.Add(x);
    EXPECT_EQ(left.Round(), 0) << a << " + " << b;
  }
}

// Each addition may add 2^-105 of the sum at that time.
TEST(CompensatedSumTest, StaysWithinItsBound) {
  CounterRng rng(2, 0);
  for (int trial = 0; trial < 200; ++trial) {
    CompensatedSum sum;
    ExactSum exact;
    double bound = 0;
    for (int i = 0; i < 500; ++i) {
      const double x = trial % 2 == 0 ? Any(rng, 40) : std::abs(Any(rng, 40));
      sum.Add(x);
      exact.Add(x);
      bound += 0x1p-105 * std::abs(sum.high);
      ASSERT_EQ(sum.high + sum.low, sum.high);
      ExactSum error = exact;
      error.Add(-sum.high);
      error.Add(-sum.low);
      ASSERT_LE(std::abs(error.Round()), bound) << trial << ", " << i;
    }
  }
}

TEST(CompensatedSumTest, WhatIsNotFiniteIsNan) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr double kMax = std::numeric_limits<double>::max();
  for (const double x : {kInf, -kInf, std::numeric_limits<double>::quiet_NaN()}) {
    CompensatedSum sum;
    sum.Add(1);
    sum.Add(x);
    EXPECT_TRUE(std::isnan(sum.value())) << x;
    sum.Add(1);
    EXPECT_TRUE(std::isnan(sum.value())) << x;
  }
  CompensatedSum sum;
  sum.Add(kMax);
  sum.Add(kMax);
  EXPECT_TRUE(std::isnan(sum.value()));
  EXPECT_EQ(TwoSum(kMax, kMax).high, kInf);
  EXPECT_TRUE(std::isnan(TwoSum(kMax, kMax).low));
}

}  // namespace
}  // namespace mirage::metrics
