#include "integrations/lm_eval/row_parser.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <charconv>
#include <cmath>
#include <cstring>
#include <deque>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "integrations/lm_eval/json_text.h"
#include "integrations/lm_eval/row_source.h"

namespace mirage::integrations::lm_eval {
namespace {

namespace ondemand = simdjson::ondemand;
using simdjson::error_code;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// Of simdjson's codes, the one that reading in memory cannot give: here, that
// something follows the row's object.
constexpr error_code kTrailing = simdjson::IO_ERROR;
// More choices than this are a damaged row.
constexpr size_t kMaxRequests = 1 << 16;
constexpr int kMaxDocDepth = 32;

enum class OutputType { kUnknown, kMultipleChoice, kGeneration, kLoglikelihood, kRolling };

OutputType ToOutputType(std::string_view name) {
  if (name == "multiple_choice") return OutputType::kMultipleChoice;
  if (name == "generate_until") return OutputType::kGeneration;
  if (name == "loglikelihood") return OutputType::kLoglikelihood;
  if (name == "loglikelihood_rolling") return OutputType::kRolling;
  return OutputType::kUnknown;
}

// A piece of the row's text as it stands: a scalar, or an array or object with
// its brackets. Strings keep their quotes.
using Raw = std::string_view;

inline Raw TrimEnd(Raw raw) {
  while (!raw.empty() &&
         (raw.back() == ' ' || raw.back() == '\n' || raw.back() == '\r' || raw.back() == '\t')) {
    raw.remove_suffix(1);
  }
  return raw;
}

bool IsString(Raw raw) { return raw.size() >= 2 && raw.front() == '"' && raw.back() == '"'; }

Raw Inner(Raw raw) { return raw.substr(1, raw.size() - 2); }

// The text between a string's quotes, in `scratch` when it had to be unescaped.
std::string_view Decode(Raw raw, std::string* scratch) {
  const std::string_view inner = IsString(raw) ? Inner(raw) : raw;
  if (!IsString(raw) || std::memchr(inner.data(), '\\', inner.size()) == nullptr) return inner;
  scratch->clear();
  AppendUnescaped(inner, scratch);
  return *scratch;
}

template <size_t N>
bool KeyIs(const char* key, const char (&name)[N]) {
  return std::memcmp(key, name, N - 1) == 0 && key[N - 1] == '"';
}

// The key between its quotes, still escaped. Stage 1 has checked that it ends.
std::string_view KeyText(const char* key) {
  const char* end = key;
  while (*end != '"') end += *end == '\\' ? 2 : 1;
  return {key, static_cast<size_t>(end - key)};
}

// The same as `KeyText`, which most keys are as they stand; else unescaped, at the end of
// `scratch`, whose elements stay where they are.
std::string_view PlainKey(const char* key, std::deque<std::string>* scratch) {
  const char* end = key;
  while (*end != '"' && *end != '\\') ++end;
  if (*end == '"') return {key, static_cast<size_t>(end - key)};
  return scratch->emplace_back(Unescaped(KeyText(key)));
}

// What a result without an error holds, in place: a copy is made of parts that have just
// been written one by one, for which the processor waits (a third of the time of a loop).
template <typename T>
T& ValueOf(simdjson::simdjson_result<T>& result) {
  T&& value = std::move(result).value_unsafe();
  return value;
}

// The value's first token. Empty when the document stops short: simdjson's own
// length is then that of nothing. `end` is the row's.
inline Raw Token(ondemand::value& value, const char* end) {
  const Raw token = value.raw_json_token();
  if (token.data() >= end || token.size() > static_cast<size_t>(end - token.data())) return Raw();
  return TrimEnd(token);
}

// `value` is an array or an object.
error_code CaptureContainer(ondemand::value& value, bool is_object, const char* end, Raw* raw) {
  if (is_object) {
    ondemand::object object;
    if (const auto error = value.get_object().get(object)) return error;
    if (const auto error = object.raw_json().get(*raw)) return error;
  } else {
    ondemand::array array;
    if (const auto error = value.get_array().get(array)) return error;
    if (const auto error = array.raw_json().get(*raw)) return error;
  }
  if (raw->size() > static_cast<size_t>(end - raw->data())) return simdjson::TAPE_ERROR;
  *raw = TrimEnd(*raw);
  return simdjson::SUCCESS;
}

inline error_code Capture(ondemand::value& value, const char* end, Raw* raw) {
  const Raw token = Token(value, end);
  if (token.empty()) return simdjson::TAPE_ERROR;
  if (token.front() == '{' || token.front() == '[') {
    return CaptureContainer(value, token.front() == '{', end, raw);
  }
  *raw = token;
  return simdjson::SUCCESS;
}

// One request's arguments.
struct Request {
  Raw context;       // arg_0
  Raw continuation;  // arg_1
};

// One entry of filtered_resps: its scalars, however they are nested.
struct Response {
  uint32_t begin = 0;
  uint32_t end = 0;
};

struct Responses {
  std::vector<Raw> scalars;
  std::vector<Response> entries;

  void Clear() {
    scalars.clear();
    entries.clear();
  }
};

error_code Flatten(ondemand::array& array, int depth, const char* end, std::vector<Raw>* scalars) {
  for (auto element : array) {
    if (const auto error = element.error()) return error;
    ondemand::value& value = ValueOf(element);
    const Raw token = Token(value, end);
    if (!token.empty() && token.front() == '[') {
      if (depth > 4) return simdjson::DEPTH_ERROR;
      ondemand::array inner;
      if (const auto error = value.get_array().get(inner)) return error;
      if (const auto error = Flatten(inner, depth + 1, end, scalars)) return error;
    } else {
      scalars->emplace_back();
      if (const auto error = Capture(value, end, &scalars->back())) return error;
    }
  }
  return simdjson::SUCCESS;
}

error_code ReadResponses(ondemand::array& array, const char* end, Responses* out) {
  out->Clear();
  for (auto element : array) {
    if (const auto error = element.error()) return error;
    ondemand::value& value = ValueOf(element);
    Response entry;
    entry.begin = static_cast<uint32_t>(out->scalars.size());
    const Raw token = Token(value, end);
    if (!token.empty() && token.front() == '[') {
      ondemand::array inner;
      if (const auto error = value.get_array().get(inner)) return error;
      if (const auto error = Flatten(inner, 0, end, &out->scalars)) return error;
    } else {
      out->scalars.emplace_back();
      if (const auto error = Capture(value, end, &out->scalars.back())) return error;
    }
    entry.end = static_cast<uint32_t>(out->scalars.size());
    out->entries.push_back(entry);
  }
  return simdjson::SUCCESS;
}

// A field that is none of the row's own: a metric's value.
struct Field {
  std::string_view key;  // unescaped
  Raw value;
};

// The end of the JSON string that starts at `at`, past its quote; npos when it has none.
size_t EndOfString(Raw raw, size_t at) {
  while (true) {
    at = raw.find('"', at + 1);
    if (at == Raw::npos) return at;
    size_t n_backslashes = 0;
    while (raw[at - 1 - n_backslashes] == '\\') ++n_backslashes;
    if (n_backslashes % 2 == 0) return at + 1;
  }
}

// "[a, b]" -> a and b; false for anything else.
bool SplitPair(Raw raw, Raw* first, Raw* second) {
  if (raw.size() < 2 || raw.front() != '[' || raw.back() != ']') return false;
  raw = raw.substr(1, raw.size() - 2);
  int depth = 0;
  size_t comma = Raw::npos;
  for (size_t i = 0; i < raw.size();) {
    const char c = raw[i];
    if (c == '"') {
      i = EndOfString(raw, i);
      continue;
    }
    if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ',' && depth == 0) {
      if (comma != Raw::npos) return false;
      comma = i;
    }
    ++i;
  }
  if (comma == Raw::npos) return false;
  *first = Strip(raw.substr(0, comma));
  *second = Strip(raw.substr(comma + 1));
  return true;
}

bool ParseInteger(std::string_view text, int64_t* value) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), *value);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

