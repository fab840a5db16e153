#include "integrations/evidence/evidence_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/sample_batches.h"
#include "tests/support/temporary_folder.h"

namespace mirage::integrations::evidence {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kDate[] = "2026-11-23T00-00-00.1";

std::string Header(const std::string& task, const std::string& model) {
  return R"({"generator": "hook", "kind": "mirage_evidence", "version": 1, "task": ")" + task +
         R"(", "date": ")" + kDate + R"(", "model": ")" + model + "\"}\n";
}

class EvidenceSetTest : public testing::Test {
 protected:
  EvidenceSetTest() {
    fs::create_directories(Path("run"));
    run_.set_model("org/m");
    run_.set_date(kDate);
    run_.set_path(Path("run/results.json"));
    *run_.add_tasks() = test_support::Task("t", "generate_until", {{"exact_match", 1}}, 2);
  }

  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }

  void Put(const std::string& folder, const std::string& task, const std::string& text) const {
    fs::create_directories(Path(folder));
    std::ofstream(Path(folder) + "/" + EvidenceFileName(task, kDate)) << text;
  }

  static std::vector<std::string> Texts(RunEvidence& evidence) {
    std::vector<std::string> texts;
    for (const TaskNote& note : evidence.Notes()) texts.push_back(note.task + ": " + note.text);
    return texts;
  }

  const test_support::TemporaryFolder folder_;
  v1::Run run_;
};

TEST_F(EvidenceSetTest, FileNames) {
  EXPECT_EQ(EvidenceFileName("a_b", "d"), "mirage_evidence_a_b_d.jsonl");
  EXPECT_EQ(EvidenceFileName("../x%", "d"), "mirage_evidence_..%2Fx%25_d.jsonl");
}

TEST_F(EvidenceSetTest, WhatLiesBesideTheRunIsTaken) {
  Put("run", "t", Header("t", "org/m") + "{\"doc_id\": 0, \"log_likelihood\": -1}\n");
  auto set = EvidenceSet::Find({});
  ASSERT_TRUE(set.ok());
  auto evidence = set->ForRun(run_, Path("run"));
  ASSERT_TRUE(evidence.ok());
  EXPECT_THAT((*evidence)->files(), SizeIs(1));
  EXPECT_THAT(Texts(**evidence), IsEmpty());
  // A model's name as lm-eval makes a folder's of it is the same model.
  Put("run", "t", Header("t", "org__m"));
  EXPECT_THAT((*set->ForRun(run_, Path("run")))->files(), SizeIs(1));
}

TEST_F(EvidenceSetTest, WhatDoesNotFitIsNamed) {
  auto set = EvidenceSet::Find({});
  Put("run", "t", Header("t", "other"));
  auto evidence = *set->ForRun(run_, Path("run"));
  EXPECT_THAT(evidence->files(), IsEmpty());
  EXPECT_THAT(Texts(*evidence), ElementsAre(HasSubstr("of model other, the run's is org/m")));
  Put("run", "t", Header("u", "org/m"));
  evidence = *set->ForRun(run_, Path("run"));
  EXPECT_THAT(Texts(*evidence), ElementsAre(HasSubstr("belong into a file named")));
  Put("run", "t", "{\"kind\": \"mirage_evidence\", \"version\": 2}\n");
  evidence = *set->ForRun(run_, Path("run"));
  EXPECT_THAT(Texts(*evidence), ElementsAre(HasSubstr("version is 2")));
}

TEST_F(EvidenceSetTest, FoldersAreLookedThrough) {
  Put("hooks/deep/er", "t", Header("t", "org/m"));
  Put("hooks/other", "t", Header("t", "other"));
  Put("hooks/bad", "t", "junk\n");
  Put("run", "t", Header("t", "org/m"));
  auto set = EvidenceSet::Find({Path("hooks"), Path("hooks/deep")});
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_THAT(set->unreadable(), ElementsAre(HasSubstr("hooks/bad")));
  EXPECT_THAT(set->Unused(), SizeIs(2));
  auto evidence = set->ForRun(run_, Path("run"));
  ASSERT_TRUE(evidence.ok()) << evidence.status();
  // What was named comes before what lies beside the run.
  EXPECT_THAT((*evidence)->files().at("t"), HasSubstr("hooks/deep/er"));
  EXPECT_THAT(set->Unused(), ElementsAre(HasSubstr("model other")));
}

