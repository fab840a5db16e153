#include "metrics/stats/paired.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/centered_sums.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/exact_sum.h"
#include "metrics/stats/hypothesis.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/serialization.h"

namespace mirage::metrics {
namespace {

constexpr uint8_t kVersion = 1;

bool IsZeroOrOne(double x) { return x == 0 || x == 1; }

// The sample variance or covariance of a centered sum; absent where that is NaN.
std::optional<double> PerDegree(double centered, uint64_t n) {
  if (std::isnan(centered)) return std::nullopt;
  return centered / (static_cast<double>(n) - 1);
}

// The standard error that tests and intervals need.
absl::StatusOr<double> UsableError(const PairedMoments& pairs) {
  if (pairs.n_not_finite() > 0) {
    return absl::FailedPreconditionError(
        fmt::format("{} of {} pairs have a score that is not finite: leave them out first",
                    pairs.n_not_finite(), pairs.count()));
  }
  if (pairs.count() < 2) {
    return absl::FailedPreconditionError(
        fmt::format("{} pairs: at least 2 are needed", pairs.count()));
  }
  const std::optional<double> error = pairs.standard_error();
  if (!error.has_value()) {
    return absl::FailedPreconditionError("the sum of the scores overflows: scale them down");
  }
  if (*error == 0) {
    return absl::FailedPreconditionError(
        "all differences are equal: they have no spread to judge by");
  }
  return *error;
}

}  // namespace

void PairedMoments::Add(double first, double second) {
  ++count_;
  if (!std::isfinite(first) || !std::isfinite(second)) {
    ++n_not_finite_;
    return;
  }
  if (first > second) ++n_first_greater_;
  if (first < second) ++n_second_greater_;
  if (IsZeroOrOne(first) && IsZeroOrOne(second)) ++n_binary_;
  first_.Add(first);
  second_.Add(second);
  first_squares_.AddSquare(first);
  second_squares_.AddSquare(second);
  products_.AddProduct(first, second);
}

void PairedMoments::Merge(const PairedMoments& other) {
  count_ += other.count_;
  n_not_finite_ += other.n_not_finite_;
  n_first_greater_ += other.n_first_greater_;
  n_second_greater_ += other.n_second_greater_;
  n_binary_ += other.n_binary_;
  first_.Merge(other.first_);
  second_.Merge(other.second_);
  first_squares_.Merge(other.first_squares_);
  second_squares_.Merge(other.second_squares_);
  products_.Merge(other.products_);
}

uint64_t PairedMoments::n_equal() const {
  return count_ - n_not_finite_ - n_first_greater_ - n_second_greater_;
}

std::optional<double> PairedMoments::mean_first() const {
  if (count_ == 0 || n_not_finite_ > 0) return std::nullopt;
  return Quotient(first_, CountSum(count_));
}

std::optional<double> PairedMoments::mean_second() const {
  if (count_ == 0 || n_not_finite_ > 0) return std::nullopt;
  return Quotient(second_, CountSum(count_));
}

std::optional<double> PairedMoments::mean_difference() const {
  if (count_ == 0 || n_not_finite_ > 0) return std::nullopt;
  ExactSum difference = first_;
  difference.AddScaled(second_, -1);
  return Quotient(difference, CountSum(count_));
}

std::optional<double> PairedMoments::variance_first() const {
  if (count_ < 2 || n_not_finite_ > 0) return std::nullopt;
  return PerDegree(CenteredProducts(first_, first_, first_squares_, count_), count_);
}

std::optional<double> PairedMoments::variance_second() const {
  if (count_ < 2 || n_not_finite_ > 0) return std::nullopt;
  return PerDegree(CenteredProducts(second_, second_, second_squares_, count_), count_);
}

std::optional<double> PairedMoments::covariance() const {
  if (count_ < 2 || n_not_finite_ > 0) return std::nullopt;
  return PerDegree(CenteredProducts(first_, second_, products_, count_), count_);
}

std::optional<double> PairedMoments::variance_difference() const {
  if (count_ < 2 || n_not_finite_ > 0) return std::nullopt;
  ExactSum difference = first_;
  difference.AddScaled(second_, -1);
  // The parts of products below the least double would be lost to AddScaled; Merge keeps them.
  ExactSum squares = first_squares_;
  squares.Merge(second_squares_);
  squares.AddScaled(products_, -2);
  return PerDegree(CenteredProducts(difference, difference, squares, count_), count_);
}

std::optional<double> PairedMoments::correlation() const {
  const std::optional<double> shared = covariance();
  if (!shared.has_value()) return std::nullopt;
  const double scale = std::sqrt(*variance_first()) * std::sqrt(*variance_second());
  if (scale == 0) return std::nullopt;
  return std::clamp(*shared / scale, -1.0, 1.0);
}

std::optional<double> PairedMoments::standard_error() const {
  const std::optional<double> variance = variance_difference();
  if (!variance.has_value()) return std::nullopt;
  return std::sqrt(*variance / static_cast<double>(count_));
}

std::optional<double> PairedMoments::unpaired_standard_error() const {
  const std::optional<double> first = variance_first();
  const std::optional<double> second = variance_second();
  if (!first.has_value() || !second.has_value()) return std::nullopt;
  return std::sqrt((*first + *second) / static_cast<double>(count_));
}

std::string PairedMoments::Serialize() const {
  ByteWriter out(kVersion);
  for (const uint64_t n : {count_, n_not_finite_, n_first_greater_, n_second_greater_, n_binary_}) {
    out.Uint64(n);
  }
  for (const ExactSum* sum : {&first_, &second_, &first_squares_, &second_squares_, &products_}) {
    out.Sum(*sum);
  }
  return std::move(out).Take();
}

absl::StatusOr<PairedMoments> PairedMoments::Deserialize(std::string_view bytes) {
  ByteReader in(bytes, "paired moments", kVersion);
  PairedMoments out;
  out.count_ = in.Uint64("count");
  out.n_not_finite_ = in.Uint64("number of pairs that are not finite");
  out.n_first_greater_ = in.Uint64("number of pairs with a greater first");
  out.n_second_greater_ = in.Uint64("number of pairs with a greater second");
  out.n_binary_ = in.Uint64("number of pairs of 0 and 1");
  out.first_ = in.Sum("first");
  out.second_ = in.Sum("second");
  out.first_squares_ = in.Sum("first squares");
  out.second_squares_ = in.Sum("second squares");
  out.products_ = in.Sum("products");
  uint64_t left = out.count_;
  for (const uint64_t n : {out.n_not_finite_, out.n_first_greater_, out.n_second_greater_}) {
    if (n > left) in.Fail("counts contradict each other");
    left -= std::min(n, left);
  }
  if (out.n_binary_ > out.count_) in.Fail("counts contradict each other");
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  return out;
}

absl::StatusOr<TestResult> PairedT(const PairedMoments& pairs, double expected,
                                   Alternative alternative) {
  if (!std::isfinite(expected)) {
    return absl::InvalidArgumentError(fmt::format("expected is {}: must be finite", expected));
  }
  absl::StatusOr<double> error = UsableError(pairs);
  if (!error.ok()) return error.status();
  const double t = (*pairs.mean_difference() - expected) / *error;
  const double df = static_cast<double>(pairs.count()) - 1;
  return TestResult{StudentPValue(t, df, alternative), "student_t"};
}

absl::StatusOr<ConfidenceInterval> PairedInterval(const PairedMoments& pairs, double level) {
  absl::StatusOr<double> error = UsableError(pairs);
  if (!error.ok()) return error.status();
  return StudentT(*pairs.mean_difference(), *error, pairs.count(), level);
}

}  // namespace mirage::metrics
