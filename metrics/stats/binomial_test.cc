#include "metrics/stats/binomial_test.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/hypothesis.h"
#include "metrics/stats/max_count.h"

namespace mirage::metrics {
namespace {

// Ties of probabilities hold within this factor.
constexpr double kTie = 1 + 1e-7;

absl::Status CheckTotal(std::string_view name, uint64_t n) {
  if (n <= kMaxCount) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("{} is {}: must be <= 2^53", name, n));
}

// The number of counts in [first, last] with a probability of at most `limit`, where probabilities
// rise (or fall) from one end to the other: those at the low end.
uint64_t CountAtMost(uint64_t n, double share, uint64_t first, uint64_t last, bool rising,
                     double limit) {
  uint64_t low = 0;
  uint64_t high = last - first + 1;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    const uint64_t k = rising ? first + middle : last - middle;
    if (BinomialPmf(k, n, share) <= limit) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

double TwoSided(uint64_t k, uint64_t n, double share) {
  const double expected = share * static_cast<double>(n);
  const double at = static_cast<double>(k);
  if (at == expected) return 1;
  const double limit = BinomialPmf(k, n, share) * kTie;
  if (at < expected) {
    // On the far side probabilities fall from the mean to n.
    const auto first = std::min(static_cast<uint64_t>(std::ceil(expected)), n);
    const uint64_t beyond = CountAtMost(n, share, first, n, /*rising=*/false, limit);
    return std::min(1.0, BinomialCdf(k, n, share) + BinomialTail(n - beyond + 1, n, share));
  }
  const auto last = static_cast<uint64_t>(std::floor(expected));
  const uint64_t below = CountAtMost(n, share, 0, last, /*rising=*/true, limit);
  const double tail = BinomialTail(k, n, share);
  return std::min(1.0, below == 0 ? tail : tail + BinomialCdf(below - 1, n, share));
}

// Exact against 1/2; by symmetry the two-sided value is twice the smaller tail.
double Half(uint64_t first, uint64_t second, Alternative alternative, double own_share) {
  const uint64_t n = first + second;
  if (n == 0) return 1;
  const double own = own_share * BinomialPmf(first, n, 0.5);
  const double less = BinomialCdf(first, n, 0.5) - own;
  const double greater = BinomialTail(first, n, 0.5) - own;
  switch (alternative) {
    case Alternative::kLess:
      return less;
    case Alternative::kGreater:
      return greater;
    case Alternative::kTwoSided:
      break;
  }
  return std::min(1.0, 2 * std::min(less, greater));
}

absl::Status CheckPair(uint64_t first, uint64_t second) {
  if (absl::Status status = CheckTotal("the first count", first); !status.ok()) return status;
  if (absl::Status status = CheckTotal("the second count", second); !status.ok()) return status;
  return CheckTotal("the sum of the counts", first + second);
}

}  // namespace

absl::StatusOr<TestResult> BinomialTest(uint64_t successes, uint64_t n, double share,
                                        Alternative alternative) {
  if (n == 0) return absl::InvalidArgumentError("n is 0: at least one item is needed");
  if (absl::Status status = CheckTotal("n", n); !status.ok()) return status;
  if (successes > n) {
    return absl::InvalidArgumentError(
        fmt::format("successes is {}: must be <= n, which is {}", successes, n));
  }
  if (!(share >= 0 && share <= 1)) {
    return absl::InvalidArgumentError(fmt::format("share is {}: must be between 0 and 1", share));
  }
  TestResult result{.method = "binomial_exact"};
  switch (alternative) {
    case Alternative::kLess:
      result.p_value = BinomialCdf(successes, n, share);
      break;
    case Alternative::kGreater:
      result.p_value = BinomialTail(successes, n, share);
      break;
    case Alternative::kTwoSided:
      result.p_value = TwoSided(successes, n, share);
      break;
  }
  return result;
}

absl::StatusOr<TestResult> McNemarExact(uint64_t only_first, uint64_t only_second,
                                        Alternative alternative) {
  if (absl::Status status = CheckPair(only_first, only_second); !status.ok()) return status;
  return TestResult{Half(only_first, only_second, alternative, 0), "mcnemar_exact"};
}

absl::StatusOr<TestResult> McNemarMidP(uint64_t only_first, uint64_t only_second,
                                       Alternative alternative) {
  if (absl::Status status = CheckPair(only_first, only_second); !status.ok()) return status;
  return TestResult{Half(only_first, only_second, alternative, 0.5), "mcnemar_mid_p"};
}

absl::StatusOr<TestResult> McNemarChiSquared(uint64_t only_first, uint64_t only_second) {
  if (absl::Status status = CheckPair(only_first, only_second); !status.ok()) return status;
  TestResult result{.p_value = 1, .method = "mcnemar_chi_squared"};
  const double b = static_cast<double>(only_first);
  const double c = static_cast<double>(only_second);
  if (b + c == 0) return result;
  const double corrected = std::max(std::abs(b - c) - 1, 0.0);
  result.p_value = ChiSquaredTail(corrected * corrected / (b + c), 1);
  return result;
}

absl::StatusOr<TestResult> SignTest(uint64_t positive, uint64_t negative, Alternative alternative) {
  if (absl::Status status = CheckPair(positive, negative); !status.ok()) return status;
  return TestResult{Half(positive, negative, alternative, 0), "sign_exact"};
}

}  // namespace mirage::metrics
