#include "metrics/emergence/simulation_truth.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/emergence/curve.h"
#include "metrics/emergence/curve_shape.h"
#include "metrics/emergence/simulation.h"
#include "metrics/emergence/simulation_law.h"
#include "metrics/emergence/simulation_spec.h"

namespace mirage::metrics {
namespace {

constexpr size_t kItems = 20'000;
constexpr size_t kPlaces = 4001;
constexpr double kStandardErrors = 3;
constexpr size_t kMinSizes = 5;
// How near h40 may be to its bound for both sides to be acceptable.
constexpr double kH40Slack = 0.05;

struct Found {
  bool is_break = false;
  bool can_be_found = false;
  std::string where;
  double scale = 0;
  double rise = 0;
};

class Truth {
 public:
  Truth(const Simulation& simulation, size_t task)
      : simulation_(simulation),
        spec_(simulation.spec()),
        curve_(simulation.curve()),
        task_(task),
        length_(spec_.target_lengths[task]) {
    for (const double scale : spec_.scales) x_.push_back(std::log(scale));
    double widest = 0;
    for (size_t i = 1; i < x_.size(); ++i) widest = std::max(widest, x_[i] - x_[i - 1]);
    window_ = std::max(kBreakMaxShare * (x_.back() - x_.front()), kBreakMaxGaps * widest);
  }

  SimulationTruth Work() {
    SimulationTruth truth;
    for (const double x : x_) {
      truth.expected_nll.push_back(MeanOverPositions(x).value);
      truth.expected_sharp.push_back(ExpectedSharp(x));
    }
    const auto slope = [this](double x) {
      const ValueAndSlope mean = MeanOverPositions(x);
      return mean.slope / mean.value;
    };
    truth.mean_rise = FindLawRise(x_.front(), x_.back(), window_, slope);
    const Found found = FindBreak(slope);
    Decide(found, truth);
    return truth;
  }

 private:
  ValueAndSlope MeanOverPositions(double x, int only_with = -1) const {
    ValueAndSlope mean;
    for (uint32_t k = 0; k < length_; ++k) {
      const ValueAndSlope one = curve_.MeanNll(x, k, only_with);
      mean.value += one.value / length_;
      mean.slope += one.slope / length_;
    }
    return mean;
  }

  double ExpectedSharp(double x) const {
    const double better = curve_.BetterShare(x).value;
    double sharp = better * simulation_.ExpectedSharp(task_, x, 1, kItems);
    if (spec_.bimodality.has_value()) {
      sharp += (1 - better) * simulation_.ExpectedSharp(task_, x, spec_.bimodality->factor, kItems);
    }
    return sharp;
  }

  Found Judge(std::string where, absl::FunctionRef<double(double)> slope) const {
    const LawRise rise = FindLawRise(x_.front(), x_.back(), window_, slope);
    Found found;
    const bool by_width = rise.rise >= kBreakRise && rise.width <= window_;
    found.is_break = by_width || rise.window_rise >= kBreakRise;
    if (!found.is_break) return found;
    const double middle = by_width ? rise.middle : rise.window_middle;
    const auto before =
        std::count_if(x_.begin(), x_.end(), [middle](double x) { return x <= middle; });
    found.can_be_found = before >= kSizesBeforeBreak &&
                         static_cast<std::ptrdiff_t>(x_.size()) - before >= kSizesAfterBreak;
    found.where = std::move(where);
    found.scale = std::exp(middle);
    found.rise = by_width ? rise.rise : rise.window_rise;
    return found;
  }

  // The mean first, then positions, then groups of items; one that can be found before others.
  Found FindBreak(absl::FunctionRef<double(double)> mean_slope) const {
    std::vector<Found> all = {Judge("the mean NLL", mean_slope)};
    const auto fall = [this](uint32_t k, int only_with) {
      return curve_.MeanNll(x_.front(), k, only_with).value -
             curve_.MeanNll(x_.back(), k, only_with).value;
    };
    double total = 0;
    for (uint32_t k = 0; k < length_; ++k) total += fall(k, -1);
    // Positions that no break tells apart have the law of the mean.
    const bool by_position =
        std::any_of(spec_.breaks.begin(), spec_.breaks.end(),
                    [](const SimulatedBreak& one) { return !one.positions.empty(); });
    for (uint32_t k = 0; by_position && k < length_; ++k) {
      if (!(total > 0) || fall(k, -1) < kMaterialShare * total) continue;
      all.push_back(Judge(fmt::format("position {}", k), [this, k](double x) {
        const ValueAndSlope nll = curve_.MeanNll(x, k);
        return nll.slope / nll.value;
      }));
    }
    for (size_t b = 0; b < spec_.breaks.size(); ++b) {
      const double share = spec_.breaks[b].item_share;
      const int only = static_cast<int>(b);
      if (share == 0 || share == 1) continue;
      double carried = 0;
      for (uint32_t k = 0; k < length_; ++k) carried += share * fall(k, only);
      if (!(total > 0) || carried < kMaterialShare * total) continue;
      all.push_back(Judge(fmt::format("{} of the items", share), [this, only](double x) {
        const ValueAndSlope mean = MeanOverPositions(x, only);
        return mean.slope / mean.value;
      }));
    }
    for (const bool findable : {true, false}) {
      for (const Found& found : all) {
        if (found.is_break && found.can_be_found == findable) return found;
      }
    }
    return {};
  }

