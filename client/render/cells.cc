#include "client/render/cells.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <utility>

#include "client/render/terminal_text.h"

namespace mirage::client {
namespace {

// Below, a count is written out.
constexpr double kShortCount = 1e4;

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

}  // namespace

int DecimalsFor(double error) {
  if (!(error > 0) || !std::isfinite(error)) return kUsualDecimals;
  return std::clamp(1 - static_cast<int>(std::floor(std::log10(error))), kUsualDecimals,
                    kMostDecimals);
}

std::string NumberText(double value, int decimals) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  const double size = std::abs(value);
  if (value != 0 && size < 5 * std::pow(10, -decimals)) return fmt::format("{:.2e}", value);
  if (size >= 1e7) return fmt::format("{:.4e}", value);
  return fmt::format("{:.{}f}", value, decimals);
}

std::string ScaleText(double scale, std::string_view x_axis) {
  if (!std::isfinite(scale)) return NumberText(scale);
  const bool is_count = x_axis != "flops" && x_axis != "loss";
  if (!(scale >= kShortCount) || x_axis == "loss") {
    return is_count && scale == std::floor(scale) && std::abs(scale) < kShortCount
               ? fmt::format("{:.0f}", scale)
               : fmt::format("{:.3g}", scale);
  }
  if (!is_count) return Exponent(scale);
  // What three digits make of it decides: 999,999 is 1M.
  const double power = std::pow(10, std::floor(std::log10(scale)) - 2);
  const double rounded = std::round(scale / power) * power;
  constexpr std::array<std::pair<double, char>, 4> kSuffixes = {
      {{1e12, 'T'}, {1e9, 'B'}, {1e6, 'M'}, {1e3, 'K'}}};
  if (rounded >= 1e15) return Exponent(scale);
  for (const auto& [unit, letter] : kSuffixes) {
    if (rounded >= unit * (1 - 1e-9)) return fmt::format("{:.3g}{}", rounded / unit, letter);
  }
  return fmt::format("{:.3g}", scale);
}

std::string_view AxisName(std::string_view x_axis) {
  if (x_axis == "tokens") return "Tokens";
  if (x_axis == "flops") return "FLOPs";
  if (x_axis == "loss") return "Loss";
  return "Scale";
}

std::string CsvCell(std::string_view raw) {
  std::string text = SafeText(raw);
  if (text.find_first_of(",\"") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

std::string CsvNumber(double value) { return fmt::format("{}", value); }

std::string MarkdownCell(std::string_view text) {
  std::string out;
  for (const char c : SafeText(text)) {
    if (c == '|' || c == '\\' || c == '<' || c == '>' || c == '`' || c == '*' || c == '_' ||
        c == '[' || c == ']') {
      out += '\\';
    }
    out += c;
  }
  return out;
}

}  // namespace mirage::client
