// All statistics of the library, for the documentation and for programs that list them.
#ifndef MIRAGE_METRICS_REGISTRY_STATISTICS_H_
#define MIRAGE_METRICS_REGISTRY_STATISTICS_H_

#include <span>
#include <string_view>

namespace mirage::metrics {

struct StatisticInfo {
  // The method name in answers where it has one: "wilson".
  std::string_view name;
  // "interval", "confidence sequence", "test", "error", "bootstrap", "effect size", "plan",
  // "many tests" or "accumulator".
  std::string_view kind;
  // One sentence.
  std::string_view summary;
  // Formula, in plain text.
  std::string_view definition;
  // When what it says holds.
  std::string_view valid;
  // What happens with empty, single, equal, infinite and missing values.
  std::string_view edge_cases;
  std::string_view complexity;
  std::string_view source;
  // Header that computes it, from the workspace's root.
  std::string_view header;
};

// Every statistic; those of one kind stand together. Names are unique. Static storage.
std::span<const StatisticInfo> AllStatistics();

// The statistic of a name; null when there is none.
const StatisticInfo* FindStatistic(std::string_view name);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_REGISTRY_STATISTICS_H_
