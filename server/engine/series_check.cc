#include "server/engine/series_check.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <string>
#include <utility>

namespace mirage::server {

absl::Status CheckPoint(const v1::SeriesPoint& point, std::string_view path) {
  const auto bad = [&](std::string_view field, double value, std::string_view must) {
    return absl::InvalidArgumentError(
        fmt::format("{}.{} is {}: must be {}", path, field, value, must));
  };
  if (point.model().empty()) {
    return absl::InvalidArgumentError(fmt::format("{}.model is empty: name the model", path));
  }
  if (!(point.scale() > 0 && std::isfinite(point.scale()))) {
    return bad("scale", point.scale(), "finite and > 0");
  }
  if (!std::isfinite(point.value())) return bad("value", point.value(), "finite");
  if (point.has_stderr() && !(point.stderr() >= 0 && std::isfinite(point.stderr()))) {
    return bad("stderr", point.stderr(), "finite and >= 0");
  }
  if (point.has_n() && point.n() == 0) return bad("n", 0, "at least 1, or absent");
  const std::pair<std::string_view, std::optional<double>> axes[] = {
      {"tokens", point.has_tokens() ? std::optional(point.tokens()) : std::nullopt},
      {"flops", point.has_flops() ? std::optional(point.flops()) : std::nullopt},
      {"loss", point.has_loss() ? std::optional(point.loss()) : std::nullopt}};
  for (const auto& [field, value] : axes) {
    if (value && !(*value > 0 && std::isfinite(*value)))
      return bad(field, *value, "finite and > 0");
  }
  return absl::OkStatus();
}

absl::Status CheckSeries(const v1::Series& series, std::string_view path) {
  if (series.task().empty()) {
    return absl::InvalidArgumentError(std::string(path) + ".task is empty: name the task");
  }
  if (series.metric().empty()) {
    return absl::InvalidArgumentError(std::string(path) + ".metric is empty: name the metric");
  }
  if (series.has_target_length() && series.target_length() == 0) {
    return absl::InvalidArgumentError(std::string(path) +
                                      ".target_length is 0: must be at least 1, or absent");
  }
  if (series.has_temperature() &&
      !(series.temperature() >= 0 && std::isfinite(series.temperature()))) {
    return absl::InvalidArgumentError(
        fmt::format("{}.temperature is {}: must be finite and >= 0", path, series.temperature()));
  }
  if (series.has_chance() && !std::isfinite(series.chance())) {
    return absl::InvalidArgumentError(
        fmt::format("{}.chance is {}: must be finite", path, series.chance()));
  }
  for (int i = 0; i < series.points_size(); ++i) {
    if (absl::Status status = CheckPoint(series.points(i), fmt::format("{}.points[{}]", path, i));
        !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace mirage::server
