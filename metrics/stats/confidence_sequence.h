// Confidence sequences: intervals of a mean that may be looked at after every score.
//
// An interval of intervals.h holds its level at one n that was fixed beforehand. Who looks while a
// run goes on and stops when the result pleases is misled: Wilson's 95 % interval, looked at after
// each of 2000 scores from the tenth on, misses a true share of 0.5 at some time in half the runs.
// The intervals here hold their level at all times at once:
//   P(there is any n at which interval() misses the mean) <= 1 - level,
// so that one may look always, stop for any reason, and go on after a stop. The price is width: 1.5
// to 2.5 times that of an interval for the n at which one happens to stop.
//
// | class | scores | use it for |
// |---|---|---|
// | BettingSequence | bounded | any scores; the narrowest for a low variance and at small n |
// | EmpiricalBernsteinSequence | bounded | the same in a few numbers, up to 1.7 times as wide |
// | SubGaussianSequence | bounded | 0/1 scores with a share near 1/2 and n above some hundreds |
// | AsymptoticSequence | any with a finite variance | scores without bounds (log p); approximate |
//
// Which one must be settled before the run: the narrowest of several is not valid at their level.
// Widths in one run at 95 % (the normal mixture tuned to 500, stitching to 10):
// | scores | n | betting | Bernstein | mixture | stitched | asymptotic |
// |---|---|---|---|---|---|---|
// | 0/1, share 0.5 | 50 | 0.44 | 0.49 | 0.53 | 0.49 | 0.54 |
// | | 2000 | 0.098 | 0.093 | 0.065 | 0.087 | 0.070 |
// | 0/1, share 0.01 | 50 | 0.16 | 0.18 | 0.29 | 0.28 | 0.15 |
// | | 2000 | 0.013 | 0.015 | 0.044 | 0.053 | 0.013 |
// | skewed, mean 0.125 | 50 | 0.16 | 0.27 | 0.38 | 0.37 | 0.13 |
// | | 2000 | 0.018 | 0.020 | 0.070 | 0.090 | 0.019 |
//
// When valid: the mean of each score, given all earlier ones, is the same number, which the
// interval is about. Independent documents of a larger population are such, and the mean is that
// population's. So are, with `population`, the documents of a finite test set in an order drawn at
// random, and the mean is the test set's. A test set that is sorted by subject or difficulty is
// not: shuffle it, with a seed, before the run. The first three classes need nothing else, the last
// one a large n besides.
//
// A paired comparison: the difference of two models' scores in [0, 1] on the same document lies in
// [-1, 1], and the comparison may stop as soon as the interval leaves 0 out:
//   auto sequence = BettingSequence::Create({.lower = -1, .upper = 1});
//   sequence->Add(score_a - score_b);                  // for each document, in random order
//   if (sequence->interval()->lower > 0) { ... }       // a is better, whenever one looks
//
// State is sequential by nature: bets depend on the past, and intervals are intersected with all
// earlier ones (a true mean is in all of them), so the order of the scores changes the result, in
// bits and in width, though never the validity. Two sequences cannot be merged. (The asymptotic one
// alone depends on the scores as a set.) The same scores in the same order give the same bits.
//
// Common to all:
// - Create() returns INVALID_ARGUMENT, with the option's name and the remedy, for a level outside
//   [0.5, 1), bounds that are not finite or not in order, and the ranges stated at each option.
// - Add() returns INVALID_ARGUMENT for a score that is NaN, infinite or out of bounds, and changes
//   nothing then. A document without a score must not be left out silently: decide on a value for
//   such documents before the run, or the mean is of those that could be scored.
// - interval(): before the first score it is the whole range. FAILED_PRECONDITION once the
//   intervals of different times no longer overlap: either the rare event of probability 1 - level,
//   or the mean changed over time, which is the likelier the smaller 1 - level is.
// - Serialize() gives canonical bytes with a version, options included; Deserialize() reads them
//   and returns INVALID_ARGUMENT for anything else. A sequence that was read goes on to the same
//   bits.
// - Not thread-safe. No run needs to end; counts go up to 2^53.
#ifndef MIRAGE_METRICS_STATS_CONFIDENCE_SEQUENCE_H_
#define MIRAGE_METRICS_STATS_CONFIDENCE_SEQUENCE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/stats/compensated_sum.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/moments.h"

