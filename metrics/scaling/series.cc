#include "metrics/scaling/series.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/max_count.h"

namespace mirage::metrics {
namespace {

absl::Status Invalid(std::string_view message) {
  return absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
}

absl::Status CheckPoint(const SeriesPoint& point, size_t i, bool proportion) {
  if (!(point.scale > 0) || !std::isfinite(point.scale)) {
    return Invalid(
        fmt::format("points[{}].scale is {}: scales must be > 0 and finite", i, point.scale));
  }
  if (!std::isfinite(point.value)) {
    return Invalid(
        fmt::format("points[{}].value is {}: must be finite; leave out a model "
                    "without a value",
                    i, point.value));
  }
  if (proportion && !(point.value >= 0 && point.value <= 1)) {
    return Invalid(
        fmt::format("points[{}].value is {}: a proportion must be between 0 and 1; "
                    "divide percentages by 100",
                    i, point.value));
  }
  if (point.standard_error.has_value() &&
      (!(*point.standard_error >= 0) || !std::isfinite(*point.standard_error))) {
    return Invalid(
        fmt::format("points[{}].standard_error is {}: must be >= 0 and finite; leave "
                    "it out where it is unknown",
                    i, *point.standard_error));
  }
  if (point.n.has_value() && (*point.n < 1 || *point.n > kMaxCount)) {
    return Invalid(
        fmt::format("points[{}].n is {}: must be 1 to 2^53; leave it out where it is "
                    "unknown",
                    i, *point.n));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Series> Series::Create(std::vector<SeriesPoint> points,
                                      const SeriesOptions& options) {
  if (!(options.replicate_tolerance >= 0 && options.replicate_tolerance <= 0.1)) {
    return Invalid(fmt::format("replicate_tolerance is {}: must be between 0 and 0.1",
                               options.replicate_tolerance));
  }
  for (size_t i = 0; i < points.size(); ++i) {
    if (absl::Status status = CheckPoint(points[i], i, options.proportion); !status.ok()) {
      return status;
    }
  }
  Series series;
  series.options_ = options;
  series.places_.resize(points.size());
  std::iota(series.places_.begin(), series.places_.end(), size_t{0});
  std::sort(series.places_.begin(), series.places_.end(), [&](size_t a, size_t b) {
    if (points[a].scale != points[b].scale) return points[a].scale < points[b].scale;
    const int order = points[a].seed.compare(points[b].seed);
    return order != 0 ? order < 0 : a < b;
  });
  for (size_t i = 1; i < points.size(); ++i) {
    const size_t a = series.places_[i - 1];
    const size_t b = series.places_[i];
    if (points[a].scale == points[b].scale && points[a].seed == points[b].seed) {
      return Invalid(fmt::format(
          "points[{}] repeats scale {} and seed \"{}\" of points[{}]: give each training of one "
          "size a seed; checkpoints and models that differ otherwise need another axis",
          b, points[b].scale, points[b].seed, a));
    }
  }
  series.points_.reserve(points.size());
  series.n_inferred_.assign(points.size(), false);
  for (size_t i = 0; i < points.size(); ++i) {
    SeriesPoint& point = series.points_.emplace_back(std::move(points[series.places_[i]]));
    if (options.proportion && !point.n.has_value() && point.standard_error.has_value()) {
      point.n = InferSampleSize(point.value, *point.standard_error);
      series.n_inferred_[i] = point.n.has_value();
    }
  }
  std::set<std::string_view> seeds;
  for (size_t i = 0; i < series.points_.size(); ++i) {
    const SeriesPoint& point = series.points_[i];
    const bool joins = !series.groups_.empty() &&
                       point.scale <= series.points_[series.groups_.back().begin].scale *
                                          (1 + options.replicate_tolerance) &&
                       !seeds.contains(point.seed);
    if (!joins) {
      series.groups_.push_back({i, i});
      seeds.clear();
    }
    seeds.insert(point.seed);
    series.groups_.back().end = i + 1;
  }
  return series;
}

std::optional<uint64_t> Series::successes(size_t i) const {
  if (!options_.proportion || !points_[i].n.has_value()) return std::nullopt;
  return static_cast<uint64_t>(std::llround(points_[i].value * static_cast<double>(*points_[i].n)));
}

std::optional<double> Series::sampling_variance(size_t i) const {
  const SeriesPoint& point = points_[i];
  std::optional<double> variance;
  if (point.standard_error.has_value() && *point.standard_error > 0) {
    const double square = *point.standard_error * *point.standard_error;
    if (square > 0) variance = square;
  }
  if (const std::optional<uint64_t> k = successes(i); k.has_value()) {
    const double n = static_cast<double>(*point.n);
    const double a = static_cast<double>(*k) + 0.5;
    const double b = static_cast<double>(*point.n - *k) + 0.5;
    variance = std::max(variance.value_or(0), a * b / ((n + 1) * (n + 1) * (n + 2)));
  }
  return variance;
}

std::optional<uint64_t> InferSampleSize(double share, double standard_error) {
  if (!(share > 0 && share < 1) || !(standard_error > 0)) return std::nullopt;
  const double ratio = share * (1 - share) / (standard_error * standard_error);
  // Also where the square vanished.
  if (!(ratio <= 0x1p53)) return std::nullopt;
  const double without = std::round(ratio);
  const double with = without + 1;
  const auto distance = [share](double n) { return std::fabs(n * share - std::round(n * share)); };
  const double n = distance(without) + 1e-9 * with < distance(with) ? without : with;
  if (n < 2 || n > 0x1p53) return std::nullopt;
  return static_cast<uint64_t>(n);
}

}  // namespace mirage::metrics
