// Standard descriptors that may be closed or full. Words on standard error are then lost,
// and nothing else is; an answer on standard output is never lost unnoticed.
#ifndef MIRAGE_CLIENT_STANDARD_ERROR_H_
#define MIRAGE_CLIENT_STANDARD_ERROR_H_

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

namespace mirage::client {

// Writes `text` as it is. fmt::print would throw where it cannot write.
inline void PrintError(const std::string& text) {
  (void)std::fputs(text.c_str(), stderr);
  (void)std::fflush(stderr);
}

// Opens /dev/null on those of the descriptors 0 to 2 that are closed, so that no
// socket takes their place and gets what is meant for people. Writing to a standard output
// that was closed still fails: an answer that nobody gets is no success. Call it first in
// main.
inline void HoldStandardDescriptors() {
  for (int file = STDIN_FILENO; file <= STDERR_FILENO; ++file) {
    if (::fcntl(file, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest descriptor that is free: this one.
    (void)::open("/dev/null", file == STDOUT_FILENO ? O_RDONLY : O_RDWR);
  }
}

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_STANDARD_ERROR_H_
