// Real logs, in MIRAGE_DATA: what Mirage recomputes from the samples is what the harness
// reported.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>

#include "client/attach_run.h"
#include "integrations/lm_eval/discover.h"
#include "server/embedded.h"

namespace mirage {
namespace {

struct Logs {
  // Below MIRAGE_DATA/eval_logs.
  std::string folder;
  // There are at least so many runs, and so many numbers to recompute.
  size_t min_runs;
  size_t min_metrics;
};

class RealLogsTest : public testing::TestWithParam<Logs> {};

// Numbers compared in the run's tasks whose samples are all there.
size_t Compare(const v1::Run& run, const v1::RunSummary& summary) {
  std::map<std::string, const v1::RunTask*> tasks;
  for (const v1::RunTask& task : run.tasks()) tasks[task.task()] = &task;
  size_t n_compared = 0;
  for (const v1::TaskSummary& scored : summary.tasks()) {
    const auto found = tasks.find(scored.task());
    if (found == tasks.end()) {
      ADD_FAILURE() << scored.task() << " is no task of the run";
      continue;
    }
    const v1::RunTask& task = *found->second;
    if (!task.has_samples() || scored.n_samples() != task.n_samples_effective()) continue;
    for (const v1::MetricSummary& metric : scored.metrics()) {
      if (metric.role() != v1::MetricSummary::REPORTED || !metric.has_reported_value()) {
        continue;
      }
      const std::string where = fmt::format("{} {} {} {}", summary.path(), scored.task(),
                                            scored.filter(), metric.metric());
      EXPECT_TRUE(metric.has_value()) << where;
      EXPECT_NEAR(metric.value(), metric.reported_value(),
                  1e-12 * std::max(1.0, std::abs(metric.reported_value())))
          << where;
      ++n_compared;
    }
  }
  return n_compared;
}

TEST_P(RealLogsTest, RecomputedEqualsReported) {
  const char* const data = std::getenv("MIRAGE_DATA");
  if (data == nullptr || *data == '\0') {
    GTEST_SKIP() << "MIRAGE_DATA is not set: the real logs are not beside this checkout";
  }
  auto embedded = server::StartEmbedded();
  ASSERT_TRUE(embedded.ok()) << embedded.status();
  const std::string folder = fmt::format("{}/eval_logs/{}", data, GetParam().folder);
  const auto runs = integrations::lm_eval::FindRuns(folder);
  ASSERT_TRUE(runs.ok()) << runs.status();
  size_t n_compared = 0;
  for (const auto& found : *runs) {
    auto reader = found.Open();
    ASSERT_TRUE(reader.ok()) << reader.status();
    const auto summary = client::AttachRun(embedded->channel, **reader, {.forget = true});
    ASSERT_TRUE(summary.ok()) << summary.status();
    n_compared += Compare((*reader)->run(), *summary);
  }
  EXPECT_GE(runs->size(), GetParam().min_runs);
  EXPECT_GE(n_compared, GetParam().min_metrics);
  fmt::print("{}: {} numbers of {} runs\n", GetParam().folder, n_compared, runs->size());
}

INSTANTIATE_TEST_SUITE_P(LmEval, RealLogsTest,
                         testing::Values(Logs{"lm_eval_demo", 8, 90}, Logs{"lm_eval_facts", 3, 17},
                                         Logs{"arithmetic_family/a", 10, 180}));

}  // namespace
}  // namespace mirage
