#include "client/render/curve_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "client/render/diagnose_example.h"
#include "client/render/terminal_text.h"

namespace mirage::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

v1::DiagnoseReport Only(const v1::Diagnosis& diagnosis) {
  v1::DiagnoseReport report;
  *report.add_diagnoses() = diagnosis;
  return report;
}

struct Element {
  std::string name;
  std::map<std::string, std::string> attributes;

  double Number(const std::string& attribute) const {
    return std::strtod(attributes.at(attribute).c_str(), nullptr);
  }
};

// Reads the document as XML: fails the test where elements are not closed in order, or where an
// attribute or a text holds what belongs to markup.
std::vector<Element> Parse(const std::string& svg) {
  static const std::regex kAttribute(R"re(([a-zA-Z:-]+[a-zA-Z0-9]*)="([^"<]*)")re");
  static const std::regex kReference("&(amp|lt|gt|quot);");
  std::vector<Element> elements;
  std::vector<std::string> open;
  size_t at = 0;
  while (at < svg.size()) {
    const size_t begin = svg.find('<', at);
    const std::string text = svg.substr(at, begin - at);
    EXPECT_EQ(std::regex_replace(text, kReference, "").find_first_of("&>"), std::string::npos)
        << text;
    if (begin == std::string::npos) break;
    const size_t end = svg.find('>', begin);
    if (end == std::string::npos) {
      ADD_FAILURE() << "not closed: " << svg.substr(begin, 80);
      break;
    }
    std::string tag = svg.substr(begin + 1, end - begin - 1);
    at = end + 1;
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) {
        ADD_FAILURE() << "not open: " << tag;
        break;
      }
      open.pop_back();
      continue;
    }
    const bool is_empty = tag.back() == '/';
    if (is_empty) tag.pop_back();
    Element element{.name = tag.substr(0, tag.find(' ')), .attributes = {}};
    std::string rest = tag.substr(element.name.size());
    for (std::sregex_iterator match(rest.begin(), rest.end(), kAttribute), none; match != none;
         ++match) {
      element.attributes[(*match)[1]] = (*match)[2];
    }
    rest = std::regex_replace(rest, kAttribute, "");
    EXPECT_EQ(rest.find_first_not_of(' '), std::string::npos) << "stray: " << tag;
    if (!is_empty) open.push_back(element.name);
    elements.push_back(std::move(element));
  }
  EXPECT_THAT(open, SizeIs(0));
  return elements;
}

// Elements of a name; those of the legend, which come last, are in it.
std::vector<Element> Named(const std::vector<Element>& elements, const std::string& name,
                           const std::string& attribute) {
  std::vector<Element> found;
  for (const Element& element : elements) {
    if (element.name == name && element.attributes.contains(attribute)) found.push_back(element);
  }
  return found;
}

// Squares stand for the counterpart: their centres.
std::vector<std::pair<double, double>> Squares(const std::vector<Element>& elements) {
  std::vector<std::pair<double, double>> centres;
  for (const Element& rect : Named(elements, "rect", "stroke")) {
    centres.emplace_back(rect.Number("x") + 3.2, rect.Number("y") + 3.2);
  }
  return centres;
}

// Every coordinate is a number inside the drawing.
void ExpectInside(const std::string& svg) {
  const std::vector<Element> elements = Parse(svg);
  ASSERT_FALSE(elements.empty());
  const double width = elements[0].Number("width"), height = elements[0].Number("height");
  EXPECT_EQ(width, 760);
  for (const Element& element : elements) {
    for (const auto& [name, value] : element.attributes) {
      const bool is_x = name == "x" || name == "x1" || name == "x2" || name == "cx";
      const bool is_y = name == "y" || name == "y1" || name == "y2" || name == "cy";
      if (!is_x && !is_y) continue;
      char* stop = nullptr;
      const double number = std::strtod(value.c_str(), &stop);
      EXPECT_EQ(*stop, '\0') << name << " " << value;
      EXPECT_TRUE(number >= 0 && number <= (is_x ? width : height)) << name << " " << value;
    }
    if (element.attributes.contains("d")) {
      EXPECT_EQ(element.attributes.at("d").find_first_not_of("MLlz0123456789.- "),
                std::string::npos)
          << element.attributes.at("d");
    }
  }
}

