#include "client/render/metric_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "client/render/terminal_text.h"
#include "nlohmann/json.hpp"

namespace mirage::client {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr double kInf = std::numeric_limits<double>::infinity();

v1::MetricDescription Metric(const std::string& name, MetricNeeds::Value needs) {
  v1::MetricDescription metric;
  metric.set_metric(name);
  metric.set_summary("What " + name + " is, in one sentence of some length.");
  metric.set_definition("sum_k |q_k| / K");
  metric.set_lower_bound(0);
  metric.set_upper_bound(1);
  metric.set_higher_is_better(true);
  metric.add_needs(needs);
  metric.set_signature(name + "|v1");
  metric.set_source("Somebody 2023, equation 1");
  metric.set_unit("share");
  metric.set_edge_cases("Two empty texts are equal.");
  metric.set_complexity("O(n) time.");
  metric.set_header("metrics/kernels/some.h");
  metric.set_in_runs(true);
  metric.set_aggregation("the mean of the samples' values");
  return metric;
}

v1::StatisticDescription Statistic(const std::string& name, const std::string& kind) {
  v1::StatisticDescription statistic;
  statistic.set_statistic(name);
  statistic.set_kind(kind);
  statistic.set_summary("What " + name + " is.");
  statistic.set_definition("k / n");
  statistic.set_valid("Independent samples.");
  statistic.set_edge_cases("No samples is an error.");
  statistic.set_complexity("O(1) time.");
  statistic.set_source("Wilson 1927");
  statistic.set_header("metrics/stats/some.h");
  return statistic;
}

MetricCatalogue Catalogue() {
  MetricCatalogue catalogue;
  v1::MetricDescription acc = Metric("acc", MetricNeeds::CHOICE_LOG_LIKELIHOODS);
  acc.set_sharp(true);
  acc.set_uses_wrong_choices(true);
  v1::MetricDescription brier = Metric("brier_score", MetricNeeds::CHOICE_LOG_LIKELIHOODS);
  brier.set_continuous(true);
  brier.set_higher_is_better(false);
  brier.set_upper_bound(2);
  brier.set_convention("Sum over the choices.");
  brier.set_family("Brier score");
  brier.set_used_by("lm-eval");
  v1::MetricDescription mean = Metric("brier_mean", MetricNeeds::CHOICE_LOG_LIKELIHOODS);
  mean.set_continuous(true);
  mean.set_convention("Mean over the choices.");
  mean.set_family("Brier score");
  mean.set_used_by("BIG-bench");
  mean.set_in_runs(false);
  v1::MetricDescription nll = Metric("nll", MetricNeeds::TARGET_LOG_LIKELIHOOD);
  nll.set_continuous(true);
  nll.set_linear_in_token_error(true);
  nll.set_lower_bound(-kInf);
  nll.set_upper_bound(kInf);
  v1::MetricDescription again = Metric("acc", MetricNeeds::TARGET_LOG_LIKELIHOOD);
  again.set_summary("Share of targets that greedy decoding produces.");
  catalogue.metrics = {acc, brier, mean, nll, again};
  catalogue.statistics = {Statistic("wilson", "interval"), Statistic("sign", "test")};
  return catalogue;
}

size_t WidestLine(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  size_t widest = 0;
  while (std::getline(lines, line)) widest = std::max(widest, DisplayWidth(line));
  return widest;
}

TEST(MetricReportTest, EvidenceHasNames) {
  EXPECT_THAT(NeedsFlags(), ElementsAre("choices", "generation", "likelihood", "token-log-probs",
                                        "repeats", "vectors", "document"));
  for (int needs = MetricNeeds::Value_MIN; needs <= MetricNeeds::Value_MAX; ++needs) {
    const auto value = static_cast<MetricNeeds::Value>(needs);
    if (value == MetricNeeds::NEEDS_UNSPECIFIED) continue;
    EXPECT_NE(NeedsFlag(value), "") << needs;
    EXPECT_EQ(NeedsOfFlag(NeedsFlag(value)), value);
  }
  EXPECT_EQ(NeedsFlag(MetricNeeds::NEEDS_UNSPECIFIED), "");
  EXPECT_EQ(NeedsOfFlag("logits"), std::nullopt);
}

TEST(MetricReportTest, ATableWithoutALimit) {
  EXPECT_THAT(MetricsTable(Catalogue(), 0),
              StartsWith(R"(Metrics from a log-likelihood for every choice (choices)
|Metric     | |What it is                                          |Range      |Properties          |
|-----------|-|----------------------------------------------------|-----------|--------------------|
|acc        |↑|What acc is, in one sentence of some length.        |[0, 1]     |sharp, wrong choices|
|brier_score|↓|What brier_score is, in one sentence of some length.|[0, 2]     |continuous          |
|brier_mean*|↑|What brier_mean is, in one sentence of some length. |[0, 1]     |continuous          |

Metrics from the log-likelihood of a target (likelihood)
|Metric     | |What it is                                          |Range      |Properties          |
|-----------|-|----------------------------------------------------|-----------|--------------------|
|nll        |↑|What nll is, in one sentence of some length.        |(-inf, inf)|continuous, linear  |
|acc        |↑|Share of targets that greedy decoding produces.     |[0, 1]     |graded              |

Statistics: interval
|Statistic|What it is     |C++ header          |
|---------|---------------|--------------------|
|wilson   |What wilson is.|metrics/stats/some.h|

Statistics: test
|Statistic|What it is     |C++ header          |
|---------|---------------|--------------------|
|sign     |What sign is.  |metrics/stats/some.h|

What the words mean
)"));
}

TEST(MetricReportTest, ATableFitsTheTerminal) {
  for (const size_t width : {72u, 80u, 100u, 120u}) {
    const std::string table = MetricsTable(Catalogue(), width);
    EXPECT_LE(WidestLine(table), width);
    EXPECT_THAT(table, HasSubstr("brier_mean*"));
    EXPECT_EQ(table.find("(-inf, inf)") == table.npos, width < 80) << "the range goes first";
  }
  EXPECT_THAT(MetricsTable(Catalogue(), 80), HasSubstr(R"(
|brier_score|↓|What brier_score is, in one       |[0, 2]     |continuous       |
|           | |sentence of some length.          |           |                 |
)"));
  EXPECT_THAT(MetricsTable(Catalogue(), 10), HasSubstr("|acc ")) << "as narrow as it gets";
}

TEST(MetricReportTest, AStarIsExplainedWhereThereIsOne) {
  MetricCatalogue catalogue = Catalogue();
  EXPECT_THAT(MetricsTable(catalogue, 80), HasSubstr("* the C++ library computes it"));
  catalogue.metrics[2].set_in_runs(true);
  EXPECT_THAT(MetricsTable(catalogue, 80), Not(HasSubstr("the C++ library computes it")));
}

TEST(MetricReportTest, APageHasEverythingAndTheFamily) {
  EXPECT_EQ(PageTable(PageOf(Catalogue(), "brier_score"), 80), R"(brier_score
What brier_score is, in one sentence of some length.

  Definition   sum_k |q_k| / K
  Convention   Sum over the choices.
  Range        [0, 2], smaller is better
  Unit         share
  Properties   continuous; not linear in the per-token error; blind to the mass
               on wrong choices
  Aggregation  the mean of the samples' values
  Needs        a log-likelihood for every choice (choices)
  Edge cases   Two empty texts are equal.
  Complexity   O(n) time.
  Signature    brier_score|v1
  Source       Somebody 2023, equation 1
  C++ header   metrics/kernels/some.h
  Computed by  attach, and the C++ library
  Reported by  lm-eval

Brier score: the conventions in use
|Name       |Convention            |Definition     |Range |Used by  |
|-----------|----------------------|---------------|------|---------|
|brier_score|Sum over the choices. |sum_k |q_k| / K|[0, 2]|lm-eval  |
|brier_mean |Mean over the choices.|sum_k |q_k| / K|[0, 1]|BIG-bench|
)");
}

TEST(MetricReportTest, APageHasEveryRowOfAName) {
  const MetricPage page = PageOf(Catalogue(), "acc");
  EXPECT_THAT(page.metrics, SizeIs(2));
  EXPECT_THAT(page.family, IsEmpty());
  EXPECT_THAT(PageTable(page, 0),
              AllOf(StartsWith("acc, from a log-likelihood for every choice\n"),
                    HasSubstr("\nacc, from the log-likelihood of a target\nShare of targets")));
  EXPECT_THAT(PageMarkdown(page),
              AllOf(StartsWith("### acc\n\n**From a log-likelihood for every choice**\n"),
                    HasSubstr("**From the log-likelihood of a target**")));
}

TEST(MetricReportTest, APageOfAStatistic) {
  EXPECT_EQ(PageTable(PageOf(Catalogue(), "wilson"), 0), R"(wilson
What wilson is.

  Kind        interval
  Definition  k / n
  Valid       Independent samples.
  Edge cases  No samples is an error.
  Complexity  O(1) time.
  Source      Wilson 1927
  C++ header  metrics/stats/some.h
)");
  EXPECT_TRUE(PageOf(Catalogue(), "wilso").IsEmpty());
}

TEST(MetricReportTest, MarkdownIsEscapedInTablesAndProse) {
  MetricCatalogue catalogue = Catalogue();
  catalogue.metrics[1].set_convention("a|b * c_d _e_ <f>");
  const std::string page = PageMarkdown(PageOf(catalogue, "brier_score"));
  EXPECT_THAT(page,
              HasSubstr("| `brier_score` | a\\|b \\* c_d \\_e\\_ \\<f\\> | `sum_k \\|q_k\\| / "
                        "K` | [0, 2] | lm-eval |\n"));
  EXPECT_THAT(page, HasSubstr("- **Definition:** `sum_k |q_k| / K`\n"));
  catalogue.metrics[1].set_definition("a ` b");
  EXPECT_THAT(PageMarkdown(PageOf(catalogue, "brier_score")), HasSubstr("`` a ` b ``"));
}

// Every link of the contents leads to a heading, as GitHub makes anchors.
TEST(MetricReportTest, LinksLeadToHeadings) {
  MetricCatalogue catalogue = Catalogue();
  catalogue.statistics.push_back(Statistic("acc", "test"));
  const std::string text = MetricsMarkdown(catalogue);
  EXPECT_THAT(text, StartsWith("<!-- Written by `mirage metrics --output-format markdown -o "
                               "docs/metrics.md`"));
  EXPECT_THAT(text, HasSubstr("| [`acc`](#acc) | ↑ |"));
  EXPECT_THAT(text, HasSubstr("| [`acc`](#acc-1) | What acc is. |")) << "the second of one name";
  EXPECT_THAT(text, HasSubstr("| [`brier_mean`](#brier_mean)\\* | ↑ |"));
  EXPECT_THAT(text, HasSubstr("[Brier score](#brier-score)"));
  for (const char* heading : {"\n### acc\n", "\n### brier_mean\n", "\n### Brier score\n",
                              "\n### wilson\n", "\n## Statistics\n"}) {
    EXPECT_THAT(text, HasSubstr(heading));
  }
}

TEST(MetricReportTest, MarkdownOfAnEmptyCatalogue) {
  EXPECT_THAT(MetricsMarkdown({}), HasSubstr("## Contents"));
  EXPECT_THAT(MetricsTable({}, 80), HasSubstr("mirage metrics show NAME"));
}

TEST(MetricReportTest, JsonHasProtoNamesAndNothingElse) {
  const auto text = MetricsJson(Catalogue());
  ASSERT_TRUE(text.ok()) << text.status();
  const json answer = json::parse(*text);
  EXPECT_THAT(answer, SizeIs(2));
  ASSERT_THAT(answer["metrics"], SizeIs(5));
  ASSERT_THAT(answer["statistics"], SizeIs(2));
  const json& nll = answer["metrics"][3];
  EXPECT_EQ(nll["metric"], "nll");
  EXPECT_EQ(nll["lower_bound"], "-Infinity");
  EXPECT_EQ(nll["needs"], json::array({"TARGET_LOG_LIKELIHOOD"}));
  EXPECT_EQ(nll["convention"], "") << "plain fields are always there";
  EXPECT_EQ(nll["linear_in_token_error"], true);
  EXPECT_EQ(answer["statistics"][0]["statistic"], "wilson");
  EXPECT_THAT(*text, StartsWith("{\n \"metrics\": [\n  {\n   \"metric\": \"acc\",\n"));
  EXPECT_EQ(text->back(), '\n');
}

TEST(MetricReportTest, JsonOfAPageHasTheFamilyBehindTheName) {
  const auto text = PageJson(PageOf(Catalogue(), "brier_mean"));
  ASSERT_TRUE(text.ok()) << text.status();
  const json answer = json::parse(*text);
  ASSERT_THAT(answer["metrics"], SizeIs(2));
  EXPECT_EQ(answer["metrics"][0]["metric"], "brier_mean");
  EXPECT_EQ(answer["metrics"][1]["metric"], "brier_score");
  EXPECT_THAT(answer["statistics"], IsEmpty());
}

v1::SwapMetricResponse Swap() {
  v1::SwapMetricResponse swap;
  for (const v1::MetricDescription& metric : Catalogue().metrics) {
    if (metric.sharp()) continue;
    v1::MetricSwap* const one = swap.add_swaps();
    *one->mutable_counterpart() = metric;
    one->set_reason("continuous, as " + metric.metric());
    one->set_requirement(metric.needs(0) == MetricNeeds::CHOICE_LOG_LIKELIHOODS
                             ? "a log-likelihood for every choice"
                             : "the log-likelihood of a target");
  }
  for (const char* name : {"ted", "lcs"}) {
    v1::Unavailable* const missing = swap.add_unavailable();
    missing->set_metric(name);
    missing->set_reason("the run lacks a generated text and a target");
  }
  return swap;
}

TEST(MetricReportTest, ASwapInOrderByWhatItNeeds) {
  EXPECT_EQ(SwapTable("acc_norm", true, Swap(), 0), R"(Instead of acc_norm, the preferred first:

Needs a log-likelihood for every choice (choices)
|#|Metric     | |What it is                                          |Why                       |
|-|-----------|-|----------------------------------------------------|--------------------------|
|1|brier_score|↓|What brier_score is, in one sentence of some length.|continuous, as brier_score|
|2|brier_mean |↑|What brier_mean is, in one sentence of some length. |continuous, as brier_mean |

Needs the log-likelihood of a target (likelihood)
|#|Metric     | |What it is                                          |Why                       |
|-|-----------|-|----------------------------------------------------|--------------------------|
|3|nll        |↑|What nll is, in one sentence of some length.        |continuous, as nll        |
|4|acc        |↑|Share of targets that greedy decoding produces.     |continuous, as acc        |

Not available
  The run lacks a generated text and a target: ted, lcs
)");
  EXPECT_LE(WidestLine(SwapTable("acc_norm", true, Swap(), 80)), 80u);
  EXPECT_THAT(SwapMarkdown("acc_norm", true, Swap()),
              AllOf(HasSubstr("| 1 | `brier_score` | ↓ | What brier_score is,"),
                    HasSubstr("- The run lacks a generated text and a target: ted, lcs\n")));
}

TEST(MetricReportTest, ASwapOfNothing) {
  EXPECT_EQ(SwapTable("x", true, {}, 0), "There is no finer counterpart of x.\n");
  v1::SwapMetricResponse missing = Swap();
  missing.clear_swaps();
  EXPECT_EQ(SwapTable("x", true, missing, 0),
            "Nothing that was recorded gives a counterpart of x.\n\nNot available\n"
            "  The run lacks a generated text and a target: ted, lcs\n");
  EXPECT_THAT(SwapTable("my\x1b", false, Swap(), 200),
              StartsWith("my\\x1b is not in the registry; what was recorded gives its "
                         "counterparts. Instead of my\\x1b"));
}

}  // namespace
}  // namespace mirage::client
