#include "metrics/emergence/forecast.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/emergence/law_quantity.h"
#include "metrics/stats/distributions.h"

namespace mirage::metrics {
namespace {

// The prior, as chosen on the development data (docs/forecast.md).
constexpr double kLogitPrior = 0.5;
constexpr std::array<double, 5> kShareSlopes = {0.003, 0.01, 0.03, 0.1, 0.3};
constexpr std::array<double, 5> kLogitSlopes = {0.02, 0.07, 0.2, 0.6, 1.8};
constexpr std::array<double, 5> kLengths = {0.35, 1, 3, 10, 100};
// Slopes by lengths, up to a factor: what is steep does not stay so.
constexpr std::array<std::array<double, 5>, 5> kSlopePrior = {{{0, 0, 1, 1, 1},
                                                               {0, 0.5, 1, 1, 1},
                                                               {0.5, 1, 1, 1, 1},
                                                               {1.5, 1, 0.6, 0.3, 0.2},
                                                               {2, 0.6, 0.15, 0.05, 0.02}}};
constexpr std::array<double, 4> kShareScatters = {0.003, 0.01, 0.03, 0.08};
constexpr std::array<double, 4> kLogitScatters = {0.02, 0.07, 0.2, 0.5};
constexpr std::array<double, 4> kScatterPrior = {3, 3, 2, 1};
constexpr std::array<double, 3> kOwnShares = {0.1, 0.3, 1};
// Mean and standard deviation of the curve at the smallest scale.
constexpr double kShareStart = 0.4;
constexpr double kShareStartSd = 0.4;
constexpr double kLogitStart = -0.5;
constexpr double kLogitStartSd = 2.5;
// Sudden rises: rate a nat, and size at a distance of one nat, on the logit and as a share.
constexpr double kRiseRate = 0.02;
constexpr double kLogitRise = 1.5;
constexpr double kShareRise = 0.3;
constexpr double kRiseMean = 0.8;
constexpr double kRiseSd = 0.6;
// Where n is unknown, what it may be.
constexpr std::array<double, 4> kAssumedItems = {50, 200, 1000, 5000};
constexpr double kLeastShare = 1e-5;
// Candidates of a smaller share of the weight do not count.
constexpr double kLeastWeight = 1e-6;

double Logit(double p) { return std::log(p / (1 - p)); }

// Covariance of the integrals of the slope (standard deviation 1) up to t and u.
double IntegratedSlope(double t, double u, double length) {
  return length * length *
         (2 * std::min(t, u) / length - 1 + std::exp(-t / length) + std::exp(-u / length) -
          std::exp(-std::abs(t - u) / length));
}

// One model's number, as a share of the range from the bad end.
struct Share {
  double place = 0;
  double value = 0;
  // Items that its sampling error amounts to; absent where that is unknown.
  std::optional<double> items;
};

// The same on both scales, as measured on n items.
struct Observation {
  double share = 0;
  double logit = 0;
  double share_variance = 0;
  double logit_variance = 0;
  // ln |d logit / d share|.
  double log_jacobian = 0;
};

// A share of 0 or 1 has a logit once half an item of each outcome is added.
Observation Observe(double share, double n) {
  const double p = std::clamp((share * n + 0.5) / (n + 1), kLeastShare, 1 - kLeastShare);
  return {share, Logit(p), p * (1 - p) / n, 1 / ((n + 1) * p * (1 - p)),
          -std::log(p * (1 - p) * (n + 1) / n)};
}

template <typename... T>
absl::Status Invalid(fmt::format_string<T...> text, T&&... values) {
  return absl::InvalidArgumentError(fmt::format(text, std::forward<T>(values)...));
}

absl::Status Check(std::span<const ForecastModel> models, const CurveMetric& metric,
                   const ForecastOptions& options) {
  if (!std::isfinite(metric.lower_bound) || !std::isfinite(metric.upper_bound) ||
      !(metric.lower_bound < metric.upper_bound)) {
    return Invalid("metric has bounds {} and {}: a forecast needs finite ones, lower < upper",
                   metric.lower_bound, metric.upper_bound);
  }
  if (!(options.level > 0 && options.level < 1)) {
    return Invalid("options.level is {}: it must be in (0, 1)", options.level);
  }
  for (size_t i = 0; i < models.size(); ++i) {
    const ForecastModel& one = models[i];
    if (!(one.scale > 0) || !std::isfinite(one.scale)) {
      return Invalid("models[{}].scale is {}: scales must be > 0 and finite", i, one.scale);
    }
    if (!(one.value >= metric.lower_bound && one.value <= metric.upper_bound)) {
      return Invalid("models[{}].value is {}: it must be within the metric's bounds, {} to {}", i,
                     one.value, metric.lower_bound, metric.upper_bound);
    }
    if (one.n && !(*one.n >= 1 && std::isfinite(*one.n))) {
      return Invalid("models[{}].n is {}: it must be at least 1, or absent", i, *one.n);
    }
    if (one.standard_error && !(*one.standard_error >= 0 && std::isfinite(*one.standard_error))) {
      return Invalid("models[{}].standard_error is {}: it must be >= 0 and finite, or absent", i,
                     *one.standard_error);
    }
  }
  return absl::OkStatus();
}

// Items that the sampling error amounts to; absent where it is unknown. `share` and `error` are of
// the range.
std::optional<double> ItemsOf(const ForecastModel& model, double share, double range) {
  std::optional<double> items = model.n;
  if (model.standard_error && *model.standard_error > 0 && share > 0 && share < 1) {
    const double error = *model.standard_error / range;
    const double implied = std::max(1.0, share * (1 - share) / (error * error));
    items = items ? std::min(*items, implied) : implied;
  }
  return items;
}

// One scale's part of the grid.
struct Grid {
  bool is_logit = false;
  double prior = 0;
  double start = 0;
  double start_sd = 0;
  std::span<const double> slopes;
  std::span<const double> scatters;
};

const std::array<Grid, 2>& Grids() {
  static const std::array<Grid, 2> kGrids = {
      {{false, 1 - kLogitPrior, kShareStart, kShareStartSd, kShareSlopes, kShareScatters},
       {true, kLogitPrior, kLogitStart, kLogitStartSd, kLogitSlopes, kLogitScatters}}};
  return kGrids;
}

// What the sampling errors may be.
struct Noise {
  double own_share = 1;
  std::optional<double> assumed_items;
  // One a model.
  std::vector<Observation> observed;
};

// Solves L w = b in place, L lower triangular, row by row.
void SolveLower(std::span<const double> factor, std::span<double> b) {
  const size_t n = b.size();
  for (size_t i = 0; i < n; ++i) {
    double sum = b[i];
    for (size_t j = 0; j < i; ++j) sum -= factor[i * n + j] * b[j];
    b[i] = sum / factor[i * n + i];
  }
}

// The Cholesky factor of a positive definite matrix, in its lower triangle.
void Factor(std::vector<double>* matrix, size_t n) {
  std::vector<double>& a = *matrix;
  for (size_t j = 0; j < n; ++j) {
    for (size_t i = j; i < n; ++i) {
      double sum = a[i * n + j];
      for (size_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      // The scatter keeps the pivots well above 0.
      a[i * n + j] = i == j ? std::sqrt(sum) : sum / a[j * n + j];
    }
  }
}

}  // namespace

absl::StatusOr<SharpForecast> SharpForecast::Create(std::span<const ForecastModel> models,
                                                    const CurveMetric& metric,
                                                    const ForecastOptions& options) {
  if (const absl::Status status = Check(models, metric, options); !status.ok()) return status;

  SharpForecast out;
  out.lower_bound_ = metric.lower_bound;
  out.upper_bound_ = metric.upper_bound;
  out.higher_is_better_ = metric.higher_is_better;
  out.level_ = options.level;
  const double range = metric.upper_bound - metric.lower_bound;

  std::vector<Share> shares;
  for (const ForecastModel& model : models) {
    Share one;
    one.place = std::log(model.scale);
    one.value = std::clamp((model.value - metric.lower_bound) / range, 0.0, 1.0);
    one.items = ItemsOf(model, one.value, range);
    if (!metric.higher_is_better) one.value = 1 - one.value;
    shares.push_back(one);
    out.largest_scale_ = std::max(out.largest_scale_, model.scale);
  }
  std::sort(shares.begin(), shares.end(), [](const Share& a, const Share& b) {
    return std::tie(a.place, a.value, a.items) < std::tie(b.place, b.value, b.items);
  });
  size_t n_scales = 0;
  for (size_t i = 0; i < shares.size(); ++i) {
    if (i == 0 || shares[i].place != shares[i - 1].place) ++n_scales;
  }
  if (n_scales < kForecastMinScales) {
    return absl::FailedPreconditionError(fmt::format(
        "a forecast needs {} distinct scales, and there are {}: add models of other sizes",
        kForecastMinScales, n_scales));
  }
  if (shares.size() > kForecastMaxModels) {
    shares.erase(shares.begin(), shares.end() - kForecastMaxModels);
  }
  const size_t n = shares.size();
  out.log_first_ = shares.front().place;
  std::vector<double> known;
  for (const Share& one : shares) {
    out.places_.push_back(one.place - out.log_first_);
    if (one.items) known.push_back(*one.items);
  }
  const bool is_known = known.size() == n;
  if (is_known) {
    std::sort(known.begin(), known.end());
    out.usual_items_ = SortedQuantile(known, 0.5);
  }
  // The last axis of the grid: the part of the sampling error that is the model's own, or how many
  // items there are.
  std::vector<Noise> noises;
  if (is_known) {
    for (const double own : kOwnShares) noises.push_back({own, std::nullopt, {}});
  } else {
    for (const double items : kAssumedItems) noises.push_back({1, items, {}});
  }
  for (Noise& noise : noises) {
    for (const Share& one : shares) {
      noise.observed.push_back(
          Observe(one.value, one.items.value_or(noise.assumed_items.value_or(0))));
    }
  }

  std::array<std::vector<double>, kLengths.size()> kernels;
  for (size_t l = 0; l < kLengths.size(); ++l) {
    kernels[l].resize(n * n);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j <= i; ++j) {
        kernels[l][i * n + j] = IntegratedSlope(out.places_[i], out.places_[j], kLengths[l]);
      }
    }
  }

