#include "server/service/emergence_service.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/diagnose.h"
#include "server/service/simulate_reactor.h"
#include "server/service/status.h"

namespace mirage::server {
namespace {

// Between two messages of progress.
constexpr std::chrono::milliseconds kProgressEvery(200);

// Reads all series, then works between writes: each call of OnWriteDone diagnoses for at most about
// a fifth of a second. So no thread is held for the whole of a long answer, a slow reader holds
// back the work, and one that goes away ends it at the next write.
class DiagnoseReactor final
    : public grpc::ServerBidiReactor<v1::DiagnoseSeriesRequest, v1::DiagnoseSeriesResponse> {
 public:
  explicit DiagnoseReactor(Engine* engine) : engine_(engine) {
    const std::lock_guard<std::mutex> lock(mutex_);
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const absl::Status status = ok ? Take() : Start();
    if (!status.ok()) {
      Finish(ToGrpc(status));
    } else if (ok) {
      StartRead(&request_);
    } else {
      Work();
    }
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!ok) {
      Finish({grpc::StatusCode::CANCELLED, "the client went away"});
      return;
    }
    Work();
  }

  void OnDone() override {
    { const std::lock_guard<std::mutex> lock(mutex_); }
    delete this;
  }

 private:
  absl::Status Take() {
    switch (request_.part_case()) {
      case v1::DiagnoseSeriesRequest::kOptions:
        if (diagnosis_ != nullptr) {
          return absl::InvalidArgumentError("options came late: they are for the first message");
        }
        return Create(request_.options());
      case v1::DiagnoseSeriesRequest::kSeries:
        if (diagnosis_ == nullptr) {
          if (absl::Status status = Create({}); !status.ok()) return status;
        }
        return diagnosis_->Add(request_.series());
      case v1::DiagnoseSeriesRequest::kRun: {
        if (diagnosis_ == nullptr) {
          if (absl::Status status = Create({}); !status.ok()) return status;
        }
        auto run = engine_->Find(request_.run().run());
        if (!run.ok()) return run.status();
        return diagnosis_->AddRun(*std::move(run), request_.run().scale());
      }
      case v1::DiagnoseSeriesRequest::PART_NOT_SET:
        break;
    }
    return absl::InvalidArgumentError("part is not set: send options, a series or a run");
  }

  absl::Status Create(const v1::DiagnoseOptions& options) {
    auto diagnosis = SeriesDiagnosis::Create(options);
    if (!diagnosis.ok()) return diagnosis.status();
    diagnosis_ = *std::move(diagnosis);
    return absl::OkStatus();
  }

  absl::Status Start() {
    if (diagnosis_ == nullptr) {
      if (absl::Status status = Create({}); !status.ok()) return status;
    }
    return diagnosis_->Start();
  }

  // Diagnoses for a while and says how far it came; then writes what there is, a message at a time.
  void Work() {
    response_.Clear();
    if (diagnosis_->n_done() < diagnosis_->n_series()) {
      const auto until = std::chrono::steady_clock::now() + kProgressEvery;
      while (diagnosis_->n_done() < diagnosis_->n_series() &&
             std::chrono::steady_clock::now() < until) {
        if (const absl::Status status = diagnosis_->Step(); !status.ok()) {
          Finish(ToGrpc(status));
          return;
        }
      }
      response_.mutable_progress()->set_n_done(static_cast<uint32_t>(diagnosis_->n_done()));
      response_.mutable_progress()->set_n_series(static_cast<uint32_t>(diagnosis_->n_series()));
      StartWrite(&response_);
      return;
    }
    if (!is_corrected_) {
      is_corrected_ = true;
      if (const absl::Status status = diagnosis_->Finish(); !status.ok()) {
        Finish(ToGrpc(status));
        return;
      }
    }
    if (n_warned_ < diagnosis_->warnings().size()) {
      response_.set_warning(diagnosis_->warnings()[n_warned_++]);
    } else if (n_written_ < diagnosis_->diagnoses().size()) {
      *response_.mutable_diagnosis() = diagnosis_->diagnoses()[n_written_++];
    } else {
      Finish(grpc::Status::OK);
      return;
    }
    StartWrite(&response_);
  }

  // gRPC runs these callbacks one after the other; the mutex lets ThreadSanitizer see it, gRPC's
  // own locks being uninstrumented.
  std::mutex mutex_;
  Engine* const engine_;
  std::unique_ptr<SeriesDiagnosis> diagnosis_;
  bool is_corrected_ = false;
  size_t n_warned_ = 0;
  size_t n_written_ = 0;
  v1::DiagnoseSeriesRequest request_;
  v1::DiagnoseSeriesResponse response_;
};

}  // namespace

grpc::ServerBidiReactor<v1::DiagnoseSeriesRequest, v1::DiagnoseSeriesResponse>*
EmergenceService::DiagnoseSeries(grpc::CallbackServerContext* /*context*/) {
  return new DiagnoseReactor(engine_);
}

grpc::ServerWriteReactor<v1::SimulateResponse>* EmergenceService::Simulate(
    grpc::CallbackServerContext* /*context*/, const v1::SimulateRequest* request) {
  return server::Simulate(*request);
}

grpc::ServerUnaryReactor* EmergenceService::ListSimulationPresets(
    grpc::CallbackServerContext* context, const v1::ListSimulationPresetsRequest* /*request*/,
    v1::ListSimulationPresetsResponse* response) {
  server::ListSimulationPresets(response);
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace mirage::server
