#include "metrics/scaling/fit.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/scaling/laws.h"
#include "metrics/scaling/least_squares.h"
#include "metrics/scaling/scatter.h"
#include "metrics/scaling/series.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct LawFitCase {
  Law law;
  ErrorScale scale;
  // 0 for squared residuals.
  double delta;
  std::vector<double> x;
  std::vector<double> y;
  std::vector<double> parameters;
  // 0 for Huber's loss.
  std::vector<double> standard_errors;
  double objective;
  double aicc;
};

struct BandCase {
  std::vector<double> x;
  std::vector<double> y;
  double at;
  double level;
  double value;
  double lower;
  double upper;
  double law_lower;
  double law_upper;
};

#include "metrics/scaling/fit_vectors.inc"

// A normal number: the quantile of a uniform one.
double Normal(CounterRng& rng) { return NormalQuantile((rng.Uniform() + 0x1p-54)); }

std::vector<double> Geometric(double low, double high, int n) {
  std::vector<double> x(static_cast<size_t>(n));
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = low * std::pow(high / low, static_cast<double>(i) / (n - 1.0));
  }
  return x;
}

std::vector<double> Values(Law law, const std::vector<double>& parameters,
                           const std::vector<double>& x) {
  std::vector<double> y;
  for (size_t i = 0; i < x.size(); i += LawDimension(law)) {
    y.push_back(EvaluateLaw(law, parameters, std::span(x).subspan(i, LawDimension(law))));
  }
  return y;
}

TEST(FitTest, AgreesWithScipy) {
  std::vector<bool> seen(kLaws);
  for (size_t i = 0; i < LawFitCases().size(); ++i) {
    const LawFitCase& c = LawFitCases()[i];
    SCOPED_TRACE(testing::Message() << i << ' ' << LawName(c.law));
    seen[static_cast<size_t>(c.law)] = true;
    const size_t p = c.parameters.size();
    const Curve curve{c.x, c.y, {}, {}, {}, {}};
    const auto fit =
        FitLaw(c.law, curve,
               {.n_breaks = c.law == Law::kBrokenPowerLaw ? static_cast<int>(p / 3) - 1 : 0,
                .error_scale = c.scale,
                .loss = c.delta > 0 ? Loss::kHuber : Loss::kSquared,
                .huber_delta = c.delta > 0 ? c.delta : 1});
    ASSERT_TRUE(fit.ok()) << fit.status();
    EXPECT_TRUE(fit->converged);
    EXPECT_NEAR(fit->objective, c.objective, 1e-9 * c.objective);
    for (size_t j = 0; j < p; ++j) {
      EXPECT_NEAR(fit->parameters[j], c.parameters[j], 1e-6 * std::fabs(c.parameters[j])) << j;
      ASSERT_TRUE(fit->standard_error(j).has_value()) << j;
      if (c.delta == 0) {
        EXPECT_NEAR(*fit->standard_error(j), c.standard_errors[j], 1e-5 * c.standard_errors[j])
            << j;
      }
    }
    if (c.delta == 0) {
      ASSERT_TRUE(fit->aicc.has_value());
      EXPECT_NEAR(*fit->aicc, c.aicc, 1e-8 * std::fabs(c.aicc));
      // The residual standard deviation.
      const double n = static_cast<double>(fit->n_points);
      EXPECT_NEAR(fit->scatter.tau, std::sqrt(2 * c.objective / (n - static_cast<double>(p))),
                  1e-8 * fit->scatter.tau);
    } else {
      EXPECT_FALSE(fit->aicc.has_value());
      EXPECT_FALSE(fit->log_likelihood.has_value());
    }
  }
  for (size_t i = 0; i < kLaws; ++i) EXPECT_TRUE(seen[i]) << i;
}

TEST(FitTest, PredictiveIntervalsAgreeWithStatsmodels) {
  for (const BandCase& c : BandCases()) {
    SCOPED_TRACE(testing::Message() << c.x.size() << " points, at " << c.at << ", " << c.level);
    const auto fit = FitLaw(Law::kPowerLaw, Curve{c.x, c.y, {}, {}, {}, {}}, {});
    ASSERT_TRUE(fit.ok()) << fit.status();
    const std::vector<double> at = {c.at};
    const auto model = Predict(*fit, at, {.level = c.level});
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_NEAR(model->value, c.value, 1e-9 * c.value);
    // In units of half the interval; the mixture over tau has 200 nodes.
    const double half = std::log(c.upper / c.lower) / 2;
    EXPECT_NEAR(std::log(*model->lower / c.lower), 0, 1e-3 * half);
    EXPECT_NEAR(std::log(*model->upper / c.upper), 0, 1e-3 * half);
    const auto law = Predict(*fit, at, {.level = c.level, .scatter = false});
    const double law_half = std::log(c.law_upper / c.law_lower) / 2;
    EXPECT_NEAR(std::log(*law->lower / c.law_lower), 0, 1e-3 * law_half);
    EXPECT_NEAR(std::log(*law->upper / c.law_upper), 0, 1e-3 * law_half);
  }
}

