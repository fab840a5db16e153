#include "server/engine/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>
#include <optional>
#include <utility>
#include <vector>

#include "metrics/emergence/distortion.h"
#include "metrics/emergence/risk.h"
#include "metrics/registry/registry.h"
#include "metrics/stats/bootstrap.h"
#include "metrics/stats/interval_choice.h"
#include "metrics/stats/intervals.h"

namespace mirage::server {
namespace {

using metrics::Aggregation;
using metrics::ConfidenceInterval;
using metrics::Evidence;
using metrics::IntervalMethod;
using metrics::MetricInfo;
using Scored = v1::ScoreColumn::Aggregation;

// A recomputed number equals the harness's when they differ by no more than this,
// relative to the larger of it and 1.
constexpr double kSameValue = 1e-12;
// Share of a task's rows from which on log-probabilities of some rows speak for all of it.
constexpr double kMostlyCovered = 0.95;
// Replicates behind the interval of a calibration error.
constexpr int kCalibrationReplicates = 1000;

// A number with its error and interval.
struct Estimate {
  std::optional<double> value;
  std::optional<double> stderr_;
  std::optional<ConfidenceInterval> interval;
  uint64_t n = 0;
  uint64_t n_infinite = 0;
};

// Without the rows that have none.
std::vector<double> Known(const std::vector<double>& column) {
  std::vector<double> known;
  known.reserve(column.size());
  std::copy_if(column.begin(), column.end(), std::back_inserter(known),
               [](double x) { return !std::isnan(x); });
  return known;
}

std::optional<ConfidenceInterval> Optional(absl::StatusOr<ConfidenceInterval> interval) {
  if (!interval.ok()) return std::nullopt;
  return *std::move(interval);
}

// The mean of a column. `share` says that the metric is a share of right answers, so
// that values of 0 and 1 are counts; a finer metric may be all zeros by chance.
Estimate FromMoments(const metrics::Moments& values, bool share, const SummaryOptions& options) {
  Estimate out{.value = values.mean(),
               .stderr_ = values.standard_error(),
               .n = values.count(),
               .n_infinite = values.n_infinite()};
  // A method for shares is not for other values.
  const IntervalMethod chosen =
      share && values.IsBinary() ? IntervalMethod::kAuto : IntervalMethod::kStudentT;
  const bool named = options.interval == IntervalMethod::kNormal ||
                     (chosen == IntervalMethod::kAuto && options.interval != chosen);
  out.interval =
      Optional(metrics::MeanInterval(values, options.level, named ? options.interval : chosen));
  if (named && !out.interval.has_value()) {
    out.interval = Optional(metrics::MeanInterval(values, options.level, chosen));
  }
  return out;
}

// exp(-mean) of a column of log-likelihoods.
Estimate FromLogMoments(const metrics::Moments& values, double level) {
  Estimate out{.n = values.count(), .n_infinite = values.n_infinite()};
  if (!values.mean().has_value()) return out;
  out.value = std::exp(-*values.mean());
  const auto error = values.standard_error();
  if (error.has_value() && *error > 0) {
    out.stderr_ = *out.value * *error;
    out.interval = Optional(metrics::LogStudentT(*values.mean(), *error, out.n, level,
                                                 metrics::LogTransform::kExpNegativeMean));
  }
  return out;
}

// A decreasing function of sum(x) / sum(w): exp(-r) or -r / ln 2.
template <typename Transform>
Estimate FromRatio(const metrics::RatioMoments& ratio, double level, const Transform& transform,
                   double (*slope)(double value)) {
  Estimate out{.n = ratio.count(), .n_infinite = ratio.n_infinite()};
  const auto r = ratio.ratio();
  if (!r.has_value()) return out;
  out.value = transform(*r);
  const auto error = ratio.standard_error();
  if (error.has_value() && *error > 0) {
    out.stderr_ = slope(*out.value) * *error;
    auto interval = Optional(metrics::Delta(*r, *error, out.n, level));
    if (interval.has_value()) {
      const double lower = transform(interval->upper);
      interval->upper = transform(interval->lower);
      interval->lower = lower;
      out.interval = interval;
    }
  }
  return out;
}

Estimate FromReported(const ReportedMetricColumn& column, const MetricInfo* info,
                      const SummaryOptions& options) {
  const double level = options.level;
  switch (column.aggregation) {
    case Scored::MEAN:
      return FromMoments(column.values, info == nullptr || info->sharp, options);
    case Scored::EXP_NEG_MEAN:
      return FromLogMoments(column.values, level);
    case Scored::EXP_NEG_RATIO:
      return FromRatio(
          column.ratio, level, [](double r) { return std::exp(-r); }, [](double v) { return v; });
    case Scored::BITS_RATIO:
      return FromRatio(
          column.ratio, level, [](double r) { return -r / std::numbers::ln2; },
          [](double) { return 1 / std::numbers::ln2; });
    default:
      return {};
  }
}

Estimate FromComputed(const ComputedMetric& metric, const SummaryOptions& options) {
  return metric.info->aggregation == Aggregation::kExpNegMean
             ? FromLogMoments(metric.values, options.level)
             : FromMoments(metric.values, metric.info->sharp, options);
}

// The calibration error, with a percentile interval: the counts of right and wrong
// in each bin are redrawn, the mean confidence in a bin is held.
Estimate FromCalibration(const metrics::CalibrationBins& bins, const SummaryOptions& options) {
  Estimate out{.n = bins.count()};
  if (out.n == 0) return out;
  out.value = bins.Error();
  const auto cells = bins.bins();
  std::vector<uint64_t> counts;
  for (const auto& cell : cells) {
    counts.push_back(cell.n_correct);
    counts.push_back(cell.n_wrong);
  }
  const auto n = static_cast<double>(out.n);
  const auto result = metrics::BootstrapOfCounts(
      counts,
      [&](std::span<const double> drawn) {
        double error = 0;
        for (size_t b = 0; b < cells.size(); ++b) {
          const double in_bin = drawn[2 * b] + drawn[2 * b + 1];
          if (in_bin > 0) error += std::abs(drawn[2 * b] - in_bin * cells[b].mean_confidence);
        }
        return error / n;
      },
      {.seed = options.seed, .replicates = kCalibrationReplicates, .level = options.level});
  if (result.ok()) {
    out.stderr_ = result->standard_error;
    out.interval = result->interval;
    // Noise only adds to a calibration error, to that of a resample once more: the interval
    // is pushed up, beyond the value itself where the model is well calibrated.
    out.interval->lower = std::min(out.interval->lower, *out.value);
  }
  return out;
}

// An interval reaches no further than the metric can: what is cut off could not be
// the value, so the coverage stays.
void Clip(const MetricInfo* info, Estimate& estimate) {
  if (info == nullptr || !estimate.interval.has_value()) return;
  ConfidenceInterval& interval = *estimate.interval;
  interval.lower = std::clamp(interval.lower, info->lower_bound, info->upper_bound);
  interval.upper = std::clamp(interval.upper, info->lower_bound, info->upper_bound);
}

void Fill(const Estimate& from, IntervalMethod asked, v1::MetricSummary* to) {
  if (from.value.has_value() && !std::isnan(*from.value)) to->set_value(*from.value);
  if (from.stderr_.has_value() && std::isfinite(*from.stderr_)) to->set_stderr(*from.stderr_);
  if (from.interval.has_value()) SetInterval(*from.interval, asked, to);
  to->set_n(static_cast<uint32_t>(from.n));
  to->set_n_infinite(static_cast<uint32_t>(from.n_infinite));
}

v1::MirageRisk ToProto(const metrics::Risk& risk) {
  v1::MirageRisk out;
  switch (risk.level) {
    case metrics::RiskLevel::kNone:
      out.set_level(v1::MirageRisk::NONE);
      break;
    case metrics::RiskLevel::kLow:
      out.set_level(v1::MirageRisk::LOW);
      break;
    case metrics::RiskLevel::kHigh:
      out.set_level(v1::MirageRisk::HIGH);
      break;
    case metrics::RiskLevel::kUnknown:
      out.set_level(v1::MirageRisk::UNKNOWN);
      break;
  }
  for (const metrics::RiskReason& reason : risk.reasons) {
    v1::Reason* to = out.add_reasons();
    to->set_code(std::string(reason.code));
    to->set_text(reason.text);
    for (const auto& [name, value] : reason.values) {
      v1::NamedValue* named = to->add_values();
      named->set_name(name);
      named->set_value(value);
    }
  }
  return out;
}

// Everything known while one task is summarised.
class TaskSummarizer {
 public:
  TaskSummarizer(const v1::RunTask& about, const std::string& filter, const TaskScorer* scorer,
                 const SummaryOptions& options)
      : about_(about), filter_(filter), scorer_(scorer), options_(options) {}

