#include "server/engine/sample_steps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/sample_batches.h"

namespace mirage::server {
namespace {

using namespace test_support;  // NOLINT: batches are this test's vocabulary

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int kItems = 40;

std::vector<std::string> Names(const std::vector<SampleStep>& steps) {
  std::vector<std::string> names;
  names.reserve(steps.size());
  for (const SampleStep& step : steps) names.push_back(step.metric);
  return names;
}

class SampleStepsTest : public testing::Test {
 protected:
  const TaskScorer* Score(const v1::RunTask& about, const v1::SampleBatch& batch) {
    auto scorer = std::make_unique<TaskScorer>(about, "none", metrics::TextUnit::kCodepoints);
    v1::IngestResponse response;
    EXPECT_TRUE(scorer->Add(batch, false, &response).ok());
    EXPECT_EQ(response.n_bad(), 0u);
    scorers_.push_back(std::move(scorer));
    return scorers_.back().get();
  }

  // The gold's log p, and that of one wrong choice and a second one 1 nat below.
  const TaskScorer* Choices(const std::vector<std::pair<double, double>>& log_p) {
    v1::SampleBatch batch = EmptyBatch("mc");
    for (size_t i = 0; i < log_p.size(); ++i) {
      const auto [gold, wrong] = log_p[i];
      AddChoices(&batch, std::to_string(i), {wrong, gold, wrong - 1}, 1, gold > wrong ? 1 : 0);
      AddText(batch.mutable_keys()->mutable_doc_hash(), "doc" + std::to_string(i));
    }
    return Score(choices_, batch);
  }

  const TaskScorer* Generated(int n_right) {
    v1::SampleBatch batch = EmptyBatch("add");
    for (int i = 0; i < kItems; ++i) {
      AddGeneration(&batch, std::to_string(i), i < n_right ? "7" : "x", "7", i < n_right ? 1 : 0);
      AddText(batch.mutable_keys()->mutable_doc_hash(), "doc" + std::to_string(i));
    }
    return Score(generated_, batch);
  }

  // Document i has -(i + 1) * nll.
  const TaskScorer* Scored(double nll) {
    v1::SampleBatch batch = EmptyBatch("add_ll");
    for (int i = kItems - 1; i >= 0; --i) {
      AddLikelihood(&batch, std::to_string(i), -nll * (i + 1), false);
      AddText(batch.mutable_keys()->mutable_doc_hash(), "doc" + std::to_string(i));
    }
    return Score(scored_, batch);
  }

  const v1::RunTask choices_ = Task("mc", "multiple_choice", {{"acc", 0.5}}, kItems);
  const v1::RunTask generated_ = Task("add", "generate_until", {{"exact_match", 0.5}}, kItems);
  const v1::RunTask scored_ = Task("add_ll", "loglikelihood", {{"acc", 1}}, kItems);
  std::vector<std::unique_ptr<TaskScorer>> scorers_;
};

TEST_F(SampleStepsTest, ChoicesFromTheVocabularyToTheAnswer) {
  // Sample 0: the gold rises, the rivals rise faster. Sample 1: the rivals fall. Sample 2: nothing.
  std::vector<ModelSamples> models;
  for (const double step : {0.0, 1.0, 2.0, 3.0}) {
    models.push_back({.task = Choices({{-5 + step / 4, -4 + step}, {-4, -2 - step}, {-3, -900}})});
  }
  const auto steps = StepsOf(models, std::vector<double>{1, 2, 3, 4}, "acc", true);
  ASSERT_THAT(Names(steps),
              ElementsAre("log_p_gold", "p_gold", "p_gold_choices", "p_wrong_mass", "acc"));
  EXPECT_EQ(steps[0].correlations.n, 1u);
  EXPECT_EQ(steps[0].correlations.n_constant, 2u);
  EXPECT_EQ(steps[0].correlations.quartiles->median, 1);
  EXPECT_EQ(steps[1].correlations.quartiles->median, 1);
  // Among the choices sample 0 gets worse and sample 1 better.
  EXPECT_EQ(steps[2].correlations.n, 2u);
  EXPECT_EQ(*steps[2].correlations.share_negative, 0.5);
  // Less mass on wrong choices is better.
  EXPECT_EQ(steps[3].correlations.n, 2u);
  EXPECT_EQ(*steps[3].correlations.share_negative, 0.5);
  // Sample 1 turns right with the third model; 0 is always wrong and 2 always right.
  EXPECT_EQ(steps[4].correlations.n, 1u);
  EXPECT_EQ(steps[4].correlations.n_constant, 2u);
  EXPECT_GT(steps[4].correlations.quartiles->median, 0.7);
}

TEST_F(SampleStepsTest, MassTooSmallForADoubleKeepsItsShare) {
  std::vector<ModelSamples> models;
  for (const double wrong : {-798.0, -799.0, -801.0}) {
    models.push_back({.task = Choices({{-800, wrong}})});
  }
  const auto steps = StepsOf(models, std::vector<double>{1, 2, 3}, "acc", true);
  ASSERT_THAT(Names(steps),
              ElementsAre("log_p_gold", "p_gold", "p_gold_choices", "p_wrong_mass", "acc"));
  EXPECT_EQ(steps[2].correlations.n, 1u);
  EXPECT_EQ(steps[2].correlations.quartiles->median, 1);
  // p is 0 in all.
  EXPECT_EQ(steps[3].correlations.n_constant, 1u);
}

TEST_F(SampleStepsTest, GenerationsTakeTheirCompanion) {
  std::vector<ModelSamples> models;
  std::vector<CompanionMatch> matches(4);
  const double nll[] = {2, 1, 0.5, 0.25};
  for (size_t j = 0; j < 4; ++j) {
    ModelSamples& of = models.emplace_back();
    of.task = Generated(static_cast<int>(10 * j));
    of.companion = Scored(nll[j]);
    matches[j] = MatchCompanion(of.task->rows(), of.companion->rows());
    of.match = &matches[j];
  }
  // A model without samples takes nothing away.
  models.push_back({});
  const auto steps = StepsOf(models, std::vector<double>{1, 2, 3, 4, 5}, "exact_match", true);
  ASSERT_THAT(Names(steps), ElementsAre("log_p_target", "p_target", "exact_match"));
  EXPECT_EQ(steps[0].correlations.n, static_cast<size_t>(kItems));
  EXPECT_EQ(steps[0].correlations.quartiles->lower, 1);
  EXPECT_EQ(steps[2].correlations.n, 30u);
  EXPECT_EQ(steps[2].correlations.n_constant, 10u);
  EXPECT_EQ(*steps[2].correlations.share_negative, 0);
}

TEST_F(SampleStepsTest, WithoutLogPTheMetricAlone) {
  std::vector<ModelSamples> models;
  for (const int n_right : {0, 20, 40}) models.push_back({.task = Generated(n_right)});
  EXPECT_THAT(Names(StepsOf(models, std::vector<double>{1, 2, 3}, "exact_match", true)),
              ElementsAre("exact_match"));
  EXPECT_THAT(StepsOf(models, std::vector<double>{1, 2, 3}, "f1", true), IsEmpty());
  EXPECT_THAT(StepsOf(models, std::vector<double>{1, 1, 3}, "exact_match", true), IsEmpty());
  EXPECT_THAT(StepsOf({}, {}, "exact_match", true), IsEmpty());
}

}  // namespace
}  // namespace mirage::server
