#include "client/render/meta_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>
#include <vector>

#include "client/render/cells.h"
#include "client/render/meta_report.h"
#include "client/render/terminal_text.h"

namespace mirage::client {
namespace {

constexpr double kWidth = 760;
constexpr double kMargin = 16;
constexpr double kNames = 190;
constexpr double kShares = 96;
// Room for the column of infinite scores, and where in it they stand.
constexpr double kInfinite = 56;
constexpr double kAtInfinity = 40;
constexpr double kRow = 26;
constexpr double kTop = 104;
constexpr double kLowest = 0.1;
constexpr std::string_view kInk = "#222222";
constexpr std::string_view kGrey = "#5f5f5f";
constexpr std::string_view kGrid = "#e4e4e4";
// As in the curves of `mirage diagnose`.
constexpr std::string_view kSharpColor = "#c2500a";
constexpr std::string_view kContinuousColor = "#00785a";
constexpr std::string_view kNeitherColor = "#5b4a8a";

std::string_view ColorOf(bool sharp, bool continuous) {
  return sharp ? kSharpColor : continuous ? kContinuousColor : kNeitherColor;
}

std::string Text(double x, double y, std::string_view text, double size, std::string_view ink,
                 std::string_view more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{:g}\" fill=\"{}\"{}>{}</text>\n",
                     x, y, size, ink, more, XmlText(text));
}

std::string MarkOf(double x, double y, std::string_view color, bool is_emergent) {
  if (is_emergent) {
    return fmt::format("<path d=\"M{:.1f} {:.1f}l4.4 4.4l-4.4 4.4l-4.4 -4.4z\" fill=\"{}\"/>\n", x,
                       y - 4.4, color);
  }
  return fmt::format(
      "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.4\" fill=\"none\" stroke=\"{}\" "
      "stroke-opacity=\"0.55\"/>\n",
      x, y, color);
}

}  // namespace

