#include "metrics/stats/resampled_sums.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "metrics/stats/binomial_draw.h"
#include "metrics/stats/random.h"
#include "metrics/stats/random_block.h"

namespace mirage::metrics {
namespace {

// Rows of which the doubles of one column fit into half of a first-level cache.
constexpr size_t kBlockBits = 11;
constexpr size_t kBlock = size_t{1} << kBlockBits;
constexpr uint32_t kIndexMask = kBlock - 1;

// Numbers that say how many rows come from a block, and which ones, must not share a stream.
constexpr uint64_t kRowsStream = uint64_t{1} << 63;

// Adds up `draws` random rows of kBlock; leaves the numbers of `words` from `used` on.
class BlockDrawer {
 public:
  BlockDrawer(uint64_t seed, uint64_t replicate)
      : random_(seed, replicate | kRowsStream), words_(random_.Next()) {}

  void Draw(const double* rows, size_t columns, uint64_t draws, std::span<double> sums) {
    if (columns == 1) {
      sums[0] += DrawColumn(rows, draws);
      return;
    }
    while (draws > 0) {
      Refill();
      const size_t words = std::min<uint64_t>((draws + 1) / 2, words_.size() - used_);
      for (const uint32_t word : words_.subspan(used_, words)) {
        const uint32_t second = (word >> 16) & kIndexMask;
        Add(rows + (word & kIndexMask) * columns, sums);
        if (draws > 1) Add(rows + second * columns, sums);
        draws -= std::min<uint64_t>(draws, 2);
      }
      used_ += words;
    }
  }

 private:
  static void Add(const double* row, std::span<double> sums) {
    for (size_t j = 0; j < sums.size(); ++j) sums[j] += row[j];
  }

  void Refill() {
    if (used_ < words_.size()) return;
    words_ = random_.Next();
    used_ = 0;
  }

  double DrawColumn(const double* rows, uint64_t draws) {
    // Independent of each other, so that additions need not wait.
    double sum[4] = {0, 0, 0, 0};
    while (draws >= 4) {
      if (words_.size() - used_ < 2) {
        // One number may be left over; it is dropped.
        used_ = words_.size();
        Refill();
      }
      const size_t pairs = std::min<uint64_t>(draws / 4, (words_.size() - used_) / 2);
      const uint32_t* word = words_.data() + used_;
      for (size_t i = 0; i < pairs; ++i, word += 2) {
        sum[0] += rows[word[0] & kIndexMask];
        sum[1] += rows[(word[0] >> 16) & kIndexMask];
        sum[2] += rows[word[1] & kIndexMask];
        sum[3] += rows[(word[1] >> 16) & kIndexMask];
      }
      used_ += 2 * pairs;
      draws -= 4 * pairs;
    }
    for (; draws > 0; --draws) {
      Refill();
      sum[0] += rows[words_[used_++] & kIndexMask];
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
  }

  RandomBlock random_;
  std::span<const uint32_t> words_;
  size_t used_ = 0;
};

}  // namespace

ResampledSums::ResampledSums(std::span<const double> rows, size_t columns)
    : rows_(rows), columns_(columns), n_(rows.size() / columns) {
  if (n_ > kSmall) FindKinds();
}

void ResampledSums::FindKinds() {
  for (size_t i = 0; i < n_; ++i) {
    const double* row = rows_.data() + i * columns_;
    size_t kind = 0;
    while (kind < counts_.size() && !std::equal(row, row + columns_, &kinds_[kind * columns_])) {
      ++kind;
    }
    if (kind == counts_.size()) {
      if (kind == kFewKinds) {
        kinds_.clear();
        counts_.clear();
        return;
      }
      kinds_.insert(kinds_.end(), row, row + columns_);
      counts_.push_back(0);
    }
    ++counts_[kind];
  }
}

void ResampledSums::Draw(uint64_t seed, uint64_t replicate, std::span<double> sums) const {
  std::fill(sums.begin(), sums.end(), 0.0);
  if (n_ <= kSmall) {
    DrawSingly(seed, replicate, sums);
  } else if (!counts_.empty()) {
    DrawKinds(seed, replicate, sums);
  } else {
    DrawBlocks(seed, replicate, sums);
  }
}

void ResampledSums::DrawSingly(uint64_t seed, uint64_t replicate, std::span<double> sums) const {
  CounterRng rng(seed, replicate);
  const auto n = static_cast<uint32_t>(n_);
  for (uint32_t draw = 0; draw < n; ++draw) {
    const double* row = rows_.data() + rng.Below32(n) * columns_;
    for (size_t j = 0; j < columns_; ++j) sums[j] += row[j];
  }
}

void ResampledSums::DrawKinds(uint64_t seed, uint64_t replicate, std::span<double> sums) const {
  CounterRng rng(seed, replicate);
  uint64_t draws = n_;
  uint64_t rows = n_;
  for (size_t kind = 0; kind < counts_.size(); ++kind) {
    const double share = static_cast<double>(counts_[kind]) / static_cast<double>(rows);
    const uint64_t drawn = DrawBinomial(draws, share, rng);
    for (size_t j = 0; j < columns_; ++j) {
      sums[j] += static_cast<double>(drawn) * kinds_[kind * columns_ + j];
    }
    draws -= drawn;
    rows -= counts_[kind];
  }
}

void ResampledSums::DrawBlocks(uint64_t seed, uint64_t replicate, std::span<double> sums) const {
  CounterRng rng(seed, replicate);
  BlockDrawer drawer(seed, replicate);
  uint64_t draws = n_;
  size_t begin = 0;
  for (; n_ - begin >= kBlock; begin += kBlock) {
    const size_t left = n_ - begin;
    const double share = static_cast<double>(kBlock) / static_cast<double>(left);
    const uint64_t drawn = DrawBinomial(draws, share, rng);
    drawer.Draw(rows_.data() + begin * columns_, columns_, drawn, sums);
    draws -= drawn;
  }
  const auto rest = static_cast<uint32_t>(n_ - begin);
  for (; draws > 0; --draws) {
    const double* row = rows_.data() + (begin + rng.Below32(rest)) * columns_;
    for (size_t j = 0; j < columns_; ++j) sums[j] += row[j];
  }
}

}  // namespace mirage::metrics
