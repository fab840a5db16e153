#include "client/commands/attach.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>

#include "client/exit_code.h"
#include "mirage/v1/ingest.grpc.pb.h"
#include "nlohmann/json.hpp"
#include "server/embedded.h"
#include "tests/support/service_channel.h"
#include "tests/support/temporary_folder.h"

namespace mirage::client {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kDate[] = "2026-11-23T01-02-03.000004";

// One row of multiple choice with two choices as lm-eval 0.4 writes it.
std::string Row(const std::string& task, int doc_id, int gold, const char* first,
                const char* second, double acc) {
  // Braces around two strings would be an object.
  const json one = json::array({first, "False"}), two = json::array({second, "False"});
  const json row = {
      {"doc_id", doc_id},
      {"doc", {{"question", "Which one?"}, {"answer", gold}}},
      {"target", std::to_string(gold)},
      {"arguments",
       {{"gen_args_0", {{"arg_0", task}, {"arg_1", " one"}}},
        {"gen_args_1", {{"arg_0", task}, {"arg_1", " two"}}}}},
      {"resps", json::array({json::array({one}), json::array({two})})},
      {"filtered_resps", json::array({one, two})},
      {"filter", "none"},
      {"metrics", json::array({"acc"})},
      {"doc_hash", std::string(64, '1')},
      {"prompt_hash", std::string(64, '2')},
      {"target_hash", std::string(64, '3')},
      {"acc", acc},
  };
  return row.dump() + "\n";
}

class AttachTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.paths = {Path("run")};
    options_.output_format = "json";
    AddRun("run", 1);
  }

  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }

  void Put(const std::string& name, const std::string& content) const {
    fs::create_directories(fs::path(Path(name)).parent_path());
    std::ofstream(Path(name), std::ios::binary) << content;
  }

  // A run of tasks t1, t2, … of four samples each; acc is 0.75.
  void AddRun(const std::string& name, int n_tasks) const {
    json results = {{"model_name", "tiny"}, {"lm_eval_version", "0.4.9"}};
    for (int t = 1; t <= n_tasks; ++t) {
      const std::string task = "t" + std::to_string(t);
      results["results"][task] = {{"alias", task}, {"acc,none", 0.75}};
      results["configs"][task] = {{"task", task}, {"output_type", "multiple_choice"}};
      results["n-samples"][task] = {{"original", 4}, {"effective", 4}};
      results["higher_is_better"][task] = {{"acc", true}};
      Put(fmt::format("{}/samples_{}_{}.jsonl", name, task, kDate),
          Row(task, 0, 0, "-0.5", "-1.5", 1) + Row(task, 1, 1, "-2.5", "-1.0", 1) +
              Row(task, 2, 0, "-3.0", "-0.25", 0) + Row(task, 3, 1, "-4.0", "-0.125", 1));
    }
    Put(fmt::format("{}/results_{}.json", name, kDate), results.dump());
  }

  // Every file below the test's folder with its content.
  std::map<std::string, std::string> Files() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path())) {
      if (!entry.is_regular_file()) continue;
      std::ostringstream content;
      content << std::ifstream(entry.path(), std::ios::binary).rdbuf();
      files[fs::relative(entry.path(), folder_.path()).string()] = content.str();
    }
    return files;
  }

  // Runs the command, keeps what it printed and returns its exit code.
  int Attach(const std::shared_ptr<grpc::Channel>& channel) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = RunAttach(options_, channel);
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }
  int Attach() {
    auto embedded = server::StartEmbedded();
    EXPECT_TRUE(embedded.ok()) << embedded.status();
    return Attach(embedded->channel);
  }

  const std::string derived_ = std::string("mirage_") + kDate + ".json";
  const test_support::TemporaryFolder folder_;
  AttachOptions options_;
  std::string out_, err_;
};

TEST_F(AttachTest, TheDerivedFileIsTheAnswerAndTheRestStays) {
  auto files = Files();
  EXPECT_EQ(Attach(), kDone);
  EXPECT_EQ(err_, fmt::format("mirage: wrote {}\n", Path("run/" + derived_)));
  const json answer = json::parse(out_);
  const json& task = answer["runs"][0]["tasks"][0];
  EXPECT_EQ(task["task"], "t1");
  EXPECT_EQ(task["n_samples"], 4);
  EXPECT_EQ(task["metrics"][0]["metric"], "acc");
  EXPECT_EQ(task["metrics"][0]["value"], 0.75);
  EXPECT_EQ(task["metrics"][0]["reported_value"], 0.75);
  EXPECT_EQ(task["metrics"][0]["rederived"], 1);

  const auto after = Files();
  ASSERT_THAT(after, Contains(Key("run/" + derived_)));
  EXPECT_EQ(json::parse(after.at("run/" + derived_)), answer);
  EXPECT_THAT(after.at("run/" + derived_), StartsWith("{\n \"generator\": \"mirage "));
  files["run/" + derived_] = after.at("run/" + derived_);
  EXPECT_EQ(after, files);

  EXPECT_EQ(Attach(), kDone) << "its own file is replaced and no input";
  EXPECT_EQ(Files(), files);
}