TEST(FitTest, WithoutNoiseParametersAreExact) {
  for (const LawFitCase& c : LawFitCases()) {
    SCOPED_TRACE(LawName(c.law));
    const size_t p = c.parameters.size();
    const Curve curve{c.x, Values(c.law, c.parameters, c.x), {}, {}, {}, {}};
    const auto fit =
        FitLaw(c.law, curve,
               {.n_breaks = c.law == Law::kBrokenPowerLaw ? static_cast<int>(p / 3) - 1 : 0,
                .error_scale = c.scale});
    ASSERT_TRUE(fit.ok()) << fit.status();
    EXPECT_TRUE(fit->converged);
    for (size_t j = 0; j < p; ++j) {
      EXPECT_NEAR(fit->parameters[j], c.parameters[j], 1e-6 * std::fabs(c.parameters[j])) << j;
    }
  }
}

// Known sampling errors that differ, and scatter: weights 1 / (s^2 + tau^2). On the logarithms a
// power law is a line, so that the fit at the REML tau is a generalised least squares in closed
// form.
TEST(FitTest, WeighsBySamplingErrorAndScatter) {
  const std::vector<double> x = Geometric(1e7, 1e10, 10);
  Curve curve{x, {}, {}, {}, {}, {}};
  CounterRng rng(11, 0);
  for (size_t i = 0; i < x.size(); ++i) {
    const double s = i % 2 == 0 ? 0.01 : 0.1;
    const double y = 5 * std::pow(x[i], -0.1) * std::exp(0.05 * Normal(rng) + s * Normal(rng));
    curve.y.push_back(y);
    curve.sampling_variances.push_back(s * s * y * y);
  }
  const auto fit = FitLaw(Law::kPowerLaw, curve, {});
  ASSERT_TRUE(fit.ok()) << fit.status();
  EXPECT_TRUE(fit->converged);
  EXPECT_GT(fit->scatter.tau, 0.01);
  EXPECT_LT(fit->scatter.tau, 0.15);
  EXPECT_EQ(fit->scatter.df, 8u);
  EXPECT_LT(fit->scatter.lower, fit->scatter.tau);
  EXPECT_GT(fit->scatter.upper, fit->scatter.tau);
  double sw = 0;
  double su = 0;
  double sz = 0;
  double suu = 0;
  double suz = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double s = i % 2 == 0 ? 0.01 : 0.1;
    const double w = 1 / (s * s + fit->scatter.tau * fit->scatter.tau);
    const double u = std::log(x[i]);
    const double z = std::log(curve.y[i]);
    sw += w;
    su += w * u;
    sz += w * z;
    suu += w * u * u;
    suz += w * u * z;
  }
  const double determinant = sw * suu - su * su;
  const double slope = (sw * suz - su * sz) / determinant;
  EXPECT_NEAR(fit->parameters[1], -slope, 1e-6 * std::fabs(slope));
  EXPECT_NEAR(fit->parameters[0], std::exp((sz - slope * su) / sw), 1e-5 * fit->parameters[0]);
  EXPECT_NEAR(*fit->standard_error(1), std::sqrt(sw / determinant), 1e-5 * *fit->standard_error(1));
  // Tau is REML's for the residuals of this very fit.
  const auto again = EstimateTau({fit->error_residuals, fit->error_variances, fit->jacobian, {}});
  EXPECT_NEAR(*again, fit->scatter.tau, 1e-6 * fit->scatter.tau);
  EXPECT_TRUE(fit->aicc.has_value());
}

