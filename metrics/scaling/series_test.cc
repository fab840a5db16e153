#include "metrics/scaling/series.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<double> Scales(const Series& series) {
  std::vector<double> out;
  for (const SeriesPoint& point : series.points()) out.push_back(point.scale);
  return out;
}

std::vector<size_t> Sizes(const Series& series) {
  std::vector<size_t> out;
  for (const ReplicateGroup& group : series.groups()) out.push_back(group.size());
  return out;
}

TEST(SeriesTest, SortsAndKeepsPlaces) {
  const auto series = Series::Create({{.scale = 3, .value = 0.3, .model = "c"},
                                      {.scale = 1, .value = 0.1, .seed = "1", .model = "b"},
                                      {.scale = 1, .value = 0.2, .seed = "0", .model = "a"}},
                                     {});
  ASSERT_TRUE(series.ok()) << series.status();
  EXPECT_THAT(Scales(*series), ElementsAre(1, 1, 3));
  EXPECT_THAT(series->places(), ElementsAre(2, 1, 0));
  EXPECT_EQ(series->points()[0].model, "a");
  EXPECT_THAT(Sizes(*series), ElementsAre(2, 1));
  EXPECT_EQ(series->replicate_df(), 1u);
}

TEST(SeriesTest, EmptyAndOne) {
  const auto empty = Series::Create({}, {});
  ASSERT_TRUE(empty.ok());
  EXPECT_TRUE(empty->empty());
  EXPECT_TRUE(empty->groups().empty());
  EXPECT_EQ(empty->replicate_df(), 0u);
  const auto one = Series::Create({{.scale = 1e9, .value = -3}}, {});
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(one->groups().size(), 1u);
  EXPECT_FALSE(one->sampling_variance(0).has_value());
  EXPECT_FALSE(one->successes(0).has_value());
}

TEST(SeriesTest, ReplicatesAreWithinTheToleranceAndDifferInSeed) {
  const std::vector<SeriesPoint> points = {
      {.scale = 1.000e9, .seed = "a"},
      {.scale = 1.004e9, .seed = "b"},
      // Too far from the first of its group, though not from the last.
      {.scale = 1.012e9, .seed = "c"},
      // Two sizes with the same seeds, close to each other.
      {.scale = 2.000e9, .seed = "a"},
      {.scale = 2.000e9, .seed = "b"},
      {.scale = 2.010e9, .seed = "a"},
      {.scale = 2.010e9, .seed = "b"}};
  EXPECT_THAT(Sizes(*Series::Create(points, {})), ElementsAre(2, 1, 2, 2));
  EXPECT_THAT(Sizes(*Series::Create(points, {.replicate_tolerance = 0})),
              ElementsAre(1, 1, 1, 2, 2));
  EXPECT_THAT(Sizes(*Series::Create(points, {.replicate_tolerance = 0.1})), ElementsAre(3, 2, 2));
}

TEST(SeriesTest, CountsAndVariancesOfProportions) {
  const auto series =
      Series::Create({{.scale = 1, .value = 0, .standard_error = 0, .n = 10},
                      {.scale = 2, .value = 1, .standard_error = 0, .n = 10},
                      {.scale = 3, .value = 0.3, .n = 10},
                      // Clustered: twice the binomial error.
                      {.scale = 4, .value = 0.5, .standard_error = 0.1, .n = 100},
                      // Smaller than binomial: the binomial one stands.
                      {.scale = 5, .value = 0.5, .standard_error = 1e-3, .n = 100},
                      {.scale = 6, .value = 0.25, .standard_error = std::sqrt(0.25 * 0.75 / 399)},
                      {.scale = 7, .value = 0, .standard_error = 0},
                      {.scale = 8, .value = 0.5}},
                     {.proportion = true});
  ASSERT_TRUE(series.ok()) << series.status();
  EXPECT_EQ(series->successes(0), 0u);
  EXPECT_EQ(series->successes(1), 10u);
  EXPECT_EQ(series->successes(2), 3u);
  // Beta(a, b): a b / ((a + b)^2 (a + b + 1)).
  EXPECT_DOUBLE_EQ(*series->sampling_variance(0), 0.5 * 10.5 / (121 * 12));
  EXPECT_DOUBLE_EQ(*series->sampling_variance(1), 0.5 * 10.5 / (121 * 12));
  EXPECT_DOUBLE_EQ(*series->sampling_variance(2), 3.5 * 7.5 / (121 * 12));
  EXPECT_DOUBLE_EQ(*series->sampling_variance(3), 0.01);
  EXPECT_DOUBLE_EQ(*series->sampling_variance(4), 50.5 * 50.5 / (101.0 * 101.0 * 102.0));
  EXPECT_EQ(series->points()[5].n, 400u);
  EXPECT_TRUE(series->n_inferred(5));
  EXPECT_FALSE(series->n_inferred(4));
  EXPECT_EQ(series->successes(5), 100u);
  EXPECT_FALSE(series->points()[6].n.has_value());
  EXPECT_FALSE(series->sampling_variance(6).has_value());
  EXPECT_FALSE(series->sampling_variance(7).has_value());
}

