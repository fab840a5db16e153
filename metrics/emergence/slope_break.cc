#include "metrics/emergence/slope_break.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "boost/math/tools/toms748_solve.hpp"
#include "fmt/format.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

constexpr int kMaxReplicates = 100'000;
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// The grid of the scatter, even in its logarithm.
constexpr std::array<double, 10> kTaus = {0.005,  0.0083, 0.0139, 0.0232, 0.0387,
                                          0.0646, 0.108,  0.18,   0.3,    0.5};
// Prior standard deviation of a change of the exponent.
constexpr double kChangeSd = 1.5;
// 10-90 % widths of a rise, in windows; 0 is a hinge.
constexpr std::array<double, 5> kRiseWidths = {0, 0.5, 1, 2, 4};
// The same of a fall.
constexpr std::array<double, 2> kFallWidths = {0.5, 2};
// Most places of a rise, and of a fall.
constexpr size_t kMaxRisePlaces = 24;
constexpr size_t kMaxFallPlaces = 8;
// Steepest slope of y, to the worse, with which a step's law may end.
constexpr double kMostEndSlope = 0.05;
// Cells that weigh less than exp(-this) of the heaviest are dropped.
constexpr double kDropped = 14;
// Between 10 and 90 % of a logistic function, in its scale: 2 ln 9.
const double kWidthOfLogistic = 2 * std::log(9.0);

double Softplus(double z) { return z > 0 ? z + std::log1p(std::exp(-z)) : std::log1p(std::exp(z)); }

// width * softplus(x / width); a hinge at width 0.
double Bend(double x, double width) {
  return width > 0 ? width * Softplus(x / width) : std::max(0.0, x);
}

// Share of a rise of this 10-90 % width that counts as one inside the window: all of it up to the
// window's own width.
double ShareInWindow(double width, double window) {
  if (width <= window) return 1;
  const double half = window / 2 / (width / kWidthOfLogistic);
  // A rise as wide as the window has 80 % of it inside.
  return (2 / (1 + std::exp(-half)) - 1) / 0.8;
}

absl::Status CheckPoints(std::span<const LawPoint> points) {
  for (size_t i = 0; i < points.size(); ++i) {
    if (!std::isfinite(points[i].x) || !std::isfinite(points[i].y)) {
      return absl::InvalidArgumentError(
          fmt::format("points[{}] is ({}, {}): must be finite", i, points[i].x, points[i].y));
    }
    if (!(points[i].variance >= 0 && std::isfinite(points[i].variance))) {
      return absl::InvalidArgumentError(
          fmt::format("points[{}].variance is {}: must be finite and >= 0", i, points[i].variance));
    }
  }
  return absl::OkStatus();
}

// A place where the exponent changes.
struct Change {
  double place = 0;
  double width = 0;
  // Share of the change inside the window; for a rise.
  double share = 0;
  // Whether there are scales enough on either side to tell it from single models.
  bool is_resolved = false;
  // The curve's part of it, point by point.
  std::vector<double> basis;
};

// Sums that take a line out of inner products: <u, v> is that of what is left of u and v.
class LineOut {
 public:
  LineOut(std::span<const double> weights, std::span<const double> x) : weights_(weights), x_(x) {
    for (size_t i = 0; i < x.size(); ++i) {
      one_ += weights[i];
      mean_ += weights[i] * x[i];
    }
    mean_ /= one_;
    for (size_t i = 0; i < x.size(); ++i) {
      square_ += weights[i] * (x[i] - mean_) * (x[i] - mean_);
    }
  }

  // What the line takes of v: its value at the mean of x, and its slope.
  std::pair<double, double> Line(std::span<const double> v) const {
    double sum = 0;
    double moment = 0;
    for (size_t i = 0; i < v.size(); ++i) {
      sum += weights_[i] * v[i];
      moment += weights_[i] * (x_[i] - mean_) * v[i];
    }
    return {sum / one_, moment / square_};
  }

  double Product(std::span<const double> u, std::span<const double> v,
                 std::pair<double, double> line_u, std::pair<double, double> line_v) const {
    double sum = 0;
    for (size_t i = 0; i < u.size(); ++i) sum += weights_[i] * u[i] * v[i];
    return sum - line_u.first * line_v.first * one_ - line_u.second * line_v.second * square_;
  }