// 8 models, sampling errors that differ, scatter between models of 0, half and twice these; a model
// at 4 times the largest scale lies in the 90 % interval in 90 % of 1000 families: 87 to 93 allowed
// (three binomial standard errors), and above only where scatter is below sampling error, where an
// interval that does not take tau for known is too wide. Predicting with tau = 0 instead covers 68
// % at a scatter of twice the sampling error: the test would see that.
TEST(FitTest, PredictiveIntervalsCover) {
  const std::vector<double> x = Geometric(1e7, 1e10, 8);
  constexpr int kTrials = 1000;
  for (const double tau : {0.0, 0.02, 0.08}) {
    int covered = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
      CounterRng rng(12, static_cast<uint64_t>(trial));
      Curve curve{x, {}, {}, {}, {}, {}};
      const auto draw = [&](double at, double s) {
        return 6 * std::pow(at, -0.08) * std::exp(tau * Normal(rng) + s * Normal(rng));
      };
      for (size_t i = 0; i < x.size(); ++i) {
        const double s = i % 2 == 0 ? 0.03 : 0.05;
        curve.y.push_back(draw(x[i], s));
        curve.sampling_variances.push_back(s * s * curve.y[i] * curve.y[i]);
      }
      const auto fit = FitLaw(Law::kPowerLaw, curve, {});
      ASSERT_TRUE(fit.ok()) << fit.status();
      const double truth = draw(4e10, 0.04);
      const auto found = Predict(*fit, std::vector<double>{4e10},
                                 {.level = 0.9, .sampling_variance = 0.04 * 0.04 * truth * truth});
      ASSERT_TRUE(found.ok() && found->lower.has_value());
      covered += *found->lower <= truth && truth <= *found->upper ? 1 : 0;
    }
    EXPECT_GT(covered, 0.87 * kTrials) << tau;
    EXPECT_LT(covered, tau < 0.05 ? 0.99 * kTrials : 0.93 * kTrials) << tau;
  }
}

// Replicates: the scatter between seeds of one size, whatever the law leaves.
TEST(FitTest, ScatterFromReplicates) {
  std::vector<SeriesPoint> points;
  CounterRng rng(13, 0);
  for (int size = 0; size < 5; ++size) {
    for (int seed = 0; seed < 3; ++seed) {
      const double scale = 1e7 * std::pow(4, size);
      // Bent on the logarithms: a power law does not fit.
      const double bend = 0.3 * (size - 2) * (size - 2);
      points.push_back({.scale = scale,
                        .value = 4 * std::pow(scale, -0.05) * std::exp(bend + 0.02 * Normal(rng)),
                        .seed = std::to_string(seed)});
    }
  }
  const auto series = Series::Create(points, {});
  ASSERT_TRUE(series.ok());
  const auto fit = FitLaw(Law::kPowerLaw, *series, {});
  ASSERT_TRUE(fit.ok()) << fit.status();
  EXPECT_EQ(fit->scatter_source, ScatterSource::kReplicates);
  EXPECT_EQ(fit->scatter.df, 10u);
  // chi(10) / sqrt(10) is within 0.45 to 1.55 in all but 1 of 1000 cases.
  EXPECT_NEAR(fit->scatter.tau, 0.02, 0.011);
  // The residuals say something else.
  const auto alone = FitLaw(Law::kPowerLaw, *series, {.min_replicate_df = 11});
  EXPECT_EQ(alone->scatter_source, ScatterSource::kResiduals);
  EXPECT_GT(alone->scatter.tau, 0.2);
  EXPECT_NEAR(alone->parameters[1], fit->parameters[1], 1e-9);
  EXPECT_LT(*fit->standard_error(1), *alone->standard_error(1));
  // So do predictions: +- 2.2 times 0.02 and more for the law, against what a bend leaves.
  const std::vector<double> at = {1e10};
  const auto narrow = Predict(*fit, at, {});
  const auto wide = Predict(*alone, at, {});
  ASSERT_TRUE(narrow.ok() && narrow->lower.has_value() && wide.ok() && wide->lower.has_value());
  EXPECT_NEAR(std::log(*narrow->upper / *narrow->lower), 0.09, 0.06);
  EXPECT_GT(std::log(*wide->upper / *wide->lower), 0.8);
}

