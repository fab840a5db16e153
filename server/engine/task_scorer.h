// Scores the samples of one task under one filter, batch by batch.
//
// Every batch goes through the kernels once. What stays is small: exact mergeable
// accumulators for each metric, the sample keys, and of each sample the few numbers and digests
// of SampleRows. Texts are dropped after scoring.
//
// Memory: about 30 bytes a sample for the key and 90 for its row; see sample_rows.h, and
// position_scores.h for what does not grow with the samples.
#ifndef MIRAGE_SERVER_ENGINE_TASK_SCORER_H_
#define MIRAGE_SERVER_ENGINE_TASK_SCORER_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/numeric/int128.h"
#include "absl/status/status.h"
#include "metrics/emergence/distortion.h"
#include "metrics/kernels/calibration.h"
#include "metrics/kernels/generation.h"
#include "metrics/kernels/token_log_probs.h"
#include "metrics/registry/metric_info.h"
#include "metrics/stats/moments.h"
#include "metrics/text/units.h"
#include "mirage/v1/ingest.pb.h"
#include "mirage/v1/run.pb.h"
#include "mirage/v1/sample.pb.h"
#include "server/engine/batch_view.h"
#include "server/engine/gold.h"
#include "server/engine/position_scores.h"
#include "server/engine/sample_rows.h"

namespace mirage::server {

// See TaskScorer::Withheld. A wrong reading of the gold among K choices contradicts about
// 2 (K - 1) / K^2 of a guesser's verdicts, 38 % for four choices and 18 % for ten.
inline constexpr double kMostContradicted = 0.15;
// Fewer contradicted rows than this are damaged ones, whatever their share.
inline constexpr uint64_t kFewContradicted = 3;
inline constexpr double kNearTarget = 0.5;

// At most this many refused samples of a batch are described in its answer.
inline constexpr int kMaxDescribedBadSamples = 100;

// A metric that Mirage computes from every sample.
struct ComputedMetric {
  const metrics::MetricInfo* info = nullptr;
  metrics::Moments values;
  // Samples for which the metric is not defined (no lengths, no wrong choice, texts too long
  // to compare).
  uint64_t n_undefined = 0;
  // What guessing gives, sample by sample.
  metrics::Moments chance;
};

// A metric that the harness scored row by row.
struct ReportedMetricColumn {
  std::string metric;
  v1::ScoreColumn::Aggregation::Value aggregation =
      v1::ScoreColumn::Aggregation::AGGREGATION_UNSPECIFIED;
  metrics::Moments values;
  metrics::RatioMoments ratio;
  // Rows without a number.
  uint64_t n_missing = 0;
  // Rows whose number the metric cannot have (acc = 7, a weight below 0): left out. The first
  // of them, for a message.
  uint64_t n_impossible = 0;
  std::string first_impossible;
  // Rows compared with Mirage's own definition, and those that agree.
  uint64_t n_compared = 0;
  uint64_t n_same = 0;
};

// What the risk of a multiple-choice metric is computed from.
struct MarginEvidence {
  metrics::MarginCounts acc;
  metrics::MarginCounts acc_norm;
  metrics::MarginCounts acc_bytes;
  metrics::MarginCounts acc_mutual_info;
  // Margin minus chance margin, sample by sample, and the two themselves.
  metrics::Moments margin_above_chance;
  metrics::Moments margin;
  metrics::Moments chance_margin;
  // log p(gold) over the choices minus its value under guessing.
  metrics::Moments log_p_above_chance;
};

class TaskScorer {
 public:
  // `about` describes the task and must outlive the scorer.
  TaskScorer(const v1::RunTask& about, std::string filter, metrics::TextUnit unit);

  // Scores a batch. Samples that are refused (repeated key, NaN or positive
  // log-probability, gold out of range) are described in `response`, the rest
  // counts. INVALID_ARGUMENT when the batch as a whole is malformed or its
  // evidence differs from the batches before; nothing of it counts then.
  //
  // Log-probabilities of the gold text beside a generation. log p(target) is that of the target's
  // own tokens: those that hold some of its text, where the tokens' texts are known and begin with
  // it (outer white space removed; with several accepted answers the longest). A delimiter before
  // it and a stop token after it are in no metric and no position: exact match does not ask for
  // them. Where the texts are unknown, or spell something else, every token counts. A gold probe
  // counts as it is, and only where a sample has no tokens.
  //
  // Scores of such metrics in `response` are NaN as long as every log-probability of the task is
  // exactly 0 (see Finish).
  absl::Status Add(const v1::SampleBatch& batch, bool return_scores, v1::IngestResponse* response);

