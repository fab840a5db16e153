// The property that every accumulator has: any order and any partition gives the same bytes.
#ifndef MIRAGE_TESTS_SUPPORT_SHARDING_H_
#define MIRAGE_TESTS_SUPPORT_SHARDING_H_

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "metrics/stats/random.h"

namespace mirage::tests {

// Adds items 0 to n - 1 by add(accumulator, item) to copies of `empty`: first in order, then in
// `rounds` random orders on 1 to 8 random shards, each of which goes through Serialize and
// Deserialize before it is merged, and fails where the bytes differ.
template <class Accumulator, class Add>
void ExpectAnyShardingGivesTheSameBytes(size_t n, const Add& add, const Accumulator& empty = {},
                                        int rounds = 1000) {
  Accumulator in_order = empty;
  for (size_t i = 0; i < n; ++i) add(in_order, i);
  const std::string expected = in_order.Serialize();
  metrics::CounterRng rng(20, 0);
  std::vector<size_t> items(n);
  std::iota(items.begin(), items.end(), size_t{0});
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = n; i > 1; --i) std::swap(items[i - 1], items[rng.Below(i)]);
    std::vector<Accumulator> shards(1 + rng.Below(8), empty);
    for (const size_t item : items) add(shards[rng.Below(shards.size())], item);
    Accumulator all = empty;
    for (const Accumulator& shard : shards) {
      auto copy = Accumulator::Deserialize(shard.Serialize());
      ASSERT_TRUE(copy.ok()) << copy.status();
      if constexpr (std::is_void_v<decltype(all.Merge(*copy))>) {
        all.Merge(*copy);
      } else {
        ASSERT_TRUE(all.Merge(*copy).ok());
      }
    }
    ASSERT_EQ(all.Serialize(), expected) << "in round " << round;
  }
}

// Every prefix of the accumulator's bytes, and the bytes with one more, must be refused.
template <class Accumulator>
void ExpectOnlyWholeBytesAreRead(const Accumulator& accumulator) {
  const std::string bytes = accumulator.Serialize();
  ASSERT_TRUE(Accumulator::Deserialize(bytes).ok()) << Accumulator::Deserialize(bytes).status();
  EXPECT_EQ(Accumulator::Deserialize(bytes)->Serialize(), bytes);
  for (size_t size = 0; size < bytes.size(); ++size) {
    // A copy of that size, so that AddressSanitizer sees a read beyond it.
    EXPECT_FALSE(Accumulator::Deserialize(std::string(bytes, 0, size)).ok()) << size;
  }
  EXPECT_FALSE(Accumulator::Deserialize(bytes + '\0').ok());
  std::string other_version = bytes;
  other_version[0] = '\x7f';
  EXPECT_FALSE(Accumulator::Deserialize(other_version).ok());
}

}  // namespace mirage::tests

#endif  // MIRAGE_TESTS_SUPPORT_SHARDING_H_
