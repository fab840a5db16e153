// A table with a header: cells by the names of their columns, and what is wrong with them.
//
// The rules that all of Mirage's tables share:
// - The first record names the columns, in any order; capitals and outer spaces do not count. A
//   column may have aliases. Columns that the table does not know are ignored and named in one
//   warning. A column that is there twice, or that is required and missing, fails the table.
// - Cells lose outer spaces. An empty cell is an absent value.
// - Numbers are written with a point: 0.25, 7e9, 100.0. Counts may be written as such numbers where
//   they are whole, since that is what pandas makes of a column with gaps.
// - A bad row costs only itself. All are counted, the first few are named with file, line, column
//   and the remedy: `s.csv:12: column "parameters" is "7B", which is no number: write it out
//   (7e9)`.
// - A table without a single good row fails: it would stand for "nothing there".
#ifndef MIRAGE_CLIENT_TABLES_TABLE_READER_H_
#define MIRAGE_CLIENT_TABLES_TABLE_READER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/tables/csv_reader.h"

namespace mirage::client {

// Bad rows that are named one by one.
inline constexpr uint64_t kMaxNamedRows = 5;

// A column that a table knows.
struct Column {
  std::string_view name;
  bool is_required = false;
  // Other names for it; a table may use one of them only.
  std::vector<std::string_view> aliases;
};

// Which numbers a cell may hold; all are finite.
enum class NumberRange {
  kAny,
  // > 0
  kPositive,
  // >= 0
  kNotNegative,
};

// Rows of one table, in order. Not thread-safe.
class TableReader {
 public:
  // Reads the header. `name` stands in messages, `columns` say what is known; cells are asked for
  // by their index there. Errors of the source with the name; INVALID_ARGUMENT: no header, a
  // required column that is missing, a column twice, a file of another kind.
  static absl::StatusOr<TableReader> Open(std::string name, ByteSource source,
                                          std::span<const Column> columns);

  // Goes to the next row of the right number of cells: false at the end. Rows that are malformed
  // are counted and passed over. Errors: those of the source, with the name.
  absl::StatusOr<bool> Next();

  // The cell, empty where it or its column is absent. Valid until Next().
  std::string_view Text(size_t column) const;

  // The same of a cell that must not be empty.
  std::string_view RequiredText(size_t column);

  // Absent where the cell is empty, and where it is bad: then the row is refused.
  std::optional<double> Number(size_t column, NumberRange range);

  // A count in [least, 2^32 - 1]; likewise.
  std::optional<uint32_t> Count(size_t column, uint32_t least);

  // A number that must be there; 0 where it is not: then the row is refused.
  double RequiredNumber(size_t column, NumberRange range);

  // Refuses the row; the first reason counts. A column's message follows on `column "x" is "y"`.
  void Refuse(std::string_view reason);
  void RefuseCell(size_t column, std::string_view reason);

  // Whether nothing is wrong with the row. To be called once it has been read: a bad one is counted
  // then. A good one may still be refused afterwards, and finished again.
  bool FinishRow();

  // The line of the row, from 1.
  uint64_t line() const { return reader_.line(); }
  const std::string& name() const { return name_; }
  // Rows but for blank lines, and how many of them were refused.
  uint64_t n_rows() const { return n_rows_; }
  uint64_t n_refused() const { return n_refused_; }

  // At the end: INVALID_ARGUMENT, with the first reason, where no row was good.
  absl::Status CheckAny() const;

  // Unknown columns, the first bad rows, and how many there were.
  std::vector<std::string> Warnings() const;

 private:
  TableReader(std::string name, ByteSource source, std::span<const Column> columns)
      : name_(std::move(name)),
        reader_(std::move(source)),
        columns_(columns.begin(), columns.end()) {}

  absl::Status ReadHeader();
  void AddBadRow(uint64_t line, std::string_view reason);

  std::string name_;
  CsvReader reader_;
  std::vector<Column> columns_;
  // For each known column, where it is.
  std::vector<std::optional<size_t>> places_;
  size_t n_cells_ = 0;
  std::string unknown_;
  uint64_t n_rows_ = 0;
  uint64_t n_refused_ = 0;
  std::string reason_;
  std::vector<std::string> named_;
};

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_TABLES_TABLE_READER_H_
