#include "integrations/lm_eval/writer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <utility>
#include <vector>

#include "integrations/lm_eval/json_text.h"

namespace mirage::integrations::lm_eval {
namespace {

// Rows are handed over in pieces of about this many bytes.
constexpr size_t kPiece = size_t{1} << 16;

absl::Status Bad(std::string_view field, std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("{} {}", field, what));
}

absl::Status CheckNamePart(std::string_view what, std::string_view text) {
  if (text.empty()) return Bad(what, "is empty: it names a file");
  for (const char c : text) {
    if (c == '/' || static_cast<unsigned char>(c) < 0x20) {
      return Bad(what, "has a slash or a control character: it names a file, and must have none");
    }
  }
  return absl::OkStatus();
}

// Text column as cells; the lengths and the encoding are checked first.
class Cells {
 public:
  Cells(std::string_view field, const v1::TextColumn& column) : field_(field), column_(column) {}

  // `n` cells that fill the column, all of them UTF-8.
  absl::Status Check(size_t n) const {
    if (static_cast<size_t>(column_.lengths_size()) != n) {
      return Bad(field_, fmt::format("has {} cells: must have {}", column_.lengths_size(), n));
    }
    uint64_t sum = 0;
    for (const uint32_t length : column_.lengths()) sum += length;
    if (sum != column_.data().size()) {
      return Bad(field_, fmt::format("has lengths of {} bytes in all and {} bytes of data: must be "
                                     "the same",
                                     sum, column_.data().size()));
    }
    size_t at = 0;
    for (int i = 0; i < column_.lengths_size(); ++i) {
      const std::string_view cell = std::string_view(column_.data()).substr(at, column_.lengths(i));
      if (FirstInvalidUtf8(cell) < cell.size()) {
        return Bad(field_, fmt::format("[{}] is not UTF-8: JSON cannot hold it", i));
      }
      at += column_.lengths(i);
    }
    return absl::OkStatus();
  }

  // The next one.
  std::string_view Next() {
    const uint32_t length = column_.lengths(next_++);
    const std::string_view cell = std::string_view(column_.data()).substr(at_, length);
    at_ += length;
    return cell;
  }

 private:
  const std::string_view field_;
  const v1::TextColumn& column_;
  int next_ = 0;
  size_t at_ = 0;
};

absl::Status CheckSize(std::string_view field, int n, uint64_t expected) {
  if (static_cast<uint64_t>(n) == expected) return absl::OkStatus();
  return Bad(field, fmt::format("has {} entries: must have {}", n, expected));
}

std::string Sha256(std::string_view text) {
  TaskHash hash;
  hash.Add(text);
  return hash.Finish();
}

std::string Json(std::string_view text) {
  std::string out;
  AppendJsonString(text, &out);
  return out;
}

// One that may be in any place: a document's id is a number where it looks like one.
bool IsWholeNumber(std::string_view text) {
  if (text.empty() || text.size() > 18) return false;
  if (text.size() > 1 && text.front() == '0') return false;
  return text.find_first_not_of("0123456789") == std::string_view::npos;
}

// Log-likelihoods stand in rows as str(float) does: "-inf", not "-Infinity".
std::string PythonFloat(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return JsonNumber(value);
}

// A list of texts as str(list) does. JSON's spelling of a text is Python's, too, but for the escape
// of what lies beyond the plane that \u reaches, which is never escaped here.
std::string PythonList(const std::vector<std::string_view>& texts) {
  std::string out = "[";
  for (const std::string_view text : texts) {
    if (out.size() > 1) out += ", ";
    AppendJsonString(text, &out);
  }
  return out + "]";
}

// Members of an object, for the two spellings of a document that are needed: in a row on one line,
// and indented, which is what its digest is of.
class Document {
 public:
  void Add(std::string_view key, std::string value) {
    members_.emplace_back(Json(key), std::vector<std::string>{std::move(value)});
  }
  void AddList(std::string_view key, std::vector<std::string> values) {
    members_.emplace_back(Json(key), std::move(values));
    lists_.resize(members_.size());
    lists_.back() = true;
  }

