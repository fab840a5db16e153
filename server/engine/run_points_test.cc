#include "server/engine/run_points.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/sample_batches.h"

namespace mirage::server {
namespace {

using namespace test_support;  // NOLINT: batches are this test's vocabulary

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsNull;
using ::testing::NotNull;

class PointsOfTest : public testing::Test {
 protected:
  PointsOfTest() {
    header_.mutable_run()->set_model("harness-name");
    scale_.set_model("model");
    scale_.set_family("family");
    scale_.set_parameters(1000);
    scale_.set_tokens(5);
    scale_.set_seed("3");
  }

  v1::RunTask& AddTask(const std::string& name, const std::string& output_type,
                       const std::vector<std::pair<std::string, double>>& reported) {
    v1::RunTask& task = *header_.mutable_run()->add_tasks();
    task = Task(name, output_type, reported, 20);
    task.set_n_shot(2);
    return task;
  }

  // Twenty sums, of which the first `n_right` are right.
  v1::SampleBatch Sums(const std::string& task, int n_right) {
    AddTask(task, "generate_until", {{"exact_match", n_right / 20.0}});
    v1::SampleBatch batch = EmptyBatch(task);
    for (int i = 0; i < 20; ++i) {
      const std::string target = std::to_string(10 + i);
      AddGeneration(&batch, std::to_string(i), i < n_right ? target : target.substr(0, 1) + "x",
                    target, i < n_right ? 1 : 0);
      AddText(batch.mutable_keys()->mutable_doc_hash(), "doc" + std::to_string(i));
    }
    batch.mutable_generation()->set_temperature(0);
    return batch;
  }

  // The same documents scored; `first_doc` moves them.
  v1::SampleBatch Scored(const std::string& task, int first_doc = 0) {
    AddTask(task, "loglikelihood", {{"acc", 0.5}});
    v1::SampleBatch batch = EmptyBatch(task);
    for (int i = 0; i < 20; ++i) {
      AddLikelihood(&batch, std::to_string(i), -0.1 * (i + 1), i % 2 == 0);
      AddText(batch.mutable_keys()->mutable_doc_hash(), "doc" + std::to_string(first_doc + i));
      AddText(batch.mutable_likelihood()->mutable_targets(), " " + std::to_string(10 + i));
    }
    return batch;
  }

  RunPoints Points(const std::vector<v1::SampleBatch>& batches) {
    auto session = *engine_.StartIngest(header_);
    v1::IngestResponse response;
    for (size_t i = 0; i < batches.size(); ++i) {
      EXPECT_TRUE(session->Add(batches[i], i + 1, &response).ok());
      EXPECT_EQ(response.n_bad(), 0u);
    }
    v1::IngestFinish finish;
    finish.set_n_batches(batches.size());
    EXPECT_TRUE(session->Finish(finish, &response).ok());
    run_ = *engine_.Find(response.run());
    return PointsOf(*run_, scale_, named_);
  }

  static const RunPoint* Find(const TaskPoints& task, const std::string& metric) {
    for (const RunPoint& point : task.points) {
      if (point.series.metric() == metric) return &point;
    }
    return nullptr;
  }

