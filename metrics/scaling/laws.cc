#include "metrics/scaling/laws.h"

#include <Eigen/Core>
#include <Eigen/QR>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/scaling/least_squares.h"

namespace mirage::metrics {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

constexpr std::string_view kNames[kLaws] = {
    "power_law",        "power_law_floor",  "logistic_link", "double_logistic_link",
    "broken_power_law", "loss_hinge",       "ladder",        "log_accuracy_power_law",
    "pass_until",       "neg_log_pass_at_k"};

absl::Status Invalid(std::string_view message) {
  return absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
}

double Sigmoid(double t) {
  if (t >= 0) return 1 / (1 + std::exp(-t));
  const double e = std::exp(t);
  return e / (1 + e);
}

// ln(1 + exp(t)).
double SoftPlus(double t) { return t > 0 ? t + std::log1p(std::exp(-t)) : std::log1p(std::exp(t)); }

bool IsExponentialOfPower(Law law) {
  return law == Law::kLogAccuracyPowerLaw || law == Law::kPassUntil || law == Law::kNegLogPassAtK;
}

// Least squares of `columns` on y; absent where the columns are dependent.
std::optional<VectorXd> Linear(const MatrixXd& columns, const VectorXd& y) {
  Eigen::ColPivHouseholderQR<MatrixXd> qr(columns.rows(), columns.cols());
  qr.setThreshold(1e-10);
  qr.compute(columns);
  if (qr.rank() < columns.cols()) return std::nullopt;
  VectorXd found = qr.solve(y);
  if (!found.allFinite()) return std::nullopt;
  return found;
}

}  // namespace

std::string_view LawName(Law law) {
  const size_t i = static_cast<size_t>(law);
  return i < kLaws ? kNames[i] : std::string_view();
}

std::optional<Law> LawByName(std::string_view name) {
  for (size_t i = 0; i < kLaws; ++i) {
    if (kNames[i] == name) return static_cast<Law>(i);
  }
  return std::nullopt;
}

ErrorScale DefaultErrorScale(Law law) {
  switch (law) {
    case Law::kPowerLaw:
    case Law::kPowerLawFloor:
    case Law::kLadder:
    case Law::kLogAccuracyPowerLaw:
      return ErrorScale::kLog;
    case Law::kPassUntil:
    case Law::kNegLogPassAtK:
      return ErrorScale::kLogMinusLog;
    default:
      return ErrorScale::kValue;
  }
}

size_t LawDimension(Law law) { return law == Law::kLadder ? 2 : 1; }

std::vector<std::string> LawParameterNames(Law law, int n_breaks) {
  switch (law) {
    case Law::kPowerLaw:
    case Law::kLogAccuracyPowerLaw:
    case Law::kNegLogPassAtK:
      return {"a", "b"};
    case Law::kPowerLawFloor:
      return {"E", "a", "b"};
    case Law::kLogisticLink:
      return {"a", "b", "k", "L0"};
    case Law::kDoubleLogisticLink:
      return {"b", "a1", "k1", "L1", "a2", "k2", "L2"};
    case Law::kBrokenPowerLaw: {
      std::vector<std::string> names = {"a", "b", "c0"};
      for (int i = 1; i <= std::clamp(n_breaks, 0, kMaxBreaks); ++i) {
        for (const char* name : {"c", "d", "f"}) names.push_back(fmt::format("{}{}", name, i));
      }
      return names;
    }
    case Law::kLossHinge:
      return {"c", "s", "eta"};
    case Law::kLadder:
      return {"A", "B", "alpha", "beta", "E"};
    case Law::kPassUntil:
      return {"c", "alpha"};
  }
  return {};
}

