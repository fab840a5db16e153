#include "metrics/stats/poisson_bootstrap.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/bootstrap.h"
#include "metrics/stats/random.h"
#include "tests/support/sharding.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

double First(std::span<const double> means) { return means[0]; }

std::vector<double> Exponentials(size_t n) {
  CounterRng rng(3, 0);
  std::vector<double> xs(n);
  for (double& x : xs) x = -std::log1p(-rng.Uniform());
  return xs;
}

PoissonBootstrap Of(const std::vector<double>& xs) {
  PoissonBootstrap bootstrap(1, 7);
  for (size_t i = 0; i < xs.size(); ++i) {
    EXPECT_TRUE(bootstrap.Add(i, std::span(&xs[i], 1)).ok());
  }
  return bootstrap;
}

// The numbers of times that 400 samples come in 1000 replicates: their frequencies against
// Poisson(1), within 4.5 standard errors of 400 000 draws. A threshold that is off by 0.5 % is
// found.
TEST(PoissonBootstrapTest, SamplesComeAsPoissonSays) {
  std::array<int, 8> seen{};
  for (uint64_t key = 0; key < 400; ++key) {
    PoissonBootstrap bootstrap(1, 5);
    const double one = 1;
    ASSERT_TRUE(bootstrap.Add(key, std::span(&one, 1)).ok());
    // Counts of the replicates are the first numbers behind seed and count.
    const std::string bytes = bootstrap.Serialize();
    for (size_t r = 0; r < PoissonBootstrap::kReplicates; ++r) {
      ++seen[std::min<size_t>(static_cast<unsigned char>(bytes[17 + 8 * r]), 7)];
    }
  }
  double p = std::exp(-1);
  for (int k = 0; k < 7; ++k) {
    EXPECT_NEAR(seen[k], 4e5 * p, 4.5 * std::sqrt(4e5 * p * (1 - p)) + 1) << k;
    p /= k + 1;
  }
}

