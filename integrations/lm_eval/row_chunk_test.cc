#include "integrations/lm_eval/row_chunk.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "integrations/lm_eval/text_source.h"

namespace mirage::integrations::lm_eval {
namespace {

using Kind = RowSource::Row::Kind;

TEST(ReadChunkTest, GathersRowsUpToTheSize) {
  RowSource source(FromText("{\"a\":1}\n\n{\"b\":2}\n{\"c\":3}"), 1000);
  RowChunk chunk;
  ReadChunk(source, 10, &chunk);
  ASSERT_EQ(chunk.rows.size(), 2);
  EXPECT_EQ(chunk.TextOf(chunk.rows[0]), "{\"a\":1}");
  EXPECT_EQ(chunk.TextOf(chunk.rows[1]), "{\"b\":2}");
  EXPECT_EQ(chunk.rows[1].number, 3);
  EXPECT_EQ(chunk.bytes_consumed, 17);
  EXPECT_EQ(chunk.size, 16);  // with the newlines between them
  EXPECT_FALSE(chunk.is_last);
  ReadChunk(source, 10, &chunk);
  ASSERT_EQ(chunk.rows.size(), 1);
  EXPECT_EQ(chunk.TextOf(chunk.rows[0]), "{\"c\":3}");
  EXPECT_TRUE(chunk.rows[0].unterminated);
  EXPECT_TRUE(chunk.is_last);
  EXPECT_TRUE(chunk.status.ok());
}

TEST(ReadChunkTest, KeepsTheKindOfRowsThatWereSkipped) {
  RowSource source(FromText("{\"a\":1}\n{\"a\":\"too long a row\"}\n{\"b\":2}\n"), 10);
  RowChunk chunk;
  ReadChunk(source, 1000, &chunk);
  ASSERT_EQ(chunk.rows.size(), 3);
  EXPECT_EQ(chunk.rows[1].kind, Kind::kTooLong);
  EXPECT_EQ(chunk.rows[1].number, 2);
  EXPECT_EQ(chunk.TextOf(chunk.rows[2]), "{\"b\":2}");
}

TEST(ReadChunkTest, LimitsTheNumberOfRows) {
  std::string text;
  for (size_t i = 0; i < kMaxChunkRows + 5; ++i) text += "x\n";
  RowSource source(FromText(text), 1000);
  RowChunk chunk;
  ReadChunk(source, size_t{1} << 20, &chunk);
  EXPECT_EQ(chunk.rows.size(), kMaxChunkRows);
  EXPECT_FALSE(chunk.is_last);
  ReadChunk(source, size_t{1} << 20, &chunk);
  EXPECT_EQ(chunk.rows.size(), 5);
  EXPECT_TRUE(chunk.is_last);
}

TEST(ReadChunkTest, EmptyFile) {
  RowSource source(FromText(""), 1000);
  RowChunk chunk;
  ReadChunk(source, 1000, &chunk);
  EXPECT_TRUE(chunk.rows.empty());
  EXPECT_TRUE(chunk.is_last);
}

TEST(ReadChunkTest, TellsWhyAFileEnds) {
  bool first = true;
  RowSource source(
      [&](char* data, size_t) -> absl::StatusOr<size_t> {
        if (!first) return absl::UnavailableError("the disk is gone");
        first = false;
        std::copy_n("{\"a\":1}\n", 8, data);
        return 8;
      },
      1000);
  RowChunk chunk;
  ReadChunk(source, 1000, &chunk);
  EXPECT_EQ(chunk.rows.size(), 1);
  EXPECT_TRUE(chunk.is_last);
  EXPECT_EQ(chunk.status.message(), "the disk is gone");
}

TEST(ReadChunkTest, ALineThatNeverEndsIsNotHeld) {
  // Three rows around 300 MB that are skipped, in one chunk.
  uint64_t at = 0;
  constexpr uint64_t kHuge = uint64_t{300} << 20;
  const std::string before = "{\"a\":1}\n{\"b\":2}\n";
  const std::string after = "\n{\"c\":3}\n";
  RowSource source(
      [&](char* data, size_t size) -> absl::StatusOr<size_t> {
        size_t n = 0;
        for (; n < size && at < before.size() + kHuge + after.size(); ++n, ++at) {
          data[n] = at < before.size()           ? before[at]
                    : at < before.size() + kHuge ? 'x'
                                                 : after[at - before.size() - kHuge];
        }
        return n;
      },
      size_t{1} << 20);
  RowChunk chunk;
  ReadChunk(source, size_t{1} << 20, &chunk);
  ASSERT_EQ(chunk.rows.size(), 4);
  EXPECT_EQ(chunk.TextOf(chunk.rows[0]), "{\"a\":1}");
  EXPECT_EQ(chunk.TextOf(chunk.rows[1]), "{\"b\":2}");
  EXPECT_EQ(chunk.rows[2].kind, Kind::kTooLong);
  EXPECT_EQ(chunk.TextOf(chunk.rows[3]), "{\"c\":3}");
  EXPECT_EQ(chunk.bytes_consumed, before.size() + kHuge + after.size());
  EXPECT_LT(chunk.buffer.capacity, size_t{8} << 20);
  EXPECT_LT(source.capacity(), size_t{8} << 20);
}

// Rows of all lengths, cut into chunks of all sizes: each is read once and whole.
TEST(ReadChunkTest, LosesNothing) {
  std::string text;
  std::vector<std::string> rows;
  for (int i = 0; i < 3000; ++i) {
    rows.push_back("{\"a\":\"" + std::string(static_cast<size_t>(i * 7919 % 5000), 'x') + "\"}");
    text += rows.back() + (i % 5 == 0 ? "\r\n\n" : "\n");
  }
  for (const size_t bytes : {1, 3000, 100000, 1 << 20, 1 << 24}) {
    RowSource source(FromText(text), 1 << 20);
    RowChunk chunk;
    size_t n = 0;
    while (true) {
      ReadChunk(source, bytes, &chunk);
      for (const RowChunk::Row& row : chunk.rows) ASSERT_EQ(chunk.TextOf(row), rows[n++]);
      if (chunk.is_last) break;
      ASSERT_FALSE(chunk.rows.empty());
    }
    EXPECT_EQ(n, rows.size());
    EXPECT_EQ(chunk.bytes_consumed, text.size());
  }
}

}  // namespace
}  // namespace mirage::integrations::lm_eval
