#include "server/engine/run_points.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/numeric/int128.h"
#include "metrics/registry/registry.h"
#include "metrics/stats/moments.h"

namespace mirage::server {
namespace {

using metrics::Evidence;
using metrics::MetricInfo;
using Scored = v1::ScoreColumn::Aggregation;

// Rows of a task by which candidates for its companion are told from other tasks.
constexpr size_t kProbedRows = 8;

class PointMaker {
 public:
  PointMaker(const ScoredRun& run, const v1::Scale& scale,
             const google::protobuf::RepeatedPtrField<v1::Companion>& named)
      : run_(run), scale_(scale), named_(named) {}

  RunPoints Make() {
    for (const auto& scorer : run_.scorers) {
      if (HasTargetLikelihood(*scorer)) scored_.push_back(scorer.get());
    }
    for (const v1::RunTask& about : run_.run.tasks()) {
      std::set<std::string> filters;
      for (const v1::ReportedMetric& reported : about.reported()) filters.insert(reported.filter());
      for (const auto& scorer : run_.scorers) {
        if (scorer->about().task() == about.task()) filters.insert(scorer->filter());
      }
      for (const std::string& filter : filters) AddTask(about, filter);
    }
    return std::move(out_);
  }

 private:
  static bool HasTargetLikelihood(const TaskScorer& scorer) {
    return scorer.evidence() == Evidence::kLikelihood && scorer.Withheld().empty();
  }

  static bool HasLogP(const TaskScorer& scorer) {
    const std::vector<double>& log_p = scorer.rows().log_p;
    return std::any_of(log_p.begin(), log_p.end(), [](double p) { return !std::isnan(p); });
  }

  const TaskScorer* ScorerOf(std::string_view task, std::string_view filter) const {
    for (const auto& scorer : run_.scorers) {
      if (scorer->about().task() == task && scorer->filter() == filter) return scorer.get();
    }
    return nullptr;
  }

  void AddTask(const v1::RunTask& about, const std::string& filter) {
    TaskPoints task;
    task.task = ScorerOf(about.task(), filter);
    const Evidence* evidence = nullptr;
    Evidence found{};
    if (task.task != nullptr && task.task->evidence()) {
      found = *task.task->evidence();
      evidence = &found;
    }
    std::set<std::string, std::less<>> have;
    if (task.task != nullptr) {
      for (const ReportedMetricColumn& column : task.task->reported()) {
        const MetricInfo* const info =
            evidence != nullptr ? metrics::FindMetric(column.metric, *evidence) : nullptr;
        // Of what is continuous, Mirage's own definition counts.
        if (info != nullptr && info->continuous && info->in_runs) continue;
        if (column.aggregation != Scored::MEAN &&
            column.aggregation != Scored::MEAN_OF_DOCUMENT_MEANS) {
          continue;
        }
        AddMoments(about, filter, column.metric, column.values, evidence, /*is_log=*/false, task);
        have.insert(column.metric);
      }
    }
    bool has_sharp = false;
    for (const v1::ReportedMetric& reported : about.reported()) {
      if (reported.filter() != filter) continue;
      if (const auto rows = metrics::MetricsNamed(reported.metric());
          !rows.empty() && rows.front()->sharp) {
        has_sharp = true;
      }
      if (!reported.has_value() || !std::isfinite(reported.value()) ||
          have.count(reported.metric()) > 0 || IsComputed(task.task, reported.metric())) {
        continue;
      }
      RunPoint& point = NewPoint(about, filter, reported.metric(), task);
      if (evidence != nullptr) point.evidence = *evidence;
      v1::SeriesPoint& at = *point.series.mutable_points(0);
      at.set_value(reported.value());
      if (reported.has_stderr() && reported.stderr() >= 0 && std::isfinite(reported.stderr())) {
        at.set_stderr(reported.stderr());
      }
      if (reported.has_n() && reported.n() > 0) {
        at.set_n(reported.n());
      } else if (about.has_n_samples_effective() && about.n_samples_effective() > 0) {
        at.set_n(about.n_samples_effective());
      }
      have.insert(reported.metric());
    }
    if (task.task != nullptr && !AddComputed(about, filter, *task.task, have, task)) {
      out_.warnings.push_back(
          fmt::format("{}: {}: no counterparts: {}", Model(), about.task(), task.task->Withheld()));
    }
    if (has_sharp) FindCompanion(about, filter, task);
    if (task.companion != nullptr) {
      const size_t n_own = task.points.size();
      AddComputed(about, filter, *task.companion, have, task);
      for (size_t i = n_own; i < task.points.size(); ++i) task.points[i].is_joined = true;
    }
    if (!task.points.empty()) out_.tasks.push_back(std::move(task));
  }

