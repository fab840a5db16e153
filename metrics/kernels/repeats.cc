#include "metrics/kernels/repeats.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/compensated_sum.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/exact_sum.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/max_count.h"
#include "metrics/stats/moments.h"
#include "metrics/stats/serialization.h"

namespace mirage::metrics {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint64_t kMaxVoters = 1'000'000'000;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
// exp(-746) is 0.
constexpr double kLogOfZero = -746;

absl::Status Invalid(std::string_view message) {
  return absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
}

absl::Status CheckCounts(uint64_t n_correct, uint64_t n_samples) {
  if (n_samples == 0) return Invalid("n_samples is 0: an item needs at least one draw");
  if (n_samples > kMaxRepeats) {
    return Invalid(fmt::format("n_samples is {}: must be <= {}", n_samples, kMaxRepeats));
  }
  if (n_correct > n_samples) {
    return Invalid(
        fmt::format("n_correct is {}: must be <= n_samples, which is {}", n_correct, n_samples));
  }
  return absl::OkStatus();
}

absl::Status CheckDraws(uint64_t n_correct, uint64_t n_samples, uint64_t k, uint64_t draws_a_k) {
  if (absl::Status status = CheckCounts(n_correct, n_samples); !status.ok()) return status;
  if (k == 0) return Invalid("k is 0: must be at least 1");
  if (k > n_samples / draws_a_k) {
    return Invalid(
        fmt::format("k is {}: {}k must be <= n_samples, which is {}; draw more samples or lower k",
                    k, draws_a_k == 1 ? "" : "2 ", n_samples));
  }
  return absl::OkStatus();
}

// log of the chance that k draws without replacement from n hold none of the `marked` ones:
// C(n - marked, k) / C(n, k), a product over the smaller of k and marked. Stops below `least`,
// where it no longer matters: each factor is at most 1 - max(k, marked) / n, which bounds the steps
// by sqrt(-least n).
double LogNoneDrawn(uint64_t n, uint64_t marked, uint64_t k, double least) {
  const uint64_t steps = std::min(k, marked);
  const uint64_t taken = std::max(k, marked);
  CompensatedSum sum;
  for (uint64_t i = 0; i < steps; ++i) {
    const uint64_t there = n - i;
    if (taken >= there) return -kInf;
    // The logarithm of 1 - taken / there, by whichever of the two is exact.
    sum.Add(taken <= there / 2
                ? std::log1p(-(static_cast<double>(taken) / static_cast<double>(there)))
                : std::log(static_cast<double>(there - taken) / static_cast<double>(there)));
    if (!(sum.value() > least)) return -kInf;
  }
  return sum.value();
}

// pass@k is 1 to the last bit below this.
constexpr double kLogOfNothingMissed = -40;

double PassValue(uint64_t n_correct, uint64_t n_samples, uint64_t k) {
  return -std::expm1(LogNoneDrawn(n_samples, n_correct, k, kLogOfNothingMissed));
}

double PassVariance(uint64_t n_correct, uint64_t n_samples, uint64_t k) {
  const double once = LogNoneDrawn(n_samples, n_correct, k, kLogOfZero);
  if (std::isinf(once)) return 0;
  const double twice = LogNoneDrawn(n_samples, n_correct, 2 * k, 2 * kLogOfZero);
  // The second product is the smaller one factor by factor; rounding may say otherwise.
  return std::max(0.0, std::exp(2 * once) * -std::expm1(twice - 2 * once));
}

// The likelihood of beta-binomial counts in mu = alpha / (alpha + beta), theta = 1 / (alpha +
// beta):
//   sum_j right_j log(mu + j theta) + wrong_j log(1 - mu + j theta) - drawn_j log(1 + j theta),
// where right_j is the number of items with c > j, wrong_j with n - c > j, drawn_j with n > j.
class BetaBinomialLikelihood {
 public:
  void Add(uint64_t n_correct, uint64_t n_samples, uint64_t n_items) {
    const auto items = static_cast<double>(n_items);
    AddTo(right_, n_correct, items);
    AddTo(wrong_, n_samples - n_correct, items);
    AddTo(drawn_, n_samples, items);
  }

