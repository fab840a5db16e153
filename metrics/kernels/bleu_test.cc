#include "metrics/kernels/bleu.h"

#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/sharding.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;
using Texts = std::vector<std::string_view>;

struct BleuCase {
  std::string_view hypothesis;
  std::array<std::string_view, 2> references;
  size_t n_references;
  BleuTokenizer tokenizer;
  bool lowercase;
  uint32_t max_order;
  BleuSmoothing smoothing;
  double smooth_value;
  bool effective_order;
  double score;
  std::array<double, 4> precisions;
  double brevity_penalty;
  uint64_t hypothesis_length;
  uint64_t reference_length;
  std::string_view signature;
};

struct LongCase {
  std::string_view hypothesis;
  int times;
  std::string_view reference;
  int reference_times;
  double score;
};

#include "metrics/kernels/bleu_vectors.inc"

void ExpectClose(double actual, double expected) {
  EXPECT_NEAR(actual, expected, 1e-10 * std::abs(expected));
}

BleuStatistics Make(const BleuOptions& options = {}) { return *BleuStatistics::Create(options); }

std::string Repeat(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

// The scores of one hypothesis and its references by the defaults.
BleuScore ScoreOne(std::string_view hypothesis, const Texts& references,
                   const BleuScoreOptions& options = {}) {
  BleuScratch scratch;
  BleuStatistics statistics = Make();
  EXPECT_TRUE(statistics.Add(hypothesis, references, scratch).ok());
  return *statistics.Score(options);
}

TEST(BleuTest, AgreesWithSacrebleu) {
  BleuScratch scratch;
  for (const BleuCase& c : kBleuCases) {
    SCOPED_TRACE(std::string(c.signature) + ": " + std::string(c.hypothesis));
    BleuStatistics statistics =
        Make({.tokenizer = c.tokenizer, .lowercase = c.lowercase, .max_order = c.max_order});
    ASSERT_TRUE(
        statistics.Add(c.hypothesis, std::span(c.references).first(c.n_references), scratch).ok());
    BleuScoreOptions options = {.smoothing = c.smoothing, .effective_order = c.effective_order};
    if (c.smooth_value >= 0) options.smooth_value = c.smooth_value;
    const auto score = statistics.Score(options);
    ASSERT_TRUE(score.ok()) << score.status();
    ExpectClose(score->score, c.score);
    ASSERT_EQ(score->precisions.size(), c.max_order);
    for (size_t i = 0; i < c.max_order; ++i) ExpectClose(score->precisions[i], c.precisions[i]);
    ExpectClose(score->brevity_penalty, c.brevity_penalty);
    EXPECT_EQ(statistics.hypothesis_length(), c.hypothesis_length);
    EXPECT_EQ(statistics.reference_length(), c.reference_length);
    EXPECT_EQ(statistics.Signature(options), c.signature);
  }
}

// The cases' samples, without the options.
void Samples(Texts& hypotheses, std::vector<Texts>& references) {
  for (const BleuCase& c : kBleuCases) {
    if (!hypotheses.empty() && hypotheses.back() == c.hypothesis &&
        references.back().front() == c.references.front()) {
      continue;
    }
    hypotheses.push_back(c.hypothesis);
    references.emplace_back(c.references.begin(),
                            c.references.begin() + static_cast<ptrdiff_t>(c.n_references));
  }
}

TEST(BleuTest, ACorpusAgreesWithSacrebleu) {
  Texts hypotheses;
  std::vector<Texts> references;
  Samples(hypotheses, references);
  BleuScratch scratch;
  BleuStatistics statistics = Make();
  ASSERT_TRUE(statistics.AddAll(hypotheses, references, scratch).ok());
  EXPECT_EQ(statistics.n_samples(), hypotheses.size());
  const BleuScore score = *statistics.Score({});
  ExpectClose(score.score, kCorpusBleu);
  for (size_t i = 0; i < 4; ++i) ExpectClose(score.precisions[i], kCorpusPrecisions[i]);
  EXPECT_EQ(statistics.Signature({}), "nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp");
}

// Each order and each sharding of random samples gives the same bytes, 1200 times.
TEST(BleuTest, OrderAndShardingDoNotMatter) {
  Texts hypotheses;
  std::vector<Texts> references;
  Samples(hypotheses, references);
  BleuScratch scratch;
  BleuStatistics all = Make();
  ASSERT_TRUE(all.AddAll(hypotheses, references, scratch).ok());
  const std::string expected = all.Serialize();
  tests::ExpectAnyShardingGivesTheSameBytes(
      hypotheses.size(),
      [&](BleuStatistics& shard, size_t i) {
        ASSERT_TRUE(shard.Add(hypotheses[i], references[i], scratch).ok());
      },
      Make(), 1200, [&](const BleuStatistics& merged) { ASSERT_EQ(merged.Serialize(), expected); });
}

TEST(BleuTest, EmptyTextsAndCorpora) {
  const BleuScore none = *Make().Score({});
  EXPECT_TRUE(std::isnan(none.score));
  EXPECT_TRUE(std::isnan(none.brevity_penalty));
  EXPECT_TRUE(std::isnan(none.length_ratio));
  ASSERT_EQ(none.precisions.size(), 4);
  EXPECT_TRUE(std::isnan(none.precisions[0]));
  EXPECT_EQ(Make().Signature({}), "nrefs:0|case:mixed|eff:no|tok:13a|smooth:exp");

  for (const BleuSmoothing smoothing :
       {BleuSmoothing::kNone, BleuSmoothing::kFloor, BleuSmoothing::kAddK, BleuSmoothing::kExp}) {
    const BleuScoreOptions options = {.smoothing = smoothing};
    EXPECT_EQ(ScoreOne("", {"a b"}, options).score, 0);
    EXPECT_EQ(ScoreOne("", {"a b"}, options).brevity_penalty, 0);
    EXPECT_EQ(ScoreOne("a b", {""}, options).score, 0);
    EXPECT_EQ(ScoreOne("a b", {""}, options).length_ratio, 0);
    EXPECT_EQ(ScoreOne("", {""}, options).score, 0);
    EXPECT_EQ(ScoreOne("", {""}, options).brevity_penalty, 1);
  }
  // One token has no bigrams.
  EXPECT_EQ(ScoreOne("a", {"a"}).score, 0);
  ExpectClose(ScoreOne("a", {"a"}, {.effective_order = true}).score, 100);
}

TEST(BleuTest, TheClosestReferenceCountsAndTheShorterOfTwo) {
  BleuScratch scratch;
  BleuStatistics statistics = Make();
  ASSERT_TRUE(statistics.Add("a b c", Texts{"a", "a b c d e", "a b c d", "a b"}, scratch).ok());
  EXPECT_EQ(statistics.reference_length(), 2);
  ASSERT_TRUE(statistics.Add("a b c", Texts{"a b c d e f", "a b c d e"}, scratch).ok());
  EXPECT_EQ(statistics.reference_length(), 2 + 5);
}

TEST(BleuTest, InvalidBytesAreCharacters) {
  ExpectClose(ScoreOne("a \xFF b \xC3", {"a \xFF b \xC3"}).score, 100);
  // Not the same as another invalid byte, nor as the replacement character.
  EXPECT_LT(ScoreOne("a \xFF b \xC3", {"a \xFE b \xC3"}).score, 100);
  EXPECT_LT(ScoreOne("a \xFF b \xC3", {"a \xEF\xBF\xBD b \xC3"}).score, 100);
}

TEST(BleuTest, LongTexts) {
  const std::string hypothesis = Repeat(kLongCase.hypothesis, kLongCase.times);
  const std::string reference = Repeat(kLongCase.reference, kLongCase.reference_times);
  ExpectClose(ScoreOne(hypothesis, {reference}).score, kLongCase.score);
  // 100 000 tokens of each kind: all equal, and all different.
  const std::string equal = Repeat("a ", 100000);
  std::string different;
  for (int i = 0; i < 100000; ++i) different += std::to_string(i) + ' ';
  ExpectClose(ScoreOne(equal, {equal}).score, 100);
  ExpectClose(ScoreOne(different, {different}).score, 100);
  EXPECT_EQ(ScoreOne(equal, {different}).score, 0);
}

TEST(BleuTest, BadInputIsNamed) {
  BleuScratch scratch;
  BleuStatistics statistics = Make();
  const std::string before = statistics.Serialize();
  const auto expect = [&](const absl::Status& status, const char* message) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
    EXPECT_EQ(statistics.Serialize(), before);
  };
  expect(statistics.Add("a", {}, scratch), "references is empty: a sample needs one");
  const Texts two = {"a", "b"};
  expect(statistics.AddAll(two, std::vector<Texts>{{"a"}}, scratch), "references[1] is missing");
  expect(statistics.AddAll(two, std::vector<Texts>{{"a"}, {"b"}, {"c"}}, scratch),
         "hypotheses[2] is missing");
  expect(statistics.AddAll(two, std::vector<Texts>{{"a"}, {}}, scratch), "references[1] is empty");
  expect(BleuStatistics::Create({.max_order = 0}).status(), "max_order is 0: must be in [1, 16]");
  expect(BleuStatistics::Create({.max_order = 17}).status(), "max_order is 17");
  for (const double value : {-1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    for (const BleuSmoothing smoothing : {BleuSmoothing::kFloor, BleuSmoothing::kAddK}) {
      const BleuScoreOptions options = {.smoothing = smoothing, .smooth_value = value};
      expect(statistics.Score(options).status(), "smooth_value is ");
    }
    EXPECT_TRUE(statistics.Score({.smooth_value = value}).ok()) << "exp takes no value";
  }
  expect(statistics.Merge(Make({.tokenizer = BleuTokenizer::kChar})),
         "tokenizer is 13a here and char in the other statistics");
  expect(statistics.Merge(Make({.lowercase = true})), "lowercase is false here and true");
  expect(statistics.Merge(Make({.max_order = 2})), "max_order is 4 here and 2");
  expect(ParseBleuSmoothing("add_k").status(), "'add_k' is not known: use none, floor");
  EXPECT_EQ(*ParseBleuSmoothing("add-k"), BleuSmoothing::kAddK);
}

TEST(BleuTest, OnlyWhatWasSerializedIsRead) {
  BleuScratch scratch;
  BleuStatistics statistics = Make({.max_order = 2});
  ASSERT_TRUE(statistics.Add("a b a c", Texts{"a b", "a c"}, scratch).ok());
  const std::string bytes = statistics.Serialize();
  const auto read = BleuStatistics::Deserialize(bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->Serialize(), bytes);
  EXPECT_EQ(read->options(), statistics.options());
  EXPECT_EQ(read->Score({})->score, statistics.Score({})->score);

  const auto expect = [](std::string_view changed, const char* message) {
    const auto result = BleuStatistics::Deserialize(changed);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(result.status().message()), HasSubstr(message));
  };
  expect("", "no bytes");
  tests::ExpectOnlyWholeBytesAreRead(statistics);
  tests::ExpectWhatIsReadIsWrittenAlike(statistics);
  expect(bytes + '\0', "left over");
  const auto with = [&](size_t at, char value) {
    std::string changed = bytes;
    changed[at] = value;
    return changed;
  };
  expect(with(0, 2), "version 2 is not 1");
  expect(with(1, 4), "tokenizer is 4: not known");
  expect(with(2, 2), "lowercase is 2: must be 0 or 1");
  expect(with(3, 0), "max_order is 0: must be in [1, 16]");
  expect(with(3, 17), "max_order is 17: must be in [1, 16]");
  // n_samples, least and greatest number of references, two lengths, two matches, two totals: too
  // large each, and what contradicts the others. More samples, of empty texts, or a longer
  // reference could be.
  for (size_t field = 0; field < 9; ++field) {
    expect(with(4 + 8 * field + 7, 1), "must be <= 2^53");
    if (field != 0 && field != 4) expect(with(4 + 8 * field, 9), "contradict");
  }
  expect(with(4, 0), "contradict");
}

}  // namespace
}  // namespace mirage::metrics