TEST_F(EvidenceSetTest, TwoThatFitAreAnError) {
  Put("a", "t", Header("t", "org/m"));
  Put("b", "t", Header("t", "org/m"));
  auto set = EvidenceSet::Find({Path("a"), Path("b")});
  ASSERT_TRUE(set.ok());
  const auto evidence = set->ForRun(run_, Path("run"));
  EXPECT_EQ(evidence.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(evidence.status().message()), HasSubstr("keep one of them"));
}

TEST_F(EvidenceSetTest, TwoRunsThatNothingTellsApartAreAnError) {
  Put("a", "t", Header("t", "org/m"));
  auto set = EvidenceSet::Find({Path("a")});
  ASSERT_TRUE(set->ForRun(run_, Path("run")).ok());
  EXPECT_TRUE(set->ForRun(run_, Path("run")).ok()) << "the same run again";
  v1::Run other = run_;
  other.set_path(Path("other/results.json"));
  const auto evidence = set->ForRun(other, Path("other"));
  EXPECT_EQ(evidence.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(evidence.status().message()), HasSubstr(run_.path()));
  // Another model of the same date is told apart.
  other.set_model("n");
  EXPECT_TRUE(set->ForRun(other, Path("other")).ok());
}

TEST_F(EvidenceSetTest, FoldersThatAreNone) {
  EXPECT_EQ(EvidenceSet::Find({Path("none")}).status().code(), absl::StatusCode::kNotFound);
  std::ofstream(Path("file")) << "x";
  EXPECT_EQ(EvidenceSet::Find({Path("file")}).status().code(), absl::StatusCode::kInvalidArgument);
  EvidenceOptions options;
  options.max_entries = 1;
  Put("run", "t", Header("t", "org/m"));
  Put("run", "u", Header("u", "org/m"));
  EXPECT_EQ(EvidenceSet::Find({Path("run")}, options).status().code(),
            absl::StatusCode::kResourceExhausted);
  std::vector<std::string> warnings;
  options = {};
  options.max_depth = 0;
  Put("deep/er", "t", Header("t", "org/m"));
  const auto set = EvidenceSet::Find({Path("deep")}, options, &warnings);
  EXPECT_THAT(set->Unused(), IsEmpty());
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("too deep")));
}

class AddEvidenceTest : public EvidenceSetTest {
 protected:
  AddEvidenceTest() {
    batch_ = test_support::EmptyBatch("t");
    for (const char* id : {"0", "1", "2"}) {
      test_support::AddGeneration(&batch_, id, "x", id == std::string("1") ? "b" : "a", 0);
      test_support::AddText(batch_.mutable_keys()->mutable_doc_hash(), std::string("h") + id);
    }
  }

  std::unique_ptr<RunEvidence> Evidence(const std::string& rows,
                                        const EvidenceOptions& options = {}) {
    Put("run", "t", Header("t", "org/m") + rows);
    return *EvidenceSet::Find({}, options)->ForRun(run_, Path("run"));
  }

  v1::SampleBatch batch_;
};

TEST_F(AddEvidenceTest, TokensAndProbesStandBesideTheirSamples) {
  auto evidence = Evidence(
      "{\"doc_id\": 2, \"doc_hash\": \"h2\", \"log_probs\": [-1, -2], \"tokens\": [\"a\", \".\"]}\n"
      "{\"doc_id\": 1, \"log_likelihood\": -3, \"n_tokens\": 4, \"target\": \" b\\n\"}\n");
  evidence->AddTo(&batch_);
  const v1::TokenLogprobColumns& tokens = batch_.token_logprobs();
  EXPECT_THAT(tokens.n_tokens(), ElementsAre(0, 0, 2));
  EXPECT_THAT(tokens.log_probs(), ElementsAre(-1, -2));
  EXPECT_EQ(tokens.tokens().data(), "a.");
  EXPECT_THAT(tokens.tokens().lengths(), ElementsAre(1, 1));
  EXPECT_THAT(tokens.is_greedy(), IsEmpty());
  const v1::LikelihoodColumns& probe = batch_.gold_likelihood();
  EXPECT_EQ(probe.scope(), v1::LikelihoodColumns::Scope::GOLD_PROBE);
  EXPECT_THAT(probe.recorded(), ElementsAre(false, true, false));
  EXPECT_EQ(probe.log_likelihoods(1), -3);
  EXPECT_EQ(probe.n_tokens(1), 4u);
  EXPECT_THAT(probe.is_greedy(), IsEmpty());
  EXPECT_THAT(Texts(*evidence), IsEmpty());
}

