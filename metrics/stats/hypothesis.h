// What the tests of hypotheses have in common.
#ifndef MIRAGE_METRICS_STATS_HYPOTHESIS_H_
#define MIRAGE_METRICS_STATS_HYPOTHESIS_H_

#include <cstdint>
#include <string_view>

namespace mirage::metrics {

// What a small p-value speaks for, against "no difference".
enum class Alternative : uint8_t {
  // A difference in either direction.
  kTwoSided,
  // The statistic is less than under the null hypothesis.
  kLess,
  // The statistic is greater.
  kGreater,
};

// The outcome of a test.
struct TestResult {
  // Probability under the null hypothesis of an outcome at least as extreme, in [0, 1].
  double p_value = 1;
  // How it was computed, as it stands in answers: "binomial_exact", "student_t", ...; static
  // storage.
  std::string_view method;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_HYPOTHESIS_H_
