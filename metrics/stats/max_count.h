// How far statistics count.
#ifndef MIRAGE_METRICS_STATS_MAX_COUNT_H_
#define MIRAGE_METRICS_STATS_MAX_COUNT_H_

#include <cstdint>

namespace mirage::metrics {

// Whole numbers up to here, 2^53, are exact as doubles.
inline constexpr uint64_t kMaxCount = uint64_t{1} << 53;

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_MAX_COUNT_H_
