#include "metrics/stats/power.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/intervals.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr TestSides kTwo = TestSides::kTwo;
constexpr TestSides kOne = TestSides::kOne;

struct MeanCase {
  double variance;
  double delta;
  double alpha;
  double power;
  TestSides sides;
  // By mpmath from the formula, and by statsmodels' solver.
  uint64_t n;
  double effect_at_n;
  // By statsmodels.
  double power_at_n;
};

struct DesignCase {
  double question;
  double answer;
  double delta;
  double design_effect;
  // 0 for none.
  uint64_t population;
  // The first n that is enough in a search over all n; 0 if none is.
  uint64_t n;
  // The effect of 25 documents.
  double effect;
};

struct SimulationCase {
  double question;
  double answer_a;
  double answer_b;
  uint32_t answers_a;
  uint32_t answers_b;
  double delta;
  uint64_t n;
  // 0 for none.
  uint64_t population;
  // The share of 20000 simulated comparisons in which a z test at 5 % found the difference.
  double found;
};

struct ProportionCase {
  double known;
  double true_share;
  double alpha;
  double power;
  TestSides sides;
  uint64_t n;
  // The power at 120 documents.
  double power_at_120;
};

struct McNemarCase {
  double only_a;
  double only_b;
  uint64_t n;
  double alpha;
  TestSides sides;
  // By enumeration of all tables.
  double power;
};

struct McNemarSizeCase {
  double only_a;
  double only_b;
  double alpha;
  double power;
  TestSides sides;
  uint64_t n;
};

struct WidthCase {
  double share;
  double half_width;
  double level;
  double design_effect;
  uint64_t population;
  uint64_t wilson;
  uint64_t normal;
};

struct ExcludeCase {
  double share;
  double level;
  uint64_t n;
};

#include "metrics/stats/power_vectors.inc"

std::optional<uint64_t> Population(uint64_t number) {
  if (number == 0) return std::nullopt;
  return number;
}

TEST(PowerTest, MeansAgreeWithStatsmodels) {
  for (const MeanCase& c : kMeanCases) {
    SCOPED_TRACE(std::to_string(c.variance) + " for " + std::to_string(c.delta) + " at " +
                 std::to_string(c.alpha) + ", " + std::to_string(c.power));
    // How a variance is split does not matter without a finite test set.
    const DocumentVariance variance = {.question = c.variance / 4, .answer = 3 * c.variance / 4};
    const TestPlan plan = {.alpha = c.alpha, .power = c.power, .sides = c.sides};
    const auto n = RequiredN(variance, c.delta, plan);
    ASSERT_TRUE(n.ok()) << n.status();
    EXPECT_EQ(*n, c.n);
    EXPECT_EQ(*RequiredN(variance, -c.delta, plan), c.n);
    const auto effect = MinimumDetectableEffect(variance, c.n, plan);
    ASSERT_TRUE(effect.ok()) << effect.status();
    EXPECT_NEAR(*effect, c.effect_at_n, 1e-10 * c.effect_at_n);
    EXPECT_LE(*effect, c.delta * (1 + 1e-12));
    const auto power = Power(variance, c.delta, c.n, plan);
    ASSERT_TRUE(power.ok()) << power.status();
    EXPECT_NEAR(*power, c.power_at_n, 1e-10 * c.power_at_n);
    EXPECT_GE(*power, c.power - 1e-12);
    if (c.n > 1) {
      // One document fewer has less, but for the other direction of a two-sided test.
      const double other = c.sides == kTwo ? c.alpha / 2 : 0;
      EXPECT_LT(*Power(variance, c.delta, c.n - 1, plan), c.power + other);
      EXPECT_GT(*MinimumDetectableEffect(variance, c.n - 1, plan), c.delta);
    }
  }
}

