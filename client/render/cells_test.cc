#include "client/render/cells.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace mirage::client {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(CellsTest, DecimalsShowTwoDigitsOfTheError) {
  EXPECT_EQ(DecimalsFor(0.5), 4);
  EXPECT_EQ(DecimalsFor(1.19e-5), 6);
  EXPECT_EQ(DecimalsFor(1e-30), 8);
  for (const double none : {0.0, -1.0, kInfinity, kNaN}) EXPECT_EQ(DecimalsFor(none), 4);
}

TEST(CellsTest, NothingOfATextIsMarkup) {
  EXPECT_EQ(XmlText("a<b> & \"c\""), "a&lt;b&gt; &amp; &quot;c&quot;");
  EXPECT_EQ(XmlText("</script>"), "&lt;/script&gt;");
}

TEST(CellsTest, AxesHaveNames) {
  EXPECT_EQ(AxisName("parameters"), "Scale");
  EXPECT_EQ(AxisName("tokens"), "Tokens");
  EXPECT_EQ(AxisName("flops"), "FLOPs");
  EXPECT_EQ(AxisName("loss"), "Loss");
  EXPECT_EQ(AxisName(""), "Scale");
}

TEST(CellsTest, NumbersOfEverySize) {
  EXPECT_EQ(NumberText(0), "0.0000");
  EXPECT_EQ(NumberText(0.0417), "0.0417");
  EXPECT_EQ(NumberText(-0.0417, 6), "-0.041700");
  EXPECT_EQ(NumberText(6.4e-6), "6.40e-06");
  EXPECT_EQ(NumberText(0.000499), "4.99e-04");
  EXPECT_EQ(NumberText(0.000501), "0.0005");
  EXPECT_EQ(NumberText(12345678), "1.2346e+07");
  EXPECT_EQ(NumberText(kInfinity), "inf");
  EXPECT_EQ(NumberText(-kInfinity), "-inf");
  EXPECT_EQ(NumberText(kNaN), "NaN");
}

TEST(CellsTest, TextFromOutsideStaysInItsCell) {
  EXPECT_EQ(CsvCell("plain"), "plain");
  EXPECT_EQ(CsvCell("a,\"b\""), "\"a,\"\"b\"\"\"");
  EXPECT_EQ(CsvCell("a\r\nb\x1b"), "a\\x0d\\x0ab\\x1b");
  EXPECT_EQ(MarkdownCell("a|b <i>`*_[x]\\"), "a\\|b \\<i\\>\\`\\*\\_\\[x\\]\\\\");
  EXPECT_EQ(MarkdownCell("a\nb"), "a\\\\x0ab");
  EXPECT_EQ(CsvNumber(0.1), "0.1");
  EXPECT_EQ(CsvNumber(1.0 / 3), "0.3333333333333333");
  EXPECT_EQ(CsvNumber(-kInfinity), "-inf");
}

}  // namespace
}  // namespace mirage::client
