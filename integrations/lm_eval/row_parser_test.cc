#include "integrations/lm_eval/row_parser.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "integrations/lm_eval/row_source.h"

namespace mirage::integrations::lm_eval {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::NanSensitiveDoubleEq;
using Outcome = RowParser::Outcome;

const double kNaN = std::nan("");

// One batch of rows.
class Rows {
 public:
  explicit Rows(TaskConfig config = {}, const ReadOptions& options = {})
      : parser_(std::move(config), options) {
    parser_.StartBatch(&batch_);
  }
  Outcome Add(std::string row) {
    row_ = std::move(row);
    row_.append(kRowPadding, '\0');
    return parser_.Append(std::string_view(row_).substr(0, row_.size() - kRowPadding), &batch_);
  }
  // The message of a refused row.
  std::string Refused(const std::string& row) {
    EXPECT_EQ(Add(row), Outcome::kRefused) << row;
    return parser_.message();
  }
  void Start() { parser_.StartBatch(&batch_); }
  const v1::SampleBatch& batch() const { return batch_; }
  const v1::MultipleChoiceColumns& choices() const { return batch_.multiple_choice(); }
  const v1::GenerationColumns& generation() const { return batch_.generation(); }
  const RowParser& parser() const { return parser_; }

 private:
  RowParser parser_;
  // The parser reads the last row again when it is asked for its hashes.
  std::string row_;
  v1::SampleBatch batch_;
};

TaskConfig Config(const std::string& output_type) {
  TaskConfig config;
  config.task = "t";
  config.output_type = output_type;
  return config;
}

// A row of three choices " a", " bb", " c\u00e9" with the given target and rest.
std::string Choice(const std::string& target, const std::string& rest = "",
                   const std::string& doc = "{}") {
  return R"({"doc_id": 5, "doc": )" + doc + R"(, "target": )" + target +
         R"(, "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": " a"}, )"
         R"("gen_args_1": {"arg_0": "Q", "arg_1": " bb"}, )"
         R"("gen_args_2": {"arg_0": "Q", "arg_1": " c\u00e9"}}, )"
         R"("filtered_resps": [["-1.5", "False"], ["-0.25", "True"], ["-3", "False"]], )"
         R"("filter": "none", "metrics": ["acc"], "acc": 1.0)" +
         rest + "}";
}

TEST(RowParserTest, ReadsChoices) {
  Rows rows(Config("multiple_choice"));
  ASSERT_EQ(rows.Add(Choice("\"1\"")), Outcome::kAppended) << rows.parser().message();
  EXPECT_EQ(rows.batch().ShortDebugString(),
            "task: \"t\" filter: \"none\" n_samples: 1 keys { doc_id { data: \"5\" lengths: 1 } } "
            "multiple_choice { n_choices: 3 log_likelihoods: -1.5 log_likelihoods: -0.25 "
            "log_likelihoods: -3 n_bytes: 1 n_bytes: 2 n_bytes: 3 n_chars: 1 n_chars: 2 n_chars: 2 "
            "golds: 1 is_greedy: false is_greedy: true is_greedy: false } "
            "scores { metric: \"acc\" values: 1 aggregation: MEAN }");
}

TEST(RowParserTest, ReadsRaggedChoicesAndMaterialisesColumns) {
  Rows rows(Config("multiple_choice"));
  const std::string two =
      R"({"doc_id": "x", "target": "z", "arguments": [["Q", " a"], ["Q", "b"]],)"
      R"("filtered_resps": [[-1, false], [-2, false]], "filter": "none", "metrics": ["acc", "new"],)"
      R"("new": true})";
  ASSERT_EQ(rows.Add(Choice("\"1\"")), Outcome::kAppended);
  ASSERT_EQ(rows.Add(two), Outcome::kAppended) << rows.parser().message();
  ASSERT_EQ(rows.Add(Choice("\"2\"")), Outcome::kAppended);
  EXPECT_THAT(rows.choices().n_choices(), ElementsAre(3, 2, 3));
  EXPECT_THAT(rows.choices().n_golds(), ElementsAre(1, 0, 1));
  EXPECT_THAT(rows.choices().golds(), ElementsAre(1, 2));
  EXPECT_THAT(rows.choices().n_bytes(), ElementsAre(1, 2, 3, 1, 1, 1, 2, 3));
  ASSERT_EQ(rows.batch().scores_size(), 2);
  EXPECT_THAT(rows.batch().scores(0).values(), ElementsAre(1, NanSensitiveDoubleEq(kNaN), 1));
  EXPECT_THAT(rows.batch().scores(1).values(),
              ElementsAre(NanSensitiveDoubleEq(kNaN), 1, NanSensitiveDoubleEq(kNaN)));
}

// Each case: target, further fields, expected golds, expected second reading.
TEST(RowParserTest, SettlesTheGold) {
  struct Case {
    std::string target;
    std::string rest;
    std::vector<uint32_t> golds;
  };
  const Case cases[] = {
      {"\"0\"", "", {0}},
      {"2", "", {2}},                   // 0.4.3: not yet text
      {"true", "", {1}},                //
      {"\"[0, 2]\"", "", {0, 2}},       //
      {"[2, 0, 2]", "", {2, 0}},        // 0.4.3
      {"\"['bb', 'a']\"", "", {1, 0}},  //
      {"[\"bb\", \"none\"]", "", {1}},  //
      {"\"bb\"", "", {1}},              //
      {"\"c\\u00e9\"", "", {2}},        //
      {"\" bb \\n\"", "", {1}},         // stripped on the second try
      {"\"nowhere\"", "", {}},          //
      {"\"[]\"", "", {}},               //
      {"null", "", {}},                 //
      {"\"bb\"", R"(, "brier_score": [2, "[0.1 0.2 0.7]"])", {2}},
      {"\"bb\"", R"(, "brier_score": [[0, 2], "[0.1 0.2 0.7]"])", {0, 2}},
      {"\"bb\"", R"(, "brier_score": [-100, "[0.1 0.2 0.7]"])", {1}},
      {"\"bb\"", R"(, "f1": [0, 1])", {0}},
      {"\"bb\"", R"(, "brier_score": 0.5)", {1}},
  };
  for (const Case& c : cases) {
    Rows rows(Config("multiple_choice"));
    ASSERT_EQ(rows.Add(Choice(c.target, c.rest)), Outcome::kAppended)
        << c.target << rows.parser().message();
    EXPECT_THAT(std::vector<uint32_t>(rows.choices().golds().begin(), rows.choices().golds().end()),
                c.golds)
        << c.target << c.rest;
    EXPECT_THAT(rows.choices().alternative_gold(), IsEmpty());
  }
}

TEST(RowParserTest, IgnoresPairsOfCustomCode) {
  TaskConfig config = Config("multiple_choice");
  config.custom_scores = true;
  Rows rows(config);
  ASSERT_EQ(rows.Add(Choice("\"bb\"", R"(, "brier_score": [2, "[0.1 0.2 0.7]"])")),
            Outcome::kAppended);
  EXPECT_THAT(rows.choices().golds(), ElementsAre(1));
}

TEST(RowParserTest, LooksUpLabelsInTheDocument) {
  Rows rows(Config("multiple_choice"));
  ASSERT_EQ(
      rows.Add(Choice("\"B\"", "",
                      R"({"choices": {"text": ["a", "bb", "c"], "label": ["A", "B", "C"]}})")),
      Outcome::kAppended);
  ASSERT_EQ(rows.Add(Choice("\"III\"", "", R"({"x": [1], "choices": ["I", "II", "III"]})")),
            Outcome::kAppended);
  ASSERT_EQ(rows.Add(Choice("\"II\"", "", R"({"choices": ["I", "II"]})")), Outcome::kAppended);
  EXPECT_THAT(rows.choices().golds(), ElementsAre(1, 2));
  EXPECT_THAT(rows.choices().n_golds(), ElementsAre(1, 1, 0));
}

TEST(RowParserTest, GivesBothReadingsOfDigits) {
  Rows rows(Config("multiple_choice"));
  const auto numbers = [](const std::string& target) {
    return R"({"doc_id": 1, "target": ")" + target +
           R"(", "arguments": [["Q", " 2"], ["Q", " 7"], ["Q", " 0"]],)"
           R"("filtered_resps": [[-1, true], [-2, false], [-3, false]]})";
  };
  ASSERT_EQ(rows.Add(numbers("1")), Outcome::kAppended);  // only an index
  ASSERT_EQ(rows.Add(numbers("0")), Outcome::kAppended);  // index 0, or the text "0"
  ASSERT_EQ(rows.Add(numbers("7")), Outcome::kAppended);  // only a text
  EXPECT_THAT(rows.choices().golds(), ElementsAre(1, 0, 1));
  EXPECT_THAT(rows.choices().alternative_gold(), ElementsAre(-1, 2, -1));
  EXPECT_EQ(rows.Refused(numbers("5")),
            "target 5 is out of range for 3 choices: lm-eval scored the row as wrong whatever the "
            "model chose; skipped: check the task's doc_to_target");
  EXPECT_EQ(rows.parser().filter(), "none");
  EXPECT_EQ(rows.Refused(numbers("[0, 3]")),
            "target 3 is out of range for 3 choices: lm-eval scored the row as wrong whatever the "
            "model chose; skipped: check the task's doc_to_target");
  EXPECT_EQ(rows.Refused(numbers("-1")).substr(0, 39), "target -1 is out of range for 3 choices");
  EXPECT_EQ(rows.batch().n_samples(), 3u);
}

