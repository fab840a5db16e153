#include "integrations/lm_eval/results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace mirage::integrations::lm_eval {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Aggregation = v1::ScoreColumn::Aggregation;

constexpr char kDate[] = "2026-11-23T01-02-03.000004";

Results Read(const std::string& file) {
  const std::string path = "integrations/lm_eval/testdata/" + file;
  const auto json = ReadJson(path, kMaxResultsBytes);
  EXPECT_TRUE(json.ok()) << json.status();
  if (!json.ok()) return {};
  auto results = ParseResults(*json, path, kDate);
  EXPECT_TRUE(results.ok()) << results.status();
  return results.ok() ? *std::move(results) : Results();
}

Results Parse(const std::string& text) {
  const auto json = ParseJson(text, "f.json");
  EXPECT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(TextIsResults(text), IsResults(*json));
  auto results = ParseResults(*json, "f.json", kDate);
  EXPECT_TRUE(results.ok()) << results.status();
  return results.ok() ? *std::move(results) : Results();
}

TEST(ParseResultsTest, ReadsVersion03) {
  const Results results = Read("v03/bloom-3b_sciq.json");
  EXPECT_EQ(
      results.run.ShortDebugString(),
      "model: \"bigscience/bloom-3b\" harness: \"lm-eval\" date: "
      "\"2026-11-23T01-02-03.000004\" model_args: "
      "\"use_fast=True,pretrained=bigscience/bloom-3b,trust_remote_code=True\" "
      "tasks { task: \"sciq\" version: \"0\" n_shot: 5 "
      "reported { metric: \"acc\" filter: \"none\" value: 0.891 stderr: 0.0098598284070371914 } "
      "reported { metric: \"acc_norm\" filter: \"none\" value: 0.816 stderr: "
      "0.012259457340938588 } } "
      "tasks { task: \"lambada_openai\" version: \"0\" n_shot: 5 "
      "reported { metric: \"ppl\" filter: \"none\" value: 5.5 stderr: 0.1 } "
      "reported { metric: \"acc\" filter: \"none\" value: 0.5 stderr: 0.01 } }");
}

TEST(ParseResultsTest, ReadsVersion0413) {
  const Results results = Read("demo/results_2026-11-22T21-56-36.120725.json");
  const v1::Run& run = results.run;
  EXPECT_EQ(run.model(), "mock/p70000000");
  EXPECT_EQ(run.harness_version(), "0.4.13.dev0");
  EXPECT_EQ(run.model_args(), "pretrained=mock/p70000000,skill=0.05,params=70000000");
  EXPECT_EQ(run.n_parameters(), 70000000);
  EXPECT_FALSE(run.has_n_train_tokens());
  EXPECT_THAT(run.warnings(), IsEmpty());
  ASSERT_EQ(run.tasks_size(), 6);
  EXPECT_EQ(run.tasks(0).ShortDebugString(),
            "task: \"demo_mc\" version: \"1.0\" n_shot: 0 output_type: \"multiple_choice\" "
            "n_samples_original: 4 n_samples_effective: 4 task_hash: "
            "\"abec6b223531ee3281b1140e9ffb85d225cf092c4f5008685b31b04449b55cab\" "
            "reported { metric: \"acc\" filter: \"none\" value: 0.75 stderr: 0.25 "
            "higher_is_better: true } "
            "reported { metric: \"acc_norm\" filter: \"none\" value: 0.5 stderr: "
            "0.28867513459481287 higher_is_better: true } "
            "reported { metric: \"brier_score\" filter: \"none\" value: 0.44185436694903613 "
            "higher_is_better: false }");
  EXPECT_TRUE(run.tasks(1).normalization().ignore_case());
  EXPECT_FALSE(run.tasks(1).normalization().custom());
  const TaskConfig& config = results.tasks.at("demo_gen");
  EXPECT_THAT(config.filters, ElementsAre("strict-match", "flexible-extract"));
  EXPECT_THAT(config.metrics, ElementsAre("exact_match"));
  EXPECT_TRUE(config.target_is_template);
  EXPECT_FALSE(results.tasks.at("demo_wino").target_is_template);
  EXPECT_EQ(results.tasks.at("demo_mc").choice_delimiter, " ");
}

