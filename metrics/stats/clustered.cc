#include "metrics/stats/clustered.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/exact_sum.h"
#include "metrics/stats/moments.h"
#include "metrics/stats/serialization.h"

namespace mirage::metrics {
namespace {

constexpr uint8_t kVersion = 1;

}  // namespace

struct ClusteredMoments::Summary {
  Moments all;
  // sum over clusters of (sum of (x - mean))^2.
  double squared_sums = 0;
  // sum over clusters of (sum of (x - mean))^2 / n_c.
  double between = 0;
  // sum of squares of the clusters' sizes.
  double squared_sizes = 0;
  uint64_t clusters = 0;
};

void ClusteredMoments::Add(uint64_t cluster, double x) {
  // One zero, so that the bytes do not depend on which came.
  rows_.push_back({cluster, x + 0.0});
  sorted_ = false;
}

void ClusteredMoments::Merge(const ClusteredMoments& other) {
  // By index: `other` may be this one.
  const size_t n = other.rows_.size();
  rows_.reserve(rows_.size() + n);
  for (size_t i = 0; i < n; ++i) rows_.push_back(other.rows_[i]);
  sorted_ = false;
}

void ClusteredMoments::Sort() const {
  if (sorted_) return;
  std::sort(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) {
    // By bits: NaNs have an order then, too.
    return std::tuple(a.cluster, std::bit_cast<uint64_t>(a.x)) <
           std::tuple(b.cluster, std::bit_cast<uint64_t>(b.x));
  });
  sorted_ = true;
}

uint64_t ClusteredMoments::clusters() const {
  Sort();
  uint64_t n = 0;
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (i == 0 || rows_[i].cluster != rows_[i - 1].cluster) ++n;
  }
  return n;
}

std::optional<double> ClusteredMoments::mean() const {
  Moments all;
  for (const Row& row : rows_) all.Add(row.x);
  return all.mean();
}

std::optional<ClusteredMoments::Summary> ClusteredMoments::Summarise() const {
  Sort();
  Summary out;
  for (const Row& row : rows_) out.all.Add(row.x);
  const std::optional<double> mean = out.all.mean();
  if (!mean.has_value() || !std::isfinite(*mean) || out.all.n_infinite() > 0) return std::nullopt;
  // What the double next to the mean misses of it.
  ExactSum offset = out.all.sum();
  offset.AddProduct(-*mean, static_cast<double>(rows_.size()));
  const double missed = offset.Round() / static_cast<double>(rows_.size());
  ExactSum squared_sums;
  ExactSum between;
  ExactSum squared_sizes;
  for (size_t i = 0; i < rows_.size();) {
    ExactSum residual;
    const uint64_t cluster = rows_[i].cluster;
    size_t size = 0;
    for (; i < rows_.size() && rows_[i].cluster == cluster; ++i, ++size) residual.Add(rows_[i].x);
    const double members = static_cast<double>(size);
    residual.AddProduct(-*mean, members);
    residual.AddProduct(-missed, members);
    const double sum = residual.Round();
    squared_sums.AddSquare(sum);
    between.Add(sum * sum / members);
    squared_sizes.AddSquare(members);
    ++out.clusters;
  }
  out.squared_sums = squared_sums.Round();
  out.between = between.Round();
  out.squared_sizes = squared_sizes.Round();
  return out;
}

std::optional<double> ClusteredMoments::standard_error() const {
  const std::optional<Summary> summary = Summarise();
  if (!summary.has_value() || summary->clusters < 2) return std::nullopt;
  const double c = static_cast<double>(summary->clusters);
  return std::sqrt(summary->squared_sums * (c / (c - 1))) / static_cast<double>(count());
}

std::optional<double> ClusteredMoments::design_effect() const {
  const std::optional<Summary> summary = Summarise();
  if (!summary.has_value() || summary->clusters < 2) return std::nullopt;
  const std::optional<double> variance = summary->all.variance();
  if (!variance.has_value() || *variance == 0) return std::nullopt;
  const double c = static_cast<double>(summary->clusters);
  const double n = static_cast<double>(count());
  return summary->squared_sums * (c / (c - 1)) / n / *variance;
}

std::optional<double> ClusteredMoments::intraclass_correlation() const {
  const std::optional<Summary> summary = Summarise();
  if (!summary.has_value() || summary->clusters < 2 || summary->clusters == count()) {
    return std::nullopt;
  }
  const double n = static_cast<double>(count());
  const double c = static_cast<double>(summary->clusters);
  const std::optional<double> variance = summary->all.variance();
  if (!variance.has_value() || *variance == 0) return std::nullopt;
  const double mean_square_between = summary->between / (c - 1);
  const double mean_square_within = std::max(*variance * (n - 1) - summary->between, 0.0) / (n - c);
  const double size = (n - summary->squared_sizes / n) / (c - 1);
  return (mean_square_between - mean_square_within) /
         (mean_square_between + (size - 1) * mean_square_within);
}

std::vector<double> ClusteredMoments::ClusterRows() const {
  Sort();
  std::vector<double> out;
  for (size_t i = 0; i < rows_.size();) {
    ExactSum sum;
    const uint64_t cluster = rows_[i].cluster;
    const size_t begin = i;
    for (; i < rows_.size() && rows_[i].cluster == cluster; ++i) sum.Add(rows_[i].x);
    out.push_back(sum.Round());
    out.push_back(static_cast<double>(i - begin));
  }
  return out;
}

std::string ClusteredMoments::Serialize() const {
  Sort();
  ByteWriter out(kVersion);
  out.Uint64(rows_.size());
  for (const Row& row : rows_) {
    out.Uint64(row.cluster);
    out.Double(row.x);
  }
  return std::move(out).Take();
}

absl::StatusOr<ClusteredMoments> ClusteredMoments::Deserialize(std::string_view bytes) {
  ByteReader in(bytes, "clustered moments", kVersion);
  ClusteredMoments out;
  const uint64_t n = in.Size("number of values", 16);
  out.rows_.reserve(n);
  for (uint64_t i = 0; i < n; ++i) {
    const uint64_t cluster = in.Uint64("cluster");
    out.rows_.push_back({cluster, in.Double("value")});
  }
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  out.sorted_ = false;
  if (out.Serialize() != bytes) {
    return absl::InvalidArgumentError("clustered moments: values are not in order");
  }
  return out;
}

absl::StatusOr<double> KishDesignEffect(double size, double correlation) {
  if (!(size >= 1 && std::isfinite(size))) {
    return absl::InvalidArgumentError(fmt::format("size is {}: must be finite and >= 1", size));
  }
  const double effect = 1 + (size - 1) * correlation;
  if (!(correlation <= 1 && effect >= 0)) {
    return absl::InvalidArgumentError(fmt::format(
        "correlation is {}: must be from -1/(size - 1) to 1, with size {}", correlation, size));
  }
  return effect;
}

absl::StatusOr<double> KishEffectiveSize(std::span<const double> weights) {
  double greatest = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] >= 0 && std::isfinite(weights[i]))) {
      return absl::InvalidArgumentError(
          fmt::format("weights[{}] is {}: must be finite and >= 0", i, weights[i]));
    }
    greatest = std::max(greatest, weights[i]);
  }
  if (greatest == 0) {
    return absl::InvalidArgumentError("weights are empty or all 0: one must be positive");
  }
  ExactSum sum;
  ExactSum squares;
  for (const double weight : weights) {
    // Of the greatest, so that no square overflows.
    sum.Add(weight / greatest);
    squares.AddSquare(weight / greatest);
  }
  return sum.Round() * sum.Round() / squares.Round();
}

}  // namespace mirage::metrics
