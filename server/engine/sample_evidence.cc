#include "server/engine/sample_evidence.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "metrics/emergence/gain_groups.h"
#include "metrics/stats/moments.h"
#include "server/engine/field_rows.h"
#include "server/engine/position_scores.h"
#include "server/engine/sample_join.h"
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

// One model's value of a stratum, where its mean is finite.
void SetValue(const std::vector<double>& nll, size_t n_items, VerdictPart::Value& value,
              VerdictPart& part) {
  metrics::Moments moments;
  moments.AddAll(nll);
  const std::optional<double> mean = moments.mean();
  // A log p of minus infinity makes it infinite: the model says nothing here.
  if (!mean || !std::isfinite(*mean)) return;
  value.mean = *mean;
  value.standard_error = moments.standard_error().value_or(0);
  value.n = static_cast<double>(nll.size());
  part.item_share = std::max(part.item_share, value.n / static_cast<double>(n_items));
}

// NLL of a model's samples by their value of a field.
using ByValue = std::map<std::string, std::vector<double>>;

// The strata of one field.
void AddStrata(std::span<const ModelSamples> models, const std::vector<std::vector<double>>& log_p,
               const std::string& field, Strata& out) {
  const auto warn = [&](std::string_view why) {
    out.warnings.push_back(fmt::format("stratum {}: {}", field, why));
  };
  std::vector<ByValue> by_model(models.size());
  std::vector<size_t> n_items(models.size(), 0);
  std::set<std::string> values;
  size_t n_without = 0;
  size_t n_with_log_p = 0;
  for (size_t j = 0; j < models.size(); ++j) {
    if (log_p[j].empty()) continue;
    ++n_with_log_p;
    const SampleRows& rows = models[j].task->rows();
    const auto found = std::find_if(rows.fields.begin(), rows.fields.end(),
                                    [&](const FieldRows& one) { return one.field() == field; });
    if (found != rows.fields.end() && found->has_too_many()) {
      return warn(fmt::format("more than {} values: not looked at", kMaxStrata));
    }
    for (size_t row = 0; row < log_p[j].size(); ++row) {
      if (std::isnan(log_p[j][row])) continue;
      ++n_items[j];
      const uint8_t cell = found == rows.fields.end() ? FieldRows::kMissing : found->At(row);
      if (cell != FieldRows::kMissing) {
        by_model[j][found->values()[cell]].push_back(-log_p[j][row]);
      }
    }
    if (by_model[j].empty()) ++n_without;
    for (const auto& [value, nll] : by_model[j]) values.insert(value);
  }
  if (n_without > 0) {
    warn(
        fmt::format("the documents of {} of {} models lack it: names are those of the document, "
                    "nested ones with dots",
                    n_without, n_with_log_p));
  }
  std::vector<std::string> small;
  for (const std::string& value : values) {
    VerdictPart part;
    part.stratum = fmt::format("{}={}", field, value);
    part.item_share = 0;
    part.models.resize(models.size());
    size_t n_models = 0;
    bool is_small = false;
    for (size_t j = 0; j < models.size(); ++j) {
      const auto found = by_model[j].find(value);
      if (found == by_model[j].end()) continue;
      is_small = is_small || static_cast<double>(found->second.size()) < kPartMinItems;
      SetValue(found->second, n_items[j], part.models[j], part);
      n_models += part.models[j].n > 0 ? 1 : 0;
    }
    if (is_small || n_models < metrics::kVerdictMinScales) {
      small.push_back(value);
    } else {
      out.parts.push_back(std::move(part));
    }
  }
  if (small.empty()) return;
  constexpr size_t kNamed = 5;
  const size_t n_small = small.size();
  small.resize(std::min(n_small, kNamed));
  warn(
      fmt::format("{} of {} values have less than {} samples in a model, or are in less than {} "
                  "models, and were not looked at: {}{}",
                  n_small, values.size(), kPartMinItems, metrics::kVerdictMinScales,
                  fmt::join(small, ", "), n_small > kNamed ? ", …" : ""));
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

std::vector<double> LogPOf(const ModelSamples& samples) {
  if (samples.task == nullptr) return {};
  std::vector<double> own = samples.task->rows().log_p;
  if (samples.companion != nullptr && samples.match != nullptr) {
    std::fill(own.begin(), own.end(), std::numeric_limits<double>::quiet_NaN());
    const std::vector<double>& log_p = samples.companion->rows().log_p;
    for (const auto& [row, partner] : samples.match->rows) own[row] = log_p[partner];
  } else if (!samples.task->Withheld().empty()) {
    return {};
  }
  const bool has_any =
      std::any_of(own.begin(), own.end(), [](double log_p) { return !std::isnan(log_p); });
  return has_any ? own : std::vector<double>();
}

Strata StrataOf(std::span<const ModelSamples> models, std::span<const std::string> fields) {
  std::vector<std::vector<double>> log_p;
  log_p.reserve(models.size());
  for (const ModelSamples& samples : models) log_p.push_back(LogPOf(samples));
  Strata out;
  if (std::all_of(log_p.begin(), log_p.end(), [](const auto& column) { return column.empty(); })) {
    out.warnings.emplace_back("no log-probabilities of the samples: strata were not looked at");
    return out;
  }
  for (const std::string& field : fields) AddStrata(models, log_p, field, out);
  return out;
}

std::vector<VerdictPart> GainGroupsOf(std::span<const ModelSamples> models,
                                      std::span<const double> x) {
  std::vector<size_t> which;
  std::vector<double> places;
  std::vector<const SampleRows*> rows;
  std::vector<std::vector<double>> log_p;
  for (size_t j = 0; j < models.size(); ++j) {
    std::vector<double> own = LogPOf(models[j]);
    if (own.empty()) continue;
    which.push_back(j);
    places.push_back(x[j]);
    rows.push_back(&models[j].task->rows());
    log_p.push_back(std::move(own));
  }
  const std::vector<std::vector<uint32_t>> joined = JoinSamples(rows);
  std::vector<std::vector<double>> nll(which.size());
  const size_t n_joined = joined.empty() ? 0 : joined[0].size();
  for (size_t i = 0; i < n_joined; ++i) {
    bool has_all = true;
    for (size_t k = 0; k < which.size(); ++k) {
      has_all = has_all && !std::isnan(log_p[k][joined[k][i]]);
    }
    if (!has_all) continue;
    for (size_t k = 0; k < which.size(); ++k) nll[k].push_back(-log_p[k][joined[k][i]]);
  }
  if (nll.empty() || static_cast<double>(nll[0].size()) < 2 * kPartMinItems) return {};
  // Fails for too few places alone.
  const auto groups = metrics::GroupByGain(nll, places);
  if (!groups.ok()) return {};
  std::vector<VerdictPart> parts;
  for (const bool is_large : {true, false}) {
    VerdictPart part;
    part.stratum = std::string(metrics::kGainField) + (is_large ? "=large" : "=small");
    part.item_share = 0;
    part.models.resize(models.size());
    for (size_t k = 0; k < which.size(); ++k) {
      std::vector<double> own;
      for (size_t i = 0; i < nll[k].size(); ++i) {
        if (groups->IsLarge(k, i) == is_large) own.push_back(nll[k][i]);
      }
      SetValue(own, nll[k].size(), part.models[which[k]], part);
    }
    if (part.item_share > 0) parts.push_back(std::move(part));
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
