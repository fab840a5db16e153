#include "metrics/emergence/meta_analysis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "metrics/emergence/curve_shape.h"
#include "metrics/emergence/emergence_score.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/multiplicity.h"
#include "metrics/stats/parallel.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

// Streams of the seed that give each series one of its own.
constexpr uint64_t kSeedStreams = uint64_t{3} << 40;
constexpr int kMinReplicates = 100;
constexpr int kMaxReplicates = 1'000'000;

absl::Status CheckOptions(const MetaOptions& options) {
  for (const auto& [name, value] :
       {std::pair("fdr", options.fdr), std::pair("level", options.level)}) {
    if (!(value > 0 && value < 1)) {
      return absl::InvalidArgumentError(
          fmt::format("options.{} is {}: must be between 0 and 1", name, value));
    }
  }
  if (options.replicates < kMinReplicates || options.replicates > kMaxReplicates) {
    return absl::InvalidArgumentError(fmt::format("options.replicates is {}: must be {} to {}",
                                                  options.replicates, kMinReplicates,
                                                  kMaxReplicates));
  }
  if (!(options.scatter >= 0) || std::isinf(options.scatter)) {
    return absl::InvalidArgumentError(
        fmt::format("options.scatter is {}: must be finite and >= 0", options.scatter));
  }
  return absl::OkStatus();
}

// Points of one scale as one.
CurvePoint MeanOf(std::span<const CurvePoint> points) {
  CurvePoint mean = points.front();
  if (points.size() == 1) return mean;
  const double n = static_cast<double>(points.size());
  mean.value = 0;
  double squares = 0;
  bool same_n = true;
  bool has_errors = true;
  for (const CurvePoint& point : points) {
    mean.value += point.value / n;
    squares += SamplingError(point) * SamplingError(point);
    same_n &= point.binomial_n > 0 && point.binomial_n == points.front().binomial_n;
    has_errors &= HasError(point);
  }
  if (same_n) {
    mean.value = std::clamp(mean.value, 0.0, 1.0);
    mean.binomial_n = points.front().binomial_n * points.size();
    mean.standard_error.reset();
    return mean;
  }
  mean.binomial_n = 0;
  mean.standard_error = has_errors ? std::optional(std::sqrt(squares) / n) : std::nullopt;
  return mean;
}

// By ascending scale, each once.
absl::StatusOr<std::vector<CurvePoint>> CurveOf(std::vector<CurvePoint> points) {
  for (size_t i = 0; i < points.size(); ++i) {
    if (absl::Status status = CheckCurve({&points[i], 1}); !status.ok()) {
      // Each is checked alone, and calls itself the first.
      const std::string message(status.message());
      return absl::InvalidArgumentError(fmt::format("points[{}]{}", i, message.substr(9)));
    }
  }
  std::stable_sort(points.begin(), points.end(),
                   [](const CurvePoint& a, const CurvePoint& b) { return a.scale < b.scale; });
  std::vector<CurvePoint> curve;
  for (size_t begin = 0, end = 0; begin < points.size(); begin = end) {
    while (end < points.size() && points[end].scale == points[begin].scale) ++end;
    curve.push_back(MeanOf({&points[begin], end - begin}));
  }
  return curve;
}

bool IsFinite(double bound) { return std::isfinite(bound); }

// What a factor on the NLL does to the metric.
Scatter ScatterOf(const CurveMetric& metric, double tau) {
  Scatter scatter{.tau = tau, .kind = ScatterKind::kPower};
  if (IsFinite(metric.lower_bound) && IsFinite(metric.upper_bound)) {
    scatter.lower = metric.higher_is_better ? metric.lower_bound : metric.upper_bound;
    scatter.upper = metric.higher_is_better ? metric.upper_bound : metric.lower_bound;
    if (metric.higher_is_better && metric.chance &&
        *metric.chance<metric.upper_bound&& * metric.chance> metric.lower_bound) {
      scatter.lower = *metric.chance;
    }
    return scatter;
  }
  scatter.kind = ScatterKind::kProportional;
  const bool starts_at_0 = metric.lower_bound == 0 || metric.upper_bound == 0;
  // A margin has no natural unit.
  if (!starts_at_0) scatter.tau = 0;
  return scatter;
}

