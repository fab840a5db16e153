#include "integrations/lm_eval/json_value.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <simdjson.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "integrations/lm_eval/json_text.h"

namespace mirage::integrations::lm_eval {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr int kMaxDepth = 128;

std::string_view TrimToken(std::string_view token) {
  while (!token.empty() && (token.back() == ' ' || token.back() == '\n' || token.back() == '\r' ||
                            token.back() == '\t')) {
    token.remove_suffix(1);
  }
  return token;
}

// `end` is the text's.
simdjson::error_code Convert(ondemand::value value, const char* end, int depth, JsonValue* out);

simdjson::error_code ConvertArray(ondemand::array array, const char* end, int depth,
                                  JsonValue* out) {
  out->type = JsonValue::Type::kArray;
  for (auto element : array) {
    ondemand::value value;
    if (const auto error = element.get(value)) return error;
    if (const auto error = Convert(value, end, depth + 1, &out->items.emplace_back())) return error;
  }
  return simdjson::SUCCESS;
}

simdjson::error_code ConvertObject(ondemand::object object, const char* end, int depth,
                                   JsonValue* out) {
  out->type = JsonValue::Type::kObject;
  for (auto member : object) {
    ondemand::field field;
    if (const auto error = std::move(member).get(field)) return error;
    const char* const key = field.key().raw();
    const char* key_end = key;
    while (*key_end != '"') key_end += *key_end == '\\' ? 2 : 1;
    out->members.emplace_back(Unescaped({key, static_cast<size_t>(key_end - key)}), JsonValue());
    if (const auto error = Convert(field.value(), end, depth + 1, &out->members.back().second)) {
      return error;
    }
  }
  return simdjson::SUCCESS;
}

simdjson::error_code Convert(ondemand::value value, const char* end, int depth, JsonValue* out) {
  if (depth > kMaxDepth) return simdjson::DEPTH_ERROR;
  std::string_view token = value.raw_json_token();
  // Where the document stops short, simdjson's length is that of nothing.
  if (token.data() >= end || token.size() > static_cast<size_t>(end - token.data())) {
    return simdjson::INCOMPLETE_ARRAY_OR_OBJECT;
  }
  token = TrimToken(token);
  if (token.empty()) return simdjson::TAPE_ERROR;
  switch (token.front()) {
    case '{': {
      ondemand::object object;
      if (const auto error = value.get_object().get(object)) return error;
      return ConvertObject(object, end, depth, out);
    }
    case '[': {
      ondemand::array array;
      if (const auto error = value.get_array().get(array)) return error;
      return ConvertArray(array, end, depth, out);
    }
    case '"':
      if (token.size() < 2 || token.back() != '"') return simdjson::STRING_ERROR;
      out->type = JsonValue::Type::kString;
      AppendUnescaped(token.substr(1, token.size() - 2), &out->text);
      return simdjson::SUCCESS;
    case 't':
    case 'f':
      if (token != "true" && token != "false") return simdjson::T_ATOM_ERROR;
      out->type = JsonValue::Type::kBool;
      out->boolean = token == "true";
      return simdjson::SUCCESS;
    case 'n':
      if (token != "null") return simdjson::N_ATOM_ERROR;
      return simdjson::SUCCESS;
    default:
      if (!ParseNumber(token, &out->number)) return simdjson::NUMBER_ERROR;
      out->type = JsonValue::Type::kNumber;
      out->text = token;
      return simdjson::SUCCESS;
  }
}

absl::Status Malformed(std::string_view text, std::string_view name, simdjson::error_code error,
                       size_t offset) {
  const char* what = simdjson::error_message(error);
  std::string reason;
  if (offset >= text.size() && error != simdjson::UTF8_ERROR && error != simdjson::EMPTY &&
      error != simdjson::UNCLOSED_STRING) {
    error = simdjson::INCOMPLETE_ARRAY_OR_OBJECT;
  }
  switch (error) {
    case simdjson::UTF8_ERROR:
      reason = "is not UTF-8 text";
      offset = FirstInvalidUtf8(text);
      break;
    case simdjson::UNCLOSED_STRING:
      reason = "ends inside a string";
      offset = text.size();
      break;
    case simdjson::INCOMPLETE_ARRAY_OR_OBJECT:
      reason = "ends before its last bracket is closed";
      offset = text.size();
      break;
    case simdjson::EMPTY:
      reason = "is empty";
      offset = 0;
      break;
    case simdjson::DEPTH_ERROR:
      reason = fmt::format("nests deeper than {} levels", kMaxDepth);
      break;
    case simdjson::NUMBER_ERROR:
    case simdjson::TAPE_ERROR:
    case simdjson::T_ATOM_ERROR:
    case simdjson::F_ATOM_ERROR:
    case simdjson::N_ATOM_ERROR:
    case simdjson::INCORRECT_TYPE:
      reason = "is not JSON";
      break;
    default:
      reason = fmt::format("is not JSON ({})", what);
  }
  offset = std::min(offset, text.size());
  const auto line =
      1 + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(offset), '\n');
  std::string found;
  if (offset < text.size() && error != simdjson::UTF8_ERROR && error != simdjson::EMPTY) {
    found = fmt::format(", at \"{}\"", Excerpt(text.substr(offset), 20));
  }
  return absl::InvalidArgumentError(fmt::format(
      "{} {} (line {}, byte {}{}): it may have been cut off or edited; copy it again or "
      "repeat the evaluation",
      name, reason, line, offset, found));
}

