#include "client/tables/csv_reader.h"

#include <fcntl.h>
#include <simdjson.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"

namespace mirage::client {
namespace {

constexpr size_t kBlock = size_t{1} << 16;

absl::Status FileError(const std::string& path, int error) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  const std::string text = fmt::format("{}: {}", path, std::strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(text);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(text);
    default:
      return absl::UnavailableError(text);
  }
}

// Owns a descriptor; shared, because a ByteSource must be copyable.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() { ::close(descriptor_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

// The next comma or line end.
size_t FieldEnd(std::string_view text, size_t at) {
  while (at < text.size() && text[at] != ',' && text[at] != '\n') ++at;
  return at < text.size() ? at : std::string_view::npos;
}

}  // namespace

absl::StatusOr<ByteSource> OpenFile(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return FileError(path, errno);
  const auto file = std::make_shared<File>(descriptor);
  struct stat about = {};
  if (::fstat(descriptor, &about) != 0) return FileError(path, errno);
  if (S_ISDIR(about.st_mode)) {
    return absl::UnavailableError(fmt::format("{}: is a folder, name a file in it", path));
  }
  return [file, path](char* data, size_t size) -> absl::StatusOr<size_t> {
    while (true) {
      const ssize_t n = ::read(file->descriptor(), data, size);
      if (n >= 0) return static_cast<size_t>(n);
      if (errno != EINTR) return FileError(path, errno);
    }
  };
}

CsvReader::CsvReader(ByteSource source, size_t max_record_bytes)
    : source_(std::move(source)), max_record_bytes_(std::max(max_record_bytes, size_t{2})) {}

