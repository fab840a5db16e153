// The NLL of a simulated family as a function of the number of parameters.
#ifndef MIRAGE_METRICS_EMERGENCE_SIMULATION_LAW_H_
#define MIRAGE_METRICS_EMERGENCE_SIMULATION_LAW_H_

#include <cstdint>
#include <vector>

#include "metrics/emergence/simulation_spec.h"

namespace mirage::metrics {

// A value and its derivative by ln N.
struct ValueAndSlope {
  double value = 0;
  double slope = 0;
};

// ln(1 + e^t) scaled so that its slope, 1 / (1 + e^(-t/k)), goes from .1 to .9 over `width` (k =
// width / (2 ln 9)); for width 0 it is max(t, 0).
ValueAndSlope SmoothRamp(double t, double width);

// A logistic step from 0 to 1 around t = 0 that goes from .1 to .9 over `width`; for width 0 it is
// 0, 1/2 at t = 0, and 1, with slope 0.
ValueAndSlope LogisticStep(double t, double width);

// The law of one specification. The specification must be filled (FillSimulationSpec).
class SimulationCurve {
 public:
  explicit SimulationCurve(const SimulationSpec& spec);

  // ln CE at `log_scale` = ln N, for a token of an item. Bit b of `breaks` says whether break b
  // applies: see `Breaks`. O(number of breaks).
  ValueAndSlope LogCe(double log_scale, uint32_t breaks) const;

  // The breaks that apply at a position of an item that has those of `item_breaks` (bit b: the item
  // is among the share that has break b).
  uint32_t Breaks(uint32_t position, uint32_t item_breaks) const;

  // The better mode's share at ln N; 1 where seeds have one mode.
  ValueAndSlope BetterShare(double log_scale) const;

  // Mean NLL at one position, over items, scatter (s, h and g have mean 1) and modes of seeds; of
  // the items that have break `only_with` (from 0), or of all where it is negative. O(2^breaks)
  // where breaks have item shares.
  ValueAndSlope MeanNll(double log_scale, uint32_t position, int only_with = -1) const;

 private:
  const SimulationSpec spec_;
  const double log_c_;
  std::vector<double> log_break_scales_;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_SIMULATION_LAW_H_
