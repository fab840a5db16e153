#include "metrics/kernels/choices.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace mirage::metrics {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr uint32_t kKeptChoices = 32;

bool Contains(std::span<const uint32_t> golds, uint32_t k) {
  return std::find(golds.begin(), golds.end(), k) != golds.end();
}

// First argmax of score(k) over k < n.
template <typename Score>
uint32_t ArgmaxOf(size_t n, const Score& score) {
  uint32_t best = 0;
  double best_score = -kInfinity;
  bool found = false;
  for (uint32_t k = 0; k < n; ++k) {
    const double s = score(k);
    if (std::isnan(s)) continue;
    if (!found || s > best_score) {
      best = k;
      best_score = s;
      found = true;
    }
  }
  return best;
}

// max over golds g of scale(g) * (score(g) - max over wrong k of score(k)), the
// nats on the gold's own log-likelihood that decide.
template <typename Score, typename Scale>
double MarginOf(const ChoicesView& sample, const Score& score, const Scale& scale) {
  double best_wrong = -kInfinity;
  bool any_wrong = false;
  for (uint32_t k = 0; k < sample.log_likelihoods.size(); ++k) {
    if (Contains(sample.golds, k)) continue;
    any_wrong = true;
    best_wrong = std::max(best_wrong, score(k));
  }
  if (!any_wrong) return kNan;
  double margin = -kInfinity;
  for (const uint32_t g : sample.golds) {
    const double difference = score(g) - best_wrong;  // NaN when both are -Infinity
    if (std::isnan(difference)) return kNan;
    margin = std::max(margin, scale(g) * difference);
  }
  return margin;
}

}  // namespace

uint32_t FirstArgmax(std::span<const double> values) {
  return ArgmaxOf(values.size(), [&](uint32_t k) { return values[k]; });
}

ChoiceDecisions DecideChoices(const ChoicesView& sample) {
  const auto ll = sample.log_likelihoods;
  const size_t n = ll.size();
  const auto none = static_cast<uint32_t>(n);
  ChoiceDecisions decisions;
  decisions.acc = FirstArgmax(ll);
  decisions.acc_norm = sample.n_chars.empty()
                           ? none
                           : ArgmaxOf(n, [&](uint32_t k) { return ll[k] / sample.n_chars[k]; });
  decisions.acc_bytes = sample.n_bytes.empty()
                            ? none
                            : ArgmaxOf(n, [&](uint32_t k) { return ll[k] / sample.n_bytes[k]; });
  decisions.acc_mutual_info =
      sample.baseline_log_likelihoods.empty()
          ? none
          : ArgmaxOf(n, [&](uint32_t k) { return ll[k] - sample.baseline_log_likelihoods[k]; });
  return decisions;
}

