#include "metrics/scaling/least_squares.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <Eigen/QR>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>
#include <numeric>
#include <optional>
#include <span>
#include <string_view>
#include <unsupported/Eigen/NonLinearOptimization>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"

namespace mirage::metrics {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kTwoPi = 2 * std::numbers::pi;
// A residual that turns the search back: its square is finite for any number of them.
constexpr double kRefused = 1e150;
constexpr double kOffsetTolerance = 1e-6;
constexpr double kStepTolerance = 1e-9;
constexpr double kRankTolerance = 1e-11;

absl::Status Invalid(std::string_view message) {
  return absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
}

absl::Status Failed(std::string_view message) {
  return absl::FailedPreconditionError(absl::string_view(message.data(), message.size()));
}

// A parameter as the search sees it.
struct Coordinate {
  ParameterBounds bounds;
  // Distance in which a parameter with one bound is measured.
  double unit = 1;

  bool has_lower() const { return std::isfinite(bounds.lower); }
  bool has_upper() const { return std::isfinite(bounds.upper); }
  double half_range() const { return (bounds.upper - bounds.lower) / 2; }

  // Moves a start off the bounds, where the search could not leave them, and sets the unit.
  double Enter(double start) {
    if (has_lower() && has_upper()) {
      const double margin = 1e-3 * (bounds.upper - bounds.lower);
      return std::clamp(start, bounds.lower + margin, bounds.upper - margin);
    }
    if (!has_lower() && !has_upper()) return start;
    const double bound = has_lower() ? bounds.lower : bounds.upper;
    const double inwards = has_lower() ? start - bound : bound - start;
    unit = inwards > 0 ? inwards : std::max(1e-3 * std::fabs(bound), 1e-3);
    return has_lower() ? bound + unit : bound - unit;
  }

  double ToParameter(double z) const {
    if (has_lower() && has_upper()) {
      return std::clamp(bounds.lower + half_range() * (1 + std::sin(z)), bounds.lower,
                        bounds.upper);
    }
    if (!has_lower() && !has_upper()) return z;
    const double inwards = unit * (std::hypot(z, 1.0) - 1);
    return has_lower() ? bounds.lower + inwards : bounds.upper - inwards;
  }

  double Slope(double z) const {
    if (has_lower() && has_upper()) return half_range() * std::cos(z);
    if (!has_lower() && !has_upper()) return 1;
    const double slope = unit * z / std::hypot(z, 1.0);
    return has_lower() ? slope : -slope;
  }

  double FromParameter(double x) const {
    if (has_lower() && has_upper()) {
      return std::asin(std::clamp((x - bounds.lower) / half_range() - 1, -1.0, 1.0));
    }
    if (!has_lower() && !has_upper()) return x;
    const double y = (has_lower() ? x - bounds.lower : bounds.upper - x) / unit;
    return std::sqrt(std::max(0.0, y * (y + 2)));
  }
};

// The loss, with Student's scale.
struct Cost {
  Loss loss;
  double delta;
  double df;
  double sigma = 1;

  double Of(double r) const {
    const double f = Transformed(r);
    return f * f / 2;
  }

  // sign(r) sqrt(2 rho(r)).
  double Transformed(double r) const {
    switch (loss) {
      case Loss::kSquared:
        return r;
      case Loss::kHuber: {
        const double size = std::fabs(r);
        return size <= delta ? r : std::copysign(std::sqrt(delta * (2 * size - delta)), r);
      }
      case Loss::kStudentT: {
        const double q = r / sigma;
        return std::copysign(std::sqrt((df + 1) * std::log1p(q * q / df)), r);
      }
    }
    return kNan;
  }

  // Its derivative.
  double Slope(double r) const {
    switch (loss) {
      case Loss::kSquared:
        return 1;
      case Loss::kHuber:
        return std::fabs(r) <= delta ? 1 : delta / std::fabs(Transformed(r));
      case Loss::kStudentT: {
        const double q = r / sigma;
        // Where the quotient would be 0 / 0.
        if (std::fabs(q) < 1e-150) return std::sqrt((df + 1) / df) / sigma;
        return (df + 1) * q / (sigma * (df + q * q) * Transformed(r));
      }
    }
    return kNan;
  }

