#include "server/engine/task_scorer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/sample_batches.h"

namespace mirage::server {
namespace {

using namespace test_support;  // NOLINT: batches are this test's vocabulary

using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

const ComputedMetric& Computed(const TaskScorer& scorer, std::string_view name) {
  for (const ComputedMetric& metric : scorer.computed()) {
    if (metric.info->name == name) return metric;
  }
  static const ComputedMetric kNone;
  ADD_FAILURE() << name << " was not computed";
  return kNone;
}

TEST(TaskScorerTest, ChoicesAreScoredAndRederived) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 0.5}}, 2);
  TaskScorer scorer(task, "none", metrics::TextUnit::kCodepoints);
  v1::SampleBatch batch = EmptyBatch("t");
  AddChoices(&batch, "0", {-1, -3}, 0, 1);
  AddChoices(&batch, "1", {-1, -2, -3}, 2, 0);
  v1::IngestResponse response;
  ASSERT_TRUE(scorer.Add(batch, false, &response).ok());
  EXPECT_EQ(response.n_bad(), 0u);
  EXPECT_EQ(scorer.n_samples(), 2u);
  EXPECT_EQ(*Computed(scorer, "log_p_gold").values.mean(), -2);
  EXPECT_EQ(*Computed(scorer, "margin").values.mean(), 0);
  EXPECT_NEAR(*Computed(scorer, "acc").chance.mean(), (0.5 + 1.0 / 3) / 2, 1e-15);
  ASSERT_EQ(scorer.reported().size(), 1u);
  EXPECT_EQ(scorer.reported()[0].n_same, 2u);
  EXPECT_EQ(scorer.reported()[0].n_compared, 2u);
  EXPECT_EQ(Computed(scorer, "nll_per_token").n_undefined, 2u);
}

TEST(TaskScorerTest, BadSamplesAreNamedAndTheRestCounts) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 1}}, 5);
  TaskScorer scorer(task, "none", metrics::TextUnit::kCodepoints);
  v1::SampleBatch batch = EmptyBatch("t");
  AddChoices(&batch, "0", {-1, -3}, 0, 1);
  AddChoices(&batch, "1", {-1, 0.2}, 0, 1);
  AddChoices(&batch, "2", {kNan, -2}, 0, 1);
  AddChoices(&batch, "3", {-1, -2}, 7, 1);
  AddChoices(&batch, "4", {-kInf, -2}, 1, 1);
  v1::IngestResponse response;
  ASSERT_TRUE(scorer.Add(batch, false, &response).ok());
  ASSERT_EQ(response.bad_samples_size(), 3);
  EXPECT_EQ(response.n_bad(), 3u);
  EXPECT_EQ(response.bad_samples(0).index(), 1u);
  EXPECT_EQ(response.bad_samples(0).field(), "samples[1].log_likelihoods[1]");
  EXPECT_EQ(response.bad_samples(0).message(),
            "samples[1].log_likelihoods[1] is +0.2: log-probabilities must be <= 0 (natural "
            "logarithms)");
  EXPECT_THAT(response.bad_samples(1).message(), HasSubstr("samples[2].log_likelihoods[0] is NaN"));
  EXPECT_EQ(response.bad_samples(2).message(),
            "samples[3].golds[0] is 7 with 2 choices: an index counts from 0");
  EXPECT_EQ(scorer.n_samples(), 2u) << "-Infinity is a value, not an error";
  EXPECT_EQ(scorer.n_bad(), 3u);
  EXPECT_EQ(scorer.reported()[0].values.count(), 2u) << "refused rows count nowhere";
}

TEST(TaskScorerTest, OnlyARepeatedFullKeyIsRefused) {
  const v1::RunTask task = Task("t", "generate_until", {{"exact_match", 1}}, 3);
  TaskScorer scorer(task, "none", metrics::TextUnit::kCodepoints);
  v1::SampleBatch batch = EmptyBatch("t");
  AddGeneration(&batch, "0", "a", "a", 1);
  AddGeneration(&batch, "0", "b", "a", 0);
  AddGeneration(&batch, "0", "c", "a", 0);
  for (const char* variant : {"", "repeat=1", ""}) {
    AddText(batch.mutable_keys()->mutable_variant(), variant);
  }
  v1::IngestResponse response;
  ASSERT_TRUE(scorer.Add(batch, false, &response).ok());
  EXPECT_EQ(scorer.n_samples(), 2u);
  ASSERT_EQ(response.bad_samples_size(), 1);
  EXPECT_EQ(response.bad_samples(0).index(), 2u);
  EXPECT_THAT(response.bad_samples(0).message(), HasSubstr("repeats an earlier sample"));
}

