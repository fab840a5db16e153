#include "metrics/stats/serialization.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "fmt/format.h"
#include "metrics/stats/max_count.h"

namespace mirage::metrics {

void ByteWriter::Uint64(uint64_t value) {
  for (int i = 0; i < 8; ++i) out_.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
}

void ByteWriter::Double(double value) { Uint64(std::bit_cast<uint64_t>(value)); }

void ByteWriter::Bytes(std::string_view bytes) {
  Uint64(bytes.size());
  out_ += bytes;
}

ByteReader::ByteReader(std::string_view bytes, std::string_view what, uint8_t version)
    : bytes_(bytes), what_(what) {
  if (bytes.empty()) {
    Fail("no bytes");
  } else if (const auto found = static_cast<uint8_t>(bytes[0]); found != version) {
    Fail(
        fmt::format("version {} is not {}; they were written by another release, or are of "
                    "something else",
                    found, version));
  } else {
    bytes_.remove_prefix(1);
  }
}

void ByteReader::Fail(std::string_view message) {
  if (status_.ok()) status_ = absl::InvalidArgumentError(fmt::format("{}: {}", what_, message));
}

void ByteReader::Fail(std::string_view field, const absl::Status& why) {
  const absl::string_view message = why.message();
  Fail(fmt::format("{}: {}", field, std::string_view(message.data(), message.size())));
}

bool ByteReader::Has(std::string_view field, uint64_t size) {
  if (!status_.ok()) return false;
  if (bytes_.size() >= size) return true;
  Fail(fmt::format("{} is cut short: {} bytes are left of {}", field, bytes_.size(), size));
  return false;
}

uint8_t ByteReader::Uint8(std::string_view field) {
  if (!Has(field, 1)) return 0;
  const auto value = static_cast<uint8_t>(bytes_[0]);
  bytes_.remove_prefix(1);
  return value;
}

uint64_t ByteReader::Uint64(std::string_view field) {
  if (!Has(field, 8)) return 0;
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) {
    value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes_[i])) << (8 * i);
  }
  bytes_.remove_prefix(8);
  return value;
}

double ByteReader::Double(std::string_view field) { return std::bit_cast<double>(Uint64(field)); }

bool ByteReader::Flag(std::string_view field) {
  const uint8_t value = Uint8(field);
  if (value > 1) Fail(fmt::format("{} is {}: must be 0 or 1", field, value));
  return value == 1;
}

uint64_t ByteReader::Count(std::string_view field) {
  const uint64_t value = Uint64(field);
  if (value <= kMaxCount) return value;
  Fail(fmt::format("{} is {}: must be <= 2^53", field, value));
  return 0;
}

std::string_view ByteReader::Bytes(std::string_view field) {
  const uint64_t size = Uint64(field);
  if (!Has(field, size)) return {};
  const std::string_view value = bytes_.substr(0, size);
  bytes_.remove_prefix(size);
  return value;
}

std::string_view ByteReader::Rest() {
  if (!status_.ok()) return {};
  return std::exchange(bytes_, {});
}

uint64_t ByteReader::Size(std::string_view field, size_t bytes_each) {
  const uint64_t size = Uint64(field);
  return Holds(field, size, bytes_each) ? size : 0;
}

bool ByteReader::Holds(std::string_view field, uint64_t size, size_t bytes_each) {
  if (!status_.ok()) return false;
  if (size <= bytes_.size() / bytes_each) return true;
  Fail(fmt::format("{} is {}: only {} bytes follow", field, size, bytes_.size()));
  return false;
}

absl::Status ByteReader::Finish() {
  if (!bytes_.empty()) Fail(fmt::format("{} bytes are left over", bytes_.size()));
  return status_;
}

}  // namespace mirage::metrics
