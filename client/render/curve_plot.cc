#include "client/render/curve_plot.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/scale_text.h"
#include "client/render/cells.h"
#include "client/render/diagnose_report.h"
#include "client/render/terminal_text.h"

namespace mirage::client {
namespace {

using v1::Diagnosis;

// ---- What there is to draw ----

struct Mark {
  double x = 0;
  double y = 0;
  // Ends of the interval; may be infinite.
  std::optional<std::pair<double, double>> interval;
  bool is_hollow = false;
};
using Marks = std::vector<Mark>;

struct Curves {
  Marks sharp;
  // By ascending x, each x once.
  Marks predicted;
  Marks forecasts;
  Marks counterpart;
  // Whether the counterpart's values are negated.
  bool is_negated = false;
  // Whether they are all > 0 then.
  bool is_logarithmic = false;
  std::vector<double> breaks;

  bool IsEmpty() const { return sharp.empty() && predicted.empty() && counterpart.empty(); }
};

// Beyond, differences and ratios of two numbers are none.
constexpr double kLargest = 1e150;

bool IsPosition(double x) { return x >= 1 / kLargest && x <= kLargest; }

void Add(Marks& marks, double x, double y, const v1::Interval* interval, bool is_hollow) {
  if (!IsPosition(x) || !(std::abs(y) <= kLargest)) return;
  Mark mark{.x = x, .y = y, .interval = {}, .is_hollow = is_hollow};
  if (interval != nullptr && interval->lower() <= interval->upper()) {
    mark.interval = {interval->lower(), interval->upper()};
  }
  marks.push_back(mark);
}

bool IsBefore(const Mark& a, const Mark& b) { return a.x < b.x; }

Curves CurvesOf(const Diagnosis& diagnosis) {
  Curves curves;
  for (const v1::DiagnosedScale& scale : diagnosis.scales()) {
    const double x = scale.scale();
    if (scale.has_value()) {
      Add(curves.sharp, x, scale.value(), scale.has_interval() ? &scale.interval() : nullptr,
          scale.held_out());
    }
    if (scale.has_predicted()) {
      Add(curves.predicted, x, scale.predicted(),
          scale.has_predicted_interval() ? &scale.predicted_interval() : nullptr, false);
    }
    if (scale.has_counterpart_value()) {
      Add(curves.counterpart, x, scale.counterpart_value(),
          scale.has_counterpart_interval() ? &scale.counterpart_interval() : nullptr,
          scale.held_out());
    }
  }
  for (const v1::Forecast& forecast : diagnosis.forecast()) {
    Add(curves.forecasts, forecast.scale(), forecast.value(),
        forecast.has_interval() ? &forecast.interval() : nullptr, false);
  }
  for (const v1::Break& found : diagnosis.breaks()) {
    if (found.has_scale() && IsPosition(found.scale())) curves.breaks.push_back(found.scale());
  }
  for (Marks* marks : {&curves.sharp, &curves.predicted, &curves.counterpart}) {
    std::stable_sort(marks->begin(), marks->end(), IsBefore);
  }
  const auto is_same_x = [](const Mark& a, const Mark& b) { return a.x == b.x; };
  curves.predicted.erase(std::unique(curves.predicted.begin(), curves.predicted.end(), is_same_x),
                         curves.predicted.end());
  const auto all = [&](auto&& holds) {
    return std::all_of(curves.counterpart.begin(), curves.counterpart.end(), holds);
  };
  curves.is_negated =
      !curves.counterpart.empty() && all([](const Mark& mark) { return mark.y < 0; });
  if (curves.is_negated) {
    for (Mark& mark : curves.counterpart) {
      mark.y = -mark.y;
      if (mark.interval) mark.interval = {-mark.interval->second, -mark.interval->first};
    }
  }
  curves.is_logarithmic = all([](const Mark& mark) { return mark.y >= 1 / kLargest; });
  return curves;
}

// The curve through marks, replicates averaged.
Marks MeanLine(const Marks& marks) {
  std::map<double, std::pair<double, int>> sums;
  for (const Mark& mark : marks) {
    auto& [sum, n] = sums[mark.x];
    sum += mark.y;
    ++n;
  }
  Marks line;
  for (const auto& [x, sum] : sums) {
    line.push_back({.x = x, .y = sum.first / sum.second, .interval = {}});
  }
  return line;
}

// ---- Axes ----

// A range of values and where its ends are drawn.
struct Axis {
  double lower = 0;
  double upper = 1;
  bool is_logarithmic = false;
  double from = 0;
  double to = 1;

  double At(double value) const {
    const double share =
        is_logarithmic ? (std::log(value) - std::log(lower)) / (std::log(upper) - std::log(lower))
                       : (value - lower) / (upper - lower);
    return from + share * (to - from);
  }
  // The same for what may lie outside, or nowhere.
  double Clamped(double value) const {
    if (std::isnan(value) || (is_logarithmic && value <= 0)) return from;
    return At(std::clamp(value, lower, upper));
  }
};

class Range {
 public:
  void Include(double value) {
    if (!(std::abs(value) <= kLargest)) return;
    lower_ = std::min(lower_, value);
    upper_ = std::max(upper_, value);
  }
  void Include(const Marks& marks, bool intervals) {
    for (const Mark& mark : marks) {
      Include(mark.y);
      if (!intervals || !mark.interval) continue;
      Include(mark.interval->first);
      Include(mark.interval->second);
    }
  }
  bool IsEmpty() const { return !(lower_ <= upper_); }
  double lower() const { return lower_; }
  double upper() const { return upper_; }

