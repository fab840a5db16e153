#include "server/engine/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "metrics/stats/interval_choice.h"
#include "tests/support/sample_batches.h"

namespace mirage::server {
namespace {

using namespace test_support;  // NOLINT: batches are this test's vocabulary

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const v1::MetricSummary* Find(const v1::TaskSummary& task, const std::string& metric) {
  for (const v1::MetricSummary& m : task.metrics()) {
    if (m.metric() == metric) return &m;
  }
  ADD_FAILURE() << metric << " is missing";
  static const v1::MetricSummary kNone;
  return &kNone;
}

std::vector<std::string> Names(const v1::TaskSummary& task) {
  std::vector<std::string> names;
  for (const v1::MetricSummary& m : task.metrics()) names.push_back(m.metric());
  return names;
}

v1::TaskSummary Summarize(const v1::RunTask& task, const v1::SampleBatch& batch,
                          const SummaryOptions& options = {}) {
  TaskScorer scorer(task, "none", metrics::TextUnit::kCodepoints);
  v1::IngestResponse response;
  EXPECT_TRUE(scorer.Add(batch, false, &response).ok());
  scorer.Finish();
  return SummarizeTask(task, "none", &scorer, {}, options);
}

TEST(SummaryTest, ReportedMetricThenItsCounterparts) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 0.5}}, 2);
  v1::SampleBatch batch = EmptyBatch("t");
  AddChoices(&batch, "0", {-1, -3}, 0, 1);
  AddChoices(&batch, "1", {-1, -2}, 1, 0);
  const v1::TaskSummary summary = Summarize(task, batch);
  ASSERT_GT(summary.metrics_size(), 10);
  const v1::MetricSummary& acc = summary.metrics(0);
  EXPECT_EQ(acc.metric(), "acc");
  EXPECT_EQ(acc.role(), v1::MetricSummary::REPORTED);
  EXPECT_EQ(acc.value(), 0.5);
  EXPECT_EQ(acc.reported_value(), 0.5);
  EXPECT_EQ(acc.rederived(), 1);
  EXPECT_EQ(acc.chance(), 0.5);
  EXPECT_EQ(acc.interval().method(), "clopper_pearson");
  EXPECT_EQ(acc.interval().signature(), "interval=clopper_pearson|level=0.95|chosen=auto|v1");
  EXPECT_NEAR(acc.stderr(), 0.5, 1e-15) << "sample standard deviation over sqrt(n), as lm-eval";
  EXPECT_EQ(acc.signature(), "acc|argmax_first_of_ties|v1");
  EXPECT_EQ(summary.metrics(1).metric(), "log_p_gold");
  EXPECT_THAT(summary.metrics(1).counterpart_of(), ElementsAre("acc"));
  EXPECT_EQ(summary.metrics(1).value(), -1.5);
  EXPECT_EQ(summary.metrics(1).interval().method(), "student_t");
  EXPECT_EQ(Find(summary, "ece")->interval().method(), "bootstrap_percentile");
  EXPECT_THAT(summary.warnings(), IsEmpty());
  EXPECT_NE(summary.mirage_risk().level(), v1::MirageRisk::LEVEL_UNSPECIFIED);
}

TEST(SummaryTest, CounterpartStandsUnderTheMetricOfItsLength) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 1}, {"acc_norm", 1}}, 2);
  v1::SampleBatch batch = EmptyBatch("t");
  AddChoices(&batch, "0", {-1, -3}, 0, 1);
  AddChoices(&batch, "1", {-1, -2.5}, 0, 1);
  v1::ScoreColumn* norm = batch.add_scores();
  norm->set_metric("acc_norm");
  norm->set_aggregation(v1::ScoreColumn::Aggregation::MEAN);
  norm->add_values(1);
  norm->add_values(1);
  const v1::TaskSummary summary = Summarize(task, batch);
  EXPECT_THAT(Find(summary, "nll_per_char")->counterpart_of(), ElementsAre("acc_norm", "acc"));
  EXPECT_THAT(Find(summary, "log_p_gold")->counterpart_of(), ElementsAre("acc", "acc_norm"));
  const auto names = Names(summary);
  EXPECT_EQ(names.back(), "nll_per_char") << "after acc_norm";
}

TEST(SummaryTest, IntervalsStayInTheRange) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 0.5}}, 2);
  v1::SampleBatch batch = EmptyBatch("t");
  AddChoices(&batch, "0", {-0.01, -6}, 0, 1);
  AddChoices(&batch, "1", {-0.01, -5}, 1, 0);
  const v1::TaskSummary summary = Summarize(task, batch);
  const v1::Interval& p = Find(summary, "p_gold_choices")->interval();
  EXPECT_EQ(p.lower(), 0);
  EXPECT_EQ(p.upper(), 1);
  EXPECT_LE(Find(summary, "log_p_gold")->interval().upper(), 0);
}

