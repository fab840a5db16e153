// Figures for the documentation: bazel run //metrics/expression:expression_benchmark.
// items_per_second are rows.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "benchmark/benchmark.h"
#include "metrics/expression/expression.h"
#include "metrics/expression/expression_accumulator.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

constexpr std::string_view kNames[] = {"log_p_target", "target_bytes", "margin"};

void BmAddRows(benchmark::State& state, std::string_view text) {
  constexpr size_t kRows = 100'000;
  CounterRng rng(1, 0);
  std::vector<double> log_p(kRows);
  std::vector<double> bytes(kRows);
  std::vector<double> margin(kRows);
  for (size_t i = 0; i < kRows; ++i) {
    log_p[i] = 50 * std::log1p(-rng.Uniform());
    bytes[i] = 1 + static_cast<double>(rng.Below(200));
    margin[i] = rng.Uniform() - 0.5;
  }
  const std::span<const double> columns[] = {log_p, bytes, margin};
  const Expression expression = Expression::Parse(text, kNames).value();
  for (auto _ : state) {
    ExpressionAccumulator accumulator(expression);
    if (!accumulator.AddRows(columns).ok()) state.SkipWithError("AddRows");
    benchmark::DoNotOptimize(accumulator);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * kRows);
}

void BmParse(benchmark::State& state, std::string_view text) {
  for (auto _ : state) benchmark::DoNotOptimize(Expression::Parse(text, kNames));
}

constexpr std::string_view kMean = "mean(log_p_target / target_bytes)";
constexpr std::string_view kRatio = "-sum(log_p_target) / sum(target_bytes) / log(2)";
constexpr std::string_view kShare = "mean(margin > 0)";
constexpr std::string_view kQuantile = "quantile(log_p_target, 0.1)";
constexpr std::string_view kGuarded =
    "mean(if(target_bytes > 0 and isfinite(log_p_target), log_p_target / target_bytes, 0))";
constexpr std::string_view kExp = "mean(exp(log_p_target))";

BENCHMARK_CAPTURE(BmAddRows, mean, kMean);
BENCHMARK_CAPTURE(BmAddRows, ratio, kRatio);
BENCHMARK_CAPTURE(BmAddRows, share, kShare);
BENCHMARK_CAPTURE(BmAddRows, quantile, kQuantile);
BENCHMARK_CAPTURE(BmAddRows, guarded, kGuarded);
BENCHMARK_CAPTURE(BmAddRows, exp, kExp);
BENCHMARK_CAPTURE(BmParse, guarded, kGuarded);

}  // namespace
}  // namespace mirage::metrics
