// mirage.v1.EmergenceService.
#ifndef MIRAGE_SERVER_SERVICE_EMERGENCE_SERVICE_H_
#define MIRAGE_SERVER_SERVICE_EMERGENCE_SERVICE_H_

#include "mirage/v1/emergence.grpc.pb.h"
#include "server/engine/engine.h"

namespace mirage::server {

class EmergenceService final : public v1::EmergenceService::CallbackService {
 public:
  // `engine` has the runs, and must outlive the service.
  explicit EmergenceService(Engine* engine) : engine_(engine) {}

  grpc::ServerBidiReactor<v1::DiagnoseSeriesRequest, v1::DiagnoseSeriesResponse>* DiagnoseSeries(
      grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<v1::SimulateResponse>* Simulate(
      grpc::CallbackServerContext* context, const v1::SimulateRequest* request) override;
  grpc::ServerUnaryReactor* ListSimulationPresets(
      grpc::CallbackServerContext* context, const v1::ListSimulationPresetsRequest* request,
      v1::ListSimulationPresetsResponse* response) override;

  grpc::ServerBidiReactor<v1::AnalyzeMetaRequest, v1::AnalyzeMetaResponse>* AnalyzeMeta(
      grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<v1::PlanSeriesRequest, v1::PlanSeriesResponse>* PlanSeries(
      grpc::CallbackServerContext* context) override;

 private:
  Engine* const engine_;
};

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_SERVICE_EMERGENCE_SERVICE_H_
