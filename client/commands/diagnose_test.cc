#include "client/commands/diagnose.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "client/exit_code.h"
#include "client/render/diagnose_example.h"
#include "mirage/v1/emergence.grpc.pb.h"
#include "nlohmann/json.hpp"
#include "tests/support/service_channel.h"
#include "tests/support/temporary_folder.h"

namespace mirage::client {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kHeader[] = "family,task,model,scale,metric,value,n\n";

// A sidecar that keeps what it is sent and answers what a test says.
class FakeSidecar final : public v1::EmergenceService::Service {
 public:
  using Stream = grpc::ServerReaderWriter<v1::DiagnoseSeriesResponse, v1::DiagnoseSeriesRequest>;

  grpc::Status DiagnoseSeries(grpc::ServerContext*, Stream* stream) override {
    if (before) before(*stream);
    v1::DiagnoseSeriesRequest request;
    while (requests.size() < stop_after && stream->Read(&request)) {
      requests.push_back(request);
    }
    for (const v1::DiagnoseSeriesResponse& answer : answers) stream->Write(answer);
    return status;
  }

  void AddDiagnosis(const v1::Diagnosis& diagnosis) {
    *answers.emplace_back().mutable_diagnosis() = diagnosis;
  }
  void AddWarning(const std::string& text) { answers.emplace_back().set_warning(text); }
  void AddProgress(uint32_t n_done, uint32_t n_series) {
    v1::DiagnoseProgress* progress = answers.emplace_back().mutable_progress();
    progress->set_n_done(n_done);
    progress->set_n_series(n_series);
  }

  // What happens before anything is read.
  std::function<void(Stream&)> before;
  // Messages that are read at most.
  size_t stop_after = SIZE_MAX;
  std::vector<v1::DiagnoseSeriesResponse> answers;
  grpc::Status status;
  std::vector<v1::DiagnoseSeriesRequest> requests;
};

class DiagnoseTest : public testing::Test {
 protected:
  void SetUp() override {
    Put("s.csv", std::string(kHeader) + "gpt3,add,a,1e9,exact_match,0.25,100\n");
    options_.series = {Path("s.csv")};
    options_.output_format = "json";
    sidecar_.AddDiagnosis(ExampleMirage());
  }

  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }
  void Put(const std::string& name, const std::string& content) const {
    std::ofstream(Path(name), std::ios::binary) << content;
  }
  std::string Content(const std::string& name) const {
    std::ostringstream content;
    content << std::ifstream(Path(name), std::ios::binary).rdbuf();
    return content.str();
  }

  // Runs the command, keeps what it printed and returns its exit code.
  int Run(const std::shared_ptr<grpc::Channel>& channel) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = RunDiagnose(options_, channel);
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }
  int Run() {
    sidecar_.requests.clear();
    const test_support::ServiceChannel services({&sidecar_});
    return Run(services.channel());
  }

  const test_support::TemporaryFolder folder_;
  FakeSidecar sidecar_;
  DiagnoseOptions options_;
  std::string out_, err_;
};

