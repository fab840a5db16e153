#include "client/tables/model_match.h"

#include <optional>
#include <string>
#include <string_view>

#include "client/tables/scales_table.h"
#include "client/tables/text_source.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mirage::client {
namespace {

using ::testing::HasSubstr;

ScalesTable Table(const std::string& rows) {
  auto table = ReadScales("s.csv", TextSource("model,parameters,seed,step\n" + rows));
  EXPECT_TRUE(table.ok()) << table.status();
  return *std::move(table);
}

// The model of the row that matches; "" for none, "!" and the message for an error.
std::string Match(const std::string& rows, const RunModel& run) {
  const ScalesTable table = Table(rows);
  const auto match = ModelMatcher(table).Match(run);
  if (!match.ok()) {
    EXPECT_TRUE(absl::IsInvalidArgument(match.status()));
    return "!" + std::string(match.status().message());
  }
  return match->has_value() ? table.rows[**match].scale.model() : "";
}

TEST(ModelMatchTest, SanitizedNames) {
  EXPECT_EQ(SanitizedModelName("EleutherAI/pythia-70m"), "EleutherAI__pythia-70m");
  // A run of characters is replaced once.
  EXPECT_EQ(SanitizedModelName("./models//a:b?*[c]"), ".__models__a__b__c__");
  EXPECT_EQ(SanitizedModelName("a<b>\"c|d\\e"), "a__b__c__d__e");
  EXPECT_EQ(SanitizedModelName(""), "");
}

TEST(ModelMatchTest, EachRule) {
  const RunModel run = {"org/m-1", "dtype=float16, pretrained=other/p-1,revision=main", "folder_1"};
  EXPECT_EQ(Match("x,1,,\norg/m-1,2,,\n", run), "org/m-1");
  EXPECT_EQ(Match("x,1,,\norg__m-1,2,,\n", run), "org__m-1");
  EXPECT_EQ(Match("x,1,,\nother/p-1,2,,\n", run), "other/p-1");
  EXPECT_EQ(Match("x,1,,\np-1,2,,\n", run), "p-1");
  EXPECT_EQ(Match("x,1,,\nm-1,2,,\n", run), "m-1");
  EXPECT_EQ(Match("x,1,,\nfolder_1,2,,\n", run), "folder_1");
  EXPECT_EQ(Match("x,1,,\nORG/M-1,2,,\norg,3,,\nm,4,,\n", run), "");
  // A folder named by the sanitised form of the row's model.
  EXPECT_EQ(Match("a/b,1,,\n", {"hf", "", "a__b"}), "a/b");
  // Paths: the last segment counts, slashes at the end do not.
  EXPECT_EQ(Match("p-2,1,,\n", {"hf", "pretrained=/models/p-2/", ""}), "p-2");
  // pretrained= is a key of its own, not the end of another.
  EXPECT_EQ(Match("p-2,1,,\n", {"hf", "not_pretrained=p-2", ""}), "");
}

TEST(ModelMatchTest, NothingMatchesNothing) {
  EXPECT_EQ(Match("x,1,,\n", {}), "");
  EXPECT_EQ(Match("x,1,,\n", {"/", "pretrained=,", ""}), "");
}

TEST(ModelMatchTest, EarlierRulesHideLaterOnes) {
  const RunModel run = {"org/m-1", "pretrained=org/m-1", "folder_1"};
  EXPECT_EQ(Match("m-1,1,,\norg/m-1,2,,\nfolder_1,3,,\n", run), "org/m-1");
  EXPECT_EQ(Match("folder_1,3,,\nm-1,1,,\n", run), "m-1");
}

TEST(ModelMatchTest, AmbiguousMatchesNameBoth) {
  EXPECT_EQ(Match("m,1,1,\nm,1,2,\n", {"m", "", ""}),
            "!run of \"m\" matches \"m\" seed 1 (s.csv:2) and \"m\" seed 2 (s.csv:3): keep one of "
            "these rows, or give in `model` the full name that the run has");
  EXPECT_THAT(Match("m,1,,10\nx,1,,\nm,1,,20\nm,1,,30\n", {"m", "", ""}),
              HasSubstr("\"m\" step 10 (s.csv:2) and \"m\" step 20 (s.csv:4) and 1 more"));
  // The name and its sanitised form, as two rows; the name and pretrained=.
  EXPECT_THAT(Match("a/b,1,,\na__b,2,,\n", {"a/b", "", ""}),
              HasSubstr("\"a/b\" (s.csv:2) and \"a__b\" (s.csv:3)"));
  EXPECT_THAT(Match("m,1,,\np,2,,\n", {"m", "pretrained=p", ""}), HasSubstr("!run of \"m\""));
  // Last segments of different names.
  EXPECT_THAT(Match("m,1,,\np,2,,\n", {"x/m", "pretrained=y/p", ""}), HasSubstr("!run of \"x/m\""));
  // Two rows for one folder.
  EXPECT_THAT(Match("a/b,1,,\na:b,2,,\n", {"", "", "a__b"}), HasSubstr("!run of \"a__b\""));
}

}  // namespace
}  // namespace mirage::client