  // Turns the counts at each number into those above it.
  void Finish() {
    for (std::vector<double>* counts : {&right_, &wrong_, &drawn_}) {
      for (size_t j = counts->size(); j-- > 1;) (*counts)[j - 1] += (*counts)[j];
    }
  }

  double Value(double mu, double theta) const {
    ExactSum sum;
    const auto add = [&](const std::vector<double>& counts, double start, double sign) {
      for (size_t j = 0; j < counts.size(); ++j) {
        sum.Add(sign * counts[j] * std::log(start + static_cast<double>(j) * theta));
      }
    };
    add(right_, mu, 1);
    add(wrong_, 1 - mu, 1);
    add(drawn_, 1, -1);
    return sum.Round();
  }

  // The mu of greatest likelihood for this theta: the one root of a falling function, by Newton's
  // steps that a bracket keeps.
  double BestMu(double theta, double start) const {
    double low = 0;
    double high = 1;
    double mu = start;
    for (int step = 0; step < 200; ++step) {
      double slope = 0;
      double curvature = 0;
      for (size_t j = 0; j < right_.size(); ++j) {
        const double x = 1 / (mu + static_cast<double>(j) * theta);
        slope += right_[j] * x;
        curvature += right_[j] * x * x;
      }
      for (size_t j = 0; j < wrong_.size(); ++j) {
        const double x = 1 / (1 - mu + static_cast<double>(j) * theta);
        slope -= wrong_[j] * x;
        curvature += wrong_[j] * x * x;
      }
      (slope > 0 ? low : high) = mu;
      double next = mu + slope / curvature;
      if (!(next > low && next < high)) next = low + (high - low) / 2;
      const double moved = std::abs(next - mu);
      mu = next;
      if (moved <= 1e-15 * mu || slope == 0) break;
    }
    return mu;
  }

  // The derivative by theta; at the best mu, that of the profile.
  double ThetaSlope(double mu, double theta) const {
    ExactSum sum;
    const auto add = [&](const std::vector<double>& counts, double start, double sign) {
      for (size_t j = 1; j < counts.size(); ++j) {
        const auto index = static_cast<double>(j);
        sum.Add(sign * counts[j] * (index / (start + index * theta)));
      }
    };
    add(right_, mu, 1);
    add(wrong_, 1 - mu, 1);
    add(drawn_, 1, -1);
    return sum.Round();
  }

 private:
  static void AddTo(std::vector<double>& counts, uint64_t number, double items) {
    if (number == 0) return;
    if (counts.size() < number) counts.resize(number);
    counts[number - 1] += items;
  }

  std::vector<double> right_;
  std::vector<double> wrong_;
  std::vector<double> drawn_;
};

}  // namespace

absl::StatusOr<double> PassAtK(uint64_t n_correct, uint64_t n_samples, uint64_t k) {
  if (absl::Status status = CheckDraws(n_correct, n_samples, k, 1); !status.ok()) return status;
  return PassValue(n_correct, n_samples, k);
}

absl::StatusOr<double> PassAtKVariance(uint64_t n_correct, uint64_t n_samples, uint64_t k) {
  if (absl::Status status = CheckDraws(n_correct, n_samples, k, 2); !status.ok()) return status;
  return PassVariance(n_correct, n_samples, k);
}

absl::StatusOr<double> PassAllK(uint64_t n_correct, uint64_t n_samples, uint64_t k) {
  if (absl::Status status = CheckDraws(n_correct, n_samples, k, 1); !status.ok()) return status;
  return std::exp(LogNoneDrawn(n_samples, n_samples - n_correct, k, kLogOfZero));
}

