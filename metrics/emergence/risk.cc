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
         kind == RiskMetricKind::kEditDistanceOnly || kind == RiskMetricKind::kUnregisteredShare;
}

// "a", "a and b", "a, b and c".
std::string List(const std::vector<std::string_view>& names) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    out += i == 0 ? "" : i + 1 == names.size() ? " and " : ", ";
    out += names[i];
  }
  return out;
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
    } else if (IsUnregistered() && input_.has_counterparts) {
      AssessUnregistered();
    } else if (!input_.distortion.has_value() && !MarginBound().has_value()) {
      risk_.level = RiskLevel::kUnknown;
      Add(kReasonNoCounterpart,
          input_.counterparts_withheld
              ? "Its counterparts are withheld (the warnings say why): nothing shows what lies "
                "behind it."
              : "Nothing continuous was recorded that could show what lies behind it.",
          {});
      AddNearChance();
    } else {
      AssessSharp();
    }
    AddAgreement();
    if (input_.kind == RiskMetricKind::kEditDistanceOnly && input_.distortion.has_value()) {
      Add(kReasonEditDistanceOnly,
          fmt::format(
              "Judged from edit distances in {:.40} alone; log p of the target would say more.",
              input_.unit),
          {});
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

  // How far a mean is above its chance value.
  struct AboveChance {
    double difference = 0;
    double standard_error = 0;

    // 1 above, -1 below, 0 if it cannot be told (one-sided 95 %).
    int Side() const {
      if (difference - kOneSided95 * standard_error > 0) return 1;
      return difference + kOneSided95 * standard_error < 0 ? -1 : 0;
    }
  };

  static std::optional<AboveChance> Above(std::optional<double> mean, std::optional<double> error,
                                          std::optional<double> chance,
                                          std::optional<double> chance_error) {
    mean = Finite(mean);
    error = Finite(error);
    chance = Finite(chance);
    if (!mean.has_value() || !error.has_value() || !chance.has_value()) return std::nullopt;
    return AboveChance{*mean - *chance, std::hypot(*error, Finite(chance_error).value_or(0))};
  }

  std::optional<AboveChance> MarginAboveChance() const {
    return Above(input_.mean_margin, input_.mean_margin_standard_error, input_.chance_margin,
                 input_.chance_margin_standard_error);
  }

  // One-sided 95 % lower bound of how far the mean margin is above its chance value.
  std::optional<double> MarginBound() const {
    const std::optional<AboveChance> above = MarginAboveChance();
    if (!above.has_value()) return std::nullopt;
    return above->difference - kOneSided95 * above->standard_error;
  }

  bool IsUnregistered() const {
    return input_.kind == RiskMetricKind::kUnregistered ||
           input_.kind == RiskMetricKind::kUnregisteredShare;
  }

  void AssessUnregistered() {
    if (input_.kind == RiskMetricKind::kUnregisteredShare) {
      risk_.level = RiskLevel::kLow;
      Add(kReasonUnregistered,
          "A scorer of the task's own: how much it bends cannot be computed; its counterparts show "
          "what lies behind it.",
          {});
    } else {
      risk_.level = RiskLevel::kUnknown;
      Add(kReasonUnregistered,
          "A scorer of the task's own, and its rows are not 0 or 1: whether it is sharp cannot be "
          "told.",
          {});
    }
    AddNearChance();
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
      high = d.is_composed && d.r_lower >= kHighDistortion;
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
    if (ceiling_ && !floor_ && !high) AddAtCeiling();
    if (input_.distortion.has_value() && !input_.distortion->is_composed) {
      Add(kReasonDistorts,
          "Targets of one unit have nothing to compose: the distances say what the metric says, so "
          "there is no R.",
          {{"m_one", input_.distortion->m_one}});
    } else if (input_.distortion.has_value()) {
      AddDistortion(proportionate);
      AddComposition();
    }
    if (ceiling_ && !floor_ && high) AddAtCeiling();
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
        ceiling_ ? fmt::format("{} items are too few to see the metric move.", d.n)
                 : fmt::format("{:.2g} of {} items should be right: too few to show what the model "
                               "already does.",
                               expected, d.n),
        {{"expected_successes", expected}, {"m_one", d.m_one}});
  }

  void AddAtCeiling() {
    const Distortion& d = *input_.distortion;
    const double expected = static_cast<double>(d.n) * (1 - d.m_one);
    Add(kReasonAtCeiling,
        fmt::format("{:.2g} of {} items should be wrong: too few to show further progress.",
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
    const double gain = d.m_half - d.m_one;
    const double last = d.m_one - d.m_two;
    values.emplace_back("next_gain", gain);
    values.emplace_back("last_gain", last);
    // R is held down by what n items can resolve.
    const bool clipped = last < 1 / static_cast<double>(d.n);
    const std::string r = fmt::format("R {} {:.3g} (90 % interval {:.3g} to {:.3g})",
                                      clipped ? ">=" : "=", d.r, d.r_lower, d.r_upper);
    // Whether the data exclude proportionate, or only fail to show it.
    const bool shown = d.r_lower > kProportionateHigh || d.r_upper < kProportionateLow;
    Add(kReasonDistorts,
        fmt::format("The next {} {} add {:.2g}, the last one added {:.2g}: {}{}.", step,
                    shown || proportionate ? "would" : "may", gain, last, r,
                    proportionate ? ", in proportion" : ""),
        std::move(values));
  }

  // What the samples compose to, beside what was seen: R is about the first.
  void AddComposition() {
    const bool from_log_p = input_.kind == RiskMetricKind::kExactMatch;
    if (!from_log_p && input_.kind != RiskMetricKind::kEditDistanceOnly) return;
    if (!observed_.has_value()) return;
    const Distortion& d = *input_.distortion;
    Values values = {{"m_one", d.m_one}, {"observed", *observed_}};
    std::string source = from_log_p ? "By log p" : "By edit distance";
    if (d.u.has_value()) {
      values.emplace_back("u", *d.u);
      source += fmt::format(" (u = {:.3g} nats)", *d.u);
    }
    std::string_view verdict;
    if (interval_.has_value()) {
      values.emplace_back("lower", interval_->lower);
      values.emplace_back("upper", interval_->upper);
      if (d.m_one < interval_->lower || d.m_one > interval_->upper) {
        verdict = from_log_p ? ": what was scored is no draw from p, so take R as rough"
                             : ": errors do not spread evenly, so take R as rough";
      }
    }
    Add(kReasonComposition,
        fmt::format("{}, {:.3g} should be right; {:.3g} were{}.", source, d.m_one, *observed_,
                    verdict),
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

  // Whether accuracy, margin and log p over the choices say the same of chance.
  void AddAgreement() {
    if (input_.kind != RiskMetricKind::kMultipleChoice) return;
    Values values;
    std::vector<std::string_view> above, below;
    const auto sort = [&](std::string_view name, int side) {
      if (side > 0) above.push_back(name);
      if (side < 0) below.push_back(name);
    };
    if (interval_.has_value() && chance_.has_value()) {
      values = {{"lower", interval_->lower}, {"upper", interval_->upper}, {"chance", *chance_}};
      sort("accuracy", interval_->lower > *chance_ ? 1 : interval_->upper < *chance_ ? -1 : 0);
    }
    if (const auto margin = MarginAboveChance(); margin.has_value()) {
      values.emplace_back("margin_above_chance", margin->difference);
      values.emplace_back("margin_above_chance_error", margin->standard_error);
      sort("margin", margin->Side());
    }
    const auto log_p = Above(input_.mean_log_p_choices, input_.mean_log_p_choices_standard_error,
                             input_.chance_log_p_choices, std::nullopt);
    if (log_p.has_value()) {
      values.emplace_back("log_p_above_chance", log_p->difference);
      values.emplace_back("log_p_above_chance_error", log_p->standard_error);
      sort("log p of the gold", log_p->Side());
    }
    if (!above.empty() && !below.empty()) {
      const bool overconfident = above.front() == "accuracy" && below.back() == "log p of the gold";
      Add(kReasonCounterpartsDisagree,
          fmt::format("Above chance: {}; below: {}{}.", List(above), List(below),
                      overconfident ? " (overconfident errors)" : ""),
          std::move(values));
    } else if (const auto& all = above.empty() ? below : above; all.size() >= 2) {
      Add(kReasonCounterpartsAgree,
          fmt::format("{} chance alike: {}.", above.empty() ? "Below" : "Above", List(all)),
          std::move(values));
    }
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
        IsShare(input_.kind) && *change >= 1
            ? fmt::format("Two runs of {} items, compared unpaired, tell apart no change at all",
                          n_)
            : fmt::format(
                  "Two runs of {} items, compared unpaired, tell apart changes from {:.2g} "
                  "on",
                  n_, *change);
    if (IsShare(input_.kind)) {
      const absl::StatusOr<double> bound = ZeroOfNUpperBound(n_, kZeroOfNLevel);
      if (bound.ok()) {
        values.emplace_back("zero_of_n_upper_bound", *bound);
        if (observed_.has_value() && *observed_ == 0) {
          text += fmt::format("; 0 of {} allows up to {:.2g} (one-sided 95 %)", n_, *bound);
        }
      }
    }
    if (floor_ || ceiling_) {
      const double m = input_.distortion->m_one;
      const double needed = std::ceil(kBlindExpectedCount / (floor_ ? m : 1 - m));
      // No number of items is enough where nothing at all is expected.
      if (std::isfinite(needed)) {
        values.emplace_back("n_to_resolve", needed);
        text += fmt::format(
            "; {} items would have {:.0f} {}",
            needed < 1e6 ? fmt::format("{:.0f}", needed) : fmt::format("{:.2g}", needed),
            kBlindExpectedCount, floor_ ? "right" : "wrong");
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
