#include "server/engine/simulated_family.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "metrics/emergence/simulation_truth.h"
#include "metrics/stats/random.h"
#include "server/engine/simulation_proto.h"

namespace mirage::server {
namespace {

using metrics::SimulatedEvidence;
using metrics::SimulatedItems;
using metrics::SimulatedModel;
using Aggregation = v1::ScoreColumn::Aggregation;

constexpr size_t kBatchSamples = 2048;
// Tokens, or choices, of a batch.
constexpr size_t kBatchCells = size_t{1} << 16;

constexpr std::string_view kPlainSymbols =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
// Choices are called from "a" on: a digit would look like an index.
constexpr uint32_t kFirstChoice = 10;
// CJK unified ideographs: one code point each, and neither space nor case nor combining.
constexpr uint32_t kFirstIdeograph = 0x4E00;
constexpr uint32_t kIdeographs = 20'902;
constexpr uint32_t kMaxAlphabet = static_cast<uint32_t>(kPlainSymbols.size()) + kIdeographs;

// Kinds of random streams, beside those of simulation.cc, which end below 8.
constexpr uint64_t kGoldStream = 8;
constexpr uint64_t kWrongStream = 9;

uint64_t Stream(uint64_t kind, uint64_t model, uint64_t task, uint64_t item) {
  return kind << 60 | model << 44 | task << 36 | item;
}

void AppendSymbol(uint32_t token, std::string* text) {
  if (token < kPlainSymbols.size()) {
    *text += kPlainSymbols[token];
    return;
  }
  const uint32_t code = kFirstIdeograph + token - static_cast<uint32_t>(kPlainSymbols.size());
  *text += static_cast<char>(0xE0 | code >> 12);
  *text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
  *text += static_cast<char>(0x80 | (code & 0x3F));
}

void AddCell(std::string_view text, v1::TextColumn* column) {
  column->mutable_data()->append(text);
  column->add_lengths(static_cast<uint32_t>(text.size()));
}

// "10M", "1.29B".
std::string SizeText(double parameters) {
  // The three digits decide, so that 999.9e6 is 1B.
  const double rounded = std::stod(fmt::format("{:.2e}", parameters));
  for (const auto& [unit, letter] :
       {std::pair(1e12, "T"), std::pair(1e9, "B"), std::pair(1e6, "M"), std::pair(1e3, "K")}) {
    if (rounded >= unit && rounded < unit * 1000) {
      return fmt::format("{:.3g}{}", rounded / unit, letter);
    }
  }
  return fmt::format("{:.3g}", parameters);
}

std::vector<std::string> ModelNames(const metrics::Simulation& simulation) {
  const metrics::SimulationSpec& spec = simulation.spec();
  std::vector<std::string> sizes;
  for (const double scale : spec.scales) sizes.push_back(SizeText(scale));
  if (std::set<std::string>(sizes.begin(), sizes.end()).size() < sizes.size()) {
    for (size_t i = 0; i < sizes.size(); ++i) sizes[i] = fmt::format("m{:02}", i);
  }
  std::vector<std::string> names;
  for (const SimulatedModel& model : simulation.models()) {
    std::string name = fmt::format("{}-{}", spec.family, sizes[model.size]);
    if (*spec.n_seeds > 1) name += fmt::format("-s{}", model.seed);
    names.push_back(std::move(name));
  }
  return names;
}

// The field's path as the request has it.
absl::Status InRequest(const absl::Status& status) {
  if (!absl::IsInvalidArgument(status)) return status;
  return absl::InvalidArgumentError(fmt::format("spec.{}", std::string(status.message())));
}

absl::Status TooMany(std::string_view what, uint64_t n, uint64_t limit) {
  return absl::ResourceExhaustedError(
      fmt::format("{} is {}: at most {} can be simulated as runs; "
                  "lower one of them",
                  what, n, limit));
}

absl::Status CheckSizes(const metrics::Simulation& simulation) {
  const metrics::SimulationSpec& spec = simulation.spec();
  uint64_t cells = 0;
  for (const uint32_t length : spec.target_lengths) {
    cells += length;
    if (spec.evidence == SimulatedEvidence::kMultipleChoice) cells += *spec.n_choices;
  }
  const uint64_t of_model = cells * *spec.n_samples;
  if (of_model > kMaxModelCells) {
    return TooMany("spec.n_samples times the tokens and choices of an item (spec.target_lengths)",
                   of_model, kMaxModelCells);
  }
  const uint64_t of_family = of_model * simulation.models().size();
  if (of_family > kMaxFamilyCells) {
    return TooMany("spec.scales times spec.n_seeds times spec.n_samples times an item's tokens",
                   of_family, kMaxFamilyCells);
  }
  const uint64_t of_truth = cells * spec.scales.size();
  if (of_truth > kMaxTruthCells) {
    return TooMany("spec.scales times the tokens and choices of an item (spec.target_lengths)",
                   of_truth, kMaxTruthCells);
  }
  return absl::OkStatus();
}

absl::Status CheckFamily(std::string_view family) {
  if (family.size() > kMaxFamilyName) {
    return absl::InvalidArgumentError(fmt::format("spec.family has {} bytes: must have at most {}",
                                                  family.size(), kMaxFamilyName));
  }
  for (const char c : family) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      return absl::InvalidArgumentError(
          "spec.family has a control character: it names models, and must have none");
    }
  }
  return absl::OkStatus();
}

