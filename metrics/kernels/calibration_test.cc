#include "metrics/kernels/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "metrics/stats/exact_sum.h"
#include "tests/support/sharding.h"

namespace mirage::metrics {
namespace {

TEST(CalibrationTest, EmptyIsNan) { EXPECT_THAT(CalibrationBins().Error(), testing::IsNan()); }

TEST(CalibrationTest, HandComputed) {
  CalibrationBins bins;
  bins.Add(0.95, true);
  bins.Add(0.91, false);
  bins.Add(0.30, true);  // closed on the right: the third bin
  // Last bin: |1 - 1.86| / 3; third bin: |1 - 0.30| / 3.
  EXPECT_NEAR(bins.Error(), (0.86 + 0.70) / 3, 1e-15);
  EXPECT_EQ(bins.bins()[2].n_correct, 1u);
  EXPECT_EQ(bins.bins()[9].n_wrong, 1u);
}

TEST(CalibrationTest, EndsOfTheRange) {
  CalibrationBins bins;
  bins.Add(0, false);
  bins.Add(1, true);
  EXPECT_EQ(bins.Error(), 0);
  EXPECT_EQ(bins.bins()[0].n_wrong, 1u);
  EXPECT_EQ(bins.bins()[9].n_correct, 1u);
}

TEST(CalibrationTest, MergesToTheSameBitsInAnyOrder) {
  std::mt19937_64 rng(3);
  std::uniform_real_distribution<double> uniform(0, 1);
  CalibrationBins whole;
  std::vector<CalibrationBins> shards(7);
  for (int i = 0; i < 5000; ++i) {
    const double c = uniform(rng);
    const bool correct = uniform(rng) < c;
    whole.Add(c, correct);
    shards[rng() % 7].Add(c, correct);
  }
  CalibrationBins merged;
  for (int s : {4, 0, 6, 2, 5, 1, 3}) merged.Merge(shards[s]);
  EXPECT_EQ(whole.Error(), merged.Error());
  // Calibrated by construction: the error is of the order of sqrt(10 / 5000).
  EXPECT_LT(whole.Error(), 0.08);
}

TEST(CalibrationTest, AnyShardingGivesTheSameBytes) {
  std::mt19937_64 rng(4);
  std::uniform_real_distribution<double> uniform(0, 1);
  std::vector<std::pair<double, bool>> predictions(80);
  for (auto& prediction : predictions) prediction = {uniform(rng), uniform(rng) < 0.5};
  tests::ExpectAnyShardingGivesTheSameBytes<CalibrationBins>(
      predictions.size(), [&](CalibrationBins& bins, size_t i) {
        bins.Add(predictions[i].first, predictions[i].second);
      });
}

TEST(CalibrationTest, BytesOfAnythingElseAreRefused) {
  CalibrationBins bins;
  bins.Add(0.95, true);
  bins.Add(0.3, false);
  tests::ExpectOnlyWholeBytesAreRead(bins);
  // The third bin without its prediction, behind a version and two empty bins.
  std::string wrong = bins.Serialize();
  const size_t empty_bin = 3 * sizeof(uint64_t) + ExactSum().Serialize().size();
  const size_t n_wrong = 1 + 2 * empty_bin + sizeof(uint64_t);
  ASSERT_EQ(wrong[n_wrong], 1);
  wrong[n_wrong] = 0;
  EXPECT_FALSE(CalibrationBins::Deserialize(wrong).ok());
}

}  // namespace
}  // namespace mirage::metrics