  double LogDeterminant() const { return std::log(one_) + std::log(square_); }
  double one() const { return one_; }
  double square() const { return square_; }
  double mean() const { return mean_; }

 private:
  std::span<const double> weights_;
  std::span<const double> x_;
  double one_ = 0;
  double mean_ = 0;
  double square_ = 0;
};

// The classical tests: a line against a hinge at the best of the knots, and a line with a fall
// against one that also has a rise before it.
class HingeTest {
 public:
  HingeTest(std::vector<double> x, std::vector<double> variance, std::vector<double> knots,
            std::vector<double> fall_knots)
      : x_(std::move(x)),
        variance_(std::move(variance)),
        knots_(std::move(knots)),
        fall_knots_(std::move(fall_knots)) {
    for (const double knot : knots_) {
      std::vector<double>& basis = basis_.emplace_back();
      for (const double at : x_) basis.push_back(-std::max(0.0, at - knot));
    }
    for (const double knot : fall_knots_) {
      std::vector<double>& basis = fall_basis_.emplace_back();
      for (const double at : x_) basis.push_back(std::max(0.0, at - knot));
    }
  }

  struct Result {
    double f = 0;
    double knot = 0;
    double rise = 0;
    // Of the second test.
    double step_f = 0;
    // Of the line, at the mean of x.
    double intercept = 0;
    double slope = 0;
    double mean_x = 0;
    // Weights: 1 / (variance + tau^2).
    double tau2 = 0;
  };

  Result Run(std::span<const double> y) const {
    Result result;
    result.tau2 = ScatterOfLine(y);
    std::vector<double> weights(x_.size());
    for (size_t i = 0; i < x_.size(); ++i) weights[i] = 1 / (variance_[i] + result.tau2);
    const LineOut line(weights, x_);
    const auto line_y = line.Line(y);
    result.intercept = line_y.first;
    result.slope = line_y.second;
    result.mean_x = line.mean();
    const double rss0 = line.Product(y, y, line_y, line_y);
    const double df = static_cast<double>(x_.size()) - 3;
    for (size_t k = 0; k < knots_.size(); ++k) {
      const auto line_h = line.Line(basis_[k]);
      const double hh = line.Product(basis_[k], basis_[k], line_h, line_h);
      if (!(hh > 0)) continue;
      const double hy = line.Product(basis_[k], y, line_h, line_y);
      if (!(hy > 0)) continue;
      const double gain = hy * hy / hh;
      const double rest = std::max(0.0, rss0 - gain);
      // Below what rounding leaves of a perfect fit there is nothing to explain.
      const double f = gain <= 1e-20 * line.one() ? 0
                       : rest > 1e-12 * rss0      ? gain / (rest / df)
                                                  : kInf;
      if (f > result.f) {
        result.f = f;
        result.knot = knots_[k];
        result.rise = hy / hh;
      }
    }
    result.step_f = StepF(y, line, rss0);
    return result;
  }

  const std::vector<double>& x() const { return x_; }
  const std::vector<double>& variance() const { return variance_; }

 private:
  // F of a rise before a fall, against a fall alone wherever that fits best: 0 where there are too
  // few models, or nothing is gained.
  double StepF(std::span<const double> y, const LineOut& line, double rss0) const {
    const double df = static_cast<double>(x_.size()) - 4;
    if (df < 2 || fall_knots_.empty()) return 0;
    struct Projected {
      std::pair<double, double> line;
      double square = 0;
      double y = 0;
    };
    const auto line_y = line.Line(y);
    const auto project = [&](const std::vector<double>& basis) {
      const auto of_line = line.Line(basis);
      return Projected{of_line, line.Product(basis, basis, of_line, of_line),
                       line.Product(basis, y, of_line, line_y)};
    };
    std::vector<Projected> falls;
    double smooth = rss0;
    for (const std::vector<double>& basis : fall_basis_) {
      const Projected fall = falls.emplace_back(project(basis));
      if (fall.square > 0 && fall.y > 0) {
        smooth = std::min(smooth, rss0 - fall.y * fall.y / fall.square);
      }
    }
    double least = smooth;
    for (size_t k = 0; k < knots_.size(); ++k) {
      const Projected rise = project(basis_[k]);
      for (size_t j = 0; j < fall_knots_.size(); ++j) {
        if (!(fall_knots_[j] > knots_[k])) continue;
        const Projected& fall = falls[j];
        const double cross = line.Product(basis_[k], fall_basis_[j], rise.line, fall.line);
        const double determinant = rise.square * fall.square - cross * cross;
        if (!(determinant > 1e-12 * rise.square * fall.square)) continue;
        const double by_rise = (fall.square * rise.y - cross * fall.y) / determinant;
        const double by_fall = (rise.square * fall.y - cross * rise.y) / determinant;
        if (!(by_rise > 0 && by_fall > 0)) continue;
        // A law that gets worse in the end is one model off the law, or two.
        const double slope =
            line_y.second - by_rise * (rise.line.second + 1) - by_fall * (fall.line.second - 1);
        if (slope > kMostEndSlope) continue;
        least = std::min(least, rss0 - by_rise * rise.y - by_fall * fall.y);
      }
    }
    const double gain = smooth - least;
    if (gain <= 1e-20 * line.one() || gain <= 1e-12 * rss0) return 0;
    const double rest = std::max(0.0, least);
    return rest > 1e-12 * rss0 ? gain / (rest / df) : kInf;
  }

