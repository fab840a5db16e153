// A sample batch as views, with every column's length checked once.
//
// After `BatchView::Make` succeeds, sample i of n may be read without further
// checks of lengths; values (NaN, positive log-probabilities, gold indices) are
// not checked here, since one bad value must not cost the rest of the batch.
#ifndef MIRAGE_SERVER_ENGINE_BATCH_VIEW_H_
#define MIRAGE_SERVER_ENGINE_BATCH_VIEW_H_

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mirage/v1/sample.pb.h"

namespace mirage::server {

// Limits on one batch.
inline constexpr uint32_t kMaxBatchSamples = 65536;
inline constexpr uint32_t kMaxChoices = 100000;
inline constexpr int kMaxFields = 64;

// Cells of a text column.
using TextCells = std::vector<std::string_view>;

// Splits a flattened column: cell i holds elements [offsets[i], offsets[i + 1]).
using Offsets = std::vector<uint32_t>;

// Multiple choice. Optional columns are empty spans.
struct ChoiceBatchView {
  Offsets choices;  // n + 1
  std::span<const double> log_likelihoods;
  std::span<const double> baseline_log_likelihoods;
  std::span<const uint32_t> n_bytes;
  std::span<const uint32_t> n_chars;
  std::span<const uint32_t> n_tokens;
  Offsets golds_at;  // n + 1
  std::span<const uint32_t> golds;
  std::span<const int32_t> alternative_gold;  // n or none
  TextCells texts;                            // flattened by `choices`, or none
};

// Generation.
struct GenerationBatchView {
  Offsets outputs_at;  // n + 1
  TextCells outputs;
  Offsets targets_at;  // n + 1
  TextCells targets;
  // Token ids per output and per target; empty where none were sent.
  std::vector<std::span<const uint32_t>> output_ids;
  std::vector<std::span<const uint32_t>> target_ids;
};

// Likelihood of a target or a document.
struct LikelihoodBatchView {
  std::span<const double> log_likelihoods;  // n
  std::span<const uint32_t> n_bytes;        // n or none, like the next four
  std::span<const uint32_t> n_chars;
  std::span<const uint32_t> n_words;
  std::span<const uint32_t> n_tokens;
  std::span<const bool> is_greedy;
  TextCells targets;  // n or none
};

// Log-probabilities of the gold text's tokens.
struct TokenBatchView {
  Offsets tokens;  // n + 1; empty where the batch has none
  std::span<const double> log_probs;
  std::span<const bool> is_greedy;
  TextCells texts;
};

// A whole batch; it must outlive the view.
struct BatchView {
  uint32_t n = 0;
  TextCells doc_id;
  // n cells or none.
  TextCells doc_hash;
  TextCells prompt_hash;
  TextCells variant;
  // n cells for each of the batch's fields.
  std::vector<TextCells> fields;
  // The one that the batch's evidence names is filled.
  ChoiceBatchView choices;
  GenerationBatchView generation;
  LikelihoodBatchView likelihood;
  // Beside a generation; empty where the batch has none.
  TokenBatchView token_logprobs;
  LikelihoodBatchView gold_likelihood;
  // Whether sample i has a gold likelihood; empty where all or none have.
  std::span<const bool> gold_recorded;

  // INVALID_ARGUMENT with the field's path for columns that disagree in length,
  // for a batch without evidence, or over the limits. Replaces *this; buffers are
  // reused between batches.
  absl::Status Assign(const v1::SampleBatch& batch);
};

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_BATCH_VIEW_H_
