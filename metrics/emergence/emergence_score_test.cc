#include "metrics/emergence/emergence_score.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
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

struct CurveCase {
  std::vector<double> values;
  double score, linearity;
};
struct PaperCase {
  std::string_view task;
  int length;
  std::string_view metric;
  std::vector<double> values;
  double score;
};
struct PercentileCase {
  int n_points;
  double percentile, error;
};
struct NullCase {
  std::vector<double> scales, values;
  uint64_t n;
  double tau, intercept, slope, p_value;
};

#include "metrics/emergence/emergence_score_vectors.inc"

EmergenceScore Score(const std::vector<double>& values) {
  const auto score = ScoreEmergence(values);
  EXPECT_TRUE(score.ok()) << score.status();
  return score.ok() ? *score : EmergenceScore();
}

std::vector<CurvePoint> Curve(std::span<const double> values, uint64_t n,
                              std::optional<double> error = std::nullopt) {
  std::vector<CurvePoint> points;
  double scale = 1e6;
  for (const double value : values) {
    points.push_back({scale, value, n, error});
    scale *= 10;
  }
  return points;
}

double Percentile95(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(0.95 * static_cast<double>(values.size()))];
}

TEST(EmergenceScoreTest, AgreesWithNumpy) {
  for (const CurveCase& c : CurveCases()) {
    SCOPED_TRACE(testing::PrintToString(c.values));
    const EmergenceScore score = Score(c.values);
    EXPECT_EQ(score.n_points, c.values.size());
    EXPECT_DOUBLE_EQ(*score.score, c.score);
    EXPECT_DOUBLE_EQ(*score.score_per_step, c.score / static_cast<double>(c.values.size() - 1));
    EXPECT_DOUBLE_EQ(*score.linearity, c.linearity);
    EXPECT_EQ(score.zero_median, std::isinf(c.score));
  }
}

// The paper's model at the sizes of its figure 2, to the printed digits.
TEST(EmergenceScoreTest, GoldenValuesOfTheToyModel) {
  std::vector<double> p;
  for (const double parameters : {3.5e8, 1.3e9, 6.7e9, 2e11}) {
    p.push_back(std::exp(-std::pow(parameters / 2e9, -0.5)));
  }
  const auto of = [&p](auto metric) {
    std::vector<double> values;
    values.reserve(p.size());
    for (const double share : p) values.push_back(metric(share));
    return Score(values);
  };
  const std::vector<double> golden = {2.807, 3.221, 4.354, 6.358, 9.616};
  for (int length = 1; length <= 5; ++length) {
    EXPECT_NEAR(*of([=](double share) { return std::pow(share, length); }).score,
                golden[static_cast<size_t>(length - 1)], 5e-4);
    EXPECT_NEAR(*of([=](double share) { return -length * (1 - share); }).score, 2.807, 5e-4);
  }
  EXPECT_NEAR(*of([](double share) { return -(1 - share) * (1 - share); }).score, 2.550, 5e-4);
  const EmergenceScore grade = of([](double share) { return share <= 0.5 ? 0.5 : 1.0; });
  EXPECT_EQ(*grade.score, kInf);
  EXPECT_TRUE(grade.zero_median);
}

// Twelve points on the same curve: sampling densely inflates the score, by how much depends on the
// range. Values from NumPy for 2e6 to 1.3e11 parameters; four points give 2.8 and 9.6.
TEST(EmergenceScoreTest, DenseSamplingInflatesTheScore) {
  for (const auto& [length, score] : {std::pair(1, 12.81765), std::pair(5, 1192.668)}) {
    std::vector<double> values;
    for (int i = 0; i < 12; ++i) {
      const double parameters = 2e6 * std::pow(6.5e4, i / 11.0);
      values.push_back(std::exp(-length * std::pow(parameters / 2e9, -0.5)));
    }
    EXPECT_NEAR(*Score(values).score / score, 1, 1e-6);
  }
}

