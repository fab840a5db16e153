#include "metrics/text/edit_distance.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

using Ids = std::vector<uint32_t>;
using Path = EditDistanceScratch::Path;

// The recurrence as it is written in textbooks.
size_t Reference(std::span<const uint32_t> a, std::span<const uint32_t> b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substitute, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

class EditDistanceTest : public testing::TestWithParam<Path> {
 protected:
  size_t Distance(std::span<const uint32_t> a, std::span<const uint32_t> b) {
    return EditDistance(a, b, scratch_);
  }
  // Ids below `alphabet`, spread over all of uint32 when `wide`.
  Ids Random(size_t length, uint32_t alphabet, bool wide = false) {
    Ids ids(length);
    for (uint32_t& id : ids) {
      id = static_cast<uint32_t>(random_() % alphabet);
      if (wide) id = id * 2654435769u + 0xfffffff0u;
    }
    return ids;
  }
  // About rate * length random edits, of the three kinds alike.
  Ids Mutate(const Ids& ids, double rate, uint32_t alphabet) {
    Ids out;
    for (const uint32_t id : ids) {
      const double u = static_cast<double>(random_() >> 11) * 0x1p-53;
      const uint32_t other = static_cast<uint32_t>(random_() % alphabet);
      if (u >= rate) {
        out.push_back(id);
      } else if (u < rate / 3) {
        out.push_back(other);
      } else if (u < 2 * rate / 3) {
        out.push_back(id);
        out.push_back(other);
      }
    }
    return out;
  }

  EditDistanceScratch scratch_{GetParam()};
  std::mt19937_64 random_{20240521};
};

TEST_P(EditDistanceTest, SmallCasesByHand) {
  EXPECT_EQ(Distance({}, {}), 0u);
  EXPECT_EQ(Distance(Ids{7}, {}), 1u);
  EXPECT_EQ(Distance({}, Ids{7, 8, 9}), 3u);
  EXPECT_EQ(Distance(Ids{7}, Ids{7}), 0u);
  EXPECT_EQ(Distance(Ids{7}, Ids{8}), 1u);
  EXPECT_EQ(Distance(Ids{7}, Ids{8, 7}), 1u);
  EXPECT_EQ(Distance(Ids{1, 2}, Ids{2, 1}), 2u);
  const Ids kitten = {'k', 'i', 't', 't', 'e', 'n'};
  const Ids sitting = {'s', 'i', 't', 't', 'i', 'n', 'g'};
  EXPECT_EQ(Distance(kitten, sitting), 3u);
}

TEST_P(EditDistanceTest, IdsAtTheEndsOfTheirRange) {
  EXPECT_EQ(Distance(Ids{0, 0xffffffffu, 0}, Ids{0xffffffffu, 0, 0xffffffffu}), 2u);
  Ids a(130, 0xffffffffu);
  Ids b(130, 0);
  EXPECT_EQ(Distance(a, b), 130u);
  // All on one place of a table that takes the low bits of an id.
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<uint32_t>(i << 24);
    b[i] = static_cast<uint32_t>((i + 1) << 24);
  }
  EXPECT_EQ(Distance(a, b), Reference(a, b));
}

TEST_P(EditDistanceTest, AgreesAroundWordsAndStripes) {
  const size_t lengths[] = {1,   2,   8,   31,  32,  63,  64,  65,  100, 127, 128,  129,  191,
                            192, 193, 255, 256, 257, 300, 511, 512, 513, 640, 1023, 1024, 1025};
  for (const size_t m : lengths) {
    for (const size_t n : lengths) {
      for (const uint32_t alphabet : {2u, 30u}) {
        const Ids a = Random(m, alphabet, true);
        const Ids b = Random(n, alphabet, true);
        ASSERT_EQ(Distance(a, b), Reference(a, b)) << m << " " << n << " " << alphabet;
      }
    }
  }
}

// 30 000 pairs of lengths 0..80, where most of the single word's states are met.
TEST_P(EditDistanceTest, AgreesOnManyShortPairs) {
  for (int trial = 0; trial < 30000; ++trial) {
    const uint32_t alphabet = 1 + random_() % (trial % 2 == 0 ? 4 : 300);
    const Ids a = Random(random_() % 81, alphabet, trial % 3 == 0);
    const Ids b = trial % 4 == 0 ? Mutate(a, 0.3, alphabet)
                                 : Random(random_() % 81, alphabet, trial % 3 == 0);
    ASSERT_EQ(Distance(a, b), Reference(a, b)) << trial;
  }
}

