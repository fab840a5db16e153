#include "metrics/emergence/heterogeneity.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <tuple>
#include <vector>

namespace mirage::metrics {
namespace {

// Share of the range, and gaps, within which a break fits.
constexpr double kWindowShare = 1.0 / 3;
constexpr double kWindowGaps = 2;
constexpr double kWindowSlack = 1e-9;
// Errors that a jump must be beyond.
constexpr double kErrors = 2;

// The items of one size.
struct Size {
  double x = 0;
  double cv = 0;
  double n = 0;
};

// Variance of ln CV.
double Variance(const Size& size) { return (0.5 + size.cv * size.cv) / size.n; }

}  // namespace

std::optional<HeterogeneityJump> FindHeterogeneityJump(std::span<const ModelSpread> models) {
  std::vector<Size> all;
  all.reserve(models.size());
  for (const ModelSpread& one : models) {
    const double cv = one.standard_error * std::sqrt(one.n) / one.mean;
    if (!(one.n >= kHeterogeneityItems) || !(one.mean > 0) || !(cv > 0) || !std::isfinite(cv) ||
        !std::isfinite(one.x)) {
      continue;
    }
    all.push_back({one.x, cv, one.n});
  }
  std::sort(all.begin(), all.end(), [](const Size& a, const Size& b) {
    return std::tuple(a.x, a.cv, a.n) < std::tuple(b.x, b.cv, b.n);
  });
  std::vector<Size> sizes;
  for (size_t first = 0; first < all.size();) {
    Size size = {all[first].x, 0, 0};
    size_t past = first;
    for (; past < all.size() && all[past].x == all[first].x; ++past) {
      size.cv += all[past].cv;
      size.n += all[past].n;
    }
    size.cv = std::max(size.cv / static_cast<double>(past - first), kHeterogeneityLeastCv);
    sizes.push_back(size);
    first = past;
  }
  if (sizes.size() < 2) return std::nullopt;
  const double range = sizes.back().x - sizes.front().x;
  const double gap = range / static_cast<double>(sizes.size() - 1);
  const double window = std::max(kWindowShare * range, kWindowGaps * gap) * (1 + kWindowSlack);
  std::optional<HeterogeneityJump> jump;
  for (size_t to = 1; to < sizes.size(); ++to) {
    for (size_t from = 0; from < to; ++from) {
      const Size& before = sizes[from];
      const Size& after = sizes[to];
      if (after.x - before.x > window) continue;
      const double ratio = after.cv / before.cv;
      const double error = std::sqrt(Variance(before) + Variance(after));
      if (!(ratio > kHeterogeneityJump) || !(std::log(ratio) > kErrors * error)) continue;
      if (!jump || ratio > jump->ratio) jump = HeterogeneityJump{ratio, before.x, after.x};
    }
  }
  return jump;
}

}  // namespace mirage::metrics
