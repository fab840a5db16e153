#include "metrics/emergence/item_composition.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "metrics/emergence/composition.h"

namespace mirage::metrics {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
// The bins' first edge and width, in ln u.
const double kFirstEdge = std::log(1e-6);
constexpr double kBinWidth = 0.1;
// Items of exp(-u) in each bin.
constexpr double kPriorItems = 0.1;
// Most groups that a model's items are kept in.
constexpr size_t kMaxGroups = 1024;
// Half a step of the derivative in ln rho.
constexpr double kStep = 0.05;
// Odd, near the golden ratio of the number of NormalParts.
constexpr size_t kLattice = 39;

double MiddleOf(size_t bin) { return kFirstEdge + kBinWidth * (static_cast<double>(bin) + 0.5); }

size_t BinOf(double log_u) {
  const double at = std::floor((log_u - kFirstEdge) / kBinWidth);
  return static_cast<size_t>(std::clamp(at, 0.0, static_cast<double>(kLinkBins - 1)));
}

double ExpLink(double log_u) { return std::exp(-std::exp(log_u)); }

absl::Status Check(std::span<const ItemColumns> models) {
  for (size_t j = 0; j < models.size(); ++j) {
    const ItemColumns& items = models[j];
    if (items.log_p.size() != items.scores.size()) {
      return absl::InvalidArgumentError(
          fmt::format("models[{}] has {} log_p and {} scores: must be as many", j,
                      items.log_p.size(), items.scores.size()));
    }
    if (items.log_p.empty()) {
      return absl::InvalidArgumentError(fmt::format("models[{}] has no items", j));
    }
    for (size_t i = 0; i < items.log_p.size(); ++i) {
      if (!(items.log_p[i] <= 0)) {
        return absl::InvalidArgumentError(
            fmt::format("models[{}].log_p[{}] is {}: must be <= 0", j, i, items.log_p[i]));
      }
      if (!(items.scores[i] >= 0 && items.scores[i] <= 1)) {
        return absl::InvalidArgumentError(
            fmt::format("models[{}].scores[{}] is {}: must be from 0 to 1", j, i, items.scores[i]));
      }
    }
  }
  return absl::OkStatus();
}

// A decreasing sequence nearest to `values` by weighted least squares: adjacent violators pooled.
// `weights` becomes that of the block that each is in.
// Source: Ayer et al. (1955), Annals of Mathematical Statistics 26, 641-647.
template <class Values>
void MakeDecreasing(Values& values, Values& weights) {
  struct Block {
    double mean;
    double weight;
    size_t size;
  };
  std::vector<Block> blocks;
  for (size_t i = 0; i < values.size(); ++i) {
    blocks.push_back({values[i], weights[i], 1});
    while (blocks.size() > 1 && blocks[blocks.size() - 2].mean <= blocks.back().mean) {
      const Block last = blocks.back();
      blocks.pop_back();
      Block& block = blocks.back();
      const double weight = block.weight + last.weight;
      block.mean = (block.mean * block.weight + last.mean * last.weight) / weight;
      block.weight = weight;
      block.size += last.size;
    }
  }
  size_t i = 0;
  for (const Block& block : blocks) {
    for (size_t k = 0; k < block.size; ++k) {
      values[i] = block.mean;
      weights[i++] = block.weight;
    }
  }
}

// Of a share that was `value` in n items, by Beta(1 + n value, 1 + n (1 - value)): not 0 where none
// or all were right.
double PosteriorVariance(double value, double n) {
  return (n * value + 1) * (n * (1 - value) + 1) / ((n + 2) * (n + 2) * (n + 3));
}

// Between the middles of the bins.
template <class Values>
double Interpolated(const Values& values, double log_u) {
  const double at = (log_u - kFirstEdge) / kBinWidth - 0.5;
  if (at <= 0) return values.front();
  if (at >= static_cast<double>(kLinkBins - 1)) return values.back();
  const auto bin = static_cast<size_t>(at);
  const double share = at - static_cast<double>(bin);
  return values[bin] + share * (values[bin + 1] - values[bin]);
}

}  // namespace

