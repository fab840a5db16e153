#include "metrics/emergence/part_breaks.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/emergence/simulation.h"
#include "metrics/emergence/simulation_spec.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kTen = 2.302585092994046;

// Values of parts, and what FindPartBreaks takes of them.
struct Parts {
  std::vector<double> x;
  std::vector<std::vector<PartValue>> values;
  std::vector<PartCurve> Curves(std::optional<double> chance = std::nullopt,
                                bool is_generated = false) const {
    std::vector<PartCurve> curves;
    for (const auto& part : values) curves.push_back({part, chance, is_generated});
    return curves;
  }
};

std::vector<PartTest> Find(const std::vector<PartCurve>& curves, const std::vector<double>& x,
                           int replicates = 199) {
  auto tests = FindPartBreaks(curves, x, {.replicates = replicates});
  EXPECT_TRUE(tests.ok()) << tests.status();
  return tests.ok() ? *std::move(tests) : std::vector<PartTest>(curves.size());
}

// The NLL at each position of a simulated family, token by token.
Parts Simulated(std::string_view truth, uint64_t seed, double position_cv = 0) {
  SimulationSpec spec;
  spec.truth = std::string(truth);
  spec.seed = seed;
  if (position_cv > 0) spec.position_cv = position_cv;
  const auto simulation = Simulation::Create(spec);
  EXPECT_TRUE(simulation.ok()) << simulation.status();
  Parts parts;
  for (size_t j = 0; j < simulation->models().size(); ++j) {
    const SimulatedItems items = simulation->Answer(j, 0);
    parts.x.push_back(std::log(simulation->models()[j].parameters));
    parts.values.resize(items.length);
    for (size_t k = 0; k < items.length; ++k) {
      double sum = 0;
      double squares = 0;
      for (size_t i = 0; i < items.n; ++i) {
        const double nll = items.nll[i * items.length + k];
        sum += nll;
        squares += nll * nll;
      }
      const auto n = static_cast<double>(items.n);
      const double mean = sum / n;
      parts.values[k].push_back({mean, std::sqrt((squares / n - mean * mean) / (n - 1)), n});
    }
  }
  return parts;
}

// Ten sizes, .7 apart.
Parts Curve(const std::vector<double>& values, double n = 1000) {
  Parts parts;
  parts.values.emplace_back();
  for (size_t i = 0; i < values.size(); ++i) {
    parts.x.push_back(0.7 * static_cast<double>(i));
    parts.values[0].push_back({values[i], 0.02 * values[i], n});
  }
  return parts;
}

const std::vector<double> kLearned = {2.31, 2.30, 2.30, 2.30, 0.05, 0.03, 0.02, 0.01, 0.01, 0.01};

// Three positions that break one after the other, none of which stays at chance. Of 30 families at
// least one position is found in each, and 58 of the 90 in all (64 %): of 24 fewer than 8 would
// have probability .0005.
TEST(PartBreaksTest, StaggeredBreaksAreFound) {
  int found = 0;
  int families = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const Parts parts = Simulated("staggered_breaks", seed);
    int here = 0;
    for (const PartTest& test : Find(parts.Curves(), parts.x)) {
      EXPECT_TRUE(test.is_tested);
      here += test.q_value < kPartBreakQ ? 1 : 0;
    }
    found += here;
    families += here > 0 ? 1 : 0;
  }
  EXPECT_GE(found, 8);
  EXPECT_GE(families, 7);
}

// Smooth laws at positions that differ: of 60 families none shows a break. Two or more of 20 would
// have probability .61 at a rate of 10 %, and .02 at one of 1 %.
TEST(PartBreaksTest, SmoothLawsHaveNone) {
  int found = 0;
  for (const std::string_view truth : {"mirage", "logistic", "quadratic", "gradual", "noise"}) {
    for (uint64_t seed = 0; seed < 4; ++seed) {
      const Parts parts = Simulated(truth, seed, 0.7);
      const std::vector<PartTest> tests = Find(parts.Curves(), parts.x);
      found += std::any_of(tests.begin(), tests.end(),
                           [](const PartTest& test) { return test.q_value < kPartBreakQ; })
                   ? 1
                   : 0;
      EXPECT_TRUE(tests[0].is_tested);
    }
  }
  EXPECT_LE(found, 1);
}

TEST(PartBreaksTest, APositionThatStaysAtChanceIsFound) {
  const Parts parts = Curve(kLearned);
  const std::vector<PartTest> tests = Find(parts.Curves(kTen), parts.x);
  ASSERT_TRUE(tests[0].chance && tests[0].law);
  EXPECT_LT(tests[0].q_value, 0.001);
  // Two tests of one part: twice the smaller one.
  EXPECT_DOUBLE_EQ(tests[0].q_value, 2 * tests[0].chance->p_value);
  EXPECT_NEAR(*tests[0].x, 2.45, 1e-9);
  // Without chance the law's break is left.
  const std::vector<PartTest> laws = Find(parts.Curves(), parts.x);
  EXPECT_FALSE(laws[0].chance);
  EXPECT_EQ(laws[0].q_value, laws[0].law_p);
}