TEST(ParseResultsTest, PutsGroupsBeforeTheirMembers) {
  const Results results = Read("groups/results_2026-11-23T01-02-03.000004.json");
  const v1::Run& run = results.run;
  EXPECT_EQ(run.model(), "org/lora");
  EXPECT_EQ(run.model_args(), "pretrained=org/base,peft=org/lora,n=2");
  EXPECT_EQ(run.n_train_tokens(), 3e11);
  EXPECT_EQ(run.n_train_flops(), 1.26e20);
  std::vector<std::string> names;
  for (const v1::RunTask& task : run.tasks()) names.push_back(task.task());
  EXPECT_THAT(names, ElementsAre("top", "middle", "leaf_b", "leaf_a", "tagged", "said"));
  EXPECT_EQ(run.tasks(0).ShortDebugString(),
            "task: \"top\" version: \"2\" n_shot: 5 members: \"middle\" reported { metric: \"acc\" "
            "filter: \"none\" value: 0.5 higher_is_better: true } weight_by_size: false");
  EXPECT_EQ(run.tasks(1).ShortDebugString(),
            "task: \"middle\" alias: \"Middle\" members: \"leaf_a\" members: \"leaf_b\" reported { "
            "metric: \"acc\" filter: \"none\" value: nan stderr: 0.125 }");
  EXPECT_EQ(run.tasks(2).ShortDebugString(),
            "task: \"leaf_b\" output_type: \"multiple_choice\" reported { metric: \"acc\" filter: "
            "\"none\" value: 0.25 stderr: nan } normalization { custom: true }");
  EXPECT_EQ(run.tasks(3).ShortDebugString(),
            "task: \"leaf_a\" alias: \"A\" n_shot: 5 output_type: \"multiple_choice\" "
            "n_samples_original: 4 n_samples_effective: 2 task_hash: \"abc\" reported { metric: "
            "\"acc\" filter: \"none\" value: 0.75 stderr: 0.25 }");
  EXPECT_EQ(run.tasks(4).ShortDebugString(), "task: \"tagged\"");
  EXPECT_EQ(run.tasks(5).ShortDebugString(),
            "task: \"said\" output_type: \"generate_until\" n_samples_effective: 2");
  EXPECT_THAT(
      run.warnings(),
      ElementsAre(
          "n-shot.leaf_b is \"five\": expected a whole number; taken as missing: mend it, or "
          "evaluate again",
          "said: run with --predict_only, so lm-eval scored nothing (bypass = 999 is "
          "a placeholder); evaluate without it for scores"));
  EXPECT_EQ(results.tasks.count("top"), 0u);
}

TEST(ParseResultsTest, AMalformedMemberCostsOnlyItself) {
  const std::string end = "; taken as missing: mend it, or evaluate again";
  const auto warnings = [&](const std::string& rest) {
    const Results results = Parse(
        R"({"results": {"t": {"acc,none": 0.5}}, "model_name": "m", "config": {})" + rest + "}");
    EXPECT_EQ(results.run.tasks(0).reported_size(), 1) << rest;
    EXPECT_EQ(results.tasks.size(), static_cast<size_t>(results.run.tasks_size())) << rest;
    std::vector<std::string> texts(results.run.warnings().begin(), results.run.warnings().end());
    for (std::string& text : texts) {
      const size_t at = text.find(end);
      EXPECT_NE(at, std::string::npos) << text;
      text.resize(std::min(at, text.size()));
    }
    return texts;
  };
  EXPECT_THAT(warnings(""), IsEmpty());
  EXPECT_THAT(warnings(R"(, "versions": null, "n-shot": {"t": "N/A"}, "configs": {"t": null})"),
              IsEmpty());
  EXPECT_THAT(
      warnings(R"(, "versions": 3, "n-shot": [], "n-samples": "x", "configs": true)"),
      ElementsAre("configs is True: expected an object", "versions is 3: expected an object",
                  "n-shot is a list: expected an object",
                  "n-samples is \"x\": expected an object"));
  EXPECT_THAT(
      warnings(R"(, "versions": {"t": []}, "n-shot": {"t": -1}, "n-samples": {"t": 3},)"
               R"( "higher_is_better": {"t": {"acc": "yes"}}, "task_hashes": {"t": 5},)"
               R"( "configs": {"t": "x"})"),
      ElementsAre("versions.t is a list: expected a number or a text",
                  "configs.t is \"x\": expected an object",
                  "n-shot.t is -1: expected a whole number", "n-samples.t is 3: expected an object",
                  "task_hashes.t is 5: expected a text",
                  "higher_is_better.t.acc is \"yes\": expected true or false"));
  EXPECT_THAT(
      warnings(R"(, "n-samples": {"t": {"original": 1.5, "effective": {}}},)"
               R"( "configs": {"t": {"output_type": 1, "metric_list": {},)"
               R"( "filter_list": "f"}}, "groups": [], "group_subtasks": {"t": 1})"),
      ElementsAre("groups is a list: expected an object", "group_subtasks.t is 1: expected a list",
                  "n-samples.t.original is 1.5: expected a whole number",
                  "n-samples.t.effective is an object: expected a whole number",
                  "configs.t.output_type is 1: expected a text",
                  "configs.t.metric_list is an object: expected a list",
                  "configs.t.filter_list is \"f\": expected a list"));
}