 private:
  double lower_ = std::numeric_limits<double>::infinity();
  double upper_ = -std::numeric_limits<double>::infinity();
};

// 1, 2 or 5 times a power of ten, >= `least`.
double NiceStep(double least) {
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

// Room on both sides of what is drawn, as a share of it.
constexpr double kPadding = 0.04;
// Numbers that differ by less, relatively, are one for an axis.
constexpr double kSameValue = 1e-9;

Axis LinearAxis(const Range& range) {
  double lower = range.lower(), upper = range.upper();
  if (lower >= 0 && upper <= 1) {
    // Shares begin at 0 and end where a step does.
    lower = 0;
    const double step = NiceStep(std::max(upper, 1e-6) / 4);
    upper = std::min(1.0, step * std::ceil(std::max(upper, 1e-6) / step - 1e-9));
  }
  const double size = std::max(std::abs(lower), std::abs(upper));
  const double pad =
      upper - lower > kSameValue * size ? kPadding * (upper - lower) : std::max(0.5 * size, 0.5);
  return {.lower = lower - pad, .upper = upper + pad};
}

Axis LogarithmicAxis(const Range& range) {
  const double span = std::log(range.upper()) - std::log(range.lower());
  const double pad = span > kSameValue ? std::exp(kPadding * span) : 2;
  return {.lower = range.lower() / pad, .upper = range.upper() * pad, .is_logarithmic = true};
}

Axis ScaleAxis(const Curves& curves, std::string_view x_axis) {
  Range range;
  for (const Marks* marks :
       {&curves.sharp, &curves.predicted, &curves.counterpart, &curves.forecasts}) {
    for (const Mark& mark : *marks) range.Include(mark.x);
  }
  for (const double at : curves.breaks) range.Include(at);
  Axis axis = LogarithmicAxis(range);
  if (x_axis == "loss") std::swap(axis.lower, axis.upper);
  return axis;
}

Axis SharpAxis(const Curves& curves) {
  Range range;
  range.Include(curves.sharp, true);
  range.Include(curves.predicted, true);
  range.Include(curves.forecasts, true);
  if (range.IsEmpty()) range.Include(0);
  if (range.lower() >= 0 && range.upper() <= 1) return LinearAxis(range);
  // A band without a bound must not flatten the curve.
  Range own;
  own.Include(curves.sharp, true);
  own.Include(curves.predicted, false);
  own.Include(curves.forecasts, false);
  return LinearAxis(own.IsEmpty() ? range : own);
}

Axis CounterpartAxis(const Curves& curves) {
  Range range;
  range.Include(curves.counterpart, !curves.is_logarithmic);
  if (!curves.is_logarithmic) return LinearAxis(range);
  for (const Mark& mark : curves.counterpart) {
    if (!mark.interval) continue;
    // An interval down to almost 0 must not flatten the curve.
    range.Include(std::max(mark.interval->first, mark.y / 3));
    range.Include(std::min(mark.interval->second, mark.y * 3));
  }
  return LogarithmicAxis(range);
}

std::vector<double> LinearTicks(const Axis& axis, int most) {
  const double lower = std::min(axis.lower, axis.upper), upper = std::max(axis.lower, axis.upper);
  const double step = NiceStep((upper - lower) / most);
  std::vector<double> ticks;
  const double first = std::ceil(lower / step - 1e-9);
  // Far from 0 a step may be less than the numbers tell apart.
  for (int i = 0; i <= most && (first + i) * step <= upper; ++i) {
    ticks.push_back((first + i) * step);
  }
  return ticks;
}

// At powers of ten and, where there is room, between them.
std::vector<double> LogarithmicTicks(const Axis& axis, int most) {
  const double lower = std::min(axis.lower, axis.upper), upper = std::max(axis.lower, axis.upper);
  const int first = static_cast<int>(std::floor(std::log10(lower)));
  const int last = static_cast<int>(std::ceil(std::log10(upper)));
  const auto ticks = [&](const std::vector<double>& factors, int stride) {
    std::vector<double> out;
    for (int power = first; power <= last; ++power) {
      if (power % stride != 0) continue;
      for (const double factor : factors) {
        const double at = factor * std::pow(10, power);
        if (at >= lower && at <= upper) out.push_back(at);
      }
    }
    return out;
  };
  const auto fits = [&](const std::vector<double>& out) {
    return static_cast<int>(out.size()) <= most;
  };
  for (const std::vector<double>& factors :
       {std::vector<double>{1, 2, 5}, std::vector<double>{1, 3}, std::vector<double>{1}}) {
    const std::vector<double> out = ticks(factors, 1);
    if (!fits(out)) continue;
    // Less than a decade has few of them.
    return out.size() < 3 && upper < 10 * lower ? LinearTicks(axis, most) : out;
  }
  int stride = 2;
  while (!fits(ticks({1}, stride))) ++stride;
  return ticks({1}, stride);
}

std::vector<std::string> LogarithmicTickTexts(const std::vector<double>& ticks) {
  std::vector<std::string> texts;
  texts.reserve(ticks.size());
  for (const double tick : ticks) texts.push_back(fmt::format("{:.3g}", tick));
  return texts;
}

// As many digits as tell the ticks apart.
std::vector<std::string> TickTexts(const std::vector<double>& ticks) {
  if (ticks.size() < 2) return LogarithmicTickTexts(ticks);
  double step = std::numeric_limits<double>::infinity();
  for (size_t i = 1; i < ticks.size(); ++i) step = std::min(step, ticks[i] - ticks[i - 1]);
  const int decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9)));
  std::vector<std::string> texts;
  for (const double tick : ticks) {
    const double size = std::abs(tick);
    if (decimals <= 6 && size < 1e6) {
      texts.push_back(fmt::format("{:.{}f}", size < step / 2 ? 0.0 : tick, decimals));
    } else {
      texts.push_back(fmt::format("{:.3g}", tick));
    }
  }
  return texts;
}

