// What the items' own log-probabilities compose to.
//
// Means leave open how the items' NLL spread, and greedy decoding is no draw: both are settled by
// the items themselves. Let u_i = -log p_i, the NLL of an item's whole target.
//
// Sampled answers (temperature 1): item i is right with probability exp(-u_i). Nothing is
// estimated.
//
// Greedy answers: P(right | u) is a decreasing function, the link: 1 below ln 2 in theory, and
// above it whatever the rivals of the gold make of it. It is estimated from the items of the
// *other* models: scores pooled in bins of .1 in ln u, with .1 item of exp(-u) in each bin (which
// decides only where no model has items), made monotone by pooling adjacent violators, linear in
// ln u between the bins' middles. So nothing of a model enters what is expected of it, and nothing
// is fitted to the curve over scales: the link has no location to fit.
//
// The link must be the same for all models. Of model j let d_j be its mean score minus its mean
// link, and D_j = -d (mean link) / d ln rho, rho being a factor on all u_i. d_j / D_j says by how
// much ln u seems to be off. Its heterogeneity between models beyond sampling (DerSimonian and
// Laird 1986, Controlled Clinical Trials 7, 177-188, equation 8) is a part of every prediction's
// band, that of a model being estimated from the others.
//
// A law's prediction is made of the items of some model (a donor) with every u_i times rho. The
// band mixes the normal uncertainty of ln rho, the heterogeneity, the link's own sampling error and
// binomial sampling of the answers.
#ifndef MIRAGE_METRICS_EMERGENCE_ITEM_COMPOSITION_H_
#define MIRAGE_METRICS_EMERGENCE_ITEM_COMPOSITION_H_

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "metrics/emergence/composition.h"

namespace mirage::metrics {

// Fewest models that a link is estimated from, beside the one it is applied to.
inline constexpr size_t kLinkMinModels = 3;
// Bins of ln u: from ln 1e-6, .1 each, up to e^.1 * 1000; what lies beyond is in the last ones.
inline constexpr size_t kLinkBins = 208;

// One model's items: log p of the target (<= 0; -Infinity is p = 0) and score in [0, 1], as many.
struct ItemColumns {
  std::span<const double> log_p;
  std::span<const double> scores;
};

// How a model's scores compare with the link of the others.
struct LinkDeviation {
  // Place among the models.
  size_t model = 0;
  double mean_score = 0;
  double mean_link = 0;
  // Their difference in standard errors: of sampling, at least one item in n, and of the link.
  double z = 0;
};

// The items of a family. Immutable.
class ItemComposition {
 public:
  // INVALID_ARGUMENT, by the place: columns of different lengths or empty, values out of range. For
  // greedy answers FAILED_PRECONDITION up to kLinkMinModels models. The order of the items and of
  // the models does not change a bit of what is predicted. O(items ln items).
  static absl::StatusOr<ItemComposition> Create(std::span<const ItemColumns> models,
                                                bool is_greedy);

  size_t n_models() const { return models_.size(); }

  // Where a share of `n` items (absent: infinitely many) should lie: items of `donor`, every u_i
  // times exp(N(log_rho, log_rho_sd)). For greedy answers the link comes from all models but
  // `excluded`, the one that is predicted if it is among them. A band of this level. Both must be
  // in range. About 2 ms.
  PredictedShare Predict(size_t donor, std::optional<size_t> excluded, double log_rho,
                         double log_rho_sd, std::optional<double> n, double level) const;

  // Mean over the items of `model` of the link of all models but `excluded`, u times exp(log_rho).
  double MeanLink(size_t model, std::optional<size_t> excluded, double log_rho) const;

  // P(right) of one item with this log p (<= 0), by the link of all models.
  double LinkOf(double log_p) const;

  // Heterogeneity of the link in ln u as the models but `excluded` show it: a standard deviation; 0
  // for sampled answers.
  double Heterogeneity(std::optional<size_t> excluded) const;

  // By model: the deviation from the link of the others. Empty for sampled answers.
  std::span<const LinkDeviation> deviations() const { return deviations_; }

 private:
  using Bins = std::array<double, kLinkBins>;

  struct Model {
    // ln u ascending in groups of items, and the share of the items in each.
    std::vector<double> log_u;
    std::vector<double> weights;
    // Items, and sum of scores, by bin.
    Bins counts{};
    Bins sums{};
    double n = 0;
    double mean_score = 0;
  };

  // The link of all models but one.
  struct Link {
    Bins values{};
    // Items behind the block that each bin is in.
    Bins weights{};
  };

  ItemComposition() = default;

  Link LinkWithout(std::optional<size_t> excluded) const;
  static double Mean(const Model& model, const Link* link, double log_rho);
  static double LinkVariance(const Model& model, const Link& link, double log_rho);
  const Link* LinkFor(std::optional<size_t> excluded) const;
  void FindDeviations();

  std::vector<Model> models_;
  // Places of the models in an order that does not depend on the caller's.
  std::vector<size_t> order_;
  // Without each model; the last one of all. Empty for sampled answers.
  std::vector<Link> links_;
  std::vector<LinkDeviation> deviations_;
  // By model: d / D and its sampling variance; infinite where D is 0.
  std::vector<double> shifts_;
  std::vector<double> shift_variances_;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_ITEM_COMPOSITION_H_
