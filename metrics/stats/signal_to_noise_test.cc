#include "metrics/stats/signal_to_noise.h"

#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

using Values = std::vector<double>;

struct SignalCase {
  Values models;
  Values checkpoints;
  double signal;
  double noise;
  double ratio;
  // With the paper's program, which divides by n.
  double paper_ratio;
};

struct DecisionCase {
  Values small;
  Values large;
  // (1 + tau_a) / 2 by enumeration, and the paper's program where nothing is tied.
  double accuracy;
  double paper_accuracy;
};

#include "metrics/stats/signal_to_noise_vectors.inc"

TEST(SignalToNoiseTest, AgreesWithNumpy) {
  for (const SignalCase& c : SignalCases()) {
    const auto result = SignalToNoiseRatio(c.models, c.checkpoints);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_NEAR(*result->signal, c.signal, 1e-10 * c.signal);
    EXPECT_NEAR(*result->noise, c.noise, 1e-10 * c.noise);
    EXPECT_NEAR(*result->ratio, c.ratio, 1e-10 * c.ratio);
    const auto paper = SignalToNoiseRatio(c.models, c.checkpoints, CheckpointSpread::kPopulation);
    EXPECT_NEAR(*paper->ratio, c.paper_ratio, 1e-10 * c.paper_ratio);
    EXPECT_EQ(paper->signal, result->signal);
    const Values models(c.models.rbegin(), c.models.rend());
    const Values checkpoints(c.checkpoints.rbegin(), c.checkpoints.rend());
    EXPECT_EQ(SignalToNoiseRatio(models, checkpoints)->ratio, result->ratio);
  }
}

TEST(SignalToNoiseTest, DecisionsAgreeWithEnumeration) {
  for (const DecisionCase& c : DecisionCases()) {
    const auto accuracy = DecisionAccuracy(c.small, c.large);
    ASSERT_TRUE(accuracy.ok()) << accuracy.status();
    EXPECT_NEAR(*accuracy, c.accuracy, 1e-12);
    if (!std::isnan(c.paper_accuracy)) {
      EXPECT_NEAR(*accuracy, c.paper_accuracy, 1e-12);
    }
    EXPECT_EQ(*DecisionAccuracy(c.large, c.small), *accuracy);
  }
}

TEST(SignalToNoiseTest, NegativeMetricsHavePositiveFigures) {
  const auto up = SignalToNoiseRatio(Values{1, 2, 4}, Values{3, 3.5, 4});
  const auto down = SignalToNoiseRatio(Values{-1, -2, -4}, Values{-3, -3.5, -4});
  EXPECT_EQ(up->signal, down->signal);
  EXPECT_EQ(up->noise, down->noise);
  EXPECT_EQ(up->ratio, down->ratio);
  EXPECT_GT(*down->ratio, 0);
}

TEST(SignalToNoiseTest, EdgeCases) {
  const auto one_model = SignalToNoiseRatio(Values{0.5}, Values{0.5, 0.75});
  EXPECT_FALSE(one_model->signal.has_value());
  EXPECT_TRUE(one_model->noise.has_value());
  EXPECT_FALSE(one_model->ratio.has_value());
  const auto one_checkpoint = SignalToNoiseRatio(Values{0.5, 0.25}, Values{0.5});
  EXPECT_TRUE(one_checkpoint->signal.has_value());
  EXPECT_FALSE(one_checkpoint->noise.has_value());
  EXPECT_FALSE(one_checkpoint->ratio.has_value());
  const auto still = SignalToNoiseRatio(Values{0.5, 0.25}, Values{0.3, 0.3, 0.3});
  EXPECT_EQ(still->noise, 0);
  EXPECT_FALSE(still->ratio.has_value());
  // No signal is a number: the metric cannot tell these models apart.
  const auto flat = SignalToNoiseRatio(Values{0.5, 0.5}, Values{0.25, 0.5});
  EXPECT_EQ(flat->signal, 0);
  EXPECT_EQ(flat->ratio, 0);
}

TEST(SignalToNoiseTest, TiesCountAHalf) {
  EXPECT_EQ(*DecisionAccuracy(Values{1, 2}, Values{3, 4}), 1);
  EXPECT_EQ(*DecisionAccuracy(Values{1, 2}, Values{4, 3}), 0);
  EXPECT_EQ(*DecisionAccuracy(Values{1, 1}, Values{3, 4}), 0.5);
  EXPECT_EQ(*DecisionAccuracy(Values{1, 2}, Values{3, 3}), 0.5);
  EXPECT_EQ(*DecisionAccuracy(Values{1, 1}, Values{3, 3}), 0.5);
  EXPECT_EQ(*DecisionAccuracy(Values{-kInf, 1, 2}, Values{-kInf, 4, 5}), 1);
  EXPECT_EQ(*DecisionAccuracy(Values{-kInf, -kInf}, Values{4, 5}), 0.5);
}

TEST(SignalToNoiseTest, BadInputIsNamed) {
  const auto message = [](const auto& result) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(result.status().message());
  };
  const Values good = {0.5, 0.25};
  for (const double bad : {kNan, kInf, -kInf}) {
    const Values values = {0.5, bad};
    EXPECT_THAT(message(SignalToNoiseRatio(values, good)), HasSubstr("models[1] is "));
    EXPECT_THAT(message(SignalToNoiseRatio(good, values)), HasSubstr("checkpoints[1] is "));
  }
  EXPECT_THAT(message(SignalToNoiseRatio({}, good)), HasSubstr("models is empty"));
  EXPECT_THAT(message(SignalToNoiseRatio(good, {})), HasSubstr("checkpoints is empty"));
  const Values zero = {-0.5, 0.5};
  EXPECT_THAT(message(SignalToNoiseRatio(zero, good)), HasSubstr("models have a mean of 0"));
  EXPECT_THAT(message(SignalToNoiseRatio(good, zero)), HasSubstr("checkpoints have a mean of 0"));
  const Values huge = {1.5e308, -1.4e308};
  EXPECT_THAT(message(SignalToNoiseRatio(huge, good)), HasSubstr("models are so large"));
  EXPECT_THAT(message(SignalToNoiseRatio(good, huge)), HasSubstr("checkpoints are so large"));
  EXPECT_THAT(message(SignalToNoiseRatio(good, Values{1e200, 2e200})),
              HasSubstr("checkpoints are so large"));
  EXPECT_THAT(message(DecisionAccuracy(good, Values{1})),
              HasSubstr("large has 1 values: must have one for each of the 2 models"));
  EXPECT_THAT(message(DecisionAccuracy(Values{1}, Values{1})), HasSubstr("small has 1 values"));
  EXPECT_THAT(message(DecisionAccuracy(good, Values{1, kNan})), HasSubstr("large[1] is nan"));
  EXPECT_THAT(message(DecisionAccuracy(Values{kNan, 1}, good)), HasSubstr("small[0] is nan"));
}

}  // namespace
}  // namespace mirage::metrics
