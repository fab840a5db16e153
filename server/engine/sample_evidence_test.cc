#include "server/engine/sample_evidence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/sample_batches.h"

namespace mirage::server {
namespace {

using namespace test_support;  // NOLINT: batches are this test's vocabulary

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsNull;
using ::testing::NotNull;
using ::testing::SizeIs;

constexpr int kItems = 120;

// A task over numbers of two digits (three for every fourth document).
class SampleEvidenceTest : public testing::Test {
 protected:
  static std::string Target(int i) { return std::to_string(i % 4 == 3 ? 100 + i : 10 + i % 90); }

  // The last digit is wrong in the first `n_wrong` documents.
  const TaskScorer* Generated(int n_wrong, int n_items = kItems) {
    v1::SampleBatch batch = EmptyBatch("add");
    for (int i = 0; i < n_items; ++i) {
      std::string output = Target(i);
      if (i < n_wrong) output.back() = 'x';
      AddGeneration(&batch, std::to_string(i), output, Target(i), i < n_wrong ? 0 : 1);
      AddText(batch.mutable_keys()->mutable_doc_hash(), "doc" + std::to_string(i));
    }
    return Score(generated_, batch);
  }

  // The log-likelihood of document i is -(i + 1) / 100; documents come in reverse.
  const TaskScorer* Scored() {
    v1::SampleBatch batch = EmptyBatch("add_ll");
    for (int i = kItems - 1; i >= 0; --i) {
      AddLikelihood(&batch, std::to_string(i), -0.01 * (i + 1), true);
      AddText(batch.mutable_keys()->mutable_doc_hash(), "doc" + std::to_string(i));
      AddText(batch.mutable_likelihood()->mutable_targets(), " " + Target(i));
    }
    return Score(scored_, batch);
  }

  // Generations with the log-probability of each gold digit, the last of which is `last`.
  const TaskScorer* WithTokens(double last) {
    v1::SampleBatch batch = EmptyBatch("add");
    for (int i = 0; i < kItems; ++i) {
      const std::string target = Target(i);
      AddGeneration(&batch, std::to_string(i), target, target, 1);
      v1::TokenLogprobColumns& tokens = *batch.mutable_token_logprobs();
      for (size_t k = 0; k < target.size(); ++k) {
        tokens.add_log_probs(k + 1 == target.size() ? last : -0.5);
        AddText(tokens.mutable_tokens(), target.substr(k, 1));
      }
      tokens.add_n_tokens(static_cast<uint32_t>(target.size()));
    }
    return Score(generated_, batch);
  }

  const TaskScorer* Score(const v1::RunTask& about, const v1::SampleBatch& batch) {
    auto scorer = std::make_unique<TaskScorer>(about, "none", metrics::TextUnit::kCodepoints);
    v1::IngestResponse response;
    EXPECT_TRUE(scorer->Add(batch, false, &response).ok());
    EXPECT_EQ(response.n_bad(), 0u);
    scorers_.push_back(std::move(scorer));
    return scorers_.back().get();
  }