namespace mirage::metrics {

// Method names, as they appear in answers (ConfidenceInterval::method).
inline constexpr std::string_view kMethodNormalMixtureSequence = "normal_mixture_sequence";
inline constexpr std::string_view kMethodStitchedSequence = "stitched_sequence";
inline constexpr std::string_view kMethodEmpiricalBernsteinSequence =
    "empirical_bernstein_sequence";
inline constexpr std::string_view kMethodBettingSequence = "betting_sequence";
inline constexpr std::string_view kMethodAsymptoticSequence = "asymptotic_sequence";

// How the width of a SubGaussianSequence depends on n.
enum class SequenceBoundary {
  // sqrt((v + r) log((v + r) / (a^2 r))) / n with a = 1 - level, v = n (upper - lower)^2 / 4 the
  // intrinsic time and r what makes it narrowest at `tuned_n`. Source: Howard et al. (2021),
  // section 3.2, the two-sided normal mixture.
  kNormalMixture,
  // k sqrt(v (1.4 log log_2(2 v / v0) + log(2 zeta(1.4) / a))) / n with
  // k = (2^(1/4) + 2^(-1/4)) / sqrt(2), v0 = tuned_n (upper - lower)^2 / 4 and v not below v0:
  // polynomial stitching with s = 1.4 and eta = 2. Narrows like sqrt(log log n / n), the best rate
  // there is; tuned_n is the n at which it starts to narrow like this, before which it is wide.
  // Source: theorem 1 there.
  kStitched,
};

// Options of a SubGaussianSequence.
struct SubGaussianOptions {
  double level = 0.95;
  // The bounds of a score.
  double lower = 0;
  double upper = 1;
  SequenceBoundary boundary = SequenceBoundary::kNormalMixture;
  // The n that matters most, from 1 to 2^53; see SequenceBoundary.
  uint64_t tuned_n = 500;
};

// The mean of bounded scores from their bounds alone: scores in [a, b] are sub-Gaussian with
// variance proxy (b - a)^2 / 4. Non-asymptotic: holds for every n, and for every distribution on
// [a, b]. Its width does not depend on the scores, so it wastes a low variance: a share near 0.01
// gets as wide an interval as one near 0.5.
//
// Under 100 bytes; Add 13 ns (normal mixture) or 22 ns (stitched), interval 2 ns.
// Source: Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence
// sequences" (2021), Annals of Statistics 49.
class SubGaussianSequence {
 public:
  static absl::StatusOr<SubGaussianSequence> Create(const SubGaussianOptions& options = {});

  // Adds one score.
  absl::Status Add(double score);

  // The intersection of all intervals until now.
  absl::StatusOr<ConfidenceInterval> interval() const;

  // Number of scores.
  uint64_t count() const { return count_; }

  std::string Serialize() const;
  static absl::StatusOr<SubGaussianSequence> Deserialize(std::string_view bytes);

 private:
  explicit SubGaussianSequence(const SubGaussianOptions& options);

  // Half-width after n scores, for scores in [0, 1].
  double HalfWidth(double n) const;

