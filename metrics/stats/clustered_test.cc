#include "metrics/stats/clustered.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/bootstrap.h"
#include "metrics/stats/moments.h"
#include "metrics/stats/random.h"
#include "tests/support/sharding.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

using Row = std::pair<uint64_t, double>;

struct ClusterCase {
  std::vector<Row> rows;
  uint64_t clusters;
  double mean, standard_error, design_effect, correlation;
};

#include "metrics/stats/clustered_vectors.inc"

ClusteredMoments Of(const std::vector<Row>& rows) {
  ClusteredMoments moments;
  for (const auto& [cluster, x] : rows) moments.Add(cluster, x);
  return moments;
}

void ExpectClose(std::optional<double> actual, double expected) {
  ASSERT_TRUE(actual.has_value());
  EXPECT_NEAR(*actual, expected, 1e-10 * std::abs(expected));
}

TEST(ClusteredTest, AgreesWithStatsmodels) {
  for (const ClusterCase& c : kClusterCases) {
    SCOPED_TRACE(c.mean);
    const ClusteredMoments moments = Of(c.rows);
    EXPECT_EQ(moments.count(), c.rows.size());
    EXPECT_EQ(moments.clusters(), c.clusters);
    ExpectClose(moments.mean(), c.mean);
    ExpectClose(moments.standard_error(), c.standard_error);
    ExpectClose(moments.design_effect(), c.design_effect);
    ExpectClose(moments.intraclass_correlation(), c.correlation);
  }
}

TEST(ClusteredTest, ClustersOfOneGiveTheOrdinaryError) {
  ClusteredMoments clustered;
  Moments ordinary;
  CounterRng rng(1, 0);
  for (uint64_t i = 0; i < 40; ++i) {
    const double x = rng.Uniform();
    clustered.Add(i, x);
    ordinary.Add(x);
  }
  ExpectClose(clustered.standard_error(), *ordinary.standard_error());
  ExpectClose(clustered.design_effect(), 1);
  EXPECT_FALSE(clustered.intraclass_correlation().has_value());
}

TEST(ClusteredTest, RepeatingEveryValueChangesTheOrdinaryErrorOnly) {
  ClusteredMoments clustered;
  Moments once;
  CounterRng rng(2, 0);
  for (uint64_t i = 0; i < 30; ++i) {
    const double x = rng.Uniform();
    for (int copy = 0; copy < 5; ++copy) clustered.Add(i, x);
    once.Add(x);
  }
  ExpectClose(clustered.standard_error(), *once.standard_error());
  ExpectClose(clustered.intraclass_correlation(), 1);
  // 5 in the limit of many clusters; the variances have n - 1 and C - 1 degrees of freedom.
  ExpectClose(clustered.design_effect(), 5 * (149.0 / 150) * (30.0 / 29));
}

// The bootstrap of clusters has the clustered error: known to 1.6 % from 2000 replicates, and of 40
// clusters both know the truth alike. The bootstrap of values would have half of it.
TEST(ClusteredTest, ClustersCanBeResampled) {
  ClusteredMoments moments;
  CounterRng rng(5, 0);
  for (uint64_t cluster = 0; cluster < 40; ++cluster) {
    const double shared = rng.Uniform();
    for (uint32_t i = 0; i <= cluster % 8; ++i) moments.Add(cluster, shared + 0.1 * rng.Uniform());
  }
  const std::vector<double> rows = moments.ClusterRows();
  ASSERT_EQ(rows.size(), 80u);
  EXPECT_EQ(rows[2 * 9 + 1], 2);
  const auto result = BootstrapOfMeans(
      rows, 2, [](std::span<const double> m) { return m[0] / m[1]; }, {.replicates = 2000});
  ASSERT_TRUE(result.ok());
  ExpectClose(moments.mean(), result->estimate);
  EXPECT_NEAR(result->standard_error, *moments.standard_error(), 0.12 * *moments.standard_error());
}

