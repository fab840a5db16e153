#include "client/tables/yaml_message.h"

#include <simdjson.h>

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/near_names.h"
#include "fmt/format.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "yaml-cpp/eventhandler.h"
#include "yaml-cpp/parser.h"
#include "yaml-cpp/yaml.h"

namespace mirage::client {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Messages within messages.
constexpr int kMaxDepth = 32;
// Bytes of a value that an error repeats.
constexpr size_t kMaxQuoted = 60;

// " (is it x?)", or the known names where none is near.
std::string Suggestion(std::string_view word, const std::vector<std::string_view>& known) {
  const std::vector<std::string_view> near = NearNames(word, known, 1);
  if (!near.empty()) return fmt::format(": is it {}?", near.front());
  std::string all;
  for (const std::string_view name : known)
    all += fmt::format("{}{}", all.empty() ? "" : ", ", name);
  return fmt::format(": known are {}", all);
}

std::string Cut(std::string_view text) {
  if (text.size() <= kMaxQuoted) return std::string(text);
  size_t size = kMaxQuoted;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return std::string(text.substr(0, size)) + "…";
}

template <typename Number>
std::optional<Number> ParseNumber(const YAML::Node& node) {
  // A quoted scalar has the tag "!".
  if (!node.IsScalar() || node.Tag() == "!") return std::nullopt;
  const std::string& text = node.Scalar();
  Number value{};
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error != std::errc() || end != last) return std::nullopt;
  return value;
}

class Filler {
 public:
  explicit Filler(std::string_view name) : name_(name) {}

