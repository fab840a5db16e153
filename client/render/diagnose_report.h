// The answer of `mirage diagnose` as a table, Markdown or CSV. Its JSON is that of
// attach_report.h's ReportJson. Text from files is made safe for the terminal.
#ifndef MIRAGE_CLIENT_RENDER_DIAGNOSE_REPORT_H_
#define MIRAGE_CLIENT_RENDER_DIAGNOSE_REPORT_H_

#include <cstddef>
#include <string>

#include "mirage/v1/emergence.pb.h"

namespace mirage::client {

struct DiagnoseTableOptions {
  // Colour the verdicts by ANSI escapes.
  bool color = false;
  // Columns of the terminal: sentences are filled to it, and a table that is wider leaves out what
  // says least: the counterpart's interval, n, the metrics' names as far as needed, the metric's
  // interval, the band, then the models' names as far as needed. 0 means no limit; sentences are
  // then filled to 100.
  size_t width = 0;
  // Whether the report's warnings stand at the end; not where the reader has them already.
  bool warnings = true;
};

// Warnings that a table for people has at most; it says how many more there are.
inline constexpr int kShownWarnings = 20;

// "MIRAGE (STRONG)", "INSUFFICIENT". A verdict of a newer sidecar has its number.
std::string VerdictText(const v1::Diagnosis& diagnosis);

// What was diagnosed, safe for a terminal: "addition exact_match, family gpt3, target length 5,
// 2 shots, temperature 0, filter strict". What is unknown, "default" and "none" is left out.
std::string SeriesText(const v1::Diagnosis& diagnosis);

// For people: how many of each verdict (above one diagnosis), then for each the verdict, the
// series, the main reason; its models by ascending scale, with decimals that their intervals allow,
// one number below the other; then the other reasons, breaks, forecasts, what it would take, the
// laws in use; at the end the warnings and, once, what the verdicts mean. O(text).
std::string DiagnoseTable(const v1::DiagnoseReport& report, const DiagnoseTableOptions& options);

// The same as GitHub-flavoured Markdown, with all the warnings.
std::string DiagnoseMarkdown(const v1::DiagnoseReport& report);

// RFC 4180 with a header, one row a model of each diagnosis; a diagnosis without models has one row
// in which the columns from `model` to `held_out` are empty. An absent value is an empty field.
// Numbers print with all their digits ("inf", "-inf", "nan"). The columns:
//
//   family,task,filter,metric,target_length,shots,temperature   the series
//   x_axis                 what `scale` is
//   verdict,strength       as in the JSON; the strength is empty for INSUFFICIENT
//   reason_codes           the most important first, separated by spaces
//   emergence_score,emergence_score_null_p,counterpart_emergence_score,q_value
//   counterpart            name of the primary one
//   pooled_over            for a pooled result its series, separated by "; "
//   model,scale,n          the model; n is the number of its items
//   value,value_lower,value_upper,value_level                   the sharp metric, its interval
//   counterpart_value,counterpart_lower,counterpart_upper,counterpart_level
//   predicted,predicted_lower,predicted_upper,predicted_level   from the counterpart, its band
//   held_out               "true" or "false"
std::string DiagnoseCsv(const v1::DiagnoseReport& report);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_RENDER_DIAGNOSE_REPORT_H_
