#include "metrics/stats/random_block.h"

#include <Random123/philox.h>

#include <cstddef>
#include <cstdint>
#include <span>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mirage::metrics {
namespace {

constexpr size_t kBlocksPerRow = 8;
constexpr size_t kRow = 4 * kBlocksPerRow;

uint32_t Low(uint64_t x) { return static_cast<uint32_t>(x); }
uint32_t High(uint64_t x) { return static_cast<uint32_t>(x >> 32); }

// Where to begin, and how far the next block is away.
struct Place {
  uint64_t stream;
  uint64_t block;
  bool next_is_next_stream;

  void Advance(uint64_t by) { (next_is_next_stream ? stream : block) += by; }
};

void FillBaseline(uint64_t seed, Place at, std::span<uint32_t> words) {
  const r123::Philox4x32::key_type key = {{Low(seed), High(seed)}};
  for (size_t row = 0; row < words.size(); row += kRow) {
    for (size_t lane = 0; lane < kBlocksPerRow; ++lane, at.Advance(1)) {
      const r123::Philox4x32::ctr_type drawn = r123::Philox4x32()(
          {{Low(at.block), High(at.block), Low(at.stream), High(at.stream)}}, key);
      for (size_t word = 0; word < 4; ++word) {
        words[row + word * kBlocksPerRow + lane] = drawn[word];
      }
    }
  }
}

#if defined(__x86_64__)

bool HasAvx2() { return __builtin_cpu_supports("avx2"); }

struct Products {
  __m256i low;
  __m256i high;
};

// The halves of eight products of 32 bits.
__attribute__((target("avx2"))) inline Products Multiply(__m256i x, __m256i factor) {
  const __m256i even = _mm256_mul_epu32(x, factor);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), factor);
  return {_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa),
          _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa)};
}

__attribute__((target("avx2"))) void FillAvx2(uint64_t seed, Place at, std::span<uint32_t> words) {
  // The constants of Salmon et al. (2011), as in Random123's philox.h.
  const __m256i factor0 = _mm256_set1_epi64x(PHILOX_M4x32_0);
  const __m256i factor1 = _mm256_set1_epi64x(PHILOX_M4x32_1);
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i zero = _mm256_setzero_si256();
  const __m256i blocks = at.next_is_next_stream ? zero : lanes;
  const __m256i streams = at.next_is_next_stream ? lanes : zero;
  for (size_t row = 0; row < words.size(); row += kRow, at.Advance(kBlocksPerRow)) {
    // Rows begin at multiples of 8, so that the lower half never carries within one.
    __m256i w0 = _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(Low(at.block))), blocks);
    __m256i w1 = _mm256_set1_epi32(static_cast<int>(High(at.block)));
    __m256i w2 = _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(Low(at.stream))), streams);
    __m256i w3 = _mm256_set1_epi32(static_cast<int>(High(at.stream)));
    uint32_t key0 = Low(seed);
    uint32_t key1 = High(seed);
    for (int round = 0; round < 10; ++round) {
      const Products p0 = Multiply(w0, factor0);
      const Products p1 = Multiply(w2, factor1);
      w0 = _mm256_xor_si256(_mm256_xor_si256(p1.high, w1),
                            _mm256_set1_epi32(static_cast<int>(key0)));
      w1 = p1.low;
      w2 = _mm256_xor_si256(_mm256_xor_si256(p0.high, w3),
                            _mm256_set1_epi32(static_cast<int>(key1)));
      w3 = p0.low;
      key0 += PHILOX_W32_0;
      key1 += PHILOX_W32_1;
    }
    auto* out = reinterpret_cast<__m256i*>(words.data() + row);
    _mm256_storeu_si256(out, w0);
    _mm256_storeu_si256(out + 1, w1);
    _mm256_storeu_si256(out + 2, w2);
    _mm256_storeu_si256(out + 3, w3);
  }
}

bool HasAvx512() { return __builtin_cpu_supports("avx512f"); }

