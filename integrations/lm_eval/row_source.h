// Cuts a samples file into rows, block by block: the memory used does not grow
// with the file.
#ifndef MIRAGE_INTEGRATIONS_LM_EVAL_ROW_SOURCE_H_
#define MIRAGE_INTEGRATIONS_LM_EVAL_ROW_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mirage::integrations::lm_eval {

// Bytes that may be read (not used) after a row's text; simdjson's need.
inline constexpr size_t kRowPadding = 64;

// Rows of a JSON Lines file, or elements of a file that is one JSON array (lm-eval
// before 0.4.3) or a sequence of objects over several lines. A byte order mark,
// carriage returns before newlines, blank lines and a missing last newline are
// accepted. Not thread-safe.
class RowSource {
 public:
  // Reads up to `size` bytes to `data`; 0 at the end.
  using ReadFn = std::function<absl::StatusOr<size_t>(char* data, size_t size)>;

  struct Row {
    enum class Kind {
      // `text` is a row.
      kRow,
      // The row is larger than the limit and was skipped.
      kTooLong,
      // The file ends inside this array element.
      kTruncated,
      // Something else than an object stands in the array; `text` is its start.
      kStray,
      // Something else than an object stands behind the array; `text` is its start, where it
      // is not a row over the limit.
      kAfterEnd,
      // No more rows.
      kEnd,
    };
    Kind kind = Kind::kEnd;
    // Valid until the next call; kRowPadding bytes after it can be read.
    std::string_view text;
    // Line number from 1, or element number from 1 in an array.
    uint64_t number = 0;
    // True for a last line without a newline.
    bool unterminated = false;
  };

  // Rows over `max_row_bytes` are skipped without being held.
  RowSource(ReadFn read, uint64_t max_row_bytes);

  // The next row. Errors are those of `read`; after one there is nothing more.
  absl::StatusOr<Row> Next();

  // From now on the rows handed out stay where they are relative to each other, until
  // TakePinned; what is skipped is still not held.
  void Pin();

  // Where the text of a row that `Next` has just returned stands, from the pinned start.
  size_t PinnedOffset(const Row& row) const {
    return static_cast<size_t>(row.text.data() - (data_.get() + pin_));
  }

  // A buffer, and its size without padding.
  struct Buffer {
    std::unique_ptr<char[]> data;
    size_t capacity = 0;
  };

  // Ends the pinning: `buffer` gets the memory that the rows stand in, and gives its own
  // for the next ones. Returns where the pinned start is in it.
  size_t TakePinned(Buffer* buffer);

  // Bytes of the rows handed out or skipped so far.
  uint64_t bytes_consumed() const { return consumed_ + begin_; }

  // True when rows are elements, not lines; known after the first `Next`.
  bool is_array() const { return mode_ == Mode::kElements; }

  // Bytes held; for tests.
  size_t capacity() const { return capacity_; }

 private:
  enum class Mode { kUnknown, kLines, kElements };

  // Makes room and reads one block behind what is held. False at the end.
  absl::StatusOr<bool> Fill();
  // Drops what is held before `offset`; rows that are pinned stay.
  void Drop(size_t offset) { begin_ = offset; }
  // The pinned rows, `pinned` bytes, now stand at the front, and the `held` bytes that are
  // still to be cut behind them.
  void MovedTo(size_t pinned, size_t held);
  absl::Status DetectMode();
  absl::StatusOr<Row> NextLine();
  absl::StatusOr<Row> NextElement();

  const ReadFn read_;
  const uint64_t max_row_bytes_;
  Mode mode_ = Mode::kUnknown;
  std::unique_ptr<char[]> data_;
  size_t capacity_ = 0;
  // Held bytes are [begin_, end_) of data_, and while pinned [pin_, pinned_end_), the rows
  // handed out since.
  bool is_pinned_ = false;
  size_t pin_ = 0;
  size_t pinned_end_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
  // Bytes that were dropped from the front of data_.
  uint64_t consumed_ = 0;
  bool at_end_ = false;
  // Whether a bracket has closed the array.
  bool is_closed_ = false;
  uint64_t number_ = 0;
};

}  // namespace mirage::integrations::lm_eval

#endif  // MIRAGE_INTEGRATIONS_LM_EVAL_ROW_SOURCE_H_
