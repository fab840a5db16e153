#include "metrics/stats/intervals.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct ShareCase {
  uint64_t successes;
  uint64_t n;
  double level;
  double wilson_lower;
  double wilson_upper;
  double exact_lower;
  double exact_upper;
  double zero_of_n;
  double posterior_lower;
  double posterior_upper;
};

struct MeanCase {
  double mean;
  double standard_error;
  uint64_t n;
  double level;
  double student_lower;
  double student_upper;
  double normal_lower;
  double normal_upper;
  double exp_lower;
  double exp_upper;
  double exp_negative_lower;
  double exp_negative_upper;
};

#include "metrics/stats/intervals_vectors.inc"

void ExpectNear(double actual, double expected, double relative) {
  if (std::isinf(expected)) {
    EXPECT_EQ(actual, expected);
  } else {
    EXPECT_NEAR(actual, expected, relative * std::abs(expected) + 1e-300);
  }
}

TEST(IntervalsTest, SharesAgreeWithStatsmodelsAndScipy) {
  for (const ShareCase& c : kShareCases) {
    SCOPED_TRACE(std::to_string(c.successes) + " of " + std::to_string(c.n) + " at " +
                 std::to_string(c.level));
    const auto wilson = Wilson(c.successes, c.n, c.level);
    ASSERT_TRUE(wilson.ok()) << wilson.status();
    // statsmodels subtracts the same two numbers; the ends near 0 and 1 share their absolute error.
    EXPECT_NEAR(wilson->lower, c.wilson_lower, 1e-14);
    EXPECT_NEAR(wilson->upper, c.wilson_upper, 1e-14);
    EXPECT_EQ(wilson->method, "wilson");
    EXPECT_EQ(wilson->level, c.level);
    const auto exact = ClopperPearson(c.successes, c.n, c.level);
    ASSERT_TRUE(exact.ok()) << exact.status();
    ExpectNear(exact->lower, c.exact_lower, 1e-10);
    ExpectNear(exact->upper, c.exact_upper, 1e-10);
    EXPECT_EQ(exact->method, "clopper_pearson");
    const auto posterior = BetaPosterior(c.successes, c.n, c.level);
    ASSERT_TRUE(posterior.ok()) << posterior.status();
    ExpectNear(posterior->lower, c.posterior_lower, 1e-10);
    ExpectNear(posterior->upper, c.posterior_upper, 1e-10);
    EXPECT_EQ(posterior->method, "beta_posterior");
    const auto zero = ZeroOfNUpperBound(c.n, c.level);
    ASSERT_TRUE(zero.ok());
    ExpectNear(*zero, c.zero_of_n, 1e-12);
  }
}

TEST(IntervalsTest, MeansAgreeWithScipy) {
  for (const MeanCase& c : kMeanCases) {
    SCOPED_TRACE(std::to_string(c.mean) + " at " + std::to_string(c.level));
    const auto student = StudentT(c.mean, c.standard_error, c.n, c.level);
    ASSERT_TRUE(student.ok()) << student.status();
    ExpectNear(student->lower, c.student_lower, 1e-11);
    ExpectNear(student->upper, c.student_upper, 1e-11);
    EXPECT_EQ(student->method, "student_t");
    const auto delta = Delta(c.mean, c.standard_error, c.n, c.level);
    ASSERT_TRUE(delta.ok());
    EXPECT_EQ(delta->lower, student->lower);
    EXPECT_EQ(delta->upper, student->upper);
    EXPECT_EQ(delta->method, "delta");
    const auto normal = Normal(c.mean, c.standard_error, c.level);
    ASSERT_TRUE(normal.ok());
    ExpectNear(normal->lower, c.normal_lower, 1e-12);
    ExpectNear(normal->upper, c.normal_upper, 1e-12);
    EXPECT_EQ(normal->method, "normal");
    const auto exp = LogStudentT(c.mean, c.standard_error, c.n, c.level, LogTransform::kExpMean);
    ASSERT_TRUE(exp.ok());
    // Relative error of exp(x) is the absolute one of x.
    ExpectNear(exp->lower, c.exp_lower, 1e-9);
    ExpectNear(exp->upper, c.exp_upper, 1e-9);
    EXPECT_EQ(exp->method, "student_t_log");
    const auto negative =
        LogStudentT(c.mean, c.standard_error, c.n, c.level, LogTransform::kExpNegativeMean);
    ASSERT_TRUE(negative.ok());
    ExpectNear(negative->lower, c.exp_negative_lower, 1e-9);
    ExpectNear(negative->upper, c.exp_negative_upper, 1e-9);
    EXPECT_LE(negative->lower, negative->upper);
  }
}

