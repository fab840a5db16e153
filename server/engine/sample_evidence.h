// What the samples of a family's models say about one series, beyond their means.
#ifndef MIRAGE_SERVER_ENGINE_SAMPLE_EVIDENCE_H_
#define MIRAGE_SERVER_ENGINE_SAMPLE_EVIDENCE_H_

#include <memory>
#include <optional>
#include <span>
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

// Mean length of the targets in the unit of the positions; absent where no model has any.
std::optional<double> MeanTargetUnits(std::span<const ModelSamples> models);

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_SAMPLE_EVIDENCE_H_