TEST_F(AttachTest, NothingIsWrittenWhereNothingIsAskedFor) {
  const auto files = Files();
  options_.no_write = true;
  EXPECT_EQ(Attach(), kDone);
  EXPECT_EQ(Files(), files);
}

TEST_F(AttachTest, FormatsAreWhatTheyAreCalled) {
  options_.no_write = true;
  for (const auto& [format, beginning] : std::map<std::string, std::string>{
           {"table", "tiny (lm-eval 0.4.9) "}, {"markdown", "### "}, {"csv", "model,"}}) {
    options_.output_format = format;
    EXPECT_EQ(Attach(), kDone);
    EXPECT_THAT(out_, StartsWith(beginning));
    EXPECT_THAT(out_, HasSubstr(format == "markdown" ? "brier\\_score" : "brier_score"));
  }
  options_.output_format = "csv";
  options_.output = Path("answer.csv");
  EXPECT_EQ(Attach(), kDone);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(Files()["answer.csv"], StartsWith("model,"));
}

TEST_F(AttachTest, EverySamplesScoresOnRequest) {
  options_.samples = true;
  EXPECT_EQ(Attach(), kDone);
  EXPECT_THAT(Files(), SizeIs(4));
  std::istringstream lines(Files()[std::string("run/mirage_samples_t1_") + kDate + ".jsonl"]);
  std::string line;
  int n = 0;
  while (std::getline(lines, line)) {
    const json row = json::parse(line);
    EXPECT_THAT(line, StartsWith("{\"generator\":\"mirage "));
    EXPECT_EQ(row["doc_id"], n);
    EXPECT_EQ(row["log_p_gold"], std::vector<double>({-0.5, -1.0, -3.0, -0.125})[n]);
    ++n;
  }
  EXPECT_EQ(n, 4);
}

TEST_F(AttachTest, AFolderOfItsOwnForDerivedFiles) {
  options_.write_dir = Path("out");
  EXPECT_EQ(Attach(), kDone) << "the folder is made";
  EXPECT_THAT(Files(), Contains(Key("out/" + derived_)));
  EXPECT_THAT(Files(), SizeIs(3));
  options_.write_dir = Path("out/" + derived_ + "/below");
  EXPECT_EQ(Attach(), kFailed);
  EXPECT_THAT(err_, HasSubstr(options_.write_dir + ": cannot make this folder"));
  EXPECT_EQ(out_, "") << "nothing is read for it";
  EXPECT_THAT(Files(), SizeIs(3));
}

TEST_F(AttachTest, AFileOfSomebodyElseIsLeftAlone) {
  Put("run/" + derived_, "{\"notes\": \"keep\"}");
  const auto files = Files();
  EXPECT_EQ(Attach(), kDone);
  EXPECT_THAT(err_, HasSubstr("Mirage did not write it"));
  EXPECT_EQ(Files(), files);
  options_.quiet = true;
  EXPECT_EQ(Attach(), kDone);
  EXPECT_EQ(err_, "");
}

TEST_F(AttachTest, OneRunThatCannotBeReadDoesNotStopTheOthers) {
  AddRun("other", 1);
  Put("broken/results_" + std::string(kDate) + ".json", "{\"results\": {\"a\": ");
  options_.paths = {Path("none"), Path("broken"), Path("other")};
  options_.no_write = true;
  options_.quiet = true;
  EXPECT_EQ(Attach(), kFailed);
  EXPECT_THAT(err_, HasSubstr(Path("none")));
  EXPECT_THAT(err_, HasSubstr(Path("broken")));
  EXPECT_THAT(json::parse(out_)["runs"], SizeIs(1));
  options_.paths = {Path("none")};
  EXPECT_EQ(Attach(), kFailed);
  EXPECT_EQ(out_, "");
}

TEST_F(AttachTest, WhatWasReadIsNeverWrittenOver) {
  const auto files = Files();
  options_.no_write = true;
  options_.output = Path("run/results_" + std::string(kDate) + ".json");
  EXPECT_EQ(Attach(), kFailed);
  EXPECT_THAT(err_, HasSubstr("is a file that was read"));
  EXPECT_EQ(Files(), files);
}