absl::StatusOr<double> MajorityOfK(uint64_t n_correct, uint64_t n_samples, uint64_t k) {
  if (absl::Status status = CheckDraws(n_correct, n_samples, k, 1); !status.ok()) return status;
  if (k > kMaxVoters) return Invalid(fmt::format("k is {}: must be <= {}", k, kMaxVoters));
  const uint64_t n_wrong = n_samples - n_correct;
  const uint64_t least = k > n_wrong ? k - n_wrong : 0;
  const uint64_t most = std::min(k, n_correct);
  const auto mode =
      static_cast<uint64_t>(static_cast<double>(k + 1) * (static_cast<double>(n_correct + 1) /
                                                          static_cast<double>(n_samples + 2)));
  // Below it a term may round to itself for ever.
  constexpr double kLeastTerm = std::numeric_limits<double>::min();
  // Terms of the hypergeometric distribution relative to the one at the mode: no factorial, and
  // nothing cancels in their sum.
  CompensatedSum won;
  CompensatedSum lost;
  const auto take = [&](uint64_t right, double term) {
    if (2 * right == k) {
      won.Add(term / 2);
      lost.Add(term / 2);
    } else {
      (2 * right > k ? won : lost).Add(term);
    }
  };
  const auto ratio = [&](uint64_t right) {  // Of the term at right + 1 to that at right.
    const auto to_double = [](uint64_t x) { return static_cast<double>(x); };
    return to_double(n_correct - right) / to_double(right + 1) *
           (to_double(k - right) / to_double(n_wrong + right + 1 - k));
  };
  const uint64_t start = std::clamp(mode, least, most);
  take(start, 1);
  double term = 1;
  for (uint64_t right = start; right < most && term > kLeastTerm; ++right) {
    term *= ratio(right);
    take(right + 1, term);
  }
  term = 1;
  for (uint64_t right = start; right > least && term > kLeastTerm; --right) {
    term /= ratio(right - 1);
    take(right - 1, term);
  }
  return won.value() / (won.value() + lost.value());
}

absl::StatusOr<PassUntilEstimate> PassUntil(uint64_t successes_wanted, uint64_t successes_seen,
                                            uint64_t n_samples, double level) {
  if (absl::Status status = CheckLevel(level); !status.ok()) return status;
  if (successes_wanted == 0) return Invalid("successes_wanted is 0: must be at least 1");
  if (n_samples == 0) return Invalid("n_samples is 0: an item needs at least one draw");
  if (n_samples > kMaxRepeats) {
    return Invalid(fmt::format("n_samples is {}: must be <= {}", n_samples, kMaxRepeats));
  }
  if (successes_seen > n_samples) {
    return Invalid(fmt::format("successes_seen is {}: must be <= n_samples, which is {}",
                               successes_seen, n_samples));
  }
  if (successes_seen > successes_wanted) {
    return Invalid(fmt::format(
        "successes_seen is {}: sampling stops at successes_wanted, which is {}; for a fixed number "
        "of draws use an interval of k of n",
        successes_seen, successes_wanted));
  }
  const auto n = static_cast<double>(n_samples);
  const auto seen = static_cast<double>(successes_seen);
  PassUntilEstimate estimate;
  estimate.maximum_likelihood = seen / n;
  estimate.censored = successes_seen < successes_wanted;
  if (estimate.censored) {
    estimate.method = kMethodBinomialUpper;
    estimate.upper_bound =
        successes_seen == n_samples ? 1 : BetaUpperQuantile(1 - level, seen + 1, n - seen);
    return estimate;
  }
  estimate.method = kMethodNegativeBinomial;
  if (successes_seen > 1) estimate.unbiased = (seen - 1) / (n - 1);
  const double tail = (1 - level) / 2;
  ConfidenceInterval interval{0, 1, level, kMethodNegativeBinomial};
  interval.lower = BetaQuantile(tail, seen, n - seen + 1);
  if (successes_seen < n_samples) interval.upper = BetaUpperQuantile(tail, seen, n - seen);
  estimate.interval = interval;
  return estimate;
}

std::string_view FitStatusText(FitStatus status) {
  switch (status) {
    case FitStatus::kOk:
      return "the fit exists";
    case FitStatus::kNoItems:
      return "there are no items: add some";
    case FitStatus::kAllEqual:
      return "the share of right draws is the same for every item: the spread of p cannot be "
             "fitted; add items or draws";
    case FitStatus::kOneSampleEach:
      return "every item has one draw, which says nothing about the spread of p: draw at least two";
    case FitStatus::kAllOrNothing:
      return "every item is always or never right, so that alpha and beta would go to 0: draw more";
    case FitStatus::kUnderdispersed:
      return "the items differ no more than draws with one p would, so that alpha and beta would "
             "grow without end: use a binomial with the mean";
    case FitStatus::kTooManySamples:
      return "an item has more than 131072 draws: fit a part of them";
  }
  return "";
}

