#include "client/render/meta_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "client/render/cells.h"
#include "client/render/terminal_text.h"

namespace mirage::client {
namespace {

using Cells = std::vector<std::string>;
constexpr size_t kProse = 100;

std::string Short(double value) { return NumberText(value, 3); }

std::string Percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

std::string CountsText(const v1::MetaAnalysis& analysis) {
  return fmt::format(
      "{} of {} triplets (family, task, metric) are emergent, under {} of {} metrics; {} were not "
      "evaluated",
      analysis.n_emergent(), analysis.n_evaluated(), analysis.n_metrics_emergent(),
      analysis.n_metrics(),
      static_cast<uint32_t>(analysis.triplets_size()) - analysis.n_evaluated());
}

const Cells kMetricHeader = {"Metric", "Kind",     "Emergent",  "Evaluated",
                             "Share",  "Interval", "Max score", "Infinite"};
const Cells kTripletHeader = {"Family", "Task", "Metric", "Scales", "Score", "Per step", "q"};

std::vector<Cells> MetricRows(const v1::MetaAnalysis& analysis) {
  std::vector<Cells> rows;
  for (const v1::MetricShare& share : analysis.metrics()) {
    rows.push_back({SafeText(share.metric()), MetricKind(share.sharp(), share.continuous()),
                    std::to_string(share.n_emergent()), std::to_string(share.n_evaluated()),
                    share.has_share() ? Percent(share.share()) : "",
                    share.has_interval()
                        ? fmt::format("[{}, {}]", Percent(share.interval().lower()),
                                      Percent(share.interval().upper()))
                        : "",
                    share.has_max_emergence_score() ? Short(share.max_emergence_score()) : "",
                    std::to_string(share.n_infinite())});
  }
  return rows;
}

std::vector<Cells> TripletRows(const v1::MetaAnalysis& analysis) {
  std::vector<const v1::MetaTriplet*> emergent;
  for (const v1::MetaTriplet& triplet : analysis.triplets()) {
    if (triplet.emergent()) emergent.push_back(&triplet);
  }
  std::stable_sort(emergent.begin(), emergent.end(), [](const auto* a, const auto* b) {
    return a->emergence_score_per_step() > b->emergence_score_per_step();
  });
  if (emergent.size() > kShownTriplets) emergent.resize(kShownTriplets);
  std::vector<Cells> rows;
  rows.reserve(emergent.size());
  for (const v1::MetaTriplet* one : emergent) {
    rows.push_back({SafeText(one->family()), TripletTaskText(*one), SafeText(one->metric()),
                    std::to_string(one->n_scales()), Short(one->emergence_score()),
                    Short(one->emergence_score_per_step()), NumberText(one->q_value())});
  }
  return rows;
}

void AppendTable(const Cells& header, const std::vector<Cells>& rows, std::string& out) {
  std::vector<size_t> widths;
  for (size_t c = 0; c < header.size(); ++c) {
    size_t width = header[c].size();
    for (const Cells& row : rows) width = std::max(width, DisplayWidth(row[c]));
    widths.push_back(width);
  }
  const auto append = [&](const Cells& row) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) line += PadRight(row[c], widths[c] + 2);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  append(header);
  for (const Cells& row : rows) append(row);
}

void AppendMarkdown(const Cells& header, const std::vector<Cells>& rows, std::string& out) {
  for (const std::string& cell : header) out += fmt::format("| {} ", cell);
  out += "|\n";
  for (size_t c = 0; c < header.size(); ++c) out += "|:---";
  out += "|\n";
  for (const Cells& row : rows) {
    for (const std::string& cell : row) out += fmt::format("| {} ", MarkdownCell(cell));
    out += "|\n";
  }
}

}  // namespace

std::string MetricKind(bool sharp, bool continuous) {
  return sharp ? "sharp" : continuous ? "continuous" : "neither";
}

std::string TripletTaskText(const v1::MetaTriplet& triplet) {
  std::string out = SafeText(triplet.task());
  if (triplet.has_target_length()) out += fmt::format(", length {}", triplet.target_length());
  if (triplet.has_shots()) out += fmt::format(", {} shots", triplet.shots());
  if (triplet.has_temperature()) out += fmt::format(", T {:g}", triplet.temperature());
  if (!triplet.filter().empty() && triplet.filter() != "none") {
    out += ", " + SafeText(triplet.filter());
  }
  return out;
}

