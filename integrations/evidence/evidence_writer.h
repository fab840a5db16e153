// Writes files of evidence, as evidence_table.h reads them: the log-probabilities of a batch's gold
// answers, which a harness's own log has no place for.
#ifndef MIRAGE_INTEGRATIONS_EVIDENCE_EVIDENCE_WRITER_H_
#define MIRAGE_INTEGRATIONS_EVIDENCE_EVIDENCE_WRITER_H_

#include <string>

#include "absl/status/statusor.h"
#include "integrations/evidence/evidence_table.h"
#include "mirage/v1/sample.pb.h"

namespace mirage::integrations::evidence {

// The first line of a file. INVALID_ARGUMENT where a field that is required is empty.
absl::StatusOr<std::string> HeaderLine(const EvidenceHeader& header);

// The lines of a batch's `token_logprobs`, one a document that has tokens. doc_hash is written
// where the batch has it. INVALID_ARGUMENT, with the field, where the columns' lengths contradict
// each other, where the tokens are those of the output, or where a text is not UTF-8. O(bytes).
absl::StatusOr<std::string> EvidenceLines(const v1::SampleBatch& batch);

}  // namespace mirage::integrations::evidence

#endif  // MIRAGE_INTEGRATIONS_EVIDENCE_EVIDENCE_WRITER_H_