// For every k of n: ends in order, around the share, mirrored for n - k, rising with k; the exact
// interval holds Wilson's share too.
TEST(IntervalsTest, SharesAreOrderedAndSymmetric) {
  for (uint64_t n : {1u, 2u, 7u, 40u}) {
    double previous = -1;
    for (uint64_t k = 0; k <= n; ++k) {
      const double share = static_cast<double>(k) / static_cast<double>(n);
      for (const auto& f : {Wilson, ClopperPearson, BetaPosterior}) {
        const auto interval = f(k, n, 0.95);
        const auto mirrored = f(n - k, n, 0.95);
        ASSERT_TRUE(interval.ok() && mirrored.ok());
        EXPECT_LE(0, interval->lower);
        EXPECT_LE(interval->lower, share);
        EXPECT_LE(share, interval->upper);
        EXPECT_LE(interval->upper, 1);
        EXPECT_NEAR(interval->lower, 1 - mirrored->upper, 1e-13);
      }
      const double lower = Wilson(k, n, 0.95)->lower;
      EXPECT_GT(lower, previous);
      previous = lower;
    }
    EXPECT_EQ(Wilson(0, n, 0.95)->lower, 0);
    EXPECT_EQ(Wilson(n, n, 0.95)->upper, 1);
  }
}

// The exact interval covers at least at its level: for each true p, the probability of the k whose
// interval holds p, summed without simulation.
TEST(IntervalsTest, ClopperPearsonCoversAtItsLevel) {
  constexpr uint64_t kN = 25;
  for (int i = 1; i < 200; ++i) {
    const double p = i / 200.0;
    double coverage = 0;
    double mass = std::pow(1 - p, static_cast<double>(kN));
    for (uint64_t k = 0; k <= kN; ++k) {
      const auto interval = ClopperPearson(k, kN, 0.9);
      if (interval->lower <= p && p <= interval->upper) coverage += mass;
      mass *= static_cast<double>(kN - k) / static_cast<double>(k + 1) * p / (1 - p);
    }
    EXPECT_GE(coverage, 0.9 - 1e-12) << p;
  }
}

TEST(IntervalsTest, BadInputIsNamed) {
  const auto message = [](const auto& result) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(result.status().message());
  };
  EXPECT_THAT(message(Wilson(1, 0, 0.95)), HasSubstr("n is 0"));
  EXPECT_THAT(message(ClopperPearson(0, 0, 0.95)), HasSubstr("n is 0"));
  EXPECT_THAT(message(ZeroOfNUpperBound(0, 0.95)), HasSubstr("n is 0"));
  EXPECT_THAT(message(Wilson(3, 2, 0.95)), HasSubstr("successes is 3: must be <= n, which is 2"));
  EXPECT_THAT(message(Wilson(3, uint64_t{1} << 54, 0.95)), HasSubstr("2^53"));
  for (double level : {0.0, 1.0, -0.5, 95.0, kNan, kInf}) {
    EXPECT_THAT(message(Wilson(1, 2, level)), HasSubstr("level is"));
    EXPECT_THAT(message(ClopperPearson(1, 2, level)), HasSubstr("level is"));
    EXPECT_THAT(message(BetaPosterior(1, 2, level)), HasSubstr("level is"));
    EXPECT_THAT(message(StudentT(0, 1, 5, level)), HasSubstr("level is"));
    EXPECT_THAT(message(Normal(0, 1, level)), HasSubstr("level is"));
    EXPECT_THAT(message(Delta(0, 1, 5, level)), HasSubstr("level is"));
    EXPECT_THAT(message(LogStudentT(0, 1, 5, level, LogTransform::kExpMean)),
                HasSubstr("level is"));
    EXPECT_THAT(message(ZeroOfNUpperBound(5, level)), HasSubstr("level is"));
  }
  EXPECT_THAT(message(StudentT(0, 1, 1, 0.95)),
              HasSubstr("n is 1: this interval needs at least 2"));
  EXPECT_THAT(message(Delta(0, 1, 1, 0.95)), HasSubstr("n is 1"));
  EXPECT_THAT(message(StudentT(kNan, 1, 5, 0.95)), HasSubstr("mean is nan"));
  EXPECT_THAT(message(StudentT(-kInf, 1, 5, 0.95)), HasSubstr("mean is -inf"));
  EXPECT_THAT(message(StudentT(0, -1, 5, 0.95)), HasSubstr("standard_error is -1"));
  EXPECT_THAT(message(Normal(0, kNan, 0.95)), HasSubstr("standard_error is nan"));
  EXPECT_THAT(message(Delta(kInf, 1, 5, 0.95)), HasSubstr("estimate is inf"));
}

}  // namespace
}  // namespace mirage::metrics
