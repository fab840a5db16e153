#include "server/engine/plan.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "fmt/format.h"
#include "metrics/emergence/verdict.h"

namespace mirage::server {
namespace {

constexpr double kDefaultPower = 0.8;
constexpr double kDefaultLevel = 0.95;
constexpr std::string_view kLookElsewhere = "LOOK_ELSEWHERE";
// The largest count that a message holds.
constexpr double kMaxCount = 4294967295.0;

uint32_t Count(double n) { return static_cast<uint32_t>(std::clamp(n, 0.0, kMaxCount)); }

void AddReason(const metrics::VerdictReason& reason, v1::Plan& plan) {
  v1::Reason* const to = plan.add_reasons();
  to->set_code(std::string(reason.code));
  to->set_text(reason.text);
  for (const auto& [key, value] : reason.values) {
    v1::NamedValue* const named = to->add_values();
    named->set_name(std::string(key));
    named->set_value(value);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<SeriesPlans>> SeriesPlans::Create(const v1::PlanOptions& options,
                                                                 int threads) {
  auto made = std::unique_ptr<SeriesPlans>(new SeriesPlans());
  metrics::PlanOptions& plan = made->options_;
  plan.delta = options.delta();
  plan.power = options.power() == 0 ? kDefaultPower : options.power();
  plan.level = options.level() == 0 ? kDefaultLevel : options.level();
  plan.seed = options.diagnose().seed();
  plan.threads = std::max(1, threads);
  if (options.diagnose().has_hold_out()) {
    plan.hold_out = static_cast<int>(std::min(options.diagnose().hold_out(), uint32_t{3}));
  }
  if (const absl::Status status = metrics::CheckPlanOptions(plan); !status.ok()) {
    return absl::InvalidArgumentError(fmt::format("options.{}", std::string(status.message())));
  }
  made->by_loss_ = options.diagnose().x_axis() == "loss";
  auto diagnosis = SeriesDiagnosis::Create(options.diagnose());
  if (!diagnosis.ok()) return diagnosis.status();
  made->diagnosis_ = *std::move(diagnosis);
  return made;
}

size_t SeriesPlans::n_done() const {
  const size_t n_diagnosed = is_diagnosed_ ? n_series() : diagnosis_->n_done();
  return (n_diagnosed + plans_.size()) / 2;
}

absl::Status SeriesPlans::Step() {
  if (!is_diagnosed_) {
    if (absl::Status status = diagnosis_->Step(); !status.ok()) return status;
    if (diagnosis_->n_done() < diagnosis_->n_series()) return absl::OkStatus();
    if (absl::Status status = diagnosis_->Finish(); !status.ok()) return status;
    is_diagnosed_ = true;
    for (size_t i = 0; i < diagnosis_->diagnoses().size(); ++i) {
      if (diagnosis_->diagnoses()[i].pooled_over().empty()) places_.push_back(i);
    }
    return absl::OkStatus();
  }
  if (planner_ == nullptr) {
    const SeriesDiagnosis::Judged& judged = diagnosis_->judged()[plans_.size()];
    auto planner = metrics::SeriesPlanner::Create(judged.series, judged.result, options_);
    if (!planner.ok()) return planner.status();
    planner_ = *std::move(planner);
  } else if (absl::Status status = planner_->Step(); !status.ok()) {
    return status;
  }
  if (planner_->is_done()) {
    Write();
    planner_ = nullptr;
  }
  return absl::OkStatus();
}

void SeriesPlans::Write() {
  const metrics::SeriesPlan& plan = planner_->plan();
  const v1::Diagnosis& diagnosis = diagnosis_->diagnoses()[places_[plans_.size()]];
  const SeriesDiagnosis::Judged& judged = diagnosis_->judged()[plans_.size()];
  v1::Plan out;
  out.set_family(diagnosis.family());
  out.set_task(diagnosis.task());
  out.set_filter(diagnosis.filter());
  out.set_metric(diagnosis.metric());
  if (diagnosis.has_target_length()) out.set_target_length(diagnosis.target_length());
  if (diagnosis.has_shots()) out.set_shots(diagnosis.shots());
  if (diagnosis.has_temperature()) out.set_temperature(diagnosis.temperature());
  out.set_verdict(diagnosis.verdict());
  out.set_delta(plan.delta);
  out.set_power(options_.power);
  out.set_level(options_.level);
  if (plan.detectable) out.set_detectable(*plan.detectable);
  for (const metrics::PlannedItems& items : plan.items) {
    v1::SamplesNeeded* const needed = out.add_samples_needed();
    needed->set_model(judged.scales[items.model].model());
    needed->set_n(Count(items.n));
    needed->set_to_resolve(items.to_resolve);
  }
  for (const metrics::PlannedModel& model : plan.scales) {
    v1::PlannedScale* const scale = out.add_scales();
    scale->set_scale(by_loss_ ? 1 / model.scale : model.scale);
    scale->set_n(Count(std::round(model.n.value_or(0))));
    if (model.p_decided) scale->set_p_decided(*model.p_decided);
    scale->set_reason(model.reason);
  }
  out.set_seeds_needed(static_cast<uint32_t>(plan.seeds_needed));
  if (!diagnosis.reasons().empty() && diagnosis.reasons(0).code() == kLookElsewhere) {
    v1::Reason& reason = *out.add_reasons();
    reason.set_code(std::string(kLookElsewhere));
    reason.set_text(fmt::format(
        "{}: name the series before looking and plan it alone, or add what makes its break surer",
        diagnosis.reasons(0).text()));
    *reason.mutable_values() = diagnosis.reasons(0).values();
  }
  for (const metrics::VerdictReason& reason : plan.reasons) {
    if (out.reasons_size() > 0 && reason.code == "ALREADY_DECIDED") continue;
    AddReason(reason, out);
  }
  plans_.push_back(std::move(out));
}

}  // namespace mirage::server
