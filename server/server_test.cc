#include "server/server.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "mirage/v1/ingest.grpc.pb.h"
#include "mirage/v1/metric.grpc.pb.h"
#include "mirage/v1/run.grpc.pb.h"
#include "server/embedded.h"
#include "tests/support/sample_batches.h"

namespace mirage::server {
namespace {

using namespace test_support;  // NOLINT: batches are this test's vocabulary

using ::testing::HasSubstr;

v1::IngestRequest Header(const std::string& model) {
  v1::IngestRequest request;
  v1::Run* run = request.mutable_header()->mutable_run();
  run->set_model(model);
  *run->add_tasks() = Task("t", "multiple_choice", {{"acc", 1}}, 1);
  return request;
}

v1::IngestRequest Batch(uint64_t sequence) {
  v1::IngestRequest request;
  request.set_sequence(sequence);
  *request.mutable_batch() = EmptyBatch("t");
  AddChoices(request.mutable_batch(), std::to_string(sequence), {-1, -3}, 0, 1);
  return request;
}

v1::IngestRequest Finish(uint64_t n) {
  v1::IngestRequest request;
  request.mutable_finish()->set_n_batches(n);
  return request;
}

// Sends requests one by one and returns the answers and the final status.
std::pair<std::vector<v1::IngestResponse>, grpc::Status> Converse(
    const std::shared_ptr<grpc::Channel>& channel, const std::vector<v1::IngestRequest>& requests) {
  auto stub = v1::IngestService::NewStub(channel);
  grpc::ClientContext context;
  auto stream = stub->Ingest(&context);
  std::vector<v1::IngestResponse> answers;
  for (const v1::IngestRequest& request : requests) {
    v1::IngestResponse answer;
    if (!stream->Write(request) || !stream->Read(&answer)) break;
    answers.push_back(std::move(answer));
  }
  stream->WritesDone();
  return {std::move(answers), stream->Finish()};
}

class ServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto embedded = StartEmbedded();
    ASSERT_TRUE(embedded.ok()) << embedded.status();
    embedded_ = *std::move(embedded);
  }
  Embedded embedded_;
};

