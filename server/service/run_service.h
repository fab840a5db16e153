// mirage.v1.RunService over the engine.
#ifndef MIRAGE_SERVER_SERVICE_RUN_SERVICE_H_
#define MIRAGE_SERVER_SERVICE_RUN_SERVICE_H_

#include "mirage/v1/run.grpc.pb.h"
#include "server/engine/engine.h"

namespace mirage::server {

class RunService final : public v1::RunService::CallbackService {
 public:
  // The engine must outlive the service.
  explicit RunService(Engine* engine) : engine_(engine) {}

  grpc::ServerWriteReactor<v1::SummarizeRunResponse>* SummarizeRun(
      grpc::CallbackServerContext* context, const v1::SummarizeRunRequest* request) override;

  grpc::ServerUnaryReactor* DeleteRun(grpc::CallbackServerContext* context,
                                      const v1::DeleteRunRequest* request,
                                      v1::DeleteRunResponse* response) override;

 private:
  Engine* engine_;
};

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_SERVICE_RUN_SERVICE_H_
