#include "metrics/emergence/chance_break.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/distributions.h"

namespace mirage::metrics {
namespace {

// One-sided 95 %.
constexpr double kZ = 1.6448536269514722;
// Least value, as a share of chance.
constexpr double kLeastShare = 1e-9;

// Progress of one model.
struct Progress {
  double s = 0;
  double error = 0;
  bool IsAtChance() const { return std::abs(s) + kZ * error <= kChanceTolerance; }
  bool HasLearned() const { return s - kZ * error > kChanceTolerance; }
};

struct Size {
  double x = 0;
  std::vector<Progress> models;

  size_t Learned() const {
    return static_cast<size_t>(std::count_if(models.begin(), models.end(),
                                             [](const Progress& p) { return p.HasLearned(); }));
  }
  bool IsAtChance() const {
    return std::all_of(models.begin(), models.end(),
                       [](const Progress& p) { return p.IsAtChance(); });
  }
  bool IsTransition() const { return Learned() > 0 && Learned() < models.size(); }
  bool HasLearned() const { return Learned() == models.size(); }
  double MeanS() const {
    double sum = 0;
    for (const Progress& p : models) sum += p.s;
    return sum / static_cast<double>(models.size());
  }
};

absl::Status Check(std::span<const ChancePoint> points, double chance) {
  if (!(chance > 0 && std::isfinite(chance))) {
    return absl::InvalidArgumentError(fmt::format("chance is {}: must be finite and > 0", chance));
  }
  for (size_t i = 0; i < points.size(); ++i) {
    if (!std::isfinite(points[i].x)) {
      return absl::InvalidArgumentError(
          fmt::format("points[{}].x is {}: must be finite", i, points[i].x));
    }
    if (!(points[i].value >= 0 && std::isfinite(points[i].value))) {
      return absl::InvalidArgumentError(
          fmt::format("points[{}].value is {}: must be finite and >= 0", i, points[i].value));
    }
    if (!(points[i].standard_error >= 0 && std::isfinite(points[i].standard_error))) {
      return absl::InvalidArgumentError(fmt::format(
          "points[{}].standard_error is {}: must be finite and >= 0", i, points[i].standard_error));
    }
  }
  return absl::OkStatus();
}

std::vector<Size> SizesOf(std::span<const ChancePoint> points, double chance) {
  std::vector<ChancePoint> sorted(points.begin(), points.end());
  std::sort(sorted.begin(), sorted.end(), [](const ChancePoint& a, const ChancePoint& b) {
    return std::tie(a.x, a.value, a.standard_error) < std::tie(b.x, b.value, b.standard_error);
  });
  std::vector<Size> sizes;
  for (const ChancePoint& point : sorted) {
    if (sizes.empty() || point.x > sizes.back().x) sizes.push_back({point.x, {}});
    const double value = std::max(point.value, kLeastShare * chance);
    sizes.back().models.push_back({std::log(chance / value), point.standard_error / value});
  }
  return sizes;
}

double WindowOf(const std::vector<Size>& sizes) {
  std::vector<double> gaps;
  for (size_t i = 1; i < sizes.size(); ++i) gaps.push_back(sizes[i].x - sizes[i - 1].x);
  if (gaps.empty()) return 0;
  std::nth_element(gaps.begin(), gaps.begin() + static_cast<ptrdiff_t>(gaps.size() / 2),
                   gaps.end());
  return std::max((sizes.back().x - sizes.front().x) / 3, 2 * gaps[gaps.size() / 2]);
}

// What replicates of learned sizes show, or the least.
double ScatterOf(std::span<const Size> after) {
  double squares = 0;
  double df = 0;
  for (const Size& size : after) {
    if (!size.HasLearned() || size.models.size() < 2) continue;
    double mean = 0;
    for (const Progress& p : size.models) mean += std::log(p.s);
    mean /= static_cast<double>(size.models.size());
    for (const Progress& p : size.models) squares += std::pow(std::log(p.s) - mean, 2);
    df += static_cast<double>(size.models.size()) - 1;
  }
  return df > 0 ? std::max(kChanceMinScatter, std::sqrt(squares / df)) : kChanceMinScatter;
}

double PValueOf(const Size& size, double least, double tau) {
  double mean = 0;
  double variance = 0;
  const auto r = static_cast<double>(size.models.size());
  for (const Progress& p : size.models) {
    if (!(p.s > 0)) return 1;
    mean += std::log(p.s) / r;
    variance += (tau * tau + std::pow(p.error / p.s, 2)) / (r * r);
  }
  return NormalTail((mean - std::log(least)) / std::sqrt(variance));
}

}  // namespace

absl::StatusOr<ChanceBreak> FindChanceBreak(std::span<const ChancePoint> points, double chance) {
  if (absl::Status status = Check(points, chance); !status.ok()) return status;
  const std::vector<Size> sizes = SizesOf(points, chance);
  ChanceBreak found;
  found.window = WindowOf(sizes);
  while (found.n_before < sizes.size() && sizes[found.n_before].IsAtChance()) ++found.n_before;
  if (found.n_before < kChanceSizesBefore) return found;

  const double last = sizes[found.n_before - 1].x;
  const std::span<const Size> after = std::span(sizes).subspan(found.n_before);
  std::vector<const Size*> tested;
  for (const Size& size : after) {
    if (size.IsTransition()) continue;
    if (size.x - last > found.window && tested.size() >= kChanceSizesAfter) break;
    tested.push_back(&size);
  }
  found.n_after = tested.size();
  if (tested.size() < kChanceSizesAfter) {
    found.outcome = ChanceOutcome::kTooFewAfter;
    return found;
  }
  const auto first =
      std::find_if(after.begin(), after.end(), [](const Size& size) { return size.HasLearned(); });
  if (first == after.end()) {
    found.outcome = ChanceOutcome::kNoneLearned;
    return found;
  }
  const auto back = std::count_if(first, after.end(), [](const Size& size) {
    return !size.IsTransition() && size.MeanS() <= kChanceTolerance;
  });
  if (back > 1) {
    found.outcome = ChanceOutcome::kBackAtChance;
    return found;
  }
  found.outcome = ChanceOutcome::kTested;
  found.x = (last + first->x) / 2;
  found.is_within_one_gap = first == after.begin();
  found.tau = ScatterOf(after);
  std::vector<double> ps;
  ps.reserve(tested.size());
  for (const Size* size : tested) {
    ps.push_back(PValueOf(*size, kChanceMinSlope * (size->x - last), found.tau));
  }
  std::sort(ps.begin(), ps.end());
  found.p_value = ps.size() > kChanceSizesAfter ? std::min(1.0, 2 * ps[ps.size() - 2]) : ps.back();
  // A p-value of 0 would claim what no test of such models can show.
  found.p_value = std::max(found.p_value, std::numeric_limits<double>::min());
  return found;
}

std::string_view ChanceOutcomeText(ChanceOutcome outcome) {
  switch (outcome) {
    case ChanceOutcome::kTested:
      return "tested";
    case ChanceOutcome::kTooFewAtChance:
      return "fewer than three sizes lead the curve at chance";
    case ChanceOutcome::kTooFewAfter:
      return "fewer than two sizes follow those at chance";
    case ChanceOutcome::kNoneLearned:
      return "no size has learned it";
    case ChanceOutcome::kBackAtChance:
      return "more than one larger size is back at chance";
  }
  return "";
}

}  // namespace mirage::metrics