ChoiceScores ScoreChoices(const ChoicesView& sample, const ChoiceDecisions& decisions) {
  const auto ll = sample.log_likelihoods;
  const auto n = static_cast<uint32_t>(ll.size());
  const auto golds = sample.golds;
  ChoiceScores out;

  const auto hit = [&](uint32_t decision) {
    return decision == n ? kNan : (Contains(golds, decision) ? 1.0 : 0.0);
  };
  out.acc = hit(decisions.acc);
  out.acc_norm = hit(decisions.acc_norm);
  out.acc_bytes = hit(decisions.acc_bytes);
  out.acc_mutual_info = hit(decisions.acc_mutual_info);

  const double top = ll[decisions.acc];
  uint32_t best_gold = golds[0];
  for (const uint32_t g : golds) {
    if (ll[g] > ll[best_gold]) best_gold = g;
  }
  // Sums relative to the top choice, so that nothing underflows that matters.
  double sum_all = 0, sum_gold = 0, sum_wrong = 0, n_better = 0;
  const bool finite = top > -kInfinity;
  // Kept for the Brier score where they fit; an exp costs more than all else here.
  double kept[kKeptChoices];
  for (uint32_t k = 0; k < n; ++k) {
    const double e = finite ? std::exp(ll[k] - top) : 0.0;
    if (k < kKeptChoices) kept[k] = e;
    sum_all += e;
    (Contains(golds, k) ? sum_gold : sum_wrong) += e;
    if (ll[k] > ll[best_gold]) n_better += 1;
  }
  if (golds.size() == 1) {
    out.log_p_gold = ll[best_gold];
  } else {
    out.log_p_gold = finite ? top + std::log(sum_gold) : -kInfinity;
  }
  out.p_gold = std::exp(out.log_p_gold);
  // Of choices that are all impossible none is ahead.
  out.rank = finite ? 1 + n_better : kNan;
  out.p_wrong_mass = finite ? sum_wrong * std::exp(top) : 0.0;

  const auto per = [&](std::span<const uint32_t> lengths) {
    if (lengths.empty() || lengths[best_gold] == 0) return kNan;
    return -ll[best_gold] / lengths[best_gold];
  };
  out.nll_per_token = per(sample.n_tokens);
  out.nll_per_byte = per(sample.n_bytes);
  out.nll_per_char = per(sample.n_chars);
  out.bits_per_byte = out.nll_per_byte / std::numbers::ln2;

  if (finite) {
    const double log_sum = std::log(sum_all);
    out.p_gold_choices = sum_gold / sum_all;
    out.log_p_gold_choices =
        golds.size() == 1 ? ll[best_gold] - top - log_sum : std::log(sum_gold) - log_sum;
    double brier = 0;
    const double gold_share = 1.0 / static_cast<double>(golds.size());
    for (uint32_t k = 0; k < n; ++k) {
      const double q = (k < kKeptChoices ? kept[k] : std::exp(ll[k] - top)) / sum_all;
      const double d = q - (Contains(golds, k) ? gold_share : 0.0);
      brier += d * d;
    }
    out.brier_score = brier;
    out.brier_mean = brier / n;
    out.brier_target = (1 - out.p_gold_choices) * (1 - out.p_gold_choices);
    out.confidence = 1 / sum_all;
    out.brier_top = (out.confidence - out.acc) * (out.confidence - out.acc);
  } else {
    // Every choice is impossible: no distribution over them exists.
    out.p_gold_choices = out.log_p_gold_choices = kNan;
    out.brier_score = out.brier_mean = out.brier_target = out.brier_top = kNan;
    out.confidence = kNan;
  }

  const auto one = [](uint32_t) { return 1.0; };
  out.margin = MarginOf(
      sample, [&](uint32_t k) { return ll[k]; }, one);
  out.margin_norm = sample.n_chars.empty()
                        ? kNan
                        : MarginOf(
                              sample, [&](uint32_t k) { return ll[k] / sample.n_chars[k]; },
                              [&](uint32_t g) { return double{1} * sample.n_chars[g]; });
  out.margin_bytes = sample.n_bytes.empty()
                         ? kNan
                         : MarginOf(
                               sample, [&](uint32_t k) { return ll[k] / sample.n_bytes[k]; },
                               [&](uint32_t g) { return double{1} * sample.n_bytes[g]; });
  out.margin_mutual_info =
      sample.baseline_log_likelihoods.empty()
          ? kNan
          : MarginOf(
                sample, [&](uint32_t k) { return ll[k] - sample.baseline_log_likelihoods[k]; },
                one);

  out.chance_margin = kNan;
  if (golds.size() == 1 && n >= 2) {
    double second = -kInfinity;
    for (uint32_t k = 0; k < n; ++k) {
      if (k != decisions.acc) second = std::max(second, ll[k]);
    }
    // Every choice but the top one loses to the top; the top one beats the second.
    double sum = top - second;
    for (uint32_t k = 0; k < n; ++k) {
      if (k != decisions.acc) sum += ll[k] - top;
    }
    out.chance_margin = sum / n;
  }
  return out;
}

}  // namespace mirage::metrics
