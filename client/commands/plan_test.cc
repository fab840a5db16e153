#include "client/commands/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "client/exit_code.h"
#include "client/render/plan_example.h"
#include "mirage/v1/emergence.grpc.pb.h"
#include "nlohmann/json.hpp"
#include "tests/support/service_channel.h"
#include "tests/support/temporary_folder.h"

namespace mirage::client {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// Keeps what it is sent, and answers one plan.
class FakeSidecar final : public v1::EmergenceService::Service {
 public:
  using Stream = grpc::ServerReaderWriter<v1::PlanSeriesResponse, v1::PlanSeriesRequest>;

  grpc::Status PlanSeries(grpc::ServerContext*, Stream* stream) override {
    v1::PlanSeriesRequest request;
    while (stream->Read(&request)) requests.push_back(request);
    if (!status.ok()) return status;
    v1::PlanSeriesResponse response;
    response.mutable_progress()->set_n_series(1);
    stream->Write(response);
    response.set_warning("one was left out");
    stream->Write(response);
    *response.mutable_plan() = ExamplePlan();
    stream->Write(response);
    return status;
  }

  grpc::Status status;
  std::vector<v1::PlanSeriesRequest> requests;
};

class PlanCommandTest : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(Path("s.csv")) << "family,task,model,scale,metric,value,n\n"
                                    "gpt3,add,a,1e9,exact_match,0.25,100\n";
    options_.series = {Path("s.csv")};
    options_.output_format = "json";
  }

  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }

  int Run() {
    const test_support::ServiceChannel services({&sidecar_});
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = RunPlan(options_, services.channel());
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }

  const test_support::TemporaryFolder folder_;
  FakeSidecar sidecar_;
  PlanOptions options_;
  std::string out_, err_;
};

TEST_F(PlanCommandTest, OptionsAreSentFirst) {
  options_.x_axis = "flops";
  options_.delta = 0.1;
  options_.power = 0.9;
  options_.level = 0.99;
  options_.seed = 7;
  options_.metrics = {"exact_match"};
  ASSERT_EQ(Run(), kDone) << err_;
  ASSERT_EQ(sidecar_.requests.size(), 2);
  const v1::PlanOptions& sent = sidecar_.requests[0].options();
  EXPECT_EQ(sent.delta(), 0.1);
  EXPECT_EQ(sent.power(), 0.9);
  EXPECT_EQ(sent.level(), 0.99);
  EXPECT_EQ(sent.diagnose().x_axis(), "flops");
  EXPECT_EQ(sent.diagnose().seed(), 7);
  EXPECT_THAT(sent.diagnose().metrics(), testing::ElementsAre("exact_match"));
  EXPECT_EQ(sidecar_.requests[1].series().points_size(), 1);
  EXPECT_EQ(err_, "mirage: warning: one was left out\n");
  const json answer = json::parse(out_);
  EXPECT_EQ(answer["plans"][0]["scales"][1]["p_decided"], 0.83);
  EXPECT_THAT(std::string(answer["generator"]), HasSubstr("mirage "));
}

TEST_F(PlanCommandTest, EveryFormIsWritten) {
  for (const auto& [form, begin] : {std::pair("table", "<add> exact_match"),
                                    std::pair("markdown", "### "), std::pair("csv", "family,")}) {
    options_.output_format = form;
    options_.output = Path("answer");
    options_.quiet = true;
    ASSERT_EQ(Run(), kDone) << err_;
    EXPECT_EQ(out_ + err_, "");
    std::ostringstream content;
    content << std::ifstream(Path("answer")).rdbuf();
    EXPECT_THAT(content.str(), testing::StartsWith(begin));
  }
}

TEST_F(PlanCommandTest, WhatGoesWrongHasItsCode) {
  sidecar_.status = {grpc::StatusCode::INVALID_ARGUMENT, "options.power is 2"};
  EXPECT_EQ(Run(), kUsage);
  EXPECT_EQ(err_, "mirage: options.power is 2\n");
  sidecar_.status = {grpc::StatusCode::UNIMPLEMENTED, "no such method"};
  options_.sidecar = "unix:s";
  EXPECT_EQ(Run(), kFailed);
  EXPECT_THAT(err_, HasSubstr("the sidecar at unix:s makes no plans: start one of version"));
  options_.output = options_.series[0];
  EXPECT_EQ(Run(), kUsage);
  EXPECT_THAT(err_, HasSubstr("is a file that is read"));
  options_.output.clear();
  options_.series = {Path("none.csv")};
  EXPECT_EQ(Run(), kFailed);
  options_.series.clear();
  EXPECT_EQ(Run(), kUsage);
  EXPECT_THAT(err_, HasSubstr("nothing to plan"));
}

}  // namespace
}  // namespace mirage::client
