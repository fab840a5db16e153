// Any bytes, as a file of evidence, must leave the reader standing, and what it keeps must be of
// one shape.
//
//   bazel build --config=fuzz //integrations/evidence:evidence_fuzz
//   .out/bin/integrations/evidence/evidence_fuzz CORPUS integrations/evidence/evidence_fuzz_corpus
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "integrations/evidence/evidence_table.h"

namespace mirage::integrations::evidence {
namespace {

void Check(bool holds) {
  if (!holds) std::abort();
}

void CheckTable(const EvidenceTable& table) {
  Check(!table.header().task.empty() && !table.header().date.empty());
  Check(table.problems().size() == std::min<uint64_t>(table.n_damaged(), kDescribedRows));
  for (size_t i = 0; i < table.n_documents(); ++i) {
    const DocumentEvidence document = table.at(i);
    const size_t n = document.log_probs.size();
    Check(n > 0 || document.log_likelihood.has_value());
    Check(document.tokens.empty() || document.tokens.size() == n);
    Check(document.greedy.empty() || document.greedy.size() == n);
    for (const double log_prob : document.log_probs) Check(log_prob <= 0);
    Check(document.log_likelihood.value_or(0) <= 0);
    if (table.has_all_tokens()) Check(document.tokens.size() == n);
    if (table.has_all_greedy()) Check(document.greedy.size() == n);
  }
}

}  // namespace
}  // namespace mirage::integrations::evidence

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mirage::integrations::evidence;  // NOLINT
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t at = 0;
  const auto table = EvidenceTable::Read(
      [&](char* to, size_t room) -> absl::StatusOr<size_t> {
        // Odd block sizes: rows are cut everywhere.
        const size_t n = std::min({room, text.size() - at, size_t{17}});
        if (n > 0) std::memcpy(to, text.data() + at, n);
        at += n;
        return n;
      },
      "f.jsonl", 1 << 12);
  if (table.ok()) CheckTable(*table);
  return 0;
}
