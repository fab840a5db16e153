// Which row of the tables of scales a run belongs to.
#ifndef MIRAGE_CLIENT_TABLES_MODEL_MATCH_H_
#define MIRAGE_CLIENT_TABLES_MODEL_MATCH_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "client/tables/scales_table.h"

namespace mirage::client {

// A model's name as lm-eval writes it into file names: each run of the characters " < > : / | \ ?
// * [ ] becomes two underscores.
std::string SanitizedModelName(std::string_view name);

// What is known of a run's model.
struct RunModel {
  // As the harness writes it.
  std::string_view model;
  // The model's arguments, "key=value,key=value"; may be empty.
  std::string_view model_args;
  // Name of the folder that the run lies in, without its parents; may be empty.
  std::string_view folder;
};

// Matches runs with rows. A row's `model` matches, in this order of precedence:
//   1. the run's model name, its sanitised form, or the value of `pretrained=` in its arguments:
//      these name the model in full;
//   2. the last segment of the `pretrained=` value, or of the model's name: "pythia-70m" of
//      "EleutherAI/pythia-70m";
//   3. the name of the run's folder; this one also in the sanitised form of the row's name.
// Capitals count. An earlier rule that matches hides the later ones.
class ModelMatcher {
 public:
  // `table` must outlive the matcher. O(rows).
  explicit ModelMatcher(const ScalesTable& table);

  // The index of the row, absent where none matches. INVALID_ARGUMENT where one rule matches
  // several rows, naming the first two with their lines and the remedy. O(1).
  absl::StatusOr<std::optional<size_t>> Match(const RunModel& run) const;

 private:
  const ScalesTable& table_;
  absl::flat_hash_map<std::string, std::vector<size_t>> by_name_;
  absl::flat_hash_map<std::string, std::vector<size_t>> by_sanitized_;
};

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_TABLES_MODEL_MATCH_H_
