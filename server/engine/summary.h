// From accumulators to what a person reads: values, intervals, counterparts, risk.
#ifndef MIRAGE_SERVER_ENGINE_SUMMARY_H_
#define MIRAGE_SERVER_ENGINE_SUMMARY_H_

#include <cstdint>
#include <span>
#include <string>

#include "metrics/stats/interval_choice.h"
#include "metrics/stats/intervals.h"
#include "mirage/v1/ingest.pb.h"
#include "mirage/v1/run.pb.h"
#include "server/engine/task_scorer.h"

namespace mirage::server {

struct SummaryOptions {
  // Nominal coverage of intervals, in (0, 1).
  double level = 0.95;
  // Seed of every bootstrap.
  uint64_t seed = 0;
  // Of shares of right answers; kNormal also of other means.
  metrics::IntervalMethod interval = metrics::IntervalMethod::kAuto;
};

// Summarises one task under one filter. `scorer` is null when the run has no
// samples of it: then the reported numbers stand alone and every risk is UNKNOWN.
// `issues` are the rows lost on the way to the engine.
//
// Reported metrics come first in the harness's order, each followed by the
// counterparts that belong to it; a counterpart stands once, under the sharp metric
// that divides by the same length, else under the first sharp one.
v1::TaskSummary SummarizeTask(const v1::RunTask& about, const std::string& filter,
                              const TaskScorer* scorer, std::span<const v1::RowIssues> issues,
                              const SummaryOptions& options);

// Writes an interval into an answer; `asked` is the method that the caller named, if any.
void SetInterval(const metrics::ConfidenceInterval& interval, metrics::IntervalMethod asked,
                 v1::MetricSummary* summary);

// Makes `risk` the task's, if it is the first or higher than the one that stands there.
void RaiseRisk(const v1::MirageRisk& risk, v1::TaskSummary* task);

// Order of levels for "the highest": HIGH > UNKNOWN > LOW > NONE. Unknown stands
// above low because it may hide a high one.
int RiskOrder(v1::MirageRisk::Level level);

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_SUMMARY_H_