TEST_F(ServerTest, RunGoesInAndComesBackScored) {
  const auto [answers, status] =
      Converse(embedded_.channel, {Header("m"), Batch(1), Batch(2), Finish(2)});
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_EQ(answers[2].committed_sequence(), 2u);
  auto runs = v1::RunService::NewStub(embedded_.channel);
  v1::SummarizeRunRequest request;
  request.set_name(answers[3].run());
  grpc::ClientContext context;
  auto stream = runs->SummarizeRun(&context, request);
  v1::SummarizeRunResponse part;
  ASSERT_TRUE(stream->Read(&part));
  EXPECT_EQ(part.run().model(), "m");
  ASSERT_TRUE(stream->Read(&part));
  EXPECT_EQ(part.task().metrics(0).value(), 1);
  EXPECT_FALSE(stream->Read(&part));
  EXPECT_TRUE(stream->Finish().ok());

  grpc::ClientContext once, twice;
  v1::DeleteRunRequest remove;
  v1::DeleteRunResponse removed;
  remove.set_name(answers[3].run());
  EXPECT_TRUE(runs->DeleteRun(&once, remove, &removed).ok());
  EXPECT_EQ(runs->DeleteRun(&twice, remove, &removed).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ServerTest, MessagesOutOfOrderEndTheStream) {
  auto [answers, status] = Converse(embedded_.channel, {Batch(1)});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("batch came before the header"));
  std::tie(answers, status) = Converse(embedded_.channel, {Header("m"), Header("m")});
  EXPECT_THAT(status.error_message(), HasSubstr("header came twice"));
  std::tie(answers, status) = Converse(embedded_.channel, {v1::IngestRequest()});
  EXPECT_THAT(status.error_message(), HasSubstr("part is not set"));
  std::tie(answers, status) = Converse(embedded_.channel, {Header("m"), Finish(3)});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(ServerTest, AbandonedStreamsCostNothing) {
  for (int i = 0; i < 50; ++i) {
    auto stub = v1::IngestService::NewStub(embedded_.channel);
    grpc::ClientContext context;
    auto stream = stub->Ingest(&context);
    stream->Write(Header("m"));
    context.TryCancel();
    EXPECT_FALSE(stream->Finish().ok());
  }
  EXPECT_TRUE(Converse(embedded_.channel, {Header("m"), Finish(0)}).second.ok());
}

TEST_F(ServerTest, ManyStreamsAtOnce) {
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([this, t] {
      std::vector<v1::IngestRequest> requests = {Header("m" + std::to_string(t))};
      for (uint64_t b = 1; b <= 20; ++b) requests.push_back(Batch(b));
      requests.push_back(Finish(20));
      EXPECT_TRUE(Converse(embedded_.channel, requests).second.ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ServerTest, MetricsAreListedDescribedAndSwapped) {
  auto stub = v1::MetricService::NewStub(embedded_.channel);
  v1::ListMetricsRequest list;
  list.set_page_size(10);
  size_t n = 0;
  do {
    grpc::ClientContext context;
    v1::ListMetricsResponse page;
    ASSERT_TRUE(stub->ListMetrics(&context, list, &page).ok());
    n += static_cast<size_t>(page.metrics_size());
    list.set_page_token(page.next_page_token());
  } while (!list.page_token().empty());
  EXPECT_GT(n, 30u);

  grpc::ClientContext bad_token, get, unknown, swap;
  list.set_page_token("x");
  v1::ListMetricsResponse page;
  EXPECT_EQ(stub->ListMetrics(&bad_token, list, &page).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  v1::GetMetricRequest request;
  v1::GetMetricResponse response;
  request.set_metric("brier_score");
  ASSERT_TRUE(stub->GetMetric(&get, request, &response).ok());
  EXPECT_EQ(response.metric().upper_bound(), 2);
  request.set_metric("accuracy");
  const grpc::Status status = stub->GetMetric(&unknown, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("it has acc, "));
  v1::SwapMetricRequest swap_request;
  v1::SwapMetricResponse swaps;
  swap_request.set_metric("exact_match");
  ASSERT_TRUE(stub->SwapMetric(&swap, swap_request, &swaps).ok());
  EXPECT_EQ(swaps.swaps(0).counterpart().metric(), "token_edit_distance");
}

TEST(ServerAddressTest, OnlyLoopbackAndUnixSocketsAreServed) {
  for (const char* address : {"0.0.0.0:0", "192.0.2.1:80", "example.org:80", "[::]:0", ":0"}) {
    const auto server = Server::Start({.address = address});
    EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(server.status().message()), HasSubstr("loopback")) << address;
  }
  for (const char* address : {"127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "unix:"}) {
    EXPECT_EQ(Server::Start({.address = address}).status().code(),
              absl::StatusCode::kInvalidArgument)
        << address;
  }
}

TEST(ServerAddressTest, ListensOnAPortAndOnAUnixSocket) {
  auto tcp = Server::Start({.address = "127.0.0.1:0"});
  ASSERT_TRUE(tcp.ok()) << tcp.status();
  ASSERT_GT((*tcp)->port(), 0);
  const auto channel = grpc::CreateChannel("127.0.0.1:" + std::to_string((*tcp)->port()),
                                           grpc::InsecureChannelCredentials());
  EXPECT_TRUE(Converse(channel, {Header("m"), Batch(1), Finish(1)}).second.ok());
  const auto taken = Server::Start({.address = "127.0.0.1:" + std::to_string((*tcp)->port())});
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kUnavailable);
  (*tcp)->Shutdown(std::chrono::milliseconds(1000));

  // Short: a Unix socket's path has 107 bytes at most.
  const std::string path = "unix:/tmp/mirage_server_test_" + std::to_string(::getpid());
  auto local = Server::Start({.address = path});
  ASSERT_TRUE(local.ok()) << local.status();
  EXPECT_TRUE(Converse(grpc::CreateChannel(path, grpc::InsecureChannelCredentials()),
                       {Header("m"), Batch(1), Finish(1)})
                  .second.ok());
}

}  // namespace
}  // namespace mirage::server
