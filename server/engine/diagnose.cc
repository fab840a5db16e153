#include "server/engine/diagnose.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>
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
#include "base/scale_text.h"
#include "metrics/emergence/emergence_score.h"
#include "metrics/emergence/forecast.h"
#include "metrics/emergence/gain_groups.h"
#include "metrics/emergence/law_quantity.h"
#include "metrics/emergence/pooled_verdict.h"
#include "metrics/emergence/verdict.h"
#include "metrics/scaling/fit.h"
#include "metrics/scaling/laws.h"
#include "metrics/scaling/series.h"
#include "metrics/stats/interval_choice.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/multiplicity.h"
#include "server/engine/axis.h"
#include "server/engine/batch_view.h"
#include "server/engine/field_rows.h"
#include "server/engine/metric_properties.h"
#include "server/engine/sample_steps.h"
#include "server/engine/series_check.h"

namespace mirage::server {
namespace {

using metrics::Composition;
using metrics::CurveMetric;
using metrics::Verdict;
using metrics::VerdictModel;

constexpr double kDefaultFdr = 0.05;
constexpr double kDefaultLevel = 0.95;
// Replicates of the tests beside a verdict.
constexpr int kReplicates = 999;
// Items to see one success with 95 %: 3 / p.
constexpr double kItemsToSee = 3;
// A counterpart that fewer of the models have than this share of what another covers comes after.
constexpr double kMinCovered = 0.8;
// Scatter between models where no law tells it.
constexpr double kAssumedScatter = 0.05;
// The largest count that a message holds.
constexpr double kMaxCount = 4294967295.0;

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

absl::Status CheckStrata(const v1::DiagnoseOptions& options) {
  if (options.strata_size() > kMaxFields) {
    return absl::InvalidArgumentError(
        fmt::format("options.strata has {} fields: at most {}", options.strata_size(), kMaxFields));
  }
  std::set<std::string_view> seen;
  for (int i = 0; i < options.strata_size(); ++i) {
    const std::string& field = options.strata(i);
    const std::string_view wrong = field.empty()                     ? "is empty"
                                   : field.size() > kMaxStratumBytes ? "is longer than 100 bytes"
                                   : field.find('=') != std::string::npos ? "has a '='"
                                   : field == metrics::kGainField         ? "is Mirage's own"
                                   : !seen.insert(field).second           ? "repeats one before it"
                                                                          : "";
    if (wrong.empty()) continue;
    return absl::InvalidArgumentError(fmt::format(
        "options.strata[{}] {}: must be the name of a field of the documents, each once", i,
        wrong));
  }
  return absl::OkStatus();
}

// Verdict, strength and reasons.
void WriteJudgement(const metrics::VerdictResult& judged, v1::Diagnosis* out) {
  out->set_verdict(ToProto(judged.verdict));
  if (judged.strength) out->set_strength(ToProto(*judged.strength));
  for (const metrics::VerdictReason& reason : judged.reasons) {
    v1::Reason* to = out->add_reasons();
    to->set_code(std::string(reason.code));
    to->set_text(reason.text);
    for (const auto& [key, value] : reason.values) {
      v1::NamedValue* named = to->add_values();
      named->set_name(std::string(key));
      named->set_value(value);
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<SeriesDiagnosis>> SeriesDiagnosis::Create(
    const v1::DiagnoseOptions& options) {
  if (absl::Status status = CheckAxis(options.x_axis()); !status.ok()) return status;
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
  for (int i = 0; i < options.predict_at_size(); ++i) {
    if (!(options.predict_at(i) > 0 && std::isfinite(options.predict_at(i)))) {
      return absl::InvalidArgumentError(fmt::format(
          "options.predict_at[{}] is {}: must be finite and > 0", i, options.predict_at(i)));
    }
  }
  for (int i = 0; i < options.reach_size(); ++i) {
    if (!std::isfinite(options.reach(i))) {
      return absl::InvalidArgumentError(
          fmt::format("options.reach[{}] is {}: must be finite", i, options.reach(i)));
    }
  }
  for (int i = 0; i < options.companions_size(); ++i) {
    const v1::Companion& companion = options.companions(i);
    if (companion.task().empty() || companion.companion().empty()) {
      return absl::InvalidArgumentError(
          fmt::format("options.companions[{}] needs both tasks: {}", i,
                      companion.task().empty() ? "task is empty" : "companion is empty"));
    }
    if (companion.task() == companion.companion()) {
      return absl::InvalidArgumentError(fmt::format(
          "options.companions[{}]: '{}' cannot be its own companion", i, companion.task()));
    }
  }
  if (absl::Status status = CheckStrata(options); !status.ok()) return status;
  auto made = std::unique_ptr<SeriesDiagnosis>(new SeriesDiagnosis(options));
  absl::StatusOr<KnownMetrics> known = KnownMetrics::Create(options.metric_properties());
  if (!known.ok()) return known.status();
  made->known_ = *std::move(known);
  return made;
}

const KnownMetric* SeriesDiagnosis::PropertiesOf(const Entry& entry) {
  return known_.Find(entry.series.metric(), entry.evidence);
}

SeriesDiagnosis::Key SeriesDiagnosis::KeyOf(const v1::Series& series) {
  return Key(series.family().empty() ? "default" : series.family(), series.task(),
             series.filter().empty() ? "none" : series.filter(),
             series.has_target_length() ? series.target_length() : -1,
             series.has_shots() ? series.shots() : -1,
             series.has_temperature() ? series.temperature() : -1);
}

SeriesDiagnosis::Identity SeriesDiagnosis::IdentityOf(const v1::SeriesPoint& point) {
  return {point.model(), point.scale(), point.seed(), point.has_tokens() ? point.tokens() : -1};
}

absl::Status SeriesDiagnosis::Add(const v1::Series& series) { return Add(series, std::nullopt); }

absl::Status SeriesDiagnosis::Add(const v1::Series& series,
                                  std::optional<metrics::Evidence> evidence) {
  const std::string path = fmt::format("series[{}]", n_parts_++);
  if (absl::Status status = CheckSeries(series, path); !status.ok()) return status;
  n_points_ += static_cast<size_t>(series.points_size());
  if (n_points_ > kMaxDiagnosedPoints) {
    return absl::ResourceExhaustedError(
        fmt::format("more than {} points: diagnose families or tasks apart", kMaxDiagnosedPoints));
  }
  Metrics& metrics = series_[KeyOf(series)];
  const auto [at, is_new] = metrics.try_emplace(series.metric(), Entry{series, evidence});
  if (is_new) {
    if (series_.size() > kMaxDiagnosedSeries) {
      return absl::ResourceExhaustedError(fmt::format(
          "more than {} series: diagnose families or tasks apart", kMaxDiagnosedSeries));
    }
    return absl::OkStatus();
  }
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
  return absl::OkStatus();
}

absl::Status SeriesDiagnosis::AddRun(std::shared_ptr<const ScoredRun> run, const v1::Scale& scale) {
  if (runs_.size() >= kMaxDiagnosedRuns) {
    return absl::ResourceExhaustedError(
        fmt::format("more than {} runs: diagnose families apart", kMaxDiagnosedRuns));
  }
  const absl::StatusOr<std::optional<double>> at =
      RunScale(options_.x_axis(), scale, fmt::format("runs[{}]", runs_.size()));
  if (!at.ok()) return at.status();
  if (!at->has_value()) {
    warnings_.push_back(WithoutPlace(*run, scale, options_.x_axis()));
    return absl::OkStatus();
  }
  RunPoints points = PointsOf(*run, scale, options_.companions());
  runs_.push_back(std::move(run));
  std::move(points.warnings.begin(), points.warnings.end(), std::back_inserter(warnings_));
  for (TaskPoints& task : points.tasks) {
    for (RunPoint& point : task.points) {
      point.series.mutable_points(0)->set_scale(**at);
      if (absl::Status status = Add(point.series, point.evidence); !status.ok()) return status;
    }
    const v1::Series& any = task.points.front().series;
    samples_[KeyOf(any)].try_emplace(
        IdentityOf(any.points(0)),
        Samples{{task.task, task.companion, task.match.get()}, std::move(task.match)});
  }
  return absl::OkStatus();
}

absl::Status SeriesDiagnosis::Start() {
  const std::set<std::string> wanted(options_.metrics().begin(), options_.metrics().end());
  std::set<std::string> unknown;
  std::set<std::string> seen;
  for (const auto& [key, metrics] : series_) {
    for (const auto& [name, entry] : metrics) {
      const KnownMetric* properties = PropertiesOf(entry);
      if (properties == nullptr) {
        unknown.insert(name);
        continue;
      }
      if (!properties->metric.sharp) continue;
      seen.insert(name);
      if (!wanted.empty() && wanted.count(name) == 0) continue;
      jobs_.push_back({key, &metrics, &entry});
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

std::vector<const SeriesDiagnosis::Entry*> SeriesDiagnosis::CounterpartsOf(const Job& job) {
  const KnownMetric& sharp = *PropertiesOf(*job.sharp);
  std::set<Identity> models;
  for (const v1::SeriesPoint& point : job.sharp->series.points()) models.insert(IdentityOf(point));
  std::vector<std::tuple<size_t, bool, int, std::string, const Entry*>> ranked;
  size_t most = 0;
  std::map<const Entry*, size_t> covered;
  for (const auto& [name, entry] : *job.metrics) {
    const KnownMetric* properties = PropertiesOf(entry);
    if (properties == nullptr || !properties->metric.continuous) continue;
    std::set<Identity> both;
    for (const v1::SeriesPoint& point : entry.series.points()) {
      if (models.count(IdentityOf(point)) > 0) both.insert(IdentityOf(point));
    }
    covered[&entry] = both.size();
    most = std::max(most, both.size());
  }
  for (const auto& [name, entry] : *job.metrics) {
    const auto has = covered.find(&entry);
    if (has == covered.end()) continue;
    const KnownMetric* properties = PropertiesOf(entry);
    const CurveMetric& metric = properties->metric;
    const auto named = std::find(sharp.counterparts.begin(), sharp.counterparts.end(), name);
    int rank = 5;
    if (!metric.uses_wrong_choices) {
      rank = !metric.linear_in_token_error      ? 4
             : !IsLikelihood(properties->unit)  ? 3
             : properties->unit == "nats/token" ? 0
             : IsPerUnit(properties->unit)      ? 2
                                                : 1;
    } else if (std::isfinite(metric.lower_bound) && std::isfinite(metric.upper_bound)) {
      rank = 6;
    }
    const bool is_rare = static_cast<double>(has->second) < kMinCovered * static_cast<double>(most);
    ranked.emplace_back(static_cast<size_t>(named - sharp.counterparts.begin()), is_rare, rank,
                        name, &entry);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<const Entry*> counterparts;
  counterparts.reserve(ranked.size());
  for (const auto& one : ranked) counterparts.push_back(std::get<const Entry*>(one));
  return counterparts;
}

double SeriesDiagnosis::AxisOf(const v1::SeriesPoint& point) const {
  return PlaceOn(options_.x_axis(), point);
}

// Makes one diagnosis: gathers the series, asks for the verdict, writes it down.
class SeriesDiagnosis::One {
 public:
  One(SeriesDiagnosis& whole, const Job& job)
      : whole_(whole),
        job_(job),
        sharp_(job.sharp->series),
        properties_(*whole.PropertiesOf(*job.sharp)),
        by_loss_(whole.options_.x_axis() == "loss"),
        level_(whole.options_.level() == 0 ? kDefaultLevel : whole.options_.level()) {}

  absl::Status Run() {
    NameIt();
    TakeCounterparts();
    TakePoints();
    if (whole_.samples_.count(job_.key) > 0) TakeSamples();
    metrics::VerdictOptions options;
    options.hold_out =
        whole_.options_.has_hold_out() ? static_cast<int>(whole_.options_.hold_out()) : 1;
    options.seed = whole_.options_.seed();
    options.replicates = kReplicates;
    absl::StatusOr<metrics::VerdictResult> judged = metrics::Judge(series_, options);
    if (!judged.ok()) {
      return absl::InvalidArgumentError(
          fmt::format("{}: {}", name_, std::string(judged.status().message())));
    }
    judged_ = *std::move(judged);
    WriteVerdict();
    WriteScales();
    WriteScores();
    WriteBreaks();
    WriteFits();
    WriteForecasts();
    Judged judged_series{std::move(series_), {}, {}};
    judged_series.scales.resize(judged_series.series.models.size());
    for (size_t i = 0; i < judged_.scales.size(); ++i) {
      judged_series.scales[judged_.scales[i].model] = out_.scales(static_cast<int>(i));
    }
    judged_series.result = std::move(judged_);
    whole_.judged_.push_back(std::move(judged_series));
    whole_.p_values_.push_back(p_value_);
    whole_.diagnoses_.push_back(std::move(out_));
    return absl::OkStatus();
  }

 private:
  void NameIt() {
    out_.set_family(sharp_.family().empty() ? "default" : sharp_.family());
    out_.set_task(sharp_.task());
    out_.set_filter(sharp_.filter().empty() ? "none" : sharp_.filter());
    out_.set_metric(sharp_.metric());
    if (sharp_.has_target_length()) out_.set_target_length(sharp_.target_length());
    if (sharp_.has_shots()) out_.set_shots(sharp_.shots());
    if (sharp_.has_temperature()) out_.set_temperature(sharp_.temperature());
    out_.set_x_axis(whole_.options_.x_axis().empty() ? "parameters" : whole_.options_.x_axis());
    name_ = fmt::format("{} / {} / {}", out_.family(), sharp_.task(), sharp_.metric());

    series_.metric = properties_.metric;
    series_.scale_text = [by_loss = by_loss_, axis = out_.x_axis()](double scale) {
      return ScaleText(by_loss ? 1 / scale : scale, axis);
    };
    if (sharp_.has_chance()) series_.metric.chance = sharp_.chance();
    if (sharp_.has_target_length()) series_.target_length = sharp_.target_length();
    series_.composition = properties_.composition.value_or(
        properties_.metric.uses_wrong_choices ? Composition::kArgmax : Composition::kAllTokens);
    // Whoever did not say decoded greedily: every harness's default.
    series_.is_greedy = !(sharp_.has_temperature() && sharp_.temperature() > 0);
  }

  void TakeCounterparts() {
    counterparts_ = whole_.CounterpartsOf(job_);
    if (counterparts_.empty()) return;
    counterpart_ = whole_.PropertiesOf(*counterparts_.front());
    series_.counterpart = counterpart_->metric;
    series_.counterpart_name = counterparts_.front()->series.metric();
    series_.counterpart_per_unit =
        IsPerUnit(counterpart_->unit) ||
        (counterpart_->metric.higher_is_better && std::isfinite(counterpart_->metric.lower_bound) &&
         counterpart_->metric.linear_in_token_error);
    // Lengths are in tokens: what is per byte or character composes to nothing without theirs.
    if (IsPerUnit(counterpart_->unit) && counterpart_->unit != "nats/token") {
      series_.composition = Composition::kNone;
    }
    out_.set_counterpart(series_.counterpart_name);
    for (size_t i = 1; i < counterparts_.size(); ++i) {
      out_.add_other_counterparts(counterparts_[i]->series.metric());
    }
  }

  void TakePoints() {
    std::map<Identity, const v1::SeriesPoint*> others;
    if (!counterparts_.empty()) {
      for (const v1::SeriesPoint& point : counterparts_.front()->series.points()) {
        others[IdentityOf(point)] = &point;
      }
    }
    std::set<Identity> known;
    size_t without_axis = 0;
    size_t repeated = 0;
    size_t without_partner = 0;
    for (const v1::SeriesPoint& point : sharp_.points()) {
      const double at = whole_.AxisOf(point);
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
      model.scale = by_loss_ ? 1 / at : at;
      model.value = point.value();
      if (point.has_stderr()) model.standard_error = point.stderr();
      if (point.has_n()) {
        model.n = point.n();
      } else if (properties_.metric.proportion && point.has_stderr()) {
        if (const auto n = metrics::InferSampleSize(point.value(), point.stderr())) {
          model.n = static_cast<double>(*n);
        }
      }
      const auto partner = others.find(IdentityOf(point));
      if (partner != others.end()) {
        model.counterpart = partner->second->value();
        if (partner->second->has_stderr()) model.counterpart_error = partner->second->stderr();
        if (partner->second->has_n()) model.counterpart_n = partner->second->n();
      } else {
        ++without_partner;
      }
      series_.models.push_back(std::move(model));
      points_.push_back(&point);
    }
    if (without_axis > 0) {
      Warn("{}: {} of {} models have no {} and were left out", name_, without_axis,
           sharp_.points_size(), whole_.options_.x_axis());
    }
    if (repeated > 0) {
      Warn("{}: {} points repeat a model, scale, seed and tokens; the first of each counts", name_,
           repeated);
    }
    if (!counterparts_.empty() && without_partner > 0) {
      Warn("{}: {} of {} models have no {}: models are matched by name, scale, seed and tokens",
           name_, without_partner, points_.size(), series_.counterpart_name);
    }
    for (size_t i = 1; i < counterparts_.size(); ++i) TakeOther(*counterparts_[i]);
  }

  // What is only asked whether it agrees with the primary counterpart. Functions of the same
  // log-likelihoods are not asked: they know nothing more.
  void TakeOther(const Entry& entry) {
    const KnownMetric& properties = *whole_.PropertiesOf(entry);
    const bool is_same_evidence = entry.evidence && counterparts_.front()->evidence &&
                                  *entry.evidence == *counterparts_.front()->evidence;
    if (!properties.metric.uses_wrong_choices &&
        (IsLikelihood(properties.unit) || is_same_evidence)) {
      return;
    }
    metrics::VerdictOther other;
    other.name = entry.series.metric();
    other.metric = properties.metric;
    std::map<Identity, const v1::SeriesPoint*> by_model;
    for (const v1::SeriesPoint& point : entry.series.points()) {
      by_model.try_emplace(IdentityOf(point), &point);
    }
    for (const v1::SeriesPoint* point : points_) {
      const auto found = by_model.find(IdentityOf(*point));
      std::optional<double> value;
      std::optional<double> error;
      if (found != by_model.end()) {
        value = found->second->value();
        if (found->second->has_stderr()) error = found->second->stderr();
      }
      other.values.push_back(value);
      other.standard_errors.push_back(error);
    }
    series_.others.push_back(std::move(other));
  }

  void TakeSamples() {
    const std::map<Identity, Samples>& all = whole_.samples_.at(job_.key);
    std::vector<ModelSamples> samples;
    std::set<std::string> companions;
    double matched = 1;
    for (size_t i = 0; i < points_.size(); ++i) {
      const auto found = all.find(IdentityOf(*points_[i]));
      ModelSamples& of = samples.emplace_back();
      if (found == all.end()) continue;
      of = found->second.of;
      if (of.companion != nullptr) {
        companions.insert(of.companion->about().task());
        matched = std::min(matched, of.match->share);
      }
      if (series_.composition != Composition::kNone) {
        series_.models[i].items = ItemsOf(of, sharp_.metric());
      }
    }
    if (companions.size() == 1) {
      out_.set_companion_task(*companions.begin());
      out_.set_companion_matched(matched);
    } else if (companions.size() > 1) {
      Warn("{}: its models have different companions ({}): name one (--companion)", name_,
           fmt::join(companions, ", "));
    }
    WriteSteps(samples);
    TakeStrata(samples);
    // Choices are not made token by token.
    if (properties_.metric.uses_wrong_choices) return;
    std::vector<metrics::VerdictPart> positions = PositionsOf(samples);
    series_.parts.insert(series_.parts.begin(), std::make_move_iterator(positions.begin()),
                         std::make_move_iterator(positions.end()));
    if (!series_.target_length) series_.target_length = MeanTargetUnits(samples);
  }

  std::vector<double> LogScales() const {
    std::vector<double> x;
    x.reserve(series_.models.size());
    for (const VerdictModel& model : series_.models) x.push_back(std::log(model.scale));
    return x;
  }

  void TakeStrata(const std::vector<ModelSamples>& samples) {
    // Declared ones first: of two with the same samples the first is named.
    if (!whole_.options_.strata().empty()) {
      const std::vector<std::string> fields(whole_.options_.strata().begin(),
                                            whole_.options_.strata().end());
      Strata strata = StrataOf(samples, fields);
      for (const std::string& warning : strata.warnings) Warn("{}: {}", name_, warning);
      series_.parts = std::move(strata.parts);
    }
    std::vector<metrics::VerdictPart> groups = GainGroupsOf(samples, LogScales());
    std::move(groups.begin(), groups.end(), std::back_inserter(series_.parts));
  }

  void WriteSteps(const std::vector<ModelSamples>& samples) {
    const std::vector<double> x = LogScales();
    for (const SampleStep& step :
         StepsOf(samples, x, sharp_.metric(), properties_.metric.higher_is_better)) {
      v1::SampleCorrelation* const out = out_.add_sample_correlations();
      out->set_metric(step.metric);
      out->set_n(static_cast<uint32_t>(step.correlations.n));
      out->set_n_constant(static_cast<uint32_t>(step.correlations.n_constant));
      if (!step.correlations.quartiles) continue;
      out->set_lower_quartile(step.correlations.quartiles->lower);
      out->set_median(step.correlations.quartiles->median);
      out->set_upper_quartile(step.correlations.quartiles->upper);
      out->set_share_negative(*step.correlations.share_negative);
    }
  }

  template <typename... Args>
  void Warn(fmt::format_string<Args...> format, Args&&... args) {
    whole_.warnings_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

  void WriteVerdict() {
    WriteJudgement(judged_, &out_);
    out_.set_n_scales(static_cast<uint32_t>(series_.models.size()));
  }

  void WriteScales() {
    for (const metrics::VerdictScale& at : judged_.scales) {
      const v1::SeriesPoint& point = *points_[at.model];
      const VerdictModel& model = series_.models[at.model];
      v1::DiagnosedScale* out = out_.add_scales();
      out->set_model(point.model());
      out->set_scale(whole_.AxisOf(point));
      if (model.n) out->set_n(static_cast<uint32_t>(std::min(*model.n, kMaxCount)));
      out->set_value(point.value());
      WriteInterval(model, point.value(), out);
      WriteCounterpart(model, out);
      const auto& predicted = at.held_out && at.forecast ? at.forecast : at.predicted;
      if (predicted) WritePrediction(model, *predicted, out);
      out->set_held_out(at.held_out);
    }
  }

  void WriteInterval(const VerdictModel& model, double value, v1::DiagnosedScale* out) const {
    if (model.n && properties_.metric.proportion && value >= 0 && value <= 1) {
      const auto k = static_cast<uint64_t>(std::llround(value * *model.n));
      const auto interval = metrics::ShareInterval(k, static_cast<uint64_t>(*model.n), level_);
      if (interval.ok()) SetInterval(*interval, out->mutable_interval());
    } else if (model.standard_error && *model.standard_error > 0) {
      const auto interval = metrics::Normal(value, *model.standard_error, level_);
      if (interval.ok()) SetInterval(*interval, out->mutable_interval());
    }
  }

  void WriteCounterpart(const VerdictModel& model, v1::DiagnosedScale* out) const {
    if (!model.counterpart) return;
    out->set_counterpart_value(*model.counterpart);
    if (model.counterpart_error && *model.counterpart_error > 0) {
      auto interval = metrics::Normal(*model.counterpart, *model.counterpart_error, level_);
      if (!interval.ok()) return;
      // It reaches no further than the metric can.
      interval->lower = std::max(interval->lower, counterpart_->metric.lower_bound);
      interval->upper = std::min(interval->upper, counterpart_->metric.upper_bound);
      SetInterval(*interval, out->mutable_counterpart_interval());
    }
  }

  void WritePrediction(const VerdictModel& model, const metrics::PredictedShare& predicted,
                       v1::DiagnosedScale* out) {
    out->set_predicted(predicted.value);
    SetPredicted(predicted, out->mutable_predicted_interval());
    if (!model.n || !(predicted.value > 0 && predicted.value * *model.n < kItemsToSee)) return;
    v1::SamplesNeeded* needed = out_.add_samples_needed();
    needed->set_model(out->model());
    needed->set_n(
        static_cast<uint32_t>(std::min(std::ceil(kItemsToSee / predicted.value), kMaxCount)));
    needed->set_to_resolve(predicted.value);
  }

  // Of the first model of each size, better being up.
  void WriteScores() {
    std::vector<metrics::CurvePoint> curve;
    std::vector<double> counterpart_curve;
    for (const metrics::VerdictScale& at : judged_.scales) {
      const VerdictModel& model = series_.models[at.model];
      if (model.counterpart) {
        counterpart_curve.push_back(counterpart_->metric.higher_is_better ? *model.counterpart
                                                                          : -*model.counterpart);
      }
      if (!curve.empty() && !(model.scale > curve.back().scale)) continue;
      metrics::CurvePoint to_score;
      to_score.scale = model.scale;
      to_score.value = properties_.metric.higher_is_better ? *model.value : -*model.value;
      if (model.n && properties_.metric.proportion && properties_.metric.higher_is_better) {
        to_score.binomial_n = static_cast<uint64_t>(*model.n);
      } else {
        to_score.standard_error = model.standard_error;
      }
      curve.push_back(to_score);
    }
    if (const auto score = metrics::ScoreEmergence(curve); score.ok()) {
      if (score->score) out_.set_emergence_score(*score->score);
      out_.set_zero_median(score->zero_median);
      metrics::EmergenceOptions null;
      null.seed = whole_.options_.seed();
      null.replicates = kReplicates;
      null.scatter.tau = judged_.law ? judged_.law->tau : kAssumedScatter;
      if (const auto tested = metrics::TestEmergenceScore(curve, null); tested.ok()) {
        out_.set_emergence_score_null_p(tested->p_value);
      }
    }
    const auto other_score = metrics::ScoreEmergence(counterpart_curve);
    if (other_score.ok() && other_score->score) {
      out_.set_counterpart_emergence_score(*other_score->score);
    }
  }

  void WriteBreaks() {
    if (judged_.law && judged_.law->is_testable) p_value_ = judged_.law->p_value;
    for (const metrics::VerdictBreak& found : judged_.breaks) {
      v1::Break* out = out_.add_breaks();
      out->set_where(v1::Break::MEAN);
      out->set_scale(by_loss_ ? 1 / found.scale : found.scale);
      out->set_p_value(found.p_value);
      out->set_q_value(found.q_value);
      out->set_share_of_fall(found.share_of_fall);
      if (!found.part) continue;
      const metrics::VerdictPart& part = series_.parts[*found.part];
      if (part.position) {
        out->set_where(v1::Break::POSITION);
        out->set_position(static_cast<uint32_t>(*part.position));
        out->set_from_end(part.from_end);
      } else {
        out->set_where(v1::Break::STRATUM);
        out->set_stratum(part.stratum);
      }
    }
    // The series' own test is the smallest of its breaks, corrected over its parts.
    for (const metrics::VerdictBreak& found : judged_.breaks) {
      p_value_ = std::min(p_value_, found.part ? found.q_value : found.p_value);
    }
  }

  // For description: plain laws of the counterpart, on the scale on which they are laws.
  void WriteFits() {
    if (judged_.law_points.size() < 3) return;
    metrics::Curve curve;
    bool has_variances = true;
    for (const metrics::LawPoint& point : judged_.law_points) {
      curve.x.push_back(std::exp(point.x));
      curve.y.push_back(std::exp(point.y));
      has_variances = has_variances && point.variance > 0;
      curve.sampling_variances.push_back(point.variance * std::exp(2 * point.y));
    }
    if (!has_variances) curve.sampling_variances.clear();
    for (const metrics::Law law : {metrics::Law::kPowerLaw, metrics::Law::kPowerLawFloor}) {
      const auto fit = metrics::FitLaw(law, curve, {});
      if (!fit.ok()) continue;
      v1::Fit* out = out_.add_fits();
      out->set_law(std::string(metrics::LawName(law)));
      out->set_on(out_.counterpart());
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

  // Of the sharp metric, from its own values: no verdict is needed for it.
  void WriteForecasts() {
    const v1::DiagnoseOptions& options = whole_.options_;
    if (options.predict_at_size() + options.reach_size() == 0) return;
    std::vector<metrics::ForecastModel> models;
    for (const VerdictModel& model : series_.models) {
      models.push_back({model.scale, *model.value, model.n, model.standard_error});
    }
    const auto forecast = metrics::SharpForecast::Create(models, series_.metric, {level_});
    if (!forecast.ok()) {
      Warn("{}: no forecast: {}", name_, std::string(forecast.status().message()));
      return;
    }
    for (const double at : options.predict_at()) {
      const auto value = forecast->At(by_loss_ ? 1 / at : at, std::nullopt);
      if (!value.ok()) {
        Warn("{}: no forecast at {:g}: {}", name_, at,
             by_loss_ ? "it must be below every model's loss"
                      : std::string(value.status().message()));
        continue;
      }
      v1::Forecast* out = out_.add_forecast();
      out->set_scale(at);
      out->set_value(value->value);
      SetForecast(value->lower, value->upper, out->mutable_interval());
    }
    for (const double value : options.reach()) {
      const auto scale = forecast->Reach(value);
      if (!scale.ok()) {
        Warn("{}: no scale that reaches {:g}: {}", name_, value,
             std::string(scale.status().message()));
        continue;
      }
      const double never = std::numeric_limits<double>::infinity();
      v1::Forecast* out = out_.add_forecast();
      // On the axis of loss the largest model is at its lower end.
      const auto at = [&](std::optional<double> found) {
        return by_loss_ ? 1 / found.value_or(never) : found.value_or(never);
      };
      out->set_scale(at(scale->scale));
      out->set_value(value);
      SetForecast(by_loss_ ? at(scale->upper) : at(scale->lower),
                  by_loss_ ? at(scale->lower) : at(scale->upper), out->mutable_scale_interval());
    }
  }

  void SetForecast(double lower, double upper, v1::Interval* out) const {
    out->set_lower(lower);
    out->set_upper(upper);
    out->set_level(level_);
    out->set_method("forecast");
    out->set_signature(fmt::format("interval=forecast|level={}|chosen=auto|v1", level_));
  }

  SeriesDiagnosis& whole_;
  const Job& job_;
  const v1::Series& sharp_;
  const KnownMetric& properties_;
  const bool by_loss_;
  const double level_;
  // Family, task and metric, for warnings.
  std::string name_;
  std::vector<const Entry*> counterparts_;
  // Of the primary one; null where there is none.
  const KnownMetric* counterpart_ = nullptr;
  metrics::VerdictSeries series_;
  // In the order of the series' models.
  std::vector<const v1::SeriesPoint*> points_;
  metrics::VerdictResult judged_;
  // Of the break tests; above 1 where none was made.
  double p_value_ = 2;
  v1::Diagnosis out_;
};

absl::Status SeriesDiagnosis::Step() { return One(*this, jobs_[diagnoses_.size()]).Run(); }

absl::Status SeriesDiagnosis::Finish() {
  if (absl::Status status = CorrectForAll(); !status.ok()) return status;
  Pool();
  return absl::OkStatus();
}

absl::Status SeriesDiagnosis::CorrectForAll() {
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
    for (v1::Break& found : *diagnosis.mutable_breaks()) {
      found.set_q_value(std::max(found.q_value(), q));
    }
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

void SeriesDiagnosis::Pool() {
  // Of everything but length and shots; series stand in the order of their keys.
  using Shared = std::tuple<std::string, std::string, std::string, double, std::string>;
  std::map<Shared, std::vector<size_t>> groups;
  for (size_t i = 0; i < diagnoses_.size(); ++i) {
    const v1::Diagnosis& one = diagnoses_[i];
    groups[Shared(one.family(), one.task(), one.filter(),
                  one.has_temperature() ? one.temperature() : -1, one.metric())]
        .push_back(i);
  }
  std::map<size_t, v1::Diagnosis> after;
  for (const auto& [shared, which] : groups) {
    if (which.size() < 2) continue;
    if (auto pooled = PoolOf(which)) after.emplace(which.back(), *std::move(pooled));
  }
  if (after.empty()) return;
  std::vector<v1::Diagnosis> all;
  for (size_t i = 0; i < diagnoses_.size(); ++i) {
    all.push_back(std::move(diagnoses_[i]));
    if (const auto pooled = after.find(i); pooled != after.end()) {
      all.push_back(std::move(pooled->second));
    }
  }
  diagnoses_ = std::move(all);
}

std::optional<v1::Diagnosis> SeriesDiagnosis::PoolOf(std::span<const size_t> which) const {
  std::vector<metrics::VerdictSeries> series;
  v1::Diagnosis out;
  const v1::Diagnosis& first = diagnoses_[which.front()];
  bool has_counterparts = true;
  for (const size_t i : which) {
    const v1::Diagnosis& one = diagnoses_[i];
    // Different counterparts have no law in common.
    if (one.counterpart() != first.counterpart()) return std::nullopt;
    series.push_back(judged_[i].series);
    has_counterparts = has_counterparts && one.has_counterpart() && one.has_target_length();
    std::vector<std::string> names;
    if (one.has_target_length())
      names.push_back(fmt::format("target_length={}", one.target_length()));
    if (one.has_shots()) names.push_back(fmt::format("shots={}", one.shots()));
    out.add_pooled_over(fmt::format("{}", fmt::join(names, ",")));
  }
  metrics::VerdictOptions options;
  options.seed = options_.seed();
  options.replicates = kReplicates;
  const auto pooled = metrics::JudgePooled(series, options);
  // What no law could be fitted to has no pooled diagnosis, unless the series are there to be
  // pooled.
  if (!pooled.ok() && !(has_counterparts && absl::IsFailedPrecondition(pooled.status()))) {
    return std::nullopt;
  }
  out.set_family(first.family());
  out.set_task(first.task());
  out.set_filter(first.filter());
  out.set_metric(first.metric());
  if (first.has_temperature()) out.set_temperature(first.temperature());
  out.set_x_axis(first.x_axis());
  out.set_counterpart(first.counterpart());
  if (!pooled.ok()) {
    out.set_verdict(v1::Diagnosis::INSUFFICIENT);
    v1::Reason* const reason = out.add_reasons();
    reason->set_code("NOT_POOLED");
    reason->set_text(std::string(pooled.status().message()));
    return out;
  }
  WriteJudgement(pooled->result, &out);
  // Means over the series, by model.
  struct Sum {
    double value = 0;
    double counterpart = 0;
    double predicted = 0;
    double n = 0;
    v1::DiagnosedScale any;
  };
  std::map<std::pair<double, std::string>, Sum> sums;
  for (const metrics::PooledNumber& number : pooled->numbers) {
    const Judged& judged = judged_[which[number.series]];
    const v1::DiagnosedScale& scale = judged.scales[number.model];
    Sum& sum = sums[{judged.series.models[number.model].scale, scale.model()}];
    sum.value += scale.value();
    sum.counterpart += scale.counterpart_value();
    sum.predicted += number.composed.value;
    sum.n += 1;
    sum.any = scale;
  }
  for (const auto& [key, sum] : sums) {
    v1::DiagnosedScale* scale = out.add_scales();
    scale->set_model(sum.any.model());
    scale->set_scale(sum.any.scale());
    scale->set_value(sum.value / sum.n);
    scale->set_counterpart_value(sum.counterpart / sum.n);
    scale->set_predicted(sum.predicted / sum.n);
  }
  out.set_n_scales(static_cast<uint32_t>(sums.size()));
  return out;
}

}  // namespace mirage::server
