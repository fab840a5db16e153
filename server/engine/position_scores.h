// Scores by position of the target, counted from both ends.
//
// A mean over positions can be smooth where each position breaks at another scale, so a diagnosis
// looks at them one by one. Position 0 from the start is the first unit, from the end the last one:
// in numbers written in digits that is the alignment by place value.
//
// Two kinds of values, not to be mixed in one object: NLL of the tokens of the gold text (teacher
// forced), and whether a generated output is wrong there. Exact and mergeable accumulators: any
// order of the samples gives the same bits.
//
// Memory: nothing grows with the samples but the table of gold units, 17 to 40 bytes for each
// different unit at a position and alignment; 2.3 kB for each position that occurs and alignment,
// 150 kB at most. Time: about 50 ns a unit. Not thread-safe.
#ifndef MIRAGE_SERVER_ENGINE_POSITION_SCORES_H_
#define MIRAGE_SERVER_ENGINE_POSITION_SCORES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "metrics/stats/moments.h"

namespace mirage::server {

// Positions that are kept of each alignment; a unit further from that end has no place in it.
inline constexpr size_t kMaxPositions = 32;
// Targets of more units than this are not looked at: they are texts, not answers, and place says
// nothing in them.
inline constexpr size_t kMaxPositionedUnits = 64;
// Different gold units that are told apart at one position. A task that has more there has too few
// samples of each to say what chance is.
inline constexpr size_t kMaxGoldKinds = 4096;

// What is known of one position over many targets.
struct PositionScore {
  // NLL in nats (>= 0, +Infinity counts), or the share of outputs that are wrong there, in [0, 1].
  metrics::Moments values;
  // How often each gold unit stands here, by its fingerprint; in all values.count(), or 0 where
  // the units are not known or are of more than kMaxGoldKinds kinds.
  absl::flat_hash_map<uint64_t, uint64_t> golds;
};

class PositionScores {
 public:
  // Adds one gold text: `log_probs[i]` in nats, <= 0, of the unit `units[i]`. `units` may be empty
  // where the units are not known; there is then no chance value at any position. Any other length
  // than that of `log_probs`, and a NaN or a positive value, are the caller's error: such a text
  // is not added, which n_items() shows.
  void AddTokens(std::span<const uint64_t> units, std::span<const double> log_probs);

  // Adds one output beside its target: 1 where output[i] != target[i] or the output has no i-th
  // unit, else 0; from the end likewise with both counted from their ends.
  void AddMatches(std::span<const uint64_t> target_units, std::span<const uint64_t> output_units);
  // The same for several outputs to one document: the share of them that is wrong. Without an
  // output nothing is added.
  void AddMatches(std::span<const uint64_t> target_units,
                  std::span<const std::span<const uint64_t>> outputs);

  // Number of positions of each alignment: the length of the longest target looked at, at most
  // kMaxPositions.
  size_t n_positions() const { return from_start_.size(); }
  // One position, < n_positions().
  const PositionScore& at(size_t position, bool from_end) const {
    return from_end ? from_end_[position] : from_start_[position];
  }

  // Targets that were looked at, those without any unit left out.
  uint64_t n_items() const { return n_items_; }
  // Targets of more than kMaxPositionedUnits units.
  uint64_t n_too_long() const { return n_too_long_; }
  // Lengths in units of all targets, too long and empty ones included.
  const metrics::Moments& lengths() const { return lengths_; }

  // What NLL is by chance, for one who knows how often each gold unit stands here and nothing
  // else, nats: entropy of the shares of the gold units plus (kinds - 1) / (2 n), the correction
  // of Miller (1955), "Note on the bias of information estimates". NaN without known units.
  double ChanceEntropy(size_t position, bool from_end) const;
  // How often one is wrong who always gives the most frequent gold unit: 1 - its share, in
  // [0, 1). NaN without known units.
  double ChanceError(size_t position, bool from_end) const;

 private:
  // Makes room for a target of that length; false where it is not looked at.
  bool Start(size_t length);
  void CountGold(PositionScore& position, uint64_t unit);

  std::vector<PositionScore> from_start_;
  std::vector<PositionScore> from_end_;
  uint64_t n_items_ = 0;
  uint64_t n_too_long_ = 0;
  // False once a target without known units was added: the others' shares are not those of all.
  bool units_are_known_ = true;
  metrics::Moments lengths_;
};

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_POSITION_SCORES_H_