  double best = -std::numeric_limits<double>::infinity();
  for (const Grid& grid : Grids()) {
    for (size_t s = 0; s < grid.slopes.size(); ++s) {
      for (size_t l = 0; l < kLengths.size(); ++l) {
        if (kSlopePrior[s][l] == 0) continue;
        for (size_t t = 0; t < grid.scatters.size(); ++t) {
          const double slope = grid.slopes[s];
          const double scatter = grid.scatters[t];
          for (const Noise& noise : noises) {
            Candidate one;
            one.is_logit = grid.is_logit;
            one.slope_sd = slope;
            one.length = l;
            one.scatter = scatter;
            one.own_share = noise.own_share;
            one.assumed_items = noise.assumed_items;
            one.factor.resize(n * n);
            one.whitened.resize(n);
            double log_weight = std::log(grid.prior * kSlopePrior[s][l] * kScatterPrior[t]);
            for (size_t i = 0; i < n; ++i) {
              for (size_t j = 0; j <= i; ++j) {
                one.factor[i * n + j] =
                    grid.start_sd * grid.start_sd + slope * slope * kernels[l][i * n + j];
              }
              const Observation& at = noise.observed[i];
              const double sampling = grid.is_logit ? at.logit_variance : at.share_variance;
              one.factor[i * n + i] += scatter * scatter + noise.own_share * sampling;
              one.whitened[i] = (grid.is_logit ? at.logit : at.share) - grid.start;
              // Densities of the logit count as densities of the share.
              if (grid.is_logit) log_weight += at.log_jacobian;
            }
            Factor(&one.factor, n);
            SolveLower(one.factor, one.whitened);
            for (size_t i = 0; i < n; ++i) {
              log_weight -= one.whitened[i] * one.whitened[i] / 2;
              log_weight -= std::log(one.factor[i * n + i]);
            }
            one.weight = log_weight;
            best = std::max(best, log_weight);
            out.candidates_.push_back(std::move(one));
          }
        }
      }
    }
  }
  double total = 0;
  for (Candidate& one : out.candidates_) {
    one.weight = std::exp(one.weight - best);
    total += one.weight;
  }
  std::erase_if(out.candidates_,
                [&](const Candidate& one) { return one.weight < kLeastWeight * total; });
  total = 0;
  for (const Candidate& one : out.candidates_) total += one.weight;
  for (Candidate& one : out.candidates_) one.weight /= total;
  return out;
}

