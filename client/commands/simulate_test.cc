#include "client/commands/simulate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "client/exit_code.h"
#include "client/tables/scales_table.h"
#include "integrations/evidence/evidence_set.h"
#include "integrations/lm_eval/discover.h"
#include "nlohmann/json.hpp"
#include "server/embedded.h"
#include "tests/support/temporary_folder.h"

namespace mirage::client {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SimulateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto embedded = server::StartEmbedded();
    ASSERT_TRUE(embedded.ok()) << embedded.status();
    embedded_ = *std::move(embedded);
  }

  int Run(const SimulateOptions& options) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = RunSimulate(options, embedded_.channel);
    out_ = testing::internal::GetCapturedStdout();
    error_ = testing::internal::GetCapturedStderr();
    return code;
  }

  SimulateOptions Small(const std::string& truth, const std::string& folder) const {
    SimulateOptions options;
    options.truth = truth;
    options.samples = 40;
    options.scales = {1e7, 1e8, 1e9};
    options.output = folder_.path() + "/" + folder;
    return options;
  }

  static std::string Read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // Every file below, by its path.
  static std::map<std::string, std::string> All(const std::string& folder) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) {
        files[fs::relative(entry.path(), folder).string()] = Read(entry.path());
      }
    }
    return files;
  }

  test_support::TemporaryFolder folder_;
  server::Embedded embedded_;
  std::string out_;
  std::string error_;
};

TEST_F(SimulateTest, WritesAFamilyThatReadersRead) {
  const SimulateOptions options = Small("mirage", "new/family");
  ASSERT_EQ(Run(options), kDone) << error_;
  EXPECT_THAT(out_, HasSubstr("truth: "));
  EXPECT_THAT(error_, IsEmpty());
  const auto files = All(options.output);
  // Results, two tasks, evidence of one of them; for three models.
  EXPECT_EQ(files.size(), 3u * 4 + 2);
  const auto truth = nlohmann::json::parse(files.at("truth.json"));
  EXPECT_THAT(truth["generator"].get<std::string>(), HasSubstr("mirage "));
  EXPECT_EQ(truth["spec"]["n_samples"], 40);
  EXPECT_EQ(truth["acceptable"][0], truth["verdict"]);

  const std::vector<std::string> tables = {options.output + "/models.csv"};
  const auto scales = ReadScales(tables);
  ASSERT_TRUE(scales.ok()) << scales.status();
  EXPECT_THAT(scales->warnings, IsEmpty());
  ASSERT_EQ(scales->rows.size(), 3u);
  EXPECT_EQ(scales->rows[0].scale.family(), "mirage");

  const auto runs = integrations::lm_eval::FindRuns(options.output);
  ASSERT_TRUE(runs.ok()) << runs.status();
  ASSERT_EQ(runs->size(), 3u);
  auto set = integrations::evidence::EvidenceSet::Find({});
  for (const auto& found : *runs) {
    auto reader = found.Open();
    ASSERT_TRUE(reader.ok()) << reader.status();
    auto evidence = set->ForRun((*reader)->run(), found.folder);
    ASSERT_TRUE(evidence.ok()) << evidence.status();
    EXPECT_EQ((*evidence)->files().size(), 1u);
    v1::SampleBatch batch;
    integrations::BatchOrigin origin;
    uint32_t n = 0;
    while (*(*reader)->Next(&batch, &origin)) {
      (*evidence)->AddTo(&batch);
      EXPECT_EQ(batch.has_token_logprobs(), batch.has_generation());
      n += batch.n_samples();
    }
    EXPECT_EQ(n, 80u);
    EXPECT_THAT((*reader)->issues(), IsEmpty());
    EXPECT_THAT((*reader)->notes(), IsEmpty());
    for (const auto& note : (*evidence)->Notes()) ADD_FAILURE() << note.text;
  }
}