// Counts: at tau = 0 the fit is the maximum of the binomial likelihood, whose score vanishes: sum
// (k - n mu) / (mu (1 - mu)) d mu / d theta = 0. With 0 of n at the small end.
TEST(FitTest, CountsHaveTheBinomialLikelihood) {
  const std::vector<double> x = Geometric(1e6, 1e9, 8);
  Curve curve{x, {}, {}, {0, 0, 1, 1, 6, 21, 44, 66}, std::vector<uint64_t>(8, 100), {}};
  const auto fit = FitLaw(Law::kPassUntil, curve, {.error_scale = ErrorScale::kBinomial});
  ASSERT_TRUE(fit.ok()) << fit.status();
  EXPECT_TRUE(fit->converged);
  EXPECT_EQ(fit->scatter.tau, 0);
  std::vector<double> score(2);
  std::vector<double> size(2);
  double log_likelihood = 0;
  for (size_t i = 0; i < 8; ++i) {
    std::vector<double> g(2);
    const double mu = EvaluateLaw(Law::kPassUntil, fit->parameters, {&x[i], 1}, g);
    EXPECT_NEAR(fit->fitted[i], mu, 1e-9 * mu);
    const double k = static_cast<double>(curve.successes[i]);
    for (size_t j = 0; j < 2; ++j) {
      score[j] += (k - 100 * mu) / (mu * (1 - mu)) * g[j];
      size[j] += std::fabs((k - 100 * mu) / (mu * (1 - mu)) * g[j]);
    }
    log_likelihood += std::log(BinomialPmf(curve.successes[i], 100, mu));
  }
  for (size_t j = 0; j < 2; ++j) EXPECT_LT(std::fabs(score[j]), 1e-6 * size[j]);
  ASSERT_TRUE(fit->log_likelihood.has_value());
  EXPECT_NEAR(*fit->log_likelihood, log_likelihood, 1e-9 * std::fabs(log_likelihood));
  const auto at = Predict(*fit, std::vector<double>{1e6}, {.level = 0.9, .items = 100});
  ASSERT_TRUE(at.ok() && at->lower.has_value());
  EXPECT_EQ(*at->lower, 0);
  EXPECT_EQ(*at->upper, 0);
  const auto middle = Predict(*fit, std::vector<double>{3e8}, {.level = 0.9, .items = 100});
  const auto share = Predict(*fit, std::vector<double>{3e8}, {.level = 0.9});
  EXPECT_EQ(*middle->lower * 100, std::round(*middle->lower * 100));
  EXPECT_LT(*middle->lower, *share->lower);
  EXPECT_GT(*middle->upper, *share->upper);
  // At least the binomial's own width, at most twice that of all three parts at tau's estimate.
  const double binomial = 1.645 * std::sqrt(middle->value * (1 - middle->value) / 100);
  EXPECT_GT(*middle->upper - *middle->lower, 1.5 * binomial);
  EXPECT_LT(*middle->upper - *middle->lower, 4 * binomial);
  // Overdispersed: the same with a scatter of 0.8 on the logit has a tau, no likelihood, and errors
  // that are larger.
  curve.successes = {0, 3, 0, 6, 2, 40, 20, 80};
  const auto wide = FitLaw(Law::kPassUntil, curve, {.error_scale = ErrorScale::kBinomial});
  ASSERT_TRUE(wide.ok()) << wide.status();
  EXPECT_TRUE(wide->converged);
  EXPECT_GT(wide->scatter.tau, 0.2);
  EXPECT_FALSE(wide->log_likelihood.has_value());
  EXPECT_GT(*wide->standard_error(1), 1.5 * *fit->standard_error(1));
}

// A 90 % interval for the share of 200 items at twice the largest scale, with a scatter of 0.3 on
// the logit: 86 % at least of 400 families (2.7 standard errors), as counts are discrete no upper
// limit but 99 %.
TEST(FitTest, PredictiveIntervalsOfCountsCover) {
  const std::vector<double> x = Geometric(1e6, 1e9, 8);
  int covered = 0;
  constexpr int kTrials = 400;
  for (int trial = 0; trial < kTrials; ++trial) {
    CounterRng rng(17, static_cast<uint64_t>(trial));
    const auto draw = [&](double scale) {
      const double share =
          EvaluateLaw(Law::kPassUntil, std::vector<double>{400, 0.35}, {&scale, 1});
      const double odds = share / (1 - share) * std::exp(0.3 * Normal(rng));
      uint64_t k = 0;
      for (int i = 0; i < 200; ++i) k += rng.Uniform() < odds / (1 + odds) ? 1 : 0;
      return k;
    };
    Curve curve{x, {}, {}, {}, std::vector<uint64_t>(8, 200), {}};
    for (const double scale : x) curve.successes.push_back(draw(scale));
    const auto fit = FitLaw(Law::kPassUntil, curve, {.error_scale = ErrorScale::kBinomial});
    ASSERT_TRUE(fit.ok()) << fit.status();
    const double truth = static_cast<double>(draw(2e9)) / 200;
    const auto found = Predict(*fit, std::vector<double>{2e9}, {.level = 0.9, .items = 200});
    ASSERT_TRUE(found.ok() && found->lower.has_value());
    covered += *found->lower <= truth && truth <= *found->upper ? 1 : 0;
  }
  EXPECT_GE(covered, 0.86 * kTrials);
  EXPECT_LE(covered, 0.99 * kTrials);
}

