// Work in fixed shards on several threads.
#ifndef MIRAGE_METRICS_STATS_PARALLEL_H_
#define MIRAGE_METRICS_STATS_PARALLEL_H_

#include <cstddef>

#include "absl/functional/function_ref.h"

namespace mirage::metrics {

// Calls shard(i) once for every i < n, on up to `threads` threads (this one among them; less than 2
// means this one only), and returns when all are done. Which thread takes which shard is not fixed,
// so that results are the same for every number of threads where each shard writes to places of its
// own and draws from a random stream of its own. `shard` must not throw. Where a thread cannot be
// started the others do its work.
void ParallelFor(size_t n, int threads, absl::FunctionRef<void(size_t i)> shard);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_PARALLEL_H_
