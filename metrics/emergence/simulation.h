// Draws a family of models whose law is known: per model, per item, per token.
//
// What is fixed in a family and what is drawn anew:
// - s_j, one a model (a size and a seed): log-normal of mean 1 with standard deviation tau of its
//   logarithm; times the outlier's factor at that size; times the bimodality's factor where the
//   seed is in the worse mode.
// - h_i, the breaks that an item has, whether its gold is wrong, and what rivals its gold: one draw
//   an item, the same for all models, as a benchmark's items are. g_k: one draw a position of a
//   task, the same for all models and items.
// - What a model answers: one draw a model and item.
//
// Evidence:
// - kGeneration: token k is right with probability p = exp(-NLL), or (greedy) where p > r (1 - p):
// r
//   is the share of the wrong mass on the strongest rival, uniform in [1/(V - 1), 1], one draw an
//   item and position. So a token with p > 1/2 is right and one with p < 1/V wrong. Exact match:
//   all are right.
// - kMultipleChoice: log p of the gold is minus the sum of its tokens' NLL; the other mass lies on
//   the wrong choices, `wrong_choice_share` of it on one of them and the rest evenly, each times a
//   gamma factor (and then scaled to the whole) whose spread is such that all choices are spread
//   alike where the NLL is ln K. Right where the gold's log p is above all others'. A model at
//   chance scores above 1/K, since a gamma factor is more often below its mean than above: with 4
//   choices and even shares .27, .31, .36 for an item_cv of .1, .3, .5.
// - kVectors: the NLL stands for the squared error of one component; right where the mean over the
//   components is below `threshold`.
// - kTrials: successes of n_trials attempts, each right with probability exp(-sum of the NLL).
//
// A wrong gold (`wrong_gold_share` of the items) is what the harness recorded, not what is right:
// for kGeneration and kTrials it differs in the last token, whose NLL is then -ln((1 - p)/(V - 1));
// for kMultipleChoice it is the first wrong choice; for kVectors it lies 1 further off in each
// component. All numbers are against the recorded gold. Such items get harder as models get better.
#ifndef MIRAGE_METRICS_EMERGENCE_SIMULATION_H_
#define MIRAGE_METRICS_EMERGENCE_SIMULATION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "metrics/emergence/simulation_law.h"
#include "metrics/emergence/simulation_spec.h"

namespace mirage::metrics {

// One model of a family.
struct SimulatedModel {
  // Its size's place among the scales, and which of the seeds it is; both from 0.
  size_t size = 0;
  uint32_t seed = 0;
  // Number of parameters.
  double parameters = 0;
  // s_j, everything included.
  double factor = 1;
  // Whether the seed is in the worse mode.
  bool is_worse_mode = false;
};

// What one model did on one task.
struct SimulatedItems {
  // Number of items n, of tokens an item L, and of choices K (0 without choices).
  size_t n = 0;
  size_t length = 0;
  size_t n_choices = 0;
  // n x L, item by item: NLL of the recorded gold's tokens in nats (kVectors: squared errors).
  std::vector<double> nll;
  // n x L, kGeneration only: 1 where the answer's token is the recorded gold's.
  std::vector<uint8_t> is_right;
  // n x K, kMultipleChoice only: log p of each choice; they sum to 1 as probabilities.
  std::vector<double> choice_log_probs;
  // n, kMultipleChoice only: the recorded gold's place among the choices.
  std::vector<uint32_t> golds;
  // n, kTrials only: number of successes.
  std::vector<uint32_t> successes;
  // n: the sharp metric, 0 or 1 (kTrials: the share of successes).
  std::vector<double> sharp;
  // n: 1 where the recorded gold is wrong.
  std::vector<uint8_t> is_wrong_gold;
};

// A mean over items with its standard error (sample standard deviation / sqrt(n)).
struct SimulatedMean {
  double mean = 0;
  double standard_error = 0;
};

// The same as a table of results would have it.
struct SimulatedAggregate {
  uint64_t n = 0;
  // The sharp metric.
  SimulatedMean sharp;
  // NLL a token (kVectors: squared error a component). The mean over items of their mean over
  // tokens.
  SimulatedMean nll_per_token;
  // The same by position.
  std::vector<SimulatedMean> nll_by_position;
  // Wrong tokens an item, kGeneration only: the token edit distance, since answers have the length
  // of their targets.
  std::optional<SimulatedMean> edit_distance;
  // log p of the gold minus that of the best other choice, kMultipleChoice only.
  std::optional<SimulatedMean> margin;
};

// A family. Immutable, thread-safe. Same specification: same bits, for any number of threads.
class Simulation {
 public:
  // Fills the specification (FillSimulationSpec) and draws the models. Errors of that;
  // INVALID_ARGUMENT for more than 65 536 models.
  static absl::StatusOr<Simulation> Create(const SimulationSpec& spec);

  // With every default filled in.
  const SimulationSpec& spec() const { return *spec_; }
  const SimulationCurve& curve() const { return *curve_; }

  // By size, then by seed.
  std::span<const SimulatedModel> models() const { return models_; }
  // One for each of the spec's target_lengths.
  size_t n_tasks() const { return spec_->target_lengths.size(); }

  // What the model answered on the task; both must be in range. The memory is that of one model's
  // items: about 9 bytes a token. About 30 ns a token and 0.5 us an item.
  SimulatedItems Answer(size_t model, size_t task, int threads = 1) const;

  // Mean of the sharp metric over `n_items` items for a model with s_j = `factor`, the drawing of
  // answers averaged out (and for greedy answers and choices not, since nothing is drawn). Items
  // are others than those of Answer.
  double ExpectedSharp(size_t task, double log_scale, double factor, size_t n_items) const;

 private:
  Simulation(SimulationSpec spec, std::vector<SimulatedModel> models);

  struct Item;
  Item DrawItem(size_t task, uint64_t item, uint64_t kind) const;

  std::shared_ptr<const SimulationSpec> spec_;
  std::shared_ptr<const SimulationCurve> curve_;
  std::vector<SimulatedModel> models_;
  // By task and position.
  std::vector<std::vector<double>> position_factors_;
};

// The means of what one model did. `items` must hold at least 2 items.
SimulatedAggregate Aggregate(const SimulatedItems& items);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_SIMULATION_H_
