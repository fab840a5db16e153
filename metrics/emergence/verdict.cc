#include "metrics/emergence/verdict.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/emergence/composition.h"
#include "metrics/emergence/curve.h"
#include "metrics/emergence/curve_shape.h"
#include "metrics/emergence/law_quantity.h"
#include "metrics/emergence/slope_break.h"
#include "metrics/stats/distributions.h"

namespace mirage::metrics {
namespace {

// Sizes within this share are one.
constexpr double kSameScale = 0.01;
// A trend's p-value.
constexpr double kTrendP = 0.01;
// What rules a break in, and out.
constexpr double kBreakProbability = 0.6;
constexpr double kNoBreakProbability = 0.1;
// And of a rise in a wide bend, the most with which a law counts as smooth.
constexpr double kWideRiseProbability = 0.5;
constexpr double kBreakP = 0.05;
// Scatter of a family of which nothing is known.
constexpr double kUnknownScatter = 0.05;
// Share of the rise up to which a curve has not taken off.
constexpr double kBeforeTakeOff = 0.2;
// Spread of items where no standard error tells it.
constexpr double kUnknownCv = 0.7;
// Fewest scales of each strength.
constexpr size_t kModerateScales = 7;
constexpr size_t kStrongScales = 9;

absl::Status CheckModel(const VerdictModel& model, size_t i) {
  const auto bad = [&](std::string_view field, double value, std::string_view must) {
    return absl::InvalidArgumentError(
        fmt::format("models[{}].{} is {}: must be {}", i, field, value, must));
  };
  if (!(model.scale > 0 && std::isfinite(model.scale))) {
    return bad("scale", model.scale, "finite and > 0");
  }
  for (const auto& [field, n] :
       {std::pair("n", model.n), std::pair("counterpart_n", model.counterpart_n)}) {
    if (n && !(*n >= 1 && std::isfinite(*n))) return bad(field, *n, "finite and >= 1");
  }
  for (const auto& [field, value] :
       {std::pair("value", model.value), std::pair("counterpart", model.counterpart)}) {
    if (value && !std::isfinite(*value)) return bad(field, *value, "finite, or absent");
  }
  for (const auto& [field, error] : {std::pair("standard_error", model.standard_error),
                                     std::pair("counterpart_error", model.counterpart_error)}) {
    if (error && !(*error >= 0 && std::isfinite(*error))) {
      return bad(field, *error, "finite and >= 0");
    }
  }
  return absl::OkStatus();
}

// Models of one size.
struct Size {
  double scale = 0;
  std::vector<size_t> models;
};

std::vector<Size> SizesOf(const std::vector<VerdictModel>& models) {
  std::vector<size_t> order(models.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return models[a].scale < models[b].scale; });
  std::vector<Size> sizes;
  for (const size_t i : order) {
    if (sizes.empty() || models[i].scale > sizes.back().scale * (1 + kSameScale)) {
      sizes.push_back({models[i].scale, {}});
    }
    sizes.back().models.push_back(i);
  }
  return sizes;
}

// Weighted regression of y on x: t of the slope, positive where y rises.
struct Trend {
  double t = 0;
  double df = 0;
  bool Rises() const { return df >= 1 && StudentTail(t, df) < kTrendP; }
  bool Moves() const { return df >= 1 && 2 * StudentTail(std::abs(t), df) < kTrendP; }
};

Trend TrendOf(const std::vector<double>& x, const std::vector<double>& y,
              const std::vector<double>& variance) {
  Trend trend;
  if (x.size() < 3) return trend;
  double w = 0;
  double wx = 0;
  double wy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    w += 1 / variance[i];
    wx += x[i] / variance[i];
    wy += y[i] / variance[i];
  }
  const double mean_x = wx / w;
  const double mean_y = wy / w;
  double xx = 0;
  double xy = 0;
  double yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x) / variance[i];
    xy += (x[i] - mean_x) * (y[i] - mean_y) / variance[i];
    yy += (y[i] - mean_y) * (y[i] - mean_y) / variance[i];
  }
  if (!(xx > 0)) return trend;
  const double rest = std::max(0.0, yy - xy * xy / xx);
  trend.df = static_cast<double>(x.size()) - 2;
  // The variances are lower bounds where the curve is no line: what is left over counts, too.
  const double scale = std::max(1.0, rest / trend.df);
  trend.t = xy / xx / std::sqrt(scale / xx);
  return trend;
}

