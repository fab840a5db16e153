#include "integrations/lm_eval/discover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/file_permissions.h"

namespace mirage::integrations::lm_eval {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

namespace fs = std::filesystem;

const std::string kData = "integrations/lm_eval/testdata/";
const std::string kDate = "2026-11-23T01-02-03.000004";
const std::string kLookedFor =
    "looked for results_<date>.json, samples_<task>_<date>.jsonl and other .json files with "
    "lm-eval's \"results\"";

std::vector<FoundRun> Find(const std::string& path) {
  auto runs = FindRuns(path);
  EXPECT_TRUE(runs.ok()) << runs.status();
  return runs.ok() ? *std::move(runs) : std::vector<FoundRun>();
}

// A fresh folder for one test.
std::string Scratch(const std::string& name) {
  std::string path = ::testing::TempDir() + "/" + name;
  fs::remove_all(path);
  fs::create_directories(path);
  return path;
}

void Write(const std::string& path, const std::string& text) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path) << text;
}

constexpr char kResults[] = R"({"results": {"mc": {"acc,none": 1}}, "config": {}})";
constexpr char kDerived[] = "{\n  \"generator\": \"mirage 0.1.0\",\n  \"runs\": []\n}";

TEST(IsDateIdTest, KnowsLmEvalsDates) {
  EXPECT_TRUE(IsDateId("2026-11-23T00-14-31.362882"));
  EXPECT_TRUE(IsDateId("2026-11-23T00-14-31"));
  EXPECT_TRUE(IsDateId("2024-06-01T12:34:56.789"));
  for (const char* text :
       {"", "2026-11-23", "2026-11-23T00-14", "2026-11-23T00-14-31.", "2026-11-23T00-14-31.36x",
        "2026:11-23T00-14-31", "x026-11-23T00-14-31"}) {
    EXPECT_FALSE(IsDateId(text)) << text;
  }
}

TEST(FindRunsTest, TakesAFolder) {
  const std::vector<FoundRun> runs = Find(kData + "demo/");
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].results, kData + "demo/results_2026-11-22T21-56-36.120725.json");
  EXPECT_EQ(runs[0].folder, kData + "demo");
  EXPECT_EQ(runs[0].date, "2026-11-22T21-56-36.120725");
  std::vector<std::string> tasks;
  for (const SamplesFile& file : runs[0].samples) tasks.push_back(file.task);
  EXPECT_THAT(tasks,
              ElementsAre("demo_gen", "demo_ll", "demo_mc", "demo_mi", "demo_roll", "demo_wino"));
  EXPECT_THAT(runs[0].warnings, IsEmpty());
  EXPECT_TRUE(runs[0].Open().ok());
}

TEST(FindRunsTest, TakesAFileForItsRun) {
  const std::string folder = kData + "demo/";
  for (const char* file : {"results_2026-11-22T21-56-36.120725.json",
                           "samples_demo_ll_2026-11-22T21-56-36.120725.jsonl"}) {
    const std::vector<FoundRun> runs = Find(folder + file);
    ASSERT_EQ(runs.size(), 1u) << file;
    EXPECT_EQ(runs[0].samples.size(), 6u);
    EXPECT_EQ(runs[0].results, folder + "results_2026-11-22T21-56-36.120725.json");
  }
}

TEST(FindRunsTest, TakesAJsonOutputPath) {
  const std::vector<FoundRun> runs = Find(kData + "json_path");
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].results, kData + "json_path/r_2026-11-23T00-15-19.954805.json");
  EXPECT_EQ(runs[0].date, "2026-11-23T00-15-19.954805");
  ASSERT_EQ(runs[0].samples.size(), 1u);
  EXPECT_EQ(runs[0].samples[0].task, "demo_mc");
  // The 40 facts: accuracy 0.775, as reported.
  auto reader = runs[0].Open();
  ASSERT_TRUE(reader.ok());
  v1::SampleBatch batch;
  BatchOrigin origin;
  ASSERT_TRUE(*(*reader)->Next(&batch, &origin));
  EXPECT_EQ(batch.n_samples(), 40u);
  double sum = 0;
  for (const double value : batch.scores(0).values()) sum += value;
  EXPECT_EQ(sum / 40, 0.775);
  EXPECT_EQ((*reader)->run().tasks(0).reported(0).value(), 0.775);
}

