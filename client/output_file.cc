#include "client/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
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
      return absl::PermissionDeniedError(message + ": choose another folder with --write-dir");
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

// Whether the text has a JSON member "generator" whose string starts with "mirage ".
bool NamesMirage(std::string_view text) {
  constexpr std::string_view kKey = "\"generator\"";
  constexpr std::string_view kSpace = " \t\r\n";
  constexpr std::string_view kOurs = "\"mirage ";
  for (size_t at = text.find(kKey); at != text.npos; at = text.find(kKey, at + 1)) {
    const size_t colon = text.find_first_not_of(kSpace, at + kKey.size());
    if (colon == text.npos || text[colon] != ':') continue;
    const size_t value = text.find_first_not_of(kSpace, colon + 1);
    if (value != text.npos && text.substr(value, kOurs.size()) == kOurs) return true;
  }
  return false;
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
  size_t at = 0;
  while (at < content.size()) {
    const ssize_t n = ::write(file, content.data() + at, content.size() - at);
    if (n < 0) {
      if (errno == EINTR) continue;
      const int error = errno;
      ::close(file);
      return fail(error);
    }
    at += static_cast<size_t>(n);
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

bool IsReplaceable(const std::string& path) {
  struct stat about;
  if (::lstat(path.c_str(), &about) != 0) return errno == ENOENT;
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
