// The answer of `mirage plan` as a table, Markdown or CSV. As JSON it is ReportJson's.
#ifndef MIRAGE_CLIENT_RENDER_PLAN_REPORT_H_
#define MIRAGE_CLIENT_RENDER_PLAN_REPORT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "mirage/v1/emergence.pb.h"

namespace mirage::client {

// Models whose items a table shows; it says how many more there are.
inline constexpr int kShownItems = 20;

struct PlanTableOptions {
  // Columns to which sentences are filled; 0 means 100.
  size_t width = 0;
  // "parameters", "flops", "tokens" or "loss": how scales are written.
  std::string_view x_axis = "parameters";
};

// For people: of each series the verdict of today and what would settle it, the most important
// first; the sizes to add, in their order, with the probability that the series is decided by then;
// what today's items show; and the items that tell each model's value from its floor, chance or
// ceiling, one number below the other. Text from files is made safe for the terminal.
std::string PlanTable(const v1::PlanReport& report, const PlanTableOptions& options);

// The same as GitHub-flavoured Markdown, with all the warnings.
std::string PlanMarkdown(const v1::PlanReport& report, const PlanTableOptions& options);

// RFC 4180 with a header. Of each series a row of `kind` "series", one "add" for each size to add
// and one "items" for each model; what does not belong to a kind is an empty field. Numbers print
// with all their digits. The columns:
//
//   family,task,filter,metric,target_length,shots,temperature,verdict   the series
//   kind
//   delta,power,level,detectable,seeds_needed,reason_codes              of "series"
//   scale,p_decided                                                     of "add"
//   model,to_resolve                                                    of "items"
//   n                                                                   items, of both
//   reason                 text: the first of a series, or why to add a size
std::string PlanCsv(const v1::PlanReport& report);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_RENDER_PLAN_REPORT_H_
