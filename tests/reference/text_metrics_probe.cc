// Computes text metrics for tests/python/test_text_metrics.py: one JSON request a line of the
// standard input, one JSON answer a line of the standard output. Texts are written in hexadecimal,
// because they need not be UTF-8. An answer to a request that failed has one field, `error`.

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/kernels/bleu.h"
#include "metrics/kernels/chrf.h"
#include "metrics/kernels/rouge.h"
#include "metrics/kernels/text_match.h"
#include "metrics/text/answer_normalizer.h"
#include "metrics/text/bleu_tokenizer.h"
#include "metrics/text/edit_distance.h"
#include "metrics/text/porter_stemmer.h"
#include "metrics/text/units.h"
#include "nlohmann/json.hpp"

namespace mirage::metrics {
namespace {

using nlohmann::json;

[[noreturn]] void Fail(const absl::Status& status) {
  throw std::runtime_error(std::string(status.message()));
}

template <typename T>
T Value(absl::StatusOr<T> result) {
  if (!result.ok()) Fail(result.status());
  return *std::move(result);
}

std::string FromHex(const json& value) {
  const auto& hex = value.get_ref<const std::string&>();
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    unsigned byte = 0;
    const std::from_chars_result read =
        std::from_chars(hex.data() + i, hex.data() + i + 2, byte, 16);
    if (read.ptr != hex.data() + i + 2) throw std::runtime_error("a text is not hexadecimal");
    out.push_back(static_cast<char>(byte));
  }
  return out;
}

std::string ToHex(std::string_view text) {
  std::string out;
  for (const char c : text) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

std::vector<std::string> Texts(const json& values) {
  std::vector<std::string> out;
  std::transform(values.begin(), values.end(), std::back_inserter(out), FromHex);
  return out;
}

std::vector<std::string_view> Views(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

// Adds the request's samples to as many statistics as it wants, merges these, last to first, after
// a round through their bytes.
template <typename Statistics, typename Scratch>
Statistics Collect(const json& request, const Statistics& empty) {
  std::vector<Statistics> shards(request.value("shards", size_t{1}), empty);
  Scratch scratch;
  size_t next = 0;
  for (const json& sample : request.at("samples")) {
    const std::string hypothesis = FromHex(sample.at(0));
    const std::vector<std::string> references = Texts(sample.at(1));
    const absl::Status status =
        shards[next++ % shards.size()].Add(hypothesis, Views(references), scratch);
    if (!status.ok()) Fail(status);
  }
  Statistics all = empty;
  for (auto shard = shards.rbegin(); shard != shards.rend(); ++shard) {
    const absl::Status status = all.Merge(Value(Statistics::Deserialize(shard->Serialize())));
    if (!status.ok()) Fail(status);
  }
  return all;
}

json Bleu(const json& request) {
  const BleuOptions options = {
      .tokenizer = Value(ParseBleuTokenizer(request.at("tokenizer").get<std::string>())),
      .lowercase = request.at("lowercase"),
      .max_order = request.at("max_order")};
  BleuScoreOptions score_options = {
      .smoothing = Value(ParseBleuSmoothing(request.at("smoothing").get<std::string>())),
      .effective_order = request.at("effective_order")};
  if (!request.at("smooth_value").is_null()) {
    score_options.smooth_value = request.at("smooth_value").get<double>();
  }
  const auto statistics =
      Collect<BleuStatistics, BleuScratch>(request, Value(BleuStatistics::Create(options)));
  const BleuScore score = Value(statistics.Score(score_options));
  return {{"score", score.score},
          {"precisions", score.precisions},
          {"brevity_penalty", score.brevity_penalty},
          {"length_ratio", score.length_ratio},
          {"hypothesis_length", statistics.hypothesis_length()},
          {"reference_length", statistics.reference_length()},
          {"signature", statistics.Signature(score_options)}};
}

json Chrf(const json& request) {
  const ChrfOptions options = {.char_order = request.at("char_order"),
                               .word_order = request.at("word_order"),
                               .beta = request.at("beta"),
                               .lowercase = request.at("lowercase"),
                               .whitespace = request.at("whitespace"),
                               .eps_smoothing = request.at("eps_smoothing")};
  const auto statistics =
      Collect<ChrfStatistics, ChrfScratch>(request, Value(ChrfStatistics::Create(options)));
  return {{"score", statistics.Score()}, {"signature", statistics.Signature()}};
}

json Figures(const RougeScore& score) { return {score.precision, score.recall, score.f1}; }

json Rouge(const json& request) {
  RougeScorer scorer({.stemmer = request.at("stemmer")});
  const std::string output = FromHex(request.at("output"));
  const std::vector<std::string> references = Texts(request.at("references"));
  const RougeScores scores = Value(scorer.Score(output, Views(references)));
  return {{"rouge1", Figures(scores.rouge_1)},
          {"rouge2", Figures(scores.rouge_2)},
          {"rougeL", Figures(scores.rouge_l)},
          {"rougeLsum", Figures(scores.rouge_lsum)}};
}

json Match(const json& request) {
  const std::string output = FromHex(request.at("output"));
  const std::vector<std::string> references = Texts(request.at("references"));
  const TextMatchScores scores = Value(ScoreTextMatch(output, Views(references)));
  return {{"exact_match", scores.exact_match},
          {"quasi_exact_match", scores.quasi_exact_match},
          {"quasi_leave_articles_exact_match", scores.quasi_leave_articles_exact_match},
          {"prefix_exact_match", scores.prefix_exact_match},
          {"quasi_prefix_exact_match", scores.quasi_prefix_exact_match},
          {"token_f1", scores.token_f1},
          {"set_f1", scores.set_f1}};
}

json Tokenize(const json& request) {
  const BleuTokenizer tokenizer =
      Value(ParseBleuTokenizer(request.at("tokenizer").get<std::string>()));
  return {{"text", ToHex(TokenizeForBleu(FromHex(request.at("text")), tokenizer))}};
}

json NormalizeText(const json& request) {
  return {{"text", ToHex(NormalizeAnswer(FromHex(request.at("text"))))}};
}

json Stem(const json& request) {
  json stems = json::array();
  for (const json& word : request.at("words")) {
    stems.push_back(PorterStem(word.get_ref<const std::string&>()));
  }
  return {{"stems", stems}};
}

json Distance(const json& request) {
  const TextUnit unit = Value(ParseTextUnit(request.at("unit").get<std::string>()));
  WordInterner words;
  EditDistanceScratch scratch;
  std::vector<uint32_t> a;
  std::vector<uint32_t> b;
  SplitUnits(FromHex(request.at("a")), unit, words, a);
  SplitUnits(FromHex(request.at("b")), unit, words, b);
  return {{"distance", EditDistance(a, b, scratch)}};
}

json Answer(const std::string& line) {
  static const std::map<std::string, std::function<json(const json&)>> operations = {
      {"bleu", Bleu},   {"chrf", Chrf},         {"rouge", Rouge},
      {"match", Match}, {"tokenize", Tokenize}, {"normalize", NormalizeText},
      {"stem", Stem},   {"distance", Distance}};
  try {
    const json request = json::parse(line);
    return operations.at(request.at("op").get<std::string>())(request);
  } catch (const std::exception& error) {
    return {{"error", error.what()}};
  }
}

int Main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) std::cout << Answer(line) << '\n';
  return 0;
}

}  // namespace
}  // namespace mirage::metrics

int main() { return mirage::metrics::Main(); }