TEST(ParseResultsTest, KeepsTheGoodTasks) {
  for (const auto& [entry, found] : {std::pair("null", "null"), std::pair("[1]", "a list"),
                                     std::pair("\"x\"", "\"x\""), std::pair("0.5", "0.5")}) {
    const Results results = Parse(R"({"results": {"u": )" + std::string(entry) +
                                  R"(, "t": {"acc,none": 0.5}}, "model_name": "m",)"
                                  R"( "configs": {"u": {"output_type": "multiple_choice"}}})");
    ASSERT_EQ(results.run.tasks_size(), 2);
    EXPECT_EQ(results.run.tasks(0).ShortDebugString(),
              "task: \"u\" output_type: \"multiple_choice\"");
    EXPECT_EQ(results.run.tasks(1).reported_size(), 1);
    EXPECT_THAT(results.run.warnings(),
                ElementsAre("results.u is " + std::string(found) +
                            ": expected an object of metrics; taken as missing: mend it, or "
                            "evaluate again"));
  }
  std::string many = R"({"model_name": "m", "results": {"t": {"acc,none": 1})";
  for (int i = 0; i < 12; ++i) many += ", \"u" + std::to_string(i) + "\": null";
  const Results results = Parse(many + "}}");
  ASSERT_EQ(results.run.warnings_size(), 11);
  EXPECT_EQ(results.run.warnings(10), "2 more members of the results file are malformed");
}

TEST(ParseResultsTest, SurvivesGroupsInACircle) {
  const Results results =
      Parse(R"({"results": {"a": {"x,none": 1}, "b": {"x,none": 2}},)"
            R"( "group_subtasks": {"a": ["b"], "b": ["a"]}, "config": {"model": "m"}})");
  EXPECT_EQ(results.run.tasks_size(), 2);
  EXPECT_EQ(results.run.model(), "m");
}

TEST(ParseResultsTest, ReadsTheModelsName) {
  const auto model = [](const std::string& rest) {
    return Parse(R"({"results": {}, "config": {)" + rest + "}").run.model();
  };
  EXPECT_EQ(model(R"("model": "hf", "model_args": "pretrained=a/b"}, "model_name": "c/d")"), "c/d");
  EXPECT_EQ(model(R"("model": "hf", "model_args": "dtype=x,pretrained=a/b,revision=y"})"), "a/b");
  EXPECT_EQ(model(R"("model": "api", "model_args": {"base_url": "u", "model": "m"}})"), "m");
  EXPECT_EQ(model(R"("model": "api", "model_args": "xmodel=1"})"), "api");
  EXPECT_EQ(model(R"("model": "dummy", "model_args": null})"), "dummy");
  const Results results = Parse(R"({"results": {}, "config": {}, "configs": {}})");
  EXPECT_THAT(results.run.warnings(),
              ElementsAre("the results file names no model (model_name, config.model_args)"));
}

