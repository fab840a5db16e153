#include "server/engine/companion.h"

#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/numeric/int128.h"

namespace mirage::server {
namespace {

// The companion's rows by what identifies a document.
class Documents {
 public:
  Documents(const std::vector<absl::uint128>& ids, const std::vector<absl::uint128>& variants) {
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] == 0) continue;
      with_variant_.try_emplace({ids[i], variants[i]}, i);
      const auto [at, is_new] = only_.try_emplace(ids[i], i);
      if (!is_new) at->second = std::nullopt;
    }
  }

  std::optional<size_t> Find(absl::uint128 id, absl::uint128 variant) const {
    if (id == 0) return std::nullopt;
    const auto exact = with_variant_.find({id, variant});
    if (exact != with_variant_.end()) return exact->second;
    const auto only = only_.find(id);
    return only == only_.end() ? std::nullopt : only->second;
  }

 private:
  absl::flat_hash_map<std::pair<absl::uint128, absl::uint128>, size_t> with_variant_;
  // Absent where there are several.
  absl::flat_hash_map<absl::uint128, std::optional<size_t>> only_;
};

}  // namespace

CompanionMatch MatchCompanion(const SampleRows& task, const SampleRows& companion) {
  const Documents by_document(companion.doc_hash, companion.variant);
  const Documents by_prompt(companion.prompt_hash, companion.variant);
  CompanionMatch match;
  const size_t n = task.doc_hash.size();
  for (size_t i = 0; i < n; ++i) {
    std::optional<size_t> found = by_document.Find(task.doc_hash[i], task.variant[i]);
    if (!found) found = by_prompt.Find(task.prompt_hash[i], task.variant[i]);
    if (!found) continue;
    if (task.gold[i] != 0 && companion.gold[*found] != 0 &&
        task.gold[i] != companion.gold[*found]) {
      ++match.n_other_gold;
      continue;
    }
    match.rows.emplace_back(i, *found);
  }
  if (n > 0) match.share = static_cast<double>(match.rows.size()) / static_cast<double>(n);
  return match;
}

}  // namespace mirage::server
