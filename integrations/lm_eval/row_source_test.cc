#include "integrations/lm_eval/row_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "integrations/lm_eval/text_source.h"

namespace mirage::integrations::lm_eval {
namespace {

using ::testing::ElementsAre;
using Kind = RowSource::Row::Kind;

// The rows of `text`, as "number:text", read in blocks of `block` bytes.
std::vector<std::string> Rows(const std::string& text, size_t block, uint64_t limit = 1000) {
  RowSource source(FromText(text, block), limit);
  std::vector<std::string> rows;
  while (true) {
    const auto row = source.Next();
    EXPECT_TRUE(row.ok());
    if (row->kind == Kind::kEnd) break;
    std::string cell = std::to_string(row->number) + ":" + std::string(row->text);
    if (row->kind == Kind::kTooLong) cell += "too long";
    if (row->kind == Kind::kTruncated) cell += "truncated";
    if (row->kind == Kind::kStray) cell += " stray";
    if (row->kind == Kind::kAfterEnd) cell += " after the end";
    if (row->unterminated) cell += " unterminated";
    rows.push_back(cell);
  }
  EXPECT_EQ(source.bytes_consumed(), text.size());
  return rows;
}

class RowSourceTest : public ::testing::TestWithParam<size_t> {};

TEST_P(RowSourceTest, CutsLines) {
  EXPECT_THAT(Rows("\xEF\xBB\xBF{\"a\":1}\r\n\n  \n {\"b\":2} \n{\"c\"", GetParam()),
              ElementsAre("1:{\"a\":1}", "4:{\"b\":2}", "5:{\"c\" unterminated"));
  EXPECT_THAT(Rows("", GetParam()), ElementsAre());
  EXPECT_THAT(Rows("\xEF\xBB\xBF", GetParam()), ElementsAre());
  EXPECT_THAT(Rows("\n\n", GetParam()), ElementsAre());
  EXPECT_THAT(Rows("x", GetParam()), ElementsAre("1:x unterminated"));
  EXPECT_THAT(Rows(std::string("\0\n{}", 4), GetParam()),
              ElementsAre(std::string("1:\0", 3), "2:{} unterminated"));
}

TEST_P(RowSourceTest, SkipsRowsOverTheLimit) {
  const std::string large(50, 'x');
  EXPECT_THAT(Rows("{}\n" + large + "\n{\"a\":1}\n" + large, GetParam(), 10),
              ElementsAre("1:{}", "2:too long", "3:{\"a\":1}", "4:too long unterminated"));
  EXPECT_THAT(Rows("[{}, {\"a\": \"" + large + "\"}, {\"b\":2}]", GetParam(), 10),
              ElementsAre("1:{}", "2:too long", "3:{\"b\":2}"));
}

TEST_P(RowSourceTest, SplitsAnArray) {
  EXPECT_THAT(Rows(" [\n {\"a\": \"}]\\\"{\"},\n{\"b\": [{}, 1]} ]\n", GetParam()),
              ElementsAre("1:{\"a\": \"}]\\\"{\"}", "2:{\"b\": [{}, 1]}"));
  EXPECT_THAT(Rows("[]", GetParam()), ElementsAre());
  EXPECT_THAT(Rows("[", GetParam()), ElementsAre());
  EXPECT_THAT(Rows("[{\"a\":1}, {\"b\": \"x", GetParam()),
              ElementsAre("1:{\"a\":1}", "2:truncated"));
  EXPECT_THAT(Rows("[12, {}, [3, 4], \"x\"]", GetParam()),
              ElementsAre("1:12 stray", "2:{}", "3:[3, 4] stray", "4:\"x\" stray"));
}

TEST_P(RowSourceTest, TellsWhatFollowsAnArray) {
  EXPECT_THAT(Rows("[{\"a\":1}] xx", GetParam()), ElementsAre("1:{\"a\":1}", "2:xx after the end"));
  EXPECT_THAT(Rows("[]\n\"x\n{\"a\":1}", GetParam()),
              ElementsAre("1:\"x\n{\"a\":1} after the end"));
  EXPECT_THAT(
      Rows("[] xx, yy\n{\"a\":1}\n{", GetParam()),
      ElementsAre("1:xx after the end", "2:yy after the end", "3:{\"a\":1}", "4:truncated"));
  EXPECT_THAT(Rows("[{}, 12", GetParam()), ElementsAre("1:{}", "2:truncated"));
}

TEST_P(RowSourceTest, SplitsObjectsOverSeveralLines) {
  EXPECT_THAT(Rows("{\n \"a\": 1\n}\n{\n}\n", GetParam()),
              ElementsAre("1:{\n \"a\": 1\n}", "2:{\n}"));
}

INSTANTIATE_TEST_SUITE_P(Blocks, RowSourceTest, ::testing::Values(1, 2, 3, 7, 1 << 20));

TEST(RowSourceErrorTest, StopsAtAReadError) {
  int calls = 0;
  RowSource source(
      [&](char* data, size_t size) -> absl::StatusOr<size_t> {
        if (++calls == 2) return absl::UnavailableError("disk");
        std::copy_n("{}\n{}", 5, data);
        return 5;
      },
      100);
  EXPECT_EQ(source.Next()->text, "{}");
  EXPECT_EQ(source.Next().status(), absl::UnavailableError("disk"));
}

TEST(RowSourceMemoryTest, HoldsNeitherTheFileNorARefusedRow) {
  uint64_t left = uint64_t{300} << 20;
  size_t largest = 0;
  RowSource source(
      [&](char* data, size_t size) -> absl::StatusOr<size_t> {
        const size_t n = std::min<uint64_t>(size, left);
        std::memset(data, 'x', n);
        left -= n;
        return n;
      },
      1 << 20);
  const auto row = source.Next();
  ASSERT_TRUE(row.ok());
  EXPECT_EQ(row->kind, Kind::kTooLong);
  largest = source.capacity();
  EXPECT_LE(largest, size_t{4} << 20);
}

TEST(RowSourceMemoryTest, GivesALargeBufferBack) {
  std::string text = std::string(20 << 20, 'x') + "\n";
  for (int i = 0; i < 100000; ++i) text += "{\"a\": 12345}\n";
  RowSource source(FromText(text), 64 << 20);
  EXPECT_EQ(source.Next()->text.size(), size_t{20} << 20);
  EXPECT_GT(source.capacity(), size_t{20} << 20);
  while (source.Next()->kind != Kind::kEnd) {
  }
  EXPECT_LT(source.capacity(), size_t{4} << 20);
}

}  // namespace
}  // namespace mirage::integrations::lm_eval
