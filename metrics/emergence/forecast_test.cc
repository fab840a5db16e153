#include "metrics/emergence/forecast.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "metrics/emergence/law_quantity.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

struct ForecastCase {
  std::string name;
  std::vector<double> scales;
  std::vector<double> values;
  std::vector<double> items;
  std::vector<double> errors;
  std::vector<std::vector<double>> targets;
  double goal = 0;
  double reached = 0;
  double place = 0;
};

#include "metrics/emergence/forecast_vectors.inc"

std::optional<double> Known(double value) {
  return value < 0 ? std::nullopt : std::optional<double>(value);
}

SharpForecast Make(const std::vector<ForecastModel>& models, const CurveMetric& metric = {},
                   double level = 0.9) {
  auto forecast = SharpForecast::Create(models, metric, {.level = level});
  EXPECT_TRUE(forecast.ok()) << forecast.status();
  return *forecast;
}

ForecastValue At(const SharpForecast& forecast, double scale, std::optional<double> n) {
  const auto value = forecast.At(scale, n);
  EXPECT_TRUE(value.ok()) << value.status();
  return *value;
}

std::vector<ForecastModel> Curve(const std::vector<double>& values, std::optional<double> n) {
  std::vector<ForecastModel> models;
  double scale = 1e8;
  for (const double value : values) {
    models.push_back({scale, value, n, std::nullopt});
    scale *= 3;
  }
  return models;
}

std::vector<ForecastModel> Sudden() { return Curve({0, 0, 0.01, 0.08, 0.25, 0.5}, 1000); }

double Expit(double z) { return 1 / (1 + std::exp(-z)); }

TEST(ForecastTest, AgreesWithTheSlowWay) {
  // Candidates of little weight, below 1e-6 each, are left out here and not there.
  constexpr double kTolerance = 2e-4;
  ASSERT_EQ(kCases.size(), 5U);
  for (const ForecastCase& one : kCases) {
    SCOPED_TRACE(one.name);
    std::vector<ForecastModel> models;
    for (size_t i = 0; i < one.scales.size(); ++i) {
      models.push_back({one.scales[i], one.values[i], Known(one.items[i]), Known(one.errors[i])});
    }
    const SharpForecast forecast = Make(models);
    for (const std::vector<double>& target : one.targets) {
      const ForecastValue found = At(forecast, target[0], Known(target[1]));
      EXPECT_EQ(found.scale, target[0]);
      EXPECT_NEAR(found.value, target[2], kTolerance);
      EXPECT_NEAR(found.lower, target[3], kTolerance);
      EXPECT_NEAR(found.upper, target[4], kTolerance);
    }
    const auto place = forecast.Reach(one.goal);
    ASSERT_TRUE(place.ok());
    EXPECT_NEAR(place->reached, one.reached, kTolerance);
    ASSERT_EQ(place->scale.has_value(), one.place > 0);
    if (place->scale) {
      EXPECT_NEAR(std::log(*place->scale / one.place), 0, 5e-3);
    }
  }
}

TEST(ForecastTest, TheOrderOfTheModelsDoesNotMatter) {
  std::vector<ForecastModel> models = Sudden();
  models.push_back({models[2].scale, 0.02, 1000, std::nullopt});
  const ForecastValue a = At(Make(models), 1e12, 500);
  std::reverse(models.begin(), models.end());
  const ForecastValue b = At(Make(models), 1e12, 500);
  EXPECT_EQ(a.value, b.value);
  EXPECT_EQ(a.lower, b.lower);
  EXPECT_EQ(a.upper, b.upper);
}

