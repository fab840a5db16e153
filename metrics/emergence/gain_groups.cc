#include "metrics/emergence/gain_groups.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/status/status.h"
#include "fmt/format.h"

namespace mirage::metrics {
namespace {

absl::Status Check(std::span<const std::vector<double>> nll, std::span<const double> x) {
  if (nll.size() != x.size()) {
    return absl::InvalidArgumentError(
        fmt::format("nll has {} models and x {}: must be as many", nll.size(), x.size()));
  }
  for (size_t j = 0; j < x.size(); ++j) {
    if (!std::isfinite(x[j])) {
      return absl::InvalidArgumentError(fmt::format("x[{}] is {}: must be finite", j, x[j]));
    }
    if (nll[j].size() != nll[0].size()) {
      return absl::InvalidArgumentError(fmt::format(
          "nll[{}] has {} items and nll[0] {}: must be as many", j, nll[j].size(), nll[0].size()));
    }
    for (size_t i = 0; i < nll[j].size(); ++i) {
      if (std::isnan(nll[j][i])) {
        return absl::InvalidArgumentError(
            fmt::format("nll[{}][{}] is NaN: leave the item out", j, i));
      }
    }
  }
  return absl::OkStatus();
}

// Adds `weight` times twice the ranks from 0 on: whole numbers, whose sums do not depend on order.
void AddRanks(const std::vector<double>& values, int64_t weight, std::vector<size_t>& order,
              std::vector<int64_t>& sums) {
  order.resize(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  for (size_t first = 0; first < order.size();) {
    size_t past = first + 1;
    while (past < order.size() && values[order[past]] == values[order[first]]) ++past;
    for (size_t k = first; k < past; ++k) {
      sums[order[k]] += weight * static_cast<int64_t>(first + past - 1);
    }
    first = past;
  }
}

}  // namespace

absl::StatusOr<GainGroups> GroupByGain(std::span<const std::vector<double>> nll,
                                       std::span<const double> x) {
  if (absl::Status status = Check(nll, x); !status.ok()) return status;
  std::vector<double> places(x.begin(), x.end());
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  if (places.size() < kGainMinScales) {
    return absl::FailedPreconditionError(
        fmt::format("{} different scales: groups need {}", places.size(), kGainMinScales));
  }
  // By model: its size's place among all, and among the sizes of its parity.
  std::vector<size_t> size_of(x.size());
  std::vector<int64_t> models_of(places.size(), 0);
  for (size_t j = 0; j < x.size(); ++j) {
    size_of[j] =
        static_cast<size_t>(std::lower_bound(places.begin(), places.end(), x[j]) - places.begin());
    ++models_of[size_of[j]];
  }
  // Each size counts the same, however many models it has; above kMostReplicates, which keeps the
  // common multiple small, a little more.
  constexpr int64_t kMostReplicates = 12;
  int64_t common = 1;
  for (int64_t& n : models_of) {
    n = std::min(n, kMostReplicates);
    common = std::lcm(common, n);
  }
  GainGroups groups;
  const size_t n_items = nll.empty() ? 0 : nll[0].size();
  std::vector<size_t> order;
  for (const size_t parity : {size_t{0}, size_t{1}}) {
    // Of the sizes whose place has the other parity.
    const size_t others = (places.size() + parity) / 2;
    std::vector<int64_t> gains(n_items, 0);
    for (size_t j = 0; j < x.size(); ++j) {
      if (size_of[j] % 2 == parity) continue;
      const size_t place = 2 * (size_of[j] / 2) + 1;
      if (place == others) continue;
      const int64_t weight = common / models_of[size_of[j]];
      AddRanks(nll[j], place < others ? weight : -weight, order, gains);
    }
    std::vector<int64_t> sorted = gains;
    const auto middle = sorted.begin() + static_cast<ptrdiff_t>(n_items / 2);
    if (n_items > 0) std::nth_element(sorted.begin(), middle, sorted.end());
    groups.is_large[parity].reserve(n_items);
    for (const int64_t gain : gains) {
      groups.is_large[parity].push_back(gain >= *middle ? 1 : 0);
    }
  }
  groups.parity.reserve(x.size());
  for (const size_t size : size_of) groups.parity.push_back(static_cast<uint8_t>(size % 2));
  return groups;
}

}  // namespace mirage::metrics
