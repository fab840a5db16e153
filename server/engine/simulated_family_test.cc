#include "server/engine/simulated_family.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace mirage::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::SimulationSpec Small(const std::string& truth) {
  v1::SimulationSpec spec;
  spec.set_truth(truth);
  spec.set_n_samples(50);
  return spec;
}

std::vector<v1::SimulateResponse> All(const v1::SimulationSpec& spec) {
  std::vector<v1::SimulateResponse> all;
  auto family = SimulatedFamily::Create(spec);
  EXPECT_TRUE(family.ok()) << family.status();
  if (!family.ok()) return all;
  v1::SimulateResponse response;
  while (family->Next(&response)) all.push_back(response);
  return all;
}

std::vector<std::string> Cells(const v1::TextColumn& column) {
  std::vector<std::string> cells;
  size_t at = 0;
  for (const uint32_t length : column.lengths()) {
    cells.push_back(column.data().substr(at, length));
    at += length;
  }
  EXPECT_EQ(at, column.data().size());
  return cells;
}

TEST(SimulatedFamilyTest, TruthFirstThenModelByModel) {
  const auto all = All(Small("mirage"));
  // Two tasks of one batch each, for ten models.
  ASSERT_EQ(all.size(), 1u + 10 * 3);
  EXPECT_EQ(all[0].truth().verdict(), v1::Diagnosis::MIRAGE);
  EXPECT_EQ(all[0].truth().acceptable(0), v1::Diagnosis::MIRAGE);
  EXPECT_EQ(all[0].truth().spec().n_samples(), 50u);
  EXPECT_EQ(all[0].truth().spec().tau(), 0.03);
  EXPECT_THAT(all[0].truth().reason(), ::testing::Not(::testing::IsEmpty()));
  std::set<std::string> models;
  std::set<std::string> dates;
  for (size_t m = 0; m < 10; ++m) {
    const v1::SimulatedRun& run = all[1 + 3 * m].run();
    models.insert(run.run().model());
    dates.insert(run.run().date());
    EXPECT_EQ(run.scale().model(), run.run().model());
    EXPECT_EQ(run.scale().parameters(), all[0].truth().spec().scales(static_cast<int>(m)));
    EXPECT_EQ(run.scale().family(), "mirage");
    EXPECT_EQ(run.scale().seed(), "");
    EXPECT_EQ(all[2 + 3 * m].batch().task(), "simulated_5");
    EXPECT_EQ(all[3 + 3 * m].batch().task(), "simulated_5_ll");
  }
  EXPECT_EQ(models.size(), 10u);
  EXPECT_EQ(dates.size(), 10u);
  EXPECT_EQ(*models.begin(), "mirage-1.67B");
}

// The numbers that a row has, against each other.
TEST(SimulatedFamilyTest, GenerationAndItsCompanionAgree) {
  for (const bool greedy : {false, true}) {
    v1::SimulationSpec spec = Small("mirage");
    spec.set_greedy(greedy);
    spec.set_seed(3);
    const auto all = All(spec);
    size_t n_right = 0;
    for (size_t m = 0; m < 10; ++m) {
      const v1::Run& run = all[1 + 3 * m].run().run();
      const v1::SampleBatch& answers = all[2 + 3 * m].batch();
      const v1::SampleBatch& scored = all[3 + 3 * m].batch();
      const auto outputs = Cells(answers.generation().outputs());
      const auto targets = Cells(answers.generation().targets());
      const auto tokens = Cells(answers.token_logprobs().tokens());
      EXPECT_EQ(answers.generation().temperature(), greedy ? 0 : 1);
      EXPECT_EQ(answers.token_logprobs().is_greedy_size(), greedy ? 250 : 0);
      EXPECT_EQ(Cells(scored.likelihood().targets()), targets);
      EXPECT_EQ(scored.fields(0).values().data(), answers.fields(0).values().data());
      ASSERT_EQ(targets.size(), 50u);
      double right = 0;
      double log_likelihood = 0;
      for (int i = 0; i < 50; ++i) {
        const auto at = static_cast<size_t>(i);
        EXPECT_EQ(outputs[at] == targets[at], answers.scores(0).values(i) == 1);
        right += answers.scores(0).values(i);
        double sum = 0;
        std::string text;
        bool all_greedy = true;
        for (int k = 0; k < 5; ++k) {
          sum += answers.token_logprobs().log_probs(5 * i + k);
          text += tokens[5 * at + static_cast<size_t>(k)];
          if (greedy) all_greedy &= answers.token_logprobs().is_greedy(5 * i + k);
        }
        EXPECT_EQ(text, targets[at]);
        EXPECT_DOUBLE_EQ(sum, scored.likelihood().log_likelihoods(i));
        EXPECT_EQ(scored.likelihood().log_likelihoods(i), scored.scores(0).values(i));
        if (greedy) {
          EXPECT_EQ(all_greedy, outputs[at] == targets[at]);
          EXPECT_EQ(all_greedy, scored.likelihood().is_greedy(i));
        }
        log_likelihood += sum;
      }
      n_right += static_cast<size_t>(right);
      EXPECT_NEAR(run.tasks(0).reported(0).value(), right / 50, 1e-12);
      EXPECT_NEAR(run.tasks(1).reported(0).value() / std::exp(-log_likelihood / 50), 1, 1e-12);
    }
    EXPECT_GT(n_right, 50u);
    EXPECT_LT(n_right, 450u);
  }
}

