#include "metrics/kernels/chrf.h"

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/sharding.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;
using Texts = std::vector<std::string_view>;

struct ChrfCase {
  std::string_view hypothesis;
  std::array<std::string_view, 2> references;
  size_t n_references;
  uint32_t char_order;
  uint32_t word_order;
  uint32_t beta;
  bool lowercase;
  bool whitespace;
  bool eps_smoothing;
  double score;
  std::string_view signature;
};

struct LongCase {
  std::string_view hypothesis;
  int times;
  std::string_view reference;
  int reference_times;
  double score;
};

#include "metrics/kernels/chrf_vectors.inc"

void ExpectClose(double actual, double expected) {
  EXPECT_NEAR(actual, expected, 1e-10 * std::abs(expected));
}

ChrfStatistics Make(const ChrfOptions& options = {}) { return *ChrfStatistics::Create(options); }

std::string Repeat(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

double ScoreOne(std::string_view hypothesis, const Texts& references,
                const ChrfOptions& options = {}) {
  ChrfScratch scratch;
  ChrfStatistics statistics = Make(options);
  EXPECT_TRUE(statistics.Add(hypothesis, references, scratch).ok());
  return statistics.Score();
}

TEST(ChrfTest, AgreesWithSacrebleu) {
  ChrfScratch scratch;
  for (const ChrfCase& c : kChrfCases) {
    SCOPED_TRACE(std::string(c.signature) + ": " + std::string(c.hypothesis));
    ChrfStatistics statistics = Make({.char_order = c.char_order,
                                      .word_order = c.word_order,
                                      .beta = c.beta,
                                      .lowercase = c.lowercase,
                                      .whitespace = c.whitespace,
                                      .eps_smoothing = c.eps_smoothing});
    ASSERT_TRUE(
        statistics.Add(c.hypothesis, std::span(c.references).first(c.n_references), scratch).ok());
    ExpectClose(statistics.Score(), c.score);
    EXPECT_EQ(statistics.Signature(), c.signature);
  }
}

// The cases' samples, without the options.
void Samples(Texts& hypotheses, std::vector<Texts>& references) {
  for (const ChrfCase& c : kChrfCases) {
    if (!hypotheses.empty() && hypotheses.back() == c.hypothesis &&
        references.back().front() == c.references.front()) {
      continue;
    }
    hypotheses.push_back(c.hypothesis);
    references.emplace_back(c.references.begin(),
                            c.references.begin() + static_cast<ptrdiff_t>(c.n_references));
  }
}

TEST(ChrfTest, ACorpusAgreesWithSacrebleu) {
  Texts hypotheses;
  std::vector<Texts> references;
  Samples(hypotheses, references);
  ChrfScratch scratch;
  ChrfStatistics chrf = Make();
  ASSERT_TRUE(chrf.AddAll(hypotheses, references, scratch).ok());
  EXPECT_EQ(chrf.n_samples(), hypotheses.size());
  ExpectClose(chrf.Score(), kCorpusChrf);
  EXPECT_EQ(chrf.Signature(), "nrefs:var|case:mixed|eff:yes|nc:6|nw:0|space:no");
  ChrfStatistics plus_plus = Make({.word_order = 2});
  ASSERT_TRUE(plus_plus.AddAll(hypotheses, references, scratch).ok());
  ExpectClose(plus_plus.Score(), kCorpusChrfPlusPlus);
}

// Each order and each sharding of random samples gives the same bytes, 1200 times.
TEST(ChrfTest, OrderAndShardingDoNotMatter) {
  Texts hypotheses;
  std::vector<Texts> references;
  Samples(hypotheses, references);
  ChrfScratch scratch;
  const ChrfOptions options = {.word_order = 2};
  ChrfStatistics all = Make(options);
  ASSERT_TRUE(all.AddAll(hypotheses, references, scratch).ok());
  const std::string expected = all.Serialize();
  tests::ExpectAnyShardingGivesTheSameBytes(
      hypotheses.size(),
      [&](ChrfStatistics& shard, size_t i) {
        ASSERT_TRUE(shard.Add(hypotheses[i], references[i], scratch).ok());
      },
      Make(options), 1200,
      [&](const ChrfStatistics& merged) { ASSERT_EQ(merged.Serialize(), expected); });
}

TEST(ChrfTest, EmptyTextsAndCorpora) {
  EXPECT_TRUE(std::isnan(Make().Score()));
  EXPECT_TRUE(std::isnan(Make({.eps_smoothing = true}).Score()));
  EXPECT_EQ(Make().Signature(), "nrefs:0|case:mixed|eff:yes|nc:6|nw:0|space:no");
  for (const Texts& references : {Texts{""}, Texts{" \n"}, Texts{"abc"}}) {
    EXPECT_EQ(ScoreOne("", references), 0);
    EXPECT_EQ(ScoreOne("xyz", references), 0);
    const double eps = ScoreOne("", references, {.word_order = 2, .eps_smoothing = true});
    EXPECT_GE(eps, 0);
    EXPECT_LE(eps, 1.0000001e-14);
  }
  // One character has no bigrams, and is all there is.
  ExpectClose(ScoreOne("a", {"a"}), 100);
  // White space is nothing unless it is asked for.
  ExpectClose(ScoreOne("a b", {"ab"}), 100);
  EXPECT_LT(ScoreOne("a b", {"ab"}, {.whitespace = true}), 100);
}

TEST(ChrfTest, TheReferenceWithTheBestScoreCounts) {
  ChrfScratch scratch;
  ChrfStatistics statistics = Make({.char_order = 1});
  ASSERT_TRUE(statistics.Add("abc", Texts{"xyzw", "abd", "cba", "abc"}, scratch).ok());
  EXPECT_EQ(statistics.orders()[0].reference, 3);
  EXPECT_EQ(statistics.orders()[0].matches, 3);
  // None has any: the first.
  ASSERT_TRUE(statistics.Add("abc", Texts{"xyzw", "x"}, scratch).ok());
  EXPECT_EQ(statistics.orders()[0].reference, 3 + 4);
}

TEST(ChrfTest, InvalidBytesAreCharacters) {
  ExpectClose(ScoreOne("\xFF\xC3", {"\xFF \xC3"}), 100);
  EXPECT_EQ(ScoreOne("\xFF", {"\xFE"}), 0);
  // The two bytes of one character, with white space between them, are two.
  EXPECT_EQ(ScoreOne("\xC3 \xA9", {"\xC3\xA9"}), 0);
}

TEST(ChrfTest, LongTexts) {
  const std::string hypothesis = Repeat(kLongCase.hypothesis, kLongCase.times);
  const std::string reference = Repeat(kLongCase.reference, kLongCase.reference_times);
  ExpectClose(ScoreOne(hypothesis, {reference}, {.word_order = 2}), kLongCase.score);
  const std::string equal = Repeat("a ", 100000);
  std::string different;
  for (int i = 0; i < 100000; ++i) different += std::to_string(i) + ' ';
  ExpectClose(ScoreOne(equal, {equal}, {.word_order = 2}), 100);
  ExpectClose(ScoreOne(different, {different}, {.word_order = 2}), 100);
  EXPECT_EQ(ScoreOne(equal, {different}, {.word_order = 2}), 0);
}

TEST(ChrfTest, BadInputIsNamed) {
  ChrfScratch scratch;
  ChrfStatistics statistics = Make();
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
  expect(ChrfStatistics::Create({.char_order = 17}).status(),
         "char_order is 17: must be in [0, 16");
  expect(ChrfStatistics::Create({.word_order = 17}).status(),
         "word_order is 17: must be in [0, 16");
  expect(ChrfStatistics::Create({.char_order = 0}).status(), "char_order and word_order are 0");
  expect(ChrfStatistics::Create({.beta = 256}).status(), "beta is 256: must be in [0, 255]");
  expect(statistics.Merge(Make({.char_order = 5})), "char_order is 6 here and 5");
  expect(statistics.Merge(Make({.word_order = 2})), "word_order is 0 here and 2");
  expect(statistics.Merge(Make({.beta = 1})), "beta is 2 here and 1");
  expect(statistics.Merge(Make({.lowercase = true})), "lowercase is false here and true");
  expect(statistics.Merge(Make({.whitespace = true})), "whitespace is false here and true");
  expect(statistics.Merge(Make({.eps_smoothing = true})), "eps_smoothing is false here and true");
}

TEST(ChrfTest, OnlyWhatWasSerializedIsRead) {
  ChrfScratch scratch;
  ChrfStatistics statistics = Make({.char_order = 1, .word_order = 1, .lowercase = true});
  ASSERT_TRUE(statistics.Add("a b a c", Texts{"a b", "a c"}, scratch).ok());
  const std::string bytes = statistics.Serialize();
  const auto read = ChrfStatistics::Deserialize(bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->Serialize(), bytes);
  EXPECT_EQ(read->options(), statistics.options());
  EXPECT_EQ(read->Score(), statistics.Score());

  const auto expect = [](std::string_view changed, const char* message) {
    const auto result = ChrfStatistics::Deserialize(changed);
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
  expect(with(1, 17), "char_order is 17: must be in [0, 16]");
  expect(with(2, 17), "word_order is 17: must be in [0, 16]");
  expect(with(4, 17), "lowercase is 17: must be 0 or 1");
  expect(with(5, 17), "whitespace is 17: must be 0 or 1");
  expect(with(6, 17), "eps_smoothing is 17: must be 0 or 1");
  std::string no_orders = with(1, 0);
  no_orders[2] = 0;
  expect(no_orders, "char_order and word_order are 0");
  // n_samples 0, numbers of references that differ in one sample, matches above the counts, and
  // counts that are too large.
  expect(with(7, 0), "contradict");
  expect(with(7 + 8, 9), "contradict");
  expect(with(7 + 16, 1), "contradict");
  expect(with(7 + 24 + 16, 9), "contradict");
  for (size_t field = 0; field < 9; ++field) expect(with(7 + 8 * field + 7, 1), "must be <= 2^53");
}

}  // namespace
}  // namespace mirage::metrics