// How a sidecar comes to its end.
enum class Death { kEndsTheStream, kAborts, kIsCutOff, kIsShutDown };

// Scores everything with 0.5 and dies on message number `last`, the header being the first.
class DyingSidecar final : public v1::IngestService::Service {
 public:
  DyingSidecar(Death death, int last) : death_(death), last_(last) {}
  grpc::Status Ingest(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::IngestResponse, v1::IngestRequest>* stream) override {
    v1::IngestRequest request;
    int n = 0;
    while (stream->Read(&request)) {
      if (++n == last_) return Die(context);
      v1::IngestResponse response;
      response.set_committed_sequence(request.sequence());
      response.mutable_scores()->add_metrics("p_gold");
      for (uint32_t i = 0; i < request.batch().n_samples(); ++i) {
        response.mutable_scores()->add_values(0.5);
      }
      if (request.has_finish()) response.set_run("runs/1");
      stream->Write(response);
    }
    return grpc::Status::OK;
  }

  void SetLine(test_support::ServiceChannel* line) {
    const std::lock_guard<std::mutex> lock(mutex_);
    line_ = line;
  }

 private:
  test_support::ServiceChannel* Line() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return line_;
  }

  grpc::Status Die(const grpc::ServerContext* context) {
    switch (death_) {
      case Death::kEndsTheStream:
        break;
      case Death::kAborts:
        return {grpc::StatusCode::UNAVAILABLE, "out of memory"};
      case Death::kIsCutOff:
        Line()->Cut();
        break;
      case Death::kIsShutDown:
        Line()->BeginShutdown();
        while (!context->IsCancelled()) std::this_thread::yield();
        break;
    }
    return grpc::Status::OK;
  }

  const Death death_;
  const int last_;
  std::mutex mutex_;
  test_support::ServiceChannel* line_ = nullptr;
};

class DyingSidecarTest : public AttachTest,
                         public testing::WithParamInterface<std::tuple<Death, int>> {};

TEST_P(DyingSidecarTest, ExitCodeMessageAndNoHalfOfAnything) {
  fs::remove_all(Path("run"));
  AddRun("run", 8);
  const auto files = Files();
  const auto [death, last] = GetParam();
  DyingSidecar sidecar(death, last);
  test_support::ServiceChannel services({&sidecar});
  sidecar.SetLine(&services);
  options_.sidecar = "127.0.0.1:8750";
  options_.samples = true;  // its files are begun while the run is read

  EXPECT_EQ(Attach(services.channel()), kFailed);
  EXPECT_THAT(err_, HasSubstr(Path("run")));
  EXPECT_THAT(err_, HasSubstr("the sidecar at 127.0.0.1:8750 went away"));
  EXPECT_THAT(err_, HasSubstr("start it again and repeat"));
  EXPECT_EQ(out_, "");
  EXPECT_EQ(Files(), files);
}

// At the header, amid the batches, at the finish.
INSTANTIATE_TEST_SUITE_P(All, DyingSidecarTest,
                         testing::Combine(testing::Values(Death::kEndsTheStream, Death::kAborts,
                                                          Death::kIsCutOff, Death::kIsShutDown),
                                          testing::Values(1, 7, 10)));

// Between the last sample and the answer.
TEST_F(AttachTest, ASidecarThatCannotSummarize) {
  const auto files = Files();
  DyingSidecar sidecar(Death::kAborts, 0);
  test_support::ServiceChannel services({&sidecar});
  options_.sidecar = "127.0.0.1:8750";
  options_.samples = true;
  EXPECT_EQ(Attach(services.channel()), kFailed);
  EXPECT_THAT(err_, HasSubstr(Path("run")));
  EXPECT_THAT(err_, HasSubstr("the sidecar answered UNIMPLEMENTED"));
  EXPECT_EQ(Files(), files);
}

// Runs of one generation task with evidence beside them or elsewhere.
class EvidenceTest : public AttachTest {
 protected:
  void SetUp() override {
    options_.output_format = "json";
    options_.paths = {Path("gen")};
    AddGenerations("gen", "tiny");
  }

