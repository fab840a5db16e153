#ifndef MIRAGE_METRICS_STATS_CANONICAL_BYTES_H_
#define MIRAGE_METRICS_STATS_CANONICAL_BYTES_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mirage::metrics {

// The pieces that serialised accumulators are made of: integers and doubles of eight bytes, the
// lowest first on every machine, and blocks of bytes that follow their size. O(bytes).

// Appends eight bytes.
inline void AppendUint64(std::string& out, uint64_t value) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
}

// Appends the bits of a double; whoever writes sees to it that equal values have equal bits.
inline void AppendDouble(std::string& out, double value) {
  AppendUint64(out, std::bit_cast<uint64_t>(value));
}

// Appends the size of `block` and its bytes.
inline void AppendBlock(std::string& out, std::string_view block) {
  AppendUint64(out, block.size());
  out += block;
}

// Reads what the functions above wrote, one piece after the other, from bytes that nobody vouches
// for. Each call gives false, and leaves its argument and the place alone, where the bytes end too
// early.
class ByteReader {
 public:
  // `bytes` must outlive the reader and the blocks that it gives.
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}

  bool Uint64(uint64_t& value) {
    if (bytes_.size() < 8) return false;
    value = 0;
    for (size_t i = 0; i < 8; ++i) {
      value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes_[i])) << (8 * i);
    }
    bytes_.remove_prefix(8);
    return true;
  }

  bool Double(double& value) {
    uint64_t bits = 0;
    if (!Uint64(bits)) return false;
    value = std::bit_cast<double>(bits);
    return true;
  }

  bool Block(std::string_view& block) {
    const std::string_view before = bytes_;
    uint64_t size = 0;
    if (!Uint64(size)) return false;
    if (size > bytes_.size()) {
      bytes_ = before;
      return false;
    }
    block = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return true;
  }

  // Bytes that are left: a count read from them that is larger cannot be true.
  size_t left() const { return bytes_.size(); }

 private:
  std::string_view bytes_;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_CANONICAL_BYTES_H_