LawFrame::LawFrame(Law law, int n_breaks)
    : law_(law), n_breaks_(law == Law::kBrokenPowerLaw ? n_breaks : 0) {
  dimension_ = LawDimension(law);
  const auto amplitude = [](size_t exponent, size_t axis = 0) {
    return Parameter{Kind::kAmplitude, exponent, axis};
  };
  constexpr Parameter kSame = {Kind::kSame};
  constexpr Parameter kPerUnit = {Kind::kPerUnit};
  constexpr Parameter kPlace = {Kind::kPlace};
  switch (law) {
    case Law::kPowerLaw:
    case Law::kLogAccuracyPowerLaw:
    case Law::kPassUntil:
    case Law::kNegLogPassAtK:
      kinds_ = {amplitude(1), kSame};
      break;
    case Law::kPowerLawFloor:
      kinds_ = {kSame, amplitude(2), kSame};
      break;
    case Law::kLogisticLink:
      kinds_ = {kSame, kSame, kPerUnit, kPlace};
      log_position_ = false;
      break;
    case Law::kDoubleLogisticLink:
      kinds_ = {kSame, kSame, kPerUnit, kPlace, kSame, kPerUnit, kPlace};
      log_position_ = false;
      break;
    case Law::kBrokenPowerLaw:
      kinds_ = {kSame, {Kind::kSigned, 2}, kSame};
      for (int i = 0; i < n_breaks_; ++i) {
        kinds_.push_back(kSame);
        kinds_.push_back({Kind::kLogPlace});
        kinds_.push_back({Kind::kLog});
      }
      break;
    case Law::kLossHinge:
      kinds_ = {kSame, kPerUnit, kPlace};
      log_position_ = false;
      break;
    case Law::kLadder:
      kinds_ = {amplitude(2, 0), amplitude(3, 1), kSame, kSame, kSame};
      break;
  }
  n_parameters_ = kinds_.size();
}

absl::StatusOr<LawFrame> LawFrame::Create(Law law, int n_breaks, std::span<const double> x) {
  if (static_cast<size_t>(law) >= kLaws) {
    return Invalid(fmt::format("law is {}: must be one of Law", static_cast<int>(law)));
  }
  if (n_breaks < 0 || n_breaks > kMaxBreaks || (n_breaks > 0 && law != Law::kBrokenPowerLaw)) {
    return Invalid(
        fmt::format("n_breaks is {}: must be 0 to {} for broken_power_law and 0 for "
                    "other laws",
                    n_breaks, kMaxBreaks));
  }
  LawFrame frame(law, n_breaks);
  const size_t d = frame.dimension_;
  if (x.empty() || x.size() % d != 0) {
    return Invalid(fmt::format("x has {} numbers: must be {} a point, and some", x.size(), d));
  }
  const size_t n = x.size() / d;
  std::array<double, 2> sum = {0, 0};
  frame.lowest_ = kInf;
  frame.highest_ = -kInf;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i]) || (frame.log_position_ && !(x[i] > 0))) {
      return Invalid(fmt::format("x[{}] is {}: must be finite{}", i / d, x[i],
                                 frame.log_position_ ? " and > 0" : ""));
    }
    const double u = frame.log_position_ ? std::log(x[i]) : x[i];
    sum[i % d] += u / static_cast<double>(n);
    if (i % d == 0) {
      frame.lowest_ = std::min(frame.lowest_, u);
      frame.highest_ = std::max(frame.highest_, u);
    }
  }
  frame.centre_ = sum;
  if (!frame.log_position_) {
    double squares = 0;
    for (const double v : x) squares += (v - sum[0]) * (v - sum[0]) / static_cast<double>(n);
    if (squares > 0 && std::isfinite(squares)) frame.width_ = std::sqrt(squares);
  }
  frame.lowest_ = (frame.lowest_ - sum[0]) / frame.width_;
  frame.highest_ = (frame.highest_ - sum[0]) / frame.width_;
  return frame;
}