TEST(SummaryTest, NoSpreadGivesNoIntervalButCountsDo) {
  const v1::RunTask task = Task("t", "generate_until", {{"exact_match", 0}}, 3);
  v1::SampleBatch batch = EmptyBatch("t");
  for (const char* id : {"0", "1", "2"}) AddGeneration(&batch, id, "xy", "ab", 0);
  const v1::TaskSummary summary = Summarize(task, batch);
  const v1::MetricSummary* exact_match = Find(summary, "exact_match");
  EXPECT_EQ(exact_match->interval().method(), "clopper_pearson");
  EXPECT_GT(exact_match->interval().upper(), 0.5) << "0 of 3 says little";
  EXPECT_FALSE(Find(summary, "token_edit_distance")->has_interval());
  EXPECT_FALSE(Find(summary, "prefix_match")->has_interval()) << "all zeros is no count";
  EXPECT_THAT(summary.unavailable(), SizeIs(testing::Ge(5)));
  EXPECT_THAT(summary.unavailable(0).reason(), HasSubstr("log-likelihood of the gold answer"));
}

void AddGoldTokens(v1::SampleBatch* batch, const std::vector<double>& log_probs) {
  v1::TokenLogprobColumns* columns = batch->mutable_token_logprobs();
  columns->add_n_tokens(static_cast<uint32_t>(log_probs.size()));
  for (const double x : log_probs) columns->add_log_probs(x);
}

TEST(SummaryTest, GoldLogProbabilitiesStandBesideExactMatch) {
  const v1::RunTask task = Task("t", "generate_until", {{"exact_match", 0.5}}, 2);
  v1::SampleBatch batch = EmptyBatch("t");
  AddGeneration(&batch, "0", "ab", "ab", 1);
  AddGoldTokens(&batch, {-0.25, -0.25});
  AddGeneration(&batch, "1", "xy", "cd", 0);
  AddGoldTokens(&batch, {-1, -2});
  const v1::TaskSummary summary = Summarize(task, batch);
  const v1::MetricSummary* log_p = Find(summary, "log_p_target");
  EXPECT_EQ(log_p->role(), v1::MetricSummary::COUNTERPART);
  EXPECT_THAT(log_p->counterpart_of(), ElementsAre("exact_match"));
  EXPECT_EQ(log_p->value(), -1.75);
  EXPECT_EQ(log_p->signature(), "log_p_target|gold_tokens|v1");
  EXPECT_EQ(Find(summary, "perplexity")->value(), std::exp(1.75));
  EXPECT_EQ(Find(summary, "nll_per_token")->value(), 0.875);
  EXPECT_NEAR(Find(summary, "token_error_rate")->value(), 0.4847959273622838, 1e-15);
  EXPECT_THAT(Find(summary, "expected_edit_distance")->signature(), HasSubstr("unit=tokens|"));
  EXPECT_EQ(summary.metrics(1).metric(), "log_p_target") << "before the distances";
  EXPECT_EQ(Find(summary, "token_edit_distance")->value(), 1);
  ASSERT_EQ(summary.unavailable_size(), 1);
  EXPECT_EQ(summary.unavailable(0).metric(), "greedy_token_accuracy") << "hits were not recorded";
  EXPECT_THAT(summary.warnings(), IsEmpty());
  // From log p, so without the reason that edit distances alone give.
  bool from_log_p = false;
  for (const v1::Reason& reason : summary.metrics(0).mirage_risk().reasons()) {
    EXPECT_NE(reason.code(), "EDIT_DISTANCE_ONLY");
    for (const v1::NamedValue& value : reason.values()) {
      if (value.name() != "m_one") continue;
      from_log_p = true;
      EXPECT_DOUBLE_EQ(value.value(), (std::exp(-0.5) + std::exp(-3)) / 2);
    }
  }
  EXPECT_TRUE(from_log_p);
}

