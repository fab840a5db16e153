#include "client/render/attach_report.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "client/render/terminal_text.h"

namespace mirage::client {
namespace {

// A number for people: four decimals as lm-eval prints, more digits where these
// would show nothing.
std::string Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  const double size = std::abs(value);
  if (value != 0 && size < 5e-4) return fmt::format("{:.2e}", value);
  if (size >= 1e7) return fmt::format("{:.4e}", value);
  return fmt::format("{:.4f}", value);
}

std::string_view LevelName(v1::MirageRisk::Level level) {
  switch (level) {
    case v1::MirageRisk::NONE:
      return "none";
    case v1::MirageRisk::LOW:
      return "low";
    case v1::MirageRisk::HIGH:
      return "HIGH";
    case v1::MirageRisk::UNKNOWN:
      return "unknown";
    default:
      return "";
  }
}

std::string_view LevelColor(v1::MirageRisk::Level level) {
  switch (level) {
    case v1::MirageRisk::NONE:
      return "\x1b[32m";
    case v1::MirageRisk::LOW:
      return "\x1b[33m";
    case v1::MirageRisk::HIGH:
      return "\x1b[1;31m";
    default:
      return "\x1b[35m";
  }
}

// The columns of a printed table.
enum Column {
  kTask,
  kVersion,
  kFilter,
  kShots,
  kMetric,
  kArrow,
  kValue,
  kPlusMinus,
  kStderr,
  kInterval,
  kChance,
  kRisk,
  kColumns
};

constexpr std::string_view kHeaders[kColumns] = {"Tasks",  "Version",  "Filter", "n-shot",
                                                 "Metric", "",         "Value",  "",
                                                 "Stderr", "Interval", "Chance", "Mirage risk"};
constexpr bool kRightAligned[kColumns] = {false, true,  false, true,  false, false,
                                          true,  false, true,  false, true,  false};

using Cells = std::vector<std::string>;

struct Row {
  Cells cells = Cells(kColumns);
  v1::MirageRisk::Level level = v1::MirageRisk::LEVEL_UNSPECIFIED;
};

std::string IntervalText(const v1::MetricSummary& m) {
  if (!m.has_interval()) return "";
  return fmt::format("[{}, {}]", Number(m.interval().lower()), Number(m.interval().upper()));
}

Row MetricRow(const v1::MetricSummary& m) {
  Row row;
  const bool counterpart = m.role() == v1::MetricSummary::COUNTERPART;
  row.cells[kMetric] = (counterpart ? "  " : "") + SafeText(m.metric());
  row.cells[kArrow] = m.higher_is_better() ? "↑" : "↓";
  // Without samples the harness's own number is all there is.
  const bool own = m.has_value();
  row.cells[kValue] = own                      ? Number(m.value())
                      : m.has_reported_value() ? Number(m.reported_value())
                                               : "-";
  const bool has_error = own ? m.has_stderr() : m.has_reported_stderr();
  if (has_error) {
    row.cells[kPlusMinus] = "±";
    row.cells[kStderr] = Number(own ? m.stderr() : m.reported_stderr());
  }
  row.cells[kInterval] = IntervalText(m);
  if (m.has_chance()) row.cells[kChance] = Number(m.chance());
  if (!counterpart) {
    row.level = m.mirage_risk().level();
    row.cells[kRisk] = LevelName(row.level);
  }
  return row;
}

// The rows of a run: reported metrics and the counterparts to show.
std::vector<Row> RowsOf(const v1::RunSummary& run, const TableOptions& options) {
  std::vector<Row> rows;
  for (const v1::TaskSummary& task : run.tasks()) {
    bool first = true;
    int shown = 0, hidden = 0;
    const auto flush_hidden = [&] {
      if (hidden > 0) {
        Row more;
        more.cells[kMetric] = fmt::format("  … {} more", hidden);
        rows.push_back(std::move(more));
      }
      shown = hidden = 0;
    };
    for (const v1::MetricSummary& m : task.metrics()) {
      if (m.role() == v1::MetricSummary::COUNTERPART) {
        if (!options.all_metrics && shown >= kShownCounterparts) {
          ++hidden;
          continue;
        }
        ++shown;
      } else {
        flush_hidden();
      }
      Row row = MetricRow(m);
      if (m.role() == v1::MetricSummary::REPORTED) row.cells[kFilter] = SafeText(task.filter());
      if (first) {
        row.cells[kTask] = SafeText(task.task());
        row.cells[kVersion] = SafeText(task.version());
        if (task.has_n_shot()) row.cells[kShots] = std::to_string(task.n_shot());
        first = false;
      }
      rows.push_back(std::move(row));
    }
    flush_hidden();
  }
  return rows;
}

std::string TaskName(const v1::TaskSummary& task) {
  std::string name = SafeText(task.task());
  if (task.filter() != "none" && !task.filter().empty()) name += "," + SafeText(task.filter());
  return name;
}

// What a run lacks: the tasks that lack the same metrics for the same reason are told
// together.
struct Missing {
  std::string tasks;
  std::string metrics;
  std::string reason;
};

std::vector<Missing> MissingOf(const v1::RunSummary& run) {
  std::vector<Missing> all;
  for (const v1::TaskSummary& task : run.tasks()) {
    std::vector<Missing> of_task;
    for (const v1::Unavailable& missing : task.unavailable()) {
      auto found = std::find_if(of_task.begin(), of_task.end(),
                                [&](const Missing& m) { return m.reason == missing.reason(); });
      if (found == of_task.end()) {
        of_task.push_back({TaskName(task), SafeText(missing.metric()), missing.reason()});
      } else {
        found->metrics += ", " + SafeText(missing.metric());
      }
    }
    for (Missing& missing : of_task) {
      auto found = std::find_if(all.begin(), all.end(), [&](const Missing& m) {
        return m.reason == missing.reason && m.metrics == missing.metrics;
      });
      if (found == all.end()) {
        all.push_back(std::move(missing));
      } else {
        found->tasks += "; " + missing.tasks;
      }
    }
  }
  return all;
}

std::string RunTitle(const v1::RunSummary& run) {
  std::string title = SafeText(run.model());
  if (title.empty()) title = "(unnamed model)";
  title += fmt::format(" ({}", SafeText(run.harness()));
  if (!run.harness_version().empty()) title += " " + SafeText(run.harness_version());
  return title + ") " + SafeText(run.path());
}

// "95 % interval" where all intervals agree on the level.
std::string IntervalHeader(const v1::RunSummary& run) {
  for (const v1::TaskSummary& task : run.tasks()) {
    for (const v1::MetricSummary& m : task.metrics()) {
      if (m.has_interval()) return fmt::format("{:g} % interval", 100 * m.interval().level());
    }
  }
  return "Interval";
}

void AppendTable(const std::vector<Row>& rows, const std::string& interval_header, bool color,
                 std::string& out) {
  size_t widths[kColumns];
  Cells header;
  for (int c = 0; c < kColumns; ++c) {
    header.emplace_back(c == kInterval ? interval_header : std::string(kHeaders[c]));
    widths[c] = DisplayWidth(header[c]);
    for (const Row& row : rows) widths[c] = std::max(widths[c], DisplayWidth(row.cells[c]));
  }
  const auto line = [&](const Cells& cells, std::string_view risk_color) {
    for (int c = 0; c < kColumns; ++c) {
      out += "|";
      const std::string cell =
          kRightAligned[c] ? PadLeft(cells[c], widths[c]) : PadRight(cells[c], widths[c]);
      const bool tint = c == kRisk && !risk_color.empty();
      if (tint) out += risk_color;
      out += cell;
      if (tint) out += "\x1b[0m";
    }
    out += "|\n";
  };
  line(header, "");
  for (int c = 0; c < kColumns; ++c) {
    out += "|";
    out += std::string(widths[c], '-');
  }
  out += "|\n";
  for (const Row& row : rows) {
    const bool tint = color && row.level != v1::MirageRisk::LEVEL_UNSPECIFIED;
    line(row.cells, tint ? LevelColor(row.level) : std::string_view());
  }
}

// Visits each risk that says something: everything but NONE.
void ForEachRisk(
    const v1::RunSummary& run,
    const std::function<void(const v1::TaskSummary&, const v1::MetricSummary&)>& visit) {
  for (const auto wanted : {v1::MirageRisk::HIGH, v1::MirageRisk::UNKNOWN, v1::MirageRisk::LOW}) {
    for (const v1::TaskSummary& task : run.tasks()) {
      for (const v1::MetricSummary& m : task.metrics()) {
        if (m.role() == v1::MetricSummary::REPORTED && m.mirage_risk().level() == wanted) {
          visit(task, m);
        }
      }
    }
  }
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

}  // namespace

std::string AttachTable(const v1::AttachReport& report, const TableOptions& options) {
  std::string out;
  for (const v1::RunSummary& run : report.runs()) {
    if (!out.empty()) out += "\n";
    out += RunTitle(run) + "\n";
    AppendTable(RowsOf(run, options), IntervalHeader(run), options.color, out);

    bool any = false;
    ForEachRisk(run, [&](const v1::TaskSummary& task, const v1::MetricSummary& m) {
      if (!any) out += "\nMirage risk\n";
      any = true;
      const std::string level = PadRight(LevelName(m.mirage_risk().level()), 7);
      const std::string tinted =
          options.color ? fmt::format("{}{}\x1b[0m", LevelColor(m.mirage_risk().level()), level)
                        : level;
      out += fmt::format("  {}  {} {}\n", tinted, TaskName(task), SafeText(m.metric()));
      for (const v1::Reason& reason : m.mirage_risk().reasons()) {
        out += fmt::format("             {}\n", SafeText(reason.text()));
      }
    });

    any = false;
    for (const Missing& missing : MissingOf(run)) {
      if (!any) out += "\nNot available\n";
      any = true;
      out += fmt::format("  {}: {}\n    {}\n", missing.tasks, missing.metrics,
                         SafeText(missing.reason));
    }

    any = false;
    const auto warn = [&](const std::string& text) {
      if (!any) out += "\nWarnings\n";
      any = true;
      out += fmt::format("  {}\n", text);
    };
    for (const std::string& warning : run.warnings()) warn(SafeText(warning));
    for (const v1::TaskSummary& task : run.tasks()) {
      for (const std::string& warning : task.warnings()) {
        warn(fmt::format("{}: {}", TaskName(task), SafeText(warning)));
      }
    }
  }
  return out;
}

std::string AttachMarkdown(const v1::AttachReport& report, const TableOptions& options) {
  std::string out;
  for (const v1::RunSummary& run : report.runs()) {
    if (!out.empty()) out += "\n";
    out += fmt::format("### {}\n\n", MarkdownCell(RunTitle(run)));
    for (int c = 0; c < kColumns; ++c) {
      out += fmt::format("| {} ", c == kInterval ? IntervalHeader(run) : std::string(kHeaders[c]));
    }
    out += "|\n";
    for (int c = 0; c < kColumns; ++c) out += kRightAligned[c] ? "|---:" : "|:---";
    out += "|\n";
    for (Row& row : RowsOf(run, options)) {
      const bool counterpart = row.cells[kMetric].substr(0, 2) == "  ";
      for (int c = 0; c < kColumns; ++c) {
        // Leading spaces do not indent in Markdown.
        const bool indent = c == kMetric && counterpart;
        out += fmt::format("| {}{} ", indent ? "&emsp;" : "",
                           MarkdownCell(indent ? row.cells[c].substr(2) : row.cells[c]));
      }
      out += "|\n";
    }
    bool any = false;
    ForEachRisk(run, [&](const v1::TaskSummary& task, const v1::MetricSummary& m) {
      if (!any) out += "\n**Mirage risk**\n\n";
      any = true;
      out += fmt::format("- **{}** {} {}\n", LevelName(m.mirage_risk().level()),
                         MarkdownCell(TaskName(task)), MarkdownCell(m.metric()));
      for (const v1::Reason& reason : m.mirage_risk().reasons()) {
        out += fmt::format("  - {}\n", MarkdownCell(reason.text()));
      }
    });
    any = false;
    const auto item = [&](const std::string& heading, const std::string& text) {
      if (!any) out += fmt::format("\n**{}**\n\n", heading);
      any = true;
      out += fmt::format("- {}\n", text);
    };
    for (const Missing& missing : MissingOf(run)) {
      item("Not available", MarkdownCell(fmt::format("{}: {} ({})", missing.tasks, missing.metrics,
                                                     missing.reason)));
    }
    any = false;
    for (const std::string& warning : run.warnings()) item("Warnings", MarkdownCell(warning));
    for (const v1::TaskSummary& task : run.tasks()) {
      for (const std::string& warning : task.warnings()) {
        item("Warnings", MarkdownCell(fmt::format("{}: {}", TaskName(task), warning)));
      }
    }
  }
  return out;
}

std::string AttachCsv(const v1::AttachReport& report) {
  std::string out =
      "model,harness,harness_version,path,task,filter,version,n_shot,metric,role,counterpart_of,"
      "value,stderr,interval_lower,interval_upper,interval_level,interval_method,n,n_bad,"
      "higher_is_better,chance,reported_value,reported_stderr,rederived,mirage_risk,risk_codes,"
      "signature\r\n";
  for (const v1::RunSummary& run : report.runs()) {
    for (const v1::TaskSummary& task : run.tasks()) {
      for (const v1::MetricSummary& m : task.metrics()) {
        const auto optional = [](bool has, double value) {
          return has ? CsvNumber(value) : std::string();
        };
        std::string parents, codes;
        for (const std::string& parent : m.counterpart_of()) {
          parents += (parents.empty() ? "" : " ") + parent;
        }
        for (const v1::Reason& reason : m.mirage_risk().reasons()) {
          codes += (codes.empty() ? "" : " ") + reason.code();
        }
        const bool reported = m.role() == v1::MetricSummary::REPORTED;
        const Cells cells = {run.model(),
                             run.harness(),
                             run.harness_version(),
                             run.path(),
                             task.task(),
                             task.filter(),
                             task.version(),
                             task.has_n_shot() ? std::to_string(task.n_shot()) : "",
                             m.metric(),
                             reported ? "REPORTED" : "COUNTERPART",
                             parents,
                             optional(m.has_value(), m.value()),
                             optional(m.has_stderr(), m.stderr()),
                             optional(m.has_interval(), m.interval().lower()),
                             optional(m.has_interval(), m.interval().upper()),
                             optional(m.has_interval(), m.interval().level()),
                             m.interval().method(),
                             std::to_string(m.n()),
                             std::to_string(m.n_bad()),
                             m.higher_is_better() ? "true" : "false",
                             optional(m.has_chance(), m.chance()),
                             optional(m.has_reported_value(), m.reported_value()),
                             optional(m.has_reported_stderr(), m.reported_stderr()),
                             optional(m.has_rederived(), m.rederived()),
                             reported ? v1::MirageRisk::Level_Name(m.mirage_risk().level()) : "",
                             codes,
                             m.signature()};
        for (size_t c = 0; c < cells.size(); ++c) {
          if (c > 0) out += ",";
          out += CsvCell(cells[c]);
        }
        out += "\r\n";
      }
    }
  }
  return out;
}

absl::StatusOr<std::string> ReportJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string out;
  const auto status = google::protobuf::util::MessageToJsonString(message, &out, options);
  if (!status.ok()) {
    return absl::InternalError(
        fmt::format("cannot print the answer as JSON: {}", status.message().ToString()));
  }
  if (out.empty() || out.back() != '\n') out += "\n";
  return out;
}

}  // namespace mirage::client
