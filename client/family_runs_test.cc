#include "client/family_runs.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/embedded.h"
#include "tests/support/temporary_folder.h"

namespace mirage::client {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kDate[] = "2026-11-23T00-14-31.000000";

class FamilyRunsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto embedded = server::StartEmbedded();
    ASSERT_TRUE(embedded.ok());
    embedded_ = *std::move(embedded);
    options_.paths = {folder_.path() + "/runs"};
  }

  void Put(const std::string& name, const std::string& content) const {
    const std::filesystem::path path = std::filesystem::path(folder_.path()) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
  }
  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }

  // A run of lm-eval with two samples.
  void PutRun(const std::string& model, const std::string& parameters = "") const {
    const std::string where = fmt::format("runs/{}/", model);
    Put(fmt::format("{}results_{}.json", where, kDate),
        fmt::format(R"({{"results": {{"t": {{"alias": "t", "acc,none": 0.5}}}},
            "configs": {{"t": {{"output_type": "loglikelihood"}}}},
            "n-samples": {{"t": {{"original": 2, "effective": 2}}}},
            "config": {{"model": "hf", "model_args": "pretrained=org/{}"{}}},
            "model_name": "org/{}", "lm_eval_version": "0.4.13"}})",
                    model, parameters.empty() ? "" : ", \"model_num_parameters\": " + parameters,
                    model));
    std::string rows;
    for (int i = 0; i < 2; ++i) {
      rows += fmt::format(
          R"({{"doc_id": {}, "doc": {{}}, "target": "x", "arguments": {{"gen_args_0": {{"arg_0": "{}", "arg_1": "x"}}}}, "resps": [[["-1.5", "True"]]], "filtered_resps": [["-1.5", "True"]], "filter": "none", "metrics": ["acc"], "doc_hash": "d{}{}", "prompt_hash": "p{}", "target_hash": "t", "acc": {}}})"
          "\n",
          i, model, i, model, i, i);
    }
    Put(fmt::format("{}samples_t_{}.jsonl", where, kDate), rows);
  }

  absl::StatusOr<FamilyRuns> Send() { return SendFamilyRuns(embedded_.channel, options_); }

  static std::vector<std::string> Models(const FamilyRuns& runs) {
    std::vector<std::string> models;
    for (const v1::FamilyRun& run : runs.runs) models.push_back(run.scale().model());
    return models;
  }

  const test_support::TemporaryFolder folder_;
  server::Embedded embedded_;
  FamilyRunsOptions options_;
};

TEST_F(FamilyRunsTest, EachRunTakesItsRow) {
  PutRun("a-1b");
  PutRun("b-2b");
  Put("models.csv", "model,parameters,family,seed\nb-2b,2e9,f,7\na-1b,1e9,f,7\nc-4b,4e9,f,7\n");
  options_.scales = {Path("models.csv")};
  uint64_t last = 0;
  uint64_t all = 0;
  options_.progress = [&](uint64_t read, uint64_t total) {
    EXPECT_GE(read, last);
    last = read;
    all = total;
  };
  const auto runs = Send();
  ASSERT_TRUE(runs.ok()) << runs.status();
  ASSERT_THAT(Models(*runs), ElementsAre("a-1b", "b-2b"));
  EXPECT_THAT(runs->runs[0].run(), StartsWith("runs/"));
  EXPECT_EQ(runs->runs[0].scale().parameters(), 1e9);
  EXPECT_EQ(runs->runs[1].scale().family(), "f");
  EXPECT_EQ(runs->runs[1].scale().seed(), "7");
  EXPECT_THAT(runs->warnings,
              ElementsAre("1 of 3 rows of the tables of scales match no run: c-4b"));
  EXPECT_THAT(runs->failures, IsEmpty());
  EXPECT_THAT(runs->inputs, SizeIs(4));
  EXPECT_EQ(last, all);
}

TEST_F(FamilyRunsTest, WithoutATableTheRunsSpeakForThemselves) {
  PutRun("a-1b", "1000");
  PutRun("b-2b");
  const auto runs = Send();
  ASSERT_TRUE(runs.ok()) << runs.status();
  EXPECT_THAT(Models(*runs), ElementsAre("org/a-1b"));
  EXPECT_EQ(runs->runs[0].scale().parameters(), 1000);
  EXPECT_THAT(runs->warnings, ElementsAre(HasSubstr("1 of 2 runs do not say how large their model "
                                                    "is, and were left out: org/b-2b")));
}

TEST_F(FamilyRunsTest, NoScaleAtAll) {
  PutRun("a-1b");
  auto runs = Send();
  EXPECT_TRUE(absl::IsInvalidArgument(runs.status()));
  EXPECT_THAT(std::string(runs.status().message()),
              HasSubstr("no run says how large its model is (org/a-1b): give --scales FILE"));
  Put("models.csv", "model,parameters\nz,2e9\n");
  options_.scales = {Path("models.csv")};
  runs = Send();
  EXPECT_THAT(std::string(runs.status().message()),
              HasSubstr("the runs' models are org/a-1b; the tables name z"));
}

TEST_F(FamilyRunsTest, WhatCannotBeReadIsNamedAndTheRestIsThere) {
  PutRun("a-1b", "1000");
  PutRun("b-2b", "2000");
  Put(fmt::format("runs/b-2b/results_{}.json", kDate), "{\"results\":");
  options_.paths.push_back(Path("nowhere"));
  // Once more by another path: taken once.
  options_.paths.push_back(Path("runs/a-1b"));
  const auto runs = Send();
  ASSERT_TRUE(runs.ok()) << runs.status();
  EXPECT_THAT(Models(*runs), ElementsAre("org/a-1b"));
  EXPECT_THAT(runs->failures, SizeIs(2));
  EXPECT_THAT(runs->failures, Contains(HasSubstr("nowhere")));
  EXPECT_THAT(runs->failures, Contains(HasSubstr("b-2b")));
  options_.paths = {Path("nowhere")};
  EXPECT_THAT(std::string(Send().status().message()), HasSubstr("nowhere"));
}

TEST_F(FamilyRunsTest, ARunThatSeveralRowsMatchIsLeftOut) {
  PutRun("a-1b");
  PutRun("b-2b");
  Put("models.csv", "model,parameters,seed\na-1b,1e9,1\na-1b,1e9,2\nb-2b,2e9,1\n");
  options_.scales = {Path("models.csv")};
  const auto runs = Send();
  ASSERT_TRUE(runs.ok()) << runs.status();
  EXPECT_THAT(Models(*runs), ElementsAre("b-2b"));
  EXPECT_THAT(runs->failures, ElementsAre(HasSubstr("a-1b")));
}

TEST_F(FamilyRunsTest, ATableThatCannotBeReadEndsIt) {
  PutRun("a-1b");
  options_.scales = {Path("none.csv")};
  EXPECT_THAT(std::string(Send().status().message()), HasSubstr("none.csv"));
}

}  // namespace
}  // namespace mirage::client