// Counts of 200 items with no scatter: over 400 families the exponent's error has a standard
// deviation of about 1 standard error (3.5 % is that of 400), and a mean within 0.2 of them.
TEST(FitTest, StandardErrorsOfCountsAreRight) {
  const std::vector<double> x = Geometric(1e6, 1e9, 8);
  double sum = 0;
  double squares = 0;
  constexpr int kTrials = 400;
  for (int trial = 0; trial < kTrials; ++trial) {
    CounterRng rng(14, static_cast<uint64_t>(trial));
    Curve curve{x, {}, {}, {}, std::vector<uint64_t>(8, 200), {}};
    for (const double scale : x) {
      const double share =
          EvaluateLaw(Law::kPassUntil, std::vector<double>{400, 0.35}, {&scale, 1});
      uint64_t k = 0;
      for (int i = 0; i < 200; ++i) k += rng.Uniform() < share ? 1 : 0;
      curve.successes.push_back(k);
    }
    const auto fit = FitLaw(Law::kPassUntil, curve, {.error_scale = ErrorScale::kBinomial});
    ASSERT_TRUE(fit.ok()) << fit.status();
    const double z = (fit->parameters[1] - 0.35) / *fit->standard_error(1);
    sum += z;
    squares += z * z;
  }
  EXPECT_LT(std::fabs(sum / kTrials), 0.2);
  // Tau is above 0 in some of the families, which makes errors larger.
  EXPECT_GT(std::sqrt(squares / kTrials), 0.75);
  EXPECT_LT(std::sqrt(squares / kTrials), 1.15);
}

TEST(FitTest, StudentsLossComparesLaws) {
  const std::vector<double> x = Geometric(1e7, 1e11, 12);
  CounterRng rng(15, 0);
  std::vector<double> y = Values(Law::kPowerLawFloor, {1.5, 300, 0.35}, x);
  for (double& v : y) v *= std::exp(0.01 * Normal(rng));
  y[4] *= 1.3;
  const Curve curve{x, y, {}, {}, {}, {}};
  const FitOptions options{.loss = Loss::kStudentT};
  const auto line = FitLaw(Law::kPowerLaw, curve, options);
  const auto floor = FitLaw(Law::kPowerLawFloor, curve, options);
  ASSERT_TRUE(line.ok() && floor.ok()) << line.status() << floor.status();
  EXPECT_LT(*floor->aicc, *line->aicc - 10);
  EXPECT_NEAR(floor->parameters[2], 0.35, 0.05);
  // The residuals of the outlier are in the scatter.
  EXPECT_GT(floor->scatter.tau, 0.05);
}

TEST(FitTest, BoundsHold) {
  const std::vector<double> x = Geometric(1e7, 1e10, 8);
  // Convex the wrong way: no floor.
  std::vector<double> y;
  for (size_t i = 0; i < x.size(); ++i) {
    const double u = std::log(x[i] / 1e8);
    y.push_back(3 * std::exp(-0.1 * u - 0.01 * u * u));
  }
  const auto fit = FitLaw(Law::kPowerLawFloor, Curve{x, y, {}, {}, {}, {}}, {});
  ASSERT_TRUE(fit.ok()) << fit.status();
  EXPECT_EQ(fit->parameters[0], 0);
  EXPECT_EQ(fit->states[0], ParameterState::kOnLowerBound);
  EXPECT_FALSE(fit->standard_error(0).has_value());
  ASSERT_TRUE(fit->standard_error(2).has_value());
  // The rest is the power law.
  const auto line = FitLaw(Law::kPowerLaw, Curve{x, y, {}, {}, {}, {}}, {});
  EXPECT_NEAR(fit->parameters[1], line->parameters[0], 1e-6 * line->parameters[0]);
  EXPECT_NEAR(fit->parameters[2], line->parameters[1], 1e-6 * line->parameters[1]);
  EXPECT_NEAR(*fit->standard_error(2), *line->standard_error(1), 1e-5 * *line->standard_error(1));
  EXPECT_TRUE(Predict(*fit, std::vector<double>{1e11}, {})->lower.has_value());
  // The caller's own.
  const std::vector<ParameterBounds> bounds = {{0.1, 0.2}, {}, {0.5, 1}};
  const auto held = FitLaw(Law::kPowerLawFloor, Curve{x, y, {}, {}, {}, {}}, {.bounds = bounds});
  ASSERT_TRUE(held.ok()) << held.status();
  // With too steep an exponent the floor is wanted.
  EXPECT_EQ(held->parameters[0], 0.2);
  EXPECT_EQ(held->states[0], ParameterState::kOnUpperBound);
  EXPECT_EQ(held->parameters[2], 0.5);
  EXPECT_EQ(held->states[2], ParameterState::kOnLowerBound);
}

