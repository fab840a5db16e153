#include "client/sidecar_channel.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "mirage/v1/ingest.grpc.pb.h"
#include "server/embedded.h"
#include "tests/support/temporary_folder.h"

namespace mirage::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A sidecar in a process of its own. To be made before this process uses gRPC, which does
// not survive a fork.
class Sidecar {
 public:
  explicit Sidecar(milliseconds min_ping_interval) {
    int ready[2];
    if (::pipe(ready) != 0) return;
    process_ = ::fork();
    if (process_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const auto server =
          server::Server::Start({.address = address_, .min_ping_interval = min_ping_interval});
      if (server.ok()) (void)!::write(ready[1], "!", 1);
      while (true) ::pause();
    }
    ::close(ready[1]);
    char sign = 0;
    ready_ = ::read(ready[0], &sign, 1) == 1;
    ::close(ready[0]);
  }
  ~Sidecar() {
    Send(SIGKILL);
    if (process_ > 0) ::waitpid(process_, nullptr, 0);
  }
  Sidecar(const Sidecar&) = delete;
  Sidecar& operator=(const Sidecar&) = delete;

  bool ready() const { return ready_; }
  const std::string& address() const { return address_; }
  void Send(int number) const {
    if (process_ > 0) ::kill(process_, number);
  }

 private:
  // Not where tests have their files: a socket's path has no more than 107 bytes.
  const test_support::TemporaryFolder folder_{"/tmp"};
  const std::string address_ = "unix:" + folder_.path() + "/socket";
  pid_t process_ = -1;
  bool ready_ = false;
};

class Conversation {
 public:
  explicit Conversation(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(v1::IngestService::NewStub(channel)), stream_(stub_->Ingest(&context_)) {}

  bool Open() {
    v1::IngestRequest request;
    request.mutable_header()->mutable_run()->set_model("m");
    return stream_->Write(request) && Read();
  }
  bool Finish() {
    v1::IngestRequest request;
    request.mutable_finish();
    return stream_->Write(request);
  }
  bool Read() {
    v1::IngestResponse response;
    return stream_->Read(&response);
  }
  grpc::Status Status() {
    stream_->WritesDone();
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1::IngestService::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::IngestRequest, v1::IngestResponse>> stream_;
};

class SidecarChannelTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    stopped_ = new Sidecar(milliseconds(50));
    quiet_ = new Sidecar(milliseconds(50));
  }
  static void TearDownTestSuite() {
    delete stopped_;
    delete quiet_;
  }
  static Sidecar* stopped_;
  static Sidecar* quiet_;
};
Sidecar* SidecarChannelTest::stopped_ = nullptr;
Sidecar* SidecarChannelTest::quiet_ = nullptr;

TEST_F(SidecarChannelTest, AStoppedSidecarEndsTheCall) {
  ASSERT_TRUE(stopped_->ready());
  Conversation call(SidecarChannel(stopped_->address(), 1 << 20,
                                   {.time = milliseconds(300), .timeout = milliseconds(300)}));
  ASSERT_TRUE(call.Open());
  stopped_->Send(SIGSTOP);
  EXPECT_FALSE(call.Read()) << "there is no answer to come";
  EXPECT_EQ(call.Status().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(SidecarChannelTest, AQuietCallIsNotHungUpOn) {
  ASSERT_TRUE(quiet_->ready());
  Conversation call(SidecarChannel(quiet_->address(), 1 << 20,
                                   {.time = milliseconds(300), .timeout = seconds(20)}));
  ASSERT_TRUE(call.Open());
  // Time to ask more often than a server bears that was not told to expect it.
  std::thread later([&] {
    std::this_thread::sleep_for(seconds(5));
    EXPECT_TRUE(call.Finish());
  });
  EXPECT_TRUE(call.Read()) << "the answer that was waited for";
  later.join();
  const grpc::Status status = call.Status();
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(SidecarChannelTest, TheServerBearsTheClientsQuestions) {
  EXPECT_LE(server::ServerOptions().min_ping_interval, Keepalive().time / 2);
}

}  // namespace
}  // namespace mirage::client