  // rho'(r) and rho''(r).
  double Psi(double r) const {
    switch (loss) {
      case Loss::kSquared:
        return r;
      case Loss::kHuber:
        return std::clamp(r, -delta, delta);
      case Loss::kStudentT:
        return (df + 1) * r / (df * sigma * sigma + r * r);
    }
    return kNan;
  }
  double PsiSlope(double r) const {
    switch (loss) {
      case Loss::kSquared:
        return 1;
      case Loss::kHuber:
        return std::fabs(r) <= delta ? 1 : 0;
      case Loss::kStudentT: {
        const double s = df * sigma * sigma;
        return (df + 1) * (s - r * r) / ((s + r * r) * (s + r * r));
      }
    }
    return kNan;
  }
};

// Student's most likely scale for these residuals: the root of sum (df + 1) r^2 / (df s^2 + r^2) =
// n. 0 where so many residuals are 0 that there is none.
double ProfileScale(const VectorXd& r, double df) {
  const double n = static_cast<double>(r.size());
  const auto excess = [&](double s2) {
    double sum = 0;
    for (const double x : r) sum += (df + 1) * x * x / (df * s2 + x * x);
    return sum - n;
  };
  double high = (df + 1) / df * r.squaredNorm() / n;
  if (!(high > 0) || static_cast<double>((r.array() != 0).count()) * (df + 1) <= n) return 0;
  double low = high;
  while (excess(low) <= 0) {
    low /= 16;
    if (low < std::numeric_limits<double>::min()) return 0;
  }
  while (high > low * (1 + 4 * std::numeric_limits<double>::epsilon())) {
    const double middle = std::sqrt(low) * std::sqrt(high);
    if (middle <= low || middle >= high) break;
    (excess(middle) > 0 ? low : high) = middle;
  }
  return std::sqrt(high);
}

// One problem and the buffers of its fits.
class Fitter {
 public:
  Fitter(size_t n, size_t p, ResidualFunction function, const LeastSquaresOptions& options)
      : n_(static_cast<Index>(n)),
        p_(static_cast<Index>(p)),
        function_(function),
        options_(options),
        cost_{options.loss, options.huber_delta, options.student_df},
        coordinates_(p),
        r_(n_),
        j_(n_, p_) {}

  struct Outcome {
    VectorXd parameters;
    std::vector<ParameterState> states;
    double objective = 0;
    double sigma = 1;
    bool converged = false;
  };

  int n_evaluations() const { return n_evaluations_; }

  // Whether the residuals (and the Jacobian) are finite at x; they are in r_ (and j_).
  bool Evaluate(const VectorXd& x, bool jacobian) {
    ++n_evaluations_;
    function_({x.data(), static_cast<size_t>(p_)}, {r_.data(), static_cast<size_t>(n_)},
              jacobian ? std::span<double>(j_.data(), static_cast<size_t>(n_ * p_))
                       : std::span<double>());
    return r_.allFinite() && (!jacobian || j_.allFinite());
  }

  const VectorXd& residuals() const { return r_; }
  const MatrixXd& jacobian() const { return j_; }

  // A start inside the bounds.
  VectorXd Enter(std::span<const double> start, std::span<const ParameterBounds> bounds) {
    VectorXd x(p_);
    for (Index j = 0; j < p_; ++j) {
      const size_t k = static_cast<size_t>(j);
      coordinates_[k] = Coordinate{bounds.empty() ? ParameterBounds{} : bounds[k]};
      x[j] = coordinates_[k].Enter(start[k]);
    }
    return x;
  }

  std::optional<Outcome> Run(VectorXd x);

  // Minus the log-likelihood for kStudentT, else the sum of what the residuals cost.
  double Objective(const VectorXd& r) const {
    double sum = 0;
    for (const double x : r) sum += cost_.Of(x);
    if (cost_.loss != Loss::kStudentT) return sum;
    const double df = cost_.df;
    return sum + static_cast<double>(n_) *
                     (std::log(cost_.sigma) + std::lgamma(df / 2) - std::lgamma((df + 1) / 2) +
                      std::log(df * std::numbers::pi) / 2);
  }

  void set_sigma(double sigma) { cost_.sigma = sigma; }
  const Cost& cost() const { return cost_; }

 private:
  struct Functor;