// Turns a metric of which less is better upside down. A share stays a share.
void TurnUp(std::vector<CurvePoint>& curve, Scatter& scatter) {
  for (CurvePoint& point : curve) {
    point.value = point.binomial_n > 0 ? 1 - point.value : -point.value;
  }
  if (scatter.kind != ScatterKind::kPower) return;
  const bool is_share = !curve.empty() && curve.front().binomial_n > 0;
  scatter.lower = is_share ? 1 - scatter.lower : -scatter.lower;
  scatter.upper = is_share ? 1 - scatter.upper : -scatter.upper;
}

// Either all points of a curve are counts, or none is: values must turn up alike.
void MakeAlike(std::vector<CurvePoint>& curve) {
  const bool all = std::all_of(curve.begin(), curve.end(),
                               [](const CurvePoint& point) { return point.binomial_n > 0; });
  if (all) return;
  for (CurvePoint& point : curve) {
    if (point.binomial_n == 0) continue;
    point.standard_error = SamplingError(point);
    point.binomial_n = 0;
  }
}

double RangeOf(const MetaSeries& series, std::span<const CurvePoint> curve) {
  const CurveMetric& metric = series.properties;
  if (IsFinite(metric.lower_bound) && IsFinite(metric.upper_bound)) {
    return metric.upper_bound - metric.lower_bound;
  }
  double lower = curve.front().value, upper = curve.front().value;
  for (const CurvePoint& point : curve) {
    lower = std::min(lower, point.value);
    upper = std::max(upper, point.value);
  }
  // Without bounds a rise is measured against the curve's own range.
  return upper > lower ? upper - lower : 1;
}

std::string CriterionOf(const MetaOptions& options) {
  return fmt::format(
      "h40 <= {} (the share of the rise that is reached at 40 % of the range of ln(scale); a "
      "straight line has 0.4), the rise >= {} of the metric's range (of the curve's own where it "
      "has no bounds) and > {} standard errors, and the emergence score above that of a straight "
      "line at the same scales with the same errors and a scatter of {} between models: q <= {} "
      "after {} over all triplets that were evaluated, which have at least {} scales",
      kEmergentMaxH40, kEmergentMinRise, kEmergentMinErrors, options.scatter, options.fdr,
      options.any_dependence ? "Benjamini and Yekutieli's correction"
                             : "Benjamini and Hochberg's correction",
      kMetaMinScales);
}

}  // namespace

absl::StatusOr<MantelHaenszelResult> MantelHaenszel(std::span<const TwoByTwo> strata,
                                                    double level) {
  if (absl::Status status = CheckLevel(level); !status.ok()) return status;
  MantelHaenszelResult result;
  double r = 0, s = 0, pr = 0, ps_qr = 0, qs = 0, excess = 0, variance = 0;
  for (const TwoByTwo& stratum : strata) {
    const double a = static_cast<double>(stratum.first_yes);
    const double b = static_cast<double>(stratum.first_no);
    const double c = static_cast<double>(stratum.second_yes);
    const double d = static_cast<double>(stratum.second_no);
    if (a + b == 0 || c + d == 0) continue;
    ++result.n_strata;
    const double n = a + b + c + d;
    r += a * d / n;
    s += b * c / n;
    pr += (a + d) / n * (a * d / n);
    ps_qr += (a + d) / n * (b * c / n) + (b + c) / n * (a * d / n);
    qs += (b + c) / n * (b * c / n);
    excess += a - (a + b) * (a + c) / n;
    variance += (a + b) * (c + d) * (a + c) * (b + d) / (n * n * (n - 1));
  }
  if (r > 0 || s > 0) {
    result.odds_ratio = s > 0 ? r / s : std::numeric_limits<double>::infinity();
  }
  if (variance > 0) result.p_value = ChiSquaredTail(excess * excess / variance, 1);
  if (r > 0 && s > 0) {
    const double error = std::sqrt(pr / (2 * r * r) + ps_qr / (2 * r * s) + qs / (2 * s * s));
    const double reach = NormalUpperQuantile((1 - level) / 2) * error;
    result.interval = ConfidenceInterval{.lower = r / s * std::exp(-reach),
                                         .upper = r / s * std::exp(reach),
                                         .level = level,
                                         .method = kMethodRobinsBreslowGreenland};
  }
  return result;
}

