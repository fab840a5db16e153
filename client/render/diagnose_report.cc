#include "client/render/diagnose_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/scale_text.h"
#include "client/render/cells.h"
#include "client/render/terminal_text.h"

namespace mirage::client {
namespace {

using v1::Diagnosis;
using Cells = std::vector<std::string>;

// Width of prose where the terminal's is not known.
constexpr size_t kProseWidth = 100;
// Columns of the names of facts.
constexpr size_t kLabelWidth = 14;
// A model's name is not made shorter than this.
constexpr size_t kLeastName = 12;
// More decimals make a table wide and tell nobody anything.
constexpr int kTableDecimals = 6;
// An interval of 95 % is about so many standard errors wide.
constexpr double kErrorsInAnInterval = 4;

constexpr Diagnosis::Verdict kVerdicts[] = {
    Diagnosis::MIRAGE, Diagnosis::RESOLUTION_LIMITED, Diagnosis::BREAK_SURVIVES, Diagnosis::SMOOTH,
    Diagnosis::MIXED,  Diagnosis::INSUFFICIENT};

std::string_view Meaning(Diagnosis::Verdict verdict) {
  switch (verdict) {
    case Diagnosis::MIRAGE:
      return "the metric jumps, the model does not: the counterpart follows a smooth law, and that "
             "law predicts the jump";
    case Diagnosis::RESOLUTION_LIMITED:
      return "the test sets are too small to show what the counterpart shows";
    case Diagnosis::BREAK_SURVIVES:
      return "the counterpart breaks too: the jump is not the metric's doing";
    case Diagnosis::SMOOTH:
      return "nothing sudden to explain";
    case Diagnosis::MIXED:
      return "counterparts contradict each other or the curve";
    case Diagnosis::INSUFFICIENT:
      return "not enough evidence; the reasons say what would settle it";
    default:
      return "";
  }
}

constexpr std::string_view kStrengthMeaning =
    "in simulated families of known truth such a verdict was wrong in at most 2 % (STRONG), 5 % "
    "(MODERATE), 15 % (WEAK)";

std::string_view VerdictColor(Diagnosis::Verdict verdict) {
  switch (verdict) {
    case Diagnosis::MIRAGE:
      return "\x1b[1;31m";
    case Diagnosis::RESOLUTION_LIMITED:
      return "\x1b[1;33m";
    case Diagnosis::BREAK_SURVIVES:
      return "\x1b[1;36m";
    case Diagnosis::SMOOTH:
      return "\x1b[1;32m";
    default:
      return "\x1b[1;35m";
  }
}

std::string VerdictName(Diagnosis::Verdict verdict) {
  const std::string& name = Diagnosis::Verdict_Name(verdict);
  return name.empty() ? fmt::format("verdict {}", static_cast<int>(verdict)) : name;
}

// Of the verdicts that are there, in the order of the contract, others last.
std::vector<std::pair<Diagnosis::Verdict, int>> Counts(const v1::DiagnoseReport& report) {
  std::vector<std::pair<Diagnosis::Verdict, int>> counts;
  for (const Diagnosis::Verdict verdict : kVerdicts) counts.emplace_back(verdict, 0);
  for (const Diagnosis& diagnosis : report.diagnoses()) {
    auto found = std::find_if(counts.begin(), counts.end(), [&](const auto& count) {
      return count.first == diagnosis.verdict();
    });
    if (found == counts.end()) found = counts.insert(counts.end(), {diagnosis.verdict(), 0});
    ++found->second;
  }
  counts.erase(std::remove_if(counts.begin(), counts.end(),
                              [](const auto& count) { return count.second == 0; }),
               counts.end());
  return counts;
}

bool HasStrength(const v1::DiagnoseReport& report) {
  return std::any_of(report.diagnoses().begin(), report.diagnoses().end(),
                     [](const Diagnosis& diagnosis) { return diagnosis.has_strength(); });
}

// Three digits: a parameter, a p-value.
std::string Short(double value) {
  return std::isfinite(value) ? fmt::format("{:.3g}", value) : NumberText(value);
}

// An end of an interval: what the decimals do not show of it is no news.
std::string EndText(double end, int decimals) {
  const double unit = std::pow(10, -decimals);
  if (std::abs(end) < unit / 2) return fmt::format("{:.{}f}", 0.0, decimals);
  return std::abs(end) < 10 * unit ? fmt::format("{:.{}f}", end, decimals)
                                   : NumberText(end, decimals);
}

std::string IntervalText(const v1::Interval& interval) {
  return fmt::format("[{}, {}]", EndText(interval.lower(), kUsualDecimals),
                     EndText(interval.upper(), kUsualDecimals));
}

// ---- The table of models ----

enum Column {
  kModel,
  kScale,
  kCount,
  kValue,
  kInterval,
  kCounterpart,
  kCounterpartInterval,
  kPredicted,
  kBand,
  kMark,
  kColumns
};

constexpr bool kRightAligned[kColumns] = {false, true,  true, true,  false,
                                          true,  false, true, false, false};

constexpr std::string_view kHeldOut = "held out";
// The same where there is little room.
constexpr std::string_view kHeldOutMark = "*";

struct ModelTable {
  Cells header = Cells(kColumns);
  std::vector<Cells> rows;
};

// A number with its interval, where they are there.
struct Measured {
  std::optional<double> value;
  const v1::Interval* interval = nullptr;
};

// Decimals for all of a column, so that its points stand below each other: those that the smallest
// error needs.
int DecimalsOf(const std::vector<Measured>& column) {
  int decimals = kUsualDecimals;
  for (const Measured& cell : column) {
    if (cell.interval == nullptr) continue;
    const double error = (cell.interval->upper() - cell.interval->lower()) / kErrorsInAnInterval;
    decimals = std::max(decimals, DecimalsFor(error));
  }
  return std::min(decimals, kTableDecimals);
}

// Fills a column of numbers and the one of their intervals.
void Fill(const std::vector<Measured>& column, int decimals, Column value, Column interval,
          ModelTable& table) {
  size_t lower = 0, upper = 0;
  const auto ends = [&](const Measured& cell) {
    return std::pair(EndText(cell.interval->lower(), decimals),
                     EndText(cell.interval->upper(), decimals));
  };
  for (const Measured& cell : column) {
    if (cell.interval == nullptr) continue;
    const auto [low, high] = ends(cell);
    lower = std::max(lower, low.size());
    upper = std::max(upper, high.size());
  }
  for (size_t i = 0; i < column.size(); ++i) {
    if (column[i].value.has_value()) {
      table.rows[i][value] = NumberText(*column[i].value, decimals);
    }
    if (column[i].interval == nullptr) continue;
    const auto [low, high] = ends(column[i]);
    table.rows[i][interval] = fmt::format("[{:>{}}, {:>{}}]", low, lower, high, upper);
  }
}

// "95 % interval" where all agree on the level.
std::string IntervalHeader(const std::vector<Measured>& column, std::string_view what) {
  std::optional<double> level;
  for (const Measured& cell : column) {
    if (cell.interval == nullptr) continue;
    if (level.has_value() && *level != cell.interval->level()) return std::string(what);
    level = cell.interval->level();
  }
  return level.has_value() ? fmt::format("{:g} % {}", 100 * *level, what) : std::string(what);
}

ModelTable TableOf(const Diagnosis& diagnosis) {
  ModelTable table;
  std::vector<Measured> values, counterparts, predictions;
  for (const v1::DiagnosedScale& scale : diagnosis.scales()) {
    Cells& row = table.rows.emplace_back(kColumns);
    row[kModel] = SafeText(scale.model());
    row[kScale] = ScaleText(scale.scale(), diagnosis.x_axis());
    if (scale.has_n()) row[kCount] = std::to_string(scale.n());
    if (scale.held_out()) row[kMark] = kHeldOut;
    Measured& value = values.emplace_back();
    if (scale.has_value()) value.value = scale.value();
    if (scale.has_interval()) value.interval = &scale.interval();
    Measured& counterpart = counterparts.emplace_back();
    if (scale.has_counterpart_value()) counterpart.value = scale.counterpart_value();
    if (scale.has_counterpart_interval()) counterpart.interval = &scale.counterpart_interval();
    Measured& predicted = predictions.emplace_back();
    if (scale.has_predicted()) predicted.value = scale.predicted();
    if (scale.has_predicted_interval()) predicted.interval = &scale.predicted_interval();
  }
  table.header[kModel] = "Model";
  table.header[kScale] = AxisName(diagnosis.x_axis());
  table.header[kCount] = "n";
  table.header[kValue] = SafeText(diagnosis.metric());
  table.header[kInterval] = IntervalHeader(values, "interval");
  table.header[kCounterpart] = SafeText(diagnosis.counterpart());
  table.header[kCounterpartInterval] = IntervalHeader(counterparts, "interval");
  table.header[kPredicted] = "Predicted";
  table.header[kBand] = IntervalHeader(predictions, "band");
  // A prediction is compared with the value: it has the same decimals.
  const int decimals = DecimalsOf(values);
  Fill(values, decimals, kValue, kInterval, table);
  Fill(counterparts, DecimalsOf(counterparts), kCounterpart, kCounterpartInterval, table);
  Fill(predictions, decimals, kPredicted, kBand, table);
  return table;
}

// Columns in which anything stands.
std::vector<Column> ColumnsOf(const ModelTable& table) {
  std::vector<Column> columns;
  for (int c = 0; c < kColumns; ++c) {
    if (std::any_of(table.rows.begin(), table.rows.end(),
                    [&](const Cells& row) { return !row[c].empty(); })) {
      columns.push_back(static_cast<Column>(c));
    }
  }
  return columns;
}

// A table of models that fits into so many columns (0: no limit), as far as it can.
class FittedTable {
 public:
  FittedTable(const Diagnosis& diagnosis, size_t limit)
      : table_(TableOf(diagnosis)), columns_(ColumnsOf(table_)), limit_(limit) {
    for (const Column c : columns_) Measure(c);
    if (limit_ == 0) return;
    if (Over() > 0) MarkHeldOut();
    Drop(kCounterpartInterval);
    Drop(kCount);
    // The metrics' names stand beside the table, too.
    Shorten(kCounterpart, Widest(kCounterpart));
    Shorten(kValue, Widest(kValue));
    Drop(kInterval);
    Drop(kBand);
    Shorten(kModel, kLeastName);
  }

