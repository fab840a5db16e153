#include "metrics/scaling/least_squares.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>
#include <span>
#include <string>
#include <string_view>
#include <unsupported/Eigen/AutoDiff>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kPi = std::numbers::pi;

struct NistCase {
  std::string name;
  // Lower, Average or Higher: how hard NIST finds it.
  std::string level;
  std::vector<double> first_start;
  std::vector<double> second_start;
  std::vector<double> certified;
  std::vector<double> standard_errors;
  double residual_squares;
  size_t columns;
  // The response, then the predictors, row by row.
  std::vector<double> data;
};

#include "metrics/scaling/nist_vectors.inc"

using Dual = Eigen::AutoDiffScalar<Eigen::Matrix<double, Eigen::Dynamic, 1, 0, 16, 1>>;

double ArcTangent(double x) { return std::atan(x); }
Dual ArcTangent(const Dual& x) {
  return Dual(std::atan(x.value()), x.derivatives() / (1 + x.value() * x.value()));
}

template <typename T>
T NistModel(std::string_view name, const T* b, std::span<const double> predictors) {
  using std::cos, std::exp, std::log, std::sin, std::sqrt;
  const double x = predictors[0];
  if (name == "Bennett5") return b[0] * exp(log(b[1] + x) * (-1.0 / b[2]));
  if (name == "BoxBOD" || name == "Misra1a") return b[0] * (1.0 - exp(-b[1] * x));
  if (name.starts_with("Chwirut")) return exp(-b[0] * x) / (b[1] + b[2] * x);
  if (name == "DanWood") return b[0] * exp(b[1] * std::log(x));
  if (name == "ENSO") {
    const double w = 2 * kPi * x;
    const T u = w / b[3];
    const T v = w / b[6];
    return b[0] + b[1] * std::cos(w / 12) + b[2] * std::sin(w / 12) + b[4] * cos(u) +
           b[5] * sin(u) + b[7] * cos(v) + b[8] * sin(v);
  }
  if (name == "Eckerle4") {
    const T z = (x - b[2]) / b[1];
    return b[0] / b[1] * exp(-0.5 * z * z);
  }
  if (name.starts_with("Gauss")) {
    const T u = (x - b[3]) / b[4];
    const T v = (x - b[6]) / b[7];
    return b[0] * exp(-b[1] * x) + b[2] * exp(-u * u) + b[5] * exp(-v * v);
  }
  if (name == "Hahn1" || name == "Thurber") {
    return (b[0] + x * (b[1] + x * (b[2] + x * b[3]))) / (1.0 + x * (b[4] + x * (b[5] + x * b[6])));
  }
  if (name == "Kirby2") return (b[0] + x * (b[1] + x * b[2])) / (1.0 + x * (b[3] + x * b[4]));
  if (name.starts_with("Lanczos")) {
    return b[0] * exp(-b[1] * x) + b[2] * exp(-b[3] * x) + b[4] * exp(-b[5] * x);
  }
  if (name == "MGH09") return b[0] * (x * x + x * b[1]) / (x * x + x * b[2] + b[3]);
  if (name == "MGH10") return b[0] * exp(b[1] / (x + b[2]));
  if (name == "MGH17") return b[0] + b[1] * exp(-x * b[3]) + b[2] * exp(-x * b[4]);
  if (name == "Misra1b") {
    const T u = 1.0 + b[1] * (x / 2);
    return b[0] * (1.0 - 1.0 / (u * u));
  }
  if (name == "Misra1c") return b[0] * (1.0 - 1.0 / sqrt(1.0 + b[1] * (2 * x)));
  if (name == "Misra1d") return b[0] * b[1] * x / (1.0 + b[1] * x);
  if (name == "Nelson") return b[0] - b[1] * x * exp(-b[2] * predictors[1]);
  if (name == "Rat42") return b[0] / (1.0 + exp(b[1] - b[2] * x));
  if (name == "Rat43") return b[0] * exp(-log(1.0 + exp(b[1] - b[2] * x)) / b[3]);
  const T z = b[2] / (x - b[3]);
  return b[0] - b[1] * x - ArcTangent(z) / kPi;  // Roszman1
}

