#include "server/engine/field_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace mirage::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(FieldRowsTest, ValuesByRow) {
  FieldRows rows("meta.subject");
  rows.Set(0, "physics");
  rows.Set(2, "law");
  rows.Set(3, "physics");
  EXPECT_EQ(rows.field(), "meta.subject");
  EXPECT_THAT(rows.values(), ElementsAre("physics", "law"));
  EXPECT_EQ(rows.At(0), 0);
  EXPECT_EQ(rows.At(1), FieldRows::kMissing);
  EXPECT_EQ(rows.At(2), 1);
  EXPECT_EQ(rows.At(3), 0);
  EXPECT_EQ(rows.At(4), FieldRows::kMissing);
}

TEST(FieldRowsTest, WhatIsNoValueIsMissing) {
  FieldRows rows("f");
  rows.Set(0, "");
  rows.Set(1, std::string(kMaxStratumBytes + 1, 'x'));
  rows.Set(2, "\xff");
  rows.Set(3, "a\xc3");
  EXPECT_THAT(rows.values(), IsEmpty());
  rows.Set(4, std::string(kMaxStratumBytes, 'x'));
  rows.Set(5, "é");
  EXPECT_THAT(rows.values(), SizeIs(2));
  EXPECT_EQ(rows.At(3), FieldRows::kMissing);
  EXPECT_EQ(rows.At(5), 1);
}

TEST(FieldRowsTest, TooManyValuesAreNone) {
  FieldRows rows("id");
  for (size_t i = 0; i < kMaxStrata; ++i) rows.Set(i, std::to_string(i));
  EXPECT_THAT(rows.values(), SizeIs(kMaxStrata));
  EXPECT_FALSE(rows.has_too_many());
  rows.Set(kMaxStrata, "one more");
  EXPECT_TRUE(rows.has_too_many());
  EXPECT_THAT(rows.values(), IsEmpty());
  EXPECT_EQ(rows.At(0), FieldRows::kMissing);
  rows.Set(kMaxStrata + 1, "0");
  EXPECT_THAT(rows.values(), IsEmpty());
}

}  // namespace
}  // namespace mirage::server
