// `mirage simulate --truth NAME -o DIR`: a family of models whose law is known, in the files of a
// real one.
#ifndef MIRAGE_CLIENT_COMMANDS_SIMULATE_H_
#define MIRAGE_CLIENT_COMMANDS_SIMULATE_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace mirage::client {

struct SimulateOptions {
  // Name of a preset; empty for the specification's, or "paper" where that names none.
  std::string truth;
  // YAML, a mapping with the fields of SimulationSpec; empty for none. What flags say counts more.
  std::string spec;
  // Family's name; empty for the preset's.
  std::string family;
  std::optional<uint64_t> seed;
  std::optional<uint32_t> samples;
  std::optional<uint32_t> seeds;
  // Numbers of parameters; empty for the preset's.
  std::vector<double> scales;
  // Folder to write to: new, or empty.
  std::string output;
  // Only print the presets.
  bool list = false;
  // No progress and no notes on standard error.
  bool quiet = false;
  // Address of the sidecar; empty when it is this process's own.
  std::string sidecar;
};

// INVALID_ARGUMENT, with the flag and the remedy: neither a truth nor a specification nor --list,
// no folder, --list together with any of these. To be asked before there is a sidecar to wait for.
absl::Status CheckSimulateOptions(const SimulateOptions& options);

// Runs the command and returns its exit code (exit_code.h): kUsage for bad options, also those that
// the sidecar refuses; kFailed for a folder that is not empty or cannot be written, a specification
// that cannot be read, a sidecar that fails.
//
// Writes DIR/<model>/ with results_<date>.json, samples_<task>_<date>.jsonl and
// mirage_evidence_<task>_<date>.jsonl, DIR/models.csv (scales_table.h) and, last, DIR/truth.json
// (SimulationTruth). The same options give the same bytes. After an error what was written is
// removed again. Where it is and what the truth is goes to standard output.
int RunSimulate(const SimulateOptions& options, const std::shared_ptr<grpc::Channel>& channel);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_COMMANDS_SIMULATE_H_