std::string CounterpartTitle(const Diagnosis& diagnosis, const Curves& curves) {
  return fmt::format("{}{}{}", curves.is_negated ? "−" : "", SafeText(diagnosis.counterpart()),
                     curves.is_logarithmic ? ", log scale" : "");
}

std::string AxisTitle(std::string_view x_axis) {
  if (x_axis == "loss") return "Loss in nats per token, the better models on the right";
  if (x_axis == "tokens") return "Training tokens";
  if (x_axis == "flops") return "Training FLOPs";
  return std::string(AxisName(x_axis));
}

// ---- SVG ----

constexpr double kWidth = 760;
constexpr double kMargin = 16;
constexpr std::string_view kInk = "#222222";
constexpr std::string_view kGrey = "#5f5f5f";
constexpr std::string_view kGrid = "#e4e4e4";
// Told apart by colour-blind readers, too (Okabe and Ito's palette, darkened for white).
constexpr std::string_view kSharpColor = "#c2500a";
constexpr std::string_view kPredictedColor = "#0067a5";
constexpr std::string_view kCounterpartColor = "#00785a";
constexpr std::string_view kBreakColor = "#8c4a86";
// Models whose numbers a description spells out.
constexpr int kDescribedModels = 32;

std::string_view VerdictInk(Diagnosis::Verdict verdict) {
  switch (verdict) {
    case Diagnosis::MIRAGE:
      return "#b3261e";
    case Diagnosis::BREAK_SURVIVES:
      return "#005a8c";
    case Diagnosis::SMOOTH:
      return "#1f6b2e";
    case Diagnosis::RESOLUTION_LIMITED:
      return "#7a5200";
    default:
      return "#5b4a8a";
  }
}

enum class Anchor { kStart, kMiddle, kEnd };

struct TextStyle {
  double size = 11;
  std::string_view ink = kInk;
  bool is_bold = false;
  Anchor anchor = Anchor::kStart;
};

// Sizes of a figure: one has room, several are small.
struct Layout {
  double width = 0;
  double sharp_height = 0;
  double counterpart_height = 0;
  double title_size = 0;
  double text_size = 0;
  int name_lines = 0;
  int reason_lines = 0;
};

constexpr Layout kLarge = {.width = kWidth - 2 * kMargin,
                           .sharp_height = 240,
                           .counterpart_height = 140,
                           .title_size = 18,
                           .text_size = 12,
                           .name_lines = 1,
                           .reason_lines = 2};
constexpr Layout kSmall = {.width = (kWidth - 3 * kMargin) / 2,
                           .sharp_height = 130,
                           .counterpart_height = 80,
                           .title_size = 14,
                           .text_size = 11,
                           .name_lines = 2,
                           .reason_lines = 0};

// A character of a sans-serif font is about so wide, as a share of its size: on the safe side for
// what must fit.
constexpr double kCharacterWidth = 0.56;
constexpr double kLineHeight = 1.35;

// What the legend explains.
struct Legend {
  bool sharp = false;
  bool held_out = false;
  bool predicted = false;
  bool forecast = false;
  bool counterpart = false;
  bool breaks = false;
  // Of the bands.
  std::set<double> band_levels;
};

class Svg {
 public:
  void Text(double x, double y, std::string_view text, const TextStyle& style) {
    constexpr std::string_view kAnchors[] = {"start", "middle", "end"};
    body_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{:g}\" fill=\"{}\"", x, y,
                         style.size, style.ink);
    if (style.is_bold) body_ += " font-weight=\"bold\"";
    if (style.anchor != Anchor::kStart) {
      body_ += fmt::format(" text-anchor=\"{}\"", kAnchors[static_cast<int>(style.anchor)]);
    }
    body_ += fmt::format(">{}</text>\n", XmlText(text));
  }

  void Line(double x1, double y1, double x2, double y2, std::string_view attributes) {
    body_ += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1,
                         y1, x2, y2, attributes);
  }

  void Circle(double x, double y, std::string_view color, bool is_hollow) {
    body_ += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.6\" {}/>\n", x, y,
                         Paint(color, is_hollow));
  }

  void Square(double x, double y, std::string_view color, bool is_hollow) {
    body_ += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"6.4\" height=\"6.4\" {}/>\n",
                         x - 3.2, y - 3.2, Paint(color, is_hollow));
  }

  void Diamond(double x, double y, std::string_view color) {
    body_ += fmt::format("<path d=\"M{:.1f} {:.1f}l4.6 4.6l-4.6 4.6l-4.6 -4.6z\" {}/>\n", x,
                         y - 4.6, Paint(color, true));
  }

  // Through the points given.
  void Path(const std::vector<std::pair<double, double>>& points, bool is_closed,
            std::string_view attributes) {
    if (points.size() < 2) return;
    std::string path;
    for (const auto& [x, y] : points) {
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x, y);
    }
    body_ += fmt::format("<path d=\"{}{}\" {}/>\n", path, is_closed ? "z" : "", attributes);
  }

  void Append(std::string_view markup) { body_ += markup; }

  const std::string& body() const { return body_; }

 private:
  static std::string Paint(std::string_view color, bool is_hollow) {
    return fmt::format("fill=\"{}\" stroke=\"{}\" stroke-width=\"1.6\"",
                       is_hollow ? "#ffffff" : color, color);
  }

  std::string body_;
};

