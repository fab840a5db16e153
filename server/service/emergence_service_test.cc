#include "server/service/emergence_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/service_channel.h"

namespace mirage::server {
namespace {

using ::testing::HasSubstr;

v1::DiagnoseSeriesRequest SeriesOf(const std::string& metric, double (*value)(double)) {
  v1::DiagnoseSeriesRequest request;
  v1::Series& series = *request.mutable_series();
  series.set_task("task");
  series.set_metric(metric);
  series.set_target_length(4);
  for (int i = 0; i < 7; ++i) {
    v1::SeriesPoint* point = series.add_points();
    point->set_model("m" + std::to_string(i));
    point->set_scale(1e8 * std::pow(3.0, i));
    point->set_value(value(0.4 * std::pow(3.0, -0.5 * (i - 4))));
    point->set_n(1000);
  }
  return request;
}

v1::DiagnoseSeriesRequest ExactMatch() {
  return SeriesOf("exact_match",
                  [](double nll) { return std::round(1000 * std::exp(-4 * nll)) / 1000; });
}

class EmergenceServiceTest : public testing::Test {
 protected:
  // All that comes back.
  grpc::Status Call(const std::vector<v1::DiagnoseSeriesRequest>& requests,
                    std::vector<v1::DiagnoseSeriesResponse>* responses) {
    grpc::ClientContext context;
    auto stream = stub_->DiagnoseSeries(&context);
    for (const v1::DiagnoseSeriesRequest& request : requests) {
      if (!stream->Write(request)) break;
    }
    stream->WritesDone();
    v1::DiagnoseSeriesResponse response;
    while (stream->Read(&response)) responses->push_back(response);
    return stream->Finish();
  }

