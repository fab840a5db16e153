#include "metrics/kernels/likelihood.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace mirage::metrics {

LikelihoodScores ScoreLikelihood(const LikelihoodView& text) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const double ll = text.log_likelihood;
  const auto per = [&](std::optional<uint32_t> length) {
    return length.has_value() && *length > 0 ? -ll / *length : kNan;
  };
  LikelihoodScores out;
  out.log_p_target = ll;
  out.p_target = std::exp(ll);
  out.nll_per_token = per(text.n_tokens);
  out.nll_per_byte = per(text.n_bytes);
  out.nll_per_char = per(text.n_chars);
  out.bits_per_byte = out.nll_per_byte / std::numbers::ln2;
  out.greedy_match = text.is_greedy.has_value() ? (*text.is_greedy ? 1.0 : 0.0) : kNan;
  out.expected_accuracy = out.p_target;
  const std::optional<uint32_t> length = text.n_tokens.has_value() ? text.n_tokens : text.n_chars;
  // -expm1 keeps the digits of 1 - p when p is near 1.
  out.expected_edit_distance =
      length.has_value() && *length > 0 ? *length * -std::expm1(ll / *length) : kNan;
  return out;
}

}  // namespace mirage::metrics
