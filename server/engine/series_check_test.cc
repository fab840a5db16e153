#include "server/engine/series_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace mirage::server {
namespace {

using ::testing::HasSubstr;

v1::Series Good() {
  v1::Series series;
  series.set_task("t");
  series.set_metric("acc");
  v1::SeriesPoint* point = series.add_points();
  point->set_model("m");
  point->set_scale(1e8);
  point->set_value(0.5);
  return series;
}

std::string Refused(const v1::Series& series) {
  return std::string(CheckSeries(series, "series[2]").message());
}

TEST(SeriesCheckTest, NamesTheField) {
  EXPECT_TRUE(CheckSeries(Good(), "series[2]").ok());
  v1::Series bad = Good();
  bad.clear_task();
  EXPECT_THAT(Refused(bad), HasSubstr("series[2].task is empty"));
  bad = Good();
  bad.clear_metric();
  EXPECT_THAT(Refused(bad), HasSubstr("series[2].metric is empty"));
  bad = Good();
  bad.set_target_length(0);
  EXPECT_THAT(Refused(bad), HasSubstr("series[2].target_length is 0"));
  bad = Good();
  bad.mutable_points(0)->set_scale(0);
  EXPECT_THAT(Refused(bad), HasSubstr("series[2].points[0].scale is 0"));
  bad = Good();
  bad.mutable_points(0)->set_value(std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(Refused(bad), HasSubstr("series[2].points[0].value is nan"));
  bad = Good();
  bad.mutable_points(0)->set_n(0);
  EXPECT_THAT(Refused(bad), HasSubstr("series[2].points[0].n is 0"));
}

}  // namespace
}  // namespace mirage::server
