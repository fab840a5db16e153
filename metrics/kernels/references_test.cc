#include "metrics/kernels/references.h"

#include <string_view>
#include <vector>

#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

using Texts = std::vector<std::string_view>;

TEST(ReferencesTest, AsManyAsSamplesAndNoneEmpty) {
  EXPECT_TRUE(CheckReferences({}, {}).ok());
  const Texts two = {"a", "b"};
  EXPECT_TRUE(CheckReferences(two, std::vector<Texts>{{"a"}, {"b", "c"}}).ok());
  EXPECT_EQ(CheckReferences(two, std::vector<Texts>{{"a"}}).message(),
            "references[1] is missing: there are 2 hypotheses and references for 1 of them");
  EXPECT_EQ(CheckReferences(two, std::vector<Texts>{{"a"}, {"b"}, {"c"}}).message(),
            "hypotheses[2] is missing: there are 2 hypotheses and references for 3 of them");
  const absl::Status empty = CheckReferences(two, std::vector<Texts>{{"a"}, {}});
  EXPECT_EQ(empty.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(empty.message(), "references[1] is empty: a sample needs one at least");
}

}  // namespace
}  // namespace mirage::metrics