TEST(RowParserTest, LeavesWinograndeOpen) {
  Rows rows(Config("multiple_choice"));
  ASSERT_EQ(rows.Add(R"({"doc_id": 0, "target": "1", "arguments": {)"
                     R"("gen_args_0": {"arg_0": "the trophy", "arg_1": " 1"},)"
                     R"("gen_args_1": {"arg_0": "the case", "arg_1": " 1"}},)"
                     R"("filtered_resps": [["-1", "False"], ["-2", "False"]]})"),
            Outcome::kAppended);
  EXPECT_THAT(rows.choices().n_golds(), ElementsAre(0));
  EXPECT_THAT(rows.choices().golds(), IsEmpty());
}

TEST(RowParserTest, SeparatesMutualInformation) {
  Rows rows(Config("multiple_choice"));
  ASSERT_EQ(rows.Add(R"({"doc_id": 0, "target": "0", "arguments": {)"
                     R"("gen_args_0": {"arg_0": "Q", "arg_1": " a"},)"
                     R"("gen_args_1": {"arg_0": "Q", "arg_1": " b"},)"
                     R"("gen_args_10": {"arg_0": "x"},)"
                     R"("gen_args_2": {"arg_0": "", "arg_1": " a"},)"
                     R"("gen_args_3": {"arg_0": "", "arg_1": " b"}},)"
                     R"("filtered_resps": [["-1", "False"], ["-2", "False"], ["-3", "True"], )"
                     R"(["-4", "False"]]})"),
            Outcome::kRefused);  // gen_args_10 leaves a gap
  ASSERT_EQ(rows.Add(R"({"doc_id": 0, "target": "0", "arguments": {)"
                     R"("gen_args_0": {"arg_0": "Q", "arg_1": " a"},)"
                     R"("gen_args_2": {"arg_0": "", "arg_1": " a"},)"
                     R"("gen_args_1": {"arg_0": "Q", "arg_1": " b"},)"
                     R"("gen_args_3": {"arg_0": "", "arg_1": " b"}},)"
                     R"("filtered_resps": [["-1", "False"], ["-2", "False"], ["-3", "True"], )"
                     R"(["-4", "False"]]})"),
            Outcome::kAppended);
  EXPECT_THAT(rows.choices().n_choices(), ElementsAre(2));
  EXPECT_THAT(rows.choices().log_likelihoods(), ElementsAre(-1, -2));
  EXPECT_THAT(rows.choices().baseline_log_likelihoods(), ElementsAre(-3, -4));
  EXPECT_THAT(rows.choices().is_greedy(), ElementsAre(false, false));
}

