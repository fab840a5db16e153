#include "client/commands/simulate.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/status/statusor.h"
#include "base/version.h"
#include "client/exit_code.h"
#include "client/grpc_status.h"
#include "client/output_file.h"
#include "client/progress.h"
#include "client/render/attach_report.h"
#include "client/render/terminal_text.h"
#include "client/standard_error.h"
#include "client/tables/model_match.h"
#include "client/tables/yaml_message.h"
#include "client/terminal.h"
#include "integrations/evidence/evidence_set.h"
#include "integrations/evidence/evidence_writer.h"
#include "integrations/lm_eval/json_value.h"
#include "integrations/lm_eval/writer.h"
#include "mirage/v1/emergence.grpc.pb.h"

namespace mirage::client {
namespace {

namespace fs = std::filesystem;
using integrations::evidence::EvidenceFileName;
using integrations::evidence::EvidenceHeader;
using integrations::evidence::EvidenceLines;
using integrations::evidence::HeaderLine;
using integrations::lm_eval::ResultsFileName;
using integrations::lm_eval::ResultsText;
using integrations::lm_eval::SamplesFileName;
using integrations::lm_eval::SamplesWriter;

std::string Text(const absl::Status& status) { return SafeText(std::string(status.message())); }

// Whether the sidecar refused what the caller asked for.
bool IsUsage(const absl::Status& status) {
  const std::string_view message(status.message().data(), status.message().size());
  return absl::IsNotFound(status) ||
         ((absl::IsInvalidArgument(status) || absl::IsResourceExhausted(status) ||
           absl::IsUnimplemented(status)) &&
          message.starts_with("spec."));
}

// A cell of CSV; `text` as it is where it needs no quotes.
std::string CsvCell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

// A folder that is filled, and left as it was found where that fails.
class Folder {
 public:
  explicit Folder(std::string path) : path_(std::move(path)) {}
  ~Folder() {
    if (is_kept_) return;
    std::error_code ignored;
    // Only what this command made: files first, as it made them.
    for (auto made = made_.rbegin(); made != made_.rend(); ++made) fs::remove(*made, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::string& path() const { return path_; }
  void Keep() { is_kept_ = true; }

  // Makes it, where it is not there. ALREADY_EXISTS where it is not empty.
  absl::Status Open() {
    std::error_code error;
    const fs::file_status status = fs::status(path_, error);
    if (status.type() == fs::file_type::not_found) {
      fs::path missing = fs::path(path_).lexically_normal();
      if (!missing.has_filename()) missing = missing.parent_path();
      std::vector<fs::path> parents;
      for (; !missing.empty() && !fs::exists(missing, error); missing = missing.parent_path()) {
        parents.push_back(missing);
      }
      for (auto folder = parents.rbegin(); folder != parents.rend(); ++folder) {
        if (absl::Status made = Make(folder->string()); !made.ok()) return made;
      }
      return absl::OkStatus();
    }
    if (status.type() != fs::file_type::directory) {
      return absl::AlreadyExistsError(
          fmt::format("{} is no folder: choose another name for -o", path_));
    }
    const bool is_empty = fs::is_empty(path_, error);
    if (error) {
      return absl::PermissionDeniedError(fmt::format("cannot read {}: {}", path_, error.message()));
    }
    if (!is_empty) {
      return absl::AlreadyExistsError(fmt::format(
          "{} is not empty: nothing is ever overwritten; choose a new folder for -o", path_));
    }
    return absl::OkStatus();
  }

  absl::Status Make(const std::string& folder) {
    std::error_code error;
    if (!fs::create_directory(folder, error) && !error) {
      return absl::AlreadyExistsError(fmt::format("{} is there already", folder));
    }
    if (error) {
      return absl::UnavailableError(fmt::format("cannot make {}: {}", folder, error.message()));
    }
    made_.push_back(folder);
    return absl::OkStatus();
  }

  absl::Status Commit(AtomicFile& file, const std::string& path) {
    if (absl::Status status = file.Commit(); !status.ok()) return status;
    made_.push_back(path);
    return absl::OkStatus();
  }

  absl::Status Write(const std::string& path, std::string_view content) {
    auto file = AtomicFile::Create(path);
    if (!file.ok()) return file.status();
    if (absl::Status status = (*file)->Append(content); !status.ok()) return status;
    return Commit(**file, path);
  }

 private:
  const std::string path_;
  // Folders before what is in them.
  std::vector<std::string> made_;
  bool is_kept_ = false;
};

// One model's run as it arrives: the samples of one task after the other, then the results.
class RunWriter {
 public:
  RunWriter(v1::Run run, Folder* out) : run_(std::move(run)), out_(out) {}

  absl::Status Open() {
    const std::string name = SanitizedModelName(run_.model());
    // The sidecar may be anybody's: its names make no paths.
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
        name.find('\0') != std::string::npos) {
      return absl::InternalError(
          fmt::format("the sidecar named a model \"{}\", which can be no folder", run_.model()));
    }
    folder_ = (fs::path(out_->path()) / name).string();
    return out_->Make(folder_);
  }

  absl::Status Add(const v1::SampleBatch& batch) {
    if (batch.task() != task_) {
      if (absl::Status status = EndTask(); !status.ok()) return status;
      if (absl::Status status = StartTask(batch); !status.ok()) return status;
    }
    if (absl::Status status = writer_->Add(batch); !status.ok()) return status;
    if (evidence_ == nullptr) return absl::OkStatus();
    const auto lines = EvidenceLines(batch);
    return lines.ok() ? evidence_->Append(*lines) : lines.status();
  }

  absl::Status Finish() {
    if (absl::Status status = EndTask(); !status.ok()) return status;
    const auto name = ResultsFileName(run_.date());
    if (!name.ok()) return name.status();
    const auto text = ResultsText(run_, hashes_);
    if (!text.ok()) return text.status();
    return out_->Write(folder_ + "/" + *name, *text);
  }

 private:
  absl::Status StartTask(const v1::SampleBatch& batch) {
    task_ = batch.task();
    if (hashes_.count(task_) > 0) {
      return absl::InternalError(
          fmt::format("the sidecar sent samples of {} again after another task's", task_));
    }
    const auto name = SamplesFileName(task_, run_.date());
    if (!name.ok()) return name.status();
    samples_path_ = folder_ + "/" + *name;
    auto samples = AtomicFile::Create(samples_path_);
    if (!samples.ok()) return samples.status();
    samples_ = *std::move(samples);
    writer_ = std::make_unique<SamplesWriter>(
        task_, [this](std::string_view text) { return samples_->Append(text); });
    if (!batch.has_token_logprobs()) return absl::OkStatus();
    evidence_path_ = folder_ + "/" + EvidenceFileName(task_, run_.date());
    auto evidence = AtomicFile::Create(evidence_path_);
    if (!evidence.ok()) return evidence.status();
    evidence_ = *std::move(evidence);
    EvidenceHeader header;
    header.generator = fmt::format("mirage {}", kVersion);
    header.task = task_;
    header.date = run_.date();
    header.model = run_.model();
    const auto line = HeaderLine(header);
    return line.ok() ? evidence_->Append(*line) : line.status();
  }

  absl::Status EndTask() {
    if (writer_ == nullptr) return absl::OkStatus();
    hashes_[task_] = writer_->Finish();
    writer_.reset();
    if (absl::Status status = out_->Commit(*samples_, samples_path_); !status.ok()) return status;
    samples_.reset();
    if (evidence_ == nullptr) return absl::OkStatus();
    if (absl::Status status = out_->Commit(*evidence_, evidence_path_); !status.ok()) return status;
    evidence_.reset();
    return absl::OkStatus();
  }

  const v1::Run run_;
  Folder* const out_;
  std::string folder_;
  // Of the task under way.
  std::string task_;
  std::string samples_path_;
  std::string evidence_path_;
  std::unique_ptr<AtomicFile> samples_;
  std::unique_ptr<AtomicFile> evidence_;
  std::unique_ptr<SamplesWriter> writer_;
  std::map<std::string, std::string, std::less<>> hashes_;
};

class SimulateCommand {
 public:
  SimulateCommand(const SimulateOptions& options, const std::shared_ptr<grpc::Channel>& channel)
      : options_(options), stub_(v1::EmergenceService::NewStub(channel)), out_(options.output) {}

