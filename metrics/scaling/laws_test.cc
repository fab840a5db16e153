#include "metrics/scaling/laws.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/scaling/least_squares.h"

namespace mirage::metrics {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct LawCase {
  Law law;
  std::vector<double> parameters;
  std::vector<double> x;
  double value;
  std::vector<double> gradient;
};

#include "metrics/scaling/laws_vectors.inc"

int BreaksOf(const LawCase& c) {
  return c.law == Law::kBrokenPowerLaw ? static_cast<int>(c.parameters.size() / 3) - 1 : 0;
}

TEST(LawsTest, ValuesAndDerivativesAgreeWithMpmath) {
  std::vector<bool> seen(kLaws);
  for (const LawCase& c : LawCases()) {
    SCOPED_TRACE(testing::Message() << LawName(c.law) << " at " << c.x[0]);
    seen[static_cast<size_t>(c.law)] = true;
    std::vector<double> gradient(c.parameters.size());
    EXPECT_NEAR(EvaluateLaw(c.law, c.parameters, c.x, gradient), c.value,
                1e-12 * std::fabs(c.value));
    EXPECT_EQ(EvaluateLaw(c.law, c.parameters, c.x),
              EvaluateLaw(c.law, c.parameters, c.x, gradient));
    double scale = 0;
    for (size_t j = 0; j < gradient.size(); ++j) {
      scale = std::max(scale, std::fabs(c.gradient[j] * c.parameters[j]));
    }
    for (size_t j = 0; j < gradient.size(); ++j) {
      // Where softplus cancels, relative to the largest.
      EXPECT_NEAR(gradient[j], c.gradient[j],
                  1e-11 * std::fabs(c.gradient[j]) + 1e-14 * scale / std::fabs(c.parameters[j]))
          << j;
    }
  }
  for (size_t i = 0; i < kLaws; ++i) EXPECT_TRUE(seen[i]) << kLaws;
}

TEST(LawsTest, NamesGoBothWays) {
  for (size_t i = 0; i < kLaws; ++i) {
    const Law law = static_cast<Law>(i);
    EXPECT_EQ(LawByName(LawName(law)), law);
    EXPECT_FALSE(LawParameterNames(law).empty());
  }
  EXPECT_EQ(LawName(Law::kNegLogPassAtK), "neg_log_pass_at_k");
  EXPECT_FALSE(LawByName("power").has_value());
  EXPECT_FALSE(LawByName("").has_value());
  EXPECT_EQ(LawName(static_cast<Law>(99)), "");
  EXPECT_TRUE(LawParameterNames(static_cast<Law>(99)).empty());
  EXPECT_THAT(LawParameterNames(Law::kBrokenPowerLaw, 1),
              ElementsAre("a", "b", "c0", "c1", "d1", "f1"));
  EXPECT_EQ(LawParameterNames(Law::kBrokenPowerLaw, 7).size(), 9u);
}

// Wherever the frame stands: its coordinates give the same value as the parameters, its Jacobians
// are the derivatives (central differences: to 1e-6), on each error scale.
TEST(LawsTest, FramesAgreeWithTheLaw) {
  for (const LawCase& c : LawCases()) {
    SCOPED_TRACE(testing::Message() << LawName(c.law) << " at " << c.x[0]);
    const size_t p = c.parameters.size();
    // Some x around the case's.
    std::vector<double> x;
    for (const double factor : {0.3, 1.0, 2.0, 5.0}) {
      for (const double v : c.x) x.push_back(v * factor);
    }
    const auto frame = LawFrame::Create(c.law, BreaksOf(c), x);
    ASSERT_TRUE(frame.ok()) << frame.status();
    ASSERT_EQ(frame->n_parameters(), p);
    ASSERT_EQ(LawParameterNames(c.law, BreaksOf(c)).size(), p);
    ASSERT_EQ(frame->Bounds().size(), p);
    // Coordinates of order 1, in the middle of the bounds.
    std::vector<double> t(p);
    for (size_t j = 0; j < p; ++j) {
      t[j] = 0.3 + 0.1 * static_cast<double>(j);
      const std::optional<double> coordinate = frame->Coordinate(j, c.parameters[j]);
      if (coordinate.has_value()) t[j] = *coordinate;
    }
    std::vector<double> jacobian(p * p);
    const std::vector<double> parameters = frame->Parameters(t, jacobian);
    for (size_t j = 0; j < p; ++j) {
      if (frame->Coordinate(j, c.parameters[j]).has_value()) {
        EXPECT_NEAR(parameters[j], c.parameters[j], 1e-12 * std::fabs(c.parameters[j])) << j;
      }
    }
    std::vector<double> u(frame->dimension());
    frame->Position(c.x.data(), u.data());
    const double value = frame->Evaluate(ErrorScale::kValue, t.data(), u.data(), nullptr);
    EXPECT_NEAR(value, EvaluateLaw(c.law, parameters, c.x), 1e-10 * std::fabs(value));
    constexpr double kStep = 1e-6;
    for (const ErrorScale scale :
         {ErrorScale::kValue, ErrorScale::kLog, ErrorScale::kLogMinusLog, ErrorScale::kBinomial}) {
      std::vector<double> gradient(p);
      const double here = frame->Evaluate(scale, t.data(), u.data(), gradient.data());
      if (scale == ErrorScale::kLog) {
        if (value > 0) {
          EXPECT_NEAR(here, std::log(value), 1e-10);
        } else {
          EXPECT_TRUE(std::isnan(here));
        }
      }
      if (scale == ErrorScale::kLogMinusLog) {
        if (value > 0 && value < 1) {
          EXPECT_NEAR(here, std::log(-std::log(value)), 1e-9);
        } else {
          EXPECT_TRUE(std::isnan(here));
        }
      }
      if (std::isnan(here)) continue;
      for (size_t j = 0; j < p; ++j) {
        std::vector<double> more = t;
        std::vector<double> less = t;
        more[j] += kStep;
        less[j] -= kStep;
        const double slope = (frame->Evaluate(scale, more.data(), u.data(), nullptr) -
                              frame->Evaluate(scale, less.data(), u.data(), nullptr)) /
                             (2 * kStep);
        EXPECT_NEAR(gradient[j], slope, 1e-6 * (1 + std::fabs(slope))) << j;
        if (scale != ErrorScale::kValue) continue;
        for (size_t i = 0; i < p; ++i) {
          const double change =
              (frame->Parameters(more)[i] - frame->Parameters(less)[i]) / (2 * kStep);
          EXPECT_NEAR(jacobian[i * p + j], change, 1e-6 * std::fabs(change) + 1e-30) << i << j;
        }
      }
    }
  }
}

// From its own starts each law is found again, without noise.
TEST(LawsTest, StartsLeadToTheTruth) {
  for (size_t k = 0; k < LawCases().size(); k += 4) {
    const LawCase& c = LawCases()[k];
    SCOPED_TRACE(testing::Message() << LawName(c.law) << ' ' << k);
    std::vector<double> x;
    // The four cases of one law are at four places of its range: fill it.
    const double low = LawCases()[k].x[0];
    const double high = LawCases()[k + 3].x[0];
    constexpr int kPoints = 24;
    for (int i = 0; i < kPoints; ++i) {
      const double share = static_cast<double>(i) / (kPoints - 1);
      const bool link = c.law == Law::kLogisticLink || c.law == Law::kDoubleLogisticLink ||
                        c.law == Law::kLossHinge;
      x.push_back(link ? low + share * (high - low) : low * std::pow(high / low, share));
      if (c.law == Law::kLadder) x.push_back(x.back() * std::pow(10, 1 + i % 3));
    }
    const auto frame = LawFrame::Create(c.law, BreaksOf(c), x);
    ASSERT_TRUE(frame.ok()) << frame.status();
    const size_t d = frame->dimension();
    const size_t p = frame->n_parameters();
    std::vector<double> y;
    std::vector<double> u(x.size());
    for (size_t i = 0; i < kPoints; ++i) {
      y.push_back(EvaluateLaw(c.law, c.parameters, std::span(x).subspan(i * d, d)));
      frame->Position(x.data() + i * d, u.data() + i * d);
    }
    const auto residuals = [&](std::span<const double> t, std::span<double> r,
                               std::span<double> j) {
      std::vector<double> g(p);
      for (size_t i = 0; i < y.size(); ++i) {
        r[i] = frame->Evaluate(ErrorScale::kValue, t.data(), u.data() + i * d,
                               j.empty() ? nullptr : g.data()) -
               y[i];
        for (size_t q = 0; q < (j.empty() ? 0 : p); ++q) j[q * y.size() + i] = g[q];
      }
    };
    const auto fit = FitLeastSquares(y.size(), residuals, frame->Starts(u, y), frame->Bounds(), {});
    ASSERT_TRUE(fit.ok()) << fit.status();
    const double spread = *std::ranges::max_element(y) - *std::ranges::min_element(y);
    for (const double r : fit->residuals) EXPECT_LT(std::fabs(r), 1e-7 * spread);
  }
}

TEST(LawsTest, ProjectionIsCloseToTheLeastSquares) {
  const std::vector<double> x = {1e7, 3e7, 1e8, 3e8, 1e9, 3e9, 1e10};
  const auto frame = LawFrame::Create(Law::kPowerLawFloor, 0, x);
  std::vector<double> u(x.size());
  for (size_t i = 0; i < x.size(); ++i) frame->Position(&x[i], &u[i]);
  const std::vector<double> truth = {1.3, 200, 0.31};
  std::vector<double> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    y[i] = EvaluateLaw(Law::kPowerLawFloor, truth, {&x[i], 1});
  }
  const auto found = frame->Project(u, y);
  ASSERT_TRUE(found.has_value());
  const std::vector<double> parameters = frame->Parameters(*found);
  EXPECT_NEAR(parameters[0], 1.3, 0.01);
  EXPECT_NEAR(parameters[2], 0.31, 0.002);
  // Falling ever faster: the floor is 0 at best.
  for (size_t i = 0; i < x.size(); ++i) y[i] = 10 - static_cast<double>(i * i) / 4;
  EXPECT_EQ((*frame->Project(u, y))[0], 0);
  // A rising curve has no projection, nor has another law.
  EXPECT_FALSE(frame->Project(u, u).has_value());
  EXPECT_FALSE(
      LawFrame::Create(Law::kPowerLaw, 0, x)->Project(u, std::vector<double>(7, 1.0)).has_value());
}