TEST(TaskScorerTest, KeysAreNotConfusedByTheirConcatenation) {
  const v1::RunTask task = Task("t", "generate_until", {}, 2);
  TaskScorer scorer(task, "none", metrics::TextUnit::kCodepoints);
  v1::SampleBatch batch = EmptyBatch("t");
  AddGeneration(&batch, "1", "a", "a", 1);
  AddGeneration(&batch, "12", "a", "a", 1);
  AddText(batch.mutable_keys()->mutable_doc_hash(), "23");
  AddText(batch.mutable_keys()->mutable_doc_hash(), "3");
  v1::IngestResponse response;
  ASSERT_TRUE(scorer.Add(batch, false, &response).ok());
  EXPECT_EQ(scorer.n_samples(), 2u);
}

TEST(TaskScorerTest, OpenGoldIsSettledOrLeftOut) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 0.5}}, 3);
  TaskScorer scorer(task, "none", metrics::TextUnit::kCodepoints);
  v1::SampleBatch batch = EmptyBatch("t");
  AddChoices(&batch, "0", {-1, -3}, -1, 0);      // the other one
  AddChoices(&batch, "1", {-1, -3, -4}, -1, 0);  // one of two: unverified
  AddChoices(&batch, "2", {-1, -3, -4}, -1, 1);  // the decision
  v1::IngestResponse response;
  ASSERT_TRUE(scorer.Add(batch, false, &response).ok());
  EXPECT_EQ(scorer.n_gold_unverified(), 1u);
  EXPECT_EQ(scorer.n_samples(), 3u);
  EXPECT_EQ(Computed(scorer, "log_p_gold").values.count(), 2u);
  EXPECT_EQ(*Computed(scorer, "log_p_gold").values.mean(), -2);
  EXPECT_EQ(scorer.reported()[0].values.count(), 3u) << "the harness's own score needs no gold";
}

TEST(TaskScorerTest, GenerationUsesTheTasksNormalisation) {
  v1::RunTask task = Task("t", "generate_until", {{"exact_match", 1}}, 1);
  task.mutable_normalization()->set_ignore_case(true);
  TaskScorer scorer(task, "none", metrics::TextUnit::kCodepoints);
  v1::SampleBatch batch = EmptyBatch("t");
  AddGeneration(&batch, "0", "paris", "Paris", 1);
  v1::IngestResponse response;
  ASSERT_TRUE(scorer.Add(batch, false, &response).ok());
  EXPECT_EQ(scorer.reported()[0].n_same, 1u);
  EXPECT_EQ(*Computed(scorer, "token_edit_distance").values.mean(), 1)
      << "the distance is of the texts as they are";
}

TEST(TaskScorerTest, RepeatedOutputsCountByTheirMean) {
  const v1::RunTask task = Task("t", "generate_until", {{"exact_match", 0.5}}, 1);
  TaskScorer scorer(task, "none", metrics::TextUnit::kCodepoints);
  v1::SampleBatch batch = EmptyBatch("t");
  AddGeneration(&batch, "0", "aa", "aa", 0.5);
  AddText(batch.mutable_generation()->mutable_outputs(), "bb");
  batch.mutable_generation()->add_n_outputs(2);
  v1::IngestResponse response;
  ASSERT_TRUE(scorer.Add(batch, false, &response).ok());
  EXPECT_EQ(*Computed(scorer, "token_edit_distance").values.mean(), 1);
  EXPECT_EQ(*Computed(scorer, "exact_match").values.mean(), 0.5);
}

TEST(TaskScorerTest, LikelihoodFeedsTheRisk) {
  const v1::RunTask task = Task("t", "loglikelihood", {{"acc", 0.5}, {"perplexity", 1}}, 2);
  TaskScorer scorer(task, "none", metrics::TextUnit::kCodepoints);
  v1::SampleBatch batch = EmptyBatch("t");
  AddLikelihood(&batch, "0", -1, true);
  AddLikelihood(&batch, "1", -3, false);
  v1::IngestResponse response;
  ASSERT_TRUE(scorer.Add(batch, false, &response).ok());
  EXPECT_THAT(scorer.log_p_targets(), testing::ElementsAre(-1, -3));
  EXPECT_EQ(scorer.reported()[0].n_same, 2u) << "acc is the greedy match";
  EXPECT_EQ(scorer.reported()[1].n_same, 2u) << "rows of perplexity hold log-likelihoods";
}

TEST(TaskScorerTest, EvidenceMayNotChange) {
  const v1::RunTask task = Task("t", "multiple_choice", {}, 2);
  TaskScorer scorer(task, "none", metrics::TextUnit::kCodepoints);
  v1::SampleBatch batch = EmptyBatch("t");
  AddChoices(&batch, "0", {-1, -3}, 0, 1);
  v1::IngestResponse response;
  ASSERT_TRUE(scorer.Add(batch, false, &response).ok());
  v1::SampleBatch other = EmptyBatch("t");
  AddLikelihood(&other, "1", -1, true);
  const absl::Status status = scorer.Add(other, false, &response);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("one kind of evidence"));
  EXPECT_EQ(scorer.n_samples(), 1u);
}

