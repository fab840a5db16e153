// `mirage diagnose RUN… --scales FILE` or `--series FILE…`: which sudden rises over a family of
// models are the metric's doing.
#ifndef MIRAGE_CLIENT_COMMANDS_DIAGNOSE_H_
#define MIRAGE_CLIENT_COMMANDS_DIAGNOSE_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/commands/family_input.h"

namespace mirage::client {

struct DiagnoseOptions : FamilyInputOptions {
  // "parameters" (a table's `scale`), "flops", "tokens" or "loss".
  std::string x_axis = "parameters";
  // Scales at which to forecast each metric, and values of which to forecast the scale.
  std::vector<double> predict_at;
  std::vector<double> reach;
  // Number of largest scales kept out of every fit.
  uint32_t hold_out = 1;
  double fdr = 0.05;
  double level = 0.95;
  uint64_t seed = 0;
  // Where to draw: a file that ends in ".svg", "-" for standard output, empty for nowhere.
  std::string plot;
  // "table", "json", "markdown", "csv" or "vega-lite".
  std::string output_format = "table";
  // Instead of standard output; empty for none.
  std::string output;
};

// INVALID_ARGUMENT, with the flag and the remedy, for options that do not go together: neither a
// run nor a table, scales or companions without a run, a companion that is no TASK=TASK, a plot
// that is no SVG, two answers into one place, or one over a table. To be asked before there is a
// sidecar to wait for.
absl::Status CheckDiagnoseOptions(const DiagnoseOptions& options);

// Runs the command and returns its exit code (exit_code.h): kUsage for bad options, also those
// that the sidecar refuses, and where none of the metrics named is in the tables; kFailed for
// tables that cannot be used, a run that cannot be read (the answer is of the others), a sidecar
// that fails, an output that cannot be written. The answer goes to standard output or
// `options.output`, a drawing to `options.plot`, each whole or not at all. What is wrong with rows
// is told on standard error and in the report, and costs nothing else.
int RunDiagnose(const DiagnoseOptions& options, const std::shared_ptr<grpc::Channel>& channel);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_COMMANDS_DIAGNOSE_H_
