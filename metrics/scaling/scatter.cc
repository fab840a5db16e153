#include "metrics/scaling/scatter.h"

#include <Eigen/Core>
#include <Eigen/QR>
#include <algorithm>
#include <boost/math/tools/minima.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/distributions.h"

namespace mirage::metrics {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kInf = std::numeric_limits<double>::infinity();

absl::Status Invalid(std::string_view message) {
  return absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
}

// The likelihood of a variance, profiled over beta.
class Profile {
 public:
  // What one value of tau^2 gives.
  struct Terms {
    // sum log v_i.
    double log_variances = 0;
    // log |X' V^-1 X|.
    double log_determinant = 0;
    // min over beta of sum (y - X beta)^2 / v.
    double q = 0;

    double MinusRestricted() const { return (log_variances + log_determinant + q) / 2; }
    double MinusLikelihood() const { return (log_variances + q) / 2; }
  };

  explicit Profile(const ScatterProblem& problem)
      : groups_(problem.groups), y_(static_cast<Index>(problem.values.size())) {
    std::copy(problem.values.begin(), problem.values.end(), y_.begin());
    variances_ = VectorXd::Zero(y_.size());
    std::copy(problem.sampling_variances.begin(), problem.sampling_variances.end(),
              variances_.begin());
    rank_ = groups_.size();
    if (groups_.empty() && !problem.design.empty()) KeepIndependent(problem.design);
    const double first = y_.size() > 0 ? variances_[0] : 0;
    equal_ = (variances_.array() == first).all();
    positive_ = y_.size() > 0 && variances_.minCoeff() > 0;
    if (positive_) {
      harmonic_mean_ = static_cast<double>(y_.size()) / variances_.cwiseInverse().sum();
    }
    if (y_.size() > 0) {
      squares_ = Evaluate(1, VectorXd::Zero(y_.size())).q;
      // What is left of a perfect fit is rounding.
      const double noise = 1e-15 * y_.lpNorm<Eigen::Infinity>();
      if (squares_ <= noise * noise * static_cast<double>(y_.size())) squares_ = 0;
    }
  }

  Index n() const { return y_.size(); }
  size_t rank() const { return rank_; }
  double df() const { return static_cast<double>(y_.size()) - static_cast<double>(rank_); }
  bool equal() const { return equal_; }
  // Whether all sampling variances are > 0, so that tau = 0 has a likelihood.
  bool positive() const { return positive_; }
  double harmonic_mean() const { return harmonic_mean_; }
  double variance() const { return variances_[0]; }
  // The residual sum of squares with equal weights.
  double squares() const { return squares_; }

  Terms At(double tau2) const { return Evaluate(tau2, variances_); }

  // Between what tau^2 the search goes.
  double lowest() const {
    const double unit = squares_ / df();
    return 1e-10 * (positive_ ? std::min(unit, harmonic_mean_) : unit);
  }
  double highest() const { return 4 * squares_; }

  // The tau^2 where `criterion` is least, 0 where it rises from there.
  double Minimize(absl::FunctionRef<double(const Terms& terms)> criterion) const {
    const double low = std::log(lowest());
    const double high = std::log(highest());
    constexpr int kSteps = 20;
    const auto at = [&](double t) { return criterion(At(std::exp(t))); };
    double best = kInf;
    int best_step = 0;
    for (int i = 0; i <= kSteps; ++i) {
      const double value = at(low + (high - low) * i / kSteps);
      if (value < best) {
        best = value;
        best_step = i;
      }
    }
    std::uintmax_t evaluations = 100;
    const auto [t, value] = boost::math::tools::brent_find_minima(
        at, low + (high - low) * std::max(best_step - 1, 0) / kSteps,
        low + (high - low) * std::min(best_step + 1, kSteps) / kSteps, 30, evaluations);
    if (positive_ && criterion(At(0)) <= value + 1e-13 * std::fabs(value)) return 0;
    return std::exp(t);
  }

  // The tau^2 with Q(tau^2) = q; 0 where Q(0) is less.
  double Inverse(double q) const {
    if (positive_ && At(0).q <= q) return 0;
    double low = lowest();
    double high = highest();
    while (At(high).q > q && high < 1e300) high *= 4;
    while (At(low).q < q && low > 1e-300) low /= 4;
    while (high > low * (1 + 1e-13)) {
      const double middle = std::sqrt(low) * std::sqrt(high);
      if (middle <= low || middle >= high) break;
      (At(middle).q > q ? low : high) = middle;
    }
    return high;
  }

