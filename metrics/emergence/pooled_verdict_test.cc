#include "metrics/emergence/pooled_verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

// NLL for each token of the paper's figure 2.
double PaperNll(double scale) { return std::pow(scale / 2e9, -0.5); }

CurveMetric ExactMatch() {
  CurveMetric metric;
  metric.sharp = true;
  metric.proportion = true;
  return metric;
}

CurveMetric Nll() {
  CurveMetric metric;
  metric.higher_is_better = false;
  metric.upper_bound = std::numeric_limits<double>::infinity();
  metric.continuous = true;
  metric.linear_in_token_error = true;
  return metric;
}

// Targets of `length` tokens over `scales`; `u` is the NLL of the target behind the metric.
VerdictSeries SeriesOf(double length, const std::vector<double>& scales,
                       const std::function<double(double scale)>& nll,
                       const std::function<double(double scale)>& u, std::optional<double> n) {
  VerdictSeries series;
  series.metric = ExactMatch();
  series.counterpart = Nll();
  series.composition = Composition::kAllTokens;
  series.target_length = length;
  for (const double scale : scales) {
    VerdictModel model;
    model.scale = scale;
    const double p = std::exp(-u(scale));
    model.value = n ? std::round(p * *n) / *n : p;
    model.n = n;
    model.counterpart = nll(scale);
    model.counterpart_n = n;
    if (n) model.counterpart_error = 0.7 * nll(scale) / std::sqrt(*n);
    series.models.push_back(model);
  }
  return series;
}

const std::vector<double>& FourScales() {
  static const std::vector<double> scales = {3.5e8, 1.3e9, 6.7e9, 2e11};
  return scales;
}

std::vector<VerdictSeries> Paper(std::optional<double> n) {
  std::vector<VerdictSeries> series;
  for (int length = 1; length <= 5; ++length) {
    series.push_back(SeriesOf(
        length, FourScales(), PaperNll, [=](double scale) { return length * PaperNll(scale); }, n));
  }
  return series;
}

PooledVerdict Judged(const std::vector<VerdictSeries>& series) {
  auto judged = JudgePooled(series, {});
  EXPECT_TRUE(judged.ok()) << judged.status();
  return judged.ok() ? *judged : PooledVerdict();
}

TEST(PooledVerdictTest, FourScalesOfThePapersModelAreAWeakMirage) {
  for (const std::optional<double> n : {std::optional<double>(), std::optional(1000.0)}) {
    const PooledVerdict pooled = Judged(Paper(n));
    EXPECT_EQ(pooled.result.verdict, Verdict::kMirage) << pooled.result.reasons.front().text;
    EXPECT_EQ(pooled.result.strength, Strength::kWeak);
    ASSERT_EQ(pooled.result.reasons.size(), 2u);
    EXPECT_EQ(pooled.result.reasons[0].code, "SMOOTH_LAW_PREDICTS");
    EXPECT_EQ(pooled.result.reasons[1].code, "BREAK_NOT_TESTABLE");
    EXPECT_EQ(pooled.result.n_scales, 4u);
    EXPECT_EQ(pooled.numbers.size(), 20u);
  }
}

TEST(PooledVerdictTest, TheOrderOfTheSeriesIsNothing) {
  std::vector<VerdictSeries> series = Paper(1000);
  const PooledVerdict first = Judged(series);
  std::reverse(series.begin(), series.end());
  const PooledVerdict second = Judged(series);
  EXPECT_EQ(first.result.verdict, second.result.verdict);
  EXPECT_EQ(first.result.reasons.front().text, second.result.reasons.front().text);
}

TEST(PooledVerdictTest, AModelOffTheCompositionInEveryLengthIsItsOwnEffect) {
  // Greedy answers: each model is better than independent tokens have it, at all lengths alike.
  std::vector<VerdictSeries> series;
  for (int length = 1; length <= 5; ++length) {
    series.push_back(SeriesOf(
        length, FourScales(), PaperNll,
        [=](double scale) { return 0.7 * length * PaperNll(scale); }, 1000));
  }
  EXPECT_EQ(Judged(series).result.verdict, Verdict::kMirage);
}

TEST(PooledVerdictTest, LengthsThatDoNotMatterAreNoComposition) {
  // The task is solved or not, as a whole: the curve of the longest target at every length.
  std::vector<VerdictSeries> series;
  for (int length = 1; length <= 5; ++length) {
    series.push_back(SeriesOf(
        length, FourScales(), PaperNll, [](double scale) { return 5 * PaperNll(scale); }, 2000));
  }
  const PooledVerdict pooled = Judged(series);
  EXPECT_EQ(pooled.result.verdict, Verdict::kInsufficient);
  EXPECT_EQ(pooled.result.strength, std::nullopt);
  EXPECT_EQ(pooled.result.reasons.front().code, "COMPOSITION_DISAGREES");
  EXPECT_THAT(pooled.result.reasons.front().text, HasSubstr("to the power of 0.0"));
}

