#include "metrics/emergence/simulation.h"

#include <algorithm>
#include <boost/random/gamma_distribution.hpp>
#include <boost/random/normal_distribution.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/emergence/simulation_law.h"
#include "metrics/emergence/simulation_spec.h"
#include "metrics/stats/binomial_draw.h"
#include "metrics/stats/parallel.h"
#include "metrics/stats/random.h"

namespace mirage::metrics {
namespace {

constexpr size_t kMaxModels = size_t{1} << 16;
// Items a shard.
constexpr size_t kShard = 1024;
// NLL below which a probability is 1: keeps the logarithm of what is left finite.
constexpr double kLeastNll = std::numeric_limits<double>::min();

// What a random stream is for.
enum StreamKind : uint64_t {
  kModelStream,
  kPositionStream,
  kItemStream,
  kOtherItemStream,
  kRivalStream,
  kAnswerStream,
};

// 4 bits for the kind, 16 for the model, 8 for the task, 32 for the item.
uint64_t Stream(uint64_t kind, uint64_t model, uint64_t task, uint64_t item) {
  return kind << 60 | model << 44 | task << 36 | item;
}

// Gamma of mean 1.
double DrawFactor(double cv, CounterRng& rng) {
  if (cv == 0) return 1;
  const double shape = 1 / (cv * cv);
  return boost::random::gamma_distribution<double>(shape, 1 / shape)(rng);
}

// ln(1 - e^-nll).
double LogComplement(double nll) {
  nll = std::max(nll, kLeastNll);
  return nll > 0.693 ? std::log1p(-std::exp(-nll)) : std::log(-std::expm1(-nll));
}

SimulatedMean MeanOf(size_t n, auto&& value) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += value(i);
  const double count = static_cast<double>(n);
  const double mean = sum / count;
  double squares = 0;
  for (size_t i = 0; i < n; ++i) squares += (value(i) - mean) * (value(i) - mean);
  return {mean, std::sqrt(squares / (count * (count - 1)))};
}

// The CE of all positions, for each set of breaks that items have.
class CeTable {
 public:
  CeTable(const SimulationCurve& curve, double log_scale, size_t length)
      : curve_(curve), log_scale_(log_scale), length_(length) {}

  std::span<const double> Of(uint32_t item_breaks) {
    std::vector<double>& ce = tables_[item_breaks];
    if (ce.empty()) {
      ce.reserve(length_);
      for (uint32_t k = 0; k < length_; ++k) {
        ce.push_back(std::exp(curve_.LogCe(log_scale_, curve_.Breaks(k, item_breaks)).value));
      }
    }
    return ce;
  }

 private:
  const SimulationCurve& curve_;
  const double log_scale_;
  const size_t length_;
  absl::flat_hash_map<uint32_t, std::vector<double>> tables_;
};

}  // namespace

struct Simulation::Item {
  double factor = 1;
  uint32_t breaks = 0;
  bool is_wrong_gold = false;
  // Of the right choice.
  uint32_t place = 0;
  // Of the wrong mass, for each wrong choice.
  std::vector<double> wrong_shares;

  // Place of wrong choice w: they follow the right one, around the end.
  uint32_t WrongPlace(size_t w) const {
    return static_cast<uint32_t>((place + 1 + w) % (wrong_shares.size() + 1));
  }
  uint32_t RecordedPlace() const { return is_wrong_gold ? WrongPlace(0) : place; }

  // NLL of the recorded gold's tokens.
  void Nll(const SimulationSpec& spec, std::span<const double> ce,
           std::span<const double> positions, double model, std::span<double> nll) const {
    for (size_t k = 0; k < nll.size(); ++k) {
      nll[k] = *spec.floor + model * factor * positions[k] * ce[k];
    }
    if (!is_wrong_gold) return;
    switch (spec.evidence) {
      case SimulatedEvidence::kVectors:
        for (double& error : nll) error += 1;
        break;
      case SimulatedEvidence::kMultipleChoice: {
        double sum = 0;
        for (const double token : nll) sum += token;
        const double wrong = -(LogComplement(sum) + std::log(wrong_shares[0]));
        std::fill(nll.begin(), nll.end(), wrong / static_cast<double>(nll.size()));
        break;
      }
      default:
        nll.back() =
            std::log(static_cast<double>(*spec.vocabulary - 1)) - LogComplement(nll.back());
    }
  }

