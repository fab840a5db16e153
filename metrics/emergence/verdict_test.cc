#include "metrics/emergence/verdict.h"

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();

CurveMetric ExactMatch() {
  CurveMetric metric;
  metric.sharp = true;
  metric.proportion = true;
  return metric;
}

CurveMetric NllPerToken() {
  CurveMetric metric;
  metric.higher_is_better = false;
  metric.upper_bound = kInf;
  metric.continuous = true;
  metric.linear_in_token_error = true;
  return metric;
}

// A family of m models over seven units of ln(scale): ln NLL per token follows `law`, shifted so
// that the largest model has `u` nats on a target of five tokens; exact match is drawn item by
// item.
struct FamilySpec {
  int m = 8;
  double u = 1;
  double tau = 0.03;
  int n = 500;
  double item_cv = 0.5;
};

VerdictSeries MakeFamily(const FamilySpec& spec, const std::function<double(double)>& law,
                         uint64_t seed) {
  CounterRng rng(seed, 0);
  const auto normal = [&rng] { return NormalQuantile(rng.Uniform() * (1 - 1e-12) + 5e-13); };
  constexpr double kLength = 5;
  constexpr double kRange = 7;
  VerdictSeries series;
  series.metric = ExactMatch();
  series.counterpart = NllPerToken();
  series.composition = Composition::kAllTokens;
  series.target_length = kLength;
  const double sigma2 = std::log1p(spec.item_cv * spec.item_cv);
  for (int i = 0; i < spec.m; ++i) {
    const double x = kRange * i / (spec.m - 1);
    const double log_q = std::log(spec.u / kLength) + law(x) - law(kRange) + spec.tau * normal();
    double sum = 0;
    double squares = 0;
    int right = 0;
    for (int item = 0; item < spec.n; ++item) {
      const double nll = std::exp(log_q + std::sqrt(sigma2) * normal() - sigma2 / 2);
      sum += nll;
      squares += nll * nll;
      right += rng.Uniform() < std::exp(-kLength * nll) ? 1 : 0;
    }
    const double n = spec.n;
    VerdictModel model;
    model.scale = 1e7 * std::exp(x);
    model.n = n;
    model.value = right / n;
    model.standard_error = std::sqrt(*model.value * (1 - *model.value) / (n - 1));
    model.counterpart = sum / n;
    model.counterpart_error = std::sqrt((squares / n - sum / n * (sum / n)) / (n - 1));
    series.models.push_back(model);
  }
  return series;
}

double Line(double x) { return -0.45 * x; }
double Hinge(double x) { return -0.1 * x - 0.8 * std::max(0.0, x - 4); }

VerdictResult JudgeOf(const VerdictSeries& series) {
  auto result = Judge(series, {.replicates = 199});
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : VerdictResult{};
}

std::string CodeOf(const VerdictResult& result) {
  return result.reasons.empty() ? "" : std::string(result.reasons[0].code);
}

// Of 25 families each. What is asked is far below what calibration shows, so that luck does not
// fail it; what must not happen does not happen once.
TEST(VerdictTest, ClearFamiliesAreToldApart) {
  constexpr int kFamilies = 25;
  std::map<Verdict, int> smooth;
  std::map<Verdict, int> broken;
  for (uint64_t family = 0; family < kFamilies; ++family) {
    ++smooth[JudgeOf(MakeFamily({}, Line, family)).verdict];
    ++broken[JudgeOf(MakeFamily({.u = 0.6}, Hinge, 1000 + family)).verdict];
  }
  EXPECT_GE(smooth[Verdict::kMirage], 21);
  EXPECT_EQ(smooth[Verdict::kBreakSurvives], 0);
  EXPECT_GE(broken[Verdict::kBreakSurvives], 21);
  EXPECT_EQ(broken[Verdict::kMirage], 0);
  EXPECT_EQ(broken[Verdict::kSmooth], 0);
}

TEST(VerdictTest, AMirageShowsItsEvidence) {
  const VerdictSeries series = MakeFamily({.m = 10, .n = 1000}, Line, 5);
  const VerdictResult result = JudgeOf(series);
  EXPECT_EQ(result.verdict, Verdict::kMirage);
  EXPECT_EQ(result.strength, Strength::kModerate);
  EXPECT_EQ(result.reasons.back().code, "MEANS_ONLY");
  EXPECT_EQ(CodeOf(result), "SMOOTH_LAW_PREDICTS");
  ASSERT_EQ(result.scales.size(), 10);
  EXPECT_TRUE(result.scales.back().held_out);
  EXPECT_FALSE(result.scales.front().held_out);
  for (const VerdictScale& at : result.scales) {
    ASSERT_TRUE(at.predicted && at.composed);
    const double value = *series.models[at.model].value;
    EXPECT_GE(value, at.composed->lower);
    EXPECT_LE(value, at.composed->upper);
  }
  EXPECT_LE(result.law->p_break, 0.1);
  EXPECT_TRUE(result.shape->is_emergent);
}

TEST(VerdictTest, TheSameCurveWithoutItsCounterpartSaysNothing) {
  VerdictSeries series = MakeFamily({}, Line, 2);
  series.counterpart.reset();
  for (VerdictModel& model : series.models) model.counterpart.reset();
  const VerdictResult result = JudgeOf(series);
  EXPECT_EQ(result.verdict, Verdict::kInsufficient);
  EXPECT_EQ(CodeOf(result), "NO_COUNTERPART");
  EXPECT_FALSE(result.strength);
}

