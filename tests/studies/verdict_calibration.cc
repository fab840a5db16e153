// How often the verdict is right, on simulated families whose truth is known. Mirage's side of
// tests/studies/verdict_calibration.py; prints JSON: {"seed", "replicates", "level", ...,
// "cells": [...]}, each cell with the `table` it belongs to, what names its row, and counts.
//
//   verdict_calibration [--quick] [--seed N] [--threads N] [--families FILE]
//
// A family is drawn (simulation.h), answered, and averaged to what a table of results holds: exact
// match, NLL per token, their standard errors, n. From these alone Judge (verdict.h) gives its
// verdict, which is compared with TruthOf (simulation_truth.h), which knows the law. Some cells
// have per-sample results on top: the NLL at each position and in two groups of items, by what they
// gain in other models, and each item's log p and score.
// Families are drawn again until their truth is the one that their cell is for; on the grid also
// until it is not on a boundary (no verdict but it and INSUFFICIENT is acceptable).
//
// A verdict is `right` where it is acceptable, `abstained` where it is INSUFFICIENT or an
// acceptable MIXED (and the truth another), else `wrong`.
//
// The same seed gives the same bytes on any number of threads. A quick run's families are the first
// ones of the full run's cells, so that no count of it can exceed that of the full run.
//
// --families writes each family, one JSON object a line.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/emergence/composition.h"
#include "metrics/emergence/gain_groups.h"
#include "metrics/emergence/law_quantity.h"
#include "metrics/emergence/simulation.h"
#include "metrics/emergence/simulation_spec.h"
#include "metrics/emergence/simulation_truth.h"
#include "metrics/emergence/slope_break.h"
#include "metrics/emergence/verdict.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/moments.h"
#include "metrics/stats/parallel.h"
#include "metrics/stats/random.h"
#include "nlohmann/json.hpp"

