#include "client/tables/series_table.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/tables/csv_reader.h"
#include "client/tables/scales_table.h"
#include "client/tables/table_reader.h"
#include "fmt/format.h"

namespace mirage::client {
namespace {

enum ColumnIndex : size_t {
  kFamily,
  kTask,
  kModel,
  kScale,
  kMetric,
  kValue,
  kStderr,
  kN,
  kTargetLength,
  kShots,
  kTemperature,
  kChance,
  kFilter,
  kSeed,
  kTokens,
  kFlops,
  kLoss,
};

const std::vector<Column>& Columns() {
  static const auto* const columns = new std::vector<Column>{
      {"family"},
      {"task", true},
      {"model", true},
      {"scale", true},
      {"metric", true},
      {"value", true},
      {"stderr"},
      {"n"},
      {"target_length"},
      {"shots"},
      {"temperature"},
      {"chance"},
      {"filter"},
      {"seed"},
      {"tokens", false, {"train_tokens"}},
      {"flops"},
      {"loss", false, {"final_train_loss"}},
  };
  return *columns;
}

struct Row {
  std::string_view family;
  std::string_view task;
  std::string_view filter;
  std::string_view metric;
  std::optional<uint32_t> target_length;
  std::optional<uint32_t> shots;
  std::optional<double> temperature;
  std::optional<double> chance;
};

std::string_view OrElse(std::string_view text, std::string_view otherwise) {
  return text.empty() ? otherwise : text;
}

Row ReadKey(TableReader& table) {
  Row row;
  row.family = OrElse(table.Text(kFamily), kDefaultFamily);
  row.task = table.RequiredText(kTask);
  row.filter = OrElse(table.Text(kFilter), kNoFilter);
  row.metric = table.RequiredText(kMetric);
  row.target_length = table.Count(kTargetLength, 1);
  row.shots = table.Count(kShots, 0);
  row.temperature = table.Number(kTemperature, NumberRange::kNotNegative);
  row.chance = table.Number(kChance, NumberRange::kAny);
  // -0 is 0.
  if (row.temperature == 0) row.temperature = 0;
  return row;
}

void ReadPoint(TableReader& table, v1::SeriesPoint& point) {
  point.set_model(std::string(table.RequiredText(kModel)));
  point.set_scale(table.RequiredNumber(kScale, NumberRange::kPositive));
  point.set_value(table.RequiredNumber(kValue, NumberRange::kAny));
  if (const auto error = table.Number(kStderr, NumberRange::kNotNegative)) {
    point.set_stderr(*error);
  }
  if (const auto n = table.Count(kN, 1)) point.set_n(*n);
  point.set_seed(std::string(table.Text(kSeed)));
  if (const auto tokens = table.Number(kTokens, NumberRange::kPositive)) point.set_tokens(*tokens);
  if (const auto flops = table.Number(kFlops, NumberRange::kPositive)) point.set_flops(*flops);
  if (const auto loss = table.Number(kLoss, NumberRange::kPositive)) point.set_loss(*loss);
}

template <typename Number>
void AppendNumber(const std::optional<Number>& number, std::string& key) {
  key += number.has_value() ? '1' : '0';
  std::array<char, sizeof(Number)> bytes{};
  if (number.has_value()) bytes = std::bit_cast<std::array<char, sizeof(Number)>>(*number);
  key.append(bytes.data(), bytes.size());
}

// Texts hold no NUL.
void MakeKey(const Row& row, std::string& key) {
  key.clear();
  for (const std::string_view text : {row.family, row.task, row.filter, row.metric}) {
    key += text;
    key += '\0';
  }
  AppendNumber(row.target_length, key);
  AppendNumber(row.shots, key);
  AppendNumber(row.temperature, key);
}

bool IsSamePoint(const v1::SeriesPoint& a, const v1::SeriesPoint& b) {
  return a.model() == b.model() && a.scale() == b.scale() && a.seed() == b.seed() &&
         a.has_tokens() == b.has_tokens() && a.tokens() == b.tokens();
}

// Several tables under way.
class Builder {
 public:
  absl::Status Add(std::string name, ByteSource source) {
    absl::StatusOr<TableReader> table =
        TableReader::Open(std::move(name), std::move(source), Columns());
    if (!table.ok()) return table.status();
    names_.push_back(table->name());
    while (true) {
      const absl::StatusOr<bool> more = table->Next();
      if (!more.ok()) return more.status();
      if (!*more) break;
      const Row row = ReadKey(*table);
      point_.Clear();
      ReadPoint(*table, point_);
      if (table->FinishRow()) Take(*table, row);
    }
    if (absl::Status status = table->CheckAny(); !status.ok()) return status;
    for (std::string& warning : table->Warnings()) result_.warnings.push_back(std::move(warning));
    return absl::OkStatus();
  }

