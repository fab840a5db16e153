// Words on standard error, which may be closed or full: they are then lost, and
// nothing else is.
#ifndef MIRAGE_CLIENT_STANDARD_ERROR_H_
#define MIRAGE_CLIENT_STANDARD_ERROR_H_

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace mirage::client {

// Writes `text` as it is. fmt::print would throw where it cannot write.
inline void PrintError(const std::string& text) {
  (void)std::fputs(text.c_str(), stderr);
  (void)std::fflush(stderr);
}

// Opens /dev/null on those of the descriptors 0 to 2 that are closed, so that no
// socket takes their place and gets what is meant for people. Call it first in main.
inline void HoldStandardDescriptors() {
  int file = 0;
  do {
    file = ::open("/dev/null", O_RDWR);
  } while (file >= 0 && file <= 2);
  if (file > 2) ::close(file);
}

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_STANDARD_ERROR_H_