// GPT-3 of the paper's figure 3: the swap takes the score down, and once up.
TEST(EmergenceScoreTest, GoldenValuesOfThePaper) {
  struct Golden {
    std::string_view task;
    int length;
    std::string_view metric;
    double score, within;
  };
  constexpr std::string_view kAccuracy = "accuracy";
  constexpr std::string_view kDistance = "neg_token_edit_distance";
  const std::vector<Golden> goldens = {
      {"addition", 3, kAccuracy, 15.5, 0.05},      {"addition", 3, kDistance, 3.62, 0.005},
      {"addition", 4, kAccuracy, 237, 0.5},        {"addition", 4, kDistance, 3.46, 0.005},
      {"addition", 5, kAccuracy, 4.8e3, 50},       {"addition", 5, kDistance, 3.70, 0.005},
      {"multiplication", 4, kAccuracy, 103, 0.5},  {"multiplication", 4, kDistance, 9.5, 0.05},
      {"multiplication", 1, kAccuracy, 5.6, 0.05}, {"multiplication", 1, kDistance, 9.5, 0.05},
  };
  size_t found = 0;
  for (const PaperCase& c : PaperCases()) {
    SCOPED_TRACE(testing::Message() << c.task << " " << c.length << " " << c.metric);
    const EmergenceScore score = Score(c.values);
    EXPECT_DOUBLE_EQ(*score.score, c.score);
    for (const Golden& golden : goldens) {
      if (golden.task != c.task || golden.length != c.length || golden.metric != c.metric) continue;
      EXPECT_NEAR(*score.score, golden.score, golden.within);
      ++found;
    }
  }
  EXPECT_EQ(found, goldens.size());
}

TEST(EmergenceScoreTest, StraightLine) {
  for (int m = 2; m < 30; ++m) {
    std::vector<double> up, down;
    for (int i = 0; i < m; ++i) {
      up.push_back(i * 0.25);
      down.push_back(7 - i * 0.25);
    }
    EXPECT_DOUBLE_EQ(*Score(up).score, m - 1);
    EXPECT_DOUBLE_EQ(*Score(up).score_per_step, 1);
    EXPECT_DOUBLE_EQ(*Score(up).linearity, m - 1);
    EXPECT_DOUBLE_EQ(*Score(down).score, 1 - m);
  }
}

TEST(EmergenceScoreTest, EdgeCases) {
  for (const std::vector<double>& values : {std::vector<double>{}, {3.0}}) {
    const EmergenceScore none = Score(values);
    EXPECT_FALSE(none.score || none.score_per_step || none.linearity || none.zero_median);
    EXPECT_EQ(none.change, 0);
  }
  const EmergenceScore flat = Score({2, 2, 2});
  EXPECT_FALSE(flat.score || flat.score_per_step || flat.linearity);
  EXPECT_TRUE(flat.zero_median);
  EXPECT_EQ(flat.n_points, 3u);
  EXPECT_EQ(*Score({1, 1, 1, 0}).score, -kInf);
  EXPECT_EQ(*Score({1, 1, 1, 0}).score_per_step, -kInf);
  // Nothing overflows or vanishes on the way.
  EXPECT_DOUBLE_EQ(*Score({0, 1e-300, 2e-300, 4e-300}).score, 4);
  EXPECT_DOUBLE_EQ(*Score({0, 1e-300, 2e-300, 4e-300}).linearity, 4 / std::sqrt(2));
  EXPECT_DOUBLE_EQ(*Score({0, 1e300, 2e300, 4e300}).linearity, 4 / std::sqrt(2));
}

