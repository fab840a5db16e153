// One row of a samples file -> one sample in a batch.
//
// Rows are those of lm-evaluation-harness 0.4.0 to 0.4.13 (0.3 wrote none); what
// each field means was read from its evaluator.py and api/task.py. Only what the
// evidence needs is extracted; `doc` is looked at only where it settles which
// choice or which list of answers is meant.
#ifndef MIRAGE_INTEGRATIONS_LM_EVAL_ROW_PARSER_H_
#define MIRAGE_INTEGRATIONS_LM_EVAL_ROW_PARSER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "integrations/lm_eval/results.h"
#include "integrations/reader.h"
#include "mirage/v1/sample.pb.h"

namespace mirage::integrations::lm_eval {

// Reads the rows of one task, in the file's order. Not thread-safe.
//
// Evidence, by the task's output type (or, where the results file does not say,
// by the shape of the file's first row, which all others have to have):
// - multiple_choice: log-likelihoods of `filtered_resps`, else `resps`. Entries n
//   to 2n-1 without a context are mutual information's baseline. Lengths are those
//   of `arg_1` without the choice delimiter.
//   Gold: brier_score, f1 and mcc rows hold the index itself. Else a target of
//   digits is an index (and, as second reading, the choice of that text), "[0, 2]"
//   several, any other text is looked up among the choices and then in
//   `doc.choices`. It stays open (n_golds = 0) where nothing is found and where
//   the contexts differ but not the continuations, as in Winogrande: the row does
//   not say it, and `target` is the continuation. Lengths are the continuation's
//   there too, although lm-eval's acc_norm divides by those of the contexts.
// - generate_until: every string of `filtered_resps`; the target as written, or
//   its items when it is a list of strings (by the task's template or the
//   document). The temperature is `arg_1.temperature`, 0 when do_sample is false
//   and names none, and unknown when the two contradict each other.
// - loglikelihood: the text is `arg_1` as it stands. A row of several requests is
//   a multiple choice (lm-eval's MultipleChoiceTask calls itself loglikelihood); the
//   file's first row settles it.
// - loglikelihood_rolling: words and bytes from the row's pairs, else counted.
//
// Scores: those that the row's `metrics` names, in older rows those that the
// results file reports, else every field that is none of the row's own. NaN where
// a row has no single number. Left out: brier_score (a printed array), bypass.
//
// Filter: the row's; in older rows, where the file's first row names none, the task's
// filters in turn, one an occurrence of the document (see FilterDoubt); else "none".
class RowParser {
 public:
  // `config` is copied. Limits of a batch are taken from `options`.
  RowParser(TaskConfig config, const ReadOptions& options);
  ~RowParser();
  RowParser(const RowParser&) = delete;
  RowParser& operator=(const RowParser&) = delete;

  enum class Outcome {
    // The sample is in the batch.
    kAppended,
    // The row belongs to another batch (filter, shape, temperature): nothing was
    // done; start a batch and call again.
    kBatchFull,
    // See `message`; the batch is unchanged.
    kRefused,
  };

  // Whether the next rows mean the same in any order: a first row has settled what a
  // file's rows have in common, and filters are not told by occurrence.
  bool IsOrderFree() const;

  // A parser, for another thread, that knows what the first row settled. Only for one
  // that IsOrderFree.
  std::unique_ptr<RowParser> Fork() const;

  // Empties `batch`; the `Append`s that follow go there.
  void StartBatch(v1::SampleBatch* batch);

  // Reads the row and adds it to `batch`, the one of the last `StartBatch`. At
  // least kRowPadding bytes after `row` must be readable. O(length).
  Outcome Append(std::string_view row, v1::SampleBatch* batch);

  // Tells of a row of the file that cannot be given to `Append`.
  void Skip();

  // Once all rows were told of: why their filters cannot be trusted, which were given by
  // occurrence and did not come out even (rows that cannot be read, documents that occur
  // less or more often than the task has filters); empty where they can. O(documents).
  std::string FilterDoubt() const;

  // Whether the batch has reached its limits.
  bool IsFull() const;

  // Appends the last row's doc_hash, prompt_hash and target_hash, whether it was refused
  // or not; false, and nothing appended, when it does not tell all three. lm-eval's
  // task_hashes are the SHA-256 of all rows' hashes in the file's order.
  bool AppendHashes(std::string* hashes) const;

  // What is wrong with the last row that was refused, and its filter where known.
  const std::string& message() const;
  const std::string& filter() const;

 private:
  class Impl;
  explicit RowParser(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace mirage::integrations::lm_eval

#endif  // MIRAGE_INTEGRATIONS_LM_EVAL_ROW_PARSER_H_
