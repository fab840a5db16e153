// Sums of doubles that keep what each addition rounds off.
//
// For sums that are asked for after each term, or that must be small: 16 bytes, 7 ns a term, where
// the value of an ExactSum takes 300. The order of the terms may change the last bit, so what is
// sharded takes an ExactSum.
//
// Source: Knuth, "The art of computer programming", volume 2, section 4.2.2, theorem B (TwoSum);
// Joldes, Muller, Popescu, "Tight and rigorous error bounds for basic building blocks of
// double-word arithmetic" (2017), ACM Transactions on Mathematical Software 44, algorithm 4 (Add).
#ifndef MIRAGE_METRICS_STATS_COMPENSATED_SUM_H_
#define MIRAGE_METRICS_STATS_COMPENSATED_SUM_H_

namespace mirage::metrics {

// An unevaluated sum of two doubles, with high == high + low as rounded. Add keeps it such; its
// relative error is at most 2^-105. NaN once a term or a partial sum is not finite.
struct CompensatedSum {
  double high = 0;
  double low = 0;

  void Add(double x);
  double value() const { return high + low; }
};

// a + b, exactly, as long as it does not overflow; NaN in `low` then.
inline CompensatedSum TwoSum(double a, double b) {
  const double sum = a + b;
  const double other = sum - a;
  return {sum, (a - (sum - other)) + (b - other)};
}

inline void CompensatedSum::Add(double x) {
  const CompensatedSum first = TwoSum(high, x);
  *this = TwoSum(first.high, low + first.low);
}

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_COMPENSATED_SUM_H_