  absl::StatusOr<SeriesTable> Finish() {
    for (size_t i = 0; i < result_.series.size(); ++i) {
      auto* const points = result_.series[i].mutable_points();
      const std::vector<Origin>& origins = origins_[i];
      int kept = 0;
      for (int j = 0; j < points->size(); ++j) {
        if (origins[static_cast<size_t>(j)].is_contradicted) continue;
        if (kept != j) points->SwapElements(kept, j);
        ++kept;
      }
      points->DeleteSubrange(kept, points->size() - kept);
    }
    std::erase_if(result_.series, [](const v1::Series& series) { return series.points().empty(); });
    if (result_.series.empty()) {
      return absl::InvalidArgumentError(result_.warnings.empty() ? "no table of series is named"
                                                                 : result_.warnings.back());
    }
    return std::move(result_);
  }

 private:
  // Where a point comes from.
  struct Origin {
    uint32_t file;
    bool is_contradicted;
    uint64_t line;
  };
  struct Place {
    uint32_t series;
    uint32_t point;
  };

  // The series of the row, a new one where it is the first.
  size_t FindSeries(const Row& row) {
    MakeKey(row, key_);
    // Tables are mostly sorted.
    if (key_ == last_key_) return last_series_;
    const auto [found, is_new] = by_key_.try_emplace(key_, result_.series.size());
    if (is_new) {
      v1::Series& series = result_.series.emplace_back();
      origins_.emplace_back();
      series.set_family(std::string(row.family));
      series.set_task(std::string(row.task));
      series.set_filter(std::string(row.filter));
      series.set_metric(std::string(row.metric));
      if (row.target_length.has_value()) series.set_target_length(*row.target_length);
      if (row.shots.has_value()) series.set_shots(*row.shots);
      if (row.temperature.has_value()) series.set_temperature(*row.temperature);
    }
    last_key_ = key_;
    last_series_ = found->second;
    return last_series_;
  }

  // Takes over `point_`, if nothing speaks against it.
  void Take(TableReader& table, const Row& row) {
    const size_t index = FindSeries(row);
    v1::Series& series = result_.series[index];
    if (row.chance.has_value()) {
      if (!series.has_chance()) {
        series.set_chance(*row.chance);
      } else if (series.chance() != *row.chance) {
        table.Refuse(
            fmt::format("column \"chance\" is {} where an earlier row of the series has {}: "
                        "chance belongs to the series",
                        *row.chance, series.chance()));
        table.FinishRow();
        return;
      }
    }
    const uint64_t hash =
        absl::HashOf(index, point_.model(), point_.scale(), point_.seed(), point_.tokens());
    const Place place = {static_cast<uint32_t>(index), static_cast<uint32_t>(series.points_size())};
    const auto [found, is_new] = by_point_.try_emplace(hash, place);
    // Of two points with one hash, which may happen once in 10^7 tables, the second is not looked
    // for again.
    if (!is_new) {
      const v1::SeriesPoint& earlier =
          result_.series[found->second.series].points(static_cast<int>(found->second.point));
      if (found->second.series == place.series && IsSamePoint(earlier, point_)) {
        RefuseRepeat(table, found->second, earlier);
        return;
      }
    }
    series.add_points()->Swap(&point_);
    origins_[index].push_back({static_cast<uint32_t>(names_.size() - 1), false, table.line()});
  }

  void RefuseRepeat(TableReader& table, const Place& place, const v1::SeriesPoint& earlier) {
    Origin& origin = origins_[place.series][place.point];
    const std::string where = fmt::format("{}:{}", names_[origin.file], origin.line);
    if (earlier.SerializeAsString() == point_.SerializeAsString()) {
      table.Refuse(fmt::format("repeats {}", where));
    } else {
      origin.is_contradicted = true;
      table.Refuse(
          fmt::format("model \"{}\" has another number in {}: both are left out; correct one of "
                      "them, or tell them apart by seed or tokens",
                      point_.model(), where));
    }
    table.FinishRow();
  }

  SeriesTable result_;
  std::vector<std::string> names_;
  absl::flat_hash_map<std::string, size_t> by_key_;
  absl::flat_hash_map<uint64_t, Place> by_point_;
  // By series and point.
  std::vector<std::vector<Origin>> origins_;
  std::string key_;
  std::string last_key_;
  size_t last_series_ = 0;
  v1::SeriesPoint point_;
};

}  // namespace

absl::StatusOr<SeriesTable> ReadSeries(std::span<const std::string> paths) {
  Builder builder;
  for (const std::string& path : paths) {
    absl::StatusOr<ByteSource> source = OpenFile(path);
    if (!source.ok()) return source.status();
    if (absl::Status status = builder.Add(path, *std::move(source)); !status.ok()) return status;
  }
  return builder.Finish();
}

absl::StatusOr<SeriesTable> ReadSeries(std::string name, ByteSource source) {
  Builder builder;
  if (absl::Status status = builder.Add(std::move(name), std::move(source)); !status.ok()) {
    return status;
  }
  return builder.Finish();
}

}  // namespace mirage::client
