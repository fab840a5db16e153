#include "integrations/lm_eval/row_source.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace mirage::integrations::lm_eval {
namespace {

// Fits a core's second-level cache; larger blocks read no faster.
constexpr size_t kBlock = size_t{256} << 10;
// A buffer that a huge row made larger than this is given back after it.
constexpr size_t kKeep = size_t{8} << 20;

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

}  // namespace

RowSource::RowSource(ReadFn read, uint64_t max_row_bytes)
    : read_(std::move(read)), max_row_bytes_(max_row_bytes) {}

void RowSource::MovedTo(size_t pinned, size_t held) {
  pin_ = 0;
  pinned_end_ = pinned;
  consumed_ += begin_ - pinned;
  begin_ = pinned;
  end_ = pinned + held;
}

void RowSource::Pin() {
  is_pinned_ = true;
  pin_ = begin_;
  pinned_end_ = begin_;
}

size_t RowSource::TakePinned(Buffer* buffer) {
  const size_t start = pin_;
  const size_t rest = end_ - begin_;
  Buffer next = std::move(*buffer);
  if (next.data == nullptr || next.capacity < rest + kBlock || next.capacity > kKeep) {
    next.capacity = 2 * (rest + kBlock);
    next.data = std::make_unique<char[]>(next.capacity + kRowPadding);
  }
  if (rest > 0) std::memcpy(next.data.get(), data_.get() + begin_, rest);
  std::memset(next.data.get() + rest, 0, kRowPadding);
  buffer->data = std::move(data_);
  buffer->capacity = capacity_;
  data_ = std::move(next.data);
  capacity_ = next.capacity;
  is_pinned_ = false;
  MovedTo(0, rest);
  return start;
}

absl::StatusOr<bool> RowSource::Fill() {
  if (at_end_) return false;
  // What was skipped between the pinned rows and what is still to be cut goes.
  const size_t pinned = is_pinned_ ? pinned_end_ - pin_ : 0;
  const size_t held = end_ - begin_;
  const bool too_large = capacity_ > kKeep && pinned + held < kKeep / 4;
  if (too_large || pinned + held + kBlock > capacity_) {
    const size_t capacity = 2 * (pinned + held + kBlock);
    // Zeroed, so that the padding behind the last row is defined.
    auto data = std::make_unique<char[]>(capacity + kRowPadding);
    if (pinned > 0) std::memcpy(data.get(), data_.get() + pin_, pinned);
    if (held > 0) std::memcpy(data.get() + pinned, data_.get() + begin_, held);
    data_ = std::move(data);
    capacity_ = capacity;
    MovedTo(pinned, held);
  } else if (end_ + kBlock > capacity_) {
    std::memmove(data_.get(), data_.get() + pin_, pinned);
    std::memmove(data_.get() + pinned, data_.get() + begin_, held);
    MovedTo(pinned, held);
  }
  absl::StatusOr<size_t> n = read_(data_.get() + end_, kBlock);
  if (!n.ok()) {
    at_end_ = true;
    return n.status();
  }
  end_ += *n;
  std::memset(data_.get() + end_, 0, kRowPadding);
  at_end_ = *n == 0;
  return *n > 0;
}

absl::Status RowSource::DetectMode() {
  // A byte order mark needs three bytes, which a pipe may deliver one by one.
  while (end_ - begin_ < 3) {
    const absl::StatusOr<bool> more = Fill();
    if (!more.ok()) return more.status();
    if (!*more) break;
  }
  if (end_ - begin_ >= 3 && std::memcmp(data_.get() + begin_, "\xEF\xBB\xBF", 3) == 0) begin_ += 3;
  mode_ = Mode::kLines;
  // Looks no further than one block: a file that starts with more white space
  // than that is read as lines.
  size_t at = begin_;
  while (true) {
    while (at < end_ && IsSpace(data_[at])) ++at;
    if (at < end_ && data_[at] == '[') {
      mode_ = Mode::kElements;
      Drop(at + 1);
      return absl::OkStatus();
    }
    if (at < end_ && data_[at] == '{') {
      // An object whose first line is only its brace goes over several lines.
      size_t next = at + 1;
      while (next < end_ && (data_[next] == ' ' || data_[next] == '\r')) ++next;
      if (next < end_) {
        if (data_[next] == '\n') mode_ = Mode::kElements;
        return absl::OkStatus();
      }
    } else if (at < end_) {
      return absl::OkStatus();
    }
    if (end_ - begin_ >= kBlock) return absl::OkStatus();
    const size_t offset = at - begin_;
    const absl::StatusOr<bool> more = Fill();
    if (!more.ok()) return more.status();
    if (!*more) return absl::OkStatus();
    at = begin_ + offset;
  }
}

