// How many documents a comparison needs, and what a given number can show.
//
// All but McNemar's power and RequiredNToExclude are approximations by the normal distribution, as
// in the sources: within a few per cent where n is some dozens and scores are not heavily skewed,
// optimistic for fewer. A sample size is rounded up to whole documents.
//
// Source of the comparison's formula: Miller, "Adding error bars to evals: a statistical approach
// to language model evaluations" (2024, arXiv 2411.00640), section 5:
//   n = (z_{alpha/2} + z_beta)^2 (omega^2 + sigma_A^2 / K_A + sigma_B^2 / K_B) / delta^2.
//
// Every function returns INVALID_ARGUMENT, with the argument's path and the remedy, for an argument
// that is NaN, infinite or out of its range, and for a sample size above 2^53; FAILED_PRECONDITION
// where no number of documents is enough. Complexity: O(1), below 1 us, unless noted.
#ifndef MIRAGE_METRICS_STATS_POWER_H_
#define MIRAGE_METRICS_STATS_POWER_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// Whether a test asks for a difference in either direction or in one that was fixed beforehand. Not
// an Alternative (hypothesis.h): a sample size is the same for a difference above as for one below,
// so a plan says how many tails share alpha, and which one it is follows from the difference that
// the function is about.
enum class TestSides { kTwo, kOne };

// The test that is planned.
struct TestPlan {
  // The probability of finding a difference that is not there, in (0, 0.5).
  double alpha = 0.05;
  // The probability of finding one that is, in (alpha, 1); not used where a power is computed.
  double power = 0.8;
  TestSides sides = TestSides::kTwo;
};

// How documents are drawn.
struct SamplingDesign {
  // The variance's factor for documents that come in clusters, > 0: design_effect() or
  // KishDesignEffect() of clustered.h.
  double design_effect = 1;
  // The number N of documents there are, if the statement is about these alone: what is left to
  // chance by drawing n of them without replacement is 1 - n/N of the variance over documents. The
  // variance of a model's answers to the same document stays. Absent: a population without end.
  std::optional<uint64_t> population;
};

// The variance that one document contributes to an estimate, with variances over a population's
// documents (divided by their number less 1).
struct DocumentVariance {
  // Over documents, of the expected score difference (or score): omega^2, >= 0.
  double question = 0;
  // Of the answers to one document, averaged over its K answers: sigma^2 / K, >= 0.
  double answer = 0;
};

// One model's scores in a comparison.
struct ModelVariance {
  // The mean over documents of the variance of a score between answers to the same document,
  // sigma^2 >= 0; 0 for greedy decoding or scores from log-probabilities.
  double answer = 0;
  // Answers a document, K >= 1.
  uint32_t answers = 1;
};

// Both models answer the same documents: omega^2 = Var(x_A - x_B) of the expected scores x, which
// is Var(x_A) + Var(x_B) - 2 Cov(x_A, x_B).
absl::StatusOr<DocumentVariance> PairedVariance(double question_variance, const ModelVariance& a,
                                                const ModelVariance& b);

// Each model answers n documents of its own: Var(x_A) + Var(x_B), the n of the functions below is
// that of each model.
absl::StatusOr<DocumentVariance> UnpairedVariance(double question_variance_a,
                                                  const ModelVariance& a,
                                                  double question_variance_b,
                                                  const ModelVariance& b);

// The fewest documents for a difference of `delta` (any sign, not 0) to be found at the plan's
// power: the formula above; one-sided with z_alpha. The design effect multiplies the variance, and
// with N documents in all 1/n becomes 1/n - 1/N for the question's part. The chance to find a
// difference in the wrong direction is left out, as in the source, so Power() at this n is never
// below the plan's. FAILED_PRECONDITION where all N documents are not enough: more answers a
// document are needed then. At least 1. One mean against a known value is the case of one model:
// question = Var(x), answer = sigma^2 / K.
absl::StatusOr<uint64_t> RequiredN(const DocumentVariance& variance, double delta,
                                   const TestPlan& plan = {}, const SamplingDesign& design = {});

