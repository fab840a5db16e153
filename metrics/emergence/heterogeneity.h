// Does the spread of the items jump?
//
// A break in part of the items bends the mean of their NLL little, and soon no more at all: what
// never breaks makes up the mean. But it spreads the items. The coefficient of variation of an
// item's NLL, CV = standard error * sqrt(n) / mean, is known from means alone. It jumps where
// somewhere CV is more than kHeterogeneityJump times that of a smaller size, no further off than a
// break may be wide: a third of the range, or two gaps. A rise that takes longer is none: where
// exponents differ between items, CV grows with scale without any break. A floor, and items that
// the models agree on, let it fall. Sizes at the ceiling of the metric are to be left out by the
// caller: what is left of the NLL there is a few items'.
//
// A sample CV has an error of its own, about sqrt((1 / 2 + CV^2) / n) of it where items are gamma:
// below kHeterogeneityItems items, or where the rise is not beyond two of these errors, nothing is
// said.
//
// Items that hardly differ have no spread to speak of: a CV below kHeterogeneityLeastCv counts as
// that.
//
// Measured on docs/calibration.md's families, whose items all models share: of 1440 clear mirages
// and 1380 hard ones none jumps. Nor do means there need it yet: where half of the items break
// (half_items_break) the test for breaks of the mean abstains already.
#ifndef MIRAGE_METRICS_EMERGENCE_HETEROGENEITY_H_
#define MIRAGE_METRICS_EMERGENCE_HETEROGENEITY_H_

#include <optional>
#include <span>

namespace mirage::metrics {

inline constexpr double kHeterogeneityJump = 1.5;
inline constexpr double kHeterogeneityItems = 100;
inline constexpr double kHeterogeneityLeastCv = 0.1;

// One model's items.
struct ModelSpread {
  // ln(scale), finite.
  double x = 0;
  // Mean NLL, > 0, its standard error, >= 0, and the items behind it, >= 1; all finite.
  double mean = 0;
  double standard_error = 0;
  double n = 1;
};

// The steepest jump.
struct HeterogeneityJump {
  // CV after it over CV before it, at least kHeterogeneityLeastCv, > kHeterogeneityJump.
  double ratio = 1;
  // ln(scale) before and after it.
  double from = 0;
  double to = 0;
};

// The largest jump; absent where there is none. Models may come in any order; CVs of one place are
// averaged. What is out of range or has too few items is left out. O(m^2).
std::optional<HeterogeneityJump> FindHeterogeneityJump(std::span<const ModelSpread> models);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_HETEROGENEITY_H_
