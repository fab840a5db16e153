#include "metrics/stats/unpaired.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/hypothesis.h"
#include "metrics/stats/moments.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

struct WelchCase {
  std::vector<double> first, second;
  double difference, standard_error, df;
  double two_sided, less, greater;
  double lower, upper;
};
struct SharesCase {
  uint64_t k1, n1, k2, n2;
  double level, lower, upper;
};
struct PairedSharesCase {
  uint64_t both, only_first, only_second, neither;
  double level, lower, upper;
};

#include "metrics/stats/unpaired_vectors.inc"

Moments Of(const std::vector<double>& xs) {
  Moments moments;
  moments.AddAll(xs);
  return moments;
}

void ExpectClose(double actual, double expected) {
  EXPECT_NEAR(actual, expected, 1e-10 * std::abs(expected) + 1e-15);
}

TEST(UnpairedTest, WelchAgreesWithScipy) {
  for (const WelchCase& c : kWelchCases) {
    SCOPED_TRACE(testing::Message() << "from " << c.first[0]);
    const auto welch = Welch(Of(c.first), Of(c.second));
    ASSERT_TRUE(welch.ok());
    // Means near 1e9 are doubles with an ulp of 1e-7: their difference, and what is made of it,
    // keep that.
    const double slack = c.first[0] > 1e8 ? 3e-7 : 0;
    EXPECT_NEAR(welch->difference, c.difference, 1e-10 * std::abs(c.difference) + slack);
    ExpectClose(welch->standard_error, c.standard_error);
    ExpectClose(welch->degrees_of_freedom, c.df);
    const auto p = [&](Alternative alternative) {
      return WelchT(Of(c.first), Of(c.second), alternative)->p_value;
    };
    EXPECT_NEAR(p(Alternative::kTwoSided), c.two_sided, 1e-10 * c.two_sided + 10 * slack);
    EXPECT_NEAR(p(Alternative::kLess), c.less, 1e-10 * c.less + 10 * slack);
    EXPECT_NEAR(p(Alternative::kGreater), c.greater, 1e-10 * c.greater + 10 * slack);
    const auto interval = WelchInterval(Of(c.first), Of(c.second), 0.9);
    ASSERT_TRUE(interval.ok());
    EXPECT_NEAR(interval->lower, c.lower, 1e-10 * std::abs(c.lower) + slack);
    EXPECT_NEAR(interval->upper, c.upper, 1e-10 * std::abs(c.upper) + slack);
    EXPECT_EQ(interval->method, "welch_t");
  }
}

TEST(UnpairedTest, NewcombeAgreesWithStatsmodels) {
  for (const SharesCase& c : kSharesCases) {
    SCOPED_TRACE(testing::Message() << c.k1 << " of " << c.n1 << ", " << c.k2 << " of " << c.n2);
    const auto interval = Newcombe(c.k1, c.n1, c.k2, c.n2, c.level);
    ASSERT_TRUE(interval.ok());
    ExpectClose(interval->lower, c.lower);
    ExpectClose(interval->upper, c.upper);
    EXPECT_EQ(interval->level, c.level);
  }
}

TEST(UnpairedTest, PairedNewcombeAgreesWithHisText) {
  for (const PairedSharesCase& c : kPairedSharesCases) {
    SCOPED_TRACE(testing::Message()
                 << c.both << ", " << c.only_first << ", " << c.only_second << ", " << c.neither);
    const auto interval = NewcombePaired(c.both, c.only_first, c.only_second, c.neither, c.level);
    ASSERT_TRUE(interval.ok());
    ExpectClose(interval->lower, c.lower);
    ExpectClose(interval->upper, c.upper);
  }
}

TEST(UnpairedTest, WhatCannotBeComparedIsNamed) {
  const auto message = [](const absl::StatusOr<WelchDifference>& result) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
    return std::string(result.status().message());
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(message(Welch(Of({1}), Of({1, 2}))), HasSubstr("first has 1 values"));
  EXPECT_THAT(message(Welch(Of({1, 2}), Of({}))), HasSubstr("second has 0 values"));
  EXPECT_THAT(message(Welch(Of({1, 2}), Of({1, nan}))), HasSubstr("second: 1 of 2 values"));
  EXPECT_THAT(message(Welch(Of({1, 1}), Of({2, 2}))), HasSubstr("all values of both groups"));
  EXPECT_TRUE(Welch(Of({1, 1}), Of({2, 3})).ok());
  EXPECT_FALSE(WelchT(Of({1}), Of({1, 2}), Alternative::kLess).ok());
  EXPECT_FALSE(Welch(Of({1e308, 1e308, 1e308}), Of({1, 2})).ok());
  const auto level = WelchInterval(Of({1, 2}), Of({3, 5}), 0);
  EXPECT_EQ(level.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(Newcombe(3, 2, 1, 2, 0.9).status().message()), HasSubstr("successes"));
  EXPECT_THAT(std::string(Newcombe(1, 2, 1, 0, 0.9).status().message()), HasSubstr("n is 0"));
  EXPECT_THAT(std::string(NewcombePaired(0, 0, 0, 0, 0.9).status().message()), HasSubstr("n is 0"));
  const uint64_t huge = uint64_t{1} << 53;
  EXPECT_THAT(std::string(NewcombePaired(huge, 1, 0, 0, 0.9).status().message()),
              HasSubstr("2^53"));
}

}  // namespace
}  // namespace mirage::metrics
