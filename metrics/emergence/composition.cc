#include "metrics/emergence/composition.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "metrics/stats/distributions.h"

namespace mirage::metrics {
namespace {

// Points of the quadrature over a normal number: the middles of equally likely parts.
constexpr size_t kParts = 64;

// P(share <= x) where the share is k / n, k binomial with chance p; with half of the probability
// of x itself. A step at p without n.
double BelowShare(double x, double p, std::optional<double> n) {
  if (!n) return x > p ? 1 : x < p ? 0 : 0.5;
  if (p <= 0) return x > 0 ? 1 : x < 0 ? 0 : 0.5;
  if (p >= 1) return x > 1 ? 1 : x < 1 ? 0 : 0.5;
  if (x < 0) return 0;
  if (x > 1) return 1;
  const auto items = static_cast<uint64_t>(std::llround(*n));
  const auto k = static_cast<uint64_t>(std::floor(x * static_cast<double>(items) + 1e-9));
  // P(at most k) = 1 - P(at least k + 1).
  const double at_most = k + 1 > items ? 1 : 1 - BinomialTail(k + 1, items, p);
  return at_most;
}

// The quantile of a mixture of such shares.
double QuantileOfMixture(const std::vector<double>& ps, std::optional<double> n, double level) {
  const auto below = [&](double x) {
    double sum = 0;
    for (const double p : ps) sum += BelowShare(x, p, n);
    return sum / static_cast<double>(ps.size());
  };
  if (n) {
    // The smallest k with P(at most k) >= level.
    uint64_t low = 0;
    auto high = static_cast<uint64_t>(std::llround(*n));
    const auto items = static_cast<double>(high);
    while (low < high) {
      const uint64_t middle = (low + high) / 2;
      if (below(static_cast<double>(middle) / items) >= level) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return static_cast<double>(low) / items;
  }
  std::vector<double> sorted = ps;
  std::sort(sorted.begin(), sorted.end());
  const double at = level * static_cast<double>(sorted.size()) - 0.5;
  const auto i = static_cast<size_t>(std::clamp(at, 0.0, static_cast<double>(sorted.size() - 1)));
  const size_t next = std::min(i + 1, sorted.size() - 1);
  const double share = std::clamp(at - static_cast<double>(i), 0.0, 1.0);
  return sorted[i] + share * (sorted[next] - sorted[i]);
}

}  // namespace

std::span<const double> NormalParts() {
  static const std::array<double, kParts> kPoints = [] {
    std::array<double, kParts> points{};
    for (size_t i = 0; i < kParts; ++i) {
      points[i] = NormalQuantile((static_cast<double>(i) + 0.5) / kParts);
    }
    return points;
  }();
  return kPoints;
}

PredictedShare ShareInterval(const std::vector<double>& ps, std::optional<double> n, double level) {
  PredictedShare share;
  share.lower = QuantileOfMixture(ps, n, (1 - level) / 2);
  share.upper = QuantileOfMixture(ps, n, (1 + level) / 2);
  return share;
}

double ComposedShare(AllTokensOf of, const ItemDifficulty& difficulty, double length, double q) {
  if (of == AllTokensOf::kNll) return AllTokens(difficulty, length * q);
  // Where no NLL leaves so few right units, as many items are easy as there are right ones.
  constexpr double kLargest = 1e6;
  const double r = NllOfShare(difficulty, std::exp(-q)).value_or(kLargest);
  return AllTokens(difficulty, length * r);
}

PredictedShare PredictAllTokens(const AllTokensInput& input,
                                std::span<const ItemDifficulty> difficulties, double level) {
  const auto share_of = [&](const ItemDifficulty& difficulty, double q) {
    return input.ceiling * ComposedShare(input.of, difficulty, input.length, q);
  };
  PredictedShare share = {.value = 0, .lower = 1, .upper = 0};
  std::vector<double> ps;
  for (const ItemDifficulty& difficulty : difficulties) {
    ps.clear();
    for (const double z : NormalParts()) {
      ps.push_back(share_of(difficulty, std::exp(input.log_q + input.sd * z)));
    }
    const PredictedShare one = ShareInterval(ps, input.n, level);
    share.lower = std::min(share.lower, one.lower);
    share.upper = std::max(share.upper, one.upper);
    share.value += share_of(difficulty, std::exp(input.log_q));
  }
  share.value /= static_cast<double>(difficulties.size());
  return share;
}

PredictedShare PredictArgmax(double z, double z_sd, std::span<const MarginSpread> spreads,
                             std::optional<double> n, double level) {
  PredictedShare share = {.value = 0, .lower = 1, .upper = 0};
  std::vector<double> ps;
  for (const MarginSpread spread : spreads) {
    ps.clear();
    for (const double part : NormalParts()) ps.push_back(ShareAboveZero(spread, z + z_sd * part));
    const PredictedShare one = ShareInterval(ps, n, level);
    share.lower = std::min(share.lower, one.lower);
    share.upper = std::max(share.upper, one.upper);
    share.value += ShareAboveZero(spread, z);
  }
  share.value /= static_cast<double>(spreads.size());
  return share;
}

}  // namespace mirage::metrics
