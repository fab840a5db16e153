#include "client/render/metric_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <functional>
#include <map>
#include <utility>

#include "client/render/attach_report.h"
#include "client/render/terminal_text.h"
#include "nlohmann/json.hpp"

namespace mirage::client {
namespace {

using v1::MetricDescription;
using v1::StatisticDescription;

// Width of prose where the terminal's is not known, and of Markdown's source.
constexpr size_t kProseWidth = 100;
constexpr size_t kMarkdownWidth = 120;
// A column of sentences is not made narrower than this.
constexpr size_t kLeastWords = 34;
constexpr size_t kLeastCell = 12;

struct Evidence {
  MetricNeeds::Value needs;
  std::string_view flag;
  std::string_view words;
};
constexpr Evidence kEvidence[] = {
    {MetricNeeds::CHOICE_LOG_LIKELIHOODS, "choices", "a log-likelihood for every choice"},
    {MetricNeeds::GENERATION, "generation", "a generated text and a target"},
    {MetricNeeds::TARGET_LOG_LIKELIHOOD, "likelihood", "the log-likelihood of a target"},
    {MetricNeeds::TOKEN_LOG_PROBS, "token-log-probs",
     "a log-probability for each token of a target"},
    {MetricNeeds::REPEATED_SAMPLES, "repeats", "several answers to each document"},
    {MetricNeeds::VECTORS, "vectors", "vectors, labels or scores of classes"},
    {MetricNeeds::DOCUMENT_LOG_LIKELIHOOD, "document", "the log-likelihood of whole documents"},
};

const Evidence* Find(MetricNeeds::Value needs) {
  for (const Evidence& evidence : kEvidence) {
    if (evidence.needs == needs) return &evidence;
  }
  return nullptr;
}

MetricNeeds::Value NeedsOf(const MetricDescription& metric) {
  return metric.needs_size() > 0 ? metric.needs(0) : MetricNeeds::NEEDS_UNSPECIFIED;
}

// What a newer sidecar may name has its number.
std::string NeedsWords(MetricNeeds::Value needs) {
  const Evidence* const evidence = Find(needs);
  return evidence == nullptr ? fmt::format("evidence {}", static_cast<int>(needs))
                             : std::string(evidence->words);
}

// The words with the name that --recorded takes.
std::string NeedsAndFlag(MetricNeeds::Value needs) {
  const std::string_view flag = NeedsFlag(needs);
  return flag.empty() ? NeedsWords(needs) : fmt::format("{} ({})", NeedsWords(needs), flag);
}

std::string Bound(double value) {
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return fmt::format("{:g}", value);
}

// "[0, 1]", "(-inf, 0]".
std::string Range(const MetricDescription& metric) {
  return fmt::format("{}{}, {}{}", std::isinf(metric.lower_bound()) ? '(' : '[',
                     Bound(metric.lower_bound()), Bound(metric.upper_bound()),
                     std::isinf(metric.upper_bound()) ? ')' : ']');
}

std::string_view Arrow(const MetricDescription& metric) {
  return metric.higher_is_better() ? "↑" : "↓";
}

// The properties in a cell: "continuous, linear".
std::string ShortProperties(const MetricDescription& metric) {
  std::string out = metric.sharp() ? "sharp" : metric.continuous() ? "continuous" : "graded";
  if (metric.linear_in_token_error()) out += ", linear";
  if (metric.uses_wrong_choices()) out += ", wrong choices";
  return out;
}

// What the words of ShortProperties mean.
constexpr std::pair<std::string_view, std::string_view> kProperties[] = {
    {"sharp", "makes right or wrong of something finer, by a threshold or an argmax"},
    {"graded", "finer than right or wrong, in steps"},
    {"continuous", "moves with every change of a log-probability or of the distance of texts"},
    {"linear", "about proportional to the error of a token"},
    {"wrong choices", "changes with the probability of the wrong choices"},
};
constexpr std::string_view kDirections = "↑ larger is better, ↓ smaller is better";
constexpr std::string_view kLibrary = "* the C++ library computes it, attach does not";

std::string LongProperties(const MetricDescription& metric) {
  std::vector<std::string_view> words = {
      metric.sharp()        ? "sharp: right or wrong, by a threshold or an argmax"
      : metric.continuous() ? "continuous"
                            : "finer than right or wrong, in steps"};
  words.emplace_back(metric.linear_in_token_error() ? "about linear in the per-token error"
                                                    : "not linear in the per-token error");
  if (NeedsOf(metric) == MetricNeeds::CHOICE_LOG_LIKELIHOODS) {
    words.emplace_back(metric.uses_wrong_choices() ? "moves with the mass on wrong choices"
                                                   : "blind to the mass on wrong choices");
  }
  return fmt::format("{}", fmt::join(words, "; "));
}

std::string Starred(const MetricDescription& metric) {
  return SafeText(metric.metric()) + (metric.in_runs() ? "" : "*");
}

// A fact of a page. Code stands as it is in Markdown; prose is escaped there.
struct Fact {
  std::string_view label;
  std::string text;
  bool is_code = false;
};

std::vector<Fact> FactsOf(const MetricDescription& metric) {
  std::vector<Fact> facts;
  const auto add = [&](std::string_view label, std::string_view text, bool is_code = false) {
    if (!text.empty()) facts.push_back({label, SafeText(text), is_code});
  };
  add("Definition", metric.definition(), true);
  add("Convention", metric.convention());
  add("Range", fmt::format("{}, {} is better", Range(metric),
                           metric.higher_is_better() ? "larger" : "smaller"));
  add("Unit", metric.unit());
  add("Properties", LongProperties(metric));
  add("Aggregation", metric.aggregation());
  add("Needs", NeedsAndFlag(NeedsOf(metric)));
  add("Edge cases", metric.edge_cases());
  add("Complexity", metric.complexity());
  add("Signature", metric.signature(), true);
  add("Source", metric.source());
  add("C++ header", metric.header(), true);
  add("Computed by",
      metric.in_runs() ? "attach, and the C++ library" : "the C++ library; attach does not");
  add("Reported by", metric.used_by());
  return facts;
}

std::vector<Fact> FactsOf(const StatisticDescription& statistic) {
  std::vector<Fact> facts;
  const auto add = [&](std::string_view label, std::string_view text, bool is_code = false) {
    if (!text.empty()) facts.push_back({label, SafeText(text), is_code});
  };
  add("Kind", statistic.kind());
  add("Definition", statistic.definition(), true);
  add("Valid", statistic.valid());
  add("Edge cases", statistic.edge_cases());
  add("Complexity", statistic.complexity());
  add("Source", statistic.source());
  add("C++ header", statistic.header(), true);
  return facts;
}

// Prose for Markdown: what would be taken for markup is escaped, and nothing else, so that the
// source stays readable.
std::string MarkdownProse(std::string_view text) {
  const auto is_word = [&](size_t i) {
    const auto c = static_cast<unsigned char>(i < text.size() ? text[i] : ' ');
    return c >= 0x80 || std::isalnum(c) != 0;
  };
  const bool has_link = text.find("](") != text.npos;
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool inside_word = c == '_' && i > 0 && is_word(i - 1) && is_word(i + 1);
    const bool is_markup =
        std::string_view("\\`*_<>|").find(c) != std::string_view::npos && !inside_word;
    if (is_markup || (has_link && c == '[')) out += '\\';
    out += c;
  }
  return out;
}

std::string MarkdownCode(std::string_view text) {
  return text.find('`') == text.npos ? fmt::format("`{}`", text) : fmt::format("`` {} ``", text);
}

// A code span in a table: its bars would end the cell.
std::string MarkdownCodeCell(std::string_view text) {
  std::string out;
  for (const char c : MarkdownCode(text)) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

// The anchor that GitHub gives to a heading.
std::string Slug(std::string_view heading) {
  std::string out;
  for (const char c : heading) {
    const auto u = static_cast<unsigned char>(c);
    if (c == ' ') {
      out += '-';
    } else if (std::isalnum(u) != 0 || c == '_' || c == '-' || u >= 0x80) {
      out += static_cast<char>(std::tolower(u));
    }
  }
  return out;
}

// Anchors of headings in the order in which they stand: the second of one text gets a number.
class Anchors {
 public:
  std::string Next(std::string_view heading) {
    const std::string slug = Slug(heading);
    const int n = seen_[slug]++;
    return n == 0 ? slug : fmt::format("{}-{}", slug, n);
  }

 private:
  std::map<std::string, int> seen_;
};

std::string Capitalized(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') {
    text[0] = static_cast<char>(text[0] - 'a' + 'A');
  }
  return text;
}

// A table's column. Sentences may be broken into lines of at least `least` columns; 0 for what
// stays whole.
struct Column {
  std::string_view header;
  size_t least = 0;
  // May be left out where the table does not fit.
  bool is_optional = false;
};
using Cells = std::vector<std::string>;
struct Group {
  std::string heading;
  std::vector<Cells> rows;
};

// The tables of all groups, with the same widths.
std::string Tables(const std::vector<Column>& columns, const std::vector<Group>& groups,
                   size_t width) {
  std::vector<size_t> widths;
  for (size_t c = 0; c < columns.size(); ++c) {
    size_t widest = std::max<size_t>(1, DisplayWidth(columns[c].header));
    for (const Group& group : groups) {
      for (const Cells& row : group.rows) widest = std::max(widest, DisplayWidth(row[c]));
    }
    widths.push_back(widest);
  }
  std::vector<bool> is_shown(columns.size(), true);
  const auto total = [&] {
    size_t sum = 1;
    for (size_t c = 0; c < columns.size(); ++c) sum += is_shown[c] ? widths[c] + 1 : 0;
    return sum;
  };
  // The widest first, so that no column of sentences is left much narrower than another.
  const auto narrow = [&] {
    while (total() > width) {
      size_t widest = columns.size();
      for (size_t c = 0; c < columns.size(); ++c) {
        if (!is_shown[c] || columns[c].least == 0 || widths[c] <= columns[c].least) continue;
        if (widest == columns.size() || widths[c] > widths[widest]) widest = c;
      }
      if (widest == columns.size()) return;
      --widths[widest];
    }
  };
  if (width > 0) {
    const std::vector<size_t> natural = widths;
    narrow();
    if (total() > width) {
      for (size_t c = 0; c < columns.size(); ++c) is_shown[c] = !columns[c].is_optional;
      widths = natural;
      narrow();
    }
  }
  std::string out;
  const auto line = [&](const Cells& cells) {
    std::vector<std::vector<std::string>> lines(columns.size());
    size_t height = 1;
    for (size_t c = 0; c < columns.size(); ++c) {
      if (!is_shown[c]) continue;
      lines[c] = Wrapped(cells[c], columns[c].least == 0 ? 0 : widths[c]);
      height = std::max(height, lines[c].size());
    }
    for (size_t i = 0; i < height; ++i) {
      for (size_t c = 0; c < columns.size(); ++c) {
        if (!is_shown[c]) continue;
        out += "|" + PadRight(i < lines[c].size() ? lines[c][i] : "", widths[c]);
      }
      out += "|\n";
    }
  };
  for (const Group& group : groups) {
    if (!out.empty()) out += "\n";
    if (!group.heading.empty()) {
      for (const std::string& heading : Wrapped(group.heading, width)) out += heading + "\n";
    }
    Cells headers;
    for (const Column& column : columns) headers.emplace_back(column.header);
    line(headers);
    for (size_t c = 0; c < columns.size(); ++c) {
      if (is_shown[c]) out += "|" + std::string(widths[c], '-');
    }
    out += "|\n";
    for (const Cells& row : group.rows) line(row);
  }
  return out;
}

// The same as Markdown, one table; the cells are Markdown already.
std::string MarkdownTable(const std::vector<std::string_view>& headers,
                          const std::vector<Cells>& rows) {
  std::string out = fmt::format("| {} |\n", fmt::join(headers, " | "));
  for (size_t c = 0; c < headers.size(); ++c) out += "|---";
  out += "|\n";
  for (const Cells& row : rows) out += fmt::format("| {} |\n", fmt::join(row, " | "));
  return out;
}

// Calls visit(key, items) for runs of neighbours with the same key.
template <typename Item, typename Key, typename Visit>
void ForEachGroup(const std::vector<Item>& items, const Key& key, const Visit& visit) {
  for (auto at = items.begin(); at != items.end();) {
    const auto group = key(*at);
    const auto end =
        std::find_if(at, items.end(), [&](const Item& item) { return !(key(item) == group); });
    visit(group, std::vector<Item>(at, end));
    at = end;
  }
}

std::string_view KindOf(const StatisticDescription& statistic) { return statistic.kind(); }

const std::vector<Column>& FamilyColumns() {
  static const auto* const columns = new std::vector<Column>{{"Name"},
                                                             {"Convention", kLeastCell},
                                                             {"Definition", kLeastCell},
                                                             {"Range"},
                                                             {"Used by", kLeastCell}};
  return *columns;
}

std::string FamilyMarkdown(const std::vector<MetricDescription>& family) {
  std::vector<Cells> rows;
  rows.reserve(family.size());
  for (const MetricDescription& member : family) {
    rows.push_back({MarkdownCodeCell(SafeText(member.metric())),
                    MarkdownProse(SafeText(member.convention())),
                    MarkdownCodeCell(SafeText(member.definition())), Range(member),
                    MarkdownProse(SafeText(member.used_by()))});
  }
  return MarkdownTable({"Name", "Convention", "Definition", "Range", "Used by"}, rows);
}

// Facts as aligned lines under each other.
std::string FactLines(const std::vector<Fact>& facts, size_t width) {
  size_t label = 0;
  for (const Fact& fact : facts) label = std::max(label, fact.label.size());
  std::string out;
  for (const Fact& fact : facts) {
    bool is_first = true;
    const size_t left = label + 4;
    for (const std::string& line :
         Wrapped(fact.text, std::max(kLeastWords, width > left ? width - left : 0))) {
      out += fmt::format("  {}  {}\n", PadRight(is_first ? fact.label : "", label), line);
      is_first = false;
    }
  }
  return out;
}

void AppendWrapped(std::string_view text, size_t width, std::string& out) {
  for (const std::string& line : Wrapped(text, width)) out += line + "\n";
}

std::string FactItems(const std::vector<Fact>& facts) {
  std::string out;
  for (const Fact& fact : facts) {
    const std::string item =
        fmt::format("- **{}:** {}", fact.label,
                    fact.is_code ? MarkdownCode(fact.text) : MarkdownProse(fact.text));
    bool is_first = true;
    for (const std::string& line : Wrapped(item, kMarkdownWidth - 2)) {
      out += (is_first ? "" : "  ") + line + "\n";
      is_first = false;
    }
  }
  return out;
}

// The sections of a metric's rows: each under what it needs, where there are several.
std::string MetricSection(const std::vector<MetricDescription>& rows) {
  std::string out;
  for (const MetricDescription& row : rows) {
    if (!out.empty()) out += "\n";
    if (rows.size() > 1) out += fmt::format("**From {}**\n\n", NeedsWords(NeedsOf(row)));
    AppendWrapped(MarkdownProse(SafeText(row.summary())), kMarkdownWidth, out);
    out += "\n" + FactItems(FactsOf(row));
  }
  return out;
}

std::string StatisticSection(const StatisticDescription& statistic) {
  std::string out;
  AppendWrapped(MarkdownProse(SafeText(statistic.summary())), kMarkdownWidth, out);
  return out + "\n" + FactItems(FactsOf(statistic));
}

std::vector<MetricDescription> RowsOf(const MetricCatalogue& catalogue, std::string_view name) {
  std::vector<MetricDescription> rows;
  for (const MetricDescription& metric : catalogue.metrics) {
    if (metric.metric() == name) rows.push_back(metric);
  }
  return rows;
}

std::vector<std::string> Families(const MetricCatalogue& catalogue) {
  std::vector<std::string> families;
  for (const MetricDescription& metric : catalogue.metrics) {
    if (!metric.family().empty() &&
        std::find(families.begin(), families.end(), metric.family()) == families.end()) {
      families.push_back(metric.family());
    }
  }
  return families;
}

std::vector<MetricDescription> MembersOf(const MetricCatalogue& catalogue,
                                         std::string_view family) {
  std::vector<MetricDescription> members;
  for (const MetricDescription& metric : catalogue.metrics) {
    if (metric.family() == family) members.push_back(metric);
  }
  return members;
}

absl::StatusOr<std::string> Json(const std::vector<MetricDescription>& metrics,
                                 const std::vector<StatisticDescription>& statistics) {
  v1::ListMetricsResponse metric_list;
  for (const MetricDescription& metric : metrics) *metric_list.add_metrics() = metric;
  v1::ListStatisticsResponse statistic_list;
  for (const auto& statistic : statistics) *statistic_list.add_statistics() = statistic;
  const auto metrics_json = ReportJson(metric_list);
  if (!metrics_json.ok()) return metrics_json.status();
  const auto statistics_json = ReportJson(statistic_list);
  if (!statistics_json.ok()) return statistics_json.status();
  using nlohmann::ordered_json;
  ordered_json out;
  out["metrics"] = ordered_json::parse(*metrics_json)["metrics"];
  out["statistics"] = ordered_json::parse(*statistics_json)["statistics"];
  return out.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

// What cannot be computed: names that lack the same thing together.
std::vector<std::pair<std::string, std::vector<std::string>>> Missing(
    const v1::SwapMetricResponse& swap) {
  std::vector<std::pair<std::string, std::vector<std::string>>> missing;
  for (const v1::Unavailable& one : swap.unavailable()) {
    const std::string reason = SafeText(one.reason());
    auto found = std::find_if(missing.begin(), missing.end(),
                              [&](const auto& entry) { return entry.first == reason; });
    if (found == missing.end()) found = missing.insert(missing.end(), {reason, {}});
    found->second.push_back(SafeText(one.metric()));
  }
  return missing;
}

std::string SwapTitle(std::string_view metric, bool is_known, const v1::SwapMetricResponse& swap) {
  const std::string name = SafeText(metric);
  std::string title = is_known ? ""
                               : fmt::format(
                                     "{} is not in the registry; what was recorded gives "
                                     "its counterparts. ",
                                     name);
  if (swap.swaps_size() > 0) {
    return title + fmt::format("Instead of {}, the preferred first:", name);
  }
  return title + (swap.unavailable_size() > 0
                      ? fmt::format("Nothing that was recorded gives a counterpart of {}.", name)
                      : fmt::format("There is no finer counterpart of {}.", name));
}

}  // namespace

std::string_view NeedsFlag(MetricNeeds::Value needs) {
  const Evidence* const evidence = Find(needs);
  return evidence == nullptr ? std::string_view() : evidence->flag;
}

std::optional<MetricNeeds::Value> NeedsOfFlag(std::string_view flag) {
  for (const Evidence& evidence : kEvidence) {
    if (evidence.flag == flag) return evidence.needs;
  }
  return std::nullopt;
}

std::vector<std::string> NeedsFlags() {
  std::vector<std::string> flags;
  for (const Evidence& evidence : kEvidence) flags.emplace_back(evidence.flag);
  return flags;
}

std::vector<std::string_view> MetricCatalogue::MetricNames() const {
  std::vector<std::string_view> names;
  for (const MetricDescription& metric : metrics) {
    if (std::find(names.begin(), names.end(), metric.metric()) == names.end()) {
      names.emplace_back(metric.metric());
    }
  }
  return names;
}

std::vector<std::string_view> MetricCatalogue::Names() const {
  std::vector<std::string_view> names = MetricNames();
  for (const StatisticDescription& statistic : statistics) {
    if (std::find(names.begin(), names.end(), statistic.statistic()) == names.end()) {
      names.emplace_back(statistic.statistic());
    }
  }
  return names;
}

MetricPage PageOf(const MetricCatalogue& catalogue, std::string_view name) {
  MetricPage page;
  page.metrics = RowsOf(catalogue, name);
  std::vector<std::string_view> families;
  for (const MetricDescription& row : page.metrics) {
    if (row.family().empty() ||
        std::find(families.begin(), families.end(), row.family()) != families.end()) {
      continue;
    }
    families.push_back(row.family());
    for (MetricDescription& member : MembersOf(catalogue, row.family())) {
      page.family.push_back(std::move(member));
    }
  }
  for (const StatisticDescription& statistic : catalogue.statistics) {
    if (statistic.statistic() == name) page.statistics.push_back(statistic);
  }
  return page;
}

std::string MetricsTable(const MetricCatalogue& catalogue, size_t width) {
  std::vector<Group> groups;
  bool has_stars = false;
  ForEachGroup(catalogue.metrics, NeedsOf, [&](MetricNeeds::Value needs, const auto& metrics) {
    Group group{.heading = fmt::format("Metrics from {}", NeedsAndFlag(needs)), .rows = {}};
    for (const MetricDescription& metric : metrics) {
      has_stars = has_stars || !metric.in_runs();
      group.rows.push_back({Starred(metric), std::string(Arrow(metric)), SafeText(metric.summary()),
                            Range(metric), ShortProperties(metric)});
    }
    groups.push_back(std::move(group));
  });
  std::string out = Tables({{"Metric"},
                            {""},
                            {"What it is", kLeastWords},
                            {"Range", 0, true},
                            {"Properties", kLeastCell + 1}},
                           groups, width);
  groups.clear();
  ForEachGroup(catalogue.statistics, KindOf, [&](std::string_view kind, const auto& statistics) {
    Group group{.heading = fmt::format("Statistics: {}", SafeText(kind)), .rows = {}};
    for (const StatisticDescription& statistic : statistics) {
      group.rows.push_back({SafeText(statistic.statistic()), SafeText(statistic.summary()),
                            SafeText(statistic.header())});
    }
    groups.push_back(std::move(group));
  });
  if (!out.empty() && !groups.empty()) out += "\n";
  out +=
      Tables({{"Statistic"}, {"What it is", kLeastWords}, {"C++ header", 0, true}}, groups, width);
  out += "\nWhat the words mean\n";
  std::vector<Fact> words;
  for (const auto& [word, meaning] : kProperties) words.push_back({word, std::string(meaning)});
  out += FactLines(words, width == 0 ? kProseWidth : width);
  out += fmt::format("  {}\n", kDirections);
  if (has_stars) out += fmt::format("  {}\n", kLibrary);
  out += "\n";
  AppendWrapped(
      "`mirage metrics show NAME` has all about one, `mirage metrics swap NAME` what to use "
      "instead "
      "of it.",
      width == 0 ? kProseWidth : width, out);
  return out;
}

std::string MetricsMarkdown(const MetricCatalogue& catalogue) {
  const std::vector<std::string> families = Families(catalogue);
  const std::vector<std::string_view> names = catalogue.MetricNames();
  Anchors anchors;
  for (const std::string_view fixed : {"Metrics and statistics", "Contents"}) anchors.Next(fixed);
  // In the order in which the headings stand below.
  std::map<std::string, std::string, std::less<>> family_anchors, metric_anchors, statistic_anchors;
  if (!families.empty()) anchors.Next("Conventions that differ");
  for (const std::string& family : families) family_anchors[family] = anchors.Next(family);
  anchors.Next("Metrics");
  for (const std::string_view name : names) metric_anchors[std::string(name)] = anchors.Next(name);
  anchors.Next("Statistics");
  for (const StatisticDescription& statistic : catalogue.statistics) {
    statistic_anchors[statistic.statistic()] = anchors.Next(statistic.statistic());
  }
  const auto link = [](std::string_view name, const std::string& anchor) {
    return fmt::format("[{}](#{})", MarkdownCodeCell(SafeText(name)), anchor);
  };

  std::string out =
      "<!-- Written by `mirage metrics --output-format markdown -o docs/metrics.md`: change the "
      "registry, not this. -->\n"
      "# Metrics and statistics\n\n"
      "What Mirage computes, with the definition, the convention and the guarantees of each. The "
      "same on the\ncommand line: `mirage metrics`, `mirage metrics show NAME`, and `mirage "
      "metrics "
      "swap NAME` for what to use\ninstead of a sharp metric.\n\n## Contents\n\n";
  for (const auto& [word, meaning] : kProperties) out += fmt::format("- *{}*: {}\n", word, meaning);
  out += fmt::format("- {}\n- \\{}\n", kDirections, kLibrary);
  if (!families.empty()) {
    std::vector<std::string> links;
    links.reserve(families.size());
    for (const std::string& family : families) {
      links.push_back(fmt::format("[{}](#{})", MarkdownProse(SafeText(family)),
                                  family_anchors.find(family)->second));
    }
    out += "\n";
    AppendWrapped(
        fmt::format("Names that stand for several definitions: {}.", fmt::join(links, ", ")),
        kMarkdownWidth, out);
  }
  ForEachGroup(catalogue.metrics, NeedsOf, [&](MetricNeeds::Value needs, const auto& metrics) {
    out += fmt::format("\n**Metrics from {}** (`{}`)\n\n", NeedsWords(needs), NeedsFlag(needs));
    std::vector<Cells> rows;
    rows.reserve(metrics.size());
    for (const MetricDescription& metric : metrics) {
      rows.push_back({link(metric.metric(), metric_anchors.find(metric.metric())->second) +
                          (metric.in_runs() ? "" : "\\*"),
                      std::string(Arrow(metric)), MarkdownProse(SafeText(metric.summary())),
                      Range(metric), ShortProperties(metric)});
    }
    out += MarkdownTable({"Metric", "", "What it is", "Range", "Properties"}, rows);
  });
  ForEachGroup(catalogue.statistics, KindOf, [&](std::string_view kind, const auto& statistics) {
    out += fmt::format("\n**Statistics: {}**\n\n", MarkdownProse(SafeText(kind)));
    std::vector<Cells> rows;
    rows.reserve(statistics.size());
    for (const StatisticDescription& statistic : statistics) {
      rows.push_back({link(statistic.statistic(), statistic_anchors[statistic.statistic()]),
                      MarkdownProse(SafeText(statistic.summary()))});
    }
    out += MarkdownTable({"Statistic", "What it is"}, rows);
  });

  if (!families.empty()) out += "\n## Conventions that differ\n";
  for (const std::string& family : families) {
    out += fmt::format("\n### {}\n\n", MarkdownProse(SafeText(family)));
    out += FamilyMarkdown(MembersOf(catalogue, family));
  }
  out += "\n## Metrics\n";
  for (const std::string_view name : names) {
    const auto rows = RowsOf(catalogue, name);
    out += fmt::format("\n### {}\n\n{}", MarkdownProse(SafeText(name)), MetricSection(rows));
    std::vector<std::string> links;
    for (const std::string& family : families) {
      const auto is_member = [&](const MetricDescription& row) { return row.family() == family; };
      if (std::any_of(rows.begin(), rows.end(), is_member)) {
        links.push_back(fmt::format("[{}](#{})", MarkdownProse(SafeText(family)),
                                    family_anchors.find(family)->second));
      }
    }
    if (!links.empty()) out += fmt::format("- **Other conventions:** {}\n", fmt::join(links, ", "));
  }
  out += "\n## Statistics\n";
  for (const StatisticDescription& statistic : catalogue.statistics) {
    out += fmt::format("\n### {}\n\n{}", MarkdownProse(SafeText(statistic.statistic())),
                       StatisticSection(statistic));
  }
  return out;
}

absl::StatusOr<std::string> MetricsJson(const MetricCatalogue& catalogue) {
  return Json(catalogue.metrics, catalogue.statistics);
}

std::string PageTable(const MetricPage& page, size_t width) {
  if (width == 0) width = kProseWidth;
  std::string out;
  for (const MetricDescription& row : page.metrics) {
    if (!out.empty()) out += "\n";
    out += SafeText(row.metric());
    if (page.metrics.size() > 1) out += fmt::format(", from {}", NeedsWords(NeedsOf(row)));
    out += "\n";
    AppendWrapped(SafeText(row.summary()), width, out);
    out += "\n" + FactLines(FactsOf(row), width);
  }
  for (const StatisticDescription& statistic : page.statistics) {
    if (!out.empty()) out += "\n";
    out += SafeText(statistic.statistic()) + "\n";
    AppendWrapped(SafeText(statistic.summary()), width, out);
    out += "\n" + FactLines(FactsOf(statistic), width);
  }
  std::vector<Group> groups;
  ForEachGroup(
      page.family, [](const MetricDescription& member) { return member.family(); },
      [&](const std::string& family, const auto& members) {
        Group group{.heading = fmt::format("{}: the conventions in use", SafeText(family)),
                    .rows = {}};
        for (const MetricDescription& member : members) {
          group.rows.push_back({SafeText(member.metric()), SafeText(member.convention()),
                                SafeText(member.definition()), Range(member),
                                SafeText(member.used_by())});
        }
        groups.push_back(std::move(group));
      });
  if (!groups.empty()) out += "\n" + Tables(FamilyColumns(), groups, width);
  return out;
}

std::string PageMarkdown(const MetricPage& page) {
  std::string out;
  if (!page.metrics.empty()) {
    out += fmt::format("### {}\n\n{}", MarkdownProse(SafeText(page.metrics.front().metric())),
                       MetricSection(page.metrics));
  }
  for (const StatisticDescription& statistic : page.statistics) {
    if (!out.empty()) out += "\n";
    out += fmt::format("### {}\n\n{}", MarkdownProse(SafeText(statistic.statistic())),
                       StatisticSection(statistic));
  }
  ForEachGroup(
      page.family, [](const MetricDescription& member) { return member.family(); },
      [&](const std::string& family, const auto& members) {
        out += fmt::format("\n**{}: the conventions in use**\n\n{}",
                           MarkdownProse(SafeText(family)), FamilyMarkdown(members));
      });
  return out;
}

absl::StatusOr<std::string> PageJson(const MetricPage& page) {
  std::vector<MetricDescription> metrics = page.metrics;
  for (const MetricDescription& member : page.family) {
    const bool is_there =
        std::any_of(page.metrics.begin(), page.metrics.end(),
                    [&](const MetricDescription& row) { return row.metric() == member.metric(); });
    if (!is_there) metrics.push_back(member);
  }
  return Json(metrics, page.statistics);
}

std::string SwapTable(std::string_view metric, bool is_known, const v1::SwapMetricResponse& swap,
                      size_t width) {
  const size_t prose = width == 0 ? kProseWidth : width;
  std::string out;
  AppendWrapped(SwapTitle(metric, is_known, swap), prose, out);
  const std::vector<v1::MetricSwap> swaps(swap.swaps().begin(), swap.swaps().end());
  std::vector<Group> groups;
  int place = 0;
  ForEachGroup(
      swaps, [](const v1::MetricSwap& one) { return NeedsOf(one.counterpart()); },
      [&](MetricNeeds::Value needs, const std::vector<v1::MetricSwap>& members) {
        std::string requirement = SafeText(members.front().requirement());
        if (!NeedsFlag(needs).empty()) requirement += fmt::format(" ({})", NeedsFlag(needs));
        Group group{.heading = "Needs " + requirement, .rows = {}};
        for (const v1::MetricSwap& one : members) {
          group.rows.push_back({std::to_string(++place), SafeText(one.counterpart().metric()),
                                std::string(Arrow(one.counterpart())),
                                SafeText(one.counterpart().summary()), SafeText(one.reason())});
        }
        groups.push_back(std::move(group));
      });
  if (!groups.empty()) {
    out += "\n" + Tables({{"#"}, {"Metric"}, {""}, {"What it is", kLeastCell}, {"Why", kLeastCell}},
                         groups, width);
  }
  const auto missing = Missing(swap);
  if (!missing.empty()) out += "\nNot available\n";
  for (const auto& [reason, names] : missing) {
    for (const std::string& line :
         Wrapped(fmt::format("{}: {}", Capitalized(reason), fmt::join(names, ", ")), prose - 2)) {
      out += "  " + line + "\n";
    }
  }
  return out;
}

std::string SwapMarkdown(std::string_view metric, bool is_known,
                         const v1::SwapMetricResponse& swap) {
  std::string out = MarkdownProse(SwapTitle(metric, is_known, swap)) + "\n";
  if (swap.swaps_size() > 0) {
    std::vector<Cells> rows;
    for (const v1::MetricSwap& one : swap.swaps()) {
      rows.push_back(
          {std::to_string(rows.size() + 1), MarkdownCodeCell(SafeText(one.counterpart().metric())),
           std::string(Arrow(one.counterpart())),
           MarkdownProse(SafeText(one.counterpart().summary())),
           MarkdownProse(SafeText(one.reason())), MarkdownProse(SafeText(one.requirement()))});
    }
    out += "\n" + MarkdownTable({"#", "Metric", "", "What it is", "Why", "Needs"}, rows);
  }
  const auto missing = Missing(swap);
  if (!missing.empty()) out += "\n**Not available**\n\n";
  for (const auto& [reason, names] : missing) {
    out += fmt::format("- {}: {}\n", MarkdownProse(Capitalized(reason)),
                       MarkdownProse(fmt::format("{}", fmt::join(names, ", "))));
  }
  return out;
}

}  // namespace mirage::client