TEST(PowerTest, DesignsAgreeWithASearchOverAllN) {
  for (const DesignCase& c : kDesignCases) {
    SCOPED_TRACE(std::to_string(c.question) + ", " + std::to_string(c.answer) + " for " +
                 std::to_string(c.delta) + " of " + std::to_string(c.population));
    const DocumentVariance variance = {.question = c.question, .answer = c.answer};
    const SamplingDesign design = {.design_effect = c.design_effect,
                                   .population = Population(c.population)};
    const auto n = RequiredN(variance, c.delta, {}, design);
    if (c.n == 0) {
      EXPECT_EQ(n.status().code(), absl::StatusCode::kFailedPrecondition);
      EXPECT_THAT(std::string(n.status().message()),
                  HasSubstr("design.population is " + std::to_string(c.population)));
    } else {
      ASSERT_TRUE(n.ok()) << n.status();
      EXPECT_EQ(*n, c.n);
      EXPECT_GE(*Power(variance, c.delta, c.n, {}, design), 0.8 - 1e-12);
    }
    EXPECT_NEAR(*MinimumDetectableEffect(variance, 25, {}, design), c.effect, 1e-10 * c.effect);
  }
}

// The formulas against comparisons that were simulated in NumPy: 20000 each, standard error at most
// 0.35 %. A formula that forgot answers, their number or the finite set is off by 5 % or more.
TEST(PowerTest, AgreesWithSimulatedComparisons) {
  for (const SimulationCase& c : kSimulationCases) {
    const auto variance =
        PairedVariance(c.question, {c.answer_a, c.answers_a}, {c.answer_b, c.answers_b});
    ASSERT_TRUE(variance.ok()) << variance.status();
    const double power =
        *Power(*variance, c.delta, c.n, {}, {.population = Population(c.population)});
    EXPECT_NEAR(power, c.found, 0.0125) << c.n << " of " << c.population;
  }
}

TEST(PowerTest, VariancesAddUp) {
  const ModelVariance a = {.answer = 0.2, .answers = 4};
  const ModelVariance b = {.answer = 0.1, .answers = 2};
  const auto paired = PairedVariance(0.3, a, b);
  EXPECT_EQ(paired->question, 0.3);
  EXPECT_DOUBLE_EQ(paired->answer, 0.1);
  const auto unpaired = UnpairedVariance(0.3, a, 0.25, b);
  EXPECT_DOUBLE_EQ(unpaired->question, 0.55);
  EXPECT_DOUBLE_EQ(unpaired->answer, 0.1);
}

TEST(PowerTest, ProportionsAgreeWithStatsmodels) {
  for (const ProportionCase& c : kProportionCases) {
    SCOPED_TRACE(std::to_string(c.known) + " against " + std::to_string(c.true_share));
    const TestPlan plan = {.alpha = c.alpha, .power = c.power, .sides = c.sides};
    const auto n = RequiredNForProportion(c.known, c.true_share, plan);
    ASSERT_TRUE(n.ok()) << n.status();
    EXPECT_EQ(*n, c.n);
    EXPECT_NEAR(*ProportionPower(c.known, c.true_share, 120, plan), c.power_at_120,
                1e-10 * c.power_at_120);
    EXPECT_GE(*ProportionPower(c.known, c.true_share, c.n, plan), c.power - 1e-12);
    // Clusters need as many times more, a finite test set never more than there are.
    const auto clustered =
        RequiredNForProportion(c.known, c.true_share, plan, {.design_effect = 3});
    EXPECT_NEAR(static_cast<double>(*clustered), 3 * static_cast<double>(c.n), 3);
    const SamplingDesign finite = {.population = 200};
    const auto few = RequiredNForProportion(c.known, c.true_share, plan, finite);
    EXPECT_LE(*few, 200u);
    EXPECT_GE(*ProportionPower(c.known, c.true_share, *few, plan, finite), c.power - 1e-12);
    if (*few > 1) {
      EXPECT_LT(*ProportionPower(c.known, c.true_share, *few - 1, plan, finite), c.power + 0.03);
    }
  }
}