TEST(TaskScorerTest, DigestDoesNotDependOnTheOrder) {
  const v1::RunTask task = Task("t", "multiple_choice", {}, 3);
  const auto digest = [&](const std::vector<int>& order) {
    TaskScorer scorer(task, "none", metrics::TextUnit::kCodepoints);
    for (const int i : order) {
      v1::SampleBatch batch = EmptyBatch("t");
      AddChoices(&batch, std::to_string(i), {-1.0 - i, -3}, 0, 1);
      v1::IngestResponse response;
      EXPECT_TRUE(scorer.Add(batch, false, &response).ok());
    }
    return scorer.digest();
  };
  EXPECT_EQ(digest({0, 1, 2}), digest({2, 0, 1}));
  EXPECT_NE(digest({0, 1, 2}), digest({0, 1}));
}

TEST(TaskScorerTest, ScoresComeBackRowByRow) {
  const v1::RunTask task = Task("t", "loglikelihood", {{"acc", 1}}, 2);
  TaskScorer scorer(task, "none", metrics::TextUnit::kCodepoints);
  v1::SampleBatch batch = EmptyBatch("t");
  AddLikelihood(&batch, "0", -1, true);
  AddLikelihood(&batch, "1", 3, true);  // refused
  v1::IngestResponse response;
  ASSERT_TRUE(scorer.Add(batch, true, &response).ok());
  const v1::SampleScores& scores = response.scores();
  ASSERT_EQ(scores.values_size(), 2 * scores.metrics_size());
  for (int m = 0; m < scores.metrics_size(); ++m) {
    if (scores.metrics(m) == "log_p_target") {
      EXPECT_EQ(scores.values(m), -1);
    }
    EXPECT_TRUE(std::isnan(scores.values(scores.metrics_size() + m)));
  }
}

// One batch of rows, scored.
TaskScorer Scored(const v1::RunTask& task, const v1::SampleBatch& batch) {
  TaskScorer scorer(task, "none", metrics::TextUnit::kCodepoints);
  v1::IngestResponse response;
  EXPECT_TRUE(scorer.Add(batch, false, &response).ok());
  EXPECT_EQ(response.n_bad(), 0u);
  return scorer;
}

// Four choices, the gold not in the rows: a right answer tells it, a wrong one does not.
TEST(WithheldTest, GoldsThatOnlyRightAnswersTell) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 0.5}}, 4);
  v1::SampleBatch batch = EmptyBatch("t");
  for (int i = 0; i < 4; ++i) AddChoices(&batch, std::to_string(i), {-1, -2, -3, -4}, -1, i % 2);
  const TaskScorer scorer = Scored(task, batch);
  EXPECT_EQ(scorer.n_gold_unverified(), 2u);
  EXPECT_THAT(scorer.Withheld(), HasSubstr("of 2 of 4 rows it does not"));
}

// With two choices a wrong answer tells it, too.
TEST(WithheldTest, NotWhereEveryRowTellsItsGold) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 0.5}}, 4);
  v1::SampleBatch batch = EmptyBatch("t");
  for (int i = 0; i < 4; ++i) AddChoices(&batch, std::to_string(i), {-1, -2}, -1, i % 2);
  const TaskScorer scorer = Scored(task, batch);
  EXPECT_EQ(scorer.n_gold_unverified(), 0u);
  EXPECT_EQ(scorer.Withheld(), "");
}

TEST(WithheldTest, ReadingsThatTheScoresContradict) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 0.8}}, 20);
  for (const int n_wrong : {0, 2, 3, 4}) {
    v1::SampleBatch batch = EmptyBatch("t");
    for (int i = 0; i < 20; ++i) {
      AddChoices(&batch, std::to_string(i), {-1, -2}, 0, i < n_wrong ? 0 : 1);
    }
    const TaskScorer scorer = Scored(task, batch);
    EXPECT_EQ(scorer.n_gold_unverified(), static_cast<uint64_t>(n_wrong));
    EXPECT_EQ(scorer.Withheld().empty(), n_wrong <= 3) << n_wrong;
    // A score that Mirage's definition does not give counts as one that differs.
    EXPECT_EQ(scorer.reported()[0].n_compared, 20u);
    EXPECT_EQ(scorer.reported()[0].n_same, static_cast<uint64_t>(20 - n_wrong));
  }
}

