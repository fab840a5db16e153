#include "metrics/emergence/simulation_spec.h"

#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

TEST(SimulationSpecTest, PresetsFillEverything) {
  std::set<std::string_view> names;
  for (const SimulationPreset& preset : SimulationPresets()) {
    SCOPED_TRACE(preset.name);
    EXPECT_TRUE(names.insert(preset.name).second);
    EXPECT_EQ(preset.summary.back(), '.');
    const auto spec = FillSimulationSpec({.truth = std::string(preset.name), .seed = 7});
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_EQ(spec->truth, preset.name);
    EXPECT_EQ(spec->family, preset.name);
    EXPECT_EQ(spec->seed, 7u);
    EXPECT_NE(spec->evidence, SimulatedEvidence::kUnspecified);
    EXPECT_NE(spec->law, SimulatedLaw::kUnspecified);
    EXPECT_FALSE(spec->scales.empty() || spec->target_lengths.empty());
    EXPECT_TRUE(spec->n_samples && spec->n_seeds && spec->c && spec->alpha && spec->curvature &&
                spec->floor && spec->vocabulary && spec->greedy && spec->n_choices &&
                spec->wrong_choice_share && spec->threshold && spec->n_trials && spec->item_cv &&
                spec->position_cv && spec->tau && spec->wrong_gold_share);
    // A filled specification is its own fixed point.
    const auto again = FillSimulationSpec(*spec);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->scales, spec->scales);
    EXPECT_EQ(again->c, spec->c);
    EXPECT_EQ(again->breaks.size(), spec->breaks.size());
  }
  EXPECT_EQ(SimulationPresets()[0].name, "paper");
}

TEST(SimulationSpecTest, TheDefaultIsThePaper) {
  const auto spec = FillSimulationSpec({});
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(spec->truth, "paper");
  EXPECT_EQ(spec->c, 2e9);
  EXPECT_EQ(spec->alpha, -0.5);
  EXPECT_EQ(spec->law, SimulatedLaw::kPowerLaw);
  EXPECT_TRUE(spec->breaks.empty());
  EXPECT_EQ(*spec->item_cv + *spec->position_cv + *spec->tau + *spec->floor, 0);
}

TEST(SimulationSpecTest, GivenValuesStand) {
  SimulationSpec given;
  given.truth = "break";
  given.family = "mine";
  given.scales = {1, 2, 3};
  given.n_samples = 5;
  given.n_choices = 2;
  given.item_cv = 0;
  given.greedy = true;
  given.breaks = {{.scale = 2, .delta_exponent = 1}};
  given.outlier = 2;
  given.outlier_factor = 3;
  const auto spec = FillSimulationSpec(given);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->family, "mine");
  EXPECT_EQ(spec->scales.size(), 3u);
  EXPECT_EQ(spec->n_samples, 5u);
  // The preset's share does not fit two choices.
  EXPECT_EQ(spec->wrong_choice_share, 1);
  EXPECT_EQ(spec->item_cv, 0);
  EXPECT_EQ(spec->greedy, true);
  EXPECT_EQ(spec->breaks[0].delta_exponent, 1);
  EXPECT_EQ(spec->outlier_factor, 3);
  EXPECT_EQ(spec->alpha, -0.05);
}

