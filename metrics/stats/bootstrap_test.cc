#include "metrics/stats/bootstrap.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

double First(std::span<const double> values) { return values[0]; }

// Standard exponential values: mean 1, variance 1.
std::vector<double> Exponentials(size_t n, uint64_t stream) {
  CounterRng rng(77, stream);
  std::vector<double> values(n);
  for (double& x : values) x = -std::log1p(-rng.Uniform());
  return values;
}

double StandardError(const std::vector<double>& values) {
  const double n = static_cast<double>(values.size());
  double mean = 0;
  for (double x : values) mean += x / n;
  double squares = 0;
  for (double x : values) squares += (x - mean) * (x - mean);
  return std::sqrt(squares / n / n);
}

// With 10 000 replicates the bootstrap error is known to 0.7 %: 4 % is more than 5 standard errors.
TEST(BootstrapTest, MeanHasTheErrorOfTheMean) {
  const std::vector<double> values = Exponentials(400, 0);
  const auto result = BootstrapOfMeans(values, 1, First, {.seed = 1, .replicates = 10'000});
  ASSERT_TRUE(result.ok()) << result.status();
  const double expected = StandardError(values);
  EXPECT_NEAR(result->standard_error / expected, 1, 0.04);
  EXPECT_EQ(result->interval.method, "bootstrap_percentile");
  EXPECT_EQ(result->interval.level, 0.9);
  EXPECT_NEAR((result->interval.upper - result->interval.lower) / expected, 2 * 1.645, 0.2);
  EXPECT_LT(result->interval.lower, result->estimate);
  EXPECT_GT(result->interval.upper, result->estimate);
}

// Groups: 2.2 % of their own, 1.6 % of 2000 replicates; 14 % is 5 standard errors. A group
// bootstrap that forgot the square root of the group size would be off by a factor of 5.
TEST(BootstrapTest, GroupsGiveTheSameError) {
  const std::vector<double> values = Exponentials(25'500, 1);
  const auto result = BootstrapOfMeans(values, 1, First, {.seed = 1, .replicates = 2000});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_NEAR(result->standard_error / StandardError(values), 1, 0.14);
}

// Rows of constant value have no spread even when groups differ by a row.
TEST(BootstrapTest, UnequalGroupsAddNoSpread) {
  const std::vector<double> values(10'500, 2.5);
  const auto result = BootstrapOfMeans(values, 1, First, {.seed = 1});
  ASSERT_TRUE(result.ok());
  EXPECT_NEAR(result->standard_error, 0, 1e-12);
  EXPECT_NEAR(result->interval.lower, 2.5, 1e-12);
}

// The ratio of two means: against the first-order error, 20 rows of weights 1..4.
TEST(BootstrapTest, RatioOfColumns) {
  CounterRng rng(3, 0);
  std::vector<double> rows;
  double x_sum = 0;
  double w_sum = 0;
  constexpr int kRows = 2000;
  for (int i = 0; i < kRows; ++i) {
    const double w = 1 + static_cast<double>(rng.Below(4));
    const double x = w * 2 + rng.Uniform();
    rows.push_back(x);
    rows.push_back(w);
    x_sum += x;
    w_sum += w;
  }
  const double r = x_sum / w_sum;
  double squares = 0;
  for (size_t i = 0; i < kRows; ++i) squares += std::pow(rows[2 * i] - r * rows[2 * i + 1], 2);
  const auto result =
      BootstrapOfMeans(rows, 2, [](std::span<const double> means) { return means[0] / means[1]; },
                       {.seed = 5, .replicates = 5000});
  ASSERT_TRUE(result.ok());
  EXPECT_DOUBLE_EQ(result->estimate, r);
  EXPECT_NEAR(result->standard_error / (std::sqrt(squares) / w_sum), 1, 0.06);
}

// 400 samples of 50 normal-ish values: the 90 % interval must cover 90 % less the known deficit of
// a percentile interval (about 1.5 points at n = 50); the count has a standard deviation of 6.
// Coverage of 80 % or 97 % would be found with a power above 99 %.
TEST(BootstrapTest, CoversAboutAtItsLevel) {
  int covered = 0;
  for (uint64_t trial = 0; trial < 400; ++trial) {
    CounterRng rng(9, trial);
    std::vector<double> values(50);
    for (double& x : values) {
      x = -2;
      for (int i = 0; i < 4; ++i) x += rng.Uniform();
    }
    const auto result = BootstrapOfMeans(values, 1, First, {.seed = trial, .replicates = 500});
    ASSERT_TRUE(result.ok());
    covered += result->interval.lower <= 0 && 0 <= result->interval.upper ? 1 : 0;
  }
  EXPECT_GT(covered, 335);
  EXPECT_LT(covered, 380);
}

TEST(BootstrapTest, SameSeedSameBits) {
  for (size_t n : {size_t{100}, size_t{12'345}}) {
    const std::vector<double> values = Exponentials(n, 4);
    const auto a = BootstrapOfMeans(values, 1, First, {.seed = 8});
    const auto b = BootstrapOfMeans(values, 1, First, {.seed = 8});
    const auto c = BootstrapOfMeans(values, 1, First, {.seed = 9});
    ASSERT_TRUE(a.ok() && b.ok() && c.ok());
    EXPECT_EQ(std::bit_cast<uint64_t>(a->interval.lower),
              std::bit_cast<uint64_t>(b->interval.lower));
    EXPECT_EQ(std::bit_cast<uint64_t>(a->standard_error),
              std::bit_cast<uint64_t>(b->standard_error));
    EXPECT_NE(a->interval.lower, c->interval.lower);
  }
}

TEST(BootstrapTest, GroupedRowsGiveTheSameBits) {
  const std::vector<double> rows = Exponentials(22'222, 5);
  GroupedRows grouped(2);
  for (size_t at = 0; at < rows.size(); at += 2) {
    grouped.Add(std::span<const double>(rows).subspan(at, 2));
  }
  EXPECT_EQ(grouped.n(), 11'111u);
  const auto a = BootstrapOfMeans(rows, 2, First, {.seed = 8});
  const auto b = BootstrapOfMeans(grouped, First, {.seed = 8});
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->estimate, b->estimate);
  EXPECT_EQ(a->interval.lower, b->interval.lower);
  EXPECT_EQ(a->interval.upper, b->interval.upper);
  EXPECT_FALSE(BootstrapOfMeans(GroupedRows(2), First, {}).ok());
  GroupedRows infinite(1);
  infinite.Add(std::vector<double>{kInf});
  EXPECT_FALSE(BootstrapOfMeans(infinite, First, {}).ok());
}

// Fewer rows than groups: the ordinary bootstrap, draw for draw.
TEST(BootstrapTest, FewGroupedRowsAreRows) {
  const std::vector<double> values = Exponentials(50, 6);
  GroupedRows grouped(1);
  for (double x : values) grouped.Add(std::span<const double>(&x, 1));
  const auto a = BootstrapOfMeans(values, 1, First, {.seed = 8});
  const auto b = BootstrapOfMeans(grouped, First, {.seed = 8});
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->interval.lower, b->interval.lower);
  EXPECT_EQ(a->interval.upper, b->interval.upper);
}

TEST(BootstrapTest, InfiniteStatisticsAreOrdered) {
  const std::vector<double> values = {0, 1};
  const auto result = BootstrapOfMeans(
      values, 1, [](std::span<const double> means) { return 1 / means[0]; }, {.seed = 1});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->interval.upper, kInf);
  EXPECT_EQ(result->interval.lower, 1);
  EXPECT_TRUE(std::isnan(result->standard_error));
}

TEST(BootstrapTest, OneRow) {
  const auto result = BootstrapOfMeans(std::vector<double>{3}, 1, First, {});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->interval.lower, 3);
  EXPECT_EQ(result->interval.upper, 3);
}

TEST(BootstrapTest, BadInputIsNamed) {
  const auto message = [](const auto& result) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(result.status().message());
  };
  const std::vector<double> values = {1, 2, 3, kNan};
  EXPECT_THAT(message(BootstrapOfMeans(values, 2, First, {})), HasSubstr("rows[1][1] is nan"));
  EXPECT_THAT(message(BootstrapOfMeans(values, 3, First, {})), HasSubstr("multiple of columns"));
  EXPECT_THAT(message(BootstrapOfMeans(values, 0, First, {})), HasSubstr("columns is 0"));
  EXPECT_THAT(message(BootstrapOfMeans({}, 1, First, {})), HasSubstr("rows is empty"));
  EXPECT_THAT(message(BootstrapOfMeans(values, 1, First, {.replicates = 99})),
              HasSubstr("replicates is 99"));
  EXPECT_THAT(message(BootstrapOfMeans(values, 1, First, {.level = 90})), HasSubstr("level is 90"));
  const auto nan = [](std::span<const double>) { return kNan; };
  EXPECT_THAT(message(BootstrapOfMeans(std::vector<double>{1}, 1, nan, {})),
              HasSubstr("statistic is NaN"));
  EXPECT_THAT(message(BootstrapOfCounts({}, First, {})), HasSubstr("counts is empty"));
  EXPECT_THAT(message(BootstrapOfCounts(std::vector<uint64_t>{1}, First, {.pseudo_count = -1})),
              HasSubstr("pseudo_count is -1: must be finite and >= 0"));
  EXPECT_THAT(message(BootstrapOfCounts(std::vector<uint64_t>{0, 0}, First, {})),
              HasSubstr("all 0"));
  EXPECT_THAT(message(BootstrapOfCounts(std::vector<uint64_t>{1, uint64_t{1} << 53}, First, {})),
              HasSubstr("counts[1]"));
}

// Means, variances and covariances of the drawn counts, for few items (inversion), many (rejection)
// and very many. 20 000 replicates know a variance to 1 %: 5 % is 5 standard errors.
TEST(BootstrapTest, CountsAreMultinomial) {
  for (uint64_t scale : {uint64_t{1}, uint64_t{100}, uint64_t{1'000'000'000}}) {
    const std::vector<uint64_t> counts = {2 * scale, 0, 5 * scale, 13 * scale};
    const double n = 20 * static_cast<double>(scale);
    constexpr int kReplicates = 20'000;
    std::vector<double> sum(4);
    std::vector<double> squares(4);
    double cross = 0;
    int calls = 0;
    const auto statistic = [&](std::span<const double> drawn) {
      EXPECT_EQ(drawn[0] + drawn[1] + drawn[2] + drawn[3], n);
      // The first call is the data.
      if (calls++ == 0) return 0.0;
      for (size_t i = 0; i < 4; ++i) {
        const double deviation = drawn[i] - static_cast<double>(counts[i]);
        EXPECT_GE(drawn[i], 0);
        sum[i] += deviation;
        squares[i] += deviation * deviation;
      }
      cross +=
          (drawn[2] - static_cast<double>(counts[2])) * (drawn[3] - static_cast<double>(counts[3]));
      return drawn[0];
    };
    ASSERT_TRUE(BootstrapOfCounts(counts, statistic, {.seed = 1, .replicates = kReplicates}).ok());
    for (size_t i = 0; i < 4; ++i) {
      const double p = static_cast<double>(counts[i]) / n;
      const double variance = n * p * (1 - p);
      EXPECT_NEAR(sum[i] / kReplicates, 0, 5 * std::sqrt(variance / kReplicates)) << i;
      EXPECT_NEAR(squares[i] / kReplicates, variance, 0.05 * variance) << i;
    }
    EXPECT_NEAR(cross / kReplicates / (-n * 0.25 * 0.65), 1, 0.1);
  }
}

// The two bootstraps are the same one for shares.
TEST(BootstrapTest, CountsAgreeWithRows) {
  std::vector<double> rows(300);
  for (size_t i = 0; i < 60; ++i) rows[i] = 1;
  const auto from_rows = BootstrapOfMeans(rows, 1, First, {.seed = 1, .replicates = 20'000});
  const auto from_counts = BootstrapOfCounts(
      std::vector<uint64_t>{60, 240}, [](std::span<const double> drawn) { return drawn[0] / 300; },
      {.seed = 1, .replicates = 20'000});
  ASSERT_TRUE(from_rows.ok() && from_counts.ok());
  EXPECT_DOUBLE_EQ(from_rows->estimate, from_counts->estimate);
  EXPECT_NEAR(from_rows->standard_error / from_counts->standard_error, 1, 0.04);
  EXPECT_NEAR(from_rows->interval.lower, from_counts->interval.lower, 1.01 / 300);
  EXPECT_NEAR(from_rows->interval.upper, from_counts->interval.upper, 1.01 / 300);
}

// 0 of 40: nothing to resample, so the interval has no width; with Jeffreys' 1/2 its upper end is
// a count that 0.5/41 still reaches in 5 % of the draws: 1 - (1 - p)^40 = 0.39, two or more 0.087,
// three or more 0.013.
TEST(BootstrapOfCountsTest, PseudoCountsLeaveRoomForWhatWasNotSeen) {
  const std::vector<uint64_t> counts = {0, 40};
  const auto first = [](std::span<const double> drawn) { return drawn[0]; };
  const auto without = BootstrapOfCounts(counts, first, {.replicates = 10'000});
  const auto with = BootstrapOfCounts(counts, first, {.replicates = 10'000, .pseudo_count = 0.5});
  ASSERT_TRUE(without.ok() && with.ok());
  EXPECT_EQ(without->interval.upper, 0);
  EXPECT_EQ(with->estimate, 0);
  EXPECT_EQ(with->interval.lower, 0);
  EXPECT_EQ(with->interval.upper, 2);
}

// Beside a thousand a half is nothing: the spread is that of the plain bootstrap, sqrt(n p q), to
// 2 % (10 000 replicates know it to 0.7 %).
TEST(BootstrapOfCountsTest, PseudoCountsVanishInLargeSamples) {
  const std::vector<uint64_t> counts = {300, 700};
  const auto first = [](std::span<const double> drawn) { return drawn[0]; };
  const auto with = BootstrapOfCounts(counts, first, {.replicates = 10'000, .pseudo_count = 0.5});
  ASSERT_TRUE(with.ok());
  EXPECT_NEAR(with->standard_error / std::sqrt(1000 * 0.3 * 0.7), 1, 0.02);
}

// The three ways to resample one set of values agree. Their means are multiples of 1/60; an end may
// fall on the next one. An acceleration of the wrong sign would move the ends by three of them.
TEST(BootstrapTest, RowsCountsAndMeansAgreeOnBca) {
  CounterRng rng(9, 0);
  std::vector<double> rows;
  std::vector<uint64_t> counts(3);
  for (int i = 0; i < 60; ++i) {
    const uint32_t kind = std::min(rng.Below32(5), 2u);
    ++counts[kind];
    rows.push_back(kind);
  }
  const BootstrapOptions options = {
      .seed = 4, .replicates = 20'000, .level = 0.9, .interval = BootstrapInterval::kBca};
  const auto means = BootstrapOfMeans(rows, 1, First, options);
  const auto any = BootstrapOfRows(
      rows.size(),
      [&](std::span<const uint32_t> drawn) {
        double sum = 0;
        for (const uint32_t row : drawn) sum += rows[row];
        return sum / static_cast<double>(drawn.size());
      },
      options);
  const auto kinds = BootstrapOfCounts(
      counts,
      [](std::span<const double> drawn) {
        return (drawn[1] + 2 * drawn[2]) / (drawn[0] + drawn[1] + drawn[2]);
      },
      options);
  ASSERT_TRUE(means.ok() && any.ok() && kinds.ok());
  for (const auto* other : {&*any, &*kinds}) {
    EXPECT_NEAR(other->estimate, means->estimate, 1e-14);
    EXPECT_NEAR(other->interval.lower, means->interval.lower, 1.001 / 60);
    EXPECT_NEAR(other->interval.upper, means->interval.upper, 1.001 / 60);
    EXPECT_EQ(other->interval.method, "bootstrap_bca");
  }
  EXPECT_EQ(means->interval.method, "bootstrap_bca");
}

// What BCa is for: the mean of 20 exponential values at 90 %. 3000 data sets know a coverage to 0.6
// %; the percentile interval misses too often (about 84 %), BCa less (about 86 %), and always on
// the same data, so that the difference is known to 0.3 %.
TEST(BootstrapTest, BcaCoversSkewedDataBetter) {
  constexpr int kSets = 3000;
  int percentile = 0;
  int bca = 0;
  for (int set = 0; set < kSets; ++set) {
    const std::vector<double> xs = Exponentials(20, static_cast<uint64_t>(set));
    BootstrapOptions options = {
        .seed = static_cast<uint64_t>(set), .replicates = 500, .level = 0.9};
    const auto covers = [&] {
      const auto result = BootstrapOfMeans(xs, 1, First, options);
      return result.ok() && result->interval.lower <= 1 && 1 <= result->interval.upper;
    };
    percentile += covers() ? 1 : 0;
    options.interval = BootstrapInterval::kBca;
    bca += covers() ? 1 : 0;
  }
  EXPECT_GT(bca, percentile + 0.008 * kSets);
  EXPECT_GT(bca, 0.84 * kSets);
  EXPECT_LT(bca, 0.90 * kSets);
}

TEST(BootstrapTest, ThreadsChangeNothing) {
  for (const size_t n : {size_t{50}, size_t{5000}, size_t{12'000}}) {
    const std::vector<double> rows = Exponentials(2 * n, 0);
    const auto ratio = [](std::span<const double> m) { return m[0] / m[1]; };
    std::optional<BootstrapResult> first;
    for (const size_t singly : {size_t{0}, n}) {
      first.reset();
      for (const int threads : {1, 2, 8}) {
        const auto result = BootstrapOfMeans(rows, 2, ratio,
                                             {.seed = 1,
                                              .replicates = 300,
                                              .interval = BootstrapInterval::kBca,
                                              .threads = threads,
                                              .max_rows_singly = singly});
        ASSERT_TRUE(result.ok()) << result.status();
        if (!first.has_value()) first = *result;
        EXPECT_EQ(result->interval.lower, first->interval.lower);
        EXPECT_EQ(result->interval.upper, first->interval.upper);
        EXPECT_EQ(result->standard_error, first->standard_error);
      }
    }
  }
  const auto median = [](std::span<const uint32_t> rows) {
    std::vector<uint32_t> sorted(rows.begin(), rows.end());
    std::sort(sorted.begin(), sorted.end());
    return static_cast<double>(sorted[sorted.size() / 2]);
  };
  const auto one = BootstrapOfRows(200, median, {.interval = BootstrapInterval::kBca});
  const auto two =
      BootstrapOfRows(200, median, {.interval = BootstrapInterval::kBca, .threads = 2});
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(one->interval.lower, two->interval.lower);
  EXPECT_EQ(one->interval.upper, two->interval.upper);
}

// Above 4096 rows single rows are drawn by blocks: the error of the mean, known to 1.6 % from 2000
// replicates.
TEST(BootstrapTest, ManyRowsCanBeDrawnSingly) {
  const std::vector<double> xs = Exponentials(20'000, 1);
  const auto result =
      BootstrapOfMeans(xs, 1, First, {.replicates = 2000, .max_rows_singly = xs.size()});
  ASSERT_TRUE(result.ok());
  const double error = StandardError(xs);
  EXPECT_NEAR(result->standard_error, error, 4.5 * 0.016 * error);
}

TEST(BootstrapTest, LeavingOneOutKeepsTheOthers) {
  // Sizes and sums of the rows that the statistic sees: all, n of them, or all but one.
  std::mutex mutex;
  std::set<std::pair<size_t, uint64_t>> seen;
  const auto statistic = [&](std::span<const uint32_t> rows) {
    uint64_t sum = 0;
    for (const uint32_t row : rows) sum += uint64_t{1} << row;
    const std::lock_guard lock(mutex);
    if (rows.size() == 9) seen.emplace(rows.size(), sum);
    return static_cast<double>(sum);
  };
  ASSERT_TRUE(BootstrapOfRows(10, statistic, {.interval = BootstrapInterval::kBca}).ok());
  std::set<std::pair<size_t, uint64_t>> expected;
  for (int i = 0; i < 10; ++i) expected.emplace(9, 1023 - (uint64_t{1} << i));
  EXPECT_EQ(seen, expected);
}

TEST(BootstrapTest, BcaOfOneRowOrEqualRowsIsAPoint) {
  const BootstrapOptions bca = {.interval = BootstrapInterval::kBca};
  for (const std::vector<double>& rows : {std::vector<double>{3}, std::vector<double>{3, 3, 3}}) {
    const auto means = BootstrapOfMeans(rows, 1, First, bca);
    ASSERT_TRUE(means.ok()) << means.status();
    EXPECT_EQ(means->interval.lower, 3);
    EXPECT_EQ(means->interval.upper, 3);
  }
  const auto counts = BootstrapOfCounts(
      std::vector<uint64_t>{0, 1}, [](std::span<const double> c) { return c[1]; }, bca);
  ASSERT_TRUE(counts.ok()) << counts.status();
  EXPECT_EQ(counts->interval.lower, 1);
  const auto row = BootstrapOfRows(
      1, [](std::span<const uint32_t> rows) { return rows.empty() ? 0.0 : 5.0; }, bca);
  ASSERT_TRUE(row.ok()) << row.status();
  EXPECT_EQ(row->interval.upper, 5);
}

TEST(BootstrapTest, RowsThatCannotBeResampledAreNamed) {
  const auto zero = BootstrapOfRows(0, [](std::span<const uint32_t>) { return 0.0; }, {});
  EXPECT_EQ(zero.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(zero.status().message()), HasSubstr("n is 0"));
  const auto nan = BootstrapOfRows(3, [](std::span<const uint32_t>) { return std::nan(""); }, {});
  EXPECT_THAT(std::string(nan.status().message()), HasSubstr("NaN"));
  // More different rows than any resample has.
  const auto largest =
      BootstrapOfRows(30,
                      [](std::span<const uint32_t> rows) {
                        return static_cast<double>(std::set(rows.begin(), rows.end()).size());
                      },
                      {.interval = BootstrapInterval::kBca});
  EXPECT_EQ(largest.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(largest.status().message()), HasSubstr("one side of the estimate"));
}

}  // namespace
}  // namespace mirage::metrics
