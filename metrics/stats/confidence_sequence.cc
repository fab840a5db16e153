#include "metrics/stats/confidence_sequence.h"

#include <algorithm>
#include <bit>
#include <boost/math/policies/policy.hpp>
#include <boost/math/special_functions/lambert_w.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/compensated_sum.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/max_count.h"
#include "metrics/stats/moments.h"
#include "metrics/stats/serialization.h"

namespace mirage::metrics {
namespace {

// The first byte of serialized sequences; each class has its own.
constexpr uint8_t kSubGaussianVersion = 1;
constexpr uint8_t kEmpiricalBernsteinVersion = 33;
constexpr uint8_t kBettingVersion = 65;
constexpr uint8_t kAsymptoticVersion = 97;

constexpr double kInf = std::numeric_limits<double>::infinity();

// The paper's c, the largest share of its capital that a player risks: "1/2 or 3/4".
constexpr double kRisk = 0.5;

// Stitching: s, zeta(s) and k1 for eta = 2.
constexpr double kStitchPower = 1.4;
constexpr double kStitchZeta = 3.1055472779775810;
constexpr double kStitchFactor = 1.4354999727580751;

absl::Status Invalid(std::string_view message) {
  return absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
}

absl::Status CheckSequenceLevel(double level) {
  if (level >= 0.5 && level < 1) return absl::OkStatus();
  return Invalid(
      fmt::format("level is {}: must be at least 0.5 and below 1, for example 0.95", level));
}

absl::Status CheckRange(double lower, double upper) {
  if (!std::isfinite(lower)) return Invalid(fmt::format("lower is {}: must be finite", lower));
  if (!std::isfinite(upper) || !(lower < upper)) {
    return Invalid(
        fmt::format("upper is {}: must be finite and above lower, which is {}", upper, lower));
  }
  const double range = upper - lower;
  if (!std::isfinite(range) || range < std::numeric_limits<double>::min()) {
    return Invalid(
        fmt::format("upper is {}: too far from or too close to lower, which is {}", upper, lower));
  }
  return absl::OkStatus();
}

absl::Status CheckNumber(std::string_view name, uint64_t n, uint64_t least, uint64_t most) {
  if (n >= least && n <= most) return absl::OkStatus();
  return Invalid(fmt::format("{} is {}: must be between {} and {}", name, n, least, most));
}

absl::Status CheckOptions(const SubGaussianOptions& options) {
  if (absl::Status status = CheckSequenceLevel(options.level); !status.ok()) return status;
  if (absl::Status status = CheckRange(options.lower, options.upper); !status.ok()) return status;
  if (options.boundary != SequenceBoundary::kNormalMixture &&
      options.boundary != SequenceBoundary::kStitched) {
    return Invalid(fmt::format("boundary is {}: must be one of SequenceBoundary",
                               static_cast<int>(options.boundary)));
  }
  return CheckNumber("tuned_n", options.tuned_n, 1, kMaxCount);
}

absl::Status CheckOptions(const EmpiricalBernsteinOptions& options) {
  if (absl::Status status = CheckSequenceLevel(options.level); !status.ok()) return status;
  if (absl::Status status = CheckRange(options.lower, options.upper); !status.ok()) return status;
  return CheckNumber("population", options.population.value_or(1), 1, kMaxCount);
}

absl::Status CheckOptions(const BettingOptions& options) {
  if (absl::Status status = CheckSequenceLevel(options.level); !status.ok()) return status;
  if (absl::Status status = CheckRange(options.lower, options.upper); !status.ok()) return status;
  if (absl::Status status = CheckNumber("population", options.population.value_or(1), 1, kMaxCount);
      !status.ok()) {
    return status;
  }
  return CheckNumber("cells", options.cells, 10, 1'000'000);
}

absl::Status CheckOptions(const AsymptoticOptions& options) {
  if (absl::Status status = CheckSequenceLevel(options.level); !status.ok()) return status;
  if (absl::Status status = CheckNumber("tuned_n", options.tuned_n, 1, kMaxCount); !status.ok()) {
    return status;
  }
  return CheckNumber("first_n", options.first_n, 2, kMaxCount);
}

absl::Status CheckScore(double score, double lower, double upper) {
  if (score >= lower && score <= upper) return absl::OkStatus();
  return Invalid(fmt::format("score is {}: must be within the bounds that were declared, {} to {}",
                             score, lower, upper));
}

absl::Status CheckRoom(uint64_t count, std::optional<uint64_t> population) {
  if (count < population.value_or(kMaxCount)) return absl::OkStatus();
  if (!population.has_value()) return Invalid("count is 2^53: no more scores can be counted");
  return Invalid(fmt::format(
      "population is {}: that many scores were added already; each document counts once",
      *population));
}

// For any of the options of bounded scores, `score` in [lower, upper].
template <typename Options>
double ToUnit(const Options& options, double score) {
  return std::clamp((score - options.lower) / (options.upper - options.lower), 0.0, 1.0);
}

template <typename Options>
double FromUnit(const Options& options, double x) {
  if (x >= 1) return options.upper;
  return std::clamp(options.lower + x * (options.upper - options.lower), options.lower,
                    options.upper);
}

template <typename Options>
absl::StatusOr<ConfidenceInterval> ToInterval(const Options& options, double low, double high,
                                              uint64_t count, std::string_view method) {
  if (low > high) {
    return absl::FailedPreconditionError(
        fmt::format("the intervals no longer overlap after {} scores: their mean changes over "
                    "time; take the documents in random order",
                    count));
  }
  return ConfidenceInterval{FromUnit(options, low), FromUnit(options, high), options.level, method};
}

// The r / v that makes a normal mixture narrowest at the intrinsic time v: -1 / (1 + W(-a^2 / e)),
// W the lower branch of Lambert's function.
double MixtureScale(double level) {
  namespace policies = boost::math::policies;
  using Quiet = policies::policy<policies::domain_error<policies::ignore_error>,
                                 policies::overflow_error<policies::ignore_error>,
                                 policies::evaluation_error<policies::ignore_error>,
                                 policies::promote_double<false>>;
  const double alpha = 1 - level;
  return -1 / (1 + boost::math::lambert_wm1(-alpha * alpha / std::numbers::e, Quiet()));
}

// The boundary of a sum with intrinsic time v.
double NormalMixture(double v, double r, double level) {
  const double alpha = 1 - level;
  return std::sqrt((v + r) * (std::log((v + r) / r) - 2 * std::log(alpha)));
}

double Stitched(double v, double start, double level) {
  const double time = std::max(v, start);
  const double epoch = std::log2(2 * (time / start));
  const double cost = kStitchPower * std::log(epoch) + std::log(2 * kStitchZeta / (1 - level));
  return kStitchFactor * std::sqrt(time * cost);
}

// The bet of score number `i`, from those before it, not yet limited. log1p(i) > 0 since i >= 1.
double PluginBet(double i, const CompensatedSum& squares, double level) {
  const double variance = (0.25 + squares.value()) / i;
  return std::sqrt(2 * std::log(2 / (1 - level)) / (variance * i * std::log1p(i)));
}

// The sum of the scores, each brought to [0, 1].
template <typename Options>
double UnitSum(const Options& options, const CompensatedSum& sum, uint64_t count) {
  const double n = static_cast<double>(count);
  const double range = options.upper - options.lower;
  return std::clamp(((sum.high - n * options.lower) + sum.low) / range, 0.0, n);
}

template <typename Options>
bool IsComplete(const Options& options, uint64_t count) {
  return options.population.has_value() && count == *options.population;
}

template <typename Options>
ConfidenceInterval ExactMean(const Options& options, const CompensatedSum& sum,
                             std::string_view method) {
  const double mean = std::clamp(sum.value() / static_cast<double>(*options.population),
                                 options.lower, options.upper);
  return {mean, mean, options.level, method};
}

void Write(const CompensatedSum& sum, ByteWriter& out) {
  out.Double(sum.high);
  out.Double(sum.low);
}

CompensatedSum ReadSum(ByteReader& in, std::string_view field) {
  CompensatedSum sum;
  sum.high = in.Double(field);
  sum.low = in.Double(field);
  return sum;
}

// What the options of bounded scores begin with.
template <typename Options>
void WriteBounds(const Options& options, ByteWriter& out) {
  out.Double(options.level);
  out.Double(options.lower);
  out.Double(options.upper);
}

template <typename Options>
void ReadBounds(ByteReader& in, Options& options) {
  options.level = in.Double("level");
  options.lower = in.Double("lower");
  options.upper = in.Double("upper");
}

// No population is 0.
void WritePopulation(std::optional<uint64_t> population, ByteWriter& out) {
  out.Uint64(population.value_or(0));
}

std::optional<uint64_t> ReadPopulation(ByteReader& in) {
  const uint64_t population = in.Uint64("population");
  if (population == 0) return std::nullopt;
  return population;
}

void Contradiction(ByteReader& in) { in.Fail("the state is not one that scores lead to"); }

// Whether the ends of a running intersection can be those after `count` scores.
bool AreEnds(double low, double high, uint64_t count) {
  if (count == 0 && (low != 0 || high != 1)) return false;
  return low >= 0 && low <= 1 && high >= 0 && high <= 1 && !std::signbit(low) &&
         !std::signbit(high);
}

// Whether the sum can be that of `count` values in [lower, upper]; a NaN cannot.
bool IsSumOf(const CompensatedSum& sum, uint64_t count, double lower, double upper) {
  const double n = static_cast<double>(count);
  const double slack = 1e-9 * n * std::max(std::abs(lower), std::abs(upper));
  if (count == 0) {
    return std::bit_cast<uint64_t>(sum.high) == 0 && std::bit_cast<uint64_t>(sum.low) == 0;
  }
  return sum.high + sum.low == sum.high && sum.value() >= n * lower - slack &&
         sum.value() <= n * upper + slack;
}

}  // namespace

SubGaussianSequence::SubGaussianSequence(const SubGaussianOptions& options)
    : options_(options),
      mixture_(static_cast<double>(options.tuned_n) * MixtureScale(options.level)) {}

absl::StatusOr<SubGaussianSequence> SubGaussianSequence::Create(const SubGaussianOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  return SubGaussianSequence(options);
}

double SubGaussianSequence::HalfWidth(double n) const {
  // Intrinsic times in units of n are 1/4 of it.
  const double boundary = options_.boundary == SequenceBoundary::kNormalMixture
                              ? NormalMixture(n, mixture_, options_.level)
                              : Stitched(n, static_cast<double>(options_.tuned_n), options_.level);
  return boundary / (2 * n);
}

absl::Status SubGaussianSequence::Add(double score) {
  if (absl::Status status = CheckScore(score, options_.lower, options_.upper); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckRoom(count_, std::nullopt); !status.ok()) return status;
  sum_.Add(score);
  ++count_;
  if (low_ > high_) return absl::OkStatus();
  const double n = static_cast<double>(count_);
  const double mean = UnitSum(options_, sum_, count_) / n;
  const double half_width = HalfWidth(n);
  low_ = std::max(low_, mean - half_width);
  high_ = std::min(high_, mean + half_width);
  return absl::OkStatus();
}

absl::StatusOr<ConfidenceInterval> SubGaussianSequence::interval() const {
  return ToInterval(options_, low_, high_, count_,
                    options_.boundary == SequenceBoundary::kNormalMixture
                        ? kMethodNormalMixtureSequence
                        : kMethodStitchedSequence);
}

std::string SubGaussianSequence::Serialize() const {
  ByteWriter out(kSubGaussianVersion);
  WriteBounds(options_, out);
  out.Uint64(static_cast<uint64_t>(options_.boundary));
  out.Uint64(options_.tuned_n);
  out.Uint64(count_);
  Write(sum_, out);
  out.Double(low_);
  out.Double(high_);
  return std::move(out).Take();
}

absl::StatusOr<SubGaussianSequence> SubGaussianSequence::Deserialize(std::string_view bytes) {
  ByteReader in(bytes, "sub-Gaussian sequence", kSubGaussianVersion);
  SubGaussianOptions options;
  ReadBounds(in, options);
  const uint64_t boundary = in.Uint64("boundary");
  if (boundary > 1) in.Fail(fmt::format("boundary is {}: not known", boundary));
  options.boundary = static_cast<SequenceBoundary>(boundary);
  options.tuned_n = in.Uint64("tuned_n");
  if (absl::Status status = CheckOptions(options); !status.ok()) in.Fail("options", status);
  if (!in.ok()) return in.Finish();
  SubGaussianSequence sequence(options);
  sequence.count_ = in.Count("count");
  sequence.sum_ = ReadSum(in, "sum");
  sequence.low_ = in.Double("low");
  sequence.high_ = in.Double("high");
  if (!IsSumOf(sequence.sum_, sequence.count_, options.lower, options.upper) ||
      !AreEnds(sequence.low_, sequence.high_, sequence.count_)) {
    Contradiction(in);
  }
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  return sequence;
}

absl::StatusOr<EmpiricalBernsteinSequence> EmpiricalBernsteinSequence::Create(
    const EmpiricalBernsteinOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  return EmpiricalBernsteinSequence(options);
}

absl::Status EmpiricalBernsteinSequence::Add(double score) {
  if (absl::Status status = CheckScore(score, options_.lower, options_.upper); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckRoom(count_, options_.population); !status.ok()) return status;
  const double x = ToUnit(options_, score);
  const double i = static_cast<double>(count_ + 1);
  const double before = UnitSum(options_, sum_, count_);
  const double bet = std::min(kRisk, PluginBet(i, squares_, options_.level));
  const double error = x - (0.5 + before) / i;
  penalties_.Add(error * error * (-std::log1p(-bet) - bet));
  const double n = static_cast<double>(options_.population.value_or(0));
  if (options_.population.has_value()) {
    const double left = n - i + 1;
    weighted_.Add(bet * (x + before / left));
    weights_.Add(bet * (n / left));
  } else {
    weighted_.Add(bet * x);
    weights_.Add(bet);
  }
  sum_.Add(score);
  ++count_;
  const double after = UnitSum(options_, sum_, count_);
  const double rest = x - (0.5 + after) / (i + 1);
  squares_.Add(rest * rest);
  if (low_ > high_) return absl::OkStatus();
  const double center = weighted_.value() / weights_.value();
  const double half_width =
      (std::log(2 / (1 - options_.level)) + penalties_.value()) / weights_.value();
  low_ = std::max(low_, center - half_width);
  high_ = std::min(high_, center + half_width);
  if (options_.population.has_value()) {
    // What the scores still to come can make of the mean.
    low_ = std::max(low_, after / n);
    high_ = std::min(high_, (after + (n - i)) / n);
  }
  return absl::OkStatus();
}

absl::StatusOr<ConfidenceInterval> EmpiricalBernsteinSequence::interval() const {
  if (IsComplete(options_, count_)) {
    return ExactMean(options_, sum_, kMethodEmpiricalBernsteinSequence);
  }
  return ToInterval(options_, low_, high_, count_, kMethodEmpiricalBernsteinSequence);
}

std::string EmpiricalBernsteinSequence::Serialize() const {
  ByteWriter out(kEmpiricalBernsteinVersion);
  WriteBounds(options_, out);
  WritePopulation(options_.population, out);
  out.Uint64(count_);
  for (const CompensatedSum* sum : {&sum_, &squares_, &weighted_, &weights_, &penalties_}) {
    Write(*sum, out);
  }
  out.Double(low_);
  out.Double(high_);
  return std::move(out).Take();
}

absl::StatusOr<EmpiricalBernsteinSequence> EmpiricalBernsteinSequence::Deserialize(
    std::string_view bytes) {
  ByteReader in(bytes, "empirical Bernstein sequence", kEmpiricalBernsteinVersion);
  EmpiricalBernsteinOptions options;
  ReadBounds(in, options);
  options.population = ReadPopulation(in);
  if (absl::Status status = CheckOptions(options); !status.ok()) in.Fail("options", status);
  if (!in.ok()) return in.Finish();
  EmpiricalBernsteinSequence sequence(options);
  const uint64_t count = in.Count("count");
  sequence.count_ = count;
  sequence.sum_ = ReadSum(in, "sum");
  sequence.squares_ = ReadSum(in, "squares");
  sequence.weighted_ = ReadSum(in, "weighted");
  sequence.weights_ = ReadSum(in, "weights");
  sequence.penalties_ = ReadSum(in, "penalties");
  sequence.low_ = in.Double("low");
  sequence.high_ = in.Double("high");
  if (count > options.population.value_or(kMaxCount) ||
      !IsSumOf(sequence.sum_, count, options.lower, options.upper) ||
      !IsSumOf(sequence.squares_, count, 0, 1) || !IsSumOf(sequence.weighted_, count, 0, kInf) ||
      !IsSumOf(sequence.weights_, count, 0, kInf) || !IsSumOf(sequence.penalties_, count, 0, 1) ||
      sequence.weighted_.high < 0 || (count > 0 && !(sequence.weights_.high > 0)) ||
      !std::isfinite(sequence.weights_.high) || !std::isfinite(sequence.weighted_.high) ||
      !AreEnds(sequence.low_, sequence.high_, count)) {
    Contradiction(in);
  }
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  return sequence;
}

BettingSequence::BettingSequence(const BettingOptions& options)
    : options_(options), above_(int64_t{options.cells} + 1) {}

absl::StatusOr<BettingSequence> BettingSequence::Create(const BettingOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  BettingSequence sequence(options);
  sequence.up_.assign(size_t{options.cells} + 1, 1.0);
  sequence.down_ = sequence.up_;
  return sequence;
}

bool BettingSequence::is_open() const { return below_ < above_ && !IsComplete(options_, count_); }

void BettingSequence::Bet(double x, double bet) {
  const double cells = options_.cells;
  const bool finite = options_.population.has_value();
  const double n = static_cast<double>(options_.population.value_or(0));
  const double left = n - static_cast<double>(count_);
  const double before = finite ? UnitSum(options_, sum_, count_) : 0;
  // What rounding may take a remaining mean out of [0, 1] by.
  const double slack = finite ? 1e-15 * n / left : 0;
  const size_t end = static_cast<size_t>(last() - offset_);
  for (size_t k = static_cast<size_t>(first() - offset_); k <= end; ++k) {
    double m = static_cast<double>(offset_ + static_cast<int64_t>(k)) / cells;
    if (finite) {
      m = (n * m - before) / left;
      // No scores to come can make this mean true.
      if (m < -slack) {
        up_[k] = kInf;
        continue;
      }
      if (m > 1 + slack) {
        down_[k] = kInf;
        continue;
      }
      m = std::clamp(m, 0.0, 1.0);
    }
    const double gain = x - m;
    up_[k] *= 1 + (bet * m <= kRisk ? bet : kRisk / m) * gain;
    down_[k] *= 1 - (bet * (1 - m) <= kRisk ? bet : kRisk / (1 - m)) * gain;
  }
}

void BettingSequence::RuleOut() {
  const double enough = 2 / (1 - options_.level);
  const int64_t lowest = first();
  const int64_t highest = last();
  while (below_ < highest && up_[static_cast<size_t>(below_ + 1 - offset_)] >= enough) ++below_;
  while (above_ > lowest && down_[static_cast<size_t>(above_ - 1 - offset_)] >= enough) --above_;
  if (!is_open()) {
    up_ = {};
    down_ = {};
    return;
  }
  // What a player has at a point that it ruled out no longer matters.
  if (below_ >= 0) up_[static_cast<size_t>(below_ - offset_)] = kInf;
  if (above_ <= options_.cells) down_[static_cast<size_t>(above_ - offset_)] = kInf;
  const size_t kept = static_cast<size_t>(last() - first() + 1);
  if (kept > up_.size() / 2) return;
  const auto start = static_cast<std::ptrdiff_t>(first() - offset_);
  const auto end = start + static_cast<std::ptrdiff_t>(kept);
  up_ = std::vector<double>(up_.begin() + start, up_.begin() + end);
  down_ = std::vector<double>(down_.begin() + start, down_.begin() + end);
  offset_ = first();
}

absl::Status BettingSequence::Add(double score) {
  if (absl::Status status = CheckScore(score, options_.lower, options_.upper); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckRoom(count_, options_.population); !status.ok()) return status;
  const double x = ToUnit(options_, score);
  const double i = static_cast<double>(count_ + 1);
  const bool open = is_open();
  if (open) Bet(x, PluginBet(i, squares_, options_.level));
  sum_.Add(score);
  ++count_;
  const double rest = x - (0.5 + UnitSum(options_, sum_, count_)) / (i + 1);
  squares_.Add(rest * rest);
  if (open) RuleOut();
  return absl::OkStatus();
}

absl::StatusOr<ConfidenceInterval> BettingSequence::interval() const {
  if (IsComplete(options_, count_)) return ExactMean(options_, sum_, kMethodBettingSequence);
  const double cells = options_.cells;
  double low = 0;
  double high = 1;
  if (below_ >= 0) low = static_cast<double>(below_) / cells;
  if (above_ <= options_.cells) high = static_cast<double>(above_) / cells;
  if (below_ >= above_) {
    // Ends that met leave no mean, not one.
    low = 1;
    high = 0;
  } else if (options_.population.has_value()) {
    const double n = static_cast<double>(*options_.population);
    const double sum = UnitSum(options_, sum_, count_);
    low = std::max(low, sum / n);
    high = std::min(high, (sum + (n - static_cast<double>(count_))) / n);
  }
  return ToInterval(options_, low, high, count_, kMethodBettingSequence);
}

std::string BettingSequence::Serialize() const {
  ByteWriter out(kBettingVersion);
  WriteBounds(options_, out);
  WritePopulation(options_.population, out);
  out.Uint64(options_.cells);
  out.Uint64(count_);
  Write(sum_, out);
  Write(squares_, out);
  out.Uint64(static_cast<uint64_t>(below_ + 1));
  out.Uint64(static_cast<uint64_t>(above_));
  if (is_open()) {
    for (int64_t point = first(); point <= last(); ++point) {
      out.Double(up_[static_cast<size_t>(point - offset_)]);
      out.Double(down_[static_cast<size_t>(point - offset_)]);
    }
  }
  return std::move(out).Take();
}

absl::StatusOr<BettingSequence> BettingSequence::Deserialize(std::string_view bytes) {
  ByteReader in(bytes, "betting sequence", kBettingVersion);
  BettingOptions options;
  ReadBounds(in, options);
  options.population = ReadPopulation(in);
  const uint64_t cells = in.Uint64("cells");
  if (cells > std::numeric_limits<uint32_t>::max()) {
    in.Fail(fmt::format("cells is {}: does not fit in 32 bits", cells));
  }
  options.cells = static_cast<uint32_t>(cells);
  if (absl::Status status = CheckOptions(options); !status.ok()) in.Fail("options", status);
  if (!in.ok()) return in.Finish();
  BettingSequence sequence(options);
  const uint64_t count = in.Count("count");
  sequence.count_ = count;
  sequence.sum_ = ReadSum(in, "sum");
  sequence.squares_ = ReadSum(in, "squares");
  const uint64_t below = in.Uint64("below");
  const uint64_t above = in.Uint64("above");
  if (count > options.population.value_or(kMaxCount) ||
      !IsSumOf(sequence.sum_, count, options.lower, options.upper) ||
      !IsSumOf(sequence.squares_, count, 0, 1) || below > cells + 1 || above > cells + 1 ||
      (count == 0 && (below != 0 || above != cells + 1))) {
    Contradiction(in);
  }
  if (!in.ok()) return in.Finish();
  sequence.below_ = static_cast<int64_t>(below) - 1;
  sequence.above_ = static_cast<int64_t>(above);
  if (sequence.is_open()) {
    const auto points = static_cast<uint64_t>(sequence.last() - sequence.first() + 1);
    if (!in.Holds("capitals", points, 2 * sizeof(double))) return in.Finish();
    sequence.offset_ = sequence.first();
    sequence.up_.reserve(points);
    sequence.down_.reserve(points);
    // Within the interval rounding may leave a point just above what its neighbour stayed below.
    const double most = 2 / (1 - options.level) * (1 + 1e-6);
    const auto fits = [most](double capital, bool won) {
      return won ? capital == kInf : capital >= 0 && capital < most && !std::signbit(capital);
    };
    for (int64_t point = sequence.first(); point <= sequence.last(); ++point) {
      const double up = in.Double("up");
      const double down = in.Double("down");
      if (!fits(up, point == sequence.below_) || !fits(down, point == sequence.above_) ||
          (count == 0 && (up != 1 || down != 1))) {
        Contradiction(in);
      }
      sequence.up_.push_back(up);
      sequence.down_.push_back(down);
    }
  }
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  return sequence;
}

AsymptoticSequence::AsymptoticSequence(const AsymptoticOptions& options)
    : options_(options),
      mixture_(static_cast<double>(options.tuned_n) * MixtureScale(options.level)) {}

absl::StatusOr<AsymptoticSequence> AsymptoticSequence::Create(const AsymptoticOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  return AsymptoticSequence(options);
}

absl::Status AsymptoticSequence::Add(double score) {
  if (!std::isfinite(score)) {
    return Invalid(fmt::format("score is {}: must be finite, or there is no mean", score));
  }
  if (absl::Status status = CheckRoom(count(), std::nullopt); !status.ok()) return status;
  moments_.Add(score);
  return absl::OkStatus();
}

ConfidenceInterval AsymptoticSequence::interval() const {
  ConfidenceInterval interval{-kInf, kInf, options_.level, kMethodAsymptoticSequence};
  if (count() < options_.first_n) return interval;
  const std::optional<double> variance = moments_.variance();
  if (!variance.has_value() || !std::isfinite(*variance) || !(*variance > 0)) return interval;
  const double n = static_cast<double>(count());
  const double half_width = std::sqrt(*variance) * NormalMixture(n, mixture_, options_.level) / n;
  interval.lower = *moments_.mean() - half_width;
  interval.upper = *moments_.mean() + half_width;
  return interval;
}

std::string AsymptoticSequence::Serialize() const {
  ByteWriter out(kAsymptoticVersion);
  out.Double(options_.level);
  out.Uint64(options_.tuned_n);
  out.Uint64(options_.first_n);
  // The moments come last and need no length.
  return std::move(out).Take() + moments_.Serialize();
}

absl::StatusOr<AsymptoticSequence> AsymptoticSequence::Deserialize(std::string_view bytes) {
  ByteReader in(bytes, "asymptotic sequence", kAsymptoticVersion);
  AsymptoticOptions options;
  options.level = in.Double("level");
  options.tuned_n = in.Uint64("tuned_n");
  options.first_n = in.Uint64("first_n");
  if (absl::Status status = CheckOptions(options); !status.ok()) in.Fail("options", status);
  absl::StatusOr<Moments> moments = Moments::Deserialize(in.Rest());
  if (!moments.ok()) {
    in.Fail("moments", moments.status());
  } else if (moments->n_infinite() > 0 || moments->n_nan() > 0 || moments->count() > kMaxCount) {
    Contradiction(in);
  }
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  AsymptoticSequence sequence(options);
  sequence.moments_ = *std::move(moments);
  return sequence;
}

}  // namespace mirage::metrics