 private:
  // Keeps columns that are not combinations of others.
  void KeepIndependent(std::span<const double> design) {
    const Index p = static_cast<Index>(design.size()) / y_.size();
    MatrixXd x = Eigen::Map<const MatrixXd>(design.data(), y_.size(), p);
    for (Index j = 0; j < p; ++j) {
      const double length = x.col(j).norm();
      if (length > 0) x.col(j) /= length;
    }
    Eigen::ColPivHouseholderQR<MatrixXd> qr(x.rows(), x.cols());
    qr.setThreshold(1e-11);
    qr.compute(x);
    rank_ = static_cast<size_t>(qr.rank());
    x_.resize(x.rows(), qr.rank());
    for (Index j = 0; j < qr.rank(); ++j) x_.col(j) = x.col(qr.colsPermutation().indices()[j]);
  }

  Terms Evaluate(double tau2, const VectorXd& variances) const {
    Terms terms;
    const VectorXd v = variances.array() + tau2;
    terms.log_variances = v.array().log().sum();
    if (!groups_.empty()) {
      Index i = 0;
      for (const size_t size : groups_) {
        const auto part = Eigen::seqN(i, static_cast<Index>(size));
        const VectorXd weights = v(part).cwiseInverse();
        const double sum = weights.sum();
        const double mean = weights.dot(y_(part)) / sum;
        terms.log_determinant += std::log(sum);
        terms.q += weights.dot((y_(part).array() - mean).square().matrix());
        i += static_cast<Index>(size);
      }
      return terms;
    }
    const VectorXd root = v.cwiseSqrt().cwiseInverse();
    VectorXd r = root.cwiseProduct(y_);
    if (x_.cols() > 0) {
      const Eigen::HouseholderQR<MatrixXd> qr(root.asDiagonal() * x_);
      for (Index j = 0; j < x_.cols(); ++j) {
        terms.log_determinant += 2 * std::log(std::fabs(qr.matrixQR()(j, j)));
      }
      r.applyOnTheLeft(qr.householderQ().adjoint());
    }
    terms.q = r.tail(r.size() - x_.cols()).squaredNorm();
    return terms;
  }