absl::StatusOr<RowSource::Row> RowSource::Next() {
  if (mode_ == Mode::kUnknown) {
    if (absl::Status status = DetectMode(); !status.ok()) return status;
  }
  absl::StatusOr<Row> row = mode_ == Mode::kLines ? NextLine() : NextElement();
  if (row.ok() && row->kind == Row::Kind::kRow) pinned_end_ = begin_;
  return row;
}

absl::StatusOr<RowSource::Row> RowSource::NextLine() {
  Row row;
  size_t scanned = 0;  // bytes after begin_ without a newline
  bool too_long = false;
  while (true) {
    const char* const start = data_.get() + begin_;
    const void* const found = end_ > begin_ + scanned
                                  ? std::memchr(start + scanned, '\n', end_ - begin_ - scanned)
                                  : nullptr;
    if (found == nullptr) {
      scanned = end_ - begin_;
      if (scanned > max_row_bytes_ || too_long) {
        too_long = true;
        Drop(end_);
        scanned = 0;
      }
      absl::StatusOr<bool> more = Fill();
      if (!more.ok()) return more.status();
      if (*more) continue;
    }
    const bool ends = found == nullptr;
    const size_t length =
        ends ? end_ - begin_ : static_cast<size_t>(static_cast<const char*>(found) - start);
    if (ends && length == 0 && !too_long) return row;  // kEnd
    ++number_;
    row.number = number_;
    row.unterminated = ends;
    const size_t at = begin_;
    Drop(begin_ + length + (ends ? 0 : 1));
    if (too_long || length > max_row_bytes_) {
      row.kind = Row::Kind::kTooLong;
      return row;
    }
    std::string_view text(data_.get() + at, length);
    while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
    while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
    if (text.empty()) {
      if (ends) return Row();
      scanned = 0;
      too_long = false;
      continue;
    }
    row.kind = Row::Kind::kRow;
    row.text = text;
    return row;
  }
}

absl::StatusOr<RowSource::Row> RowSource::NextElement() {
  Row row;
  // To the next element. Brackets that close the array are passed over, so that
  // whatever follows them is read too.
  while (true) {
    while (begin_ < end_ &&
           (IsSpace(data_[begin_]) || data_[begin_] == ',' || data_[begin_] == ']')) {
      is_closed_ = is_closed_ || data_[begin_] == ']';
      ++begin_;
    }
    if (begin_ < end_) break;
    absl::StatusOr<bool> more = Fill();
    if (!more.ok()) return more.status();
    if (!*more) return row;  // without the last bracket: every element was whole
  }
  row.number = ++number_;
  const bool stray = data_[begin_] != '{';
  const Row::Kind stray_kind = is_closed_ ? Row::Kind::kAfterEnd : Row::Kind::kStray;
  size_t at = begin_;
  uint64_t depth = 0;
  bool in_string = false;
  bool escaped = false;
  bool too_long = false;
  while (true) {
    for (; at < end_; ++at) {
      const char c = data_[at];
      if (in_string) {
        if (escaped) {
          escaped = false;
        } else if (c == '\\') {
          escaped = true;
        } else if (c == '"') {
          in_string = false;
        }
        continue;
      }
      // Whatever is no object ends before the next comma or bracket of the array.
      if (stray && depth == 0 && (too_long || at > begin_) && (c == ',' || c == ']' || c == '\n')) {
        row.kind = stray_kind;
        if (!too_long) row.text = {data_.get() + begin_, at - begin_};
        Drop(at);
        return row;
      }
      if (c == '"') {
        in_string = true;
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if (c == '}' || c == ']') {
        if (depth > 0) --depth;
        if (depth == 0 && !stray) {
          const size_t length = at + 1 - begin_;
          if (too_long || length > max_row_bytes_) {
            row.kind = Row::Kind::kTooLong;
          } else {
            row.kind = Row::Kind::kRow;
            row.text = {data_.get() + begin_, length};
          }
          Drop(at + 1);
          return row;
        }
      }
    }
    if (too_long || at - begin_ > max_row_bytes_) {
      too_long = true;
      Drop(end_);
    }
    const size_t offset = end_ - begin_;
    absl::StatusOr<bool> more = Fill();
    if (!more.ok()) return more.status();
    at = begin_ + offset;
    if (!*more) {
      row.kind = Row::Kind::kTruncated;
      if (stray && is_closed_) {
        row.kind = Row::Kind::kAfterEnd;
        if (!too_long) row.text = {data_.get() + begin_, at - begin_};
      }
      Drop(end_);
      return row;
    }
  }
}

}  // namespace mirage::integrations::lm_eval
