#include "metrics/kernels/vectors.h"

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

namespace mirage::metrics {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct VectorCase {
  std::span<const double> output;
  std::span<const double> target;
  double squared_error;
  double mean_squared_error;
  double mean_absolute_error;
  double max_absolute_error;
};

struct ClassCase {
  std::span<const double> logits;
  size_t gold;
  double cross_entropy;
  double p_gold;
  uint64_t top_class;
};

#include "metrics/kernels/vectors_vectors.inc"

void ExpectRelative(double actual, double expected, double relative) {
  if (std::isinf(expected)) {
    EXPECT_EQ(actual, expected);
  } else {
    EXPECT_NEAR(actual, expected, relative * std::abs(expected));
  }
}

std::string Message(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(VectorsTest, AgreesWithMpmath) {
  for (const VectorCase& c : kVectorCases) {
    SCOPED_TRACE(c.squared_error);
    const auto scores = ScoreVectors(c.output, c.target);
    ASSERT_TRUE(scores.ok()) << scores.status();
    ExpectRelative(scores->squared_error, c.squared_error, 1e-15);
    ExpectRelative(scores->mean_squared_error, c.mean_squared_error, 1e-15);
    ExpectRelative(scores->mean_absolute_error, c.mean_absolute_error, 1e-15);
    ExpectRelative(scores->max_absolute_error, c.max_absolute_error, 1e-15);
    EXPECT_EQ(scores->n_coordinates, c.output.size());
    std::vector<double> errors;
    ASSERT_TRUE(AbsoluteErrors(c.output, c.target, errors).ok());
    ASSERT_EQ(errors.size(), c.output.size());
    for (size_t i = 0; i < errors.size(); ++i) {
      EXPECT_EQ(errors[i], std::abs(c.output[i] - c.target[i]));
    }
  }
}

// Offsets of 2^-10 about 1e9 are exact: the error is that of the offsets, to the last bit. The
// textbook |y|^2 - 2 y t + |t|^2 in doubles would give multiples of 256.
TEST(VectorsTest, NothingCancelsAtABillion) {
  std::vector<double> output(1000);
  const std::vector<double> target(1000, 1e9);
  for (size_t i = 0; i < output.size(); ++i) output[i] = 1e9 + static_cast<double>(i % 3) / 1024;
  const auto scores = ScoreVectors(output, target);
  ASSERT_TRUE(scores.ok());
  EXPECT_EQ(scores->squared_error, (333 * 1 + 333 * 4) / 1024.0 / 1024.0);
  EXPECT_EQ(scores->max_absolute_error, 2 / 1024.0);
}

TEST(VectorsTest, ThresholdIsInclusive) {
  const double output[] = {0.5, 1};
  const double target[] = {0, 1};
  const VectorScores scores = ScoreVectors(output, target).value();
  EXPECT_EQ(Reconstructed(scores, 0.25, ErrorScale::kSum).value(), 1);
  EXPECT_EQ(Reconstructed(scores, std::nextafter(0.25, 0), ErrorScale::kSum).value(), 0);
  EXPECT_EQ(Reconstructed(scores, 0.125, ErrorScale::kMean).value(), 1);
  EXPECT_EQ(Reconstructed(scores, 0.124, ErrorScale::kMean).value(), 0);
  EXPECT_EQ(Reconstructed(ScoreVectors(target, target).value(), 0, ErrorScale::kSum).value(), 1);
  for (const double threshold : {kNan, kInf, -1e-9}) {
    EXPECT_THAT(Message(Reconstructed(scores, threshold, ErrorScale::kSum).status()),
                HasSubstr("threshold is"));
  }
}

TEST(VectorsTest, BadVectorsAreNamed) {
  const std::vector<double> two = {1, 2};
  std::vector<double> errors = {7};
  EXPECT_THAT(Message(ScoreVectors(two, std::vector<double>{1}).status()),
              HasSubstr("output has 2 elements, target 1: lengths must agree"));
  EXPECT_THAT(Message(ScoreVectors({}, {}).status()), HasSubstr("output is empty"));
  EXPECT_THAT(Message(ScoreVectors(std::vector<double>{1, kNan}, two).status()),
              HasSubstr("output[1] is nan: must be finite"));
  EXPECT_THAT(Message(ScoreVectors(two, std::vector<double>{-kInf, 1}).status()),
              HasSubstr("target[0] is -inf"));
  EXPECT_THAT(Message(AbsoluteErrors(two, std::vector<double>{-kInf, 1}, errors)),
              HasSubstr("target[0] is -inf"));
  EXPECT_THAT(errors, ElementsAre(7));
}

TEST(LabelsTest, SubsetAndItems) {
  const int64_t target[] = {3, -1, 7};
  const int64_t one_wrong[] = {3, -1, 8};
  auto scores = ScoreLabels(one_wrong, target);
  ASSERT_TRUE(scores.ok());
  EXPECT_EQ(scores->subset_accuracy, 0);
  EXPECT_DOUBLE_EQ(scores->item_accuracy, 2.0 / 3);
  EXPECT_EQ(scores->n_labels, 3u);
  scores = ScoreLabels(target, target);
  EXPECT_EQ(scores->subset_accuracy, 1);
  EXPECT_EQ(scores->item_accuracy, 1);
  EXPECT_THAT(Message(ScoreLabels({}, {}).status()), HasSubstr("output is empty"));
  EXPECT_THAT(Message(ScoreLabels(target, std::span(target).first(2)).status()),
              HasSubstr("output has 3 elements, target 2"));
}

TEST(ClassesTest, AgreesWithMpmath) {
  for (const ClassCase& c : kClassCases) {
    SCOPED_TRACE(c.cross_entropy);
    const auto scores = ScoreClasses(c.logits, c.gold, ClassScale::kLogits);
    ASSERT_TRUE(scores.ok()) << scores.status();
    ExpectRelative(scores->cross_entropy, c.cross_entropy, 1e-13);
    ExpectRelative(scores->p_gold, c.p_gold, 1e-12);
    EXPECT_EQ(scores->top_class, c.top_class);
    EXPECT_EQ(scores->top1_correct, c.top_class == c.gold ? 1 : 0);
    EXPECT_FALSE(scores->is_tied);
  }
}

TEST(ClassesTest, FirstOfTies) {
  const double scores[] = {-1, 2, 2};
  const auto first = ScoreClasses(scores, 1, ClassScale::kLogits);
  const auto second = ScoreClasses(scores, 2, ClassScale::kLogits);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->top_class, 1u);
  EXPECT_EQ(first->top1_correct, 1);
  EXPECT_EQ(second->top1_correct, 0);
  EXPECT_TRUE(first->is_tied && second->is_tied);
  EXPECT_EQ(first->cross_entropy, second->cross_entropy);
}

TEST(ClassesTest, LogProbsAreTakenAsTheyAre) {
  const double log_probs[] = {std::log(0.5), std::log(0.2), -kInf};
  auto scores = ScoreClasses(log_probs, 1, ClassScale::kLogProbs);
  ASSERT_TRUE(scores.ok()) << scores.status();
  // Not 0.2 / 0.7: classes may have been left out.
  EXPECT_DOUBLE_EQ(scores->p_gold, 0.2);
  EXPECT_EQ(scores->cross_entropy, -std::log(0.2));
  scores = ScoreClasses(log_probs, 2, ClassScale::kLogProbs);
  ASSERT_TRUE(scores.ok());
  EXPECT_EQ(scores->cross_entropy, kInf);
  EXPECT_EQ(scores->p_gold, 0);
  scores = ScoreClasses(log_probs, 2, ClassScale::kLogits);
  ASSERT_TRUE(scores.ok());
  EXPECT_EQ(scores->cross_entropy, kInf);
}

// Adding a constant to dyadic logits changes no bit of the cross-entropy.
TEST(ClassesTest, ShiftOfABillionChangesNothing) {
  CounterRng rng(6, 0);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<double> near(20);
    for (double& x : near) x = static_cast<double>(rng.Below(1024)) / 64;
    std::vector<double> far = near;
    for (double& x : far) x += 1e9;
    const auto a = ScoreClasses(near, trial % 20, ClassScale::kLogits);
    const auto b = ScoreClasses(far, trial % 20, ClassScale::kLogits);
    ASSERT_TRUE(a.ok() && b.ok());
    ASSERT_EQ(a->cross_entropy, b->cross_entropy);
  }
}

TEST(ClassesTest, BadScoresAreNamed) {
  const auto message = [](const std::vector<double>& scores, size_t gold = 0,
                          ClassScale scale = ClassScale::kLogits) {
    return Message(ScoreClasses(scores, gold, scale).status());
  };
  EXPECT_THAT(message({}), HasSubstr("scores is empty"));
  EXPECT_THAT(message({1, 2}, 2), HasSubstr("gold is 2: must be below the number of classes"));
  EXPECT_THAT(message({1, kNan}), HasSubstr("scores[1] is nan"));
  EXPECT_THAT(message({kInf, 1}), HasSubstr("scores[0] is inf"));
  EXPECT_THAT(message({-kInf, -kInf}), HasSubstr("scores are all -inf"));
  EXPECT_THAT(message({-1, 0.5}, 0, ClassScale::kLogProbs),
              HasSubstr("scores[1] is 0.5: log-probabilities must be <= 0"));
  EXPECT_THAT(message({-0.1, -0.1}, 0, ClassScale::kLogProbs), HasSubstr("sum to 1.8"));
}

}  // namespace
}  // namespace mirage::metrics
