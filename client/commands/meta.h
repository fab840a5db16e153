// `mirage meta --series FILE…`: under which metrics curves look emergent.
#ifndef MIRAGE_CLIENT_COMMANDS_META_H_
#define MIRAGE_CLIENT_COMMANDS_META_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace mirage::client {

struct MetaOptions {
  // Refused for now: a meta-analysis is made from tables.
  std::vector<std::string> runs;
  // Tables of series (series_table.h), read as one.
  std::vector<std::string> series;
  // Metrics that the registry does not know (metric_properties.h); empty for none.
  std::string metric_properties;
  // Metrics to take; empty for all.
  std::vector<std::string> metrics;
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
  // No progress, no warnings on standard error; errors still show.
  bool quiet = false;
  // Address of the sidecar; empty when it is this process's own.
  std::string sidecar;
};

// INVALID_ARGUMENT, with the flag and the remedy: runs, no table, a plot that is no SVG, two
// answers into one place, or one over a table.
absl::Status CheckMetaOptions(const MetaOptions& options);

// Runs the command and returns its exit code (exit_code.h): kUsage for bad options, also those that
// the sidecar refuses; kFailed for tables that cannot be used, a sidecar that fails, an output that
// cannot be written.
int RunMeta(const MetaOptions& options, const std::shared_ptr<grpc::Channel>& channel);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_COMMANDS_META_H_