TEST(RowParserTest, DropsTheDelimiterOnlyWhereItStands) {
  TaskConfig config = Config("multiple_choice");
  config.choice_delimiter = "";
  Rows rows(config);
  ASSERT_EQ(rows.Add(Choice("\"1\"")), Outcome::kAppended);
  EXPECT_THAT(rows.choices().n_chars(), ElementsAre(2, 3, 3));
}

TEST(RowParserTest, FallsBackToTheRawResponses) {
  Rows rows(Config("multiple_choice"));
  ASSERT_EQ(rows.Add(R"({"doc_id": 0, "target": "0", "arguments": [["Q", " a"], ["Q", " b"]],)"
                     R"("resps": [[["-1", "False"]], [["-2", "True"]]], "filtered_resps": []})"),
            Outcome::kAppended);
  ASSERT_EQ(rows.Add(R"({"doc_id": 1, "target": "0", "arguments": [["Q", " a"], ["Q", " b"]],)"
                     R"("resps": [[["-3", "False"]], [["-4", "True"]]]})"),
            Outcome::kAppended);
  EXPECT_THAT(rows.choices().log_likelihoods(), ElementsAre(-1, -2, -3, -4));
  EXPECT_EQ(rows.Refused(R"({"doc_id": 1, "target": "0", "arguments": [["Q", " a"], ["Q", " b"]],)"
                         R"("resps": [[["-3", "False"]]], "filtered_resps": [["-3", "False"]]})"),
            "filtered_resps has 1 usable entries for 2 requests, and resps does not fit either; "
            "skipped: evaluate again with --log_samples");
}

TEST(RowParserTest, KeepsNaNAndInfinity) {
  Rows rows(Config("multiple_choice"));
  ASSERT_EQ(rows.Add(R"({"doc_id": 0, "target": "0", "arguments": [["Q", " a"], ["Q", " b"],)"
                     R"( ["Q", " c"]], "filtered_resps": [[NaN, false], ["-inf", "False"],)"
                     R"( [-Infinity, false]], "acc": NaN})"),
            Outcome::kAppended)
      << rows.parser().message();
  EXPECT_THAT(rows.choices().log_likelihoods(),
              ElementsAre(NanSensitiveDoubleEq(kNaN), -INFINITY, -INFINITY));
  EXPECT_THAT(rows.batch().scores(0).values(), ElementsAre(NanSensitiveDoubleEq(kNaN)));
}

