#include "metrics/stats/parallel.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"

namespace mirage::metrics {

void ParallelFor(size_t n, int threads, absl::FunctionRef<void(size_t i)> shard) {
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < n; i = next++) shard(i);
  };
  const size_t helpers = threads < 2 ? 0 : std::min<size_t>(static_cast<size_t>(threads), n);
  std::vector<std::jthread> pool;
  for (size_t i = 1; i < helpers; ++i) {
    try {
      pool.emplace_back(work);
    } catch (const std::system_error&) {
      break;
    }
  }
  work();
}

}  // namespace mirage::metrics
