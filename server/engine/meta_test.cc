#include "server/engine/meta.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "server/engine/engine.h"
#include "tests/support/sample_batches.h"

namespace mirage::server {
namespace {

using namespace test_support;  // NOLINT: batches are this test's vocabulary

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::Series SeriesOf(const std::string& task, const std::string& metric) {
  v1::Series series;
  series.set_task(task);
  series.set_metric(metric);
  for (int i = 0; i < 8; ++i) {
    const double nll = 1.6 * std::pow(3.0, -0.5 * (i - 2));
    v1::SeriesPoint* point = series.add_points();
    point->set_model("m" + std::to_string(i));
    point->set_scale(1e8 * std::pow(3.0, i));
    point->set_n(1000);
    if (metric == "exact_match") {
      point->set_value(std::round(1000 * std::exp(-8 * nll)) / 1000);
    } else {
      point->set_value(nll);
      point->set_stderr(0.01 * nll);
    }
  }
  return series;
}

absl::Status RunAll(SeriesMeta& meta) {
  if (absl::Status status = meta.Start(); !status.ok()) return status;
  while (meta.n_done() < meta.n_series()) {
    if (absl::Status status = meta.Step(); !status.ok()) return status;
  }
  return meta.Finish();
}

TEST(SeriesMetaTest, TellsSharpFromContinuous) {
  auto meta = SeriesMeta::Create({}, 2);
  ASSERT_TRUE(meta.ok());
  for (const char* task : {"a", "b"}) {
    ASSERT_TRUE((*meta)->Add(SeriesOf(task, "exact_match")).ok());
    ASSERT_TRUE((*meta)->Add(SeriesOf(task, "nll_per_token")).ok());
  }
  ASSERT_TRUE((*meta)->Add(SeriesOf("a", "unheard_of")).ok());
  ASSERT_TRUE(RunAll(**meta).ok());
  ASSERT_EQ((*meta)->triplets().size(), 4);
  const v1::MetaTriplet& first = (*meta)->triplets()[0];
  EXPECT_EQ(first.family(), "default");
  EXPECT_EQ(first.filter(), "none");
  EXPECT_EQ(first.metric(), "exact_match");
  EXPECT_TRUE(first.sharp());
  EXPECT_TRUE(first.emergent());
  EXPECT_EQ(first.n_scales(), 8);
  EXPECT_LT(first.q_value(), 0.05);
  EXPECT_TRUE((*meta)->triplets()[1].continuous());
  EXPECT_FALSE((*meta)->triplets()[1].emergent());
  const v1::MetaAnalysis& summary = (*meta)->summary();
  EXPECT_EQ(summary.n_evaluated(), 4);
  EXPECT_EQ(summary.odds_ratio().n_sharp_emergent(), 2);
  EXPECT_EQ(summary.odds_ratio().n_tasks(), 2);
  EXPECT_TRUE(std::isinf(summary.odds_ratio().value()));
  EXPECT_EQ(summary.metrics(0).metric(), "exact_match");
  EXPECT_EQ(summary.metrics(0).interval().method(), "clopper_pearson");
  ASSERT_EQ((*meta)->warnings().size(), 1);
  EXPECT_THAT((*meta)->warnings()[0], HasSubstr("unheard_of"));
}

TEST(SeriesMetaTest, PartsAreOneSeries) {
  auto meta = SeriesMeta::Create({}, 1);
  const v1::Series whole = SeriesOf("a", "exact_match");
  for (int i = 0; i < whole.points_size(); ++i) {
    v1::Series part = whole;
    part.clear_points();
    *part.add_points() = whole.points(i);
    ASSERT_TRUE((*meta)->Add(part).ok());
  }
  ASSERT_TRUE(RunAll(**meta).ok());
  ASSERT_EQ((*meta)->triplets().size(), 1);
  EXPECT_EQ((*meta)->triplets()[0].n_scales(), 8);
}

TEST(SeriesMetaTest, BadInputIsNamed) {
  v1::MetaOptions options;
  options.set_fdr(2);
  EXPECT_FALSE(SeriesMeta::Create(options, 1).ok());
  auto meta = SeriesMeta::Create({}, 1);
  v1::Series bad = SeriesOf("a", "exact_match");
  bad.mutable_points(3)->set_scale(-1);
  EXPECT_THAT(std::string((*meta)->Add(bad).message()), HasSubstr("series[0].points[3].scale"));
  EXPECT_FALSE((*meta)->Start().ok());
  options.set_fdr(0);
  options.add_metrics("acc");
  auto other = SeriesMeta::Create(options, 1);
  ASSERT_TRUE((*other)->Add(SeriesOf("a", "exact_match")).ok());
  EXPECT_THAT(std::string((*other)->Start().message()), HasSubstr("options.metrics names 'acc'"));
}

TEST(SeriesMetaTest, AnotherAxisOrdersAndLeavesOut) {
  v1::MetaOptions options;
  options.set_x_axis("loss");
  auto meta = SeriesMeta::Create(options, 1);
  ASSERT_TRUE(meta.ok());
  v1::Series series = SeriesOf("a", "exact_match");
  for (int i = 0; i + 1 < series.points_size(); ++i) {
    // The loss falls while the scale rises: from the lowest, the curve would fall.
    series.mutable_points(i)->set_loss(4 - 0.3 * i);
  }
  ASSERT_TRUE((*meta)->Add(series).ok());
  ASSERT_TRUE(RunAll(**meta).ok());
  EXPECT_EQ((*meta)->triplets()[0].n_scales(), 7);
  EXPECT_GT((*meta)->triplets()[0].emergence_score(), 0);
  EXPECT_THAT((*meta)->warnings(), ElementsAre(AllOf(HasSubstr("1 of 8 models have no loss"))));
  options.set_x_axis("depth");
  EXPECT_THAT(std::string(SeriesMeta::Create(options, 1).status().message()),
              HasSubstr("options.x_axis is 'depth'"));
}

TEST(SeriesMetaTest, APointThatIsRepeatedCountsOnce) {
  auto meta = SeriesMeta::Create({}, 1);
  v1::Series series = SeriesOf("a", "exact_match");
  ASSERT_TRUE((*meta)->Add(series).ok());
  for (v1::SeriesPoint& point : *series.mutable_points()) point.set_value(0.5);
  ASSERT_TRUE((*meta)->Add(series).ok());
  ASSERT_TRUE(RunAll(**meta).ok());
  auto once = SeriesMeta::Create({}, 1);
  ASSERT_TRUE((*once)->Add(SeriesOf("a", "exact_match")).ok());
  ASSERT_TRUE(RunAll(**once).ok());
  EXPECT_EQ((*meta)->triplets()[0].emergence_score(), (*once)->triplets()[0].emergence_score());
  EXPECT_THAT((*meta)->warnings(), ElementsAre(HasSubstr("8 points repeat a model")));
}

class MetaOfRunsTest : public testing::Test {
 protected:
  // One model: twenty sums generated, and the same documents scored.
  std::shared_ptr<const ScoredRun> RunOf(int size, int n_right) {
    v1::IngestHeader header;
    header.mutable_run()->set_model("m" + std::to_string(size));
    *header.mutable_run()->add_tasks() =
        Task("add", "generate_until", {{"exact_match", n_right / 20.0}}, 20);
    *header.mutable_run()->add_tasks() = Task("add_ll", "loglikelihood", {{"acc", 0.5}}, 20);
    v1::RunTask wikitext = Task("wikitext", "loglikelihood_rolling", {}, 62);
    wikitext.set_has_samples(false);
    v1::ReportedMetric* const reported = wikitext.add_reported();
    reported->set_metric("word_perplexity");
    reported->set_filter("none");
    reported->set_value(40.0 / size);
    *header.mutable_run()->add_tasks() = wikitext;
    v1::SampleBatch sums = EmptyBatch("add");
    v1::SampleBatch scored = EmptyBatch("add_ll");
    for (int i = 0; i < 20; ++i) {
      const std::string target = std::to_string(10 + i);
      AddGeneration(&sums, std::to_string(i), i < n_right ? target : target.substr(0, 1) + "x",
                    target, i < n_right ? 1 : 0);
      AddText(sums.mutable_keys()->mutable_doc_hash(), "doc" + std::to_string(i));
      AddLikelihood(&scored, std::to_string(i), -1.0 / size - 0.01 * i, i % 2 == 0);
      AddText(scored.mutable_keys()->mutable_doc_hash(), "doc" + std::to_string(i));
      AddText(scored.mutable_likelihood()->mutable_targets(), " " + target);
    }
    auto session = *engine_.StartIngest(header);
    v1::IngestResponse response;
    EXPECT_TRUE(session->Add(sums, 1, &response).ok());
    EXPECT_TRUE(session->Add(scored, 2, &response).ok());
    v1::IngestFinish finish;
    finish.set_n_batches(2);
    EXPECT_TRUE(session->Finish(finish, &response).ok());
    return *engine_.Find(response.run());
  }

