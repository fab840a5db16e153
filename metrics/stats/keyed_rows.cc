#include "metrics/stats/keyed_rows.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/serialization.h"

namespace mirage::metrics {
namespace {

constexpr uint8_t kVersion = 1;

}  // namespace

KeyedRows::KeyedRows(size_t columns) : columns_(std::max<size_t>(columns, 1)) {}

absl::Status KeyedRows::Add(const SampleKey& key, std::span<const double> row) {
  if (row.size() != columns_) {
    return absl::InvalidArgumentError(
        fmt::format("row has {} values: must be {}, as columns", row.size(), columns_));
  }
  keys_.push_back(key);
  values_.insert(values_.end(), row.begin(), row.end());
  return absl::OkStatus();
}

absl::Status KeyedRows::Merge(const KeyedRows& other) {
  if (other.columns_ != columns_) {
    return absl::InvalidArgumentError(fmt::format(
        "rows of {} values cannot be merged with rows of {}", other.columns_, columns_));
  }
  // A copy, because `other` may be this one.
  const std::vector<SampleKey> keys = other.keys_;
  const std::vector<double> values = other.values_;
  keys_.insert(keys_.end(), keys.begin(), keys.end());
  values_.insert(values_.end(), values.begin(), values.end());
  return absl::OkStatus();
}

std::vector<size_t> KeyedRows::Order() const {
  std::vector<size_t> order(keys_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (!(keys_[a] == keys_[b])) return keys_[a] < keys_[b];
    // Keys are the same only where something is wrong; even then the bytes must not depend on the
    // order. By bits: NaNs have an order then, too.
    for (size_t j = 0; j < columns_; ++j) {
      const auto x = std::bit_cast<uint64_t>(values_[a * columns_ + j]);
      const auto y = std::bit_cast<uint64_t>(values_[b * columns_ + j]);
      if (x != y) return x < y;
    }
    return false;
  });
  return order;
}

absl::StatusOr<std::vector<double>> KeyedRows::SortedRows() const {
  const std::vector<size_t> order = Order();
  std::vector<double> rows;
  rows.reserve(values_.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const SampleKey& key = keys_[order[i]];
    if (i > 0 && keys_[order[i - 1]] == key) {
      return absl::InvalidArgumentError(
          fmt::format("the sample key {:016x}{:016x} is there twice: merge each shard once",
                      key.high, key.low));
    }
    const double* row = values_.data() + order[i] * columns_;
    rows.insert(rows.end(), row, row + columns_);
  }
  return rows;
}

std::string KeyedRows::Serialize() const {
  ByteWriter out(kVersion);
  out.Uint64(columns_);
  out.Uint64(keys_.size());
  for (const size_t i : Order()) {
    out.Uint64(keys_[i].high);
    out.Uint64(keys_[i].low);
    for (size_t j = 0; j < columns_; ++j) out.Double(values_[i * columns_ + j]);
  }
  return std::move(out).Take();
}

absl::StatusOr<KeyedRows> KeyedRows::Deserialize(std::string_view bytes) {
  ByteReader in(bytes, "keyed rows", kVersion);
  const uint64_t columns = in.Uint64("number of columns");
  // Rows without values would let a row take no bytes but those of its key.
  if (in.ok() && (columns == 0 || columns > bytes.size())) {
    in.Fail(fmt::format("number of columns is {}", columns));
  }
  if (!in.ok()) return in.Finish();
  KeyedRows out(columns);
  const uint64_t n = in.Size("number of rows", 16 + 8 * columns);
  out.keys_.reserve(n);
  out.values_.reserve(n * columns);
  for (uint64_t i = 0; i < n; ++i) {
    const uint64_t high = in.Uint64("key");
    out.keys_.push_back({high, in.Uint64("key")});
    for (uint64_t j = 0; j < columns; ++j) out.values_.push_back(in.Double("value"));
  }
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  if (out.Serialize() != bytes) {
    return absl::InvalidArgumentError("keyed rows: rows are not in order");
  }
  return out;
}

}  // namespace mirage::metrics
