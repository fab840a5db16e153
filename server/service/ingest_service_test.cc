#include "server/service/ingest_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/support/ingest_stream.h"
#include "tests/support/service_channel.h"

namespace mirage::server {
namespace {

using namespace test_support;  // NOLINT: batches are this test's vocabulary

using ::testing::HasSubstr;
using ::testing::StartsWith;

class IngestServiceTest : public testing::Test {
 protected:
  Engine engine_;
  IngestService service_{&engine_};
  ServiceChannel services_{{&service_}};
};

TEST_F(IngestServiceTest, EveryMessageIsAnsweredAndTheLastOneNamesTheRun) {
  const auto [answers, status] =
      Converse(services_.channel(), {Header("m"), Batch(1), Batch(2), Finish(2)});
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_EQ(answers[1].committed_sequence(), 1u);
  EXPECT_EQ(answers[2].committed_sequence(), 2u);
  EXPECT_EQ(answers[2].run(), "");
  EXPECT_THAT(answers[3].run(), StartsWith("runs/"));
}

TEST_F(IngestServiceTest, ABatchSentTwiceCountsOnce) {
  const auto once = Converse(services_.channel(), {Header("m"), Batch(1), Finish(1)});
  const auto twice = Converse(services_.channel(), {Header("m"), Batch(1), Batch(1), Finish(1)});
  ASSERT_TRUE(twice.second.ok()) << twice.second.error_message();
  ASSERT_EQ(twice.first.size(), 4u);
  EXPECT_EQ(twice.first[3].run(), once.first[2].run());
}

TEST_F(IngestServiceTest, MessagesOutOfOrderEndTheStream) {
  auto [answers, status] = Converse(services_.channel(), {Batch(1)});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("batch came before the header"));
  std::tie(answers, status) = Converse(services_.channel(), {Finish(0)});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("finish came before the header"));
  std::tie(answers, status) = Converse(services_.channel(), {Header("m"), Header("m")});
  EXPECT_THAT(status.error_message(), HasSubstr("header came twice"));
  std::tie(answers, status) = Converse(services_.channel(), {v1::IngestRequest()});
  EXPECT_THAT(status.error_message(), HasSubstr("part is not set"));
  std::tie(answers, status) = Converse(services_.channel(), {Header("m"), Finish(3)});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(IngestServiceTest, AbandonedStreamsCostNothing) {
  for (int i = 0; i < 50; ++i) {
    auto stub = v1::IngestService::NewStub(services_.channel());
    grpc::ClientContext context;
    auto stream = stub->Ingest(&context);
    stream->Write(Header("m"));
    context.TryCancel();
    EXPECT_FALSE(stream->Finish().ok());
  }
  EXPECT_TRUE(Converse(services_.channel(), {Header("m"), Finish(0)}).second.ok());
}

TEST_F(IngestServiceTest, ManyStreamsAtOnce) {
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([this, t] {
      std::vector<v1::IngestRequest> requests = {Header("m" + std::to_string(t))};
      for (uint64_t b = 1; b <= 20; ++b) requests.push_back(Batch(b));
      requests.push_back(Finish(20));
      EXPECT_TRUE(Converse(services_.channel(), requests).second.ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace mirage::server
