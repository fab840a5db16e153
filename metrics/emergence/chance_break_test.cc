#include "metrics/emergence/chance_break.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kTen = 2.302585092994046;

struct ChanceCase {
  std::vector<double> x;
  std::vector<double> value;
  std::vector<double> error;
  double chance = 0;
  int outcome = 0;
  double p = 0;
  double place = 0;
  size_t n_before = 0;
  size_t n_after = 0;
  double window = 0;
};

#include "metrics/emergence/chance_break_vectors.inc"

std::vector<ChancePoint> PointsOf(const std::vector<double>& x, const std::vector<double>& value,
                                  const std::vector<double>& error) {
  std::vector<ChancePoint> points;
  for (size_t i = 0; i < x.size(); ++i) points.push_back({x[i], value[i], error[i]});
  return points;
}

// One unit of x between sizes.
std::vector<ChancePoint> Curve(const std::vector<double>& values) {
  std::vector<ChancePoint> points;
  points.reserve(values.size());
  for (const double value : values) {
    points.push_back({static_cast<double>(points.size()), value, 0.01 * value});
  }
  return points;
}

ChanceBreak Find(const std::vector<ChancePoint>& points, double chance = kTen) {
  const auto found = FindChanceBreak(points, chance);
  EXPECT_TRUE(found.ok()) << found.status();
  return found.value_or(ChanceBreak{});
}

TEST(ChanceBreakTest, AgreesWithScipyInAnyOrder) {
  for (const ChanceCase& c : ChanceCases()) {
    const ChanceBreak found = Find(PointsOf(c.x, c.value, c.error), c.chance);
    EXPECT_EQ(static_cast<int>(found.outcome), c.outcome);
    EXPECT_NEAR(found.p_value, c.p, 1e-11 * c.p + 1e-300);
    EXPECT_EQ(found.n_before, c.n_before);
    EXPECT_EQ(found.n_after, c.n_after);
    EXPECT_NEAR(found.window, c.window, 1e-12);
    ASSERT_EQ(found.x.has_value(), !std::isnan(c.place));
    if (found.x) {
      EXPECT_NEAR(*found.x, c.place, 1e-12);
    }
  }
}

// The units digit of three-digit sums: ten sizes of a real family.
TEST(ChanceBreakTest, ADigitThatIsLearnedAtOnce) {
  const std::vector<double> parameters = {656,   2080,  3080,   7232,   15456,
                                          26752, 58560, 102656, 227712, 401920};
  const std::vector<double> nll = {2.315, 2.305, 2.307,  0.047,  0.300,
                                   0.030, 0.002, 0.0005, 0.0003, 0.0002};
  std::vector<ChancePoint> points;
  for (size_t i = 0; i < nll.size(); ++i) {
    points.push_back({std::log(parameters[i]), nll[i], i < 3 ? 0.003 : 0.05 * nll[i]});
  }
  const ChanceBreak found = Find(points);
  EXPECT_EQ(found.outcome, ChanceOutcome::kTested);
  EXPECT_LT(found.p_value, 0.005);
  EXPECT_NEAR(std::exp(*found.x), std::sqrt(3080.0 * 7232), 1e-6);
  EXPECT_TRUE(found.is_within_one_gap);
  EXPECT_EQ(found.n_before, 3);
}

TEST(ChanceBreakTest, ALawThatFallsFromTheSecondSizeOnIsNotTested) {
  // The units digit of products of two-digit numbers.
  const ChanceBreak found =
      Find(Curve({2.191, 1.872, 1.094, 0.096, 0.015, 0.008, 0.003, 0.002, 0.012, 0.004}));
  EXPECT_EQ(found.outcome, ChanceOutcome::kTooFewAtChance);
  EXPECT_EQ(found.p_value, 1);
  EXPECT_FALSE(found.x);
}

TEST(ChanceBreakTest, NeedsSizesOnBothSides) {
  EXPECT_EQ(Find({}).outcome, ChanceOutcome::kTooFewAtChance);
  EXPECT_EQ(Find(Curve({kTen})).outcome, ChanceOutcome::kTooFewAtChance);
  EXPECT_EQ(Find(Curve({kTen, kTen, 0.1, 0.1})).outcome, ChanceOutcome::kTooFewAtChance);
  EXPECT_EQ(Find(Curve({kTen, kTen, kTen, 0.1})).outcome, ChanceOutcome::kTooFewAfter);
  EXPECT_EQ(Find(Curve({kTen, kTen, kTen, kTen, kTen})).outcome, ChanceOutcome::kTooFewAfter);
  EXPECT_EQ(Find(Curve({kTen, kTen, kTen, 2.05, 2.05})).outcome, ChanceOutcome::kNoneLearned);
  EXPECT_EQ(Find(Curve({kTen, kTen, kTen, 0.1, 0.1})).outcome, ChanceOutcome::kTested);
}

