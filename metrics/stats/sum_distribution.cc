#include "metrics/stats/sum_distribution.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "boost/math/tools/toms748_solve.hpp"
#include "fmt/format.h"
#include "metrics/stats/moments.h"
#include "metrics/stats/parallel.h"

namespace mirage::metrics {
namespace {

// Frequencies that one pass over the numbers evaluates.
constexpr size_t kTerms = 32;
// Frequencies after which a characteristic function that has not fallen to nothing never will.
constexpr size_t kMaxTerms = 1024;
// Numbers side by side in a pass, so that the processor can take several at a time.
constexpr size_t kLanes = 8;
// Numbers that a thread takes at a time.
constexpr size_t kShard = 4096;
// Probability outside of the window.
constexpr double kOutside = 1e-14;
// What counts as nothing: for the terms that are summed, and for those that are left out.
constexpr double kNothing = 1e-16;
constexpr double kNegligible = 1e-8;
// Least width of a lattice, in standard deviations, that must be seen.
constexpr double kLattice = 1.0 / 300;
// Between the frequencies where a lattice is looked for, in standard deviations to the -1. A
// characteristic function changes by at most half of a peak's height within one of its units.
constexpr double kLookStep = 2;
// Numbers that stand for all of them where they suffice to show that there is no lattice.
constexpr size_t kLookAt = 1024;
// What the mean of kLookAt numbers of size 1 may be off: 5 standard errors.
const double kLookError = 5 / std::sqrt(static_cast<double>(kLookAt));

using Terms = std::array<std::complex<double>, kTerms>;

// Goes through exp(i v (first + k step)) for k < kTerms and kLanes numbers v at a time.
template <class Visit>
void ForEachPower(std::span<const double> v, double first, double step, const Visit& visit) {
  for (size_t begin = 0; begin < v.size(); begin += kLanes) {
    double re[kLanes];
    double im[kLanes];
    double step_re[kLanes];
    double step_im[kLanes];
    const size_t lanes = std::min(kLanes, v.size() - begin);
    for (size_t l = 0; l < kLanes; ++l) {
      const double x = l < lanes ? v[begin + l] : 0;
      re[l] = std::cos(first * x);
      im[l] = std::sin(first * x);
      step_re[l] = std::cos(step * x);
      step_im[l] = std::sin(step * x);
    }
    for (size_t k = 0; k < kTerms; ++k) {
      visit(k, re, im, lanes);
      for (size_t l = 0; l < kLanes; ++l) {
        const double next = re[l] * step_re[l] - im[l] * step_im[l];
        im[l] = re[l] * step_im[l] + im[l] * step_re[l];
        re[l] = next;
      }
    }
  }
}

// Sum over the numbers of exp(i v t), t = first + k step.
Terms SumOfPowers(std::span<const double> v, double first, double step) {
  double sums_re[kTerms][kLanes] = {};
  double sums_im[kTerms][kLanes] = {};
  size_t padding = 0;
  ForEachPower(v, first, step, [&](size_t k, const double* re, const double* im, size_t lanes) {
    for (size_t l = 0; l < kLanes; ++l) {
      sums_re[k][l] += re[l];
      sums_im[k][l] += im[l];
    }
    padding = kLanes - lanes;
  });
  Terms sums{};
  for (size_t k = 0; k < kTerms; ++k) {
    for (size_t l = 0; l < kLanes; ++l) {
      sums[k] += std::complex<double>(sums_re[k][l], sums_im[k][l]);
    }
    // Lanes without a number held 0, whose power is 1.
    sums[k] -= static_cast<double>(padding);
  }
  return sums;
}

// Product over the numbers of cos(v t).
Terms ProductOfCosines(std::span<const double> v, double first, double step) {
  double products[kTerms][kLanes];
  std::fill_n(&products[0][0], kTerms * kLanes, 1.0);
  ForEachPower(v, first, step, [&](size_t k, const double* re, const double*, size_t) {
    for (size_t l = 0; l < kLanes; ++l) products[k][l] *= re[l];
  });
  Terms all{};
  for (size_t k = 0; k < kTerms; ++k) {
    double product = 1;
    for (const double x : products[k]) product *= x;
    all[k] = product;
  }
  return all;
}

// z^n by squaring; n > 0.
std::complex<double> Power(std::complex<double> z, uint64_t n) {
  std::complex<double> power = 1;
  for (; n > 0; n /= 2) {
    if (n % 2 == 1) power *= z;
    z *= z;
  }
  return power;
}

enum class Kind : uint8_t { kResamples, kSigns };

}  // namespace

class SumDistribution::Builder {
 public:
  // `values` in standard deviations of their sum, sorted; centred for resamples.
  Builder(Kind kind, std::vector<double> values, int threads)
      : kind_(kind), values_(std::move(values)), threads_(threads) {
    const size_t stride = (values_.size() + kLookAt - 1) / kLookAt;
    for (size_t i = 0; i < values_.size(); i += stride) looked_at_.push_back(values_[i]);
  }

