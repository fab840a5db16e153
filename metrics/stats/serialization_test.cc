#include "metrics/stats/serialization.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/exact_sum.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr uint8_t kVersion = 3;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

std::string Written() {
  ExactSum sum;
  sum.Add(0.1);
  sum.Add(1e300);
  ByteWriter out(kVersion);
  out.Uint8(200);
  out.Uint64(0x0123456789abcdef);
  out.Double(-0.0);
  out.Sum(sum);
  out.Bytes("ab");
  return std::move(out).Take();
}

void ReadAll(ByteReader& in) {
  in.Uint8("small");
  in.Uint64("large");
  in.Double("real");
  in.Sum("sum");
  in.Bytes("text");
}

TEST(SerializationTest, ReadsWhatWasWritten) {
  const std::string bytes = Written();
  ByteReader in(bytes, "thing", kVersion);
  EXPECT_EQ(in.Uint8("small"), 200);
  EXPECT_EQ(in.Uint64("large"), 0x0123456789abcdef);
  EXPECT_TRUE(std::signbit(in.Double("real")));
  EXPECT_EQ(in.Sum("sum").Round(), 1e300);
  EXPECT_EQ(in.Bytes("text"), "ab");
  EXPECT_TRUE(in.ok());
  EXPECT_TRUE(in.Finish().ok());
}

TEST(SerializationTest, BytesAreLittleEndianBehindTheVersion) {
  ByteWriter out(kVersion);
  out.Uint64(0x0102);
  EXPECT_EQ(std::move(out).Take(), std::string("\x03\x02\x01\0\0\0\0\0\0", 9));
}

TEST(SerializationTest, EveryCutIsNoticedAndNothingIsReadBeyondIt) {
  const std::string bytes = Written();
  for (size_t size = 0; size < bytes.size(); ++size) {
    // A copy of that size, so that AddressSanitizer sees a read beyond it.
    const std::string cut = bytes.substr(0, size);
    ByteReader in(cut, "thing", kVersion);
    ReadAll(in);
    EXPECT_FALSE(in.ok()) << size;
    EXPECT_EQ(in.Finish().code(), absl::StatusCode::kInvalidArgument) << size;
  }
}

TEST(SerializationTest, NamesTheFirstThingThatIsWrong) {
  ByteReader none("", "thing", kVersion);
  EXPECT_THAT(Message(none.Finish()), HasSubstr("thing: no bytes"));
  ByteReader other("\x04", "thing", kVersion);
  EXPECT_THAT(Message(other.Finish()), HasSubstr("version 4 is not 3"));
  const std::string bytes = Written();
  ByteReader cut(std::string_view(bytes).substr(0, 5), "thing", kVersion);
  ReadAll(cut);
  EXPECT_THAT(Message(cut.Finish()), HasSubstr("thing: large is cut short"));
  ByteReader longer(bytes, "thing", kVersion);
  EXPECT_THAT(Message(longer.Finish()), HasSubstr("bytes are left over"));
  ByteReader failed(bytes, "thing", kVersion);
  failed.Fail("first");
  failed.Fail("second");
  EXPECT_EQ(failed.Uint64("large"), 0u);
  EXPECT_THAT(Message(failed.Finish()), HasSubstr("thing: first"));
}

TEST(SerializationTest, ASumMustBeOne) {
  ByteWriter out(kVersion);
  out.Bytes("nonsense");
  const std::string bytes = std::move(out).Take();
  ByteReader in(bytes, "thing", kVersion);
  in.Sum("sum");
  EXPECT_THAT(Message(in.Finish()), HasSubstr("thing: sum: "));
}

TEST(SerializationTest, ASizeMustHaveItsElements) {
  ByteWriter out(kVersion);
  out.Uint64(2);
  out.Uint64(7);
  out.Uint64(8);
  const std::string bytes = std::move(out).Take();
  ByteReader in(bytes, "thing", kVersion);
  EXPECT_EQ(in.Size("rows", 8), 2u);
  ByteReader wide(bytes, "thing", kVersion);
  EXPECT_EQ(wide.Size("rows", 9), 0u);
  EXPECT_THAT(Message(wide.Finish()), HasSubstr("thing: rows is 2: only 16 bytes follow"));
  ByteWriter large(kVersion);
  large.Uint64(std::numeric_limits<uint64_t>::max());
  const std::string huge = std::move(large).Take();
  ByteReader none(huge, "thing", kVersion);
  EXPECT_EQ(none.Size("rows", 16), 0u);
  EXPECT_FALSE(none.Finish().ok());
}

}  // namespace
}  // namespace mirage::metrics