std::string Generation(const std::string& target, const std::string& outputs,
                       const std::string& arguments = R"({"until": ["\n"]})",
                       const std::string& rest = "", const std::string& doc = "{}") {
  return R"({"doc_id": 3, "doc": )" + doc + R"(, "target": )" + target +
         R"(, "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": )" + arguments +
         R"(}}, "filtered_resps": )" + outputs + R"(, "filter": "f", "doc_hash": "d", )" +
         R"("prompt_hash": "p", "target_hash": "t")" + rest + "}";
}

TEST(RowParserTest, ReadsGenerations) {
  ReadOptions options;
  options.join_hashes = true;
  Rows rows(Config("generate_until"), options);
  ASSERT_EQ(rows.Add(Generation(R"(" 1\n\u00e9")", R"(["\ud83d x\\y "])", R"({"temperature": 0.5})",
                                R"(, "metrics": ["exact_match", "bleu"], "exact_match": 1, )"
                                R"("bleu": ["a", "b"])")),
            Outcome::kAppended)
      << rows.parser().message();
  EXPECT_EQ(
      rows.batch().ShortDebugString(),
      "task: \"t\" filter: \"f\" n_samples: 1 keys { doc_id { data: \"3\" lengths: 1 } doc_hash "
      "{ data: \"d\" lengths: 1 } prompt_hash { data: \"p\" lengths: 1 } target_hash { data: "
      "\"t\" lengths: 1 } } generation { outputs { data: \"\\357\\277\\275 x\\\\y \" lengths: 8 "
      "} targets { data: \" 1\\n\\303\\251\" lengths: 5 } temperature: 0.5 } scores { metric: "
      "\"exact_match\" values: 1 aggregation: MEAN } scores { metric: \"bleu\" values: nan }");
}

TEST(RowParserTest, KeepsTheScoredTextOnlyWhenAsked) {
  const std::string row = R"({"doc_id": 1, "doc": {}, "target": " a\u00e9", "arguments": )"
                          R"({"gen_args_0": {"arg_0": "Q", "arg_1": " a\u00e9"}}, )"
                          R"("filtered_resps": [["-1.5", "True"]], "filter": "none"})";
  ReadOptions options;
  options.join_hashes = true;
  Rows rows(Config("loglikelihood"), options);
  ASSERT_EQ(rows.Add(row), Outcome::kAppended) << rows.parser().message();
  EXPECT_EQ(rows.batch().likelihood().targets().data(), " a\u00e9");
  EXPECT_EQ(rows.batch().likelihood().targets().lengths(0), 4u);
  Rows without(Config("loglikelihood"));
  ASSERT_EQ(without.Add(row), Outcome::kAppended);
  EXPECT_FALSE(without.batch().likelihood().has_targets());
}

TEST(RowParserTest, CopiesTheDocumentsFieldsThatWereAskedFor) {
  ReadOptions options;
  options.fields = {"subject", "meta.level", "a.b", "tags", "meta", "gone.deep"};
  Rows rows(Config("multiple_choice"), options);
  ASSERT_EQ(rows.Add(Choice("\"1\"", "",
                            R"({"tags": ["x"], "meta": {"source": {"x": 1}, "level": 4.50}, )"
                            R"("a.b": true, "a": {"b": "nested"}, "subject": "caf\u00e9 = 1"})")),
            Outcome::kAppended);
  ASSERT_EQ(rows.Add(Choice("\"1\"", "", R"({"subject": null, "meta": {}, "a": {"b": "inner"}})")),
            Outcome::kAppended);
  ASSERT_EQ(rows.Add(Choice("\"1\"", "", R"("no object")")), Outcome::kAppended);
  ASSERT_EQ(rows.batch().fields_size(), 6);
  const auto column = [&](int f) {
    const v1::TextColumn& values = rows.batch().fields(f).values();
    EXPECT_EQ(values.lengths_size(), 3) << f;
    return fmt::format("{} {} {}", rows.batch().fields(f).field(), values.data(),
                       fmt::join(values.lengths(), ","));
  };
  EXPECT_EQ(column(0), "subject caf\u00e9 = 1 9,0,0");
  EXPECT_EQ(column(1), "meta.level 4.50 4,0,0");
  EXPECT_EQ(column(2), "a.b trueinner 4,5,0");
  // Lists and objects are no values.
  EXPECT_EQ(column(3), "tags  0,0,0");
  EXPECT_EQ(column(4), "meta  0,0,0");
  EXPECT_EQ(column(5), "gone.deep  0,0,0");
  // The next batch names them anew.
  rows.Start();
  ASSERT_EQ(rows.Add(Choice("\"1\"")), Outcome::kAppended);
  EXPECT_EQ(rows.batch().fields_size(), 6);
  EXPECT_EQ(rows.batch().fields(0).values().lengths_size(), 1);
}

