#include "server/engine/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "server/engine/series_check.h"

namespace mirage::server {

absl::Status CheckAxis(std::string_view axis) {
  static constexpr std::string_view kAxes[] = {"", "parameters", "flops", "tokens", "loss"};
  if (std::find(std::begin(kAxes), std::end(kAxes), axis) != std::end(kAxes)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      fmt::format("options.x_axis is '{}': must be parameters, flops, tokens or loss", axis));
}

double PlaceOn(std::string_view axis, const v1::SeriesPoint& point) {
  const double missing = std::numeric_limits<double>::quiet_NaN();
  if (axis == "flops") return point.has_flops() ? point.flops() : missing;
  if (axis == "tokens") return point.has_tokens() ? point.tokens() : missing;
  if (axis == "loss") return point.has_loss() ? point.loss() : missing;
  return point.scale();
}

absl::StatusOr<std::optional<double>> RunScale(std::string_view axis, const v1::Scale& scale,
                                               std::string_view path) {
  v1::SeriesPoint sizes;
  if (scale.has_parameters()) sizes.set_scale(scale.parameters());
  if (scale.has_tokens()) sizes.set_tokens(scale.tokens());
  if (scale.has_flops()) sizes.set_flops(scale.flops());
  if (scale.has_loss()) sizes.set_loss(scale.loss());
  const double at = PlaceOn(axis, sizes);
  if (std::isnan(at) || ((axis.empty() || axis == "parameters") && at == 0)) return std::nullopt;
  if (!scale.has_parameters()) sizes.set_scale(at);
  sizes.set_model("any");
  sizes.set_value(0);
  if (absl::Status status = CheckPoint(sizes, path); !status.ok()) return status;
  return sizes.scale();
}

}  // namespace mirage::server