// A row at a time. Words stand in the lower halves of 64 bits; what is in the upper ones never
// matters, since products are of lower halves: so the lower half of a product is where the next
// round wants it, and the upper one is a shift away. Masks of all lanes cost nothing: without them
// gcc 12 warns of its own header.
__attribute__((target("avx512f"))) void FillAvx512(uint64_t seed, Place at,
                                                   std::span<uint32_t> words) {
  constexpr __mmask8 kAll = 0xff;
  const __m512i factor0 = _mm512_set1_epi64(PHILOX_M4x32_0);
  const __m512i factor1 = _mm512_set1_epi64(PHILOX_M4x32_1);
  const __m512i lanes = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
  const __m512i zero = _mm512_setzero_si512();
  const __m512i blocks = at.next_is_next_stream ? zero : lanes;
  const __m512i streams = at.next_is_next_stream ? lanes : zero;
  for (size_t row = 0; row < words.size(); row += kRow, at.Advance(kBlocksPerRow)) {
    // As above, the lower half never carries.
    __m512i w0 = _mm512_add_epi64(_mm512_set1_epi64(Low(at.block)), blocks);
    __m512i w1 = _mm512_set1_epi64(High(at.block));
    __m512i w2 = _mm512_add_epi64(_mm512_set1_epi64(Low(at.stream)), streams);
    __m512i w3 = _mm512_set1_epi64(High(at.stream));
    uint32_t key0 = Low(seed);
    uint32_t key1 = High(seed);
    for (int round = 0; round < 10; ++round) {
      const __m512i p0 = _mm512_maskz_mul_epu32(kAll, w0, factor0);
      const __m512i p1 = _mm512_maskz_mul_epu32(kAll, w2, factor1);
      w0 = _mm512_xor_si512(_mm512_xor_si512(_mm512_maskz_srli_epi64(kAll, p1, 32), w1),
                            _mm512_set1_epi64(key0));
      w1 = p1;
      w2 = _mm512_xor_si512(_mm512_xor_si512(_mm512_maskz_srli_epi64(kAll, p0, 32), w3),
                            _mm512_set1_epi64(key1));
      w3 = p0;
      key0 += PHILOX_W32_0;
      key1 += PHILOX_W32_1;
    }
    auto* out = reinterpret_cast<__m256i*>(words.data() + row);
    _mm256_storeu_si256(out, _mm512_maskz_cvtepi64_epi32(kAll, w0));
    _mm256_storeu_si256(out + 1, _mm512_maskz_cvtepi64_epi32(kAll, w1));
    _mm256_storeu_si256(out + 2, _mm512_maskz_cvtepi64_epi32(kAll, w2));
    _mm256_storeu_si256(out + 3, _mm512_maskz_cvtepi64_epi32(kAll, w3));
  }
}

#else

bool HasAvx512() { return false; }
void FillAvx512(uint64_t, Place, std::span<uint32_t>) {}
bool HasAvx2() { return false; }
void FillAvx2(uint64_t, Place, std::span<uint32_t>) {}

#endif

// The path to take on this processor.
RandomBlock::Path Best(RandomBlock::Path path) {
  using Path = RandomBlock::Path;
  if ((path == Path::kAuto || path == Path::kAvx512) && HasAvx512()) return Path::kAvx512;
  if (path != Path::kBaseline && HasAvx2()) return Path::kAvx2;
  return Path::kBaseline;
}

void Fill(RandomBlock::Path best, uint64_t seed, const Place& at, std::span<uint32_t> words) {
  if (best == RandomBlock::Path::kAvx512) {
    FillAvx512(seed, at, words);
  } else if (best == RandomBlock::Path::kAvx2) {
    FillAvx2(seed, at, words);
  } else {
    FillBaseline(seed, at, words);
  }
}

}  // namespace

RandomBlock::RandomBlock(uint64_t seed, uint64_t stream, Path path)
    : seed_(seed), stream_(stream), path_(Best(path)) {}

std::span<const uint32_t, RandomBlock::kWords> RandomBlock::Next() {
  Fill(path_, seed_, {stream_, block_, false}, words_);
  block_ += kWords / 4;
  return words_;
}

void RandomBlock::OfStreams(uint64_t seed, uint64_t first, uint64_t block,
                            std::span<uint32_t> words, Path path) {
  Fill(Best(path), seed, {first, block, true}, words);
}

}  // namespace mirage::metrics
