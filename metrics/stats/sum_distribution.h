// Distributions of sums of independent numbers, from their characteristic functions: what a
// bootstrap of a mean and a sign-flip test draw random samples of.
#ifndef MIRAGE_METRICS_STATS_SUM_DISTRIBUTION_H_
#define MIRAGE_METRICS_STATS_SUM_DISTRIBUTION_H_

#include <complex>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// The distribution function of a sum S of independent numbers, by numerical inversion of its
// characteristic function: the limit of infinitely many resamples or permutations, without their
// random error and in less time. A sum of n numbers is nearly normal, its characteristic function
// falls to nothing within some dozens of steps, and each step costs one pass over the numbers.
//
// Error: at most 1e-6 in probability beyond the width of a tie, which counts half: a sum that falls
// on a lattice of width h is taken as smooth where h is below 1/300 of its standard deviation, and
// a tail probability p is then off by less than 0.5 % of p. Sums that fall on wider lattices (few
// different values), that fall into clumps or that have too few terms are refused: draw at random
// instead. Whether a sum is one of those is found by looking at the characteristic function up to
// the frequency of that lattice, not guessed.
//
// Same numbers in any order, any number of threads: same bits. Immutable once made; thread-safe.
// Sources: Davies (1973), Biometrika 60, 415-417 (the inversion and the bound of its error);
// Pagano, Tritchler (1983), JASA 78, 435-440 (permutations from characteristic functions).
class SumDistribution {
 public:
  // The sum of values.size() draws with replacement from `values`, less its mean n * mean(values):
  // times 1/n the error of a bootstrapped mean in the ideal bootstrap.
  //
  // INVALID_ARGUMENT: no values, one that is not finite (with its place).
  // FAILED_PRECONDITION: refused, see above; also where all values are equal or their sum of
  // squares overflows. O(n log n) and about 100 passes.
  static absl::StatusOr<SumDistribution> OfResamples(std::span<const double> values,
                                                     int threads = 1);

  // The sum of `values` with random signs. Errors as above; zeros play no part, and all values 0 is
  // FAILED_PRECONDITION.
  static absl::StatusOr<SumDistribution> OfSigns(std::span<const double> values, int threads = 1);

  // P(S < x) + P(S = x) / 2, in [0, 1].
  double Below(double x) const;

  // The x with Below(x) = p, to 1e-10 of the standard deviation. `p` must be in (0, 1); below 1e-9
  // and above 1 - 1e-9 only the order of magnitude is right.
  double Quantile(double p) const;

  // Standard deviation of S, > 0.
  double standard_deviation() const { return standard_deviation_; }

 private:
  class Builder;

  SumDistribution(double standard_deviation, double window, double step,
                  std::vector<std::complex<double>> terms)
      : standard_deviation_(standard_deviation),
        window_(window),
        step_(step),
        terms_(std::move(terms)) {}

  double standard_deviation_;
  // In standard deviations: S lies within all but 1e-14 of the time.
  double window_;
  // Between frequencies, which are (k + 1/2) step_.
  double step_;
  // The characteristic function there over pi (k + 1/2).
  std::vector<std::complex<double>> terms_;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_SUM_DISTRIBUTION_H_
