#include "client/commands/family_input.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <system_error>

#include "base/near_names.h"
#include "base/version.h"
#include "client/family_runs.h"
#include "client/output_file.h"
#include "client/progress.h"
#include "client/render/terminal_text.h"
#include "client/standard_error.h"
#include "client/tables/metric_properties.h"
#include "client/tables/series_table.h"
#include "client/terminal.h"

namespace mirage::client {
namespace {

constexpr int kPrintedWarnings = 20;

void Note(const std::string& message) { PrintError(fmt::format("mirage: {}\n", message)); }

absl::Status ReadTables(const FamilyInputOptions& options, FamilyInput& input) {
  if (!options.series.empty()) {
    std::vector<std::string> paths;
    for (const std::string& path : options.series) {
      const bool is_repeated =
          std::any_of(paths.begin(), paths.end(),
                      [&](const std::string& other) { return IsSameFile(path, other); });
      if (!is_repeated) {
        paths.push_back(path);
      } else if (!options.quiet) {
        Note(fmt::format("{} was named before: it is read once", SafeText(path)));
      }
    }
    auto table = ReadSeries(paths);
    if (!table.ok()) return table.status();
    input.series = std::move(table->series);
    input.warnings = std::move(table->warnings);
    input.metrics.reserve(input.series.size());
    for (const v1::Series& series : input.series) input.metrics.push_back(series.metric());
  }
  if (options.metric_properties.empty()) return absl::OkStatus();
  auto properties = ReadMetricProperties(options.metric_properties);
  if (!properties.ok()) return properties.status();
  input.properties = *std::move(properties);
  return absl::OkStatus();
}

absl::Status SendRuns(const FamilyInputOptions& options,
                      const std::shared_ptr<grpc::Channel>& channel, FamilyInput& input) {
  if (options.runs.empty()) return absl::OkStatus();
  FamilyRunsOptions runs;
  runs.paths = options.runs;
  runs.scales = options.scales;
  runs.evidence = options.evidence;
  runs.fields = options.strata;
  runs.tokenizer = options.tokenizer;
  Progress progress("reading", !options.quiet && TerminalOn(STDERR_FILENO).escapes);
  runs.progress = [&](uint64_t done, uint64_t total) { progress.Update(done, total); };
  auto sent = SendFamilyRuns(channel, runs);
  if (!sent.ok()) return sent.status();
  for (const std::string& failure : sent->failures) Note(SafeText(failure));
  input.has_failures = !sent->failures.empty();
  std::move(sent->warnings.begin(), sent->warnings.end(), std::back_inserter(input.warnings));
  input.runs = std::move(sent->runs);
  input.files = std::move(sent->inputs);
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckFamilyInput(const FamilyInputOptions& options, std::string_view aim) {
  if (options.runs.empty() && options.series.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("{}: name the RUNs of a family, or a table of numbers (--series FILE)", aim));
  }
  for (const auto& [flag, values] :
       {std::pair("--scales", options.scales), std::pair("--companion", options.companions),
        std::pair("--evidence", options.evidence), std::pair("--stratum", options.strata)}) {
    if (options.runs.empty() && !values.empty()) {
      return absl::InvalidArgumentError(
          fmt::format("{} {} is for RUNs, and there is none: a table has its scales itself", flag,
                      values.front()));
    }
  }
  for (size_t i = 0; i < options.strata.size(); ++i) {
    const std::string& field = options.strata[i];
    const auto before = options.strata.begin() + static_cast<ptrdiff_t>(i);
    if (field.find('=') != std::string::npos) {
      return absl::InvalidArgumentError(fmt::format(
          "--stratum {}: must be the name of a field, without a value: all its values are looked "
          "at",
          field));
    }
    if (std::find(options.strata.begin(), before, field) != before) {
      return absl::InvalidArgumentError(fmt::format("--stratum {} was given before", field));
    }
  }
  for (const std::string& companion : options.companions) {
    const size_t sign = companion.find('=');
    if (sign == std::string::npos || sign == 0 || sign + 1 == companion.size()) {
      return absl::InvalidArgumentError(
          fmt::format("--companion {}: must be TASK=TASK, as in add4=add4_ll", companion));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckFamilyOutputs(
    const FamilyInputOptions& options,
    std::span<const std::pair<std::string_view, std::string_view>> outputs) {
  std::vector<std::string> inputs = options.series;
  inputs.insert(inputs.end(), options.scales.begin(), options.scales.end());
  if (!options.metric_properties.empty()) inputs.push_back(options.metric_properties);
  for (const std::string& input : inputs) {
    for (const auto& [flag, path] : outputs) {
      if (!path.empty() && IsSameFile(input, std::string(path))) {
        return absl::InvalidArgumentError(
            fmt::format("{} {} is a file that is read: choose another name", flag, path));
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<FamilyInput> ReadFamilyInput(const FamilyInputOptions& options,
                                            const std::shared_ptr<grpc::Channel>& channel) {
  FamilyInput input;
  if (absl::Status status = ReadTables(options, input); !status.ok()) return status;
  if (absl::Status status = SendRuns(options, channel, input); !status.ok()) return status;
  return input;
}

v1::Companion CompanionOf(const std::string& companion) {
  const size_t sign = companion.find('=');
  v1::Companion both;
  both.set_task(companion.substr(0, sign));
  both.set_companion(companion.substr(sign + 1));
  return both;
}

bool IsRunFile(const FamilyInput& input, const std::string& path) {
  std::error_code error;
  return std::any_of(input.files.begin(), input.files.end(), [&](const std::string& file) {
    return std::filesystem::equivalent(file, path, error);
  });
}

bool IsUsage(const absl::Status& status) {
  const std::string_view message(status.message().data(), status.message().size());
  return absl::IsInvalidArgument(status) && message.starts_with("options.") &&
         !message.starts_with("options.metric_properties");
}

std::string ExplainedError(const absl::Status& status, const std::string& sidecar,
                           std::string_view lacks) {
  std::string text = SafeText(std::string(status.message()));
  if (sidecar.empty()) return text;
  if (absl::IsUnavailable(status)) {
    return fmt::format("the sidecar at {} went away ({}): start it again and repeat",
                       SafeText(sidecar), text);
  }
  if (absl::IsUnimplemented(status)) {
    return fmt::format("the sidecar at {} {}: start one of version {}", SafeText(sidecar), lacks,
                       kVersion);
  }
  return text;
}

std::optional<std::string> UnknownMetric(const FamilyInputOptions& options,
                                         const FamilyInput& input) {
  for (const std::string& metric : options.metrics) {
    if (std::find(input.metrics.begin(), input.metrics.end(), metric) != input.metrics.end()) {
      continue;
    }
    const std::vector<std::string_view> names(input.metrics.begin(), input.metrics.end());
    const auto near = NearNames(metric, names);
    return fmt::format(
        "--metric {}: no series has it{}", SafeText(metric),
        near.empty() ? "" : SafeText(fmt::format("; did you mean {}?", fmt::join(near, ", "))));
  }
  return std::nullopt;
}

void PrintWarnings(const google::protobuf::RepeatedPtrField<std::string>& warnings) {
  const int shown = std::min(warnings.size(), kPrintedWarnings);
  for (int i = 0; i < shown; ++i) Note(fmt::format("warning: {}", SafeText(warnings[i])));
  if (shown < warnings.size()) {
    Note(fmt::format("warning: … and {} more; --output-format json has them all",
                     warnings.size() - shown));
  }
}

}  // namespace mirage::client
