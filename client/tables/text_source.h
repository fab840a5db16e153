// A file's bytes, from a text: for tests.
#ifndef MIRAGE_CLIENT_TABLES_TEXT_SOURCE_H_
#define MIRAGE_CLIENT_TABLES_TEXT_SOURCE_H_

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "client/tables/csv_reader.h"

namespace mirage::client {

// Gives at most `block` bytes a time.
inline ByteSource TextSource(std::string text, size_t block = 1 << 16) {
  auto at = std::make_shared<size_t>(0);
  return [text = std::move(text), at, block](char* data, size_t size) -> absl::StatusOr<size_t> {
    const size_t n = std::min({size, block, text.size() - *at});
    std::copy_n(text.data() + *at, n, data);
    *at += n;
    return n;
  };
}

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_TABLES_TEXT_SOURCE_H_