TEST(SimulationSpecTest, RefusalsNameTheField) {
  const auto unknown = FillSimulationSpec({.truth = "papr"});
  EXPECT_TRUE(absl::IsNotFound(unknown.status()));
  EXPECT_THAT(std::string(unknown.status().message()),
              StartsWith("truth is \"papr\": must be one of paper, mirage, "));

  using Change = std::function<void(SimulationSpec&)>;
  const std::vector<std::pair<std::string, Change>> cases = {
      {"scales is 1: ", [](auto& s) { s.scales = {1}; }},
      {"scales[1] is 1: ",
       [](auto& s) {
         s.scales = {1, 1};
       }},
      {"scales[0] is 0: ",
       [](auto& s) {
         s.scales = {0, 1};
       }},
      {"scales[1] is inf: ",
       [](auto& s) {
         s.scales = {1, kInf};
       }},
      {"scales[0] is nan: ",
       [](auto& s) {
         s.scales = {kNan, 1};
       }},
      {"scales is 10001: ", [](auto& s) { s.scales.assign(10001, 1); }},
      {"n_samples is 1: ", [](auto& s) { s.n_samples = 1; }},
      {"n_samples is 10000001: ", [](auto& s) { s.n_samples = 10000001; }},
      {"n_seeds is 0: ", [](auto& s) { s.n_seeds = 0; }},
      {"n_seeds is 1001: ", [](auto& s) { s.n_seeds = 1001; }},
      {"c is 0: ", [](auto& s) { s.c = 0; }},
      {"c is inf: ", [](auto& s) { s.c = kInf; }},
      {"alpha is 0: ", [](auto& s) { s.alpha = 0; }},
      {"alpha is nan: ", [](auto& s) { s.alpha = kNan; }},
      {"alpha is -inf: ", [](auto& s) { s.alpha = -kInf; }},
      {"curvature is nan: ", [](auto& s) { s.curvature = kNan; }},
      {"floor is -1: ", [](auto& s) { s.floor = -1; }},
      {"floor is inf: ", [](auto& s) { s.floor = kInf; }},
      {"breaks[0].scale is 0: ", [](auto& s) { s.breaks = {{.scale = 0}}; }},
      {"breaks[1].scale is nan: ",
       [](auto& s) {
         s.breaks = {{.scale = 1}, {.scale = kNan}};
       }},
      {"breaks[0].delta_exponent is inf: ",
       [](auto& s) { s.breaks = {{.scale = 1, .delta_exponent = kInf}}; }},
      {"breaks[0].width is -1: ", [](auto& s) { s.breaks = {{.scale = 1, .width = -1}}; }},
      {"breaks[0].item_share is 1.5: ",
       [](auto& s) { s.breaks = {{.scale = 1, .item_share = 1.5}}; }},
      {"breaks[0].positions is 5: ", [](auto& s) { s.breaks = {{.scale = 1, .positions = {5}}}; }},
      {"breaks is 17: ", [](auto& s) { s.breaks.assign(17, {.scale = 1}); }},
      {"target_lengths[0] is 0: ", [](auto& s) { s.target_lengths = {0}; }},
      {"target_lengths[0] is 4097: ", [](auto& s) { s.target_lengths = {4097}; }},
      {"target_lengths[1] is 2: ",
       [](auto& s) {
         s.target_lengths = {2, 2};
       }},
      {"target_lengths is 65: ", [](auto& s) { s.target_lengths.assign(65, 1); }},
      {"target_lengths[0] is 4000: ",
       [](auto& s) {
         s.target_lengths = {4000};
         s.n_samples = 100000;
       }},
      {"vocabulary is 1: ", [](auto& s) { s.vocabulary = 1; }},
      {"n_choices is 1: ", [](auto& s) { s.n_choices = 1; }},
      {"n_choices is 1001: ", [](auto& s) { s.n_choices = 1001; }},
      {"wrong_choice_share is 0.2: ", [](auto& s) { s.wrong_choice_share = 0.2; }},
      {"wrong_choice_share is 1.1: ", [](auto& s) { s.wrong_choice_share = 1.1; }},
      {"threshold is 0: ", [](auto& s) { s.threshold = 0; }},
      {"n_trials is 0: ", [](auto& s) { s.n_trials = 0; }},
      {"n_trials is 1000001: ", [](auto& s) { s.n_trials = 1000001; }},
      {"item_cv is -1: ", [](auto& s) { s.item_cv = -1; }},
      {"item_cv is nan: ", [](auto& s) { s.item_cv = kNan; }},
      {"position_cv is 11: ", [](auto& s) { s.position_cv = 11; }},
      {"tau is 4: ", [](auto& s) { s.tau = 4; }},
      {"outlier and outlier_factor: ", [](auto& s) { s.outlier = 1; }},
      {"outlier and outlier_factor: ", [](auto& s) { s.outlier_factor = 1; }},
      {"outlier is 10: ",
       [](auto& s) {
         s.outlier = 10;
         s.outlier_factor = 2;
       }},
      {"outlier_factor is 0: ",
       [](auto& s) {
         s.outlier = 1;
         s.outlier_factor = 0;
       }},
      {"bimodality.scale is 0: ",
       [](auto& s) {
         s.bimodality = SimulatedBimodality{0, 1, 2};
       }},
      {"bimodality.width is -1: ",
       [](auto& s) {
         s.bimodality = SimulatedBimodality{1, -1, 2};
       }},
      {"bimodality.factor is 1: ",
       [](auto& s) {
         s.bimodality = SimulatedBimodality{1, 1, 1};
       }},
      {"wrong_gold_share is 1: ", [](auto& s) { s.wrong_gold_share = 1; }},
      {"wrong_gold_share is nan: ", [](auto& s) { s.wrong_gold_share = kNan; }},
  };
  for (const auto& [message, change] : cases) {
    SimulationSpec spec;
    change(spec);
    const auto filled = FillSimulationSpec(spec);
    EXPECT_TRUE(absl::IsInvalidArgument(filled.status())) << message;
    EXPECT_THAT(std::string(filled.status().message()), StartsWith(message));
  }
}

}  // namespace
}  // namespace mirage::metrics
