// All metrics, and the metric swap as a query on their properties.
//
//   for (const MetricInfo* m : Counterparts(Evidence::kChoices)) ...
//
// A name may stand for several rows, one for each kind of evidence that it can be
// computed from (nll_per_byte of a choice, of a target); (name, evidence) is
// unique. Everything here is constant and lives for ever; all functions are safe
// to call from any thread.
#ifndef MIRAGE_METRICS_REGISTRY_REGISTRY_H_
#define MIRAGE_METRICS_REGISTRY_REGISTRY_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/registry/metric_info.h"

namespace mirage::metrics {

// Every metric; rows of one kind of evidence stand together, sharp ones first,
// then counterparts in order of preference.
std::span<const MetricInfo> AllMetrics();

// The row of (name, evidence) among those that runs are scored with (MetricInfo::in_runs); null
// when there is none. "ppl" is taken for "perplexity", "pass@1" and the like for "pass_at_k".
const MetricInfo* FindMetric(std::string_view name, Evidence evidence);

// The first such row of `name` over any evidence; null when there is none.
const MetricInfo* FindMetric(std::string_view name);

// All rows of `name`, those that only the library computes included.
std::vector<const MetricInfo*> MetricsNamed(std::string_view name);

// Metrics over `evidence` that are not sharp and that runs are scored with, the preferred first.
std::vector<const MetricInfo*> Counterparts(Evidence evidence);

// The same with those that only the library computes.
std::vector<const MetricInfo*> AllCounterparts(Evidence evidence);

// What a run of the same documents can have recorded where it has `evidence`: that first, then
// the others in the order in which their counterparts stand behind its own. Choices can be
// scored token by token; a generated target can be scored too, and each of them repeated.
std::span<const Evidence> RecordableWith(Evidence evidence);

// Whether `counterpart` belongs next to `sharp` before the other sharp metrics of
// the task: both divide the log-likelihood by the same length.
bool SharesNormalization(const MetricInfo& sharp, const MetricInfo& counterpart);

// Why a counterpart stands where it does, in one sentence made of its properties.
std::string SwapReason(const MetricInfo& counterpart);

// What guessing gives for a sample of `n_choices` choices of which `n_golds` are
// accepted; NaN where the metric has no such value (or takes it from the data).
double ChanceValue(Chance chance, uint32_t n_choices, uint32_t n_golds);

// `info.signature` with its unit filled in.
std::string Signature(const MetricInfo& info, std::string_view unit);

// Name of the evidence for people: "a log-likelihood for every choice", …
std::string_view EvidenceName(Evidence evidence);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_REGISTRY_REGISTRY_H_
