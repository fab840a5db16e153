#include "metrics/stats/random_block.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using Path = RandomBlock::Path;

constexpr uint64_t kSeeds[] = {0, 7, ~uint64_t{0}, uint64_t{1} << 40};
constexpr Path kPaths[] = {Path::kAuto, Path::kBaseline, Path::kAvx2, Path::kAvx512};

TEST(RandomBlockTest, HasTheNumbersOfCounterRngOnEveryPath) {
  for (const Path path : kPaths) {
    for (const uint64_t seed : kSeeds) {
      for (const uint64_t stream : {uint64_t{0}, uint64_t{5}, uint64_t{1} << 63}) {
        RandomBlock blocks(seed, stream, path);
        CounterRng one_by_one(seed, stream);
        for (int call = 0; call < 3; ++call) {
          const auto words = blocks.Next();
          for (size_t row = 0; row < words.size(); row += 32) {
            for (size_t lane = 0; lane < 8; ++lane) {
              for (size_t word = 0; word < 4; ++word) {
                ASSERT_EQ(words[row + 8 * word + lane], one_by_one.Next32());
              }
            }
          }
        }
      }
    }
  }
}

TEST(RandomBlockTest, HasOneBlockOfManyStreamsOnEveryPath) {
  // The last streams before the upper half of their number changes, too.
  for (const Path path : kPaths) {
    for (const uint64_t seed : kSeeds) {
      for (const uint64_t first : {uint64_t{0}, uint64_t{512}, (uint64_t{1} << 32) - 8}) {
        for (const uint64_t block : {0, 1, 9}) {
          std::vector<uint32_t> words(64);
          RandomBlock::OfStreams(seed, first, block, words, path);
          for (size_t i = 0; i < 16; ++i) {
            CounterRng rng(seed, first + i);
            for (uint64_t skipped = 0; skipped < 4 * block; ++skipped) rng.Next32();
            for (size_t word = 0; word < 4; ++word) {
              ASSERT_EQ(words[i / 8 * 32 + 8 * word + i % 8], rng.Next32()) << first + i;
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace mirage::metrics