TEST(PooledVerdictTest, WithOneLengthNothingIsTested) {
  // Two numbers of shots.
  std::vector<VerdictSeries> series;
  series.reserve(2);
  for (int shots = 0; shots < 2; ++shots) {
    series.push_back(SeriesOf(
        5, FourScales(), PaperNll, [](double scale) { return 5 * PaperNll(scale); }, 1000));
  }
  const PooledVerdict pooled = Judged(series);
  EXPECT_EQ(pooled.result.verdict, Verdict::kInsufficient);
  EXPECT_EQ(pooled.result.reasons.front().code, "LENGTHS_ALIKE");
}

TEST(PooledVerdictTest, OneLengthWithAWayOfItsOwn) {
  std::vector<VerdictSeries> series = Paper(2000);
  series[4] = SeriesOf(
      5, FourScales(), PaperNll, [](double scale) { return scale < 1e11 ? 30 : 0.1; }, 2000);
  const PooledVerdict pooled = Judged(series);
  EXPECT_EQ(pooled.result.verdict, Verdict::kInsufficient);
  EXPECT_EQ(pooled.result.reasons.front().code, "COMPOSITION_DISAGREES")
      << pooled.result.reasons.front().text;
}

TEST(PooledVerdictTest, ACounterpartThatWorsensIsMixed) {
  std::vector<VerdictSeries> series = Paper(1000);
  for (VerdictSeries& one : series) {
    one.models[3].counterpart = 2 * *one.models[2].counterpart;
  }
  const PooledVerdict pooled = Judged(series);
  EXPECT_EQ(pooled.result.verdict, Verdict::kMixed);
  EXPECT_EQ(pooled.result.reasons.front().code, "COUNTERPART_WORSENS");
}

TEST(PooledVerdictTest, NothingSudden) {
  std::vector<VerdictSeries> series;
  for (const int length : {1, 2}) {
    // Half of it is there at 40 % of the range.
    series.push_back(SeriesOf(
        length, FourScales(), [](double scale) { return 0.5 * std::pow(scale / 3e8, -0.2); },
        [=](double scale) { return length * 0.5 * std::pow(scale / 3e8, -0.2); }, 1000));
  }
  const PooledVerdict pooled = Judged(series);
  EXPECT_EQ(pooled.result.verdict, Verdict::kInsufficient);
  EXPECT_EQ(pooled.result.reasons.front().code, "NOTHING_SUDDEN");
}

TEST(PooledVerdictTest, MoreScalesTestTheBreak) {
  std::vector<double> scales;
  scales.reserve(9);
  for (int i = 0; i < 9; ++i) scales.push_back(1e8 * std::pow(2.5, i));
  // Flat, then steep.
  const auto broken = [&](double scale) {
    return 0.9 * std::pow(std::max(1.0, scale / 3e9), -1.5);
  };
  std::vector<VerdictSeries> series;
  for (int length = 2; length <= 5; ++length) {
    series.push_back(SeriesOf(
        length, scales, broken, [=](double scale) { return length * broken(scale); }, 1000));
  }
  const PooledVerdict pooled = Judged(series);
  EXPECT_EQ(pooled.result.verdict, Verdict::kBreakSurvives);
  EXPECT_EQ(pooled.result.reasons.front().code, "LAW_BREAKS");
}

TEST(PooledVerdictTest, WhatCannotBePooled) {
  const auto refused = [](const std::vector<VerdictSeries>& series, const std::string& message) {
    const auto judged = JudgePooled(series, {});
    EXPECT_TRUE(absl::IsFailedPrecondition(judged.status())) << judged.status();
    EXPECT_THAT(std::string(judged.status().message()), HasSubstr(message));
  };
  std::vector<VerdictSeries> series = Paper(1000);
  refused({series[0]}, "one series");
  series[1].target_length.reset();
  refused(series, "series[1] has no length");
  series = Paper(1000);
  series[2].counterpart.reset();
  refused(series, "series[2] has no");
  series = Paper(1000);
  for (VerdictSeries& one : series) one.models.pop_back();
  refused(series, "3 scales at which two series have a counterpart that a law can be fitted to");
  series = Paper(1000);
  series[3].models[0].value = std::numeric_limits<double>::infinity();
  const auto judged = JudgePooled(series, {});
  EXPECT_TRUE(absl::IsInvalidArgument(judged.status()));
  EXPECT_THAT(std::string(judged.status().message()), HasSubstr("series[3].models[0].value"));
}

}  // namespace
}  // namespace mirage::metrics
