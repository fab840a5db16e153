#include "client/render/plan_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>

#include "client/render/plan_example.h"
#include "client/render/terminal_text.h"

namespace mirage::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::PlanReport Example() {
  v1::PlanReport report;
  *report.add_plans() = ExamplePlan();
  report.add_warnings("left out | one");
  return report;
}

TEST(PlanReportTest, TheTableLinesUp) {
  EXPECT_EQ(PlanTable(Example(), {}),
            R"(<add> exact_match, target length 5: INSUFFICIENT today
    Plan        2 more sizes decide it in 83 % of 60 draws
    Also        3 trainings of each size
    Today       its items show a change of 0.0827; planned for one of 0.159 (power 80 %, level 95 %)
  Sizes to add, in this order
    Scale  Items  Decided by then  Why
     590M    500                   between 331M and 1.06B, where the counterpart's law may break
      35B    500             83 %  above the largest, to be predicted from the others
  Items that tell a model's value from its floor, chance or ceiling
       Value          Items  Model
    1.00e-12  >= 4294967295  tiny
      0.6330              4  large
)");
}

TEST(PlanReportTest, ANarrowTerminalIsFilled) {
  std::istringstream lines(PlanTable(Example(), {.width = 60}));
  for (std::string line; std::getline(lines, line);) {
    // The title of the items is no sentence.
    if (line.starts_with("  Items that")) continue;
    EXPECT_LE(DisplayWidth(line), 60) << line;
  }
}

TEST(PlanReportTest, ManyModelsAreCut) {
  v1::PlanReport report = Example();
  for (int i = 0; i < kShownItems; ++i) {
    *report.mutable_plans(0)->add_samples_needed() = report.plans(0).samples_needed(1);
  }
  EXPECT_THAT(PlanTable(report, {}), HasSubstr("… and 2 more; --output-format json"));
}

TEST(PlanReportTest, NothingIsSaid) {
  EXPECT_EQ(PlanTable({}, {}), "Nothing was planned.\n");
  EXPECT_EQ(PlanMarkdown({}, {}), "Nothing was planned.\n");
}

TEST(PlanReportTest, TextFromFilesIsSafe) {
  v1::PlanReport report = Example();
  report.mutable_plans(0)->set_task("a\x1b[31m");
  report.mutable_plans(0)->mutable_samples_needed(0)->set_model("b\x1b[31m");
  for (const std::string& text :
       {PlanTable(report, {}), PlanMarkdown(report, {}), PlanCsv(report)}) {
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  }
}

TEST(PlanReportTest, MarkdownEscapes) {
  const std::string text = PlanMarkdown(Example(), {});
  EXPECT_THAT(text, HasSubstr("| Scale | Items | Decided by then | Why |\n|---:|---:|---:|:---|"));
  EXPECT_THAT(text, HasSubstr("- MORE\\_SEEDS: 3 trainings"));
  EXPECT_THAT(text, Not(HasSubstr("<add>")));
  EXPECT_THAT(text, HasSubstr("**Warnings**\n\n- left out"));
  EXPECT_THAT(PlanMarkdown(Example(), {.x_axis = "loss"}), HasSubstr("| Loss |"));
}

TEST(PlanReportTest, CsvHasARowAFact) {
  const std::string text = PlanCsv(Example());
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 6);
  std::istringstream lines(text);
  // The texts of the example have a comma in one row only, quoted.
  for (std::string line; std::getline(lines, line);) {
    const auto commas = std::count(line.begin(), line.end(), ',');
    EXPECT_EQ(commas, line.find('"') == std::string::npos ? 20 : 21) << line;
  }
  EXPECT_THAT(text, HasSubstr("default,<add>,none,exact_match,5,,,INSUFFICIENT,series,0.159,0.8,"
                              "0.95,0.0827,3,MORE_SCALES MORE_SEEDS,,,,,,2 more sizes"));
  EXPECT_THAT(text, HasSubstr("INSUFFICIENT,items,,,,,,,,,large,0.633,4,\r\n"));
}

}  // namespace
}  // namespace mirage::client