TEST(PowerTest, McNemarAgreesWithEnumeration) {
  for (const McNemarCase& c : kMcNemarCases) {
    SCOPED_TRACE(std::to_string(c.only_a) + ", " + std::to_string(c.only_b) + " of " +
                 std::to_string(c.n));
    const auto power = McNemarPower(c.only_a, c.only_b, c.n, {.alpha = c.alpha, .sides = c.sides});
    ASSERT_TRUE(power.ok()) << power.status();
    EXPECT_NEAR(*power, c.power, 1e-10 * c.power + 1e-15);
    if (c.sides == kTwo) {
      EXPECT_NEAR(*McNemarPower(c.only_b, c.only_a, c.n, {.alpha = c.alpha}), *power, 1e-14);
    }
  }
  for (const McNemarSizeCase& c : kMcNemarSizeCases) {
    SCOPED_TRACE(std::to_string(c.only_a) + ", " + std::to_string(c.only_b));
    const auto n = RequiredNForMcNemar(c.only_a, c.only_b,
                                       {.alpha = c.alpha, .power = c.power, .sides = c.sides});
    ASSERT_TRUE(n.ok()) << n.status();
    EXPECT_EQ(*n, c.n);
  }
}

// The exact n is above Miller's, because the exact test is conservative, and they meet for large n.
TEST(PowerTest, McNemarMeetsTheNormalFormula) {
  for (const double scale : {1.0, 0.3, 0.15}) {
    SCOPED_TRACE(scale);
    const double only_a = 0.06 + 0.03 * scale;
    const double only_b = 0.06;
    const double delta = only_a - only_b;
    const auto normal = RequiredN({.question = only_a + only_b - delta * delta}, delta);
    const auto exact = RequiredNForMcNemar(only_a, only_b);
    ASSERT_TRUE(normal.ok() && exact.ok());
    EXPECT_GT(*exact, *normal);
    EXPECT_LT(static_cast<double>(*exact), static_cast<double>(*normal) * (1 + 0.07 * scale));
  }
}

TEST(PowerTest, WidthsAgreeWithASearchOverAllN) {
  for (const WidthCase& c : kWidthCases) {
    SCOPED_TRACE(std::to_string(c.share) + " +- " + std::to_string(c.half_width));
    const SamplingDesign design = {.design_effect = c.design_effect,
                                   .population = Population(c.population)};
    const auto wilson = RequiredNForWilson(c.share, c.half_width, c.level, design);
    ASSERT_TRUE(wilson.ok()) << wilson.status();
    EXPECT_EQ(*wilson, c.wilson);
    const auto normal =
        RequiredNForNormal({.question = c.share * (1 - c.share)}, c.half_width, c.level, design);
    ASSERT_TRUE(normal.ok()) << normal.status();
    EXPECT_EQ(*normal, c.normal);
  }
  // And with the interval itself, where n share is whole.
  const uint64_t n = *RequiredNForWilson(0.5, 0.03, 0.95);
  EXPECT_EQ(n, 1064u);
  const auto at = Wilson(n / 2, n, 0.95);
  const auto below = Wilson(n / 2 - 1, n - 2, 0.95);
  EXPECT_LE(at->upper - at->lower, 0.06);
  EXPECT_GT(below->upper - below->lower, 0.06);
}

TEST(PowerTest, ExclusionAgreesWithExactPowers) {
  for (const ExcludeCase& c : kExcludeCases) {
    SCOPED_TRACE(std::to_string(c.share) + " at " + std::to_string(c.level));
    const auto n = RequiredNToExclude(c.share, c.level);
    ASSERT_TRUE(n.ok()) << n.status();
    EXPECT_EQ(*n, c.n);
    EXPECT_LE(*ZeroOfNUpperBound(*n, c.level), c.share * (1 + 1e-12));
    if (*n > 1) {
      EXPECT_GT(*ZeroOfNUpperBound(*n - 1, c.level), c.share);
    }
  }
}

