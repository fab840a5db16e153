// mirage.v1.EmergenceService.
#ifndef MIRAGE_SERVER_SERVICE_EMERGENCE_SERVICE_H_
#define MIRAGE_SERVER_SERVICE_EMERGENCE_SERVICE_H_

#include "mirage/v1/emergence.grpc.pb.h"

namespace mirage::server {

class EmergenceService final : public v1::EmergenceService::CallbackService {
 public:
  grpc::ServerBidiReactor<v1::DiagnoseSeriesRequest, v1::DiagnoseSeriesResponse>* DiagnoseSeries(
      grpc::CallbackServerContext* context) override;
};

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_SERVICE_EMERGENCE_SERVICE_H_
