#include "metrics/emergence/slope_break.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

// A normal number.
double Normal(CounterRng& rng) { return NormalQuantile(rng.Uniform() * (1 - 1e-12) + 5e-13); }

// m scales over seven units of ln(scale): a line of slope -a that at `at` gets steeper by `rise`,
// with scatter tau and sampling error se.
std::vector<LawPoint> Family(int m, double a, double rise, double at, double tau, double se,
                             uint64_t seed) {
  CounterRng rng(seed, 0);
  std::vector<LawPoint> points;
  for (int i = 0; i < m; ++i) {
    const double x = 7.0 * i / (m - 1);
    const double y = 1 - a * x - rise * std::max(0.0, x - at);
    points.push_back({x, y + tau * Normal(rng) + se * Normal(rng), se * se});
  }
  return points;
}

BreakEvidence EvidenceOf(const std::vector<LawPoint>& points, int replicates = 0) {
  const auto law = SlopeBreak::Create(points, {.replicates = replicates});
  EXPECT_TRUE(law.ok()) << law.status();
  return law.ok() ? law->evidence() : BreakEvidence{};
}

TEST(SlopeBreakTest, AnExactLineHasNoBreak) {
  const auto law = SlopeBreak::Create(Family(8, 0.3, 0, 0, 0, 0, 1), {});
  ASSERT_TRUE(law.ok()) << law.status();
  const BreakEvidence& evidence = law->evidence();
  EXPECT_EQ(evidence.n_scales, 8);
  EXPECT_NEAR(evidence.window, 7.0 / 3, 1e-12);
  EXPECT_LT(evidence.p_break, 0.01);
  EXPECT_LT(evidence.rise_upper, 0.05);
  EXPECT_EQ(evidence.sup_f, 0);
  EXPECT_EQ(evidence.p_value, 1);
  EXPECT_EQ(evidence.tau, 0.005);
  // The line goes on.
  const SmoothPrediction prediction = law->PredictSmooth(8);
  EXPECT_NEAR(prediction.mean, 1 - 0.3 * 8, 0.01);
  EXPECT_LT(prediction.law_sd, 0.02);
}

TEST(SlopeBreakTest, AnExactHingeIsFoundWhereItIs) {
  const BreakEvidence evidence = EvidenceOf(Family(9, 0.1, 0.8, 3.5, 0, 0, 1), 999);
  EXPECT_GT(evidence.p_break, 0.99);
  EXPECT_GT(evidence.p_resolved_break, 0.99);
  EXPECT_NEAR(evidence.rise_median, 0.8, 0.03);
  EXPECT_NEAR(*evidence.break_x, 3.5, 0.05);
  EXPECT_EQ(evidence.knot, 3.5);
  EXPECT_NEAR(evidence.hinge_rise, 0.8, 1e-9);
  EXPECT_EQ(evidence.sup_f, std::numeric_limits<double>::infinity());
  EXPECT_EQ(evidence.p_value, 0.001);
  EXPECT_GT(evidence.leave_one_out_rise, 0.7);
}

// A hinge at the third of nine scales counts; its onset lies not beyond that scale. At the fourth
// both rules find it.
TEST(SlopeBreakTest, TheOnsetLiesBeyondTheThirdScale) {
  const auto find = [](double at, bool is_before_onset) {
    const auto law = SlopeBreak::Create(Family(9, 0.1, 1.2, at, 0.005, 0, 2),
                                        {.replicates = 0, .is_before_onset = is_before_onset});
    EXPECT_TRUE(law.ok()) << law.status();
    return law.ok() ? law->evidence() : BreakEvidence{};
  };
  const double third = 7.0 * 2 / 8;
  EXPECT_GT(find(third, false).p_resolved_break, 0.9);
  EXPECT_LT(find(third, true).p_resolved_break, 0.1);
  EXPECT_GT(find(third, true).p_break, 0.9);
  EXPECT_GT(find(third, true).knot, third);
  const double fourth = 7.0 * 3 / 8;
  EXPECT_GT(find(fourth, true).p_resolved_break, 0.9);
  EXPECT_EQ(find(fourth, true).knot, fourth);
}

// A floor is convex: the exponent falls, which is no evidence of a break.
TEST(SlopeBreakTest, AFloorIsNoBreak) {
  std::vector<LawPoint> points = Family(9, 0.5, 0, 0, 0, 0.02, 3);
  for (LawPoint& point : points) point.y = std::log(std::exp(point.y) + 0.3);
  const BreakEvidence evidence = EvidenceOf(points, 999);
  EXPECT_LT(evidence.p_break, 0.1);
  EXPECT_GT(evidence.p_value, 0.3);
}