  absl::StatusOr<SumDistribution> Build(double standard_deviation) const {
    const double window = Window();
    const double step = std::numbers::pi / window;
    std::vector<std::complex<double>> terms;
    bool is_nothing = false;
    while (!is_nothing) {
      if (terms.size() == kMaxTerms) {
        return absl::FailedPreconditionError(
            "the sum falls into clumps, a few of the values are much larger than the others: draw "
            "at random instead");
      }
      const size_t begin = terms.size();
      const Terms powers = Characteristic(values_, (static_cast<double>(begin) + 0.5) * step, step);
      for (size_t k = 0; k < kTerms; ++k) {
        terms.push_back(powers[k] / (std::numbers::pi * (static_cast<double>(begin + k) + 0.5)));
      }
      is_nothing = std::all_of(powers.end() - 4, powers.end(), [](std::complex<double> power) {
        return std::abs(power) < kNothing;
      });
    }
    while (terms.size() > 1 && std::abs(terms.back()) < kNothing) terms.pop_back();
    const double last = static_cast<double>(terms.size()) * step;
    constexpr double kBlock = kLookStep * static_cast<double>(kTerms);
    const double range = 2 * std::numbers::pi / kLattice - last;
    const int blocks = std::max(0, static_cast<int>(std::ceil(range / kBlock)));
    for (int block = 0; block < blocks; ++block) {
      const double first = last + block * kBlock;
      if (!IsNegligible(first)) {
        return absl::FailedPreconditionError(
            "the sum falls on a lattice, or has too few terms to be smooth: draw at random "
            "instead");
      }
    }
    return SumDistribution(standard_deviation, window, step, std::move(terms));
  }

 private:
  // Half of the width that holds S all but kOutside of the time, in standard deviations.
  double Window() const {
    const double exponent = std::log(2 / kOutside);
    // Hoeffding (1963).
    if (kind_ == Kind::kSigns) return std::sqrt(2 * exponent);
    // Bernstein (1946): P(|S| > w) <= 2 exp(-w^2 / 2 / (1 + w largest / 3)).
    const double largest = std::max(std::abs(values_.front()), std::abs(values_.back()));
    const double half = exponent * largest / 3;
    return half + std::sqrt(half * half + 2 * exponent);
  }

  // The characteristic function of the sum of `values` at first + k step.
  Terms Characteristic(std::span<const double> values, double first, double step) const {
    const size_t shards = (values.size() + kShard - 1) / kShard;
    std::vector<Terms> parts(shards);
    ParallelFor(shards, threads_, [&](size_t i) {
      const auto shard = values.subspan(i * kShard, std::min(kShard, values.size() - i * kShard));
      parts[i] = kind_ == Kind::kSigns ? ProductOfCosines(shard, first, step)
                                       : SumOfPowers(shard, first, step);
    });
    Terms all = parts[0];
    for (size_t i = 1; i < shards; ++i) {
      for (size_t k = 0; k < kTerms; ++k) {
        if (kind_ == Kind::kSigns) {
          all[k] *= parts[i][k];
        } else {
          all[k] += parts[i][k];
        }
      }
    }
    if (kind_ == Kind::kSigns) return all;
    for (std::complex<double>& term : all) {
      term = Power(term / static_cast<double>(values.size()), values_.size());
    }
    return all;
  }

