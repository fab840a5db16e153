// Figures for the documentation: bazel run //metrics/stats:stats_benchmark.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "benchmark/benchmark.h"
#include "metrics/stats/bootstrap.h"
#include "metrics/stats/exact_sum.h"
#include "metrics/stats/hypothesis.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/moments.h"
#include "metrics/stats/paired.h"
#include "metrics/stats/permutation.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

std::vector<double> Values(size_t n) {
  CounterRng rng(1, 0);
  std::vector<double> values(n);
  for (double& x : values) x = std::log1p(-rng.Uniform());
  return values;
}

void PerItem(benchmark::State& state, size_t n) {
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(n));
}

void BmExactSumAdd(benchmark::State& state) {
  const std::vector<double> values = Values(4096);
  ExactSum sum;
  for (auto _ : state) {
    for (double x : values) sum.Add(x);
  }
  benchmark::DoNotOptimize(sum.Round());
  PerItem(state, values.size());
}
BENCHMARK(BmExactSumAdd);

void BmExactSumAddSquare(benchmark::State& state) {
  const std::vector<double> values = Values(4096);
  ExactSum sum;
  for (auto _ : state) {
    for (double x : values) sum.AddSquare(x);
  }
  benchmark::DoNotOptimize(sum.Round());
  PerItem(state, values.size());
}
BENCHMARK(BmExactSumAddSquare);

void BmExactSumMerge(benchmark::State& state) {
  ExactSum sum;
  ExactSum other;
  for (double x : Values(4096)) other.Add(x);
  for (auto _ : state) sum.Merge(other);
  benchmark::DoNotOptimize(sum.Round());
}
BENCHMARK(BmExactSumMerge);

void BmExactSumRound(benchmark::State& state) {
  ExactSum sum;
  for (double x : Values(4096)) sum.Add(x);
  for (auto _ : state) benchmark::DoNotOptimize(sum.Round());
}
BENCHMARK(BmExactSumRound);

void BmMomentsAdd(benchmark::State& state) {
  const std::vector<double> values = Values(4096);
  Moments moments;
  for (auto _ : state) {
    for (double x : values) moments.Add(x);
  }
  benchmark::DoNotOptimize(moments.mean());
  PerItem(state, values.size());
}
BENCHMARK(BmMomentsAdd);

// A batch of a sample file's column.
void BmMomentsAddAll(benchmark::State& state) {
  std::vector<double> xs(1000);
  for (size_t i = 0; i < xs.size(); ++i) xs[i] = -0.01 * static_cast<double>(1 + i * i % 997);
  Moments moments;
  for (auto _ : state) moments.AddAll(xs);
  benchmark::DoNotOptimize(moments);
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(xs.size()));
}
BENCHMARK(BmMomentsAddAll);

void BmMomentsStandardError(benchmark::State& state) {
  Moments moments;
  for (double x : Values(4096)) moments.Add(x);
  for (auto _ : state) benchmark::DoNotOptimize(moments.standard_error());
}
BENCHMARK(BmMomentsStandardError);

void BmRatioMomentsAdd(benchmark::State& state) {
  const std::vector<double> values = Values(4096);
  RatioMoments moments;
  for (auto _ : state) {
    for (double x : values) moments.Add(x, 7);
  }
  benchmark::DoNotOptimize(moments.ratio());
  PerItem(state, values.size());
}
BENCHMARK(BmRatioMomentsAdd);

// 1000 replicates of three columns.
void BmBootstrapOfMeans(benchmark::State& state) {
  const std::vector<double> rows = Values(3 * static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(BootstrapOfMeans(
        rows, 3, [](std::span<const double> m) { return (m[0] - m[1]) / m[2]; }, {.seed = 1}));
  }
}
BENCHMARK(BmBootstrapOfMeans)
    ->Arg(100)
    ->Arg(1000)
    ->Arg(10'000)
    ->Arg(1'000'000)
    ->Unit(benchmark::kMillisecond);

void BmBootstrapOfCounts(benchmark::State& state) {
  const std::vector<uint64_t> counts = {400, 800, 10'200};
  for (auto _ : state) {
    benchmark::DoNotOptimize(BootstrapOfCounts(
        counts, [](std::span<const double> drawn) { return drawn[0]; }, {.seed = 1}));
  }
}
BENCHMARK(BmBootstrapOfCounts)->Unit(benchmark::kMillisecond);

// BCa of the mean of 100 000 values from 10 000 resamples, every row drawn singly.
void BmBcaOfMean(benchmark::State& state) {
  const std::vector<double> rows = Values(100'000);
  for (auto _ : state) {
    benchmark::DoNotOptimize(BootstrapOfMeans(rows, 1,
                                              [](std::span<const double> m) { return m[0]; },
                                              {.seed = 1,
                                               .replicates = 10'000,
                                               .level = 0.95,
                                               .interval = BootstrapInterval::kBca,
                                               .threads = static_cast<int>(state.range(0)),
                                               .max_rows_singly = rows.size()}));
  }
}
BENCHMARK(BmBcaOfMean)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

// The sign-flip test of 100 000 differences from 10 000 permutations.
void BmPairedPermutation(benchmark::State& state) {
  std::vector<double> differences = Values(100'000);
  for (double& x : differences) x += 1;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        PairedPermutation(differences, Alternative::kTwoSided,
                          {.seed = 1, .threads = static_cast<int>(state.range(0))}));
  }
}
BENCHMARK(BmPairedPermutation)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

void BmPairedMomentsAdd(benchmark::State& state) {
  const std::vector<double> values = Values(4096);
  PairedMoments pairs;
  for (auto _ : state) {
    for (size_t i = 0; i + 1 < values.size(); ++i) pairs.Add(values[i], values[i + 1]);
  }
  benchmark::DoNotOptimize(pairs.mean_difference());
  PerItem(state, values.size() - 1);
}
BENCHMARK(BmPairedMomentsAdd);

void BmClopperPearson(benchmark::State& state) {
  uint64_t k = 0;
  for (auto _ : state) benchmark::DoNotOptimize(ClopperPearson(k++ % 1001, 1000, 0.95));
}
BENCHMARK(BmClopperPearson);

}  // namespace
}  // namespace mirage::metrics
