// Which interval goes with a mean, and why.
//
//   absl::StatusOr<ConfidenceInterval> interval = MeanInterval(moments, 0.95);
//
// For people who say nothing the method is chosen by the number of samples and by what the metric's
// values are; those who name a method get that one, or an error that says why it cannot be had.
#ifndef MIRAGE_METRICS_STATS_INTERVAL_CHOICE_H_
#define MIRAGE_METRICS_STATS_INTERVAL_CHOICE_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/moments.h"

namespace mirage::metrics {

enum class IntervalMethod : uint8_t {
  // Chosen: see ChooseMethod.
  kAuto,
  kWilson,
  kClopperPearson,
  kBetaPosterior,
  kStudentT,
  kNormal,
};

// What people should know of a method. Static storage.
struct IntervalMethodInfo {
  IntervalMethod method;
  // As in ConfidenceInterval::method; "auto" for kAuto.
  std::string_view name;
  // Formula, in plain text.
  std::string_view definition;
  // When its coverage is what it says, in one sentence.
  std::string_view valid;
  std::string_view source;
};

// All of them, kAuto first.
std::span<const IntervalMethodInfo> IntervalMethods();

// The method of a name above. INVALID_ARGUMENT, naming them all, for another.
absl::StatusOr<IntervalMethod> ParseIntervalMethod(std::string_view name);

// With fewer successes, or fewer failures, than this Wilson's interval can cover much less often
// than its level says (to 83 % of 95 % where one success is expected in five data sets of the same
// size), and Clopper's and Pearson's is taken. With 5 here coverage stays above 91.9 %, and the
// interval is on average 4 % wider at n = 20, 0.2 % at 100: docs/statistics.md has these figures
// for other limits.
inline constexpr uint64_t kFewCounts = 5;

// What kAuto means for these values: of 0/1 values Clopper and Pearson's interval where successes
// or failures are few (kFewCounts), else Wilson's; of others Student's. FAILED_PRECONDITION, with
// the reason, where none is valid: no values, one value that is not 0 or 1, values of which some
// are infinite or NaN, values that are all equal but not 0 or 1 (an interval of width 0 would claim
// certainty).
absl::StatusOr<IntervalMethod> ChooseMethod(const Moments& values);

// The interval of the mean of independent values. FAILED_PRECONDITION as ChooseMethod, and where a
// named method is not for such values (a share's interval for values other than 0 and 1).
// INVALID_ARGUMENT for a level outside (0, 1).
absl::StatusOr<ConfidenceInterval> MeanInterval(const Moments& values, double level,
                                                IntervalMethod method = IntervalMethod::kAuto);

// The same for a share of which only the counts are known.
absl::StatusOr<ConfidenceInterval> ShareInterval(uint64_t successes, uint64_t n, double level,
                                                 IntervalMethod method = IntervalMethod::kAuto);

// As it stands behind a value: "interval=wilson|level=0.95|chosen=auto|v1", or "chosen=user" where
// `asked` is the method of the interval.
std::string IntervalSignature(const ConfidenceInterval& interval, IntervalMethod asked);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_INTERVAL_CHOICE_H_
