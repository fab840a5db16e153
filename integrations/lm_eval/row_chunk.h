// Rows of a samples file, in pieces of their own memory, so that each piece can be
// parsed on any thread. Nothing but a piece's unfinished last row is copied.
#ifndef MIRAGE_INTEGRATIONS_LM_EVAL_ROW_CHUNK_H_
#define MIRAGE_INTEGRATIONS_LM_EVAL_ROW_CHUNK_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "integrations/lm_eval/row_source.h"

namespace mirage::integrations::lm_eval {

// Rows of one chunk, at most: lines of a few bytes must not cost more memory than
// their text.
inline constexpr size_t kMaxChunkRows = 16384;

// Consecutive rows of a file.
struct RowChunk {
  struct Row {
    RowSource::Row::Kind kind = RowSource::Row::Kind::kRow;
    // Where its text stands, from `start` on.
    size_t offset = 0;
    size_t size = 0;
    // See RowSource::Row.
    uint64_t number = 0;
    bool unterminated = false;
  };

  std::vector<Row> rows;
  // Memory of the file's text from the first row on; kRowPadding bytes may be read after
  // each row.
  RowSource::Buffer buffer;
  // Where the first row's text may start in it, and bytes from there to the last row's end.
  size_t start = 0;
  size_t size = 0;
  // Bytes of the file up to the end of the last row.
  uint64_t bytes_consumed = 0;
  // Whether the file ends, or cannot be read further, after these rows.
  bool is_last = false;
  // Why it cannot be read further.
  absl::Status status;

  std::string_view TextOf(const Row& row) const {
    return {buffer.data.get() + start + row.offset, row.size};
  }
};

// Replaces `chunk` by the next rows of `source`: as many as it takes to reach
// `bytes` or kMaxChunkRows, so at least one unless the file ends. Where rows are cut does not
// depend on anything but the file and `bytes`. The chunk's memory is reused. O(bytes).
void ReadChunk(RowSource& source, size_t bytes, RowChunk* chunk);

}  // namespace mirage::integrations::lm_eval

#endif  // MIRAGE_INTEGRATIONS_LM_EVAL_ROW_CHUNK_H_
