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
  enum class Path { kAuto, kBaseline, kAvx2, kAvx512 };
  RandomBlock(uint64_t seed, uint64_t stream, Path path = Path::kAuto);

  // The next kWords numbers, valid until the next call.
  std::span<const uint32_t, kWords> Next();

  // Block number `block`, four numbers, of each of the streams `first`, `first` + 1, ..., a
  // multiple of 8 of them, as many as `words` has room for: eight streams to a row, word by word
  // within it. `first` must be a multiple of 8.
  static void OfStreams(uint64_t seed, uint64_t first, uint64_t block, std::span<uint32_t> words,
                        Path path = Path::kAuto);

 private:
  uint64_t seed_;
  uint64_t stream_;
  uint64_t block_ = 0;
  Path path_;
  alignas(32) std::array<uint32_t, kWords> words_{};
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_RANDOM_BLOCK_H_
