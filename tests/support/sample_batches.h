// Small sample batches for tests.
#ifndef MIRAGE_TESTS_SUPPORT_SAMPLE_BATCHES_H_
#define MIRAGE_TESTS_SUPPORT_SAMPLE_BATCHES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mirage/v1/ingest.pb.h"
#include "mirage/v1/run.pb.h"
#include "mirage/v1/sample.pb.h"

// Not named "testing": that is GoogleTest's.
namespace mirage::test_support {

inline void AddText(v1::TextColumn* column, std::string_view text) {
  column->mutable_data()->append(text);
  column->add_lengths(static_cast<uint32_t>(text.size()));
}

inline v1::RunTask Task(const std::string& name, const std::string& output_type,
                        const std::vector<std::pair<std::string, double>>& reported,
                        uint32_t n_samples) {
  v1::RunTask task;
  task.set_task(name);
  task.set_output_type(output_type);
  task.set_has_samples(true);
  task.set_n_samples_effective(n_samples);
  for (const auto& [metric, value] : reported) {
    v1::ReportedMetric* r = task.add_reported();
    r->set_metric(metric);
    r->set_filter("none");
    r->set_value(value);
    r->set_higher_is_better(true);
  }
  return task;
}

inline v1::SampleBatch EmptyBatch(const std::string& task) {
  v1::SampleBatch batch;
  batch.set_task(task);
  batch.set_filter("none");
  return batch;
}

inline void AddKey(v1::SampleBatch* batch, const std::string& doc_id) {
  AddText(batch->mutable_keys()->mutable_doc_id(), doc_id);
  batch->set_n_samples(batch->n_samples() + 1);
}

// A multiple-choice sample; `acc` is the harness's verdict, gold -1 leaves it open.
inline void AddChoices(v1::SampleBatch* batch, const std::string& doc_id,
                       const std::vector<double>& ll, int gold, double acc) {
  AddKey(batch, doc_id);
  v1::MultipleChoiceColumns* mc = batch->mutable_multiple_choice();
  mc->add_n_choices(static_cast<uint32_t>(ll.size()));
  for (const double x : ll) {
    mc->add_log_likelihoods(x);
    mc->add_n_chars(5);
    mc->add_n_bytes(5);
  }
  mc->add_n_golds(gold < 0 ? 0 : 1);
  if (gold >= 0) mc->add_golds(static_cast<uint32_t>(gold));
  if (batch->scores_size() == 0) {
    batch->add_scores()->set_metric("acc");
    batch->mutable_scores(0)->set_aggregation(v1::ScoreColumn::Aggregation::MEAN);
  }
  batch->mutable_scores(0)->add_values(acc);
}

inline void AddGeneration(v1::SampleBatch* batch, const std::string& doc_id,
                          std::string_view output, std::string_view target, double exact_match) {
  AddKey(batch, doc_id);
  AddText(batch->mutable_generation()->mutable_outputs(), output);
  AddText(batch->mutable_generation()->mutable_targets(), target);
  if (batch->scores_size() == 0) {
    batch->add_scores()->set_metric("exact_match");
    batch->mutable_scores(0)->set_aggregation(v1::ScoreColumn::Aggregation::MEAN);
  }
  batch->mutable_scores(0)->add_values(exact_match);
}

inline void AddLikelihood(v1::SampleBatch* batch, const std::string& doc_id, double ll,
                          bool greedy) {
  AddKey(batch, doc_id);
  v1::LikelihoodColumns* columns = batch->mutable_likelihood();
  columns->set_scope(v1::LikelihoodColumns::Scope::TARGET);
  columns->add_log_likelihoods(ll);
  columns->add_n_bytes(4);
  columns->add_n_chars(4);
  columns->add_is_greedy(greedy);
  if (batch->scores_size() == 0) {
    batch->add_scores()->set_metric("acc");
    batch->mutable_scores(0)->set_aggregation(v1::ScoreColumn::Aggregation::MEAN);
    batch->add_scores()->set_metric("perplexity");
    batch->mutable_scores(1)->set_aggregation(v1::ScoreColumn::Aggregation::EXP_NEG_MEAN);
  }
  batch->mutable_scores(0)->add_values(greedy ? 1 : 0);
  batch->mutable_scores(1)->add_values(ll);
}

}  // namespace mirage::test_support

#endif  // MIRAGE_TESTS_SUPPORT_SAMPLE_BATCHES_H_
