// The way to a sidecar that runs as a process of its own.
#ifndef MIRAGE_CLIENT_SIDECAR_CHANNEL_H_
#define MIRAGE_CLIENT_SIDECAR_CHANNEL_H_

#include <grpcpp/channel.h>

#include <chrono>
#include <memory>
#include <string>

namespace mirage::client {

// How a call learns that nobody is there any more (a sidecar that was stopped, a forwarded
// port that hangs): after `time` without a sign of life it asks for one, and after `timeout`
// without an answer it ends with UNAVAILABLE. A sidecar that only takes long answers. The
// server hangs up on those who ask more often than its ServerOptions::min_ping_interval.
struct Keepalive {
  std::chrono::milliseconds time{20'000};
  std::chrono::milliseconds timeout{20'000};
};

// A channel to `address`, which CheckAddress must allow, for messages of at most
// `max_message_bytes` either way. Connects when it is first used.
std::shared_ptr<grpc::Channel> SidecarChannel(const std::string& address, int max_message_bytes,
                                              const Keepalive& keepalive = {});

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_SIDECAR_CHANNEL_H_