// Calls model(parameters, i) for doubles or dual numbers, and takes the derivatives from these.
template <typename Model>
void Fill(const Model& model, std::span<const double> parameters, std::span<double> residuals,
          std::span<double> jacobian) {
  const size_t n = residuals.size();
  const size_t p = parameters.size();
  if (jacobian.empty()) {
    for (size_t i = 0; i < n; ++i) residuals[i] = model(parameters.data(), i);
    return;
  }
  std::vector<Dual> duals;
  for (size_t j = 0; j < p; ++j) {
    duals.emplace_back(parameters[j], static_cast<int>(p), static_cast<int>(j));
  }
  for (size_t i = 0; i < n; ++i) {
    const Dual value = model(duals.data(), i);
    residuals[i] = value.value();
    for (size_t j = 0; j < p; ++j) {
      jacobian[j * n + i] = value.derivatives()[static_cast<Eigen::Index>(j)];
    }
  }
}

class NistTest : public testing::TestWithParam<size_t> {};

// All 27 problems, from both of NIST's starts, to 6 digits at least: the number of digits is
// -log10 of the relative error. The certified values have 11.
TEST_P(NistTest, CertifiedValuesFromBothStarts) {
  const NistCase& c = NistCases()[GetParam()];
  const size_t n = c.data.size() / c.columns;
  for (const std::vector<double>& start : {c.first_start, c.second_start}) {
    const auto model = [&]<typename T>(const T* b, size_t i) -> T {
      const double* row = c.data.data() + i * c.columns;
      const double y = c.name == "Nelson" ? std::log(row[0]) : row[0];
      return NistModel<T>(c.name, b, std::span(row + 1, c.columns - 1)) - y;
    };
    const auto fit = FitLeastSquares(n,
                                     [&](std::span<const double> b, std::span<double> r,
                                         std::span<double> j) { Fill(model, b, r, j); },
                                     std::vector<std::vector<double>>{start}, {}, {});
    ASSERT_TRUE(fit.ok()) << fit.status();
    EXPECT_TRUE(fit->converged);
    for (size_t j = 0; j < c.certified.size(); ++j) {
      EXPECT_NEAR(fit->parameters[j], c.certified[j], 1e-6 * std::fabs(c.certified[j])) << j;
      // Lanczos1 is computed without errors: what is certified is the rounding of its data.
      if (c.name == "Lanczos1") continue;
      ASSERT_TRUE(fit->standard_error(j).has_value()) << j;
      EXPECT_NEAR(*fit->standard_error(j), c.standard_errors[j], 1e-6 * c.standard_errors[j]) << j;
    }
    if (c.name != "Lanczos1") {
      EXPECT_NEAR(2 * fit->objective, c.residual_squares, 1e-8 * c.residual_squares);
    } else {
      EXPECT_LT(2 * fit->objective, 1e-20);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, NistTest, testing::Range(size_t{0}, size_t{27}),
                         [](const testing::TestParamInfo<size_t>& test) {
                           return NistCases()[test.param].name;
                         });

enum class Model { kLine, kPowerFloor, kLogistic };
constexpr Model kLine = Model::kLine;
constexpr Model kPowerFloor = Model::kPowerFloor;
constexpr Model kLogistic = Model::kLogistic;

template <typename T>
T Evaluate(Model model, const T* t, double x) {
  using std::exp;
  switch (model) {
    case Model::kLine:
      return t[0] + t[1] * x;
    case Model::kPowerFloor:
      return t[0] + t[1] * exp(-t[2] * x);
    case Model::kLogistic:
      break;
  }
  return t[0] + t[1] / (1.0 + exp(-t[2] * (x - t[3])));
}

struct FitCase {
  Model model;
  Loss loss;
  double delta;
  double df;
  std::vector<double> x;
  std::vector<double> y;
  std::vector<double> start;
  std::vector<double> lower;
  std::vector<double> upper;
  std::vector<double> parameters;
  // 0 where the parameter is on a bound.
  std::vector<double> standard_errors;
  // Of the first and the last parameter; 0 where one of them is on a bound.
  double covariance;
  double objective;
  double log_likelihood;
  double scale;
};

#include "metrics/scaling/least_squares_vectors.inc"

std::vector<ParameterBounds> BoundsOf(const FitCase& c) {
  std::vector<ParameterBounds> bounds;
  for (size_t j = 0; j < c.lower.size(); ++j) bounds.push_back({c.lower[j], c.upper[j]});
  return bounds;
}

absl::StatusOr<LeastSquaresFit> FitCurve(Model kind, std::span<const double> x,
                                         std::span<const double> y,
                                         const std::vector<std::vector<double>>& starts,
                                         std::span<const ParameterBounds> bounds,
                                         const LeastSquaresOptions& options) {
  const auto model = [&]<typename T>(const T* t, size_t i) -> T {
    return Evaluate<T>(kind, t, x[i]) - y[i];
  };
  return FitLeastSquares(
      x.size(),
      [&](std::span<const double> t, std::span<double> r, std::span<double> j) {
        Fill(model, t, r, j);
      },
      starts, bounds, options);
}

TEST(LeastSquaresTest, AgreesWithScipy) {
  for (size_t i = 0; i < FitCases().size(); ++i) {
    SCOPED_TRACE(i);
    const FitCase& c = FitCases()[i];
    const auto fit = FitCurve(c.model, c.x, c.y, {c.start}, BoundsOf(c),
                              {.loss = c.loss, .huber_delta = c.delta, .student_df = c.df});
    ASSERT_TRUE(fit.ok()) << fit.status();
    EXPECT_TRUE(fit->converged);
    EXPECT_NEAR(fit->objective, c.objective, 1e-9 * std::fabs(c.objective));
    const size_t p = c.parameters.size();
    bool on_bound = false;
    for (size_t j = 0; j < p; ++j) {
      EXPECT_NEAR(fit->parameters[j], c.parameters[j], 1e-8 * std::fabs(c.parameters[j])) << j;
      if (c.standard_errors[j] == 0) {
        EXPECT_FALSE(fit->standard_error(j).has_value()) << j;
        EXPECT_NE(fit->states[j], ParameterState::kFree) << j;
        EXPECT_EQ(fit->parameters[j], c.parameters[j]) << j;
        on_bound = true;
        continue;
      }
      EXPECT_EQ(fit->states[j], ParameterState::kFree) << j;
      ASSERT_TRUE(fit->standard_error(j).has_value()) << j;
      EXPECT_NEAR(*fit->standard_error(j), c.standard_errors[j], 1e-6 * c.standard_errors[j]) << j;
    }
    if (c.covariance != 0) {
      EXPECT_NEAR(fit->covariance[p - 1], c.covariance, 1e-6 * std::fabs(c.covariance));
    }
    if (c.loss == Loss::kHuber) {
      EXPECT_FALSE(fit->log_likelihood.has_value());
    } else {
      EXPECT_NEAR(*fit->log_likelihood, c.log_likelihood, 1e-9 * std::fabs(c.log_likelihood));
      EXPECT_EQ(fit->n_likelihood_parameters, p + 1);
    }
    if (c.loss == Loss::kStudentT) {
      EXPECT_NEAR(fit->scale, c.scale, 1e-7 * c.scale);
    }
    // Which of the cases hold a parameter.
    EXPECT_EQ(on_bound, i % 13 == 9 || i % 13 >= 11);
  }
}

const std::vector<double> kX = {-3, -2, -1, 0, 1, 2, 3, 4};

std::vector<double> Curve(Model model, const std::vector<double>& t, std::span<const double> x) {
  std::vector<double> y;
  for (const double a : x) y.push_back(Evaluate<double>(model, t.data(), a));
  return y;
}

TEST(LeastSquaresTest, FindsExactParametersWithoutNoise) {
  const std::vector<double> truth = {0.3, 1.2, 0.45};
  const std::vector<double> y = Curve(Model::kPowerFloor, truth, kX);
  for (const Loss loss : {Loss::kSquared, Loss::kHuber}) {
    const auto fit =
        FitCurve(Model::kPowerFloor, kX, y, {{0, 1, 1}}, {}, {.loss = loss, .huber_delta = 1e-3});
    ASSERT_TRUE(fit.ok()) << fit.status();
    EXPECT_TRUE(fit->converged);
    for (size_t j = 0; j < 3; ++j) EXPECT_NEAR(fit->parameters[j], truth[j], 1e-12);
  }
}

// Noise of 0.02: over 400 data sets the mean of (estimate - truth) / standard error is 0 within 4
// standard errors (0.2), and their share beyond Student's 5 % point with 5 degrees of freedom is
// 5 % (at most 9 %: four binomial standard errors).
TEST(LeastSquaresTest, StandardErrorsAreRight) {
  const std::vector<double> truth = {0.3, 1.2, 0.45};
  const std::vector<double> clean = Curve(Model::kPowerFloor, truth, kX);
  double sum = 0;
  int beyond = 0;
  constexpr int kTrials = 400;
  for (int trial = 0; trial < kTrials; ++trial) {
    CounterRng rng(3, static_cast<uint64_t>(trial));
    std::vector<double> y = clean;
    for (double& v : y) {
      // Irwin and Hall's sum of 12: close enough to normal.
      double z = -6;
      for (int k = 0; k < 12; ++k) z += rng.Uniform();
      v += 0.02 * z;
    }
    const auto fit = FitCurve(Model::kPowerFloor, kX, y, {{0, 1, 1}}, {}, {});
    ASSERT_TRUE(fit.ok()) << fit.status();
    const double t = (fit->parameters[2] - truth[2]) / *fit->standard_error(2);
    sum += t;
    beyond += std::fabs(t) > 2.5706 ? 1 : 0;
  }
  EXPECT_LT(std::fabs(sum / kTrials), 0.3);
  EXPECT_GT(beyond, 0.01 * kTrials);
  EXPECT_LT(beyond, 0.094 * kTrials);
}

// One wild point moves the least squares by far more than its standard error, the robust fits not.
TEST(LeastSquaresTest, RobustLossesIgnoreAnOutlier) {
  std::vector<double> y = Curve(Model::kLine, {1, 2}, kX);
  CounterRng rng(4, 0);
  for (double& v : y) v += 0.01 * (rng.Uniform() - 0.5);
  y[6] += 50;
  const auto slope = [&](Loss loss) {
    const auto fit = FitCurve(Model::kLine, kX, y, {{0, 0}}, {},
                              {.loss = loss, .huber_delta = 0.01, .student_df = 3});
    EXPECT_TRUE(fit.ok()) << fit.status();
    return fit->parameters[1];
  };
  EXPECT_GT(std::fabs(slope(Loss::kSquared) - 2), 1);
  EXPECT_LT(std::fabs(slope(Loss::kHuber) - 2), 0.01);
  EXPECT_LT(std::fabs(slope(Loss::kStudentT) - 2), 0.01);
}

TEST(LeastSquaresTest, ReleasesAParameterFromABound) {
  const std::vector<double> truth = {0.3, 1.2, 0.45};
  const std::vector<double> y = Curve(Model::kPowerFloor, truth, kX);
  const std::vector<ParameterBounds> bounds = {{0, kInf}, {0, kInf}, {0.01, 5}};
  // Starts on the bounds and beyond them.
  for (const std::vector<double>& start :
       {std::vector<double>{0, 1, 0.01}, {-5, 3, 0.3}, {0, 1, 7}}) {
    const auto fit = FitCurve(Model::kPowerFloor, kX, y, {start}, bounds, {});
    ASSERT_TRUE(fit.ok()) << fit.status();
    EXPECT_TRUE(fit->converged);
    for (size_t j = 0; j < 3; ++j) {
      EXPECT_NEAR(fit->parameters[j], truth[j], 1e-8);
      EXPECT_EQ(fit->states[j], ParameterState::kFree);
    }
  }
}

// Bounds that bind, for a quadratic whose constrained minimum is known: r = A (x - c), with all
// signs of a correlation, checked against the best of a fine grid's edge.
TEST(LeastSquaresTest, BoundedMinimumOfAQuadratic) {
  for (const double correlation : {-0.9, 0.0, 0.9}) {
    const auto residuals = [&](std::span<const double> t, std::span<double> r,
                               std::span<double> j) {
      const double a = t[0] - 2;
      const double b = t[1] + 1;
      r[0] = a + correlation * b;
      r[1] = std::sqrt(1 - correlation * correlation) * b;
      r[2] = 0.1;
      if (j.empty()) return;
      std::fill(j.begin(), j.end(), 0);
      j[0] = 1;
      j[3] = correlation;
      j[4] = std::sqrt(1 - correlation * correlation);
    };
    const std::vector<ParameterBounds> bounds = {{0, 1}, {0, 3}};
    const auto fit =
        FitLeastSquares(3, residuals, std::vector<std::vector<double>>{{0.5, 1.5}}, bounds, {});
    ASSERT_TRUE(fit.ok()) << fit.status();
    double best = kInf;
    std::vector<double> at(2);
    for (int u = 0; u <= 1000; ++u) {
      for (int v = 0; v <= 3000; ++v) {
        const std::vector<double> t = {u / 1000.0, v / 1000.0};
        std::vector<double> r(3);
        residuals(t, r, {});
        const double value = (r[0] * r[0] + r[1] * r[1] + r[2] * r[2]) / 2;
        if (value < best) {
          best = value;
          at = t;
        }
      }
    }
    EXPECT_LE(fit->objective, best + 1e-12) << correlation;
    EXPECT_NEAR(fit->parameters[0], at[0], 1e-3) << correlation;
    EXPECT_NEAR(fit->parameters[1], at[1], 1e-3) << correlation;
    EXPECT_TRUE(fit->converged);
  }
}

TEST(LeastSquaresTest, ManyStartsFindTheLowerOfTwoMinima) {
  // (t^2 - 1)^2 + 0.1 (t + 1)^2 has its lower minimum at -1.
  const auto residuals = [](std::span<const double> t, std::span<double> r, std::span<double> j) {
    r[0] = t[0] * t[0] - 1;
    r[1] = std::sqrt(0.1) * (t[0] + 1);
    if (j.empty()) return;
    j[0] = 2 * t[0];
    j[1] = std::sqrt(0.1);
  };
  const auto one = FitLeastSquares(2, residuals, std::vector<std::vector<double>>{{3}}, {}, {});
  ASSERT_TRUE(one.ok());
  EXPECT_GT(one->parameters[0], 0);
  const std::vector<std::vector<double>> starts = {{3}, {0.7}, {-2}, {-4}};
  const auto fit = FitLeastSquares(2, residuals, starts, {}, {});
  ASSERT_TRUE(fit.ok());
  EXPECT_NEAR(fit->parameters[0], -1, 1e-9);
  EXPECT_EQ(fit->n_agreeing, 2u);
  EXPECT_GE(fit->start, 2u);
  // One run, from the best start at 0.7, is enough to agree with itself.
  EXPECT_GT(FitLeastSquares(2, residuals, starts, {}, {.enough_agreeing = 1})->parameters[0], 0);
  // Only the best start is run: the one at 0.7.
  EXPECT_GT(FitLeastSquares(2, residuals, starts, {}, {.max_runs = 1})->parameters[0], 0);
}

TEST(LeastSquaresTest, SaysWhatIsNotIdentified) {
  // A flat curve: the exponent of a vanishing power law, and b times 0.
  const std::vector<double> flat(kX.size(), 2.0);
  const auto fit = FitCurve(Model::kPowerFloor, kX, flat, {{2, 0, 1}}, {}, {});
  ASSERT_TRUE(fit.ok()) << fit.status();
  EXPECT_EQ(fit->states[2], ParameterState::kNotIdentified);
  EXPECT_FALSE(fit->standard_error(2).has_value());
  // Two parameters that only their sum is known of.
  const auto sum = [](std::span<const double> t, std::span<double> r, std::span<double> j) {
    for (size_t i = 0; i < 4; ++i) {
      r[i] = t[0] + t[1] + t[2] * static_cast<double>(i) - 3.0 * static_cast<double>(i % 2);
    }
    if (j.empty()) return;
    for (size_t i = 0; i < 4; ++i) {
      j[i] = j[4 + i] = 1;
      j[8 + i] = static_cast<double>(i);
    }
  };
  const auto both = FitLeastSquares(4, sum, std::vector<std::vector<double>>{{0, 0, 0}}, {}, {});
  ASSERT_TRUE(both.ok()) << both.status();
  EXPECT_EQ(both->states[0], ParameterState::kNotIdentified);
  EXPECT_EQ(both->states[1], ParameterState::kNotIdentified);
  EXPECT_EQ(both->states[2], ParameterState::kFree);
  // Line 0, 3, 0, 3 against 0 .. 3: slope 0.6, RSS 7.2, on 2 degrees of freedom, Sxx = 5.
  EXPECT_NEAR(both->parameters[2], 0.6, 1e-9);
  EXPECT_NEAR(*both->standard_error(2), std::sqrt(7.2 / 2 / 5), 1e-9);
}

TEST(LeastSquaresTest, ASaturatedFitHasNoErrors) {
  const std::vector<double> x = {0, 1};
  const std::vector<double> y = {1, 3};
  const auto fit = FitCurve(Model::kLine, x, y, {{0, 0}}, {}, {});
  ASSERT_TRUE(fit.ok()) << fit.status();
  EXPECT_NEAR(fit->parameters[0], 1, 1e-12);
  EXPECT_NEAR(fit->parameters[1], 2, 1e-12);
  EXPECT_FALSE(fit->standard_error(0).has_value());
  // With known errors there is one: sqrt(1) for the value at 0, sqrt(2) for the difference.
  const auto known = FitCurve(Model::kLine, x, y, {{0, 0}}, {}, {.unit_errors = true});
  EXPECT_NEAR(*known->standard_error(0), 1, 1e-12);
  EXPECT_NEAR(*known->standard_error(1), std::sqrt(2), 1e-12);
  EXPECT_NEAR(*known->log_likelihood, -std::log(2 * kPi), 1e-12);
  EXPECT_EQ(known->n_likelihood_parameters, 2u);
}

TEST(LeastSquaresTest, FitsThatCannotBeAreRefused) {
  const auto failed = [](const auto& result) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition) << result.status();
    return std::string(result.status().message());
  };
  // A NaN in the data.
  std::vector<double> y = Curve(Model::kLine, {1, 2}, kX);
  y[3] = kNan;
  EXPECT_THAT(failed(FitCurve(Model::kLine, kX, y, {{0, 0}, {1, 1}}, {}, {})),
              HasSubstr("not finite at any of 2 starts"));
  // exp(-t) falls for ever.
  const auto falls = [](std::span<const double> t, std::span<double> r, std::span<double> j) {
    r[0] = 1 / (1 + t[0] * t[0]);
    if (!j.empty()) j[0] = -2 * t[0] * r[0] * r[0];
  };
  EXPECT_THAT(failed(FitLeastSquares(1, falls, std::vector<std::vector<double>>{{1}}, {}, {})),
              HasSubstr("ran off"));
  // Finite residuals, no derivatives.
  const auto kink = [](std::span<const double> t, std::span<double> r, std::span<double> j) {
    r[0] = t[0];
    if (!j.empty()) j[0] = kNan;
  };
  EXPECT_THAT(failed(FitLeastSquares(1, kink, std::vector<std::vector<double>>{{1}}, {}, {})),
              HasSubstr("derivatives are not finite"));
  // 3 parameters, 4 points, 2 degrees of freedom: (4 - 3) * 3 < 4.
  const std::vector<double> x4 = {0, 1, 2, 3};
  const std::vector<double> y4 = {3, 2, 1.5, 1.4};
  EXPECT_THAT(failed(FitCurve(Model::kPowerFloor, x4, y4, {{1, 1, 1}}, {},
                              {.loss = Loss::kStudentT, .student_df = 2})),
              HasSubstr("unbounded"));
  // Enough points, all on a line: no scale.
  EXPECT_THAT(failed(FitCurve(Model::kLine, kX, std::vector<double>(8, 0.0), {{0, 0}}, {},
                              {.loss = Loss::kStudentT})),
              HasSubstr("for a scale"));
}

