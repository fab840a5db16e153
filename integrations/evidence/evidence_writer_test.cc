#include "integrations/evidence/evidence_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/support/sample_batches.h"

namespace mirage::integrations::evidence {
namespace {

v1::SampleBatch Batch() {
  v1::SampleBatch batch = test_support::EmptyBatch("add3");
  v1::TokenLogprobColumns* const columns = batch.mutable_token_logprobs();
  test_support::AddGeneration(&batch, "0", "a", "12", 0);
  test_support::AddGeneration(&batch, "none", "a", "12", 0);
  test_support::AddGeneration(&batch, "7", "a", "12", 0);
  for (const uint32_t n : {2u, 0u, 1u}) columns->add_n_tokens(n);
  for (const double value : {-1.0 / 3, -std::numeric_limits<double>::infinity(), -0.0}) {
    columns->add_log_probs(value);
    columns->add_is_greedy(value > -1);
  }
  for (const char* text : {"\"\\\n", "\xE4\xB8\x80", ""}) {
    test_support::AddText(columns->mutable_tokens(), text);
  }
  return batch;
}

TEST(EvidenceWriterTest, TheTableReadsTheSame) {
  EvidenceHeader header;
  header.generator = "mirage";
  header.task = "add3";
  header.date = "2000-01-01T00-00-00.000000";
  header.model = "a \"model\"";
  const auto first = HeaderLine(header);
  const auto lines = EvidenceLines(Batch());
  ASSERT_TRUE(first.ok() && lines.ok()) << lines.status();
  const std::string text = *first + *lines;
  const auto table = EvidenceTable::Read(
      [&, at = size_t{0}](char* data, size_t size) mutable -> absl::StatusOr<size_t> {
        const size_t n = std::min(size, text.size() - at);
        std::copy_n(text.data() + at, n, data);
        at += n;
        return n;
      },
      "text", 1 << 20);
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->header().model, header.model);
  EXPECT_EQ(table->header().date, header.date);
  EXPECT_EQ(table->n_damaged(), 0u) << table->problems().front();
  EXPECT_EQ(table->n_documents(), 2u);
  EXPECT_FALSE(table->Find("none").has_value());
  const DocumentEvidence found = table->at(*table->Find("0"));
  ASSERT_EQ(found.log_probs.size(), 2u);
  EXPECT_EQ(found.log_probs[0], -1.0 / 3);
  EXPECT_EQ(found.log_probs[1], -std::numeric_limits<double>::infinity());
  EXPECT_EQ(found.tokens[0], "\"\\\n");
  EXPECT_EQ(found.tokens[1], "\xE4\xB8\x80");
  EXPECT_EQ(found.greedy[0], 1);
  EXPECT_EQ(found.greedy[1], 0);
  EXPECT_EQ(table->at(*table->Find("7")).log_probs[0], 0);
}

TEST(EvidenceWriterTest, RefusesColumnsThatContradictEachOther) {
  v1::SampleBatch batch = Batch();
  batch.mutable_token_logprobs()->add_log_probs(-1);
  EXPECT_EQ(EvidenceLines(batch).status().message(),
            "token_logprobs.log_probs has 4 entries: must have 3");
  batch = Batch();
  batch.mutable_token_logprobs()->mutable_tokens()->set_data("x");
  EXPECT_TRUE(absl::IsInvalidArgument(EvidenceLines(batch).status()));
  batch = Batch();
  batch.mutable_token_logprobs()->set_of_output(true);
  EXPECT_TRUE(absl::IsInvalidArgument(EvidenceLines(batch).status()));
  batch = Batch();
  batch.set_n_samples(4'000'000'000);
  EXPECT_TRUE(absl::IsInvalidArgument(EvidenceLines(batch).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(HeaderLine({}).status()));
}

}  // namespace
}  // namespace mirage::integrations::evidence
