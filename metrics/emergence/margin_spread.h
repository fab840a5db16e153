// How the items' margins may be spread, of which a mean and its error tell only two moments.
//
// A margin is the log-probability of the gold choice minus that of the best wrong one: the gold is
// chosen where it is above 0. What share of the items that is follows from mean and standard
// deviation only if the distribution is known. Those here have light and heavy tails, and a longer
// one on either side; a verdict takes those with which all of a family's models agree.
#ifndef MIRAGE_METRICS_EMERGENCE_MARGIN_SPREAD_H_
#define MIRAGE_METRICS_EMERGENCE_MARGIN_SPREAD_H_

#include <array>
#include <cstdint>

namespace mirage::metrics {

enum class MarginSpread : uint8_t {
  kUniform,
  kNormal,
  kLogistic,
  kLaplace,
  // Gumbel distributions: items far below the mean, and far above it.
  kLongBelow,
  kLongAbove,
};

inline constexpr std::array kMarginSpreads = {MarginSpread::kUniform,   MarginSpread::kNormal,
                                              MarginSpread::kLogistic,  MarginSpread::kLaplace,
                                              MarginSpread::kLongBelow, MarginSpread::kLongAbove};

// P(margin > 0), z being the mean margin over its standard deviation. Rises from 0 to 1; any finite
// z.
double ShareAboveZero(MarginSpread spread, double z);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_MARGIN_SPREAD_H_
