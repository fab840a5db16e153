#include "integrations/lm_eval/discover.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "integrations/lm_eval/json_value.h"
#include "integrations/lm_eval/results.h"

namespace mirage::integrations::lm_eval {
namespace {

constexpr uint64_t kMaxSniffedBytes = uint64_t{64} << 20;

constexpr std::string_view kLookedFor =
    "looked for results_<date>.json, samples_<task>_<date>.jsonl and other .json files with "
    "lm-eval's \"results\"";

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

bool EndsWith(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

absl::Status SystemError(int error, const std::string& path) {
  const std::string message = fmt::format("cannot read {}: {}", path, std::strerror(error));
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(message);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(message);
  return absl::UnavailableError(message);
}

std::string Join(const std::string& folder, const std::string& name) {
  if (folder.empty() || folder == ".") return name;
  return folder.back() == '/' ? folder + name : folder + "/" + name;
}

// "<stem>_<date>" -> both; false when the name does not end so.
bool SplitDate(std::string_view name, std::string_view* stem, std::string_view* date) {
  const size_t underscore = name.rfind('_');
  if (underscore == std::string_view::npos || !IsDateId(name.substr(underscore + 1))) return false;
  *stem = name.substr(0, underscore);
  *date = name.substr(underscore + 1);
  return true;
}

// lm-eval 0.4.0 to 0.4.2: re.sub("/|=", "__", model_args).
std::string Sanitized(std::string_view model_args) {
  std::string out;
  for (const char c : model_args) {
    if (c == '/' || c == '=') {
      out += "__";
    } else {
      out += c;
    }
  }
  return out;
}

// Whether the file starts as rows of lm-eval do. Looks at its first bytes only.
bool LooksLikeSamples(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return false;
  char head[4096];
  const ssize_t n = read(file, head, sizeof(head));
  close(file);
  if (n <= 0) return false;
  const std::string_view text(head, static_cast<size_t>(n));
  const size_t first = text.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  return first != std::string_view::npos && (text[first] == '{' || text[first] == '[') &&
         text.find("\"doc_id\"") != std::string_view::npos;
}

// Whether Mirage wrote the file: its first member is a "generator" that names it, in a
// report as in the first line of scores. A name alone says nothing: lm-eval's is the user's.
bool IsDerived(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return false;
  char head[512];
  const ssize_t n = read(file, head, sizeof(head));
  close(file);
  if (n <= 0) return false;
  std::string_view text(head, static_cast<size_t>(n));
  for (const std::string_view token : {"{", "\"generator\"", ":", "\"mirage "}) {
    const size_t at = text.find_first_not_of(" \t\r\n");
    if (at == text.npos || !StartsWith(text.substr(at), token)) return false;
    text.remove_prefix(at + token.size());
  }
  return true;
}

// Whether a .json file of any name is lm-eval's. Large ones never are: a results
// file holds no samples.
bool IsResultsFile(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path, kMaxSniffedBytes);
  return text.ok() && TextIsResults(*text);
}

// The files of one folder that may matter, sorted by name.
struct Folder {
  std::string path;
  std::vector<std::string> jsons;  // neither results_<date>.json nor Mirage's own
  std::map<std::string, std::string, std::less<>> results;               // date -> name
  std::map<std::string, std::vector<SamplesFile>, std::less<>> samples;  // date -> files
  std::vector<std::string> jsonls;  // not samples_<task>_<date>.jsonl
};

class Finder {
 public:
  Finder(const FindOptions& options, std::vector<std::string>* warnings)
      : options_(options), warnings_(warnings) {}

  absl::Status Walk(const std::string& path, int depth);
  absl::Status ReadFolder(const std::string& path, Folder* folder,
                          std::vector<std::string>* subfolders);
  // The runs of one folder. `only` names the file that was asked for, if any: then
  // nothing is an error that the user did not name.
  void TakeRuns(const Folder& folder, const std::string& only);

  std::vector<FoundRun> runs;

 private:
  void TakeDated(const Folder& folder);
  void TakeUndated(const Folder& folder, const std::string& only);
  void Warn(std::string warning) {
    if (warnings_ != nullptr) warnings_->push_back(std::move(warning));
  }

