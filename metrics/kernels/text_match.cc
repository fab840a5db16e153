#include "metrics/kernels/text_match.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "metrics/text/answer_normalizer.h"
#include "metrics/text/python_text.h"
#include "metrics/text/units.h"

namespace mirage::metrics {
namespace {

constexpr AnswerNormalizerOptions kKeepArticles = {.remove_articles = false};

// A text in all the forms that are compared.
struct Forms {
  explicit Forms(std::string_view text)
      : stripped(Strip(text)),
        normalized(NormalizeAnswer(text)),
        with_articles(NormalizeAnswer(text, kKeepArticles)) {}

  std::string_view stripped;
  std::string normalized;
  std::string with_articles;
};

// How often each word of `text` is in it, by the word's id.
std::vector<uint64_t> CountWords(std::string_view text, WordInterner& words, uint64_t& total) {
  std::vector<uint64_t> counts;
  std::string_view word;
  total = 0;
  for (size_t position = 0; NextPythonWord(text, position, word); ++total) {
    const uint32_t id = words.Intern(word);
    if (id >= counts.size()) counts.resize(size_t{id} + 1, 0);
    ++counts[id];
  }
  return counts;
}

// str.startswith: whole characters. Bytes alone could end within one that is in `text` and invalid,
// because cut off, in `prefix`.
bool StartsWith(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  size_t position = 0;
  while (position < prefix.size()) NextCodepoint(text, position);
  return position == prefix.size();
}

struct F1Scores {
  double token_f1;
  double set_f1;
};

F1Scores ScoreF1(std::string_view output, std::string_view gold) {
  WordInterner words;
  uint64_t m = 0;
  uint64_t l = 0;
  const std::vector<uint64_t> output_counts = CountWords(output, words, m);
  const size_t m_distinct = words.size();
  const std::vector<uint64_t> gold_counts = CountWords(gold, words, l);
  if (m == 0 || l == 0) return {m == l ? 1.0 : 0.0, 0};
  uint64_t common = 0;
  uint64_t common_distinct = 0;
  uint64_t l_distinct = 0;
  for (size_t id = 0; id < gold_counts.size(); ++id) {
    if (gold_counts[id] == 0) continue;
    ++l_distinct;
    if (id >= output_counts.size()) continue;
    common += std::min(output_counts[id], gold_counts[id]);
    ++common_distinct;
  }
  if (common == 0) return {0, 0};
  const auto share = [](uint64_t part, uint64_t whole) {
    return static_cast<double>(part) / static_cast<double>(whole);
  };
  const double precision = share(common, m);
  const double recall = share(common, l);
  return {
      2 * precision * recall / (precision + recall),
      1 / (0.5 / share(common_distinct, m_distinct) + 0.5 / share(common_distinct, l_distinct))};
}

}  // namespace

absl::StatusOr<TextMatchScores> ScoreTextMatch(std::string_view output,
                                               std::span<const std::string_view> golds) {
  if (golds.empty()) {
    return absl::InvalidArgumentError("golds is empty: a sample needs one at least");
  }
  const Forms out(output);
  TextMatchScores best{};
  const auto raise = [](bool holds, double& score) {
    if (holds) score = 1;
  };
  for (const std::string_view text : golds) {
    const Forms gold(text);
    if (!output.empty()) {
      raise(out.stripped == gold.stripped, best.exact_match);
      raise(out.normalized == gold.normalized, best.quasi_exact_match);
      raise(out.with_articles == gold.with_articles, best.quasi_leave_articles_exact_match);
      raise(StartsWith(out.stripped, gold.stripped), best.prefix_exact_match);
      raise(StartsWith(out.normalized, gold.normalized), best.quasi_prefix_exact_match);
    }
    const F1Scores f1 = ScoreF1(out.normalized, gold.normalized);
    best.token_f1 = std::max(best.token_f1, f1.token_f1);
    best.set_f1 = std::max(best.set_f1, f1.set_f1);
  }
  return best;
}

}  // namespace mirage::metrics