  // Variance beyond the sampling variances that makes the weighted residuals of the line as large
  // as they should be (Paule and Mandel 1982); at least a little, so that weights are finite.
  double ScatterOfLine(std::span<const double> y) const {
    std::vector<double> weights(x_.size());
    const auto excess = [&](double tau2) {
      for (size_t i = 0; i < x_.size(); ++i) weights[i] = 1 / (variance_[i] + tau2);
      const LineOut line(weights, x_);
      const auto line_y = line.Line(y);
      return line.Product(y, y, line_y, line_y) - (static_cast<double>(x_.size()) - 2);
    };
    constexpr double kLeast = 1e-10;
    if (excess(kLeast) <= 0) return kLeast;
    double low = kLeast;
    double high = 1;
    while (excess(high) > 0 && high < 1e12) high *= 10;
    for (int i = 0; i < 60 && high > low * (1 + 1e-9); ++i) {
      const double middle = std::sqrt(low * high);
      (excess(middle) > 0 ? low : high) = middle;
    }
    return high;
  }

  std::vector<double> x_;
  std::vector<double> variance_;
  std::vector<double> knots_;
  std::vector<double> fall_knots_;
  std::vector<std::vector<double>> basis_;
  std::vector<std::vector<double>> fall_basis_;
};

// p-value of the better of several one-sided tests of the same replicates (Westfall and Young 1993,
// algorithm 2.5): `tests` has one column a test, the one that was seen first in each.
double BetterOf(const std::vector<std::vector<double>>& tests) {
  const size_t n = tests.front().size();
  std::vector<size_t> best(n, n);
  for (const std::vector<double>& test : tests) {
    std::vector<double> sorted = test;
    std::sort(sorted.begin(), sorted.end());
    for (size_t i = 0; i < n; ++i) {
      // How many are at least as large, itself among them.
      const auto below = std::lower_bound(sorted.begin(), sorted.end(), test[i]) - sorted.begin();
      best[i] = std::min(best[i], n - static_cast<size_t>(below));
    }
  }
  const auto as_good =
      std::count_if(best.begin(), best.end(), [&](size_t rank) { return rank <= best.front(); });
  return static_cast<double>(as_good) / static_cast<double>(n);
}

// A normal number for each call.
double DrawNormal(CounterRng& rng) {
  // Away from 0, where the quantile is infinite.
  return NormalQuantile((std::floor(rng.Uniform() * 0x1p52) + 0.5) * 0x1p-52);
}

// A normal number above 0.
double DrawPositive(double mean, double variance, CounterRng& rng) {
  if (!(variance > 0)) return std::max(0.0, mean);
  const double sd = std::sqrt(variance);
  const double above = NormalCdf(mean / sd);
  const double p = std::max(rng.Uniform() * above, std::numeric_limits<double>::min());
  // The smaller p, the further above 0: the upper tail keeps its digits.
  return std::max(0.0, mean + sd * NormalUpperQuantile(p));
}

std::vector<double> DistinctOf(std::vector<double> sorted) {
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  return sorted;
}