std::vector<SharpForecast::Part> SharpForecast::PartsAt(double x, bool is_measured,
                                                        std::optional<double> items) const {
  const size_t size = places_.size();
  std::array<std::vector<double>, kLengths.size()> kernels;
  for (size_t l = 0; l < kLengths.size(); ++l) {
    for (const double place : places_) {
      kernels[l].push_back(IntegratedSlope(place, x, kLengths[l]));
    }
    kernels[l].push_back(IntegratedSlope(x, x, kLengths[l]));
  }
  const double distance = std::max(0.0, x - places_.back());
  const double p_rise = -std::expm1(-kRiseRate * distance);

  std::vector<Part> parts;
  std::vector<double> b(size);
  for (const Candidate& one : candidates_) {
    const Grid& grid = Grids()[one.is_logit ? 1 : 0];
    const std::vector<double>& kernel = kernels[one.length];
    const double start = grid.start_sd * grid.start_sd;
    const double slope = one.slope_sd * one.slope_sd;
    for (size_t i = 0; i < size; ++i) b[i] = start + slope * kernel[i];
    SolveLower(one.factor, b);
    double mean = grid.start;
    double variance = start + slope * kernel.back();
    for (size_t i = 0; i < size; ++i) {
      mean += b[i] * one.whitened[i];
      variance -= b[i] * b[i];
    }
    variance = std::max(variance, 0.0);
    const std::optional<double> n = !is_measured ? std::nullopt : items ? items : one.assumed_items;
    if (is_measured) {
      variance += one.scatter * one.scatter;
      if (n) {
        const double least = 0.5 / (*n + 1);
        if (one.is_logit) {
          const double p = 1 / (1 + std::exp(-mean));
          variance += one.own_share / ((*n + 1) * std::max(p * (1 - p), least));
        } else {
          const double p = std::clamp(mean, least, 1 - least);
          variance += one.own_share * p * (1 - p) / *n;
        }
      }
    }
    parts.push_back({one.is_logit, one.weight * (1 - p_rise), mean, std::sqrt(variance), n});
    if (p_rise > 0) {
      const double rise = (one.is_logit ? kLogitRise : kShareRise) * std::sqrt(distance);
      parts.push_back({one.is_logit, one.weight * p_rise, mean + kRiseMean * rise,
                       std::sqrt(variance + kRiseSd * kRiseSd * rise * rise), n});
    }
  }
  return parts;
}

