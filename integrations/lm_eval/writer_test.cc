#include "integrations/lm_eval/writer.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "integrations/lm_eval/discover.h"
#include "tests/support/sample_batches.h"
#include "tests/support/temporary_folder.h"

namespace mirage::integrations::lm_eval {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr double kInf = std::numeric_limits<double>::infinity();
const std::string kDate = "2000-01-01T00-00-01.000007";

// Texts that break careless writers.
const std::vector<std::string> kHostile = {
    "plain",
    "",
    "quote \" and \\ and / and \\n",
    std::string("zero \0 inside", 13),
    "new\nline\r\ttab \b\f\x1f\x7f",
    "\xE2\x80\xA8 line separator",
    "\xF0\x9F\x98\x80 beyond the plane",
    "['a', 'b']",
    "[\"a\"]",
    "3",
    "</script> {{target}} 'single'",
    "NaN",
};

v1::RunTask Described(const std::string& name, const std::string& type, const std::string& metric,
                      uint32_t n) {
  v1::RunTask task = test_support::Task(name, type, {{metric, 0.125}}, n);
  task.set_version("1");
  task.set_n_shot(0);
  task.set_n_samples_original(n);
  task.mutable_reported(0)->set_stderr(1.0 / 3);
  task.mutable_reported(0)->set_higher_is_better(metric != "perplexity");
  return task;
}

v1::SampleBatch Generation(const std::string& task) {
  v1::SampleBatch batch = test_support::EmptyBatch(task);
  for (size_t i = 0; i < kHostile.size(); ++i) {
    test_support::AddGeneration(&batch, std::to_string(i), kHostile[i],
                                kHostile[(i + 3) % kHostile.size()], 0.1 * static_cast<double>(i));
  }
  batch.mutable_generation()->set_temperature(0.7);
  return batch;
}

v1::SampleBatch Likelihood(const std::string& task) {
  v1::SampleBatch batch = test_support::EmptyBatch(task);
  for (size_t i = 0; i < kHostile.size(); ++i) {
    const double ll = i == 2 ? -kInf : i == 3 ? -0.0 : -1.0 / 3 / static_cast<double>(i + 1);
    test_support::AddLikelihood(&batch, "doc \"" + std::to_string(i), ll, i % 2 == 0);
    test_support::AddText(batch.mutable_likelihood()->mutable_targets(), kHostile[i]);
  }
  // What the text gives.
  batch.mutable_likelihood()->clear_n_bytes();
  batch.mutable_likelihood()->clear_n_chars();
  return batch;
}

v1::SampleBatch Choices(const std::string& task) {
  v1::SampleBatch batch = test_support::EmptyBatch(task);
  for (size_t i = 0; i < kHostile.size(); ++i) {
    std::vector<double> ll = {-1.0 / 3, -kInf, -2e-300, -12345678.9};
    ll.resize(2 + i % 3);
    test_support::AddChoices(&batch, std::to_string(i), ll, static_cast<int>(i % ll.size()),
                             i % 2 == 0 ? 1 : 0);
    for (size_t c = 0; c < ll.size(); ++c) {
      test_support::AddText(batch.mutable_multiple_choice()->mutable_choices(),
                            kHostile[(i + c) % kHostile.size()]);
      batch.mutable_multiple_choice()->add_is_greedy(c == 1);
    }
  }
  batch.mutable_multiple_choice()->clear_n_bytes();
  batch.mutable_multiple_choice()->clear_n_chars();
  return batch;
}

std::string Written(const v1::SampleBatch& batch, std::string* hash = nullptr) {
  std::string text;
  SamplesWriter writer(batch.task(), [&](std::string_view piece) {
    text += piece;
    return absl::OkStatus();
  });
  const absl::Status status = writer.Add(batch);
  EXPECT_TRUE(status.ok()) << status;
  if (hash != nullptr) *hash = writer.Finish();
  return text;
}

absl::Status Refused(const v1::SampleBatch& batch) {
  SamplesWriter writer("t", [](std::string_view) { return absl::OkStatus(); });
  return writer.Add(batch);
}

void Write(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// What the reader makes of a whole run, all batches of a task as one.
class RoundTrip {
 public:
  RoundTrip(const v1::Run& given, const std::vector<v1::SampleBatch>& samples) {
    std::map<std::string, std::string, std::less<>> hashes;
    for (const v1::SampleBatch& one : samples) {
      Write(folder_.path() + "/" + *SamplesFileName(one.task(), kDate),
            Written(one, &hashes[one.task()]));
    }
    const auto results = ResultsText(given, hashes);
    EXPECT_TRUE(results.ok()) << results.status();
    Write(folder_.path() + "/" + *ResultsFileName(kDate), *results);

    const auto found = FindRuns(folder_.path());
    EXPECT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->size(), 1u);
    ReadOptions options;
    options.join_hashes = true;
    auto reader = found->front().Open(options);
    EXPECT_TRUE(reader.ok()) << reader.status();
    run = (*reader)->run();
    v1::SampleBatch batch;
    BatchOrigin origin;
    while (*(*reader)->Next(&batch, &origin)) batches.push_back(batch);
    EXPECT_THAT((*reader)->issues(), IsEmpty());
    for (const RowIssue& issue : (*reader)->issues()) ADD_FAILURE() << issue.message;
    // Such as: the rows' hashes do not give the task hash.
    for (const TaskNote& note : (*reader)->notes()) ADD_FAILURE() << note.text;
  }

  v1::Run run;
  std::vector<v1::SampleBatch> batches;

 private:
  test_support::TemporaryFolder folder_;
};

// Without what the writer adds, and what the text has no place for.
v1::SampleBatch Comparable(v1::SampleBatch batch) {
  batch.mutable_keys()->clear_doc_hash();
  batch.mutable_keys()->clear_prompt_hash();
  batch.mutable_keys()->clear_target_hash();
  batch.clear_fields();
  batch.mutable_keys()->clear_variant();
  if (batch.has_multiple_choice()) {
    v1::MultipleChoiceColumns* const columns = batch.mutable_multiple_choice();
    columns->clear_choices();
    columns->clear_n_bytes();
    columns->clear_n_chars();
    bool is_usual = true;
    for (const uint32_t n : columns->n_golds()) is_usual = is_usual && n == 1;
    if (is_usual) columns->clear_n_golds();
  }
  if (batch.has_likelihood()) {
    batch.mutable_likelihood()->clear_n_bytes();
    batch.mutable_likelihood()->clear_n_chars();
  }
  return batch;
}

void ExpectSame(const v1::SampleBatch& expected, const v1::SampleBatch& found) {
  std::string difference;
  MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&difference);
  EXPECT_TRUE(differencer.Compare(Comparable(expected), Comparable(found))) << difference;
}

