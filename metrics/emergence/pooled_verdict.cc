#include "metrics/emergence/pooled_verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "metrics/emergence/composition.h"
#include "metrics/emergence/slope_break.h"
#include "metrics/stats/distributions.h"

namespace mirage::metrics {
namespace {

// Sizes within this share are one.
constexpr double kSameScale = 0.01;
// Sizes of the random effects.
constexpr std::array<double, 12> kEffects = {0.02, 0.03, 0.04, 0.06, 0.08, 0.12,
                                             0.17, 0.24, 0.34, 0.5,  0.7,  1.0};
// Share of a curve's rise before its take-off.
constexpr double kBeforeTakeOff = 0.2;
// One-sided, of a counterpart that gets worse.
constexpr double kWorseErrors = 1.645;
// By how much at least, where no errors are known.
constexpr double kWorseLog = 0.05;
// What rules a break in, and out, as for one series.
constexpr double kBreakProbability = 0.6;
constexpr double kNoBreakProbability = 0.1;
constexpr double kWideRiseProbability = 0.5;
constexpr double kBreakP = 0.05;
// Of the effect's slope over ln(length): the most, and the tail of its interval.
constexpr double kMostSlope = 0.5;
constexpr double kSlopeTail = 0.025;
// Resolution of a share whose number of items is not known.
constexpr double kUnknownResolution = 0.005;

// One number, and what its own counterpart says.
struct Number {
  size_t series = 0;
  size_t model = 0;
  // Which size, by ascending scale.
  size_t size = 0;
  double length = 0;
  double value = 0;
  std::optional<double> n;
  // ln of the error for each token, and its variance.
  double log_q = 0;
  double variance = 0;
  // d_js and the variance that sampling gives it; absent at 0 and 1.
  std::optional<double> effect;
  double effect_variance = 0;
};

class Pool {
 public:
  Pool(std::span<const VerdictSeries> series, const VerdictOptions& options)
      : series_(series), options_(options) {}

  absl::StatusOr<PooledVerdict> Run() {
    if (absl::Status status = Gather(); !status.ok()) return status;
    out_.result.n_scales = scales_.size();
    WeighEffects();
    const double level = 1 - (1 - kVerdictBandLevel) / static_cast<double>(numbers_.size());
    for (size_t i = 0; i < numbers_.size(); ++i) {
      const auto [mean, sd] = EffectOf(i);
      out_.numbers.push_back({numbers_[i].series, numbers_[i].model,
                              Compose(numbers_[i], numbers_[i].log_q + mean,
                                      std::hypot(sd, std::sqrt(numbers_[i].variance)), level)});
    }
    if (absl::Status status = FitLaw(); !status.ok()) return status;
    Decide();
    return std::move(out_);
  }

 private:
  absl::Status Gather() {
    if (series_.size() < 2) {
      return absl::FailedPreconditionError("one series: there is nothing to pool");
    }
    std::map<double, std::set<size_t>> by_scale;
    std::vector<VerdictResult> judged;
    for (size_t s = 0; s < series_.size(); ++s) {
      const VerdictSeries& one = series_[s];
      auto result = Judge(one, {options_.hold_out, options_.seed, 0});
      if (!result.ok()) {
        return absl::Status(
            result.status().code(),
            fmt::format("series[{}].{}", s, std::string(result.status().message())));
      }
      if (one.composition != Composition::kAllTokens || !one.target_length || !one.counterpart) {
        return absl::FailedPreconditionError(fmt::format(
            "series[{}] has no length of targets, no counterpart, or is not made token by token",
            s));
      }
      judged.push_back(*std::move(result));
    }
    for (size_t s = 0; s < series_.size(); ++s) {
      for (size_t k = 0; k < judged[s].law_points.size(); ++k) {
        const double scale = std::exp(judged[s].law_points[k].x);
        auto at = by_scale.lower_bound(scale * (1 - kSameScale));
        if (at == by_scale.end() || at->first > scale * (1 + kSameScale)) {
          at = by_scale.emplace(scale, std::set<size_t>()).first;
        }
        at->second.insert(s);
      }
    }
    for (const auto& [scale, which] : by_scale) {
      if (which.size() >= 2) scales_.push_back(scale);
    }
    if (scales_.size() < kPooledMinScales) {
      return absl::FailedPreconditionError(fmt::format(
          "{} scales at which two series have a counterpart that a law can be fitted to "
          "(an edit distance of the target's length or more is none): pooling needs {}",
          scales_.size(), kPooledMinScales));
    }
    for (size_t s = 0; s < series_.size(); ++s) {
      shapes_.push_back(judged[s].shape);
      for (size_t k = 0; k < judged[s].law_points.size(); ++k) AddNumber(s, judged[s], k);
    }
    return absl::OkStatus();
  }

