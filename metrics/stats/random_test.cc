#include "metrics/stats/random.h"

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

// The known answer of Random123's own test suite (tests/kat_vectors): philox4x32 10, all zero.
TEST(CounterRngTest, KnownAnswerOfZeros) {
  CounterRng rng(0, 0);
  EXPECT_EQ(rng.Next32(), 0x6627e8d5u);
  EXPECT_EQ(rng.Next32(), 0xe169c58du);
  EXPECT_EQ(rng.Next32(), 0xbc57ac4cu);
  EXPECT_EQ(rng.Next32(), 0x9b00dbd8u);
}

TEST(CounterRngTest, SameSeedAndStreamSameNumbers) {
  CounterRng a(7, 3);
  CounterRng b(7, 3);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a(), b());
}

TEST(CounterRngTest, StreamsAndSeedsDiffer) {
  CounterRng a(7, 3);
  CounterRng b(7, 4);
  CounterRng c(8, 3);
  CounterRng d(7, 3 + (uint64_t{1} << 32));
  CounterRng e(7 + (uint64_t{1} << 32), 3);
  const uint64_t first = a();
  EXPECT_NE(first, b());
  EXPECT_NE(first, c());
  EXPECT_NE(first, d());
  EXPECT_NE(first, e());
}

TEST(CounterRngTest, CopyForks) {
  CounterRng a(7, 3);
  a.Next32();
  CounterRng b = a;
  EXPECT_EQ(a(), b());
}

// Bounds are 5 standard errors: a correct generator fails with p < 1e-6, and seeds are fixed. A
// bias of 0.002 in the mean would be found with a power above 99 %.
TEST(CounterRngTest, UniformHasItsMeanAndVariance) {
  CounterRng rng(1, 2);
  constexpr int kDraws = 1'000'000;
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.Uniform();
    ASSERT_GE(x, 0);
    ASSERT_LT(x, 1);
    sum += x - 0.5;
    squares += (x - 0.5) * (x - 0.5);
  }
  EXPECT_NEAR(sum / kDraws, 0, 5 * std::sqrt(1.0 / 12 / kDraws));
  EXPECT_NEAR(squares / kDraws, 1.0 / 12, 5 * std::sqrt(1.0 / 180 / kDraws));
}

// Chi-squared with 6 degrees of freedom stays below 50 with p > 1 - 1e-8.
TEST(CounterRngTest, BoundedIntegersAreUniform) {
  CounterRng rng(5, 0);
  constexpr int kDraws = 700'000;
  std::vector<int> counts32(7);
  std::vector<int> counts64(7);
  for (int i = 0; i < kDraws; ++i) {
    ++counts32.at(rng.Below32(7));
    ++counts64.at(rng.Below(7));
  }
  for (const std::vector<int>& counts : {counts32, counts64}) {
    double chi_squared = 0;
    for (int count : counts) chi_squared += (count - 1e5) * (count - 1e5) / 1e5;
    EXPECT_LT(chi_squared, 50);
  }
}

TEST(CounterRngTest, BoundsAtTheEdges) {
  CounterRng rng(5, 0);
  EXPECT_EQ(rng.Below32(0), 0u);
  EXPECT_EQ(rng.Below32(1), 0u);
  EXPECT_EQ(rng.Below(0), 0u);
  EXPECT_EQ(rng.Below(1), 0u);
  constexpr uint64_t kBound = (uint64_t{1} << 63) + 1;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_LT(rng.Below(kBound), kBound);
    EXPECT_LT(rng.Below32(0x80000001u), 0x80000001u);
  }
}

TEST(CounterRngTest, IsAUniformRandomBitGenerator) {
  static_assert(std::uniform_random_bit_generator<CounterRng>);
}

}  // namespace
}  // namespace mirage::metrics
