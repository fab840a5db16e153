#include "metrics/emergence/sample_correlation.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "absl/status/status.h"
#include "fmt/format.h"

namespace mirage::metrics {
namespace {

// Twice the ranks from 1 on, ties having the mean of theirs: whole numbers, so that sums of them
// are exact.
void DoubledRanks(std::span<const double> values, std::vector<size_t>& order,
                  std::vector<int64_t>& ranks) {
  order.resize(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  ranks.resize(values.size());
  for (size_t first = 0; first < order.size();) {
    size_t past = first + 1;
    while (past < order.size() && values[order[past]] == values[order[first]]) ++past;
    for (size_t k = first; k < past; ++k) {
      ranks[order[k]] = static_cast<int64_t>(first + past + 1);
    }
    first = past;
  }
}

// Sum of products of the ranks' distances from their mean, times 4.
double Covariance(std::span<const int64_t> a, std::span<const int64_t> b) {
  // Twice the mean of 1 to m is m + 1.
  const auto center = static_cast<int64_t>(a.size()) + 1;
  int64_t sum = 0;
  for (size_t j = 0; j < a.size(); ++j) sum += (a[j] - center) * (b[j] - center);
  return static_cast<double>(sum);
}

// Of ascending values.
double Quantile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  if (below + 1 >= sorted.size()) return sorted.back();
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[below + 1] - sorted[below]);
}

}  // namespace

absl::StatusOr<SampleCorrelations> CorrelateSamples(std::span<const std::vector<double>> numbers,
                                                    std::span<const double> x,
                                                    bool higher_is_better) {
  if (numbers.size() != x.size()) {
    return absl::InvalidArgumentError(
        fmt::format("numbers has {} models and x {}: must be as many", numbers.size(), x.size()));
  }
  for (size_t j = 0; j < x.size(); ++j) {
    if (!std::isfinite(x[j])) {
      return absl::InvalidArgumentError(fmt::format("x[{}] is {}: must be finite", j, x[j]));
    }
    if (numbers[j].size() != numbers[0].size()) {
      return absl::InvalidArgumentError(
          fmt::format("numbers[{}] has {} samples and numbers[0] {}: must be as many", j,
                      numbers[j].size(), numbers[0].size()));
    }
  }
  std::vector<double> places(x.begin(), x.end());
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  if (places.size() < kCorrelationMinScales) {
    return absl::FailedPreconditionError(fmt::format("{} different scales: a correlation needs {}",
                                                     places.size(), kCorrelationMinScales));
  }
  const size_t m = x.size();
  std::vector<size_t> order;
  std::vector<int64_t> places_ranks;
  std::vector<int64_t> ranks;
  DoubledRanks(x, order, places_ranks);
  const double spread = Covariance(places_ranks, places_ranks);
  SampleCorrelations out;
  std::vector<double> correlations;
  std::vector<double> values(m);
  size_t n_negative = 0;
  for (size_t i = 0; i < numbers[0].size(); ++i) {
    for (size_t j = 0; j < m; ++j) values[j] = numbers[j][i];
    if (std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); })) continue;
    DoubledRanks(values, order, ranks);
    const double own = Covariance(ranks, ranks);
    if (own == 0) {
      ++out.n_constant;
      continue;
    }
    const double rho = Covariance(ranks, places_ranks) / std::sqrt(own * spread);
    correlations.push_back(std::clamp(higher_is_better ? rho : -rho, -1.0, 1.0));
    if (correlations.back() < 0) ++n_negative;
  }
  out.n = correlations.size();
  if (out.n == 0) return out;
  std::sort(correlations.begin(), correlations.end());
  out.quartiles = CorrelationQuartiles{Quantile(correlations, 0.25), Quantile(correlations, 0.5),
                                       Quantile(correlations, 0.75)};
  out.share_negative = static_cast<double>(n_negative) / static_cast<double>(out.n);
  return out;
}

}  // namespace mirage::metrics