// A number, in quotes or not.
bool ParseScalar(Raw raw, double* value) {
  return ParseNumber(IsString(raw) ? Inner(raw) : raw, value);
}

// A metric's cell: one number, or NaN.
double ToScore(Raw raw) {
  if (raw == "true" || raw == "\"True\"") return 1;
  if (raw == "false" || raw == "\"False\"") return 0;
  double value = kNaN;
  return ParseScalar(raw, &value) ? value : kNaN;
}

// 1 and 0, -1 when the row does not say.
int ToGreedy(Raw raw) {
  if (raw == "\"False\"" || raw == "false") return 0;
  if (raw == "\"True\"" || raw == "true") return 1;
  return -1;
}

void AppendCell(std::string_view text, v1::TextColumn* column) {
  column->mutable_data()->append(text);
  column->add_lengths(static_cast<uint32_t>(text.size()));
}

// The cell of a JSON string (unescaped in place) or of another scalar as written.
void AppendRaw(Raw raw, v1::TextColumn* column) {
  if (!IsString(raw)) {
    AppendCell(raw, column);
    return;
  }
  std::string* const data = column->mutable_data();
  const size_t before = data->size();
  AppendUnescaped(Inner(raw), data);
  column->add_lengths(static_cast<uint32_t>(data->size() - before));
}

// Adds `value` to a column that stays empty while all cells are `usual`.
template <typename Column>
void AppendUnusual(int n_before, typename Column::value_type usual,
                   typename Column::value_type value, Column* column) {
  if (column->empty()) {
    if (value == usual) return;
    for (int i = 0; i < n_before; ++i) column->Add(usual);
  }
  column->Add(value);
}

// The metrics that a row may hold, for one content of its "metrics" list.
struct MetricSet {
  struct Metric {
    std::string name;
    v1::ScoreColumn::Aggregation::Value aggregation;
    // Number of the batch that `column` is valid for.
    uint64_t batch = 0;
    int column = -1;
  };
  std::string source;
  std::vector<Metric> metrics;
  bool mutual_information = false;
};

// What is wrong with the brackets of a row, an object; empty for nothing.
std::string WrongBrackets(std::string_view row) {
  size_t end = 0;
  switch (MatchBrackets(row, &end)) {
    case Brackets::kOpen:
      return "it ends before its last bracket or quote is closed";
    case Brackets::kMixed:
      return fmt::format("the bracket at byte {} does not close the last one opened", end - 1);
    case Brackets::kClosed:
      break;
  }
  if (end == row.size()) return "";
  if (row[end] == '\r')
    return "it goes on after a carriage return, which ends no line (write newlines)";
  return "something follows its last bracket";
}

// Why a JSON text of the row cannot be read.
std::string Malformed(error_code error, std::string_view row) {
  std::string reason;
  switch (error) {
    case simdjson::UTF8_ERROR:
      reason = fmt::format("byte {} is not UTF-8 text", FirstInvalidUtf8(row));
      break;
    case simdjson::UNCLOSED_STRING:
    case simdjson::INCOMPLETE_ARRAY_OR_OBJECT:
    case simdjson::TAPE_ERROR:
    case kTrailing:
      // simdjson looks at the last quote and bracket of the text only.
      reason = row.substr(0, 1) == "{" ? WrongBrackets(row) : "no object";
      if (reason.empty()) reason = "a comma, a colon or a value is missing or one too many";
      break;
    case simdjson::UNESCAPED_CHARS:
      reason = "a string holds a bare control character";
      break;
    default:
      reason = row.substr(0, 1) == "{" ? simdjson::error_message(error) : "no object";
  }
  return fmt::format(
      "not a row of JSON: {} (starts with \"{}\"); skipped: evaluate again, or delete the line",
      reason, Excerpt(row, 24));
}

}  // namespace

class RowParser::Impl {
 public:
  Impl(TaskConfig config, const ReadOptions& options)
      : config_(std::move(config)), options_(options), type_(ToOutputType(config_.output_type)) {}

  bool IsOrderFree() const { return type_is_settled_ && filters_are_settled_ && !by_occurrence_; }

  std::unique_ptr<Impl> Fork() const {
    auto fork = std::make_unique<Impl>(config_, options_);
    fork->type_ = type_;
    fork->type_is_settled_ = type_is_settled_;
    fork->filters_are_settled_ = filters_are_settled_;
    fork->by_occurrence_ = by_occurrence_;
    return fork;
  }

  bool AppendHashes(std::string* hashes) const {
    for (const Raw hash : {doc_hash_, prompt_hash_, target_hash_}) {
      // Hexadecimal: nothing to unescape.
      if (!IsString(hash)) return false;
    }
    for (const Raw hash : {doc_hash_, prompt_hash_, target_hash_}) *hashes += Inner(hash);
    return true;
  }

  void StartBatch(v1::SampleBatch* batch) {
    // A batch of the same kind keeps its columns' memory; Clear alone frees it.
    std::unique_ptr<v1::MultipleChoiceColumns> choices(batch->release_multiple_choice());
    std::unique_ptr<v1::GenerationColumns> generation(batch->release_generation());
    std::unique_ptr<v1::LikelihoodColumns> likelihood(batch->release_likelihood());
    batch->Clear();
    if (choices != nullptr && type_ == OutputType::kMultipleChoice) {
      choices->Clear();
      batch->set_allocated_multiple_choice(choices.release());
    } else if (generation != nullptr && type_ == OutputType::kGeneration) {
      generation->Clear();
      batch->set_allocated_generation(generation.release());
    } else if (likelihood != nullptr &&
               (type_ == OutputType::kLoglikelihood || type_ == OutputType::kRolling)) {
      likelihood->Clear();
      batch->set_allocated_likelihood(likelihood.release());
    }
    ++batch_number_;
    n_ = 0;
    bytes_ = 0;
  }

  bool IsFull() const {
    return static_cast<uint32_t>(n_) >= options_.batch_samples || bytes_ >= options_.batch_bytes;
  }

  Outcome Append(std::string_view row, v1::SampleBatch* batch);

  void Skip() { ++n_unplaced_; }

  std::string FilterDoubt() const;

  const std::string& message() const { return message_; }
  const std::string& filter() const { return refused_filter_; }

 private:
  // What two rows must share to stand in one batch.
  struct Shape {
    OutputType type = OutputType::kUnknown;
    bool doc_hash = false;
    bool prompt_hash = false;
    bool target_hash = false;
    bool is_greedy = false;
    bool baseline = false;
    bool n_words = false;
    std::optional<double> temperature;

    bool operator==(const Shape&) const = default;
  };

  bool Refuse(std::string message) {
    message_ = std::move(message);
    return false;
  }

  error_code ReadFields(std::string_view row);
  error_code ReadArguments(ondemand::value& value);
  error_code ReadRequest(ondemand::value& value, size_t index, Request* request);
  bool ReadMetricNames();
  bool DecideType();
  bool DecideFilter();

