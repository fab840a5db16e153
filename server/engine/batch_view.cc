#include "server/engine/batch_view.h"

#include <fmt/format.h>

#include <limits>

namespace mirage::server {
namespace {

using google::protobuf::RepeatedField;

template <typename T>
std::span<const T> Span(const RepeatedField<T>& field) {
  return {field.data(), static_cast<size_t>(field.size())};
}

absl::Status WrongLength(std::string_view path, size_t got, size_t want) {
  return absl::InvalidArgumentError(
      fmt::format("{} has {} cells where {} were expected: every column needs one cell a sample",
                  path, got, want));
}

template <typename T>
absl::Status CheckOptional(const RepeatedField<T>& field, std::string_view path, size_t want) {
  const auto got = static_cast<size_t>(field.size());
  return got == 0 || got == want ? absl::OkStatus() : WrongLength(path, got, want);
}

template <typename T>
absl::Status CheckRequired(const RepeatedField<T>& field, std::string_view path, size_t want) {
  const auto got = static_cast<size_t>(field.size());
  return got == want ? absl::OkStatus() : WrongLength(path, got, want);
}

// Lengths to offsets; `lengths` empty means one element a sample.
absl::Status ToOffsets(const RepeatedField<uint32_t>& lengths, std::string_view path, uint32_t n,
                       Offsets& out) {
  out.clear();
  out.reserve(n + 1);
  out.push_back(0);
  if (lengths.empty()) {
    for (uint32_t i = 0; i < n; ++i) out.push_back(i + 1);
    return absl::OkStatus();
  }
  if (auto status = CheckRequired(lengths, path, n); !status.ok()) return status;
  uint64_t sum = 0;
  for (const uint32_t length : lengths) {
    sum += length;
    if (sum > std::numeric_limits<uint32_t>::max()) {
      return absl::InvalidArgumentError(
          fmt::format("{} sums to more than 2^32: send smaller batches", path));
    }
    out.push_back(static_cast<uint32_t>(sum));
  }
  return absl::OkStatus();
}

absl::Status ToCells(const v1::TextColumn& column, std::string_view path, size_t want,
                     TextCells& out) {
  out.clear();
  const auto n = static_cast<size_t>(column.lengths_size());
  if (n != want) return WrongLength(fmt::format("{}.lengths", path), n, want);
  out.reserve(n);
  const std::string& data = column.data();
  size_t at = 0;
  for (const uint32_t length : column.lengths()) {
    if (length > data.size() - at) {
      return absl::InvalidArgumentError(fmt::format(
          "{}.lengths sum to more than the {} bytes of {}.data", path, data.size(), path));
    }
    out.emplace_back(data.data() + at, length);
    at += length;
  }
  if (at != data.size()) {
    return absl::InvalidArgumentError(
        fmt::format("{}.lengths sum to {}, {}.data has {} bytes", path, at, path, data.size()));
  }
  return absl::OkStatus();
}

absl::Status ToOptionalCells(const v1::TextColumn& column, std::string_view path, size_t want,
                             TextCells& out) {
  if (column.lengths_size() == 0 && column.data().empty()) {
    out.clear();
    return absl::OkStatus();
  }
  return ToCells(column, path, want, out);
}

absl::Status ToIdCells(const v1::TokenIdColumn& column, std::string_view path, size_t want,
                       std::vector<std::span<const uint32_t>>& out) {
  out.clear();
  if (column.lengths_size() == 0 && column.ids_size() == 0) return absl::OkStatus();
  if (column.tokenizer().empty()) {
    return absl::InvalidArgumentError(
        fmt::format("{}.tokenizer is empty: name the tokenizer that made the ids", path));
  }
  if (auto status = CheckRequired(column.lengths(), fmt::format("{}.lengths", path), want);
      !status.ok()) {
    return status;
  }
  const auto ids = Span(column.ids());
  size_t at = 0;
  for (const uint32_t length : column.lengths()) {
    if (length > ids.size() - at) {
      return absl::InvalidArgumentError(
          fmt::format("{}.lengths sum to more than the {} ids", path, ids.size()));
    }
    out.push_back(ids.subspan(at, length));
    at += length;
  }
  if (at != ids.size()) {
    return absl::InvalidArgumentError(
        fmt::format("{}.lengths sum to {}, there are {} ids", path, at, ids.size()));
  }
  return absl::OkStatus();
}

absl::Status Assign(const v1::MultipleChoiceColumns& columns, uint32_t n, ChoiceBatchView& view) {
  const std::string_view at = "multiple_choice";
  if (n > 0 && columns.n_choices().empty()) {
    return WrongLength("multiple_choice.n_choices", 0, n);
  }
  if (auto s = ToOffsets(columns.n_choices(), "multiple_choice.n_choices", n, view.choices);
      !s.ok()) {
    return s;
  }
  const size_t total = view.choices.back();
  if (!columns.chosen().empty() || !columns.chosen_log_probs().empty()) {
    return absl::UnimplementedError(
        "multiple_choice.chosen: this server needs a log-likelihood for every choice");
  }
  const auto path = [&](std::string_view field) { return fmt::format("{}.{}", at, field); };
  if (auto s = CheckRequired(columns.log_likelihoods(), path("log_likelihoods"), total); !s.ok()) {
    return s;
  }
  if (auto s = CheckOptional(columns.baseline_log_likelihoods(), path("baseline_log_likelihoods"),
                             total);
      !s.ok()) {
    return s;
  }
  if (auto s = CheckOptional(columns.n_bytes(), path("n_bytes"), total); !s.ok()) return s;
  if (auto s = CheckOptional(columns.n_chars(), path("n_chars"), total); !s.ok()) return s;
  if (auto s = CheckOptional(columns.n_tokens(), path("n_tokens"), total); !s.ok()) return s;
  if (auto s = ToOffsets(columns.n_golds(), "multiple_choice.n_golds", n, view.golds_at); !s.ok()) {
    return s;
  }
  if (auto s = CheckRequired(columns.golds(), path("golds"), view.golds_at.back()); !s.ok()) {
    return s;
  }
  if (auto s = CheckOptional(columns.alternative_gold(), path("alternative_gold"), n); !s.ok()) {
    return s;
  }
  if (auto s = ToOptionalCells(columns.choices(), path("choices"), total, view.texts); !s.ok()) {
    return s;
  }
  view.log_likelihoods = Span(columns.log_likelihoods());
  view.baseline_log_likelihoods = Span(columns.baseline_log_likelihoods());
  view.n_bytes = Span(columns.n_bytes());
  view.n_chars = Span(columns.n_chars());
  view.n_tokens = Span(columns.n_tokens());
  view.golds = Span(columns.golds());
  view.alternative_gold = Span(columns.alternative_gold());
  return absl::OkStatus();
}

absl::Status Assign(const v1::GenerationColumns& columns, uint32_t n, GenerationBatchView& view) {
  if (auto s = ToOffsets(columns.n_outputs(), "generation.n_outputs", n, view.outputs_at);
      !s.ok()) {
    return s;
  }
  if (auto s = ToOffsets(columns.n_targets(), "generation.n_targets", n, view.targets_at);
      !s.ok()) {
    return s;
  }
  const size_t outputs = view.outputs_at.back();
  const size_t targets = view.targets_at.back();
  if (auto s = ToCells(columns.outputs(), "generation.outputs", outputs, view.outputs); !s.ok()) {
    return s;
  }
  if (auto s = ToCells(columns.targets(), "generation.targets", targets, view.targets); !s.ok()) {
    return s;
  }
  if (auto s = ToIdCells(columns.output_ids(), "generation.output_ids", outputs, view.output_ids);
      !s.ok()) {
    return s;
  }
  if (auto s = ToIdCells(columns.target_ids(), "generation.target_ids", targets, view.target_ids);
      !s.ok()) {
    return s;
  }
  if (view.output_ids.empty() != view.target_ids.empty() ||
      columns.output_ids().tokenizer() != columns.target_ids().tokenizer()) {
    return absl::InvalidArgumentError(
        "generation.output_ids and generation.target_ids must both be sent, of one tokenizer");
  }
  return absl::OkStatus();
}

absl::Status Assign(const v1::LikelihoodColumns& columns, std::string_view at, uint32_t n,
                    LikelihoodBatchView& view) {
  const auto path = [&](std::string_view field) { return fmt::format("{}.{}", at, field); };
  if (auto s = CheckRequired(columns.log_likelihoods(), path("log_likelihoods"), n); !s.ok()) {
    return s;
  }
  if (auto s = CheckOptional(columns.n_bytes(), path("n_bytes"), n); !s.ok()) return s;
  if (auto s = CheckOptional(columns.n_chars(), path("n_chars"), n); !s.ok()) return s;
  if (auto s = CheckOptional(columns.n_words(), path("n_words"), n); !s.ok()) return s;
  if (auto s = CheckOptional(columns.n_tokens(), path("n_tokens"), n); !s.ok()) return s;
  if (auto s = CheckOptional(columns.is_greedy(), path("is_greedy"), n); !s.ok()) return s;
  if (auto s = ToOptionalCells(columns.targets(), path("targets"), n, view.targets); !s.ok()) {
    return s;
  }
  view.log_likelihoods = Span(columns.log_likelihoods());
  view.n_bytes = Span(columns.n_bytes());
  view.n_chars = Span(columns.n_chars());
  view.n_words = Span(columns.n_words());
  view.n_tokens = Span(columns.n_tokens());
  view.is_greedy = Span(columns.is_greedy());
  return absl::OkStatus();
}

absl::Status Assign(const v1::TokenLogprobColumns& columns, uint32_t n, TokenBatchView& view) {
  if (columns.of_output()) {
    return absl::UnimplementedError(
        "token_logprobs.of_output: this server scores the tokens of the gold text, not those of "
        "the output; leave them out");
  }
  if (auto s = CheckRequired(columns.n_tokens(), "token_logprobs.n_tokens", n); !s.ok()) return s;
  if (auto s = ToOffsets(columns.n_tokens(), "token_logprobs.n_tokens", n, view.tokens); !s.ok()) {
    return s;
  }
  const size_t total = n == 0 ? 0 : view.tokens.back();
  if (auto s = CheckRequired(columns.log_probs(), "token_logprobs.log_probs", total); !s.ok()) {
    return s;
  }
  if (auto s = CheckOptional(columns.is_greedy(), "token_logprobs.is_greedy", total); !s.ok()) {
    return s;
  }
  if (auto s = ToOptionalCells(columns.tokens(), "token_logprobs.tokens", total, view.texts);
      !s.ok()) {
    return s;
  }
  view.log_probs = Span(columns.log_probs());
  view.is_greedy = Span(columns.is_greedy());
  return absl::OkStatus();
}

}  // namespace

absl::Status BatchView::Assign(const v1::SampleBatch& batch) {
  n = batch.n_samples();
  if (n > kMaxBatchSamples) {
    return absl::ResourceExhaustedError(fmt::format(
        "n_samples is {}, over the limit of {}: send smaller batches", n, kMaxBatchSamples));
  }
  token_logprobs.tokens.clear();
  gold_likelihood.log_likelihoods = {};
  gold_recorded = {};
  // Better refused than taken and not used.
  if (!batch.has_generation() && (batch.has_token_logprobs() || batch.has_gold_likelihood())) {
    return absl::UnimplementedError(
        fmt::format("{}: this server takes it beside a generation only; leave it out",
                    batch.has_token_logprobs() ? "token_logprobs" : "gold_likelihood"));
  }
  if (batch.has_token_logprobs()) {
    if (auto s = server::Assign(batch.token_logprobs(), n, token_logprobs); !s.ok()) return s;
  }
  if (batch.has_gold_likelihood()) {
    const v1::LikelihoodColumns& columns = batch.gold_likelihood();
    if (columns.scope() == v1::LikelihoodColumns::Scope::DOCUMENT) {
      return absl::InvalidArgumentError(
          "gold_likelihood.scope is DOCUMENT: beside a generation stands the log-likelihood of its "
          "gold answer, GOLD_PROBE");
    }
    if (auto s = server::Assign(columns, "gold_likelihood", n, gold_likelihood); !s.ok()) return s;
    if (auto s = CheckOptional(columns.recorded(), "gold_likelihood.recorded", n); !s.ok()) {
      return s;
    }
    gold_recorded = Span(columns.recorded());
  }
  if (auto s = ToCells(batch.keys().doc_id(), "keys.doc_id", n, doc_id); !s.ok()) return s;
  if (auto s = ToOptionalCells(batch.keys().doc_hash(), "keys.doc_hash", n, doc_hash); !s.ok()) {
    return s;
  }
  if (auto s = ToOptionalCells(batch.keys().prompt_hash(), "keys.prompt_hash", n, prompt_hash);
      !s.ok()) {
    return s;
  }
  if (auto s = ToOptionalCells(batch.keys().variant(), "keys.variant", n, variant); !s.ok()) {
    return s;
  }
  if (batch.fields_size() > kMaxFields) {
    return absl::ResourceExhaustedError(
        fmt::format("fields has {} columns: at most {}", batch.fields_size(), kMaxFields));
  }
  fields.resize(static_cast<size_t>(batch.fields_size()));
  for (int f = 0; f < batch.fields_size(); ++f) {
    if (auto s = ToCells(batch.fields(f).values(), fmt::format("fields[{}].values", f), n,
                         fields[static_cast<size_t>(f)]);
        !s.ok()) {
      return s;
    }
  }
  for (int c = 0; c < batch.scores_size(); ++c) {
    const v1::ScoreColumn& column = batch.scores(c);
    if (auto s = CheckRequired(column.values(), fmt::format("scores[{}].values", c), n); !s.ok()) {
      return s;
    }
    if (auto s = CheckOptional(column.weights(), fmt::format("scores[{}].weights", c), n);
        !s.ok()) {
      return s;
    }
  }
  switch (batch.evidence_case()) {
    case v1::SampleBatch::kMultipleChoice:
      return server::Assign(batch.multiple_choice(), n, choices);
    case v1::SampleBatch::kGeneration:
      return server::Assign(batch.generation(), n, generation);
    case v1::SampleBatch::kLikelihood:
      return server::Assign(batch.likelihood(), "likelihood", n, likelihood);
    case v1::SampleBatch::kTrials:
    case v1::SampleBatch::kVectors:
      return absl::UnimplementedError(
          "this server scores multiple_choice, generation and likelihood; send one of these");
    case v1::SampleBatch::EVIDENCE_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      "evidence is not set: send multiple_choice, generation or likelihood columns");
}

}  // namespace mirage::server