void LawFrame::Position(const double* x, double* u) const {
  for (size_t k = 0; k < dimension_; ++k) {
    if (log_position_) {
      u[k] = x[k] > 0 ? std::log(x[k]) - centre_[k] : kNan;
    } else {
      u[k] = (x[k] - centre_[0]) / width_;
    }
  }
}

double LawFrame::EvaluateValue(const double* t, const double* u, double* g) const {
  switch (law_) {
    case Law::kPowerLaw: {
      const double e = std::exp(t[0] - t[1] * u[0]);
      if (g != nullptr) {
        g[0] = e;
        g[1] = -u[0] * e;
      }
      return e;
    }
    case Law::kPowerLawFloor: {
      const double e = std::exp(t[1] - t[2] * u[0]);
      if (g != nullptr) {
        g[0] = 1;
        g[1] = e;
        g[2] = -u[0] * e;
      }
      return t[0] + e;
    }
    case Law::kLogAccuracyPowerLaw:
    case Law::kPassUntil:
    case Law::kNegLogPassAtK: {
      const double e = std::exp(t[0] - t[1] * u[0]);
      const double v = std::exp(-e);
      if (g != nullptr) {
        g[0] = -v * e;
        g[1] = v * e * u[0];
      }
      return v;
    }
    case Law::kLogisticLink: {
      const double away = u[0] - t[3];
      const double s = Sigmoid(t[2] * away);
      const double slope = t[0] * s * Sigmoid(-t[2] * away);
      if (g != nullptr) {
        g[0] = s;
        g[1] = 1;
        g[2] = slope * away;
        g[3] = -slope * t[2];
      }
      return t[1] + t[0] * s;
    }
    case Law::kDoubleLogisticLink: {
      double value = t[0];
      if (g != nullptr) g[0] = 1;
      for (size_t k = 1; k < 7; k += 3) {
        const double away = u[0] - t[k + 2];
        const double s = Sigmoid(t[k + 1] * away);
        const double slope = t[k] * s * Sigmoid(-t[k + 1] * away);
        value += t[k] * s;
        if (g == nullptr) continue;
        g[k] = s;
        g[k + 1] = slope * away;
        g[k + 2] = -slope * t[k + 1];
      }
      return value;
    }
    case Law::kBrokenPowerLaw: {
      double exponent = -t[2] * u[0];
      for (int i = 0; i < n_breaks_; ++i) {
        const double* b = t + 3 + 3 * static_cast<size_t>(i);
        const double f = std::exp(b[2]);
        exponent -= b[0] * f * SoftPlus((u[0] - b[1]) / f);
      }
      const double e = std::exp(exponent);
      if (g != nullptr) {
        g[0] = 1;
        g[1] = e;
        g[2] = -u[0] * t[1] * e;
        for (int i = 0; i < n_breaks_; ++i) {
          const double* b = t + 3 + 3 * static_cast<size_t>(i);
          const double f = std::exp(b[2]);
          const double away = (u[0] - b[1]) / f;
          const double s = Sigmoid(away);
          double* out = g + 3 + 3 * static_cast<size_t>(i);
          out[0] = -f * SoftPlus(away) * t[1] * e;
          out[1] = b[0] * s * t[1] * e;
          out[2] = -b[0] * f * (SoftPlus(away) - away * s) * t[1] * e;
        }
      }
      return t[0] + t[1] * e;
    }
    case Law::kLossHinge: {
      const double below = std::max(0.0, t[2] - u[0]);
      if (g != nullptr) {
        g[0] = 1;
        g[1] = below;
        g[2] = u[0] < t[2] ? t[1] : 0;
      }
      // A max of NaN would be 0.
      return std::isnan(u[0]) ? kNan : t[0] + t[1] * below;
    }
    case Law::kLadder: {
      const double first = std::exp(t[0] - t[2] * u[0]);
      const double second = std::exp(t[1] - t[3] * u[1]);
      if (g != nullptr) {
        g[0] = first;
        g[1] = second;
        g[2] = -u[0] * first;
        g[3] = -u[1] * second;
        g[4] = 1;
      }
      return first + second + t[4];
    }
  }
  return kNan;
}

