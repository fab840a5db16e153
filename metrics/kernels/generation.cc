#include "metrics/kernels/generation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace mirage::metrics {
namespace {

absl::Status NoTarget() {
  return absl::InvalidArgumentError("targets is empty: give at least one accepted target");
}

// A target that is too long to compare with is farther than any other.
bool IsNearer(const GenerationScores& a, const GenerationScores& b) {
  return a.token_edit_distance < b.token_edit_distance ||
         (std::isnan(b.token_edit_distance) && !std::isnan(a.token_edit_distance));
}

// A share of the target's positions, also where it has none.
double ShareOf(size_t hits, size_t target_length, size_t output_length) {
  if (target_length == 0) return output_length == 0 ? 1 : 0;
  return static_cast<double>(hits) / static_cast<double>(target_length);
}

}  // namespace

GenerationScores ScoreTokenPair(std::span<const uint32_t> output, std::span<const uint32_t> target,
                                EditDistanceScratch& scratch, uint64_t max_cells) {
  const bool equal = std::ranges::equal(output, target);
  const bool comparable = equal || target.empty() || output.size() <= max_cells / target.size();
  const auto distance = equal        ? 0.0
                        : comparable ? static_cast<double>(EditDistance(output, target, scratch))
                                     : std::numeric_limits<double>::quiet_NaN();
  const size_t longest = std::max(output.size(), target.size());
  const size_t common = std::min(output.size(), target.size());
  size_t prefix = 0;
  while (prefix < common && output[prefix] == target[prefix]) ++prefix;
  size_t hits = prefix;
  for (size_t i = prefix; i < common; ++i) hits += output[i] == target[i];

  GenerationScores scores{};
  scores.exact_match = equal ? 1 : 0;
  scores.token_edit_distance = distance;
  scores.edit_similarity = longest == 0 ? 1 : 1 - distance / static_cast<double>(longest);
  scores.prefix_match = ShareOf(prefix, target.size(), output.size());
  scores.position_accuracy = ShareOf(hits, target.size(), output.size());
  scores.target_length = static_cast<uint32_t>(target.size());
  scores.output_length = static_cast<uint32_t>(output.size());
  return scores;
}

void FindPositionHits(std::span<const uint32_t> output, std::span<const uint32_t> target,
                      PositionHits& hits) {
  hits.from_start.assign(target.size(), 0);
  hits.from_end.assign(target.size(), 0);
  const size_t common = std::min(output.size(), target.size());
  for (size_t i = 0; i < common; ++i) {
    hits.from_start[i] = output[i] == target[i];
    hits.from_end[i] = output[output.size() - 1 - i] == target[target.size() - 1 - i];
  }
}

absl::StatusOr<GenerationScores> GenerationScorer::ScoreText(
    std::string_view output, std::span<const std::string_view> targets) {
  if (targets.empty()) return NoTarget();
  words_.Clear();
  SplitUnits(output, options_.unit, words_, output_ids_);
  GenerationScores best{};
  for (size_t t = 0; t < targets.size(); ++t) {
    SplitUnits(targets[t], options_.unit, words_, target_ids_);
    GenerationScores scores =
        ScoreTokenPair(output_ids_, target_ids_, scratch_, options_.max_cells);
    scores.target_index = static_cast<uint32_t>(t);
    if (t == 0 || IsNearer(scores, best)) best = scores;
  }
  best.exact_match = AnyExactMatch(output, targets) ? 1 : 0;
  return best;
}

absl::StatusOr<GenerationScores> GenerationScorer::ScoreTokens(
    std::span<const uint32_t> output, std::span<const std::span<const uint32_t>> targets) {
  if (targets.empty()) return NoTarget();
  GenerationScores best{};
  for (size_t t = 0; t < targets.size(); ++t) {
    GenerationScores scores = ScoreTokenPair(output, targets[t], scratch_, options_.max_cells);
    scores.target_index = static_cast<uint32_t>(t);
    if (t == 0 || IsNearer(scores, best)) best = scores;
  }
  return best;
}

void GenerationScorer::TextPositionHits(std::string_view output, std::string_view target,
                                        PositionHits& hits) {
  words_.Clear();
  SplitUnits(output, options_.unit, words_, output_ids_);
  SplitUnits(target, options_.unit, words_, target_ids_);
  FindPositionHits(output_ids_, target_ids_, hits);
}

bool GenerationScorer::AnyExactMatch(std::string_view output,
                                     std::span<const std::string_view> targets) const {
  const NormalizeOptions& normalize = options_.normalize;
  if (!normalize.ignore_case && !normalize.ignore_punctuation && !normalize.ignore_numbers) {
    // Normalize without its copies.
    const auto trimmed = [](std::string_view text) {
      while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
      return text;
    };
    return std::any_of(targets.begin(), targets.end(),
                       [&](std::string_view target) { return trimmed(target) == trimmed(output); });
  }
  const std::string normalized_output = Normalize(output, options_.normalize);
  size_t width = 0;
  if (options_.normalize.ignore_case && targets.size() > 1) {
    for (const std::string_view target : targets) width = std::max(width, CountCodepoints(target));
  }
  return std::any_of(targets.begin(), targets.end(), [&](std::string_view target) {
    return Normalize(target, options_.normalize, width) == normalized_output;
  });
}

}  // namespace mirage::metrics
