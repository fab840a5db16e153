// Porter's stemmer in the variant of NLTK, which ROUGE uses.
//
// Definition: M. F. Porter, "An algorithm for suffix stripping" (Program 14, 1980), with the
// deviations of nltk.stem.PorterStemmer's default mode, NLTK_EXTENSIONS, as of NLTK 3.10: a
// table of irregular words, words of one and two letters left alone, -ies and -ied of four-letter
// words to -ie, -y to -i after any consonant, -bli to -ble, -alli before the other rules of step 2,
// -fulli and -logi, and a stem of vowel and consonant counted as ending in consonant, vowel,
// consonant.
//
// Input: a word of ASCII letters and digits; capitals are lower-cased. Digits, and other bytes, are
// consonants; NLTK would take a character of several bytes for one consonant, which differs in the
// shortest words. ROUGE's tokens have none. The empty word has an empty stem.
//
// Complexity: O(bytes).
#ifndef MIRAGE_METRICS_TEXT_PORTER_STEMMER_H_
#define MIRAGE_METRICS_TEXT_PORTER_STEMMER_H_

#include <string>
#include <string_view>

namespace mirage::metrics {

// The stem of `word`.
std::string PorterStem(std::string_view word);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_TEXT_PORTER_STEMMER_H_
