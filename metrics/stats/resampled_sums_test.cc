#include "metrics/stats/resampled_sums.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

constexpr int kReplicates = 4000;

// Rows of indicators: all, one row, every third row, the first 2048, the last 100, and, where
// `distinct`, a number that no other row has, so that there are many kinds.
constexpr size_t kIndicators = 5;
constexpr size_t kColumns = kIndicators + 1;

std::vector<double> Rows(size_t n, bool distinct) {
  std::vector<double> rows;
  for (size_t i = 0; i < n; ++i) {
    rows.push_back(1);
    rows.push_back(i == n / 2 ? 1 : 0);
    rows.push_back(i % 3 == 0 ? 1 : 0);
    rows.push_back(i < 2048 ? 1 : 0);
    rows.push_back(i + 100 >= n ? 1 : 0);
    rows.push_back(distinct ? static_cast<double>(i) : 0);
  }
  return rows;
}

struct Case {
  size_t n;
  bool distinct;
};

class ResampledSumsTest : public testing::TestWithParam<Case> {};

// Numbers of draws from a set of m rows are Binomial(n, m / n), and from two sets as a multinomial
// has them. Means within 4.5 of their errors, variances and covariances within 4.5 times sqrt(2 /
// replicates): a right one misses with a probability of 1e-5 each. Independent draws of blocks
// (Poisson instead of multinomial), rows that never come, or an index that leaves its block would
// miss by 20 and more.
TEST_P(ResampledSumsTest, DrawsAreMultinomial) {
  const auto [n, distinct] = GetParam();
  const std::vector<double> rows = Rows(n, distinct);
  const ResampledSums resampled(rows, kColumns);
  std::vector<double> total(kIndicators);
  std::vector<double> products(kIndicators * kIndicators);
  std::vector<double> sizes(kIndicators);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < kIndicators; ++j) sizes[j] += rows[i * kColumns + j];
  }
  std::vector<double> sums(kColumns);
  for (uint64_t replicate = 0; replicate < kReplicates; ++replicate) {
    resampled.Draw(17, replicate, sums);
    // As many as there are rows, always.
    ASSERT_EQ(sums[0], static_cast<double>(n));
    for (size_t j = 0; j < kIndicators; ++j) {
      total[j] += sums[j];
      for (size_t k = 0; k < kIndicators; ++k) {
        products[j * kIndicators + k] += (sums[j] - sizes[j]) * (sums[k] - sizes[k]);
      }
    }
  }
  const double all = static_cast<double>(n);
  for (size_t j = 1; j < kIndicators; ++j) {
    const double variance = sizes[j] * (1 - sizes[j] / all);
    EXPECT_NEAR(total[j] / kReplicates, sizes[j], 4.5 * std::sqrt(variance / kReplicates) + 1e-9)
        << j;
    for (size_t k = 1; k < kIndicators; ++k) {
      double both = 0;
      for (size_t i = 0; i < n; ++i) both += rows[i * kColumns + j] * rows[i * kColumns + k];
      const double other = sizes[k] * (1 - sizes[k] / all);
      const double expected = both - sizes[j] * sizes[k] / all;
      // The single row's counts are skewed: their variance has the error sqrt(3 / replicates).
      EXPECT_NEAR(products[j * kIndicators + k] / kReplicates, expected,
                  4.5 * std::sqrt(3.0 / kReplicates) * std::sqrt(variance * other) + 1e-9)
          << j << ", " << k;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Paths, ResampledSumsTest,
                         testing::Values(Case{1, true}, Case{150, true}, Case{4096, true},
                                         Case{4097, true}, Case{6144, true}, Case{7000, true},
                                         Case{7000, false}),
                         [](const auto& test) {
                           return std::to_string(test.param.n) +
                                  (test.param.distinct ? "Distinct" : "FewKinds");
                         });

// One column has an inner loop of its own: the moments of the sum. 4000 replicates know its
// variance to 2.2 %.
TEST(ResampledSumsTest, OneColumnHasTheMomentsOfItsSum) {
  for (const size_t n : {size_t{3000}, size_t{5000}, size_t{8192}}) {
    CounterRng rng(1, 0);
    std::vector<double> rows(n);
    double sum = 0;
    double squares = 0;
    for (double& x : rows) {
      x = -std::log1p(-rng.Uniform());
      sum += x;
      squares += x * x;
    }
    const double variance = squares - sum * sum / static_cast<double>(n);
    const ResampledSums resampled(rows, 1);
    double total = 0;
    double deviations = 0;
    for (uint64_t replicate = 0; replicate < kReplicates; ++replicate) {
      double drawn = 0;
      resampled.Draw(3, replicate, std::span(&drawn, 1));
      total += drawn - sum;
      deviations += (drawn - sum) * (drawn - sum);
    }
    EXPECT_NEAR(total / kReplicates, 0, 4.5 * std::sqrt(variance / kReplicates)) << n;
    EXPECT_NEAR(deviations / kReplicates, variance, 4.5 * 0.0224 * variance) << n;
  }
}

// A value that only one of the rows has comes with Binomial(n, 1/n), whichever row it is; 0 times
// with a probability of e^-1.
TEST(ResampledSumsTest, EveryPlaceIsReached) {
  const size_t n = 5000;
  std::vector<double> rows(n);
  for (size_t i = 0; i < n; ++i) rows[i] = std::ldexp(static_cast<double>(i + 1), -20);
  for (const size_t place : {size_t{0}, size_t{1}, size_t{2047}, size_t{2048}, size_t{4095},
                             size_t{4096}, size_t{4999}}) {
    std::vector<double> marked = rows;
    marked[place] = 1e6;
    const ResampledSums resampled(marked, 1);
    int absent = 0;
    for (uint64_t replicate = 0; replicate < 2000; ++replicate) {
      double drawn = 0;
      resampled.Draw(5, replicate, std::span(&drawn, 1));
      absent += drawn < 1e6 ? 1 : 0;
    }
    EXPECT_NEAR(absent, 2000 * 0.36784, 4.5 * std::sqrt(2000 * 0.36784 * 0.63216)) << place;
  }
}

TEST(ResampledSumsTest, SameSeedSameBits) {
  for (const bool distinct : {true, false}) {
    const std::vector<double> rows = Rows(5000, distinct);
    const ResampledSums resampled(rows, kColumns);
    std::vector<double> first(kColumns);
    std::vector<double> again(kColumns, 7);
    std::vector<double> other(kColumns);
    resampled.Draw(1, 2, first);
    resampled.Draw(1, 2, again);
    resampled.Draw(1, 3, other);
    EXPECT_EQ(first, again);
    EXPECT_NE(first, other);
    resampled.Draw(2, 2, other);
    EXPECT_NE(first, other);
  }
}

}  // namespace
}  // namespace mirage::metrics
