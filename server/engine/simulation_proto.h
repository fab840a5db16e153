// Simulated families as the API spells them.
#ifndef MIRAGE_SERVER_ENGINE_SIMULATION_PROTO_H_
#define MIRAGE_SERVER_ENGINE_SIMULATION_PROTO_H_

#include "absl/status/statusor.h"
#include "metrics/emergence/simulation_spec.h"
#include "metrics/emergence/simulation_truth.h"
#include "mirage/v1/emergence.pb.h"

namespace mirage::server {

// The specification; what is absent or empty stays so. INVALID_ARGUMENT, with the field's path and
// the remedy, for a value of an enumeration that there is not. Ranges are not looked at:
// FillSimulationSpec does.
absl::StatusOr<metrics::SimulationSpec> SimulationFromProto(const v1::SimulationSpec& message);

// The same back; SimulationFromProto gives the specification again.
v1::SimulationSpec SimulationToProto(const metrics::SimulationSpec& spec);

// The API's verdict.
v1::Diagnosis::Verdict VerdictToProto(metrics::TrueVerdict verdict);

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_SIMULATION_PROTO_H_
