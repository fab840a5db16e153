#include "metrics/kernels/count_fields.h"

#include <limits>
#include <string>

#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

TEST(CountFieldsTest, ReadsWhatWasWritten) {
  std::string bytes = "\x07";
  AppendCount(0, bytes);
  AppendCount(0x0102030405060708u, bytes);
  AppendCount(std::numeric_limits<uint64_t>::max(), bytes);
  ASSERT_EQ(bytes.size(), 25);
  EXPECT_EQ(bytes[9], 8) << "the lowest byte comes first";

  CountReader reader(bytes);
  uint8_t byte = 0;
  uint64_t count = 1;
  EXPECT_TRUE(reader.Byte(byte));
  EXPECT_EQ(byte, 7);
  EXPECT_TRUE(reader.Count(count));
  EXPECT_EQ(count, 0);
  EXPECT_TRUE(reader.Count(count));
  EXPECT_EQ(count, 0x0102030405060708u);
  EXPECT_FALSE(reader.AtEnd());
  EXPECT_TRUE(reader.Count(count));
  EXPECT_EQ(count, std::numeric_limits<uint64_t>::max());
  EXPECT_TRUE(reader.AtEnd());
  EXPECT_FALSE(reader.Byte(byte));
  EXPECT_FALSE(reader.Count(count));
  EXPECT_FALSE(CountReader("1234567").Count(count));
}

}  // namespace
}  // namespace mirage::metrics