  // Each checks the row and fills the members below; the batch is not touched.
  bool ExtractMultipleChoice();
  bool ExtractGeneration();
  bool ExtractLikelihood();
  // Filtered responses that fit `n` requests (0: any number), else the raw ones.
  bool ChooseResponses(size_t n);
  bool ReadLogLikelihood(size_t index, double* value, int* greedy);

  bool DecideGold();
  bool GoldFromPair();
  bool GoldFromTarget();
  bool AddGold(int64_t index);
  int FindChoice(std::string_view text) const;
  Raw DocField(const std::string& field);
  Raw NestedDocField(std::string_view path);
  bool DocListItem(const std::string& field, int64_t index, std::string* text);
  int FindInDoc(std::string_view text);
  void DecideTargets();
  bool IsListInDoc(const std::vector<std::string>& items);
  std::optional<double> ReadTemperature(Raw arguments);
  // The metric's value in this row; empty when it has none.
  Raw FindField(std::string_view name) const;

  void Commit(v1::SampleBatch* batch);
  void CommitScores(v1::SampleBatch* batch);

  const TaskConfig config_;
  const ReadOptions options_;
  OutputType type_;
  // What the file's first row tells of all others: their type, and whether their filter is
  // told by how often their document occurred.
  bool type_is_settled_ = false;
  bool filters_are_settled_ = false;
  bool by_occurrence_ = false;

  ondemand::parser parser_;
  ondemand::parser inner_parser_;
  // Of the row that is being read.
  const char* end_ = nullptr;

  // The row's own fields, as they stand.
  Raw doc_id_, doc_, target_, raw_responses_, filter_raw_, metrics_raw_;
  Raw doc_hash_, prompt_hash_, target_hash_;
  bool has_filtered_ = false;
  std::vector<Request> requests_;
  // What stands in place of `arguments`, or of the request `wrong_request_`, and is of
  // another type; empty when nothing is. kMaxRequests stands for `arguments` itself.
  Raw wrong_arguments_;
  size_t wrong_request_ = 0;
  Responses responses_;
  std::vector<Field> fields_;
  // Keys of `fields_` that were escaped.
  std::deque<std::string> field_keys_;

  // What was made of them.
  Shape shape_;
  std::string filter_;
  // What `filter_` was read from.
  std::string filter_source_;
  std::string filter_scratch_;
  MetricSet* metrics_ = nullptr;
  size_t n_choices_ = 0;
  std::vector<double> log_likelihoods_;
  std::vector<double> baselines_;
  std::vector<uint8_t> greedy_;
  std::vector<std::string_view> choices_;
  std::vector<std::string> choice_scratch_;
  std::vector<uint32_t> golds_;
  int alternative_gold_ = -1;
  std::vector<Raw> targets_;
  std::vector<std::string> target_list_;
  bool targets_are_list_ = false;
  uint64_t text_bytes_ = 0;
  uint64_t text_chars_ = 0;
  uint64_t text_words_ = 0;
  std::string scratch_;
  std::vector<int64_t> integers_;

  // Kept between rows.
  std::vector<std::unique_ptr<MetricSet>> metric_sets_;
  std::string temperature_source_;
  std::optional<double> temperature_;
  std::unordered_map<std::string, uint32_t> occurrences_;
  // Rows of which not even the document is known.
  uint64_t n_unplaced_ = 0;

  // The batch.
  uint64_t batch_number_ = 0;
  int n_ = 0;
  uint64_t bytes_ = 0;
  Shape batch_shape_;

  std::string message_;
  std::string refused_filter_;
};

error_code RowParser::Impl::ReadRequest(ondemand::value& value, size_t index, Request* request) {
  const Raw token = Token(value, end_);
  if (!token.empty() && token.front() == '{') {
    ondemand::object object;
    if (const auto error = value.get_object().get(object)) return error;
    for (auto member : object) {
      if (const auto error = member.error()) return error;
      ondemand::field& field = ValueOf(member);
      const char* const key = field.key().raw();
      if (KeyIs(key, "arg_0")) {
        if (const auto error = Capture(field.value(), end_, &request->context)) return error;
      } else if (KeyIs(key, "arg_1")) {
        if (const auto error = Capture(field.value(), end_, &request->continuation)) return error;
      }
    }
    return simdjson::SUCCESS;
  }
  if (!token.empty() && token.front() != '[') {
    wrong_arguments_ = token;
    wrong_request_ = index;
    return simdjson::SUCCESS;
  }
  // 0.4.0 to 0.4.2: [context, continuation].
  ondemand::array array;
  if (const auto error = value.get_array().get(array)) return error;
  int i = 0;
  for (auto element : array) {
    if (const auto error = element.error()) return error;
    ondemand::value& argument = ValueOf(element);
    if (i == 0) {
      if (const auto error = Capture(argument, end_, &request->context)) return error;
    } else if (i == 1) {
      if (const auto error = Capture(argument, end_, &request->continuation)) return error;
    }
    ++i;
  }
  return simdjson::SUCCESS;
}

error_code RowParser::Impl::ReadArguments(ondemand::value& value) {
  requests_.clear();
  const Raw token = Token(value, end_);
  if (!token.empty() && token.front() == '{') {
    ondemand::object object;
    if (const auto error = value.get_object().get(object)) return error;
    for (auto member : object) {
      if (const auto error = member.error()) return error;
      ondemand::field& field = ValueOf(member);
      // Placed by number: a tool that sorts keys puts gen_args_10 before _2.
      const char* const key = field.key().raw();
      size_t index = requests_.size();
      constexpr std::string_view kPrefix = "gen_args_";
      if (std::memcmp(key, kPrefix.data(), kPrefix.size()) == 0) {
        const char* const digits = key + kPrefix.size();
        int64_t number = 0;
        if (digits[0] >= '0' && digits[0] <= '9' && digits[1] == '"') {
          index = static_cast<size_t>(digits[0] - '0');
        } else if (ParseInteger(KeyText(digits), &number) && number >= 0 &&
                   number < static_cast<int64_t>(kMaxRequests)) {
          index = static_cast<size_t>(number);
        }
      }
      if (index >= requests_.size()) requests_.resize(index + 1);
      if (const auto error = ReadRequest(field.value(), index, &requests_[index])) {
        return error;
      }
    }
    return simdjson::SUCCESS;
  }
  if (!token.empty() && token.front() != '[') {
    wrong_arguments_ = token;
    wrong_request_ = kMaxRequests;
    return simdjson::SUCCESS;
  }
  ondemand::array array;
  if (const auto error = value.get_array().get(array)) return error;
  for (auto element : array) {
    if (const auto error = element.error()) return error;
    ondemand::value& request = ValueOf(element);
    const size_t index = requests_.size();
    if (const auto error = ReadRequest(request, index, &requests_.emplace_back())) return error;
  }
  return simdjson::SUCCESS;
}

