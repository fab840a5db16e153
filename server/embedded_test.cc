#include "server/embedded.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>

#include "mirage/v1/metric.grpc.pb.h"
#include "mirage/v1/run.grpc.pb.h"
#include "tests/support/ingest_stream.h"

namespace mirage::server {
namespace {

using namespace test_support;  // NOLINT: batches are this test's vocabulary

Embedded Start() {
  auto embedded = StartEmbedded();
  EXPECT_TRUE(embedded.ok()) << embedded.status();
  return *std::move(embedded);
}

grpc::Status Delete(const Embedded& embedded, const std::string& name) {
  grpc::ClientContext context;
  v1::DeleteRunRequest request;
  v1::DeleteRunResponse response;
  request.set_name(name);
  return v1::RunService::NewStub(embedded.channel)->DeleteRun(&context, request, &response);
}

TEST(EmbeddedTest, EveryServiceAnswersAndNobodyOutsideIsServed) {
  const Embedded embedded = Start();
  EXPECT_EQ(embedded.server->port(), 0);
  const auto [answers, status] = Converse(embedded.channel, {Header("m"), Batch(1), Finish(1)});
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(Delete(embedded, answers.back().run()).ok());
  grpc::ClientContext context;
  v1::ListMetricsResponse page;
  EXPECT_TRUE(v1::MetricService::NewStub(embedded.channel)->ListMetrics(&context, {}, &page).ok());
  EXPECT_GT(page.metrics_size(), 0);
}

TEST(EmbeddedTest, EachHasAnEngineOfItsOwn) {
  const Embedded one = Start(), other = Start();
  const auto [answers, status] = Converse(one.channel, {Header("m"), Batch(1), Finish(1)});
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(Delete(other, answers.back().run()).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(Delete(one, answers.back().run()).ok());
}

TEST(EmbeddedTest, AChannelThatOutlivesItsServerSaysSo) {
  Embedded embedded = Start();
  embedded.server.reset();
  EXPECT_EQ(Converse(embedded.channel, {Header("m")}).second.error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

// A batch that holds rows of 64 MiB exceeds gRPC's default of 4 MiB.
TEST(EmbeddedTest, MessagesMayBeLarge) {
  const Embedded embedded = Start();
  v1::IngestRequest batch;
  batch.set_sequence(1);
  *batch.mutable_batch() = EmptyBatch("t");
  AddGeneration(batch.mutable_batch(), "1", std::string(20 << 20, 'a'), "b", 0);
  const auto [answers, status] = Converse(embedded.channel, {Header("m"), batch, Finish(1)});
  EXPECT_TRUE(status.ok()) << status.error_message();
}

}  // namespace
}  // namespace mirage::server
