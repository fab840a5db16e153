// How often Mirage's 95 % intervals hold what they are about, how wide they are, and how often its
// tests reject what is true. Mirage's side of tests/studies/interval_coverage.py; prints JSON:
// {"level", "replicates", ..., "cells": [...]}, each cell with the `table` it belongs to, what
// names its row, a `method`, and its figures.
//
//   interval_coverage [--quick] [--seed N] [--threads N] [--data FOLDER]
//
// Where a figure is a finite sum over counts it is computed as one: `simulations` is then 0, and
// `error` too, unless the interval itself is drawn at random (a bootstrap). Else `error` is the
// standard error of the simulations. Outcomes of a probability below 1e-10 are left out. The same
// seed gives the same bytes on any number of threads.
//
// An end that misses by no more than 1e-12 counts as met: quantiles of resampled shares are often
// the share itself, but for rounding. Where there is no interval ("none"), it does not hold
// anything, and its width counts for nothing.
//
// --data writes the first simulated data sets, one JSON object a line, for peers to judge.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/stats/binomial_draw.h"
#include "metrics/stats/binomial_test.h"
#include "metrics/stats/bootstrap.h"
#include "metrics/stats/clustered.h"
#include "metrics/stats/confidence_sequence.h"
#include "metrics/stats/distributions.h"
#include "metrics/stats/hypothesis.h"
#include "metrics/stats/interval_choice.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/moments.h"
#include "metrics/stats/paired.h"
#include "metrics/stats/parallel.h"
#include "metrics/stats/permutation.h"
#include "metrics/stats/random.h"
#include "metrics/stats/unpaired.h"
#include "nlohmann/json.hpp"

namespace mirage::metrics {
namespace {

using Json = nlohmann::ordered_json;
// Absent where a method gives none for such data.
using MaybeInterval = std::optional<ConfidenceInterval>;

constexpr double kLevel = 0.95;
constexpr double kAlpha = 0.05;
constexpr double kSlack = 1e-12;
constexpr double kNegligible = 1e-10;
// Rules for few counts that are compared: ChooseMethod's is that of kFewCounts.
constexpr std::array<uint64_t, 11> kRules = {0, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20};
constexpr uint64_t kLeastN = 5;
constexpr uint64_t kMostN = 200;
constexpr std::array<uint64_t, 4> kSizes = {5, 20, 100, 1000};
constexpr std::array<double, 5> kShares = {0, 0.001, 0.01, 0.1, 0.5};
constexpr std::array<IntervalMethod, 6> kShareMethods = {
    IntervalMethod::kWilson, IntervalMethod::kClopperPearson, IntervalMethod::kBetaPosterior,
    IntervalMethod::kAuto,   IntervalMethod::kStudentT,       IntervalMethod::kNormal};

struct Options {
  bool quick = false;
  uint64_t seed = 1;
  int threads = 1;
  std::string data;

  int replicates() const { return quick ? 200 : 2000; }
  // Simulations of a scenario of n values each.
  size_t simulations(uint64_t n) const { return quick ? 100 : n < 1000 ? 10'000 : 4000; }
  // Data sets of a scenario that are written for peers.
  size_t sets() const { return quick ? 10 : 1000; }
  // Whether an exact sum over two or three counts of n items is made: quick runs stay quick.
  bool SumsOver(uint64_t n, uint64_t quick_most) const { return !quick || n <= quick_most; }
};

// Also from several threads, which nothing may be thrown across.
[[noreturn]] void Fail(const absl::Status& status) {
  std::cerr << "interval_coverage: " << status.message() << std::endl;
  std::_Exit(1);
}

template <typename T>
T Value(absl::StatusOr<T> result) {
  if (!result.ok()) Fail(result.status());
  return *std::move(result);
}

// Only "there is none for such data" is an answer; anything else is a mistake of this program.
template <typename T>
std::optional<T> Keep(const absl::StatusOr<T>& result) {
  if (result.ok()) return *result;
  if (result.status().code() != absl::StatusCode::kFailedPrecondition) Fail(result.status());
  return std::nullopt;
}

MaybeInterval KeepInterval(const absl::StatusOr<BootstrapResult>& result) {
  const std::optional<BootstrapResult> kept = Keep(result);
  if (!kept.has_value()) return std::nullopt;
  return kept->interval;
}

std::string NameOf(IntervalMethod method) {
  for (const IntervalMethodInfo& info : IntervalMethods()) {
    if (info.method == method) return std::string(info.name);
  }
  return "";
}

bool Holds(const ConfidenceInterval& interval, double truth) {
  return interval.lower - kSlack <= truth && truth <= interval.upper + kSlack;
}

// Sums of probabilities, or of numbers of simulations.
struct Tally {
  double total = 0;
  double given = 0;
  double held = 0;
  double width = 0;

  void Add(const MaybeInterval& interval, double truth, double weight) {
    total += weight;
    if (!interval.has_value()) return;
    given += weight;
    if (Holds(*interval, truth)) held += weight;
    width += weight * (interval->upper - interval->lower);
  }

