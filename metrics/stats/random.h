#ifndef MIRAGE_METRICS_STATS_RANDOM_H_
#define MIRAGE_METRICS_STATS_RANDOM_H_

#include <Random123/philox.h>

#include <array>
#include <cstdint>
#include <limits>

namespace mirage::metrics {

// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011), keyed by the seed, with the stream in the upper half of
// the counter and the position in the lower half. Streams of one seed never overlap. The numbers
// depend on (seed, stream) and on how many were drawn before, on nothing else: give each replicate
// its own stream and results are the same for every thread count.
//
// 2^65 64-bit numbers a stream. A few ns a number. Also a UniformRandomBitGenerator. Not
// thread-safe; copying forks the position.
class CounterRng {
 public:
  using result_type = uint64_t;

  CounterRng(uint64_t seed, uint64_t stream)
      : key_{{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}},
        counter_{{0, 0, static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)}} {}

  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return std::numeric_limits<uint64_t>::max(); }

  // 32 random bits.
  uint32_t Next32() {
    if (used_ == 4) Refill();
    return block_[used_++];
  }

  // 64 random bits.
  uint64_t operator()() {
    const uint64_t low = Next32();
    return low | (static_cast<uint64_t>(Next32()) << 32);
  }

  // A uniform double in [0, 1), a multiple of 2^-53.
  double Uniform() { return static_cast<double>((*this)() >> 11) * 0x1p-53; }

  // A uniform integer in [0, bound), without bias; 0 for a bound of 0.
  // Source: Lemire, "Fast random integer generation in an interval" (2019), ACM TOMACS 29.
  uint32_t Below32(uint32_t bound) {
    uint64_t product = static_cast<uint64_t>(Next32()) * bound;
    if (static_cast<uint32_t>(product) < bound) [[unlikely]] {
      const uint32_t threshold = (0u - bound) % bound;
      while (static_cast<uint32_t>(product) < threshold) {
        product = static_cast<uint64_t>(Next32()) * bound;
      }
    }
    return static_cast<uint32_t>(product >> 32);
  }

  // The same for 64 bits.
  uint64_t Below(uint64_t bound) {
    __extension__ using Uint128 = unsigned __int128;
    Uint128 product = static_cast<Uint128>((*this)()) * bound;
    if (static_cast<uint64_t>(product) < bound) [[unlikely]] {
      const uint64_t threshold = (uint64_t{0} - bound) % bound;
      while (static_cast<uint64_t>(product) < threshold) {
        product = static_cast<Uint128>((*this)()) * bound;
      }
    }
    return static_cast<uint64_t>(product >> 64);
  }

 private:
  void Refill() {
    const r123::Philox4x32::ctr_type words = r123::Philox4x32()(counter_, key_);
    for (int i = 0; i < 4; ++i) block_[i] = words[i];
    if (++counter_[0] == 0) ++counter_[1];
    used_ = 0;
  }

  r123::Philox4x32::key_type key_;
  r123::Philox4x32::ctr_type counter_;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_RANDOM_H_