  std::string Text(bool is_indented) const {
    std::string out = "{";
    for (size_t i = 0; i < members_.size(); ++i) {
      if (i > 0) out += is_indented ? "," : ", ";
      if (is_indented) out += "\n  ";
      out += members_[i].first + ": ";
      if (i >= lists_.size() || !lists_[i]) {
        out += members_[i].second.front();
        continue;
      }
      out += "[";
      for (size_t j = 0; j < members_[i].second.size(); ++j) {
        if (j > 0) out += is_indented ? "," : ", ";
        if (is_indented) out += "\n    ";
        out += members_[i].second[j];
      }
      if (is_indented && !members_[i].second.empty()) out += "\n  ";
      out += "]";
    }
    return out + (is_indented ? "\n}" : "}");
  }

 private:
  std::vector<std::pair<std::string, std::vector<std::string>>> members_;
  std::vector<bool> lists_;
};

struct Request {
  std::string context;
  // As JSON.
  std::string continuation;
};

// What one sample's evidence is in a row.
struct RowParts {
  Document document;
  // As text.
  std::string target;
  std::vector<Request> requests;
  // As JSON.
  std::string resps;
  std::string filtered;
};

// The columns of one batch, sample by sample.
class BatchRows {
 public:
  explicit BatchRows(const v1::SampleBatch& batch)
      : batch_(batch),
        n_(batch.n_samples()),
        doc_ids_("keys.doc_id", batch.keys().doc_id()),
        outputs_("generation.outputs", batch.generation().outputs()),
        generation_targets_("generation.targets", batch.generation().targets()),
        likelihood_targets_("likelihood.targets", batch.likelihood().targets()),
        choices_("multiple_choice.choices", batch.multiple_choice().choices()) {
    const v1::SampleKeyColumns& keys = batch.keys();
    const auto optional = [](std::string_view name, const v1::TextColumn& column,
                             std::vector<Cells>& cells) {
      if (column.lengths_size() > 0) cells.emplace_back(name, column);
    };
    optional("keys.doc_hash", keys.doc_hash(), doc_hash_);
    optional("keys.prompt_hash", keys.prompt_hash(), prompt_hash_);
    optional("keys.target_hash", keys.target_hash(), target_hash_);
    for (const v1::FieldColumn& field : batch.fields()) {
      fields_.emplace_back(fmt::format("fields.{}", field.field()),
                           Cells("fields", field.values()));
    }
  }

  absl::Status Check();
  // Appends the next row, and its three digests to `hashes`.
  void Append(uint32_t i, std::string* rows, std::string* hashes);

 private:
  absl::Status CheckChoices() const;
  absl::Status CheckGeneration() const;
  absl::Status CheckLikelihood() const;
  void ChoiceParts(uint32_t i, RowParts* parts);
  void GenerationParts(uint32_t i, RowParts* parts);
  void LikelihoodParts(uint32_t i, RowParts* parts);