  void AddNumber(size_t s, const VerdictResult& judged, size_t k) {
    const VerdictSeries& one = series_[s];
    Number number;
    number.series = s;
    number.model = judged.law_models[k];
    const VerdictModel& model = one.models[number.model];
    const LawPoint& point = judged.law_points[k];
    const double scale = std::exp(point.x);
    const auto size = std::find_if(scales_.begin(), scales_.end(), [&](double other) {
      return std::abs(scale - other) <= kSameScale * other;
    });
    if (size == scales_.end() || !model.value) return;
    number.size = static_cast<size_t>(size - scales_.begin());
    number.length = *one.target_length;
    // A whole target's NLL is that of its tokens together.
    const bool is_whole = !one.counterpart_per_unit && one.counterpart->higher_is_better &&
                          !(one.counterpart->upper_bound > 0);
    number.log_q = is_whole ? point.y - std::log(number.length) : point.y;
    number.variance = point.variance;
    number.value = std::clamp(*model.value, 0.0, 1.0);
    number.n = model.n;
    if (number.value > 0 && number.value < 1) {
      const double u = -std::log(number.value);
      number.effect = std::log(u) - std::log(number.length) - number.log_q;
      // d ln(-ln v) = dv / (v ln v).
      const double error = number.n ? std::sqrt(number.value * (1 - number.value) / *number.n)
                                    : model.standard_error.value_or(0);
      number.effect_variance = number.variance + std::pow(error / (number.value * u), 2);
    }
    numbers_.push_back(number);
  }

  // Likelihood of the sizes of both effects, mean 0: within a size of models the numbers share one.
  void WeighEffects() {
    double best = -1e300;
    std::vector<double> logs;
    for (const double between : kEffects) {
      for (const double within : kEffects) {
        double log = 0;
        for (size_t size = 0; size < scales_.size(); ++size) {
          // Sherman-Morrison: diagonal d_k + within^2, plus between^2 everywhere.
          double w = 0;
          double wy = 0;
          for (const Number& number : numbers_) {
            if (number.size != size || !number.effect) continue;
            const double v = number.effect_variance + within * within;
            log -= 0.5 * (std::log(v) + *number.effect * *number.effect / v);
            w += 1 / v;
            wy += *number.effect / v;
          }
          const double b = between * between;
          log -= 0.5 * std::log1p(b * w);
          log += 0.5 * b * wy * wy / (1 + b * w);
        }
        logs.push_back(log);
        best = std::max(best, log);
      }
    }
    double sum = 0;
    for (double& log : logs) sum += log = std::exp(log - best);
    for (const double weight : logs) weights_.push_back(weight / sum);
  }

  // Mean and standard deviation of the effect of one number, from the model's others.
  std::pair<double, double> EffectOf(size_t i) const {
    double mean = 0;
    double second = 0;
    size_t cell = 0;
    for (const double between : kEffects) {
      for (const double within : kEffects) {
        double w = 1 / (between * between);
        double wy = 0;
        for (size_t k = 0; k < numbers_.size(); ++k) {
          const Number& other = numbers_[k];
          if (k == i || other.size != numbers_[i].size || !other.effect) continue;
          const double v = other.effect_variance + within * within;
          w += 1 / v;
          wy += *other.effect / v;
        }
        const double m = wy / w;
        mean += weights_[cell] * m;
        second += weights_[cell] * (m * m + 1 / w + within * within);
        ++cell;
      }
    }
    return {mean, std::sqrt(std::max(0.0, second - mean * mean))};
  }

