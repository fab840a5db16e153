#include "metrics/kernels/likelihood.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace mirage::metrics {
namespace {

using ::testing::DoubleNear;
using ::testing::IsNan;

TEST(LikelihoodTest, AgreesWithHighPrecisionReference) {
  // mpmath, 40 digits.
  const LikelihoodScores s = ScoreLikelihood(
      {.log_likelihood = -2.1708704463219135, .n_bytes = 3, .n_chars = 3, .is_greedy = false});
  EXPECT_EQ(s.log_p_target, -2.1708704463219135);
  EXPECT_THAT(s.p_target, DoubleNear(0.1140782746664695, 1e-15));
  EXPECT_THAT(s.expected_edit_distance, DoubleNear(1.5450248716485773, 1e-15));
  EXPECT_THAT(s.nll_per_char, DoubleNear(2.1708704463219135 / 3, 1e-16));
  EXPECT_THAT(s.bits_per_byte, DoubleNear(2.1708704463219135 / 3 / std::log(2.0), 1e-15));
  EXPECT_EQ(s.expected_accuracy, s.p_target);
  EXPECT_EQ(s.greedy_match, 0);
  EXPECT_THAT(s.nll_per_token, IsNan());
}

TEST(LikelihoodTest, TokensTakePrecedenceInTheExpectedEditDistance) {
  const LikelihoodScores s = ScoreLikelihood({.log_likelihood = -2, .n_tokens = 2, .n_chars = 10});
  EXPECT_THAT(s.expected_edit_distance, DoubleNear(2 * (1 - std::exp(-1.0)), 1e-15));
  EXPECT_EQ(s.nll_per_token, 1);
  EXPECT_THAT(s.greedy_match, IsNan());
}

TEST(LikelihoodTest, CertainTargetKeepsItsDigits) {
  const LikelihoodScores s = ScoreLikelihood({.log_likelihood = -1e-17, .n_chars = 1});
  EXPECT_THAT(s.expected_edit_distance, DoubleNear(1e-17, 1e-30));
}

TEST(LikelihoodTest, ImpossibleTarget) {
  const LikelihoodScores s =
      ScoreLikelihood({.log_likelihood = -std::numeric_limits<double>::infinity(), .n_chars = 4});
  EXPECT_EQ(s.p_target, 0);
  EXPECT_EQ(s.expected_accuracy, 0);
  EXPECT_EQ(s.expected_edit_distance, 4);
  EXPECT_EQ(s.nll_per_char, std::numeric_limits<double>::infinity());
}

TEST(LikelihoodTest, EmptyTargetHasNoPerUnitScore) {
  const LikelihoodScores s = ScoreLikelihood({.log_likelihood = 0, .n_bytes = 0, .n_chars = 0});
  EXPECT_EQ(s.p_target, 1);
  EXPECT_THAT(s.nll_per_byte, IsNan());
  EXPECT_THAT(s.expected_edit_distance, IsNan());
}

}  // namespace
}  // namespace mirage::metrics
