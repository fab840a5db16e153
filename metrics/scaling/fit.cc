#include "metrics/scaling/fit.h"

#include <Eigen/Core>
#include <Eigen/QR>
#include <algorithm>
#include <array>
#include <boost/math/policies/policy.hpp>
#include <boost/math/special_functions/log1p.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/scaling/laws.h"
#include "metrics/scaling/least_squares.h"
#include "metrics/scaling/scatter.h"
#include "metrics/scaling/series.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/max_count.h"
#include "metrics/stats/parallel.h"

namespace mirage::metrics {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr int kMaxTurns = 100;
constexpr double kTurnTolerance = 1e-9;

absl::Status Invalid(std::string_view message) {
  return absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
}

bool IsOnBound(ParameterState state) {
  return state == ParameterState::kOnLowerBound || state == ParameterState::kOnUpperBound;
}

// The error scale's transform and its derivative.
std::pair<double, double> Transform(ErrorScale scale, double y) {
  switch (scale) {
    case ErrorScale::kLog:
      return {std::log(y), 1 / y};
    case ErrorScale::kLogMinusLog:
      return {std::log(-std::log(y)), 1 / (y * std::log(y))};
    case ErrorScale::kBinomial:
      return {std::log(y / (1 - y)), 1 / (y * (1 - y))};
    case ErrorScale::kValue:
      break;
  }
  return {y, 1};
}

double Inverse(ErrorScale scale, double z) {
  switch (scale) {
    case ErrorScale::kLog:
      return std::exp(z);
    case ErrorScale::kLogMinusLog:
      return std::exp(-std::exp(z));
    case ErrorScale::kBinomial:
      return z >= 0 ? 1 / (1 + std::exp(-z)) : std::exp(z) / (1 + std::exp(z));
    case ErrorScale::kValue:
      break;
  }
  return z;
}

bool InRange(ErrorScale scale, double y) {
  switch (scale) {
    case ErrorScale::kLog:
      return y > 0;
    case ErrorScale::kLogMinusLog:
    case ErrorScale::kBinomial:
      return y > 0 && y < 1;
    case ErrorScale::kValue:
      break;
  }
  return true;
}

// t - ln(1 + t), accurate for small t.
double LogRest(double t) {
  using Policy = boost::math::policies::policy<
      boost::math::policies::domain_error<boost::math::policies::ignore_error>,
      boost::math::policies::overflow_error<boost::math::policies::ignore_error>,
      boost::math::policies::promote_double<false>>;
  return -boost::math::log1pmx(t, Policy());
}

// The signed root of the deviance of k of n under a share, and its derivative by the share.
std::pair<double, double> DevianceRoot(double k, double n, double share) {
  const double p = k / n;
  const double distance = share - p;
  double deviance = 0;
  if (k == 0) {
    deviance = -2 * n * std::log1p(-share);
  } else if (k == n) {
    deviance = -2 * n * std::log(share);
  } else {
    deviance = 2 * n * (p * LogRest(distance / p) + (1 - p) * LogRest(-distance / (1 - p)));
  }
  const double variance = share * (1 - share) / n;
  const double root = std::copysign(std::sqrt(std::max(0.0, deviance)), distance);
  if (std::fabs(distance) <= 1e-9 * std::sqrt(variance)) {
    return {distance / std::sqrt(variance), 1 / std::sqrt(variance)};
  }
  return {root, distance / variance / root};
}

// One curve on its way to a fit.
class CurveFitter {
 public:
  CurveFitter(LawFrame frame, const Curve& curve, const FitOptions& options, ErrorScale scale)
      : frame_(std::move(frame)),
        curve_(curve),
        options_(options),
        scale_(scale),
        binomial_(scale == ErrorScale::kBinomial),
        n_(binomial_ ? curve.items.size() : curve.y.size()),
        p_(frame_.n_parameters()),
        d_(frame_.dimension()) {
    positions_.resize(n_ * d_);
    for (size_t i = 0; i < n_; ++i) {
      frame_.Position(curve.x.data() + i * d_, positions_.data() + i * d_);
    }
    observed_.resize(n_);
    root_weights_.assign(n_, 1.0);
    if (binomial_) {
      for (size_t i = 0; i < n_; ++i) {
        observed_[i] =
            static_cast<double>(curve.successes[i]) / static_cast<double>(curve.items[i]);
      }
      return;
    }
    const bool known = options.loss == Loss::kSquared && !curve.sampling_variances.empty();
    for (size_t i = 0; i < n_; ++i) {
      const auto [z, slope] = Transform(scale, curve.y[i]);
      observed_[i] = z;
      if (known) variances_.push_back(curve.sampling_variances[i] * slope * slope);
    }
  }

