#include "client/attach_run.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "client/grpc_status.h"
#include "client/render/terminal_text.h"
#include "mirage/v1/ingest.grpc.pb.h"
#include "mirage/v1/run.grpc.pb.h"

namespace mirage::client {
namespace {

// Batches under way before the client waits for an acknowledgement. Without a
// bound, unread acknowledgements would fill the stream and both ends would wait.
constexpr size_t kWindow = 4;
// Bad rows that are described for each task and filter; all are counted.
constexpr int kDescribedRows = 5;

std::string FileName(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

// A batch whose acknowledgement is outstanding.
struct Sent {
  integrations::BatchOrigin origin;
  // Task, filter and, for a scores sink, the keys.
  v1::SampleBatch batch;
};

class Attachment {
 public:
  Attachment(const std::shared_ptr<grpc::Channel>& channel, integrations::RunReader& reader,
             const AttachRunOptions& options)
      : reader_(reader),
        options_(options),
        ingest_(v1::IngestService::NewStub(channel)),
        runs_(v1::RunService::NewStub(channel)) {}

  absl::StatusOr<v1::RunSummary> Run() {
    const auto name = Send();
    if (!name.ok()) return name.status();
    auto summary = Summarize(*name);
    if (options_.forget) {
      grpc::ClientContext context;
      v1::DeleteRunRequest request;
      v1::DeleteRunResponse response;
      request.set_name(*name);
      // The answer is already here; a run left in memory harms nobody.
      (void)runs_->DeleteRun(&context, request, &response);
    }
    return summary;
  }

  // The run's name.
  absl::StatusOr<std::string> Send() {
    grpc::ClientContext context;
    stream_ = ingest_->Ingest(&context);
    auto name = SendAll();
    if (!name.ok()) {
      // Our own error ends the call; the sidecar's is found by ending it.
      if (!stream_broken_) context.TryCancel();
      // gRPC gives the status after the last message: with acknowledgements unread, Finish would
      // wait for ever.
      v1::IngestResponse unread;
      while (stream_->Read(&unread)) {
      }
      const grpc::Status status = stream_->Finish();
      // A stream that ends early says why, unless something between us cut it off.
      if (stream_broken_ && !status.ok()) return FromGrpc(status);
      return name.status();
    }
    stream_->WritesDone();
    if (auto status = FromGrpc(stream_->Finish()); !status.ok()) return status;
    return name;
  }

 private:
  using Stream = grpc::ClientReaderWriter<v1::IngestRequest, v1::IngestResponse>;

  absl::StatusOr<std::string> SendAll() {
    v1::IngestRequest request;
    v1::IngestHeader* header = request.mutable_header();
    *header->mutable_run() = reader_.run();
    header->set_tokenizer(options_.tokenizer);
    header->set_return_scores(static_cast<bool>(options_.scores));
    if (auto status = Write(request); !status.ok()) return status;
    v1::IngestResponse opened;
    if (!stream_->Read(&opened)) return Broken();

    uint64_t sequence = 0;
    request.Clear();
    while (true) {
      integrations::BatchOrigin origin;
      auto more = reader_.Next(request.mutable_batch(), &origin);
      if (!more.ok()) return more.status();
      if (options_.progress) options_.progress(reader_.bytes_read(), reader_.bytes_total());
      if (!*more) break;
      if (options_.evidence != nullptr) options_.evidence->AddTo(request.mutable_batch());
      request.set_sequence(++sequence);
      Sent sent{.origin = std::move(origin)};
      sent.batch.set_task(request.batch().task());
      sent.batch.set_filter(request.batch().filter());
      if (options_.scores) {
        sent.batch.set_n_samples(request.batch().n_samples());
        *sent.batch.mutable_keys() = request.batch().keys();
      }
      if (auto status = Write(request); !status.ok()) return status;
      under_way_.push_back(std::move(sent));
      if (under_way_.size() >= kWindow) {
        if (auto status = ReadAck(); !status.ok()) return status;
      }
    }
    while (!under_way_.empty()) {
      if (auto status = ReadAck(); !status.ok()) return status;
    }

    request.Clear();
    request.mutable_finish()->set_n_batches(sequence);
    AddIssues(request.mutable_finish());
    if (auto status = Write(request); !status.ok()) return status;
    v1::IngestResponse done;
    if (!stream_->Read(&done)) return Broken();
    return done.run();
  }

  absl::Status Write(const v1::IngestRequest& request) {
    return stream_->Write(request) ? absl::OkStatus() : Broken();
  }

  absl::Status Broken() {
    stream_broken_ = true;
    return absl::UnavailableError("the stream to the sidecar ended early");
  }

  absl::Status ReadAck() {
    v1::IngestResponse response;
    if (!stream_->Read(&response)) return Broken();
    const Sent sent = std::move(under_way_.front());
    under_way_.pop_front();
    v1::RowIssues& issues = IssuesOf(sent.batch.task(), sent.batch.filter());
    for (const v1::BadSample& bad : response.bad_samples()) {
      if (issues.messages_size() >= kDescribedRows) break;
      const uint64_t line =
          bad.index() < sent.origin.lines.size() ? sent.origin.lines[bad.index()] : 0;
      issues.add_messages(
          SafeText(fmt::format("{}:{}: {}", FileName(sent.origin.file), line, bad.message())));
    }
    n_refused_[&issues] += response.n_bad();
    if (!options_.scores) return absl::OkStatus();
    return options_.scores(sent.batch, response.scores());
  }

  v1::RowIssues& IssuesOf(const std::string& task, const std::string& filter) {
    auto& slot = issues_[{task, filter}];
    if (slot == nullptr) {
      slot = std::make_unique<v1::RowIssues>();
      slot->set_task(task);
      slot->set_filter(filter);
    }
    return *slot;
  }

  // Adds the rows that the reader could not read, closes each list with the number of
  // rows that are not described, and adds the notes on whole tasks.
  void AddIssues(v1::IngestFinish* finish) {
    for (const integrations::RowIssue& row : reader_.issues()) {
      v1::RowIssues& issues = IssuesOf(row.task, row.filter);
      if (issues.messages_size() < kDescribedRows) {
        // A message of line 0 is about the whole file, and names it.
        issues.add_messages(SafeText(
            row.line == 0 ? row.message
                          : fmt::format("{}:{}: {}", FileName(row.file), row.line, row.message)));
      }
    }
    for (const integrations::IssueCount& count : reader_.issue_counts()) {
      IssuesOf(count.task, count.filter).set_n_unreadable(static_cast<uint32_t>(count.n));
    }
    std::vector<integrations::TaskNote> notes = reader_.notes();
    if (options_.evidence != nullptr) {
      for (integrations::TaskNote& note : options_.evidence->Notes()) {
        notes.push_back(std::move(note));
      }
    }
    for (const integrations::TaskNote& note : notes) {
      v1::TaskNote* to = finish->add_notes();
      to->set_task(note.task);
      to->set_text(SafeText(note.text));
    }
    for (auto& [key, issues] : issues_) {
      const uint64_t total = n_refused_[issues.get()] + issues->n_unreadable();
      const auto described = static_cast<uint64_t>(issues->messages_size());
      if (total == 0) continue;
      if (total > described) {
        issues->add_messages(
            fmt::format("… and {} more rows that were left out", total - described));
      }
      *finish->add_issues() = *issues;
    }
  }

  absl::StatusOr<v1::RunSummary> Summarize(const std::string& name) {
    grpc::ClientContext context;
    v1::SummarizeRunRequest request;
    request.set_name(name);
    request.set_level(options_.level);
    request.set_interval_method(options_.interval);
    request.set_seed(options_.seed);
    const auto stream = runs_->SummarizeRun(&context, request);
    v1::RunSummary summary;
    v1::SummarizeRunResponse part;
    while (stream->Read(&part)) {
      if (part.has_run()) {
        summary = std::move(*part.mutable_run());
      } else {
        *summary.add_tasks() = std::move(*part.mutable_task());
      }
    }
    if (auto status = FromGrpc(stream->Finish()); !status.ok()) return status;
    return summary;
  }

  integrations::RunReader& reader_;
  const AttachRunOptions& options_;
  std::unique_ptr<v1::IngestService::Stub> ingest_;
  std::unique_ptr<v1::RunService::Stub> runs_;
  std::unique_ptr<Stream> stream_;
  bool stream_broken_ = false;
  std::deque<Sent> under_way_;
  std::map<std::pair<std::string, std::string>, std::unique_ptr<v1::RowIssues>> issues_;
  // Samples that the sidecar refused, by list, described or not.
  std::map<const v1::RowIssues*, uint64_t> n_refused_;
};

}  // namespace

absl::StatusOr<v1::RunSummary> AttachRun(const std::shared_ptr<grpc::Channel>& channel,
                                         integrations::RunReader& reader,
                                         const AttachRunOptions& options) {
  return Attachment(channel, reader, options).Run();
}

absl::StatusOr<std::string> SendRun(const std::shared_ptr<grpc::Channel>& channel,
                                    integrations::RunReader& reader,
                                    const AttachRunOptions& options) {
  return Attachment(channel, reader, options).Send();
}

}  // namespace mirage::client
