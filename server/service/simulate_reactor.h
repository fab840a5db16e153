// EmergenceService's part that simulates.
#ifndef MIRAGE_SERVER_SERVICE_SIMULATE_REACTOR_H_
#define MIRAGE_SERVER_SERVICE_SIMULATE_REACTOR_H_

#include <grpcpp/grpcpp.h>

#include "mirage/v1/emergence.grpc.pb.h"

namespace mirage::server {

// Answers Simulate. Deletes itself when the call is done.
grpc::ServerWriteReactor<v1::SimulateResponse>* Simulate(const v1::SimulateRequest& request);

// Answers ListSimulationPresets.
void ListSimulationPresets(v1::ListSimulationPresetsResponse* response);

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_SERVICE_SIMULATE_REACTOR_H_
