// The samples that several models have all answered, by document.
#ifndef MIRAGE_SERVER_ENGINE_SAMPLE_JOIN_H_
#define MIRAGE_SERVER_ENGINE_SAMPLE_JOIN_H_

#include <cstdint>
#include <span>
#include <vector>

#include "server/engine/sample_rows.h"

namespace mirage::server {

// rows[j][i] is the row of the i-th common sample in models[j]. Samples are joined by the digest of
// their document, or of their prompt where the document has none, and by variant; those with
// neither digest belong to nothing. The first of repeated rows counts. In the order of the first
// model's rows. Null models have nothing, and so have all then. O(samples of all models), 4 bytes
// for each common sample and model.
std::vector<std::vector<uint32_t>> JoinSamples(std::span<const SampleRows* const> models);

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_SAMPLE_JOIN_H_
