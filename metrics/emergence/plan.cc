#include "metrics/emergence/plan.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
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
#include "metrics/emergence/item_composition.h"
#include "metrics/emergence/law_quantity.h"
#include "metrics/emergence/slope_break.h"
#include "metrics/emergence/verdict.h"
#include "metrics/stats/binomial_draw.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/parallel.h"
#include "metrics/stats/power.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

constexpr int kMaxDraws = 100'000;
// Draws of one step on one thread.
constexpr int kDrawsAStep = 4;
// Replicates of the break test within a draw: p-values down to .01 are enough for a bound of .05.
constexpr int kReplicates = 99;
// Of two places as good within this the smaller one is taken.
constexpr double kAsGood = 0.03;
// After so many more sizes with less than this share decided there is no hope.
constexpr size_t kHopelessScales = 2;
constexpr double kHopeless = 0.1;
// Sizes within this share are one, as in a verdict.
constexpr double kSameScale = 0.01;
// Scales of each strength, as in a verdict.
constexpr size_t kModerateScales = 7;
constexpr size_t kStrongScales = 9;
constexpr size_t kPlaces = 5;
// A break is suspected from this probability on.
constexpr double kSuspected = 0.1;
// Share of the range below which a value has no room above.
constexpr double kNoRoom = 0.05;
// Least share of draws that a further size must win.
constexpr double kGain = 0.05;
// Rounds without it that end a search.
constexpr size_t kRoundsWithoutGain = 2;
// Beyond this, n means: no test set.
constexpr double kMostItems = 4294967295.0;
// Spacing where one size alone says nothing of it.
const double kUsualGap = std::log(3.0);

// Streams of random numbers of one draw: the law, then one for each new model.
constexpr uint64_t kStreamsADraw = 64;
// Draws that choose are others than those that judge.
constexpr uint64_t kScreenStream = uint64_t{1} << 40;

double DrawNormal(CounterRng& rng) {
  // Away from 0, where the quantile is infinite.
  return NormalQuantile((std::floor(rng.Uniform() * 0x1p52) + 0.5) * 0x1p-52);
}

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Two significant digits.
double Rounded(double scale) {
  const double unit = std::pow(10, std::floor(std::log10(scale)) - 1);
  return std::round(scale / unit) * unit;
}

std::string CountText(double n) {
  return n >= 1e6 ? fmt::format("{:.2g}", n) : fmt::format("{:.0f}", n);
}

bool IsDecided(Verdict verdict) {
  return verdict != Verdict::kInsufficient && verdict != Verdict::kMixed;
}

// One size: its models' mean.
struct Size {
  double scale = 0;
  double value = 0;
  double n_models = 0;
};

std::vector<Size> SizesOf(const VerdictSeries& series, const VerdictResult& judged) {
  std::vector<Size> sizes;
  for (const VerdictScale& at : judged.scales) {
    const VerdictModel& model = series.models[at.model];
    if (!model.value) continue;
    if (sizes.empty() || model.scale > sizes.back().scale * (1 + kSameScale)) {
      sizes.push_back({model.scale, 0, 0});
    }
    Size& size = sizes.back();
    size.value += (*model.value - size.value) / (size.n_models + 1);
    size.n_models += 1;
  }
  return sizes;
}

// Draws models that do not exist yet.
class FutureModels {
 public:
  FutureModels(const VerdictSeries& series, const VerdictResult& judged)
      : series_(series), judged_(judged), sizes_(SizesOf(series, judged)) {}

  // Fits what is drawn from. Not OK where models or items are no evidence; a law may be missing.
  absl::Status Prepare() {
    TakeUsual();
    if (!judged_.difficulties.empty()) means_ = MeansCompositionOf(series_);
    if (absl::Status status = TakeItems(); !status.ok()) return status;
    if (!series_.counterpart || judged_.law_points.empty()) return absl::OkStatus();
    unit_ = CounterpartUnitLength(series_);
    scale_ = LawScaleOf(*series_.counterpart, unit_);
    auto law = SlopeBreak::Create(judged_.law_points, {.seed = 0, .replicates = 0});
    // All of one size.
    if (absl::IsFailedPrecondition(law.status())) return absl::OkStatus();
    if (!law.ok()) return law.status();
    law_.emplace(*std::move(law));
    std::vector<double> variances;
    variances.reserve(judged_.law_points.size());
    for (const LawPoint& point : judged_.law_points) variances.push_back(point.variance);
    variance_ = Median(std::move(variances));
    return absl::OkStatus();
  }

  bool has_law() const { return law_.has_value(); }
  bool composes() const { return items_.has_value() || means_.has_value(); }
  const SlopeBreak& law() const { return *law_; }
  const std::vector<Size>& sizes() const { return sizes_; }
  const std::optional<double>& usual_n() const { return usual_n_; }

  // What ln q composes to at ln(scale) = x; absent where nothing composes.
  std::optional<double> Composed(double x, double log_q) const {
    if (items_) {
      const size_t donor = DonorAt(x);
      return items_->MeanLink(donor, std::nullopt, log_q - donor_log_q_[donor]);
    }
    if (!means_) return std::nullopt;
    double sum = 0;
    for (const ItemDifficulty& difficulty : judged_.difficulties) {
      sum += ComposedShare(means_->of, difficulty, means_->length, std::exp(log_q));
    }
    return sum / static_cast<double>(judged_.difficulties.size());
  }

  // The least that a model's own mean composes to under the distributions of difficulty that the
  // judgement left; absent where items compose, or nothing does.
  std::optional<double> LeastComposed(size_t model) const {
    if (items_ || !means_) return std::nullopt;
    const auto found = std::find(judged_.law_models.begin(), judged_.law_models.end(), model);
    if (found == judged_.law_models.end()) return std::nullopt;
    const auto place = static_cast<size_t>(found - judged_.law_models.begin());
    double least = 1;
    for (const ItemDifficulty& difficulty : judged_.difficulties) {
      least = std::min(least, ComposedShare(means_->of, difficulty, means_->length,
                                            std::exp(judged_.law_points[place].y)));
    }
    return least;
  }

