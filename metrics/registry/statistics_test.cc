#include "metrics/registry/statistics.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/registry/registry.h"
#include "metrics/stats/interval_choice.h"

namespace mirage::metrics {
namespace {

TEST(StatisticsTest, EveryRowIsCompleteAndItsNameIsItsOwn) {
  std::set<std::string_view> names;
  for (const StatisticInfo& info : AllStatistics()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(FindStatistic(info.name), &info);
    for (const std::string_view field : {info.kind, info.summary, info.definition, info.valid,
                                         info.edge_cases, info.complexity, info.source}) {
      EXPECT_FALSE(field.empty()) << info.name;
    }
    EXPECT_THAT(std::string(info.header), testing::StartsWith("metrics/")) << info.name;
    EXPECT_THAT(std::string(info.header), testing::EndsWith(".h")) << info.name;
    // One name, one page.
    EXPECT_TRUE(MetricsNamed(info.name).empty()) << info.name;
  }
  EXPECT_EQ(FindStatistic("wald"), nullptr);
}

TEST(StatisticsTest, ThoseOfOneKindStandTogether) {
  std::set<std::string_view> seen;
  std::string_view last;
  for (const StatisticInfo& info : AllStatistics()) {
    if (info.kind != last) {
      EXPECT_TRUE(seen.insert(info.kind).second) << info.name;
    }
    last = info.kind;
  }
}

TEST(StatisticsTest, EveryIntervalThatCanBeNamedHasAPage) {
  for (const IntervalMethodInfo& info : IntervalMethods()) {
    ASSERT_NE(FindStatistic(info.name), nullptr) << info.name;
    EXPECT_EQ(FindStatistic(info.name)->kind, "interval");
  }
}

}  // namespace
}  // namespace mirage::metrics