  std::span<const size_t> groups_;
  VectorXd y_;
  VectorXd variances_;
  MatrixXd x_;
  size_t rank_ = 0;
  bool equal_ = true;
  bool positive_ = false;
  double harmonic_mean_ = 0;
  double squares_ = 0;
};

absl::Status Check(const ScatterProblem& problem) {
  const size_t n = problem.values.size();
  for (size_t i = 0; i < n; ++i) {
    if (!std::isfinite(problem.values[i])) {
      return Invalid(fmt::format("values[{}] is {}: must be finite", i, problem.values[i]));
    }
  }
  if (!problem.sampling_variances.empty() && problem.sampling_variances.size() != n) {
    return Invalid(
        fmt::format("sampling_variances has {} elements: must be none or {}, one a value",
                    problem.sampling_variances.size(), n));
  }
  for (size_t i = 0; i < problem.sampling_variances.size(); ++i) {
    const double v = problem.sampling_variances[i];
    if (!(v >= 0) || !std::isfinite(v)) {
      return Invalid(fmt::format("sampling_variances[{}] is {}: must be >= 0 and finite", i, v));
    }
  }
  if (!problem.groups.empty()) {
    size_t total = 0;
    for (size_t i = 0; i < problem.groups.size(); ++i) {
      if (problem.groups[i] < 1 || problem.groups[i] > n) {
        return Invalid(fmt::format("groups[{}] is {}: sizes must be 1 to the number of values, {}",
                                   i, problem.groups[i], n));
      }
      total += problem.groups[i];
    }
    if (total != n) {
      return Invalid(
          fmt::format("the sum of groups is {}: must be the number of values, {}", total, n));
    }
    return absl::OkStatus();
  }
  if (n == 0 ? !problem.design.empty() : problem.design.size() % n != 0) {
    return Invalid(
        fmt::format("design has {} elements: must be a multiple of the number of "
                    "values, {}",
                    problem.design.size(), n));
  }
  for (size_t i = 0; i < problem.design.size(); ++i) {
    if (!std::isfinite(problem.design[i])) {
      return Invalid(fmt::format("design[{}] is {}: must be finite", i, problem.design[i]));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDegrees(const Profile& profile) {
  if (profile.df() >= 1) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format(
      "{} values for {} parameters: no scatter can be estimated, more models are needed",
      profile.n(), profile.rank()));
}

double RestrictedTau2(const Profile& profile) {
  if (profile.squares() == 0) return 0;
  if (profile.equal()) {
    return std::max(0.0, profile.squares() / profile.df() - profile.variance());
  }
  return profile.Minimize([](const Profile::Terms& terms) { return terms.MinusRestricted(); });
}

}  // namespace

absl::StatusOr<ScatterEstimate> EstimateScatter(const ScatterProblem& problem, double level) {
  if (!(level > 0 && level < 1)) {
    return Invalid(fmt::format("level is {}: must be between 0 and 1, both excluded", level));
  }
  if (absl::Status status = Check(problem); !status.ok()) return status;
  const Profile profile(problem);
  if (absl::Status status = CheckDegrees(profile); !status.ok()) return status;
  ScatterEstimate out;
  out.level = level;
  out.df = static_cast<size_t>(profile.df());
  out.tau = std::sqrt(RestrictedTau2(profile));
  if (profile.squares() == 0) return out;
  const double high = ChiSquaredUpperQuantile((1 - level) / 2, profile.df());
  const double low = ChiSquaredUpperQuantile((1 + level) / 2, profile.df());
  if (profile.equal()) {
    out.lower = std::sqrt(std::max(0.0, profile.squares() / high - profile.variance()));
    out.upper = std::sqrt(std::max(0.0, profile.squares() / low - profile.variance()));
  } else {
    out.lower = std::sqrt(profile.Inverse(high));
    out.upper = std::sqrt(profile.Inverse(low));
  }
  return out;
}

absl::StatusOr<double> EstimateTau(const ScatterProblem& problem) {
  if (absl::Status status = Check(problem); !status.ok()) return status;
  const Profile profile(problem);
  if (absl::Status status = CheckDegrees(profile); !status.ok()) return status;
  return std::sqrt(RestrictedTau2(profile));
}

absl::StatusOr<ScatterLikelihood> MaximizeScatterLikelihood(const ScatterProblem& problem) {
  if (absl::Status status = Check(problem); !status.ok()) return status;
  const Profile profile(problem);
  if (absl::Status status = CheckDegrees(profile); !status.ok()) return status;
  const double n = static_cast<double>(profile.n());
  double tau2 = 0;
  if (profile.equal()) {
    tau2 = std::max(0.0, profile.squares() / n - profile.variance());
  } else if (profile.squares() > 0) {
    tau2 = profile.Minimize([](const Profile::Terms& terms) { return terms.MinusLikelihood(); });
  }
  ScatterLikelihood out{std::sqrt(tau2), kInf};
  if (tau2 > 0 || profile.positive()) {
    out.log_likelihood =
        -profile.At(tau2).MinusLikelihood() - n / 2 * std::log(2 * std::numbers::pi);
  }
  return out;
}

absl::StatusOr<std::vector<ScatterNode>> ScatterPosterior(const ScatterProblem& problem,
                                                          size_t n_nodes) {
  if (n_nodes < 1) return Invalid("n_nodes is 0: must be >= 1");
  if (absl::Status status = Check(problem); !status.ok()) return status;
  const Profile profile(problem);
  if (absl::Status status = CheckDegrees(profile); !status.ok()) return status;
  std::vector<ScatterNode> nodes;
  const double s2 = profile.harmonic_mean();
  const double unit = std::sqrt(std::max(RestrictedTau2(profile), s2 / 4));
  if (!(unit > 0)) return nodes;
  std::vector<double> logs;
  double largest = -kInf;
  for (size_t k = 0; k < n_nodes; ++k) {
    // tau = unit u / (1 - u): half of the nodes below the unit, and some in a tail like 1 / tau^2.
    const double u = (static_cast<double>(k) + 0.5) / static_cast<double>(n_nodes);
    const double tau = unit * u / (1 - u);
    const double log_density = -profile.At(tau * tau).MinusRestricted() -
                               std::log(s2 + tau * tau) / 2 - 2 * std::log1p(-u);
    nodes.push_back({tau, 0});
    logs.push_back(log_density);
    largest = std::max(largest, log_density);
  }
  double sum = 0;
  for (size_t k = 0; k < n_nodes; ++k) {
    nodes[k].weight = std::exp(logs[k] - largest);
    sum += nodes[k].weight;
  }
  for (ScatterNode& node : nodes) node.weight /= sum;
  return nodes;
}

}  // namespace mirage::metrics
