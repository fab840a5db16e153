#include "metrics/kernels/references.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "fmt/format.h"

namespace mirage::metrics {

absl::Status CheckReferences(std::span<const std::string_view> hypotheses,
                             std::span<const std::vector<std::string_view>> references) {
  if (hypotheses.size() != references.size()) {
    const bool lacks_references = references.size() < hypotheses.size();
    const size_t index = std::min(hypotheses.size(), references.size());
    return absl::InvalidArgumentError(
        fmt::format("{}[{}] is missing: there are {} hypotheses and references for {} of them",
                    lacks_references ? "references" : "hypotheses", index, hypotheses.size(),
                    references.size()));
  }
  for (size_t i = 0; i < references.size(); ++i) {
    if (references[i].empty()) {
      return absl::InvalidArgumentError(
          fmt::format("references[{}] is empty: a sample needs one at least", i));
    }
  }
  return absl::OkStatus();
}

}  // namespace mirage::metrics
