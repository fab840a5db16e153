#include "metrics/text/subsequence.h"

#include <algorithm>
#include <vector>

#include "gtest/gtest.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using Ids = std::vector<uint32_t>;
using Table = std::vector<std::vector<size_t>>;

Table SlowTable(const Ids& a, const Ids& b) {
  Table table(a.size() + 1, std::vector<size_t>(b.size() + 1, 0));
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      table[i][j] = a[i - 1] == b[j - 1] ? table[i - 1][j - 1] + 1
                                         : std::max(table[i - 1][j], table[i][j - 1]);
    }
  }
  return table;
}

std::vector<uint32_t> SlowPositions(const Ids& a, const Ids& b, const Table& table) {
  std::vector<uint32_t> positions;
  size_t i = a.size();
  size_t j = b.size();
  while (i > 0 && j > 0) {
    if (a[i - 1] == b[j - 1]) {
      positions.insert(positions.begin(), static_cast<uint32_t>(--i));
      --j;
    } else if (table[i][j - 1] > table[i - 1][j]) {
      --j;
    } else {
      --i;
    }
  }
  return positions;
}

// A third of the lengths are next to multiples of 64, where carries pass between words. With few
// ids, most pairs have many longest subsequences: a wrong carry or choice shows in most rounds.
TEST(SubsequenceTest, AgreesWithThePlainTable) {
  CounterRng rng(2, 0);
  SubsequenceScratch scratch;
  std::vector<uint32_t> positions;
  for (int round = 0; round < 1500; ++round) {
    const uint32_t alphabet = 1 + rng.Below32(round % 3 == 0 ? 40 : 4);
    const uint32_t first = round % 4 == 0 ? 0xFFFFFF00u : 0;
    const auto make = [&] {
      const uint32_t kind = rng.Below32(3);
      const uint32_t near_word = 63 + 64 * rng.Below32(4) + rng.Below32(3);
      Ids text(kind == 0 ? near_word : rng.Below32(kind == 1 ? 20 : 200));
      for (uint32_t& id : text) id = first + rng.Below32(alphabet);
      return text;
    };
    const Ids a = make();
    Ids b = make();
    if (round % 5 == 0) {
      b = a;
      for (uint32_t& id : b) {
        if (rng.Below32(10) == 0) id = first + rng.Below32(alphabet);
      }
    }
    const Table table = SlowTable(a, b);
    ASSERT_EQ(CommonSubsequenceLength(a, b, scratch), table[a.size()][b.size()]);
    ASSERT_EQ(CommonSubsequenceLength(b, a, scratch), table[a.size()][b.size()]);
    CommonSubsequencePositions(a, b, scratch, positions);
    ASSERT_EQ(positions, SlowPositions(a, b, table));
    ASSERT_EQ(positions.size(), table[a.size()][b.size()]);
  }
}

TEST(SubsequenceTest, EdgeCases) {
  SubsequenceScratch scratch;
  std::vector<uint32_t> positions = {9};
  const Ids empty;
  const Ids one = {0xFFFFFFFFu};
  const Ids two = {1, 0xFFFFFFFFu};
  EXPECT_EQ(CommonSubsequenceLength(empty, empty, scratch), 0);
  EXPECT_EQ(CommonSubsequenceLength(one, empty, scratch), 0);
  EXPECT_EQ(CommonSubsequenceLength(one, two, scratch), 1);
  CommonSubsequencePositions(one, empty, scratch, positions);
  EXPECT_TRUE(positions.empty());
  CommonSubsequencePositions(empty, one, scratch, positions);
  EXPECT_TRUE(positions.empty());
  CommonSubsequencePositions(two, one, scratch, positions);
  EXPECT_EQ(positions, (std::vector<uint32_t>{1}));
}

TEST(SubsequenceTest, LongTexts) {
  SubsequenceScratch scratch;
  CounterRng rng(3, 0);
  Ids a(40000);
  for (uint32_t& id : a) id = rng.Below32(50000);
  Ids b = a;
  b.erase(b.begin() + 777);
  EXPECT_EQ(CommonSubsequenceLength(a, b, scratch), a.size() - 1);
  std::vector<uint32_t> positions;
  CommonSubsequencePositions(a, b, scratch, positions);
  EXPECT_EQ(positions.size(), a.size() - 1);
}

}  // namespace
}  // namespace mirage::metrics