TEST_F(DiagnoseTest, OptionsAreSentFirstAndAllOfThem) {
  EXPECT_EQ(Run(), kDone);
  ASSERT_THAT(sidecar_.requests, SizeIs(2));
  const v1::DiagnoseOptions& usual = sidecar_.requests[0].options();
  EXPECT_EQ(usual.x_axis(), "parameters");
  EXPECT_TRUE(usual.has_hold_out());
  EXPECT_EQ(usual.hold_out(), 1u);
  EXPECT_EQ(usual.fdr(), 0.05);
  EXPECT_EQ(usual.level(), 0.95);
  EXPECT_EQ(usual.seed(), 0u);
  EXPECT_THAT(usual.metrics(), IsEmpty());

  Put("mine.yaml",
      "version: 1\nmetrics:\n  - {metric: mine, higher_is_better: true, continuous: false, "
      "sharp: true}\n");
  options_.metric_properties = Path("mine.yaml");
  options_.x_axis = "flops";
  options_.hold_out = 0;
  options_.fdr = 0.1;
  options_.level = 0.9;
  options_.seed = 7;
  options_.metrics = {"exact_match", "acc"};
  EXPECT_EQ(Run(), kDone);
  const v1::DiagnoseOptions& chosen = sidecar_.requests[0].options();
  EXPECT_EQ(chosen.x_axis(), "flops");
  EXPECT_TRUE(chosen.has_hold_out());
  EXPECT_EQ(chosen.hold_out(), 0u);
  EXPECT_EQ(chosen.fdr(), 0.1);
  EXPECT_EQ(chosen.level(), 0.9);
  EXPECT_EQ(chosen.seed(), 7u);
  EXPECT_THAT(chosen.metrics(), ElementsAre("exact_match", "acc"));
  ASSERT_THAT(chosen.metric_properties(), SizeIs(1));
  EXPECT_EQ(chosen.metric_properties(0).metric(), "mine");
}

TEST_F(DiagnoseTest, TablesAreSentAsTheyAre) {
  Put("t.csv", "task,model,scale,metric,value\nadd,b,2e9,nll_per_token,1.5\n");
  options_.series = {Path("s.csv"), Path("t.csv"), Path("./s.csv")};
  EXPECT_EQ(Run(), kDone);
  EXPECT_THAT(
      err_, AllOf(HasSubstr("s.csv was named before: it is read once"), Not(HasSubstr("warning"))));
  ASSERT_THAT(sidecar_.requests, SizeIs(3));
  const v1::Series& first = sidecar_.requests[1].series();
  EXPECT_EQ(first.family(), "gpt3");
  EXPECT_EQ(first.metric(), "exact_match");
  ASSERT_THAT(first.points(), SizeIs(1));
  EXPECT_EQ(first.points(0).value(), 0.25);
  EXPECT_EQ(first.points(0).n(), 100u);
  EXPECT_EQ(sidecar_.requests[2].series().points(0).model(), "b");
}

TEST_F(DiagnoseTest, ALongSeriesIsCutIntoMessages) {
  constexpr int kPoints = 60'000;
  std::string table = kHeader;
  for (int i = 0; i < kPoints; ++i) {
    table += fmt::format("f,t,some-model-{},{},acc,0.5,100\n", i, 1000 + i);
  }
  table += "f,t2,m,1e9,acc,0.5,100\n";
  Put("s.csv", table);
  EXPECT_EQ(Run(), kDone);
  ASSERT_THAT(sidecar_.requests, SizeIs(Gt(4u)));
  int n = 0;
  for (size_t i = 1; i + 1 < sidecar_.requests.size(); ++i) {
    const v1::DiagnoseSeriesRequest& request = sidecar_.requests[i];
    EXPECT_LE(request.ByteSizeLong(), kMaxSeriesMessage);
    EXPECT_EQ(request.series().task(), "t");
    for (const v1::SeriesPoint& point : request.series().points()) {
      EXPECT_EQ(point.scale(), 1000 + n);
      ++n;
    }
  }
  EXPECT_EQ(n, kPoints) << "each once, in order";
  EXPECT_GT(sidecar_.requests[1].ByteSizeLong(), kMaxSeriesMessage / 2);
  EXPECT_EQ(sidecar_.requests.back().series().task(), "t2");
}

TEST_F(DiagnoseTest, TheAnswerIsTheReport) {
  sidecar_.AddProgress(1, 2);
  v1::Diagnosis second = ExampleMirage();
  second.set_task("other");
  sidecar_.AddDiagnosis(second);
  sidecar_.AddWarning("one series has no scale");
  EXPECT_EQ(Run(), kDone);
  const json answer = json::parse(out_);
  EXPECT_THAT(answer["generator"].get<std::string>(), StartsWith("mirage "));
  ASSERT_THAT(answer["diagnoses"], SizeIs(2));
  EXPECT_EQ(answer["diagnoses"][0]["verdict"], "MIRAGE");
  EXPECT_EQ(answer["diagnoses"][1]["task"], "other");
  EXPECT_EQ(answer["warnings"], json::array({"one series has no scale"}));
  EXPECT_EQ(err_, "mirage: warning: one series has no scale\n") << "no progress without terminal";
  const std::string first = out_;
  EXPECT_EQ(Run(), kDone);
  EXPECT_EQ(out_, first);
}

