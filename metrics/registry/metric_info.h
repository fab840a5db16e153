// What the registry knows of one metric over one kind of evidence.
//
// A metric is described by properties, and the swap from a sharp metric to its
// continuous counterparts is a query on them (registry.h): adding a metric means
// adding a field to a kernel's struct and one row to the registry's table.
#ifndef MIRAGE_METRICS_REGISTRY_METRIC_INFO_H_
#define MIRAGE_METRICS_REGISTRY_METRIC_INFO_H_

#include <cstdint>
#include <string_view>

#include "metrics/kernels/choices.h"
#include "metrics/kernels/generation.h"
#include "metrics/kernels/likelihood.h"
#include "metrics/kernels/token_log_probs.h"

namespace mirage::metrics {

// What a run must have recorded.
enum class Evidence : uint8_t {
  // A log-likelihood for every choice.
  kChoices,
  // Generated text and a target.
  kGeneration,
  // The log-likelihood of a target, given a prompt.
  kLikelihood,
  // The log-likelihood of whole documents.
  kDocument,
  // A log-probability for each token of a target.
  kTokenLogProbs,
  // Several answers to each document.
  kRepeats,
  // Vectors, labels or scores of classes.
  kVectors,
};

// How one number is made of the samples' values.
enum class Aggregation : uint8_t {
  // Arithmetic mean.
  kMean,
  // exp(-mean): perplexity of a column of log-likelihoods.
  kExpNegMean,
  // exp(-sum of log-likelihoods / sum of lengths).
  kExpNegRatio,
  // -(sum of log-likelihoods / sum of lengths) / ln 2.
  kBitsRatio,
  // Expected calibration error over bins.
  kCalibration,
  // Of counts that are summed over the corpus: BLEU, chrF.
  kCorpus,
  // One number for each position.
  kPositions,
};

// What a metric divides the log-likelihood by before it compares or reports.
enum class Normalization : uint8_t { kNone, kChars, kBytes, kTokens, kBaseline };

// What guessing reaches, for a sample of K choices of which m are accepted.
enum class Chance : uint8_t {
  // Not defined.
  kNone,
  // m / K.
  kShare,
  // log(m / K).
  kLogShare,
  // Uniform q: sum over choices of (1/K - [k in G]/m)^2 = 1/m - 1/K.
  kBrierSum,
  // The same over K.
  kBrierMean,
  // (1 - m/K)^2.
  kBrierTarget,
  // Rank of the best of m among K in random order: (K + 1) / (m + 1).
  kRank,
  // The data's own: ChoiceScores::chance_margin.
  kMargin,
};

struct MetricInfo {
  // Contract name, the same in JSON and CSV.
  std::string_view name;
  Evidence evidence;
  // Right or wrong by a threshold or an argmax: what the swap starts from.
  bool sharp = false;
  // A continuous function of log-probabilities, or of the distance of texts.
  bool continuous = false;
  // A change of the per-token error shows as a proportional change.
  bool linear_in_token_error = false;
  // Changes with the mass on wrong choices.
  bool uses_wrong_choices = false;
  bool higher_is_better = true;
  // Range of one sample's value.
  double lower_bound = 0;
  double upper_bound = 1;
  Normalization normalization = Normalization::kNone;
  Aggregation aggregation = Aggregation::kMean;
  Chance chance = Chance::kNone;
  // Place in the list of counterparts, 1 first. 0 for sharp metrics.
  int preference = 0;
  std::string_view unit;
  // One sentence for people.
  std::string_view summary;
  // Formula in plain text.
  std::string_view definition;
  // What distinguishes it from others of its name; "{unit}" stands for the unit
  // of the text comparison.
  std::string_view signature;
  std::string_view source;
  // What this definition takes where several are in use, in one sentence; else empty.
  std::string_view convention = {};
  // What it shares with the other conventions of the same idea: "Brier score"; else empty.
  std::string_view family = {};
  // Which harness, benchmark or paper reports it, and as what; may be empty.
  std::string_view used_by = {};
  // Whether the engine computes it from a run's samples. The others are there for programs that
  // call the library: they need evidence that runs lack so far, or a pass over the texts.
  bool in_runs = true;
  // Where a sample's value is found; at most one is set, none for metrics that
  // are not a mean of per-sample values.
  double ChoiceScores::*choice = nullptr;
  double GenerationScores::*generation = nullptr;
  double LikelihoodScores::*likelihood = nullptr;
  double TokenLogProbScores::*tokens = nullptr;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_REGISTRY_METRIC_INFO_H_
