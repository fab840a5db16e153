// Series cut into messages that a sidecar takes.
#ifndef MIRAGE_CLIENT_COMMANDS_SERIES_MESSAGES_H_
#define MIRAGE_CLIENT_COMMANDS_SERIES_MESSAGES_H_

#include <cstddef>
#include <utility>

#include "mirage/v1/emergence.pb.h"

namespace mirage::client {

// Writes `series` to `stream` as one or more `Request`s, each of at most `most_bytes` unless the
// columns that a series shares are longer. Takes the points out of it. False where a write failed.
template <typename Request, typename Stream>
bool SendSeries(v1::Series& series, size_t most_bytes, Stream& stream) {
  // The field number, the length and the wire type around a point, at most.
  constexpr size_t kPointOverhead = 8;
  google::protobuf::RepeatedPtrField<v1::SeriesPoint> points;
  points.Swap(series.mutable_points());
  Request request;
  *request.mutable_series() = series;
  const size_t head = request.ByteSizeLong() + kPointOverhead;
  size_t bytes = head;
  for (v1::SeriesPoint& point : points) {
    const size_t more = point.ByteSizeLong() + kPointOverhead;
    if (bytes + more > most_bytes && !request.series().points().empty()) {
      if (!stream.Write(request)) return false;
      request.mutable_series()->clear_points();
      bytes = head;
    }
    *request.mutable_series()->add_points() = std::move(point);
    bytes += more;
  }
  return stream.Write(request);
}

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_COMMANDS_SERIES_MESSAGES_H_