namespace {

// P(share <= p) of a mixture whose parts have these members.
template <typename Parts>
double Below(const Parts& parts, double p) {
  if (p >= 1) return 1;
  if (p < 0) return 0;
  double sum = 0;
  // Most parts have the same items one after the other.
  std::optional<double> items;
  double logit = p > 0 ? Logit(p) : -std::numeric_limits<double>::infinity();
  const double bare = logit;
  for (const auto& part : parts) {
    if (part.items != items) {
      items = part.items;
      // The logit that Observe() gives to a measured share p.
      logit = items ? Logit((p * *items + 0.5) / (*items + 1)) : bare;
    }
    const double z = part.is_logit ? logit : p;
    if (part.sd > 0) {
      sum += part.weight * NormalCdf((z - part.mean) / part.sd);
    } else if (z >= part.mean) {
      sum += part.weight;
    }
  }
  return sum;
}

template <typename Parts>
double Quantile(const Parts& parts, double probability) {
  if (Below(parts, 0) >= probability) return 0;
  double low = 0;
  double high = 1;
  for (int i = 0; i < 50; ++i) {
    const double middle = (low + high) / 2;
    (Below(parts, middle) >= probability ? high : low) = middle;
  }
  return high;
}

}  // namespace

absl::StatusOr<ForecastValue> SharpForecast::At(double scale, std::optional<double> n) const {
  if (!std::isfinite(scale) || !(scale > largest_scale_)) {
    return absl::InvalidArgumentError(fmt::format(
        "scale is {}: it must be finite and larger than all models' ({})", scale, largest_scale_));
  }
  if (n && !(*n >= 1 && std::isfinite(*n))) {
    return absl::InvalidArgumentError(fmt::format("n is {}: it must be at least 1, or absent", *n));
  }
  if (!n) n = usual_items_;
  const std::vector<Part> parts = PartsAt(std::log(scale) - log_first_, true, n);
  const double middle = Quantile(parts, 0.5);
  double low = std::min(middle, Quantile(parts, (1 - level_) / 2));
  double high = std::max(middle, Quantile(parts, (1 + level_) / 2));
  if (n) {
    const double p = (middle * *n + 0.5) / (*n + 1);
    const double half = NormalUpperQuantile((1 - level_) / 2) * std::sqrt(p * (1 - p) / *n);
    low = std::clamp(middle - half, 0.0, low);
    high = std::clamp(middle + half, high, 1.0);
  }
  if (!higher_is_better_) {
    low = std::exchange(high, 1 - low);
    low = 1 - low;
  }
  const double share = higher_is_better_ ? middle : 1 - middle;
  const auto in_unit = [&](double p) {
    return std::clamp(lower_bound_ + p * (upper_bound_ - lower_bound_), lower_bound_, upper_bound_);
  };
  return ForecastValue{scale, in_unit(share), in_unit(low), in_unit(high)};
}