TEST(LawsTest, StartsForAnyValues) {
  // Constant, negative, tiny, huge, one point: at least one start, all finite.
  for (size_t i = 0; i < kLaws; ++i) {
    const Law law = static_cast<Law>(i);
    const size_t d = LawDimension(law);
    for (int n_breaks = 0; n_breaks <= (law == Law::kBrokenPowerLaw ? 2 : 0); ++n_breaks) {
      for (const std::vector<double>& y : {std::vector<double>{1, 1, 1, 1},
                                           {-1, -2, -3, -4},
                                           {1e-300, 2e-300, 1e-300, 0},
                                           {1e300, 2e300, 1, 0},
                                           {0.5},
                                           {0, 0, 0, 0}}) {
        std::vector<double> x;
        for (size_t k = 0; k < y.size() * d; ++k) x.push_back(1 + static_cast<double>(k));
        const auto frame = LawFrame::Create(law, n_breaks, x);
        ASSERT_TRUE(frame.ok()) << frame.status();
        std::vector<double> u(x.size());
        for (size_t k = 0; k < y.size(); ++k) frame->Position(x.data() + k * d, u.data() + k * d);
        const auto starts = frame->Starts(u, y);
        EXPECT_FALSE(starts.empty()) << LawName(law);
        for (const auto& start : starts) {
          ASSERT_EQ(start.size(), frame->n_parameters()) << LawName(law);
          for (const double v : start) EXPECT_TRUE(std::isfinite(v)) << LawName(law) << y[0];
        }
        for (const ParameterBounds& bounds : frame->Bounds()) {
          EXPECT_LT(bounds.lower, bounds.upper) << LawName(law);
        }
      }
    }
  }
}