  Engine engine_;
  EmergenceService service_{&engine_};
  test_support::ServiceChannel services_{{&service_}};
  std::unique_ptr<v1::EmergenceService::Stub> stub_ =
      v1::EmergenceService::NewStub(services_.channel());
};

TEST_F(EmergenceServiceTest, ProgressThenWarningsThenDiagnoses) {
  v1::DiagnoseSeriesRequest options;
  options.mutable_options()->set_seed(1);
  std::vector<v1::DiagnoseSeriesResponse> responses;
  const grpc::Status status =
      Call({options, ExactMatch(), SeriesOf("nll_per_token", [](double nll) { return nll; }),
            SeriesOf("unheard_of", [](double nll) { return nll; })},
           &responses);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_GE(responses.size(), 3);
  const size_t n = responses.size();
  for (size_t i = 0; i + 2 < n; ++i) EXPECT_TRUE(responses[i].has_progress());
  EXPECT_EQ(responses[n - 3].progress().n_done(), 1);
  EXPECT_EQ(responses[n - 3].progress().n_series(), 1);
  EXPECT_THAT(responses[n - 2].warning(), HasSubstr("unheard_of"));
  EXPECT_EQ(responses[n - 1].diagnosis().metric(), "exact_match");
  EXPECT_EQ(responses[n - 1].diagnosis().family(), "default");
}

TEST_F(EmergenceServiceTest, OptionsMayBeLeftOutButComeFirst) {
  std::vector<v1::DiagnoseSeriesResponse> responses;
  EXPECT_TRUE(Call({ExactMatch()}, &responses).ok());
  v1::DiagnoseSeriesRequest options;
  options.mutable_options()->set_seed(1);
  const grpc::Status late = Call({ExactMatch(), options}, &responses);
  EXPECT_EQ(late.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(late.error_message(), HasSubstr("options came late"));
}

TEST_F(EmergenceServiceTest, BadInputHasItsCode) {
  std::vector<v1::DiagnoseSeriesResponse> responses;
  EXPECT_EQ(Call({}, &responses).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Call({v1::DiagnoseSeriesRequest()}, &responses).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  v1::DiagnoseSeriesRequest bad = ExactMatch();
  bad.mutable_series()->mutable_points(0)->set_scale(-1);
  const grpc::Status status = Call({bad}, &responses);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("points[0].scale"));
  v1::DiagnoseSeriesRequest forecast;
  forecast.mutable_options()->add_predict_at(-1);
  EXPECT_EQ(Call({forecast, ExactMatch()}, &responses).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(EmergenceServiceTest, MetaIsProgressWarningsTripletsAndASummary) {
  const auto call = [&](const std::vector<v1::AnalyzeMetaRequest>& requests,
                        std::vector<v1::AnalyzeMetaResponse>* responses) {
    grpc::ClientContext context;
    auto stream = stub_->AnalyzeMeta(&context);
    for (const v1::AnalyzeMetaRequest& request : requests) {
      if (!stream->Write(request)) break;
    }
    stream->WritesDone();
    v1::AnalyzeMetaResponse response;
    while (stream->Read(&response)) responses->push_back(response);
    return stream->Finish();
  };
  std::vector<v1::AnalyzeMetaRequest> requests(3);
  requests[0].mutable_options()->set_seed(1);
  *requests[1].mutable_series() = ExactMatch().series();
  *requests[2].mutable_series() = SeriesOf("unheard_of", [](double nll) { return nll; }).series();
  std::vector<v1::AnalyzeMetaResponse> responses;
  const grpc::Status status = call(requests, &responses);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const size_t n = responses.size();
  ASSERT_GE(n, 4);
  EXPECT_EQ(responses[n - 4].progress().n_done(), 1);
  EXPECT_THAT(responses[n - 3].warning(), HasSubstr("unheard_of"));
  EXPECT_EQ(responses[n - 2].triplet().metric(), "exact_match");
  EXPECT_EQ(responses[n - 1].summary().n_evaluated(), 1);
  std::swap(requests[0], requests[1]);
  EXPECT_EQ(call(requests, &responses).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(call({}, &responses).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(call({v1::AnalyzeMetaRequest()}, &responses).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  v1::AnalyzeMetaRequest run;
  run.mutable_run()->set_run("runs/unheard-of");
  EXPECT_EQ(call({run}, &responses).error_code(), grpc::StatusCode::NOT_FOUND);
}

// A caller that goes away in the middle leaves the service able to answer the next one.
TEST_F(EmergenceServiceTest, PlansAreProgressWarningsAndOneASeries) {
  const auto call = [&](const std::vector<v1::PlanSeriesRequest>& requests,
                        std::vector<v1::PlanSeriesResponse>* responses) {
    grpc::ClientContext context;
    auto stream = stub_->PlanSeries(&context);
    for (const v1::PlanSeriesRequest& request : requests) {
      if (!stream->Write(request)) break;
    }
    stream->WritesDone();
    v1::PlanSeriesResponse response;
    while (stream->Read(&response)) responses->push_back(response);
    return stream->Finish();
  };
  std::vector<v1::PlanSeriesRequest> requests(4);
  requests[0].mutable_options()->set_power(0.9);
  *requests[1].mutable_series() = ExactMatch().series();
  *requests[2].mutable_series() =
      SeriesOf("nll_per_token", [](double nll) { return nll; }).series();
  *requests[3].mutable_series() = SeriesOf("unheard_of", [](double nll) { return nll; }).series();
  std::vector<v1::PlanSeriesResponse> responses;
  const grpc::Status status = call(requests, &responses);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const size_t n = responses.size();
  ASSERT_GE(n, 3);
  EXPECT_EQ(responses[n - 3].progress().n_done(), 1);
  EXPECT_EQ(responses[n - 3].progress().n_series(), 1);
  EXPECT_THAT(responses[n - 2].warning(), HasSubstr("unheard_of"));
  EXPECT_EQ(responses[n - 1].plan().metric(), "exact_match");
  EXPECT_EQ(responses[n - 1].plan().power(), 0.9);
  EXPECT_GT(responses[n - 1].plan().reasons_size(), 0);
  std::swap(requests[0], requests[1]);
  EXPECT_EQ(call(requests, &responses).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(call({}, &responses).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(call({v1::PlanSeriesRequest()}, &responses).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  std::vector<v1::PlanSeriesRequest> unknown(1);
  unknown[0].mutable_run()->set_run("runs/nobody");
  EXPECT_EQ(call(unknown, &responses).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(EmergenceServiceTest, ACallerMayGoAway) {
  {
    grpc::ClientContext context;
    auto stream = stub_->DiagnoseSeries(&context);
    stream->Write(ExactMatch());
    context.TryCancel();
    stream->Finish();
  }
  std::vector<v1::DiagnoseSeriesResponse> responses;
  EXPECT_TRUE(Call({ExactMatch()}, &responses).ok());
}

}  // namespace
}  // namespace mirage::server