absl::StatusOr<ItemComposition> ItemComposition::Create(std::span<const ItemColumns> models,
                                                        bool is_greedy) {
  if (absl::Status status = Check(models); !status.ok()) return status;
  if (is_greedy && models.size() <= kLinkMinModels) {
    return absl::FailedPreconditionError(
        fmt::format("{} models have items: the link of greedy answers needs {}", models.size(),
                    kLinkMinModels + 1));
  }
  ItemComposition made;
  for (const ItemColumns& columns : models) {
    std::vector<std::pair<double, double>> items;
    items.reserve(columns.log_p.size());
    for (size_t i = 0; i < columns.log_p.size(); ++i) {
      // Neither 0 nor infinite, so that a factor moves it.
      const double u = std::clamp(-columns.log_p[i], 1e-12, 1e6);
      items.emplace_back(std::log(u), columns.scores[i]);
    }
    std::sort(items.begin(), items.end());
    Model& model = made.models_.emplace_back();
    model.n = static_cast<double>(items.size());
    for (const auto& [log_u, score] : items) {
      const size_t bin = BinOf(log_u);
      model.counts[bin] += 1;
      model.sums[bin] += score;
      model.mean_score += score;
    }
    model.mean_score /= model.n;
    const size_t n_groups = std::min(items.size(), kMaxGroups);
    for (size_t g = 0; g < n_groups; ++g) {
      const size_t begin = g * items.size() / n_groups;
      const size_t end = (g + 1) * items.size() / n_groups;
      double sum = 0;
      for (size_t i = begin; i < end; ++i) sum += items[i].first;
      const auto size = static_cast<double>(end - begin);
      model.log_u.push_back(sum / size);
      model.weights.push_back(size / model.n);
    }
  }
  made.order_.resize(made.models_.size());
  std::iota(made.order_.begin(), made.order_.end(), size_t{0});
  std::sort(made.order_.begin(), made.order_.end(), [&](size_t a, size_t b) {
    const Model& x = made.models_[a];
    const Model& y = made.models_[b];
    return std::tie(x.n, x.mean_score, x.log_u, x.sums) <
           std::tie(y.n, y.mean_score, y.log_u, y.sums);
  });
  if (is_greedy) {
    for (size_t j = 0; j < made.models_.size(); ++j) made.links_.push_back(made.LinkWithout(j));
    made.links_.push_back(made.LinkWithout(std::nullopt));
    made.FindDeviations();
  }
  return made;
}

ItemComposition::Link ItemComposition::LinkWithout(std::optional<size_t> excluded) const {
  Link link;
  for (const size_t j : order_) {
    if (j == excluded) continue;
    for (size_t bin = 0; bin < kLinkBins; ++bin) {
      link.weights[bin] += models_[j].counts[bin];
      link.values[bin] += models_[j].sums[bin];
    }
  }
  for (size_t bin = 0; bin < kLinkBins; ++bin) {
    link.weights[bin] += kPriorItems;
    link.values[bin] =
        (link.values[bin] + kPriorItems * ExpLink(MiddleOf(bin))) / link.weights[bin];
  }
  MakeDecreasing(link.values, link.weights);
  return link;
}

double ItemComposition::Mean(const Model& model, const Link* link, double log_rho) {
  double sum = 0;
  for (size_t g = 0; g < model.log_u.size(); ++g) {
    const double log_u = model.log_u[g] + log_rho;
    sum +=
        model.weights[g] * (link == nullptr ? ExpLink(log_u) : Interpolated(link->values, log_u));
  }
  return std::clamp(sum, 0.0, 1.0);
}