  // To be called once, after the last batch. Log-probabilities beside generations that are exactly
  // 0 over the whole task were not recorded (a client that samples at a temperature near 0, or
  // writes 0 where it knows none): what was made of them is taken back.
  void Finish();

  const v1::RunTask& about() const { return *about_; }
  const std::string& filter() const { return filter_; }
  // Nothing before the first batch.
  std::optional<metrics::Evidence> evidence() const { return evidence_; }
  // Samples that were accepted, refused, and of unverified gold.
  uint64_t n_samples() const { return n_samples_; }
  uint64_t n_bad() const { return n_bad_; }
  // Unverified: no reading of the gold reproduces the harness's own score of the row, or
  // several do.
  uint64_t n_gold_unverified() const { return n_gold_unverified_; }
  // Why no counterpart can be trusted; empty when they can. The rows whose gold or target is
  // verified must be a fair sample of the task, and what the log calls the target must be
  // what the harness compared with:
  // - where golds are told by the harness's verdicts, every row's must be: a wrong answer
  //   leaves it open more often than a right one, so a mean over the rest would be biased;
  // - no more than kMostContradicted of the rows may contradict the log's reading;
  // - generations that the harness scored as right must be near their targets (mean
  //   edit_similarity at least kNearTarget), the more so where the task compares in a way of
  //   its own; there, without any right row, nothing shows what the target is.
  std::string Withheld() const;
  // Samples of several megabytes of output and target, which are not compared.
  uint64_t n_too_long() const { return n_too_long_; }
  // Generations with a log-likelihood of their gold text whose gold is verified; 0 where
  // log_probs_missing().
  uint64_t n_with_log_p() const { return n_with_log_p_; }
  // Those of them whose tokens' texts do not begin with an accepted answer: all tokens count.
  uint64_t n_unspelled() const { return n_unspelled_; }
  // Whether there were log-probabilities beside generations, and all were 0. Known after Finish.
  bool log_probs_missing() const { return log_probs_missing_; }
  // Unit of text comparisons: "codepoints", …, or the tokenizer of the ids.
  const std::string& unit_name() const { return unit_name_; }

  const std::vector<ComputedMetric>& computed() const { return computed_; }
  const std::vector<ReportedMetricColumn>& reported() const { return reported_; }
  const MarginEvidence& margins() const { return margins_; }
  const metrics::CalibrationBins& calibration() const { return calibration_; }
  // What is kept of each accepted sample.
  const SampleRows& rows() const { return rows_; }
  // Of generations whose gold is verified: where the output is wrong, in units of the text
  // comparison. With several accepted answers beside the nearest one.
  const PositionScores& generated_positions() const { return generated_positions_; }
  // NLL of the gold text's own tokens, where token log-probabilities were sent.
  const PositionScores& token_positions() const { return token_positions_; }
  // Sampling temperature; nothing where no batch says it, or they differ.
  std::optional<double> temperature() const { return temperature_; }
  // Mean length of the targets in the unit of the positions: tokens where there are token
  // positions, else the text comparison's. Nothing without either.
  std::optional<double> mean_target_units() const;

  // An order-independent digest of the accepted samples' keys and evidence.
  absl::uint128 digest() const { return digest_; }