  // The series with a model at each of `scales`; without parts, which do not change whether it is
  // decided.
  VerdictSeries With(const std::vector<double>& scales, uint64_t seed, uint64_t draw) const {
    VerdictSeries more = series_;
    more.parts.clear();
    CounterRng law_rng(seed, draw * kStreamsADraw);
    const LawDraw law = law_->Draw(law_rng);
    for (size_t k = 0; k < scales.size(); ++k) {
      CounterRng rng(seed, draw * kStreamsADraw + 1 + k);
      more.models.push_back(Draw(law, scales[k], rng));
      for (VerdictOther& other : more.others) {
        other.values.emplace_back();
        other.standard_errors.emplace_back();
      }
    }
    return more;
  }

 private:
  void TakeUsual() {
    std::vector<double> ns;
    std::vector<double> counterpart_ns;
    std::vector<double> errors;
    for (const VerdictModel& model : series_.models) {
      if (model.n) ns.push_back(*model.n);
      if (model.counterpart_n) counterpart_ns.push_back(*model.counterpart_n);
      if (model.standard_error) errors.push_back(*model.standard_error);
    }
    if (!ns.empty()) usual_n_ = Median(std::move(ns));
    if (!counterpart_ns.empty()) usual_counterpart_n_ = Median(std::move(counterpart_ns));
    if (!errors.empty()) usual_error_ = Median(std::move(errors));
  }

  absl::Status TakeItems() {
    if (series_.composition == Composition::kNone) return absl::OkStatus();
    std::vector<ItemColumns> columns;
    for (size_t i = 0; i < judged_.law_points.size(); ++i) {
      const VerdictModel& model = series_.models[judged_.law_models[i]];
      if (!model.items || model.items->log_p.empty()) continue;
      columns.push_back({model.items->log_p, model.items->scores});
      donors_.push_back(model.items.get());
      donor_x_.push_back(judged_.law_points[i].x);
      donor_log_q_.push_back(judged_.law_points[i].y);
    }
    if (columns.empty()) return absl::OkStatus();
    auto made = ItemComposition::Create(
        columns, series_.is_greedy || series_.composition == Composition::kArgmax);
    // Too few models for a link: the means have to do.
    if (absl::IsFailedPrecondition(made.status())) return absl::OkStatus();
    if (!made.ok()) return made.status();
    items_.emplace(*std::move(made));
    return absl::OkStatus();
  }

  // The nearest model with items, of two as near the larger one.
  size_t DonorAt(double x) const {
    size_t donor = 0;
    for (size_t i = 1; i < donor_x_.size(); ++i) {
      if (std::abs(donor_x_[i] - x) <= std::abs(donor_x_[donor] - x)) donor = i;
    }
    return donor;
  }

  VerdictModel Draw(const LawDraw& law, double scale, CounterRng& rng) const {
    const double x = std::log(scale);
    double log_q = law.At(x) + law.tau * DrawNormal(rng);
    if (rng.Uniform() < kOutlierShare) log_q += kOutlierSd * DrawNormal(rng);
    const double measured = log_q + std::sqrt(variance_) * DrawNormal(rng);
    VerdictModel model;
    model.scale = scale;
    const LawValue counterpart =
        FromLawQuantity(*series_.counterpart, scale_, unit_, {measured, variance_});
    model.counterpart = counterpart.value;
    if (variance_ > 0) model.counterpart_error = counterpart.standard_error;
    model.counterpart_n = usual_counterpart_n_;
    model.n = usual_n_;
    if (items_) {
      DrawItems(x, measured, rng, model);
    } else if (means_) {
      // Which of the distributions of difficulty it is, nobody knows.
      const auto n_spreads = static_cast<double>(judged_.difficulties.size());
      const auto which = static_cast<size_t>(rng.Uniform() * n_spreads);
      SetValue(
          ComposedShare(means_->of, judged_.difficulties[which], means_->length, std::exp(log_q)),
          rng, model);
    } else {
      SetValue(OnCurve(x, law.tau * DrawNormal(rng)), rng, model);
    }
    return model;
  }

  void DrawItems(double x, double log_q, CounterRng& rng, VerdictModel& model) const {
    const size_t donor = DonorAt(x);
    const double factor = std::exp(log_q - donor_log_q_[donor]);
    const double off = std::exp(items_->Heterogeneity(std::nullopt) * DrawNormal(rng));
    auto items = std::make_shared<VerdictItems>();
    items->log_p.reserve(donors_[donor]->log_p.size());
    items->scores.reserve(donors_[donor]->log_p.size());
    double right = 0;
    for (const double log_p : donors_[donor]->log_p) {
      items->log_p.push_back(log_p * factor);
      const double p = items_->LinkOf(log_p * factor * off);
      items->scores.push_back(rng.Uniform() < p ? 1 : 0);
      right += items->scores.back();
    }
    const auto n = static_cast<double>(items->log_p.size());
    if (!model.n) model.n = n;
    model.value = right / n;
    model.standard_error = std::sqrt(*model.value * (1 - *model.value) / std::max(1.0, n - 1));
    model.items = std::move(items);
  }

  void SetValue(double value, CounterRng& rng, VerdictModel& model) const {
    if (series_.metric.proportion && model.n) {
      const auto n = static_cast<uint64_t>(std::llround(*model.n));
      const auto trials = static_cast<double>(n);
      value = static_cast<double>(DrawBinomial(n, value, rng)) / trials;
      model.standard_error = std::sqrt(value * (1 - value) / std::max(1.0, trials - 1));
    } else if (usual_error_) {
      value += *usual_error_ * DrawNormal(rng);
      model.standard_error = usual_error_;
    }
    model.value = std::clamp(value, series_.metric.lower_bound, series_.metric.upper_bound);
  }