// The search meets values where the function is not defined, and comes back.
TEST(LeastSquaresTest, TurnsBackWhereResidualsAreNotFinite) {
  const auto logs = [](std::span<const double> t, std::span<double> r, std::span<double> j) {
    for (size_t i = 0; i < 3; ++i) {
      r[i] = std::log(t[0]) - std::log(2) + 0.01 * (static_cast<double>(i) - 1);
    }
    if (j.empty()) return;
    for (size_t i = 0; i < 3; ++i) j[i] = 1 / t[0];
  };
  const auto fit = FitLeastSquares(3, logs, std::vector<std::vector<double>>{{50}}, {}, {});
  ASSERT_TRUE(fit.ok()) << fit.status();
  EXPECT_NEAR(fit->parameters[0], 2, 1e-9);
}

TEST(LeastSquaresTest, SaysWhenItRanOutOfEvaluations) {
  const std::vector<double> y = Curve(Model::kPowerFloor, {0.3, 1.2, 0.45}, kX);
  const auto fit =
      FitCurve(Model::kPowerFloor, kX, y, {{-20, 40, 0.01}}, {}, {.max_evaluations = 2});
  ASSERT_TRUE(fit.ok()) << fit.status();
  // Newton's steps of the polish may do the rest; what is not done is said.
  double distance = std::fabs(fit->parameters[2] - 0.45);
  EXPECT_EQ(fit->converged, distance < 1e-6) << distance;
}

