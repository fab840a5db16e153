// The normalisations of lm-evaluation-harness's exact_match.
//
// Two texts match exactly when they are equal after Normalize. The definition is that of
// exact_match_hf_evaluate (lm-evaluation-harness 0.4.13, lm_eval/api/metrics.py, itself Hugging
// Face evaluate's), in its order: lower case, then punctuation removed, then digits removed. White
// space is never touched.
//
// What it takes over from NumPy, in whose string arrays the harness computes:
// - Trailing NUL characters do not count: they are removed, also when no option is set.
// - numpy.char.lower keeps the array's item width, so a text that grows is cut off. Only U+0130 (I
// with
//   dot above) grows, to "i" and a combining dot above; "\u0130x" alone in an array becomes "i" and
//   the dot, without the x. The width is that of the array: of the longest of the texts compared
//   together, in code points. `width` says it; with none a text is alone in its array, as with one
//   target.
//
// Lower case is Python's str.lower: each code point's, by utf8proc (Unicode 15.0 in Debian
// bookworm, as Python 3.12), U+0130 as above, and capital sigma as final sigma at the end of a
// word. Python 3.11 (Unicode 14.0) differs only in whether 117 code points, new in 15.0, beside a
// capital sigma make it final. Bytes that are not well-formed UTF-8 are kept; in Python they cannot
// occur or are surrogates, which have no lower case either.
//
// Complexity: O(bytes).
#ifndef MIRAGE_METRICS_TEXT_NORMALIZE_H_
#define MIRAGE_METRICS_TEXT_NORMALIZE_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace mirage::metrics {

// The keyword arguments of the same names. regexes_to_ignore is not covered.
struct NormalizeOptions {
  bool ignore_case = false;
  // The 32 characters of Python's string.punctuation, all ASCII.
  bool ignore_punctuation = false;
  // 0 to 9. Digits of other scripts stay.
  bool ignore_numbers = false;
};

// `text` as it is compared. `width` is the item width in code points of the array that the harness
// would have put it in; 0, or less than the text has, means its own.
std::string Normalize(std::string_view text, const NormalizeOptions& options, size_t width = 0);

// Python's str.lower.
std::string LowerCase(std::string_view text);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_TEXT_NORMALIZE_H_
