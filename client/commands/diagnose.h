// `mirage diagnose RUN… --scales FILE` or `--series FILE…`: which sudden rises over a family of
// models are the metric's doing.
#ifndef MIRAGE_CLIENT_COMMANDS_DIAGNOSE_H_
#define MIRAGE_CLIENT_COMMANDS_DIAGNOSE_H_

#include <grpcpp/channel.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace mirage::client {

// Series are cut into messages of at most this, unless the columns that a series shares are
// longer.
inline constexpr size_t kMaxSeriesMessage = 1'000'000;

struct DiagnoseOptions {
  // What a harness wrote: files or folders (family_runs.h).
  std::vector<std::string> runs;
  // Tables of scales, for the runs.
  std::vector<std::string> scales;
  // Folders with what hooks recorded of the runs.
  std::vector<std::string> evidence;
  // TASK=TASK: the counterpart of the first is in the second.
  std::vector<std::string> companions;
  // Unit of text comparisons in the runs.
  std::string tokenizer = "codepoints";
  // Tables of series (series_table.h), read as one. A file that is named twice is read once.
  std::vector<std::string> series;
  // Metrics that the registry does not know (metric_properties.h); empty for none.
  std::string metric_properties;
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
  // Sharp metrics to diagnose; empty for all.
  std::vector<std::string> metrics;
  // Where to draw: a file that ends in ".svg", "-" for standard output, empty for nowhere.
  std::string plot;
  // "table", "json", "markdown" or "csv".
  std::string output_format = "table";
  // Instead of standard output; empty for none.
  std::string output;
  // No progress, no warnings on standard error; errors still show.
  bool quiet = false;
  // Address of the sidecar; empty when it is this process's own.
  std::string sidecar;
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
