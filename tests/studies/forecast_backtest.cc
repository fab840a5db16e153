// Forecasts of held-out models, beside two baselines. Mirage's side of
// tests/studies/forecast_backtest.py; prints JSON.
//
//   forecast_backtest FILE [--threads N]
//
// FILE is {"level", "series": [{"lower", "upper", "points": [{"scale", "value", "n"?,
// "standard_error"?}]}]}, higher values being better. Of each series the largest scale, and the
// largest two, are held out, as long as four are left, and forecast from the rest:
// {"series": [{"emergent", "scales", "rows": [{"held_out", "ahead", "value", "forecast", "carry",
// "line"}]}]}, each of the last three as [value, lower, upper]. `ahead` counts scales from the last
// one that was seen.
//
// Baselines see the mean of each scale, and have the intervals that are natural to them, within the
// metric's bounds:
// - carry: the last value. Its errors are those of a random walk: the root mean square of the steps
//   between scales, times the root of the number of scales ahead, times Student's quantile with as
//   many degrees of freedom as there are steps.
// - line: least squares on ln(scale), with Student's interval for a new observation.
//
// A series is emergent by the shape of the whole curve (curve_shape.h), held-out scales included.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "metrics/emergence/curve.h"
#include "metrics/emergence/curve_shape.h"
#include "metrics/emergence/forecast.h"
#include "metrics/emergence/law_quantity.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/parallel.h"
#include "nlohmann/json.hpp"

