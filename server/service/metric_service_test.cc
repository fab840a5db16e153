#include "server/service/metric_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/support/service_channel.h"

namespace mirage::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using Needs = v1::MetricDescription::Needs;

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

  grpc::Status ListStatistics(const v1::ListStatisticsRequest& request,
                              v1::ListStatisticsResponse* response) {
    grpc::ClientContext context;
    return stub_->ListStatistics(&context, request, response);
  }
  // The answer about a metric of a run that recorded this; nothing asks for all.
  v1::SwapMetricResponse SwapOf(const std::string& metric,
                                const std::vector<Needs::Value>& recorded = {}) {
    v1::SwapMetricRequest request;
    request.set_metric(metric);
    for (const Needs::Value needs : recorded) request.add_recorded(needs);
    v1::SwapMetricResponse response;
    const grpc::Status status = Swap(request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
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

TEST_F(MetricServiceTest, StatisticsAreListedPageByPage) {
  v1::ListStatisticsResponse all;
  ASSERT_TRUE(ListStatistics({}, &all).ok());
  EXPECT_EQ(all.next_page_token(), "");
  ASSERT_GT(all.statistics_size(), 2);
  std::set<std::string> kinds;
  std::string kind;
  for (const v1::StatisticDescription& statistic : all.statistics()) {
    for (const std::string& text :
         {statistic.statistic(), statistic.summary(), statistic.definition(), statistic.valid(),
          statistic.edge_cases(), statistic.complexity(), statistic.source(), statistic.header()}) {
      EXPECT_NE(text, "") << statistic.statistic();
    }
    if (statistic.kind() == kind) continue;
    kind = statistic.kind();
    EXPECT_TRUE(kinds.insert(kind).second) << kind << " stands in two places";
  }

  v1::ListStatisticsRequest list;
  list.set_page_size(2);
  v1::ListStatisticsResponse page;
  ASSERT_TRUE(ListStatistics(list, &page).ok());
  EXPECT_THAT(page.statistics(), SizeIs(2));
  EXPECT_EQ(page.next_page_token(), "2");
  list.set_page_token(page.next_page_token());
  ASSERT_TRUE(ListStatistics(list, &page).ok());
  EXPECT_EQ(page.statistics(0).statistic(), all.statistics(2).statistic());

  list.set_page_token(std::to_string(all.statistics_size()));
  EXPECT_EQ(ListStatistics(list, &page).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(MetricServiceTest, AMetricIsDescribed) {
  v1::GetMetricResponse response;
  ASSERT_TRUE(Get("brier_score", &response).ok());
  EXPECT_EQ(response.metric().upper_bound(), 2);
  EXPECT_TRUE(response.metric().in_runs());
  EXPECT_EQ(response.metric().header(), "metrics/kernels/choices.h");
}

TEST_F(MetricServiceTest, EveryMetricSaysWhatItPromises) {
  v1::ListMetricsRequest list;
  list.set_page_size(1000);
  v1::ListMetricsResponse all;
  ASSERT_TRUE(List(list, &all).ok());
  for (const v1::MetricDescription& metric : all.metrics()) {
    EXPECT_NE(metric.edge_cases(), "") << metric.metric();
    EXPECT_NE(metric.complexity(), "") << metric.metric();
    EXPECT_NE(metric.header(), "") << metric.metric();
    EXPECT_NE(metric.aggregation(), "") << metric.metric();
    ASSERT_EQ(metric.needs_size(), 1) << metric.metric();
    EXPECT_NE(metric.needs(0), Needs::NEEDS_UNSPECIFIED) << metric.metric();
  }
}

TEST_F(MetricServiceTest, AnUnknownMetricIsToldTheNearest) {
  v1::GetMetricResponse response;
  grpc::Status status = Get("brier-scor", &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(),
              AllOf(HasSubstr("did you mean brier_score"), HasSubstr("? ListMetrics has all")));
  status = Get("zebra", &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("it has acc, "));
}

TEST_F(MetricServiceTest, AMetricIsSwapped) {
  const v1::SwapMetricResponse swaps = SwapOf("exact_match");
  EXPECT_THAT(swaps.unavailable(), IsEmpty());
  const v1::MetricSwap& first = swaps.swaps(0);
  EXPECT_EQ(first.counterpart().metric(), "token_edit_distance");
  EXPECT_THAT(first.reason(), AllOf(HasSubstr("continuous"), HasSubstr("linear")));
  EXPECT_EQ(first.requirement(), "a generated text and a target");

  v1::SwapMetricRequest request;
  v1::SwapMetricResponse none;
  request.set_metric("exact_mach");
  const grpc::Status status = Swap(request, &none);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("did you mean exact_match"));
}

// Its own evidence first, then what the same documents could have recorded.
TEST_F(MetricServiceTest, CounterpartsOverOtherEvidenceFollow) {
  std::vector<Needs::Value> order;
  const v1::SwapMetricResponse swaps = SwapOf("exact_match");
  for (const v1::MetricSwap& swap : swaps.swaps()) {
    const Needs::Value needs = swap.counterpart().needs(0);
    if (order.empty() || order.back() != needs) order.push_back(needs);
  }
  ASSERT_GE(order.size(), 2u);
  EXPECT_EQ(order[0], Needs::GENERATION);
  EXPECT_EQ(order[1], Needs::TARGET_LOG_LIKELIHOOD);
  EXPECT_EQ(std::set<Needs::Value>(order.begin(), order.end()).size(), order.size())
      << "each kind of evidence once";
}

// acc is a metric of choices, and of targets.
TEST_F(MetricServiceTest, ANameOfSeveralRowsHasTheCounterpartsOfEach) {
  const v1::SwapMetricResponse swaps = SwapOf("acc");
  EXPECT_EQ(swaps.swaps(0).counterpart().metric(), "log_p_gold");
  const auto is_log_p_target = [](const v1::MetricSwap& swap) {
    return swap.counterpart().metric() == "log_p_target" &&
           swap.counterpart().needs(0) == Needs::TARGET_LOG_LIKELIHOOD;
  };
  EXPECT_EQ(std::count_if(swaps.swaps().begin(), swaps.swaps().end(), is_log_p_target), 1);
  const v1::SwapMetricResponse targets = SwapOf("acc", {Needs::TARGET_LOG_LIKELIHOOD});
  EXPECT_EQ(targets.swaps(0).counterpart().metric(), "log_p_target");
  EXPECT_EQ(targets.unavailable(0).metric(), "log_p_gold");
}

TEST_F(MetricServiceTest, AMetricIsNoCounterpartOfItself) {
  for (const char* name : {"ppl", "perplexity"}) {
    const v1::SwapMetricResponse swaps = SwapOf(name);
    EXPECT_GT(swaps.swaps_size(), 0);
    for (const v1::MetricSwap& swap : swaps.swaps()) {
      EXPECT_NE(swap.counterpart().metric(), "perplexity");
    }
  }
}

TEST_F(MetricServiceTest, WhatTheRunLacksIsNamed) {
  v1::SwapMetricResponse swaps = SwapOf("exact_match", {Needs::DOCUMENT_LOG_LIKELIHOOD});
  EXPECT_THAT(swaps.swaps(), IsEmpty());
  ASSERT_GT(swaps.unavailable_size(), 0);
  EXPECT_EQ(swaps.unavailable(0).metric(), "token_edit_distance");
  EXPECT_EQ(swaps.unavailable(0).reason(), "the run lacks a generated text and a target");

  swaps = SwapOf("exact_match", {Needs::GENERATION});
  EXPECT_EQ(swaps.swaps(0).counterpart().metric(), "token_edit_distance");
  for (const v1::MetricSwap& swap : swaps.swaps()) {
    EXPECT_EQ(swap.counterpart().needs(0), Needs::GENERATION);
  }
  EXPECT_EQ(swaps.unavailable(0).metric(), "log_p_target");
  EXPECT_EQ(swaps.unavailable(0).reason(), "the run lacks the log-likelihood of a target");
}

TEST_F(MetricServiceTest, ATasksOwnMetricHasTheCounterpartsOfWhatWasRecorded) {
  const v1::SwapMetricResponse swaps =
      SwapOf("my_score", {Needs::CHOICE_LOG_LIKELIHOODS, Needs::CHOICE_LOG_LIKELIHOODS});
  const v1::SwapMetricResponse known = SwapOf("acc_norm", {Needs::CHOICE_LOG_LIKELIHOODS});
  EXPECT_EQ(swaps.SerializeAsString(), known.SerializeAsString());
}

TEST_F(MetricServiceTest, WhatTheLibraryAloneComputesSaysSo) {
  const v1::SwapMetricResponse swaps = SwapOf("exact_match");
  for (const v1::MetricSwap& swap : swaps.swaps()) {
    const auto names_the_library =
        HasSubstr("the library computes it (" + swap.counterpart().header() + "), attach does not");
    if (swap.counterpart().in_runs()) {
      EXPECT_THAT(swap.reason(), Not(names_the_library)) << swap.counterpart().metric();
    } else {
      EXPECT_THAT(swap.reason(), names_the_library) << swap.counterpart().metric();
    }
  }
}

TEST_F(MetricServiceTest, RecordedEvidenceIsStated) {
  for (const int needs : {0, 99}) {
    v1::SwapMetricRequest request;
    request.set_metric("acc");
    request.add_recorded(Needs::GENERATION);
    request.add_recorded(static_cast<Needs::Value>(needs));
    v1::SwapMetricResponse response;
    const grpc::Status status = Swap(request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr("recorded[1] is " + std::to_string(needs)));
  }
}

}  // namespace
}  // namespace mirage::server
