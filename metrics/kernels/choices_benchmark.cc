// Scoring of 10 million multiple-choice samples out of columns, as the server does it, beside a
// loop with the arithmetic only: `bazel run //metrics/kernels:choices_benchmark`. The loop knows
// that there are four choices, one gold and lengths, looks at nothing else, and is one function.
// Both write every score into a column; scores that differ in a bit are an error.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "fmt/format.h"
#include "metrics/kernels/choices.h"

namespace mirage::metrics {
namespace {

constexpr uint32_t kChoices = 4;
// Samples of a batch, whose scores are in the cache when they are read.
constexpr size_t kBatch = 4096;

// splitmix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>(Next() % bound); }

 private:
  uint64_t Next() {
    state_ += 0x9E3779B97F4A7C15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  uint64_t state_;
};

// Columns of a batch message.
struct Columns {
  // Where the choices and the golds of each sample begin; one more at the end.
  std::vector<uint32_t> choices_at;
  std::vector<uint32_t> golds_at;
  std::vector<double> log_likelihoods;
  std::vector<uint32_t> n_chars;
  std::vector<uint32_t> n_bytes;
  std::vector<uint32_t> golds;

  size_t n() const { return golds.size(); }
};

Columns MakeColumns(size_t n) {
  Random random(n);
  Columns columns;
  columns.log_likelihoods.resize(n * kChoices);
  columns.n_chars.resize(n * kChoices);
  columns.n_bytes.resize(n * kChoices);
  for (size_t k = 0; k < n * kChoices; ++k) {
    columns.n_chars[k] = 5 + random.Below(60);
    columns.n_bytes[k] = columns.n_chars[k] + random.Below(3);
    columns.log_likelihoods[k] = -0.3 * columns.n_chars[k] * random.Uniform();
  }
  columns.golds.resize(n);
  for (uint32_t& gold : columns.golds) gold = random.Below(kChoices);
  for (size_t i = 0; i <= n; ++i) {
    columns.choices_at.push_back(static_cast<uint32_t>(i * kChoices));
    columns.golds_at.push_back(static_cast<uint32_t>(i));
  }
  return columns;
}

// The scores that these columns have. Without the two that need a baseline and the one that needs
// tokens.
constexpr double ChoiceScores::*kScores[] = {
    &ChoiceScores::acc,          &ChoiceScores::acc_norm,
    &ChoiceScores::acc_bytes,    &ChoiceScores::log_p_gold,
    &ChoiceScores::p_gold,       &ChoiceScores::nll_per_byte,
    &ChoiceScores::nll_per_char, &ChoiceScores::bits_per_byte,
    &ChoiceScores::brier_score,  &ChoiceScores::log_p_gold_choices,
    &ChoiceScores::brier_mean,   &ChoiceScores::p_gold_choices,
    &ChoiceScores::brier_target, &ChoiceScores::brier_top,
    &ChoiceScores::margin,       &ChoiceScores::margin_norm,
    &ChoiceScores::margin_bytes, &ChoiceScores::chance_margin,
    &ChoiceScores::p_wrong_mass, &ChoiceScores::rank,
    &ChoiceScores::confidence};
constexpr size_t kColumns = std::size(kScores);

// Columns of scores, one behind the other.
using Values = std::vector<double>;

template <typename T>
std::span<const T> Slice(const std::vector<T>& values, uint32_t begin, uint32_t end) {
  return std::span<const T>(values).subspan(begin, end - begin);
}

void ScoreWithKernel(const Columns& columns, size_t begin, size_t end, Values& values) {
  // Not a constant, as in the server: it is the list of metrics that the run asked for.
  static const std::vector<double ChoiceScores::*> computed(std::begin(kScores), std::end(kScores));
  for (size_t i = begin; i < end; ++i) {
    const uint32_t first = columns.choices_at[i];
    const uint32_t last = columns.choices_at[i + 1];
    ChoicesView sample{.log_likelihoods = Slice(columns.log_likelihoods, first, last),
                       .n_chars = Slice(columns.n_chars, first, last),
                       .n_bytes = Slice(columns.n_bytes, first, last)};
    const ChoiceDecisions decisions = DecideChoices(sample);
    sample.golds = Slice(columns.golds, columns.golds_at[i], columns.golds_at[i + 1]);
    const ChoiceScores scores = ScoreChoices(sample, decisions);
    for (size_t m = 0; m < computed.size(); ++m) {
      values[m * kBatch + i - begin] = scores.*computed[m];
    }
  }
}

uint32_t Argmax(const double* x) {
  uint32_t best = 0;
  for (uint32_t k = 1; k < kChoices; ++k) {
    if (x[k] > x[best]) best = k;
  }
  return best;
}

// The gold's less the greatest of the others.
double Ahead(const double* x, uint32_t gold) {
  double wrong = -INFINITY;
  for (uint32_t k = 0; k < kChoices; ++k) {
    if (k != gold) wrong = std::max(wrong, x[k]);
  }
  return x[gold] - wrong;
}

void ScoreWithArithmetic(const Columns& columns, size_t begin, size_t end, Values& values) {
  for (size_t i = begin; i < end; ++i) {
    const double* ll = &columns.log_likelihoods[i * kChoices];
    const uint32_t* chars = &columns.n_chars[i * kChoices];
    const uint32_t* bytes = &columns.n_bytes[i * kChoices];
    const uint32_t gold = columns.golds[i];
    double by_char[kChoices];
    double by_byte[kChoices];
    for (uint32_t k = 0; k < kChoices; ++k) {
      by_char[k] = ll[k] / chars[k];
      by_byte[k] = ll[k] / bytes[k];
    }
    const uint32_t best = Argmax(ll);
    const double top = ll[best];
    double e[kChoices];
    double sum = 0;
    double wrong = 0;
    double second = -INFINITY;
    double rank = 1;
    for (uint32_t k = 0; k < kChoices; ++k) {
      e[k] = std::exp(ll[k] - top);
      sum += e[k];
      wrong += k == gold ? 0 : e[k];
      second = k == best ? second : std::max(second, ll[k]);
      rank += ll[k] > ll[gold] ? 1 : 0;
    }
    double below_top = top - second;
    for (uint32_t k = 0; k < kChoices; ++k) below_top += k == best ? 0 : ll[k] - top;
    double brier = 0;
    for (uint32_t k = 0; k < kChoices; ++k) {
      const double d = e[k] / sum - (k == gold ? 1.0 : 0.0);
      brier += d * d;
    }
    const double acc = best == gold ? 1 : 0;
    const double q = e[gold] / sum;
    const double confidence = 1 / sum;
    const double nll_per_byte = -ll[gold] / bytes[gold];
    double* out = &values[i - begin];
    const auto put = [&out](double value) {
      *out = value;
      out += kBatch;
    };
    put(acc);
    put(Argmax(by_char) == gold ? 1 : 0);
    put(Argmax(by_byte) == gold ? 1 : 0);
    put(ll[gold]);
    put(std::exp(ll[gold]));
    put(nll_per_byte);
    put(-ll[gold] / chars[gold]);
    put(nll_per_byte / std::numbers::ln2);
    put(brier);
    put(ll[gold] - top - std::log(sum));
    put(brier / kChoices);
    put(q);
    put((1 - q) * (1 - q));
    put((confidence - acc) * (confidence - acc));
    put(Ahead(ll, gold));
    put(Ahead(by_char, gold) * chars[gold]);
    put(Ahead(by_byte, gold) * bytes[gold]);
    put(below_top / kChoices);
    put(wrong * std::exp(top));
    put(rank);
    put(confidence);
  }
}

using Score = void (*)(const Columns&, size_t, size_t, Values&);

// Empty, or the first score in which the two ways differ.
std::string Difference(const Columns& columns) {
  Values ours(kColumns * kBatch);
  Values theirs(kColumns * kBatch);
  for (size_t begin = 0; begin < columns.n(); begin += kBatch) {
    const size_t end = std::min(columns.n(), begin + kBatch);
    ScoreWithKernel(columns, begin, end, ours);
    ScoreWithArithmetic(columns, begin, end, theirs);
    for (size_t at = 0; at < ours.size(); ++at) {
      if (std::bit_cast<uint64_t>(ours[at]) != std::bit_cast<uint64_t>(theirs[at])) {
        return fmt::format("sample {}, score {}: {} and {}", begin + at % kBatch, at / kBatch,
                           ours[at], theirs[at]);
      }
    }
  }
  return "";
}

void Run(benchmark::State& state, Score score) {
  const auto n = static_cast<size_t>(state.range(0));
  // Kept from one measurement to the next: it takes longer to make than to score.
  static Columns columns;
  static std::string difference;
  if (columns.n() != n) {
    columns = MakeColumns(n);
    difference = Difference(columns);
  }
  if (!difference.empty()) {
    state.SkipWithError(difference.c_str());
    return;
  }
  Values values(kColumns * kBatch);
  for (auto _ : state) {
    for (size_t begin = 0; begin < n; begin += kBatch) {
      score(columns, begin, std::min(n, begin + kBatch), values);
      benchmark::DoNotOptimize(values.data());
      benchmark::ClobberMemory();
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(n));
}

void BmScoreChoices(benchmark::State& state) { Run(state, ScoreWithKernel); }
void BmScoreChoicesArithmetic(benchmark::State& state) { Run(state, ScoreWithArithmetic); }

BENCHMARK(BmScoreChoices)->Arg(100'000)->Unit(benchmark::kMillisecond);
BENCHMARK(BmScoreChoicesArithmetic)->Arg(100'000)->Unit(benchmark::kMillisecond);
BENCHMARK(BmScoreChoices)->Arg(10'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK(BmScoreChoicesArithmetic)->Arg(10'000'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace mirage::metrics
