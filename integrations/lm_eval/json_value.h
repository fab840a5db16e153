// A whole JSON document in memory, for results files: bare NaN and Infinity are
// accepted, because Python's json.dumps writes them, and numbers keep their text.
#ifndef MIRAGE_INTEGRATIONS_LM_EVAL_JSON_VALUE_H_
#define MIRAGE_INTEGRATIONS_LM_EVAL_JSON_VALUE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace mirage::integrations::lm_eval {

// One value. A missing member reads as a null, so look-ups chain:
// json["config"]["model"].text.
struct JsonValue {
  enum class Type { kNull, kBool, kNumber, kString, kArray, kObject };

  // Out of line: `members` holds an incomplete type until here ends.
  JsonValue();
  ~JsonValue();
  JsonValue(const JsonValue&);
  JsonValue(JsonValue&&) noexcept;
  JsonValue& operator=(const JsonValue&);
  JsonValue& operator=(JsonValue&&) noexcept;

  Type type = Type::kNull;
  bool boolean = false;
  double number = 0;
  // A string's text, or a number as it was written.
  std::string text;
  std::vector<JsonValue> items;
  // In the document's order. Of repeated keys the last counts, as in Python.
  std::vector<std::pair<std::string, JsonValue>> members;

  bool is_null() const { return type == Type::kNull; }
  bool is_bool() const { return type == Type::kBool; }
  bool is_number() const { return type == Type::kNumber; }
  bool is_string() const { return type == Type::kString; }
  bool is_array() const { return type == Type::kArray; }
  bool is_object() const { return type == Type::kObject; }

  // The member of that name, or null (the C++ kind); O(members).
  const JsonValue* Find(std::string_view key) const;
  // The member of that name, or a null value.
  const JsonValue& operator[](std::string_view key) const;
};

// Parses `text`, which may start with a byte order mark. `name` is the file's,
// for messages. INVALID_ARGUMENT with line and byte when the text is not one JSON
// value, nests deeper than 128 levels, or is not UTF-8. O(length).
absl::StatusOr<JsonValue> ParseJson(std::string_view text, std::string_view name);

// Reads and parses a regular file. NOT_FOUND or PERMISSION_DENIED as the system says;
// INVALID_ARGUMENT when it is something else than a file (a folder, a pipe);
// RESOURCE_EXHAUSTED when the file is larger than `max_bytes`.
absl::StatusOr<JsonValue> ReadJson(const std::string& path, uint64_t max_bytes);

// The file's bytes; errors as `ReadJson`.
absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes);

}  // namespace mirage::integrations::lm_eval

#endif  // MIRAGE_INTEGRATIONS_LM_EVAL_JSON_VALUE_H_
