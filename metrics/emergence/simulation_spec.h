// What a simulated family of models is made of, and the families that have names.
//
// Without any generalisation it is the model of Schaeffer et al. 2023 (arXiv 2304.15004), section
// 2: CE(N) = (N/c)^alpha nats per token, an answer of L tokens right with probability exp(-L CE).
// In full, the NLL of model j on token k of item i is
//
//   floor + s_j h_i g_k CE_ik(N_j)
//
// with s_j log-normal between models, h_i gamma over items, g_k gamma over positions, each of mean
// 1, and CE_ik the law with the breaks that item i and position k have. A break at N_b raises the
// exponent -d ln CE / d ln N by `delta_exponent`: CE is multiplied by exp(-delta S(ln N - ln N_b)),
// where S has a logistic slope from 0 to 1 that takes `width` from 10 to 90 %.
#ifndef MIRAGE_METRICS_EMERGENCE_SIMULATION_SPEC_H_
#define MIRAGE_METRICS_EMERGENCE_SIMULATION_SPEC_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// A break in a law.
struct SimulatedBreak {
  // Where it stands on the axis of parameters, > 0.
  double scale = 0;
  // By how much the exponent a = -d ln NLL / d ln N rises across it; finite.
  double delta_exponent = 0;
  // Range over which 10 to 90 % of the rise happens, in ln N, >= 0; 0 is a step of the slope.
  double width = 0;
  // Share of the items that have it, in [0, 1]; 0 means all.
  double item_share = 0;
  // Positions from 0 that have it; empty means all.
  std::vector<uint32_t> positions;
};

// Seeds that fall into two modes around a threshold.
struct SimulatedBimodality {
  // Number of parameters at which half of the seeds are in the better mode, > 0.
  double scale = 0;
  // Width in ln N over which that share goes from 10 to 90 %, >= 0.
  double width = 0;
  // Factor on s_j for a seed in the worse mode, > 1.
  double factor = 0;
};

// What the models are asked.
enum class SimulatedEvidence : uint8_t {
  // The preset's.
  kUnspecified,
  // A text to generate, with the NLL of its tokens.
  kGeneration,
  // A gold among several choices.
  kMultipleChoice,
  // A vector close enough to its target.
  kVectors,
  // Repeated attempts, of which the successes are counted.
  kTrials,
};

// The law CE(N) before any break.
enum class SimulatedLaw : uint8_t {
  // The preset's.
  kUnspecified,
  // (N/c)^alpha.
  kPowerLaw,
  // ln V / (1 + (N/c)^-alpha): chance at first, a power law later.
  kLogistic,
  // exp(alpha ln(N/c) + curvature (ln(N/c))^2): smooth, no power law.
  kQuadratic,
};

// A family. Where a field is absent or empty, the preset's value stands.
struct SimulationSpec {
  // Name of a preset; empty means "paper".
  std::string truth;
  // Family name; empty means the preset's.
  std::string family;
  // Seed of everything.
  uint64_t seed = 0;
  // Number of parameters of each size, strictly ascending, > 0; 2 to 10 000 of them.
  std::vector<double> scales;
  // Items for each model, 2 to 10 000 000.
  std::optional<uint32_t> n_samples;
  // Trainings a size, 1 to 1000.
  std::optional<uint32_t> n_seeds;
  SimulatedEvidence evidence = SimulatedEvidence::kUnspecified;
  SimulatedLaw law = SimulatedLaw::kUnspecified;
  // Scale of the law in parameters, > 0.
  std::optional<double> c;
  // Exponent of the law, < 0.
  std::optional<double> alpha;
  // Coefficient of kQuadratic; finite.
  std::optional<double> curvature;
  // Irreducible NLL in nats per token, >= 0.
  std::optional<double> floor;
  // At most 16.
  std::vector<SimulatedBreak> breaks;
  // Lengths of the targets in tokens, 1 to 4096, one task for each, each once; at most 64 tasks.
  std::vector<uint32_t> target_lengths;
  // Size of the vocabulary, V, at least 2.
  std::optional<uint32_t> vocabulary;
  // Whether tokens are the most likely ones rather than sampled at temperature 1.
  std::optional<bool> greedy;
  // Number of choices, 2 to 1000.
  std::optional<uint32_t> n_choices;
  // Share of the wrong mass that lies on one wrong choice, in [1/(n_choices - 1), 1].
  std::optional<double> wrong_choice_share;
  // For kVectors: squared error per component below which an output counts as right, > 0.
  std::optional<double> threshold;
  // For kTrials: attempts an item, 1 to 1 000 000.
  std::optional<uint32_t> n_trials;
  // Coefficients of variation of the NLL over items and over positions, 0 to 10.
  std::optional<double> item_cv;
  std::optional<double> position_cv;
  // Scatter between models: standard deviation of ln s_j, 0 to 3.
  std::optional<double> tau;
  // Index from 0 of a size that does not follow its law; absent for none.
  std::optional<uint32_t> outlier;
  // Factor on s_j for that size, > 0. Given together with `outlier`.
  std::optional<double> outlier_factor;
  // Two modes of seeds; absent for none.
  std::optional<SimulatedBimodality> bimodality;
  // Share of items whose recorded gold is wrong, in [0, 1): a ceiling below 1.
  std::optional<double> wrong_gold_share;
};

// A family with a name.
struct SimulationPreset {
  std::string_view name;
  // What it is, in one sentence.
  std::string_view summary;
};

// All of them, "paper" first. Static storage.
std::span<const SimulationPreset> SimulationPresets();

// The specification with every default filled in from its preset (but `outlier`, its factor and
// `bimodality`, which may stay absent, and `breaks`, which may stay empty). INVALID_ARGUMENT, with
// the field's path and the remedy: an unknown preset (NOT_FOUND then, naming the presets), a value
// out of its range as said above, a break position that no target has, n_samples times the longest
// target above 2^28.
absl::StatusOr<SimulationSpec> FillSimulationSpec(const SimulationSpec& spec);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_SIMULATION_SPEC_H_
