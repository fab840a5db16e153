#include "metrics/registry/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace mirage::metrics {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsNan;
using ::testing::Not;

TEST(RegistryTest, NameAndEvidenceAreUnique) {
  std::set<std::pair<std::string_view, Evidence>> seen;
  for (const MetricInfo& info : AllMetrics()) {
    EXPECT_TRUE(seen.emplace(info.name, info.evidence).second) << info.name;
    EXPECT_EQ(FindMetric(info.name, info.evidence), info.in_runs ? &info : nullptr);
    EXPECT_THAT(MetricsNamed(info.name), testing::Contains(&info));
  }
}

TEST(RegistryTest, EveryRowIsComplete) {
  for (const MetricInfo& info : AllMetrics()) {
    EXPECT_FALSE(info.summary.empty()) << info.name;
    EXPECT_FALSE(info.definition.empty()) << info.name;
    EXPECT_FALSE(info.source.empty()) << info.name;
    EXPECT_FALSE(info.unit.empty()) << info.name;
    EXPECT_LT(info.lower_bound, info.upper_bound) << info.name;
    // The signature starts with the name and ends with a version.
    EXPECT_EQ(info.signature.substr(0, info.name.size() + 1), std::string(info.name) + "|");
    EXPECT_THAT(std::string(info.signature), testing::EndsWith("|v1"));
    // Sharp metrics are never offered as counterparts.
    EXPECT_EQ(info.sharp, info.preference == 0) << info.name;
    EXPECT_FALSE(info.sharp && info.continuous) << info.name;
    if (info.in_runs && info.aggregation == Aggregation::kMean &&
        info.evidence != Evidence::kDocument) {
      const int members = (info.choice != nullptr) + (info.generation != nullptr) +
                          (info.likelihood != nullptr) + (info.tokens != nullptr);
      EXPECT_EQ(members, 1) << info.name << " has a mean, so it needs a per-sample value";
    }
  }
}

TEST(RegistryTest, KnowsOldNames) {
  EXPECT_EQ(FindMetric("ppl"), FindMetric("perplexity"));
  EXPECT_EQ(FindMetric("ppl", Evidence::kLikelihood)->name, "perplexity");
  EXPECT_EQ(FindMetric("ppl", Evidence::kChoices), nullptr);
  ASSERT_EQ(MetricsNamed("pass@1").size(), 1u);
  EXPECT_EQ(MetricsNamed("pass@1")[0]->name, "pass_at_k");
}

TEST(RegistryTest, BrierScoresNameTheirConventionsAndWhoUsesThem) {
  for (const char* name : {"brier_score", "brier_mean", "brier_target", "brier_top"}) {
    EXPECT_FALSE(FindMetric(name)->convention.empty()) << name;
    EXPECT_EQ(FindMetric(name)->family, "Brier score");
    EXPECT_FALSE(FindMetric(name)->used_by.empty()) << name;
  }
}

TEST(RegistryTest, AFamilyHasSeveralMembers) {
  std::map<std::string_view, std::set<std::string_view>> families;
  for (const MetricInfo& info : AllMetrics()) {
    if (!info.family.empty()) families[info.family].insert(info.name);
  }
  for (const auto& [family, members] : families) {
    EXPECT_GT(members.size(), 1u) << family;
  }
}

TEST(RegistryTest, RunsAreNotScoredWithWhatOnlyTheLibraryHas) {
  EXPECT_EQ(FindMetric("bleu"), nullptr);
  ASSERT_EQ(MetricsNamed("bleu").size(), 1u);
  for (const MetricInfo* info : Counterparts(Evidence::kGeneration)) EXPECT_TRUE(info->in_runs);
  const auto all = AllCounterparts(Evidence::kGeneration);
  EXPECT_EQ(all[0]->name, "token_edit_distance");
  EXPECT_EQ(all.back()->name, "bleu");
  EXPECT_TRUE(Counterparts(Evidence::kVectors).empty());
  EXPECT_EQ(AllCounterparts(Evidence::kVectors)[0]->name, "mean_squared_error");
}

TEST(RegistryTest, RowsOfOneKindOfEvidenceStandTogetherSharpOnesFirst) {
  std::set<Evidence> seen;
  const MetricInfo* last = nullptr;
  for (const MetricInfo& info : AllMetrics()) {
    if (last == nullptr || last->evidence != info.evidence) {
      EXPECT_TRUE(seen.insert(info.evidence).second) << info.name;
    } else {
      EXPECT_LE(last->preference, info.preference) << info.name;
    }
    last = &info;
  }
}