  v1::TaskSummary Run(std::span<const v1::RowIssues> issues) {
    out_.set_task(about_.task());
    out_.set_filter(filter_);
    out_.set_version(about_.version());
    if (about_.has_n_shot()) out_.set_n_shot(about_.n_shot());
    if (scorer_ != nullptr) {
      out_.set_n_samples(static_cast<uint32_t>(scorer_->n_samples()));
      out_.set_n_bad(static_cast<uint32_t>(scorer_->n_bad()));
      out_.set_n_gold_unverified(static_cast<uint32_t>(scorer_->n_gold_unverified()));
    }
    if (scorer_ != nullptr) withheld_ = scorer_->Withheld();
    for (const std::string& warning : about_.warnings()) out_.add_warnings(warning);
    AddIssues(issues);
    CheckRows();
    CollectReported();
    AddMetrics();
    // What the reader found missing comes first.
    *out_.mutable_unavailable() = [&] {
      auto all = about_.unavailable();
      all.MergeFrom(out_.unavailable());
      return all;
    }();
    AddUnavailable();
    SetHighestRisk();
    return std::move(out_);
  }

 private:
  // One reported metric, with what the registry and the rows know of it.
  struct Reported {
    v1::MetricSummary summary;
    const MetricInfo* info = nullptr;
    const ReportedMetricColumn* column = nullptr;
    const ComputedMetric* computed = nullptr;
    Estimate estimate;
    bool sharp = false;
  };