TEST(RowParserTest, KeepsTheHashesThatJoinTasksOnlyWhenAsked) {
  Rows rows(Config("generate_until"));
  ASSERT_EQ(rows.Add(Generation("\"x\"", R"(["one"])")), Outcome::kAppended);
  EXPECT_EQ(rows.batch().keys().ShortDebugString(),
            "doc_id { data: \"3\" lengths: 1 } doc_hash { data: \"d\" lengths: 1 }");
  // What the task hash is made of is there all the same.
  std::string hashes;
  EXPECT_TRUE(rows.parser().AppendHashes(&hashes));
  EXPECT_EQ(hashes, "dpt");
}

TEST(RowParserTest, ReadsSeveralOutputsAndTargets) {
  Rows rows(Config("generate_until"));
  ASSERT_EQ(rows.Add(Generation("\"x\"", R"(["one"])")), Outcome::kAppended);
  ASSERT_EQ(rows.Add(Generation("[\"x\", \"yy\"]", R"([["one", "two", "[invalid]"]])")),
            Outcome::kAppended);
  // Python's spelling of a list counts as one only when the document has it.
  ASSERT_EQ(rows.Add(Generation(R"("['x', 'yy']")", R"(["one"])", "{}", "",
                                R"({"a": {"b": [1, ["x", "yy"]]}})")),
            Outcome::kAppended);
  ASSERT_EQ(rows.Add(Generation(R"("['x', 'yy']")", R"(["one"])", "{}", "", R"({"a": ["x"]})")),
            Outcome::kAppended);
  ASSERT_EQ(rows.Add(Generation("null", R"(["one"])")), Outcome::kAppended);
  EXPECT_THAT(rows.generation().n_outputs(), ElementsAre(1, 3, 1, 1, 1));
  EXPECT_THAT(rows.generation().n_targets(), ElementsAre(1, 2, 2, 1, 0));
  EXPECT_EQ(rows.generation().outputs().data(), "oneonetwo[invalid]oneoneone");
  EXPECT_EQ(rows.generation().targets().data(), "xxyyxyy['x', 'yy']");
  EXPECT_THAT(rows.batch().scores(), IsEmpty());
}

TEST(RowParserTest, ReadsTargetsOfTemplatesAndFixedChoices) {
  TaskConfig config = Config("generate_until");
  config.target_is_template = true;
  config.choices = {"no", "yes"};
  Rows rows(config);
  ASSERT_EQ(rows.Add(Generation(R"("['x', 'yy']")", R"(["one"])")), Outcome::kAppended);
  ASSERT_EQ(rows.Add(Generation("\"1\"", R"(["one"])")), Outcome::kAppended);
  ASSERT_EQ(rows.Add(Generation("\"9\"", R"(["one"])")), Outcome::kAppended);
  EXPECT_THAT(rows.generation().n_targets(), ElementsAre(2, 1, 1));
  EXPECT_EQ(rows.generation().targets().data(), "xyyyes9");
}

TEST(RowParserTest, ReadsTheTemperature) {
  const auto temperature = [](const std::string& arguments) {
    Rows rows(Config("generate_until"));
    EXPECT_EQ(rows.Add(Generation("\"x\"", R"(["one"])", arguments)), Outcome::kAppended);
    return rows.generation().has_temperature() ? rows.generation().temperature() : kNaN;
  };
  EXPECT_EQ(temperature(R"({"do_sample": false, "temperature": 0.0})"), 0);
  EXPECT_EQ(temperature(R"({"do_sample": false})"), 0);
  EXPECT_EQ(temperature(R"({"temperature": 0.7, "do_sample": true})"), 0.7);
  EXPECT_EQ(temperature(R"({"temperature": 1})"), 1);
  EXPECT_TRUE(std::isnan(temperature(R"({"do_sample": true})")));
  EXPECT_TRUE(std::isnan(temperature(R"({"do_sample": false, "temperature": 0.7})")));
  EXPECT_TRUE(std::isnan(temperature(R"({"temperature": -1})")));
}

