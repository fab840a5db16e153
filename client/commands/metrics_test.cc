#include "client/commands/metrics.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "client/exit_code.h"
#include "nlohmann/json.hpp"
#include "server/embedded.h"
#include "tests/support/service_channel.h"
#include "tests/support/temporary_folder.h"

namespace mirage::client {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using Action = MetricsOptions::Action;

std::string Content(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

class MetricsTest : public testing::Test {
 protected:
  // Runs the command, keeps what it printed and returns its exit code.
  int Run(const std::shared_ptr<grpc::Channel>& channel) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = RunMetrics(options_, channel);
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }
  int Run() {
    auto embedded = server::StartEmbedded();
    EXPECT_TRUE(embedded.ok()) << embedded.status();
    return Run(embedded->channel);
  }
  int Show(const std::string& name) {
    options_.action = Action::kShow;
    options_.name = name;
    return Run();
  }
  int Swap(const std::string& name, const std::vector<std::string>& recorded = {}) {
    options_.action = Action::kSwap;
    options_.name = name;
    options_.recorded = recorded;
    return Run();
  }

  MetricsOptions options_;
  std::string out_, err_;
};

// What docs/metrics.md says is what the code says.
TEST_F(MetricsTest, TheDocumentationIsUpToDate) {
  options_.output_format = "markdown";
  ASSERT_EQ(Run(), kDone);
  EXPECT_TRUE(Content("docs/metrics.md") == out_)
      << "docs/metrics.md differs from the registry; write it anew:\n"
         "  ./mirage metrics --output-format markdown -o docs/metrics.md";
}

TEST_F(MetricsTest, MetricsAndStatisticsAreListed) {
  EXPECT_EQ(Run(), kDone);
  EXPECT_EQ(err_, "");
  EXPECT_THAT(out_, AllOf(StartsWith("Metrics from a log-likelihood for every choice (choices)\n"),
                          HasSubstr("\n|token_edit_distance"),
                          HasSubstr("\nStatistics: interval\n"), HasSubstr("\n|wilson")));
  options_.output_format = "json";
  EXPECT_EQ(Run(), kDone);
  const json answer = json::parse(out_);
  EXPECT_GT(answer["metrics"].size(), 40u);
  EXPECT_EQ(answer["metrics"][0]["metric"], "acc");
  EXPECT_EQ(answer["statistics"][0].count("statistic"), 1u);
}

TEST_F(MetricsTest, FourBrierScoresAndWhoUsesWhich) {
  EXPECT_EQ(Show("brier_score"), kDone);
  for (const char* name : {"|brier_score", "|brier_mean", "|brier_target", "|brier_top"}) {
    EXPECT_THAT(out_, HasSubstr(name));
  }
  for (const char* label : {"Definition ", "Convention ", "Range ", "Unit ", "Properties ",
                            "Aggregation ", "Needs ", "Edge cases ", "Complexity ", "Signature ",
                            "Source ", "C++ header ", "Computed by ", "Reported by "}) {
    EXPECT_THAT(out_, HasSubstr(std::string("\n  ") + label));
  }
  EXPECT_THAT(out_, AllOf(HasSubstr("lm-eval"), HasSubstr("BIG-bench")));
  options_.output_format = "json";
  EXPECT_EQ(Show("brier_target"), kDone);
  const json answer = json::parse(out_);
  EXPECT_GE(answer["metrics"].size(), 4u);
  EXPECT_EQ(answer["metrics"][0]["metric"], "brier_target");
  for (const json& metric : answer["metrics"]) EXPECT_NE(metric["convention"], "") << metric;
}

TEST_F(MetricsTest, StatisticsAndOldNamesHavePages) {
  EXPECT_EQ(Show("wilson"), kDone);
  EXPECT_THAT(out_, AllOf(StartsWith("wilson\n"), HasSubstr("\n  Valid ")));
  EXPECT_EQ(Show("ppl"), kDone);
  EXPECT_THAT(out_, StartsWith("perplexity"));
  options_.output_format = "markdown";
  EXPECT_EQ(Show("nll_per_byte"), kDone);
  EXPECT_THAT(out_, AllOf(StartsWith("### nll_per_byte\n"),
                          HasSubstr("**From a log-likelihood for every choice**"),
                          HasSubstr("**From the log-likelihood of a target**")));
}

TEST_F(MetricsTest, UnknownNamesAreToldTheNearest) {
  EXPECT_EQ(Show("brier_scor"), kUsage);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, StartsWith("mirage: \"brier_scor\" is no metric or statistic; did you mean "
                               "brier_score"));
  EXPECT_EQ(Show("wilso"), kUsage);
  EXPECT_THAT(err_, HasSubstr("did you mean wilson"));
  EXPECT_EQ(Show("zebra\x1b[2J"), kUsage);
  EXPECT_EQ(err_,
            "mirage: \"zebra\\x1b[2J\" is no metric or statistic; `mirage metrics` lists "
            "all\n");
  EXPECT_EQ(Swap("exat_match"), kUsage);
  EXPECT_THAT(err_, AllOf(HasSubstr("is no metric; did you mean exact_match"),
                          HasSubstr("--recorded gives")));
  EXPECT_EQ(Swap("wilson"), kUsage);
  EXPECT_EQ(Swap("acc", {"logits"}), kUsage);
  EXPECT_THAT(err_, HasSubstr("--recorded logits: must be one of choices, "));
}