// One figure: titles, the sharp metric, the counterpart below it.
class Figure {
 public:
  Figure(const Diagnosis& diagnosis, const Layout& layout)
      : diagnosis_(diagnosis), layout_(layout), curves_(CurvesOf(diagnosis)) {}

  // The same for all figures of a layout, but that a large one leaves out a counterpart that is not
  // there.
  double Height() const {
    double height = TitleHeight() + PanelTitle() + layout_.sharp_height + AxisHeight();
    if (HasCounterpart()) height += PanelTitle() + layout_.counterpart_height + kGap;
    return height;
  }

  void Draw(double left, double top, Svg& svg) {
    left_ = left;
    svg.Append(fmt::format("<g role=\"group\" aria-label=\"{}: {}\">\n",
                           XmlText(VerdictText(diagnosis_)), XmlText(SeriesText(diagnosis_))));
    DrawTitles(top, svg);
    top += TitleHeight();
    if (curves_.IsEmpty()) {
      svg.Text(left + layout_.width / 2, top + layout_.sharp_height / 2, "No numbers to draw",
               {.size = layout_.text_size, .ink = kGrey, .anchor = Anchor::kMiddle});
    } else {
      DrawPanels(top, svg);
    }
    svg.Append("</g>\n");
  }

  void AddTo(Legend& legend) const {
    legend.sharp |= !curves_.sharp.empty();
    legend.predicted |= curves_.predicted.size() > 1;
    legend.forecast |= !curves_.forecasts.empty();
    legend.counterpart |= !curves_.counterpart.empty();
    legend.breaks |= !curves_.breaks.empty();
    for (const Mark& mark : curves_.sharp) legend.held_out |= mark.is_hollow;
    for (const v1::DiagnosedScale& scale : diagnosis_.scales()) {
      if (scale.has_predicted_interval()) {
        legend.band_levels.insert(scale.predicted_interval().level());
      }
    }
  }

 private:
  static constexpr double kGap = 12;
  static constexpr double kLabels = 46;

  bool HasCounterpart() const { return !curves_.counterpart.empty() || layout_.reason_lines == 0; }
  double PanelTitle() const { return layout_.text_size * kLineHeight + 4; }
  double AxisHeight() const { return 2 * layout_.text_size * kLineHeight + 6; }
  double TitleHeight() const {
    return layout_.title_size * kLineHeight +
           (layout_.name_lines + layout_.reason_lines) * layout_.text_size * kLineHeight + 6;
  }

  // Cut to the lines and the width that there are.
  std::vector<std::string> Lines(const std::string& text, int most) const {
    const auto columns = static_cast<size_t>(layout_.width / (kCharacterWidth * layout_.text_size));
    std::vector<std::string> lines = Wrapped(text, columns);
    if (lines.size() > static_cast<size_t>(most)) {
      lines.resize(static_cast<size_t>(most));
      if (!lines.empty()) lines.back() += " …";
    }
    for (std::string& line : lines) line = Shortened(line, columns);
    return lines;
  }

  void DrawTitles(double top, Svg& svg) const {
    double y = top + layout_.title_size;
    svg.Text(
        left_, y, VerdictText(diagnosis_),
        {.size = layout_.title_size, .ink = VerdictInk(diagnosis_.verdict()), .is_bold = true});
    const auto lines = [&](const std::string& text, int most, std::string_view ink) {
      for (const std::string& line : Lines(text, most)) {
        y += layout_.text_size * kLineHeight;
        svg.Text(left_, y, line, {.size = layout_.text_size, .ink = ink});
      }
    };
    y += 3;
    lines(SeriesText(diagnosis_), layout_.name_lines, kInk);
    if (!diagnosis_.reasons().empty()) {
      lines(SafeText(diagnosis_.reasons(0).text()), layout_.reason_lines, kGrey);
    }
  }

  void DrawPanels(double top, Svg& svg) {
    x_ = ScaleAxis(curves_, diagnosis_.x_axis());
    x_.from = left_ + kLabels;
    x_.to = left_ + layout_.width - 6;
    top += PanelTitle();
    DrawSharp(top, top + layout_.sharp_height, svg);
    double bottom = top + layout_.sharp_height;
    if (HasCounterpart()) {
      const double begin = bottom + kGap + PanelTitle();
      bottom = begin + layout_.counterpart_height;
      if (curves_.counterpart.empty()) {
        svg.Text((x_.from + x_.to) / 2, (begin + bottom) / 2, "No counterpart",
                 {.size = layout_.text_size, .ink = kGrey, .anchor = Anchor::kMiddle});
      } else {
        DrawCounterpart(begin, bottom, svg);
      }
    }
    DrawScaleLabels(bottom, svg);
  }

