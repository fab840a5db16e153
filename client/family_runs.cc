#include "client/family_runs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "client/attach_run.h"
#include "client/tables/model_match.h"
#include "client/tables/scales_table.h"
#include "integrations/evidence/evidence_set.h"
#include "integrations/lm_eval/discover.h"

namespace mirage::client {
namespace {

using integrations::evidence::EvidenceSet;
using integrations::lm_eval::FoundRun;

// Names that a warning lists.
constexpr size_t kListed = 5;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

std::string Listed(const std::vector<std::string>& names) {
  const std::vector<std::string> first(
      names.begin(), names.begin() + static_cast<ptrdiff_t>(std::min(names.size(), kListed)));
  return fmt::format(
      "{}{}", fmt::join(first, ", "),
      names.size() > kListed ? fmt::format(" and {} more", names.size() - kListed) : "");
}

// What stands for a run on the disk.
const std::string& FileOf(const FoundRun& run) {
  return run.results.empty() ? run.samples.front().path : run.results;
}

class Sender {
 public:
  Sender(const std::shared_ptr<grpc::Channel>& channel, const FamilyRunsOptions& options)
      : channel_(channel), options_(options) {}

  absl::StatusOr<FamilyRuns> Run() {
    if (!options_.scales.empty()) {
      auto table = ReadScales(options_.scales);
      if (!table.ok()) return table.status();
      table_ = *std::move(table);
      out_.warnings = table_.warnings;
    }
    if (absl::Status status = FindEvidence(); !status.ok()) return status;
    Find();
    const ModelMatcher matcher(table_);
    for (const FoundRun& run : found_) {
      if (absl::Status status = Take(run, matcher); !status.ok()) return status;
    }
    Tell();
    if (out_.runs.empty()) {
      if (!out_.failures.empty()) return absl::NotFoundError(out_.failures.front());
      return absl::InvalidArgumentError(
          options_.scales.empty()
              ? fmt::format("no run says how large its model is ({}): give --scales FILE, a table "
                            "with the columns model and parameters",
                            Listed(without_scale_))
              : fmt::format(
                    "no row of the tables of scales matches a run: the runs' models are {}; "
                    "the tables name {}",
                    Listed(without_scale_), Listed(TableModels())));
    }
    return std::move(out_);
  }

 private:
  absl::Status FindEvidence() {
    std::vector<std::string> warnings;
    auto found = EvidenceSet::Find(options_.evidence, Limits(), &warnings);
    if (!found.ok()) {
      return absl::Status(found.status().code(),
                          fmt::format("--evidence: {}", Message(found.status())));
    }
    evidence_.emplace(*std::move(found));
    for (const std::string& warning : warnings) out_.warnings.push_back("--evidence: " + warning);
    for (const std::string& file : evidence_->unreadable()) {
      out_.failures.push_back("--evidence: " + file);
    }
    return absl::OkStatus();
  }

  integrations::evidence::EvidenceOptions Limits() const {
    integrations::evidence::EvidenceOptions limits;
    limits.max_row_bytes = options_.max_row_bytes;
    return limits;
  }

  // All runs below the paths, each once.
  void Find() {
    std::set<std::pair<dev_t, ino_t>> seen;
    for (const std::string& path : options_.paths) {
      auto found = integrations::lm_eval::FindRuns(path, {}, &out_.warnings);
      if (!found.ok()) {
        out_.failures.push_back(Message(found.status()));
        continue;
      }
      for (FoundRun& run : *found) {
        struct stat about = {};
        if (::stat(FileOf(run).c_str(), &about) == 0 &&
            !seen.emplace(about.st_dev, about.st_ino).second) {
          continue;
        }
        found_.push_back(std::move(run));
      }
    }
    for (const FoundRun& run : found_) {
      for (const auto& samples : run.samples) {
        std::error_code error;
        const auto size = std::filesystem::file_size(samples.path, error);
        if (!error) total_ += size;
      }
    }
  }