TEST_F(MetricsTest, ASwapWithAndWithoutWhatWasRecorded) {
  EXPECT_EQ(Swap("exact_match"), kDone);
  EXPECT_THAT(out_, AllOf(StartsWith("Instead of exact_match, the preferred first:\n\nNeeds a "
                                     "generated text and a target (generation)\n"),
                          HasSubstr("|1 |token_edit_distance"), HasSubstr("|log_p_target"),
                          Not(HasSubstr("Not available"))));
  EXPECT_EQ(Swap("exact_match", {"generation"}), kDone);
  EXPECT_THAT(out_, AllOf(HasSubstr("|token_edit_distance"), Not(HasSubstr("|log_p_target")),
                          HasSubstr("Not available\n  The run lacks the log-likelihood of a "
                                    "target: log_p_target, ")));
  EXPECT_EQ(Swap("my_score", {"choices", "likelihood"}), kDone);
  EXPECT_THAT(out_, AllOf(StartsWith("my_score is not in the registry"), HasSubstr("|log_p_gold"),
                          HasSubstr("|log_p_target")));
  options_.output_format = "json";
  EXPECT_EQ(Swap("exact_match", {"document"}), kDone);
  const json answer = json::parse(out_);
  EXPECT_THAT(answer["swaps"], IsEmpty());
  EXPECT_EQ(answer["unavailable"][0]["metric"], "token_edit_distance");
  EXPECT_EQ(Swap("exact_match"), kDone);
  EXPECT_EQ(json::parse(out_)["swaps"][0]["counterpart"]["metric"], "token_edit_distance");
}

TEST_F(MetricsTest, AnAnswerGoesWhereItIsAsked) {
  const test_support::TemporaryFolder folder;
  options_.output_format = "json";
  EXPECT_EQ(Run(), kDone);
  const std::string answer = out_;
  options_.output = folder.path() + "/metrics.json";
  EXPECT_EQ(Run(), kDone);
  EXPECT_EQ(out_, "");
  EXPECT_EQ(Content(options_.output), answer);
  options_.output = folder.path() + "/none/metrics.json";
  EXPECT_EQ(Run(), kFailed);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, HasSubstr("cannot write " + options_.output));
}

// A sidecar that serves no metrics, and one that is gone.
TEST_F(MetricsTest, ASidecarThatCannotAnswer) {
  test_support::ServiceChannel services({});
  options_.sidecar = "127.0.0.1:8750";
  EXPECT_EQ(Run(services.channel()), kFailed);
  EXPECT_THAT(err_, HasSubstr("UNIMPLEMENTED"));
  services.Cut();
  EXPECT_EQ(Run(services.channel()), kFailed);
  EXPECT_THAT(err_, HasSubstr("the sidecar at 127.0.0.1:8750 went away"));
  EXPECT_EQ(out_, "");
}

}  // namespace
}  // namespace mirage::client
