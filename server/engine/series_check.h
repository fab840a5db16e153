// What every series that a caller sends has to be.
#ifndef MIRAGE_SERVER_ENGINE_SERIES_CHECK_H_
#define MIRAGE_SERVER_ENGINE_SERIES_CHECK_H_

#include <string_view>

#include "absl/status/status.h"
#include "mirage/v1/emergence.pb.h"

namespace mirage::server {

// OK, or INVALID_ARGUMENT with the field's path, which begins with `path`, and the remedy: a name
// that is missing, a number that is not finite or outside its range.
absl::Status CheckPoint(const v1::SeriesPoint& point, std::string_view path);

// The same for a series with its points.
absl::Status CheckSeries(const v1::Series& series, std::string_view path);

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_SERIES_CHECK_H_
