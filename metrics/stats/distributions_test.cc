#include "metrics/stats/distributions.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "gtest/gtest.h"
#include "metrics/stats/hypothesis.h"

namespace mirage::metrics {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

struct NormalCase {
  double x, tail;
};
struct NormalPointCase {
  double p, x;
};
struct StudentCase {
  double x, df, tail;
};
struct StudentPointCase {
  double p, df, x;
};
struct ChiSquaredCase {
  double x, df, tail;
};
struct BetaPointCase {
  double p, a, b, lower, upper;
};
struct BinomialCase {
  uint64_t k, n;
  double share, cdf, tail, pmf;
};
struct QuantileCase {
  double probability, value;
};

#include "metrics/stats/distributions_vectors.inc"

void ExpectClose(double actual, double expected) {
  // An expected 0 stands for what no normal double holds.
  if (expected == 0) {
    EXPECT_LE(std::abs(actual), 1e-300);
  } else {
    EXPECT_NEAR(actual, expected, 1e-12 * std::abs(expected));
  }
}

TEST(DistributionsTest, NormalAgreesWithMpmath) {
  for (const NormalCase& c : kNormalCases) {
    SCOPED_TRACE(c.x);
    ExpectClose(NormalTail(c.x), c.tail);
    ExpectClose(NormalCdf(-c.x), c.tail);
  }
  for (const NormalPointCase& c : kNormalPointCases) {
    SCOPED_TRACE(c.p);
    ExpectClose(NormalUpperQuantile(c.p), c.x);
    ExpectClose(NormalQuantile(c.p), -c.x);
  }
  EXPECT_EQ(NormalQuantile(0), -kInf);
  EXPECT_EQ(NormalQuantile(1), kInf);
  EXPECT_EQ(NormalUpperQuantile(0), kInf);
  EXPECT_EQ(NormalUpperQuantile(1), -kInf);
  EXPECT_EQ(NormalCdf(-kInf), 0);
  EXPECT_EQ(NormalTail(-kInf), 1);
}

TEST(DistributionsTest, StudentAgreesWithMpmath) {
  for (const StudentCase& c : kStudentCases) {
    SCOPED_TRACE(testing::Message() << c.x << " with " << c.df);
    ExpectClose(StudentTail(c.x, c.df), c.tail);
  }
  for (const StudentPointCase& c : kStudentPointCases) {
    SCOPED_TRACE(testing::Message() << c.p << " with " << c.df);
    ExpectClose(StudentUpperQuantile(c.p, c.df), c.x);
  }
}

TEST(DistributionsTest, StudentsPValuesAreItsTails) {
  ExpectClose(StudentPValue(2.5, 9, Alternative::kGreater), StudentTail(2.5, 9));
  ExpectClose(StudentPValue(2.5, 9, Alternative::kLess), StudentTail(-2.5, 9));
  ExpectClose(StudentPValue(2.5, 9, Alternative::kTwoSided), 2 * StudentTail(2.5, 9));
  ExpectClose(StudentPValue(-2.5, 9, Alternative::kTwoSided), 2 * StudentTail(2.5, 9));
}

TEST(DistributionsTest, GammaRatioIsTheQuotient) {
  ExpectClose(GammaRatio(3, 2), 12);
  ExpectClose(GammaRatio(5.5, 1), 5.5);
  ExpectClose(GammaRatio(4, -1), 1.0 / 3);
  // Each of the two overflows.
  ExpectClose(GammaRatio(1e6, 0.5), 999.99987500000781);
}

TEST(DistributionsTest, ChiSquaredAgreesWithMpmath) {
  for (const ChiSquaredCase& c : kChiSquaredCases) {
    SCOPED_TRACE(testing::Message() << c.x << " with " << c.df);
    ExpectClose(ChiSquaredTail(c.x, c.df), c.tail);
    // Where the tail's slope leaves the quantile its digits.
    if (c.tail < 0.9 && c.tail > 0) {
      EXPECT_NEAR(ChiSquaredUpperQuantile(c.tail, c.df), c.x, 1e-11 * c.x);
    }
  }
}

TEST(DistributionsTest, BetaAgreesWithMpmath) {
  for (const BetaPointCase& c : kBetaPointCases) {
    SCOPED_TRACE(testing::Message() << c.p << " of " << c.a << ", " << c.b);
    ExpectClose(BetaQuantile(c.p, c.a, c.b), c.lower);
    ExpectClose(BetaUpperQuantile(c.p, c.a, c.b), c.upper);
  }
}

TEST(DistributionsTest, BinomialAgreesWithMpmath) {
  for (const BinomialCase& c : kBinomialCases) {
    SCOPED_TRACE(testing::Message() << c.k << " of " << c.n << " at " << c.share);
    ExpectClose(BinomialCdf(c.k, c.n, c.share), c.cdf);
    ExpectClose(BinomialTail(c.k, c.n, c.share), c.tail);
    ExpectClose(BinomialPmf(c.k, c.n, c.share), c.pmf);
  }
  EXPECT_EQ(BinomialCdf(7, 5, 0.5), 1);
  EXPECT_EQ(BinomialTail(7, 5, 0.5), 0);
  EXPECT_EQ(BinomialPmf(7, 5, 0.5), 0);
  EXPECT_EQ(BinomialCdf(0, 5, 0), 1);
  EXPECT_EQ(BinomialTail(5, 5, 1), 1);
}

TEST(DistributionsTest, QuantileAgreesWithNumpy) {
  for (const QuantileCase& c : kQuantileCases) {
    EXPECT_NEAR(SortedQuantile(kSample, c.probability), c.value, 1e-14) << c.probability;
  }
}

TEST(DistributionsTest, QuantileOfInfiniteValuesIsNoNan) {
  const std::array<double, 4> values = {-kInf, -kInf, 1, kInf};
  EXPECT_EQ(SortedQuantile(values, 0), -kInf);
  EXPECT_EQ(SortedQuantile(values, 0.1), -kInf);
  EXPECT_EQ(SortedQuantile(values, 0.5), -kInf);
  EXPECT_EQ(SortedQuantile(values, 0.9), kInf);
  EXPECT_EQ(SortedQuantile(std::array<double, 1>{3}, 0.7), 3);
}

}  // namespace
}  // namespace mirage::metrics