  // log p of the choices, from the sum of the right one's NLL.
  void Choices(double nll, std::span<double> log_probs) const {
    log_probs[place] = -nll;
    const double rest = LogComplement(nll);
    for (size_t w = 0; w < wrong_shares.size(); ++w) {
      log_probs[WrongPlace(w)] = rest + std::log(wrong_shares[w]);
    }
  }
};

Simulation::Simulation(SimulationSpec spec, std::vector<SimulatedModel> models)
    : spec_(std::make_shared<const SimulationSpec>(std::move(spec))),
      curve_(std::make_shared<const SimulationCurve>(*spec_)),
      models_(std::move(models)) {
  for (size_t task = 0; task < n_tasks(); ++task) {
    CounterRng rng(spec_->seed, Stream(kPositionStream, 0, task, 0));
    std::vector<double>& factors = position_factors_.emplace_back();
    for (uint32_t k = 0; k < spec_->target_lengths[task]; ++k) {
      factors.push_back(DrawFactor(*spec_->position_cv, rng));
    }
  }
}

absl::StatusOr<Simulation> Simulation::Create(const SimulationSpec& spec) {
  absl::StatusOr<SimulationSpec> filled = FillSimulationSpec(spec);
  if (!filled.ok()) return filled.status();
  const size_t n_models = filled->scales.size() * *filled->n_seeds;
  if (n_models > kMaxModels) {
    return absl::InvalidArgumentError(
        fmt::format("scales times n_seeds is {}: must be at most {}", n_models, kMaxModels));
  }
  const SimulationCurve curve(*filled);
  std::vector<SimulatedModel> models;
  for (size_t size = 0; size < filled->scales.size(); ++size) {
    for (uint32_t seed = 0; seed < *filled->n_seeds; ++seed) {
      CounterRng rng(filled->seed, Stream(kModelStream, models.size(), 0, 0));
      SimulatedModel& model = models.emplace_back();
      model.size = size;
      model.seed = seed;
      model.parameters = filled->scales[size];
      const double tau = *filled->tau;
      const double z = boost::random::normal_distribution<double>()(rng);
      model.factor = std::exp(tau * (z - tau / 2));
      if (filled->outlier == size) model.factor *= *filled->outlier_factor;
      if (filled->bimodality.has_value()) {
        model.is_worse_mode = rng.Uniform() >= curve.BetterShare(std::log(model.parameters)).value;
        if (model.is_worse_mode) model.factor *= filled->bimodality->factor;
      }
    }
  }
  return Simulation(*std::move(filled), std::move(models));
}

Simulation::Item Simulation::DrawItem(size_t task, uint64_t item, uint64_t kind) const {
  CounterRng rng(spec_->seed, Stream(kind, 0, task, item));
  Item drawn;
  drawn.factor = DrawFactor(*spec_->item_cv, rng);
  drawn.is_wrong_gold = rng.Uniform() < *spec_->wrong_gold_share;
  for (size_t b = 0; b < spec_->breaks.size(); ++b) {
    const double share = spec_->breaks[b].item_share;
    const double u = rng.Uniform();
    if (share == 0 || u < share) drawn.breaks |= uint32_t{1} << b;
  }
  if (spec_->evidence != SimulatedEvidence::kMultipleChoice) return drawn;
  const uint32_t n_wrong = *spec_->n_choices - 1;
  drawn.place = rng.Below32(*spec_->n_choices);
  // At chance the logarithms of all choices then have the same spread: what the gold takes or
  // leaves moves the wrong ones together, and each has its own part of the rest.
  const double k = *spec_->n_choices;
  const double cv = *spec_->item_cv * std::log(k) * std::sqrt(k / (k - 1));
  double sum = 0;
  for (uint32_t w = 0; w < n_wrong; ++w) {
    const double mean =
        w == 0 ? *spec_->wrong_choice_share : (1 - *spec_->wrong_choice_share) / (n_wrong - 1);
    drawn.wrong_shares.push_back(mean * DrawFactor(cv, rng));
    sum += drawn.wrong_shares.back();
  }
  // Factors that are all 0 by underflow leave the means.
  for (double& share : drawn.wrong_shares) share = sum > 0 ? share / sum : 1.0 / n_wrong;
  return drawn;
}