TEST(SeriesTest, VariancesOfOtherMetrics) {
  const auto series = Series::Create({{.scale = 1, .value = -2.5, .standard_error = 0.5, .n = 10},
                                      {.scale = 2, .value = 3, .standard_error = 0, .n = 10},
                                      {.scale = 3, .value = 4, .standard_error = 1e-200}},
                                     {});
  ASSERT_TRUE(series.ok()) << series.status();
  EXPECT_DOUBLE_EQ(*series->sampling_variance(0), 0.25);
  EXPECT_FALSE(series->sampling_variance(1).has_value());
  EXPECT_FALSE(series->sampling_variance(2).has_value());
  EXPECT_FALSE(series->successes(0).has_value());
}

// Every k of n for some n, with both conventions of the standard error, exactly.
TEST(SeriesTest, InfersTheSampleSize) {
  int n_checked = 0;
  for (const uint64_t n : {3u, 10u, 57u, 1000u, 1319u, 14042u}) {
    for (uint64_t k = 1; k < n; k += std::max<uint64_t>(1, n / 97)) {
      const double m = static_cast<double>(n);
      const double p = static_cast<double>(k) / m;
      EXPECT_EQ(InferSampleSize(p, std::sqrt(p * (1 - p) / (m - 1))), n) << k;
      const auto plain = InferSampleSize(p, std::sqrt(p * (1 - p) / m));
      ASSERT_TRUE(plain.has_value()) << k << " of " << n;
      // (n + 1) p is no integer for 0 < k < n, so that n fits better.
      EXPECT_EQ(*plain, n) << k;
      ++n_checked;
    }
  }
  EXPECT_GT(n_checked, 300);
  // Rounded to 4 digits: within 1 % for a standard error of 3 digits.
  const auto rounded = InferSampleSize(0.4321, 0.0136);
  ASSERT_TRUE(rounded.has_value());
  EXPECT_NEAR(static_cast<double>(*rounded), 1319, 13.19);
  for (const double p : {0.0, 1.0, kNan, -0.5, 1.5}) {
    EXPECT_FALSE(InferSampleSize(p, 0.1).has_value());
  }
  for (const double error : {0.0, -1.0, kNan, 1e-200, 10.0}) {
    EXPECT_FALSE(InferSampleSize(0.5, error).has_value()) << error;
  }
}

TEST(SeriesTest, BadPointsAreNamed) {
  const auto message = [](SeriesPoint bad, const SeriesOptions& options) {
    const auto series = Series::Create({{.scale = 1, .value = 0.5}, std::move(bad)}, options);
    EXPECT_EQ(series.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(series.status().message());
  };
  EXPECT_THAT(message({.scale = -1}, {}), HasSubstr("points[1].scale is -1: scales must be > 0"));
  for (const double scale : {0.0, kNan, kInf}) {
    EXPECT_THAT(message({.scale = scale}, {}), HasSubstr("points[1].scale is "));
  }
  for (const double value : {kNan, kInf, -kInf}) {
    EXPECT_THAT(message({.scale = 2, .value = value}, {}), HasSubstr("points[1].value is "));
  }
  EXPECT_THAT(message({.scale = 2, .value = 34.5}, {.proportion = true}),
              HasSubstr("divide percentages by 100"));
  for (const double error : {-0.1, kNan, kInf}) {
    EXPECT_THAT(message({.scale = 2, .standard_error = error}, {}),
                HasSubstr("points[1].standard_error is "));
  }
  EXPECT_THAT(message({.scale = 2, .n = 0}, {}), HasSubstr("points[1].n is 0"));
  EXPECT_THAT(message({.scale = 2, .n = (uint64_t{1} << 53) + 1}, {}), HasSubstr("points[1].n is"));
  EXPECT_THAT(message({.scale = 1}, {}),
              HasSubstr("points[1] repeats scale 1 and seed \"\" of points[0]"));
  EXPECT_THAT(message({.scale = 2}, {.replicate_tolerance = 0.5}),
              HasSubstr("replicate_tolerance is 0.5"));
}

TEST(SeriesTest, AMillionRows) {
  constexpr size_t kRows = 1'000'000;
  std::vector<SeriesPoint> points(kRows);
  CounterRng rng(9, 0);
  for (size_t i = 0; i < kRows; ++i) {
    points[i].scale = std::exp(20 * rng.Uniform());
    points[i].value = rng.Uniform();
    points[i].n = 1000;
    points[i].seed = std::to_string(i % 7);
  }
  const auto series = Series::Create(std::move(points), {.proportion = true});
  ASSERT_TRUE(series.ok()) << series.status();
  EXPECT_EQ(series->size(), kRows);
  EXPECT_TRUE(
      std::is_sorted(series->points().begin(), series->points().end(),
                     [](const SeriesPoint& a, const SeriesPoint& b) { return a.scale < b.scale; }));
  size_t total = 0;
  for (const ReplicateGroup& group : series->groups()) {
    ASSERT_EQ(group.begin, total);
    ASSERT_LE(group.size(), 7u);
    total = group.end;
  }
  EXPECT_EQ(total, kRows);
}

}  // namespace
}  // namespace mirage::metrics
