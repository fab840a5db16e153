// Diagnosing families, from series that a caller sends and from scored runs: which sudden rises are
// the metric's doing.
#ifndef MIRAGE_SERVER_ENGINE_DIAGNOSE_H_
#define MIRAGE_SERVER_ENGINE_DIAGNOSE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/emergence/verdict.h"
#include "metrics/registry/metric_info.h"
#include "mirage/v1/emergence.pb.h"
#include "server/engine/engine.h"
#include "server/engine/metric_properties.h"
#include "server/engine/run_points.h"
#include "server/engine/sample_evidence.h"

namespace mirage::server {

// What one diagnosis takes at most.
inline constexpr size_t kMaxDiagnosedPoints = 4'000'000;
inline constexpr size_t kMaxDiagnosedSeries = 100'000;
inline constexpr size_t kMaxDiagnosedRuns = 10'000;

// One call of DiagnoseSeries: takes series and runs, then diagnoses each sharp metric's in turn.
// Not thread-safe.
//
//   auto diagnosis = SeriesDiagnosis::Create(options);
//   diagnosis->Add(series); diagnosis->AddRun(run, scale); ...
//   diagnosis->Start();
//   while (diagnosis->n_done() < diagnosis->n_series()) diagnosis->Step();
//   diagnosis->Finish();
//
// A sharp metric's counterparts are the continuous metrics of the same family, task, filter, target
// length, shots and temperature. The primary one is fixed before looking, by declared properties:
// those that a user's MetricProperties name, in their order; else what is linear in the per-token
// error and does not change with wrong choices, likelihoods before distances, per token or of whole
// targets before those per byte or character; what else does not change with wrong choices; the
// rest, bounded ones (Brier) last. What clearly fewer models have than another comes after it.
// Models are joined by name, scale, seed and tokens.
//
// Of runs, the samples speak as well: the items' own log-probabilities compose to the metric, and
// the counterpart is looked at position by position, in groups of items by what they gain in other
// models, and in strata of the documents that the caller declared (sample_evidence.h). It is also
// said how each step from the gold's log-probability to the metric goes with scale
// (sample_steps.h). A generated task takes the counterparts of its companion, a scored task over
// the same documents (companion.h).
class SeriesDiagnosis {
 public:
  // What was judged, and what came out, before all series are looked at together. By the loss a
  // scale is 1 / loss, so that better models are larger.
  struct Judged {
    metrics::VerdictSeries series;
    metrics::VerdictResult result;
    // By its models.
    std::vector<v1::DiagnosedScale> scales;
  };

  // INVALID_ARGUMENT with the field's path and the remedy for options out of range, properties of a
  // metric that the registry has, or that contradict themselves.
  static absl::StatusOr<std::unique_ptr<SeriesDiagnosis>> Create(
      const v1::DiagnoseOptions& options);

  // Adds points. INVALID_ARGUMENT with the field's path: a point that cannot be, a missing task or
  // metric, a chance that contradicts that of an earlier part; RESOURCE_EXHAUSTED beyond the
  // limits.
  absl::Status Add(const v1::Series& series);

  // Adds a run. INVALID_ARGUMENT for a scale that cannot be, with the field's path;
  // RESOURCE_EXHAUSTED beyond the limits. A run without a place on the axis is left out with a
  // warning. Takes some milliseconds for 10 000 samples with a companion.
  absl::Status AddRun(std::shared_ptr<const ScoredRun> run, const v1::Scale& scale);

  // All are there. INVALID_ARGUMENT: no series of a sharp metric, or options.metrics names one that
  // is not there.
  absl::Status Start();

  // Diagnoses the next one; some 30 to 150 ms for 8 to 20 models.
  absl::Status Step();

  size_t n_series() const { return jobs_.size(); }
  size_t n_done() const { return diagnoses_.size(); }

  // Corrects the break tests over all series (Benjamini, Hochberg), and diagnoses pooled what
  // shares a law for each token: series of one family, task, filter, temperature and metric that
  // differ in the length of their targets or the number of shots (pooled_verdict.h). Each stands
  // behind the series that it pools. Once, after the last step.
  absl::Status Finish();

  const std::vector<v1::Diagnosis>& diagnoses() const { return diagnoses_; }
  // In the order of diagnoses(), pooled ones left out.
  const std::vector<Judged>& judged() const { return judged_; }
  // For people: points and series that were left out, and why.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  // Family, task, filter, target length, shots, temperature: what a sharp metric and its
  // counterparts share; absent numbers are -1.
  using Key = std::tuple<std::string, std::string, std::string, int64_t, int64_t, double>;
  // What makes two points one model: name, scale, seed, tokens (-1 where absent).
  using Identity = std::tuple<std::string, double, std::string, double>;
  // One metric of one key.
  struct Entry {
    v1::Series series;
    // What it was computed from, where that is known: names stand for several metrics.
    std::optional<metrics::Evidence> evidence;
  };
  // The metrics of one key, by name.
  using Metrics = std::map<std::string, Entry>;
  // What one model's samples say on one key.
  struct Samples {
    ModelSamples of;
    std::shared_ptr<const CompanionMatch> match;
  };
  // Makes the next diagnosis.
  class One;
  struct Job {
    Key key;
    const Metrics* metrics = nullptr;
    const Entry* sharp = nullptr;
  };

  explicit SeriesDiagnosis(const v1::DiagnoseOptions& options) : options_(options) {}

  absl::Status CorrectForAll();
  void Pool();
  std::optional<v1::Diagnosis> PoolOf(std::span<const size_t> which) const;
  static Key KeyOf(const v1::Series& series);
  static Identity IdentityOf(const v1::SeriesPoint& point);
  absl::Status Add(const v1::Series& series, std::optional<metrics::Evidence> evidence);
  // What is known of a metric; null where nothing is.
  const KnownMetric* PropertiesOf(const Entry& entry);
  // The counterparts, the primary one first.
  std::vector<const Entry*> CounterpartsOf(const Job& job);
  double AxisOf(const v1::SeriesPoint& point) const;

  v1::DiagnoseOptions options_;
  KnownMetrics known_;
  std::map<Key, Metrics> series_;
  std::map<Key, std::map<Identity, Samples>> samples_;
  // Held while their samples are looked at.
  std::vector<std::shared_ptr<const ScoredRun>> runs_;
  size_t n_points_ = 0;
  size_t n_parts_ = 0;
  std::vector<Job> jobs_;
  std::vector<v1::Diagnosis> diagnoses_;
  // As many.
  std::vector<Judged> judged_;
  // Of the break tests; above 1 where none was made.
  std::vector<double> p_values_;
  std::vector<std::string> warnings_;
};

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_DIAGNOSE_H_
