#include "metrics/stats/keyed_rows.h"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/bootstrap.h"
#include "metrics/stats/random.h"
#include "tests/support/sharding.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Row {
  SampleKey key;
  std::array<double, 2> values;
};

std::vector<Row> Some(size_t n) {
  CounterRng rng(2, 0);
  std::vector<Row> rows(n);
  for (Row& row : rows) row = {{rng.Below(3), rng()}, {rng.Uniform(), 1 + rng.Uniform()}};
  return rows;
}

TEST(KeyedRowsTest, RowsLeaveInTheOrderOfTheirKeys) {
  KeyedRows rows(2);
  ASSERT_TRUE(rows.Add({2, 0}, std::array<double, 2>{5, 6}).ok());
  ASSERT_TRUE(rows.Add({1, 9}, std::array<double, 2>{3, 4}).ok());
  ASSERT_TRUE(rows.Add({1, 7}, std::array<double, 2>{1, kNan}).ok());
  EXPECT_EQ(rows.count(), 3u);
  const auto sorted = rows.SortedRows();
  ASSERT_TRUE(sorted.ok());
  EXPECT_EQ((*sorted)[0], 1);
  EXPECT_TRUE(std::isnan((*sorted)[1]));
  EXPECT_EQ(std::vector<double>(sorted->begin() + 2, sorted->end()),
            (std::vector<double>{3, 4, 5, 6}));
}

TEST(KeyedRowsTest, AnyShardingGivesTheSameBytes) {
  const std::vector<Row> rows = Some(50);
  tests::ExpectAnyShardingGivesTheSameBytes<KeyedRows>(
      rows.size(),
      [&](KeyedRows& keyed, size_t i) { ASSERT_TRUE(keyed.Add(rows[i].key, rows[i].values).ok()); },
      KeyedRows(2));
}

// The bootstrap of what two shards scored, whichever comes first.
TEST(KeyedRowsTest, ResamplingDoesNotDependOnTheShards) {
  const std::vector<Row> rows = Some(300);
  KeyedRows even(2), odd(2), all(2);
  for (size_t i = 0; i < rows.size(); ++i) {
    ASSERT_TRUE((i % 2 == 0 ? even : odd).Add(rows[i].key, rows[i].values).ok());
    ASSERT_TRUE(all.Add(rows[i].key, rows[i].values).ok());
  }
  ASSERT_TRUE(odd.Merge(even).ok());
  const auto interval = [](const KeyedRows& keyed) {
    return BootstrapOfMeans(*keyed.SortedRows(), 2,
                            [](std::span<const double> m) { return m[0] / m[1]; }, {.seed = 3})
        ->interval;
  };
  EXPECT_EQ(interval(odd).lower, interval(all).lower);
  EXPECT_EQ(interval(odd).upper, interval(all).upper);
}

TEST(KeyedRowsTest, WhatCannotBeIsNamed) {
  KeyedRows rows(2);
  ASSERT_TRUE(rows.SortedRows().ok());
  EXPECT_TRUE(rows.SortedRows()->empty());
  EXPECT_THAT(std::string(rows.Add({1, 2}, std::array<double, 1>{1}).message()),
              HasSubstr("row has 1 values: must be 2"));
  EXPECT_THAT(std::string(rows.Merge(KeyedRows(3)).message()), HasSubstr("rows of 3 values"));
  ASSERT_TRUE(rows.Add({1, 2}, std::array<double, 2>{1, 2}).ok());
  ASSERT_TRUE(rows.Merge(rows).ok());
  EXPECT_THAT(std::string(rows.SortedRows().status().message()),
              HasSubstr("00000000000000010000000000000002 is there twice"));
}

TEST(KeyedRowsTest, BytesOfAnythingElseAreRefused) {
  KeyedRows rows(1);
  ASSERT_TRUE(rows.Add({1, 2}, std::array<double, 1>{1}).ok());
  ASSERT_TRUE(rows.Add({1, 3}, std::array<double, 1>{5}).ok());
  tests::ExpectOnlyWholeBytesAreRead(rows);
  const std::string bytes = rows.Serialize();
  const std::string swapped = bytes.substr(0, 17) + bytes.substr(41) + bytes.substr(17, 24);
  EXPECT_THAT(std::string(KeyedRows::Deserialize(swapped).status().message()),
              HasSubstr("not in order"));
  std::string none = bytes;
  none[1] = 0;
  EXPECT_THAT(std::string(KeyedRows::Deserialize(none).status().message()),
              HasSubstr("number of columns is 0"));
}

}  // namespace
}  // namespace mirage::metrics