absl::StatusOr<MetaAnalyzer> MetaAnalyzer::Create(std::vector<MetaSeries> series,
                                                  const MetaOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  MetaAnalyzer made(std::move(series), options);
  made.results_.resize(made.series_.size());
  made.scatters_.resize(made.series_.size());
  size_t n_emergent = 0, n_evaluated = 0;
  for (size_t i = 0; i < made.series_.size(); ++i) {
    MetaSeries& one = made.series_[i];
    MetaTripletResult& result = made.results_[i];
    const auto at = [&](const absl::Status& status) {
      return absl::InvalidArgumentError(
          fmt::format("series[{}].{}", i, std::string(status.message())));
    };
    absl::StatusOr<std::vector<CurvePoint>> curve = CurveOf(std::move(one.points));
    if (!curve.ok()) return at(curve.status());
    MakeAlike(*curve);
    result.n_scales = curve->size();
    std::optional<ShapeOptions> shape;
    if (!curve->empty()) {
      shape = ShapeOptions{.higher_is_better = true,
                           .scatter = ScatterOf(one.properties, options.scatter),
                           .metric_range = RangeOf(one, *curve)};
      if (!one.properties.higher_is_better) TurnUp(*curve, shape->scatter);
      // Bounds that a metric does not keep say nothing of what a factor does.
      if (!(shape->scatter.lower < shape->scatter.upper)) {
        shape->scatter = {.tau = options.scatter, .kind = ScatterKind::kProportional};
      }
    }
    if (shape) made.scatters_[i] = shape->scatter;
    const absl::StatusOr<EmergenceScore> score = ScoreEmergence(*curve);
    if (!score.ok()) return at(score.status());
    result.score = score->score;
    result.score_per_step = score->score_per_step;
    result.zero_median = score->zero_median;
    one.points = *std::move(curve);
    if (one.points.size() < kMetaMinScales) {
      result.not_evaluated =
          fmt::format("{} scales: at least {} are needed", one.points.size(), kMetaMinScales);
      continue;
    }
    if (!(std::log(one.points.back().scale) > std::log(one.points.front().scale))) {
      result.not_evaluated = "its scales differ by rounding alone";
      continue;
    }
    const absl::StatusOr<CurveShape> seen = ShapeOf(one.points, *shape);
    if (!seen.ok()) return at(seen.status());
    result.is_emergent_shape = seen->is_emergent;
    ++n_evaluated;
    n_emergent += seen->is_emergent ? 1 : 0;
  }
  // Enough for one discovery to pass the correction, while the budget lasts.
  const double wanted = static_cast<double>(n_evaluated) / options.fdr;
  const double affordable = kMetaBudget / static_cast<double>(std::max<size_t>(n_emergent, 1));
  made.replicates_ = static_cast<int>(std::clamp(std::min(wanted, affordable),
                                                 static_cast<double>(options.replicates),
                                                 static_cast<double>(kMaxReplicates)));
  return made;
}

absl::Status MetaAnalyzer::Step(size_t n) {
  const size_t begin = n_done_;
  const size_t count = std::min(n, series_.size() - begin);
  std::vector<absl::Status> failures(count);
  ParallelFor(count, options_.threads, [&](size_t shard) {
    const size_t i = begin + shard;
    MetaTripletResult& result = results_[i];
    if (!result.not_evaluated.empty()) return;
    if (!result.score) {
      // Nothing changes: no sudden rise.
      result.null_p = 1;
      return;
    }
    EmergenceOptions options;
    options.seed = CounterRng(options_.seed, kSeedStreams + i)();
    options.replicates = result.is_emergent_shape ? replicates_ : kMetaFewReplicates;
    options.scatter = scatters_[i];
    const auto tested = TestEmergenceScoreSequentially(series_[i].points, options, kMetaEnough);
    if (!tested.ok()) {
      failures[shard] = tested.status();
      return;
    }
    result.null_p = tested->p_value;
    result.errors_from_residuals = tested->errors_from_residuals;
  });
  for (size_t shard = 0; shard < count; ++shard) {
    if (failures[shard].ok()) continue;
    return absl::Status(
        failures[shard].code(),
        fmt::format("series[{}].{}", begin + shard, std::string(failures[shard].message())));
  }
  n_done_ += count;
  return absl::OkStatus();
}