class Judgement {
 public:
  Judgement(const VerdictSeries& series, const VerdictOptions& options)
      : series_(series), options_(options), sizes_(SizesOf(series.models)) {
    result_.n_scales = sizes_.size();
    for (const Size& size : sizes_) {
      for (const size_t model : size.models) result_.scales.push_back({.model = model});
    }
  }

  absl::StatusOr<VerdictResult> Run() {
    if (absl::Status status = FitLaw(); !status.ok()) return status;
    if (absl::Status status = FindShape(); !status.ok()) return status;
    if (absl::Status status = Predict(); !status.ok()) return status;
    Decide();
    return std::move(result_);
  }

 private:
  // The counterpart's law, where one can be fitted.
  absl::Status FitLaw() {
    if (!series_.counterpart) return absl::OkStatus();
    scale_ = LawScaleOf(*series_.counterpart, UnitLength());
    if (scale_ == LawScale::kNone) return absl::OkStatus();
    std::vector<LawPoint>& points = result_.law_points;
    for (const VerdictScale& at : result_.scales) {
      const VerdictModel& model = series_.models[at.model];
      if (!model.counterpart) continue;
      const auto quantity = ToLawQuantity(*series_.counterpart, scale_, UnitLength(),
                                          *model.counterpart, model.counterpart_error);
      if (!quantity.ok()) continue;
      points.push_back({std::log(SizeOf(at.model)), quantity->log_q, quantity->variance});
      result_.law_models.push_back(at.model);
    }
    if (DistinctX(points) < 2) return absl::OkStatus();
    auto law = SlopeBreak::Create(points, {options_.seed, options_.replicates});
    if (!law.ok()) return law.status();
    law_.emplace(*std::move(law));
    result_.law = law_->evidence();
    return absl::OkStatus();
  }

  static size_t DistinctX(const std::vector<LawPoint>& points) {
    size_t n = 0;
    for (size_t i = 0; i < points.size(); ++i) n += i == 0 || points[i].x != points[i - 1].x;
    return n;
  }

  // Replicates lie on one place.
  double SizeOf(size_t model) const {
    for (const Size& size : sizes_) {
      if (std::find(size.models.begin(), size.models.end(), model) != size.models.end()) {
        return size.scale;
      }
    }
    return series_.models[model].scale;
  }

  // An error count per target is a share of its length.
  std::optional<double> UnitLength() const {
    const CurveMetric& counterpart = *series_.counterpart;
    const bool counts_errors = counterpart.linear_in_token_error && !counterpart.higher_is_better &&
                               !series_.counterpart_per_unit && counterpart.lower_bound == 0 &&
                               std::isinf(counterpart.upper_bound);
    return counts_errors ? series_.target_length : std::nullopt;
  }

  Scatter ScatterOfMetric() {
    scatter_ = law_ ? result_.law->tau : kUnknownScatter;
    Scatter scatter;
    scatter.tau = scatter_;
    if (std::isfinite(series_.metric.lower_bound) && std::isfinite(series_.metric.upper_bound)) {
      scatter.kind = ScatterKind::kPower;
      const bool up = series_.metric.higher_is_better;
      scatter.lower = series_.metric.chance.value_or(series_.metric.lower_bound);
      scatter.upper = series_.metric.upper_bound;
      if (!up || !(scatter.lower < scatter.upper)) {
        scatter.lower = series_.metric.lower_bound;
      }
    } else {
      scatter.kind = ScatterKind::kProportional;
    }
    return scatter;
  }

  double MetricRange() const {
    const double range = series_.metric.upper_bound - series_.metric.lower_bound;
    return std::isfinite(range) && range > 0 ? range : 1;
  }

