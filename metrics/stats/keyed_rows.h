// Rows of numbers that know which sample they belong to, in one order whatever order they came in.
//
// What resamples rows draws them by their place, so that its bits depend on their order. Shards are
// scored in any order, on any number of machines: their rows are gathered here and leave sorted by
// sample key.
#ifndef MIRAGE_METRICS_STATS_KEYED_ROWS_H_
#define MIRAGE_METRICS_STATS_KEYED_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mirage::metrics {

// A digest of what names a sample (task, filter, document, variant), of 128 bits: two of 10^9
// samples share one with a probability of 1e-21.
struct SampleKey {
  uint64_t high = 0;
  uint64_t low = 0;

  friend bool operator==(const SampleKey&, const SampleKey&) = default;
  friend bool operator<(const SampleKey& a, const SampleKey& b) {
    return a.high != b.high ? a.high < b.high : a.low < b.low;
  }
};

// Keeps its rows, 16 + 8 columns bytes each. Not thread-safe.
class KeyedRows {
 public:
  // `columns` numbers a row, at least 1.
  explicit KeyedRows(size_t columns);

  // Adds a row; its values may be anything. INVALID_ARGUMENT for a number of values other than
  // columns.
  absl::Status Add(const SampleKey& key, std::span<const double> row);

  // Adds all of another shard's rows. INVALID_ARGUMENT for another number of columns.
  absl::Status Merge(const KeyedRows& other);

  // Number of rows, and of values each.
  size_t count() const { return keys_.size(); }
  size_t columns() const { return columns_; }

  // The rows one after the other, in the order of their keys. INVALID_ARGUMENT, with the key, where
  // one is there twice: a shard was merged twice, or a sample scored twice. O(n log n).
  absl::StatusOr<std::vector<double>> SortedRows() const;

  // Canonical bytes with a version, in the order of the keys; equal rows give equal bytes.
  std::string Serialize() const;

  // Reads what Serialize() wrote; INVALID_ARGUMENT for anything else.
  static absl::StatusOr<KeyedRows> Deserialize(std::string_view bytes);

 private:
  // The places of the rows in the order of their keys, and of their bits where keys are the same.
  std::vector<size_t> Order() const;

  size_t columns_;
  std::vector<SampleKey> keys_;
  std::vector<double> values_;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_KEYED_ROWS_H_