  // Whether those held out have the short mark.
  bool is_marked() const { return is_marked_; }

  void AppendTo(std::string& out) const {
    AppendLine(table_.header, out);
    for (const Column c : columns_) out += "|" + std::string(widths_[c], '-');
    out += "|\n";
    for (const Cells& row : table_.rows) AppendLine(row, out);
  }

 private:
  // Of a column's cells without its header.
  size_t Widest(Column column) const {
    size_t width = 1;
    for (const Cells& row : table_.rows) width = std::max(width, DisplayWidth(row[column]));
    return width;
  }

  void Measure(Column column) {
    widths_[column] = std::max(Widest(column), DisplayWidth(table_.header[column]));
  }

  // By how many columns it is too wide.
  size_t Over() const {
    size_t total = 1;
    for (const Column c : columns_) total += widths_[c] + 1;
    return total > limit_ ? total - limit_ : 0;
  }

  void MarkHeldOut() {
    for (Cells& row : table_.rows) {
      if (row[kMark].empty()) continue;
      row[kMark] = kHeldOutMark;
      is_marked_ = true;
    }
    Measure(kMark);
  }

  void Drop(Column column) {
    if (Over() > 0)
      columns_.erase(std::remove(columns_.begin(), columns_.end(), column), columns_.end());
  }

