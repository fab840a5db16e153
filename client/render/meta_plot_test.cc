#include "client/render/meta_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "client/render/meta_example.h"

namespace mirage::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

size_t Count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(MetaPlotTest, AMarkATripletAndOneEachInTheLegend) {
  const std::string svg = MetaPlotSvg(ExampleAnalysis());
  EXPECT_EQ(Count(svg, "<path"), 2 + 1);
  EXPECT_EQ(Count(svg, "<circle"), 2 + 1);
  EXPECT_THAT(svg, HasSubstr("<title>2 of 4 triplets are emergent"));
  EXPECT_THAT(svg, HasSubstr("exact_match (sharp): 2 of 2."));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("<script")));
  EXPECT_EQ(svg, MetaPlotSvg(ExampleAnalysis()));
}

TEST(MetaPlotTest, NothingIsNoCrash) { EXPECT_THAT(MetaPlotSvg({}), HasSubstr("0 of 0 triplets")); }

TEST(MetaPlotTest, NamesAreEscaped) {
  v1::MetaAnalysis analysis = ExampleAnalysis();
  analysis.mutable_metrics(0)->set_metric("<a&b>");
  EXPECT_THAT(MetaPlotSvg(analysis), HasSubstr("&lt;a&amp;b&gt;"));
}

}  // namespace
}  // namespace mirage::client
