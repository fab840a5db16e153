#include "metrics/stats/permutation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/exact_sum.h"
#include "metrics/stats/hypothesis.h"
#include "metrics/stats/moments.h"
#include "metrics/stats/parallel.h"
#include "metrics/stats/random.h"
#include "metrics/stats/random_block.h"
#include "metrics/stats/sum_distribution.h"

namespace mirage::metrics {
namespace {

constexpr int kMinReplicates = 100;
constexpr int kMaxReplicates = 10'000'000;
constexpr uint64_t kMaxExact = uint64_t{1} << 30;
constexpr std::string_view kExact = "permutation_exact";
constexpr std::string_view kInversion = "permutation_inversion";
// What the inversion may be off.
constexpr double kInversionError = 1e-12;
constexpr std::string_view kMonteCarlo = "permutation_monte_carlo";

// Differences that share one block of 128 random bits, a bit each, and the tables of their sums.
constexpr size_t kBitsPerTable = 8;
constexpr size_t kTables = 16;
constexpr size_t kBlock = kBitsPerTable * kTables;
// Replicates that a thread takes at a time: their sums fit into the first-level cache beside the
// tables.
constexpr size_t kShard = 512;
// Replicates that draw their random bits at once.
constexpr size_t kStreams = 64;
static_assert(kShard % kStreams == 0);

absl::Status CheckOptions(const PermutationOptions& options) {
  if (options.replicates < kMinReplicates || options.replicates > kMaxReplicates) {
    return absl::InvalidArgumentError(fmt::format("replicates is {}: must be from {} to {}",
                                                  options.replicates, kMinReplicates,
                                                  kMaxReplicates));
  }
  if (options.max_exact > kMaxExact) {
    return absl::InvalidArgumentError(
        fmt::format("max_exact is {}: must be <= 2^30", options.max_exact));
  }
  return absl::OkStatus();
}

absl::Status CheckScores(std::string_view name, std::span<const double> scores) {
  if (scores.empty()) {
    return absl::InvalidArgumentError(fmt::format("{} is empty: at least one is needed", name));
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    if (!std::isfinite(scores[i])) {
      return absl::InvalidArgumentError(
          fmt::format("{}[{}] is {}: must be finite", name, i, scores[i]));
    }
  }
  return absl::OkStatus();
}

// The numbers as multiples of one power of two that leaves room for the sum of all of them.
class Grid {
 public:
  explicit Grid(std::span<const double> xs) {
    double largest = 0;
    for (const double x : xs) largest = std::max(largest, std::abs(x));
    int exponent = 0;
    std::frexp(largest, &exponent);
    // Each below 2^exponent, n of them below 2^(exponent + bits of n).
    int bits = 0;
    while ((xs.size() >> bits) > 0) ++bits;
    shift_ = 61 - bits - exponent;
  }

  int64_t At(double x) const { return std::llround(std::ldexp(x, shift_)); }

  // How far sums of some of the numbers may be apart and count as equal: the rounding of each to
  // the grid, and 2^-40 of the sum of their sizes for what scores such as 0.1 and 0.3 - 0.2 are
  // apart.
  static int64_t Slack(std::span<const int64_t> numbers) {
    int64_t sizes = 0;
    for (const int64_t x : numbers) sizes += std::abs(x);
    return static_cast<int64_t>(numbers.size()) + (sizes >> 40);
  }

 private:
  int shift_ = 0;
};

__extension__ using Int128 = __int128;

// Whether a statistic on the grid is at least as extreme as the observed one. `slack` is how far
// statistics may be apart that count as equal.
class Extreme {
 public:
  Extreme(Int128 observed, Int128 slack, Alternative alternative)
      : alternative_(alternative), limit_(0) {
    switch (alternative) {
      case Alternative::kTwoSided:
        limit_ = (observed < 0 ? -observed : observed) - slack;
        break;
      case Alternative::kGreater:
        limit_ = observed - slack;
        break;
      case Alternative::kLess:
        limit_ = observed + slack;
        break;
    }
  }

  bool operator()(Int128 sum) const {
    switch (alternative_) {
      case Alternative::kGreater:
        return sum >= limit_;
      case Alternative::kLess:
        return sum <= limit_;
      case Alternative::kTwoSided:
        break;
    }
    return (sum < 0 ? -sum : sum) >= limit_;
  }

  // Bounds such that a sum is extreme iff it is >= upper or <= lower.
  Int128 upper() const { return alternative_ == Alternative::kLess ? kNever : limit_; }
  Int128 lower() const {
    if (alternative_ == Alternative::kGreater) return -kNever;
    return alternative_ == Alternative::kLess ? limit_ : -limit_;
  }

 private:
  static constexpr Int128 kNever = Int128{1} << 100;

