// Text in memory as the file of a RowSource, for tests.
#ifndef MIRAGE_INTEGRATIONS_LM_EVAL_TEXT_SOURCE_H_
#define MIRAGE_INTEGRATIONS_LM_EVAL_TEXT_SOURCE_H_

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string_view>

#include "absl/status/statusor.h"
#include "integrations/lm_eval/row_source.h"

namespace mirage::integrations::lm_eval {

// Reads `text`, which must stay, from its start, at most `block` bytes at a time.
inline RowSource::ReadFn FromText(std::string_view text,
                                  size_t block = std::numeric_limits<size_t>::max()) {
  return [text, block, at = size_t{0}](char* data, size_t size) mutable -> absl::StatusOr<size_t> {
    const size_t n = std::min({size, block, text.size() - at});
    std::copy_n(text.data() + at, n, data);
    at += n;
    return n;
  };
}

}  // namespace mirage::integrations::lm_eval

#endif  // MIRAGE_INTEGRATIONS_LM_EVAL_TEXT_SOURCE_H_