// (N/c)^-a between a plateau and itself bends over 4.39 / a: far wider than the window.
TEST(SlopeBreakTest, AWideBendIsAcceleration) {
  std::vector<LawPoint> points;
  for (int i = 0; i < 9; ++i) {
    const double x = 7.0 * i / 8;
    points.push_back({x, -0.6 / 0.6 * std::log1p(std::exp(0.6 * (x - 3))), 1e-4});
  }
  const BreakEvidence evidence = EvidenceOf(points, 999);
  // The line is rejected, a break is not found.
  EXPECT_LT(evidence.p_value, 0.01);
  EXPECT_LT(evidence.p_break, 0.2);
}

// One model off by a factor of 1.8 must pass for what it is.
TEST(SlopeBreakTest, OneModelOffTheLawIsAnOutlier) {
  std::vector<LawPoint> points = Family(9, 0.3, 0, 0, 0.02, 0.02, 4);
  points[5].y += 0.6;
  const BreakEvidence evidence = EvidenceOf(points);
  EXPECT_EQ(evidence.outlier, 5);
  EXPECT_GT(evidence.outlier_probability, 0.9);
  EXPECT_LT(evidence.p_break, 0.1);
}

// Under a line with scatter the sup-F test rejects 5 % at 5 %: of 200 families 10 +- 3.1. More than
// 24 has a probability of 2e-5, none at all of 4e-5.
TEST(SlopeBreakTest, TheTestKeepsItsLevelAndTheScatterIsFound) {
  constexpr int kFamilies = 200;
  int rejected = 0;
  int breaks = 0;
  int tau_held = 0;
  for (int family = 0; family < kFamilies; ++family) {
    const BreakEvidence evidence =
        EvidenceOf(Family(8, 0.3, 0, 0, 0.04, 0.03, 100 + static_cast<uint64_t>(family)), 199);
    rejected += evidence.p_value <= 0.05 ? 1 : 0;
    breaks += evidence.p_resolved_break >= 0.6 && evidence.p_value < 0.05 ? 1 : 0;
    // To one step of the grid.
    tau_held += evidence.tau_lower <= 0.04 * 1.3 && evidence.tau_upper >= 0.04 / 1.3 ? 1 : 0;
  }
  EXPECT_LE(rejected, 24);
  EXPECT_GE(rejected, 1);
  // P(break called) is below 1 %: more than 8 of 200 has a probability below 2e-4.
  EXPECT_LE(breaks, 8);
  EXPECT_GE(tau_held, kFamilies * 0.85);
}

// A break of 0.8 in 8 models with 3 % scatter is found in 9 of 10 families and more.
TEST(SlopeBreakTest, ClearBreaksAreFound) {
  constexpr int kFamilies = 60;
  int found = 0;
  for (int family = 0; family < kFamilies; ++family) {
    const BreakEvidence evidence =
        EvidenceOf(Family(8, 0.1, 0.8, 4, 0.03, 0.02, 900 + static_cast<uint64_t>(family)), 199);
    found += evidence.p_resolved_break >= 0.6 && evidence.p_value < 0.05 ? 1 : 0;
  }
  EXPECT_GE(found, 54);
}

// A drop from one plateau to another: ln q falls by `drop` within about two gaps.
std::vector<LawPoint> Step(double drop, double at, double tau, uint64_t seed) {
  std::vector<LawPoint> points = Family(10, 0.05, 0, 0, tau, 0.02, seed);
  for (LawPoint& point : points) point.y -= drop / (1 + std::exp(-(point.x - at) / 0.3));
  return points;
}

// The later plateau hides the drop from a hinge: that test alone finds it in few families.
TEST(SlopeBreakTest, AStepBetweenPlateausIsFound) {
  constexpr int kFamilies = 60;
  int found = 0;
  for (int family = 0; family < kFamilies; ++family) {
    const BreakEvidence evidence =
        EvidenceOf(Step(2.5, 4, 0.03, 300 + static_cast<uint64_t>(family)), 199);
    EXPECT_GT(evidence.step_f, evidence.sup_f);
    found += evidence.p_resolved_break >= 0.6 && evidence.p_value < 0.05 ? 1 : 0;
  }
  EXPECT_GE(found, 57);
}

// The null is drawn from a line. Under power laws that end on a floor the step's test, which allows
// for the floor, must keep its level, too: of 200 families 10 are expected at most, and more than
// 24 have a probability of 2e-5.
TEST(SlopeBreakTest, TheTestKeepsItsLevelOnFloors) {
  constexpr int kFamilies = 200;
  int rejected = 0;
  for (int family = 0; family < kFamilies; ++family) {
    std::vector<LawPoint> points =
        Family(9, 0.5, 0, 0, 0.04, 0.02, 5000 + static_cast<uint64_t>(family));
    for (LawPoint& point : points) point.y = std::log(std::exp(point.y) + 0.3);
    rejected += EvidenceOf(points, 199).p_value <= 0.05 ? 1 : 0;
  }
  EXPECT_LE(rejected, 24);
}