  int Run() {
    if (const auto status = CheckSimulateOptions(options_); !status.ok()) {
      return Fail(Text(status), kUsage);
    }
    if (options_.list) return List();
    v1::SimulateRequest request;
    if (const auto status = ReadSpec(request.mutable_spec()); !status.ok()) {
      return Fail(Text(status), kFailed);
    }
    if (const auto status = out_.Open(); !status.ok()) return Fail(Text(status), kFailed);
    if (const auto status = Receive(request); !status.ok()) {
      return Fail(Explained(status), IsUsage(status) ? kUsage : kFailed);
    }
    if (const auto status = WriteTables(); !status.ok()) return Fail(Text(status), kFailed);
    out_.Keep();
    const std::string folder = SafeText(options_.output);
    const absl::Status status = WriteAnswer(
        "", fmt::format("{}: {} models of {} in {}\ntruth: {}\n{}\n"
                        "mirage diagnose {} --scales {}\n",
                        SafeText(truth_.spec().truth()), n_models_,
                        SafeText(truth_.spec().family()), folder,
                        v1::Diagnosis::Verdict_Name(truth_.verdict()), SafeText(truth_.reason()),
                        folder, SafeText((fs::path(options_.output) / "models.csv").string())));
    return status.ok() ? kDone : Fail(Text(status), kFailed);
  }