std::string MetaPlotSvg(const v1::MetaAnalysis& analysis) {
  constexpr std::string_view kEnd = " text-anchor=\"end\"";
  constexpr std::string_view kMiddle = " text-anchor=\"middle\"";
  const double left = kMargin + kNames;
  const double right = kWidth - kMargin - kShares - kInfinite;
  std::map<std::string, std::vector<const v1::MetaTriplet*>> by_metric;
  double highest = 10;
  for (const v1::MetaTriplet& triplet : analysis.triplets()) {
    if (!triplet.not_evaluated().empty() || !triplet.has_emergence_score_per_step()) continue;
    by_metric[triplet.metric()].push_back(&triplet);
    const double score = triplet.emergence_score_per_step();
    if (std::isfinite(score)) highest = std::max(highest, score);
  }
  highest = std::pow(10, std::ceil(std::log10(highest) - 1e-9));
  const auto at = [&](double score) {
    const double share =
        std::log(std::clamp(score, kLowest, highest) / kLowest) / std::log(highest / kLowest);
    return left + share * (right - left);
  };
  const double bottom = kTop + kRow * analysis.metrics_size();
  const double height = bottom + 64;

  const std::string title =
      fmt::format("{} of {} triplets are emergent, under {} of {} metrics", analysis.n_emergent(),
                  analysis.n_evaluated(), analysis.n_metrics_emergent(), analysis.n_metrics());
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:g}\" height=\"{1:g}\" viewBox=\"0 0 "
      "{0:g} {1:g}\" font-family=\"system-ui, sans-serif\" role=\"img\">\n<title>{2}</title>\n",
      kWidth, height, XmlText(title));
  std::string described = OddsRatioText(analysis.odds_ratio());
  for (const v1::MetricShare& share : analysis.metrics()) {
    described += fmt::format(" {} ({}): {} of {}.", share.metric(),
                             MetricKind(share.sharp(), share.continuous()), share.n_emergent(),
                             share.n_evaluated());
  }
  out += fmt::format("<desc>{}</desc>\n", XmlText(described));
  out += fmt::format("<rect width=\"{:g}\" height=\"{:g}\" fill=\"#ffffff\"/>\n", kWidth, height);
  out += Text(kMargin, 30, title, 17, kInk, " font-weight=\"bold\"");
  double y = 48;
  for (const std::string& line : Wrapped(OddsRatioText(analysis.odds_ratio()), 116)) {
    out += Text(kMargin, y, line, 11, kGrey);
    y += 14;
  }

  const int n_ticks = 1 + static_cast<int>(std::floor(std::log10(highest * 1.001 / kLowest)));
  for (int i = 0; i < n_ticks; ++i) {
    const double tick = kLowest * std::pow(10, i);
    out += fmt::format(
        "<line x1=\"{0:.1f}\" y1=\"{1:g}\" x2=\"{0:.1f}\" y2=\"{2:g}\" stroke=\"{3}\"/>\n",
        at(tick), kTop, bottom, kGrid);
    out += Text(at(tick), bottom + 15, fmt::format("{:g}", tick), 11, kGrey, kMiddle);
  }
  out += fmt::format(
      "<line x1=\"{0:.1f}\" y1=\"{1:g}\" x2=\"{0:.1f}\" y2=\"{2:g}\" stroke=\"{3}\" "
      "stroke-dasharray=\"2 3\"/>\n",
      at(1), kTop, bottom, kGrey);
  out += Text(right + kAtInfinity, bottom + 15, "∞", 13, kGrey, kMiddle);
  out +=
      Text((left + right) / 2, bottom + 32,
           "Emergence score / (scales − 1), log scale; 1 is a straight line", 11, kGrey, kMiddle);
  out += Text(kWidth - kMargin, kTop - 6, "Emergent", 11, kGrey, kEnd);

  for (int row = 0; row < analysis.metrics_size(); ++row) {
    const v1::MetricShare& share = analysis.metrics(row);
    const std::string_view color = ColorOf(share.sharp(), share.continuous());
    const double middle = kTop + kRow * (row + 0.5);
    out += fmt::format("<line x1=\"{:g}\" y1=\"{:g}\" x2=\"{:g}\" y2=\"{:g}\" stroke=\"{}\"/>\n",
                       kMargin, middle + kRow / 2, kWidth - kMargin, middle + kRow / 2, kGrid);
    out += Text(left - 10, middle, Shortened(SafeText(share.metric()), 28), 11, color,
                " text-anchor=\"end\" font-weight=\"bold\"");
    out +=
        Text(left - 10, middle + 10, MetricKind(share.sharp(), share.continuous()), 9, color, kEnd);
    out += Text(kWidth - kMargin, middle + 4,
                share.has_share() ? fmt::format("{} of {}", share.n_emergent(), share.n_evaluated())
                                  : "none evaluated",
                11, kInk, kEnd);
    std::vector<const v1::MetaTriplet*>& marks = by_metric[share.metric()];
    // Emergent ones on top.
    std::stable_partition(marks.begin(), marks.end(),
                          [](const v1::MetaTriplet* triplet) { return !triplet->emergent(); });
    for (size_t i = 0; i < marks.size(); ++i) {
      const double score = marks[i]->emergence_score_per_step();
      const double x = std::isinf(score) && score > 0 ? right + kAtInfinity : at(score);
      // The golden ratio spreads any number of marks evenly.
      const double spread = std::fmod(static_cast<double>(i) * 0.6180339887498949, 1.0) - 0.5;
      out += MarkOf(x, middle + spread * (kRow - 12), color, marks[i]->emergent());
    }
  }
  const double legend = height - 12;
  out += MarkOf(kMargin + 5, legend - 4, kInk, true);
  out += Text(kMargin + 14, legend, "emergent", 11, kInk);
  out += MarkOf(kMargin + 85, legend - 4, kInk, false);
  out += Text(kMargin + 94, legend, "not emergent", 11, kInk);
  out += Text(kMargin + 190, legend, "sharp metric", 11, kSharpColor, " font-weight=\"bold\"");
  out += Text(kMargin + 280, legend, "continuous metric", 11, kContinuousColor,
              " font-weight=\"bold\"");
  return out + "</svg>\n";
}

}  // namespace mirage::client