TEST(SummaryTest, ProbesAreNamedInTheSignature) {
  const v1::RunTask task = Task("t", "generate_until", {{"exact_match", 1}}, 1);
  v1::SampleBatch batch = EmptyBatch("t");
  AddGeneration(&batch, "0", "ab", "ab", 1);
  batch.mutable_gold_likelihood()->add_log_likelihoods(-1);
  const v1::TaskSummary summary = Summarize(task, batch);
  EXPECT_EQ(Find(summary, "log_p_target")->signature(), "log_p_target|gold_probe|v1");
  EXPECT_EQ(Find(summary, "nll_per_byte")->value(), 0.5);
  EXPECT_THAT(Names(summary), Not(Contains("token_error_rate")));
  ASSERT_EQ(summary.unavailable_size(), 1);
  EXPECT_EQ(summary.unavailable(0).metric(), "nll_per_token");
}

TEST(SummaryTest, FewLogProbabilitiesDoNotSpeakForTheTask) {
  const v1::RunTask task = Task("t", "generate_until", {{"exact_match", 0.5}}, 2);
  v1::SampleBatch batch = EmptyBatch("t");
  AddGeneration(&batch, "0", "ab", "ab", 1);
  AddGoldTokens(&batch, {-0.25});
  AddGeneration(&batch, "1", "xy", "cd", 0);
  AddGoldTokens(&batch, {});
  const v1::TaskSummary summary = Summarize(task, batch);
  EXPECT_EQ(Find(summary, "log_p_target")->n(), 1u);
  EXPECT_EQ(Find(summary, "log_p_target")->n_bad(), 1u);
  EXPECT_THAT(summary.warnings(), ElementsAre(HasSubstr("for 1 of 2 rows")));
  const auto& reasons = summary.metrics(0).mirage_risk().reasons();
  EXPECT_TRUE(std::any_of(reasons.begin(), reasons.end(),
                          [](const auto& r) { return r.code() == "EDIT_DISTANCE_ONLY"; }));
}

TEST(SummaryTest, ZerosAreMissing) {
  const v1::RunTask task = Task("t", "generate_until", {{"exact_match", 1}}, 1);
  v1::SampleBatch batch = EmptyBatch("t");
  AddGeneration(&batch, "0", "ab", "ab", 1);
  AddGoldTokens(&batch, {0, 0});
  const v1::TaskSummary summary = Summarize(task, batch);
  EXPECT_THAT(Names(summary), Not(Contains("log_p_target")));
  EXPECT_THAT(summary.warnings(), ElementsAre(HasSubstr("exactly 0")));
  ASSERT_GT(summary.unavailable_size(), 0);
  EXPECT_THAT(summary.unavailable(0).reason(), HasSubstr("exactly 0"));
}

TEST(SummaryTest, PerplexityIsRecomputedAndIsNoRisk) {
  const v1::RunTask task =
      Task("t", "loglikelihood", {{"perplexity", std::exp(2.0)}, {"acc", 0.5}}, 2);
  v1::SampleBatch batch = EmptyBatch("t");
  AddLikelihood(&batch, "0", -1, true);
  AddLikelihood(&batch, "1", -3, false);
  const v1::TaskSummary summary = Summarize(task, batch);
  const v1::MetricSummary* perplexity = Find(summary, "perplexity");
  EXPECT_DOUBLE_EQ(perplexity->value(), std::exp(2.0));
  EXPECT_EQ(perplexity->interval().method(), "student_t_log");
  EXPECT_EQ(perplexity->mirage_risk().level(), v1::MirageRisk::NONE);
  EXPECT_THAT(summary.warnings(), IsEmpty());
  EXPECT_EQ(Find(summary, "log_p_target")->counterpart_of(0), "acc");
}

TEST(SummaryTest, MismatchWithTheHarnessIsWarnedOf) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 0.75}}, 2);
  v1::SampleBatch batch = EmptyBatch("t");
  AddChoices(&batch, "0", {-1, -3}, 0, 1);
  AddChoices(&batch, "1", {-1, -2}, 1, 0);
  const v1::TaskSummary summary = Summarize(task, batch);
  ASSERT_THAT(summary.warnings(), SizeIs(1));
  EXPECT_THAT(summary.warnings(0), HasSubstr("the rows give 0.5, the harness reported 0.75"));
}

TEST(SummaryTest, IncompleteSamplesAreSaidAndNotCompared) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 0.75}}, 5000);
  v1::SampleBatch batch = EmptyBatch("t");
  AddChoices(&batch, "0", {-1, -3}, 0, 1);
  const v1::TaskSummary summary = Summarize(task, batch);
  ASSERT_THAT(summary.warnings(), SizeIs(1));
  EXPECT_THAT(summary.warnings(0), HasSubstr("1 of 5000 rows"));
}