// The first size below .02 of the first value is the last one of the law.
TEST(PartBreaksTest, TheLawEndsAtTheCeiling) {
  const Parts parts = Curve({2, 1.5, 1, 0.6, 0.3, 0.03, 0.9, 0.001, 0.5, 0.0001});
  EXPECT_EQ(Find(parts.Curves(), parts.x)[0].law->n_scales, 6);
  const Parts early = Curve({2, 1.5, 1, 0.01, 0.3, 0.03, 0.9, 0.001, 0.5, 0.0001});
  EXPECT_FALSE(Find(early.Curves(), early.x)[0].is_tested);
  EXPECT_EQ(Find(early.Curves(), early.x)[0].q_value, 1);
}

TEST(PartBreaksTest, EachModelNeedsAHundredItems) {
  Parts parts = Curve(kLearned, 100);
  EXPECT_TRUE(Find(parts.Curves(kTen), parts.x)[0].is_tested);
  parts.values[0][7].n = 99;
  EXPECT_FALSE(Find(parts.Curves(kTen), parts.x)[0].is_tested);
  // Or none at all.
  parts.values[0][7] = {std::nan(""), -1, 0};
  EXPECT_TRUE(Find(parts.Curves(kTen), parts.x)[0].is_tested);
  // Five sizes at least.
  for (size_t i = 0; i < 6; ++i) parts.values[0][i].n = 0;
  EXPECT_FALSE(Find(parts.Curves(kTen), parts.x)[0].is_tested);
}

TEST(PartBreaksTest, RepeatedPartsCountOnce) {
  Parts parts = Curve(kLearned);
  const double alone = Find(parts.Curves(kTen), parts.x)[0].q_value;
  parts.values.push_back(parts.values[0]);
  const std::vector<PartTest> twice = Find(parts.Curves(kTen), parts.x);
  EXPECT_EQ(twice[0].q_value, alone);
  EXPECT_EQ(twice[1].q_value, alone);
  EXPECT_EQ(twice[1].same_as, 0);
  EXPECT_FALSE(twice[0].same_as);
  // Others do count: now four tests instead of two.
  parts.values[1][0].mean += 0.001;
  EXPECT_DOUBLE_EQ(Find(parts.Curves(kTen), parts.x)[0].q_value, 2 * alone);
}

TEST(PartBreaksTest, GeneratedTextIsCorrectedByItself) {
  Parts parts = Curve({0.9, 0.9, 0.9, 0.9, 0.02, 0.01, 0, 0, 0, 0});
  parts.values.push_back(Curve(kLearned).values[0]);
  std::vector<PartCurve> curves = {{parts.values[0], 0.9, true}, {parts.values[1], kTen, false}};
  const std::vector<PartTest> both = Find(curves, parts.x);
  EXPECT_LT(both[0].q_value, 0.001);
  EXPECT_EQ(both[0].q_value, Find({curves[0]}, parts.x)[0].q_value);
  EXPECT_EQ(both[1].q_value, Find({curves[1]}, parts.x)[0].q_value);
}

// At chance 0 there is nothing to learn: the stop token.
TEST(PartBreaksTest, AChanceOfZeroIsNotTested) {
  const Parts parts = Curve(kLearned);
  EXPECT_FALSE(Find(parts.Curves(0), parts.x)[0].chance);
}

TEST(PartBreaksTest, OrderDoesNotChangeABit) {
  const Parts parts = Simulated("staggered_breaks", 5);
  const std::vector<PartTest> tests = Find(parts.Curves(), parts.x);
  Parts reversed = parts;
  std::reverse(reversed.x.begin(), reversed.x.end());
  for (auto& part : reversed.values) std::reverse(part.begin(), part.end());
  const std::vector<PartTest> other = Find(reversed.Curves(), reversed.x);
  for (size_t i = 0; i < tests.size(); ++i) {
    EXPECT_EQ(tests[i].p_value, other[i].p_value);
    EXPECT_EQ(tests[i].q_value, other[i].q_value);
    EXPECT_EQ(tests[i].x, other[i].x);
  }
}

TEST(PartBreaksTest, BadInputIsNamed) {
  const auto message = [](const Parts& parts, std::optional<double> chance, bool is_generated) {
    const auto status =
        FindPartBreaks(parts.Curves(chance, is_generated), parts.x, {.replicates = 0}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  const Parts good = Curve(kLearned);
  EXPECT_THAT(message(good, -1, false), HasSubstr("parts[0].chance is -1"));
  EXPECT_THAT(message(good, 1, true),
              HasSubstr("parts[0].models[0].mean is 2.31: must be a share"));
  Parts bad = good;
  bad.values[0][2].mean = std::nan("");
  EXPECT_THAT(message(bad, 1, false), HasSubstr("parts[0].models[2].mean is nan"));
  bad = good;
  bad.values[0][3].standard_error = -1;
  EXPECT_THAT(message(bad, 1, false), HasSubstr("parts[0].models[3].standard_error is -1"));
  bad = good;
  bad.values[0][3].n = std::numeric_limits<double>::infinity();
  EXPECT_THAT(message(bad, 1, false), HasSubstr("parts[0].models[3].n is inf"));
  bad = good;
  bad.values[0].pop_back();
  EXPECT_THAT(message(bad, 1, false), HasSubstr("parts[0] has values of 9 models: must be 10"));
  bad = good;
  bad.x[1] = std::nan("");
  EXPECT_THAT(message(bad, 1, false), HasSubstr("x[1] is nan"));
}

}  // namespace
}  // namespace mirage::metrics