  // A number, or null.
  Json mean_width() const { return given > 0 ? Json(width / given) : Json(); }
};

Json Row(std::string_view table, uint64_t n) { return {{"table", table}, {"n", n}}; }

Json ExactCell(Json row, std::string_view method, const Tally& tally) {
  row["method"] = method;
  row["coverage"] = tally.held;
  row["width"] = tally.mean_width();
  row["none"] = tally.total - tally.given;
  row["simulations"] = 0;
  row["error"] = 0;
  return row;
}

double ShareError(double share, double n) { return std::sqrt(share * (1 - share) / n); }

Json SimulatedCell(Json row, std::string_view method, const Tally& tally) {
  const double coverage = tally.held / tally.total;
  row["method"] = method;
  row["coverage"] = coverage;
  row["width"] = tally.mean_width();
  row["none"] = 1 - tally.given / tally.total;
  row["simulations"] = static_cast<uint64_t>(tally.total);
  row["error"] = ShareError(coverage, tally.total);
  return row;
}

// What one simulation says of one method.
struct Outcome {
  bool given = false;
  bool held = false;
  double width = 0;

  void Set(const MaybeInterval& interval, double truth) {
    if (!interval.has_value()) return;
    *this = {true, Holds(*interval, truth), interval->upper - interval->lower};
  }
};

// Runs simulation(rng, outcomes), which fills `columns` outcomes, `times` times, each with random
// numbers of its own; `scenario` tells the numbers of one scenario from those of another.
template <typename Simulation>
std::vector<Tally> Simulate(const Options& options, uint64_t scenario, size_t times, size_t columns,
                            const Simulation& simulation) {
  std::vector<Outcome> outcomes(times * columns);
  ParallelFor(times, options.threads, [&](size_t i) {
    CounterRng rng(options.seed, (scenario << 32) | i);
    simulation(rng, std::span<Outcome>(outcomes).subspan(i * columns, columns));
  });
  std::vector<Tally> tallies(columns);
  for (size_t i = 0; i < outcomes.size(); ++i) {
    Tally& tally = tallies[i % columns];
    tally.total += 1;
    tally.given += outcomes[i].given ? 1 : 0;
    tally.held += outcomes[i].held ? 1 : 0;
    tally.width += outcomes[i].width;
  }
  return tallies;
}

// Lines of the data sets for peers.
class DataFile {
 public:
  DataFile(const Options& options, std::string_view name) : sets_(options.sets()) {
    if (options.data.empty()) {
      sets_ = 0;
      return;
    }
    const std::filesystem::path path = std::filesystem::path(options.data) / name;
    out_.open(path);
    if (!out_) throw std::runtime_error(fmt::format("cannot write {}", path.string()));
  }

  size_t sets() const { return sets_; }

  void Write(const Json& set) {
    out_ << set << '\n';
    if (!out_) throw std::runtime_error("a file of data sets cannot be written");
  }

