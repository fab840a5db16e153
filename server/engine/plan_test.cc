#include "server/engine/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace mirage::server {
namespace {

using ::testing::HasSubstr;

// The paper's toy model at m sizes.
double TokenNll(double scale) { return std::pow(scale / 2e9, -0.5); }

v1::Series SeriesOf(const std::string& task, const std::string& metric, int m, uint32_t n = 2000) {
  v1::Series series;
  series.set_family("toy");
  series.set_task(task);
  series.set_metric(metric);
  series.set_target_length(5);
  for (int i = 0; i < m; ++i) {
    v1::SeriesPoint* const point = series.add_points();
    point->set_model("m" + std::to_string(i));
    point->set_scale(3e8 * std::pow(1e3, static_cast<double>(i) / 7));
    point->set_loss(4 - 0.3 * i);
    point->set_n(n);
    const double nll = TokenNll(point->scale());
    if (metric == "exact_match") {
      point->set_value(std::round(n * std::exp(-5 * nll)) / n);
    } else {
      point->set_value(nll);
      // Items that are all alike would have none.
      point->set_stderr(0.002 * nll);
    }
  }
  return series;
}

std::unique_ptr<SeriesPlans> Planned(const v1::PlanOptions& options,
                                     const std::vector<v1::Series>& series) {
  auto plans = SeriesPlans::Create(options, 2);
  EXPECT_TRUE(plans.ok()) << plans.status();
  for (const v1::Series& one : series) EXPECT_TRUE((*plans)->Add(one).ok());
  EXPECT_TRUE((*plans)->Start().ok());
  size_t done = 0;
  while ((*plans)->n_done() < (*plans)->n_series()) {
    const absl::Status status = (*plans)->Step();
    EXPECT_TRUE(status.ok()) << status;
    if (!status.ok()) break;
    EXPECT_GE((*plans)->n_done(), done);
    done = (*plans)->n_done();
  }
  return *std::move(plans);
}

TEST(PlanTest, OnePlanASeries) {
  v1::PlanOptions options;
  options.mutable_diagnose()->set_seed(3);
  const auto plans =
      Planned(options, {SeriesOf("a", "exact_match", 8), SeriesOf("a", "nll_per_token", 8),
                        SeriesOf("b", "exact_match", 2), SeriesOf("c", "unheard_of", 8)});
  ASSERT_EQ(plans->plans().size(), 2);
  const v1::Plan& first = plans->plans()[0];
  EXPECT_EQ(first.family(), "toy");
  EXPECT_EQ(first.task(), "a");
  EXPECT_EQ(first.filter(), "none");
  EXPECT_EQ(first.metric(), "exact_match");
  EXPECT_EQ(first.target_length(), 5);
  EXPECT_EQ(first.verdict(), v1::Diagnosis::MIRAGE);
  EXPECT_EQ(first.power(), 0.8);
  EXPECT_EQ(first.level(), 0.95);
  EXPECT_GT(first.delta(), 0);
  EXPECT_GT(first.detectable(), 0);
  ASSERT_EQ(first.samples_needed_size(), 8);
  EXPECT_EQ(first.samples_needed(0).model(), "m0");
  EXPECT_GT(first.samples_needed(0).n(), 10'000);
  EXPECT_LT(first.samples_needed(7).n(), 50);
  EXPECT_EQ(first.reasons(0).code(), "ALREADY_DECIDED");
  const v1::Plan& second = plans->plans()[1];
  EXPECT_EQ(second.task(), "b");
  EXPECT_EQ(second.verdict(), v1::Diagnosis::INSUFFICIENT);
  EXPECT_EQ(second.scales_size(), 3);
  ASSERT_EQ(plans->warnings().size(), 1);
  EXPECT_THAT(plans->warnings()[0], HasSubstr("unheard_of"));
}

// By the loss, better models are at the smaller end, and plans are in its unit.
TEST(PlanTest, TheAxisIsTheCallers) {
  v1::PlanOptions options;
  options.mutable_diagnose()->set_x_axis("loss");
  options.set_delta(0.2);
  options.set_power(0.9);
  options.set_level(0.99);
  const auto plans = Planned(options, {SeriesOf("a", "exact_match", 3)});
  const v1::Plan& plan = plans->plans()[0];
  EXPECT_EQ(plan.delta(), 0.2);
  EXPECT_EQ(plan.power(), 0.9);
  EXPECT_EQ(plan.level(), 0.99);
  ASSERT_GE(plan.scales_size(), 2);
  for (const v1::PlannedScale& scale : plan.scales()) {
    EXPECT_GT(scale.scale(), 2);
    EXPECT_LT(scale.scale(), 5);
  }
}

// Lengths are pooled in a diagnosis; a plan is about each alone.
TEST(PlanTest, PooledResultsAreLeftOut) {
  std::vector<v1::Series> series;
  for (const uint32_t length : {4U, 5U}) {
    for (const char* const metric : {"exact_match", "nll_per_token"}) {
      v1::Series one = SeriesOf("a", metric, 8);
      one.set_target_length(length);
      series.push_back(std::move(one));
    }
  }
  const auto plans = Planned({}, series);
  ASSERT_EQ(plans->plans().size(), 2);
  EXPECT_EQ(plans->plans()[0].target_length(), 4);
  EXPECT_EQ(plans->plans()[1].target_length(), 5);
}

TEST(PlanTest, BadOptionsHaveTheirPath) {
  const auto message = [](const v1::PlanOptions& options) {
    const absl::Status status = SeriesPlans::Create(options, 1).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  v1::PlanOptions options;
  options.set_power(1);
  EXPECT_THAT(message(options), HasSubstr("options.power is 1"));
  options.Clear();
  options.set_level(0.3);
  EXPECT_THAT(message(options), HasSubstr("options.level is 0.3"));
  options.Clear();
  options.set_delta(-1);
  EXPECT_THAT(message(options), HasSubstr("options.delta is -1"));
  options.Clear();
  options.mutable_diagnose()->set_x_axis("depth");
  EXPECT_THAT(message(options), HasSubstr("options.x_axis"));
  options.mutable_diagnose()->Clear();
  options.mutable_diagnose()->set_hold_out(7);
  EXPECT_THAT(message(options), HasSubstr("options.hold_out is 7"));
}

}  // namespace
}  // namespace mirage::server
