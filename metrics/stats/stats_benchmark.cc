// Figures for the documentation: bazel run //metrics/stats:stats_benchmark. What carries values as
// counters is measured beside others by tests/benchmarks/statistics_vs_peers.py, on the same data.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "benchmark/benchmark.h"
#include "metrics/stats/bootstrap.h"
#include "metrics/stats/bootstrap_of_mean.h"
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

// splitmix64: short enough to be the same in the script.
class Uniforms {
 public:
  explicit Uniforms(uint64_t seed) : state_(seed) {}
  double Next() {
    state_ += 0x9E3779B97F4A7C15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
  }

 private:
  uint64_t state_;
};

// The scores of two systems on the same items, of the same expectation: 0 or 1, or skewed and
// between them.
struct Scores {
  std::vector<double> first;
  std::vector<double> second;
};

Scores MakeScores(size_t n, bool binary) {
  Uniforms uniforms(n);
  Scores scores{std::vector<double>(n), std::vector<double>(n)};
  for (size_t i = 0; i < n; ++i) {
    const double u = uniforms.Next();
    const double v = uniforms.Next();
    const double w = uniforms.Next();
    scores.first[i] = binary ? (u < 0.7 ? 1 : 0) : u * u;
    scores.second[i] =
        binary ? (w < 0.75 ? scores.first[i] : (v < 0.7 ? 1 : 0)) : (scores.first[i] + v * v) / 2;
  }
  return scores;
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

// BCa of the mean from 10 000 resamples, every row drawn singly.
absl::StatusOr<BootstrapResult> BcaOfMean(std::span<const double> rows, int threads) {
  return BootstrapOfMeans(rows, 1, [](std::span<const double> means) { return means[0]; },
                          {.seed = 1,
                           .replicates = 10'000,
                           .level = 0.95,
                           .interval = BootstrapInterval::kBca,
                           .threads = threads,
                           .max_rows_singly = rows.size()});
}

// The interval as counters, for the comparison with peers.
void Show(const absl::StatusOr<BootstrapResult>& result, benchmark::State& state) {
  if (!result.ok()) return state.SkipWithError(std::string(result.status().message()).c_str());
  state.counters["estimate"] = result->estimate;
  state.counters["lower"] = result->interval.lower;
  state.counters["upper"] = result->interval.upper;
  state.counters["standard_error"] = result->standard_error;
}

// Arguments: rows, threads.
void BmBcaOfMean(benchmark::State& state) {
  const std::vector<double> rows = MakeScores(static_cast<size_t>(state.range(0)), false).first;
  absl::StatusOr<BootstrapResult> result;
  for (auto _ : state) {
    result = BcaOfMean(rows, static_cast<int>(state.range(1)));
    benchmark::DoNotOptimize(result);
  }
  Show(result, state);
}
BENCHMARK(BmBcaOfMean)
    ->Args({1000, 1})
    ->Args({1000, 2})
    ->Args({100'000, 1})
    ->Args({100'000, 2})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// The same in the limit of infinitely many resamples.
void BmIdealBcaOfMean(benchmark::State& state) {
  const std::vector<double> rows = MakeScores(static_cast<size_t>(state.range(0)), false).first;
  absl::StatusOr<BootstrapResult> result;
  for (auto _ : state) {
    result = BootstrapOfMean(rows, {.level = 0.95,
                                    .interval = BootstrapInterval::kBca,
                                    .threads = static_cast<int>(state.range(1))});
    benchmark::DoNotOptimize(result);
  }
  Show(result, state);
}
BENCHMARK(BmIdealBcaOfMean)
    ->Args({1000, 1})
    ->Args({1000, 2})
    ->Args({100'000, 1})
    ->Args({100'000, 2})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// A whole comparison of two columns: moments, Student's interval, sign-flip test and BCa interval
// of the mean difference; where permutations or resamples are random, 10 000 of them. Arguments: 1
// where scores are 0 or 1, pairs, threads.
void BmPairedComparison(benchmark::State& state) {
  const Scores scores = MakeScores(static_cast<size_t>(state.range(1)), state.range(0) != 0);
  const int threads = static_cast<int>(state.range(2));
  const size_t n = scores.first.size();
  absl::StatusOr<ConfidenceInterval> interval;
  absl::StatusOr<PermutationResult> permutation;
  absl::StatusOr<BootstrapResult> bootstrap;
  for (auto _ : state) {
    PairedMoments pairs;
    std::vector<double> differences(n);
    for (size_t i = 0; i < n; ++i) {
      pairs.Add(scores.first[i], scores.second[i]);
      differences[i] = scores.first[i] - scores.second[i];
    }
    interval = PairedInterval(pairs, 0.95);
    permutation =
        PairedPermutation(differences, Alternative::kTwoSided, {.seed = 1, .threads = threads});
    bootstrap = BootstrapOfMean(differences, {.seed = 1,
                                              .replicates = 10'000,
                                              .level = 0.95,
                                              .interval = BootstrapInterval::kBca,
                                              .threads = threads});
    benchmark::DoNotOptimize(bootstrap);
  }
  for (const absl::Status& status : {interval.status(), permutation.status(), bootstrap.status()}) {
    if (!status.ok()) return state.SkipWithError(std::string(status.message()).c_str());
  }
  state.counters["difference"] = bootstrap->estimate;
  state.counters["lower"] = interval->lower;
  state.counters["upper"] = interval->upper;
  state.counters["p_value"] = permutation->p_value;
  state.counters["bca_lower"] = bootstrap->interval.lower;
  state.counters["bca_upper"] = bootstrap->interval.upper;
}
BENCHMARK(BmPairedComparison)
    ->ArgsProduct({{0, 1}, {1000, 100'000}, {1, 2}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// The sign-flip test of 100 000 differences. Arguments: threads, 0 for 10 000 random permutations,
// 1 for the distribution of all.
void BmPairedPermutation(benchmark::State& state) {
  std::vector<double> differences = Values(100'000);
  for (double& x : differences) x += 1;
  for (auto _ : state) {
    benchmark::DoNotOptimize(PairedPermutation(
        differences, Alternative::kTwoSided,
        {.seed = 1, .threads = static_cast<int>(state.range(0)), .invert = state.range(1) != 0}));
  }
}
BENCHMARK(BmPairedPermutation)
    ->ArgsProduct({{1, 2}, {0, 1}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

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

// In turn for all k from 0 to n = 1000.
void BmClopperPearson(benchmark::State& state) {
  uint64_t k = 0;
  for (auto _ : state) benchmark::DoNotOptimize(ClopperPearson(k++ % 1001, 1000, 0.95));
}
BENCHMARK(BmClopperPearson);

// Arguments: k, n.
void BmClopperPearsonOf(benchmark::State& state) {
  const auto k = static_cast<uint64_t>(state.range(0));
  const auto n = static_cast<uint64_t>(state.range(1));
  for (auto _ : state) benchmark::DoNotOptimize(ClopperPearson(k, n, 0.95));
  const absl::StatusOr<ConfidenceInterval> interval = ClopperPearson(k, n, 0.95);
  if (!interval.ok()) return state.SkipWithError(std::string(interval.status().message()).c_str());
  state.counters["lower"] = interval->lower;
  state.counters["upper"] = interval->upper;
}
BENCHMARK(BmClopperPearsonOf)
    ->Args({0, 20})
    ->Args({7, 20})
    ->Args({250, 1000})
    ->Args({999, 1000})
    ->Args({50'000, 100'000})
    ->Args({99'000, 100'000});

}  // namespace
}  // namespace mirage::metrics
