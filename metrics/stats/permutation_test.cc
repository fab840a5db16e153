#include "metrics/stats/permutation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/binomial_test.h"
#include "metrics/stats/hypothesis.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr Alternative kAll[] = {Alternative::kTwoSided, Alternative::kLess, Alternative::kGreater};

struct PairedCase {
  std::vector<double> differences;
  double two_sided, less, greater;

  double p(int i) const { return std::array{two_sided, less, greater}[i]; }
};
struct UnpairedCase {
  std::vector<double> first, second;
  double two_sided, less, greater;

  double p(int i) const { return std::array{two_sided, less, greater}[i]; }
};

#include "metrics/stats/permutation_vectors.inc"

PermutationResult Paired(const std::vector<double>& differences, Alternative alternative,
                         const PermutationOptions& options = {}) {
  const auto result = PairedPermutation(differences, alternative, options);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.value_or(PermutationResult{});
}

PermutationResult Unpaired(const std::vector<double>& first, const std::vector<double>& second,
                           Alternative alternative, const PermutationOptions& options = {}) {
  const auto result = UnpairedPermutation(first, second, alternative, options);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.value_or(PermutationResult{});
}

TEST(PermutationTest, PairedAgreesWithScipyGoingThroughAllOutcomes) {
  for (const PairedCase& c : kPairedCases) {
    for (int i = 0; i < 3; ++i) {
      SCOPED_TRACE(testing::Message() << c.differences[0] << ", alternative " << i);
      const PermutationResult exact = Paired(c.differences, kAll[i]);
      EXPECT_EQ(exact.method, "permutation_exact");
      EXPECT_EQ(exact.replicates, 0);
      EXPECT_NEAR(exact.p_value, c.p(i), 1e-12);
    }
  }
}

TEST(PermutationTest, UnpairedAgreesWithScipyGoingThroughAllOutcomes) {
  for (const UnpairedCase& c : kUnpairedCases) {
    for (int i = 0; i < 3; ++i) {
      SCOPED_TRACE(testing::Message() << c.first[0] << ", alternative " << i);
      const PermutationResult exact = Unpaired(c.first, c.second, kAll[i]);
      EXPECT_EQ(exact.method, "permutation_exact");
      EXPECT_NEAR(exact.p_value, c.p(i), 1e-12);
      // With the groups changed over the other alternative holds.
      const Alternative mirrored = i == 0 ? kAll[0] : kAll[3 - i];
      EXPECT_EQ(Unpaired(c.second, c.first, mirrored).p_value, exact.p_value);
    }
  }
}

// Random permutations estimate the exact p-value: within 4.5 standard errors, which a right one
// misses with a probability of 7e-6 in each of these 30 comparisons; a sign or a factor of 2 that
// is wrong is off by more than 20.
TEST(PermutationTest, RandomPermutationsEstimateTheExactValue) {
  const int replicates = 50'000;
  const auto expect_near = [&](const PermutationResult& random, double exact) {
    EXPECT_EQ(random.method, "permutation_monte_carlo");
    EXPECT_EQ(random.replicates, replicates);
    EXPECT_NEAR(random.p_value, exact,
                4.5 * std::sqrt(exact * (1 - exact) / replicates) + 1.5 / replicates);
  };
  const PermutationOptions random = {.seed = 5, .replicates = replicates, .max_exact = 0};
  for (const PairedCase& c : kPairedCases) {
    for (int i = 0; i < 3; ++i) {
      SCOPED_TRACE(testing::Message() << c.differences[0] << ", alternative " << i);
      expect_near(Paired(c.differences, kAll[i], random), c.p(i));
    }
  }
  for (const UnpairedCase& c : kUnpairedCases) {
    for (int i = 0; i < 3; ++i) {
      SCOPED_TRACE(testing::Message() << c.first[0] << ", alternative " << i);
      expect_near(Unpaired(c.first, c.second, kAll[i], random), c.p(i));
    }
  }
}

