#include "client/render/vega_lite.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "client/render/diagnose_report.h"
#include "client/render/terminal_text.h"

namespace mirage::client {
namespace {

// Members stand as they are written here.
using Json = nlohmann::ordered_json;

constexpr int kWidth = 460;
constexpr int kSharpHeight = 220;
constexpr int kCounterpartHeight = 120;
// Ticks of a y axis, about.
constexpr int kTicks = 5;
// Characters of a line below the title.
constexpr size_t kLine = 90;
// Okabe and Ito's colours, told apart by who sees few.
constexpr char kMeasured[] = "#0072b2";
constexpr const char* kColors[] = {kMeasured, "#d55e00", "#009e73"};
constexpr char kCounterpart[] = "#555555";
// How far an interval widens the axis of ratios beyond its value.
constexpr double kMostRatio = 3;

void Set(Json& row, const char* field, double value) {
  if (std::isfinite(value)) row[field] = value;
}

void SetEnds(Json& row, const char* lower, const char* upper, const v1::Interval& interval) {
  if (!(interval.lower() <= interval.upper())) return;
  Set(row, lower, interval.lower());
  Set(row, upper, interval.upper());
}

class Range {
 public:
  void Include(double value) {
    if (!std::isfinite(value)) return;
    lower_ = std::min(lower_, value);
    upper_ = std::max(upper_, value);
  }
  bool IsEmpty() const { return !(lower_ <= upper_); }
  double lower() const { return lower_; }
  double upper() const { return upper_; }

 private:
  double lower_ = std::numeric_limits<double>::infinity();
  double upper_ = -std::numeric_limits<double>::infinity();
};

// In lines of about kLine characters, broken at spaces.
Json Lines(const std::string& text) {
  Json lines = Json::array();
  std::string line;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(' '), rest.size());
    if (!line.empty() && line.size() + 1 + end > kLine) {
      lines.push_back(std::exchange(line, ""));
    }
    if (!line.empty()) line += ' ';
    line += rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (!line.empty()) lines.push_back(line);
  return lines;
}

// Drops rows without the field: not an expression, which would be text that is evaluated.
Json Having(const std::vector<const char*>& fields) {
  Json filters = Json::array();
  for (const char* const field : fields) {
    filters.push_back({{"filter", {{"field", field}, {"valid", true}}}});
  }
  return filters;
}

Json Quantity(const char* field) { return {{"field", field}, {"type", "quantitative"}}; }

Json Aggregated(const char* aggregate, const char* field) {
  return {{"aggregate", aggregate}, {"field", field}, {"type", "quantitative"}};
}

Json Tooltips(const std::vector<std::pair<const char*, const char*>>& fields) {
  Json tooltips = Json::array();
  for (const auto& [field, type] : fields) {
    tooltips.push_back({{"field", field}, {"type", type}});
  }
  return tooltips;
}

class Figure {
 public:
  explicit Figure(const v1::Diagnosis& diagnosis) : diagnosis_(diagnosis) {
    is_negated_ = IsNegated();
    for (const v1::DiagnosedScale& scale : diagnosis.scales()) AddRow(scale);
    for (const v1::Forecast& forecast : diagnosis.forecast()) AddForecast(forecast);
    for (const v1::Break& found : diagnosis.breaks()) AddBreak(found);
    is_logarithmic_ = !counterparts_.IsEmpty() && counterparts_.lower() > 0;
    if (is_logarithmic_) FitLogarithm();
  }

  Json Spec() const {
    Json spec;
    spec["title"] = Title();
    if (rows_.empty()) {
      spec["data"] = {{"values", Json::array({{{"text", "no model has a place on the axis"}}})}};
      spec["width"] = kWidth;
      spec["height"] = kCounterpartHeight;
      spec["mark"] = "text";
      spec["encoding"] = {{"text", {{"field", "text"}, {"type", "nominal"}}}};
      return spec;
    }
    spec["data"] = {{"values", rows_}};
    spec["vconcat"] = Json::array({Sharp()});
    if (!counterparts_.IsEmpty()) spec["vconcat"].push_back(Counterpart());
    // A forecast lies beyond the counterpart's scales.
    spec["resolve"] = {{"scale", {{"x", "shared"}}}};
    return spec;
  }

 private:
  // The counterpart's values, where they are all negative.
  bool IsNegated() const {
    bool is_any = false;
    for (const v1::DiagnosedScale& scale : diagnosis_.scales()) {
      if (!scale.has_counterpart_value()) continue;
      if (!(scale.counterpart_value() < 0)) return false;
      is_any = true;
    }
    return is_any;
  }

  static bool IsPlace(double scale) { return scale > 0 && std::isfinite(scale); }

