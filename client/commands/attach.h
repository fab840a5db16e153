// `mirage attach RUN…`: counterparts, intervals and risk beside every number that a
// finished evaluation reported.
#ifndef MIRAGE_CLIENT_COMMANDS_ATTACH_H_
#define MIRAGE_CLIENT_COMMANDS_ATTACH_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace mirage::client {

struct AttachOptions {
  // Files or folders.
  std::vector<std::string> paths;
  // "table", "json", "markdown" or "csv".
  std::string output_format = "table";
  // Instead of standard output; empty for none.
  std::string output;
  // Where derived files go instead of beside each run; empty for beside. A folder that is not
  // there is made before anything is read; where that fails nothing is.
  std::string write_dir;
  // Write no derived files.
  bool no_write = false;
  // Also write every sample's scores.
  bool samples = false;
  // Show every counterpart in the table.
  bool all_metrics = false;
  // No progress, no notes on standard error; errors still show.
  bool quiet = false;
  std::string tokenizer = "codepoints";
  double level = 0.95;
  // "auto", "wilson", "clopper_pearson", "beta_posterior", "student_t" or "normal".
  std::string interval = "auto";
  uint64_t seed = 0;
  // A row larger than this is refused, in MiB: at most 128, since the batch that it is in
  // must fit into a message (server::kMaxMessageBytes).
  uint64_t max_row_mib = 64;
  // Folders in which mirage_evidence_<task>_<date>.jsonl are looked for besides the run's own;
  // what lies in them for a run comes before what lies beside it. One that cannot be looked
  // through ends the command before anything is read.
  std::vector<std::string> evidence;
  // Address of the sidecar; empty when it is this process's own.
  std::string sidecar;
};

// Runs the command and returns its exit code (exit_code.h). Results go to standard
// output or `options.output`, everything else to standard error. A run that cannot
// be read is reported and the others go on; one whose samples can be read in part only
// is shown, and makes the exit code kFailed. A run that is named twice, by whatever
// path, is taken once.
int RunAttach(const AttachOptions& options, const std::shared_ptr<grpc::Channel>& channel);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_COMMANDS_ATTACH_H_