TEST(LawsTest, OutsideTheDomainIsNan) {
  const auto value = [](Law law, const std::vector<double>& parameters,
                        const std::vector<double>& x) { return EvaluateLaw(law, parameters, x); };
  EXPECT_TRUE(std::isnan(value(Law::kPowerLaw, {-1, 2}, {3})));
  EXPECT_TRUE(std::isnan(value(Law::kPowerLaw, {1, 2}, {0})));
  EXPECT_TRUE(std::isnan(value(Law::kPowerLaw, {1, 2}, {kNan})));
  EXPECT_TRUE(std::isnan(value(Law::kPowerLaw, {1}, {3})));
  EXPECT_TRUE(std::isnan(value(Law::kPowerLaw, {1, 2}, {3, 4})));
  EXPECT_TRUE(std::isnan(value(Law::kPowerLaw, {1, 2}, {})));
  EXPECT_TRUE(std::isnan(value(Law::kLossHinge, {1, 2, 3}, {kNan})));
  EXPECT_TRUE(std::isnan(value(Law::kBrokenPowerLaw, {1, 2, 0.1, 0.2}, {3})));
  EXPECT_TRUE(std::isnan(value(Law::kBrokenPowerLaw, std::vector<double>(12, 1.0), {3})));
  EXPECT_TRUE(std::isnan(value(Law::kBrokenPowerLaw, {1, 2, 0.1, 0.2, -1, 1}, {3})));
  EXPECT_TRUE(std::isnan(value(static_cast<Law>(99), {1, 2}, {3})));
  // Far away: no overflow.
  EXPECT_EQ(value(Law::kLogisticLink, {0.5, 0.25, 10, 1}, {1e300}), 0.75);
  EXPECT_EQ(value(Law::kLogisticLink, {0.5, 0.25, 10, 1}, {-1e300}), 0.25);
  EXPECT_EQ(value(Law::kPassUntil, {1e300, 0.01}, {10}), 0);
  EXPECT_NEAR(value(Law::kPowerLaw, {1e250, 25}, {1e10}), 1, 1e-12);
}