TEST(RowParserTest, OpensABatchForAnotherFilterOrTemperature) {
  Rows rows(Config("generate_until"));
  const std::string other = R"({"temperature": 1})";
  ASSERT_EQ(rows.Add(Generation("\"x\"", R"(["one"])")), Outcome::kAppended);
  EXPECT_EQ(rows.Add(Generation("\"x\"", R"(["one"])", other)), Outcome::kBatchFull);
  EXPECT_EQ(rows.batch().n_samples(), 1u);
  rows.Start();
  EXPECT_EQ(rows.Add(Generation("\"x\"", R"(["one"])", other)), Outcome::kAppended);
  std::string filter = Generation("\"x\"", R"(["one"])", other);
  filter.replace(filter.find("\"f\""), 3, "\"g\"");
  EXPECT_EQ(rows.Add(filter), Outcome::kBatchFull);
}

TEST(RowParserTest, GivesFiltersToRowsWithoutOne) {
  TaskConfig config = Config("generate_until");
  config.filters = {"strict", "flexible"};
  config.metrics = {"exact_match"};
  Rows rows(config);
  const std::string row = R"({"doc_id": 3, "doc": {}, "target": "x", "arguments": [["Q", {}]],)"
                          R"("filtered_resps": ["one"], "exact_match": 1.0, "other": 2})";
  ASSERT_EQ(rows.Add(row), Outcome::kAppended) << rows.parser().message();
  EXPECT_EQ(rows.batch().filter(), "strict");
  EXPECT_EQ(rows.Add(row), Outcome::kBatchFull);
  EXPECT_EQ(rows.Add(row), Outcome::kBatchFull);
  rows.Start();
  ASSERT_EQ(rows.Add(row), Outcome::kAppended);
  EXPECT_EQ(rows.batch().filter(), "flexible");
  ASSERT_EQ(rows.batch().scores_size(), 1);
  EXPECT_EQ(rows.batch().scores(0).metric(), "exact_match");
  EXPECT_EQ(rows.Refused(row),
            "doc_id 3 occurs more often than the task has filters (2); skipped: were two runs "
            "written to one file?");
}

TEST(RowParserTest, ReadsLikelihoods) {
  Rows rows(Config("loglikelihood"));
  ASSERT_EQ(
      rows.Add(R"({"doc_id": 0, "target": " Größe", "arguments": {"gen_args_0": {"arg_0": "Q",)"
               R"("arg_1": " Größe"}}, "resps": [[["-1.14", "True"]]], "filtered_resps": )"
               R"([["-1.14", "True"]], "filter": "none", "metrics": ["perplexity", "acc"],)"
               R"("perplexity": -1.14, "acc": 1})"),
      Outcome::kAppended)
      << rows.parser().message();
  EXPECT_EQ(
      rows.batch().ShortDebugString(),
      "task: \"t\" filter: \"none\" n_samples: 1 keys { doc_id { data: \"0\" lengths: 1 } } "
      "likelihood { scope: TARGET log_likelihoods: -1.14 n_bytes: 8 n_chars: 6 is_greedy: true } "
      "scores { metric: \"perplexity\" values: -1.14 aggregation: EXP_NEG_MEAN } "
      "scores { metric: \"acc\" values: 1 aggregation: MEAN }");
}

TEST(RowParserTest, TakesSeveralRequestsOfLoglikelihoodForChoices) {
  Rows rows(Config("loglikelihood"));
  ASSERT_EQ(rows.Add(Choice("\"1\"")), Outcome::kAppended);
  EXPECT_THAT(rows.choices().golds(), ElementsAre(1));
}

TEST(RowParserTest, ReadsRolling) {
  Rows rows(Config("loglikelihood_rolling"));
  ASSERT_EQ(
      rows.Add(R"({"doc_id": 0, "target": "x", "arguments": {"gen_args_0": {"arg_0": )"
               R"("Größe  ist"}}, "resps": [["-24.5"]], "filtered_resps": ["-24.5"], "filter": )"
               R"("none", "metrics": ["word_perplexity", "bits_per_byte"],)"
               R"("word_perplexity": [-24.5, 7], "bits_per_byte": [-24.5, 40]})"),
      Outcome::kAppended)
      << rows.parser().message();
  ASSERT_EQ(rows.Add(R"({"doc_id": 1, "arguments": [["Größe  ist"]], "filtered_resps": [-2]})"),
            Outcome::kAppended)
      << rows.parser().message();
  const v1::LikelihoodColumns& columns = rows.batch().likelihood();
  EXPECT_EQ(columns.scope(), v1::LikelihoodColumns::Scope::DOCUMENT);
  EXPECT_THAT(columns.log_likelihoods(), ElementsAre(-24.5, -2));
  EXPECT_THAT(columns.n_words(), ElementsAre(7, 2));
  EXPECT_THAT(columns.n_bytes(), ElementsAre(40, 12));
  EXPECT_THAT(columns.n_chars(), ElementsAre(10, 10));
  EXPECT_THAT(columns.is_greedy(), IsEmpty());
  ASSERT_EQ(rows.batch().scores_size(), 2);
  EXPECT_EQ(rows.batch().scores(0).aggregation(), v1::ScoreColumn::Aggregation::EXP_NEG_RATIO);
  EXPECT_THAT(rows.batch().scores(0).values(), ElementsAre(-24.5, NanSensitiveDoubleEq(kNaN)));
  EXPECT_THAT(rows.batch().scores(0).weights(), ElementsAre(7, NanSensitiveDoubleEq(kNaN)));
  EXPECT_EQ(rows.batch().scores(1).aggregation(), v1::ScoreColumn::Aggregation::BITS_RATIO);
  EXPECT_THAT(rows.batch().scores(1).weights(), ElementsAre(40, NanSensitiveDoubleEq(kNaN)));
}

