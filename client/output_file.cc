#include "client/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace mirage::client {
namespace {

constexpr size_t kHeadBytes = 4096;

absl::Status FromErrno(const std::string& path, int error) {
  const std::string message = fmt::format("cannot write {}: {}", path, std::strerror(error));
  switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::UnavailableError(message);
  }
}

// Whether the text is a JSON object whose first member is "generator" with a string
// that starts with "mirage ": so it stands in every file that Mirage writes.
bool NamesMirage(std::string_view text) {
  for (const std::string_view token : {"{", "\"generator\"", ":", "\"mirage "}) {
    const size_t at = text.find_first_not_of(" \t\r\n");
    if (at == text.npos || text.substr(at, token.size()) != token) return false;
    text.remove_prefix(at + token.size());
  }
  return true;
}

absl::Status WriteAll(int file, const std::string& path, std::string_view content) {
  size_t at = 0;
  while (at < content.size()) {
    const ssize_t n = ::write(file, content.data() + at, content.size() - at);
    if (n < 0) {
      if (errno == EINTR) continue;
      return FromErrno(path, errno);
    }
    at += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteAtomically(const std::string& path, std::string_view content) {
  const std::string temporary = fmt::format("{}.{}.tmp", path, ::getpid());
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0) return FromErrno(path, errno);
  const auto fail = [&](int error) {
    ::unlink(temporary.c_str());
    return FromErrno(path, error);
  };
  // A file that is replaced keeps its mode.
  struct stat old;
  if (::stat(path.c_str(), &old) == 0) (void)::fchmod(file, old.st_mode & 07777);
  if (auto status = WriteAll(file, path, content); !status.ok()) {
    ::close(file);
    ::unlink(temporary.c_str());
    return status;
  }
  if (::fsync(file) != 0) {
    const int error = errno;
    ::close(file);
    return fail(error);
  }
  if (::close(file) != 0) return fail(errno);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail(errno);
  return absl::OkStatus();
}

absl::Status WriteOutput(const std::string& path, std::string_view content) {
  struct stat about;
  if (::stat(path.c_str(), &about) != 0) return WriteAtomically(path, content);
  if (S_ISREG(about.st_mode)) {
    // Through a symbolic link to what it names, so that the link stays.
    char* const resolved = ::realpath(path.c_str(), nullptr);
    if (resolved == nullptr) return FromErrno(path, errno);
    const std::string target = resolved;
    std::free(resolved);
    return WriteAtomically(target, content);
  }
  // A device or a pipe is written to; a rename would put a file in its place.
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) return FromErrno(path, errno);
  absl::Status status = WriteAll(file, path, content);
  if (::close(file) != 0 && status.ok()) status = FromErrno(path, errno);
  return status;
}

bool IsReplaceable(const std::string& path) {
  struct stat about;
  if (::lstat(path.c_str(), &about) != 0) return errno == ENOENT || errno == ENOTDIR;
  if (!S_ISREG(about.st_mode)) return false;
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return false;
  std::vector<char> head(kHeadBytes);
  head.resize(std::fread(head.data(), 1, head.size(), file));
  std::fclose(file);
  return NamesMirage({head.data(), head.size()});
}

absl::Status WriteDerived(const std::string& path, std::string_view content) {
  if (!IsReplaceable(path)) {
    return absl::AlreadyExistsError(
        fmt::format("{} exists and Mirage did not write it: it is left alone; move it away or "
                    "choose another folder with --write-dir",
                    path));
  }
  return WriteAtomically(path, content);
}

}  // namespace mirage::client
