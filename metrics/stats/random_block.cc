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

void FillBaseline(uint64_t seed, uint64_t stream, uint64_t block, std::span<uint32_t> words) {
  const r123::Philox4x32::key_type key = {{Low(seed), High(seed)}};
  for (size_t row = 0; row < words.size(); row += kRow) {
    for (size_t lane = 0; lane < kBlocksPerRow; ++lane, ++block) {
      const r123::Philox4x32::ctr_type drawn =
          r123::Philox4x32()({{Low(block), High(block), Low(stream), High(stream)}}, key);
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

__attribute__((target("avx2"))) void FillAvx2(uint64_t seed, uint64_t stream, uint64_t block,
                                              std::span<uint32_t> words) {
  // The constants of Salmon et al. (2011), as in Random123's philox.h.
  const __m256i factor0 = _mm256_set1_epi64x(PHILOX_M4x32_0);
  const __m256i factor1 = _mm256_set1_epi64x(PHILOX_M4x32_1);
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  for (size_t row = 0; row < words.size(); row += kRow, block += kBlocksPerRow) {
    // Rows begin at multiples of 8, so that the lower half never carries within one.
    __m256i w0 = _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(Low(block))), lanes);
    __m256i w1 = _mm256_set1_epi32(static_cast<int>(High(block)));
    __m256i w2 = _mm256_set1_epi32(static_cast<int>(Low(stream)));
    __m256i w3 = _mm256_set1_epi32(static_cast<int>(High(stream)));
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
    _mm256_store_si256(out, w0);
    _mm256_store_si256(out + 1, w1);
    _mm256_store_si256(out + 2, w2);
    _mm256_store_si256(out + 3, w3);
  }
}

bool HasAvx512() { return __builtin_cpu_supports("avx512f"); }

// A row at a time. Words stand in the lower halves of 64 bits; what is in the upper ones never
// matters, since products are of lower halves: so the lower half of a product is where the next
// round wants it, and the upper one is a shift away. Masks of all lanes cost nothing: without them
// gcc 12 warns of its own header.
__attribute__((target("avx512f"))) void FillAvx512(uint64_t seed, uint64_t stream, uint64_t block,
                                                   std::span<uint32_t> words) {
  constexpr __mmask8 kAll = 0xff;
  const __m512i factor0 = _mm512_set1_epi64(PHILOX_M4x32_0);
  const __m512i factor1 = _mm512_set1_epi64(PHILOX_M4x32_1);
  const __m512i lanes = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
  for (size_t row = 0; row < words.size(); row += kRow, block += kBlocksPerRow) {
    const auto number = static_cast<int64_t>(block);
    __m512i w0 = _mm512_add_epi64(_mm512_set1_epi64(number), lanes);
    __m512i w1 = _mm512_set1_epi64(High(block));
    __m512i w2 = _mm512_set1_epi64(Low(stream));
    __m512i w3 = _mm512_set1_epi64(High(stream));
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
    _mm256_store_si256(out, _mm512_maskz_cvtepi64_epi32(kAll, w0));
    _mm256_store_si256(out + 1, _mm512_maskz_cvtepi64_epi32(kAll, w1));
    _mm256_store_si256(out + 2, _mm512_maskz_cvtepi64_epi32(kAll, w2));
    _mm256_store_si256(out + 3, _mm512_maskz_cvtepi64_epi32(kAll, w3));
  }
}

#else

bool HasAvx512() { return false; }
void FillAvx512(uint64_t, uint64_t, uint64_t, std::span<uint32_t>) {}
bool HasAvx2() { return false; }
void FillAvx2(uint64_t, uint64_t, uint64_t, std::span<uint32_t>) {}

#endif

}  // namespace

RandomBlock::RandomBlock(uint64_t seed, uint64_t stream, Path path)
    : seed_(seed),
      stream_(stream),
      use_avx512_(path == Path::kAuto && HasAvx512()),
      use_avx2_(path != Path::kBaseline && HasAvx2()) {}

std::span<const uint32_t, RandomBlock::kWords> RandomBlock::Next() {
  if (use_avx512_) {
    FillAvx512(seed_, stream_, block_, words_);
  } else if (use_avx2_) {
    FillAvx2(seed_, stream_, block_, words_);
  } else {
    FillBaseline(seed_, stream_, block_, words_);
  }
  block_ += kWords / 4;
  return words_;
}

}  // namespace mirage::metrics
