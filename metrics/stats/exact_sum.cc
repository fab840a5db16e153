#include "metrics/stats/exact_sum.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"

namespace mirage::metrics {
namespace {

constexpr char kVersion = 1;
constexpr uint64_t kChunkMask = 0xffffffffu;

// Version, three counts, sign, lowest limb's index (two bytes), number of limbs.
constexpr size_t kHeaderBytes = 1 + 3 * 8 + 1 + 1 + 1;

void AppendLittleEndian(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
}

uint64_t ReadLittleEndian(std::string_view bytes, size_t at, int count) {
  uint64_t value = 0;
  for (int i = 0; i < count; ++i) {
    value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  }
  return value;
}

// Two numbers at a time, whatever the processor has.
using Lanes = double __attribute__((vector_size(16)));
using LaneBits = int64_t __attribute__((vector_size(16)));

Lanes Load(const double* xs) {
  Lanes lanes;
  std::memcpy(&lanes, xs, sizeof(lanes));
  return lanes;
}

Lanes Both(double x) { return Lanes{x, x}; }

Lanes Absolute(Lanes x) {
  constexpr int64_t kAllButSign = std::numeric_limits<int64_t>::max();
  return std::bit_cast<Lanes>(std::bit_cast<LaneBits>(x) & LaneBits{kAllButSign, kAllButSign});
}

bool Any(LaneBits mask) { return (mask[0] | mask[1]) != 0; }

// What is known of a block before it is summed.
struct Extent {
  // Binary exponent of the largest magnitude; 0 for a block of zeros.
  int exponent = 0;
  // Whether all is finite.
  bool is_finite = true;
  // Whether a number that is not zero is so small that its square may lose bits.
  bool has_tiny = false;
};

// `n` is even.
Extent ExtentOf(const double* xs, size_t n) {
  constexpr double kLargest = std::numeric_limits<double>::max();
  constexpr double kTiny = 0x1p-450;
  Lanes top = {};
  LaneBits finite = {-1, -1};
  LaneBits tiny = {};
  for (size_t i = 0; i < n; i += 2) {
    const Lanes size = Absolute(Load(xs + i));
    top = size > top ? size : top;
    finite &= size <= Both(kLargest);
    tiny |= (size < Both(kTiny)) & (size > Both(0));
  }
  const double largest = std::max(top[0], top[1]);
  Extent extent;
  extent.exponent = largest > 0 ? std::ilogb(largest) : 0;
  extent.is_finite = (finite[0] & finite[1]) != 0;
  extent.has_tiny = Any(tiny);
  return extent;
}

// Exponents of a block's largest magnitude between which no part of it, nor of its squares,
// overflows or loses bits.
constexpr int kLeastVectorExponent = -400;
constexpr int kMostVectorExponent = 400;
// Below this the detour does not pay.
constexpr size_t kLeastVectorBlock = 32;

// Splits numbers into a part that is a multiple of 2^-53 sigma and a rest of at most that size, and
// sums the first parts without a rounding: Rump, Ogita, Oishi, "Accurate floating-point summation
// part I" (2008), ExtractScalar. `sigma` is a power of two, at least twice the sum of all
// magnitudes that it will take.
class Extractor {
 public:
  explicit Extractor(double sigma) : sigma_(Both(sigma)) {}

  // Returns what is left of x, exactly.
  Lanes Take(Lanes x) {
    const Lanes part = (sigma_ + x) - sigma_;
    sum_ += part;
    return x - part;
  }
  // The same for two at once: their first parts are summed before they meet the others.
  void Take(Lanes& x, Lanes& y) {
    const Lanes x_part = (sigma_ + x) - sigma_;
    const Lanes y_part = (sigma_ + y) - sigma_;
    sum_ += x_part + y_part;
    x -= x_part;
    y -= y_part;
  }
  // The sums so far.
  Lanes sum() const { return sum_; }

