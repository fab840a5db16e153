// Cuts a CSV file into records, block by block: the memory used does not grow with the file.
//
// The format is that of RFC 4180: commas between the fields, a record a line, fields with commas,
// quotes or line ends in double quotes, a quote inside them doubled. Also accepted: LF alone at the
// end of a line, a missing last line end, a byte order mark of UTF-8, blank lines (skipped). Spaces
// belong to their field. Text must be UTF-8.
//
// Nothing else is guessed at. What does not follow these rules is a malformed record: it costs
// itself, with a message that says what is wrong and what to do, and reading goes on at the next
// line of the file. A quote that is never closed therefore costs its own line, not the rest.
#ifndef MIRAGE_CLIENT_TABLES_CSV_READER_H_
#define MIRAGE_CLIENT_TABLES_CSV_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace mirage::client {

// Reads up to `size` bytes to `data`; 0 at the end.
using ByteSource = std::function<absl::StatusOr<size_t>(char* data, size_t size)>;

// The bytes of a file. NOT_FOUND, PERMISSION_DENIED or UNAVAILABLE, with the path, where it cannot
// be opened (a folder cannot); the source fails likewise.
absl::StatusOr<ByteSource> OpenFile(const std::string& path);

// Longest record in bytes: beyond it lies a quote that was never closed.
inline constexpr size_t kMaxCsvRecord = size_t{1} << 20;

// Records of one file, in order. Not thread-safe.
class CsvReader {
 public:
  enum class Kind {
    // fields() are those of a record; there is at least one.
    kRecord,
    // message() says what is wrong with it.
    kMalformed,
    // No more records.
    kEnd,
  };

  // Records over `max_record_bytes` (at least 2) are malformed, and are not held.
  explicit CsvReader(ByteSource source, size_t max_record_bytes = kMaxCsvRecord);

  // The next record. Errors are those of the source; INVALID_ARGUMENT, with the remedy, where the
  // first bytes are those of a compressed file, a spreadsheet or UTF-16. After an error or the end
  // there is nothing more. O(bytes); about 0.2 us a record of 60 bytes.
  absl::StatusOr<Kind> Next();

  // Valid until the next call.
  const std::vector<std::string_view>& fields() const { return fields_; }
  // The line on which the record begins, from 1. After the end, the number of lines.
  uint64_t line() const { return line_; }
  // What is wrong with a malformed record, as a clause without line or file.
  const std::string& message() const { return message_; }

 private:
  struct Field {
    size_t offset;
    size_t size;
    // In unescaped_ instead of the buffer.
    bool is_unescaped;
  };

  absl::Status Fill();
  absl::Status CheckStart();
  absl::StatusOr<Kind> Parse();
  Kind Malformed(std::string message);
  void TakeLine(size_t size);
  std::string_view Buffered() const { return {buffer_.data() + begin_, end_ - begin_}; }

  ByteSource source_;
  const size_t max_record_bytes_;
  std::vector<char> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  bool has_started_ = false;
  bool at_end_ = false;
  absl::Status status_;
  // Of the record, and of the next one.
  uint64_t line_ = 0;
  uint64_t next_line_ = 1;
  std::string message_;
  std::vector<Field> parsed_;
  std::string unescaped_;
  std::vector<std::string_view> fields_;
};

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_TABLES_CSV_READER_H_