error_code RowParser::Impl::ReadFields(std::string_view row) {
  // One by one: a chain of assignments reads back what it has just written.
  for (Raw* const field : {&doc_id_, &doc_, &target_, &raw_responses_, &filter_raw_, &metrics_raw_,
                           &doc_hash_, &prompt_hash_, &target_hash_, &wrong_arguments_}) {
    *field = Raw();
  }
  has_filtered_ = false;
  requests_.clear();
  responses_.Clear();
  fields_.clear();
  if (!field_keys_.empty()) field_keys_.clear();

  end_ = row.data() + row.size();
  ondemand::document document;
  if (const auto error =
          parser_.iterate(row.data(), row.size(), row.size() + kRowPadding).get(document)) {
    return error;
  }
  ondemand::object object;
  if (const auto error = document.get_object().get(object)) return error;
  for (auto member : object) {
    if (const auto error = member.error()) return error;
    ondemand::field& field = ValueOf(member);
    const char* const key = field.key().raw();
    Raw* target = nullptr;
    switch (key[0]) {
      case 'a':
        if (KeyIs(key, "arguments")) {
          if (const auto error = ReadArguments(field.value())) return error;
          continue;
        }
        break;
      case 'd':
        if (KeyIs(key, "doc_id")) target = &doc_id_;
        if (KeyIs(key, "doc")) target = &doc_;
        if (KeyIs(key, "doc_hash")) target = &doc_hash_;
        break;
      case 'f':
        if (KeyIs(key, "filtered_resps")) {
          const Raw token = Token(field.value(), end_);
          if (token.empty() || token.front() != '[') continue;
          ondemand::array array;
          if (const auto error = field.value().get_array().get(array)) return error;
          if (const auto error = ReadResponses(array, end_, &responses_)) return error;
          has_filtered_ = true;
          continue;
        }
        if (KeyIs(key, "filter")) target = &filter_raw_;
        break;
      case 'm':
        if (KeyIs(key, "metrics")) target = &metrics_raw_;
        break;
      case 'p':
        if (KeyIs(key, "prompt_hash")) target = &prompt_hash_;
        break;
      case 'r':
        if (KeyIs(key, "resps")) target = &raw_responses_;
        break;
      case 't':
        if (KeyIs(key, "target")) target = &target_;
        if (KeyIs(key, "target_hash")) target = &target_hash_;
        break;
      default:
        break;
    }
    if (target == nullptr) {
      target = &fields_.emplace_back().value;
      fields_.back().key = PlainKey(key, &field_keys_);
    }
    if (const auto error = Capture(field.value(), end_, target)) return error;
  }
  // Nothing may follow the object.
  const char* rest = nullptr;
  return document.current_location().get(rest) ? simdjson::SUCCESS : kTrailing;
}

bool RowParser::Impl::ReadMetricNames() {
  // The usual row lists the same metrics as the one before.
  std::string_view source = metrics_raw_;
  if (source.empty() && config_.metrics.empty()) {
    scratch_.clear();
    for (const Field& field : fields_) {
      scratch_ += field.key;
      scratch_ += '\xFF';  // in no key: they are UTF-8
    }
    source = scratch_;
  }
  if (metrics_ != nullptr && metrics_->source == source) return true;
  for (const auto& set : metric_sets_) {
    if (set->source == source) {
      metrics_ = set.get();
      return true;
    }
  }
  auto set = std::make_unique<MetricSet>();
  set->source = source;
  std::vector<std::string> names;
  if (!metrics_raw_.empty()) {
    if (metrics_raw_.front() != '[' ||
        (metrics_raw_ != "[]" && !ParseStringList(metrics_raw_, &names))) {
      return Refuse(
          fmt::format("metrics is {}: expected a list of metric names; skipped: evaluate "
                      "again, or delete the line",
                      Excerpt(metrics_raw_)));
    }
  } else if (!config_.metrics.empty()) {
    names = config_.metrics;
  } else {
    for (const Field& field : fields_) names.emplace_back(field.key);
  }
  for (std::string& name : names) {
    if (name == "acc_mutual_info") set->mutual_information = true;
    // A printed array and a placeholder.
    if (name == "brier_score" || name == "bypass") continue;
    const auto configured = config_.aggregations.find(name);
    const auto aggregation =
        AggregationOf(name, configured == config_.aggregations.end() ? "" : configured->second);
    set->metrics.push_back({std::move(name), aggregation, 0, -1});
  }
  // Rows that differ in their metrics all the time are not worth remembering.
  if (metric_sets_.size() >= 64) metric_sets_.clear();
  metrics_ = set.get();
  metric_sets_.push_back(std::move(set));
  return true;
}

bool RowParser::Impl::DecideType() {
  if (!wrong_arguments_.empty()) {
    const bool is_all = wrong_request_ == kMaxRequests;
    return Refuse(fmt::format(
        "{} is {}: expected an object or a list{}; skipped: evaluate again, or delete the line",
        is_all ? "arguments" : fmt::format("arguments.gen_args_{}", wrong_request_),
        Excerpt(wrong_arguments_), is_all ? " of requests" : ""));
  }
  if (requests_.empty()) {
    return Refuse(
        "arguments is missing or empty: the row does not say what the model was asked; skipped: "
        "evaluate again with --log_samples");
  }
  OutputType type = OutputType::kUnknown;
  const Raw continuation = requests_.front().continuation;
  if (continuation.empty()) {
    type = OutputType::kRolling;
  } else if (!IsString(continuation)) {
    type = OutputType::kGeneration;
  } else {
    type = requests_.size() > 1 ? OutputType::kMultipleChoice : OutputType::kLoglikelihood;
  }
  if (!type_is_settled_) {
    type_is_settled_ = true;
    if (type_ == OutputType::kUnknown ||
        (type_ == OutputType::kLoglikelihood && type == OutputType::kMultipleChoice)) {
      type_ = type;
    }
  }
  const bool single_choice =
      type_ == OutputType::kMultipleChoice && type == OutputType::kLoglikelihood;
  if (type_ != type && !single_choice) {
    static constexpr const char* kNames[] = {"", "multiple_choice", "generate_until",
                                             "loglikelihood", "loglikelihood_rolling"};
    return Refuse(fmt::format(
        "arguments are those of {}, but the task is {}; skipped: is it a row of another task?",
        kNames[static_cast<int>(type)], kNames[static_cast<int>(type_)]));
  }
  return true;
}

bool RowParser::Impl::DecideFilter() {
  const bool names_filter = !filter_raw_.empty() && filter_raw_ != "null";
  if (!filters_are_settled_) {
    filters_are_settled_ = true;
    by_occurrence_ = !names_filter && config_.filters.size() > 1;
  }
  if (names_filter) {
    if (filter_raw_ != filter_source_) {
      filter_source_ = filter_raw_;
      filter_ = Decode(filter_raw_, &filter_scratch_);
    }
    return true;
  }
  filter_source_.clear();
  if (config_.filters.size() <= 1) {
    filter_ = config_.filters.empty() ? "none" : config_.filters.front();
    return true;
  }
  if (!by_occurrence_) {
    return Refuse(
        "filter is missing, and the file's other rows name theirs; skipped: evaluate again, or "
        "delete the line");
  }
  // Rows without a filter stand in the order of the task's filters, each with all
  // documents (of a rank).
  const auto found = occurrences_.find(std::string(doc_id_));
  const uint32_t n = found == occurrences_.end() ? 0 : found->second;
  if (n >= config_.filters.size()) {
    return Refuse(fmt::format(
        "doc_id {} occurs more often than the task has filters ({}); skipped: were two runs "
        "written to one file?",
        Excerpt(doc_id_), config_.filters.size()));
  }
  filter_ = config_.filters[n];
  return true;
}

