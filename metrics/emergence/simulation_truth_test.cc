#include "metrics/emergence/simulation_truth.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/emergence/simulation.h"
#include "metrics/emergence/simulation_spec.h"

namespace mirage::metrics {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

SimulationTruth Truth(const SimulationSpec& spec) {
  const auto simulation = Simulation::Create(spec);
  EXPECT_TRUE(simulation.ok()) << simulation.status();
  return TruthOf(*simulation);
}

std::vector<std::string> Names(const std::vector<TrueVerdict>& verdicts) {
  std::vector<std::string> names;
  names.reserve(verdicts.size());
  for (const TrueVerdict verdict : verdicts) names.emplace_back(TrueVerdictName(verdict));
  return names;
}

TEST(SimulationTruthTest, EveryPresetIsWhatItsNameSays) {
  const std::map<std::string_view, std::string_view> verdicts = {
      {"paper", "MIRAGE"},
      {"mirage", "MIRAGE"},
      {"five_scales", "MIRAGE"},
      {"break", "BREAK_SURVIVES"},
      {"gentle_break", "BREAK_SURVIVES"},
      {"late_break", "BREAK_SURVIVES"},
      {"half_items_break", "BREAK_SURVIVES"},
      {"staggered_breaks", "BREAK_SURVIVES"},
      {"bimodal_seeds", "BREAK_SURVIVES"},
      {"logistic", "MIRAGE"},
      {"quadratic", "MIRAGE"},
      {"wide_bend", "MIRAGE"},
      {"resolution", "RESOLUTION_LIMITED"},
      {"twin_break", "BREAK_SURVIVES"},
      {"twin_smooth", "MIRAGE"},
      {"no_change", "SMOOTH"},
      {"noise", "SMOOTH"},
      {"gradual", "SMOOTH"},
      {"multiple_choice", "MIRAGE"},
      {"vectors", "MIRAGE"},
      {"trials", "MIRAGE"},
      {"wrong_golds", "MIRAGE"},
  };
  for (const SimulationPreset& preset : SimulationPresets()) {
    SCOPED_TRACE(preset.name);
    const auto expected = verdicts.find(preset.name);
    ASSERT_NE(expected, verdicts.end());
    const SimulationTruth truth = Truth({.truth = std::string(preset.name)});
    EXPECT_EQ(TrueVerdictName(truth.verdict), expected->second) << truth.reason;
    EXPECT_EQ(truth.acceptable.front(), truth.verdict);
    EXPECT_THAT(truth.acceptable, Contains(TrueVerdict::kInsufficient));
    EXPECT_FALSE(truth.reason.empty());
    // A break may never pass for a mirage, nor a mirage for a break.
    const bool is_mirage = truth.verdict == TrueVerdict::kMirage;
    const bool is_break = truth.verdict == TrueVerdict::kBreakSurvives;
    if (is_mirage || is_break) {
      EXPECT_EQ(std::count(truth.acceptable.begin(), truth.acceptable.end(),
                           is_break ? TrueVerdict::kMirage : TrueVerdict::kBreakSurvives),
                0);
      // Emergent, and clearly so.
      EXPECT_LE(*truth.h40, 0.2);
    }
  }
}

TEST(SimulationTruthTest, StaggeredBreaksLieUnderASmoothMean) {
  const SimulationTruth truth = Truth({.truth = "staggered_breaks"});
  EXPECT_LT(truth.mean_rise.window_rise, kBreakRise);
  EXPECT_THAT(truth.reason, HasSubstr("in position "));
}

TEST(SimulationTruthTest, WideBendsAreNoBreaks) {
  const SimulationTruth truth = Truth({.truth = "wide_bend"});
  EXPECT_GT(truth.mean_rise.rise, kBreakRise);
  EXPECT_LT(truth.mean_rise.window_rise, kBreakRise);
  // The same bend over a quarter of the range is one.
  SimulationSpec narrow;
  narrow.truth = "wide_bend";
  narrow.breaks = FillSimulationSpec(narrow)->breaks;
  narrow.breaks[0].width = 2.3;
  EXPECT_EQ(Truth(narrow).verdict, TrueVerdict::kBreakSurvives);
  // A small one is none, however sudden.
  narrow.breaks[0].width = 0;
  narrow.breaks[0].delta_exponent = 0.29;
  EXPECT_EQ(Truth(narrow).verdict, TrueVerdict::kMirage);
  narrow.breaks[0].delta_exponent = 0.31;
  EXPECT_EQ(Truth(narrow).verdict, TrueVerdict::kBreakSurvives);
}

// The two differ by less than a 400th in exact match at every size, by a factor of up to 16 in NLL.
TEST(SimulationTruthTest, TwinsDifferInTheCounterpartOnly) {
  const SimulationTruth broken = Truth({.truth = "twin_break"});
  const SimulationTruth smooth = Truth({.truth = "twin_smooth"});
  ASSERT_EQ(broken.expected_sharp.size(), smooth.expected_sharp.size());
  double most = 0;
  for (size_t i = 0; i < broken.expected_sharp.size(); ++i) {
    EXPECT_NEAR(broken.expected_sharp[i], smooth.expected_sharp[i], 0.0025);
    most = std::max(most, smooth.expected_nll[i] / broken.expected_nll[i]);
  }
  EXPECT_GT(most, 10);
}

TEST(SimulationTruthTest, FewSizes) {
  SimulationSpec spec;
  spec.scales = {3.5e8, 1.3e9, 6.7e9, 2e11};
  const SimulationTruth truth = Truth(spec);
  EXPECT_THAT(Names(truth.acceptable), ElementsAre("INSUFFICIENT", "MIRAGE"));
  EXPECT_NEAR(truth.expected_sharp[3], 0.6065, 5e-5);
}

TEST(SimulationTruthTest, BreaksWithTooFewSizesOnOneSide) {
  SimulationSpec spec;
  spec.truth = "late_break";
  spec.breaks = FillSimulationSpec(spec)->breaks;
  // Beyond the last but one.
  spec.breaks[0].scale = 5e10;
  spec.breaks[0].delta_exponent = 3;
  const SimulationTruth late = Truth(spec);
  EXPECT_THAT(Names(late.acceptable), ElementsAre("INSUFFICIENT", "BREAK_SURVIVES"));
  EXPECT_THAT(late.reason, HasSubstr("too few sizes on one side"));
}

TEST(SimulationTruthTest, Outliers) {
  SimulationSpec spec;
  spec.truth = "mirage";
  spec.outlier = 6;
  spec.outlier_factor = 2;
  EXPECT_THAT(Names(Truth(spec).acceptable), ElementsAre("MIRAGE", "MIXED", "INSUFFICIENT"));
}

TEST(SimulationTruthTest, SeveralLengths) {
  SimulationSpec spec;
  spec.truth = "gradual";
  spec.target_lengths = {1, 20};
  spec.alpha = -0.6;
  spec.c = 3e8;
  const SimulationTruth truth = Truth(spec);
  EXPECT_EQ(truth.verdict, TrueVerdict::kMirage);
  EXPECT_THAT(truth.acceptable, Contains(TrueVerdict::kSmooth));
}

TEST(SimulationTruthTest, RisesOfKnownCurves) {
  // A step, a ramp over 2 of 10, and a fall.
  const auto step = FindLawRise(0, 10, 1, [](double x) { return x < 6 ? -0.2 : -0.7; });
  EXPECT_NEAR(step.rise, 0.5, 1e-12);
  EXPECT_NEAR(step.middle, 6, 0.01);
  EXPECT_LT(step.width, 0.01);
  EXPECT_NEAR(step.window_rise, 0.5, 1e-12);
  EXPECT_NEAR(step.window_middle, 6, 0.51);
  const auto ramp = FindLawRise(0, 10, 1, [](double x) { return -std::clamp(x - 4, 0.0, 2.0); });
  EXPECT_NEAR(ramp.rise, 2, 1e-12);
  EXPECT_NEAR(ramp.middle, 5, 0.01);
  EXPECT_NEAR(ramp.width, 1.6, 0.01);
  EXPECT_NEAR(ramp.window_rise, 1, 1e-9);
  const auto fall = FindLawRise(0, 10, 1, [](double x) { return x; });
  EXPECT_EQ(fall.rise, 0);
  EXPECT_EQ(fall.window_rise, 0);
  // Up, down, and further up: the largest rise is from the dip.
  const auto dip = FindLawRise(0, 10, 1, [](double x) {
    return x < 2 ? 0 : x < 4 ? -0.5 : x < 6 ? 0.2 : -0.6;
  });
  EXPECT_NEAR(dip.rise, 0.8, 1e-12);
  EXPECT_NEAR(dip.middle, 6, 0.01);
}

TEST(SimulationTruthTest, NamesOfVerdicts) {
  EXPECT_EQ(TrueVerdictName(TrueVerdict::kResolutionLimited), "RESOLUTION_LIMITED");
  EXPECT_EQ(TrueVerdictName(TrueVerdict::kMixed), "MIXED");
  EXPECT_EQ(TrueVerdictName(TrueVerdict::kInsufficient), "INSUFFICIENT");
}

}  // namespace
}  // namespace mirage::metrics
