#include "metrics/registry/guarantees.h"

#include <array>
#include <string_view>

#include "metrics/registry/metric_info.h"

namespace mirage::metrics {
namespace {

// What holds for all metrics over one kind of evidence.
Guarantees OfEvidence(Evidence evidence) {
  switch (evidence) {
    case Evidence::kChoices:
      return {
          "-Infinity is a choice of probability 0 and is counted; NaN and positive "
          "log-likelihoods are refused with their place. Without what the definition needs "
          "(lengths, the choice without the question, a wrong choice) the value is missing, "
          "never 0.",
          "O(choices), about 50 ns for four.", "metrics/kernels/choices.h"};
    case Evidence::kGeneration:
      return {
          "Texts are any bytes; one that is not UTF-8 counts as one unit outside Unicode. Two "
          "empty texts are equal. With several golds the nearest one counts.",
          "O(units) beside the edit distance.", "metrics/kernels/generation.h"};
    case Evidence::kLikelihood:
      return {
          "-Infinity is a text of probability 0 and is counted; NaN and positive "
          "log-likelihoods are refused with their place. An empty text has no value per unit.",
          "O(1).", "metrics/kernels/likelihood.h"};
    case Evidence::kDocument:
      return {
          "A sum of lengths of 0 has no value; -Infinity makes a perplexity infinite and is "
          "counted.",
          "O(1), exact sums.", "metrics/stats/moments.h"};
    case Evidence::kTokenLogProbs:
      return {
          "-Infinity is a token of probability 0; NaN and positive log-probabilities are "
          "refused with their place. An empty target has no value.",
          "17 ns a token; 1.7 ms for 100 000.", "metrics/kernels/token_log_probs.h"};
    case Evidence::kRepeats:
      return {
          "k > n, c > n, n = 0 and k = 0 are refused with the remedy: more answers, or a "
          "smaller k. 0 of n and n of n are values, their error of 0 is no certainty.",
          "At most sqrt(40 n) steps of 10 ns.", "metrics/kernels/repeats.h"};
    case Evidence::kVectors:
      return {
          "Coordinates of any finite size: values near 1e9 lose nothing. NaN, Infinity, "
          "lengths that differ and empty vectors are refused with their place.",
          "8 ns a coordinate.", "metrics/kernels/vectors.h"};
  }
  return {};
}

// Where a metric says more than its evidence; empty texts leave that one's.
struct Special {
  Evidence evidence;
  std::string_view name;
  Guarantees guarantees;
};

constexpr std::string_view kSequences =
    "A distance above 2^34 cells has no value: a model that never stops must not cost minutes.";
constexpr std::string_view kAnswer =
    "An empty output matches nothing, not even an empty gold. Without a gold it is refused. Bytes "
    "that are not UTF-8 are kept.";
constexpr std::string_view kCorpus =
    "No samples: no value. Nothing in common: 0. A sample without a reference is refused with its "
    "place. A byte that is not UTF-8 is one character.";
constexpr std::string_view kRouge =
    "No words on either side: 0; text in other scripts than a-z has none. More than 2^34 cells: no "
    "value. Bytes that are not UTF-8 separate words.";
constexpr std::string_view kTextMatch = "metrics/kernels/text_match.h";
constexpr std::string_view kRougeHeader = "metrics/kernels/rouge.h";

constexpr auto kSpecial = std::to_array<Special>({
    {Evidence::kChoices,
     "ece",
     {"No samples: no value. Biased upwards for small n, about sqrt(bins / n) for a calibrated "
      "model: read it beside its interval.",
      "O(1) a sample, 10 bins.", "metrics/kernels/calibration.h"}},
    {Evidence::kChoices,
     "margin",
     {"A single choice, or no wrong one: missing. With -Infinity on both sides: missing.", "", ""}},
    {Evidence::kGeneration,
     "exact_match",
     {"Normalised as the task says; regexes_to_ignore is not applied, and such tasks are left to "
      "the harness.",
      "O(bytes).", ""}},
    {Evidence::kGeneration,
     "token_edit_distance",
     {kSequences, "O(n m / 64), banded beyond 1024 units; 0.2 us for 64 tokens.",
      "metrics/text/edit_distance.h"}},
    {Evidence::kGeneration,
     "edit_similarity",
     {kSequences, "As token_edit_distance.", "metrics/text/edit_distance.h"}},
    {Evidence::kGeneration, "quasi_exact_match", {kAnswer, "O(bytes).", kTextMatch}},
    {Evidence::kGeneration, "prefix_exact_match", {kAnswer, "O(bytes).", kTextMatch}},
    {Evidence::kGeneration, "quasi_prefix_exact_match", {kAnswer, "O(bytes).", kTextMatch}},
    {Evidence::kGeneration,
     "token_f1",
     {"Two texts without words: 1; one of them: 0. Without a gold it is refused.", "O(bytes).",
      kTextMatch}},
    {Evidence::kGeneration,
     "set_f1",
     {"A text without words: 0. Without a gold it is refused.", "O(bytes).", kTextMatch}},
    {Evidence::kGeneration, "rouge_l", {kRouge, "O(n m / 64).", kRougeHeader}},
    {Evidence::kGeneration, "rouge_lsum", {kRouge, "O(n m / 32).", kRougeHeader}},
    {Evidence::kGeneration, "rouge_1", {kRouge, "O(bytes).", kRougeHeader}},
    {Evidence::kGeneration, "rouge_2", {kRouge, "O(bytes).", kRougeHeader}},
    {Evidence::kGeneration,
     "chrf",
     {kCorpus, "O(orders * bytes); 2 us for 10 words.", "metrics/kernels/chrf.h"}},
    {Evidence::kGeneration,
     "chrf_plus_plus",
     {kCorpus, "O(orders * bytes); 3 us for 10 words.", "metrics/kernels/chrf.h"}},
    {Evidence::kGeneration,
     "bleu",
     {kCorpus, "O(orders * words); 2 us for 10 words.", "metrics/kernels/bleu.h"}},
    {Evidence::kTokenLogProbs,
     "nll_per_position",
     {"Positions from 1024 on are pooled and named; infinite values are counted.",
      "50 ns a token, 9 kB a position.", ""}},
    {Evidence::kTokenLogProbs,
     "greedy_match",
     {"Missing where it was not recorded which tokens greedy decoding takes.", "", ""}},
    {Evidence::kTokenLogProbs,
     "greedy_token_accuracy",
     {"Missing where it was not recorded which tokens greedy decoding takes.", "", ""}},
    {Evidence::kRepeats,
     "pass_until",
     {"A budget that ended before the r-th right answer gives an upper bound only; r = 1 has no "
      "unbiased estimate.",
      "O(1).", ""}},
    {Evidence::kRepeats,
     "item_pass_variance",
     {"Missing where an item has one answer; negative where items differ less than chance lets "
      "them.",
      "O(pairs of c and n).", ""}},
    {Evidence::kVectors,
     "cross_entropy",
     {"-Infinity is a class of probability 0; infinite where the gold class is one.",
      "7 ns a class.", ""}},
});

}  // namespace

Guarantees GuaranteesOf(const MetricInfo& info) {
  Guarantees out = OfEvidence(info.evidence);
  for (const Special& special : kSpecial) {
    if (special.evidence != info.evidence || special.name != info.name) continue;
    const Guarantees& more = special.guarantees;
    if (!more.edge_cases.empty()) out.edge_cases = more.edge_cases;
    if (!more.complexity.empty()) out.complexity = more.complexity;
    if (!more.header.empty()) out.header = more.header;
  }
  return out;
}

std::string_view AggregationName(Aggregation aggregation) {
  switch (aggregation) {
    case Aggregation::kMean:
      return "mean over samples";
    case Aggregation::kExpNegMean:
      return "exp(-mean over samples)";
    case Aggregation::kExpNegRatio:
      return "exp(-sum of log-likelihoods / sum of lengths)";
    case Aggregation::kBitsRatio:
      return "-sum of log-likelihoods / sum of lengths / ln 2";
    case Aggregation::kCalibration:
      return "over bins of confidence";
    case Aggregation::kCorpus:
      return "from counts that are summed over the corpus";
    case Aggregation::kPositions:
      return "a mean over samples for each position";
  }
  return "";
}

}  // namespace mirage::metrics
