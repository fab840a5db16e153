#include "client/commands/family_input.h"

#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temporary_folder.h"

namespace mirage::client {
namespace {

using ::testing::HasSubstr;

constexpr char kTable[] =
    "task,model,scale,metric,value\n"
    "add,a,1,exact_match,0.5\n"
    "add,b,2,exact_match,0.7\n"
    "add,a,1,nll_per_token,0.5\n";

TEST(FamilyInputTest, FlagsThatDoNotGoTogether) {
  FamilyInputOptions options;
  EXPECT_THAT(CheckFamilyInput(options, "nothing to plan").message(),
              HasSubstr("nothing to plan: name the RUNs"));
  options.series = {"a.csv"};
  EXPECT_TRUE(CheckFamilyInput(options, "nothing to plan").ok());
  options.scales = {"scales.csv"};
  EXPECT_THAT(CheckFamilyInput(options, "").message(), HasSubstr("--scales scales.csv is for RUN"));
  options.runs = {"runs"};
  EXPECT_TRUE(CheckFamilyInput(options, "").ok());
  for (const char* const companion : {"add", "=add", "add="}) {
    options.companions = {companion};
    EXPECT_THAT(CheckFamilyInput(options, "").message(), HasSubstr("must be TASK=TASK"));
  }
  options.companions = {"add=add_ll"};
  ASSERT_TRUE(CheckFamilyInput(options, "").ok());
  EXPECT_EQ(CompanionOf(options.companions[0]).task(), "add");
  EXPECT_EQ(CompanionOf(options.companions[0]).companion(), "add_ll");
}

TEST(FamilyInputTest, NothingIsWrittenOverWhatIsRead) {
  FamilyInputOptions options;
  options.series = {"a.csv"};
  options.metric_properties = "mine.yaml";
  const std::pair<std::string_view, std::string_view> fine[] = {{"-o", "b.csv"}, {"--plot", ""}};
  EXPECT_TRUE(CheckFamilyOutputs(options, fine).ok());
  const std::pair<std::string_view, std::string_view> bad[] = {{"-o", ""}, {"--plot", "./a.csv"}};
  EXPECT_THAT(CheckFamilyOutputs(options, bad).message(), HasSubstr("--plot ./a.csv is a file"));
  const std::pair<std::string_view, std::string_view> worse[] = {{"-o", "x/../mine.yaml"}};
  EXPECT_THAT(CheckFamilyOutputs(options, worse).message(), HasSubstr("is a file that is read"));
}

TEST(FamilyInputTest, ATableThatIsNamedTwiceIsReadOnce) {
  const test_support::TemporaryFolder folder;
  const std::string path = folder.path() + "/a.csv";
  std::ofstream(path) << kTable;
  FamilyInputOptions options;
  options.quiet = true;
  options.series = {path, folder.path() + "/./a.csv"};
  const auto input = ReadFamilyInput(options, nullptr);
  ASSERT_TRUE(input.ok()) << input.status();
  ASSERT_EQ(input->series.size(), 2);
  EXPECT_EQ(input->series[0].points_size() + input->series[1].points_size(), 3);
  EXPECT_THAT(input->metrics, testing::UnorderedElementsAre("exact_match", "nll_per_token"));
  EXPECT_FALSE(input->has_failures);

  options.metrics = {"exact_match"};
  EXPECT_EQ(UnknownMetric(options, *input), std::nullopt);
  options.metrics = {"exact_mach"};
  EXPECT_THAT(UnknownMetric(options, *input).value_or(""), HasSubstr("did you mean exact_match?"));
}

TEST(FamilyInputTest, ErrorsOfASidecarHaveARemedy) {
  const absl::Status gone = absl::UnavailableError("socket closed");
  EXPECT_EQ(ExplainedError(gone, "", "does not plan"), "socket closed");
  EXPECT_THAT(ExplainedError(gone, "unix:s", "does not plan"), HasSubstr("start it again"));
  EXPECT_THAT(ExplainedError(absl::UnimplementedError(""), "unix:s", "does not plan"),
              HasSubstr("the sidecar at unix:s does not plan: start one of version"));
  EXPECT_TRUE(IsUsage(absl::InvalidArgumentError("options.power is 2")));
  EXPECT_FALSE(IsUsage(absl::InvalidArgumentError("options.metric_properties[0].metric is")));
  EXPECT_FALSE(IsUsage(absl::InvalidArgumentError("series[0].task is empty")));
  EXPECT_FALSE(IsUsage(absl::InternalError("options.power is 2")));
}

}  // namespace
}  // namespace mirage::client
