// absl::Status as grpc::Status: the codes are the same numbers.
#ifndef MIRAGE_SERVER_SERVICE_STATUS_H_
#define MIRAGE_SERVER_SERVICE_STATUS_H_

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"

namespace mirage::server {

inline grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_SERVICE_STATUS_H_