 private:
  size_t sets_;
  std::ofstream out_;
};

Moments Counts(uint64_t successes, uint64_t n) {
  Moments values;
  values.AddRepeated(1, successes);
  values.AddRepeated(0, n - successes);
  return values;
}

// The counts of n items whose probability is not negligible.
struct CountRange {
  uint64_t first = 0;
  std::vector<double> probabilities;
};

CountRange LikelyCounts(uint64_t n, double share) {
  CountRange range;
  for (uint64_t k = 0; k <= n; ++k) {
    const double probability = BinomialPmf(k, n, share);
    if (probability < kNegligible) {
      if (!range.probabilities.empty()) break;
      continue;
    }
    if (range.probabilities.empty()) range.first = k;
    range.probabilities.push_back(probability);
  }
  return range;
}

template <typename Visit>
void ForEachCount(uint64_t n, double share, const Visit& visit) {
  const CountRange range = LikelyCounts(n, share);
  for (size_t i = 0; i < range.probabilities.size(); ++i) {
    visit(range.first + i, range.probabilities[i]);
  }
}

// Shares: intervals by the number of successes, 0 to n

std::vector<MaybeInterval> IntervalsOf(uint64_t n, IntervalMethod method) {
  std::vector<MaybeInterval> intervals;
  for (uint64_t k = 0; k <= n; ++k) {
    intervals.push_back(Keep(ShareInterval(k, n, kLevel, method)));
  }
  return intervals;
}

// What ChooseMethod would be with another kFewCounts.
std::vector<MaybeInterval> IntervalsOfRule(uint64_t n, uint64_t few_counts) {
  std::vector<MaybeInterval> intervals;
  for (uint64_t k = 0; k <= n; ++k) {
    intervals.push_back(Value(std::min(k, n - k) < few_counts ? ClopperPearson(k, n, kLevel)
                                                              : Wilson(k, n, kLevel)));
  }
  return intervals;
}

Tally Sum(const std::vector<MaybeInterval>& intervals, double share) {
  Tally tally;
  ForEachCount(intervals.size() - 1, share,
               [&](uint64_t k, double weight) { tally.Add(intervals[k], share, weight); });
  return tally;
}

struct WorstShare {
  double coverage = 1;
  double share = 0;
};

// The least coverage over all shares in (0, 1). Between two ends of intervals the same run of
// counts holds the share, and the probability of a run first rises and then falls with the share:
// the least is the limit at an end, from the side where its interval misses.
WorstShare Worst(const std::vector<MaybeInterval>& intervals) {
  const uint64_t n = intervals.size() - 1;
  WorstShare worst;
  const auto look = [&](double share, bool from_below) {
    if (!(share > 0 && share < 1)) return;
    double coverage = 0;
    uint64_t k = 0;
    while (k <= n) {
      const auto held = [&](uint64_t j) {
        const double lower = intervals[j]->lower;
        const double upper = intervals[j]->upper;
        return from_below ? lower < share && share <= upper : lower <= share && share < upper;
      };
      while (k <= n && !held(k)) ++k;
      if (k > n) break;
      const uint64_t first = k;
      while (k <= n && held(k)) ++k;
      coverage += BinomialCdf(k - 1, n, share) - (first > 0 ? BinomialCdf(first - 1, n, share) : 0);
    }
    if (coverage < worst.coverage) worst = {coverage, share};
  };
  for (const MaybeInterval& interval : intervals) {
    look(interval->lower, true);
    look(interval->upper, false);
  }
  return worst;
}

// Coverage averaged over shares that are uniform on (0, 1):
//   sum over k of the integral of the probability of k over its interval,
// an incomplete beta function, which is the tail of a binomial distribution.
double AverageCoverage(const std::vector<MaybeInterval>& intervals) {
  const uint64_t n = intervals.size() - 1;
  double sum = 0;
  for (uint64_t k = 0; k <= n; ++k) {
    sum += BinomialTail(k + 1, n + 1, intervals[k]->upper) -
           BinomialTail(k + 1, n + 1, intervals[k]->lower);
  }
  return sum / static_cast<double>(n + 1);
}

// Under uniform shares every count is equally likely.
double AverageWidth(const std::vector<MaybeInterval>& intervals) {
  double sum = 0;
  for (const MaybeInterval& interval : intervals) sum += interval->upper - interval->lower;
  return sum / static_cast<double>(intervals.size());
}

Json RuleCell(uint64_t n, std::string_view method, const std::vector<MaybeInterval>& intervals) {
  const WorstShare worst = Worst(intervals);
  Json cell = Row("rules", n);
  cell["method"] = method;
  cell["worst"] = worst.coverage;
  cell["worst_share"] = std::min(worst.share, 1 - worst.share);
  cell["average"] = AverageCoverage(intervals);
  cell["width"] = AverageWidth(intervals);
  return cell;
}

// The least coverage over all shares and all n from kLeastN to kMostN.
Json WorstOfAll(std::string_view method,
                const std::function<std::vector<MaybeInterval>(uint64_t n)>& intervals) {
  WorstShare worst;
  uint64_t at = 0;
  for (uint64_t n = kLeastN; n <= kMostN; ++n) {
    const WorstShare one = Worst(intervals(n));
    if (one.coverage < worst.coverage) {
      worst = one;
      at = n;
    }
  }
  return {{"table", "any_n"},
          {"least_n", kLeastN},
          {"most_n", kMostN},
          {"method", method},
          {"worst", worst.coverage},
          {"worst_share", std::min(worst.share, 1 - worst.share)},
          {"worst_n", at}};
}

// Intervals that are drawn at random: the sum over counts is made for each of some seeds.
std::vector<Json> BootstrapCells(const Options& options, uint64_t n, BootstrapInterval kind) {
  const size_t seeds = options.quick ? 1 : 8;
  std::vector<bool> wanted(n + 1, false);
  for (const double share : kShares) {
    ForEachCount(n, share, [&](uint64_t k, double) { wanted[k] = true; });
  }
  std::vector<std::vector<MaybeInterval>> intervals(seeds, std::vector<MaybeInterval>(n + 1));
  ParallelFor((n + 1) * seeds, options.threads, [&](size_t i) {
    const uint64_t k = i / seeds;
    const size_t seed = i % seeds;
    if (!wanted[k]) return;
    std::vector<double> column(n, 0.0);
    std::fill_n(column.begin(), k, 1.0);
    const BootstrapOptions bootstrap = {
        .seed = CounterRng(options.seed, (uint64_t{1} << 48) | (n << 16) | seed)(),
        .replicates = options.replicates(),
        .level = kLevel,
        .interval = kind};
    intervals[seed][k] = KeepInterval(BootstrapOfMeans(
        column, 1, [](std::span<const double> means) { return means[0]; }, bootstrap));
  });
  std::vector<Json> cells;
  for (const double share : kShares) {
    Tally tally;
    Moments coverages;
    for (const std::vector<MaybeInterval>& of_seed : intervals) {
      const Tally one = Sum(of_seed, share);
      coverages.Add(one.held);
      tally.total += one.total / static_cast<double>(seeds);
      tally.given += one.given / static_cast<double>(seeds);
      tally.held += one.held / static_cast<double>(seeds);
      tally.width += one.width / static_cast<double>(seeds);
    }
    Json row = Row("shares", n);
    row["p"] = share;
    cells.push_back(ExactCell(
        std::move(row),
        kind == BootstrapInterval::kBca ? kMethodBootstrapBca : kMethodBootstrapPercentile, tally));
    cells.back()["error"] = coverages.standard_error().value_or(0);
    cells.back()["seeds"] = seeds;
  }
  return cells;
}

// Differences of two shares

// The probabilities of a pair, by which of the two has the item right.
struct PairCells {
  double both = 0;
  double only_first = 0;
  double only_second = 0;

