// The table of series: results whose samples are gone, one row a number.
//
//   family,task,model,scale,metric,value[,stderr][,n][,target_length][,shots][,temperature]
//     [,chance][,filter][,seed][,tokens][,flops][,loss]
//
// task, model, scale, metric and value are required in each row. family defaults to "default",
// filter to "none". value is finite, scale, tokens, flops and loss are > 0, stderr and temperature
// >= 0, n is at least 1, target_length and shots are whole numbers; target_length is at least 1.
// `train_tokens` is an alias of tokens, `final_train_loss` of loss. What all tables share is in
// table_reader.h.
//
// Rows that share family, task, filter, metric, target_length, shots and temperature are one
// series; an absent number is a value of its own there. chance belongs to the series: rows may
// leave it empty, and one that contradicts an earlier row is refused.
//
// A point is known by its model, scale, seed and tokens. A row that repeats another word for word
// is left out with a warning; of two that contradict each other both are.
//
// A missing n is not inferred here: whether a metric is a proportion is the registry's knowledge.
#ifndef MIRAGE_CLIENT_TABLES_SERIES_TABLE_H_
#define MIRAGE_CLIENT_TABLES_SERIES_TABLE_H_

#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/tables/csv_reader.h"
#include "mirage/v1/emergence.pb.h"

namespace mirage::client {

inline constexpr char kNoFilter[] = "none";

// What the tables hold.
struct SeriesTable {
  // In the order of their first rows; points in the order of theirs.
  std::vector<v1::Series> series;
  // For people: unknown columns, rows that were left out.
  std::vector<std::string> warnings;
};

// Reads several tables as one. Errors: those of OpenFile; INVALID_ARGUMENT with the file's name for
// a table that cannot be used at all (table_reader.h), or where contradictions leave no row. The
// memory used is that of the result and about 50 bytes a row; about 1 us a row.
absl::StatusOr<SeriesTable> ReadSeries(std::span<const std::string> paths);

// One table that is no file; `name` stands in messages.
absl::StatusOr<SeriesTable> ReadSeries(std::string name, ByteSource source);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_TABLES_SERIES_TABLE_H_
