// The sidecar: every service over one engine, listening or in process.
#ifndef MIRAGE_SERVER_SERVER_H_
#define MIRAGE_SERVER_SERVER_H_

#include <grpcpp/channel.h>

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace mirage::server {

// Largest message that is taken or sent, in bytes: a row may be 128 MiB, and a batch
// of small ones is closed after the row that fills it.
inline constexpr int kMaxMessageBytes = 160 << 20;

struct ServerOptions {
  // "127.0.0.1:PORT" (0 picks a free port), "[::1]:PORT" or "unix:PATH". Empty: not
  // reachable from outside the process.
  std::string address;
  // A client that asks more often for a sign of life, while nothing else is sent, is hung up
  // on. Below client::Keepalive's time.
  std::chrono::milliseconds min_ping_interval{5'000};
};

class Server {
 public:
  virtual ~Server() = default;

  // Starts serving. INVALID_ARGUMENT for an address beyond loopback and Unix
  // sockets (there is no encryption yet), UNAVAILABLE when the address is taken.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options);

  // The port that was picked; 0 for a Unix socket or an in-process server.
  virtual int port() const = 0;

  // A channel inside this process, reachable by nobody else; the server must outlive
  // its use. INTERNAL when the process has no file descriptors left.
  virtual absl::StatusOr<std::shared_ptr<grpc::Channel>> InProcessChannel() = 0;

  // Refuses new calls, lets open ones finish until `deadline` from now, then cuts
  // them. May be called once.
  virtual void Shutdown(std::chrono::milliseconds deadline) = 0;
};

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_SERVER_H_
