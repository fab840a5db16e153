#include "server/engine/sample_join.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/numeric/int128.h"

namespace mirage::server {
namespace {

constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

using Id = std::pair<absl::uint128, absl::uint128>;

std::optional<Id> IdOf(const SampleRows& rows, size_t row) {
  const absl::uint128 document =
      rows.doc_hash[row] != 0 ? rows.doc_hash[row] : rows.prompt_hash[row];
  if (document == 0) return std::nullopt;
  return Id(document, rows.variant[row]);
}

}  // namespace

std::vector<std::vector<uint32_t>> JoinSamples(std::span<const SampleRows* const> models) {
  std::vector<std::vector<uint32_t>> joined(models.size());
  if (models.empty() || std::find(models.begin(), models.end(), nullptr) != models.end()) {
    return joined;
  }
  absl::flat_hash_map<Id, size_t> places;
  for (size_t row = 0; row < models[0]->doc_hash.size(); ++row) {
    const auto id = IdOf(*models[0], row);
    if (!id || !places.try_emplace(*id, joined[0].size()).second) continue;
    joined[0].push_back(static_cast<uint32_t>(row));
  }
  for (size_t j = 1; j < models.size(); ++j) {
    joined[j].assign(joined[0].size(), kNone);
    for (size_t row = 0; row < models[j]->doc_hash.size(); ++row) {
      const auto id = IdOf(*models[j], row);
      if (!id) continue;
      const auto found = places.find(*id);
      if (found == places.end() || joined[j][found->second] != kNone) continue;
      joined[j][found->second] = static_cast<uint32_t>(row);
    }
  }
  size_t kept = 0;
  for (size_t i = 0; i < joined[0].size(); ++i) {
    const bool is_common = std::all_of(joined.begin(), joined.end(),
                                       [&](const auto& rows) { return rows[i] != kNone; });
    if (!is_common) continue;
    for (auto& rows : joined) rows[kept] = rows[i];
    ++kept;
  }
  for (auto& rows : joined) rows.resize(kept);
  return joined;
}

}  // namespace mirage::server