SimulatedItems Simulation::Answer(size_t model, size_t task, int threads) const {
  const SimulationSpec& spec = *spec_;
  const bool is_choice = spec.evidence == SimulatedEvidence::kMultipleChoice;
  const bool is_generation = spec.evidence == SimulatedEvidence::kGeneration;
  const bool is_trials = spec.evidence == SimulatedEvidence::kTrials;
  const double log_scale = std::log(models_[model].parameters);

  SimulatedItems items;
  items.n = *spec.n_samples;
  items.length = spec.target_lengths[task];
  items.n_choices = is_choice ? *spec.n_choices : 0;
  items.nll.resize(items.n * items.length);
  items.sharp.resize(items.n);
  items.is_wrong_gold.resize(items.n);
  if (is_generation) items.is_right.resize(items.n * items.length);
  if (is_trials) items.successes.resize(items.n);
  if (is_choice) {
    items.choice_log_probs.resize(items.n * items.n_choices);
    items.golds.resize(items.n);
  }
  ParallelFor((items.n + kShard - 1) / kShard, threads, [&](size_t shard) {
    CeTable table(*curve_, log_scale, items.length);
    std::vector<double> right(items.length);
    const size_t end = std::min(items.n, (shard + 1) * kShard);
    for (size_t i = shard * kShard; i < end; ++i) {
      const Item item = DrawItem(task, i, kItemStream);
      const std::span<const double> ce = table.Of(item.breaks);
      const std::span<double> nll(&items.nll[i * items.length], items.length);
      item.Nll(spec, ce, position_factors_[task], models_[model].factor, nll);
      items.is_wrong_gold[i] = item.is_wrong_gold ? 1 : 0;
      CounterRng rng(spec.seed, Stream(kAnswerStream, model, task, i));
      double sum = 0;
      for (const double token : nll) sum += token;
      switch (spec.evidence) {
        case SimulatedEvidence::kGeneration: {
          CounterRng rivals(spec.seed, Stream(kRivalStream, 0, task, i));
          bool all = true;
          for (size_t k = 0; k < items.length; ++k) {
            const double p = std::exp(-nll[k]);
            bool is_right = false;
            if (*spec.greedy) {
              const double least = 1.0 / (*spec.vocabulary - 1);
              const double rival = least + (1 - least) * rivals.Uniform();
              const bool is_replaced = item.is_wrong_gold && k + 1 == items.length;
              is_right = p > rival * (1 - p) && !is_replaced;
            } else {
              is_right = rng.Uniform() < p;
            }
            items.is_right[i * items.length + k] = is_right ? 1 : 0;
            all &= is_right;
          }
          items.sharp[i] = all ? 1 : 0;
          break;
        }
        case SimulatedEvidence::kMultipleChoice: {
          double right_nll = sum;
          if (item.is_wrong_gold) {
            right_nll = 0;
            for (size_t k = 0; k < items.length; ++k) {
              right_nll += *spec.floor +
                           models_[model].factor * item.factor * position_factors_[task][k] * ce[k];
            }
          }
          const std::span<double> log_probs(&items.choice_log_probs[i * items.n_choices],
                                            items.n_choices);
          item.Choices(right_nll, log_probs);
          const uint32_t gold = item.RecordedPlace();
          items.golds[i] = gold;
          bool is_best = true;
          for (uint32_t choice = 0; choice < log_probs.size(); ++choice) {
            if (choice != gold && !(log_probs[gold] > log_probs[choice])) is_best = false;
          }
          items.sharp[i] = is_best ? 1 : 0;
          break;
        }
        case SimulatedEvidence::kVectors:
          items.sharp[i] = sum / static_cast<double>(items.length) < *spec.threshold ? 1 : 0;
          break;
        case SimulatedEvidence::kTrials:
        case SimulatedEvidence::kUnspecified: {
          const uint64_t successes = DrawBinomial(*spec.n_trials, std::exp(-sum), rng);
          items.successes[i] = static_cast<uint32_t>(successes);
          items.sharp[i] = static_cast<double>(successes) / *spec.n_trials;
          break;
        }
      }
    }
  });
  return items;
}