  Alternative alternative_;
  Int128 limit_;
};

// Differences of one size.
struct Size {
  int64_t magnitude;
  uint64_t count;
};

// The exact test: goes through the numbers of positive signs of every size but the most frequent
// one, and takes that one's tails.
class SignFlips {
 public:
  // `outcomes` is how often the tails are asked for.
  SignFlips(std::span<const Size> sizes, const Extreme& extreme, uint64_t outcomes)
      : sizes_(sizes), extreme_(extreme) {
    if (outcomes > sizes.back().count) tails_.assign(sizes.back().count + 2, -1);
    for (const Size& size : sizes.first(sizes.size() - 1)) {
      std::vector<double>& pmf = probabilities_.emplace_back();
      for (uint64_t j = 0; j <= size.count; ++j) pmf.push_back(BinomialPmf(j, size.count, 0.5));
    }
  }

  double Probability() {
    Visit(0, 0, 1);
    return std::min(1.0, total_.Round());
  }

 private:
  // P(at least j positive signs of the last size).
  double Tail(Int128 j) {
    const uint64_t count = sizes_.back().count;
    const auto at = static_cast<uint64_t>(std::clamp<Int128>(j, 0, Int128{count} + 1));
    if (tails_.empty()) return BinomialTail(at, count, 0.5);
    if (tails_[at] < 0) tails_[at] = BinomialTail(at, count, 0.5);
    return tails_[at];
  }

  void Visit(size_t level, int64_t sum, double probability) {
    const Size& size = sizes_[level];
    const auto count = static_cast<int64_t>(size.count);
    if (level + 1 == sizes_.size()) {
      // sum + magnitude (2 j - count) >= upper, or <= lower.
      const int64_t step = 2 * size.magnitude;
      const int64_t least = sum - size.magnitude * count;
      const Int128 j_upper = CeilDivide(extreme_.upper() - least, step);
      const Int128 j_lower = FloorDivide(extreme_.lower() - least, step);
      if (j_upper <= j_lower + 1) {
        total_.Add(probability);
        return;
      }
      // P(at most j) = P(at least count - j), by symmetry.
      total_.AddProduct(probability, Tail(j_upper));
      total_.AddProduct(probability, Tail(count - j_lower));
      return;
    }
    for (int64_t j = 0; j <= count; ++j) {
      Visit(level + 1, sum + size.magnitude * (2 * j - count),
            probability * probabilities_[level][static_cast<size_t>(j)]);
    }
  }

  static Int128 FloorDivide(Int128 a, Int128 b) { return a / b - (a % b < 0 ? 1 : 0); }
  static Int128 CeilDivide(Int128 a, Int128 b) { return a / b + (a % b > 0 ? 1 : 0); }