// Where the caller names an interval: shares have it, others only where it is for them.
TEST(SummaryTest, ANamedIntervalIsTakenWhereItIsFor) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 0.75}}, 4);
  v1::SampleBatch batch = EmptyBatch("t");
  for (const char* id : {"0", "1", "2"}) AddChoices(&batch, id, {-1, -3}, 0, 1);
  AddChoices(&batch, "3", {-3, -1.5}, 0, 0);
  const auto method = [&](metrics::IntervalMethod asked, const char* metric) {
    const v1::TaskSummary summary = Summarize(task, batch, {.interval = asked});
    const v1::Interval& interval = Find(summary, metric)->interval();
    EXPECT_THAT(interval.signature(), HasSubstr("interval=" + interval.method() + "|level=0.95"));
    const bool user = interval.signature().find("chosen=user") != std::string::npos;
    return interval.method() + (user ? " as told" : "");
  };
  using enum metrics::IntervalMethod;
  EXPECT_EQ(method(kAuto, "acc"), "clopper_pearson");
  EXPECT_EQ(method(kWilson, "acc"), "wilson as told");
  EXPECT_EQ(method(kStudentT, "acc"), "student_t as told");
  EXPECT_EQ(method(kNormal, "acc"), "normal as told");
  EXPECT_EQ(method(kAuto, "log_p_gold"), "student_t");
  EXPECT_EQ(method(kWilson, "log_p_gold"), "student_t");
  EXPECT_EQ(method(kNormal, "log_p_gold"), "normal as told");
}

TEST(SummaryTest, WithoutSamplesTheNumberStandsAloneWithItsInterval) {
  const v1::RunTask task = Task("t", "generate_until", {{"exact_match", 0.0004}}, 5000);
  const v1::TaskSummary summary = SummarizeTask(task, "none", nullptr, {}, {});
  const v1::MetricSummary& m = summary.metrics(0);
  EXPECT_FALSE(m.has_value());
  EXPECT_EQ(m.reported_value(), 0.0004);
  EXPECT_EQ(m.interval().method(), "clopper_pearson") << "2 of 5000";
  EXPECT_EQ(m.mirage_risk().level(), v1::MirageRisk::UNKNOWN);
  std::vector<std::string> codes;
  for (const v1::Reason& reason : m.mirage_risk().reasons()) codes.push_back(reason.code());
  EXPECT_THAT(codes, Contains("NO_SAMPLES"));
  EXPECT_EQ(m.rederived_unavailable(), "the run has no samples");
}

// The swap's point: an exact match of 0 of 50 while the log-likelihood says that the
// answer is within reach.
TEST(SummaryTest, BlindFloorIsHigh) {
  const v1::RunTask task = Task("t", "loglikelihood", {{"acc", 0}}, 50);
  v1::SampleBatch batch = EmptyBatch("t");
  for (int i = 0; i < 50; ++i) AddLikelihood(&batch, std::to_string(i), -5 - 0.01 * i, false);
  const v1::TaskSummary summary = Summarize(task, batch);
  const v1::MirageRisk& risk = Find(summary, "acc")->mirage_risk();
  EXPECT_EQ(risk.level(), v1::MirageRisk::HIGH);
  std::vector<std::string> codes;
  for (const v1::Reason& reason : risk.reasons()) codes.push_back(reason.code());
  EXPECT_THAT(codes, Contains("AT_FLOOR"));
  EXPECT_THAT(codes, Contains("RESOLUTION"));
  EXPECT_EQ(summary.mirage_risk().level(), v1::MirageRisk::HIGH) << "the task's highest";
}

TEST(SummaryTest, IssuesOfTheClientAreCounted) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 1}}, 3);
  TaskScorer scorer(task, "none", metrics::TextUnit::kCodepoints);
  v1::SampleBatch batch = EmptyBatch("t");
  AddChoices(&batch, "0", {-1, -3}, 0, 1);
  v1::IngestResponse response;
  ASSERT_TRUE(scorer.Add(batch, false, &response).ok());
  v1::RowIssues issues;
  issues.set_n_unreadable(2);
  issues.add_messages("samples_t.jsonl:7: not JSON");
  const v1::TaskSummary summary = SummarizeTask(task, "none", &scorer, {&issues, 1}, {});
  EXPECT_EQ(summary.n_bad(), 2u);
  EXPECT_EQ(summary.metrics(0).n_bad(), 2u);
  EXPECT_EQ(summary.warnings(0), "samples_t.jsonl:7: not JSON");
}