// Of the mean link over the model's items, from the scores that the link was made of. The bins of a
// block share one error.
double ItemComposition::LinkVariance(const Model& model, const Link& link, double log_rho) {
  Bins shares{};
  for (size_t g = 0; g < model.log_u.size(); ++g) {
    shares[BinOf(model.log_u[g] + log_rho)] += model.weights[g];
  }
  double variance = 0;
  double share = 0;
  for (size_t bin = 0; bin < kLinkBins; ++bin) {
    const double value = link.values[bin];
    share += shares[bin];
    if (bin + 1 < kLinkBins && link.values[bin + 1] == value) continue;
    variance += share * share * PosteriorVariance(value, link.weights[bin]);
    share = 0;
  }
  return variance;
}

const ItemComposition::Link* ItemComposition::LinkFor(std::optional<size_t> excluded) const {
  if (links_.empty()) return nullptr;
  return &links_[excluded.value_or(models_.size())];
}

double ItemComposition::MeanLink(size_t model, std::optional<size_t> excluded,
                                 double log_rho) const {
  return Mean(models_[model], LinkFor(excluded), log_rho);
}

double ItemComposition::LinkOf(double log_p) const {
  const double log_u = std::log(std::clamp(-log_p, 1e-12, 1e6));
  const Link* const link = LinkFor(std::nullopt);
  return std::clamp(link == nullptr ? ExpLink(log_u) : Interpolated(link->values, log_u), 0.0, 1.0);
}

void ItemComposition::FindDeviations() {
  for (size_t j = 0; j < models_.size(); ++j) {
    const Model& model = models_[j];
    const Link& link = links_[j];
    const double mean = Mean(model, &link, 0);
    // An item more or less is no deviation, even where the link is 0 or 1.
    double sampling = 1 / (model.n * model.n);
    for (size_t g = 0; g < model.log_u.size(); ++g) {
      const double value = Interpolated(link.values, model.log_u[g]);
      sampling += model.weights[g] * value * (1 - value) / model.n;
    }
    const double variance = sampling + LinkVariance(model, link, 0);
    const double difference = model.mean_score - mean;
    deviations_.push_back({j, model.mean_score, mean, difference / std::sqrt(variance)});
    const double slope = (Mean(model, &link, -kStep) - Mean(model, &link, kStep)) / (2 * kStep);
    shifts_.push_back(slope > 0 ? difference / slope : 0);
    shift_variances_.push_back(slope > 0 ? variance / (slope * slope) : kInf);
  }
}

double ItemComposition::Heterogeneity(std::optional<size_t> excluded) const {
  double w = 0;
  double ww = 0;
  double wy = 0;
  double wyy = 0;
  double k = 0;
  if (shifts_.empty()) return 0;
  for (const size_t j : order_) {
    if (j == excluded || !std::isfinite(shift_variances_[j])) continue;
    const double weight = 1 / shift_variances_[j];
    w += weight;
    ww += weight * weight;
    wy += weight * shifts_[j];
    wyy += weight * shifts_[j] * shifts_[j];
    k += 1;
  }
  if (k < 2) return 0;
  const double q = wyy - wy * wy / w;
  return std::sqrt(std::max(0.0, (q - (k - 1)) / (w - ww / w)));
}

PredictedShare ItemComposition::Predict(size_t donor, std::optional<size_t> excluded,
                                        double log_rho, double log_rho_sd, std::optional<double> n,
                                        double level) const {
  const Model& model = models_[donor];
  const Link* const link = LinkFor(excluded);
  const double sd = std::hypot(log_rho_sd, Heterogeneity(excluded));
  const double link_sd = link == nullptr ? 0 : std::sqrt(LinkVariance(model, *link, log_rho));
  const std::span<const double> normal = NormalParts();
  std::vector<double> ps;
  for (size_t i = 0; i < normal.size(); ++i) {
    // A lattice in the plane: each coordinate takes all values, far apart for neighbours in the
    // other one.
    const double other = normal[(i * kLattice + kLattice / 2) % normal.size()];
    ps.push_back(
        std::clamp(Mean(model, link, log_rho + sd * normal[i]) + link_sd * other, 0.0, 1.0));
  }
  PredictedShare share = ShareInterval(ps, n, level);
  share.value = Mean(model, link, log_rho);
  return share;
}

}  // namespace mirage::metrics
