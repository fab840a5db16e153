#include "metrics/stats/binomial_test.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/hypothesis.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

struct ShareCase {
  uint64_t successes, n;
  double share, two_sided, less, greater;
};
struct PairCase {
  uint64_t first, second;
  double two_sided, less, greater, chi_squared, mid_two_sided, mid_less, mid_greater;
};

#include "metrics/stats/binomial_test_vectors.inc"

void ExpectP(const absl::StatusOr<TestResult>& result, double expected) {
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_NEAR(result->p_value, expected, 1e-10 * expected + 1e-300);
}

TEST(BinomialTestTest, AgreesWithScipy) {
  for (const ShareCase& c : kShareCases) {
    SCOPED_TRACE(testing::Message() << c.successes << " of " << c.n << " at " << c.share);
    ExpectP(BinomialTest(c.successes, c.n, c.share, Alternative::kTwoSided), c.two_sided);
    ExpectP(BinomialTest(c.successes, c.n, c.share, Alternative::kLess), c.less);
    ExpectP(BinomialTest(c.successes, c.n, c.share, Alternative::kGreater), c.greater);
  }
}

TEST(BinomialTestTest, PairsAgreeWithStatsmodels) {
  for (const PairCase& c : kPairCases) {
    SCOPED_TRACE(testing::Message() << c.first << ", " << c.second);
    ExpectP(McNemarExact(c.first, c.second, Alternative::kTwoSided), c.two_sided);
    ExpectP(McNemarExact(c.first, c.second, Alternative::kLess), c.less);
    ExpectP(McNemarExact(c.first, c.second, Alternative::kGreater), c.greater);
    ExpectP(SignTest(c.first, c.second, Alternative::kTwoSided), c.two_sided);
    ExpectP(SignTest(c.first, c.second, Alternative::kGreater), c.greater);
    ExpectP(McNemarChiSquared(c.first, c.second), c.chi_squared);
    if (c.first + c.second == 0) continue;
    ExpectP(McNemarMidP(c.first, c.second, Alternative::kTwoSided), c.mid_two_sided);
    ExpectP(McNemarMidP(c.first, c.second, Alternative::kLess), c.mid_less);
    ExpectP(McNemarMidP(c.first, c.second, Alternative::kGreater), c.mid_greater);
  }
}

// Against the definition, count by count; small shares and ties included.
TEST(BinomialTestTest, TwoSidedIsTheSumOfWhatIsNoMoreProbable) {
  for (const uint64_t n : {1u, 2u, 7u, 20u, 33u}) {
    for (const double share : {0.01, 0.2, 1.0 / 3, 0.5, 0.8}) {
      std::vector<double> pmf(n + 1);
      for (uint64_t k = 0; k <= n; ++k) {
        const auto x = static_cast<double>(k);
        const auto m = static_cast<double>(n);
        pmf[k] = std::exp(std::lgamma(m + 1) - std::lgamma(x + 1) - std::lgamma(m - x + 1) +
                          x * std::log(share) + (m - x) * std::log1p(-share));
      }
      for (uint64_t k = 0; k <= n; ++k) {
        double sum = 0;
        for (const double p : pmf) sum += p <= pmf[k] * (1 + 1e-7) ? p : 0;
        const auto result = BinomialTest(k, n, share, Alternative::kTwoSided);
        ASSERT_TRUE(result.ok());
        EXPECT_NEAR(result->p_value, std::min(sum, 1.0), 1e-10)
            << k << " of " << n << " at " << share;
      }
    }
  }
}

TEST(BinomialTestTest, NothingThatDiffersGivesOne) {
  for (const Alternative a : {Alternative::kTwoSided, Alternative::kLess, Alternative::kGreater}) {
    ExpectP(McNemarExact(0, 0, a), 1);
    ExpectP(McNemarMidP(0, 0, a), 1);
    ExpectP(SignTest(0, 0, a), 1);
  }
  ExpectP(McNemarChiSquared(0, 0), 1);
}

TEST(BinomialTestTest, LargeCountsTakeNoTime) {
  const uint64_t n = uint64_t{1} << 50;
  const auto even = BinomialTest(n / 2, n, 0.5, Alternative::kTwoSided);
  ASSERT_TRUE(even.ok());
  EXPECT_EQ(even->p_value, 1);
  // 10 standard deviations away.
  const auto far = BinomialTest(n / 2 + 5 * (uint64_t{1} << 25), n, 0.5, Alternative::kTwoSided);
  ASSERT_TRUE(far.ok());
  EXPECT_NEAR(far->p_value, 1.5e-23, 0.1e-23);
}

TEST(BinomialTestTest, NamesWhatIsWrong) {
  const auto message = [](const absl::StatusOr<TestResult>& result) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(result.status().message());
  };
  constexpr Alternative kAny = Alternative::kTwoSided;
  EXPECT_THAT(message(BinomialTest(0, 0, 0.5, kAny)), HasSubstr("n is 0"));
  EXPECT_THAT(message(BinomialTest(3, 2, 0.5, kAny)), HasSubstr("successes is 3: must be <= n"));
  EXPECT_THAT(message(BinomialTest(1, 2, -0.1, kAny)), HasSubstr("share is -0.1"));
  EXPECT_THAT(message(BinomialTest(1, 2, std::numeric_limits<double>::quiet_NaN(), kAny)),
              HasSubstr("share is nan"));
  const uint64_t huge = (uint64_t{1} << 53) + 1;
  EXPECT_THAT(message(BinomialTest(1, huge, 0.5, kAny)), HasSubstr("must be <= 2^53"));
  EXPECT_THAT(message(McNemarExact(huge, 0, kAny)), HasSubstr("the first count"));
  EXPECT_THAT(message(McNemarMidP(0, huge, kAny)), HasSubstr("the second count"));
  EXPECT_THAT(message(SignTest(huge - 1, huge - 1, kAny)), HasSubstr("the sum of the counts"));
  EXPECT_THAT(message(McNemarChiSquared(huge, 0)), HasSubstr("the first count"));
}

}  // namespace
}  // namespace mirage::metrics