  // Whether the characteristic function is negligible at kTerms frequencies from `first` on.
  bool IsNegligible(double first) const {
    if (looked_at_.size() < values_.size()) {
      bool is_small = true;
      if (kind_ == Kind::kSigns) {
        // A factor that was not looked at is at most 1.
        for (const std::complex<double> term : ProductOfCosines(looked_at_, first, kLookStep)) {
          is_small = is_small && std::abs(term) <= kNegligible;
        }
      } else {
        const double n = static_cast<double>(looked_at_.size());
        const double most = std::pow(kNegligible, 1 / static_cast<double>(values_.size()));
        for (const std::complex<double> term : SumOfPowers(looked_at_, first, kLookStep)) {
          is_small = is_small && std::abs(term) / n + kLookError <= most;
        }
      }
      if (is_small) return true;
    }
    const Terms terms = Characteristic(values_, first, kLookStep);
    return std::all_of(terms.begin(), terms.end(),
                       [](std::complex<double> term) { return std::abs(term) <= kNegligible; });
  }

  Kind kind_;
  std::vector<double> values_;
  int threads_;
  // Every so many of the values.
  std::vector<double> looked_at_;
};

namespace {

absl::Status CheckValues(std::span<const double> values) {
  if (values.empty()) {
    return absl::InvalidArgumentError("values is empty: at least one is needed");
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return absl::InvalidArgumentError(
          fmt::format("values[{}] is {}: must be finite", i, values[i]));
    }
  }
  return absl::OkStatus();
}

// Divides by the square root of the sum of squares, which it returns; 0 or infinite where there is
// none.
double Standardize(std::vector<double>& values) {
  double squares = 0;
  for (const double x : values) squares += x * x;
  const double deviation = std::sqrt(squares);
  if (!(deviation > 0 && std::isfinite(deviation))) return 0;
  for (double& x : values) x /= deviation;
  return deviation;
}

absl::Status NoSpread() {
  return absl::FailedPreconditionError(
      "the sum has no spread, or one that no double holds: scale the values");
}

}  // namespace

absl::StatusOr<SumDistribution> SumDistribution::OfResamples(std::span<const double> values,
                                                             int threads) {
  if (absl::Status status = CheckValues(values); !status.ok()) return status;
  std::vector<double> centred(values.begin(), values.end());
  Moments moments;
  moments.AddAll(values);
  const double mean = *moments.mean();
  if (!std::isfinite(mean)) return NoSpread();
  for (double& x : centred) x -= mean;
  // The order of the values is no part of the result.
  std::sort(centred.begin(), centred.end());
  const double deviation = Standardize(centred);
  if (deviation == 0) return NoSpread();
  return Builder(Kind::kResamples, std::move(centred), threads).Build(deviation);
}

absl::StatusOr<SumDistribution> SumDistribution::OfSigns(std::span<const double> values,
                                                         int threads) {
  if (absl::Status status = CheckValues(values); !status.ok()) return status;
  std::vector<double> sizes;
  sizes.reserve(values.size());
  for (const double x : values) {
    if (x != 0) sizes.push_back(std::abs(x));
  }
  std::sort(sizes.begin(), sizes.end());
  const double deviation = Standardize(sizes);
  if (deviation == 0) return NoSpread();
  return Builder(Kind::kSigns, std::move(sizes), threads).Build(deviation);
}

double SumDistribution::Below(double x) const {
  const double at = x / standard_deviation_;
  if (at > window_) return 1;
  if (at < -window_) return 0;
  double sum = 0;
  for (size_t k = 0; k < terms_.size(); ++k) {
    const double angle = (static_cast<double>(k) + 0.5) * step_ * at;
    // The imaginary part of term * exp(-i angle).
    sum += terms_[k].imag() * std::cos(angle) - terms_[k].real() * std::sin(angle);
  }
  return std::clamp(0.5 - sum, 0.0, 1.0);
}

double SumDistribution::Quantile(double p) const {
  const double width = window_ * standard_deviation_;
  uintmax_t iterations = 200;
  const auto is_close = [this](double a, double b) {
    return std::abs(b - a) <= 1e-11 * standard_deviation_;
  };
  const auto [lower, upper] = boost::math::tools::toms748_solve(
      [&](double x) { return Below(x) - p; }, -width, width, -p, 1 - p, is_close, iterations);
  return (lower + upper) / 2;
}

}  // namespace mirage::metrics