  void Shorten(Column column, size_t least) {
    const size_t over = Over();
    if (over == 0 || widths_[column] <= least) return;
    widths_[column] = std::max(least, widths_[column] - std::min(over, widths_[column]));
    table_.header[column] = Shortened(table_.header[column], widths_[column]);
    for (Cells& row : table_.rows) row[column] = Shortened(row[column], widths_[column]);
  }

  void AppendLine(const Cells& cells, std::string& out) const {
    for (const Column c : columns_) {
      out += "|";
      out += kRightAligned[c] ? PadLeft(cells[c], widths_[c]) : PadRight(cells[c], widths_[c]);
    }
    out += "|\n";
  }

  ModelTable table_;
  std::vector<Column> columns_;
  const size_t limit_;
  size_t widths_[kColumns] = {};
  bool is_marked_ = false;
};

// ---- What else there is to say ----

struct Fact {
  std::string label;
  std::vector<std::string> texts;
};

std::string BreakText(const v1::Break& found, std::string_view x_axis) {
  std::string where;
  switch (found.where()) {
    case v1::Break::POSITION:
      where = !found.has_position() ? "at one position"
              : found.position() == 0
                  ? fmt::format("at the {} unit of the target", found.from_end() ? "last" : "first")
                  : fmt::format("at unit {} of the target{}", found.position() + 1,
                                found.from_end() ? " from its end" : "");
      break;
    case v1::Break::STRATUM:
      where = fmt::format("where {}", SafeText(found.stratum()));
      break;
    default:
      where = "in the mean";
  }
  if (found.has_scale()) where += fmt::format(", near {}", ScaleText(found.scale(), x_axis));
  if (found.has_share_of_fall() && found.where() != v1::Break::MEAN) {
    where += fmt::format(", {:.0f} % of the fall", 100 * found.share_of_fall());
  }
  if (found.has_p_value()) where += fmt::format(", p = {}", Short(found.p_value()));
  if (found.has_q_value()) where += fmt::format(", q = {}", Short(found.q_value()));
  return where;
}

std::string ForecastText(const v1::Forecast& forecast, std::string_view x_axis) {
  std::string at = ScaleText(forecast.scale(), x_axis);
  if (forecast.has_scale_interval()) {
    at = fmt::format("{} [{}, {}]", at, ScaleText(forecast.scale_interval().lower(), x_axis),
                     ScaleText(forecast.scale_interval().upper(), x_axis));
  }
  std::string value = NumberText(forecast.value());
  if (forecast.has_interval()) {
    value = fmt::format("{} {} ({:g} %)", value, IntervalText(forecast.interval()),
                        100 * forecast.interval().level());
  }
  return forecast.has_scale_interval() ? fmt::format("{} is reached at {}", value, at)
                                       : fmt::format("{} at {}", value, at);
}

std::string FitText(const v1::Fit& fit) {
  std::vector<std::string> parameters;
  for (const v1::FitParameter& parameter : fit.parameters()) {
    std::string text = fmt::format("{} = {}", SafeText(parameter.name()), Short(parameter.value()));
    if (parameter.has_stderr()) text += fmt::format(" ± {}", Short(parameter.stderr()));
    parameters.push_back(std::move(text));
  }
  return fmt::format("{} on {}{}{}", SafeText(fit.law()), SafeText(fit.on()),
                     parameters.empty() ? "" : ": ", fmt::join(parameters, ", "));
}

std::string ScoreText(const Diagnosis& diagnosis) {
  std::string out;
  if (diagnosis.has_emergence_score()) {
    out = fmt::format("{} {}", SafeText(diagnosis.metric()), Short(diagnosis.emergence_score()));
    if (diagnosis.zero_median()) out += ", most steps being 0";
    if (diagnosis.has_emergence_score_null_p()) {
      out += fmt::format(", p = {} for a straight line", Short(diagnosis.emergence_score_null_p()));
    }
  }
  if (diagnosis.has_counterpart_emergence_score()) {
    out += fmt::format("{}{} {}", out.empty() ? "" : "; ", SafeText(diagnosis.counterpart()),
                       Short(diagnosis.counterpart_emergence_score()));
  }
  return out;
}

// How the samples' own numbers go with scale, a line a step.
std::vector<std::string> SampleTexts(const Diagnosis& diagnosis) {
  std::vector<std::string> texts;
  if (diagnosis.sample_correlations().empty()) return texts;
  texts.emplace_back(
      "how the samples' numbers go with scale: Spearman's correlation, 1 being always better, its "
      "median and the middle half of the samples");
  for (const v1::SampleCorrelation& step : diagnosis.sample_correlations()) {
    std::string text = SafeText(step.metric());
    if (step.has_median()) {
      text += fmt::format(" {:.2f} [{:.2f}, {:.2f}], {:.0f} % of {} samples get worse",
                          step.median(), step.lower_quartile(), step.upper_quartile(),
                          100 * step.share_negative(), step.n());
    }
    if (step.n_constant() > 0) {
      text += fmt::format("{} {} the same in all models", step.has_median() ? ";" : ":",
                          step.n_constant());
    }
    texts.push_back(std::move(text));
  }
  return texts;
}

// Everything below the table of models, in order; a fact without texts is none.
std::vector<Fact> FactsOf(const Diagnosis& diagnosis) {
  std::vector<Fact> facts;
  const auto fact = [&](std::string label) -> std::vector<std::string>& {
    return facts.emplace_back(Fact{std::move(label), {}}).texts;
  };
  auto* texts = &fact("Also");
  for (int i = 1; i < diagnosis.reasons_size(); ++i) {
    texts->push_back(SafeText(diagnosis.reasons(i).text()));
  }
  texts = &fact("Counterpart");
  if (diagnosis.has_counterpart()) {
    std::string text = SafeText(diagnosis.counterpart());
    if (diagnosis.has_companion_task()) {
      text += fmt::format(", from task {}", SafeText(diagnosis.companion_task()));
    }
    if (diagnosis.has_companion_matched()) {
      text +=
          fmt::format(", {:.1f} % of the documents matched", 100 * diagnosis.companion_matched());
    }
    texts->push_back(std::move(text));
  }
  if (!diagnosis.other_counterparts().empty()) {
    std::vector<std::string> names;
    for (const std::string& name : diagnosis.other_counterparts()) names.push_back(SafeText(name));
    texts->push_back(fmt::format("also looked at: {}", fmt::join(names, ", ")));
  }
  texts = &fact("Breaks");
  for (const v1::Break& found : diagnosis.breaks()) {
    texts->push_back(BreakText(found, diagnosis.x_axis()));
  }
  texts = &fact("Break test");
  if (diagnosis.has_q_value()) {
    texts->push_back(
        fmt::format("q = {}, corrected over all series diagnosed", Short(diagnosis.q_value())));
  }
  texts = &fact("Forecast");
  for (const v1::Forecast& forecast : diagnosis.forecast()) {
    texts->push_back(ForecastText(forecast, diagnosis.x_axis()));
  }
  texts = &fact("Items needed");
  for (const v1::SamplesNeeded& needed : diagnosis.samples_needed()) {
    texts->push_back(fmt::format("{}{} for {} to show {}", needed.n() == UINT32_MAX ? ">= " : "",
                                 needed.n(), SafeText(needed.model()),
                                 NumberText(needed.to_resolve())));
  }
  texts = &fact("Laws in use");
  for (const v1::Fit& fit : diagnosis.fits()) {
    if (fit.used()) texts->push_back(FitText(fit));
  }
  texts = &fact("Emergence");
  if (const std::string score = ScoreText(diagnosis); !score.empty()) {
    texts->push_back("score of " + score);
  }
  fact("Samples") = SampleTexts(diagnosis);
  texts = &fact("Pools");
  for (const std::string& pooled : diagnosis.pooled_over()) texts->push_back(SafeText(pooled));
  return facts;
}

// A label with texts beside it, each begun on a line of its own.
void AppendFact(std::string_view label, const std::vector<std::string>& texts, size_t width,
                std::string& out) {
  const size_t room = width > kLabelWidth + 20 ? width - kLabelWidth - 2 : 20;
  std::string_view name = label;
  for (const std::string& text : texts) {
    for (const std::string& line : Wrapped(text, room)) {
      out += fmt::format("  {}{}\n", PadRight(name, kLabelWidth), line);
      name = "";
    }
  }
}

// "3 diagnoses: 1 MIRAGE, 2 SMOOTH".
std::string SummaryText(const v1::DiagnoseReport& report) {
  std::vector<std::string> parts;
  for (const auto& [verdict, n] : Counts(report)) {
    parts.push_back(fmt::format("{} {}", n, VerdictName(verdict)));
  }
  return fmt::format("{} diagnoses: {}", report.diagnoses_size(), fmt::join(parts, ", "));
}

// Fields of a row of the CSV from `model` on.
constexpr size_t kModelFields = 16;

constexpr std::string_view kNothing = "Nothing was diagnosed.";

}  // namespace

std::string VerdictText(const v1::Diagnosis& diagnosis) {
  std::string out = VerdictName(diagnosis.verdict());
  if (!diagnosis.has_strength()) return out;
  const std::string& strength = Diagnosis::Strength_Name(diagnosis.strength());
  return strength.empty() ? out : fmt::format("{} ({})", out, strength);
}

std::string SeriesText(const v1::Diagnosis& diagnosis) {
  std::string out = fmt::format("{} {}", SafeText(diagnosis.task()), SafeText(diagnosis.metric()));
  if (!diagnosis.family().empty() && diagnosis.family() != "default") {
    out += fmt::format(", family {}", SafeText(diagnosis.family()));
  }
  if (diagnosis.has_target_length()) {
    out += fmt::format(", target length {}", diagnosis.target_length());
  }
  if (diagnosis.has_shots()) {
    out += fmt::format(", {} shot{}", diagnosis.shots(), diagnosis.shots() == 1 ? "" : "s");
  }
  if (diagnosis.has_temperature()) {
    out += fmt::format(", temperature {}", Short(diagnosis.temperature()));
  }
  if (!diagnosis.filter().empty() && diagnosis.filter() != "none") {
    out += fmt::format(", filter {}", SafeText(diagnosis.filter()));
  }
  if (!diagnosis.pooled_over().empty()) {
    out += fmt::format(", {} series pooled", diagnosis.pooled_over_size());
  }
  return out;
}

std::string DiagnoseTable(const v1::DiagnoseReport& report, const DiagnoseTableOptions& options) {
  const size_t prose = options.width == 0 ? kProseWidth : options.width;
  std::string out;
  if (report.diagnoses().empty()) out += fmt::format("{}\n", kNothing);
  if (report.diagnoses_size() > 1) {
    for (const std::string& line : Wrapped(SummaryText(report), prose)) out += line + "\n";
  }
  for (const Diagnosis& diagnosis : report.diagnoses()) {
    if (!out.empty()) out += "\n";
    const std::string verdict = VerdictText(diagnosis);
    // The verdict is one word to the filling, and stands apart without colours, too.
    std::vector<std::string> title = Wrapped(
        fmt::format("{} {}", std::string(verdict.size() + 1, '-'), SeriesText(diagnosis)), prose);
    title.front() =
        fmt::format("{}{}{} {}", options.color ? VerdictColor(diagnosis.verdict()) : "", verdict,
                    options.color ? "\x1b[0m" : "", title.front().substr(verdict.size() + 1));
    for (size_t i = 0; i < title.size(); ++i) out += (i > 0 ? "  " : "") + title[i] + "\n";
    if (!diagnosis.reasons().empty()) {
      AppendFact("Why", {SafeText(diagnosis.reasons(0).text())}, prose, out);
    }
    if (!diagnosis.scales().empty()) {
      const FittedTable table(diagnosis, options.width);
      table.AppendTo(out);
      if (table.is_marked()) {
        AppendFact(kHeldOutMark, {"held out of every fit, to be predicted"}, prose, out);
      }
    }
    for (const Fact& fact : FactsOf(diagnosis)) AppendFact(fact.label, fact.texts, prose, out);
  }
  if (options.warnings && !report.warnings().empty()) {
    out += "\nWarnings\n";
    for (int i = 0; i < std::min(report.warnings_size(), kShownWarnings); ++i) {
      out += fmt::format("  {}\n", SafeText(report.warnings(i)));
    }
    if (report.warnings_size() > kShownWarnings) {
      out += fmt::format("  … and {} more; --output-format json has them all\n",
                         report.warnings_size() - kShownWarnings);
    }
  }
  if (report.diagnoses().empty()) return out;
  out += "\nVerdicts\n";
  constexpr size_t kIndent = 20;
  const auto explain = [&](std::string_view name, std::string_view meaning) {
    const size_t room = prose > kIndent + 20 ? prose - kIndent - 2 : 20;
    for (const std::string& line : Wrapped(meaning, room)) {
      out += fmt::format("  {}{}\n", PadRight(name, kIndent), line);
      name = "";
    }
  };
  for (const auto& [verdict, n] : Counts(report)) explain(VerdictName(verdict), Meaning(verdict));
  if (HasStrength(report)) explain("Strength", kStrengthMeaning);
  return out;
}

std::string DiagnoseMarkdown(const v1::DiagnoseReport& report) {
  std::string out;
  if (report.diagnoses().empty()) out += fmt::format("{}\n", kNothing);
  if (report.diagnoses_size() > 1) out += MarkdownCell(SummaryText(report)) + "\n";
  for (const Diagnosis& diagnosis : report.diagnoses()) {
    if (!out.empty()) out += "\n";
    out += fmt::format("### {}: {}\n", MarkdownCell(VerdictText(diagnosis)),
                       MarkdownCell(SeriesText(diagnosis)));
    if (!diagnosis.reasons().empty()) {
      out += fmt::format("\n{}\n", MarkdownCell(diagnosis.reasons(0).text()));
    }
    if (!diagnosis.scales().empty()) {
      const ModelTable table = TableOf(diagnosis);
      const std::vector<Column> columns = ColumnsOf(table);
      const auto line = [&](const Cells& cells) {
        for (const Column c : columns) out += fmt::format("| {} ", MarkdownCell(cells[c]));
        out += "|\n";
      };
      out += "\n";
      line(table.header);
      for (const Column c : columns) out += kRightAligned[c] ? "|---:" : "|:---";
      out += "|\n";
      for (const Cells& row : table.rows) line(row);
    }
    bool any = false;
    for (const Fact& fact : FactsOf(diagnosis)) {
      for (const std::string& text : fact.texts) {
        if (!any) out += "\n";
        any = true;
        out += fmt::format("- {}: {}\n", fact.label, MarkdownCell(text));
      }
    }
  }
  if (!report.warnings().empty()) out += "\n**Warnings**\n\n";
  for (const std::string& warning : report.warnings()) {
    out += fmt::format("- {}\n", MarkdownCell(warning));
  }
  if (report.diagnoses().empty()) return out;
  out += "\n**Verdicts**\n\n";
  for (const auto& [verdict, n] : Counts(report)) {
    out += fmt::format("- {}: {}\n", MarkdownCell(VerdictName(verdict)), Meaning(verdict));
  }
  if (HasStrength(report)) out += fmt::format("- Strength: {}\n", kStrengthMeaning);
  return out;
}

std::string DiagnoseCsv(const v1::DiagnoseReport& report) {
  std::string out =
      "family,task,filter,metric,target_length,shots,temperature,x_axis,verdict,strength,"
      "reason_codes,emergence_score,emergence_score_null_p,counterpart_emergence_score,q_value,"
      "counterpart,pooled_over,model,scale,n,value,value_lower,value_upper,value_level,"
      "counterpart_value,counterpart_lower,counterpart_upper,counterpart_level,predicted,"
      "predicted_lower,predicted_upper,predicted_level,held_out\r\n";
  const auto number = [](bool has, double value) { return has ? CsvNumber(value) : std::string(); };
  const auto count = [](bool has, uint32_t value) {
    return has ? std::to_string(value) : std::string();
  };
  const auto append = [&](const Cells& cells) {
    for (size_t c = 0; c < cells.size(); ++c) out += (c > 0 ? "," : "") + CsvCell(cells[c]);
  };
  const auto interval = [&](bool has, const v1::Interval& ends) {
    return Cells{number(has, ends.lower()), number(has, ends.upper()), number(has, ends.level())};
  };
  for (const Diagnosis& diagnosis : report.diagnoses()) {
    std::vector<std::string_view> codes;
    for (const v1::Reason& reason : diagnosis.reasons()) codes.emplace_back(reason.code());
    const Cells series = {
        diagnosis.family(),
        diagnosis.task(),
        diagnosis.filter(),
        diagnosis.metric(),
        count(diagnosis.has_target_length(), diagnosis.target_length()),
        count(diagnosis.has_shots(), diagnosis.shots()),
        number(diagnosis.has_temperature(), diagnosis.temperature()),
        diagnosis.x_axis(),
        VerdictName(diagnosis.verdict()),
        diagnosis.has_strength() ? Diagnosis::Strength_Name(diagnosis.strength()) : "",
        fmt::format("{}", fmt::join(codes, " ")),
        number(diagnosis.has_emergence_score(), diagnosis.emergence_score()),
        number(diagnosis.has_emergence_score_null_p(), diagnosis.emergence_score_null_p()),
        number(diagnosis.has_counterpart_emergence_score(),
               diagnosis.counterpart_emergence_score()),
        number(diagnosis.has_q_value(), diagnosis.q_value()),
        diagnosis.counterpart(),
        fmt::format("{}", fmt::join(diagnosis.pooled_over(), "; "))};
    if (diagnosis.scales().empty()) {
      append(series);
      out += std::string(kModelFields, ',') + "\r\n";
    }
    for (const v1::DiagnosedScale& scale : diagnosis.scales()) {
      Cells cells = series;
      const auto add = [&](Cells more) {
        cells.insert(cells.end(), std::make_move_iterator(more.begin()),
                     std::make_move_iterator(more.end()));
      };
      add({scale.model(), CsvNumber(scale.scale()), count(scale.has_n(), scale.n()),
           number(scale.has_value(), scale.value())});
      add(interval(scale.has_interval(), scale.interval()));
      add({number(scale.has_counterpart_value(), scale.counterpart_value())});
      add(interval(scale.has_counterpart_interval(), scale.counterpart_interval()));
      add({number(scale.has_predicted(), scale.predicted())});
      add(interval(scale.has_predicted_interval(), scale.predicted_interval()));
      add({scale.held_out() ? "true" : "false"});
      append(cells);
      out += "\r\n";
    }
  }
  return out;
}

}  // namespace mirage::client
