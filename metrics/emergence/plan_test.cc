#include "metrics/emergence/plan.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/emergence/verdict.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kLength = 5;

// A family of known truth: ln NLL per token follows `law` of x = ln(scale / 1e7).
struct Truth {
  std::function<double(double)> law;
  double tau = 0.03;
  int n = 500;
  double item_cv = 0.5;
  uint64_t seed = 0;
};

// The model at x; the same for the same x and replicate, whatever else is asked.
VerdictModel ModelAt(const Truth& truth, double x, int n, uint64_t replicate = 0) {
  CounterRng rng(truth.seed, static_cast<uint64_t>(std::llround(x * 1e6)) * 64 + replicate);
  const auto normal = [&rng] { return NormalQuantile(rng.Uniform() * (1 - 1e-12) + 5e-13); };
  const double log_q = truth.law(x) + truth.tau * normal();
  const double sigma2 = std::log1p(truth.item_cv * truth.item_cv);
  double sum = 0;
  double squares = 0;
  int right = 0;
  for (int item = 0; item < n; ++item) {
    const double nll = std::exp(log_q + std::sqrt(sigma2) * normal() - sigma2 / 2);
    sum += nll;
    squares += nll * nll;
    right += rng.Uniform() < std::exp(-kLength * nll) ? 1 : 0;
  }
  const double count = n;
  VerdictModel model;
  model.scale = 1e7 * std::exp(x);
  model.n = count;
  model.value = right / count;
  model.standard_error = std::sqrt(*model.value * (1 - *model.value) / (count - 1));
  model.counterpart = sum / count;
  model.counterpart_error =
      std::sqrt((squares / count - sum / count * (sum / count)) / (count - 1));
  return model;
}

VerdictSeries SeriesOf(const Truth& truth, const std::vector<double>& xs) {
  VerdictSeries series;
  series.metric.sharp = true;
  series.metric.proportion = true;
  series.counterpart.emplace();
  series.counterpart->higher_is_better = false;
  series.counterpart->upper_bound = kInf;
  series.counterpart->continuous = true;
  series.counterpart->linear_in_token_error = true;
  series.composition = Composition::kAllTokens;
  series.target_length = kLength;
  for (const double x : xs) series.models.push_back(ModelAt(truth, x, truth.n));
  return series;
}

std::vector<double> Even(size_t m, double range = 7) {
  std::vector<double> x;
  for (size_t i = 0; i < m; ++i) {
    x.push_back(range * static_cast<double>(i) / static_cast<double>(m - 1));
  }
  return x;
}

// A law with a rise of the exponent by `rise` at `at`, that ends with `u` nats a target at x = 7.
std::function<double(double)> Law(double slope, double rise, double at, double u) {
  const auto raw = [=](double x) { return -slope * x - rise * std::max(0.0, x - at); };
  return [=](double x) { return std::log(u / kLength) + raw(x) - raw(7); };
}

VerdictResult JudgeOf(const VerdictSeries& series) {
  auto result = Judge(series, {.replicates = 99});
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : VerdictResult{};
}

bool IsDecided(Verdict verdict) {
  return verdict != Verdict::kInsufficient && verdict != Verdict::kMixed;
}

SeriesPlan PlanFor(const VerdictSeries& series, const PlanOptions& options = {}) {
  auto plan = PlanOf(series, JudgeOf(series), options);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *std::move(plan) : SeriesPlan{};
}

std::vector<std::string> CodesOf(const SeriesPlan& plan) {
  std::vector<std::string> codes;
  codes.reserve(plan.reasons.size());
  for (const VerdictReason& reason : plan.reasons) codes.emplace_back(reason.code);
  return codes;
}

double ValueOf(const VerdictReason& reason, std::string_view name) {
  for (const auto& [key, value] : reason.values) {
    if (key == name) return value;
  }
  ADD_FAILURE() << name;
  return 0;
}