absl::StatusOr<ForecastScale> SharpForecast::Reach(double value) const {
  if (!(value > lower_bound_ && value < upper_bound_)) {
    return absl::InvalidArgumentError(
        fmt::format("value is {}: it must be strictly between the metric's bounds, {} and {}",
                    value, lower_bound_, upper_bound_));
  }
  double share = (value - lower_bound_) / (upper_bound_ - lower_bound_);
  if (!higher_is_better_) share = 1 - share;
  const double first = places_.back();
  const double last = first + std::log(kForecastMaxFactor);
  const auto reached = [&](double x) { return 1 - Below(PartsAt(x, false, std::nullopt), share); };

  // Coarse steps first: the probability rises with distance, if not always.
  constexpr int kSteps = 140;
  std::vector<double> at(kSteps + 1);
  const auto place = [&](int i) { return first + (last - first) * i / kSteps; };
  for (int i = 0; i <= kSteps; ++i) at[i] = reached(place(i));
  const auto first_place = [&](double probability) -> std::optional<double> {
    if (at[0] >= probability) return largest_scale_;
    for (int i = 1; i <= kSteps; ++i) {
      if (at[i] < probability) continue;
      double low = place(i - 1);
      double high = place(i);
      for (int k = 0; k < 40; ++k) {
        const double middle = (low + high) / 2;
        (reached(middle) >= probability ? high : low) = middle;
      }
      return std::exp(high + log_first_);
    }
    return std::nullopt;
  };
  ForecastScale out;
  out.value = value;
  out.reached = at[0];
  out.lower = first_place((1 - level_) / 2);
  out.scale = first_place(0.5);
  out.upper = first_place((1 + level_) / 2);
  return out;
}

double SharpForecast::logit_weight() const {
  double sum = 0;
  for (const Candidate& one : candidates_) sum += one.is_logit ? one.weight : 0;
  return std::min(sum, 1.0);
}

double SharpForecast::persistence() const {
  double sum = 0;
  for (const Candidate& one : candidates_) sum += one.weight * kLengths[one.length];
  return sum;
}

}  // namespace mirage::metrics
