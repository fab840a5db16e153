#include "client/interruption.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include "client/output_file.h"
#include "tests/support/temporary_folder.h"

namespace mirage::client {
namespace {

class InterruptionTest : public testing::Test {
 protected:
  // Begins one file and puts another in place, then gets a signal, and goes on as one does
  // who does not know of it.
  [[noreturn]] void WriteAndGet(int number) const {
    CleanUpWhenInterrupted();
    const std::ptrdiff_t before = Files();
    const auto half = AtomicFile::Create(folder_.path() + "/half");
    if (!half.ok() || Files() != before + 1) ::_exit(1);
    if (!WriteAtomically(folder_.path() + "/whole", "x").ok()) ::_exit(1);
    ::kill(::getpid(), number);
    std::this_thread::sleep_for(std::chrono::seconds(1));
    if (!WriteAtomically(folder_.path() + "/after", "x").ok()) ::_exit(1);
    ::_exit(0);
  }

  std::ptrdiff_t Files() const {
    return std::distance(std::filesystem::directory_iterator(folder_.path()), {});
  }

  const test_support::TemporaryFolder folder_;
};

TEST_F(InterruptionTest, RemovesWhatIsUnderWayAndDiesByTheSignal) {
  const auto take = [this](int number) {
    ::signal(number, SIG_DFL);  // nohup and a shell's & have some ignored
    WriteAndGet(number);
  };
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    EXPECT_EXIT(take(number), testing::KilledBySignal(number), "");
    EXPECT_TRUE(std::filesystem::exists(folder_.path() + "/whole"));
    EXPECT_EQ(Files(), 1) << "signal " << number;
  }
}

TEST_F(InterruptionTest, AnIgnoredSignalStaysIgnored) {
  const auto ignore = [this] {
    ::signal(SIGHUP, SIG_IGN);
    WriteAndGet(SIGHUP);
  };
  EXPECT_EXIT(ignore(), testing::ExitedWithCode(0), "");
  EXPECT_TRUE(std::filesystem::exists(folder_.path() + "/after"));
}

}  // namespace
}  // namespace mirage::client
