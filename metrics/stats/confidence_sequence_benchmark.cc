// Figures for the documentation: bazel run //metrics/stats:confidence_sequence_benchmark.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "benchmark/benchmark.h"
#include "metrics/stats/confidence_sequence.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

std::vector<double> Scores(size_t n) {
  CounterRng rng(1, 0);
  std::vector<double> scores(n);
  for (double& x : scores) x = rng.Uniform() < 0.3 ? 1 : 0;
  return scores;
}

// A whole run of `range(0)` scores, Create included.
template <typename Sequence, typename Options>
void Run(benchmark::State& state, const Options& options) {
  const std::vector<double> scores = Scores(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    Sequence sequence = *Sequence::Create(options);
    for (const double x : scores) benchmark::DoNotOptimize(sequence.Add(x));
    benchmark::DoNotOptimize(sequence.interval());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

template <typename Sequence, typename Options>
void Interval(benchmark::State& state, const Options& options) {
  Sequence sequence = *Sequence::Create(options);
  for (const double x : Scores(1000)) benchmark::DoNotOptimize(sequence.Add(x));
  for (auto _ : state) benchmark::DoNotOptimize(sequence.interval());
}

template <typename Sequence, typename Options>
void Serialize(benchmark::State& state, const Options& options) {
  Sequence sequence = *Sequence::Create(options);
  for (const double x : Scores(1000)) benchmark::DoNotOptimize(sequence.Add(x));
  size_t bytes = 0;
  for (auto _ : state) bytes = sequence.Serialize().size();
  state.counters["bytes"] = static_cast<double>(bytes);
}

void BmNormalMixtureAdd(benchmark::State& state) {
  Run<SubGaussianSequence>(state, SubGaussianOptions{});
}
BENCHMARK(BmNormalMixtureAdd)->Arg(10'000);

void BmStitchedAdd(benchmark::State& state) {
  Run<SubGaussianSequence>(state, SubGaussianOptions{.boundary = SequenceBoundary::kStitched});
}
BENCHMARK(BmStitchedAdd)->Arg(10'000);

void BmEmpiricalBernsteinAdd(benchmark::State& state) {
  Run<EmpiricalBernsteinSequence>(state, EmpiricalBernsteinOptions{});
}
BENCHMARK(BmEmpiricalBernsteinAdd)->Arg(10'000);

void BmBettingAdd(benchmark::State& state) {
  Run<BettingSequence>(state, BettingOptions{.cells = static_cast<uint32_t>(state.range(1))});
}
BENCHMARK(BmBettingAdd)
    ->Args({100, 1000})
    ->Args({10'000, 1000})
    ->Args({100, 10'000})
    ->Args({1000, 10'000})
    ->Args({10'000, 10'000})
    ->Args({100'000, 10'000});

void BmBettingFiniteAdd(benchmark::State& state) {
  Run<BettingSequence>(state, BettingOptions{.population = static_cast<uint64_t>(state.range(0))});
}
BENCHMARK(BmBettingFiniteAdd)->Arg(1000)->Arg(10'000);

void BmAsymptoticAdd(benchmark::State& state) {
  Run<AsymptoticSequence>(state, AsymptoticOptions{});
}
BENCHMARK(BmAsymptoticAdd)->Arg(10'000);

void BmSubGaussianInterval(benchmark::State& state) {
  Interval<SubGaussianSequence>(state, SubGaussianOptions{});
}
BENCHMARK(BmSubGaussianInterval);

void BmEmpiricalBernsteinInterval(benchmark::State& state) {
  Interval<EmpiricalBernsteinSequence>(state, EmpiricalBernsteinOptions{});
}
BENCHMARK(BmEmpiricalBernsteinInterval);

void BmBettingInterval(benchmark::State& state) {
  Interval<BettingSequence>(state, BettingOptions{});
}
BENCHMARK(BmBettingInterval);

void BmAsymptoticInterval(benchmark::State& state) {
  Interval<AsymptoticSequence>(state, AsymptoticOptions{});
}
BENCHMARK(BmAsymptoticInterval);

void BmBettingSerialize(benchmark::State& state) {
  Serialize<BettingSequence>(state, BettingOptions{});
}
BENCHMARK(BmBettingSerialize);

}  // namespace
}  // namespace mirage::metrics