v1::Run ARun(const std::vector<v1::RunTask>& tasks) {
  v1::Run run;
  run.set_model("org/model \"x\"");
  run.set_harness("lm-eval");
  run.set_harness_version("0.4.13");
  run.set_date(kDate);
  run.set_n_parameters(1e7 / 3);
  for (const v1::RunTask& task : tasks) *run.add_tasks() = task;
  return run;
}

TEST(WriterTest, TheReaderReadsTheSameBatches) {
  const auto n = static_cast<uint32_t>(kHostile.size());
  v1::Run run = ARun({Described("gen", "generate_until", "exact_match", n),
                      Described("gen_ll", "loglikelihood", "perplexity", n),
                      Described("mc", "multiple_choice", "acc", n)});
  run.mutable_tasks(1)->mutable_reported(0)->set_value(kInf);
  run.mutable_tasks(1)->mutable_reported(0)->clear_stderr();
  const std::vector<v1::SampleBatch> batches = {Generation("gen"), Likelihood("gen_ll"),
                                                Choices("mc")};
  const RoundTrip back(run, batches);
  ASSERT_EQ(back.batches.size(), 3u);
  for (size_t i = 0; i < 3; ++i) ExpectSame(batches[i], back.batches[i]);

  EXPECT_EQ(back.run.model(), run.model());
  EXPECT_EQ(back.run.date(), kDate);
  EXPECT_EQ(back.run.harness_version(), "0.4.13");
  EXPECT_EQ(back.run.n_parameters(), 1e7 / 3);
  EXPECT_THAT(back.run.warnings(), IsEmpty());
  ASSERT_EQ(back.run.tasks_size(), 3);
  for (int i = 0; i < 3; ++i) {
    v1::RunTask found = back.run.tasks(i);
    EXPECT_THAT(found.warnings(), IsEmpty());
    EXPECT_EQ(found.task_hash().size(), 64u);
    found.clear_task_hash();
    found.clear_normalization();
    EXPECT_EQ(found.DebugString(), run.tasks(i).DebugString());
  }
}