  void AddIssues(std::span<const v1::RowIssues> issues) {
    for (const v1::RowIssues& issue : issues) {
      out_.set_n_bad(out_.n_bad() + issue.n_unreadable());
      for (const std::string& message : issue.messages()) out_.add_warnings(message);
    }
  }

  void CheckRows() {
    if (scorer_ == nullptr) return;
    // Rows beyond those that the harness counted (repeated, unreadable) lose nothing.
    complete_ = about_.has_n_samples_effective()
                    ? scorer_->n_samples() == about_.n_samples_effective()
                    : out_.n_bad() == 0;
    if (about_.has_n_samples_effective() && scorer_->n_samples() > about_.n_samples_effective()) {
      out_.add_warnings(fmt::format(
          "there are {} rows where the harness counted {}: the samples may not be those of these "
          "results",
          scorer_->n_samples(), about_.n_samples_effective()));
    } else if (about_.has_n_samples_effective() &&
               scorer_->n_samples() != about_.n_samples_effective()) {
      out_.add_warnings(fmt::format(
          "samples are incomplete: {} of {} rows; values here cover these rows only, the "
          "harness's numbers cover all",
          scorer_->n_samples(), about_.n_samples_effective()));
    } else if (out_.n_bad() > 0) {
      out_.add_warnings(fmt::format("{} of {} rows were left out; values here cover the other {}",
                                    out_.n_bad(), scorer_->n_samples() + out_.n_bad(),
                                    scorer_->n_samples()));
    }
    if (scorer_->n_gold_unverified() > 0) {
      out_.add_warnings(fmt::format(
          "the gold answer of {} of {} rows could not be verified against the harness's own score; "
          "they are left out of every counterpart",
          scorer_->n_gold_unverified(), scorer_->n_samples()));
    }
    if (!withheld_.empty()) out_.add_warnings("no counterparts: " + withheld_);
    if (scorer_->n_too_long() > 0) {
      out_.add_warnings(fmt::format(
          "the texts of {} of {} rows are too long to compare (output length times target length "
          "above {}); they have no edit distance",
          scorer_->n_too_long(), scorer_->n_samples(), metrics::GenerationOptions{}.max_cells));
    }
    CheckGoldEvidence();
  }

  // Log-probabilities of the gold answer, recorded beside generations.
  void CheckGoldEvidence() {
    if (scorer_->log_probs_missing()) {
      out_.add_warnings(
          "every log-probability that was recorded of a gold answer is exactly 0, which no model "
          "gives: they are taken as missing (did the client sample at a temperature near 0?)");
    }
    const uint64_t n = scorer_->n_with_log_p();
    if (n == 0) return;
    if (n < VerifiedRows()) {
      out_.add_warnings(
          fmt::format("log-probabilities of the gold answer were recorded for {} of {} rows; what "
                      "is made of them covers these",
                      n, VerifiedRows()));
    }
    if (scorer_->n_unspelled() > 0) {
      out_.add_warnings(fmt::format(
          "the tokens recorded for {} of {} rows do not begin with the target (are they spelled as "
          "the tokenizer's vocabulary spells them?): all of them count, a stop token, too",
          scorer_->n_unspelled(), n));
    }
  }

  uint64_t VerifiedRows() const { return scorer_->n_samples() - scorer_->n_gold_unverified(); }

  const MetricInfo* Info(const std::string& metric) const {
    if (scorer_ != nullptr && scorer_->evidence().has_value()) {
      return metrics::FindMetric(metric, *scorer_->evidence());
    }
    if (about_.output_type() == "multiple_choice") {
      return metrics::FindMetric(metric, Evidence::kChoices);
    }
    return metrics::FindMetric(metric);
  }