  absl::StatusOr<LawFit> Fit();

 private:
  absl::StatusOr<LeastSquaresFit> Run(const std::vector<std::vector<double>>& starts,
                                      bool unit_errors) const;
  void Residuals(std::span<const double> t, std::span<double> r, std::span<double> j) const;
  void SetErrors(const LeastSquaresFit& fit);
  void SetWeights(double tau);
  ScatterProblem Problem() const { return {errors_, variances_, design_, {}}; }
  absl::Status Estimate(LawFit& out);
  absl::StatusOr<LeastSquaresFit> Weigh(LeastSquaresFit fit, LawFit& out);
  absl::Status SetLikelihood(const LeastSquaresFit& fit, LawFit& out);
  void Describe(const LeastSquaresFit& fit, LawFit& out) const;

  LawFrame frame_;
  const Curve& curve_;
  const FitOptions& options_;
  ErrorScale scale_;
  bool binomial_;
  size_t n_;
  size_t p_;
  size_t d_;
  std::vector<ParameterBounds> bounds_;
  std::vector<double> positions_;
  // On the error scale; shares for kBinomial.
  std::vector<double> observed_;
  std::vector<double> root_weights_;
  // On the error scale (kBinomial: logit, at the last fit): sampling variances, differences from
  // the observed values and the Jacobian.
  std::vector<double> variances_;
  std::vector<double> errors_;
  std::vector<double> jacobian_;
  // The columns of it that are not on a bound.
  std::vector<double> design_;
};

void CurveFitter::Residuals(std::span<const double> t, std::span<double> r,
                            std::span<double> j) const {
  std::array<double, kMaxParameters> gradient;
  for (size_t i = 0; i < n_; ++i) {
    double value = frame_.Evaluate(scale_, t.data(), positions_.data() + i * d_,
                                   j.empty() ? nullptr : gradient.data());
    double slope = root_weights_[i];
    if (binomial_) {
      if (!(value > 0 && value < 1)) {
        r[i] = kNan;
        return;
      }
      const auto [root, by_share] = DevianceRoot(static_cast<double>(curve_.successes[i]),
                                                 static_cast<double>(curve_.items[i]), value);
      r[i] = root * root_weights_[i];
      slope *= by_share;
    } else {
      r[i] = (value - observed_[i]) * slope;
    }
    if (j.empty()) continue;
    for (size_t k = 0; k < p_; ++k) j[k * n_ + i] = gradient[k] * slope;
  }
}

absl::StatusOr<LeastSquaresFit> CurveFitter::Run(const std::vector<std::vector<double>>& starts,
                                                 bool unit_errors) const {
  return FitLeastSquares(n_,
                         [this](std::span<const double> t, std::span<double> r,
                                std::span<double> j) { Residuals(t, r, j); },
                         starts, bounds_,
                         {.loss = options_.loss,
                          .huber_delta = options_.huber_delta,
                          .student_df = options_.student_df,
                          .unit_errors = unit_errors,
                          .max_runs = options_.max_runs,
                          // The more parameters, the more minima.
                          .enough_agreeing = p_ <= 5 ? 3 : 0});
}

// What tau is estimated from, at a fit.
void CurveFitter::SetErrors(const LeastSquaresFit& fit) {
  errors_.resize(n_);
  jacobian_.resize(n_ * p_);
  if (binomial_) variances_.resize(n_);
  std::array<double, kMaxParameters> gradient;
  for (size_t i = 0; i < n_; ++i) {
    const double value =
        frame_.Evaluate(scale_, fit.parameters.data(), positions_.data() + i * d_, gradient.data());
    double slope = 1;
    if (binomial_) {
      slope = 1 / (value * (1 - value));
      variances_[i] = slope / static_cast<double>(curve_.items[i]);
    }
    errors_[i] = value - observed_[i];
    if (binomial_) {
      // As large as the deviance says: (mu - p) / (mu (1 - mu)) would make one success where hardly
      // any is expected an outlier.
      errors_[i] = DevianceRoot(static_cast<double>(curve_.successes[i]),
                                static_cast<double>(curve_.items[i]), value)
                       .first *
                   std::sqrt(variances_[i]);
    }
    for (size_t k = 0; k < p_; ++k) jacobian_[k * n_ + i] = gradient[k] * slope;
  }
  design_.clear();
  for (size_t k = 0; k < p_; ++k) {
    if (IsOnBound(fit.states[k])) continue;
    const auto column = jacobian_.begin() + static_cast<std::ptrdiff_t>(k * n_);
    design_.insert(design_.end(), column, column + static_cast<std::ptrdiff_t>(n_));
  }
}

void CurveFitter::SetWeights(double tau) {
  for (size_t i = 0; i < n_; ++i) {
    const double variance = variances_[i] + tau * tau;
    // A deviance is measured in sampling's standard deviations already.
    root_weights_[i] = binomial_ ? std::sqrt(variances_[i] / variance) : 1 / std::sqrt(variance);
  }
}

// Tau with its interval, from replicates if there are enough.
absl::Status CurveFitter::Estimate(LawFit& out) {
  const size_t df = curve_.groups.empty() ? 0 : n_ - curve_.groups.size();
  out.scatter_source = ScatterSource::kResiduals;
  if (df >= std::max<size_t>(options_.min_replicate_df, 1)) {
    const auto found = EstimateScatter({errors_, variances_, {}, curve_.groups}, options_.level);
    if (!found.ok()) return found.status();
    // Without sampling errors replicates that are all alike would leave no variance at all.
    if (found->tau > 0 || !variances_.empty()) {
      out.scatter = *found;
      out.scatter_source = ScatterSource::kReplicates;
      return absl::OkStatus();
    }
  }
  const auto found = EstimateScatter(Problem(), options_.level);
  if (!found.ok()) return found.status();
  out.scatter = *found;
  return absl::OkStatus();
}

// Weights and fit in turn, from an unweighted fit.
absl::StatusOr<LeastSquaresFit> CurveFitter::Weigh(LeastSquaresFit fit, LawFit& out) {
  const bool from_residuals = out.scatter_source == ScatterSource::kResiduals;
  double tau = out.scatter.tau;
  bool settled = false;
  for (int turn = 0; turn < kMaxTurns && !settled; ++turn) {
    SetWeights(tau);
    auto next = Run({fit.parameters}, true);
    if (!next.ok()) return next;
    const double moved_before = fit.objective;
    fit = *std::move(next);
    SetErrors(fit);
    const double unit = std::sqrt(*std::max_element(variances_.begin(), variances_.end()));
    const double before = tau;
    if (from_residuals) {
      const auto found = EstimateTau(Problem());
      if (!found.ok()) return found.status();
      tau = *found;
    } else if (binomial_) {
      // Working residuals and their variances move with the fit.
      if (absl::Status status = Estimate(out); !status.ok()) return status;
      tau = out.scatter.tau;
    }
    settled = std::fabs(tau - before) <= kTurnTolerance * (tau + unit) &&
              (!binomial_ ||
               std::fabs(fit.objective - moved_before) <= kTurnTolerance * (1 + fit.objective));
  }
  fit.converged = fit.converged && settled;
  if (absl::Status status = Estimate(out); !status.ok()) return status;
  return fit;
}

// Of the Gaussian likelihood with tau as one of its parameters.
absl::Status CurveFitter::SetLikelihood(const LeastSquaresFit& fit, LawFit& out) {
  if (options_.loss != Loss::kSquared || (!binomial_ && variances_.empty())) {
    out.log_likelihood = fit.log_likelihood;
  } else if (binomial_) {
    if (out.scatter.tau > 0) return absl::OkStatus();
    double sum = -fit.objective;
    for (size_t i = 0; i < n_; ++i) {
      sum += std::log(BinomialPmf(curve_.successes[i], curve_.items[i], observed_[i]));
    }
    out.log_likelihood = sum;
  } else {
    LeastSquaresFit at = fit;
    double before = -std::numeric_limits<double>::infinity();
    for (int turn = 0; turn < kMaxTurns; ++turn) {
      SetErrors(at);
      const auto likely = MaximizeScatterLikelihood(Problem());
      if (!likely.ok()) return likely.status();
      if (!std::isfinite(likely->log_likelihood)) return absl::OkStatus();
      out.log_likelihood = likely->log_likelihood;
      if (std::fabs(likely->log_likelihood - before) <= 1e-10 * (1 + std::fabs(before))) break;
      before = likely->log_likelihood;
      SetWeights(likely->tau);
      auto next = Run({at.parameters}, true);
      if (!next.ok()) return next.status();
      at = *std::move(next);
    }
    SetErrors(fit);
  }
  if (out.log_likelihood.has_value()) {
    out.aicc = CorrectedAkaike(*out.log_likelihood, p_ + 1, n_);
  }
  return absl::OkStatus();
}

void CurveFitter::Describe(const LeastSquaresFit& fit, LawFit& out) const {
  out.objective = fit.objective;
  out.converged = fit.converged;
  out.coordinates = fit.parameters;
  out.coordinate_states = fit.states;
  out.coordinate_covariance = fit.covariance;
  out.error_residuals = errors_;
  out.jacobian = jacobian_;
  out.error_variances = variances_;
  if (out.scatter_source == ScatterSource::kReplicates) out.groups = curve_.groups;
  if (frame_.law() == Law::kDoubleLogisticLink && options_.bounds.empty() &&
      out.coordinates[3] > out.coordinates[6]) {
    // Either order is the same curve.
    std::array<size_t, 7> order = {0, 4, 5, 6, 1, 2, 3};
    for (size_t i = 0; i < p_; ++i) {
      out.coordinates[i] = fit.parameters[order[i]];
      out.coordinate_states[i] = fit.states[order[i]];
      for (size_t j = 0; j < p_; ++j) {
        out.coordinate_covariance[i * p_ + j] = fit.covariance[order[i] * p_ + order[j]];
      }
      std::copy_n(jacobian_.begin() + static_cast<std::ptrdiff_t>(order[i] * n_), n_,
                  out.jacobian.begin() + static_cast<std::ptrdiff_t>(i * n_));
    }
  }
  std::vector<double> t(p_ * p_);
  out.parameters = frame_.Parameters(out.coordinates, t);
  out.states = out.coordinate_states;
  out.covariance.assign(p_ * p_, kNan);
  const std::vector<double>& c = out.coordinate_covariance;
  for (size_t i = 0; i < p_; ++i) {
    for (size_t j = 0; j < p_; ++j) {
      if (std::isnan(c[i * p_ + j])) continue;
      double sum = 0;
      for (size_t k = 0; k < p_; ++k) {
        for (size_t l = 0; l < p_; ++l) {
          // A parameter that is not free is taken as known.
          if (!std::isnan(c[k * p_ + l])) sum += t[i * p_ + k] * c[k * p_ + l] * t[j * p_ + l];
        }
      }
      out.covariance[i * p_ + j] = sum;
    }
  }
  out.fitted.resize(n_);
  out.residuals.resize(n_);
  for (size_t i = 0; i < n_; ++i) {
    out.fitted[i] = frame_.Evaluate(ErrorScale::kValue, out.coordinates.data(),
                                    positions_.data() + i * d_, nullptr);
    out.residuals[i] = binomial_ ? DevianceRoot(static_cast<double>(curve_.successes[i]),
                                                static_cast<double>(curve_.items[i]), out.fitted[i])
                                       .first
                                 : errors_[i];
  }
}

absl::StatusOr<LawFit> CurveFitter::Fit() {
  bounds_ = frame_.Bounds();
  for (size_t i = 0; i < options_.bounds.size(); ++i) {
    const ParameterBounds& asked = options_.bounds[i];
    const std::optional<double> lower = frame_.Coordinate(i, asked.lower);
    const std::optional<double> upper = frame_.Coordinate(i, asked.upper);
    if (lower.has_value() && upper.has_value()) {
      // The logarithm of a lower bound that does not bind.
      bounds_[i] = {std::isnan(*lower) ? -std::numeric_limits<double>::infinity() : *lower, *upper};
    } else if (std::isfinite(asked.lower) || std::isfinite(asked.upper)) {
      return Invalid(fmt::format("bounds[{}] is {} to {}: an amplitude's must be infinite", i,
                                 asked.lower, asked.upper));
    }
  }
  LawFit out;
  out.law = frame_.law();
  out.n_breaks = frame_.n_breaks();
  out.error_scale = scale_;
  out.loss = options_.loss;
  out.n_points = n_;
  std::vector<double> values = binomial_ ? observed_ : curve_.y;
  // Starts through 0 or 1 would be outside of what counts can come from.
  if (binomial_) {
    for (double& v : values) v = 0.02 + 0.96 * v;
  }
  std::vector<std::vector<double>> starts;
  if (scale_ == ErrorScale::kValue && options_.loss == Loss::kSquared && options_.bounds.empty()) {
    if (auto projected = frame_.Project(positions_, values))
      starts.push_back(*std::move(projected));
  }
  if (starts.empty()) starts = frame_.Starts(positions_, values);
  // A line has one minimum.
  const bool line = out.law == Law::kPowerLaw ? scale_ == ErrorScale::kLog
                                              : out.law != Law::kPowerLawFloor && p_ == 2 &&
                                                    scale_ == ErrorScale::kLogMinusLog;
  if (line && options_.loss != Loss::kStudentT) starts.resize(1);
  auto fit = Run(starts, binomial_);
  if (!fit.ok()) return fit.status();
  SetErrors(*fit);
  if (absl::Status status = Estimate(out); !status.ok()) return status;
  if (absl::Status status = [&]() -> absl::Status {
        if (variances_.empty() && out.scatter_source == ScatterSource::kResiduals) {
          return SetLikelihood(*fit, out);
        }
        if (options_.loss != Loss::kSquared) return SetLikelihood(*fit, out);
        if (variances_.empty()) {
          // Replicates' scatter instead of the residuals': the same curve, other errors.
          if (absl::Status likelihood = SetLikelihood(*fit, out); !likelihood.ok()) {
            return likelihood;
          }
          const double unit = out.scatter.tau;
          root_weights_.assign(n_, 1 / unit);
          auto again = Run({fit->parameters}, true);
          if (!again.ok()) return again.status();
          *fit = *std::move(again);
          SetErrors(*fit);
          return absl::OkStatus();
        }
        auto weighed = Weigh(*fit, out);
        if (!weighed.ok()) return weighed.status();
        *fit = *std::move(weighed);
        return SetLikelihood(*fit, out);
      }();
      !status.ok()) {
    return status;
  }
  Describe(*fit, out);
  out.frame = std::move(frame_);
  return out;
}

absl::Status CheckCurve(const LawFrame& frame, const Curve& curve, ErrorScale scale) {
  const bool binomial = scale == ErrorScale::kBinomial;
  const size_t n = curve.x.size() / frame.dimension();
  if (binomial) {
    if (curve.items.size() != n || curve.successes.size() != n) {
      return Invalid(
          fmt::format("successes and items have {} and {} elements: kBinomial needs {}, "
                      "one a point of x",
                      curve.successes.size(), curve.items.size(), n));
    }
    for (size_t i = 0; i < n; ++i) {
      if (curve.items[i] < 1 || curve.items[i] > kMaxCount) {
        return Invalid(fmt::format("items[{}] is {}: must be 1 to 2^53", i, curve.items[i]));
      }
      if (curve.successes[i] > curve.items[i]) {
        return Invalid(fmt::format("successes[{}] is {}: must be at most items[{}], {}", i,
                                   curve.successes[i], i, curve.items[i]));
      }
    }
  } else {
    if (curve.y.size() != n) {
      return Invalid(
          fmt::format("y has {} elements: must be {}, one a point of x", curve.y.size(), n));
    }
    for (size_t i = 0; i < n; ++i) {
      if (!std::isfinite(curve.y[i])) {
        return Invalid(fmt::format("y[{}] is {}: must be finite", i, curve.y[i]));
      }
      if (!InRange(scale, curve.y[i])) {
        return Invalid(
            fmt::format("y[{}] is {}: must be {} for the error scale's logarithm; fit "
                        "values (kValue) or counts (kBinomial)",
                        i, curve.y[i], scale == ErrorScale::kLog ? "> 0" : "between 0 and 1"));
      }
    }
    if (!curve.sampling_variances.empty() && curve.sampling_variances.size() != n) {
      return Invalid(fmt::format("sampling_variances has {} elements: must be none or {}",
                                 curve.sampling_variances.size(), n));
    }
    for (size_t i = 0; i < curve.sampling_variances.size(); ++i) {
      const double v = curve.sampling_variances[i];
      if (!(v > 0) || !std::isfinite(v)) {
        return Invalid(
            fmt::format("sampling_variances[{}] is {}: must be > 0 and finite; leave "
                        "all out where one is unknown",
                        i, v));
      }
    }
  }
  size_t total = 0;
  for (const size_t size : curve.groups) total += size;
  if (!curve.groups.empty() && (total != n || std::ranges::count(curve.groups, size_t{0}) > 0)) {
    return Invalid(
        fmt::format("groups have {} points: must be sizes >= 1 that sum to {}", total, n));
  }
  return absl::OkStatus();
}

absl::Status CheckOptions(const LawFrame& frame, const FitOptions& options, ErrorScale scale) {
  if (scale == ErrorScale::kBinomial && options.loss != Loss::kSquared) {
    return Invalid("loss is not kSquared: counts have the binomial likelihood");
  }
  if (!(options.level > 0 && options.level < 1)) {
    return Invalid(
        fmt::format("level is {}: must be between 0 and 1, both excluded", options.level));
  }
  if (!options.bounds.empty() && options.bounds.size() != frame.n_parameters()) {
    return Invalid(fmt::format("bounds has {} elements: must be none or {}, one a parameter",
                               options.bounds.size(), frame.n_parameters()));
  }
  for (size_t i = 0; i < options.bounds.size(); ++i) {
    if (!(options.bounds[i].lower < options.bounds[i].upper)) {
      return Invalid(fmt::format("bounds[{}] is {} to {}: lower must be < upper", i,
                                 options.bounds[i].lower, options.bounds[i].upper));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::optional<double> LawFit::standard_error(size_t i) const {
  if (i >= parameters.size()) return std::nullopt;
  const double variance = covariance[i * parameters.size() + i];
  if (std::isnan(variance)) return std::nullopt;
  return std::sqrt(variance);
}

Curve CurveOf(const Series& series) {
  Curve curve;
  bool known = true;
  bool counted = series.proportion();
  for (size_t i = 0; i < series.size(); ++i) {
    const SeriesPoint& point = series.points()[i];
    curve.x.push_back(point.scale);
    curve.y.push_back(point.value);
    known = known && series.sampling_variance(i).has_value();
    counted = counted && point.n.has_value();
  }
  for (size_t i = 0; i < series.size(); ++i) {
    if (known) curve.sampling_variances.push_back(*series.sampling_variance(i));
    if (counted) {
      curve.successes.push_back(*series.successes(i));
      curve.items.push_back(*series.points()[i].n);
    }
  }
  for (const ReplicateGroup& group : series.groups()) curve.groups.push_back(group.size());
  return curve;
}

absl::StatusOr<LawFit> FitLaw(Law law, const Curve& curve, const FitOptions& options) {
  auto frame = LawFrame::Create(law, options.n_breaks, curve.x);
  if (!frame.ok()) return frame.status();
  const ErrorScale scale = options.error_scale.value_or(DefaultErrorScale(law));
  if (absl::Status status = CheckCurve(*frame, curve, scale); !status.ok()) return status;
  if (absl::Status status = CheckOptions(*frame, options, scale); !status.ok()) return status;
  const size_t n = curve.x.size() / frame->dimension();
  const size_t p = frame->n_parameters();
  const size_t needed = p + (law == Law::kBrokenPowerLaw ? 2 : 1);
  if (n < needed) {
    return absl::FailedPreconditionError(
        fmt::format("{} points for the {} parameters of {}: at least {} are needed", n, p,
                    LawName(law), needed));
  }
  return CurveFitter(*std::move(frame), curve, options, scale).Fit();
}

absl::StatusOr<LawFit> FitLaw(Law law, const Series& series, const FitOptions& options) {
  return FitLaw(law, CurveOf(series), options);
}

std::vector<absl::StatusOr<LawFit>> FitMany(Law law, std::span<const Curve> curves,
                                            const FitOptions& options, int threads) {
  std::vector<absl::StatusOr<LawFit>> fits(curves.size(), absl::UnknownError("not fitted"));
  // Enough curves to a shard that taking one costs nothing.
  constexpr size_t kShard = 16;
  ParallelFor((curves.size() + kShard - 1) / kShard, threads, [&](size_t shard) {
    const size_t end = std::min(curves.size(), (shard + 1) * kShard);
    for (size_t i = shard * kShard; i < end; ++i) fits[i] = FitLaw(law, curves[i], options);
  });
  return fits;
}

absl::StatusOr<Prediction> Predict(const LawFit& fit, std::span<const double> x,
                                   const PredictOptions& options) {
  if (!fit.frame.has_value()) return Invalid("fit is empty: take one that FitLaw() made");
  const LawFrame& frame = *fit.frame;
  const size_t p = frame.n_parameters();
  const bool binomial = fit.error_scale == ErrorScale::kBinomial;
  if (x.size() != frame.dimension()) {
    return Invalid(fmt::format("x has {} numbers: must be {}", x.size(), frame.dimension()));
  }
  std::array<double, 2> u{};
  frame.Position(x.data(), u.data());
  for (size_t k = 0; k < x.size(); ++k) {
    if (!std::isfinite(x[k]) || !std::isfinite(u[k])) {
      return Invalid(
          fmt::format("x[{}] is {}: must be finite and within the law's domain", k, x[k]));
    }
  }
  if (!(options.level > 0 && options.level < 1)) {
    return Invalid(
        fmt::format("level is {}: must be between 0 and 1, both excluded", options.level));
  }
  if (!(options.sampling_variance >= 0) || !std::isfinite(options.sampling_variance) ||
      (binomial && options.sampling_variance > 0)) {
    return Invalid(
        fmt::format("sampling_variance is {}: must be >= 0 and finite, and 0 for counts, "
                    "whose items say it",
                    options.sampling_variance));
  }
  if (options.items.has_value() &&
      (!binomial || *options.items < 1 || *options.items > kMaxCount)) {
    return Invalid(
        fmt::format("items is {}: must be 1 to 2^53, and only for kBinomial", *options.items));
  }
  Prediction out;
  out.value = frame.Evaluate(ErrorScale::kValue, fit.coordinates.data(), u.data(), nullptr);
  if (!InRange(fit.error_scale, out.value)) return out;
  std::array<double, kMaxParameters> gradient{};
  double z = frame.Evaluate(fit.error_scale, fit.coordinates.data(), u.data(), gradient.data());
  const double slope = Transform(fit.error_scale, out.value).second;
  const double sampling = options.sampling_variance * slope * slope;
  if (binomial) {
    z = Transform(fit.error_scale, out.value).first;
    for (double& g : gradient) g *= slope;
  }
  std::vector<size_t> free;
  for (size_t j = 0; j < p; ++j) {
    const ParameterState state = fit.coordinate_states[j];
    if (state == ParameterState::kNotIdentified) return out;
    if (state == ParameterState::kFree) free.push_back(j);
  }
  const Index n = static_cast<Index>(fit.n_points);
  const Index m = static_cast<Index>(free.size());
  const Eigen::Map<const MatrixXd> whole(fit.jacobian.data(), n, static_cast<Index>(p));
  MatrixXd design(n, m);
  VectorXd g(m);
  for (Index k = 0; k < m; ++k) {
    design.col(k) = whole.col(static_cast<Index>(free[static_cast<size_t>(k)]));
    g[k] = gradient[free[static_cast<size_t>(k)]];
  }
  VectorXd lengths = design.colwise().norm();
  if (m > 0 && !(lengths.minCoeff() > 0)) return out;
  // g' C g for the parameters' covariance at some tau.
  const bool squared = fit.loss == Loss::kSquared;
  const auto parameter_variance = [&](double tau) {
    if (m == 0) return 0.0;
    if (!squared) {
      double sum = 0;
      for (Index a = 0; a < m; ++a) {
        for (Index b = 0; b < m; ++b) {
          sum += g[a] * g[b] *
                 fit.coordinate_covariance[free[static_cast<size_t>(a)] * p +
                                           free[static_cast<size_t>(b)]];
        }
      }
      return sum;
    }
    MatrixXd scaled = design * lengths.cwiseInverse().asDiagonal();
    for (Index i = 0; i < n; ++i) {
      const double v = fit.error_variances.empty()
                           ? tau * tau
                           : fit.error_variances[static_cast<size_t>(i)] + tau * tau;
      scaled.row(i) /= std::sqrt(v);
    }
    // |R^-T P' g|^2.
    const Eigen::ColPivHouseholderQR<MatrixXd> qr(scaled);
    const VectorXd permuted = qr.colsPermutation().transpose() * g.cwiseQuotient(lengths);
    return qr.matrixQR()
        .topLeftCorner(m, m)
        .template triangularView<Eigen::Upper>()
        .transpose()
        .solve(permuted)
        .squaredNorm();
  };
  const double tau = fit.scatter.tau;
  if (tau > 0 || (!fit.error_variances.empty() && squared)) {
    const double variance = parameter_variance(tau);
    out.parameter_sd = std::sqrt(variance);
    out.total_sd = std::sqrt(variance + (options.scatter ? tau * tau : 0) + sampling);
  }
  // Of counts each node asks for binomial distributions.
  const size_t n_nodes = n > 1000 ? 16 : options.items.has_value() ? 40 : 200;
  const auto nodes = ScatterPosterior(
      fit.groups.empty() ? ScatterProblem{fit.error_residuals,
                                          fit.error_variances,
                                          {design.data(), static_cast<size_t>(design.size())},
                                          {}}
                         : ScatterProblem{fit.error_residuals, fit.error_variances, {}, fit.groups},
      n_nodes);
  if (!nodes.ok()) return nodes.status();
  if (nodes->empty()) return out;
  std::vector<double> deviations;
  double largest = 0;
  for (const ScatterNode& node : *nodes) {
    const double variance =
        parameter_variance(node.tau) + (options.scatter ? node.tau * node.tau : 0) + sampling;
    if (!std::isfinite(variance)) return out;
    deviations.push_back(std::sqrt(variance));
    largest = std::max(largest, deviations.back());
  }
  if (!(largest > 0)) return out;
  const double tail = (1 - options.level) / 2;
  if (options.items.has_value()) {
    const uint64_t items = *options.items;
    // Shares at the middles of equal parts of the normal distribution.
    constexpr int kParts = 24;
    std::vector<std::pair<double, double>> shares;
    for (size_t k = 0; k < deviations.size(); ++k) {
      if ((*nodes)[k].weight < 1e-6 * tail) continue;
      for (int part = 0; part < kParts; ++part) {
        const double t = NormalQuantile((part + 0.5) / kParts);
        shares.emplace_back(Inverse(fit.error_scale, z + t * deviations[k]),
                            (*nodes)[k].weight / kParts);
      }
    }
    // The smallest count with at least `probability` at it and below.
    const auto quantile = [&](double probability) {
      uint64_t low = 0;
      uint64_t high = items;
      while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        double below = 0;
        for (const auto& [share, weight] : shares) {
          below += weight * BinomialCdf(middle, items, share);
        }
        if (below >= probability) {
          high = middle;
        } else {
          low = middle + 1;
        }
      }
      return static_cast<double>(low) / static_cast<double>(items);
    };
    out.lower = quantile(tail);
    out.upper = quantile(1 - tail);
    return out;
  }
  const auto beyond = [&](double distance) {
    double sum = 0;
    for (size_t k = 0; k < deviations.size(); ++k) {
      sum += (*nodes)[k].weight * NormalTail(distance / deviations[k]);
    }
    return sum;
  };
  double low = 0;
  double high = largest * NormalUpperQuantile(tail);
  while (high - low > 1e-12 * high) {
    const double middle = (low + high) / 2;
    if (middle <= low || middle >= high) break;
    (beyond(middle) > tail ? low : high) = middle;
  }
  double lower = Inverse(fit.error_scale, z - high);
  double upper = Inverse(fit.error_scale, z + high);
  // ln(-ln) falls.
  if (lower > upper) std::swap(lower, upper);
  out.lower = lower;
  out.upper = upper;
  return out;
}

}  // namespace mirage::metrics