TEST(CurvePlotSvgTest, MarksStandWhereTheNumbersAre) {
  const v1::Diagnosis diagnosis = ExampleMirage();
  const std::vector<Element> elements = Parse(CurvePlotSvg(Only(diagnosis)));
  const std::vector<Element> circles = Named(elements, "circle", "cx");
  const auto squares = Squares(elements);
  // Eight models and the legend's.
  ASSERT_THAT(circles, SizeIs(8 + 2));
  ASSERT_THAT(squares, SizeIs(8 + 1));
  // From the first model and the last the place of any other follows: logarithms of the scale and
  // of the counterpart, the metric as it is.
  const auto& first = diagnosis.scales(0);
  const auto& last = diagnosis.scales(7);
  const auto between = [](double from, double to, double share) {
    return from + share * (to - from);
  };
  for (int i = 0; i < 8; ++i) {
    const auto& scale = diagnosis.scales(i);
    const size_t at = static_cast<size_t>(i);
    const double x =
        std::log(scale.scale() / first.scale()) / std::log(last.scale() / first.scale());
    EXPECT_NEAR(circles[at].Number("cx"),
                between(circles[0].Number("cx"), circles[7].Number("cx"), x), 0.15);
    EXPECT_NEAR(squares[at].first, circles[at].Number("cx"), 0.15) << "one below the other";
    EXPECT_NEAR(circles[at].Number("cy"),
                between(circles[0].Number("cy"), circles[7].Number("cy"),
                        (scale.value() - first.value()) / (last.value() - first.value())),
                0.15);
    EXPECT_NEAR(squares[at].second,
                between(squares[0].second, squares[7].second,
                        std::log(scale.counterpart_value() / first.counterpart_value()) /
                            std::log(last.counterpart_value() / first.counterpart_value())),
                0.15);
  }
  EXPECT_LT(circles[0].Number("cx"), circles[7].Number("cx"));
  EXPECT_GT(circles[0].Number("cy"), circles[7].Number("cy")) << "up is more";
  EXPECT_LT(squares[0].second, squares[7].second);
  EXPECT_GT(squares[0].second, circles[0].Number("cy")) << "the counterpart is below";
  EXPECT_EQ(circles[7].attributes.at("fill"), "#ffffff") << "held out";
  EXPECT_NE(circles[6].attributes.at("fill"), "#ffffff");
}

