#include "metrics/emergence/simulation_spec.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"

namespace mirage::metrics {
namespace {

constexpr size_t kMaxScales = 10'000;
constexpr uint32_t kMaxSamples = 10'000'000;
constexpr uint32_t kMaxSeeds = 1000;
constexpr size_t kMaxBreaks = 16;
constexpr size_t kMaxTasks = 64;
constexpr uint32_t kMaxLength = 4096;
constexpr uint64_t kMaxTokens = uint64_t{1} << 28;
constexpr uint32_t kMaxChoices = 1000;
constexpr uint32_t kMaxTrials = 1'000'000;
constexpr double kMaxCv = 10;
constexpr double kMaxTau = 3;

std::vector<double> Geometric(double first, double last, int n) {
  std::vector<double> scales;
  scales.reserve(static_cast<size_t>(n));
  for (int i = 0; i < n; ++i) {
    scales.push_back(first * std::pow(last / first, static_cast<double>(i) / (n - 1)));
  }
  return scales;
}

// Ten sizes over four decades, a target of five tokens that is hardly ever right below the fifth
// and mostly at the last.
SimulationSpec Base() {
  SimulationSpec spec;
  spec.scales = Geometric(1e7, 1e11, 10);
  spec.n_samples = 1000;
  spec.n_seeds = 1;
  spec.evidence = SimulatedEvidence::kGeneration;
  spec.law = SimulatedLaw::kPowerLaw;
  spec.c = 4e8;
  spec.alpha = -0.5;
  spec.curvature = 0;
  spec.floor = 0;
  spec.target_lengths = {5};
  spec.vocabulary = 100;
  spec.greedy = false;
  spec.n_choices = 4;
  spec.wrong_choice_share = 0.5;
  spec.threshold = 0.1;
  spec.n_trials = 100;
  spec.item_cv = 0.5;
  spec.position_cv = 0;
  spec.tau = 0.03;
  spec.wrong_gold_share = 0;
  return spec;
}

// A plateau of u nats for the whole target up to `scale`, and a power law beyond it.
void PlateauThenBreak(double u, double scale, double delta, double width, SimulationSpec& spec) {
  spec.alpha = -0.05;
  spec.c = scale * std::pow(u / spec.target_lengths[0], 1 / 0.05);
  spec.breaks = {{.scale = scale, .delta_exponent = delta, .width = width}};
}

struct Preset {
  std::string_view name;
  std::string_view summary;
  void (*change)(SimulationSpec& spec);
};

constexpr Preset kPresets[] = {
    {"paper", "The paper's model: one power law, items and models alike, targets of 5 tokens.",
     [](SimulationSpec& spec) {
       spec.scales = Geometric(1e8, 1e12, 10);
       spec.c = 2e9;
       spec.item_cv = 0;
       spec.tau = 0;
     }},
    {"mirage",
     "A power law with unequal items and scatter between models: sudden only in exact match.",
     [](SimulationSpec&) {}},
    {"five_scales", "The same law at five sizes.",
     [](SimulationSpec& spec) { spec.scales = Geometric(1e7, 1e11, 5); }},
    {"break", "A plateau that ends at one size; from there on a power law.",
     [](SimulationSpec& spec) { PlateauThenBreak(4, 3e9, 0.6, 0, spec); }},
    {"gentle_break", "The exponent rises from .15 to .55 over a quarter of the sampled range.",
     [](SimulationSpec& spec) {
       spec.alpha = -0.15;
       spec.c = 9.9e8;
       spec.breaks = {{.scale = 2e9, .delta_exponent = 0.4, .width = 2.3}};
     }},
    {"late_break", "A plateau that ends between the eighth and the ninth of ten sizes.",
     [](SimulationSpec& spec) { PlateauThenBreak(7, 2e10, 1.2, 0, spec); }},
    {"half_items_break", "Half of the items break at one size, the others never do.",
     [](SimulationSpec& spec) {
       PlateauThenBreak(4, 3e9, 0.8, 0, spec);
       spec.breaks[0].item_share = 0.5;
     }},
    {"staggered_breaks",
     "Each of three positions breaks at a size of its own; their mean has no break.",
     [](SimulationSpec& spec) {
       spec.target_lengths = {3};
       PlateauThenBreak(5.5, 2e8, 0, 0, spec);
       spec.breaks = {{.scale = 1.2e8, .delta_exponent = 0.45, .positions = {0}},
                      {.scale = 9e8, .delta_exponent = 0.45, .positions = {1}},
                      {.scale = 7e9, .delta_exponent = 0.45, .positions = {2}}};
       spec.floor = 0.2;
     }},
    {"bimodal_seeds", "Around one size each seed has either found the ability or not.",
     [](SimulationSpec& spec) {
       spec.n_seeds = 5;
       spec.alpha = -0.1;
       spec.bimodality = SimulatedBimodality{.scale = 3e9, .width = 1.5, .factor = 6};
       spec.target_lengths = {3};
       spec.c = 3e5;
     }},
    {"logistic", "Chance at first, a power law later, with a wide bend: smooth and no power law.",
     [](SimulationSpec& spec) {
       spec.law = SimulatedLaw::kLogistic;
       spec.c = 1e8;
       spec.alpha = -0.5;
     }},
    {"quadratic", "An exponent that rises evenly with ln N: smooth and no power law.",
     [](SimulationSpec& spec) {
       spec.law = SimulatedLaw::kQuadratic;
       spec.c = 1e9;
       spec.alpha = -0.4;
       spec.curvature = -0.03;
     }},
    {"wide_bend", "A law that leaves a plateau over half of the sampled range: no break.",
     [](SimulationSpec& spec) { PlateauThenBreak(5, 1e9, 0.45, 4.6, spec); }},
    {"resolution", "The counterpart improves, but 50 items cannot show what exact match does.",
     [](SimulationSpec& spec) {
       spec.n_samples = 50;
       spec.target_lengths = {10};
       spec.c = 1e10;
       spec.item_cv = 0.2;
     }},
    {"twin_break", "A plateau and a break; exact match is that of twin_smooth.",
     [](SimulationSpec& spec) {
       spec.target_lengths = {10};
       spec.item_cv = 0;
       PlateauThenBreak(6, 1e9, 0.6, 0, spec);
     }},
    {"twin_smooth",
     "One power law; exact match is that of twin_break, only the counterpart differs.",
     [](SimulationSpec& spec) {
       spec.target_lengths = {10};
       spec.item_cv = 0;
       spec.alpha = -0.65;
       spec.c = 1e9 * std::pow(0.6, 1 / 0.65);
     }},
    {"no_change", "Larger models are no better.",
     [](SimulationSpec& spec) {
       spec.alpha = -1e-9;
       spec.c = 1e9;
       spec.target_lengths = {2};
     }},
    {"noise", "Larger models are no better, and differ widely.",
     [](SimulationSpec& spec) {
       spec.alpha = -1e-9;
       spec.c = 1e9;
       spec.target_lengths = {2};
       spec.tau = 0.4;
     }},
    {"gradual", "A power law and targets of one token: exact match rises gradually.",
     [](SimulationSpec& spec) {
       spec.target_lengths = {1};
       spec.c = 2e8;
       spec.alpha = -0.25;
     }},
    {"multiple_choice", "Four choices, from chance to certainty by a wide bend.",
     [](SimulationSpec& spec) {
       spec.evidence = SimulatedEvidence::kMultipleChoice;
       spec.law = SimulatedLaw::kLogistic;
       spec.vocabulary = 4;
       spec.target_lengths = {1};
       spec.c = 2e10;
       spec.alpha = -0.55;
       spec.wrong_choice_share = 1.0 / 3;
       spec.item_cv = 0.3;
     }},
    {"vectors", "Vectors whose squared error falls as a power law, counted below a threshold.",
     [](SimulationSpec& spec) {
       spec.evidence = SimulatedEvidence::kVectors;
       spec.target_lengths = {16};
       spec.c = 2e8;
       spec.item_cv = 0.3;
       spec.threshold = 0.1;
     }},
    {"trials", "A hundred attempts at each item, right with the probability of the whole target.",
     [](SimulationSpec& spec) { spec.evidence = SimulatedEvidence::kTrials; }},
    {"wrong_golds", "The power law with a tenth of the golds recorded wrong: a ceiling below 1.",
     [](SimulationSpec& spec) { spec.wrong_gold_share = 0.1; }},
};

// What `given` says, over the preset's values.
void Override(const SimulationSpec& given, SimulationSpec& spec) {
  const auto optional = [](const auto& from, auto& to) {
    if (from.has_value()) to = from;
  };
  const auto list = [](const auto& from, auto& to) {
    if (!from.empty()) to = from;
  };
  list(given.family, spec.family);
  spec.seed = given.seed;
  list(given.scales, spec.scales);
  optional(given.n_samples, spec.n_samples);
  optional(given.n_seeds, spec.n_seeds);
  if (given.evidence != SimulatedEvidence::kUnspecified) spec.evidence = given.evidence;
  if (given.law != SimulatedLaw::kUnspecified) spec.law = given.law;
  optional(given.c, spec.c);
  optional(given.alpha, spec.alpha);
  optional(given.curvature, spec.curvature);
  optional(given.floor, spec.floor);
  list(given.breaks, spec.breaks);
  list(given.target_lengths, spec.target_lengths);
  optional(given.vocabulary, spec.vocabulary);
  optional(given.greedy, spec.greedy);
  optional(given.n_choices, spec.n_choices);
  if (given.wrong_choice_share.has_value()) {
    spec.wrong_choice_share = given.wrong_choice_share;
  } else if (*spec.n_choices >= 2) {
    // The preset's may be out of range for another number of choices.
    spec.wrong_choice_share = std::max(*spec.wrong_choice_share, 1.0 / (*spec.n_choices - 1));
  }
  optional(given.threshold, spec.threshold);
  optional(given.n_trials, spec.n_trials);
  optional(given.item_cv, spec.item_cv);
  optional(given.position_cv, spec.position_cv);
  optional(given.tau, spec.tau);
  optional(given.outlier, spec.outlier);
  optional(given.outlier_factor, spec.outlier_factor);
  optional(given.bimodality, spec.bimodality);
  optional(given.wrong_gold_share, spec.wrong_gold_share);
}

absl::Status Invalid(std::string_view field, double value, std::string_view remedy) {
  return absl::InvalidArgumentError(fmt::format("{} is {}: {}", field, value, remedy));
}

bool IsPositive(double value) { return value > 0 && std::isfinite(value); }
bool IsBetween(double value, double least, double most) { return value >= least && value <= most; }

absl::Status CheckBreaks(const SimulationSpec& spec) {
  if (spec.breaks.size() > kMaxBreaks) {
    return Invalid("breaks", static_cast<double>(spec.breaks.size()), "at most 16 entries");
  }
  const uint32_t longest =
      *std::max_element(spec.target_lengths.begin(), spec.target_lengths.end());
  for (size_t b = 0; b < spec.breaks.size(); ++b) {
    const SimulatedBreak& one = spec.breaks[b];
    const auto field = [b](std::string_view name) { return fmt::format("breaks[{}].{}", b, name); };
    if (!IsPositive(one.scale)) return Invalid(field("scale"), one.scale, "must be > 0 and finite");
    if (!std::isfinite(one.delta_exponent)) {
      return Invalid(field("delta_exponent"), one.delta_exponent, "must be finite");
    }
    if (!(one.width >= 0) || std::isinf(one.width)) {
      return Invalid(field("width"), one.width, "must be >= 0 and finite, in ln N");
    }
    if (!IsBetween(one.item_share, 0, 1)) {
      return Invalid(field("item_share"), one.item_share, "must be in [0, 1]; 0 means all");
    }
    for (const uint32_t position : one.positions) {
      if (position >= longest) {
        return Invalid(
            field("positions"), position,
            fmt::format("positions count from 0 and the longest target has {}", longest));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Check(const SimulationSpec& spec) {
  if (spec.scales.size() < 2 || spec.scales.size() > kMaxScales) {
    return Invalid("scales", static_cast<double>(spec.scales.size()), "2 to 10000 entries");
  }
  for (size_t i = 0; i < spec.scales.size(); ++i) {
    const std::string field = fmt::format("scales[{}]", i);
    if (!IsPositive(spec.scales[i]))
      return Invalid(field, spec.scales[i], "must be > 0 and finite");
    if (i > 0 && !(spec.scales[i] > spec.scales[i - 1])) {
      return Invalid(field, spec.scales[i], "scales must ascend");
    }
  }
  if (*spec.n_samples < 2 || *spec.n_samples > kMaxSamples) {
    return Invalid("n_samples", *spec.n_samples, "must be 2 to 10000000");
  }
  if (*spec.n_seeds < 1 || *spec.n_seeds > kMaxSeeds) {
    return Invalid("n_seeds", *spec.n_seeds, "must be 1 to 1000");
  }
  if (!IsPositive(*spec.c)) return Invalid("c", *spec.c, "must be > 0 and finite");
  if (!(*spec.alpha < 0) || std::isinf(*spec.alpha)) {
    return Invalid("alpha", *spec.alpha, "must be < 0 and finite: larger models are better");
  }
  if (!std::isfinite(*spec.curvature)) {
    return Invalid("curvature", *spec.curvature, "must be finite");
  }
  if (!(*spec.floor >= 0) || std::isinf(*spec.floor)) {
    return Invalid("floor", *spec.floor, "must be >= 0 and finite");
  }
  if (spec.target_lengths.size() > kMaxTasks) {
    return Invalid("target_lengths", static_cast<double>(spec.target_lengths.size()),
                   "at most 64 entries");
  }
  std::set<uint32_t> lengths;
  for (size_t i = 0; i < spec.target_lengths.size(); ++i) {
    const uint32_t length = spec.target_lengths[i];
    const std::string field = fmt::format("target_lengths[{}]", i);
    if (length < 1 || length > kMaxLength) return Invalid(field, length, "must be 1 to 4096");
    if (!lengths.insert(length).second) return Invalid(field, length, "give each length once");
    if (uint64_t{length} * *spec.n_samples > kMaxTokens) {
      return Invalid(field, length, "n_samples times the length must be at most 2^28: lower one");
    }
  }
  if (*spec.vocabulary < 2) return Invalid("vocabulary", *spec.vocabulary, "must be at least 2");
  if (*spec.n_choices < 2 || *spec.n_choices > kMaxChoices) {
    return Invalid("n_choices", *spec.n_choices, "must be 2 to 1000");
  }
  const double least_share = 1.0 / (*spec.n_choices - 1);
  if (!IsBetween(*spec.wrong_choice_share, least_share, 1)) {
    return Invalid("wrong_choice_share", *spec.wrong_choice_share,
                   fmt::format("must be in [{}, 1], from 1/(n_choices - 1)", least_share));
  }
  if (!IsPositive(*spec.threshold)) {
    return Invalid("threshold", *spec.threshold, "must be > 0 and finite");
  }
  if (*spec.n_trials < 1 || *spec.n_trials > kMaxTrials) {
    return Invalid("n_trials", *spec.n_trials, "must be 1 to 1000000");
  }
  if (!IsBetween(*spec.item_cv, 0, kMaxCv)) {
    return Invalid("item_cv", *spec.item_cv, "must be in [0, 10]");
  }
  if (!IsBetween(*spec.position_cv, 0, kMaxCv)) {
    return Invalid("position_cv", *spec.position_cv, "must be in [0, 10]");
  }
  if (!IsBetween(*spec.tau, 0, kMaxTau)) return Invalid("tau", *spec.tau, "must be in [0, 3]");
  if (spec.outlier.has_value() != spec.outlier_factor.has_value()) {
    return absl::InvalidArgumentError("outlier and outlier_factor: give both or none");
  }
  if (spec.outlier.has_value()) {
    if (*spec.outlier >= spec.scales.size()) {
      return Invalid("outlier", *spec.outlier,
                     fmt::format("sizes count from 0 and there are {}", spec.scales.size()));
    }
    if (!IsPositive(*spec.outlier_factor)) {
      return Invalid("outlier_factor", *spec.outlier_factor, "must be > 0 and finite");
    }
  }
  if (spec.bimodality.has_value()) {
    if (!IsPositive(spec.bimodality->scale)) {
      return Invalid("bimodality.scale", spec.bimodality->scale, "must be > 0 and finite");
    }
    if (!(spec.bimodality->width >= 0) || std::isinf(spec.bimodality->width)) {
      return Invalid("bimodality.width", spec.bimodality->width, "must be >= 0 and finite");
    }
    if (!(spec.bimodality->factor > 1) || std::isinf(spec.bimodality->factor)) {
      return Invalid("bimodality.factor", spec.bimodality->factor, "must be > 1 and finite");
    }
  }
  if (!(*spec.wrong_gold_share >= 0 && *spec.wrong_gold_share < 1)) {
    return Invalid("wrong_gold_share", *spec.wrong_gold_share, "must be in [0, 1)");
  }
  return CheckBreaks(spec);
}

}  // namespace

std::span<const SimulationPreset> SimulationPresets() {
  static const auto presets = [] {
    std::array<SimulationPreset, std::size(kPresets)> list;
    for (size_t i = 0; i < list.size(); ++i) list[i] = {kPresets[i].name, kPresets[i].summary};
    return list;
  }();
  return presets;
}

absl::StatusOr<SimulationSpec> FillSimulationSpec(const SimulationSpec& spec) {
  const std::string_view name =
      spec.truth.empty() ? kPresets[0].name : std::string_view(spec.truth);
  const auto* const preset = std::find_if(std::begin(kPresets), std::end(kPresets),
                                          [name](const Preset& one) { return one.name == name; });
  if (preset == std::end(kPresets)) {
    std::string names;
    for (const Preset& one : kPresets)
      names += fmt::format("{}{}", names.empty() ? "" : ", ", one.name);
    return absl::NotFoundError(fmt::format("truth is \"{}\": must be one of {}", name, names));
  }
  SimulationSpec filled = Base();
  preset->change(filled);
  filled.truth = std::string(name);
  filled.family = filled.truth;
  Override(spec, filled);
  if (absl::Status status = Check(filled); !status.ok()) return status;
  return filled;
}

}  // namespace mirage::metrics