double LawFrame::Evaluate(ErrorScale scale, const double* t, const double* u, double* g) const {
  if (IsExponentialOfPower(law_) && scale != ErrorScale::kValue && scale != ErrorScale::kBinomial) {
    // The logarithms themselves: exp(-e) may vanish.
    const double line = t[0] - t[1] * u[0];
    const bool twice = scale == ErrorScale::kLogMinusLog;
    const double e = std::exp(line);
    if (g != nullptr) {
      g[0] = twice ? 1 : -e;
      g[1] = twice ? -u[0] : e * u[0];
    }
    return twice ? line : -e;
  }
  if (law_ == Law::kPowerLaw && scale == ErrorScale::kLog) {
    if (g != nullptr) {
      g[0] = 1;
      g[1] = -u[0];
    }
    return t[0] - t[1] * u[0];
  }
  const double value = EvaluateValue(t, u, g);
  double slope = 1;
  double out = 0;
  switch (scale) {
    case ErrorScale::kValue:
    case ErrorScale::kBinomial:
      return value;
    case ErrorScale::kLog:
      if (!(value > 0)) return kNan;
      out = std::log(value);
      slope = 1 / value;
      break;
    case ErrorScale::kLogMinusLog:
      if (!(value > 0 && value < 1)) return kNan;
      out = std::log(-std::log(value));
      slope = 1 / (value * std::log(value));
      break;
  }
  if (g != nullptr) {
    for (size_t j = 0; j < n_parameters_; ++j) g[j] *= slope;
  }
  return out;
}

std::vector<ParameterBounds> LawFrame::Bounds() const {
  constexpr ParameterBounds kAny;
  constexpr ParameterBounds kPositive = {0, kInf};
  constexpr ParameterBounds kExponent = {1e-3, 20};
  constexpr ParameterBounds kSteepness = {1e-3, 200};
  constexpr ParameterBounds kSignedExponent = {-20, 20};
  // One point, or points of one place, leave no room.
  const double margin = highest_ > lowest_ ? 0 : 1;
  const ParameterBounds within = {lowest_ - margin, highest_ + margin};
  const double span = std::max(highest_ - lowest_, 1.0);
  const ParameterBounds around = {lowest_ - 2 * span, highest_ + 2 * span};
  switch (law_) {
    case Law::kPowerLaw:
    case Law::kLogAccuracyPowerLaw:
    case Law::kPassUntil:
    case Law::kNegLogPassAtK:
      return {kAny, kSignedExponent};
    case Law::kPowerLawFloor:
      return {kPositive, kAny, kExponent};
    case Law::kLogisticLink:
      return {kAny, kAny, kSteepness, around};
    case Law::kDoubleLogisticLink:
      return {kAny, kAny, kSteepness, around, kAny, kSteepness, around};
    case Law::kBrokenPowerLaw: {
      std::vector<ParameterBounds> bounds = {kAny, kAny, kSignedExponent};
      for (int i = 0; i < n_breaks_; ++i) {
        bounds.push_back(kSignedExponent);
        bounds.push_back(within);
        bounds.push_back({std::log(0.02), std::log(5)});
      }
      return bounds;
    }
    case Law::kLossHinge:
      return {kAny, kAny, within};
    case Law::kLadder:
      return {kAny, kAny, kExponent, kExponent, kPositive};
  }
  return {};
}