// Without a counterpart what was measured stands for itself.
VerdictSeries Measured(const std::vector<double>& values, double n) {
  VerdictSeries series;
  series.metric.sharp = true;
  series.metric.proportion = true;
  for (const double value : values) {
    VerdictModel model;
    model.scale = 1e8 * std::pow(3.0, static_cast<double>(series.models.size()));
    model.n = n;
    model.value = value;
    series.models.push_back(model);
  }
  return series;
}

struct ResolveCase {
  double value;
  // 0: none.
  double chance;
  double level;
  double power;
  double n;
};
struct ChangeCase {
  double value;
  double n;
  double level;
  double power;
  double change;
};
#include "metrics/emergence/plan_vectors.inc"

TEST(PlanTest, ItemsThatTellAShareFromItsBounds) {
  for (const ResolveCase& one : kResolveCases) {
    VerdictSeries series = Measured({one.value, one.value, one.value}, 100);
    if (one.chance > 0) series.metric.chance = one.chance;
    const SeriesPlan plan = PlanFor(series, {.power = one.power, .level = one.level});
    ASSERT_EQ(plan.items.size(), 3);
    EXPECT_EQ(plan.items[0].n, one.n) << one.value << " " << one.power;
    EXPECT_EQ(plan.items[0].to_resolve, one.value);
  }
}

TEST(PlanTest, TheChangeThatTodaysItemsShow) {
  for (const ChangeCase& one : kChangeCases) {
    const VerdictSeries series = Measured({0, one.value, one.value}, one.n);
    SeriesPlan plan = PlanFor(series, {.power = one.power, .level = one.level});
    ASSERT_TRUE(plan.detectable.has_value());
    // The reference counts the wrong direction, too.
    EXPECT_NEAR(*plan.detectable, one.change, 1e-4 * one.change) << one.value;
    // The items for that change are today's, and for half of it more.
    plan =
        PlanFor(series, {.delta = one.change * (1 + 1e-4), .power = one.power, .level = one.level});
    EXPECT_THAT(CodesOf(plan), Not(Contains("MORE_ITEMS")));
    plan = PlanFor(series, {.delta = one.change / 2, .power = one.power, .level = one.level});
    EXPECT_THAT(CodesOf(plan), Contains("MORE_ITEMS"));
    EXPECT_EQ(plan.delta, one.change / 2);
  }
}

TEST(PlanTest, ValuesAtABoundNeedNoNumber) {
  const SeriesPlan plan = PlanFor(Measured({0, 0, 0.5, 1}, 100));
  ASSERT_EQ(plan.items.size(), 1);
  EXPECT_EQ(plan.items[0].model, 2);
}

// 60 families with a law of known place and size of its break; those that nothing decides get three
// more models, once drawn from what is known, once from the truth: as many must be decided. With 20
// undecided families and a share near .4 the difference has a standard deviation of 3: 10 is far
// outside for forecasts that are right, and forecasts of none or of all fail. (Of 183 families with
// one more model it was 35 in draws and 33 in truth.)
TEST(PlanTest, ForecastsAreCalibrated) {
  constexpr size_t kSizes = 6;
  const double gap = 7.0 / (kSizes - 1);
  int undecided = 0;
  int by_draws = 0;
  int by_truth = 0;
  for (uint64_t family = 0; family < 60; ++family) {
    CounterRng rng(77, family);
    const double rise = 0.3 + 0.6 * rng.Uniform();
    const double at = 2 + 3 * rng.Uniform();
    const Truth truth{
        Law(0.1 + 0.2 * rng.Uniform(), rng.Uniform() < 0.15 ? 0 : rise, at, 0.4 + rng.Uniform()),
        0.08, 500, 0.5, family + 1};
    VerdictSeries series = SeriesOf(truth, Even(kSizes));
    const VerdictResult judged = JudgeOf(series);
    if (IsDecided(judged.verdict)) continue;
    ++undecided;
    std::vector<double> scales;
    for (const double x : {7 + gap, 1.5 * gap, 3.5 * gap}) {
      scales.push_back(1e7 * std::exp(x));
    }
    const auto drawn = DrawWithScales(series, judged, scales, {}, family);
    ASSERT_TRUE(drawn.ok());
    ASSERT_EQ(drawn->models.size(), kSizes + 3);
    by_draws += IsDecided(JudgeOf(*drawn).verdict) ? 1 : 0;
    for (const double x : {7 + gap, 1.5 * gap, 3.5 * gap}) {
      series.models.push_back(ModelAt(truth, x, truth.n));
    }
    by_truth += IsDecided(JudgeOf(series).verdict) ? 1 : 0;
  }
  EXPECT_GE(undecided, 15);
  EXPECT_GE(by_draws, 3);
  EXPECT_LE(by_draws, undecided - 3);
  EXPECT_NEAR(by_draws, by_truth, 10);
}

