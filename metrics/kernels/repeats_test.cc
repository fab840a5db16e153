#include "metrics/kernels/repeats.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/random.h"
#include "tests/support/sharding.h"

namespace mirage::metrics {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct PassCase {
  uint64_t n_correct;
  uint64_t n_samples;
  uint64_t k;
  double pass;
  double pass_all;
  double variance;
};

struct MajorityCase {
  uint64_t n_correct;
  uint64_t n_samples;
  uint64_t k;
  double share;
};

struct UntilCase {
  uint64_t wanted;
  uint64_t seen;
  uint64_t n_samples;
  double level;
  double lower;
  double upper;
};

struct PairCount {
  uint64_t n_correct;
  uint64_t n_samples;
  uint64_t n_items;
};

struct FitCase {
  std::span<const PairCount> pairs;
  uint64_t k;
  uint64_t least_n;
  double alpha;
  double beta;
  double between;
  double fitted_pass;
  double fitted_far;
  double mean_pass;
  double mean_pass_error;
  double mean_share;
};

#include "metrics/kernels/repeats_vectors.inc"

void ExpectRelative(double actual, double expected, double relative) {
  EXPECT_NEAR(actual, expected, relative * std::abs(expected) + 1e-300);
}

std::string Message(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

ItemPassDistribution Of(std::span<const PairCount> pairs) {
  ItemPassDistribution distribution;
  for (const PairCount& pair : pairs) {
    EXPECT_TRUE(distribution.Add(pair.n_correct, pair.n_samples, pair.n_items).ok());
  }
  return distribution;
}

TEST(RepeatsTest, PassAgreesWithExactFractionsAndMpmath) {
  for (const PassCase& c : kPassCases) {
    SCOPED_TRACE(std::to_string(c.n_correct) + " of " + std::to_string(c.n_samples) + " at " +
                 std::to_string(c.k));
    const auto pass = PassAtK(c.n_correct, c.n_samples, c.k);
    ASSERT_TRUE(pass.ok()) << pass.status();
    ExpectRelative(*pass, c.pass, 1e-12);
    const auto all = PassAllK(c.n_correct, c.n_samples, c.k);
    ASSERT_TRUE(all.ok()) << all.status();
    ExpectRelative(*all, c.pass_all, 1e-11);
    const auto variance = PassAtKVariance(c.n_correct, c.n_samples, c.k);
    ASSERT_EQ(variance.ok(), c.variance >= 0);
    // A difference of squares: its digits end where those of the squares do.
    if (variance.ok()) {
      const double missed = 1 - c.pass;
      EXPECT_NEAR(*variance, c.variance, 1e-9 * c.variance + 1e-14 * missed * missed);
    }
  }
}

TEST(RepeatsTest, MajorityAgreesWithExactFractions) {
  for (const MajorityCase& c : kMajorityCases) {
    SCOPED_TRACE(std::to_string(c.n_correct) + " of " + std::to_string(c.n_samples) + " at " +
                 std::to_string(c.k));
    const auto share = MajorityOfK(c.n_correct, c.n_samples, c.k);
    ASSERT_TRUE(share.ok()) << share.status();
    ExpectRelative(*share, c.share, 1e-10);
  }
  EXPECT_NEAR(MajorityOfK(500'000'000, 1'000'000'000, 10'000'000).value(), 0.5, 1e-13);
  // Far from the mode terms must end, not stay at the least double: a billion steps otherwise.
  EXPECT_NEAR(MajorityOfK(kMaxRepeats / 2, kMaxRepeats, 1'000'000'000).value(), 0.5, 1e-12);
  EXPECT_EQ(MajorityOfK(0, 1'000'000'000, 1'000'000'000).value(), 0);
}

// All numbers of right draws, weighed by their binomial probability: what "unbiased" says.
TEST(RepeatsTest, PassAndItsVarianceAreUnbiased) {
  constexpr uint64_t kN = 12;
  for (const double p : {0.05, 0.3, 0.8}) {
    for (const uint64_t k : {1u, 3u, 6u}) {
      double mean = 0;
      double mean_square = 0;
      double mean_variance = 0;
      double mean_all = 0;
      for (uint64_t c = 0; c <= kN; ++c) {
        const double n = static_cast<double>(kN);
        const double right = static_cast<double>(c);
        const double weight =
            std::exp(std::lgamma(n + 1) - std::lgamma(right + 1) - std::lgamma(n - right + 1)) *
            std::pow(p, right) * std::pow(1 - p, n - right);
        const double pass = PassAtK(c, kN, k).value();
        mean += weight * pass;
        mean_square += weight * pass * pass;
        mean_variance += weight * PassAtKVariance(c, kN, k).value();
        mean_all += weight * PassAllK(c, kN, k).value();
      }
      EXPECT_NEAR(mean, 1 - std::pow(1 - p, static_cast<double>(k)), 1e-12);
      EXPECT_NEAR(mean_variance, mean_square - mean * mean, 1e-12);
      EXPECT_NEAR(mean_all, std::pow(p, static_cast<double>(k)), 1e-12);
    }
  }
}

TEST(RepeatsTest, BadCountsAreNamed) {
  for (const auto& f : {PassAtK, PassAllK, MajorityOfK}) {
    EXPECT_THAT(Message(f(0, 0, 1).status()), HasSubstr("n_samples is 0"));
    EXPECT_THAT(Message(f(6, 5, 1).status()),
                HasSubstr("n_correct is 6: must be <= n_samples, which is 5"));
    EXPECT_THAT(Message(f(1, 5, 0).status()), HasSubstr("k is 0: must be at least 1"));
    EXPECT_THAT(
        Message(f(1, 5, 6).status()),
        HasSubstr("k is 6: k must be <= n_samples, which is 5; draw more samples or lower"));
    EXPECT_THAT(Message(f(1, kMaxRepeats + 1, 6).status()), HasSubstr("n_samples is 10000000000"));
  }
  EXPECT_THAT(Message(PassAtKVariance(1, 5, 3).status()),
              HasSubstr("k is 3: 2 k must be <= n_samples, which is 5"));
  EXPECT_THAT(Message(MajorityOfK(1, kMaxRepeats, 2'000'000'000).status()),
              HasSubstr("k is 2000000000: must be <= 1000000000"));
}

TEST(RepeatsTest, PassUntilAgreesWithMpmath) {
  for (const UntilCase& c : kUntilCases) {
    SCOPED_TRACE(std::to_string(c.seen) + " in " + std::to_string(c.n_samples) + " at " +
                 std::to_string(c.level));
    const auto until = PassUntil(c.wanted, c.seen, c.n_samples, c.level);
    ASSERT_TRUE(until.ok()) << until.status();
    EXPECT_EQ(until->maximum_likelihood,
              static_cast<double>(c.seen) / static_cast<double>(c.n_samples));
    EXPECT_EQ(until->censored, c.seen < c.wanted);
    if (until->censored) {
      EXPECT_FALSE(until->interval.has_value());
      EXPECT_FALSE(until->unbiased.has_value());
      EXPECT_EQ(until->method, "clopper_pearson_upper");
      ExpectRelative(*until->upper_bound, c.upper, 1e-10);
    } else {
      EXPECT_FALSE(until->upper_bound.has_value());
      EXPECT_EQ(until->method, "negative_binomial");
      ASSERT_TRUE(until->interval.has_value());
      EXPECT_EQ(until->interval->method, "negative_binomial");
      EXPECT_EQ(until->interval->level, c.level);
      ExpectRelative(until->interval->lower, c.lower, 1e-10);
      ExpectRelative(until->interval->upper, c.upper, 1e-10);
      EXPECT_EQ(until->unbiased.has_value(), c.seen > 1);
    }
  }
  EXPECT_EQ(*PassUntil(8, 8, 15).value().unbiased, 0.5);
  ExpectRelative(*PassUntil(3, 0, 100).value().upper_bound, 1 - std::pow(0.05, 0.01), 1e-12);
}

// Over all numbers of draws at which r = 3 successes can be reached, summed without simulation: the
// estimate has no bias, and the interval covers at its level or above.
TEST(RepeatsTest, PassUntilIsUnbiasedAndCovers) {
  constexpr uint64_t kR = 3;
  for (const double p : {0.1, 0.35, 0.7}) {
    double total = 0;
    double mean = 0;
    double covered = 0;
    double mass = std::pow(p, static_cast<double>(kR));
    for (uint64_t n = kR; n < 600; ++n) {
      const PassUntilEstimate until = PassUntil(kR, kR, n, 0.9).value();
      total += mass;
      mean += mass * *until.unbiased;
      if (until.interval->lower <= p && p <= until.interval->upper) covered += mass;
      mass *= (1 - p) * static_cast<double>(n) / static_cast<double>(n + 1 - kR);
    }
    EXPECT_NEAR(total, 1, 1e-10);
    EXPECT_NEAR(mean, p, 1e-10);
    EXPECT_GE(covered, 0.9);
  }
}

TEST(RepeatsTest, PassUntilNamesBadInput) {
  EXPECT_THAT(Message(PassUntil(0, 0, 5).status()), HasSubstr("successes_wanted is 0"));
  EXPECT_THAT(Message(PassUntil(1, 0, 0).status()), HasSubstr("n_samples is 0"));
  EXPECT_THAT(Message(PassUntil(9, 6, 5).status()),
              HasSubstr("successes_seen is 6: must be <= n_samples, which is 5"));
  EXPECT_THAT(Message(PassUntil(2, 3, 5).status()),
              HasSubstr("successes_seen is 3: sampling stops at successes_wanted, which is 2"));
  EXPECT_THAT(Message(PassUntil(2, 2, kMaxRepeats + 1).status()), HasSubstr("n_samples is"));
  for (const double level : {0.0, 1.0, -1.0, 95.0, kNan, kInf}) {
    EXPECT_THAT(Message(PassUntil(2, 2, 5, level).status()), HasSubstr("level is"));
  }
}

TEST(ItemPassDistributionTest, Empty) {
  const ItemPassDistribution empty;
  EXPECT_EQ(empty.n_items(), 0u);
  EXPECT_EQ(empty.min_samples(), 0u);
  EXPECT_FALSE(empty.Shares().mean().has_value());
  EXPECT_FALSE(empty.BetweenItemVariance().has_value());
  EXPECT_EQ(empty.FitBetaBinomial().status, FitStatus::kNoItems);
  EXPECT_THAT(Message(empty.MeanPassAtK(1).status()), HasSubstr("there are no items"));
  const uint64_t ks[] = {1};
  EXPECT_THAT(Message(empty.PassCurve(ks).status()), HasSubstr("there are no items"));
}

TEST(ItemPassDistributionTest, CountsAndHistogram) {
  const PairCount pairs[] = {{0, 4, 2}, {1, 4, 1}, {2, 8, 1}, {4, 4, 3}, {9, 10, 1}};
  const ItemPassDistribution distribution = Of(pairs);
  EXPECT_EQ(distribution.n_items(), 8u);
  EXPECT_EQ(distribution.min_samples(), 4u);
  EXPECT_EQ(distribution.max_samples(), 10u);
  EXPECT_EQ(distribution.n_never(), 2u);
  EXPECT_EQ(distribution.n_always(), 3u);
  EXPECT_THAT(distribution.Histogram(4).value(), ElementsAre(2, 2, 0, 4));
  EXPECT_THAT(distribution.Histogram(1).value(), ElementsAre(8));
  EXPECT_DOUBLE_EQ(*distribution.Shares().mean(), (0.25 + 0.25 + 3 + 0.9) / 8);
  EXPECT_THAT(Message(distribution.Histogram(0).status()), HasSubstr("n_bins is 0"));
  EXPECT_THAT(Message(distribution.Histogram(1'000'001).status()), HasSubstr("n_bins is 1000001"));
  // 7/10 lies on an edge of ten bins, where 0.7 * 10 may be 7 or 6.999...
  EXPECT_EQ(Of(std::vector<PairCount>{{7, 10, 1}}).Histogram(10).value()[7], 1u);
}

TEST(ItemPassDistributionTest, AddNamesBadInput) {
  ItemPassDistribution distribution;
  EXPECT_THAT(Message(distribution.Add(0, 0)), HasSubstr("n_samples is 0"));
  EXPECT_THAT(Message(distribution.Add(3, 2)), HasSubstr("n_correct is 3"));
  EXPECT_THAT(Message(distribution.Add(1, 2, uint64_t{1} << 54)), HasSubstr("n_items is"));
  EXPECT_TRUE(distribution.Add(1, 2, 0).ok());
  EXPECT_EQ(distribution.n_items(), 0u);
  EXPECT_EQ(distribution.Serialize(), ItemPassDistribution().Serialize());
  ASSERT_TRUE(distribution.Add(1, 2, uint64_t{1} << 53).ok());
  EXPECT_THAT(Message(distribution.Merge(distribution)), HasSubstr("more than 2^53"));
  EXPECT_EQ(distribution.n_items(), uint64_t{1} << 53);
}

TEST(ItemPassDistributionTest, AgreesWithScipy) {
  for (const FitCase& c : kFitCases) {
    const ItemPassDistribution distribution = Of(c.pairs);
    SCOPED_TRACE(c.alpha);
    ExpectRelative(*distribution.Shares().mean(), c.mean_share, 1e-12);
    ExpectRelative(*distribution.BetweenItemVariance(), c.between, 1e-10);
    ASSERT_EQ(distribution.min_samples(), c.least_n);
    const auto mean = distribution.MeanPassAtK(c.least_n);
    ASSERT_TRUE(mean.ok()) << mean.status();
    ExpectRelative(mean->mean, c.mean_pass, 1e-11);
    EXPECT_NEAR(*mean->standard_error, c.mean_pass_error, 1e-10 * c.mean_pass_error + 1e-15);
    EXPECT_FALSE(mean->draw_error.has_value());
    const BetaBinomialFit fit = distribution.FitBetaBinomial();
    ASSERT_EQ(fit.status, FitStatus::kOk);
    ExpectRelative(fit.alpha, c.alpha, 1e-8);
    ExpectRelative(fit.beta, c.beta, 1e-8);
    ExpectRelative(FittedPassAtK(fit, c.k), c.fitted_pass, 1e-8);
    ExpectRelative(FittedPassAtK(fit, 100'000'000), c.fitted_far, 1e-8);
    const uint64_t ks[] = {1, c.least_n, c.k};
    const auto curve = distribution.PassCurve(ks);
    ASSERT_TRUE(curve.ok()) << curve.status();
    ASSERT_EQ(curve->size(), 3u);
    ExpectRelative((*curve)[0].pass, c.mean_share, 1e-11);
    EXPECT_FALSE((*curve)[1].extrapolated);
    EXPECT_TRUE((*curve)[1].standard_error.has_value());
    EXPECT_EQ((*curve)[2].k, c.k);
    EXPECT_TRUE((*curve)[2].extrapolated);
    EXPECT_FALSE((*curve)[2].standard_error.has_value());
    EXPECT_EQ((*curve)[2].pass, FittedPassAtK(fit, c.k));
    EXPECT_NEAR((*curve)[2].negative_log, -std::log((*curve)[2].pass), 1e-15);
  }
}

// Draws of items whose p come from Beta(2, 6): the estimates of the variance between items average
// to the truth, 12 / (64 * 9). With 2000 samples of 40 items their mean is known to about 1.1 %, so
// that a bias of 6 % (the draws' share is 45 %) is found with a power above 99 %; a false alarm is
// below 1e-6, and the seed is fixed.
TEST(ItemPassDistributionTest, BetweenItemVarianceIsUnbiased) {
  Moments estimates;
  for (int trial = 0; trial < 2000; ++trial) {
    CounterRng rng(8, trial);
    ItemPassDistribution distribution;
    for (int item = 0; item < 40; ++item) {
      // The 2nd smallest of 7 uniform numbers is Beta(2, 6).
      std::vector<double> uniform(7);
      for (double& u : uniform) u = rng.Uniform();
      std::sort(uniform.begin(), uniform.end());
      const uint64_t n = 4 + rng.Below(12);
      uint64_t c = 0;
      for (uint64_t i = 0; i < n; ++i) c += rng.Uniform() < uniform[1] ? 1 : 0;
      ASSERT_TRUE(distribution.Add(c, n).ok());
    }
    estimates.Add(*distribution.BetweenItemVariance());
  }
  const double truth = 12.0 / (64 * 9);
  EXPECT_NEAR(*estimates.mean() / truth, 1, 0.06);
}

TEST(ItemPassDistributionTest, FitsThatDoNotExistSaySo) {
  const auto status = [](const std::vector<PairCount>& pairs) {
    const BetaBinomialFit fit = Of(pairs).FitBetaBinomial();
    EXPECT_TRUE(std::isnan(fit.alpha) && std::isnan(fit.beta) && std::isnan(fit.log_likelihood));
    EXPECT_TRUE(std::isnan(FittedPassAtK(fit, 3)));
    EXPECT_FALSE(FitStatusText(fit.status).empty());
    return fit.status;
  };
  EXPECT_EQ(status({{0, 5, 9}}), FitStatus::kAllEqual);
  EXPECT_EQ(status({{1, 2, 3}, {5, 10, 2}}), FitStatus::kAllEqual);
  EXPECT_EQ(status({{0, 1, 3}, {1, 1, 2}}), FitStatus::kOneSampleEach);
  EXPECT_EQ(status({{0, 5, 3}, {5, 5, 2}, {1, 1, 1}}), FitStatus::kAllOrNothing);
  EXPECT_EQ(status({{4, 10, 5}, {5, 10, 20}, {6, 10, 5}}), FitStatus::kUnderdispersed);
  EXPECT_EQ(status({{1, kMaxFitSamples + 1, 5}, {5, 10, 20}}), FitStatus::kTooManySamples);
  const ItemPassDistribution equal = Of(std::vector<PairCount>{{1, 2, 3}, {5, 10, 2}});
  const uint64_t ks[] = {2, 3};
  const auto curve = equal.PassCurve(ks);
  EXPECT_EQ(curve.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(curve.status().message()), HasSubstr("ks[1] is 3"));
  EXPECT_THAT(std::string(curve.status().message()), HasSubstr("the same for every item"));
  const uint64_t zero[] = {1, 0};
  EXPECT_THAT(Message(equal.PassCurve(zero).status()), HasSubstr("ks[1] is 0"));
  EXPECT_TRUE(std::isnan(FittedPassAtK({.status = FitStatus::kOk, .alpha = 1, .beta = 1}, 0)));
  // alpha / (alpha + beta) rounds to 1.
  EXPECT_EQ(FittedPassAtK({.status = FitStatus::kOk, .alpha = 1e18, .beta = 0.5}, 3), 1);
}

// Uniform p: E[pass@k] = k / (k + 1), by both ways of summing.
TEST(ItemPassDistributionTest, FittedPassOfUniformP) {
  const BetaBinomialFit uniform{.status = FitStatus::kOk, .alpha = 1, .beta = 1};
  for (const uint64_t k : {1u, 7u, 99'999u, 100'000u, 100'001u, 4'000'000'000u}) {
    const double miss = 1 / (static_cast<double>(k) + 1);
    EXPECT_NEAR(FittedPassAtK(uniform, k), 1 - miss, 1e-14);
  }
  // Here the digits of 1 - pass matter: a tail so heavy that 1e9 draws often fail.
  const BetaBinomialFit heavy{.status = FitStatus::kOk, .alpha = 0.01, .beta = 1};
  // E[(1 - p)^k] = Gamma(1.01) Gamma(k + 1) / Gamma(k + 1.01), here by Stirling.
  const double k = 1e9;
  EXPECT_NEAR(FittedPassAtK(heavy, 1'000'000'000),
              1 - std::tgamma(1.01) * std::pow(k + 0.505, -0.01), 1e-12);
}

TEST(ItemPassDistributionTest, MeanPassNamesShortItems) {
  const ItemPassDistribution distribution = Of(std::vector<PairCount>{{1, 3, 4}, {2, 8, 5}});
  EXPECT_THAT(Message(distribution.MeanPassAtK(5).status()),
              HasSubstr("k is 5: 4 of 9 items have fewer samples, the least n_samples is 3"));
  EXPECT_THAT(Message(distribution.MeanPassAtK(0).status()), HasSubstr("k is 0"));
  const auto one = distribution.MeanPassAtK(1);
  ASSERT_TRUE(one.ok());
  // p (1 - p) / (n - 1) for k = 1.
  const double draws = 4 * (1.0 / 3 * 2 / 3 / 2) + 5 * (0.25 * 0.75 / 7);
  EXPECT_NEAR(*one->draw_error, std::sqrt(draws) / 9, 1e-14);
  EXPECT_EQ(one->n_items, 9u);
  EXPECT_FALSE(Of(std::vector<PairCount>{{1, 3, 1}}).MeanPassAtK(1).value().standard_error);
}

TEST(ItemPassDistributionTest, NothingSolvedIsAnInfiniteLoss) {
  const ItemPassDistribution never = Of(std::vector<PairCount>{{0, 5, 4}});
  const uint64_t ks[] = {3};
  const auto curve = never.PassCurve(ks);
  ASSERT_TRUE(curve.ok());
  EXPECT_EQ((*curve)[0].pass, 0);
  EXPECT_EQ((*curve)[0].negative_log, kInf);
}

TEST(ItemPassDistributionTest, EveryOrderAndShardingGivesTheSameBytes) {
  CounterRng rng(12, 0);
  std::vector<PairCount> items(200);
  for (PairCount& item : items) {
    item.n_samples = 1 + rng.Below(9);
    item.n_correct = rng.Below(item.n_samples + 1);
    item.n_items = 1;
  }
  tests::ExpectAnyShardingGivesTheSameBytes<ItemPassDistribution>(
      items.size(), [&](ItemPassDistribution& distribution, size_t i) {
        ASSERT_TRUE(distribution.Add(items[i].n_correct, items[i].n_samples).ok());
      });
}

TEST(ItemPassDistributionTest, MergesWithItself) {
  ItemPassDistribution distribution = Of(std::vector<PairCount>{{1, 3, 4}, {2, 8, 5}});
  ASSERT_TRUE(distribution.Merge(distribution).ok());
  EXPECT_EQ(distribution.Serialize(),
            Of(std::vector<PairCount>{{1, 3, 8}, {2, 8, 10}}).Serialize());
}

TEST(ItemPassDistributionTest, DeserializeRefusesOtherBytes) {
  const auto distribution = Of(std::vector<PairCount>{{1, 3, 4}, {2, 8, 5}, {8, 8, 1}});
  tests::ExpectOnlyWholeBytesAreRead(distribution);
  tests::ExpectWhatIsReadIsWrittenAlike(distribution);
  const std::string bytes = distribution.Serialize();
  std::string other = bytes;
  other[0] = 9;
  EXPECT_THAT(Message(ItemPassDistribution::Deserialize(other).status()), HasSubstr("version 9"));
  other = bytes;
  other[9] = 9;  // The first n above the second's.
  EXPECT_THAT(Message(ItemPassDistribution::Deserialize(other).status()), HasSubstr("pairs[1]"));
  other = bytes;
  other[17] = 4;  // 4 of 3 right.
  EXPECT_THAT(Message(ItemPassDistribution::Deserialize(other).status()),
              HasSubstr("pairs[0]: n_correct is 4"));
}

}  // namespace
}  // namespace mirage::metrics
