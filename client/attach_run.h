// Sends one run to a sidecar and gets it back scored.
#ifndef MIRAGE_CLIENT_ATTACH_RUN_H_
#define MIRAGE_CLIENT_ATTACH_RUN_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "integrations/evidence/evidence_set.h"
#include "integrations/reader.h"
#include "mirage/v1/ingest.pb.h"
#include "mirage/v1/run.pb.h"

namespace mirage::client {

// Receives every sample's scores, batch by batch, in the order of the log.
// `scores` has one row a sample of `batch`; only its task, filter and keys are set.
using ScoresSink =
    std::function<absl::Status(const v1::SampleBatch& batch, const v1::SampleScores& scores)>;

struct AttachRunOptions {
  // Nominal coverage of intervals.
  double level = 0.95;
  // Interval of shares of right answers, as SummarizeRunRequest.interval_method.
  std::string interval = "auto";
  // Seed of every bootstrap.
  uint64_t seed = 0;
  // Unit of text comparisons; empty for the sidecar's default.
  std::string tokenizer;
  // What hooks recorded beside the run, put into its batches; null for none. Its notes go to the
  // tasks' warnings.
  integrations::evidence::RunEvidence* evidence = nullptr;
  // Called now and then with bytes read and bytes in all; may be empty.
  std::function<void(uint64_t read, uint64_t total)> progress;
  // Set to get every sample's scores.
  ScoresSink scores;
  // Whether the sidecar should forget the run afterwards (an embedded one must: it
  // has no other use for the memory).
  bool forget = false;
};

// Streams what `reader` reads, waiting for the sidecar when four batches are under
// way, and returns the summary. Rows that the reader skipped or the sidecar refused
// are reported in the summary's warnings with file and line, and counted. UNAVAILABLE
// when the sidecar cannot be reached; else its own status, or the reader's.
absl::StatusOr<v1::RunSummary> AttachRun(const std::shared_ptr<grpc::Channel>& channel,
                                         integrations::RunReader& reader,
                                         const AttachRunOptions& options);

// The same without the summary: the run's name in the sidecar, which keeps it.
absl::StatusOr<std::string> SendRun(const std::shared_ptr<grpc::Channel>& channel,
                                    integrations::RunReader& reader,
                                    const AttachRunOptions& options);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_ATTACH_RUN_H_
