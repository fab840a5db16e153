// Joining two tasks over the same documents: one generated, one scored.
#ifndef MIRAGE_SERVER_ENGINE_COMPANION_H_
#define MIRAGE_SERVER_ENGINE_COMPANION_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "server/engine/sample_rows.h"

namespace mirage::server {

// Least share of the documents of the task that its companion must have.
inline constexpr double kCompanionMinShare = 0.95;

// Which rows of two tasks are about one document with one gold answer.
struct CompanionMatch {
  // (row of the task, row of the companion), in the order of the task's rows.
  std::vector<std::pair<size_t, size_t>> rows;
  // Rows of the task that have a partner over all of them, in [0, 1]; 0 without rows.
  double share = 0;
  // Documents that both have, but with gold texts that differ.
  size_t n_other_gold = 0;
};

// Joins by the document's digest; rows without one by the prompt's. Gold texts must be equal (a
// digest of them without outer white space; where either side has none, the document decides), and
// so must variants, unless the companion has the document once only: one log-likelihood then serves
// all repeats of a generation. A document that the companion has twice under one variant counts
// with its first row. O(n).
CompanionMatch MatchCompanion(const SampleRows& task, const SampleRows& companion);

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_COMPANION_H_