absl::StatusOr<MetaResult> MetaAnalyzer::Finish() {
  if (n_done_ < series_.size()) {
    return absl::FailedPreconditionError("not all series are done: call Step() until they are");
  }
  std::vector<double> p_values;
  for (const MetaTripletResult& result : results_) {
    if (result.null_p) p_values.push_back(*result.null_p);
  }
  const auto adjusted =
      AdjustPValues(p_values, options_.any_dependence ? Adjustment::kBenjaminiYekutieli
                                                      : Adjustment::kBenjaminiHochberg);
  if (!adjusted.ok()) return adjusted.status();
  MetaResult out;
  out.criterion = CriterionOf(options_);
  std::map<std::string, MetaMetricShare> metrics;
  std::map<std::pair<std::string, std::string>, TwoByTwo> strata;
  size_t next = 0;
  for (size_t i = 0; i < series_.size(); ++i) {
    const MetaSeries& one = series_[i];
    MetaTripletResult& result = results_[i];
    MetaMetricShare& share = metrics[one.metric];
    share.metric = one.metric;
    share.sharp = one.properties.sharp;
    share.continuous = one.properties.continuous;
    if (!result.null_p) continue;
    result.q_value = (*adjusted)[next++];
    result.is_emergent = result.is_emergent_shape && *result.q_value <= options_.fdr;
    ++share.n_evaluated;
    ++out.n_evaluated;
    share.n_emergent += result.is_emergent ? 1 : 0;
    out.n_emergent += result.is_emergent ? 1 : 0;
    if (result.score && std::isfinite(*result.score)) {
      share.max_score = std::max(share.max_score.value_or(*result.score), *result.score);
    } else if (result.score) {
      ++share.n_infinite;
    }
    if (!one.properties.sharp && !one.properties.continuous) continue;
    TwoByTwo& stratum = strata[{one.task, one.filter}];
    for (TwoByTwo* table : {&stratum, &out.groups}) {
      uint64_t& cell = one.properties.sharp
                           ? (result.is_emergent ? table->first_yes : table->first_no)
                           : (result.is_emergent ? table->second_yes : table->second_no);
      ++cell;
    }
  }
  for (auto& [name, share] : metrics) {
    if (share.n_evaluated > 0) {
      ++out.n_metrics;
      out.n_metrics_emergent += share.n_emergent > 0 ? 1 : 0;
      share.share = static_cast<double>(share.n_emergent) / static_cast<double>(share.n_evaluated);
      const auto interval = ClopperPearson(share.n_emergent, share.n_evaluated, options_.level);
      if (!interval.ok()) return interval.status();
      share.interval = *interval;
    }
    out.metrics.push_back(std::move(share));
  }
  std::stable_sort(
      out.metrics.begin(), out.metrics.end(),
      [](const MetaMetricShare& a, const MetaMetricShare& b) {
        const double none = -std::numeric_limits<double>::infinity();
        return std::tuple(-a.share.value_or(-1), -a.max_score.value_or(none), a.metric) <
               std::tuple(-b.share.value_or(-1), -b.max_score.value_or(none), b.metric);
      });
  std::vector<TwoByTwo> tables;
  tables.reserve(strata.size());
  for (const auto& [key, table] : strata) tables.push_back(table);
  const auto odds_ratio = MantelHaenszel(tables, options_.level);
  if (!odds_ratio.ok()) return odds_ratio.status();
  out.odds_ratio = *odds_ratio;
  out.triplets = std::move(results_);
  return out;
}

}  // namespace mirage::metrics