  const ComputedMetric* Computed(std::string_view metric) const {
    if (scorer_ == nullptr) return nullptr;
    // Metrics of one name over the task's own evidence and over the gold's log-probabilities: the
    // task's own come first.
    for (const ComputedMetric& computed : scorer_->computed()) {
      if (computed.info->name == metric) return &computed;
    }
    return nullptr;
  }

  const ReportedMetricColumn* Column(const std::string& metric) const {
    if (scorer_ == nullptr) return nullptr;
    for (const ReportedMetricColumn& column : scorer_->reported()) {
      if (column.metric == metric) return &column;
    }
    return nullptr;
  }

  void CollectReported() {
    for (const v1::ReportedMetric& stated : about_.reported()) {
      if (stated.filter() == filter_) AddReported(stated);
    }
    if (scorer_ == nullptr) return;
    // Rows may carry scores that the results file does not aggregate.
    for (const ReportedMetricColumn& column : scorer_->reported()) {
      const bool stated = std::any_of(reported_.begin(), reported_.end(), [&](const Reported& r) {
        return r.summary.metric() == column.metric;
      });
      if (stated) continue;
      v1::ReportedMetric only_rows;
      only_rows.set_metric(column.metric);
      AddReported(only_rows);
    }
  }

  void AddReported(const v1::ReportedMetric& stated) {
    Reported r;
    r.info = Info(stated.metric());
    r.column = Column(stated.metric());
    r.computed = Computed(stated.metric());
    // What the harness calls so is made of what it recorded.
    if (r.computed != nullptr && r.computed->info != r.info) r.computed = nullptr;
    v1::MetricSummary& m = r.summary;
    m.set_metric(stated.metric());
    m.set_role(v1::MetricSummary::REPORTED);
    m.set_higher_is_better(stated.has_higher_is_better() ? stated.higher_is_better()
                           : r.info != nullptr           ? r.info->higher_is_better
                                                         : true);
    if (r.info != nullptr) m.set_summary(std::string(r.info->summary));
    if (stated.has_value()) m.set_reported_value(stated.value());
    if (stated.has_stderr()) m.set_reported_stderr(stated.stderr());
    m.set_signature(r.info != nullptr ? metrics::Signature(*r.info, Unit(*r.info))
                                      : fmt::format("{}|harness_rows|v1", stated.metric()));

    const bool has_rows =
        r.column != nullptr && r.column->values.count() + r.column->ratio.count() > 0;
    if (has_rows) {
      r.estimate = FromReported(*r.column, r.info, options_);
      if (!r.estimate.value.has_value() &&
          r.column->aggregation == Scored::AGGREGATION_UNSPECIFIED) {
        out_.add_warnings(
            fmt::format("{}: the harness aggregates it in a way that Mirage does not know; only "
                        "the harness's own number is shown",
                        stated.metric()));
      }
    } else if (r.computed != nullptr && r.computed->values.count() > 0) {
      r.estimate = FromComputed(*r.computed, options_);
    }
    Clip(r.info, r.estimate);
    Fill(r.estimate, options_.interval, &m);
    if (scorer_ == nullptr) IntervalFromAggregate(r);
    if (scorer_ != nullptr) {
      m.set_n_bad(out_.n_bad() + static_cast<uint32_t>(scorer_->n_samples() - m.n()));
    }
    if (r.computed != nullptr) SetChance(*r.computed, &m);
    SetRederived(r, has_rows);
    if (has_rows) WarnOfScores(r);
    CompareWithHarness(r);
    r.sharp =
        r.info != nullptr ? r.info->sharp : r.column != nullptr && r.column->values.IsBinary();
    reported_.push_back(std::move(r));
  }

  // Without samples: an interval for the harness's own number, where it is a share
  // of a known number of documents, else from its standard error.
  void IntervalFromAggregate(Reported& r) {
    v1::MetricSummary& m = r.summary;
    if (!m.has_reported_value() || r.info == nullptr || !r.info->sharp) return;
    const double value = m.reported_value();
    const uint64_t n = about_.n_samples_effective();
    const double k = value * static_cast<double>(n);
    std::optional<ConfidenceInterval> interval;
    if (n > 0 && k >= 0 && std::abs(k - std::round(k)) < 1e-6 && std::round(k) <= double(n)) {
      interval = Optional(metrics::ShareInterval(static_cast<uint64_t>(std::llround(k)), n,
                                                 options_.level, options_.interval));
    } else if (m.has_reported_stderr() && m.reported_stderr() > 0) {
      interval = Optional(metrics::Normal(value, m.reported_stderr(), options_.level));
    }
    if (!interval.has_value()) return;
    r.estimate.interval = interval;
    Clip(r.info, r.estimate);
    SetInterval(*r.estimate.interval, options_.interval, &m);
  }