std::string RowParser::Impl::FilterDoubt() const {
  if (!by_occurrence_) return "";
  size_t n_fewer = 0;
  size_t n_more = 0;
  for (const auto& [doc_id, n] : occurrences_) {
    if (n < config_.filters.size()) ++n_fewer;
    if (n > config_.filters.size()) ++n_more;
  }
  std::string why;
  const auto add = [&](size_t n, const char* what) {
    if (n > 0) why += fmt::format("{}{}: {}", why.empty() ? "" : ", ", what, n);
  };
  add(n_unplaced_, "rows that cannot be read");
  add(n_fewer, "documents that occur less often");
  add(n_more, "documents that occur more often");
  if (why.empty()) return "";
  return fmt::format(
      "the split among filters cannot be trusted: rows name none, so each document's rows were "
      "given the task's {} filters in turn, but that does not come out even ({}), and scores may "
      "stand under another filter than theirs; evaluate again with lm-eval 0.4.7 or later, whose "
      "rows name their filter",
      config_.filters.size(), why);
}

bool RowParser::Impl::ChooseResponses(size_t n) {
  const auto fits = [&] {
    if (responses_.entries.empty() || (n > 0 && responses_.entries.size() != n)) return false;
    for (const Response& entry : responses_.entries) {
      if (entry.begin == entry.end) return false;
    }
    return true;
  };
  if (has_filtered_ && fits()) return true;
  if (has_filtered_ && n == 0) {
    // What the model wrote is not what the filter left of it.
    return Refuse(
        "filtered_resps is empty or holds no texts; skipped: what the filter left is what was "
        "scored, and resps is not that");
  }
  const size_t n_filtered = responses_.entries.size();
  if (!raw_responses_.empty() && raw_responses_.front() == '[') {
    ondemand::document document;
    ondemand::array array;
    if (inner_parser_
                .iterate(raw_responses_.data(), raw_responses_.size(),
                         raw_responses_.size() + kRowPadding)
                .get(document) == simdjson::SUCCESS &&
        document.get_array().get(array) == simdjson::SUCCESS &&
        ReadResponses(array, end_, &responses_) == simdjson::SUCCESS && fits()) {
      return true;
    }
  }
  if (n == 0) {
    return Refuse(
        "filtered_resps is missing or empty, and so is resps; skipped: evaluate again "
        "with --log_samples");
  }
  return Refuse(fmt::format(
      "filtered_resps has {} usable entries for {} requests, and resps does not fit either; "
      "skipped: evaluate again with --log_samples",
      n_filtered, n));
}

bool RowParser::Impl::ReadLogLikelihood(size_t index, double* value, int* greedy) {
  const Response& entry = responses_.entries[index];
  const Raw raw = responses_.scalars[entry.begin];
  *greedy = entry.end - entry.begin > 1 ? ToGreedy(responses_.scalars[entry.begin + 1]) : -1;
  if (ParseScalar(raw, value)) return true;
  return Refuse(fmt::format(
      "filtered_resps[{}] is {}: expected a log-likelihood; skipped: evaluate again, or delete the "
      "line",
      index, Excerpt(raw)));
}

Raw RowParser::Impl::FindField(std::string_view name) const {
  for (const Field& field : fields_) {
    if (field.key == name) return field.value;
  }
  return Raw();
}

bool RowParser::Impl::ExtractMultipleChoice() {
  const size_t n = requests_.size();
  for (size_t i = 0; i < n; ++i) {
    if (!IsString(requests_[i].continuation)) {
      return Refuse(fmt::format(
          "arguments.gen_args_{}.arg_1 is {}: expected a choice's text; skipped: evaluate again, "
          "or delete the line",
          i, requests_[i].continuation.empty() ? "missing" : Excerpt(requests_[i].continuation)));
    }
  }
  if (!ChooseResponses(n)) return false;

  // Mutual information asks for every choice again, without a context.
  n_choices_ = n;
  if (n % 2 == 0) {
    bool second_empty = true;
    for (size_t i = n / 2; i < n && second_empty; ++i) {
      second_empty = requests_[i].context == "\"\"";
    }
    if (second_empty) {
      bool first_empty = true;
      for (size_t i = 0; i < n / 2; ++i) {
        first_empty = first_empty && requests_[i].context == "\"\"";
      }
      if (metrics_->mutual_information || !first_empty) n_choices_ = n / 2;
    }
  }
  shape_.baseline = n_choices_ < n;

  log_likelihoods_.resize(n_choices_);
  baselines_.resize(n - n_choices_);
  greedy_.resize(n_choices_);
  shape_.is_greedy = true;
  for (size_t i = 0; i < n; ++i) {
    int greedy = -1;
    if (i < n_choices_) {
      if (!ReadLogLikelihood(i, &log_likelihoods_[i], &greedy)) return false;
      shape_.is_greedy = shape_.is_greedy && greedy >= 0;
      greedy_[i] = greedy == 1;
    } else if (!ReadLogLikelihood(i, &baselines_[i - n_choices_], &greedy)) {
      return false;
    }
  }

  choices_.resize(n_choices_);
  if (choice_scratch_.size() < n_choices_) choice_scratch_.resize(n_choices_);
  const std::string_view delimiter = config_.choice_delimiter;
  for (size_t i = 0; i < n_choices_; ++i) {
    choices_[i] = Decode(requests_[i].continuation, &choice_scratch_[i]);
    if (choices_[i].substr(0, delimiter.size()) == delimiter) {
      choices_[i].remove_prefix(delimiter.size());
    }
  }
  return DecideGold();
}

bool RowParser::Impl::AddGold(int64_t index) {
  if (index < 0 || index >= static_cast<int64_t>(n_choices_)) {
    return Refuse(fmt::format(
        "target {} is out of range for {} choices: lm-eval scored the row as wrong whatever the "
        "model chose; skipped: check the task's doc_to_target",
        index, n_choices_));
  }
  const auto gold = static_cast<uint32_t>(index);
  for (const uint32_t other : golds_) {
    if (other == gold) return true;
  }
  golds_.push_back(gold);
  return true;
}

int RowParser::Impl::FindChoice(std::string_view text) const {
  for (size_t i = 0; i < n_choices_; ++i) {
    if (choices_[i] == text) return static_cast<int>(i);
  }
  return -1;
}

bool RowParser::Impl::GoldFromPair() {
  if (config_.custom_scores) return false;
  for (const std::string_view metric : {"brier_score", "f1", "mcc"}) {
    const Raw value = FindField(metric);
    Raw gold;
    Raw other;
    if (value.empty() || value.front() != '[' || !SplitPair(value, &gold, &other)) continue;
    int64_t index = 0;
    integers_.clear();
    if (ParseInteger(gold, &index)) {
      integers_.push_back(index);
    } else if (!ParseIntegerList(gold, &integers_)) {
      continue;
    }
    // lm-eval's -100 is a label that it could not place: the target tells more.
    bool in_range = !integers_.empty();
    for (const int64_t i : integers_) {
      in_range = in_range && i >= 0 && i < static_cast<int64_t>(n_choices_);
    }
    if (!in_range) continue;
    for (const int64_t i : integers_) AddGold(i);
    return true;
  }
  return false;
}

bool RowParser::Impl::DecideGold() {
  golds_.clear();
  alternative_gold_ = -1;
  if (GoldFromPair()) return true;

  // Winogrande: the choices are in the contexts, and `target` is what follows.
  if (n_choices_ > 1) {
    bool same_continuation = true;
    bool same_context = true;
    for (size_t i = 1; i < n_choices_ && same_continuation; ++i) {
      same_continuation = requests_[i].continuation == requests_[0].continuation;
      same_context = same_context && requests_[i].context == requests_[0].context;
    }
    if (same_continuation && !same_context) return true;
  }
  return GoldFromTarget();
}

