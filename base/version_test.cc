#include "base/version.h"

#include <charconv>
#include <system_error>

#include "gtest/gtest.h"

namespace mirage {
namespace {

// Derived files name it, and scripts compare it: three numbers and nothing else.
TEST(VersionTest, IsThreeNumbers) {
  const char* at = kVersion.data();
  const char* const end = at + kVersion.size();
  for (int part = 0; part < 3; ++part) {
    if (part > 0) {
      ASSERT_TRUE(at != end && *at == '.') << kVersion;
      ++at;
    }
    int number = -1;
    const auto parsed = std::from_chars(at, end, number);
    ASSERT_TRUE(parsed.ec == std::errc() && number >= 0) << kVersion;
    at = parsed.ptr;
  }
  EXPECT_EQ(at, end) << kVersion;
}

}  // namespace
}  // namespace mirage
