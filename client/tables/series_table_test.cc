#include "client/tables/series_table.h"

#include <fmt/format.h>

#include <fstream>
#include <string>
#include <vector>

#include "client/tables/text_source.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temporary_folder.h"

namespace mirage::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

absl::StatusOr<SeriesTable> Read(const std::string& text) {
  return ReadSeries("s.csv", TextSource(text));
}

TEST(SeriesTableTest, EveryColumn) {
  const auto table = Read(
      "family,task,model,scale,metric,value,stderr,n,target_length,shots,temperature,chance,filter,"
      "seed,tokens,flops,loss\n"
      "f,add,m1,1e8,acc,0.25,0.01,100,4,2,0.5,0.1,strict,7,3e9,2e20,2.5\n"
      ",add,m1,1e8,acc,-3,,,,,,,,,,,\n");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(table->warnings, IsEmpty());
  ASSERT_EQ(table->series.size(), 2u);
  const v1::Series& full = table->series[0];
  EXPECT_EQ(full.family(), "f");
  EXPECT_EQ(full.task(), "add");
  EXPECT_EQ(full.filter(), "strict");
  EXPECT_EQ(full.metric(), "acc");
  EXPECT_EQ(full.target_length(), 4u);
  EXPECT_EQ(full.shots(), 2u);
  EXPECT_EQ(full.temperature(), 0.5);
  EXPECT_EQ(full.chance(), 0.1);
  ASSERT_EQ(full.points_size(), 1);
  const v1::SeriesPoint& point = full.points(0);
  EXPECT_EQ(point.model(), "m1");
  EXPECT_EQ(point.scale(), 1e8);
  EXPECT_EQ(point.value(), 0.25);
  EXPECT_EQ(point.stderr(), 0.01);
  EXPECT_EQ(point.n(), 100u);
  EXPECT_EQ(point.seed(), "7");
  EXPECT_EQ(point.tokens(), 3e9);
  EXPECT_EQ(point.flops(), 2e20);
  EXPECT_EQ(point.loss(), 2.5);
  const v1::Series& bare = table->series[1];
  EXPECT_EQ(bare.family(), "default");
  EXPECT_EQ(bare.filter(), "none");
  EXPECT_FALSE(bare.has_target_length() || bare.has_shots() || bare.has_temperature() ||
               bare.has_chance());
  EXPECT_EQ(bare.points(0).value(), -3);
  EXPECT_FALSE(bare.points(0).has_stderr() || bare.points(0).has_n() ||
               bare.points(0).has_tokens() || bare.points(0).has_flops() ||
               bare.points(0).has_loss());
}

// Rows that differ in any of the seven are of different series, whatever their order.
TEST(SeriesTableTest, Groups) {
  std::string text =
      "model,scale,value,family,task,filter,metric,target_length,shots,temperature\n";
  const std::vector<std::string> groups = {
      "f,t,x,m,1,0,0", "g,t,x,m,1,0,0", "f,u,x,m,1,0,0", "f,t,y,m,1,0,0", "f,t,x,n,1,0,0",
      "f,t,x,m,2,0,0", "f,t,x,m,1,1,0", "f,t,x,m,1,0,1", "f,t,x,m,,0,0",  "f,t,x,m,1,,0",
      "f,t,x,m,1,0,",  "f,tx,,m,1,0,0", ",t,x,m,1,0,0",
  };
  for (const int model : {1, 2, 3}) {
    for (const std::string& group : groups) text += fmt::format("m{0},{0},0.5,{1}\n", model, group);
  }
  // The same as the first: 1.0 is 1, and -0 is 0.
  text += "m4,4,0.5,f,t,x,m,1.0,0,-0\n";
  const auto table = Read(text);
  ASSERT_TRUE(table.ok()) << table.status();
  ASSERT_EQ(table->series.size(), groups.size());
  EXPECT_EQ(table->series[0].points_size(), 4);
  for (size_t i = 1; i < groups.size(); ++i) {
    ASSERT_EQ(table->series[i].points_size(), 3);
    EXPECT_EQ(table->series[i].points(2).model(), "m3");
  }
}

