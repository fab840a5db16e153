// Files that Mirage writes: whole or not at all, and never over somebody else's.
#ifndef MIRAGE_CLIENT_OUTPUT_FILE_H_
#define MIRAGE_CLIENT_OUTPUT_FILE_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mirage::client {

// A file that is written piece by piece to a temporary one beside it, and takes its
// place by a rename, after flushing to disk: a reader sees the old file or the new
// one, and neither is left half written. What a killed process left is in nobody's way. Errors:
// PERMISSION_DENIED, NOT_FOUND (no such folder), RESOURCE_EXHAUSTED (no space), else UNAVAILABLE,
// each with the path.
class AtomicFile {
 public:
  // Begins to write the file that will be `path`.
  static absl::StatusOr<std::unique_ptr<AtomicFile>> Create(const std::string& path);
  // Drops what was written, unless it was committed.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Adds `content`, through a buffer of 64 KiB. After an error nothing can be added or
  // committed.
  absl::Status Append(std::string_view content);

  // Writes the buffer out and closes the descriptor, so that many files can be under way;
  // the next Append opens it again.
  absl::Status Pause();

  // Puts the file in its place.
  absl::Status Commit();

 private:
  explicit AtomicFile(std::string path);
  absl::Status Fail(int error);
  absl::Status Flush();

  const std::string path_;
  std::string temporary_;
  int file_ = -1;
  // Whether the temporary file exists.
  bool exists_ = false;
  absl::Status status_;
  std::string buffer_;
};

// Removes what is under way of every AtomicFile; from then on whoever creates, commits or
// drops one waits for ever. For a process that is about to die, from any thread.
void AbandonFiles();

// Writes `content` to `path` as an AtomicFile. Same errors.
absl::Status WriteAtomically(const std::string& path, std::string_view content);

// Writes what a person asked for by -o. A regular file, also through a symbolic link,
// is replaced as above and keeps its mode; a device or a pipe is written to. Same
// errors.
absl::Status WriteOutput(const std::string& path, std::string_view content);

// Writes a command's answer: as WriteOutput, or to standard output where `path` is empty, with
// UNAVAILABLE when that cannot take it.
absl::Status WriteAnswer(const std::string& path, std::string_view content);

// Whether both names are of one file, also of one that is not there yet: by device and number, else
// by the absolute names after symbolic links and dots. False where a name cannot be resolved.
bool IsSameFile(const std::string& a, const std::string& b);

// Whether `path` may be replaced: it does not exist, or it is a regular file that begins
// with a JSON object whose first member is a "generator" that names mirage (JSON or JSON
// lines).
bool IsReplaceable(const std::string& path);

// ALREADY_EXISTS, with the remedy, where a file stands that is not replaceable.
absl::Status CheckReplaceable(const std::string& path);

// WriteAtomically, after CheckReplaceable.
absl::Status WriteDerived(const std::string& path, std::string_view content);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_OUTPUT_FILE_H_
