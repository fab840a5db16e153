#include "metrics/emergence/emergence_score.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/emergence/curve.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/parallel.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

constexpr int kMinReplicates = 100;
constexpr int kMaxReplicates = 1'000'000;
// Replicates a shard: enough to pay for handing it out.
constexpr size_t kShard = 128;
// Streams of the two uses, kept apart so that interval and p-value are independent.
constexpr uint64_t kIntervalStreams = uint64_t{1} << 40;
constexpr uint64_t kNullStreams = uint64_t{2} << 40;

// Largest minus smallest value, signed.
double Change(std::span<const double> values) {
  const auto largest = std::max_element(values.begin(), values.end());
  const auto smallest = std::min_element(values.begin(), values.end());
  const double range = *largest - *smallest;
  return largest < smallest ? -range : range;
}

// sqrt(median of d^2) = median of |d| for an odd number; for an even one the two middle squares are
// averaged. `differences` holds |d| and is reordered.
double RootMedianSquare(std::span<double> differences) {
  const size_t middle = differences.size() / 2;
  const auto at = differences.begin() + static_cast<std::ptrdiff_t>(middle);
  std::nth_element(differences.begin(), at, differences.end());
  if (differences.size() % 2 == 1) return *at;
  const double below = *std::max_element(differences.begin(), at);
  return std::hypot(below, *at) * std::sqrt(0.5);
}

double SignedRatio(double change, double step) {
  if (step > 0) return change / step;
  return std::copysign(std::numeric_limits<double>::infinity(), change);
}

// The score, 0 where nothing changes. `scratch` is room for the differences.
double Score(std::span<const double> values, std::vector<double>& scratch) {
  const double change = Change(values);
  if (change == 0) return 0;
  scratch.resize(values.size() - 1);
  for (size_t i = 0; i + 1 < values.size(); ++i) scratch[i] = std::abs(values[i + 1] - values[i]);
  return SignedRatio(change, RootMedianSquare(scratch));
}

absl::Status CheckOptions(const EmergenceOptions& options) {
  if (options.replicates < kMinReplicates || options.replicates > kMaxReplicates) {
    return absl::InvalidArgumentError(fmt::format("options.replicates is {}: must be {} to {}",
                                                  options.replicates, kMinReplicates,
                                                  kMaxReplicates));
  }
  if (!(options.level > 0 && options.level < 1)) {
    return absl::InvalidArgumentError(
        fmt::format("options.level is {}: must be between 0 and 1", options.level));
  }
  return CheckScatter(options.scatter);
}

absl::Status Check(std::span<const CurvePoint> points, size_t at_least,
                   const EmergenceOptions& options) {
  if (absl::Status status = CheckCurve(points); !status.ok()) return status;
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  if (points.size() < at_least) {
    return absl::InvalidArgumentError(
        fmt::format("points has {} entries: at least {} are needed", points.size(), at_least));
  }
  return absl::OkStatus();
}

std::vector<double> Values(std::span<const CurvePoint> points) {
  std::vector<double> values(points.size());
  std::transform(points.begin(), points.end(), values.begin(),
                 [](const CurvePoint& point) { return point.value; });
  return values;
}

std::vector<double> Simulate(std::span<const CurvePoint> truth, const EmergenceOptions& options,
                             uint64_t streams) {
  const size_t replicates = static_cast<size_t>(options.replicates);
  std::vector<double> scores(replicates);
  ParallelFor((replicates + kShard - 1) / kShard, options.threads, [&](size_t shard) {
    std::vector<double> values(truth.size());
    std::vector<double> scratch;
    const size_t end = std::min(replicates, (shard + 1) * kShard);
    for (size_t replicate = shard * kShard; replicate < end; ++replicate) {
      CounterRng rng(options.seed, streams + replicate);
      for (size_t i = 0; i < truth.size(); ++i) {
        values[i] = DrawValue(truth[i].value, truth[i], options.scatter, rng);
      }
      scores[replicate] = Score(values, scratch);
    }
  });
  return scores;
}

struct Line {
  // Values at the first and at the last scale.
  double first = 0;
  double last = 0;
};

