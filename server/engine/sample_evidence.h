// What the samples of a family's models say about one series, beyond their means.
#ifndef MIRAGE_SERVER_ENGINE_SAMPLE_EVIDENCE_H_
#define MIRAGE_SERVER_ENGINE_SAMPLE_EVIDENCE_H_

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/emergence/verdict.h"
#include "server/engine/companion.h"
#include "server/engine/task_scorer.h"

namespace mirage::server {

// Fewest samples in which a position or a stratum is looked at.
inline constexpr double kPartMinItems = 100;

// The samples of one model; pointers are borrowed.
struct ModelSamples {
  // Of the task; null where the model's run has none.
  const TaskScorer* task = nullptr;
  // Of its companion and how they are joined; null where there is none.
  const TaskScorer* companion = nullptr;
  const CompanionMatch* match = nullptr;
};

// log p of the target of each sample beside its score under `metric`, as the harness wrote it; null
// where no sample has both. Samples without a number of either are left out. O(n).
std::shared_ptr<const metrics::VerdictItems> ItemsOf(const ModelSamples& samples,
                                                     std::string_view metric);

// The counterpart at each position of the targets, counted from both ends, in the order of
// `models`. From the log-probabilities of gold tokens where kVerdictMinScales models have them (in
// the task's samples, else in the companion's), otherwise from generated text, otherwise none. A
// position is there where kVerdictMinScales models have kPartMinItems samples that reach it.
std::vector<metrics::VerdictPart> PositionsOf(std::span<const ModelSamples> models);

// Log p of the target of each of the task's samples, by row, from the companion where there is one;
// NaN where it is not known, and empty where no sample has it or the gold cannot be trusted.
std::vector<double> LogPOf(const ModelSamples& samples);

// The counterpart in the strata of declared fields.
struct Strata {
  std::vector<metrics::VerdictPart> parts;
  // For people: fields and values that were not looked at, and why.
  std::vector<std::string> warnings;
};

// The mean of -log p of the target over the samples of each value of each field, in the order of
// `models`; "field=value", values in ascending order. A value is there where kVerdictMinScales
// models have it, each of them in kPartMinItems samples.
Strata StrataOf(std::span<const ModelSamples> models, std::span<const std::string> fields);

// The same in two groups of the samples that all models with log p have, by what they gain in
// models of other sizes (gain_groups.h). None below kGainMinScales places or twice kPartMinItems
// samples. `x` is by model, finite. 8 bytes a sample and model while it works.
std::vector<metrics::VerdictPart> GainGroupsOf(std::span<const ModelSamples> models,
                                               std::span<const double> x);

// Mean length of the targets in the unit of the positions; absent where no model has any.
std::optional<double> MeanTargetUnits(std::span<const ModelSamples> models);

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_SAMPLE_EVIDENCE_H_
