// How the samples' own numbers go with scale, from the gold's log-probability to the sharp metric.
#ifndef MIRAGE_SERVER_ENGINE_SAMPLE_STEPS_H_
#define MIRAGE_SERVER_ENGINE_SAMPLE_STEPS_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/emergence/sample_correlation.h"
#include "server/engine/sample_evidence.h"

namespace mirage::server {

// One number of each sample.
struct SampleStep {
  // Registry name, or the sharp metric's.
  std::string metric;
  metrics::SampleCorrelations correlations;
};

// The steps of `metric`, in the order in which each is made of the one before it. Choices:
// log_p_gold, p_gold, p_gold_choices, p_wrong_mass (better when smaller), `metric`; other evidence:
// log_p_target, p_target, `metric`. The models are those that have the harness's scores of the
// samples and log p of them (from the companion where there is one); where less than
// kCorrelationMinScales places have log p, those that have scores, and `metric` alone. Samples are
// those that all these models have (sample_join.h). Steps without any sample are left out, and
// there are none at all below kCorrelationMinScales places. `x` is by model, finite. O(samples).
std::vector<SampleStep> StepsOf(std::span<const ModelSamples> models, std::span<const double> x,
                                std::string_view metric, bool higher_is_better);

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_SAMPLE_STEPS_H_