  // The frame of a panel: grid, labels, title, breaks.
  void DrawFrame(const Axis& y, std::string_view title, std::string_view ink, Svg& svg) const {
    const double top = y.to, bottom = y.from;
    svg.Text(x_.from, top - 6,
             Shortened(title, static_cast<size_t>((x_.to - x_.from) /
                                                  (kCharacterWidth * layout_.text_size))),
             {.size = layout_.text_size, .ink = ink, .is_bold = true});
    const int most = std::max(2, static_cast<int>((bottom - top) / 20));
    const std::vector<double> ticks =
        y.is_logarithmic ? LogarithmicTicks(y, most) : LinearTicks(y, most);
    const std::vector<std::string> texts =
        y.is_logarithmic ? LogarithmicTickTexts(ticks) : TickTexts(ticks);
    for (size_t i = 0; i < ticks.size(); ++i) {
      const double at = y.At(ticks[i]);
      svg.Line(x_.from, at, x_.to, at, fmt::format("stroke=\"{}\"", kGrid));
      svg.Text(x_.from - 5, at + 0.35 * layout_.text_size, texts[i],
               {.size = layout_.text_size, .ink = kGrey, .anchor = Anchor::kEnd});
    }
    for (const double tick : ScaleTicks()) {
      svg.Line(x_.At(tick), top, x_.At(tick), bottom, fmt::format("stroke=\"{}\"", kGrid));
    }
    svg.Line(x_.from, bottom, x_.to, bottom, fmt::format("stroke=\"{}\"", kGrey));
    for (const double at : curves_.breaks) {
      svg.Line(
          x_.At(at), top, x_.At(at), bottom,
          fmt::format("stroke=\"{}\" stroke-width=\"1.5\" stroke-dasharray=\"2 3\"", kBreakColor));
    }
  }

  std::vector<double> ScaleTicks() const {
    return LogarithmicTicks(x_, static_cast<int>((x_.to - x_.from) / 46));
  }

  void DrawScaleLabels(double bottom, Svg& svg) const {
    const double y = bottom + layout_.text_size * kLineHeight;
    double free = -1;
    std::vector<double> ticks = ScaleTicks();
    std::sort(ticks.begin(), ticks.end(), [&](double a, double b) { return x_.At(a) < x_.At(b); });
    for (const double tick : ticks) {
      const std::string text = ScaleText(tick, diagnosis_.x_axis());
      const double half =
          static_cast<double>(text.size()) * kCharacterWidth * layout_.text_size / 2;
      if (x_.At(tick) - half < free) continue;
      free = x_.At(tick) + half + 4;
      svg.Text(x_.At(tick), y, text,
               {.size = layout_.text_size, .ink = kGrey, .anchor = Anchor::kMiddle});
    }
    svg.Text((x_.from + x_.to) / 2, y + layout_.text_size * kLineHeight,
             AxisTitle(diagnosis_.x_axis()),
             {.size = layout_.text_size, .ink = kGrey, .anchor = Anchor::kMiddle});
  }

  std::vector<std::pair<double, double>> Points(const Marks& marks, const Axis& y) const {
    std::vector<std::pair<double, double>> points;
    for (const Mark& mark : marks) points.emplace_back(x_.At(mark.x), y.Clamped(mark.y));
    return points;
  }

  void DrawIntervals(const Marks& marks, const Axis& y, std::string_view color, Svg& svg) const {
    for (const Mark& mark : marks) {
      if (!mark.interval) continue;
      const double x = x_.At(mark.x);
      const std::string attributes =
          fmt::format("stroke=\"{}\" stroke-width=\"1.4\" stroke-opacity=\"0.7\"", color);
      svg.Line(x, y.Clamped(mark.interval->first), x, y.Clamped(mark.interval->second), attributes);
    }
  }

  void DrawSharp(double top, double bottom, Svg& svg) const {
    Axis y = SharpAxis(curves_);
    y.from = bottom;
    y.to = top;
    DrawFrame(y, SafeText(diagnosis_.metric()), kSharpColor, svg);
    std::vector<std::pair<double, double>> band;
    for (const Mark& mark : curves_.predicted) {
      if (mark.interval) band.emplace_back(x_.At(mark.x), y.Clamped(mark.interval->second));
    }
    for (auto mark = curves_.predicted.rbegin(); mark != curves_.predicted.rend(); ++mark) {
      if (mark->interval) band.emplace_back(x_.At(mark->x), y.Clamped(mark->interval->first));
    }
    svg.Path(band, true,
             fmt::format("fill=\"{}\" fill-opacity=\"0.14\" stroke=\"none\"", kPredictedColor));
    svg.Path(Points(curves_.predicted, y), false,
             fmt::format("fill=\"none\" stroke=\"{}\" stroke-width=\"4\" stroke-opacity=\"0.5\"",
                         kPredictedColor));
    svg.Path(Points(MeanLine(curves_.sharp), y), false,
             fmt::format("fill=\"none\" stroke=\"{}\" stroke-width=\"1.4\"", kSharpColor));
    DrawIntervals(curves_.sharp, y, kSharpColor, svg);
    for (const Mark& mark : curves_.sharp) {
      svg.Circle(x_.At(mark.x), y.Clamped(mark.y), kSharpColor, mark.is_hollow);
    }
    DrawIntervals(curves_.forecasts, y, kPredictedColor, svg);
    for (const Mark& mark : curves_.forecasts) {
      svg.Diamond(x_.At(mark.x), y.Clamped(mark.y), kPredictedColor);
    }
  }

  void DrawCounterpart(double top, double bottom, Svg& svg) const {
    Axis y = CounterpartAxis(curves_);
    y.from = bottom;
    y.to = top;
    DrawFrame(y, CounterpartTitle(diagnosis_, curves_), kCounterpartColor, svg);
    svg.Path(Points(MeanLine(curves_.counterpart), y), false,
             fmt::format("fill=\"none\" stroke=\"{}\" stroke-width=\"1.4\"", kCounterpartColor));
    DrawIntervals(curves_.counterpart, y, kCounterpartColor, svg);
    for (const Mark& mark : curves_.counterpart) {
      svg.Square(x_.At(mark.x), y.Clamped(mark.y), kCounterpartColor, mark.is_hollow);
    }
  }

