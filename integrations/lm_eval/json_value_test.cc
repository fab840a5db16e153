#include "integrations/lm_eval/json_value.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <fstream>

#include "tests/support/file_permissions.h"

namespace mirage::integrations::lm_eval {
namespace {

TEST(ParseJsonTest, KeepsOrderNumbersAndNaN) {
  const auto json = ParseJson(
      "\xEF\xBB\xBF{\"b\": 1.0, \"a\": [true, null, \"x\\ud83d\\n\"], \"n\": NaN, \"i\": -Infinity,"
      " \"b\": 2}",
      "f.json");
  ASSERT_TRUE(json.ok()) << json.status();
  ASSERT_EQ(json->members.size(), 5u);
  EXPECT_EQ(json->members[0].first, "b");
  EXPECT_EQ(json->members[0].second.text, "1.0");
  EXPECT_EQ((*json)["b"].number, 2);
  EXPECT_TRUE((*json)["a"].items[0].boolean);
  EXPECT_TRUE((*json)["a"].items[1].is_null());
  EXPECT_EQ((*json)["a"].items[2].text, "x\uFFFD\n");
  EXPECT_TRUE(std::isnan((*json)["n"].number));
  EXPECT_EQ((*json)["i"].number, -INFINITY);
  EXPECT_TRUE((*json)["missing"]["deeper"].is_null());
  EXPECT_EQ(json->Find("missing"), nullptr);
}

TEST(ParseJsonTest, SaysWhereItIsDamaged) {
  const auto message = [](std::string_view text) {
    const auto json = ParseJson(text, "f.json");
    EXPECT_EQ(json.status().code(), absl::StatusCode::kInvalidArgument) << text;
    return std::string(json.status().message());
  };
  const std::string remedy =
      ": it may have been cut off or edited; copy it again or repeat the evaluation";
  EXPECT_EQ(message(""), "f.json is empty (line 1, byte 0)" + remedy);
  EXPECT_EQ(message(" \n"), "f.json is empty (line 1, byte 0)" + remedy);
  EXPECT_EQ(message("{\n\"a\": \"b"), "f.json ends inside a string (line 2, byte 9)" + remedy);
  EXPECT_EQ(message("{\n\"a\": [1"),
            "f.json ends before its last bracket is closed (line 2, byte 9)" + remedy);
  EXPECT_EQ(message("{\"a\":\n\"\xFF\"}"), "f.json is not UTF-8 text (line 2, byte 7)" + remedy);
  EXPECT_EQ(message("{\"a\": nope}"), "f.json is not JSON (line 1, byte 6, at \"nope}\")" + remedy);
  EXPECT_EQ(message("{\"a\": 1} x}"), "f.json is not JSON (line 1, byte 9, at \"x}\")" + remedy);
  EXPECT_EQ(message("3"), "f.json is not JSON (line 1, byte 0, at \"3\")" + remedy);
  const std::string deep = std::string(200, '[') + std::string(200, ']');
  EXPECT_NE(message(deep).find("nests deeper than 128 levels"), std::string::npos);
  const std::string deeper = std::string(5000, '[') + std::string(5000, ']');
  EXPECT_NE(message(deeper).find("nests deeper than 128 levels"), std::string::npos);
}

TEST(ReadJsonTest, ReportsFilesThatCannotBeRead) {
  const std::string folder = ::testing::TempDir();
  EXPECT_EQ(
      ReadJson(folder + "/absent.json", 100).status(),
      absl::NotFoundError("cannot open " + folder + "/absent.json: No such file or directory"));
  for (const std::string& other : {folder, folder + "/pipe.json"}) {
    if (other != folder) mkfifo(other.c_str(), 0600);
    EXPECT_EQ(ReadJson(other, 100).status(),
              absl::InvalidArgumentError("cannot read " + other +
                                         ": it is not a file; put the file itself in its place"));
  }
  const std::string path = folder + "/large.json";
  std::ofstream(path) << "{\"a\": \"0123456789\"}";
  EXPECT_TRUE(ReadJson(path, 100).ok());
  EXPECT_EQ(
      ReadJson(path, 10).status(),
      absl::ResourceExhaustedError(
          path + " is larger than 10 bytes, the limit for a results file: is it a samples file "
                 "under another name?"));
  const test_support::UnderFilePermissions plain;
  if (!plain.holds()) GTEST_SKIP() << "root may read and write everywhere";
  chmod(path.c_str(), 0);
  EXPECT_EQ(ReadJson(path, 100).status().code(), absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace mirage::integrations::lm_eval