double SumOf(const std::vector<double>& nll, size_t item, size_t length) {
  double sum = 0;
  for (size_t k = 0; k < length; ++k) sum += nll[item * length + k];
  return sum;
}

}  // namespace

std::string_view WhyNotSimulated(SimulatedEvidence evidence) {
  switch (evidence) {
    case SimulatedEvidence::kVectors:
      return "lm-eval's files hold no vectors: choose GENERATION or MULTIPLE_CHOICE";
    case SimulatedEvidence::kTrials:
      return "lm-eval's files hold no counts of trials: choose GENERATION or MULTIPLE_CHOICE";
    default:
      return "";
  }
}

SimulatedFamily::SimulatedFamily(metrics::Simulation simulation, v1::SimulationTruth truth)
    : simulation_(std::move(simulation)),
      truth_(std::move(truth)),
      alphabet_(std::min(*simulation_.spec().vocabulary, kMaxAlphabet)),
      names_(ModelNames(simulation_)) {}

absl::StatusOr<SimulatedFamily> SimulatedFamily::Create(const v1::SimulationSpec& message) {
  auto spec = SimulationFromProto(message);
  if (!spec.ok()) return spec.status();
  if (const absl::Status status = CheckFamily(spec->family); !status.ok()) return status;
  auto simulation = metrics::Simulation::Create(*spec);
  if (!simulation.ok()) return InRequest(simulation.status());
  const metrics::SimulationSpec& filled = simulation->spec();
  const v1::SimulationSpec described = SimulationToProto(filled);
  if (const std::string_view why = WhyNotSimulated(filled.evidence); !why.empty()) {
    return absl::UnimplementedError(fmt::format(
        "spec.evidence is {}: {}", v1::SimulationSpec::Evidence_Name(described.evidence()), why));
  }
  if (const absl::Status status = CheckSizes(*simulation); !status.ok()) return status;

  const metrics::SimulationTruth known = metrics::TruthOf(*simulation);
  v1::SimulationTruth truth;
  *truth.mutable_spec() = described;
  truth.set_verdict(VerdictToProto(known.verdict));
  for (const metrics::TrueVerdict verdict : known.acceptable) {
    truth.add_acceptable(VerdictToProto(verdict));
  }
  truth.set_reason(known.reason);
  return SimulatedFamily(*std::move(simulation), std::move(truth));
}

bool SimulatedFamily::Next(v1::SimulateResponse* response) {
  response->Clear();
  if (!has_sent_truth_) {
    has_sent_truth_ = true;
    *response->mutable_truth() = truth_;
    return true;
  }
  if (!items_.empty() && run_task_ < n_run_tasks()) {
    FillBatch(response->mutable_batch());
    return true;
  }
  if (model_ == simulation_.models().size()) return false;
  StartModel(response->mutable_run());
  return true;
}

std::string SimulatedFamily::TaskName(size_t run_task) const {
  const uint32_t length = simulation_.spec().target_lengths[TaskOf(run_task)];
  if (!is_generation()) return fmt::format("simulated_mc_{}", length);
  return fmt::format("simulated_{}{}", length, run_task % 2 == 0 ? "" : "_ll");
}

