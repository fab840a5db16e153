#include "server/engine/task_scorer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/support/sample_batches.h"

namespace mirage::server {
namespace {

using namespace test_support;  // NOLINT: batches are this test's vocabulary

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsNan;

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
  EXPECT_THAT(scorer.rows().log_p, testing::ElementsAre(-1, -3));
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

// Appends the gold's tokens of one sample; texts where there are any.
void AddTokens(v1::SampleBatch* batch, const std::vector<std::string>& texts,
               const std::vector<double>& log_probs) {
  v1::TokenLogprobColumns* columns = batch->mutable_token_logprobs();
  columns->add_n_tokens(static_cast<uint32_t>(log_probs.size()));
  for (const double x : log_probs) columns->add_log_probs(x);
  for (const std::string& text : texts) test_support::AddText(columns->mutable_tokens(), text);
}

class GoldEvidenceTest : public testing::Test {
 protected:
  absl::Status Add(const v1::SampleBatch& batch, bool return_scores = false) {
    response_.Clear();
    return scorer_.Add(batch, return_scores, &response_);
  }

  const v1::RunTask task_ = Task("t", "generate_until", {{"exact_match", 1}}, 2);
  TaskScorer scorer_{task_, "none", metrics::TextUnit::kCodepoints};
  v1::SampleBatch batch_ = EmptyBatch("t");
  v1::IngestResponse response_;
};

TEST_F(GoldEvidenceTest, TokensOfTheTargetAloneCount) {
  AddGeneration(&batch_, "0", "238", "238", 1);
  AddTokens(&batch_, {" ", "2", "38", "\n"}, {-8, -0.5, -0.25, -4});
  AddGeneration(&batch_, "1", "7", "12", 0);
  AddTokens(&batch_, {" 1", "2", "\n", "\n"}, {-1, -2, -16, -32});
  ASSERT_TRUE(Add(batch_).ok());
  scorer_.Finish();
  EXPECT_EQ(scorer_.n_with_log_p(), 2u);
  EXPECT_EQ(scorer_.n_unspelled(), 0u);
  EXPECT_THAT(scorer_.rows().log_p, ElementsAre(-0.75, -3));
  EXPECT_EQ(Computed(scorer_, "log_p_target").values.mean(), (-0.75 - 3) / 2);
  EXPECT_EQ(Computed(scorer_, "nll_per_token").values.mean(), (0.375 + 1.5) / 2);
  EXPECT_EQ(Computed(scorer_, "nll_per_char").values.mean(), (0.25 + 1.5) / 2);
  EXPECT_EQ(Computed(scorer_, "min_token_log_p").values.mean(), -1.25);
  EXPECT_DOUBLE_EQ(*Computed(scorer_, "p_target").values.mean(),
                   (std::exp(-0.75) + std::exp(-3)) / 2);
  ASSERT_EQ(scorer_.token_positions().n_positions(), 2u);
  EXPECT_EQ(scorer_.token_positions().at(0, false).values.mean(), 0.75);
  EXPECT_EQ(scorer_.token_positions().at(0, true).values.mean(), 1.125);
  EXPECT_EQ(scorer_.mean_target_units(), 2);
  // Digits of 238 and 12 beside 238 and 7.
  EXPECT_EQ(scorer_.generated_positions().at(0, true).values.mean(), 0.5);
  EXPECT_EQ(scorer_.generated_positions().lengths().mean(), 2.5);
}

TEST_F(GoldEvidenceTest, TokenThatRunsOverTheEndIsTheTargets) {
  AddGeneration(&batch_, "0", "ab", "ab", 1);
  AddTokens(&batch_, {"a", "b.\n", "\n"}, {-1, -2, -4});
  ASSERT_TRUE(Add(batch_).ok());
  EXPECT_THAT(scorer_.rows().log_p, ElementsAre(-3));
}

TEST_F(GoldEvidenceTest, TheLongestAcceptedAnswerIsMeant) {
  AddGeneration(&batch_, "0", "twelve", "tw", 0);
  test_support::AddText(batch_.mutable_generation()->mutable_targets(), "twelve");
  batch_.mutable_generation()->add_n_targets(2);
  batch_.mutable_scores(0)->set_values(0, 1);
  AddTokens(&batch_, {"tw", "elve", "\n"}, {-1, -2, -4});
  ASSERT_TRUE(Add(batch_).ok());
  EXPECT_THAT(scorer_.rows().log_p, ElementsAre(-3));
  EXPECT_EQ(Computed(scorer_, "nll_per_byte").values.mean(), 0.5);
}

TEST_F(GoldEvidenceTest, EveryTokenCountsWhereTheTextsDoNotSpellTheTarget) {
  AddGeneration(&batch_, "0", "12", "12", 1);
  AddTokens(&batch_,
            {"\u0120"
             "12",
             "\u010A"},
            {-1, -2});
  ASSERT_TRUE(Add(batch_).ok());
  EXPECT_EQ(scorer_.n_unspelled(), 1u);
  EXPECT_THAT(scorer_.rows().log_p, ElementsAre(-3));

  TaskScorer without_texts(task_, "none", metrics::TextUnit::kCodepoints);
  batch_.mutable_token_logprobs()->clear_tokens();
  ASSERT_TRUE(without_texts.Add(batch_, false, &response_).ok());
  EXPECT_EQ(without_texts.n_unspelled(), 0u);
  EXPECT_THAT(without_texts.rows().log_p, ElementsAre(-3));
  EXPECT_TRUE(std::isnan(without_texts.token_positions().ChanceEntropy(0, false)));
}

TEST_F(GoldEvidenceTest, ProbeStandsWhereNoTokensDo) {
  AddGeneration(&batch_, "0", "12", " 12 ", 0);
  AddGeneration(&batch_, "1", "13", "13", 1);
  AddGeneration(&batch_, "2", "14", "14", 1);
  AddTokens(&batch_, {}, {});
  AddTokens(&batch_, {}, {-1, -1});
  AddTokens(&batch_, {}, {});
  v1::LikelihoodColumns* probe = batch_.mutable_gold_likelihood();
  probe->set_scope(v1::LikelihoodColumns::Scope::GOLD_PROBE);
  for (const double x : {-4.0, -5.0, 7.0}) probe->add_log_likelihoods(x);
  for (const bool recorded : {true, true, false}) probe->add_recorded(recorded);
  for (const uint32_t n : {8, 0, 0}) probe->add_n_tokens(n);
  ASSERT_TRUE(Add(batch_).ok());
  EXPECT_EQ(scorer_.n_samples(), 3u);
  EXPECT_EQ(scorer_.n_with_log_p(), 2u);
  EXPECT_THAT(scorer_.rows().log_p, ElementsAre(-4, -2, IsNan()));
  EXPECT_EQ(Computed(scorer_, "nll_per_token").values.mean(), 0.75);
  // The delimiter is not of the text.
  EXPECT_EQ(Computed(scorer_, "nll_per_byte").values.mean(), 1.5);
  EXPECT_EQ(Computed(scorer_, "nll_per_byte").n_undefined, 1u);
  EXPECT_EQ(scorer_.rows().gold[0] == scorer_.rows().gold[1], false);
}

TEST_F(GoldEvidenceTest, WrongLogProbabilitiesRefuseTheSample) {
  AddGeneration(&batch_, "0", "a", "a", 1);
  AddTokens(&batch_, {}, {-1, 0.5});
  AddGeneration(&batch_, "1", "b", "b", 1);
  AddTokens(&batch_, {}, {kNan});
  AddGeneration(&batch_, "2", "c", "c", 1);
  AddTokens(&batch_, {}, {});
  AddGeneration(&batch_, "3", "d", "d", 1);
  AddTokens(&batch_, {}, {-kInf});
  for (const double x : {-1.0, -1.0, 1.0, -1.0}) {
    batch_.mutable_gold_likelihood()->add_log_likelihoods(x);
  }
  ASSERT_TRUE(Add(batch_).ok());
  ASSERT_EQ(response_.bad_samples_size(), 3);
  EXPECT_EQ(response_.bad_samples(0).field(), "samples[0].token_logprobs.log_probs[1]");
  EXPECT_EQ(response_.bad_samples(1).field(), "samples[1].token_logprobs.log_probs[0]");
  EXPECT_EQ(response_.bad_samples(2).field(), "samples[2].gold_likelihood.log_likelihood");
  EXPECT_THAT(scorer_.rows().log_p, ElementsAre(-kInf));
}

TEST_F(GoldEvidenceTest, AllZeroIsMissing) {
  AddGeneration(&batch_, "0", "a", "a", 1);
  AddTokens(&batch_, {}, {0, -0.0});
  ASSERT_TRUE(Add(batch_, true).ok());
  const auto& names = response_.scores().metrics();
  const auto at = std::find(names.begin(), names.end(), "log_p_target") - names.begin();
  EXPECT_TRUE(std::isnan(response_.scores().values(static_cast<int>(at))));
  scorer_.Finish();
  EXPECT_TRUE(scorer_.log_probs_missing());
  EXPECT_EQ(scorer_.n_with_log_p(), 0u);
  EXPECT_EQ(Computed(scorer_, "log_p_target").values.count(), 0u);
  EXPECT_EQ(Computed(scorer_, "log_p_target").n_undefined, 1u);
  EXPECT_THAT(scorer_.rows().log_p, ElementsAre(IsNan()));
  EXPECT_EQ(scorer_.token_positions().n_items(), 0u);
  // What the harness scored stays.
  EXPECT_EQ(Computed(scorer_, "edit_similarity").values.count(), 1u);
}

TEST_F(GoldEvidenceTest, OneOtherThanZeroMakesAllCount) {
  AddGeneration(&batch_, "0", "a", "a", 1);
  AddTokens(&batch_, {}, {0});
  ASSERT_TRUE(Add(batch_).ok());
  v1::SampleBatch later = EmptyBatch("t");
  AddGeneration(&later, "1", "b", "b", 1);
  AddTokens(&later, {}, {-1});
  ASSERT_TRUE(Add(later).ok());
  scorer_.Finish();
  EXPECT_FALSE(scorer_.log_probs_missing());
  EXPECT_THAT(scorer_.rows().log_p, ElementsAre(0, -1));
}

TEST_F(GoldEvidenceTest, EvidenceMayBeginLate) {
  AddGeneration(&batch_, "0", "a", "a", 1);
  ASSERT_TRUE(Add(batch_).ok());
  v1::SampleBatch later = EmptyBatch("t");
  AddGeneration(&later, "1", "b", "b", 1);
  AddTokens(&later, {}, {-1});
  ASSERT_TRUE(Add(later).ok());
  EXPECT_EQ(Computed(scorer_, "log_p_target").n_undefined, 1u);
  EXPECT_EQ(Computed(scorer_, "log_p_target").values.count(), 1u);
  EXPECT_THAT(scorer_.rows().log_p, ElementsAre(IsNan(), -1));
  EXPECT_EQ(Computed(scorer_, "exact_match").values.count(), 2u);
}

TEST_F(GoldEvidenceTest, RowsWhoseGoldIsContradictedHaveNone) {
  AddGeneration(&batch_, "0", "a", "a", 0);
  AddTokens(&batch_, {}, {-1});
  AddGeneration(&batch_, "1", "b", "b", 1);
  AddTokens(&batch_, {}, {-2});
  ASSERT_TRUE(Add(batch_).ok());
  EXPECT_EQ(scorer_.n_gold_unverified(), 1u);
  EXPECT_EQ(scorer_.n_with_log_p(), 1u);
  EXPECT_THAT(scorer_.rows().log_p, ElementsAre(IsNan(), -2));
  EXPECT_THAT(scorer_.rows().edit_distance, ElementsAre(IsNan(), 0));
  EXPECT_EQ(scorer_.token_positions().n_items(), 1u);
  EXPECT_EQ(scorer_.generated_positions().n_items(), 1u);
}

TEST_F(GoldEvidenceTest, DigestTellsRunsApart) {
  AddGeneration(&batch_, "0", "a", "a", 1);
  const auto digest = [&] {
    TaskScorer scorer(task_, "none", metrics::TextUnit::kCodepoints);
    EXPECT_TRUE(scorer.Add(batch_, false, &response_).ok());
    return scorer.digest();
  };
  std::set<absl::uint128> digests = {digest()};
  AddTokens(&batch_, {"a", "b"}, {-1, -2});
  digests.insert(digest());
  batch_.mutable_token_logprobs()->mutable_tokens()->set_data("ac");
  digests.insert(digest());
  batch_.mutable_token_logprobs()->set_log_probs(1, -3);
  digests.insert(digest());
  batch_.mutable_gold_likelihood()->add_log_likelihoods(-1);
  digests.insert(digest());
  EXPECT_EQ(digests.size(), 5u);
}

TEST_F(GoldEvidenceTest, EvidenceThatIsNotScoredIsRefused) {
  AddGeneration(&batch_, "0", "a", "a", 1);
  AddTokens(&batch_, {}, {-1});
  batch_.mutable_token_logprobs()->set_of_output(true);
  EXPECT_EQ(Add(batch_).code(), absl::StatusCode::kUnimplemented);
  batch_.mutable_token_logprobs()->set_of_output(false);
  batch_.mutable_token_logprobs()->add_n_tokens(1);
  EXPECT_EQ(Add(batch_).code(), absl::StatusCode::kInvalidArgument);
  batch_.clear_token_logprobs();
  batch_.mutable_gold_likelihood()->set_scope(v1::LikelihoodColumns::Scope::DOCUMENT);
  batch_.mutable_gold_likelihood()->add_log_likelihoods(-1);
  EXPECT_EQ(Add(batch_).code(), absl::StatusCode::kInvalidArgument);
  batch_.mutable_gold_likelihood()->clear_scope();
  batch_.mutable_gold_likelihood()->add_recorded(true);
  batch_.mutable_gold_likelihood()->add_recorded(true);
  EXPECT_EQ(Add(batch_).code(), absl::StatusCode::kInvalidArgument);

  v1::SampleBatch choices = EmptyBatch("t");
  AddChoices(&choices, "0", {-1, -3}, 0, 1);
  AddTokens(&choices, {}, {-1});
  EXPECT_EQ(Add(choices).code(), absl::StatusCode::kUnimplemented);
  batch_.clear_gold_likelihood();
  EXPECT_TRUE(Add(batch_).ok());
  EXPECT_EQ(scorer_.n_samples(), 1u);
}

TEST_F(GoldEvidenceTest, TemperatureIsThatOfAllBatches) {
  AddGeneration(&batch_, "0", "a", "a", 1);
  ASSERT_TRUE(Add(batch_).ok());
  EXPECT_EQ(scorer_.temperature(), std::nullopt);
  v1::SampleBatch warm = EmptyBatch("t");
  AddGeneration(&warm, "1", "a", "a", 1);
  warm.mutable_generation()->set_temperature(0.7);
  ASSERT_TRUE(Add(warm).ok());
  EXPECT_EQ(scorer_.temperature(), 0.7);
  v1::SampleBatch cold = EmptyBatch("t");
  AddGeneration(&cold, "2", "a", "a", 1);
  cold.mutable_generation()->set_temperature(0);
  ASSERT_TRUE(Add(cold).ok());
  EXPECT_EQ(scorer_.temperature(), std::nullopt);
}

TEST(SampleRowsTest, KeepWhatJoinsTasks) {
  const v1::RunTask gen_task = Task("add", "generate_until", {{"exact_match", 1}}, 2);
  TaskScorer gen(gen_task, "none", metrics::TextUnit::kCodepoints);
  v1::SampleBatch batch = EmptyBatch("add");
  AddGeneration(&batch, "0", "x", "12", 0);
  AddGeneration(&batch, "1", "13", "13", 1);
  AddGeneration(&batch, "1", "13", "13", 1);
  for (const char* hash : {"a", "b", "b"}) {
    test_support::AddText(batch.mutable_keys()->mutable_doc_hash(), hash);
    test_support::AddText(batch.mutable_keys()->mutable_prompt_hash(), hash);
    test_support::AddText(batch.mutable_keys()->mutable_variant(), "");
  }
  v1::IngestResponse response;
  ASSERT_TRUE(gen.Add(batch, false, &response).ok());
  v1::SampleBatch next = EmptyBatch("add");
  AddGeneration(&next, "2", "14", "14", 1);
  next.add_scores()->set_metric("other");
  next.mutable_scores(1)->set_aggregation(v1::ScoreColumn::Aggregation::MEAN);
  next.mutable_scores(1)->add_values(5);
  next.mutable_scores(0)->set_values(0, 3);
  ASSERT_TRUE(gen.Add(next, false, &response).ok());

  const v1::RunTask ll_task = Task("add_ll", "loglikelihood", {{"acc", 1}}, 2);
  TaskScorer ll(ll_task, "none", metrics::TextUnit::kCodepoints);
  v1::SampleBatch scored = EmptyBatch("add_ll");
  test_support::AddLikelihood(&scored, "9", -2, false);
  test_support::AddText(scored.mutable_keys()->mutable_doc_hash(), "a");
  test_support::AddText(scored.mutable_keys()->mutable_variant(), "repeat=1");
  test_support::AddText(scored.mutable_likelihood()->mutable_targets(), " 12\n");
  ASSERT_TRUE(ll.Add(scored, false, &response).ok());

  const SampleRows& rows = gen.rows();
  ASSERT_EQ(rows.doc_hash.size(), 3u);
  EXPECT_EQ(rows.doc_hash[0], ll.rows().doc_hash[0]);
  EXPECT_NE(rows.doc_hash[1], rows.doc_hash[0]);
  EXPECT_EQ(rows.prompt_hash[0], rows.doc_hash[0]);
  EXPECT_EQ(rows.doc_hash[2], 0);
  EXPECT_EQ(ll.rows().prompt_hash[0], 0);
  EXPECT_EQ(rows.gold[0], ll.rows().gold[0]);
  EXPECT_NE(rows.gold[1], rows.gold[0]);
  EXPECT_EQ(rows.variant[0], 0);
  EXPECT_NE(ll.rows().variant[0], 0);
  EXPECT_THAT(rows.edit_distance, ElementsAre(2, 0, 0));
  EXPECT_THAT(rows.target_length, ElementsAre(2, 2, 2));
  EXPECT_THAT(rows.log_p, ElementsAre(IsNan(), IsNan(), IsNan()));
  ASSERT_EQ(rows.reported.size(), 2u);
  // The repeated row has no cell, and an exact match of 3 is none.
  EXPECT_THAT(rows.reported[0], ElementsAre(0, 1, IsNan()));
  EXPECT_THAT(rows.reported[1], ElementsAre(IsNan(), IsNan(), 5));
}

TEST(SampleRowsTest, ChoicesKeepGoldAndMargin) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 1}}, 2);
  TaskScorer scorer(task, "none", metrics::TextUnit::kCodepoints);
  v1::SampleBatch batch = EmptyBatch("t");
  AddChoices(&batch, "0", {-1, -3}, 0, 1);
  AddChoices(&batch, "1", {-1, -3}, 0, 0);
  for (const char* text : {" yes", " no", " yes", " no"}) {
    test_support::AddText(batch.mutable_multiple_choice()->mutable_choices(), text);
  }
  v1::IngestResponse response;
  ASSERT_TRUE(scorer.Add(batch, false, &response).ok());
  EXPECT_THAT(scorer.rows().log_p, ElementsAre(-1, IsNan()));
  EXPECT_THAT(scorer.rows().margin, ElementsAre(2, IsNan()));
  EXPECT_NE(scorer.rows().gold[0], 0);
  EXPECT_EQ(scorer.rows().gold[1], 0);
}