TEST(LeastSquaresTest, BadArgumentsAreNamed) {
  const auto message = [](const auto& result) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument) << result.status();
    return std::string(result.status().message());
  };
  const std::vector<double> y = Curve(Model::kLine, {1, 2}, kX);
  using Starts = std::vector<std::vector<double>>;
  const auto fit = [&](const Starts& starts, const std::vector<ParameterBounds>& bounds,
                       const LeastSquaresOptions& options) {
    return message(FitCurve(Model::kLine, kX, y, starts, bounds, options));
  };
  EXPECT_THAT(fit({}, {}, {}), HasSubstr("starts is empty"));
  EXPECT_THAT(fit({{}}, {}, {}), HasSubstr("starts[0] has 0 parameters: must be 1 to 16"));
  EXPECT_THAT(fit({std::vector<double>(17)}, {}, {}), HasSubstr("17 parameters"));
  EXPECT_THAT(fit({{0, 0}, {0}}, {}, {}), HasSubstr("starts[1] has 1 parameters: must be 2"));
  EXPECT_THAT(fit({{0, kNan}}, {}, {}), HasSubstr("starts[0][1] is nan"));
  EXPECT_THAT(fit({{0, kInf}}, {}, {}), HasSubstr("starts[0][1] is inf"));
  EXPECT_THAT(fit({{0, 0}}, {{0, 1}}, {}), HasSubstr("bounds has 1 elements"));
  EXPECT_THAT(fit({{0, 0}}, {{0, 1}, {1, 1}}, {}), HasSubstr("bounds[1] is 1 to 1"));
  EXPECT_THAT(fit({{0, 0}}, {{kNan, 1}, {0, 1}}, {}), HasSubstr("bounds[0] is nan to 1"));
  EXPECT_THAT(fit({{0, 0}}, {}, {.huber_delta = 0}), HasSubstr("huber_delta is 0"));
  EXPECT_THAT(fit({{0, 0}}, {}, {.student_df = -1}), HasSubstr("student_df is -1"));
  EXPECT_THAT(fit({{0, 0}}, {}, {.max_evaluations = 0}), HasSubstr("max_evaluations is 0"));
  EXPECT_THAT(fit({{0, 0}}, {}, {.max_runs = 0}), HasSubstr("max_runs is 0"));
  EXPECT_THAT(fit({{0, 0}}, {}, {.enough_agreeing = -1}), HasSubstr("enough_agreeing is -1"));
  EXPECT_THAT(fit({{0, 0}}, {}, {.loss = Loss::kHuber, .unit_errors = true}),
              HasSubstr("unit_errors"));
  const auto few = FitCurve(Model::kPowerFloor, std::vector<double>{0, 1},
                            std::vector<double>{1, 2}, {{0, 0, 0}}, {}, {});
  EXPECT_THAT(message(few), HasSubstr("n_residuals is 2: must be at least the number of "
                                      "parameters, 3"));
}

