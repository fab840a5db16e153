// What a smooth law of the counterpart makes of the sharp metric.
#ifndef MIRAGE_METRICS_EMERGENCE_COMPOSITION_H_
#define MIRAGE_METRICS_EMERGENCE_COMPOSITION_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace mirage::metrics {

// How the sharp metric follows from the counterpart, mechanically: nothing is fitted to the sharp
// curve, since a link with a free location reproduces any monotone curve.
enum class Composition : uint8_t {
  // Not known.
  kNone,
  // All tokens of the target must be right: E[exp(-u)] over items, u the NLL of the target.
  kAllTokens,
  // The gold must beat every choice. Means do not compose to that: a verdict needs items, of which
  // it takes how often a choice of some log p is the best one from the other models; at most
  // MODERATE. (PredictArgmax takes the margins for normal.)
  kArgmax,
};

// E[exp(-u G)] over items whose relative difficulty G has mean 1 and this coefficient of variation:
// (1 + u cv^2)^(-1 / cv^2) where G is gamma. u >= 0, cv >= 0; exp(-u) at cv = 0.
double AllTokensGamma(double u, double cv);

// The same where G is log-normal: by quadrature, to 1e-9. The two bound what means and spreads
// leave open: the gamma has more easy items, the log-normal fewer.
double AllTokensLogNormal(double u, double cv);

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

// The law's prediction of ln(mean NLL per unit) for one model, and what turns it into a share.
struct AllTokensInput {
  // Mean of ln q, and standard deviation of law and scatter together.
  double log_q = 0;
  double sd = 0;
  // Units (tokens) a target, > 0: u = length * q.
  double length = 1;
  // Of the items' NLL.
  double cv = 0;
  // Items that the share is measured on; absent: infinitely many.
  std::optional<double> n;
  // The metric's value where everything is right (1, or less with wrong golds) and by guessing.
  double ceiling = 1;
};

// The predictive interval of the measured share, of this level: over the law's uncertainty and the
// scatter (normal in ln q), the two distributions of difficulty, and binomial sampling. O(1), some
// microseconds.
PredictedShare PredictAllTokens(const AllTokensInput& input, double level);

// P(margin > 0) of a normal margin with this mean (uncertain by mean_sd) and spread over items,
// mixed with chance: the same interval.
PredictedShare PredictArgmax(double mean, double mean_sd, double spread, std::optional<double> n,
                             double level);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_COMPOSITION_H_