TEST(ClusteredTest, AnyShardingGivesTheSameBytes) {
  CounterRng rng(3, 0);
  std::vector<Row> rows(60);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i] = {rng.Below32(9), i % 7 == 0 ? -0.0 : rng.Uniform()};
  }
  rows.emplace_back(3, kNan);
  tests::ExpectAnyShardingGivesTheSameBytes<ClusteredMoments>(
      rows.size(),
      [&](ClusteredMoments& moments, size_t i) { moments.Add(rows[i].first, rows[i].second); });
  ClusteredMoments doubled = Of({{1, 2}, {2, 3}});
  doubled.Merge(doubled);
  EXPECT_EQ(doubled.Serialize(), Of({{1, 2}, {1, 2}, {2, 3}, {2, 3}}).Serialize());
}

TEST(ClusteredTest, WhatCannotBeSaidIsAbsent) {
  const ClusteredMoments empty;
  EXPECT_EQ(empty.clusters(), 0u);
  EXPECT_FALSE(empty.mean().has_value());
  EXPECT_FALSE(empty.standard_error().has_value());
  const ClusteredMoments one = Of({{1, 2}, {1, 4}});
  EXPECT_EQ(one.mean(), 3);
  EXPECT_FALSE(one.standard_error().has_value());
  EXPECT_FALSE(one.design_effect().has_value());
  EXPECT_FALSE(one.intraclass_correlation().has_value());
  const ClusteredMoments equal = Of({{1, 2}, {1, 2}, {2, 2}});
  EXPECT_EQ(equal.standard_error(), 0);
  EXPECT_FALSE(equal.design_effect().has_value());
  EXPECT_FALSE(equal.intraclass_correlation().has_value());
  for (const double bad : {kInf, kNan}) {
    const ClusteredMoments moments = Of({{1, 2}, {2, bad}, {2, 1}});
    EXPECT_FALSE(std::isfinite(*moments.mean()));
    EXPECT_FALSE(moments.standard_error().has_value());
    EXPECT_FALSE(moments.intraclass_correlation().has_value());
  }
}

TEST(ClusteredTest, BytesOfAnythingElseAreRefused) {
  tests::ExpectOnlyWholeBytesAreRead(Of({{1, 2}, {2, 3}}));
  // The same rows in the other order.
  const std::string bytes = Of({{1, 2}, {2, 3}}).Serialize();
  const std::string swapped = bytes.substr(0, 9) + bytes.substr(25) + bytes.substr(9, 16);
  EXPECT_THAT(std::string(ClusteredMoments::Deserialize(swapped).status().message()),
              HasSubstr("not in order"));
}

TEST(ClusteredTest, KishsFiguresAreHisFormulas) {
  EXPECT_EQ(*KishDesignEffect(1, 0.7), 1);
  EXPECT_EQ(*KishDesignEffect(5, 0.25), 2);
  EXPECT_EQ(*KishDesignEffect(5, 1), 5);
  EXPECT_EQ(*KishDesignEffect(5, -0.25), 0);
  EXPECT_FALSE(KishDesignEffect(5, -0.3).ok());
  EXPECT_FALSE(KishDesignEffect(5, kNan).ok());
  EXPECT_DOUBLE_EQ(*KishDesignEffect(3, -0.25), 0.5);
  for (const double bad : {0.5, -1.0, kNan, std::numeric_limits<double>::infinity()}) {
    EXPECT_THAT(std::string(KishDesignEffect(bad, 0.1).status().message()), HasSubstr("size is "));
  }
  EXPECT_THAT(std::string(KishDesignEffect(0.5, 0).status().message()), HasSubstr("size is 0.5"));
  EXPECT_THAT(std::string(KishDesignEffect(3, 1.5).status().message()),
              HasSubstr("correlation is 1.5"));
  EXPECT_THAT(std::string(KishDesignEffect(3, -0.6).status().message()),
              HasSubstr("correlation is -0.6: must be from -1/(size - 1)"));
  EXPECT_EQ(*KishEffectiveSize(std::vector<double>{2, 2, 2}), 3);
  EXPECT_EQ(*KishEffectiveSize(std::vector<double>{1e300, 0, 0}), 1);
  EXPECT_NEAR(*KishEffectiveSize(std::vector<double>{1, 2, 3}), 36.0 / 14, 1e-14);
  EXPECT_FALSE(KishEffectiveSize({}).ok());
  EXPECT_FALSE(KishEffectiveSize(std::vector<double>{0, 0}).ok());
  EXPECT_THAT(std::string(KishEffectiveSize(std::vector<double>{1, -1}).status().message()),
              HasSubstr("weights[1] is -1"));
}

}  // namespace
}  // namespace mirage::metrics
