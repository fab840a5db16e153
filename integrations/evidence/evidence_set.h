// Finds the evidence that belongs to a run, and puts it into the run's sample batches.
//
//   auto set = EvidenceSet::Find({"hooks/"});
//   auto evidence = set->ForRun(reader->run(), reader->folder());
//   while (*reader->Next(&batch, &origin)) { (*evidence)->AddTo(&batch); ... }
//   for (const TaskNote& note : (*evidence)->Notes()) ...
#ifndef MIRAGE_INTEGRATIONS_EVIDENCE_EVIDENCE_SET_H_
#define MIRAGE_INTEGRATIONS_EVIDENCE_EVIDENCE_SET_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "integrations/evidence/evidence_table.h"
#include "integrations/reader.h"
#include "mirage/v1/run.pb.h"
#include "mirage/v1/sample.pb.h"

namespace mirage::integrations::evidence {

// "mirage_evidence_<task>_<date>.jsonl"; '/' and '%' of a task are written as %2F and %25.
std::string EvidenceFileName(std::string_view task, std::string_view date);

struct EvidenceOptions {
  // A row larger than this is left out, in bytes.
  uint64_t max_row_bytes = uint64_t{64} << 20;
  // What is added to one batch at most, in bytes: with the samples it has to fit into a message.
  uint64_t max_batch_bytes = uint64_t{24} << 20;
  // Folders deeper than this below one that was named are not looked into.
  int max_depth = 32;
  // Files and folders looked at, at most.
  uint64_t max_entries = 1'000'000;
};

// The evidence of one run. Not thread-safe.
class RunEvidence {
 public:
  RunEvidence(std::map<std::string, std::string> files, std::vector<TaskNote> notes,
              EvidenceOptions options)
      : files_(std::move(files)), notes_(std::move(notes)), options_(options) {}

  // Files that are used, by task.
  const std::map<std::string, std::string>& files() const { return files_; }
  // Files that could not be read after all, with why; known after the batches of their tasks.
  const std::vector<std::string>& unreadable() const { return unreadable_; }

  // Puts what was recorded of the batch's documents beside its generations: `token_logprobs`, and
  // `gold_likelihood` for documents without tokens. Batches of other kinds, of tasks without
  // evidence, and such as have these columns already, stay as they are. A file is read at the first
  // batch of its task and kept until the next task's.
  void AddTo(v1::SampleBatch* batch);

  // What there is to tell of each task's evidence, after the last batch.
  std::vector<TaskNote> Notes();

 private:
  // Counts of one task.
  struct Counts {
    uint64_t n_damaged = 0;
    std::vector<std::string> problems;
    uint64_t n_other_document = 0;
    uint64_t n_other_target = 0;
    uint64_t n_over_budget = 0;
    uint64_t n_unmatched = 0;
    bool is_for_generations = true;
  };
  // The task's table; null without one.
  const EvidenceTable* TableOf(const std::string& task);
  void CloseTable();

  std::map<std::string, std::string> files_;
  std::vector<TaskNote> notes_;
  const EvidenceOptions options_;
  std::map<std::string, Counts> counts_;
  std::vector<std::string> unreadable_;
  // The table that is open, its task, and which of its documents were asked for.
  std::optional<EvidenceTable> table_;
  std::string task_;
  std::vector<bool> is_used_;
};

class EvidenceSet {
 public:
  // Looks through `folders`, which --evidence names, recursively; links to folders are not
  // followed. What cannot be looked into below them goes to `warnings`. NOT_FOUND for a folder that
  // is not there, INVALID_ARGUMENT for something else than a folder, PERMISSION_DENIED where it
  // cannot be read, RESOURCE_EXHAUSTED beyond max_entries.
  static absl::StatusOr<EvidenceSet> Find(const std::vector<std::string>& folders,
                                          const EvidenceOptions& options = {},
                                          std::vector<std::string>* warnings = nullptr);

  // The evidence of `run`, which lies in `folder`: for each of its tasks the file of its name among
  // those found, whose header says the run's task, date and model (as it is, or as lm-eval makes a
  // folder's name of it); else such a file in `folder` itself. What lies there and does not fit is
  // told in the notes. INVALID_ARGUMENT where two files fit, or where another run was given the
  // file before: task, date and model do not tell such runs apart.
  absl::StatusOr<std::unique_ptr<RunEvidence>> ForRun(const v1::Run& run,
                                                      const std::string& folder);

  // Files that were found and are no evidence that this Mirage can read, with why.
  const std::vector<std::string>& unreadable() const { return unreadable_; }
  // Files that were found, can be read, and that no run was given, with what they are of.
  std::vector<std::string> Unused() const;

 private:
  struct File {
    std::string path;
    EvidenceHeader header;
    // The run that it was given to.
    std::string used_by;
  };
  explicit EvidenceSet(const EvidenceOptions& options) : options_(options) {}

  EvidenceOptions options_;
  // By the file's name.
  std::multimap<std::string, File> files_;
  std::vector<std::string> unreadable_;
};

}  // namespace mirage::integrations::evidence

#endif  // MIRAGE_INTEGRATIONS_EVIDENCE_EVIDENCE_SET_H_
