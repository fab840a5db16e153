#include "client/render/cells.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "client/render/terminal_text.h"

namespace mirage::client {
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

std::string XmlText(std::string_view text) {
  std::string out;
  for (const char c : SafeText(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

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