  const v1::SampleBatch& batch_;
  const uint32_t n_;
  Cells doc_ids_;
  Cells outputs_;
  Cells generation_targets_;
  Cells likelihood_targets_;
  Cells choices_;
  // One or none.
  std::vector<Cells> doc_hash_;
  std::vector<Cells> prompt_hash_;
  std::vector<Cells> target_hash_;
  // With their paths.
  std::vector<std::pair<std::string, Cells>> fields_;
  // Places in flattened columns.
  int choice_ = 0;
  int gold_ = 0;
  std::string prompt_;
};

#define MIRAGE_RETURN_IF_ERROR(expression) \
  if (absl::Status error_ = (expression); !error_.ok()) return error_

absl::Status BatchRows::Check() {
  MIRAGE_RETURN_IF_ERROR(doc_ids_.Check(n_));
  for (const auto* cells : {&doc_hash_, &prompt_hash_, &target_hash_}) {
    for (const Cells& column : *cells) MIRAGE_RETURN_IF_ERROR(column.Check(n_));
  }
  for (const auto& field : fields_) MIRAGE_RETURN_IF_ERROR(field.second.Check(n_));
  if (!batch_.keys().variant().data().empty()) {
    return Bad("keys.variant", "is set: lm-eval's rows name no variants");
  }
  for (int i = 0; i < batch_.scores_size(); ++i) {
    const v1::ScoreColumn& score = batch_.scores(i);
    const std::string field = fmt::format("scores[{}]", i);
    MIRAGE_RETURN_IF_ERROR(CheckSize(field + ".values", score.values_size(), n_));
    if (score.weights_size() > 0) {
      return Bad(field + ".weights", "is set: only scores without weights can be written");
    }
  }
  switch (batch_.evidence_case()) {
    case v1::SampleBatch::kMultipleChoice:
      return CheckChoices();
    case v1::SampleBatch::kGeneration:
      return CheckGeneration();
    case v1::SampleBatch::kLikelihood:
      return CheckLikelihood();
    case v1::SampleBatch::kTrials:
      return absl::UnimplementedError("trials: lm-eval's rows hold no counts of attempts");
    case v1::SampleBatch::kVectors:
      return absl::UnimplementedError("vectors: lm-eval's rows hold no vectors");
    case v1::SampleBatch::EVIDENCE_NOT_SET:
      break;
  }
  return Bad("evidence", "is not set: a row needs a generation, choices or a likelihood");
}

absl::Status BatchRows::CheckChoices() const {
  const v1::MultipleChoiceColumns& columns = batch_.multiple_choice();
  if (columns.chosen_size() > 0) {
    return absl::UnimplementedError(
        "multiple_choice.chosen: lm-eval's rows hold the log-likelihoods of all choices");
  }
  MIRAGE_RETURN_IF_ERROR(CheckSize("multiple_choice.n_choices", columns.n_choices_size(), n_));
  uint64_t n_choices = 0;
  for (const uint32_t n : columns.n_choices()) {
    if (n == 0) return Bad("multiple_choice.n_choices", "has a 0: must be at least 1");
    n_choices += n;
  }
  MIRAGE_RETURN_IF_ERROR(
      CheckSize("multiple_choice.log_likelihoods", columns.log_likelihoods_size(), n_choices));
  for (const auto& [field, n] :
       {std::pair("multiple_choice.baseline_log_likelihoods",
                  columns.baseline_log_likelihoods_size()),
        std::pair("multiple_choice.is_greedy", columns.is_greedy_size())}) {
    if (n > 0) MIRAGE_RETURN_IF_ERROR(CheckSize(field, n, n_choices));
  }
  MIRAGE_RETURN_IF_ERROR(choices_.Check(n_choices));
  if (columns.n_golds_size() > 0) {
    MIRAGE_RETURN_IF_ERROR(CheckSize("multiple_choice.n_golds", columns.n_golds_size(), n_));
  }
  uint64_t n_golds = 0;
  for (uint32_t i = 0; i < n_; ++i) {
    const uint32_t n = columns.n_golds_size() > 0 ? columns.n_golds(static_cast<int>(i)) : 1;
    for (uint32_t g = 0; g < n; ++g) {
      if (n_golds >= static_cast<uint64_t>(columns.golds_size())) break;
      const uint32_t gold = columns.golds(static_cast<int>(n_golds++));
      if (gold >= columns.n_choices(static_cast<int>(i))) {
        return Bad("multiple_choice.golds",
                   fmt::format("of sample {} is {}: there are {} choices", i, gold,
                               columns.n_choices(static_cast<int>(i))));
      }
    }
    if (n == 0) {
      return Bad("multiple_choice.n_golds", "has a 0: a row says which choice is right");
    }
  }
  uint64_t expected = n_;
  if (columns.n_golds_size() > 0) {
    expected = 0;
    for (const uint32_t n : columns.n_golds()) expected += n;
  }
  return CheckSize("multiple_choice.golds", columns.golds_size(), expected);
}

absl::Status BatchRows::CheckGeneration() const {
  const v1::GenerationColumns& columns = batch_.generation();
  uint64_t n_outputs = n_;
  uint64_t n_targets = n_;
  if (columns.n_outputs_size() > 0) {
    MIRAGE_RETURN_IF_ERROR(CheckSize("generation.n_outputs", columns.n_outputs_size(), n_));
    n_outputs = 0;
    for (const uint32_t n : columns.n_outputs()) {
      if (n == 0) return Bad("generation.n_outputs", "has a 0: must be at least 1");
      n_outputs += n;
    }
  }
  if (columns.n_targets_size() > 0) {
    MIRAGE_RETURN_IF_ERROR(CheckSize("generation.n_targets", columns.n_targets_size(), n_));
    n_targets = 0;
    for (const uint32_t n : columns.n_targets()) {
      if (n == 0) return Bad("generation.n_targets", "has a 0: must be at least 1");
      n_targets += n;
    }
  }
  MIRAGE_RETURN_IF_ERROR(outputs_.Check(n_outputs));
  return generation_targets_.Check(n_targets);
}

absl::Status BatchRows::CheckLikelihood() const {
  const v1::LikelihoodColumns& columns = batch_.likelihood();
  if (columns.scope() == v1::LikelihoodColumns::Scope::DOCUMENT) {
    return absl::UnimplementedError(
        "likelihood.scope is DOCUMENT: only likelihoods of a target can be written");
  }
  MIRAGE_RETURN_IF_ERROR(
      CheckSize("likelihood.log_likelihoods", columns.log_likelihoods_size(), n_));
  if (columns.is_greedy_size() > 0) {
    MIRAGE_RETURN_IF_ERROR(CheckSize("likelihood.is_greedy", columns.is_greedy_size(), n_));
  }
  return likelihood_targets_.Check(n_);
}

#undef MIRAGE_RETURN_IF_ERROR

// [["-1.25", "True"], …], without what is around them.
std::string Pair(double log_likelihood, std::string_view greedy) {
  return fmt::format("[\"{}\", \"{}\"]", PythonFloat(log_likelihood), greedy);
}

void BatchRows::ChoiceParts(uint32_t i, RowParts* parts) {
  const v1::MultipleChoiceColumns& columns = batch_.multiple_choice();
  const auto n = static_cast<int>(columns.n_choices(static_cast<int>(i)));
  std::vector<std::string> texts;
  texts.reserve(static_cast<size_t>(n));
  for (int c = 0; c < n; ++c) texts.emplace_back(choices_.Next());
  const bool has_baseline = columns.baseline_log_likelihoods_size() > 0;
  for (int round = 0; round < (has_baseline ? 2 : 1); ++round) {
    for (int c = 0; c < n; ++c) {
      parts->requests.push_back(
          {round == 0 ? prompt_ : "", Json(" " + texts[static_cast<size_t>(c)])});
      const int at = choice_ + c;
      const bool is_greedy = columns.is_greedy_size() > 0 && round == 0 && columns.is_greedy(at);
      const std::string pair =
          Pair(round == 0 ? columns.log_likelihoods(at) : columns.baseline_log_likelihoods(at),
               is_greedy ? "True" : "False");
      const std::string_view comma = parts->filtered.empty() ? "" : ", ";
      parts->resps += fmt::format("{}[{}]", comma, pair);
      parts->filtered += fmt::format("{}{}", comma, pair);
    }
  }
  choice_ += n;
  std::vector<std::string> golds;
  const uint32_t n_golds = columns.n_golds_size() > 0 ? columns.n_golds(static_cast<int>(i)) : 1;
  for (uint32_t g = 0; g < n_golds; ++g) golds.push_back(std::to_string(columns.golds(gold_++)));
  for (std::string& text : texts) text = Json(text);
  parts->document.AddList("choices", std::move(texts));
  if (golds.size() == 1) {
    parts->target = golds.front();
    parts->document.Add("gold", golds.front());
  } else {
    parts->target = fmt::format("[{}]", fmt::join(golds, ", "));
    parts->document.AddList("gold", std::move(golds));
  }
}

void BatchRows::GenerationParts(uint32_t i, RowParts* parts) {
  const v1::GenerationColumns& columns = batch_.generation();
  const uint32_t n_outputs =
      columns.n_outputs_size() > 0 ? columns.n_outputs(static_cast<int>(i)) : 1;
  const uint32_t n_targets =
      columns.n_targets_size() > 0 ? columns.n_targets(static_cast<int>(i)) : 1;
  for (uint32_t k = 0; k < n_outputs; ++k) {
    if (k > 0) parts->filtered += ", ";
    AppendJsonString(outputs_.Next(), &parts->filtered);
  }
  parts->resps = fmt::format("[{}]", parts->filtered);
  std::vector<std::string_view> targets;
  targets.reserve(n_targets);
  for (uint32_t k = 0; k < n_targets; ++k) targets.push_back(generation_targets_.Next());
  if (n_targets == 1) {
    parts->target = std::string(targets.front());
    parts->document.Add("target", Json(targets.front()));
  } else {
    parts->target = PythonList(targets);
    std::vector<std::string> texts;
    texts.reserve(targets.size());
    for (const std::string_view target : targets) texts.push_back(Json(target));
    parts->document.AddList("target", std::move(texts));
  }
  std::string arguments = "{\"until\": [\"\\n\"]";
  if (columns.has_temperature()) {
    arguments += fmt::format(", \"do_sample\": {}, \"temperature\": {}", columns.temperature() > 0,
                             JsonNumber(columns.temperature()));
  } else {
    // What it was is open where answers are sampled and nothing says how.
    arguments += ", \"do_sample\": true";
  }
  parts->requests.push_back({prompt_, arguments + "}"});
}

void BatchRows::LikelihoodParts(uint32_t i, RowParts* parts) {
  const v1::LikelihoodColumns& columns = batch_.likelihood();
  const std::string_view text = likelihood_targets_.Next();
  parts->target = std::string(text);
  parts->document.Add("target", Json(text));
  parts->requests.push_back({prompt_, Json(text)});
  const bool is_greedy = columns.is_greedy_size() > 0 && columns.is_greedy(static_cast<int>(i));
  parts->filtered =
      Pair(columns.log_likelihoods(static_cast<int>(i)), is_greedy ? "True" : "False");
  parts->resps = fmt::format("[{}]", parts->filtered);
}

void BatchRows::Append(uint32_t i, std::string* rows, std::string* hashes) {
  RowParts parts;
  const std::string_view id = doc_ids_.Next();
  const std::string doc_id = IsWholeNumber(id) ? std::string(id) : Json(id);
  parts.document.Add("doc_id", doc_id);
  prompt_ = fmt::format("Document {}", id);
  for (int f = 0; f < batch_.fields_size(); ++f) {
    const std::string_view value = fields_[static_cast<size_t>(f)].second.Next();
    const std::string& name = batch_.fields(f).field();
    if (name == "question" && !value.empty()) prompt_ = std::string(value);
    parts.document.Add(name, Json(value));
  }
  switch (batch_.evidence_case()) {
    case v1::SampleBatch::kMultipleChoice:
      ChoiceParts(i, &parts);
      break;
    case v1::SampleBatch::kGeneration:
      GenerationParts(i, &parts);
      break;
    default:
      LikelihoodParts(i, &parts);
  }

  const auto hash = [](std::vector<Cells>& given, const auto& text) {
    return given.empty() ? Sha256(text()) : std::string(given.front().Next());
  };
  const std::string doc_hash = hash(doc_hash_, [&] { return parts.document.Text(true); });
  const std::string prompt_hash =
      hash(prompt_hash_, [&] { return parts.requests.front().context; });
  const std::string target_hash = hash(target_hash_, [&] { return parts.target; });
  *hashes += doc_hash + prompt_hash + target_hash;

  *rows += fmt::format("{{\"doc_id\": {}, \"doc\": {}, \"target\": {}, \"arguments\": {{", doc_id,
                       parts.document.Text(false), Json(parts.target));
  for (size_t r = 0; r < parts.requests.size(); ++r) {
    *rows += fmt::format("{}\"gen_args_{}\": {{\"arg_0\": {}, \"arg_1\": {}}}", r > 0 ? ", " : "",
                         r, Json(parts.requests[r].context), parts.requests[r].continuation);
  }
  *rows += fmt::format("}}, \"resps\": [{}], \"filtered_resps\": [{}], \"filter\": {}, ",
                       parts.resps, parts.filtered, Json(batch_.filter()));
  std::string names;
  std::string values;
  for (const v1::ScoreColumn& score : batch_.scores()) {
    if (!names.empty()) names += ", ";
    AppendJsonString(score.metric(), &names);
    values += fmt::format(", {}: {}", Json(score.metric()),
                          JsonNumber(score.values(static_cast<int>(i))));
  }
  *rows += fmt::format(
      "\"metrics\": [{}], \"doc_hash\": {}, \"prompt_hash\": {}, \"target_hash\": {}{}}}\n", names,
      Json(doc_hash), Json(prompt_hash), Json(target_hash), values);
}

// An object whose members stand on lines of their own, as json.dumps with indent=2.
class Object {
 public:
  explicit Object(int depth) : depth_(depth) {}
  Object& Add(std::string_view key, std::string_view value) {
    if (!body_.empty()) body_ += ",";
    body_ += fmt::format("\n{:{}}{}: {}", "", 2 * (depth_ + 1), Json(key), value);
    return *this;
  }
  std::string Text() const {
    return body_.empty() ? "{}" : fmt::format("{{{}\n{:{}}}}", body_, "", 2 * depth_);
  }

