#include "metrics/stats/binomial_draw.h"

#include <cmath>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

// Chi-squared against the probabilities, at a level of 1e-5 a case; a share that is off by 5 % of a
// standard deviation is found with a power above 99 %.
TEST(BinomialDrawTest, CountsHaveTheirProbabilities) {
  constexpr int kDraws = 40'000;
  // Inversion and rejection, and both sides of 1/2.
  for (const auto& [n, share] :
       {std::pair{1u, 0.3}, {7u, 0.5}, {40u, 0.1}, {100u, 0.9}, {200u, 0.3}, {1000u, 0.5}}) {
    CounterRng rng(6, n);
    std::vector<int> seen(n + 1);
    for (int i = 0; i < kDraws; ++i) {
      const uint64_t k = DrawBinomial(n, share, rng);
      ASSERT_LE(k, n);
      ++seen[k];
    }
    double chi_squared = 0;
    int cells = 0;
    double expected = 0;
    int observed = 0;
    for (uint64_t k = 0; k <= n; ++k) {
      expected += kDraws * BinomialPmf(k, n, share);
      observed += seen[k];
      // Cells of 10 and more; the last one takes what is left.
      if (expected < 10 && k < n) continue;
      if (expected > 0) {
        chi_squared += (observed - expected) * (observed - expected) / expected;
        ++cells;
      }
      expected = 0;
      observed = 0;
    }
    // The last cell may be small, and its share of the statistic large: one more degree.
    EXPECT_GT(ChiSquaredTail(chi_squared, cells), 1e-5) << n << " at " << share;
  }
}

TEST(BinomialDrawTest, TheEndsAreCertain) {
  CounterRng rng(1, 0);
  EXPECT_EQ(DrawBinomial(0, 0.5, rng), 0u);
  EXPECT_EQ(DrawBinomial(9, 0, rng), 0u);
  EXPECT_EQ(DrawBinomial(9, -1e-18, rng), 0u);
  EXPECT_EQ(DrawBinomial(9, 1, rng), 9u);
  EXPECT_EQ(DrawBinomial(9, 1 + 1e-15, rng), 9u);
}

}  // namespace
}  // namespace mirage::metrics
