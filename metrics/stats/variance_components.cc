#include "metrics/stats/variance_components.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

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

absl::Status VarianceComponents::AddItem(std::span<const double> answers) {
  if (answers.empty()) {
    return absl::InvalidArgumentError("answers is empty: at least one is needed");
  }
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!std::isfinite(answers[i])) {
      return absl::InvalidArgumentError(
          fmt::format("answers[{}] is {}: must be finite; leave it out", i, answers[i]));
    }
  }
  Moments item;
  item.AddAll(answers);
  const double size = static_cast<double>(answers.size());
  n_answers_ += answers.size();
  squared_sizes_.AddSquare(size);
  item_means_.Add(*item.mean());
  answers_.Merge(item);
  if (answers.size() > 1) within_squares_.Add(item.variance().value_or(0) * (size - 1));
  return absl::OkStatus();
}

void VarianceComponents::Merge(const VarianceComponents& other) {
  n_answers_ += other.n_answers_;
  squared_sizes_.Merge(other.squared_sizes_);
  item_means_.Merge(other.item_means_);
  answers_.Merge(other.answers_);
  within_squares_.Merge(other.within_squares_);
}

std::optional<double> VarianceComponents::mean() const { return item_means_.mean(); }

std::optional<double> VarianceComponents::standard_error() const {
  return item_means_.standard_error();
}

std::optional<double> VarianceComponents::within() const {
  if (n_answers_ == n_items()) return std::nullopt;
  return within_squares_.Round() / static_cast<double>(n_answers_ - n_items());
}

std::optional<double> VarianceComponents::between() const {
  const std::optional<double> sigma2 = within();
  const std::optional<double> variance = answers_.variance();
  if (!sigma2.has_value() || !variance.has_value() || n_items() < 2) return std::nullopt;
  const double answers = static_cast<double>(n_answers_);
  const double items = static_cast<double>(n_items());
  const double total_squares = *variance * (answers - 1);
  const double mean_square_between =
      std::max(total_squares - within_squares_.Round(), 0.0) / (items - 1);
  const double k0 = (answers - squared_sizes_.Round() / answers) / (items - 1);
  return (mean_square_between - *sigma2) / k0;
}

std::optional<double> VarianceComponents::StandardErrorWith(uint64_t answers) const {
  const std::optional<double> omega2 = between();
  if (!omega2.has_value() || answers == 0) return std::nullopt;
  return std::sqrt((std::max(*omega2, 0.0) + *within() / static_cast<double>(answers)) /
                   static_cast<double>(n_items()));
}

std::string VarianceComponents::Serialize() const {
  ByteWriter out(kVersion);
  out.Uint64(n_answers_);
  out.Sum(squared_sizes_);
  out.Part(item_means_);
  out.Part(answers_);
  out.Sum(within_squares_);
  return std::move(out).Take();
}

absl::StatusOr<VarianceComponents> VarianceComponents::Deserialize(std::string_view bytes) {
  ByteReader in(bytes, "variance components", kVersion);
  VarianceComponents out;
  out.n_answers_ = in.Uint64("number of answers");
  out.squared_sizes_ = in.Sum("squared sizes");
  out.item_means_ = in.Part<Moments>("item means");
  out.answers_ = in.Part<Moments>("answers");
  out.within_squares_ = in.Sum("squares within items");
  if (out.answers_.count() != out.n_answers_ || out.item_means_.count() > out.n_answers_) {
    in.Fail("counts contradict each other");
  }
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  return out;
}

}  // namespace mirage::metrics