TEST_F(DiagnoseTest, EveryFormat) {
  for (const auto& [format, begin] : {std::pair("table", "MIRAGE (STRONG)  addition"),
                                      {"markdown", "### MIRAGE (STRONG): add"},
                                      {"csv", "family,task,"},
                                      {"json", "{\n \"generator\""}}) {
    options_.output_format = format;
    EXPECT_EQ(Run(), kDone);
    EXPECT_THAT(out_, StartsWith(begin));
    EXPECT_EQ(err_, "");
    const std::string answer = out_;
    options_.output = Path("answer");
    EXPECT_EQ(Run(), kDone);
    EXPECT_EQ(out_, "");
    EXPECT_EQ(Content("answer"), answer);
    options_.output.clear();
  }
}

TEST_F(DiagnoseTest, BadRowsCostOnlyThemselves) {
  Put("s.csv", std::string(kHeader) + "gpt3,add,a,1e9,exact_match,0.25,100\n" +
                   "gpt3,add,b\x1b[31m,7B,exact_match,0.25,100\n");
  EXPECT_EQ(Run(), kDone);
  EXPECT_THAT(err_,
              AllOf(StartsWith("mirage: warning: "), HasSubstr("s.csv:3"), Not(HasSubstr("\x1b"))));
  EXPECT_THAT(json::parse(out_)["warnings"], SizeIs(Gt(0u)));
  EXPECT_THAT(sidecar_.requests[1].series().points(), SizeIs(1));
  options_.quiet = true;
  EXPECT_EQ(Run(), kDone);
  EXPECT_EQ(err_, "");
  EXPECT_THAT(json::parse(out_)["warnings"], SizeIs(Gt(0u)));
}

TEST_F(DiagnoseTest, WarningsAreNoFlood) {
  for (int i = 0; i < 1000; ++i) sidecar_.AddWarning(fmt::format("w{}", i));
  EXPECT_EQ(Run(), kDone);
  EXPECT_THAT(err_, AllOf(HasSubstr("warning: w19\n"), Not(HasSubstr("w20\n")),
                          HasSubstr("and 980 more; --output-format json has them all\n")));
  EXPECT_THAT(json::parse(out_)["warnings"], SizeIs(1000));
}

TEST_F(DiagnoseTest, TablesThatCannotBeUsed) {
  const auto fails = [&](const std::string& word) {
    EXPECT_EQ(Run(), kFailed);
    EXPECT_EQ(out_, "");
    EXPECT_THAT(err_, AllOf(StartsWith("mirage: "), HasSubstr(word)));
    EXPECT_THAT(sidecar_.requests, IsEmpty()) << "nothing is asked";
  };
  options_.series = {Path("none.csv")};
  fails("none.csv");
  Put("broken.csv", "task,model\nadd,a\n");
  options_.series = {Path("s.csv"), Path("broken.csv")};
  fails("broken.csv");
  Put("bad.csv", std::string(kHeader) + "f,t,m,-1,acc,0.5,10\n");
  options_.series = {Path("bad.csv")};
  fails("bad.csv");
  options_.series = {Path("s.csv")};
  options_.metric_properties = Path("none.yaml");
  fails("none.yaml");
  Put("bad.yaml", "version: 1\nmetrics:\n  - {metric: mine, shrap: true}\n");
  options_.metric_properties = Path("bad.yaml");
  fails("bad.yaml");
}