  SubGaussianOptions options_;
  // The mixture's r in units of n.
  double mixture_ = 0;
  uint64_t count_ = 0;
  // Sums are compensated: as good as exact for bounded scores.
  CompensatedSum sum_;
  // The running intersection, for scores in [0, 1].
  double low_ = 0;
  double high_ = 1;
};

// Options of an EmpiricalBernsteinSequence.
struct EmpiricalBernsteinOptions {
  double level = 0.95;
  // The bounds of a score.
  double lower = 0;
  double upper = 1;
  // The number of documents, 1 to 2^53, if the scores are those of a finite test set in random
  // order, each document once; the mean is then the test set's. See BettingOptions.
  std::optional<uint64_t> population;
};

// The mean of bounded scores from their spread: the predictable plug-in empirical Bernstein
// sequence. Non-asymptotic. For scores in [0, 1], with a = 1 - level:
//   m_i = (1/2 + x_1 + ... + x_i) / (i + 1),  s_i = (1/4 + sum_{j <= i} (x_j - m_j)^2) / (i + 1),
//   l_i = min(1/2, sqrt(2 log(2/a) / (s_{i-1} i log(1 + i)))),
//   sum l_i x_i / sum l_i +- (log(2/a) + sum (x_i - m_{i-1})^2 (-log(1 - l_i) - l_i)) / sum l_i.
// Without replacement, x_i becomes x_i + (x_1 + ... + x_{i-1}) / (N - i + 1) in the first sum and
// every sum l_i becomes sum l_i N / (N - i + 1); what the scores still to come can at most be
// bounds the interval too.
//
// Under 150 bytes; Add 50 ns, interval 2 ns.
// Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting"
// (2023), JRSS B 86, theorem 2; the same authors, "Confidence sequences for sampling without
// replacement" (2020), NeurIPS, section 3.
class EmpiricalBernsteinSequence {
 public:
  static absl::StatusOr<EmpiricalBernsteinSequence> Create(
      const EmpiricalBernsteinOptions& options = {});

  // Adds one score. INVALID_ARGUMENT also after the last document of the population.
  absl::Status Add(double score);

  // The intersection of all intervals until now; the exact mean, without width, after all of a
  // population.
  absl::StatusOr<ConfidenceInterval> interval() const;

  // Number of scores.
  uint64_t count() const { return count_; }

  std::string Serialize() const;
  static absl::StatusOr<EmpiricalBernsteinSequence> Deserialize(std::string_view bytes);

 private:
  explicit EmpiricalBernsteinSequence(const EmpiricalBernsteinOptions& options)
      : options_(options) {}

  EmpiricalBernsteinOptions options_;
  uint64_t count_ = 0;
  CompensatedSum sum_;
  // sum (x - m)^2 of the plug-in variance.
  CompensatedSum squares_;
  // sum l x, sum l and sum (x - m)^2 psi(l) of the formula, as population changes them.
  CompensatedSum weighted_;
  CompensatedSum weights_;
  CompensatedSum penalties_;
  double low_ = 0;
  double high_ = 1;
};

// Options of a BettingSequence.
struct BettingOptions {
  double level = 0.95;
  // The bounds of a score.
  double lower = 0;
  double upper = 1;
  // The number N of documents, 1 to 2^53, if the scores are those of a finite test set, each
  // document once, in an order drawn uniformly at random. The mean is then that of these N
  // documents, no statement about others like them; the interval narrows faster and ends at the
  // exact mean. Without it, the mean is the population's that the documents were drawn from.
  std::optional<uint64_t> population;
  // Cells of the grid of means, 10 to 1'000'000: an end is at most (upper - lower) / cells too
  // wide.
  uint32_t cells = 10'000;
};

// The mean of bounded scores by betting against each possible mean: the hedged capital sequence.
// Non-asymptotic; adapts to the variance.
//
// For scores in [0, 1] and a mean m, two players start with 1 and bet min(l_i, c/m) on scores above
// m and min(l_i, c/(1 - m)) on scores below it, c = 1/2, l_i those of EmpiricalBernsteinSequence
// without their limit:
//   up(m) = prod (1 + min(l_i, c/m) (x_i - m)), down(m) = prod (1 - min(l_i, c/(1 - m)) (x_i - m)).
// If m is the mean, the probability that one of them ever reaches 2 / (1 - level) is at most
// 1 - level, so the interval holds the m where neither did. Without replacement, each bet is
// against the mean of the documents that are left if m is right,
// (N m - x_1 - ... - x_{i-1}) / (N - i + 1).
//
// Resolution: up falls and down rises with m, so a player's success at m rules out all means on
// that side. Both are followed at m = 0, 1/cells, ..., 1; an end of the interval is the innermost
// point that was ruled out on its side, or the range's end. The reported interval therefore
// contains the exact one (conservative, coverage is kept) and exceeds it by at most one cell at
// each end. Points that were ruled out are dropped: what is kept, and the cost of Add, shrinks with
// the interval.
//
// Memory 16 bytes a point at first (160 kB for 10'000 cells), then about those inside the interval.
// Add about 2 ns for each point inside (5 ns with a population): 3 us on average over 1000 scores
// of a share of 0.3, 1.2 us over 10'000; interval 3 ns.
//
// Source: Waudby-Smith and Ramdas (2023), theorem 3 and, without replacement, section 5.
class BettingSequence {
 public:
  static absl::StatusOr<BettingSequence> Create(const BettingOptions& options = {});