  bool Search(VectorXd& x);
  bool SearchWithScale(VectorXd& x);
  bool Profile();
  void Polish(VectorXd& x);
  bool IsConverged(const VectorXd& x, double first_norm);
  double ScaledGradient(Index j) const;
  bool IsFixed(Index j) const { return states_[static_cast<size_t>(j)] != ParameterState::kFree; }

  Index n_;
  Index p_;
  ResidualFunction function_;
  LeastSquaresOptions options_;
  Cost cost_;
  std::vector<Coordinate> coordinates_;
  std::vector<ParameterState> states_;
  // Numbers of the parameters that are not fixed.
  std::vector<Index> free_;
  VectorXd r_;
  MatrixXd j_;
  int n_evaluations_ = 0;
};

// What Eigen's minimiser calls, in the coordinates of the search.
struct Fitter::Functor {
  Fitter& fitter;
  VectorXd& x;

  int inputs() const { return static_cast<int>(fitter.free_.size()); }
  int values() const { return static_cast<int>(fitter.n_); }

  void Set(const VectorXd& z) const {
    for (size_t k = 0; k < fitter.free_.size(); ++k) {
      const Index j = fitter.free_[k];
      x[j] = fitter.coordinates_[static_cast<size_t>(j)].ToParameter(z[static_cast<Index>(k)]);
    }
  }

  int operator()(const VectorXd& z, VectorXd& f) const {
    Set(z);
    if (!fitter.Evaluate(x, false)) {
      f.setConstant(kRefused);
      return 0;
    }
    for (Index i = 0; i < f.size(); ++i) f[i] = fitter.cost_.Transformed(fitter.r_[i]);
    if (!f.allFinite()) f.setConstant(kRefused);
    return 0;
  }