  static v1::Scale ScaleOf(int size) {
    v1::Scale scale;
    scale.set_model("m" + std::to_string(size));
    scale.set_family("f");
    scale.set_parameters(1e6 * size);
    return scale;
  }

  Engine engine_;
};

TEST_F(MetaOfRunsTest, EachMetricOfEachTaskIsATriplet) {
  auto meta = SeriesMeta::Create({}, 1);
  for (const auto& [size, n_right] : {std::pair(1, 0), {2, 1}, {4, 3}, {8, 10}, {16, 19}}) {
    ASSERT_TRUE((*meta)->AddRun(*RunOf(size, n_right), ScaleOf(size)).ok());
  }
  ASSERT_TRUE(RunAll(**meta).ok());
  std::map<std::pair<std::string, std::string>, v1::MetaTriplet> triplets;
  for (const v1::MetaTriplet& triplet : (*meta)->triplets()) {
    EXPECT_EQ(triplet.family(), "f");
    EXPECT_EQ(triplet.n_scales(), 5) << triplet.metric();
    EXPECT_TRUE(triplets.emplace(std::pair(triplet.task(), triplet.metric()), triplet).second);
  }
  EXPECT_TRUE(triplets[std::pair("add", "exact_match")].sharp());
  EXPECT_TRUE(triplets[std::pair("add", "token_edit_distance")].continuous());
  EXPECT_TRUE(triplets[std::pair("add", "log_p_target")].continuous());
  EXPECT_TRUE(triplets[std::pair("add_ll", "acc")].sharp());
  EXPECT_TRUE(triplets[std::pair("wikitext", "word_perplexity")].continuous());
  // It counts with the task that took it.
  EXPECT_EQ(triplets.count({"add_ll", "log_p_target"}), 0);
  EXPECT_EQ((*meta)->summary().odds_ratio().n_tasks(), 1);
}

TEST_F(MetaOfRunsTest, OneWithoutAPlaceIsLeftOutAloud) {
  auto meta = SeriesMeta::Create({}, 1);
  v1::Scale scale = ScaleOf(1);
  scale.clear_parameters();
  ASSERT_TRUE((*meta)->AddRun(*RunOf(1, 3), scale).ok());
  EXPECT_THAT((*meta)->warnings(), Contains(HasSubstr("m1: its parameters are not known")));
  scale.set_parameters(-1);
  EXPECT_THAT(std::string((*meta)->AddRun(*RunOf(1, 3), scale).message()),
              HasSubstr("runs[1].scale"));
}

}  // namespace
}  // namespace mirage::server
