#include "metrics/emergence/seed_modes.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

std::vector<SeedValue> Values(const std::vector<double>& values, double error = 0) {
  std::vector<SeedValue> seeds;
  seeds.reserve(values.size());
  for (const double value : values) seeds.push_back({value, error});
  return seeds;
}

SeedModes Find(const std::vector<SeedValue>& values, bool higher_is_better = true) {
  const auto modes = FindSeedModes(values, 1, higher_is_better);
  EXPECT_TRUE(modes.ok()) << modes.status();
  return modes.value_or(SeedModes{});
}

// Six seeds of one size of a real family: exact match on sums of three digits.
TEST(SeedModesTest, OneSeedOfSixHasFoundIt) {
  std::vector<SeedValue> values = Values({0.825, 0.068, 0.010, 0.086, 0.066, 0.062}, 0.01);
  const SeedModes modes = Find(values);
  EXPECT_TRUE(modes.is_bimodal);
  EXPECT_EQ(modes.n_better, 1);
  EXPECT_NEAR(modes.better_mean, 0.825, 1e-12);
  EXPECT_NEAR(modes.worse_mean, 0.0584, 1e-12);
  EXPECT_NEAR(modes.gap, 0.739, 1e-12);
  // numpy: sqrt(4 var([.068, .010, .086, .066, .062], ddof=1) / 4 + 1e-4).
  EXPECT_NEAR(modes.spread, 0.0302787053884409, 1e-12);
  // scipy.stats.binomtest(1, 6).proportion_ci().
  EXPECT_NEAR(modes.share_lower, 0.004210744514489595, 1e-12);
  EXPECT_NEAR(modes.share_upper, 0.6412345789974864, 1e-12);
  std::reverse(values.begin(), values.end());
  EXPECT_EQ(Find(values).spread, modes.spread);
  // Of errors the smaller ones are the better ones.
  const SeedModes errors = Find(values, false);
  EXPECT_EQ(errors.n_better, 5);
  EXPECT_NEAR(errors.worse_mean, 0.825, 1e-12);
}

TEST(SeedModesTest, WhatIsNotTwoModes) {
  EXPECT_FALSE(Find({}).is_bimodal);
  EXPECT_FALSE(Find(Values({0.1, 0.9})).is_bimodal);
  EXPECT_FALSE(Find(Values({0.5, 0.5, 0.5, 0.5})).is_bimodal);
  // A gap below .3 of the range, and one no wider than the rest.
  EXPECT_FALSE(Find(Values({0.1, 0.1, 0.39, 0.39})).is_bimodal);
  EXPECT_FALSE(Find(Values({0.0, 0.3, 0.65, 1.0})).is_bimodal);
  EXPECT_TRUE(Find(Values({0.1, 0.1, 0.41, 0.41})).is_bimodal);
  // Sampling errors alone explain it.
  EXPECT_FALSE(Find(Values({0.1, 0.1, 0.5, 0.5}, 0.15)).is_bimodal);
}

// One mode: logits normal with standard deviation .5 about a mean of 0 to 3, 500 items. 2000 sizes
// each of 3, 5 and 10 seeds: with three, 1.3 % are taken for two modes, with five .5 %, with ten .1
// %. A rate of 3 % would pass for 2 % with probability .004.
TEST(SeedModesTest, OneModeIsRarelyTakenForTwo) {
  for (const int r : {3, 5, 10}) {
    CounterRng rng(17, static_cast<uint64_t>(r));
    const auto normal = [&rng] { return NormalQuantile(rng.Uniform() * (1 - 1e-12) + 5e-13); };
    int found = 0;
    for (int size = 0; size < 2000; ++size) {
      const double middle = 3 * rng.Uniform();
      std::vector<SeedValue> values;
      for (int i = 0; i < r; ++i) {
        const double p = 1 / (1 + std::exp(-(middle + 0.5 * normal())));
        double right = 0;
        for (int item = 0; item < 500; ++item) right += rng.Uniform() < p ? 1 : 0;
        const double share = right / 500;
        values.push_back({share, std::sqrt(share * (1 - share) / 499)});
      }
      found += Find(values).is_bimodal ? 1 : 0;
    }
    RecordProperty("found_of_2000_with_" + std::to_string(r), found);
    EXPECT_LT(found, 40) << r;
  }
}

TEST(SeedModesTest, BadInputIsNamed) {
  const auto message = [](const std::vector<SeedValue>& values, double range) {
    return std::string(FindSeedModes(values, range, true).status().message());
  };
  EXPECT_THAT(message({}, 0), HasSubstr("range is 0"));
  EXPECT_THAT(message({{1, 0}, {std::numeric_limits<double>::quiet_NaN(), 0}}, 1),
              HasSubstr("values[1].value is nan"));
  EXPECT_THAT(message({{1, -1}}, 1), HasSubstr("values[0].standard_error is -1"));
}

}  // namespace
}  // namespace mirage::metrics