  // The curve between its sizes, flat beyond; a factor exp(log_factor) on the model's NLL.
  double OnCurve(double x, double log_factor) const {
    double value = sizes_.front().value;
    for (size_t i = 0; i < sizes_.size(); ++i) {
      const double at = std::log(sizes_[i].scale);
      if (at > x) {
        if (i == 0) break;
        const double from = std::log(sizes_[i - 1].scale);
        value += (sizes_[i].value - value) * (x - from) / (at - from);
        break;
      }
      value = sizes_[i].value;
    }
    const double range = series_.metric.upper_bound - series_.metric.lower_bound;
    if (!std::isfinite(range)) return value * std::exp(log_factor);
    const double share = std::clamp((value - series_.metric.lower_bound) / range, 0.0, 1.0);
    return series_.metric.lower_bound + range * std::pow(share, std::exp(log_factor));
  }

  const VerdictSeries& series_;
  const VerdictResult& judged_;
  std::vector<Size> sizes_;
  std::optional<double> usual_n_;
  std::optional<double> usual_counterpart_n_;
  std::optional<double> usual_error_;
  std::optional<MeansComposition> means_;
  // Of the models with items: the composition, and what each has.
  std::optional<ItemComposition> items_;
  std::vector<const VerdictItems*> donors_;
  std::vector<double> donor_x_;
  std::vector<double> donor_log_q_;
  std::optional<double> unit_;
  LawScale scale_ = LawScale::kNone;
  std::optional<SlopeBreak> law_;
  // Of a model's ln q: the middle one.
  double variance_ = 0;
};

// Before anything is looked up by the places that a result holds.
absl::Status CheckJudged(const VerdictSeries& series, const VerdictResult& judged) {
  const size_t n = series.models.size();
  const bool fits = judged.scales.size() == n &&
                    judged.law_models.size() == judged.law_points.size() &&
                    std::all_of(judged.scales.begin(), judged.scales.end(),
                                [n](const VerdictScale& at) { return at.model < n; }) &&
                    std::all_of(judged.law_models.begin(), judged.law_models.end(),
                                [n](size_t model) { return model < n; });
  return fits ? absl::OkStatus() : absl::InvalidArgumentError("judged: is of another series");
}

// Where a further size may stand.
struct Place {
  double scale = 0;
  std::string reason;
};

}  // namespace

absl::Status CheckPlanOptions(const PlanOptions& options) {
  if (!(options.delta >= 0 && std::isfinite(options.delta))) {
    return absl::InvalidArgumentError(
        fmt::format("delta is {}: must be finite and >= 0", options.delta));
  }
  if (!(options.level > 0.5 && options.level < 1)) {
    return absl::InvalidArgumentError(
        fmt::format("level is {}: must be above 0.5 and below 1", options.level));
  }
  if (!(options.power > 1 - options.level && options.power < 1)) {
    return absl::InvalidArgumentError(
        fmt::format("power is {}: must be above 1 - level and below 1", options.power));
  }
  if (options.draws < 1 || options.draws > kMaxDraws) {
    return absl::InvalidArgumentError(
        fmt::format("draws is {}: must be from 1 to {}", options.draws, kMaxDraws));
  }
  return absl::OkStatus();
}

class SeriesPlanner::Impl {
 public:
  Impl(VerdictSeries series, VerdictResult judged, const PlanOptions& options)
      : series_(std::move(series)),
        judged_(std::move(judged)),
        options_(options),
        future_(series_, judged_),
        z_(NormalUpperQuantile((1 - options.level) / 2) + NormalUpperQuantile(1 - options.power)) {}

  absl::Status Prepare() {
    if (absl::Status status = future_.Prepare(); !status.ok()) return status;
    if (absl::Status status = PlanItems(); !status.ok()) return status;
    PlanSeeds();
    Explain();
    return absl::OkStatus();
  }

  bool is_done() const { return !is_searching_; }
  const SeriesPlan& plan() const { return plan_; }

  // Some draws of the place that is looked at.
  absl::Status Step() {
    Trial& trial = trials_[at_];
    const int n = std::min(kDrawsAStep * std::max(1, options_.threads), trial.draws - trial.done);
    std::vector<double> scales = chosen_;
    scales.push_back(trial.place.scale);
    std::vector<double> scores(static_cast<size_t>(n));
    std::vector<uint8_t> decided(static_cast<size_t>(n));
    std::vector<absl::Status> failures(static_cast<size_t>(n));
    ParallelFor(static_cast<size_t>(n), options_.threads, [&](size_t i) {
      const uint64_t draw =
          static_cast<uint64_t>(trial.done) + i + (is_final_ ? uint64_t{0} : kScreenStream);
      const VerdictSeries more = future_.With(scales, options_.seed, draw);
      const auto judged = Judge(more, {options_.hold_out, options_.seed, kReplicates});
      if (!judged.ok()) {
        failures[i] = judged.status();
        return;
      }
      decided[i] = IsDecided(judged->verdict) ? 1 : 0;
      scores[i] = decided[i] != 0 ? 1 : ClosenessOf(*judged) / 2;
    });
    for (size_t i = 0; i < scores.size(); ++i) {
      if (!failures[i].ok()) return failures[i];
      trial.score += scores[i];
      trial.decided += decided[i];
    }
    trial.done += n;
    if (trial.done == trial.draws && ++at_ == trials_.size()) Choose();
    return absl::OkStatus();
  }

 private:
  // One place, looked at by some draws.
  struct Trial {
    Place place;
    int draws = 0;
    int done = 0;
    int decided = 0;
    double score = 0;
  };

  // How near an undecided law is to being decided, in [0, 1]: places of which none decides alone
  // are told apart by it.
  static double ClosenessOf(const VerdictResult& judged) {
    if (!judged.law) return 0;
    const double broken = judged.law->p_resolved_break / kBreakProbability;
    const double smooth = 0.1 / std::max(judged.law->p_break, 1e-9);
    return std::min(1.0, std::max(broken, smooth));
  }

  // What a model's value should be.
  double ValueOf(const VerdictScale& at) const {
    if (at.composed) return at.composed->value;
    if (at.predicted) return at.predicted->value;
    return *series_.models[at.model].value;
  }

  // The same, with as few right items as the spread of difficulty may leave: what is asked of all
  // models is to do under any.
  double CautiousValueOf(const VerdictScale& at) const {
    return future_.LeastComposed(at.model).value_or(ValueOf(at));
  }

