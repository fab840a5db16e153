#include "metrics/kernels/token_log_probs.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/exact_sum.h"
#include "metrics/stats/moments.h"
#include "metrics/stats/serialization.h"

namespace mirage::metrics {
namespace {

constexpr uint8_t kVersion = 1;

absl::Status Invalid(std::string_view message) {
  return absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
}

absl::Status CheckLogProbs(std::span<const double> log_probs) {
  for (size_t i = 0; i < log_probs.size(); ++i) {
    // False for a NaN too.
    if (log_probs[i] <= 0) continue;
    if (std::isnan(log_probs[i])) {
      return Invalid(fmt::format("log_probs[{}] is nan: leave the target out and say why", i));
    }
    return Invalid(
        fmt::format("log_probs[{}] is {}: log-probabilities must be <= 0; are these probabilities "
                    "or logits? clip rounding noise to 0",
                    i, log_probs[i]));
  }
  return absl::OkStatus();
}

void AddToken(PositionMoments& position, double log_p) {
  // 0 - x, not -x: -0 is +0 and costs nothing.
  position.nll.Add(0 - log_p);
  position.p.Add(std::exp(log_p));
}

void MergePositions(std::vector<PositionMoments>& into, const std::vector<PositionMoments>& from) {
  if (into.size() < from.size()) into.resize(from.size());
  for (size_t i = 0; i < from.size(); ++i) {
    into[i].nll.Merge(from[i].nll);
    into[i].p.Merge(from[i].p);
  }
}

void Write(const PositionMoments& position, ByteWriter& out) {
  out.Part(position.nll);
  out.Part(position.p);
}

PositionMoments Read(ByteReader& in, std::string_view name) {
  PositionMoments position;
  position.nll = in.Part<Moments>(fmt::format("{}.nll", name));
  position.p = in.Part<Moments>(fmt::format("{}.p", name));
  return position;
}

}  // namespace

absl::StatusOr<TokenLogProbScores> ScoreTokenLogProbs(const TokenLogProbsView& target) {
  const std::span<const double> log_probs = target.log_probs;
  const std::span<const uint8_t> hits = target.greedy_hits;
  if (absl::Status status = CheckLogProbs(log_probs); !status.ok()) return status;
  if (!hits.empty() && hits.size() != log_probs.size()) {
    return Invalid(fmt::format("greedy_hits has {} elements, log_probs {}: one a token, or none",
                               hits.size(), log_probs.size()));
  }
  uint64_t n_hits = 0;
  for (size_t i = 0; i < hits.size(); ++i) {
    if (hits[i] > 1)
      return Invalid(fmt::format("greedy_hits[{}] is {}: must be 0 or 1", i, hits[i]));
    n_hits += hits[i];
  }
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  TokenLogProbScores out{
      log_probs.size(), kNan, kNan, kNan, kNan, kNan, kNan, kNan, kNan, kNan, kNan};
  if (log_probs.empty()) return out;
  ExactSum log_sum;
  log_sum.AddAll(log_probs);
  ExactSum p_sum;
  ExactSum error_sum;
  double least = 0;
  for (const double log_p : log_probs) {
    p_sum.Add(std::exp(log_p));
    error_sum.Add(-std::expm1(log_p));
    least = std::min(least, log_p);
  }
  const auto n = static_cast<double>(log_probs.size());
  out.log_p_target = log_sum.Round();
  out.expected_accuracy = std::exp(out.log_p_target);
  out.nll_per_token = (0 - out.log_p_target) / n;
  out.min_log_p = least;
  out.min_p = std::exp(least);
  out.mean_p = p_sum.Round() / n;
  out.expected_token_errors = error_sum.Round();
  out.token_error_rate = out.expected_token_errors / n;
  if (!hits.empty()) {
    out.greedy_token_accuracy = static_cast<double>(n_hits) / n;
    out.greedy_match = n_hits == hits.size() ? 1 : 0;
  }
  return out;
}

PositionLogProbs::PositionLogProbs(uint32_t max_positions)
    : max_positions_(std::clamp(max_positions, uint32_t{1}, kMostPositions)) {}

absl::Status PositionLogProbs::Add(std::span<const double> log_probs) {
  if (absl::Status status = CheckLogProbs(log_probs); !status.ok()) return status;
  if (log_probs.empty()) {
    ++n_empty_;
    return absl::OkStatus();
  }
  ++n_targets_;
  const size_t n = log_probs.size();
  const size_t own = std::min<size_t>(n, max_positions_);
  if (from_start_.size() < own) {
    from_start_.resize(own);
    from_end_.resize(own);
  }
  for (size_t i = 0; i < n; ++i) {
    AddToken(i < own ? from_start_[i] : overflow_from_start_, log_probs[i]);
    AddToken(i < own ? from_end_[i] : overflow_from_end_, log_probs[n - 1 - i]);
  }
  return absl::OkStatus();
}

absl::Status PositionLogProbs::Merge(const PositionLogProbs& other) {
  if (other.max_positions_ != max_positions_) {
    return Invalid(fmt::format("other.max_positions is {}: must be {}, as here",
                               other.max_positions_, max_positions_));
  }
  n_targets_ += other.n_targets_;
  n_empty_ += other.n_empty_;
  MergePositions(from_start_, other.from_start_);
  MergePositions(from_end_, other.from_end_);
  overflow_from_start_.nll.Merge(other.overflow_from_start_.nll);
  overflow_from_start_.p.Merge(other.overflow_from_start_.p);
  overflow_from_end_.nll.Merge(other.overflow_from_end_.nll);
  overflow_from_end_.p.Merge(other.overflow_from_end_.p);
  return absl::OkStatus();
}

std::string PositionLogProbs::Serialize() const {
  ByteWriter out(kVersion);
  out.Uint64(max_positions_);
  out.Uint64(n_targets_);
  out.Uint64(n_empty_);
  out.Uint64(from_start_.size());
  for (size_t i = 0; i < from_start_.size(); ++i) {
    Write(from_start_[i], out);
    Write(from_end_[i], out);
  }
  Write(overflow_from_start_, out);
  Write(overflow_from_end_, out);
  return std::move(out).Take();
}

absl::StatusOr<PositionLogProbs> PositionLogProbs::Deserialize(std::string_view bytes) {
  ByteReader in(bytes, "position log-probs", kVersion);
  const uint64_t max_positions = in.Uint64("max_positions");
  PositionLogProbs out;
  out.n_targets_ = in.Uint64("n_targets");
  out.n_empty_ = in.Uint64("n_empty");
  // Each has four parts of at least a length.
  const uint64_t n_positions = in.Size("number of positions", 4 * sizeof(uint64_t));
  if (max_positions == 0 || max_positions > kMostPositions || n_positions > max_positions ||
      (n_positions == 0) != (out.n_targets_ == 0)) {
    in.Fail(fmt::format("{} positions of at most {} for {} targets are not what Serialize writes",
                        n_positions, max_positions, out.n_targets_));
  }
  if (!in.ok()) return in.Finish();
  out.max_positions_ = static_cast<uint32_t>(max_positions);
  for (uint64_t i = 0; i < n_positions && in.ok(); ++i) {
    out.from_start_.push_back(Read(in, fmt::format("from_start[{}]", i)));
    out.from_end_.push_back(Read(in, fmt::format("from_end[{}]", i)));
  }
  out.overflow_from_start_ = Read(in, "overflow_from_start");
  out.overflow_from_end_ = Read(in, "overflow_from_end");
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  // Each position has the targets that are longer than it, from either end, and its two figures
  // the same number of values.
  uint64_t before = out.n_targets_;
  bool agree = true;
  for (uint64_t i = 0; i < n_positions; ++i) {
    const uint64_t count = out.from_start_[i].nll.count();
    agree &= (i == 0 ? count == before : count <= before) && count > 0 &&
             out.from_start_[i].p.count() == count && out.from_end_[i].nll.count() == count &&
             out.from_end_[i].p.count() == count;
    before = count;
  }
  const uint64_t overflow = out.overflow_from_start_.nll.count();
  agree &= out.overflow_from_start_.p.count() == overflow &&
           out.overflow_from_end_.nll.count() == overflow &&
           out.overflow_from_end_.p.count() == overflow &&
           (overflow == 0 || n_positions == max_positions);
  if (!agree) in.Fail("counts contradict each other");
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  return out;
}

}  // namespace mirage::metrics
