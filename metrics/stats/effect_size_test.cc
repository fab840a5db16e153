#include "metrics/stats/effect_size.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/moments.h"
#include "metrics/stats/paired.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct EffectCase {
  std::vector<double> first, second;
  double d_paired, d_average, d, g, delta;
};

#include "metrics/stats/effect_size_vectors.inc"

Moments Of(const std::vector<double>& xs) {
  Moments moments;
  moments.AddAll(xs);
  return moments;
}

PairedMoments Pairs(const std::vector<double>& first, const std::vector<double>& second) {
  PairedMoments pairs;
  for (size_t i = 0; i < first.size(); ++i) pairs.Add(first[i], second[i]);
  return pairs;
}

void ExpectClose(const absl::StatusOr<double>& actual, double expected) {
  ASSERT_TRUE(actual.ok()) << actual.status();
  EXPECT_NEAR(*actual, expected, 1e-10 * std::abs(expected));
}

std::string Message(const absl::StatusOr<double>& result) {
  EXPECT_FALSE(result.ok());
  return std::string(result.status().message());
}

TEST(EffectSizeTest, AgreesWithNumpyAndSlowFormulas) {
  for (const EffectCase& c : kEffectCases) {
    SCOPED_TRACE(testing::Message() << "from " << c.first[0]);
    ExpectClose(CohensDPaired(Pairs(c.first, c.second)), c.d_paired);
    ExpectClose(CohensDAverage(Pairs(c.first, c.second)), c.d_average);
    // The means near 1e9 are doubles with an ulp of 1e-7.
    if (c.first[0] > 1e8) continue;
    ExpectClose(CohensD(Of(c.first), Of(c.second)), c.d);
    ExpectClose(HedgesG(Of(c.first), Of(c.second)), c.g);
    ExpectClose(CliffsDelta(c.first, c.second), c.delta);
  }
}

TEST(EffectSizeTest, CliffsDeltaIsTheDifferenceOfShares) {
  CounterRng rng(2, 0);
  for (int round = 0; round < 50; ++round) {
    std::vector<double> xs(1 + rng.Below32(30));
    std::vector<double> ys(1 + rng.Below32(30));
    for (double& x : xs) x = static_cast<double>(rng.Below32(8));
    for (double& y : ys) y = static_cast<double>(rng.Below32(7));
    double sum = 0;
    for (const double x : xs) {
      for (const double y : ys) sum += (x > y ? 1 : 0) - (x < y ? 1 : 0);
    }
    const double pairs = static_cast<double>(xs.size()) * static_cast<double>(ys.size());
    const auto delta = CliffsDelta(xs, ys);
    ASSERT_TRUE(delta.ok());
    EXPECT_NEAR(*delta, sum / pairs, 1e-15);
    EXPECT_EQ(*CliffsDelta(ys, xs), -*delta);
  }
  EXPECT_EQ(*CliffsDelta(std::vector<double>{kInf, 3}, std::vector<double>{-kInf}), 1);
  EXPECT_EQ(*CliffsDelta(std::vector<double>{-kInf}, std::vector<double>{-kInf}), 0);
}

TEST(EffectSizeTest, WithoutSpreadOrScoresThereIsNone) {
  EXPECT_THAT(Message(CohensDPaired(Pairs({1, 2}, {0, 1}))), HasSubstr("standard deviation is 0"));
  EXPECT_THAT(Message(CohensDPaired(Pairs({1}, {0}))), HasSubstr("at least 2"));
  EXPECT_THAT(Message(CohensDPaired(Pairs({1, kInf}, {0, 1}))), HasSubstr("1 of 2 pairs"));
  EXPECT_THAT(Message(CohensDAverage(Pairs({1, 1}, {0, 0}))), HasSubstr("standard deviation is 0"));
  EXPECT_THAT(Message(CohensD(Of({1, 1}), Of({0, 0}))), HasSubstr("standard deviation is 0"));
  EXPECT_THAT(Message(CohensD(Of({}), Of({0, 1}))), HasSubstr("first is empty"));
  EXPECT_THAT(Message(CohensD(Of({1, 2}), Of({kNan}))), HasSubstr("second: 1 of 1 scores"));
  EXPECT_THAT(Message(CohensD(Of({1}), Of({2}))), HasSubstr("at least 3"));
  EXPECT_THAT(Message(HedgesG(Of({1, 3}), Of({2}))), HasSubstr("at least 4"));
  EXPECT_THAT(Message(CliffsDelta({}, std::vector<double>{1})), HasSubstr("first is empty"));
  EXPECT_THAT(Message(CliffsDelta(std::vector<double>{1}, std::vector<double>{1, kNan})),
              HasSubstr("second[1] is NaN"));
  ExpectClose(CohensD(Of({1, 3}), Of({2})), 0);
}

}  // namespace
}  // namespace mirage::metrics
