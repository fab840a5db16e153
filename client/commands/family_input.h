// What the commands that are about families read: runs with their scales, tables of series, and
// properties of metrics; and what they tell people of it.
#ifndef MIRAGE_CLIENT_COMMANDS_FAMILY_INPUT_H_
#define MIRAGE_CLIENT_COMMANDS_FAMILY_INPUT_H_

#include <google/protobuf/repeated_ptr_field.h>
#include <grpcpp/channel.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/commands/series_messages.h"
#include "mirage/v1/emergence.pb.h"

namespace mirage::client {

// Series are cut into messages of at most this, unless the columns that a series shares are
// longer.
inline constexpr size_t kMaxSeriesMessage = 1'000'000;

// The flags that these commands share.
struct FamilyInputOptions {
  // What a harness wrote: files or folders (family_runs.h).
  std::vector<std::string> runs;
  // Tables of scales, for the runs.
  std::vector<std::string> scales;
  // Folders with what hooks recorded of the runs.
  std::vector<std::string> evidence;
  // TASK=TASK: the counterpart of the first is in the second.
  std::vector<std::string> companions;
  // Fields of the documents by which the runs' samples are looked at in strata.
  std::vector<std::string> strata;
  // Unit of text comparisons in the runs.
  std::string tokenizer = "codepoints";
  // Tables of series (series_table.h), read as one. A file that is named twice is read once.
  std::vector<std::string> series;
  // Metrics that the registry does not know (metric_properties.h); empty for none.
  std::string metric_properties;
  // The metrics that the answer is about; empty for all.
  std::vector<std::string> metrics;
  // No progress, no warnings on standard error; errors still show.
  bool quiet = false;
  // Address of the sidecar; empty when it is this process's own.
  std::string sidecar;
};

// What was read.
struct FamilyInput {
  // The runs, as the sidecar has them, and the files that they were read from.
  std::vector<v1::FamilyRun> runs;
  std::vector<std::string> files;
  // Whether a run could not be read: the answer is of the others.
  bool has_failures = false;
  std::vector<v1::Series> series;
  // The metrics of the series: these lose their points when they are sent.
  std::vector<std::string> metrics;
  std::vector<v1::MetricProperties> properties;
  // For people: rows and runs that were left out, and why.
  std::vector<std::string> warnings;
};

// INVALID_ARGUMENT, with the flag and the remedy: neither a run nor a table (`aim`, as in "nothing
// to diagnose", begins the message), scales, companions, strata or evidence without a run, a
// companion that is no TASK=TASK, a stratum that is no name of a field or comes twice.
absl::Status CheckFamilyInput(const FamilyInputOptions& options, std::string_view aim);

// INVALID_ARGUMENT where one of the places to write to (flag and path; an empty path is none) is a
// file that is read.
absl::Status CheckFamilyOutputs(
    const FamilyInputOptions& options,
    std::span<const std::pair<std::string_view, std::string_view>> outputs);

// Reads the tables, then the runs, which go to the sidecar. Prints on standard error which runs
// could not be read, and (unless quiet) which table was named twice. Errors: those of the tables
// and of SendFamilyRuns.
absl::StatusOr<FamilyInput> ReadFamilyInput(const FamilyInputOptions& options,
                                            const std::shared_ptr<grpc::Channel>& channel);

// Writes all runs and series to `stream`; false where a write failed. Takes the points out of the
// series.
template <typename Request, typename Stream>
bool SendFamilyInput(FamilyInput& input, Stream& stream) {
  Request request;
  for (const v1::FamilyRun& run : input.runs) {
    *request.mutable_run() = run;
    if (!stream.Write(request)) return false;
  }
  for (v1::Series& one : input.series) {
    if (!SendSeries<Request>(one, kMaxSeriesMessage, stream)) return false;
  }
  return true;
}

// A companion, which CheckFamilyInput took, as it is sent.
v1::Companion CompanionOf(const std::string& companion);

// Whether a run was read from this file, by whatever name.
bool IsRunFile(const FamilyInput& input, const std::string& path);

// Whether the sidecar refused what flags say, rather than what files do.
bool IsUsage(const absl::Status& status);

// A sidecar's error for people, with the remedy where it went away or does not know the call;
// `lacks` says the latter, as in "does not diagnose".
std::string ExplainedError(const absl::Status& status, const std::string& sidecar,
                           std::string_view lacks);

// That none of the series has a metric that was named, with names near it; absent where all have.
std::optional<std::string> UnknownMetric(const FamilyInputOptions& options,
                                         const FamilyInput& input);

// Prints the first warnings on standard error.
void PrintWarnings(const google::protobuf::RepeatedPtrField<std::string>& warnings);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_COMMANDS_FAMILY_INPUT_H_
