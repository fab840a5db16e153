#include "integrations/evidence/evidence_table.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

#include "integrations/lm_eval/json_text.h"
#include "integrations/lm_eval/json_value.h"

namespace mirage::integrations::evidence {
namespace {

using lm_eval::JsonValue;
using lm_eval::RowSource;

absl::Status Invalid(std::string_view message) {
  return absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
}

std::string_view Text(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

// A file that is closed with the last reader of it.
absl::StatusOr<RowSource::ReadFn> Open(const std::string& path) {
  // Not blocking: a named pipe without a writer must not hang the reader.
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    const int error = errno;
    const std::string message = fmt::format("cannot open {}: {}", path, std::strerror(error));
    if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(message);
    if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(message);
    return absl::UnavailableError(message);
  }
  const std::shared_ptr<const int> owner(new int(file), [](const int* held) {
    close(*held);
    delete held;
  });
  struct stat about = {};
  if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode)) {
    return Invalid(fmt::format("cannot read {}: it is not a file", path));
  }
  return [owner, path](char* data, size_t size) -> absl::StatusOr<size_t> {
    while (true) {
      const ssize_t n = read(*owner, data, size);
      if (n >= 0) return static_cast<size_t>(n);
      if (errno != EINTR) {
        return absl::UnavailableError(
            fmt::format("cannot read {}: {}", path, std::strerror(errno)));
      }
    }
  };
}

// A text that has to be there.
absl::Status TakeText(const JsonValue& json, std::string_view field, std::string_view name,
                      std::string* out) {
  const JsonValue& value = json[field];
  if (!value.is_string() || value.text.empty()) {
    return Invalid(fmt::format(
        "{}: the header's {} is missing or no text: write it as the run has it", name, field));
  }
  *out = value.text;
  return absl::OkStatus();
}

absl::StatusOr<EvidenceHeader> ParseHeader(std::string_view line, std::string_view name) {
  const auto json = lm_eval::ParseJson(line, name);
  if (!json.ok()) return json.status();
  const JsonValue& kind = (*json)["kind"];
  if (!kind.is_string() || kind.text != "mirage_evidence") {
    return Invalid(fmt::format(
        "{}: its first line is not the header of evidence: \"kind\" has to be "
        "\"mirage_evidence\"{}",
        name, kind.is_string() ? fmt::format(", not \"{}\"", lm_eval::Excerpt(kind.text)) : ""));
  }
  const JsonValue& version = (*json)["version"];
  if (!version.is_number() || version.number != kEvidenceVersion) {
    return Invalid(fmt::format(
        "{}: its version is {}, this Mirage reads version {}: update Mirage, or record it again",
        name, version.is_number() ? lm_eval::Excerpt(version.text) : "missing or no number",
        kEvidenceVersion));
  }
  EvidenceHeader header;
  for (const auto& [field, to] :
       {std::pair{"generator", &header.generator}, std::pair{"task", &header.task},
        std::pair{"date", &header.date}, std::pair{"model", &header.model}}) {
    if (auto status = TakeText(*json, field, name, to); !status.ok()) return status;
  }
  const JsonValue& tokenizer = (*json)["tokenizer"];
  if (!tokenizer.is_string() && !tokenizer.is_null()) {
    return Invalid(fmt::format("{}: the header's tokenizer is no text", name));
  }
  header.tokenizer = tokenizer.text;
  return header;
}

// The first row of a file, as its header.
absl::StatusOr<EvidenceHeader> NextHeader(RowSource& source, std::string_view name) {
  const auto row = source.Next();
  if (!row.ok()) return row.status();
  switch (row->kind) {
    case RowSource::Row::Kind::kEnd:
      return Invalid(fmt::format("{} is empty: it has to begin with the header of evidence", name));
    case RowSource::Row::Kind::kRow:
      return ParseHeader(row->text, name);
    default:
      return Invalid(fmt::format("{}: its first line is not the header of evidence", name));
  }
}

absl::Status CheckLogProbability(const JsonValue& value, std::string_view field) {
  if (!value.is_number()) return Invalid(fmt::format("{} is no number", field));
  // False for a NaN, too.
  if (value.number <= 0) return absl::OkStatus();
  return Invalid(fmt::format("{} is {}: log-probabilities are <= 0 (natural logarithms)", field,
                             lm_eval::Excerpt(value.text, 24)));
}

// A list of one item a token; absent where it is not there.
absl::StatusOr<const JsonValue*> TakeList(const JsonValue& json, std::string_view field) {
  const JsonValue& value = json[field];
  if (value.is_null()) return nullptr;
  if (!value.is_array()) return Invalid(fmt::format("{} is no list", field));
  return &value;
}

