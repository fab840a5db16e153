// A folder for the files of one test.
#ifndef MIRAGE_TESTS_SUPPORT_TEMPORARY_FOLDER_H_
#define MIRAGE_TESTS_SUPPORT_TEMPORARY_FOLDER_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace mirage::test_support {

// Empty, of a name that nobody else has, and gone with all that is in it when this ends.
class TemporaryFolder {
 public:
  // In `parent`, else where tests have their files. Where it cannot be made the test fails.
  explicit TemporaryFolder(const std::string& parent = testing::TempDir())
      : path_((std::filesystem::path(parent) / "mirage_XXXXXX").string()) {
    EXPECT_NE(::mkdtemp(path_.data()), nullptr) << path_;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace mirage::test_support

#endif  // MIRAGE_TESTS_SUPPORT_TEMPORARY_FOLDER_H_
