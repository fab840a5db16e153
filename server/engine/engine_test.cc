#include "server/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/sample_batches.h"

namespace mirage::server {
namespace {

using namespace test_support;  // NOLINT: batches are this test's vocabulary

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

v1::IngestHeader Header() {
  v1::IngestHeader header;
  header.mutable_run()->set_model("m");
  header.mutable_run()->set_harness("lm-eval");
  *header.mutable_run()->add_tasks() = Task("t", "multiple_choice", {{"acc", 1}}, 2);
  return header;
}

v1::SampleBatch Batch(const std::string& doc_id) {
  v1::SampleBatch batch = EmptyBatch("t");
  AddChoices(&batch, doc_id, {-1, -3}, 0, 1);
  return batch;
}

// Sends two samples in two batches and returns the run's name.
std::string Send(Engine& engine, const v1::IngestHeader& header) {
  auto session = engine.StartIngest(header);
  EXPECT_TRUE(session.ok());
  v1::IngestResponse response;
  EXPECT_TRUE((*session)->Add(Batch("0"), 1, &response).ok());
  EXPECT_TRUE((*session)->Add(Batch("1"), 2, &response).ok());
  v1::IngestFinish finish;
  finish.set_n_batches(2);
  EXPECT_TRUE((*session)->Finish(finish, &response).ok());
  return response.run();
}

std::vector<v1::SummarizeRunResponse> Summarize(Engine& engine, const std::string& name) {
  v1::SummarizeRunRequest request;
  request.set_name(name);
  std::vector<v1::SummarizeRunResponse> parts;
  EXPECT_TRUE(engine
                  .Summarize(request,
                             [&](v1::SummarizeRunResponse part) {
                               parts.push_back(std::move(part));
                               return true;
                             })
                  .ok());
  return parts;
}

TEST(EngineTest, RunComesBackScored) {
  Engine engine;
  const std::string name = Send(engine, Header());
  EXPECT_THAT(name, StartsWith("runs/"));
  const auto parts = Summarize(engine, name);
  ASSERT_THAT(parts, SizeIs(2));
  EXPECT_EQ(parts[0].run().model(), "m");
  EXPECT_EQ(parts[0].run().run(), name);
  EXPECT_EQ(parts[1].task().task(), "t");
  EXPECT_EQ(parts[1].task().n_samples(), 2u);
}

TEST(EngineTest, SameContentGivesTheSameNameWhereverItLay) {
  Engine engine;
  v1::IngestHeader header = Header();
  header.mutable_run()->set_path("here");
  const std::string first = Send(engine, header);
  header.mutable_run()->set_path("there");
  EXPECT_EQ(Send(engine, header), first);
  EXPECT_EQ(Summarize(engine, first)[0].run().path(), "there");
  header.mutable_run()->set_model("other");
  EXPECT_NE(Send(engine, header), first);
}

TEST(EngineTest, BatchesAreCountedFromOneWithoutGaps) {
  Engine engine;
  auto session = engine.StartIngest(Header());
  ASSERT_TRUE(session.ok());
  v1::IngestResponse response;
  EXPECT_EQ((*session)->Add(Batch("0"), 0, &response).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string((*session)->Add(Batch("0"), 2, &response).message()),
              HasSubstr("sequence is 2 where 1 comes next"));
  EXPECT_TRUE((*session)->Add(Batch("0"), 1, &response).ok());
  response.Clear();
  EXPECT_TRUE((*session)->Add(Batch("0"), 1, &response).ok()) << "a replay is acknowledged";
  EXPECT_EQ(response.committed_sequence(), 1u);
  EXPECT_EQ(response.n_bad(), 0u) << "and has no effect";
  v1::IngestFinish finish;
  finish.set_n_batches(2);
  const absl::Status early = (*session)->Finish(finish, &response);
  EXPECT_EQ(early.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(early.message()), HasSubstr("1 batches are committed"));
  finish.set_n_batches(1);
  EXPECT_TRUE((*session)->Finish(finish, &response).ok());
  EXPECT_EQ((*session)->Add(Batch("9"), 2, &response).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(EngineTest, MalformedBatchLeavesTheSessionUsable) {
  Engine engine;
  auto session = engine.StartIngest(Header());
  ASSERT_TRUE(session.ok());
  v1::IngestResponse response;
  v1::SampleBatch bad = Batch("0");
  bad.set_n_samples(3);
  EXPECT_EQ((*session)->Add(bad, 1, &response).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE((*session)->Add(Batch("0"), 1, &response).ok());
}

TEST(EngineTest, UnknownTaskIsNamed) {
  Engine engine;
  auto session = engine.StartIngest(Header());
  v1::IngestResponse response;
  v1::SampleBatch batch = Batch("0");
  batch.set_task("u");
  EXPECT_THAT(std::string((*session)->Add(batch, 1, &response).message()),
              HasSubstr("batch.task is \"u\""));
}

TEST(EngineTest, BadHeadersAreRefused) {
  Engine engine;
  v1::IngestHeader header = Header();
  header.set_tokenizer("runes");
  EXPECT_THAT(std::string(engine.StartIngest(header).status().message()),
              HasSubstr("header.tokenizer"));
  header = Header();
  *header.mutable_run()->add_tasks() = header.run().tasks(0);
  EXPECT_THAT(std::string(engine.StartIngest(header).status().message()),
              HasSubstr("header.run.tasks[1].task \"t\" is named twice"));
}

TEST(EngineTest, SummarizeChecksItsArguments) {
  Engine engine;
  v1::SummarizeRunRequest request;
  request.set_name("runs/none");
  const auto ignore = [](const v1::SummarizeRunResponse&) { return true; };
  EXPECT_EQ(engine.Summarize(request, ignore).code(), absl::StatusCode::kNotFound);
  request.set_name(Send(engine, Header()));
  request.set_level(1.5);
  EXPECT_EQ(engine.Summarize(request, ignore).code(), absl::StatusCode::kInvalidArgument);
  request.set_level(0.9);
  EXPECT_EQ(engine.Summarize(request, [](const v1::SummarizeRunResponse&) { return false; }).code(),
            absl::StatusCode::kCancelled);
}

TEST(EngineTest, DeletedAndOldRunsAreGone) {
  Engine engine({.max_runs = 2});
  v1::IngestHeader header = Header();
  std::vector<std::string> names;
  for (const char* model : {"a", "b", "c"}) {
    header.mutable_run()->set_model(model);
    names.push_back(Send(engine, header));
  }
  EXPECT_EQ(engine.Delete(names[0]).code(), absl::StatusCode::kNotFound) << "used longest ago";
  EXPECT_TRUE(engine.Delete(names[1]).ok());
  EXPECT_EQ(engine.Delete(names[1]).code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Summarize(engine, names[2]), SizeIs(2));
}

TEST(EngineTest, GroupsAreMadeOfTheirLeavesAndCyclesAreCut) {
  Engine engine;
  v1::IngestHeader header = Header();
  v1::RunTask group = Task("g", "", {{"acc", 1}}, 0);
  group.clear_n_samples_effective();
  group.add_members("g2");
  v1::RunTask inner = group;
  inner.set_task("g2");
  inner.clear_members();
  inner.add_members("t");
  inner.add_members("g");
  *header.mutable_run()->add_tasks() = group;
  *header.mutable_run()->add_tasks() = inner;
  const auto parts = Summarize(engine, Send(engine, header));
  ASSERT_THAT(parts, SizeIs(4));
  EXPECT_EQ(parts[2].task().metrics(0).value(), 1);
  EXPECT_EQ(parts[2].task().n_samples(), 2u);
}

// A chain of groups must not cost a stack, nor its square in time.
TEST(EngineTest, GroupsNestedDeeplyAreCutAndNamed) {
  Engine engine;
  v1::IngestHeader header = Header();
  constexpr int kGroups = 20'000;
  for (int i = 0; i < kGroups; ++i) {
    v1::RunTask* group = header.mutable_run()->add_tasks();
    group->set_task("g" + std::to_string(i));
    group->add_members(i + 1 < kGroups ? "g" + std::to_string(i + 1) : "t");
  }
  const auto parts = Summarize(engine, Send(engine, header));
  ASSERT_THAT(parts, SizeIs(2 + kGroups));
  EXPECT_THAT(parts[2].task().warnings(), Contains(HasSubstr("nested deeper than 64")));
  // The last one is shallow enough.
  EXPECT_EQ(parts.back().task().n_samples(), 2u);
}

TEST(EngineTest, MembersAreTakenInTheirOrderAndOnce) {
  Engine engine;
  v1::IngestHeader header = Header();
  v1::RunTask* outer = header.mutable_run()->add_tasks();
  outer->set_task("outer");
  for (const char* member : {"inner", "t", "outer", "gone"}) outer->add_members(member);
  v1::RunTask* inner = header.mutable_run()->add_tasks();
  inner->set_task("inner");
  inner->add_members("t");
  inner->add_members("outer");
  const auto parts = Summarize(engine, Send(engine, header));
  ASSERT_THAT(parts, SizeIs(4));
  EXPECT_EQ(parts[2].task().n_samples(), 2u) << "t counts once";
  EXPECT_THAT(parts[2].task().warnings(), Contains(HasSubstr("1 of the group's members (gone)")));
}

}  // namespace
}  // namespace mirage::server
