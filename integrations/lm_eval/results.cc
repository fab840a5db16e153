#include "integrations/lm_eval/results.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "integrations/lm_eval/json_text.h"

namespace mirage::integrations::lm_eval {
namespace {

constexpr std::string_view kStderr = "_stderr";

bool EndsWith(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// A value as lm-eval's own "key=value" lists spell it.
std::string PlainText(const JsonValue& value) {
  switch (value.type) {
    case JsonValue::Type::kNull:
      return "None";
    case JsonValue::Type::kBool:
      return value.boolean ? "True" : "False";
    case JsonValue::Type::kNumber:
    case JsonValue::Type::kString:
      return value.text;
    case JsonValue::Type::kArray: {
      std::string out = "[";
      for (const JsonValue& item : value.items) {
        if (out.size() > 1) out += ", ";
        out += PlainText(item);
      }
      return out + "]";
    }
    case JsonValue::Type::kObject: {
      std::string out = "{";
      for (const auto& [key, member] : value.members) {
        if (out.size() > 1) out += ", ";
        out += key + ": " + PlainText(member);
      }
      return out + "}";
    }
  }
  return "";
}

// model_args: a string until 0.4.11, an object after it.
std::string ModelArgs(const JsonValue& args) {
  if (!args.is_object()) return args.is_null() ? "" : PlainText(args);
  std::string out;
  for (const auto& [key, value] : args.members) {
    if (!out.empty()) out += ",";
    out += key + "=" + PlainText(value);
  }
  return out;
}

// The order of lm-eval's GeneralConfigTracker: an adapter names the model, not
// what it is adapted from.
std::string ModelFromArgs(const JsonValue& args) {
  for (const std::string_view key : {"peft", "delta", "pretrained", "model", "path", "engine"}) {
    if (args.is_object()) {
      const JsonValue& value = args[key];
      if (!value.is_null()) return PlainText(value);
      continue;
    }
    std::string_view rest = args.text;
    while (!rest.empty()) {
      const size_t comma = rest.find(',');
      const std::string_view item = rest.substr(0, comma);
      if (StartsWith(item, key) && item.size() > key.size() && item[key.size()] == '=') {
        return std::string(item.substr(key.size() + 1));
      }
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return "";
}

// Nested groups are indented by lm-eval: "  - name".
std::string_view PlainAlias(std::string_view alias) {
  while (StartsWith(alias, " ")) alias.remove_prefix(1);
  if (StartsWith(alias, "- ")) alias.remove_prefix(2);
  return alias;
}

bool ToCount(const JsonValue& value, uint32_t* count) {
  if (!value.is_number() || !(value.number >= 0) ||
      value.number > std::numeric_limits<uint32_t>::max() ||
      value.number != std::floor(value.number)) {
    return false;
  }
  *count = static_cast<uint32_t>(value.number);
  return true;
}

bool IsCode(std::string_view text) {
  return StartsWith(text, "def ") || StartsWith(text, "<function") || StartsWith(text, "lambda") ||
         StartsWith(text, "functools.") || StartsWith(text, "!function");
}

// Takes members of a file apart and notes which are not what lm-eval writes: they cost
// themselves, nothing else. A null is as good as a missing one.
class MemberReader {
 public:
  explicit MemberReader(v1::Run* run) : run_(run) {}

  // Counts what was noted beyond the first few.
  void Finish() {
    if (n_ <= kMaxWarnings) return;
    run_->add_warnings(
        fmt::format("{} more members of the results file are malformed", n_ - kMaxWarnings));
  }

  // Notes that what stands at `place` is not as `expected`.
  void Note(std::string_view place, const JsonValue& value, std::string_view expected) {
    if (++n_ > kMaxWarnings) return;
    static constexpr const char* kNames[] = {"null", "", "", "", "a list", "an object"};
    std::string found = kNames[static_cast<int>(value.type)];
    if (value.is_string()) found = fmt::format("\"{}\"", Excerpt(value.text, 20));
    if (found.empty()) found = PlainText(value);
    run_->add_warnings(
        fmt::format("{} is {}: expected {}; taken as missing: mend it, or evaluate again",
                    Excerpt(place, 100), found, expected));
  }

  // The member `key` of `parent`, which stands at `place`; null where it is no `type`.
  const JsonValue& Get(const JsonValue& parent, std::string_view place, std::string_view key,
                       JsonValue::Type type) {
    const JsonValue& value = parent[key];
    if (value.is_null() || value.type == type) return value;
    static constexpr const char* kExpected[] = {"null",   "true or false", "a number",
                                                "a text", "a list",        "an object"};
    Note(place.empty() ? std::string(key) : fmt::format("{}.{}", place, key), value,
         kExpected[static_cast<int>(type)]);
    static const JsonValue* const kNull = new JsonValue();
    return *kNull;
  }
  const JsonValue& Object(const JsonValue& parent, std::string_view place, std::string_view key) {
    return Get(parent, place, key, JsonValue::Type::kObject);
  }

  // Whether the member is a count.
  bool Count(const JsonValue& parent, std::string_view place, std::string_view key,
             uint32_t* count) {
    const JsonValue& value = parent[key];
    if (ToCount(value, count)) return true;
    // What lm-eval's tables show for groups.
    const bool is_blank = value.is_string() && (value.text == "N/A" || value.text == " ");
    if (!value.is_null() && !is_blank) {
      Note(fmt::format("{}.{}", place, key), value, "a whole number");
    }
    return false;
  }

 private:
  static constexpr size_t kMaxWarnings = 10;
  v1::Run* const run_;
  size_t n_ = 0;
};

// "acc,none" and "acc_stderr,none", or 0.3's "acc" and "acc_stderr".
struct MetricKey {
  std::string_view metric;
  std::string_view filter;
  bool is_stderr = false;
};

MetricKey SplitKey(std::string_view key) {
  MetricKey out;
  const size_t comma = key.find(',');
  out.metric = key.substr(0, comma);
  out.filter = comma == std::string_view::npos ? "none" : key.substr(comma + 1);
  if (EndsWith(out.metric, kStderr)) {
    out.metric.remove_suffix(kStderr.size());
    out.is_stderr = true;
  }
  return out;
}

// Reads one row of "results" or "groups" into `task`.
void ReadRow(const JsonValue& row, bool with_comma, const JsonValue& higher_is_better,
             v1::RunTask* task, bool* predict_only) {
  static const auto* const kNotMetrics = new std::set<std::string_view>{
      "alias", "name", "sample_len", "sample_count", "samples", " ", ""};
  for (const auto& [key, value] : row.members) {
    const bool has_comma = key.find(',') != std::string::npos;
    if (kNotMetrics->count(key) > 0 || StartsWith(key, " ") || has_comma != with_comma) continue;
    const MetricKey parts = SplitKey(key);
    if (parts.is_stderr) continue;
    if (parts.metric == "bypass") {
      *predict_only = true;
      continue;
    }
    if (!with_comma && !value.is_number()) continue;
    v1::ReportedMetric* const reported = task->add_reported();
    reported->set_metric(std::string(parts.metric));
    reported->set_filter(std::string(parts.filter));
    if (value.is_number()) reported->set_value(value.number);
    if (value.is_bool()) reported->set_value(value.boolean ? 1 : 0);
    std::string stderr_key = std::string(parts.metric) + std::string(kStderr);
    if (with_comma) stderr_key += "," + std::string(parts.filter);
    const JsonValue& error = row[stderr_key];
    if (error.is_number()) reported->set_stderr(error.number);
    const JsonValue& higher = higher_is_better[parts.metric];
    if (higher.is_bool()) reported->set_higher_is_better(higher.boolean);
  }
}

// What the task's metric_list says of exact match and of aggregations.
void ReadMetricList(const JsonValue& list, v1::RunTask* task, TaskConfig* config) {
  for (const JsonValue& entry : list.items) {
    const JsonValue& metric = entry["metric"];
    if (!metric.is_string()) continue;
    config->aggregations[metric.text] = entry["aggregation"].text;
    if (metric.text != "exact_match") continue;
    v1::TextNormalization* const text = task->mutable_normalization();
    text->set_ignore_case(entry["ignore_case"].boolean);
    text->set_ignore_punctuation(entry["ignore_punctuation"].boolean);
    text->set_ignore_numbers(entry["ignore_numbers"].boolean);
    const JsonValue& regexes = entry["regexes_to_ignore"];
    if (!regexes.items.empty() || regexes.is_string()) text->set_custom(true);
  }
}

// `configs[task]` into `task` and `config`. `chat` says that a chat template was
// applied.
void ReadConfig(const JsonValue& json, bool chat, std::string_view version, v1::RunTask* task,
                TaskConfig* config) {
  const JsonValue& output_type = json["output_type"];
  if (output_type.is_string()) {
    task->set_output_type(output_type.text);
    config->output_type =
        output_type.text == "greedy_until" ? "generate_until" : output_type.text;  // before 0.4.0
  }

  const JsonValue& delimiter = json["target_delimiter"];
  if (delimiter.is_string()) config->choice_delimiter = delimiter.text;
  if (chat && VersionAtLeast(version, 4, 6, true)) {
    const std::string& prefix = json["gen_prefix"].text;
    const bool prefix_ends_in_text =
        !prefix.empty() && std::string_view(" \t\r\n\v\f").find(prefix.back()) == std::string::npos;
    if (!prefix_ends_in_text || !VersionAtLeast(version, 4, 10, true)) {
      config->choice_delimiter.clear();
    }
  }

  const JsonValue& target = json["doc_to_target"];
  config->target_is_template =
      target.is_string() && !IsCode(target.text) && target.text.find("{{") != std::string::npos;
  const auto names_field = [](const JsonValue& value) {
    return value.is_string() && !IsCode(value.text) && value.text.find("{{") == std::string::npos;
  };
  if (names_field(target)) config->target_field = target.text;
  const JsonValue& choices = json["doc_to_choice"];
  if (names_field(choices)) config->choices_field = choices.text;
  for (const JsonValue& choice : choices.items) config->choices.push_back(PlainText(choice));
  for (const auto& member : choices.members) config->choices.push_back(PlainText(member.second));
  for (const JsonValue& filter : json["filter_list"].items) {
    if (filter["name"].is_string()) config->filters.push_back(filter["name"].text);
  }

  ReadMetricList(json["metric_list"], task, config);
  config->custom_scores = !json["process_results"].is_null();
  if (config->custom_scores) task->mutable_normalization()->set_custom(true);
  if (config->output_type == "generate_until" && !choices.is_null()) {
    // The harness compares with choices[target]; the rows hold the index, and what it
    // stands for is only known for a fixed list or a field of the document.
    if (config->choices.empty() && config->choices_field.empty()) {
      task->mutable_normalization()->set_custom(true);
      for (const char* metric :
           {"token_edit_distance", "edit_similarity", "position_accuracy", "prefix_match"}) {
        v1::Unavailable* missing = task->add_unavailable();
        missing->set_metric(metric);
        missing->set_reason(
            "the task scores against doc_to_choice[target], and its rows hold only the index");
      }
    }
  }
}

// Why `json` is no results file, for a message that begins with "it"; empty when it is one.
std::string_view WhyNotResults(const JsonValue& json) {
  // lighteval's results file has the same name and the same "results".
  if (json.Find("config_general") != nullptr) return "is a results file of lighteval";
  if (json.Find("eval") != nullptr && json.Find("status") != nullptr) return "is an Inspect log";
  const JsonValue& results = json["results"];
  bool has_row = results.is_object() && results.members.empty();
  bool has_comma = false;
  for (const auto& row : results.members) {
    for (const auto& [key, value] : row.second.members) {
      has_comma = has_comma || key.find(',') != std::string::npos;
      has_row = has_row || has_comma || value.is_number() || key == "alias";
    }
  }
  if (!has_row) return "has no \"results\" object with an object of metrics for each task";
  // Any tool may name a member "results".
  if (has_comma || json["versions"].is_object() || json["configs"].is_object() ||
      json["n-shot"].is_object() || json["lm_eval_version"].is_string() ||
      json["config"]["model"].is_string()) {
    return "";
  }
  return "has \"results\", but nothing that lm-eval writes beside them (versions, configs, n-shot, "
         "config.model, lm_eval_version)";
}

// The key between its quotes. It ends: simdjson has paired all quotes.
std::string_view EscapedKey(simdjson::ondemand::field& field) {
  const char* const key = field.key().raw();
  const char* end = key;
  while (*end != '"') end += *end == '\\' ? 2 : 1;
  return {key, static_cast<size_t>(end - key)};
}

// What a value is that is not parsed further.
JsonValue::Type TypeOf(simdjson::ondemand::value value) {
  const char first = value.raw_json_token()[0];
  switch (first) {
    case '{':
      return JsonValue::Type::kObject;
    case '"':
      return JsonValue::Type::kString;
    case '-':
    case 'N':
    case 'I':
      return JsonValue::Type::kNumber;
    default:
      return first >= '0' && first <= '9' ? JsonValue::Type::kNumber : JsonValue::Type::kNull;
  }
}

// The members of `value`, an object, each with its type and, where `depth` is above 0, its
// own; false on damage.
bool Outline(simdjson::ondemand::value value, int depth, JsonValue* out) {
  out->type = TypeOf(value);
  if (depth == 0 || !out->is_object()) return true;
  simdjson::ondemand::object object;
  if (value.get_object().get(object)) return false;
  for (auto member : object) {
    simdjson::ondemand::field field;
    if (std::move(member).get(field)) return false;
    const std::string_view key = EscapedKey(field);
    if (!Outline(field.value(), depth - 1, &out->members.emplace_back(key, JsonValue()).second)) {
      return false;
    }
  }
  return true;
}

bool HasComma(const JsonValue& rows) {
  for (const auto& row : rows.members) {
    for (const auto& member : row.second.members) {
      if (member.first.find(',') != std::string::npos) return true;
    }
  }
  return false;
}

}  // namespace

bool VersionAtLeast(std::string_view version, int minor, int patch, bool unknown) {
  int parts[3] = {0, 0, 0};
  for (int i = 0; i < 3; ++i) {
    const auto result = std::from_chars(version.data(), version.data() + version.size(), parts[i]);
    if (result.ec != std::errc()) return unknown;
    version.remove_prefix(static_cast<size_t>(result.ptr - version.data()));
    if (i < 2) {
      if (!StartsWith(version, ".")) return unknown;
      version.remove_prefix(1);
    }
  }
  if (parts[0] != 0) return parts[0] > 0;
  if (parts[1] != minor) return parts[1] > minor;
  return parts[2] >= patch;
}

v1::ScoreColumn::Aggregation::Value AggregationOf(std::string_view metric,
                                                  std::string_view aggregation) {
  using Aggregation = v1::ScoreColumn::Aggregation;
  if (aggregation.empty()) {
    if (metric == "perplexity" || metric == "ppl") return Aggregation::EXP_NEG_MEAN;
    if (metric == "word_perplexity" || metric == "byte_perplexity") {
      return Aggregation::EXP_NEG_RATIO;
    }
    if (metric == "bits_per_byte") return Aggregation::BITS_RATIO;
    for (const std::string_view other :
         {"f1", "mcc", "bleu", "chrf", "chrf++", "ter", "brier_score", "bypass"}) {
      if (metric == other) return Aggregation::AGGREGATION_UNSPECIFIED;
    }
    return Aggregation::MEAN;
  }
  if (aggregation == "mean" || StartsWith(aggregation, "<function mean at ")) {
    return Aggregation::MEAN;
  }
  if (aggregation == "perplexity") return Aggregation::EXP_NEG_MEAN;
  if (aggregation == "weighted_perplexity") return Aggregation::EXP_NEG_RATIO;
  if (aggregation == "bits_per_byte") return Aggregation::BITS_RATIO;
  return Aggregation::AGGREGATION_UNSPECIFIED;
}

bool IsResults(const JsonValue& json) { return WhyNotResults(json).empty(); }

bool TextIsResults(std::string_view text) {
  namespace ondemand = simdjson::ondemand;
  // Most other files do not have the word at all.
  if (text.find("\"results\"") == std::string_view::npos) return false;
  const simdjson::padded_string padded(text);
  ondemand::parser parser;
  ondemand::document document;
  ondemand::object object;
  if (parser.iterate(padded).get(document) || document.get_object().get(object)) return false;
  JsonValue outline;
  for (auto member : object) {
    ondemand::field field;
    if (std::move(member).get(field)) return false;
    const std::string_view key = EscapedKey(field);
    const int depth = key == "results" ? 2 : key == "config" ? 1 : 0;
    if (!Outline(field.value(), depth, &outline.members.emplace_back(key, JsonValue()).second)) {
      return false;
    }
  }
  return IsResults(outline);
}

absl::StatusOr<Results> ParseResults(const JsonValue& json, std::string_view name,
                                     std::string_view date) {
  if (const std::string_view what = WhyNotResults(json); !what.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("{} is not an lm-eval results file: it {}; name the results_<date>.json that "
                    "lm_eval wrote under --output_path",
                    name, what));
  }
  Results out;
  v1::Run& run = out.run;
  run.set_harness("lm-eval");
  run.set_date(std::string(date));
  run.set_harness_version(json["lm_eval_version"].text);

  MemberReader members(&run);
  const JsonValue& config = members.Object(json, "", "config");
  const JsonValue& args = config["model_args"];
  run.set_model_args(ModelArgs(args));
  if (json["model_name"].is_string()) run.set_model(json["model_name"].text);
  if (run.model().empty()) run.set_model(ModelFromArgs(args));
  if (run.model().empty()) run.set_model(config["model"].text);
  if (run.model().empty()) {
    run.add_warnings("the results file names no model (model_name, config.model_args)");
  }
  const auto positive = [&](std::string_view key) {
    const JsonValue& value = config[key];
    return value.is_number() && value.number > 0 && std::isfinite(value.number);
  };
  if (positive("model_num_parameters")) run.set_n_parameters(config["model_num_parameters"].number);
  if (positive("model_train_tokens")) run.set_n_train_tokens(config["model_train_tokens"].number);
  if (positive("model_train_flops")) run.set_n_train_flops(config["model_train_flops"].number);

  const JsonValue& rows = json["results"];
  const JsonValue& group_rows = members.Object(json, "", "groups");
  const JsonValue& subtasks = members.Object(json, "", "group_subtasks");
  const JsonValue& configs = members.Object(json, "", "configs");
  const JsonValue& versions = members.Object(json, "", "versions");
  const JsonValue& shots = members.Object(json, "", "n-shot");
  const JsonValue& sizes = members.Object(json, "", "n-samples");
  const JsonValue& directions = members.Object(json, "", "higher_is_better");
  const JsonValue& hashes = members.Object(json, "", "task_hashes");
  // With 0.4 every metric key has a comma and whatever has none is something
  // else; with 0.3 none has one.
  const bool with_comma = HasComma(rows) || !configs.is_null();
  // 0.4.4 and 0.4.5 write "" for models without a tokenizer, template or not;
  // they keep the delimiter anyway.
  const bool chat = json["chat_template"].is_string();

  std::map<std::string_view, std::vector<std::string_view>> parents;
  for (const auto& entry : subtasks.members) {
    const std::string& group = entry.first;
    for (const JsonValue& member :
         members.Get(subtasks, "group_subtasks", group, JsonValue::Type::kArray).items) {
      if (member.is_string()) {
        parents[member.text].push_back(group);
      } else {
        members.Note(fmt::format("group_subtasks.{}[…]", group), member, "a task's name");
      }
    }
  }

  std::vector<std::string_view> order;
  std::set<std::string_view> seen;
  const std::function<void(std::string_view)> visit = [&](std::string_view task) {
    if (!seen.insert(task).second) return;
    const auto found = parents.find(task);
    if (found != parents.end()) {
      for (const std::string_view group : found->second) {
        if (rows.Find(group) != nullptr || group_rows.Find(group) != nullptr) visit(group);
      }
    }
    order.push_back(task);
  };
  for (const auto& row : rows.members) visit(row.first);
  for (const auto& row : group_rows.members) visit(row.first);

  std::vector<std::string> predict_only;
  for (const std::string_view task_name : order) {
    const JsonValue* row = rows.Find(task_name);
    const bool in_groups = row == nullptr;
    if (in_groups) row = group_rows.Find(task_name);
    if (!row->is_object()) {
      members.Note(fmt::format("{}.{}", in_groups ? "groups" : "results", task_name), *row,
                   "an object of metrics");
    }
    v1::RunTask* const task = run.add_tasks();
    task->set_task(std::string(task_name));
    const std::string_view alias = PlainAlias((*row)["alias"].text);
    if (alias != task_name) task->set_alias(std::string(alias));
    const JsonValue& version = versions[task_name];
    if (version.is_number() || version.is_string()) {
      task->set_version(PlainText(version));
    } else if (!version.is_null()) {
      members.Note(fmt::format("versions.{}", task_name), version, "a number or a text");
    }
    const JsonValue& task_config = members.Object(configs, "configs", task_name);
    uint32_t count = 0;
    if (members.Count(shots, "n-shot", task_name, &count) ||
        (json.Find("n-shot") == nullptr &&
         (ToCount(task_config["num_fewshot"], &count) || ToCount(config["num_fewshot"], &count)))) {
      task->set_n_shot(count);
    }
    const JsonValue& n_samples = members.Object(sizes, "n-samples", task_name);
    const std::string size_place = fmt::format("n-samples.{}", task_name);
    if (members.Count(n_samples, size_place, "original", &count)) {
      task->set_n_samples_original(count);
    }
    if (members.Count(n_samples, size_place, "effective", &count) ||
        ToCount((*row)["sample_len"], &count)) {
      task->set_n_samples_effective(count);
    }
    task->set_task_hash(
        members.Get(hashes, "task_hashes", task_name, JsonValue::Type::kString).text);
    for (const JsonValue& member : subtasks[task_name].items) {
      if (member.is_string()) task->add_members(member.text);
    }
    const JsonValue& higher = members.Object(directions, "higher_is_better", task_name);
    for (const auto& direction : higher.members) {
      members.Get(higher, fmt::format("higher_is_better.{}", task_name), direction.first,
                  JsonValue::Type::kBool);
    }
    bool bypass = false;
    ReadRow(*row, with_comma, higher, task, &bypass);
    if (bypass) predict_only.push_back(task->task());

    const JsonValue& aggregates = task_config["aggregate_metric_list"];
    for (const JsonValue& aggregate : aggregates.items) {
      const JsonValue& weighted = aggregate["weight_by_size"];
      if (!weighted.is_bool()) continue;
      if (task->has_weight_by_size() && task->weight_by_size() != weighted.boolean) {
        task->clear_weight_by_size();
        task->add_warnings("the group weights its members by size for some metrics only");
        break;
      }
      task->set_weight_by_size(weighted.boolean);
    }
    if (task->members_size() > 0) continue;

    TaskConfig& entry = out.tasks[task->task()];
    entry.task = task->task();
    for (const auto& [key, type] : {std::pair("output_type", JsonValue::Type::kString),
                                    std::pair("target_delimiter", JsonValue::Type::kString),
                                    std::pair("metric_list", JsonValue::Type::kArray),
                                    std::pair("filter_list", JsonValue::Type::kArray)}) {
      members.Get(task_config, fmt::format("configs.{}", task_name), key, type);
    }
    ReadConfig(task_config, chat, run.harness_version(), task, &entry);
    for (const v1::ReportedMetric& reported : task->reported()) {
      bool known = false;
      for (const std::string& metric : entry.metrics) known = known || metric == reported.metric();
      if (!known) entry.metrics.push_back(reported.metric());
    }
  }
  members.Finish();
  if (!predict_only.empty()) {
    std::string names;
    for (size_t i = 0; i < predict_only.size() && i < 5; ++i) {
      names += (i > 0 ? ", " : "") + predict_only[i];
    }
    if (predict_only.size() > 5) names += fmt::format(" and {} more", predict_only.size() - 5);
    run.add_warnings(fmt::format(
        "{}: run with --predict_only, so lm-eval scored nothing (bypass = 999 is a placeholder); "
        "evaluate without it for scores",
        names));
  }
  return out;
}

}  // namespace mirage::integrations::lm_eval
