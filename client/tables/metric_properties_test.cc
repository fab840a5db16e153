#include "client/tables/metric_properties.h"

#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temporary_folder.h"

namespace mirage::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kGood =
    "version: 1\n"
    "metrics:\n"
    "  - metric: rubric_pass\n"
    "    higher_is_better: true\n"
    "    continuous: false\n"
    "    sharp: true\n"
    "    lower_bound: 0\n"
    "    upper_bound: 1\n"
    "    proportion: true\n"
    "    counterparts: [rubric_score, nll_per_token]\n"
    "    composition: THRESHOLD\n"
    "    threshold: 0.5\n"
    "    unit: share\n"
    "  - {metric: rubric_score, higher_is_better: true, continuous: true, sharp: false}\n";

std::string Failure(std::string_view text) {
  const auto metrics = ParseMetricProperties(text, "m.yaml");
  EXPECT_TRUE(absl::IsInvalidArgument(metrics.status())) << metrics.status();
  return std::string(metrics.status().message());
}

// One metric with what is required and `more`.
std::string MetricFailure(const std::string& more) {
  return Failure(
      "version: 1\nmetrics:\n  - metric: m\n    higher_is_better: true\n    sharp: true\n    " +
      more + "\n");
}

TEST(MetricPropertiesTest, AFullFile) {
  const auto metrics = ParseMetricProperties(kGood, "m.yaml");
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  ASSERT_EQ(metrics->size(), 2u);
  const v1::MetricProperties& first = (*metrics)[0];
  EXPECT_EQ(first.metric(), "rubric_pass");
  EXPECT_TRUE(first.higher_is_better() && first.sharp() && first.proportion());
  EXPECT_TRUE(first.has_continuous() && !first.continuous());
  EXPECT_EQ(first.lower_bound(), 0);
  EXPECT_EQ(first.upper_bound(), 1);
  EXPECT_THAT(first.counterparts(), ElementsAre("rubric_score", "nll_per_token"));
  EXPECT_EQ(first.composition(), v1::MetricProperties::THRESHOLD);
  EXPECT_EQ(first.threshold(), 0.5);
  EXPECT_EQ((*metrics)[1].metric(), "rubric_score");
  EXPECT_FALSE((*metrics)[1].has_lower_bound());
}

TEST(MetricPropertiesTest, FormsThatFail) {
  EXPECT_THAT(Failure("- metric: a\n"),
              HasSubstr("m.yaml:1:1: must be a mapping with `version: 1`"));
  EXPECT_THAT(Failure("metrics: []\n"), HasSubstr("must be a mapping with `version: 1`"));
  EXPECT_THAT(Failure("version: 2\nmetrics: [a]\n"), HasSubstr("m.yaml:1:10: version must be 1"));
  EXPECT_THAT(Failure("version: 1\nmetrics: []\n"), HasSubstr("a list of at least one metric"));
  EXPECT_THAT(Failure("version: 1\nmetrics: a\n"), HasSubstr("a list of at least one metric"));
  EXPECT_THAT(Failure("version: 1\nmetrics: [a]\n"), HasSubstr("must be a mapping"));
  EXPECT_THAT(Failure("version: 1\nmetric: [a]\n"),
              HasSubstr("m.yaml:2:1: unknown key \"metric\""));
  EXPECT_THAT(Failure("version: 1\nversion: 1\n"), HasSubstr("given twice"));
  EXPECT_THAT(Failure(std::string(kGood) + "  - {metric: rubric_pass, higher_is_better: true, "
                                           "continuous: false, sharp: true}\n"),
              HasSubstr("m.yaml:15:5: rubric_pass: it is declared twice"));
}

TEST(MetricPropertiesTest, UnknownKeysAreRefusedByLine) {
  EXPECT_THAT(MetricFailure("continous: false"),
              HasSubstr("m.yaml:6:5: unknown key \"continous\": is it continuous?"));
}

TEST(MetricPropertiesTest, RequiredAndContradictory) {
  EXPECT_THAT(Failure("version: 1\nmetrics: [{sharp: true}]\n"), HasSubstr("metric is missing"));
  EXPECT_THAT(MetricFailure(""),
              HasSubstr("m.yaml:3:5: m: continuous is missing: say true or false"));
  EXPECT_THAT(Failure("version: 1\nmetrics: [{metric: m, sharp: true, continuous: false}]\n"),
              HasSubstr("higher_is_better is missing"));
  EXPECT_THAT(
      Failure("version: 1\nmetrics: [{metric: m, higher_is_better: true, continuous: false}]\n"),
      HasSubstr("sharp is missing"));
  EXPECT_THAT(MetricFailure("continuous: true"), HasSubstr("sharp and continuous are both true"));
  const std::string good = "continuous: false\n    ";
  for (const auto& [more, message] : std::vector<std::pair<std::string, std::string>>{
           {"lower_bound: 1\n    upper_bound: 1", "lower_bound is 1 and upper_bound 1"},
           {"proportion: true\n    upper_bound: 100", "outside [0, 1]"},
           {"proportion: true\n    lower_bound: -1", "outside [0, 1]"},
           {"counterparts: ['']", "empty name"},
           {"counterparts: [m]", "names the metric itself"},
           {"counterparts: [a, b, a]", "names a twice"},
           {"composition: ARGMAX", "without counterparts"},
           {"counterparts: [a]\n    composition: THRESHOLD", "threshold is missing"},
           {"counterparts: [a]\n    threshold: 1", "without composition: THRESHOLD"},
           {"composition: THRESHOLDS", "is it THRESHOLD?"},
       }) {
    EXPECT_THAT(MetricFailure(good + more), HasSubstr(message)) << more;
  }
}

TEST(MetricPropertiesTest, Files) {
  const test_support::TemporaryFolder folder;
  const std::string path = folder.path() + "/m.yaml";
  std::ofstream(path) << kGood;
  const auto metrics = ReadMetricProperties(path);
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  EXPECT_EQ(metrics->size(), 2u);
  EXPECT_TRUE(absl::IsNotFound(ReadMetricProperties(path + "x").status()));
  std::ofstream(path) << std::string(2 << 20, ' ');
  EXPECT_THAT(std::string(ReadMetricProperties(path).status().message()), HasSubstr("longer than"));
}

}  // namespace
}  // namespace mirage::client
