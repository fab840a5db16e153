#include "base/scale_text.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>

namespace mirage {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(ScaleTextTest, CountsOfParametersAreShort) {
  for (const auto& [scale, text] : {std::pair(350e6, "350M"),
                                    {1.3e9, "1.3B"},
                                    {175e9, "175B"},
                                    {1e12, "1T"},
                                    {1414647808.0, "1.41B"},
                                    {2080.0, "2080"},
                                    {9999.0, "9999"},
                                    {10000.0, "10K"},
                                    {999499.0, "999K"},
                                    {999999.0, "1M"},
                                    {999.99e6, "1B"},
                                    {1.5, "1.5"},
                                    {1.0, "1"},
                                    {0.25, "0.25"},
                                    {9.996e14, "1e15"},
                                    {3e20, "3e20"}}) {
    EXPECT_EQ(ScaleText(scale, "parameters"), text);
    EXPECT_EQ(ScaleText(scale, "tokens"), text);
  }
}

TEST(ScaleTextTest, OtherAxesHaveTheirUsualForms) {
  EXPECT_EQ(ScaleText(3.1416e23, "flops"), "3.14e23");
  EXPECT_EQ(ScaleText(1e21, "flops"), "1e21");
  EXPECT_EQ(ScaleText(9.999e21, "flops"), "1e22");
  EXPECT_EQ(ScaleText(2.3149, "loss"), "2.31");
  EXPECT_EQ(ScaleText(kInfinity, "flops"), "inf");
  EXPECT_EQ(ScaleText(std::numeric_limits<double>::quiet_NaN(), "parameters"), "NaN");
  // Where a law breaks lies between the models.
  EXPECT_EQ(ScaleText(4719.6, "parameters"), "4720");
  EXPECT_EQ(ScaleText(471.96, "parameters"), "472");
  EXPECT_EQ(ScaleText(47.196, "tokens"), "47.2");
}

}  // namespace
}  // namespace mirage
