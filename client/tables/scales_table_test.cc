#include "client/tables/scales_table.h"

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

absl::StatusOr<ScalesTable> Read(const std::string& text) {
  return ReadScales("s.csv", TextSource(text));
}

TEST(ScalesTableTest, EveryColumn) {
  const auto table = Read(
      "step,seed,family,final_train_loss,flops,train_tokens,parameters,model\n"
      "143000,2,pythia,2.5,1e21,3e11,7e7,EleutherAI/pythia-70m\n"
      ",,,,,,1.6e8,pythia-160m\n");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(table->warnings, IsEmpty());
  ASSERT_EQ(table->rows.size(), 2u);
  const v1::Scale& full = table->rows[0].scale;
  EXPECT_EQ(full.model(), "EleutherAI/pythia-70m");
  EXPECT_EQ(full.parameters(), 7e7);
  EXPECT_EQ(full.tokens(), 3e11);
  EXPECT_EQ(full.flops(), 1e21);
  EXPECT_EQ(full.loss(), 2.5);
  EXPECT_EQ(full.family(), "pythia");
  EXPECT_EQ(full.seed(), "2");
  EXPECT_EQ(full.step(), 143000u);
  EXPECT_EQ(table->rows[0].origin, "s.csv:2");
  const v1::Scale& bare = table->rows[1].scale;
  EXPECT_EQ(bare.family(), "default");
  EXPECT_EQ(bare.seed(), "");
  EXPECT_FALSE(bare.has_tokens() || bare.has_flops() || bare.has_loss() || bare.has_step());
  EXPECT_EQ(table->rows[1].origin, "s.csv:3");
}

TEST(ScalesTableTest, BadRows) {
  const auto table =
      Read("model,parameters,loss,step\na,1,,\n,1,,\nb,,,\nc,0,,\nd,1,-1,\ne,1,,1.5\nf,2,,0\n");
  ASSERT_TRUE(table.ok());
  ASSERT_EQ(table->rows.size(), 2u);
  EXPECT_EQ(table->rows[1].scale.model(), "f");
  EXPECT_TRUE(table->rows[1].scale.has_step());
  EXPECT_THAT(table->warnings, ElementsAre(StartsWith("s.csv:3: column \"model\" is empty"),
                                           StartsWith("s.csv:4: column \"parameters\" is empty"),
                                           StartsWith("s.csv:5: column \"parameters\" is \"0\""),
                                           StartsWith("s.csv:6: column \"loss\" is \"-1\""),
                                           StartsWith("s.csv:7: column \"step\" is \"1.5\""),
                                           "s.csv: 5 of 7 rows were left out"));
}

TEST(ScalesTableTest, RepeatsAndContradictions) {
  const auto table = Read("model,parameters,seed\na,1,\nb,2,\na,1,\nb,3,\nb,2,\nb,2,1\nb,2,2\n");
  ASSERT_TRUE(table.ok()) << table.status();
  // a once; b neither as 2 nor as 3, though 2 was said twice; its other seeds are other rows.
  ASSERT_EQ(table->rows.size(), 3u);
  EXPECT_EQ(table->rows[0].scale.model(), "a");
  EXPECT_EQ(table->rows[1].scale.seed(), "1");
  EXPECT_EQ(table->rows[2].scale.seed(), "2");
  EXPECT_THAT(
      table->warnings,
      ElementsAre("s.csv:4: repeats s.csv:2",
                  HasSubstr("s.csv:5: model \"b\" has another scale in s.csv:3: both are left "
                            "out; correct one"),
                  "s.csv:6: repeats s.csv:3", "s.csv: 3 of 7 rows were left out"));
  const auto none = Read("model,parameters\na,1\na,2\n");
  EXPECT_TRUE(absl::IsInvalidArgument(none.status()));
}

TEST(ScalesTableTest, SeveralFiles) {
  const test_support::TemporaryFolder folder;
  const std::vector<std::string> paths = {folder.path() + "/a.csv", folder.path() + "/b.csv"};
  std::ofstream(paths[0]) << "model,parameters\na,1\nb,2\n";
  std::ofstream(paths[1]) << "parameters,model\n9,a\n3,c\n";
  const auto table = ReadScales(paths);
  ASSERT_TRUE(table.ok()) << table.status();
  ASSERT_EQ(table->rows.size(), 2u);
  EXPECT_EQ(table->rows[0].scale.model(), "b");
  EXPECT_EQ(table->rows[1].scale.model(), "c");
  EXPECT_EQ(table->rows[1].origin, paths[1] + ":3");
  EXPECT_THAT(table->warnings[0], HasSubstr("has another scale in " + paths[0] + ":2"));

  EXPECT_TRUE(absl::IsNotFound(ReadScales(std::vector<std::string>{"/none.csv"}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ReadScales(std::vector<std::string>{}).status()));
  std::ofstream(paths[1]) << "model\nc\n";
  const auto failed = ReadScales(paths);
  EXPECT_THAT(std::string(failed.status().message()), StartsWith(paths[1] + ": line 1: no column"));
}

}  // namespace
}  // namespace mirage::client
