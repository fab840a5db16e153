// A scored run of one model as points of its family's series.
#ifndef MIRAGE_SERVER_ENGINE_RUN_POINTS_H_
#define MIRAGE_SERVER_ENGINE_RUN_POINTS_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "google/protobuf/repeated_ptr_field.h"
#include "metrics/registry/metric_info.h"
#include "mirage/v1/emergence.pb.h"
#include "server/engine/companion.h"
#include "server/engine/engine.h"
#include "server/engine/task_scorer.h"

namespace mirage::server {

// One number of one task.
struct RunPoint {
  // A series of one point.
  v1::Series series;
  // What it was computed from; absent where only the harness's own number is known.
  std::optional<metrics::Evidence> evidence;
  // Whether it was computed from the companion's samples.
  bool is_joined = false;
};

// One task under one filter.
struct TaskPoints {
  // The sharp metrics that the harness reported, and the counterparts of either task.
  std::vector<RunPoint> points;
  // The task's samples; null where the run has none.
  const TaskScorer* task = nullptr;
  // The samples of the companion, and which belong together; null where there is none.
  const TaskScorer* companion = nullptr;
  std::shared_ptr<const CompanionMatch> match;
};

struct RunPoints {
  std::vector<TaskPoints> tasks;
  // For people: joins that failed, numbers that were left out.
  std::vector<std::string> warnings;
};

// The points of a run. The run must outlive the answer.
//
// A sharp metric's value is the mean of the rows' own scores, as the harness wrote them; where the
// run has no rows, it is the number that the harness reported. Counterparts are Mirage's own. Those
// whose mean is infinite (a log-probability of minus infinity) are left out with a warning, and
// nothing is computed from samples whose gold cannot be trusted (TaskScorer::Withheld).
//
// A companion is a task with log-likelihoods of targets, over the same documents: one that `named`
// names for the task, else the first that matches (companion.h). A task whose own samples have the
// log-likelihood of their target needs none. One that was named and does not match in
// kCompanionMinShare of the documents is refused with a warning, one that was not named is passed
// over.
RunPoints PointsOf(const ScoredRun& run, const v1::Scale& scale,
                   const google::protobuf::RepeatedPtrField<v1::Companion>& named);

// For people: why a run is not among the points of an answer over `axis`.
std::string WithoutPlace(const ScoredRun& run, const v1::Scale& scale, std::string_view axis);

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_RUN_POINTS_H_
