#include "metrics/kernels/token_log_probs.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
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

using ::testing::HasSubstr;
using ::testing::IsNan;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct TargetCase {
  std::span<const double> log_probs;
  double log_p;
  double expected_accuracy;
  double nll_per_token;
  double min_log_p;
  double min_p;
  double mean_p;
  double token_error_rate;
  double expected_token_errors;
};

#include "metrics/kernels/token_log_probs_vectors.inc"

void ExpectRelative(double actual, double expected, double relative = 1e-14) {
  EXPECT_NEAR(actual, expected, relative * std::abs(expected) + 1e-320);
}

std::string Message(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TokenLogProbScores Score(const std::vector<double>& log_probs) {
  const auto scores = ScoreTokenLogProbs({.log_probs = log_probs});
  EXPECT_TRUE(scores.ok()) << scores.status();
  return *scores;
}

TEST(TokenLogProbsTest, AgreesWithMpmath) {
  for (const TargetCase& c : kTargetCases) {
    SCOPED_TRACE(c.log_p);
    const auto scores = ScoreTokenLogProbs({.log_probs = c.log_probs});
    ASSERT_TRUE(scores.ok()) << scores.status();
    EXPECT_EQ(scores->n_tokens, c.log_probs.size());
    ExpectRelative(scores->log_p_target, c.log_p);
    // The relative error of exp(x) is the absolute one of x.
    ExpectRelative(scores->expected_accuracy, c.expected_accuracy, 1e-13);
    ExpectRelative(scores->nll_per_token, c.nll_per_token);
    EXPECT_EQ(scores->min_log_p, c.min_log_p);
    ExpectRelative(scores->min_p, c.min_p);
    ExpectRelative(scores->mean_p, c.mean_p);
    ExpectRelative(scores->token_error_rate, c.token_error_rate);
    ExpectRelative(scores->expected_token_errors, c.expected_token_errors);
    EXPECT_THAT(scores->greedy_match, IsNan());
    EXPECT_THAT(scores->greedy_token_accuracy, IsNan());
  }
}

TEST(TokenLogProbsTest, AnEmptyTargetIsAbsent) {
  const TokenLogProbScores scores = Score({});
  EXPECT_EQ(scores.n_tokens, 0u);
  for (const double x :
       {scores.log_p_target, scores.expected_accuracy, scores.nll_per_token, scores.min_log_p,
        scores.min_p, scores.mean_p, scores.token_error_rate, scores.expected_token_errors,
        scores.greedy_token_accuracy, scores.greedy_match}) {
    EXPECT_THAT(x, IsNan());
  }
}

TEST(TokenLogProbsTest, ATokenOfProbabilityZero) {
  const TokenLogProbScores scores = Score({-0.5, -kInf, 0});
  EXPECT_EQ(scores.log_p_target, -kInf);
  EXPECT_EQ(scores.expected_accuracy, 0);
  EXPECT_EQ(scores.nll_per_token, kInf);
  EXPECT_EQ(scores.min_log_p, -kInf);
  EXPECT_EQ(scores.min_p, 0);
  EXPECT_DOUBLE_EQ(scores.mean_p, (std::exp(-0.5) + 1) / 3);
  EXPECT_DOUBLE_EQ(scores.expected_token_errors, 2 - std::exp(-0.5));
}

TEST(TokenLogProbsTest, CertainTokensHaveNoSign) {
  const TokenLogProbScores scores = Score({0, -0.0});
  for (const double x : {scores.nll_per_token, scores.token_error_rate, scores.log_p_target}) {
    EXPECT_EQ(std::bit_cast<uint64_t>(x), 0u);
  }
  EXPECT_EQ(scores.expected_accuracy, 1);
}

TEST(TokenLogProbsTest, GreedyHits) {
  const double log_probs[] = {-0.5, -1, -2, -3};
  const uint8_t some[] = {1, 0, 1, 1};
  const uint8_t all[] = {1, 1, 1, 1};
  auto scores = ScoreTokenLogProbs({.log_probs = log_probs, .greedy_hits = some});
  ASSERT_TRUE(scores.ok());
  EXPECT_EQ(scores->greedy_token_accuracy, 0.75);
  EXPECT_EQ(scores->greedy_match, 0);
  scores = ScoreTokenLogProbs({.log_probs = log_probs, .greedy_hits = all});
  EXPECT_EQ(scores->greedy_token_accuracy, 1);
  EXPECT_EQ(scores->greedy_match, 1);
}

TEST(TokenLogProbsTest, BadInputIsNamed) {
  const auto message = [](const std::vector<double>& log_probs,
                          const std::vector<uint8_t>& hits = {}) {
    return Message(ScoreTokenLogProbs({.log_probs = log_probs, .greedy_hits = hits}).status());
  };
  EXPECT_THAT(message({-1, kNan}), HasSubstr("log_probs[1] is nan"));
  EXPECT_THAT(message({-1, -2, 0.2}),
              HasSubstr("log_probs[2] is 0.2: log-probabilities must be <= 0"));
  EXPECT_THAT(message({1e-300}), HasSubstr("log_probs[0] is 1e-300"));
  EXPECT_THAT(message({kInf}), HasSubstr("log_probs[0] is inf"));
  EXPECT_THAT(message({-1, -2}, {1}), HasSubstr("greedy_hits has 1 elements, log_probs 2"));
  EXPECT_THAT(message({}, {1}), HasSubstr("greedy_hits has 1 elements, log_probs 0"));
  EXPECT_THAT(message({-1, -2}, {1, 2}), HasSubstr("greedy_hits[1] is 2: must be 0 or 1"));
  PositionLogProbs positions;
  const double bad[] = {-1, kNan};
  EXPECT_THAT(Message(positions.Add(bad)), HasSubstr("log_probs[1] is nan"));
  EXPECT_EQ(positions.Serialize(), PositionLogProbs().Serialize());
}

// 100 000 tokens, whose sum a running double would miss by some 1e-9: the same bits in any order.
TEST(TokenLogProbsTest, LongTargetsInAnyOrder) {
  CounterRng rng(5, 0);
  std::vector<double> log_probs(100'000);
  for (double& x : log_probs) x = std::log1p(-rng.Uniform()) * std::exp(20 * rng.Uniform());
  const TokenLogProbScores first = Score(log_probs);
  EXPECT_EQ(first.n_tokens, 100'000u);
  for (int trial = 0; trial < 3; ++trial) {
    std::shuffle(log_probs.begin(), log_probs.end(), rng);
    const TokenLogProbScores again = Score(log_probs);
    EXPECT_EQ(again.log_p_target, first.log_p_target);
    EXPECT_EQ(again.mean_p, first.mean_p);
    EXPECT_EQ(again.token_error_rate, first.token_error_rate);
    EXPECT_EQ(again.min_log_p, first.min_log_p);
  }
}

TEST(PositionLogProbsTest, FromBothEnds) {
  PositionLogProbs positions(2);
  const double three[] = {-1, -2, -4};
  const double one[] = {-8};
  ASSERT_TRUE(positions.Add(three).ok());
  ASSERT_TRUE(positions.Add(one).ok());
  ASSERT_TRUE(positions.Add({}).ok());
  EXPECT_EQ(positions.n_targets(), 2u);
  EXPECT_EQ(positions.n_empty(), 1u);
  ASSERT_EQ(positions.from_start().size(), 2u);
  ASSERT_EQ(positions.from_end().size(), 2u);
  EXPECT_EQ(positions.from_start()[0].nll.mean(), 4.5);
  EXPECT_EQ(positions.from_start()[1].nll.mean(), 2);
  EXPECT_EQ(positions.overflow_from_start().nll.mean(), 4);
  EXPECT_EQ(positions.from_end()[0].nll.mean(), 6);
  EXPECT_EQ(positions.from_end()[1].nll.mean(), 2);
  EXPECT_EQ(positions.overflow_from_end().nll.mean(), 1);
  EXPECT_DOUBLE_EQ(*positions.from_start()[0].p.mean(), (std::exp(-1) + std::exp(-8)) / 2);
  EXPECT_DOUBLE_EQ(*positions.overflow_from_end().p.mean(), std::exp(-1));
}

TEST(PositionLogProbsTest, BoundsAndInfinities) {
  EXPECT_EQ(PositionLogProbs().max_positions(), 1024u);
  EXPECT_EQ(PositionLogProbs(0).max_positions(), 1u);
  EXPECT_EQ(PositionLogProbs(1'000'000).max_positions(), PositionLogProbs::kMostPositions);
  PositionLogProbs positions;
  const double target[] = {-kInf, -1};
  ASSERT_TRUE(positions.Add(target).ok());
  EXPECT_EQ(positions.from_start()[0].nll.n_infinite(), 1u);
  EXPECT_EQ(positions.from_start()[0].nll.mean(), kInf);
  EXPECT_EQ(positions.from_start()[0].p.mean(), 0);
  const std::vector<double> longer(100'000, -0.5);
  ASSERT_TRUE(positions.Add(longer).ok());
  EXPECT_EQ(positions.from_start().size(), 1024u);
  EXPECT_EQ(positions.overflow_from_start().nll.count(), 100'000u - 1024);
  EXPECT_EQ(positions.overflow_from_end().nll.mean(), 0.5);
}

TEST(PositionLogProbsTest, EveryOrderAndShardingGivesTheSameBytes) {
  CounterRng rng(13, 0);
  std::vector<std::vector<double>> targets(20);
  for (std::vector<double>& target : targets) {
    target.resize(rng.Below(7));
    for (double& x : target) x = std::log1p(-rng.Uniform()) * std::exp(20 * rng.Uniform());
    if (!target.empty() && rng.Below(8) == 0) target[0] = -kInf;
  }
  const auto add = [&](PositionLogProbs& positions, size_t i) {
    ASSERT_TRUE(positions.Add(targets[i]).ok());
  };
  tests::ExpectAnyShardingGivesTheSameBytes(targets.size(), add, PositionLogProbs(4));
  PositionLogProbs other(5);
  EXPECT_THAT(Message(other.Merge(PositionLogProbs(4))),
              HasSubstr("other.max_positions is 4: must be 5"));
}

TEST(PositionLogProbsTest, DeserializeRefusesOtherBytes) {
  PositionLogProbs positions(2);
  const double three[] = {-1, -2, -4};
  const double one[] = {-8};
  ASSERT_TRUE(positions.Add(three).ok());
  ASSERT_TRUE(positions.Add(one).ok());
  tests::ExpectOnlyWholeBytesAreRead(positions);
  tests::ExpectWhatIsReadIsWrittenAlike(positions);
  const std::string bytes = positions.Serialize();
  std::string other = bytes;
  other[0] = 9;
  EXPECT_THAT(Message(PositionLogProbs::Deserialize(other).status()), HasSubstr("version 9"));
  other = bytes;
  other[9] = 5;  // Targets that no position has.
  EXPECT_THAT(Message(PositionLogProbs::Deserialize(other).status()), HasSubstr("contradict"));
  other = bytes;
  other[33] = 0;  // The first block's size.
  EXPECT_THAT(Message(PositionLogProbs::Deserialize(other).status()),
              HasSubstr("from_start[0].nll"));
}

}  // namespace
}  // namespace mirage::metrics