absl::Status SystemError(int error, std::string_view action, const std::string& path) {
  const std::string message = fmt::format("cannot {} {}: {}", action, path, std::strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(message);
    default:
      return absl::UnavailableError(message);
  }
}

}  // namespace

JsonValue::JsonValue() = default;
JsonValue::~JsonValue() = default;
JsonValue::JsonValue(const JsonValue&) = default;
JsonValue::JsonValue(JsonValue&&) noexcept = default;
JsonValue& JsonValue::operator=(const JsonValue&) = default;
JsonValue& JsonValue::operator=(JsonValue&&) noexcept = default;

const JsonValue* JsonValue::Find(std::string_view key) const {
  for (auto it = members.rbegin(); it != members.rend(); ++it) {
    if (it->first == key) return &it->second;
  }
  return nullptr;
}

const JsonValue& JsonValue::operator[](std::string_view key) const {
  static const JsonValue* const kNull = new JsonValue();
  const JsonValue* const found = Find(key);
  return found == nullptr ? *kNull : *found;
}

absl::StatusOr<JsonValue> ParseJson(std::string_view text, std::string_view name) {
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
  const simdjson::padded_string padded(text);
  const std::string_view copy(padded.data(), padded.size());
  ondemand::parser parser;
  ondemand::document document;
  if (const auto error = parser.iterate(padded).get(document)) {
    return Malformed(copy, name, error, 0);
  }
  const auto where = [&]() -> size_t {
    const char* location = nullptr;
    if (document.current_location().get(location) != simdjson::SUCCESS) return copy.size();
    return static_cast<size_t>(location - copy.data());
  };
  JsonValue out;
  ondemand::value root;
  // A lone scalar has no place in any log.
  const size_t first = copy.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || (copy[first] != '{' && copy[first] != '[')) {
    return Malformed(copy, name,
                     first == std::string_view::npos ? simdjson::EMPTY : simdjson::INCORRECT_TYPE,
                     first);
  }
  if (const auto error = document.get_value().get(root)) {
    return Malformed(copy, name, error, where());
  }
  if (const auto error = Convert(root, copy.data() + copy.size(), 0, &out))
    return Malformed(copy, name, error, where());
  const char* rest = nullptr;
  if (document.current_location().get(rest) == simdjson::SUCCESS) {
    return Malformed(copy, name, simdjson::TAPE_ERROR, where());
  }
  return out;
}

absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes) {
  // Not blocking: a named pipe without a writer must not hang the reader.
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat info = {};
  if (file < 0 || fstat(file, &info) != 0) return SystemError(errno, "open", path);
  if (!S_ISREG(info.st_mode)) {
    close(file);
    return absl::InvalidArgumentError(
        fmt::format("cannot read {}: it is not a file; put the file itself in its place", path));
  }
  std::string text;
  text.reserve(std::min<uint64_t>(static_cast<uint64_t>(info.st_size), max_bytes) + 1);
  absl::Status status;
  char block[1 << 16];
  while (true) {
    const ssize_t n = read(file, block, sizeof(block));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) status = SystemError(errno, "read", path);
    if (n <= 0) break;
    if (text.size() + static_cast<size_t>(n) > max_bytes) {
      status = absl::ResourceExhaustedError(
          fmt::format("{} is larger than {} bytes, the limit for a results file: is it a samples "
                      "file under another name?",
                      path, max_bytes));
      break;
    }
    text.append(block, static_cast<size_t>(n));
  }
  close(file);
  if (!status.ok()) return status;
  return text;
}

absl::StatusOr<JsonValue> ReadJson(const std::string& path, uint64_t max_bytes) {
  absl::StatusOr<std::string> text = ReadFile(path, max_bytes);
  if (!text.ok()) return text.status();
  return ParseJson(*text, path);
}

}  // namespace mirage::integrations::lm_eval