  Engine engine_;
  v1::IngestHeader header_;
  v1::Scale scale_;
  google::protobuf::RepeatedPtrField<v1::Companion> named_;
  std::shared_ptr<const ScoredRun> run_;
};

TEST_F(PointsOfTest, ASharpMetricIsTheMeanOfTheRowsOwnScores) {
  const RunPoints points = Points({Sums("add", 5)});
  ASSERT_EQ(points.tasks.size(), 1u);
  const RunPoint* exact = Find(points.tasks[0], "exact_match");
  ASSERT_THAT(exact, NotNull());
  EXPECT_EQ(exact->evidence, metrics::Evidence::kGeneration);
  const v1::Series& series = exact->series;
  EXPECT_EQ(series.family(), "family");
  EXPECT_EQ(series.task(), "add");
  EXPECT_EQ(series.filter(), "none");
  EXPECT_EQ(series.shots(), 2u);
  EXPECT_EQ(series.temperature(), 0);
  const v1::SeriesPoint& at = series.points(0);
  EXPECT_EQ(at.model(), "model");
  EXPECT_EQ(at.scale(), 1000);
  EXPECT_EQ(at.tokens(), 5);
  EXPECT_EQ(at.seed(), "3");
  EXPECT_DOUBLE_EQ(at.value(), 0.25);
  EXPECT_NEAR(at.stderr(), std::sqrt(0.25 * 0.75 / 19), 1e-12);
  EXPECT_EQ(at.n(), 20u);
  // Counterparts stand under the same name.
  const RunPoint* distance = Find(points.tasks[0], "token_edit_distance");
  ASSERT_THAT(distance, NotNull());
  EXPECT_DOUBLE_EQ(distance->series.points(0).value(), 0.75);
  EXPECT_THAT(points.tasks[0].companion, IsNull());
  EXPECT_THAT(points.warnings, IsEmpty());
}

TEST_F(PointsOfTest, AScoredTaskOverTheSameDocumentsIsFound) {
  const RunPoints points = Points({Sums("add", 5), Scored("unrelated", 100), Scored("add_ll")});
  const TaskPoints& add = points.tasks[0];
  ASSERT_THAT(add.companion, NotNull());
  EXPECT_EQ(add.companion->about().task(), "add_ll");
  EXPECT_EQ(add.match->share, 1);
  const RunPoint* log_p = Find(add, "log_p_target");
  ASSERT_THAT(log_p, NotNull());
  EXPECT_EQ(log_p->evidence, metrics::Evidence::kLikelihood);
  EXPECT_EQ(log_p->series.task(), "add");
  EXPECT_NEAR(log_p->series.points(0).value(), -0.1 * 10.5, 1e-12);
  // What the harness calls perplexity is a mean of log-likelihoods, row by row.
  EXPECT_NEAR(Find(add, "perplexity")->series.points(0).value(), std::exp(1.05), 1e-12);
}

TEST_F(PointsOfTest, ANamedCompanionThatDoesNotMatchIsRefusedAloud) {
  v1::Companion* named = named_.Add();
  named->set_task("add");
  named->set_companion("add_ll");
  const RunPoints points = Points({Sums("add", 5), Scored("add_ll", 10), Scored("other")});
  EXPECT_THAT(points.tasks[0].companion, IsNull());
  EXPECT_THAT(points.warnings,
              ElementsAre(AllOf(HasSubstr("model: add: its companion add_ll has 0.0 % of its "
                                          "documents"),
                                HasSubstr("(the gold answers of 10 more differ)"),
                                HasSubstr("needs 95 %"))));
}

TEST_F(PointsOfTest, ANamedCompanionThatIsNotThere) {
  v1::Companion* named = named_.Add();
  named->set_task("add");
  named->set_companion("none");
  EXPECT_THAT(Points({Sums("add", 5)}).warnings,
              ElementsAre(HasSubstr("its companion none has no samples in this run")));
}

TEST_F(PointsOfTest, WithoutSamplesTheHarnesssOwnNumberCounts) {
  v1::RunTask& task = AddTask("lambada", "loglikelihood", {{"acc", 0.4}, {"ppl", 12}});
  task.set_has_samples(false);
  task.mutable_reported(0)->set_stderr(0.01);
  const RunPoints points = Points({});
  ASSERT_EQ(points.tasks.size(), 1u);
  EXPECT_THAT(points.tasks[0].task, IsNull());
  const RunPoint* acc = Find(points.tasks[0], "acc");
  ASSERT_THAT(acc, NotNull());
  EXPECT_EQ(acc->evidence, std::nullopt);
  EXPECT_EQ(acc->series.points(0).value(), 0.4);
  EXPECT_EQ(acc->series.points(0).stderr(), 0.01);
  EXPECT_EQ(acc->series.points(0).n(), 20u);
  EXPECT_THAT(Find(points.tasks[0], "ppl"), NotNull());
}

TEST_F(PointsOfTest, AnInfiniteMeanIsLeftOutAloud) {
  v1::SampleBatch batch = Scored("add_ll");
  batch.mutable_likelihood()->set_log_likelihoods(3, -std::numeric_limits<double>::infinity());
  const RunPoints points = Points({batch});
  EXPECT_THAT(Find(points.tasks[0], "log_p_target"), IsNull());
  EXPECT_THAT(Find(points.tasks[0], "p_target"), NotNull());
  EXPECT_THAT(points.warnings, Contains(HasSubstr("add_ll: log_p_target is infinite (1 of 20")));
}

TEST_F(PointsOfTest, TheRunsOwnNameWhereTheScaleHasNone) {
  scale_.clear_model();
  const RunPoints points = Points({Sums("add", 5)});
  EXPECT_EQ(points.tasks[0].points[0].series.points(0).model(), "harness-name");
}

}  // namespace
}  // namespace mirage::server