TEST(CurvePlotSvgTest, SaysWhatItShows) {
  const std::string svg = CurvePlotSvg(Only(ExampleMirage()));
  for (const char* text :
       {">MIRAGE (STRONG)<", ">addition exact_match, family gpt3, target length 5, 2 shots",
        ">exact_match<", ">nll_per_token, log scale<", ">100M<", ">1B<", ">1T<", ">Scale<",
        ">the counterpart follows a smooth law", ">held out of the fits<", ">its 90 % band<",
        ">forecast<", "<title id=\"title\">MIRAGE (STRONG): addition",
        " gpt3-175B at 175B, held out: exact_match 0.586, predicted 0.5859,",
        ", nll_per_token 0.1069.</desc>"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
  for (const char* none : {"<script", "<style", "href", "url(", ">break<"}) {
    EXPECT_THAT(svg, Not(HasSubstr(none)));
  }
  ExpectInside(svg);
}

TEST(CurvePlotSvgTest, SeveralFiguresStandSideBySide) {
  v1::DiagnoseReport report = ExampleReport();
  const std::string svg = CurvePlotSvg(report);
  ExpectInside(svg);
  for (const char* text :
       {"aria-label=\"BREAK_SURVIVES (WEAK): modular", ">break<", ">No numbers to draw<",
        "<title id=\"title\">3 diagnoses", ">INSUFFICIENT<"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
  // The second is right of the first, the third begins a row.
  std::vector<double> left, top;
  for (const Element& text : Named(Parse(svg), "text", "font-weight")) {
    if (text.attributes.at("font-size") != "14") continue;
    left.push_back(text.Number("x"));
    top.push_back(text.Number("y"));
  }
  ASSERT_THAT(left, SizeIs(3));
  EXPECT_GT(left[1], left[0] + 300);
  EXPECT_EQ(top[1], top[0]);
  EXPECT_EQ(left[2], left[0]);
  EXPECT_GT(top[2], top[0] + 200);

  while (report.diagnoses_size() < kMaxFigures + 5) *report.add_diagnoses() = ExampleMirage();
  const std::string many = CurvePlotSvg(report);
  ExpectInside(many);
  EXPECT_THAT(many, HasSubstr(">… and 5 more diagnoses that are not drawn<"));
  EXPECT_THAT(Named(Parse(many), "g", "role"), SizeIs(kMaxFigures));
}

TEST(CurvePlotSvgTest, NegativeCounterpartsAreNegated) {
  v1::Diagnosis diagnosis = ExampleMirage();
  diagnosis.set_counterpart("log_p_target");
  for (v1::DiagnosedScale& scale : *diagnosis.mutable_scales()) {
    const double nll = scale.counterpart_value();
    scale.set_counterpart_value(-nll);
    SetInterval(scale.mutable_counterpart_interval(), -1.05 * nll, -0.95 * nll, 0.95);
  }
  const std::string svg = CurvePlotSvg(Only(diagnosis));
  EXPECT_THAT(svg, HasSubstr(">−log_p_target, log scale<"));
  EXPECT_EQ(Squares(Parse(svg)), Squares(Parse(CurvePlotSvg(Only(ExampleMirage())))));
  // Those of both signs are not.
  diagnosis.mutable_scales(0)->set_counterpart_value(1);
  EXPECT_THAT(CurvePlotSvg(Only(diagnosis)), HasSubstr(">log_p_target<"));
}

TEST(CurvePlotSvgTest, TheLossRunsDown) {
  v1::Diagnosis diagnosis = ExampleMirage();
  diagnosis.set_x_axis("loss");
  diagnosis.clear_forecast();
  for (int i = 0; i < 8; ++i) diagnosis.mutable_scales(i)->set_scale(4 - 0.25 * i);
  const std::string svg = CurvePlotSvg(Only(diagnosis));
  ExpectInside(svg);
  EXPECT_THAT(svg, AllOf(HasSubstr(">Loss in nats per token"), HasSubstr(">2.6<")));
  double best = 0, worst = 0;
  for (const Element& circle : Named(Parse(svg), "circle", "cx")) {
    if (circle.attributes.at("fill") == "#ffffff" && best == 0) best = circle.Number("cx");
    worst = worst == 0 ? circle.Number("cx") : std::min(worst, circle.Number("cx"));
  }
  EXPECT_GT(best, 700);
}

TEST(CurvePlotSvgTest, OddNumbersSpoilNothing) {
  for (const double odd : {kNaN, kInfinity, -kInfinity, 0.0, -1.0, 1e-300, 1e300, -1e300, 5e-324,
                           1e150, 1e-150, 1e20}) {
    for (int which = 0; which < 7; ++which) {
      for (const int row : {0, 3, 7}) {
        v1::Diagnosis diagnosis = ExampleMirage();
        v1::DiagnosedScale* scale = diagnosis.mutable_scales(row);
        if (which == 0) scale->set_scale(odd);
        if (which == 1) scale->set_value(odd);
        if (which == 2) scale->mutable_interval()->set_upper(odd);
        if (which == 3) scale->set_predicted(odd);
        if (which == 4) scale->mutable_predicted_interval()->set_lower(odd);
        if (which == 5) scale->set_counterpart_value(odd);
        if (which == 6) scale->mutable_counterpart_interval()->set_lower(odd);
        ExpectInside(CurvePlotSvg(Only(diagnosis)));
        EXPECT_THAT(CurvePlotText(Only(diagnosis), {}), StartsWith("MIRAGE (STRONG)"));
      }
    }
  }
}

TEST(CurvePlotSvgTest, FewNumbersAreEnough) {
  v1::Diagnosis diagnosis = ExampleMirage();
  diagnosis.clear_forecast();
  while (diagnosis.scales_size() > 0) {
    ExpectInside(CurvePlotSvg(Only(diagnosis)));
    EXPECT_THAT(CurvePlotText(Only(diagnosis), {}), HasSubstr("●")) << diagnosis.scales_size();
    diagnosis.mutable_scales()->RemoveLast();
  }
  EXPECT_THAT(CurvePlotSvg(Only(diagnosis)), HasSubstr(">No numbers to draw<"));
  EXPECT_THAT(CurvePlotText(Only(diagnosis), {}), HasSubstr("No numbers to draw"));
  ExpectInside(CurvePlotSvg({}));
  EXPECT_THAT(CurvePlotSvg({}), HasSubstr("Nothing was diagnosed."));
  EXPECT_EQ(CurvePlotText({}, {}), "Nothing was diagnosed.\n");
  // All models of one size, of one value; a curve without a counterpart.
  diagnosis = ExampleMirage();
  for (v1::DiagnosedScale& scale : *diagnosis.mutable_scales()) {
    scale.set_scale(1e9);
    scale.set_value(0.25);
    scale.clear_counterpart_value();
    scale.clear_predicted();
  }
  ExpectInside(CurvePlotSvg(Only(diagnosis)));
  EXPECT_THAT(CurvePlotSvg(Only(diagnosis)), Not(HasSubstr("nll_per_token, log")));
}

TEST(CurvePlotSvgTest, HostileNamesAreHarmless) {
  v1::Diagnosis diagnosis = ExampleMirage();
  const std::string bad = "</text><script>\"'&\x1b\u202e";
  diagnosis.set_task(bad);
  diagnosis.set_metric(bad);
  diagnosis.set_counterpart(bad);
  diagnosis.set_family(bad);
  diagnosis.mutable_reasons(0)->set_text(bad);
  diagnosis.mutable_scales(0)->set_model(bad);
  for (v1::DiagnoseReport report : {Only(diagnosis), ExampleReport()}) {
    *report.add_diagnoses() = diagnosis;
    const std::string svg = CurvePlotSvg(report);
    ExpectInside(svg);
    EXPECT_THAT(svg, Not(HasSubstr("<script")));
    EXPECT_THAT(svg, Not(HasSubstr("\x1b")));
  }
  const std::string text = CurvePlotText(Only(diagnosis), {});
  EXPECT_THAT(text, AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr("\u202e"))));
}

TEST(CurvePlotTextTest, IsWhatItIs) {
  EXPECT_EQ(CurvePlotText(Only(ExampleMirage()), {.width = 60}),
            R"(MIRAGE (STRONG)  addition exact_match, family gpt3, target …
     1.0 ┤
         │
         │
         │
         │                                      ○
     0.5 ┤                                    ⡠⠒⠁
         │                                 ⡠⠔⠉
         │                              ⣀⠔⠊
         │                           ⢀⠤⠊
         │                         ●⠜⠁
         │ │     │   │ │   │⢀⣀⣀⠤●⠒⠉│
     0.0 ┤ ●⠒⠒⠒⠒⠒●⠒⠒⠒●⠒●⠒⠉⠉●⠁
         └┬───────────┬───────────┬──────────┬───────────┬──
        100M         1B          10B       100B         1T
          ● exact_match   ○ held out
          ⠒⠒ predicted from nll_per_token
)");
}

TEST(CurvePlotTextTest, FitsTheTerminal) {
  v1::DiagnoseReport report = ExampleReport();
  report.mutable_diagnoses(2)->set_task(std::string(200, 't'));
  for (const size_t width : {40, 60, 80, 100, 500}) {
    const std::string text = CurvePlotText(report, {.width = width});
    size_t widest = 0, at = 0;
    while (at < text.size()) {
      const size_t end = text.find('\n', at);
      widest = std::max(widest, DisplayWidth(text.substr(at, end - at)));
      at = end + 1;
    }
    EXPECT_LE(widest, width);
    EXPECT_GE(widest, std::min<size_t>(width, 100) - 1);
  }
  EXPECT_EQ(CurvePlotText(report, {}), CurvePlotText(report, {.width = 80}));
}

TEST(CurvePlotTextTest, ColoursOnlyWhereAskedFor) {
  const std::string plain = CurvePlotText(ExampleReport(), {});
  EXPECT_THAT(plain, Not(HasSubstr("\x1b")));
  std::string colored = CurvePlotText(ExampleReport(), {.color = true});
  EXPECT_THAT(colored, AllOf(HasSubstr("\x1b[1mMIRAGE (STRONG)\x1b[0m"), HasSubstr("\x1b[33m●")));
  EXPECT_EQ(std::regex_replace(colored, std::regex("\x1b\\[[0-9]*m"), ""), plain);
}

}  // namespace
}  // namespace mirage::client
