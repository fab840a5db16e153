#include "server/service/metric_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/support/service_channel.h"

namespace mirage::server {
namespace {

using ::testing::HasSubstr;

class MetricServiceTest : public testing::Test {
 protected:
  grpc::Status List(const v1::ListMetricsRequest& request, v1::ListMetricsResponse* response) {
    grpc::ClientContext context;
    return stub_->ListMetrics(&context, request, response);
  }
  grpc::Status Get(const std::string& metric, v1::GetMetricResponse* response) {
    grpc::ClientContext context;
    v1::GetMetricRequest request;
    request.set_metric(metric);
    return stub_->GetMetric(&context, request, response);
  }
  grpc::Status Swap(const v1::SwapMetricRequest& request, v1::SwapMetricResponse* response) {
    grpc::ClientContext context;
    return stub_->SwapMetric(&context, request, response);
  }

  MetricService service_;
  test_support::ServiceChannel services_{{&service_}};
  std::unique_ptr<v1::MetricService::Stub> stub_ = v1::MetricService::NewStub(services_.channel());
};

TEST_F(MetricServiceTest, MetricsAreListedPageByPage) {
  v1::ListMetricsRequest list;
  list.set_page_size(10);
  size_t n = 0;
  do {
    v1::ListMetricsResponse page;
    ASSERT_TRUE(List(list, &page).ok());
    n += static_cast<size_t>(page.metrics_size());
    list.set_page_token(page.next_page_token());
  } while (!list.page_token().empty());
  EXPECT_GT(n, 30u);

  v1::ListMetricsResponse all;
  ASSERT_TRUE(List({}, &all).ok());
  EXPECT_EQ(static_cast<size_t>(all.metrics_size()), n);
  EXPECT_EQ(all.next_page_token(), "");
}

TEST_F(MetricServiceTest, APageTokenIsOneOfAnEarlierAnswer) {
  for (const char* token : {"x", "-1", "100000", "99999999999999999999"}) {
    v1::ListMetricsRequest list;
    list.set_page_token(token);
    v1::ListMetricsResponse page;
    EXPECT_EQ(List(list, &page).error_code(), grpc::StatusCode::INVALID_ARGUMENT) << token;
  }
}

TEST_F(MetricServiceTest, AMetricIsDescribed) {
  v1::GetMetricResponse response;
  ASSERT_TRUE(Get("brier_score", &response).ok());
  EXPECT_EQ(response.metric().upper_bound(), 2);
  const grpc::Status status = Get("accuracy", &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("it has acc, "));
}

TEST_F(MetricServiceTest, AMetricIsSwapped) {
  v1::SwapMetricRequest request;
  v1::SwapMetricResponse swaps;
  request.set_metric("exact_match");
  ASSERT_TRUE(Swap(request, &swaps).ok());
  EXPECT_EQ(swaps.swaps(0).counterpart().metric(), "token_edit_distance");
  EXPECT_NE(swaps.swaps(0).reason(), "");
  request.set_metric("accuracy");
  EXPECT_EQ(Swap(request, &swaps).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(MetricServiceTest, WhatTheRunLacksIsNamed) {
  v1::SwapMetricRequest request;
  v1::SwapMetricResponse swaps;
  request.set_metric("exact_match");
  request.add_recorded(v1::MetricDescription::Needs::DOCUMENT_LOG_LIKELIHOOD);
  ASSERT_TRUE(Swap(request, &swaps).ok());
  EXPECT_EQ(swaps.swaps_size(), 0);
  ASSERT_GT(swaps.unavailable_size(), 0);
  EXPECT_EQ(swaps.unavailable(0).metric(), "token_edit_distance");
  EXPECT_THAT(swaps.unavailable(0).reason(), HasSubstr("the run lacks "));
}

}  // namespace
}  // namespace mirage::server