TEST(WriterTest, SeveralOutputsTargetsAndGolds) {
  v1::SampleBatch generation = test_support::EmptyBatch("gen");
  test_support::AddGeneration(&generation, "0", "a", "b", 0);
  test_support::AddText(generation.mutable_generation()->mutable_outputs(), "second");
  test_support::AddText(generation.mutable_generation()->mutable_targets(), "it's \"b\"");
  generation.mutable_generation()->add_n_outputs(2);
  generation.mutable_generation()->add_n_targets(2);
  v1::SampleBatch choices = test_support::EmptyBatch("mc");
  test_support::AddChoices(&choices, "0", {-1, -2, -3}, 0, 1);
  choices.mutable_multiple_choice()->set_n_golds(0, 2);
  choices.mutable_multiple_choice()->add_golds(2);
  for (const char* text : {"x", "y", "z"}) {
    test_support::AddText(choices.mutable_multiple_choice()->mutable_choices(), text);
  }
  for (const double baseline : {-4.0, -5.0, -6.0}) {
    choices.mutable_multiple_choice()->add_baseline_log_likelihoods(baseline);
    choices.mutable_multiple_choice()->add_is_greedy(false);
  }
  const RoundTrip back(ARun({Described("gen", "generate_until", "exact_match", 1),
                             Described("mc", "multiple_choice", "acc", 1)}),
                       {generation, choices});
  ASSERT_EQ(back.batches.size(), 2u);
  ExpectSame(generation, back.batches[0]);
  ExpectSame(choices, back.batches[1]);
}

// Digests that Python made: hashlib.sha256(json.dumps(doc, indent=2, ensure_ascii=False).encode())
// for {"doc_id": 7, "question": "ü\n\x01\u2028\x7f\\\"", "target": "92"}, and of "92".
TEST(WriterTest, HashesAreLmEvals) {
  v1::SampleBatch batch = test_support::EmptyBatch("t");
  test_support::AddGeneration(&batch, "7", "92", "92", 1);
  v1::FieldColumn* const field = batch.add_fields();
  field->set_field("question");
  test_support::AddText(field->mutable_values(), "\xC3\xBC\n\x01\xE2\x80\xA8\x7F\\\"");
  const std::string text = Written(batch);
  EXPECT_THAT(
      text,
      HasSubstr(
          "\"doc_hash\": \"0cef3824c88288af0c796222f581ec797af631cb9e6656480ad3b42438cb9639\""));
  EXPECT_THAT(text,
              HasSubstr("\"target_hash\": "
                        "\"8241649609f88ccd2a0a5b233a07a538ec313ff6adf695aa44a969dbca39f67d\""));
}

TEST(WriterTest, GivenHashesStay) {
  v1::SampleBatch batch = Generation("gen");
  for (size_t i = 0; i < kHostile.size(); ++i) {
    test_support::AddText(batch.mutable_keys()->mutable_doc_hash(), "d" + std::to_string(i));
  }
  const RoundTrip back(ARun({Described("gen", "generate_until", "exact_match", batch.n_samples())}),
                       {batch});
  ASSERT_EQ(back.batches.size(), 1u);
  EXPECT_EQ(back.batches[0].keys().doc_hash().data(), batch.keys().doc_hash().data());
}

TEST(WriterTest, TasksOverTheSameDocumentsCanBeJoined) {
  v1::SampleBatch generation = test_support::EmptyBatch("gen");
  test_support::AddGeneration(&generation, "3", "a", "b", 0);
  v1::SampleBatch likelihood = test_support::EmptyBatch("gen_ll");
  test_support::AddLikelihood(&likelihood, "3", -1, true);
  test_support::AddText(likelihood.mutable_likelihood()->mutable_targets(), "b");
  const RoundTrip back(ARun({Described("gen", "generate_until", "exact_match", 1),
                             Described("gen_ll", "loglikelihood", "perplexity", 1)}),
                       {generation, likelihood});
  ASSERT_EQ(back.batches.size(), 2u);
  EXPECT_EQ(back.batches[0].keys().doc_hash().data(), back.batches[1].keys().doc_hash().data());
  EXPECT_EQ(back.batches[0].keys().target_hash().data(),
            back.batches[1].keys().target_hash().data());
}