  std::span<const Size> sizes_;
  const Extreme& extreme_;
  // Of the numbers of positive signs of every size but the last one.
  std::vector<std::vector<double>> probabilities_;
  // Tails of the last size, -1 where not asked for yet; empty where few are.
  std::vector<double> tails_;
  ExactSum total_;
};

// Sizes in the order of their counts, the most frequent last.
std::vector<Size> SizesOf(std::vector<int64_t> magnitudes) {
  std::sort(magnitudes.begin(), magnitudes.end());
  std::vector<Size> sizes;
  for (const int64_t magnitude : magnitudes) {
    if (sizes.empty() || sizes.back().magnitude != magnitude) sizes.push_back({magnitude, 0});
    ++sizes.back().count;
  }
  std::sort(sizes.begin(), sizes.end(), [](const Size& a, const Size& b) {
    return std::pair(a.count, a.magnitude) < std::pair(b.count, b.magnitude);
  });
  return sizes;
}

// Number of outcomes that SignFlips goes through; above `limit` some number that is.
uint64_t Outcomes(std::span<const Size> sizes, uint64_t limit) {
  uint64_t outcomes = 1;
  for (const Size& size : sizes.first(sizes.size() - 1)) {
    if (outcomes > limit / (size.count + 1)) return limit + 1;
    outcomes *= size.count + 1;
  }
  return outcomes;
}

// Random signs for the differences; the number of replicates whose sum is extreme.
uint64_t CountExtremeFlips(const std::vector<int64_t>& magnitudes, const Extreme& extreme,
                           const PermutationOptions& options) {
  const auto replicates = static_cast<size_t>(options.replicates);
  const size_t shards = (replicates + kShard - 1) / kShard;
  // Flipping the sign of d takes 2 d off the sum of all.
  const int64_t all = std::accumulate(magnitudes.begin(), magnitudes.end(), int64_t{0});
  std::vector<uint64_t> hits(shards);
  ParallelFor(shards, options.threads, [&](size_t shard) {
    const size_t first = shard * kShard;
    const size_t size = std::min(kShard, replicates - first);
    std::vector<int64_t> flipped(size);
    std::array<std::array<int64_t, size_t{1} << kBitsPerTable>, kTables> tables{};
    std::array<uint32_t, 4 * kStreams> words;
    for (size_t begin = 0; begin < magnitudes.size(); begin += kBlock) {
      // Each table has the sums of all subsets of its differences.
      for (size_t t = 0; t < kTables; ++t) {
        for (size_t bit = 0; bit < kBitsPerTable; ++bit) {
          const size_t at = begin + t * kBitsPerTable + bit;
          const int64_t magnitude = at < magnitudes.size() ? magnitudes[at] : 0;
          const size_t half = size_t{1} << bit;
          for (size_t i = 0; i < half; ++i) tables[t][half + i] = tables[t][i] + magnitude;
        }
      }
      const size_t block = begin / kBlock;
      for (size_t stream = 0; stream < size; stream += kStreams) {
        RandomBlock::OfStreams(options.seed, first + stream, block, words);
        const size_t last = std::min(kStreams, size - stream);
        for (size_t r = 0; r < last; ++r) {
          const uint32_t* const bits = &words[r / 8 * 32 + r % 8];
          int64_t sum = 0;
          for (size_t word = 0; word < 4; ++word) {
            for (size_t byte = 0; byte < 4; ++byte) {
              sum += tables[4 * word + byte][(bits[8 * word] >> (8 * byte)) & 0xff];
            }
          }
          flipped[stream + r] += sum;
        }
      }
    }
    for (const int64_t sum : flipped) hits[shard] += extreme(all - 2 * sum) ? 1 : 0;
  });
  return std::accumulate(hits.begin(), hits.end(), uint64_t{0});
}

// Symmetric: P(S > x) = P(S < -x).
double InvertedP(const SumDistribution& sum, double observed, Alternative alternative) {
  double p = 0;
  switch (alternative) {
    case Alternative::kTwoSided:
      p = 2 * sum.Below(-std::abs(observed));
      break;
    case Alternative::kGreater:
      p = sum.Below(-observed);
      break;
    case Alternative::kLess:
      p = sum.Below(observed);
      break;
  }
  return std::clamp(p, kInversionError, 1.0);
}

double MonteCarlo(uint64_t hits, int replicates) {
  return (1 + static_cast<double>(hits)) / (1 + static_cast<double>(replicates));
}

// C(n, k), or some number above `limit`.
uint64_t Splits(uint64_t n, uint64_t k, uint64_t limit) {
  k = std::min(k, n - k);
  uint64_t splits = 1;
  for (uint64_t i = 1; i <= k; ++i) {
    // Exact: the product of i consecutive integers is a multiple of i!.
    splits = splits * (n - k + i) / i;
    if (splits > limit) return limit + 1;
  }
  return splits;
}

// The difference of the means of two groups, up to a positive factor: n * (sum of the smaller
// group)
// - (its size) * (sum of all).
class Split {
 public:
  Split(std::vector<int64_t> numbers, size_t drawn, int64_t observed, Alternative alternative)
      : numbers_(std::move(numbers)),
        drawn_(drawn),
        sum_of_all_(std::accumulate(numbers_.begin(), numbers_.end(), int64_t{0})),
        // Both products have the rounding of the numbers.
        extreme_(Statistic(observed),
                 2 * Int128{static_cast<int64_t>(numbers_.size())} * Grid::Slack(numbers_),
                 alternative) {
    // The order of the items is no part of the result.
    std::sort(numbers_.begin(), numbers_.end());
  }

  // Number of splits whose statistic is extreme.
  uint64_t CountAll() const { return CountFrom(0, drawn_, 0); }

  // The same of random ones.
  uint64_t CountRandom(const PermutationOptions& options) const {
    const auto replicates = static_cast<size_t>(options.replicates);
    const size_t shards = (replicates + kShard - 1) / kShard;
    std::vector<uint64_t> hits(shards);
    ParallelFor(shards, options.threads, [&](size_t shard) {
      const size_t first = shard * kShard;
      const size_t size = std::min(kShard, replicates - first);
      std::vector<int64_t> shuffled = numbers_;
      std::vector<size_t> swapped(drawn_);
      for (size_t r = 0; r < size; ++r) {
        CounterRng rng(options.seed, first + r);
        int64_t sum = 0;
        for (size_t i = 0; i < drawn_; ++i) {
          swapped[i] = i + rng.Below(shuffled.size() - i);
          std::swap(shuffled[i], shuffled[swapped[i]]);
          sum += shuffled[i];
        }
        hits[shard] += extreme_(Statistic(sum)) ? 1 : 0;
        // Back to the order given, so that a replicate depends on its number only.
        for (size_t i = drawn_; i-- > 0;) std::swap(shuffled[i], shuffled[swapped[i]]);
      }
    });
    return std::accumulate(hits.begin(), hits.end(), uint64_t{0});
  }

