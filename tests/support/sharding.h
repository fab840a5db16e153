// The properties that every accumulator has: any order and any partition gives the same bytes, and
// nothing but such bytes is read.
#ifndef MIRAGE_TESTS_SUPPORT_SHARDING_H_
#define MIRAGE_TESTS_SUPPORT_SHARDING_H_

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "metrics/stats/random.h"

namespace mirage::tests {

// How most accumulators are read; one that needs more than its bytes has a function of its own.
template <class Accumulator>
struct Deserialized {
  auto operator()(std::string_view bytes) const { return Accumulator::Deserialize(bytes); }
};

// Where equal bytes are all that is asked of a result.
struct NothingElse {
  template <class Accumulator>
  void operator()(const Accumulator&) const {}
};

// Adds items 0 to n - 1 by add(accumulator, item) to copies of `empty`: first in order, then in
// `rounds` random orders on 1 to 8 random shards, half of which go through Serialize and `read`
// before they are merged, and fails where the bytes differ. Whatever else must hold of a merged
// accumulator, check(accumulator) asserts.
template <class Accumulator, class Add, class Check = NothingElse,
          class Read = Deserialized<Accumulator>>
void ExpectAnyShardingGivesTheSameBytes(size_t n, const Add& add, const Accumulator& empty = {},
                                        int rounds = 1000, const Check& check = {},
                                        const Read& read = {}) {
  Accumulator in_order = empty;
  for (size_t i = 0; i < n; ++i) add(in_order, i);
  const std::string expected = in_order.Serialize();
  check(in_order);
  metrics::CounterRng rng(20, 0);
  std::vector<size_t> items(n);
  std::iota(items.begin(), items.end(), size_t{0});
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE(testing::Message() << "round " << round);
    for (size_t i = n; i > 1; --i) std::swap(items[i - 1], items[rng.Below(i)]);
    std::vector<Accumulator> shards(1 + rng.Below(8), empty);
    for (const size_t item : items) add(shards[rng.Below(shards.size())], item);
    Accumulator all = empty;
    const auto merge = [&all](const Accumulator& shard) {
      if constexpr (std::is_void_v<decltype(all.Merge(shard))>) {
        all.Merge(shard);
      } else {
        ASSERT_TRUE(all.Merge(shard).ok());
      }
    };
    for (const Accumulator& shard : shards) {
      if (rng.Below(2) == 0) {
        merge(shard);
        continue;
      }
      const auto copy = read(shard.Serialize());
      ASSERT_TRUE(copy.ok()) << copy.status();
      merge(*copy);
    }
    ASSERT_EQ(all.Serialize(), expected);
    check(all);
    if (testing::Test::HasFatalFailure()) return;
  }
}

// Every prefix of the accumulator's bytes, and the bytes with one more, must be refused as
// INVALID_ARGUMENT.
template <class Accumulator, class Read = Deserialized<Accumulator>>
void ExpectOnlyWholeBytesAreRead(const Accumulator& accumulator, const Read& read = {}) {
  const std::string bytes = accumulator.Serialize();
  const auto whole = read(bytes);
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->Serialize(), bytes);
  const auto refuses = [&read](const std::string& other) {
    return read(other).status().code() == absl::StatusCode::kInvalidArgument;
  };
  for (size_t size = 0; size < bytes.size(); ++size) {
    // A copy of that size, so that AddressSanitizer sees a read beyond it.
    EXPECT_TRUE(refuses(std::string(bytes, 0, size))) << size;
  }
  EXPECT_TRUE(refuses(bytes + '\0'));
  EXPECT_TRUE(refuses(bytes + 'x'));
  std::string other_version = bytes;
  other_version[0] = '\x7f';
  EXPECT_TRUE(refuses(other_version));
}

// Of 20'000 copies of the accumulator's bytes with one to three random bytes in random places,
// those that are read must be written as they were: no two bytes stand for one accumulator. `use`
// gets each of them, for what must not crash. Returns how many were read.
template <class Accumulator, class Use = NothingElse, class Read = Deserialized<Accumulator>>
int ExpectWhatIsReadIsWrittenAlike(const Accumulator& accumulator, const Use& use = {},
                                   const Read& read = {}) {
  const std::string bytes = accumulator.Serialize();
  metrics::CounterRng rng(3, 0);
  int n_read = 0;
  for (int trial = 0; trial < 20'000; ++trial) {
    std::string other = bytes;
    for (uint64_t i = 1 + rng.Below(3); i > 0; --i) {
      other[rng.Below(other.size())] = static_cast<char>(rng.Below(256));
    }
    auto copy = read(other);
    if (!copy.ok()) continue;
    ++n_read;
    EXPECT_EQ(copy->Serialize(), other);
    use(*copy);
  }
  return n_read;
}

}  // namespace mirage::tests

#endif  // MIRAGE_TESTS_SUPPORT_SHARDING_H_