 private:
  absl::Status Start(const v1::SampleBatch& batch);
  void HashKeys();
  bool AcceptKey(uint32_t i, v1::IngestResponse* response);
  void Refuse(uint32_t i, std::string field, std::string message, v1::IngestResponse* response,
              absl::StatusCode code = absl::StatusCode::kInvalidArgument);
  void ScoreChoiceSample(uint32_t i, const v1::SampleBatch& batch);
  bool CheckChoiceSample(uint32_t i, v1::IngestResponse* response);
  bool CheckGenerationSample(uint32_t i, v1::IngestResponse* response);
  bool CheckLikelihoodSample(uint32_t i, v1::IngestResponse* response);
  bool CheckGoldEvidence(uint32_t i, v1::IngestResponse* response);
  void ScoreGenerationSample(uint32_t i, const v1::SampleBatch& batch);
  // The gold probe of the batch's sample; nothing where it has none.
  std::optional<double> GoldLikelihood(uint32_t i) const;
  void ScoreGoldEvidence(uint32_t i);
  void AddPositions(uint32_t i, uint32_t target);
  // Appends the row of a sample that was accepted, without its scores.
  void StartRow(uint32_t i);
  void StartGoldEvidence(const v1::SampleBatch& batch);
  void ScoreLikelihoodSample(uint32_t i);
  void MatchColumns(const v1::SampleBatch& batch);
  // Whether a 1 in the column may say that the answer is right.
  bool MayBeVerdict(const v1::ScoreColumn& column) const;
  void AddComputed();
  void AddReported(const v1::SampleBatch& batch);
  void AddFields(const v1::SampleBatch& batch);
  void AddDigest(uint32_t i);

  const v1::RunTask* about_;
  std::string filter_;
  std::string unit_name_;
  metrics::TextUnit unit_;
  std::optional<metrics::Evidence> evidence_;
  // Whether any log-probability beside a generation was not 0.
  bool any_log_p_ = false;
  bool log_probs_missing_ = false;
  bool temperatures_differ_ = false;
  uint64_t n_samples_ = 0;
  uint64_t n_bad_ = 0;
  uint64_t n_gold_unverified_ = 0;
  uint64_t n_gold_open_ = 0;
  uint64_t n_gold_told_ = 0;
  uint64_t n_gold_contradicted_ = 0;
  // Similarity to the target of the generations that the harness scored as right.
  metrics::Moments right_similarity_;
  uint64_t n_too_long_ = 0;
  uint64_t n_with_log_p_ = 0;
  uint64_t n_unspelled_ = 0;
  std::vector<ComputedMetric> computed_;
  std::vector<ReportedMetricColumn> reported_;
  MarginEvidence margins_;
  metrics::CalibrationBins calibration_;
  SampleRows rows_;
  PositionScores generated_positions_;
  PositionScores token_positions_;
  std::optional<double> temperature_;
  absl::flat_hash_set<absl::uint128> keys_;
  absl::uint128 digest_ = 0;

  // Per batch, reused.
  BatchView view_;
  // Values of computed metric c at c * n + i; NaN where not defined.
  std::vector<double> values_;
  std::vector<uint8_t> accepted_;
  // Whether the sample's gold is known from the harness's scores alone: to derive those from
  // it again would prove nothing.
  std::vector<uint8_t> gold_is_told_;
  std::vector<absl::uint128> sample_keys_;
  std::string key_buffer_;
  // Place in rows_ of the batch's first accepted sample.
  size_t first_row_ = 0;
  // Of one sample: texts and hits of its gold tokens, and units to be told apart.
  std::string spelling_;
  std::vector<uint8_t> greedy_hits_;
  std::vector<uint64_t> target_units_;
  std::vector<std::vector<uint64_t>> output_units_;
  std::vector<std::span<const uint64_t>> output_spans_;
  std::vector<uint32_t> golds_;
  std::vector<GoldVerdict> verdicts_;
  // What goes to one accumulator, gathered so that it is added at once.
  std::vector<double> gathered_;
  // Of the batch's samples, for MarginEvidence.
  std::vector<double> above_chance_;
  std::vector<double> margin_;
  std::vector<double> chance_margin_;
  std::vector<double> log_p_above_chance_;
  // How many of the batch's samples have so many choices and so many golds; few pairs differ.
  struct ShapeCount {
    uint32_t n_choices = 0;
    uint32_t n_golds = 0;
    uint64_t n = 0;
  };
  std::vector<ShapeCount> shapes_;
  // reported_ index of each of the batch's score columns.
  std::vector<size_t> column_of_;
  // Score columns that hold the verdicts of acc, acc_norm, acc_bytes and
  // acc_mutual_info; -1 where the harness did not report them.
  int verdict_columns_[4] = {-1, -1, -1, -1};
  // The one of exact_match, where Mirage's own definition is the harness's; else -1.
  int exact_match_column_ = -1;
  // The one whose 1 says that a generation is right: exact_match, else the first that is a
  // mean and better when higher; -1 for none.
  int right_column_ = -1;
  metrics::GenerationScorer generation_;
};

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_TASK_SCORER_H_
