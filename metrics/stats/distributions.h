// Tails and quantiles of the distributions that intervals and tests are made of.
//
// One place for Boost.Math and the policy it is used with: nothing throws, and all is computed in
// double, so that the bits do not depend on the long double of a machine. Accuracy is Boost's,
// within a few units in the last place (1e-13 relative), small tails included: a tail is computed
// as itself, never as 1 - the other one.
//
// Arguments out of the stated range give NaN; callers check theirs and return a status that names
// the field. Complexity: O(1), 0.05 to 3 us.
//
// Also here is the one definition of a quantile of a sample.
#ifndef MIRAGE_METRICS_STATS_DISTRIBUTIONS_H_
#define MIRAGE_METRICS_STATS_DISTRIBUTIONS_H_

#include <cstdint>
#include <span>

#include "metrics/stats/hypothesis.h"

namespace mirage::metrics {

// P(Z <= x) of the standard normal distribution; 0 and 1 at the infinities.
double NormalCdf(double x);

// P(Z > x).
double NormalTail(double x);

// The x with P(Z <= x) = p, p in [0, 1]; infinite at 0 and 1.
double NormalQuantile(double p);

// The x with P(Z > x) = p: keeps the digits of small p.
double NormalUpperQuantile(double p);

// P(T > x) of Student's distribution with `df` > 0 degrees of freedom.
double StudentTail(double x, double df);

// The p-value of a statistic that has Student's distribution under the null hypothesis.
double StudentPValue(double t, double df, Alternative alternative);

// The x with P(T > x) = p, p in (0, 1).
double StudentUpperQuantile(double p, double df);

// P(X > x) of the chi-squared distribution with `df` > 0 degrees of freedom, x >= 0.
double ChiSquaredTail(double x, double df);

// The x >= 0 with P(X > x) = p, p in [0, 1]; infinite at 0.
double ChiSquaredUpperQuantile(double p, double df);

// The x in [0, 1] with P(X <= x) = p of the Beta distribution, a, b > 0, p in [0, 1].
double BetaQuantile(double p, double a, double b);

// The x with P(X > x) = p.
double BetaUpperQuantile(double p, double a, double b);

// P(X <= k) of the binomial distribution, share in [0, 1], n <= 2^53. 1 for k >= n.
double BinomialCdf(uint64_t k, uint64_t n, double share);

// P(X >= k). 1 for k = 0, 0 for k > n.
double BinomialTail(uint64_t k, uint64_t n, double share);

// P(X = k); 0 for k > n.
double BinomialPmf(uint64_t k, uint64_t n, double share);

// Gamma(x + delta) / Gamma(x), x > 0, x + delta > 0.
double GammaRatio(double x, double delta);

// The quantile of ascending values at `probability` in [0, 1], interpolated linearly between order
// statistics: type 7 of Hyndman and Fan (1996), American Statistician 50, the default of R and
// NumPy. Infinite values are values. `sorted` must not be empty or hold a NaN.
double SortedQuantile(std::span<const double> sorted, double probability);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_DISTRIBUTIONS_H_
