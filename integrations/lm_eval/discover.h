// Finds lm-eval's runs under a path.
#ifndef MIRAGE_INTEGRATIONS_LM_EVAL_DISCOVER_H_
#define MIRAGE_INTEGRATIONS_LM_EVAL_DISCOVER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "integrations/lm_eval/samples.h"
#include "integrations/reader.h"

namespace mirage::integrations::lm_eval {

// A run that was found.
struct FoundRun : RunFiles {
  // Starts reading it; see `OpenRun`.
  absl::StatusOr<std::unique_ptr<RunReader>> Open(const ReadOptions& options = {}) const {
    return OpenRun(*this, options);
  }
};

struct FindOptions {
  // Folders deeper than this below the path are not looked into.
  int max_depth = 32;
  // Files and folders looked at, at most.
  uint64_t max_entries = 1'000'000;
};

// The runs under `path`, sorted by path. `path` is a results file, a samples file
// (which stands for the whole run that it belongs to), a run's folder, or any
// folder above. What Mirage wrote is never taken, by its content: lm-eval may write files
// named mirage_*, too.
//
// A run is a results file, results_<date>.json or <stem>_<date>.json, with the
// samples_<task>_<date>.jsonl of the same date in the same folder. Without a date:
// any other .json file with lm-eval's "results" (0.3), with the
// <model_args>_<task>.jsonl of its tasks beside it (0.4.0 to 0.4.2).
//
// A name of lm-eval's that is no file (a link to nothing, a pipe) belongs to its run all the
// same, so that reading it fails by name.
//
// Warnings of a run: no samples; samples of another date in its folder that have
// no results file of theirs. In a folder without any results file, the samples of
// each date are a run of their own.
//
// Warnings that belong to no run (folders that cannot be read, limits) go to
// `warnings` when it is not null.
//
// NOT_FOUND when the path does not exist or holds no run: the message says what
// was looked for. PERMISSION_DENIED when it cannot be read. INVALID_ARGUMENT when
// it is a file of another kind. RESOURCE_EXHAUSTED beyond `max_entries`.
absl::StatusOr<std::vector<FoundRun>> FindRuns(const std::string& path,
                                               const FindOptions& options = {},
                                               std::vector<std::string>* warnings = nullptr);

// Whether `text` is a date id: 2026-11-23T00-14-31, with or without a fraction.
bool IsDateId(std::string_view text);

}  // namespace mirage::integrations::lm_eval

#endif  // MIRAGE_INTEGRATIONS_LM_EVAL_DISCOVER_H_