// A drawn model follows the law that the others follow, and its metric what composes.
TEST(PlanTest, DrawnModelsLieWhereTheFamilyLeads) {
  const Truth truth{Law(0.45, 0, 0, 1), 0.03, 500, 0.5, 4};
  const VerdictSeries series = SeriesOf(truth, Even(8));
  const VerdictResult judged = JudgeOf(series);
  constexpr int kDraws = 60;
  const double x = 7.7;
  double log_q = 0;
  double value = 0;
  for (uint64_t draw = 0; draw < kDraws; ++draw) {
    const auto drawn = DrawWithScales(series, judged, {1e7 * std::exp(x)}, {.seed = 3}, draw);
    ASSERT_TRUE(drawn.ok());
    const VerdictModel& model = drawn->models.back();
    EXPECT_EQ(model.n, 500);
    log_q += std::log(*model.counterpart) / kDraws;
    value += *model.value / kDraws;
  }
  const VerdictModel expected = ModelAt({truth.law, 0, 0, 0.5, 9}, x, 40'000);
  EXPECT_NEAR(log_q, truth.law(x), 0.1);
  EXPECT_NEAR(value, *expected.value, 0.06);
}

// Per item: of sampled answers with the log-probabilities of all items.
TEST(PlanTest, DrawnItemsComposeAsTheFamilysDo) {
  VerdictSeries series;
  series.metric.sharp = true;
  series.metric.proportion = true;
  series.counterpart.emplace();
  series.counterpart->higher_is_better = false;
  series.counterpart->upper_bound = kInf;
  series.counterpart->linear_in_token_error = true;
  series.composition = Composition::kAllTokens;
  for (int i = 0; i < 7; ++i) {
    CounterRng rng(5, static_cast<uint64_t>(i));
    auto items = std::make_shared<VerdictItems>();
    VerdictModel model;
    model.scale = 1e7 * std::pow(3.0, i);
    double right = 0;
    double nll = 0;
    for (int item = 0; item < 400; ++item) {
      const double u = 8 * std::pow(0.6, i) * (item % 2 == 0 ? 0.5 : 1.5);
      items->log_p.push_back(-u);
      items->scores.push_back(rng.Uniform() < std::exp(-u) ? 1 : 0);
      right += items->scores.back();
      nll += u / kLength;
    }
    model.n = 400;
    model.value = right / 400;
    model.counterpart = nll / 400;
    model.counterpart_error = nll / 400 * 0.5 / 20;
    model.items = std::move(items);
    series.models.push_back(std::move(model));
  }
  const auto drawn = DrawWithScales(series, JudgeOf(series), {1e7 * std::pow(3.0, 5.5)}, {}, 1);
  ASSERT_TRUE(drawn.ok()) << drawn.status();
  const VerdictModel& model = drawn->models.back();
  ASSERT_TRUE(model.items != nullptr);
  ASSERT_EQ(model.items->log_p.size(), 400);
  double expected = 0;
  double mean = 0;
  for (const double log_p : model.items->log_p) {
    expected += std::exp(log_p) / 400;
    mean += -log_p / kLength / 400;
  }
  EXPECT_NEAR(*model.value, expected, 4 * 0.5 / 20);
  EXPECT_NEAR(mean, *model.counterpart, 1e-9);
}

// What the plan asks for resolves what today's items do not, in as many families as it says. With a
// power of .8, fewer than 25 of 40 have a probability of 1 %; asked for far too few items, none
// has.
TEST(PlanTest, PlannedItemsResolve) {
  constexpr int kFamilies = 40;
  int resolved = 0;
  double most = 0;
  for (uint64_t family = 0; family < kFamilies; ++family) {
    Truth truth{Law(0.45, 0, 0, 5), 0.03, 50, 0.5, 900 + family};
    const VerdictSeries series = SeriesOf(truth, Even(7));
    const VerdictResult judged = JudgeOf(series);
    ASSERT_EQ(judged.verdict, Verdict::kResolutionLimited) << judged.reasons[0].code;
    const auto plan = PlanOf(series, judged, {});
    ASSERT_TRUE(plan.ok());
    ASSERT_EQ(plan->reasons[0].code, "MORE_ITEMS");
    EXPECT_TRUE(plan->scales.empty());
    const double n = ValueOf(plan->reasons[0], "n");
    most = std::max(most, n);
    EXPECT_GT(n, 100);
    truth.n = static_cast<int>(n);
    const Verdict after = JudgeOf(SeriesOf(truth, Even(7))).verdict;
    resolved += after != Verdict::kResolutionLimited ? 1 : 0;
  }
  EXPECT_GE(resolved, 25);
  EXPECT_LT(most, 20'000);
}

// Trainings a size, drawn: the difference of two slopes with that many is told from 0 at the power
// asked for, and with half as many it is not. 4000 draws: .02 is more than three standard errors.
TEST(PlanTest, PlannedSeedsTellABreakFromScatter) {
  const Truth truth{Law(0.1, 0.8, 4, 0.6), 0.12, 500, 0.5, 12};
  const std::vector<double> xs = Even(8);
  VerdictSeries series = SeriesOf(truth, xs);
  VerdictResult judged = JudgeOf(series);
  judged.verdict = Verdict::kInsufficient;
  // One that no search is made for.
  judged.reasons = {{"COMPOSITION_DISAGREES", "", {}}};
  ASSERT_TRUE(judged.law.has_value());
  judged.law->tau = 0.25;
  judged.breaks = {{std::nullopt, 1e7 * std::exp(4.4), 0.01, 0.01, 1}};
  const auto plan = PlanOf(series, judged, {});
  ASSERT_TRUE(plan.ok());
  ASSERT_GT(plan->seeds_needed, 1);
  ASSERT_LT(plan->seeds_needed, kPlanMaxSeeds);
  EXPECT_THAT(CodesOf(*plan), Contains("MORE_SEEDS"));
  const auto power = [&](double r) {
    const double sd = judged.law->tau / std::sqrt(r);
    CounterRng rng(8, static_cast<uint64_t>(r * 10));
    const auto slope = [&](size_t from, size_t to, double a) {
      double mean = 0;
      for (size_t i = from; i < to; ++i) mean += xs[i] / static_cast<double>(to - from);
      double xx = 0;
      double xy = 0;
      for (size_t i = from; i < to; ++i) {
        const double noise = NormalQuantile(rng.Uniform() * (1 - 1e-12) + 5e-13);
        const double dx = xs[i] - mean;
        xx += dx * dx;
        xy += dx * (a * xs[i] + sd * noise);
      }
      return std::pair(xy / xx, sd * sd / xx);
    };
    int found = 0;
    for (int draw = 0; draw < 4000; ++draw) {
      // 1e7 exp(4.4) lies between the fifth and the sixth size.
      const auto before = slope(2, 5, 0);
      const auto after = slope(5, 8, 0.3);
      const double z = (after.first - before.first) / std::sqrt(after.second + before.second);
      found += std::abs(z) > 1.959964 ? 1 : 0;
    }
    return found / 4000.0;
  };
  const auto r = static_cast<double>(plan->seeds_needed);
  EXPECT_GE(power(r), 0.78);
  EXPECT_LT(power(r / 2), 0.8);
}

TEST(PlanTest, WhatIsDecidedIsSaid) {
  const VerdictSeries series = SeriesOf({Law(0.45, 0, 0, 1), 0.03, 500, 0.5, 3}, Even(8));
  const VerdictResult judged = JudgeOf(series);
  ASSERT_EQ(judged.verdict, Verdict::kMirage);
  const auto planner = SeriesPlanner::Create(series, judged, {});
  ASSERT_TRUE(planner.ok());
  EXPECT_TRUE((*planner)->is_done()) << "nothing is simulated";
  const SeriesPlan& plan = (*planner)->plan();
  EXPECT_THAT(CodesOf(plan), testing::IsSupersetOf({"NEEDS_TOKEN_LOGPROBS", "MORE_SCALES"}));
  EXPECT_EQ(plan.reasons[0].code, "ALREADY_DECIDED");
  EXPECT_EQ(plan.reasons[0].text, "MIRAGE already, MODERATE; what follows would make it surer");
  // Nine sizes can be STRONG.
  ASSERT_EQ(plan.scales.size(), 1);
  EXPECT_FALSE(plan.scales[0].p_decided.has_value());
  EXPECT_EQ(plan.scales[0].n, 500);
  // The next size at this spacing has a rise of about .15: exp(-1 / e^.45) - exp(-1) and more.
  EXPECT_NEAR(plan.delta, 0.15, 0.03);
  EXPECT_EQ(plan.seeds_needed, 0);
}

TEST(PlanTest, ABreakSeenInOneTrainingASizeNeedsSeeds) {
  const VerdictSeries series = SeriesOf({Law(0.1, 0.8, 4, 0.6), 0.03, 500, 0.5, 3}, Even(8));
  const VerdictResult judged = JudgeOf(series);
  ASSERT_EQ(judged.verdict, Verdict::kBreakSurvives);
  const auto plan = PlanOf(series, judged, {});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->reasons[0].code, "ALREADY_DECIDED");
  EXPECT_EQ(plan->seeds_needed, 2);
  EXPECT_THAT(CodesOf(*plan), Contains("MORE_SEEDS"));
}

// Six sizes with much scatter around a break: undecided. The search adds sizes, whose p_decided are
// counts of draws, and threads change nothing.
TEST(PlanTest, TheSearchIsReproducible) {
  std::optional<VerdictSeries> series;
  for (uint64_t seed = 1; seed < 40 && !series; ++seed) {
    VerdictSeries one = SeriesOf({Law(0.1, 0.5, 4, 0.6), 0.08, 300, 0.5, seed}, Even(6));
    const VerdictResult judged = JudgeOf(one);
    if (judged.reasons[0].code == "UNDECIDED") series = std::move(one);
  }
  ASSERT_TRUE(series.has_value());
  // Any power is reached at once, or no search would be short.
  const PlanOptions options{.power = 0.06, .seed = 5, .draws = 10, .threads = 1};
  const SeriesPlan plan = PlanFor(*series, options);
  ASSERT_GE(plan.scales.size(), 1);
  ASSERT_LE(plan.scales.size(), kPlanMaxScales);
  for (const PlannedModel& one : plan.scales) {
    ASSERT_TRUE(one.p_decided.has_value());
    EXPECT_NEAR(*one.p_decided * 10, std::round(*one.p_decided * 10), 1e-9);
    EXPECT_FALSE(one.reason.empty());
  }
  EXPECT_THAT(plan.reasons[0].code, testing::AnyOf("MORE_SCALES", "NOT_SETTLED"));
  EXPECT_EQ(ValueOf(plan.reasons[0], "p_decided"), plan.scales.back().p_decided);
  PlanOptions threaded = options;
  threaded.threads = 3;
  const SeriesPlan again = PlanFor(*series, threaded);
  ASSERT_EQ(again.scales.size(), plan.scales.size());
  for (size_t i = 0; i < plan.scales.size(); ++i) {
    EXPECT_EQ(again.scales[i].scale, plan.scales[i].scale);
    EXPECT_EQ(again.scales[i].p_decided, plan.scales[i].p_decided);
  }
}

TEST(PlanTest, FewSizesAreFilledUp) {
  const Truth truth{Law(0.45, 0, 0, 1), 0.03, 500, 0.5, 3};
  const SeriesPlan three = PlanFor(SeriesOf(truth, Even(3)), {.power = 0.5, .draws = 8});
  ASSERT_GE(three.scales.size(), 2);
  EXPECT_FALSE(three.scales[0].p_decided.has_value()) << "four sizes decide nothing";
  EXPECT_TRUE(three.scales[1].p_decided.has_value());
  EXPECT_THAT(three.reasons[0].text, HasSubstr("a verdict needs 5 sizes: 2 more"));
  const SeriesPlan one = PlanFor(SeriesOf(truth, {3}));
  EXPECT_EQ(one.scales.size(), 4);
  for (const PlannedModel& model : one.scales) EXPECT_FALSE(model.p_decided.has_value());
  EXPECT_THAT(CodesOf(one), Contains("MORE_SCALES"));
  const SeriesPlan none = PlanFor(SeriesOf(truth, {}));
  EXPECT_THAT(CodesOf(none), testing::ElementsAre("MORE_SCALES"));
  EXPECT_TRUE(none.scales.empty());
}

TEST(PlanTest, WhatNoModelSettles) {
  VerdictSeries series = SeriesOf({Law(0.45, 0, 0, 1), 0.03, 500, 0.5, 3}, Even(8));
  series.counterpart.reset();
  for (VerdictModel& model : series.models) {
    model.counterpart.reset();
    model.counterpart_error.reset();
  }
  SeriesPlan plan = PlanFor(series);
  EXPECT_EQ(plan.reasons[0].code, "NEEDS_COUNTERPART");
  EXPECT_TRUE(plan.scales.empty());

  series = SeriesOf({Law(0.45, 0, 0, 1), 0.03, 500, 0.5, 3}, Even(8));
  series.target_length.reset();
  plan = PlanFor(series);
  EXPECT_EQ(plan.reasons[0].code, "NEEDS_SAMPLES");
  EXPECT_THAT(plan.reasons[0].text, HasSubstr("lengths of the targets"));

  VerdictResult mixed = JudgeOf(series);
  mixed.verdict = Verdict::kMixed;
  mixed.reasons = {{"COUNTERPARTS_DISAGREE", "", {}}};
  const auto contradiction = PlanOf(series, mixed, {});
  ASSERT_TRUE(contradiction.ok());
  EXPECT_EQ(contradiction->reasons[0].code, "CONTRADICTION");
  EXPECT_EQ(contradiction->seeds_needed, 0);
}

TEST(PlanTest, BadOptionsAreNamed) {
  const VerdictSeries series = Measured({0, 0.5, 1}, 100);
  const VerdictResult judged = JudgeOf(series);
  const auto message = [&](const PlanOptions& options) {
    const absl::Status status = PlanOf(series, judged, options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(message({.delta = -1}), HasSubstr("delta is -1"));
  EXPECT_THAT(message({.delta = kInf}), HasSubstr("delta is inf"));
  EXPECT_THAT(message({.power = 1}), HasSubstr("power is 1"));
  EXPECT_THAT(message({.power = 0.04}), HasSubstr("power is 0.04"));
  EXPECT_THAT(message({.level = 0.5}), HasSubstr("level is 0.5"));
  EXPECT_THAT(message({.draws = 0}), HasSubstr("draws is 0"));
  VerdictResult other = judged;
  other.scales[0].model = 9;
  EXPECT_THAT(std::string(PlanOf(series, other, {}).status().message()),
              HasSubstr("another series"));
  EXPECT_EQ(DrawWithScales(series, judged, {1e9}, {}, 0).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace mirage::metrics