  TestPlan Test() const { return {.alpha = 1 - options_.level, .power = options_.power}; }

  bool IsShare() const {
    return series_.metric.proportion && series_.metric.lower_bound == 0 &&
           series_.metric.upper_bound == 1;
  }

  // Variance of one item's score.
  std::optional<double> VarianceOf(const VerdictModel& model, double value) const {
    if (IsShare()) return std::clamp(value, 0.0, 1.0) * (1 - std::clamp(value, 0.0, 1.0));
    if (!model.n || !model.standard_error) return std::nullopt;
    return *model.standard_error * *model.standard_error * *model.n;
  }

  absl::Status PlanItems() {
    for (const VerdictScale& at : judged_.scales) {
      if (!series_.models[at.model].value) continue;
      const double value = ValueOf(at);
      if (const auto n = ItemsToResolve(series_.models[at.model], value)) {
        plan_.items.push_back({at.model, *n, value});
      }
    }
    if (future_.sizes().empty()) return absl::OkStatus();
    plan_.delta = options_.delta > 0 ? options_.delta : PredictedChange();
    const VerdictScale* last = nullptr;
    for (const VerdictScale& at : judged_.scales) {
      if (series_.models[at.model].value) last = &at;
    }
    const VerdictModel& model = series_.models[last->model];
    const double value = ValueOf(*last);
    if (model.n || model.standard_error) plan_.detectable = DetectableOf(model, value);
    const auto variance = VarianceOf(model, value);
    if (!variance) return absl::OkStatus();
    const double other = VarianceOf(model, Moved(value, plan_.delta)).value_or(*variance);
    if (!(*variance + other > 0)) return absl::OkStatus();
    const auto n = RequiredN({.question = *variance + other}, plan_.delta, Test());
    n_for_delta_ = n.ok() ? static_cast<double>(*n) : kMostItems;
    return absl::OkStatus();
  }

  std::optional<double> ItemsToResolve(const VerdictModel& model, double value) const {
    const double bounds[] = {series_.metric.lower_bound, series_.metric.upper_bound};
    std::optional<double> nearest;
    for (const double bound : bounds) {
      if (!std::isfinite(bound)) continue;
      if (!nearest || std::abs(bound - value) < std::abs(*nearest - value)) nearest = bound;
    }
    bool is_chance = false;
    if (const auto& chance = series_.metric.chance) {
      if (!nearest || std::abs(*chance - value) < std::abs(*nearest - value) ||
          (*nearest == series_.metric.lower_bound && *chance > *nearest)) {
        nearest = chance;
        is_chance = *chance > series_.metric.lower_bound && *chance < series_.metric.upper_bound;
      }
    }
    if (!nearest || *nearest == value) return std::nullopt;
    const double distance = std::abs(*nearest - value);
    if (IsShare() && !is_chance) {
      if (!(distance > 0 && distance < 1)) return 1;
      return std::ceil(std::log1p(-options_.power) / std::log1p(-distance));
    }
    if (IsShare()) {
      const auto n = RequiredNForProportion(*nearest, std::clamp(value, 0.0, 1.0), Test());
      return n.ok() ? static_cast<double>(*n) : kMostItems;
    }
    const auto variance = VarianceOf(model, value);
    if (!variance || !(*variance > 0)) return std::nullopt;
    const auto n = RequiredN({.question = *variance}, distance, Test());
    return n.ok() ? static_cast<double>(*n) : kMostItems;
  }

  // A value that is better by `change`, or worse where there is no room.
  double Moved(double value, double change) const {
    const double better = series_.metric.higher_is_better ? value + change : value - change;
    if (better >= series_.metric.lower_bound && better <= series_.metric.upper_bound) return better;
    return std::clamp(series_.metric.higher_is_better ? value - change : value + change,
                      series_.metric.lower_bound, series_.metric.upper_bound);
  }

  // The smallest change with (z_{a/2} + z_b)^2 (variance + variance') / n = change^2.
  double DetectableOf(const VerdictModel& model, double value) const {
    if (!IsShare() || !model.n) {
      const double error = model.standard_error.value_or(0);
      return z_ * std::sqrt(2.0) * error;
    }
    const double n = *model.n;
    const double own = *VarianceOf(model, value);
    double low = 0;
    double high = 1;
    for (int i = 0; i < 60; ++i) {
      const double middle = (low + high) / 2;
      const double other = *VarianceOf(model, Moved(value, middle));
      (z_ * z_ * (own + other) / n > middle * middle ? low : high) = middle;
    }
    return high;
  }

  // Of the sizes.
  double GapOf(const std::vector<double>& x) const {
    if (x.size() < 2) return kUsualGap;
    std::vector<double> gaps;
    gaps.reserve(x.size());
    for (size_t i = 1; i < x.size(); ++i) gaps.push_back(x[i] - x[i - 1]);
    return Median(std::move(gaps));
  }

  // ln of all sizes, those that were chosen included.
  std::vector<double> Places() const {
    std::vector<double> x;
    for (const Size& size : future_.sizes()) x.push_back(std::log(size.scale));
    for (const double scale : chosen_) x.push_back(std::log(scale));
    std::sort(x.begin(), x.end());
    return x;
  }

  double PredictedChange() const {
    const std::vector<Size>& sizes = future_.sizes();
    const double fallback =
        std::isfinite(series_.metric.upper_bound - series_.metric.lower_bound)
            ? kEmergentMinRise * (series_.metric.upper_bound - series_.metric.lower_bound)
            : kEmergentMinRise * std::abs(sizes.back().value);
    if (IsAtBest(sizes.back().value)) return fallback;
    if (future_.has_law() && future_.composes()) {
      const double x = std::log(sizes.back().scale);
      const double next = x + GapOf(Places());
      const auto now = future_.Composed(x, future_.law().PredictSmooth(x).mean);
      const auto then = future_.Composed(next, future_.law().PredictSmooth(next).mean);
      if (now && then && std::abs(*then - *now) > 0) return std::abs(*then - *now);
    }
    if (sizes.size() < 2) return fallback;
    const double step = std::abs(sizes.back().value - sizes[sizes.size() - 2].value);
    return step > 0 ? step : fallback;
  }

