// Predictions of large models' accuracies from a ladder of small ones, by several methods. Mirage's
// side of tests/studies/ladder_prediction.py, which says what it is for; prints JSON.
//
//   ladder_prediction FILE
//
// FILE is {"cases": [{"runs": [{"parameters", "tokens", "flops", "bits", "nll", "accuracy"}],
// "links": [{"bits", "nll", "accuracy"}], "targets": [{"parameters", "tokens", "flops"}]}]}: `runs`
// are finished trainings, `links` checkpoints, `bits` the bits per byte of the gold answer, `nll`
// minus the mean log of its probability among the choices. The answer is {"cases": [{METHOD:
// [accuracy, ...]}]}, in the order of the targets; a method that cannot be fitted is absent.
//
// Methods:
// - two_step: bits = ladder(N, D), by Huber's loss on logarithms; accuracy = logistic link of bits,
//   over the checkpoints and the ideal point (0 bits, accuracy 1). Bhagia et al. (2024).
// - two_step_runs: the same, the link over the finished runs alone.
// - two_step_nll: the same as two_step by way of nll.
// - two_step_flops: bits = E + a FLOPs^-b in place of the ladder.
// - two_step_flops_runs: the same, the link over the finished runs alone.
// - two_step_flops_nll: the same as two_step_flops by way of nll.
// - direct_flops: accuracy = exp(-a FLOPs^-b). Krajewski et al. (2025).
// - direct_ladder: -ln accuracy = ladder(N, D).
// - error_ladder: 1 - accuracy = ladder(N, D).
// - forecast: the forecast of metrics/emergence/forecast.h over FLOPs.
// - mean: of two_step, two_step_nll, two_step_flops and two_step_flops_nll.

#include <CLI/CLI.hpp>
#include <array>
#include <cmath>
#include <cstddef>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "metrics/emergence/forecast.h"
#include "metrics/emergence/law_quantity.h"
#include "metrics/scaling/fit.h"
#include "metrics/scaling/laws.h"
#include "metrics/scaling/least_squares.h"
#include "nlohmann/json.hpp"

