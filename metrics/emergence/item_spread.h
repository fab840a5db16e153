// How the difficulty of items may be spread, of which means and errors tell only the first two
// moments.
//
// Let item i have the NLL u G_i for its whole target, G of mean 1 over the items with a coefficient
// of variation cv. A metric that needs all tokens right is E[exp(-u G)], answers being drawn, and
// that depends on more than cv: on how many items are easy. The distributions here reach from few
// easy items to many. None of them is known to be the right one; a verdict takes those with which
// all of a family's models agree, for the items are the same in all of them.
#ifndef MIRAGE_METRICS_EMERGENCE_ITEM_SPREAD_H_
#define MIRAGE_METRICS_EMERGENCE_ITEM_SPREAD_H_

#include <array>
#include <cstdint>
#include <optional>

namespace mirage::metrics {

enum class ItemSpread : uint8_t {
  // Two kinds of items, 1 - cv and 1 + cv; above cv = 1 the easy ones have 0. Below .5 it has fewer
  // easy items than all others.
  kPair,
  // These are in the order of how many items are easy.
  kLogNormal,
  // P(G < g) falls like g^k near 0, with k = 1 / cv^2.
  kGamma,
  // Beta distributions from 0 to a hardest item, k being .6, .3 and .15 of the gamma's. At a cv of
  // .58 the first two enclose even difficulty (k = 1).
  kBeta60,
  kBeta30,
  kBeta15,
};

inline constexpr std::array kItemSpreads = {ItemSpread::kPair,   ItemSpread::kLogNormal,
                                            ItemSpread::kGamma,  ItemSpread::kBeta60,
                                            ItemSpread::kBeta30, ItemSpread::kBeta15};

// A distribution of G.
struct ItemDifficulty {
  ItemSpread spread = ItemSpread::kGamma;
  // >= 0 and finite.
  double cv = 0;
};

// E[exp(-u G)], u >= 0; exp(-u) at cv = 0. Relative error below 1e-8, or below 1e-12 in absolute
// terms. The log-normal is a quadrature of 129 points; the betas are Kummer's function, a series of
// O(u) terms.
double AllTokens(const ItemDifficulty& difficulty, double u);

// The u at which E[exp(-u G)] = `share`, in (0, 1]. Absent where no u up to 1e6 gives so little.
std::optional<double> NllOfShare(const ItemDifficulty& difficulty, double share);

// The cv, from 0 to 3, with which E[exp(-q G)] = mean and E[exp(-2 q G)] = square for some q: of
// items' chances to have a token right the mean, in (0, 1), and the mean square. 0 where the square
// is no larger than that of the mean. Absent outside these ranges.
std::optional<double> CvOfShares(ItemSpread spread, double mean, double square);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_ITEM_SPREAD_H_