std::vector<double> DistinctScales(std::span<const LawPoint> sorted) {
  std::vector<double> scales;
  for (const LawPoint& point : sorted) {
    if (scales.empty() || point.x > scales.back()) scales.push_back(point.x);
  }
  return scales;
}

// Places from first to last, at most `most`: scales and the middles between them, or evenly many.
std::vector<double> PlacesBetween(std::span<const double> scales, size_t first, size_t last,
                                  size_t most) {
  std::vector<double> places;
  for (size_t i = first; i <= last; ++i) {
    places.push_back(scales[i]);
    if (i < last) places.push_back((scales[i] + scales[i + 1]) / 2);
  }
  if (places.size() <= most) return places;
  std::vector<double> even;
  for (size_t i = 0; i < most; ++i) {
    even.push_back(places[i * (places.size() - 1) / (most - 1)]);
  }
  return even;
}

// Quantile of a value >= 0 by its distribution function. Some ten evaluations of it, which are most
// of what a fit costs.
template <class Cdf>
double QuantileOf(const Cdf& cdf, double p) {
  const auto above = [&](double x) { return cdf(x) - p; };
  const double at_0 = above(0);
  if (at_0 >= 0) return 0;
  double high = 1;
  double at_high = above(high);
  while (at_high < 0 && high < 1e6) {
    high *= 2;
    at_high = above(high);
  }
  if (at_high <= 0) return high;
  std::uintmax_t most = 100;
  return boost::math::tools::toms748_solve(above, 0.0, high, at_0, at_high,
                                           boost::math::tools::eps_tolerance<double>(50), most)
      .second;
}

}  // namespace

class SlopeBreak::Fitter {
 public:
  Fitter(std::vector<LawPoint> sorted, std::vector<size_t> places, bool is_before_onset)
      : points_(std::move(sorted)),
        places_(std::move(places)),
        is_before_onset_(is_before_onset),
        scales_(DistinctScales(points_)) {
    for (const LawPoint& point : points_) {
      x_.push_back(point.x);
      y_.push_back(point.y);
    }
    evidence_.n_points = points_.size();
    evidence_.n_scales = scales_.size();
    evidence_.is_testable = scales_.size() >= kBreakMinScales;
    std::vector<double> gaps;
    for (size_t i = 1; i < scales_.size(); ++i) gaps.push_back(scales_[i] - scales_[i - 1]);
    std::nth_element(gaps.begin(), gaps.begin() + static_cast<ptrdiff_t>(gaps.size() / 2),
                     gaps.end());
    evidence_.window = std::max((scales_.back() - scales_.front()) / 3, 2 * gaps[gaps.size() / 2]);
  }

  SlopeBreak Fit(const BreakOptions& options) {
    MakeChanges();
    FitGrid();
    Summarise();
    if (evidence_.is_testable) Test(options);
    SlopeBreak made;
    made.cells_ = std::move(cells_);
    made.evidence_ = evidence_;
    return made;
  }

 private:
  void MakeChanges() {
    const size_t n = scales_.size();
    if (evidence_.is_testable) {
      for (const double c : PlacesBetween(scales_, 1, n - 2, kMaxRisePlaces)) {
        for (const double width : kRiseWidths) {
          Change rise;
          rise.place = c;
          rise.width = width * evidence_.window / kWidthOfLogistic;
          rise.share = ShareInWindow(width * evidence_.window, evidence_.window);
          rise.is_resolved =
              c <= scales_[n - kBreakScalesAfter] &&
              (is_before_onset_ ? c - width * evidence_.window / 2 > scales_[kBreakScalesBefore - 1]
                                : c >= scales_[kBreakScalesBefore - 1]);
          for (const double x : x_) rise.basis.push_back(-Bend(x - c, rise.width));
          rises_.push_back(std::move(rise));
        }
      }
    }
    if (n >= 4) {
      for (const double d : PlacesBetween(scales_, 1, n - 2, kMaxFallPlaces)) {
        for (const double width : kFallWidths) {
          Change fall;
          fall.place = d;
          fall.width = width * evidence_.window / kWidthOfLogistic;
          for (const double x : x_) fall.basis.push_back(Bend(x - d, fall.width));
          falls_.push_back(std::move(fall));
        }
      }
    }
  }