TEST(LawsTest, BadArgumentsAreNamed) {
  const auto message = [](Law law, int n_breaks, const std::vector<double>& x) {
    const auto frame = LawFrame::Create(law, n_breaks, x);
    EXPECT_EQ(frame.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(frame.status().message());
  };
  EXPECT_THAT(message(Law::kPowerLaw, 0, {}), HasSubstr("x has 0 numbers"));
  EXPECT_THAT(message(Law::kPowerLaw, 0, {1, 0}), HasSubstr("x[1] is 0: must be finite and > 0"));
  EXPECT_THAT(message(Law::kLossHinge, 0, {1, kInf}), HasSubstr("x[1] is inf: must be finite"));
  EXPECT_THAT(message(Law::kLadder, 0, {1, 2, 3}), HasSubstr("x has 3 numbers: must be 2"));
  EXPECT_THAT(message(Law::kLadder, 0, {1, 2, 3, -4}), HasSubstr("x[1] is -4"));
  EXPECT_THAT(message(Law::kPowerLaw, 1, {1, 2}), HasSubstr("n_breaks is 1"));
  EXPECT_THAT(message(Law::kBrokenPowerLaw, 3, {1, 2}), HasSubstr("n_breaks is 3"));
  EXPECT_THAT(message(Law::kBrokenPowerLaw, -1, {1, 2}), HasSubstr("n_breaks is -1"));
  EXPECT_THAT(message(static_cast<Law>(99), 0, {1, 2}), HasSubstr("law is 99"));
  // Losses may be negative (a counterpart's log-probability).
  EXPECT_TRUE(LawFrame::Create(Law::kLogisticLink, 0, std::vector<double>{-1, 0}).ok());
}

}  // namespace
}  // namespace mirage::metrics