TEST(FindRunsTest, PairsUndatedFiles) {
  std::vector<FoundRun> runs = Find(kData + "v040");
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].date, "results");
  std::vector<std::string> tasks;
  for (const SamplesFile& file : runs[0].samples) tasks.push_back(file.task);
  EXPECT_THAT(tasks, ElementsAre("gen", "mc", "roll"));
  // By one of its samples.
  runs = Find(kData + "v040/pretrained__org__tiny,dtype__float32_mc.jsonl");
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].samples.size(), 3u);

  runs = Find(kData + "v03");
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].date, "bloom-3b_sciq");
  EXPECT_THAT(runs[0].warnings,
              ElementsAre("no samples beside bloom-3b_sciq.json: only its aggregates are known; "
                          "evaluate with --log_samples to get the samples"));
}

TEST(FindRunsTest, PairsUndatedFilesByModelArguments) {
  const std::string folder = Scratch("two_models");
  for (const char* model : {"a", "b"}) {
    Write(folder + "/" + model + ".json",
          std::string(R"({"results": {"mc": {"acc,none": 1}, "x_mc": {"acc,none": 1}},)") +
              R"("configs": {}, "config": {"model_args": "pretrained=)" + model + R"("}})");
    Write(folder + "/pretrained__" + model + "_x_mc.jsonl", R"([{"doc_id": 0}])");
  }
  Write(folder + "/data.jsonl", "{\"question\": 1}\n");
  Write(folder + "/pretrained__c_mc.jsonl", R"([{"doc_id": 0}])");
  const std::vector<FoundRun> runs = Find(folder);
  ASSERT_EQ(runs.size(), 2u);
  for (const FoundRun& run : runs) {
    ASSERT_EQ(run.samples.size(), 1u);
    EXPECT_EQ(run.samples[0].task, "x_mc");
    EXPECT_EQ(run.samples[0].path, folder + "/pretrained__" + run.date + "_x_mc.jsonl");
  }
}

TEST(FindRunsTest, ReportsSamplesOfAnotherDate) {
  std::vector<FoundRun> runs = Find(kData + "orphans");
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_THAT(runs[0].samples, IsEmpty());
  EXPECT_THAT(
      runs[0].warnings,
      ElementsAre(
          "no samples_<task>_" + kDate + ".jsonl beside results_" + kDate +
              ".json: only its aggregates are known; evaluate with --log_samples to get the "
              "samples",
          "left out, because the folder has no results file of their date: "
          "samples_mc_2026-11-22T01-02-03.000004.jsonl"));
  // Named, they are a run without results.
  runs = Find(kData + "orphans/samples_mc_2026-11-22T01-02-03.000004.jsonl");
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].results, "");
  EXPECT_EQ(runs[0].samples.size(), 1u);
  EXPECT_EQ(runs[0].date, "2026-11-22T01-02-03.000004");
}

TEST(FindRunsTest, TakesSamplesWithoutAnyResults) {
  const std::vector<FoundRun> runs = Find(kData + "samples_only");
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].results, "");
  EXPECT_EQ(runs[0].date, kDate);
  EXPECT_EQ(runs[0].folder, kData + "samples_only/org__tiny");
}

TEST(FindRunsTest, TakesEveryRunBelow) {
  const std::string folder = Scratch("several");
  Write(folder + "/b/results_2026-01-02T00-00-00.json", kResults);
  Write(folder + "/b/results_2026-01-01T00-00-00.json", kResults);
  Write(folder + "/b/samples_a_b_2026-01-01T00-00-00.jsonl", "");
  Write(folder + "/b/samples_2026-01-01T00-00-00.jsonl", "");
  Write(folder + "/a/deep/er/results_2026-01-03T00-00-00.json", kResults);
  Write(folder + "/a/mirage_2026-01-03T00-00-00.json", kDerived);
  Write(folder + "/a/mirage_samples_x_2026-01-03T00-00-00.jsonl", "{}");
  Write(folder + "/a/package.json", "{\"results\": 3}");
  fs::create_directory_symlink("..", folder + "/a/loop");
  fs::create_directory_symlink(folder + "/b", folder + "/z");
  fs::create_symlink("nowhere", folder + "/a/dangling.json");
  const std::vector<FoundRun> runs = Find(folder);
  std::vector<std::string> paths;
  paths.reserve(runs.size());
  for (const FoundRun& run : runs) paths.push_back(run.results.substr(folder.size()));
  EXPECT_THAT(paths, ElementsAre("/a/deep/er/results_2026-01-03T00-00-00.json",
                                 "/b/results_2026-01-01T00-00-00.json",
                                 "/b/results_2026-01-02T00-00-00.json"));
  ASSERT_EQ(runs[1].samples.size(), 1u);
  EXPECT_EQ(runs[1].samples[0].task, "a_b");
}