namespace mirage::metrics {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kLevel = 0.95;
constexpr int kReplicates = 199;
constexpr double kInf = std::numeric_limits<double>::infinity();
// Sizes of every family that is not a preset's.
constexpr double kFirstScale = 1e7;
constexpr double kLastScale = 1e11;
const double kLogRange = std::log(kLastScale / kFirstScale);
constexpr std::array<int, 4> kSizes = {5, 6, 8, 12};
constexpr std::array<uint32_t, 3> kItems = {100, 300, 1000};
constexpr std::array<double, 3> kTaus = {0.01, 0.04, 0.1};
// What a clear case has at least, and at most.
constexpr int kClearSizes = 6;
constexpr uint32_t kClearItems = 300;
constexpr double kClearTau = 0.04;
constexpr double kMiddleTau = 0.04;
// Families of a power law or a break in each cell of the grid, at least.
constexpr int kEven = 20;
// Draws of a family until its truth is the wanted one.
constexpr int kMostDraws = 30;

struct Options {
  bool quick = false;
  uint64_t seed = 2;
  int threads = 1;
  std::string families;
};

// Also from several threads, which nothing may be thrown across.
[[noreturn]] void Fail(std::string_view what, const absl::Status& status) {
  std::cerr << "verdict_calibration: " << what << ": " << status.message() << std::endl;
  std::_Exit(1);
}

template <typename T>
T Value(std::string_view what, absl::StatusOr<T> result) {
  if (!result.ok()) Fail(what, result.status());
  return *std::move(result);
}

// Random designs

// What all families of a cell have in common.
struct Setting {
  int m = 8;
  uint32_t n = 300;
  double tau = 0.04;
  uint32_t seeds = 1;
  bool greedy = false;
};

double Between(CounterRng& rng, double least, double most) {
  return least + (most - least) * rng.Uniform();
}

template <typename T, size_t kN>
T OneOf(CounterRng& rng, const std::array<T, kN>& values) {
  return values[rng.Below32(kN)];
}

SimulationSpec Common(CounterRng& rng, const Setting& setting) {
  SimulationSpec spec;
  spec.truth = "mirage";
  for (int i = 0; i < setting.m; ++i) {
    spec.scales.push_back(kFirstScale * std::exp(kLogRange * i / (setting.m - 1)));
  }
  spec.n_samples = setting.n;
  spec.n_seeds = setting.seeds;
  spec.tau = setting.tau;
  spec.greedy = setting.greedy;
  spec.target_lengths = {OneOf<uint32_t, 3>(rng, {3, 5, 10})};
  spec.item_cv = OneOf<double, 3>(rng, {0.2, 0.5, 0.8});
  return spec;
}

// A power law, or what stands for it, passes through `u` nats a target at `scale`.
void PassThrough(double u, double scale, SimulationSpec& spec) {
  spec.c = scale * std::pow(u / spec.target_lengths[0], -1 / *spec.alpha);
}

// One power law.
SimulationSpec PowerLaw(CounterRng& rng, const Setting& setting) {
  SimulationSpec spec = Common(rng, setting);
  spec.alpha = -Between(rng, 0.35, 0.7);
  PassThrough(Between(rng, 0.1, 0.8), kLastScale, spec);
  return spec;
}

// A shallow law whose exponent rises by `delta` at one place, of the share of the range between
// `from` and `to` where a break can be found with so many sizes.
SimulationSpec BreakBetween(CounterRng& rng, const Setting& setting, double delta, double from,
                            double to) {
  SimulationSpec spec = Common(rng, setting);
  spec.alpha = -Between(rng, 0.02, 0.1);
  const double gaps = setting.m - 1;
  const double place = Between(rng, std::max(from, (kSizesBeforeBreak - 0.9) / gaps),
                               std::min(to, (gaps - kSizesAfterBreak + 0.9) / gaps));
  const double scale = kFirstScale * std::exp(kLogRange * place);
  PassThrough(Between(rng, 4, 8), scale, spec);
  spec.breaks = {{.scale = scale, .delta_exponent = delta}};
  return spec;
}

SimulationSpec Break(CounterRng& rng, const Setting& setting, double least, double most) {
  const double delta = Between(rng, least, most);
  return BreakBetween(rng, setting, delta, 0.4, 0.65);
}

SimulationSpec ClearBreak(CounterRng& rng, const Setting& setting) {
  return Break(rng, setting, 0.6, 1.2);
}

// Exact match of one token, which rises with the law.
SimulationSpec Gradual(CounterRng& rng, const Setting& setting) {
  SimulationSpec spec = Common(rng, setting);
  spec.target_lengths = {1};
  spec.alpha = -Between(rng, 0.12, 0.3);
  PassThrough(Between(rng, 0.15, 0.5), kLastScale, spec);
  return spec;
}

SimulationSpec NoChange(CounterRng& rng, const Setting& setting) {
  SimulationSpec spec = Common(rng, setting);
  spec.truth = "no_change";
  spec.target_lengths = {OneOf<uint32_t, 3>(rng, {1, 2, 3})};
  return spec;
}

// A power law that has not yet arrived where the test set could show it.
SimulationSpec Resolution(CounterRng& rng, const Setting& setting) {
  SimulationSpec spec = Common(rng, setting);
  spec.item_cv = 0.2;
  spec.alpha = -Between(rng, 0.2, 0.5);
  PassThrough(Between(rng, 8, 12), kLastScale, spec);
  return spec;
}

// What makes a case hard, on top of a power law or a break.

void Outlier(CounterRng& rng, SimulationSpec& spec) {
  spec.outlier = rng.Below32(static_cast<uint32_t>(spec.scales.size()));
  spec.outlier_factor = rng.Uniform() < 0.5 ? 1.5 : 1 / 1.5;
}

using Draw = std::function<SimulationSpec(CounterRng&)>;

// The families of one kind and setting.
struct Cell {
  // "grid", "variant" (of the grid), "hard", "other evidence", "also" (presets that are neither a
  // mirage nor a break), "null" or "samples" (per-sample results are there).
  std::string group;
  std::string name;
  Setting setting;
  std::optional<TrueVerdict> wanted;
  // How many; of these, the first `even` are as many as every other cell of the group has.
  int families = 0;
  int even = 0;
  Draw draw;
};

bool IsClear(const Setting& setting) {
  return setting.m >= kClearSizes && setting.n >= kClearItems && setting.tau <= kClearTau;
}

void AddGrid(const Options& options, std::vector<Cell>& cells) {
  struct Kind {
    std::string_view name;
    TrueVerdict truth;
    SimulationSpec (*draw)(CounterRng&, const Setting&);
    // Number of families in a clear cell, in any other, and in a clear cell of a quick run.
    int clear;
    int other;
    int quick;
  };
  constexpr std::array<Kind, 5> kKinds = {
      {{"power law", TrueVerdict::kMirage, PowerLaw, 120, kEven, 3},
       {"break", TrueVerdict::kBreakSurvives, ClearBreak, 60, kEven, 3},
       {"gradual", TrueVerdict::kSmooth, Gradual, 15, 5, 2},
       {"no change", TrueVerdict::kSmooth, NoChange, 15, 5, 2},
       {"too few items", TrueVerdict::kResolutionLimited, Resolution, 30, 5, 3}}};
  for (const Kind& kind : kKinds) {
    for (const int m : kSizes) {
      for (const uint32_t n : kItems) {
        for (const double tau : kTaus) {
          const Setting setting = {.m = m, .n = n, .tau = tau};
          const bool is_clear = IsClear(setting);
          Cell cell = {"grid", std::string(kind.name), setting, kind.truth};
          cell.families = is_clear ? kind.clear : kind.other;
          cell.even = kind.other;
          if (options.quick) {
            cell.families = is_clear ? kind.quick : 0;
            cell.even = std::min(cell.even, cell.families);
          }
          cell.draw = [setting, draw = kind.draw](CounterRng& rng) { return draw(rng, setting); };
          cells.push_back(std::move(cell));
        }
      }
    }
  }
}

// The same two laws with what the grid leaves out, in the middle of it.
void AddVariants(const Options& options, std::vector<Cell>& cells) {
  const int families = options.quick ? 0 : kEven;
  for (const int m : {6, 8, 12}) {
    for (const uint32_t n : {300u, 1000u}) {
      for (const bool greedy : {true, false}) {
        const Setting setting = {
            .m = m, .n = n, .tau = kMiddleTau, .seeds = greedy ? 1u : 3u, .greedy = greedy};
        for (const bool breaks : {false, true}) {
          cells.push_back({"variant", breaks ? "break" : "power law", setting,
                           breaks ? TrueVerdict::kBreakSurvives : TrueVerdict::kMirage, families,
                           families, [setting, breaks](CounterRng& rng) {
                             return breaks ? ClearBreak(rng, setting) : PowerLaw(rng, setting);
                           }});
        }
      }
    }
  }
}

void AddHard(const Options& options, std::vector<Cell>& cells) {
  const int families = options.quick ? 1 : 60;
  const auto add = [&](std::string_view group, std::string name, TrueVerdict truth,
                       const Setting& setting, Draw draw) {
    cells.push_back(
        {std::string(group), std::move(name), setting, truth, families, families, std::move(draw)});
  };
  constexpr TrueVerdict kBreak = TrueVerdict::kBreakSurvives;
  constexpr TrueVerdict kMirage = TrueVerdict::kMirage;
  const auto preset = [&](std::string_view group, std::string_view name, TrueVerdict truth) {
    SimulationSpec spec;
    spec.truth = std::string(name);
    const SimulationSpec filled = Value(name, FillSimulationSpec(spec));
    add(group, std::string(name), truth,
        {.m = static_cast<int>(filled.scales.size()),
         .n = *filled.n_samples,
         .tau = *filled.tau,
         .seeds = *filled.n_seeds},
        [spec](CounterRng&) { return spec; });
  };
  for (const std::string_view name : {"break", "gentle_break", "late_break", "half_items_break",
                                      "staggered_breaks", "bimodal_seeds", "twin_break"}) {
    preset("hard", name, kBreak);
  }
  for (const std::string_view name : {"paper", "mirage", "five_scales", "logistic", "quadratic",
                                      "wide_bend", "twin_smooth", "wrong_golds"}) {
    preset("hard", name, kMirage);
  }
  for (const std::string_view name : {"multiple_choice", "vectors", "trials"}) {
    preset("other evidence", name, kMirage);
  }
  preset("also", "gradual", TrueVerdict::kSmooth);
  preset("also", "resolution", TrueVerdict::kResolutionLimited);
  // Both kinds of law under the same difficulty.
  struct Difficulty {
    std::string_view name;
    Setting setting;
    void (*change)(CounterRng&, SimulationSpec&);
  };
  const auto none = [](CounterRng&, SimulationSpec&) {};
  const std::vector<Difficulty> difficulties = {
      {"five sizes", {.m = 5}, none},
      {"six sizes", {.m = 6}, none},
      {"models scatter by 10 %", {.tau = 0.1}, none},
      {"100 items", {.n = 100}, none},
      {"three seeds a size", {.seeds = 3}, none},
      {"greedy decoding", {.greedy = true}, none},
      {"one model off by half", {}, Outlier},
      {"items differ widely (CV 1.2)",
       {},
       [](CounterRng&, SimulationSpec& spec) { spec.item_cv = 1.2; }},
      {"positions differ (CV 0.7)",
       {},
       [](CounterRng&, SimulationSpec& spec) { spec.position_cv = 0.7; }},
      {"targets of 50 tokens",
       {},
       [](CounterRng&, SimulationSpec& spec) {
         // The same nats a target.
         *spec.c *= std::pow(50.0 / spec.target_lengths[0], 1 / *spec.alpha);
         spec.target_lengths = {50};
       }},
      {"a floor of 0.1 nats a target", {}, [](CounterRng&, SimulationSpec& spec) {
         spec.floor = 0.1 / spec.target_lengths[0];
       }}};
  for (const Difficulty& one : difficulties) {
    for (const TrueVerdict truth : {kMirage, kBreak}) {
      add("hard", std::string(one.name), truth, one.setting, [one, truth](CounterRng& rng) {
        SimulationSpec spec =
            truth == kMirage ? PowerLaw(rng, one.setting) : ClearBreak(rng, one.setting);
        one.change(rng, spec);
        return spec;
      });
    }
  }
  const Setting usual;
  const double window = kLogRange / 3;
  add("hard", "a small break (0.35 to 0.5)", kBreak, usual,
      [usual](CounterRng& rng) { return Break(rng, usual, 0.35, 0.5); });
  add("hard", "a wide break (0.6 to 0.9 of the window)", kBreak, usual,
      [usual, window](CounterRng& rng) {
        SimulationSpec spec = ClearBreak(rng, usual);
        spec.breaks[0].width = window * Between(rng, 0.6, 0.9);
        return spec;
      });
  add("hard", "a late break (two sizes after it)", kBreak, usual, [usual](CounterRng& rng) {
    SimulationSpec spec = BreakBetween(rng, usual, Between(rng, 0.8, 1.2), 0.72, 0.84);
    return spec;
  });
  add("hard", "a break in a law that falls already", kBreak, usual, [usual](CounterRng& rng) {
    SimulationSpec spec = ClearBreak(rng, usual);
    spec.alpha = -Between(rng, 0.2, 0.35);
    PassThrough(Between(rng, 3, 6), spec.breaks[0].scale, spec);
    return spec;
  });
  add("hard", "a steep logistic law (0.8 to 1.2)", kBreak, usual, [usual](CounterRng& rng) {
    SimulationSpec spec = Common(rng, usual);
    spec.law = SimulatedLaw::kLogistic;
    spec.alpha = -Between(rng, 0.8, 1.2);
    spec.c = kFirstScale * std::exp(kLogRange * Between(rng, 0.35, 0.55));
    return spec;
  });
  add("hard", "a gentle logistic law (0.4 to 0.6)", kMirage, usual, [usual](CounterRng& rng) {
    SimulationSpec spec = Common(rng, usual);
    spec.law = SimulatedLaw::kLogistic;
    spec.alpha = -Between(rng, 0.4, 0.6);
    spec.c = kFirstScale * std::exp(kLogRange * Between(rng, 0.1, 0.4));
    return spec;
  });
  add("hard", "an exponent that rises evenly", kMirage, usual, [usual](CounterRng& rng) {
    SimulationSpec spec = PowerLaw(rng, usual);
    spec.law = SimulatedLaw::kQuadratic;
    spec.curvature = -Between(rng, 0.01, 0.04);
    return spec;
  });
  add("hard", "a rise too small for a break (0.1 to 0.2)", kMirage, usual,
      [usual](CounterRng& rng) {
        SimulationSpec spec = PowerLaw(rng, usual);
        const double scale = kFirstScale * std::exp(kLogRange * Between(rng, 0.4, 0.65));
        spec.breaks = {{.scale = scale, .delta_exponent = Between(rng, 0.1, 0.2)}};
        return spec;
      });
  add("hard", "a bend too wide for a break", kMirage, usual, [usual, window](CounterRng& rng) {
    SimulationSpec spec = Break(rng, usual, 0.4, 0.6);
    spec.breaks[0].width = window * Between(rng, 1.4, 2);
    return spec;
  });
}

void AddNull(const Options& options, std::vector<Cell>& cells) {
  const int families = options.quick ? 1 : 60;
  for (const double tau : {0.0, 0.03, 0.1, 0.2, 0.4}) {
    for (const int m : kSizes) {
      const Setting setting = {.m = m, .n = 300, .tau = tau};
      cells.push_back({"null", tau > 0.1 ? "noise" : "no change", setting, TrueVerdict::kSmooth,
                       families, families,
                       [setting](CounterRng& rng) { return NoChange(rng, setting); }});
    }
  }
}

// Cases that means alone do not settle, and clear ones beside them.
void AddSamples(const Options& options, std::vector<Cell>& cells) {
  const int families = options.quick ? 1 : 60;
  constexpr TrueVerdict kBreak = TrueVerdict::kBreakSurvives;
  constexpr TrueVerdict kMirage = TrueVerdict::kMirage;
  for (const auto& [name, truth] :
       {std::pair("mirage", kMirage), std::pair("wrong_golds", kMirage), std::pair("break", kBreak),
        std::pair("staggered_breaks", kBreak)}) {
    SimulationSpec spec;
    spec.truth = name;
    cells.push_back(
        {"samples", name, {}, truth, families, families, [spec](CounterRng&) { return spec; }});
  }
  for (const bool positions_differ : {false, true}) {
    const Setting setting = {.greedy = !positions_differ};
    for (const TrueVerdict truth : {kMirage, kBreak}) {
      cells.push_back(
          {"samples", positions_differ ? "positions differ (CV 0.7)" : "greedy decoding", setting,
           truth, families, families, [setting, truth, positions_differ](CounterRng& rng) {
             SimulationSpec spec =
                 truth == TrueVerdict::kMirage ? PowerLaw(rng, setting) : ClearBreak(rng, setting);
             if (positions_differ) spec.position_cv = 0.7;
             return spec;
           }});
    }
  }
  SimulationSpec half;
  half.truth = "half_items_break";
  cells.push_back({"samples", half.truth, {}, kBreak, families, families, [half](CounterRng&) {
                     return half;
                   }});
  for (const TrueVerdict truth : {kMirage, kBreak}) {
    const Setting setting;
    cells.push_back({"samples", "items differ widely (CV 1.2)", setting, truth, families, families,
                     [setting, truth](CounterRng& rng) {
                       SimulationSpec spec = truth == TrueVerdict::kMirage
                                                 ? PowerLaw(rng, setting)
                                                 : ClearBreak(rng, setting);
                       spec.item_cv = 1.2;
                       return spec;
                     }});
  }
}

// One family

struct Family {
  const Cell* cell = nullptr;
  int index = 0;
  TrueVerdict truth = TrueVerdict::kInsufficient;
  bool is_boundary = false;
  bool is_acceptable = false;
  Verdict said = Verdict::kInsufficient;
  std::optional<Strength> strength;
  std::string_view code;
  bool is_emergent = false;
  double h40 = 0;
  std::optional<BreakEvidence> law;
  // Number of models whose sharp metric lies above, or below, what their own counterpart composes
  // to, and of those held out that lie outside of the forecast.
  int above = 0;
  int below = 0;
  int off_forecast = 0;
  // What was drawn: tokens a target, the spread of items, the law's exponent.
  uint32_t length = 0;
  double item_cv = 0;
  double alpha = 0;