  const Diagnosis& diagnosis_;
  const Layout& layout_;
  const Curves curves_;
  double left_ = 0;
  Axis x_;
};

// Draws the entries of a legend side by side and returns the height that they take.
double DrawLegend(const Legend& legend, double top, Svg& svg) {
  constexpr double kSize = 12;
  constexpr double kRow = 20;
  constexpr double kSample = 22;
  double x = kMargin, y = top;
  bool is_empty = true;
  const auto entry = [&](std::string_view text, auto&& draw) {
    const double width =
        kSample + 6 + static_cast<double>(DisplayWidth(text)) * kCharacterWidth * kSize + 14;
    if (x + width > kWidth && x > kMargin) {
      x = kMargin;
      y += kRow;
    }
    draw(x, y);
    svg.Text(x + kSample + 6, y + 0.35 * kSize, text, {.size = kSize, .ink = kInk});
    x += width;
    is_empty = false;
  };
  const auto stroke = [](std::string_view color, std::string_view more) {
    return fmt::format("stroke=\"{}\" {}", color, more);
  };
  if (legend.sharp) {
    entry("the metric, its interval", [&](double left, double at) {
      svg.Line(left, at, left + kSample, at, stroke(kSharpColor, "stroke-width=\"1.4\""));
      svg.Line(left + kSample / 2, at - 7, left + kSample / 2, at + 7,
               stroke(kSharpColor, "stroke-width=\"1.4\" stroke-opacity=\"0.7\""));
      svg.Circle(left + kSample / 2, at, kSharpColor, false);
    });
  }
  if (legend.held_out) {
    entry("held out of the fits",
          [&](double left, double at) { svg.Circle(left + kSample / 2, at, kSharpColor, true); });
  }
  if (legend.predicted) {
    entry("predicted from the counterpart", [&](double left, double at) {
      svg.Line(left, at, left + kSample, at,
               stroke(kPredictedColor, "stroke-width=\"4\" stroke-opacity=\"0.5\""));
    });
  }
  if (!legend.band_levels.empty()) {
    const std::string text = legend.band_levels.size() == 1
                                 ? fmt::format("its {:g} % band", 100 * *legend.band_levels.begin())
                                 : "its band";
    entry(text, [&](double left, double at) {
      svg.Append(
          fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:g}\" height=\"12\" "
                      "fill=\"{}\" fill-opacity=\"0.14\"/>\n",
                      left, at - 6, kSample, kPredictedColor));
    });
  }
  if (legend.forecast) {
    entry("forecast", [&](double left, double at) {
      svg.Line(left + kSample / 2, at - 8, left + kSample / 2, at + 8,
               stroke(kPredictedColor, "stroke-width=\"1.4\" stroke-opacity=\"0.7\""));
      svg.Diamond(left + kSample / 2, at, kPredictedColor);
    });
  }
  if (legend.counterpart) {
    entry("the counterpart", [&](double left, double at) {
      svg.Line(left, at, left + kSample, at, stroke(kCounterpartColor, "stroke-width=\"1.4\""));
      svg.Square(left + kSample / 2, at, kCounterpartColor, false);
    });
  }
  if (legend.breaks) {
    entry("break", [&](double left, double at) {
      svg.Line(left + kSample / 2, at - 8, left + kSample / 2, at + 8,
               stroke(kBreakColor, "stroke-width=\"1.5\" stroke-dasharray=\"2 3\""));
    });
  }
  return is_empty ? 0 : y + kRow - top;
}

std::string Description(const Diagnosis& diagnosis) {
  std::string out = fmt::format("{}: {}.", VerdictText(diagnosis), SeriesText(diagnosis));
  if (!diagnosis.reasons().empty()) out += fmt::format(" Why: {}.", diagnosis.reasons(0).text());
  const int n = std::min(diagnosis.scales_size(), kDescribedModels);
  for (int i = 0; i < n; ++i) {
    const v1::DiagnosedScale& scale = diagnosis.scales(i);
    std::vector<std::string> parts;
    if (scale.has_value()) {
      parts.push_back(fmt::format("{} {:.4g}", diagnosis.metric(), scale.value()));
    }
    if (scale.has_predicted()) parts.push_back(fmt::format("predicted {:.4g}", scale.predicted()));
    if (scale.has_counterpart_value()) {
      parts.push_back(fmt::format("{} {:.4g}", diagnosis.counterpart(), scale.counterpart_value()));
    }
    out +=
        fmt::format(" {} at {}{}: {}.", scale.model(), ScaleText(scale.scale(), diagnosis.x_axis()),
                    scale.held_out() ? ", held out" : "", fmt::join(parts, ", "));
  }
  if (n < diagnosis.scales_size()) {
    out += fmt::format(" And {} more models.", diagnosis.scales_size() - n);
  }
  return out;
}

std::string MoreText(const v1::DiagnoseReport& report) {
  return fmt::format("… and {} more diagnoses that are not drawn",
                     report.diagnoses_size() - kMaxFigures);
}

// ---- The terminal ----

constexpr size_t kLeastColumns = 40;
constexpr size_t kMostColumns = 100;
constexpr size_t kUsualColumns = 80;
constexpr int kRows = 12;
// Columns of the labels of the vertical axis, and of the axis.
constexpr size_t kLabelColumns = 9;
// Dots of a Braille character.
constexpr int kDotsAcross = 2;
constexpr int kDotsDown = 4;

