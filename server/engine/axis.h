// Where models stand on the axis that an answer is over.
#ifndef MIRAGE_SERVER_ENGINE_AXIS_H_
#define MIRAGE_SERVER_ENGINE_AXIS_H_

#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mirage/v1/emergence.pb.h"

namespace mirage::server {

// OK for "parameters", "flops", "tokens" and "loss", and for "", which is "parameters"; else
// INVALID_ARGUMENT that names options.x_axis.
absl::Status CheckAxis(std::string_view axis);

// The place of `point` on an axis that CheckAxis takes; NaN where the point does not have it.
double PlaceOn(std::string_view axis, const v1::SeriesPoint& point);

// What stands in the `scale` of a run's points: its parameters, or where these are unknown its
// place on `axis`. Absent where the run has no place there. INVALID_ARGUMENT, with the field's path
// after `path`, for a size that cannot be.
absl::StatusOr<std::optional<double>> RunScale(std::string_view axis, const v1::Scale& scale,
                                               std::string_view path);

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_AXIS_H_