  void AddRow(const v1::DiagnosedScale& scale) {
    if (!IsPlace(scale.scale())) return;
    Json row = {{"family", diagnosis_.family()}, {"task", diagnosis_.task()},
                {"filter", diagnosis_.filter()}, {"metric", diagnosis_.metric()},
                {"model", scale.model()},        {"scale", scale.scale()}};
    if (scale.has_n()) row["n"] = scale.n();
    if (scale.has_value()) {
      Set(row, "value", scale.value());
      own_.Include(scale.value());
    }
    if (scale.has_interval()) {
      SetEnds(row, "lower", "upper", scale.interval());
      own_.Include(scale.interval().lower());
      own_.Include(scale.interval().upper());
    }
    if (scale.has_predicted()) {
      Set(row, "predicted", scale.predicted());
      own_.Include(scale.predicted());
    }
    if (scale.has_predicted_interval()) {
      SetEnds(row, "predicted_lower", "predicted_upper", scale.predicted_interval());
      bands_.Include(scale.predicted_interval().lower());
      bands_.Include(scale.predicted_interval().upper());
    }
    if (scale.has_counterpart_value()) {
      const double sign = is_negated_ ? -1 : 1;
      row["counterpart"] = diagnosis_.counterpart();
      Set(row, "counterpart_value", sign * scale.counterpart_value());
      counterparts_.Include(sign * scale.counterpart_value());
      if (scale.has_counterpart_interval()) {
        v1::Interval interval = scale.counterpart_interval();
        if (is_negated_) {
          interval.set_lower(-scale.counterpart_interval().upper());
          interval.set_upper(-scale.counterpart_interval().lower());
        }
        SetEnds(row, "counterpart_lower", "counterpart_upper", interval);
      }
    }
    row["held_out"] = scale.held_out();
    has_held_out_ = has_held_out_ || (scale.held_out() && scale.has_value());
    rows_.push_back(std::move(row));
  }

  void AddForecast(const v1::Forecast& forecast) {
    if (!IsPlace(forecast.scale()) || !std::isfinite(forecast.value())) return;
    Json row = {{"scale", forecast.scale()}, {"value", forecast.value()}};
    own_.Include(forecast.value());
    if (forecast.has_interval()) SetEnds(row, "lower", "upper", forecast.interval());
    forecasts_.push_back(std::move(row));
  }

  void AddBreak(const v1::Break& found) {
    if (!found.has_scale() || !IsPlace(found.scale())) return;
    Json row = {{"scale", found.scale()},
                {"where", v1::Break::Where_Name(static_cast<int>(found.where()))}};
    if (found.has_position()) {
      row["position"] =
          fmt::format("{} from the {}", found.position(), found.from_end() ? "end" : "beginning");
    }
    if (found.has_stratum()) row["stratum"] = found.stratum();
    if (found.has_q_value()) Set(row, "q_value", found.q_value());
    breaks_.push_back(std::move(row));
  }

  // An interval that reaches 0 has no place on an axis of ratios: it is drawn to the axis's end.
  void FitLogarithm() {
    Range domain;
    for (const Json& row : rows_) {
      if (!row.contains("counterpart_value")) continue;
      const double value = row["counterpart_value"];
      domain.Include(value);
      if (!row.contains("counterpart_lower") || !row.contains("counterpart_upper")) continue;
      domain.Include(std::max(row["counterpart_lower"].get<double>(), value / kMostRatio));
      domain.Include(std::min(row["counterpart_upper"].get<double>(), value * kMostRatio));
    }
    counterpart_domain_ = domain;
    for (Json& row : rows_) {
      if (!row.contains("counterpart_lower")) continue;
      row["counterpart_from"] = std::max(row["counterpart_lower"].get<double>(), domain.lower());
    }
  }

  Json Title() const {
    Json subtitle = Json::array();
    if (!diagnosis_.reasons().empty()) {
      subtitle = Lines(SafeText(diagnosis_.reasons(0).text()));
    }
    if (has_held_out_) subtitle.push_back("Hollow: held out of the fits, and predicted.");
    Json title = {{"text", fmt::format("{}: {}", VerdictText(diagnosis_), SeriesText(diagnosis_))},
                  {"anchor", "start"}};
    if (!subtitle.empty()) title["subtitle"] = std::move(subtitle);
    return title;
  }

  Json X(bool with_title) const {
    const bool is_loss = diagnosis_.x_axis() == "loss";
    Json axis = {{"grid", false}};
    axis["title"] = with_title ? Json(XTitle()) : Json(nullptr);
    axis["format"] = is_loss ? "~g" : diagnosis_.x_axis() == "flops" ? ".0e" : "~s";
    axis["labelOverlap"] = true;
    Json scale = {{"type", "log"}, {"nice", false}, {"padding", 12}};
    if (is_loss) scale["reverse"] = true;
    return {{"field", "scale"}, {"type", "quantitative"}, {"axis", axis}, {"scale", scale}};
  }

