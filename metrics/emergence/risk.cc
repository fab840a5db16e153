#include "metrics/emergence/risk.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/emergence/distortion.h"
#include "metrics/stats/intervals.h"

namespace mirage::metrics {
namespace {

using Values = std::vector<std::pair<std::string, double>>;

std::optional<double> Finite(std::optional<double> value) {
  return value.has_value() && std::isfinite(*value) ? value : std::nullopt;
}

bool IsShare(RiskMetricKind kind) {
  return kind == RiskMetricKind::kExactMatch || kind == RiskMetricKind::kMultipleChoice ||
         kind == RiskMetricKind::kEditDistanceOnly;
}

// Collects the reasons of one metric.
class Assessor {
 public:
  explicit Assessor(const RiskInput& input)
      : input_(input),
        n_(input.n > 0 || !input.distortion.has_value() ? input.n : input.distortion->n),
        observed_(Finite(input.observed)),
        chance_(Finite(input.chance)) {
    if (input.observed_interval.has_value() && !std::isnan(input.observed_interval->lower) &&
        !std::isnan(input.observed_interval->upper)) {
      interval_ = input.observed_interval;
    }
  }

  Risk Assess() {
    if (input_.kind == RiskMetricKind::kContinuous) {
      risk_.level = RiskLevel::kNone;
      AddContinuous();
    } else if (!input_.distortion.has_value() && !MarginBound().has_value()) {
      risk_.level = RiskLevel::kUnknown;
      Add(kReasonNoCounterpart,
          "Nothing continuous was recorded that could show what lies behind it.", {});
      AddNearChance();
    } else {
      AssessSharp();
    }
    AddCounterpartsDisagree();
    if (input_.kind == RiskMetricKind::kEditDistanceOnly && input_.distortion.has_value()) {
      Add(kReasonEditDistanceOnly,
          "Judged from edit distances alone; log p of the target would say more.", {});
    }
    if (input_.n_gold_unverified > 0) {
      Add(kReasonGoldUnverified,
          fmt::format("The gold answer of {} of {} items could not be verified.",
                      input_.n_gold_unverified, n_),
          {{"n_gold_unverified", static_cast<double>(input_.n_gold_unverified)}});
    }
    if (!input_.has_samples) {
      Add(kReasonNoSamples, "Only aggregates were recorded; the samples would allow a check.", {});
    }
    AddResolution();
    return std::move(risk_);
  }

 private:
  double N() const { return static_cast<double>(n_); }

  // `values` get n at the end.
  void Add(std::string_view code, std::string text, Values values) {
    values.emplace_back("n", N());
    risk_.reasons.push_back({code, std::move(text), std::move(values)});
  }

  // One-sided 95 % lower bound of how far the mean margin is above its chance value.
  std::optional<double> MarginBound() const {
    const std::optional<double> mean = Finite(input_.mean_margin);
    const std::optional<double> error = Finite(input_.mean_margin_standard_error);
    const std::optional<double> chance = Finite(input_.chance_margin);
    if (!mean.has_value() || !error.has_value() || !chance.has_value()) return std::nullopt;
    const double chance_error = Finite(input_.chance_margin_standard_error).value_or(0);
    return *mean - *chance - kOneSided95 * std::hypot(*error, chance_error);
  }

  bool IntervalHoldsChance() const {
    return interval_.has_value() && chance_.has_value() && interval_->lower <= *chance_ &&
           *chance_ <= interval_->upper;
  }