std::vector<std::vector<double>> LawFrame::Starts(std::span<const double> positions,
                                                  std::span<const double> values) const {
  const Index n = static_cast<Index>(values.size());
  const Eigen::Map<const VectorXd> y(values.data(), n);
  const auto at = [&](Index i, size_t axis = 0) {
    return positions[static_cast<size_t>(i) * dimension_ + axis];
  };
  const double mean = y.mean();
  const double spread = y.maxCoeff() - y.minCoeff();
  const double unit = std::max({std::fabs(mean), spread, 1e-300});
  std::vector<std::vector<double>> starts;
  // Places from the lowest position to the highest.
  const auto places = [&](int count) {
    std::vector<double> out(static_cast<size_t>(count));
    double part = 0.5;
    for (double& place : out) {
      place = lowest_ + (highest_ - lowest_) * part / count;
      ++part;
    }
    return out;
  };
  const auto column = [&](auto basis) {
    VectorXd out(n);
    for (Index i = 0; i < n; ++i) out[i] = basis(i);
    return out;
  };
  const auto with_ones = [&](std::initializer_list<VectorXd> others) {
    MatrixXd columns(n, static_cast<Index>(others.size()) + 1);
    columns.col(0).setOnes();
    Index j = 1;
    for (const VectorXd& other : others) columns.col(j++) = other;
    return columns;
  };
  switch (law_) {
    case Law::kPowerLaw:
    case Law::kLogAccuracyPowerLaw:
    case Law::kPassUntil:
    case Law::kNegLogPassAtK: {
      // The law is a line on its logarithms; values outside its range say nothing there.
      const bool power = law_ == Law::kPowerLaw;
      std::vector<double> u;
      std::vector<double> z;
      for (Index i = 0; i < n; ++i) {
        if (!(y[i] > 0) || (!power && !(y[i] < 1))) continue;
        u.push_back(at(i));
        z.push_back(power ? std::log(y[i]) : std::log(-std::log(y[i])));
      }
      const Index m = static_cast<Index>(u.size());
      double level = power ? std::log(unit) : 0;
      if (m > 0) level = Eigen::Map<const VectorXd>(z.data(), m).mean();
      if (m > 1) {
        MatrixXd columns(m, 2);
        columns.col(0).setOnes();
        columns.col(1) = -Eigen::Map<const VectorXd>(u.data(), m);
        if (const auto line = Linear(columns, Eigen::Map<const VectorXd>(z.data(), m))) {
          starts.push_back({(*line)[0], std::clamp((*line)[1], -19.0, 19.0)});
        }
      }
      for (const double b : {0.0, 0.3, -0.3}) starts.push_back({level, b});
      return starts;
    }
    case Law::kPowerLawFloor:
      for (const double b : {0.03, 0.1, 0.2, 0.35, 0.5, 0.8, 1.2, 2.0, 4.0}) {
        const VectorXd e = column([&](Index i) { return std::exp(-b * at(i)); });
        const auto found = Linear(with_ones({e}), y);
        if (found.has_value() && (*found)[0] > 0 && (*found)[1] > 0) {
          starts.push_back({(*found)[0], std::log((*found)[1]), b});
        } else if (const double a = e.dot(y) / e.squaredNorm(); a > 0 && std::isfinite(a)) {
          starts.push_back({1e-2 * unit, std::log(a), b});
        }
      }
      starts.push_back({std::max(y.minCoeff(), unit) / 2, std::log(unit / 2), 0.3});
      return starts;
    case Law::kLogisticLink:
      for (const double k : {0.5, 1.5, 4.0, 12.0}) {
        for (const double c : places(6)) {
          const VectorXd s = column([&](Index i) { return Sigmoid(k * (at(i) - c)); });
          if (const auto found = Linear(with_ones({s}), y)) {
            starts.push_back({(*found)[1], (*found)[0], k, c});
          }
        }
      }
      starts.push_back({spread, y.minCoeff(), 1, 0});
      return starts;
    case Law::kDoubleLogisticLink: {
      const std::vector<double> grid = places(6);
      for (const double k1 : {1.5, 6.0}) {
        for (const double k2 : {1.5, 6.0}) {
          for (size_t i = 0; i < grid.size(); ++i) {
            for (size_t j = i + 1; j < grid.size(); ++j) {
              const auto first = [&](Index r) { return Sigmoid(k1 * (at(r) - grid[i])); };
              const auto second = [&](Index r) { return Sigmoid(k2 * (at(r) - grid[j])); };
              if (const auto found = Linear(with_ones({column(first), column(second)}), y)) {
                starts.push_back({(*found)[0], (*found)[1], k1, grid[i], (*found)[2], k2, grid[j]});
              }
            }
          }
        }
      }
      const double third = (highest_ - lowest_) / 3;
      starts.push_back(
          {y.minCoeff(), spread / 2, 2, lowest_ + third, spread / 2, 2, highest_ - third});
      return starts;
    }
    case Law::kBrokenPowerLaw: {
      std::vector<std::vector<double>> grid;
      if (n_breaks_ == 0) {
        for (const double c : {0.03, 0.1, 0.2, 0.35, 0.5, 0.8, 1.2, 2.0}) {
          grid.push_back({c});
          grid.push_back({-c});
        }
      } else if (n_breaks_ == 1) {
        for (const double c0 : {-0.5, -0.1, 0.02, 0.1, 0.3, 0.8}) {
          for (const double c1 : {-1.0, -0.3, 0.3, 1.0, 2.0}) {
            for (const double d : places(5)) {
              for (const double f : {0.1, 0.5}) grid.push_back({c0, c1, d, std::log(f)});
            }
          }
        }
      } else {
        const double low = std::log(0.1);
        const double high = std::log(1);
        grid =
            SpreadStarts(std::vector<double>{-0.6, -1.5, lowest_, low, -1.5, lowest_, low},
                         std::vector<double>{0.6, 1.5, highest_, high, 1.5, highest_, high}, 600);
        for (std::vector<double>& g : grid) {
          if (g[2] > g[5]) std::swap(g[2], g[5]);
        }
      }
      for (const std::vector<double>& g : grid) {
        std::vector<double> start = {0, 1};
        start.insert(start.end(), g.begin(), g.end());
        const VectorXd e = column([&](Index i) {
          const double u = at(i);
          return EvaluateValue(start.data(), &u, nullptr);
        });
        if (!e.allFinite()) continue;
        if (const auto found = Linear(with_ones({e}), y)) {
          start[0] = (*found)[0];
          start[1] = (*found)[1];
          starts.push_back(start);
        }
      }
      if (starts.empty()) {
        starts.push_back({mean, 0, 0.1});
        for (int i = 0; i < n_breaks_; ++i) {
          for (const double t : {0.1, (lowest_ + highest_) / 2, std::log(0.5)}) {
            starts[0].push_back(t);
          }
        }
      }
      return starts;
    }
    case Law::kLossHinge: {
      // One in the middle of each gap: between two of the data the objective is smooth.
      std::vector<double> sorted(positions.begin(), positions.end());
      std::sort(sorted.begin(), sorted.end());
      sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
      constexpr size_t kMaxGaps = 64;
      const size_t step = 1 + sorted.size() / kMaxGaps;
      for (size_t i = 0; i + step < sorted.size(); i += step) {
        const double eta = (sorted[i] + sorted[i + step]) / 2;
        const VectorXd below = column([&](Index r) { return std::max(0.0, eta - at(r)); });
        if (const auto found = Linear(with_ones({below}), y)) {
          starts.push_back({(*found)[0], (*found)[1], eta});
        }
      }
      starts.push_back({mean, -spread, (lowest_ + highest_) / 2});
      return starts;
    }
    case Law::kLadder:
      for (const double alpha : {0.1, 0.25, 0.45, 0.8}) {
        for (const double beta : {0.1, 0.25, 0.45, 0.8}) {
          const VectorXd first = column([&](Index i) { return std::exp(-alpha * at(i)); });
          const VectorXd second = column([&](Index i) { return std::exp(-beta * at(i, 1)); });
          const double least = 1e-2 * unit;
          double a = unit / 3;
          double b = unit / 3;
          double e = unit / 3;
          if (const auto found = Linear(with_ones({first, second}), y)) {
            e = std::max((*found)[0], least);
            a = std::max((*found)[1], least);
            b = std::max((*found)[2], least);
          }
          starts.push_back({std::log(a), std::log(b), alpha, beta, e});
        }
      }
      return starts;
  }
  return starts;
}

