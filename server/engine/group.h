// Groups of tasks, scored from their members.
//
// A harness reports a group's accuracy as the mean over its members, weighted by
// their sizes or not. Mirage makes the same mean of the members' values, and of
// their counterparts, so that a group's number has counterparts too.
#ifndef MIRAGE_SERVER_ENGINE_GROUP_H_
#define MIRAGE_SERVER_ENGINE_GROUP_H_

#include <span>
#include <string>

#include "mirage/v1/run.pb.h"
#include "server/engine/summary.h"

namespace mirage::server {

// Summarises the group `about` under `filter` from the summaries of its member
// tasks (nested groups are expanded by the caller). A metric is made of the
// members that have it; one that some member lacks carries a warning. Standard
// errors are those of a stratified mean, sqrt(sum w_i^2 se_i^2) with weights w_i
// that sum to 1; intervals are normal. Metrics that are no means of samples
// (perplexity, calibration error) have no group value.
v1::TaskSummary SummarizeGroup(const v1::RunTask& about, const std::string& filter,
                               std::span<const v1::TaskSummary* const> members,
                               const SummaryOptions& options);

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_GROUP_H_