  static PredictedShare Compose(const Number& number, double log_q, double sd, double level) {
    AllTokensInput input;
    input.log_q = log_q;
    input.sd = sd;
    input.length = number.length;
    input.n = number.n;
    constexpr std::array kAlike = {ItemDifficulty{}};
    PredictedShare share = PredictAllTokens(input, kAlike, level);
    if (!number.n) {
      share.lower = std::max(0.0, share.lower - kUnknownResolution);
      share.upper = std::min(1.0, share.upper + kUnknownResolution);
    }
    return share;
  }

  // The mean over the series, by size.
  std::vector<LawPoint> MeanLaw(size_t n_sizes) const {
    std::vector<LawPoint> points;
    for (size_t size = 0; size < n_sizes; ++size) {
      double sum = 0;
      double variance = 0;
      double n = 0;
      for (const Number& number : numbers_) {
        if (number.size != size) continue;
        sum += number.log_q;
        variance += number.variance;
        n += 1;
      }
      if (n > 0) points.push_back({std::log(scales_[size]), sum / n, variance / (n * n)});
    }
    return points;
  }

  absl::Status FitLaw() {
    out_.result.law_points = MeanLaw(scales_.size());
    auto law = SlopeBreak::Create(out_.result.law_points, {options_.seed, options_.replicates});
    if (!law.ok()) return law.status();
    out_.result.law = law->evidence();
    auto smaller = SlopeBreak::Create(MeanLaw(scales_.size() - 1), {options_.seed, 0});
    if (!smaller.ok()) return smaller.status();
    const SmoothPrediction top = smaller->PredictSmooth(std::log(scales_.back()));
    for (size_t i = 0; i < numbers_.size(); ++i) {
      if (numbers_[i].size + 1 != scales_.size()) continue;
      // How the series lie about their mean in the smaller models, and the effect unknown.
      const auto [shift, spread] = OffsetOf(numbers_[i].series);
      const double effect = PriorEffect();
      const double sd = std::sqrt(top.law_sd * top.law_sd + top.scatter * top.scatter +
                                  spread * spread + effect * effect);
      forecasts_.emplace_back(i, Compose(numbers_[i], top.mean + shift, sd, kVerdictBandLevel));
    }
    return absl::OkStatus();
  }

  // Of a series from the mean over the series, in ln q, below the largest size.
  std::pair<double, double> OffsetOf(size_t series) const {
    const std::vector<LawPoint> mean = MeanLaw(scales_.size() - 1);
    std::vector<double> offsets;
    for (const Number& number : numbers_) {
      if (number.series != series || number.size + 1 == scales_.size()) continue;
      for (const LawPoint& point : mean) {
        if (point.x == std::log(scales_[number.size])) offsets.push_back(number.log_q - point.y);
      }
    }
    double sum = 0;
    for (const double offset : offsets) sum += offset;
    const double centre = offsets.empty() ? 0 : sum / static_cast<double>(offsets.size());
    double square = 0;
    for (const double offset : offsets) square += (offset - centre) * (offset - centre);
    const double spread =
        offsets.size() < 2 ? 0.1 : std::sqrt(square / static_cast<double>(offsets.size() - 1));
    return {centre, spread};
  }

  // Standard deviation of the effect of a model of which no number is known.
  double PriorEffect() const {
    double variance = 0;
    size_t cell = 0;
    for (const double between : kEffects) {
      for (const double within : kEffects) {
        variance += weights_[cell++] * (between * between + within * within);
      }
    }
    return std::sqrt(variance);
  }

  bool IsEmergent(size_t s) const { return shapes_[s] && shapes_[s]->is_emergent; }

