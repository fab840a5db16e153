// The least that a reader of JSON Lines can do: every byte read from the page cache and
// every row parsed by simdjson's On-Demand parser, its top-level keys visited and its
// values passed over. On one thread. Prints seconds, bytes and rows.
//
//   bazel run //tests/benchmarks:simdjson_pass -- FILE...
#include <fcntl.h>
#include <fmt/format.h>
#include <simdjson.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>

int main(int argc, char** argv) {
  constexpr size_t kBlock = size_t{256} << 10;
  size_t capacity = 4 * kBlock;
  auto data = std::make_unique<char[]>(capacity + simdjson::SIMDJSON_PADDING);
  simdjson::ondemand::parser parser;
  uint64_t n_bytes = 0, n_rows = 0, n_keys = 0;
  const auto began = std::chrono::steady_clock::now();
  for (int i = 1; i < argc; ++i) {
    const int file = open(argv[i], O_RDONLY | O_CLOEXEC);
    if (file < 0) {
      fmt::print(stderr, "cannot open {}\n", argv[i]);
      return 4;
    }
    size_t begin = 0, end = 0;
    while (true) {
      char* newline = nullptr;
      if (end > begin) {
        newline = static_cast<char*>(std::memchr(data.get() + begin, '\n', end - begin));
      }
      if (newline == nullptr) {
        std::memmove(data.get(), data.get() + begin, end - begin);
        end -= begin;
        begin = 0;
        if (end + kBlock > capacity) {
          capacity *= 2;
          auto larger = std::make_unique<char[]>(capacity + simdjson::SIMDJSON_PADDING);
          std::memcpy(larger.get(), data.get(), end);
          data = std::move(larger);
        }
        const ssize_t n = read(file, data.get() + end, kBlock);
        if (n <= 0) break;
        end += static_cast<size_t>(n);
        n_bytes += static_cast<uint64_t>(n);
        continue;
      }
      const auto length = static_cast<size_t>(newline - data.get()) - begin;
      simdjson::ondemand::document document;
      simdjson::ondemand::object object;
      if (parser.iterate(data.get() + begin, length, length + simdjson::SIMDJSON_PADDING)
              .get(document) ||
          document.get_object().get(object)) {
        fmt::print(stderr, "{}: row {} is no object\n", argv[i], n_rows + 1);
        return 4;
      }
      for (auto field : object) {
        if (field.error()) {
          fmt::print(stderr, "{}: row {} is damaged\n", argv[i], n_rows + 1);
          return 4;
        }
        ++n_keys;
      }
      ++n_rows;
      begin += length + 1;
    }
    close(file);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - began;
  fmt::print("{:.4f} s {} bytes {} rows {} keys\n", seconds.count(), n_bytes, n_rows, n_keys);
  return 0;
}
