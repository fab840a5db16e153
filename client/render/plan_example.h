// A small plan to render: for tests.
#ifndef MIRAGE_CLIENT_RENDER_PLAN_EXAMPLE_H_
#define MIRAGE_CLIENT_RENDER_PLAN_EXAMPLE_H_

#include <cstdint>
#include <string>

#include "mirage/v1/emergence.pb.h"

namespace mirage::client {

inline v1::Plan ExamplePlan() {
  v1::Plan plan;
  plan.set_family("default");
  plan.set_task("<add>");
  plan.set_filter("none");
  plan.set_metric("exact_match");
  plan.set_target_length(5);
  plan.set_verdict(v1::Diagnosis::INSUFFICIENT);
  plan.set_delta(0.159);
  plan.set_power(0.8);
  plan.set_level(0.95);
  plan.set_detectable(0.0827);
  plan.set_seeds_needed(3);
  const auto reason = [&](const char* code, const char* text) {
    v1::Reason& one = *plan.add_reasons();
    one.set_code(code);
    one.set_text(text);
  };
  reason("MORE_SCALES", "2 more sizes decide it in 83 % of 60 draws");
  reason("MORE_SEEDS", "3 trainings of each size");
  const auto scale = [&](double at, double p, const char* why) {
    v1::PlannedScale& one = *plan.add_scales();
    one.set_scale(at);
    one.set_n(500);
    if (p > 0) one.set_p_decided(p);
    one.set_reason(why);
  };
  scale(5.9e8, 0, "between 331M and 1.06B, where the counterpart's law may break");
  scale(3.5e10, 0.83, "above the largest, to be predicted from the others");
  const auto items = [&](const char* model, uint32_t n, double value) {
    v1::SamplesNeeded& one = *plan.add_samples_needed();
    one.set_model(model);
    one.set_n(n);
    one.set_to_resolve(value);
  };
  items("tiny", UINT32_MAX, 1e-12);
  items("large", 4, 0.633);
  return plan;
}

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_RENDER_PLAN_EXAMPLE_H_