  // The sharp curve, one point a size.
  absl::Status FindShape() {
    const bool unit = series_.metric.proportion && series_.metric.lower_bound == 0 &&
                      series_.metric.upper_bound == 1;
    for (const Size& size : sizes_) {
      CurvePoint point;
      point.scale = size.scale;
      double sum = 0;
      double count = 0;
      double variance = 0;
      double items = 0;
      bool has_errors = true;
      bool has_n = true;
      for (const size_t i : size.models) {
        const VerdictModel& model = series_.models[i];
        if (!model.value) continue;
        sum += *model.value;
        count += 1;
        has_n = has_n && model.n.has_value();
        items += model.n.value_or(0);
        has_errors = has_errors && model.standard_error.has_value();
        variance += std::pow(model.standard_error.value_or(0), 2);
      }
      if (count == 0) continue;
      point.value = sum / count;
      if (unit && has_n) {
        point.binomial_n = static_cast<uint64_t>(std::llround(items));
      } else if (has_errors) {
        point.standard_error = std::sqrt(variance) / count;
      }
      n_replicates_ = std::max(n_replicates_, static_cast<size_t>(count));
      has_no_errors_ = has_no_errors_ || (!HasError(point));
      curve_.push_back(point);
    }
    if (curve_.size() < 2) return absl::OkStatus();
    ShapeOptions options;
    options.higher_is_better = series_.metric.higher_is_better;
    options.scatter = ScatterOfMetric();
    options.metric_range = MetricRange();
    auto shape = ShapeOf(curve_, options);
    if (!shape.ok()) return shape.status();
    result_.shape = *std::move(shape);
    std::vector<double> x;
    std::vector<double> y;
    std::vector<double> variance;
    for (const CurvePoint& point : curve_) {
      x.push_back(std::log(point.scale));
      y.push_back(series_.metric.higher_is_better ? point.value : -point.value);
      const double error = TotalError(point, options.scatter);
      variance.push_back(std::max(error * error, 1e-12));
    }
    trend_ = TrendOf(x, y, variance);
    return absl::OkStatus();
  }

  // Coefficient of variation of the items' counterpart, one for all scales: the middle one.
  double ItemCv() const {
    std::vector<double> cvs;
    for (const VerdictModel& model : series_.models) {
      const std::optional<double> n = model.counterpart_n ? model.counterpart_n : model.n;
      if (!model.counterpart || !model.counterpart_error || !n || *model.counterpart == 0) continue;
      if (scale_ != LawScale::kValue && scale_ != LawScale::kNegated) continue;
      cvs.push_back(*model.counterpart_error * std::sqrt(*n) / std::abs(*model.counterpart));
    }
    if (cvs.empty()) return kUnknownCv;
    std::nth_element(cvs.begin(), cvs.begin() + static_cast<ptrdiff_t>(cvs.size() / 2), cvs.end());
    return cvs[cvs.size() / 2];
  }

  // What counts for a composition of all tokens: units a target.
  std::optional<double> ComposedLength() const {
    if (series_.composition != Composition::kAllTokens) return std::nullopt;
    if (!series_.counterpart_per_unit && !UnitLength()) return 1;
    return series_.target_length;
  }

  // What ln q, known to `sd`, composes to for one model.
  std::optional<PredictedShare> Compose(size_t model, double log_q, double sd, double level) const {
    const std::optional<double> length = ComposedLength();
    if (!length || !series_.models[model].value || !std::isfinite(log_q)) return std::nullopt;
    AllTokensInput input;
    input.log_q = log_q;
    input.sd = sd;
    input.length = *length;
    input.cv = ItemCv();
    input.n = series_.models[model].n;
    PredictedShare share = PredictAllTokens(input, level);
    if (!input.n && series_.models[model].standard_error) {
      // Sampling error without a count: added to both sides.
      const double z = NormalUpperQuantile((1 - level) / 2) * *series_.models[model].standard_error;
      share.lower = std::max(0.0, share.lower - z);
      share.upper = std::min(1.0, share.upper + z);
    }
    return share;
  }

  std::optional<PredictedShare> PredictOne(const SlopeBreak& law, size_t model,
                                           double level) const {
    const SmoothPrediction smooth = law.PredictSmooth(std::log(SizeOf(model)));
    return Compose(model, smooth.mean, std::hypot(smooth.law_sd, smooth.scatter), level);
  }

  absl::Status Predict() {
    if (!law_) return absl::OkStatus();
    const double level = 1 - (1 - kVerdictBandLevel) / static_cast<double>(result_.scales.size());
    for (VerdictScale& at : result_.scales) {
      at.predicted = PredictOne(*law_, at.model, kVerdictBandLevel);
      const auto found = std::find(result_.law_models.begin(), result_.law_models.end(), at.model);
      if (found == result_.law_models.end()) continue;
      const LawPoint& own =
          result_.law_points[static_cast<size_t>(found - result_.law_models.begin())];
      at.composed = Compose(at.model, own.y, std::sqrt(own.variance), level);
    }
    // The largest scales out, as many as leave four.
    const size_t most = sizes_.size() > 4 ? sizes_.size() - 4 : 0;
    const size_t out = std::min(static_cast<size_t>(options_.hold_out), most);
    if (out == 0) return absl::OkStatus();
    const double limit = sizes_[sizes_.size() - out].scale;
    std::vector<LawPoint> kept;
    for (size_t i = 0; i < result_.law_points.size(); ++i) {
      if (SizeOf(result_.law_models[i]) < limit) kept.push_back(result_.law_points[i]);
    }
    if (DistinctX(kept) < 2) return absl::OkStatus();
    const auto law = SlopeBreak::Create(kept, {options_.seed, 0});
    if (!law.ok()) return law.status();
    for (VerdictScale& at : result_.scales) {
      at.held_out = SizeOf(at.model) >= limit;
      if (at.held_out) at.forecast = PredictOne(*law, at.model, kVerdictBandLevel);
    }
    return absl::OkStatus();
  }

