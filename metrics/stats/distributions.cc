#include "metrics/stats/distributions.h"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/chi_squared.hpp>
#include <boost/math/distributions/complement.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/policies/policy.hpp>
#include <boost/math/special_functions/beta.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "metrics/stats/hypothesis.h"

namespace mirage::metrics {
namespace {

namespace policies = boost::math::policies;
using boost::math::complement;

using Quiet = policies::policy<
    policies::domain_error<policies::ignore_error>, policies::pole_error<policies::ignore_error>,
    policies::overflow_error<policies::ignore_error>,
    policies::underflow_error<policies::ignore_error>,
    policies::denorm_error<policies::ignore_error>,
    policies::rounding_error<policies::ignore_error>,
    policies::evaluation_error<policies::ignore_error>,
    policies::indeterminate_result_error<policies::ignore_error>, policies::promote_double<false>>;

using Normal = boost::math::normal_distribution<double, Quiet>;
using Student = boost::math::students_t_distribution<double, Quiet>;
using ChiSquared = boost::math::chi_squared_distribution<double, Quiet>;
using Binomial = boost::math::binomial_distribution<double, Quiet>;

constexpr double kInf = std::numeric_limits<double>::infinity();

}  // namespace

double NormalCdf(double x) { return boost::math::cdf(Normal(), x); }

double NormalTail(double x) { return boost::math::cdf(complement(Normal(), x)); }

double NormalQuantile(double p) {
  if (p == 0) return -kInf;
  if (p == 1) return kInf;
  return boost::math::quantile(Normal(), p);
}

double NormalUpperQuantile(double p) {
  if (p == 0) return kInf;
  if (p == 1) return -kInf;
  return boost::math::quantile(complement(Normal(), p));
}

double StudentTail(double x, double df) { return boost::math::cdf(complement(Student(df), x)); }

double StudentPValue(double t, double df, Alternative alternative) {
  switch (alternative) {
    case Alternative::kLess:
      return StudentTail(-t, df);
    case Alternative::kGreater:
      return StudentTail(t, df);
    case Alternative::kTwoSided:
      break;
  }
  return 2 * StudentTail(std::abs(t), df);
}

double StudentUpperQuantile(double p, double df) {
  return boost::math::quantile(complement(Student(df), p));
}

double ChiSquaredTail(double x, double df) {
  return boost::math::cdf(complement(ChiSquared(df), x));
}

double ChiSquaredUpperQuantile(double p, double df) {
  if (p == 0) return kInf;
  return boost::math::quantile(complement(ChiSquared(df), p));
}

double BetaQuantile(double p, double a, double b) {
  return boost::math::ibeta_inv(a, b, p, Quiet());
}

double BetaUpperQuantile(double p, double a, double b) {
  return boost::math::ibetac_inv(a, b, p, Quiet());
}

double BinomialCdf(uint64_t k, uint64_t n, double share) {
  if (k >= n) return 1;
  return boost::math::cdf(Binomial(static_cast<double>(n), share), static_cast<double>(k));
}

double BinomialTail(uint64_t k, uint64_t n, double share) {
  if (k == 0) return 1;
  if (k > n) return 0;
  return boost::math::cdf(
      complement(Binomial(static_cast<double>(n), share), static_cast<double>(k - 1)));
}

double BinomialPmf(uint64_t k, uint64_t n, double share) {
  if (k > n) return 0;
  return boost::math::pdf(Binomial(static_cast<double>(n), share), static_cast<double>(k));
}

double GammaRatio(double x, double delta) {
  return 1 / boost::math::tgamma_delta_ratio(x, delta, Quiet());
}

double SortedQuantile(std::span<const double> sorted, double probability) {
  const double position = probability * static_cast<double>(sorted.size() - 1);
  const size_t below = std::min(static_cast<size_t>(position), sorted.size() - 1);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double fraction = position - static_cast<double>(below);
  // An infinite neighbour below, or two equal ones, would give NaN.
  if (fraction == 0 || std::isinf(sorted[below])) return sorted[below];
  return sorted[below] + fraction * (sorted[above] - sorted[below]);
}

}  // namespace mirage::metrics
