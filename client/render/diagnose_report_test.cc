#include "client/render/diagnose_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/render/attach_report.h"
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

std::vector<std::string> Lines(const std::string& text, const std::string& end = "\n") {
  std::vector<std::string> lines;
  size_t at = 0;
  while (at < text.size()) {
    const size_t stop = std::min(text.find(end, at), text.size());
    lines.push_back(text.substr(at, stop - at));
    at = stop + end.size();
  }
  return lines;
}

v1::DiagnoseReport Only(const v1::Diagnosis& diagnosis) {
  v1::DiagnoseReport report;
  *report.add_diagnoses() = diagnosis;
  return report;
}

TEST(DiagnoseTableTest, IsWhatItIs) {
  EXPECT_EQ(DiagnoseTable(ExampleReport(), {}),
            R"(3 diagnoses: 1 MIRAGE, 1 BREAK_SURVIVES, 1 INSUFFICIENT

MIRAGE (STRONG)  addition exact_match, family gpt3, target length 5, 2 shots, temperature 0
  Why           the counterpart follows a smooth law, and that law predicts the curve at every
                scale, also the largest from the smaller ones
|Model    |Scale|   n|exact_match|95 % interval   |nll_per_token|95 % interval   |Predicted|90 % band       |        |
|---------|-----|----|-----------|----------------|-------------|----------------|---------|----------------|--------|
|gpt3-125M| 125M|1000|     0.0000|[0.0000, 0.0300]|       4.0000|[3.8000, 4.2000]| 2.06e-09|[0.0000, 0.0000]|        |
|gpt3-350M| 350M|1000|     0.0000|[0.0000, 0.0300]|       2.3905|[2.2709, 2.5100]| 6.44e-06|[0.0000, 0.0025]|        |
|gpt3-760M| 760M|1000|     0.0000|[0.0000, 0.0300]|       1.6222|[1.5411, 1.7033]| 3.00e-04|[0.0000, 0.0173]|        |
|gpt3-1.3B| 1.3B|1000|     0.0020|[0.0000, 0.0320]|       1.2403|[1.1783, 1.3024]|   0.0020|[0.0000, 0.0450]|        |
|gpt3-2.7B| 2.7B|1000|     0.0140|[0.0000, 0.0440]|       0.8607|[0.8176, 0.9037]|   0.0135|[0.0002, 0.1163]|        |
|gpt3-6.7B| 6.7B|1000|     0.0650|[0.0350, 0.0950]|       0.5464|[0.5190, 0.5737]|   0.0651|[0.0042, 0.2552]|        |
|gpt3-13B |  13B|1000|     0.1410|[0.1110, 0.1710]|       0.3922|[0.3726, 0.4118]|   0.1407|[0.0198, 0.3751]|        |
|gpt3-175B| 175B|1000|     0.5860|[0.5560, 0.6160]|       0.1069|[0.1016, 0.1122]|   0.5859|[0.3433, 0.7655]|held out|
  Also          the curve rises by 0.58, 3 % of it in the first 40 % of the scales
  Counterpart   nll_per_token
                also looked at: token_edit_distance
  Break test    q = 0.43, corrected over all series diagnosed
  Forecast      0.7996 [0.7100, 0.8600] (90 %) at 1T
  Items needed  500000 for gpt3-350M to show 6.40e-06
  Laws in use   power_law on nll_per_token: alpha = -0.5 ± 0.0125
  Emergence     score of exact_match 9.62, p = 0.0125 for a straight line; nll_per_token 2.81
  Samples       how the samples' numbers go with scale: Spearman's correlation, 1 being always
                better, its median and the middle half of the samples
                log_p_target 0.93 [0.68, 0.98], 1 % of 1000 samples get worse
                exact_match 0.61 [0.36, 0.66], 1 % of 590 samples get worse; 410 the same in all
                models

BREAK_SURVIVES (WEAK)  modular exact_match, family gpt3, target length 5, 2 shots, temperature 0
  Why           the counterpart's scaling law breaks too, near 4B
|Model    |Scale|   n|exact_match|95 % interval   |nll_per_token|95 % interval   |        |
|---------|-----|----|-----------|----------------|-------------|----------------|--------|
|gpt3-125M| 125M|1000|     0.0000|[0.0000, 0.0300]|       4.0000|[3.8000, 4.2000]|        |
|gpt3-350M| 350M|1000|     0.0000|[0.0000, 0.0300]|       2.3905|[2.2709, 2.5100]|        |
|gpt3-760M| 760M|1000|     0.0000|[0.0000, 0.0300]|       1.6222|[1.5411, 1.7033]|        |
|gpt3-1.3B| 1.3B|1000|     0.0020|[0.0000, 0.0320]|       1.2403|[1.1783, 1.3024]|        |
|gpt3-2.7B| 2.7B|1000|     0.0140|[0.0000, 0.0440]|       0.8607|[0.8176, 0.9037]|        |
|gpt3-6.7B| 6.7B|1000|     0.0650|[0.0350, 0.0950]|       0.5464|[0.5190, 0.5737]|        |
|gpt3-13B |  13B|1000|     0.1410|[0.1110, 0.1710]|       0.3922|[0.3726, 0.4118]|        |
|gpt3-175B| 175B|1000|     0.5860|[0.5560, 0.6160]|       0.1069|[0.1016, 0.1122]|held out|
  Also          the curve rises by 0.58, 3 % of it in the first 40 % of the scales
  Counterpart   nll_per_token
                also looked at: token_edit_distance
  Breaks        at the last unit of the target, near 4B, p = 0.002, q = 0.0123
  Break test    q = 0.43, corrected over all series diagnosed
  Laws in use   power_law on nll_per_token: alpha = -0.5 ± 0.0125
  Emergence     score of exact_match 9.62, p = 0.0125 for a straight line; nll_per_token 2.81

INSUFFICIENT  riddles acc
  Why           0 scales: a verdict needs 5

Warnings
  s.csv:12: column "n" is "many", which is no number

Verdicts
  MIRAGE              the metric jumps, the model does not: the counterpart follows a smooth law,
                      and that law predicts the jump
  BREAK_SURVIVES      the counterpart breaks too: the jump is not the metric's doing
  INSUFFICIENT        not enough evidence; the reasons say what would settle it
  Strength            in simulated families of known truth such a verdict was wrong in at most 2 %
                      (STRONG), 5 % (MODERATE), 15 % (WEAK)
)");
}