  int df(const VectorXd& z, MatrixXd& out) const {
    Set(z);
    if (!fitter.Evaluate(x, true)) return -1;
    for (size_t k = 0; k < fitter.free_.size(); ++k) {
      const Index j = fitter.free_[k];
      const double slope =
          fitter.coordinates_[static_cast<size_t>(j)].Slope(z[static_cast<Index>(k)]);
      for (Index i = 0; i < out.rows(); ++i) {
        out(i, static_cast<Index>(k)) = fitter.j_(i, j) * slope * fitter.cost_.Slope(fitter.r_[i]);
      }
    }
    return out.allFinite() ? 0 : -1;
  }
};

// Runs the minimiser over the free parameters. False where the function gave no usable values.
bool Fitter::Search(VectorXd& x) {
  if (free_.empty()) return Evaluate(x, false);
  VectorXd trial = x;
  Functor functor{*this, trial};
  Eigen::LevenbergMarquardt<Functor> minimizer(functor);
  // The machine's precision: starts that agree then agree to many digits.
  minimizer.parameters.ftol = 1e-14;
  minimizer.parameters.xtol = 1e-14;
  minimizer.parameters.gtol = 0;
  // MINPACK's default of 100 overshoots from far starts (NIST's BoxBOD).
  minimizer.parameters.factor = 1;
  minimizer.parameters.maxfev = options_.max_evaluations;
  VectorXd z(static_cast<Index>(free_.size()));
  for (size_t k = 0; k < free_.size(); ++k) {
    const Index j = free_[k];
    z[static_cast<Index>(k)] = coordinates_[static_cast<size_t>(j)].FromParameter(x[j]);
  }
  const auto status = minimizer.minimize(z);
  if (status == Eigen::LevenbergMarquardtSpace::ImproperInputParameters) return false;
  functor.Set(z);
  x = trial;
  return Evaluate(x, false);
}

// Sets Student's scale for the residuals in r_.
bool Fitter::Profile() {
  if (cost_.loss != Loss::kStudentT) return true;
  cost_.sigma = ProfileScale(r_, cost_.df);
  return cost_.sigma > 0;
}

bool Fitter::SearchWithScale(VectorXd& x) {
  if (cost_.loss != Loss::kStudentT) return Search(x);
  if (!Evaluate(x, false) || !Profile()) return false;
  constexpr int kMaxTurns = 500;
  for (int turn = 0; turn < kMaxTurns; ++turn) {
    const double before = cost_.sigma;
    if (!Search(x) || !Profile()) return false;
    if (std::fabs(cost_.sigma - before) <= 1e-12 * before) break;
  }
  return true;
}

// d objective / d x_j over the length of the Jacobian's column: in the unit of the residuals.
double Fitter::ScaledGradient(Index j) const {
  double gradient = 0;
  double squares = 0;
  for (Index i = 0; i < n_; ++i) {
    gradient += j_(i, j) * cost_.Psi(r_[i]);
    const double f = j_(i, j) * cost_.Slope(r_[i]);
    squares += f * f;
  }
  return squares > 0 ? gradient / std::sqrt(squares) : 0;
}

// Newton steps on the parameters themselves. The minimiser stops where the objective's last bits
// stop to change, which leaves half of the parameters' digits; a gradient shows the other half.
void Fitter::Polish(VectorXd& x) {
  if (free_.empty()) return;
  const Index m = static_cast<Index>(free_.size());
  const auto gradient = [&] {
    double largest = 0;
    for (const Index j : free_) largest = std::max(largest, std::fabs(ScaledGradient(j)));
    return largest;
  };
  if (!Evaluate(x, true)) return;
  double norm = gradient();
  double objective = Objective(r_);
  constexpr int kMaxSteps = 8;
  for (int step = 0; step < kMaxSteps && norm > 0; ++step) {
    MatrixXd a(n_, m);
    for (Index k = 0; k < m; ++k) a.col(k) = j_.col(free_[static_cast<size_t>(k)]);
    VectorXd lengths = a.colwise().norm();
    if (!(lengths.minCoeff() > 0)) return;
    a = a * lengths.cwiseInverse().asDiagonal();
    VectorXd dx;
    if (cost_.loss == Loss::kSquared) {
      dx = a.colPivHouseholderQr().solve(-r_);
    } else {
      VectorXd psi(n_);
      VectorXd slope(n_);
      for (Index i = 0; i < n_; ++i) {
        psi[i] = cost_.Psi(r_[i]);
        slope[i] = cost_.PsiSlope(r_[i]);
      }
      const Eigen::LLT<MatrixXd> normal(a.transpose() * slope.asDiagonal() * a);
      if (normal.info() != Eigen::Success) return;
      dx = normal.solve(-a.transpose() * psi);
    }
    VectorXd next = x;
    for (Index k = 0; k < m; ++k) next[free_[static_cast<size_t>(k)]] += dx[k] / lengths[k];
    bool inside = next.allFinite();
    for (const Index j : free_) {
      const ParameterBounds& bounds = coordinates_[static_cast<size_t>(j)].bounds;
      inside = inside && next[j] >= bounds.lower && next[j] <= bounds.upper;
    }
    const double sigma = cost_.sigma;
    if (inside && Evaluate(next, true) && Profile()) {
      const double next_norm = gradient();
      const double next_objective = Objective(r_);
      if (next_norm < norm && next_objective <= objective + 1e-10 * std::fabs(objective)) {
        x = next;
        norm = next_norm;
        objective = next_objective;
        continue;
      }
    }
    cost_.sigma = sigma;
    break;
  }
  Evaluate(x, true);
}

bool Fitter::IsConverged(const VectorXd& x, double first_norm) {
  VectorXd f(n_);
  for (Index i = 0; i < n_; ++i) f[i] = cost_.Transformed(r_[i]);
  const double norm = f.norm();
  if (norm == 0 || free_.empty()) return true;
  if (cost_.loss != Loss::kStudentT && norm <= 1e-12 * first_norm) return true;
  MatrixXd a(n_, static_cast<Index>(free_.size()));
  for (size_t k = 0; k < free_.size(); ++k) {
    for (Index i = 0; i < n_; ++i) {
      a(i, static_cast<Index>(k)) = j_(i, free_[k]) * cost_.Slope(r_[i]);
    }
  }
  const VectorXd lengths = a.colwise().norm();
  for (Index k = 0; k < a.cols(); ++k) {
    if (lengths[k] > 0) a.col(k) /= lengths[k];
  }
  Eigen::ColPivHouseholderQR<MatrixXd> qr(a.rows(), a.cols());
  qr.setThreshold(kRankTolerance);
  qr.compute(a);
  const VectorXd step = qr.solve(-f);
  if ((a * step).norm() <= kOffsetTolerance * norm) return true;
  for (size_t k = 0; k < free_.size(); ++k) {
    const Index i = static_cast<Index>(k);
    if (lengths[i] == 0) continue;
    if (std::fabs(step[i]) / lengths[i] > kStepTolerance * std::fabs(x[free_[k]])) return false;
  }
  return true;
}

std::optional<Fitter::Outcome> Fitter::Run(VectorXd x) {
  states_.assign(static_cast<size_t>(p_), ParameterState::kFree);
  const auto list_free = [&] {
    free_.clear();
    for (Index j = 0; j < p_; ++j) {
      if (!IsFixed(j)) free_.push_back(j);
    }
  };
  list_free();
  cost_.sigma = 1;
  if (!Evaluate(x, false)) return std::nullopt;
  double first_norm = 0;
  for (const double r : r_) first_norm = std::hypot(first_norm, cost_.Transformed(r));
  if (!SearchWithScale(x)) return std::nullopt;
  // Puts parameters on their bounds and takes them off; each turn settles at least one.
  for (Index turn = 0; turn < 2 * p_; ++turn) {
    if (!Evaluate(x, true) || !Profile()) return std::nullopt;
    const double objective = Objective(r_);
    double norm = 0;
    for (const double r : r_) norm = std::hypot(norm, cost_.Transformed(r));
    VectorXd moved = x;
    const std::vector<ParameterState> before = states_;
    bool changed = false;
    for (Index j = 0; j < p_; ++j) {
      const Coordinate& coordinate = coordinates_[static_cast<size_t>(j)];
      ParameterState& state = states_[static_cast<size_t>(j)];
      const double gradient = ScaledGradient(j);
      if (IsFixed(j)) {
        const bool inwards = state == ParameterState::kOnLowerBound ? gradient < 0 : gradient > 0;
        if (inwards && std::fabs(gradient) > kOffsetTolerance * norm) {
          state = ParameterState::kFree;
          const double unit = coordinate.has_lower() && coordinate.has_upper()
                                  ? 1e-2 * coordinate.half_range()
                                  : 1e-2 * coordinate.unit;
          moved[j] +=
              before[static_cast<size_t>(j)] == ParameterState::kOnLowerBound ? unit : -unit;
          changed = true;
        }
        continue;
      }
      const double unit = coordinate.has_lower() && coordinate.has_upper() ? coordinate.half_range()
                                                                           : coordinate.unit;
      const bool low = coordinate.has_lower() && x[j] - coordinate.bounds.lower <= 1e-3 * unit;
      const bool high = coordinate.has_upper() && coordinate.bounds.upper - x[j] <= 1e-3 * unit;
      const bool at_low = coordinate.has_lower() && x[j] - coordinate.bounds.lower <= 1e-9 * unit;
      const bool at_high = coordinate.has_upper() && coordinate.bounds.upper - x[j] <= 1e-9 * unit;
      const bool steep = std::fabs(gradient) > kOffsetTolerance * norm;
      if (at_low || (low && steep && gradient > 0)) {
        state = ParameterState::kOnLowerBound;
        moved[j] = coordinate.bounds.lower;
        changed = true;
      } else if (at_high || (high && steep && gradient < 0)) {
        state = ParameterState::kOnUpperBound;
        moved[j] = coordinate.bounds.upper;
        changed = true;
      }
    }
    if (!changed) break;
    list_free();
    const double sigma = cost_.sigma;
    const bool worked = SearchWithScale(moved) && Profile();
    // A noiseless fit has an objective of rounding errors.
    if (worked && Objective(r_) <=
                      objective + 1e-9 * std::fabs(objective) + 1e-24 * first_norm * first_norm) {
      x = moved;
      continue;
    }
    states_ = before;
    list_free();
    cost_.sigma = sigma;
    break;
  }
  if (!Evaluate(x, true) || !Profile()) return std::nullopt;
  Polish(x);
  if (!Evaluate(x, true) || !Profile()) return std::nullopt;
  Outcome out{x, states_, Objective(r_), cost_.sigma, IsConverged(x, first_norm)};
  if (!std::isfinite(out.objective)) return std::nullopt;
  return out;
}

// Fills states, covariance, log-likelihood and scale.
void Describe(const LeastSquaresOptions& options, const Cost& cost, LeastSquaresFit& fit) {
  const Index n = static_cast<Index>(fit.residuals.size());
  const Index p = static_cast<Index>(fit.parameters.size());
  const Eigen::Map<const VectorXd> r(fit.residuals.data(), n);
  const Eigen::Map<const MatrixXd> jacobian(fit.jacobian.data(), n, p);
  std::vector<Index> free;
  for (Index j = 0; j < p; ++j) {
    if (fit.states[static_cast<size_t>(j)] != ParameterState::kFree) continue;
    if (jacobian.col(j).norm() > 0) {
      free.push_back(j);
    } else {
      fit.states[static_cast<size_t>(j)] = ParameterState::kNotIdentified;
    }
  }
  fit.covariance.assign(static_cast<size_t>(p * p), kNan);
  const Index m = static_cast<Index>(free.size());
  MatrixXd inverse(m, m);
  Index rank = m;
  if (m > 0) {
    MatrixXd a(n, m);
    VectorXd lengths(m);
    for (Index k = 0; k < m; ++k) {
      lengths[k] = jacobian.col(free[static_cast<size_t>(k)]).norm();
      a.col(k) = jacobian.col(free[static_cast<size_t>(k)]) / lengths[k];
    }
    const Eigen::JacobiSVD<MatrixXd> svd(a, Eigen::ComputeThinV);
    const VectorXd& values = svd.singularValues();
    const MatrixXd& v = svd.matrixV();
    inverse.setZero();
    for (Index s = 0; s < values.size(); ++s) {
      if (values[s] > kRankTolerance * values[0]) {
        inverse += v.col(s) * v.col(s).transpose() / (values[s] * values[s]);
        continue;
      }
      --rank;
      for (Index k = 0; k < m; ++k) {
        ParameterState& state = fit.states[static_cast<size_t>(free[static_cast<size_t>(k)])];
        if (std::fabs(v(k, s)) > 1e-4 && state == ParameterState::kFree) {
          state = ParameterState::kNotIdentified;
        }
      }
    }
    inverse = lengths.cwiseInverse().asDiagonal() * inverse * lengths.cwiseInverse().asDiagonal();
  }
  const double rss = r.squaredNorm();
  const double count = static_cast<double>(n);
  const double used = static_cast<double>(rank);
  double factor = kNan;
  fit.scale = std::sqrt(rss / count);
  fit.n_likelihood_parameters = static_cast<size_t>(p);
  switch (options.loss) {
    case Loss::kSquared:
      if (options.unit_errors) {
        factor = 1;
        fit.log_likelihood = -(rss + count * std::log(kTwoPi)) / 2;
        break;
      }
      ++fit.n_likelihood_parameters;
      if (count > used) factor = rss / (count - used);
      if (rss > 0) fit.log_likelihood = -count / 2 * (std::log(kTwoPi * rss / count) + 1);
      break;
    case Loss::kHuber: {
      double squares = 0;
      double inside = 0;
      for (const double x : r) {
        squares += cost.Psi(x) * cost.Psi(x);
        inside += cost.PsiSlope(x);
      }
      const double share = inside / count;
      if (count > used && share > 0) {
        const double k = 1 + used / count * (1 - share) / share;
        factor = k * k * squares / (count - used) / (share * share);
      }
      break;
    }
    case Loss::kStudentT:
      ++fit.n_likelihood_parameters;
      fit.scale = cost.sigma;
      fit.log_likelihood = -fit.objective;
      factor = cost.sigma * cost.sigma * (cost.df + 3) / (cost.df + 1);
      break;
  }
  for (Index a = 0; a < m; ++a) {
    for (Index b = 0; b < m; ++b) {
      const size_t i = static_cast<size_t>(free[static_cast<size_t>(a)]);
      const size_t j = static_cast<size_t>(free[static_cast<size_t>(b)]);
      if (fit.states[i] == ParameterState::kFree && fit.states[j] == ParameterState::kFree) {
        fit.covariance[i * static_cast<size_t>(p) + j] = factor * inverse(a, b);
      }
    }
  }
}

absl::Status CheckArguments(size_t n, std::span<const std::vector<double>> starts,
                            std::span<const ParameterBounds> bounds,
                            const LeastSquaresOptions& options) {
  if (starts.empty()) return Invalid("starts is empty: at least one is needed");
  const size_t p = starts[0].size();
  if (p < 1 || p > kMaxParameters) {
    return Invalid(fmt::format("starts[0] has {} parameters: must be 1 to {}", p, kMaxParameters));
  }
  for (size_t s = 0; s < starts.size(); ++s) {
    if (starts[s].size() != p) {
      return Invalid(fmt::format("starts[{}] has {} parameters: must be {} as for starts[0]", s,
                                 starts[s].size(), p));
    }
    for (size_t j = 0; j < p; ++j) {
      if (!std::isfinite(starts[s][j])) {
        return Invalid(fmt::format("starts[{}][{}] is {}: must be finite", s, j, starts[s][j]));
      }
    }
  }
  if (!bounds.empty() && bounds.size() != p) {
    return Invalid(fmt::format("bounds has {} elements: must be none or {}, one a parameter",
                               bounds.size(), p));
  }
  for (size_t j = 0; j < bounds.size(); ++j) {
    if (!(bounds[j].lower < bounds[j].upper)) {
      return Invalid(fmt::format("bounds[{}] is {} to {}: lower must be < upper", j,
                                 bounds[j].lower, bounds[j].upper));
    }
  }
  if (n < p) {
    return Invalid(
        fmt::format("n_residuals is {}: must be at least the number of parameters, {}", n, p));
  }
  if (!(options.huber_delta > 0) || !std::isfinite(options.huber_delta)) {
    return Invalid(fmt::format("huber_delta is {}: must be > 0", options.huber_delta));
  }
  if (!(options.student_df > 0) || !std::isfinite(options.student_df)) {
    return Invalid(
        fmt::format("student_df is {}: must be > 0 and finite; for infinitely many "
                    "degrees of freedom take kSquared",
                    options.student_df));
  }
  if (options.max_evaluations < 1) {
    return Invalid(fmt::format("max_evaluations is {}: must be >= 1", options.max_evaluations));
  }
  if (options.max_runs < 1) {
    return Invalid(fmt::format("max_runs is {}: must be >= 1", options.max_runs));
  }
  if (options.enough_agreeing < 0) {
    return Invalid(fmt::format("enough_agreeing is {}: must be >= 0", options.enough_agreeing));
  }
  if (options.loss != Loss::kSquared && options.unit_errors) {
    return Invalid("unit_errors is set: it goes with kSquared only");
  }
  const double count = static_cast<double>(n);
  if (options.loss == Loss::kStudentT &&
      (count - static_cast<double>(p)) * (options.student_df + 1) <= count) {
    return Failed(
        fmt::format("{} residuals for {} parameters: Student's likelihood is unbounded "
                    "with so few, take more points, fewer parameters or another loss",
                    n, p));
  }
  return absl::OkStatus();
}

}  // namespace

