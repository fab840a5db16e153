#include "server/engine/meta.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <string_view>

#include "base/version.h"
#include "metrics/scaling/series.h"
#include "metrics/stats/interval_choice.h"
#include "metrics/stats/intervals.h"
#include "server/engine/axis.h"
#include "server/engine/run_points.h"
#include "server/engine/series_check.h"

namespace mirage::server {
namespace {

// Series between two looks at the clock.
constexpr size_t kStep = 64;

void SetInterval(const metrics::ConfidenceInterval& interval, v1::Interval* out) {
  out->set_lower(interval.lower);
  out->set_upper(interval.upper);
  out->set_level(interval.level);
  out->set_method(std::string(interval.method));
  out->set_signature(
      fmt::format("interval={}|level={}|chosen=fixed|v1", interval.method, interval.level));
}

metrics::CurvePoint PointOf(const v1::SeriesPoint& point, double scale,
                            const metrics::CurveMetric& metric) {
  metrics::CurvePoint out = {.scale = scale, .value = point.value()};
  if (point.has_stderr()) out.standard_error = point.stderr();
  if (!metric.proportion || !(point.value() >= 0 && point.value() <= 1)) return out;
  if (point.has_n()) {
    out.binomial_n = point.n();
  } else if (point.has_stderr()) {
    out.binomial_n = metrics::InferSampleSize(point.value(), point.stderr()).value_or(0);
    // 0 at 0 of n is no error that is known.
    if (out.binomial_n == 0 && point.stderr() == 0) out.standard_error.reset();
  }
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SeriesMeta>> SeriesMeta::Create(const v1::MetaOptions& options,
                                                               int threads) {
  for (const auto& [field, value] :
       {std::pair("fdr", options.fdr()), std::pair("level", options.level())}) {
    if (value != 0 && !(value > 0 && value < 1)) {
      return absl::InvalidArgumentError(
          fmt::format("options.{} is {}: must be between 0 and 1", field, value));
    }
  }
  if (absl::Status status = CheckAxis(options.x_axis()); !status.ok()) return status;
  absl::StatusOr<KnownMetrics> known = KnownMetrics::Create(options.metric_properties());
  if (!known.ok()) return known.status();
  auto made = std::unique_ptr<SeriesMeta>(new SeriesMeta(options, *std::move(known)));
  if (options.fdr() != 0) made->analysis_.fdr = options.fdr();
  if (options.level() != 0) made->analysis_.level = options.level();
  made->analysis_.any_dependence = options.any_dependence();
  made->analysis_.seed = options.seed();
  made->analysis_.threads = threads;
  return made;
}

absl::Status SeriesMeta::Add(const v1::Series& series) { return Add(series, std::nullopt); }

absl::Status SeriesMeta::Add(const v1::Series& series, std::optional<metrics::Evidence> evidence) {
  const std::string path = fmt::format("series[{}]", n_parts_++);
  if (absl::Status status = CheckSeries(series, path); !status.ok()) return status;
  n_points_ += static_cast<size_t>(series.points_size());
  if (n_points_ > kMaxMetaPoints) {
    return absl::ResourceExhaustedError(
        fmt::format("more than {} points: analyse parts of the table", kMaxMetaPoints));
  }
  const Key key(series.family().empty() ? "default" : series.family(), series.task(),
                series.filter().empty() ? "none" : series.filter(),
                series.has_target_length() ? series.target_length() : -1,
                series.has_shots() ? series.shots() : -1,
                series.has_temperature() ? series.temperature() : -1, series.metric());
  const auto [at, is_new] = series_.try_emplace(key, Entry{series, evidence});
  if (!is_new) {
    v1::Series& whole = at->second.series;
    if (series.has_chance()) {
      if (whole.has_chance() && whole.chance() != series.chance()) {
        return absl::InvalidArgumentError(
            fmt::format("{}.chance is {}: an earlier part of this series says {}", path,
                        series.chance(), whole.chance()));
      }
      whole.set_chance(series.chance());
    }
    whole.mutable_points()->MergeFrom(series.points());
  } else if (series_.size() > kMaxMetaSeries) {
    return absl::ResourceExhaustedError(
        fmt::format("more than {} series: analyse parts of the table", kMaxMetaSeries));
  }
  return absl::OkStatus();
}

absl::Status SeriesMeta::AddRun(const ScoredRun& run, const v1::Scale& scale) {
  const absl::StatusOr<std::optional<double>> at =
      RunScale(options_.x_axis(), scale, fmt::format("runs[{}]", n_runs_++));
  if (!at.ok()) return at.status();
  if (!at->has_value()) {
    warnings_.push_back(WithoutPlace(run, scale, options_.x_axis()));
    return absl::OkStatus();
  }
  RunPoints points = PointsOf(run, scale, {});
  std::move(points.warnings.begin(), points.warnings.end(), std::back_inserter(warnings_));
  for (TaskPoints& task : points.tasks) {
    for (RunPoint& point : task.points) {
      v1::Series& series = point.series;
      series.mutable_points(0)->set_scale(**at);
      if (point.is_joined) {
        joined_.emplace(series.family().empty() ? "default" : series.family(),
                        task.companion->about().task(), series.metric());
      }
      if (absl::Status status = Add(series, point.evidence); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

std::vector<metrics::CurvePoint> SeriesMeta::PointsOfSeries(const v1::Series& series,
                                                            const metrics::CurveMetric& metric) {
  std::vector<metrics::CurvePoint> points;
  std::set<std::tuple<std::string, double, std::string, double>> models;
  size_t n_without_place = 0;
  size_t n_repeated = 0;
  for (const v1::SeriesPoint& point : series.points()) {
    const double at = PlaceOn(options_.x_axis(), point);
    if (std::isnan(at)) {
      ++n_without_place;
    } else if (!models
                    .emplace(point.model(), point.scale(), point.seed(),
                             point.has_tokens() ? point.tokens() : -1)
                    .second) {
      ++n_repeated;
    } else {
      points.push_back(PointOf(point, options_.x_axis() == "loss" ? 1 / at : at, metric));
    }
  }
  const auto name = [&] {
    return fmt::format("{} / {} / {}", series.family().empty() ? "default" : series.family(),
                       series.task(), series.metric());
  };
  if (n_without_place > 0) {
    warnings_.push_back(fmt::format("{}: {} of {} models have no {} and were left out", name(),
                                    n_without_place, series.points_size(), options_.x_axis()));
  }
  if (n_repeated > 0) {
    warnings_.push_back(
        fmt::format("{}: {} points repeat a model, scale, seed and tokens; the first of each "
                    "counts",
                    name(), n_repeated));
  }
  return points;
}

absl::Status SeriesMeta::Start() {
  const std::set<std::string> wanted(options_.metrics().begin(), options_.metrics().end());
  std::set<std::string> seen, unknown;
  std::vector<metrics::MetaSeries> series;
  for (auto& [key, entry] : series_) {
    const v1::Series& whole = entry.series;
    const auto& [family, task, filter, length, shots, temperature, metric] = key;
    seen.insert(metric);
    if (entry.evidence && joined_.count({family, task, metric}) > 0) continue;
    if (!wanted.empty() && wanted.count(metric) == 0) continue;
    const KnownMetric* known = known_.Find(metric, entry.evidence);
    if (known == nullptr) {
      unknown.insert(metric);
      continue;
    }
    metrics::MetaSeries& one =
        series.emplace_back(metrics::MetaSeries{family, task, filter, metric, known->metric, {}});
    if (whole.has_chance()) one.properties.chance = whole.chance();
    one.points = PointsOfSeries(whole, known->metric);
    v1::MetaTriplet& triplet = triplets_.emplace_back();
    triplet.set_family(family);
    triplet.set_task(task);
    triplet.set_filter(filter);
    triplet.set_metric(metric);
    triplet.set_sharp(known->metric.sharp);
    triplet.set_continuous(known->metric.continuous);
    if (whole.has_target_length()) triplet.set_target_length(whole.target_length());
    if (whole.has_shots()) triplet.set_shots(whole.shots());
    if (whole.has_temperature()) triplet.set_temperature(whole.temperature());
  }
  series_.clear();
  for (const std::string& metric : unknown) {
    warnings_.push_back(
        fmt::format("the metric '{}' is not known and was left out: declare its properties "
                    "(--metric-properties), or use the registry's name (mirage metrics)",
                    metric));
  }
  for (const std::string& metric : wanted) {
    if (seen.count(metric) == 0) {
      return absl::InvalidArgumentError(
          fmt::format("options.metrics names '{}': no series has that name", metric));
    }
  }
  if (series.empty()) {
    return absl::InvalidArgumentError(
        unknown.empty() ? "no series: there is nothing to analyse"
                        : fmt::format("no series of a metric that is known; '{}' is not: declare "
                                      "its properties (--metric-properties)",
                                      *unknown.begin()));
  }
  absl::StatusOr<metrics::MetaAnalyzer> analyzer =
      metrics::MetaAnalyzer::Create(std::move(series), analysis_);
  if (!analyzer.ok()) return analyzer.status();
  analyzer_ = *std::move(analyzer);
  return absl::OkStatus();
}

absl::Status SeriesMeta::Step() { return analyzer_->Step(kStep); }

absl::Status SeriesMeta::Finish() {
  absl::StatusOr<metrics::MetaResult> result = analyzer_->Finish();
  if (!result.ok()) return result.status();
  size_t n_unknown_errors = 0;
  for (size_t i = 0; i < triplets_.size(); ++i) {
    const metrics::MetaTripletResult& from = result->triplets[i];
    v1::MetaTriplet& to = triplets_[i];
    to.set_n_scales(static_cast<uint32_t>(from.n_scales));
    if (from.score) to.set_emergence_score(*from.score);
    if (from.score_per_step) to.set_emergence_score_per_step(*from.score_per_step);
    if (from.null_p) to.set_null_p(*from.null_p);
    if (from.q_value) to.set_q_value(*from.q_value);
    to.set_zero_median(from.zero_median);
    to.set_emergent(from.is_emergent);
    to.set_not_evaluated(from.not_evaluated);
    n_unknown_errors += from.errors_from_residuals ? 1 : 0;
  }
  summary_.set_generator(fmt::format("mirage {}", kVersion));
  summary_.set_criterion(result->criterion);
  summary_.set_fdr(analysis_.fdr);
  for (const metrics::MetaMetricShare& from : result->metrics) {
    v1::MetricShare& to = *summary_.add_metrics();
    to.set_metric(from.metric);
    to.set_sharp(from.sharp);
    to.set_continuous(from.continuous);
    to.set_n_evaluated(static_cast<uint32_t>(from.n_evaluated));
    to.set_n_emergent(static_cast<uint32_t>(from.n_emergent));
    if (from.share) to.set_share(*from.share);
    if (from.interval) SetInterval(*from.interval, to.mutable_interval());
    if (from.max_score) to.set_max_emergence_score(*from.max_score);
    to.set_n_infinite(static_cast<uint32_t>(from.n_infinite));
  }
  summary_.set_n_metrics(static_cast<uint32_t>(result->n_metrics));
  summary_.set_n_metrics_emergent(static_cast<uint32_t>(result->n_metrics_emergent));
  summary_.set_n_evaluated(static_cast<uint32_t>(result->n_evaluated));
  summary_.set_n_emergent(static_cast<uint32_t>(result->n_emergent));
  const metrics::TwoByTwo& groups = result->groups;
  v1::OddsRatio& odds = *summary_.mutable_odds_ratio();
  odds.set_n_sharp(static_cast<uint32_t>(groups.first_yes + groups.first_no));
  odds.set_n_sharp_emergent(static_cast<uint32_t>(groups.first_yes));
  odds.set_n_continuous(static_cast<uint32_t>(groups.second_yes + groups.second_no));
  odds.set_n_continuous_emergent(static_cast<uint32_t>(groups.second_yes));
  odds.set_n_tasks(static_cast<uint32_t>(result->odds_ratio.n_strata));
  if (result->odds_ratio.odds_ratio) odds.set_value(*result->odds_ratio.odds_ratio);
  if (result->odds_ratio.interval) {
    SetInterval(*result->odds_ratio.interval, odds.mutable_interval());
  }
  if (result->odds_ratio.p_value) odds.set_p_value(*result->odds_ratio.p_value);
  if (n_unknown_errors > 0) {
    warnings_.push_back(fmt::format(
        "{} of {} triplets have neither n nor a standard error at some scale: what lies off a "
        "straight line counts as error there, so that sudden curves may be missed",
        n_unknown_errors, result->n_evaluated));
  }
  return absl::OkStatus();
}

}  // namespace mirage::server
