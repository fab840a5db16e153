#include "metrics/stats/canonical_bytes.h"

#include <bit>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

TEST(CanonicalBytesTest, LowestByteFirst) {
  std::string out;
  AppendUint64(out, 0x0102030405060708u);
  EXPECT_EQ(out, "\x08\x07\x06\x05\x04\x03\x02\x01");
  out.clear();
  AppendDouble(out, 1.0);
  EXPECT_EQ(out, std::string_view("\0\0\0\0\0\0\xf0\x3f", 8));
}

TEST(CanonicalBytesTest, ReadsWhatWasWritten) {
  std::string out;
  AppendUint64(out, std::numeric_limits<uint64_t>::max());
  AppendDouble(out, -0.0);
  AppendBlock(out, "");
  AppendBlock(out, std::string_view("a\0b", 3));
  ByteReader reader(out);
  uint64_t number = 0;
  double real = 1;
  std::string_view block = "x";
  ASSERT_TRUE(reader.Uint64(number));
  EXPECT_EQ(number, std::numeric_limits<uint64_t>::max());
  ASSERT_TRUE(reader.Double(real));
  EXPECT_EQ(std::bit_cast<uint64_t>(real), uint64_t{1} << 63);
  ASSERT_TRUE(reader.Block(block));
  EXPECT_EQ(block, "");
  ASSERT_TRUE(reader.Block(block));
  EXPECT_EQ(block, std::string_view("a\0b", 3));
  EXPECT_EQ(reader.left(), 0u);
  EXPECT_FALSE(reader.Uint64(number));
  EXPECT_FALSE(reader.Double(real));
  EXPECT_FALSE(reader.Block(block));
}

TEST(CanonicalBytesTest, AShortBlockLeavesThePlace) {
  std::string out;
  AppendUint64(out, 4);
  out += "abc";
  ByteReader reader(out);
  std::string_view block = "untouched";
  EXPECT_FALSE(reader.Block(block));
  EXPECT_EQ(block, "untouched");
  EXPECT_EQ(reader.left(), 11u);
  // A size near 2^64 must not wrap.
  out.clear();
  AppendUint64(out, std::numeric_limits<uint64_t>::max() - 3);
  out += "abc";
  EXPECT_FALSE(ByteReader(out).Block(block));
}

}  // namespace
}  // namespace mirage::metrics
