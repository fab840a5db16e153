#include "client/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "client/render/terminal_text.h"

namespace mirage::client {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kWipe[] = "\r\x1b[K";

// A Progress whose time is the test's, and what it wrote.
class ProgressTest : public testing::Test {
 protected:
  // Each element: how long after the one before, and bytes done of 200 MB.
  struct Step {
    milliseconds after;
    uint64_t done;
  };
  // The lines that were drawn, in order; the last is empty where it was wiped.
  std::vector<std::string> Draw(const std::string& label, const std::vector<Step>& steps,
                                bool enabled = true) {
    testing::internal::CaptureStderr();
    {
      Progress progress(label, enabled, [this] { return now_; });
      for (const Step& step : steps) {
        now_ += step.after;
        progress.Update(step.done, 200'000'000);
      }
    }
    const std::string out = testing::internal::GetCapturedStderr();
    std::vector<std::string> lines;
    size_t at = 0;
    while ((at = out.find(kWipe, at)) != std::string::npos) {
      at += sizeof(kWipe) - 1;
      lines.push_back(out.substr(at, out.find(kWipe, at) - at));
    }
    EXPECT_EQ(lines.empty(), out.empty()) << "each line begins by wiping the one before";
    return lines;
  }

 private:
  Progress::Clock::time_point now_{};
};

TEST_F(ProgressTest, SaysHowMuchIsDoneAndHowFast) {
  EXPECT_THAT(Draw("model", {{milliseconds(500), 50'000'000}, {milliseconds(500), 200'000'000}}),
              ElementsAre("model ██████░░░░░░░░░░░░░░░░░░  25 %  50 of 200 MB, 100 MB/s",
                          "model ████████████████████████ 100 %  200 of 200 MB, 200 MB/s", ""));
}

TEST_F(ProgressTest, CountsWhatIsNoBytes) {
  testing::internal::CaptureStderr();
  Progress::Clock::time_point now{};
  {
    Progress progress(
        "diagnosing", true, [&] { return now; }, "series");
    now += milliseconds(1000);
    progress.Update(3, 12);
  }
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("diagnosing ██████░░░░░░░░░░░░░░░░░░  25 %  3 of 12 series\r"));
}

TEST_F(ProgressTest, PrintsNothingWhenDisabled) {
  EXPECT_THAT(Draw("model", {{milliseconds(5000), 1}, {milliseconds(5000), 2}}, false), IsEmpty());
}

TEST_F(ProgressTest, PrintsNothingForShortWork) {
  EXPECT_THAT(Draw("model", {{milliseconds(0), 0}, {milliseconds(329), 200'000'000}}), IsEmpty());
  EXPECT_THAT(Draw("model", {}), IsEmpty());
}

TEST_F(ProgressTest, PrintsNothingWhereThereIsNothingToRead) {
  testing::internal::CaptureStderr();
  Progress::Clock::time_point now{};
  Progress progress("model", true, [&] { return now; });
  now += milliseconds(5000);
  progress.Update(0, 0);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(ProgressTest, DrawsTenTimesASecondAtMost) {
  // 10 s in steps of 1 ms.
  const std::vector<Step> steps(10'000, Step{milliseconds(1), 7});
  EXPECT_THAT(Draw("model", steps), SizeIs(97 + 1));  // at 330 ms, 430 ms, …, 9930 ms; the wipe
}

TEST_F(ProgressTest, TheBarHasOneWidth) {
  size_t width = 0;
  for (uint64_t done = 0; done <= 200'000'000; done += 12'345'678) {
    const auto lines = Draw("", {{milliseconds(1000), done}});
    ASSERT_THAT(lines, SizeIs(2));
    const size_t bar = lines[0].find(' ');
    ASSERT_NE(bar, std::string::npos);
    if (width == 0) width = DisplayWidth(lines[0].substr(0, bar));
    EXPECT_EQ(DisplayWidth(lines[0].substr(0, bar)), 24u) << lines[0];
  }
  // A file that grew while it was read.
  EXPECT_THAT(Draw("", {{milliseconds(1000), 300'000'000}})[0],
              StartsWith("████████████████████████ 100 %  300 of 200 MB"));
}

TEST_F(ProgressTest, ALongLabelIsCut) {
  for (const std::string letter : {"m", "ö", "模"}) {
    std::string label;
    for (int i = 0; i < 100; ++i) label += letter;
    const std::string line = Draw(label, {{milliseconds(1000), 100'000'000}})[0];
    EXPECT_THAT(line, StartsWith(letter + letter));
    EXPECT_THAT(line, HasSubstr(letter + "… ████████████░░░░░░░░░░░░  50 %"));
    EXPECT_THAT(line, EndsWith("MB/s"));
    EXPECT_LT(DisplayWidth(line), 80u);
    EXPECT_GE(DisplayWidth(line), 77u);
  }
}

TEST_F(ProgressTest, TheLineFitsTheTerminal) {
  int ours = -1, terminal = -1;
  ASSERT_EQ(::openpty(&ours, &terminal, nullptr, nullptr, nullptr), 0);
  const int kept = ::dup(STDERR_FILENO);
  for (const unsigned short columns : {200, 60, 40, 20, 5, 1}) {
    struct winsize size = {};
    size.ws_col = columns;
    ASSERT_EQ(::ioctl(ours, TIOCSWINSZ, &size), 0);
    Progress::Clock::time_point now{};
    ::dup2(terminal, STDERR_FILENO);
    {
      Progress progress(std::string(100, 'm'), true, [&] { return now; });
      now += milliseconds(1000);
      progress.Update(1, 2);
    }
    ::dup2(kept, STDERR_FILENO);
    // A terminal hands over what was written in pieces of its own choosing: the line ends where
    // the wipe of the destructor begins.
    std::string line;
    while (line.find(kWipe, 4) == std::string::npos) {
      char buffer[4096];
      const ssize_t n = ::read(ours, buffer, sizeof(buffer));
      ASSERT_GT(n, 0);
      line.append(buffer, static_cast<size_t>(n));
    }
    EXPECT_THAT(line, StartsWith(kWipe));
    line = line.substr(4, line.find(kWipe, 4) - 4);
    EXPECT_LT(DisplayWidth(line), columns) << line;
    if (columns == 200) {
      EXPECT_THAT(line, StartsWith(std::string(100, 'm') + " █"));
    }
    if (columns == 40) {
      EXPECT_THAT(line, Not(HasSubstr("█")));
    }
    if (columns >= 20) {
      EXPECT_THAT(line, HasSubstr("50 %"));
    }
  }
  ::close(kept);
  ::close(ours);
  ::close(terminal);
}

}  // namespace
}  // namespace mirage::client