double FittedPassAtK(const BetaBinomialFit& fit, uint64_t k) {
  if (fit.status != FitStatus::kOk || k == 0) return kNan;
  const double a = fit.alpha;
  const double b = fit.beta;
  // log of the chance that all k fail: sum over i < k of log1p(-a / (a + b + i)).
  constexpr uint64_t kDirect = 100'000;
  CompensatedSum sum;
  for (uint64_t i = 0; i < std::min(k, kDirect); ++i) {
    const double others = b + static_cast<double>(i);
    // The first form keeps the digits, and is finite, where a / (a + others) rounds to 1.
    sum.Add(a > others ? std::log(others / (a + others)) : std::log1p(-a / (a + others)));
    if (sum.value() < kLogOfNothingMissed) return 1;
  }
  double log_fail = sum.value();
  if (k > kDirect) {
    // The rest by Euler and Maclaurin; the next term is below 1e-16 of the sum.
    const auto term = [&](double x) { return std::log1p(-a / (a + b + x)); };
    const auto slope = [&](double x) { return a / ((a + b + x) * (b + x)); };
    const auto integral = [&](double x) { return (b + x) * term(x) - a * std::log(a + b + x); };
    const auto from = static_cast<double>(kDirect);
    const auto to = static_cast<double>(k);
    log_fail += (integral(to) - integral(from)) - (term(to) - term(from)) / 2 +
                (slope(to) - slope(from)) / 12;
  }
  return -std::expm1(log_fail);
}

absl::Status ItemPassDistribution::Add(uint64_t n_correct, uint64_t n_samples, uint64_t n_items) {
  if (absl::Status status = CheckCounts(n_correct, n_samples); !status.ok()) return status;
  if (n_items > kMaxCount - n_items_) {
    return Invalid(fmt::format("n_items is {}: more than 2^53 items with those before", n_items));
  }
  if (n_items == 0) return absl::OkStatus();
  counts_[{n_samples, n_correct}] += n_items;
  n_items_ += n_items;
  return absl::OkStatus();
}

absl::Status ItemPassDistribution::Merge(const ItemPassDistribution& other) {
  if (other.n_items_ > kMaxCount - n_items_) {
    return Invalid(
        fmt::format("other has {} items: more than 2^53 with those before", other.n_items_));
  }
  for (const auto& [pair, count] : other.counts_) counts_[pair] += count;
  n_items_ += other.n_items_;
  return absl::OkStatus();
}

uint64_t ItemPassDistribution::min_samples() const {
  return counts_.empty() ? 0 : counts_.begin()->first.first;
}

uint64_t ItemPassDistribution::max_samples() const {
  return counts_.empty() ? 0 : counts_.rbegin()->first.first;
}

uint64_t ItemPassDistribution::n_never() const {
  uint64_t items = 0;
  for (const auto& [pair, count] : counts_) items += pair.second == 0 ? count : 0;
  return items;
}

uint64_t ItemPassDistribution::n_always() const {
  uint64_t items = 0;
  for (const auto& [pair, count] : counts_) items += pair.second == pair.first ? count : 0;
  return items;
}

Moments ItemPassDistribution::Shares() const {
  Moments shares;
  for (const auto& [pair, count] : counts_) {
    shares.AddRepeated(static_cast<double>(pair.second) / static_cast<double>(pair.first), count);
  }
  return shares;
}

absl::StatusOr<std::vector<uint64_t>> ItemPassDistribution::Histogram(uint32_t n_bins) const {
  if (n_bins == 0 || n_bins > 1'000'000) {
    return Invalid(fmt::format("n_bins is {}: must be between 1 and 1000000", n_bins));
  }
  std::vector<uint64_t> bins(n_bins);
  for (const auto& [pair, count] : counts_) {
    // c B <= 1e12 * 1e6 fits 64 bits.
    const uint64_t bin = pair.second * n_bins / pair.first;
    bins[std::min<uint64_t>(bin, n_bins - 1)] += count;
  }
  return bins;
}