void SimulatedFamily::StartModel(v1::SimulatedRun* out) {
  const metrics::SimulationSpec& spec = simulation_.spec();
  const size_t index = model_++;
  const SimulatedModel& model = simulation_.models()[index];
  items_.clear();
  for (size_t task = 0; task < simulation_.n_tasks(); ++task) {
    items_.push_back(simulation_.Answer(index, task));
  }
  run_task_ = 0;
  item_ = 0;

  v1::Run* const run = out->mutable_run();
  run->set_model(names_[index]);
  run->set_harness("lm-eval");
  run->set_harness_version("0.4.13");
  run->set_date(fmt::format("2000-01-01T{:02}-{:02}-{:02}.{:06}", index / 3600, index / 60 % 60,
                            index % 60, spec.seed % 1'000'000));
  run->set_n_parameters(model.parameters);
  for (size_t task = 0; task < n_run_tasks(); ++task) DescribeTask(task, run->add_tasks());

  v1::Scale* const scale = out->mutable_scale();
  scale->set_model(names_[index]);
  scale->set_parameters(model.parameters);
  scale->set_family(spec.family);
  if (*spec.n_seeds > 1) scale->set_seed(std::to_string(model.seed));
}

void SimulatedFamily::DescribeTask(size_t run_task, v1::RunTask* out) const {
  const SimulatedItems& items = items_[TaskOf(run_task)];
  const bool is_likelihood = is_generation() && run_task % 2 == 1;
  out->set_task(TaskName(run_task));
  out->set_version("1");
  out->set_n_shot(0);
  out->set_output_type(!is_generation() ? "multiple_choice"
                       : is_likelihood  ? "loglikelihood"
                                        : "generate_until");
  out->set_n_samples_original(static_cast<uint32_t>(items.n));
  out->set_n_samples_effective(static_cast<uint32_t>(items.n));
  out->set_has_samples(true);
  v1::ReportedMetric* const reported = out->add_reported();
  reported->set_filter("none");
  if (is_likelihood) {
    double sum = 0;
    for (size_t i = 0; i < items.n; ++i) sum -= SumOf(items.nll, i, items.length);
    reported->set_metric("perplexity");
    reported->set_value(std::exp(-sum / static_cast<double>(items.n)));
    reported->set_higher_is_better(false);
    return;
  }
  const metrics::SimulatedMean sharp = metrics::Aggregate(items).sharp;
  reported->set_metric(is_generation() ? "exact_match" : "acc");
  reported->set_value(sharp.mean);
  reported->set_stderr(sharp.standard_error);
  reported->set_higher_is_better(true);
}

std::vector<uint32_t> SimulatedFamily::Gold(size_t task, size_t item) const {
  metrics::CounterRng rng(simulation_.spec().seed, Stream(kGoldStream, 0, task, item));
  std::vector<uint32_t> tokens(simulation_.spec().target_lengths[task]);
  for (uint32_t& token : tokens) token = rng.Below32(alphabet_);
  return tokens;
}

void SimulatedFamily::FillBatch(v1::SampleBatch* batch) {
  const size_t task = TaskOf(run_task_);
  const SimulatedItems& items = items_[task];
  const bool is_likelihood = is_generation() && run_task_ % 2 == 1;
  batch->set_task(TaskName(run_task_));
  batch->set_filter("none");
  v1::FieldColumn* const question = batch->add_fields();
  question->set_field("question");
  v1::ScoreColumn* const score = batch->add_scores();
  score->set_metric(is_likelihood ? "perplexity" : is_generation() ? "exact_match" : "acc");
  score->set_aggregation(is_likelihood ? Aggregation::EXP_NEG_MEAN : Aggregation::MEAN);

  const size_t cells = std::max(items.length, items.n_choices);
  const size_t most = std::clamp<size_t>(kBatchCells / cells, 1, kBatchSamples);
  const size_t end = std::min(items.n, item_ + most);
  batch->set_n_samples(static_cast<uint32_t>(end - item_));
  std::string scratch;
  for (; item_ < end; ++item_) {
    AddCell(std::to_string(item_), batch->mutable_keys()->mutable_doc_id());
    // The same for both tasks: they are over the same documents.
    AddCell(fmt::format("Item {} of {} tokens:", item_, items.length), question->mutable_values());
    if (is_likelihood) {
      AddLikelihood(item_, &scratch, batch);
    } else if (is_generation()) {
      AddGeneration(item_, &scratch, batch);
    } else {
      AddChoices(item_, batch);
    }
  }
  if (item_ == items.n) {
    item_ = 0;
    ++run_task_;
  }
}