TEST(RegistryTest, CounterpartsFollowTheirPreference) {
  const auto found = Counterparts(Evidence::kChoices);
  ASSERT_GT(found.size(), 10u);
  EXPECT_EQ(found[0]->name, "log_p_gold");
  EXPECT_EQ(found[1]->name, "margin");
  int last = 0;
  for (const MetricInfo* info : found) {
    EXPECT_FALSE(info->sharp);
    EXPECT_GT(info->preference, last) << "ties would leave the order to chance";
    last = info->preference;
  }
  EXPECT_EQ(Counterparts(Evidence::kGeneration)[0]->name, "token_edit_distance");
  EXPECT_EQ(Counterparts(Evidence::kLikelihood)[0]->name, "log_p_target");
}

TEST(RegistryTest, WhatARunOfTheSameDocumentsCanRecord) {
  using enum Evidence;
  EXPECT_THAT(RecordableWith(kGeneration),
              ElementsAre(kGeneration, kLikelihood, kTokenLogProbs, kRepeats));
  EXPECT_THAT(RecordableWith(kChoices), ElementsAre(kChoices, kTokenLogProbs));
  EXPECT_THAT(RecordableWith(kLikelihood), ElementsAre(kLikelihood, kTokenLogProbs, kRepeats));
  EXPECT_THAT(RecordableWith(kTokenLogProbs), ElementsAre(kTokenLogProbs, kLikelihood, kRepeats));
  EXPECT_THAT(RecordableWith(kRepeats), ElementsAre(kRepeats, kGeneration, kTokenLogProbs));
  EXPECT_THAT(RecordableWith(kVectors), ElementsAre(kVectors));
  EXPECT_THAT(RecordableWith(kDocument), ElementsAre(kDocument));
}

TEST(RegistryTest, CounterpartStandsWithTheSharpMetricOfItsLength) {
  const MetricInfo& acc = *FindMetric("acc", Evidence::kChoices);
  const MetricInfo& acc_norm = *FindMetric("acc_norm", Evidence::kChoices);
  const MetricInfo& per_char = *FindMetric("nll_per_char", Evidence::kChoices);
  EXPECT_TRUE(SharesNormalization(acc_norm, per_char));
  EXPECT_FALSE(SharesNormalization(acc, per_char));
  EXPECT_FALSE(SharesNormalization(acc, *FindMetric("log_p_gold", Evidence::kChoices)));
}

TEST(RegistryTest, PreferencesHaveNoTiesInAnyEvidence) {
  std::set<std::pair<Evidence, int>> seen;
  for (const MetricInfo& info : AllMetrics()) {
    if (info.sharp) continue;
    EXPECT_TRUE(seen.emplace(info.evidence, info.preference).second) << info.name;
  }
}

TEST(RegistryTest, UnknownNamesHaveNoRow) {
  EXPECT_EQ(FindMetric("accuracy"), nullptr);
  EXPECT_EQ(FindMetric("log_p_target", Evidence::kChoices), nullptr);
}

TEST(RegistryTest, ChanceOfAUniformGuess) {
  EXPECT_DOUBLE_EQ(ChanceValue(Chance::kShare, 4, 1), 0.25);
  EXPECT_DOUBLE_EQ(ChanceValue(Chance::kShare, 4, 2), 0.5);
  EXPECT_DOUBLE_EQ(ChanceValue(Chance::kLogShare, 4, 1), -std::log(4));
  // q = 1/4 each: 3 (1/4)^2 + (3/4)^2.
  EXPECT_DOUBLE_EQ(ChanceValue(Chance::kBrierSum, 4, 1), 0.75);
  EXPECT_DOUBLE_EQ(ChanceValue(Chance::kBrierMean, 4, 1), 0.1875);
  EXPECT_DOUBLE_EQ(ChanceValue(Chance::kBrierTarget, 4, 1), 0.5625);
  EXPECT_DOUBLE_EQ(ChanceValue(Chance::kRank, 4, 1), 2.5);
  EXPECT_THAT(ChanceValue(Chance::kNone, 4, 1), IsNan());
}

TEST(RegistryTest, SignatureNamesTheUnit) {
  const MetricInfo& distance = *FindMetric("token_edit_distance", Evidence::kGeneration);
  EXPECT_EQ(Signature(distance, "codepoints"), "token_edit_distance|unit=codepoints|v1");
  EXPECT_EQ(Signature(*FindMetric("brier_score", Evidence::kChoices), "x"),
            "brier_score|sum_over_choices|softmax_of_loglikelihood|v1");
}

TEST(RegistryTest, SwapReasonComesFromTheProperties) {
  EXPECT_THAT(
      SwapReason(*FindMetric("log_p_gold", Evidence::kChoices)),
      testing::AllOf(HasSubstr("linear in the per-token error"), Not(HasSubstr("wrong choices"))));
  EXPECT_THAT(SwapReason(*FindMetric("brier_score", Evidence::kChoices)),
              HasSubstr("wrong choices"));
}

}  // namespace
}  // namespace mirage::metrics