  void AddGenerations(const std::string& name, const std::string& model) const {
    json results = {{"model_name", model}, {"lm_eval_version", "0.4.13"}};
    results["results"]["add"] = {{"alias", "add"}, {"exact_match,none", 0.5}};
    results["configs"]["add"] = {{"task", "add"}, {"output_type", "generate_until"}};
    results["n-samples"]["add"] = {{"original", 2}, {"effective", 2}};
    results["higher_is_better"]["add"] = {{"exact_match", true}};
    std::string rows;
    for (int i = 0; i < 2; ++i) {
      const std::string target = i == 0 ? "12" : "34";
      const json row = {
          {"doc_id", i},
          {"doc", {{"q", "?"}}},
          {"target", target},
          {"arguments",
           {{"gen_args_0", {{"arg_0", "?"}, {"arg_1", {{"until", json::array({"\n"})}}}}}}},
          {"resps", json::array({json::array({"12"})})},
          {"filtered_resps", json::array({"12"})},
          {"filter", "none"},
          {"metrics", json::array({"exact_match"})},
          {"doc_hash", std::string(64, static_cast<char>('a' + i))},
          {"exact_match", i == 0 ? 1.0 : 0.0},
      };
      rows += row.dump() + "\n";
    }
    Put(fmt::format("{}/samples_add_{}.jsonl", name, kDate), rows);
    Put(fmt::format("{}/results_{}.json", name, kDate), results.dump());
  }

  void AddEvidence(const std::string& name, const std::string& model) const {
    const json header = {{"generator", "hook"}, {"kind", "mirage_evidence"},
                         {"version", 1},        {"task", "add"},
                         {"date", kDate},       {"model", model}};
    Put(fmt::format("{}/mirage_evidence_add_{}.jsonl", name, kDate),
        header.dump() + "\n" +
            R"({"doc_id": 0, "tokens": ["1", "2", "\n"], "log_probs": [-0.25, -0.5, -8]})"
            "\n"
            R"({"doc_id": 1, "tokens": ["3", "4", "\n"], "log_probs": [-1, -2, -9]})"
            "\n");
  }

  // The mean log p(target) of the answer; nothing where it has none.
  std::optional<double> LogP() const {
    const json answer = json::parse(out_);
    for (const json& m : answer["runs"][0]["tasks"][0]["metrics"]) {
      if (m["metric"] == "log_p_target") return m["value"];
    }
    return std::nullopt;
  }
};

TEST_F(EvidenceTest, BesideTheRunIsRead) {
  EXPECT_EQ(Attach(), kDone);
  EXPECT_EQ(LogP(), std::nullopt);
  AddEvidence("gen", "tiny");
  const std::string content = Files().at(fmt::format("gen/mirage_evidence_add_{}.jsonl", kDate));
  EXPECT_EQ(Attach(), kDone);
  EXPECT_EQ(LogP(), -1.875);
  EXPECT_EQ(Files().at(fmt::format("gen/mirage_evidence_add_{}.jsonl", kDate)), content);
}

TEST_F(EvidenceTest, NamedFoldersAreRead) {
  AddEvidence("hooks/a", "tiny");
  AddEvidence("hooks/b", "large");
  options_.evidence = {Path("hooks")};
  EXPECT_EQ(Attach(), kDone);
  EXPECT_EQ(LogP(), -1.875);
  EXPECT_THAT(err_, HasSubstr("model large) belongs to none of the runs"));
  EXPECT_THAT(err_, testing::Not(HasSubstr("model tiny)")));
}

TEST_F(EvidenceTest, OtherModelsEvidenceIsNamed) {
  AddEvidence("gen", "large");
  EXPECT_EQ(Attach(), kDone);
  EXPECT_EQ(LogP(), std::nullopt);
  EXPECT_THAT(out_, HasSubstr("its header is of model large, the run's is tiny"));
}

TEST_F(EvidenceTest, RunsThatNothingTellsApart) {
  AddGenerations("twin", "tiny");
  AddEvidence("hooks", "tiny");
  options_.evidence = {Path("hooks")};
  options_.paths.push_back(Path("twin"));
  options_.no_write = true;
  EXPECT_EQ(Attach(), kFailed);
  EXPECT_THAT(err_, HasSubstr("whose evidence it is cannot be told"));
  EXPECT_EQ(LogP(), -1.875) << "the first run stays";
}

TEST_F(EvidenceTest, FoldersAndFilesThatAreNone) {
  options_.evidence = {Path("none")};
  EXPECT_EQ(Attach(), kFailed);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, HasSubstr("--evidence: " + Path("none") + " does not exist"));
  Put(fmt::format("bad/mirage_evidence_add_{}.jsonl", kDate), "junk\n");
  options_.evidence = {Path("bad")};
  EXPECT_EQ(Attach(), kFailed);
  EXPECT_THAT(err_, HasSubstr("--evidence: " + Path("bad")));
  EXPECT_EQ(LogP(), std::nullopt) << "the run is shown";
}

}  // namespace
}  // namespace mirage::client
