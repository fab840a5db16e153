#include "client/tables/table_reader.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/tables/text_source.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mirage::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<Column>& Columns() {
  static const auto* const columns = new std::vector<Column>{
      {"name", true}, {"number", true}, {"tokens", false, {"train_tokens", "toks"}}, {"count"}};
  return *columns;
}

absl::StatusOr<TableReader> Open(const std::string& text) {
  return TableReader::Open("t.csv", TextSource(text), Columns());
}

std::string Failure(const std::string& text) {
  const auto table = Open(text);
  EXPECT_TRUE(absl::IsInvalidArgument(table.status())) << table.status();
  return std::string(table.status().message());
}

// What is said of one row with these cells.
std::string RowFailure(const std::string& name, const std::string& number,
                       const std::string& tokens = "", const std::string& count = "") {
  auto table =
      Open("name,number,tokens,count\n" + name + "," + number + "," + tokens + "," + count + "\n");
  EXPECT_TRUE(table.ok() && *table->Next());
  table->RequiredText(0);
  table->RequiredNumber(1, NumberRange::kAny);
  table->Number(2, NumberRange::kPositive);
  table->Count(3, 1);
  if (table->FinishRow()) return "";
  return table->Warnings()[0];
}

TEST(TableReaderTest, AnyOrderAliasesCapitalsAndSpaces) {
  auto table = Open("Count, TRAIN_Tokens ,number,\"name\"\n3,5,0.5, a b \n");
  ASSERT_TRUE(table.ok()) << table.status();
  ASSERT_TRUE(*table->Next());
  EXPECT_EQ(table->RequiredText(0), "a b");
  EXPECT_EQ(table->RequiredNumber(1, NumberRange::kAny), 0.5);
  EXPECT_EQ(table->Number(2, NumberRange::kPositive), 5);
  EXPECT_EQ(table->Count(3, 1), 3u);
  EXPECT_TRUE(table->FinishRow());
  EXPECT_FALSE(*table->Next());
  EXPECT_THAT(table->Warnings(), IsEmpty());
  EXPECT_TRUE(table->CheckAny().ok());
}

TEST(TableReaderTest, AbsentColumnsAndCells) {
  auto table = Open("name,number,tokens\na,1,\nb,2, \n");
  ASSERT_TRUE(table.ok());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(*table->Next());
    EXPECT_EQ(table->Number(2, NumberRange::kPositive), std::nullopt);
    EXPECT_EQ(table->Count(3, 1), std::nullopt);
    EXPECT_EQ(table->Text(3), "");
    EXPECT_TRUE(table->FinishRow());
  }
}

TEST(TableReaderTest, UnknownColumnsAreNamedOnce) {
  auto table = Open("name,number,d_model,toks,tokenz,\na,1,8,2,,\nb,1,8,2,,\n");
  ASSERT_TRUE(table.ok()) << table.status();
  while (*table->Next()) EXPECT_TRUE(table->FinishRow());
  EXPECT_THAT(table->Warnings(),
              ElementsAre("t.csv: columns that are not known are ignored: \"d_model\", \"tokenz\" "
                          "(is it tokens?), column 6 (without a name)"));
}

TEST(TableReaderTest, HeadersThatFail) {
  EXPECT_EQ(Failure(""),
            "t.csv: is empty: the first line must name the columns, at least name, number");
  EXPECT_EQ(Failure("name,count\na,1\n"),
            "t.csv: line 1: no column \"number\": add it; the table's columns are \"name\", "
            "\"count\"");
  EXPECT_EQ(Failure("\nname;number\na;1\n"),
            "t.csv: line 2: no column \"name\": separate the columns with commas");
  EXPECT_THAT(Failure("name\tnumber\n"), HasSubstr("with commas"));
  EXPECT_EQ(Failure("name,number,tokens,Toks\n"),
            "t.csv: line 1: columns \"tokens\" and \"Toks\" are both tokens: keep one of them");
  EXPECT_THAT(Failure("name,name,number\n"), HasSubstr("are both name"));
  EXPECT_THAT(Failure("na\"me,number\n"), HasSubstr("t.csv: line 1: the header is malformed"));
  EXPECT_THAT(Failure("\x1f\x8b"), HasSubstr("t.csv: is compressed: unpack it"));
}

