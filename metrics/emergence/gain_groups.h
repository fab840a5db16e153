// Items in two groups, by how much more or less than others they gain with scale, as models of
// other sizes have it.
//
// A break in part of the items bends their mean little and is soon gone from it; groups show it.
// But items grouped by when they are solved break by construction: whatever luck made a model good
// at some of them stands in the group and in the value. So the groups for models of every second
// size are made of the models of the other sizes (cross-fitting), which share no answers with them.
// Of an item's rank among all items by NLL (in each model, ties having the mean of their ranks) the
// gain is the mean over the smaller half of those sizes minus the mean over the larger half, the
// middle one of an odd number left out; gains above the median are large.
//
// Ranks, since means of NLL follow the worst models; gains and not levels, since what breaks need
// not be hard. Measured on simulated families, 40 to 60 a case, 8 or 12 sizes, 300 or 1000 items,
// tau 4 %. A break in half of the items (half_items_break) is found in 60 of 60, where the mean
// shows it in 37 % and groups by rank alone in 75 %; with noise of .4 in ln NLL of each item and
// model in 95 to 98 %, in 60 % where neighbouring sizes share that noise. False breaks: none in 580
// families of power laws, quadratic and logistic laws and items that each take off gently (item_cv
// .5 to 1.5; exponents that differ between items by .05 to .1; noise of .2 to .6, or of .4 to .7
// that neighbouring sizes share); in wide bends 10 %, as in the mean. Without cross-fitting it is
// up to 7.5 % of the first, and 27.5 % of wide bends.
#ifndef MIRAGE_METRICS_EMERGENCE_GAIN_GROUPS_H_
#define MIRAGE_METRICS_EMERGENCE_GAIN_GROUPS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// Different sizes that groups need: two at least for either half.
inline constexpr size_t kGainMinScales = 5;

// The field of such groups in VerdictPart::stratum: "gain in other models=large".
inline constexpr std::string_view kGainField = "gain in other models";

// Groups of items, for models of every second size.
struct GainGroups {
  // Whether an item's gain is large, for the models whose `parity` is 0, and for the others.
  std::vector<uint8_t> is_large[2];
  // By model: which of the two is made of other sizes.
  std::vector<uint8_t> parity;

  bool IsLarge(size_t model, size_t item) const { return is_large[parity[model]][item] != 0; }
};

// `nll[j][i]` is the NLL of item i in model j at the place x[j], larger being worse; Infinity is a
// number like others. Models of one place are one size. INVALID_ARGUMENT, with the place: x not
// finite, a NaN, columns that are not one a model and of one length. FAILED_PRECONDITION for fewer
// than kGainMinScales sizes. The order of models and items does not change a bit. O(n m log n).
absl::StatusOr<GainGroups> GroupByGain(std::span<const std::vector<double>> nll,
                                       std::span<const double> x);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_GAIN_GROUPS_H_
