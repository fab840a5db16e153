// One lm-eval run as a stream of sample batches.
#ifndef MIRAGE_INTEGRATIONS_LM_EVAL_SAMPLES_H_
#define MIRAGE_INTEGRATIONS_LM_EVAL_SAMPLES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "integrations/reader.h"

namespace mirage::integrations::lm_eval {

// The samples of one task.
struct SamplesFile {
  std::string path;
  // As the file's name says it.
  std::string task;
};

// The files of one run, as `FindRuns` pairs them.
struct RunFiles {
  // The results file; empty when only samples are left.
  std::string results;
  // At most one a task.
  std::vector<SamplesFile> samples;
  // Where they lie.
  std::string folder;
  // Date id of the file names ("2026-11-23T00-14-31.362882"). Files of 0.4.0 to
  // 0.4.2 and of 0.3 have none: then the results file's name without ".json", so
  // that derived files of two runs in a folder stay apart.
  std::string date;
  // What is odd about them; become warnings of the run.
  std::vector<std::string> warnings;
};

// Opens a run: reads its results file, and leaves the samples to `Next`, which
// reads the files in the order of the run's tasks. A samples file that cannot be
// read is an issue (with line 0): it cannot be opened, is compressed (gzip, zstd), is UTF-16
// text, or has rows of which none can be read. An empty one is only a warning of its task.
//
// NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT or RESOURCE_EXHAUSTED for the
// results file, see results.h. NOT_FOUND when `files` names none at all.
//
// Notes: the rows' hashes do not give the results file's task hash (not looked at where
// rows lack hashes, were skipped, or are fewer than the harness counted). Rows without a
// filter do not come out even among the task's (RowParser::FilterDoubt).
//
// The memory used is that of a few chunks of rows on each thread, one row at least, and
// the results file's, whatever the size of the samples. A row costs one pass; see
// samples_benchmark.cc.
absl::StatusOr<std::unique_ptr<RunReader>> OpenRun(const RunFiles& files,
                                                   const ReadOptions& options = {});

}  // namespace mirage::integrations::lm_eval

#endif  // MIRAGE_INTEGRATIONS_LM_EVAL_SAMPLES_H_