  // Standard errors by which the NLL falls: of the slope of ln NLL over ln N, from the scatter and
  // the items' spread.
  double TrendInErrors(const SimulationTruth& truth) const {
    double mean_x = 0, mean_y = 0;
    const double n = static_cast<double>(x_.size());
    for (size_t i = 0; i < x_.size(); ++i) {
      mean_x += x_[i] / n;
      mean_y += std::log(truth.expected_nll[i]) / n;
    }
    double s_xx = 0, s_xy = 0;
    for (size_t i = 0; i < x_.size(); ++i) {
      s_xx += (x_[i] - mean_x) * (x_[i] - mean_x);
      s_xy += (x_[i] - mean_x) * (std::log(truth.expected_nll[i]) - mean_y);
    }
    const double cv = *spec_.item_cv;
    const double seeds = *spec_.n_seeds;
    // Items are the same for all models, so that their spread cancels in part: the safe side.
    const double variance = (*spec_.tau * *spec_.tau + cv * cv / *spec_.n_samples) / seeds;
    // Even without any spread, a thousandth of a nat is no trend.
    return -(s_xy / s_xx) * std::sqrt(s_xx / std::max(variance, 1e-6));
  }

  // The shape of the expected curve, with the errors that data would have.
  CurveShape Shape(const SimulationTruth& truth) const {
    std::vector<CurvePoint> points;
    const bool is_trials = spec_.evidence == SimulatedEvidence::kTrials;
    for (size_t i = 0; i < x_.size(); ++i) {
      const double p = truth.expected_sharp[i];
      const double items = static_cast<double>(*spec_.n_samples) * *spec_.n_seeds;
      CurvePoint point = {spec_.scales[i], p};
      // Attempts at one item are no items: between items p varies, within [0, p (1 - p)].
      point.standard_error = std::sqrt(std::max(p * (1 - p), 0.5 / items) / items);
      if (!is_trials) {
        point.binomial_n = static_cast<uint64_t>(items);
        point.value = std::clamp(p, 0.0, 1.0);
      }
      points.push_back(point);
    }
    ShapeOptions options;
    options.scatter.tau = *spec_.tau / std::sqrt(static_cast<double>(*spec_.n_seeds));
    if (spec_.evidence == SimulatedEvidence::kMultipleChoice) {
      options.scatter.lower = 1.0 / *spec_.n_choices;
    }
    const absl::StatusOr<CurveShape> shape = ShapeOf(points, options);
    return shape.ok() ? *shape : CurveShape();
  }

  void Decide(const Found& found, SimulationTruth& truth) const {
    const CurveShape shape = Shape(truth);
    truth.h40 = shape.h40;
    const bool has_rise = shape.rise > kStandardErrors * shape.rise_standard_error.value_or(0);
    const bool has_trend = TrendInErrors(truth) > kStandardErrors;
    std::vector<TrueVerdict> also;
    TrueVerdict law = TrueVerdict::kMirage;
    std::string law_reason = "the law has no break, and exact match is its composition";
    if (spec_.evidence != SimulatedEvidence::kGeneration) {
      law_reason = "the law has no break, and the sharp metric follows from it";
    }
    if (found.is_break) {
      law = found.can_be_found ? TrueVerdict::kBreakSurvives : TrueVerdict::kInsufficient;
      law_reason = fmt::format("the exponent rises by {:.2f} at {:.2g} in {}", found.rise,
                               found.scale, found.where);
      if (!found.can_be_found) {
        law_reason += ", with too few sizes on one side";
        also.push_back(TrueVerdict::kBreakSurvives);
      }
    }
    const auto near = [&shape](double bound) {
      return shape.h40.has_value() && std::abs(*shape.h40 - bound) <= kH40Slack;
    };
    if (x_.size() < kMinSizes) {
      truth.verdict = TrueVerdict::kInsufficient;
      truth.reason = fmt::format("{} sizes are too few for a verdict", x_.size());
      if (law == TrueVerdict::kMirage) also.push_back(law);
    } else if (!has_trend && !has_rise) {
      truth.verdict = TrueVerdict::kSmooth;
      truth.reason = "neither the NLL nor the sharp metric changes with size";
    } else if (has_trend && !has_rise) {
      truth.verdict = TrueVerdict::kResolutionLimited;
      truth.reason = fmt::format(
          "the NLL falls, but {} items cannot show a rise of {:.2g} in the sharp metric",
          *spec_.n_samples, shape.rise);
    } else if (!shape.is_emergent) {
      truth.verdict = TrueVerdict::kSmooth;
      truth.reason = fmt::format(
          "the sharp metric is not sudden: {:.2f} of its rise is reached "
          "at 40 % of the range",
          shape.h40.value_or(0));
      if (near(kEmergentMaxH40)) also.push_back(law);
    } else {
      truth.verdict = law;
      truth.reason = law_reason;
      if (near(kEmergentMaxH40)) also.push_back(TrueVerdict::kSmooth);
    }
    if (spec_.outlier.has_value()) also.push_back(TrueVerdict::kMixed);
    also.push_back(TrueVerdict::kInsufficient);
    truth.acceptable = {truth.verdict};
    for (const TrueVerdict verdict : also) Add(verdict, truth);
  }

