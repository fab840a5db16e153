#include "client/tables/scales_table.h"

#include <array>
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
#include "client/tables/table_reader.h"
#include "fmt/format.h"

namespace mirage::client {
namespace {

enum ColumnIndex : size_t { kModel, kParameters, kTokens, kFlops, kLoss, kFamily, kSeed, kStep };

const std::vector<Column>& Columns() {
  static const auto* const columns = new std::vector<Column>{
      {"model", true},
      {"parameters", true},
      {"tokens", false, {"train_tokens"}},
      {"flops"},
      {"loss", false, {"final_train_loss"}},
      {"family"},
      {"seed"},
      {"step"},
  };
  return *columns;
}

v1::Scale ReadRow(TableReader& table) {
  v1::Scale scale;
  scale.set_model(std::string(table.RequiredText(kModel)));
  scale.set_parameters(table.RequiredNumber(kParameters, NumberRange::kPositive));
  if (const auto tokens = table.Number(kTokens, NumberRange::kPositive)) scale.set_tokens(*tokens);
  if (const auto flops = table.Number(kFlops, NumberRange::kPositive)) scale.set_flops(*flops);
  if (const auto loss = table.Number(kLoss, NumberRange::kPositive)) scale.set_loss(*loss);
  const std::string_view family = table.Text(kFamily);
  scale.set_family(family.empty() ? kDefaultFamily : std::string(family));
  scale.set_seed(std::string(table.Text(kSeed)));
  if (const auto step = table.Count(kStep, 0)) scale.set_step(*step);
  return scale;
}

// Several tables under way.
class Scales {
 public:
  absl::Status Add(std::string name, ByteSource source) {
    absl::StatusOr<TableReader> table =
        TableReader::Open(std::move(name), std::move(source), Columns());
    if (!table.ok()) return table.status();
    while (true) {
      const absl::StatusOr<bool> more = table->Next();
      if (!more.ok()) return more.status();
      if (!*more) break;
      v1::Scale scale = ReadRow(*table);
      if (!table->FinishRow()) continue;
      Take(*table, std::move(scale));
    }
    if (absl::Status status = table->CheckAny(); !status.ok()) return status;
    for (std::string& warning : table->Warnings()) result_.warnings.push_back(std::move(warning));
    return absl::OkStatus();
  }

  absl::StatusOr<ScalesTable> Finish() {
    std::erase_if(result_.rows, [](const ScaleRow& row) { return row.origin.empty(); });
    if (result_.rows.empty()) {
      return absl::InvalidArgumentError(result_.warnings.empty() ? "no table of scales is named"
                                                                 : result_.warnings.back());
    }
    return std::move(result_);
  }

 private:
  void Take(TableReader& table, v1::Scale scale) {
    std::string key = scale.model();
    key += '\0';
    key += scale.seed();
    key += '\0';
    if (scale.has_step()) key += std::to_string(scale.step());
    const auto [found, is_new] = rows_.try_emplace(std::move(key), result_.rows.size());
    std::string origin = fmt::format("{}:{}", table.name(), table.line());
    if (is_new) {
      texts_.push_back(scale.SerializeAsString());
      origins_.push_back(origin);
      result_.rows.push_back({std::move(scale), std::move(origin)});
      return;
    }
    const std::string& earlier = origins_[found->second];
    if (texts_[found->second] == scale.SerializeAsString()) {
      table.Refuse(fmt::format("repeats {}", earlier));
    } else {
      // A row without an origin is one that was taken back.
      result_.rows[found->second].origin.clear();
      table.Refuse(
          fmt::format("model \"{}\" has another scale in {}: both are left out; correct one of "
                      "them, or tell them apart by seed or step",
                      scale.model(), earlier));
    }
    table.FinishRow();
  }

  ScalesTable result_;
  // By key, the place in `rows`; `texts_` and `origins_` are kept of rows taken back too.
  absl::flat_hash_map<std::string, size_t> rows_;
  std::vector<std::string> texts_;
  std::vector<std::string> origins_;
};

}  // namespace

absl::StatusOr<ScalesTable> ReadScales(std::span<const std::string> paths) {
  Scales scales;
  for (const std::string& path : paths) {
    absl::StatusOr<ByteSource> source = OpenFile(path);
    if (!source.ok()) return source.status();
    if (absl::Status status = scales.Add(path, *std::move(source)); !status.ok()) return status;
  }
  return scales.Finish();
}

absl::StatusOr<ScalesTable> ReadScales(std::string name, ByteSource source) {
  Scales scales;
  if (absl::Status status = scales.Add(std::move(name), std::move(source)); !status.ok()) {
    return status;
  }
  return scales.Finish();
}

}  // namespace mirage::client
