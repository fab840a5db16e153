#include "metrics/emergence/risk.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "metrics/emergence/distortion.h"
#include "metrics/stats/intervals.h"

namespace mirage::metrics {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

const RiskReason* Find(const Risk& risk, std::string_view code) {
  for (const RiskReason& reason : risk.reasons) {
    if (reason.code == code) return &reason;
  }
  return nullptr;
}

std::optional<double> Value(const Risk& risk, std::string_view code, std::string_view name) {
  const RiskReason* reason = Find(risk, code);
  if (reason == nullptr) return std::nullopt;
  for (const auto& [key, value] : reason->values) {
    if (key == name) return value;
  }
  return std::nullopt;
}

// Assesses, and checks what holds for every answer.
Risk Assess(const RiskInput& input) {
  Risk risk = AssessRisk(input);
  EXPECT_FALSE(risk.reasons.empty());
  for (const RiskReason& reason : risk.reasons) {
    EXPECT_LT(reason.text.size(), 160u) << reason.text;
    EXPECT_GT(reason.text.size(), 20u);
    EXPECT_EQ(reason.text.back(), '.');
    EXPECT_FALSE(reason.values.empty());
    for (const auto& [name, value] : reason.values) EXPECT_FALSE(std::isnan(value)) << name;
  }
  return risk;
}

// An exact match with a given distortion; the observed value is m(1).
RiskInput ExactMatch(uint64_t n, double m_one, double r, double r_lower, double r_upper) {
  RiskInput input;
  input.kind = RiskMetricKind::kExactMatch;
  input.n = n;
  input.has_samples = true;
  input.observed = m_one;
  input.distortion = Distortion{.r = r,
                                .r_lower = r_lower,
                                .r_upper = r_upper,
                                .m_half = m_one,
                                .m_one = m_one,
                                .m_two = 0,
                                .u = 3,
                                .n = n};
  return input;
}

RiskInput MultipleChoice() {
  RiskInput input = ExactMatch(1000, 0.26, 1, 0.8, 1.2);
  input.kind = RiskMetricKind::kMultipleChoice;
  input.distortion->u.reset();
  input.chance = 0.25;
  input.observed_interval = ConfidenceInterval{0.23, 0.29, 0.95, kMethodWilson};
  return input;
}

TEST(RiskTest, LevelNames) {
  EXPECT_EQ(RiskLevelName(RiskLevel::kNone), "NONE");
  EXPECT_EQ(RiskLevelName(RiskLevel::kLow), "LOW");
  EXPECT_EQ(RiskLevelName(RiskLevel::kHigh), "HIGH");
  EXPECT_EQ(RiskLevelName(RiskLevel::kUnknown), "UNKNOWN");
}

TEST(RiskTest, ContinuousIsNone) {
  RiskInput input;
  input.kind = RiskMetricKind::kContinuous;
  input.n = 100;
  input.observed = -std::numeric_limits<double>::infinity();
  input.observed_standard_error = 0.01;
  input.has_samples = true;
  const Risk risk = Assess(input);
  EXPECT_EQ(risk.level, RiskLevel::kNone);
  EXPECT_EQ(risk.reasons[0].code, kReasonContinuous);
  EXPECT_DOUBLE_EQ(*Value(risk, kReasonResolution, "minimum_detectable_change"),
                   kDetectableZ * std::sqrt(2.0) * 0.01);
  EXPECT_FALSE(Value(risk, kReasonResolution, "zero_of_n_upper_bound").has_value());
}

TEST(RiskTest, NothingIsUnknown) {
  const Risk risk = Assess(RiskInput());
  EXPECT_EQ(risk.level, RiskLevel::kUnknown);
  EXPECT_EQ(risk.reasons[0].code, kReasonNoCounterpart);
  EXPECT_NE(Find(risk, kReasonNoSamples), nullptr);
  EXPECT_EQ(Find(risk, kReasonResolution), nullptr);
}

TEST(RiskTest, HighFromTheLowerBoundOfR) {
  const Risk risk = Assess(ExactMatch(1000, 0.02, 6.5, 4.0, 9));
  EXPECT_EQ(risk.level, RiskLevel::kHigh);
  EXPECT_EQ(risk.reasons[0].code, kReasonDistorts);
  EXPECT_EQ(*Value(risk, kReasonDistorts, "r"), 6.5);
  EXPECT_EQ(*Value(risk, kReasonDistorts, "r_lower"), 4.0);
  EXPECT_EQ(*Value(risk, kReasonDistorts, "r_upper"), 9);
  EXPECT_EQ(*Value(risk, kReasonDistorts, "u"), 3);
  EXPECT_EQ(*Value(risk, kReasonDistorts, "m_one"), 0.02);
  EXPECT_EQ(*Value(risk, kReasonDistorts, "observed"), 0.02);
  EXPECT_EQ(Find(risk, kReasonAtFloor), nullptr);
}

TEST(RiskTest, LowJustBelow) {
  const Risk risk = Assess(ExactMatch(1000, 0.02, 6.5, 3.99, 9));
  EXPECT_EQ(risk.level, RiskLevel::kLow);
  EXPECT_NE(risk.reasons[0].text.find("would"), std::string::npos);
}

TEST(RiskTest, NoneWithinAFactorOfTwo) {
  EXPECT_EQ(Assess(ExactMatch(1000, 0.3, 1, 0.5, 2)).level, RiskLevel::kNone);
  EXPECT_NE(Find(Assess(ExactMatch(1000, 0.3, 1, 0.5, 2)), kReasonDistorts), nullptr);
  EXPECT_EQ(Assess(ExactMatch(1000, 0.3, 1, 0.49, 2)).level, RiskLevel::kLow);
  const Risk wide = Assess(ExactMatch(1000, 0.3, 1, 0.5, 2.01));
  EXPECT_EQ(wide.level, RiskLevel::kLow);
  EXPECT_NE(Find(wide, kReasonDistorts)->text.find("may"), std::string::npos);
}

TEST(RiskTest, BlindFloorIsHigh) {
  const Risk risk = Assess(ExactMatch(100, 0.0299, 1, 0.9, 1.1));
  EXPECT_EQ(risk.level, RiskLevel::kHigh);
  EXPECT_EQ(risk.reasons[0].code, kReasonAtFloor);
  EXPECT_NEAR(*Value(risk, kReasonAtFloor, "expected_successes"), 2.99, 1e-12);
  EXPECT_EQ(*Value(risk, kReasonResolution, "n_to_resolve"), std::ceil(3 / 0.0299));
  EXPECT_NE(Assess(ExactMatch(100, 0.03, 1, 0.9, 1.1)).level, RiskLevel::kHigh);
}

TEST(RiskTest, FloorAtExactlyZeroNamesNoSize) {
  const Risk risk = Assess(ExactMatch(100, 0, 0, 0, 0));
  EXPECT_EQ(risk.level, RiskLevel::kHigh);
  EXPECT_FALSE(Value(risk, kReasonResolution, "n_to_resolve").has_value());
  EXPECT_NEAR(*Value(risk, kReasonResolution, "zero_of_n_upper_bound"),
              1 - std::pow(0.05, 1.0 / 100), 1e-15);
  // 0 of 100 is no certainty: q = 2/104.
  EXPECT_NEAR(*Value(risk, kReasonResolution, "minimum_detectable_change"),
              kDetectableZ * std::sqrt(2 * (2.0 / 104) * (102.0 / 104) / 100), 1e-15);
}

TEST(RiskTest, AFloorThatTheScoreContradictsIsNotCalled) {
  RiskInput input = ExactMatch(100, 1e-9, 1, 0.9, 1.1);
  input.observed = 0.5;
  input.observed_interval = ConfidenceInterval{0.4, 0.6, 0.95, kMethodWilson};
  const Risk risk = Assess(input);
  EXPECT_EQ(risk.level, RiskLevel::kNone);
  EXPECT_EQ(Find(risk, kReasonAtFloor), nullptr);
  EXPECT_EQ(*Value(risk, kReasonDistorts, "observed"), 0.5);
  EXPECT_EQ(*Value(risk, kReasonDistorts, "m_one"), 1e-9);
}

TEST(RiskTest, CeilingIsNeverNone) {
  const Risk risk = Assess(ExactMatch(100, 0.98, 1, 0.9, 1.1));
  EXPECT_EQ(risk.level, RiskLevel::kLow);
  EXPECT_EQ(risk.reasons[0].code, kReasonAtCeiling);
  EXPECT_NEAR(*Value(risk, kReasonAtCeiling, "expected_failures"), 2, 1e-12);
  EXPECT_EQ(*Value(risk, kReasonResolution, "n_to_resolve"), 150);
  EXPECT_FALSE(Value(Assess(ExactMatch(100, 1, 0, 0, 0)), kReasonResolution, "n_to_resolve"));
  RiskInput contradicted = ExactMatch(100, 0.98, 1, 0.9, 1.1);
  contradicted.observed_interval = ConfidenceInterval{0.4, 0.6, 0.95, kMethodWilson};
  EXPECT_EQ(Assess(contradicted).level, RiskLevel::kNone);
}

TEST(RiskTest, BlindAtChance) {
  RiskInput input = MultipleChoice();
  EXPECT_EQ(Assess(input).level, RiskLevel::kNone);
  EXPECT_NE(Find(Assess(input), kReasonNearChance), nullptr);
  input.mean_margin = -0.5;
  input.mean_margin_standard_error = 0.1;
  input.chance_margin = -0.7;
  const Risk risk = Assess(input);
  EXPECT_EQ(risk.level, RiskLevel::kHigh);
  EXPECT_EQ(risk.reasons[0].code, kReasonNearChance);
  EXPECT_NEAR(*Value(risk, kReasonNearChance, "margin_lower_bound"), -0.5 - 0.1 * kOneSided95,
              1e-12);
  // The error of the chance value counts as well.
  input.chance_margin_standard_error = 0.1;
  EXPECT_EQ(Assess(input).level, RiskLevel::kNone);
  input.chance_margin_standard_error.reset();
  input.observed_interval->lower = 0.26;
  EXPECT_EQ(Assess(input).level, RiskLevel::kNone);
  EXPECT_EQ(Find(Assess(input), kReasonNearChance), nullptr);
}

TEST(RiskTest, MarginsAloneAreACounterpart) {
  RiskInput input = MultipleChoice();
  input.distortion.reset();
  EXPECT_EQ(Assess(input).level, RiskLevel::kUnknown);
  input.mean_margin = -0.7;
  input.mean_margin_standard_error = 0.1;
  input.chance_margin = -0.7;
  EXPECT_EQ(Assess(input).level, RiskLevel::kLow);
  input.mean_margin = -0.5;
  EXPECT_EQ(Assess(input).level, RiskLevel::kHigh);
}

TEST(RiskTest, EditDistancesAreNeverBetterThanLow) {
  RiskInput input = ExactMatch(1000, 0.3, 1, 0.9, 1.1);
  input.kind = RiskMetricKind::kEditDistanceOnly;
  const Risk risk = Assess(input);
  EXPECT_EQ(risk.level, RiskLevel::kLow);
  EXPECT_NE(Find(risk, kReasonEditDistanceOnly), nullptr);
  input.distortion->r_lower = 5;
  input.distortion->r_upper = 9;
  EXPECT_EQ(Assess(input).level, RiskLevel::kHigh);
}

TEST(RiskTest, TargetsOfOneUnitAreNotHighByR) {
  RiskInput input = ExactMatch(1000, 0.3, 300, 250, 350);
  input.kind = RiskMetricKind::kEditDistanceOnly;
  EXPECT_EQ(Assess(input).level, RiskLevel::kHigh);
  input.distortion->is_composed = false;
  EXPECT_EQ(Assess(input).level, RiskLevel::kLow);
  EXPECT_FALSE(Value(Assess(input), kReasonDistorts, "r").has_value());
  // The floor is seen all the same.
  input.distortion->m_one = 0.001;
  EXPECT_EQ(Assess(input).level, RiskLevel::kHigh);
}

TEST(RiskTest, CounterpartsDisagree) {
  RiskInput input = MultipleChoice();
  input.observed_interval = ConfidenceInterval{0.30, 0.36, 0.95, kMethodWilson};
  input.mean_log_p_choices = -2;
  input.mean_log_p_choices_standard_error = 0.1;
  input.chance_log_p_choices = -std::log(4);
  const Risk risk = Assess(input);
  EXPECT_NEAR(*Value(risk, kReasonCounterpartsDisagree, "log_p_above_chance"), -2 + std::log(4),
              1e-12);
  EXPECT_EQ(Find(risk, kReasonCounterpartsDisagree)->text,
            "Above chance: accuracy; below: log p of the gold (overconfident errors).");
  input.mean_log_p_choices_standard_error = 0.5;
  EXPECT_EQ(Find(Assess(input), kReasonCounterpartsDisagree), nullptr);
  input.mean_log_p_choices_standard_error = 0.1;
  input.observed_interval->lower = 0.25;
  EXPECT_EQ(Find(Assess(input), kReasonCounterpartsDisagree), nullptr);
  // An accuracy below chance with a margin above it.
  input.observed_interval = ConfidenceInterval{0.18, 0.23, 0.95, kMethodWilson};
  input.mean_log_p_choices.reset();
  input.mean_margin = -0.5;
  input.mean_margin_standard_error = 0.1;
  input.chance_margin = -0.7;
  EXPECT_EQ(Find(Assess(input), kReasonCounterpartsDisagree)->text,
            "Above chance: margin; below: accuracy.");
}

TEST(RiskTest, CounterpartsAgree) {
  RiskInput input = MultipleChoice();
  input.observed_interval = ConfidenceInterval{0.30, 0.36, 0.95, kMethodWilson};
  EXPECT_EQ(Find(Assess(input), kReasonCounterpartsAgree), nullptr);  // nothing to agree with
  input.mean_log_p_choices = -1;
  input.mean_log_p_choices_standard_error = 0.1;
  input.chance_log_p_choices = -std::log(4);
  EXPECT_EQ(Find(Assess(input), kReasonCounterpartsAgree)->text,
            "Above chance alike: accuracy and log p of the gold.");
  input.mean_margin = -0.5;
  input.mean_margin_standard_error = 0.1;
  input.chance_margin = -0.7;
  const Risk risk = Assess(input);
  EXPECT_EQ(Find(risk, kReasonCounterpartsAgree)->text,
            "Above chance alike: accuracy, margin and log p of the gold.");
  EXPECT_NEAR(*Value(risk, kReasonCounterpartsAgree, "margin_above_chance"), 0.2, 1e-12);
  EXPECT_EQ(Find(risk, kReasonCounterpartsDisagree), nullptr);
}

TEST(RiskTest, SaysWhatLogPComposesTo) {
  RiskInput input = ExactMatch(1000, 0.31, 1, 0.9, 1.1);
  input.observed = 0.32;
  input.observed_interval = ConfidenceInterval{0.29, 0.35, 0.95, kMethodWilson};
  EXPECT_EQ(Find(Assess(input), kReasonComposition)->text,
            "By log p (u = 3 nats), 0.31 should be right; 0.32 were.");
  input.observed = 0.7;
  input.observed_interval = ConfidenceInterval{0.67, 0.73, 0.95, kMethodWilson};
  const Risk risk = Assess(input);
  EXPECT_EQ(
      Find(risk, kReasonComposition)->text,
      "By log p (u = 3 nats), 0.31 should be right; 0.7 were: what was scored is no draw from "
      "p, so take R as rough.");
  EXPECT_EQ(*Value(risk, kReasonComposition, "m_one"), 0.31);
  EXPECT_EQ(*Value(risk, kReasonComposition, "lower"), 0.67);
  input.kind = RiskMetricKind::kEditDistanceOnly;
  input.distortion->u.reset();
  EXPECT_EQ(
      Find(Assess(input), kReasonComposition)->text,
      "By edit distance, 0.31 should be right; 0.7 were: errors do not spread evenly, so take "
      "R as rough.");
  input.kind = RiskMetricKind::kMultipleChoice;
  EXPECT_EQ(Find(Assess(input), kReasonComposition), nullptr);
}

TEST(RiskTest, ScorersOfATasksOwn) {
  RiskInput input;
  input.kind = RiskMetricKind::kUnregisteredShare;
  input.n = 40;
  input.has_samples = true;
  input.observed = 0;
  EXPECT_EQ(Assess(input).level, RiskLevel::kUnknown);
  EXPECT_NE(Find(Assess(input), kReasonNoCounterpart), nullptr);
  input.has_counterparts = true;
  const Risk share = Assess(input);
  EXPECT_EQ(share.level, RiskLevel::kLow);
  EXPECT_EQ(share.reasons[0].code, kReasonUnregistered);
  EXPECT_EQ(Find(share, kReasonNoCounterpart), nullptr);
  // 0 of 40 still has an upper bound.
  EXPECT_NEAR(*Value(share, kReasonResolution, "zero_of_n_upper_bound"),
              1 - std::pow(0.05, 1.0 / 40), 1e-15);
  input.kind = RiskMetricKind::kUnregistered;
  input.observed_standard_error = 0.1;
  const Risk other = Assess(input);
  EXPECT_EQ(other.level, RiskLevel::kUnknown);
  EXPECT_EQ(other.reasons[0].code, kReasonUnregistered);
}

TEST(RiskTest, FlagsDoNotChangeTheLevel) {
  RiskInput input = ExactMatch(1000, 0.3, 1, 0.9, 1.1);
  input.n_gold_unverified = 12;
  input.has_samples = false;
  const Risk risk = Assess(input);
  EXPECT_EQ(risk.level, RiskLevel::kNone);
  EXPECT_EQ(*Value(risk, kReasonGoldUnverified, "n_gold_unverified"), 12);
  EXPECT_NE(Find(risk, kReasonNoSamples), nullptr);
}

TEST(RiskTest, NanIsAbsent) {
  RiskInput input = MultipleChoice();
  input.observed = kNan;
  input.observed_interval->lower = kNan;
  input.chance = kNan;
  input.mean_margin = kNan;
  input.mean_margin_standard_error = 0.1;
  input.chance_margin = 0;
  input.mean_log_p_choices = kNan;
  input.observed_standard_error = kNan;
  const Risk risk = Assess(input);
  EXPECT_EQ(risk.level, RiskLevel::kNone);
  EXPECT_FALSE(Value(risk, kReasonDistorts, "observed").has_value());
}

// A share of one half in n: the textbook n for two runs that differ by the change found.
TEST(RiskTest, DetectableChangeHasItsPower) {
  const Risk risk = Assess(ExactMatch(1'000'000, 0.5, 1, 0.9, 1.1));
  const double change = *Value(risk, kReasonResolution, "minimum_detectable_change");
  EXPECT_NEAR(2 * 0.25 * std::pow(1.959964 + 0.841621, 2) / (change * change), 1e6, 10);
}

// Large counts and extreme numbers keep the sentences short.
TEST(RiskTest, TextsStayShort) {
  RiskInput input = ExactMatch(4'000'000'000, 1e-300, 1.23456e9, 1.23456e-9, 9.87654e9);
  input.observed = 1.23456789e-9;
  input.n_gold_unverified = 3'999'999'999;
  input.chance = 0.000123456;
  input.observed_interval = ConfidenceInterval{-1.23456e-9, 1, 0.95, kMethodWilson};
  input.mean_margin = -1.23456e-7;
  input.mean_margin_standard_error = 1e-9;
  input.chance_margin = -1.23456e7;
  for (RiskMetricKind kind : {RiskMetricKind::kExactMatch, RiskMetricKind::kMultipleChoice,
                              RiskMetricKind::kEditDistanceOnly, RiskMetricKind::kOther}) {
    input.kind = kind;
    EXPECT_EQ(Assess(input).level, RiskLevel::kHigh);
  }
}

// From log-probabilities to the level, once through everything: u = 4 is a jump about to happen.
TEST(RiskTest, FromLogProbabilities) {
  RiskInput input;
  input.kind = RiskMetricKind::kExactMatch;
  input.n = 1000;
  input.has_samples = true;
  input.observed = 0.018;
  input.distortion = *ExactMatchDistortion(std::vector<double>(1000, -4.0), 1);
  EXPECT_EQ(Assess(input).level, RiskLevel::kHigh);
  input.distortion = *ExactMatchDistortion(std::vector<double>(1000, -2.5), 1);
  EXPECT_EQ(Assess(input).level, RiskLevel::kLow);
  input.distortion = *ExactMatchDistortion(std::vector<double>(1000, -1.0), 1);
  EXPECT_EQ(Assess(input).level, RiskLevel::kNone);
}

}  // namespace
}  // namespace mirage::metrics
