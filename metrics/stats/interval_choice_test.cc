#include "metrics/stats/interval_choice.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/moments.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Moments Of(const std::vector<double>& xs) {
  Moments moments;
  moments.AddAll(xs);
  return moments;
}

Moments Share(uint64_t successes, uint64_t n) {
  Moments moments;
  moments.AddRepeated(1, successes);
  moments.AddRepeated(0, n - successes);
  return moments;
}

TEST(IntervalChoiceTest, SharesAreTakenByTheirCounts) {
  for (const auto& [k, n] :
       {std::pair{0u, 1u}, {0u, 100u}, {4u, 9u}, {4u, 100u}, {96u, 100u}, {100u, 100u}}) {
    EXPECT_EQ(*ChooseMethod(Share(k, n)), IntervalMethod::kClopperPearson) << k << " of " << n;
    const auto chosen = MeanInterval(Share(k, n), 0.95);
    const auto named = ClopperPearson(k, n, 0.95);
    ASSERT_TRUE(chosen.ok());
    EXPECT_EQ(chosen->lower, named->lower);
    EXPECT_EQ(chosen->upper, named->upper);
    EXPECT_EQ(chosen->method, "clopper_pearson");
  }
  for (const auto& [k, n] : {std::pair{5u, 10u}, {5u, 100u}, {500u, 1000u}, {95u, 100u}}) {
    EXPECT_EQ(*ChooseMethod(Share(k, n)), IntervalMethod::kWilson) << k << " of " << n;
    EXPECT_EQ(MeanInterval(Share(k, n), 0.95)->lower, Wilson(k, n, 0.95)->lower);
  }
}

TEST(IntervalChoiceTest, CountsAloneGiveTheSame) {
  for (const IntervalMethodInfo& info : IntervalMethods()) {
    for (const auto& [k, n] : {std::pair{0u, 3u}, {2u, 10u}, {40u, 100u}}) {
      const auto counts = ShareInterval(k, n, 0.9, info.method);
      const auto values = MeanInterval(Share(k, n), 0.9, info.method);
      ASSERT_EQ(counts.status(), values.status()) << info.name;
      if (!counts.ok()) continue;
      EXPECT_EQ(counts->lower, values->lower);
      EXPECT_EQ(counts->upper, values->upper);
      EXPECT_EQ(counts->method, values->method);
    }
    EXPECT_FALSE(ShareInterval(3, 2, 0.9, info.method).ok());
    EXPECT_FALSE(ShareInterval(0, 0, 0.9, info.method).ok());
  }
}

TEST(IntervalChoiceTest, OtherValuesGetStudents) {
  const Moments values = Of({0.5, 0, 1, 0.25});
  EXPECT_EQ(*ChooseMethod(values), IntervalMethod::kStudentT);
  const auto expected = StudentT(*values.mean(), *values.standard_error(), 4, 0.9);
  EXPECT_EQ(MeanInterval(values, 0.9)->lower, expected->lower);
  EXPECT_EQ(MeanInterval(values, 0.9)->upper, expected->upper);
}

TEST(IntervalChoiceTest, ANamedMethodIsTaken) {
  const Moments share = Share(1, 10);
  EXPECT_EQ(MeanInterval(share, 0.95, IntervalMethod::kWilson)->method, "wilson");
  EXPECT_EQ(MeanInterval(share, 0.95, IntervalMethod::kBetaPosterior)->method, "beta_posterior");
  EXPECT_EQ(MeanInterval(share, 0.95, IntervalMethod::kStudentT)->method, "student_t");
  const auto normal = MeanInterval(share, 0.95, IntervalMethod::kNormal);
  EXPECT_EQ(normal->method, "normal");
  EXPECT_EQ(normal->upper, Normal(0.1, *share.standard_error(), 0.95)->upper);
}

