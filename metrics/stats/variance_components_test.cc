#include "metrics/stats/variance_components.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/random.h"
#include "tests/support/sharding.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

using Row = std::pair<uint64_t, double>;

struct ComponentsCase {
  std::vector<Row> rows;
  double mean, standard_error, within, between, error_with_10, within_reml, between_reml;
};

#include "metrics/stats/variance_components_vectors.inc"

VarianceComponents Of(const std::vector<std::vector<double>>& items) {
  VarianceComponents components;
  for (const auto& answers : items) EXPECT_TRUE(components.AddItem(answers).ok());
  return components;
}

void ExpectClose(std::optional<double> actual, double expected, double relative = 1e-10) {
  ASSERT_TRUE(actual.has_value());
  EXPECT_NEAR(*actual, expected, relative * std::abs(expected));
}

TEST(VarianceComponentsTest, AgreesWithNumpyAndStatsmodels) {
  for (const ComponentsCase& c : kComponentsCases) {
    SCOPED_TRACE(c.mean);
    std::map<uint64_t, std::vector<double>> items;
    for (const auto& [item, x] : c.rows) items[item].push_back(x);
    VarianceComponents components;
    for (const auto& [item, answers] : items) ASSERT_TRUE(components.AddItem(answers).ok());
    EXPECT_EQ(components.n_items(), items.size());
    EXPECT_EQ(components.n_answers(), c.rows.size());
    ExpectClose(components.mean(), c.mean);
    ExpectClose(components.standard_error(), c.standard_error);
    ExpectClose(components.within(), c.within);
    ExpectClose(components.between(), c.between);
    ExpectClose(components.StandardErrorWith(10), c.error_with_10);
    if (std::isnan(c.within_reml)) continue;
    ExpectClose(components.within(), c.within_reml, 1e-6);
    ExpectClose(components.between(), c.between_reml, 1e-6);
  }
}

TEST(VarianceComponentsTest, AnyShardingOfTheItemsGivesTheSameBytes) {
  CounterRng rng(4, 0);
  std::vector<std::vector<double>> items(30);
  for (auto& answers : items) {
    answers.resize(1 + rng.Below32(4));
    for (double& x : answers) x = 1e9 + rng.Uniform();
  }
  tests::ExpectAnyShardingGivesTheSameBytes<VarianceComponents>(
      items.size(), [&](VarianceComponents& components, size_t i) {
        EXPECT_TRUE(components.AddItem(items[i]).ok());
      });
}

TEST(VarianceComponentsTest, WhatCannotBeSaidIsAbsent) {
  const VarianceComponents empty;
  EXPECT_FALSE(empty.mean().has_value());
  EXPECT_FALSE(empty.within().has_value());
  EXPECT_FALSE(empty.between().has_value());
  const VarianceComponents single = Of({{1}, {2}, {4}});
  EXPECT_FALSE(single.within().has_value());
  EXPECT_FALSE(single.StandardErrorWith(3).has_value());
  const VarianceComponents one = Of({{1, 2, 3}});
  ExpectClose(one.within(), 1);
  EXPECT_FALSE(one.between().has_value());
  EXPECT_FALSE(one.standard_error().has_value());
  const VarianceComponents two = Of({{1, 3}, {5, 5}});
  ExpectClose(two.within(), 1);
  ExpectClose(two.between(), 4);
  EXPECT_FALSE(two.StandardErrorWith(0).has_value());
  ExpectClose(Of({{2, 2}, {2, 2}}).mean(), 2);
  EXPECT_EQ(Of({{2, 2}, {2, 2}}).between(), 0);
}

TEST(VarianceComponentsTest, AnAnswerThatIsNotFiniteAddsNothing) {
  VarianceComponents components = Of({{1, 2}});
  const std::string before = components.Serialize();
  const absl::Status bad = components.AddItem(std::vector<double>{1, kNan});
  EXPECT_EQ(bad.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(bad.message()), HasSubstr("answers[1] is nan"));
  EXPECT_THAT(std::string(components.AddItem({}).message()), HasSubstr("answers is empty"));
  EXPECT_EQ(components.Serialize(), before);
}

TEST(VarianceComponentsTest, BytesOfAnythingElseAreRefused) {
  tests::ExpectOnlyWholeBytesAreRead(Of({{1, 2}, {4}}));
  std::string wrong = Of({{1, 2}, {4}}).Serialize();
  wrong[1] = 7;  // The number of answers.
  EXPECT_THAT(std::string(VarianceComponents::Deserialize(wrong).status().message()),
              HasSubstr("contradict"));
}

}  // namespace
}  // namespace mirage::metrics
