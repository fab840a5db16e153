#include "client/tables/table_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/near_names.h"
#include "client/tables/csv_reader.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace mirage::client {
namespace {

// Bytes of a cell that a message repeats.
constexpr size_t kMaxQuoted = 40;

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t";
  const size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

std::string Lowered(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
}

// A cell for a message: cut, without breaking a character, and on one line.
std::string Quoted(std::string_view cell) {
  size_t size = std::min(cell.size(), kMaxQuoted);
  while (size > 0 && size < cell.size() &&
         (static_cast<unsigned char>(cell[size]) & 0xC0) == 0x80) {
    --size;
  }
  std::string text(cell.substr(0, size));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return fmt::format("\"{}{}\"", text, size < cell.size() ? "…" : "");
}

absl::Status WithName(const std::string& name, const absl::Status& status) {
  const std::string_view message(status.message().data(), status.message().size());
  // Errors of OpenFile begin with the path already.
  if (message.substr(0, name.size()) == name) return status;
  return {status.code(), fmt::format("{}: {}", name, message)};
}

std::optional<double> ParseNumber(std::string_view text) {
  if (!text.empty() && text.front() == '+') {
    text.remove_prefix(1);
    if (!text.empty() && text.front() == '-') return std::nullopt;
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Why `text` is no number, and what to write.
std::string_view NumberRemedy(std::string_view text) {
  double value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error == std::errc::result_out_of_range && end == last) {
    return "which is out of the range of a double";
  }
  if (text.find(',') != std::string_view::npos) {
    return "which is no number: write it with a point and without separators of thousands";
  }
  if (end == last - 1 && text.size() > 1 &&
      std::string_view("KkMGBTbt%").find(text.back()) != std::string_view::npos) {
    return "which is no number: write it out (7e9, 0.25)";
  }
  return "which is no number: write one like 0.25 or 7e9, or leave the cell empty";
}

}  // namespace

absl::StatusOr<TableReader> TableReader::Open(std::string name, ByteSource source,
                                              std::span<const Column> columns) {
  TableReader table(std::move(name), std::move(source), columns);
  if (absl::Status status = table.ReadHeader(); !status.ok()) return WithName(table.name_, status);
  return table;
}

absl::Status TableReader::ReadHeader() {
  const absl::StatusOr<CsvReader::Kind> kind = reader_.Next();
  if (!kind.ok()) return kind.status();
  std::vector<std::string_view> known;
  std::vector<std::string_view> required;
  for (const Column& column : columns_) {
    known.push_back(column.name);
    if (column.is_required) required.push_back(column.name);
  }
  if (*kind == CsvReader::Kind::kEnd) {
    return absl::InvalidArgumentError(fmt::format(
        "is empty: the first line must name the columns, at least {}", fmt::join(required, ", ")));
  }
  if (*kind == CsvReader::Kind::kMalformed) {
    return absl::InvalidArgumentError(
        fmt::format("line {}: the header is malformed: {}", reader_.line(), reader_.message()));
  }

  places_.resize(columns_.size());
  n_cells_ = reader_.fields().size();
  std::vector<std::string> headings;
  std::vector<std::string> unknown;
  for (size_t place = 0; place < n_cells_; ++place) {
    const std::string_view heading = Trimmed(reader_.fields()[place]);
    const std::string lowered = Lowered(heading);
    headings.push_back(Quoted(heading));
    const auto column =
        std::find_if(columns_.begin(), columns_.end(), [&lowered](const Column& candidate) {
          return candidate.name == lowered ||
                 std::find(candidate.aliases.begin(), candidate.aliases.end(), lowered) !=
                     candidate.aliases.end();
        });
    if (column == columns_.end()) {
      if (heading.empty()) {
        unknown.emplace_back(fmt::format("column {} (without a name)", place + 1));
        continue;
      }
      const std::vector<std::string_view> near = NearNames(lowered, known, 1);
      unknown.push_back(near.empty() ? std::string(Quoted(heading))
                                     : fmt::format("{} (is it {}?)", Quoted(heading), near[0]));
      continue;
    }
    std::optional<size_t>& known_place = places_[static_cast<size_t>(column - columns_.begin())];
    if (known_place.has_value()) {
      return absl::InvalidArgumentError(
          fmt::format("line {}: columns {} and {} are both {}: keep one of them", reader_.line(),
                      headings[*known_place], headings[place], column->name));
    }
    known_place = place;
  }
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (!columns_[i].is_required || places_[i].has_value()) continue;
    std::string remedy =
        fmt::format("add it; the table's columns are {}", fmt::join(headings, ", "));
    if (n_cells_ == 1 && headings[0].find_first_of(";\t ") != std::string::npos) {
      remedy = "separate the columns with commas";
    }
    return absl::InvalidArgumentError(
        fmt::format("line {}: no column \"{}\": {}", reader_.line(), columns_[i].name, remedy));
  }
  if (!unknown.empty()) {
    unknown_ = fmt::format("{}: columns that are not known are ignored: {}", name_,
                           fmt::join(unknown, ", "));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> TableReader::Next() {
  while (true) {
    const absl::StatusOr<CsvReader::Kind> kind = reader_.Next();
    if (!kind.ok()) return WithName(name_, kind.status());
    if (*kind == CsvReader::Kind::kEnd) return false;
    ++n_rows_;
    reason_.clear();
    if (*kind == CsvReader::Kind::kMalformed) {
      AddBadRow(reader_.line(), reader_.message());
      continue;
    }
    if (reader_.fields().size() == n_cells_) return true;
    AddBadRow(
        reader_.line(),
        fmt::format("{} cells where the header has {}: put cells with commas in quotes, and keep "
                    "the commas of empty cells",
                    reader_.fields().size(), n_cells_));
  }
}

std::string_view TableReader::Text(size_t column) const {
  const std::optional<size_t> place = places_[column];
  return place.has_value() ? Trimmed(reader_.fields()[*place]) : std::string_view();
}

std::string_view TableReader::RequiredText(size_t column) {
  const std::string_view text = Text(column);
  if (text.empty())
    Refuse(fmt::format("column \"{}\" is empty: it is required", columns_[column].name));
  return text;
}

std::optional<double> TableReader::Number(size_t column, NumberRange range) {
  const std::string_view text = Text(column);
  if (text.empty()) return std::nullopt;
  const std::optional<double> value = ParseNumber(text);
  if (!value.has_value()) {
    RefuseCell(column, NumberRemedy(text));
    return std::nullopt;
  }
  if (!std::isfinite(*value)) {
    RefuseCell(column, "and must be finite: leave the cell empty where there is no number");
    return std::nullopt;
  }
  if (range == NumberRange::kPositive && !(*value > 0)) {
    RefuseCell(column, "and must be > 0");
    return std::nullopt;
  }
  if (range == NumberRange::kNotNegative && !(*value >= 0)) {
    RefuseCell(column, "and must be >= 0");
    return std::nullopt;
  }
  return value;
}

double TableReader::RequiredNumber(size_t column, NumberRange range) {
  if (RequiredText(column).empty()) return 0;
  return Number(column, range).value_or(0);
}

std::optional<uint32_t> TableReader::Count(size_t column, uint32_t least) {
  const std::optional<double> value = Number(column, NumberRange::kAny);
  if (!value.has_value()) return std::nullopt;
  constexpr double kMost = std::numeric_limits<uint32_t>::max();
  if (*value < least || *value > kMost || *value != std::floor(*value)) {
    RefuseCell(column,
               fmt::format("and must be a whole number, at least {} and below 2^32", least));
    return std::nullopt;
  }
  return static_cast<uint32_t>(*value);
}

void TableReader::Refuse(std::string_view reason) {
  if (reason_.empty()) reason_ = std::string(reason);
}

void TableReader::RefuseCell(size_t column, std::string_view reason) {
  if (!reason_.empty()) return;
  // As the table calls it.
  reason_ =
      fmt::format("column \"{}\" is {}, {}", columns_[column].name, Quoted(Text(column)), reason);
}

bool TableReader::FinishRow() {
  if (reason_.empty()) return true;
  AddBadRow(reader_.line(), reason_);
  return false;
}

void TableReader::AddBadRow(uint64_t line, std::string_view reason) {
  ++n_refused_;
  if (n_refused_ <= kMaxNamedRows) named_.push_back(fmt::format("{}:{}: {}", name_, line, reason));
}

absl::Status TableReader::CheckAny() const {
  if (n_refused_ < n_rows_) return absl::OkStatus();
  if (n_rows_ == 0) {
    return absl::InvalidArgumentError(fmt::format("{}: has a header and no rows", name_));
  }
  return absl::InvalidArgumentError(
      fmt::format("{}: none of {} rows can be used; the first: {}", name_, n_rows_, named_[0]));
}

std::vector<std::string> TableReader::Warnings() const {
  std::vector<std::string> warnings;
  if (!unknown_.empty()) warnings.push_back(unknown_);
  warnings.insert(warnings.end(), named_.begin(), named_.end());
  if (n_refused_ > 0) {
    warnings.push_back(fmt::format(
        "{}: {} of {} rows {} left out{}", name_, n_refused_, n_rows_,
        n_refused_ == 1 ? "was" : "were",
        n_refused_ > kMaxNamedRows ? fmt::format("; the first {} are named", kMaxNamedRows) : ""));
  }
  return warnings;
}

}  // namespace mirage::client