  void Add(std::string_view code, std::string text,
           std::vector<std::pair<std::string_view, double>> values = {}) {
    result_.reasons.push_back({code, std::move(text), std::move(values)});
  }

  void Say(Verdict verdict) { result_.verdict = verdict; }

  bool CounterpartImproves() const {
    if (!law_ || result_.law_points.size() < 3) return false;
    std::vector<double> x;
    std::vector<double> y;
    std::vector<double> variance;
    const double tau2 = result_.law->tau * result_.law->tau;
    for (const LawPoint& point : result_.law_points) {
      x.push_back(point.x);
      y.push_back(-point.y);
      variance.push_back(point.variance + tau2);
    }
    return TrendOf(x, y, variance).Rises();
  }

  bool RiseIsSignificant() const {
    const CurveShape& shape = *result_.shape;
    return shape.rise > 0 && (!shape.rise_standard_error ||
                              shape.rise > kEmergentMinErrors * *shape.rise_standard_error);
  }

  // The same, as if models did not scatter.
  bool RiseIsBeyondSampling() const {
    const CurveShape& shape = *result_.shape;
    const double error =
        std::hypot(SamplingError(curve_.front()), SamplingError(curve_[shape.ceiling]));
    return shape.rise >= kEmergentMinRise * MetricRange() &&
           shape.rise > kEmergentMinErrors * error;
  }

  // Whether the composed law holds every measured value.
  struct Agreement {
    bool exists = false;
    bool holds = true;
    size_t worst = 0;
  };

  Agreement AgreementOf(std::optional<PredictedShare> VerdictScale::*which) const {
    Agreement agreement;
    for (const VerdictScale& at : result_.scales) {
      const auto& predicted = at.*which;
      const auto& value = series_.models[at.model].value;
      if (!predicted || !value) continue;
      agreement.exists = true;
      if (*value < predicted->lower - 1e-9 || *value > predicted->upper + 1e-9) {
        if (agreement.holds) agreement.worst = at.model;
        agreement.holds = false;
      }
    }
    return agreement;
  }

  // The last size before the curve takes off, in curve_.
  size_t BeforeTakeOff() const {
    const CurveShape& shape = *result_.shape;
    const double sign = series_.metric.higher_is_better ? 1 : -1;
    const double limit = sign * curve_.front().value + kBeforeTakeOff * shape.rise;
    size_t last = 0;
    for (size_t i = 0; i < shape.ceiling; ++i) {
      if (sign * curve_[i].value <= limit) last = i;
    }
    return last;
  }

  // ln q at a size, its models averaged.
  std::optional<LawPoint> LawAt(double scale) const {
    double sum = 0;
    double variance = 0;
    double n = 0;
    for (size_t i = 0; i < result_.law_points.size(); ++i) {
      if (SizeOf(result_.law_models[i]) != scale) continue;
      sum += result_.law_points[i].y;
      variance += result_.law_points[i].variance + result_.law->tau * result_.law->tau;
      n += 1;
    }
    if (n == 0) return std::nullopt;
    return LawPoint{std::log(scale), sum / n, variance / (n * n)};
  }

