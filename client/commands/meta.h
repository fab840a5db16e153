// `mirage meta RUN… --scales FILE` or `--series FILE…`: under which metrics curves look emergent.
#ifndef MIRAGE_CLIENT_COMMANDS_META_H_
#define MIRAGE_CLIENT_COMMANDS_META_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "client/commands/family_input.h"

namespace mirage::client {

// Companions that match are found; none can be named.
struct MetaOptions : FamilyInputOptions {
  // "parameters" (a table's `scale`), "flops", "tokens" or "loss".
  std::string x_axis = "parameters";
  double fdr = 0.05;
  double level = 0.95;
  // "bh" (Benjamini, Hochberg) or "by" (Benjamini, Yekutieli).
  std::string correction = "bh";
  uint64_t seed = 0;
  // A file that ends in ".svg"; empty for none.
  std::string plot;
  // "table", "json", "markdown" or "csv".
  std::string output_format = "table";
  // Instead of standard output; empty for none.
  std::string output;
};

// INVALID_ARGUMENT, with the flag and the remedy: neither a run nor a table, scales or evidence
// without a run, a plot that is no SVG, two answers into one place, or one over a table.
absl::Status CheckMetaOptions(const MetaOptions& options);

// Runs the command and returns its exit code (exit_code.h): kUsage for bad options, also those that
// the sidecar refuses; kFailed for tables that cannot be used, a run that cannot be read (the
// answer is of the others), a sidecar that fails, an output that cannot be written.
int RunMeta(const MetaOptions& options, const std::shared_ptr<grpc::Channel>& channel);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_COMMANDS_META_H_