// Least squares of values over t, which goes from 0 to 1; where `in_unit` is set, among the lines
// within [0, 1]. The sum of squares is convex in (first, last), so that the best point of the
// square is the free one or lies on an edge.
Line BestLine(std::span<const double> t, std::span<const double> values, bool in_unit) {
  double n = 0, sum_t = 0, sum_y = 0;
  for (size_t i = 0; i < t.size(); ++i) {
    n += 1;
    sum_t += t[i];
    sum_y += values[i];
  }
  double s_tt = 0, s_ty = 0;
  for (size_t i = 0; i < t.size(); ++i) {
    s_tt += (t[i] - sum_t / n) * (t[i] - sum_t / n);
    s_ty += (t[i] - sum_t / n) * (values[i] - sum_y / n);
  }
  const double slope = s_ty / s_tt;
  const double start = sum_y / n - slope * (sum_t / n);
  const Line free = {start, start + slope};
  const auto within = [](double value) { return value >= 0 && value <= 1; };
  if (!in_unit || (within(free.first) && within(free.last))) return free;

  const auto squares = [&](const Line& line) {
    double sum = 0;
    for (size_t i = 0; i < t.size(); ++i) {
      const double residual = values[i] - line.first - t[i] * (line.last - line.first);
      sum += residual * residual;
    }
    return sum;
  };
  Line best;
  double least = std::numeric_limits<double>::infinity();
  for (const double end : {0.0, 1.0}) {
    // value = end (1 - t) + last t, and value = first (1 - t) + end t.
    double up = 0, up_2 = 0, down = 0, down_2 = 0;
    for (size_t i = 0; i < t.size(); ++i) {
      const double rest = 1 - t[i];
      up += t[i] * (values[i] - end * rest);
      up_2 += t[i] * t[i];
      down += rest * (values[i] - end * t[i]);
      down_2 += rest * rest;
    }
    for (const Line& line : {Line{end, std::clamp(up / up_2, 0.0, 1.0)},
                             Line{std::clamp(down / down_2, 0.0, 1.0), end}}) {
      const double sum = squares(line);
      if (sum < least) {
        least = sum;
        best = line;
      }
    }
  }
  return best;
}

// What a curve is tested against.
struct LineNull {
  // The line's values, with the points' errors.
  std::vector<CurvePoint> truth;
  double observed = 0;
  double intercept = 0;
  double slope = 0;
  bool errors_from_residuals = false;

  bool IsReached(double score) const {
    // Scores of shares that are equal may differ by rounding.
    return score >= observed || score >= observed - 1e-12 * std::abs(observed);
  }
};

absl::StatusOr<LineNull> NullOf(std::span<const CurvePoint> points,
                                const EmergenceOptions& options) {
  if (absl::Status status = Check(points, 3, options); !status.ok()) return status;
  const std::vector<double> values = Values(points);
  if (Change(values) == 0) {
    return absl::FailedPreconditionError("all values are equal: there is no score");
  }
  LineNull null;
  std::vector<double> scratch;
  null.observed = Score(values, scratch);
  const double start = std::log(points.front().scale);
  const double range = std::log(points.back().scale) - start;
  if (!(range > 0)) {
    return absl::InvalidArgumentError(
        "points: the logarithms of all scales are equal: scales must differ by more than rounding");
  }
  std::vector<double> t(points.size());
  bool has_share = false;
  for (size_t i = 0; i < points.size(); ++i) {
    t[i] = (std::log(points[i].scale) - start) / range;
    has_share |= points[i].binomial_n > 0;
  }
  const Line line = BestLine(t, values, has_share);
  null.truth.assign(points.begin(), points.end());
  double squares = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    null.truth[i].value = line.first + t[i] * (line.last - line.first);
    squares += (values[i] - null.truth[i].value) * (values[i] - null.truth[i].value);
  }
  const double residual = std::sqrt(squares / static_cast<double>(points.size() - 2));
  for (CurvePoint& point : null.truth) {
    if (HasError(point)) continue;
    point.standard_error = residual;
    null.errors_from_residuals = true;
  }
  null.slope = (line.last - line.first) / range;
  null.intercept = line.first - null.slope * start;
  return null;
}

}  // namespace

absl::StatusOr<EmergenceScore> ScoreEmergence(std::span<const double> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return absl::InvalidArgumentError(fmt::format(
          "values[{}] is {}: must be finite; leave the model out and say why", i, values[i]));
    }
  }
  EmergenceScore result;
  result.n_points = values.size();
  if (values.size() < 2) return result;
  result.change = Change(values);
  if (std::isinf(result.change)) {
    return absl::InvalidArgumentError(
        "values span more than the largest double: give them in a larger unit");
  }
  std::vector<double> differences(values.size() - 1);
  for (size_t i = 0; i < differences.size(); ++i) {
    differences[i] = std::abs(values[i + 1] - values[i]);
  }
  const double n_steps = static_cast<double>(differences.size());
  const double largest = *std::max_element(differences.begin(), differences.end());
  const double step = RootMedianSquare(differences);
  result.zero_median = step == 0;
  if (result.change == 0) return result;
  result.score = SignedRatio(result.change, step);
  result.score_per_step = *result.score / n_steps;
  // In units of the largest, so that no square overflows or vanishes.
  double mean_square = 0;
  for (const double difference : differences) {
    mean_square += (difference / largest) * (difference / largest) / n_steps;
  }
  result.linearity = result.change / (largest * std::sqrt(mean_square));
  return result;
}