  double differ() const { return only_first + only_second; }
};

constexpr double kCorrelation = 0.5;
constexpr std::array<double, 2> kDifferences = {0, 0.1};

// Correlated by kCorrelation, or as much as the shares allow.
PairCells CellsOf(double first, double second) {
  const double spread = std::sqrt(first * (1 - first) * second * (1 - second));
  const double both = std::min(first * second + kCorrelation * spread, std::min(first, second));
  return {both, first - both, second - both};
}

Json DifferenceRow(std::string_view table, uint64_t n, double share, double difference) {
  Json row = Row(table, n);
  row["p"] = share;
  row["difference"] = difference;
  return row;
}

std::vector<Json> UnpairedCells(uint64_t n, double share, double difference) {
  Tally newcombe;
  Tally welch;
  std::vector<Moments> second;
  const CountRange counts = LikelyCounts(n, share);
  for (size_t i = 0; i < counts.probabilities.size(); ++i) {
    second.push_back(Counts(counts.first + i, n));
  }
  ForEachCount(n, share + difference, [&](uint64_t k, double probability) {
    const Moments first = Counts(k, n);
    for (size_t i = 0; i < second.size(); ++i) {
      const double weight = probability * counts.probabilities[i];
      newcombe.Add(Value(Newcombe(k, n, counts.first + i, n, kLevel)), difference, weight);
      welch.Add(Keep(WelchInterval(first, second[i], kLevel)), difference, weight);
    }
  });
  const Json row = DifferenceRow("unpaired", n, share, difference);
  return {ExactCell(row, "newcombe", newcombe), ExactCell(row, "welch_t", welch)};
}

std::vector<Json> PairedCells(uint64_t n, double share, double difference) {
  const PairCells cells = CellsOf(share + difference, share);
  Tally newcombe;
  Tally student;
  ForEachCount(n, cells.differ(), [&](uint64_t differ, double p_differ) {
    const double first_share = cells.differ() > 0 ? cells.only_first / cells.differ() : 0;
    const double both_share = cells.differ() < 1 ? cells.both / (1 - cells.differ()) : 0;
    const CountRange both = LikelyCounts(n - differ, std::clamp(both_share, 0.0, 1.0));
    ForEachCount(differ, first_share, [&](uint64_t only_first, double p_first) {
      const uint64_t only_second = differ - only_first;
      Moments differences;
      differences.AddRepeated(1, only_first);
      differences.AddRepeated(-1, only_second);
      differences.AddRepeated(0, n - differ);
      const double weight = p_differ * p_first;
      student.Add(Keep(MeanInterval(differences, kLevel, IntervalMethod::kStudentT)), difference,
                  weight);
      if (weight < kNegligible) return;
      for (size_t i = 0; i < both.probabilities.size(); ++i) {
        const uint64_t k = both.first + i;
        newcombe.Add(Value(NewcombePaired(k, only_first, only_second, n - differ - k, kLevel)),
                     difference, weight * both.probabilities[i]);
      }
    });
  });
  const Json row = DifferenceRow("paired", n, share, difference);
  return {ExactCell(row, "newcombe_paired", newcombe), ExactCell(row, "student_t", student)};
}

void WriteDifferences(const Options& options) {
  DataFile unpaired(options, "unpaired.jsonl");
  DataFile paired(options, "paired.jsonl");
  uint64_t scenario = 1000;
  for (const uint64_t n : kSizes) {
    for (const double share : kShares) {
      for (const double difference : kDifferences) {
        ++scenario;
        const PairCells cells = CellsOf(share + difference, share);
        for (size_t i = 0; i < unpaired.sets(); ++i) {
          CounterRng rng(options.seed, (scenario << 32) | i);
          const uint64_t first = DrawBinomial(n, share + difference, rng);
          const uint64_t second = DrawBinomial(n, share, rng);
          Json set = DifferenceRow("unpaired", n, share, difference);
          set["counts"] = {first, second};
          unpaired.Write(set);
          uint64_t left = n;
          double mass = 1;
          std::array<uint64_t, 3> drawn = {};
          const std::array<double, 3> weights = {cells.both, cells.only_first, cells.only_second};
          for (size_t j = 0; j < weights.size(); ++j) {
            drawn[j] = DrawBinomial(left, std::clamp(weights[j] / mass, 0.0, 1.0), rng);
            left -= drawn[j];
            mass -= weights[j];
          }
          set = DifferenceRow("paired", n, share, difference);
          set["counts"] = {drawn[0], drawn[1], drawn[2], left};
          paired.Write(set);
        }
      }
    }
  }
}

// Looking after each score

// The probability that the intervals of all n up to each of kSizes hold the share, for a method
// that knows the number of successes only: paths that never missed are followed, count by count.
std::vector<Json> PeekingCells(double share, IntervalMethod method, uint64_t most) {
  std::vector<double> alive = {1};
  std::vector<Json> cells;
  for (uint64_t n = 1; n <= most; ++n) {
    std::vector<double> next(n + 1, 0.0);
    for (uint64_t k = 0; k < n; ++k) {
      next[k] += alive[k] * (1 - share);
      next[k + 1] += alive[k] * share;
    }
    double held = 0;
    for (uint64_t k = 0; k <= n; ++k) {
      if (next[k] < kNegligible * kNegligible) continue;
      const MaybeInterval interval = Keep(ShareInterval(k, n, kLevel, method));
      if (interval.has_value() && !Holds(*interval, share)) next[k] = 0;
      held += next[k];
    }
    alive = std::move(next);
    if (std::find(kSizes.begin(), kSizes.end(), n) == kSizes.end()) continue;
    Json row = Row("peeking", n);
    row["p"] = share;
    Tally tally = Sum(IntervalsOf(n, method), share);
    tally.held = held;
    cells.push_back(ExactCell(std::move(row), NameOf(method), tally));
  }
  return cells;
}

// The last is the asymptotic one looked at once, after n scores. For the others, which keep to the
// intersection of all their intervals, that is no different from looking always.
constexpr std::array<std::string_view, 6> kSequences = {
    kMethodBettingSequence,  kMethodEmpiricalBernsteinSequence, kMethodNormalMixtureSequence,
    kMethodStitchedSequence, kMethodAsymptoticSequence,         "asymptotic_sequence_once"};

// An empty intersection, which fails, holds nothing and has the width 0.
template <typename Sequence>
void SetSequence(const Sequence& sequence, double truth, Outcome& outcome) {
  const auto interval = sequence.interval();
  outcome = {true, interval.ok() && Holds(*interval, truth),
             interval.ok() ? interval->upper - interval->lower : 0};
}

std::vector<Json> SequenceCells(const Options& options, uint64_t scenario, double share) {
  const size_t marks = options.quick ? 3 : kSizes.size();
  const size_t times = options.quick ? 20 : share == 0 ? 1 : options.simulations(1000);
  const std::vector<Tally> tallies =
      Simulate(options, scenario, times, marks * kSequences.size(),
               [&](CounterRng& rng, std::span<Outcome> outcomes) {
                 auto betting = Value(BettingSequence::Create({.level = kLevel}));
                 auto bernstein = Value(EmpiricalBernsteinSequence::Create({.level = kLevel}));
                 auto mixture = Value(SubGaussianSequence::Create({.level = kLevel}));
                 auto stitched = Value(SubGaussianSequence::Create(
                     {.level = kLevel, .boundary = SequenceBoundary::kStitched, .tuned_n = 10}));
                 auto asymptotic = Value(AsymptoticSequence::Create({.level = kLevel}));
                 const auto add = [](auto& sequence, double score) {
                   if (absl::Status status = sequence.Add(score); !status.ok()) Fail(status);
                 };
                 bool asymptotic_held = true;
                 size_t mark = 0;
                 for (uint64_t n = 1; mark < marks; ++n) {
                   const double score = rng.Uniform() < share ? 1 : 0;
                   add(betting, score);
                   add(bernstein, score);
                   add(mixture, score);
                   add(stitched, score);
                   add(asymptotic, score);
                   const ConfidenceInterval now = asymptotic.interval();
                   asymptotic_held = asymptotic_held && Holds(now, share);
                   if (n != kSizes[mark]) continue;
                   const std::span<Outcome> at = outcomes.subspan(mark * kSequences.size());
                   SetSequence(betting, share, at[0]);
                   SetSequence(bernstein, share, at[1]);
                   SetSequence(mixture, share, at[2]);
                   SetSequence(stitched, share, at[3]);
                   const bool given = std::isfinite(now.upper);
                   const double width = given ? now.upper - now.lower : 0;
                   at[4] = {given, asymptotic_held, width};
                   at[5] = {given, Holds(now, share), width};
                   ++mark;
                 }
               });
  std::vector<Json> cells;
  for (size_t i = 0; i < tallies.size(); ++i) {
    Json row = Row("peeking", kSizes[i / kSequences.size()]);
    row["p"] = share;
    cells.push_back(SimulatedCell(std::move(row), kSequences[i % kSequences.size()], tallies[i]));
  }
  return cells;
}

// Continuous scores

// In (0, 1).
double OpenUniform(CounterRng& rng) { return (static_cast<double>(rng() >> 11) + 0.5) * 0x1p-53; }

// Log-likelihoods of answers: minus an exponential variable (skewness 2), or minus a log-normal one
// of sigma 1 (skewness 6.2).
constexpr std::array<std::string_view, 2> kScores = {"exponential", "log-normal"};

double MeanScore(size_t kind) { return kind == 0 ? -1 : -std::exp(0.5); }

double DrawScore(size_t kind, CounterRng& rng) {
  const double u = OpenUniform(rng);
  return kind == 0 ? std::log(u) : -std::exp(NormalQuantile(u));
}

std::vector<double> DrawScores(size_t kind, uint64_t n, CounterRng& rng) {
  std::vector<double> scores(n);
  for (double& score : scores) score = DrawScore(kind, rng);
  return scores;
}

MaybeInterval BootstrapOf(std::span<const double> rows, size_t columns, uint64_t seed,
                          const Options& options, BootstrapInterval kind) {
  const BootstrapOptions bootstrap = {
      .seed = seed, .replicates = options.replicates(), .level = kLevel, .interval = kind};
  return KeepInterval(BootstrapOfMeans(
      rows, columns,
      [&](std::span<const double> means) { return columns == 1 ? means[0] : means[0] / means[1]; },
      bootstrap));
}

std::vector<Json> SkewedCells(const Options& options) {
  DataFile file(options, "skewed.jsonl");
  constexpr std::array<std::string_view, 4> kMethods = {
      "student_t", "normal", kMethodBootstrapPercentile, kMethodBootstrapBca};
  std::vector<Json> cells;
  uint64_t scenario = 2000;
  for (size_t kind = 0; kind < kScores.size(); ++kind) {
    for (const uint64_t n : kSizes) {
      ++scenario;
      Json row = Row("skewed", n);
      row["scores"] = kScores[kind];
      for (size_t i = 0; i < file.sets(); ++i) {
        CounterRng rng(options.seed, (scenario << 32) | i);
        Json set = row;
        set["mean"] = MeanScore(kind);
        set["values"] = DrawScores(kind, n, rng);
        file.Write(set);
      }
      const std::vector<Tally> tallies = Simulate(
          options, scenario, options.simulations(n), kMethods.size(),
          [&](CounterRng& rng, std::span<Outcome> out) {
            const double truth = MeanScore(kind);
            const std::vector<double> scores = DrawScores(kind, n, rng);
            const uint64_t seed = rng();
            Moments moments;
            moments.AddAll(scores);
            out[0].Set(Keep(MeanInterval(moments, kLevel)), truth);
            out[1].Set(Keep(MeanInterval(moments, kLevel, IntervalMethod::kNormal)), truth);
            out[2].Set(BootstrapOf(scores, 1, seed, options, BootstrapInterval::kPercentile),
                       truth);
            out[3].Set(BootstrapOf(scores, 1, seed, options, BootstrapInterval::kBca), truth);
          });
      for (size_t i = 0; i < tallies.size(); ++i) {
        cells.push_back(SimulatedCell(row, kMethods[i], tallies[i]));
      }
    }
  }
  return cells;
}

// Clusters

constexpr double kClusterMean = 0.7;
constexpr double kIntraclass = 0.2;

struct ClusterDesign {
  uint64_t clusters;
  // The number of a cluster's items is uniform between these.
  uint64_t least;
  uint64_t most;
};

constexpr std::array<ClusterDesign, 4> kClusterDesigns = {
    {{5, 10, 10}, {20, 10, 10}, {20, 1, 19}, {100, 10, 10}}};

// 0/1 scores; the shares of clusters have a beta distribution.
struct ClusteredScores {
  std::vector<double> scores;
  std::vector<uint64_t> labels;
};

ClusteredScores DrawClusters(const ClusterDesign& design, CounterRng& rng) {
  constexpr double kSum = 1 / kIntraclass - 1;
  ClusteredScores out;
  for (uint64_t cluster = 0; cluster < design.clusters; ++cluster) {
    const double share =
        BetaQuantile(OpenUniform(rng), kClusterMean * kSum, (1 - kClusterMean) * kSum);
    const uint64_t size = design.least + rng.Below(design.most - design.least + 1);
    for (uint64_t i = 0; i < size; ++i) {
      out.scores.push_back(rng.Uniform() < share ? 1 : 0);
      out.labels.push_back(cluster);
    }
  }
  return out;
}

std::vector<Json> ClusteredCells(const Options& options) {
  DataFile file(options, "clustered.jsonl");
  constexpr std::array<std::string_view, 4> kMethods = {
      "auto", "clustered_student_t", "cluster_bootstrap_percentile", "cluster_bootstrap_bca"};
  std::vector<Json> cells;
  uint64_t scenario = 3000;
  for (const ClusterDesign& design : kClusterDesigns) {
    ++scenario;
    Json row = {{"table", "clustered"},
                {"clusters", design.clusters},
                {"items", design.least == design.most
                              ? fmt::format("{}", design.least)
                              : fmt::format("{} to {}", design.least, design.most)}};
    for (size_t i = 0; i < file.sets(); ++i) {
      CounterRng rng(options.seed, (scenario << 32) | i);
      const ClusteredScores drawn = DrawClusters(design, rng);
      Json set = row;
      set["mean"] = kClusterMean;
      set["values"] = drawn.scores;
      set["labels"] = drawn.labels;
      file.Write(set);
    }
    const std::vector<Tally> tallies = Simulate(
        options, scenario, options.simulations(design.clusters), kMethods.size(),
        [&](CounterRng& rng, std::span<Outcome> out) {
          const ClusteredScores drawn = DrawClusters(design, rng);
          const uint64_t seed = rng();
          Moments ignored;
          ignored.AddAll(drawn.scores);
          out[0].Set(Keep(MeanInterval(ignored, kLevel)), kClusterMean);
          ClusteredMoments clustered;
          for (size_t i = 0; i < drawn.scores.size(); ++i) {
            clustered.Add(drawn.labels[i], drawn.scores[i]);
          }
          const std::optional<double> error = clustered.standard_error();
          if (error.value_or(0) > 0) {
            out[1].Set(Value(StudentT(*clustered.mean(), *error, clustered.clusters(), kLevel)),
                       kClusterMean);
          }
          const std::vector<double> rows = clustered.ClusterRows();
          out[2].Set(BootstrapOf(rows, 2, seed, options, BootstrapInterval::kPercentile),
                     kClusterMean);
          out[3].Set(BootstrapOf(rows, 2, seed, options, BootstrapInterval::kBca), kClusterMean);
        });
    for (size_t i = 0; i < tallies.size(); ++i) {
      cells.push_back(SimulatedCell(row, kMethods[i], tallies[i]));
    }
  }
  return cells;
}

// Paired tests

constexpr std::array<double, 3> kDiffers = {0.05, 0.2, 0.5};
// Of the pairs that differ, those in which the first is better: the null hypothesis and another.
constexpr std::array<double, 2> kFirstBetter = {0.5, 0.7};

// How often 0/1 pairs are called different at 5 %.
std::vector<Json> BinaryTestCells(const Options& options, uint64_t n, double differs,
                                  double first_better) {
  constexpr std::array<std::string_view, 6> kMethods = {"student_t",     "permutation",
                                                        "mcnemar_exact", "sign_exact",
                                                        "mcnemar_mid_p", "mcnemar_chi_squared"};
  std::array<double, kMethods.size()> rejected = {};
  ForEachCount(n, differs, [&](uint64_t d, double p_d) {
    ForEachCount(d, first_better, [&](uint64_t first, double p_first) {
      const double weight = p_d * p_first;
      if (weight < kNegligible) return;
      const uint64_t second = d - first;
      PairedMoments pairs;
      std::vector<double> differences(n, 0.0);
      for (uint64_t i = 0; i < n; ++i) {
        differences[i] = i < first ? 1 : i < d ? -1 : 0;
        pairs.Add(i < first ? 1 : 0, i >= first && i < d ? 1 : 0);
      }
      const Alternative sides = Alternative::kTwoSided;
      const std::optional<TestResult> student = Keep(PairedT(pairs, 0, sides));
      const std::array<double, kMethods.size()> p = {
          student.has_value() ? student->p_value : 1,
          Value(PairedPermutation(differences, sides, {.seed = options.seed})).p_value,
          Value(McNemarExact(first, second, sides)).p_value,
          Value(SignTest(first, second, sides)).p_value,
          Value(McNemarMidP(first, second, sides)).p_value,
          Value(McNemarChiSquared(first, second)).p_value};
      for (size_t i = 0; i < p.size(); ++i) rejected[i] += p[i] <= kAlpha ? weight : 0;
    });
  });
  std::vector<Json> cells;
  for (size_t i = 0; i < kMethods.size(); ++i) {
    Json cell = Row("binary_tests", n);
    cell["differs"] = differs;
    cell["first_better"] = first_better;
    cell["method"] = kMethods[i];
    cell["rejected"] = rejected[i];
    cell["simulations"] = 0;
    cell["error"] = 0;
    cells.push_back(std::move(cell));
  }
  return cells;
}

// Differences of continuous scores with the mean 0: of two scores of one log-normal law, which are
// symmetric with heavy tails; and skewed ones, for which labels cannot be exchanged.
constexpr std::array<std::string_view, 2> kDifferenceKinds = {"symmetric", "skewed"};

std::vector<double> DrawDifferences(size_t kind, uint64_t n, CounterRng& rng) {
  std::vector<double> out(n);
  for (double& x : out) {
    const double first = DrawScore(1, rng);
    x = first - (kind == 0 ? DrawScore(1, rng) : MeanScore(1));
  }
  return out;
}

std::vector<Json> ContinuousTestCells(const Options& options) {
  DataFile file(options, "differences.jsonl");
  constexpr std::array<std::string_view, 3> kMethods = {"student_t", "permutation", "sign_exact"};
  std::vector<Json> cells;
  uint64_t scenario = 4000;
  for (size_t kind = 0; kind < kDifferenceKinds.size(); ++kind) {
    for (const uint64_t n : kSizes) {
      ++scenario;
      Json row = Row("continuous_tests", n);
      row["differences"] = kDifferenceKinds[kind];
      for (size_t i = 0; i < file.sets(); ++i) {
        CounterRng rng(options.seed, (scenario << 32) | i);
        Json set = row;
        set["values"] = DrawDifferences(kind, n, rng);
        file.Write(set);
      }
      const std::vector<Tally> tallies = Simulate(
          options, scenario, options.simulations(n), kMethods.size(),
          [&](CounterRng& rng, std::span<Outcome> out) {
            const std::vector<double> differences = DrawDifferences(kind, n, rng);
            const uint64_t seed = rng();
            PairedMoments pairs;
            for (const double x : differences) pairs.Add(x, 0);
            const Alternative sides = Alternative::kTwoSided;
            const std::array<double, kMethods.size()> p = {
                Value(PairedT(pairs, 0, sides)).p_value,
                Value(PairedPermutation(differences, sides,
                                        {.seed = seed, .replicates = 999, .max_exact = 1024}))
                    .p_value,
                Value(SignTest(pairs.n_first_greater(), pairs.n_second_greater(), sides)).p_value};
            for (size_t i = 0; i < p.size(); ++i) out[i] = {true, p[i] <= kAlpha, 0};
          });
      for (size_t i = 0; i < tallies.size(); ++i) {
        Json cell = row;
        cell["method"] = kMethods[i];
        cell["rejected"] = tallies[i].held / tallies[i].total;
        cell["simulations"] = static_cast<uint64_t>(tallies[i].total);
        cell["error"] = ShareError(tallies[i].held / tallies[i].total, tallies[i].total);
        cells.push_back(std::move(cell));
      }
    }
  }
  return cells;
}

// Those parts that are exact, each by itself.
std::vector<std::function<std::vector<Json>()>> ExactParts(const Options& options) {
  std::vector<std::function<std::vector<Json>()>> parts;
  // The largest first, so that no thread is left with one of them at the end.
  for (size_t at = kSizes.size(); at-- > 0;) {
    const uint64_t n = kSizes[at];
    for (const double share : kShares) {
      for (const double difference : kDifferences) {
        if (options.SumsOver(n, 20)) {
          parts.emplace_back([=] { return PairedCells(n, share, difference); });
        }
        if (options.SumsOver(n, 100)) {
          parts.emplace_back([=] { return UnpairedCells(n, share, difference); });
        }
      }
    }
    for (const double differs : kDiffers) {
      for (const double first_better : kFirstBetter) {
        if (options.SumsOver(n, 100)) {
          parts.emplace_back(
              [=, &options] { return BinaryTestCells(options, n, differs, first_better); });
        }
      }
    }
    parts.emplace_back([=] {
      std::vector<Json> cells;
      for (const IntervalMethod method : kShareMethods) {
        const std::vector<MaybeInterval> intervals = IntervalsOf(n, method);
        for (const double share : kShares) {
          Json row = Row("shares", n);
          row["p"] = share;
          cells.push_back(ExactCell(std::move(row), NameOf(method), Sum(intervals, share)));
        }
      }
      for (const uint64_t few : kRules) {
        cells.push_back(RuleCell(n, fmt::format("rule_{}", few), IntervalsOfRule(n, few)));
      }
      cells.push_back(
          RuleCell(n, NameOf(IntervalMethod::kAuto), IntervalsOf(n, IntervalMethod::kAuto)));
      for (const IntervalMethod method :
           {IntervalMethod::kClopperPearson, IntervalMethod::kBetaPosterior}) {
        cells.push_back(RuleCell(n, NameOf(method), IntervalsOf(n, method)));
      }
      return cells;
    });
  }
  for (const uint64_t few : kRules) {
    parts.emplace_back([=] {
      return std::vector<Json>{WorstOfAll(fmt::format("rule_{}", few),
                                          [=](uint64_t n) { return IntervalsOfRule(n, few); })};
    });
  }
  for (const IntervalMethod method :
       {IntervalMethod::kAuto, IntervalMethod::kClopperPearson, IntervalMethod::kBetaPosterior}) {
    parts.emplace_back([=] {
      return std::vector<Json>{
          WorstOfAll(NameOf(method), [=](uint64_t n) { return IntervalsOf(n, method); })};
    });
  }
  const uint64_t most = options.quick ? 100 : kSizes.back();
  for (const double share : kShares) {
    for (const IntervalMethod method : kShareMethods) {
      parts.emplace_back([=] { return PeekingCells(share, method, most); });
    }
  }
  return parts;
}

Json Study(const Options& options) {
  Json answer = {{"level", kLevel},           {"seed", options.seed},
                 {"quick", options.quick},    {"replicates", options.replicates()},
                 {"few_counts", kFewCounts},  {"correlation", kCorrelation},
                 {"intraclass", kIntraclass}, {"cells", Json::array()}};
  const auto add = [&](const std::vector<Json>& cells) {
    for (const Json& cell : cells) answer["cells"].push_back(cell);
  };
  const std::vector<std::function<std::vector<Json>()>> parts = ExactParts(options);
  std::vector<std::vector<Json>> results(parts.size());
  ParallelFor(parts.size(), options.threads, [&](size_t i) { results[i] = parts[i](); });
  for (const std::vector<Json>& cells : results) add(cells);
  for (const uint64_t n : kSizes) {
    if (!options.SumsOver(n, 100)) break;
    for (const BootstrapInterval kind : {BootstrapInterval::kPercentile, BootstrapInterval::kBca}) {
      add(BootstrapCells(options, n, kind));
    }
  }
  uint64_t scenario = 5000;
  for (const double share : kShares) add(SequenceCells(options, ++scenario, share));
  add(SkewedCells(options));
  add(ClusteredCells(options));
  add(ContinuousTestCells(options));
  WriteDifferences(options);
  return answer;
}

int Main(int argc, char** argv) {
  Options options;
  options.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  CLI::App app("How often Mirage's intervals hold what they are about.");
  app.add_flag("--quick", options.quick, "few simulations, no large sums");
  app.add_option("--seed", options.seed, "of the simulations");
  app.add_option("--threads", options.threads, "the figures do not depend on it");
  app.add_option("--data", options.data, "write the data sets for peers into this folder");
  CLI11_PARSE(app, argc, argv);
  try {
    std::cout << Study(options).dump(1) << '\n';
  } catch (const std::exception& error) {
    std::cerr << "interval_coverage: " << error.what() << '\n';
    return 1;
  }
  return std::cout ? 0 : 4;
}

}  // namespace
}  // namespace mirage::metrics

int main(int argc, char** argv) { return mirage::metrics::Main(argc, argv); }