TEST_F(SimulateTest, SameOptionsSameBytes) {
  SimulateOptions options = Small("multiple_choice", "a");
  ASSERT_EQ(Run(options), kDone) << error_;
  const auto first = All(options.output);
  options.output = folder_.path() + "/b";
  ASSERT_EQ(Run(options), kDone) << error_;
  EXPECT_EQ(first, All(options.output));
  options.output = folder_.path() + "/c";
  options.seed = 1;
  ASSERT_EQ(Run(options), kDone) << error_;
  EXPECT_NE(first, All(options.output));
}

TEST_F(SimulateTest, NeverOverwrites) {
  const SimulateOptions options = Small("mirage", "mine");
  fs::create_directory(options.output);
  std::ofstream(options.output + "/notes.txt") << "mine";
  EXPECT_EQ(Run(options), kFailed);
  EXPECT_THAT(error_, HasSubstr("is not empty"));
  EXPECT_EQ(All(options.output).size(), 1u);
  fs::remove(options.output + "/notes.txt");
  EXPECT_EQ(Run(options), kDone) << error_;
  SimulateOptions file = Small("mirage", "mine/truth.json");
  EXPECT_EQ(Run(file), kFailed);
  EXPECT_THAT(error_, HasSubstr("is no folder"));
}

TEST_F(SimulateTest, WhatIsRefusedLeavesNothing) {
  SimulateOptions options = Small("mirrage", "new/family");
  EXPECT_EQ(Run(options), kUsage);
  EXPECT_THAT(error_, HasSubstr("mirage"));
  EXPECT_FALSE(fs::exists(folder_.path() + "/new"));
  options.truth = "trials";
  EXPECT_EQ(Run(options), kUsage);
  EXPECT_THAT(error_, HasSubstr("spec.evidence is TRIALS"));
  options.truth = "mirage";
  options.scales = {2, 1};
  EXPECT_EQ(Run(options), kUsage);
  EXPECT_THAT(error_, HasSubstr("spec.scales[1]"));
  EXPECT_FALSE(fs::exists(folder_.path() + "/new"));
}

TEST_F(SimulateTest, SpecificationsInYaml) {
  SimulateOptions options = Small("", "family");
  options.spec = folder_.path() + "/spec.yaml";
  std::ofstream(options.spec) << "truth: break\nfamily: a/b\nn_seeds: 2\ntau: 0\nn_samples: 7\n"
                                 "breaks:\n  - {scale: 5e7, delta_exponent: 0.7}\n";
  ASSERT_EQ(Run(options), kDone) << error_;
  const auto truth = nlohmann::json::parse(Read(options.output + "/truth.json"));
  EXPECT_EQ(truth["spec"]["breaks"][0]["scale"], 5e7);
  EXPECT_EQ(truth["spec"]["tau"], 0);
  // Flags count more.
  EXPECT_EQ(truth["spec"]["n_samples"], 40);
  EXPECT_TRUE(fs::is_directory(options.output + "/a__b-10M-s1"));
  EXPECT_THAT(Read(options.output + "/models.csv"), HasSubstr("a/b-100M-s0,100000000,a/b,0"));

  std::ofstream(options.spec) << "tao: 0\n";
  options.output += "2";
  EXPECT_EQ(Run(options), kFailed);
  EXPECT_THAT(error_, HasSubstr("spec.yaml:1:1"));
  options.spec += "x";
  EXPECT_EQ(Run(options), kFailed);
}

TEST_F(SimulateTest, ListsPresets) {
  SimulateOptions options;
  options.list = true;
  EXPECT_EQ(Run(options), kDone);
  EXPECT_THAT(out_, HasSubstr("staggered_breaks  Each of three positions"));
  EXPECT_THAT(out_, HasSubstr("(Not as files.)"));
}

TEST_F(SimulateTest, OptionsThatDoNotGoTogether) {
  EXPECT_EQ(Run({}), kUsage);
  EXPECT_THAT(error_, HasSubstr("--list prints them all"));
  SimulateOptions options;
  options.truth = "paper";
  EXPECT_EQ(Run(options), kUsage);
  EXPECT_THAT(error_, HasSubstr("-o is missing"));
  options.list = true;
  EXPECT_EQ(Run(options), kUsage);
}

}  // namespace
}  // namespace mirage::client