TEST(ParseResultsTest, KnowsWhatStandsBeforeAChoice) {
  const auto delimiter = [](const std::string& config, const std::string& rest) {
    return Parse(R"({"results": {"t": {"acc,none": 1}}, "configs": {"t": {)" + config + "}}" +
                 rest + "}")
        .tasks.at("t")
        .choice_delimiter;
  };
  const std::string chat = R"(, "chat_template": "{{x}}", "lm_eval_version": )";
  EXPECT_EQ(delimiter("", ""), " ");
  EXPECT_EQ(delimiter(R"("target_delimiter": "\n")", ""), "\n");
  EXPECT_EQ(delimiter("", R"(, "chat_template": null)"), " ");
  EXPECT_EQ(delimiter("", chat + "\"0.4.13\""), "");
  EXPECT_EQ(delimiter("", chat + "\"0.4.5\""), " ");
  EXPECT_EQ(delimiter("", chat + "null"), "");
  EXPECT_EQ(delimiter(R"("gen_prefix": "So:")", chat + "\"0.4.13\""), " ");
  EXPECT_EQ(delimiter(R"("gen_prefix": "So: ")", chat + "\"0.4.13\""), "");
  EXPECT_EQ(delimiter(R"("gen_prefix": "So:")", chat + "\"0.4.9.2\""), "");
}

TEST(ParseResultsTest, ReadsHowExactMatchCompares) {
  const auto task = [](const std::string& config) {
    return Parse(R"({"results": {"t": {"exact_match,none": 1}}, "configs": {"t": {)" + config +
                 "}}}")
        .run.tasks(0);
  };
  EXPECT_EQ(task(R"("metric_list": [{"metric": "exact_match", "ignore_case": true,)"
                 R"( "ignore_punctuation": true, "ignore_numbers": true}])")
                .normalization()
                .ShortDebugString(),
            "ignore_case: true ignore_punctuation: true ignore_numbers: true");
  EXPECT_EQ(task(R"("metric_list": [{"metric": "exact_match", "regexes_to_ignore": [","]}])")
                .normalization()
                .ShortDebugString(),
            "custom: true");
  EXPECT_FALSE(task(R"("metric_list": [{"metric": "acc"}])").has_normalization());
  const v1::RunTask indexed = task(R"("output_type": "generate_until", "doc_to_choice": "{{c}}")");
  EXPECT_TRUE(indexed.normalization().custom());
  ASSERT_EQ(indexed.unavailable_size(), 4);
  EXPECT_EQ(indexed.unavailable(0).metric(), "token_edit_distance");
  EXPECT_EQ(indexed.unavailable(0).reason(),
            "the task scores against doc_to_choice[target], and its rows hold only the index");
  const v1::RunTask by_field = task(R"("output_type": "generate_until", "doc_to_choice": "c")");
  EXPECT_FALSE(by_field.has_normalization()) << "the document has the texts";
  EXPECT_FALSE(
      task(R"("output_type": "generate_until", "doc_to_choice": ["a", "b"])").has_normalization());
}

// What each version writes is enough.
TEST(ParseResultsTest, KnowsLmEvalsFiles) {
  for (const char* text : {
           R"({"results": {"t": {"acc": 1}}, "versions": {"t": 0}})",
           R"({"results": {"t": {"acc": NaN}}, "versions": {"t": 0}})",
           R"({"results": {"t": {"acc": 1}}, "config": {"model": "gpt2"}})",
           R"({"results": {"t": {"acc,none": null}}})",
           R"({"results": {"t": {"alias": "t"}}, "n-shot": {"t": 0}})",
           R"({"results": {}, "configs": {}})",
           R"({"results": {"t": {"acc": 1}}, "lm_eval_version": "0.4.13"})",
       }) {
    EXPECT_TRUE(TextIsResults(text)) << text;
    EXPECT_TRUE(IsResults(*ParseJson(text, "f.json"))) << text;
  }
}

