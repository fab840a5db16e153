// The table of scales: how large each model is.
//
//   model,parameters[,tokens][,flops][,loss][,family][,seed][,step]
//
// `train_tokens` is an alias of tokens, `final_train_loss` of loss. model and parameters are
// required in each row; parameters, tokens, flops and loss are > 0; step is a whole number; family
// defaults to "default". What all tables share is in table_reader.h.
//
// A row is known by its model, seed and step. One that repeats another word for word is left out
// with a warning; of two that contradict each other both are, since nobody knows which is right.
#ifndef MIRAGE_CLIENT_TABLES_SCALES_TABLE_H_
#define MIRAGE_CLIENT_TABLES_SCALES_TABLE_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/tables/csv_reader.h"
#include "mirage/v1/emergence.pb.h"

namespace mirage::client {

inline constexpr char kDefaultFamily[] = "default";

// One row and where it stands.
struct ScaleRow {
  v1::Scale scale;
  // "FILE:LINE".
  std::string origin;
};

// What the tables hold.
struct ScalesTable {
  // In the order of the files and their lines.
  std::vector<ScaleRow> rows;
  // For people: unknown columns, rows that were left out.
  std::vector<std::string> warnings;
};

// Reads several tables as one. Errors: those of OpenFile; INVALID_ARGUMENT with the file's name for
// a table that cannot be used at all (table_reader.h), or where contradictions leave no row. O(n).
absl::StatusOr<ScalesTable> ReadScales(std::span<const std::string> paths);

// One table that is no file; `name` stands in messages.
absl::StatusOr<ScalesTable> ReadScales(std::string name, ByteSource source);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_TABLES_SCALES_TABLE_H_