 private:
  const int depth_;
  std::string body_;
};

bool IsNumberText(std::string_view text) {
  double number = 0;
  return !text.empty() && text.find_first_not_of("0123456789.") == std::string_view::npos &&
         text.front() != '.' && text.back() != '.' && ParseNumber(text, &number);
}

// What the reader goes by, and what a person would have written.
std::string Config(const v1::RunTask& task, std::string_view model) {
  Object config(2);
  config.Add("task", Json(task.task())).Add("test_split", "\"test\"");
  config.Add("doc_to_text", "\"{{question}}\"");
  if (task.output_type() == "multiple_choice") {
    config.Add("doc_to_target", "\"gold\"").Add("doc_to_choice", "\"choices\"");
  } else {
    config.Add("doc_to_target", "\"target\"");
  }
  config.Add("description", "\"\"").Add("target_delimiter", "\" \"");
  config.Add("fewshot_delimiter", "\"\\n\\n\"").Add("num_fewshot", std::to_string(task.n_shot()));
  std::string metrics;
  for (int i = 0; i < task.reported_size(); ++i) {
    const v1::ReportedMetric& reported = task.reported(i);
    bool is_repeated = false;
    for (int j = 0; j < i; ++j) is_repeated |= task.reported(j).metric() == reported.metric();
    if (is_repeated) continue;
    if (!metrics.empty()) metrics += ", ";
    metrics += fmt::format("{{\"metric\": {}, \"aggregation\": \"{}\", \"higher_is_better\": {}}}",
                           Json(reported.metric()),
                           reported.metric() == "perplexity" ? "perplexity" : "mean",
                           !reported.has_higher_is_better() || reported.higher_is_better());
  }
  config.Add("metric_list", fmt::format("[{}]", metrics));
  config.Add("output_type", Json(task.output_type())).Add("repeats", "1");
  config.Add("should_decontaminate", "false");
  config.Add("metadata",
             fmt::format("{{\"version\": {}, \"pretrained\": {}}}",
                         IsNumberText(task.version()) ? task.version() : Json(task.version()),
                         Json(model)));
  return config.Text();
}

// Seconds since 1970 of a date id; 0 where it is none.
double SecondsOf(const std::string& date) {
  std::tm parts = {};
  double seconds = 0;
  if (std::sscanf(date.c_str(), "%d-%d-%dT%d-%d-%lf", &parts.tm_year, &parts.tm_mon, &parts.tm_mday,
                  &parts.tm_hour, &parts.tm_min, &seconds) != 6) {
    return 0;
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  return static_cast<double>(timegm(&parts)) + seconds;
}

}  // namespace

absl::StatusOr<std::string> ResultsFileName(std::string_view date) {
  if (absl::Status status = CheckNamePart("date", date); !status.ok()) return status;
  return fmt::format("results_{}.json", date);
}

absl::StatusOr<std::string> SamplesFileName(std::string_view task, std::string_view date) {
  if (absl::Status status = CheckNamePart("task", task); !status.ok()) return status;
  if (absl::Status status = CheckNamePart("date", date); !status.ok()) return status;
  return fmt::format("samples_{}_{}.jsonl", task, date);
}

SamplesWriter::SamplesWriter(std::string task, TextSink sink)
    : task_(std::move(task)), sink_(std::move(sink)) {}

absl::Status SamplesWriter::Add(const v1::SampleBatch& batch) {
  if (batch.task() != task_) {
    return Bad("task", fmt::format("is {}: these are the rows of {}", batch.task(), task_));
  }
  BatchRows columns(batch);
  if (absl::Status status = columns.Check(); !status.ok()) return status;
  std::string hashes;
  for (uint32_t i = 0; i < batch.n_samples(); ++i) {
    columns.Append(i, &rows_, &hashes);
    if (rows_.size() < kPiece && i + 1 < batch.n_samples()) continue;
    if (absl::Status status = sink_(rows_); !status.ok()) return status;
    rows_.clear();
  }
  hash_.Add(hashes);
  return absl::OkStatus();
}

absl::StatusOr<std::string> ResultsText(
    const v1::Run& run, const std::map<std::string, std::string, std::less<>>& task_hashes) {
  Object results(1);
  Object configs(1);
  Object versions(1);
  Object shots(1);
  Object directions(1);
  Object sizes(1);
  Object hashes(1);
  for (const v1::RunTask& task : run.tasks()) {
    const std::string& type = task.output_type();
    if (task.members_size() > 0) {
      return Bad(fmt::format("tasks.{}.members", task.task()), "is set: groups cannot be written");
    }
    if (type != "generate_until" && type != "multiple_choice" && type != "loglikelihood") {
      return Bad(
          fmt::format("tasks.{}.output_type", task.task()),
          fmt::format("is \"{}\": must be generate_until, multiple_choice or loglikelihood", type));
    }
    Object row(2);
    Object direction(2);
    row.Add("name", Json(task.task()));
    row.Add("alias", Json(task.alias().empty() ? task.task() : task.alias()));
    if (task.has_n_samples_effective()) {
      row.Add("sample_len", std::to_string(task.n_samples_effective()));
    }
    for (const v1::ReportedMetric& reported : task.reported()) {
      row.Add(fmt::format("{},{}", reported.metric(), reported.filter()),
              reported.has_value() ? JsonNumber(reported.value()) : "\"N/A\"");
      row.Add(fmt::format("{}_stderr,{}", reported.metric(), reported.filter()),
              reported.has_stderr() ? JsonNumber(reported.stderr()) : "\"N/A\"");
      if (reported.has_higher_is_better()) {
        direction.Add(reported.metric(), reported.higher_is_better() ? "true" : "false");
      }
    }
    results.Add(task.task(), row.Text());
    configs.Add(task.task(), Config(task, run.model()));
    if (!task.version().empty()) {
      versions.Add(task.task(),
                   IsNumberText(task.version()) ? task.version() : Json(task.version()));
    }
    if (task.has_n_shot()) shots.Add(task.task(), std::to_string(task.n_shot()));
    directions.Add(task.task(), direction.Text());
    Object size(2);
    if (task.has_n_samples_original()) {
      size.Add("original", std::to_string(task.n_samples_original()));
    }
    if (task.has_n_samples_effective()) {
      size.Add("effective", std::to_string(task.n_samples_effective()));
    }
    sizes.Add(task.task(), size.Text());
    if (const auto hash = task_hashes.find(task.task()); hash != task_hashes.end()) {
      hashes.Add(task.task(), Json(hash->second));
    }
  }
  Object config(1);
  config.Add("model", Json(run.model())).Add("model_args", "{}");
  if (run.has_n_parameters()) config.Add("model_num_parameters", JsonNumber(run.n_parameters()));
  if (run.has_n_train_tokens()) {
    config.Add("model_train_tokens", JsonNumber(run.n_train_tokens()));
  }
  if (run.has_n_train_flops()) config.Add("model_train_flops", JsonNumber(run.n_train_flops()));
  Object all(0);
  all.Add("results", results.Text()).Add("group_subtasks", "{}").Add("configs", configs.Text());
  all.Add("versions", versions.Text()).Add("n-shot", shots.Text());
  all.Add("higher_is_better", directions.Text()).Add("n-samples", sizes.Text());
  all.Add("config", config.Text()).Add("git_hash", "null");
  all.Add("date", JsonNumber(SecondsOf(run.date())));
  all.Add("lm_eval_version", Json(run.harness_version())).Add("task_hashes", hashes.Text());
  all.Add("model_source", "\"simulation\"").Add("model_name", Json(run.model()));
  all.Add("chat_template", "null");
  return all.Text() + "\n";
}

std::string JsonNumber(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

void AppendJsonString(std::string_view text, std::string* out) {
  *out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        *out += "\\\"";
        break;
      case '\\':
        *out += "\\\\";
        break;
      case '\n':
        *out += "\\n";
        break;
      case '\r':
        *out += "\\r";
        break;
      case '\t':
        *out += "\\t";
        break;
      case '\b':
        *out += "\\b";
        break;
      case '\f':
        *out += "\\f";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          *out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          *out += c;
        }
    }
  }
  *out += '"';
}

}  // namespace mirage::integrations::lm_eval
