#include "metrics/emergence/simulation_law.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "metrics/emergence/simulation_spec.h"

namespace mirage::metrics {
namespace {

// From .1 to .9 a logistic function takes 2 ln 9 of its scale.
constexpr double kTenToNinety = 4.394449154672439;

}  // namespace

ValueAndSlope SmoothRamp(double t, double width) {
  if (width == 0) return {std::max(t, 0.0), t >= 0 ? 1.0 : 0.0};
  const double k = width / kTenToNinety;
  const double z = t / k;
  // ln(1 + e^z) = max(z, 0) + ln(1 + e^-|z|): nothing overflows.
  const double tail = std::exp(-std::abs(z));
  return {k * (std::max(z, 0.0) + std::log1p(tail)), z >= 0 ? 1 / (1 + tail) : tail / (1 + tail)};
}

ValueAndSlope LogisticStep(double t, double width) {
  if (width == 0) return {t > 0 ? 1.0 : t < 0 ? 0.0 : 0.5, 0};
  const double k = width / kTenToNinety;
  const double tail = std::exp(-std::abs(t / k));
  const double value = t >= 0 ? 1 / (1 + tail) : tail / (1 + tail);
  return {value, tail / ((1 + tail) * (1 + tail)) / k};
}

SimulationCurve::SimulationCurve(const SimulationSpec& spec)
    : spec_(spec), log_c_(std::log(*spec.c)) {
  for (const SimulatedBreak& one : spec_.breaks) log_break_scales_.push_back(std::log(one.scale));
}

ValueAndSlope SimulationCurve::LogCe(double log_scale, uint32_t breaks) const {
  const double x = log_scale - log_c_;
  const double alpha = *spec_.alpha;
  ValueAndSlope result;
  switch (spec_.law) {
    case SimulatedLaw::kLogistic: {
      // ln ln V - ln(1 + e^(-alpha x)).
      const double z = -alpha * x;
      const double tail = std::exp(-std::abs(z));
      result.value = std::log(std::log(static_cast<double>(*spec_.vocabulary))) - std::max(z, 0.0) -
                     std::log1p(tail);
      result.slope = alpha * (z >= 0 ? 1 / (1 + tail) : tail / (1 + tail));
      break;
    }
    case SimulatedLaw::kQuadratic:
      result.value = alpha * x + *spec_.curvature * x * x;
      result.slope = alpha + 2 * *spec_.curvature * x;
      break;
    case SimulatedLaw::kPowerLaw:
    case SimulatedLaw::kUnspecified:
      result.value = alpha * x;
      result.slope = alpha;
      break;
  }
  for (size_t b = 0; b < spec_.breaks.size(); ++b) {
    if ((breaks >> b & 1) == 0) continue;
    const SimulatedBreak& one = spec_.breaks[b];
    const ValueAndSlope ramp = SmoothRamp(log_scale - log_break_scales_[b], one.width);
    result.value -= one.delta_exponent * ramp.value;
    result.slope -= one.delta_exponent * ramp.slope;
  }
  return result;
}

uint32_t SimulationCurve::Breaks(uint32_t position, uint32_t item_breaks) const {
  uint32_t breaks = 0;
  for (size_t b = 0; b < spec_.breaks.size(); ++b) {
    const auto& positions = spec_.breaks[b].positions;
    const bool here = positions.empty() ||
                      std::find(positions.begin(), positions.end(), position) != positions.end();
    if (here) breaks |= uint32_t{1} << b;
  }
  return breaks & item_breaks;
}

ValueAndSlope SimulationCurve::BetterShare(double log_scale) const {
  if (!spec_.bimodality.has_value()) return {1, 0};
  return LogisticStep(log_scale - std::log(spec_.bimodality->scale), spec_.bimodality->width);
}

ValueAndSlope SimulationCurve::MeanNll(double log_scale, uint32_t position, int only_with) const {
  const uint32_t here = Breaks(position, ~uint32_t{0});
  // Subsets of the breaks at this position that some items have and others lack.
  uint32_t partial = 0;
  for (size_t b = 0; b < spec_.breaks.size(); ++b) {
    const double share = spec_.breaks[b].item_share;
    const bool fixed = share == 0 || share == 1 || static_cast<int>(b) == only_with;
    if (!fixed) partial |= here & (uint32_t{1} << b);
  }
  ValueAndSlope mean;
  uint32_t chosen = partial;
  while (true) {
    double weight = 1;
    for (size_t b = 0; b < spec_.breaks.size(); ++b) {
      if ((partial >> b & 1) == 0) continue;
      const double share = spec_.breaks[b].item_share;
      weight *= (chosen >> b & 1) != 0 ? share : 1 - share;
    }
    const ValueAndSlope log_ce = LogCe(log_scale, (here & ~partial) | chosen);
    const double ce = std::exp(log_ce.value);
    mean.value += weight * ce;
    mean.slope += weight * ce * log_ce.slope;
    if (chosen == 0) break;
    chosen = (chosen - 1) & partial;
  }
  if (spec_.bimodality.has_value()) {
    const ValueAndSlope better = BetterShare(log_scale);
    const double more = spec_.bimodality->factor - 1;
    const double factor = 1 + more * (1 - better.value);
    mean.slope = mean.slope * factor - mean.value * more * better.slope;
    mean.value *= factor;
  }
  mean.value += *spec_.floor;
  return mean;
}

}  // namespace mirage::metrics