  // Whether a task's number follows from the mean of its samples'.
  static bool IsMean(metrics::Aggregation aggregation) {
    return aggregation == metrics::Aggregation::kMean ||
           aggregation == metrics::Aggregation::kExpNegMean;
  }

  static bool IsComputed(const TaskScorer* scorer, std::string_view metric) {
    if (scorer == nullptr || !scorer->Withheld().empty()) return false;
    const auto& all = scorer->computed();
    return std::any_of(all.begin(), all.end(), [&](const ComputedMetric& computed) {
      return computed.info->name == metric && computed.info->continuous &&
             IsMean(computed.info->aggregation) && computed.values.count() > 0;
    });
  }

  // What Mirage computes of a task's samples, under the name of `about`. False where its gold
  // cannot be trusted.
  bool AddComputed(const v1::RunTask& about, const std::string& filter, const TaskScorer& scorer,
                   std::set<std::string, std::less<>>& have, TaskPoints& task) {
    if (!scorer.Withheld().empty()) return false;
    for (const ComputedMetric& computed : scorer.computed()) {
      const MetricInfo& info = *computed.info;
      if (!info.continuous || computed.values.count() == 0) continue;
      if (!IsMean(info.aggregation)) continue;
      if (!have.insert(std::string(info.name)).second) continue;
      AddMoments(about, filter, std::string(info.name), computed.values, &info.evidence,
                 info.aggregation == metrics::Aggregation::kExpNegMean, task);
    }
    return true;
  }

  void AddMoments(const v1::RunTask& about, const std::string& filter, const std::string& metric,
                  const metrics::Moments& values, const Evidence* evidence, bool is_log,
                  TaskPoints& task) {
    std::optional<double> mean = values.mean();
    if (!mean) return;
    std::optional<double> error = values.standard_error();
    if (is_log) {
      mean = std::exp(-*mean);
      if (error) *error *= *mean;
    }
    if (!std::isfinite(*mean)) {
      out_.warnings.push_back(
          fmt::format("{}: {}: {} is infinite ({} of {} samples have probability 0): left out",
                      Model(), about.task(), metric, values.n_infinite(), values.count()));
      return;
    }
    RunPoint& point = NewPoint(about, filter, metric, task);
    if (evidence != nullptr) point.evidence = *evidence;
    v1::SeriesPoint& at = *point.series.mutable_points(0);
    at.set_value(*mean);
    if (error && std::isfinite(*error)) at.set_stderr(*error);
    at.set_n(static_cast<uint32_t>(std::min<uint64_t>(values.count(), 4294967295)));
  }

  RunPoint& NewPoint(const v1::RunTask& about, const std::string& filter, const std::string& metric,
                     TaskPoints& task) const {
    RunPoint& point = task.points.emplace_back();
    v1::Series& series = point.series;
    series.set_family(scale_.family());
    series.set_task(about.task());
    series.set_filter(filter);
    series.set_metric(metric);
    if (about.has_n_shot()) series.set_shots(about.n_shot());
    if (task.task != nullptr && task.task->temperature()) {
      series.set_temperature(*task.task->temperature());
    }
    v1::SeriesPoint* const at = series.add_points();
    at->set_model(Model());
    at->set_seed(scale_.seed());
    if (scale_.has_parameters()) at->set_scale(scale_.parameters());
    if (scale_.has_tokens()) at->set_tokens(scale_.tokens());
    if (scale_.has_flops()) at->set_flops(scale_.flops());
    if (scale_.has_loss()) at->set_loss(scale_.loss());
    return point;
  }

