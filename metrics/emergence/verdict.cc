#include "metrics/emergence/verdict.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/emergence/composition.h"
#include "metrics/emergence/curve.h"
#include "metrics/emergence/curve_shape.h"
#include "metrics/emergence/gain_groups.h"
#include "metrics/emergence/heterogeneity.h"
#include "metrics/emergence/item_composition.h"
#include "metrics/emergence/item_spread.h"
#include "metrics/emergence/law_quantity.h"
#include "metrics/emergence/margin_spread.h"
#include "metrics/emergence/part_breaks.h"
#include "metrics/emergence/seed_modes.h"
#include "metrics/emergence/slope_break.h"
#include "metrics/stats/distributions.h"

namespace mirage::metrics {
namespace {

// Sizes within this share are one.
constexpr double kSameScale = 0.01;
// A trend's p-value.
constexpr double kTrendP = 0.01;
// What rules a break out.
constexpr double kNoBreakProbability = 0.1;
// And of a rise in a wide bend, the most with which a law counts as smooth.
constexpr double kWideRiseProbability = 0.5;
constexpr double kBreakP = 0.05;
// Scatter of a family of which nothing is known.
constexpr double kUnknownScatter = 0.05;
// Share of the rise up to which a curve has not taken off.
constexpr double kBeforeTakeOff = 0.2;
// Spreads of items where no standard error tells it.
constexpr std::array kUnknownCvs = {0.0, 0.25, 0.5, 0.75, 1.0};
// Least share of the counterpart's fall that parts with breaks must carry together.
constexpr double kMaterialShare = 0.25;
constexpr double kRounding = 1e-9;
// Least share of the fall that a part is tested for: what loses nothing has nothing to break.
constexpr double kTestedShare = 0.02;
// A counterpart gets worse: in standard errors, and as a share of its range over the sizes, below
// which plateaus scatter. It is unchanged up to so many standard errors.
constexpr double kWorseErrors = 3;
constexpr double kWorseShare = 0.05;
constexpr double kSameErrors = 2;
// Largest scatter of the link between models, in ln u, with which it counts as one link.
constexpr double kMaxLinkScatter = 0.7;
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

absl::Status CheckItems(const VerdictItems& items, size_t i) {
  if (items.log_p.size() != items.scores.size()) {
    return absl::InvalidArgumentError(
        fmt::format("models[{}].items has {} log_p and {} scores: must be as many", i,
                    items.log_p.size(), items.scores.size()));
  }
  for (size_t k = 0; k < items.log_p.size(); ++k) {
    if (!(items.log_p[k] <= 0)) {
      return absl::InvalidArgumentError(
          fmt::format("models[{}].items.log_p[{}] is {}: must be <= 0", i, k, items.log_p[k]));
    }
    if (!(items.scores[k] >= 0 && items.scores[k] <= 1)) {
      return absl::InvalidArgumentError(fmt::format(
          "models[{}].items.scores[{}] is {}: must be from 0 to 1", i, k, items.scores[k]));
    }
  }
  return absl::OkStatus();
}

// Of a part what CheckPartCurves does not look at.
absl::Status CheckPart(const VerdictPart& part, size_t n_models, size_t i) {
  if (part.models.size() != n_models) {
    return absl::InvalidArgumentError(
        fmt::format("parts[{}].models has {} values: must be one for each of {} models", i,
                    part.models.size(), n_models));
  }
  if (part.position.has_value() == !part.stratum.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("parts[{}] must have either a position or a stratum", i));
  }
  if (!(part.item_share > 0 && part.item_share <= 1)) {
    return absl::InvalidArgumentError(
        fmt::format("parts[{}].item_share is {}: must be in (0, 1]", i, part.item_share));
  }
  return absl::OkStatus();
}

absl::Status CheckOther(const VerdictOther& other, size_t n_models, size_t i) {
  if (other.values.size() != n_models || other.standard_errors.size() != n_models) {
    return absl::InvalidArgumentError(fmt::format(
        "others[{}] has {} values and {} standard_errors: must be one for each of {} models", i,
        other.values.size(), other.standard_errors.size(), n_models));
  }
  for (size_t j = 0; j < n_models; ++j) {
    if (other.values[j] && !std::isfinite(*other.values[j])) {
      return absl::InvalidArgumentError(fmt::format(
          "others[{}].values[{}] is {}: must be finite, or absent", i, j, *other.values[j]));
    }
    const std::optional<double>& error = other.standard_errors[j];
    if (error && !(*error >= 0 && std::isfinite(*error))) {
      return absl::InvalidArgumentError(
          fmt::format("others[{}].standard_errors[{}] is {}: must be finite and >= 0, or absent", i,
                      j, *error));
    }
  }
  return absl::OkStatus();
}

// Models of one size.
struct Size {
  double scale = 0;
  std::vector<size_t> models;
};

// All that is known of each model, so that their order is the same whatever the caller's.
std::vector<std::vector<double>> KeysOf(const VerdictSeries& series) {
  constexpr double kAbsent = -std::numeric_limits<double>::infinity();
  std::vector<std::vector<double>> keys;
  for (size_t i = 0; i < series.models.size(); ++i) {
    const VerdictModel& model = series.models[i];
    std::vector<double>& key = keys.emplace_back();
    key.push_back(model.scale);
    for (const auto& field : {model.value, model.counterpart, model.n, model.standard_error,
                              model.counterpart_error, model.counterpart_n}) {
      key.push_back(field.value_or(kAbsent));
    }
    for (const VerdictOther& other : series.others) {
      key.push_back(other.values[i].value_or(kAbsent));
      key.push_back(other.standard_errors[i].value_or(kAbsent));
    }
    for (const VerdictPart& part : series.parts) {
      const VerdictPart::Value& value = part.models[i];
      key.push_back(value.n);
      key.push_back(value.n > 0 ? value.mean : 0);
      key.push_back(value.n > 0 ? value.standard_error : 0);
    }
    if (model.items) {
      // Sorted, since the items may come in any order.
      for (std::vector<double> column : {model.items->log_p, model.items->scores}) {
        std::sort(column.begin(), column.end());
        key.insert(key.end(), column.begin(), column.end());
      }
    }
  }
  return keys;
}

std::vector<Size> SizesOf(const VerdictSeries& series) {
  const std::vector<std::vector<double>> keys = KeysOf(series);
  std::vector<size_t> order(series.models.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return keys[a] < keys[b]; });
  std::vector<Size> sizes;
  for (const size_t i : order) {
    const double scale = series.models[i].scale;
    if (sizes.empty() || scale > sizes.back().scale * (1 + kSameScale)) {
      sizes.push_back({scale, {}});
    }
    sizes.back().models.push_back(i);
  }
  return sizes;
}