  bool is_right() const {
    return VerdictName(said) == TrueVerdictName(truth) || (is_acceptable && !is_silent());
  }
  bool is_silent() const {
    return said == Verdict::kInsufficient || (said == Verdict::kMixed && is_acceptable);
  }
  bool has_abstained() const { return !is_right() && is_silent(); }
  bool is_wrong() const { return !is_right() && !is_silent(); }
};

CurveMetric SharpMetric(const SimulationSpec& spec) {
  CurveMetric metric;
  metric.sharp = true;
  metric.proportion = spec.evidence != SimulatedEvidence::kTrials;
  if (spec.evidence == SimulatedEvidence::kMultipleChoice) {
    metric.uses_wrong_choices = true;
    metric.chance = 1.0 / *spec.n_choices;
  }
  return metric;
}

CurveMetric NllPerToken() {
  CurveMetric metric;
  metric.higher_is_better = false;
  metric.upper_bound = kInf;
  metric.continuous = true;
  metric.linear_in_token_error = true;
  return metric;
}

// The items in two groups by what they gain in other models.
void AddGroups(VerdictSeries& series) {
  std::vector<double> x;
  std::vector<std::vector<double>> nll;
  for (const VerdictModel& model : series.models) {
    x.push_back(std::log(model.scale));
    std::vector<double>& column = nll.emplace_back();
    column.reserve(model.items->log_p.size());
    for (const double log_p : model.items->log_p) column.push_back(-log_p);
  }
  const GainGroups groups = Value("groups", GroupByGain(nll, x));
  for (const bool is_large : {false, true}) {
    VerdictPart part;
    part.stratum = std::string(kGainField) + (is_large ? "=large" : "=small");
    part.item_share = 0.5;
    for (size_t j = 0; j < nll.size(); ++j) {
      std::vector<double> own;
      for (size_t i = 0; i < nll[j].size(); ++i) {
        if (groups.IsLarge(j, i) == is_large) own.push_back(nll[j][i]);
      }
      Moments moments;
      moments.AddAll(own);
      part.models.push_back({moments.mean().value_or(0), moments.standard_error().value_or(0),
                             static_cast<double>(own.size())});
    }
    series.parts.push_back(std::move(part));
  }
}

// What samples tell beside the means: items, and the NLL at each position.
void AddEvidence(const SimulatedItems& items, const SimulatedAggregate& aggregate,
                 VerdictModel& model, VerdictSeries& series) {
  auto columns = std::make_shared<VerdictItems>();
  for (size_t i = 0; i < items.n; ++i) {
    double nll = 0;
    for (size_t k = 0; k < items.length; ++k) nll += items.nll[i * items.length + k];
    columns->log_p.push_back(-nll);
    columns->scores.push_back(items.sharp[i]);
  }
  model.items = std::move(columns);
  series.parts.resize(items.length);
  for (size_t k = 0; k < items.length; ++k) {
    series.parts[k].position = k;
    const SimulatedMean& mean = aggregate.nll_by_position[k];
    series.parts[k].models.push_back(
        {mean.mean, mean.standard_error, static_cast<double>(items.n)});
  }
}

VerdictSeries SeriesOf(const Simulation& simulation, bool has_samples) {
  const SimulationSpec& spec = simulation.spec();
  VerdictSeries series;
  series.metric = SharpMetric(spec);
  series.counterpart = NllPerToken();
  switch (spec.evidence) {
    case SimulatedEvidence::kMultipleChoice:
      series.composition = Composition::kArgmax;
      break;
    case SimulatedEvidence::kVectors:
      series.composition = Composition::kNone;
      break;
    default:
      series.composition = Composition::kAllTokens;
  }
  series.target_length = spec.target_lengths[0];
  series.is_greedy = *spec.greedy;
  for (size_t i = 0; i < simulation.models().size(); ++i) {
    const SimulatedItems items = simulation.Answer(i, 0);
    const SimulatedAggregate aggregate = Aggregate(items);
    const double n = static_cast<double>(aggregate.n);
    VerdictModel model;
    model.scale = simulation.models()[i].parameters;
    // Attempts at one item are no items.
    if (series.metric.proportion) model.n = n;
    model.value = aggregate.sharp.mean;
    model.standard_error = aggregate.sharp.standard_error;
    model.counterpart = aggregate.nll_per_token.mean;
    model.counterpart_error = aggregate.nll_per_token.standard_error;
    model.counterpart_n = n;
    if (has_samples) AddEvidence(items, aggregate, model, series);
    series.models.push_back(model);
  }
  if (has_samples) AddGroups(series);
  return series;
}

Family Judged(const Options& options, const Cell& cell, size_t place, int index) {
  Family family;
  family.cell = &cell;
  family.index = index;
  CounterRng rng(options.seed, (uint64_t{place} << 32) | static_cast<uint64_t>(index));
  std::optional<Simulation> simulation;
  SimulationTruth truth;
  for (int draw = 0; draw < kMostDraws; ++draw) {
    SimulationSpec spec = cell.draw(rng);
    spec.seed = rng();
    simulation.emplace(Value(cell.name, Simulation::Create(spec)));
    truth = TruthOf(*simulation);
    family.is_boundary = truth.acceptable.size() > 2;
    if (truth.verdict == cell.wanted && !(cell.group == "grid" && family.is_boundary)) break;
  }
  family.truth = truth.verdict;
  const SimulationSpec& spec = simulation->spec();
  family.length = spec.target_lengths[0];
  family.item_cv = *spec.item_cv;
  family.alpha = *spec.alpha;
  const VerdictSeries series = SeriesOf(*simulation, cell.group == "samples");
  const VerdictResult result =
      Value(cell.name, Judge(series, {.seed = spec.seed, .replicates = kReplicates}));
  family.said = result.verdict;
  family.is_acceptable = std::any_of(
      truth.acceptable.begin(), truth.acceptable.end(),
      [&](TrueVerdict one) { return TrueVerdictName(one) == VerdictName(result.verdict); });
  family.strength = result.strength;
  family.code = result.reasons.front().code;
  family.is_emergent = result.shape && result.shape->is_emergent;
  family.h40 = result.shape ? result.shape->h40.value_or(0) : 0;
  family.law = result.law;
  for (const VerdictScale& at : result.scales) {
    const double value = *series.models[at.model].value;
    if (at.composed) {
      family.above += value > at.composed->upper ? 1 : 0;
      family.below += value < at.composed->lower ? 1 : 0;
    }
    if (at.forecast) {
      family.off_forecast += value < at.forecast->lower || value > at.forecast->upper ? 1 : 0;
    }
  }
  return family;
}

// Tables

Json Interval(uint64_t k, uint64_t n) {
  if (n == 0) return nullptr;
  const ConfidenceInterval interval = Value("interval", ClopperPearson(k, n, kLevel));
  return {interval.lower, interval.upper};
}

Json Share(uint64_t k, uint64_t n) { return {{"count", k}, {"interval", Interval(k, n)}}; }

using Keep = std::function<bool(const Family&)>;

// Counts of the families that `keep` keeps.
Json Row(std::string_view table, const Json& names, const std::vector<Family>& families,
         const Keep& keep) {
  uint64_t n = 0;
  uint64_t right = 0;
  uint64_t abstained = 0;
  uint64_t wrong = 0;
  uint64_t emergent = 0;
  uint64_t decided = 0;
  std::map<std::string_view, uint64_t> said;
  std::map<std::string_view, uint64_t> codes;
  for (const Family& family : families) {
    if (!keep(family)) continue;
    ++n;
    right += family.is_right() ? 1 : 0;
    abstained += family.has_abstained() ? 1 : 0;
    wrong += family.is_wrong() ? 1 : 0;
    emergent += family.is_emergent ? 1 : 0;
    decided += family.said != Verdict::kInsufficient && family.said != Verdict::kMixed ? 1 : 0;
    ++said[VerdictName(family.said)];
    if (!family.is_right()) ++codes[family.code];
  }
  Json row = {{"table", table}};
  row.update(names);
  row["n"] = n;
  row["right"] = Share(right, n);
  row["abstained"] = Share(abstained, n);
  row["wrong"] = Share(wrong, n);
  row["decided"] = Share(decided, n);
  const uint64_t silent = said[VerdictName(Verdict::kInsufficient)];
  row["false_emergence"] = Share(n - silent - said[VerdictName(Verdict::kSmooth)], n);
  row["emergent"] = Share(emergent, n);
  for (const Verdict verdict :
       {Verdict::kMirage, Verdict::kResolutionLimited, Verdict::kBreakSurvives, Verdict::kSmooth,
        Verdict::kMixed, Verdict::kInsufficient}) {
    row["said"][std::string(VerdictName(verdict))] = Share(said[VerdictName(verdict)], n);
  }
  row["reasons"] = Json::object();
  for (const auto& [code, count] : codes) row["reasons"][std::string(code)] = count;
  return row;
}

Json Tables(const std::vector<Cell>& cells, const std::vector<Family>& families) {
  Json rows = Json::array();
  const auto add = [&](std::string_view table, const Json& names, const Keep& keep) {
    Json row = Row(table, names, families, keep);
    if (row["n"] != 0) rows.push_back(std::move(row));
  };
  const auto in = [](const Family& family, std::string_view group) {
    return family.cell->group == group;
  };
  constexpr std::array<TrueVerdict, 2> kLaws = {TrueVerdict::kMirage, TrueVerdict::kBreakSurvives};
  for (const TrueVerdict truth : {TrueVerdict::kMirage, TrueVerdict::kBreakSurvives,
                                  TrueVerdict::kSmooth, TrueVerdict::kResolutionLimited}) {
    add("clear", {{"truth", TrueVerdictName(truth)}}, [&](const Family& family) {
      return in(family, "grid") && IsClear(family.cell->setting) && family.truth == truth;
    });
  }
  for (const Cell& cell : cells) {
    if (cell.group != "hard" && cell.group != "other evidence" && cell.group != "also" &&
        cell.group != "samples") {
      continue;
    }
    for (const TrueVerdict truth : {TrueVerdict::kMirage, TrueVerdict::kBreakSurvives,
                                    TrueVerdict::kSmooth, TrueVerdict::kResolutionLimited}) {
      add("cases", {{"group", cell.group}, {"case", cell.name}, {"truth", TrueVerdictName(truth)}},
          [&](const Family& family) { return family.cell == &cell && family.truth == truth; });
    }
  }
  for (const TrueVerdict truth : kLaws) {
    add("hard", {{"truth", TrueVerdictName(truth)}},
        [&](const Family& family) { return in(family, "hard") && family.truth == truth; });
  }
  for (const TrueVerdict truth : kLaws) {
    const auto even = [&](const Family& family) {
      return in(family, "grid") && family.truth == truth && family.index < family.cell->even;
    };
    const auto by = [&](std::string_view axis, double at, auto field) {
      add("axes", {{"axis", axis}, {"at", at}, {"truth", TrueVerdictName(truth)}},
          [&, at, field](const Family& family) {
            return even(family) && static_cast<double>(family.cell->setting.*field) == at;
          });
    };
    for (const int m : kSizes) by("M", m, &Setting::m);
    for (const uint32_t n : kItems) by("n", n, &Setting::n);
    for (const double tau : kTaus) by("tau", tau, &Setting::tau);
    // Beside the variants stand the families of the grid with the same M, n and tau.
    const auto is_base = [&](const Family& family) {
      const Setting& setting = family.cell->setting;
      return even(family) && IsClear(setting) && setting.tau == kMiddleTau;
    };
    const auto is_variant = [&](const Family& family) {
      return in(family, "variant") && family.truth == truth;
    };
    const auto beside = [&](std::string_view axis, std::string_view at, const Keep& keep) {
      add("axes", {{"axis", axis}, {"at", at}, {"truth", TrueVerdictName(truth)}}, keep);
    };
    beside("decoding", "temperature 1", is_base);
    beside("decoding", "greedy",
           [&](const Family& family) { return is_variant(family) && family.cell->setting.greedy; });
    beside("seeds a size", "1", is_base);
    beside("seeds a size", "3", [&](const Family& family) {
      return is_variant(family) && family.cell->setting.seeds == 3;
    });
  }
  const auto strength_group = [&](const Family& family, std::string_view group) {
    return in(family, group) || (group == "grid" && in(family, "variant"));
  };
  for (const std::string_view group : {"grid", "hard"}) {
    for (const Verdict said : {Verdict::kMirage, Verdict::kBreakSurvives, Verdict::kSmooth,
                               Verdict::kResolutionLimited, Verdict::kMixed}) {
      for (const Strength strength : {Strength::kStrong, Strength::kModerate, Strength::kWeak}) {
        add("strength",
            {{"group", group},
             {"verdict", VerdictName(said)},
             {"strength", StrengthName(strength)}},
            [&](const Family& family) {
              return strength_group(family, group) && family.said == said &&
                     family.strength == strength;
            });
      }
    }
  }
  for (const Cell& cell : cells) {
    if (cell.group != "null") continue;
    add("null", {{"case", cell.name}, {"tau", cell.setting.tau}, {"m", cell.setting.m}},
        [&](const Family& family) { return family.cell == &cell; });
  }
  return rows;
}

Json Line(const Family& family) {
  const Setting& setting = family.cell->setting;
  Json line = {{"group", family.cell->group},
               {"case", family.cell->name},
               {"m", setting.m},
               {"n", setting.n},
               {"tau", setting.tau},
               {"seeds", setting.seeds},
               {"index", family.index},
               {"truth", TrueVerdictName(family.truth)},
               {"is_boundary", family.is_boundary},
               {"said", VerdictName(family.said)},
               {"strength", family.strength ? StrengthName(*family.strength) : ""},
               {"code", family.code},
               {"is_emergent", family.is_emergent},
               {"h40", family.h40},
               {"above", family.above},
               {"below", family.below},
               {"off_forecast", family.off_forecast},
               {"length", family.length},
               {"item_cv", family.item_cv},
               {"alpha", family.alpha}};
  if (family.law) {
    line["p_break"] = family.law->p_break;
    line["p_resolved_break"] = family.law->p_resolved_break;
    line["p_rise"] = family.law->p_rise;
    line["sup_f_p"] = family.law->p_value;
    line["tau_found"] = family.law->tau;
  }
  return line;
}

Json Study(const Options& options) {
  std::vector<Cell> cells;
  AddGrid(options, cells);
  AddHard(options, cells);
  AddNull(options, cells);
  AddVariants(options, cells);
  AddSamples(options, cells);
  std::vector<std::pair<size_t, int>> places;
  for (size_t place = 0; place < cells.size(); ++place) {
    for (int i = 0; i < cells[place].families; ++i) places.emplace_back(place, i);
  }
  std::vector<Family> families(places.size());
  ParallelFor(places.size(), options.threads, [&](size_t i) {
    const auto& [place, index] = places[i];
    families[i] = Judged(options, cells[place], place, index);
  });
  if (!options.families.empty()) {
    std::ofstream out(options.families);
    for (const Family& family : families) out << Line(family) << '\n';
    if (!out) {
      Fail(options.families, absl::UnavailableError("cannot be written"));
    }
  }
  return {{"seed", options.seed},
          {"replicates", kReplicates},
          {"level", kLevel},
          {"families", families.size()},
          {"cells", Tables(cells, families)}};
}

int Main(int argc, char** argv) {
  Options options;
  options.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  CLI::App app("How often the verdict on simulated families of known truth is right.");
  app.add_flag("--quick", options.quick, "the first few families of each cell");
  app.add_option("--seed", options.seed, "of the simulated families");
  app.add_option("--threads", options.threads, "the figures do not depend on it");
  app.add_option("--families", options.families, "also write each family into this file");
  CLI11_PARSE(app, argc, argv);
  std::cout << Study(options).dump(1) << '\n';
  return std::cout ? 0 : 4;
}

}  // namespace
}  // namespace mirage::metrics

int main(int argc, char** argv) { return mirage::metrics::Main(argc, argv); }
