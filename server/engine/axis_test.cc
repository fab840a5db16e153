#include "server/engine/axis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <string>

namespace mirage::server {
namespace {

using ::testing::HasSubstr;

TEST(AxisTest, FourAreKnown) {
  for (const char* axis : {"", "parameters", "flops", "tokens", "loss"}) {
    EXPECT_TRUE(CheckAxis(axis).ok()) << axis;
  }
  EXPECT_THAT(std::string(CheckAxis("depth").message()), HasSubstr("options.x_axis is 'depth'"));
}

TEST(AxisTest, APointStandsWhereItsColumnSays) {
  v1::SeriesPoint point;
  point.set_scale(7e9);
  point.set_flops(1e22);
  EXPECT_EQ(PlaceOn("", point), 7e9);
  EXPECT_EQ(PlaceOn("parameters", point), 7e9);
  EXPECT_EQ(PlaceOn("flops", point), 1e22);
  EXPECT_TRUE(std::isnan(PlaceOn("tokens", point)));
  EXPECT_TRUE(std::isnan(PlaceOn("loss", point)));
}

TEST(AxisTest, ARunStandsOnItsParametersOrOnTheAxis) {
  v1::Scale scale;
  scale.set_tokens(3e11);
  EXPECT_EQ(*RunScale("", scale, "runs[0]"), std::nullopt);
  EXPECT_EQ(*RunScale("flops", scale, "runs[0]"), std::nullopt);
  EXPECT_EQ(*RunScale("tokens", scale, "runs[0]"), 3e11);
  scale.set_parameters(7e9);
  EXPECT_EQ(*RunScale("", scale, "runs[0]"), 7e9);
  EXPECT_EQ(*RunScale("tokens", scale, "runs[0]"), 7e9);
  EXPECT_EQ(*RunScale("loss", scale, "runs[0]"), std::nullopt);
}

TEST(AxisTest, ASizeThatCannotBeIsNamed) {
  v1::Scale scale;
  scale.set_parameters(-1);
  EXPECT_THAT(std::string(RunScale("", scale, "runs[4]").status().message()),
              HasSubstr("runs[4].scale"));
  scale.set_parameters(1e9);
  scale.set_loss(0);
  EXPECT_THAT(std::string(RunScale("", scale, "runs[4]").status().message()),
              HasSubstr("runs[4].loss"));
}

}  // namespace
}  // namespace mirage::server