TEST(TableReaderTest, Numbers) {
  EXPECT_EQ(RowFailure("a", "-1e-3", "+7e9", "100.0"), "");
  EXPECT_EQ(RowFailure("a", ".5", "5.", "1e3"), "");
  EXPECT_EQ(RowFailure("a", "7B"),
            "t.csv:2: column \"number\" is \"7B\", which is no number: write it out (7e9, 0.25)");
  EXPECT_THAT(RowFailure("a", "50%"), HasSubstr("write it out"));
  EXPECT_THAT(RowFailure("a", "\"1,000\""), HasSubstr("without separators of thousands"));
  EXPECT_THAT(RowFailure("a", "x"), HasSubstr("leave the cell empty"));
  EXPECT_THAT(RowFailure("a", "1 2"), HasSubstr("which is no number"));
  EXPECT_THAT(RowFailure("a", "+-1"), HasSubstr("which is no number"));
  EXPECT_THAT(RowFailure("a", "0x10"), HasSubstr("which is no number"));
  EXPECT_THAT(RowFailure("a", "1e999"), HasSubstr("out of the range"));
  for (const std::string bad : {"nan", "NaN", "inf", "-Infinity"}) {
    EXPECT_THAT(RowFailure("a", bad), HasSubstr("must be finite")) << bad;
  }
  EXPECT_THAT(RowFailure("a", "1", "0"), HasSubstr("column \"tokens\" is \"0\", and must be > 0"));
  EXPECT_THAT(RowFailure("a", "1", "-5"), HasSubstr("must be > 0"));
  for (const std::string bad : {"0", "-1", "1.5", "4294967296"}) {
    EXPECT_THAT(RowFailure("a", "1", "", bad), HasSubstr("must be a whole number")) << bad;
  }
  EXPECT_EQ(RowFailure("a", "1", "", "4294967295"), "");
  EXPECT_EQ(RowFailure("", "1"), "t.csv:2: column \"name\" is empty: it is required");
  EXPECT_THAT(RowFailure("a", " "), HasSubstr("column \"number\" is empty"));
  // The first reason counts; long cells are cut between characters.
  EXPECT_THAT(RowFailure("", "x"), HasSubstr("\"name\" is empty"));
  std::string umlauts;
  for (int i = 0; i < 50; ++i) umlauts += "ä";
  EXPECT_THAT(RowFailure("a", umlauts), HasSubstr(umlauts.substr(0, 40) + "…\""));
}

TEST(TableReaderTest, BadRowsCostThemselves) {
  std::string text = "name,number\n";
  for (int i = 0; i < 4; ++i) text += "a,1\nb\nc,x\n\"d,1\n";
  auto table = Open(text);
  ASSERT_TRUE(table.ok());
  int good = 0;
  while (*table->Next()) {
    table->RequiredNumber(1, NumberRange::kAny);
    good += table->FinishRow() ? 1 : 0;
  }
  EXPECT_EQ(good, 4);
  EXPECT_EQ(table->n_rows(), 16u);
  EXPECT_EQ(table->n_refused(), 12u);
  const std::vector<std::string> warnings = table->Warnings();
  ASSERT_EQ(warnings.size(), kMaxNamedRows + 1);
  EXPECT_THAT(warnings[0], HasSubstr("t.csv:3: 1 cells where the header has 2"));
  EXPECT_THAT(warnings[1], HasSubstr("t.csv:4: column \"number\""));
  EXPECT_THAT(warnings[2], HasSubstr("t.csv:5: "));
  EXPECT_EQ(warnings.back(), "t.csv: 12 of 16 rows were left out; the first 5 are named");
}

TEST(TableReaderTest, ATableWithoutAGoodRowFails) {
  auto none = Open("name,number\n");
  EXPECT_FALSE(*none->Next());
  EXPECT_EQ(none->CheckAny().message(), "t.csv: has a header and no rows");
  auto bad = Open("name,number\na,x\n");
  EXPECT_TRUE(*bad->Next());
  bad->RequiredNumber(1, NumberRange::kAny);
  EXPECT_FALSE(bad->FinishRow());
  EXPECT_FALSE(*bad->Next());
  EXPECT_THAT(std::string(bad->CheckAny().message()),
              HasSubstr("none of 1 rows can be used; the first: t.csv:2: column"));
  EXPECT_EQ(bad->Warnings().back(), "t.csv: 1 of 1 rows was left out");
}

}  // namespace
}  // namespace mirage::client