  // Whether a value leaves no room above.
  bool IsAtBest(double value) const {
    const double range = series_.metric.upper_bound - series_.metric.lower_bound;
    if (judged_.shape && judged_.shape->has_ceiling && judged_.shape->rise > 0) return true;
    const double best =
        series_.metric.higher_is_better ? series_.metric.upper_bound : series_.metric.lower_bound;
    return std::isfinite(range) && std::abs(best - value) < kNoRoom * range;
  }

  size_t Replicates() const {
    double most = 0;
    for (const Size& size : future_.sizes()) most = std::max(most, size.n_models);
    return static_cast<size_t>(most);
  }

  bool Has(std::string_view code) const {
    return std::any_of(judged_.reasons.begin(), judged_.reasons.end(),
                       [&](const VerdictReason& reason) { return reason.code == code; });
  }

  // ln scale of what the plan is about: a break that is suspected or found, else the take-off.
  std::optional<double> Focus() const {
    if (!judged_.breaks.empty()) return std::log(judged_.breaks.front().scale);
    if (judged_.law && judged_.law->break_x && judged_.law->p_break > kSuspected) {
      return judged_.law->break_x;
    }
    return TakeOff();
  }

  // The middle of the largest step.
  std::optional<double> TakeOff() const {
    const std::vector<Size>& sizes = future_.sizes();
    if (sizes.size() < 2) return std::nullopt;
    size_t largest = 1;
    for (size_t i = 2; i < sizes.size(); ++i) {
      const auto step = [&](size_t k) {
        return (sizes[k].value - sizes[k - 1].value) * (series_.metric.higher_is_better ? 1 : -1);
      };
      if (step(i) > step(largest)) largest = i;
    }
    return (std::log(sizes[largest - 1].scale) + std::log(sizes[largest].scale)) / 2;
  }

  void PlanSeeds() {
    if (!judged_.law || future_.sizes().size() < kVerdictMinScales) return;
    double r = 0;
    if (Has("SCATTER")) {
      r = SeedsForRise();
    } else if (judged_.verdict == Verdict::kBreakSurvives) {
      r = Has("SINGLE_SEED") ? 2 : 0;
    } else if (!IsDecided(judged_.verdict) && !Has("COUNTERPARTS_DISAGREE")) {
      r = SeedsForBreak();
    }
    const auto needed =
        static_cast<size_t>(std::clamp(std::ceil(r), 0.0, static_cast<double>(kPlanMaxSeeds)));
    if (needed > Replicates()) plan_.seeds_needed = needed;
  }

  // Scatter between models, those at the ceiling left out where that leaves enough: NLLs scatter by
  // factors there.
  double Tau() const {
    const CurveShape& shape = *judged_.shape;
    if (!shape.has_ceiling || shape.ceiling + 1 < kVerdictMinScales) return judged_.law->tau;
    const double limit = std::log(future_.sizes()[shape.ceiling].scale);
    std::vector<LawPoint> kept;
    for (const LawPoint& point : judged_.law_points) {
      if (point.x <= limit) kept.push_back(point);
    }
    const auto law = SlopeBreak::Create(kept, {.seed = 0, .replicates = 0});
    return law.ok() ? law->evidence().tau : judged_.law->tau;
  }

  double SeedsForBreak() const {
    const std::optional<double> focus = Focus();
    if (!focus) return 0;
    constexpr size_t kSizes = 3;
    std::vector<double> before;
    std::vector<double> after;
    for (const double x : Places()) (x <= *focus ? before : after).push_back(x);
    if (before.size() < 2 || after.size() < 2) return 0;
    if (before.size() > kSizes) before.erase(before.begin(), before.end() - kSizes);
    if (after.size() > kSizes) after.resize(kSizes);
    const auto sxx = [](const std::vector<double>& x) {
      double mean = 0;
      for (const double one : x) mean += one / static_cast<double>(x.size());
      double sum = 0;
      for (const double one : x) sum += (one - mean) * (one - mean);
      return sum;
    };
    const double errors = z_ * Tau() / kBreakMinRise;
    return errors * errors * (1 / sxx(before) + 1 / sxx(after));
  }

  Scatter ScatterOfMetric() const {
    Scatter scatter;
    scatter.tau = judged_.law ? judged_.law->tau : 0;
    if (!IsShare()) scatter.kind = ScatterKind::kProportional;
    if (IsShare() && series_.metric.higher_is_better) {
      scatter.lower = std::min(series_.metric.chance.value_or(0), 0.999);
    }
    return scatter;
  }

  // The first size and the one at the ceiling.
  struct Ends {
    double first = 0;
    double last = 0;
  };

  double SeedsForRise() const {
    const std::vector<Size>& sizes = future_.sizes();
    const size_t ceiling = std::min(judged_.shape->ceiling, sizes.size() - 1);
    const double rise = judged_.shape->rise;
    const Scatter scatter = ScatterOfMetric();
    const double spread = std::hypot(ScatterError(sizes.front().value, scatter),
                                     ScatterError(sizes[ceiling].value, scatter));
    const double errors = kEmergentMinErrors + NormalUpperQuantile(1 - options_.power);
    return std::pow(errors * spread / rise, 2);
  }

  // Items of each model with which the rise, as the counterpart composes it, is above three
  // standard errors with the power asked for. Absent where scatter alone is too much, or there is
  // no rise.
  std::optional<double> ItemsForRise() const {
    std::optional<double> first;
    double last = 0;
    for (const VerdictScale& at : judged_.scales) {
      if (!series_.models[at.model].value) continue;
      last = CautiousValueOf(at);
      if (!first) first = last;
    }
    if (!first || !IsShare()) return std::nullopt;
    const double rise = (last - *first) * (series_.metric.higher_is_better ? 1 : -1);
    const Scatter scatter = ScatterOfMetric();
    const double spread = std::hypot(ScatterError(*first, scatter), ScatterError(last, scatter));
    const double z = NormalUpperQuantile(1 - options_.power);
    const auto is_seen = [&](double n) {
      double variance = 0;
      for (const double p : {*first, last}) {
        const double q = (p * n + 0.5) / (n + 1);
        variance += q * (1 - q) / n;
      }
      // What is measured must be above three of the errors that go with it.
      return rise - z * std::sqrt(variance) >
             kEmergentMinErrors * std::hypot(std::sqrt(variance), spread);
    };
    if (!(rise > 0) || !is_seen(kMostItems)) return std::nullopt;
    double low = 1;
    double high = kMostItems;
    while (high / low > 1 + 1e-6) {
      const double middle = std::sqrt(low * high);
      (is_seen(middle) ? high : low) = middle;
    }
    return std::ceil(high);
  }