TEST(WriterTest, RefusesWhatRowsCannotCarry) {
  v1::SampleBatch batch = test_support::EmptyBatch("t");
  test_support::AddGeneration(&batch, "0", "\xFF", "b", 0);
  EXPECT_EQ(Refused(batch).message(), "generation.outputs [0] is not UTF-8: JSON cannot hold it");
  batch = test_support::EmptyBatch("t");
  test_support::AddLikelihood(&batch, "0", -1, true);
  EXPECT_EQ(Refused(batch).message(), "likelihood.targets has 0 cells: must have 1");
  batch.mutable_likelihood()->set_scope(v1::LikelihoodColumns::Scope::DOCUMENT);
  EXPECT_TRUE(absl::IsUnimplemented(Refused(batch)));
  batch = test_support::EmptyBatch("t");
  test_support::AddChoices(&batch, "0", {-1, -2}, 1, 0);
  EXPECT_EQ(Refused(batch).message(), "multiple_choice.choices has 0 cells: must have 2");
  for (const char* text : {"a", "b"}) {
    test_support::AddText(batch.mutable_multiple_choice()->mutable_choices(), text);
  }
  EXPECT_TRUE(Refused(batch).ok());
  batch.mutable_multiple_choice()->set_golds(0, 2);
  EXPECT_TRUE(absl::IsInvalidArgument(Refused(batch)));
  batch.mutable_multiple_choice()->set_golds(0, 1);
  batch.mutable_multiple_choice()->set_n_choices(0, 4'000'000'000);
  EXPECT_TRUE(absl::IsInvalidArgument(Refused(batch)));
  batch = test_support::EmptyBatch("t");
  test_support::AddKey(&batch, "0");
  batch.mutable_trials()->add_n_trials(3);
  EXPECT_TRUE(absl::IsUnimplemented(Refused(batch)));
  batch.mutable_vectors();
  EXPECT_TRUE(absl::IsUnimplemented(Refused(batch)));
  EXPECT_TRUE(absl::IsInvalidArgument(Refused(test_support::EmptyBatch("other"))));
  v1::SampleBatch varied = Generation("t");
  test_support::AddText(varied.mutable_keys()->mutable_variant(), "epoch=1");
  EXPECT_THAT(std::string(Refused(varied).message()), HasSubstr("keys.variant is set"));
  // A count that its columns do not keep.
  varied = Generation("t");
  varied.set_n_samples(4'000'000'000);
  EXPECT_TRUE(absl::IsInvalidArgument(Refused(varied)));
}

TEST(WriterTest, SinkErrorsComeBack) {
  SamplesWriter writer("gen",
                       [](std::string_view) { return absl::ResourceExhaustedError("full"); });
  EXPECT_EQ(writer.Add(Generation("gen")).message(), "full");
}

TEST(WriterTest, NamesAreNoPaths) {
  EXPECT_EQ(*SamplesFileName("t", kDate), "samples_t_" + kDate + ".jsonl");
  for (const char* task : {"", "a/b", "../x", "a\nb"}) {
    EXPECT_FALSE(SamplesFileName(task, kDate).ok()) << task;
  }
  EXPECT_FALSE(ResultsFileName("../x").ok());
  EXPECT_TRUE(
      absl::IsInvalidArgument(ResultsText(ARun({Described("t", "x", "acc", 1)}), {}).status()));
}

TEST(WriterTest, NumbersAsPythonSpellsThem) {
  EXPECT_EQ(JsonNumber(1), "1.0");
  EXPECT_EQ(JsonNumber(-0.0), "-0.0");
  EXPECT_EQ(JsonNumber(1e300), "1e+300");
  EXPECT_EQ(JsonNumber(0.1), "0.1");
  EXPECT_EQ(JsonNumber(-kInf), "-Infinity");
  EXPECT_EQ(JsonNumber(std::nan("")), "NaN");
}

}  // namespace
}  // namespace mirage::integrations::lm_eval
