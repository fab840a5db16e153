// The answer of `mirage attach` as a table, JSON, Markdown or CSV.
#ifndef MIRAGE_CLIENT_RENDER_ATTACH_REPORT_H_
#define MIRAGE_CLIENT_RENDER_ATTACH_REPORT_H_

#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "mirage/v1/run.pb.h"

namespace mirage::client {

struct TableOptions {
  // Colour the risk by ANSI escapes.
  bool color = false;
  // Show every counterpart; else the first few of each metric, in the registry's
  // order of preference, and how many more there are.
  bool all_metrics = false;
  // Columns of the terminal: a table that is wider leaves out what says least (an empty
  // Filter or Chance, then Version, n-shot and the standard error). 0 means no limit.
  size_t width = 0;
};

// Counterparts shown under a metric unless all are asked for.
inline constexpr size_t kShownCounterparts = 6;

// For people: lm-eval's columns, each counterpart indented under the metric that it
// belongs to; then warnings, the reasons of each risk, what is not available and why; and
// at the end, once, what the levels and the counterparts mean. A counterpart that equals one
// above it to the last bit is not shown unless all are. Numbers have the digits that their
// standard errors allow. Text from logs is made safe for the terminal.
std::string AttachTable(const v1::AttachReport& report, const TableOptions& options);

// The same as GitHub-flavoured Markdown.
std::string AttachMarkdown(const v1::AttachReport& report, const TableOptions& options);

// One row a metric, RFC 4180, with a header. Numbers print with all their digits.
std::string AttachCsv(const v1::AttachReport& report);

// Visits each warning of a run as it came, those of a task with its name and filter.
void ForEachWarning(const v1::RunSummary& run,
                    const std::function<void(const std::string& text)>& visit);

// ProtoJSON by the contract: proto field names, plain fields always printed.
// INTERNAL when protobuf cannot print it.
absl::StatusOr<std::string> ReportJson(const google::protobuf::Message& message);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_RENDER_ATTACH_REPORT_H_
