#include "metrics/stats/power.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/max_count.h"

namespace mirage::metrics {
namespace {

// The largest n of the exact sums.
constexpr uint64_t kMaxExact = 100'000;
constexpr double kInf = std::numeric_limits<double>::infinity();

absl::Status Invalid(std::string_view message) {
  return absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
}

absl::Status CheckWithin(std::string_view name, double value, bool inside, std::string_view range) {
  if (inside) return absl::OkStatus();
  return Invalid(fmt::format("{} is {}: must be {}", name, value, range));
}

absl::Status CheckVarianceOf(std::string_view name, double value) {
  return CheckWithin(name, value, value >= 0 && std::isfinite(value), "finite and >= 0");
}

// Where the power is what is asked for, the plan's own is not looked at.
absl::Status CheckPlan(const TestPlan& plan, bool with_power) {
  if (absl::Status status =
          CheckWithin("plan.alpha", plan.alpha, plan.alpha > 0 && plan.alpha < 0.5,
                      "between 0 and 0.5, for example 0.05");
      !status.ok()) {
    return status;
  }
  if (plan.sides != TestSides::kTwo && plan.sides != TestSides::kOne) {
    return Invalid(
        fmt::format("plan.sides is {}: must be one of TestSides", static_cast<int>(plan.sides)));
  }
  if (!with_power) return absl::OkStatus();
  return CheckWithin("plan.power", plan.power, plan.power > plan.alpha && plan.power < 1,
                     "above plan.alpha and below 1, for example 0.8");
}

absl::Status CheckDesign(const SamplingDesign& design) {
  if (absl::Status status = CheckWithin(
          "design.design_effect", design.design_effect,
          design.design_effect > 0 && std::isfinite(design.design_effect), "finite and above 0");
      !status.ok()) {
    return status;
  }
  const uint64_t population = design.population.value_or(1);
  if (population >= 1 && population <= kMaxCount) return absl::OkStatus();
  return Invalid(fmt::format("design.population is {}: must be between 1 and 2^53", population));
}

absl::Status CheckVariance(const DocumentVariance& variance) {
  if (absl::Status status = CheckVarianceOf("variance.question", variance.question); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckVarianceOf("variance.answer", variance.answer); !status.ok()) {
    return status;
  }
  if (std::isfinite(variance.question + variance.answer)) return absl::OkStatus();
  return Invalid("variance.question + variance.answer is infinite: scale the scores down");
}

absl::Status CheckCount(uint64_t n, uint64_t most) {
  if (n >= 1 && n <= most) return absl::OkStatus();
  return Invalid(fmt::format("n is {}: must be between 1 and {}", n, most));
}

absl::Status CheckModel(std::string_view name, const ModelVariance& model) {
  if (absl::Status status = CheckVarianceOf(fmt::format("{}.answer", name), model.answer);
      !status.ok()) {
    return status;
  }
  if (model.answers >= 1) return absl::OkStatus();
  return Invalid(fmt::format("{}.answers is 0: must be at least 1", name));
}

absl::Status CheckShare(std::string_view name, double share, bool ends) {
  if (ends) return CheckWithin(name, share, share >= 0 && share <= 1, "between 0 and 1");
  return CheckWithin(name, share, share > 0 && share < 1, "above 0 and below 1");
}

// z_{alpha/2} or z_alpha.
double CriticalPoint(const TestPlan& plan) {
  return NormalUpperQuantile(plan.sides == TestSides::kTwo ? plan.alpha / 2 : plan.alpha);
}

// z_beta; below 0 for a power below 1/2.
double PowerPoint(const TestPlan& plan) { return NormalQuantile(plan.power); }

// The least whole number of documents, at least 1.
absl::StatusOr<uint64_t> WholeDocuments(double n) {
  if (!(n <= static_cast<double>(kMaxCount))) {
    return Invalid(
        fmt::format("n would be {}: more than 2^53 documents; ask for less, a larger difference or "
                    "a smaller variance",
                    n));
  }
  return std::max(uint64_t{1}, static_cast<uint64_t>(std::ceil(n)));
}

// The variance of the estimate from n documents.
double EstimateVariance(const DocumentVariance& variance, uint64_t n,
                        const SamplingDesign& design) {
  const double documents = static_cast<double>(n);
  double question = variance.question / documents;
  if (design.population.has_value()) {
    // n <= N, so the counts' difference is exact.
    question *=
        static_cast<double>(*design.population - n) / static_cast<double>(*design.population);
  }
  return design.design_effect * (question + variance.answer / documents);
}

// The least n with EstimateVariance <= goal.
absl::StatusOr<uint64_t> DocumentsFor(const DocumentVariance& variance, double goal,
                                      const SamplingDesign& design) {
  const double effect = design.design_effect;
  const double total = effect * (variance.question + variance.answer);
  if (total == 0) return 1;
  if (!design.population.has_value()) return WholeDocuments(total / goal);
  const double population = static_cast<double>(*design.population);
  absl::StatusOr<uint64_t> n =
      WholeDocuments(total / (goal + effect * variance.question / population));
  if (!n.ok()) return n;
  if (*n <= *design.population) return n;
  return absl::FailedPreconditionError(fmt::format(
      "design.population is {}: all of these documents are not enough, because answers to the same "
      "document differ; take more answers a document",
      *design.population));
}

absl::Status CheckAll(const DocumentVariance& variance, const TestPlan& plan, bool with_power,
                      const SamplingDesign& design) {
  if (absl::Status status = CheckVariance(variance); !status.ok()) return status;
  if (absl::Status status = CheckPlan(plan, with_power); !status.ok()) return status;
  return CheckDesign(design);
}

absl::Status CheckProportion(double known, double true_share, const TestPlan& plan, bool with_power,
                             const SamplingDesign& design) {
  if (absl::Status status = CheckShare("known", known, false); !status.ok()) return status;
  if (absl::Status status = CheckShare("true_share", true_share, true); !status.ok()) return status;
  if (absl::Status status = CheckPlan(plan, with_power); !status.ok()) return status;
  return CheckDesign(design);
}

absl::Status CheckDiscordant(double only_a, double only_b, const TestPlan& plan, bool with_power) {
  if (absl::Status status = CheckShare("only_a", only_a, true); !status.ok()) return status;
  if (absl::Status status = CheckShare("only_b", only_b, true); !status.ok()) return status;
  const double sum = only_a + only_b;
  if (!(sum > 0 && sum <= 1)) {
    return Invalid(
        fmt::format("only_a + only_b is {}: must be above 0 and at most 1, the share of documents "
                    "that one model alone gets right",
                    sum));
  }
  return CheckPlan(plan, with_power);
}

// The largest number of discordant pairs of the loser at which `discordant` pairs are significant;
// -1 if none is. `previous` is that of one pair fewer, of which it is the same or the next.
int64_t CriticalCount(uint64_t discordant, int64_t previous, const TestPlan& plan) {
  const double tail = plan.sides == TestSides::kTwo ? plan.alpha / 2 : plan.alpha;
  const int64_t next = previous + 1;
  return BinomialCdf(static_cast<uint64_t>(next), discordant, 0.5) <= tail ? next : previous;
}

// P(the test rejects | d discordant pairs) for d = 0, 1, ..., grown on demand.
class RejectionCurve {
 public:
  RejectionCurve(double only_a, double only_b, const TestPlan& plan)
      : share_a_(only_a / (only_a + only_b)),
        share_b_(only_b / (only_a + only_b)),
        plan_(plan),
        rejects_{0.0} {}