TEST(PermutationTest, BinaryScoresGiveMcNemarsTestForAnyNumber) {
  for (const auto& [b, c] : {std::pair{3, 9}, {0, 4}, {700, 600}, {40'000, 41'000}}) {
    std::vector<double> differences(static_cast<size_t>(b), 1.0);
    differences.insert(differences.end(), static_cast<size_t>(c), -1.0);
    differences.insert(differences.end(), 1000, 0.0);
    for (const Alternative alternative : kAll) {
      const auto mcnemar =
          McNemarExact(static_cast<uint64_t>(b), static_cast<uint64_t>(c), alternative);
      const PermutationResult exact = Paired(differences, alternative);
      EXPECT_EQ(exact.method, "permutation_exact");
      EXPECT_NEAR(exact.p_value, mcnemar->p_value, 1e-12 * mcnemar->p_value) << b << ", " << c;
    }
  }
}

TEST(PermutationTest, OrderAndThreadsChangeNothing) {
  CounterRng rng(1, 0);
  std::vector<double> differences;
  std::vector<double> others;
  for (int i = 0; i < 700; ++i) {
    differences.push_back(rng.Uniform() - 0.48);
    others.push_back(rng.Uniform() - 0.5);
  }
  PermutationOptions options = {.seed = 3, .replicates = 3000};
  const double paired = Paired(differences, Alternative::kTwoSided, options).p_value;
  const double unpaired = Unpaired(differences, others, Alternative::kLess, options).p_value;
  EXPECT_GT(paired, 1.0 / 3001);
  for (const int threads : {1, 2, 8}) {
    options.threads = threads;
    std::reverse(differences.begin(), differences.end());
    std::rotate(others.begin(), others.begin() + 100, others.end());
    EXPECT_EQ(Paired(differences, Alternative::kTwoSided, options).p_value, paired);
    EXPECT_EQ(Unpaired(differences, others, Alternative::kLess, options).p_value, unpaired);
  }
  // Random permutations, too, and only these depend on the seed.
  options.invert = false;
  const double random = Paired(differences, Alternative::kTwoSided, options).p_value;
  for (const int threads : {2, 8}) {
    options.threads = threads;
    std::reverse(differences.begin(), differences.end());
    EXPECT_EQ(Paired(differences, Alternative::kTwoSided, options).p_value, random);
  }
  options.seed = 4;
  EXPECT_NE(Paired(differences, Alternative::kTwoSided, options).p_value, random);
}

// A million random permutations know a p-value to sqrt(p (1 - p) / 1e6): within 4.5 of that, which
// a right one misses with a probability of 7e-6 in each of these 9 comparisons.
TEST(PermutationTest, InversionIsTheLimitOfRandomPermutations) {
  for (const size_t n : {80U, 200U, 1000U}) {
    CounterRng rng(n, 0);
    std::vector<double> differences(n);
    for (double& x : differences) x = std::log(rng.Uniform()) + 0.9;
    for (const Alternative alternative : kAll) {
      const PermutationResult inverted = Paired(differences, alternative);
      EXPECT_EQ(inverted.method, "permutation_inversion");
      EXPECT_EQ(inverted.replicates, 0);
      const PermutationResult random = Paired(
          differences, alternative, {.replicates = 1'000'000, .threads = 2, .invert = false});
      EXPECT_EQ(random.method, "permutation_monte_carlo");
      const double p = inverted.p_value;
      EXPECT_NEAR(random.p_value, p, 4.5 * std::sqrt(p * (1 - p) / 1e6) + 1e-6) << n;
    }
  }
}

// The two sides of a symmetric distribution; what no double tells from 0 is at its bound.
TEST(PermutationTest, InversionKeepsItsBounds) {
  std::vector<double> differences(300);
  for (size_t i = 0; i < differences.size(); ++i) {
    differences[i] = 1 + std::sqrt(static_cast<double>(i));
  }
  EXPECT_EQ(Paired(differences, Alternative::kTwoSided).p_value, 1e-12);
  EXPECT_EQ(Paired(differences, Alternative::kLess).p_value, 1);
}

