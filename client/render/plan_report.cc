#include "client/render/plan_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/scale_text.h"
#include "client/render/cells.h"
#include "client/render/diagnose_report.h"
#include "client/render/terminal_text.h"

namespace mirage::client {
namespace {

using Cells = std::vector<std::string>;

constexpr size_t kProse = 100;
constexpr size_t kLabelWidth = 12;
constexpr size_t kIndent = 4;
constexpr std::string_view kNothing = "Nothing was planned.";

// A table with the last column (text) at the left, and numbers at the right.
struct Rows {
  std::string title;
  Cells header;
  std::vector<bool> is_number;
  std::vector<Cells> cells;
};

std::string TitleOf(const v1::Plan& plan) {
  v1::Diagnosis series;
  series.set_family(plan.family());
  series.set_task(plan.task());
  series.set_filter(plan.filter());
  series.set_metric(plan.metric());
  if (plan.has_target_length()) series.set_target_length(plan.target_length());
  if (plan.has_shots()) series.set_shots(plan.shots());
  if (plan.has_temperature()) series.set_temperature(plan.temperature());
  return SeriesText(series);
}

std::string VerdictOf(const v1::Plan& plan) {
  v1::Diagnosis diagnosis;
  diagnosis.set_verdict(plan.verdict());
  return VerdictText(diagnosis);
}

std::string CountText(uint32_t n) {
  return n == UINT32_MAX ? fmt::format(">= {}", n) : std::to_string(n);
}

// Three significant digits, for changes and shares.
std::string Short(double value) { return fmt::format("{:.3g}", value); }

std::string TodayText(const v1::Plan& plan) {
  std::string text;
  if (plan.has_detectable()) {
    text = fmt::format("its items show a change of {}", Short(plan.detectable()));
  } else {
    text = "what its items show is not known";
  }
  return text + fmt::format("; planned for one of {} (power {:g} %, level {:g} %)",
                            Short(plan.delta()), 100 * plan.power(), 100 * plan.level());
}

Rows ScaleRows(const v1::Plan& plan, std::string_view x_axis) {
  Rows rows{"Sizes to add, in this order",
            {std::string(AxisName(x_axis)), "Items", "Decided by then", "Why"},
            {true, true, true, false},
            {}};
  for (const v1::PlannedScale& scale : plan.scales()) {
    rows.cells.push_back(
        {ScaleText(scale.scale(), x_axis), scale.n() > 0 ? CountText(scale.n()) : "",
         scale.has_p_decided() ? fmt::format("{:.0f} %", 100 * scale.p_decided()) : "",
         SafeText(scale.reason())});
  }
  return rows;
}

Rows ItemRows(const v1::Plan& plan) {
  Rows rows{"Items that tell a model's value from its floor, chance or ceiling",
            {"Value", "Items", "Model"},
            {true, true, false},
            {}};
  for (const v1::SamplesNeeded& needed : plan.samples_needed()) {
    rows.cells.push_back(
        {NumberText(needed.to_resolve()), CountText(needed.n()), SafeText(needed.model())});
  }
  return rows;
}

void AppendFact(std::string_view label, const std::string& text, size_t width, std::string& out) {
  const size_t used = kLabelWidth + kIndent;
  for (const std::string& line : Wrapped(text, width > used + 20 ? width - used : 20)) {
    out += fmt::format("{}{}{}\n", std::string(kIndent, ' '), PadRight(label, kLabelWidth), line);
    label = "";
  }
}

// Text of the last column is filled; all else stands as it is.
void AppendRows(const Rows& rows, size_t width, std::string& out) {
  if (rows.cells.empty()) return;
  const size_t columns = rows.header.size();
  std::vector<size_t> widths;
  size_t used = kIndent;
  for (size_t c = 0; c + 1 < columns; ++c) {
    size_t most = rows.header[c].size();
    for (const Cells& row : rows.cells) most = std::max(most, DisplayWidth(row[c]));
    widths.push_back(most);
    used += most + 2;
  }
  const auto append = [&](const Cells& row) {
    std::string line(kIndent, ' ');
    for (size_t c = 0; c + 1 < columns; ++c) {
      line += rows.is_number[c] ? PadLeft(row[c], widths[c]) : PadRight(row[c], widths[c]);
      line += "  ";
    }
    for (const std::string& text : Wrapped(row.back(), width > used + 20 ? width - used : 20)) {
      out += line + text + "\n";
      line = std::string(used, ' ');
    }
  };
  out += fmt::format("  {}\n", rows.title);
  append(rows.header);
  const size_t shown = std::min(rows.cells.size(), static_cast<size_t>(kShownItems));
  for (size_t i = 0; i < shown; ++i) append(rows.cells[i]);
  if (shown < rows.cells.size()) {
    out += fmt::format("{}… and {} more; --output-format json has them all\n",
                       std::string(kIndent, ' '), rows.cells.size() - shown);
  }
}

void AppendMarkdown(const Rows& rows, std::string& out) {
  if (rows.cells.empty()) return;
  out += fmt::format("\n{}:\n\n", rows.title);
  for (const std::string& cell : rows.header) out += fmt::format("| {} ", cell);
  out += "|\n";
  for (const bool is_number : rows.is_number) out += is_number ? "|---:" : "|:---";
  out += "|\n";
  for (const Cells& row : rows.cells) {
    for (const std::string& cell : row) out += fmt::format("| {} ", MarkdownCell(cell));
    out += "|\n";
  }
}

}  // namespace

std::string PlanTable(const v1::PlanReport& report, const PlanTableOptions& options) {
  const size_t width = options.width == 0 ? kProse : options.width;
  std::string out;
  if (report.plans().empty()) out = fmt::format("{}\n", kNothing);
  for (const v1::Plan& plan : report.plans()) {
    if (!out.empty()) out += "\n";
    for (const std::string& line :
         Wrapped(fmt::format("{}: {} today", TitleOf(plan), VerdictOf(plan)), width)) {
      out += line + "\n";
    }
    for (int i = 0; i < plan.reasons_size(); ++i) {
      AppendFact(i == 0 ? "Plan" : "Also", SafeText(plan.reasons(i).text()), width, out);
    }
    if (plan.delta() > 0) AppendFact("Today", TodayText(plan), width, out);
    AppendRows(ScaleRows(plan, options.x_axis), width, out);
    AppendRows(ItemRows(plan), width, out);
  }
  return out;
}

std::string PlanMarkdown(const v1::PlanReport& report, const PlanTableOptions& options) {
  std::string out;
  if (report.plans().empty()) out = fmt::format("{}\n", kNothing);
  for (const v1::Plan& plan : report.plans()) {
    if (!out.empty()) out += "\n";
    out += fmt::format("### {}: {} today\n\n", MarkdownCell(TitleOf(plan)),
                       MarkdownCell(VerdictOf(plan)));
    for (const v1::Reason& reason : plan.reasons()) {
      out += fmt::format("- {}: {}\n", MarkdownCell(reason.code()), MarkdownCell(reason.text()));
    }
    if (plan.delta() > 0) out += fmt::format("- Today: {}\n", MarkdownCell(TodayText(plan)));
    AppendMarkdown(ScaleRows(plan, options.x_axis), out);
    AppendMarkdown(ItemRows(plan), out);
  }
  if (!report.warnings().empty()) out += "\n**Warnings**\n\n";
  for (const std::string& warning : report.warnings()) {
    out += fmt::format("- {}\n", MarkdownCell(warning));
  }
  return out;
}

std::string PlanCsv(const v1::PlanReport& report) {
  std::string out =
      "family,task,filter,metric,target_length,shots,temperature,verdict,kind,delta,power,level,"
      "detectable,seeds_needed,reason_codes,scale,p_decided,model,to_resolve,n,reason\r\n";
  const auto number = [](bool has, double value) { return has ? CsvNumber(value) : std::string(); };
  for (const v1::Plan& plan : report.plans()) {
    const Cells series = {plan.family(),
                          plan.task(),
                          plan.filter(),
                          plan.metric(),
                          plan.has_target_length() ? std::to_string(plan.target_length()) : "",
                          plan.has_shots() ? std::to_string(plan.shots()) : "",
                          number(plan.has_temperature(), plan.temperature()),
                          VerdictOf(plan)};
    const auto append = [&](const Cells& more) {
      std::string line;
      for (const Cells* const cells : {&series, &more}) {
        for (const std::string& cell : *cells) line += (line.empty() ? "" : ",") + CsvCell(cell);
      }
      out += line + "\r\n";
    };
    std::vector<std::string_view> codes;
    codes.reserve(static_cast<size_t>(plan.reasons_size()));
    for (const v1::Reason& reason : plan.reasons()) codes.emplace_back(reason.code());
    append({"series", CsvNumber(plan.delta()), CsvNumber(plan.power()), CsvNumber(plan.level()),
            number(plan.has_detectable(), plan.detectable()), std::to_string(plan.seeds_needed()),
            fmt::format("{}", fmt::join(codes, " ")), "", "", "", "", "",
            plan.reasons().empty() ? "" : plan.reasons(0).text()});
    for (const v1::PlannedScale& scale : plan.scales()) {
      append({"add", "", "", "", "", "", "", CsvNumber(scale.scale()),
              number(scale.has_p_decided(), scale.p_decided()), "", "",
              scale.n() > 0 ? std::to_string(scale.n()) : "", scale.reason()});
    }
    for (const v1::SamplesNeeded& needed : plan.samples_needed()) {
      append({"items", "", "", "", "", "", "", "", "", needed.model(),
              CsvNumber(needed.to_resolve()), std::to_string(needed.n()), ""});
    }
  }
  return out;
}

}  // namespace mirage::client