 private:
  static int Fail(const std::string& message, int code) {
    PrintError(fmt::format("mirage: {}\n", message));
    return code;
  }

  int List() {
    grpc::ClientContext context;
    v1::ListSimulationPresetsResponse response;
    const absl::Status status = FromGrpc(stub_->ListSimulationPresets(&context, {}, &response));
    if (!status.ok()) return Fail(Explained(status), kFailed);
    size_t width = 0;
    for (const v1::SimulationPreset& preset : response.presets()) {
      width = std::max(width, preset.name().size());
    }
    std::string text;
    for (const v1::SimulationPreset& preset : response.presets()) {
      text +=
          fmt::format("{:{}}  {}{}\n", SafeText(preset.name()), width, SafeText(preset.summary()),
                      preset.unavailable().empty() ? "" : " (Not as files.)");
    }
    const absl::Status written = WriteAnswer("", text);
    return written.ok() ? kDone : Fail(Text(written), kFailed);
  }

  absl::Status ReadSpec(v1::SimulationSpec* spec) const {
    if (!options_.spec.empty()) {
      const auto text = integrations::lm_eval::ReadFile(options_.spec, kMaxYamlBytes);
      if (!text.ok()) return text.status();
      const auto node = ParseYaml(*text, options_.spec);
      if (!node.ok()) return node.status();
      if (auto status = FillMessage(*node, options_.spec, *spec); !status.ok()) return status;
    }
    if (!options_.truth.empty()) spec->set_truth(options_.truth);
    if (!options_.family.empty()) spec->set_family(options_.family);
    if (options_.seed.has_value()) spec->set_seed(*options_.seed);
    if (options_.samples.has_value()) spec->set_n_samples(*options_.samples);
    if (options_.seeds.has_value()) spec->set_n_seeds(*options_.seeds);
    if (!options_.scales.empty()) {
      spec->mutable_scales()->Clear();
      spec->mutable_scales()->Add(options_.scales.begin(), options_.scales.end());
    }
    return absl::OkStatus();
  }

