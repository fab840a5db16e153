#include "metrics/emergence/meta_analysis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "metrics/emergence/curve.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

struct StratifiedCase {
  std::vector<TwoByTwo> tables;
  double odds_ratio, lower, upper, p_value;
};

#include "metrics/emergence/meta_analysis_vectors.inc"

TEST(MantelHaenszelTest, IsWhatStatsmodelsGives) {
  for (const StratifiedCase& one : StratifiedCases()) {
    const auto result = MantelHaenszel(one.tables, 0.95);
    ASSERT_TRUE(result.ok());
    EXPECT_NEAR(*result->odds_ratio, one.odds_ratio, 1e-12 * one.odds_ratio);
    EXPECT_NEAR(result->interval->lower, one.lower, 1e-12 * one.lower);
    EXPECT_NEAR(result->interval->upper, one.upper, 1e-12 * one.upper);
    EXPECT_NEAR(*result->p_value, one.p_value, 1e-11 * one.p_value);
  }
}

TEST(MantelHaenszelTest, Edges) {
  const std::vector<TwoByTwo> infinite = {{2, 3, 0, 5}, {0, 4, 0, 0}};
  auto result = MantelHaenszel(infinite, 0.95);
  EXPECT_EQ(*result->odds_ratio, std::numeric_limits<double>::infinity());
  EXPECT_FALSE(result->interval);
  EXPECT_TRUE(result->p_value);
  EXPECT_EQ(result->n_strata, 1);
  const std::vector<TwoByTwo> none = {{0, 3, 0, 5}};
  result = MantelHaenszel(none, 0.95);
  EXPECT_FALSE(result->odds_ratio);
  EXPECT_FALSE(result->p_value);
  const std::vector<TwoByTwo> zero = {{0, 3, 1, 5}};
  EXPECT_EQ(*MantelHaenszel(zero, 0.95)->odds_ratio, 0);
  EXPECT_FALSE(MantelHaenszel({}, 0.95)->odds_ratio);
  EXPECT_FALSE(MantelHaenszel(zero, 1).ok());
}

CurveMetric Sharp() { return {.sharp = true, .proportion = true}; }
CurveMetric Continuous() {
  return {.higher_is_better = false,
          .upper_bound = std::numeric_limits<double>::infinity(),
          .continuous = true};
}

// Eight sizes whose NLL per token falls as N^-0.5.
MetaSeries ToyOf(const std::string& metric, int task, uint64_t seed) {
  MetaSeries series = {.family = "f",
                       .task = "t" + std::to_string(task),
                       .filter = "none",
                       .metric = metric,
                       .properties = metric == "nll" ? Continuous() : Sharp(),
                       .points = {}};
  CounterRng rng(seed, static_cast<uint64_t>(task));
  for (int i = 0; i < 8; ++i) {
    const double nll = 1.6 * std::pow(3.0, -0.5 * (i - 2)) * (1 + 0.02 * (rng.Uniform() - 0.5));
    CurvePoint point = {.scale = 1e8 * std::pow(3.0, i)};
    if (metric == "nll") {
      point.value = nll;
      point.standard_error = 0.01 * nll;
    } else {
      point.value = std::round(1000 * std::exp(-8 * nll)) / 1000;
      point.binomial_n = 1000;
    }
    series.points.push_back(point);
  }
  return series;
}

absl::StatusOr<MetaResult> Analyze(std::vector<MetaSeries> series, const MetaOptions& options) {
  auto analysis = MetaAnalyzer::Create(std::move(series), options);
  if (!analysis.ok()) return analysis.status();
  while (analysis->n_done() < analysis->n_series()) {
    if (absl::Status status = analysis->Step(7); !status.ok()) return status;
  }
  return analysis->Finish();
}

TEST(MetaAnalysisTest, SharpMetricsOfASmoothLawAreTheEmergentOnes) {
  std::vector<MetaSeries> series;
  for (int task = 0; task < 12; ++task) {
    series.push_back(ToyOf("em", task, 3));
    series.push_back(ToyOf("nll", task, 3));
  }
  const auto result = Analyze(series, {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->n_evaluated, 24);
  EXPECT_EQ(result->n_emergent, 12);
  ASSERT_EQ(result->metrics.size(), 2);
  EXPECT_EQ(result->metrics[0].metric, "em");
  EXPECT_EQ(*result->metrics[0].share, 1);
  EXPECT_NEAR(result->metrics[0].interval->lower, std::pow(0.025, 1.0 / 12), 1e-12);
  EXPECT_EQ(*result->metrics[1].share, 0);
  EXPECT_EQ(result->groups.first_yes, 12);
  EXPECT_EQ(result->groups.second_no, 12);
  EXPECT_EQ(*result->odds_ratio.odds_ratio, std::numeric_limits<double>::infinity());
  EXPECT_EQ(result->odds_ratio.n_strata, 12);
  // 12 strata of one emergent sharp and one other: chi-squared (12 / 2)^2 / (12 / 4) = 12.
  EXPECT_NEAR(*result->odds_ratio.p_value, 0.000532006, 1e-9);
  EXPECT_THAT(result->criterion, HasSubstr("q <= 0.05"));
}

// Curves of coin tosses around a straight line: 400 tests, of which none may be more than a rare
// accident. With a false discovery rate of 0.05 any discovery at all has a probability of 5 %; more
// than 3 of less than 1e-4.
TEST(MetaAnalysisTest, StraightLinesAreNotEmergent) {
  std::vector<MetaSeries> series;
  CounterRng rng(5, 1);
  for (int task = 0; task < 400; ++task) {
    MetaSeries one = ToyOf("em", task, 1);
    for (size_t i = 0; i < one.points.size(); ++i) {
      one.points[i].value =
          DrawValue(0.1 + 0.1 * static_cast<double>(i), one.points[i], Scatter(), rng);
    }
    series.push_back(std::move(one));
  }
  const auto result = Analyze(series, {});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->n_evaluated, 400);
  EXPECT_LE(result->n_emergent, 3);
}

