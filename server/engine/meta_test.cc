#include "server/engine/meta.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace mirage::server {
namespace {

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

}  // namespace
}  // namespace mirage::server