  absl::Status Fill(const YAML::Node& node, Message& message, int depth) {
    if (!node.IsMap()) return Error(node, "must be a mapping, `key: value`");
    if (depth > kMaxDepth) return Error(node, "is nested too deeply");
    const Descriptor& descriptor = *message.GetDescriptor();
    std::set<std::string> seen;
    for (const auto& item : node) {
      if (!item.first.IsScalar()) return Error(item.first, "a key must be a name");
      const std::string& key = item.first.Scalar();
      const FieldDescriptor* const field = descriptor.FindFieldByName(key);
      if (field == nullptr) {
        std::vector<std::string_view> known;
        known.reserve(static_cast<size_t>(descriptor.field_count()));
        for (int i = 0; i < descriptor.field_count(); ++i) {
          known.push_back(descriptor.field(i)->name());
        }
        return Error(item.first,
                     fmt::format("unknown key \"{}\"{}", Cut(key), Suggestion(key, known)));
      }
      if (!seen.insert(key).second) {
        return Error(item.first, fmt::format("{} is given twice: keep one", key));
      }
      if (item.second.IsNull()) {
        return Error(item.first, fmt::format("{} has no value: give one, or remove the key", key));
      }
      if (absl::Status status = FillField(item.second, *field, message, depth); !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Error(const YAML::Node& node, std::string_view reason) const {
    return YamlError(node, name_, reason);
  }

  absl::Status WrongKind(const YAML::Node& node, const FieldDescriptor& field,
                         std::string_view kind) const {
    const std::string got = node.IsScalar() ? fmt::format("\"{}\"", Cut(node.Scalar()))
                            : node.IsMap()  ? "a mapping"
                                            : "a list";
    return Error(node, fmt::format("{} is {}: must be {}", field.name(), got, kind));
  }

  absl::Status FillField(const YAML::Node& node, const FieldDescriptor& field, Message& message,
                         int depth) {
    if (field.is_map()) {
      return absl::UnimplementedError(fmt::format("{} is a map", field.full_name()));
    }
    if (!field.is_repeated()) return FillValue(node, field, message, depth);
    if (!node.IsSequence())
      return WrongKind(node, field, "a list, [a, b] or a line `- a` for each");
    for (const YAML::Node& element : node) {
      if (absl::Status status = FillValue(element, field, message, depth); !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  absl::Status FillValue(const YAML::Node& node, const FieldDescriptor& field, Message& message,
                         int depth) {
    if (++n_values_ > kMaxYamlValues) {
      return Error(node, fmt::format("there are more than {} values", kMaxYamlValues));
    }
    const Reflection& reflection = *message.GetReflection();
    const bool add = field.is_repeated();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE: {
        Message& inner = add ? *reflection.AddMessage(&message, &field)
                             : *reflection.MutableMessage(&message, &field);
        return Fill(node, inner, depth + 1);
      }
      case FieldDescriptor::CPPTYPE_STRING: {
        if (field.type() == FieldDescriptor::TYPE_BYTES) break;
        if (!node.IsScalar()) return WrongKind(node, field, "a text");
        if (add) {
          reflection.AddString(&message, &field, node.Scalar());
        } else {
          reflection.SetString(&message, &field, node.Scalar());
        }
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_BOOL: {
        const bool is_plain = node.IsScalar() && node.Tag() != "!";
        if (!is_plain || (node.Scalar() != "true" && node.Scalar() != "false")) {
          return WrongKind(node, field, "true or false");
        }
        const bool value = node.Scalar() == "true";
        if (add) {
          reflection.AddBool(&message, &field, value);
        } else {
          reflection.SetBool(&message, &field, value);
        }
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_DOUBLE: {
        const std::optional<double> value = ParseNumber<double>(node);
        if (!value.has_value() || !std::isfinite(*value)) {
          return WrongKind(node, field, "a finite number like 0.25 or 7e9, without quotes");
        }
        if (add) {
          reflection.AddDouble(&message, &field, *value);
        } else {
          reflection.SetDouble(&message, &field, *value);
        }
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_UINT32: {
        const std::optional<uint32_t> value = ParseNumber<uint32_t>(node);
        if (!value.has_value()) return WrongKind(node, field, "a whole number from 0 to 2^32 - 1");
        if (add) {
          reflection.AddUInt32(&message, &field, *value);
        } else {
          reflection.SetUInt32(&message, &field, *value);
        }
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_UINT64: {
        const std::optional<uint64_t> value = ParseNumber<uint64_t>(node);
        if (!value.has_value()) return WrongKind(node, field, "a whole number from 0 to 2^64 - 1");
        if (add) {
          reflection.AddUInt64(&message, &field, *value);
        } else {
          reflection.SetUInt64(&message, &field, *value);
        }
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_ENUM: {
        const EnumDescriptor& values = *field.enum_type();
        const EnumValueDescriptor* const value =
            node.IsScalar() ? values.FindValueByName(node.Scalar()) : nullptr;
        // The zero value stands for an absent one.
        if (value == nullptr || value->number() == 0) {
          std::vector<std::string_view> known;
          for (int i = 0; i < values.value_count(); ++i) {
            if (values.value(i)->number() != 0) known.push_back(values.value(i)->name());
          }
          const std::string got = node.IsScalar() ? node.Scalar() : "";
          return Error(
              node, fmt::format("{} is \"{}\"{}", field.name(), Cut(got), Suggestion(got, known)));
        }
        if (add) {
          reflection.AddEnum(&message, &field, value);
        } else {
          reflection.SetEnum(&message, &field, value);
        }
        return absl::OkStatus();
      }
      default:
        break;
    }
    return absl::UnimplementedError(
        fmt::format("{} is of a kind that YAML is not read for", field.full_name()));
  }

  std::string_view name_;
  size_t n_values_ = 0;
};

// Takes a document and notes where it began.
class Silent : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& at) override { mark = at; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& at, YAML::anchor_t anchor) override {}
  void OnAlias(const YAML::Mark& at, YAML::anchor_t anchor) override {}
  void OnScalar(const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {}
  void OnSequenceStart(const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {}
  void OnMapEnd() override {}

  YAML::Mark mark;
};

}  // namespace

absl::Status YamlError(const YAML::Node& node, std::string_view name, std::string_view reason) {
  const YAML::Mark mark = node.Mark();
  if (mark.is_null()) return absl::InvalidArgumentError(fmt::format("{}: {}", name, reason));
  return absl::InvalidArgumentError(
      fmt::format("{}:{}:{}: {}", name, mark.line + 1, mark.column + 1, reason));
}

absl::StatusOr<YAML::Node> ParseYaml(std::string_view text, std::string_view name) {
  if (text.size() > kMaxYamlBytes) {
    return absl::InvalidArgumentError(
        fmt::format("{}: is longer than {} bytes", name, kMaxYamlBytes));
  }
  if (!simdjson::validate_utf8(text.data(), text.size())) {
    return absl::InvalidArgumentError(fmt::format("{}: is not UTF-8: save it in UTF-8", name));
  }
  try {
    // Not LoadAll: on some texts (",0") it finds documents without end.
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Silent silent;
    parser.HandleNextDocument(silent);
    if (parser.HandleNextDocument(silent)) {
      return absl::InvalidArgumentError(fmt::format(
          "{}:{}:{}: a second document begins here, or what belongs to none: one file is one "
          "document",
          name, silent.mark.line + 1, silent.mark.column + 1));
    }
    YAML::Node document = YAML::Load(std::string(text));
    if (document.IsNull()) return absl::InvalidArgumentError(fmt::format("{}: is empty", name));
    return document;
  } catch (const YAML::Exception& e) {
    return absl::InvalidArgumentError(
        fmt::format("{}:{}:{}: {}", name, e.mark.line + 1, e.mark.column + 1, e.msg));
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(fmt::format("{}: {}", name, e.what()));
  }
}

absl::Status FillMessage(const YAML::Node& node, std::string_view name,
                         google::protobuf::Message& message) {
  try {
    return Filler(name).Fill(node, message, 0);
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(fmt::format("{}: {}", name, e.what()));
  }
}

}  // namespace mirage::client