// Adds at least a byte to the buffer, unless the source is at its end.
absl::Status CsvReader::Fill() {
  if (begin_ > 0) {
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  // Doubled, so that a long record is looked at a few times only.
  const size_t room = std::max(kBlock, end_);
  if (buffer_.size() < end_ + room) buffer_.resize(end_ + room);
  const absl::StatusOr<size_t> n = source_(buffer_.data() + end_, buffer_.size() - end_);
  if (!n.ok()) return n.status();
  end_ += std::min(*n, buffer_.size() - end_);
  at_end_ = *n == 0;
  return absl::OkStatus();
}

absl::Status CsvReader::CheckStart() {
  constexpr size_t kLongestMark = 4;
  while (end_ - begin_ < kLongestMark && !at_end_) {
    if (absl::Status status = Fill(); !status.ok()) return status;
  }
  const std::string_view start = Buffered();
  if (StartsWith(start, "\x1f\x8b") || StartsWith(start, "\x28\xb5\x2f\xfd") ||
      StartsWith(start, "BZh") || StartsWith(start, "\xfd\x37zX")) {
    return absl::InvalidArgumentError("is compressed: unpack it first (gunzip, unzstd, …)");
  }
  if (StartsWith(start, "PK\x03\x04") || StartsWith(start, "\xd0\xcf\x11\xe0")) {
    return absl::InvalidArgumentError("is a spreadsheet or an archive: save the table as CSV");
  }
  if (StartsWith(start, "\xff\xfe") || StartsWith(start, "\xfe\xff")) {
    return absl::InvalidArgumentError("is UTF-16: save it as CSV in UTF-8");
  }
  if (StartsWith(start, "\xef\xbb\xbf")) begin_ += 3;
  return absl::OkStatus();
}

void CsvReader::TakeLine(size_t size) {
  begin_ += size;
  ++next_line_;
}

// Leaves out the first line of what is buffered, all of it where the line goes on.
CsvReader::Kind CsvReader::Malformed(std::string message) {
  message_ = std::move(message);
  const std::string_view text = Buffered();
  const size_t end = text.find('\n');
  TakeLine(end == std::string_view::npos ? text.size() : end + 1);
  return Kind::kMalformed;
}

absl::StatusOr<CsvReader::Kind> CsvReader::Next() {
  if (!status_.ok()) return status_;
  absl::StatusOr<Kind> kind = Parse();
  if (!kind.ok()) status_ = kind.status();
  return kind;
}

absl::StatusOr<CsvReader::Kind> CsvReader::Parse() {
  fields_.clear();
  message_.clear();
  if (!has_started_) {
    has_started_ = true;
    if (absl::Status status = CheckStart(); !status.ok()) return status;
  }

  // The first line, whole; blank ones are skipped.
  std::string_view text;
  while (true) {
    text = Buffered();
    const size_t found = text.find('\n');
    if (found != std::string_view::npos) {
      if (found == 0 || (found == 1 && text[0] == '\r')) {
        TakeLine(found + 1);
        continue;
      }
      break;
    }
    if (at_end_) break;
    if (text.size() > max_record_bytes_) {
      // Drop the line without holding it.
      line_ = next_line_;
      bool has_end = false;
      while (!has_end) {
        const std::string_view rest = Buffered();
        const size_t end = rest.find('\n');
        has_end = end != std::string_view::npos;
        begin_ += has_end ? end + 1 : rest.size();
        if (has_end || at_end_) break;
        if (absl::Status status = Fill(); !status.ok()) return status;
      }
      ++next_line_;
      message_ =
          fmt::format("the line is longer than {} bytes: is this a CSV file?", max_record_bytes_);
      return Kind::kMalformed;
    }
    if (absl::Status status = Fill(); !status.ok()) return status;
  }
  line_ = next_line_;
  if (text.empty() || text == "\r") {
    // The end, with or without a last line end.
    begin_ = end_;
    line_ = next_line_ - 1;
    return Kind::kEnd;
  }

  // A record, which may go on over the line's end inside quotes. `at` is where it goes on after
  // each refill.
  parsed_.clear();
  unescaped_.clear();
  uint64_t n_lines = 1;
  size_t at = 0;
  size_t record_end = 0;  // of the text, without its line end
  size_t taken = 0;       // with it
  while (true) {
    // What a field begins with may not be there yet, on a later line of the record.
    while (at >= text.size() && !at_end_) {
      if (absl::Status status = Fill(); !status.ok()) return status;
      text = Buffered();
    }
    if (at < text.size() && text[at] == '"') {
      Field field = {at + 1, 0, false};
      size_t from = at + 1;
      while (true) {
        const size_t quote = text.find('"', from);
        // Whether a quote is the closing one depends on what comes after it.
        if (quote == std::string_view::npos || (quote + 1 >= text.size() && !at_end_)) {
          if (at_end_ || text.size() > max_record_bytes_) {
            return Malformed(
                "a quoted field is not closed: end it with a quote, and double the quotes within "
                "it");
          }
          if (absl::Status status = Fill(); !status.ok()) return status;
          text = Buffered();
          continue;
        }
        if (quote + 1 < text.size() && text[quote + 1] == '"') {
          if (!field.is_unescaped) field = {unescaped_.size(), 0, true};
          unescaped_.append(text, from, quote + 1 - from);
          from = quote + 2;
          continue;
        }
        if (field.is_unescaped) {
          unescaped_.append(text, from, quote - from);
          field.size = unescaped_.size() - field.offset;
        } else {
          field.size = quote - field.offset;
        }
        n_lines += static_cast<uint64_t>(
            std::count(text.begin() + static_cast<std::ptrdiff_t>(at),
                       text.begin() + static_cast<std::ptrdiff_t>(quote), '\n'));
        at = quote + 1;
        break;
      }
      parsed_.push_back(field);
      // What follows may not be there yet.
      while (at + 1 >= text.size() && !at_end_) {
        if (absl::Status status = Fill(); !status.ok()) return status;
        text = Buffered();
      }
      if (at >= text.size()) {
        record_end = taken = at;
        break;
      }
      if (text[at] == '\n') {
        record_end = at;
        taken = at + 1;
        break;
      }
      if (text[at] == '\r' && (at + 1 == text.size() || text[at + 1] == '\n')) {
        record_end = at;
        taken = std::min(at + 2, text.size());
        break;
      }
      if (text[at] != ',') {
        return Malformed(
            "there is text after a quoted field: put the whole field in quotes, and double the "
            "quotes within it");
      }
      ++at;
      continue;
    }
    // An unquoted field; the end of its line may not be there yet.
    size_t end = FieldEnd(text, at);
    while (end == std::string_view::npos && !at_end_ && text.size() <= max_record_bytes_) {
      if (absl::Status status = Fill(); !status.ok()) return status;
      text = Buffered();
      end = FieldEnd(text, at);
    }
    if (end == std::string_view::npos) end = text.size();
    const bool is_last = end == text.size() || text[end] == '\n';
    size_t field_end = end;
    if (is_last && field_end > at && text[field_end - 1] == '\r') --field_end;
    const std::string_view content = text.substr(at, field_end - at);
    if (content.find('"') != std::string_view::npos) {
      return Malformed(
          "there is a quote inside a field without quotes: put the whole field in quotes, and "
          "double the quotes within it");
    }
    if (content.find('\r') != std::string_view::npos) {
      return Malformed(
          "there is a carriage return inside a field: end lines with LF or CR LF, or put the field "
          "in quotes");
    }
    parsed_.push_back({at, content.size(), false});
    if (is_last) {
      record_end = end;
      taken = std::min(end + 1, text.size());
      break;
    }
    at = end + 1;
  }
  if (record_end > max_record_bytes_) {
    return Malformed(
        fmt::format("the record is longer than {} bytes: is a quote missing?", max_record_bytes_));
  }
  const std::string_view record = text.substr(0, record_end);
  if (record.find('\0') != std::string_view::npos) {
    return Malformed("there is a NUL byte in it: save the file as CSV in UTF-8");
  }
  if (!simdjson::validate_utf8(record.data(), record.size())) {
    return Malformed("it is not UTF-8: save the file as CSV in UTF-8");
  }
  for (const Field& field : parsed_) {
    const char* const base = field.is_unescaped ? unescaped_.data() : text.data();
    fields_.emplace_back(base + field.offset, field.size);
  }
  begin_ += taken;
  next_line_ += n_lines;
  return Kind::kRecord;
}

}  // namespace mirage::client