  void FitGrid() {
    const bool with_outliers =
        points_.size() <= kMaxModelsWithOutlier && points_.size() >= kBreakMinScales;
    const double share = with_outliers ? kOutlierShare : 0;
    const double none = 1 - share * static_cast<double>(points_.size());
    for (const double tau : kTaus) {
      for (int outlier = -1; outlier < (with_outliers ? static_cast<int>(points_.size()) : 0);
           ++outlier) {
        FitWeights(tau, outlier, std::log(outlier < 0 ? none : share));
      }
    }
    std::erase_if(cells_, [this](const Cell& cell) { return cell.weight < best_ - kDropped; });
    double total = 0;
    for (Cell& cell : cells_) {
      cell.weight = std::exp(cell.weight - best_);
      total += cell.weight;
    }
    for (Cell& cell : cells_) cell.weight /= total;
  }

  // All laws, for one scatter and one outlier.
  void FitWeights(double tau, int outlier, double log_prior) {
    std::vector<double> weights(points_.size());
    double log_weights = 0;
    for (size_t i = 0; i < points_.size(); ++i) {
      double variance = points_[i].variance + tau * tau;
      if (static_cast<int>(i) == outlier) variance += kOutlierSd * kOutlierSd;
      weights[i] = 1 / variance;
      log_weights += std::log(weights[i]);
    }
    const LineOut line(weights, x_);
    const auto line_y = line.Line(y_);
    const double yy = line.Product(y_, y_, line_y, line_y);
    const double base = log_prior + (log_weights - line.LogDeterminant()) / 2;
    constexpr double kPrecision = 1 / (kChangeSd * kChangeSd);
    const double log_precision = std::log(kPrecision);

    struct Projected {
      std::pair<double, double> line;
      double square;
      double y;
    };
    const auto project = [&](const std::vector<Change>& changes) {
      std::vector<Projected> projected;
      for (const Change& change : changes) {
        const auto of_line = line.Line(change.basis);
        projected.push_back({of_line, line.Product(change.basis, change.basis, of_line, of_line),
                             line.Product(change.basis, y_, of_line, line_y)});
      }
      return projected;
    };
    const std::vector<Projected> rises = project(rises_);
    const std::vector<Projected> falls = project(falls_);
    // Half of the prior has a rise, half a fall, each spread evenly over its grid.
    const double log_no_rise = rises.empty() ? 0 : std::log(0.5);
    const double log_rise = std::log(0.5) - std::log(static_cast<double>(rises.size()));
    const double log_no_fall = falls.empty() ? 0 : std::log(0.5);
    const double log_fall = std::log(0.5) - std::log(static_cast<double>(falls.size()));

    Cell cell;
    cell.tau = tau;
    cell.outlier = outlier;
    cell.line_y[0] = line_y.first;
    cell.line_y[1] = line_y.second;
    cell.mean_x = line.mean();
    cell.one = line.one();
    cell.square = line.square();

    Keep(cell, base + log_no_rise + log_no_fall - yy / 2);
    for (size_t r = 0; r < rises.size(); ++r) {
      Cell one = cell;
      SetRise(one, rises_[r], rises[r].line);
      const double precision = rises[r].square + kPrecision;
      one.rise = rises[r].y / precision;
      one.rise_variance = 1 / precision;
      const double positive = NormalCdf(one.rise / std::sqrt(one.rise_variance));
      Keep(one, base + log_rise + log_no_fall - (yy - rises[r].y * one.rise) / 2 +
                    (log_precision - std::log(precision)) / 2 + std::log(2 * positive));
    }
    for (size_t f = 0; f < falls.size(); ++f) {
      Cell one = cell;
      SetFall(one, falls_[f], falls[f].line);
      const double precision = falls[f].square + kPrecision;
      one.fall = falls[f].y / precision;
      one.fall_variance = 1 / precision;
      const double positive = NormalCdf(one.fall / std::sqrt(one.fall_variance));
      Keep(one, base + log_no_rise + log_fall - (yy - falls[f].y * one.fall) / 2 +
                    (log_precision - std::log(precision)) / 2 + std::log(2 * positive));
      for (size_t r = 0; r < rises.size(); ++r) {
        if (falls_[f].place < rises_[r].place) continue;
        Cell both = one;
        SetRise(both, rises_[r], rises[r].line);
        const double rr = rises[r].square + kPrecision;
        const double ff = precision;
        const double rf =
            line.Product(rises_[r].basis, falls_[f].basis, rises[r].line, falls[f].line);
        const double determinant = rr * ff - rf * rf;
        if (!(determinant > 0)) continue;
        both.rise = (ff * rises[r].y - rf * falls[f].y) / determinant;
        both.fall = (rr * falls[f].y - rf * rises[r].y) / determinant;
        both.rise_variance = ff / determinant;
        both.fall_variance = rr / determinant;
        both.covariance = -rf / determinant;
        // Of the quadrant: one after the other, the second where the first is.
        const double first = NormalCdf(both.rise / std::sqrt(both.rise_variance));
        const double shift = both.rise < 0 ? -both.rise * both.covariance / both.rise_variance : 0;
        const double left =
            both.fall_variance - both.covariance * both.covariance / both.rise_variance;
        const double second = NormalCdf((both.fall + shift) / std::sqrt(left));
        Keep(both, base + log_rise + log_fall -
                       (yy - rises[r].y * both.rise - falls[f].y * both.fall) / 2 + log_precision -
                       std::log(determinant) / 2 + std::log(4 * first * second));
      }
    }
  }

