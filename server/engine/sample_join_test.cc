#include "server/engine/sample_join.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace mirage::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

SampleRows Rows(std::vector<absl::uint128> documents, std::vector<absl::uint128> prompts = {},
                std::vector<absl::uint128> variants = {}) {
  SampleRows rows;
  prompts.resize(documents.size());
  variants.resize(documents.size());
  rows.doc_hash = std::move(documents);
  rows.prompt_hash = std::move(prompts);
  rows.variant = std::move(variants);
  return rows;
}

std::vector<std::vector<uint32_t>> Joined(const std::vector<SampleRows>& models) {
  std::vector<const SampleRows*> pointers;
  pointers.reserve(models.size());
  for (const SampleRows& rows : models) pointers.push_back(&rows);
  return JoinSamples(pointers);
}

TEST(SampleJoinTest, OnlyWhatAllHave) {
  EXPECT_THAT(Joined({Rows({1, 2, 3, 4}), Rows({4, 3, 9, 1}), Rows({3, 1, 2})}),
              ElementsAre(ElementsAre(0, 2), ElementsAre(3, 1), ElementsAre(1, 0)));
}

TEST(SampleJoinTest, TheFirstOfRepeatsCountsAndVariantsStayApart) {
  EXPECT_THAT(Joined({Rows({7, 7, 7}, {}, {0, 5, 0}), Rows({7, 7, 7}, {}, {5, 5, 0})}),
              ElementsAre(ElementsAre(0, 1), ElementsAre(2, 0)));
}

TEST(SampleJoinTest, ThePromptWhereTheDocumentHasNoDigest) {
  EXPECT_THAT(Joined({Rows({0, 0, 3}, {8, 0, 9}), Rows({0, 0, 3}, {0, 8, 1})}),
              ElementsAre(ElementsAre(0, 2), ElementsAre(1, 2)));
}

TEST(SampleJoinTest, NothingInCommon) {
  EXPECT_THAT(JoinSamples({}), IsEmpty());
  EXPECT_THAT(Joined({Rows({1}), Rows({2})}), ElementsAre(IsEmpty(), IsEmpty()));
  const SampleRows one = Rows({1});
  EXPECT_THAT(JoinSamples(std::vector<const SampleRows*>{&one, nullptr}),
              ElementsAre(IsEmpty(), IsEmpty()));
}

}  // namespace
}  // namespace mirage::server