  void Decide() {
    if (curve_.size() < kVerdictMinScales) {
      Add("TOO_FEW_SCALES",
          fmt::format("{} scales: a verdict needs {}", curve_.size(), kVerdictMinScales),
          {{"scales", static_cast<double>(curve_.size())}});
      return;
    }
    const CurveShape& shape = *result_.shape;
    const bool improves = CounterpartImproves();
    const bool rises = RiseIsSignificant();
    if (!improves && !trend_.Moves() && !rises) {
      Say(Verdict::kSmooth);
      Add("NO_CHANGE",
          "neither the metric nor its counterpart changes with scale beyond its errors",
          {{"rise", shape.rise}});
      return Strengthen();
    }
    const Agreement composed = AgreementOf(&VerdictScale::composed);
    if (improves && !rises && !RiseIsBeyondSampling() && composed.exists && composed.holds) {
      Say(Verdict::kResolutionLimited);
      Add("RESOLUTION",
          "the counterpart improves, and what it composes to is too small for these test sets to "
          "show",
          {{"rise", shape.rise}});
      return Strengthen();
    }
    if (!rises && RiseIsBeyondSampling() && shape.h40.value_or(1) <= kEmergentMaxH40) {
      Add("SCATTER",
          fmt::format("the rise of {:.2f} is sudden and more than the items explain, but models of "
                      "this family scatter by {:.0f} % of their error: replicates would settle it",
                      shape.rise, 100 * scatter_),
          {{"rise", shape.rise}, {"scatter", scatter_}});
      return;
    }
    if (!shape.is_emergent) {
      Say(Verdict::kSmooth);
      Add("GRADUAL",
          fmt::format("the curve has no sudden rise: {:.2f} in all, {:.0f} % of it in the first 40 "
                      "% of the scales",
                      shape.rise, 100 * shape.h40.value_or(0)),
          {{"rise", shape.rise}, {"h40", shape.h40.value_or(0)}});
      return Strengthen();
    }
    Add("EMERGENT_SHAPE",
        fmt::format("the curve rises by {:.2f}, {:.0f} % of it in the first 40 % of the scales",
                    shape.rise, 100 * std::max(0.0, shape.h40.value_or(0))),
        {{"rise", shape.rise}, {"h40", shape.h40.value_or(0)}});
    if (!law_ || result_.law->n_scales < kVerdictMinScales) {
      Lead("NO_COUNTERPART", !series_.counterpart
                                 ? "the rise is sudden, and no continuous counterpart is there"
                                 : "the rise is sudden, and too few scales have a counterpart that "
                                   "a law can be fitted to");
      return;
    }
    const std::optional<LawPoint> before = LawAt(curve_[BeforeTakeOff()].scale);
    const std::optional<LawPoint> after = LawAt(curve_[shape.ceiling].scale);
    if (before && after &&
        after->y - before->y > 1.645 * std::sqrt(before->variance + after->variance)) {
      Say(Verdict::kMixed);
      Lead("COUNTERPART_WORSENS",
           "the counterpart gets worse where the metric takes off: they contradict each other",
           {{"change_of_log", after->y - before->y}});
      return Strengthen();
    }
    const BreakEvidence& law = *result_.law;
    const std::vector<std::pair<std::string_view, double>> values = {{"p_break", law.p_break},
                                                                     {"p_rise", law.p_rise},
                                                                     {"rise", law.rise_median},
                                                                     {"rise_lower", law.rise_lower},
                                                                     {"rise_upper", law.rise_upper},
                                                                     {"sup_f_p", law.p_value},
                                                                     {"scatter", law.tau}};
    if (law.p_resolved_break >= kBreakProbability && law.p_value < kBreakP) {
      Say(Verdict::kBreakSurvives);
      Lead("LAW_BREAKS",
           fmt::format("the counterpart's scaling law breaks too, near scale {:.3g}: its exponent "
                       "rises by {:.2f} ({:.2f} to {:.2f})",
                       std::exp(*law.break_x), law.rise_median, law.rise_lower, law.rise_upper),
           values);
      if (n_replicates_ < 2) {
        Add("SINGLE_SEED", "one training a size: a threshold that seeds reach by luck looks alike");
      }
      return Strengthen();
    }
    const Agreement forecast = AgreementOf(&VerdictScale::forecast);
    const bool excludes_flat = ForecastExcludesFlat();
    const bool is_smooth = law.p_break <= kNoBreakProbability && law.p_rise <= kWideRiseProbability;
    if (is_smooth && composed.exists && composed.holds && forecast.exists && forecast.holds &&
        excludes_flat) {
      Say(Verdict::kMirage);
      Lead("SMOOTH_LAW_PREDICTS",
           fmt::format("the counterpart follows a smooth law (no break: exponent's rise at most "
                       "{:.2f}), and that law predicts the curve at every scale, also the largest "
                       "from the smaller ones",
                       law.rise_upper),
           values);
      return Strengthen();
    }
    // What would settle it, the first thing first.
    if (!is_smooth) {
      Lead("UNDECIDED",
           "these scales neither show a break of the counterpart's law nor rule one out: more "
           "scales around the rise, or replicates, would settle it",
           values);
    } else if (!composed.exists) {
      Lead("NO_COMPOSITION",
           "the counterpart's law is smooth, but how it makes the metric is not known: lengths of "
           "targets, or per-sample results, would settle it",
           values);
    } else if (!composed.holds || (forecast.exists && !forecast.holds)) {
      Lead("COMPOSITION_DISAGREES",
           "the counterpart's law is smooth, but does not compose to the metric that was measured: "
           "per-sample results would tell why",
           values);
    } else {
      Lead(
          "NOT_PREDICTED",
          "the counterpart's law is smooth and agrees, but the smaller models do not rule out that "
          "the metric stays flat: more scales below the rise would settle it",
          values);
    }
  }

