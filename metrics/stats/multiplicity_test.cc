#include "metrics/stats/multiplicity.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr Adjustment kAll[] = {Adjustment::kBonferroni, Adjustment::kHolm, Adjustment::kHochberg,
                               Adjustment::kBenjaminiHochberg, Adjustment::kBenjaminiYekutieli};

struct MultiplicityCase {
  std::vector<double> p_values;
  uint64_t n_tests;
  // In the order of kAll.
  std::vector<double> adjusted[5];
};

#include "metrics/stats/multiplicity_vectors.inc"

TEST(MultiplicityTest, AgreesWithStatsmodels) {
  for (const MultiplicityCase& c : MultiplicityCases()) {
    for (size_t method = 0; method < std::size(kAll); ++method) {
      SCOPED_TRACE(std::to_string(method) + " of " + std::to_string(c.p_values.size()) + " in " +
                   std::to_string(c.n_tests));
      const auto adjusted = AdjustPValues(c.p_values, kAll[method], c.n_tests);
      ASSERT_TRUE(adjusted.ok()) << adjusted.status();
      ASSERT_EQ(adjusted->size(), c.p_values.size());
      for (size_t i = 0; i < adjusted->size(); ++i) {
        const double expected = c.adjusted[method][i];
        EXPECT_NEAR((*adjusted)[i], expected, 1e-12 * expected) << i;
      }
      if (c.n_tests == c.p_values.size()) {
        EXPECT_EQ(*AdjustPValues(c.p_values, kAll[method]), *adjusted);
      }
    }
  }
}

// Any order of the input gives the same adjusted value at the same test; none is below its p-value,
// and Bonferroni's are the largest of the family-wise ones, Hochberg's the smallest.
TEST(MultiplicityTest, FollowsTheInputsOrder) {
  CounterRng rng(5, 0);
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<double> p(1 + rng.Below(30));
    for (double& x : p) x = std::floor(rng.Uniform() * 50) / 200;
    std::vector<double> reversed(p.rbegin(), p.rend());
    std::vector<std::vector<double>> all;
    for (const Adjustment method : kAll) {
      std::vector<double> adjusted = *AdjustPValues(p, method);
      std::vector<double> back = *AdjustPValues(reversed, method);
      std::reverse(back.begin(), back.end());
      EXPECT_EQ(adjusted, back);
      for (size_t i = 0; i < p.size(); ++i) {
        EXPECT_LE(p[i], adjusted[i]);
        EXPECT_LE(adjusted[i], 1);
      }
      all.push_back(adjusted);
    }
    for (size_t i = 0; i < p.size(); ++i) {
      EXPECT_LE(all[1][i], all[0][i]);
      EXPECT_LE(all[2][i], all[1][i]);
      EXPECT_LE(all[3][i], all[2][i]);
    }
  }
}

// 20 true nulls, 4000 times: an uncorrected smallest p-value rejects in 64 % of the families, an
// adjusted one in at most 5 %. The standard error of 5 % is 0.34 %, so a rate of 7.5 % would be
// found with a probability above 99.9 %.
TEST(MultiplicityTest, FamilyWiseErrorHolds) {
  constexpr int kTrials = 4000;
  int uncorrected = 0;
  int rejected[std::size(kAll)] = {};
  for (int trial = 0; trial < kTrials; ++trial) {
    CounterRng rng(6, trial);
    std::vector<double> p(20);
    for (double& x : p) x = rng.Uniform();
    uncorrected += *std::min_element(p.begin(), p.end()) <= 0.05 ? 1 : 0;
    for (size_t method = 0; method < std::size(kAll); ++method) {
      const std::vector<double> adjusted = *AdjustPValues(p, kAll[method]);
      rejected[method] += *std::min_element(adjusted.begin(), adjusted.end()) <= 0.05 ? 1 : 0;
    }
  }
  EXPECT_GT(uncorrected, 0.6 * kTrials);
  for (const int count : rejected) EXPECT_LE(count, 0.062 * kTrials);
}

TEST(MultiplicityTest, EdgeCases) {
  for (const Adjustment method : kAll) {
    EXPECT_TRUE(AdjustPValues({}, method)->empty());
    EXPECT_TRUE(AdjustPValues({}, method, 10)->empty());
    EXPECT_EQ(*AdjustPValues(std::vector<double>{0.3}, method), std::vector<double>{0.3});
    EXPECT_EQ(*AdjustPValues(std::vector<double>{0, 0, 1}, method), (std::vector<double>{0, 0, 1}));
  }
  // Far more tests than are listed: still finite, and at most 1.
  const std::vector<double> few = {1e-20, 0.5};
  EXPECT_EQ(*AdjustPValues(few, Adjustment::kBonferroni, uint64_t{1} << 53),
            (std::vector<double>{0x1p53 * 1e-20, 1}));
  EXPECT_NEAR((*AdjustPValues(few, Adjustment::kBenjaminiYekutieli, uint64_t{1} << 53))[0],
              0x1p53 * 1e-20 * (53 * std::log(2.0) + 0.5772156649015329), 1e-16);
}

TEST(MultiplicityTest, BadInputIsNamed) {
  const auto message = [](const auto& result) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(result.status().message());
  };
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  for (const double bad : {kNan, kInf, -1e-9, 1.2}) {
    const std::vector<double> p = {0.1, 0.2, 0.3, bad};
    for (const Adjustment method : kAll) {
      EXPECT_THAT(message(AdjustPValues(p, method)), HasSubstr("p_values[3] is "));
    }
  }
  const std::vector<double> p = {0.1, 0.2};
  EXPECT_THAT(message(AdjustPValues(p, Adjustment::kHolm, 1)),
              HasSubstr("n_tests is 1: must be at least the number of p_values, which is 2"));
  EXPECT_THAT(message(AdjustPValues(p, Adjustment::kHolm, (uint64_t{1} << 53) + 1)),
              HasSubstr("n_tests is 9007199254740993: must be <= 2^53"));
  EXPECT_THAT(message(AdjustPValues(p, static_cast<Adjustment>(9))), HasSubstr("method is 9"));
}

}  // namespace
}  // namespace mirage::metrics