TEST(IntervalChoiceTest, WhereThereIsNoneTheReasonIsGiven) {
  const auto reason = [](const Moments& values, IntervalMethod method) {
    const auto interval = MeanInterval(values, 0.95, method);
    EXPECT_EQ(interval.status().code(), absl::StatusCode::kFailedPrecondition);
    return std::string(interval.status().message());
  };
  constexpr IntervalMethod kAuto = IntervalMethod::kAuto;
  EXPECT_THAT(reason(Of({}), kAuto), HasSubstr("no values"));
  EXPECT_THAT(reason(Of({0.3}), kAuto), HasSubstr("one value"));
  EXPECT_THAT(reason(Of({0.3, 0.3}), kAuto), HasSubstr("all values are equal"));
  EXPECT_THAT(reason(Of({0.3, -kInf, 1}), kAuto), HasSubstr("1 of 3 values are infinite"));
  EXPECT_THAT(reason(Of({0.3, kNan}), kAuto), HasSubstr("1 of 2 values are NaN"));
  EXPECT_THAT(reason(Of({1e308, 1e308, 1e308, 1}), kAuto), HasSubstr("overflows"));
  EXPECT_THAT(reason(Of({0.3, 1}), IntervalMethod::kWilson), HasSubstr("other than 0 and 1"));
  EXPECT_THAT(reason(Share(3, 3), IntervalMethod::kStudentT), HasSubstr("clopper_pearson"));
  EXPECT_EQ(MeanInterval(Share(1, 3), 1.5).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(IntervalChoiceTest, NamesLeadToMethodsAndBack) {
  for (const IntervalMethodInfo& info : IntervalMethods()) {
    EXPECT_EQ(*ParseIntervalMethod(info.name), info.method);
    EXPECT_FALSE(info.definition.empty());
    EXPECT_FALSE(info.valid.empty());
    EXPECT_FALSE(info.source.empty());
  }
  EXPECT_THAT(std::string(ParseIntervalMethod("wald").status().message()),
              HasSubstr("'wald' is no interval method: use one of auto, wilson, clopper_pearson"));
}

TEST(IntervalChoiceTest, TheSignatureSaysWhoChose) {
  const auto interval = MeanInterval(Share(1, 10), 0.95);
  EXPECT_EQ(IntervalSignature(*interval, IntervalMethod::kAuto),
            "interval=clopper_pearson|level=0.95|chosen=auto|v1");
  EXPECT_EQ(IntervalSignature(*interval, IntervalMethod::kClopperPearson),
            "interval=clopper_pearson|level=0.95|chosen=user|v1");
  // Asked for another, which was not for these values.
  EXPECT_EQ(IntervalSignature(*interval, IntervalMethod::kWilson),
            "interval=clopper_pearson|level=0.95|chosen=auto|v1");
}

// The exact coverage of a method: the sum of the probabilities of the counts whose interval holds
// the share.
double Coverage(uint64_t n, double share, IntervalMethod method) {
  double covered = 0;
  for (uint64_t k = 0; k <= n; ++k) {
    const auto interval = MeanInterval(Share(k, n), 0.95, method);
    if (interval->lower <= share && share <= interval->upper) covered += BinomialPmf(k, n, share);
  }
  return covered;
}

// What interval_choice.h says of the choice, and why there is one.
TEST(IntervalChoiceTest, TheChoiceCoversWhereWilsonDoesNot) {
  double least_chosen = 1;
  double least_wilson = 1;
  double least_exact = 1;
  for (const uint64_t n : {5u, 10u, 20u, 30u, 50u, 100u}) {
    for (double share = 0.0005; share <= 0.5; share *= 1.02) {
      least_chosen = std::min(least_chosen, Coverage(n, share, IntervalMethod::kAuto));
      least_wilson = std::min(least_wilson, Coverage(n, share, IntervalMethod::kWilson));
      least_exact = std::min(least_exact, Coverage(n, share, IntervalMethod::kClopperPearson));
    }
  }
  EXPECT_GE(least_chosen, 0.917);
  EXPECT_LT(least_wilson, 0.85);
  EXPECT_GE(least_exact, 0.95);
}

}  // namespace
}  // namespace mirage::metrics
