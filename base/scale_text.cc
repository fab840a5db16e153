#include "base/scale_text.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <utility>

namespace mirage {
namespace {

// Below, a count is written out.
constexpr double kShortCount = 1e4;
// Below, three digits may need a decimal point.
constexpr double kWholeCount = 1e3;

// "3.14e23", "1e12".
std::string Exponent(double value) {
  std::string text = fmt::format("{:.2e}", value);
  const size_t e = text.find('e');
  if (e == std::string::npos) return text;
  std::string digits = text.substr(0, e);
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.back() == '.') digits.pop_back();
  return fmt::format("{}e{}", digits, std::atoi(text.c_str() + e + 1));
}

double ThreeDigits(double value) {
  const double power = std::pow(10, std::floor(std::log10(value)) - 2);
  return std::round(value / power) * power;
}

}  // namespace

std::string ScaleText(double scale, std::string_view x_axis) {
  if (std::isnan(scale)) return "NaN";
  if (std::isinf(scale)) return scale > 0 ? "inf" : "-inf";
  const bool is_count = x_axis != "flops" && x_axis != "loss";
  if (!(scale >= kShortCount) || x_axis == "loss") {
    if (is_count && scale == std::floor(scale)) return fmt::format("{:.0f}", scale);
    if (is_count && scale >= kWholeCount) return fmt::format("{:.0f}", ThreeDigits(scale));
    return fmt::format("{:.3g}", scale);
  }
  if (!is_count) return Exponent(scale);
  // What three digits make of it decides: 999,999 is 1M.
  const double rounded = ThreeDigits(scale);
  constexpr std::array<std::pair<double, char>, 4> kSuffixes = {
      {{1e12, 'T'}, {1e9, 'B'}, {1e6, 'M'}, {1e3, 'K'}}};
  if (rounded >= 1e15) return Exponent(scale);
  for (const auto& [unit, letter] : kSuffixes) {
    if (rounded >= unit * (1 - 1e-9)) return fmt::format("{:.3g}{}", rounded / unit, letter);
  }
  return fmt::format("{:.3g}", scale);
}

}  // namespace mirage