TEST_F(DiagnoseTest, OptionsThatDoNotGoTogether) {
  const auto refused = [&](const std::string& message) {
    EXPECT_FALSE(CheckDiagnoseOptions(options_).ok());
    EXPECT_EQ(Run(), kUsage);
    EXPECT_EQ(out_, "");
    EXPECT_THAT(err_, AllOf(StartsWith("mirage: "), HasSubstr(message)));
    EXPECT_THAT(sidecar_.requests, IsEmpty());
    options_ = DiagnoseOptions();
    options_.series = {Path("s.csv")};
  };
  EXPECT_TRUE(CheckDiagnoseOptions(options_).ok());
  const std::string table = Content("s.csv");
  options_.series.clear();
  refused("nothing to diagnose: name the RUNs of a family, or a table of numbers (--series FILE)");
  options_.scales = {Path("models.csv")};
  refused("models.csv is for RUNs, and there is none");
  options_.companions = {"a=b"};
  refused("--companion a=b is for RUNs, and there is none");
  options_.companions.clear();
  options_.strata = {"subject"};
  refused("--stratum subject is for RUNs, and there is none");
  options_.runs = {"results/"};
  options_.strata = {"subject=law"};
  refused("--stratum subject=law: must be the name of a field, without a value");
  options_.runs = {"results/"};
  options_.strata = {"subject", "subject"};
  refused("--stratum subject was given before");
  for (const std::string companion : {"a", "=b", "a="}) {
    options_.runs = {"results/"};
    options_.companions = {companion};
    refused("--companion " + companion + ": must be TASK=TASK");
  }
  options_.runs = {"results/"};
  options_.scales = {Path("s.csv")};
  options_.output = Path("./s.csv");
  refused("s.csv is a file that is read");
  options_.plot = "curves.png";
  refused("--plot curves.png: the name must end in .svg");
  options_.plot = "-";
  options_.output_format = "json";
  refused("--plot - would draw into the json on standard output");
  options_.plot = Path("a.svg");
  options_.output = Path("./a.svg");
  refused("is the file of -o");
  options_.output = Path("./s.csv");
  refused("s.csv is a file that is read");
  options_.metric_properties = Path("x.svg");
  options_.plot = Path("x.svg");
  refused("x.svg is a file that is read");
  EXPECT_EQ(Content("s.csv"), table);
}

TEST_F(DiagnoseTest, WhatTheSidecarRefuses) {
  sidecar_.answers.clear();
  sidecar_.status = {grpc::StatusCode::INVALID_ARGUMENT, "options.hold_out is 9: at most 2"};
  EXPECT_EQ(Run(), kUsage) << "a flag";
  EXPECT_EQ(err_, "mirage: options.hold_out is 9: at most 2\n");
  sidecar_.status = {grpc::StatusCode::INVALID_ARGUMENT, "series[3].points[1].value is 2"};
  EXPECT_EQ(Run(), kFailed) << "a table";
  sidecar_.status = {grpc::StatusCode::INVALID_ARGUMENT, "options.metric_properties[0].metric is"};
  EXPECT_EQ(Run(), kFailed) << "a file";
  sidecar_.status = {grpc::StatusCode::RESOURCE_EXHAUSTED, "too many points"};
  EXPECT_EQ(Run(), kFailed);
  EXPECT_EQ(err_, "mirage: too many points\n");
  EXPECT_EQ(out_, "");
}