  void AssessSharp() {
    const std::optional<double> bound = MarginBound();
    const bool blind = IntervalHoldsChance() && bound.has_value() && *bound > 0;
    bool proportionate = false;
    bool high = false;
    if (input_.distortion.has_value()) {
      const Distortion& d = *input_.distortion;
      const double items = static_cast<double>(d.n);
      floor_ = items * d.m_one < kBlindExpectedCount &&
               !(interval_.has_value() && interval_->lower > kBlindExpectedCount / items);
      ceiling_ = items * (1 - d.m_one) < kBlindExpectedCount &&
                 !(interval_.has_value() && interval_->upper < 1 - kBlindExpectedCount / items);
      proportionate = d.r_lower >= kProportionateLow && d.r_upper <= kProportionateHigh;
      high = d.r_lower >= kHighDistortion;
    }
    if (floor_ || blind || high) {
      risk_.level = RiskLevel::kHigh;
    } else if (proportionate && !ceiling_ && input_.kind != RiskMetricKind::kEditDistanceOnly) {
      risk_.level = RiskLevel::kNone;
    } else {
      risk_.level = RiskLevel::kLow;
    }

    if (floor_) AddAtFloor();
    if (blind) AddNearChance();
    if (ceiling_ && !high) AddAtCeiling();
    if (input_.distortion.has_value()) AddDistortion(proportionate);
    if (ceiling_ && high) AddAtCeiling();
    if (!blind) AddNearChance();
  }

  void AddContinuous() {
    Values values;
    if (observed_.has_value()) values.emplace_back("observed", *observed_);
    Add(kReasonContinuous, "The metric is continuous in log p: it moves as the model does.",
        std::move(values));
  }

  void AddAtFloor() {
    const Distortion& d = *input_.distortion;
    const double expected = static_cast<double>(d.n) * d.m_one;
    Add(kReasonAtFloor,
        fmt::format("{:.2g} of {} items are expected to be right: too few to show what the model "
                    "already does.",
                    expected, d.n),
        {{"expected_successes", expected}, {"m_one", d.m_one}});
  }

  void AddAtCeiling() {
    const Distortion& d = *input_.distortion;
    const double expected = static_cast<double>(d.n) * (1 - d.m_one);
    Add(kReasonAtCeiling,
        fmt::format(
            "{:.2g} of {} items are expected to be wrong: too few to show further progress.",
            expected, d.n),
        {{"expected_failures", expected}, {"m_one", d.m_one}});
  }

  void AddDistortion(bool proportionate) {
    const Distortion& d = *input_.distortion;
    Values values = {
        {"r", d.r}, {"r_lower", d.r_lower}, {"r_upper", d.r_upper}, {"m_one", d.m_one}};
    if (d.u.has_value()) values.emplace_back("u", *d.u);
    if (observed_.has_value()) values.emplace_back("observed", *observed_);
    const std::string_view step = input_.kind == RiskMetricKind::kMultipleChoice
                                      ? "half nat of margin"
                                      : "halving of the error";
    const std::string ends = fmt::format("(90 % interval {:.3g} to {:.3g})", d.r_lower, d.r_upper);
    if (proportionate) {
      Add(kReasonDistorts,
          fmt::format("The next {} shows about as much as the last: {:.3g} times {}.", step, d.r,
                      ends),
          std::move(values));
      return;
    }
    // Whether the data exclude proportionate, or only fail to show it.
    const bool shown = d.r_lower > kProportionateHigh || d.r_upper < kProportionateLow;
    Add(kReasonDistorts,
        fmt::format("The next {} {} show {:.3g} times the gain of the last {}.", step,
                    shown ? "would" : "may", d.r, ends),
        std::move(values));
  }

  void AddNearChance() {
    if (!IntervalHoldsChance()) return;
    Values values = {
        {"lower", interval_->lower}, {"upper", interval_->upper}, {"chance", *chance_}};
    if (observed_.has_value()) values.emplace_back("observed", *observed_);
    const std::string range = fmt::format("{:.3g} to {:.3g} holds chance, {:.3g}", interval_->lower,
                                          interval_->upper, *chance_);
    const std::optional<double> bound = MarginBound();
    if (bound.has_value() && *bound > 0) {
      values.emplace_back("mean_margin", *input_.mean_margin);
      values.emplace_back("chance_margin", *input_.chance_margin);
      values.emplace_back("margin_lower_bound", *input_.chance_margin + *bound);
      Add(kReasonNearChance,
          fmt::format("The interval {}, but the mean margin is above its chance value: the metric "
                      "misses it.",
                      range),
          std::move(values));
    } else {
      Add(kReasonNearChance,
          fmt::format("The interval {}: the value cannot be told from guessing.", range),
          std::move(values));
    }
  }

