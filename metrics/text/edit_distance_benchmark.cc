// Nanoseconds a pair: `bazel run //metrics/text:edit_distance_benchmark`. The data are those of
// tests/benchmarks/edit_distance_vs_rapidfuzz.py, which compares.
//
// -DMIRAGE_WITH_RAPIDFUZZ adds rapidfuzz-cpp, whose headers are not in our tree: --rapidfuzz-cpp of
// the script gets them and builds both with the same flags.
#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "benchmark/benchmark.h"
#include "metrics/text/edit_distance.h"

#ifdef MIRAGE_WITH_RAPIDFUZZ
#include "rapidfuzz/distance.hpp"
#endif

namespace mirage::metrics {
namespace {

using Ids = std::vector<uint32_t>;

// splitmix64: short enough to be the same in the script.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint32_t Below(uint32_t bound) {
    state_ += 0x9E3779B97F4A7C15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return static_cast<uint32_t>((z ^ (z >> 31)) % bound);
  }

 private:
  uint64_t state_;
};

// Many pairs, or the processor learns the branches of a single one by heart.
size_t PairsOf(size_t length) { return std::clamp<size_t>(65536 / length, 4, 512); }

// One id in five is edited: replaced, removed or preceded by another.
std::vector<std::pair<Ids, Ids>> Pairs(size_t length, uint32_t alphabet, bool mutated) {
  Random random(length);
  std::vector<std::pair<Ids, Ids>> pairs(PairsOf(length));
  for (auto& [a, b] : pairs) {
    a.resize(length);
    for (uint32_t& id : a) id = 32 + random.Below(alphabet);
    for (const uint32_t id : a) {
      const uint32_t kind = mutated ? random.Below(15) : 0;
      if (kind == 0 || kind == 1) b.push_back(32 + random.Below(alphabet));
      if (kind > 2 || kind == 1) b.push_back(id);
    }
  }
  return pairs;
}

// What the script divides the time by, and what it compares.
void Report(benchmark::State& state, size_t pairs, size_t distances) {
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(pairs));
  state.counters["pairs"] = static_cast<double>(pairs);
  state.counters["distances"] = static_cast<double>(distances);
}

using Path = EditDistanceScratch::Path;

void BenchmarkMirage(benchmark::State& state, uint32_t alphabet, bool mutated, Path path) {
  const auto pairs = Pairs(static_cast<size_t>(state.range(0)), alphabet, mutated);
  EditDistanceScratch scratch(path);
  size_t distances = 0;
  for (auto _ : state) {
    distances = 0;
    for (const auto& [a, b] : pairs) distances += EditDistance(a, b, scratch);
    benchmark::DoNotOptimize(distances);
  }
  Report(state, pairs.size(), distances);
}

#ifdef MIRAGE_WITH_RAPIDFUZZ
void BenchmarkRapidfuzzCpp(benchmark::State& state, uint32_t alphabet, bool mutated) {
  const auto pairs = Pairs(static_cast<size_t>(state.range(0)), alphabet, mutated);
  size_t distances = 0;
  for (auto _ : state) {
    distances = 0;
    for (const auto& [a, b] : pairs) distances += rapidfuzz::levenshtein_distance(a, b);
    benchmark::DoNotOptimize(distances);
  }
  Report(state, pairs.size(), distances);
}
#endif

// Names are implementation/alphabet/data/length.
const bool kRegistered = [] {
  for (const auto& [alphabet_name, alphabet] : {std::pair{"tokens", 50000u}, {"characters", 90u}}) {
    for (const auto& [data_name, mutated] : {std::pair{"mutated", true}, {"unrelated", false}}) {
      const std::string suffix = std::string("/") + alphabet_name + "/" + data_name;
      const auto lengths = [](benchmark::internal::Benchmark* registered) {
        for (const int64_t length : {8, 16, 32, 64, 128, 256, 512, 1024, 4096}) {
          registered->Arg(length);
        }
      };
      benchmark::RegisterBenchmark(("mirage" + suffix).c_str(), BenchmarkMirage, alphabet, mutated,
                                   Path::kAuto)
          ->Apply(lengths);
      benchmark::RegisterBenchmark(("mirage-baseline" + suffix).c_str(), BenchmarkMirage, alphabet,
                                   mutated, Path::kBaseline)
          ->Apply(lengths);
#ifdef MIRAGE_WITH_RAPIDFUZZ
      benchmark::RegisterBenchmark(("rapidfuzz-cpp" + suffix).c_str(), BenchmarkRapidfuzzCpp,
                                   alphabet, mutated)
          ->Apply(lengths);
#endif
    }
  }
  return true;
}();

}  // namespace
}  // namespace mirage::metrics
