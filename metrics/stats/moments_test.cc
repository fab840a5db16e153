#include "metrics/stats/moments.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "metrics/stats/random.h"
#include "tests/support/sharding.h"

namespace mirage::metrics {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Moments Of(const std::vector<double>& values) {
  Moments moments;
  for (double x : values) moments.Add(x);
  return moments;
}

TEST(MomentsTest, Empty) {
  const Moments moments;
  EXPECT_EQ(moments.count(), 0u);
  EXPECT_FALSE(moments.mean().has_value());
  EXPECT_FALSE(moments.variance().has_value());
  EXPECT_FALSE(moments.standard_error().has_value());
  EXPECT_FALSE(moments.min().has_value());
  EXPECT_FALSE(moments.max().has_value());
  EXPECT_FALSE(moments.IsBinary());
}

TEST(MomentsTest, OneValue) {
  const Moments moments = Of({-2.5});
  EXPECT_EQ(moments.mean(), -2.5);
  EXPECT_FALSE(moments.variance().has_value());
  EXPECT_EQ(moments.min(), -2.5);
  EXPECT_EQ(moments.max(), -2.5);
}

// Python: statistics.mean, statistics.variance (exact fractions).
TEST(MomentsTest, SmallSample) {
  const Moments moments = Of({0.1, 0.25, -3.5, 7.0, 0.1});
  EXPECT_DOUBLE_EQ(*moments.mean(), 0.79);
  EXPECT_DOUBLE_EQ(*moments.variance(), 14.553);
  EXPECT_DOUBLE_EQ(*moments.standard_error(), std::sqrt(14.553 / 5));
  EXPECT_EQ(moments.min(), -3.5);
  EXPECT_EQ(moments.max(), 7.0);
}

// Offsets k / 2^10 about 1e9 are exact: the variance is that of the offsets.
TEST(MomentsTest, NothingCancelsAtABillion) {
  Moments far;
  Moments near;
  for (int k = -500; k <= 500; ++k) {
    far.Add(1e9 + k / 1024.0);
    near.Add(k / 1024.0);
  }
  EXPECT_EQ(*far.mean(), 1e9);
  EXPECT_DOUBLE_EQ(*far.variance(), *near.variance());
  // sum k^2 over -500..500 = 83 583 500.
  EXPECT_DOUBLE_EQ(*near.variance(), 83'583'500.0 / 1024 / 1024 / 1000);
}

TEST(MomentsTest, SpreadOfOneUnitInTheLastPlace) {
  const double above = std::nextafter(1e9, 2e9);
  const double unit = above - 1e9;
  const Moments moments = Of({1e9, above, 1e9, above});
  EXPECT_DOUBLE_EQ(*moments.variance(), unit * unit / 3);
  EXPECT_EQ(*Of({0.1, 0.1, 0.1}).variance(), 0);
  EXPECT_EQ(*Of({0.1, 0.1, 0.1}).mean(), 0.1);
}

TEST(MomentsTest, ExtremeMagnitudes) {
  EXPECT_EQ(*Of({1.5e308, 1.5e308, -1.5e308}).mean(), 0.5e308);
  EXPECT_EQ(*Of({1.5e308, 1.5e308}).mean(), kInf);
  EXPECT_FALSE(Of({1.5e308, 1.5e308}).variance().has_value());
  EXPECT_EQ(Of({1.5e308, 1.5e308}).n_infinite(), 0u);
  EXPECT_EQ(*Of({5e-324, 5e-324}).mean(), 5e-324);
  EXPECT_EQ(*Of({5e-324, 5e-324}).variance(), 0);
}

TEST(MomentsTest, Binary) {
  const Moments moments = Of({0, 1, 1, 0, -0.0});
  EXPECT_TRUE(moments.IsBinary());
  EXPECT_EQ(moments.successes(), 2u);
  EXPECT_DOUBLE_EQ(*moments.mean(), 0.4);
  EXPECT_DOUBLE_EQ(*moments.variance(), 5 * 0.4 * 0.6 / 4);
  EXPECT_FALSE(Of({0, 1, 0.5}).IsBinary());
  EXPECT_FALSE(Of({0, 1, kNan}).IsBinary());
  EXPECT_FALSE(Of({0, 1, -kInf}).IsBinary());
}

TEST(MomentsTest, InfiniteValuesCount) {
  const Moments moments = Of({-1, -kInf, -2});
  EXPECT_EQ(moments.count(), 3u);
  EXPECT_EQ(moments.n_infinite(), 1u);
  EXPECT_EQ(moments.mean(), -kInf);
  EXPECT_FALSE(moments.variance().has_value());
  EXPECT_FALSE(moments.standard_error().has_value());
  EXPECT_EQ(moments.min(), -kInf);
  EXPECT_EQ(moments.max(), -1);
  EXPECT_TRUE(std::isnan(*Of({kInf, -kInf}).mean()));
}

TEST(MomentsTest, NansShow) {
  const Moments moments = Of({kNan, 3, 4});
  EXPECT_EQ(moments.n_nan(), 1u);
  EXPECT_TRUE(std::isnan(*moments.mean()));
  EXPECT_FALSE(moments.variance().has_value());
  EXPECT_EQ(moments.min(), 3);
  EXPECT_EQ(moments.max(), 4);
  EXPECT_FALSE(Of({kNan}).min().has_value());
}

TEST(MomentsTest, EveryOrderAndShardingGivesTheSameBits) {
  CounterRng rng(11, 0);
  std::vector<double> values;
  values.reserve(200);
  for (int i = 0; i < 200; ++i)
    values.push_back((rng.Uniform() - 0.5) * std::exp(40 * rng.Uniform()));
  values[0] = 0.0;
  values[1] = -0.0;
  const Moments whole = Of(values);
  tests::ExpectAnyShardingGivesTheSameBytes<Moments>(
      values.size(), [&](Moments& moments, size_t i) { moments.Add(values[i]); }, {}, 1000,
      [&](const Moments& merged) {
        ASSERT_EQ(merged.Serialize(), whole.Serialize());
        ASSERT_EQ(std::bit_cast<uint64_t>(*merged.mean()), std::bit_cast<uint64_t>(*whole.mean()));
        ASSERT_EQ(std::bit_cast<uint64_t>(*merged.standard_error()),
                  std::bit_cast<uint64_t>(*whole.standard_error()));
      });
}

TEST(MomentsTest, MergesWithEmpty) {
  Moments moments;
  moments.Merge(Of({2, 3}));
  moments.Merge(Moments());
  EXPECT_EQ(moments.min(), 2);
  EXPECT_EQ(moments.max(), 3);
  EXPECT_EQ(moments.count(), 2u);
}

TEST(MomentsTest, DeserializeRefusesOtherBytes) {
  const Moments moments = Of({0.5, -kInf, 1});
  tests::ExpectOnlyWholeBytesAreRead(moments);
  tests::ExpectWhatIsReadIsWrittenAlike(moments, [](const Moments& read) {
    read.mean();
    read.standard_error();
  });
  const std::string bytes = moments.Serialize();
  std::string other = bytes;
  other[0] = 9;
  EXPECT_FALSE(Moments::Deserialize(other).ok());
  other = bytes;
  other[10] = '\x7f';  // More zeros than values.
  EXPECT_FALSE(Moments::Deserialize(other).ok());
}

// The residuals' formula, computed directly for a few items.
TEST(RatioMomentsTest, AgreesWithTheResiduals) {
  const std::vector<std::pair<double, double>> items = {{1.5, 3}, {10.25, 17}, {0.5, 1}, {4, 11}};
  RatioMoments moments;
  for (const auto& [x, w] : items) moments.Add(x, w);
  const double r = 16.25 / 32;
  double squares = 0;
  for (const auto& [x, w] : items) squares += (x - r * w) * (x - r * w);
  EXPECT_DOUBLE_EQ(*moments.ratio(), r);
  EXPECT_DOUBLE_EQ(*moments.standard_error(), std::sqrt(squares * 4 / 3) / 32);
}

TEST(RatioMomentsTest, UnitWeightsGiveTheMeanAndItsError) {
  RatioMoments ratio;
  Moments moments;
  CounterRng rng(4, 0);
  for (int i = 0; i < 1000; ++i) {
    const double x = 1e9 + rng.Uniform();
    ratio.Add(x, 1);
    moments.Add(x);
  }
  EXPECT_EQ(*ratio.ratio(), *moments.mean());
  EXPECT_NEAR(*ratio.standard_error() / *moments.standard_error(), 1, 1e-12);
}

TEST(RatioMomentsTest, ProportionalItemsHaveNoError) {
  RatioMoments moments;
  for (int w = 1; w <= 100; ++w) moments.Add(0.1 * w, w);
  EXPECT_NEAR(*moments.standard_error(), 0, 1e-16);
  EXPECT_DOUBLE_EQ(*moments.ratio(), 0.1);
}

// 2000 samples of 50 items: the errors' root mean square must match the spread of the ratios. The
// spread of 2000 ratios is known to 1.6 %, so a bias of 8 % is found with a power above 99 %.
TEST(RatioMomentsTest, ErrorMatchesTheSpread) {
  constexpr int kTrials = 2000;
  Moments ratios;
  Moments squared_errors;
  for (int trial = 0; trial < kTrials; ++trial) {
    CounterRng rng(6, trial);
    RatioMoments moments;
    for (int i = 0; i < 50; ++i) {
      const double w = 1 + static_cast<double>(rng.Below(20));
      moments.Add(w * (1 + rng.Uniform()) + rng.Uniform(), w);
    }
    ratios.Add(*moments.ratio());
    squared_errors.Add(*moments.standard_error() * *moments.standard_error());
  }
  EXPECT_NEAR(std::sqrt(*squared_errors.mean() / *ratios.variance()), 1, 0.08);
}

TEST(RatioMomentsTest, EdgeCases) {
  RatioMoments moments;
  EXPECT_FALSE(moments.ratio().has_value());
  moments.Add(1, 0);
  EXPECT_FALSE(moments.ratio().has_value());
  EXPECT_FALSE(moments.standard_error().has_value());
  moments.Add(-kInf, 2);
  EXPECT_EQ(moments.ratio(), -kInf);
  EXPECT_EQ(moments.n_infinite(), 1u);
  EXPECT_FALSE(moments.standard_error().has_value());
  moments.Add(1, kInf);
  EXPECT_TRUE(std::isnan(*moments.ratio()));
}

TEST(RatioMomentsTest, MergesAndTravels) {
  RatioMoments whole;
  for (int i = 1; i <= 99; ++i) whole.Add(std::sqrt(i), i);
  tests::ExpectAnyShardingGivesTheSameBytes<RatioMoments>(
      99,
      [](RatioMoments& moments, size_t i) {
        const auto weight = static_cast<double>(i + 1);
        moments.Add(std::sqrt(weight), weight);
      },
      {}, 1000,
      [&](const RatioMoments& merged) {
        ASSERT_EQ(*merged.standard_error(), *whole.standard_error());
      });
  tests::ExpectOnlyWholeBytesAreRead(whole);
  tests::ExpectWhatIsReadIsWrittenAlike(whole);
}

TEST(MomentsTest, ColumnsAndRepeatsAreWhatTheirValuesAreOneByOne) {
  std::mt19937_64 random(7);
  const double values[] = {0.0,    -0.0,  1.0,     0.25,  -3.5,
                           1e-300, 1e300, 1.0 / 3, -1e-5, -std::numeric_limits<double>::infinity()};
  for (int trial = 0; trial < 300; ++trial) {
    // The last values are rarer, so that most columns are finite.
    const size_t n_values = trial % 10 == 0 ? std::size(values) : std::size(values) - 1;
    std::vector<double> xs(static_cast<size_t>(random() % 50));
    for (double& x : xs) x = values[random() % n_values];
    Moments one_by_one, together, repeated;
    const double start = values[random() % n_values];
    for (Moments* m : {&one_by_one, &together, &repeated}) m->Add(start);
    for (const double x : xs) one_by_one.Add(x);
    together.AddAll(xs);
    std::sort(xs.begin(), xs.end());
    for (size_t i = 0; i < xs.size();) {
      size_t j = i;
      while (j < xs.size() && std::bit_cast<uint64_t>(xs[j]) == std::bit_cast<uint64_t>(xs[i])) ++j;
      repeated.AddRepeated(xs[i], j - i);
      i = j;
    }
    repeated.AddRepeated(5, 0);
    ASSERT_EQ(together.Serialize(), one_by_one.Serialize());
    ASSERT_EQ(repeated.Serialize(), one_by_one.Serialize());
  }
}

}  // namespace
}  // namespace mirage::metrics