TEST(FindRunsTest, KeepsDamagedResultsForOpenToReport) {
  const std::vector<FoundRun> runs = Find(kData + "broken");
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_EQ(runs[0].Open().status(),
            absl::InvalidArgumentError(
                kData + "broken/other/results_" + kDate +
                ".json is not an lm-eval results file: it is an Inspect log; name the "
                "results_<date>.json that lm_eval wrote under --output_path"));
  EXPECT_TRUE(runs[1].Open().ok());
  EXPECT_EQ(runs[2].Open().status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(FindRunsTest, SaysWhatItLookedFor) {
  const std::string folder = Scratch("nothing");
  Write(folder + "/notes.txt", "hello");
  EXPECT_EQ(FindRuns(folder).status(),
            absl::NotFoundError("no lm-eval run under " + folder + ": " + kLookedFor));
  EXPECT_EQ(FindRuns(folder + "/absent").status(),
            absl::NotFoundError("cannot read " + folder + "/absent: No such file or directory"));
  EXPECT_EQ(FindRuns(folder + "/notes.txt").status(),
            absl::InvalidArgumentError(folder +
                                       "/notes.txt is neither a results nor a samples file of "
                                       "lm-eval: " +
                                       kLookedFor));
  EXPECT_EQ(
      FindRuns("/dev/null").status(),
      absl::InvalidArgumentError("/dev/null is neither a file nor a folder: name what lm_eval "
                                 "wrote"));
  Write(folder + "/mirage_2026-01-01T00-00-00.json", kDerived);
  EXPECT_EQ(
      FindRuns(folder + "/mirage_2026-01-01T00-00-00.json").status(),
      absl::InvalidArgumentError(folder + "/mirage_2026-01-01T00-00-00.json was written by "
                                          "mirage: name the results file that lm_eval wrote"));
}

// lm_eval --output_path mirage_run.json.
TEST(FindRunsTest, TellsItsOwnFilesByTheirContent) {
  const std::string folder = Scratch("own");
  const std::string date = "_2026-01-01T00-00-00";
  const std::string results = folder + "/mirage_run" + date + ".json";
  Write(results, kResults);
  Write(folder + "/samples_mc" + date + ".jsonl", "{\"doc_id\": 0}\n");
  Write(folder + "/mirage" + date + ".json", kDerived);
  Write(folder + "/mirage_samples_mc" + date + ".jsonl",
        "{\"generator\":\"mirage 0.1.0\",\"task\":\"mc\"}\n{\"doc_id\":\"0\"}\n");
  for (const std::string& path : {folder, results}) {
    const std::vector<FoundRun> runs = Find(path);
    ASSERT_EQ(runs.size(), 1u);
    EXPECT_EQ(runs[0].results, results);
    EXPECT_EQ(runs[0].samples.size(), 1u);
  }
  EXPECT_EQ(FindRuns(folder + "/mirage_samples_mc" + date + ".jsonl").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(FindRunsTest, LeavesForeignResultsAlone) {
  const std::string folder = Scratch("foreign");
  Write(folder + "/ci.json", R"({"results": {"suite": {"passed": 3}}, "config": {}})");
  EXPECT_EQ(FindRuns(folder).status().code(), absl::StatusCode::kNotFound);
  const std::vector<FoundRun> runs = Find(folder + "/ci.json");
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(
      runs[0].Open().status(),
      absl::InvalidArgumentError(
          folder + "/ci.json is not an lm-eval results file: it has \"results\", but nothing that "
                   "lm-eval writes beside them (versions, configs, n-shot, config.model, "
                   "lm_eval_version); name the results_<date>.json that lm_eval wrote under "
                   "--output_path"));
}

TEST(FindRunsTest, TakesNamesThatAreNoFiles) {
  const std::string folder = Scratch("no_files");
  const std::string date = "_2026-01-01T00-00-00";
  Write(folder + "/a/results" + date + ".json", kResults);
  fs::create_symlink("nowhere", folder + "/a/samples_mc" + date + ".jsonl");
  mkfifo((folder + "/a/samples_gen" + date + ".jsonl").c_str(), 0600);
  fs::create_symlink("nowhere", folder + "/a/other" + date + ".json");
  fs::create_directory(folder + "/b");
  mkfifo((folder + "/b/results" + date + ".json").c_str(), 0600);
  fs::create_directory(folder + "/c");
  fs::create_symlink("nowhere", folder + "/c/run" + date + ".json");
  Write(folder + "/c/samples_mc" + date + ".jsonl", "{\"doc_id\": 0}\n");
  const std::vector<FoundRun> runs = Find(folder);
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_EQ(runs[0].samples.size(), 2u);
  EXPECT_THAT(runs[0].warnings, IsEmpty());
  auto reader = runs[0].Open();
  ASSERT_TRUE(reader.ok()) << reader.status();
  v1::SampleBatch batch;
  BatchOrigin origin;
  EXPECT_FALSE(*(*reader)->Next(&batch, &origin));
  EXPECT_EQ((*reader)->n_unreadable_files(), 2u);
  EXPECT_EQ(runs[1].Open().status(),
            absl::InvalidArgumentError("cannot read " + folder + "/b/results" + date +
                                       ".json: it is not a file; put the file itself in its "
                                       "place"));
  EXPECT_EQ(runs[2].Open().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(runs[2].samples.size(), 1u);
}

TEST(FindRunsTest, OpensANamedFileOfAnyName) {
  const std::string folder = Scratch("any_name");
  Write(folder + "/rows.jsonl", "{\"doc_id\": 0}\n");
  std::vector<FoundRun> runs = Find(folder + "/rows.jsonl");
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].samples[0].task, "rows");
  Write(folder + "/wrong.json", "{}");
  runs = Find(folder + "/wrong.json");
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].Open().status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(FindRunsTest, KeepsToItsLimits) {
  const std::string folder = Scratch("limits");
  Write(folder + "/a/b/results_2026-01-01T00-00-00.json", kResults);
  Write(folder + "/a/results_2026-01-02T00-00-00.json", kResults);
  FindOptions options;
  options.max_depth = 1;
  std::vector<std::string> warnings;
  const auto runs = FindRuns(folder, options, &warnings);
  ASSERT_TRUE(runs.ok());
  EXPECT_EQ(runs->size(), 1u);
  EXPECT_THAT(warnings, ElementsAre("folders more than 1 levels down were not looked into, from " +
                                    folder + "/a on"));
  options.max_entries = 2;
  options.max_depth = 9;
  EXPECT_EQ(FindRuns(folder, options).status(),
            absl::ResourceExhaustedError("more than 2 files under the path, at " + folder +
                                         "/a: name the folder that lm_eval wrote"));
}

TEST(FindRunsTest, ReportsFoldersThatCannotBeRead) {
  const test_support::UnderFilePermissions plain;
  if (!plain.holds()) GTEST_SKIP() << "root may read and write everywhere";
  const std::string folder = Scratch("locked");
  Write(folder + "/open/results_2026-01-01T00-00-00.json", kResults);
  fs::create_directories(folder + "/shut");
  chmod((folder + "/shut").c_str(), 0);
  EXPECT_EQ(FindRuns(folder + "/shut").status(),
            absl::PermissionDeniedError("cannot read " + folder + "/shut: Permission denied"));
  std::vector<std::string> warnings;
  EXPECT_EQ(FindRuns(folder, {}, &warnings)->size(), 1u);
  EXPECT_THAT(warnings, ElementsAre("cannot read " + folder + "/shut: Permission denied"));
  chmod((folder + "/shut").c_str(), 0700);
}

}  // namespace
}  // namespace mirage::integrations::lm_eval
