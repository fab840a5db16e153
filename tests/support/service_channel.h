// gRPC services inside a test's process, without a port.
#ifndef MIRAGE_TESTS_SUPPORT_SERVICE_CHANNEL_H_
#define MIRAGE_TESTS_SUPPORT_SERVICE_CHANNEL_H_

#include <grpcpp/create_channel_posix.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/server_posix.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace mirage::test_support {

// A server of the services given, and a channel to it. Both end with this object; the
// services must outlive it.
class ServiceChannel {
 public:
  explicit ServiceChannel(const std::vector<grpc::Service*>& services) {
    grpc::ServerBuilder builder;
    for (grpc::Service* service : services) builder.RegisterService(service);
    server_ = builder.BuildAndStart();
    // A socket pair for the reason given in server/server.cc.
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) return;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      line_ = ::dup(ends[0]);
    }
    grpc::AddInsecureChannelFromFd(server_.get(), ends[0]);
    channel_ = grpc::CreateInsecureChannelFromFd("mirage-test", ends[1]);
  }
  ~ServiceChannel() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (ending_.joinable()) ending_.join();
    }
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    if (line_ >= 0) ::close(line_);
  }
  ServiceChannel(const ServiceChannel&) = delete;
  ServiceChannel& operator=(const ServiceChannel&) = delete;

  // Null when the process has no file descriptors left.
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  // Cuts the line, as the kernel does when the server's process is killed.
  void Cut() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ::shutdown(line_, SHUT_RDWR);
  }

  // Begins to end the server at once, open calls with it; returns before it has ended, so that
  // a service's handler may call it. At most once.
  void BeginShutdown() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_ = std::thread([this] { server_->Shutdown(std::chrono::system_clock::now()); });
  }

 private:
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  // Handlers' threads and the test's meet here.
  std::mutex mutex_;
  // A second descriptor of the server's end.
  int line_ = -1;
  std::thread ending_;
};

}  // namespace mirage::test_support

#endif  // MIRAGE_TESTS_SUPPORT_SERVICE_CHANNEL_H_