  std::string Unit(const MetricInfo& info) const {
    if (scorer_ == nullptr) return "codepoints";
    if (info.evidence != Evidence::kLikelihood) return scorer_->unit_name();
    // The expected edit distance counts tokens where their number is known, else code points.
    const ComputedMetric* by_token = Computed("nll_per_token");
    const ComputedMetric* all = Computed("expected_edit_distance");
    if (by_token == nullptr || all == nullptr || by_token->values.count() == 0) return "codepoints";
    return by_token->values.count() == all->values.count() ? "tokens" : "tokens_or_codepoints";
  }

  static void SetChance(const ComputedMetric& computed, v1::MetricSummary* m) {
    // Only where it is defined for every sample behind the value.
    if (computed.chance.count() == 0 || computed.chance.count() != computed.values.count()) return;
    const auto mean = computed.chance.mean();
    if (mean.has_value() && std::isfinite(*mean)) m->set_chance(*mean);
  }

  void SetRederived(Reported& r, bool has_rows) {
    v1::MetricSummary& m = r.summary;
    if (scorer_ == nullptr) {
      m.set_rederived_unavailable("the run has no samples");
    } else if (!has_rows) {
      m.set_rederived_unavailable(r.computed != nullptr
                                      ? "the rows hold no number of their own; the value here is "
                                        "Mirage's and is compared as a whole"
                                      : "the rows hold no number for it");
    } else if (about_.normalization().custom() && r.info != nullptr &&
               r.info->evidence == Evidence::kGeneration) {
      m.set_rederived_unavailable("the task normalises text in a way of its own");
    } else if (r.column->n_compared == 0) {
      m.set_rederived_unavailable(r.info == nullptr ? "the scorer is the task's own"
                                                    : "no row has what its definition needs");
    } else {
      m.set_rederived(static_cast<double>(r.column->n_same) /
                      static_cast<double>(r.column->n_compared));
      if (r.column->n_same < r.column->n_compared) {
        out_.add_warnings(fmt::format(
            "{}: in {} of {} rows Mirage's own definition gives another score than the harness's",
            m.metric(), r.column->n_compared - r.column->n_same, r.column->n_compared));
      }
    }
  }

  // Rows that hold no number of a metric, or one that it cannot have.
  void WarnOfScores(const Reported& r) {
    if (r.column == nullptr) return;
    const ReportedMetricColumn& column = *r.column;
    if (column.n_impossible > 0) {
      const std::string range =
          r.info != nullptr && column.aggregation == Scored::MEAN
              ? fmt::format("it lies between {} and {}", r.info->lower_bound, r.info->upper_bound)
              : "a log-likelihood is at most 0, a length at least 0";
      out_.add_warnings(fmt::format(
          "{}: {} of {} rows hold a number that it cannot have ({}; {}); left out", column.metric,
          column.n_impossible, scorer_->n_samples(), column.first_impossible, range));
    }
    if (column.n_missing > 0) {
      out_.add_warnings(
          fmt::format("{}: {} of {} rows hold no number of it; its value covers the "
                      "others",
                      column.metric, column.n_missing, scorer_->n_samples()));
    }
  }

  void CompareWithHarness(const Reported& r) {
    const v1::MetricSummary& m = r.summary;
    if (scorer_ == nullptr || !m.has_value() || !m.has_reported_value()) return;
    if (!complete_) {
      CheckThatMissingRowsExplain(r);
      return;
    }
    // Said by WarnOfScores, or with the golds: the value covers fewer rows than the harness's.
    if (m.n() < scorer_->n_samples()) return;
    if (m.value() == m.reported_value()) return;  // also both infinite
    const double difference = std::abs(m.value() - m.reported_value());
    // An infinite number has no neighbourhood.
    if (std::isfinite(difference) &&
        difference <= kSameValue * std::max(1.0, std::abs(m.reported_value()))) {
      return;
    }
    out_.add_warnings(
        fmt::format("{}: the rows give {}, the harness reported {}: the samples may not "
                    "be those of these results",
                    m.metric(), m.value(), m.reported_value()));
  }

