// Nanoseconds a sample of BLEU, chrF, chrF++, ROUGE and the answer matches:
// `bazel run //metrics/kernels:text_metrics_benchmark`. A sample is a hypothesis and one reference
// of as many words as the argument says, three quarters of which they have in common.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "benchmark/benchmark.h"
#include "metrics/kernels/bleu.h"
#include "metrics/kernels/chrf.h"
#include "metrics/kernels/rouge.h"
#include "metrics/kernels/text_match.h"

namespace mirage::metrics {
namespace {

struct Pair {
  std::string hypothesis;
  std::string reference;
};

// splitmix64.
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

// Words of two to nine letters out of 2000, some with a comma or a point.
std::vector<Pair> Pairs(size_t n_words) {
  Random rng(n_words);
  std::vector<std::string> words(2000);
  for (std::string& word : words) {
    const uint32_t length = 2 + rng.Below(8);
    for (uint32_t i = 0; i < length; ++i) word.push_back(static_cast<char>('a' + rng.Below(26)));
  }
  std::vector<Pair> pairs(64);
  for (Pair& pair : pairs) {
    for (size_t i = 0; i < n_words; ++i) {
      const std::string& word = words[rng.Below(2000)];
      const uint32_t kind = rng.Below(8);
      const std::string_view end = rng.Below(10) == 0 ? ", " : (rng.Below(15) == 0 ? ". " : " ");
      if (kind != 0) pair.hypothesis.append(word).append(end);
      if (kind != 1) pair.reference.append(word).append(end);
    }
  }
  return pairs;
}

template <typename Run>
void Measure(benchmark::State& state, const Run& run) {
  const std::vector<Pair> pairs = Pairs(static_cast<size_t>(state.range(0)));
  double sum = 0;
  for (auto _ : state) {
    sum = 0;
    for (const Pair& pair : pairs) sum += run(pair.hypothesis, pair.reference);
    benchmark::DoNotOptimize(sum);
  }
  // What tests/benchmarks/statistics_vs_peers.py divides the time by, and what it compares.
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(pairs.size()));
  state.counters["samples"] = static_cast<double>(pairs.size());
  state.counters["mean"] = sum / static_cast<double>(pairs.size());
  state.counters["sample"] = benchmark::Counter(
      static_cast<double>(pairs.size()),
      benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void BmBleu(benchmark::State& state) {
  BleuScratch scratch;
  Measure(state, [&](std::string_view hypothesis, std::string_view reference) {
    BleuStatistics statistics = *BleuStatistics::Create({});
    (void)statistics.Add(hypothesis, {&reference, 1}, scratch);
    return statistics.Score({.effective_order = true})->score;
  });
}
BENCHMARK(BmBleu)->Arg(10)->Arg(50)->Arg(400);

void RunChrf(benchmark::State& state, uint32_t word_order) {
  ChrfScratch scratch;
  Measure(state, [&](std::string_view hypothesis, std::string_view reference) {
    ChrfStatistics statistics = *ChrfStatistics::Create({.word_order = word_order});
    (void)statistics.Add(hypothesis, {&reference, 1}, scratch);
    return statistics.Score();
  });
}

void BmChrf(benchmark::State& state) { RunChrf(state, 0); }
BENCHMARK(BmChrf)->Arg(10)->Arg(50)->Arg(400);

void BmChrfPlusPlus(benchmark::State& state) { RunChrf(state, 2); }
BENCHMARK(BmChrfPlusPlus)->Arg(10)->Arg(50)->Arg(400);

// All four figures; rouge_score computes the same four.
void RunRouge(benchmark::State& state, bool stemmer) {
  RougeScorer scorer({.stemmer = stemmer});
  Measure(state, [&](std::string_view hypothesis, std::string_view reference) {
    return scorer.Score(hypothesis, {&reference, 1})->rouge_l.f1;
  });
}

void BmRouge(benchmark::State& state) { RunRouge(state, false); }
BENCHMARK(BmRouge)->Arg(10)->Arg(50)->Arg(400);

void BmRougeStemmed(benchmark::State& state) { RunRouge(state, true); }
BENCHMARK(BmRougeStemmed)->Arg(10)->Arg(50)->Arg(400);

void BmTextMatch(benchmark::State& state) {
  Measure(state, [](std::string_view hypothesis, std::string_view reference) {
    return ScoreTextMatch(hypothesis, {&reference, 1})->token_f1;
  });
}
BENCHMARK(BmTextMatch)->Arg(10)->Arg(50)->Arg(400);

}  // namespace
}  // namespace mirage::metrics
