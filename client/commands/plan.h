// `mirage plan RUN… --scales FILE` or `--series FILE…`: how many items, which further sizes and how
// many trainings would settle what a diagnosis leaves open.
#ifndef MIRAGE_CLIENT_COMMANDS_PLAN_H_
#define MIRAGE_CLIENT_COMMANDS_PLAN_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "client/commands/family_input.h"

namespace mirage::client {

struct PlanOptions : FamilyInputOptions {
  // "parameters" (a table's `scale`), "flops", "tokens" or "loss".
  std::string x_axis = "parameters";
  // The change worth seeing, in the metric's unit; 0 for what the counterpart predicts.
  double delta = 0;
  // Probability of seeing it, and confidence of the test.
  double power = 0.8;
  double level = 0.95;
  uint64_t seed = 0;
  // "table", "json", "markdown" or "csv".
  std::string output_format = "table";
  // Instead of standard output; empty for none.
  std::string output;
};

// INVALID_ARGUMENT, with the flag and the remedy, for options that do not go together
// (family_input.h), and for an answer over a table.
absl::Status CheckPlanOptions(const PlanOptions& options);

// Runs the command and returns its exit code (exit_code.h), as RunDiagnose does.
int RunPlan(const PlanOptions& options, const std::shared_ptr<grpc::Channel>& channel);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_COMMANDS_PLAN_H_