TEST(DiagnoseTableTest, ANarrowTerminalLosesWhatSaysLeast) {
  const std::string table = DiagnoseTable(Only(ExampleMirage()), {.width = 80});
  EXPECT_THAT(
      table,
      StartsWith(R"(MIRAGE (STRONG)  addition exact_match, family gpt3, target length 5, 2 shots,
  temperature 0
  Why           the counterpart follows a smooth law, and that law predicts the
                curve at every scale, also the largest from the smaller ones
|Model    |Scale|exact_ma…|95 % interval   |nll_p…|Predicted|90 % band       | |
|---------|-----|---------|----------------|------|---------|----------------|-|
|gpt3-125M| 125M|   0.0000|[0.0000, 0.0300]|4.0000| 2.06e-09|[0.0000, 0.0000]| |
|gpt3-350M| 350M|   0.0000|[0.0000, 0.0300]|2.3905| 6.44e-06|[0.0000, 0.0025]| |
|gpt3-760M| 760M|   0.0000|[0.0000, 0.0300]|1.6222| 3.00e-04|[0.0000, 0.0173]| |
|gpt3-1.3B| 1.3B|   0.0020|[0.0000, 0.0320]|1.2403|   0.0020|[0.0000, 0.0450]| |
|gpt3-2.7B| 2.7B|   0.0140|[0.0000, 0.0440]|0.8607|   0.0135|[0.0002, 0.1163]| |
|gpt3-6.7B| 6.7B|   0.0650|[0.0350, 0.0950]|0.5464|   0.0651|[0.0042, 0.2552]| |
|gpt3-13B |  13B|   0.1410|[0.1110, 0.1710]|0.3922|   0.1407|[0.0198, 0.3751]| |
|gpt3-175B| 175B|   0.5860|[0.5560, 0.6160]|0.1069|   0.5859|[0.3433, 0.7655]|*|
  *             held out of every fit, to be predicted
)"));
  for (const size_t width : {200, 100, 80, 60, 53}) {
    for (const std::string& line : Lines(DiagnoseTable(ExampleReport(), {.width = width}))) {
      // Of the file: its words are not broken.
      if (line.find("s.csv") != std::string::npos) continue;
      EXPECT_LE(DisplayWidth(line), width) << line;
    }
  }
  EXPECT_THAT(DiagnoseTable(Only(ExampleMirage()), {.color = true, .width = 1}),
              StartsWith("\x1b[1;31mMIRAGE (STRONG)\x1b[0m \n"));
  // Where nothing helps the numbers stay.
  EXPECT_THAT(DiagnoseTable(Only(ExampleMirage()), {.width = 1}),
              AllOf(HasSubstr(" 2.06e-09|"), HasSubstr("|0.5860|")));
  v1::Diagnosis longer = ExampleMirage();
  longer.mutable_scales(0)->set_model(std::string(100, 'm'));
  EXPECT_THAT(DiagnoseTable(Only(longer), {}), HasSubstr(std::string(100, 'm')));
  EXPECT_THAT(DiagnoseTable(Only(longer), {.width = 80}), HasSubstr("mmm…|"));
}

TEST(DiagnoseTableTest, NumbersStandBelowEachOther) {
  v1::Diagnosis diagnosis = ExampleMirage();
  // One error that small needs so many decimals; then all have them.
  SetInterval(diagnosis.mutable_scales(5)->mutable_interval(), 0.06499, 0.06501, 0.95);
  diagnosis.mutable_scales(6)->set_counterpart_value(-12.5);
  SetInterval(diagnosis.mutable_scales(6)->mutable_counterpart_interval(), -100, kInfinity, 0.95);
  const std::string table = DiagnoseTable(Only(diagnosis), {});
  EXPECT_THAT(table,
              AllOf(HasSubstr("|   0.065000|[0.064990, 0.065010]|"),
                    HasSubstr("|   0.141000|[0.111000, 0.171000]|"), HasSubstr("| 0.140695|"),
                    HasSubstr("|     -12.5000|[-100.0000,    inf]|"),
                    HasSubstr("|       0.5464|[   0.5190, 0.5737]|")));
  size_t width = 0;
  for (const std::string& line : Lines(table)) {
    if (line[0] != '|') continue;
    if (width == 0) width = DisplayWidth(line);
    EXPECT_EQ(DisplayWidth(line), width) << line;
  }
}

TEST(DiagnoseTableTest, IntervalsOfSeveralLevelsNameNone) {
  v1::Diagnosis diagnosis = ExampleMirage();
  diagnosis.mutable_scales(3)->mutable_predicted_interval()->set_level(0.8);
  EXPECT_THAT(DiagnoseTable(Only(diagnosis), {}),
              AllOf(HasSubstr("|95 % interval "), HasSubstr("|band ")));
}

TEST(DiagnoseTableTest, EverythingThatCanBeSaid) {
  v1::Diagnosis diagnosis = ExampleMirage();
  diagnosis.set_zero_median(true);
  diagnosis.set_emergence_score(kInfinity);
  diagnosis.set_companion_task("addition_ll");
  diagnosis.set_companion_matched(0.9824);
  diagnosis.set_filter("strict");
  diagnosis.set_shots(1);
  diagnosis.clear_target_length();
  diagnosis.add_pooled_over("target_length=3,shots=1");
  diagnosis.add_pooled_over("target_length=5,shots=1");
  diagnosis.mutable_samples_needed(0)->set_n(UINT32_MAX);
  v1::Break* found = diagnosis.add_breaks();
  found->set_where(v1::Break::STRATUM);
  found->set_stratum("carry=2");
  found = diagnosis.add_breaks();
  found->set_where(v1::Break::MEAN);
  found->set_scale(13e9);
  v1::Forecast* reached = diagnosis.add_forecast();
  reached->set_scale(3e12);
  reached->set_value(0.9);
  SetInterval(reached->mutable_scale_interval(), 1.5e12, kInfinity, 0.9);
  for (const std::string& text :
       {DiagnoseTable(Only(diagnosis), {.width = 300}), DiagnoseMarkdown(Only(diagnosis))}) {
    for (const char* part :
         {"family gpt3, 1 shot, temperature 0, filter strict, 2 series pooled",
          ", 98.2 % of the documents matched", "where carry=2", "in the mean, near 13B",
          "is reached at 3T ", ">= 4294967295 for gpt3-350M", " inf, most steps being 0"}) {
      EXPECT_THAT(text, HasSubstr(part));
    }
  }
  EXPECT_THAT(
      DiagnoseTable(Only(diagnosis), {}),
      AllOf(HasSubstr("\n                0.9000 is reached at 3T [1.5T, inf]\n"),
            HasSubstr("\n  Pools         target_length=3,shots=1\n                target")));
}

TEST(DiagnoseTableTest, ColourTintsTheVerdictOnly) {
  const std::string table = DiagnoseTable(ExampleReport(), {.color = true});
  EXPECT_THAT(table, AllOf(HasSubstr("\n\x1b[1;31mMIRAGE (STRONG)\x1b[0m  addition"),
                           HasSubstr("\n\x1b[1;36mBREAK_SURVIVES (WEAK)\x1b[0m  modular"),
                           HasSubstr("\n\x1b[1;35mINSUFFICIENT\x1b[0m  riddles")));
  EXPECT_EQ(std::count(table.begin(), table.end(), '\x1b'), 6);
  std::string plain = table;
  for (const char* escape : {"\x1b[1;31m", "\x1b[1;36m", "\x1b[1;35m", "\x1b[0m"}) {
    for (size_t at; (at = plain.find(escape)) != std::string::npos;) {
      plain.erase(at, std::string(escape).size());
    }
  }
  EXPECT_EQ(plain, DiagnoseTable(ExampleReport(), {}));
}

TEST(DiagnoseTableTest, WarningsAreTheReadersChoiceAndNeverAFlood) {
  v1::DiagnoseReport report = ExampleReport();
  EXPECT_THAT(DiagnoseTable(report, {.warnings = false}), Not(HasSubstr("Warnings")));
  for (int i = 0; i < 100; ++i) report.add_warnings("w" + std::to_string(i));
  EXPECT_THAT(DiagnoseTable(report, {}),
              AllOf(HasSubstr("\n  w18\n  … and 81 more; --output-format json has them all\n"),
                    Not(HasSubstr("w19"))));
  EXPECT_THAT(DiagnoseMarkdown(report), HasSubstr("\n- w99\n"));
}

TEST(DiagnoseTableTest, NothingIsSaidToBeNothing) {
  v1::DiagnoseReport report;
  EXPECT_EQ(DiagnoseTable(report, {}), "Nothing was diagnosed.\n");
  EXPECT_EQ(DiagnoseMarkdown(report), "Nothing was diagnosed.\n");
  EXPECT_THAT(Lines(DiagnoseCsv(report), "\r\n"), SizeIs(1));
}

TEST(DiagnoseTableTest, AVerdictOfANewerSidecarHasItsNumber) {
  v1::Diagnosis diagnosis;
  diagnosis.set_task("t");
  diagnosis.set_metric("acc");
  diagnosis.set_verdict(static_cast<v1::Diagnosis::Verdict>(9));
  diagnosis.set_strength(static_cast<v1::Diagnosis::Strength>(9));
  EXPECT_EQ(VerdictText(diagnosis), "verdict 9");
  EXPECT_THAT(DiagnoseTable(Only(diagnosis), {}), StartsWith("verdict 9  t acc\n"));
  EXPECT_THAT(DiagnoseCsv(Only(diagnosis)), HasSubstr(",verdict 9,"));
}

TEST(DiagnoseTableTest, HostileNamesAreHarmless) {
  v1::Diagnosis diagnosis = ExampleMirage();
  const std::string bad = "\x1b[31m\n|<b>\u202e";
  diagnosis.set_family(bad);
  diagnosis.set_task(bad);
  diagnosis.set_metric(bad);
  diagnosis.set_counterpart(bad);
  diagnosis.set_filter(bad);
  diagnosis.set_companion_task(bad);
  diagnosis.set_other_counterparts(0, bad);
  diagnosis.add_pooled_over(bad);
  for (v1::Reason& reason : *diagnosis.mutable_reasons()) reason.set_text(bad);
  diagnosis.mutable_scales(0)->set_model(bad);
  diagnosis.mutable_samples_needed(0)->set_model(bad);
  diagnosis.mutable_fits(0)->set_law(bad);
  diagnosis.mutable_fits(0)->set_on(bad);
  diagnosis.mutable_fits(0)->mutable_parameters(0)->set_name(bad);
  v1::Break* found = diagnosis.add_breaks();
  found->set_where(v1::Break::STRATUM);
  found->set_stratum(bad);
  v1::DiagnoseReport report = Only(diagnosis);
  report.add_warnings(bad);
  for (const std::string& text : {DiagnoseTable(report, {}), DiagnoseMarkdown(report),
                                  DiagnoseCsv(report), DiagnoseTable(report, {.width = 80})}) {
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, Not(HasSubstr("\u202e")));
    EXPECT_THAT(text, HasSubstr("x1b"));
  }
  const std::string markdown = DiagnoseMarkdown(report);
  EXPECT_THAT(markdown, Not(HasSubstr("<b>"))) << "no markup";
  // A bar of a name ends no cell.
  for (const std::string& line : Lines(markdown)) {
    if (line[0] != '|') continue;
    size_t bars = 0;
    for (size_t i = 0; i < line.size(); ++i)
      bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
    EXPECT_EQ(bars, 11) << line;
  }
  EXPECT_THAT(Lines(DiagnoseCsv(report), "\r\n"), SizeIs(1 + 8));
}