  void Add(std::string_view code, std::string text,
           std::vector<std::pair<std::string_view, double>> values = {}) {
    plan_.reasons.push_back({code, std::move(text), std::move(values)});
  }

  std::string ScaleText(double scale) const {
    return series_.scale_text ? series_.scale_text(scale) : fmt::format("{:.4g}", scale);
  }

  // What is said at once, and whether to search.
  void Explain() {
    const size_t n = future_.sizes().size();
    if (judged_.verdict == Verdict::kResolutionLimited) {
      ExplainResolution();
    } else if (IsDecided(judged_.verdict)) {
      ExplainDecided();
    } else if (n < kVerdictMinScales) {
      ExplainFew();
    } else if (Has("COUNTERPARTS_DISAGREE")) {
      Add("CONTRADICTION",
          "counterparts contradict each other: more models repeat that. Look at the samples that "
          "both disagree on, or name the counterpart to trust before looking");
    } else if (Has("NO_COUNTERPART")) {
      ExplainNoCounterpart();
    } else if (Has("COMPOSITION_DISAGREES") || Has("NO_COMPOSITION")) {
      Add("NEEDS_SAMPLES",
          Has("NO_COMPOSITION")
              ? "how the counterpart makes the metric is not known: lengths of the targets, or "
                "per-sample results with log-probabilities of the gold answers, would tell"
              : "the counterpart does not compose to the metric that was measured: per-sample "
                "results with log-probabilities of the gold answers would tell why; more models of "
                "the same kind would repeat it");
    } else {
      StartSearch();
    }
    if (plan_.seeds_needed > 0) ExplainSeeds();
    if (judged_.verdict != Verdict::kResolutionLimited) ExplainDelta();
    if (plan_.reasons.empty() && !is_searching_) {
      Add("NOT_SETTLED", "nothing that this plan knows of settles the series");
    }
  }

  void ExplainResolution() {
    const std::optional<double> n = ItemsForRise();
    if (!n) {
      Add("NOT_SETTLED",
          "no number of items shows what the counterpart predicts here: models scatter as much. "
          "Larger models would show a larger rise");
      AddAbove("above the largest: where the counterpart predicts a rise that can be seen");
      return;
    }
    const double today = future_.usual_n().value_or(0);
    std::string text = fmt::format(
        "{} items for each model would show the rise that the counterpart composes to, beyond "
        "three "
        "standard errors, with a probability of {:.0f} %",
        CountText(*n), 100 * options_.power);
    if (today > 0) text += fmt::format("; today it is {}", CountText(today));
    Add("MORE_ITEMS", std::move(text), {{"n", *n}, {"power", options_.power}, {"today", today}});
  }

  void AddAbove(std::string reason) {
    const std::vector<double> x = Places();
    plan_.scales.push_back(
        {Rounded(std::exp(x.back() + GapOf(x))), future_.usual_n(), {}, std::move(reason)});
  }

  void ExplainDecided() {
    Add("ALREADY_DECIDED", "", {{"scales", static_cast<double>(judged_.n_scales)}});
    const Strength strength = judged_.strength.value_or(Strength::kWeak);
    if (strength != Strength::kStrong) Strengthen();
    std::string& text = plan_.reasons.front().text;
    text = fmt::format("{} already, {}", VerdictName(judged_.verdict), StrengthName(strength));
    if (plan_.reasons.size() > 1 || plan_.seeds_needed > 0) {
      text += "; what follows would make it surer";
    } else if (strength != Strength::kStrong) {
      text += ", the most that such evidence can be";
    }
  }

  // What would make a verdict stronger.
  void Strengthen() {
    if (Has("MEANS_ONLY") || Has("GENERATED_PARTS_ONLY")) {
      Add("NEEDS_TOKEN_LOGPROBS",
          "log-probabilities of the gold answers, token by token, show whether single positions "
          "break: a smooth mean can hide that");
    }
    if (Has("NO_ERRORS")) {
      Add("NEEDS_COUNTS", "numbers of items, or standard errors: without them it stays WEAK");
    }
    const size_t n = future_.sizes().size();
    if (n >= kStrongScales) return;
    const size_t aim = n < kModerateScales ? kModerateScales : kStrongScales;
    Add("MORE_SCALES",
        fmt::format("{} more size{}, {} in all: below that no verdict is {}", aim - n,
                    aim - n == 1 ? "" : "s", aim, aim == kModerateScales ? "MODERATE" : "STRONG"),
        {{"scales", static_cast<double>(aim - n)}});
    for (size_t k = n; k < aim; ++k) PlaceOne();
  }

  // Not simulated: the next size in the widest gap around the take-off, else in the widest gap.
  void PlaceOne() {
    const std::vector<double> x = Places();
    if (x.size() < 2) {
      // One size: spread around it.
      const size_t round = chosen_.size() / 2 + 1;
      const double step = kUsualGap * static_cast<double>(round);
      const double scale = std::exp(x.front() + (chosen_.size() % 2 == 0 ? step : -step));
      AddPlaced({Rounded(scale), "spread around the only size"});
      return;
    }
    std::optional<Place> best;
    double widest = 0;
    const std::optional<double> focus = Focus();
    const double gap = GapOf(x);
    for (size_t i = 1; i < x.size(); ++i) {
      const double width = x[i] - x[i - 1];
      const double away = focus ? std::abs((x[i] + x[i - 1]) / 2 - *focus) : 0;
      // A gap counts less the further it is from the place in question.
      const double weight = width / (1 + away / gap);
      if (weight <= widest) continue;
      widest = weight;
      best = Between(x[i - 1], x[i]);
    }
    AddPlaced(*best);
  }