TEST(ForecastTest, UnitsAndDirectionAreTheMetricsOwn) {
  const std::vector<ForecastModel> models = Sudden();
  const ForecastValue share = At(Make(models), 3e11, 500);
  std::vector<ForecastModel> points = models;
  for (ForecastModel& one : points) one.value *= 100;
  CurveMetric percent;
  percent.upper_bound = 100;
  const ForecastValue hundred = At(Make(points, percent), 3e11, 500);
  EXPECT_NEAR(hundred.value, 100 * share.value, 1e-9);
  EXPECT_NEAR(hundred.lower, 100 * share.lower, 1e-9);
  EXPECT_NEAR(hundred.upper, 100 * share.upper, 1e-9);

  std::vector<ForecastModel> errors = models;
  for (ForecastModel& one : errors) one.value = 1 - one.value;
  CurveMetric error_rate;
  error_rate.higher_is_better = false;
  const SharpForecast falling = Make(errors, error_rate);
  const ForecastValue error = At(falling, 3e11, 500);
  EXPECT_NEAR(error.value, 1 - share.value, 1e-12);
  EXPECT_NEAR(error.lower, 1 - share.upper, 1e-12);
  EXPECT_NEAR(error.upper, 1 - share.lower, 1e-12);
  const auto rising = Make(models).Reach(0.8);
  const auto place = falling.Reach(1 - 0.8);
  ASSERT_TRUE(rising.ok() && place.ok() && rising->scale && place->scale);
  EXPECT_NEAR(*place->scale / *rising->scale, 1, 1e-9);
}

TEST(ForecastTest, AStandardErrorCountsAsItsItems) {
  std::vector<ForecastModel> counted = Curve({0.3, 0.35, 0.42, 0.5}, 400);
  std::vector<ForecastModel> measured = counted;
  for (ForecastModel& one : measured) {
    one.standard_error = std::sqrt(one.value * (1 - one.value) / 400);
    one.n.reset();
  }
  const ForecastValue a = At(Make(counted), 1e11, 400);
  const ForecastValue b = At(Make(measured), 1e11, 400);
  EXPECT_NEAR(a.value, b.value, 1e-9);
  EXPECT_NEAR(a.upper, b.upper, 1e-9);
  // Clustered items: the error is more than n says.
  for (ForecastModel& one : measured) one.n = 100'000;
  EXPECT_NEAR(At(Make(measured), 1e11, 400).lower, b.lower, 1e-9);
}

TEST(ForecastTest, WithoutNItIsAsManyItemsAsTheModelsHave) {
  const SharpForecast forecast = Make(Sudden());
  EXPECT_EQ(At(forecast, 1e12, std::nullopt).lower, At(forecast, 1e12, 1000).lower);
  EXPECT_LT(At(forecast, 1e12, 10).lower, At(forecast, 1e12, 1000).lower);
}

TEST(ForecastTest, IntervalsAreNeverNarrowerThanTheItemsMakeThem) {
  for (const double p : {0.02, 0.25, 0.9}) {
    const SharpForecast forecast = Make(Curve(std::vector<double>(10, p), 1e6));
    for (const double n : {20.0, 400.0}) {
      const ForecastValue value = At(forecast, 1e13, n);
      const double q = (value.value * n + 0.5) / (n + 1);
      const double half = 1.6448536 * std::sqrt(q * (1 - q) / n);
      EXPECT_LE(value.lower, std::max(0.0, value.value - half) + 1e-9);
      EXPECT_GE(value.upper, std::min(1.0, value.value + half) - 1e-9);
    }
  }
}

TEST(ForecastTest, WhatHasNeverBeenSeenMayStillBeZero) {
  const ForecastValue value = At(Make(Curve({0, 0, 0, 0, 0}, 250)), 1e11, 250);
  EXPECT_EQ(value.lower, 0);
  EXPECT_LT(value.value, 0.01);
  EXPECT_GT(value.upper, 0);
  EXPECT_LT(value.upper, 0.1);
}