TEST(DiagnoseMarkdownTest, IsWhatItIs) {
  v1::DiagnoseReport report = ExampleReport();
  report.mutable_diagnoses()->DeleteSubrange(0, 1);
  report.mutable_diagnoses(0)->mutable_scales()->DeleteSubrange(1, 6);
  EXPECT_EQ(DiagnoseMarkdown(report), R"(2 diagnoses: 1 BREAK\_SURVIVES, 1 INSUFFICIENT

### BREAK\_SURVIVES (WEAK): modular exact\_match, family gpt3, target length 5, 2 shots, temperature 0

the counterpart's scaling law breaks too, near 4B

| Model | Scale | n | exact\_match | 95 % interval | nll\_per\_token | 95 % interval |  |
|:---|---:|---:|---:|:---|---:|:---|:---|
| gpt3-125M | 125M | 1000 | 0.0000 | \[0.0000, 0.0300\] | 4.0000 | \[3.8000, 4.2000\] |  |
| gpt3-175B | 175B | 1000 | 0.5860 | \[0.5560, 0.6160\] | 0.1069 | \[0.1016, 0.1122\] | held out |

- Also: the curve rises by 0.58, 3 % of it in the first 40 % of the scales
- Counterpart: nll\_per\_token
- Counterpart: also looked at: token\_edit\_distance
- Breaks: at the last unit of the target, near 4B, p = 0.002, q = 0.0123
- Break test: q = 0.43, corrected over all series diagnosed
- Laws in use: power\_law on nll\_per\_token: alpha = -0.5 ± 0.0125
- Emergence: score of exact\_match 9.62, p = 0.0125 for a straight line; nll\_per\_token 2.81

### INSUFFICIENT: riddles acc

0 scales: a verdict needs 5

**Warnings**

- s.csv:12: column "n" is "many", which is no number

**Verdicts**

- BREAK\_SURVIVES: the counterpart breaks too: the jump is not the metric's doing
- INSUFFICIENT: not enough evidence; the reasons say what would settle it
- Strength: in simulated families of known truth such a verdict was wrong in at most 2 % (STRONG), 5 % (MODERATE), 15 % (WEAK)
)");
}

