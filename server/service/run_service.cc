#include "server/service/run_service.h"

#include <deque>
#include <mutex>
#include <utility>

#include "server/service/status.h"

namespace mirage::server {
namespace {

class SummaryReactor final : public grpc::ServerWriteReactor<v1::SummarizeRunResponse> {
 public:
  SummaryReactor(Engine* engine, grpc::CallbackServerContext* context,
                 const v1::SummarizeRunRequest& request) {
    const std::lock_guard<std::mutex> lock(mutex_);
    status_ = engine->Summarize(request, [&](v1::SummarizeRunResponse response) {
      parts_.push_back(std::move(response));
      return !context->IsCancelled();
    });
    WriteNext();
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    parts_.pop_front();
    if (!ok) {
      Finish({grpc::StatusCode::CANCELLED, "the client went away"});
      return;
    }
    WriteNext();
  }

  void OnDone() override {
    { const std::lock_guard<std::mutex> lock(mutex_); }
    delete this;
  }

 private:
  void WriteNext() {
    if (!status_.ok() || parts_.empty()) {
      Finish(ToGrpc(status_));
      return;
    }
    StartWrite(&parts_.front());
  }

  std::mutex mutex_;  // as in IngestReactor, for ThreadSanitizer
  absl::Status status_;
  std::deque<v1::SummarizeRunResponse> parts_;
};

}  // namespace

grpc::ServerWriteReactor<v1::SummarizeRunResponse>* RunService::SummarizeRun(
    grpc::CallbackServerContext* context, const v1::SummarizeRunRequest* request) {
  return new SummaryReactor(engine_, context, *request);
}

grpc::ServerUnaryReactor* RunService::DeleteRun(grpc::CallbackServerContext* context,
                                                const v1::DeleteRunRequest* request,
                                                v1::DeleteRunResponse* /*response*/) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(engine_->Delete(request->name())));
  return reactor;
}

}  // namespace mirage::server
