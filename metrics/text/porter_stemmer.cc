#include "metrics/text/porter_stemmer.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

namespace mirage::metrics {
namespace {

bool IsVowelLetter(char c) { return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u'; }

// Whether the letter is a consonant, given whether the one before it is; a y is none after one.
bool IsConsonantAfter(bool consonant_before, char c) {
  return c == 'y' ? !consonant_before : !IsVowelLetter(c);
}

// What the conditions of the rules ask about a word.
struct Shape {
  // Porter's m: how often a consonant follows a vowel.
  size_t measure = 0;
  bool has_vowel = false;
  bool ends_in_consonant = false;
  bool ends_in_double_consonant = false;
  // Porter's *o.
  bool ends_in_cvc = false;
};

Shape ShapeOf(std::string_view word) {
  Shape shape;
  // Before the word there is, as it were, a vowel: a y that begins it is a consonant.
  std::array<bool, 3> last = {false, false, false};
  for (size_t i = 0; i < word.size(); ++i) {
    const bool consonant = IsConsonantAfter(last[2], word[i]);
    shape.has_vowel |= !consonant;
    if (i > 0 && consonant && !last[2]) ++shape.measure;
    last = {last[1], last[2], consonant};
  }
  const size_t n = word.size();
  if (n == 0) return shape;
  const char end = word[n - 1];
  shape.ends_in_consonant = last[2];
  shape.ends_in_double_consonant = n >= 2 && end == word[n - 2] && last[2];
  shape.ends_in_cvc =
      (n >= 3 && last[0] && !last[1] && last[2] && end != 'w' && end != 'x' && end != 'y') ||
      (n == 2 && !last[1] && last[2]);
  return shape;
}

bool HasMeasure(std::string_view stem) { return ShapeOf(stem).measure > 0; }

struct Rule {
  std::string_view suffix;
  std::string_view replacement;
};

std::string_view Without(std::string_view word, std::string_view suffix) {
  return word.substr(0, word.size() - suffix.size());
}

void ReplaceSuffix(std::string_view suffix, std::string_view replacement, std::string& word) {
  word.resize(word.size() - suffix.size());
  word.append(replacement);
}

// The first rule whose suffix the word has is applied if the measure of what is before the suffix
// is above `measure`; no other one is tried.
void ApplyFirst(std::span<const Rule> rules, size_t measure, std::string& word) {
  for (const Rule& rule : rules) {
    if (!word.ends_with(rule.suffix)) continue;
    if (ShapeOf(Without(word, rule.suffix)).measure > measure) {
      ReplaceSuffix(rule.suffix, rule.replacement, word);
    }
    return;
  }
}

void Step1a(std::string& word) {
  if (word.ends_with("ies")) {
    ReplaceSuffix("ies", word.size() == 4 ? "ie" : "i", word);
  } else if (word.ends_with("sses")) {
    ReplaceSuffix("sses", "ss", word);
  } else if (word.ends_with('s') && !word.ends_with("ss")) {
    word.pop_back();
  }
}

void Step1b(std::string& word) {
  if (word.ends_with("ied")) {
    ReplaceSuffix("ied", word.size() == 4 ? "ie" : "i", word);
    return;
  }
  if (word.ends_with("eed")) {
    if (HasMeasure(Without(word, "eed"))) word.pop_back();
    return;
  }
  const std::string_view suffix = word.ends_with("ed") ? "ed" : "ing";
  if (!word.ends_with(suffix) || !ShapeOf(Without(word, suffix)).has_vowel) return;
  ReplaceSuffix(suffix, "", word);
  if (word.ends_with("at") || word.ends_with("bl") || word.ends_with("iz")) {
    word.push_back('e');
    return;
  }
  const Shape shape = ShapeOf(word);
  if (shape.ends_in_double_consonant) {
    if (word.back() != 'l' && word.back() != 's' && word.back() != 'z') word.pop_back();
  } else if (shape.measure == 1 && shape.ends_in_cvc) {
    word.push_back('e');
  }
}

void Step1c(std::string& word) {
  if (!word.ends_with('y')) return;
  const std::string_view stem = Without(word, "y");
  if (stem.size() > 1 && ShapeOf(stem).ends_in_consonant) word.back() = 'i';
}

void Step2(std::string& word) {
  static constexpr std::array<Rule, 21> kRules = {
      {{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},   {"anci", "ance"},
       {"izer", "ize"},    {"bli", "ble"},     {"alli", "al"},     {"entli", "ent"},
       {"eli", "e"},       {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
       {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"}, {"fulness", "ful"},
       {"ousness", "ous"}, {"aliti", "al"},    {"iviti", "ive"},   {"biliti", "ble"},
       {"fulli", "ful"}}};
  if (word.ends_with("alli") && HasMeasure(Without(word, "alli"))) {
    // "al" and then this step once more.
    ReplaceSuffix("alli", "al", word);
  }
  if (word.ends_with("logi")) {
    // No other suffix ends so. The l counts as part of the stem: "geologi" has a measure.
    if (HasMeasure(Without(word, "ogi"))) word.pop_back();
    return;
  }
  ApplyFirst(kRules, 0, word);
}

void Step3(std::string& word) {
  static constexpr std::array<Rule, 7> kRules = {{{"icate", "ic"},
                                                  {"ative", ""},
                                                  {"alize", "al"},
                                                  {"iciti", "ic"},
                                                  {"ical", "ic"},
                                                  {"ful", ""},
                                                  {"ness", ""}}};
  ApplyFirst(kRules, 0, word);
}

void Step4(std::string& word) {
  static constexpr std::array<Rule, 18> kRules = {{{"al", ""},
                                                   {"ance", ""},
                                                   {"ence", ""},
                                                   {"er", ""},
                                                   {"ic", ""},
                                                   {"able", ""},
                                                   {"ible", ""},
                                                   {"ant", ""},
                                                   {"ement", ""},
                                                   {"ment", ""},
                                                   {"ent", ""},
                                                   {"ou", ""},
                                                   {"ism", ""},
                                                   {"ate", ""},
                                                   {"iti", ""},
                                                   {"ous", ""},
                                                   {"ive", ""},
                                                   {"ize", ""}}};
  if (word.ends_with("ion")) {
    const std::string_view stem = Without(word, "ion");
    if (ShapeOf(stem).measure > 1 && (stem.back() == 's' || stem.back() == 't')) {
      ReplaceSuffix("ion", "", word);
    }
    return;
  }
  ApplyFirst(kRules, 1, word);
}

void Step5(std::string& word) {
  if (word.ends_with('e')) {
    const Shape shape = ShapeOf(Without(word, "e"));
    if (shape.measure > 1 || (shape.measure == 1 && !shape.ends_in_cvc)) word.pop_back();
  }
  if (word.ends_with("ll") && ShapeOf(Without(word, "l")).measure > 1) word.pop_back();
}

// The stem of an irregular word; empty for all others.
std::string_view IrregularStem(std::string_view word) {
  struct Irregular {
    std::string_view word;
    std::string_view stem;
  };
  static constexpr std::array<Irregular, 16> kIrregular = {{{"sky", "sky"},
                                                            {"skies", "sky"},
                                                            {"dying", "die"},
                                                            {"lying", "lie"},
                                                            {"tying", "tie"},
                                                            {"news", "news"},
                                                            {"innings", "inning"},
                                                            {"inning", "inning"},
                                                            {"outings", "outing"},
                                                            {"outing", "outing"},
                                                            {"cannings", "canning"},
                                                            {"canning", "canning"},
                                                            {"howe", "howe"},
                                                            {"proceed", "proceed"},
                                                            {"exceed", "exceed"},
                                                            {"succeed", "succeed"}}};
  const auto* const found = std::find_if(kIrregular.begin(), kIrregular.end(),
                                         [&](const Irregular& i) { return i.word == word; });
  return found == kIrregular.end() ? std::string_view() : found->stem;
}

}  // namespace

std::string PorterStem(std::string_view word) {
  std::string stem(word);
  for (char& c : stem) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  if (const std::string_view irregular = IrregularStem(stem); !irregular.empty()) {
    return std::string(irregular);
  }
  if (stem.size() <= 2) return stem;
  Step1a(stem);
  Step1b(stem);
  Step1c(stem);
  Step2(stem);
  Step3(stem);
  Step4(stem);
  Step5(stem);
  return stem;
}

}  // namespace mirage::metrics
