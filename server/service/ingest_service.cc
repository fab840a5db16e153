#include "server/service/ingest_service.h"

#include <fmt/format.h>

#include <memory>
#include <mutex>

#include "server/service/status.h"

namespace mirage::server {
namespace {

// Reads a message, scores it, answers it, and only then reads the next one: a slow
// engine holds back the sender through HTTP/2's flow control, and one message of a
// stream is in memory at a time.
class IngestReactor final : public grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse> {
 public:
  explicit IngestReactor(Engine* engine) : engine_(engine) {
    const std::lock_guard<std::mutex> lock(mutex_);
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!ok) {  // the client has no more to say
      Finish(grpc::Status::OK);
      return;
    }
    response_.Clear();
    const absl::Status status = Handle();
    if (!status.ok()) {
      Finish(ToGrpc(status));
      return;
    }
    StartWrite(&response_);
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!ok) {
      Finish({grpc::StatusCode::CANCELLED, "the client went away"});
      return;
    }
    StartRead(&request_);
  }

  void OnDone() override {
    { const std::lock_guard<std::mutex> lock(mutex_); }
    delete this;
  }

 private:
  absl::Status Handle() {
    switch (request_.part_case()) {
      case v1::IngestRequest::kHeader: {
        if (session_ != nullptr) {
          return absl::InvalidArgumentError("header came twice: one stream carries one run");
        }
        auto session = engine_->StartIngest(request_.header());
        if (!session.ok()) return session.status();
        session_ = *std::move(session);
        return absl::OkStatus();
      }
      case v1::IngestRequest::kBatch:
        if (session_ == nullptr) return NeedsHeader("batch");
        return session_->Add(request_.batch(), request_.sequence(), &response_);
      case v1::IngestRequest::kFinish:
        if (session_ == nullptr) return NeedsHeader("finish");
        return session_->Finish(request_.finish(), &response_);
      case v1::IngestRequest::PART_NOT_SET:
        break;
    }
    return absl::InvalidArgumentError("part is not set: send header, batch or finish");
  }

  static absl::Status NeedsHeader(std::string_view part) {
    return absl::InvalidArgumentError(fmt::format(
        "{} came before the header: the first message of a stream names the run", part));
  }

  // gRPC runs these callbacks one after the other; the mutex lets ThreadSanitizer
  // see it, gRPC's own locks being uninstrumented.
  std::mutex mutex_;
  Engine* engine_;
  std::unique_ptr<IngestSession> session_;
  v1::IngestRequest request_;
  v1::IngestResponse response_;
};

}  // namespace

grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse>* IngestService::Ingest(
    grpc::CallbackServerContext* /*context*/) {
  return new IngestReactor(engine_);
}

}  // namespace mirage::server