// 1000 replicates know an error to 2.2 %, an end of the interval to about 6 % of it.
TEST(PoissonBootstrapTest, AgreesWithTheOrdinaryBootstrap) {
  const std::vector<double> xs = Exponentials(3000);
  const auto poisson = Of(xs).Result(First, 0.9);
  const auto ordinary = BootstrapOfMeans(xs, 1, First, {.replicates = 20'000, .level = 0.9});
  ASSERT_TRUE(poisson.ok() && ordinary.ok());
  EXPECT_NEAR(poisson->estimate, ordinary->estimate, 1e-14);
  EXPECT_NEAR(poisson->standard_error, ordinary->standard_error,
              4.5 * 0.023 * ordinary->standard_error);
  EXPECT_NEAR(poisson->interval.lower, ordinary->interval.lower, 0.3 * ordinary->standard_error);
  EXPECT_NEAR(poisson->interval.upper, ordinary->interval.upper, 0.3 * ordinary->standard_error);
}

// 1000 random shardings, values of both signs and many sizes: the estimate has the same bits, all
// else agrees to 1e-12 of it.
TEST(PoissonBootstrapTest, AnyShardingGivesTheSameResult) {
  CounterRng rng(4, 0);
  std::vector<std::array<double, 2>> rows(120);
  for (auto& row : rows) {
    row = {std::ldexp(rng.Uniform() - 0.3, static_cast<int>(rng.Below32(20))), 1 + rng.Uniform()};
  }
  const auto ratio = [](std::span<const double> m) { return m[0] / m[1]; };
  PoissonBootstrap whole(2, 9);
  for (size_t i = 0; i < rows.size(); ++i) ASSERT_TRUE(whole.Add(i * i, rows[i]).ok());
  const auto expected = whole.Result(ratio, 0.95);
  ASSERT_TRUE(expected.ok());
  std::vector<size_t> order(rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  for (int round = 0; round < 1000; ++round) {
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.Below(i)]);
    std::vector<PoissonBootstrap> shards(1 + rng.Below(5), PoissonBootstrap(2, 9));
    for (const size_t i : order) {
      ASSERT_TRUE(shards[rng.Below(shards.size())].Add(i * i, rows[i]).ok());
    }
    PoissonBootstrap merged(2, 9);
    for (const PoissonBootstrap& shard : shards) ASSERT_TRUE(merged.Merge(shard).ok());
    EXPECT_EQ(merged.count(), rows.size());
    const auto result = merged.Result(ratio, 0.95);
    ASSERT_TRUE(result.ok());
    ASSERT_EQ(result->estimate, expected->estimate);
    ASSERT_NEAR(result->interval.lower, expected->interval.lower,
                1e-12 * std::abs(expected->interval.lower));
    ASSERT_NEAR(result->interval.upper, expected->interval.upper,
                1e-12 * std::abs(expected->interval.upper));
    ASSERT_NEAR(result->standard_error, expected->standard_error, 1e-12 * expected->standard_error);
  }
}

TEST(PoissonBootstrapTest, SamplesOfOneKeyComeTogether) {
  // 50 clusters of 20 equal values: the error is that of 50 values.
  const std::vector<double> xs = Exponentials(50);
  PoissonBootstrap clusters(1, 7);
  for (size_t i = 0; i < xs.size(); ++i) {
    for (int copy = 0; copy < 20; ++copy) {
      ASSERT_TRUE(clusters.Add(i, std::span(&xs[i], 1)).ok());
    }
  }
  const auto clustered = clusters.Result(First, 0.9);
  const auto once = Of(xs).Result(First, 0.9);
  ASSERT_TRUE(clustered.ok() && once.ok());
  EXPECT_NEAR(clustered->standard_error, once->standard_error, 1e-12 * once->standard_error);
}

TEST(PoissonBootstrapTest, WhatCannotBeIsNamed) {
  PoissonBootstrap bootstrap(2, 7);
  const std::array<double, 2> row = {1, 2};
  EXPECT_THAT(std::string(bootstrap.Result(First, 0.9).status().message()),
              HasSubstr("no samples"));
  EXPECT_THAT(std::string(bootstrap.Add(1, std::span(row).first(1)).message()),
              HasSubstr("row has 1 values: must be 2"));
  const std::array<double, 2> bad = {1, std::numeric_limits<double>::infinity()};
  EXPECT_THAT(std::string(bootstrap.Add(1, bad).message()), HasSubstr("row[1] is inf"));
  EXPECT_EQ(bootstrap.count(), 0u);
  ASSERT_TRUE(bootstrap.Add(1, row).ok());
  EXPECT_THAT(std::string(bootstrap.Result(First, 0.9).status().message()),
              HasSubstr("1 are too few"));
  EXPECT_THAT(std::string(bootstrap.Result(First, 1).status().message()), HasSubstr("level is 1"));
  EXPECT_THAT(std::string(bootstrap.Merge(PoissonBootstrap(2, 8)).message()), HasSubstr("seed 8"));
  EXPECT_THAT(std::string(bootstrap.Merge(PoissonBootstrap(1, 7)).message()),
              HasSubstr("1 columns"));
}

TEST(PoissonBootstrapTest, BytesOfAnythingElseAreRefused) {
  const std::string bytes = Of({1, 0.3, -2}).Serialize();
  const auto read = PoissonBootstrap::Deserialize(bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->Serialize(), bytes);
  for (size_t size = 0; size < bytes.size(); size += 97) {
    EXPECT_FALSE(PoissonBootstrap::Deserialize(bytes.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(PoissonBootstrap::Deserialize(bytes + '\0').ok());
  std::string nan = bytes;
  // The highest bytes of the last number.
  nan[nan.size() - 1] = '\x7f';
  nan[nan.size() - 2] = '\xf8';
  EXPECT_THAT(std::string(PoissonBootstrap::Deserialize(nan).status().message()),
              HasSubstr("not finite or not normal"));
}

}  // namespace
}  // namespace mirage::metrics
