#include "server/engine/task_scorer.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "metrics/kernels/choices.h"
#include "metrics/kernels/likelihood.h"
#include "metrics/kernels/token_log_probs.h"
#include "metrics/registry/registry.h"

namespace mirage::server {
namespace {

using metrics::Evidence;
using metrics::MetricInfo;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A row's score and Mirage's agree when they differ by no more than rounding.
constexpr double kSameScore = 1e-12;

// Samples that room is made for beforehand, 64 MB.
constexpr uint64_t kMostReserved = uint64_t{1} << 21;

// The accuracies of the harness that state a verdict on a row's gold, in the order
// of TaskScorer::verdict_columns_.
constexpr std::string_view kVerdictMetrics[] = {"acc", "acc_norm", "acc_bytes", "acc_mutual_info"};

absl::StatusOr<Evidence> EvidenceOf(const v1::SampleBatch& batch) {
  switch (batch.evidence_case()) {
    case v1::SampleBatch::kMultipleChoice:
      return Evidence::kChoices;
    case v1::SampleBatch::kGeneration:
      return Evidence::kGeneration;
    case v1::SampleBatch::kLikelihood:
      return batch.likelihood().scope() == v1::LikelihoodColumns::Scope::DOCUMENT
                 ? Evidence::kDocument
                 : Evidence::kLikelihood;
    default:
      return absl::InvalidArgumentError("evidence is not set");
  }
}

bool SameScore(double a, double b) {
  return a == b || std::abs(a - b) <= kSameScore * std::max(std::abs(a), std::abs(b));
}

absl::uint128 Hash(const void* data, size_t size) {
  const XXH128_hash_t hash = XXH3_128bits(data, size);
  return absl::MakeUint128(hash.high64, hash.low64);
}

template <typename T>
absl::uint128 HashSpan(std::span<const T> cells) {
  return Hash(cells.data(), cells.size_bytes());
}

std::string BadLogProbability(double value) {
  return std::isnan(value)
             ? std::string("is NaN: a log-probability is a number; the row is left out")
             : fmt::format("is {:+g}: log-probabilities must be <= 0 (natural logarithms)", value);
}

bool IsBadLogProbability(double value) { return !(value <= 0); }

template <typename T>
std::span<const T> Slice(std::span<const T> cells, uint32_t begin, uint32_t end) {
  return cells.empty() ? cells : cells.subspan(begin, end - begin);
}

// White space of ASCII.
constexpr std::string_view kSpace = " \t\n\v\f\r";

// Without outer white space.
std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

absl::uint128 Digest(std::string_view text) { return Hash(text.data(), text.size()); }

// 0 for a column that was not sent, and for an empty cell.
absl::uint128 DigestOfCell(const TextCells& cells, uint32_t i) {
  return cells.empty() || cells[i].empty() ? 0 : Digest(cells[i]);
}

// Replaces `units` by fingerprints of the text's units; those of code points and bytes are they
// themselves. Stops after `most` units.
void Fingerprints(std::string_view text, metrics::TextUnit unit, size_t most,
                  std::vector<uint64_t>& units) {
  units.clear();
  size_t at = 0;
  switch (unit) {
    case metrics::TextUnit::kBytes:
      for (; at < text.size() && units.size() < most; ++at) {
        units.push_back(static_cast<unsigned char>(text[at]));
      }
      return;
    case metrics::TextUnit::kCodepoints:
      while (at < text.size() && units.size() < most) {
        units.push_back(metrics::NextCodepoint(text, at));
      }
      return;
    case metrics::TextUnit::kWords:
      while (at < text.size() && units.size() < most) {
        size_t begin = at;
        // To the first code point of a word, then past its last one.
        while (begin < text.size() && metrics::IsWhiteSpace(metrics::NextCodepoint(text, at))) {
          begin = at;
        }
        if (begin == text.size()) return;
        size_t end = at;
        while (at < text.size() && !metrics::IsWhiteSpace(metrics::NextCodepoint(text, at))) {
          end = at;
        }
        units.push_back(XXH3_64bits(text.data() + begin, end - begin));
      }
      return;
  }
}

// ln p_wrong_mass, also where the mass itself is too small for a double.
double LogWrongMass(const metrics::ChoiceScores& scores) {
  constexpr double kTiny = 1e-300;
  if (scores.p_wrong_mass > kTiny || !std::isfinite(scores.log_p_gold) ||
      !std::isfinite(scores.log_p_gold_choices)) {
    return std::log(scores.p_wrong_mass);
  }
  return scores.log_p_gold - scores.log_p_gold_choices +
         std::log(-std::expm1(scores.log_p_gold_choices));
}

template <typename T>
std::optional<T> Cell(std::span<const T> cells, uint32_t i) {
  return cells.empty() ? std::nullopt : std::optional<T>(cells[i]);
}

}  // namespace

TaskScorer::TaskScorer(const v1::RunTask& about, std::string filter, metrics::TextUnit unit)
    : about_(&about),
      filter_(std::move(filter)),
      unit_name_(metrics::TextUnitName(unit)),
      unit_(unit),
      generation_({.unit = unit,
                   .normalize = {.ignore_case = about.normalization().ignore_case(),
                                 .ignore_punctuation = about.normalization().ignore_punctuation(),
                                 .ignore_numbers = about.normalization().ignore_numbers()}}) {}

absl::Status TaskScorer::Start(const v1::SampleBatch& batch) {
  const auto evidence = EvidenceOf(batch);
  if (!evidence.ok()) return evidence.status();
  if (evidence_.has_value()) {
    if (*evidence_ == *evidence) return absl::OkStatus();
    return absl::InvalidArgumentError(
        fmt::format("task {} filter {}: this batch holds {}, the ones before hold {}: one task has "
                    "one kind of evidence",
                    batch.task(), batch.filter(), metrics::EvidenceName(*evidence),
                    metrics::EvidenceName(*evidence_)));
  }
  evidence_ = *evidence;
  for (const MetricInfo& info : metrics::AllMetrics()) {
    if (info.evidence != *evidence_) continue;
    if (info.choice == nullptr && info.generation == nullptr && info.likelihood == nullptr) {
      continue;
    }
    if (info.sharp) {
      // A sharp metric is Mirage's to compute only where the harness reports it.
      const bool reported =
          std::any_of(batch.scores().begin(), batch.scores().end(),
                      [&](const v1::ScoreColumn& c) { return c.metric() == info.name; }) ||
          std::any_of(about_->reported().begin(), about_->reported().end(),
                      [&](const v1::ReportedMetric& r) { return r.metric() == info.name; });
      if (!reported) continue;
    }
    computed_.push_back({.info = &info});
  }
  // What the run says of itself saves growing step by step; it is not trusted with memory.
  const size_t n = std::min<uint64_t>(about_->n_samples_effective(), kMostReserved);
  keys_.reserve(n);
  for (auto* digests : {&rows_.doc_hash, &rows_.prompt_hash, &rows_.gold, &rows_.variant}) {
    digests->reserve(n);
  }
  rows_.log_p.reserve(n);
  if (*evidence_ == Evidence::kChoices) {
    rows_.margin.reserve(n);
    rows_.log_p_wrong.reserve(n);
  }
  if (*evidence_ == Evidence::kGeneration) {
    rows_.edit_distance.reserve(n);
    rows_.target_length.reserve(n);
  }
  if (batch.generation().has_output_ids()) unit_name_ = batch.generation().output_ids().tokenizer();
  return absl::OkStatus();
}

void TaskScorer::StartGoldEvidence(const v1::SampleBatch& batch) {
  const bool has_tokens = batch.has_token_logprobs();
  if (!has_tokens && !batch.has_gold_likelihood()) return;
  for (const MetricInfo& info : metrics::AllMetrics()) {
    // A sharp metric of the gold's tokens is not what the harness scored.
    if (info.sharp || !info.in_runs) continue;
    const bool wanted =
        (info.evidence == Evidence::kLikelihood && info.likelihood != nullptr) ||
        (has_tokens && info.evidence == Evidence::kTokenLogProbs && info.tokens != nullptr);
    if (!wanted || std::any_of(computed_.begin(), computed_.end(),
                               [&](const ComputedMetric& c) { return c.info == &info; })) {
      continue;
    }
    computed_.push_back({.info = &info, .n_undefined = n_samples_});
  }
}

void TaskScorer::Refuse(uint32_t i, std::string field, std::string message,
                        v1::IngestResponse* response, absl::StatusCode code) {
  accepted_[i] = 0;
  ++n_bad_;
  response->set_n_bad(response->n_bad() + 1);
  if (response->bad_samples_size() >= kMaxDescribedBadSamples) return;
  v1::BadSample* bad = response->add_bad_samples();
  bad->set_index(i);
  bad->set_message(fmt::format("{} {}", field, message));
  bad->set_field(std::move(field));
  bad->set_code(static_cast<uint32_t>(code));
}

void TaskScorer::HashKeys() {
  sample_keys_.resize(view_.n);
  for (uint32_t i = 0; i < view_.n; ++i) {
    key_buffer_.assign(view_.doc_id[i]);
    // Lengths as separators: no two keys share a byte string.
    const auto append = [&](std::string_view part) {
      const auto size = static_cast<uint32_t>(part.size());
      key_buffer_.append(reinterpret_cast<const char*>(&size), sizeof(size));
      key_buffer_.append(part);
    };
    append(view_.doc_hash.empty() ? std::string_view() : view_.doc_hash[i]);
    append(view_.variant.empty() ? std::string_view() : view_.variant[i]);
    sample_keys_[i] = Hash(key_buffer_.data(), key_buffer_.size());
  }
}

bool TaskScorer::AcceptKey(uint32_t i, v1::IngestResponse* response) {
  // A set of a million keys is larger than the caches.
  constexpr uint32_t kAhead = 16;
  if (i + kAhead < view_.n) keys_.prefetch(sample_keys_[i + kAhead]);
  if (keys_.insert(sample_keys_[i]).second) return true;
  Refuse(i, fmt::format("samples[{}].doc_id", i),
         fmt::format("{} repeats an earlier sample of this task and filter (same doc_id, doc_hash "
                     "and variant); the first one counts",
                     view_.doc_id[i]),
         response, absl::StatusCode::kAlreadyExists);
  return false;
}

bool TaskScorer::CheckChoiceSample(uint32_t i, v1::IngestResponse* response) {
  const ChoiceBatchView& c = view_.choices;
  const uint32_t begin = c.choices[i];
  const uint32_t n_choices = c.choices[i + 1] - begin;
  if (n_choices == 0 || n_choices > kMaxChoices) {
    Refuse(i, fmt::format("samples[{}].n_choices", i),
           fmt::format("is {}: a sample has 1 to {} choices", n_choices, kMaxChoices), response);
    return false;
  }
  for (uint32_t k = 0; k < n_choices; ++k) {
    if (IsBadLogProbability(c.log_likelihoods[begin + k])) {
      Refuse(i, fmt::format("samples[{}].log_likelihoods[{}]", i, k),
             BadLogProbability(c.log_likelihoods[begin + k]), response);
      return false;
    }
    if (!c.baseline_log_likelihoods.empty() &&
        IsBadLogProbability(c.baseline_log_likelihoods[begin + k])) {
      Refuse(i, fmt::format("samples[{}].baseline_log_likelihoods[{}]", i, k),
             BadLogProbability(c.baseline_log_likelihoods[begin + k]), response);
      return false;
    }
  }
  for (uint32_t g = c.golds_at[i]; g < c.golds_at[i + 1]; ++g) {
    if (c.golds[g] >= n_choices) {
      Refuse(i, fmt::format("samples[{}].golds[{}]", i, g - c.golds_at[i]),
             fmt::format("is {} with {} choices: an index counts from 0", c.golds[g], n_choices),
             response);
      return false;
    }
  }
  if (!c.alternative_gold.empty() && c.alternative_gold[i] >= static_cast<int64_t>(n_choices)) {
    Refuse(i, fmt::format("samples[{}].alternative_gold", i),
           fmt::format("is {} with {} choices: an index counts from 0", c.alternative_gold[i],
                       n_choices),
           response);
    return false;
  }
  return true;
}

bool TaskScorer::CheckGenerationSample(uint32_t i, v1::IngestResponse* response) {
  const GenerationBatchView& g = view_.generation;
  if (g.outputs_at[i] == g.outputs_at[i + 1]) {
    Refuse(i, fmt::format("samples[{}].outputs", i), "is empty: a generation has an output",
           response);
    return false;
  }
  if (g.targets_at[i] == g.targets_at[i + 1]) {
    Refuse(i, fmt::format("samples[{}].targets", i), "is empty: a generation has a target",
           response);
    return false;
  }
  return CheckGoldEvidence(i, response);
}

bool TaskScorer::CheckGoldEvidence(uint32_t i, v1::IngestResponse* response) {
  if (const TokenBatchView& t = view_.token_logprobs; !t.tokens.empty()) {
    for (uint32_t k = t.tokens[i]; k < t.tokens[i + 1]; ++k) {
      if (!IsBadLogProbability(t.log_probs[k])) continue;
      Refuse(i, fmt::format("samples[{}].token_logprobs.log_probs[{}]", i, k - t.tokens[i]),
             BadLogProbability(t.log_probs[k]), response);
      return false;
    }
  }
  if (const auto gold = GoldLikelihood(i); gold.has_value() && IsBadLogProbability(*gold)) {
    Refuse(i, fmt::format("samples[{}].gold_likelihood.log_likelihood", i),
           BadLogProbability(*gold), response);
    return false;
  }
  return true;
}

std::optional<double> TaskScorer::GoldLikelihood(uint32_t i) const {
  if (!view_.gold_recorded.empty() && !view_.gold_recorded[i]) return std::nullopt;
  return Cell(view_.gold_likelihood.log_likelihoods, i);
}

void TaskScorer::StartRow(uint32_t i) {
  rows_.doc_hash.push_back(DigestOfCell(view_.doc_hash, i));
  rows_.prompt_hash.push_back(DigestOfCell(view_.prompt_hash, i));
  rows_.variant.push_back(DigestOfCell(view_.variant, i));
  rows_.gold.push_back(0);
  rows_.log_p.push_back(kNan);
  if (*evidence_ == Evidence::kChoices) {
    rows_.margin.push_back(kNan);
    rows_.log_p_wrong.push_back(kNan);
  }
  if (*evidence_ == Evidence::kGeneration) {
    rows_.edit_distance.push_back(kNan);
    rows_.target_length.push_back(kNan);
    rows_.gold.back() = Digest(Trimmed(view_.generation.targets[view_.generation.targets_at[i]]));
  } else if (*evidence_ == Evidence::kLikelihood && !view_.likelihood.targets.empty()) {
    rows_.gold.back() = Digest(Trimmed(view_.likelihood.targets[i]));
  }
}

bool TaskScorer::CheckLikelihoodSample(uint32_t i, v1::IngestResponse* response) {
  const double ll = view_.likelihood.log_likelihoods[i];
  if (!IsBadLogProbability(ll)) return true;
  Refuse(i, fmt::format("samples[{}].log_likelihood", i), BadLogProbability(ll), response);
  return false;
}

void TaskScorer::ScoreChoiceSample(uint32_t i, const v1::SampleBatch& batch) {
  const ChoiceBatchView& c = view_.choices;
  const uint32_t begin = c.choices[i];
  const uint32_t end = c.choices[i + 1];
  const uint32_t n_choices = end - begin;
  metrics::ChoicesView sample{
      .log_likelihoods = Slice(c.log_likelihoods, begin, end),
      .baseline_log_likelihoods = Slice(c.baseline_log_likelihoods, begin, end),
      .n_chars = Slice(c.n_chars, begin, end),
      .n_bytes = Slice(c.n_bytes, begin, end),
      .n_tokens = Slice(c.n_tokens, begin, end),
      .golds = {}};

  verdicts_.clear();
  bool is_fraction = false;
  const metrics::ChoiceDecisions decisions = metrics::DecideChoices(sample);
  const uint32_t by_rule[] = {decisions.acc, decisions.acc_norm, decisions.acc_bytes,
                              decisions.acc_mutual_info};
  for (int rule = 0; rule < 4; ++rule) {
    if (verdict_columns_[rule] < 0 || by_rule[rule] == n_choices) continue;
    const double score = batch.scores(verdict_columns_[rule]).values(static_cast<int>(i));
    if (score == 0 || score == 1) {
      verdicts_.push_back({by_rule[rule], score == 1});
    } else {
      // Not what an argmax gives (TruthfulQA's mc2 calls a share of mass acc).
      is_fraction |= !std::isnan(score);
    }
  }
  const auto stated = Slice(c.golds, c.golds_at[i], c.golds_at[i + 1]);
  const int32_t alternative = c.alternative_gold.empty() ? -1 : c.alternative_gold[i];
  const GoldOutcome outcome = is_fraction
                                  ? GoldOutcome::kContradicted
                                  : SettleGold(n_choices, stated, alternative, verdicts_, golds_);
  switch (outcome) {
    case GoldOutcome::kStated:
      break;
    case GoldOutcome::kToldByVerdict:
      gold_is_told_[i] = 1;
      ++n_gold_told_;
      break;
    case GoldOutcome::kOpen:
      ++n_gold_open_;
      ++n_gold_unverified_;
      return;
    case GoldOutcome::kContradicted:
      ++n_gold_contradicted_;
      ++n_gold_unverified_;
      if (stated.empty()) return;
      // Its own accuracies by the log's reading stay, to be counted as scores that differ.
      sample.golds = stated;
      const metrics::ChoiceScores scores = metrics::ScoreChoices(sample, decisions);
      for (size_t m = 0; m < computed_.size(); ++m) {
        if (computed_[m].info->sharp) values_[m * view_.n + i] = scores.*computed_[m].info->choice;
      }
      return;
  }
  sample.golds = golds_;
  const metrics::ChoiceScores scores = metrics::ScoreChoices(sample, decisions);
  for (size_t m = 0; m < computed_.size(); ++m) {
    values_[m * view_.n + i] = scores.*computed_[m].info->choice;
  }
  rows_.log_p.back() = scores.log_p_gold;
  rows_.margin.back() = scores.margin;
  if (golds_.size() < n_choices) rows_.log_p_wrong.back() = LogWrongMass(scores);
  if (!c.texts.empty()) rows_.gold.back() = Digest(Trimmed(c.texts[begin + golds_.front()]));
  const auto n_golds = static_cast<uint32_t>(golds_.size());
  const auto shape = std::find_if(shapes_.begin(), shapes_.end(), [&](const ShapeCount& s) {
    return s.n_choices == n_choices && s.n_golds == n_golds;
  });
  if (shape == shapes_.end()) {
    shapes_.push_back({n_choices, n_golds, 1});
  } else {
    ++shape->n;
  }
  if (!std::isnan(scores.confidence)) calibration_.Add(scores.confidence, scores.acc == 1);
  const auto add_margin = [](metrics::MarginCounts& counts, double margin) {
    if (!std::isnan(margin)) counts.Add(margin);
  };
  add_margin(margins_.acc, scores.margin);
  add_margin(margins_.acc_norm, scores.margin_norm);
  add_margin(margins_.acc_bytes, scores.margin_bytes);
  add_margin(margins_.acc_mutual_info, scores.margin_mutual_info);
  const double above = scores.margin - scores.chance_margin;
  if (std::isfinite(above)) {
    above_chance_.push_back(above);
    margin_.push_back(scores.margin);
    chance_margin_.push_back(scores.chance_margin);
  }
  const double log_p_above = scores.log_p_gold_choices -
                             metrics::ChanceValue(metrics::Chance::kLogShare, n_choices, n_golds);
  if (std::isfinite(log_p_above)) log_p_above_chance_.push_back(log_p_above);
}

void TaskScorer::ScoreLikelihoodSample(uint32_t i) {
  const LikelihoodBatchView& l = view_.likelihood;
  const double ll = l.log_likelihoods[i];
  if (*evidence_ == Evidence::kDocument) return;  // ratios of sums: AddReported sees to them
  rows_.log_p.back() = ll;
  const metrics::LikelihoodScores scores = metrics::ScoreLikelihood({
      .log_likelihood = ll,
      .n_tokens = Cell(l.n_tokens, i),
      .n_bytes = Cell(l.n_bytes, i),
      .n_chars = Cell(l.n_chars, i),
      .is_greedy = Cell(l.is_greedy, i),
  });
  for (size_t m = 0; m < computed_.size(); ++m) {
    values_[m * view_.n + i] = scores.*computed_[m].info->likelihood;
  }
}

void TaskScorer::ScoreGenerationSample(uint32_t i, const v1::SampleBatch& batch) {
  const GenerationBatchView& g = view_.generation;
  const uint32_t first_target = g.targets_at[i];
  const uint32_t n_targets = g.targets_at[i + 1] - first_target;
  const uint32_t first_output = g.outputs_at[i];
  const uint32_t n_outputs = g.outputs_at[i + 1] - first_output;
  // Repeated outputs count by their mean: the sample stays the unit of inference.
  for (size_t m = 0; m < computed_.size(); ++m) {
    if (computed_[m].info->generation != nullptr) values_[m * view_.n + i] = 0;
  }
  double edits = 0, length = 0, exact_matches = 0, similarity = 0;
  uint32_t nearest = first_target;
  for (uint32_t o = first_output; o < first_output + n_outputs; ++o) {
    // Neither call fails: CheckGenerationSample made sure of a target.
    metrics::GenerationScores scores =
        *generation_.ScoreText(g.outputs[o], {g.targets.data() + first_target, n_targets});
    if (!g.output_ids.empty()) {
      const double exact_match = scores.exact_match;
      scores = *generation_.ScoreTokens(g.output_ids[o],
                                        {g.target_ids.data() + first_target, n_targets});
      // The harness compares texts, whatever their tokens.
      scores.exact_match = exact_match;
    }
    for (size_t m = 0; m < computed_.size(); ++m) {
      if (computed_[m].info->generation == nullptr) continue;
      values_[m * view_.n + i] += scores.*computed_[m].info->generation / n_outputs;
    }
    if (o == first_output) nearest = first_target + scores.target_index;
    exact_matches += scores.exact_match;
    similarity += scores.edit_similarity / n_outputs;
    edits += scores.token_edit_distance / n_outputs;
    length += static_cast<double>(scores.target_length) / n_outputs;
  }
  if (right_column_ >= 0 && !std::isnan(similarity) &&
      batch.scores(right_column_).values(static_cast<int>(i)) == 1) {
    right_similarity_.Add(similarity);
  }
  // The target of a row is what its harness compared with only if the comparison gives
  // the harness's score.
  if (exact_match_column_ >= 0 && n_outputs == 1) {
    const double stated = batch.scores(exact_match_column_).values(static_cast<int>(i));
    if ((stated == 0 || stated == 1) && stated != exact_matches) {
      ++n_gold_contradicted_;
      ++n_gold_unverified_;
      // Its own exact match stays, to be counted as one that differs.
      for (size_t m = 0; m < computed_.size(); ++m) {
        if (!computed_[m].info->sharp) values_[m * view_.n + i] = kNan;
      }
      return;
    }
  }
  ScoreGoldEvidence(i);
  if (std::isnan(edits)) {
    ++n_too_long_;
    return;
  }
  rows_.edit_distance.back() = edits;
  rows_.target_length.back() = length;
  AddPositions(i, nearest);
}

void TaskScorer::AddPositions(uint32_t i, uint32_t target) {
  const GenerationBatchView& g = view_.generation;
  const size_t n_outputs = g.outputs_at[i + 1] - g.outputs_at[i];
  const auto widen = [](std::span<const uint32_t> ids, std::vector<uint64_t>& units) {
    units.assign(ids.begin(), ids.end());
  };
  if (output_units_.size() < n_outputs) output_units_.resize(n_outputs);
  if (g.target_ids.empty()) {
    Fingerprints(g.targets[target], unit_, kMaxPositionedUnits + 1, target_units_);
  } else {
    widen(g.target_ids[target], target_units_);
  }
  output_spans_.clear();
  // Outputs beside a target that is not looked at need not be cut.
  const bool is_looked_at = target_units_.size() <= kMaxPositionedUnits;
  for (size_t o = 0; o < n_outputs; ++o) {
    const size_t at = g.outputs_at[i] + o;
    std::vector<uint64_t>& units = output_units_[o];
    units.clear();
    if (is_looked_at && g.output_ids.empty()) {
      Fingerprints(g.outputs[at], unit_, g.outputs[at].size(), units);
    } else if (is_looked_at) {
      widen(g.output_ids[at], units);
    }
    output_spans_.emplace_back(units);
  }
  generated_positions_.AddMatches(target_units_, output_spans_);
}

void TaskScorer::ScoreGoldEvidence(uint32_t i) {
  const TokenBatchView& t = view_.token_logprobs;
  const uint32_t first_token = t.tokens.empty() ? 0 : t.tokens[i];
  const uint32_t n_tokens = t.tokens.empty() ? 0 : t.tokens[i + 1] - first_token;
  const std::optional<double> probe = GoldLikelihood(i);
  if (n_tokens == 0 && !probe.has_value()) return;
  ++n_with_log_p_;
  const GenerationBatchView& g = view_.generation;
  std::string_view target = Trimmed(g.targets[g.targets_at[i]]);
  metrics::LikelihoodView text;
  std::optional<metrics::TokenLogProbScores> by_token;
  if (n_tokens > 0) {
    const auto log_probs = t.log_probs.subspan(first_token, n_tokens);
    any_log_p_ |= std::any_of(log_probs.begin(), log_probs.end(), [](double x) { return x != 0; });
    uint32_t begin = 0;
    uint32_t end = n_tokens;
    if (!t.texts.empty()) {
      spelling_.clear();
      for (uint32_t k = 0; k < n_tokens; ++k) spelling_ += t.texts[first_token + k];
      const size_t lead = std::min(spelling_.find_first_not_of(kSpace), spelling_.size());
      const std::string_view spelled = std::string_view(spelling_).substr(lead);
      std::string_view found;
      for (uint32_t k = g.targets_at[i]; k < g.targets_at[i + 1]; ++k) {
        const std::string_view accepted = Trimmed(g.targets[k]);
        if (accepted.size() > found.size() && spelled.starts_with(accepted)) found = accepted;
      }
      if (found.empty()) {
        ++n_unspelled_;
      } else {
        target = found;
        size_t at = 0;
        end = 0;
        for (uint32_t k = 0; k < n_tokens; ++k) {
          const size_t next = at + t.texts[first_token + k].size();
          if (next <= lead) begin = k + 1;
          if (at < lead + found.size()) end = k + 1;
          at = next;
        }
      }
    }
    const auto own = log_probs.subspan(begin, end - begin);
    greedy_hits_.clear();
    for (uint32_t k = begin; k < end && !t.is_greedy.empty(); ++k) {
      greedy_hits_.push_back(t.is_greedy[first_token + k] ? 1 : 0);
    }
    // Does not fail: CheckGoldEvidence saw the values.
    by_token = *metrics::ScoreTokenLogProbs({.log_probs = own, .greedy_hits = greedy_hits_});
    text.log_likelihood = by_token->log_p_target;
    text.n_tokens = end - begin;
    target_units_.clear();
    for (uint32_t k = begin; k < end && !t.texts.empty(); ++k) {
      const std::string_view token = t.texts[first_token + k];
      target_units_.push_back(XXH3_64bits(token.data(), token.size()));
    }
    token_positions_.AddTokens(target_units_, own);
  } else {
    any_log_p_ |= *probe != 0;
    text.log_likelihood = *probe;
    text.n_tokens = Cell(view_.gold_likelihood.n_tokens, i);
    // A hook that does not know the number writes 0.
    if (text.n_tokens == 0u) text.n_tokens.reset();
  }
  text.n_bytes = static_cast<uint32_t>(target.size());
  text.n_chars = static_cast<uint32_t>(metrics::CountCodepoints(target));
  rows_.log_p.back() = text.log_likelihood;
  const metrics::LikelihoodScores scores = metrics::ScoreLikelihood(text);
  for (size_t m = 0; m < computed_.size(); ++m) {
    const MetricInfo& info = *computed_[m].info;
    if (info.likelihood != nullptr) {
      values_[m * view_.n + i] = scores.*info.likelihood;
    } else if (info.tokens != nullptr && by_token.has_value()) {
      values_[m * view_.n + i] = (*by_token).*info.tokens;
    }
  }
}

std::optional<double> TaskScorer::mean_target_units() const {
  const PositionScores& positions =
      token_positions_.lengths().count() > 0 ? token_positions_ : generated_positions_;
  return positions.lengths().mean();
}

void TaskScorer::Finish() {
  if (n_with_log_p_ == 0 || any_log_p_) return;
  log_probs_missing_ = true;
  n_with_log_p_ = 0;
  n_unspelled_ = 0;
  token_positions_ = PositionScores();
  std::fill(rows_.log_p.begin(), rows_.log_p.end(), kNan);
  for (ComputedMetric& metric : computed_) {
    if (metric.info->evidence == *evidence_) continue;
    metric = {.info = metric.info, .n_undefined = n_samples_};
  }
}

bool TaskScorer::MayBeVerdict(const v1::ScoreColumn& column) const {
  if (column.aggregation() != v1::ScoreColumn::Aggregation::MEAN) return false;
  return std::none_of(about_->reported().begin(), about_->reported().end(),
                      [&](const v1::ReportedMetric& reported) {
                        return reported.metric() == column.metric() &&
                               reported.has_higher_is_better() && !reported.higher_is_better();
                      });
}

std::string TaskScorer::Withheld() const {
  if (n_samples_ == 0 || !evidence_.has_value()) return "";
  if (n_gold_open_ > 0 && n_gold_told_ > 0) {
    return fmt::format(
        "which answer is gold shows in the harness's own scores, and of {} of {} rows it does not: "
        "mostly those that it scored as wrong, so a mean over the others would be biased",
        n_gold_open_, n_samples_);
  }
  if (n_gold_contradicted_ >= kFewContradicted &&
      static_cast<double>(n_gold_contradicted_) >
          kMostContradicted * static_cast<double>(n_samples_)) {
    return fmt::format(
        "{} of {} rows contradict the harness's own score: what the log calls the answer is not "
        "what the task scores",
        n_gold_contradicted_, n_samples_);
  }
  if (*evidence_ != Evidence::kGeneration) return "";
  const bool custom = about_->normalization().custom();
  const uint64_t n_right = right_similarity_.count();
  if (n_right == 0) {
    if (!custom) return "";
    return "the task compares texts in a way of its own, and no row that it scored as right shows "
           "that the log's target is what it compares with";
  }
  const double mean = *right_similarity_.mean();
  if (mean >= kNearTarget || (!custom && n_right < kFewContradicted)) return "";
  return fmt::format(
      "the {} outputs that the harness scored as right are far from their targets (mean similarity "
      "{:.2g}): the log's target is not what it compares with (a rationale before the answer?)",
      n_right, mean);
}

void TaskScorer::MatchColumns(const v1::SampleBatch& batch) {
  column_of_.clear();
  std::fill(std::begin(verdict_columns_), std::end(verdict_columns_), -1);
  exact_match_column_ = -1;
  right_column_ = -1;
  for (int c = 0; c < batch.scores_size(); ++c) {
    const v1::ScoreColumn& column = batch.scores(c);
    auto found = std::find_if(reported_.begin(), reported_.end(),
                              [&](const auto& r) { return r.metric == column.metric(); });
    if (found == reported_.end()) {
      reported_.push_back({.metric = column.metric(), .aggregation = column.aggregation()});
      found = reported_.end() - 1;
    }
    column_of_.push_back(static_cast<size_t>(found - reported_.begin()));
    for (int rule = 0; rule < 4; ++rule) {
      if (column.metric() == kVerdictMetrics[rule]) verdict_columns_[rule] = c;
    }
    if (column.metric() == "exact_match" && !about_->normalization().custom()) {
      exact_match_column_ = c;
    }
    if (column.metric() == "exact_match" || (right_column_ < 0 && MayBeVerdict(column))) {
      right_column_ = c;
    }
  }
}

void TaskScorer::AddComputed() {
  for (size_t m = 0; m < computed_.size(); ++m) {
    ComputedMetric& metric = computed_[m];
    const double* const column = values_.data() + m * view_.n;
    gathered_.clear();
    for (uint32_t i = 0; i < view_.n; ++i) {
      if (!accepted_[i]) continue;
      if (std::isnan(column[i])) {
        ++metric.n_undefined;
      } else {
        gathered_.push_back(column[i]);
      }
    }
    metric.values.AddAll(gathered_);
    if (metric.info->chance == metrics::Chance::kMargin) {
      metric.chance.AddAll(chance_margin_);
      continue;
    }
    if (metric.info->chance == metrics::Chance::kNone) continue;
    for (const ShapeCount& shape : shapes_) {
      const double guess =
          metrics::ChanceValue(metric.info->chance, shape.n_choices, shape.n_golds);
      if (!std::isnan(guess)) metric.chance.AddRepeated(guess, shape.n);
    }
  }
  margins_.margin_above_chance.AddAll(above_chance_);
  margins_.margin.AddAll(margin_);
  margins_.chance_margin.AddAll(chance_margin_);
  margins_.log_p_above_chance.AddAll(log_p_above_chance_);
}

void TaskScorer::AddReported(const v1::SampleBatch& batch) {
  rows_.reported.resize(reported_.size());
  for (std::vector<double>& cells : rows_.reported) cells.resize(rows_.log_p.size(), kNan);
  for (int c = 0; c < batch.scores_size(); ++c) {
    const v1::ScoreColumn& column = batch.scores(c);
    ReportedMetricColumn& reported = reported_[column_of_[static_cast<size_t>(c)]];
    const bool weighted = !column.weights().empty();
    const MetricInfo* const info = metrics::FindMetric(column.metric(), *evidence_);
    // A row of any other aggregation holds a log-likelihood.
    double lower = -std::numeric_limits<double>::infinity();
    double upper = 0;
    if (reported.aggregation == v1::ScoreColumn::Aggregation::MEAN ||
        reported.aggregation == v1::ScoreColumn::Aggregation::AGGREGATION_UNSPECIFIED) {
      lower = info != nullptr ? info->lower_bound : lower;
      upper = info != nullptr ? info->upper_bound : -lower;
    }
    // The column of Mirage's own values to compare with, if it has a definition.
    const double* own = nullptr;
    for (size_t m = 0; m < computed_.size(); ++m) {
      const MetricInfo& computed = *computed_[m].info;
      if (computed.evidence == *evidence_ && computed.name == column.metric()) {
        own = &values_[m * view_.n];
      }
    }
    std::vector<double>& cells = rows_.reported[column_of_[static_cast<size_t>(c)]];
    size_t row = first_row_;
    gathered_.clear();
    for (uint32_t i = 0; i < view_.n; ++i) {
      if (!accepted_[i]) continue;
      const size_t at = row++;
      const double value = column.values(static_cast<int>(i));
      if (std::isnan(value)) {
        ++reported.n_missing;
        continue;
      }
      const double weight = weighted ? column.weights(static_cast<int>(i)) : 0;
      if (!(value >= lower && value <= upper) || !(weight >= 0) || std::isinf(weight)) {
        if (reported.n_impossible++ == 0) {
          reported.first_impossible =
              weighted ? fmt::format("doc_id {}: {} of weight {}", view_.doc_id[i], value, weight)
                       : fmt::format("doc_id {}: {}", view_.doc_id[i], value);
        }
        continue;
      }
      cells[at] = value;
      if (!weighted) {
        gathered_.push_back(value);
        if (own != nullptr && !std::isnan(own[i]) && gold_is_told_[i] == 0) {
          ++reported.n_compared;
          if (SameScore(own[i], value)) ++reported.n_same;
        }
        continue;
      }
      reported.ratio.Add(value, weight);
      if (*evidence_ != Evidence::kDocument) continue;
      const bool per_word = column.metric() == "word_perplexity";
      const auto length =
          per_word ? Cell(view_.likelihood.n_words, i) : Cell(view_.likelihood.n_bytes, i);
      if (!length.has_value()) continue;
      ++reported.n_compared;
      if (SameScore(value, view_.likelihood.log_likelihoods[i]) && weight == *length) {
        ++reported.n_same;
      }
    }
    reported.values.AddAll(gathered_);
  }
}

void TaskScorer::AddFields(const v1::SampleBatch& batch) {
  for (int f = 0; f < batch.fields_size(); ++f) {
    const std::string& name = batch.fields(f).field();
    auto field = std::find_if(rows_.fields.begin(), rows_.fields.end(),
                              [&](const FieldRows& known) { return known.field() == name; });
    if (field == rows_.fields.end()) {
      // Of other batches' fields as many as one batch may have.
      if (rows_.fields.size() == static_cast<size_t>(kMaxFields)) continue;
      field = rows_.fields.insert(rows_.fields.end(), FieldRows(name));
    }
    size_t row = first_row_;
    for (uint32_t i = 0; i < view_.n; ++i) {
      if (accepted_[i]) field->Set(row++, view_.fields[static_cast<size_t>(f)][i]);
    }
  }
}

void TaskScorer::AddDigest(uint32_t i) {
  absl::uint128 evidence = 0;
  switch (*evidence_) {
    case Evidence::kChoices:
      evidence = HashSpan(Slice(view_.choices.log_likelihoods, view_.choices.choices[i],
                                view_.choices.choices[i + 1]));
      break;
    case Evidence::kGeneration:
      for (uint32_t o = view_.generation.outputs_at[i]; o < view_.generation.outputs_at[i + 1];
           ++o) {
        const std::string_view output = view_.generation.outputs[o];
        evidence = evidence * 31 + Hash(output.data(), output.size());
      }
      if (const TokenBatchView& t = view_.token_logprobs;
          !t.tokens.empty() && t.tokens[i] < t.tokens[i + 1]) {
        evidence = evidence * 31 + HashSpan(Slice(t.log_probs, t.tokens[i], t.tokens[i + 1]));
        // Which of them are the target's own depends on the texts.
        for (uint32_t k = t.tokens[i]; k < t.tokens[i + 1] && !t.texts.empty(); ++k) {
          evidence = evidence * 31 + Digest(t.texts[k]);
        }
      }
      if (const auto gold = GoldLikelihood(i); gold.has_value()) {
        evidence = evidence * 31 + Hash(&*gold, sizeof(*gold));
      }
      break;
    case Evidence::kLikelihood:
    case Evidence::kDocument:
      evidence = HashSpan(view_.likelihood.log_likelihoods.subspan(i, 1));
      break;
    case Evidence::kTokenLogProbs:
    case Evidence::kRepeats:
    case Evidence::kVectors:
      // No batch holds them alone: see EvidenceOf.
      break;
  }
  for (const TextCells& cells : view_.fields) evidence = evidence * 31 + Digest(cells[i]);
  const absl::uint128 both[] = {sample_keys_[i], evidence};
  // A sum does not depend on the order in which samples arrive.
  digest_ += Hash(both, sizeof(both));
}

absl::Status TaskScorer::Add(const v1::SampleBatch& batch, bool return_scores,
                             v1::IngestResponse* response) {
  if (auto status = view_.Assign(batch); !status.ok()) return status;
  if (auto status = Start(batch); !status.ok()) return status;
  StartGoldEvidence(batch);
  if (batch.generation().has_temperature() && !temperatures_differ_) {
    const double temperature = batch.generation().temperature();
    temperatures_differ_ = temperature_.value_or(temperature) != temperature;
    temperature_ = temperature;
    if (temperatures_differ_) temperature_.reset();
  }
  const uint32_t n = view_.n;
  accepted_.assign(n, 1);
  gold_is_told_.assign(n, 0);
  HashKeys();
  above_chance_.clear();
  margin_.clear();
  chance_margin_.clear();
  log_p_above_chance_.clear();
  shapes_.clear();
  values_.assign(computed_.size() * n, kNan);
  first_row_ = rows_.log_p.size();
  MatchColumns(batch);

  for (uint32_t i = 0; i < n; ++i) {
    switch (*evidence_) {
      case Evidence::kChoices:
        if (!CheckChoiceSample(i, response) || !AcceptKey(i, response)) continue;
        StartRow(i);
        ScoreChoiceSample(i, batch);
        break;
      case Evidence::kGeneration:
        if (!CheckGenerationSample(i, response) || !AcceptKey(i, response)) continue;
        StartRow(i);
        ScoreGenerationSample(i, batch);
        break;
      case Evidence::kLikelihood:
      case Evidence::kDocument:
        if (!CheckLikelihoodSample(i, response) || !AcceptKey(i, response)) continue;
        StartRow(i);
        ScoreLikelihoodSample(i);
        break;
      case Evidence::kTokenLogProbs:
      case Evidence::kRepeats:
      case Evidence::kVectors:
        continue;
    }
    ++n_samples_;
    AddDigest(i);
  }
  AddComputed();
  AddReported(batch);
  AddFields(batch);

  if (return_scores) {
    v1::SampleScores* scores = response->mutable_scores();
    for (const ComputedMetric& metric : computed_) {
      scores->add_metrics(std::string(metric.info->name));
    }
    scores->mutable_values()->Reserve(static_cast<int>(values_.size()));
    for (uint32_t i = 0; i < n; ++i) {
      for (size_t m = 0; m < computed_.size(); ++m) {
        const bool is_held_back = computed_[m].info->evidence != *evidence_ && !any_log_p_;
        scores->add_values(is_held_back ? kNan : values_[m * n + i]);
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace mirage::server