  void SetRise(Cell& cell, const Change& rise, std::pair<double, double> line) const {
    cell.c = rise.place;
    cell.w = rise.width;
    cell.share = rise.share;
    cell.is_resolved = rise.is_resolved;
    cell.line_rise[0] = line.first;
    cell.line_rise[1] = line.second;
  }

  static void SetFall(Cell& cell, const Change& fall, std::pair<double, double> line) {
    cell.has_fall = true;
    cell.d = fall.place;
    cell.v = fall.width;
    cell.line_fall[0] = line.first;
    cell.line_fall[1] = line.second;
  }

  void Keep(Cell& cell, double log_weight) {
    if (!(log_weight > best_ - kDropped)) return;
    best_ = std::max(best_, log_weight);
    cell.weight = log_weight;
    cells_.push_back(cell);
  }

  void Summarise() {
    double p_rise = 0;
    double p_break = 0;
    double p_resolved = 0;
    double places = 0;
    double widths = 0;
    std::array<double, kTaus.size()> taus{};
    std::vector<double> outliers(points_.size());
    for (const Cell& cell : cells_) {
      const double p = 1 - cell.BelowRise(kBreakMinRise);
      p_rise += cell.weight * p;
      if (cell.share == 1) {
        p_break += cell.weight * p;
        if (cell.is_resolved) p_resolved += cell.weight * p;
      }
      places += cell.weight * p * cell.c;
      widths += cell.weight * p * cell.w * kWidthOfLogistic;
      taus[static_cast<size_t>(std::find(kTaus.begin(), kTaus.end(), cell.tau) - kTaus.begin())] +=
          cell.weight;
      if (cell.outlier >= 0) outliers[static_cast<size_t>(cell.outlier)] += cell.weight;
    }
    evidence_.p_rise = std::min(1.0, p_rise);
    evidence_.p_break = std::min(1.0, p_break);
    evidence_.p_resolved_break = std::min(1.0, p_resolved);
    if (p_rise > 1e-9) {
      evidence_.break_x = places / p_rise;
      evidence_.break_width = widths / p_rise;
    }
    const auto cdf = [this](double rise) {
      double below = 0;
      for (const Cell& cell : cells_) below += cell.weight * cell.BelowRise(rise);
      return below;
    };
    evidence_.rise_lower = QuantileOf(cdf, 0.05);
    evidence_.rise_median = QuantileOf(cdf, 0.5);
    evidence_.rise_upper = QuantileOf(cdf, 0.95);
    const auto tau_at = [&](double p) {
      double below = 0;
      for (size_t i = 0; i < kTaus.size(); ++i) {
        below += taus[i];
        if (below >= p) return kTaus[i];
      }
      return kTaus.back();
    };
    evidence_.tau = tau_at(0.5);
    evidence_.tau_lower = tau_at(0.05);
    evidence_.tau_upper = tau_at(0.95);
    const auto most = std::max_element(outliers.begin(), outliers.end());
    if (*most > 0) {
      evidence_.outlier = places_[static_cast<size_t>(most - outliers.begin())];
      evidence_.outlier_probability = *most;
    }
  }

