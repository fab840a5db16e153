// The answer of `mirage meta` as a table, Markdown or CSV. As JSON it is ReportJson's.
#ifndef MIRAGE_CLIENT_RENDER_META_REPORT_H_
#define MIRAGE_CLIENT_RENDER_META_REPORT_H_

#include <string>

#include "mirage/v1/emergence.pb.h"

namespace mirage::client {

// Triplets that a table shows: those that are emergent, by falling score for each step.
inline constexpr int kShownTriplets = 12;

// "sharp", "continuous" or "neither".
std::string MetricKind(bool sharp, bool continuous);

// "task", with length, shots, temperature and filter where they are known.
std::string TripletTaskText(const v1::MetaTriplet& triplet);

// Sharp against continuous metrics, in one or two sentences.
std::string OddsRatioText(const v1::OddsRatio& odds);

// For people: how many triplets and metrics, a row a metric, the odds ratio, the first emergent
// triplets, what counts as emergent. Text from files is made safe for the terminal.
std::string MetaTable(const v1::MetaAnalysis& analysis);

// The same as GitHub-flavoured Markdown.
std::string MetaMarkdown(const v1::MetaAnalysis& analysis);

// One row a triplet, RFC 4180, with a header. Numbers print with all their digits.
std::string MetaCsv(const v1::MetaAnalysis& analysis);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_RENDER_META_REPORT_H_
