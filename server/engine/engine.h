// What the services do, free of gRPC: take in a run's samples, score them, answer.
//
// Runs live in memory, under a budget: when it is exceeded, the runs that were used
// longest ago are forgotten. A run's id is a digest of its content, so that sending
// the same run twice gives the same name and costs no further memory.
//
// Thread-safe; one session belongs to one thread at a time.
#ifndef MIRAGE_SERVER_ENGINE_ENGINE_H_
#define MIRAGE_SERVER_ENGINE_ENGINE_H_

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/text/units.h"
#include "mirage/v1/ingest.pb.h"
#include "mirage/v1/run.pb.h"
#include "server/engine/summary.h"
#include "server/engine/task_scorer.h"

namespace mirage::server {

// A run with its scored samples. Immutable once it is complete.
struct ScoredRun {
  v1::Run run;
  // In order of first arrival.
  std::vector<std::unique_ptr<TaskScorer>> scorers;
  std::vector<v1::RowIssues> issues;
};

class Engine;

// One stream of samples into one run.
class IngestSession {
 public:
  // Scores batch number `sequence` (from 1, without gaps). A batch that came before
  // is acknowledged without effect. INVALID_ARGUMENT for a gap, a task that the
  // header does not name, or a malformed batch; the session may go on after it.
  absl::Status Add(const v1::SampleBatch& batch, uint64_t sequence, v1::IngestResponse* response);

  // Completes the run and sets its name in the response. FAILED_PRECONDITION when
  // fewer batches arrived than `finish` names, INVALID_ARGUMENT for a note on a task that the
  // header does not name. Nothing may follow.
  absl::Status Finish(const v1::IngestFinish& finish, v1::IngestResponse* response);

 private:
  friend class Engine;
  IngestSession(Engine* engine, const v1::IngestHeader& header, metrics::TextUnit unit);
  absl::StatusOr<TaskScorer*> ScorerOf(const v1::SampleBatch& batch);

  Engine* engine_;
  std::shared_ptr<ScoredRun> run_;
  metrics::TextUnit unit_;
  bool return_scores_;
  uint64_t committed_ = 0;
  bool finished_ = false;
};

class Engine {
 public:
  struct Options {
    // Runs kept at most; the one used longest ago goes first.
    size_t max_runs = 256;
  };
  Engine() : Engine(Options()) {}
  explicit Engine(Options options) : options_(options) {}
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Opens a session; the engine must outlive it. INVALID_ARGUMENT for a tokenizer
  // that is not known, or a task named twice.
  absl::StatusOr<std::unique_ptr<IngestSession>> StartIngest(const v1::IngestHeader& header);

  // Calls `emit` with the run and then with each task in order; stops early, with
  // CANCELLED, when it returns false. NOT_FOUND for an unknown run,
  // INVALID_ARGUMENT for a level outside (0, 1).
  absl::Status Summarize(const v1::SummarizeRunRequest& request,
                         absl::FunctionRef<bool(v1::SummarizeRunResponse)> emit);

  // The run of that name. NOT_FOUND when it is not there (any more).
  absl::StatusOr<std::shared_ptr<const ScoredRun>> Find(const std::string& name);

  // Forgets a run. NOT_FOUND for an unknown one.
  absl::Status Delete(const std::string& name);

 private:
  friend class IngestSession;
  std::string Keep(std::shared_ptr<ScoredRun> run);

  const Options options_;
  std::mutex mutex_;
  // Most recently used first.
  std::list<std::shared_ptr<const ScoredRun>> by_use_;
  absl::flat_hash_map<std::string, std::list<std::shared_ptr<const ScoredRun>>::iterator> runs_;
};

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_ENGINE_H_
