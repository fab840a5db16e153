#include "metrics/stats/parallel.h"

#include <atomic>
#include <cstddef>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

TEST(ParallelTest, EveryShardIsDoneOnce) {
  for (const int threads : {-1, 0, 1, 2, 8, 100}) {
    for (const size_t n : {size_t{0}, size_t{1}, size_t{7}, size_t{1000}}) {
      std::vector<std::atomic<int>> done(n);
      ParallelFor(n, threads, [&](size_t i) { ++done[i]; });
      for (const auto& times : done) EXPECT_EQ(times, 1) << n << " on " << threads;
    }
  }
}

TEST(ParallelTest, TwoThreadsWorkAtTheSameTime) {
  // Each shard waits for the other one: on one thread this would not end.
  std::atomic<int> arrived = 0;
  ParallelFor(2, 2, [&](size_t) {
    ++arrived;
    while (arrived < 2) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, 2);
}

TEST(ParallelTest, OneThreadIsTheCallers) {
  std::mutex mutex;
  std::set<std::thread::id> ids;
  ParallelFor(50, 1, [&](size_t) {
    const std::lock_guard lock(mutex);
    ids.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(ids, std::set{std::this_thread::get_id()});
}

}  // namespace
}  // namespace mirage::metrics
