#include "metrics/emergence/curve_shape.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/emergence/curve.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

struct ShapeCase {
  std::vector<double> scales, values;
  uint64_t n;
  double tau;
  size_t ceiling, n_at_floor;
  double rise, rise_error, h40, step, width;
  std::vector<double> z;
};

#include "metrics/emergence/curve_shape_vectors.inc"

// Scales a factor of e apart, so that ln(scale) is the index.
std::vector<CurvePoint> Curve(const std::vector<double>& values, uint64_t n = 0,
                              std::optional<double> error = std::nullopt) {
  std::vector<CurvePoint> points;
  for (size_t i = 0; i < values.size(); ++i) {
    points.push_back({std::exp(static_cast<double>(i)), values[i], n, error});
  }
  return points;
}

CurveShape Shape(const std::vector<CurvePoint>& points, const ShapeOptions& options = {}) {
  const auto shape = ShapeOf(points, options);
  EXPECT_TRUE(shape.ok()) << shape.status();
  return shape.ok() ? *shape : CurveShape();
}

TEST(CurveShapeTest, AgreesWithTheReference) {
  size_t without_rise = 0, extrapolated = 0;
  for (const ShapeCase& c : ShapeCases()) {
    SCOPED_TRACE(testing::PrintToString(c.values));
    std::vector<CurvePoint> points;
    for (size_t i = 0; i < c.scales.size(); ++i) points.push_back({c.scales[i], c.values[i], c.n});
    const ShapeOptions options = {.scatter = {.tau = c.tau},
                                  .hold_out = static_cast<int>(c.z.size())};
    const CurveShape shape = Shape(points, options);
    EXPECT_EQ(shape.ceiling, c.ceiling);
    EXPECT_EQ(shape.n_at_floor, c.n_at_floor);
    EXPECT_NEAR(shape.rise, c.rise, 1e-15);
    EXPECT_NEAR(*shape.rise_standard_error, c.rise_error, 1e-12);
    ASSERT_EQ(shape.h40.has_value(), !std::isnan(c.h40));
    if (shape.h40.has_value()) {
      EXPECT_NEAR(*shape.h40, c.h40, 1e-9);
      EXPECT_NEAR(*shape.largest_step_share, c.step, 1e-12);
      // The reference reads it off a grid.
      EXPECT_NEAR(*shape.width_10_90, c.width, 3e-5);
    } else {
      ++without_rise;
    }
    if (std::isnan(c.z[0])) {
      EXPECT_TRUE(shape.extrapolated.empty());
      EXPECT_FALSE(shape.unpredictability.has_value());
      continue;
    }
    ASSERT_EQ(shape.extrapolated.size(), c.z.size());
    double most = 0;
    for (size_t i = 0; i < c.z.size(); ++i) {
      EXPECT_NEAR(shape.extrapolated[i].z, c.z[i], 1e-8 * std::abs(c.z[i]) + 1e-9);
      EXPECT_EQ(shape.extrapolated[i].index, c.ceiling + 1 - c.z.size() + i);
      if (std::abs(c.z[i]) > std::abs(most)) most = c.z[i];
    }
    EXPECT_NEAR(*shape.unpredictability, most, 1e-8 * std::abs(most) + 1e-9);
    ++extrapolated;
  }
  EXPECT_GT(without_rise, 0u);
  EXPECT_GT(extrapolated, 10u);
}

