#include "server/server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_posix.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "base/address.h"
#include "server/engine/engine.h"
#include "server/service/emergence_service.h"
#include "server/service/ingest_service.h"
#include "server/service/metric_service.h"
#include "server/service/run_service.h"

namespace mirage::server {
namespace {

constexpr std::string_view kUnix = "unix:";

class GrpcServer final : public Server {
 public:
  GrpcServer() : ingest_(&engine_), runs_(&engine_) {}

  ~GrpcServer() override {
    if (server_ != nullptr) Shutdown(std::chrono::milliseconds(0));
  }

  absl::Status Listen(const ServerOptions& options) {
    const std::string& address = options.address;
    grpc::ServerBuilder builder;
    int bound = 0;
    if (!address.empty()) {
      builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &bound);
    }
    // Else a second sidecar on the same port would silently take half of the calls.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               static_cast<int>(options.min_ping_interval.count()));
    builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
    builder.SetMaxSendMessageSize(kMaxMessageBytes);
    builder.RegisterService(&emergence_);
    builder.RegisterService(&ingest_);
    builder.RegisterService(&metrics_);
    builder.RegisterService(&runs_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || (!address.empty() && bound == 0)) {
      return absl::UnavailableError(fmt::format(
          "cannot listen on {}: it may be taken; choose another address, or 127.0.0.1:0", address));
    }
    // gRPC gives a Unix socket the port 1.
    if (std::string_view(address).substr(0, kUnix.size()) != kUnix) port_ = bound;
    return absl::OkStatus();
  }

  int port() const override { return port_; }

  absl::StatusOr<std::shared_ptr<grpc::Channel>> InProcessChannel() override {
    // A socket pair, not gRPC's in-process transport: with the callback API of 1.51
    // a client's first write on that one never completes.
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
      return absl::InternalError(
          fmt::format("cannot make a socket pair: {}", std::strerror(errno)));
    }
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
    arguments.SetMaxSendMessageSize(kMaxMessageBytes);
    grpc::AddInsecureChannelFromFd(server_.get(), ends[0]);
    return grpc::CreateCustomInsecureChannelFromFd("mirage-embedded", ends[1], arguments);
  }

  void Shutdown(std::chrono::milliseconds deadline) override {
    server_->Shutdown(std::chrono::system_clock::now() + deadline);
    server_->Wait();
    server_ = nullptr;
  }

 private:
  Engine engine_;
  EmergenceService emergence_{&engine_};
  IngestService ingest_;
  MetricService metrics_;
  RunService runs_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options) {
  if (!options.address.empty()) {
    if (auto status = CheckAddress(options.address, /*to_listen=*/true); !status.ok())
      return status;
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  }
  auto server = std::make_unique<GrpcServer>();
  if (auto status = server->Listen(options); !status.ok()) return status;
  return server;
}

}  // namespace mirage::server
