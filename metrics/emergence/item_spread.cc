#include "metrics/emergence/item_spread.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>

#include "boost/math/tools/roots.hpp"

namespace mirage::metrics {
namespace {

constexpr double kMaxCv = 3;
constexpr double kMaxNll = 1e6;
// Up to here Kummer's series is summed.
constexpr double kMaxSeries = 5000;

// exp(-u) E[...] of a distribution that is a point, to rounding.
bool IsPoint(double u, double cv) { return u * cv * cv < 1e-9 && cv < 1e-3; }

double Pair(double u, double cv) {
  const double low = std::max(0.0, 1 - cv);
  const double away = 1 - low;
  const double share = cv * cv / (cv * cv + away * away);
  const double high = 1 + cv * cv / away;
  return share * std::exp(-u * low) + (1 - share) * std::exp(-u * high);
}

double LogNormal(double u, double cv) {
  const double sigma2 = std::log1p(cv * cv);
  const double sigma = std::sqrt(sigma2);
  // Trapezoids in the normal number: the integrand is analytic, and 129 points from -8 to 8 give
  // 1e-9.
  constexpr int kHalf = 64;
  constexpr double kStep = 8.0 / kHalf;
  double sum = 0;
  double weights = 0;
  for (int i = -kHalf; i <= kHalf; ++i) {
    const double z = i * kStep;
    const double weight = std::exp(-z * z / 2);
    sum += weight * std::exp(-u * std::exp(sigma * z - sigma2 / 2));
    weights += weight;
  }
  return sum / weights;
}

// Kummer's M(k; k + b; -z) = exp(-z) M(b; k + b; z), whose terms are all positive.
double Kummer(double k, double b, double z) {
  if (z <= kMaxSeries) {
    constexpr double kLarge = 1e250;
    double term = 1;
    double sum = 1;
    double log_scale = -z;
    for (int n = 0; n < 3 * kMaxSeries; ++n) {
      term *= (b + n) / (k + b + n) * z / (n + 1);
      sum += term;
      if (n > z && term < 1e-17 * sum) break;
      if (sum > kLarge) {
        term /= kLarge;
        sum /= kLarge;
        log_scale += std::log(kLarge);
      }
    }
    return std::exp(log_scale + std::log(sum));
  }
  // Hardly an item is so easy.
  constexpr double kMostExponent = 6;
  if (k > kMostExponent) return 0;
  // Its asymptotic series (Abramowitz and Stegun 13.5.1), as long as terms shrink.
  double term = 1;
  double sum = 1;
  for (int n = 0; n < 100; ++n) {
    const double next = term * (k + n) * (1 - b + n) / ((n + 1) * z);
    if (std::abs(next) >= std::abs(term)) break;
    term = next;
    sum += term;
  }
  return std::exp(std::lgamma(k + b) - std::lgamma(b) - k * std::log(z)) * sum;
}

double Beta(double u, double cv, double share_of_gamma) {
  const double k = share_of_gamma / (cv * cv);
  const double b = share_of_gamma * (k + 1) / (1 - share_of_gamma);
  return Kummer(k, b, u * (k + b) / k);
}

// Where `f`, falling from above 0 at `low`, is 0; `high` if it is above 0 there, too.
template <class F>
double Root(F f, double low, double high) {
  const double at_low = f(low);
  if (at_low <= 0) return low;
  const double at_high = f(high);
  if (at_high >= 0) return high;
  std::uintmax_t steps = 100;
  const std::pair<double, double> bracket = boost::math::tools::toms748_solve(
      f, low, high, at_low, at_high, boost::math::tools::eps_tolerance<double>(40), steps);
  return (bracket.first + bracket.second) / 2;
}

}  // namespace

double AllTokens(const ItemDifficulty& difficulty, double u) {
  const double cv = difficulty.cv;
  if (IsPoint(u, cv)) return std::exp(-u);
  switch (difficulty.spread) {
    case ItemSpread::kPair:
      return Pair(u, cv);
    case ItemSpread::kLogNormal:
      return LogNormal(u, cv);
    case ItemSpread::kGamma:
      return std::exp(-std::log1p(u * cv * cv) / (cv * cv));
    case ItemSpread::kBeta60:
      return Beta(u, cv, 0.6);
    case ItemSpread::kBeta30:
      return Beta(u, cv, 0.3);
    case ItemSpread::kBeta15:
      return Beta(u, cv, 0.15);
  }
  return 0;
}

std::optional<double> NllOfShare(const ItemDifficulty& difficulty, double share) {
  if (!(share > 0 && share <= 1)) return std::nullopt;
  if (share == 1) return 0;
  // Spread keeps the share up: without any, u is as small as it can be.
  const double least = -std::log(share);
  if (AllTokens(difficulty, kMaxNll) >= share) return std::nullopt;
  const double log_u = Root([&](double x) { return AllTokens(difficulty, std::exp(x)) - share; },
                            std::log(least), std::log(kMaxNll));
  return std::exp(log_u);
}

std::optional<double> CvOfShares(ItemSpread spread, double mean, double square) {
  if (!(mean > 0 && mean < 1) || !(square <= mean)) return std::nullopt;
  if (square <= mean * mean) return 0;
  // The mean square grows with cv.
  return Root(
      [&](double cv) {
        const std::optional<double> q = NllOfShare({spread, cv}, mean);
        // No such mean with so many easy items: the spread is less.
        return q ? square - AllTokens({spread, cv}, 2 * *q) : -1;
      },
      0, kMaxCv);
}

}  // namespace mirage::metrics
