#include "metrics/registry/guarantees.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/registry/registry.h"

namespace mirage::metrics {
namespace {

TEST(GuaranteesTest, EveryMetricHasThem) {
  for (const MetricInfo& info : AllMetrics()) {
    const Guarantees guarantees = GuaranteesOf(info);
    EXPECT_FALSE(guarantees.edge_cases.empty()) << info.name;
    EXPECT_FALSE(guarantees.complexity.empty()) << info.name;
    EXPECT_THAT(std::string(guarantees.header), testing::StartsWith("metrics/")) << info.name;
    EXPECT_FALSE(AggregationName(info.aggregation).empty()) << info.name;
  }
}

TEST(GuaranteesTest, WhatAMetricSaysStandsBeforeItsEvidence) {
  EXPECT_EQ(GuaranteesOf(*MetricsNamed("bleu")[0]).header, "metrics/kernels/bleu.h");
  EXPECT_EQ(GuaranteesOf(*MetricsNamed("rank")[0]).header, "metrics/kernels/choices.h");
  EXPECT_THAT(std::string(GuaranteesOf(*MetricsNamed("pass_at_k")[0]).edge_cases),
              testing::HasSubstr("k > n"));
}

}  // namespace
}  // namespace mirage::metrics
