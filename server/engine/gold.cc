#include "server/engine/gold.h"

#include <algorithm>

namespace mirage::server {
namespace {

bool Consistent(std::span<const uint32_t> golds, std::span<const GoldVerdict> verdicts) {
  return std::all_of(verdicts.begin(), verdicts.end(), [&](const GoldVerdict& v) {
    const bool hit = std::find(golds.begin(), golds.end(), v.decision) != golds.end();
    return hit == v.correct;
  });
}

}  // namespace

GoldOutcome SettleGold(uint32_t n_choices, std::span<const uint32_t> golds, int32_t alternative,
                       std::span<const GoldVerdict> verdicts, std::vector<uint32_t>& settled) {
  settled.clear();
  if (!golds.empty()) {
    const auto second = static_cast<uint32_t>(alternative);
    const bool first_fits = Consistent(golds, verdicts);
    const bool second_fits = alternative >= 0 && Consistent({&second, 1}, verdicts);
    if (first_fits && second_fits) return GoldOutcome::kOpen;  // a wrong answer fits both
    if (!first_fits && !second_fits) return GoldOutcome::kContradicted;
    if (first_fits) {
      settled.assign(golds.begin(), golds.end());
    } else {
      settled.push_back(second);
    }
    return alternative >= 0 ? GoldOutcome::kToldByVerdict : GoldOutcome::kStated;
  }
  if (verdicts.empty()) return GoldOutcome::kOpen;
  for (uint32_t k = 0; k < n_choices; ++k) {
    if (!Consistent({&k, 1}, verdicts)) continue;
    if (!settled.empty()) {  // two candidates: the verdicts do not tell
      settled.clear();
      return GoldOutcome::kOpen;
    }
    settled.push_back(k);
  }
  return settled.empty() ? GoldOutcome::kContradicted : GoldOutcome::kToldByVerdict;
}

}  // namespace mirage::server