std::optional<double> LeastSquaresFit::standard_error(size_t i) const {
  if (i >= parameters.size()) return std::nullopt;
  const double variance = covariance[i * parameters.size() + i];
  if (std::isnan(variance)) return std::nullopt;
  return std::sqrt(variance);
}

absl::StatusOr<LeastSquaresFit> FitLeastSquares(size_t n_residuals, ResidualFunction function,
                                                std::span<const std::vector<double>> starts,
                                                std::span<const ParameterBounds> bounds,
                                                const LeastSquaresOptions& options) {
  if (absl::Status status = CheckArguments(n_residuals, starts, bounds, options); !status.ok()) {
    return status;
  }
  const size_t p = starts[0].size();
  Fitter fitter(n_residuals, p, function, options);
  std::vector<std::pair<double, size_t>> order;
  for (size_t s = 0; s < starts.size(); ++s) {
    const VectorXd x = fitter.Enter(starts[s], bounds);
    if (!fitter.Evaluate(x, false)) continue;
    double sum = 0;
    // Student's scale is not known yet.
    Cost first = fitter.cost();
    if (first.loss == Loss::kStudentT) first.loss = Loss::kSquared;
    for (const double r : fitter.residuals()) sum += first.Of(r);
    if (std::isfinite(sum)) order.emplace_back(sum, s);
  }
  if (order.empty()) {
    return Failed(
        fmt::format("the residuals are not finite at any of {} starts: mend the data or "
                    "start elsewhere",
                    starts.size()));
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  if (order.size() > static_cast<size_t>(options.max_runs)) {
    order.resize(static_cast<size_t>(options.max_runs));
  }
  std::vector<std::pair<size_t, Fitter::Outcome>> outcomes;
  bool ran_off = false;
  double lowest = kInf;
  const auto within = [&](const Fitter::Outcome& outcome, double tolerance) {
    const double unit = options.loss == Loss::kStudentT ? std::max(1.0, std::fabs(lowest)) : lowest;
    return outcome.objective <= lowest + tolerance * unit;
  };
  const auto n_agreeing = [&] {
    return std::ranges::count_if(outcomes,
                                 [&](const auto& found) { return within(found.second, 1e-6); });
  };
  for (const auto& [unused, s] : order) {
    if (options.enough_agreeing > 0 && n_agreeing() >= options.enough_agreeing) break;
    const VectorXd x = fitter.Enter(starts[s], bounds);
    std::optional<Fitter::Outcome> outcome = fitter.Run(x);
    if (!outcome.has_value()) continue;
    bool usable = true;
    for (Index j = 0; j < x.size(); ++j) {
      const double size = std::fabs(outcome->parameters[j]);
      // A bound that was asked for may be that far.
      const bool free = outcome->states[static_cast<size_t>(j)] == ParameterState::kFree;
      if (free && size > 1e15 && size > 1e12 * std::fabs(x[j])) usable = false;
    }
    if (usable) {
      lowest = std::min(lowest, outcome->objective);
      outcomes.emplace_back(s, *std::move(outcome));
    } else {
      ran_off = true;
    }
  }
  if (outcomes.empty()) {
    return Failed(ran_off ? "the fit ran off: the objective has no minimum, bound the parameters"
                          : "no start led to a fit with finite values: the residuals or their "
                            "derivatives are not finite, or a curve goes through too many points "
                            "for a scale");
  }
  const std::pair<size_t, Fitter::Outcome>* best = nullptr;
  LeastSquaresFit fit;
  fit.n_agreeing = static_cast<size_t>(n_agreeing());
  for (const auto& candidate : outcomes) {
    if (!within(candidate.second, 1e-9)) continue;
    if (best == nullptr || (candidate.second.converged && !best->second.converged)) {
      best = &candidate;
    }
  }
  const Fitter::Outcome& found = best->second;
  fitter.set_sigma(found.sigma);
  fitter.Evaluate(found.parameters, true);
  fit.parameters.assign(found.parameters.begin(), found.parameters.end());
  fit.states = found.states;
  fit.residuals.assign(fitter.residuals().begin(), fitter.residuals().end());
  fit.jacobian.assign(fitter.jacobian().data(), fitter.jacobian().data() + n_residuals * p);
  fit.objective = found.objective;
  fit.converged = found.converged;
  fit.start = best->first;
  fit.n_evaluations = fitter.n_evaluations();
  Describe(options, fitter.cost(), fit);
  return fit;
}

std::vector<std::vector<double>> SpreadStarts(std::span<const double> lower,
                                              std::span<const double> upper, size_t count) {
  if (lower.size() != upper.size()) return {};
  for (size_t j = 0; j < lower.size(); ++j) {
    if (!std::isfinite(lower[j]) || !std::isfinite(upper[j])) return {};
  }
  // The root of g^(d + 1) = g + 1.
  const double d = static_cast<double>(lower.size());
  double golden = 1.5;
  for (int i = 0; i < 64; ++i) golden = std::pow(1 + golden, 1 / (d + 1));
  std::vector<std::vector<double>> starts(count, std::vector<double>(lower.size()));
  for (size_t j = 0; j < lower.size(); ++j) {
    const double step = std::pow(golden, -static_cast<double>(j + 1));
    for (size_t i = 0; i < count; ++i) {
      const double at = 0.5 + step * static_cast<double>(i);
      starts[i][j] = lower[j] + (at - std::floor(at)) * (upper[j] - lower[j]);
    }
  }
  return starts;
}

std::optional<double> CorrectedAkaike(double log_likelihood, size_t n_parameters, size_t n_points) {
  if (n_points <= n_parameters + 1) return std::nullopt;
  const double k = static_cast<double>(n_parameters);
  return 2 * k - 2 * log_likelihood +
         2 * k * (k + 1) / (static_cast<double>(n_points - n_parameters) - 1);
}

}  // namespace mirage::metrics
