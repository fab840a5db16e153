// mirage.v1.MetricService over the registry's metrics and statistics.
#ifndef MIRAGE_SERVER_SERVICE_METRIC_SERVICE_H_
#define MIRAGE_SERVER_SERVICE_METRIC_SERVICE_H_

#include "mirage/v1/metric.grpc.pb.h"

namespace mirage::server {

class MetricService final : public v1::MetricService::CallbackService {
 public:
  grpc::ServerUnaryReactor* ListMetrics(grpc::CallbackServerContext* context,
                                        const v1::ListMetricsRequest* request,
                                        v1::ListMetricsResponse* response) override;
  grpc::ServerUnaryReactor* GetMetric(grpc::CallbackServerContext* context,
                                      const v1::GetMetricRequest* request,
                                      v1::GetMetricResponse* response) override;
  grpc::ServerUnaryReactor* ListStatistics(grpc::CallbackServerContext* context,
                                           const v1::ListStatisticsRequest* request,
                                           v1::ListStatisticsResponse* response) override;
  grpc::ServerUnaryReactor* SwapMetric(grpc::CallbackServerContext* context,
                                       const v1::SwapMetricRequest* request,
                                       v1::SwapMetricResponse* response) override;
};

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_SERVICE_METRIC_SERVICE_H_
