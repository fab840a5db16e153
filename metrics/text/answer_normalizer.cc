#include "metrics/text/answer_normalizer.h"

#include <cstddef>

#include "metrics/text/normalize.h"
#include "metrics/text/python_text.h"
#include "metrics/text/units.h"

namespace mirage::metrics {
namespace {

// Python's string.punctuation.
bool IsPunctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}

bool IsArticle(std::string_view word) { return word == "a" || word == "an" || word == "the"; }

// An article is a whole run of word characters; a space takes its place.
std::string WithoutArticles(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t run = 0;
  const auto end_run = [&](size_t end) {
    const std::string_view word = text.substr(run, end - run);
    if (IsArticle(word)) {
      out.push_back(' ');
    } else {
      out.append(word);
    }
  };
  for (size_t position = 0; position < text.size();) {
    const size_t start = position;
    if (IsPythonWordCharacter(NextCodepoint(text, position))) continue;
    end_run(start);
    out.append(text.substr(start, position - start));
    run = position;
  }
  end_run(text.size());
  return out;
}

}  // namespace

std::string NormalizeAnswer(std::string_view answer, const AnswerNormalizerOptions& options) {
  std::string text = LowerCase(answer);
  std::erase_if(text, IsPunctuation);
  if (options.remove_articles) text = WithoutArticles(text);
  std::string out;
  out.reserve(text.size());
  std::string_view word;
  for (size_t position = 0; NextPythonWord(text, position, word);) {
    if (!out.empty()) out.push_back(' ');
    out.append(word);
  }
  return out;
}

}  // namespace mirage::metrics
