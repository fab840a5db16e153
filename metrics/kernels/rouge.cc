#include "metrics/kernels/rouge.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "metrics/text/normalize.h"
#include "metrics/text/porter_stemmer.h"

namespace mirage::metrics {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr RougeScore kTooLong = {kNan, kNan, kNan};

// What a sentence of the output costs beside its tokens.
constexpr uint64_t kSentenceCells = 8;

bool IsTokenCharacter(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// The operations and their order are rouge_score's.
RougeScore FromCounts(uint64_t hits, uint64_t output, uint64_t reference) {
  const double k = static_cast<double>(hits);
  const double precision = output > 0 ? k / static_cast<double>(output) : 0;
  const double recall = reference > 0 ? k / static_cast<double>(reference) : 0;
  const double sum = precision + recall;
  return {precision, recall, sum > 0 ? 2 * precision * recall / sum : 0};
}

// Keeps the better one; NaN stays.
void Raise(const RougeScore& candidate, RougeScore& best) {
  if (candidate.f1 > best.f1 || candidate.f1 != candidate.f1) best = candidate;
}

}  // namespace

void RougeScorer::Tokenize(std::string_view text, Tokens& tokens) {
  tokens.ids.clear();
  tokens.sentence_ends.clear();
  const std::string lower = LowerCase(text);
  size_t line = 0;
  const auto end_line = [&](size_t end) {
    if (end > line) tokens.sentence_ends.push_back(tokens.ids.size());
    line = end + 1;
  };
  for (size_t i = 0; i < lower.size();) {
    if (!IsTokenCharacter(lower[i])) {
      if (lower[i] == '\n') end_line(i);
      ++i;
      continue;
    }
    const size_t start = i;
    while (i < lower.size() && IsTokenCharacter(lower[i])) ++i;
    const std::string_view token = std::string_view(lower).substr(start, i - start);
    if (!options_.stemmer || token.size() <= 3) {
      tokens.ids.push_back(words_.Intern(token));
    } else if (const std::string stem = PorterStem(token); !stem.empty()) {
      tokens.ids.push_back(words_.Intern(stem));
    }
  }
  end_line(lower.size());
}

RougeScore RougeScorer::ScoreLongest() {
  const uint64_t m = output_.ids.size();
  const uint64_t l = reference_.ids.size();
  if (m > 0 && l > options_.max_cells / m) return kTooLong;
  return FromCounts(CommonSubsequenceLength(reference_.ids, output_.ids, subsequences_), m, l);
}

RougeScore RougeScorer::ScoreSummary() {
  const uint64_t m = output_.ids.size();
  const uint64_t l = reference_.ids.size();
  if (m == 0 || l == 0) return FromCounts(0, m, l);
  const uint64_t columns = m + kSentenceCells * output_.sentence_ends.size();
  uint64_t rows = 0;
  size_t start = 0;
  for (const size_t end : reference_.sentence_ends) {
    rows += (end - start + 63) / 64 * 64;
    start = end;
  }
  if (rows > options_.max_cells / columns) return kTooLong;
  return FromCounts(SummaryHits(), m, l);
}

uint64_t RougeScorer::SummaryHits() {
  const auto count = [&](const std::vector<uint32_t>& ids, std::vector<uint32_t>& counts) {
    counts.assign(words_.size(), 0);
    for (const uint32_t id : ids) ++counts[id];
  };
  count(output_.ids, output_counts_);
  count(reference_.ids, reference_counts_);
  const std::span<const uint32_t> reference = reference_.ids;
  const std::span<const uint32_t> output = output_.ids;
  uint64_t hits = 0;
  size_t start = 0;
  for (const size_t end : reference_.sentence_ends) {
    const std::span<const uint32_t> sentence = reference.subspan(start, end - start);
    start = end;
    if (sentence.empty()) continue;
    in_union_.assign(sentence.size(), 0);
    size_t output_start = 0;
    for (const size_t output_end : output_.sentence_ends) {
      CommonSubsequencePositions(sentence, output.subspan(output_start, output_end - output_start),
                                 subsequences_, positions_);
      output_start = output_end;
      for (const uint32_t position : positions_) in_union_[position] = 1;
    }
    for (size_t i = 0; i < sentence.size(); ++i) {
      const uint32_t id = sentence[i];
      if (in_union_[i] == 0 || output_counts_[id] == 0 || reference_counts_[id] == 0) continue;
      ++hits;
      --output_counts_[id];
      --reference_counts_[id];
    }
  }
  return hits;
}

RougeScores RougeScorer::ScoreOne() {
  std::array<uint64_t, 2> matches{};
  const std::span<const uint32_t> reference = reference_.ids;
  CountNgramMatches(output_.ids, {&reference, 1}, ngrams_, matches);
  const size_t m = output_.ids.size();
  const size_t l = reference_.ids.size();
  return {FromCounts(matches[0], m, l), FromCounts(matches[1], NgramCount(m, 2), NgramCount(l, 2)),
          ScoreLongest(), ScoreSummary()};
}

absl::StatusOr<RougeScores> RougeScorer::Score(std::string_view output,
                                               std::span<const std::string_view> references) {
  if (references.empty()) {
    return absl::InvalidArgumentError("references is empty: a sample needs one at least");
  }
  words_.Clear();
  Tokenize(output, output_);
  constexpr RougeScore kNone = {0, 0, -1};
  RougeScores best = {kNone, kNone, kNone, kNone};
  for (const std::string_view reference : references) {
    Tokenize(reference, reference_);
    const RougeScores scores = ScoreOne();
    Raise(scores.rouge_1, best.rouge_1);
    Raise(scores.rouge_2, best.rouge_2);
    Raise(scores.rouge_l, best.rouge_l);
    Raise(scores.rouge_lsum, best.rouge_lsum);
  }
  return best;
}

}  // namespace mirage::metrics
