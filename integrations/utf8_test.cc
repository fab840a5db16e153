#include "integrations/utf8.h"

#include <gtest/gtest.h>

namespace mirage::integrations {
namespace {

TEST(ValidUtf8Test, KeepsWhatIsValid) {
  EXPECT_EQ(ValidUtf8(""), "");
  EXPECT_EQ(ValidUtf8("org/model-é日本"), "org/model-é日本");
}

TEST(ValidUtf8Test, ReplacesByteByByte) {
  EXPECT_EQ(ValidUtf8("b\xff"), "b\xef\xbf\xbd");
  EXPECT_EQ(ValidUtf8("\xc3("), "\xef\xbf\xbd(") << "a lead byte alone";
  EXPECT_EQ(ValidUtf8("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd") << "a surrogate";
}

}  // namespace
}  // namespace mirage::integrations
