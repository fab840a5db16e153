// Metrics of repeated samples: c of n draws for one item were right.
//
//   PassAtK(3, 10, 5)        // 11/12: at least one of 5 draws is right
//   PassUntil(8, 8, 412)     // 8 wanted, 8 seen, the last one at draw 412: about 0.019
//   ItemPassDistribution     // how the items' p are distributed; pass@k beyond the draws
//
// Draws of one item are taken as independent with the same probability p. Counts are exact up to
// kMaxRepeats. All functions return INVALID_ARGUMENT, with the argument's name and the remedy, for
// counts that contradict each other.
//
// Errors: an item's pass@k is an estimate, and items differ. The mean over items has
//   - the error for items like these: the standard error over the items' estimates
//     (Moments::standard_error). It holds both the spread of the items and the chance of the draws,
//     because the estimates of different items are independent;
//   - the error for exactly these items, drawn again: sqrt(sum of PassAtKVariance) / items,
//   smaller.
// An error of 0 for one item (c = 0, c = n) is no certainty; PassUntil's bound says what n draws
// exclude.
#ifndef MIRAGE_METRICS_KERNELS_REPEATS_H_
#define MIRAGE_METRICS_KERNELS_REPEATS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/moments.h"

namespace mirage::metrics {

// The most draws of one item.
inline constexpr uint64_t kMaxRepeats = 1'000'000'000'000;

// pass@k, the chance that at least one of k draws is right, without bias from c of n:
//   1 - C(n - c, k) / C(n, k), in [0, 1].
// Unbiased for 1 - (1 - p)^k; the plug-in 1 - (1 - c/n)^k is not (it is too low). 0 <= c <= n,
// 1 <= k <= n. Digits are kept for small values too: 1e-12 relative up to n = 1e9.
// At most sqrt(40 n) steps, of 10 ns each; k or c where those are fewer.
// Source: Chen et al. 2021 (arXiv 2107.03374), equation 1.
absl::StatusOr<double> PassAtK(uint64_t n_correct, uint64_t n_samples, uint64_t k);

// The unbiased estimate of the variance of PassAtK over the draws of this item, >= 0:
//   (C(n - c, k) / C(n, k))^2 - C(n - c, 2k) / C(n, 2k).
// The second term is the unbiased estimate of (1 - p)^(2k), hence 2 k <= n. At most sqrt(1500 n)
// steps.
absl::StatusOr<double> PassAtKVariance(uint64_t n_correct, uint64_t n_samples, uint64_t k);

// pass^k, the chance that all of k draws are right, without bias: C(c, k) / C(n, k), in [0, 1].
// The same arguments; 1e-11 relative, 0 where it is below 1e-323. At most sqrt(750 n) steps.
// Source: Yao et al. 2024 (tau-bench, arXiv 2406.12045).
absl::StatusOr<double> PassAllK(uint64_t n_correct, uint64_t n_samples, uint64_t k);

// The chance that more than half of k draws, taken without replacement from the n, are right; a tie
// counts one half. In [0, 1]. A vote over answers can also be won with fewer right ones, when the
// wrong answers differ: this is the vote of right against wrong. 0 where it is below about 1e-300.
// k <= 1e9. At most k steps of 5 ns, in practice about 75 standard deviations of the number of
// right ones: 10 ms for k = 1e9.
absl::StatusOr<double> MajorityOfK(uint64_t n_correct, uint64_t n_samples, uint64_t k);

// Method names, beside those of intervals.h.
inline constexpr std::string_view kMethodNegativeBinomial = "negative_binomial";
inline constexpr std::string_view kMethodBinomialUpper = "clopper_pearson_upper";

// What sampling until r successes says about p. With s successes in n draws:
struct PassUntilEstimate {
  // s / n, the maximum-likelihood estimate under either way to stop. Biased upwards (by about
  // p (1 - p) / r) when the last draw had to be a success.
  double maximum_likelihood = 0;
  // (r - 1) / (n - 1), without bias. Absent for r = 1, where only "was the first draw right" is
  // unbiased, and when the budget ended first.
  std::optional<double> unbiased;
  // The budget ended before r successes were seen.
  bool censored = false;
  // Exact two-sided interval for the stopping rule, method "negative_binomial": the ends are the p
  // at which n or fewer draws, and n or more, have a probability of (1 - level) / 2. Coverage is
  // never below the level. Absent when censored.
  std::optional<ConfidenceInterval> interval;
  // When censored: the exact one-sided upper bound at the level, method "clopper_pearson_upper":
  // the p at which s or fewer of n draws succeed with probability 1 - level. After 0 of n it is
  // 1 - (1 - level)^(1/n). Absent otherwise.
  std::optional<double> upper_bound;
  // "negative_binomial" or "clopper_pearson_upper"; static storage.
  std::string_view method;
};

// Sampling until `successes_wanted` = r successes, with a budget. Either successes_seen = r, and
// draw n was the last success; or fewer, and n is the budget. More than r is INVALID_ARGUMENT, as
// are r = 0, n = 0, s > n and a level outside (0, 1). O(1).
// Sources: Hu et al. 2023 (PassUntil, arXiv 2310.03262); Haldane (1945), Biometrika 33,
// for the unbiased estimate.
absl::StatusOr<PassUntilEstimate> PassUntil(uint64_t successes_wanted, uint64_t successes_seen,
                                            uint64_t n_samples, double level = 0.95);

// Whether a beta-binomial fit exists, and why not.
enum class FitStatus {
  kOk,
  // No item was added.
  kNoItems,
  // c/n is the same for every item: nothing says how p is spread.
  kAllEqual,
  // One draw an item: the counts depend on the mean of p alone.
  kOneSampleEach,
  // Every item is always or never right, both occur: the likelihood rises for ever as alpha and
  // beta go to 0.
  kAllOrNothing,
  // The items differ no more than draws with one p would: it rises for ever as alpha and beta grow.
  kUnderdispersed,
  // An item has more than kMaxFitSamples draws.
  kTooManySamples,
};

// One sentence about a status, with the remedy.
std::string_view FitStatusText(FitStatus status);

// The most draws of one item in a fit.
inline constexpr uint64_t kMaxFitSamples = uint64_t{1} << 17;

// p ~ Beta(alpha, beta) over items, c ~ Binomial(n, p) within one.
struct BetaBinomialFit {
  FitStatus status = FitStatus::kNoItems;
  // > 0; NaN unless the status is kOk.
  double alpha = 0;
  double beta = 0;
  // Of the draws in their order, nats: the binomial coefficients are left out.
  double log_likelihood = 0;
};

// E[pass@k] under a fit: 1 - B(alpha, beta + k) / B(alpha, beta), in [0, 1]. NaN for a fit that
// does not exist or k = 0. 1e-10 relative. At most 1e5 steps.
double FittedPassAtK(const BetaBinomialFit& fit, uint64_t k);

// The distribution of p over items, from counts of (c, n) pairs.
//
// Exact and mergeable: integers only, so that any order and sharding gives the same bytes, and
// every figure is computed from the pairs in ascending order. Memory: 80 bytes a distinct pair. Not
// thread-safe.
class ItemPassDistribution {
 public:
  // Adds `n_items` items that had n_correct of n_samples right. INVALID_ARGUMENT for n_samples = 0
  // or above kMaxRepeats, n_correct > n_samples, or more than 2^53 items altogether; nothing is
  // added then.
  absl::Status Add(uint64_t n_correct, uint64_t n_samples, uint64_t n_items = 1);

