// Fits of laws, for the documentation and for tests/benchmarks/fits_vs_scipy.py, which makes the
// same curves and compares the parameters: bazel run //metrics/scaling:fit_benchmark.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "metrics/scaling/fit.h"
#include "metrics/scaling/laws.h"

namespace mirage::metrics {
namespace {

// Uniform in [0, 1): splitmix64, which a peer in Python makes as well.
double Uniform(uint64_t& state) {
  state += 0x9E3779B97F4A7C15u;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

// Power laws with a floor at 8 scales from 1e7 to 1e10, E in 1 to 2, a x^-b 0.5 to 2.5 at the
// first, b in 0.2 to 0.6; noise uniform within 0.02.
std::vector<Curve> FloorCurves(size_t count, bool errors) {
  std::vector<Curve> curves(count);
  uint64_t state = 1;
  for (Curve& curve : curves) {
    const double floor = 1 + Uniform(state);
    const double first = 0.5 + 2 * Uniform(state);
    const double b = 0.2 + 0.4 * Uniform(state);
    for (int i = 0; i < 8; ++i) {
      const double u = i * std::log(1000.0) / 7;
      curve.x.push_back(1e7 * std::exp(u));
      curve.y.push_back(floor + first * std::exp(-b * u) + 0.04 * (Uniform(state) - 0.5));
      if (errors) curve.sampling_variances.push_back(1e-4 * (1 + i % 3));
    }
  }
  return curves;
}

void Run(benchmark::State& state, Law law, const std::vector<Curve>& curves,
         const FitOptions& options, int threads) {
  for ([[maybe_unused]] auto _ : state) {
    const auto fits = FitMany(law, curves, options, threads);
    size_t bad = 0;
    double sums[3] = {0, 0, 0};
    for (const auto& fit : fits) {
      if (!fit.ok()) {
        ++bad;
        continue;
      }
      sums[0] += fit->parameters[0];
      sums[1] += fit->parameters.back();
      sums[2] += fit->objective;
    }
    const double count = static_cast<double>(curves.size());
    state.counters["bad"] = static_cast<double>(bad);
    state.counters["mean_first"] = sums[0] / count;
    state.counters["mean_last"] = sums[1] / count;
    state.counters["mean_objective"] = sums[2] / count;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(curves.size()));
}

// Arguments: number of curves, number of threads.
void BmFitPowerLawFloor(benchmark::State& state) {
  Run(state, Law::kPowerLawFloor, FloorCurves(static_cast<size_t>(state.range(0)), false),
      {.error_scale = ErrorScale::kValue}, static_cast<int>(state.range(1)));
}
BENCHMARK(BmFitPowerLawFloor)
    ->Args({200, 1})
    ->Args({100'000, 2})
    ->UseRealTime()
    ->MeasureProcessCPUTime();

void BmFitPowerLawFloorHuber(benchmark::State& state) {
  Run(state, Law::kPowerLawFloor, FloorCurves(static_cast<size_t>(state.range(0)), false),
      {.error_scale = ErrorScale::kValue, .loss = Loss::kHuber, .huber_delta = 0.01},
      static_cast<int>(state.range(1)));
}
BENCHMARK(BmFitPowerLawFloorHuber)->Args({200, 1})->UseRealTime()->MeasureProcessCPUTime();

void BmFitPowerLawFloorWithErrors(benchmark::State& state) {
  Run(state, Law::kPowerLawFloor, FloorCurves(static_cast<size_t>(state.range(0)), true), {},
      static_cast<int>(state.range(1)));
}
BENCHMARK(BmFitPowerLawFloorWithErrors)->Args({200, 1})->UseRealTime()->MeasureProcessCPUTime();

void BmFitPowerLaw(benchmark::State& state) {
  Run(state, Law::kPowerLaw, FloorCurves(static_cast<size_t>(state.range(0)), false), {},
      static_cast<int>(state.range(1)));
}
BENCHMARK(BmFitPowerLaw)->Args({200, 1})->UseRealTime()->MeasureProcessCPUTime();

void BmFitLogisticLink(benchmark::State& state) {
  std::vector<Curve> curves = FloorCurves(static_cast<size_t>(state.range(0)), false);
  for (Curve& curve : curves) {
    for (double& x : curve.x) x = std::log(x);
  }
  Run(state, Law::kLogisticLink, curves, {}, static_cast<int>(state.range(1)));
}
BENCHMARK(BmFitLogisticLink)->Args({200, 1})->UseRealTime()->MeasureProcessCPUTime();

void BmPredict(benchmark::State& state) {
  const Curve curve = FloorCurves(1, state.range(0) != 0)[0];
  const auto fit = FitLaw(Law::kPowerLawFloor, curve, {});
  const std::vector<double> at = {1e11};
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(Predict(*fit, at, {}));
}
BENCHMARK(BmPredict)->Arg(0)->Arg(1);

}  // namespace
}  // namespace mirage::metrics
