#include "server/engine/position_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mirage::server {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

bool PositionScores::Start(size_t length) {
  lengths_.Add(static_cast<double>(length));
  if (length > kMaxPositionedUnits) {
    ++n_too_long_;
    return false;
  }
  if (length == 0) return false;
  ++n_items_;
  const size_t n = std::min(length, kMaxPositions);
  if (from_start_.size() < n) {
    from_start_.resize(n);
    from_end_.resize(n);
  }
  return true;
}

void PositionScores::CountGold(PositionScore& position, uint64_t unit) {
  if (!units_are_known_) return;
  // Values without golds are those of a position that had too many kinds before.
  if (position.golds.empty() && position.values.count() > 1) return;
  ++position.golds[unit];
  if (position.golds.size() > kMaxGoldKinds) {
    position.golds = absl::flat_hash_map<uint64_t, uint64_t>();
  }
}

void PositionScores::AddTokens(std::span<const uint64_t> units, std::span<const double> log_probs) {
  const size_t length = log_probs.size();
  if (!units.empty() && units.size() != length) return;
  // False for a NaN, too.
  if (!std::all_of(log_probs.begin(), log_probs.end(), [](double x) { return x <= 0; })) return;
  if (!Start(length)) return;
  if (units.empty() && units_are_known_) {
    units_are_known_ = false;
    for (PositionScore& position : from_start_) position.golds.clear();
    for (PositionScore& position : from_end_) position.golds.clear();
  }
  for (size_t i = 0; i < std::min(length, kMaxPositions); ++i) {
    const size_t back = length - 1 - i;
    // 0 - x, not -x: -0 is +0 and costs nothing.
    from_start_[i].values.Add(0 - log_probs[i]);
    from_end_[i].values.Add(0 - log_probs[back]);
    if (units.empty()) continue;
    CountGold(from_start_[i], units[i]);
    CountGold(from_end_[i], units[back]);
  }
}

void PositionScores::AddMatches(std::span<const uint64_t> target_units,
                                std::span<const uint64_t> output_units) {
  AddMatches(target_units, {&output_units, 1});
}

void PositionScores::AddMatches(std::span<const uint64_t> target_units,
                                std::span<const std::span<const uint64_t>> outputs) {
  if (outputs.empty() || !Start(target_units.size())) return;
  const size_t length = target_units.size();
  const auto n_outputs = static_cast<double>(outputs.size());
  for (size_t i = 0; i < std::min(length, kMaxPositions); ++i) {
    const size_t back = length - 1 - i;
    size_t wrong_from_start = 0;
    size_t wrong_from_end = 0;
    for (const std::span<const uint64_t> output : outputs) {
      const size_t m = output.size();
      wrong_from_start += i >= m || output[i] != target_units[i];
      wrong_from_end += i >= m || output[m - 1 - i] != target_units[back];
    }
    from_start_[i].values.Add(static_cast<double>(wrong_from_start) / n_outputs);
    from_end_[i].values.Add(static_cast<double>(wrong_from_end) / n_outputs);
    CountGold(from_start_[i], target_units[i]);
    CountGold(from_end_[i], target_units[back]);
  }
}

double PositionScores::ChanceEntropy(size_t position, bool from_end) const {
  const PositionScore& score = at(position, from_end);
  if (score.golds.empty()) return kNan;
  // In ascending order of the counts: the table's own order is not the same from run to run.
  std::vector<uint64_t> counts;
  counts.reserve(score.golds.size());
  for (const auto& [unit, count] : score.golds) counts.push_back(count);
  std::sort(counts.begin(), counts.end());
  const auto n = static_cast<double>(score.values.count());
  double entropy = 0;
  for (const uint64_t count : counts) {
    const double share = static_cast<double>(count) / n;
    entropy -= share * std::log(share);
  }
  return entropy + (static_cast<double>(counts.size()) - 1) / (2 * n);
}

double PositionScores::ChanceError(size_t position, bool from_end) const {
  const PositionScore& score = at(position, from_end);
  if (score.golds.empty()) return kNan;
  uint64_t most = 0;
  for (const auto& [unit, count] : score.golds) most = std::max(most, count);
  return static_cast<double>(score.values.count() - most) /
         static_cast<double>(score.values.count());
}

}  // namespace mirage::server