  // Adds all of `other`. INVALID_ARGUMENT for more than 2^53 items altogether.
  absl::Status Merge(const ItemPassDistribution& other);

  // Number of items.
  uint64_t n_items() const { return n_items_; }
  // Least and greatest n; 0 without items.
  uint64_t min_samples() const;
  uint64_t max_samples() const;
  // Items of which no draw, and every draw, was right.
  uint64_t n_never() const;
  uint64_t n_always() const;

  // Count, mean, spread and standard error of c/n over items, each item weighing the same.
  Moments Shares() const;

  // Number of items with c/n in [b/B, (b + 1)/B), the last bin closed, for B = n_bins; by integers,
  // so that no item falls on the wrong side of an edge. INVALID_ARGUMENT unless 1 <= B <= 1e6.
  absl::StatusOr<std::vector<uint64_t>> Histogram(uint32_t n_bins) const;

  // The variance of p between items, without bias: the sample variance of c/n less what the draws
  // add to it, mean of (c/n)(1 - c/n) / (n - 1). May be negative: the items then differ less than
  // draws of one p would. Absent for fewer than 2 items or where an item has n = 1.
  // Valid when n does not depend on p: not for items that were sampled until success.
  std::optional<double> BetweenItemVariance() const;

  // Mean over items of the unbiased pass@k.
  struct MeanPass {
    double mean = 0;
    // For items like these: the first error above; absent for one item.
    std::optional<double> standard_error;
    // For these items, drawn again: the second; absent where an item has n < 2 k.
    std::optional<double> draw_error;
    uint64_t n_items = 0;
  };
  // INVALID_ARGUMENT without items, for k = 0, and where an item has n < k (the message says how
  // many have). O(pairs) of PassAtK.
  absl::StatusOr<MeanPass> MeanPassAtK(uint64_t k) const;

  // The beta-binomial fit of greatest likelihood. Reached by bisection, not by chance: in the mean
  // mu and theta = 1 / (alpha + beta) the likelihood is concave in mu, and the profile over theta
  // is searched from 1e-8 to 1e8 for its highest maximum. Relative accuracy about 1e-9. O(max n) a
  // step, about 500 steps: 0.4 ms for n = 100, 0.4 s for n = kMaxFitSamples.
  // Source: Griffiths (1973), Biometrics 29, for the likelihood in mu and theta.
  BetaBinomialFit FitBetaBinomial() const;

  // One point of the curve of E[pass@k].
  struct CurvePoint {
    uint64_t k = 0;
    double pass = 0;
    // -log(pass), nats; +Inf when pass is 0. Falls as a k^-b where the density of p goes as p^(b-1)
    // near 0, that is with b = alpha for a fit.
    double negative_log = 0;
    // From the fit, because k is greater than the least n: true only as far as a beta distribution
    // is. false: the unbiased mean.
    bool extrapolated = false;
    // Of `pass`, for items like these; absent when extrapolated and for one item.
    std::optional<double> standard_error;
  };
  // INVALID_ARGUMENT without items and for ks[i] = 0; FAILED_PRECONDITION where a point needs a fit
  // and there is none. Source: Schaeffer et al. 2025 (arXiv 2502.17578).
  absl::StatusOr<std::vector<CurvePoint>> PassCurve(std::span<const uint64_t> ks) const;

  // Canonical bytes with a version; equal counts give equal bytes. 24 bytes a pair.
  std::string Serialize() const;

  // Reads what Serialize() wrote; INVALID_ARGUMENT for anything else.
  static absl::StatusOr<ItemPassDistribution> Deserialize(std::string_view bytes);

 private:
  // By (n, c).
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> counts_;
  uint64_t n_items_ = 0;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_KERNELS_REPEATS_H_
