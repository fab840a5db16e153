#include "metrics/stats/centered_sums.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "metrics/stats/exact_sum.h"

namespace mirage::metrics {

ExactSum CountSum(uint64_t n) {
  ExactSum sum;
  // Two halves, because 2^64 - 1 is no double.
  sum.Add(static_cast<double>(n & 0xffffffffu));
  sum.AddProduct(static_cast<double>(n >> 32), 0x1p32);
  return sum;
}

double Quotient(const ExactSum& numerator, const ExactSum& denominator) {
  const double divisor = denominator.Round();
  const double first = numerator.Round() / divisor;
  if (!std::isfinite(first) || !std::isfinite(divisor)) return first;
  // One correction leaves the rounding of the last addition.
  ExactSum rest = numerator;
  rest.AddScaled(denominator, -first);
  const double corrected = first + rest.Round() / divisor;
  return std::isfinite(corrected) ? corrected : first;
}

double CenteredProducts(const ExactSum& sum_x, const ExactSum& sum_y, const ExactSum& sum_xy,
                        uint64_t n) {
  const ExactSum count = CountSum(n);
  const bool square = &sum_x == &sum_y;
  const double x = Quotient(sum_x, count);
  const double y = square ? x : Quotient(sum_y, count);
  if (!std::isfinite(x) || !std::isfinite(y)) return std::numeric_limits<double>::quiet_NaN();
  // sum (x - cx)(y - cy) = sum x y - cy sum x - cx sum y + n cx cy, exactly, for the doubles cx, cy
  // next to the means ...
  ExactSum center;
  center.AddProduct(x, y);
  ExactSum about_center = sum_xy;
  about_center.AddScaled(sum_x, -y);
  about_center.AddScaled(sum_y, -x);
  about_center.AddScaled(center, static_cast<double>(n));
  // ... less what cx and cy miss of the means.
  const auto missed = [&](const ExactSum& sum, double mean) {
    ExactSum offset = sum;
    offset.AddScaled(count, -mean);
    return offset.Round();
  };
  const double missed_x = missed(sum_x, x);
  const double missed_y = square ? missed_x : missed(sum_y, y);
  const double products = about_center.Round() - missed_x * missed_y / static_cast<double>(n);
  return square ? std::max(products, 0.0) : products;
}

}  // namespace mirage::metrics