// TruthfulQA's mc2 calls a share of probability acc.
TEST(WithheldTest, FractionsAreNoVerdicts) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 0.4}}, 5);
  v1::SampleBatch batch = EmptyBatch("t");
  for (int i = 0; i < 5; ++i) AddChoices(&batch, std::to_string(i), {-1, -2}, 0, 0.4);
  const TaskScorer scorer = Scored(task, batch);
  EXPECT_EQ(scorer.n_gold_unverified(), 5u);
  EXPECT_THAT(scorer.Withheld(), HasSubstr("5 of 5 rows contradict"));
  EXPECT_EQ(Computed(scorer, "log_p_gold").values.count(), 0u);
}

// gsm8k: the target is the rationale, the output a number.
TEST(WithheldTest, TargetsThatRightAnswersAreFarFrom) {
  const std::string rationale = "He has 3 + 4 = 7 apples, of which he eats 2. #### 5";
  v1::RunTask task = Task("t", "generate_until", {{"exact_match", 0.5}}, 4);
  task.mutable_normalization()->set_custom(true);
  v1::SampleBatch batch = EmptyBatch("t");
  for (int i = 0; i < 4; ++i) AddGeneration(&batch, std::to_string(i), "5", rationale, i % 2);
  EXPECT_THAT(Scored(task, batch).Withheld(),
              HasSubstr("the 2 outputs that the harness scored as right are far from their"));
  // No right row: nothing shows what the target is.
  v1::SampleBatch wrong = EmptyBatch("t");
  AddGeneration(&wrong, "0", "5", rationale, 0);
  EXPECT_THAT(Scored(task, wrong).Withheld(), HasSubstr("in a way of its own"));
  // A normalisation of the task's own that hardly matters.
  v1::SampleBatch near = EmptyBatch("t");
  for (int i = 0; i < 4; ++i) AddGeneration(&near, std::to_string(i), "$1,000", "1,000.", 1);
  EXPECT_EQ(Scored(task, near).Withheld(), "");
  // The harness's own definition, and no right row: the target is what it compared with.
  task.mutable_normalization()->set_custom(false);
  EXPECT_EQ(Scored(task, wrong).Withheld(), "");
}

// A metric of the task's own, not named exact_match, says right just as well.
TEST(WithheldTest, AnyVerdictShowsHowFarTargetsAre) {
  v1::RunTask task = Task("t", "generate_until", {{"strict_acc", 1}}, 4);
  v1::SampleBatch batch = EmptyBatch("t");
  for (int i = 0; i < 4; ++i) {
    AddGeneration(&batch, std::to_string(i), "A text of some length that obeys", "0", 1);
  }
  batch.mutable_scores(0)->set_metric("strict_acc");
  EXPECT_THAT(Scored(task, batch).Withheld(), HasSubstr("far from their targets"));
  // Not one where lower is better: there 1 is no success.
  task.mutable_reported(0)->set_higher_is_better(false);
  EXPECT_EQ(Scored(task, batch).Withheld(), "");
}

TEST(TaskScorerTest, EvidenceThatIsNotScoredIsRefused) {
  const v1::RunTask task = Task("t", "generate_until", {{"exact_match", 1}}, 1);
  TaskScorer scorer(task, "none", metrics::TextUnit::kCodepoints);
  v1::SampleBatch batch = EmptyBatch("t");
  AddGeneration(&batch, "0", "a", "a", 1);
  batch.mutable_gold_likelihood()->add_log_likelihoods(-1);
  v1::IngestResponse response;
  EXPECT_EQ(scorer.Add(batch, false, &response).code(), absl::StatusCode::kUnimplemented);
  batch.clear_gold_likelihood();
  batch.mutable_token_logprobs();
  EXPECT_EQ(scorer.Add(batch, false, &response).code(), absl::StatusCode::kUnimplemented);
  batch.clear_token_logprobs();
  EXPECT_TRUE(scorer.Add(batch, false, &response).ok());
  EXPECT_EQ(scorer.n_samples(), 1u);
}

TEST(TaskScorerTest, RefusalsHaveCodes) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 1}}, 2);
  TaskScorer scorer(task, "none", metrics::TextUnit::kCodepoints);
  v1::SampleBatch batch = EmptyBatch("t");
  AddChoices(&batch, "0", {-1, -3}, 0, 1);
  AddChoices(&batch, "0", {-1, -3}, 0, 1);
  AddChoices(&batch, "1", {-1, 3}, 0, 1);
  v1::IngestResponse response;
  ASSERT_TRUE(scorer.Add(batch, false, &response).ok());
  ASSERT_EQ(response.bad_samples_size(), 2);
  EXPECT_EQ(response.bad_samples(0).code(), 6u);  // ALREADY_EXISTS
  EXPECT_EQ(response.bad_samples(1).code(), 3u);  // INVALID_ARGUMENT
}

}  // namespace
}  // namespace mirage::server
