#include "client/tables/metric_properties.h"

#include <array>
#include <cstddef>
#include <exception>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/tables/csv_reader.h"
#include "client/tables/yaml_message.h"
#include "fmt/format.h"
#include "yaml-cpp/yaml.h"

namespace mirage::client {
namespace {

// Why the properties of one metric cannot be; empty if they can.
std::string Contradiction(const v1::MetricProperties& metric) {
  if (metric.metric().empty()) return "metric is missing: name the metric";
  for (const auto& [has, key] :
       {std::pair(metric.has_higher_is_better(), "higher_is_better"),
        std::pair(metric.has_continuous(), "continuous"), std::pair(metric.has_sharp(), "sharp")}) {
    if (!has) return fmt::format("{} is missing: say true or false", key);
  }
  if (metric.sharp() && metric.continuous()) {
    return "sharp and continuous are both true: a metric that decides by a threshold or an argmax "
           "is "
           "not continuous";
  }
  if (metric.has_lower_bound() && metric.has_upper_bound() &&
      !(metric.lower_bound() < metric.upper_bound())) {
    return fmt::format("lower_bound is {} and upper_bound {}: must be below it",
                       metric.lower_bound(), metric.upper_bound());
  }
  if (metric.proportion() && ((metric.has_lower_bound() && metric.lower_bound() < 0) ||
                              (metric.has_upper_bound() && metric.upper_bound() > 1))) {
    return "proportion is true and the bounds are outside [0, 1]: a mean of zeros and ones is "
           "within";
  }
  std::set<std::string_view> seen;
  for (const std::string& counterpart : metric.counterparts()) {
    if (counterpart.empty()) return "counterparts has an empty name: remove it";
    if (counterpart == metric.metric()) return "counterparts names the metric itself: remove it";
    if (!seen.insert(counterpart).second) {
      return fmt::format("counterparts names {} twice: remove one", counterpart);
    }
  }
  if (metric.composition() != v1::MetricProperties::COMPOSITION_UNSPECIFIED &&
      metric.counterparts().empty()) {
    return "composition is given without counterparts: name the one that the metric follows from";
  }
  const bool is_threshold = metric.composition() == v1::MetricProperties::THRESHOLD;
  if (is_threshold && !metric.has_threshold()) return "threshold is missing: THRESHOLD needs it";
  if (!is_threshold && metric.has_threshold()) {
    return "threshold is given without composition: THRESHOLD";
  }
  return "";
}

absl::StatusOr<std::vector<v1::MetricProperties>> FromDocument(const YAML::Node& document,
                                                               std::string_view name) {
  constexpr std::string_view kForm = "must be a mapping with `version: 1` and `metrics:`";
  if (!document.IsMap()) return YamlError(document, name, kForm);
  YAML::Node list;
  bool has_version = false;
  bool has_metrics = false;
  for (const auto& item : document) {
    const std::string key = item.first.IsScalar() ? item.first.Scalar() : "";
    bool* const has = key == "version" ? &has_version : key == "metrics" ? &has_metrics : nullptr;
    if (has == nullptr) {
      return YamlError(item.first, name,
                       fmt::format("unknown key \"{}\": known are version, metrics", key));
    }
    if (*has) return YamlError(item.first, name, fmt::format("{} is given twice: keep one", key));
    *has = true;
    if (key == "metrics") {
      list = item.second;
    } else if (!item.second.IsScalar() || item.second.Scalar() != "1") {
      return YamlError(item.second, name, "version must be 1");
    }
  }
  if (!has_version || !has_metrics) return YamlError(document, name, kForm);
  if (!list.IsSequence() || list.size() == 0) {
    return YamlError(list, name, "metrics must be a list of at least one metric");
  }
  std::vector<v1::MetricProperties> metrics;
  std::set<std::string> names;
  for (const YAML::Node& node : list) {
    v1::MetricProperties& metric = metrics.emplace_back();
    if (absl::Status status = FillMessage(node, name, metric); !status.ok()) return status;
    std::string wrong = Contradiction(metric);
    if (wrong.empty() && !names.insert(metric.metric()).second) {
      wrong = "it is declared twice: keep one";
    }
    if (!wrong.empty()) {
      return YamlError(
          node, name,
          metric.metric().empty() ? wrong : fmt::format("{}: {}", metric.metric(), wrong));
    }
    if (metrics.size() > kMaxYamlValues) return YamlError(node, name, "there are too many metrics");
  }
  return metrics;
}

}  // namespace

absl::StatusOr<std::vector<v1::MetricProperties>> ParseMetricProperties(std::string_view text,
                                                                        std::string_view name) {
  const absl::StatusOr<YAML::Node> document = ParseYaml(text, name);
  if (!document.ok()) return document.status();
  try {
    return FromDocument(*document, name);
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(fmt::format("{}: {}", name, e.what()));
  }
}

absl::StatusOr<std::vector<v1::MetricProperties>> ReadMetricProperties(const std::string& path) {
  const absl::StatusOr<ByteSource> source = OpenFile(path);
  if (!source.ok()) return source.status();
  std::string text;
  std::array<char, 4096> block{};
  while (text.size() <= kMaxYamlBytes) {
    const absl::StatusOr<size_t> n = (*source)(block.data(), block.size());
    if (!n.ok()) return n.status();
    if (*n == 0) break;
    text.append(block.data(), *n);
  }
  return ParseMetricProperties(text, path);
}

}  // namespace mirage::client