TEST_F(AddEvidenceTest, WhatIsNotOfTheSampleIsNotUsed) {
  auto evidence = Evidence(
      "{\"doc_id\": 0, \"doc_hash\": \"other\", \"log_likelihood\": -1}\n"
      "{\"doc_id\": 1, \"target\": \"rationale b\", \"log_likelihood\": -2}\n"
      "{\"doc_id\": 9, \"log_likelihood\": -3}\n"
      "junk\n");
  evidence->AddTo(&batch_);
  EXPECT_FALSE(batch_.has_token_logprobs());
  EXPECT_FALSE(batch_.has_gold_likelihood());
  EXPECT_THAT(Texts(*evidence),
              ElementsAre(HasSubstr("t: 1 rows of evidence could not be read"),
                          HasSubstr("1 samples is of other documents"),
                          HasSubstr("1 samples is of another text"),
                          HasSubstr("1 of its documents are not among the samples")));
}

TEST_F(AddEvidenceTest, AnyAcceptedAnswerMayBeTheTarget) {
  v1::SampleBatch batch = test_support::EmptyBatch("t");
  test_support::AddGeneration(&batch, "0", "x", "a", 0);
  test_support::AddText(batch.mutable_generation()->mutable_targets(), "b");
  test_support::AddGeneration(&batch, "1", "x", "c", 0);
  for (const uint32_t n : {2, 1}) batch.mutable_generation()->add_n_targets(n);
  auto evidence = Evidence(
      "{\"doc_id\": 0, \"target\": \"b\", \"log_likelihood\": -1}\n"
      "{\"doc_id\": 1, \"target\": \"b\", \"log_likelihood\": -2}\n");
  evidence->AddTo(&batch);
  EXPECT_THAT(batch.gold_likelihood().recorded(), ElementsAre(true, false));
}

TEST_F(AddEvidenceTest, TextsOfSomeTokensAreTextsOfNone) {
  auto evidence = Evidence(
      "{\"doc_id\": 0, \"log_probs\": [-1], \"tokens\": [\"a\"], \"greedy\": [true]}\n"
      "{\"doc_id\": 1, \"log_probs\": [-1], \"greedy\": [false]}\n");
  evidence->AddTo(&batch_);
  EXPECT_THAT(batch_.token_logprobs().n_tokens(), ElementsAre(1, 1, 0));
  EXPECT_THAT(batch_.token_logprobs().tokens().lengths(), IsEmpty());
  EXPECT_THAT(batch_.token_logprobs().is_greedy(), ElementsAre(true, false));
}

TEST_F(AddEvidenceTest, LargeEvidenceIsLeftOutAndCounted) {
  EvidenceOptions options;
  options.max_batch_bytes = 100;
  auto evidence = Evidence(
      "{\"doc_id\": 0, \"log_probs\": [-1, -1, -1]}\n"
      "{\"doc_id\": 1, \"log_probs\": [-1, -1, -1, -1, -1, -1]}\n"
      "{\"doc_id\": 2, \"log_probs\": [-1]}\n",
      options);
  evidence->AddTo(&batch_);
  EXPECT_THAT(batch_.token_logprobs().n_tokens(), ElementsAre(3, 0, 1));
  EXPECT_THAT(Texts(*evidence), ElementsAre(HasSubstr("1 samples is too large")));
}

TEST_F(AddEvidenceTest, OtherBatchesStayAsTheyAre) {
  auto evidence = Evidence("{\"doc_id\": 0, \"log_likelihood\": -1}\n");
  v1::SampleBatch choices = test_support::EmptyBatch("t");
  test_support::AddChoices(&choices, "0", {-1, -2}, 0, 1);
  v1::SampleBatch before = choices;
  evidence->AddTo(&choices);
  EXPECT_EQ(choices.SerializeAsString(), before.SerializeAsString());
  EXPECT_THAT(Texts(*evidence), ElementsAre(HasSubstr("generations only")));

  evidence = Evidence("{\"doc_id\": 0, \"log_likelihood\": -1}\n");
  batch_.set_task("u");
  before = batch_;
  evidence->AddTo(&batch_);
  EXPECT_EQ(batch_.SerializeAsString(), before.SerializeAsString());
}

TEST_F(AddEvidenceTest, FileThatGoesAwayIsTold) {
  auto evidence = Evidence("{\"doc_id\": 0, \"log_likelihood\": -1}\n");
  fs::remove_all(Path("run"));
  evidence->AddTo(&batch_);
  EXPECT_FALSE(batch_.has_gold_likelihood());
  EXPECT_THAT(evidence->unreadable(), SizeIs(1));
  EXPECT_THAT(Texts(*evidence), ElementsAre(HasSubstr("evidence is not used")));
}

}  // namespace
}  // namespace mirage::integrations::evidence