absl::StatusOr<EmergenceScore> ScoreEmergence(std::span<const CurvePoint> points) {
  if (absl::Status status = CheckCurve(points); !status.ok()) return status;
  return ScoreEmergence(Values(points));
}

absl::StatusOr<std::vector<double>> SimulateEmergenceScores(std::span<const CurvePoint> truth,
                                                            const EmergenceOptions& options) {
  if (absl::Status status = Check(truth, 2, options); !status.ok()) return status;
  return Simulate(truth, options, 0);
}

absl::StatusOr<ConfidenceInterval> EmergenceScoreInterval(std::span<const CurvePoint> points,
                                                          const EmergenceOptions& options) {
  if (absl::Status status = Check(points, 2, options); !status.ok()) return status;
  for (size_t i = 0; i < points.size(); ++i) {
    if (!HasError(points[i])) {
      return absl::FailedPreconditionError(
          fmt::format("points[{}] has neither binomial_n nor standard_error: without its error the "
                      "score has no interval",
                      i));
    }
  }
  if (Change(Values(points)) == 0) {
    return absl::FailedPreconditionError("all values are equal: there is no score");
  }
  std::vector<CurvePoint> truth(points.begin(), points.end());
  for (CurvePoint& point : truth) {
    if (point.binomial_n == 0) continue;
    const double n = static_cast<double>(point.binomial_n);
    point.value = (point.value * n + 0.5) / (n + 1);
  }
  std::vector<double> scores = Simulate(truth, options, kIntervalStreams);
  std::sort(scores.begin(), scores.end());
  ConfidenceInterval interval;
  interval.lower = SortedQuantile(scores, (1 - options.level) / 2);
  interval.upper = SortedQuantile(scores, (1 + options.level) / 2);
  interval.level = options.level;
  interval.method = kMethodParametricBootstrap;
  return interval;
}

absl::StatusOr<EmergenceNull> TestEmergenceScore(std::span<const CurvePoint> points,
                                                 const EmergenceOptions& options) {
  absl::StatusOr<LineNull> null = NullOf(points, options);
  if (!null.ok()) return null.status();
  EmergenceNull result;
  result.intercept = null->intercept;
  result.slope = null->slope;
  result.errors_from_residuals = null->errors_from_residuals;
  std::vector<double> scores = Simulate(null->truth, options, kNullStreams);
  const auto at_least = std::count_if(scores.begin(), scores.end(),
                                      [&](double score) { return null->IsReached(score); });
  result.p_value = (1 + static_cast<double>(at_least)) / (1 + static_cast<double>(scores.size()));
  std::sort(scores.begin(), scores.end());
  result.score_95 = SortedQuantile(scores, 0.95);
  return result;
}

absl::StatusOr<SequentialPValue> TestEmergenceScoreSequentially(std::span<const CurvePoint> points,
                                                                const EmergenceOptions& options,
                                                                int enough) {
  if (enough < 1) {
    return absl::InvalidArgumentError(fmt::format("enough is {}: must be at least 1", enough));
  }
  const absl::StatusOr<LineNull> null = NullOf(points, options);
  if (!null.ok()) return null.status();
  SequentialPValue result;
  result.errors_from_residuals = null->errors_from_residuals;
  std::vector<double> values(points.size());
  std::vector<double> scratch;
  int n_reached = 0;
  while (result.n_drawn < options.replicates) {
    CounterRng rng(options.seed, kNullStreams + static_cast<uint64_t>(result.n_drawn));
    for (size_t i = 0; i < points.size(); ++i) {
      values[i] = DrawValue(null->truth[i].value, null->truth[i], options.scatter, rng);
    }
    ++result.n_drawn;
    if (null->IsReached(Score(values, scratch)) && ++n_reached == enough) {
      result.p_value = static_cast<double>(enough) / result.n_drawn;
      return result;
    }
  }
  result.p_value = (1 + static_cast<double>(n_reached)) / (1 + static_cast<double>(result.n_drawn));
  return result;
}

}  // namespace mirage::metrics
