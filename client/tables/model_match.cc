#include "client/tables/model_match.h"

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/tables/scales_table.h"
#include "fmt/format.h"

namespace mirage::client {
namespace {

// The value of `pretrained=`; empty where there is none.
std::string_view Pretrained(std::string_view model_args) {
  constexpr std::string_view kKey = "pretrained=";
  while (!model_args.empty()) {
    const size_t comma = model_args.find(',');
    std::string_view item = model_args.substr(0, comma);
    item.remove_prefix(std::min(item.find_first_not_of(' '), item.size()));
    if (item.substr(0, kKey.size()) == kKey) return item.substr(kKey.size());
    if (comma == std::string_view::npos) break;
    model_args.remove_prefix(comma + 1);
  }
  return {};
}

// What follows the last slash, but for slashes at the end; empty where there is no slash.
std::string_view LastSegment(std::string_view name) {
  while (!name.empty() && name.back() == '/') name.remove_suffix(1);
  const size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : name.substr(slash + 1);
}

std::string RowText(const ScaleRow& row) {
  std::string text = fmt::format("\"{}\"", row.scale.model());
  if (!row.scale.seed().empty()) text += fmt::format(" seed {}", row.scale.seed());
  if (row.scale.has_step()) text += fmt::format(" step {}", row.scale.step());
  return fmt::format("{} ({})", text, row.origin);
}

}  // namespace

std::string SanitizedModelName(std::string_view name) {
  constexpr std::string_view kReplaced = "\"<>:/|\\?*[]";
  std::string sanitized;
  bool in_run = false;
  for (const char c : name) {
    const bool replaced = kReplaced.find(c) != std::string_view::npos;
    if (!replaced) sanitized += c;
    if (replaced && !in_run) sanitized += "__";
    in_run = replaced;
  }
  return sanitized;
}

ModelMatcher::ModelMatcher(const ScalesTable& table) : table_(table) {
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const std::string& model = table.rows[i].scale.model();
    by_name_[model].push_back(i);
    by_sanitized_[SanitizedModelName(model)].push_back(i);
  }
}

absl::StatusOr<std::optional<size_t>> ModelMatcher::Match(const RunModel& run) const {
  std::vector<size_t> rows;
  const auto add = [&rows](const auto& index, std::string_view name) {
    if (name.empty()) return;
    if (const auto found = index.find(std::string(name)); found != index.end()) {
      rows.insert(rows.end(), found->second.begin(), found->second.end());
    }
  };
  const std::string_view pretrained = Pretrained(run.model_args);
  const std::string sanitized = SanitizedModelName(run.model);
  for (const int rule : {1, 2, 3}) {
    switch (rule) {
      case 1:
        for (const std::string_view name : {run.model, std::string_view(sanitized), pretrained}) {
          add(by_name_, name);
        }
        break;
      case 2:
        add(by_name_, LastSegment(pretrained));
        add(by_name_, LastSegment(run.model));
        break;
      default:
        add(by_name_, run.folder);
        add(by_sanitized_, run.folder);
    }
    if (!rows.empty()) break;
  }
  if (rows.empty()) return std::nullopt;
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  if (rows.size() == 1) return rows.front();
  std::string name(run.model);
  if (name.empty()) name = std::string(run.folder);
  return absl::InvalidArgumentError(fmt::format(
      "run of \"{}\" matches {} and {}{}: keep one of these rows, or give in `model` the "
      "full name that the run has",
      name, RowText(table_.rows[rows[0]]), RowText(table_.rows[rows[1]]),
      rows.size() > 2 ? fmt::format(" and {} more", rows.size() - 2) : ""));
}

}  // namespace mirage::client