namespace mirage::metrics {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostHeldOut = 2;

struct Curve {
  double lower = 0;
  double upper = 1;
  // By ascending scale.
  std::vector<ForecastModel> models;
};

struct Means {
  std::vector<double> x;
  std::vector<double> y;
};

using Triple = std::array<double, 3>;

// Also from several threads, which nothing may be thrown across.
template <typename T>
T Value(absl::StatusOr<T> result) {
  if (!result.ok()) {
    std::cerr << "forecast_backtest: " << result.status().message() << std::endl;
    std::_Exit(1);
  }
  return *std::move(result);
}

std::optional<double> Field(const Json& object, std::string_view name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::nullopt;
  return found->get<double>();
}

Curve Read(const Json& series) {
  Curve curve;
  curve.lower = series.at("lower");
  curve.upper = series.at("upper");
  for (const Json& point : series.at("points")) {
    curve.models.push_back(
        {point.at("scale"), point.at("value"), Field(point, "n"), Field(point, "standard_error")});
  }
  std::stable_sort(
      curve.models.begin(), curve.models.end(),
      [](const ForecastModel& a, const ForecastModel& b) { return a.scale < b.scale; });
  return curve;
}

Means MeansOf(const std::vector<ForecastModel>& models) {
  Means means;
  for (size_t i = 0; i < models.size();) {
    size_t end = i;
    double sum = 0;
    while (end < models.size() && models[end].scale == models[i].scale) sum += models[end++].value;
    means.x.push_back(std::log(models[i].scale));
    means.y.push_back(sum / static_cast<double>(end - i));
    i = end;
  }
  return means;
}

Triple Within(const Curve& curve, double value, double half) {
  const auto clamp = [&](double v) { return std::clamp(v, curve.lower, curve.upper); };
  return {clamp(value), clamp(value - half), clamp(value + half)};
}

Triple Carry(const Curve& curve, const Means& seen, int ahead, double level) {
  double squares = 0;
  const size_t steps = seen.y.size() - 1;
  for (size_t i = 0; i < steps; ++i) squares += std::pow(seen.y[i + 1] - seen.y[i], 2);
  const double df = static_cast<double>(steps);
  return Within(curve, seen.y.back(),
                StudentUpperQuantile((1 - level) / 2, df) * std::sqrt(squares / df * ahead));
}

Triple Line(const Curve& curve, const Means& seen, double x, double level) {
  const double n = static_cast<double>(seen.x.size());
  double mean_x = 0;
  double mean_y = 0;
  for (size_t i = 0; i < seen.x.size(); ++i) {
    mean_x += seen.x[i] / n;
    mean_y += seen.y[i] / n;
  }
  double xx = 0;
  double xy = 0;
  for (size_t i = 0; i < seen.x.size(); ++i) {
    xx += std::pow(seen.x[i] - mean_x, 2);
    xy += (seen.x[i] - mean_x) * (seen.y[i] - mean_y);
  }
  const double slope = xy / xx;
  double squares = 0;
  for (size_t i = 0; i < seen.x.size(); ++i) {
    squares += std::pow(seen.y[i] - mean_y - slope * (seen.x[i] - mean_x), 2);
  }
  const double spread = std::sqrt(squares / (n - 2) * (1 + 1 / n + std::pow(x - mean_x, 2) / xx));
  return Within(curve, mean_y + slope * (x - mean_x),
                StudentUpperQuantile((1 - level) / 2, n - 2) * spread);
}

bool IsEmergent(const Curve& curve, const Means& means) {
  // The items of the models of one scale together.
  std::map<double, std::optional<double>> items;
  for (const ForecastModel& one : curve.models) {
    const double x = std::log(one.scale);
    const auto [place, is_new] = items.try_emplace(x, one.n);
    if (!is_new) place->second.reset();
  }
  const bool is_share = curve.lower == 0 && curve.upper == 1;
  std::vector<CurvePoint> points;
  for (size_t i = 0; i < means.x.size(); ++i) {
    CurvePoint point;
    point.scale = std::exp(means.x[i]);
    point.value = means.y[i];
    if (const std::optional<double> n = items[means.x[i]]; is_share && n) {
      point.binomial_n = static_cast<uint64_t>(*n);
    }
    points.push_back(point);
  }
  ShapeOptions options;
  options.metric_range = curve.upper - curve.lower;
  return Value(ShapeOf(points, options)).is_emergent;
}

Json Rows(const Curve& curve, double level) {
  const Means all = MeansOf(curve.models);
  CurveMetric metric;
  metric.lower_bound = curve.lower;
  metric.upper_bound = curve.upper;
  Json rows = Json::array();
  for (size_t held_out = 1; held_out <= kMostHeldOut; ++held_out) {
    if (all.x.size() < held_out + kForecastMinScales) continue;
    const size_t kept = all.x.size() - held_out;
    const Means seen = {{all.x.begin(), all.x.begin() + static_cast<std::ptrdiff_t>(kept)},
                        {all.y.begin(), all.y.begin() + static_cast<std::ptrdiff_t>(kept)}};
    std::vector<ForecastModel> small;
    for (const ForecastModel& one : curve.models) {
      if (std::log(one.scale) < all.x[kept]) small.push_back(one);
    }
    const SharpForecast forecast = Value(SharpForecast::Create(small, metric, {.level = level}));
    for (const ForecastModel& one : curve.models) {
      const double x = std::log(one.scale);
      if (x < all.x[kept]) continue;
      const int ahead = x == all.x[kept] ? 1 : 2;
      const ForecastValue ours = Value(forecast.At(one.scale, one.n));
      rows.push_back({{"held_out", held_out},
                      {"ahead", ahead},
                      {"value", one.value},
                      {"forecast", {ours.value, ours.lower, ours.upper}},
                      {"carry", Carry(curve, seen, ahead, level)},
                      {"line", Line(curve, seen, x, level)}});
    }
  }
  return {{"emergent", IsEmergent(curve, all)}, {"scales", all.x.size()}, {"rows", rows}};
}

int Main(int argc, char** argv) {
  std::string path;
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  CLI::App app("Forecasts of held-out models, beside two baselines.");
  app.add_option("FILE", path, "the series")->required();
  app.add_option("--threads", threads, "the figures do not depend on it");
  CLI11_PARSE(app, argc, argv);
  std::ifstream file(path);
  const Json input = Json::parse(file, nullptr, false);
  if (input.is_discarded()) {
    std::cerr << "forecast_backtest: " << path << " is no JSON\n";
    return 1;
  }
  const double level = input.at("level");
  const Json& series = input.at("series");
  std::vector<Json> out(series.size());
  ParallelFor(series.size(), threads, [&](size_t i) { out[i] = Rows(Read(series[i]), level); });
  std::cout << Json{{"series", out}}.dump() << '\n';
  return std::cout ? 0 : 4;
}

}  // namespace
}  // namespace mirage::metrics

int main(int argc, char** argv) { return mirage::metrics::Main(argc, argv); }