  const FindOptions options_;
  std::vector<std::string>* const warnings_;
  uint64_t n_entries_ = 0;
  std::set<std::pair<dev_t, ino_t>> visited_;
};

absl::Status Finder::ReadFolder(const std::string& path, Folder* folder,
                                std::vector<std::string>* subfolders) {
  folder->path = path;
  DIR* const directory = opendir(path.empty() ? "." : path.c_str());
  if (directory == nullptr) return SystemError(errno, path);
  std::vector<std::string> names;
  // Those that are no files: links to nothing, pipes.
  std::set<std::string, std::less<>> not_files;
  absl::Status status;
  while (true) {
    errno = 0;
    const dirent* const entry = readdir(directory);
    if (entry == nullptr) {
      if (errno != 0) status = SystemError(errno, path);
      break;
    }
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (++n_entries_ > options_.max_entries) {
      status = absl::ResourceExhaustedError(fmt::format(
          "more than {} files under the path, at {}: name the folder that lm_eval wrote",
          options_.max_entries, path));
      break;
    }
    const bool json = EndsWith(name, ".json");
    const bool jsonl = EndsWith(name, ".jsonl");
    bool is_folder = entry->d_type == DT_DIR;
    bool is_file = entry->d_type == DT_REG;
    if (!is_folder && !is_file && (entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK)) {
      struct stat info = {};
      if (stat(Join(path, name).c_str(), &info) == 0) {
        is_folder = S_ISDIR(info.st_mode);
        is_file = S_ISREG(info.st_mode);
      }
    }
    if (is_folder && subfolders != nullptr) subfolders->push_back(name);
    if (is_folder || (!json && !jsonl)) continue;
    if (is_file && StartsWith(name, "mirage_") && IsDerived(Join(path, name))) continue;
    names.push_back(name);
    if (!is_file) not_files.insert(name);
  }
  closedir(directory);
  if (!status.ok()) return status;
  std::sort(names.begin(), names.end());
  if (subfolders != nullptr) std::sort(subfolders->begin(), subfolders->end());

  for (const std::string& name : names) {
    std::string_view stem;
    std::string_view date;
    if (EndsWith(name, ".json")) {
      const std::string_view base = std::string_view(name).substr(0, name.size() - 5);
      if (SplitDate(base, &stem, &date) && stem == "results") {
        // Also what is no file, here and below: the harness gave the name, and that it cannot
        // be read is told when it is opened.
        folder->results.emplace(std::string(date), name);
      } else {
        folder->jsons.push_back(name);
      }
      continue;
    }
    const std::string_view base = std::string_view(name).substr(0, name.size() - 6);
    constexpr std::string_view kSamples = "samples_";
    if (SplitDate(base, &stem, &date) && StartsWith(stem, kSamples) &&
        stem.size() > kSamples.size()) {
      folder->samples[std::string(date)].push_back(
          {Join(path, name), std::string(stem.substr(kSamples.size()))});
    } else if (not_files.count(name) == 0) {
      folder->jsonls.push_back(name);
    }
  }
  // <stem>_<date>.json, but only where its content is lm-eval's, or where it has none and
  // samples of its date say so.
  std::vector<std::string> others;
  for (const std::string& name : folder->jsons) {
    std::string_view stem;
    std::string_view date;
    const bool is_file = not_files.count(name) == 0;
    if (SplitDate(std::string_view(name).substr(0, name.size() - 5), &stem, &date) &&
        folder->results.find(date) == folder->results.end() &&
        (is_file ? IsResultsFile(Join(path, name)) : folder->samples.count(date) > 0)) {
      folder->results.emplace(std::string(date), name);
      continue;
    }
    if (is_file) others.push_back(name);
  }
  folder->jsons = std::move(others);
  return absl::OkStatus();
}

void Finder::TakeDated(const Folder& folder) {
  const size_t first = runs.size();
  std::vector<std::string> orphans;
  for (const auto& [date, name] : folder.results) {
    FoundRun run;
    run.results = Join(folder.path, name);
    run.folder = folder.path.empty() ? "." : folder.path;
    run.date = date;
    const auto samples = folder.samples.find(date);
    if (samples != folder.samples.end()) {
      run.samples = samples->second;
    } else {
      run.warnings.push_back(fmt::format(
          "no samples_<task>_{}.jsonl beside {}: only its aggregates are known; evaluate "
          "with --log_samples to get the samples",
          date, name));
    }
    runs.push_back(std::move(run));
  }
  for (const auto& [date, samples] : folder.samples) {
    if (folder.results.count(date) > 0) continue;
    if (folder.results.empty()) {
      FoundRun run;
      run.samples = samples;
      run.folder = folder.path.empty() ? "." : folder.path;
      run.date = date;
      runs.push_back(std::move(run));
      continue;
    }
    for (const SamplesFile& file : samples) {
      const size_t slash = file.path.rfind('/');
      orphans.push_back(slash == std::string::npos ? file.path : file.path.substr(slash + 1));
    }
  }
  if (orphans.empty()) return;
  std::string names;
  for (size_t i = 0; i < orphans.size() && i < 5; ++i) names += (i > 0 ? ", " : "") + orphans[i];
  if (orphans.size() > 5) names += fmt::format(" and {} more", orphans.size() - 5);
  for (size_t i = first; i < runs.size(); ++i) {
    runs[i].warnings.push_back(
        fmt::format("left out, because the folder has no results file of their date: {}", names));
  }
}

void Finder::TakeUndated(const Folder& folder, const std::string& only) {
  struct Candidate {
    std::string name;
    std::string prefix;  // of its samples
    std::vector<std::string> tasks;
    std::vector<SamplesFile> samples;
  };
  std::vector<Candidate> candidates;
  for (const std::string& name : folder.jsons) {
    const std::string path = Join(folder.path, name);
    Candidate candidate;
    candidate.name = name;
    if (IsResultsFile(path)) {
      const absl::StatusOr<JsonValue> json = ReadJson(path, kMaxSniffedBytes);
      if (!json.ok()) continue;
      const absl::StatusOr<Results> results = ParseResults(*json, path, "");
      if (!results.ok()) continue;
      candidate.prefix = Sanitized(results->run.model_args()) + "_";
      for (const auto& task : results->tasks) candidate.tasks.push_back(task.first);
    } else if (name != only) {
      continue;
    }
    candidates.push_back(std::move(candidate));
  }
  // <model_args>_<task>.jsonl: the longest task that fits, of the results whose
  // arguments fit; or of the only results there are.
  for (const std::string& name : folder.jsonls) {
    const std::string_view stem = std::string_view(name).substr(0, name.size() - 6);
    Candidate* owner = nullptr;
    std::string_view owner_task;
    bool owner_exact = false;
    for (Candidate& candidate : candidates) {
      for (const std::string& task : candidate.tasks) {
        if (!EndsWith(stem, task)) continue;
        const std::string_view before = stem.substr(0, stem.size() - task.size());
        const bool exact = before == candidate.prefix;
        if (!exact && (candidates.size() > 1 || !EndsWith(before, "_"))) continue;
        if (std::make_pair(exact, task.size()) > std::make_pair(owner_exact, owner_task.size())) {
          owner = &candidate;
          owner_task = task;
          owner_exact = exact;
        }
      }
    }
    if (owner == nullptr || !LooksLikeSamples(Join(folder.path, name))) continue;
    bool taken = false;
    for (const SamplesFile& file : owner->samples) taken = taken || file.task == owner_task;
    if (!taken) owner->samples.push_back({Join(folder.path, name), std::string(owner_task)});
  }
  for (Candidate& candidate : candidates) {
    FoundRun run;
    run.results = Join(folder.path, candidate.name);
    run.folder = folder.path.empty() ? "." : folder.path;
    run.date = candidate.name.substr(0, candidate.name.size() - 5);
    run.samples = std::move(candidate.samples);
    if (run.samples.empty()) {
      run.warnings.push_back(
          fmt::format("no samples beside {}: only its aggregates are known; evaluate with "
                      "--log_samples to get the samples",
                      candidate.name));
    }
    runs.push_back(std::move(run));
  }
}

void Finder::TakeRuns(const Folder& folder, const std::string& only) {
  TakeDated(folder);
  TakeUndated(folder, only);
}

absl::Status Finder::Walk(const std::string& path, int depth) {
  struct stat info = {};
  if (stat(path.empty() ? "." : path.c_str(), &info) != 0) return SystemError(errno, path);
  if (!visited_.insert({info.st_dev, info.st_ino}).second) return absl::OkStatus();
  Folder folder;
  std::vector<std::string> subfolders;
  if (absl::Status status = ReadFolder(path, &folder, &subfolders); !status.ok()) return status;
  TakeRuns(folder, "");
  if (depth >= options_.max_depth) {
    if (!subfolders.empty()) {
      Warn(fmt::format("folders more than {} levels down were not looked into, from {} on",
                       options_.max_depth, path));
    }
    return absl::OkStatus();
  }
  for (const std::string& name : subfolders) {
    const std::string child = Join(path, name);
    absl::Status status = Walk(child, depth + 1);
    if (absl::IsResourceExhausted(status)) return status;
    if (!status.ok()) Warn(std::string(status.message()));
  }
  return absl::OkStatus();
}

// The runs that the file belongs to.
absl::StatusOr<std::vector<FoundRun>> RunsOfFile(const std::string& path,
                                                 const FindOptions& options,
                                                 std::vector<std::string>* warnings) {
  const size_t slash = path.rfind('/');
  const std::string folder_path =
      slash == std::string::npos ? "" : (slash == 0 ? "/" : path.substr(0, slash));
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (IsDerived(path)) {
    return absl::InvalidArgumentError(
        fmt::format("{} was written by mirage: name the results file that lm_eval wrote", path));
  }
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return SystemError(errno, path);
  close(file);

  Finder finder(options, warnings);
  Folder folder;
  // A folder that can be entered but not listed still has the file that was named.
  if (absl::Status status = finder.ReadFolder(folder_path, &folder, nullptr);
      !status.ok() && absl::IsResourceExhausted(status)) {
    return status;
  }
  finder.TakeRuns(folder, name);
  const std::string own = Join(folder_path, name);
  std::vector<FoundRun> found;
  for (FoundRun& run : finder.runs) {
    bool holds = run.results == own;
    for (const SamplesFile& samples : run.samples) holds = holds || samples.path == own;
    if (holds) found.push_back(std::move(run));
  }
  if (!found.empty()) return found;

  FoundRun run;
  run.folder = folder_path.empty() ? "." : folder_path;
  std::string_view stem;
  std::string_view date;
  if (EndsWith(name, ".json")) {
    // Its content says what is wrong when it is opened.
    const std::string base = name.substr(0, name.size() - 5);
    run.results = own;
    run.date = SplitDate(base, &stem, &date) ? std::string(date) : base;
    found.push_back(std::move(run));
    return found;
  }
  const std::string base = name.substr(0, name.rfind('.'));
  if (SplitDate(base, &stem, &date) && StartsWith(stem, "samples_")) {
    // Samples of a date without results, in a folder with other results.
    const auto samples = folder.samples.find(date);
    run.date = date;
    if (samples != folder.samples.end()) {
      run.samples = samples->second;
    } else {
      run.samples.push_back({own, std::string(stem.substr(8))});
    }
    found.push_back(std::move(run));
    return found;
  }
  if (LooksLikeSamples(path)) {
    run.date = base;
    run.samples.push_back({own, base});
    found.push_back(std::move(run));
    return found;
  }
  return absl::InvalidArgumentError(
      fmt::format("{} is neither a results nor a samples file of lm-eval: {}", path, kLookedFor));
}

}  // namespace

bool IsDateId(std::string_view text) {
  // Older files may have the colons of ISO 8601.
  constexpr std::string_view kForm = "dddd-dd-ddTdd-dd-dd";
  if (text.size() < kForm.size()) return false;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  for (size_t i = 0; i < kForm.size(); ++i) {
    const bool good = kForm[i] == 'd'             ? is_digit(text[i])
                      : kForm[i] == '-' && i > 10 ? text[i] == '-' || text[i] == ':'
                                                  : text[i] == kForm[i];
    if (!good) return false;
  }
  text.remove_prefix(kForm.size());
  if (text.empty()) return true;
  if (text.front() != '.' || text.size() < 2) return false;
  return std::all_of(text.begin() + 1, text.end(), is_digit);
}

absl::StatusOr<std::vector<FoundRun>> FindRuns(const std::string& path, const FindOptions& options,
                                               std::vector<std::string>* warnings) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return SystemError(errno, path);
  if (!S_ISDIR(info.st_mode)) {
    if (!S_ISREG(info.st_mode)) {
      return absl::InvalidArgumentError(
          fmt::format("{} is neither a file nor a folder: name what lm_eval wrote", path));
    }
    return RunsOfFile(path, options, warnings);
  }
  Finder finder(options, warnings);
  std::string folder = path;
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  if (absl::Status status = finder.Walk(folder, 0); !status.ok()) return status;
  if (finder.runs.empty()) {
    return absl::NotFoundError(fmt::format("no lm-eval run under {}: {}", path, kLookedFor));
  }
  std::stable_sort(finder.runs.begin(), finder.runs.end(),
                   [](const FoundRun& a, const FoundRun& b) {
                     const std::string& x = a.results.empty() ? a.samples.front().path : a.results;
                     const std::string& y = b.results.empty() ? b.samples.front().path : b.results;
                     return x < y;
                   });
  return std::move(finder.runs);
}

}  // namespace mirage::integrations::lm_eval