double Simulation::ExpectedSharp(size_t task, double log_scale, double factor,
                                 size_t n_items) const {
  const SimulationSpec& spec = *spec_;
  const size_t length = spec.target_lengths[task];
  CeTable table(*curve_, log_scale, length);
  std::vector<double> nll(length);
  std::vector<double> log_probs(*spec.n_choices);
  double total = 0;
  for (size_t i = 0; i < n_items; ++i) {
    Item item = DrawItem(task, i, kOtherItemStream);
    const std::span<const double> ce = table.Of(item.breaks);
    if (spec.evidence == SimulatedEvidence::kMultipleChoice) {
      const bool is_wrong = item.is_wrong_gold;
      item.is_wrong_gold = false;
      item.Nll(spec, ce, position_factors_[task], factor, nll);
      item.is_wrong_gold = is_wrong;
    } else {
      item.Nll(spec, ce, position_factors_[task], factor, nll);
    }
    double sum = 0;
    for (const double token : nll) sum += token;
    switch (spec.evidence) {
      case SimulatedEvidence::kGeneration: {
        if (!*spec.greedy) {
          total += std::exp(-sum);
          break;
        }
        // P(r (1 - p) < p) for r uniform in [1/(V - 1), 1].
        double all = item.is_wrong_gold ? 0 : 1;
        const double least = 1.0 / (*spec.vocabulary - 1);
        for (const double token : nll) {
          const double odds = std::exp(-token - LogComplement(token));
          all *= least < 1 ? std::clamp((odds - least) / (1 - least), 0.0, 1.0)
                           : (odds > 1 ? 1.0 : 0.0);
        }
        total += all;
        break;
      }
      case SimulatedEvidence::kMultipleChoice: {
        item.Choices(sum, log_probs);
        const uint32_t gold = item.RecordedPlace();
        bool is_best = true;
        for (uint32_t choice = 0; choice < log_probs.size(); ++choice) {
          if (choice != gold && !(log_probs[gold] > log_probs[choice])) is_best = false;
        }
        total += is_best ? 1 : 0;
        break;
      }
      case SimulatedEvidence::kVectors:
        total += sum / static_cast<double>(length) < *spec.threshold ? 1 : 0;
        break;
      case SimulatedEvidence::kTrials:
      case SimulatedEvidence::kUnspecified:
        total += std::exp(-sum);
        break;
    }
  }
  return total / static_cast<double>(n_items);
}

SimulatedAggregate Aggregate(const SimulatedItems& items) {
  const size_t length = items.length;
  SimulatedAggregate result;
  result.n = items.n;
  result.sharp = MeanOf(items.n, [&](size_t i) { return items.sharp[i]; });
  result.nll_per_token = MeanOf(items.n, [&](size_t i) {
    double sum = 0;
    for (size_t k = 0; k < length; ++k) sum += items.nll[i * length + k];
    return sum / static_cast<double>(length);
  });
  for (size_t k = 0; k < length; ++k) {
    result.nll_by_position.push_back(
        MeanOf(items.n, [&](size_t i) { return items.nll[i * length + k]; }));
  }
  if (!items.is_right.empty()) {
    result.edit_distance = MeanOf(items.n, [&](size_t i) {
      double wrong = 0;
      for (size_t k = 0; k < length; ++k) wrong += items.is_right[i * length + k] == 0 ? 1 : 0;
      return wrong;
    });
  }
  if (items.n_choices > 0) {
    result.margin = MeanOf(items.n, [&](size_t i) {
      const double* const log_probs = &items.choice_log_probs[i * items.n_choices];
      double best = -std::numeric_limits<double>::infinity();
      for (size_t choice = 0; choice < items.n_choices; ++choice) {
        if (choice != items.golds[i]) best = std::max(best, log_probs[choice]);
      }
      return log_probs[items.golds[i]] - best;
    });
  }
  return result;
}

}  // namespace mirage::metrics