TEST(RowParserTest, InfersTheOutputTypeFromTheFirstRow) {
  Rows rows;
  ASSERT_EQ(rows.Add(Choice("\"1\"")), Outcome::kAppended);
  EXPECT_TRUE(rows.batch().has_multiple_choice());
  EXPECT_EQ(
      rows.Refused(Generation("\"x\"", R"(["one"])")),
      "arguments are those of generate_until, but the task is multiple_choice; skipped: is it a "
      "row of another task?");
}

TEST(RowParserTest, LeavesOutPlaceholders) {
  Rows rows(Config("generate_until"));
  ASSERT_EQ(rows.Add(Generation("\"x\"", R"(["one"])", "{}",
                                R"(, "metrics": ["bypass"], "bypass": 999)")),
            Outcome::kAppended);
  EXPECT_THAT(rows.batch().scores(), IsEmpty());
}

// json.dumps escapes what is not ASCII, in keys and in lists alike.
TEST(RowParserTest, ReadsScoresOfEscapedNames) {
  const std::string row = R"({"doc_id": 5, "target": "1", "arguments": [["Q", " a"], ["Q", " b"]],)"
                          R"("filtered_resps": [["-1", "False"], ["-2", "True"]], "acc": 1.0,)"
                          R"("acc_\u00e9": 0.5, "\u20ac\"": 0.25)";
  TaskConfig config = Config("multiple_choice");
  Rows by_fields(config);
  config.metrics = {"acc_\u00e9", "\u20ac\""};
  Rows by_results(config);
  Rows by_row(Config("multiple_choice"));
  ASSERT_EQ(by_fields.Add(row + "}"), Outcome::kAppended);
  ASSERT_EQ(by_results.Add(row + "}"), Outcome::kAppended);
  ASSERT_EQ(by_row.Add(row + R"(, "metrics": ["acc_\u00e9", "\u20ac\""]})"), Outcome::kAppended);
  for (const Rows* rows : {&by_fields, &by_results, &by_row}) {
    const int n = rows->batch().scores_size();
    ASSERT_EQ(n, rows == &by_fields ? 3 : 2);
    EXPECT_EQ(rows->batch().scores(n - 2).metric(), "acc_\u00e9");
    EXPECT_THAT(rows->batch().scores(n - 2).values(), ElementsAre(0.5));
    EXPECT_EQ(rows->batch().scores(n - 1).metric(), "\u20ac\"");
    EXPECT_THAT(rows->batch().scores(n - 1).values(), ElementsAre(0.25));
  }
}

