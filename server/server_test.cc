#include "server/server.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "mirage/v1/metric.grpc.pb.h"
#include "tests/support/ingest_stream.h"

namespace mirage::server {
namespace {

using namespace test_support;  // NOLINT: batches are this test's vocabulary

using ::testing::HasSubstr;

std::string AddressOf(const Server& server) { return "127.0.0.1:" + std::to_string(server.port()); }

std::shared_ptr<grpc::Channel> Dial(const std::string& address) {
  return grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
}

// A unary call of a method that we have no stub for; messages as they are on the wire.
grpc::Status Call(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                  const std::string& request, std::string* response) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const grpc::Slice out(request);
  auto call = stub.PrepareUnaryCall(&context, method, grpc::ByteBuffer(&out, 1), &queue);
  call->StartCall();
  grpc::ByteBuffer in;
  grpc::Status status;
  call->Finish(&in, &status, &in);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  grpc::Slice whole;
  if (status.ok() && in.DumpToSingleSlice(&whole).ok()) {
    response->assign(whole.begin(), whole.end());
  }
  return status;
}

TEST(ServerTest, OnlyLoopbackAndUnixSocketsAreServed) {
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

TEST(ServerTest, ListensOnAPortAndOnAUnixSocket) {
  auto tcp = Server::Start({.address = "127.0.0.1:0"});
  ASSERT_TRUE(tcp.ok()) << tcp.status();
  ASSERT_GT((*tcp)->port(), 0);
  EXPECT_TRUE(Converse(Dial(AddressOf(**tcp)), {Header("m"), Batch(1), Finish(1)}).second.ok());
  const auto taken = Server::Start({.address = AddressOf(**tcp)});
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kUnavailable);
  (*tcp)->Shutdown(std::chrono::milliseconds(1000));

  // Short: a Unix socket's path has 107 bytes at most.
  const std::string path = "unix:/tmp/mirage_server_test_" + std::to_string(::getpid());
  auto local = Server::Start({.address = path});
  ASSERT_TRUE(local.ok()) << local.status();
  EXPECT_EQ((*local)->port(), 0);
  EXPECT_TRUE(Converse(Dial(path), {Header("m"), Batch(1), Finish(1)}).second.ok());
}

TEST(ServerTest, SaysThatItIsHealthy) {
  auto server = Server::Start({.address = "127.0.0.1:0"});
  ASSERT_TRUE(server.ok()) << server.status();
  std::string response;
  const grpc::Status status =
      Call(Dial(AddressOf(**server)), "/grpc.health.v1.Health/Check", "", &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response, "\x08\x01");  // field 1: SERVING
}

TEST(ServerTest, ShutdownLetsOpenCallsFinishAndRefusesNewOnes) {
  auto server = Server::Start({.address = "127.0.0.1:0"});
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string address = AddressOf(**server);
  const auto stub = v1::IngestService::NewStub(Dial(address));
  grpc::ClientContext context;
  const auto stream = stub->Ingest(&context);
  v1::IngestResponse answer;
  ASSERT_TRUE(stream->Write(Header("m")) && stream->Read(&answer));

  std::thread ending([&] { (*server)->Shutdown(std::chrono::minutes(5)); });
  const auto refused = [&] {
    grpc::ChannelArguments own;  // or the channel would share the first one's connection
    own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto channel =
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), own);
    grpc::ClientContext another;
    v1::ListMetricsResponse page;
    return v1::MetricService::NewStub(channel)->ListMetrics(&another, {}, &page).error_code() ==
           grpc::StatusCode::UNAVAILABLE;
  };
  while (!refused()) std::this_thread::sleep_for(std::chrono::milliseconds(5));

  ASSERT_TRUE(stream->Write(Batch(1)) && stream->Read(&answer));
  EXPECT_EQ(answer.committed_sequence(), 1u);
  ASSERT_TRUE(stream->Write(Finish(1)) && stream->Read(&answer));
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  ending.join();
}

TEST(ServerTest, ShutdownCutsWhatIsOpenAtItsDeadline) {
  auto server = Server::Start({.address = "127.0.0.1:0"});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto stub = v1::IngestService::NewStub(Dial(AddressOf(**server)));
  grpc::ClientContext context;
  const auto stream = stub->Ingest(&context);
  v1::IngestResponse answer;
  ASSERT_TRUE(stream->Write(Header("m")) && stream->Read(&answer));
  (*server)->Shutdown(std::chrono::milliseconds(1));
  EXPECT_FALSE(stream->Read(&answer));
  EXPECT_FALSE(stream->Finish().ok());
}

}  // namespace
}  // namespace mirage::server