TEST(LeastSquaresTest, SpreadStartsFillTheBox) {
  const auto starts = SpreadStarts(std::vector<double>{0, -1}, std::vector<double>{1, 3}, 64);
  ASSERT_EQ(starts.size(), 64u);
  EXPECT_EQ(starts[0], (std::vector<double>{0.5, 1}));
  // Each of 4 x 4 cells has some: 64 points at random leave one of them empty in a quarter of the
  // cases.
  int cells[4][4] = {};
  for (const auto& start : starts) {
    ASSERT_TRUE(start[0] >= 0 && start[0] <= 1 && start[1] >= -1 && start[1] <= 3);
    ++cells[std::min(3, static_cast<int>(4 * start[0]))]
           [std::min(3, static_cast<int>(start[1] + 1))];
  }
  for (const auto& row : cells) {
    for (const int count : row) EXPECT_GE(count, 2);
  }
  EXPECT_TRUE(SpreadStarts(std::vector<double>{0}, std::vector<double>{kInf}, 3).empty());
  EXPECT_TRUE(SpreadStarts(std::vector<double>{0}, std::vector<double>{1, 2}, 3).empty());
}

TEST(LeastSquaresTest, CorrectedAkaikeOfFewPoints) {
  // 2 * 3 + 2 * 10 + 2 * 3 * 4 / (8 - 4).
  EXPECT_DOUBLE_EQ(*CorrectedAkaike(-10, 3, 8), 32);
  EXPECT_DOUBLE_EQ(*CorrectedAkaike(-10, 3, 5), 50);
  EXPECT_FALSE(CorrectedAkaike(-10, 3, 4).has_value());
  EXPECT_FALSE(CorrectedAkaike(-10, 3, 0).has_value());
}

}  // namespace
}  // namespace mirage::metrics
