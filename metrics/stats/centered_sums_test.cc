#include "metrics/stats/centered_sums.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include "gtest/gtest.h"
#include "metrics/stats/exact_sum.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

TEST(CenteredSumsTest, CountsAreExactUpToTheLast) {
  for (const uint64_t n :
       {uint64_t{0}, uint64_t{1}, (uint64_t{1} << 53) + 1, std::numeric_limits<uint64_t>::max()}) {
    ExactSum expected;
    // Each half is a double.
    expected.Add(static_cast<double>(n >> 11) * 2048);
    expected.Add(static_cast<double>(n & 2047));
    EXPECT_EQ(CountSum(n), expected) << n;
  }
}

TEST(CenteredSumsTest, QuotientIsWithinOneUnit) {
  ExactSum thirds;
  thirds.Add(1e300);
  thirds.Add(1);
  thirds.Add(-1e300);
  EXPECT_EQ(Quotient(thirds, CountSum(3)), 1.0 / 3);
  EXPECT_EQ(Quotient(ExactSum(), CountSum(7)), 0);
  EXPECT_TRUE(std::isinf(Quotient(thirds, ExactSum())));
}

// The products of numbers next to 1e9 have no digit in common with the centered ones.
TEST(CenteredSumsTest, AgreesWithTwoPassesAboutTheOffset) {
  CounterRng rng(3, 0);
  for (const double offset : {0.0, 1.0, 0x1p30, -0x1p50}) {
    ExactSum x_sum, y_sum, xy, xx;
    long double mean_x = 0;
    long double mean_y = 0;
    std::vector<double> xs;
    std::vector<double> ys;
    for (int i = 0; i < 200; ++i) {
      xs.push_back(offset + rng.Uniform());
      ys.push_back(2 * offset + xs.back() * 0.5 + rng.Uniform());
      x_sum.Add(xs.back());
      y_sum.Add(ys.back());
      xy.AddProduct(xs.back(), ys.back());
      xx.AddSquare(xs.back());
      mean_x += static_cast<long double>(xs.back()) - offset;
      mean_y += static_cast<long double>(ys.back()) - 2 * offset;
    }
    mean_x /= 200;
    mean_y /= 200;
    long double products = 0;
    long double squares = 0;
    for (int i = 0; i < 200; ++i) {
      const long double dx = static_cast<long double>(xs[i]) - offset - mean_x;
      const long double dy = static_cast<long double>(ys[i]) - 2 * offset - mean_y;
      products += dx * dy;
      squares += dx * dx;
    }
    EXPECT_NEAR(CenteredProducts(x_sum, y_sum, xy, 200), static_cast<double>(products),
                1e-12 * std::abs(static_cast<double>(products)) + 1e-12)
        << offset;
    EXPECT_NEAR(CenteredProducts(x_sum, x_sum, xx, 200), static_cast<double>(squares),
                1e-13 * static_cast<double>(squares))
        << offset;
  }
}

TEST(CenteredSumsTest, EqualValuesHaveNone) {
  ExactSum sum, squares;
  for (int i = 0; i < 3; ++i) {
    sum.Add(0.1);
    squares.AddSquare(0.1);
  }
  EXPECT_NEAR(CenteredProducts(sum, sum, squares, 3), 0, 1e-33);
  EXPECT_GE(CenteredProducts(sum, sum, squares, 3), 0);
}

TEST(CenteredSumsTest, WithoutAMeanThereIsNone) {
  ExactSum sum, squares;
  for (int i = 0; i < 3; ++i) {
    sum.Add(std::numeric_limits<double>::max());
    squares.AddSquare(std::numeric_limits<double>::max());
  }
  EXPECT_TRUE(std::isnan(CenteredProducts(ExactSum(sum), sum, squares, 1)));
}

}  // namespace
}  // namespace mirage::metrics
