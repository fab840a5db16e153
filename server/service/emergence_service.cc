#include "server/service/emergence_service.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/diagnose.h"
#include "server/engine/meta.h"
#include "server/engine/plan.h"
#include "server/service/simulate_reactor.h"
#include "server/service/status.h"

namespace mirage::server {
namespace {

// Between two messages of progress.
constexpr std::chrono::milliseconds kProgressEvery(200);

// Reads all series, then works between writes: each call of OnWriteDone works for at most about a
// fifth of a second. So no thread is held for the whole of a long answer, a slow reader holds back
// the work, and one that goes away ends it at the next write.
template <typename Request, typename Response>
class SeriesReactor : public grpc::ServerBidiReactor<Request, Response> {
 public:
  void OnReadDone(bool ok) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const absl::Status status = ok ? Take() : Start();
    if (!status.ok()) {
      this->Finish(ToGrpc(status));
    } else if (ok) {
      this->StartRead(&request_);
    } else {
      Work();
    }
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!ok) {
      this->Finish({grpc::StatusCode::CANCELLED, "the client went away"});
      return;
    }
    Work();
  }

  void OnDone() override {
    { const std::lock_guard<std::mutex> lock(mutex_); }
    delete this;
  }

 protected:
  // Once, at the end of a reactor's constructor.
  void Begin() {
    const std::lock_guard<std::mutex> lock(mutex_);
    this->StartRead(&request_);
  }

  // Takes request_.
  virtual absl::Status Take() = 0;
  // The last series is there.
  virtual absl::Status Start() = 0;
  virtual size_t n_done() const = 0;
  virtual size_t n_series() const = 0;
  virtual absl::Status Step() = 0;
  // Once, after the last step.
  virtual absl::Status Complete() = 0;
  // Puts the next message of the answer into response_; false where there is none left.
  virtual bool Next() = 0;

  Request request_;
  Response response_;

 private:
  // Works for a while and says how far it came; then writes what there is, a message at a time.
  void Work() {
    response_.Clear();
    if (n_done() < n_series()) {
      const auto until = std::chrono::steady_clock::now() + kProgressEvery;
      while (n_done() < n_series() && std::chrono::steady_clock::now() < until) {
        if (const absl::Status status = Step(); !status.ok()) {
          this->Finish(ToGrpc(status));
          return;
        }
      }
      response_.mutable_progress()->set_n_done(static_cast<uint32_t>(n_done()));
      response_.mutable_progress()->set_n_series(static_cast<uint32_t>(n_series()));
      this->StartWrite(&response_);
      return;
    }
    if (!is_complete_) {
      is_complete_ = true;
      if (const absl::Status status = Complete(); !status.ok()) {
        this->Finish(ToGrpc(status));
        return;
      }
    }
    if (Next()) {
      this->StartWrite(&response_);
    } else {
      this->Finish(grpc::Status::OK);
    }
  }

  // gRPC runs these callbacks one after the other; the mutex lets ThreadSanitizer see it, gRPC's
  // own locks being uninstrumented.
  std::mutex mutex_;
  bool is_complete_ = false;
};

