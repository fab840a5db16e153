#include "client/output_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/support/file_permissions.h"
#include "tests/support/temporary_folder.h"

namespace mirage::client {
namespace {

using ::testing::HasSubstr;

class OutputFileTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }
  void Put(const std::string& name, const std::string& content) const {
    std::ofstream(Path(name)) << content;
  }
  std::string Get(const std::string& name) const {
    std::ostringstream out;
    out << std::ifstream(Path(name)).rdbuf();
    return out.str();
  }
  size_t Files() const {
    return static_cast<size_t>(
        std::distance(std::filesystem::directory_iterator(folder_.path()), {}));
  }

  const test_support::TemporaryFolder folder_;
};

TEST_F(OutputFileTest, WritesAndReplacesItsOwn) {
  const std::string first = "{\n  \"generator\": \"mirage 0.1.0\",\n  \"runs\": []}\n";
  ASSERT_TRUE(WriteDerived(Path("mirage_x.json"), first).ok());
  ASSERT_TRUE(WriteDerived(Path("mirage_x.json"), first + " ").ok());
  EXPECT_EQ(Get("mirage_x.json"), first + " ");
  EXPECT_EQ(Files(), 1u) << "no temporary file is left";
}

TEST_F(OutputFileTest, LeavesOthersAlone) {
  Put("mirage_x.json", "{\"generator\": \"someone else\"}");
  const absl::Status status = WriteDerived(Path("mirage_x.json"), "{}");
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(status.message()), HasSubstr("Mirage did not write it"));
  EXPECT_EQ(Get("mirage_x.json"), "{\"generator\": \"someone else\"}");
}

TEST_F(OutputFileTest, LeavesLinksAndFoldersAlone) {
  Put("target.json", "{\"generator\": \"mirage 0.1.0\"}");
  ASSERT_EQ(::symlink(Path("target.json").c_str(), Path("link.json").c_str()), 0);
  EXPECT_FALSE(IsReplaceable(Path("link.json")));
  EXPECT_FALSE(IsReplaceable(folder_.path()));
  EXPECT_TRUE(IsReplaceable(Path("nothing.json")));
}

TEST_F(OutputFileTest, AGeneratorFurtherDownIsSomebodyElses) {
  Put("x.json", "{\"notes\": {\"generator\": \"mirage 0\"}}");
  EXPECT_FALSE(IsReplaceable(Path("x.json")));
}

TEST_F(OutputFileTest, OutputGoesThroughLinksAndIntoPipes) {
  Put("target", "old");
  ASSERT_EQ(::chmod(Path("target").c_str(), 0600), 0);
  ASSERT_EQ(::symlink(Path("target").c_str(), Path("link").c_str()), 0);
  ASSERT_TRUE(WriteOutput(Path("link"), "new").ok());
  EXPECT_EQ(Get("target"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(Path("link")));
  struct stat about {};
  ASSERT_EQ(::stat(Path("target").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);

  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  const int reader = ::open(Path("pipe").c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_TRUE(WriteOutput(Path("pipe"), "through").ok());
  char got[16] = {};
  EXPECT_EQ(::read(reader, got, sizeof(got)), 7);
  EXPECT_STREQ(got, "through");
  ::close(reader);
  EXPECT_TRUE(std::filesystem::is_fifo(Path("pipe")));

  ASSERT_TRUE(WriteOutput(Path("fresh"), "x").ok());
  EXPECT_EQ(Get("fresh"), "x");
}

TEST_F(OutputFileTest, AnAnswerWithoutAPathGoesToStandardOutput) {
  testing::internal::CaptureStdout();
  const absl::Status status = WriteAnswer("", "answer\n");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "answer\n");
  EXPECT_TRUE(status.ok());
  ASSERT_TRUE(WriteAnswer(Path("answer"), "answer\n").ok());
  EXPECT_EQ(Get("answer"), "answer\n");
}

TEST_F(OutputFileTest, MissingFolderIsNamed) {
  const absl::Status status = WriteAtomically(Path("none/x.json"), "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("none/x.json"));
}

TEST_F(OutputFileTest, PiecesOfManyFilesAtOnce) {
  auto a = AtomicFile::Create(Path("a"));
  auto b = AtomicFile::Create(Path("b"));
  ASSERT_TRUE(a.ok() && b.ok());
  const std::string piece(50000, 'x');
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE((*a)->Append(piece).ok());
    ASSERT_TRUE((*a)->Pause().ok());
    ASSERT_TRUE((*b)->Append("y").ok());
  }
  EXPECT_FALSE(std::filesystem::exists(Path("a"))) << "not before it is whole";
  ASSERT_TRUE((*a)->Commit().ok());
  b->reset();
  EXPECT_EQ(Get("a").size(), 5 * piece.size());
  EXPECT_EQ(Files(), 1u) << "what was not committed is gone";
}

TEST_F(OutputFileTest, WhatAKilledProcessOfTheSameIdLeftIsInNobodysWay) {
  const std::string left = "x.json." + std::to_string(::getpid()) + ".tmp";
  Put(left, "half");
  ASSERT_TRUE(WriteAtomically(Path("x.json"), "whole").ok());
  EXPECT_EQ(Get("x.json"), "whole");
  EXPECT_EQ(Get(left), "half") << "it may be another's, who still writes";
  EXPECT_EQ(Files(), 2u);
}

TEST_F(OutputFileTest, OneFileHasManyNames) {
  Put("x.json", "x");
  Put("y.json", "x");
  EXPECT_TRUE(IsSameFile(Path("x.json"), Path("./x.json")));
  EXPECT_FALSE(IsSameFile(Path("x.json"), Path("y.json")));
  ASSERT_EQ(::symlink(Path("x.json").c_str(), Path("link").c_str()), 0);
  ASSERT_EQ(::link(Path("x.json").c_str(), Path("hard").c_str()), 0);
  EXPECT_TRUE(IsSameFile(Path("link"), Path("x.json")));
  EXPECT_TRUE(IsSameFile(Path("hard"), Path("x.json")));
  // Files that are not there yet, also by relative names nothing of which exists.
  EXPECT_TRUE(IsSameFile(Path("new.csv"), Path("no/../new.csv")));
  EXPECT_FALSE(IsSameFile(Path("new.csv"), Path("other.csv")));
  EXPECT_TRUE(IsSameFile("nowhere/new.csv", "./nowhere/new.csv"));
  EXPECT_TRUE(IsSameFile("new.csv", std::filesystem::current_path() / "new.csv"));
  EXPECT_FALSE(IsSameFile("new.csv", Path("new.csv")));
}

TEST_F(OutputFileTest, ReadOnlyFolderIsRefused) {
  const test_support::UnderFilePermissions plain;
  if (!plain.holds()) GTEST_SKIP() << "root may read and write everywhere";
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0555), 0);
  EXPECT_EQ(WriteAtomically(Path("x.json"), "x").code(), absl::StatusCode::kPermissionDenied);
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0755), 0);
}

TEST_F(OutputFileTest, FullDiskLeavesTheOldFile) {
  // /dev/full fails every write with ENOSPC; as a folder entry it cannot be made
  // here, so the limit on a file's size stands in for the disk's end.
  Put("x.json", "old");
  const std::string big(1 << 20, 'x');
  rlimit old_limit{}, small_limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  small_limit = old_limit;
  small_limit.rlim_cur = 1 << 16;
  ::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small_limit), 0);
  const absl::Status status = WriteAtomically(Path("x.json"), big);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(Get("x.json"), "old");
  EXPECT_EQ(Files(), 1u) << "no temporary file is left";
}

}  // namespace
}  // namespace mirage::client