std::optional<std::vector<double>> LawFrame::Project(std::span<const double> positions,
                                                     std::span<const double> values) const {
  if (law_ != Law::kPowerLawFloor) return std::nullopt;
  const Index n = static_cast<Index>(values.size());
  using Buffer = Eigen::Array<double, Eigen::Dynamic, 1>;
  const Eigen::Map<const Buffer> u(positions.data(), n);
  const Eigen::Map<const Buffer> y(values.data(), n);
  const double mean = y.mean();
  const Buffer centred = y - mean;
  const double squares = centred.square().sum();
  struct Fit {
    double residual_squares;
    double floor;
    double amplitude;
  };
  // The best E >= 0 and a >= 0 for e = exp(-b u).
  const auto fit = [&](const Buffer& e) -> Fit {
    const double e_mean = e.mean();
    const double shared = (e * centred).sum();
    const double own = (e - e_mean).square().sum();
    if (!(own > 0) || !(shared > 0)) return {squares, mean, 0};
    const double a = shared / own;
    const double floor = mean - a * e_mean;
    if (floor >= 0) return {squares - a * shared, floor, a};
    const double alone = (e * y).sum() / e.square().sum();
    return {(y - alone * e).square().sum(), 0, alone};
  };
  // Exponents in steps of sqrt(2): each is the square of the last but one.
  constexpr int kSteps = 29;
  constexpr double kLeast = 1e-3;
  std::array<Buffer, 2> e = {(-kLeast * u).exp(), (-kLeast * std::numbers::sqrt2 * u).exp()};
  double best = squares;
  int best_step = -1;
  for (int step = 0; step < kSteps; ++step) {
    Buffer& here = e[static_cast<size_t>(step % 2)];
    if (step > 1) here = here.square();
    const Fit found = fit(here);
    if (found.amplitude > 0 && found.residual_squares < best) {
      best = found.residual_squares;
      best_step = step;
    }
  }
  if (best_step < 0) return std::nullopt;
  Buffer trial(n);
  const auto at = [&](double log_b) {
    trial = (-std::exp(log_b) * u).exp();
    return fit(trial);
  };
  const double unit = std::numbers::ln2 / 2;
  double low = std::log(kLeast) + unit * std::max(best_step - 1, 0);
  double high = std::log(kLeast) + unit * std::min(best_step + 1, kSteps - 1);
  constexpr double kGolden = 0.6180339887498949;
  double left = high - kGolden * (high - low);
  double right = low + kGolden * (high - low);
  double left_value = at(left).residual_squares;
  double right_value = at(right).residual_squares;
  constexpr int kGoldenSteps = 12;
  for (int i = 0; i < kGoldenSteps; ++i) {
    if (left_value < right_value) {
      high = right;
      right = left;
      right_value = left_value;
      left = high - kGolden * (high - low);
      left_value = at(left).residual_squares;
    } else {
      low = left;
      left = right;
      left_value = right_value;
      right = low + kGolden * (high - low);
      right_value = at(right).residual_squares;
    }
  }
  const double log_b = (low + high) / 2;
  const Fit found = at(log_b);
  if (!(found.amplitude > 0) || !std::isfinite(found.amplitude)) return std::nullopt;
  return std::vector<double>{found.floor, std::log(found.amplitude), std::exp(log_b)};
}