class DiagnoseReactor final
    : public SeriesReactor<v1::DiagnoseSeriesRequest, v1::DiagnoseSeriesResponse> {
 public:
  explicit DiagnoseReactor(Engine* engine) : engine_(engine) { Begin(); }

 private:
  absl::Status Take() override {
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

  absl::Status Start() override {
    if (diagnosis_ == nullptr) {
      if (absl::Status status = Create({}); !status.ok()) return status;
    }
    return diagnosis_->Start();
  }

  size_t n_done() const override { return diagnosis_->n_done(); }
  size_t n_series() const override { return diagnosis_->n_series(); }
  absl::Status Step() override { return diagnosis_->Step(); }
  absl::Status Complete() override { return diagnosis_->Finish(); }

  bool Next() override {
    if (n_warned_ < diagnosis_->warnings().size()) {
      response_.set_warning(diagnosis_->warnings()[n_warned_++]);
    } else if (n_written_ < diagnosis_->diagnoses().size()) {
      *response_.mutable_diagnosis() = diagnosis_->diagnoses()[n_written_++];
    } else {
      return false;
    }
    return true;
  }

  Engine* const engine_;
  std::unique_ptr<SeriesDiagnosis> diagnosis_;
  size_t n_warned_ = 0;
  size_t n_written_ = 0;
};

class MetaReactor final : public SeriesReactor<v1::AnalyzeMetaRequest, v1::AnalyzeMetaResponse> {
 public:
  explicit MetaReactor(Engine* engine) : engine_(engine) { Begin(); }

 private:
  absl::Status Take() override {
    switch (request_.part_case()) {
      case v1::AnalyzeMetaRequest::kOptions:
        if (meta_ != nullptr) {
          return absl::InvalidArgumentError("options came late: they are for the first message");
        }
        return Create(request_.options());
      case v1::AnalyzeMetaRequest::kSeries:
        if (meta_ == nullptr) {
          if (absl::Status status = Create({}); !status.ok()) return status;
        }
        return meta_->Add(request_.series());
      case v1::AnalyzeMetaRequest::kRun: {
        if (meta_ == nullptr) {
          if (absl::Status status = Create({}); !status.ok()) return status;
        }
        const auto run = engine_->Find(request_.run().run());
        if (!run.ok()) return run.status();
        return meta_->AddRun(**run, request_.run().scale());
      }
      case v1::AnalyzeMetaRequest::PART_NOT_SET:
        break;
    }
    return absl::InvalidArgumentError("part is not set: send options, a series or a run");
  }

  absl::Status Create(const v1::MetaOptions& options) {
    auto meta = SeriesMeta::Create(options, static_cast<int>(std::thread::hardware_concurrency()));
    if (!meta.ok()) return meta.status();
    meta_ = *std::move(meta);
    return absl::OkStatus();
  }

  absl::Status Start() override {
    if (meta_ == nullptr) {
      if (absl::Status status = Create({}); !status.ok()) return status;
    }
    return meta_->Start();
  }

  size_t n_done() const override { return meta_->n_done(); }
  size_t n_series() const override { return meta_->n_series(); }
  absl::Status Step() override { return meta_->Step(); }
  absl::Status Complete() override { return meta_->Finish(); }

  bool Next() override {
    if (n_warned_ < meta_->warnings().size()) {
      response_.set_warning(meta_->warnings()[n_warned_++]);
    } else if (n_written_ < meta_->triplets().size()) {
      *response_.mutable_triplet() = meta_->triplets()[n_written_++];
    } else if (!is_summed_) {
      is_summed_ = true;
      *response_.mutable_summary() = meta_->summary();
    } else {
      return false;
    }
    return true;
  }

  Engine* const engine_;
  std::unique_ptr<SeriesMeta> meta_;
  size_t n_warned_ = 0;
  size_t n_written_ = 0;
  bool is_summed_ = false;
};

class PlanReactor final : public SeriesReactor<v1::PlanSeriesRequest, v1::PlanSeriesResponse> {
 public:
  explicit PlanReactor(Engine* engine) : engine_(engine) { Begin(); }

 private:
  absl::Status Take() override {
    switch (request_.part_case()) {
      case v1::PlanSeriesRequest::kOptions:
        if (plans_ != nullptr) {
          return absl::InvalidArgumentError("options came late: they are for the first message");
        }
        return Create(request_.options());
      case v1::PlanSeriesRequest::kSeries:
        if (absl::Status status = CreateByDefault(); !status.ok()) return status;
        return plans_->Add(request_.series());
      case v1::PlanSeriesRequest::kRun: {
        if (absl::Status status = CreateByDefault(); !status.ok()) return status;
        auto run = engine_->Find(request_.run().run());
        if (!run.ok()) return run.status();
        return plans_->AddRun(*std::move(run), request_.run().scale());
      }
      case v1::PlanSeriesRequest::PART_NOT_SET:
        break;
    }
    return absl::InvalidArgumentError("part is not set: send options, a series or a run");
  }

  absl::Status Create(const v1::PlanOptions& options) {
    auto plans =
        SeriesPlans::Create(options, static_cast<int>(std::thread::hardware_concurrency()));
    if (!plans.ok()) return plans.status();
    plans_ = *std::move(plans);
    return absl::OkStatus();
  }

  absl::Status CreateByDefault() { return plans_ == nullptr ? Create({}) : absl::OkStatus(); }

  absl::Status Start() override {
    if (absl::Status status = CreateByDefault(); !status.ok()) return status;
    return plans_->Start();
  }

  size_t n_done() const override { return plans_->n_done(); }
  size_t n_series() const override { return plans_->n_series(); }
  absl::Status Step() override { return plans_->Step(); }
  absl::Status Complete() override { return absl::OkStatus(); }

  bool Next() override {
    if (n_warned_ < plans_->warnings().size()) {
      response_.set_warning(plans_->warnings()[n_warned_++]);
    } else if (n_written_ < plans_->plans().size()) {
      *response_.mutable_plan() = plans_->plans()[n_written_++];
    } else {
      return false;
    }
    return true;
  }

  Engine* const engine_;
  std::unique_ptr<SeriesPlans> plans_;
  size_t n_warned_ = 0;
  size_t n_written_ = 0;
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

grpc::ServerBidiReactor<v1::AnalyzeMetaRequest, v1::AnalyzeMetaResponse>*
EmergenceService::AnalyzeMeta(grpc::CallbackServerContext* /*context*/) {
  return new MetaReactor(engine_);
}

grpc::ServerBidiReactor<v1::PlanSeriesRequest, v1::PlanSeriesResponse>*
EmergenceService::PlanSeries(grpc::CallbackServerContext* /*context*/) {
  return new PlanReactor(engine_);
}

}  // namespace mirage::server
