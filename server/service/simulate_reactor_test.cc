#include "server/service/simulate_reactor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "server/engine/engine.h"
#include "server/service/emergence_service.h"
#include "tests/support/service_channel.h"

namespace mirage::server {
namespace {

class SimulateReactorTest : public ::testing::Test {
 protected:
  Engine engine_;
  EmergenceService service_{&engine_};
  test_support::ServiceChannel server_{{&service_}};
  const std::unique_ptr<v1::EmergenceService::Stub> stub_ =
      v1::EmergenceService::NewStub(server_.channel());
  grpc::ClientContext context_;
};

TEST_F(SimulateReactorTest, StreamsAFamily) {
  v1::SimulateRequest request;
  request.mutable_spec()->set_truth("five_scales");
  request.mutable_spec()->set_n_samples(5000);
  const auto stream = stub_->Simulate(&context_, request);
  v1::SimulateResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.truth().spec().truth(), "five_scales");
  int n_runs = 0;
  uint32_t n_samples = 0;
  while (stream->Read(&response)) {
    n_runs += response.has_run() ? 1 : 0;
    n_samples += response.batch().n_samples();
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(n_runs, 5);
  EXPECT_EQ(n_samples, 5u * 2 * 5000);
}

TEST_F(SimulateReactorTest, RefusesWithACode) {
  v1::SimulateRequest request;
  request.mutable_spec()->set_truth("trials");
  const auto stream = stub_->Simulate(&context_, request);
  v1::SimulateResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

// More than any buffer on the way holds.
TEST_F(SimulateReactorTest, AClientThatGoesAwayEndsIt) {
  v1::SimulateRequest request;
  request.mutable_spec()->set_truth("mirage");
  request.mutable_spec()->set_n_samples(400'000);
  const auto stream = stub_->Simulate(&context_, request);
  v1::SimulateResponse response;
  ASSERT_TRUE(stream->Read(&response));
  context_.TryCancel();
  while (stream->Read(&response)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  // The service's end waits for open calls: this test would not.
}

TEST_F(SimulateReactorTest, ListsPresets) {
  v1::ListSimulationPresetsResponse response;
  ASSERT_TRUE(stub_->ListSimulationPresets(&context_, {}, &response).ok());
  ASSERT_GT(response.presets_size(), 20);
  EXPECT_EQ(response.presets(0).name(), "paper");
  for (const v1::SimulationPreset& preset : response.presets()) {
    EXPECT_FALSE(preset.summary().empty());
    EXPECT_EQ(preset.unavailable().empty(), preset.name() != "vectors" && preset.name() != "trials")
        << preset.name();
  }
}

}  // namespace
}  // namespace mirage::server