  std::string XTitle() const {
    const std::string axis = SafeText(diagnosis_.x_axis());
    return axis == "parameters" || axis == "tokens" ? axis + " (G: 10^9)" : axis;
  }

  static Json Y(Json channel, const std::string& title, const Json& scale) {
    channel["title"] = title;
    channel["scale"] = scale;
    channel["axis"] = {{"tickCount", kTicks}};
    return channel;
  }

  // Shares begin at 0; a band without a bound must not flatten the curve.
  Json SharpScale() const {
    const bool is_share = own_.lower() >= 0 && own_.upper() <= 1 &&
                          (bands_.IsEmpty() || (bands_.lower() >= 0 && bands_.upper() <= 1));
    if (is_share) return {{"zero", true}, {"nice", true}};
    if (own_.IsEmpty() || own_.lower() == own_.upper()) return {{"zero", false}, {"nice", true}};
    return {
        {"domain", {own_.lower(), own_.upper()}}, {"zero", false}, {"nice", true}, {"clamp", true}};
  }

  // Colours are given in the order in which entries appear: kColors.
  static Json Legend(const char* entry) { return {{"datum", entry}, {"title", nullptr}}; }

  // Points, hollow where they were held out.
  static Json Points() {
    return {
        {"condition", {{"test", {{"field", "held_out"}, {"equal", true}}}, {"value", "#ffffff"}}}};
  }

  Json Breaks(const Json& x) const {
    return {{"data", {{"values", breaks_}}},
            {"mark", {{"type", "rule"}, {"strokeDash", {2, 3}}, {"color", "#999999"}}},
            {"encoding",
             {{"x", x},
              {"tooltip", Tooltips({{"scale", "quantitative"},
                                    {"where", "nominal"},
                                    {"position", "nominal"},
                                    {"stratum", "nominal"},
                                    {"q_value", "quantitative"}})}}}};
  }

  Json Sharp() const {
    const std::string metric = SafeText(diagnosis_.metric());
    const Json scale = SharpScale();
    const Json x = X(counterparts_.IsEmpty());
    Json layers = Json::array();
    const auto add = [&](Json transform, Json mark, Json encoding) {
      encoding["x"] = x;
      Json layer;
      if (!transform.empty()) layer["transform"] = std::move(transform);
      layer["mark"] = std::move(mark);
      layer["encoding"] = std::move(encoding);
      layers.push_back(std::move(layer));
    };
    add(Having({"value"}), {{"type", "line"}},
        {{"y", Y(Aggregated("mean", "value"), metric, scale)}, {"color", Legend("measured")}});
    // Where nothing was predicted a legend would promise it.
    const bool has_predicted = std::any_of(
        rows_.begin(), rows_.end(), [](const Json& row) { return row.contains("predicted"); });
    if (has_predicted) {
      add(Having({"predicted_lower", "predicted_upper"}),
          {{"type", "area"}, {"opacity", 0.15}, {"clip", true}},
          {{"y", Y(Aggregated("min", "predicted_lower"), metric, scale)},
           {"y2", {{"aggregate", "max"}, {"field", "predicted_upper"}}},
           {"color", Legend("predicted from the counterpart")}});
      add(Having({"predicted"}), {{"type", "line"}, {"strokeDash", {5, 3}}, {"clip", true}},
          {{"y", Y(Aggregated("mean", "predicted"), metric, scale)},
           {"color", Legend("predicted from the counterpart")}});
    }
    if (!breaks_.empty()) layers.push_back(Breaks(x));
    add(Having({"value", "lower", "upper"}), {{"type", "rule"}, {"clip", true}},
        {{"y", Y(Quantity("lower"), metric, scale)},
         {"y2", {{"field", "upper"}}},
         {"color", Legend("measured")}});
    add(Having({"value"}), {{"type", "point"}, {"filled", false}, {"fill", kMeasured}},
        {{"y", Y(Quantity("value"), metric, scale)},
         {"color", Legend("measured")},
         {"fill", Points()},
         {"tooltip", Tooltips({{"model", "nominal"},
                               {"scale", "quantitative"},
                               {"n", "quantitative"},
                               {"value", "quantitative"},
                               {"lower", "quantitative"},
                               {"upper", "quantitative"},
                               {"predicted", "quantitative"},
                               {"held_out", "nominal"}})}});
    if (!forecasts_.empty()) {
      add(Having({"lower", "upper"}), {{"type", "rule"}, {"clip", true}},
          {{"y", Y(Quantity("lower"), metric, scale)},
           {"y2", {{"field", "upper"}}},
           {"color", Legend("forecast")}});
      layers.back()["data"] = {{"values", forecasts_}};
      add(Json::array(), {{"type", "point"}, {"shape", "diamond"}, {"filled", true}, {"size", 60}},
          {{"y", Y(Quantity("value"), metric, scale)},
           {"color", Legend("forecast")},
           {"tooltip", Tooltips({{"scale", "quantitative"},
                                 {"value", "quantitative"},
                                 {"lower", "quantitative"},
                                 {"upper", "quantitative"}})}});
      layers.back()["data"] = {{"values", forecasts_}};
    }
    return {{"width", kWidth}, {"height", kSharpHeight}, {"layer", layers}};
  }

