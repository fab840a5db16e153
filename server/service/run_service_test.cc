#include "server/service/run_service.h"

#include <gtest/gtest.h>

#include <string>

#include "server/service/ingest_service.h"
#include "tests/support/ingest_stream.h"
#include "tests/support/service_channel.h"

namespace mirage::server {
namespace {

using namespace test_support;  // NOLINT: batches are this test's vocabulary

class RunServiceTest : public testing::Test {
 protected:
  // Name of a run of two samples.
  std::string Ingest() {
    const auto [answers, status] =
        Converse(services_.channel(), {Header("m"), Batch(1), Batch(2), Finish(2)});
    EXPECT_TRUE(status.ok()) << status.error_message();
    return answers.size() == 4 ? answers[3].run() : "";
  }
  grpc::Status Summarize(const v1::SummarizeRunRequest& request) {
    grpc::ClientContext context;
    auto stream = runs_->SummarizeRun(&context, request);
    v1::SummarizeRunResponse part;
    while (stream->Read(&part)) {
    }
    return stream->Finish();
  }
  grpc::Status Delete(const std::string& name) {
    grpc::ClientContext context;
    v1::DeleteRunRequest request;
    v1::DeleteRunResponse response;
    request.set_name(name);
    return runs_->DeleteRun(&context, request, &response);
  }

  Engine engine_;
  IngestService ingest_{&engine_};
  RunService service_{&engine_};
  ServiceChannel services_{{&ingest_, &service_}};
  std::unique_ptr<v1::RunService::Stub> runs_ = v1::RunService::NewStub(services_.channel());
};

TEST_F(RunServiceTest, RunGoesInAndComesBackScored) {
  v1::SummarizeRunRequest request;
  request.set_name(Ingest());
  grpc::ClientContext context;
  auto stream = runs_->SummarizeRun(&context, request);
  v1::SummarizeRunResponse part;
  ASSERT_TRUE(stream->Read(&part));
  EXPECT_EQ(part.run().model(), "m");
  ASSERT_TRUE(stream->Read(&part));
  EXPECT_EQ(part.task().metrics(0).value(), 1);
  EXPECT_FALSE(stream->Read(&part));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(RunServiceTest, ARunIsForgottenOnce) {
  const std::string name = Ingest();
  EXPECT_TRUE(Delete(name).ok());
  EXPECT_EQ(Delete(name).error_code(), grpc::StatusCode::NOT_FOUND);
  v1::SummarizeRunRequest request;
  request.set_name(name);
  EXPECT_EQ(Summarize(request).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(RunServiceTest, ALevelLiesBetweenZeroAndOne) {
  v1::SummarizeRunRequest request;
  request.set_name(Ingest());
  for (const double level : {-0.5, 1.0, 95.0}) {
    request.set_level(level);
    EXPECT_EQ(Summarize(request).error_code(), grpc::StatusCode::INVALID_ARGUMENT) << level;
  }
  request.set_level(0);  // the default
  EXPECT_TRUE(Summarize(request).ok());
}

TEST_F(RunServiceTest, AnIntervalMethodIsOneThatThereIs) {
  v1::SummarizeRunRequest request;
  request.set_name(Ingest());
  request.set_interval_method("wald");
  const grpc::Status status = Summarize(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(),
            "interval_method: 'wald' is no interval method: use one of auto, wilson, "
            "clopper_pearson, beta_posterior, student_t, normal");
  for (const char* method : {"", "auto", "clopper_pearson"}) {
    request.set_interval_method(method);
    EXPECT_TRUE(Summarize(request).ok()) << method;
  }
}

TEST_F(RunServiceTest, AClientThatStopsReadingHarmsNobody) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "gRPC passes statuses of cancelled calls from thread to thread under its own "
                  "locks, which ThreadSanitizer does not see";
#endif
  v1::SummarizeRunRequest request;
  request.set_name(Ingest());
  for (int i = 0; i < 50; ++i) {
    grpc::ClientContext context;
    auto stream = runs_->SummarizeRun(&context, request);
    v1::SummarizeRunResponse part;
    if (i % 2 == 0) stream->Read(&part);
    context.TryCancel();
    stream->Finish();
  }
  EXPECT_TRUE(Summarize(request).ok());
}

}  // namespace
}  // namespace mirage::server