  absl::Status Receive(const v1::SimulateRequest& request) {
    grpc::ClientContext context;
    const auto stream = stub_->Simulate(&context, request);
    Progress progress("simulating", !options_.quiet && TerminalOn(STDERR_FILENO).escapes,
                      Progress::Clock::now, "models");
    v1::SimulateResponse response;
    std::unique_ptr<RunWriter> run;
    absl::Status status;
    while (status.ok() && stream->Read(&response)) {
      status = Take(response, &run);
      if (response.has_run()) progress.Update(n_models_ - 1, n_expected_);
    }
    if (!status.ok()) {
      context.TryCancel();
      stream->Finish();
      return status;
    }
    if (status = FromGrpc(stream->Finish()); !status.ok()) return status;
    if (run != nullptr) status = run->Finish();
    if (status.ok() && n_models_ == 0) return absl::InternalError("the sidecar sent no model");
    return status;
  }

  absl::Status Take(v1::SimulateResponse& response, std::unique_ptr<RunWriter>* run) {
    switch (response.part_case()) {
      case v1::SimulateResponse::kTruth:
        truth_.Swap(response.mutable_truth());
        n_expected_ = static_cast<uint64_t>(truth_.spec().scales_size()) * truth_.spec().n_seeds();
        return absl::OkStatus();
      case v1::SimulateResponse::kRun: {
        if (*run != nullptr) {
          if (absl::Status status = (*run)->Finish(); !status.ok()) return status;
        }
        ++n_models_;
        const v1::Scale& scale = response.run().scale();
        rows_ += fmt::format("{},{},{},{}\n", CsvCell(scale.model()), scale.parameters(),
                             CsvCell(scale.family()), CsvCell(scale.seed()));
        *run = std::make_unique<RunWriter>(response.run().run(), &out_);
        return (*run)->Open();
      }
      case v1::SimulateResponse::kBatch:
        if (*run == nullptr) return absl::InternalError("the sidecar sent samples before a run");
        return (*run)->Add(response.batch());
      case v1::SimulateResponse::PART_NOT_SET:
        break;
    }
    return absl::OkStatus();
  }

  absl::Status WriteTables() {
    const fs::path folder(options_.output);
    absl::Status status =
        out_.Write((folder / "models.csv").string(), "model,parameters,family,seed\n" + rows_);
    if (!status.ok()) return status;
    truth_.set_generator(fmt::format("mirage {}", kVersion));
    const auto json = ReportJson(truth_);
    if (!json.ok()) return json.status();
    return out_.Write((folder / "truth.json").string(), *json);
  }

  std::string Explained(const absl::Status& status) const {
    if (options_.sidecar.empty()) return Text(status);
    const std::string sidecar = SafeText(options_.sidecar);
    if (absl::IsUnavailable(status)) {
      return fmt::format("the sidecar at {} went away ({}): start it again and repeat", sidecar,
                         Text(status));
    }
    if (absl::IsUnimplemented(status) && !IsUsage(status)) {
      return fmt::format("the sidecar at {} does not simulate: start one of version {}", sidecar,
                         kVersion);
    }
    return Text(status);
  }

  const SimulateOptions& options_;
  const std::unique_ptr<v1::EmergenceService::Stub> stub_;
  Folder out_;
  v1::SimulationTruth truth_;
  // Of models.csv.
  std::string rows_;
  uint64_t n_models_ = 0;
  uint64_t n_expected_ = 0;
};

}  // namespace

absl::Status CheckSimulateOptions(const SimulateOptions& options) {
  if (options.list) {
    if (options.truth.empty() && options.spec.empty() && options.output.empty()) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError("--list only prints the presets: leave the other flags out");
  }
  if (options.truth.empty() && options.spec.empty()) {
    return absl::InvalidArgumentError(
        "nothing to simulate: name a preset (--truth NAME; --list prints them all) or a "
        "specification (--spec FILE.yaml)");
  }
  if (options.output.empty()) {
    return absl::InvalidArgumentError("-o is missing: name a new folder for the family");
  }
  return absl::OkStatus();
}

int RunSimulate(const SimulateOptions& options, const std::shared_ptr<grpc::Channel>& channel) {
  return SimulateCommand(options, channel).Run();
}

}  // namespace mirage::client
