#include "server/engine/field_rows.h"

#include <algorithm>

#include "metrics/text/units.h"

namespace mirage::server {
namespace {

bool IsUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    // Bytes that are not UTF-8 lie above all code points.
    if (metrics::NextCodepoint(text, at) > 0x10FFFF) return false;
  }
  return true;
}

}  // namespace

void FieldRows::Set(size_t row, std::string_view value) {
  if (has_too_many_) return;
  if (value.empty() || value.size() > kMaxStratumBytes || !IsUtf8(value)) return;
  auto found = std::find(values_.begin(), values_.end(), value);
  if (found == values_.end()) {
    if (values_.size() == kMaxStrata) {
      has_too_many_ = true;
      values_.clear();
      cells_.clear();
      return;
    }
    found = values_.insert(values_.end(), std::string(value));
  }
  cells_.resize(row, kMissing);
  cells_.push_back(static_cast<uint8_t>(found - values_.begin()));
}

}  // namespace mirage::server
