#include "client/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <random>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

namespace mirage::client {
namespace {

constexpr size_t kHeadBytes = 4096;
constexpr size_t kBufferBytes = size_t{64} << 10;

// Names tried for a temporary file before the folder is given up.
constexpr int kNames = 16;

// The temporary files that exist. Never destroyed: a signal may come while main returns.
struct UnderWay {
  std::mutex mutex;
  std::set<std::string> paths;
};

UnderWay& Registry() {
  static UnderWay* const registry = new UnderWay;
  return *registry;
}

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

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {}

absl::StatusOr<std::unique_ptr<AtomicFile>> AtomicFile::Create(const std::string& path) {
  std::unique_ptr<AtomicFile> out(new AtomicFile(path));
  {
    UnderWay& under_way = Registry();
    const std::lock_guard<std::mutex> lock(under_way.mutex);
    // In containers every process may have the same id, and one that was killed leaves its file.
    std::string name = fmt::format("{}.{}", path, ::getpid());
    for (int i = 0; i < kNames; ++i) {
      out->temporary_ = name + ".tmp";
      out->file_ = ::open(out->temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (out->file_ >= 0 || errno != EEXIST) break;
      name = fmt::format("{}.{}-{:08x}", path, ::getpid(), std::random_device()());
    }
    if (out->file_ < 0) return FromErrno(path, errno);
    out->exists_ = true;
    under_way.paths.insert(out->temporary_);
  }
  // A file that is replaced keeps its mode.
  struct stat old;
  if (::stat(path.c_str(), &old) == 0) (void)::fchmod(out->file_, old.st_mode & 07777);
  return out;
}

AtomicFile::~AtomicFile() {
  if (file_ >= 0) ::close(file_);
  if (!exists_) return;
  UnderWay& under_way = Registry();
  const std::lock_guard<std::mutex> lock(under_way.mutex);
  ::unlink(temporary_.c_str());
  under_way.paths.erase(temporary_);
}

absl::Status AtomicFile::Fail(int error) {
  status_ = FromErrno(path_, error);
  return status_;
}

absl::Status AtomicFile::Append(std::string_view content) {
  if (!status_.ok()) return status_;
  buffer_ += content;
  return buffer_.size() < kBufferBytes ? absl::OkStatus() : Flush();
}

absl::Status AtomicFile::Flush() {
  if (!status_.ok() || buffer_.empty()) return status_;
  if (file_ < 0) {
    file_ = ::open(temporary_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file_ < 0) return Fail(errno);
  }
  status_ = WriteAll(file_, path_, buffer_);
  buffer_.clear();
  return status_;
}

absl::Status AtomicFile::Pause() {
  if (auto status = Flush(); !status.ok()) return status;
  if (file_ < 0) return absl::OkStatus();
  if (::fsync(file_) != 0) return Fail(errno);
  const int closed = ::close(file_);
  file_ = -1;
  return closed == 0 ? absl::OkStatus() : Fail(errno);
}

absl::Status AtomicFile::Commit() {
  if (auto status = Pause(); !status.ok()) return status;
  UnderWay& under_way = Registry();
  const std::lock_guard<std::mutex> lock(under_way.mutex);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return Fail(errno);
  exists_ = false;
  under_way.paths.erase(temporary_);
  return absl::OkStatus();
}

void AbandonFiles() {
  UnderWay& under_way = Registry();
  under_way.mutex.lock();  // and never unlocked
  for (const std::string& path : under_way.paths) ::unlink(path.c_str());
}

absl::Status WriteAtomically(const std::string& path, std::string_view content) {
  const auto file = AtomicFile::Create(path);
  if (!file.ok()) return file.status();
  if (auto status = (*file)->Append(content); !status.ok()) return status;
  return (*file)->Commit();
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

absl::Status WriteAnswer(const std::string& path, std::string_view content) {
  if (!path.empty()) return WriteOutput(path, content);
  if (std::fwrite(content.data(), 1, content.size(), stdout) != content.size() ||
      std::fflush(stdout) != 0) {
    return absl::UnavailableError("cannot write to standard output");
  }
  return absl::OkStatus();
}

bool IsSameFile(const std::string& a, const std::string& b) {
  std::error_code error;
  if (std::filesystem::equivalent(a, b, error)) return true;
  // Of a relative name nothing of which exists the canonical form stays relative.
  const auto whole = [&](const std::string& path) {
    return std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
  };
  const auto whole_a = whole(a);
  return !error && whole_a == whole(b) && !error;
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

absl::Status CheckReplaceable(const std::string& path) {
  if (IsReplaceable(path)) return absl::OkStatus();
  return absl::AlreadyExistsError(
      fmt::format("{} exists and Mirage did not write it: it is left alone; move it away or choose "
                  "another folder with --write-dir",
                  path));
}

absl::Status WriteDerived(const std::string& path, std::string_view content) {
  if (auto status = CheckReplaceable(path); !status.ok()) return status;
  return WriteAtomically(path, content);
}

}  // namespace mirage::client