  // A mean over all rows lies within what the missing ones could make of it; where the
  // harness's does not, the rows are not those of its number.
  void CheckThatMissingRowsExplain(const Reported& r) {
    const v1::MetricSummary& m = r.summary;
    const uint64_t all = about_.n_samples_effective();
    const bool is_mean = r.column != nullptr && r.column->aggregation == Scored::MEAN;
    if (r.info == nullptr || !is_mean || m.n() == 0 || m.n() >= all) return;
    if (!std::isfinite(r.info->lower_bound) || !std::isfinite(r.info->upper_bound)) return;
    const auto n = static_cast<double>(m.n());
    const auto total = static_cast<double>(all);
    const double least = (n * m.value() + (total - n) * r.info->lower_bound) / total;
    const double most = (n * m.value() + (total - n) * r.info->upper_bound) / total;
    if (m.reported_value() >= least - kSameValue && m.reported_value() <= most + kSameValue) return;
    out_.add_warnings(fmt::format(
        "{}: the {} rows give {}, the harness reported {} over {}: the missing rows cannot explain "
        "that, so the samples are not those of these results",
        m.metric(), m.n(), m.value(), m.reported_value(), all));
  }

  // The reported metric that a counterpart stands under: a sharp one if there is any.
  size_t Parent(const MetricInfo& counterpart) const {
    std::optional<size_t> first, plain;
    for (size_t i = 0; i < reported_.size(); ++i) {
      if (!reported_[i].sharp) continue;
      const MetricInfo* sharp = reported_[i].info;
      if (!first.has_value()) first = i;
      if (sharp == nullptr) continue;
      if (metrics::SharesNormalization(*sharp, counterpart)) return i;
      if (!plain.has_value() && sharp->normalization == metrics::Normalization::kNone) plain = i;
    }
    return plain.value_or(first.value_or(0));
  }

  bool IsReported(std::string_view metric) const {
    return std::any_of(reported_.begin(), reported_.end(),
                       [&](const Reported& r) { return r.summary.metric() == metric; });
  }

  // Whether the reader forbids to make a number of it.
  bool IsUnavailable(std::string_view metric) const {
    return std::any_of(about_.unavailable().begin(), about_.unavailable().end(),
                       [&](const v1::Unavailable& u) { return u.metric() == metric; });
  }

  // Those that the task's evidence has, behind those of its gold answers' log-probabilities: log p
  // says more than the distance of texts.
  std::vector<const MetricInfo*> AllCounterparts() const {
    std::vector<const MetricInfo*> all;
    const auto append = [&](Evidence evidence) {
      const auto more = metrics::Counterparts(evidence);
      all.insert(all.end(), more.begin(), more.end());
    };
    if (scorer_->n_with_log_p() > 0) {
      append(Evidence::kLikelihood);
      if (scorer_->token_positions().lengths().count() > 0) append(Evidence::kTokenLogProbs);
    }
    append(*scorer_->evidence());
    return all;
  }

  // A metric's signature; of the gold's log-probabilities with what they are of: its own tokens, or
  // whatever a probe asked for.
  std::string SignatureOf(const MetricInfo& info) const {
    std::string signature = metrics::Signature(info, Unit(info));
    const uint64_t n = scorer_->n_with_log_p();
    if (n == 0 || info.evidence == *scorer_->evidence()) return signature;
    const uint64_t by_token = scorer_->token_positions().lengths().count();
    signature.insert(signature.rfind('|'), by_token == n   ? "|gold_tokens"
                                           : by_token == 0 ? "|gold_probe"
                                                           : "|gold_tokens_or_probe");
    return signature;
  }

  void AddMetrics() {
    std::vector<std::vector<v1::MetricSummary>> under(reported_.size());
    if (scorer_ != nullptr && scorer_->evidence().has_value()) {
      for (const MetricInfo* info : AllCounterparts()) {
        if (IsReported(info->name)) continue;
        if (reported_.empty() || IsUnavailable(info->name)) continue;
        if (!withheld_.empty()) {
          v1::Unavailable* missing = out_.add_unavailable();
          missing->set_metric(std::string(info->name));
          missing->set_reason(withheld_);
          continue;
        }
        const size_t parent = Parent(*info);
        AddCounterpart(*info, parent, under[parent]);
      }
    }
    const bool has_counterparts =
        std::any_of(under.begin(), under.end(), [](const auto& below) { return !below.empty(); });
    for (size_t i = 0; i < reported_.size(); ++i) {
      *reported_[i].summary.mutable_mirage_risk() = AssessRisk(reported_[i], has_counterparts);
      *out_.add_metrics() = std::move(reported_[i].summary);
      for (v1::MetricSummary& counterpart : under[i]) {
        *out_.add_metrics() = std::move(counterpart);
      }
    }
  }

