#include "server/engine/sample_steps.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <set>
#include <utility>

#include "server/engine/sample_join.h"
#include "server/engine/sample_rows.h"

namespace mirage::server {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// The columns of one model; empty where it has none.
struct Columns {
  const SampleRows* rows = nullptr;
  std::vector<double> log_p;
  std::span<const double> log_p_wrong;
  std::span<const double> scores;
};

bool HasAny(std::span<const double> column) {
  return std::any_of(column.begin(), column.end(), [](double v) { return !std::isnan(v); });
}

Columns ColumnsOf(const ModelSamples& samples, std::string_view metric) {
  Columns columns;
  if (samples.task == nullptr) return columns;
  columns.rows = &samples.task->rows();
  const auto& reported = samples.task->reported();
  const auto found = std::find_if(reported.begin(), reported.end(),
                                  [&](const auto& one) { return one.metric == metric; });
  if (found != reported.end()) {
    columns.scores = columns.rows->reported[static_cast<size_t>(found - reported.begin())];
  }
  columns.log_p = LogPOf(samples);
  if (samples.companion == nullptr) columns.log_p_wrong = columns.rows->log_p_wrong;
  if (!HasAny(columns.scores)) columns.scores = {};
  return columns;
}

// Softmax over the choices: the gold's mass among all of theirs.
double ShareOfChoices(double log_p, double log_p_wrong) {
  return 1 / (1 + std::exp(log_p_wrong - log_p));
}

class StepMaker {
 public:
  StepMaker(std::span<const ModelSamples> models, std::span<const double> x,
            std::string_view metric) {
    std::vector<Columns> all;
    std::vector<size_t> scored;
    std::vector<size_t> complete;
    for (size_t j = 0; j < models.size(); ++j) {
      const Columns& columns = all.emplace_back(ColumnsOf(models[j], metric));
      if (columns.scores.empty()) continue;
      scored.push_back(j);
      if (!columns.log_p.empty()) complete.push_back(j);
    }
    has_log_p_ = Places(complete, x) >= metrics::kCorrelationMinScales;
    std::vector<const SampleRows*> rows;
    for (const size_t j : has_log_p_ ? complete : scored) {
      rows.push_back(all[j].rows);
      x_.push_back(x[j]);
      is_choice_ = models[j].task->evidence() == metrics::Evidence::kChoices;
      columns_.push_back(std::move(all[j]));
    }
    joined_ = JoinSamples(rows);
  }

  std::vector<SampleStep> Make(std::string_view metric, bool higher_is_better) {
    if (has_log_p_) {
      Add(is_choice_ ? "log_p_gold" : "log_p_target", true,
          [](const Columns& c, size_t row) { return c.log_p[row]; });
      Add(is_choice_ ? "p_gold" : "p_target", true,
          [](const Columns& c, size_t row) { return std::exp(c.log_p[row]); });
    }
    if (has_log_p_ && is_choice_) {
      Add("p_gold_choices", true, [](const Columns& c, size_t row) {
        return c.log_p_wrong.empty() ? kNan : ShareOfChoices(c.log_p[row], c.log_p_wrong[row]);
      });
      Add("p_wrong_mass", false, [](const Columns& c, size_t row) {
        return c.log_p_wrong.empty() ? kNan : std::exp(c.log_p_wrong[row]);
      });
    }
    Add(metric, higher_is_better, [](const Columns& c, size_t row) { return c.scores[row]; });
    return std::move(steps_);
  }

 private:
  static size_t Places(const std::vector<size_t>& models, std::span<const double> x) {
    std::set<double> places;
    for (const size_t j : models) places.insert(x[j]);
    return places.size();
  }

  void Add(std::string_view metric, bool higher_is_better,
           const std::function<double(const Columns&, size_t)>& number) {
    std::vector<std::vector<double>> numbers(columns_.size());
    for (size_t j = 0; j < columns_.size(); ++j) {
      numbers[j].reserve(joined_[j].size());
      for (const uint32_t row : joined_[j]) numbers[j].push_back(number(columns_[j], row));
    }
    const auto found = metrics::CorrelateSamples(numbers, x_, higher_is_better);
    // Too few places: there is nothing to say.
    if (!found.ok() || found->n + found->n_constant == 0) return;
    steps_.push_back({std::string(metric), *found});
  }

  std::vector<Columns> columns_;
  std::vector<double> x_;
  bool has_log_p_ = false;
  bool is_choice_ = false;
  std::vector<std::vector<uint32_t>> joined_;
  std::vector<SampleStep> steps_;
};

}  // namespace

std::vector<SampleStep> StepsOf(std::span<const ModelSamples> models, std::span<const double> x,
                                std::string_view metric, bool higher_is_better) {
  return StepMaker(models, x, metric).Make(metric, higher_is_better);
}

}  // namespace mirage::server