TEST(RowParserTest, SaysWhatIsWrong) {
  Rows rows(Config("multiple_choice"));
  EXPECT_EQ(
      rows.Refused("[1]"),
      "not a row of JSON: no object (starts with \"[1]\"); skipped: evaluate again, or delete "
      "the line");
  EXPECT_EQ(rows.Refused("{\"doc_id\": 1, \"a"),
            "not a row of JSON: it ends before its last bracket or quote is closed (starts with "
            "\"{\"doc_id\": 1, \"a\"); skipped: evaluate again, or delete the line");
  const std::string start =
      " (starts with \"{\"doc_id\": 5, \"doc\": {},…\"); skipped: evaluate again, or "
      "delete the line";
  for (const char* rest : {",", " xx", "]", " \"x"}) {
    EXPECT_EQ(rows.Refused(Choice("\"0\"") + rest),
              "not a row of JSON: something follows its last bracket" + start);
  }
  EXPECT_EQ(
      rows.Refused(Choice("\"0\"") + "\r" + Choice("\"1\"")),
      "not a row of JSON: it goes on after a carriage return, which ends no line (write newlines)" +
          start);
  EXPECT_EQ(rows.Refused("{\"doc_id\": [1}, 2"),
            "not a row of JSON: the bracket at byte 13 does not close the last one opened (starts "
            "with \"{\"doc_id\": [1}, 2\"); skipped: evaluate again, or delete the line");
  EXPECT_EQ(
      rows.Refused("{\"doc_id\": 1,}"),
      "not a row of JSON: a comma, a colon or a value is missing or one too many (starts with "
      "\"{\"doc_id\": 1,}\"); skipped: evaluate again, or delete the line");
  EXPECT_EQ(rows.Refused("\"doc_id"),
            "not a row of JSON: no object (starts with \"\"doc_id\"); skipped: evaluate again, or "
            "delete the line");
  // Each: the field, the row's arguments with a place for the wrong value, what was expected.
  struct Case {
    const char* field;
    const char* arguments;
    const char* expected;
  };
  for (const Case& c : {
           Case{"arguments", "{}", "an object or a list of requests"},
           Case{"arguments.gen_args_1", R"({{"gen_args_0": {{}}, "gen_args_1": {}}})",
                "an object or a list"},
           Case{"arguments.gen_args_0", "[{}]", "an object or a list"},
       }) {
    for (const char* wrong : {"5", "null", "\"x\"", "true"}) {
      EXPECT_EQ(rows.Refused(fmt::format(
                    R"({{"doc_id": 1, "filter": "f", "arguments": {}, "metrics": ["acc"]}})",
                    fmt::format(fmt::runtime(c.arguments), wrong))),
                fmt::format("{} is {}: expected {}; skipped: evaluate again, or delete the line",
                            c.field, wrong, c.expected));
      EXPECT_EQ(rows.parser().filter(), "f");
    }
  }
  EXPECT_EQ(rows.Refused("{\"doc_id\": [1]}").substr(0, 15), "doc_id is [1]: ");
  EXPECT_EQ(rows.Refused(Choice("\"0\"") + " {}"),
            "not a row of JSON: something follows its last bracket (starts with \"{\"doc_id\": 5, "
            "\"doc\": {},…\"); skipped: evaluate again, or delete the line");
  EXPECT_EQ(rows.Refused("{\"doc_id\": \"\xFF\"}"),
            "not a row of JSON: byte 12 is not UTF-8 text (starts with \"{\"doc_id\": \"?\"}\"); "
            "skipped: evaluate again, or delete the line");
  EXPECT_EQ(
      rows.Refused("{\"doc_id\": \"a\tb\"}"),
      "not a row of JSON: a string holds a bare control character (starts with \"{\"doc_id\": "
      "\"a?b\"}\"); skipped: evaluate again, or delete the line");
  EXPECT_EQ(
      rows.Refused("{}"),
      "doc_id is missing: the row cannot be told from others; skipped: is this a samples file "
      "of lm-eval?");
  EXPECT_EQ(
      rows.Refused("{\"doc_id\": 1}"),
      "arguments is missing or empty: the row does not say what the model was asked; skipped: "
      "evaluate again with --log_samples");
  EXPECT_EQ(rows.Refused(R"({"doc_id": 1, "arguments": [["Q", " a"], ["Q", " b"]],)"
                         R"("filtered_resps": [["x", "False"], [null, false]]})"),
            "filtered_resps[0] is \"x\": expected a log-likelihood; skipped: evaluate again, or "
            "delete the line");
  EXPECT_EQ(
      rows.Refused(R"({"doc_id": 1, "arguments": [["Q", " a"], ["Q", 5]],)"
                   R"("filtered_resps": [[-1, false], [-2, false]]})"),
      "arguments.gen_args_1.arg_1 is 5: expected a choice's text; skipped: evaluate again, or "
      "delete the line");
  EXPECT_EQ(rows.Refused(R"({"doc_id": 1, "arguments": [["Q", " a"]], "metrics": 3})"),
            "metrics is 3: expected a list of metric names; skipped: evaluate again, or delete the "
            "line");
  EXPECT_EQ(rows.batch().n_samples(), 0u);
}

TEST(RowParserTest, IsFullByCountAndByBytes) {
  ReadOptions options;
  options.batch_samples = 2;
  RowParser parser(Config("generate_until"), options);
  v1::SampleBatch batch;
  parser.StartBatch(&batch);
  std::string row = Generation("\"x\"", R"(["one"])");
  const size_t size = row.size();
  row.append(kRowPadding, '\0');
  parser.Append(std::string_view(row).substr(0, size), &batch);
  EXPECT_FALSE(parser.IsFull());
  parser.Append(std::string_view(row).substr(0, size), &batch);
  EXPECT_TRUE(parser.IsFull());
  parser.StartBatch(&batch);
  EXPECT_FALSE(parser.IsFull());
  std::string large = Generation("\"x\"", "[\"" + std::string(2 << 20, 'y') + "\"]");
  const size_t large_size = large.size();
  large.append(kRowPadding, '\0');
  parser.Append(std::string_view(large).substr(0, large_size), &batch);
  EXPECT_TRUE(parser.IsFull());
}

}  // namespace
}  // namespace mirage::integrations::lm_eval
