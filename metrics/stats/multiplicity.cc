#include "metrics/stats/multiplicity.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <numeric>
#include <optional>
#include <span>
#include <string_view>
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

// 1 + 1/2 + ... + 1/m.
double HarmonicNumber(uint64_t m) {
  constexpr uint64_t kDirect = 1000;
  if (m > kDirect) {
    // The next term of the expansion is 1 / (120 m^4), below 1e-14 here.
    const double x = static_cast<double>(m);
    return std::log(x) + std::numbers::egamma + 1 / (2 * x) - 1 / (12 * x * x);
  }
  double sum = 0;
  for (uint64_t i = m; i > 0; --i) sum += 1 / static_cast<double>(i);
  return sum;
}

// The running maximum from the smallest p-value up, or minimum from the largest down, of
// factor(rank) * p.
template <typename Factor>
std::vector<double> Step(std::span<const double> p_values, bool down, Factor factor) {
  std::vector<size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> adjusted(p_values.size());
  double running = down ? 0 : 1;
  for (size_t step = 0; step < order.size(); ++step) {
    const size_t index = down ? step : order.size() - 1 - step;
    const double value = factor(static_cast<double>(index + 1)) * p_values[order[index]];
    running = down ? std::max(running, value) : std::min(running, value);
    adjusted[order[index]] = std::min(running, 1.0);
  }
  return adjusted;
}

}  // namespace

absl::StatusOr<std::vector<double>> AdjustPValues(std::span<const double> p_values,
                                                  Adjustment method,
                                                  std::optional<uint64_t> n_tests) {
  for (size_t i = 0; i < p_values.size(); ++i) {
    if (!(p_values[i] >= 0 && p_values[i] <= 1)) {
      return Invalid(
          fmt::format("p_values[{}] is {}: must be between 0 and 1; leave out a test that could "
                      "not be made",
                      i, p_values[i]));
    }
  }
  const uint64_t tests = n_tests.value_or(p_values.size());
  if (tests < p_values.size()) {
    return Invalid(
        fmt::format("n_tests is {}: must be at least the number of p_values, which is {}", tests,
                    p_values.size()));
  }
  if (tests > kMaxCount) return Invalid(fmt::format("n_tests is {}: must be <= 2^53", tests));
  const double m = static_cast<double>(tests);
  switch (method) {
    case Adjustment::kBonferroni:
      return Step(p_values, true, [m](double) { return m; });
    case Adjustment::kHolm:
      return Step(p_values, true, [m](double rank) { return m - rank + 1; });
    case Adjustment::kHochberg:
      return Step(p_values, false, [m](double rank) { return m - rank + 1; });
    case Adjustment::kBenjaminiHochberg:
      return Step(p_values, false, [m](double rank) { return m / rank; });
    case Adjustment::kBenjaminiYekutieli: {
      const double harmonic = HarmonicNumber(tests);
      return Step(p_values, false, [m, harmonic](double rank) { return harmonic * m / rank; });
    }
  }
  return Invalid(fmt::format("method is {}: must be one of Adjustment", static_cast<int>(method)));
}

}  // namespace mirage::metrics
