// One declared field of the documents, sample by sample.
//
// Values are text. What is empty, longer than kMaxStratumBytes or not UTF-8 counts as missing.
// A field of more than kMaxStrata different values is an id or a text, not something to group by:
// it keeps none of them, whatever the order of the samples.
//
// Memory: one byte a sample, and the values. Not thread-safe.
#ifndef MIRAGE_SERVER_ENGINE_FIELD_ROWS_H_
#define MIRAGE_SERVER_ENGINE_FIELD_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mirage::server {

inline constexpr size_t kMaxStrata = 64;
inline constexpr size_t kMaxStratumBytes = 100;

class FieldRows {
 public:
  // Of a sample without a value.
  static constexpr uint8_t kMissing = 255;

  explicit FieldRows(std::string field) : field_(std::move(field)) {}

  // Sets the value of sample `row`; rows come in ascending order, and those between have none.
  void Set(size_t row, std::string_view value);

  const std::string& field() const { return field_; }
  // The different values, in the order in which they came; none where there were too many.
  const std::vector<std::string>& values() const { return values_; }
  bool has_too_many() const { return has_too_many_; }
  // The place of the sample's value among `values`, or kMissing.
  uint8_t At(size_t row) const { return row < cells_.size() ? cells_[row] : kMissing; }

 private:
  std::string field_;
  std::vector<std::string> values_;
  std::vector<uint8_t> cells_;
  bool has_too_many_ = false;
};

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_FIELD_ROWS_H_
