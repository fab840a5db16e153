// Any bytes, as a results file and as samples of every output type, must leave
// the reader standing, and the columns of a batch must agree in length.
//
//   bazel build --config=fuzz //integrations/lm_eval:samples_fuzz
//   .out/bin/integrations/lm_eval/samples_fuzz CORPUS integrations/lm_eval/testdata
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "integrations/lm_eval/results.h"
#include "integrations/lm_eval/row_parser.h"
#include "integrations/lm_eval/row_source.h"

namespace mirage::integrations::lm_eval {
namespace {

void Check(bool holds) {
  if (!holds) std::abort();
}

// Empty, or one cell a sample.
void CheckCells(const v1::TextColumn& column, int n, bool optional) {
  Check(column.lengths_size() == n || (optional && column.lengths_size() == 0));
  uint64_t size = 0;
  for (const uint32_t length : column.lengths()) size += length;
  Check(size == column.data().size());
}

template <typename Counts>
int Sum(const Counts& counts, int n) {
  int sum = counts.empty() ? n : 0;
  for (const auto count : counts) sum += static_cast<int>(count);
  return sum;
}

void CheckBatch(const v1::SampleBatch& batch) {
  const int n = static_cast<int>(batch.n_samples());
  CheckCells(batch.keys().doc_id(), n, false);
  CheckCells(batch.keys().doc_hash(), n, true);
  CheckCells(batch.keys().prompt_hash(), n, true);
  CheckCells(batch.keys().target_hash(), n, true);
  for (const v1::ScoreColumn& column : batch.scores()) {
    Check(column.values_size() == n);
    Check(column.weights().empty() || column.weights_size() == n);
  }
  if (batch.has_multiple_choice()) {
    const v1::MultipleChoiceColumns& columns = batch.multiple_choice();
    Check(columns.n_choices_size() == n);
    const int choices = Sum(columns.n_choices(), n);
    Check(columns.log_likelihoods_size() == choices);
    Check(columns.n_bytes_size() == choices && columns.n_chars_size() == choices);
    Check(columns.baseline_log_likelihoods().empty() ||
          columns.baseline_log_likelihoods_size() == choices);
    Check(columns.is_greedy().empty() || columns.is_greedy_size() == choices);
    Check(columns.n_golds().empty() || columns.n_golds_size() == n);
    Check(columns.golds_size() == Sum(columns.n_golds(), n));
    Check(columns.alternative_gold().empty() || columns.alternative_gold_size() == n);
  } else if (batch.has_generation()) {
    const v1::GenerationColumns& columns = batch.generation();
    Check(columns.n_outputs().empty() || columns.n_outputs_size() == n);
    Check(columns.n_targets().empty() || columns.n_targets_size() == n);
    CheckCells(columns.outputs(), Sum(columns.n_outputs(), n), false);
    CheckCells(columns.targets(), Sum(columns.n_targets(), n), false);
  } else {
    const v1::LikelihoodColumns& columns = batch.likelihood();
    Check(columns.log_likelihoods_size() == n);
    Check(columns.n_bytes_size() == n && columns.n_chars_size() == n);
    Check(columns.n_words().empty() || columns.n_words_size() == n);
    Check(columns.is_greedy().empty() || columns.is_greedy_size() == n);
  }
}

void ReadRows(std::string_view text, TaskConfig config) {
  ReadOptions options;
  options.max_row_bytes = 1 << 16;
  options.batch_samples = 3;
  size_t at = 0;
  RowSource source(
      [&](char* data, size_t size) -> absl::StatusOr<size_t> {
        // Odd block sizes: rows are cut everywhere.
        const size_t n = std::min({size, text.size() - at, size_t{17}});
        if (n > 0) std::memcpy(data, text.data() + at, n);
        at += n;
        return n;
      },
      options.max_row_bytes);
  RowParser parser(std::move(config), options);
  v1::SampleBatch batch;
  parser.StartBatch(&batch);
  while (true) {
    const absl::StatusOr<RowSource::Row> row = source.Next();
    Check(row.ok());
    if (row->kind == RowSource::Row::Kind::kEnd) break;
    if (row->kind != RowSource::Row::Kind::kRow) continue;
    RowParser::Outcome outcome = parser.Append(row->text, &batch);
    if (outcome == RowParser::Outcome::kBatchFull || parser.IsFull()) {
      CheckBatch(batch);
      parser.StartBatch(&batch);
      if (outcome == RowParser::Outcome::kBatchFull) outcome = parser.Append(row->text, &batch);
      Check(outcome != RowParser::Outcome::kBatchFull);
    }
    if (outcome == RowParser::Outcome::kRefused) Check(!parser.message().empty());
  }
  if (batch.n_samples() > 0) CheckBatch(batch);
  Check(source.bytes_consumed() <= text.size());
}

}  // namespace
}  // namespace mirage::integrations::lm_eval

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mirage::integrations::lm_eval;  // NOLINT
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<JsonValue> json = ParseJson(text, "f.json");
  if (json.ok()) {
    const absl::StatusOr<Results> results = ParseResults(*json, "f.json", "");
    if (results.ok()) {
      for (const auto& task : results->tasks) ReadRows(text, task.second);
    }
  }
  TaskConfig config;
  ReadRows(text, config);
  config.task = "t";
  config.output_type = "generate_until";
  config.filters = {"a", "b"};
  config.target_is_template = true;
  config.choices = {"x", "y"};
  config.metrics = {"exact_match"};
  ReadRows(text, config);
  return 0;
}
