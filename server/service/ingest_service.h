// mirage.v1.IngestService over the engine.
#ifndef MIRAGE_SERVER_SERVICE_INGEST_SERVICE_H_
#define MIRAGE_SERVER_SERVICE_INGEST_SERVICE_H_

#include "mirage/v1/ingest.grpc.pb.h"
#include "server/engine/engine.h"

namespace mirage::server {

class IngestService final : public v1::IngestService::CallbackService {
 public:
  // The engine must outlive the service.
  explicit IngestService(Engine* engine) : engine_(engine) {}

  grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse>* Ingest(
      grpc::CallbackServerContext* context) override;

 private:
  Engine* engine_;
};

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_SERVICE_INGEST_SERVICE_H_
