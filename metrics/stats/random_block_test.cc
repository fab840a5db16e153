#include "metrics/stats/random_block.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

TEST(RandomBlockTest, HasTheNumbersOfCounterRngOnEveryPath) {
  for (const uint64_t seed : {uint64_t{0}, uint64_t{7}, ~uint64_t{0}, uint64_t{1} << 40}) {
    for (const uint64_t stream : {uint64_t{0}, uint64_t{5}, uint64_t{1} << 63}) {
      RandomBlock best(seed, stream);
      RandomBlock baseline(seed, stream, RandomBlock::Path::kBaseline);
      RandomBlock avx2(seed, stream, RandomBlock::Path::kAvx2);
      CounterRng one_by_one(seed, stream);
      for (int call = 0; call < 3; ++call) {
        const auto words = best.Next();
        const auto other = baseline.Next();
        const auto third = avx2.Next();
        for (size_t row = 0; row < words.size(); row += 32) {
          for (size_t lane = 0; lane < 8; ++lane) {
            for (size_t word = 0; word < 4; ++word) {
              const uint32_t expected = one_by_one.Next32();
              ASSERT_EQ(words[row + 8 * word + lane], expected);
              ASSERT_EQ(other[row + 8 * word + lane], expected);
              ASSERT_EQ(third[row + 8 * word + lane], expected);
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace mirage::metrics