// Cells with Braille dots, over which characters are laid.
class Canvas {
 public:
  enum class Layer : uint8_t { kNone, kInterval, kDot };

  Canvas(int columns, int rows)
      : columns_(columns),
        rows_(rows),
        dots_(static_cast<size_t>(columns) * static_cast<size_t>(rows)),
        texts_(dots_.size()),
        layers_(dots_.size(), Layer::kNone) {}

  int columns() const { return columns_; }
  int rows() const { return rows_; }

  // Coordinates are in dots, from the upper left.
  void Line(std::pair<double, double> from, std::pair<double, double> to) {
    const int steps = static_cast<int>(
        std::ceil(std::max(std::abs(to.first - from.first), std::abs(to.second - from.second))));
    for (int step = 0; step <= steps; ++step) {
      const double share = steps == 0 ? 0 : static_cast<double>(step) / steps;
      Dot(from.first + share * (to.first - from.first),
          from.second + share * (to.second - from.second));
    }
  }

  // Lays a character over the cell of a dot, unless something of a higher layer is there.
  void Put(double x, double y, std::string_view text, Layer layer) {
    const size_t cell = CellOf(x, y);
    if (layers_[cell] > layer) return;
    // What is behind an interval's bar would hide it.
    layers_[cell] = layer;
    texts_[cell] = text;
  }