 public:
  static void Add(TrueVerdict verdict, SimulationTruth& truth) {
    if (std::find(truth.acceptable.begin(), truth.acceptable.end(), verdict) ==
        truth.acceptable.end()) {
      truth.acceptable.push_back(verdict);
    }
  }

 private:
  const Simulation& simulation_;
  const SimulationSpec& spec_;
  const SimulationCurve& curve_;
  const size_t task_;
  const uint32_t length_;
  std::vector<double> x_;
  double window_ = 0;
};

}  // namespace

std::string_view TrueVerdictName(TrueVerdict verdict) {
  switch (verdict) {
    case TrueVerdict::kMirage:
      return "MIRAGE";
    case TrueVerdict::kResolutionLimited:
      return "RESOLUTION_LIMITED";
    case TrueVerdict::kBreakSurvives:
      return "BREAK_SURVIVES";
    case TrueVerdict::kSmooth:
      return "SMOOTH";
    case TrueVerdict::kMixed:
      return "MIXED";
    case TrueVerdict::kInsufficient:
      break;
  }
  return "INSUFFICIENT";
}

LawRise FindLawRise(double first, double last, double window,
                    absl::FunctionRef<double(double log_scale)> slope) {
  std::vector<double> x(kPlaces), a(kPlaces);
  for (size_t i = 0; i < kPlaces; ++i) {
    x[i] = first + (last - first) * static_cast<double>(i) / (kPlaces - 1);
    a[i] = -slope(x[i]);
  }
  LawRise result;
  result.middle = result.window_middle = (first + last) / 2;
  size_t low = 0, from = 0, to = 0;
  for (size_t i = 0; i < kPlaces; ++i) {
    if (a[i] < a[low]) low = i;
    if (a[i] - a[low] > result.rise) {
      result.rise = a[i] - a[low];
      from = low;
      to = i;
    }
  }
  if (result.rise > 0) {
    // Rises are read from the last place below a level to the first one above it: a step of the
    // slope has a width of one place.
    const auto first_at = [&](double share) {
      size_t i = from;
      while (i < to && a[i] < a[from] + share * result.rise) ++i;
      return i;
    };
    result.middle = x[first_at(0.5)];
    size_t start = first_at(0.9);
    const size_t end = start;
    while (start > from && a[start] > a[from] + 0.1 * result.rise) --start;
    result.width = x[end] - x[start];
  }
  const double step = (last - first) / (kPlaces - 1);
  const size_t span = std::min(kPlaces - 1, static_cast<size_t>(window / step + 1e-9));
  for (size_t i = 0; i < kPlaces; ++i) {
    const size_t end = std::min(kPlaces - 1, i + span);
    for (size_t j = i + 1; j <= end; j += std::max<size_t>(1, span / 64)) {
      if (a[j] - a[i] > result.window_rise) {
        result.window_rise = a[j] - a[i];
        result.window_middle = (x[i] + x[j]) / 2;
      }
    }
    if (a[end] - a[i] > result.window_rise) {
      result.window_rise = a[end] - a[i];
      result.window_middle = (x[i] + x[end]) / 2;
    }
  }
  return result;
}

SimulationTruth TruthOf(const Simulation& simulation) {
  const auto& lengths = simulation.spec().target_lengths;
  const size_t longest =
      static_cast<size_t>(std::max_element(lengths.begin(), lengths.end()) - lengths.begin());
  SimulationTruth truth = Truth(simulation, longest).Work();
  for (size_t task = 0; task < lengths.size(); ++task) {
    if (task == longest) continue;
    for (const TrueVerdict verdict : Truth(simulation, task).Work().acceptable) {
      Truth::Add(verdict, truth);
    }
  }
  return truth;
}

}  // namespace mirage::metrics
