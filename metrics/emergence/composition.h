// What a smooth law of the counterpart makes of the sharp metric.
#ifndef MIRAGE_METRICS_EMERGENCE_COMPOSITION_H_
#define MIRAGE_METRICS_EMERGENCE_COMPOSITION_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "metrics/emergence/item_spread.h"
#include "metrics/emergence/margin_spread.h"

namespace mirage::metrics {

// How the sharp metric follows from the counterpart, mechanically: nothing is fitted to the sharp
// curve, since a link with a free location reproduces any monotone curve.
enum class Composition : uint8_t {
  // Not known.
  kNone,
  // All tokens of the target must be right: E[exp(-u)] over items, u the NLL of the target.
  kAllTokens,
  // The gold must beat every choice: P(margin > 0). Of items a verdict takes how often a choice of
  // some log p is the best one from the other models; of means it needs the mean margin and its
  // error. At most MODERATE: of means the share is not identified.
  kArgmax,
};

// Where the sharp metric should lie.
struct PredictedShare {
  double value = 0;
  double lower = 0;
  double upper = 0;
};

// The middles of equally likely parts of a standard normal number, ascending: a quadrature for what
// is uncertain. Static storage.
std::span<const double> NormalParts();

// The central interval of this level of a measured share whose true value is one of `ps` (not
// empty), each as likely: binomial with n items each, or the values themselves without n. `value`
// is left at 0.
PredictedShare ShareInterval(const std::vector<double>& ps, std::optional<double> n, double level);

// What q is.
enum class AllTokensOf : uint8_t {
  // The mean NLL of a unit.
  kNll,
  // -ln(mean share of right units): of an edit distance.
  kShareRight,
};

// The share that q > 0 composes to, with targets of this many units (see PredictAllTokens).
double ComposedShare(AllTokensOf of, const ItemDifficulty& difficulty, double length, double q);

// The law's prediction of ln q for one model, and what turns it into a share.
struct AllTokensInput {
  AllTokensOf of = AllTokensOf::kNll;
  // Mean of ln q, and standard deviation of law and scatter together.
  double log_q = 0;
  double sd = 0;
  // Units (tokens) a target, > 0.
  double length = 1;
  // Items that the share is measured on; absent: infinitely many.
  std::optional<double> n;
  // The metric's value where everything is right (1, or less with wrong golds) and by guessing.
  double ceiling = 1;
};

// The predictive interval of the measured share, of this level, over the law's uncertainty and the
// scatter (normal in ln q) and binomial sampling: from the least to the largest under one of these
// distributions of the items' difficulty (not empty); `value` is the mean over them. Of the NLL the
// share is E[exp(-length q G)]. Of right units, the items' chances to have a unit right are
// exp(-r G), r such that their mean is exp(-q): the share is E[exp(-length r G)]. Some 20
// microseconds for each distribution, ten times as many where r is to be found.
PredictedShare PredictAllTokens(const AllTokensInput& input,
                                std::span<const ItemDifficulty> difficulties, double level);

// The same of P(margin > 0), z being the mean margin over the margins' standard deviation, known to
// z_sd: from the least to the largest under one of these distributions of the margins (not empty).
PredictedShare PredictArgmax(double z, double z_sd, std::span<const MarginSpread> spreads,
                             std::optional<double> n, double level);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_COMPOSITION_H_