TEST(PowerTest, EdgeCases) {
  const DocumentVariance variance = {.question = 0.25};
  const TestPlan one_sided = {.sides = kOne};
  EXPECT_NEAR(*Power(variance, 0, 100), 0.05, 1e-15);
  EXPECT_NEAR(*Power(variance, 0, 100, one_sided), 0.05, 1e-15);
  EXPECT_LT(*Power(variance, -0.1, 100, one_sided), 0.001);
  EXPECT_GT(*Power(variance, -0.1, 100), 0.5);
  // All documents, and answers that do not vary: nothing is left to chance.
  const SamplingDesign all = {.population = 100};
  EXPECT_EQ(*MinimumDetectableEffect(variance, 100, {}, all), 0);
  EXPECT_EQ(*Power(variance, 1e-9, 100, {}, all), 1);
  EXPECT_NEAR(*Power(variance, 0, 100, {}, all), 0.05, 1e-15);
  EXPECT_EQ(*Power(variance, -1e-9, 100, one_sided, all), 0);
  EXPECT_EQ(*ProportionPower(0.5, 0.51, 100, {}, all), 1);
  EXPECT_EQ(*ProportionPower(0.5, 0.5, 100, {}, all), 0.05);
  EXPECT_EQ(*RequiredN({}, 0.1), 1u);
  EXPECT_EQ(*RequiredN(variance, 1e9), 1u);
  // A true share of 1 leaves nothing to chance either: found where the threshold is below 1.
  EXPECT_EQ(*ProportionPower(0.5, 1, 2, one_sided), 0);
  EXPECT_EQ(*ProportionPower(0.5, 1, 3, one_sided), 1);
  EXPECT_EQ(*RequiredNForProportion(0.5, 1, one_sided), 3u);
  // All pairs discordant, and one model alone right in each: 6 of 6 is the first significant count.
  EXPECT_EQ(*McNemarPower(1, 0, 5), 0);
  EXPECT_EQ(*McNemarPower(1, 0, 6), 1);
  EXPECT_EQ(*RequiredNForMcNemar(1, 0), 6u);
  EXPECT_EQ(*RequiredNForMcNemar(1, 0, one_sided), 5u);
  EXPECT_LT(*McNemarPower(0.1, 0.1, 400), 0.05);
}

