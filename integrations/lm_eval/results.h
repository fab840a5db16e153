// lm-eval's results file: the run, its tasks, and what the reader of the sample
// rows has to know about each task.
//
// Accepted are the shapes of lm-evaluation-harness 0.3 (keys without a comma)
// to 0.4.13. What a row's fields mean was read
// from lm_eval's evaluator.py and api/task.py of 0.4.2, 0.4.3, 0.4.7, 0.4.9.2 and
// 0.4.13.
#ifndef MIRAGE_INTEGRATIONS_LM_EVAL_RESULTS_H_
#define MIRAGE_INTEGRATIONS_LM_EVAL_RESULTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "integrations/lm_eval/json_value.h"
#include "mirage/v1/run.pb.h"
#include "mirage/v1/sample.pb.h"

namespace mirage::integrations::lm_eval {

// A results file larger than this is refused, in bytes.
inline constexpr uint64_t kMaxResultsBytes = uint64_t{256} << 20;

// What the rows of a task need to be understood.
struct TaskConfig {
  // Task name; also what row messages name.
  std::string task;
  // "multiple_choice", "generate_until", "loglikelihood" or
  // "loglikelihood_rolling"; empty when the results file does not say.
  std::string output_type;
  // What this run put before each choice in `arg_1`: `target_delimiter`, or
  // nothing under a chat template (from 0.4.6 on; from 0.4.10 on only without a
  // gen_prefix that ends in text).
  std::string choice_delimiter = " ";
  // `doc_to_target` is a template: a target that reads as a list is one.
  bool target_is_template = false;
  // `doc_to_target` where it may name a field of the document. The field's type then
  // says whether an all-digit target is an index (number) or a text (string).
  std::string target_field;
  // `doc_to_choice` where it is a fixed list.
  std::vector<std::string> choices;
  // `doc_to_choice` where it may name a field of the document.
  std::string choices_field;
  // The task scores its rows with code of its own (`process_results`).
  bool custom_scores = false;
  // Filter names in the order in which the harness writes their rows; empty
  // means one filter, "none".
  std::vector<std::string> filters;
  // Aggregation by metric, as the task's metric_list spells it.
  std::map<std::string, std::string, std::less<>> aggregations;
  // Metric names of the task's results, for rows that do not list their own.
  std::vector<std::string> metrics;
};

// A results file.
struct Results {
  // The run. `name`, `path` and `has_samples` are left to the caller.
  v1::Run run;
  // By task name; every task of `run` that is not a group has an entry.
  std::map<std::string, TaskConfig, std::less<>> tasks;
};

// Whether `json` is an lm-eval results file: an object with "results" that holds objects
// by task, at least one of them with a metric (or no tasks at all), with something beside it that
// every version of lm-eval writes ("versions", "configs", "n-shot", "config" with a "model",
// "lm_eval_version", or metric keys with a comma), and without lighteval's or Inspect's marks.
bool IsResults(const JsonValue& json);

// The same of a whole file's text, without building its value: for files that may
// be anything. False for text that is not JSON. O(length).
bool TextIsResults(std::string_view text);

// Reads a results file. `name` is the file's, for messages; `date` goes into the
// run. INVALID_ARGUMENT when it is none: message with the file and the remedy.
// What is odd but usable becomes a warning of the run or the task: a member of another
// type than lm-eval's is taken as missing, and named (the first ten). A task whose entry is
// malformed stays in the run, without reported metrics.
absl::StatusOr<Results> ParseResults(const JsonValue& json, std::string_view name,
                                     std::string_view date);

// How lm-eval makes one number of a metric's rows. `aggregation` is the task's
// own spelling, empty for the metric's default. UNSPECIFIED where it is none of
// those that a ScoreColumn can name.
v1::ScoreColumn::Aggregation::Value AggregationOf(std::string_view metric,
                                                  std::string_view aggregation);

// Whether lm-eval version `version` ("0.4.13.dev0") is at least 0.`minor`.`patch`;
// `unknown` when it has no such form.
bool VersionAtLeast(std::string_view version, int minor, int patch, bool unknown);

}  // namespace mirage::integrations::lm_eval

#endif  // MIRAGE_INTEGRATIONS_LM_EVAL_RESULTS_H_