  std::string Row(int row, bool color) const {
    std::string out;
    for (int column = 0; column < columns_; ++column) {
      const size_t cell = Cell(row, column);
      std::string text = texts_[cell];
      std::string_view tint = "\x1b[33m";
      if (layers_[cell] == Layer::kNone ||
          (layers_[cell] == Layer::kInterval && dots_[cell] != 0)) {
        text = dots_[cell] == 0 ? " " : Braille(dots_[cell]);
        tint = dots_[cell] == 0 ? "" : "\x1b[36m";
      }
      out += color && !tint.empty() ? fmt::format("{}{}\x1b[0m", tint, text) : text;
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    return out;
  }

 private:
  static int Whole(double value, int limit) {
    return std::clamp(static_cast<int>(std::floor(value)), 0, limit - 1);
  }

  size_t Cell(int row, int column) const {
    return static_cast<size_t>(row) * static_cast<size_t>(columns_) + static_cast<size_t>(column);
  }

  size_t CellOf(double x, double y) const {
    const int column = Whole(x, columns_ * kDotsAcross) / kDotsAcross;
    const int row = Whole(y, rows_ * kDotsDown) / kDotsDown;
    return Cell(row, column);
  }

  void Dot(double x, double y) {
    // Unicode numbers the dots down the left column, down the right one, then the lowest two.
    constexpr uint8_t kBits[kDotsDown][kDotsAcross] = {
        {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    dots_[CellOf(x, y)] |= kBits[Whole(y, rows_ * kDotsDown) % kDotsDown]
                                [Whole(x, columns_ * kDotsAcross) % kDotsAcross];
  }

  // U+2800 and up, in UTF-8.
  static std::string Braille(uint8_t bits) {
    return {static_cast<char>(0xE2), static_cast<char>(0xA0 | (bits >> 6)),
            static_cast<char>(0x80 | (bits & 0x3F))};
  }

  const int columns_;
  const int rows_;
  std::vector<uint8_t> dots_;
  std::vector<std::string> texts_;
  std::vector<Layer> layers_;
};

std::string TerminalFigure(const Diagnosis& diagnosis, const PlotTextOptions& options) {
  const size_t width =
      std::clamp(options.width == 0 ? kUsualColumns : options.width, kLeastColumns, kMostColumns);
  const auto shade = [&](std::string_view escape, std::string_view text) {
    return options.color ? fmt::format("{}{}\x1b[0m", escape, text) : std::string(text);
  };
  const std::string verdict = VerdictText(diagnosis);
  std::string out = fmt::format(
      "{}  {}\n", shade("\x1b[1m", verdict),
      Shortened(SeriesText(diagnosis), width - std::min(width - 1, verdict.size() + 2)));
  const Curves curves = CurvesOf(diagnosis);
  if (curves.sharp.empty() && curves.predicted.empty()) return out + "  No numbers to draw\n";

  Canvas canvas(static_cast<int>(width - kLabelColumns - 1), kRows);
  Axis x = ScaleAxis(curves, diagnosis.x_axis());
  x.to = canvas.columns() * kDotsAcross - 1;
  Axis y = SharpAxis(curves);
  y.from = canvas.rows() * kDotsDown - 1;
  y.to = 0;
  const auto at = [&](const Mark& mark) { return std::pair(x.At(mark.x), y.Clamped(mark.y)); };
  for (size_t i = 1; i < curves.predicted.size(); ++i) {
    canvas.Line(at(curves.predicted[i - 1]), at(curves.predicted[i]));
  }
  for (const Mark& mark : curves.sharp) {
    if (!mark.interval) continue;
    const int last = static_cast<int>(y.Clamped(mark.interval->first)) / kDotsDown;
    for (int row = static_cast<int>(y.Clamped(mark.interval->second)) / kDotsDown; row <= last;
         ++row) {
      canvas.Put(x.At(mark.x), row * kDotsDown, "│", Canvas::Layer::kInterval);
    }
  }
  for (const Mark& mark : curves.sharp) {
    canvas.Put(x.At(mark.x), y.Clamped(mark.y), mark.is_hollow ? "○" : "●", Canvas::Layer::kDot);
  }

  std::vector<std::string> labels(kRows);
  const std::vector<double> ticks = LinearTicks(y, 5);
  const std::vector<std::string> texts = TickTexts(ticks);
  for (size_t i = 0; i < ticks.size(); ++i) {
    labels[static_cast<size_t>(y.At(ticks[i])) / kDotsDown] = texts[i];
  }
  for (int row = 0; row < kRows; ++row) {
    const std::string& label = labels[static_cast<size_t>(row)];
    out += fmt::format("{} {}{}\n", PadLeft(Shortened(label, kLabelColumns - 1), kLabelColumns - 1),
                       label.empty() ? "│" : "┤", canvas.Row(row, options.color));
  }
  std::string axis, numbers;
  std::vector<std::pair<int, std::string>> columns;
  for (const double tick : LogarithmicTicks(x, canvas.columns() / 9)) {
    columns.emplace_back(static_cast<int>(x.At(tick)) / kDotsAcross,
                         ScaleText(tick, diagnosis.x_axis()));
  }
  std::sort(columns.begin(), columns.end());
  for (int column = 0; column < canvas.columns(); ++column) axis += "─";
  for (auto tick = columns.rbegin(); tick != columns.rend(); ++tick) {
    axis.replace(static_cast<size_t>(tick->first) * std::string_view("─").size(),
                 std::string_view("─").size(), "┬");
  }
  for (const auto& [column, text] : columns) {
    const size_t begin = kLabelColumns + 1 + static_cast<size_t>(column);
    const size_t half = text.size() / 2;
    const size_t from = std::min(begin - std::min(begin, half), width - text.size());
    if (!numbers.empty() && from < numbers.size() + 1) continue;
    numbers.append(from - numbers.size(), ' ');
    numbers += text;
  }
  out += fmt::format("{}└{}\n{}\n", std::string(kLabelColumns, ' '), axis, numbers);
  size_t used = 0;
  const auto legend = [&](std::string_view escape, std::string_view symbol,
                          std::string_view meaning) {
    const std::string text = Shortened(meaning, width - kLabelColumns - 2 - DisplayWidth(symbol));
    const size_t more = DisplayWidth(symbol) + 1 + DisplayWidth(text);
    if (used > 0 && used + 3 + more <= width) {
      out += "   ";
      used += 3 + more;
    } else {
      out += (used > 0 ? "\n" : "") + std::string(kLabelColumns + 1, ' ');
      used = kLabelColumns + 1 + more;
    }
    out += fmt::format("{} {}", shade(escape, symbol), text);
  };
  if (!curves.sharp.empty()) legend("\x1b[33m", "●", SafeText(diagnosis.metric()));
  if (std::any_of(curves.sharp.begin(), curves.sharp.end(),
                  [](const Mark& mark) { return mark.is_hollow; })) {
    legend("\x1b[33m", "○", "held out");
  }
  if (curves.predicted.size() > 1) {
    legend("\x1b[36m", "⠒⠒",
           diagnosis.has_counterpart() ? "predicted from " + SafeText(diagnosis.counterpart())
                                       : "predicted");
  }
  return out + "\n";
}

}  // namespace

std::string CurvePlotSvg(const v1::DiagnoseReport& report) {
  const int n = std::min(report.diagnoses_size(), kMaxFigures);
  const Layout& layout = n > 1 ? kSmall : kLarge;
  Svg svg;
  Legend legend;
  std::string description;
  double top = kMargin, row_height = 0;
  for (int i = 0; i < n; ++i) {
    const bool is_left = n == 1 || i % 2 == 0;
    if (is_left && i > 0) {
      top += row_height + kMargin;
      row_height = 0;
    }
    Figure figure(report.diagnoses(i), layout);
    figure.Draw(is_left ? kMargin : 2 * kMargin + layout.width, top, svg);
    figure.AddTo(legend);
    row_height = std::max(row_height, figure.Height());
    description += (i > 0 ? " " : "") + Description(report.diagnoses(i));
  }
  if (n == 0) {
    description = "Nothing was diagnosed.";
    svg.Text(kMargin, top + 14, description, {.size = 14});
    row_height = 20;
  }
  top += row_height + kMargin;
  top += DrawLegend(legend, top + 4, svg);
  if (report.diagnoses_size() > kMaxFigures) {
    svg.Text(kMargin, top + 12, MoreText(report), {.size = 12, .ink = kGrey});
    top += 20;
  }
  top += kMargin / 2;
  const std::string title =
      n == 1
          ? fmt::format("{}: {}", VerdictText(report.diagnoses(0)), SeriesText(report.diagnoses(0)))
          : fmt::format("{} diagnoses of families of models", report.diagnoses_size());
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:g}\" height=\"{1:.0f}\" "
      "viewBox=\"0 0 {0:g} {1:.0f}\" role=\"img\" aria-labelledby=\"title description\" "
      "font-family=\"sans-serif\">\n"
      "<title id=\"title\">{2}</title>\n<desc id=\"description\">{3}</desc>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{4}</svg>\n",
      kWidth, std::ceil(top), XmlText(title), XmlText(description), svg.body());
}

std::string CurvePlotText(const v1::DiagnoseReport& report, const PlotTextOptions& options) {
  const int n = std::min(report.diagnoses_size(), kMaxFigures);
  std::string out;
  for (int i = 0; i < n; ++i) {
    out += (i > 0 ? "\n" : "") + TerminalFigure(report.diagnoses(i), options);
  }
  if (n == 0) out = "Nothing was diagnosed.\n";
  if (report.diagnoses_size() > kMaxFigures) out += "\n" + MoreText(report) + "\n";
  return out;
}

}  // namespace mirage::client
