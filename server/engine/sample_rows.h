// What is kept of each sample, for what compares runs and tasks row by row.
//
// One cell a sample in each column, in the order in which the samples were accepted; a column that
// the kind of evidence does not have is empty. Digests are of 128 bits, 0 where there is nothing.
//
// Memory: 64 bytes a sample for the digests and 8 for log p; 8 more for each score that the harness
// reported, 16 for the margin and the wrong mass of a multiple choice, 16 for the lengths of a
// generation, 1 for each field of the documents.
#ifndef MIRAGE_SERVER_ENGINE_SAMPLE_ROWS_H_
#define MIRAGE_SERVER_ENGINE_SAMPLE_ROWS_H_

#include <vector>

#include "absl/numeric/int128.h"
#include "server/engine/field_rows.h"

namespace mirage::server {

struct SampleRows {
  // Digests of what the harness wrote as the hash of the document and of the prompt: equal ones
  // join tasks over the same documents.
  std::vector<absl::uint128> doc_hash;
  std::vector<absl::uint128> prompt_hash;
  // Digest of the gold text without outer white space: the first accepted answer of a generation,
  // the scored text of a likelihood, the first gold choice. 0 where the text was not sent or the
  // gold is not verified.
  std::vector<absl::uint128> gold;
  // Digest of the sample key's variant ("repeat=1"); 0 for the only or original one.
  std::vector<absl::uint128> variant;
  // Log-likelihood in nats, <= 0, -Infinity allowed: of the target of a likelihood; of the gold
  // choice over the vocabulary; of a generation's gold text from token log-probabilities or a gold
  // probe. NaN where there is none, where the gold is not verified, and where the task's
  // log-probabilities turned out to be missing (see TaskScorer::Finish).
  std::vector<double> log_p;
  // Multiple choice: gold minus best wrong choice, nats; NaN where log_p is, or without a wrong
  // choice.
  std::vector<double> margin;
  // Multiple choice: log of the mass of the vocabulary on the wrong choices, nats, -Infinity
  // allowed (may exceed 0, since choices need not exclude each other); NaN where log_p is, or
  // without a wrong choice.
  std::vector<double> log_p_wrong;
  // Generation: edit distance to the nearest target and that target's length, in the unit of text
  // comparisons, means over repeated outputs. NaN where the gold is not verified or the texts are
  // too long to compare.
  std::vector<double> edit_distance;
  std::vector<double> target_length;
  // By column of TaskScorer::reported(): the harness's own score of the row; NaN where it is
  // missing or impossible. Of a ratio of sums the numerator. All of one length, also a column that
  // only some batches had.
  std::vector<std::vector<double>> reported;
  // The fields of the documents that were sent, as many as any batch had.
  std::vector<FieldRows> fields;
};

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_SAMPLE_ROWS_H_