TEST(FitTest, ConstantValues) {
  const std::vector<double> x = Geometric(1e7, 1e10, 12);
  const Curve curve{x, std::vector<double>(12, 0.5), {}, {}, {}, {}};
  for (size_t i = 0; i < kLaws; ++i) {
    const Law law = static_cast<Law>(i);
    if (law == Law::kLadder) continue;
    SCOPED_TRACE(LawName(law));
    const auto fit = FitLaw(law, curve, {});
    ASSERT_TRUE(fit.ok()) << fit.status();
    for (const double value : fit->fitted) EXPECT_NEAR(value, 0.5, 1e-6);
    const auto prediction = Predict(*fit, std::vector<double>{1e9}, {});
    ASSERT_TRUE(prediction.ok()) << prediction.status();
    EXPECT_NEAR(prediction->value, 0.5, 1e-6);
  }
  // Power laws know that they are flat; no scatter, and so no interval.
  const auto flat = FitLaw(Law::kPowerLaw, curve, {});
  EXPECT_NEAR(flat->parameters[0], 0.5, 1e-12);
  EXPECT_NEAR(flat->parameters[1], 0, 1e-12);
}

TEST(FitTest, OnePlaceOnly) {
  const Curve curve{std::vector<double>(6, 1e9), {1, 1.1, 0.9, 1, 1.2, 0.8}, {}, {}, {}, {}};
  const auto fit = FitLaw(Law::kPowerLaw, curve, {});
  ASSERT_TRUE(fit.ok()) << fit.status();
  EXPECT_EQ(fit->states[1], ParameterState::kNotIdentified);
  EXPECT_FALSE(fit->standard_error(1).has_value());
  EXPECT_EQ(fit->scatter.df, 5u);
  EXPECT_FALSE(Predict(*fit, std::vector<double>{1e9}, {})->lower.has_value());
}

TEST(FitTest, TooFewPointsAreRefused) {
  const auto refused = [](Law law, int n_breaks, int n) {
    std::vector<double> x = Geometric(1e7, 1e10, n);
    const auto fit = FitLaw(law, Curve{x, Values(Law::kPowerLaw, {5, 0.1}, x), {}, {}, {}, {}},
                            {.n_breaks = n_breaks});
    EXPECT_EQ(fit.status().code(), absl::StatusCode::kFailedPrecondition) << n;
    return std::string(fit.status().message());
  };
  EXPECT_THAT(refused(Law::kPowerLaw, 0, 2),
              HasSubstr("2 points for the 2 parameters of power_law: "
                        "at least 3 are needed"));
  EXPECT_THAT(refused(Law::kPowerLawFloor, 0, 3), HasSubstr("at least 4"));
  EXPECT_THAT(refused(Law::kBrokenPowerLaw, 1, 7), HasSubstr("at least 8"));
  EXPECT_THAT(refused(Law::kBrokenPowerLaw, 2, 10), HasSubstr("at least 11"));
  // Enough for a fit, not for AICc: its third parameter is tau.
  const std::vector<double> x = Geometric(1e7, 1e10, 4);
  Curve curve{x, Values(Law::kPowerLaw, {5, 0.1}, x), {}, {}, {}, {}};
  curve.y[2] *= 1.01;
  EXPECT_FALSE(FitLaw(Law::kPowerLaw, curve, {})->aicc.has_value());
  curve.x.push_back(2e10);
  curve.y.push_back(0.4);
  EXPECT_TRUE(FitLaw(Law::kPowerLaw, curve, {})->aicc.has_value());
}

