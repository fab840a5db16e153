// One file of evidence: what a hook recorded of the gold answers of one task while the harness ran.
//
// mirage_evidence_<task>_<date>.jsonl is JSON Lines. Its first line is the header:
//   {"generator": "mirage-sidecar 0.2", "kind": "mirage_evidence", "version": 1, "task": "add3",
//    "date": "2026-11-23T00-26-32.418151", "model": "A-d016", "tokenizer": "A-d016"}
// with every field but `tokenizer` required: task, date and model are those of the run. Then one
// object a document, in any order:
//   {"doc_id": 0, "tokens": ["2", "3", "8", "\n"], "log_probs": [-0.06, -0.05, -0.22, -0.0],
//    "greedy": [true, true, true, true]}
//   {"doc_id": 1, "doc_hash": "0490…", "log_likelihood": -0.33, "n_tokens": 3, "is_greedy": true,
//    "target": "238"}
// doc_id          as in the samples: a whole number or a text. Required, once a file.
// log_probs       of the gold text's tokens, nats, <= 0, -Infinity allowed; see TaskScorer::Add for
//                 what counts where the tokens go on after the target.
// tokens, greedy  their texts, and whether each is the most likely one; as many as log_probs.
// log_likelihood  of the whole gold text (a gold probe), nats, <= 0. A row has log_probs or this.
// n_tokens, is_greedy  what the probe found besides.
// doc_hash        as in the samples: evidence of another document is not used.
// target          what the numbers are of: where it is none of the document's accepted answers
//                 (outer white space apart), they are not used.
// null stands for a field that is absent; other fields are ignored. See README.md beside this file.
//
// A table is held in memory as a whole, since samples come in an order of their own: about 300
// bytes a document and 60 a token with its text. Reading costs about 4 us a document of five
// tokens.
#ifndef MIRAGE_INTEGRATIONS_EVIDENCE_EVIDENCE_TABLE_H_
#define MIRAGE_INTEGRATIONS_EVIDENCE_EVIDENCE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "integrations/lm_eval/row_source.h"

namespace mirage::integrations::evidence {

// The only version that there is.
inline constexpr int kEvidenceVersion = 1;
// Damaged rows that are described; all are counted.
inline constexpr size_t kDescribedRows = 5;

struct EvidenceHeader {
  std::string generator;
  std::string task;
  std::string date;
  std::string model;
  // Empty where it is not stated.
  std::string tokenizer;
};

// What was recorded of one document. Views live as long as the table.
struct DocumentEvidence {
  std::string_view doc_hash;
  std::optional<std::string_view> target;
  std::span<const double> log_probs;
  // As many as log_probs, or none.
  std::span<const std::string> tokens;
  std::span<const uint8_t> greedy;
  std::optional<double> log_likelihood;
  std::optional<uint32_t> n_tokens;
  std::optional<bool> is_greedy;
};

class EvidenceTable {
 public:
  // Reads a whole file; `name` is what messages call it. A row that cannot be read, or that is
  // larger than `max_row_bytes`, is left out, counted and described; the rest is used.
  // INVALID_ARGUMENT for a file whose header is not as above: another kind, another version; or
  // the errors of `read`.
  static absl::StatusOr<EvidenceTable> Read(lm_eval::RowSource::ReadFn read, std::string_view name,
                                            uint64_t max_row_bytes);
  // The same from a regular file. NOT_FOUND or PERMISSION_DENIED as the system says.
  static absl::StatusOr<EvidenceTable> ReadFile(const std::string& path, uint64_t max_row_bytes);

  const EvidenceHeader& header() const { return header_; }
  size_t n_documents() const { return documents_.size(); }
  // Place of a document from 0; nothing where it was not recorded.
  std::optional<size_t> Find(std::string_view doc_id) const;
  DocumentEvidence at(size_t place) const;

  // Whether every document with log_probs has its tokens' texts, or its greedy hits.
  bool has_all_tokens() const { return n_without_tokens_ == 0; }
  bool has_all_greedy() const { return n_without_greedy_ == 0; }

  // Rows that were left out, and "name:line: what is wrong" of the first kDescribedRows.
  uint64_t n_damaged() const { return n_damaged_; }
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  struct Document {
    std::string doc_hash;
    std::optional<std::string> target;
    std::vector<double> log_probs;
    std::vector<std::string> tokens;
    std::vector<uint8_t> greedy;
    std::optional<double> log_likelihood;
    std::optional<uint32_t> n_tokens;
    std::optional<bool> is_greedy;
  };
  // INVALID_ARGUMENT with what is wrong; nothing is added then.
  absl::Status AddRow(std::string_view text);

  EvidenceHeader header_;
  std::vector<Document> documents_;
  absl::flat_hash_map<std::string, size_t> places_;
  uint64_t n_without_tokens_ = 0;
  uint64_t n_without_greedy_ = 0;
  uint64_t n_damaged_ = 0;
  std::vector<std::string> problems_;
};

// The header of a file, without the rest. Errors as EvidenceTable::ReadFile.
absl::StatusOr<EvidenceHeader> ReadEvidenceHeader(const std::string& path, uint64_t max_row_bytes);

}  // namespace mirage::integrations::evidence

#endif  // MIRAGE_INTEGRATIONS_EVIDENCE_EVIDENCE_TABLE_H_
