// Writes a run in lm-eval's format, that of 0.4.13: results_<date>.json, and
// samples_<task>_<date>.jsonl for each task. What comes out is text; the caller has the files.
//
//   SamplesWriter writer(task, sink);
//   writer.Add(batch); ...
//   hashes[task.task()] = writer.Finish();
//   ResultsText(run, hashes);
//
// The reader of this folder gives back the same batches: keys, evidence, scores. What the format
// has no place for is left out: lengths and tokens beside texts, aggregations of metrics that are
// not lm-eval's own, `token_logprobs` and `gold_likelihood` (integrations/evidence has a file for
// these). `fields` become members of the document.
#ifndef MIRAGE_INTEGRATIONS_LM_EVAL_WRITER_H_
#define MIRAGE_INTEGRATIONS_LM_EVAL_WRITER_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "integrations/lm_eval/task_hash.h"
#include "mirage/v1/run.pb.h"
#include "mirage/v1/sample.pb.h"

namespace mirage::integrations::lm_eval {

// The files' names. INVALID_ARGUMENT for a task or a date that can be no part of one: empty, or
// with a slash or a control character.
absl::StatusOr<std::string> ResultsFileName(std::string_view date);
absl::StatusOr<std::string> SamplesFileName(std::string_view task, std::string_view date);

// Takes the next piece of a file; its errors end the writing.
using TextSink = std::function<absl::Status(std::string_view text)>;

// The rows of one task. Not thread-safe.
//
// The document of a row is {"doc_id", fields…, "target" | "choices", "gold"}; its prompt the field
// "question", else "Document <doc_id>". Both tasks over the same documents and targets so have the
// same documents. doc_hash, prompt_hash and target_hash are those of the batch, and lm-eval's own
// digests of what is written where it has none.
class SamplesWriter {
 public:
  SamplesWriter(std::string task, TextSink sink);

  // Writes a batch's rows, in its order; the filters of a task one after the other, as lm-eval
  // does. INVALID_ARGUMENT, with the field and the remedy, for a batch of another task, columns
  // whose lengths contradict each other, text that is not UTF-8 (JSON cannot hold it), variants, a
  // score with weights, and where texts are missing: `choices`, `targets` of a likelihood.
  // UNIMPLEMENTED for evidence that lm-eval's rows cannot carry: trials, vectors, likelihoods of
  // whole documents, choices of which only the chosen one's is known. Or the sink's error. Nothing
  // more can be added after an error. O(bytes).
  absl::Status Add(const v1::SampleBatch& batch);

  // lm-eval's task hash of all rows. Nothing may be added after it.
  std::string Finish() { return hash_.Finish(); }

 private:
  const std::string task_;
  const TextSink sink_;
  TaskHash hash_;
  std::string rows_;
};

// The results file of a run, with the task hash of each task that has one. Tasks need their
// `output_type` ("generate_until", "multiple_choice", "loglikelihood"), since the reader goes by
// it. INVALID_ARGUMENT for another one, and for groups. Aggregations are lm-eval's default ones.
absl::StatusOr<std::string> ResultsText(
    const v1::Run& run, const std::map<std::string, std::string, std::less<>>& task_hashes);

// A number as Python's json.dumps spells it, which also serves for "inf" in quotes: shortest
// digits that give the same double; NaN, Infinity and -Infinity.
std::string JsonNumber(double value);

// Appends a JSON string with its quotes, as Python's json.dumps with ensure_ascii=False. `text`
// must be UTF-8.
void AppendJsonString(std::string_view text, std::string* out);

}  // namespace mirage::integrations::lm_eval

#endif  // MIRAGE_INTEGRATIONS_LM_EVAL_WRITER_H_