TEST(CurveShapeTest, AStraightLine) {
  for (const int m : {2, 3, 6, 12}) {
    std::vector<double> values;
    values.reserve(static_cast<size_t>(m));
    for (int i = 0; i < m; ++i) values.push_back(0.1 + 0.8 * i / (m - 1));
    const CurveShape shape = Shape(Curve(values, 10'000));
    // From 11 steps on the last but one is within 10 % of the range, but not within its errors.
    EXPECT_EQ(shape.ceiling, static_cast<size_t>(m - 1));
    EXPECT_NEAR(*shape.h40, 0.4, 1e-12);
    EXPECT_NEAR(*shape.width_10_90, 0.8 * (m - 1), 1e-12);
    EXPECT_EQ(shape.is_width_resolved, m > 2);
    EXPECT_NEAR(*shape.largest_step_share, 1.0 / (m - 1), 1e-12);
    EXPECT_FALSE(shape.is_emergent);
    EXPECT_FALSE(shape.has_ceiling || shape.has_floor);
    EXPECT_EQ(shape.extrapolated.empty(), m < 4);
    if (m >= 4) {
      EXPECT_NEAR(*shape.unpredictability, 0, 1e-9);
    }
  }
}

TEST(CurveShapeTest, ASuddenCurve) {
  const CurveShape shape = Shape(Curve({0.01, 0.012, 0.015, 0.02, 0.1, 0.8}, 1000));
  EXPECT_TRUE(shape.is_emergent);
  // 40 % of 5 is 2: the third value.
  EXPECT_NEAR(*shape.h40, 0.005 / 0.79, 1e-12);
  EXPECT_NEAR(*shape.largest_step_share, 0.7 / 0.79, 1e-12);
  EXPECT_EQ(shape.largest_step, 4u);
  EXPECT_EQ(shape.n_at_floor, 4u);
  EXPECT_TRUE(shape.has_floor);
  EXPECT_FALSE(shape.has_ceiling);
  EXPECT_GT(*shape.unpredictability, 20);
  // 10 % of the rise lies before the last but one, 90 % in the last step.
  EXPECT_NEAR(*shape.width_10_90,
              (4 + (0.01 + 0.9 * 0.79 - 0.1) / 0.7) - (3 + (0.01 + 0.079 - 0.02) / 0.08), 1e-12);
  EXPECT_TRUE(shape.is_width_resolved);
}

// Tiny transformers on addition of two-digit numbers: at the ceiling from the fourth of ten sizes
// on. Over all sizes 40 % of the range lie beyond the jump; up to the ceiling they lie before it.
TEST(CurveShapeTest, AnEarlyJumpThatSaturatesIsEmergent) {
  const std::vector<double> parameters = {656,   2080,  3080,   7232,   15456,
                                          26752, 58560, 102656, 227712, 401920};
  const std::vector<double> values = {0.01, 0.089, 0.085, 0.958, 1, 1, 1, 0.999, 1, 1};
  std::vector<CurvePoint> points;
  for (size_t i = 0; i < values.size(); ++i) points.push_back({parameters[i], values[i], 1000});
  const CurveShape shape = Shape(points);
  EXPECT_EQ(shape.ceiling, 3u);
  EXPECT_EQ(shape.n_at_ceiling, 7u);
  EXPECT_TRUE(shape.has_ceiling);
  EXPECT_TRUE(shape.is_emergent);
  // ln(scale) where h40 is read, by hand.
  const double at = 0.4 * std::log(7232.0 / 656) / std::log(2080.0 / 656);
  EXPECT_NEAR(*shape.h40, at * 0.079 / 0.948, 1e-12);
  // Two-by-one-digit multiplication of the same models rises early and gradually.
  const std::vector<double> gradual = {0,     0.124, 0.14, 0.332, 0.548,
                                       0.708, 0.792, 0.78, 0.92,  0.836};
  for (size_t i = 0; i < gradual.size(); ++i) {
    points[i].value = gradual[i];
    points[i].binomial_n = 250;
  }
  EXPECT_FALSE(Shape(points).is_emergent);
  EXPECT_EQ(Shape(points).ceiling, 8u);
}

// A ceiling below 1, as wrong golds make it.
TEST(CurveShapeTest, PlateausNeedNoBound) {
  const CurveShape shape = Shape(Curve({0.26, 0.24, 0.25, 0.7, 0.71, 0.69}, 500));
  EXPECT_EQ(shape.ceiling, 3u);
  EXPECT_EQ(shape.n_at_ceiling, 3u);
  EXPECT_EQ(shape.n_at_floor, 3u);
  EXPECT_TRUE(shape.has_floor && shape.has_ceiling);
  // A peak that falls again is no plateau.
  const CurveShape peak = Shape(Curve({0.1, 0.2, 0.9, 0.5, 0.4}, 500));
  EXPECT_EQ(peak.ceiling, 2u);
  EXPECT_EQ(peak.n_at_ceiling, 1u);
  EXPECT_FALSE(peak.has_ceiling);
}

// The tolerance: 5 % of the range without errors, up to 10 % with large ones, two errors between.
TEST(CurveShapeTest, ToleranceOfPlateaus) {
  const auto ceiling = [](double last_but_one, double error) {
    return Shape(Curve({0, 0.1, last_but_one, 1}, 0, error)).ceiling;
  };
  EXPECT_EQ(ceiling(0.951, 0), 2u);
  EXPECT_EQ(ceiling(0.949, 0), 3u);
  EXPECT_EQ(ceiling(0.901, 1), 2u);
  EXPECT_EQ(ceiling(0.899, 1), 3u);
  const double error = 0.07 / (2 * std::sqrt(2.0));
  EXPECT_EQ(ceiling(0.931, error), 2u);
  EXPECT_EQ(ceiling(0.929, error), 3u);
}

TEST(CurveShapeTest, ThreeConditionsOfEmergence) {
  EXPECT_TRUE(Shape(Curve({0, 0, 0, 0.101}, 0, 0.01)).is_emergent);
  // Too small a rise.
  EXPECT_FALSE(Shape(Curve({0, 0, 0, 0.099}, 0, 0.01)).is_emergent);
  EXPECT_TRUE(Shape(Curve({0, 0, 0, 0.099}, 0, 0.01), {.metric_range = 0.5}).is_emergent);
  // Within three errors.
  EXPECT_FALSE(Shape(Curve({0, 0, 0, 0.101}, 0, 0.024)).is_emergent);
  EXPECT_TRUE(Shape(Curve({0, 0, 0, 0.101}, 0, 0.0235)).is_emergent);
  // The scatter between models counts.
  const ShapeOptions scatter = {.scatter = {.tau = 0.2}};
  EXPECT_FALSE(Shape(Curve({0, 0, 0, 0.101}, 0, 0.01), scatter).is_emergent);
  EXPECT_NEAR(*Shape(Curve({0, 0, 0, 0.101}, 0, 0.01), scatter).rise_standard_error,
              std::hypot(0.01, 0.01, 0.2 * 0.101 * std::log(1 / 0.101)), 1e-12);
  // h40 at its bound: 40 % of 5 is the third value.
  EXPECT_TRUE(Shape(Curve({0, 0.1, 0.1999, 0.3, 0.6, 1}, 0, 0.01)).is_emergent);
  EXPECT_FALSE(Shape(Curve({0, 0.1, 0.2001, 0.3, 0.6, 1}, 0, 0.01)).is_emergent);
  // Nothing known of the errors: no standard error, and only the other two count.
  const CurveShape unknown = Shape(Curve({0, 0, 0, 0.101}));
  EXPECT_FALSE(unknown.rise_standard_error.has_value());
  EXPECT_TRUE(unknown.is_emergent);
}

TEST(CurveShapeTest, LowerIsBetter) {
  const std::vector<double> up = {0.1, 0.12, 0.2, 0.5, 0.93};
  std::vector<double> down;
  down.reserve(up.size());
  for (const double value : up) down.push_back(3 - value);
  const ShapeOptions lower = {.higher_is_better = false};
  const CurveShape a = Shape(Curve(up, 0, 0.01));
  const CurveShape b = Shape(Curve(down, 0, 0.01), lower);
  EXPECT_NEAR(a.rise, b.rise, 1e-14);
  EXPECT_NEAR(*a.h40, *b.h40, 1e-14);
  EXPECT_NEAR(*a.width_10_90, *b.width_10_90, 1e-13);
  EXPECT_NEAR(*a.unpredictability, *b.unpredictability, 1e-11);
  EXPECT_NEAR(a.extrapolated[0].predicted, 3 - b.extrapolated[0].predicted, 1e-13);
  EXPECT_EQ(a.is_emergent, b.is_emergent);
  // The wrong direction has no rise: the first scale is the best.
  const CurveShape wrong = Shape(Curve(down, 0, 0.01));
  EXPECT_EQ(wrong.ceiling, 0u);
  EXPECT_EQ(wrong.rise, 0);
  EXPECT_FALSE(wrong.h40 || wrong.width_10_90 || wrong.largest_step_share);
  EXPECT_FALSE(wrong.is_emergent);
}

TEST(CurveShapeTest, EdgeCases) {
  const CurveShape one = Shape(Curve({0.3}, 10));
  EXPECT_EQ(one.rise, 0);
  EXPECT_FALSE(one.h40.has_value());
  EXPECT_EQ(one.n_at_ceiling, 1u);
  const CurveShape flat = Shape(Curve({0.3, 0.3, 0.3}, 10));
  EXPECT_EQ(flat.ceiling, 0u);
  EXPECT_EQ(flat.n_at_ceiling, 3u);
  EXPECT_FALSE(flat.h40.has_value());
  // A dip first: h40 is below 0, and there is no floor.
  const CurveShape dip = Shape(Curve({0.3, 0.1, 0.1, 0.2, 0.9}, 1000));
  EXPECT_LT(*dip.h40, 0);
  EXPECT_EQ(dip.n_at_floor, 0u);
  EXPECT_TRUE(dip.is_emergent);
  // Off an exact line, and on it.
  EXPECT_EQ(*Shape(Curve({0, 1, 2, 3, 9})).unpredictability, kInf);
  EXPECT_EQ(*Shape(Curve({0, 1, 2, 3, 4})).unpredictability, 0);
}

TEST(CurveShapeTest, Refusals) {
  const auto message = [](const std::vector<CurvePoint>& points, const ShapeOptions& options) {
    const auto shape = ShapeOf(points, options);
    EXPECT_TRUE(absl::IsInvalidArgument(shape.status())) << shape.status();
    return std::string(shape.status().message());
  };
  const auto good = Curve({0, 1, 2});
  EXPECT_THAT(message({}, {}), HasSubstr("points is empty"));
  EXPECT_THAT(message({{1, 0}, {1, 1}}, {}), HasSubstr("points[1].scale"));
  EXPECT_THAT(message({{1e20, 0}, {std::nextafter(1e20, kInf), 1}}, {}), HasSubstr("rounding"));
  EXPECT_THAT(message({{1, -1.7e308}, {2, 1.7e308}}, {}), HasSubstr("largest double"));
  EXPECT_THAT(message(good, {.scatter = {.tau = kNan}}), HasSubstr("tau is nan"));
  for (const double range : {0.0, -1.0, kNan, kInf}) {
    EXPECT_THAT(message(good, {.metric_range = range}), HasSubstr("metric_range is "));
  }
  EXPECT_THAT(message(good, {.hold_out = 0}), HasSubstr("hold_out is 0"));
  EXPECT_THAT(message(good, {.hold_out = 3}), HasSubstr("hold_out is 3"));
}

// With true lines and known errors z is standard normal to first order: 4000 curves put |z| > 1.96
// at 5 % give or take .35 %. Residuals raise the variance by chance, never lower it, so that the
// share must lie below: between 2 and 5.5 %, five standard errors off a sqrt(2) too small or large.
TEST(CurveShapeTest, PredictionErrorIsThatOfTheNextPoint) {
  CounterRng rng(41, 0);
  int beyond = 0;
  constexpr int kCurves = 4000;
  for (int curve = 0; curve < kCurves; ++curve) {
    std::vector<CurvePoint> points = Curve({0.1, 0.25, 0.4, 0.55, 0.7, 0.85}, 0, 0.01);
    for (CurvePoint& point : points) point.value = DrawValue(point.value, point, {}, rng);
    beyond += std::abs(*Shape(points).unpredictability) > 1.96 ? 1 : 0;
  }
  EXPECT_GE(beyond, 80);
  EXPECT_LE(beyond, 220);
}

}  // namespace
}  // namespace mirage::metrics