TEST(EmergenceScoreTest, Refusals) {
  for (const double bad : {kNan, kInf, -kInf}) {
    const auto score = ScoreEmergence(std::vector<double>{0, bad});
    EXPECT_TRUE(absl::IsInvalidArgument(score.status()));
    EXPECT_THAT(std::string(score.status().message()), HasSubstr("values[1] is "));
  }
  EXPECT_FALSE(ScoreEmergence(std::vector<double>{-1.7e308, 1.7e308}).ok());
  EXPECT_FALSE(ScoreEmergence(std::vector<CurvePoint>{{2, 0}, {1, 0}}).ok());
  const auto good = Curve(std::vector<double>{0, 0.1, 0.9}, 100);
  const auto message = [](const auto& result) { return std::string(result.status().message()); };
  EXPECT_THAT(message(TestEmergenceScore(good, {.replicates = 99})), HasSubstr("replicates is 99"));
  EXPECT_THAT(message(TestEmergenceScore(good, {.replicates = 1'000'001})),
              HasSubstr("replicates"));
  EXPECT_THAT(message(EmergenceScoreInterval(good, {.level = 1})), HasSubstr("level is 1"));
  EXPECT_THAT(message(EmergenceScoreInterval(good, {.level = kNan})), HasSubstr("level is nan"));
  EXPECT_THAT(message(SimulateEmergenceScores(good, {.scatter = {.tau = -1}})), HasSubstr("tau"));
  EXPECT_THAT(message(SimulateEmergenceScores(std::span(good).first(1), {})),
              HasSubstr("points has 1 entries"));
  EXPECT_THAT(message(TestEmergenceScore(std::span(good).first(2), {})),
              HasSubstr("at least 3 are needed"));
  const auto flat = Curve(std::vector<double>{0, 0, 0}, 100);
  EXPECT_TRUE(absl::IsFailedPrecondition(TestEmergenceScore(flat, {}).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(EmergenceScoreInterval(flat, {}).status()));
  auto unknown = good;
  unknown[1].binomial_n = 0;
  const auto interval = EmergenceScoreInterval(unknown, {});
  EXPECT_TRUE(absl::IsFailedPrecondition(interval.status()));
  EXPECT_THAT(message(interval), HasSubstr("points[1] has neither"));
}

// Percentiles against NumPy's, 400 000 curves against 1 000 000: five standard errors of the
// difference (the reference's own times sqrt(1 + 2.5)), 1 % of the percentile. Against the figures
// as published, which are from fewer curves, 3 % for noise and half a digit (0.06) for the line.
TEST(EmergenceScoreTest, PercentilesOfNoiseAndOfALine) {
  const EmergenceOptions options = {.seed = 5, .replicates = 400'000, .threads = 2};
  const double printed_noise[] = {4.05, 3.75, 4.89, 5.04, 5.38, 5.64};
  const double printed_line[] = {8.2, 11.8, 15.6};
  const auto percentile = [&](int n_points, double range) {
    std::vector<double> truth;
    truth.reserve(static_cast<size_t>(n_points));
    for (int i = 0; i < n_points; ++i) truth.push_back(range * i / (n_points - 1));
    const auto scores = SimulateEmergenceScores(Curve(truth, 0, 1.0), options);
    EXPECT_TRUE(scores.ok()) << scores.status();
    return Percentile95(*scores);
  };
  for (size_t i = 0; i < std::size(kNoise); ++i) {
    const double found = percentile(kNoise[i].n_points, 0);
    EXPECT_NEAR(found, kNoise[i].percentile, 5 * std::sqrt(3.5) * kNoise[i].error);
    EXPECT_NEAR(found, printed_noise[i], 0.03 * printed_noise[i]);
  }
  for (size_t i = 0; i < std::size(kLine); ++i) {
    const double found = percentile(kLine[i].n_points, 10);
    EXPECT_NEAR(found, kLine[i].percentile, 5 * std::sqrt(3.5) * kLine[i].error);
    EXPECT_NEAR(found, printed_line[i], 0.075);
  }
}

// p-values against NumPy's simulation of the same null: 200 000 curves have a standard error of
// .0011 at most, 1 000 000 of .0005; .006 is five of both.
TEST(EmergenceScoreTest, NullAgreesWithNumpy) {
  for (const NullCase& c : NullCases()) {
    std::vector<CurvePoint> points;
    for (size_t i = 0; i < c.scales.size(); ++i) points.push_back({c.scales[i], c.values[i], c.n});
    const auto null = TestEmergenceScore(
        points, {.seed = 3, .replicates = 200'000, .threads = 2, .scatter = {.tau = c.tau}});
    ASSERT_TRUE(null.ok()) << null.status();
    EXPECT_NEAR(null->intercept, c.intercept, 1e-10);
    EXPECT_NEAR(null->slope, c.slope, 1e-12);
    EXPECT_NEAR(null->p_value, c.p_value, 0.006);
    EXPECT_FALSE(null->errors_from_residuals);
  }
}

// Lines are true, so that p <= .05 should come in 5 % of 2000 families: 100, standard deviation
// 9.7. Fails above 6.9 % or below 3.1 % (four of them). Scores of counts are discrete, which makes
// p-values larger, never smaller.
TEST(EmergenceScoreTest, TheTestKeepsItsLevel) {
  for (const double tau : {0.0, 0.1}) {
    CounterRng rng(11, 0);
    int rejected = 0;
    constexpr int kFamilies = 2000;
    const Scatter scatter = {.tau = tau};
    for (int family = 0; family < kFamilies; ++family) {
      std::vector<CurvePoint> points = {{1e6, 0.2, 400}, {2e6, 0, 300}, {1e7, 0, 1000},
                                        {5e7, 0, 500},   {1e8, 0, 800}, {1e9, 0, 1000}};
      for (CurvePoint& point : points) {
        const double truth = 0.2 + 0.5 * std::log(point.scale / 1e6) / std::log(1e3);
        point.value = DrawValue(truth, point, scatter, rng);
      }
      const auto null = TestEmergenceScore(
          points, {.seed = static_cast<uint64_t>(family), .replicates = 399, .scatter = scatter});
      ASSERT_TRUE(null.ok()) << null.status();
      if (null->p_value <= 0.05) ++rejected;
    }
    EXPECT_GE(rejected, 62) << tau;
    EXPECT_LE(rejected, 138) << tau;
  }
}

TEST(EmergenceScoreTest, ASuddenCurveIsNoLine) {
  const std::vector<double> sudden = {0.01, 0.012, 0.015, 0.02, 0.1, 0.8};
  const auto null = TestEmergenceScore(Curve(sudden, 1000), {.replicates = 999});
  ASSERT_TRUE(null.ok());
  // None of the lines comes near: the smallest p-value there is.
  EXPECT_DOUBLE_EQ(null->p_value, 1e-3);
  EXPECT_LT(null->score_95, *Score(sudden).score);
  // The same the other way round never is a rise.
  std::vector<double> falling(sudden.rbegin(), sudden.rend());
  EXPECT_EQ(TestEmergenceScore(Curve(falling, 1000), {.replicates = 999})->p_value, 1);
}

TEST(EmergenceScoreTest, AnInfiniteScoreHasAPValue) {
  // With 5 items a line has flat steps often enough; with 5000 never.
  const std::vector<double> step = {0, 0, 0, 0.6, 0.6, 1};
  const auto few = TestEmergenceScore(Curve(step, 5), {});
  const auto many = TestEmergenceScore(Curve(step, 5000), {});
  ASSERT_TRUE(few.ok() && many.ok());
  EXPECT_GT(few->p_value, 0.005);
  EXPECT_LT(few->p_value, 0.2);
  EXPECT_LT(many->p_value, 2e-4);
}

// Shares cannot leave [0, 1], and so the line is the best of those that do not: by a search over
// both of its ends.
TEST(EmergenceScoreTest, TheLineOfSharesStaysInRange) {
  CounterRng rng(17, 0);
  int held = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<CurvePoint> points;
    double scale = 1;
    for (int i = 0; i < 6; ++i) {
      scale *= 1 + 9 * rng.Uniform();
      const double value = std::round(10 * std::pow(rng.Uniform(), round % 3 == 0 ? 8 : 1)) / 10;
      points.push_back({scale, i < 3 && round % 2 == 0 ? 0.0 : value, 10});
    }
    const auto null = TestEmergenceScore(points, {.replicates = 100});
    if (absl::IsFailedPrecondition(null.status())) continue;
    ASSERT_TRUE(null.ok()) << null.status();
    const double start = std::log(points.front().scale);
    const double range = std::log(points.back().scale) - start;
    const auto squares = [&](double first, double last) {
      double sum = 0;
      for (const CurvePoint& point : points) {
        const double t = (std::log(point.scale) - start) / range;
        sum += std::pow(point.value - first - t * (last - first), 2);
      }
      return sum;
    };
    const double first = null->intercept + null->slope * start;
    const double last = first + null->slope * range;
    EXPECT_GE(std::min(first, last), -1e-9);
    EXPECT_LE(std::max(first, last), 1 + 1e-9);
    const double found = squares(first, last);
    for (int i = 0; i <= 50; ++i) {
      for (int j = 0; j <= 50; ++j) EXPECT_GE(squares(i / 50.0, j / 50.0), found - 1e-9);
    }
    held += std::min(first, last) < 1e-9 || std::max(first, last) > 1 - 1e-9 ? 1 : 0;
  }
  EXPECT_GT(held, 20);
}

TEST(EmergenceScoreTest, UnknownErrorsComeFromTheResiduals) {
  const std::vector<double> values = {0.1, 0.3, 0.2, 0.5, 0.4, 0.7};
  const auto null = TestEmergenceScore(Curve(values, 0), {});
  ASSERT_TRUE(null.ok());
  EXPECT_TRUE(null->errors_from_residuals);
  // By hand: residuals of the least-squares line over i = 0 ... 5.
  double s_xy = 0;
  for (int i = 0; i < 6; ++i) s_xy += (i - 2.5) * values[static_cast<size_t>(i)];
  const double slope = s_xy / 17.5;
  double squares = 0;
  for (int i = 0; i < 6; ++i) {
    squares += std::pow(values[static_cast<size_t>(i)] - (2.2 / 6 + slope * (i - 2.5)), 2);
  }
  const auto same = TestEmergenceScore(Curve(values, 0, std::sqrt(squares / 4)), {});
  ASSERT_TRUE(same.ok());
  EXPECT_FALSE(same->errors_from_residuals);
  EXPECT_NEAR(null->p_value, same->p_value, 2e-3);
}

TEST(EmergenceScoreTest, SameBitsForAnyNumberOfThreads) {
  const auto points = Curve(std::vector<double>{0.05, 0.1, 0.3, 0.35, 0.8}, 100);
  EmergenceOptions options = {.seed = 9, .replicates = 1001, .scatter = {.tau = 0.1}};
  const auto one = SimulateEmergenceScores(points, options);
  const auto null_one = TestEmergenceScore(points, options);
  const auto interval_one = EmergenceScoreInterval(points, options);
  ASSERT_TRUE(one.ok() && null_one.ok() && interval_one.ok());
  for (const int threads : {2, 3, 8}) {
    options.threads = threads;
    EXPECT_EQ(*SimulateEmergenceScores(points, options), *one);
    EXPECT_EQ(TestEmergenceScore(points, options)->p_value, null_one->p_value);
    EXPECT_EQ(EmergenceScoreInterval(points, options)->lower, interval_one->lower);
    EXPECT_EQ(EmergenceScoreInterval(points, options)->upper, interval_one->upper);
  }
  options.seed = 10;
  EXPECT_NE(*SimulateEmergenceScores(points, options), *one);
}

// Where the errors are small, the interval is that of the delta method: here the score is
// (y4 - y1) / (y3 - y2), and first-order propagation is exact to a hundredth.
TEST(EmergenceScoreTest, IntervalOfSmallErrors) {
  const double error = 1e-3;
  const std::vector<double> values = {0, 0.2, 0.5, 1};
  const double score = 1 / 0.3;
  const double relative = error * std::sqrt(2 / (1.0 * 1.0) + 2 / (0.3 * 0.3));
  const auto interval =
      EmergenceScoreInterval(Curve(values, 0, error), {.replicates = 100'000, .level = 0.9});
  ASSERT_TRUE(interval.ok());
  EXPECT_NEAR(interval->lower, score * (1 - 1.6449 * relative), 0.03 * score * relative);
  EXPECT_NEAR(interval->upper, score * (1 + 1.6449 * relative), 0.03 * score * relative);
  EXPECT_EQ(interval->level, 0.9);
  EXPECT_EQ(interval->method, "parametric_bootstrap_percentile");
  // Scatter widens it.
  const auto wider = EmergenceScoreInterval(Curve(values, 0, error),
                                            {.replicates = 1000, .scatter = {.tau = 0.1}});
  EXPECT_GT(wider->upper - wider->lower, 5 * (interval->upper - interval->lower));
}

// 500 families: a coverage of .95 has a standard error of .01; fails below .915 and above .985.
TEST(EmergenceScoreTest, IntervalHoldsTheTrueScore) {
  const std::vector<double> truth = {0.01, 0.02, 0.05, 0.12, 0.4, 0.8};
  const double score = *Score(truth).score;
  CounterRng rng(23, 0);
  int covered = 0;
  constexpr int kFamilies = 500;
  for (int family = 0; family < kFamilies; ++family) {
    std::vector<CurvePoint> points = Curve(truth, 1000);
    for (CurvePoint& point : points) point.value = DrawValue(point.value, point, {}, rng);
    const auto interval =
        EmergenceScoreInterval(points, {.seed = static_cast<uint64_t>(family), .replicates = 500});
    ASSERT_TRUE(interval.ok()) << interval.status();
    covered += interval->lower <= score && score <= interval->upper ? 1 : 0;
  }
  EXPECT_GE(covered, 458);
  EXPECT_LE(covered, 492);
}

// 0 of n leaves room: a share that was never seen is not certain to be 0.
TEST(EmergenceScoreTest, IntervalAtAFloor) {
  const auto interval =
      EmergenceScoreInterval(Curve(std::vector<double>{0, 0, 0, 0.5}, 100), {.level = 0.9});
  ASSERT_TRUE(interval.ok());
  EXPECT_TRUE(std::isfinite(interval->lower));
  EXPECT_GT(interval->lower, 5);
  EXPECT_EQ(interval->upper, kInf);
}

}  // namespace
}  // namespace mirage::metrics
