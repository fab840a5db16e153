#include "metrics/stats/serialization.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/exact_sum.h"
#include "metrics/stats/max_count.h"

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
  out.Flag(true);
  out.Sum(sum);
  out.Bytes("ab");
  return std::move(out).Take();
}

void ReadAll(ByteReader& in) {
  in.Uint8("small");
  in.Uint64("large");
  in.Double("real");
  in.Flag("flag");
  in.Sum("sum");
  in.Bytes("text");
}

TEST(SerializationTest, ReadsWhatWasWritten) {
  const std::string bytes = Written();
  ByteReader in(bytes, "thing", kVersion);
  EXPECT_EQ(in.Uint8("small"), 200);
  EXPECT_EQ(in.Uint64("large"), 0x0123456789abcdef);
  EXPECT_TRUE(std::signbit(in.Double("real")));
  EXPECT_TRUE(in.Flag("flag"));
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

// An accumulator of one byte, which must be below 3.
struct Digit {
  uint8_t value = 0;

  std::string Serialize() const { return std::string(1, static_cast<char>(value)); }
  static absl::StatusOr<Digit> Deserialize(std::string_view bytes) {
    if (bytes.size() == 1 && bytes[0] >= 0 && bytes[0] < 3) {
      return Digit{static_cast<uint8_t>(bytes[0])};
    }
    return absl::InvalidArgumentError("digit: no digit");
  }
};

TEST(SerializationTest, PartsAreBlocksThatTheirTypeReads) {
  ByteWriter out(kVersion);
  out.Part(Digit{2});
  out.Part(Digit{7});
  const std::string bytes = std::move(out).Take();
  EXPECT_EQ(bytes, std::string("\x03\x01\0\0\0\0\0\0\0\x02\x01\0\0\0\0\0\0\0\x07", 19));
  ByteReader in(bytes, "thing", kVersion);
  EXPECT_EQ(in.Part<Digit>("first").value, 2);
  EXPECT_TRUE(in.ok());
  EXPECT_EQ(in.Part<Digit>("second").value, 0);
  EXPECT_EQ(Message(in.Finish()), "thing: second: digit: no digit");
  ByteReader cut(std::string_view(bytes).substr(0, 12), "thing", kVersion);
  cut.Part<Digit>("first");
  cut.Part<Digit>("second");
  EXPECT_THAT(Message(cut.Finish()), HasSubstr("thing: second is cut short"));
}

TEST(SerializationTest, FlagsAreZeroOrOne) {
  ByteWriter out(kVersion);
  out.Flag(false);
  out.Flag(true);
  out.Uint8(2);
  const std::string bytes = std::move(out).Take();
  EXPECT_EQ(bytes, std::string("\x03\0\x01\x02", 4));
  ByteReader in(bytes, "thing", kVersion);
  EXPECT_FALSE(in.Flag("none"));
  EXPECT_TRUE(in.Flag("one"));
  EXPECT_TRUE(in.ok());
  EXPECT_FALSE(in.Flag("two"));
  EXPECT_EQ(Message(in.Finish()), "thing: two is 2: must be 0 or 1");
}

TEST(SerializationTest, CountsEndAtTheirMaximum) {
  ByteWriter out(kVersion);
  out.Uint64(kMaxCount);
  out.Uint64(kMaxCount + 1);
  const std::string bytes = std::move(out).Take();
  ByteReader in(bytes, "thing", kVersion);
  EXPECT_EQ(in.Count("first"), kMaxCount);
  EXPECT_TRUE(in.ok());
  EXPECT_EQ(in.Count("second"), 0u);
  EXPECT_EQ(Message(in.Finish()), "thing: second is 9007199254740993: must be <= 2^53");
}

TEST(SerializationTest, TheRestIsAllThatIsLeft) {
  ByteWriter out(kVersion);
  out.Uint8(1);
  out.Uint8('a');
  out.Uint8('b');
  const std::string bytes = std::move(out).Take();
  ByteReader in(bytes, "thing", kVersion);
  in.Uint8("small");
  EXPECT_EQ(in.Rest(), "ab");
  EXPECT_EQ(in.Rest(), "");
  EXPECT_TRUE(in.Finish().ok());
  ByteReader failed(bytes, "thing", kVersion);
  failed.Fail("first");
  EXPECT_EQ(failed.Rest(), "");
}

TEST(SerializationTest, AnErrorKeepsItsMessageBehindItsField) {
  const std::string bytes = Written();
  ByteReader in(bytes, "thing", kVersion);
  in.Fail("options", absl::FailedPreconditionError("level is 2"));
  const absl::Status status = in.Finish();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Message(status), "thing: options: level is 2");
}

TEST(SerializationTest, ASizeMustHaveItsElements) {
  ByteWriter out(kVersion);
  out.Uint64(2);
  out.Uint64(7);
  out.Uint64(8);
  const std::string bytes = std::move(out).Take();
  ByteReader in(bytes, "thing", kVersion);
  EXPECT_EQ(in.Size("rows", 8), 2u);
  EXPECT_TRUE(in.Holds("values", 2, 8));
  EXPECT_FALSE(in.Holds("values", 3, 8));
  EXPECT_FALSE(in.Holds("values", 0, 8)) << "after an error";
  EXPECT_THAT(Message(in.Finish()), HasSubstr("thing: values is 3: only 16 bytes follow"));
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