  const v1::RunTask generated_ = Task("add", "generate_until", {{"exact_match", 0.5}}, kItems);
  const v1::RunTask scored_ = Task("add_ll", "loglikelihood", {{"acc", 1}}, kItems);
  std::vector<std::unique_ptr<TaskScorer>> scorers_;
};

TEST_F(SampleEvidenceTest, ItemsAreJoinedByDocument) {
  ModelSamples samples{.task = Generated(3), .companion = Scored()};
  const CompanionMatch match = MatchCompanion(samples.task->rows(), samples.companion->rows());
  samples.match = &match;
  const auto items = ItemsOf(samples, "exact_match");
  ASSERT_THAT(items, NotNull());
  ASSERT_THAT(items->log_p, SizeIs(kItems));
  for (int i = 0; i < kItems; ++i) {
    const auto row = static_cast<size_t>(i);
    EXPECT_DOUBLE_EQ(items->log_p[row], -0.01 * (i + 1));
    EXPECT_EQ(items->scores[row], i < 3 ? 0 : 1);
  }
  EXPECT_THAT(ItemsOf(samples, "f1"), IsNull());
}

TEST_F(SampleEvidenceTest, WithoutLogLikelihoodsThereAreNoItems) {
  EXPECT_THAT(ItemsOf({.task = Generated(3)}, "exact_match"), IsNull());
  EXPECT_THAT(ItemsOf({}, "exact_match"), IsNull());
}

TEST_F(SampleEvidenceTest, PositionsOfGeneratedTextFromBothEnds) {
  std::vector<ModelSamples> models;
  for (const int n_wrong : {120, 120, 90, 60, 30, 0})
    models.push_back({.task = Generated(n_wrong)});
  const auto parts = PositionsOf(models);
  // Three digits are in 30 documents only: positions 0 and 1, from either end.
  ASSERT_THAT(parts, SizeIs(4));
  EXPECT_EQ(*parts[0].position, 0u);
  EXPECT_FALSE(parts[0].from_end);
  EXPECT_EQ(*parts[1].position, 1u);
  EXPECT_EQ(*parts[2].position, 0u);
  EXPECT_TRUE(parts[2].from_end);
  EXPECT_TRUE(parts[2].is_generated);
  ASSERT_THAT(parts[2].models, SizeIs(6));
  EXPECT_DOUBLE_EQ(parts[2].models[0].mean, 1);
  EXPECT_DOUBLE_EQ(parts[2].models[3].mean, 0.5);
  EXPECT_DOUBLE_EQ(parts[2].models[5].mean, 0);
  EXPECT_EQ(parts[2].models[3].n, kItems);
  EXPECT_DOUBLE_EQ(parts[2].item_share, 1);
  EXPECT_NEAR(parts[2].models[3].standard_error, std::sqrt(0.25 / (kItems - 1)), 1e-12);
  // Last digits are spread about evenly; the most frequent one is right in some tenth.
  ASSERT_TRUE(parts[2].chance.has_value());
  EXPECT_NEAR(*parts[2].chance, 0.9, 0.05);
  // The tens digit is never wrong.
  EXPECT_DOUBLE_EQ(parts[3].models[0].mean, 0);
  EXPECT_NEAR(*MeanTargetUnits(models), 2.25, 1e-12);
}

TEST_F(SampleEvidenceTest, TokensComeBeforeGeneratedText) {
  std::vector<ModelSamples> models;
  for (const double last : {-2.3, -2.3, -2.3, -1.0, -0.1}) {
    models.push_back({.task = WithTokens(last)});
  }
  // A model without tokens has none of them, though it has a text.
  models.push_back({.task = Generated(0)});
  const auto parts = PositionsOf(models);
  ASSERT_THAT(parts, SizeIs(4));
  EXPECT_FALSE(parts[2].is_generated);
  EXPECT_NEAR(parts[2].models[0].mean, 2.3, 1e-12);
  EXPECT_NEAR(parts[2].models[4].mean, 0.1, 1e-12);
  EXPECT_EQ(parts[2].models[5].n, 0);
  EXPECT_NEAR(*parts[2].chance, std::log(10), 0.1);
  EXPECT_NEAR(*MeanTargetUnits(models), 2.25, 1e-12);
}

TEST_F(SampleEvidenceTest, TooFewModelsOrItemsHaveNoPositions) {
  std::vector<ModelSamples> models;
  models.reserve(5);
  for (int i = 0; i < 4; ++i) models.push_back({.task = Generated(0)});
  models.push_back({});
  EXPECT_THAT(PositionsOf(models), IsEmpty());
  models.clear();
  for (int i = 0; i < 6; ++i) models.push_back({.task = Generated(0, 99)});
  EXPECT_THAT(PositionsOf(models), IsEmpty());
  EXPECT_THAT(PositionsOf({}), IsEmpty());
  EXPECT_EQ(MeanTargetUnits({}), std::nullopt);
}

}  // namespace
}  // namespace mirage::server