  std::string Model() const { return scale_.model().empty() ? run_.run.model() : scale_.model(); }

  void FindCompanion(const v1::RunTask& about, const std::string& filter, TaskPoints& task) {
    if (task.task == nullptr) return;
    for (const v1::Companion& named : named_) {
      if (named.task() != about.task()) continue;
      TakeNamed(about, named.companion(), task);
      return;
    }
    if (task.task->evidence() != Evidence::kGeneration || HasLogP(*task.task)) return;
    for (const TaskScorer* candidate : scored_) {
      if (candidate == task.task || !SharesDocuments(*task.task, *candidate)) continue;
      CompanionMatch match = MatchCompanion(task.task->rows(), candidate->rows());
      if (match.share < kCompanionMinShare) continue;
      task.companion = candidate;
      task.match = std::make_shared<const CompanionMatch>(std::move(match));
      return;
    }
  }

  void TakeNamed(const v1::RunTask& about, const std::string& name, TaskPoints& task) {
    const TaskScorer* companion = nullptr;
    for (const auto& scorer : run_.scorers) {
      if (scorer->about().task() == name) {
        companion = scorer.get();
        break;
      }
    }
    if (companion == nullptr) {
      out_.warnings.push_back(
          fmt::format("{}: {}: its companion {} has no samples in this run: no counterpart of it",
                      Model(), about.task(), name));
      return;
    }
    CompanionMatch match = MatchCompanion(task.task->rows(), companion->rows());
    if (match.share < kCompanionMinShare) {
      out_.warnings.push_back(fmt::format(
          "{}: {}: its companion {} has {:.1f} % of its documents{}: the join needs {:.0f} %",
          Model(), about.task(), name, 100 * match.share,
          match.n_other_gold > 0
              ? fmt::format(" (the gold answers of {} more differ)", match.n_other_gold)
              : "",
          100 * kCompanionMinShare));
      return;
    }
    task.companion = companion;
    task.match = std::make_shared<const CompanionMatch>(std::move(match));
  }

  // Whether one of the first rows has a document of the other's: tasks by the thousand are not
  // joined one by one.
  bool SharesDocuments(const TaskScorer& task, const TaskScorer& companion) {
    const auto documents = [this](const TaskScorer& scorer) -> const std::set<absl::uint128>& {
      std::set<absl::uint128>& ids = documents_[&scorer];
      if (ids.empty()) {
        ids.insert(scorer.rows().doc_hash.begin(), scorer.rows().doc_hash.end());
        ids.insert(scorer.rows().prompt_hash.begin(), scorer.rows().prompt_hash.end());
        ids.erase(absl::uint128(0));
      }
      return ids;
    };
    const std::set<absl::uint128>& known = documents(companion);
    const SampleRows& rows = task.rows();
    for (size_t i = 0; i < std::min(kProbedRows, rows.doc_hash.size()); ++i) {
      if (known.count(rows.doc_hash[i]) > 0 || known.count(rows.prompt_hash[i]) > 0) return true;
    }
    return false;
  }

  const ScoredRun& run_;
  const v1::Scale& scale_;
  const google::protobuf::RepeatedPtrField<v1::Companion>& named_;
  // Tasks that may be companions.
  std::vector<const TaskScorer*> scored_;
  // Identities of their documents.
  std::map<const TaskScorer*, std::set<absl::uint128>> documents_;
  RunPoints out_;
};

}  // namespace

RunPoints PointsOf(const ScoredRun& run, const v1::Scale& scale,
                   const google::protobuf::RepeatedPtrField<v1::Companion>& named) {
  return PointMaker(run, scale, named).Make();
}

std::string WithoutPlace(const ScoredRun& run, const v1::Scale& scale, std::string_view axis) {
  return fmt::format("{}: its {} {} not known: the run was left out",
                     scale.model().empty() ? run.run.model() : scale.model(),
                     axis.empty() ? "parameters" : axis, axis == "loss" ? "is" : "are");
}

}  // namespace mirage::server
