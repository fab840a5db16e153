#include "server/engine/companion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace mirage::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

struct Row {
  uint64_t doc = 0;
  uint64_t prompt = 0;
  uint64_t gold = 0;
  uint64_t variant = 0;
};

SampleRows Rows(const std::vector<Row>& rows) {
  SampleRows out;
  for (const Row& row : rows) {
    out.doc_hash.push_back(row.doc);
    out.prompt_hash.push_back(row.prompt);
    out.gold.push_back(row.gold);
    out.variant.push_back(row.variant);
  }
  return out;
}

TEST(MatchCompanionTest, ByDocumentInAnyOrder) {
  const CompanionMatch match =
      MatchCompanion(Rows({{1, 11, 5}, {2, 12, 6}, {3, 13, 7}}), Rows({{3, 93, 7}, {1, 91, 5}}));
  EXPECT_THAT(match.rows, ElementsAre(Pair(0, 1), Pair(2, 0)));
  EXPECT_DOUBLE_EQ(match.share, 2.0 / 3);
  EXPECT_EQ(match.n_other_gold, 0u);
}

TEST(MatchCompanionTest, ByPromptWhereTheDocumentsDiffer) {
  const CompanionMatch match = MatchCompanion(Rows({{1, 11}, {0, 12}}), Rows({{9, 11}, {0, 12}}));
  EXPECT_THAT(match.rows, ElementsAre(Pair(0, 0), Pair(1, 1)));
}

TEST(MatchCompanionTest, MissingDigestsMatchNothing) {
  EXPECT_THAT(MatchCompanion(Rows({{0, 0, 5}}), Rows({{0, 0, 5}})).rows, IsEmpty());
  const CompanionMatch none = MatchCompanion(Rows({}), Rows({{1, 1, 1}}));
  EXPECT_THAT(none.rows, IsEmpty());
  EXPECT_EQ(none.share, 0);
}

TEST(MatchCompanionTest, AnotherGoldIsNoMatch) {
  const CompanionMatch match =
      MatchCompanion(Rows({{1, 11, 5}, {2, 12, 6}}), Rows({{1, 11, 8}, {2, 12, 6}}));
  EXPECT_THAT(match.rows, ElementsAre(Pair(1, 1)));
  EXPECT_DOUBLE_EQ(match.share, 0.5);
  EXPECT_EQ(match.n_other_gold, 1u);
  // Where one side's gold text is not known, the document decides.
  EXPECT_EQ(MatchCompanion(Rows({{1, 11, 0}}), Rows({{1, 11, 8}})).share, 1);
}

TEST(MatchCompanionTest, RepeatsShareTheOneLogLikelihood) {
  const SampleRows repeats = Rows({{1, 11, 5, 0}, {1, 11, 5, 77}});
  EXPECT_THAT(MatchCompanion(repeats, Rows({{1, 11, 5, 0}})).rows,
              ElementsAre(Pair(0, 0), Pair(1, 0)));
  // Where the companion has repeats, too, each takes its own, and one without a partner none.
  EXPECT_THAT(MatchCompanion(repeats, Rows({{1, 11, 5, 77}, {1, 11, 5, 78}})).rows,
              ElementsAre(Pair(1, 0)));
}

}  // namespace
}  // namespace mirage::server
