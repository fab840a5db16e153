// Counts as bytes: what the serialised statistics of BLEU and chrF are made of.
//
// A count is eight bytes, the lowest first. Counts up to kMaxCount are exact as doubles.
#ifndef MIRAGE_METRICS_KERNELS_COUNT_FIELDS_H_
#define MIRAGE_METRICS_KERNELS_COUNT_FIELDS_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace mirage::metrics {

inline constexpr uint64_t kMaxCount = uint64_t{1} << 53;

inline void AppendCount(uint64_t count, std::string& out) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>((count >> (8 * i)) & 0xff));
}

// Reads fields one after the other.
class CountReader {
 public:
  explicit CountReader(std::string_view bytes) : bytes_(bytes) {}

  // The next byte or count; false at the end of the bytes.
  bool Byte(uint8_t& value) {
    if (bytes_.empty()) return false;
    value = static_cast<uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return true;
  }
  bool Count(uint64_t& value) {
    if (bytes_.size() < 8) return false;
    value = 0;
    for (int i = 0; i < 8; ++i) {
      value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes_[i])) << (8 * i);
    }
    bytes_.remove_prefix(8);
    return true;
  }

  bool AtEnd() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_KERNELS_COUNT_FIELDS_H_