bool IsWholeNumber(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

absl::Status EvidenceTable::AddRow(std::string_view text) {
  const auto parsed = lm_eval::ParseJson(text, "the row");
  if (!parsed.ok()) return parsed.status();
  const JsonValue& json = *parsed;
  if (!json.is_object()) return Invalid("the row is no object");
  const JsonValue& id = json["doc_id"];
  if (!id.is_string() && !(id.is_number() && IsWholeNumber(id.text))) {
    return Invalid("doc_id is missing, or neither a whole number nor a text");
  }
  if (places_.contains(id.text)) {
    return Invalid(
        fmt::format("doc_id {} was there before; the first one counts", lm_eval::Excerpt(id.text)));
  }
  Document document;
  if (const JsonValue& hash = json["doc_hash"]; hash.is_string()) {
    document.doc_hash = hash.text;
  } else if (!hash.is_null()) {
    return Invalid("doc_hash is no text");
  }
  if (const JsonValue& target = json["target"]; target.is_string()) {
    document.target = target.text;
  } else if (!target.is_null()) {
    return Invalid("target is no text");
  }
  const auto log_probs = TakeList(json, "log_probs");
  if (!log_probs.ok()) return log_probs.status();
  const size_t n = *log_probs == nullptr ? 0 : (*log_probs)->items.size();
  for (size_t i = 0; i < n; ++i) {
    const JsonValue& value = (*log_probs)->items[i];
    if (auto status = CheckLogProbability(value, fmt::format("log_probs[{}]", i)); !status.ok()) {
      return status;
    }
    document.log_probs.push_back(value.number);
  }
  for (const std::string_view field : {"tokens", "greedy"}) {
    const auto list = TakeList(json, field);
    if (!list.ok()) return list.status();
    if (*list == nullptr) continue;
    if ((*list)->items.size() != n) {
      return Invalid(fmt::format("{} has {} items, log_probs {}", field, (*list)->items.size(), n));
    }
    for (const JsonValue& item : (*list)->items) {
      if (field == "tokens" ? !item.is_string() : !item.is_bool()) {
        return Invalid(fmt::format("{} holds something else than {}", field,
                                   field == "tokens" ? "texts" : "true and false"));
      }
      if (field == "tokens") {
        document.tokens.push_back(item.text);
      } else {
        document.greedy.push_back(item.boolean ? 1 : 0);
      }
    }
  }
  if (const JsonValue& probe = json["log_likelihood"]; !probe.is_null()) {
    if (auto status = CheckLogProbability(probe, "log_likelihood"); !status.ok()) return status;
    document.log_likelihood = probe.number;
  }
  if (n == 0 && !document.log_likelihood.has_value()) {
    return Invalid("it has neither log_probs nor log_likelihood");
  }
  if (const JsonValue& count = json["n_tokens"]; !count.is_null()) {
    if (!count.is_number() || !IsWholeNumber(count.text) || !(count.number >= 0) ||
        count.number > std::numeric_limits<uint32_t>::max()) {
      return Invalid("n_tokens is no count");
    }
    document.n_tokens = static_cast<uint32_t>(count.number);
  }
  if (const JsonValue& greedy = json["is_greedy"]; greedy.is_bool()) {
    document.is_greedy = greedy.boolean;
  } else if (!greedy.is_null()) {
    return Invalid("is_greedy is neither true nor false");
  }
  n_without_tokens_ += n > 0 && document.tokens.empty() ? 1 : 0;
  n_without_greedy_ += n > 0 && document.greedy.empty() ? 1 : 0;
  places_.emplace(id.text, documents_.size());
  documents_.push_back(std::move(document));
  return absl::OkStatus();
}

absl::StatusOr<EvidenceTable> EvidenceTable::Read(RowSource::ReadFn read, std::string_view name,
                                                  uint64_t max_row_bytes) {
  RowSource source(std::move(read), max_row_bytes);
  auto header = NextHeader(source, name);
  if (!header.ok()) return header.status();
  EvidenceTable table;
  table.header_ = *std::move(header);
  while (true) {
    const auto row = source.Next();
    if (!row.ok()) return row.status();
    if (row->kind == RowSource::Row::Kind::kEnd) return table;
    absl::Status status;
    switch (row->kind) {
      case RowSource::Row::Kind::kRow:
        status = table.AddRow(row->text);
        break;
      case RowSource::Row::Kind::kTooLong:
        status = Invalid(fmt::format("the row is larger than {} bytes", max_row_bytes));
        break;
      case RowSource::Row::Kind::kTruncated:
        status = Invalid("the file ends inside the row");
        break;
      default:
        status = Invalid("the row is no object");
    }
    if (status.ok()) continue;
    ++table.n_damaged_;
    if (table.problems_.size() < kDescribedRows) {
      const std::string_view file = name.substr(name.rfind('/') + 1);
      table.problems_.push_back(fmt::format("{}:{}: {}", file, row->number, Text(status)));
    }
  }
}

absl::StatusOr<EvidenceTable> EvidenceTable::ReadFile(const std::string& path,
                                                      uint64_t max_row_bytes) {
  auto read = Open(path);
  if (!read.ok()) return read.status();
  return Read(*std::move(read), path, max_row_bytes);
}

std::optional<size_t> EvidenceTable::Find(std::string_view doc_id) const {
  const auto found = places_.find(absl::string_view(doc_id.data(), doc_id.size()));
  return found == places_.end() ? std::nullopt : std::optional<size_t>(found->second);
}

DocumentEvidence EvidenceTable::at(size_t place) const {
  const Document& document = documents_[place];
  return {.doc_hash = document.doc_hash,
          .target = document.target,
          .log_probs = document.log_probs,
          .tokens = document.tokens,
          .greedy = document.greedy,
          .log_likelihood = document.log_likelihood,
          .n_tokens = document.n_tokens,
          .is_greedy = document.is_greedy};
}

absl::StatusOr<EvidenceHeader> ReadEvidenceHeader(const std::string& path, uint64_t max_row_bytes) {
  auto read = Open(path);
  if (!read.ok()) return read.status();
  RowSource source(*std::move(read), max_row_bytes);
  return NextHeader(source, path);
}

}  // namespace mirage::integrations::evidence
