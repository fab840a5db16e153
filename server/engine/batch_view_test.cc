#include "server/engine/batch_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mirage::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

void AddText(v1::TextColumn* column, std::string_view text) {
  column->mutable_data()->append(text);
  column->add_lengths(static_cast<uint32_t>(text.size()));
}

// Two samples with 2 and 3 choices.
v1::SampleBatch ChoiceBatch() {
  v1::SampleBatch batch;
  batch.set_task("t");
  batch.set_filter("none");
  batch.set_n_samples(2);
  AddText(batch.mutable_keys()->mutable_doc_id(), "0");
  AddText(batch.mutable_keys()->mutable_doc_id(), "17");
  v1::MultipleChoiceColumns* mc = batch.mutable_multiple_choice();
  mc->add_n_choices(2);
  mc->add_n_choices(3);
  for (const double ll : {-1.0, -2.0, -3.0, -4.0, -5.0}) mc->add_log_likelihoods(ll);
  mc->add_golds(1);
  mc->add_golds(2);
  return batch;
}

std::string Error(const v1::SampleBatch& batch, absl::StatusCode code) {
  BatchView view;
  const absl::Status status = view.Assign(batch);
  EXPECT_EQ(status.code(), code);
  return std::string(status.message());
}

TEST(BatchViewTest, FlattenedColumnsAreSplit) {
  const v1::SampleBatch batch = ChoiceBatch();
  BatchView view;
  ASSERT_TRUE(view.Assign(batch).ok());
  EXPECT_EQ(view.n, 2u);
  EXPECT_THAT(view.choices.choices, ElementsAre(0, 2, 5));
  EXPECT_THAT(view.choices.golds_at, ElementsAre(0, 1, 2));
  EXPECT_EQ(view.doc_id[1], "17");
  EXPECT_TRUE(view.doc_hash.empty());
  EXPECT_TRUE(view.choices.n_chars.empty());
}

TEST(BatchViewTest, FieldsHaveACellASample) {
  v1::SampleBatch batch = ChoiceBatch();
  v1::FieldColumn* const field = batch.add_fields();
  field->set_field("subject");
  AddText(field->mutable_values(), "law");
  EXPECT_THAT(Error(batch, absl::StatusCode::kInvalidArgument), HasSubstr("fields[0].values"));
  AddText(field->mutable_values(), "");
  BatchView view;
  ASSERT_TRUE(view.Assign(batch).ok());
  EXPECT_THAT(view.fields, ElementsAre(ElementsAre("law", "")));
  for (int f = 0; f < kMaxFields; ++f) *batch.add_fields() = batch.fields(0);
  EXPECT_THAT(Error(batch, absl::StatusCode::kResourceExhausted), HasSubstr("65 columns"));
}

TEST(BatchViewTest, EmptyBatchIsFine) {
  v1::SampleBatch batch;
  batch.mutable_likelihood();
  BatchView view;
  EXPECT_TRUE(view.Assign(batch).ok());
  EXPECT_EQ(view.n, 0u);
}

TEST(BatchViewTest, ColumnsThatDisagreeAreNamed) {
  v1::SampleBatch batch = ChoiceBatch();
  batch.mutable_multiple_choice()->add_log_likelihoods(-6);
  EXPECT_EQ(Error(batch, absl::StatusCode::kInvalidArgument),
            "multiple_choice.log_likelihoods has 6 cells where 5 were expected: every column needs "
            "one cell a sample");
  batch = ChoiceBatch();
  batch.mutable_multiple_choice()->add_n_chars(3);
  EXPECT_THAT(Error(batch, absl::StatusCode::kInvalidArgument),
              HasSubstr("multiple_choice.n_chars has 1 cells where 5"));
  batch = ChoiceBatch();
  batch.mutable_keys()->mutable_doc_id()->add_lengths(1);
  EXPECT_THAT(Error(batch, absl::StatusCode::kInvalidArgument),
              HasSubstr("keys.doc_id.lengths has 3 cells where 2"));
  batch = ChoiceBatch();
  batch.add_scores()->set_metric("acc");
  EXPECT_THAT(Error(batch, absl::StatusCode::kInvalidArgument),
              HasSubstr("scores[0].values has 0 cells where 2"));
}

TEST(BatchViewTest, TextLengthsMustCoverTheData) {
  v1::SampleBatch batch = ChoiceBatch();
  batch.mutable_keys()->mutable_doc_id()->set_lengths(1, 5);
  EXPECT_THAT(Error(batch, absl::StatusCode::kInvalidArgument), HasSubstr("sum to more than"));
  batch = ChoiceBatch();
  batch.mutable_keys()->mutable_doc_id()->mutable_data()->append("x");
  EXPECT_EQ(Error(batch, absl::StatusCode::kInvalidArgument),
            "keys.doc_id.lengths sum to 3, keys.doc_id.data has 4 bytes");
}

TEST(BatchViewTest, HugeLengthsDoNotOverflow) {
  v1::SampleBatch batch = ChoiceBatch();
  batch.mutable_multiple_choice()->set_n_choices(0, 0xffffffffu);
  EXPECT_THAT(Error(batch, absl::StatusCode::kInvalidArgument), HasSubstr("more than 2^32"));
}

TEST(BatchViewTest, EvidenceMustBeKnown) {
  v1::SampleBatch batch = ChoiceBatch();
  batch.clear_multiple_choice();
  EXPECT_THAT(Error(batch, absl::StatusCode::kInvalidArgument), HasSubstr("evidence is not set"));
  batch.mutable_vectors();
  EXPECT_THAT(Error(batch, absl::StatusCode::kUnimplemented), HasSubstr("multiple_choice"));
}

TEST(BatchViewTest, TokenIdsNeedTheirTokenizer) {
  v1::SampleBatch batch;
  batch.set_n_samples(1);
  AddText(batch.mutable_keys()->mutable_doc_id(), "0");
  v1::GenerationColumns* generation = batch.mutable_generation();
  AddText(generation->mutable_outputs(), "a");
  AddText(generation->mutable_targets(), "b");
  generation->mutable_output_ids()->add_ids(1);
  generation->mutable_output_ids()->add_lengths(1);
  EXPECT_THAT(Error(batch, absl::StatusCode::kInvalidArgument),
              HasSubstr("generation.output_ids.tokenizer is empty"));
  generation->mutable_output_ids()->set_tokenizer("gpt2");
  EXPECT_THAT(Error(batch, absl::StatusCode::kInvalidArgument), HasSubstr("must both be sent"));
}

TEST(BatchViewTest, OversizedBatchIsRefused) {
  v1::SampleBatch batch;
  batch.set_n_samples(kMaxBatchSamples + 1);
  EXPECT_THAT(Error(batch, absl::StatusCode::kResourceExhausted), HasSubstr("smaller batches"));
}

}  // namespace
}  // namespace mirage::server
