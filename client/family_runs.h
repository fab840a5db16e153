// Sends the runs of a family of models to a sidecar, each with how large its model is.
#ifndef MIRAGE_CLIENT_FAMILY_RUNS_H_
#define MIRAGE_CLIENT_FAMILY_RUNS_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "mirage/v1/emergence.pb.h"

namespace mirage::client {

struct FamilyRunsOptions {
  // What a harness wrote: files or folders; all runs below are taken.
  std::vector<std::string> paths;
  // Tables of scales (scales_table.h), read as one. Without any, a run's own record of its number
  // of parameters is taken, where the harness made one.
  std::vector<std::string> scales;
  // Folders to look in, too, for what hooks recorded (integrations/evidence); what lies beside a
  // run is found without.
  std::vector<std::string> evidence;
  // Unit of text comparisons; empty for the sidecar's default.
  std::string tokenizer;
  // Fields of the documents to send with the samples (ReadOptions::fields).
  std::vector<std::string> fields;
  // A row larger than this is refused.
  uint64_t max_row_bytes = uint64_t{64} << 20;
  // Called now and then with what was read of all runs; may be empty.
  std::function<void(uint64_t read, uint64_t total)> progress;
};

struct FamilyRuns {
  // What the sidecar has, in the order of the paths.
  std::vector<v1::FamilyRun> runs;
  // For people: runs without a scale, rows of the tables that belong to no run, folders that could
  // not be read.
  std::vector<std::string> warnings;
  // Runs and paths that could not be read, and why: the others are there.
  std::vector<std::string> failures;
  // Every file that was read.
  std::vector<std::string> inputs;
};

// Reads and sends them. A run that no row of the tables matches (model_match.h) is taken with what
// it says of itself, and named in a warning where that is nothing; one that several match is left
// out, and named. Two tables' rows for one run, a run that was named before: once. Errors: those of
// the tables; UNAVAILABLE when the sidecar cannot be reached. A run that cannot be read is a
// failure, no error, unless none can.
absl::StatusOr<FamilyRuns> SendFamilyRuns(const std::shared_ptr<grpc::Channel>& channel,
                                          const FamilyRunsOptions& options);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_FAMILY_RUNS_H_
