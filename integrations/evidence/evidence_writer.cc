#include "integrations/evidence/evidence_writer.h"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "integrations/lm_eval/json_text.h"
#include "integrations/lm_eval/writer.h"

namespace mirage::integrations::evidence {
namespace {

using lm_eval::AppendJsonString;
using lm_eval::JsonNumber;

absl::Status Bad(std::string_view field, std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("{} {}", field, what));
}

absl::Status CheckColumn(std::string_view field, const v1::TextColumn& column, uint64_t n) {
  uint64_t bytes = 0;
  for (const uint32_t length : column.lengths()) bytes += length;
  if (static_cast<uint64_t>(column.lengths_size()) != n || bytes != column.data().size()) {
    return Bad(field, fmt::format("has {} cells of {} bytes in all: must have {} of {}",
                                  column.lengths_size(), bytes, n, column.data().size()));
  }
  uint64_t at = 0;
  for (const uint32_t length : column.lengths()) {
    const std::string_view cell = std::string_view(column.data()).substr(at, length);
    if (lm_eval::FirstInvalidUtf8(cell) < cell.size()) {
      return Bad(field, "has a cell that is not UTF-8: JSON cannot hold it");
    }
    at += length;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> HeaderLine(const EvidenceHeader& header) {
  std::string line = "{";
  const auto add = [&](std::string_view key, std::string_view value) {
    line += fmt::format("\"{}\": ", key);
    AppendJsonString(value, &line);
  };
  for (const auto& [key, value] : {std::pair("generator", std::string_view(header.generator)),
                                   std::pair("task", std::string_view(header.task)),
                                   std::pair("date", std::string_view(header.date)),
                                   std::pair("model", std::string_view(header.model))}) {
    if (value.empty()) return Bad(key, "is empty: an evidence file names it");
    if (lm_eval::FirstInvalidUtf8(value) < value.size()) return Bad(key, "is not UTF-8");
    add(key, value);
    line += ", ";
  }
  if (!header.tokenizer.empty()) {
    add("tokenizer", header.tokenizer);
    line += ", ";
  }
  return line + fmt::format("\"kind\": \"mirage_evidence\", \"version\": {}}}\n", kEvidenceVersion);
}

absl::StatusOr<std::string> EvidenceLines(const v1::SampleBatch& batch) {
  const v1::TokenLogprobColumns& columns = batch.token_logprobs();
  if (columns.of_output()) {
    return Bad("token_logprobs.of_output", "is true: evidence is of the gold answer");
  }
  const uint64_t n = batch.n_samples();
  if (static_cast<uint64_t>(columns.n_tokens_size()) != n) {
    return Bad("token_logprobs.n_tokens",
               fmt::format("has {} entries: must have {}", columns.n_tokens_size(), n));
  }
  uint64_t n_tokens = 0;
  for (const uint32_t of_sample : columns.n_tokens()) n_tokens += of_sample;
  if (static_cast<uint64_t>(columns.log_probs_size()) != n_tokens) {
    return Bad("token_logprobs.log_probs",
               fmt::format("has {} entries: must have {}", columns.log_probs_size(), n_tokens));
  }
  const bool has_greedy = columns.is_greedy_size() > 0;
  if (has_greedy && static_cast<uint64_t>(columns.is_greedy_size()) != n_tokens) {
    return Bad("token_logprobs.is_greedy",
               fmt::format("has {} entries: must have {}", columns.is_greedy_size(), n_tokens));
  }
  const bool has_tokens = columns.tokens().lengths_size() > 0;
  const bool has_hash = batch.keys().doc_hash().lengths_size() > 0;
  absl::Status status = CheckColumn("keys.doc_id", batch.keys().doc_id(), n);
  if (status.ok() && has_hash) status = CheckColumn("keys.doc_hash", batch.keys().doc_hash(), n);
  if (status.ok() && has_tokens) {
    status = CheckColumn("token_logprobs.tokens", columns.tokens(), n_tokens);
  }
  if (!status.ok()) return status;

  std::string lines;
  size_t doc_id_at = 0;
  size_t doc_hash_at = 0;
  size_t text_at = 0;
  int token = 0;
  const auto next = [](const v1::TextColumn& column, int i, size_t* at) {
    const std::string_view cell = std::string_view(column.data()).substr(*at, column.lengths(i));
    *at += cell.size();
    return cell;
  };
  for (int i = 0; i < static_cast<int>(n); ++i) {
    const std::string_view doc_id = next(batch.keys().doc_id(), i, &doc_id_at);
    const std::string_view doc_hash =
        has_hash ? next(batch.keys().doc_hash(), i, &doc_hash_at) : std::string_view();
    const int end = token + static_cast<int>(columns.n_tokens(i));
    if (token == end) continue;
    // A text is compared as the samples' number is.
    lines += "{\"doc_id\": ";
    AppendJsonString(doc_id, &lines);
    if (!doc_hash.empty()) {
      lines += ", \"doc_hash\": ";
      AppendJsonString(doc_hash, &lines);
    }
    std::string texts;
    std::string log_probs;
    std::string greedy;
    for (; token < end; ++token) {
      const std::string_view comma = log_probs.empty() ? "" : ", ";
      log_probs += comma;
      log_probs += JsonNumber(columns.log_probs(token));
      if (has_tokens) {
        texts += comma;
        AppendJsonString(next(columns.tokens(), token, &text_at), &texts);
      }
      if (has_greedy) {
        greedy += comma;
        greedy += columns.is_greedy(token) ? "true" : "false";
      }
    }
    if (has_tokens) lines += fmt::format(", \"tokens\": [{}]", texts);
    lines += fmt::format(", \"log_probs\": [{}]", log_probs);
    if (has_greedy) lines += fmt::format(", \"greedy\": [{}]", greedy);
    lines += "}\n";
  }
  return lines;
}

}  // namespace mirage::integrations::evidence
