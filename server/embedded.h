// The sidecar inside the calling process, behind the same stubs as one outside.
//
// The `mirage` binary is the only target outside tests that may depend on this, so
// that the command line has one code path whether the sidecar is embedded or not.
#ifndef MIRAGE_SERVER_EMBEDDED_H_
#define MIRAGE_SERVER_EMBEDDED_H_

#include <grpcpp/channel.h>

#include <memory>

#include "absl/status/statusor.h"
#include "server/server.h"

namespace mirage::server {

// A running embedded sidecar; it ends with this object.
struct Embedded {
  std::unique_ptr<Server> server;
  std::shared_ptr<grpc::Channel> channel;
};

// INTERNAL when gRPC cannot start at all.
absl::StatusOr<Embedded> StartEmbedded();

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_EMBEDDED_H_