  void AddPlaced(const Place& place) {
    chosen_.push_back(place.scale);
    plan_.scales.push_back({place.scale, future_.usual_n(), {}, place.reason});
  }

  Place Between(double low, double high) const {
    double scale = Rounded(std::exp((low + high) / 2));
    // Where rounding would come too near to a size that is there.
    const double x = std::log(scale);
    if (x - low < 0.25 * (high - low) || high - x < 0.25 * (high - low)) {
      scale = std::exp((low + high) / 2);
    }
    const auto holds = [&](std::optional<double> at) { return at && *at >= low && *at <= high; };
    const bool is_break =
        judged_.law && judged_.law->p_break > kSuspected && holds(judged_.law->break_x);
    const std::string ends =
        fmt::format("between {} and {}", ScaleText(std::exp(low)), ScaleText(std::exp(high)));
    return {scale, is_break           ? ends + ", where the counterpart's law may break"
                   : holds(TakeOff()) ? ends + ", where the metric takes off"
                                      : ends + ": more of the law beside the rise"};
  }

  void ExplainFew() {
    const size_t n = future_.sizes().size();
    const size_t missing = kVerdictMinScales - n;
    if (n == 0) {
      Add("MORE_SCALES",
          fmt::format("a verdict needs {} sizes, and there is none", kVerdictMinScales),
          {{"scales", static_cast<double>(missing)}});
      return;
    }
    few_text_ = fmt::format(
        "a verdict needs {} sizes: {} more, and better 9 than 5, since 5 are "
        "WEAK at most",
        kVerdictMinScales, missing);
    if (!series_.counterpart) ExplainNoCounterpart();
    // All but the last are placed at once: below five there is nothing to judge. One above, since
    // the largest is predicted from the others.
    for (size_t k = 0; k + 1 < missing; ++k) {
      if (k == 1 && n > 1) {
        const std::vector<double> x = Places();
        AddPlaced({Rounded(std::exp(x.back() + GapOf(x))),
                   "above the largest, to be predicted from the others"});
      } else {
        PlaceOne();
      }
    }
    if (series_.counterpart && future_.has_law()) {
      StartSearch();
      return;
    }
    PlaceOne();
    Add("MORE_SCALES", few_text_, {{"scales", static_cast<double>(missing)}});
  }

  void ExplainNoCounterpart() {
    if (!series_.counterpart) {
      Add("NEEDS_COUNTERPART",
          "no continuous counterpart: log-probabilities of the gold answers, for each of the "
          "models, or a distance between generated and gold texts");
      return;
    }
    const size_t n = judged_.law ? judged_.law->n_scales : 0;
    Add("NEEDS_COUNTERPART",
        fmt::format("{} sizes have a counterpart that a law can be fitted to, {} are needed: "
                    "log-probabilities of the gold answers for the others, too",
                    n, kVerdictMinScales),
        {{"scales", static_cast<double>(n)}});
  }

  void ExplainSeeds() {
    if (judged_.verdict == Verdict::kBreakSurvives) {
      Add("MORE_SEEDS",
          "a second training of each size around the break, with another seed: what one training "
          "reaches by luck looks alike",
          {{"seeds", static_cast<double>(plan_.seeds_needed)}});
      return;
    }
    Add("MORE_SEEDS",
        fmt::format("{}{} trainings of each size around the rise, with other seeds, tell a break "
                    "from the scatter between models",
                    plan_.seeds_needed, plan_.seeds_needed >= kPlanMaxSeeds ? " or more" : ""),
        {{"seeds", static_cast<double>(plan_.seeds_needed)}, {"scatter", judged_.law->tau}});
  }

  void ExplainDelta() {
    const std::optional<double>& today = future_.usual_n();
    if (!n_for_delta_ || !today || *n_for_delta_ <= *today) return;
    Add("MORE_ITEMS",
        *n_for_delta_ >= kMostItems
            ? fmt::format("a change of {:.2g} is too small for any test set", plan_.delta)
            : fmt::format("{} items for each model would show a change of {:.2g} with a "
                          "probability of {:.0f} %; today's {} show one of {:.2g}",
                          CountText(*n_for_delta_), plan_.delta, 100 * options_.power,
                          CountText(*today), plan_.detectable.value_or(0)),
        {{"n", *n_for_delta_}, {"delta", plan_.delta}, {"today", *today}});
  }

  void StartSearch() {
    if (!future_.has_law()) {
      Add("NEEDS_COUNTERPART",
          "no law can be fitted to the counterpart: it needs two sizes with values inside its "
          "bounds");
      return;
    }
    n_before_ = chosen_.size();
    is_searching_ = true;
    Screen();
  }

  std::vector<Place> Candidates() const {
    const std::vector<double> x = Places();
    std::vector<std::pair<double, Place>> ranked;
    std::vector<double> focuses;
    for (const auto& focus : {Focus(), TakeOff()}) {
      if (focus) focuses.push_back(*focus);
    }
    const double gap = GapOf(x);
    for (size_t i = 1; i < x.size(); ++i) {
      // Too narrow to hold another size.
      if (x[i] - x[i - 1] < 4 * kSameScale) continue;
      double away = std::numeric_limits<double>::infinity();
      for (const double focus : focuses) {
        away = std::min(away, std::max({0.0, x[i - 1] - focus, focus - x[i]}));
      }
      ranked.emplace_back(away, Between(x[i - 1], x[i]));
    }
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    if (ranked.size() > kPlaces - 2) ranked.resize(kPlaces - 2);
    std::vector<Place> places;
    places.reserve(ranked.size() + 2);
    for (auto& [away, place] : ranked) places.push_back(std::move(place));
    places.push_back(
        {Rounded(std::exp(x.back() + gap)), "above the largest, to be predicted from the others"});
    places.push_back({Rounded(std::exp(x.front() - gap)),
                      "below the smallest: more of the law before the rise"});
    return places;
  }