// Under the null hypothesis p <= a holds with a probability of at most a. 2000 data sets: a test
// that rejected 7 % at a = 5 % would pass with a probability of 4e-4, one at 5 % fails with 3e-5.
TEST(PermutationTest, KeepsItsLevel) {
  CounterRng rng(8, 0);
  int rejected = 0;
  for (int set = 0; set < 2000; ++set) {
    std::vector<double> differences;
    for (int i = 0; i < 24; ++i) {
      // Skewed in size, symmetric in sign.
      const double size = -std::log1p(-rng.Uniform());
      differences.push_back(rng.Uniform() < 0.5 ? -size : size);
    }
    const PermutationOptions options = {
        .seed = static_cast<uint64_t>(set), .replicates = 199, .max_exact = 0};
    rejected += Paired(differences, Alternative::kTwoSided, options).p_value <= 0.05 ? 1 : 0;
  }
  EXPECT_LE(rejected, 100 + 4.1 * std::sqrt(2000 * 0.05 * 0.95));
  EXPECT_GE(rejected, 100 - 4.1 * std::sqrt(2000 * 0.05 * 0.95));
}

// A million outcomes, the most that are gone through unless told, against random ones: within 4.5
// standard errors of 20 000.
TEST(PermutationTest, ManyOutcomesAreGoneThrough) {
  CounterRng rng(12, 0);
  std::vector<double> differences(21);
  for (double& x : differences) x = rng.Uniform() - 0.4;
  const PermutationResult exact = Paired(differences, Alternative::kTwoSided);
  EXPECT_EQ(exact.method, "permutation_exact");
  const PermutationResult random = Paired(differences, Alternative::kTwoSided,
                                          {.seed = 1, .replicates = 20'000, .max_exact = 0});
  EXPECT_NEAR(exact.p_value, random.p_value,
              4.5 * std::sqrt(exact.p_value * (1 - exact.p_value) / 20'000) + 1e-4);
}

TEST(PermutationTest, NoDifferencesGiveOne) {
  for (const Alternative alternative : kAll) {
    EXPECT_EQ(Paired({0, 0, -0.0}, alternative).p_value, 1);
    EXPECT_EQ(Paired({0}, alternative).p_value, 1);
    EXPECT_EQ(Unpaired({2, 2}, {2, 2, 2}, alternative).p_value, 1);
    EXPECT_EQ(Unpaired({1}, {1}, alternative).p_value, 1);
  }
}

TEST(PermutationTest, SizesFarApartKeepTheirOrder) {
  // The largest decides; the others, 1e-9 of it, break its ties. 4 of 8 outcomes have its sign,
  // and the observed one is the largest of them.
  EXPECT_EQ(Paired({1e9, 1, 0.5}, Alternative::kGreater).p_value, 1.0 / 8);
  EXPECT_EQ(Paired({1e9, -1, 0.5}, Alternative::kGreater).p_value, 3.0 / 8);
  EXPECT_EQ(Paired({1e300, -1e300}, Alternative::kGreater).p_value, 3.0 / 4);
  EXPECT_EQ(Paired({5e-324, 5e-324}, Alternative::kGreater).p_value, 1.0 / 4);
}

TEST(PermutationTest, WrongArgumentsAreNamed) {
  const auto message = [](const absl::StatusOr<PermutationResult>& result) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(result.status().message());
  };
  const std::vector<double> some = {1, 2};
  const std::vector<double> bad = {1, std::numeric_limits<double>::quiet_NaN()};
  const std::vector<double> huge = {1e308, 1e308, 1e308};
  constexpr Alternative kAny = Alternative::kTwoSided;
  EXPECT_THAT(message(PairedPermutation({}, kAny, {})), HasSubstr("differences is empty"));
  EXPECT_THAT(message(PairedPermutation(bad, kAny, {})), HasSubstr("differences[1] is nan"));
  EXPECT_THAT(message(PairedPermutation(some, kAny, {.replicates = 99})),
              HasSubstr("replicates is 99: must be from 100"));
  EXPECT_THAT(message(PairedPermutation(some, kAny, {.max_exact = uint64_t{1} << 31})),
              HasSubstr("max_exact"));
  EXPECT_THAT(message(UnpairedPermutation(some, {}, kAny, {})), HasSubstr("second is empty"));
  EXPECT_THAT(message(UnpairedPermutation(bad, some, kAny, {})), HasSubstr("first[1] is nan"));
  EXPECT_THAT(message(UnpairedPermutation(huge, some, kAny, {})), HasSubstr("overflows"));
}

}  // namespace
}  // namespace mirage::metrics
