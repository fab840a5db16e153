#include "client/render/meta_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "client/render/meta_example.h"

namespace mirage::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(MetaReportTest, TableHasCountsMetricsOddsAndTriplets) {
  const std::string text = MetaTable(ExampleAnalysis());
  EXPECT_THAT(text, HasSubstr("2 of 4 triplets"));
  EXPECT_THAT(text, HasSubstr("under 1 of 2 metrics"));
  EXPECT_THAT(text, HasSubstr("exact_match"));
  EXPECT_THAT(text, HasSubstr("with both kinds): inf, p = 0.0800"));
  // The most sudden first.
  EXPECT_LT(text.rfind("mul"), text.rfind("<add>"));
  EXPECT_THAT(text, HasSubstr("Emergent: h40 <= 0.2"));
}

TEST(MetaReportTest, NoRatioIsSaid) {
  v1::OddsRatio odds;
  odds.set_n_sharp(3);
  EXPECT_THAT(OddsRatioText(odds), HasSubstr("No odds ratio"));
}

TEST(MetaReportTest, MarkdownEscapes) {
  const std::string text = MetaMarkdown(ExampleAnalysis());
  EXPECT_THAT(text, HasSubstr("| Metric | Kind |"));
  EXPECT_THAT(text, Not(HasSubstr("| <add>")));
}

TEST(MetaReportTest, CsvIsARowATriplet) {
  const std::string text = MetaCsv(ExampleAnalysis());
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5);
  EXPECT_THAT(text, HasSubstr("f,mul,none,exact_match,,,,true,false,5,inf,inf,0.001,0.004,false,"
                              "true,\r\n"));
}

}  // namespace
}  // namespace mirage::client