bool RowParser::Impl::GoldFromTarget() {
  if (target_.empty() || target_ == "null") return true;
  int64_t index = 0;
  if (!IsString(target_)) {
    // 0.4.0 to 0.4.3 write the target as it is.
    if (target_ == "true" || target_ == "false") return AddGold(target_ == "true");
    if (ParseInteger(target_, &index)) return AddGold(index);
  }
  const std::string_view text = Decode(target_, &scratch_);

  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == text.npos &&
                      (text.size() == 1 || text.front() != '0');
  const int by_text = FindChoice(text);
  if (digits && IsString(target_)) {
    const bool in_range = ParseInteger(text, &index) && index < static_cast<int64_t>(n_choices_);
    if (!in_range && by_text >= 0) return AddGold(by_text);
    if (!in_range) {
      return Refuse(fmt::format(
          "target {} is out of range for {} choices: lm-eval scored the row as wrong whatever the "
          "model chose; skipped: check the task's doc_to_target",
          Excerpt(text), n_choices_));
    }
    if (by_text >= 0 && by_text != index) {
      // The harness looks a text up and takes a number as an index; the row shows
      // both as text, the document does not.
      const Raw field = DocField(config_.target_field);
      if (IsString(field)) return AddGold(by_text);
      if (field.empty()) alternative_gold_ = by_text;
    }
    return AddGold(index);
  }
  if (by_text >= 0) return AddGold(by_text);
  if (ParseInteger(text, &index) && text.front() == '-') return AddGold(index);

  if (!text.empty() && text.front() == '[') {
    if (ParseIntegerList(text, &integers_)) {
      for (const int64_t i : integers_) {
        if (!AddGold(i)) return false;
      }
      return true;
    }
    if (ParseStringList(text, &target_list_)) {
      for (const std::string& item : target_list_) {
        const int found = FindChoice(item);
        if (found >= 0) AddGold(found);
      }
      return true;
    }
  }
  const std::string_view stripped = Strip(text);
  for (size_t i = 0; i < n_choices_; ++i) {
    if (Strip(choices_[i]) == stripped) return AddGold(static_cast<int64_t>(i));
  }
  if ((text == "True" || text == "False") && n_choices_ == 2) return AddGold(text == "True");
  const int in_doc = FindInDoc(text);
  if (in_doc >= 0) return AddGold(in_doc);
  return true;
}

// The raw value of a field of the document; empty when there is none.
Raw RowParser::Impl::DocField(const std::string& field) {
  if (field.empty() || doc_.empty() || doc_.front() != '{') return {};
  ondemand::document document;
  ondemand::value value;
  if (inner_parser_.iterate(doc_.data(), doc_.size(), doc_.size() + kRowPadding).get(document) ||
      document.find_field_unordered(field).get(value)) {
    return {};
  }
  return Token(value, end_);
}

// The scalar at `path`, a key of the document or keys with dots between them; empty when there is
// none.
Raw RowParser::Impl::NestedDocField(std::string_view path) {
  if (doc_.empty() || doc_.front() != '{') return {};
  ondemand::document document;
  ondemand::value value;
  const auto find = [&](std::string_view first) {
    return !inner_parser_.iterate(doc_.data(), doc_.size(), doc_.size() + kRowPadding)
                .get(document) &&
           !document.find_field_unordered(first).get(value);
  };
  if (!find(path)) {
    size_t dot = path.find('.');
    if (dot == std::string_view::npos || !find(path.substr(0, dot))) return {};
    while (dot != std::string_view::npos) {
      path.remove_prefix(dot + 1);
      dot = path.find('.');
      ondemand::object object;
      ondemand::value inner;
      if (value.get_object().get(object) ||
          object.find_field_unordered(path.substr(0, dot)).get(inner)) {
        return {};
      }
      value = inner;
    }
  }
  const Raw token = Token(value, end_);
  if (token.empty() || token.front() == '{' || token.front() == '[' || token == "null") return {};
  return token;
}

// The text at `index` in a list of the document; false when there is none.
bool RowParser::Impl::DocListItem(const std::string& field, int64_t index, std::string* text) {
  if (doc_.empty() || doc_.front() != '{' || index < 0) return false;
  ondemand::document document;
  ondemand::array array;
  if (inner_parser_.iterate(doc_.data(), doc_.size(), doc_.size() + kRowPadding).get(document) ||
      document.find_field_unordered(field).get_array().get(array)) {
    return false;
  }
  std::string scratch;
  for (auto element : array) {
    ondemand::value value;
    if (element.get(value)) return false;
    if (index-- > 0) continue;
    const Raw token = Token(value, end_);
    if (!IsString(token)) return false;
    *text = std::string(Decode(token, &scratch));
    return true;
  }
  return false;
}

// The place of `text` in doc.choices, a list of texts or {"text": […], "label":
// […]}, when it has as many entries as the row has choices.
int RowParser::Impl::FindInDoc(std::string_view text) {
  if (doc_.empty() || doc_.front() != '{') return -1;
  ondemand::document document;
  ondemand::value choices;
  if (inner_parser_.iterate(doc_.data(), doc_.size(), doc_.size() + kRowPadding).get(document) ||
      document.find_field_unordered("choices").get(choices)) {
    return -1;
  }
  std::string scratch;
  const auto search = [&](ondemand::array array) {
    int found = -1;
    size_t n = 0;
    for (auto element : array) {
      ondemand::value value;
      if (element.get(value)) return -1;
      const Raw token = Token(value, end_);
      if (IsString(token) && found < 0 && Decode(token, &scratch) == text) {
        found = static_cast<int>(n);
      }
      ++n;
    }
    return n == n_choices_ ? found : -1;
  };
  const Raw token = Token(choices, end_);
  if (!token.empty() && token.front() == '[') {
    ondemand::array array;
    return choices.get_array().get(array) ? -1 : search(array);
  }
  if (token.empty() || token.front() != '{') return -1;
  ondemand::object object;
  if (choices.get_object().get(object)) return -1;
  for (auto member : object) {
    ondemand::field field;
    if (std::move(member).get(field)) return -1;
    const char* const key = field.key().raw();
    if (!KeyIs(key, "text") && !KeyIs(key, "label")) continue;
    ondemand::array array;
    if (field.value().get_array().get(array)) return -1;
    const int found = search(array);
    if (found >= 0) return found;
  }
  return -1;
}

namespace {

// Whether `value`, or anything in it, is the list `items`. False on damage, which
// ends the search.
bool HoldsList(ondemand::value value, const char* end, const std::vector<std::string>& items,
               int depth, std::string* scratch) {
  if (depth > kMaxDocDepth) return false;
  const Raw token = Token(value, end);
  if (token.empty()) return false;
  if (token.front() == '{') {
    ondemand::object object;
    if (value.get_object().get(object)) return false;
    for (auto member : object) {
      ondemand::field field;
      if (std::move(member).get(field)) return false;
      if (HoldsList(field.value(), end, items, depth + 1, scratch)) return true;
    }
    return false;
  }
  if (token.front() != '[') return false;
  ondemand::array array;
  if (value.get_array().get(array)) return false;
  size_t n = 0;
  bool equal = true;
  for (auto element : array) {
    ondemand::value item;
    if (element.get(item)) return false;
    const Raw text = Token(item, end);
    if (IsString(text)) {
      equal = equal && n < items.size() && Decode(text, scratch) == items[n];
    } else {
      equal = false;
      if (HoldsList(item, end, items, depth + 1, scratch)) return true;
    }
    ++n;
  }
  return equal && n == items.size();
}

}  // namespace

