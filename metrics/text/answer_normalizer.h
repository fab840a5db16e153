// Short answers as SQuAD and HELM compare them.
//
// In this order: lower case (LowerCase), ASCII punctuation removed, the articles "a", "an" and
// "the" removed where they are words, white space made single spaces and cut at both ends.
//
// Source: the evaluation script of SQuAD (Rajpurkar et al. 2016, arXiv 1606.05250), taken over by
// QuAC and by HELM (helm/benchmark/metrics/evaluate_reference_metrics.py, normalize_text). Words
// are re's: letters, numbers and '_' of any script, so that "a" goes from "a—b" too, but not
// from "à". Punctuation goes first: "a-n x" is "an x" and then "x".
//
// Input: any bytes. An invalid byte (units.h) stays, and is neither a letter nor white space;
// invalid bytes between which only punctuation stood may be a character afterwards.
//
// Complexity: O(bytes).
#ifndef MIRAGE_METRICS_TEXT_ANSWER_NORMALIZER_H_
#define MIRAGE_METRICS_TEXT_ANSWER_NORMALIZER_H_

#include <string>
#include <string_view>

namespace mirage::metrics {

struct AnswerNormalizerOptions {
  // HELM's quasi_leave_articles_exact_match keeps them.
  bool remove_articles = true;
};

// `answer` as it is compared. Empty when nothing is left.
std::string NormalizeAnswer(std::string_view answer, const AnswerNormalizerOptions& options = {});

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_TEXT_ANSWER_NORMALIZER_H_
