#include "metrics/stats/deflation.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct DeflationCase {
  std::vector<double> differences;
  double benchmark;
  uint64_t n_trials;
  double trial_variance;
  // From deltagate.
  double standardized;
  double probabilistic;
  // From the formulas with SciPy's quantile.
  double deflated;
  // From deltagate, whose quantile is approximate.
  double deltagate_deflated;
};

struct MaximumCase {
  uint64_t n_trials;
  double trial_variance;
  double scipy;
  double deltagate;
};

#include "metrics/stats/deflation_vectors.inc"

void ExpectClose(double actual, double expected, double relative) {
  EXPECT_NEAR(actual, expected, relative * std::abs(expected) + 1e-300);
}

TEST(DeflationTest, AgreesWithDeltagateAndScipy) {
  for (const DeflationCase& c : DeflationCases()) {
    SCOPED_TRACE(std::to_string(c.differences.size()) + " differences");
    const auto standardized = StandardizedDelta(c.differences);
    ASSERT_TRUE(standardized.ok()) << standardized.status();
    ExpectClose(*standardized, c.standardized, 1e-10);
    const auto probabilistic = ProbabilisticDelta(c.differences, c.benchmark);
    ASSERT_TRUE(probabilistic.ok()) << probabilistic.status();
    ExpectClose(*probabilistic, c.probabilistic, 1e-10);
    const auto deflated = DeflatedDelta(c.differences, c.n_trials, c.trial_variance);
    ASSERT_TRUE(deflated.ok()) << deflated.status();
    ExpectClose(*deflated, c.deflated, 1e-10);
    ExpectClose(*deflated, c.deltagate_deflated, 1e-7);
  }
}

TEST(DeflationTest, TheExpectedMaximumAgreesWithScipyAndDeltagate) {
  for (const MaximumCase& c : kMaximumCases) {
    SCOPED_TRACE(c.n_trials);
    const auto maximum = ExpectedMaxStandardizedDelta(c.n_trials, c.trial_variance);
    ASSERT_TRUE(maximum.ok()) << maximum.status();
    ExpectClose(*maximum, c.scipy, 1e-10);
    ExpectClose(*maximum, c.deltagate, 1e-8);
  }
}

TEST(DeflationTest, TrialsGiveTheirOwnVariance) {
  const std::vector<double> differences = {0.5, -0.25, 1, 0.75, 0, 0.5, 0.25};
  const std::vector<double> trials = {0.1, 0.3, -0.2, 0.8};
  // The variance of the trials is 0.53 / 3 by hand.
  EXPECT_NEAR(*DeflatedDelta(differences, trials), *DeflatedDelta(differences, 4, 0.53 / 3), 1e-14);
  // A benchmark above 0 only takes confidence away.
  EXPECT_LT(*DeflatedDelta(differences, trials), *ProbabilisticDelta(differences));
  EXPECT_EQ(*DeflatedDelta(differences, 1, 0.5), *ProbabilisticDelta(differences));
}

TEST(DeflationTest, OrderDoesNotMatter) {
  CounterRng rng(3, 0);
  std::vector<double> differences(101);
  for (double& x : differences) x = rng.Uniform() - 0.4;
  const double forward = *ProbabilisticDelta(differences, 0.1);
  std::reverse(differences.begin(), differences.end());
  EXPECT_EQ(*ProbabilisticDelta(differences, 0.1), forward);
  for (double& x : differences) x = -x;
  EXPECT_NEAR(*ProbabilisticDelta(differences, -0.1), 1 - forward, 1e-13);
}

// 20 tries of 100 differences without an effect, 1000 times. The best one's own confidence exceeds
// 95 % in about 64 % of the families; deflated it does in fewer than 5 % (the expected maximum is
// the benchmark, which the best beats by a standard error of 1.64 rarely). The standard error at
// 5 % is 0.7 %: a rate of 8 % would be found with a power of 97 %.
TEST(DeflationTest, TheBestOfManyIsNotSignificantOnceDeflated) {
  constexpr int kTrials = 1000;
  int naive = 0;
  int deflated = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    CounterRng rng(4, trial);
    std::vector<double> deltas(20);
    std::vector<double> best;
    for (double& delta : deltas) {
      std::vector<double> differences(100);
      for (double& x : differences) x = static_cast<double>(rng.Below(3)) - 1;
      delta = *StandardizedDelta(differences);
      if (best.empty() || delta > *StandardizedDelta(best)) best = differences;
    }
    naive += *ProbabilisticDelta(best) > 0.95 ? 1 : 0;
    deflated += *DeflatedDelta(best, deltas) > 0.95 ? 1 : 0;
  }
  EXPECT_GT(naive, 0.55 * kTrials);
  EXPECT_LT(deflated, 0.065 * kTrials);
}

TEST(DeflationTest, BadInputIsNamed) {
  const auto message = [](const auto& result) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(result.status().message());
  };
  const std::vector<double> good = {0.5, -0.25, 1, 0.75};
  for (const double bad : {kNan, kInf, -kInf}) {
    const std::vector<double> differences = {0.5, bad, 1, 0.75};
    EXPECT_THAT(message(StandardizedDelta(differences)), HasSubstr("differences[1] is "));
    EXPECT_THAT(message(ProbabilisticDelta(differences)), HasSubstr("differences[1] is "));
    EXPECT_THAT(message(DeflatedDelta(good, differences)), HasSubstr("trial_deltas[1] is "));
    EXPECT_THAT(message(ProbabilisticDelta(good, bad)), HasSubstr("benchmark is "));
    EXPECT_THAT(message(DeflatedDelta(good, 3, bad)), HasSubstr("trial_variance is "));
  }
  EXPECT_THAT(message(StandardizedDelta({})), HasSubstr("differences has 0 values: at least 2"));
  EXPECT_THAT(message(StandardizedDelta(std::vector<double>{1})), HasSubstr("at least 2"));
  EXPECT_THAT(message(ProbabilisticDelta(std::vector<double>{1, 2, 3})), HasSubstr("at least 4"));
  EXPECT_THAT(message(ProbabilisticDelta(std::vector<double>(9, 0.1))),
              HasSubstr("differences are all 0.1"));
  EXPECT_THAT(message(StandardizedDelta(std::vector<double>{1e308, -1e308, 1e308})),
              HasSubstr("scale them down"));
  EXPECT_THAT(message(DeflatedDelta(good, std::vector<double>{1})),
              HasSubstr("trial_deltas has 1 values"));
  EXPECT_THAT(message(DeflatedDelta(good, std::vector<double>{1e308, -1e308})),
              HasSubstr("trial_deltas are so large"));
  EXPECT_THAT(message(ExpectedMaxStandardizedDelta(0, 1)), HasSubstr("n_trials is 0"));
  EXPECT_THAT(message(ExpectedMaxStandardizedDelta(3, -1)), HasSubstr("trial_variance is -1"));
}

}  // namespace
}  // namespace mirage::metrics