  void AddCounterpart(const MetricInfo& info, size_t parent,
                      std::vector<v1::MetricSummary>& under) {
    const ComputedMetric* computed = Computed(info.name);
    Estimate estimate;
    if (info.aggregation == Aggregation::kCalibration) {
      estimate = FromCalibration(scorer_->calibration(), options_);
    } else if (computed != nullptr) {
      estimate = FromComputed(*computed, options_);
    }
    if (estimate.n == 0 || !estimate.value.has_value() || std::isnan(*estimate.value)) {
      // Ratios of sums over documents are the harness's to report.
      if (info.evidence == Evidence::kDocument) return;
      v1::Unavailable* missing = out_.add_unavailable();
      missing->set_metric(std::string(info.name));
      missing->set_reason(MissingReason(info));
      return;
    }
    v1::MetricSummary m;
    m.set_metric(std::string(info.name));
    m.set_role(v1::MetricSummary::COUNTERPART);
    m.add_counterpart_of(reported_[parent].summary.metric());
    for (size_t i = 0; i < reported_.size(); ++i) {
      if (i != parent && reported_[i].sharp) m.add_counterpart_of(reported_[i].summary.metric());
    }
    Clip(&info, estimate);
    Fill(estimate, options_.interval, &m);
    m.set_n_bad(out_.n_bad() + static_cast<uint32_t>(scorer_->n_samples() - estimate.n));
    m.set_higher_is_better(info.higher_is_better);
    m.set_summary(std::string(info.summary));
    m.set_signature(SignatureOf(info));
    if (computed != nullptr) SetChance(*computed, &m);
    under.push_back(std::move(m));
  }

  std::string MissingReason(const MetricInfo& info) const {
    if (scorer_->n_samples() == 0) return "the run has no usable samples";
    if (scorer_->n_gold_unverified() == scorer_->n_samples()) {
      return "no row's gold answer could be verified";
    }
    if (info.normalization == metrics::Normalization::kTokens) {
      return "the log has no token counts; they are known only while the harness runs";
    }
    if (info.normalization == metrics::Normalization::kBytes ||
        info.normalization == metrics::Normalization::kChars) {
      return "the log has no text lengths, or the texts are empty";
    }
    return "no row has what its definition needs";
  }

  void AddUnavailable() {
    const bool any_sharp =
        std::any_of(reported_.begin(), reported_.end(), [](const Reported& r) { return r.sharp; });
    if (!any_sharp) return;
    if (scorer_ == nullptr || !scorer_->evidence().has_value()) return;
    if (*scorer_->evidence() != Evidence::kGeneration || scorer_->n_with_log_p() > 0) return;
    const std::string_view reason =
        scorer_->log_probs_missing()
            ? "every log-probability that was recorded of a gold answer is exactly 0, which means "
              "that none was"
            : "the log has no log-likelihood of the gold answer; score the same documents as a "
              "loglikelihood task, or record it while the harness runs (mirage attach --evidence)";
    for (const MetricInfo* info : metrics::Counterparts(Evidence::kLikelihood)) {
      v1::Unavailable* missing = out_.add_unavailable();
      missing->set_metric(std::string(info->name));
      missing->set_reason(std::string(reason));
    }
  }

  v1::MirageRisk AssessRisk(const Reported& r, bool has_counterparts) const {
    metrics::RiskInput input;
    input.has_samples = scorer_ != nullptr && scorer_->n_samples() > 0;
    input.n = r.estimate.n;
    if (!input.has_samples) input.n = about_.n_samples_effective();
    input.observed = r.estimate.value;
    if (!input.observed.has_value() && r.summary.has_reported_value()) {
      input.observed = r.summary.reported_value();
    }
    input.observed_interval = r.estimate.interval;
    input.observed_standard_error = r.estimate.stderr_;
    if (r.summary.has_chance()) input.chance = r.summary.chance();
    input.kind = metrics::RiskMetricKind::kOther;
    input.has_counterparts = has_counterparts;
    if (scorer_ != nullptr) input.n_gold_unverified = scorer_->n_gold_unverified();
    input.counterparts_withheld = !withheld_.empty();
    if (r.info == nullptr) {
      input.kind = r.sharp ? metrics::RiskMetricKind::kUnregisteredShare
                           : metrics::RiskMetricKind::kUnregistered;
    } else if (!r.info->sharp) {
      if (r.info->continuous) input.kind = metrics::RiskMetricKind::kContinuous;
    } else if (input.has_samples && withheld_.empty()) {
      AddSharpEvidence(*r.info, input);
    }
    return ToProto(metrics::AssessRisk(input));
  }

