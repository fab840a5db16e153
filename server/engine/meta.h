// Meta-analysis of series that a caller sends, and of scored runs.
#ifndef MIRAGE_SERVER_ENGINE_META_H_
#define MIRAGE_SERVER_ENGINE_META_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/emergence/meta_analysis.h"
#include "metrics/registry/metric_info.h"
#include "mirage/v1/emergence.pb.h"
#include "server/engine/engine.h"
#include "server/engine/metric_properties.h"

namespace mirage::server {

// What one analysis takes at most.
inline constexpr size_t kMaxMetaPoints = 4'000'000;
inline constexpr size_t kMaxMetaSeries = 200'000;

// One call of AnalyzeMeta. Not thread-safe.
//
//   auto meta = SeriesMeta::Create(options, threads);
//   meta->Add(series); meta->AddRun(run, scale); ...
//   meta->Start();
//   while (meta->n_done() < meta->n_series()) meta->Step();
//   meta->Finish();
//
// A point that repeats another's model, scale, seed and tokens in its series is left out with a
// warning; so is one without a place on the axis. On the axis of losses a lower one stands further
// to the right.
class SeriesMeta {
 public:
  // INVALID_ARGUMENT with the field's path and the remedy.
  static absl::StatusOr<std::unique_ptr<SeriesMeta>> Create(const v1::MetaOptions& options,
                                                            int threads);

  // Adds points of a series. INVALID_ARGUMENT with the field's path, RESOURCE_EXHAUSTED beyond the
  // limits. A share that is not in [0, 1] has no count of its own: its standard error is taken.
  absl::Status Add(const v1::Series& series);

  // Adds a run: each metric of each of its tasks, as run_points.h gives them, becomes a point of a
  // series. What a generated task takes from its companion counts there, and not a second time
  // under the companion's own name. INVALID_ARGUMENT for a scale that cannot be, with the field's
  // path; RESOURCE_EXHAUSTED beyond the limits. A run without a place on the axis is left out with
  // a warning. Keeps nothing of the run.
  absl::Status AddRun(const ScoredRun& run, const v1::Scale& scale);

  // All are there: scores them. INVALID_ARGUMENT: no series of a known metric, or options.metrics
  // names one that is not there.
  absl::Status Start();

  // Tests some more of them.
  absl::Status Step();

  size_t n_series() const { return analyzer_ ? analyzer_->n_series() : 0; }
  size_t n_done() const { return analyzer_ ? analyzer_->n_done() : 0; }

  // Once, after the last step.
  absl::Status Finish();

  // By family, task, filter, target length, shots, temperature and metric.
  const std::vector<v1::MetaTriplet>& triplets() const { return triplets_; }
  // All but triplets and warnings.
  const v1::MetaAnalysis& summary() const { return summary_; }
  // For people.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  // Family, task, filter, target length, shots, temperature, metric; absent numbers are -1.
  using Key =
      std::tuple<std::string, std::string, std::string, int64_t, int64_t, double, std::string>;

  // One series.
  struct Entry {
    v1::Series series;
    // What it was computed from, where that is known: names stand for several metrics.
    std::optional<metrics::Evidence> evidence;
  };

  SeriesMeta(const v1::MetaOptions& options, KnownMetrics known)
      : options_(options), known_(std::move(known)) {}

  absl::Status Add(const v1::Series& series, std::optional<metrics::Evidence> evidence);
  // The points that have a place, each model once.
  std::vector<metrics::CurvePoint> PointsOfSeries(const v1::Series& series,
                                                  const metrics::CurveMetric& metric);

  v1::MetaOptions options_;
  metrics::MetaOptions analysis_;
  KnownMetrics known_;
  std::map<Key, Entry> series_;
  // Family, companion and metric of what tasks took from their companions.
  std::set<std::tuple<std::string, std::string, std::string>> joined_;
  size_t n_points_ = 0;
  size_t n_parts_ = 0;
  size_t n_runs_ = 0;
  std::optional<metrics::MetaAnalyzer> analyzer_;
  std::vector<v1::MetaTriplet> triplets_;
  v1::MetaAnalysis summary_;
  std::vector<std::string> warnings_;
};

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_META_H_
