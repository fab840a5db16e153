// What a call to the sidecar came to.
#ifndef MIRAGE_CLIENT_GRPC_STATUS_H_
#define MIRAGE_CLIENT_GRPC_STATUS_H_

#include <fmt/format.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace mirage::client {

// The codes are the same numbers; a status without words gets some.
inline absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  if (!status.error_message().empty()) return {code, status.error_message()};
  return {code, fmt::format("the sidecar answered {}", absl::StatusCodeToString(code))};
}

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_GRPC_STATUS_H_