  void Screen() {
    trials_.clear();
    for (Place& place : Candidates()) {
      trials_.push_back({std::move(place), kPlanScreenDraws, 0, 0, 0});
    }
    at_ = 0;
    is_final_ = false;
  }

  // The trials are through: take the best, or judge it, or end.
  void Choose() {
    if (!is_final_) {
      double best = 0;
      for (const Trial& trial : trials_) best = std::max(best, trial.score / trial.draws);
      const Trial* chosen = nullptr;
      for (const Trial& trial : trials_) {
        if (trial.score / trial.draws < best - kAsGood) continue;
        if (chosen == nullptr || trial.place.scale < chosen->place.scale) chosen = &trial;
      }
      Trial last = {chosen->place, options_.draws, 0, 0, 0};
      trials_ = {std::move(last)};
      at_ = 0;
      is_final_ = true;
      return;
    }
    const Trial& trial = trials_.front();
    p_decided_ = static_cast<double>(trial.decided) / trial.draws;
    chosen_.push_back(trial.place.scale);
    plan_.scales.push_back({trial.place.scale, future_.usual_n(), p_decided_, trial.place.reason});
    const size_t added = chosen_.size() - n_before_;
    if (p_decided_ > best_p_ + kGain || added == 1) {
      best_p_ = p_decided_;
      best_n_ = chosen_.size();
    }
    const bool is_hopeless = (added >= kHopelessScales && p_decided_ < kHopeless) ||
                             chosen_.size() - best_n_ >= kRoundsWithoutGain;
    if (p_decided_ < options_.power && added < kPlanMaxScales && !is_hopeless) {
      Screen();
      return;
    }
    is_searching_ = false;
    if (p_decided_ < options_.power) {
      // What brought nothing is not asked for.
      p_decided_ = best_p_;
      chosen_.resize(best_n_);
      plan_.scales.resize(best_n_);
    }
    Conclude();
  }

  // What the search found, in front of all else.
  void Conclude() {
    const double error = std::sqrt(p_decided_ * (1 - p_decided_) / options_.draws);
    const size_t n = chosen_.size();
    std::string names;
    for (size_t i = 0; i < n; ++i) {
      names += (i == 0 ? "" : ", ") + ScaleText(chosen_[i]);
    }
    const std::string share =
        fmt::format("{:.0f} % of {} draws of what these may show (standard error {:.0f} %)",
                    100 * p_decided_, options_.draws, std::ceil(100 * error));
    const std::string sizes = fmt::format("{} more size{} ({})", n, n == 1 ? "" : "s", names);
    std::string text = few_text_.empty() ? "" : few_text_ + ". ";
    std::string_view code = "MORE_SCALES";
    if (p_decided_ >= options_.power) {
      text += fmt::format("{} decide{} it in {}", sizes, n == 1 ? "s" : "", share);
    } else {
      code = "NOT_SETTLED";
      text += fmt::format(
          "further sizes alone do not settle it: {} decide{} it in {}, and others add little. "
          "Replicates, more items, or per-sample results may do more",
          sizes, n == 1 ? "s" : "", share);
    }
    Add(code, std::move(text),
        {{"scales", static_cast<double>(n)},
         {"p_decided", p_decided_},
         {"standard_error", error},
         {"draws", static_cast<double>(options_.draws)}});
    std::rotate(plan_.reasons.begin(), plan_.reasons.end() - 1, plan_.reasons.end());
  }

  const VerdictSeries series_;
  const VerdictResult judged_;
  const PlanOptions options_;
  FutureModels future_;
  // z_{a/2} + z_b.
  const double z_;
  SeriesPlan plan_;
  // Items that show delta; absent where variances are unknown.
  std::optional<double> n_for_delta_;
  std::string few_text_;
  // The search: sizes taken so far, how many of them without a simulation, and what is tried.
  bool is_searching_ = false;
  std::vector<double> chosen_;
  size_t n_before_ = 0;
  std::vector<Trial> trials_;
  size_t at_ = 0;
  bool is_final_ = false;
  double p_decided_ = 0;
  // The most that was reached, and by how many sizes.
  double best_p_ = 0;
  size_t best_n_ = 0;
};

SeriesPlanner::SeriesPlanner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SeriesPlanner::~SeriesPlanner() = default;

absl::StatusOr<std::unique_ptr<SeriesPlanner>> SeriesPlanner::Create(VerdictSeries series,
                                                                     VerdictResult judged,
                                                                     const PlanOptions& options) {
  if (absl::Status status = CheckPlanOptions(options); !status.ok()) return status;
  if (absl::Status status = CheckJudged(series, judged); !status.ok()) return status;
  auto impl = std::make_unique<Impl>(std::move(series), std::move(judged), options);
  if (absl::Status status = impl->Prepare(); !status.ok()) return status;
  return std::unique_ptr<SeriesPlanner>(new SeriesPlanner(std::move(impl)));
}

bool SeriesPlanner::is_done() const { return impl_->is_done(); }
absl::Status SeriesPlanner::Step() { return impl_->Step(); }
const SeriesPlan& SeriesPlanner::plan() const { return impl_->plan(); }

absl::StatusOr<SeriesPlan> PlanOf(const VerdictSeries& series, const VerdictResult& judged,
                                  const PlanOptions& options) {
  auto planner = SeriesPlanner::Create(series, judged, options);
  if (!planner.ok()) return planner.status();
  while (!(*planner)->is_done()) {
    if (absl::Status status = (*planner)->Step(); !status.ok()) return status;
  }
  return (*planner)->plan();
}

absl::StatusOr<VerdictSeries> DrawWithScales(const VerdictSeries& series,
                                             const VerdictResult& judged,
                                             const std::vector<double>& scales,
                                             const PlanOptions& options, uint64_t draw) {
  if (absl::Status status = CheckJudged(series, judged); !status.ok()) return status;
  FutureModels future(series, judged);
  if (absl::Status status = future.Prepare(); !status.ok()) return status;
  if (!future.has_law()) {
    return absl::FailedPreconditionError(
        "a further model is drawn from the counterpart's law, which needs two sizes");
  }
  return future.With(scales, options.seed, draw);
}

}  // namespace mirage::metrics