  void AddSharpEvidence(const MetricInfo& info, metrics::RiskInput& input) const {
    const uint64_t seed = options_.seed;
    const auto set = [&](absl::StatusOr<metrics::Distortion> distortion) {
      if (distortion.ok()) input.distortion = *distortion;
    };
    switch (info.evidence) {
      case Evidence::kChoices: {
        input.kind = metrics::RiskMetricKind::kMultipleChoice;
        const MarginEvidence& margins = scorer_->margins();
        const metrics::MarginCounts& counts =
            info.normalization == metrics::Normalization::kChars      ? margins.acc_norm
            : info.normalization == metrics::Normalization::kBytes    ? margins.acc_bytes
            : info.normalization == metrics::Normalization::kBaseline ? margins.acc_mutual_info
                                                                      : margins.acc;
        if (counts.n() > 0) set(metrics::MultipleChoiceDistortion(counts, seed));
        input.mean_margin = margins.margin.mean();
        input.chance_margin = margins.chance_margin.mean();
        // The error of the difference, which pairs each margin with its own chance
        // value; the chance value then carries none of its own.
        input.mean_margin_standard_error = margins.margin_above_chance.standard_error();
        if (const ComputedMetric* p = Computed("log_p_gold_choices");
            p != nullptr && p->chance.count() == p->values.count()) {
          input.mean_log_p_choices = p->values.mean();
          input.chance_log_p_choices = p->chance.mean();
          input.mean_log_p_choices_standard_error = margins.log_p_above_chance.standard_error();
        }
        break;
      }
      case Evidence::kLikelihood:
        input.kind = metrics::RiskMetricKind::kExactMatch;
        set(metrics::ExactMatchDistortion(scorer_->rows().log_p, seed));
        break;
      case Evidence::kGeneration:
        if (static_cast<double>(scorer_->n_with_log_p()) >=
            kMostlyCovered * static_cast<double>(std::max<uint64_t>(VerifiedRows(), 1))) {
          input.kind = metrics::RiskMetricKind::kExactMatch;
          set(metrics::ExactMatchDistortion(Known(scorer_->rows().log_p), seed));
          break;
        }
        input.kind = metrics::RiskMetricKind::kEditDistanceOnly;
        input.unit = scorer_->unit_name();
        if (IsUnavailable("token_edit_distance")) break;
        set(metrics::EditDistanceDistortion(Known(scorer_->rows().edit_distance),
                                            Known(scorer_->rows().target_length), seed));
        break;
      case Evidence::kDocument:
      case Evidence::kTokenLogProbs:
      case Evidence::kRepeats:
      case Evidence::kVectors:
        break;
    }
  }

  void SetHighestRisk() {
    for (const v1::MetricSummary& m : out_.metrics()) {
      if (m.role() == v1::MetricSummary::REPORTED) RaiseRisk(m.mirage_risk(), &out_);
    }
  }

  const v1::RunTask& about_;
  const std::string& filter_;
  const TaskScorer* scorer_;
  const SummaryOptions& options_;
  v1::TaskSummary out_;
  // Why there are no counterparts; usually empty.
  std::string withheld_;
  // Whether the rows are those that the harness's numbers are made of.
  bool complete_ = false;
  std::vector<Reported> reported_;
};

}  // namespace

void SetInterval(const ConfidenceInterval& interval, IntervalMethod asked,
                 v1::MetricSummary* summary) {
  v1::Interval* to = summary->mutable_interval();
  to->set_lower(interval.lower);
  to->set_upper(interval.upper);
  to->set_level(interval.level);
  to->set_method(std::string(interval.method));
  to->set_signature(metrics::IntervalSignature(interval, asked));
}

void RaiseRisk(const v1::MirageRisk& risk, v1::TaskSummary* task) {
  if (!task->has_mirage_risk() ||
      RiskOrder(risk.level()) > RiskOrder(task->mirage_risk().level())) {
    *task->mutable_mirage_risk() = risk;
  }
}

int RiskOrder(v1::MirageRisk::Level level) {
  switch (level) {
    case v1::MirageRisk::HIGH:
      return 4;
    case v1::MirageRisk::UNKNOWN:
      return 3;
    case v1::MirageRisk::LOW:
      return 2;
    case v1::MirageRisk::NONE:
      return 1;
    default:
      return 0;
  }
}

v1::TaskSummary SummarizeTask(const v1::RunTask& about, const std::string& filter,
                              const TaskScorer* scorer, std::span<const v1::RowIssues> issues,
                              const SummaryOptions& options) {
  return TaskSummarizer(about, filter, scorer, options).Run(issues);
}

}  // namespace mirage::server
