#include "client/render/attach_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/render/terminal_text.h"

namespace mirage::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::MetricSummary* AddMetric(v1::TaskSummary* task, const std::string& name, double value) {
  v1::MetricSummary* m = task->add_metrics();
  m->set_metric(name);
  m->set_value(value);
  m->set_n(40);
  m->set_higher_is_better(true);
  m->set_signature(name + "|v1");
  return m;
}

v1::AttachReport Report() {
  v1::AttachReport report;
  report.set_generator("mirage test");
  v1::RunSummary* run = report.add_runs();
  run->set_model("org/model");
  run->set_harness("lm-eval");
  run->set_harness_version("0.4.13");
  run->set_path("out/x");
  v1::TaskSummary* task = run->add_tasks();
  task->set_task("demo_mc");
  task->set_filter("none");
  task->set_version("1.0");
  task->set_n_shot(0);
  task->set_n_samples(40);
  v1::MetricSummary* acc = AddMetric(task, "acc", 0.775);
  acc->set_role(v1::MetricSummary::REPORTED);
  acc->set_stderr(0.06686668711812967);
  acc->set_chance(0.25);
  acc->set_reported_value(0.775);
  acc->mutable_interval()->set_lower(0.625);
  acc->mutable_interval()->set_upper(0.877);
  acc->mutable_interval()->set_level(0.95);
  acc->mutable_interval()->set_method("wilson");
  acc->mutable_mirage_risk()->set_level(v1::MirageRisk::HIGH);
  v1::Reason* reason = acc->mutable_mirage_risk()->add_reasons();
  reason->set_code("DISTORTS");
  reason->set_text("R is 6.5");
  *task->mutable_mirage_risk() = acc->mirage_risk();
  for (size_t i = 0; i < kShownCounterparts + 3; ++i) {
    v1::MetricSummary* m = AddMetric(task, "counterpart_" + std::to_string(i), -1.25);
    m->set_role(v1::MetricSummary::COUNTERPART);
    m->add_counterpart_of("acc");
  }
  v1::Unavailable* missing = task->add_unavailable();
  missing->set_metric("nll_per_token");
  missing->set_reason("the log has no token counts");
  task->add_warnings("2 of 40 rows were left out");
  return report;
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = text.find('\n', at);
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

TEST(AttachTableTest, ColumnsLineUp) {
  const std::string text = AttachTable(Report(), {});
  size_t width = 0;
  int rows = 0;
  for (const std::string& line : Lines(text)) {
    if (line.empty() || line[0] != '|') continue;
    if (width == 0) width = DisplayWidth(line);
    EXPECT_EQ(DisplayWidth(line), width) << line;
    ++rows;
  }
  // Header, rule, acc, six counterparts, "3 more".
  EXPECT_EQ(rows, 2 + 1 + kShownCounterparts + 1);
  EXPECT_THAT(text, HasSubstr("org/model (lm-eval 0.4.13) out/x"));
  EXPECT_THAT(text, HasSubstr("[0.6250, 0.8770]"));
  EXPECT_THAT(text, HasSubstr("95 % interval"));
  EXPECT_THAT(text, HasSubstr("  … 3 more"));
  EXPECT_THAT(text, HasSubstr("R is 6.5"));
  EXPECT_THAT(text, HasSubstr("demo_mc: nll_per_token"));
  EXPECT_THAT(text, HasSubstr("2 of 40 rows were left out"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b"))) << "no colour unless asked for";
}

TEST(AttachTableTest, AllMetricsShowsEveryCounterpart) {
  const std::string text = AttachTable(Report(), {.all_metrics = true});
  EXPECT_THAT(text, HasSubstr("counterpart_8"));
  EXPECT_THAT(text, Not(HasSubstr("more")));
}

TEST(AttachTableTest, NumbersHaveTheDigitsOfTheirErrors) {
  v1::AttachReport report = Report();
  v1::MetricSummary* m = report.mutable_runs(0)->mutable_tasks(0)->mutable_metrics(1);
  m->set_value(0.000812345);
  m->set_stderr(1.19e-5);
  m->mutable_interval()->set_lower(0.000788965);
  m->mutable_interval()->set_upper(0.0008357);
  const std::string text = AttachTable(report, {});
  EXPECT_THAT(text, HasSubstr("0.000812|±|0.000012|[0.000789, 0.000836]"));
}

TEST(AttachTableTest, ACounterpartThatEqualsAnotherIsShownOnce) {
  v1::AttachReport report = Report();
  v1::TaskSummary* task = report.mutable_runs(0)->mutable_tasks(0);
  for (const int i : {1, 2}) task->mutable_metrics(i)->set_stderr(0.25);
  EXPECT_THAT(AttachTable(report, {}), Not(HasSubstr("counterpart_1|")));
  EXPECT_THAT(AttachTable(report, {}), HasSubstr("counterpart_2|"));
  EXPECT_THAT(AttachTable(report, {.all_metrics = true}), HasSubstr("counterpart_1|"));
}

TEST(AttachTableTest, TheHarnessNumberStandsBelowWhereItDiffers) {
  v1::AttachReport report = Report();
  EXPECT_THAT(AttachTable(report, {}), Not(HasSubstr("(the harness's)")));
  report.mutable_runs(0)->mutable_tasks(0)->mutable_metrics(0)->set_reported_value(0.5);
  EXPECT_THAT(AttachTable(report, {}), HasSubstr("(the harness's)| | 0.5000|"));
  v1::MetricSummary* acc = report.mutable_runs(0)->mutable_tasks(0)->mutable_metrics(0);
  acc->set_reported_value(std::numeric_limits<double>::infinity());
  EXPECT_THAT(AttachTable(report, {}), HasSubstr("(the harness's)| |    inf|"));
  acc->set_value(acc->reported_value());
  EXPECT_THAT(AttachTable(report, {}), Not(HasSubstr("(the harness's)")));
}

TEST(AttachTableTest, ExplainsLevelsAndCounterpartsOnce) {
  v1::AttachReport report = Report();
  report.mutable_runs(0)->mutable_tasks(0)->mutable_metrics(1)->set_summary("What it is.");
  *report.add_runs() = report.runs(0);
  const std::string text = AttachTable(report, {});
  EXPECT_THAT(text, HasSubstr("  counterpart_0  What it is.\n"));
  EXPECT_EQ(text.find("What it is."), text.rfind("What it is."));
  EXPECT_EQ(text.find("Levels of risk"), text.rfind("Levels of risk"));
  EXPECT_THAT(text, HasSubstr("--all-metrics"));
  EXPECT_THAT(AttachMarkdown(report, {}), HasSubstr("counterpart\\_0: What it is."));
}

TEST(AttachTableTest, ANarrowTerminalLosesWhatSaysLeast) {
  v1::AttachReport report = Report();
  size_t full = 0;
  const auto width_of = [&](size_t limit) {
    const std::string text = AttachTable(report, {.width = limit});
    return DisplayWidth(Lines(text)[1]);
  };
  full = width_of(0);
  EXPECT_EQ(width_of(full), full);
  EXPECT_LT(width_of(full - 1), full);
  const std::string narrow = AttachTable(report, {.width = 60});
  EXPECT_THAT(narrow, HasSubstr("Value"));
  EXPECT_THAT(narrow, HasSubstr("interval"));
  EXPECT_THAT(narrow, HasSubstr("Mirage risk"));
  EXPECT_THAT(narrow, Not(HasSubstr("n-shot")));
}

TEST(AttachTableTest, ManyMissingMetricsAreCounted) {
  v1::AttachReport report = Report();
  v1::TaskSummary* task = report.mutable_runs(0)->mutable_tasks(0);
  for (const char* name : {"b", "c", "d"}) {
    v1::Unavailable* missing = task->add_unavailable();
    missing->set_metric(name);
    missing->set_reason("the log has no token counts");
  }
  EXPECT_THAT(AttachTable(report, {}), HasSubstr("demo_mc: nll_per_token and 3 more metrics"));
  EXPECT_THAT(AttachTable(report, {.all_metrics = true}),
              HasSubstr("demo_mc: nll_per_token, b, c, d"));
}

TEST(AttachTableTest, ColourTintsTheRiskOnly) {
  const std::string text = AttachTable(Report(), {.color = true});
  EXPECT_THAT(text, HasSubstr("\x1b[1;31mHIGH"));
}

TEST(AttachTableTest, HostileNamesAreHarmless) {
  v1::AttachReport report = Report();
  report.mutable_runs(0)->set_model("\x1b[31mred");
  report.mutable_runs(0)->mutable_tasks(0)->set_task("a\nb\u202e");
  const std::string text = AttachTable(report, {});
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, HasSubstr("a\\x0ab\\u202e"));
}

TEST(AttachTableTest, WithoutSamplesTheHarnessNumberIsShown) {
  v1::AttachReport report = Report();
  v1::MetricSummary* acc = report.mutable_runs(0)->mutable_tasks(0)->mutable_metrics(0);
  acc->clear_value();
  acc->set_reported_value(0.5);
  EXPECT_THAT(AttachTable(report, {}), HasSubstr("0.5000"));
}

TEST(AttachTableTest, NumbersKeepTheirMeaning) {
  v1::AttachReport report = Report();
  v1::TaskSummary* task = report.mutable_runs(0)->mutable_tasks(0);
  task->mutable_metrics(1)->set_value(0.0000123);
  task->mutable_metrics(2)->set_value(-std::numeric_limits<double>::infinity());
  task->mutable_metrics(3)->set_value(0);
  const std::string text = AttachTable(report, {});
  EXPECT_THAT(text, HasSubstr("1.23e-05")) << "a small number must not print as 0.0000";
  EXPECT_THAT(text, HasSubstr("-inf"));
  EXPECT_THAT(text, HasSubstr(" 0.0000|"));
}

TEST(AttachMarkdownTest, HasATableAndEscapes) {
  v1::AttachReport report = Report();
  report.mutable_runs(0)->mutable_tasks(0)->set_task("a|b<script>");
  const std::string text = AttachMarkdown(report, {});
  EXPECT_THAT(text, HasSubstr("a\\|b\\<script\\>"));
  EXPECT_THAT(text, HasSubstr("&emsp;counterpart\\_0"));
  EXPECT_THAT(text, HasSubstr("|:---|---:|"));
}

TEST(AttachCsvTest, OneRowAMetricWithAllDigits) {
  v1::AttachReport report = Report();
  report.mutable_runs(0)->set_model("a,\"b\"");
  const std::string text = AttachCsv(report);
  EXPECT_THAT(
      text, HasSubstr("\r\n\"a,\"\"b\"\"\",lm-eval,0.4.13,out/x,demo_mc,none,1.0,0,acc,REPORTED"));
  EXPECT_THAT(text, HasSubstr("0.06686668711812967"));
  EXPECT_THAT(text, HasSubstr(",HIGH,DISTORTS,acc|v1\r\n"));
}

TEST(ReportJsonTest, FollowsTheContract) {
  v1::AttachReport report = Report();
  report.mutable_runs(0)->mutable_tasks(0)->mutable_metrics(1)->set_value(
      -std::numeric_limits<double>::infinity());
  const auto text = ReportJson(report);
  ASSERT_TRUE(text.ok());
  const auto json = nlohmann::json::parse(*text);
  const auto& task = json["runs"][0]["tasks"][0];
  EXPECT_EQ(task["metrics"][0]["role"], "REPORTED");
  EXPECT_EQ(task["metrics"][0]["mirage_risk"]["level"], "HIGH");
  EXPECT_EQ(task["metrics"][0]["stderr"], 0.06686668711812967);
  EXPECT_EQ(task["metrics"][1]["value"], "-Infinity");
  EXPECT_FALSE(task["metrics"][1].contains("stderr")) << "missing is absent, not 0";
  EXPECT_EQ(task["n_gold_unverified"], 0) << "plain fields always print";
  EXPECT_TRUE(task["members"].is_array());
}

}  // namespace
}  // namespace mirage::client
