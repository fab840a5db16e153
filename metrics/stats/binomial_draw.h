// A random number of successes.
#ifndef MIRAGE_METRICS_STATS_BINOMIAL_DRAW_H_
#define MIRAGE_METRICS_STATS_BINOMIAL_DRAW_H_

#include <algorithm>
#include <boost/random/binomial_distribution.hpp>
#include <cstdint>

#include "metrics/stats/random.h"

namespace mirage::metrics {

// Binomial(n, share), n <= 2^53, share in [0, 1]: inversion for small n p, transformed rejection
// otherwise (Hormann 1993, as in Boost.Random). About 0.1 us.
inline uint64_t DrawBinomial(uint64_t n, double share, CounterRng& rng) {
  if (n == 0 || share <= 0) return 0;
  if (share >= 1) return n;
  boost::random::binomial_distribution<int64_t, double> binomial(static_cast<int64_t>(n), share);
  // Inversion may step one past the end when rounding leaves some probability over.
  return std::min(static_cast<uint64_t>(binomial(rng)), n);
}

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_BINOMIAL_DRAW_H_