TEST(SummaryTest, RiskOrderPutsUnknownAboveLow) {
  EXPECT_GT(RiskOrder(v1::MirageRisk::HIGH), RiskOrder(v1::MirageRisk::UNKNOWN));
  EXPECT_GT(RiskOrder(v1::MirageRisk::UNKNOWN), RiskOrder(v1::MirageRisk::LOW));
  EXPECT_GT(RiskOrder(v1::MirageRisk::LOW), RiskOrder(v1::MirageRisk::NONE));
}

TEST(SummaryTest, WithheldCounterpartsAreNamedWithTheirReason) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 0.5}}, 4);
  v1::SampleBatch batch = EmptyBatch("t");
  for (int i = 0; i < 4; ++i) AddChoices(&batch, std::to_string(i), {-1, -2, -3, -4}, -1, i % 2);
  const v1::TaskSummary summary = Summarize(task, batch);
  EXPECT_THAT(Names(summary), ElementsAre("acc"));
  EXPECT_EQ(summary.metrics(0).value(), 0.5) << "the harness's own score stays";
  ASSERT_GT(summary.unavailable_size(), 10);
  EXPECT_EQ(summary.unavailable(0).metric(), "log_p_gold");
  EXPECT_THAT(summary.unavailable(0).reason(), HasSubstr("would be biased"));
  EXPECT_THAT(summary.warnings(), Contains(HasSubstr("no counterparts: ")));
  EXPECT_EQ(summary.mirage_risk().level(), v1::MirageRisk::UNKNOWN);
  EXPECT_THAT(summary.mirage_risk().reasons(0).text(), HasSubstr("withheld"));
}

// Repeated rows beside a whole run: the numbers are compared all the same.
TEST(SummaryTest, BadRowsDoNotHideAMismatch) {
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 0.5}}, 2);
  v1::SampleBatch batch = EmptyBatch("t");
  AddChoices(&batch, "0", {-1, -3}, 0, 1);
  AddChoices(&batch, "1", {-1, -3}, 0, 1);
  AddChoices(&batch, "1", {-1, -3}, 0, 1);
  EXPECT_THAT(Summarize(task, batch).warnings(),
              Contains(HasSubstr("the rows give 1, the harness reported 0.5")));
}

TEST(SummaryTest, AnInfiniteNumberIsEqualOnlyToItself) {
  v1::SampleBatch batch = EmptyBatch("t");
  AddChoices(&batch, "0", {-1, -3}, 0, 1);
  AddChoices(&batch, "1", {-1, -3}, 0, 1);
  const v1::RunTask task =
      Task("t", "multiple_choice", {{"acc", std::numeric_limits<double>::infinity()}}, 2);
  EXPECT_THAT(Summarize(task, batch).warnings(),
              Contains(HasSubstr("the rows give 1, the harness reported inf")));
}

TEST(SummaryTest, MissingRowsExplainSoMuchAndNoMore) {
  v1::SampleBatch batch = EmptyBatch("t");
  for (int i = 0; i < 8; ++i) AddChoices(&batch, std::to_string(i), {-1, -3}, 0, 1);
  // Two of ten are missing: all right so far, 0.8 to 1 in all.
  for (const double reported : {0.8, 0.9, 1.0}) {
    const v1::RunTask task = Task("t", "multiple_choice", {{"acc", reported}}, 10);
    EXPECT_THAT(Summarize(task, batch).warnings(),
                testing::Not(Contains(HasSubstr("cannot explain"))))
        << reported;
  }
  const v1::RunTask task = Task("t", "multiple_choice", {{"acc", 0.79}}, 10);
  EXPECT_THAT(Summarize(task, batch).warnings(), Contains(HasSubstr("cannot explain")));
}

TEST(SummaryTest, MetricsOfATasksOwnAreLowBesideCounterparts) {
  v1::RunTask task = Task("t", "generate_until", {{"my_match", 0.5}}, 4);
  v1::SampleBatch batch = EmptyBatch("t");
  for (int i = 0; i < 4; ++i) {
    AddGeneration(&batch, std::to_string(i), i % 2 == 0 ? "ab" : "ax", "ab", i % 2 == 0 ? 1 : 0);
  }
  batch.mutable_scores(0)->set_metric("my_match");
  const v1::TaskSummary summary = Summarize(task, batch);
  EXPECT_EQ(summary.metrics(1).metric(), "token_edit_distance");
  EXPECT_EQ(summary.mirage_risk().level(), v1::MirageRisk::LOW);
  EXPECT_EQ(summary.mirage_risk().reasons(0).code(), "UNREGISTERED_METRIC");
  // Two right of four, a share: what two runs can tell is known.
  EXPECT_EQ(summary.mirage_risk().reasons(1).code(), "RESOLUTION");
}

}  // namespace
}  // namespace mirage::server