TEST(MetaAnalysisTest, AnyNumberOfThreadsGivesTheSameBits) {
  std::vector<MetaSeries> series;
  series.reserve(40);
  for (int task = 0; task < 40; ++task) series.push_back(ToyOf("em", task, 9));
  const auto one = Analyze(series, {.seed = 4, .threads = 1});
  const auto many = Analyze(series, {.seed = 4, .threads = 7});
  const auto other = Analyze(series, {.seed = 5, .threads = 7});
  bool differs = false;
  for (size_t i = 0; i < series.size(); ++i) {
    EXPECT_EQ(*one->triplets[i].null_p, *many->triplets[i].null_p);
    EXPECT_EQ(*one->triplets[i].q_value, *many->triplets[i].q_value);
    differs |= *one->triplets[i].null_p != *other->triplets[i].null_p;
  }
  EXPECT_TRUE(differs);
}

TEST(MetaAnalysisTest, WhatCannotBeEvaluatedSaysWhy) {
  MetaSeries three = ToyOf("em", 0, 1);
  three.points.erase(three.points.begin(), three.points.begin() + 5);
  MetaSeries flat = ToyOf("em", 1, 1);
  for (CurvePoint& point : flat.points) point.value = 0;
  MetaSeries empty = ToyOf("em", 2, 1);
  empty.points.clear();
  const auto result = Analyze({three, flat, empty}, {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->triplets[0].not_evaluated, "3 scales: at least 4 are needed");
  EXPECT_TRUE(result->triplets[0].score);
  EXPECT_FALSE(result->triplets[0].null_p);
  EXPECT_EQ(*result->triplets[1].null_p, 1);
  EXPECT_FALSE(result->triplets[1].score);
  EXPECT_TRUE(result->triplets[1].zero_median);
  EXPECT_EQ(result->n_evaluated, 1);
  EXPECT_EQ(result->metrics[0].n_evaluated, 1);
}

TEST(MetaAnalysisTest, ReplicatesAreAveraged) {
  MetaSeries twice = ToyOf("em", 0, 1);
  const MetaSeries once = twice;
  for (const CurvePoint& point : once.points) twice.points.push_back(point);
  const auto result = Analyze({once, twice}, {});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->triplets[1].n_scales, 8);
  EXPECT_NEAR(*result->triplets[0].score, *result->triplets[1].score, 1e-9);
}

TEST(MetaAnalysisTest, BadInputIsNamed) {
  MetaSeries bad = ToyOf("em", 0, 1);
  bad.points[2].scale = -1;
  const auto point = Analyze({ToyOf("em", 1, 1), bad}, {});
  EXPECT_THAT(std::string(point.status().message()), HasSubstr("series[1].points[2].scale is -1"));
  EXPECT_FALSE(Analyze({}, {.fdr = 0}).ok());
  EXPECT_FALSE(Analyze({}, {.level = 1}).ok());
  EXPECT_FALSE(Analyze({}, {.replicates = 1}).ok());
  EXPECT_FALSE(Analyze({}, {.scatter = -1}).ok());
  EXPECT_TRUE(Analyze({}, {}).ok());
  auto unfinished = MetaAnalyzer::Create({ToyOf("em", 1, 1)}, {});
  EXPECT_EQ(unfinished->Finish().status().code(), absl::StatusCode::kFailedPrecondition);
}

// The stricter correction finds nothing that the other does not.
TEST(MetaAnalysisTest, AnyDependenceIsStricter) {
  std::vector<MetaSeries> series;
  series.reserve(20);
  for (int task = 0; task < 20; ++task) series.push_back(ToyOf("em", task, 2));
  const auto bh = Analyze(series, {});
  const auto by = Analyze(series, {.any_dependence = true});
  for (size_t i = 0; i < series.size(); ++i) {
    EXPECT_GT(*by->triplets[i].q_value, *bh->triplets[i].q_value);
  }
}

}  // namespace
}  // namespace mirage::metrics
