// The tokenizers of sacrebleu's BLEU: 13a, none, char and intl.
//
// Definition: sacrebleu 2.6 (sacrebleu/tokenizers), to the byte. 13a is the one of NIST's
// mteval-v13a.pl: "<skipped>" and hyphens at a line's end go, four HTML entities are resolved (each
// in one pass of its own, so that "&amp;lt;" becomes "<"), then a space is put around ASCII
// punctuation other than ' . , - and around . and , unless digits stand on both sides, and after a
// hyphen that follows a digit. intl is that of mteval-v14.pl: punctuation (Unicode's P*) is
// separated unless it stands between numbers (N*), symbols (S*) always.
//
// The input is a line as BLEU gives it, lower-cased and stripped on the right before; the output
// are tokens between white space, as NextPythonWord splits them. 13a and intl put one space between
// tokens; char puts one between all code points, white space as well; none leaves the text alone.
//
// Edge cases: the empty text gives the empty text. An invalid byte (units.h) is one character
// without a category: it stays, and to char it is a token. Categories are Unicode 15.0's
// (utf8proc), those of sacrebleu are of the Unicode of its regex module, which is newer: a
// punctuation mark or symbol that is younger than 15.0 is not separated here.
//
// Complexity: O(bytes).
#ifndef MIRAGE_METRICS_TEXT_BLEU_TOKENIZER_H_
#define MIRAGE_METRICS_TEXT_BLEU_TOKENIZER_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace mirage::metrics {

enum class BleuTokenizer { k13a, kNone, kChar, kIntl };

// "13a", "none", "char" or "intl"; INVALID_ARGUMENT, naming these, for all else (case counts).
absl::StatusOr<BleuTokenizer> ParseBleuTokenizer(std::string_view name);

// The name of a tokenizer, as it stands in sacrebleu's signatures.
std::string_view BleuTokenizerName(BleuTokenizer tokenizer);

// The tokens of `text`, separated by white space.
std::string TokenizeForBleu(std::string_view text, BleuTokenizer tokenizer);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_TEXT_BLEU_TOKENIZER_H_
