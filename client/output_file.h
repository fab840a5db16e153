// Files that Mirage writes: whole or not at all, and never over somebody else's.
#ifndef MIRAGE_CLIENT_OUTPUT_FILE_H_
#define MIRAGE_CLIENT_OUTPUT_FILE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace mirage::client {

// Writes `content` to `path` through a temporary file beside it and a rename, after
// flushing to disk: a reader sees the old file or the new one. PERMISSION_DENIED,
// NOT_FOUND (no such folder), RESOURCE_EXHAUSTED (no space), else UNAVAILABLE, each
// with the path.
absl::Status WriteAtomically(const std::string& path, std::string_view content);

// Writes what a person asked for by -o. A regular file, also through a symbolic link,
// is replaced as above and keeps its mode; a device or a pipe is written to. Same
// errors.
absl::Status WriteOutput(const std::string& path, std::string_view content);

// Whether `path` may be replaced: it does not exist, or it is a regular file that holds
// a JSON object whose first member is a "generator" that names mirage.
bool IsReplaceable(const std::string& path);

// WriteAtomically, but ALREADY_EXISTS where a file stands that is not replaceable.
absl::Status WriteDerived(const std::string& path, std::string_view content);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_OUTPUT_FILE_H_
