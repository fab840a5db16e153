// Messages written by people in YAML.
//
// A mapping is a message, its keys are the fields' names as in the proto; a list is a repeated
// field, enumeration values are written by their names. JSON is YAML too, and is read the same way.
// Nothing is guessed at: an unknown or repeated key, a value of another kind, a key without a value
// are errors with file, line and column, and the nearest name.
//
// Kinds: true or false; numbers as 0.25 or 7e9, finite, without quotes; texts with or without them.
// Anchors and aliases work, within the limits below. One document a file.
#ifndef MIRAGE_CLIENT_TABLES_YAML_MESSAGE_H_
#define MIRAGE_CLIENT_TABLES_YAML_MESSAGE_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message.h"
#include "yaml-cpp/yaml.h"

namespace mirage::client {

// Largest file in bytes, and largest number of values in a message, those of aliases each time they
// are used: what a person writes is far below.
inline constexpr size_t kMaxYamlBytes = size_t{1} << 20;
inline constexpr size_t kMaxYamlValues = 100'000;

// The document in `text`; `name` stands in messages. INVALID_ARGUMENT: no YAML, not UTF-8, too
// long, none or several documents.
absl::StatusOr<YAML::Node> ParseYaml(std::string_view text, std::string_view name);

// Sets the fields of `message` from a mapping. On an error the message is half filled.
// INVALID_ARGUMENT as said above; UNIMPLEMENTED for a field of a kind that no message of ours has
// (bytes, maps, groups).
absl::Status FillMessage(const YAML::Node& node, std::string_view name,
                         google::protobuf::Message& message);

// INVALID_ARGUMENT at the place of `node`: "NAME:LINE:COLUMN: reason".
absl::Status YamlError(const YAML::Node& node, std::string_view name, std::string_view reason);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_TABLES_YAML_MESSAGE_H_