TEST_F(DiagnoseTest, ARefusalInTheMiddleOfALongTable) {
  std::string table = kHeader;
  for (int i = 0; i < 200'000; ++i) table += fmt::format("f,t,m{},{},acc,0.5,9\n", i, 1 + i);
  Put("s.csv", table);
  sidecar_.stop_after = 1;
  sidecar_.answers.clear();
  sidecar_.status = {grpc::StatusCode::INVALID_ARGUMENT, "options.fdr is 1"};
  EXPECT_EQ(Run(), kUsage);
  EXPECT_EQ(err_, "mirage: options.fdr is 1\n");
}

// Both sides send more than the stream holds before the other one reads.
TEST_F(DiagnoseTest, WarningsBeforeTheEndBlockNobody) {
  std::string table = kHeader;
  for (int i = 0; i < 200'000; ++i) table += fmt::format("f,t,m{},{},acc,0.5,9\n", i, 1 + i);
  Put("s.csv", table);
  constexpr int kWarnings = 2000;
  sidecar_.before = [](FakeSidecar::Stream& stream) {
    v1::DiagnoseSeriesResponse response;
    response.set_warning(std::string(10'000, 'w'));
    for (int i = 0; i < kWarnings; ++i) stream.Write(response);
  };
  options_.quiet = true;
  EXPECT_EQ(Run(), kDone);
  EXPECT_THAT(json::parse(out_)["warnings"], SizeIs(kWarnings));
}

TEST_F(DiagnoseTest, AMetricThatNoSeriesHas) {
  sidecar_.answers.clear();
  options_.metrics = {"exat_match"};
  EXPECT_EQ(Run(), kUsage);
  EXPECT_EQ(err_, "mirage: --metric exat_match: no series has it; did you mean exact_match?\n");
  options_.metrics = {"exact_match"};
  EXPECT_EQ(Run(), kDone) << "it is there, and there is nothing to say of it";
  // An older name is the registry's to know.
  options_.metrics = {"em"};
  sidecar_.AddDiagnosis(ExampleMirage());
  EXPECT_EQ(Run(), kDone);
}

TEST_F(DiagnoseTest, ASidecarThatCannotAnswer) {
  options_.sidecar = "127.0.0.1:8750";
  test_support::ServiceChannel services({});
  EXPECT_EQ(Run(services.channel()), kFailed);
  EXPECT_THAT(err_, HasSubstr("the sidecar at 127.0.0.1:8750 does not diagnose"));
  services.Cut();
  EXPECT_EQ(Run(services.channel()), kFailed);
  EXPECT_THAT(err_, HasSubstr("the sidecar at 127.0.0.1:8750 went away"));
  EXPECT_EQ(out_, "");
}

TEST_F(DiagnoseTest, Drawings) {
  options_.plot = Path("curves.svg");
  EXPECT_EQ(Run(), kDone);
  const std::string svg = Content("curves.svg");
  EXPECT_THAT(svg, AllOf(StartsWith("<svg "), HasSubstr(">MIRAGE (STRONG)<")));
  EXPECT_EQ(json::parse(out_)["diagnoses"].size(), 1u) << "the answer is there, too";
  options_.plot = "-";
  options_.output_format = "table";
  EXPECT_EQ(Run(), kDone);
  EXPECT_THAT(out_, AllOf(StartsWith("MIRAGE (STRONG)  addition"), HasSubstr("held out"),
                          HasSubstr("● exact_match")));
  options_.output_format = "json";
  options_.output = Path("answer.json");
  EXPECT_EQ(Run(), kDone);
  EXPECT_THAT(out_, AllOf(StartsWith("MIRAGE (STRONG)  addition"), HasSubstr("● exact_match"),
                          Not(HasSubstr("\x1b"))));
  EXPECT_EQ(json::parse(Content("answer.json"))["diagnoses"].size(), 1u);

  options_.plot = Path("none/curves.svg");
  EXPECT_EQ(Run(), kFailed);
  EXPECT_THAT(err_, HasSubstr("cannot write " + options_.plot));
  options_.plot = Path("curves.svg");
  options_.output = Path("none/answer.json");
  EXPECT_EQ(Run(), kFailed);
  EXPECT_THAT(err_, HasSubstr("cannot write " + options_.output));
  EXPECT_EQ(Content("curves.svg"), svg);
}

TEST_F(DiagnoseTest, ADrawingThatIsNotWholeSaysSo) {
  for (int i = 0; i < 60; ++i) sidecar_.AddDiagnosis(ExampleMirage());
  options_.plot = Path("curves.svg");
  EXPECT_EQ(Run(), kDone);
  EXPECT_THAT(err_, HasSubstr("--plot drew the first 48 of 61 diagnoses"));
}

}  // namespace
}  // namespace mirage::client
