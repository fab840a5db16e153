#include "client/attach_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "server/embedded.h"
#include "tests/support/sample_batches.h"

namespace mirage::client {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

// A log that never was: batches from memory.
class FakeReader final : public integrations::RunReader {
 public:
  FakeReader() {
    run_.set_model("m");
    run_.set_harness("fake");
    run_.set_path("here");
    *run_.add_tasks() = test_support::Task("t", "multiple_choice", {{"acc", 1}}, 0);
    run_.mutable_tasks(0)->clear_n_samples_effective();
  }

  // `bad` samples have a positive log-likelihood.
  void AddBatch(int first, int n, bool bad) {
    v1::SampleBatch batch = test_support::EmptyBatch("t");
    for (int i = first; i < first + n; ++i) {
      test_support::AddChoices(&batch, std::to_string(i), {bad ? 0.5 : -1, -3}, 0, 1);
    }
    batches_.push_back(std::move(batch));
  }
  void AddIssue(integrations::RowIssue issue) { issues_.push_back(std::move(issue)); }
  void AddNote(integrations::TaskNote note) { notes_.push_back(std::move(note)); }
  void FailAt(size_t batch, absl::Status status) {
    fail_at_ = batch;
    failure_ = std::move(status);
  }

  const v1::Run& run() const override { return run_; }
  absl::StatusOr<bool> Next(v1::SampleBatch* batch, integrations::BatchOrigin* origin) override {
    if (next_ == fail_at_ && !failure_.ok()) return failure_;
    if (next_ == batches_.size()) return false;
    *batch = batches_[next_++];
    origin->file = "folder/samples_t.jsonl";
    for (uint32_t i = 0; i < batch->n_samples(); ++i) origin->lines.push_back(++line_);
    return true;
  }
  const std::vector<integrations::RowIssue>& issues() const override { return issues_; }
  std::vector<integrations::IssueCount> issue_counts() const override {
    if (issues_.empty()) return {};
    return {{.task = "t", .filter = "none", .n = issues_.size()}};
  }
  const std::vector<integrations::TaskNote>& notes() const override { return notes_; }
  uint64_t n_unreadable_files() const override { return 0; }
  uint64_t bytes_read() const override { return next_; }
  uint64_t bytes_total() const override { return batches_.size(); }
  const std::string& folder() const override { return folder_; }

 private:
  v1::Run run_;
  std::vector<v1::SampleBatch> batches_;
  std::vector<integrations::RowIssue> issues_;
  std::vector<integrations::TaskNote> notes_;
  size_t next_ = 0, fail_at_ = 0;
  uint64_t line_ = 0;
  absl::Status failure_;
  std::string folder_ = "folder";
};

class AttachRunTest : public testing::Test {
 protected:
  void SetUp() override {
    auto embedded = server::StartEmbedded();
    ASSERT_TRUE(embedded.ok());
    embedded_ = *std::move(embedded);
  }
  server::Embedded embedded_;
  FakeReader reader_;
};

TEST_F(AttachRunTest, ManyBatchesGoThroughTheWindow) {
  for (int b = 0; b < 40; ++b) reader_.AddBatch(100 * b, 100, false);
  uint64_t last = 0;
  const auto summary =
      AttachRun(embedded_.channel, reader_, {.progress = [&](uint64_t done, uint64_t) {
                  EXPECT_GE(done, last);
                  last = done;
                }});
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(last, 40u);
  ASSERT_THAT(summary->tasks(), SizeIs(1));
  EXPECT_EQ(summary->tasks(0).n_samples(), 4000u);
  EXPECT_EQ(summary->path(), "here");
}

TEST_F(AttachRunTest, RefusedSamplesAreToldWithFileAndLine) {
  reader_.AddBatch(0, 3, false);
  reader_.AddBatch(3, 8, true);
  reader_.AddIssue({.task = "t",
                    .filter = "none",
                    .file = "x/samples_t.jsonl",
                    .line = 12,
                    .message = "not JSON\x1b[2J"});
  const auto summary = AttachRun(embedded_.channel, reader_, {});
  ASSERT_TRUE(summary.ok()) << summary.status();
  const v1::TaskSummary& task = summary->tasks(0);
  EXPECT_EQ(task.n_samples(), 3u);
  EXPECT_EQ(task.n_bad(), 9u);
  ASSERT_GE(task.warnings_size(), 6);
  EXPECT_EQ(task.warnings(0),
            "samples_t.jsonl:4: samples[0].log_likelihoods[0] is +0.5: log-probabilities must be "
            "<= 0 (natural logarithms)");
  EXPECT_THAT(task.warnings(5), HasSubstr("and 4 more rows"));
}

TEST_F(AttachRunTest, NotesBecomeWarningsOfTheirTask) {
  reader_.AddBatch(0, 3, false);
  reader_.AddNote({.task = "t", .text = "of another run\x1b[2J"});
  const auto summary = AttachRun(embedded_.channel, reader_, {});
  ASSERT_TRUE(summary.ok()) << summary.status();
  ASSERT_EQ(summary->tasks(0).warnings_size(), 1);
  EXPECT_THAT(summary->tasks(0).warnings(0), HasSubstr("of another run"));
  EXPECT_EQ(summary->tasks(0).warnings(0).find('\x1b'), std::string::npos);
}

TEST_F(AttachRunTest, ReadersErrorIsTheAnswer) {
  reader_.AddBatch(0, 3, false);
  reader_.FailAt(1, absl::DataLossError("the disk is gone"));
  const auto summary = AttachRun(embedded_.channel, reader_, {});
  EXPECT_EQ(summary.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(summary.status().message(), "the disk is gone");
}

TEST_F(AttachRunTest, SidecarsErrorIsTheAnswer) {
  const auto summary = AttachRun(embedded_.channel, reader_, {.tokenizer = "runes"});
  EXPECT_EQ(summary.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(summary.status().message()), HasSubstr("header.tokenizer"));
}

TEST_F(AttachRunTest, ScoresComeInTheOrderOfTheLog) {
  for (int b = 0; b < 6; ++b) reader_.AddBatch(10 * b, 10, false);
  uint32_t n = 0;
  std::string ids;
  const auto summary =
      AttachRun(embedded_.channel, reader_,
                {.scores = [&](const v1::SampleBatch& batch, const v1::SampleScores& scores) {
                  n += batch.n_samples();
                  ids += batch.keys().doc_id().data();
                  EXPECT_EQ(scores.values_size(),
                            static_cast<int>(batch.n_samples()) * scores.metrics_size());
                  return absl::OkStatus();
                }});
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(n, 60u);
  EXPECT_THAT(ids, testing::StartsWith("0123456789101112"));
}

TEST_F(AttachRunTest, ASidecarThatIsShutDownOnTheWayIsUnavailable) {
  for (int b = 0; b < 40; ++b) reader_.AddBatch(100 * b, 100, false);
  const auto summary =
      AttachRun(embedded_.channel, reader_, {.progress = [&](uint64_t done, uint64_t) {
                  if (done == 20) embedded_.server->Shutdown(std::chrono::milliseconds(0));
                }});
  EXPECT_EQ(summary.status().code(), absl::StatusCode::kUnavailable) << summary.status();
}

TEST_F(AttachRunTest, NobodyThereIsUnavailable) {
  embedded_.server->Shutdown(std::chrono::milliseconds(0));
  reader_.AddBatch(0, 3, false);
  EXPECT_EQ(AttachRun(embedded_.channel, reader_, {}).status().code(),
            absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace mirage::client
