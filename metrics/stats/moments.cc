#include "metrics/stats/moments.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/stats/centered_sums.h"
#include "metrics/stats/exact_sum.h"
#include "metrics/stats/serialization.h"

namespace mirage::metrics {
namespace {

constexpr uint8_t kMomentsVersion = 1;
constexpr uint8_t kRatioVersion = 1;

}  // namespace

void Moments::Add(double x) {
  sum_.Add(x);
  if (std::isfinite(x)) {
    squares_.AddSquare(x);
    if (x == 0) {
      ++n_zero_;
    } else if (x == 1) {
      ++n_one_;
    }
  }
  // The extremes start at the first value that is a number.
  if (!std::isnan(x)) {
    const bool first = count_ == n_nan();
    // Adding +0 makes -0 a +0, so that the bits do not depend on which zero came first.
    min_ = first ? x + 0.0 : std::min(min_, x + 0.0);
    max_ = first ? x + 0.0 : std::max(max_, x + 0.0);
  }
  ++count_;
}

void Moments::AddAll(std::span<const double> xs) {
  // Two at a time; of what is counted, a comparison gives -1 for yes.
  using Lanes = double __attribute__((vector_size(16)));
  using Counts = int64_t __attribute__((vector_size(16)));
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Lanes least = {kInfinity, kInfinity};
  Lanes greatest = {-kInfinity, -kInfinity};
  Counts zeros = {};
  Counts ones = {};
  Counts finite = {-1, -1};
  const auto look = [&](Lanes x) {
    least = x < least ? x : least;
    greatest = x > greatest ? x : greatest;
    zeros += x == Lanes{0, 0};
    ones += x == Lanes{1, 1};
    // Neither for an infinity nor for a NaN.
    finite &= x - x == Lanes{0, 0};
  };
  const size_t even = xs.size() & ~size_t{1};
  for (size_t i = 0; i < even; i += 2) {
    Lanes x;
    std::memcpy(&x, xs.data() + i, sizeof(x));
    look(x);
  }
  uint64_t n_zero = static_cast<uint64_t>(-(zeros[0] + zeros[1]));
  uint64_t n_one = static_cast<uint64_t>(-(ones[0] + ones[1]));
  double all_least = std::min(least[0], least[1]);
  double all_greatest = std::max(greatest[0], greatest[1]);
  bool all_finite = (finite[0] & finite[1]) != 0;
  if (even < xs.size()) {
    const double last = xs.back();
    n_zero += last == 0 ? 1 : 0;
    n_one += last == 1 ? 1 : 0;
    all_least = std::min(all_least, last);
    all_greatest = std::max(all_greatest, last);
    all_finite &= std::isfinite(last);
  }
  if (!all_finite || xs.empty()) {
    for (const double x : xs) Add(x);
    return;
  }
  sum_.AddAll(xs);
  // Most columns of accuracies hold nothing else.
  if (n_zero + n_one == xs.size()) {
    squares_.Add(static_cast<double>(n_one));
  } else {
    squares_.AddSquares(xs);
  }
  const bool first = count_ == n_nan();
  min_ = first ? all_least + 0.0 : std::min(min_, all_least + 0.0);
  max_ = first ? all_greatest + 0.0 : std::max(max_, all_greatest + 0.0);
  n_zero_ += n_zero;
  n_one_ += n_one;
  count_ += xs.size();
}

void Moments::AddRepeated(double x, uint64_t n) {
  const double size = std::abs(x);
  if (n == 0) return;
  if (x != 0 && !(size >= 0x1p-400 && size <= 0x1p400)) {
    for (uint64_t i = 0; i < n; ++i) Add(x);
    return;
  }
  const auto times = static_cast<double>(n);
  sum_.AddProduct(x, times);
  // The square as two doubles, exactly.
  const double square = x * x;
  squares_.AddProduct(square, times);
  squares_.AddProduct(std::fma(x, x, -square), times);
  const bool first = count_ == n_nan();
  min_ = first ? x + 0.0 : std::min(min_, x + 0.0);
  max_ = first ? x + 0.0 : std::max(max_, x + 0.0);
  if (x == 0) n_zero_ += n;
  if (x == 1) n_one_ += n;
  count_ += n;
}

void Moments::Merge(const Moments& other) {
  if (other.count_ > other.n_nan()) {
    const bool first = count_ == n_nan();
    const double other_min = other.min_;
    const double other_max = other.max_;
    min_ = first ? other_min : std::min(min_, other_min);
    max_ = first ? other_max : std::max(max_, other_max);
  }
  count_ += other.count_;
  n_zero_ += other.n_zero_;
  n_one_ += other.n_one_;
  sum_.Merge(other.sum_);
  squares_.Merge(other.squares_);
}

std::optional<double> Moments::mean() const {
  if (count_ == 0) return std::nullopt;
  return Quotient(sum_, CountSum(count_));
}

std::optional<double> Moments::variance() const {
  if (count_ < 2 || n_infinite() > 0 || n_nan() > 0) return std::nullopt;
  const double squares = CenteredProducts(sum_, sum_, squares_, count_);
  // The sum overflows.
  if (std::isnan(squares)) return std::nullopt;
  return squares / (static_cast<double>(count_) - 1);
}

std::optional<double> Moments::standard_error() const {
  const std::optional<double> spread = variance();
  if (!spread.has_value()) return std::nullopt;
  return std::sqrt(*spread / static_cast<double>(count_));
}

std::optional<double> Moments::min() const {
  if (count_ == n_nan()) return std::nullopt;
  return min_;
}

std::optional<double> Moments::max() const {
  if (count_ == n_nan()) return std::nullopt;
  return max_;
}

std::string Moments::Serialize() const {
  ByteWriter out(kMomentsVersion);
  out.Uint64(count_);
  out.Uint64(n_zero_);
  out.Uint64(n_one_);
  out.Double(min_);
  out.Double(max_);
  out.Sum(sum_);
  out.Sum(squares_);
  return std::move(out).Take();
}

absl::StatusOr<Moments> Moments::Deserialize(std::string_view bytes) {
  ByteReader in(bytes, "moments", kMomentsVersion);
  Moments moments;
  moments.count_ = in.Uint64("count");
  moments.n_zero_ = in.Uint64("number of zeros");
  moments.n_one_ = in.Uint64("number of ones");
  moments.min_ = in.Double("min");
  moments.max_ = in.Double("max");
  moments.sum_ = in.Sum("sum");
  moments.squares_ = in.Sum("squares");
  if (moments.n_zero_ > moments.count_ || moments.n_one_ > moments.count_ - moments.n_zero_ ||
      moments.n_infinite() > moments.count_ || moments.n_nan() > moments.count_ ||
      std::isnan(moments.min_) || std::isnan(moments.max_)) {
    in.Fail("counts contradict each other");
  }
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  return moments;
}

void RatioMoments::Add(double x, double w) {
  ++count_;
  sum_x_.Add(x);
  sum_w_.Add(w);
  if (!std::isfinite(x) || !std::isfinite(w)) return;
  sum_xx_.AddSquare(x);
  sum_xw_.AddProduct(x, w);
  sum_ww_.AddSquare(w);
}

void RatioMoments::Merge(const RatioMoments& other) {
  count_ += other.count_;
  sum_x_.Merge(other.sum_x_);
  sum_w_.Merge(other.sum_w_);
  sum_xx_.Merge(other.sum_xx_);
  sum_xw_.Merge(other.sum_xw_);
  sum_ww_.Merge(other.sum_ww_);
}

std::optional<double> RatioMoments::ratio() const {
  const double weight = sum_w_.Round();
  if (count_ == 0 || weight == 0) return std::nullopt;
  // An infinite weight says nothing about the ratio.
  if (!std::isfinite(weight)) return std::numeric_limits<double>::quiet_NaN();
  return Quotient(sum_x_, sum_w_);
}

std::optional<double> RatioMoments::standard_error() const {
  const std::optional<double> r = ratio();
  if (count_ < 2 || !r.has_value() || !std::isfinite(*r)) return std::nullopt;
  // sum (x - r w)^2 = sum x^2 - 2 r sum x w + r^2 sum w^2, exactly; r^2 is not a double, but the
  // two halves of its exact square are.
  ExactSum r_squared;
  r_squared.AddSquare(*r);
  const ExactSum::Pair r2 = r_squared.RoundPair();
  ExactSum residuals = sum_xx_;
  residuals.AddScaled(sum_xw_, -2 * *r);
  residuals.AddScaled(sum_ww_, r2.hi);
  residuals.AddScaled(sum_ww_, r2.lo);
  const double n = static_cast<double>(count_);
  return std::sqrt(std::max(residuals.Round(), 0.0) * (n / (n - 1))) / std::abs(sum_w_.Round());
}

std::string RatioMoments::Serialize() const {
  ByteWriter out(kRatioVersion);
  out.Uint64(count_);
  for (const ExactSum* sum : {&sum_x_, &sum_w_, &sum_xx_, &sum_xw_, &sum_ww_}) out.Sum(*sum);
  return std::move(out).Take();
}

absl::StatusOr<RatioMoments> RatioMoments::Deserialize(std::string_view bytes) {
  ByteReader in(bytes, "ratio moments", kRatioVersion);
  RatioMoments moments;
  moments.count_ = in.Uint64("count");
  moments.sum_x_ = in.Sum("sum_x");
  moments.sum_w_ = in.Sum("sum_w");
  moments.sum_xx_ = in.Sum("sum_xx");
  moments.sum_xw_ = in.Sum("sum_xw");
  moments.sum_ww_ = in.Sum("sum_ww");
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  return moments;
}

}  // namespace mirage::metrics
