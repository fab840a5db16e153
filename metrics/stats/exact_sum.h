#ifndef MIRAGE_METRICS_STATS_EXACT_SUM_H_
#define MIRAGE_METRICS_STATS_EXACT_SUM_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// The exact sum of any doubles and of any products of two doubles, in any order and any sharding.
//
// A fixed-point number that is wide enough for every product of two doubles (2^-2176 to 2^2112), in
// 134 overlapping chunks of 64 bits whose weights are 2^32 apart: Radford M. Neal, "Fast exact
// summation using small and large superaccumulators" (2015, arXiv 1505.05571), section 3, widened
// so that products are exact without a rounding, underflow or overflow case. Nothing is lost up to
// 2^63 additions, so Add, AddProduct and Merge commute and associate: the same multiset of inputs
// gives the same bits of Round(), RoundPair() and Serialize() for every order and every partition.
//
// Infinities and NaNs are counted, not added: `n_pos_inf()`, `n_neg_inf()`, `n_nan()`. A sum with a
// NaN, or with infinities of both signs, is NaN; with infinities of one sign it is that infinity.
// The sum of nothing, and of zeros of either sign, is +0.
//
// 1.1 kB. Measured on one 2.6 GHz core: Add 2.7 ns, AddSquare 6.2 ns, Merge and Round 0.3 us; see
// stats_benchmark.cc for the others.
// Not thread-safe.
class ExactSum {
 public:
  // An exact sum as two doubles: `hi` is the sum correctly rounded, `lo` is what is left of it,
  // correctly rounded. `lo` is 0 when `hi` is not finite.
  struct Pair {
    double hi = 0;
    double lo = 0;
  };

  // Adds x.
  void Add(double x) {
    const uint64_t bits = std::bit_cast<uint64_t>(x);
    const int exponent = static_cast<int>(bits >> 52) & 0x7ff;
    if (exponent == 0x7ff) [[unlikely]] {
      CountNonFinite(x);
      return;
    }
    Spend(1);
    // A subnormal number has the exponent of the smallest normal one, and no hidden bit.
    const int normal = exponent != 0 ? 1 : 0;
    const uint64_t mantissa = (bits & kMantissaMask) | (static_cast<uint64_t>(normal) << 52);
    AddBits(mantissa, exponent + 1 - normal + kAddOffset, static_cast<int64_t>(bits) >> 63);
  }

  // Adds the exact product x * y, also where a double would overflow or underflow. A product that
  // has an infinite or NaN factor is counted as the double x * y (so 0 * Inf is a NaN).
  void AddProduct(double x, double y);

  // Adds all of `xs`, as Add would one by one, faster where their exponents differ by less than 62.
  void AddAll(std::span<const double> xs);

  // Adds the exact squares of `xs`, as AddSquare would, faster where exponents differ by less than
  // 32.
  void AddSquares(std::span<const double> xs);

  // Adds the exact square of x.
  void AddSquare(double x) { AddProduct(x, x); }

  // Adds factor * other, exactly, as long as `other` is a number that doubles can add up to: bits
  // below 2^-1074, which only products have, are left out, and when other.Round() or `factor` is
  // not finite, the double product of the two is counted instead. About 1 us.
  void AddScaled(const ExactSum& other, double factor);

  // Adds another sum. Merging a sum with itself doubles it.
  void Merge(const ExactSum& other);

  // The sum, rounded once to nearest, ties to even; +-Inf where it exceeds the largest double.
  double Round() const;

  // The sum as an unevaluated pair of doubles (about 107 bits).
  Pair RoundPair() const;

  // Numbers of non-finite inputs, by kind.
  uint64_t n_pos_inf() const { return n_pos_inf_; }
  uint64_t n_neg_inf() const { return n_neg_inf_; }
  uint64_t n_nan() const { return n_nan_; }

  // The sum as bytes: a version, the counts of non-finite inputs, sign and magnitude. Canonical:
  // equal sums give equal bytes, on every machine. 28 bytes for zero, about 40 for usual sums.
  std::string Serialize() const;

  // Reads what Serialize() wrote. INVALID_ARGUMENT for another version or bytes that Serialize()
  // never writes (short, long, not canonical).
  static absl::StatusOr<ExactSum> Deserialize(std::string_view bytes);

  // Equality of the exact values and of the counts of non-finite inputs.
  friend bool operator==(const ExactSum& a, const ExactSum& b);

 private:
  __extension__ using Uint128 = unsigned __int128;
  __extension__ using Int128 = __int128;

  static constexpr int kChunks = 134;
  // The weight of chunk 0 is 2^-kLowestExponent.
  static constexpr int kLowestExponent = 2176;
  // Position of bit 0 of a mantissa in the fixed-point number, less the biased exponent.
  static constexpr int kAddOffset = kLowestExponent - 1075;
  static constexpr uint64_t kMantissaMask = (uint64_t{1} << 52) - 1;
  // One AddBits adds less than 2^53 to a chunk, which starts below 2^32 after a carry.
  static constexpr int kBudget = 1000;
  // Numbers whose sum of mantissas, shifted by up to 62 bits, fits 128 bits with a sign.
  static constexpr size_t kBlock = 1024;

  // The canonical form: a sign and 32-bit limbs.
  struct Magnitude {
    bool negative = false;
    // Index of the highest limb that is not zero; -1 for zero.
    int top = -1;
    std::array<uint32_t, kChunks> limbs{};
  };

  // Adds mantissa * 2^position, negated if `sign` is -1 (0 otherwise); mantissa < 2^53.
  void AddBits(uint64_t mantissa, int position, int64_t sign) {
    const int chunk = position >> 5;
    const int shift = position & 31;
    const int64_t low = static_cast<int64_t>((mantissa << shift) & 0xffffffffu);
    const int64_t high = static_cast<int64_t>(mantissa >> (32 - shift));
    chunks_[chunk] += (low ^ sign) - sign;
    chunks_[chunk + 1] += (high ^ sign) - sign;
  }

  // Adds magnitude * 2^position, negated if `sign` is -1 (0 otherwise).
  void AddWide(Uint128 magnitude, int position, int64_t sign);
  // `n` is at most kBlock. The first two take usual columns by floating-point operations that are
  // exact, and leave any others to the integers of the last two.
  void AddBlock(const double* xs, size_t n);
  void AddSquareBlock(const double* xs, size_t n);
  void AddBlockByBits(const double* xs, size_t n);
  void AddSquareBlockByBits(const double* xs, size_t n);

  // Makes room for `adds` calls of AddBits.
  void Spend(int adds) {
    budget_ -= adds;
    if (budget_ < 0) [[unlikely]] {
      Carry();
      budget_ = kBudget - adds;
    }
  }

  void Carry();
  void CountNonFinite(double x);
  Magnitude ToMagnitude() const;
  static double RoundMagnitude(const Magnitude& magnitude);

  std::array<int64_t, kChunks> chunks_{};
  int budget_ = kBudget;
  uint64_t n_pos_inf_ = 0;
  uint64_t n_neg_inf_ = 0;
  uint64_t n_nan_ = 0;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_EXACT_SUM_H_