 private:
  Lanes sigma_;
  Lanes sum_ = {};
};

// The square of x is the sum of the two, exactly, unless it overflows or |x| < 2^-484: Dekker, "A
// floating-point technique for extending the available precision" (1971).
struct Square {
  Lanes product;
  Lanes error;
};

Square SquareOf(Lanes x) {
  const Lanes scaled = x * Both(0x1p27 + 1);
  const Lanes high = scaled - (scaled - x);
  const Lanes low = x - high;
  const Lanes product = x * x;
  const Lanes cross = high * low;
  return {product, ((high * high - product) + (cross + cross)) + low * low};
}

// The largest biased exponent of the finite numbers; 0 when there are none.
int LargestExponent(const double* xs, size_t n) {
  constexpr uint64_t kExponent = uint64_t{0x7ff} << 52;
  uint64_t largest = 0;
  for (size_t i = 0; i < n; ++i) {
    const uint64_t exponent = std::bit_cast<uint64_t>(xs[i]) & kExponent;
    largest = std::max(largest, exponent == kExponent ? 0 : exponent);
  }
  return static_cast<int>(largest >> 52);
}

// Calls take(mantissa, shift, sign) for every number whose exponent is base + shift, 0 <= shift <=
// kWindow, and other(x) for those that are not, zeros left out. `sign` is -1 or 0.
template <int kWindow, typename Take, typename Other>
void ForEachInWindow(const double* xs, size_t n, int base, const Take& take, const Other& other) {
  constexpr uint64_t kMantissa = (uint64_t{1} << 52) - 1;
  for (size_t i = 0; i < n; ++i) {
    const uint64_t bits = std::bit_cast<uint64_t>(xs[i]);
    const int exponent = static_cast<int>(bits >> 52) & 0x7ff;
    const int shift = exponent - base;
    if (static_cast<unsigned>(shift) > kWindow || exponent == 0x7ff) {
      if (xs[i] != 0) other(xs[i]);
      continue;
    }
    take((bits & kMantissa) | (uint64_t{1} << 52), shift, static_cast<int64_t>(bits) >> 63);
  }
}

}  // namespace

void ExactSum::AddProduct(double x, double y) {
  const uint64_t x_bits = std::bit_cast<uint64_t>(x);
  const uint64_t y_bits = std::bit_cast<uint64_t>(y);
  const int x_exponent = static_cast<int>(x_bits >> 52) & 0x7ff;
  const int y_exponent = static_cast<int>(y_bits >> 52) & 0x7ff;
  if (x_exponent == 0x7ff || y_exponent == 0x7ff) [[unlikely]] {
    CountNonFinite(x * y);
    return;
  }
  Spend(2);
  const int x_normal = x_exponent != 0 ? 1 : 0;
  const int y_normal = y_exponent != 0 ? 1 : 0;
  const uint64_t x_mantissa = (x_bits & kMantissaMask) | (static_cast<uint64_t>(x_normal) << 52);
  const uint64_t y_mantissa = (y_bits & kMantissaMask) | (static_cast<uint64_t>(y_normal) << 52);
  const Uint128 product = static_cast<Uint128>(x_mantissa) * y_mantissa;
  const int position =
      (x_exponent + 1 - x_normal) + (y_exponent + 1 - y_normal) - 2 * 1075 + kLowestExponent;
  const int64_t sign = static_cast<int64_t>(x_bits ^ y_bits) >> 63;
  constexpr uint64_t kLow53 = (uint64_t{1} << 53) - 1;
  AddBits(static_cast<uint64_t>(product) & kLow53, position, sign);
  AddBits(static_cast<uint64_t>(product >> 53), position + 53, sign);
}

void ExactSum::AddAll(std::span<const double> xs) {
  for (size_t at = 0; at < xs.size(); at += kBlock) {
    AddBlock(xs.data() + at, std::min(kBlock, xs.size() - at));
  }
}

void ExactSum::AddSquares(std::span<const double> xs) {
  for (size_t at = 0; at < xs.size(); at += kBlock) {
    AddSquareBlock(xs.data() + at, std::min(kBlock, xs.size() - at));
  }
}

void ExactSum::AddBlock(const double* xs, size_t n) {
  const size_t even = n & ~size_t{1};
  const Extent extent = ExtentOf(xs, even);
  if (n < kLeastVectorBlock || !extent.is_finite || extent.exponent < kLeastVectorExponent ||
      extent.exponent > kMostVectorExponent) {
    AddBlockByBits(xs, n);
    return;
  }
  // Of n <= 2^10 numbers below 2^(exponent + 1), and of their rests, each at most 2^-53 sigma.
  Extractor first(std::ldexp(1, extent.exponent + 12));
  Extractor second(std::ldexp(1, extent.exponent + 12 - 42));
  Extractor third(std::ldexp(1, extent.exponent + 12 - 84));
  for (size_t i = 0; i < even; i += 2) {
    const Lanes rest = third.Take(second.Take(first.Take(Load(xs + i))));
    // Numbers more than 2^60 below the largest: seldom.
    if (Any(rest != Both(0))) [[unlikely]] {
      Add(rest[0]);
      Add(rest[1]);
    }
  }
  for (const Extractor& part : {first, second, third}) {
    Add(part.sum()[0]);
    Add(part.sum()[1]);
  }
  if (even < n) Add(xs[even]);
}

void ExactSum::AddSquareBlock(const double* xs, size_t n) {
  const size_t even = n & ~size_t{1};
  const Extent extent = ExtentOf(xs, even);
  if (n < kLeastVectorBlock || !extent.is_finite || extent.has_tiny ||
      extent.exponent < kLeastVectorExponent || extent.exponent > kMostVectorExponent) {
    AddSquareBlockByBits(xs, n);
    return;
  }
  // The squares are below 2^(2 exponent + 2), their errors 2^-53 of that, so that the second
  // takes two numbers for each. They are twice as long as the numbers, hence a fourth.
  const int top = 2 * extent.exponent + 13;
  Extractor first(std::ldexp(1, top));
  Extractor second(std::ldexp(1, top - 41));
  Extractor third(std::ldexp(1, top - 82));
  Extractor fourth(std::ldexp(1, top - 123));
  for (size_t i = 0; i < even; i += 2) {
    auto [rest, error] = SquareOf(Load(xs + i));
    rest = first.Take(rest);
    second.Take(rest, error);
    third.Take(rest, error);
    fourth.Take(rest, error);
    if (Any((rest != Both(0)) | (error != Both(0)))) [[unlikely]] {
      for (const Lanes& left : {rest, error}) {
        Add(left[0]);
        Add(left[1]);
      }
    }
  }
  for (const Extractor& part : {first, second, third, fourth}) {
    Add(part.sum()[0]);
    Add(part.sum()[1]);
  }
  if (even < n) AddSquare(xs[even]);
}

void ExactSum::AddBlockByBits(const double* xs, size_t n) {
  // One fixed-point number below the largest exponent takes nearly all of a usual column in
  // registers; what lies outside it goes the other way.
  constexpr int kWindow = 62;
  const int base = std::max(LargestExponent(xs, n) - kWindow, 1);
  Int128 sum = 0;
  ForEachInWindow<kWindow>(
      xs, n, base,
      [&](uint64_t mantissa, int shift, int64_t sign) {
        sum += static_cast<Int128>((static_cast<int64_t>(mantissa) ^ sign) - sign) << shift;
      },
      [&](double x) { Add(x); });
  const int64_t sign = sum < 0 ? -1 : 0;
  AddWide(sum < 0 ? Uint128{0} - static_cast<Uint128>(sum) : static_cast<Uint128>(sum),
          base + kAddOffset, sign);
}

void ExactSum::AddSquareBlockByBits(const double* xs, size_t n) {
  constexpr int kWindow = 31;
  const int base = std::max(LargestExponent(xs, n) - kWindow, 1);
  constexpr uint64_t kLow53 = (uint64_t{1} << 53) - 1;
  Uint128 low = 0;
  Uint128 high = 0;
  ForEachInWindow<kWindow>(
      xs, n, base,
      [&](uint64_t mantissa, int shift, int64_t /*sign*/) {
        const Uint128 square = static_cast<Uint128>(mantissa) * mantissa;
        low += (square & kLow53) << (2 * shift);
        high += (square >> 53) << (2 * shift);
      },
      [&](double x) { AddSquare(x); });
  const int position = 2 * (base - 1075) + kLowestExponent;
  AddWide(low, position, 0);
  AddWide(high, position + 53, 0);
}

void ExactSum::AddWide(Uint128 magnitude, int position, int64_t sign) {
  constexpr uint64_t kLow53 = (uint64_t{1} << 53) - 1;
  Spend(3);
  AddBits(static_cast<uint64_t>(magnitude) & kLow53, position, sign);
  AddBits(static_cast<uint64_t>(magnitude >> 53) & kLow53, position + 53, sign);
  AddBits(static_cast<uint64_t>(magnitude >> 106), position + 106, sign);
}

void ExactSum::AddScaled(const ExactSum& other, double factor) {
  const double whole = other.Round();
  if (!std::isfinite(whole) || !std::isfinite(factor)) {
    CountNonFinite(factor * whole);
    return;
  }
  // Peels off doubles from the top: at most 2098 / 53 of them before nothing above 2^-1074 is left.
  ExactSum rest = other;
  double part = whole;
  while (part != 0) {
    AddProduct(factor, part);
    rest.Add(-part);
    part = rest.Round();
  }
}

void ExactSum::Merge(const ExactSum& other) {
  // Both sides are carried first, so that one addition a chunk cannot overflow.
  ExactSum copy = other;
  copy.Carry();
  Carry();
  for (int i = 0; i < kChunks; ++i) chunks_[i] += copy.chunks_[i];
  Carry();
  n_pos_inf_ += copy.n_pos_inf_;
  n_neg_inf_ += copy.n_neg_inf_;
  n_nan_ += copy.n_nan_;
}

double ExactSum::Round() const {
  if (n_nan_ > 0 || (n_pos_inf_ > 0 && n_neg_inf_ > 0)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (n_pos_inf_ > 0) return std::numeric_limits<double>::infinity();
  if (n_neg_inf_ > 0) return -std::numeric_limits<double>::infinity();
  return RoundMagnitude(ToMagnitude());
}

ExactSum::Pair ExactSum::RoundPair() const {
  Pair pair;
  pair.hi = Round();
  if (!std::isfinite(pair.hi)) return pair;
  ExactSum rest = *this;
  rest.Add(-pair.hi);
  pair.lo = rest.Round();
  return pair;
}

std::string ExactSum::Serialize() const {
  const Magnitude magnitude = ToMagnitude();
  int bottom = 0;
  while (bottom <= magnitude.top && magnitude.limbs[bottom] == 0) ++bottom;
  const int limbs = magnitude.top < 0 ? 0 : magnitude.top - bottom + 1;
  std::string out;
  out.reserve(kHeaderBytes + 4 * static_cast<size_t>(limbs));
  out.push_back(kVersion);
  AppendLittleEndian(out, n_pos_inf_, 8);
  AppendLittleEndian(out, n_neg_inf_, 8);
  AppendLittleEndian(out, n_nan_, 8);
  out.push_back(magnitude.negative ? 1 : 0);
  out.push_back(static_cast<char>(limbs == 0 ? 0 : bottom));
  out.push_back(static_cast<char>(limbs));
  for (int i = 0; i < limbs; ++i) AppendLittleEndian(out, magnitude.limbs[bottom + i], 4);
  return out;
}

absl::StatusOr<ExactSum> ExactSum::Deserialize(std::string_view bytes) {
  if (bytes.empty()) return absl::InvalidArgumentError("exact sum: no bytes");
  if (bytes[0] != kVersion) {
    return absl::InvalidArgumentError(
        fmt::format("exact sum: version {} is not {}; it was written by another release",
                    static_cast<int>(static_cast<unsigned char>(bytes[0])), int{kVersion}));
  }
  if (bytes.size() < kHeaderBytes) {
    return absl::InvalidArgumentError(fmt::format(
        "exact sum: {} bytes are too few, the header has {}", bytes.size(), kHeaderBytes));
  }
  ExactSum sum;
  sum.n_pos_inf_ = ReadLittleEndian(bytes, 1, 8);
  sum.n_neg_inf_ = ReadLittleEndian(bytes, 9, 8);
  sum.n_nan_ = ReadLittleEndian(bytes, 17, 8);
  const uint64_t sign = ReadLittleEndian(bytes, 25, 1);
  const size_t bottom = ReadLittleEndian(bytes, 26, 1);
  const size_t limbs = ReadLittleEndian(bytes, 27, 1);
  if (bytes.size() != kHeaderBytes + 4 * limbs) {
    return absl::InvalidArgumentError(fmt::format("exact sum: {} bytes for {} limbs, {} expected",
                                                  bytes.size(), limbs, kHeaderBytes + 4 * limbs));
  }
  if (sign > 1 || bottom + limbs > kChunks || (limbs == 0 && (bottom != 0 || sign != 0))) {
    return absl::InvalidArgumentError(
        fmt::format("exact sum: sign {}, lowest limb {} and {} limbs are not what Serialize writes",
                    sign, bottom, limbs));
  }
  for (size_t i = 0; i < limbs; ++i) {
    const int64_t limb = static_cast<int64_t>(ReadLittleEndian(bytes, kHeaderBytes + 4 * i, 4));
    if (limb == 0 && (i == 0 || i + 1 == limbs)) {
      return absl::InvalidArgumentError("exact sum: the first or last limb is 0, not canonical");
    }
    sum.chunks_[bottom + i] = sign == 1 ? -limb : limb;
  }
  sum.Carry();
  return sum;
}

bool operator==(const ExactSum& a, const ExactSum& b) {
  ExactSum x = a;
  ExactSum y = b;
  x.Carry();
  y.Carry();
  return x.chunks_ == y.chunks_ && x.n_pos_inf_ == y.n_pos_inf_ && x.n_neg_inf_ == y.n_neg_inf_ &&
         x.n_nan_ == y.n_nan_;
}

// Brings every chunk but the last into [0, 2^32); the last one keeps the sign. A canonical form.
void ExactSum::Carry() {
  int64_t carry = 0;
  for (int i = 0; i < kChunks - 1; ++i) {
    const int64_t chunk = chunks_[i] + carry;
    carry = chunk >> 32;
    chunks_[i] = chunk & static_cast<int64_t>(kChunkMask);
  }
  // Unsigned, so that more than 2^63 additions (crafted bytes) wrap instead of being undefined.
  chunks_[kChunks - 1] = static_cast<int64_t>(static_cast<uint64_t>(chunks_[kChunks - 1]) +
                                              static_cast<uint64_t>(carry));
  budget_ = kBudget;
}

void ExactSum::CountNonFinite(double x) {
  if (std::isnan(x)) {
    ++n_nan_;
  } else if (x > 0) {
    ++n_pos_inf_;
  } else {
    ++n_neg_inf_;
  }
}

ExactSum::Magnitude ExactSum::ToMagnitude() const {
  ExactSum copy = *this;
  copy.Carry();
  Magnitude magnitude;
  magnitude.negative = copy.chunks_[kChunks - 1] < 0;
  if (magnitude.negative) {
    for (int64_t& chunk : copy.chunks_) {
      chunk = static_cast<int64_t>(uint64_t{0} - static_cast<uint64_t>(chunk));
    }
    copy.Carry();
  }
  for (int i = 0; i < kChunks; ++i) {
    magnitude.limbs[i] = static_cast<uint32_t>(copy.chunks_[i]);
    if (magnitude.limbs[i] != 0) magnitude.top = i;
  }
  return magnitude;
}

double ExactSum::RoundMagnitude(const Magnitude& magnitude) {
  if (magnitude.top < 0) return 0;
  const auto limb = [&magnitude](int i) -> uint64_t { return i >= 0 ? magnitude.limbs[i] : 0; };
  const int top = magnitude.top;
  const int width = std::bit_width(magnitude.limbs[top]);
  // Position of the highest bit, and of the lowest bit that a double of this size keeps.
  const int highest = 32 * top + width - 1;
  constexpr int kLowestKept = kLowestExponent - 1074;
  const int lowest = std::max(highest - 52, kLowestKept);
  // 96 bits from the top: the kept bits, the rounding bit, and a start of the rest.
  const Uint128 window = (static_cast<Uint128>(limb(top)) << 64) |
                         (static_cast<Uint128>(limb(top - 1)) << 32) | limb(top - 2);
  const int drop = lowest - 32 * (top - 2);
  uint64_t kept = 0;
  bool half = false;
  bool sticky = false;
  if (drop > 96) return magnitude.negative ? -0.0 : 0.0;  // All below half of the least double.
  kept = static_cast<uint64_t>(window >> drop);
  if (drop > 0) {
    half = ((window >> (drop - 1)) & 1) != 0;
    sticky = (window & ((static_cast<Uint128>(1) << (drop - 1)) - 1)) != 0;
  }
  for (int i = top - 3; i >= 0 && !sticky; --i) sticky = magnitude.limbs[i] != 0;
  if (half && (sticky || (kept & 1) != 0)) ++kept;
  const double value = std::ldexp(static_cast<double>(kept), lowest - kLowestExponent);
  return magnitude.negative ? -value : value;
}

}  // namespace mirage::metrics