  std::vector<double> Knots(std::span<const double> scales) const {
    if (scales.size() < kBreakScalesBefore + kBreakScalesAfter) return {};
    std::vector<double> knots = PlacesBetween(scales, kBreakScalesBefore - 1,
                                              scales.size() - kBreakScalesAfter, kMaxRisePlaces);
    if (is_before_onset_) knots.erase(knots.begin());
    return knots;
  }

  HingeTest MakeTest(std::optional<size_t> without) const {
    std::vector<LawPoint> kept;
    for (size_t i = 0; i < points_.size(); ++i) {
      if (i != without) kept.push_back(points_[i]);
    }
    std::vector<double> x;
    std::vector<double> variance;
    for (const LawPoint& point : kept) {
      x.push_back(point.x);
      variance.push_back(point.variance);
    }
    const std::vector<double> scales = DistinctScales(kept);
    std::vector<double> falls;
    // Of a step's fall the law after it needs two scales, too.
    if (scales.size() > kBreakScalesAfter) {
      falls = PlacesBetween(scales, 1, scales.size() - kBreakScalesAfter, kMaxRisePlaces);
    }
    return HingeTest(std::move(x), std::move(variance), Knots(scales), std::move(falls));
  }

  void Test(const BreakOptions& options) {
    const HingeTest test = MakeTest({});
    const HingeTest::Result seen = test.Run(y_);
    evidence_.sup_f = seen.f;
    evidence_.knot = seen.knot;
    evidence_.hinge_rise = seen.rise;
    evidence_.step_f = seen.step_f;
    if (options.replicates > 0) {
      std::vector<std::vector<double>> tests = {{seen.f}, {seen.step_f}};
      for (std::vector<double>& column : tests) {
        column.reserve(static_cast<size_t>(options.replicates) + 1);
      }
      std::vector<double> drawn(y_.size());
      for (int replicate = 0; replicate < options.replicates; ++replicate) {
        CounterRng rng(options.seed, static_cast<uint64_t>(replicate));
        for (size_t i = 0; i < drawn.size(); ++i) {
          drawn[i] = seen.intercept + seen.slope * (x_[i] - seen.mean_x) +
                     std::sqrt(points_[i].variance + seen.tau2) * DrawNormal(rng);
        }
        const HingeTest::Result result = test.Run(drawn);
        tests[0].push_back(result.f);
        tests[1].push_back(result.step_f);
      }
      evidence_.p_value = BetterOf(tests);
    }
    evidence_.leave_one_out_rise = kInf;
    for (size_t i = 0; i < points_.size(); ++i) {
      const HingeTest without = MakeTest(i);
      std::vector<double> y = y_;
      y.erase(y.begin() + static_cast<ptrdiff_t>(i));
      if (Knots(DistinctOf(without.x())).empty()) continue;
      evidence_.leave_one_out_rise = std::min(evidence_.leave_one_out_rise, without.Run(y).rise);
    }
  }

  std::vector<LawPoint> points_;
  std::vector<size_t> places_;
  bool is_before_onset_;
  std::vector<double> scales_;
  std::vector<double> x_;
  std::vector<double> y_;
  std::vector<Change> rises_;
  std::vector<Change> falls_;
  std::vector<Cell> cells_;
  double best_ = -kInf;
  BreakEvidence evidence_;
};

double SlopeBreak::Cell::BelowRise(double size) const {
  if (share == 0) return 1;
  const double sd = std::sqrt(rise_variance);
  const double positive = NormalCdf(rise / sd);
  if (!(positive > 0)) return 1;
  return std::clamp(1 - NormalCdf((rise - size / share) / sd) / positive, 0.0, 1.0);
}