// "last token", "2nd token from the end", "3rd token".
std::string NameOfPosition(size_t position, bool from_end) {
  if (position == 0) return from_end ? "last token" : "first token";
  const size_t n = position + 1;
  const std::string_view ending = n % 100 / 10 == 1 ? "th"
                                  : n % 10 == 1     ? "st"
                                  : n % 10 == 2     ? "nd"
                                  : n % 10 == 3     ? "rd"
                                                    : "th";
  return fmt::format("{}{} token{}", n, ending, from_end ? " from the end" : "");
}

std::string NameOf(const VerdictPart& part) {
  return part.position ? NameOfPosition(*part.position, part.from_end) : part.stratum;
}

// What parts' falls add up within: positions counted from one end, or the strata of one field.
std::string AlignmentOf(const VerdictPart& part) {
  return fmt::format("{} {}", part.is_generated ? "generated" : "teacher-forced",
                     part.position ? (part.from_end ? "from the end" : "from the start")
                                   : "in " + part.stratum.substr(0, part.stratum.find('=')));
}

// That of the groups of items by what they gain in other models.
std::string GainAlignment() { return fmt::format("teacher-forced in {}", kGainField); }

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
      : series_(series), options_(options), sizes_(SizesOf(series)) {
    result_.n_scales = sizes_.size();
    scale_of_.resize(series.models.size());
    for (const Size& size : sizes_) {
      for (const size_t model : size.models) {
        result_.scales.push_back({.model = model});
        scale_of_[model] = size.scale;
      }
    }
  }

  absl::StatusOr<VerdictResult> Run() {
    if (absl::Status status = FitLaw(); !status.ok()) return status;
    if (absl::Status status = FindShape(); !status.ok()) return status;
    if (absl::Status status = FitCutLaw(); !status.ok()) return status;
    if (absl::Status status = Predict(); !status.ok()) return status;
    if (absl::Status status = TestParts(); !status.ok()) return status;
    FindConflict();
    FindMeanBreak();
    if (absl::Status status = FindModes(); !status.ok()) return status;
    Decide();
    return std::move(result_);
  }

 private:
  // The counterpart's law, where one can be fitted.
  absl::Status FitLaw() {
    if (!series_.counterpart) return absl::OkStatus();
    scale_ = LawScaleOf(*series_.counterpart, CounterpartUnitLength(series_));
    means_ = MeansCompositionOf(series_);
    if (scale_ == LawScale::kNone) return absl::OkStatus();
    std::vector<LawPoint>& points = result_.law_points;
    for (const VerdictScale& at : result_.scales) {
      const VerdictModel& model = series_.models[at.model];
      if (!model.counterpart) continue;
      const auto quantity =
          ToLawQuantity(*series_.counterpart, scale_, CounterpartUnitLength(series_),
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
  double SizeOf(size_t model) const { return scale_of_[model]; }

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

  // Coefficient of variation of the items' NLL as one model's errors tell it.
  std::optional<double> CvOf(const VerdictModel& model, ItemSpread spread) const {
    const std::optional<double> n = model.counterpart_n ? model.counterpart_n : model.n;
    if (!model.counterpart || !model.counterpart_error || !n) return std::nullopt;
    const double sd = *model.counterpart_error * std::sqrt(*n);
    if (means_->of == AllTokensOf::kNll) {
      if (scale_ != LawScale::kValue && scale_ != LawScale::kNegated) return std::nullopt;
      return *model.counterpart == 0 ? std::nullopt
                                     : std::optional(sd / std::abs(*model.counterpart));
    }
    // Of right units the variance over items is that of counts, and more where items differ.
    const auto quantity =
        ToLawQuantity(*series_.counterpart, scale_, CounterpartUnitLength(series_),
                      *model.counterpart, std::nullopt);
    const double length = means_->length;
    if (!quantity.ok() || !(length > 1)) return std::nullopt;
    const double mean = std::exp(-std::exp(quantity->log_q));
    const CurveMetric& counterpart = *series_.counterpart;
    const double range = CounterpartUnitLength(series_)
                             ? *CounterpartUnitLength(series_)
                             : counterpart.upper_bound - counterpart.lower_bound;
    const double counts = std::pow(sd / range * length, 2);
    const double excess = (counts - length * mean * (1 - mean)) / (length * (length - 1));
    return CvOfShares(spread, mean, std::min(mean, mean * mean + excess));
  }

  // How the items' difficulty may be spread: one cv for all scales, the middle one, or several
  // where no standard error tells it.
  std::vector<ItemDifficulty> Difficulties() const {
    std::vector<ItemDifficulty> difficulties;
    for (const ItemSpread spread : kItemSpreads) {
      std::vector<double> cvs;
      for (const VerdictModel& model : series_.models) {
        if (const auto cv = CvOf(model, spread)) cvs.push_back(*cv);
      }
      if (cvs.empty()) continue;
      const auto middle = cvs.begin() + static_cast<ptrdiff_t>(cvs.size() / 2);
      std::nth_element(cvs.begin(), middle, cvs.end());
      difficulties.push_back({spread, *middle});
    }
    if (!difficulties.empty()) return difficulties;
    for (const double cv : kUnknownCvs) difficulties.push_back({ItemSpread::kGamma, cv});
    return difficulties;
  }

  // Those under which each model below `limit` composes to what was measured of it, at this level;
  // where none is, all of moderate spread.
  std::vector<ItemDifficulty> FittingDifficulties(double limit, double level) const {
    if (!means_) return {};
    const std::vector<ItemDifficulty> all = Difficulties();
    std::vector<ItemDifficulty> fitting;
    for (const ItemDifficulty& one : all) {
      bool fits = true;
      for (size_t i = 0; fits && i < result_.law_points.size(); ++i) {
        const size_t model = result_.law_models[i];
        if (!(SizeOf(model) < limit)) continue;
        const LawPoint& own = result_.law_points[i];
        const auto share = Compose(model, own.y, std::sqrt(own.variance), level, {&one, 1});
        fits = !share || IsInside(*series_.models[model].value, *share);
      }
      if (fits) fitting.push_back(one);
    }
    if (!fitting.empty()) return fitting;
    for (const ItemDifficulty& one : all) {
      if (one.spread == ItemSpread::kLogNormal || one.spread == ItemSpread::kGamma) {
        fitting.push_back(one);
      }
    }
    return fitting;
  }

  static bool IsInside(double value, const PredictedShare& share) {
    return value >= share.lower - kRounding && value <= share.upper + kRounding;
  }

  // What ln q, known to `sd`, composes to for one model.
  std::optional<PredictedShare> Compose(size_t model, double log_q, double sd, double level,
                                        std::span<const ItemDifficulty> difficulties) const {
    if (!means_ || !series_.models[model].value || !std::isfinite(log_q)) return std::nullopt;
    AllTokensInput input;
    input.of = means_->of;
    input.log_q = log_q;
    input.sd = sd;
    input.length = means_->length;
    input.n = series_.models[model].n;
    PredictedShare share = PredictAllTokens(input, difficulties, level);
    if (!input.n && series_.models[model].standard_error) {
      // Sampling error without a count: added to both sides.
      const double z = NormalUpperQuantile((1 - level) / 2) * *series_.models[model].standard_error;
      share.lower = std::max(0.0, share.lower - z);
      share.upper = std::min(1.0, share.upper + z);
    }
    return share;
  }

  // The law up to and including the first size at the ceiling of the metric: beyond, NLLs scatter
  // by factors and hide a break.
  absl::Status FitCutLaw() {
    if (!law_ || !result_.shape || !result_.shape->has_ceiling) return absl::OkStatus();
    const double limit = std::log(curve_[result_.shape->ceiling].scale);
    std::vector<LawPoint> cut;
    for (const LawPoint& point : result_.law_points) {
      if (point.x <= limit) cut.push_back(point);
    }
    if (DistinctX(cut) < kVerdictMinScales || cut.size() == result_.law_points.size()) {
      return absl::OkStatus();
    }
    auto law = SlopeBreak::Create(cut, {options_.seed, options_.replicates});
    if (!law.ok()) return law.status();
    cut_law_ = law->evidence();
    return absl::OkStatus();
  }

  // The items of some of the models, and what they compose to.
  struct ItemFamily {
    std::optional<ItemComposition> composition;
    // Models that have items, and by model their place among these.
    std::vector<size_t> models;
    std::map<size_t, size_t> place;
  };

  // Of the models below `limit`.
  absl::StatusOr<ItemFamily> ItemsBelow(double limit) const {
    ItemFamily family;
    if (series_.composition == Composition::kNone) return family;
    std::vector<ItemColumns> columns;
    for (const VerdictScale& at : result_.scales) {
      const auto& items = series_.models[at.model].items;
      if (!items || items->log_p.empty() || !(SizeOf(at.model) < limit)) continue;
      family.place[at.model] = columns.size();
      family.models.push_back(at.model);
      columns.push_back({items->log_p, items->scores});
    }
    if (columns.empty()) return family;
    auto made = ItemComposition::Create(columns, series_.is_greedy || IsArgmax());
    // Too few models for a link: the means have to do.
    if (made.status().code() == absl::StatusCode::kFailedPrecondition) return ItemFamily{};
    if (!made.ok()) return made.status();
    family.composition.emplace(*std::move(made));
    return family;
  }

  // Whether the gold has to beat other choices: which log p of it suffices is not known from log p,
  // but from the other models' items, or from the margins.
  bool IsArgmax() const { return series_.composition == Composition::kArgmax; }

  // Mean margins over the margins' standard deviation, z, of the models that have one, as points of
  // a law of -z, and their models. Known by its properties: the gold against wrong choices, without
  // bounds, so that 0 is where it starts to win.
  struct Margins {
    std::vector<LawPoint> points;
    std::vector<size_t> models;
  };

  Margins MarginsBelow(double limit) const {
    Margins margins;
    if (!IsArgmax()) return margins;
    const auto margin =
        std::find_if(series_.others.begin(), series_.others.end(), [](const VerdictOther& other) {
          return other.metric.continuous && other.metric.uses_wrong_choices &&
                 other.metric.higher_is_better && std::isinf(other.metric.lower_bound) &&
                 std::isinf(other.metric.upper_bound);
        });
    if (margin == series_.others.end()) return margins;
    for (const VerdictScale& at : result_.scales) {
      const VerdictModel& model = series_.models[at.model];
      const std::optional<double>& mean = margin->values[at.model];
      const std::optional<double>& error = margin->standard_errors[at.model];
      const std::optional<double> n = model.counterpart_n ? model.counterpart_n : model.n;
      if (!(SizeOf(at.model) < limit) || !mean || !error || !(*error > 0) || !n) continue;
      const double z = *mean / (*error * std::sqrt(*n));
      margins.points.push_back({std::log(SizeOf(at.model)), -z, (1 + z * z / 2) / *n});
      margins.models.push_back(at.model);
    }
    return margins;
  }

  // What a mean margin composes to for one model.
  PredictedShare ComposeMargin(size_t model, double z, double sd, double level,
                               std::span<const MarginSpread> spreads) const {
    return PredictArgmax(z, sd, spreads, series_.models[model].n, level);
  }

  // The distributions under which each model's margin composes to what was measured of it; where
  // none is, all: what is spread in a margin, the gold's log p or the rivals', changes with scale.
  std::vector<MarginSpread> FittingSpreads(const Margins& margins, double level) const {
    std::vector<MarginSpread> fitting;
    for (const MarginSpread spread : kMarginSpreads) {
      bool fits = true;
      for (size_t i = 0; fits && i < margins.models.size(); ++i) {
        const auto& value = series_.models[margins.models[i]].value;
        const LawPoint& own = margins.points[i];
        fits =
            !value || IsInside(*value, ComposeMargin(margins.models[i], -own.y,
                                                     std::sqrt(own.variance), level, {&spread, 1}));
      }
      if (fits) fitting.push_back(spread);
    }
    if (!fitting.empty()) return fitting;
    return {kMarginSpreads.begin(), kMarginSpreads.end()};
  }

  // Choices without items: the margins' own smooth law, composed; held out, from those below
  // `limit`.
  absl::Status PredictByMargins(double limit, double level) {
    constexpr double kAll = std::numeric_limits<double>::infinity();
    const bool is_forecast = limit < kAll;
    const Margins margins = MarginsBelow(limit);
    if (DistinctX(margins.points) < (is_forecast ? 4 : kVerdictMinScales)) return absl::OkStatus();
    const auto law = SlopeBreak::Create(margins.points, {options_.seed, 0});
    if (!law.ok()) return law.status();
    const std::vector<MarginSpread> spreads = FittingSpreads(margins, level);
    has_margins_ = true;
    for (VerdictScale& at : result_.scales) {
      if (!series_.models[at.model].value || (is_forecast && !at.held_out)) continue;
      const SmoothPrediction smooth = law->PredictSmooth(std::log(SizeOf(at.model)));
      if (!std::isfinite(smooth.mean)) continue;
      (is_forecast ? at.forecast : at.predicted) =
          ComposeMargin(at.model, -smooth.mean, std::hypot(smooth.law_sd, smooth.scatter),
                        kVerdictBandLevel, spreads);
    }
    if (is_forecast) return absl::OkStatus();
    for (VerdictScale& at : result_.scales) {
      const auto found = std::find(margins.models.begin(), margins.models.end(), at.model);
      if (found == margins.models.end() || !series_.models[at.model].value) continue;
      const LawPoint& own = margins.points[static_cast<size_t>(found - margins.models.begin())];
      at.composed = ComposeMargin(at.model, -own.y, std::sqrt(own.variance), level, spreads);
    }
    return absl::OkStatus();
  }

  // ln q of a model, as measured.
  std::optional<double> OwnLogQ(size_t model) const {
    const auto found = std::find(result_.law_models.begin(), result_.law_models.end(), model);
    if (found == result_.law_models.end()) return std::nullopt;
    return result_.law_points[static_cast<size_t>(found - result_.law_models.begin())].y;
  }

  // Items that the share of a model is measured on.
  std::optional<double> ItemsOf(size_t model) const {
    const VerdictModel& one = series_.models[model];
    if (one.n || !one.items || one.items->log_p.empty()) return one.n;
    return static_cast<double>(one.items->log_p.size());
  }

  // What the law says of a model: by the items of the nearest model of the family, or by means.
  std::optional<PredictedShare> PredictOne(const SlopeBreak& law, size_t model, double level,
                                           const ItemFamily& family,
                                           std::span<const ItemDifficulty> difficulties) const {
    const double x = std::log(SizeOf(model));
    const SmoothPrediction smooth = law.PredictSmooth(x);
    const double sd = std::hypot(smooth.law_sd, smooth.scatter);
    std::optional<size_t> donor;
    double distance = 0;
    if (family.composition && series_.models[model].value && std::isfinite(smooth.mean)) {
      for (const size_t other : family.models) {
        if (!OwnLogQ(other)) continue;
        const double away = other == model ? -1 : std::abs(std::log(SizeOf(other)) - x);
        // Of two as near the larger one.
        if (!donor || away <= distance) {
          donor = other;
          distance = away;
        }
      }
    }
    if (!donor) return Compose(model, smooth.mean, sd, level, difficulties);
    const auto own = family.place.find(model);
    return family.composition->Predict(
        family.place.at(*donor),
        own == family.place.end() ? std::nullopt : std::optional(own->second),
        smooth.mean - *OwnLogQ(*donor), sd, ItemsOf(model), level);
  }

  absl::Status Predict() {
    constexpr double kAll = std::numeric_limits<double>::infinity();
    auto family = ItemsBelow(kAll);
    if (!family.ok()) return family.status();
    items_ = *std::move(family);
    const double level = 1 - (1 - kVerdictBandLevel) / static_cast<double>(result_.scales.size());
    result_.difficulties = FittingDifficulties(kAll, level);
    const std::vector<ItemDifficulty>& difficulties = result_.difficulties;
    for (VerdictScale& at : result_.scales) {
      if (law_) {
        at.predicted = PredictOne(*law_, at.model, kVerdictBandLevel, items_, difficulties);
      }
      const auto own_items = items_.place.find(at.model);
      if (items_.composition && own_items != items_.place.end() && series_.models[at.model].value) {
        at.composed = items_.composition->Predict(own_items->second, own_items->second, 0, 0,
                                                  ItemsOf(at.model), level);
        continue;
      }
      const auto found = std::find(result_.law_models.begin(), result_.law_models.end(), at.model);
      if (found == result_.law_models.end()) continue;
      const LawPoint& own =
          result_.law_points[static_cast<size_t>(found - result_.law_models.begin())];
      at.composed = Compose(at.model, own.y, std::sqrt(own.variance), level, difficulties);
    }
    if (!items_.composition) {
      if (absl::Status status = PredictByMargins(kAll, level); !status.ok()) return status;
    }
    if (!law_) return absl::OkStatus();
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
    // Neither items nor answers of those held out: they are what is to be predicted.
    const auto below = ItemsBelow(limit);
    if (!below.ok()) return below.status();
    const std::vector<ItemDifficulty> below_difficulties = FittingDifficulties(limit, level);
    for (VerdictScale& at : result_.scales) {
      at.held_out = SizeOf(at.model) >= limit;
      if (at.held_out) {
        at.forecast = PredictOne(*law, at.model, kVerdictBandLevel, *below, below_difficulties);
      }
    }
    if (has_margins_) return PredictByMargins(limit, level);
    return absl::OkStatus();
  }

  // Mean of a part over the models of a size that have it.
  std::optional<double> PartAt(const VerdictPart& part, const Size& size) const {
    double sum = 0;
    double n = 0;
    for (const size_t model : size.models) {
      if (part.models[model].n == 0) continue;
      sum += part.models[model].mean;
      n += 1;
    }
    return n > 0 ? std::optional(sum / n) : std::nullopt;
  }

  // What a part loses from its first size up to the first one at the ceiling, over all items;
  // nothing where it rises.
  double FallOf(const VerdictPart& part) const {
    const double limit = result_.shape ? curve_[result_.shape->ceiling].scale : sizes_.back().scale;
    std::optional<double> first;
    double last = 0;
    for (const Size& size : sizes_) {
      if (first && size.scale > limit) break;
      const std::optional<double> value = PartAt(part, size);
      if (!value) continue;
      if (!first) first = value;
      last = *value;
    }
    return first ? part.item_share * std::max(0.0, *first - last) : 0;
  }

  absl::Status TestParts() {
    if (series_.parts.empty() || sizes_.size() < kBreakMinScales) return absl::OkStatus();
    std::vector<double> x;
    for (size_t i = 0; i < series_.models.size(); ++i) x.push_back(std::log(SizeOf(i)));
    std::map<std::string, double> falls;
    for (const VerdictPart& part : series_.parts) falls[AlignmentOf(part)] += FallOf(part);
    std::vector<PartCurve> curves;
    std::vector<size_t> places;
    for (size_t i = 0; i < series_.parts.size(); ++i) {
      const VerdictPart& part = series_.parts[i];
      const double fall = FallOf(part);
      if (fall == 0 || fall < kTestedShare * falls[AlignmentOf(part)]) continue;
      curves.push_back({part.models, part.chance, part.is_generated});
      places.push_back(i);
    }
    auto tests = FindPartBreaks(curves, x, {options_.seed, options_.replicates});
    if (!tests.ok()) return tests.status();
    for (size_t k = 0; k < tests->size(); ++k) {
      const size_t i = places[k];
      const VerdictPart& part = series_.parts[i];
      const PartTest& test = (*tests)[k];
      if (test.is_tested && part.position) {
        (part.is_generated ? generated_positions_tested_ : positions_tested_) = true;
      }
      if (test.is_tested && AlignmentOf(part) == GainAlignment()) gain_groups_tested_ = true;
      if (!(test.q_value < kPartBreakQ) || !test.x) continue;
      const std::string alignment = AlignmentOf(part);
      const double fall = falls[alignment];
      const VerdictBreak found = {i, std::exp(*test.x), test.p_value, test.q_value,
                                  fall > 0 ? FallOf(part) / fall : 0};
      breaks_by_alignment_[alignment].push_back(found);
      if (!test.same_as) result_.breaks.push_back(found);
    }
    // What is seen in generated text does not count where the same was looked at under teacher
    // forcing: a greedy answer's position is right or wrong, and as sharp as the whole.
    for (const auto& [alignment, found] : breaks_by_alignment_) {
      const bool is_generated = series_.parts[*found.front().part].is_generated;
      if (is_generated && positions_tested_) continue;
      double share = 0;
      for (const VerdictBreak& one : found) share += one.share_of_fall;
      const auto rank = [](double carried, bool generated) {
        return std::tuple(carried >= kMaterialShare - kRounding, !generated, carried);
      };
      if (part_breaks_ != nullptr &&
          rank(share, is_generated) <= rank(part_share_, part_breaks_are_generated_)) {
        continue;
      }
      part_breaks_ = &found;
      part_breaks_are_generated_ = is_generated;
      part_share_ = share;
    }
    return absl::OkStatus();
  }

  bool PartBreaksAreMaterial() const {
    return part_breaks_ != nullptr && part_share_ >= kMaterialShare - kRounding;
  }

  static bool IsBreak(const BreakEvidence& law) {
    return law.p_resolved_break >= kBreakProbability && law.p_value < kBreakP;
  }

  // The mean's break, of the whole law or of that up to the ceiling.
  void FindMeanBreak() {
    if (law_ && result_.law->n_scales >= kVerdictMinScales) {
      if (IsBreak(*result_.law)) {
        mean_break_ = *result_.law;
      } else if (cut_law_ && IsBreak(*cut_law_)) {
        mean_break_ = *cut_law_;
      }
    }
    if (mean_break_) {
      result_.breaks.push_back({std::nullopt, std::exp(*mean_break_->break_x), mean_break_->p_value,
                                mean_break_->p_value, 1});
    }
    std::stable_sort(result_.breaks.begin(), result_.breaks.end(),
                     [](const VerdictBreak& a, const VerdictBreak& b) {
                       return std::tuple(a.q_value, a.p_value, a.part.has_value()) <
                              std::tuple(b.q_value, b.p_value, b.part.has_value());
                     });
  }

  // A counterpart at one size, larger being better.
  struct Level {
    double value = 0;
    // Absent where unknown.
    std::optional<double> error;
  };

  std::vector<std::optional<Level>> LevelsOf(
      bool higher_is_better, const std::vector<std::optional<double>>& values,
      const std::vector<std::optional<double>>& errors) const {
    std::vector<std::optional<Level>> levels;
    for (const Size& size : sizes_) {
      double sum = 0;
      double variance = 0;
      double n = 0;
      bool has_errors = true;
      for (const size_t model : size.models) {
        if (!values[model]) continue;
        sum += *values[model];
        variance += std::pow(errors[model].value_or(0), 2);
        has_errors = has_errors && errors[model].has_value();
        n += 1;
      }
      levels.emplace_back();
      if (n == 0) continue;
      levels.back() = Level{(higher_is_better ? 1 : -1) * sum / n, std::nullopt};
      if (has_errors) levels.back()->error = std::sqrt(variance) / n;
    }
    return levels;
  }

  // Two counterparts of which one gets worse at the end and the other does not.
  struct Conflict {
    size_t other = 0;
    bool primary_worsens = false;
    // Sizes: where the one that gets worse is best, and the last one.
    size_t from = 0;
    size_t to = 0;
    double change = 0;
    double errors = 0;
    double other_change = 0;
  };

  std::optional<Conflict> ConflictOf(const std::vector<std::optional<Level>>& worse,
                                     const std::vector<std::optional<Level>>& same) const {
    std::optional<size_t> best;
    size_t last = 0;
    double least = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < sizes_.size(); ++i) {
      if (!worse[i] || !same[i]) continue;
      if (!best || worse[i]->value > worse[*best]->value) best = i;
      least = std::min(least, worse[i]->value);
      last = i;
    }
    if (!best || *best == last) return std::nullopt;
    const Level& top = *worse[*best];
    const Level& end = *worse[last];
    if (!top.error || !end.error || !same[*best]->error || !same[last]->error) return std::nullopt;
    const double fall = top.value - end.value;
    const double error = std::hypot(*top.error, *end.error);
    if (fall < kWorseShare * (top.value - least) || !(fall > kWorseErrors * error)) {
      return std::nullopt;
    }
    const double change = same[last]->value - same[*best]->value;
    if (change < -kSameErrors * std::hypot(*same[*best]->error, *same[last]->error)) {
      return std::nullopt;
    }
    return Conflict{.from = *best,
                    .to = last,
                    .change = -fall,
                    .errors = error > 0 ? fall / error : std::numeric_limits<double>::infinity(),
                    .other_change = change};
  }

  void FindConflict() {
    if (!series_.counterpart) return;
    std::vector<std::optional<double>> values;
    std::vector<std::optional<double>> errors;
    for (const VerdictModel& model : series_.models) {
      values.push_back(model.counterpart);
      errors.push_back(model.counterpart_error);
    }
    const auto primary = LevelsOf(series_.counterpart->higher_is_better, values, errors);
    for (size_t i = 0; i < series_.others.size(); ++i) {
      const VerdictOther& other = series_.others[i];
      const auto levels =
          LevelsOf(other.metric.higher_is_better, other.values, other.standard_errors);
      for (const bool primary_worsens : {true, false}) {
        auto conflict = primary_worsens ? ConflictOf(primary, levels) : ConflictOf(levels, primary);
        if (!conflict || (conflict_ && conflict->errors <= conflict_->errors)) continue;
        conflict->other = i;
        conflict->primary_worsens = primary_worsens;
        conflict_ = conflict;
      }
    }
  }

  // The position whose NLL rises most between the conflict's two sizes.
  std::string WhereItWorsens(const Conflict& conflict) const {
    const VerdictPart* most = nullptr;
    double largest = 0;
    for (const VerdictPart& part : series_.parts) {
      if (part.is_generated || !part.position) continue;
      const auto from = PartAt(part, sizes_[conflict.from]);
      const auto to = PartAt(part, sizes_[conflict.to]);
      if (!from || !to || part.item_share * (*to - *from) <= largest) continue;
      largest = part.item_share * (*to - *from);
      most = &part;
    }
    return most == nullptr ? ""
                           : fmt::format(
                                 "; of the positions the {} gets worse most, by {:.2g} nats "
                                 "of each item",
                                 NameOf(*most), largest);
  }

  void AddConflict(bool is_lead) {
    const VerdictOther& other = series_.others[conflict_->other];
    const std::string primary =
        series_.counterpart_name.empty() ? "the counterpart" : series_.counterpart_name;
    const std::string second = other.name.empty() ? "another counterpart" : other.name;
    const std::string& worse = conflict_->primary_worsens ? primary : second;
    const std::string& better = conflict_->primary_worsens ? second : primary;
    std::string text = fmt::format(
        "counterparts contradict each other: from scale {} to {} {} gets worse by {:.3g} "
        "({:.1f} standard errors), while {} {}{}",
        ScaleText(sizes_[conflict_->from].scale), ScaleText(sizes_[conflict_->to].scale), worse,
        -conflict_->change, conflict_->errors, better,
        conflict_->other_change > 0 ? "gets better" : "does not", WhereItWorsens(*conflict_));
    std::vector<std::pair<std::string_view, double>> values = {
        {"from_scale", sizes_[conflict_->from].scale},
        {"to_scale", sizes_[conflict_->to].scale},
        {"change", conflict_->change},
        {"standard_errors", conflict_->errors}};
    if (is_lead) {
      Lead("COUNTERPARTS_DISAGREE", std::move(text), std::move(values));
    } else {
      Add("COUNTERPARTS_DISAGREE", std::move(text), std::move(values));
    }
  }

  absl::Status FindModes() {
    for (const Size& size : sizes_) {
      std::vector<SeedValue> values;
      for (const size_t i : size.models) {
        const VerdictModel& model = series_.models[i];
        if (model.value) values.push_back({*model.value, model.standard_error.value_or(0)});
      }
      auto modes = FindSeedModes(values, MetricRange(), series_.metric.higher_is_better);
      if (!modes.ok()) return modes.status();
      if (modes->is_bimodal) modes_.emplace_back(size.scale, *modes);
    }
    return absl::OkStatus();
  }

  // What is worth knowing beside the verdict.
  void AddPlateausAndSeeds() {
    const CurveShape& shape = *result_.shape;
    if (shape.has_ceiling && RiseIsSignificant()) {
      Add("CEILING",
          fmt::format("{} scales from {} on are at the ceiling: the rise ends there, and they say "
                      "nothing of it",
                      shape.n_at_ceiling, ScaleText(curve_[shape.ceiling].scale)),
          {{"scales", static_cast<double>(shape.n_at_ceiling)},
           {"from_scale", curve_[shape.ceiling].scale}});
    }
    for (const auto& [scale, modes] : modes_) {
      Add("BIMODAL_SEEDS",
          fmt::format("at scale {} {} of {} seeds reach {:.3g}, the others {:.3g}: a threshold "
                      "that seeds pass or not, with P(success) {:.2f} ({:.2f} to {:.2f})",
                      ScaleText(scale), modes.n_better, modes.n, modes.better_mean,
                      modes.worse_mean, modes.share_better, modes.share_lower, modes.share_upper),
          {{"scale", scale},
           {"seeds", static_cast<double>(modes.n)},
           {"p_success", modes.share_better},
           {"p_success_lower", modes.share_lower},
           {"p_success_upper", modes.share_upper}});
    }
  }

  void AddLink() {
    if (!items_.composition || items_.composition->deviations().empty()) return;
    const auto deviations = items_.composition->deviations();
    const auto most = std::max_element(deviations.begin(), deviations.end(),
                                       [](const LinkDeviation& a, const LinkDeviation& b) {
                                         return std::abs(a.z) < std::abs(b.z);
                                       });
    const double scale = SizeOf(items_.models[most->model]);
    const double scatter = items_.composition->Heterogeneity(std::nullopt);
    Add("ITEM_LINK",
        fmt::format(
            "{}: what each item's log p composes to is taken from the other models' items; "
            "furthest off is scale {}, {:.3g} measured and {:.3g} expected ({:.1f} standard "
            "errors); models scatter about it by {:.0f} % of their NLL",
            IsArgmax() ? "choices" : "greedy answers", ScaleText(scale), most->mean_score,
            most->mean_link, std::abs(most->z), 100 * scatter),
        {{"scale", scale},
         {"measured", most->mean_score},
         {"expected", most->mean_link},
         {"standard_errors", most->z},
         {"scatter", scatter}});
  }

  // The parts that break, as one reason; another one where they break one after the other.
  void AddPartBreaks(bool is_lead) {
    if (part_breaks_ == nullptr) return;
    std::vector<VerdictBreak> found = *part_breaks_;
    std::stable_sort(found.begin(), found.end(), [](const VerdictBreak& a, const VerdictBreak& b) {
      return a.share_of_fall > b.share_of_fall;
    });
    constexpr size_t kMostNamed = 4;
    std::string names;
    double q = 1;
    for (size_t i = 0; i < found.size(); ++i) {
      q = std::min(q, found[i].q_value);
      if (i >= kMostNamed) continue;
      names += fmt::format("{}{} near scale {} ({:.0f} % of the fall)", i == 0 ? "" : ", ",
                           NameOf(series_.parts[*found[i].part]), ScaleText(found[i].scale),
                           100 * found[i].share_of_fall);
    }
    if (found.size() > kMostNamed) names += fmt::format(" and {} more", found.size() - kMostNamed);
    const std::vector<std::pair<std::string_view, double>> values = {
        {"breaks", static_cast<double>(found.size())},
        {"share_of_fall", part_share_},
        {"scale", found.front().scale},
        {"q_value", q}};
    const std::string_view seen = part_breaks_are_generated_ ? "generated text" : "the counterpart";
    const bool has_position = series_.parts[*found.front().part].position.has_value();
    if (!PartBreaksAreMaterial()) {
      Add("MINOR_POSITION_BREAK",
          fmt::format("{} breaks in parts that carry {:.0f} % of the fall, too little to make the "
                      "rise: {}",
                      seen, 100 * part_share_, names),
          values);
      return;
    }
    const std::string_view code = has_position ? "POSITION_BREAKS" : "STRATUM_BREAKS";
    std::string text =
        fmt::format("{} breaks {}: {}", seen,
                    has_position ? "at single positions" : "in groups of items", names);
    if (is_lead) {
      Lead(code, std::move(text), values);
    } else {
      Add(code, std::move(text), values);
    }
    AddStaggered();
  }

  // Whether the breaks of one alignment (or of the strata) come one after the other, in whichever
  // that is seen.
  void AddStaggered() {
    for (const auto& [is_position, from_end] :
         {std::pair(true, true), std::pair(true, false), std::pair(false, false)}) {
      double least = std::numeric_limits<double>::infinity();
      double most = 0;
      for (const VerdictBreak& found : result_.breaks) {
        if (!found.part) continue;
        const VerdictPart& part = series_.parts[*found.part];
        if (part.position.has_value() != is_position || part.from_end != from_end) continue;
        least = std::min(least, found.scale);
        most = std::max(most, found.scale);
      }
      const bool is_staggered = std::any_of(sizes_.begin(), sizes_.end(), [&](const Size& size) {
        return size.scale > least && size.scale < most;
      });
      if (!is_staggered) continue;
      Add("STAGGERED_BREAKS",
          fmt::format("{} break one after the other, between scales {} and {}: the mean over all "
                      "parts, which looks smoother, is their sum",
                      !is_position ? "groups of items"
                      : from_end   ? "positions counted from the end"
                                   : "positions",
                      ScaleText(least), ScaleText(most)),
          {{"least_scale", least}, {"most_scale", most}});
      return;
    }
  }

  std::string ScaleText(double scale) const {
    return series_.scale_text ? series_.scale_text(scale) : fmt::format("{:.4g}", scale);
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
      if (!IsInside(*value, *predicted)) {
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
    Agreement composed = AgreementOf(&VerdictScale::composed);
    if (items_.composition && items_.composition->Heterogeneity(std::nullopt) > kMaxLinkScatter) {
      composed.holds = false;
    }
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
      AddPlateausAndSeeds();
      AddPartBreaks(false);
      return;
    }
    if (!shape.is_emergent) {
      Say(Verdict::kSmooth);
      Add("GRADUAL",
          fmt::format("the curve has no sudden rise: {:.2f} in all, {:.0f} % of it in the first 40 "
                      "% of the scales",
                      shape.rise, 100 * shape.h40.value_or(0)),
          {{"rise", shape.rise}, {"h40", shape.h40.value_or(0)}});
      AddPlateausAndSeeds();
      if (conflict_) AddConflict(false);
      AddPartBreaks(false);
      return Strengthen();
    }
    Add("EMERGENT_SHAPE",
        fmt::format("the curve rises by {:.2f}, {:.0f} % of it in the first 40 % of the scales",
                    shape.rise, 100 * std::max(0.0, shape.h40.value_or(0))),
        {{"rise", shape.rise}, {"h40", shape.h40.value_or(0)}});
    AddPlateausAndSeeds();
    AddLink();
    if (conflict_) {
      Say(Verdict::kMixed);
      AddConflict(true);
      AddPartBreaks(false);
      return Strengthen();
    }
    const bool has_law = law_ && result_.law->n_scales >= kVerdictMinScales;
    const std::optional<LawPoint> before = LawAt(curve_[BeforeTakeOff()].scale);
    const std::optional<LawPoint> after = LawAt(curve_[shape.ceiling].scale);
    if (has_law && before && after &&
        after->y - before->y > 1.645 * std::sqrt(before->variance + after->variance)) {
      Say(Verdict::kMixed);
      Lead("COUNTERPART_WORSENS",
           "the counterpart gets worse where the metric takes off: they contradict each other",
           {{"change_of_log", after->y - before->y}});
      return Strengthen();
    }
    if (mean_break_ || PartBreaksAreMaterial()) {
      Say(Verdict::kBreakSurvives);
      AddPartBreaks(true);
      if (mean_break_) {
        Lead("LAW_BREAKS",
             fmt::format("the counterpart's scaling law breaks too, near scale {}: its "
                         "exponent rises by {:.2f} ({:.2f} to {:.2f})",
                         ScaleText(std::exp(*mean_break_->break_x)), mean_break_->rise_median,
                         mean_break_->rise_lower, mean_break_->rise_upper),
             ValuesOf(*mean_break_));
      }
      if (n_replicates_ < 2) {
        Add("SINGLE_SEED", "one training a size: a threshold that seeds reach by luck looks alike");
      }
      return Strengthen();
    }
    if (!has_law) {
      Lead("NO_COUNTERPART", !series_.counterpart
                                 ? "the rise is sudden, and no continuous counterpart is there"
                                 : "the rise is sudden, and too few scales have a counterpart that "
                                   "a law can be fitted to");
      AddPartBreaks(false);
      return;
    }
    const BreakEvidence& law = *result_.law;
    const std::vector<std::pair<std::string_view, double>> values = ValuesOf(law);
    AddPartBreaks(false);
    const Agreement forecast = AgreementOf(&VerdictScale::forecast);
    const bool excludes_flat = ForecastExcludesFlat();
    const auto rules_out = [](const BreakEvidence& one) {
      return one.p_break <= kNoBreakProbability && one.p_rise <= kWideRiseProbability;
    };
    const bool is_smooth = rules_out(law) && (!cut_law_ || rules_out(*cut_law_));
    if (is_smooth && composed.exists && composed.holds && forecast.exists && forecast.holds &&
        excludes_flat) {
      // Of a curve that the law explains the law tells the shape without the noise of sampling.
      const std::optional<double> h40 = PredictedH40();
      if (h40 && *h40 > kEmergentMaxH40) {
        Say(Verdict::kSmooth);
        Lead("GRADUAL",
             fmt::format("the counterpart's smooth law predicts the curve, and as a gradual one: "
                         "{:.0f} % of its rise in the first 40 % of the scales; that less was "
                         "measured there is within its errors",
                         100 * *h40),
             {{"h40", *h40}});
        return Strengthen();
      }
      if (const auto jump = SpreadJump()) return AddSpreadJump(*jump);
      Say(Verdict::kMirage);
      if (has_margins_) {
        Add("MARGIN_SPREAD",
            "choices are composed from the mean margin and its spread over items: means leave open "
            "how margins are distributed, the items would tell");
      }
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
           items_.composition
               ? "the counterpart's law is smooth, but the items' log p do not compose to the "
                 "metric that was measured"
               : "the counterpart's law is smooth, but does not compose to the metric that was "
                 "measured: per-sample results would tell why",
           values);
    } else {
      Lead(
          "NOT_PREDICTED",
          "the counterpart's law is smooth and agrees, but the smaller models do not rule out that "
          "the metric stays flat: more scales below the rise would settle it",
          values);
    }
  }

  // h40 of what the law of all models predicts, over the window of the curve.
  std::optional<double> PredictedH40() const {
    std::vector<CurvePoint> predicted;
    for (size_t i = 0; i <= result_.shape->ceiling; ++i) {
      double sum = 0;
      double n = 0;
      for (const VerdictScale& at : result_.scales) {
        if (!at.predicted || SizeOf(at.model) != curve_[i].scale) continue;
        sum += at.predicted->value;
        n += 1;
      }
      if (n == 0) return std::nullopt;
      predicted.push_back({.scale = curve_[i].scale, .value = sum / n});
    }
    ShapeOptions options;
    options.higher_is_better = series_.metric.higher_is_better;
    options.metric_range = MetricRange();
    const auto shape = ShapeOf(predicted, options);
    return shape.ok() ? shape->h40 : std::nullopt;
  }

  // Where the spread of the items jumps, up to the first size at the ceiling; not asked where
  // groups of them were looked at.
  std::optional<HeterogeneityJump> SpreadJump() const {
    if (gain_groups_tested_) return std::nullopt;
    if (scale_ != LawScale::kValue && scale_ != LawScale::kNegated) return std::nullopt;
    const double limit =
        result_.shape->has_ceiling ? curve_[result_.shape->ceiling].scale : sizes_.back().scale;
    std::vector<ModelSpread> models;
    for (size_t i = 0; i < series_.models.size(); ++i) {
      const VerdictModel& model = series_.models[i];
      const std::optional<double> n = model.counterpart_n ? model.counterpart_n : model.n;
      if (SizeOf(i) > limit || !model.counterpart || !model.counterpart_error || !n) continue;
      models.push_back(
          {std::log(SizeOf(i)), std::abs(*model.counterpart), *model.counterpart_error, *n});
    }
    return FindHeterogeneityJump(models);
  }

  void AddSpreadJump(const HeterogeneityJump& jump) {
    Lead("HETEROGENEITY_JUMPS",
         fmt::format(
             "the counterpart's mean is smooth and predicts the curve, but the spread of its "
             "items grows by a factor of {:.2g} between scales {} and {}: part of the items "
             "may break there. Per-sample results, or groups of documents, would settle it",
             jump.ratio, ScaleText(std::exp(jump.from)), ScaleText(std::exp(jump.to))),
         {{"ratio", jump.ratio},
          {"from_scale", std::exp(jump.from)},
          {"to_scale", std::exp(jump.to)}});
  }

  static std::vector<std::pair<std::string_view, double>> ValuesOf(const BreakEvidence& law) {
    return {{"p_break", law.p_break},
            {"p_rise", law.p_rise},
            {"rise", law.rise_median},
            {"rise_lower", law.rise_lower},
            {"rise_upper", law.rise_upper},
            {"sup_f_p", law.p_value},
            {"scatter", law.tau}};
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
    if (result_.verdict == Verdict::kMirage && !positions_tested_) {
      cap(Strength::kModerate);
      if (generated_positions_tested_) {
        Add("GENERATED_PARTS_ONLY",
            "positions of the targets were looked at in generated text alone, where errors carry "
            "on: token log-probabilities would say more");
      } else {
        Add("MEANS_ONLY",
            fmt::format("positions of the targets {}were not looked at: a smooth mean can hide "
                        "breaks there",
                        gain_groups_tested_ ? "" : "and groups of items "));
      }
    }
    if (result_.verdict == Verdict::kMirage && part_breaks_ != nullptr) cap(Strength::kModerate);
    if (result_.verdict == Verdict::kBreakSurvives && !mean_break_ && part_breaks_are_generated_) {
      cap(Strength::kWeak);
      Add("GENERATED_PARTS_ONLY",
          "the breaks were seen in generated text alone, where errors carry on: token "
          "log-probabilities would say more");
    }
    // A link of choices is only as good as the models it was taken from; a contradiction has no
    // error rate that was measured.
    if (result_.verdict == Verdict::kMirage && IsArgmax()) cap(Strength::kModerate);
    if (result_.verdict == Verdict::kMixed) cap(Strength::kModerate);
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
  std::optional<MeansComposition> means_;
  std::optional<SlopeBreak> law_;
  std::vector<CurvePoint> curve_;
  Trend trend_;
  // Standard deviation of ln s between models, as the law has it.
  double scatter_ = kUnknownScatter;
  size_t n_replicates_ = 0;
  bool has_no_errors_ = false;
  bool has_margins_ = false;
  // By model.
  std::vector<double> scale_of_;
  std::optional<BreakEvidence> cut_law_;
  std::optional<BreakEvidence> mean_break_;
  ItemFamily items_;
  std::map<std::string, std::vector<VerdictBreak>> breaks_by_alignment_;
  // Of the alignment whose breaks carry most; null where none breaks.
  const std::vector<VerdictBreak>* part_breaks_ = nullptr;
  double part_share_ = 0;
  bool part_breaks_are_generated_ = false;
  bool positions_tested_ = false;
  bool generated_positions_tested_ = false;
  bool gain_groups_tested_ = false;
  std::optional<Conflict> conflict_;
  // By scale, where seeds fall into two modes.
  std::vector<std::pair<double, SeedModes>> modes_;
  VerdictResult result_;
};

}  // namespace