  double at(uint64_t discordant) {
    while (rejects_.size() <= discordant) {
      const uint64_t d = rejects_.size();
      critical_ = CriticalCount(d, critical_, plan_);
      double reject = 0;
      if (critical_ >= 0) {
        const auto c = static_cast<uint64_t>(critical_);
        // A wins where B has few, and the other way round.
        reject = BinomialCdf(c, d, share_b_);
        if (plan_.sides == TestSides::kTwo) reject += BinomialCdf(c, d, share_a_);
      }
      rejects_.push_back(std::min(reject, 1.0));
    }
    return rejects_[discordant];
  }

 private:
  double share_a_;
  double share_b_;
  TestPlan plan_;
  int64_t critical_ = -1;
  std::vector<double> rejects_;
};

// The mean of the curve over Binomial(n, share) discordant pairs, from the most likely number
// outwards.
double MeanRejection(RejectionCurve& curve, uint64_t n, double share) {
  if (share == 1) return curve.at(n);
  constexpr double kNegligible = 1e-20;
  const double odds = share / (1 - share);
  const auto mode = std::min(n, static_cast<uint64_t>(static_cast<double>(n + 1) * share));
  const double top = BinomialPmf(mode, n, share);
  double sum = top * curve.at(mode);
  double mass = top;
  for (uint64_t d = mode; d < n && mass > kNegligible; ++d) {
    mass *= static_cast<double>(n - d) / static_cast<double>(d + 1) * odds;
    sum += mass * curve.at(d + 1);
  }
  mass = top;
  for (uint64_t d = mode; d > 0 && mass > kNegligible; --d) {
    mass *= static_cast<double>(d) / static_cast<double>(n - d + 1) / odds;
    sum += mass * curve.at(d - 1);
  }
  return std::min(sum, 1.0);
}

// Documents for n0 independent ones of an endless population.
absl::StatusOr<uint64_t> AdjustForDesign(double n0, const SamplingDesign& design) {
  double n = n0 * design.design_effect;
  if (design.population.has_value()) n /= 1 + n / static_cast<double>(*design.population);
  return WholeDocuments(n);
}

}  // namespace

absl::StatusOr<DocumentVariance> PairedVariance(double question_variance, const ModelVariance& a,
                                                const ModelVariance& b) {
  if (absl::Status status = CheckVarianceOf("question_variance", question_variance); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckModel("a", a); !status.ok()) return status;
  if (absl::Status status = CheckModel("b", b); !status.ok()) return status;
  return DocumentVariance{question_variance, a.answer / a.answers + b.answer / b.answers};
}

absl::StatusOr<DocumentVariance> UnpairedVariance(double question_variance_a,
                                                  const ModelVariance& a,
                                                  double question_variance_b,
                                                  const ModelVariance& b) {
  if (absl::Status status = CheckVarianceOf("question_variance_a", question_variance_a);
      !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckVarianceOf("question_variance_b", question_variance_b);
      !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckModel("a", a); !status.ok()) return status;
  if (absl::Status status = CheckModel("b", b); !status.ok()) return status;
  return DocumentVariance{question_variance_a + question_variance_b,
                          a.answer / a.answers + b.answer / b.answers};
}

absl::StatusOr<uint64_t> RequiredN(const DocumentVariance& variance, double delta,
                                   const TestPlan& plan, const SamplingDesign& design) {
  if (absl::Status status = CheckAll(variance, plan, true, design); !status.ok()) return status;
  if (absl::Status status =
          CheckWithin("delta", delta, delta != 0 && std::isfinite(delta), "finite and not 0");
      !status.ok()) {
    return status;
  }
  const double points = CriticalPoint(plan) + PowerPoint(plan);
  const double error = std::abs(delta) / points;
  return DocumentsFor(variance, error * error, design);
}

absl::StatusOr<double> MinimumDetectableEffect(const DocumentVariance& variance, uint64_t n,
                                               const TestPlan& plan, const SamplingDesign& design) {
  if (absl::Status status = CheckAll(variance, plan, true, design); !status.ok()) return status;
  if (absl::Status status = CheckCount(n, design.population.value_or(kMaxCount)); !status.ok()) {
    return status;
  }
  return (CriticalPoint(plan) + PowerPoint(plan)) *
         std::sqrt(EstimateVariance(variance, n, design));
}

absl::StatusOr<double> Power(const DocumentVariance& variance, double delta, uint64_t n,
                             const TestPlan& plan, const SamplingDesign& design) {
  if (absl::Status status = CheckAll(variance, plan, false, design); !status.ok()) return status;
  if (absl::Status status = CheckWithin("delta", delta, std::isfinite(delta), "finite");
      !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckCount(n, design.population.value_or(kMaxCount)); !status.ok()) {
    return status;
  }
  const double error = std::sqrt(EstimateVariance(variance, n, design));
  const double size = plan.sides == TestSides::kTwo ? std::abs(delta) : delta;
  // Without an error any difference is found.
  const double distance = size == 0 ? 0 : error > 0 ? size / error : std::copysign(kInf, size);
  const double point = CriticalPoint(plan);
  const double found = NormalCdf(distance - point);
  return plan.sides == TestSides::kTwo ? found + NormalCdf(-distance - point) : found;
}

absl::StatusOr<uint64_t> RequiredNForProportion(double known, double true_share,
                                                const TestPlan& plan,
                                                const SamplingDesign& design) {
  if (absl::Status status = CheckProportion(known, true_share, plan, true, design); !status.ok()) {
    return status;
  }
  if (known == true_share) {
    return Invalid(fmt::format("true_share is {}: must differ from known", true_share));
  }
  const double sd = CriticalPoint(plan) * std::sqrt(known * (1 - known)) +
                    PowerPoint(plan) * std::sqrt(true_share * (1 - true_share));
  // Below 0 where even one document has more than the power asked for.
  const double ratio = std::max(sd, 0.0) / (true_share - known);
  return AdjustForDesign(ratio * ratio, design);
}

absl::StatusOr<double> ProportionPower(double known, double true_share, uint64_t n,
                                       const TestPlan& plan, const SamplingDesign& design) {
  if (absl::Status status = CheckProportion(known, true_share, plan, false, design); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckCount(n, design.population.value_or(kMaxCount)); !status.ok()) {
    return status;
  }
  const double scale = std::sqrt(EstimateVariance({.question = 1}, n, design));
  const double null_error = scale * std::sqrt(known * (1 - known));
  const double error = scale * std::sqrt(true_share * (1 - true_share));
  const double size = std::abs(true_share - known);
  const double margin = CriticalPoint(plan) * null_error;
  // How far a threshold is above what is expected, in standard errors.
  const auto beyond = [error](double distance) {
    if (error > 0) return NormalTail(distance / error);
    return distance <= 0 ? 1.0 : 0.0;
  };
  // Nothing is left to chance: only a difference of 0 is not found.
  if (scale == 0) return size > 0 ? 1.0 : plan.alpha;
  const double found = beyond(margin - size);
  return plan.sides == TestSides::kTwo ? found + beyond(margin + size) : found;
}

absl::StatusOr<double> McNemarPower(double only_a, double only_b, uint64_t n,
                                    const TestPlan& plan) {
  if (absl::Status status = CheckDiscordant(only_a, only_b, plan, false); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckCount(n, kMaxExact); !status.ok()) return status;
  RejectionCurve curve(only_a, only_b, plan);
  return MeanRejection(curve, n, only_a + only_b);
}

absl::StatusOr<uint64_t> RequiredNForMcNemar(double only_a, double only_b, const TestPlan& plan) {
  if (absl::Status status = CheckDiscordant(only_a, only_b, plan, true); !status.ok()) {
    return status;
  }
  if (only_a == only_b || (plan.sides == TestSides::kOne && only_a < only_b)) {
    return Invalid(fmt::format("only_b is {}: must {} only_a, which is {}", only_b,
                               plan.sides == TestSides::kOne ? "be below" : "differ from", only_a));
  }
  RejectionCurve curve(only_a, only_b, plan);
  const double share = only_a + only_b;
  for (uint64_t n = 1; n <= kMaxExact; ++n) {
    if (MeanRejection(curve, n, share) >= plan.power) return n;
  }
  return absl::FailedPreconditionError(
      fmt::format("more than {} documents are needed: RequiredN is accurate there", kMaxExact));
}

absl::StatusOr<uint64_t> RequiredNForWilson(double share, double half_width, double level,
                                            const SamplingDesign& design) {
  if (absl::Status status = CheckShare("share", share, true); !status.ok()) return status;
  if (absl::Status status = CheckWithin(
          "half_width", half_width, half_width > 0 && half_width < 0.5, "above 0 and below 0.5");
      !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckLevel(level); !status.ok()) return status;
  if (absl::Status status = CheckDesign(design); !status.ok()) return status;
  const double z = NormalUpperQuantile((1 - level) / 2);
  const double z2 = z * z;
  const double w2 = half_width * half_width;
  // w^2 (n + z^2)^2 = z^2 (n v + z^2 / 4), of which the larger root counts; the other is negative.
  const double v = share * (1 - share);
  const double b = z2 * (v - 2 * w2);
  const double c = z2 * z2 * (0.25 - w2);
  const double root = std::sqrt(b * b + 4 * w2 * c);
  // Without the cancellation that a negative b would give.
  const double n = b >= 0 ? (b + root) / (2 * w2) : 2 * c / (root - b);
  return AdjustForDesign(n, design);
}

absl::StatusOr<uint64_t> RequiredNForNormal(const DocumentVariance& variance, double half_width,
                                            double level, const SamplingDesign& design) {
  if (absl::Status status = CheckVariance(variance); !status.ok()) return status;
  if (absl::Status status =
          CheckWithin("half_width", half_width, half_width > 0 && std::isfinite(half_width),
                      "finite and above 0");
      !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckLevel(level); !status.ok()) return status;
  if (absl::Status status = CheckDesign(design); !status.ok()) return status;
  const double error = half_width / NormalUpperQuantile((1 - level) / 2);
  return DocumentsFor(variance, error * error, design);
}

absl::StatusOr<uint64_t> RequiredNToExclude(double share, double level) {
  if (absl::Status status = CheckShare("share", share, false); !status.ok()) return status;
  if (absl::Status status = CheckLevel(level); !status.ok()) return status;
  return WholeDocuments(std::log1p(-level) / std::log1p(-share));
}

}  // namespace mirage::metrics