// One model far below a line makes a rise and a fall, but the law after it is no better than
// before: not a step.
TEST(SlopeBreakTest, OneModelAheadIsNoStep) {
  std::vector<LawPoint> points = Family(9, 0.05, 0, 0, 0.01, 0.02, 4);
  points[5].y -= 0.8;
  const BreakEvidence evidence = EvidenceOf(points, 199);
  EXPECT_LT(evidence.p_resolved_break, 0.6);
}

TEST(SlopeBreakTest, OrderDoesNotMatterAndFewScalesAreNotTested) {
  std::vector<LawPoint> points = Family(7, 0.2, 0.6, 4, 0.03, 0.03, 7);
  const BreakEvidence evidence = EvidenceOf(points, 99);
  std::reverse(points.begin(), points.end());
  const BreakEvidence reversed = EvidenceOf(points, 99);
  EXPECT_EQ(evidence.p_break, reversed.p_break);
  EXPECT_EQ(evidence.p_value, reversed.p_value);
  const BreakEvidence few = EvidenceOf(Family(4, 0.2, 0.6, 4, 0, 0, 7), 99);
  EXPECT_FALSE(few.is_testable);
  EXPECT_EQ(few.p_break, 0);
  EXPECT_EQ(few.p_value, 1);
}

// Replicates of one size count as models, not as scales.
TEST(SlopeBreakTest, ReplicatesAreNoScales) {
  std::vector<LawPoint> points = Family(4, 0.2, 0, 0, 0.05, 0.01, 8);
  const std::vector<LawPoint> more = Family(4, 0.2, 0, 0, 0.05, 0.01, 9);
  points.insert(points.end(), more.begin(), more.end());
  const BreakEvidence evidence = EvidenceOf(points);
  EXPECT_EQ(evidence.n_points, 8);
  EXPECT_EQ(evidence.n_scales, 4);
  EXPECT_FALSE(evidence.is_testable);
}

// Draws are of the posterior: as many have a break as it says, and they pass where the smooth
// prediction does. 4000 draws: .03 is more than three standard errors of a share.
TEST(SlopeBreakTest, DrawsAreOfThePosterior) {
  for (const double rise : {0.0, 0.3, 0.8}) {
    const std::vector<LawPoint> points = Family(8, 0.2, rise, 4, 0.05, 0.03, 21);
    const auto law = SlopeBreak::Create(points, {.replicates = 0});
    ASSERT_TRUE(law.ok());
    const BreakEvidence& evidence = law->evidence();
    constexpr int kDraws = 4000;
    double breaks = 0;
    double tau = 0;
    double sum = 0;
    double squares = 0;
    double n = 0;
    const double x = points[3].x;
    CounterRng rng(3, 0);
    for (int draw = 0; draw < kDraws; ++draw) {
      const LawDraw one = law->Draw(rng);
      const double width = one.rise_width * 2 * std::log(9.0);
      const bool is_break = one.rise >= kBreakMinRise && width <= evidence.window * (1 + 1e-9);
      breaks += is_break ? 1.0 / kDraws : 0;
      tau += one.tau <= evidence.tau ? 1.0 / kDraws : 0;
      EXPECT_GE(one.rise, 0);
      EXPECT_GE(one.fall, 0);
      if (one.rise >= kBreakMinRise) continue;
      n += 1;
      sum += one.At(x);
      squares += one.At(x) * one.At(x);
    }
    EXPECT_NEAR(breaks, evidence.p_break, 0.03) << rise;
    EXPECT_GE(tau, 0.47) << rise;
    if (rise != 0) continue;
    const SmoothPrediction smooth = law->PredictSmooth(x);
    EXPECT_NEAR(sum / n, smooth.mean, 0.2 * smooth.law_sd);
    EXPECT_NEAR(std::sqrt(squares / n - sum / n * sum / n), smooth.law_sd, 0.2 * smooth.law_sd);
  }
}

TEST(SlopeBreakTest, BadInputIsNamed) {
  std::vector<LawPoint> points = Family(6, 0.2, 0, 0, 0, 0, 1);
  points[2].y = std::numeric_limits<double>::quiet_NaN();
  const absl::Status nan = SlopeBreak::Create(points, {}).status();
  EXPECT_EQ(nan.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(nan.message()), HasSubstr("points[2]"));
  points[2] = {1, 1, -1};
  EXPECT_THAT(std::string(SlopeBreak::Create(points, {}).status().message()),
              HasSubstr("points[2].variance is -1"));
  EXPECT_EQ(SlopeBreak::Create({}, {}).status().code(), absl::StatusCode::kFailedPrecondition);
  points[2] = {1, 1, 0};
  EXPECT_THAT(std::string(SlopeBreak::Create(points, {.replicates = -1}).status().message()),
              HasSubstr("replicates is -1"));
}

}  // namespace
}  // namespace mirage::metrics
