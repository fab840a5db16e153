// Where a sidecar listens, and where a client looks for it: the same rules for both.
#ifndef MIRAGE_BASE_ADDRESS_H_
#define MIRAGE_BASE_ADDRESS_H_

#include <string_view>

#include "absl/status/status.h"

namespace mirage {

// INVALID_ARGUMENT, with the remedy, unless `address` is one that may be used without
// encryption: "127.0.0.1:PORT", "localhost:PORT", "[::1]:PORT" or "unix:PATH" with a path
// of 1 to 107 bytes. PORT is 1 to 65535, and also 0 (any that is free) to listen on.
absl::Status CheckAddress(std::string_view address, bool to_listen);

}  // namespace mirage

#endif  // MIRAGE_BASE_ADDRESS_H_
