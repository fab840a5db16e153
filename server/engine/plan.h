// Plans of families, from series that a caller sends and from scored runs: what would settle each
// series.
#ifndef MIRAGE_SERVER_ENGINE_PLAN_H_
#define MIRAGE_SERVER_ENGINE_PLAN_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/emergence/plan.h"
#include "mirage/v1/emergence.pb.h"
#include "server/engine/diagnose.h"
#include "server/engine/engine.h"

namespace mirage::server {

// One call of PlanSeries: diagnoses all series (diagnose.h), then plans each (metrics/emergence/
// plan.h). Not thread-safe.
//
//   auto plans = SeriesPlans::Create(options, threads);
//   plans->Add(series); plans->AddRun(run, scale); ...
//   plans->Start();
//   while (plans->n_done() < plans->n_series()) plans->Step();
class SeriesPlans {
 public:
  // INVALID_ARGUMENT with the field's path and the remedy. The number of threads does not change a
  // bit of the answer.
  static absl::StatusOr<std::unique_ptr<SeriesPlans>> Create(const v1::PlanOptions& options,
                                                             int threads);

  // As SeriesDiagnosis has them.
  absl::Status Add(const v1::Series& series) { return diagnosis_->Add(series); }
  absl::Status AddRun(std::shared_ptr<const ScoredRun> run, const v1::Scale& scale) {
    return diagnosis_->AddRun(std::move(run), scale);
  }
  absl::Status Start() { return diagnosis_->Start(); }

  // Diagnoses one, or draws a little of a plan: some 30 to 300 ms. An undecided series takes 10 to
  // 100 steps.
  absl::Status Step();

  size_t n_series() const { return diagnosis_->n_series(); }
  // A series is half done when it is diagnosed.
  size_t n_done() const;

  // In the order of the diagnoses. Where a break of a series alone is no surprise among all that
  // were tested, its verdict is INSUFFICIENT and the first reason LOOK_ELSEWHERE.
  const std::vector<v1::Plan>& plans() const { return plans_; }
  const std::vector<std::string>& warnings() const { return diagnosis_->warnings(); }

 private:
  SeriesPlans() = default;

  void Write();

  std::unique_ptr<SeriesDiagnosis> diagnosis_;
  metrics::PlanOptions options_;
  // Whether the x axis is the loss.
  bool by_loss_ = false;
  bool is_diagnosed_ = false;
  // By series: its place among the diagnoses.
  std::vector<size_t> places_;
  // Of the series that is planned.
  std::unique_ptr<metrics::SeriesPlanner> planner_;
  std::vector<v1::Plan> plans_;
};

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_PLAN_H_
