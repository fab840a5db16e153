#include "metrics/emergence/simulation_law.h"

#include <cmath>
#include <cstdint>

#include "gtest/gtest.h"
#include "metrics/emergence/simulation_spec.h"

namespace mirage::metrics {
namespace {

struct RampCase {
  double t, width, value;
};
struct LawCase {
  SimulatedLaw law;
  double log_scale, log_ce, log_ce_slope, mean_nll, mean_nll_slope;
};

#include "metrics/emergence/simulation_law_vectors.inc"

constexpr uint32_t kAll = ~uint32_t{0};

// As in the program that wrote the vectors.
SimulationSpec Spec(SimulatedLaw law) {
  SimulationSpec spec;
  spec.law = law;
  spec.c = 2e9;
  spec.alpha = -0.5;
  spec.curvature = -0.02;
  spec.vocabulary = 50;
  spec.floor = 0.1;
  spec.breaks = {{.scale = 1e9, .delta_exponent = 0.4},
                 {.scale = 1e10, .delta_exponent = 0.7, .width = 1.5, .item_share = 0.5},
                 {.scale = 3e9, .delta_exponent = -0.2, .width = 4, .item_share = 0.25}};
  spec.bimodality = SimulatedBimodality{.scale = 5e9, .width = 1.2, .factor = 3};
  return *FillSimulationSpec(spec);
}

TEST(SimulationLawTest, RampsAgreeWithQuadrature) {
  for (const RampCase& c : kRamps) {
    EXPECT_NEAR(SmoothRamp(c.t, c.width).value, c.value, 5e-14 * c.value) << c.t;
  }
}

TEST(SimulationLawTest, RampsAndStepsTakeTheirWidth) {
  for (const double width : {1e-3, 1.0, 7.0}) {
    EXPECT_NEAR(SmoothRamp(-width / 2, width).slope, 0.1, 1e-14);
    EXPECT_NEAR(SmoothRamp(width / 2, width).slope, 0.9, 1e-14);
    EXPECT_NEAR(LogisticStep(-width / 2, width).value, 0.1, 1e-14);
    EXPECT_NEAR(LogisticStep(width / 2, width).value, 0.9, 1e-14);
    EXPECT_EQ(LogisticStep(0, width).value, 0.5);
    // The ramp's slope is the step.
    for (const double t : {-5.0, -0.1, 0.0, 0.3, 8.0}) {
      EXPECT_DOUBLE_EQ(SmoothRamp(t, width).slope, LogisticStep(t, width).value);
    }
  }
  EXPECT_EQ(SmoothRamp(-1, 0).value, 0);
  EXPECT_EQ(SmoothRamp(-1, 0).slope, 0);
  EXPECT_EQ(SmoothRamp(2, 0).value, 2);
  EXPECT_EQ(SmoothRamp(2, 0).slope, 1);
  EXPECT_EQ(LogisticStep(-1, 0).value, 0);
  EXPECT_EQ(LogisticStep(0, 0).value, 0.5);
  EXPECT_EQ(LogisticStep(1, 0).value, 1);
  // Nothing overflows far away.
  EXPECT_EQ(SmoothRamp(-1e6, 1e-3).value, 0);
  EXPECT_EQ(SmoothRamp(1e6, 1e-3).value, 1e6);
}

TEST(SimulationLawTest, LawsAgreeWithMpmath) {
  for (const LawCase& c : kLaws) {
    SCOPED_TRACE(testing::Message() << static_cast<int>(c.law) << " at " << c.log_scale);
    const SimulationCurve curve(Spec(c.law));
    const ValueAndSlope log_ce = curve.LogCe(c.log_scale, kAll);
    EXPECT_NEAR(log_ce.value, c.log_ce, 1e-13 * (1 + std::abs(c.log_ce)));
    EXPECT_NEAR(log_ce.slope, c.log_ce_slope, 1e-9);
    const ValueAndSlope mean = curve.MeanNll(c.log_scale, 0);
    EXPECT_NEAR(mean.value, c.mean_nll, 1e-13 * c.mean_nll);
    EXPECT_NEAR(mean.slope, c.mean_nll_slope, 1e-9 * (1 + std::abs(c.mean_nll_slope)));
  }
}

TEST(SimulationLawTest, ThePapersLaw) {
  const SimulationCurve curve(*FillSimulationSpec({}));
  const double printed[] = {0.0916, 0.2893, 0.5791, 0.9048};
  const double parameters[] = {3.5e8, 1.3e9, 6.7e9, 2e11};
  for (int i = 0; i < 4; ++i) {
    const ValueAndSlope nll = curve.MeanNll(std::log(parameters[i]), 0);
    EXPECT_NEAR(std::exp(-nll.value), printed[i], 5e-5);
    EXPECT_NEAR(nll.slope / nll.value, -0.5, 1e-12);
  }
}

TEST(SimulationLawTest, BreaksByPositionAndItem) {
  SimulationSpec spec;
  spec.target_lengths = {3};
  spec.breaks = {{.scale = 1e9, .delta_exponent = 0.4, .positions = {0, 2}},
                 {.scale = 1e9, .delta_exponent = 0.4, .item_share = 0.5, .positions = {1}},
                 {.scale = 1e9, .delta_exponent = 0.4}};
  const SimulationCurve curve(*FillSimulationSpec(spec));
  EXPECT_EQ(curve.Breaks(0, kAll), 0b101u);
  EXPECT_EQ(curve.Breaks(1, kAll), 0b110u);
  EXPECT_EQ(curve.Breaks(2, kAll), 0b101u);
  EXPECT_EQ(curve.Breaks(1, 0b101), 0b100u);
  const double x = std::log(1e11);
  const auto ce = [&](uint32_t breaks) { return std::exp(curve.LogCe(x, breaks).value); };
  EXPECT_DOUBLE_EQ(curve.MeanNll(x, 0).value, ce(0b101));
  EXPECT_DOUBLE_EQ(curve.MeanNll(x, 1).value, 0.5 * ce(0b110) + 0.5 * ce(0b100));
  // Of the items that have break 1.
  EXPECT_DOUBLE_EQ(curve.MeanNll(x, 1, 1).value, ce(0b110));
}

}  // namespace
}  // namespace mirage::metrics