 private:
  Int128 Statistic(int64_t sum) const {
    return Int128{sum} * static_cast<int64_t>(numbers_.size()) -
           Int128{sum_of_all_} * static_cast<int64_t>(drawn_);
  }

  // Goes through all choices of `left` of the numbers from `begin` on.
  uint64_t CountFrom(size_t begin, size_t left, int64_t sum) const {
    if (left == 0) return extreme_(Statistic(sum)) ? 1 : 0;
    uint64_t hits = 0;
    for (size_t i = begin; i + left <= numbers_.size(); ++i) {
      hits += CountFrom(i + 1, left - 1, sum + numbers_[i]);
    }
    return hits;
  }

  std::vector<int64_t> numbers_;
  size_t drawn_;
  int64_t sum_of_all_;
  Extreme extreme_;
};

Alternative Mirrored(Alternative alternative) {
  if (alternative == Alternative::kLess) return Alternative::kGreater;
  if (alternative == Alternative::kGreater) return Alternative::kLess;
  return alternative;
}

}  // namespace

absl::StatusOr<PermutationResult> PairedPermutation(std::span<const double> differences,
                                                    Alternative alternative,
                                                    const PermutationOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  if (absl::Status status = CheckScores("differences", differences); !status.ok()) return status;
  const Grid grid(differences);
  std::vector<int64_t> magnitudes;
  int64_t observed = 0;
  for (const double x : differences) {
    const int64_t at = grid.At(x);
    observed += at;
    if (at != 0) magnitudes.push_back(std::abs(at));
  }
  if (magnitudes.empty()) return PermutationResult{1, kExact, 0};
  // The order of the items is no part of the result.
  std::sort(magnitudes.begin(), magnitudes.end());
  const Extreme extreme(observed, Grid::Slack(magnitudes), alternative);
  const std::vector<Size> sizes = SizesOf(magnitudes);
  if (const uint64_t outcomes = Outcomes(sizes, options.max_exact); outcomes <= options.max_exact) {
    return PermutationResult{SignFlips(sizes, extreme, outcomes).Probability(), kExact, 0};
  }
  if (options.invert) {
    // Refused where the sum is not smooth: then random permutations tell.
    const std::vector<double> steps(magnitudes.begin(), magnitudes.end());
    if (const auto sum = SumDistribution::OfSigns(steps, options.threads); sum.ok()) {
      return PermutationResult{InvertedP(*sum, static_cast<double>(observed), alternative),
                               kInversion, 0};
    }
  }
  const uint64_t hits = CountExtremeFlips(magnitudes, extreme, options);
  return PermutationResult{MonteCarlo(hits, options.replicates), kMonteCarlo, options.replicates};
}

absl::StatusOr<PermutationResult> UnpairedPermutation(std::span<const double> first,
                                                      std::span<const double> second,
                                                      Alternative alternative,
                                                      const PermutationOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  if (absl::Status status = CheckScores("first", first); !status.ok()) return status;
  if (absl::Status status = CheckScores("second", second); !status.ok()) return status;
  const bool swap = second.size() < first.size();
  const std::span<const double> smaller = swap ? second : first;
  const std::span<const double> larger = swap ? first : second;
  std::vector<double> all(smaller.begin(), smaller.end());
  all.insert(all.end(), larger.begin(), larger.end());

  // About their mean, so that the grid keeps their digits.
  Moments moments;
  moments.AddAll(all);
  const double center = *moments.mean();
  if (!std::isfinite(center)) {
    return absl::InvalidArgumentError("the sum of the scores overflows: scale them down");
  }
  for (double& x : all) x -= center;
  const Grid grid(all);
  std::vector<int64_t> numbers;
  numbers.reserve(all.size());
  for (const double x : all) numbers.push_back(grid.At(x));
  const size_t drawn = smaller.size();
  const int64_t observed =
      std::accumulate(numbers.begin(), numbers.begin() + static_cast<ptrdiff_t>(drawn), int64_t{0});
  const Split split(std::move(numbers), drawn, observed,
                    swap ? Mirrored(alternative) : alternative);
  const uint64_t splits = Splits(all.size(), drawn, options.max_exact);
  if (splits <= options.max_exact) {
    const double share = static_cast<double>(split.CountAll()) / static_cast<double>(splits);
    return PermutationResult{share, kExact, 0};
  }
  return PermutationResult{MonteCarlo(split.CountRandom(options), options.replicates), kMonteCarlo,
                           options.replicates};
}

}  // namespace mirage::metrics