  // By series: the numbers in order of their size.
  std::vector<const Number*> Curve(size_t s) const {
    std::vector<const Number*> curve;
    for (const Number& number : numbers_) {
      if (number.series == s) curve.push_back(&number);
    }
    std::stable_sort(curve.begin(), curve.end(),
                     [](const Number* a, const Number* b) { return a->size < b->size; });
    return curve;
  }

  // The last number before the curve takes off.
  static size_t BeforeTakeOff(const std::vector<const Number*>& curve) {
    const double limit =
        curve.front()->value + kBeforeTakeOff * (curve.back()->value - curve.front()->value);
    size_t last = 0;
    for (size_t i = 0; i + 1 < curve.size(); ++i) {
      if (curve[i]->value <= limit) last = i;
    }
    return last;
  }

  void Add(std::string_view code, std::string text,
           std::vector<std::pair<std::string_view, double>> values = {}) {
    out_.result.reasons.push_back({code, std::move(text), std::move(values)});
  }

  void Decide() {
    std::vector<size_t> emergent;
    for (size_t s = 0; s < series_.size(); ++s) {
      if (IsEmergent(s)) emergent.push_back(s);
    }
    VerdictResult& result = out_.result;
    if (emergent.empty()) {
      Add("NOTHING_SUDDEN", "none of the series that are pooled rises suddenly");
      return;
    }
    for (const size_t s : emergent) {
      const std::vector<const Number*> curve = Curve(s);
      if (curve.size() < 2) continue;
      const Number& before = *curve[BeforeTakeOff(curve)];
      const Number& after = *curve.back();
      const double error = std::sqrt(before.variance + after.variance);
      const double change = after.log_q - before.log_q;
      if (change <= (error > 0 ? kWorseErrors * error : kWorseLog)) continue;
      result.verdict = Verdict::kMixed;
      result.strength = Strength::kWeak;
      Add("COUNTERPART_WORSENS",
          fmt::format("at target length {:g} the counterpart gets worse where the metric takes off",
                      series_[s].target_length.value_or(0)),
          {{"target_length", series_[s].target_length.value_or(0)}, {"change_of_log", change}});
      return;
    }
    const BreakEvidence& law = *result.law;
    if (law.is_testable && law.p_resolved_break >= kBreakProbability && law.p_value < kBreakP) {
      result.verdict = Verdict::kBreakSurvives;
      result.strength = Strength::kWeak;
      Add("LAW_BREAKS", "the law of the mean over the series breaks",
          {{"p_break", law.p_break}, {"sup_f_p", law.p_value}});
      return;
    }
    for (size_t i = 0; i < numbers_.size(); ++i) {
      const PredictedShare& band = out_.numbers[i].composed;
      if (numbers_[i].value >= band.lower - 1e-9 && numbers_[i].value <= band.upper + 1e-9)
        continue;
      Add("COMPOSITION_DISAGREES",
          fmt::format(
              "one error for each token does not make all the curves: at target length {:g} "
              "scale {} shows {:.3g}, its counterpart and its other lengths make {:.3g} "
              "({:.3g} to {:.3g})",
              numbers_[i].length, ScaleText(scales_[numbers_[i].size]), numbers_[i].value,
              band.value, band.lower, band.upper),
          {{"target_length", numbers_[i].length},
           {"scale", scales_[numbers_[i].size]},
           {"measured", numbers_[i].value},
           {"expected", band.value}});
      return;
    }
    if (!LengthCountsInFull()) return;
    bool excludes_flat = false;
    for (const auto& [i, band] : forecasts_) {
      const Number& number = numbers_[i];
      if (number.value < band.lower - 1e-9 || number.value > band.upper + 1e-9) {
        Add("NOT_PREDICTED",
            fmt::format(
                "at target length {:g} the largest model shows {:.3g}, the smaller ones let "
                "expect {:.3g} to {:.3g}",
                number.length, number.value, band.lower, band.upper));
        return;
      }
      if (!IsEmergent(number.series)) continue;
      const std::vector<const Number*> curve = Curve(number.series);
      excludes_flat = excludes_flat || band.lower > curve[BeforeTakeOff(curve)]->value;
    }
    if (!excludes_flat) {
      Add("NOT_PREDICTED",
          "one error for each token makes all the curves, but the smaller models do not rule out "
          "that they stay flat");
      return;
    }
    if (law.is_testable &&
        !(law.p_break <= kNoBreakProbability && law.p_rise <= kWideRiseProbability)) {
      Add("UNDECIDED", "a break of the law that the series share is neither shown nor ruled out",
          {{"p_break", law.p_break}});
      return;
    }
    result.verdict = Verdict::kMirage;
    result.strength = Strength::kWeak;
    Add("SMOOTH_LAW_PREDICTS",
        fmt::format(
            "one error for each token, falling smoothly with scale, makes the curves of all "
            "{} series, also at the largest scale from the smaller ones",
            series_.size()),
        {{"series", static_cast<double>(series_.size())}, {"effect", PriorEffect()}});
    if (!law.is_testable) {
      Add("BREAK_NOT_TESTABLE",
          fmt::format("{} scales cannot tell a break from a smooth law: this verdict rests on the "
                      "lengths alone",
                      scales_.size()));
    }
  }