  absl::Status Take(const FoundRun& run, const ModelMatcher& matcher) {
    if (!run.results.empty()) out_.inputs.push_back(run.results);
    for (const auto& samples : run.samples) out_.inputs.push_back(samples.path);
    integrations::ReadOptions read;
    read.max_row_bytes = options_.max_row_bytes;
    read.join_hashes = true;
    read.fields = options_.fields;
    auto reader = run.Open(read);
    if (!reader.ok()) {
      out_.failures.push_back(Message(reader.status()));
      return absl::OkStatus();
    }
    const auto scale = ScaleOf((*reader)->run(), matcher);
    if (!scale.ok()) {
      out_.failures.push_back(fmt::format("{}: {}", FileOf(run), Message(scale.status())));
      return absl::OkStatus();
    }
    if (!scale->has_value()) {
      without_scale_.push_back((*reader)->run().model());
      return absl::OkStatus();
    }
    auto evidence = evidence_->ForRun((*reader)->run(), (*reader)->folder());
    if (!evidence.ok()) {
      out_.failures.push_back(Message(evidence.status()));
      return absl::OkStatus();
    }
    for (const auto& [task, path] : (*evidence)->files()) out_.inputs.push_back(path);
    AttachRunOptions attach;
    attach.tokenizer = options_.tokenizer;
    attach.evidence = evidence->get();
    if (options_.progress) {
      attach.progress = [&](uint64_t done, uint64_t) { options_.progress(read_ + done, total_); };
    }
    const auto name = SendRun(channel_, **reader, attach);
    read_ += (*reader)->bytes_total();
    if (!name.ok()) {
      if (absl::IsUnavailable(name.status())) return name.status();
      out_.failures.push_back(fmt::format("{}: {}", FileOf(run), Message(name.status())));
      return absl::OkStatus();
    }
    for (const integrations::RowIssue& issue : (*reader)->issues()) {
      if (issue.line == 0) out_.failures.push_back(issue.message);
    }
    for (const std::string& file : (*evidence)->unreadable()) out_.failures.push_back(file);
    v1::FamilyRun& taken = out_.runs.emplace_back();
    taken.set_run(*name);
    *taken.mutable_scale() = **scale;
    return absl::OkStatus();
  }

  // Of a run's model; absent where nobody says.
  absl::StatusOr<std::optional<v1::Scale>> ScaleOf(const v1::Run& run,
                                                   const ModelMatcher& matcher) {
    const std::string folder = std::filesystem::path(run.path()).parent_path().filename().string();
    if (!table_.rows.empty()) {
      const auto row = matcher.Match({run.model(), run.model_args(), folder});
      if (!row.ok()) return row.status();
      if (row->has_value()) {
        used_.insert(**row);
        return table_.rows[**row].scale;
      }
      return std::nullopt;
    }
    v1::Scale scale;
    scale.set_model(run.model());
    scale.set_family(kDefaultFamily);
    if (run.has_n_parameters()) scale.set_parameters(run.n_parameters());
    if (run.has_n_train_tokens()) scale.set_tokens(run.n_train_tokens());
    if (run.has_n_train_flops()) scale.set_flops(run.n_train_flops());
    if (!scale.has_parameters() && !scale.has_tokens() && !scale.has_flops()) return std::nullopt;
    return scale;
  }

  std::vector<std::string> TableModels() const {
    std::vector<std::string> names;
    for (const ScaleRow& row : table_.rows) names.push_back(row.scale.model());
    return names;
  }

  void Tell() {
    if (const std::vector<std::string> unused = evidence_->Unused(); !unused.empty()) {
      out_.warnings.push_back(fmt::format("--evidence: {} files belong to none of the runs: {}",
                                          unused.size(), Listed(unused)));
    }
    if (!without_scale_.empty()) {
      out_.warnings.push_back(
          table_.rows.empty()
              ? fmt::format("{} of {} runs do not say how large their model is, and were left out: "
                            "{} (give --scales FILE)",
                            without_scale_.size(), found_.size(), Listed(without_scale_))
              : fmt::format(
                    "{} of {} runs match no row of the tables of scales, and were left out: "
                    "{}",
                    without_scale_.size(), found_.size(), Listed(without_scale_)));
    }
    std::vector<std::string> unused;
    for (size_t i = 0; i < table_.rows.size(); ++i) {
      if (used_.count(i) == 0) unused.push_back(table_.rows[i].scale.model());
    }
    if (!unused.empty()) {
      out_.warnings.push_back(fmt::format("{} of {} rows of the tables of scales match no run: {}",
                                          unused.size(), table_.rows.size(), Listed(unused)));
    }
  }

  const std::shared_ptr<grpc::Channel>& channel_;
  const FamilyRunsOptions& options_;
  ScalesTable table_;
  std::optional<EvidenceSet> evidence_;
  std::vector<FoundRun> found_;
  std::set<size_t> used_;
  std::vector<std::string> without_scale_;
  uint64_t total_ = 0;
  uint64_t read_ = 0;
  FamilyRuns out_;
};

}  // namespace

absl::StatusOr<FamilyRuns> SendFamilyRuns(const std::shared_ptr<grpc::Channel>& channel,
                                          const FamilyRunsOptions& options) {
  return Sender(channel, options).Run();
}

}  // namespace mirage::client
