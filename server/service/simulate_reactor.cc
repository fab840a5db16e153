#include "server/service/simulate_reactor.h"

#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "metrics/emergence/simulation_spec.h"
#include "server/engine/simulated_family.h"
#include "server/service/status.h"

namespace mirage::server {
namespace {

// Each write makes the next message, a fraction of a second of work at most: a slow reader holds
// back the work, and one that goes away ends it at the next write.
class SimulateReactor final : public grpc::ServerWriteReactor<v1::SimulateResponse> {
 public:
  explicit SimulateReactor(const v1::SimulateRequest& request) {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto family = SimulatedFamily::Create(request.spec());
    if (!family.ok()) {
      Finish(ToGrpc(family.status()));
      return;
    }
    family_.emplace(*std::move(family));
    WriteNext();
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard<std::mutex> lock(mutex_);
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
    if (family_->Next(&response_)) {
      StartWrite(&response_);
    } else {
      Finish(grpc::Status::OK);
    }
  }

  // gRPC runs these callbacks one after the other; the mutex lets ThreadSanitizer see it, gRPC's
  // own locks being uninstrumented.
  std::mutex mutex_;
  std::optional<SimulatedFamily> family_;
  v1::SimulateResponse response_;
};

}  // namespace

grpc::ServerWriteReactor<v1::SimulateResponse>* Simulate(const v1::SimulateRequest& request) {
  return new SimulateReactor(request);
}

void ListSimulationPresets(v1::ListSimulationPresetsResponse* response) {
  for (const metrics::SimulationPreset& preset : metrics::SimulationPresets()) {
    v1::SimulationPreset* const added = response->add_presets();
    added->set_name(std::string(preset.name));
    added->set_summary(std::string(preset.summary));
    metrics::SimulationSpec spec;
    spec.truth = added->name();
    const auto filled = metrics::FillSimulationSpec(spec);
    if (filled.ok()) added->set_unavailable(std::string(WhyNotSimulated(filled->evidence)));
  }
}

}  // namespace mirage::server