  void AddCounterpartsDisagree() {
    const std::optional<double> mean = Finite(input_.mean_log_p_choices);
    const std::optional<double> error = Finite(input_.mean_log_p_choices_standard_error);
    const std::optional<double> chance = Finite(input_.chance_log_p_choices);
    if (!mean.has_value() || !error.has_value() || !chance.has_value() || !chance_.has_value() ||
        !interval_.has_value() || !(interval_->lower > *chance_)) {
      return;
    }
    const double upper = *mean + kOneSided95 * *error;
    if (!(upper < *chance)) return;
    Values values = {{"lower", interval_->lower},
                     {"chance", *chance_},
                     {"mean_log_p_choices", *mean},
                     {"upper_bound", upper},
                     {"chance_log_p_choices", *chance}};
    if (observed_.has_value()) values.emplace_back("observed", *observed_);
    Add(kReasonCounterpartsDisagree,
        fmt::format(
            "Above chance, yet mean log p of the gold is {:.3g}, below {:.3g} for guessing: "
            "overconfident errors.",
            *mean, *chance),
        std::move(values));
  }

  std::optional<double> DetectableChange() const {
    if (IsShare(input_.kind)) {
      if (n_ == 0) return std::nullopt;
      double share = 0;
      if (observed_.has_value()) {
        share = *observed_;
      } else if (input_.distortion.has_value()) {
        share = input_.distortion->m_one;
      } else {
        return std::nullopt;
      }
      const double q = (std::clamp(share, 0.0, 1.0) * N() + 2) / (N() + 4);
      return kDetectableZ * std::sqrt(2 * q * (1 - q) / N());
    }
    const std::optional<double> error = Finite(input_.observed_standard_error);
    if (!error.has_value() || !(*error > 0)) return std::nullopt;
    return kDetectableZ * std::sqrt(2.0) * *error;
  }

  void AddResolution() {
    const std::optional<double> change = DetectableChange();
    if (!change.has_value()) return;
    Values values = {{"minimum_detectable_change", *change}};
    std::string text =
        fmt::format("Two runs of {} items tell apart changes from {:.2g} on", n_, *change);
    if (IsShare(input_.kind)) {
      const absl::StatusOr<double> bound = ZeroOfNUpperBound(n_, kZeroOfNLevel);
      if (bound.ok()) {
        values.emplace_back("zero_of_n_upper_bound", *bound);
        if (observed_.has_value() && *observed_ == 0) {
          text += fmt::format("; 0 of {} still allows {:.2g}", n_, *bound);
        }
      }
    }
    if (floor_ || ceiling_) {
      const double m = input_.distortion->m_one;
      const double needed = std::ceil(kBlindExpectedCount / (floor_ ? m : 1 - m));
      // No number of items is enough where nothing at all is expected.
      if (std::isfinite(needed)) {
        values.emplace_back("n_to_resolve", needed);
        text += needed < 1e6 ? fmt::format("; about {:.0f} items would resolve it", needed)
                             : fmt::format("; about {:.2g} items would resolve it", needed);
      }
    }
    Add(kReasonResolution, text + ".", std::move(values));
  }

  const RiskInput& input_;
  uint64_t n_;
  std::optional<double> observed_;
  std::optional<double> chance_;
  std::optional<ConfidenceInterval> interval_;
  bool floor_ = false;
  bool ceiling_ = false;
  Risk risk_;
};

}  // namespace

std::string_view RiskLevelName(RiskLevel level) {
  switch (level) {
    case RiskLevel::kNone:
      return "NONE";
    case RiskLevel::kLow:
      return "LOW";
    case RiskLevel::kHigh:
      return "HIGH";
    case RiskLevel::kUnknown:
      break;
  }
  return "UNKNOWN";
}

Risk AssessRisk(const RiskInput& input) { return Assessor(input).Assess(); }

}  // namespace mirage::metrics