TEST(PowerTest, BadInputIsNamed) {
  const auto message = [](const auto& result) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(result.status().message());
  };
  const DocumentVariance good = {.question = 0.25};
  for (const double bad : {kNan, kInf, -1.0}) {
    EXPECT_THAT(message(RequiredN({.question = bad}, 0.1)), HasSubstr("variance.question is "));
    EXPECT_THAT(message(Power({.answer = bad}, 0.1, 9)), HasSubstr("variance.answer is "));
    EXPECT_THAT(message(PairedVariance(bad, {}, {})), HasSubstr("question_variance is "));
    EXPECT_THAT(message(PairedVariance(0, {.answer = bad}, {})), HasSubstr("a.answer is "));
    EXPECT_THAT(message(PairedVariance(0, {}, {.answer = bad})), HasSubstr("b.answer is "));
    EXPECT_THAT(message(UnpairedVariance(bad, {}, 0, {})), HasSubstr("question_variance_a is "));
    EXPECT_THAT(message(UnpairedVariance(0, {}, bad, {})), HasSubstr("question_variance_b is "));
    EXPECT_THAT(message(RequiredN(good, 0.1, {.alpha = bad})), HasSubstr("plan.alpha is "));
    EXPECT_THAT(message(RequiredN(good, 0.1, {.power = bad})), HasSubstr("plan.power is "));
    EXPECT_THAT(message(RequiredN(good, 0.1, {}, {.design_effect = bad})),
                HasSubstr("design.design_effect is "));
    EXPECT_THAT(message(RequiredNForProportion(bad, 0.5)), HasSubstr("known is "));
    EXPECT_THAT(message(ProportionPower(0.5, bad, 9)), HasSubstr("true_share is "));
    EXPECT_THAT(message(McNemarPower(bad, 0.1, 9)), HasSubstr("only_a is "));
    EXPECT_THAT(message(RequiredNForMcNemar(0.1, bad)), HasSubstr("only_b is "));
    EXPECT_THAT(message(RequiredNForWilson(bad, 0.1, 0.95)), HasSubstr("share is "));
    EXPECT_THAT(message(RequiredNForWilson(0.5, bad, 0.95)), HasSubstr("half_width is "));
    EXPECT_THAT(message(RequiredNForWilson(0.5, 0.1, bad)), HasSubstr("level is "));
    EXPECT_THAT(message(RequiredNForNormal(good, bad, 0.95)), HasSubstr("half_width is "));
    EXPECT_THAT(message(RequiredNForNormal(good, 0.1, bad)), HasSubstr("level is "));
    EXPECT_THAT(message(RequiredNToExclude(bad, 0.95)), HasSubstr("share is "));
    EXPECT_THAT(message(RequiredNToExclude(0.1, bad)), HasSubstr("level is "));
  }
  for (const double bad : {0.0, kNan, kInf}) {
    EXPECT_THAT(message(RequiredN(good, bad)), HasSubstr("delta is "));
  }
  EXPECT_THAT(message(Power(good, kNan, 9)), HasSubstr("delta is nan"));
  EXPECT_THAT(message(RequiredN({1e308, 1e308}, 0.1)), HasSubstr("is infinite"));
  EXPECT_THAT(message(RequiredN(good, 1e-200)), HasSubstr("more than 2^53 documents"));
  EXPECT_THAT(message(RequiredNToExclude(1e-20, 0.95)), HasSubstr("more than 2^53 documents"));
  EXPECT_THAT(message(RequiredN(good, 0.1, {.alpha = 0.5})), HasSubstr("plan.alpha is 0.5"));
  EXPECT_THAT(message(RequiredN(good, 0.1, {.power = 0.05})),
              HasSubstr("plan.power is 0.05: must be above plan.alpha"));
  EXPECT_THAT(message(RequiredN(good, 0.1, {.sides = static_cast<TestSides>(5)})),
              HasSubstr("plan.sides is 5"));
  EXPECT_THAT(message(RequiredN(good, 0.1, {}, {.population = 0})),
              HasSubstr("design.population is 0"));
  EXPECT_THAT(message(PairedVariance(0, {.answers = 0}, {})), HasSubstr("a.answers is 0"));
  EXPECT_THAT(message(UnpairedVariance(0, {}, 0, {.answers = 0})), HasSubstr("b.answers is 0"));
  EXPECT_THAT(message(RequiredN(good, 0.1, {}, {.design_effect = 0})),
              HasSubstr("design.design_effect is 0: must be finite and above 0"));
  EXPECT_THAT(message(Power(good, 0.1, 0)), HasSubstr("n is 0"));
  EXPECT_THAT(message(Power(good, 0.1, 101, {}, {.population = 100})),
              HasSubstr("n is 101: must be between 1 and 100"));
  EXPECT_THAT(message(MinimumDetectableEffect(good, 0)), HasSubstr("n is 0"));
  EXPECT_THAT(message(ProportionPower(0.5, 0.6, 0)), HasSubstr("n is 0"));
  EXPECT_THAT(message(RequiredNForProportion(0.0, 0.6)), HasSubstr("known is 0"));
  EXPECT_THAT(message(RequiredNForProportion(0.6, 0.6)), HasSubstr("must differ from known"));
  EXPECT_THAT(message(McNemarPower(0, 0, 9)), HasSubstr("only_a + only_b is 0"));
  EXPECT_THAT(message(McNemarPower(0.7, 0.4, 9)), HasSubstr("only_a + only_b is 1.1"));
  EXPECT_THAT(message(McNemarPower(0.1, 0.1, 100'001)), HasSubstr("n is 100001"));
  EXPECT_THAT(message(RequiredNForMcNemar(0.1, 0.1)), HasSubstr("only_b is 0.1: must differ"));
  EXPECT_THAT(message(RequiredNForMcNemar(0.1, 0.2, {.sides = kOne})),
              HasSubstr("only_b is 0.2: must be below only_a"));
  const auto many = RequiredNForMcNemar(0.1, 0.0999);
  EXPECT_EQ(many.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(many.status().message()), HasSubstr("more than 100000 documents"));
}

}  // namespace
}  // namespace mirage::metrics