// 1 000 pairs of lengths 65..700: every number of words in a stripe and of padding rows in a word.
TEST_P(EditDistanceTest, AgreesOnManyMiddlePairs) {
  for (int trial = 0; trial < 1000; ++trial) {
    const uint32_t alphabet = 1 + random_() % (trial % 2 == 0 ? 3 : 2000);
    const Ids a = Random(65 + random_() % 636, alphabet);
    const Ids b = trial % 2 == 0 ? Mutate(a, 0.05 * static_cast<double>(trial % 10), alphabet)
                                 : Random(65 + random_() % 636, alphabet);
    ASSERT_EQ(Distance(a, b), Reference(a, b)) << trial;
  }
}

// Above 1024 ids a band is used: 60 pairs of near copies, unrelated sequences, moved blocks and
// very unequal lengths, so that the first band suffices, has to grow once or more, or spans all.
TEST_P(EditDistanceTest, AgreesWhenBanded) {
  for (int trial = 0; trial < 60; ++trial) {
    const uint32_t alphabet = std::vector<uint32_t>{2, 30, 50000}[random_() % 3];
    Ids a = Random(1000 + random_() % 2000, alphabet);
    Ids b;
    switch (trial % 5) {
      case 0:
        b = Mutate(a, 0.01, alphabet);
        break;
      case 1:
        b = Mutate(a, 0.3, alphabet);
        break;
      case 2:
        b = Random(1000 + random_() % 3000, alphabet);
        break;
      case 3:
        b = Mutate(a, 0.02, alphabet);
        std::rotate(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(random_() % 900), b.end());
        break;
      default:
        b = Mutate(a, 0.05, alphabet);
        b.resize(b.size() + random_() % 1500, 1);
    }
    ASSERT_EQ(Distance(a, b), Reference(a, b)) << trial << " " << a.size() << " " << b.size();
  }
}

// 2 000 triples: d(a, b) = d(b, a), d(a, c) <= d(a, b) + d(b, c), the bounds by length.
TEST_P(EditDistanceTest, IsAMetric) {
  for (int trial = 0; trial < 2000; ++trial) {
    const size_t longest = trial % 10 == 0 ? 1500 : 200;
    const Ids a = Random(random_() % longest, 5);
    const Ids b = Mutate(a, 0.2, 5);
    const Ids c = trial % 2 == 0 ? Mutate(b, 0.2, 5) : Random(random_() % longest, 5);
    const size_t ab = Distance(a, b);
    const size_t bc = Distance(b, c);
    const size_t ac = Distance(a, c);
    ASSERT_EQ(ab, Distance(b, a));
    ASSERT_LE(ac, ab + bc);
    ASSERT_EQ(ab == 0, a == b);
    ASSERT_EQ(Distance(a, a), 0u);
    ASSERT_LE(ac, std::max(a.size(), c.size()));
    ASSERT_GE(ac, std::max(a.size(), c.size()) - std::min(a.size(), c.size()));
  }
}

TEST_P(EditDistanceTest, HundredThousandIds) {
  Ids a(100000);
  std::iota(a.begin(), a.end(), 1u);
  Ids shifted(a.begin() + 300, a.end());
  shifted.insert(shifted.end(), 300, 0xffffffffu);
  // All ids differ, so 300 are missing in front and 300 are too many behind.
  EXPECT_EQ(Distance(a, shifted), 600u);
  EXPECT_EQ(Distance(shifted, a), 600u);
  EXPECT_EQ(Distance(a, a), 0u);
  Ids other(100000);
  std::iota(other.begin(), other.end(), 1000000u);
  EXPECT_EQ(Distance(a, other), 100000u);
  // And one that is short again, on the same tables.
  EXPECT_EQ(Distance(Ids{1, 2, 3}, Ids{1, 9, 3, 4}), 2u);
}

INSTANTIATE_TEST_SUITE_P(Paths, EditDistanceTest, testing::Values(Path::kBaseline, Path::kAvx2),
                         [](const auto& path) {
                           return path.param == Path::kBaseline ? "Baseline" : "Avx2";
                         });

}  // namespace
}  // namespace mirage::metrics