TEST(ParseResultsTest, RefusesOtherFiles) {
  const auto message = [](const std::string& text) {
    EXPECT_FALSE(TextIsResults(text)) << text;
    const auto results = ParseResults(*ParseJson(text, "f.json"), "f.json", "");
    EXPECT_EQ(results.status().code(), absl::StatusCode::kInvalidArgument) << text;
    return std::string(results.status().message());
  };
  const std::string remedy =
      "; name the results_<date>.json that lm_eval wrote under --output_path";
  const std::string none =
      "f.json is not an lm-eval results file: it has no \"results\" object with "
      "an object of metrics for each task" +
      remedy;
  const std::string alone =
      "f.json is not an lm-eval results file: it has \"results\", but nothing that lm-eval writes "
      "beside them (versions, configs, n-shot, config.model, lm_eval_version)" +
      remedy;
  EXPECT_EQ(message("{}"), none);
  EXPECT_EQ(message("[]"), none);
  EXPECT_EQ(message(R"({"results": {}})"), alone);
  EXPECT_EQ(message(R"({"results": {"suite": {"passed": 3}}, "config": {}})"), alone);
  EXPECT_EQ(message(R"({"results": {"suite": {"passed": 3}}, "config": {"models": "m"}})"), alone);
  EXPECT_EQ(message(R"({"results": {"suite": {"name": "x"}}, "versions": {}})"), none);
  EXPECT_EQ(message(R"({"results": {"a": 1}})"), none);
  EXPECT_EQ(message(R"({"results": []})"), none);
  EXPECT_EQ(message(R"({"config_general": {}, "results": {"a": {"acc": 1}}})"),
            "f.json is not an lm-eval results file: it is a results file of lighteval" + remedy);
  EXPECT_EQ(message(R"({"status": "success", "eval": {}, "results": {"a": {}}})"),
            "f.json is not an lm-eval results file: it is an Inspect log" + remedy);
  EXPECT_FALSE(TextIsResults("{\"results\": {\"a\": {"));
  EXPECT_FALSE(TextIsResults("\"results\""));
}

TEST(AggregationTest, FollowsLmEvalsRegistry) {
  EXPECT_EQ(AggregationOf("acc", ""), Aggregation::MEAN);
  EXPECT_EQ(AggregationOf("my_metric", ""), Aggregation::MEAN);
  EXPECT_EQ(AggregationOf("perplexity", ""), Aggregation::EXP_NEG_MEAN);
  EXPECT_EQ(AggregationOf("word_perplexity", ""), Aggregation::EXP_NEG_RATIO);
  EXPECT_EQ(AggregationOf("byte_perplexity", "weighted_perplexity"), Aggregation::EXP_NEG_RATIO);
  EXPECT_EQ(AggregationOf("bits_per_byte", ""), Aggregation::BITS_RATIO);
  EXPECT_EQ(AggregationOf("f1", ""), Aggregation::AGGREGATION_UNSPECIFIED);
  EXPECT_EQ(AggregationOf("f1", "mean"), Aggregation::MEAN);
  EXPECT_EQ(AggregationOf("acc", "<function mean at 0x7f>"), Aggregation::MEAN);
  EXPECT_EQ(AggregationOf("acc", "def agg(items): ..."), Aggregation::AGGREGATION_UNSPECIFIED);
  EXPECT_EQ(AggregationOf("acc", "median"), Aggregation::AGGREGATION_UNSPECIFIED);
}

TEST(VersionTest, Compares) {
  EXPECT_TRUE(VersionAtLeast("0.4.13.dev0", 4, 6, false));
  EXPECT_TRUE(VersionAtLeast("0.4.6", 4, 6, false));
  EXPECT_FALSE(VersionAtLeast("0.4.5", 4, 6, true));
  EXPECT_FALSE(VersionAtLeast("0.3.0", 4, 6, true));
  EXPECT_TRUE(VersionAtLeast("1.0.0", 4, 6, false));
  EXPECT_TRUE(VersionAtLeast("", 4, 6, true));
  EXPECT_FALSE(VersionAtLeast("0.4", 4, 6, false));
}

}  // namespace
}  // namespace mirage::integrations::lm_eval
