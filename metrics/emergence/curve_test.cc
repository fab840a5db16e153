#include "metrics/emergence/curve.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

std::string Refusal(const std::vector<CurvePoint>& points) {
  const absl::Status status = CheckCurve(points);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}

TEST(CurveTest, GoodCurves) {
  EXPECT_TRUE(CheckCurve({}).ok());
  EXPECT_TRUE(CheckCurve(std::vector<CurvePoint>{{1, -3}}).ok());
  EXPECT_TRUE(CheckCurve(std::vector<CurvePoint>{{1, 0, 10}, {2, 1, 10}, {4, 7, 0, 0.0}}).ok());
}

TEST(CurveTest, RefusalsNameTheField) {
  for (const double scale : {0.0, -1.0, kNan, kInf}) {
    EXPECT_THAT(Refusal({{1, 0}, {scale, 0}}), HasSubstr("points[1].scale is "));
  }
  EXPECT_THAT(Refusal({{1, 0}, {2, 0}, {2, 0}}), HasSubstr("points[2].scale is 2 after 2"));
  EXPECT_THAT(Refusal({{1, 0}, {2, 0}, {1.5, 0}}), HasSubstr("must ascend"));
  for (const double value : {kNan, kInf, -kInf}) {
    EXPECT_THAT(Refusal({{1, value}}), HasSubstr("points[0].value is "));
  }
  EXPECT_THAT(Refusal({{1, 1.5, 10}}), HasSubstr("a share must be in [0, 1]"));
  EXPECT_THAT(Refusal({{1, 0.5, (uint64_t{1} << 53) + 1}}), HasSubstr("binomial_n"));
  for (const double error : {-1.0, kNan, kInf}) {
    EXPECT_THAT(Refusal({{1, 0, 0, error}}), HasSubstr("points[0].standard_error is "));
  }
}

TEST(CurveTest, RefusedScatter) {
  EXPECT_TRUE(CheckScatter({}).ok());
  EXPECT_TRUE(CheckScatter({.tau = 0.1, .kind = ScatterKind::kAdditive, .lower = 1}).ok());
  for (const double tau : {-0.1, kNan, kInf}) {
    EXPECT_THAT(std::string(CheckScatter({.tau = tau}).message()), HasSubstr("scatter.tau is "));
  }
  EXPECT_FALSE(CheckScatter({.lower = 1}).ok());
  EXPECT_FALSE(CheckScatter({.lower = kNan}).ok());
  EXPECT_FALSE(CheckScatter({.lower = -kInf}).ok());
}

TEST(CurveTest, Errors) {
  EXPECT_FALSE(HasError({1, 0.5}));
  EXPECT_TRUE(HasError({1, 0.5, 10}));
  EXPECT_TRUE(HasError({1, 0.5, 0, 0.0}));
  EXPECT_EQ(SamplingError({1, 0.5}), 0);
  EXPECT_EQ(SamplingError({1, 0.5, 0, 0.25}), 0.25);
  EXPECT_DOUBLE_EQ(SamplingError({1, 0.5, 100}), 0.05);
  // The count wins over a reported error of 0.
  EXPECT_DOUBLE_EQ(SamplingError({1, 0, 9, 0.0}), std::sqrt(0.05 * 0.95 / 9));
  EXPECT_DOUBLE_EQ(SamplingError({1, 1, 9, 0.0}), std::sqrt(0.05 * 0.95 / 9));
  EXPECT_DOUBLE_EQ(ScatterError(-3, {.tau = 0.1, .kind = ScatterKind::kAdditive}), 0.1);
  EXPECT_DOUBLE_EQ(ScatterError(-3, {.tau = 0.1, .kind = ScatterKind::kProportional}), 0.3);
  // Half way from chance: z = 1/2.
  EXPECT_DOUBLE_EQ(ScatterError(0.625, {.tau = 0.1, .lower = 0.25}),
                   0.1 * 0.75 * 0.5 * std::log(2.0));
  for (const double value : {-1.0, 0.0, 1.0, 2.0}) {
    EXPECT_EQ(ScatterError(value, {.tau = 0.1}), 0);
  }
  EXPECT_DOUBLE_EQ(TotalError({1, -3, 0, 0.4}, {.tau = 0.1, .kind = ScatterKind::kProportional}),
                   0.5);
}

struct Moments {
  double mean = 0;
  double sd = 0;
};

Moments Draw(double truth, const CurvePoint& point, const Scatter& scatter) {
  constexpr int kDraws = 100'000;
  CounterRng rng(7, 3);
  double sum = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = DrawValue(truth, point, scatter, rng);
    sum += value;
    squares += value * value;
  }
  const double mean = sum / kDraws;
  return {mean, std::sqrt(squares / kDraws - mean * mean)};
}

// 100 000 draws: a mean that is off by 2 % of a standard deviation fails, with a chance of 1e-9 to
// fail when right (6.3 standard errors); a standard deviation that is off by 2 % too.
TEST(CurveTest, DrawsHaveTheMomentsTheyShould) {
  const auto expect = [](const Moments& drawn, double mean, double sd) {
    EXPECT_NEAR(drawn.mean, mean, 0.02 * sd);
    EXPECT_NEAR(drawn.sd, sd, 0.02 * sd);
  };
  expect(Draw(0.3, {1, 0.9, 50}, {}), 0.3, std::sqrt(0.21 / 50));
  expect(Draw(-2, {1, 0, 0, 0.5}, {}), -2, 0.5);
  expect(Draw(-2, {1, 0, 0, 0.3}, {.tau = 0.4, .kind = ScatterKind::kAdditive}), -2, 0.5);
  // Log-normal of median 1.
  const double square = std::exp(0.25 * 0.25);
  expect(Draw(3, {1, 0}, {.tau = 0.25, .kind = ScatterKind::kProportional}), 3 * std::sqrt(square),
         3 * std::sqrt(square * (square - 1)));
  // To first order, as ScatterError says: a tau of .02 leaves terms of a fiftieth of it.
  const Scatter power = {.tau = 0.02, .lower = 0.25};
  expect(Draw(0.5, {1, 0}, power), 0.5, ScatterError(0.5, power));
  // Both at once.
  expect(Draw(0.5, {1, 0, 400}, power), 0.5, std::hypot(0.025, ScatterError(0.5, power)));
}

TEST(CurveTest, WithoutErrorsTheTruthIsDrawn) {
  CounterRng rng(1, 1);
  EXPECT_EQ(DrawValue(0.3, {1, 0.9}, {}, rng), 0.3);
  EXPECT_EQ(DrawValue(0.3, {1, 0.9, 0, 0.0}, {}, rng), 0.3);
  // Shares whose mean is out of range are held within it; bounds do not scatter.
  EXPECT_EQ(DrawValue(-0.1, {1, 0.9, 10}, {}, rng), 0);
  EXPECT_EQ(DrawValue(1.1, {1, 0.9, 10}, {.tau = 1}, rng), 1);
}

}  // namespace
}  // namespace mirage::metrics
