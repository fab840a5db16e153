#include "metrics/text/ngram_matches.h"

#include <algorithm>
#include <map>
#include <vector>

#include "gtest/gtest.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using Ids = std::vector<uint32_t>;

std::map<Ids, uint64_t> CountNgrams(const Ids& text, size_t order) {
  std::map<Ids, uint64_t> counts;
  for (size_t i = 0; i + order <= text.size(); ++i) {
    ++counts[Ids(text.begin() + static_cast<ptrdiff_t>(i),
                 text.begin() + static_cast<ptrdiff_t>(i + order))];
  }
  return counts;
}

uint64_t SlowMatches(const Ids& candidate, const std::vector<Ids>& references, size_t order) {
  std::map<Ids, uint64_t> greatest;
  for (const Ids& reference : references) {
    for (const auto& [ngram, count] : CountNgrams(reference, order)) {
      greatest[ngram] = std::max(greatest[ngram], count);
    }
  }
  uint64_t matches = 0;
  for (const auto& [ngram, count] : CountNgrams(candidate, order)) {
    matches += std::min(count, greatest[ngram]);
  }
  return matches;
}

std::vector<uint64_t> Matches(const Ids& candidate, const std::vector<Ids>& references,
                              size_t max_order, NgramScratch& scratch) {
  std::vector<uint64_t> matches(max_order, 7);
  const std::vector<std::span<const uint32_t>> views(references.begin(), references.end());
  CountNgramMatches(candidate, views, scratch, matches);
  return matches;
}

// A wrong table or a wrong pruning shows in most of these texts over few ids.
TEST(NgramMatchesTest, AgreesWithCountingAll) {
  CounterRng rng(1, 0);
  NgramScratch scratch;
  for (int round = 0; round < 2000; ++round) {
    const uint32_t alphabet = 1 + rng.Below32(5);
    const auto make = [&] {
      Ids text(rng.Below32(round % 50 == 0 ? 300 : 30));
      // The greatest ids and 0 are ids like all others.
      for (uint32_t& id : text) id = 0u - rng.Below32(alphabet);
      return text;
    };
    const Ids candidate = make();
    std::vector<Ids> references(rng.Below32(4));
    for (Ids& reference : references) reference = make();
    const std::vector<uint64_t> matches = Matches(candidate, references, 6, scratch);
    for (size_t order = 1; order <= 6; ++order) {
      ASSERT_EQ(matches[order - 1], SlowMatches(candidate, references, order)) << order;
    }
  }
}

TEST(NgramMatchesTest, EdgeCases) {
  NgramScratch scratch;
  EXPECT_EQ(Matches({}, {}, 2, scratch), (std::vector<uint64_t>{0, 0}));
  EXPECT_EQ(Matches({1}, {}, 2, scratch), (std::vector<uint64_t>{0, 0}));
  EXPECT_EQ(Matches({1}, {{}}, 2, scratch), (std::vector<uint64_t>{0, 0}));
  EXPECT_EQ(Matches({1}, {{1}}, 2, scratch), (std::vector<uint64_t>{1, 0}));
  EXPECT_EQ(Matches({1, 2}, {{1, 2}}, 0, scratch), (std::vector<uint64_t>{}));
  // Papineni's example of clipping.
  EXPECT_EQ(Matches({0, 0, 0, 0, 0, 0, 0}, {{0, 1, 2, 3, 0, 4}, {5, 2, 6, 1, 3, 0, 4}}, 1, scratch),
            (std::vector<uint64_t>{2}));
  // Bigrams of two references that start alike match more often than their common unigram.
  EXPECT_EQ(Matches({1, 2, 1, 3}, {{1, 2}, {1, 3}}, 2, scratch), (std::vector<uint64_t>{3, 2}));
  EXPECT_EQ(NgramCount(3, 1), 3);
  EXPECT_EQ(NgramCount(3, 3), 1);
  EXPECT_EQ(NgramCount(3, 4), 0);
  EXPECT_EQ(NgramCount(0, 1), 0);
}

TEST(NgramMatchesTest, LongTextsTakeLinearTime) {
  NgramScratch scratch;
  const Ids same(300000, 4);
  Ids different(300000);
  for (size_t i = 0; i < different.size(); ++i) different[i] = static_cast<uint32_t>(i);
  EXPECT_EQ(Matches(same, {same}, 4, scratch),
            (std::vector<uint64_t>{300000, 299999, 299998, 299997}));
  EXPECT_EQ(Matches(different, {different}, 2, scratch), (std::vector<uint64_t>{300000, 299999}));
  EXPECT_EQ(Matches(same, {different}, 2, scratch), (std::vector<uint64_t>{1, 0}));
}

}  // namespace
}  // namespace mirage::metrics