absl::StatusOr<SlopeBreak> SlopeBreak::Create(std::span<const LawPoint> points,
                                              const BreakOptions& options) {
  if (absl::Status status = CheckPoints(points); !status.ok()) return status;
  if (options.replicates < 0 || options.replicates > kMaxReplicates) {
    return absl::InvalidArgumentError(
        fmt::format("replicates is {}: must be from 0 to {}", options.replicates, kMaxReplicates));
  }
  std::vector<size_t> places(points.size());
  std::iota(places.begin(), places.end(), size_t{0});
  std::sort(places.begin(), places.end(), [&](size_t a, size_t b) {
    return std::tuple(points[a].x, points[a].y, points[a].variance, a) <
           std::tuple(points[b].x, points[b].y, points[b].variance, b);
  });
  std::vector<LawPoint> sorted;
  sorted.reserve(places.size());
  for (const size_t place : places) sorted.push_back(points[place]);
  if (sorted.empty() || sorted.front().x == sorted.back().x) {
    return absl::FailedPreconditionError("a law needs models of at least two scales");
  }
  return Fitter(std::move(sorted), std::move(places), options.is_before_onset).Fit(options);
}

double LawDraw::At(double x) const {
  return value + slope * (x - mean_x) - rise * Bend(x - rise_x, rise_width) +
         fall * Bend(x - fall_x, fall_width);
}

LawDraw SlopeBreak::Draw(CounterRng& rng) const {
  double left = rng.Uniform();
  const Cell* cell = &cells_.back();
  for (const Cell& one : cells_) {
    left -= one.weight;
    if (left >= 0) continue;
    cell = &one;
    break;
  }
  LawDraw law;
  law.tau = cell->tau;
  law.mean_x = cell->mean_x;
  // Rise and fall are normal, both above 0: the rise is drawn from its margin, and again where the
  // fall that goes with it is refused.
  constexpr int kTries = 100;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    if (cell->share != 0) law.rise = DrawPositive(cell->rise, cell->rise_variance, rng);
    if (!cell->has_fall) break;
    double mean = cell->fall;
    double variance = cell->fall_variance;
    if (cell->share != 0) {
      mean += cell->covariance / cell->rise_variance * (law.rise - cell->rise);
      variance -= cell->covariance * cell->covariance / cell->rise_variance;
    }
    variance = std::max(variance, 0.0);
    law.fall = DrawPositive(mean, variance, rng);
    if (cell->share == 0 || variance == 0) break;
    if (rng.Uniform() < NormalCdf(mean / std::sqrt(variance))) break;
  }
  law.rise_x = cell->c;
  law.rise_width = cell->w;
  law.fall_x = cell->d;
  law.fall_width = cell->v;
  law.value = cell->line_y[0] - law.rise * cell->line_rise[0] - law.fall * cell->line_fall[0] +
              DrawNormal(rng) / std::sqrt(cell->one);
  law.slope = cell->line_y[1] - law.rise * cell->line_rise[1] - law.fall * cell->line_fall[1] +
              DrawNormal(rng) / std::sqrt(cell->square);
  return law;
}

SmoothPrediction SlopeBreak::PredictSmooth(double x) const {
  double total = 0;
  double mean = 0;
  double square = 0;
  double scatter = 0;
  for (const Cell& cell : cells_) {
    const double weight = cell.weight * cell.BelowRise(kBreakMinRise);
    if (weight == 0) continue;
    const double dx = x - cell.mean_x;
    double value = cell.line_y[0] + cell.line_y[1] * dx;
    double variance = 1 / cell.one + dx * dx / cell.square;
    const double by_rise =
        cell.share == 0 ? 0
                        : -Bend(x - cell.c, cell.w) - cell.line_rise[0] - cell.line_rise[1] * dx;
    const double by_fall =
        cell.has_fall ? Bend(x - cell.d, cell.v) - cell.line_fall[0] - cell.line_fall[1] * dx : 0;
    // Of the rise only what is no break.
    const double rise =
        std::clamp(cell.rise, 0.0, cell.share == 0 ? 0 : kBreakMinRise / cell.share);
    value += by_rise * rise + by_fall * std::max(0.0, cell.fall);
    variance += by_rise * by_rise * cell.rise_variance + by_fall * by_fall * cell.fall_variance +
                2 * by_rise * by_fall * cell.covariance;
    total += weight;
    mean += weight * value;
    square += weight * (value * value + variance);
    scatter += weight * cell.tau * cell.tau;
  }
  SmoothPrediction prediction;
  if (total == 0) return {kNaN, kNaN, kNaN};
  prediction.mean = mean / total;
  prediction.law_sd = std::sqrt(std::max(0.0, square / total - prediction.mean * prediction.mean));
  prediction.scatter = std::sqrt(scatter / total);
  return prediction;
}

}  // namespace mirage::metrics
