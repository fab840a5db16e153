// A simulated family as the runs that a harness would have recorded.
#ifndef MIRAGE_SERVER_ENGINE_SIMULATED_FAMILY_H_
#define MIRAGE_SERVER_ENGINE_SIMULATED_FAMILY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "metrics/emergence/simulation.h"
#include "mirage/v1/emergence.pb.h"

namespace mirage::server {

// What is sent of one model, at most: tokens and choices over all its tasks.
inline constexpr uint64_t kMaxModelCells = uint64_t{1} << 22;
// The same over all models.
inline constexpr uint64_t kMaxFamilyCells = uint64_t{1} << 28;
// Sizes times what an item has (tokens and choices, over all tasks), at most: what the truth costs.
inline constexpr uint64_t kMaxTruthCells = uint64_t{1} << 13;
// Bytes of a family's name.
inline constexpr size_t kMaxFamilyName = 100;

// Why such evidence cannot be sent as a run, in words; empty where it can.
std::string_view WhyNotSimulated(metrics::SimulatedEvidence evidence);

// One message after the other, each made when it is asked for: the memory is that of one model.
//
// Models are named FAMILY-SIZE[-sSEED], the size as 10M or 1.29B (by its place, as m03, where three
// digits do not tell all apart). Dates count seconds from 2000-01-01, one a model, with the seed in
// the microseconds: no clock.
//
// kGeneration: task simulated_L for targets of L tokens, generated texts with exact_match and the
// log-probabilities of the target's tokens; and simulated_L_ll, the log-likelihood of the same
// targets over the same documents, with perplexity. A token is one character, so that distances
// count tokens; the tokens of a target are drawn evenly from the first 20 964 of the vocabulary,
// and so is what stands in place of a wrong one. `is_greedy` of tokens is sent where answers are
// greedy; that of a likelihood says whether all tokens have p > 1/2 otherwise, which every most
// likely one need not.
// kMultipleChoice: task simulated_mc_L, choices of one character from "a" on, with acc.
//
// Each document has the field "question", the same for all models and both tasks.
class SimulatedFamily {
 public:
  // Works out the truth, in at most a few seconds. Errors: those of SimulationFromProto and
  // Simulation::Create, with the field's path from the request; UNIMPLEMENTED where
  // WhyNotSimulated; RESOURCE_EXHAUSTED, with the remedy, above the limits; INVALID_ARGUMENT for a
  // family's name that is too long or has control characters.
  static absl::StatusOr<SimulatedFamily> Create(const v1::SimulationSpec& spec);

  // The next message; false after the last one. A run's draws all its samples (about 30 ns a
  // token), a batch has at most 2048 samples and 1.6 MB.
  bool Next(v1::SimulateResponse* response);

 private:
  SimulatedFamily(metrics::Simulation simulation, v1::SimulationTruth truth);

  bool is_generation() const {
    return simulation_.spec().evidence == metrics::SimulatedEvidence::kGeneration;
  }
  // Tasks of a run: companions count.
  size_t n_run_tasks() const { return simulation_.n_tasks() * (is_generation() ? 2 : 1); }
  std::string TaskName(size_t run_task) const;
  void StartModel(v1::SimulatedRun* out);
  void DescribeTask(size_t run_task, v1::RunTask* out) const;
  void FillBatch(v1::SampleBatch* batch);
  void AddGeneration(size_t item, std::string* scratch, v1::SampleBatch* batch) const;
  void AddLikelihood(size_t item, std::string* scratch, v1::SampleBatch* batch) const;
  void AddChoices(size_t item, v1::SampleBatch* batch) const;
  // The tokens of an item's recorded gold.
  std::vector<uint32_t> Gold(size_t task, size_t item) const;
  // The place of a task's samples in `items_`.
  size_t TaskOf(size_t run_task) const { return is_generation() ? run_task / 2 : run_task; }

  metrics::Simulation simulation_;
  v1::SimulationTruth truth_;
  uint32_t alphabet_ = 0;
  // By model.
  std::vector<std::string> names_;
  bool has_sent_truth_ = false;
  // The model that is next, or one past the one that is under way.
  size_t model_ = 0;
  // By task, of the model under way.
  std::vector<metrics::SimulatedItems> items_;
  // The batch that is next.
  size_t run_task_ = 0;
  size_t item_ = 0;
};

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_SIMULATED_FAMILY_H_