TEST(SeriesTableTest, BadRows) {
  const auto table = Read(
      "task,model,scale,metric,value,n,stderr,target_length\n"
      "t,a,1,m,0.5,,,\nt,a,2,m,nan,,,\nt,a,3,m,0.5,0,,\nt,a,4,m,0.5,,-1,\nt,a,5,m,0.5,,,0\n"
      "t,,6,m,0.5,,,\n,a,7,m,0.5,,,\nt,a,0,m,0.5,,,\n");
  ASSERT_TRUE(table.ok());
  ASSERT_EQ(table->series.size(), 1u);
  EXPECT_EQ(table->series[0].points_size(), 1);
  EXPECT_THAT(table->warnings,
              ElementsAre(StartsWith("s.csv:3: column \"value\" is \"nan\""),
                          StartsWith("s.csv:4: column \"n\" is \"0\""),
                          StartsWith("s.csv:5: column \"stderr\" is \"-1\""),
                          StartsWith("s.csv:6: column \"target_length\" is \"0\""),
                          StartsWith("s.csv:7: column \"model\" is empty"),
                          "s.csv: 7 of 8 rows were left out; the first 5 are named"));
}

TEST(SeriesTableTest, RepeatsAndContradictions) {
  const auto table = Read(
      "task,model,scale,metric,value,seed,tokens\n"
      "t,a,1,m,0.5,,\nt,b,2,m,0.6,,\nt,a,1,m,0.5,,\nt,b,2,m,0.7,,\n"
      "t,b,2,m,0.7,1,\nt,b,2,m,0.7,,5\nt,b,2.5,m,0.7,,\nu,a,1,m,1,,\nu,a,1,m,2,,\n");
  ASSERT_TRUE(table.ok()) << table.status();
  // Of the second series nothing is left.
  ASSERT_EQ(table->series.size(), 1u);
  const v1::Series& series = table->series[0];
  ASSERT_EQ(series.points_size(), 4);
  EXPECT_EQ(series.points(0).model(), "a");
  EXPECT_EQ(series.points(1).seed(), "1");
  EXPECT_EQ(series.points(2).tokens(), 5);
  EXPECT_EQ(series.points(3).scale(), 2.5);
  EXPECT_THAT(table->warnings,
              ElementsAre("s.csv:4: repeats s.csv:2",
                          HasSubstr("s.csv:5: model \"b\" has another number in s.csv:3: both"),
                          HasSubstr("s.csv:10: model \"a\" has another number in s.csv:9"),
                          "s.csv: 3 of 9 rows were left out"));
}

TEST(SeriesTableTest, ChanceBelongsToTheSeries) {
  const auto table = Read(
      "task,model,scale,metric,value,chance\n"
      "t,a,1,m,0.5,\nt,b,2,m,0.6,0.25\nt,c,3,m,0.6,0.5\nt,d,4,m,0.6,0.25\nu,d,4,m,0.6,0.5\n");
  ASSERT_TRUE(table.ok());
  ASSERT_EQ(table->series.size(), 2u);
  EXPECT_EQ(table->series[0].chance(), 0.25);
  EXPECT_EQ(table->series[0].points_size(), 3);
  EXPECT_EQ(table->series[1].chance(), 0.5);
  EXPECT_THAT(table->warnings[0], HasSubstr("s.csv:4: column \"chance\" is 0.5 where an earlier"));
}

TEST(SeriesTableTest, SeveralFiles) {
  const test_support::TemporaryFolder folder;
  const std::vector<std::string> paths = {folder.path() + "/a.csv", folder.path() + "/b.csv"};
  std::ofstream(paths[0]) << "task,model,scale,metric,value\nt,a,1,m,0.5\n";
  std::ofstream(paths[1]) << "value,metric,scale,model,task\n0.5,m,1,a,t\n0.6,m,2,b,t\n";
  const auto table = ReadSeries(paths);
  ASSERT_TRUE(table.ok()) << table.status();
  ASSERT_EQ(table->series.size(), 1u);
  EXPECT_EQ(table->series[0].points_size(), 2);
  EXPECT_THAT(table->warnings[0], paths[1] + ":2: repeats " + paths[0] + ":2");
  EXPECT_TRUE(absl::IsNotFound(ReadSeries(std::vector<std::string>{"/none.csv"}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ReadSeries(std::vector<std::string>{}).status()));
}

}  // namespace
}  // namespace mirage::client