namespace mirage::metrics {
namespace {

using Json = nlohmann::ordered_json;
using Predictions = std::optional<std::vector<double>>;
// What is fitted at a run or checkpoint.
using Reading = std::function<double(const Json&)>;

// The law, fitted to `value` over the fields `axes` of the runs; its values at the targets.
Predictions Fit(Law law, Loss loss, const Json& runs, const Json& targets,
                const std::vector<std::string>& axes, const Reading& value) {
  Curve curve;
  for (const Json& run : runs) {
    for (const std::string& axis : axes) curve.x.push_back(run.at(axis));
    curve.y.push_back(value(run));
  }
  FitOptions options;
  options.loss = loss;
  const absl::StatusOr<LawFit> fit = FitLaw(law, curve, options);
  if (!fit.ok()) {
    std::cerr << "ladder_prediction: " << LawName(law) << ": " << fit.status().message() << '\n';
    return std::nullopt;
  }
  std::vector<double> out;
  for (const Json& target : targets) {
    std::vector<double> x;
    x.reserve(axes.size());
    for (const std::string& axis : axes) x.push_back(target.at(axis));
    out.push_back(EvaluateLaw(law, fit->parameters, x));
  }
  return out;
}

Reading Field(const std::string& name) {
  return [name](const Json& run) { return run.at(name).get<double>(); };
}

// From predicted losses to accuracies.
Predictions Link(const Predictions& losses, const Json& links, const std::string& axis) {
  if (!losses) return std::nullopt;
  Json points = links;
  points.push_back({{axis, 0.0}, {"accuracy", 1.0}});
  Json targets = Json::array();
  for (const double loss : *losses) targets.push_back({{axis, loss}});
  return Fit(Law::kLogisticLink, Loss::kSquared, points, targets, {axis}, Field("accuracy"));
}

Predictions Map(Predictions values, double (*function)(double)) {
  if (values) {
    for (double& value : *values) value = function(value);
  }
  return values;
}

Predictions Forecast(const Json& runs, const Json& targets) {
  std::vector<ForecastModel> models;
  for (const Json& run : runs) models.push_back({run.at("flops"), run.at("accuracy"), {}, {}});
  const absl::StatusOr<SharpForecast> forecast =
      SharpForecast::Create(models, CurveMetric{}, ForecastOptions{});
  if (!forecast.ok()) return std::nullopt;
  std::vector<double> out;
  for (const Json& target : targets) {
    const absl::StatusOr<ForecastValue> value = forecast->At(target.at("flops"), std::nullopt);
    if (!value.ok()) return std::nullopt;
    out.push_back(value->value);
  }
  return out;
}

Json Predict(const Json& one) {
  const Json& runs = one.at("runs");
  const Json& links = one.at("links");
  const Json& targets = one.at("targets");
  const std::vector<std::string> both = {"parameters", "tokens"};
  const std::vector<std::string> flops = {"flops"};
  const auto ladder = [&](const Reading& value) {
    return Fit(Law::kLadder, Loss::kHuber, runs, targets, both, value);
  };
  const auto power = [&](const Reading& value) {
    return Fit(Law::kPowerLawFloor, Loss::kHuber, runs, targets, flops, value);
  };
  const Predictions bits = ladder(Field("bits"));
  const Predictions flops_bits = power(Field("bits"));
  std::vector<std::pair<std::string, Predictions>> found = {
      {"two_step", Link(bits, links, "bits")},
      {"two_step_runs", Link(bits, runs, "bits")},
      {"two_step_nll", Link(ladder(Field("nll")), links, "nll")},
      {"two_step_flops", Link(flops_bits, links, "bits")},
      {"two_step_flops_runs", Link(flops_bits, runs, "bits")},
      {"two_step_flops_nll", Link(power(Field("nll")), links, "nll")},
      {"direct_flops",
       Fit(Law::kLogAccuracyPowerLaw, Loss::kSquared, runs, targets, flops, Field("accuracy"))},
      {"direct_ladder",
       Map(ladder([](const Json& run) { return -std::log(run.at("accuracy").get<double>()); }),
           [](double value) { return std::exp(-value); })},
      {"error_ladder",
       Map(ladder([](const Json& run) { return 1 - run.at("accuracy").get<double>(); }),
           [](double value) { return 1 - value; })},
      {"forecast", Forecast(runs, targets)},
  };
  std::vector<double> sum(targets.size());
  double n = 0;
  for (const auto& [name, values] : found) {
    if (name != "two_step" && name != "two_step_nll" && name != "two_step_flops" &&
        name != "two_step_flops_nll") {
      continue;
    }
    if (!values) continue;
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += (*values)[i];
    ++n;
  }
  for (double& value : sum) value /= n;
  found.emplace_back("mean", n > 0 ? Predictions(sum) : std::nullopt);
  Json out = Json::object();
  for (const auto& [name, values] : found) {
    if (values) out[name] = *values;
  }
  return out;
}

int Main(int argc, char** argv) {
  std::string path;
  CLI::App app("Predictions of large models' accuracies from a ladder of small ones.");
  app.add_option("FILE", path, "the runs")->required();
  CLI11_PARSE(app, argc, argv);
  std::ifstream file(path);
  const Json input = Json::parse(file, nullptr, false);
  if (input.is_discarded()) {
    std::cerr << "ladder_prediction: " << path << " is no JSON\n";
    return 1;
  }
  Json out = Json::array();
  for (const Json& one : input.at("cases")) out.push_back(Predict(one));
  std::cout << Json{{"cases", out}}.dump() << '\n';
  return std::cout ? 0 : 4;
}

}  // namespace
}  // namespace mirage::metrics

int main(int argc, char** argv) { return mirage::metrics::Main(argc, argv); }