  // Adds one score. INVALID_ARGUMENT also after the last document of the population.
  absl::Status Add(double score);

  // The means that were not ruled out until now; the exact mean, without width, after all of a
  // population.
  absl::StatusOr<ConfidenceInterval> interval() const;

  // Number of scores.
  uint64_t count() const { return count_; }

  // About 16 bytes for each grid point inside the interval.
  std::string Serialize() const;
  static absl::StatusOr<BettingSequence> Deserialize(std::string_view bytes);

 private:
  explicit BettingSequence(const BettingOptions& options);

  // The points that are followed: those inside and, to notice a mean that changes, the two ends.
  int64_t first() const { return below_ < 0 ? 0 : below_; }
  int64_t last() const { return above_ > options_.cells ? options_.cells : above_; }
  // Whether some mean is left, and scores are still to come.
  bool is_open() const;
  // Multiplies the capitals at all points by their outcome of the score x in [0, 1].
  void Bet(double x, double bet);
  // Moves the ends to the points that were ruled out.
  void RuleOut();

  BettingOptions options_;
  uint64_t count_ = 0;
  CompensatedSum sum_;
  CompensatedSum squares_;
  // The highest point that was ruled out from below, -1 for none, and the lowest from above,
  // cells + 1 for none.
  int64_t below_ = -1;
  int64_t above_ = 0;
  // The capitals at points offset_, offset_ + 1, ...
  int64_t offset_ = 0;
  std::vector<double> up_;
  std::vector<double> down_;
};

// Options of an AsymptoticSequence.
struct AsymptoticOptions {
  double level = 0.95;
  // The n at which the interval is narrowest compared with a fixed-n one, 1 to 2^53.
  uint64_t tuned_n = 500;
  // The first n at which there is an interval, 2 to 2^53. Before it the central limit theorem is
  // not relied on.
  uint64_t first_n = 100;
};

// The mean of scores without bounds: an asymptotic confidence sequence. APPROXIMATE: what the
// central limit theorem is to a fixed n this is to all n >= first_n at once; the error goes to 0 as
// first_n grows, and is unknown at any given one. Like a normal interval it fails for rare large
// values: 0/1 scores need first_n of at least some dozens divided by the share, and bounded scores
// are better served by the classes above. Independent scores with a finite variance.
//   mean +- s sqrt(2 (n q + 1) / (n^2 q) log(sqrt(n q + 1) / (1 - level))),
// s the standard deviation (n - 1), q the one (rho^2 in the paper) that makes it narrowest at
// tuned_n. No intersection with earlier intervals, which are the less reliable ones.
//
// (-Infinity, Infinity) before first_n and while all scores are equal: a spread of 0 is no
// certainty. So interval() never fails here.
//
// 2.3 kB; Add 12 ns, interval 5 us.
// Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and
// asymptotic confidence sequences" (2024), Annals of Statistics 52, section 2.
class AsymptoticSequence {
 public:
  static absl::StatusOr<AsymptoticSequence> Create(const AsymptoticOptions& options = {});

  // Adds one score.
  absl::Status Add(double score);

  // The interval after count() scores.
  ConfidenceInterval interval() const;

  // Number of scores.
  uint64_t count() const { return moments_.count(); }

  std::string Serialize() const;
  static absl::StatusOr<AsymptoticSequence> Deserialize(std::string_view bytes);

 private:
  explicit AsymptoticSequence(const AsymptoticOptions& options);

  AsymptoticOptions options_;
  // 1 / q.
  double mixture_ = 0;
  Moments moments_;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_CONFIDENCE_SEQUENCE_H_
