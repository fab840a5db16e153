#include "metrics/stats/paired.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/hypothesis.h"
#include "metrics/stats/random.h"
#include "tests/support/sharding.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct PairedCase {
  std::vector<double> first, second;
  double mean_first, mean_second, mean_difference;
  double variance_first, variance_second, variance_difference, covariance, correlation;
  double standard_error, unpaired_standard_error;
  double p_two_sided, p_less, p_greater;
  double p_two_sided_from, p_less_from, p_greater_from;
  double lower, upper;
};

#include "metrics/stats/paired_vectors.inc"

PairedMoments Of(const std::vector<double>& first, const std::vector<double>& second) {
  PairedMoments pairs;
  for (size_t i = 0; i < first.size(); ++i) pairs.Add(first[i], second[i]);
  return pairs;
}

void ExpectClose(std::optional<double> actual, double expected) {
  ASSERT_TRUE(actual.has_value());
  EXPECT_NEAR(*actual, expected, 1e-10 * std::abs(expected));
}

double P(const PairedMoments& pairs, double expected, Alternative alternative) {
  const auto result = PairedT(pairs, expected, alternative);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? result->p_value : kNan;
}

TEST(PairedTest, AgreesWithNumpyAndScipy) {
  for (const PairedCase& c : kPairedCases) {
    SCOPED_TRACE(testing::Message() << "from " << c.first[0]);
    const PairedMoments pairs = Of(c.first, c.second);
    ExpectClose(pairs.mean_first(), c.mean_first);
    ExpectClose(pairs.mean_second(), c.mean_second);
    ExpectClose(pairs.mean_difference(), c.mean_difference);
    ExpectClose(pairs.variance_first(), c.variance_first);
    ExpectClose(pairs.variance_second(), c.variance_second);
    ExpectClose(pairs.variance_difference(), c.variance_difference);
    ExpectClose(pairs.covariance(), c.covariance);
    ExpectClose(pairs.correlation(), c.correlation);
    ExpectClose(pairs.standard_error(), c.standard_error);
    ExpectClose(pairs.unpaired_standard_error(), c.unpaired_standard_error);
    ExpectClose(P(pairs, 0, Alternative::kTwoSided), c.p_two_sided);
    ExpectClose(P(pairs, 0, Alternative::kLess), c.p_less);
    ExpectClose(P(pairs, 0, Alternative::kGreater), c.p_greater);
    ExpectClose(P(pairs, 0.1, Alternative::kTwoSided), c.p_two_sided_from);
    ExpectClose(P(pairs, 0.1, Alternative::kLess), c.p_less_from);
    ExpectClose(P(pairs, 0.1, Alternative::kGreater), c.p_greater_from);
    const auto interval = PairedInterval(pairs, 0.9);
    ASSERT_TRUE(interval.ok());
    ExpectClose(interval->lower, c.lower);
    ExpectClose(interval->upper, c.upper);
  }
}

TEST(PairedTest, CountsTheCellsOfBinaryScores) {
  const PairedMoments pairs = Of({1, 1, 1, 0, 0, 1}, {1, 0, 0, 1, 0, 0});
  EXPECT_TRUE(pairs.IsBinary());
  EXPECT_EQ(pairs.only_first(), 3u);
  EXPECT_EQ(pairs.only_second(), 1u);
  EXPECT_EQ(pairs.n_equal(), 2u);
  EXPECT_FALSE(Of({1, 0.5}, {1, 1}).IsBinary());
  EXPECT_FALSE(PairedMoments().IsBinary());
}

TEST(PairedTest, AnyShardingGivesTheSameBytes) {
  CounterRng rng(11, 0);
  std::vector<double> first;
  std::vector<double> second;
  for (int i = 0; i < 60; ++i) {
    first.push_back(std::ldexp(rng.Uniform() - 0.5, static_cast<int>(rng.Below32(60)) - 30));
    second.push_back(i % 9 == 0 ? kInf : rng.Uniform());
  }
  tests::ExpectAnyShardingGivesTheSameBytes<PairedMoments>(
      first.size(), [&](PairedMoments& pairs, size_t i) { pairs.Add(first[i], second[i]); });
}

TEST(PairedTest, ScoresThatAreNotFiniteAreCountedAndNothingElseIsSaid) {
  for (const double bad : {kInf, -kInf, kNan}) {
    const PairedMoments pairs = Of({1, bad, 0}, {0, bad, 0});
    EXPECT_EQ(pairs.count(), 3u);
    EXPECT_EQ(pairs.n_not_finite(), 1u);
    EXPECT_EQ(pairs.n_equal(), 1u);
    EXPECT_FALSE(pairs.mean_difference().has_value());
    EXPECT_FALSE(pairs.standard_error().has_value());
    EXPECT_FALSE(pairs.correlation().has_value());
    EXPECT_FALSE(pairs.IsBinary());
    const auto test = PairedT(pairs, 0, Alternative::kTwoSided);
    EXPECT_EQ(test.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(test.status().message()), HasSubstr("1 of 3 pairs"));
  }
}

TEST(PairedTest, TooFewOrAllEqualDifferencesHaveNoTest) {
  EXPECT_FALSE(PairedMoments().mean_difference().has_value());
  const PairedMoments one = Of({1}, {0});
  EXPECT_EQ(one.mean_difference(), 1);
  EXPECT_FALSE(one.standard_error().has_value());
  EXPECT_THAT(std::string(PairedInterval(one, 0.9).status().message()), HasSubstr("at least 2"));
  const PairedMoments equal = Of({1e9 + 1, 2, 3}, {1e9, 1, 2});
  EXPECT_EQ(equal.standard_error(), 0);
  EXPECT_FALSE(Of({1, 1}, {0, 1}).correlation().has_value());
  EXPECT_THAT(std::string(PairedInterval(equal, 0.9).status().message()),
              HasSubstr("all differences are equal"));
  const PairedMoments huge = Of({1e308, 1e308, -1e308}, {-1e308, -1e308, -1e308});
  EXPECT_FALSE(PairedInterval(huge, 0.9).ok());
}

TEST(PairedTest, WrongArgumentsAreNamed) {
  const PairedMoments pairs = Of({1, 2, 4}, {0, 2, 1});
  EXPECT_THAT(std::string(PairedT(pairs, kNan, Alternative::kLess).status().message()),
              HasSubstr("expected is nan"));
  EXPECT_THAT(std::string(PairedInterval(pairs, 1).status().message()), HasSubstr("level is 1"));
}

TEST(PairedTest, BytesOfAnythingElseAreRefused) {
  tests::ExpectOnlyWholeBytesAreRead(Of({1, 2}, {0, 2}));
  std::string wrong = Of({1, 2}, {0, 2}).Serialize();
  wrong[17] = 9;  // More pairs with a greater first than there are pairs.
  const auto status = PairedMoments::Deserialize(wrong).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("contradict"));
}

}  // namespace
}  // namespace mirage::metrics
