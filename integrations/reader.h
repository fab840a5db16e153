// A harness's log, read as one run and a stream of sample batches.
//
// Each harness has a folder beside this file with a RunReader of its own and a
// function that finds its runs under a path. Readers emit samples and the scores
// that the harness wrote; they never score (see ARCHITECTURE.md).
//
//   for (auto& found : *lm_eval::FindRuns(path, options)) {
//     auto reader = found.Open();
//     v1::SampleBatch batch; BatchOrigin origin;
//     while (*reader->Next(&batch, &origin)) { ... }
//   }
#ifndef MIRAGE_INTEGRATIONS_READER_H_
#define MIRAGE_INTEGRATIONS_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mirage/v1/run.pb.h"
#include "mirage/v1/sample.pb.h"

namespace mirage::integrations {

// Where the samples of a batch stand in the log, so that a refusal by the
// engine can be reported with file and line.
struct BatchOrigin {
  // The file that the batch was read from.
  std::string file;
  // One entry a sample: line number from 1, or element number from 1 in a JSON
  // array.
  std::vector<uint64_t> lines;
};

// A row that could not be read; the rows around it were.
struct RowIssue {
  std::string task;
  // Empty when the row is too damaged to say.
  std::string filter;
  std::string file;
  // Line number from 1 (element number in a JSON array); 0 when the file is meant, which
  // `message` names.
  uint64_t line = 0;
  // What is wrong, and the remedy.
  std::string message;
};

inline constexpr size_t kKeptIssues = 10;

// Rows of a task and filter that could not be read.
struct IssueCount {
  std::string task;
  // Empty for rows too damaged to name theirs.
  std::string filter;
  uint64_t n = 0;
};

// What is known of a task's samples once all of them were read, in words.
struct TaskNote {
  std::string task;
  std::string text;
};

// Limits on what is read from outside.
struct ReadOptions {
  // A row or array element larger than this is refused, in bytes.
  uint64_t max_row_bytes = uint64_t{64} << 20;
  // Samples of one batch, at most.
  uint32_t batch_samples = 2048;
  // A batch is closed early when its text reaches this size, in bytes.
  uint64_t batch_bytes = uint64_t{1} << 20;
  // Keep what tasks over the same documents can be joined by: the hashes of each sample's prompt
  // and target, and the text that a loglikelihood task scores. The hashes are half of what is sent
  // of a multiple-choice sample.
  bool join_hashes = false;
  // Fields of the documents to copy into SampleBatch.fields: names as the document spells them,
  // those of nested objects with dots. Of texts the text, of numbers and truth values what is
  // written; lists, objects and null count as missing.
  std::vector<std::string> fields;
  // Threads that parse; 0 means as many as there are processors, at most 4, and 1 parses on
  // the calling thread. What is read does not depend on it.
  uint32_t threads = 0;
};

// Reads one run. Not thread-safe.
class RunReader {
 public:
  virtual ~RunReader() = default;

  // The run without its samples, known before the first `Next`.
  virtual const v1::Run& run() const = 0;

  // Fills `batch` and `origin` with the next samples, all of one task and one
  // filter, and returns true; returns false at the end of the run. Rows that
  // cannot be read go to `issues()` and are skipped. An error is returned only
  // when no further sample of this run can be read.
  virtual absl::StatusOr<bool> Next(v1::SampleBatch* batch, BatchOrigin* origin) = 0;

  // Rows that were skipped so far. At most kKeptIssues are kept for each task and filter,
  // besides those of line 0, each before the rows of its file; `issue_counts` counts all.
  virtual const std::vector<RowIssue>& issues() const = 0;

  // How many rows of each task and filter were skipped so far, where there are any.
  virtual std::vector<IssueCount> issue_counts() const = 0;

  // What there is to tell about whole tasks, after the last `Next`.
  virtual const std::vector<TaskNote>& notes() const = 0;

  // Files of samples that could not be opened or read to their end, or of whose rows none
  // could be read, so far; each is an issue of line 0, too.
  virtual uint64_t n_unreadable_files() const = 0;

  // Bytes of sample files consumed so far, and in all, for a progress bar.
  virtual uint64_t bytes_read() const = 0;
  virtual uint64_t bytes_total() const = 0;

  // Folder in which derived files belong, and the date id of their names.
  virtual const std::string& folder() const = 0;
};

}  // namespace mirage::integrations

#endif  // MIRAGE_INTEGRATIONS_READER_H_