std::optional<double> ItemPassDistribution::BetweenItemVariance() const {
  if (n_items_ < 2 || min_samples() < 2) return std::nullopt;
  ExactSum draws;
  for (const auto& [pair, count] : counts_) {
    const auto n = static_cast<double>(pair.first);
    const auto right = static_cast<double>(pair.second);
    const double wrong = n - right;
    draws.AddProduct((right / n) * (wrong / n) / (n - 1), static_cast<double>(count));
  }
  return *Shares().variance() - draws.Round() / static_cast<double>(n_items_);
}

absl::StatusOr<ItemPassDistribution::MeanPass> ItemPassDistribution::MeanPassAtK(uint64_t k) const {
  if (counts_.empty()) return Invalid("there are no items: add some before asking for pass@k");
  if (k == 0) return Invalid("k is 0: must be at least 1");
  if (k > min_samples()) {
    uint64_t short_items = 0;
    for (const auto& [pair, count] : counts_) short_items += pair.first < k ? count : 0;
    return Invalid(fmt::format(
        "k is {}: {} of {} items have fewer samples, the least n_samples is {}; draw more samples, "
        "lower k, or take the fit's value",
        k, short_items, n_items_, min_samples()));
  }
  Moments passes;
  ExactSum variances;
  for (const auto& [pair, count] : counts_) {
    passes.AddRepeated(PassValue(pair.second, pair.first, k), count);
    if (k <= min_samples() / 2) {
      variances.AddProduct(PassVariance(pair.second, pair.first, k), static_cast<double>(count));
    }
  }
  MeanPass out;
  out.mean = *passes.mean();
  out.standard_error = passes.standard_error();
  if (k <= min_samples() / 2) {
    out.draw_error = std::sqrt(variances.Round()) / static_cast<double>(n_items_);
  }
  out.n_items = n_items_;
  return out;
}

BetaBinomialFit ItemPassDistribution::FitBetaBinomial() const {
  BetaBinomialFit fit{.alpha = kNan, .beta = kNan, .log_likelihood = kNan};
  if (counts_.empty()) return fit;
  const auto without = [&fit](FitStatus status) {
    fit.status = status;
    return fit;
  };
  __extension__ using Uint128 = unsigned __int128;
  const auto& [first_n, first_c] = counts_.begin()->first;
  bool all_equal = true;
  bool all_or_nothing = true;
  for (const auto& [pair, count] : counts_) {
    const auto& [n, c] = pair;
    all_equal &= static_cast<Uint128>(c) * first_n == static_cast<Uint128>(first_c) * n;
    all_or_nothing &= c == 0 || c == n;
  }
  if (all_equal) return without(FitStatus::kAllEqual);
  if (max_samples() == 1) return without(FitStatus::kOneSampleEach);
  if (all_or_nothing) return without(FitStatus::kAllOrNothing);
  if (max_samples() > kMaxFitSamples) return without(FitStatus::kTooManySamples);

  BetaBinomialLikelihood likelihood;
  double all_right = 0;
  double all_drawn = 0;
  for (const auto& [pair, count] : counts_) {
    likelihood.Add(pair.second, pair.first, count);
    all_right += static_cast<double>(pair.second) * static_cast<double>(count);
    all_drawn += static_cast<double>(pair.first) * static_cast<double>(count);
  }
  likelihood.Finish();

  // Each stretch of the grid over which the profile's slope turns from + to - holds a maximum.
  constexpr int kStretches = 64;
  const double least = std::log(1e-8);
  const double most = std::log(1e8);
  // No spread: the likelihood that any maximum has to beat.
  double best = likelihood.Value(all_right / all_drawn, 0);
  double best_mu = kNan;
  double best_theta = kNan;
  double mu = all_right / all_drawn;
  const auto slope = [&](double log_theta) {
    const double theta = std::exp(log_theta);
    mu = likelihood.BestMu(theta, mu);
    return likelihood.ThetaSlope(mu, theta);
  };
  double left = least;
  double left_slope = slope(left);
  for (int i = 1; i <= kStretches; ++i) {
    const double right = least + (most - least) * i / kStretches;
    const double right_slope = slope(right);
    if (left_slope > 0 && right_slope <= 0) {
      double low = left;
      double high = right;
      for (int step = 0; step < 60 && low < high; ++step) {
        const double middle = low + (high - low) / 2;
        (slope(middle) > 0 ? low : high) = middle;
      }
      const double theta = std::exp(low + (high - low) / 2);
      const double at = likelihood.BestMu(theta, mu);
      const double value = likelihood.Value(at, theta);
      if (value > best) {
        best = value;
        best_mu = at;
        best_theta = theta;
      }
    }
    left = right;
    left_slope = right_slope;
  }
  if (std::isnan(best_theta)) {
    return without(left_slope > 0 ? FitStatus::kAllOrNothing : FitStatus::kUnderdispersed);
  }
  fit.status = FitStatus::kOk;
  fit.alpha = best_mu / best_theta;
  fit.beta = (1 - best_mu) / best_theta;
  fit.log_likelihood = best;
  return fit;
}