TEST(ForecastTest, FollowsALineAndDistrustsIt) {
  // 0.04 a step of ln 3, all the way.
  const SharpForecast forecast = Make(Curve({0.3, 0.34, 0.38, 0.42, 0.46, 0.5, 0.54}, 100'000));
  const double last = 1e8 * std::pow(3, 6);
  const ForecastValue next = At(forecast, 3 * last, 100'000);
  EXPECT_NEAR(next.value, 0.58, 0.01);
  const ForecastValue far = At(forecast, 81 * last, 100'000);
  EXPECT_GT(far.value, next.value);
  EXPECT_GT(far.upper - far.lower, 2 * (next.upper - next.lower));
}

TEST(ForecastTest, ALowerLevelIsANarrowerInterval) {
  const ForecastValue narrow = At(Make(Sudden(), {}, 0.5), 1e12, 500);
  const ForecastValue wide = At(Make(Sudden(), {}, 0.99), 1e12, 500);
  EXPECT_EQ(narrow.value, wide.value);
  EXPECT_GT(narrow.lower, wide.lower);
  EXPECT_LT(narrow.upper, wide.upper);
}

// Curves of the family that forecasts think in, all but the sudden rises: on the logit, with a
// slope that forgets, models that scatter, and items of their own. 1200 forecasts: at 90 % the
// standard error of the share is 0.9 %, so that bounds of 4 of them are passed by chance once in
// 16 000, and an interval of 84 % fails half of the time.
TEST(ForecastTest, IntervalsHoldWhatTheySay) {
  constexpr int kCurves = 1200;
  constexpr int kModels = 7;
  constexpr int kFine = 20;
  constexpr int kItems = 400;
  int inside = 0;
  for (int i = 0; i < kCurves; ++i) {
    CounterRng rng(17, static_cast<uint64_t>(i));
    const auto normal = [&] {
      return std::sqrt(-2 * std::log(1 - rng.Uniform())) *
             std::cos(2 * 3.14159265358979323846 * rng.Uniform());
    };
    const double slope_sd = i % 2 == 0 ? 0.2 : 0.6;
    const double length = 3;
    const double scatter = 0.07;
    double z = -0.5 + normal();
    double slope = slope_sd * normal();
    const double step = 1.0 / kFine;
    const double kept = std::exp(-step / length);
    std::vector<ForecastModel> models;
    for (int m = 0; m < kModels; ++m) {
      const double p = Expit(z + scatter * normal());
      int right = 0;
      for (int k = 0; k < kItems; ++k) right += rng.Uniform() < p ? 1 : 0;
      models.push_back({std::exp(18.0 + m), right / double{kItems}, kItems, std::nullopt});
      for (int k = 0; k < kFine; ++k) {
        z += slope * step;
        slope = kept * slope + slope_sd * std::sqrt(1 - kept * kept) * normal();
      }
    }
    const ForecastModel held_out = models.back();
    models.pop_back();
    const ForecastValue value = At(Make(models), held_out.scale, kItems);
    inside += value.lower <= held_out.value && held_out.value <= value.upper ? 1 : 0;
  }
  EXPECT_GT(inside, 0.864 * kCurves);
  EXPECT_LT(inside, 0.97 * kCurves);
}

TEST(ForecastTest, AScaleMayBeFarAwayOrNowhere) {
  const SharpForecast rising = Make(Sudden());
  const double largest = Sudden().back().scale;
  const auto next = rising.Reach(0.7);
  ASSERT_TRUE(next.ok());
  ASSERT_TRUE(next->lower && next->scale);
  EXPECT_LT(next->reached, 0.5);
  EXPECT_LE(*next->lower, *next->scale);
  EXPECT_GT(*next->scale, largest);
  EXPECT_LT(*next->scale, 30 * largest);
  if (next->upper) {
    EXPECT_GE(*next->upper, *next->scale);
  }

  const auto passed = rising.Reach(0.2);
  ASSERT_TRUE(passed.ok());
  EXPECT_GT(passed->reached, 0.99);
  EXPECT_EQ(passed->lower, largest);
  EXPECT_EQ(passed->scale, largest);
  EXPECT_EQ(passed->upper, largest);

  const auto never = Make(Curve(std::vector<double>(8, 0.25), 10'000)).Reach(0.9);
  ASSERT_TRUE(never.ok());
  EXPECT_LT(never->reached, 1e-3);
  EXPECT_FALSE(never->scale);
  EXPECT_FALSE(never->upper);
}

TEST(ForecastTest, OfManyModelsTheLargestCount) {
  std::vector<ForecastModel> many;
  many.reserve(60);
  for (int i = 0; i < 60; ++i) {
    many.push_back({1e6 * std::pow(1.3, i), 0.2 + 0.01 * (i % 5), 300, std::nullopt});
  }
  const std::vector<ForecastModel> largest(many.end() - kForecastMaxModels, many.end());
  EXPECT_EQ(At(Make(many), 1e14, 300).upper, At(Make(largest), 1e14, 300).upper);
}

TEST(ForecastTest, DescribesItsCandidates) {
  const SharpForecast forecast = Make(Sudden());
  EXPECT_GT(forecast.logit_weight(), 0);
  EXPECT_LE(forecast.logit_weight(), 1);
  EXPECT_GE(forecast.persistence(), 0.35);
  EXPECT_LE(forecast.persistence(), 100);
}

TEST(ForecastTest, BadInputIsNamed) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const auto message = [](std::vector<ForecastModel> models, const CurveMetric& metric = {},
                          double level = 0.9) {
    const auto status = SharpForecast::Create(models, metric, {.level = level}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  for (const double scale : {0.0, -1.0, kNan, kInf}) {
    std::vector<ForecastModel> models = Sudden();
    models[3].scale = scale;
    EXPECT_TRUE(message(models).starts_with("models[3].scale is "));
  }
  for (const double value : {-0.1, 1.1, kNan}) {
    std::vector<ForecastModel> models = Sudden();
    models[1].value = value;
    EXPECT_TRUE(message(models).starts_with("models[1].value is "));
  }
  for (const double n : {0.5, kNan, kInf}) {
    std::vector<ForecastModel> models = Sudden();
    models[0].n = n;
    EXPECT_TRUE(message(models).starts_with("models[0].n is "));
  }
  for (const double error : {-0.1, kNan, kInf}) {
    std::vector<ForecastModel> models = Sudden();
    models[0].standard_error = error;
    EXPECT_TRUE(message(models).starts_with("models[0].standard_error is "));
  }
  for (const double level : {0.0, 1.0, kNan}) {
    EXPECT_TRUE(message(Sudden(), {}, level).starts_with("options.level is "));
  }
  CurveMetric margin;
  margin.lower_bound = -kInf;
  margin.upper_bound = kInf;
  EXPECT_TRUE(message(Sudden(), margin).starts_with("metric has bounds "));
  margin.lower_bound = margin.upper_bound = 1;
  EXPECT_TRUE(message(Sudden(), margin).starts_with("metric has bounds "));

  std::vector<ForecastModel> few = Curve({0.1, 0.2, 0.3}, 100);
  few.push_back(few.back());
  const auto status = SharpForecast::Create(few, {}, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(SharpForecast::Create({}, {}, {}).status().code(),
            absl::StatusCode::kFailedPrecondition);

  const SharpForecast forecast = Make(Sudden());
  for (const double scale : {0.0, 1e8, Sudden().back().scale, kNan, kInf}) {
    EXPECT_EQ(forecast.At(scale, 10).status().code(), absl::StatusCode::kInvalidArgument);
  }
  for (const double n : {0.0, kNan, kInf}) {
    EXPECT_EQ(forecast.At(1e13, n).status().code(), absl::StatusCode::kInvalidArgument);
  }
  for (const double value : {0.0, 1.0, -1.0, kNan}) {
    EXPECT_EQ(forecast.Reach(value).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace mirage::metrics