TEST(SimulatedFamilyTest, MultipleChoice) {
  const auto all = All(Small("multiple_choice"));
  ASSERT_EQ(all.size(), 1u + 10 * 2);
  const v1::SampleBatch& batch = all.back().batch();
  EXPECT_EQ(batch.task(), "simulated_mc_1");
  const v1::MultipleChoiceColumns& columns = batch.multiple_choice();
  const auto choices = Cells(columns.choices());
  EXPECT_THAT(std::vector<std::string>(choices.begin(), choices.begin() + 4),
              ElementsAre("a", "b", "c", "d"));
  for (int i = 0; i < 50; ++i) {
    double sum = 0;
    int best = 0;
    for (int c = 0; c < 4; ++c) {
      const double log_prob = columns.log_likelihoods(4 * i + c);
      sum += std::exp(log_prob);
      if (log_prob > columns.log_likelihoods(4 * i + best)) best = c;
    }
    EXPECT_NEAR(sum, 1, 1e-9);
    EXPECT_EQ(batch.scores(0).values(i) == 1, best == static_cast<int>(columns.golds(i)));
  }
}

TEST(SimulatedFamilyTest, SameSeedSameMessages) {
  v1::SimulationSpec spec = Small("staggered_breaks");
  const auto first = All(spec);
  const auto again = All(spec);
  ASSERT_EQ(first.size(), again.size());
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i].SerializeAsString(), again[i].SerializeAsString());
  }
  spec.set_seed(1);
  const auto other = All(spec);
  ASSERT_EQ(first.size(), other.size());
  EXPECT_NE(first[1].run().run().date(), other[1].run().run().date());
  EXPECT_NE(first[2].SerializeAsString(), other[2].SerializeAsString());
}

TEST(SimulatedFamilyTest, SeedsLargeVocabulariesAndSizesOfOneName) {
  v1::SimulationSpec spec = Small("mirage");
  spec.set_n_seeds(2);
  spec.set_vocabulary(4'000'000'000);
  for (const double scale : {1e7, 1.0001e7, 1e8}) spec.add_scales(scale);
  const auto all = All(spec);
  ASSERT_EQ(all.size(), 1u + 6 * 3);
  EXPECT_EQ(all[1].run().run().model(), "mirage-m00-s0");
  EXPECT_EQ(all[4].run().scale().seed(), "1");
  size_t longest = 0;
  for (const std::string& token : Cells(all[2].batch().token_logprobs().tokens())) {
    longest = std::max(longest, token.size());
  }
  EXPECT_EQ(longest, 3u);
}

TEST(SimulatedFamilyTest, BatchesStaySmall) {
  v1::SimulationSpec spec = Small("mirage");
  spec.set_n_samples(600);
  spec.add_target_lengths(400);
  spec.add_target_lengths(3);
  const auto all = All(spec);
  std::map<std::string, uint32_t> samples;
  for (const v1::SimulateResponse& response : all) {
    EXPECT_LT(response.ByteSizeLong(), size_t{2'000'000});
    if (response.has_batch()) samples[response.batch().task()] += response.batch().n_samples();
  }
  ASSERT_EQ(samples.size(), 4u);
  for (const auto& [task, n] : samples) EXPECT_EQ(n, 6000u) << task;
}

TEST(SimulatedFamilyTest, RefusesWithFieldAndRemedy) {
  const auto refused = [](const v1::SimulationSpec& spec) {
    return SimulatedFamily::Create(spec).status();
  };
  v1::SimulationSpec spec = Small("mirage");
  spec.set_tau(-1);
  EXPECT_TRUE(absl::IsInvalidArgument(refused(spec)));
  EXPECT_THAT(std::string(refused(spec).message()), HasSubstr("spec.tau is -1"));
  EXPECT_TRUE(absl::IsNotFound(refused(Small("mirrage"))));
  EXPECT_TRUE(absl::IsUnimplemented(refused(Small("vectors"))));
  EXPECT_THAT(std::string(refused(Small("trials")).message()),
              HasSubstr("spec.evidence is TRIALS"));
  spec = Small("mirage");
  spec.set_family("a\nb");
  EXPECT_THAT(std::string(refused(spec).message()), HasSubstr("spec.family"));
  spec.set_family(std::string(101, 'x'));
  EXPECT_TRUE(absl::IsInvalidArgument(refused(spec)));
  spec = Small("mirage");
  spec.set_n_samples(10'000'000);
  EXPECT_TRUE(absl::IsResourceExhausted(refused(spec)));
  spec.set_n_samples(800'000);
  spec.set_n_seeds(100);
  EXPECT_TRUE(absl::IsResourceExhausted(refused(spec)));
  spec = Small("mirage");
  spec.add_target_lengths(4096);
  EXPECT_TRUE(absl::IsResourceExhausted(refused(spec)));
}

// What a family of the largest size does to a sidecar is bounded by the limits; every preset is
// below them.
TEST(SimulatedFamilyTest, EveryPresetThatCanBeSentIs) {
  int n = 0;
  for (const metrics::SimulationPreset& preset : metrics::SimulationPresets()) {
    metrics::SimulationSpec named;
    named.truth = std::string(preset.name);
    const auto filled = metrics::FillSimulationSpec(named);
    ASSERT_TRUE(filled.ok());
    v1::SimulationSpec spec;
    spec.set_truth(named.truth);
    const auto family = SimulatedFamily::Create(spec);
    EXPECT_EQ(family.ok(), WhyNotSimulated(filled->evidence).empty())
        << preset.name << ": " << family.status();
    n += family.ok() ? 1 : 0;
  }
  EXPECT_GT(n, 15);
}

}  // namespace
}  // namespace mirage::server