absl::StatusOr<std::vector<ItemPassDistribution::CurvePoint>> ItemPassDistribution::PassCurve(
    std::span<const uint64_t> ks) const {
  std::optional<BetaBinomialFit> fit;
  std::vector<CurvePoint> curve;
  curve.reserve(ks.size());
  for (size_t i = 0; i < ks.size(); ++i) {
    CurvePoint point{.k = ks[i]};
    if (ks[i] == 0) return Invalid(fmt::format("ks[{}] is 0: must be at least 1", i));
    if (counts_.empty() || ks[i] <= min_samples()) {
      const absl::StatusOr<MeanPass> mean = MeanPassAtK(ks[i]);
      if (!mean.ok()) return mean.status();
      point.pass = mean->mean;
      point.standard_error = mean->standard_error;
    } else {
      if (!fit.has_value()) fit = FitBetaBinomial();
      if (fit->status != FitStatus::kOk) {
        return absl::FailedPreconditionError(fmt::format(
            "ks[{}] is {}: above the least n_samples, which is {}, only a fit could say "
            "it, and {}",
            i, ks[i], min_samples(), FitStatusText(fit->status)));
      }
      point.pass = FittedPassAtK(*fit, ks[i]);
      point.extrapolated = true;
    }
    point.negative_log = point.pass == 0 ? kInf : 0.0 - std::log(point.pass);
    curve.push_back(point);
  }
  return curve;
}

std::string ItemPassDistribution::Serialize() const {
  ByteWriter out(kVersion);
  out.Uint64(counts_.size());
  for (const auto& [pair, count] : counts_) {
    out.Uint64(pair.first);
    out.Uint64(pair.second);
    out.Uint64(count);
  }
  return std::move(out).Take();
}

absl::StatusOr<ItemPassDistribution> ItemPassDistribution::Deserialize(std::string_view bytes) {
  ByteReader in(bytes, "item pass distribution", kVersion);
  ItemPassDistribution out;
  std::pair<uint64_t, uint64_t> before{0, 0};
  const uint64_t n_pairs = in.Size("number of pairs", 3 * sizeof(uint64_t));
  for (uint64_t i = 0; i < n_pairs && in.ok(); ++i) {
    const uint64_t n_samples = in.Uint64("n_samples");
    const uint64_t n_correct = in.Uint64("n_correct");
    const uint64_t count = in.Uint64("number of items");
    const std::pair pair{n_samples, n_correct};
    if (pair <= before || count == 0) {
      in.Fail(fmt::format("pairs[{}] is out of order or counts no item", i));
    } else if (absl::Status status = out.Add(n_correct, n_samples, count); !status.ok()) {
      in.Fail(fmt::format("pairs[{}]", i), status);
    }
    before = pair;
  }
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  return out;
}

}  // namespace mirage::metrics