TEST(VerdictTest, WithoutALengthNothingComposes) {
  VerdictSeries series = MakeFamily({}, Line, 2);
  series.target_length.reset();
  const VerdictResult result = JudgeOf(series);
  EXPECT_EQ(result.verdict, Verdict::kInsufficient);
  EXPECT_EQ(CodeOf(result), "NO_COMPOSITION");
}

// Twins: the break's own exact match beside a counterpart that follows the line.
TEST(VerdictTest, ACompositionThatDoesNotHoldForbidsMirage) {
  VerdictSeries series = MakeFamily({}, Line, 3);
  const VerdictSeries other = MakeFamily({.u = 0.3}, Hinge, 4);
  for (size_t i = 0; i < series.models.size(); ++i) series.models[i].value = other.models[i].value;
  const VerdictResult result = JudgeOf(series);
  EXPECT_EQ(result.verdict, Verdict::kInsufficient);
  EXPECT_EQ(CodeOf(result), "COMPOSITION_DISAGREES");
}

TEST(VerdictTest, NoChangeIsSmooth) {
  int smooth = 0;
  for (uint64_t family = 0; family < 10; ++family) {
    const VerdictResult result = JudgeOf(MakeFamily(
        {}, [](double) { return 0.0; }, family));
    smooth += result.verdict == Verdict::kSmooth ? 1 : 0;
    EXPECT_NE(result.verdict, Verdict::kMirage);
    EXPECT_NE(result.verdict, Verdict::kBreakSurvives);
  }
  EXPECT_GE(smooth, 9);
}

TEST(VerdictTest, TooFewItemsAreResolutionLimited) {
  const VerdictResult result = JudgeOf(MakeFamily({.u = 7, .n = 100}, Line, 6));
  EXPECT_EQ(result.verdict, Verdict::kResolutionLimited);
  EXPECT_EQ(CodeOf(result), "RESOLUTION");
}

TEST(VerdictTest, AGradualRiseIsSmooth) {
  const VerdictResult result = JudgeOf(MakeFamily(
      {.u = 1}, [](double x) { return -0.1 * x; }, 7));
  EXPECT_EQ(result.verdict, Verdict::kSmooth);
  EXPECT_EQ(CodeOf(result), "GRADUAL");
}

TEST(VerdictTest, ACounterpartThatWorsensIsMixed) {
  VerdictSeries series = MakeFamily({}, Line, 8);
  for (size_t i = 0; i < series.models.size(); ++i) {
    // Turned round: the largest model has the worst NLL.
    series.models[i].counterpart = 0.2 + 0.1 * static_cast<double>(i);
    series.models[i].counterpart_error = 0.002;
  }
  const VerdictResult result = JudgeOf(series);
  EXPECT_EQ(result.verdict, Verdict::kMixed);
  EXPECT_EQ(CodeOf(result), "COUNTERPART_WORSENS");
}

TEST(VerdictTest, FewScalesSayLittle) {
  VerdictSeries series = MakeFamily({.m = 6}, Line, 9);
  const VerdictResult six = JudgeOf(series);
  if (six.strength) {
    EXPECT_EQ(*six.strength, Strength::kWeak);
  }
  series.models.resize(4);
  const VerdictResult four = JudgeOf(series);
  EXPECT_EQ(four.verdict, Verdict::kInsufficient);
  EXPECT_EQ(CodeOf(four), "TOO_FEW_SCALES");
  series.models.clear();
  EXPECT_EQ(CodeOf(JudgeOf(series)), "TOO_FEW_SCALES");
  // The same sizes again are no more scales.
  VerdictSeries repeated = MakeFamily({.m = 4}, Line, 9);
  const std::vector<VerdictModel> once = repeated.models;
  repeated.models.insert(repeated.models.end(), once.begin(), once.end());
  EXPECT_EQ(CodeOf(JudgeOf(repeated)), "TOO_FEW_SCALES");
}

TEST(VerdictTest, WithoutErrorsItIsWeak) {
  VerdictSeries series = MakeFamily({.m = 10, .n = 1000}, Line, 5);
  for (VerdictModel& model : series.models) {
    model.n.reset();
    model.standard_error.reset();
    model.counterpart_error.reset();
  }
  const VerdictResult result = JudgeOf(series);
  if (result.verdict != Verdict::kInsufficient) {
    EXPECT_EQ(result.strength, Strength::kWeak);
  }
}

TEST(VerdictTest, BadInputIsNamed) {
  VerdictSeries series = MakeFamily({}, Line, 1);
  series.models[3].scale = -1;
  absl::Status status = Judge(series, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("models[3].scale is -1"));
  series.models[3].scale = 1;
  series.models[3].counterpart = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(std::string(Judge(series, {}).status().message()),
              HasSubstr("models[3].counterpart is nan"));
  series.models[3].counterpart = 1;
  EXPECT_THAT(std::string(Judge(series, {.hold_out = 3}).status().message()),
              HasSubstr("hold_out is 3"));
}

}  // namespace
}  // namespace mirage::metrics
