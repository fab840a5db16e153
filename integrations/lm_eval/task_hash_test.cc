#include "integrations/lm_eval/task_hash.h"

#include "gtest/gtest.h"

namespace mirage::integrations::lm_eval {
namespace {

TEST(TaskHashTest, IsSha256) {
  // The two examples of FIPS 180-2, appendix B.
  TaskHash abc;
  abc.Add("abc");
  EXPECT_EQ(abc.Finish(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  TaskHash pieces;
  pieces.Add("abcdbcdecdefdefgefghfghighij");
  pieces.Add("");
  pieces.Add("hijkijkljklmklmnlmnomnopnopq");
  EXPECT_EQ(pieces.Finish(), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(TaskHashTest, OfNothing) {
  EXPECT_EQ(TaskHash().Finish(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

}  // namespace
}  // namespace mirage::integrations::lm_eval