TEST(GeneratedPositionsTest, CountWordsAndIds) {
  const v1::RunTask task = Task("t", "generate_until", {{"exact_match", 1}}, 1);
  TaskScorer words(task, "none", metrics::TextUnit::kWords);
  v1::SampleBatch batch = EmptyBatch("t");
  AddGeneration(&batch, "0", " the\tred  car ", "a red car", 0);
  v1::IngestResponse response;
  ASSERT_TRUE(words.Add(batch, false, &response).ok());
  ASSERT_EQ(words.generated_positions().n_positions(), 3u);
  EXPECT_EQ(words.generated_positions().at(0, false).values.mean(), 1);
  EXPECT_EQ(words.generated_positions().at(1, false).values.mean(), 0);
  EXPECT_EQ(words.generated_positions().at(0, true).values.mean(), 0);

  for (auto* ids : {batch.mutable_generation()->mutable_output_ids(),
                    batch.mutable_generation()->mutable_target_ids()}) {
    ids->set_tokenizer("bpe");
    ids->add_ids(70000);
    ids->add_lengths(1);
  }
  TaskScorer ids(task, "none", metrics::TextUnit::kWords);
  ASSERT_TRUE(ids.Add(batch, false, &response).ok());
  ASSERT_EQ(ids.generated_positions().n_positions(), 1u);
  EXPECT_EQ(ids.generated_positions().at(0, false).values.mean(), 0);
  EXPECT_EQ(ids.generated_positions().at(0, false).golds.count(70000), 1u);
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