// The inverse: the smallest delta > 0 that n documents find at the plan's power; 0 if nothing is
// left to chance. 1 <= n <= population.
absl::StatusOr<double> MinimumDetectableEffect(const DocumentVariance& variance, uint64_t n,
                                               const TestPlan& plan = {},
                                               const SamplingDesign& design = {});

// The power, in [0, 1], of n documents for a true difference of `delta`; plan.power is not used.
// Two-sided, both directions count: Phi(d - z) + Phi(-d - z) with d = |delta| / se. One-sided, the
// test asks for a difference above 0, so that a negative delta is found less often than by chance.
// alpha for delta = 0, and 1 or 0 for another one where nothing is left to chance. 1 <= n <=
// population.
absl::StatusOr<double> Power(const DocumentVariance& variance, double delta, uint64_t n,
                             const TestPlan& plan = {}, const SamplingDesign& design = {});

// The fewest independent 0/1 documents to tell a true share from a known one (chance, another
// model's published accuracy without its own error):
//   n = (z_{alpha/2} sqrt(p0 (1 - p0)) + z_beta sqrt(p1 (1 - p1)))^2 / (p1 - p0)^2.
// `known` in (0, 1), `true_share` in [0, 1], different. In a finite set n becomes n / (1 + n/N).
// Source: Fleiss, Levin, Paik, "Statistical methods for rates and proportions" (2003), section 2.3.
absl::StatusOr<uint64_t> RequiredNForProportion(double known, double true_share,
                                                const TestPlan& plan = {},
                                                const SamplingDesign& design = {});

// The power of n documents in the same test, both directions counted if two-sided; one-sided, the
// direction of the test is the true share's.
absl::StatusOr<double> ProportionPower(double known, double true_share, uint64_t n,
                                       const TestPlan& plan = {},
                                       const SamplingDesign& design = {});

// The exact power of McNemar's exact test (binomial on the discordant pairs; two-sided: twice the
// smaller tail) with n documents, each right for A alone with probability `only_a`, for B alone
// with `only_b`; only_a + only_b in (0, 1]. One-sided: the test asks whether A is better. By
// summation over the number of discordant pairs, 1e-14 of the probability left out. n from 1 to
// 100'000. Complexity: O(n), 20 ms for 100'000.
absl::StatusOr<double> McNemarPower(double only_a, double only_b, uint64_t n,
                                    const TestPlan& plan = {});

// The fewest documents at which that power reaches the plan's. Power is a saw-tooth in n, because
// the test is discrete: some larger n may fall below again by a fraction of a per cent (more where
// nearly all pairs are discordant). only_a and only_b must differ; one-sided, only_a is the larger.
// Two-sided at 5 % it is about 2 / |only_a - only_b| above RequiredN with question = only_a +
// only_b - (only_a - only_b)^2 and delta = only_a - only_b: add that where this function gives up,
// with FAILED_PRECONDITION above 100'000 documents. Complexity: O(n sqrt(n)), 0.5 s for 100'000.
absl::StatusOr<uint64_t> RequiredNForMcNemar(double only_a, double only_b,
                                             const TestPlan& plan = {});

// The fewest documents for which Wilson's interval of an expected share (in [0, 1]) is at most
// share +- half_width, half_width in (0, 0.5). From half its width, with n share successes, whole
// or not: the interval is not centred at the share.
absl::StatusOr<uint64_t> RequiredNForWilson(double share, double half_width, double level,
                                            const SamplingDesign& design = {});

// The fewest documents for which mean +- z se is at most mean +- half_width > 0:
// n = z^2 variance / half_width^2, finite sets as in RequiredN. For a 0/1 metric the variance is
// share (1 - share), and Wilson's n is the one to take.
absl::StatusOr<uint64_t> RequiredNForNormal(const DocumentVariance& variance, double half_width,
                                            double level, const SamplingDesign& design = {});

// The fewest documents after which 0 successes exclude a share of `share` in (0, 1), one-sided at
// the level: ZeroOfNUpperBound(n, level) <= share, which is (1 - share)^n <= 1 - level. Exact;
// about 3 / share at 95 %, the rule of three. Independent documents.
absl::StatusOr<uint64_t> RequiredNToExclude(double share, double level);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_POWER_H_