std::vector<Curve> ManyCurves(size_t count) {
  const std::vector<double> x = Geometric(1e7, 1e10, 8);
  std::vector<Curve> curves(count);
  for (size_t c = 0; c < count; ++c) {
    CounterRng rng(16, c);
    curves[c].x = x;
    curves[c].y =
        Values(Law::kPowerLawFloor, {1 + rng.Uniform(), 300, 0.2 + 0.3 * rng.Uniform()}, x);
    for (double& y : curves[c].y) y *= std::exp(0.02 * Normal(rng));
    if (c % 3 == 0) {
      for (const double y : curves[c].y) {
        curves[c].sampling_variances.push_back(1e-4 * y * y * (1 + rng.Uniform()));
      }
    }
    if (c % 10 == 7) curves[c].y[3] = -1;
  }
  return curves;
}

TEST(FitTest, TheSameBitsOnAnyNumberOfThreads) {
  const std::vector<Curve> curves = ManyCurves(203);
  const auto one = FitMany(Law::kPowerLawFloor, curves, {}, 1);
  ASSERT_EQ(one.size(), curves.size());
  for (const int threads : {2, 8}) {
    const auto many = FitMany(Law::kPowerLawFloor, curves, {}, threads);
    for (size_t i = 0; i < curves.size(); ++i) {
      ASSERT_EQ(many[i].status(), one[i].status()) << i;
      EXPECT_EQ(one[i].ok(), i % 10 != 7) << one[i].status();
      if (!one[i].ok()) continue;
      const auto same = [&](const std::vector<double>& a, const std::vector<double>& b) {
        return a.size() == b.size() && std::memcmp(a.data(), b.data(), 8 * a.size()) == 0;
      };
      EXPECT_TRUE(same(many[i]->parameters, one[i]->parameters)) << i;
      EXPECT_TRUE(same(many[i]->covariance, one[i]->covariance)) << i;
      EXPECT_TRUE(same(many[i]->residuals, one[i]->residuals)) << i;
      EXPECT_EQ(many[i]->scatter.tau, one[i]->scatter.tau) << i;
      EXPECT_EQ(many[i]->aicc, one[i]->aicc) << i;
    }
  }
  EXPECT_TRUE(FitMany(Law::kPowerLaw, {}, {}, 2).empty());
}

TEST(FitTest, CurvesOfSeries) {
  const auto shares = Series::Create({{.scale = 2, .value = 0.5, .n = 10},
                                      {.scale = 1, .value = 0, .standard_error = 0, .n = 10},
                                      {.scale = 3, .value = 0.9, .n = 20}},
                                     {.proportion = true});
  const Curve counted = CurveOf(*shares);
  EXPECT_THAT(counted.x, testing::ElementsAre(1, 2, 3));
  EXPECT_THAT(counted.successes, testing::ElementsAre(0, 5, 18));
  EXPECT_THAT(counted.items, testing::ElementsAre(10, 10, 20));
  EXPECT_EQ(counted.sampling_variances.size(), 3u);
  EXPECT_THAT(counted.groups, testing::ElementsAre(1, 1, 1));
  const auto some = Series::Create(
      {{.scale = 1, .value = 3, .standard_error = 0.1}, {.scale = 2, .value = 2}}, {});
  EXPECT_TRUE(CurveOf(*some).sampling_variances.empty());
  EXPECT_TRUE(CurveOf(*some).items.empty());
}