absl::StatusOr<VerdictResult> Judge(const VerdictSeries& series, const VerdictOptions& options) {
  for (size_t i = 0; i < series.models.size(); ++i) {
    if (absl::Status status = CheckModel(series.models[i], i); !status.ok()) return status;
    if (!series.models[i].items) continue;
    if (absl::Status status = CheckItems(*series.models[i].items, i); !status.ok()) return status;
  }
  for (size_t i = 0; i < series.parts.size(); ++i) {
    absl::Status status = CheckPart(series.parts[i], series.models.size(), i);
    if (!status.ok()) return status;
  }
  std::vector<PartCurve> curves;
  for (const VerdictPart& part : series.parts) {
    curves.push_back({part.models, part.chance, part.is_generated});
  }
  if (absl::Status status = CheckPartCurves(curves); !status.ok()) return status;
  for (size_t i = 0; i < series.others.size(); ++i) {
    absl::Status status = CheckOther(series.others[i], series.models.size(), i);
    if (!status.ok()) return status;
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

std::optional<double> CounterpartUnitLength(const VerdictSeries& series) {
  if (!series.counterpart) return std::nullopt;
  const CurveMetric& counterpart = *series.counterpart;
  // An error count per target is a share of its length.
  const bool counts_errors = counterpart.linear_in_token_error && !counterpart.higher_is_better &&
                             !series.counterpart_per_unit && counterpart.lower_bound == 0 &&
                             std::isinf(counterpart.upper_bound);
  return counts_errors ? series.target_length : std::nullopt;
}

std::optional<MeansComposition> MeansCompositionOf(const VerdictSeries& series) {
  if (series.composition != Composition::kAllTokens || !series.counterpart) return std::nullopt;
  MeansComposition means;
  const std::optional<double> unit = CounterpartUnitLength(series);
  if (series.counterpart_per_unit || unit) {
    if (!series.target_length) return std::nullopt;
    means.length = *series.target_length;
  }
  // A mean probability, or share of right units, is no mean NLL.
  const LawScale scale = LawScaleOf(*series.counterpart, unit);
  if (scale == LawScale::kLogRest || scale == LawScale::kLogShare) {
    means.of = AllTokensOf::kShareRight;
  }
  return means;
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
