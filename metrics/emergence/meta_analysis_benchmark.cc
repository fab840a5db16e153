// A meta-analysis of the size of BIG-Bench's: 220 tasks, 40 metrics, 10 families.
// bazel run //metrics/emergence:meta_analysis_benchmark

#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "benchmark/benchmark.h"
#include "metrics/emergence/curve.h"
#include "metrics/emergence/meta_analysis.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

constexpr size_t kSeries = 88'000;
// Of 40 metrics, those under which curves leap.
constexpr size_t kSuddenMetrics = 2;
// Series tested between two messages of progress.
constexpr size_t kStep = 64;

// Curves of 5 to `most` sizes, 2000 items each: exact match of five tokens, or noise about a line.
std::vector<MetaSeries> Series(size_t most) {
  std::vector<MetaSeries> all(kSeries);
  CounterRng rng(5, 1);
  for (size_t i = 0; i < kSeries; ++i) {
    MetaSeries& one = all[i];
    const size_t metric = i % 40;
    one.family = "f" + std::to_string(i / 40 % 10);
    one.task = "t" + std::to_string(i / 400);
    one.filter = "none";
    one.metric = "m" + std::to_string(metric);
    one.properties.sharp = metric % 2 == 0;
    one.properties.continuous = !one.properties.sharp;
    one.properties.proportion = true;
    const size_t n_sizes = 5 + i % (most - 4);
    for (size_t k = 0; k < n_sizes; ++k) {
      CurvePoint point;
      point.scale = 1e8 * std::pow(3.0, static_cast<double>(k));
      point.binomial_n = 2000;
      const double at = static_cast<double>(k) / static_cast<double>(n_sizes - 1);
      const double truth =
          metric < kSuddenMetrics ? std::exp(-8 * std::pow(1 - at, 0.7)) : 0.1 + 0.6 * at;
      point.value = DrawValue(truth, point, Scatter(), rng);
      one.points.push_back(point);
    }
  }
  return all;
}

// Arguments: threads, and the most sizes of a series.
void BmMetaAnalysis(benchmark::State& state) {
  const std::vector<MetaSeries> series = Series(static_cast<size_t>(state.range(1)));
  while (state.KeepRunning()) {
    auto analysis = MetaAnalyzer::Create(series, {.threads = static_cast<int>(state.range(0))});
    while (analysis->n_done() < analysis->n_series()) {
      if (!analysis->Step(kStep).ok()) return state.SkipWithError("a step failed");
    }
    auto result = analysis->Finish();
    state.counters["emergent"] = static_cast<double>(result->n_emergent);
  }
  state.counters["series"] = static_cast<double>(series.size());
}
BENCHMARK(BmMetaAnalysis)
    ->Args({1, 8})
    ->Args({2, 8})
    ->Args({2, 12})
    ->Unit(benchmark::kSecond)
    ->UseRealTime()
    ->Iterations(1);

}  // namespace
}  // namespace mirage::metrics
