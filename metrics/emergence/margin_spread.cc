#include "metrics/emergence/margin_spread.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "metrics/stats/distributions.h"

namespace mirage::metrics {
namespace {

// P(X < x) of a Gumbel distribution of maxima with mean 0 and standard deviation 1.
double Gumbel(double x) {
  return std::exp(-std::exp(-x * std::numbers::pi / std::sqrt(6.0) - std::numbers::egamma));
}

}  // namespace

double ShareAboveZero(MarginSpread spread, double z) {
  switch (spread) {
    case MarginSpread::kUniform:
      return std::clamp((z / std::numbers::sqrt3 + 1) / 2, 0.0, 1.0);
    case MarginSpread::kNormal:
      return NormalCdf(z);
    case MarginSpread::kLogistic:
      return 1 / (1 + std::exp(-z * std::numbers::pi / std::numbers::sqrt3));
    case MarginSpread::kLaplace: {
      const double tail = std::exp(-std::abs(z) * std::numbers::sqrt2) / 2;
      return z > 0 ? 1 - tail : tail;
    }
    case MarginSpread::kLongBelow:
      return Gumbel(z);
    case MarginSpread::kLongAbove:
      return 1 - Gumbel(-z);
  }
  return 0;
}

}  // namespace mirage::metrics
