#include "metrics/stats/exact_sum.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "metrics/stats/random.h"
#include "tests/support/sharding.h"

namespace mirage::metrics {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

uint64_t Bits(double x) { return std::bit_cast<uint64_t>(x); }

struct Vector {
  std::string name;
  std::vector<std::pair<double, double>> products;
  double hi;
  double lo;
};

std::vector<Vector> Vectors() {
  return {
#include "metrics/stats/exact_sum_vectors.inc"
  };
}

TEST(ExactSumTest, AgreesWithFractions) {
  for (const Vector& vector : Vectors()) {
    SCOPED_TRACE(vector.name);
    ExactSum sum;
    for (const auto& [x, y] : vector.products) {
      if (y == 1) {
        sum.Add(x);
      } else {
        sum.AddProduct(x, y);
      }
    }
    EXPECT_EQ(Bits(sum.Round()), Bits(vector.hi)) << sum.Round() << " " << vector.hi;
    const ExactSum::Pair pair = sum.RoundPair();
    EXPECT_EQ(Bits(pair.hi), Bits(vector.hi));
    EXPECT_EQ(pair.lo, vector.lo);
  }
}

TEST(ExactSumTest, EveryOrderAndShardingGivesTheSameBits) {
  const std::vector<Vector> vectors = Vectors();
  ASSERT_GE(vectors.size(), 40u);
  // 1000 rounds and more in all.
  constexpr int kRounds = 25;
  for (const Vector& vector : vectors) {
    SCOPED_TRACE(vector.name);
    const auto add = [&](ExactSum& sum, size_t i) {
      sum.AddProduct(vector.products[i].first, vector.products[i].second);
    };
    ExactSum whole;
    for (size_t i = 0; i < vector.products.size(); ++i) add(whole, i);
    tests::ExpectAnyShardingGivesTheSameBytes<ExactSum>(
        vector.products.size(), add, {}, kRounds, [&](const ExactSum& merged) {
          EXPECT_EQ(Bits(merged.Round()), Bits(vector.hi));
          EXPECT_EQ(merged.RoundPair().lo, vector.lo);
          EXPECT_EQ(merged.Serialize(), whole.Serialize());
          EXPECT_TRUE(merged == whole);
        });
  }
}

// More adds than a chunk can take without a carry, all with the same exponent.
TEST(ExactSumTest, ManyAddsCarry) {
  for (double x : {0x1.fffffffffffffp0, -0x1.fffffffffffffp31, 0x1.fffffffffffffp-1000}) {
    ExactSum sum;
    ExactSum products;
    constexpr int kAdds = 1 << 16;
    for (int i = 0; i < kAdds; ++i) {
      sum.Add(x);
      products.AddProduct(x, -1.0);
      products.AddSquare(x);
    }
    EXPECT_EQ(Bits(sum.Round()), Bits(x * kAdds));
    ExactSum square;
    square.AddSquare(x);
    ExactSum expected;
    expected.AddScaled(square, kAdds);
    expected.Add(-x * kAdds);
    EXPECT_EQ(Bits(products.Round()), Bits(expected.Round()));
  }
}

// Against __float128 (113 bits), which holds sums of integers below 2^40 exactly.
TEST(ExactSumTest, AgreesWithQuadruplePrecision) {
  __extension__ using Float128 = __float128;
  CounterRng rng(2, 0);
  ExactSum sum;
  Float128 reference = 0;
  for (int i = 0; i < 100'000; ++i) {
    const double x = (static_cast<double>(rng.Below(1u << 30)) - 5e8) / 1024;
    const double y = (static_cast<double>(rng.Below(1u << 30)) - 5e8) / 1024;
    sum.AddProduct(x, y);
    sum.Add(x);
    reference += static_cast<Float128>(x) * y + x;
  }
  EXPECT_EQ(Bits(sum.Round()), Bits(static_cast<double>(reference)));
  const ExactSum::Pair pair = sum.RoundPair();
  EXPECT_EQ(static_cast<double>(reference - pair.hi), pair.lo);
}

TEST(ExactSumTest, CancelsAtTheScaleOfABillion) {
  ExactSum sum;
  for (int i = 0; i < 1000; ++i) sum.Add(1e9 + 1e-7 * i);
  for (int i = 0; i < 1000; ++i) sum.Add(-1e9);
  ExactSum expected;
  for (int i = 0; i < 1000; ++i) expected.Add((1e9 + 1e-7 * i) - 1e9);  // Exact: Sterbenz.
  EXPECT_EQ(Bits(sum.Round()), Bits(expected.Round()));
}

TEST(ExactSumTest, NonFiniteValuesAreCounted) {
  ExactSum sum;
  sum.Add(1);
  sum.Add(kInf);
  sum.AddProduct(-2, -kInf);
  EXPECT_EQ(sum.Round(), kInf);
  EXPECT_EQ(sum.n_pos_inf(), 2u);
  EXPECT_EQ(sum.RoundPair().lo, 0);
  ExactSum negative;
  negative.Add(-kInf);
  EXPECT_EQ(negative.Round(), -kInf);
  EXPECT_EQ(negative.n_neg_inf(), 1u);
  sum.Merge(negative);
  EXPECT_TRUE(std::isnan(sum.Round()));
  EXPECT_EQ(sum.n_nan(), 0u);
  ExactSum product;
  product.AddProduct(0, kInf);
  product.Add(kNan);
  EXPECT_EQ(product.n_nan(), 2u);
  EXPECT_TRUE(std::isnan(product.Round()));
  const auto read = ExactSum::Deserialize(sum.Serialize());
  ASSERT_TRUE(read.ok());
  EXPECT_TRUE(*read == sum);
  EXPECT_FALSE(*read == product);
}

TEST(ExactSumTest, AddScaledIsExact) {
  ExactSum sum;
  for (double x : {1e300, 1.0, 1e-300, 0.1, -7e20}) sum.Add(x);
  ExactSum scaled;
  scaled.AddScaled(sum, -3);
  for (int i = 0; i < 3; ++i) scaled.Merge(sum);
  EXPECT_EQ(scaled.Round(), 0);
  EXPECT_TRUE(scaled == ExactSum());
  ExactSum infinite;
  infinite.Add(-kInf);
  scaled.AddScaled(infinite, -1);
  EXPECT_EQ(scaled.Round(), kInf);
}

TEST(ExactSumTest, MergeWithItselfDoubles) {
  ExactSum sum;
  sum.Add(0.1);
  sum.Merge(sum);
  EXPECT_EQ(sum.Round(), 0.2);
}

TEST(ExactSumTest, DeserializeRefusesOtherBytes) {
  ExactSum sum;
  sum.Add(-0.1);
  const std::string bytes = sum.Serialize();
  EXPECT_EQ(ExactSum().Serialize().size(), 28u);
  tests::ExpectOnlyWholeBytesAreRead(sum);
  std::string other = bytes;
  other[0] = 2;
  EXPECT_FALSE(ExactSum::Deserialize(other).ok());
  other = bytes;
  other[25] = 2;
  EXPECT_FALSE(ExactSum::Deserialize(other).ok());
  other = bytes;
  other[26] = static_cast<char>(134);
  EXPECT_FALSE(ExactSum::Deserialize(other).ok());
  other = bytes;
  for (size_t i = bytes.size() - 4; i < bytes.size(); ++i) other[i] = 0;
  EXPECT_FALSE(ExactSum::Deserialize(other).ok());
}

// Whatever bytes are accepted are written back unchanged, and can be used.
TEST(ExactSumTest, AcceptedBytesRoundTrip) {
  CounterRng rng(3, 0);
  ExactSum sum;
  for (int i = 0; i < 5; ++i) sum.AddProduct(rng.Uniform() - 0.5, 1e200);
  const int n_read = tests::ExpectWhatIsReadIsWrittenAlike(sum, [](ExactSum& used) {
    for (int i = 0; i < 40; ++i) used.Merge(used);
    used.RoundPair();
  });
  EXPECT_GT(n_read, 1000);
}

// Random bits, so every exponent, subnormal numbers, infinities and NaNs; and usual columns.
TEST(ExactSumTest, ColumnsAreWhatTheirNumbersAreOneByOne) {
  std::mt19937_64 random(20261123);
  const double inf = std::numeric_limits<double>::infinity();
  for (int trial = 0; trial < 600; ++trial) {
    std::vector<double> xs(static_cast<size_t>(random() % 3000));
    const int kind = trial % 6;
    for (double& x : xs) {
      const auto uniform = static_cast<double>(random() >> 11) * 0x1p-53;
      switch (kind) {
        case 0:
          x = std::bit_cast<double>(random());
          break;
        case 1:
          x = -20 * uniform;
          break;
        case 2:
          x = (uniform - 0.5) * std::ldexp(1, static_cast<int>(random() % 140) - 70);
          break;
        case 3:
          x = uniform < 0.3 ? 0.0 : uniform < 0.6 ? -0.0 : 1.0;
          break;
        case 4:
          x = uniform < 0.01 ? -inf : std::bit_cast<double>(random() >> 12);  // subnormal
          break;
        default:
          x = (uniform < 0.5 ? 1 : -1) * std::numeric_limits<double>::max() * uniform;
      }
    }
    ExactSum one_by_one, together, squares_one_by_one, squares_together;
    for (const double x : xs) {
      one_by_one.Add(x);
      squares_one_by_one.AddSquare(x);
    }
    together.AddAll(xs);
    squares_together.AddSquares(xs);
    ASSERT_EQ(together, one_by_one) << "kind " << kind;
    ASSERT_EQ(squares_together, squares_one_by_one) << "kind " << kind;
  }
}

}  // namespace
}  // namespace mirage::metrics