std::vector<double> LawFrame::Parameters(std::span<const double> coordinates,
                                         std::span<double> jacobian) const {
  const size_t p = n_parameters_;
  std::vector<double> out(p);
  std::fill(jacobian.begin(), jacobian.end(), 0);
  for (size_t i = 0; i < p; ++i) {
    const double t = coordinates[i];
    const Parameter& parameter = kinds_[i];
    const double centre = centre_[parameter.axis];
    double own = 1;
    switch (parameter.kind) {
      case Kind::kSame:
        out[i] = t;
        break;
      case Kind::kAmplitude:
        out[i] = std::exp(t + coordinates[parameter.exponent] * centre);
        own = out[i];
        break;
      case Kind::kSigned:
        own = std::exp(coordinates[parameter.exponent] * centre);
        out[i] = t * own;
        break;
      case Kind::kPerUnit:
        own = 1 / width_;
        out[i] = t / width_;
        break;
      case Kind::kPlace:
        own = width_;
        out[i] = centre + width_ * t;
        break;
      case Kind::kLogPlace:
        out[i] = std::exp(centre + t);
        own = out[i];
        break;
      case Kind::kLog:
        out[i] = std::exp(t);
        own = out[i];
        break;
    }
    if (jacobian.empty()) continue;
    jacobian[i * p + i] = own;
    if (parameter.kind == Kind::kAmplitude || parameter.kind == Kind::kSigned) {
      jacobian[i * p + parameter.exponent] = out[i] * centre;
    }
  }
  return out;
}

