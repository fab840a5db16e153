// A report to render: for tests.
#ifndef MIRAGE_CLIENT_RENDER_DIAGNOSE_EXAMPLE_H_
#define MIRAGE_CLIENT_RENDER_DIAGNOSE_EXAMPLE_H_

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "mirage/v1/emergence.pb.h"

namespace mirage::client {

inline void SetInterval(v1::Interval* interval, double lower, double upper, double level) {
  interval->set_lower(lower);
  interval->set_upper(upper);
  interval->set_level(level);
}

// The toy model of Schaeffer et al. (2023), figure 2, with targets of five tokens: NLL per token
// (N / 2e9)^-0.5, exact match exp(-5 NLL), of 1000 items each. The errors are round numbers.
inline v1::Diagnosis ExampleMirage() {
  v1::Diagnosis diagnosis;
  diagnosis.set_family("gpt3");
  diagnosis.set_task("addition");
  diagnosis.set_filter("none");
  diagnosis.set_metric("exact_match");
  diagnosis.set_target_length(5);
  diagnosis.set_shots(2);
  diagnosis.set_temperature(0);
  diagnosis.set_x_axis("parameters");
  diagnosis.set_counterpart("nll_per_token");
  diagnosis.add_other_counterparts("token_edit_distance");
  diagnosis.set_verdict(v1::Diagnosis::MIRAGE);
  diagnosis.set_strength(v1::Diagnosis::STRONG);
  const auto reason = [&](const char* code, const char* text) {
    v1::Reason* added = diagnosis.add_reasons();
    added->set_code(code);
    added->set_text(text);
  };
  reason("SMOOTH_LAW_PREDICTS",
         "the counterpart follows a smooth law, and that law predicts the curve at every scale, "
         "also the largest from the smaller ones");
  reason("EMERGENT_SHAPE", "the curve rises by 0.58, 3 % of it in the first 40 % of the scales");
  const std::pair<const char*, double> models[] = {
      {"125M", 125e6}, {"350M", 350e6}, {"760M", 760e6}, {"1.3B", 1.3e9},
      {"2.7B", 2.7e9}, {"6.7B", 6.7e9}, {"13B", 13e9},   {"175B", 175e9}};
  for (const auto& [name, n] : models) {
    const double nll = std::pow(n / 2e9, -0.5);
    const double exact = std::exp(-5 * nll);
    v1::DiagnosedScale* scale = diagnosis.add_scales();
    scale->set_model(std::string("gpt3-") + name);
    scale->set_scale(n);
    scale->set_n(1000);
    const double seen = std::round(exact * 1000) / 1000;
    scale->set_value(seen);
    SetInterval(scale->mutable_interval(), std::max(0.0, seen - 0.03), seen + 0.03, 0.95);
    scale->set_counterpart_value(nll);
    SetInterval(scale->mutable_counterpart_interval(), 0.95 * nll, 1.05 * nll, 0.95);
    scale->set_predicted(exact);
    SetInterval(scale->mutable_predicted_interval(), exact * exact, std::sqrt(exact), 0.9);
    scale->set_held_out(n > 100e9);
  }
  diagnosis.set_n_scales(8);
  diagnosis.set_emergence_score(9.616);
  diagnosis.set_emergence_score_null_p(0.0125);
  diagnosis.set_counterpart_emergence_score(2.807);
  diagnosis.set_q_value(0.43);
  v1::Fit* fit = diagnosis.add_fits();
  fit->set_law("power_law");
  fit->set_on("nll_per_token");
  fit->set_used(true);
  v1::FitParameter* parameter = fit->add_parameters();
  parameter->set_name("alpha");
  parameter->set_value(-0.5);
  parameter->set_stderr(0.0125);
  v1::Forecast* forecast = diagnosis.add_forecast();
  forecast->set_scale(1e12);
  forecast->set_value(0.7996);
  SetInterval(forecast->mutable_interval(), 0.71, 0.86, 0.9);
  const auto step = [&](const char* metric, uint32_t n, uint32_t n_constant, double median) {
    v1::SampleCorrelation* added = diagnosis.add_sample_correlations();
    added->set_metric(metric);
    added->set_n(n);
    added->set_n_constant(n_constant);
    if (n == 0) return;
    added->set_lower_quartile(median - 0.25);
    added->set_median(median);
    added->set_upper_quartile(median + 0.05);
    added->set_share_negative(0.0125);
  };
  step("log_p_target", 1000, 0, 0.93);
  step("exact_match", 590, 410, 0.61);
  v1::SamplesNeeded* needed = diagnosis.add_samples_needed();
  needed->set_model("gpt3-350M");
  needed->set_n(500000);
  needed->set_to_resolve(6.4e-6);
  return diagnosis;
}

// That, one whose counterpart breaks, one without anything but a reason.
inline v1::DiagnoseReport ExampleReport() {
  v1::DiagnoseReport report;
  report.set_generator("mirage test");
  *report.add_diagnoses() = ExampleMirage();
  v1::Diagnosis& broken = *report.add_diagnoses() = ExampleMirage();
  broken.set_task("modular");
  broken.set_verdict(v1::Diagnosis::BREAK_SURVIVES);
  broken.set_strength(v1::Diagnosis::WEAK);
  broken.mutable_reasons(0)->set_code("LAW_BREAKS");
  broken.mutable_reasons(0)->set_text("the counterpart's scaling law breaks too, near 4B");
  broken.clear_forecast();
  broken.clear_samples_needed();
  broken.clear_sample_correlations();
  v1::Break* found = broken.add_breaks();
  found->set_where(v1::Break::POSITION);
  found->set_position(0);
  found->set_from_end(true);
  found->set_scale(4e9);
  found->set_p_value(0.002);
  found->set_q_value(0.0123);
  for (v1::DiagnosedScale& scale : *broken.mutable_scales()) {
    scale.clear_predicted();
    scale.clear_predicted_interval();
  }
  v1::Diagnosis* none = report.add_diagnoses();
  none->set_family("default");
  none->set_task("riddles");
  none->set_filter("none");
  none->set_metric("acc");
  none->set_x_axis("parameters");
  none->set_verdict(v1::Diagnosis::INSUFFICIENT);
  v1::Reason* reason = none->add_reasons();
  reason->set_code("TOO_FEW_SCALES");
  reason->set_text("0 scales: a verdict needs 5");
  report.add_warnings("s.csv:12: column \"n\" is \"many\", which is no number");
  return report;
}

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_RENDER_DIAGNOSE_EXAMPLE_H_