TEST(ChanceBreakTest, OneOddModelIsAllowedTwoAreNot) {
  const double one = Find(Curve({kTen, kTen, kTen, 0.1, kTen, 0.1, 0.1, 0.1, 0.1, 0.1})).p_value;
  EXPECT_LT(one, 0.02);
  const ChanceBreak two = Find(Curve({kTen, kTen, kTen, 0.1, kTen, 0.1, kTen, 0.1, 0.1, 0.1}));
  EXPECT_EQ(two.outcome, ChanceOutcome::kBackAtChance);
  EXPECT_EQ(two.p_value, 1);
  // Of two sizes after none can be left out.
  EXPECT_GT(Find(Curve({kTen, kTen, kTen, 0.1, kTen})).p_value, 0.5);
}

TEST(ChanceBreakTest, SeedsInTwoModesAreATransition) {
  std::vector<ChancePoint> points = Curve({kTen, kTen, kTen, 0.1, 0.1, 0.1, 0.1});
  const ChanceBreak without = Find(points);
  // A size between, of which two seeds of three have not learned.
  for (const double value : {kTen, kTen, 0.1}) points.push_back({2.5, value, 0.01 * value});
  const ChanceBreak found = Find(points);
  EXPECT_EQ(found.n_before, 3);
  EXPECT_FALSE(found.is_within_one_gap);
  EXPECT_TRUE(without.is_within_one_gap);
  EXPECT_EQ(found.x, without.x);
  EXPECT_LT(found.p_value, 0.01);
}

TEST(ChanceBreakTest, ReplicatesShowTheScatter) {
  std::vector<ChancePoint> points = Curve({kTen, kTen, kTen, 1.9, 0.01, 0.01});
  for (const double value : {0.001, 0.05}) points.push_back({3, value, 0.01 * value});
  const ChanceBreak found = Find(points);
  // Sample standard deviation of ln s over the three.
  const std::vector<double> logs = {std::log(std::log(kTen / 1.9)),
                                    std::log(std::log(kTen / 0.001)),
                                    std::log(std::log(kTen / 0.05))};
  const double mean = (logs[0] + logs[1] + logs[2]) / 3;
  double squares = 0;
  for (const double log : logs) squares += (log - mean) * (log - mean);
  EXPECT_NEAR(found.tau, std::sqrt(squares / 2), 1e-12);
  EXPECT_GT(found.tau, kChanceMinScatter);
}

// Smooth laws that begin at chance: a power law of s, whose models scatter by more than the test
// assumes at the least. 500 families, in each of which the part may be tested wherever its noise
// puts the end of chance: at 5 % at most 25 are expected; 40 or more have probability .003.
TEST(ChanceBreakTest, RarelyFindsABreakInASlowRise) {
  CounterRng rng(11, 0);
  const auto normal = [&rng] { return NormalQuantile(rng.Uniform() * (1 - 1e-12) + 5e-13); };
  int found = 0;
  int tested = 0;
  for (int family = 0; family < 500; ++family) {
    std::vector<ChancePoint> points;
    for (int i = 0; i < 10; ++i) {
      const double x = 0.7 * i;
      const double s = x <= 2.1 ? 0 : 0.3 * (x - 1.4) * std::exp(0.5 * normal());
      const double value = kTen * std::exp(-s + 0.01 * normal());
      points.push_back({x, value, 0.01 * value});
    }
    const ChanceBreak one = Find(points);
    tested += one.outcome == ChanceOutcome::kTested ? 1 : 0;
    found += one.p_value < 0.05 ? 1 : 0;
  }
  EXPECT_GT(tested, 400);
  EXPECT_LT(found, 40);
}

TEST(ChanceBreakTest, BadInputIsNamed) {
  const std::vector<ChancePoint> good = Curve({1, 1, 1});
  EXPECT_THAT(std::string(FindChanceBreak(good, 0).status().message()), HasSubstr("chance is 0"));
  EXPECT_THAT(std::string(FindChanceBreak(good, kNan).status().message()), HasSubstr("chance"));
  std::vector<ChancePoint> bad = good;
  bad[1].value = -1;
  EXPECT_THAT(std::string(FindChanceBreak(bad, 1).status().message()),
              HasSubstr("points[1].value is -1"));
  bad = good;
  bad[2].x = kNan;
  EXPECT_THAT(std::string(FindChanceBreak(bad, 1).status().message()), HasSubstr("points[2].x"));
  bad = good;
  bad[0].standard_error = std::numeric_limits<double>::infinity();
  EXPECT_EQ(FindChanceBreak(bad, 1).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ChanceBreakTest, AValueOfZeroIsLearned) {
  const ChanceBreak found = Find(Curve({kTen, kTen, kTen, 0, 0}));
  EXPECT_EQ(found.outcome, ChanceOutcome::kTested);
  EXPECT_GT(found.p_value, 0);
  EXPECT_LT(found.p_value, 1e-6);
}

}  // namespace
}  // namespace mirage::metrics
