#include "metrics/stats/bootstrap_of_mean.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/stats/bca.h"
#include "metrics/stats/bootstrap.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/moments.h"
#include "metrics/stats/sum_distribution.h"

namespace mirage::metrics {
namespace {

// Values of up to so many kinds are resampled as counts.
constexpr size_t kFewKinds = 16;

// The different values, ascending, and how often each is there; none where there are more than
// kFewKinds or one is not finite.
struct Kinds {
  std::vector<double> values;
  std::vector<uint64_t> counts;
};

Kinds FindKinds(std::span<const double> values) {
  std::map<double, uint64_t> kinds;
  for (const double x : values) {
    if (!std::isfinite(x)) return {};
    ++kinds[x];
    if (kinds.size() > kFewKinds) return {};
  }
  Kinds found;
  for (const auto& [value, count] : kinds) {
    found.values.push_back(value);
    found.counts.push_back(count);
  }
  return found;
}

absl::StatusOr<BootstrapResult> DrawnAsCounts(const Kinds& kinds, BootstrapOptions options) {
  options.pseudo_count = 0;
  return BootstrapOfCounts(
      kinds.counts,
      [&kinds](std::span<const double> counts) {
        double sum = 0;
        double n = 0;
        for (size_t i = 0; i < counts.size(); ++i) {
          sum += counts[i] * kinds.values[i];
          n += counts[i];
        }
        return sum / n;
      },
      options);
}

absl::StatusOr<BootstrapResult> Drawn(std::span<const double> values, BootstrapOptions options) {
  options.max_rows_singly = values.size();
  return BootstrapOfMeans(
      values, 1, [](std::span<const double> means) { return means[0]; }, options);
}

// The acceleration of a mean, skewness / (6 sqrt(n)): what leaving out one row in turn comes to.
double AccelerationOfMean(std::span<const double> values, double mean, double deviation) {
  double cubes = 0;
  for (const double x : values) {
    const double u = (x - mean) / deviation;
    cubes += u * u * u;
  }
  return cubes / 6;
}

}  // namespace

absl::StatusOr<BootstrapResult> BootstrapOfMean(std::span<const double> values,
                                                const BootstrapOptions& options) {
  if (absl::Status status = CheckBootstrapOptions(options); !status.ok()) return status;
  if (const Kinds kinds = FindKinds(values); !kinds.values.empty()) {
    return DrawnAsCounts(kinds, options);
  }
  const absl::StatusOr<SumDistribution> sum = SumDistribution::OfResamples(values, options.threads);
  // Bad values are for BootstrapOfMeans to name, too.
  if (!sum.ok()) return Drawn(values, options);
  Moments moments;
  moments.AddAll(values);
  const auto n = static_cast<double>(values.size());
  BootstrapResult result;
  result.estimate = *moments.mean();
  result.standard_error = sum->standard_deviation() / n;
  std::pair<double, double> ends((1 - options.level) / 2, (1 + options.level) / 2);
  result.interval.method = kMethodIdealBootstrapPercentile;
  if (options.interval == BootstrapInterval::kBca) {
    const absl::StatusOr<std::pair<double, double>> corrected = BcaProbabilities(
        sum->Below(0), AccelerationOfMean(values, result.estimate, sum->standard_deviation()),
        options.level);
    if (!corrected.ok()) return corrected.status();
    ends = *corrected;
    result.interval.method = kMethodIdealBootstrapBca;
  }
  result.interval.level = options.level;
  result.interval.lower = result.estimate + sum->Quantile(ends.first) / n;
  result.interval.upper = result.estimate + sum->Quantile(ends.second) / n;
  return result;
}

}  // namespace mirage::metrics