bool RowParser::Impl::IsListInDoc(const std::vector<std::string>& items) {
  if (doc_.empty() || doc_.front() != '{') return false;
  ondemand::document document;
  ondemand::value root;
  std::string scratch;
  if (inner_parser_.iterate(doc_.data(), doc_.size(), doc_.size() + kRowPadding).get(document) ||
      document.get_value().get(root)) {
    return false;
  }
  return HoldsList(root, end_, items, 0, &scratch);
}

void RowParser::Impl::DecideTargets() {
  targets_.clear();
  target_list_.clear();
  targets_are_list_ = false;
  if (target_.empty() || target_ == "null") return;
  if (target_.front() == '[') {
    // 0.4.0 to 0.4.3: a JSON list.
    targets_are_list_ = ParseStringList(target_, &target_list_);
    if (!targets_are_list_) targets_.push_back(target_);
    return;
  }
  if (IsString(target_) && target_.size() > 4 && target_[1] == '[') {
    const std::string_view text = Decode(target_, &scratch_);
    targets_are_list_ = ParseStringList(text, &target_list_) &&
                        (config_.target_is_template || IsListInDoc(target_list_));
    if (targets_are_list_) return;
  }
  if (!config_.choices.empty()) {
    int64_t index = 0;
    const std::string_view text = Decode(target_, &scratch_);
    if (ParseInteger(text, &index) && index >= 0 &&
        index < static_cast<int64_t>(config_.choices.size())) {
      target_list_.push_back(config_.choices[static_cast<size_t>(index)]);
      targets_are_list_ = true;
      return;
    }
  }
  if (!config_.choices_field.empty()) {
    int64_t index = 0;
    std::string choice;
    if (ParseInteger(Decode(target_, &scratch_), &index) &&
        DocListItem(config_.choices_field, index, &choice)) {
      target_list_.push_back(std::move(choice));
      targets_are_list_ = true;
      return;
    }
  }
  targets_.push_back(target_);
}

std::optional<double> RowParser::Impl::ReadTemperature(Raw arguments) {
  if (arguments == temperature_source_) return temperature_;
  temperature_source_ = arguments;
  temperature_.reset();
  ondemand::document document;
  ondemand::object object;
  if (inner_parser_.iterate(arguments.data(), arguments.size(), arguments.size() + kRowPadding)
          .get(document) ||
      document.get_object().get(object)) {
    return temperature_;
  }
  std::optional<double> temperature;
  bool greedy = false;
  for (auto member : object) {
    ondemand::field field;
    if (std::move(member).get(field)) return temperature_;
    const char* const key = field.key().raw();
    if (KeyIs(key, "temperature")) {
      double value = 0;
      if (ParseScalar(Token(field.value(), end_), &value) && value >= 0 && std::isfinite(value)) {
        temperature = value;
      }
    } else if (KeyIs(key, "do_sample")) {
      greedy = ToGreedy(Token(field.value(), end_)) == 0;
    }
  }
  // Some backends follow do_sample, some the temperature.
  if (greedy && temperature.value_or(0) == 0) {
    temperature_ = 0;
  } else if (!greedy) {
    temperature_ = temperature;
  }
  return temperature_;
}

bool RowParser::Impl::ExtractGeneration() {
  if (!ChooseResponses(0)) return false;
  DecideTargets();
  shape_.temperature = ReadTemperature(requests_.front().continuation);
  return true;
}

bool RowParser::Impl::ExtractLikelihood() {
  if (!ChooseResponses(1)) return false;
  log_likelihoods_.resize(1);
  greedy_.resize(1);
  int greedy = -1;
  if (!ReadLogLikelihood(0, &log_likelihoods_[0], &greedy)) return false;
  const bool rolling = type_ == OutputType::kRolling;
  shape_.is_greedy = !rolling && greedy >= 0;
  greedy_[0] = greedy == 1;
  const Raw raw = rolling ? requests_[0].context : requests_[0].continuation;
  if (!IsString(raw)) {
    return Refuse(fmt::format(
        "arguments.gen_args_0.arg_{} is {}: expected the scored text; skipped: evaluate again, or "
        "delete the line",
        rolling ? 0 : 1, raw.empty() ? "missing" : Excerpt(raw)));
  }
  const std::string_view text = Decode(raw, &scratch_);
  text_bytes_ = text.size();
  text_chars_ = CountCodePoints(text);
  shape_.n_words = rolling;
  if (!rolling) return true;

  // The task may count words and bytes of another text than the one it scores
  // (wikitext): its own numbers go first.
  const auto from_row = [&](std::string_view metric, uint64_t* count) {
    Raw first;
    Raw second;
    double value = 0;
    if (!SplitPair(FindField(metric), &first, &second) || !ParseScalar(second, &value) ||
        !(value >= 0) || value > std::numeric_limits<uint32_t>::max()) {
      return false;
    }
    *count = static_cast<uint64_t>(value);
    return true;
  };
  if (!from_row("word_perplexity", &text_words_)) text_words_ = CountWords(text);
  if (!from_row("byte_perplexity", &text_bytes_)) from_row("bits_per_byte", &text_bytes_);
  return true;
}

RowParser::Outcome RowParser::Impl::Append(std::string_view row, v1::SampleBatch* batch) {
  message_.clear();
  refused_filter_.clear();
  if (const auto error = ReadFields(row)) {
    message_ = Malformed(error, row);
    ++n_unplaced_;
    return Outcome::kRefused;
  }
  const auto count_occurrence = [&] {
    if (by_occurrence_ && (filter_raw_.empty() || filter_raw_ == "null"))
      ++occurrences_[std::string(doc_id_)];
  };
  if (doc_id_.empty() || doc_id_ == "null" || doc_id_.front() == '{' || doc_id_.front() == '[') {
    message_ = fmt::format(
        "doc_id is {}: the row cannot be told from others; skipped: is this a samples file of "
        "lm-eval?",
        doc_id_.empty() ? "missing" : Excerpt(doc_id_, 24));
    ++n_unplaced_;
    return Outcome::kRefused;
  }
  if (!DecideFilter()) {
    count_occurrence();
    return Outcome::kRefused;
  }
  shape_ = Shape();
  bool good = ReadMetricNames() && DecideType();
  if (good) {
    switch (type_) {
      case OutputType::kMultipleChoice:
        good = ExtractMultipleChoice();
        break;
      case OutputType::kGeneration:
        good = ExtractGeneration();
        break;
      default:
        good = ExtractLikelihood();
    }
  }
  if (!good) {
    refused_filter_ = filter_;
    count_occurrence();
    return Outcome::kRefused;
  }
  shape_.type = type_;
  shape_.doc_hash = IsString(doc_hash_);
  shape_.prompt_hash = options_.join_hashes && IsString(prompt_hash_);
  shape_.target_hash = options_.join_hashes && IsString(target_hash_);
  if (n_ > 0 && (shape_ != batch_shape_ || filter_ != batch->filter())) return Outcome::kBatchFull;
  Commit(batch);
  count_occurrence();
  return Outcome::kAppended;
}

