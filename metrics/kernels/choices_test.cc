#include "metrics/kernels/choices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace mirage::metrics {
namespace {

using ::testing::DoubleNear;
using ::testing::IsNan;

constexpr double kInf = std::numeric_limits<double>::infinity();

struct Sample {
  std::vector<double> ll;
  std::vector<double> baseline;
  std::vector<uint32_t> chars, bytes, tokens, golds;
  ChoicesView View() const { return {ll, baseline, chars, bytes, tokens, golds}; }
};

// A row of a real run; expected values by mpmath with 40 digits.
Sample RealRow() {
  return {.ll = {-2.4243671667468343, -5.8545849217253, -5.229091360806835, -0.6545208968384573},
          .baseline = {},
          .chars = {4, 5, 4, 5},
          .bytes = {4, 5, 4, 5},
          .tokens = {},
          .golds = {3}};
}

TEST(ChoicesTest, RealRowAgreesWithHighPrecisionReference) {
  const ChoiceScores s = ScoreChoices(RealRow().View());
  EXPECT_EQ(s.acc, 1);
  EXPECT_EQ(s.acc_norm, 1);
  EXPECT_EQ(s.acc_bytes, 1);
  EXPECT_EQ(s.log_p_gold, -0.6545208968384573);
  EXPECT_THAT(s.log_p_gold_choices, DoubleNear(-0.17074321443138857, 1e-15));
  EXPECT_THAT(s.brier_score, DoubleNear(0.04536073691768175, 1e-15));
  EXPECT_THAT(s.brier_mean, DoubleNear(0.04536073691768175 / 4, 1e-15));
  EXPECT_THAT(s.brier_target, DoubleNear(0.02463706138296172, 1e-15));
  EXPECT_THAT(s.brier_top, DoubleNear(0.02463706138296172, 1e-15));  // the top choice is the gold
  EXPECT_THAT(s.p_wrong_mass, DoubleNear(0.09675924586431642, 1e-15));
  EXPECT_THAT(s.margin, DoubleNear(1.769846269908377, 1e-14));
  EXPECT_THAT(s.margin_norm, DoubleNear(2.3759380615950856, 1e-14));
  EXPECT_THAT(s.chance_margin, DoubleNear(-2.4436586222138049, 1e-14));
  EXPECT_THAT(s.nll_per_char, DoubleNear(0.6545208968384573 / 5, 1e-16));
  EXPECT_THAT(s.bits_per_byte, DoubleNear(0.6545208968384573 / 5 / std::log(2.0), 1e-16));
  EXPECT_EQ(s.rank, 1);
  EXPECT_THAT(s.nll_per_token, IsNan()) << "no token counts were given";
  EXPECT_THAT(s.acc_mutual_info, IsNan()) << "no baseline was given";
}

TEST(ChoicesTest, SeveralGoldsSumTheirMass) {
  Sample sample = RealRow();
  sample.golds = {0, 3};
  const ChoiceScores s = ScoreChoices(sample.View());
  EXPECT_THAT(s.log_p_gold, DoubleNear(-0.49721020698255744, 1e-15));
  EXPECT_THAT(s.brier_score, DoubleNear(0.24477949908318320, 1e-15));
  EXPECT_THAT(s.margin, DoubleNear(-0.6545208968384573 + 5.229091360806835, 1e-14));
  EXPECT_THAT(s.chance_margin, IsNan());
}

TEST(ChoicesTest, FirstOfTiedChoicesWins) {
  Sample sample{.ll = {-1, -1, -1}, .golds = {1}};
  ChoiceScores s = ScoreChoices(sample.View());
  EXPECT_EQ(s.acc, 0);
  EXPECT_EQ(s.rank, 1) << "no choice is strictly better";
  EXPECT_EQ(s.margin, 0);
  sample.golds = {0};
  EXPECT_EQ(ScoreChoices(sample.View()).acc, 1);
}

TEST(ChoicesTest, OneChoiceHasNoWrongOne) {
  const Sample sample{.ll = {-3}, .golds = {0}};
  const ChoiceScores s = ScoreChoices(sample.View());
  EXPECT_EQ(s.acc, 1);
  EXPECT_EQ(s.p_gold_choices, 1);
  EXPECT_EQ(s.p_wrong_mass, 0);
  EXPECT_THAT(s.margin, IsNan());
  EXPECT_THAT(s.chance_margin, IsNan());
}

TEST(ChoicesTest, ImpossibleChoicesAreDefined) {
  Sample sample{.ll = {-kInf, -2}, .golds = {0}};
  ChoiceScores s = ScoreChoices(sample.View());
  EXPECT_EQ(s.acc, 0);
  EXPECT_EQ(s.log_p_gold, -kInf);
  EXPECT_EQ(s.p_gold, 0);
  EXPECT_EQ(s.log_p_gold_choices, -kInf);
  EXPECT_EQ(s.p_gold_choices, 0);
  EXPECT_EQ(s.brier_score, 2);
  EXPECT_EQ(s.margin, -kInf);
  sample.ll = {-kInf, -kInf};
  s = ScoreChoices(sample.View());
  EXPECT_EQ(s.log_p_gold, -kInf);
  EXPECT_THAT(s.p_gold_choices, IsNan()) << "no distribution over impossible choices";
  EXPECT_THAT(s.brier_score, IsNan());
  EXPECT_THAT(s.margin, IsNan());
}

TEST(ChoicesTest, VeryUnlikelyChoicesDoNotUnderflow) {
  const Sample sample{.ll = {-5000, -5001}, .golds = {0}};
  const ChoiceScores s = ScoreChoices(sample.View());
  EXPECT_THAT(s.p_gold_choices, DoubleNear(1 / (1 + std::exp(-1.0)), 1e-15));
  EXPECT_EQ(s.p_gold, 0) << "exp(-5000) underflows; log_p_gold keeps it";
}

TEST(ChoicesTest, EmptyChoiceTextHasNoPerUnitScore) {
  const Sample sample{.ll = {-1, -2}, .chars = {0, 3}, .bytes = {0, 3}, .golds = {0}};
  const ChoiceScores s = ScoreChoices(sample.View());
  EXPECT_THAT(s.nll_per_char, IsNan());
  EXPECT_THAT(s.nll_per_byte, IsNan());
  EXPECT_EQ(s.acc_norm, 0) << "-1/0 = -inf loses, as in the harness";
}

// Against the definitions written the slow way, on 20 000 random samples with
// 1 to 9 choices, ties and impossible choices included.
TEST(ChoicesTest, AgreesWithSlowDefinitions) {
  std::mt19937_64 rng(1);
  std::uniform_int_distribution<int> n_choices(1, 9), length(1, 30), coin(0, 9);
  std::uniform_real_distribution<double> ll(-12, 0);
  for (int trial = 0; trial < 20000; ++trial) {
    Sample x;
    const int n = n_choices(rng);
    for (int k = 0; k < n; ++k) {
      x.ll.push_back(coin(rng) == 0 ? -kInf : coin(rng) == 0 ? -1.0 : ll(rng));
      x.baseline.push_back(ll(rng));
      x.chars.push_back(length(rng));
      x.bytes.push_back(length(rng));
    }
    const uint32_t g = std::uniform_int_distribution<int>(0, n - 1)(rng);
    x.golds = {g};
    const ChoiceScores s = ScoreChoices(x.View());
    long double sum = 0;
    for (const double v : x.ll) sum += std::exp(static_cast<long double>(v));
    if (sum == 0) continue;
    long double brier = 0, wrong = 0;
    double best_wrong = -kInf, best_norm = -kInf;
    for (int k = 0; k < n; ++k) {
      const long double q = std::exp(static_cast<long double>(x.ll[k])) / sum;
      const bool gold = static_cast<uint32_t>(k) == g;
      brier += (q - gold) * (q - gold);
      if (gold) continue;
      wrong += std::exp(static_cast<long double>(x.ll[k]));
      best_wrong = std::max(best_wrong, x.ll[k]);
      best_norm = std::max(best_norm, x.ll[k] / x.chars[k]);
    }
    EXPECT_THAT(s.brier_score, DoubleNear(static_cast<double>(brier), 1e-14));
    EXPECT_THAT(s.p_wrong_mass, DoubleNear(static_cast<double>(wrong), 1e-14));
    EXPECT_THAT(
        s.p_gold_choices,
        DoubleNear(static_cast<double>(std::exp(static_cast<long double>(x.ll[g])) / sum), 1e-14));
    EXPECT_EQ(s.acc, (std::max_element(x.ll.begin(), x.ll.end()) - x.ll.begin()) == g);
    if (n > 1 && x.ll[g] > -kInf) {
      EXPECT_DOUBLE_EQ(s.margin, x.ll[g] - best_wrong);
      // The margin that decides acc_norm has the sign of the decision.
      if (x.ll[g] / x.chars[g] > best_norm) {
        EXPECT_EQ(s.acc_norm, 1);
        EXPECT_GT(s.margin_norm, 0);
      } else if (x.ll[g] / x.chars[g] < best_norm) {
        EXPECT_EQ(s.acc_norm, 0);
        EXPECT_LT(s.margin_norm, 0);
      }
    }
  }
}

// Exchangeable choices have a mean margin equal to the mean chance margin: the
// gold is drawn uniformly, so over 200 000 samples the two means differ by less
// than five standard errors (a false alarm in 2e6 runs; a bias of 0.02 nat in
// the definition would be seen with probability above 0.99).
TEST(ChoicesTest, ChanceMarginIsWhatGuessingGives) {
  std::mt19937_64 rng(7);
  std::normal_distribution<double> normal(-6, 1);
  std::uniform_int_distribution<uint32_t> gold(0, 3);
  double sum = 0, sum_sq = 0;
  const int n = 200000;
  for (int i = 0; i < n; ++i) {
    Sample x;
    for (int k = 0; k < 4; ++k) x.ll.push_back(normal(rng));
    x.golds = {gold(rng)};
    const ChoiceScores s = ScoreChoices(x.View());
    const double d = s.margin - s.chance_margin;
    sum += d;
    sum_sq += d * d;
  }
  const double mean = sum / n;
  EXPECT_LT(std::abs(mean), 5 * std::sqrt((sum_sq / n - mean * mean) / n));
}

TEST(ChoicesTest, FirstArgmaxSkipsNan) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(FirstArgmax(std::vector<double>{nan, -2, -1, -1}), 2u);
  EXPECT_EQ(FirstArgmax({}), 0u);
}

}  // namespace
}  // namespace mirage::metrics
