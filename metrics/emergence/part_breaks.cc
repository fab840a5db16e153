#include "metrics/emergence/part_breaks.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/emergence/chance_break.h"
#include "metrics/emergence/slope_break.h"
#include "metrics/stats/multiplicity.h"

namespace mirage::metrics {
namespace {

constexpr int kReplicatesPerTest = 40;
constexpr int kMostReplicates = 10'000;
// Least value, so that it has a logarithm.
constexpr double kLeastValue = 1e-12;

absl::Status CheckShape(std::span<const PartCurve> parts, std::span<const double> x) {
  for (size_t j = 0; j < x.size(); ++j) {
    if (!std::isfinite(x[j])) {
      return absl::InvalidArgumentError(fmt::format("x[{}] is {}: must be finite", j, x[j]));
    }
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    const PartCurve& part = parts[i];
    if (part.models.size() != x.size()) {
      return absl::InvalidArgumentError(
          fmt::format("parts[{}] has values of {} models: must be {}, as the series has", i,
                      part.models.size(), x.size()));
    }
  }
  return absl::OkStatus();
}

// A model's place, and what its value counts as.
struct Point {
  double x = 0;
  double value = 0;
  double error = 0;
};

// Ascending in x; empty where the part is not tested.
std::vector<Point> PointsOf(const PartCurve& part, std::span<const double> x) {
  std::vector<Point> points;
  for (size_t j = 0; j < x.size(); ++j) {
    const PartValue& value = part.models[j];
    if (value.n == 0) continue;
    if (value.n < kPartMinItems) return {};
    Point point = {x[j], value.mean, value.standard_error};
    if (part.is_generated && value.mean == 0) {
      point.value = 0.5 / (value.n + 1);
      point.error = std::sqrt(point.value * (1 - point.value) / value.n);
    }
    points.push_back(point);
  }
  std::sort(points.begin(), points.end(), [](const Point& a, const Point& b) {
    return std::tie(a.x, a.value, a.error) < std::tie(b.x, b.value, b.error);
  });
  return points;
}

size_t SizesOf(const std::vector<Point>& points) {
  size_t n = 0;
  for (size_t i = 0; i < points.size(); ++i) n += i == 0 || points[i].x > points[i - 1].x;
  return n;
}

// The law's points, up to and including the first size at the ceiling.
std::vector<LawPoint> LawPointsOf(const std::vector<Point>& points) {
  std::vector<LawPoint> law;
  double first = 0;
  for (size_t begin = 0; begin < points.size();) {
    size_t end = begin;
    double sum = 0;
    while (end < points.size() && points[end].x == points[begin].x) sum += points[end++].value;
    const double mean = sum / static_cast<double>(end - begin);
    if (begin == 0) first = mean;
    if (!(first > 0)) return {};
    for (size_t i = begin; i < end; ++i) {
      const double value = std::max(points[i].value, kLeastValue);
      law.push_back({points[i].x, std::log(value), std::pow(points[i].error / value, 2)});
    }
    if (mean < kPartCeilingShare * first) break;
    begin = end;
  }
  return law;
}

}  // namespace

absl::Status CheckPartCurves(std::span<const PartCurve> parts) {
  for (size_t i = 0; i < parts.size(); ++i) {
    const PartCurve& part = parts[i];
    if (part.chance && !(*part.chance >= 0 && std::isfinite(*part.chance))) {
      return absl::InvalidArgumentError(fmt::format(
          "parts[{}].chance is {}: must be finite and >= 0, or absent", i, *part.chance));
    }
    for (size_t j = 0; j < part.models.size(); ++j) {
      const PartValue& value = part.models[j];
      const auto bad = [&](std::string_view field, double is, std::string_view must) {
        return absl::InvalidArgumentError(
            fmt::format("parts[{}].models[{}].{} is {}: must be {}", i, j, field, is, must));
      };
      if (!(value.n >= 0 && std::isfinite(value.n))) return bad("n", value.n, "finite and >= 0");
      if (value.n == 0) continue;
      if (!(value.mean >= 0 && std::isfinite(value.mean))) {
        return bad("mean", value.mean, "finite and >= 0");
      }
      if (part.is_generated && value.mean > 1) return bad("mean", value.mean, "a share, <= 1");
      if (!(value.standard_error >= 0 && std::isfinite(value.standard_error))) {
        return bad("standard_error", value.standard_error, "finite and >= 0");
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<PartTest>> FindPartBreaks(std::span<const PartCurve> parts,
                                                     std::span<const double> x,
                                                     const BreakOptions& options) {
  if (absl::Status status = CheckShape(parts, x); !status.ok()) return status;
  if (absl::Status status = CheckPartCurves(parts); !status.ok()) return status;
  std::vector<PartTest> tests(parts.size());
  std::vector<std::vector<LawPoint>> laws(parts.size());
  std::vector<std::optional<size_t>> same(parts.size());
  std::map<std::vector<double>, size_t> known;
  // What is tested, by kind: teacher-forced, generated.
  size_t n_tests[2] = {0, 0};
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::vector<Point> points = PointsOf(parts[i], x);
    if (SizesOf(points) < kBreakMinScales) continue;
    std::vector<double> key = {parts[i].is_generated ? 1.0 : 0.0, parts[i].chance.value_or(0)};
    for (const Point& point : points) key.insert(key.end(), {point.x, point.value, point.error});
    const auto [found, is_new] = known.try_emplace(std::move(key), i);
    if (!is_new) {
      same[i] = found->second;
      continue;
    }
    PartTest& test = tests[i];
    size_t& n = n_tests[parts[i].is_generated ? 1 : 0];
    if (parts[i].chance.value_or(0) > 0) {
      std::vector<ChancePoint> curve;
      curve.reserve(points.size());
      for (const Point& point : points) curve.push_back({point.x, point.value, point.error});
      auto chance = FindChanceBreak(curve, *parts[i].chance);
      if (!chance.ok()) return chance.status();
      if (chance->outcome != ChanceOutcome::kTooFewAtChance &&
          chance->outcome != ChanceOutcome::kTooFewAfter) {
        test.chance = *chance;
        test.is_tested = true;
        ++n;
      }
    }
    std::vector<LawPoint> law = LawPointsOf(points);
    size_t n_scales = 0;
    for (size_t k = 0; k < law.size(); ++k) n_scales += k == 0 || law[k].x > law[k - 1].x;
    if (n_scales >= kBreakMinScales) {
      laws[i] = std::move(law);
      test.is_tested = true;
      ++n;
    }
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    if (laws[i].empty()) continue;
    BreakOptions law_options = options;
    law_options.is_before_onset = true;
    law_options.replicates = 0;
    auto law = SlopeBreak::Create(laws[i], law_options);
    if (!law.ok()) return law.status();
    tests[i].law = law->evidence();
    if (tests[i].law->p_resolved_break < kBreakProbability) continue;
    law_options.replicates =
        std::clamp(kReplicatesPerTest *
                       static_cast<int>(std::min<size_t>(n_tests[parts[i].is_generated], 250)),
                   options.replicates, std::max(options.replicates, kMostReplicates));
    law = SlopeBreak::Create(laws[i], law_options);
    if (!law.ok()) return law.status();
    tests[i].law = law->evidence();
    tests[i].law_p = tests[i].law->p_value;
  }
  for (const bool is_generated : {false, true}) {
    std::vector<double> ps;
    std::vector<std::pair<size_t, bool>> places;
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts[i].is_generated != is_generated) continue;
      if (tests[i].chance) {
        ps.push_back(tests[i].chance->p_value);
        places.emplace_back(i, true);
      }
      if (tests[i].law) {
        ps.push_back(tests[i].law_p);
        places.emplace_back(i, false);
      }
    }
    if (ps.empty()) continue;
    const auto qs = AdjustPValues(ps, Adjustment::kHolm);
    if (!qs.ok()) return qs.status();
    for (size_t k = 0; k < ps.size(); ++k) {
      const auto [i, is_chance] = places[k];
      PartTest& test = tests[i];
      if (ps[k] >= test.p_value) continue;
      test.p_value = ps[k];
      test.q_value = (*qs)[k];
      test.x = is_chance ? test.chance->x : test.law->break_x;
    }
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!same[i]) continue;
    tests[i] = tests[*same[i]];
    tests[i].same_as = same[i];
  }
  return tests;
}

}  // namespace mirage::metrics