void RowParser::Impl::Commit(v1::SampleBatch* batch) {
  if (n_ == 0) {
    batch_shape_ = shape_;
    batch->set_task(config_.task);
    batch->set_filter(filter_);
  }
  v1::SampleKeyColumns* const keys = batch->mutable_keys();
  AppendRaw(doc_id_, keys->mutable_doc_id());
  if (shape_.doc_hash) AppendRaw(doc_hash_, keys->mutable_doc_hash());
  if (shape_.prompt_hash) AppendRaw(prompt_hash_, keys->mutable_prompt_hash());
  if (shape_.target_hash) AppendRaw(target_hash_, keys->mutable_target_hash());
  bytes_ += doc_id_.size() + doc_hash_.size() + prompt_hash_.size() + target_hash_.size() + 16;
  for (size_t f = 0; f < options_.fields.size(); ++f) {
    if (n_ == 0) batch->add_fields()->set_field(options_.fields[f]);
    v1::TextColumn* const values = batch->mutable_fields(static_cast<int>(f))->mutable_values();
    const Raw value = NestedDocField(options_.fields[f]);
    AppendRaw(value, values);
    bytes_ += value.size() + 4;
  }

  switch (type_) {
    case OutputType::kMultipleChoice: {
      v1::MultipleChoiceColumns* const columns = batch->mutable_multiple_choice();
      columns->add_n_choices(static_cast<uint32_t>(n_choices_));
      for (size_t i = 0; i < n_choices_; ++i) {
        columns->add_log_likelihoods(log_likelihoods_[i]);
        columns->add_n_bytes(static_cast<uint32_t>(choices_[i].size()));
        columns->add_n_chars(static_cast<uint32_t>(CountCodePoints(choices_[i])));
        if (shape_.is_greedy) columns->add_is_greedy(greedy_[i] != 0);
      }
      for (const double baseline : baselines_) columns->add_baseline_log_likelihoods(baseline);
      AppendUnusual(n_, 1u, static_cast<uint32_t>(golds_.size()), columns->mutable_n_golds());
      for (const uint32_t gold : golds_) columns->add_golds(gold);
      AppendUnusual(n_, -1, alternative_gold_, columns->mutable_alternative_gold());
      bytes_ += n_choices_ * 25 + 16;
      break;
    }
    case OutputType::kGeneration: {
      v1::GenerationColumns* const columns = batch->mutable_generation();
      v1::TextColumn* const outputs = columns->mutable_outputs();
      v1::TextColumn* const targets = columns->mutable_targets();
      const size_t before = outputs->data().size() + targets->data().size();
      for (const Raw output : responses_.scalars) AppendRaw(output, outputs);
      for (const Raw target : targets_) AppendRaw(target, targets);
      size_t n_targets = targets_.size();
      if (targets_are_list_) {
        for (const std::string& target : target_list_) AppendCell(target, targets);
        n_targets = target_list_.size();
      }
      AppendUnusual(n_, 1u, static_cast<uint32_t>(responses_.scalars.size()),
                    columns->mutable_n_outputs());
      AppendUnusual(n_, 1u, static_cast<uint32_t>(n_targets), columns->mutable_n_targets());
      if (shape_.temperature.has_value()) columns->set_temperature(*shape_.temperature);
      bytes_ += outputs->data().size() + targets->data().size() - before + 16;
      break;
    }
    default: {
      v1::LikelihoodColumns* const columns = batch->mutable_likelihood();
      columns->set_scope(type_ == OutputType::kRolling ? v1::LikelihoodColumns::Scope::DOCUMENT
                                                       : v1::LikelihoodColumns::Scope::TARGET);
      columns->add_log_likelihoods(log_likelihoods_[0]);
      columns->add_n_bytes(static_cast<uint32_t>(text_bytes_));
      columns->add_n_chars(static_cast<uint32_t>(text_chars_));
      if (shape_.n_words) columns->add_n_words(static_cast<uint32_t>(text_words_));
      if (shape_.is_greedy) columns->add_is_greedy(greedy_[0] != 0);
      bytes_ += 24;
      if (options_.join_hashes && type_ == OutputType::kLoglikelihood) {
        AppendRaw(requests_[0].continuation, columns->mutable_targets());
        bytes_ += text_bytes_ + 4;
      }
    }
  }
  CommitScores(batch);
  ++n_;
  batch->set_n_samples(static_cast<uint32_t>(n_));
}

void RowParser::Impl::CommitScores(v1::SampleBatch* batch) {
  using Aggregation = v1::ScoreColumn::Aggregation;
  size_t next = 0;
  for (MetricSet::Metric& metric : metrics_->metrics) {
    // Fields mostly stand in the order of the list.
    Raw value;
    if (next < fields_.size() && fields_[next].key == metric.name) {
      value = fields_[next].value;
      ++next;
    } else {
      for (size_t i = 0; i < fields_.size(); ++i) {
        if (fields_[i].key != metric.name) continue;
        value = fields_[i].value;
        next = i + 1;
      }
    }
    if (metric.batch != batch_number_) {
      metric.batch = batch_number_;
      metric.column = -1;
      for (int i = 0; i < batch->scores_size(); ++i) {
        if (batch->scores(i).metric() == metric.name) metric.column = i;
      }
      if (metric.column < 0) {
        metric.column = batch->scores_size();
        v1::ScoreColumn* const column = batch->add_scores();
        column->set_metric(metric.name);
        column->set_aggregation(metric.aggregation);
      }
    }
    v1::ScoreColumn* const column = batch->mutable_scores(metric.column);
    const bool ratio = metric.aggregation == Aggregation::EXP_NEG_RATIO ||
                       metric.aggregation == Aggregation::BITS_RATIO;
    while (column->values_size() < n_) column->add_values(kNaN);
    if (column->values_size() > n_) continue;  // a name twice in the list
    if (!ratio) {
      column->add_values(value.empty() ? kNaN : ToScore(value));
      bytes_ += 8;
      continue;
    }
    while (column->weights_size() < n_) column->add_weights(kNaN);
    Raw numerator;
    Raw denominator;
    double weight = kNaN;
    if (SplitPair(value, &numerator, &denominator)) {
      if (!ParseScalar(denominator, &weight)) weight = kNaN;
      value = numerator;
    }
    column->add_values(value.empty() ? kNaN : ToScore(value));
    column->add_weights(weight);
    bytes_ += 16;
  }
  // Columns of rows before this one, which this one does not have.
  for (v1::ScoreColumn& column : *batch->mutable_scores()) {
    while (column.values_size() <= n_) column.add_values(kNaN);
    while (column.weights_size() > 0 && column.weights_size() <= n_) column.add_weights(kNaN);
  }
}

RowParser::RowParser(TaskConfig config, const ReadOptions& options)
    : impl_(std::make_unique<Impl>(std::move(config), options)) {}

RowParser::RowParser(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

RowParser::~RowParser() = default;

bool RowParser::IsOrderFree() const { return impl_->IsOrderFree(); }

std::unique_ptr<RowParser> RowParser::Fork() const {
  return std::unique_ptr<RowParser>(new RowParser(impl_->Fork()));
}

bool RowParser::AppendHashes(std::string* hashes) const { return impl_->AppendHashes(hashes); }

void RowParser::StartBatch(v1::SampleBatch* batch) { impl_->StartBatch(batch); }

RowParser::Outcome RowParser::Append(std::string_view row, v1::SampleBatch* batch) {
  return impl_->Append(row, batch);
}

void RowParser::Skip() { impl_->Skip(); }

std::string RowParser::FilterDoubt() const { return impl_->FilterDoubt(); }

bool RowParser::IsFull() const { return impl_->IsFull(); }

const std::string& RowParser::message() const { return impl_->message(); }

const std::string& RowParser::filter() const { return impl_->filter(); }

}  // namespace mirage::integrations::lm_eval