TEST(FitTest, BadInputIsNamed) {
  const auto message = [](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  };
  const Curve good{{1, 2, 3, 4}, {4, 3, 2.5, 2.2}, {}, {}, {}, {}};
  const auto fit = [&](auto change, const FitOptions& options = {}) {
    Curve curve = good;
    change(curve);
    return message(FitLaw(Law::kPowerLaw, curve, options).status());
  };
  EXPECT_THAT(fit([](Curve& c) { c.x[1] = 0; }), HasSubstr("x[1] is 0"));
  EXPECT_THAT(fit([](Curve& c) { c.x[1] = kNan; }), HasSubstr("x[1] is nan"));
  EXPECT_THAT(fit([](Curve& c) { c.x.clear(); }), HasSubstr("x has 0"));
  EXPECT_THAT(fit([](Curve& c) { c.y.pop_back(); }), HasSubstr("y has 3 elements: must be 4"));
  EXPECT_THAT(fit([](Curve& c) { c.y[2] = kNan; }), HasSubstr("y[2] is nan"));
  EXPECT_THAT(fit([](Curve& c) { c.y[2] = kInf; }), HasSubstr("y[2] is inf"));
  EXPECT_THAT(fit([](Curve& c) { c.y[2] = 0; }), HasSubstr("y[2] is 0: must be > 0"));
  EXPECT_THAT(fit([](Curve& c) {}, {.error_scale = ErrorScale::kLogMinusLog}),
              HasSubstr("y[0] is 4: must be between 0 and 1"));
  EXPECT_THAT(fit([](Curve& c) {
                c.sampling_variances = {1, 2};
              }),
              HasSubstr("sampling_variances has 2"));
  EXPECT_THAT(fit([](Curve& c) {
                c.sampling_variances = {1, 2, 0, 1};
              }),
              HasSubstr("sampling_variances[2] is 0"));
  EXPECT_THAT(fit([](Curve& c) { c.groups = {2, 3}; }), HasSubstr("groups have 5 points"));
  EXPECT_THAT(fit([](Curve& c) { c.groups = {4, 0}; }), HasSubstr("groups"));
  EXPECT_THAT(fit([](Curve& c) {}, {.error_scale = ErrorScale::kBinomial}),
              HasSubstr("successes and items have 0 and 0"));
  EXPECT_THAT(fit(
                  [](Curve& c) {
                    c.successes = {1, 2, 3, 4};
                    c.items = {9, 9, 2, 9};
                  },
                  {.error_scale = ErrorScale::kBinomial}),
              HasSubstr("successes[2] is 3"));
  EXPECT_THAT(fit(
                  [](Curve& c) {
                    c.successes = {0, 2, 3, 4};
                    c.items = {0, 9, 9, 9};
                  },
                  {.error_scale = ErrorScale::kBinomial}),
              HasSubstr("items[0] is 0"));
  EXPECT_THAT(fit(
                  [](Curve& c) {
                    c.successes = {0, 2, 3, 4};
                    c.items = {9, 9, 9, 9};
                  },
                  {.error_scale = ErrorScale::kBinomial, .loss = Loss::kHuber}),
              HasSubstr("loss is not kSquared"));
  EXPECT_THAT(fit([](Curve& c) {}, {.level = 1}), HasSubstr("level is 1"));
  EXPECT_THAT(fit([](Curve& c) {}, {.n_breaks = 1}), HasSubstr("n_breaks is 1"));
  EXPECT_THAT(fit([](Curve& c) {}, {.max_runs = 0}), HasSubstr("max_runs is 0"));
  EXPECT_THAT(fit([](Curve& c) {}, {.loss = Loss::kHuber, .huber_delta = -1}),
              HasSubstr("huber_delta is -1"));
  const std::vector<ParameterBounds> few = {{0, 1}};
  const std::vector<ParameterBounds> amplitude = {{0, 1}, {0, 1}};
  const std::vector<ParameterBounds> reversed = {{}, {1, 0}};
  EXPECT_THAT(fit([](Curve& c) {}, {.bounds = few}), HasSubstr("bounds has 1 elements"));
  EXPECT_THAT(fit([](Curve& c) {}, {.bounds = amplitude}), HasSubstr("an amplitude's"));
  EXPECT_THAT(fit([](Curve& c) {}, {.bounds = reversed}), HasSubstr("bounds[1] is 1 to 0"));

  const auto fitted = FitLaw(Law::kPowerLaw, good, {});
  ASSERT_TRUE(fitted.ok());
  const auto predict = [&](const std::vector<double>& x, const PredictOptions& options) {
    return message(Predict(*fitted, x, options).status());
  };
  EXPECT_THAT(predict({}, {}), HasSubstr("x has 0 numbers: must be 1"));
  EXPECT_THAT(predict({-1}, {}), HasSubstr("x[0] is -1"));
  EXPECT_THAT(predict({kInf}, {}), HasSubstr("x[0] is inf"));
  EXPECT_THAT(predict({1}, {.level = 0}), HasSubstr("level is 0"));
  EXPECT_THAT(predict({1}, {.sampling_variance = -1}), HasSubstr("sampling_variance is -1"));
  EXPECT_THAT(predict({1}, {.items = 5}), HasSubstr("items is 5"));
  EXPECT_THAT(message(Predict(LawFit(), std::vector<double>{1}, {}).status()),
              HasSubstr("fit is empty"));
}

}  // namespace
}  // namespace mirage::metrics