TEST(DiagnoseCsvTest, OneRowAModel) {
  const std::vector<std::string> lines = Lines(DiagnoseCsv(ExampleReport()), "\r\n");
  ASSERT_THAT(lines, SizeIs(1 + 8 + 8 + 1));
  EXPECT_EQ(lines[0],
            "family,task,filter,metric,target_length,shots,temperature,x_axis,verdict,strength,"
            "reason_codes,emergence_score,emergence_score_null_p,counterpart_emergence_score,"
            "q_value,counterpart,pooled_over,model,scale,n,value,value_lower,value_upper,"
            "value_level,counterpart_value,counterpart_lower,counterpart_upper,"
            "counterpart_level,predicted,predicted_lower,predicted_upper,predicted_level,"
            "held_out");
  const auto fields = [](const std::string& line) {
    return std::count(line.begin(), line.end(), ',');
  };
  for (const std::string& line : lines) EXPECT_EQ(fields(line), fields(lines[0])) << line;
  EXPECT_THAT(lines[4], StartsWith("gpt3,addition,none,exact_match,5,2,0,parameters,MIRAGE,STRONG,"
                                   "SMOOTH_LAW_PREDICTS EMERGENT_SHAPE,9.616,0.0125,2.807,0.43,"
                                   "nll_per_token,,gpt3-1.3B,1300000000,1000,0.002,0,0.032,0.95,"
                                   "1.24034734589208"));
  EXPECT_THAT(lines[8], HasSubstr(",0.9,true"));
  EXPECT_THAT(lines[9], HasSubstr(",0.95,,,,,false"));
  EXPECT_EQ(lines[17],
            "default,riddles,none,acc,,,,parameters,INSUFFICIENT,,TOO_FEW_SCALES,,,,,,"
            ",,,,,,,,,,,,,,,,");
  v1::Diagnosis odd = ExampleMirage();
  odd.mutable_scales(0)->set_value(kNaN);
  odd.mutable_scales(0)->set_counterpart_value(-kInfinity);
  EXPECT_THAT(Lines(DiagnoseCsv(Only(odd)), "\r\n")[1],
              AllOf(HasSubstr(",1000,nan,"), HasSubstr(",-inf,3.8,")));
}

TEST(DiagnoseJsonTest, FollowsTheContract) {
  const auto json = ReportJson(ExampleReport());
  ASSERT_TRUE(json.ok()) << json.status();
  const nlohmann::json answer = nlohmann::json::parse(*json);
  const nlohmann::json& first = answer["diagnoses"][0];
  EXPECT_EQ(first["verdict"], "MIRAGE");
  EXPECT_EQ(first["strength"], "STRONG");
  EXPECT_EQ(first["scales"][7]["held_out"], true);
  EXPECT_EQ(first["scales"][0]["held_out"], false) << "plain fields always print";
  EXPECT_EQ(first["scales"][1]["n"], 1000);
  EXPECT_EQ(first["forecast"][0]["interval"]["upper"], 0.86);
  EXPECT_FALSE(answer["diagnoses"][2].contains("strength")) << "missing is absent";
  EXPECT_THAT(answer["warnings"], SizeIs(1));
}

}  // namespace
}  // namespace mirage::client
