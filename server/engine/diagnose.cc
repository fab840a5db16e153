#include "server/engine/diagnose.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/emergence/emergence_score.h"
#include "metrics/emergence/law_quantity.h"
#include "metrics/emergence/verdict.h"
#include "metrics/registry/registry.h"
#include "metrics/scaling/fit.h"
#include "metrics/scaling/laws.h"
#include "metrics/scaling/series.h"
#include "metrics/stats/interval_choice.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/multiplicity.h"

namespace mirage::server {
namespace {

using metrics::Composition;
using metrics::CurveMetric;
using metrics::Verdict;
using metrics::VerdictModel;

constexpr double kDefaultFdr = 0.05;
constexpr double kDefaultLevel = 0.95;
constexpr double kInf = std::numeric_limits<double>::infinity();
// Replicates of the tests beside a verdict.
constexpr int kReplicates = 999;
// Items to see one success with 95 %: 3 / p.
constexpr double kItemsToSee = 3;

bool IsLikelihood(std::string_view unit) {
  return unit.starts_with("nats") || unit.starts_with("bits");
}

// Whether a number is one for each unit (token, byte) of a target rather than for all of it.
bool IsPerUnit(std::string_view unit) { return unit.find('/') != std::string_view::npos; }

v1::Diagnosis::Verdict ToProto(Verdict verdict) {
  switch (verdict) {
    case Verdict::kMirage:
      return v1::Diagnosis::MIRAGE;
    case Verdict::kResolutionLimited:
      return v1::Diagnosis::RESOLUTION_LIMITED;
    case Verdict::kBreakSurvives:
      return v1::Diagnosis::BREAK_SURVIVES;
    case Verdict::kSmooth:
      return v1::Diagnosis::SMOOTH;
    case Verdict::kMixed:
      return v1::Diagnosis::MIXED;
    case Verdict::kInsufficient:
      break;
  }
  return v1::Diagnosis::INSUFFICIENT;
}

v1::Diagnosis::Strength ToProto(metrics::Strength strength) {
  switch (strength) {
    case metrics::Strength::kStrong:
      return v1::Diagnosis::STRONG;
    case metrics::Strength::kModerate:
      return v1::Diagnosis::MODERATE;
    case metrics::Strength::kWeak:
      break;
  }
  return v1::Diagnosis::WEAK;
}

void SetInterval(const metrics::ConfidenceInterval& interval, v1::Interval* out) {
  out->set_lower(interval.lower);
  out->set_upper(interval.upper);
  out->set_level(interval.level);
  out->set_method(std::string(interval.method));
  out->set_signature(metrics::IntervalSignature(interval, metrics::IntervalMethod::kAuto));
}

void SetPredicted(const metrics::PredictedShare& share, v1::Interval* out) {
  out->set_lower(share.lower);
  out->set_upper(share.upper);
  out->set_level(metrics::kVerdictBandLevel);
  out->set_method("composed");
  out->set_signature(
      fmt::format("interval=composed|level={}|chosen=auto|v1", metrics::kVerdictBandLevel));
}

// What makes two points one model.
std::tuple<std::string, double, std::string, double> IdentityOf(const v1::SeriesPoint& point) {
  return {point.model(), point.scale(), point.seed(), point.has_tokens() ? point.tokens() : -1};
}

absl::Status CheckPoint(const v1::SeriesPoint& point, std::string_view path) {
  const auto bad = [&](std::string_view field, double value, std::string_view must) {
    return absl::InvalidArgumentError(
        fmt::format("{}.{} is {}: must be {}", path, field, value, must));
  };
  if (point.model().empty()) {
    return absl::InvalidArgumentError(fmt::format("{}.model is empty: name the model", path));
  }
  if (!(point.scale() > 0 && std::isfinite(point.scale()))) {
    return bad("scale", point.scale(), "finite and > 0");
  }
  if (!std::isfinite(point.value())) return bad("value", point.value(), "finite");
  if (point.has_stderr() && !(point.stderr() >= 0 && std::isfinite(point.stderr()))) {
    return bad("stderr", point.stderr(), "finite and >= 0");
  }
  if (point.has_n() && point.n() == 0) return bad("n", 0, "at least 1, or absent");
  const std::pair<std::string_view, std::optional<double>> axes[] = {
      {"tokens", point.has_tokens() ? std::optional(point.tokens()) : std::nullopt},
      {"flops", point.has_flops() ? std::optional(point.flops()) : std::nullopt},
      {"loss", point.has_loss() ? std::optional(point.loss()) : std::nullopt}};
  for (const auto& [field, value] : axes) {
    if (value && !(*value > 0 && std::isfinite(*value)))
      return bad(field, *value, "finite and > 0");
  }
  return absl::OkStatus();
}

}  // namespace

struct SeriesDiagnosis::Properties {
  CurveMetric metric;
  std::string unit;
  // A user's own counterparts, the primary one first.
  std::vector<std::string> counterparts;
  // How it follows from them; a sharp metric that does not change with wrong choices needs all
  // tokens.
  std::optional<Composition> composition;
};

absl::StatusOr<std::unique_ptr<SeriesDiagnosis>> SeriesDiagnosis::Create(
    const v1::DiagnoseOptions& options) {
  static constexpr std::string_view kAxes[] = {"", "parameters", "flops", "tokens", "loss"};
  if (std::find(std::begin(kAxes), std::end(kAxes), options.x_axis()) == std::end(kAxes)) {
    return absl::InvalidArgumentError(fmt::format(
        "options.x_axis is '{}': must be parameters, flops, tokens or loss", options.x_axis()));
  }
  if (options.has_hold_out() && options.hold_out() > 2) {
    return absl::InvalidArgumentError(
        fmt::format("options.hold_out is {}: must be from 0 to 2", options.hold_out()));
  }
  for (const auto& [field, value] :
       {std::pair("fdr", options.fdr()), std::pair("level", options.level())}) {
    if (value != 0 && !(value > 0 && value < 1)) {
      return absl::InvalidArgumentError(
          fmt::format("options.{} is {}: must be between 0 and 1", field, value));
    }
  }
  if (options.predict_at_size() + options.reach_size() > 0) {
    return absl::UnimplementedError(
        "options.predict_at and options.reach: forecasts are not there yet; leave them out");
  }
  if (options.companions_size() > 0) {
    return absl::UnimplementedError(
        "options.companions: series of another task are not joined yet; give the counterpart under "
        "the task's own name");
  }
  auto made = std::unique_ptr<SeriesDiagnosis>(new SeriesDiagnosis(options));
  for (int i = 0; i < options.metric_properties_size(); ++i) {
    const v1::MetricProperties& given = options.metric_properties(i);
    const std::string path = fmt::format("options.metric_properties[{}]", i);
    if (given.metric().empty()) {
      return absl::InvalidArgumentError(path + ".metric is empty: name the metric");
    }
    if (metrics::FindMetric(given.metric()) != nullptr ||
        !metrics::MetricsNamed(given.metric()).empty()) {
      return absl::InvalidArgumentError(fmt::format(
          "{}.metric is '{}': the registry knows it already; leave it out, or give yours "
          "another name",
          path, given.metric()));
    }
    if (!given.has_higher_is_better() || !given.has_continuous() || !given.has_sharp()) {
      return absl::InvalidArgumentError(fmt::format(
          "{} ('{}') needs higher_is_better, continuous and sharp", path, given.metric()));
    }
    auto properties = std::make_shared<Properties>();
    CurveMetric& metric = properties->metric;
    metric.higher_is_better = given.higher_is_better();
    metric.lower_bound = given.has_lower_bound() ? given.lower_bound() : -kInf;
    metric.upper_bound = given.has_upper_bound() ? given.upper_bound() : kInf;
    if (!(metric.lower_bound < metric.upper_bound)) {
      return absl::InvalidArgumentError(
          fmt::format("{}: lower_bound {} is not below upper_bound {}", path, metric.lower_bound,
                      metric.upper_bound));
    }
    metric.sharp = given.sharp();
    metric.continuous = given.continuous();
    if (metric.sharp && metric.continuous) {
      return absl::InvalidArgumentError(fmt::format(
          "{} ('{}') is sharp and continuous: it can be one of them", path, given.metric()));
    }
    metric.linear_in_token_error = given.linear_in_token_error();
    metric.uses_wrong_choices = given.uses_wrong_choices();
    metric.proportion = given.proportion();
    properties->unit = given.unit();
    properties->counterparts.assign(given.counterparts().begin(), given.counterparts().end());
    if (given.composition() == v1::MetricProperties::ALL_TOKENS) {
      properties->composition = Composition::kAllTokens;
    } else if (given.composition() != v1::MetricProperties::COMPOSITION_UNSPECIFIED) {
      properties->composition = Composition::kNone;
    }
    if (!made->properties_.emplace(given.metric(), std::move(properties)).second) {
      return absl::InvalidArgumentError(
          fmt::format("{}.metric is '{}': it came twice", path, given.metric()));
    }
  }
  return made;
}

const SeriesDiagnosis::Properties* SeriesDiagnosis::PropertiesOf(const std::string& metric) {
  const auto [at, is_new] = properties_.try_emplace(metric);
  if (!is_new) return at->second.get();
  const std::vector<const metrics::MetricInfo*> rows = metrics::MetricsNamed(metric);
  if (rows.empty()) return nullptr;
  const metrics::MetricInfo& info = *rows.front();
  auto properties = std::make_shared<Properties>();
  properties->metric.higher_is_better = info.higher_is_better;
  properties->metric.lower_bound = info.lower_bound;
  properties->metric.upper_bound = info.upper_bound;
  properties->metric.sharp = info.sharp;
  properties->metric.continuous = info.continuous;
  properties->metric.linear_in_token_error = info.linear_in_token_error;
  properties->metric.uses_wrong_choices = info.uses_wrong_choices;
  // The registry's sharp metrics are right or wrong for each sample.
  properties->metric.proportion = info.sharp && info.lower_bound == 0 && info.upper_bound == 1;
  properties->unit = std::string(info.unit);
  at->second = std::move(properties);
  return at->second.get();
}

absl::Status SeriesDiagnosis::Add(const v1::Series& series) {
  const std::string path = fmt::format("series[{}]", n_parts_++);
  if (series.task().empty()) {
    return absl::InvalidArgumentError(path + ".task is empty: name the task");
  }
  if (series.metric().empty()) {
    return absl::InvalidArgumentError(path + ".metric is empty: name the metric");
  }
  if (series.has_target_length() && series.target_length() == 0) {
    return absl::InvalidArgumentError(path + ".target_length is 0: must be at least 1, or absent");
  }
  if (series.has_temperature() &&
      !(series.temperature() >= 0 && std::isfinite(series.temperature()))) {
    return absl::InvalidArgumentError(
        fmt::format("{}.temperature is {}: must be finite and >= 0", path, series.temperature()));
  }
  if (series.has_chance() && !std::isfinite(series.chance())) {
    return absl::InvalidArgumentError(
        fmt::format("{}.chance is {}: must be finite", path, series.chance()));
  }
  for (int i = 0; i < series.points_size(); ++i) {
    if (absl::Status status = CheckPoint(series.points(i), fmt::format("{}.points[{}]", path, i));
        !status.ok()) {
      return status;
    }
  }
  n_points_ += static_cast<size_t>(series.points_size());
  if (n_points_ > kMaxDiagnosedPoints) {
    return absl::ResourceExhaustedError(
        fmt::format("more than {} points: diagnose families or tasks apart", kMaxDiagnosedPoints));
  }
  Metrics& metrics = series_[Key(series.family().empty() ? "default" : series.family(),
                                 series.task(), series.filter().empty() ? "none" : series.filter(),
                                 series.has_target_length() ? series.target_length() : -1,
                                 series.has_shots() ? series.shots() : -1,
                                 series.has_temperature() ? series.temperature() : -1)];
  const auto [at, is_new] = metrics.try_emplace(series.metric(), series);
  if (is_new) {
    if (series_.size() > kMaxDiagnosedSeries) {
      return absl::ResourceExhaustedError(fmt::format(
          "more than {} series: diagnose families or tasks apart", kMaxDiagnosedSeries));
    }
    return absl::OkStatus();
  }
  v1::Series& whole = at->second;
  if (series.has_chance()) {
    if (whole.has_chance() && whole.chance() != series.chance()) {
      return absl::InvalidArgumentError(
          fmt::format("{}.chance is {}: an earlier part of this series says {}", path,
                      series.chance(), whole.chance()));
    }
    whole.set_chance(series.chance());
  }
  whole.mutable_points()->MergeFrom(series.points());
  return absl::OkStatus();
}

absl::Status SeriesDiagnosis::Start() {
  const std::set<std::string> wanted(options_.metrics().begin(), options_.metrics().end());
  std::set<std::string> unknown;
  std::set<std::string> seen;
  for (const auto& [key, metrics] : series_) {
    for (const auto& [name, series] : metrics) {
      const Properties* properties = PropertiesOf(name);
      if (properties == nullptr) {
        unknown.insert(name);
        continue;
      }
      if (!properties->metric.sharp) continue;
      seen.insert(name);
      if (!wanted.empty() && wanted.count(name) == 0) continue;
      jobs_.push_back({&metrics, &series});
    }
  }
  for (const std::string& name : unknown) {
    warnings_.push_back(
        fmt::format("the metric '{}' is not known and was left out: declare its properties "
                    "(--metric-properties), or use the registry's name (mirage metrics)",
                    name));
  }
  for (const std::string& name : wanted) {
    if (seen.count(name) == 0) {
      return absl::InvalidArgumentError(fmt::format(
          "options.metrics names '{}': no series of a sharp metric has that name", name));
    }
  }
  if (jobs_.empty()) {
    return absl::InvalidArgumentError(
        unknown.empty()
            ? "no series of a sharp metric: there is nothing to diagnose"
            : fmt::format("no series of a sharp metric that is known; '{}' is not: declare "
                          "its properties (--metric-properties)",
                          *unknown.begin()));
  }
  return absl::OkStatus();
}

std::vector<const v1::Series*> SeriesDiagnosis::CounterpartsOf(const Job& job) {
  const Properties& sharp = *PropertiesOf(job.sharp->metric());
  std::vector<std::pair<std::tuple<size_t, int, std::string>, const v1::Series*>> ranked;
  for (const auto& [name, series] : *job.metrics) {
    const Properties* properties = PropertiesOf(name);
    if (properties == nullptr || !properties->metric.continuous) continue;
    const CurveMetric& metric = properties->metric;
    const auto named = std::find(sharp.counterparts.begin(), sharp.counterparts.end(), name);
    int rank = 4;
    if (!metric.uses_wrong_choices) {
      rank = !metric.linear_in_token_error      ? 3
             : !IsLikelihood(properties->unit)  ? 2
             : properties->unit == "nats/token" ? 0
                                                : 1;
    } else if (std::isfinite(metric.lower_bound) && std::isfinite(metric.upper_bound)) {
      rank = 5;
    }
    ranked.push_back(
        {{static_cast<size_t>(named - sharp.counterparts.begin()), rank, name}, &series});
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<const v1::Series*> counterparts;
  counterparts.reserve(ranked.size());
  for (const auto& [rank, series] : ranked) counterparts.push_back(series);
  return counterparts;
}

double SeriesDiagnosis::AxisOf(const v1::SeriesPoint& point) const {
  const double missing = std::numeric_limits<double>::quiet_NaN();
  if (options_.x_axis() == "flops") return point.has_flops() ? point.flops() : missing;
  if (options_.x_axis() == "tokens") return point.has_tokens() ? point.tokens() : missing;
  if (options_.x_axis() == "loss") return point.has_loss() ? point.loss() : missing;
  return point.scale();
}

absl::Status SeriesDiagnosis::Step() {
  const Job& job = jobs_[diagnoses_.size()];
  const v1::Series& sharp = *job.sharp;
  const Properties& properties = *PropertiesOf(sharp.metric());
  const std::vector<const v1::Series*> counterparts = CounterpartsOf(job);
  const bool by_loss = options_.x_axis() == "loss";
  const double level = options_.level() == 0 ? kDefaultLevel : options_.level();

  v1::Diagnosis diagnosis;
  diagnosis.set_family(sharp.family().empty() ? "default" : sharp.family());
  diagnosis.set_task(sharp.task());
  diagnosis.set_filter(sharp.filter().empty() ? "none" : sharp.filter());
  diagnosis.set_metric(sharp.metric());
  if (sharp.has_target_length()) diagnosis.set_target_length(sharp.target_length());
  if (sharp.has_shots()) diagnosis.set_shots(sharp.shots());
  if (sharp.has_temperature()) diagnosis.set_temperature(sharp.temperature());
  diagnosis.set_x_axis(options_.x_axis().empty() ? "parameters" : options_.x_axis());

  metrics::VerdictSeries series;
  series.metric = properties.metric;
  if (sharp.has_chance()) series.metric.chance = sharp.chance();
  if (sharp.has_target_length()) series.target_length = sharp.target_length();
  series.composition = properties.composition.value_or(
      properties.metric.uses_wrong_choices ? Composition::kNone : Composition::kAllTokens);

  std::map<std::tuple<std::string, double, std::string, double>, const v1::SeriesPoint*> others;
  const Properties* counterpart = nullptr;
  if (!counterparts.empty()) {
    counterpart = PropertiesOf(counterparts.front()->metric());
    series.counterpart = counterpart->metric;
    series.counterpart_per_unit =
        IsPerUnit(counterpart->unit) ||
        (counterpart->metric.higher_is_better && std::isfinite(counterpart->metric.lower_bound) &&
         counterpart->metric.linear_in_token_error);
    // Lengths are in tokens: what is per byte or character composes to nothing without theirs.
    if (IsPerUnit(counterpart->unit) && counterpart->unit != "nats/token") {
      series.composition = Composition::kNone;
    }
    diagnosis.set_counterpart(counterparts.front()->metric());
    for (size_t i = 1; i < counterparts.size(); ++i) {
      diagnosis.add_other_counterparts(counterparts[i]->metric());
    }
    for (const v1::SeriesPoint& point : counterparts.front()->points()) {
      others[IdentityOf(point)] = &point;
    }
  }

  std::vector<const v1::SeriesPoint*> points;
  std::vector<const v1::SeriesPoint*> partners;
  std::set<std::tuple<std::string, double, std::string, double>> known;
  size_t without_axis = 0;
  size_t repeated = 0;
  for (const v1::SeriesPoint& point : sharp.points()) {
    const double at = AxisOf(point);
    if (std::isnan(at)) {
      ++without_axis;
      continue;
    }
    if (!known.insert(IdentityOf(point)).second) {
      ++repeated;
      continue;
    }
    VerdictModel model;
    // A lower loss is a better model: the axis is turned round.
    model.scale = by_loss ? 1 / at : at;
    model.value = point.value();
    if (point.has_stderr()) model.standard_error = point.stderr();
    if (point.has_n()) {
      model.n = point.n();
    } else if (properties.metric.proportion && point.has_stderr()) {
      if (const auto n = metrics::InferSampleSize(point.value(), point.stderr())) {
        model.n = static_cast<double>(*n);
      }
    }
    const auto partner = others.find(IdentityOf(point));
    if (partner != others.end()) {
      model.counterpart = partner->second->value();
      if (partner->second->has_stderr()) model.counterpart_error = partner->second->stderr();
      if (partner->second->has_n()) model.counterpart_n = partner->second->n();
    }
    series.models.push_back(model);
    points.push_back(&point);
    partners.push_back(partner == others.end() ? nullptr : partner->second);
  }
  const std::string name =
      fmt::format("{} / {} / {}", diagnosis.family(), sharp.task(), sharp.metric());
  if (without_axis > 0) {
    warnings_.push_back(fmt::format("{}: {} of {} models have no {} and were left out", name,
                                    without_axis, sharp.points_size(), options_.x_axis()));
  }
  if (repeated > 0) {
    warnings_.push_back(fmt::format(
        "{}: {} points repeat a model, scale, seed and tokens; the first of each counts", name,
        repeated));
  }
  if (!counterparts.empty()) {
    const auto n_matched = static_cast<size_t>(std::count_if(
        partners.begin(), partners.end(), [](const auto* p) { return p != nullptr; }));
    if (n_matched < points.size()) {
      warnings_.push_back(fmt::format(
          "{}: {} of {} models have no {}: models are matched by name, scale, seed and tokens",
          name, points.size() - n_matched, points.size(), counterparts.front()->metric()));
    }
  }

  metrics::VerdictOptions verdict_options;
  verdict_options.hold_out = options_.has_hold_out() ? static_cast<int>(options_.hold_out()) : 1;
  verdict_options.seed = options_.seed();
  verdict_options.replicates = kReplicates;
  const absl::StatusOr<metrics::VerdictResult> judged = metrics::Judge(series, verdict_options);
  if (!judged.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("{}: {}", name, std::string(judged.status().message())));
  }
  diagnosis.set_verdict(ToProto(judged->verdict));
  if (judged->strength) diagnosis.set_strength(ToProto(*judged->strength));
  for (const metrics::VerdictReason& reason : judged->reasons) {
    v1::Reason* out = diagnosis.add_reasons();
    out->set_code(std::string(reason.code));
    out->set_text(reason.text);
    for (const auto& [key, value] : reason.values) {
      v1::NamedValue* named = out->add_values();
      named->set_name(std::string(key));
      named->set_value(value);
    }
  }
  diagnosis.set_n_scales(static_cast<uint32_t>(series.models.size()));

  std::vector<metrics::CurvePoint> curve;
  std::vector<double> counterpart_curve;
  for (const metrics::VerdictScale& at : judged->scales) {
    const v1::SeriesPoint& point = *points[at.model];
    const VerdictModel& model = series.models[at.model];
    v1::DiagnosedScale* out = diagnosis.add_scales();
    out->set_model(point.model());
    out->set_scale(AxisOf(point));
    if (model.n) out->set_n(static_cast<uint32_t>(std::min(*model.n, 4294967295.0)));
    out->set_value(point.value());
    if (model.n && properties.metric.proportion && point.value() >= 0 && point.value() <= 1) {
      const auto k = static_cast<uint64_t>(std::llround(point.value() * *model.n));
      const auto interval = metrics::ShareInterval(k, static_cast<uint64_t>(*model.n), level);
      if (interval.ok()) SetInterval(*interval, out->mutable_interval());
    } else if (model.standard_error && *model.standard_error > 0) {
      const auto interval = metrics::Normal(point.value(), *model.standard_error, level);
      if (interval.ok()) SetInterval(*interval, out->mutable_interval());
    }
    if (model.counterpart) {
      out->set_counterpart_value(*model.counterpart);
      counterpart_curve.push_back(counterpart->metric.higher_is_better ? *model.counterpart
                                                                       : -*model.counterpart);
      if (model.counterpart_error && *model.counterpart_error > 0) {
        const auto interval = metrics::Normal(*model.counterpart, *model.counterpart_error, level);
        if (interval.ok()) SetInterval(*interval, out->mutable_counterpart_interval());
      }
    }
    const auto& predicted = at.held_out && at.forecast ? at.forecast : at.predicted;
    if (predicted) {
      out->set_predicted(predicted->value);
      SetPredicted(*predicted, out->mutable_predicted_interval());
      if (model.n && predicted->value > 0 && predicted->value * *model.n < kItemsToSee) {
        v1::SamplesNeeded* needed = diagnosis.add_samples_needed();
        needed->set_model(point.model());
        needed->set_n(static_cast<uint32_t>(
            std::min(std::ceil(kItemsToSee / predicted->value), 4294967295.0)));
        needed->set_to_resolve(predicted->value);
      }
    }
    out->set_held_out(at.held_out);
    if (curve.empty() || model.scale > curve.back().scale) {
      metrics::CurvePoint to_score;
      to_score.scale = model.scale;
      to_score.value = properties.metric.higher_is_better ? point.value() : -point.value();
      if (model.n && properties.metric.proportion && properties.metric.higher_is_better) {
        to_score.binomial_n = static_cast<uint64_t>(*model.n);
      } else {
        to_score.standard_error = model.standard_error;
      }
      curve.push_back(to_score);
    }
  }

  const auto score = metrics::ScoreEmergence(curve);
  if (score.ok()) {
    if (score->score) diagnosis.set_emergence_score(*score->score);
    diagnosis.set_zero_median(score->zero_median);
    metrics::EmergenceOptions null;
    null.seed = options_.seed();
    null.replicates = kReplicates;
    null.scatter.tau = judged->law ? judged->law->tau : 0.05;
    if (const auto tested = metrics::TestEmergenceScore(curve, null); tested.ok()) {
      diagnosis.set_emergence_score_null_p(tested->p_value);
    }
  }
  const auto other_score = metrics::ScoreEmergence(counterpart_curve);
  if (other_score.ok() && other_score->score) {
    diagnosis.set_counterpart_emergence_score(*other_score->score);
  }

  double p_value = 2;
  if (judged->law && judged->law->is_testable) {
    p_value = judged->law->p_value;
    if (judged->verdict == Verdict::kBreakSurvives && judged->law->break_x) {
      v1::Break* out = diagnosis.add_breaks();
      out->set_where(v1::Break::MEAN);
      const double at = std::exp(*judged->law->break_x);
      out->set_scale(by_loss ? 1 / at : at);
      out->set_p_value(p_value);
    }
  }

  // For description: plain laws of the counterpart, on the scale on which they are laws.
  if (judged->law_points.size() >= 3) {
    metrics::Curve curve_of_law;
    bool has_variances = true;
    for (const metrics::LawPoint& point : judged->law_points) {
      curve_of_law.x.push_back(std::exp(point.x));
      curve_of_law.y.push_back(std::exp(point.y));
      has_variances = has_variances && point.variance > 0;
      curve_of_law.sampling_variances.push_back(point.variance * std::exp(2 * point.y));
    }
    if (!has_variances) curve_of_law.sampling_variances.clear();
    for (const metrics::Law law : {metrics::Law::kPowerLaw, metrics::Law::kPowerLawFloor}) {
      const auto fit = metrics::FitLaw(law, curve_of_law, {});
      if (!fit.ok()) continue;
      v1::Fit* out = diagnosis.add_fits();
      out->set_law(std::string(metrics::LawName(law)));
      out->set_on(diagnosis.counterpart());
      const std::vector<std::string> names = metrics::LawParameterNames(law, 0);
      for (size_t i = 0; i < fit->parameters.size(); ++i) {
        v1::FitParameter* parameter = out->add_parameters();
        parameter->set_name(names[i]);
        parameter->set_value(fit->parameters[i]);
        if (const auto error = fit->standard_error(i)) parameter->set_stderr(*error);
      }
      if (fit->aicc) out->set_aicc(*fit->aicc);
    }
  }
  p_values_.push_back(p_value);
  diagnoses_.push_back(std::move(diagnosis));
  return absl::OkStatus();
}

absl::Status SeriesDiagnosis::Finish() {
  std::vector<double> tested;
  for (const double p : p_values_) {
    if (p <= 1) tested.push_back(p);
  }
  if (tested.empty()) return absl::OkStatus();
  const auto adjusted = metrics::AdjustPValues(tested, metrics::Adjustment::kBenjaminiHochberg);
  if (!adjusted.ok()) return adjusted.status();
  const double fdr = options_.fdr() == 0 ? kDefaultFdr : options_.fdr();
  size_t next = 0;
  for (size_t i = 0; i < diagnoses_.size(); ++i) {
    if (p_values_[i] > 1) continue;
    const double q = (*adjusted)[next++];
    v1::Diagnosis& diagnosis = diagnoses_[i];
    diagnosis.set_q_value(q);
    for (v1::Break& found : *diagnosis.mutable_breaks()) found.set_q_value(q);
    if (diagnosis.verdict() == v1::Diagnosis::BREAK_SURVIVES && q > fdr) {
      // One break among many series that were tested may be luck.
      diagnosis.set_verdict(v1::Diagnosis::INSUFFICIENT);
      diagnosis.clear_strength();
      v1::Reason reason;
      reason.set_code("LOOK_ELSEWHERE");
      reason.set_text(fmt::format(
          "the law breaks, but among {} series that were tested one such break is no surprise: q = "
          "{:.2g}, above the false discovery rate {}",
          tested.size(), q, fdr));
      v1::NamedValue* value = reason.add_values();
      value->set_name("q_value");
      value->set_value(q);
      v1::Diagnosis copy = diagnosis;
      diagnosis.clear_reasons();
      *diagnosis.add_reasons() = std::move(reason);
      diagnosis.mutable_reasons()->MergeFrom(copy.reasons());
    }
  }
  return absl::OkStatus();
}

}  // namespace mirage::server