  // Puts the main reason in front.
  void Lead(std::string_view code, std::string text,
            std::vector<std::pair<std::string_view, double>> values = {}) {
    Add(code, std::move(text), std::move(values));
    std::rotate(result_.reasons.begin(), result_.reasons.end() - 1, result_.reasons.end());
  }

  bool ForecastExcludesFlat() const {
    const double flat = curve_[BeforeTakeOff()].value;
    for (const VerdictScale& at : result_.scales) {
      if (at.forecast && series_.metric.higher_is_better
              ? at.forecast && at.forecast->lower > flat
              : at.forecast && at.forecast->upper < flat) {
        return true;
      }
    }
    return false;
  }

  void Strengthen() {
    Strength strength = curve_.size() >= kStrongScales     ? Strength::kStrong
                        : curve_.size() >= kModerateScales ? Strength::kModerate
                                                           : Strength::kWeak;
    const auto cap = [&](Strength most) { strength = std::max(strength, most); };
    if (result_.verdict == Verdict::kMirage) {
      cap(Strength::kModerate);
      Add("MEANS_ONLY",
          "positions of the targets and groups of items were not looked at: a smooth mean can hide "
          "breaks there");
    }
    if (has_no_errors_) {
      cap(Strength::kWeak);
      Add("NO_ERRORS", "neither n nor a standard error is known: scatter is taken from the curve");
    }
    if (result_.verdict == Verdict::kBreakSurvives && n_replicates_ < 2) cap(Strength::kWeak);
    if (curve_.size() < kModerateScales) {
      Add("FEW_SCALES", fmt::format("{} scales: at most WEAK", curve_.size()));
    }
    result_.strength = strength;
  }

  const VerdictSeries& series_;
  const VerdictOptions& options_;
  std::vector<Size> sizes_;
  LawScale scale_ = LawScale::kNone;
  std::optional<SlopeBreak> law_;
  std::vector<CurvePoint> curve_;
  Trend trend_;
  // Standard deviation of ln s between models, as the law has it.
  double scatter_ = kUnknownScatter;
  size_t n_replicates_ = 0;
  bool has_no_errors_ = false;
  VerdictResult result_;
};

}  // namespace

absl::StatusOr<VerdictResult> Judge(const VerdictSeries& series, const VerdictOptions& options) {
  for (size_t i = 0; i < series.models.size(); ++i) {
    if (absl::Status status = CheckModel(series.models[i], i); !status.ok()) return status;
  }
  if (series.target_length &&
      !(*series.target_length > 0 && std::isfinite(*series.target_length))) {
    return absl::InvalidArgumentError(
        fmt::format("target_length is {}: must be finite and > 0", *series.target_length));
  }
  if (options.hold_out < 0 || options.hold_out > kMaxHoldOut) {
    return absl::InvalidArgumentError(
        fmt::format("hold_out is {}: must be from 0 to {}", options.hold_out, kMaxHoldOut));
  }
  return Judgement(series, options).Run();
}

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kMirage:
      return "MIRAGE";
    case Verdict::kResolutionLimited:
      return "RESOLUTION_LIMITED";
    case Verdict::kBreakSurvives:
      return "BREAK_SURVIVES";
    case Verdict::kSmooth:
      return "SMOOTH";
    case Verdict::kMixed:
      return "MIXED";
    case Verdict::kInsufficient:
      return "INSUFFICIENT";
  }
  return "";
}

std::string_view StrengthName(Strength strength) {
  switch (strength) {
    case Strength::kStrong:
      return "STRONG";
    case Strength::kModerate:
      return "MODERATE";
    case Strength::kWeak:
      return "WEAK";
  }
  return "";
}

}  // namespace mirage::metrics
