#include "server/embedded.h"

#include <utility>

namespace mirage::server {

absl::StatusOr<Embedded> StartEmbedded() {
  auto server = Server::Start({});
  if (!server.ok()) return server.status();
  Embedded embedded{.server = *std::move(server)};
  auto channel = embedded.server->InProcessChannel();
  if (!channel.ok()) return channel.status();
  embedded.channel = *std::move(channel);
  return embedded;
}

}  // namespace mirage::server
