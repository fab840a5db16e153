#include "client/render/attach_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "client/render/cells.h"
#include "client/render/terminal_text.h"

namespace mirage::client {
namespace {

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
// What is told once below the tables.
struct Legend {
  // What the counterparts that are shown mean, by name.
  std::map<std::string, std::string> meanings;
  // Whether there are others.
  bool has_hidden = false;
};
// Two numbers are the same when they differ by no more than this, relative to the
// larger of the second and 1.
constexpr double kSameValue = 1e-12;
// What the levels mean, once a report.
constexpr std::string_view kRiskLegend =
    "HIGH: the next step of progress would look like a jump, or the test set is blind here; follow "
    "the counterparts.\n"
    "low: not shown to bend much. none: moves in proportion. unknown: nothing recorded that could "
    "tell.";

struct Row {
  Cells cells = Cells(kColumns);
  v1::MirageRisk::Level level = v1::MirageRisk::LEVEL_UNSPECIFIED;
};

std::string IntervalText(const v1::MetricSummary& m, int decimals) {
  if (!m.has_interval()) return "";
  return fmt::format("[{}, {}]", NumberText(m.interval().lower(), decimals),
                     NumberText(m.interval().upper(), decimals));
}

Row MetricRow(const v1::MetricSummary& m) {
  Row row;
  const bool counterpart = m.role() == v1::MetricSummary::COUNTERPART;
  row.cells[kMetric] = (counterpart ? "  " : "") + SafeText(m.metric());
  row.cells[kArrow] = m.higher_is_better() ? "↑" : "↓";
  // Without samples the harness's own number is all there is.
  const bool own = m.has_value();
  const bool has_error = own ? m.has_stderr() : m.has_reported_stderr();
  const double error = own ? m.stderr() : m.reported_stderr();
  const int decimals = has_error ? DecimalsFor(error) : kUsualDecimals;
  row.cells[kValue] = own                      ? NumberText(m.value(), decimals)
                      : m.has_reported_value() ? NumberText(m.reported_value(), decimals)
                                               : "-";
  if (has_error) {
    row.cells[kPlusMinus] = "±";
    row.cells[kStderr] = NumberText(error, decimals);
  }
  row.cells[kInterval] = IntervalText(m, decimals);
  if (m.has_chance()) row.cells[kChance] = NumberText(m.chance());
  if (!counterpart) {
    row.level = m.mirage_risk().level();
    row.cells[kRisk] = LevelName(row.level);
  }
  return row;
}

// The harness's own number, in a row below, where the rows give another one.
std::optional<Row> HarnessRow(const v1::MetricSummary& m) {
  if (!m.has_value() || !m.has_reported_value()) return std::nullopt;
  if (m.value() == m.reported_value()) return std::nullopt;  // also both infinite
  const double difference = std::abs(m.value() - m.reported_value());
  const double scale = std::max(1.0, std::abs(m.reported_value()));
  if (std::isfinite(difference) && difference <= kSameValue * scale) return std::nullopt;
  Row row;
  row.cells[kMetric] = "  (the harness's)";
  row.cells[kValue] = NumberText(m.reported_value());
  return row;
}

// Whether a counterpart says nothing that `shown` does not: characters and bytes of
// plain text are as many.
bool IsSameNumberText(const v1::MetricSummary& shown, const v1::MetricSummary& m) {
  return m.has_value() && m.stderr() > 0 && m.value() == shown.value() && m.n() == shown.n() &&
         m.stderr() == shown.stderr();
}

// The rows of a run: reported metrics and the counterparts to show.
std::vector<Row> RowsOf(const v1::RunSummary& run, const TableOptions& options, Legend& legend) {
  std::vector<Row> rows;
  for (const v1::TaskSummary& task : run.tasks()) {
    bool first = true;
    std::vector<const v1::MetricSummary*> shown;
    int hidden = 0;
    const auto flush_hidden = [&] {
      if (hidden > 0) {
        Row more;
        more.cells[kMetric] = fmt::format("  … {} more", hidden);
        legend.has_hidden = true;
        rows.push_back(std::move(more));
      }
      shown.clear();
      hidden = 0;
    };
    for (const v1::MetricSummary& m : task.metrics()) {
      if (m.role() == v1::MetricSummary::COUNTERPART) {
        const bool is_shown = std::any_of(shown.begin(), shown.end(), [&](const auto* other) {
          return IsSameNumberText(*other, m);
        });
        if (!options.all_metrics && (is_shown || shown.size() >= kShownCounterparts)) {
          ++hidden;
          continue;
        }
        shown.push_back(&m);
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
      if (m.role() == v1::MetricSummary::REPORTED) {
        if (auto harness = HarnessRow(m); harness.has_value()) rows.push_back(*std::move(harness));
      } else if (!m.summary().empty()) {
        legend.meanings.emplace(m.metric(), m.summary());
      }
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

// "a, b, c" or, unless all are asked for, "a and 8 more".
std::string MissingNames(const std::vector<std::string>& metrics, bool all) {
  constexpr size_t kNamed = 3;
  if (!all && metrics.size() > kNamed) {
    return fmt::format("{} and {} more metrics", metrics.front(), metrics.size() - 1);
  }
  return fmt::format("{}", fmt::join(metrics, ", "));
}

std::vector<Missing> MissingOf(const v1::RunSummary& run, bool all_metrics) {
  std::vector<Missing> all;
  for (const v1::TaskSummary& task : run.tasks()) {
    std::vector<std::pair<std::string, std::vector<std::string>>> by_reason;
    for (const v1::Unavailable& missing : task.unavailable()) {
      auto found = std::find_if(by_reason.begin(), by_reason.end(),
                                [&](const auto& entry) { return entry.first == missing.reason(); });
      if (found == by_reason.end()) {
        found = by_reason.insert(by_reason.end(), {missing.reason(), {}});
      }
      found->second.push_back(SafeText(missing.metric()));
    }
    for (const auto& [reason, metrics] : by_reason) {
      Missing missing{TaskName(task), MissingNames(metrics, all_metrics), reason};
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

// Columns to print: all, or, where they do not fit into `width` columns (0: no limit), without
// those that say least, and never those that are empty.
std::vector<Column> ColumnsToPrint(const std::vector<Row>& rows, const size_t (&widths)[kColumns],
                                   size_t width) {
  std::vector<Column> columns;
  columns.reserve(kColumns);
  for (int c = 0; c < kColumns; ++c) columns.push_back(static_cast<Column>(c));
  if (width == 0) return columns;
  const auto total = [&] {
    size_t sum = 1;
    for (const Column c : columns) sum += widths[c] + 1;
    return sum;
  };
  const auto drop = [&](Column column) {
    columns.erase(std::remove(columns.begin(), columns.end(), column), columns.end());
  };
  const auto says_something = [&](Column column) {
    return std::any_of(rows.begin(), rows.end(), [&](const Row& row) {
      return !row.cells[column].empty() && row.cells[column] != "none";
    });
  };
  for (const Column column : {kFilter, kChance}) {
    if (total() > width && !says_something(column)) drop(column);
  }
  for (const Column column : {kVersion, kShots, kStderr, kPlusMinus}) {
    if (total() > width) drop(column);
  }
  return columns;
}

void AppendTable(const std::vector<Row>& rows, const std::string& interval_header,
                 const TableOptions& options, std::string& out) {
  size_t widths[kColumns];
  Cells header;
  for (int c = 0; c < kColumns; ++c) {
    header.emplace_back(c == kInterval ? interval_header : std::string(kHeaders[c]));
    // Markdown's rule needs a dash in every column.
    widths[c] = std::max<size_t>(1, DisplayWidth(header[c]));
    for (const Row& row : rows) widths[c] = std::max(widths[c], DisplayWidth(row.cells[c]));
  }
  const std::vector<Column> columns = ColumnsToPrint(rows, widths, options.width);
  const auto line = [&](const Cells& cells, std::string_view risk_color) {
    for (const Column c : columns) {
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
  for (const Column c : columns) {
    out += "|";
    out += std::string(widths[c], '-');
  }
  out += "|\n";
  for (const Row& row : rows) {
    const bool tint = options.color && row.level != v1::MirageRisk::LEVEL_UNSPECIFIED;
    line(row.cells, tint ? LevelColor(row.level) : std::string_view());
  }
}

// Visits each risk that says something, the highest first.
void ForEachRisk(
    const v1::RunSummary& run,
    const std::function<void(const v1::TaskSummary&, const v1::MetricSummary&)>& visit) {
  // Of a continuous metric there is nothing to explain.
  const auto is_continuous = [](const v1::MetricSummary& m) {
    const auto& reasons = m.mirage_risk().reasons();
    return std::any_of(reasons.begin(), reasons.end(),
                       [](const v1::Reason& reason) { return reason.code() == "CONTINUOUS"; });
  };
  for (const auto wanted :
       {v1::MirageRisk::HIGH, v1::MirageRisk::UNKNOWN, v1::MirageRisk::LOW, v1::MirageRisk::NONE}) {
    for (const v1::TaskSummary& task : run.tasks()) {
      for (const v1::MetricSummary& m : task.metrics()) {
        if (m.role() == v1::MetricSummary::REPORTED && m.mirage_risk().level() == wanted &&
            !is_continuous(m)) {
          visit(task, m);
        }
      }
    }
  }
}

// Lines after the first, indented by two.
std::string Indented(std::string_view lines) {
  std::string out;
  for (const char c : lines) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out;
}

}  // namespace

void ForEachWarning(const v1::RunSummary& run,
                    const std::function<void(const std::string& text)>& visit) {
  for (const std::string& warning : run.warnings()) visit(warning);
  for (const v1::TaskSummary& task : run.tasks()) {
    for (const std::string& warning : task.warnings()) {
      visit(fmt::format("{}: {}", TaskName(task), warning));
    }
  }
}

std::string AttachTable(const v1::AttachReport& report, const TableOptions& options) {
  std::string out;
  Legend legend;
  bool any_risk = false;
  for (const v1::RunSummary& run : report.runs()) {
    if (!out.empty()) out += "\n";
    out += RunTitle(run) + "\n";
    AppendTable(RowsOf(run, options, legend), IntervalHeader(run), options, out);

    // What may make the numbers above wrong comes before what they mean.
    bool any = false;
    const auto warn = [&](const std::string& text) {
      if (!any) out += "\nWarnings\n";
      any = true;
      out += fmt::format("  {}\n", text);
    };
    ForEachWarning(run, [&](const std::string& text) { warn(SafeText(text)); });

    any = false;
    ForEachRisk(run, [&](const v1::TaskSummary& task, const v1::MetricSummary& m) {
      if (!any) out += "\nMirage risk\n";
      any = any_risk = true;
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
    for (const Missing& missing : MissingOf(run, options.all_metrics)) {
      if (!any) out += "\nNot available\n";
      any = true;
      out += fmt::format("  {}: {}\n    {}\n", missing.tasks, missing.metrics,
                         SafeText(missing.reason));
    }
  }
  if (any_risk) out += fmt::format("\nLevels of risk\n  {}\n", Indented(kRiskLegend));
  if (!legend.meanings.empty()) {
    out += "\nCounterparts\n";
    size_t width = 0;
    for (const auto& [name, meaning] : legend.meanings)
      width = std::max(width, DisplayWidth(SafeText(name)));
    for (const auto& [name, meaning] : legend.meanings) {
      out += fmt::format("  {}  {}\n", PadRight(SafeText(name), width), SafeText(meaning));
    }
    if (legend.has_hidden) out += "  --all-metrics shows the others.\n";
  }
  return out;
}

std::string AttachMarkdown(const v1::AttachReport& report, const TableOptions& options) {
  std::string out;
  Legend legend;
  bool any_risk = false;
  for (const v1::RunSummary& run : report.runs()) {
    if (!out.empty()) out += "\n";
    out += fmt::format("### {}\n\n", MarkdownCell(RunTitle(run)));
    for (int c = 0; c < kColumns; ++c) {
      out += fmt::format("| {} ", c == kInterval ? IntervalHeader(run) : std::string(kHeaders[c]));
    }
    out += "|\n";
    for (int c = 0; c < kColumns; ++c) out += kRightAligned[c] ? "|---:" : "|:---";
    out += "|\n";
    for (Row& row : RowsOf(run, options, legend)) {
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
    const auto item = [&](const std::string& heading, const std::string& text) {
      if (!any) out += fmt::format("\n**{}**\n\n", heading);
      any = true;
      out += fmt::format("- {}\n", text);
    };
    ForEachWarning(run, [&](const std::string& text) { item("Warnings", MarkdownCell(text)); });
    any = false;
    ForEachRisk(run, [&](const v1::TaskSummary& task, const v1::MetricSummary& m) {
      any_risk = true;
      item("Mirage risk", fmt::format("**{}** {} {}", LevelName(m.mirage_risk().level()),
                                      MarkdownCell(TaskName(task)), MarkdownCell(m.metric())));
      for (const v1::Reason& reason : m.mirage_risk().reasons()) {
        out += fmt::format("  - {}\n", MarkdownCell(reason.text()));
      }
    });
    any = false;
    for (const Missing& missing : MissingOf(run, options.all_metrics)) {
      item("Not available", MarkdownCell(fmt::format("{}: {} ({})", missing.tasks, missing.metrics,
                                                     missing.reason)));
    }
  }
  if (any_risk) out += fmt::format("\n{}\n", kRiskLegend);
  if (!legend.meanings.empty()) {
    out += "\n**Counterparts**\n\n";
    for (const auto& [name, meaning] : legend.meanings) {
      out += fmt::format("- {}: {}\n", MarkdownCell(name), MarkdownCell(meaning));
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
