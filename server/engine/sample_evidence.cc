#include "server/engine/sample_evidence.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

#include "server/engine/position_scores.h"
#include "server/engine/sample_rows.h"

namespace mirage::server {
namespace {

using metrics::VerdictItems;
using metrics::VerdictPart;

// Where one model's scores by position come from; null where it has none.
using Source = const PositionScores* (*)(const ModelSamples&);

const PositionScores* Tokens(const ModelSamples& samples) {
  if (samples.task != nullptr && samples.task->token_positions().n_items() > 0) {
    return &samples.task->token_positions();
  }
  if (samples.companion != nullptr && samples.companion->token_positions().n_items() > 0) {
    return &samples.companion->token_positions();
  }
  return nullptr;
}

const PositionScores* Generated(const ModelSamples& samples) {
  if (samples.task != nullptr && samples.task->generated_positions().n_items() > 0 &&
      samples.task->Withheld().empty()) {
    return &samples.task->generated_positions();
  }
  return nullptr;
}

size_t ModelsWith(std::span<const ModelSamples> models, Source source) {
  return static_cast<size_t>(
      std::count_if(models.begin(), models.end(),
                    [&](const ModelSamples& samples) { return source(samples) != nullptr; }));
}

// One position, where enough models have it.
std::optional<VerdictPart> PartOf(std::span<const ModelSamples> models, Source source,
                                  bool is_generated, size_t position, bool from_end) {
  VerdictPart part;
  part.position = position;
  part.from_end = from_end;
  part.is_generated = is_generated;
  part.item_share = 0;
  size_t n_models = 0;
  for (const ModelSamples& samples : models) {
    VerdictPart::Value& value = part.models.emplace_back();
    const PositionScores* const scores = source(samples);
    if (scores == nullptr || position >= scores->n_positions()) continue;
    const metrics::Moments& values = scores->at(position, from_end).values;
    const auto n = static_cast<double>(values.count());
    const std::optional<double> mean = values.mean();
    // A token of probability 0 makes the mean infinite: the model says nothing here.
    if (!mean || !std::isfinite(*mean) || n < kPartMinItems) continue;
    value.mean = *mean;
    value.standard_error = values.standard_error().value_or(0);
    value.n = n;
    ++n_models;
    part.item_share = std::max(part.item_share, n / static_cast<double>(scores->n_items()));
    if (!part.chance) {
      const double chance = is_generated ? scores->ChanceError(position, from_end)
                                         : scores->ChanceEntropy(position, from_end);
      if (chance > 0) part.chance = chance;
    }
  }
  if (n_models < metrics::kVerdictMinScales) return std::nullopt;
  return part;
}

}  // namespace

std::shared_ptr<const VerdictItems> ItemsOf(const ModelSamples& samples, std::string_view metric) {
  if (samples.task == nullptr) return nullptr;
  const auto& reported = samples.task->reported();
  const auto column =
      std::find_if(reported.begin(), reported.end(),
                   [&](const ReportedMetricColumn& one) { return one.metric == metric; });
  if (column == reported.end()) return nullptr;
  const std::vector<double>& scores =
      samples.task->rows().reported[static_cast<size_t>(column - reported.begin())];
  auto items = std::make_shared<VerdictItems>();
  const auto add = [&](size_t row, double log_p) {
    const double score = scores[row];
    if (std::isnan(log_p) || !(score >= 0 && score <= 1)) return;
    items->log_p.push_back(log_p);
    items->scores.push_back(score);
  };
  if (samples.match != nullptr && samples.companion != nullptr) {
    const std::vector<double>& log_p = samples.companion->rows().log_p;
    for (const auto& [row, partner] : samples.match->rows) add(row, log_p[partner]);
  } else {
    const std::vector<double>& log_p = samples.task->rows().log_p;
    for (size_t row = 0; row < log_p.size(); ++row) add(row, log_p[row]);
  }
  if (items->log_p.empty()) return nullptr;
  return items;
}

std::vector<VerdictPart> PositionsOf(std::span<const ModelSamples> models) {
  const bool has_tokens = ModelsWith(models, Tokens) >= metrics::kVerdictMinScales;
  const Source source = has_tokens ? Tokens : Generated;
  size_t n_positions = 0;
  for (const ModelSamples& samples : models) {
    if (const PositionScores* scores = source(samples)) {
      n_positions = std::max(n_positions, scores->n_positions());
    }
  }
  std::vector<VerdictPart> parts;
  for (const bool from_end : {false, true}) {
    for (size_t position = 0; position < n_positions; ++position) {
      if (auto part = PartOf(models, source, !has_tokens, position, from_end)) {
        parts.push_back(*std::move(part));
      }
    }
  }
  return parts;
}

std::optional<double> MeanTargetUnits(std::span<const ModelSamples> models) {
  for (const Source source : {Tokens, Generated}) {
    for (const ModelSamples& samples : models) {
      const PositionScores* const scores = source(samples);
      if (scores != nullptr) return scores->lengths().mean();
    }
  }
  return std::nullopt;
}

}  // namespace mirage::server
