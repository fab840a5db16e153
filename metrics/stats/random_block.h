// Many random numbers at once.
#ifndef MIRAGE_METRICS_STATS_RANDOM_BLOCK_H_
#define MIRAGE_METRICS_STATS_RANDOM_BLOCK_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace mirage::metrics {

// The blocks of Philox4x32-10 that CounterRng(seed, stream) would draw, eight blocks to a row of 32
// numbers and word by word within it: random.h in another order, at a fifth of the time where the
// processor has AVX2, an eighth with AVX-512. The numbers depend on (seed, stream) and how many
// came before, not on the processor. Not thread-safe.
class RandomBlock {
 public:
  static constexpr size_t kWords = 1024;

  // kAuto picks the best the processor has; the others are for tests, and fall back to what is
  // there.
  enum class Path { kAuto, kBaseline, kAvx2 };
  RandomBlock(uint64_t seed, uint64_t stream, Path path = Path::kAuto);

  // The next kWords numbers, valid until the next call.
  std::span<const uint32_t, kWords> Next();

 private:
  uint64_t seed_;
  uint64_t stream_;
  uint64_t block_ = 0;
  bool use_avx512_;
  bool use_avx2_;
  alignas(32) std::array<uint32_t, kWords> words_{};
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_RANDOM_BLOCK_H_
