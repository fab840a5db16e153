// Any bytes, as a table of each kind and as metric properties, must leave the readers standing; cut
// into blocks of any size they must give the same records.
//
//   bazel build --config=fuzz //client/tables:tables_fuzz
//   .out/bin/client/tables/tables_fuzz CORPUS client/tables/tables_fuzz_corpus
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "client/tables/csv_reader.h"
#include "client/tables/metric_properties.h"
#include "client/tables/scales_table.h"
#include "client/tables/series_table.h"
#include "client/tables/text_source.h"

namespace mirage::client {
namespace {

void Check(bool holds) {
  if (!holds) std::abort();
}

// Every record as one text.
std::vector<std::string> Records(const std::string& text, size_t block) {
  CsvReader reader(TextSource(text, block), 256);
  std::vector<std::string> records;
  uint64_t last_line = 0;
  while (true) {
    const auto kind = reader.Next();
    if (!kind.ok()) {
      records.emplace_back(kind.status().message());
      return records;
    }
    if (*kind == CsvReader::Kind::kEnd) return records;
    Check(reader.line() > last_line);
    last_line = reader.line();
    std::string record = std::to_string(reader.line());
    Check((*kind == CsvReader::Kind::kMalformed) == !reader.message().empty());
    Check((*kind == CsvReader::Kind::kRecord) == !reader.fields().empty());
    for (const std::string_view field : reader.fields()) {
      record += '\0';
      record += field;
    }
    if (*kind == CsvReader::Kind::kMalformed) record += " malformed";
    records.push_back(std::move(record));
  }
}

}  // namespace
}  // namespace mirage::client

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mirage::client;  // NOLINT
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::vector<std::string> whole = Records(text, size + 1);
  Check(Records(text, 1) == whole);
  Check(Records(text, 7) == whole);
  if (const auto scales = ReadScales("f.csv", TextSource(text)); scales.ok()) {
    Check(!scales->rows.empty());
    for (const ScaleRow& row : scales->rows) {
      Check(!row.scale.model().empty() && row.scale.parameters() > 0 && !row.origin.empty());
    }
  }
  if (const auto table = ReadSeries("f.csv", TextSource(text)); table.ok()) {
    Check(!table->series.empty());
    for (const auto& series : table->series) {
      Check(!series.points().empty() && !series.task().empty());
      for (const auto& point : series.points()) Check(point.scale() > 0);
    }
  }
  if (const auto metrics = ParseMetricProperties(text, "f.yaml"); metrics.ok()) {
    Check(!metrics->empty());
  }
  return 0;
}
