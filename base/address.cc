#include "base/address.h"

#include <fmt/format.h>

#include <charconv>

namespace mirage {
namespace {

constexpr std::string_view kUnix = "unix:";

// -1 when the text is no number up to 65535.
int ParsePort(std::string_view text) {
  int port = -1;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool whole = result.ec == std::errc() && result.ptr == text.data() + text.size();
  return whole && port >= 0 && port <= 65535 ? port : -1;
}

}  // namespace

absl::Status CheckAddress(std::string_view address, bool to_listen) {
  if (address.substr(0, kUnix.size()) == kUnix) {
    // sun_path holds 108 bytes with its terminating zero.
    const size_t size = address.size() - kUnix.size();
    if (size > 0 && size < 108) return absl::OkStatus();
    return absl::InvalidArgumentError(
        fmt::format("address \"{}\": a Unix socket's path has 1 to 107 bytes", address));
  }
  const size_t colon = address.rfind(':');
  const std::string_view host = address.substr(0, colon);
  const int port = colon == std::string_view::npos ? -1 : ParsePort(address.substr(colon + 1));
  if (port < 0) {
    return absl::InvalidArgumentError(
        fmt::format("address \"{}\" has no port: write 127.0.0.1:PORT or unix:PATH", address));
  }
  if (port == 0 && !to_listen) {
    return absl::InvalidArgumentError(fmt::format(
        "address \"{}\": nobody listens on port 0: write the port that miraged printed", address));
  }
  if (host == "127.0.0.1" || host == "localhost" || host == "[::1]") return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("address \"{}\": only loopback and Unix sockets are used, since nothing is "
                  "encrypted: use 127.0.0.1:PORT or unix:PATH",
                  address));
}

}  // namespace mirage