void SimulatedFamily::AddGeneration(size_t item, std::string* scratch,
                                    v1::SampleBatch* batch) const {
  const size_t task = TaskOf(run_task_);
  const SimulatedItems& items = items_[task];
  const bool is_greedy = *simulation_.spec().greedy;
  const std::vector<uint32_t> gold = Gold(task, item);
  metrics::CounterRng wrong(simulation_.spec().seed, Stream(kWrongStream, model_ - 1, task, item));
  v1::GenerationColumns* const columns = batch->mutable_generation();
  v1::TokenLogprobColumns* const log_probs = batch->mutable_token_logprobs();
  columns->set_temperature(is_greedy ? 0 : 1);
  std::string output;
  std::string& target = *scratch;
  target.clear();
  for (size_t k = 0; k < gold.size(); ++k) {
    const size_t begin = target.size();
    AppendSymbol(gold[k], &target);
    AddCell(std::string_view(target).substr(begin), log_probs->mutable_tokens());
    const bool is_right = items.is_right[item * items.length + k] != 0;
    uint32_t token = gold[k];
    if (!is_right) {
      token = wrong.Below32(alphabet_ - 1);
      if (token >= gold[k]) ++token;
    }
    AppendSymbol(token, &output);
    log_probs->add_log_probs(-items.nll[item * items.length + k]);
    if (is_greedy) log_probs->add_is_greedy(is_right);
  }
  log_probs->add_n_tokens(static_cast<uint32_t>(gold.size()));
  AddCell(output, columns->mutable_outputs());
  AddCell(target, columns->mutable_targets());
  batch->mutable_scores(0)->add_values(items.sharp[item]);
}

void SimulatedFamily::AddLikelihood(size_t item, std::string* scratch,
                                    v1::SampleBatch* batch) const {
  const size_t task = TaskOf(run_task_);
  const SimulatedItems& items = items_[task];
  std::string& target = *scratch;
  target.clear();
  for (const uint32_t token : Gold(task, item)) AppendSymbol(token, &target);
  bool is_greedy = true;
  for (size_t k = 0; k < items.length; ++k) {
    const size_t at = item * items.length + k;
    is_greedy &=
        *simulation_.spec().greedy ? items.is_right[at] != 0 : std::exp(-items.nll[at]) > 0.5;
  }
  v1::LikelihoodColumns* const columns = batch->mutable_likelihood();
  const double log_likelihood = -SumOf(items.nll, item, items.length);
  columns->set_scope(v1::LikelihoodColumns::Scope::TARGET);
  columns->add_log_likelihoods(log_likelihood);
  columns->add_n_bytes(static_cast<uint32_t>(target.size()));
  columns->add_n_chars(static_cast<uint32_t>(items.length));
  columns->add_is_greedy(is_greedy);
  AddCell(target, columns->mutable_targets());
  batch->mutable_scores(0)->add_values(log_likelihood);
}

void SimulatedFamily::AddChoices(size_t item, v1::SampleBatch* batch) const {
  const SimulatedItems& items = items_[TaskOf(run_task_)];
  v1::MultipleChoiceColumns* const columns = batch->mutable_multiple_choice();
  columns->add_n_choices(static_cast<uint32_t>(items.n_choices));
  std::string text;
  for (size_t choice = 0; choice < items.n_choices; ++choice) {
    const double log_prob = items.choice_log_probs[item * items.n_choices + choice];
    text.clear();
    AppendSymbol(kFirstChoice + static_cast<uint32_t>(choice), &text);
    AddCell(text, columns->mutable_choices());
    columns->add_log_likelihoods(log_prob);
    columns->add_n_bytes(static_cast<uint32_t>(text.size()));
    columns->add_n_chars(1);
    columns->add_is_greedy(std::exp(log_prob) > 0.5);
  }
  columns->add_golds(items.golds[item]);
  batch->mutable_scores(0)->add_values(items.sharp[item]);
}

}  // namespace mirage::server