  // Whether the errors of the tokens add up over a target; says why not.
  bool LengthCountsInFull() {
    double n = 0;
    double models = 0;
    double xx = 0;
    double xy = 0;
    double yy = 0;
    for (size_t size = 0; size < scales_.size(); ++size) {
      std::vector<std::pair<double, double>> points;
      for (const Number& number : numbers_) {
        if (number.size == size && number.effect) {
          points.emplace_back(std::log(number.length), *number.effect);
        }
      }
      if (points.size() < 2) continue;
      double mean_x = 0;
      double mean_y = 0;
      for (const auto& [x, y] : points) {
        mean_x += x / static_cast<double>(points.size());
        mean_y += y / static_cast<double>(points.size());
      }
      for (const auto& [x, y] : points) {
        xx += (x - mean_x) * (x - mean_x);
        xy += (x - mean_x) * (y - mean_y);
        yy += (y - mean_y) * (y - mean_y);
      }
      n += static_cast<double>(points.size());
      models += 1;
    }
    const double df = n - models - 1;
    if (!(xx > 0) || df < 1) {
      Add("LENGTHS_ALIKE",
          "the series do not differ in the length of their targets enough to test how the metric "
          "is made of tokens");
      return false;
    }
    const double slope = xy / xx;
    const double error = std::sqrt(std::max(0.0, yy - xy * slope) / df / xx);
    const double reach = StudentUpperQuantile(kSlopeTail, df) * error;
    if (slope - reach > -kMostSlope && slope + reach < kMostSlope) return true;
    Add("COMPOSITION_DISAGREES",
        fmt::format("the error does not add up token by token: it grows with the length of the "
                    "target to the power of {:.2f} ({:.2f} to {:.2f}), where 1 is expected",
                    1 + slope, 1 + slope - reach, 1 + slope + reach),
        {{"power", 1 + slope}, {"lower", 1 + slope - reach}, {"upper", 1 + slope + reach}});
    return false;
  }

  std::string ScaleText(double scale) const {
    const auto& text = series_.front().scale_text;
    return text ? text(scale) : fmt::format("{:.4g}", scale);
  }

  const std::span<const VerdictSeries> series_;
  const VerdictOptions& options_;
  // Ascending.
  std::vector<double> scales_;
  std::vector<std::optional<CurveShape>> shapes_;
  std::vector<Number> numbers_;
  // Of each pair of sizes of the effects.
  std::vector<double> weights_;
  // Of the numbers at the largest scale.
  std::vector<std::pair<size_t, PredictedShare>> forecasts_;
  PooledVerdict out_;
};

}  // namespace

absl::StatusOr<PooledVerdict> JudgePooled(std::span<const VerdictSeries> series,
                                          const VerdictOptions& options) {
  return Pool(series, options).Run();
}

}  // namespace mirage::metrics