std::string OddsRatioText(const v1::OddsRatio& odds) {
  std::string out = fmt::format(
      "Sharp metrics: {} of {} triplets emergent; continuous ones: {} of {}.",
      odds.n_sharp_emergent(), odds.n_sharp(), odds.n_continuous_emergent(), odds.n_continuous());
  if (!odds.has_value()) {
    return out + fmt::format(
                     " No odds ratio: {} tasks have both kinds, none of them with an "
                     "emergent triplet that tells them apart.",
                     odds.n_tasks());
  }
  out += fmt::format(" Odds ratio, stratified by task ({} with both kinds): {}", odds.n_tasks(),
                     Short(odds.value()));
  if (odds.has_interval()) {
    out += fmt::format(" [{}, {}] ({:g} %)", Short(odds.interval().lower()),
                       Short(odds.interval().upper()), 100 * odds.interval().level());
  }
  if (odds.has_p_value()) out += fmt::format(", p = {}", NumberText(odds.p_value()));
  return out + "; triplets that share models are not independent.";
}

std::string MetaTable(const v1::MetaAnalysis& analysis) {
  std::string out;
  const auto prose = [&](const std::string& text) {
    for (const std::string& line : Wrapped(text, kProse)) out += line + "\n";
  };
  prose(CountsText(analysis) + ".");
  out += "\n";
  AppendTable(kMetricHeader, MetricRows(analysis), out);
  out += "\n";
  prose(OddsRatioText(analysis.odds_ratio()));
  if (const std::vector<Cells> rows = TripletRows(analysis); !rows.empty()) {
    out += "\nMost sudden triplets\n";
    AppendTable(kTripletHeader, rows, out);
  }
  out += "\n";
  prose("Emergent: " + SafeText(analysis.criterion()) + ".");
  return out;
}

std::string MetaMarkdown(const v1::MetaAnalysis& analysis) {
  std::string out = MarkdownCell(CountsText(analysis)) + ".\n\n";
  AppendMarkdown(kMetricHeader, MetricRows(analysis), out);
  out += fmt::format("\n{}\n", MarkdownCell(OddsRatioText(analysis.odds_ratio())));
  if (const std::vector<Cells> rows = TripletRows(analysis); !rows.empty()) {
    out += "\n**Most sudden triplets**\n\n";
    AppendMarkdown(kTripletHeader, rows, out);
  }
  out += fmt::format("\nEmergent: {}.\n", MarkdownCell(analysis.criterion()));
  if (!analysis.warnings().empty()) out += "\n**Warnings**\n\n";
  for (const std::string& warning : analysis.warnings()) {
    out += fmt::format("- {}\n", MarkdownCell(warning));
  }
  return out;
}

std::string MetaCsv(const v1::MetaAnalysis& analysis) {
  std::string out =
      "family,task,filter,metric,target_length,shots,temperature,sharp,continuous,n_scales,"
      "emergence_score,emergence_score_per_step,null_p,q_value,zero_median,emergent,"
      "not_evaluated\r\n";
  const auto number = [](bool has, double value) { return has ? CsvNumber(value) : std::string(); };
  const auto flag = [](bool is) { return std::string(is ? "true" : "false"); };
  for (const v1::MetaTriplet& one : analysis.triplets()) {
    const Cells cells = {one.family(),
                         one.task(),
                         one.filter(),
                         one.metric(),
                         one.has_target_length() ? std::to_string(one.target_length()) : "",
                         one.has_shots() ? std::to_string(one.shots()) : "",
                         number(one.has_temperature(), one.temperature()),
                         flag(one.sharp()),
                         flag(one.continuous()),
                         std::to_string(one.n_scales()),
                         number(one.has_emergence_score(), one.emergence_score()),
                         number(one.has_emergence_score_per_step(), one.emergence_score_per_step()),
                         number(one.has_null_p(), one.null_p()),
                         number(one.has_q_value(), one.q_value()),
                         flag(one.zero_median()),
                         flag(one.emergent()),
                         one.not_evaluated()};
    for (size_t c = 0; c < cells.size(); ++c) out += (c > 0 ? "," : "") + CsvCell(cells[c]);
    out += "\r\n";
  }
  return out;
}

}  // namespace mirage::client