std::optional<double> LawFrame::Coordinate(size_t i, double parameter) const {
  switch (kinds_[i].kind) {
    case Kind::kSame:
      return parameter;
    case Kind::kAmplitude:
    case Kind::kSigned:
      return std::nullopt;
    case Kind::kPerUnit:
      return parameter * width_;
    case Kind::kPlace:
      return (parameter - centre_[0]) / width_;
    case Kind::kLogPlace:
      return std::log(parameter) - centre_[0];
    case Kind::kLog:
      return std::log(parameter);
  }
  return std::nullopt;
}

double EvaluateLaw(Law law, std::span<const double> parameters, std::span<const double> x,
                   std::span<double> gradient) {
  if (static_cast<size_t>(law) >= kLaws) return kNan;
  int n_breaks = 0;
  if (law == Law::kBrokenPowerLaw) {
    if (parameters.size() < 3 || parameters.size() % 3 != 0) return kNan;
    n_breaks = static_cast<int>(parameters.size() / 3) - 1;
    if (n_breaks > kMaxBreaks) return kNan;
  }
  // Centred at 0 with a width of 1, coordinate i depends on parameter i alone.
  const LawFrame frame(law, n_breaks);
  const size_t p = frame.n_parameters_;
  if (parameters.size() != p || x.size() != frame.dimension_ ||
      (!gradient.empty() && gradient.size() != p)) {
    return kNan;
  }
  std::array<double, kMaxParameters> t{};
  std::array<double, kMaxParameters> slope{};
  for (size_t i = 0; i < p; ++i) {
    switch (frame.kinds_[i].kind) {
      case LawFrame::Kind::kAmplitude:
      case LawFrame::Kind::kLogPlace:
      case LawFrame::Kind::kLog:
        if (!(parameters[i] > 0)) return kNan;
        t[i] = std::log(parameters[i]);
        slope[i] = 1 / parameters[i];
        break;
      default:
        t[i] = parameters[i];
        slope[i] = 1;
        break;
    }
  }
  std::array<double, 2> u{};
  frame.Position(x.data(), u.data());
  if (std::isnan(u[0]) || std::isnan(u[1])) return kNan;
  std::array<double, kMaxParameters> g{};
  const double value =
      frame.EvaluateValue(t.data(), u.data(), gradient.empty() ? nullptr : g.data());
  for (size_t i = 0; i < gradient.size(); ++i) gradient[i] = g[i] * slope[i];
  return value;
}

}  // namespace mirage::metrics