  Json Counterpart() const {
    const std::string name = (is_negated_ ? "−" : "") + SafeText(diagnosis_.counterpart()) +
                             (is_logarithmic_ ? " (log)" : "");
    Json scale = {{"zero", false}, {"nice", true}};
    if (is_logarithmic_) {
      scale = {{"type", "log"}, {"nice", false}, {"padding", 8}};
      if (counterpart_domain_.lower() < counterpart_domain_.upper()) {
        scale["domain"] = {counterpart_domain_.lower(), counterpart_domain_.upper()};
        scale["clamp"] = true;
      }
    }
    const Json x = X(true);
    const char* const from = is_logarithmic_ ? "counterpart_from" : "counterpart_lower";
    Json layers = Json::array();
    if (!breaks_.empty()) layers.push_back(Breaks(x));
    layers.push_back({{"transform", Having({"counterpart_value", from, "counterpart_upper"})},
                      {"mark", {{"type", "rule"}, {"color", kCounterpart}}},
                      {"encoding",
                       {{"x", x},
                        {"y", Y(Quantity(from), name, scale)},
                        {"y2", {{"field", "counterpart_upper"}}}}}});
    layers.push_back(
        {{"transform", Having({"counterpart_value"})},
         {"mark", {{"type", "line"}, {"color", kCounterpart}}},
         {"encoding", {{"x", x}, {"y", Y(Aggregated("mean", "counterpart_value"), name, scale)}}}});
    layers.push_back(
        {{"transform", Having({"counterpart_value"})},
         {"mark",
          {{"type", "point"}, {"filled", false}, {"color", kCounterpart}, {"fill", kCounterpart}}},
         {"encoding",
          {{"x", x},
           {"y", Y(Quantity("counterpart_value"), name, scale)},
           {"fill", Points()},
           {"tooltip", Tooltips({{"model", "nominal"},
                                 {"scale", "quantitative"},
                                 {"counterpart", "nominal"},
                                 {"counterpart_value", "quantitative"},
                                 {"counterpart_lower", "quantitative"},
                                 {"counterpart_upper", "quantitative"},
                                 {"held_out", "nominal"}})}}}});
    return {{"width", kWidth}, {"height", kCounterpartHeight}, {"layer", layers}};
  }

  const v1::Diagnosis& diagnosis_;
  bool is_negated_ = false;
  bool is_logarithmic_ = false;
  bool has_held_out_ = false;
  Json rows_ = Json::array();
  Json forecasts_ = Json::array();
  Json breaks_ = Json::array();
  // Of the metric, its intervals, predictions and forecasts; of the bands; of the counterpart.
  Range own_;
  Range bands_;
  Range counterparts_;
  Range counterpart_domain_;
};

}  // namespace

std::string DiagnoseVegaLite(const v1::DiagnoseReport& report) {
  Json spec;
  spec["$schema"] = "https://vega.github.io/schema/vega-lite/v5.json";
  spec["description"] =
      fmt::format("{} diagnoses by {}", report.diagnoses_size(), SafeText(report.generator()));
  Json figures = Json::array();
  for (const v1::Diagnosis& diagnosis : report.diagnoses()) {
    figures.push_back(Figure(diagnosis).Spec());
  }
  spec["vconcat"] = std::move(figures);
  // Figures have their own axes and legends.
  spec["resolve"] = {
      {"scale", {{"x", "independent"}, {"y", "independent"}, {"color", "independent"}}}};
  spec["config"] = {{"range", {{"category", kColors}}},
                    {"legend", {{"orient", "bottom"}, {"symbolOpacity", 1}}}};
  const std::string text = spec.dump(1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  std::string safe;
  safe.reserve(text.size() + 1);
  for (const char c : text) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  safe += '\n';
  return safe;
}

}  // namespace mirage::client
